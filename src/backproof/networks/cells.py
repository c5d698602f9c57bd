"""Cells: one step of a recurrence as an expression, and the layers that repeat it over time.

Reads   x[t,n,i] and the states one step back.
Gives   the states at every step. The loop is not written anywhere: a state refers to itself one step back, and the
        derivation turns that into a recurrence of the opposite direction.
"""

from dataclasses import dataclass, field, replace
from inspect import Parameter as Argument
from inspect import signature
from typing import ClassVar

from ..calculus import REAL, Index, Ref, Variable, join, sigmoid, tanh
from ..errors import SpecError
from .activations import activate, range_of
from .layers import Layer

__all__ = ["GRU", "LSTM", "RNN", "Bidirectional", "Cell", "Recurrent", "cell"]


class Cell:
    """One step: ``states`` names what is carried, the first of them is the output.

    A subclass writes ``step(scope, x, *before)`` and returns the new states in order; ``scope.own`` is the layer's
    index.
    """

    states = ("h",)
    kind = "cell"

    def step(self, scope, x, *before):
        raise SpecError(f"the cell {type(self).__name__} has no step(scope, x, *states)")


def repeat(scope, one, x, given):
    """Write a cell's step with its states one step back, as the layer ``given`` has it; returns (the output, its index)."""
    own = scope.unit(given.units)
    axes = [i for i in x.indices if i.kind != "unit"] + [own]
    before = [scope.state_before(symbol, axes, given.learned_state) for symbol in one.states]
    heard = before
    if given.recurrent_dropout and scope.training:             # what the cell hears of its output; one draw for all steps
        noise = scope.noise(f"{one.states[0]}_noise", [i for i in axes if i.kind != "time"], given.recurrent_dropout)
        heard = [before[0] * noise, *before[1:]]
    new = one.step(scope, x, *heard)
    new = new if isinstance(new, (tuple, list)) else (new,)
    if len(new) != len(one.states):
        raise SpecError(f"the cell {one.kind} gives {len(new)} states, not {', '.join(one.states)}", where=scope.label)
    refs = []
    for symbol, value, previous in reversed(list(zip(one.states, new, before))):
        name = scope.named(symbol)
        if not (isinstance(value, (Ref, Variable)) and value.name == name):      # the step may have named it itself
            value = scope.state(symbol, scope.assembly.system.fold(value), previous)
        refs.append(value)
    return refs[-1], own


@dataclass(frozen=True)
class _OverTime(Layer):
    """What every recurrent layer can do.

    Options  learned_state      the state before the first step is a parameter (start_h), not zero
             recurrent_dropout  in training the output that the next step hears is dropped with this probability, the same
                                units at all steps of a sequence (Gal & Ghahramani 2016)
    """

    learned_state: bool = field(default=False, kw_only=True)
    recurrent_dropout: float = field(default=0.0, kw_only=True)

    steps: ClassVar[str] = "reads"

    def checked(self):
        rate = self.recurrent_dropout
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 <= rate < 1:
            raise SpecError(f"recurrent_dropout {rate!r}", fix="give a rate of at least 0 and below 1")
        return replace(super().checked(), recurrent_dropout=float(rate))


class _Repeated(_OverTime):
    """A layer whose step is the layer itself, seen as a cell."""

    states: ClassVar[tuple] = ("h",)

    def forward(self, scope, x):
        return repeat(scope, self, x, self)[0]

    def gates(self, scope, x, h, letters, initial=None):
        """The pre-activation of each gate, x W + h U + b; all W first, so that they are neighbours in the arena."""
        below, own = scope.unit_of(x), scope.own
        weights = [scope.parameter(f"W_{g}", (below, own), "weight") for g in letters]
        recurrent = [scope.parameter(f"U_{g}", (own.primed(), own), "recurrent") for g in letters]
        biases = [scope.bias(f"b_{g}", initial=(initial or {}).get(g)) if self.bias else 0 for g in letters]
        return [(scope.project(x, None, weight=w), scope.project(h, None, weight=u), b)
                for w, u, b in zip(weights, recurrent, biases)]


@dataclass(frozen=True)
class RNN(_Repeated, word="rnn"):
    """h_t = f(x_t W + h_{t−1} U + b)."""

    units: int
    activation: object = "tanh"
    bias: bool = True

    positional: ClassVar[tuple] = ("units", "activation")

    def step(self, scope, x, h):
        z = scope.project(x, "W") + scope.project(h, "U")
        if self.bias:
            z = z + scope.bias("b")
        return activate(self.activation, scope.define("z", z, role="pre_activation"), scope.own)

    def range(self, below):
        return range_of(self.activation)


@dataclass(frozen=True)
class GRU(_Repeated, word="gru"):
    """r = σ(xW_r + hU_r + b_r), u likewise, n = tanh(xW_n + b_n + r·(hU_n + c_n)), h' = (1 − u)·n + u·h.

    The letter u is the update gate, which PyTorch calls z: here z is a pre-activation.
    Source   Cho et al. (2014), in the form of PyTorch.
    """

    units: int
    bias: bool = True

    positional: ClassVar[tuple] = ("units",)

    def step(self, scope, x, h):
        (xr, hr, br), (xu, hu, bu), (xn, hn, bn) = self.gates(scope, x, h, "run")
        r = scope.define("r", sigmoid(scope.define("z_r", xr + hr + br, role="pre_activation")), role="activation")
        u = scope.define("u", sigmoid(scope.define("z_u", xu + hu + bu, role="pre_activation")), role="activation")
        s = scope.define("s_n", hn + scope.bias("c_n") if self.bias else hn)
        n = scope.define("n", tanh(scope.define("z_n", xn + bn + r * s, role="pre_activation")), role="activation")
        return (1 - u) * n + u * h

    def range(self, below):
        return (-1, 1)


