"""Index form: a calculus expression as a print tree with explicit sums.

Reads   an expression and, for its free indices, the axes under which they are printed.
Gives   a tree. Renamed indices, shifts in time, slices and edges disappear into the places of symbols; where a shifted
        expression has an edge of its own the formula splits into cases.
"""

from fractions import Fraction

from .. import calculus as c
from .trees import (ONE, ZERO, Apply, Axis, Cases, Choice, Comparison, Divide, Extent, Hadamard, Iverson, MatMul, Number, Ones, Outside, Place, Plus, Power, Product, Quotient,
                    Reduction, Softmax, Sum, Symbol, rewrite, walk)

__all__ = ["IndexForm", "multiply", "multiply_plain", "plus", "summed", "softmax_of", "reading_order"]

QUOTIENT = {"reciprocal"}
POWERS = {"square": 2}
SUMMED = ("sample", "time", "pair", "unit")               # the order of several Σ


def choice(condition, yes, no):
    """select: a bracket [a > b] where it chooses between 1 and 0."""
    if isinstance(condition, Comparison) and (yes, no) == (ONE, ZERO):
        return condition
    if isinstance(condition, Comparison) and (yes, no) == (ZERO, ONE) and condition.relation == ">":
        return Comparison("≤", condition.left, condition.right)
    return Choice(condition, yes, no)


RELATIONS = {"greater": lambda a, b: Comparison(">", a, b), "equal": lambda a, b: Comparison("=", a, b),
             "step": lambda a: Comparison(">", a, ZERO), "select": choice}


