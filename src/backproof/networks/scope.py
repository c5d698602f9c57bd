"""The scope: what a layer is given to write its equations with.

Reads   the layer's place in the network (its number or name) and how the system is wanted (training, masked, …).
Gives   indices, parameters, noise and named equations, all called after the layer. What a layer asks for is kept in a
        journal, so that a user's layer can be saved as data.
"""

import re
from dataclasses import dataclass, field

from ..calculus import (SAMPLE, TIME, Index, Map, Ref, System, Variable, as_node, edge, identity, number, rename, scaled, shift,
                        total)
from ..errors import OptionError, ShapeError, SpecError
from . import initial as initial_values

__all__ = ["Assembly", "Noise", "Parameter", "Scope"]


@dataclass(frozen=True)
class Parameter:
    """A parameter of a network.

    Fields  name; axes; kind "weight", "recurrent", "table" (all three decay), "bias" or "scale"
            layer    the layer it belongs to
            initial  the distribution it starts from, as data
            l2, l1   the strength of its penalties; None until the network's is known
            frozen   training leaves it as it is
    """

    name: str
    axes: tuple
    kind: str
    layer: str
    initial: tuple
    l2: float | None = 0.0
    l1: float | None = 0.0
    frozen: bool = False

    @property
    def shape(self):
        return tuple(index.extent for index in self.axes)

    @property
    def count(self):
        result = 1
        for extent in self.shape:
            result *= extent
        return result


@dataclass(frozen=True)
class Noise:
    """A random factor that training draws: inverted dropout, 0 with probability ``rate``, else 1/(1 − rate)."""

    name: str
    axes: tuple
    rate: float
    number: int
    layer: str


@dataclass
class Assembly:
    """What the layers of one network write into, and how the system is wanted."""

    training: bool = False
    mask: object = None                 # the variable m[t,n], or None
    given_state: bool = False
    links: object = None                # the variable ξ[t], or None
    counts: object = None               # the variable counts[t,n]: how much the loss of each step counts; None: all alike
    initial: object = None
    system: System = field(default_factory=System)
    parameters: dict = field(default_factory=dict)
    noises: list = field(default_factory=list)
    states: list = field(default_factory=list)             # names of the recurrent states, in order
    directions: dict = field(default_factory=dict)         # joined index -> ((own index, direction), …)

    def steps(self):
        """The number of valid steps of each sample, a named equation."""
        if "steps" not in self.system:
            self.system.define("steps", total(self.mask, over=TIME), role="count")
        return self.system.ref("steps")


