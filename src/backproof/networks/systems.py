"""From layers and a loss to one system of named equations.

Reads   the layers in canonical form, the loss, the penalties, and how the system is wanted.
Gives   the layers' equations, then E (one sample), penalty, L (their weighted mean) and J, the objective.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

from ..calculus import ONE, SAMPLE, TIME, Index, Variable, abs, add, as_node, identity, mean, number, one_hot, square, total
from ..derive import stable
from ..errors import OptionError, ShapeError, SpecError
from .activations import SIMPLEX
from .described import built_in
from .layers import Layer, mean_over_steps
from .losses import PAIR
from .scope import Assembly, Scope, stored

__all__ = ["Described", "RESERVED", "checked_layers", "describe", "penalties", "seeds"]

RESERVED = ("E", "J", "L", "adj", "adj2", "begins", "counts", "grad", "hess", "idle", "ids", "mask", "penalty", "penalty_scale",
            "prediction",
            "steps", "v", "w", "x", "xi", "y")


DECAYING = ("weight", "recurrent", "table")        # kinds of parameters; biases where they are asked to
PENALTY_SCALE = Variable("penalty_scale", (), "scalar")


@dataclass
class Described:
    """A network's system with what its layers asked for."""

    system: object
    parameters: tuple
    noises: tuple
    states: tuple
    outputs: Index
    shapes: tuple              # per layer: (label, the indices of what it gives)
    input: object              # the variable x or ids


def checked_layers(layers):
    """The layers in canonical form, each with its label, number and whether it is named. Errors name the layer."""
    if not layers:
        raise SpecError("the network has no layers", fix='for example "4 | 8 tanh | 3 softmax"')
    found, numbers, count = [], {}, 0
    for position, layer in enumerate(layers, 1):
        if not isinstance(layer, Layer):
            raise SpecError(f"layer {position} is {layer!r:.80}", fix="give layers, for example Dense(8, \"tanh\")")
        try:
            layer = layer.checked()
        except (SpecError, OptionError) as error:
            raise type(error)(error.what, where=f"layer {position}, {layer.kind}", fix=error.fix) from None
        if layer.numbered:
            count += 1
            number_, label = count, f"layer{count}"
        else:
            number_ = numbers[layer.kind] = numbers.get(layer.kind, 0) + 1
            label = f"{layer.kind}{number_}"
        if layer.name in RESERVED:
            raise SpecError(f"layer {position} cannot be called {layer.name!r}", fix="choose another name")
        label = layer.name or label
        if any(label == other for _, other, _, _ in found):
            raise SpecError(f"two layers are called {label!r}", fix="choose another name")
        found.append((layer, label, number_, layer.name is not None))
    return found


def describe(layers, inputs, loss, *, initial=None, l2=0.0, l1=0.0, decay_biases=False, weighted=False, scaled_penalty=False,
             unit=1.0, **how):
    """The system of a network; ``layers`` as ``checked_layers`` gives them, ``unit`` that of the penalties.

    What comes before the penalties is written once for all networks of built-in layers that are alike; each has a copy.
    """
    write = _written if all(built_in(layer) for layer, *_ in layers) else _written.__wrapped__
    written = write(tuple(layers), inputs, loss, initial, tuple(sorted(how.items())))
    system = written.system.copy()
    parameters = tuple(_penalised(parameter, l2, l1, decay_biases, unit) for parameter in written.parameters)
    _objective(system, parameters, weighted, scaled_penalty)
    return replace(written, system=system, parameters=parameters)


@lru_cache(maxsize=128)
def _written(layers, inputs, loss, initial, how):
    return _write(layers, inputs, loss, initial, **dict(how))


def _write(layers, inputs, loss, initial, *, training=False, masked=False, target=None, given_state=False, truncated=False,
           counted=False):
    """The equations of the layers and of E; parameters have the strengths that their layers say, or None."""
    first = layers[0][0]
    sequence = any(layer.steps for layer, *_ in layers)
    if masked and not sequence:
        raise OptionError("a mask hides steps, and this network reads no sequences", fix="leave masked=True out")
    if (given_state or truncated) and not any(layer.steps == "reads" and not layer.reads_ids for layer, *_ in layers):
        raise OptionError("this network has no recurrent state to carry", fix="leave given_state and truncated out")
    free = ([TIME] if sequence else []) + [SAMPLE] + ([PAIR] if loss.pairs else [])
    assembly = Assembly(training=training, given_state=given_state, initial=initial,
                        mask=Variable("mask", (TIME, SAMPLE), "mask") if masked else None,
                        links=Variable("xi", (TIME,), "scalar") if truncated else None,
                        counts=Variable("counts", (TIME, SAMPLE), "weight") if counted else None)
    x = _input(first, free, inputs, sequence)
    node, reach, shapes = x, (float("-inf"), float("inf")), []
    last_own = max((k for k, (layer, *_) in enumerate(layers) if layer.numbered), default=-1)
    for position, (layer, label, number_, named) in enumerate(layers):
        _placed(layer, label, position, node, shapes)
        scope = Scope(assembly, layer, label, number_, named=named, letter="k" if position == last_own else "j")
        node = as_node(layer.forward(scope, node))
        reach = layer.range(reach)
        shapes.append((label, stored(node.indices)))
    if getattr(node, "name", None) not in assembly.system.equations:
        node = assembly.system.define("output", identity(node) if isinstance(node, Variable) else node,
                                      axes=stored(node.indices), role="activation")
    outputs = Scope(assembly, layers[-1][0], "the loss", 0).unit_of(node)
    loss.check(reach, _ending(layers))
    if counted and TIME not in node.indices:
        raise OptionError("counts weigh the losses of the steps, and this network has one output for all steps",
                          fix="leave counted=True out")
    system = assembly.system
    system.aliases["prediction"] = node.name
    _loss(system, assembly, loss, node, outputs, target)
    for name in [q.name for q in system if q.role == "joined" and q.name not in system.needed_for(["prediction", "E"])]:
        del system.equations[name]                             # two halves that only their ends were taken of
    return Described(system.check(), tuple(assembly.parameters.values()), tuple(assembly.noises),
                     tuple(assembly.states), outputs, tuple(shapes), x)


