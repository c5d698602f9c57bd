"""Lines: which equations are printed, in which order, with which right-hand sides and why.

Reads   a derivation (system, seeds, what was differentiated) and a notation.
Gives   lines. A line has one left-hand side and one or more right-hand sides, all trees: the chain rule as a textbook
        writes it, (Σ δ W) σ'(z), and the form that runs, (Σ δ W) a (1 − a). Every side is checked.
"""

from dataclasses import dataclass

from .. import calculus as c
from .index_form import IndexForm, multiply, plus, softmax_of
from .trees import ZERO, Apply, Axis, Cases, Place, Symbol, walk

__all__ = ["Line", "Side", "index_lines", "inlined", "unit_order"]


@dataclass(frozen=True)
class Side:
    """A right-hand side: its tree, and what it is ("chain", "written", "runs")."""

    tree: object
    kind: str = "runs"


@dataclass(frozen=True)
class Line:
    """A printed equation.

    Fields  number; equation; left: the symbol defined; free: its axes in stored order; sides; rules: keys of the table of
            phrases; edges: (symbol, value) pairs that hold outside the range of time
    """

    number: int
    equation: object
    left: Symbol
    free: tuple
    sides: tuple
    rules: tuple
    edges: tuple = ()

    @property
    def trees(self):
        return (self.left, *(side.tree for side in self.sides), *(part for pair in self.edges for part in pair))


def unit_order(system):
    """{index name: rank} from the inputs upwards: a layer's unit index ranks above all that it reads."""
    rank = {}
    for equation in system:
        if equation.of is not None:
            continue
        own = {index.name.rstrip("'") for index in equation.axes}
        read = [index for node in c.walk(equation.expression) for index in node.indices]
        for index in (*(i for i in read if i.name.rstrip("'") not in own), *equation.axes):
            if index.kind == "unit":
                rank.setdefault(index.name.rstrip("'"), len(rank))
    return rank


def inlined(system, wrt=()):
    """Adjoints that stand in one error signal alone, right after an activation: printed inside it."""
    readers = {}
    for name in system.equations:
        for read in set(system.reads(name)):
            readers.setdefault(read, []).append(name)
    found = set()
    for name, equation in system.equations.items():
        if equation.role == "adjoint" and name not in wrt and len(readers.get(name, ())) == 1:
            reader = system.equations[readers[name][0]]
            if reader.role == "delta" and chain_steps(reader) and not _splits(system, name):
                found.add(name)
    return frozenset(found)


def _splits(system, name):
    equation = system.equations[name]
    tree = IndexForm(system).tree(equation.expression, {i: Axis(i) for i in equation.axes})
    return any(isinstance(node, Cases) for node in walk(tree))


def chain_steps(equation):
    """[(function, upstream)] where every path into a pre-activation ends in one elementwise function of it; else ()."""
    steps = []
    for term in equation.terms:
        if not term.steps:
            return ()
        function, upstream, _ = term.steps[-1]
        if not isinstance(function, c.Function) or function.arity != 1 or function.name == "identity" or len(term.steps) > 1:
            return ()
        steps.append((function, upstream))
    return tuple(steps)


def index_lines(derivation, notation, *, forward=True):
    """The lines of a derivation in index form."""
    system = derivation.system
    inline = frozenset() if notation.chain else inlined(system, derivation.kept)
    form, lines, told = IndexForm(system, inline), [], set()
    for name, equation in system.equations.items():
        if name in inline or (not forward and equation.of is None):
            continue
        free = {index: Axis(index) for index in equation.axes}
        at = {index: Place(axis) for index, axis in free.items()}
        left = Symbol(name, tuple(at[index] for index in equation.axes))
        sides = [Side(form.tree(equation.expression, at))]
        if equation.written is not None and equation.written is not equation.expression:
            sides.insert(0, Side(form.tree(equation.written, at), "written"))
        chain = chain_steps(equation) if equation.role == "delta" else ()
        if chain:
            z = Symbol(equation.of, left.places)
            terms = [(1, multiply([form.tree(upstream, at), Apply(function, (z,), 0)])) for function, upstream in chain]
            sides.insert(0, Side(plus(terms), "chain"))
        edges = [edge for side in sides for edge in _edges(side.tree, system) if _key(edge) not in told]
        told |= {_key(edge) for edge in edges}
        lines.append(Line(len(lines) + 1, equation, left, tuple(free[i] for i in equation.axes), tuple(sides),
                          rules_of(equation, system, derivation), tuple(edges)))
    return lines


