"""A network as plain data and back: numbers, strings and lists, never code.

Reads   a network's layers, loss and options; or the data of a model file, which may say anything.
Gives   a dict for JSON. What a user wrote (functions, losses, layers, cells) is kept as expressions: a list of nodes,
        each naming earlier ones by number, so that reading needs no recursion. Unknown words are ModelFileErrors.
"""

import copyreg
from dataclasses import dataclass, fields
from fractions import Fraction
from itertools import takewhile
from json import dumps, loads

from .. import calculus as c
from ..errors import BackproofError, ModelFileError, SpecError
from .activations import own_function
from .cells import Bidirectional, Cell, Recurrent
from .layers import COMMON, KINDS, Channels, Layer, options_of
from .losses import LOSSES, PAIRED, A, Loss, Y
from .scope import Assembly, Scope, stored
from .words import unknown

__all__ = ["fingerprint", "from_dict", "to_dict"]

BUILT_IN = dict(KINDS)
OVER_TIME = ("learned_state", "recurrent_dropout")
RECORDED = ("recorded", "recurrent")             # layers and cells of a user's: what their Python wrote when it was asked
WORDS = ("leaf", "extent", "product", "sum", "map", "reduce", "one_hot", "rename", "join", "slice", "shift", "edge",
         "scaled")
FIELDS = ("inputs", "layers", "loss", "l2", "l1", "decay_biases", "initial", "functions")


def to_dict(network):
    """The network as data for JSON."""
    functions = {}
    layers, x, reach = [], network.input.axes, c.REAL
    for (layer, label, number, named), (_, indices) in zip(network.placed, network.shapes):
        layers.append(_layer(layer, label, number, named, x, reach, functions))
        x, reach = indices, layer.range(reach)
    data = {"inputs": network.inputs, "layers": layers, "loss": _loss(network.loss, functions), "l2": network.l2,
            "l1": network.l1, "decay_biases": network.decay_biases, "initial": _listed(network.initial),
            "functions": [{"name": name, **described} for name, described in functions.items()]}
    return {key: value for key, value in data.items() if value not in (None, 0.0, []) or key == "loss"}


def fingerprint(network, penalised=True, unit=1.0):
    """What decides the equations, as text, penalties in units of ``unit``; None where it is Python of the user's."""
    data = network.to_dict()
    parts = [data, *(part for layer in data["layers"] for part in _nested(layer))]
    if any(part.get("kind") in RECORDED for part in parts):
        return None
    for part in parts:
        for name in ("initial",) if penalised else ("initial", "l2", "l1", "decay_biases"):
            part.pop(name, None)
        part.update({name: part[name] / unit for name in ("l2", "l1") if name in part})
    return dumps(data, sort_keys=True)


def built_in(layer):
    """Is this layer, with those inside it, one of the package's? Such layers that are equal write equal equations."""
    inside = (*getattr(layer, "layers", ()), *([layer.layer] if isinstance(layer, Bidirectional) else ()))
    return BUILT_IN.get(layer.kind) is type(layer) and all(built_in(inner) for inner in inside)


def _nested(layer):
    yield layer
    for inner in (*layer.get("layers", ()), *([layer["layer"]] if "layer" in layer else ())):
        yield from _nested(inner)


