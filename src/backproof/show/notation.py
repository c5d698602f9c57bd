"""One table of notations: letters, where the layer stands, which layer owns a weight, how a derivative is written.

Reads   names of a system's equations and variables.
Gives   the boxes by which a notation writes them. The house notation is that of docs/notation.md; A, C, D and E are
        those of the articles.
"""

import re
from dataclasses import dataclass, field

from .boxes import Id, Name, Op, Partial, Row

__all__ = ["Notation", "NOTATIONS", "Namer", "GREEK"]


@dataclass(frozen=True)
class Notation:
    """One row of the table.

    Fields  place     where a layer's number stands: "(up)" z^(l), "up" z^l, "down" z_l
            shift     added to the layer of z, a and δ: 1 where layer 1 is the input
            weight    the letter of a weight in index form
            delta     the letter of ∂E/∂z, or None where every derivative is written dv
            derivative  "fraction" ∂E/∂v, "d" dv, "nabla" ∇_v J for whole matrices
            hadamard, function (the letter of the one activation, or None), loss, objective, samples, rate, decay
            chain     are the derivatives by activations lines of their own?
            free, below, above   unit letters of a layer, the layers below and the layers above; sole: where there is one only
    """

    key: str
    place: str = "(up)"
    shift: int = 0
    weight: str = "W"
    delta: str | None = "δ"
    derivative: str = "fraction"
    hadamard: str = "⊙"
    function: str | None = None
    loss: str = "E"
    objective: str = "J"
    samples: str = "N"
    rate: str = "η"
    decay: str = "λ"
    chain: bool = False
    free: str = "j"
    sole: str = "k"
    below: tuple = ("i", "h", "g")
    above: tuple = ("k", "l", "m")


NOTATIONS = {n.key: n for n in (
    Notation("house"),
    Notation("A", place="up", weight="w", objective="C", free="i", below=("h", "g", "f"), above=("j", "k", "l")),
    Notation("C", shift=1, loss="J", derivative="nabla", function="f", samples="m", rate="α", free="i",
             below=("j", "k", "l"), above=("k", "l", "m")),
    Notation("D", shift=1, loss="J", derivative="nabla", hadamard="∘", function="f", rate="α", free="j",
             below=("i", "h", "g"), above=("k", "l", "m")),
    Notation("E", place="down", weight="w", delta=None, derivative="d", loss="L", samples="m", rate="α", chain=True),
)}

GREEK = {name: chr(code) for code, name in zip(range(0x3B1, 0x3CA), (
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho final sigma tau upsilon phi "
    "chi psi omega").split())}
SHIFTED = {"z", "a", "delta", "h", "c"}           # quantities whose layer is numbered from the input in C and D
_NUMBER = re.compile(r"\d+$")


@dataclass
class Namer:
    """Writes the names of one system in one notation."""

    notation: Notation
    system: object
    top: str = "E"                                 # the scalar that is differentiated
    layers: dict = field(default_factory=dict)     # name of a layer -> its number
    names: str = "numbers"
    symbol: str | None = None                      # the letter of what is differentiated, where it has a name of its own
    activation: str | None = None                  # the one activation of the network, where it has only one

    def parts(self, name):
        """(letter, layer, detail, reversed) of a name: "W1" → W, 1; "output.z_r" → z, output, r; "reverse_h1" → h, 1."""
        head, _, tail = name.rpartition(".")
        behind = tail.startswith("reverse_")
        tail = tail.removeprefix("reverse_")
        number = _NUMBER.search(tail)
        layer = head or (number.group() if number else "")
        tail = tail if head else tail.removesuffix(layer)
        letter, _, detail = tail.partition("_")
        if detail and (len(letter) > 1 and letter not in GREEK or len(detail) > 1):
            letter, detail = tail, ""                          # tanh_c is one word, z_i is z of gate i
        return letter, layer, detail, behind

    def box(self, name, subs=(), matrix=False, large=False):
        """The box of a quantity with its subscripts; derivatives of it become ∂…, d… or ∇…; ``large``: one row per sample."""
        name = self.system.resolve(name)
        equation = self.system.equations.get(name)
        role = equation.role if equation is not None else ""
        if equation is not None and equation.of is not None and (role != "delta" or self.notation.delta is None):
            return self.derivative(equation, subs, matrix, large)
        return self.plain(name, subs, matrix, large)

    def plain(self, name, subs=(), matrix=False, large=False):
        letter, layer, detail, behind = self.parts(name)
        if not layer and name in self.system.equations:
            letter = {"E": self.notation.loss, "L": self.mean, "J": self.notation.objective}.get(letter, letter)
        layer = self.layer(layer, self.notation.shift if letter in SHIFTED else 0)
        if letter == "W" and not matrix:
            letter = self.notation.weight
        shown = GREEK.get(letter, letter)
        if large and len(shown) == 1:
            shown = shown.upper()
        style = "italic" if len(shown) == 1 else "upright"
        return Name(shown, layer, self.notation.place, tuple(subs), style, detail=detail, behind=behind)

    def layer(self, layer, shift):
        if layer in self.layers and self.names == "numbers":
            layer = str(self.layers[layer])
        return str(int(layer) + shift) if layer.isdigit() else layer

    def derivative(self, equation, subs, matrix, large):
        """∂E/∂v for an adjoint (per sample), ∂J/∂θ for a gradient."""
        bottom = self.plain(equation.of, subs, matrix, large)
        if self.notation.derivative == "d":
            return Name(bottom.base, bottom.layer, bottom.place, bottom.subs, bottom.style, prefix="d", detail=bottom.detail,
                        behind=bottom.behind)
        whole = equation.role == "gradient"
        if self.notation.derivative == "nabla" and matrix and whole:
            return Row((Name("∇", "", "down", (self.plain(equation.of, (), True),)), Op("", "juxtaposed"),
                        self.objective()))
        if whole:
            return Partial(self.objective(), bottom)
        sample = tuple(sub for sub, place in zip(subs, equation.axes) if place.kind == "sample") if not matrix else \
            tuple(sub for sub in subs if str(sub).startswith("n"))
        return Partial(Name(self.symbol, "", "down", sample) if self.symbol else self.plain(self.top, sample), bottom)

    @property
    def mean(self):
        """The letter of the mean loss: that of the objective where there are no penalties."""
        return "L" if "J" in self.system.equations else self.notation.objective

    def objective(self):
        """The box of what is differentiated: the objective, the score s, or the scalar's own name."""
        if self.symbol is not None:
            return Id(self.symbol)
        return Id(self.notation.objective) if self.top == "E" else self.plain(self.top)