def _edges(tree, system):
    """(symbol at the step outside, its value) for what is read outside the range of time.

    In a product that vanishes there one 0 is enough: that of the error signal.
    """
    found = {}
    for node in walk(tree):
        if isinstance(node, Symbol) and node.edge is not None:
            places = tuple(Place("first", -1) if p.offset < 0 and _time(p) else Place("last", 1) if _time(p) and p.offset
                           else p for p in node.places)
            found.setdefault(node.name, (Symbol(node.name, places, None, node.rows, node.columns, node.matrix), node.edge))
    derived = {name for name in found if name in system.equations and system.equations[name].of is not None}
    return [pair for name, pair in found.items() if name in derived or not derived or pair[1] != ZERO]


def _key(edge):
    return edge[0].name, edge[1] if edge[1] == ZERO else None


def _time(place):
    return isinstance(place.at, Axis) and place.at.index.kind == "time"


def rules_of(equation, system, derivation):
    """The keys of the phrases that say why an equation holds."""
    role, reads = equation.role, [n for n in c.walk(equation.expression)]
    timed = any(isinstance(node, (c.Shift, c.Edge)) for node in reads)
    if role == "pre_activation":
        return ("pre_activation_time" if timed else "pre_activation",)
    if role == "activation":
        return ("softmax" if softmax_of(equation.expression) else "activation",)
    if role == "delta":
        if not chain_steps(equation):
            return ("output_error" if any(t.consumer in derivation.seeds for t in equation.terms) else "delta_plain",)
        if not any(_contracts(upstream, system) for _, upstream in chain_steps(equation)):
            return ("output_delta",)
        through = [n for term in equation.terms for n in [term.consumer]]
        back = any(isinstance(node, c.Shift) for name in through for adj in [f"adj.{name}"] if adj in system.equations
                   for node in c.walk(system.equations[adj].expression))
        return ("delta_time" if back or timed else "delta",)
    if role == "gradient":
        return _gradient_rules(equation, system)
    if role == "adjoint":
        if equation.of in system.variables:
            return ("input_gradient",)
        return ("adjoint_paths" if len(equation.terms) > 1 else "adjoint",)
    return (role,) if role in ("state", "sample_loss", "loss", "penalty", "objective", "update") else ("definition",)


def _contracts(node, system):
    """Does an error signal reach this node: directly, or through an adjoint that is put in?"""
    return any(isinstance(part, c.Ref) and part.name in system.equations and system.equations[part.name].of is not None
               for part in c.walk(node))


def _gradient_rules(equation, system):
    paths = [term for term in equation.terms if term.consumer in system.equations
             and system.equations[term.consumer].role not in ("penalty", "objective")]
    rules = []
    if len(paths) > 1:
        rules.append("gradient")
    elif paths:
        units = sum(index.kind == "unit" for index in equation.axes)
        timed = any(i.kind == "time" for node in c.walk(equation.expression) for i in getattr(node, "summed", ()))
        plain = isinstance(equation.expression, c.Einsum) and sum(not isinstance(f, c.Extent) for f in equation.expression.factors) < 2
        rules.append("gradient_bias" if plain else "gradient_one" if units < 2 else "gradient_weight_time" if timed else "gradient_weight")
    if len(paths) < len(equation.terms):
        rules.append("and_decay" if paths else "weight_decay")
    return tuple(rules or ["gradient"])
