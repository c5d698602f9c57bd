"""ONNX from a program: every instruction of the forward program becomes operators, a loop over time a Scan.

Reads   a Model: the lowered program of its prediction, and its parameters.
Gives   the bytes of an ONNX model with the weights inside: input x (n, i), (n, t, i), or ids; output prediction.
Raises  EngineError where the package onnx is missing, OptionError for what ONNX cannot say, with the instruction.

What is exported is what runs, so a user's own activation, layer or cell travels as the expression that it is.
"""

from fractions import Fraction

import numpy as np

from .calculus import Index
from .errors import EngineError, OptionError
from .lower import lower
from .lower.instructions import FIRST, LAST

__all__ = ["OPSET", "to_onnx"]

OPSET = 20
OPERATORS = {"copy": "Identity", "add": "Add", "sub": "Sub", "mul": "Mul", "neg": "Neg", "reciprocal": "Reciprocal", "exp": "Exp", "log": "Log",
             "sqrt": "Sqrt", "abs": "Abs", "sign": "Sign", "maximum": "Max", "minimum": "Min", "sigmoid": "Sigmoid", "tanh": "Tanh",
             "erf": "Erf"}


def to_onnx(model):
    """The bytes of an ONNX model that computes what ``model.predict`` does, for sequences of equal length.

    Sizes    n, and t of sequences, are free.
    """
    try:
        import onnx
        from onnx import helper, numpy_helper
    except ImportError:
        raise EngineError("writing ONNX needs the package onnx", fix="pip install 'backproof[onnx]'") from None
    network = model.network
    if network.pairs:
        raise OptionError(f"a network for {network.loss.name} reads pairs, and its scores are compared afterwards: ONNX has no such input",
                          fix="describe the scorer alone, with another loss")
    graph = _Graph(onnx, model, lower(network.system(), ["prediction"]))
    [given] = [value for value in graph.values.values() if value.storage == "input"]
    graph.give(given)
    for instruction in graph.program.instructions:
        getattr(graph, instruction.op)(instruction)
    out, = graph.program.outputs.values()
    labels = sorted(out.labels, key=lambda i: {"sample": 0, "time": 1}.get(i.kind, 2))
    graph.node("Identity", graph.look(out, labels), out="prediction")
    kinds = [onnx.TensorProto.INT64 if given.integer else graph.kind, graph.kind]
    infos = [helper.make_tensor_value_info(name, kind, [graph.size(i) for i in axes]) for name, kind, axes in
             zip((given.name, "prediction"), kinds, (_sample_first(given.axes), labels), strict=True)]
    made = helper.make_model(
        helper.make_graph(graph.nodes, "backproof", infos[:1], infos[1:],
                          [numpy_helper.from_array(np.array(array, order="C"), key) for key, array in graph.weights.items()]),
        opset_imports=[helper.make_opsetid("", OPSET)], producer_name="backproof", ir_version=9)
    onnx.checker.check_model(made, full_check=True)
    return made.SerializeToString()


def _sample_first(axes):
    return sorted(axes, key=lambda i: {"sample": 0, "time": 1}.get(i.kind, 2))