@dataclass(frozen=True)
class LSTM(_Repeated, word="lstm"):
    """i, f, o = σ(xW + hU + b), g = tanh(xW_g + hU_g + b_g), c' = f·c + i·g, h' = o·tanh(c'); f's bias starts at 1.

    Source   Hochreiter & Schmidhuber (1997); Gers et al. (2000) for f; Jozefowicz et al. (2015) for its bias.
    """

    units: int
    bias: bool = True

    positional: ClassVar[tuple] = ("units",)
    states: ClassVar[tuple] = ("h", "c")

    def step(self, scope, x, h, c):
        parts = self.gates(scope, x, h, "ifgo", {"f": ("constant", 1.0)})
        i, f, g, o = (scope.define(letter, (tanh if letter == "g" else sigmoid)(
            scope.define(f"z_{letter}", sum(part[1:], part[0]), role="pre_activation")), role="activation")
            for letter, part in zip("ifgo", parts))
        new = scope.state("c", f * c + i * g, c)
        return o * scope.define("tanh_c", tanh(new), role="activation"), new

    def range(self, below):
        return (-1, 1)


@dataclass(frozen=True)
class Recurrent(_OverTime):
    """A user's cell repeated over time."""

    cell: object
    units: int

    @property
    def kind(self):
        return self.cell.kind

    def forward(self, scope, x):
        return repeat(scope, self.cell, x, self)[0]

    def range(self, below):
        return getattr(self.cell, "range", REAL)


@dataclass(frozen=True)
class Bidirectional(Layer):
    """A recurrent layer and its twin that runs backwards in time, their outputs side by side."""

    layer: object

    kind: ClassVar[str] = "bi"
    steps: ClassVar[str] = "reads"

    def checked(self):
        inner = self.layer
        if not isinstance(inner, (_Repeated, Recurrent)):
            raise SpecError(f"'bi' takes a recurrent layer, not {getattr(inner, 'kind', inner)!r}",
                            fix="bi rnn, bi gru or bi lstm")
        inner = inner.checked()
        common = {key: getattr(inner, key) if getattr(self, key) is None else getattr(self, key)
                  for key in ("name", "initial", "l2", "l1")}
        common["frozen"] = self.frozen or inner.frozen
        bare = replace(inner, name=None, initial=None, l2=None, l1=None, frozen=False)
        return replace(Layer.checked(replace(self, **common)), layer=bare)

    @property
    def activation(self):
        return getattr(self.layer, "activation", "linear")

    def forward(self, scope, x):
        inner, back = self.layer, scope.reversed()
        one = inner.cell if isinstance(inner, Recurrent) else inner
        (ahead, own), (behind, other) = repeat(scope, one, x, inner), repeat(back, one, x, inner)
        both = Index(f"both_{scope.label}", 2 * inner.units, "unit", own.letter)
        scope.assembly.directions[both] = ((own, 1), (other, -1))
        return scope.define("both_h", join([ahead, behind], [own, other], both), role="joined")

    def range(self, below):
        return self.layer.range(below)


# ------------------------------------------------------------------------------------------------------ users' cells

@dataclass(frozen=True)
class FunctionCell(Cell):
    """A cell written as one function of (scope, x, states…, options)."""

    function: object
    states: tuple = ("h",)
    options: tuple = ()

    @property
    def kind(self):
        return self.function.__name__

    def step(self, scope, x, *before):
        return self.function(scope, x, *before, **dict(self.options))


def cell(function):
    """Make a recurrent layer of one step, a function of (scope, x, states…, options with defaults).

    It returns the new states in the order of its arguments; the first is the output.

    >>> @cell
    ... def leaky(scope, x, h, rate=0.5):
    ...     z = scope.define("z", scope.project(x, "W") + scope.project(h, "U"), role="pre_activation")
    ...     return (1 - rate) * h + rate * tanh(z)
    >>> leaky(8, rate=0.1).kind
    'leaky'
    """
    arguments = list(signature(function).parameters.values())[2:]
    states = tuple(a.name for a in arguments if a.default is Argument.empty and a.kind is not Argument.VAR_KEYWORD)
    if not states:
        raise SpecError(f"the cell {function.__name__} carries no state", fix="def step(scope, x, h): …")

    def make(units, *, name=None, initial=None, l2=None, l1=None, frozen=False, learned_state=False, recurrent_dropout=0.0, **options):
        step = FunctionCell(function, states, tuple(sorted(options.items())))
        return Recurrent(step, units, name=name, initial=initial, l2=l2, l1=l1, frozen=frozen, learned_state=learned_state,
                         recurrent_dropout=recurrent_dropout)
    make.__name__, make.__doc__, make.function = function.__name__, function.__doc__, function
    return make
