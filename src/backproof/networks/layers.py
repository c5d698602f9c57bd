"""Layers: objects that write their equations into a scope.

Reads   a node with indices (n, unit) or (t, n, unit), and a Scope.
Gives   the node that the next layer reads; every intermediate value is a named equation, every parameter a variable.

A user's layer is a subclass of Layer, or a function under ``@layer``; nothing else is needed: the gradient, the check,
the print and the file follow from its equations.
"""

from dataclasses import dataclass, field, fields, replace
from functools import partial
from inspect import Parameter as Argument
from inspect import signature
from math import isfinite
from typing import ClassVar

from ..calculus import (REAL, TIME, edge, join, largest, mean, one_hot, select, shift, slice_, sqrt,
                        square, total)
from ..errors import SpecError
from .activations import SIMPLEX, activate, activation, range_of
from .initial import policy
from .words import whole

__all__ = ["KINDS", "Activation", "Channels", "Dense", "Dropout", "Embedding", "Last", "Layer", "LayerNorm", "MaxPool", "MeanPool",
           "Window", "layer", "options_of"]

KINDS = {}                  # the layers that the one-line spec and model files know, by kind
LOWEST = -3.0e38            # below every float32 that a network gives


@dataclass(frozen=True)
class Layer:
    """What all layers share; a subclass adds its options as fields and ``forward(scope, x)``.

    Options  name     the layer's own name instead of a number
             initial  policy of its initial values, a name or a distribution; None: the network's
             l2, l1   its penalties; None: the network's
             frozen   training leaves its parameters as they are, and no penalty counts them

    A subclass may say: ``numbered`` False (no parameters, takes no number), ``steps`` "reads" (wants time steps) or
    "ends" (gives one value for all steps), ``reads_ids`` (the first layer of a network on whole numbers),
    ``positional`` (which options a number or an activation stands for in the spec).
    """

    name: str | None = field(default=None, kw_only=True)
    initial: object = field(default=None, kw_only=True)
    l2: float | None = field(default=None, kw_only=True)
    l1: float | None = field(default=None, kw_only=True)
    frozen: bool = field(default=False, kw_only=True)

    kind: ClassVar[str] = "layer"
    numbered: ClassVar[bool] = True
    steps: ClassVar[str | None] = None
    reads_ids: ClassVar[bool] = False
    positional: ClassVar[tuple] = ()

    def __init_subclass__(cls, word=None, **more):
        super().__init_subclass__(**more)
        cls.__repr__ = Layer.__repr__               # before the dataclass writes one with every default in it
        if word is not None:
            KINDS[word] = cls
        if "kind" not in cls.__dict__:
            cls.kind = word or cls.__name__.lower()

    def forward(self, scope, x):
        """Write the layer's equations; returns the node that the next layer reads."""
        raise SpecError(f"the layer {type(self).__name__} has no forward(scope, x)")

    def range(self, below):
        """Where the values lie that the layer gives, from where its inputs lie."""
        return REAL

    def __repr__(self):
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in options_of(self).items())})"

    def checked(self):
        """The layer with its options in canonical form. Raises SpecError or OptionError."""
        changes = {"initial": policy(self.initial)}
        named = isinstance(self.name, str) and self.name.isidentifier() and len(self.name) <= 64
        if self.name is not None and not named:
            raise SpecError(f"{str(self.name)[:80]!r} is no name for a layer", fix="letters, digits and _, at most 64")
        for option in ("l2", "l1"):
            changes[option] = strength(option, getattr(self, option))
        for option in ("frozen", "padding"):
            if not isinstance(getattr(self, option, False), bool):
                raise SpecError(f"{option} = {getattr(self, option)!r}", fix="True or False")
        if hasattr(self, "activation"):
            changes["activation"] = activation(self.activation)
        for option in ("units", "inputs", "size", "vocabulary", "embedding"):
            value = getattr(self, option, None)
            if value is not None:
                changes[option] = whole(value)
                if changes[option] is None:
                    raise SpecError(f"{option} = {value!r}", fix="give a whole number of at least 1")
        own = {f.name for f in fields(self)}
        return replace(self, **{name: value for name, value in changes.items() if name in own})