class IndexForm:
    """Builds index-form trees of one system."""

    def __init__(self, system, inline=frozenset()):
        self.system, self.inline = system, inline

    def symbol(self, name, axes):
        """The left-hand side, or any named quantity, under these axes {index: Axis}."""
        stored = self.axes_of(name)
        return Symbol(name, tuple(Place(axes[index]) for index in stored))

    def axes_of(self, name):
        name = self.system.resolve(name)
        if name in self.system.equations:
            return self.system.equations[name].axes
        return self.system.variables[name].axes

    # -- one method per node -------------------------------------------------------------------------------------------

    def tree(self, node, axes):
        """The tree of a node; ``axes`` {index: Place} says where each of its free indices is read."""
        places = {index: place if isinstance(place, Place) else Place(place) for index, place in axes.items()}
        return self._tree(node, places)

    def _tree(self, node, at):
        return getattr(self, "_" + type(node).__name__.lower())(node, at)

    def _variable(self, node, at):
        return Symbol(node.name, tuple(at[index] for index in node.axes))

    def _ref(self, node, at):
        if node.name in self.inline:
            return self._tree(self.system.equations[node.name].expression, at)
        return Symbol(node.name, tuple(at[index] for index in self.system.equations[node.name].axes))

    def _extent(self, node, at):
        return Extent(node.symbol, node.power)

    def _einsum(self, node, at):
        bound = {index: Axis(index) for index in node.summed if index.extent != 1 or _weighted(index, node)}
        inner = {**at, **{index: Place(axis) for index, axis in bound.items()},
                 **{index: Place("first") for index in node.summed if index not in bound}}
        outside = [f for f in node.factors if not set(f.indices) & set(bound)]
        inside = [f for f in node.factors if f not in outside]
        factors = [self._tree(f, inner) for f in outside]
        if inside:
            body = [self._tree(f, inner) for f in inside]
            if bound:
                order = sorted(bound, key=lambda i: SUMMED.index(i.kind))
                factors.append(summed(tuple(bound[i] for i in order), multiply(body)))
            else:
                factors += body
        return multiply(factors, node.coefficient)

    def _add(self, node, at):
        terms = [(coefficient, self._tree(term, at)) for coefficient, term in node.terms]
        return plus(terms)

    def _map(self, node, at):
        soft = softmax_of(node)
        if soft is not None:
            body, index = soft
            bound = Axis(index)
            return Softmax(self._tree(body, at), at[index].at, bound)
        operands = tuple(self._tree(child, at) for child in node.children)
        name = node.function.name
        if name in QUOTIENT:
            return Quotient(ONE, operands[0])
        if name in POWERS:
            return Power(operands[0], POWERS[name])
        if name in RELATIONS:
            return RELATIONS[name](*operands)
        if name == "relu" and not isinstance(node.children[0], (c.Ref, c.Variable)):
            return Apply(c.FUNCTIONS["maximum"], (ZERO, operands[0]))
        return Apply(node.function, operands)

    def _reduce(self, node, at):
        bound = {index: Axis(index) for index in node.over}
        body = self._tree(node.operand, {**at, **{i: Place(a) for i, a in bound.items()}})
        return Reduction(node.kind, tuple(bound.values()), body)

    def _onehot(self, node, at):
        return Iverson(self._tree(node.ids, at), at[node.index])

    def _rename(self, node, at):
        to = dict(node.pairs)
        return self._tree(node.operand, {index: at[to.get(index, index)] for index in node.operand.indices})

    def _slice(self, node, at):
        place = at[node.new]
        moved = Place(place.at, place.offset + node.start)
        return self._tree(node.operand, {i: moved if i == node.index else at[i] for i in node.operand.indices})

    def _join(self, node, at):
        place, start, cases = at[node.index], 0, []
        for operand, own in zip(node.children, node.parts):
            if not isinstance(place.at, Axis):                       # one position: the part that holds it
                position = place.offset if place.at == "first" else node.index.extent - 1 + place.offset
                if start <= position < start + own.extent:
                    inner = {i: Place("first", position - start) if i == own else at[i] for i in operand.indices}
                    return self._tree(operand, inner)
                start += own.extent
                continue
            inner = {i: Place(place.at, place.offset - start) if i == own else at[i] for i in operand.indices}
            cases.append((self._tree(operand, inner),
                          Outside(place.at, "range", start - place.offset, start + own.extent - place.offset)))
            start += own.extent
        return Cases(tuple(cases))

    def _scaled(self, node, at):
        return self._tree(node.operand, at)

    def _edge(self, node, at):
        return self._tree(node.operand, {**at, node.time: Place(node.which)})

    def _shift(self, node, at):
        place = at[node.time]
        if not isinstance(place.at, Axis):                           # at the first or last step it is known which it is
            outside = (place.at == "first") == (node.step > 0)
            if outside and not place.offset:
                return self._tree(node.edge, at)
            return self._tree(node.operand, {**at, node.time: Place(place.at, place.offset - node.step)})
        moved = {**at, node.time: Place(place.at, place.offset - node.step)}
        inside = self._tree(node.operand, moved)
        edge = self._tree(node.edge, {i: p for i, p in at.items() if i != node.time})
        return self.shifted(node, place.at, inside, edge)

    def shifted(self, node, axis, inside, edge):
        """What stands inside the range of time, with the value outside of it."""
        if _is_reference(node.operand) and isinstance(inside, Symbol):
            return Symbol(inside.name, inside.places, edge, inside.rows, inside.columns, inside.matrix)
        if c.is_zero(node.edge) and _vanishes(node.operand, node.time, self):
            return _edged(inside, axis)
        when = ("first", "later") if node.step > 0 else ("last", "earlier")
        return Cases(((edge, Outside(axis, when[0])), (_edged(inside, axis), Outside(axis, when[1]))))


def _weighted(index, node):
    """Does a parameter carry the index? Then its Σ stays, though it has one term."""
    return any(isinstance(factor, c.Variable) and factor.role == "parameter" and index in factor.indices for factor in node.factors)


def _is_reference(node):
    while isinstance(node, (c.Rename, c.Scaled)):
        node = node.children[0]
    return isinstance(node, (c.Ref, c.Variable))


