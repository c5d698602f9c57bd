"""Two views of one sweep, with numbers: error sharing, and the computational graph.

Reads   a derivation and the numbers fed to it.
Gives   error sharing: the signal that starts at a scalar, multiplied by each slope that it passes and shared out over the
        incoming weights, every formula with its numbers put in. The graph: every quantity with its value above and its
        adjoint below, and what that means in words.
"""

from dataclasses import dataclass
from itertools import product as positions

import numpy as np

from .evaluate import Evaluation
from .lines import lines_of
from .sheet import Sheet
from .text import text
from .trees import Axis, Extent, Place, Sum
from .words import phrase

__all__ = ["Shared", "Node", "error_sharing", "graph", "figure"]

DIGITS = 6
MOST = 12                    # terms of a sum that are written out


@dataclass(frozen=True)
class Shared:
    """One entry of a derived quantity: its symbol, its formula in letters and in numbers, its value, and why."""

    symbol: str
    formula: str
    numbers: str
    value: float
    rule: str

    def __str__(self):
        shown = list(dict.fromkeys([self.formula, self.numbers, figure(self.value)]))
        return " = ".join([self.symbol, *shown])


@dataclass(frozen=True)
class Node:
    """One entry of a quantity in the graph: what it is made by, its value, its adjoint, and its sensitivity in words."""

    symbol: str
    formula: str
    value: float
    adjoint: float | None
    sensitivity: str

    def __str__(self):
        adjoint = "" if self.adjoint is None else f"   adjoint {figure(self.adjoint)}"
        value = figure(self.value)
        shown = f"{self.formula} = {value}" if self.formula and not self.formula.endswith(value) else self.formula or value
        return f"{self.symbol} = {shown}{adjoint}" + (f"   {self.sensitivity}" if self.sensitivity else "")


def figure(value):
    """A number as it is shown: −0.25, 3, 1e−7."""
    return f"{value:.{DIGITS}g}".replace("-", "−")


def error_sharing(derivation, values, extents, style):
    """Every error signal and gradient, entry by entry, from the scalar down."""
    sheet, found = Sheet(derivation, style), []
    for line in lines_of(derivation, style.notation, "index", style.layout):
        if line.equation.of is None:
            continue
        writer = _Numbers(sheet, line, values, extents)
        rule = "; ".join(phrase(key, style.language) for key in line.rules)
        for place in positions(*(range(writer.length(axis)) for axis in line.free)):
            at = dict(zip(line.free, place))
            side = line.sides[0].tree
            found.append(Shared(writer.letters(line.left, at), writer.letters(side, at), writer.numbers(side, at),
                                writer.value(side, at), rule))
    return found


def graph(derivation, values, extents, style):
    """Every variable and equation with value and adjoint, entry by entry, in order."""
    sheet, found, system = Sheet(derivation, style), [], derivation.system
    namer = sheet.namer(system)
    scalar = derivation.symbol or text(namer.box(next(iter(derivation.seeds))))
    objective = text(namer.objective()) if derivation.mean_over is not None else scalar
    lines = {line.equation.name: line for line in lines_of(derivation, style.notation, "index", style.layout)}
    adjoints = {**derivation.sweep.adjoints}
    for name, variable in system.variables.items():
        if name in adjoints:
            for place in np.ndindex(np.shape(values[name])):
                shown = place[::-1] if style.layout == "sample" and variable.role == "parameter" else place
                symbol = text(sheet.namer(system).box(name, tuple(str(k + 1) for k in shown)))
                whole = all(index != derivation.mean_over for index in variable.axes)
                found.append(_node(symbol, "", values[name], place, _adjoint(derivation, name, values), objective if whole else scalar, style))
    for name, equation in system.equations.items():
        if equation.of is not None or name not in lines:
            continue
        line = lines[name]
        writer = _Numbers(sheet, line, values, extents)
        for place in positions(*(range(writer.length(axis)) for axis in line.free)):
            at = dict(zip(line.free, place))
            letters, numbers = writer.letters(line.sides[-1].tree, at), writer.numbers(line.sides[-1].tree, at)
            formula = letters if letters == numbers else f"{letters} = {numbers}"
            found.append(_node(writer.letters(line.left, at), formula, values[name], place, _adjoint(derivation, name, values), scalar, style))
    return found


def _adjoint(derivation, name, values):
    adjoint = derivation.sweep.adjoints.get(name)
    if adjoint is not None:
        return values[derivation.system.resolve(adjoint)]
    inlined = derivation.sweep.inlined.get(name)
    if inlined is None:
        return None
    number = getattr(inlined, "coefficient", None)
    return np.full(np.shape(values[name]), float(number)) if number is not None and not inlined.children else None


def _node(symbol, formula, value, place, adjoint, scalar, style):
    value = float(np.asarray(value)[place])
    if adjoint is None:
        return Node(symbol, formula, value, None, "")
    slope = float(np.asarray(adjoint)[place])
    words = phrase("sensitivity", style.language).format(symbol=symbol, scalar=scalar, slope=figure(slope))
    return Node(symbol, formula, value, slope, words)