def strength(option, value):
    """A penalty's factor as a float of at least 0, or None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value) or value < 0:
        raise SpecError(f"{option} = {value!r}", fix="give a number of at least 0")
    return float(value)


def options_of(given):
    """The options of a layer that differ from their defaults, in order of declaration.

    >>> options_of(Dense(3, "tanh"))
    {'units': 3, 'activation': 'tanh'}
    """
    own = [f for f in fields(given) if f.name not in COMMON] + [f for f in fields(given) if f.name in COMMON]
    return {f.name: getattr(given, f.name) for f in own if getattr(given, f.name) != f.default}


COMMON = ("name", "initial", "l2", "l1", "frozen")


@dataclass(frozen=True)
class Dense(Layer, word="dense"):
    """a = f(z), z[n,j] = Σ_i x[n,i] W[i,j] + b[j]; on a sequence at every step.

    Options  units; activation: a word, an @elementwise function, "softmax" or "linear"; bias; inputs: the units below,
             which are known anyway and are checked where given.
    """

    units: int
    activation: object = "linear"
    bias: bool = True
    inputs: int | None = None

    positional: ClassVar[tuple] = ("units", "activation")

    def forward(self, scope, x):
        j = scope.unit(self.units)
        z = scope.project(x, "W")
        if self.bias:
            z = z + scope.bias("b")
        z = scope.define("z", z, role="pre_activation")
        return scope.define("a", activate(self.activation, z, j), role="activation")

    def range(self, below):
        return range_of(self.activation)


@dataclass(frozen=True)
class Activation(Layer, word="activation"):
    """a = f(x), a layer of its own."""

    activation: object

    numbered: ClassVar[bool] = False
    positional: ClassVar[tuple] = ("activation",)

    def forward(self, scope, x):
        return scope.define("activated", activate(self.activation, x, scope.unit_of(x)), role="activation")

    def range(self, below):
        return below if self.activation == "linear" else range_of(self.activation)


@dataclass(frozen=True)
class Dropout(Layer, word="dropout"):
    """Inverted dropout: in training every unit is 0 with probability ``rate``, else divided by 1 − rate.

    Options  rate in [0, 1); same_over_time: one draw for all steps of a sequence
    Source   Srivastava et al. (2014); Gal & Ghahramani (2016) for one draw over time.
    """

    rate: float
    same_over_time: bool = False

    numbered: ClassVar[bool] = False
    positional: ClassVar[tuple] = ("rate",)

    def checked(self):
        if isinstance(self.rate, bool) or not isinstance(self.rate, (int, float)) or not 0 <= self.rate < 1:
            raise SpecError(f"dropout rate {self.rate!r}", fix="give a rate of at least 0 and below 1")
        return replace(super().checked(), rate=float(self.rate))

    def forward(self, scope, x):
        if not scope.training or self.rate == 0:
            return x
        axes = [i for i in x.indices if not (self.same_over_time and i == TIME)]
        return scope.define("dropped", x * scope.noise("noise", axes, self.rate), role="activation")

    def range(self, below):
        return below if self.rate == 0 else REAL


@dataclass(frozen=True)
class LayerNorm(Layer, word="layer_norm"):
    """gamma · (x − mean)/√(variance + eps) + beta, with the statistics of one sample (and step) over its units.

    Source   Ba, Kiros & Hinton (2016).
    """

    eps: float = 1e-5

    def checked(self):
        if isinstance(self.eps, bool) or not isinstance(self.eps, (int, float)) or not 0 < self.eps < float("inf"):
            raise SpecError(f"layer_norm eps = {self.eps!r}", fix="give a small positive number")
        return replace(super().checked(), eps=float(self.eps))

    def forward(self, scope, x):
        j = scope.unit_of(x)
        gamma, beta = scope.parameter("gamma", (j,), "scale"), scope.bias("beta", j)
        centred = scope.define("centred", x - scope.define("mean", mean(x, over=j)))
        deviation = scope.define("deviation", sqrt(mean(square(centred), over=j) + self.eps))
        normalised = scope.define("normalised", centred / deviation)
        return scope.define("a", gamma * normalised + beta, role="activation")


@dataclass(frozen=True)
class Embedding(Layer, word="embedding"):
    """A vector for each step's id: e[t,n,j] = Σ_v [ids[t,n] = v] E[v,j]; the table's rows are parameters.

    Options  units: of a vector; vocabulary: ids lie below it; padding: as for Window
    """

    units: int
    vocabulary: int
    padding: bool = False

    reads_ids: ClassVar[bool] = True
    steps: ClassVar[str] = "reads"
    positional: ClassVar[tuple] = ("units",)

    def forward(self, scope, x):
        v, j = scope.unit(self.vocabulary, part="vocabulary", letter="v"), scope.unit(self.units)
        table = scope.parameter("E", (v, j), "table")
        return scope.define("e", total(one_hot(x, v) * table, over=v), role="activation")


@dataclass(frozen=True)
class Window(Layer, word="window"):
    """The vectors of a window's ids, laid one after another: ``size`` ids give size · embedding features.

    Options  padding  False: an id for what lies beyond the end of a sentence is a word like the others, and its vector learns.
                      True: the id −1 stands for no word: [−1 = v] is 0 for every v, so its vector is 0 and never learns
             frozen   the vectors given at the start stay
    """

    size: int
    vocabulary: int
    embedding: int
    padding: bool = False

    reads_ids: ClassVar[bool] = True
    positional: ClassVar[tuple] = ("size",)

    def forward(self, scope, x, start=0):
        """``start`` is the window's first column among the ids."""
        v, e = scope.unit(self.vocabulary, part="vocabulary", letter="v"), scope.unit(self.embedding, part="vector")
        table = scope.parameter("E", (v, e), "table")
        position, one = scope.unit_of(x), scope.unit(1, part="one")
        vectors = [total(one_hot(slice_(x, position, start + p, one), v) * table, over=(v, one)) for p in range(self.size)]
        along = [e] * self.size
        return scope.define("e", join(vectors, along, scope.unit(self.size * self.embedding)), role="activation")