class _Graph:
    """The graph while it grows. names {value: its tensor, in storage order}; step: the time index of the loop that is open."""

    def __init__(self, onnx, model, program):
        self.helper, self.model, self.program, self.values = onnx.helper, model, program, program.values
        self.kind = onnx.TensorProto.FLOAT if model.dtype == np.float32 else onnx.TensorProto.DOUBLE
        self.bool = onnx.TensorProto.BOOL
        self.nodes, self.weights, self.names, self.symbols, self.count, self.step, self.inside = [], {}, {}, {}, 0, None, None
        for value in self.values.values():
            if value.storage == "parameter":
                self.weights[value.name] = np.asarray(model.parameters[value.name])
                self.names[value.name] = value.name

    # ------------------------------------------------------------------------------------------ operators and constants

    def node(self, operator, *inputs, out=None, **attributes):
        if out is None:
            self.count += 1
            out = f"v{self.count}"
        self.nodes.append(self.helper.make_node(operator, inputs, [out], **attributes))
        return out

    def constant(self, value, dtype=None):
        array = np.array(value, dtype or self.model.dtype)
        key = f"c{array.dtype.str[1:]}:{array.tolist()}"
        self.weights[key] = array
        return key

    def whole(self, *numbers):
        return self.constant(list(numbers), np.int64)

    def size(self, index):
        """An extent as ONNX writes it in a shape: a number or a name."""
        return index.extent if isinstance(index.extent, int) else {"sample": "n", "time": "t"}.get(index.kind, index.extent)

    def shape(self, axes):
        """The lengths of axes as a tensor."""
        parts = [self.whole(i.extent) if isinstance(i.extent, int) else self.symbols[i.extent] for i in axes]
        return self.node("Concat", *parts, axis=0) if parts else self.constant(np.empty(0, np.int64), np.int64)

    def give(self, value):
        """The network's input: sample-first outside, in storage order inside; it tells the extents N and T."""
        axes = _sample_first(value.axes)
        whole = self.node("Shape", value.name)
        for k, index in enumerate(axes):
            if isinstance(index.extent, str):
                self.symbols[index.extent] = self.node("Slice", whole, self.whole(k), self.whole(k + 1))
        self.names[value.name] = value.name if list(axes) == list(value.axes) else \
            self.node("Transpose", value.name, perm=[axes.index(i) for i in value.axes])
        for extent in (v for v in self.values.values() if v.storage == "extent"):
            symbol, power = extent.name.split("^")
            length = self.node("Cast", self.node("Squeeze", self.symbols[symbol], self.whole(0)), to=self.kind)
            self.names[extent.name] = self.node("Pow", length, self.constant(int(power)))

    # ------------------------------------------------------------------------------------------ operands

    def look(self, operand, wanted):
        """An operand with one axis for each wanted label, of length 1 where it broadcasts."""
        value, axes = self.values[operand.value], list(zip(operand.axes, self.values[operand.value].axes, strict=True))
        now = next((k for k, ((label, _), _) in enumerate(axes) if label == self.step and self.step is not None), None)
        if now is None:
            if operand.value not in self.names:
                raise self.refused(f"{operand} is read before it is complete")
            name = self.names[operand.value]
        else:
            (_, offset), _ = axes.pop(now)
            name = self.inside(operand.value, now, offset)
        labels = []
        for (label, offset), axis in axes:
            at = len(labels)
            if label in (FIRST, LAST) and not offset:
                name = self.node("Gather", name, self.constant(0 if label == FIRST else -1, np.int64), axis=at)
                continue
            if not isinstance(label, Index) or offset and (value.pad or not isinstance(label.extent, int)):
                raise self.refused(f"{operand} is shifted in time")
            if offset or label.extent != axis.extent:
                name = self.node("Slice", name, self.whole(offset), self.whole(offset + label.extent), self.whole(at))
            labels.append(label)
        return self.aligned(name, labels, wanted)

    def aligned(self, name, labels, wanted):
        """A tensor with these labels as one that has an axis for each wanted one."""
        present = [label for label in wanted if label in labels]
        if present != labels:
            name = self.node("Transpose", name, perm=[labels.index(label) for label in present])
        lacking = [k for k, label in enumerate(wanted) if label not in labels]
        return self.node("Unsqueeze", name, self.whole(*lacking)) if lacking else name

    def refused(self, why):
        return OptionError(f"ONNX cannot say this network: {why}", where=self.model.network.spec, fix="export a network without it")

    def axes(self, instruction):
        return [i for i in self.values[instruction.out].axes if i != self.step]

    # ------------------------------------------------------------------------------------------ words

    def words(self, instruction, labels, acc=None):
        """The tensor of a word list over these labels."""
        operands, done = [self.look(operand, labels) for operand in instruction.operands], []

        def argument(a):
            if isinstance(a, (Fraction, int, float)):
                return self.constant(float(a))
            return acc if a[0] == "acc" else operands[a[1]] if a[0] == "r" else done[a[1]]
        for word in instruction.words:
            done.append(self.word(word.name, *map(argument, word.arguments)))
        return done[-1]

    def word(self, name, *inputs):
        if name in OPERATORS:
            return self.node(OPERATORS[name], *inputs)
        return getattr(self, f"_{name}")(*inputs)

    def _flag(self, condition):
        return self.node("Cast", condition, to=self.kind)

    def _step(self, a):
        return self._flag(self.node("Greater", a, self.constant(0)))

    def _greater(self, a, b):
        return self._flag(self.node("Greater", a, b))

    def _equal(self, a, b):
        return self._flag(self.node("Equal", a, b))

    def _select(self, condition, a, b):
        return self.node("Where", self.node("Cast", condition, to=self.bool), a, b)

    def _expm1(self, a):
        """e^a − 1 = 2 tanh(a/2) / (1 − tanh(a/2)) where it is small, without cancellation."""
        half = self.node("Tanh", self.node("Mul", a, self.constant(0.5)))
        small = self.node("Div", self.node("Mul", half, self.constant(2)), self.node("Sub", self.constant(1), half))
        large = self.node("Sub", self.node("Exp", a), self.constant(1))
        return self.node("Where", self.node("Less", self.node("Abs", a), self.constant(1)), small, large)

    def _softplus(self, a):
        """ln(1 + e^a) = max(a, 0) + ln(1 + e), e = e^−|a|; ln(1 + e) = e − e²/2 where 1 + e would lose e."""
        e = self.node("Exp", self.node("Neg", self.node("Abs", a)))
        small = self.node("Mul", e, self.node("Sub", self.constant(1), self.node("Mul", self.constant(0.5), e)))
        tail = self.node("Where", self.node("Less", e, self.constant(1e-4)), small, self.node("Log", self.node("Add", self.constant(1), e)))
        return self.node("Add", self.node("Max", a, self.constant(0)), tail)

    # ------------------------------------------------------------------------------------------ instructions

    def store(self, instruction, name, labels=None):
        """Name the result, at its full size, by the equation it belongs to."""
        axes = self.axes(instruction)
        there = set().union(*(o.labels for o in (*instruction.operands, *instruction.product))) if labels is None else set(labels)
        if set(axes) - there:
            name = self.node("Expand", name, self.shape(axes))
        self.names[instruction.out] = self.node("Identity", name, out=instruction.out + (".now" if self.step is not None else ""))

    def map(self, instruction):
        self.store(instruction, self.words(instruction, self.axes(instruction)))

    def dense(self, instruction):
        axes, (a, b) = self.axes(instruction), instruction.product
        sides = [[i for i in side.labels if i != self.step] for side in (a, b)]
        summed = [i for i in sides[0] if i in sides[1] and i not in axes]
        kept = [i for i in axes if i in sides[0] or i in sides[1]]
        if len(sides[0]) == 2 and len(summed) == 1 and sides[0][1] == kept[-1] and sides[0][1] not in sides[1]:
            acc = self.node("MatMul", self.look(b, [*kept[:-1], *summed]), self.look(a, [*summed, kept[-1]]))
        else:
            letters = {index: chr(97 + k) for k, index in enumerate(dict.fromkeys([*sides[0], *sides[1]]))}
            equation = ",".join("".join(letters[i] for i in side) for side in sides) + "->" + "".join(letters[i] for i in kept)
            acc = self.node("Einsum", self.look(a, sides[0]), self.look(b, sides[1]), equation=equation)
        lacking = [k for k, index in enumerate(axes) if index not in kept]
        acc = self.node("Unsqueeze", acc, self.whole(*lacking)) if lacking else acc
        self.store(instruction, self.words(instruction, axes, acc))

    def reduce(self, instruction):
        kept = self.axes(instruction)
        labels = set().union(*(o.labels for o in instruction.operands)) - {self.step}
        over = sorted(labels - set(kept), key=Index.sort_key)
        x, along = self.words(instruction, [*kept, *over]), self.whole(*range(len(kept), len(kept) + len(over)))
        if instruction.how == "logsumexp":
            top = self.node("ReduceMax", x, along, keepdims=1)
            total = self.node("ReduceSum", self.node("Exp", self.node("Sub", x, top)), along, keepdims=0)
            found = self.node("Add", self.node("Log", total), self.node("Squeeze", top, along))
        else:
            found = self.node({"sum": "ReduceSum", "max": "ReduceMax"}[instruction.how], x, along, keepdims=0)
        self.store(instruction, found, labels)

    def gather(self, instruction):
        source, ids = instruction.operands
        rest, own = [[i for i in operand.labels if i not in (instruction.index, self.step)] for operand in (source, ids)]
        if set(rest) & set(own):
            raise self.refused(f"{instruction} chooses within each sample")
        found = self.node("Gather", self.look(source, [instruction.index, *rest]), self.look(ids, own), axis=0)
        self.store(instruction, self.aligned(found, [*own, *rest], self.axes(instruction)), [*own, *rest])

    def join(self, instruction):
        axes, parts = self.axes(instruction), []
        for operand, own in zip(instruction.operands, instruction.how.split(","), strict=True):
            labels = [next(i for i in operand.labels if i.name == own) if axis == instruction.index else axis for axis in axes]
            part = self.look(operand, labels)
            parts.append(part if set(labels) <= set(operand.labels) else self.node("Expand", part, self.shape(labels)))
        self.store(instruction, self.node("Concat", *parts, axis=axes.index(instruction.index)), axes)

    def onehot(self, instruction):
        raise self.refused(f"{instruction} writes classes as zeros and ones")

    def scatter(self, instruction):
        raise self.refused(f"{instruction} belongs to a gradient")

    def fill(self, instruction):
        """The state before the first step (behind the last): what a Scan starts from."""
        axes = [i for i in self.values[instruction.out].axes if i.kind != "time"]
        self.names[instruction.out, "edge"] = self.node("Expand", self.words(instruction, axes), self.shape(axes))

    def loop(self, instruction):
        """A Scan: states are carried, sequences come in and go out step by step; parameters are seen from inside."""
        t, descending = instruction.index, instruction.how == "descending"
        made = [inner.out for inner in instruction.body]
        carried = [name for name in made if (name, "edge") in self.names]
        outer, names, given = (self.nodes, self.step, self.inside), dict(self.names), {}

        def now(value, axis, offset):
            """The tensor of this step, without its axis of time."""
            if offset == (1 if descending else -1) and value in carried:
                return f"{value}.before"
            if offset or value not in made and value not in names:
                raise self.refused(f"{value} is read {offset:+d} steps away")
            if value in made:
                return self.names[value]
            given[value] = axis
            return f"{value}.at"
        self.nodes, self.step, self.inside = [], t, now
        for inner in instruction.body:
            getattr(self, inner.op)(inner)
        body, (self.nodes, self.step, self.inside) = self.nodes, outer
        ends = [self.helper.make_node("Identity", [self.names[name]], [f"{name}.{word}"]) for word, group in
                (("after", carried), ("out", made)) for name in group]

        def info(name):
            return self.helper.make_tensor_value_info(name, self.kind, None)
        graph = self.helper.make_graph(
            [*body, *ends], f"step of {', '.join(carried) or made[-1]}", [*(info(f"{n}.before") for n in carried), *(info(f"{n}.at") for n in given)],
            [*(info(f"{n}.after") for n in carried), *(info(f"{n}.out") for n in made)])
        places = {name: [i.kind for i in self.values[name].axes].index("time") for name in made}
        turned = [self._turned(names[name], axis) if descending else names[name] for name, axis in given.items()]
        outs = {name: f"{name}.turned" if descending else name for name in made}
        self.nodes.append(self.helper.make_node(
            "Scan", [*(self.names[n, "edge"] for n in carried), *turned], [*(f"{n}.last" for n in carried), *outs.values()], body=graph,
            num_scan_inputs=len(given), scan_input_axes=list(given.values()), scan_output_axes=[places[n] for n in made]))
        self.names = {**names, **{name: self._turned(out, places[name]) if descending else out for name, out in outs.items()}}

    def _turned(self, name, axis):
        """The steps in their reverse order (many runtimes read a Scan forwards only)."""
        return self.node("Slice", name, self.whole(-1), self.whole(np.iinfo(np.int64).min), self.whole(axis), self.whole(-1))
