"""Matrix form: a calculus expression as a print tree of matrices, by reduction of the graph of its factors.

Reads   an expression, the layout, and for its free indices the places and axes under which they are printed.
Gives   a tree of matrices, or FormError where an expression has none (then it is printed in index form).

Indices are vertices, factors are edges. Parallel factors multiply entry by entry; a summed vertex between two factors
is a matrix product, whose end points decide the transposes; a summed vertex with one factor is a product with ones; a
vector on a kept index of a matrix is a diagonal; an output index that no factor has is a broadcast, again by ones. Time
is a subscript; in the layout of one sample n is another, and a sum over a subscript stays a Σ in front.
"""

from dataclasses import dataclass
from fractions import Fraction

from .. import calculus as c
from .index_form import QUOTIENT, RELATIONS, IndexForm, multiply, multiply_plain, plus, softmax_of, summed
from .trees import (ONE, ZERO, Apply, Axis, Block, Cases, Diagonal, Divide, Extent, Hadamard, Indicator, MatMul, Norm,
                    Number, Ones, Place, Plus, Product, Quotient, Reduction, Softmax, Stack, Symbol, Transpose, axes_of)

__all__ = ["MatrixForm", "FormError", "SUBSCRIPTS"]

SUBSCRIPTS = {"sample": ("time", "sample", "pair"), "batch": ("time", "pair")}


class FormError(Exception):
    """The expression has no matrix form."""


@dataclass(frozen=True)
class Part:
    """A tree with the axes that run down its rows and across its columns (None: one)."""

    tree: object
    rows: object = None
    columns: object = None

    @property
    def ends(self):
        return tuple(axis for axis in (self.rows, self.columns) if axis is not None)

    def toward(self, rows):
        """The part with this axis as its rows."""
        if self.rows is rows:
            return self
        if self.columns is rows:
            return Part(transposed(self.tree), self.columns, self.rows)
        raise FormError(f"{self} has no side {rows}")

    @property
    def column(self):
        """A vector as a column."""
        return self if self.columns is None else self.toward(self.columns)


def transposed(tree):
    if isinstance(tree, Transpose):
        return tree.body
    if isinstance(tree, MatMul):
        return MatMul(tuple(transposed(factor) for factor in reversed(tree.factors)))
    if isinstance(tree, Hadamard):
        return Hadamard(tuple(transposed(factor) for factor in tree.factors))
    if isinstance(tree, Diagonal):
        return tree
    if isinstance(tree, Ones):
        return Ones(tree.columns, tree.rows)
    if isinstance(tree, Product):
        return Product((*tree.factors[:-1], transposed(tree.factors[-1])))
    return Transpose(tree)