@dataclass(frozen=True)
class Channels(Layer, word="channels"):
    """Several windows on one text (its words, their shapes, their endings), each with a table of its own, side by side.

    Options  layers  windows, in the order in which their ids stand in a row: (n, Σ sizes); those without a name are called
                     channel1, channel2, …. In the spec: "window 5 … + window 3 …"
    """

    layers: tuple

    reads_ids: ClassVar[bool] = True

    size = property(lambda self: sum(window.size for window in self.layers), doc="Ids of a row.")
    padding = property(lambda self: any(window.padding for window in self.layers), doc="Does a window know the id −1?")
    vocabulary = property(lambda self: tuple(window.vocabulary for window in self.layers for _ in range(window.size)),
                          doc="Of each id of a row.")

    def checked(self):
        if len(self.layers) < 2 or not all(isinstance(window, Window) for window in self.layers):
            raise SpecError("channels are two windows or more", fix="Channels((Window(5, …), Window(3, …)))")
        windows = tuple(replace(window, name=window.name or f"channel{k}").checked() for k, window in enumerate(self.layers, 1))
        names = [window.name for window in windows]
        if len(set(names)) < len(names):
            raise SpecError(f"two channels are called {max(names, key=names.count)!r}", fix="choose another name")
        if len({window.padding for window in windows}) > 1:
            raise SpecError("padding is said of some channels", fix="say it of all of them, or of none")
        changes = {"initial": policy(self.initial), **{option: strength(option, getattr(self, option)) for option in ("l2", "l1")}}
        return replace(self, layers=windows, **changes)

    def forward(self, scope, x):
        parts, start = [], 0
        for window in self.layers:
            own = {option: getattr(self, option) for option in ("initial", "l2", "l1")
                   if getattr(window, option) is None}
            window = replace(window, frozen=window.frozen or self.frozen, **own)
            parts.append(window.forward(scope.part(window), x, start))
            start += window.size
        along = [scope.unit_of(part) for part in parts]
        return scope.define("e", join(parts, along, scope.unit(sum(i.extent for i in along))), role="activation")