class Scope:
    """What a layer's ``forward(scope, x)`` is given.

    Attributes  training, mask (m[t,n] or None), direction (+1, or −1 for the reversed half of a bidirectional layer)

    A numbered layer's names are the symbol and the number (W1), a named layer's the name and the symbol (output.W).
    """

    def __init__(self, assembly, layer, label, number, *, letter="j", named=False, prefix="", owner=None):
        self.assembly, self.layer, self.label, self.number = assembly, layer, label, number
        self.letter, self.is_named, self.prefix = letter, named, prefix
        self.direction = -1 if prefix else 1
        self.owner = owner or label              # the layer that its parameters and equations belong to
        self.own = None                          # the layer's own index, once asked for
        self.journal = []
        self.held = {}                           # symbol -> its value one step back

    @property
    def training(self):
        self.journal.append(("training",))
        return self.assembly.training

    @property
    def mask(self):
        return self.assembly.mask

    def named(self, symbol):
        """The name of a symbol of this layer.

        >>> Scope(Assembly(), None, "layer2", 2).named("W"), Scope(Assembly(), None, "out", 2, named=True).named("W")
        ('W2', 'out.W')
        """
        if not isinstance(symbol, str) or not re.fullmatch(r"\w{1,64}", symbol):
            raise SpecError(f"{str(symbol)[:80]!r} is no symbol for an equation or parameter", where=self.label,
                            fix="letters, digits and _, at most 64")
        return f"{self.label}.{self.prefix}{symbol}" if self.is_named else f"{self.prefix}{symbol}{self.number}"

    def reversed(self):
        """The scope of the same layer's half that runs backwards in time."""
        return Scope(self.assembly, self.layer, self.label, self.number, letter=self.letter, named=self.is_named,
                     prefix="reverse_")

    def part(self, layer):
        """The scope of a named layer within this one."""
        return Scope(self.assembly, layer, layer.name, self.number, letter=self.letter, named=True, owner=self.label)

    # ------------------------------------------------------------------------------------------------ indices

    def unit(self, units, part=None, letter=None):
        """The layer's own index; ``part`` names a further one (a vocabulary)."""
        name = self.prefix + self.label + (f".{part}" if part else "")
        index = Index(name, units, "unit", letter or self.letter)
        if part is None:
            self.own = index
        self.journal.append(("unit", index, units, part, letter))
        return index

    def unit_of(self, x):
        """The index of the units of a node."""
        units = [index for index in x.indices if index.kind == "unit"]
        if len(units) != 1:
            raise ShapeError(f"{x.title()} has {len(units)} indices of units where {self.label} takes one",
                             where=", ".join(index.name for index in units) or None)
        return units[0]

    # ------------------------------------------------------------------------------------------------ leaves

    def parameter(self, symbol, axes, kind="weight", initial=None):
        """A parameter over the axes; ``initial`` is the layer's own proposal of its distribution."""
        name, axes, assembly, layer = self.named(symbol), tuple(axes), self.assembly, self.layer
        if kind not in ("weight", "recurrent", "table", "bias", "scale"):
            raise SpecError(f"{name} is of kind {kind!r}", fix="weight, recurrent, table, bias or scale")
        if name in assembly.parameters:
            raise SpecError(f"the parameter {name!r} is asked for twice", where=self.label, fix="choose another symbol")
        variable = Variable(name, axes, "parameter")
        activation = getattr(layer, "activation", "linear")
        given = initial_values.distribution([layer.initial, assembly.initial], kind, [i.extent for i in axes] or [1],
                                            activation, initial)
        assembly.parameters[name] = Parameter(name, axes, kind, self.owner, given, layer.l2, layer.l1, layer_frozen(layer))
        self.journal.append(("parameter", variable, symbol, kind, initial))
        return variable

    def bias(self, symbol, index=None, initial=None):
        """A bias over an index, the layer's own unless given."""
        return self.parameter(symbol, (index or self.own,), "bias", initial)

    def noise(self, symbol, axes, rate):
        """A dropout factor over the axes (storage order); drawn anew for each sample and epoch."""
        number = len(self.assembly.noises) + 1
        variable = Variable(self.named(symbol), stored(axes), "noise", facts=(("dropout", number, rate),))
        self.assembly.noises.append(Noise(variable.name, variable.axes, rate, number, self.label))
        self.journal.append(("noise", variable, symbol, rate))
        return variable

    # ------------------------------------------------------------------------------------------------ equations

    def define(self, symbol, expression, role="", axes=None):
        """Name an equation of the layer; returns what refers to it."""
        expression = as_node(expression)
        ref = self.assembly.system.define(self.named(symbol), expression, axes=axes or stored(expression.indices),
                                          role=role, layer=self.owner)
        self.journal.append(("define", ref, symbol, expression, role))
        return ref

    def project(self, x, symbol, own=None, weight=None):
        """Σ_i x[…,i] W[i,own] with a new matrix; a state of the layer itself is contracted over the primed index."""
        below, own = self.unit_of(x), own or self.own
        if below == own:
            below = own.primed()
            x = rename(x, {own: below})
        if weight is None:
            weight = self.parameter(symbol, (below, own), "recurrent" if below == own.primed() else "weight")
        return total(x * weight, over=below)

    def previous(self, symbol, indices, initial=0, time=TIME, direction=None):
        """The value one step back (ahead where direction is −1) of a symbol that is defined later."""
        direction = direction or self.direction
        before = self.held[symbol] = shift(Ref(self.named(symbol), indices), time, direction, as_node(initial))
        links = self.assembly.links
        if links is None:
            return before
        return scaled(before, links if direction > 0 else shift(links, time, -1, number(1)))     # the link to the step ahead

    def state_before(self, symbol, indices, learned=False):
        """The state one step back; before the first step zero, what is learned, or the state that is carried in.

        Where both can be, ``begins`` is 1 for the sequences that begin and 0 for those that go on.
        """
        name, initial = self.named(symbol), 0
        if learned:
            initial = self.parameter(f"start_{symbol}", (self.own,), "bias")
        if self.assembly.given_state:
            if self.direction < 0:
                raise OptionError(f"{self.label} runs backwards in time; no state can be carried into it",
                                  fix="train without carried states, or in one direction")
            carried = Variable(f"{name}.start", [i for i in stored(indices) if i != TIME], "carried")
            initial = carried + Variable("begins", (SAMPLE,), "carried") * initial if learned else carried
        self.assembly.states.append(name)
        return self.previous(symbol, indices, initial)

    def state(self, symbol, new, before):
        """Name the new state; where the mask is 0 the state before is held, through no link: padding cuts no signal."""
        new = as_node(new)
        if self.mask is not None:
            if isinstance(new, Map):
                new = self.define(f"new_{symbol}", new, role="activation")
            new = self.mask * new + (1 - self.mask) * self.held.get(symbol, before)
        elif isinstance(new, (Ref, Variable)):                 # a recurrence needs an equation, not a second name
            new = identity(new)
        ref = self.define(symbol, new, role="state")
        if self.assembly.given_state:
            self.assembly.system.define(f"{ref.name}.end", edge(ref, TIME, "last"), role="carried", layer=self.label)
        return ref


def layer_frozen(layer):
    return bool(getattr(layer, "frozen", False))


def stored(indices):
    """Indices in the order in which a tensor is stored: time, sample, pair, units; a matrix's primed one first."""
    order = ("time", "sample", "pair", "unit")
    return tuple(sorted(indices, key=lambda index: (order.index(index.kind), not index.name.endswith("'"), index.name)))