class MatrixForm(IndexForm):
    """Builds matrix-form trees of one system in one layout."""

    def __init__(self, system, inline=frozenset(), layout="sample"):
        super().__init__(system, inline)
        self.subscripts = SUBSCRIPTS[layout]
        self.layout = layout

    def is_subscript(self, index):
        return index.kind in self.subscripts

    # -- leaves ----------------------------------------------------------------------------------------------------------

    def frame(self, stored, at):
        """(rows, columns) among a quantity's stored indices that are no subscripts; one entry is a subscript."""
        rest = [index for index in stored if not self.is_subscript(index) and isinstance(at[index].at, Axis)]
        if len(rest) > 2:
            raise FormError("a tensor of order 3")
        if len(rest) == 2:
            return tuple(reversed(rest)) if self.layout == "sample" and all(i.kind == "unit" for i in rest) else tuple(rest)
        return (rest[0] if rest else None), None

    def part(self, name, stored, at, edge=None):
        rows, columns = self.frame(stored, at)
        for index in (rows, columns):
            if index is not None and at[index].offset:
                raise FormError("a part of a matrix")
        down, across = (at[i].at if i is not None else None for i in (rows, columns))
        return Part(Symbol(name, tuple(at[i] for i in stored), edge, down, across, True), down, across)

    def left(self, equation, at):
        """(symbol, rows, columns) of a left-hand side."""
        part = self.part(equation.name, equation.axes, at)
        return part

    def _variable(self, node, at):
        return self.part(node.name, node.axes, at)

    def _ref(self, node, at):
        name = self.system.resolve(node.name)
        if name in self.inline:
            return self._tree(self.system.equations[name].expression, at)
        return self.part(name, self.axes_of(name), at)

    def _extent(self, node, at):
        return Part(Extent(node.symbol, node.power))

    # -- products --------------------------------------------------------------------------------------------------------

    def _einsum(self, node, at):
        single = [index for index in node.summed if index.extent == 1 and (self.is_subscript(index) or index.name.endswith(".one"))]
        bound = {index: Axis(index) for index in node.summed if index not in single}
        inner = {**at, **{index: Place(axis) for index, axis in bound.items()}, **dict.fromkeys(single, Place("first"))}
        factors = []
        for factor in node.factors:                                          # a square is a factor twice
            square = isinstance(factor, c.Map) and factor.function.name == "square"
            part = self._tree(factor.children[0] if square else factor, inner)
            factors += [part, part] if square else [part]
        free = [at[i].at for i in node.indices if not self.is_subscript(i)]
        over = [axis for index, axis in bound.items() if not self.is_subscript(index)]
        running = [axis for index, axis in bound.items() if self.is_subscript(index)]
        part = self.reduce(factors, over, free)
        body = part.tree
        if running:
            order = sorted(running, key=lambda axis: ("sample", "time", "pair", "unit").index(axis.index.kind))
            outside = [f for f in _factors(body) if not _moves(f, running)]
            inside = [f for f in _factors(body) if _moves(f, running)]
            body = multiply_matrix([*outside, summed(tuple(order), multiply_matrix(inside))])
        return Part(multiply_matrix([body], node.coefficient), part.rows, part.columns)

    def reduce(self, parts, over, free):
        """One part over the free axes: the product of parts, summed over ``over``."""
        if len(parts) == 2 and parts[0].tree == parts[1].tree and set(parts[0].ends) == set(over) and len(over) == 2:
            return Part(Norm(parts[0].tree))
        scalars = [p for p in parts if not p.ends]
        parts = [p for p in parts if p.ends]
        over = [axis for axis in over]
        while over:
            axis = min(over, key=lambda a: (sum(a in p.ends for p in parts), over.index(a)))
            over.remove(axis)
            touching = [p for p in parts if axis in p.ends]
            parts = [p for p in parts if axis not in p.ends]
            made = self.contract(touching, axis)
            (parts if made.ends else scalars).append(made)
        rows, columns = self.sides(free, parts)
        part = self.assemble(parts, rows, columns)
        return Part(multiply_matrix([*(s.tree for s in scalars), part.tree]) if part.tree != ONE or not scalars
                    else multiply([s.tree for s in scalars]), part.rows, part.columns)

    def contract(self, touching, axis):
        """Σ over one axis of the parts that have it."""
        if not touching:
            raise FormError("a sum over nothing")
        vectors = [p.column for p in touching if len(p.ends) == 1]
        matrices = self.parallel([p.toward(axis) for p in touching if len(p.ends) == 2])
        if len(matrices) > 2:
            raise FormError("three matrices meet in one index")
        if not matrices:
            if len(vectors) == 2 and vectors[0].tree == vectors[1].tree:
                return Part(Norm(vectors[0].tree))
            if len(vectors) == 1 and axis.index.extent == 1:
                return Part(vectors[0].tree)
            if len(vectors) == 1:
                return Part(MatMul((Ones(None, axis), vectors[0].tree)))
            *first, last = sorted((v.tree for v in vectors), key=_length)
            return Part(MatMul((transposed(hadamard(first)), last)))
        vector = hadamard([v.tree for v in vectors]) if vectors else None
        if len(matrices) == 1:
            matrix = matrices[0]
            other = matrix.columns
            return Part(matmul([transposed(matrix.tree), vector if vector is not None else Ones(axis, None)]), other)
        a, b = sorted(matrices, key=lambda p: _side(p.tree))
        middle = [Diagonal(vector)] if vector is not None else []
        return Part(matmul([transposed(a.tree), *middle, b.tree]), a.columns, b.columns)

    @staticmethod
    def parallel(matrices):
        """Matrices over the same pair of axes multiplied entry by entry; all have the common axis as their rows."""
        groups = {}
        for part in matrices:
            groups.setdefault(part.columns, []).append(part)
        return [Part(hadamard([p.tree for p in group]), group[0].rows, columns) for columns, group in groups.items()]

    def sides(self, free, parts):
        """Which free axis runs down and which across: by the stored order of the left-hand side."""
        free = [axis for axis in free if isinstance(axis, Axis)]
        if len(free) > 2:
            raise FormError("a tensor of order 3")
        if len(free) < 2:
            return (free[0] if free else None), None
        kinds = [axis.index.kind for axis in free]
        if "sample" in kinds:
            return tuple(sorted(free, key=lambda axis: axis.index.kind != "sample"))
        return self.orientation(free)

    def orientation(self, free):
        wanted = [axis for axis in (self.goal or ()) if axis in free]
        return tuple(wanted) if len(wanted) == 2 else tuple(free)

    goal = None

    def assemble(self, parts, rows, columns):
        """The parts over the free axes alone as one matrix rows × columns."""
        down = [p.column.tree for p in parts if p.ends == (rows,)]
        across = [p.column.tree for p in parts if p.ends == (columns,)]
        whole = [p.toward(rows).tree for p in parts if len(p.ends) == 2]
        if any(set(p.ends) - {rows, columns} for p in parts):
            raise FormError("an index is neither kept nor summed")
        if rows is None:
            return Part(ONE)
        if columns is None:
            return Part(hadamard(down) if down else Ones(rows, None), rows)
        if whole:
            factors = [Diagonal(hadamard(down))] * bool(down) + [hadamard(whole)] + [Diagonal(hadamard(across))] * bool(across)
            return Part(matmul(factors), rows, columns)
        left = hadamard(down) if down else Ones(rows, None)
        right = transposed(hadamard(across)) if across else Ones(None, columns)
        if not down and not across:
            return Part(Ones(rows, columns), rows, columns)
        return Part(matmul([left, right]), rows, columns)

    def spread(self, part, rows, columns):
        """The part broadcast to rows × columns; a scalar number stays one where ``rows`` is None."""
        if set(part.ends) == {axis for axis in (rows, columns) if axis is not None}:
            return part if rows is None or part.rows is rows else part.toward(rows)
        pieces = self.assemble([part] if part.ends else [], rows, columns)
        return pieces if part.ends else Part(multiply_matrix([part.tree, pieces.tree]), rows, columns)

    # -- sums and functions ------------------------------------------------------------------------------------------------

    def frame_of(self, node, at):
        return self.sides([at[i].at for i in node.indices if not self.is_subscript(i)], ())

    def _add(self, node, at):
        rows, columns = self.frame_of(node, at)
        terms = [(w, self.spread(self._tree(term, at), rows, columns).tree) for w, term in node.terms]
        return Part(plus(terms), rows, columns)

    def _map(self, node, at):
        rows, columns = self.frame_of(node, at)
        soft = softmax_of(node)
        if soft is not None:
            body, index = soft
            body = self.spread(self._tree(body, at), rows, columns).tree
            return Part(Softmax(body, at[index].at, Axis(index), rows is at[index].at), rows, columns)
        name, parts = node.function.name, [self._tree(child, at) for child in node.children]
        operands = tuple(p.tree if isinstance(p.tree, Number) else self.spread(p, rows, columns).tree for p in parts)
        if name in QUOTIENT:
            return Part(Quotient(ONE, operands[0]) if rows is None else Divide(Ones(rows, columns), operands[0]), rows, columns)
        if name == "square":
            return Part(hadamard([operands[0], operands[0]]) if rows is not None else multiply([operands[0]] * 2), rows, columns)
        if name in RELATIONS:
            return Part(RELATIONS[name](*operands), rows, columns)
        if name == "relu" and not isinstance(node.children[0], (c.Ref, c.Variable)):
            return Part(Apply(c.FUNCTIONS["maximum"], (ZERO, operands[0])), rows, columns)
        return Part(Apply(node.function, operands), rows, columns)

    def _reduce(self, node, at):
        bound = {index: Axis(index) for index in node.over}
        body = self._tree(node.operand, {**at, **{i: Place(a) for i, a in bound.items()}})
        if all(self.is_subscript(index) for index in node.over) and node.kind == "max":
            return Part(Reduction("max", tuple(bound.values()), body.tree), body.rows, body.columns)
        if node.kind != "logsumexp" or len(bound) != 1:
            raise FormError("a maximum over units")
        exponential = Part(Apply(c.FUNCTIONS["exp"], (body.tree,)), body.rows, body.columns)
        axis, = bound.values()
        free = [at[i].at for i in node.indices if not self.is_subscript(i)]
        inner = self.reduce([exponential], [axis], free)
        return Part(Apply(c.FUNCTIONS["log"], (inner.tree,)), inner.rows, inner.columns)

    def _onehot(self, node, at):
        ids, place = self._tree(node.ids, at), at[node.index]
        if not isinstance(place.at, Axis) or place.offset:
            raise FormError("one entry of an indicator")
        if ids.rows is None:
            return Part(Indicator(ids.tree, place.at), place.at)
        return Part(Indicator(ids.tree, place.at, False), ids.rows, place.at)

    def _slice(self, node, at):
        if self.is_subscript(node.index):
            return super()._slice(node, at)
        axis, whole = at[node.new].at, Axis(node.index)
        if not isinstance(axis, Axis):
            raise FormError("one entry of a matrix")
        part = self._tree(node.operand, {i: Place(whole) if i == node.index else at[i] for i in node.operand.indices})
        down = part.rows is whole
        block = Block(part.tree, node.start, node.start + node.new.extent, down)
        return Part(block, axis if down else part.rows, part.columns if down else axis)

    def _join(self, node, at):
        if self.is_subscript(node.index):
            rows, columns = self.frame_of(node, at)
            made = super()._join(node, at)
            return Part(Cases(tuple((self.spread(part, rows, columns).tree, when) for part, when in made.cases)), rows, columns)
        joined, blocks, down = at[node.index].at, [], True
        rows, columns = self.frame_of(node, at)
        for operand, own in zip(node.children, node.parts):
            axis = Axis(own)
            part = self._tree(operand, {i: Place(axis) if i == own else at[i] for i in operand.indices})
            down = rows is joined
            part = self.spread(part, axis if down else rows, columns if down else axis)
            blocks.append(part.tree)
        return Part(Stack(tuple(blocks), down), rows, columns)

    def shifted(self, node, axis, inside, edge):
        outside = edge.tree if edge.tree == ZERO else self.spread(edge, inside.rows, inside.columns).tree
        if c.is_zero(node.edge):
            outside = ZERO
        return Part(super().shifted(node, axis, inside.tree, outside), inside.rows, inside.columns)


