"""Sheets: lines in a notation as rows of boxes, the same for every format."""

from dataclasses import dataclass

from ..calculus import Map, Ref
from .compose import Composer, letters_for
from .lines import unit_order
from .notation import Namer
from .text import text
from .trees import axes_of
from .words import phrase

__all__ = ["Row", "Sheet", "Style"]


@dataclass(frozen=True)
class Style:
    """How a derivation is printed: the options of every ``to_…`` method."""

    notation: object
    form: str = "index"
    layout: str = "sample"
    bias: str = "separate"
    names: str = "numbers"
    language: str = "en"
    shapes: bool = False


@dataclass(frozen=True)
class Row:
    """A line as boxes: number, left, ((right, note), …), ((symbol, value), …) at the border of time, rules, error."""

    number: int
    left: object
    right: tuple
    edges: tuple
    rules: tuple
    error: float | None = None
    line: object = None

    def mark(self):
        """✓ 3e-16, or ✗ where the line does not hold."""
        return "" if self.error is None else f"{'✓' if self.holds else '✗'} {self.error:.0e}"

    @property
    def holds(self):
        return self.error is None or self.error <= TOLERANCE


TOLERANCE = 1e-8                # far above what cancellation leaves of rounding, far below any mistake
NOTES = {"written": "", "chain": "", "runs": "", "stable": "side_stable", "slope": "side_slope", "substitute": "side_substitute",
         "cancel": "side_cancel", "fact": "side_fact", "expand": "side_expand"}


class Sheet:
    """Composes the lines of one derivation in one style."""

    def __init__(self, derivation, style):
        self.derivation, self.style = derivation, style
        self.order = unit_order(derivation.system)
        self.namers = {}

    def namer(self, system):
        if id(system) not in self.namers:
            self.namers[id(system)] = namer_of(self.derivation, system, self.style)
        return self.namers[id(system)]

    def row(self, line, error=None):
        system = line.system or self.derivation.system
        namer = self.namer(system)
        letters = letters_for(line.trees, namer.notation, self.order, line.free)
        composer = self.composer(namer, letters)
        edges = {}
        for symbol, value in line.edges:                       # one condition, whatever letters its indices had in the formula
            own = self.composer(namer, letters_for((symbol, value), namer.notation, self.order, axes_of(symbol)))
            edges[own.box(symbol), own.box(value)] = None
        right = tuple((composer.box(side.tree), self.note(side)) for side in line.sides)
        rules = tuple(phrase(key, self.style.language) for key in line.rules)
        if line.equation.role == "penalty":
            rules += tuple(self.strengths())
        return Row(line.number, composer.box(line.left), right, tuple(edges), rules, error, line)

    def strengths(self):
        """λ = 0.001: what the letters of the penalty stand for."""
        namer = self.namer(self.derivation.system)
        for name, value in dict.fromkeys(pair for pairs in self.derivation.strengths.values() for pair in pairs if pair[1]):
            yield f"{text(namer.plain(name))} = {float(value):g}"

    def composer(self, namer, letters):
        return Composer(namer, letters, self.style.layout, self.style.shapes, self.style.language)

    def note(self, side):
        key = NOTES[side.kind]
        return phrase(key, self.style.language) if key else ""


def namer_of(derivation, system, style):
    """The names of a system in a notation."""
    layers, number = {}, 0
    for equation in derivation.system:
        label = equation.layer or ""
        numbered = label.removeprefix("layer")
        if numbered.isdigit():
            number = int(numbered)
        elif label and label == equation.name.rpartition(".")[0] and label not in layers:
            number += 1
            layers[label] = number
    functions = {equation.expression.function.name for equation in derivation.system if isinstance(equation.expression, Map)
                 and _is_pre_activation(equation.expression.children[0], derivation.system)} - {"identity"}
    return Namer(style.notation, system, next(iter(derivation.seeds), "E"), layers, style.names, derivation.symbol,
                 functions.pop() if len(functions) == 1 else None)


def _is_pre_activation(node, system):
    return isinstance(node, Ref) and node.name in system.equations and system.equations[node.name].role == "pre_activation"
