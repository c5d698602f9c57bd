"""Lines: which equations are printed, in which order, with which right-hand sides and why.

Reads   a derivation (system, seeds, what was differentiated) and a notation.
Gives   lines. A line has one left-hand side and one or more right-hand sides, all trees: the chain rule as a textbook
        writes it, (Σ δ W) σ'(z), and the form that runs, (Σ δ W) a (1 − a). Every side is checked.
"""

from dataclasses import replace
from fractions import Fraction

from .. import calculus as c
from .index_form import IndexForm, multiply, multiply_plain, plus, softmax_of
from .folded import folded
from .line import Line, Side
from .matrix_form import FormError, MatrixForm, hadamard
from .trees import ZERO, Apply, Axis, Cases, Norm, Place, Plus, Power, Symbol, rewrite, walk

__all__ = ["lines_of", "inlined", "unit_order"]


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


def lines_of(derivation, notation, form="index", layout="sample", *, bias="separate", book=False):
    """The lines of a derivation; an equation without a matrix form is printed in index form.

    ``book`` puts the textbook chain of the output in the place of its error signal, as a notation with a line for every
    derivative does anyway.
    """
    system, lines, told = derivation.system, [], set()
    inline = frozenset() if notation.chain else inlined(system, derivation.kept)
    chained = _textbook_lines(derivation, form, layout) if book or notation.chain else {}
    strengths = derivation.strengths
    for name, equation in system.equations.items():
        if name in inline:
            continue
        made = chained.pop(name, None)
        if made is None:
            made = [_line(equation, system, derivation, _forms(system, inline, form, layout), strengths)]
        for line in made:
            edges = [edge for edge in line.edges if _key(edge) not in told]
            told |= {_key(edge) for edge in edges}
            lines.append(replace(line, edges=tuple(edges)))
    lines = [replace(line, number=k) for k, line in enumerate(lines, 1)]
    if bias == "folded":
        lines = folded(lines, derivation, layout)
    return [replace(line, number=k) for k, line in enumerate(lines, 1)]


def _forms(system, inline, form, layout):
    indexed = Indexed(system, inline)
    return [indexed] if form == "index" else [Matrices(system, inline, layout), indexed]


def _line(equation, system, derivation, forms, strengths):
    free = {index: Axis(index) for index in equation.axes}
    at = {index: Place(axis) for index, axis in free.items()}
    for form in forms:
        try:
            left, sides = form.sides(equation, at)
            break
        except FormError:
            continue
    if strengths and (equation.role in ("gradient", "penalty")):
        sides = [replace(side, tree=with_strengths(side.tree, strengths)) for side in sides]
    edges = [edge for side in sides for edge in _edges(side.tree, system)]
    own = None if system is derivation.system else system
    return Line(0, equation, left, tuple(free[i] for i in equation.axes), tuple(sides), rules_of(equation, system, derivation),
                tuple(edges), own)


def with_strengths(tree, strengths):
    """λ and μ in the place of the numbers that they are: λ W, (λ/2) ΣW², μ sign W, μ Σ|W|."""
    def rule(node):
        if not isinstance(node, Plus):
            return None
        return plus([_strength(w, term, strengths) for w, term in node.terms])
    return rewrite(tree, rule)


def _strength(w, term, strengths):
    names = {node.name for node in walk(term) if isinstance(node, Symbol)}
    if len(names) != 1:
        return w, term
    l2, l1 = strengths.get(names.pop(), ((None, 0), (None, 0)))
    squared = any(isinstance(node, (Power, Norm)) for node in walk(term))
    plain = isinstance(term, Symbol)
    if l2[1] and (plain and w == l2[1] or squared and w == l2[1] / 2):
        return w / l2[1], multiply_plain([Symbol(l2[0]), term])
    if l1[1] and not plain and not squared and w == l1[1]:
        return Fraction(1), multiply_plain([Symbol(l1[0]), term])
    return w, term