class _Numbers:
    """Writes the trees of one line at one position: with letters for indices replaced by positions, and with numbers."""

    def __init__(self, sheet, line, values, extents):
        self.namer = sheet.namer(line.system or sheet.derivation.system)
        self.style, self.line = sheet.style, line
        self.evaluation = Evaluation(values, extents)
        self.values, self.known = values, {}

    def length(self, axis):
        return self.evaluation.length(axis)

    def value(self, tree, at):
        axes = list(at)
        if (tree, tuple(axes)) not in self.known:
            self.known[tree, tuple(axes)] = self.evaluation(tree, axes)
        return float(self.known[tree, tuple(axes)][tuple(at.values())])

    def letters(self, tree, at):
        return self.write(tree, at, False)[0]

    def numbers(self, tree, at):
        return self.write(tree, at, True)[0]

    def write(self, tree, at, numbers):
        """(text, how tightly it binds): 0 a sum, 1 a product, 2 an atom."""
        return getattr(self, "_" + type(tree).__name__.lower())(tree, at, numbers)

    def within(self, tree, at, numbers, level):
        written, own = self.write(tree, at, numbers)
        return written if own >= level else f"({written})"

    def _number(self, tree, at, numbers):
        return figure(float(tree.value)), 2 if tree.value >= 0 else 0

    def _extent(self, tree, at, numbers):
        return figure(self.value(tree, {})), 2

    def _symbol(self, tree, at, numbers):
        if numbers:
            value = self.value(tree, {a: k for a, k in at.items()})
            return figure(value), 2 if value >= 0 else 0
        subs = []
        for place in tree.places:
            position = at[place.at] + place.offset + 1 if isinstance(place.at, Axis) else self.fixed(place)
            subs.append(str(position))
        axes = [place.at.index.kind if isinstance(place.at, Axis) else "unit" for place in tree.places]
        if self.style.layout == "sample" and axes == ["unit", "unit"] and len(subs) == 2:
            subs.reverse()
        return text(self.namer.box(tree.name, tuple(subs))), 2

    @staticmethod
    def fixed(place: Place):
        return 1 + place.offset if place.at == "first" else "T"

    def _product(self, tree, at, numbers):
        factors = [f for f in tree.factors if not (isinstance(f, Extent) and self.value(f, {}) == 1)]
        return "·".join(self.within(factor, at, numbers, 1) for factor in factors), 1

    def _sum(self, tree, at, numbers):
        spans = [range(self.length(axis)) for axis in tree.over]
        places = list(positions(*spans))
        shown = places if len(places) <= MOST else places[:MOST - 1]
        terms = [self.within(tree.body, {**at, **dict(zip(tree.over, place))}, numbers, 1) for place in shown]
        if len(shown) < len(places):
            terms.append("…")
        return " + ".join(terms), 0 if len(terms) > 1 else 1

    def _plus(self, tree, at, numbers):
        written = ""
        for k, (w, term) in enumerate(tree.terms):
            part = self.within(term, at, numbers, 0 if w == 1 and isinstance(term, Sum) else 1)
            if abs(w) != 1:
                part = f"{figure(float(abs(w)))}·{part}"
            written += (" − " if w < 0 else " + ") + part if k else ("−" if w < 0 else "") + part
        return written, 0

    def _apply(self, tree, at, numbers):
        if numbers and tree.prime is not None:
            return figure(self.value(tree, at)), 2
        inner = ", ".join(self.write(operand, at, numbers)[0] for operand in tree.operands)
        name = "σ" if tree.function.name == "sigmoid" else tree.function.name
        return f"{name}{'′' if tree.prime is not None else ''}({inner})", 2

    def _power(self, tree, at, numbers):
        return f"{self.within(tree.body, at, numbers, 2)}^{tree.exponent}".replace("^2", "²"), 2

    def _quotient(self, tree, at, numbers):
        return f"{self.within(tree.top, at, numbers, 2)}/{self.within(tree.bottom, at, numbers, 2)}", 1

    def _comparison(self, tree, at, numbers):
        if numbers:
            return figure(self.value(tree, at)), 2
        return f"[{self.write(tree.left, at, numbers)[0]} {tree.relation} {self.write(tree.right, at, numbers)[0]}]", 2

    def _cases(self, tree, at, numbers):
        for value, condition in tree.cases:
            holds = np.ravel(self.evaluation_of(condition))[at[condition.axis]]
            if holds:
                return self.write(value, at, numbers)
        raise AssertionError("no case holds")

    def evaluation_of(self, condition):
        self.evaluation.axes = [condition.axis]
        return self.evaluation.outside(condition)

    def _choice(self, tree, at, numbers):
        return self.write(tree.yes if self.value(tree.condition, at) else tree.no, at, numbers)

    def _whole(self, tree, at, numbers):
        return figure(self.value(tree, at)), 2

    _softmax = _reduction = _iverson = _whole