def matmul(factors):
    flat = []
    for factor in factors:
        flat += factor.factors if isinstance(factor, MatMul) else [factor]
    return flat[0] if len(flat) == 1 else MatMul(tuple(flat))


def hadamard(factors):
    """Entry by entry; divisions come last, ones vanish."""
    flat, below = [], []
    for factor in factors:
        if isinstance(factor, Divide):
            flat += [] if isinstance(factor.top, Ones) else [factor.top]
            below.append(factor.bottom)
        else:
            flat += factor.factors if isinstance(factor, Hadamard) else [factor]
    if below:
        top = hadamard(flat) if flat else next(f.top for f in factors if isinstance(f, Divide))
        return Divide(top, hadamard(below))
    flat.sort(key=_entry_order)
    return flat[0] if len(flat) == 1 else Hadamard(tuple(flat))


def _entry_order(tree):
    """Matrix products first, then symbols, brackets, slopes: (Wᵀδ) ⊙ a ⊙ (1 − a)."""
    if isinstance(tree, Apply):
        return 3
    return 2 if isinstance(tree, Plus) and not any(isinstance(t, MatMul) for _, t in tree.terms) else \
        1 if isinstance(tree, Symbol) else 0


def _length(tree):
    return 1 if isinstance(tree, Symbol) else 2