def _textbook_lines(derivation, form, layout):
    """{error signal of the output: [the lines of its textbook chain]}."""
    book = derivation.textbook
    if book is None:
        return {}
    system, made = book.sweep.system, []
    activation = system.equations[book.activation]
    for adjoint, steps in book.steps.items():
        equation = system.equations[adjoint]
        line = _line(equation, system, derivation, _forms(system, frozenset(), form, layout), {})
        at = {axis.index: Place(axis) for axis in line.free}
        builder = _forms(system, frozenset(), form, layout)[0 if line.left.matrix or form == "index" else 1]
        sides = list(line.sides)
        try:
            if builder.left(equation, at) is not None:
                sides += [Side(builder.whole(expression, at, equation), rule) for rule, expression in steps]
        except FormError:
            pass
        rules = ("loss_slope",) if adjoint == book.sweep.adjoints.get(book.activation) else (
            ("softmax_slope",) if softmax_of(activation.expression) else ("output_delta",))
        made.append(replace(line, sides=_distinct(sides), rules=rules))
    target = derivation.sweep.adjoints.get(book.pre_activation)
    return {target: made} if target in derivation.system.equations else {}


def _distinct(sides):
    kept = []
    for side in sides:
        if not kept or kept[-1].tree != side.tree:
            kept.append(side)
    return tuple(kept)


class Indexed:
    """The sides of an equation in index form."""

    def __init__(self, system, inline):
        self.system, self.form = system, IndexForm(system, inline)

    def sides(self, equation, at):
        """(left-hand symbol, right-hand sides)."""
        left = self.left(equation, at)
        written = equation.written if equation.written is not equation.expression else None
        chain = chain_steps(equation) if equation.role == "delta" else ()
        kind = "runs" if written is None and not chain else "stable" if written is not None else "slope"
        sides = [Side(self.whole(equation.expression, at, equation), kind)]
        if written is not None:
            sides.insert(0, Side(self.whole(written, at, equation), "written"))
        if chain:
            z = Symbol(equation.of, left.places, None, left.rows, left.columns, left.matrix)
            terms = [(1, self.times(self.whole(upstream, at, equation), Apply(function, (z,), 0))) for function, upstream in chain]
            sides.insert(0, Side(plus(terms), "chain"))
        return left, sides

    def left(self, equation, at):
        return Symbol(equation.name, tuple(at[index] for index in equation.axes))

    def whole(self, node, at, equation):
        """The tree of a right-hand side."""
        return self.form.tree(node, at)

    def times(self, upstream, slope):
        return multiply([upstream, slope])


class Matrices(Indexed):
    """The sides of an equation as matrices."""

    def __init__(self, system, inline, layout):
        self.system, self.form = system, MatrixForm(system, inline, layout)

    def left(self, equation, at):
        part = self.form.part(equation.name, equation.axes, at)
        self.form.goal = part.ends
        return part.tree

    def whole(self, node, at, equation):
        part = self.form.tree(node, at)
        goal = (*self.form.goal, None, None)[:2]
        return self.form.spread(part, *goal).tree

    def times(self, upstream, slope):
        return hadamard([upstream, slope]) if slope.operands[0].rows is not None else multiply([upstream, slope])


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
    if role == "activation" and not isinstance(equation.expression, c.Map):
        return ("lookup" if any(isinstance(node, c.OneHot) for node in reads) else "definition",)
    if role == "activation":
        return ("softmax" if softmax_of(equation.expression) else "activation",)
    if any(term.consumer == "seed" for term in equation.terms):
        return ("seed",)
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
    if role == "loss" and "J" not in system.equations:
        return ("objective_mean",)
    return (role,) if role in ("state", "sample_loss", "loss", "penalty", "objective", "update") else ("definition",)


def _contracts(node, system):
    """Does an error signal reach this node: directly, or through adjoints?"""
    seen, stack = set(), [node]
    while stack:
        for part in c.walk(stack.pop()):
            equation = system.equations.get(part.name) if isinstance(part, c.Ref) else None
            if equation is None or equation.of is None or part.name in seen:
                continue
            if equation.role == "delta":
                return True
            seen.add(part.name)
            stack.append(equation.expression)
    return False


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