class _Pool(Layer):
    numbered: ClassVar[bool] = False
    steps: ClassVar[str] = "ends"

    def range(self, below):
        return below


@dataclass(frozen=True)
class Last(_Pool, word="last"):
    """The value at the last valid step; a reversed half's at the first, where it ends."""

    def forward(self, scope, x):
        j = scope.unit_of(x)
        halves = scope.assembly.directions.get(j)
        if halves is None:
            return scope.define("last", self.ends(scope, x, 1), role="activation")
        parts, start = [], 0
        x = scope.assembly.system.definition(x)
        for own, direction in halves:
            parts.append(self.ends(scope, slice_(x, j, start, own), direction))
            start += own.extent
        return scope.define("last", join(parts, [own for own, _ in halves], j), role="activation")

    @staticmethod
    def ends(scope, x, direction):
        held = scope.mask is None or getattr(x, "name", None) in scope.assembly.states
        if held:
            return edge(x, TIME, "last" if direction > 0 else "first")
        if direction > 0:                              # the step behind which the mask falls from 1 to 0
            return total((scope.mask - shift(scope.mask, TIME, -1, 0)) * x, over=TIME)
        return edge(x, TIME, "first")


@dataclass(frozen=True)
class MeanPool(_Pool, word="mean"):
    """The mean over the valid steps."""

    def forward(self, scope, x):
        if scope.mask is None:
            return scope.define("pooled", mean(x, over=TIME), role="activation")
        return scope.define("pooled", total(scope.mask * x, over=TIME) / scope.assembly.steps(), role="activation")


@dataclass(frozen=True)
class MaxPool(_Pool, word="max"):
    """The largest value over the valid steps."""

    def forward(self, scope, x):
        if scope.mask is not None:
            x = select(scope.mask, x, LOWEST)
        return scope.define("pooled", largest(x, over=TIME), role="activation")

    def range(self, below):
        return (0, 1) if below == SIMPLEX else below


# ---------------------------------------------------------------------------------------------------- users' layers

@dataclass(frozen=True)
class FunctionLayer(Layer):
    """A layer written as one function of (scope, x, options)."""

    function: object
    options: tuple = ()

    @property
    def kind(self):
        return self.function.__name__

    @property
    def numbered(self):
        return getattr(self.function, "numbered", True)

    def forward(self, scope, x):
        return self.function(scope, x, **dict(self.options))


def layer(function=None, *, numbered=True):
    """Make a layer of a function of (scope, x, options): calling it with options gives the layer.

    >>> @layer
    ... def gain(scope, x):
    ...     j = scope.unit_of(x)
    ...     return scope.define("a", x * scope.parameter("g", (j,), "scale"), role="activation")
    >>> gain().kind
    'gain'
    """
    if function is None:
        return partial(layer, numbered=numbered)
    known = [p for p in list(signature(function).parameters.values())[2:] if p.kind is not Argument.VAR_KEYWORD]
    function.numbered = numbered

    def make(*values, name=None, initial=None, l2=None, l1=None, frozen=False, **options):
        named = dict(zip((p.name for p in known), values))
        options = tuple(sorted({**named, **options}.items()))
        return FunctionLayer(function, options, name=name, initial=initial, l2=l2, l1=l1, frozen=frozen)
    make.__name__, make.__doc__, make.function = function.__name__, function.__doc__, function
    return make


def mean_over_steps(e, assembly, over_loss=False):
    """The mean over the valid steps of what each step gives; what has no steps stays. A loss may be counted step by step."""
    if TIME not in e.indices:
        return e
    if assembly.counts is not None and over_loss:
        return total(assembly.counts * e, over=TIME)
    if assembly.mask is None:
        return mean(e, over=TIME)
    return total(assembly.mask * e, over=TIME) / assembly.steps()