def _vanishes(node, time, form):
    """Is the expression 0 where every symbol in it is 0: products and sums of things that move with time?"""
    if time not in node.indices:
        return False
    if isinstance(node, c.Ref) and node.name in form.inline:
        return _vanishes(form.system.equations[node.name].expression, time, form)
    if isinstance(node, (c.Ref, c.Variable)):
        return True
    if isinstance(node, c.Einsum):
        return any(_vanishes(factor, time, form) for factor in node.factors)
    if isinstance(node, c.Add):
        return all(_vanishes(term, time, form) for term in node.children)
    if isinstance(node, (c.Rename, c.Scaled, c.Shift)):
        return _vanishes(node.children[0], time, form)
    return False


def _edged(tree, axis):
    """Every symbol that is read at another step than ``axis`` gets the value 0 outside the range."""
    def rule(node):
        if isinstance(node, Symbol) and node.edge is None and any(p.at is axis and p.offset for p in node.places):
            return Symbol(node.name, node.places, ZERO, node.rows, node.columns, node.matrix)
    return rewrite(tree, rule)


def softmax_of(node):
    """(operand, index) where the node is exp(u − logsumexp u), else None."""
    if not (isinstance(node, c.Map) and node.function.name == "exp" and isinstance(node.children[0], c.Add)):
        return None
    terms = list(node.children[0].terms)
    for k, (coefficient, term) in enumerate(terms):
        if coefficient == -1 and isinstance(term, c.Reduce) and term.kind == "logsumexp" and len(term.over) == 1:
            rest = c.add([t for j, (_, t) in enumerate(terms) if j != k], [w for j, (w, _) in enumerate(terms) if j != k])
            if rest is term.operand:
                return rest, term.over[0]
    return None


# ---------------------------------------------------------------------------------------------------- tidy trees

def multiply(factors, coefficient=Fraction(1)):
    """A product of trees: nested products opened, equal factors as powers, one divided by something as a fraction."""
    flat, below = [], []
    for factor in factors:
        for part in factor.factors if isinstance(factor, Product) else (factor,):
            if isinstance(part, Number):
                coefficient *= part.value
            elif isinstance(part, Plus) and len(part.terms) == 1:
                coefficient *= part.terms[0][0]
                flat.append(part.terms[0][1])
            elif isinstance(part, Quotient) and part.top == ONE:
                below.append(part.bottom)
            elif isinstance(part, Extent) and part.power < 0:
                flat.append(part)
            else:
                flat.append(part)
    counted = {}
    for factor in flat:
        base, exponent = (factor.body, factor.exponent) if isinstance(factor, Power) else (factor, 1)
        counted[base] = counted.get(base, 0) + exponent
    flat = sorted((base if exponent == 1 else Power(base, exponent) for base, exponent in counted.items()), key=reading_order)
    if below:
        under = multiply(below)
        if isinstance(under, Plus) and len(under.terms) == 1:
            coefficient, under = coefficient / under.terms[0][0], under.terms[0][1]
        fraction = Quotient(multiply_plain(flat), under)
        return fraction if coefficient == 1 else Plus(((coefficient, fraction),))
    if not flat:
        return Number(coefficient)
    if len(flat) == 1 and isinstance(flat[0], Plus) and coefficient < 0 and all(w < 0 for w, _ in flat[0].terms):
        coefficient, flat = -coefficient, [Plus(tuple((-w, t) for w, t in flat[0].terms))]
    body = multiply_plain(flat)
    return body if coefficient == 1 else Plus(((coefficient, body),))


def multiply_plain(factors):
    return factors[0] if len(factors) == 1 else Product(tuple(factors)) if factors else ONE