def _side(tree):
    """In a product of two matrices over a summed index: the data's side first, for Xᵀ Δ."""
    name = tree.name if isinstance(tree, Symbol) else tree.body.name if isinstance(tree, Transpose) and isinstance(
        tree.body, Symbol) else ""
    return "delta" in name or name.startswith("adj.")


def _factors(tree):
    return list(tree.factors) if isinstance(tree, Product) else [tree]


def _moves(tree, running):
    return any(axis in running for axis in axes_of(tree))


def multiply_matrix(factors, coefficient=Fraction(1)):
    """A scalar times matrices that are already one: numbers, 1/N and scalars before the one matrix."""
    scalars, rest, below = [], [], []
    for factor in factors:
        for part in _factors(factor):
            if isinstance(part, MatMul) and isinstance(part.factors[0], Plus) and all(w < 0 for w, _ in part.factors[0].terms):
                coefficient = -coefficient
                part = MatMul((plus([(-w, t) for w, t in part.factors[0].terms]), *part.factors[1:]))
            if isinstance(part, Number):
                coefficient *= part.value
            elif isinstance(part, Plus) and len(part.terms) == 1:
                coefficient *= part.terms[0][0]
                rest += _factors(part.terms[0][1])
            elif isinstance(part, Plus) and coefficient == -1 and len(factors) == 1:
                return plus([(-w, t) for w, t in part.terms])
            else:
                if isinstance(part, Quotient) and len(factors) > 1:
                    below.append(part.bottom)
                    part = part.top
                if part != ONE:
                    (scalars if isinstance(part, Extent) else rest).append(part)
    body = multiply_plain([*scalars, *rest]) if scalars or rest else None
    if below:
        under = multiply(below)
        if isinstance(under, Plus) and len(under.terms) == 1:
            coefficient, under = coefficient / under.terms[0][0], under.terms[0][1]
        body = Quotient(body or ONE, under)
    if body is None:
        return Number(coefficient)
    return body if coefficient == 1 else Plus(((coefficient, body),))