def _penalised(parameter, l2, l1, decay_biases, unit):
    """The parameter with the strengths of its penalties: its layer's, or else the network's, where its kind decays."""
    decays = not parameter.frozen and (parameter.kind in DECAYING or parameter.kind == "bias" and decay_biases)
    l2, l1 = (network if own is None else own for own, network in ((parameter.l2, l2), (parameter.l1, l1)))
    return replace(parameter, l2=l2 * decays / unit, l1=l1 * decays / unit)


def _input(first, free, inputs, sequence):
    if first.reads_ids:
        position = [] if first.steps else [Index("position", first.size, "unit", "p")]
        facts = ("holes",) if getattr(first, "padding", False) else ()
        return Variable("ids", (*free, *position), "input", integer=True, facts=facts)
    return Variable("x", (*free, Index("input", inputs, "unit", "i")), "input")


def _placed(layer, label, position, x, shapes):
    """Does the layer suit what stands before it?"""
    if layer.reads_ids and position:
        raise SpecError(f"{layer.kind!r} reads whole numbers, so it can only be the first layer", where=label)
    if layer.steps and TIME not in x.indices:
        pooled = shapes[-1][0] if shapes else "the input"
        raise SpecError(f"{label!r} ({layer.kind}) wants steps in time, and {pooled!r} gives one value for all steps",
                        where=f"layer {position + 1}, {layer.kind}", fix="leave out one of the two")
    wanted = getattr(layer, "inputs", None)
    given = [index.extent for index in x.indices if index.kind == "unit"]
    if wanted is not None and given != [wanted]:
        below = f"{shapes[-1][0]!r}" if shapes else "the input"
        raise ShapeError(f"{below} gives {_shape(x.indices)}: {given[0]} units, and the weights of {label!r} are "
                         f"{wanted} × {layer.units}", where=f"layer {position + 1}, {layer.kind}",
                         fix=f"give {label!r} {given[0]} inputs, or {below} {wanted} units")


def _shape(indices):
    return "(" + ", ".join(f"{i.letter}" if isinstance(i.extent, str) else str(i.extent) for i in stored(indices)) + ")"


def _ending(layers):
    for layer, label, *_ in reversed(layers):
        word = getattr(layer, "activation", None)
        if word is not None:
            return word if isinstance(word, str) else word.name
        if layer.numbered or layer.kind == "dropout":
            return label if layer.name else layer.kind
    return "the input"


def _loss(system, assembly, loss, a, outputs, target):
    """Define E, per sample: the mean over the valid steps where there is an output per step."""
    if loss.pairs:
        if target is not None:
            raise OptionError(f"{loss.name} compares the two members of a pair and takes no target",
                              fix="leave target out")
        if outputs.extent != 1:
            raise SpecError(f"{loss.name} takes one score, and the network gives {outputs.extent}",
                            fix="end it with one unit")
        y = None
    else:
        target = loss.targets[0] if target is None else target
        if target not in loss.targets:
            raise OptionError(f"{loss.name} takes no target of the form {target!r}",
                              fix=f"one of {', '.join(loss.targets)}")
        rest = [index for index in stored(a.indices) if index != outputs]
        if target == "class":
            y = one_hot(Variable("y", rest, "target", integer=True), outputs)
        else:
            y = Variable("y", (*rest, outputs), "target", facts=("sums to one",) if loss.where == SIMPLEX else ())
    written = loss.at(a, y, outputs)
    runs, _ = stable(written, system)
    system.define("E", mean_over_steps(runs, assembly, over_loss=True), role="sample_loss",
                  written=None if runs is written else mean_over_steps(written, assembly, over_loss=True))


def _objective(system, parameters, weighted, scaled_penalty=False):
    """Define the penalty (where there is one), L and J = L + penalty, or L + scale · penalty."""
    terms = [term for parameter in parameters for term in penalties(parameter)]
    sample = system.ref("E")
    if weighted:
        sample = Variable("w", (SAMPLE,), "weight") * sample
    if terms:
        system.define("penalty", add(terms), role="penalty")
    loss = system.define("L", mean(sample, over=SAMPLE), role="loss")
    penalty = system.ref("penalty") if terms else None
    if terms and scaled_penalty:
        penalty = PENALTY_SCALE * penalty
    system.define("J", loss + penalty if terms else loss, role="objective")


def penalties(parameter, value=None, share=ONE):
    """The terms λ/2 Σ θ² and μ Σ |θ| of a parameter; of rows at places where each counts by its share."""
    value = Variable(parameter.name, parameter.axes, "parameter") if value is None else value
    if parameter.l2:
        yield number(parameter.l2) * 0.5 * total(square(value) * share, over=value.indices)
    if parameter.l1:
        yield number(parameter.l1) * total(abs(value) * share, over=value.indices)


def seeds(system, weighted=False, scaled_penalty=False):
    """Where the sweep of an objective begins: w_n (or 1) at the loss of one sample, 1 (or its scale) at the penalty."""
    found = {"E": Variable("w", (SAMPLE,), "weight") if weighted else 1}
    return {**found, "penalty": PENALTY_SCALE if scaled_penalty else 1} if "penalty" in system else found