def reading_order(tree):
    """1/N, scalars, error signals, parameters, values, sums, brackets: as a textbook orders factors."""
    if isinstance(tree, Extent):
        return 0
    base = tree.body if isinstance(tree, Power) else tree
    if isinstance(base, Symbol):
        name = base.name
        if not base.places:
            return 1
        if name in ("w",) or name.startswith("w."):
            return 2
        if "delta" in name.rpartition(".")[2]:
            return 3
        if name.startswith(("adj.", "grad.")):
            return 3
        return 4 if name.rpartition(".")[2][:1].isupper() else 5
    if isinstance(base, Iverson):
        return 5
    if isinstance(base, (Sum, Cases)):
        return 6
    if isinstance(base, Apply):
        return 8 if base.prime is None else 9
    return 7


def plus(terms):
    """A sum of trees: nested sums opened, positive terms first."""
    flat = []
    for coefficient, term in terms:
        if isinstance(term, Plus):
            flat += [(coefficient * inner, part) for inner, part in term.terms]
        elif isinstance(term, Number):
            flat.append((coefficient * term.value, ONE))
        else:
            flat.append((coefficient, term))
    flat = [_turned(w, t) for w, t in flat if w]
    cases = [(w, t) for w, t in flat if isinstance(t, Cases)]
    if cases and len(flat) > 1 and all([k for _, k in t.cases] == [k for _, k in cases[0][1].cases] for _, t in cases):
        rest = [(w, t) for w, t in flat if not isinstance(t, Cases)]          # one brace around the whole sum
        return Cases(tuple((plus([*((w, t.cases[k][0]) for w, t in cases), *rest]), condition)
                           for k, (_, condition) in enumerate(cases[0][1].cases)))
    if not flat:
        return ZERO
    flat.sort(key=lambda pair: (pair[0] < 0, adding_order(pair[1]), reading_offset(pair[1]), sum(1 for _ in walk(pair[1]))))
    if len(flat) == 1 and flat[0][0] == 1:
        return flat[0][1]
    return Plus(tuple(flat))


def _turned(coefficient, term):
    """−u (y − 1) as u (1 − y)."""
    top = term.top if isinstance(term, (Quotient, Divide)) else term
    factors = list(top.factors) if isinstance(top, (Product, Hadamard)) else [top]
    for k, factor in enumerate(factors):
        if coefficient < 0 and isinstance(factor, Plus) and len(factor.terms) == 2:
            (w, first), (v, second) = factor.terms
            minus = second if v < 0 else first
            if {w, v} == {1, -1} and (minus == ONE or isinstance(minus, Ones)):
                factors[k] = plus([(-w, first), (-v, second)])
                turned = factors[0] if len(factors) == 1 else type(top)(tuple(factors))
                return -coefficient, turned if top is term else type(term)(turned, term.bottom)
    return coefficient, term


def reading_offset(tree):
    """Terms that read parts of one quantity stand in the order of the parts."""
    return max((place.offset for node in walk(tree) if isinstance(node, Symbol) for place in node.places
                if isinstance(place.at, Axis) and place.at.index.kind == "unit"), default=0)


def adding_order(tree):
    """Weighted sums before biases, everything else before and as it comes; numbers first."""
    if tree == ONE:
        return -1
    if isinstance(tree, Product) and isinstance(tree.factors[0], Symbol) and tree.factors[0].name[:2] in ("la", "mu"):
        return 3
    if not isinstance(tree, (Sum, MatMul)) or isinstance(tree, MatMul) and isinstance(tree.factors[0], Ones):
        return 2
    return 1 if any(isinstance(node, Symbol) and node.edge is not None for node in walk(tree)) else 0


def summed(axes, body):
    """Σ over axes; a factor or sign that every term shares stands before the Σ."""
    if isinstance(body, Plus) and (len(body.terms) == 1 or all(w < 0 for w, _ in body.terms)):
        common = body.terms[0][0] if len(body.terms) == 1 else Fraction(-1)
        return Plus(((common, Sum(axes, plus([(w / common, t) for w, t in body.terms]))),))
    return Sum(axes, body)