def from_dict(data):
    """The arguments of Network behind the data. Raises ModelFileError where it has no meaning."""
    try:
        if not isinstance(data, dict):
            raise ModelFileError(f"a network is described by a dict, not by {type(data).__name__}")
        _only(data, FIELDS, "the network")
        functions = {}
        for described in data.get("functions", []):
            functions[described["name"]] = _read_function(described["name"], described, functions)
        layers = [_read_layer(layer, functions) for layer in data["layers"]]
        return {"layers": layers, "inputs": data.get("inputs"), "loss": _read_loss(data["loss"], functions),
                "l2": data.get("l2", 0.0), "l1": data.get("l1", 0.0), "decay_biases": data.get("decay_biases", False),
                "initial": _tupled(data.get("initial"))}
    except ModelFileError:
        raise
    except (BackproofError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
        what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
        raise ModelFileError(f"the description of the network has no meaning: {what:.300}") from error


def _only(data, known, where):
    for key in data:
        if key not in known:
            raise unknown(ModelFileError, "entry", key, known, where)


def _listed(value):
    return list(value) if isinstance(value, tuple) else value


def _tupled(value):
    return tuple(value) if isinstance(value, list) else value


def _interval(given):
    """A range with infinities as words, since JSON has no number for them."""
    if isinstance(given, str):
        return given
    return [x if isinstance(x, str) else float(x) if abs(x) < float("inf") else str(float(x)) for x in given]


def _read_interval(given):
    if isinstance(given, str):
        return given
    low, high, *closed = given
    if closed not in ([], ["closed"]):
        raise ModelFileError(f"{given!r} is no range")
    return (float(low), float(high), *closed)


# ------------------------------------------------------------------------------------------------- expressions

class _Writer:
    """Expressions as one list of nodes; ``leaf`` and ``index`` say how leaves and indices are written."""

    def __init__(self, leaf, index, functions):
        self.leaf, self.index, self.functions = leaf, index, functions
        self.nodes, self.positions = [], {}

    def write(self, root):
        for node in c.walk(root):
            if node not in self.positions:
                self.nodes.append(self.entry(node, [self.positions[child] for child in node.children]))
                self.positions[node] = len(self.nodes) - 1
        return self.positions[root]

    def entry(self, node, children):
        index = self.index
        if isinstance(node, (c.Variable, c.Ref)):
            return ["leaf", self.leaf(node)]
        if isinstance(node, c.Extent):
            return ["extent", node.symbol, node.power]
        if isinstance(node, c.Einsum):
            return ["product", str(node.coefficient), [index(i) for i in node.indices], children]
        if isinstance(node, c.Add):
            return ["sum", [str(x) for x in node.coefficients], children]
        if isinstance(node, c.Map):
            return ["map", function_name(node.function, self.functions), children]
        if isinstance(node, c.Reduce):
            return ["reduce", node.kind, [index(i) for i in node.over], children]
        if isinstance(node, c.OneHot):
            return ["one_hot", index(node.index), children]
        if isinstance(node, c.Rename):
            return ["rename", [[index(a), index(b)] for a, b in node.pairs], children]
        if isinstance(node, c.Join):
            return ["join", index(node.index), [index(i) for i in node.parts], children]
        if isinstance(node, c.Slice):
            return ["slice", index(node.index), node.start, index(node.new), children]
        if isinstance(node, c.Shift):
            return ["shift", index(node.time), node.step, children]
        if isinstance(node, c.Edge):
            return ["edge", index(node.time), node.which, children]
        return ["scaled", children]


class _Reader:
    """The nodes of such a list, built again by the constructors of the calculus."""

    def __init__(self, entries, leaf, index, functions):
        self.leaf, self.index, self.functions = leaf, index, functions
        self.entries, self.nodes = entries, []

    def read(self, position):
        """The node of a number; earlier ones are built first, since leaves may exist only later."""
        if isinstance(position, bool) or not isinstance(position, int) or not 0 <= position < len(self.entries):
            raise ModelFileError(f"an expression has no node {position!r:.80}")
        while len(self.nodes) <= position:
            word, *data = self.entries[len(self.nodes)]
            children = [] if word in ("leaf", "extent") else [self.earlier(child) for child in data.pop()]
            self.nodes.append(self.node(word, data, children))
        return self.nodes[position]

    def earlier(self, position):
        if isinstance(position, bool) or not isinstance(position, int) or not 0 <= position < len(self.nodes):
            raise ModelFileError(f"node {len(self.nodes)} of an expression reads node {position!r:.80}")
        return self.nodes[position]

    def node(self, word, data, children):
        index = self.index
        if word == "leaf":
            return self.leaf(data[0])
        if word == "extent":
            return c.Extent(data[0], int(data[1]))
        if word == "product":
            return c.product([c.number(Fraction(data[0])), *children], out=[index(i) for i in data[1]])
        if word == "sum":
            return c.add(children, [Fraction(x) for x in data[0]])
        if word == "map":
            if data[0] not in self.functions and data[0] not in c.FUNCTIONS:
                raise unknown(ModelFileError, "function", data[0], c.FUNCTIONS)
            return {**self.functions, **c.FUNCTIONS}[data[0]](*children)
        if word == "reduce" and data[0] in ("max", "logsumexp"):
            return {"max": c.largest, "logsumexp": c.logsumexp}[data[0]](*children, over=[index(i) for i in data[1]])
        if word == "one_hot":
            return c.one_hot(*children, index(data[0]))
        if word == "rename":
            return c.rename(*children, {index(a): index(b) for a, b in data[0]})
        if word == "join":
            return c.join(children, [index(i) for i in data[1]], index(data[0]))
        if word == "slice":
            return c.slice_(*children, index(data[0]), data[1], index(data[2]))
        if word == "shift":
            return c.shift(children[0], index(data[0]), data[1], children[1])
        if word == "edge":
            return c.edge(*children, index(data[0]), data[1])
        if word == "scaled":
            return c.scaled(*children)
        raise unknown(ModelFileError, "node", word, WORDS)


def _index(index):
    return [index.name, index.extent, index.kind, index.letter]


def _read_index(data):
    return c.Index(*data)


# --------------------------------------------------------------------------------------------------- functions

def function_name(function, functions):
    """The name of a function; a user's is described under it."""
    if c.FUNCTIONS.get(function.name) is function:
        return function.name
    if function.name not in functions:
        own_function(function)
        functions[function.name] = _function(function, functions)        # behind those that it uses itself
    return function.name


def _function(function, functions):
    def template(node):
        writer = _Writer(lambda leaf: leaf.name, _index, functions)
        root = writer.write(node)
        return {"nodes": writer.nodes, "root": root}
    return {"operands": function.arity, "latex": function.latex, "value": template(function.value),
            "derivatives": None if function.derivatives is None else [template(d) for d in function.derivatives],
            "kinks": [[float(x), float(y)] for x, y in function.kinks.items()],
            "switch": None if function.switch is None else template(function.switch),
            "range": _interval(function.range)}


def _read_function(name, data, functions):
    _only(data, ("name", "operands", "latex", "value", "derivatives", "kinks", "switch", "range"),
          f"the function {name!r}")
    if not isinstance(name, str) or name in c.FUNCTIONS:
        raise ModelFileError(f"the file describes a function called {name!r}, which is built in")
    arity = data["operands"]
    if isinstance(arity, bool) or not isinstance(arity, int) or not 1 <= arity <= 16:
        raise ModelFileError(f"the function {name!r} takes {arity!r} operands")
    leaves = {f"x{k}": c.Variable(f"x{k}", role="placeholder") for k in range(arity)}

    def template(described, more=()):
        reader = _Reader(described["nodes"], {**leaves, **dict(more)}.__getitem__, _read_index, functions)
        return reader.read(described["root"])
    result = {"y": c.Variable("y", role="placeholder")}
    partials = data["derivatives"] and tuple(template(d, result) for d in data["derivatives"])
    return c.Function(name, arity, str(data["latex"]), template(data["value"]), partials and (lambda *_: partials),
                      {float(x): float(y) for x, y in data["kinks"]}, data["switch"] and template(data["switch"]),
                      _read_interval(data["range"]))


# ------------------------------------------------------------------------------------------------------ losses

def _loss(loss, functions):
    data = {"name": loss.name, "options": {key: _number(value) for key, value in loss.options}}
    if loss.name in LOSSES:
        return data
    writer = _Writer(lambda leaf: leaf.name, _index, functions)
    root = writer.write(loss.expression)
    return {**data, "nodes": writer.nodes, "root": root, "takes": _interval(loss.takes), "alone": loss.alone,
            "targets": list(loss.targets), "pairs": loss.pairs, "where": _interval(loss.where)}


def _number(value):
    return str(value) if isinstance(value, Fraction) else value


def _read_loss(data, functions):
    _only(data, ("name", "options", "nodes", "root", "takes", "alone", "targets", "pairs", "where"),
          "the loss")
    options = {key: Fraction(value) if isinstance(value, str) else value for key, value in data["options"].items()}
    if "nodes" not in data:
        if data["name"] not in LOSSES:
            raise unknown(ModelFileError, "loss", data["name"], LOSSES)
        return LOSSES[data["name"]](**options)
    if data["name"] in LOSSES:
        raise ModelFileError(f"the file describes a loss called {data['name']!r}, which is built in")
    leaves = {"a": PAIRED if data["pairs"] else A, "y": Y}
    expression = _Reader(data["nodes"], leaves.__getitem__, _read_index, functions).read(data["root"])
    if expression.indices:
        raise ModelFileError(f"the loss {data['name']!r} is no single number")
    return Loss(str(data["name"]), expression, tuple(options.items()), _read_interval(data["takes"]),
                bool(data["alone"]), tuple(data["targets"]), bool(data["pairs"]), _read_interval(data["where"]))


# ------------------------------------------------------------------------------------------------------ layers

def _layer(layer, label, number, named, x, reach, functions):
    """One layer as data; what is not built in is recorded."""
    common = {key: _listed(value) for key, value in options_of(layer).items() if key in COMMON}
    if isinstance(layer, Channels):
        windows = [_layer(window, label, number, named, x, reach, functions) for window in layer.layers]
        return {"kind": "channels", "layers": windows, **common}
    if isinstance(layer, Bidirectional):
        return {"kind": "bi", "layer": _layer(layer.layer, label, number, named, x, reach, functions), **common}
    if built_in(layer):
        return {"kind": layer.kind, **{key: _value(value, functions) for key, value in options_of(layer).items()}}
    scope = lambda training: Scope(Assembly(training=training), layer, label, number, named=named)              # noqa: E731
    if isinstance(layer, Recurrent):
        record = loads(layer.cell.record) if isinstance(layer.cell, RecordedCell) else _record(
            layer.cell, scope, x, functions, layer.units, kind=layer.cell.kind, range=_interval(layer.range(reach)))
        over_time = {key: value for key, value in options_of(layer).items() if key in OVER_TIME}
        return {"kind": "recurrent", "units": layer.units, "cell": record, **over_time, **common}
    record = loads(layer.record) if isinstance(layer, RecordedLayer) else _record(
        layer, scope, x, functions, kind=layer.kind, numbered=layer.numbered, steps=layer.steps,
        range=_interval(layer.range(reach)), activation=_value(getattr(layer, "activation", None), functions))
    return {"kind": "recorded", "record": record, **common}


def _value(value, functions):
    if isinstance(value, c.Function):
        return function_name(value, functions)
    return _listed(value)


def _read_layer(data, functions):
    data = dict(data)
    kind = data.pop("kind")
    data["initial"] = _tupled(data.get("initial"))
    if "activation" in data:
        data["activation"] = functions.get(data["activation"], data["activation"])
    if kind == "channels":
        _only(data, ("layers", *COMMON), "the layer 'channels'")
        return Channels(tuple(_read_layer(window, functions) for window in data.pop("layers")), **data)
    if kind == "bi":
        _only(data, ("layer", *COMMON), "the layer 'bi'")
        return Bidirectional(_read_layer(data.pop("layer"), functions), **data)
    if kind == "recurrent":
        _only(data, ("units", "cell", *OVER_TIME, *COMMON), "the layer 'recurrent'")
        record = data.pop("cell")
        return Recurrent(RecordedCell(dumps(record, sort_keys=True), _Functions(functions)), data.pop("units"), **data)
    if kind == "recorded":
        _only(data, ("record", *COMMON), "the layer 'recorded'")
        return RecordedLayer(dumps(data.pop("record"), sort_keys=True), _Functions(functions), **data)
    if kind not in BUILT_IN:
        raise unknown(ModelFileError, "layer", kind, BUILT_IN)
    _only(data, [f.name for f in fields(BUILT_IN[kind])], f"the layer {kind!r}")
    return BUILT_IN[kind](**data)


class _Functions(dict):
    """The functions that a record uses; records are equal by their text."""

    def __eq__(self, other):
        return isinstance(other, _Functions)

    def __hash__(self):
        return 0


# ------------------------------------------------------------------------- what a user's layer asked its scope for

def _record(one, scope, indices, functions, units=None, **about):
    """What a layer (or, with ``units``, a cell) writes, with training's version beside it where that differs."""
    record = {key: value for key, value in about.items() if value is not None}
    if units is not None:
        record["states"] = list(one.states)
    record["evaluation"], asked = _tape(one, scope(False), indices, functions, units)
    if asked:
        record["training"], _ = _tape(one, scope(True), indices, functions, units)
    return record


def _tape(one, scope, indices, functions, units):
    x = c.Variable("input", indices, "placeholder", integer=getattr(one, "reads_ids", False))
    inputs = [x]
    if units is None:
        made = [one.forward(scope, x)]
    else:
        own = scope.unit(units)
        axes = stored([i for i in indices if i.kind != "unit"] + [own])
        inputs += [c.Variable(f"state {symbol}", axes, "placeholder") for symbol in one.states]
        made = one.step(scope, *inputs)
        made = list(made) if isinstance(made, (tuple, list)) else [made]
    below = next((index for index in indices if index.kind == "unit"), None)
    calls = [entry for entry in scope.journal if entry[0] != "training"]
    own_indices = {entry[1]: ["own", entry[3], entry[2]] for entry in reversed(calls) if entry[0] == "unit"}
    results = {entry[1]: k for k, entry in reversed(list(enumerate(calls))) if entry[0] != "unit"}
    symbols = {scope.named(entry[2]): entry[2] for entry in calls if entry[0] == "define"}

    def index(given):
        base = given
        primes = len(list(takewhile("'".__eq__, reversed(given.name))))
        for known in (*own_indices, *([below] if below else ())):
            base = known
            for _ in range(primes):
                base = base.primed()
            if base == given:
                return ["primed" if primes else "plain", primes, own_indices.get(known, ["below"])]
        return ["index", *_index(given)]

    def leaf(node):
        if node in inputs:
            return ["input", inputs.index(node)]
        if isinstance(node, c.Ref) and node.name in symbols:                  # by symbol: it may be defined later
            return ["ref", symbols[node.name], [index(i) for i in node.indices]]
        if node in results:
            return ["call", results[node]]
        if node is scope.mask:
            return ["mask"]
        raise SpecError(f"the layer {one.kind!r} reads {node.name!r}, which is not its own", fix="use scope.parameter")
    writer, tape = _Writer(leaf, index, functions), []
    for kind, made_, *data in calls:
        if kind == "unit":
            tape.append(["unit", *data])
        elif kind == "parameter":
            tape.append(["parameter", data[0], [index(i) for i in made_.axes], data[1], _listed(data[2])])
        elif kind == "noise":
            tape.append(["noise", data[0], [index(i) for i in made_.axes], data[1]])
        else:
            tape.append(["define", data[0], writer.write(data[1]), data[2]])
    out = [writer.write(c.as_node(node)) for node in made]
    return {"calls": tape, "nodes": writer.nodes, "out": out}, any(entry[0] == "training" for entry in scope.journal)


def _play(record, functions, scope, inputs):
    """Ask the scope for what was recorded; returns the nodes that came out."""
    tape = record["training"] if scope.training and "training" in record else record["evaluation"]
    results = []

    def index(data):
        if data[0] == "index":
            return _read_index(data[1:])
        _, primes, (word, *own) = data
        base = scope.unit_of(inputs[0]) if word == "below" else units[own[0]]
        for _ in range(primes):
            base = base.primed()
        return base

    def leaf(data):
        if data[0] == "input":
            return inputs[data[1]]
        if data[0] == "call":
            return results[data[1]]
        if data[0] == "ref":
            return c.Ref(scope.named(data[1]), [index(i) for i in data[2]])
        if data[0] == "mask" and scope.mask is not None:
            return scope.mask
        raise unknown(ModelFileError, "leaf", data[0], ["input", "call", "ref"])
    reader, units = _Reader(tape["nodes"], leaf, index, functions), {None: scope.own}
    for word, *data in tape["calls"]:
        if word == "unit":
            units[data[1]] = scope.unit(*data)
            results.append(units[data[1]])
        elif word == "parameter":
            results.append(scope.parameter(data[0], [index(i) for i in data[1]], data[2], _tupled(data[3])))
        elif word == "noise":
            results.append(scope.noise(data[0], [index(i) for i in data[1]], float(data[2])))
        elif word == "define":
            results.append(scope.define(data[0], reader.read(data[1]), data[2]))
        else:
            raise unknown(ModelFileError, "call", word, ["unit", "parameter", "noise", "define"])
    return [reader.read(position) for position in tape["out"]]


@dataclass(frozen=True)
class RecordedLayer(Layer):
    """A user's layer as it was recorded: it asks the scope for the same things again."""

    record: str
    functions: object = None

    data = property(lambda self: loads(self.record))
    kind = property(lambda self: str(self.data["kind"]))
    numbered = property(lambda self: bool(self.data["numbered"]))
    steps = property(lambda self: self.data.get("steps"))

    @property
    def activation(self):
        """It chooses the default of the initial values."""
        word = self.data.get("activation")
        if word is None:
            raise AttributeError("activation")
        return self.functions.get(word, word)

    def forward(self, scope, x):
        return _play(self.data, self.functions, scope, [x])[0]

    def range(self, below):
        return _read_interval(self.data["range"])


@dataclass(frozen=True)
class RecordedCell(Cell):
    """A user's cell as it was recorded."""

    record: str
    functions: object = None

    data = property(lambda self: loads(self.record))
    kind = property(lambda self: str(self.data["kind"]))
    states = property(lambda self: tuple(map(str, self.data["states"])))
    range = property(lambda self: _read_interval(self.data["range"]))

    def step(self, scope, x, *before):
        return tuple(_play(self.data, self.functions, scope, [x, *before]))


# ---------------------------------------------------------------------------------------------------- pickles

def _pickled_function(function):
    functions = {}
    name = function_name(function, functions)
    return _revived, ("function", name, [{"name": key, **value} for key, value in functions.items()])


def _pickled_loss(loss):
    functions = {}
    data = _loss(loss, functions)
    return _revived, ("loss", data, [{"name": key, **value} for key, value in functions.items()])


def _revived(kind, data, described):
    """A function or loss of a user, from plain data: what a worker process of scikit-learn's searches gets."""
    functions = {}
    for one in described:
        functions[one["name"]] = _read_function(one["name"], {k: v for k, v in one.items() if k != "name"}, functions)
    if kind == "loss":
        return _read_loss(data, functions)
    return functions[data] if data in functions else c.FUNCTIONS[data]


copyreg.pickle(c.Function, _pickled_function)
copyreg.pickle(Loss, _pickled_loss)
