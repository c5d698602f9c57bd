"""Print trees to boxes: brackets by precedence, signs, subscripts, orders of indices.

Reads   a tree, a Namer, the letters of its axes and the layout.
Gives   boxes; the same for every format.
"""

from fractions import Fraction

from .boxes import Bar, Big, CaseBox, Digits, Fence, Fraction_, Id, Matrix, Op, Row, Scripted, Under, Words
from .trees import (ONE, ZERO, Apply, Axis, Comparison, Divide, Hadamard, MatMul, Norm, Number, Ones, Place, Plus, Product, Reduction, Softmax, Sum, Symbol, Transpose, axes_of, rewrite, walk)
from .words import phrase

__all__ = ["Composer", "letters_for"]

SUM, PRODUCT, ATOM = 0, 1, 2
SHORT = {"sigmoid": "σ", "maximum": "max", "minimum": "min"}


def letters_for(trees, notation, order, free=()):
    """{axis: letter} for a line: its own unit index, those of layers below and above it, primes where two would clash.

    ``order`` ranks unit indices from the input upwards; ``free`` are the axes of the left-hand side.
    """
    axes = list(dict.fromkeys([*free, *(axis for tree in trees for axis in axes_of(tree))]))
    axes.sort(key=lambda axis: axis.index.name.endswith("'") and axis in free)          # the prime goes to the primed index
    ranks = {axis: order.get(_base(axis.index), 0) for axis in axes if _plain_unit(axis)}
    own = max((ranks[axis] for axis in free if axis in ranks), default=None)
    below, above = _ladders(ranks, own, trees, notation)
    letters, taken = {}, {}
    for axis in axes:
        if axis not in ranks:
            letter = axis.index.letter.rstrip("'")
        elif own is None:
            letter = below.get(axis, notation.sole)
        else:
            rank = ranks[axis]
            letter = notation.free if rank == own else (below if rank < own else above)[rank]
        while any(other is not axis and _meet(axis, other, trees, free) for other in taken.get(letter, ())):
            letter += "'"
        letters[axis] = letter
        taken.setdefault(letter, []).append(axis)
    return letters


def _ladders(ranks, own, trees, notation):
    """Letters by rank below and above the line's own unit index; without one, by the two sides of each matrix."""
    if own is None:
        sides = {}
        for node in (node for tree in trees for node in walk(tree)):
            units = [p.at for p in getattr(node, "places", ()) if p.at in ranks] if isinstance(node, Symbol) else ()
            if len(units) == 2:
                low, high = sorted(units, key=lambda axis: (ranks[axis], not axis.index.name.endswith("'")))
                sides.update({low: notation.below[0] if ranks[low] < ranks[high] else notation.free, high: notation.free})
        return sides, {}
    down = sorted({rank for rank in ranks.values() if rank < own}, reverse=True)
    up = sorted({rank for rank in ranks.values() if rank > own})
    return ({rank: notation.below[min(k, len(notation.below) - 1)] for k, rank in enumerate(down)},
            {rank: notation.above[min(k, len(notation.above) - 1)] for k, rank in enumerate(up)})


def _base(index):
    return index.name.rstrip("'")


def _plain_unit(axis):
    return axis.index.kind == "unit" and axis.index.letter.rstrip("'") in ("i", "j", "k")


def _meet(a, b, trees, free):
    """Do two axes stand in one scope? A free axis meets everything; two bound ones meet where one's Σ holds the other."""
    if a in free or b in free:
        return True
    return any(_holds(tree, a, b) or _holds(tree, b, a) for tree in trees)


def _holds(tree, outer, inner):
    for node in walk(tree):
        over = node.over if isinstance(node, (Sum, Reduction)) else (node.bound,) if isinstance(node, Softmax) else ()
        if outer in over and inner in axes_of(node):
            return True
    return False


class Composer:
    """Turns trees into boxes with one Namer, one set of letters and one layout."""

    def __init__(self, namer, letters, layout="sample", shapes=False, language="en"):
        self.namer, self.letters, self.layout, self.shapes = namer, letters, layout, shapes
        self.otherwise = Words(phrase("otherwise", language))
        self.notation = namer.notation

    def box(self, tree, level=SUM):
        """The box of a tree, in brackets if it binds weaker than ``level``."""
        made, own = getattr(self, type(tree).__name__.lower())(tree)
        return made if own >= level else Fence("(", made, ")")

    # -- one method per node: (box, how tightly it binds) ----------------------------------------------------------------

    def number(self, tree):
        return number_box(tree.value), ATOM if tree.value >= 0 else SUM

    def extent(self, tree):
        symbol = self.notation.samples if tree.symbol == "N" else tree.symbol
        if tree.power == 1:
            return Id(symbol), ATOM
        if tree.power == -1:
            return Fraction_(Digits("1"), Id(symbol), small=True), ATOM
        return Scripted(Id(symbol), sup=Digits(str(tree.power))), ATOM

    def symbol(self, tree):
        large = tree.matrix and tree.rows is not None and tree.columns is not None and tree.rows.index.kind == "sample"
        made = self.namer.box(tree.name, self.subscripts(tree), tree.matrix, large)
        return self.shaped(made, tree.rows, tree.columns), ATOM

    def shaped(self, box, rows, columns):
        """The box with its shape under it, where shapes are asked for and it is a matrix."""
        if not self.shapes or rows is None:
            return box
        length = [self.notation.samples if side and side.index.extent == "N" else str(side.index.extent) if side else "1"
                  for side in (rows, columns)]
        return Under(box, "×".join(length))

    def subscripts(self, tree):
        places = list(tree.places)
        if tree.matrix:
            places = [p for p in places if p.at not in (tree.rows, tree.columns)]
        elif self.layout == "sample" and len(places) == 2 and self.is_parameter(tree.name):
            places.reverse()
        return tuple(self.place(p) for p in places)

    def is_parameter(self, name):
        system = self.namer.system
        if system is None:
            return False
        name = system.resolve(name)
        if name in system.equations:
            of = system.equations[name].of
            return of is not None and self.is_parameter(of)
        return name in system.variables and system.variables[name].role == "parameter"

    def place(self, place):
        if isinstance(place.at, Axis):
            letter = self.letters[place.at]
            return letter + (f"{place.offset:+d}".replace("-", "−") if place.offset else "")
        if place.at == "first":
            return str(1 + place.offset)
        return "T" + (f"{place.offset:+d}".replace("-", "−") if place.offset else "")

    def product(self, tree):
        kept = tuple(f for f in tree.factors if not (isinstance(f, Ones) and single(f)))
        if len(kept) == 1:
            return getattr(self, type(kept[0]).__name__.lower())(kept[0])
        tree = Product(kept) if kept else tree
        return Row(self.factors(tree.factors, "juxtaposed")), PRODUCT

    def factors(self, factors, kind, sign=""):
        items = []
        for k, factor in enumerate(factors):
            if k:
                bracketed = isinstance(factor, (Plus, Sum)) or isinstance(factors[k - 1], (Plus, Sum))
                dot = isinstance(factor, Apply) and factor.prime is not None or isinstance(factors[k - 1], Number)
                items.append(Op("·" if dot and not sign else sign, "infix" if sign or dot else
                                "tight" if bracketed else kind))
            last_sum = isinstance(factor, Sum) and k == len(factors) - 1 and not any(
                isinstance(f, (Sum,)) for f in factors[:k])
            items.append(self.box(factor, PRODUCT if last_sum and not sign else ATOM if isinstance(factor, Sum) else PRODUCT))
        return tuple(items)

    def sum(self, tree):
        signs = tuple(Big("Σ", Id(self.letters[axis])) for axis in tree.over)
        return Row((*signs, self.box(tree.body, PRODUCT))), PRODUCT

    def plus(self, tree):
        items = []
        for k, (coefficient, term) in enumerate(tree.terms):
            magnitude = abs(coefficient)
            if coefficient < 0:
                items.append(Op("−", "infix" if k else "prefix"))
            elif k:
                items.append(Op("+", "infix"))
            if term == ONE:
                items.append(number_box(magnitude))
                continue
            if magnitude != 1:
                items += [number_box(magnitude), Op("", "juxtaposed")]
            items.append(self.box(term, PRODUCT))
        return Row(tuple(items)), PRODUCT if len(tree.terms) == 1 and tree.terms[0][0] > 0 else SUM

    def function(self, function, prime=False):
        """The head of an elementwise function: σ, tanh, or the letter that the notation gives the one activation."""
        letter = self.notation.function if self.notation.function and function.name == self.namer.activation else None
        name = letter or SHORT.get(function.name, function.name)
        return Id(name + ("′" if prime else ""), "italic" if len(name) == 1 else "upright")

    def apply(self, tree):
        if tree.function.name == "abs" and tree.prime is None:
            return Fence("|", self.box(tree.operands[0]), "|"), ATOM
        return Bar(self.function(tree.function, tree.prime is not None), tuple(self.box(x) for x in tree.operands)), ATOM

    def power(self, tree):
        base = self.box(tree.body, ATOM)
        return Scripted(base, sup=Digits(str(tree.exponent))), ATOM

    def quotient(self, tree):
        return Fraction_(self.box(tree.top), self.box(tree.bottom)), PRODUCT

    def reduction(self, tree):
        inner = Row(tuple(Id(self.letters[axis]) for axis in tree.over if axis in self.letters))
        if tree.kind == "max":
            return Row((Big("max", inner), self.box(tree.body, PRODUCT))), PRODUCT
        return Row((Id("log ", "upright"), Big("Σ", inner), Bar(Id("exp", "upright"), (self.box(tree.body),)))), PRODUCT

    def softmax(self, tree):
        if tree.down is not None:
            return Bar(Id("softmax", "upright"), (self.box(tree.body),)), ATOM

        def moved(node):
            if isinstance(node, Symbol) and any(p.at is tree.over for p in node.places):
                return Symbol(node.name, tuple(Place(tree.bound, p.offset) if p.at is tree.over else p for p in node.places),
                              node.edge, node.rows, node.columns, node.matrix)
        exp = Id("exp", "upright")
        below = Row((Big("Σ", Id(self.letters[tree.bound])), Bar(exp, (self.box(rewrite(tree.body, moved)),))))
        return Fraction_(Bar(exp, (self.box(tree.body),)), below), PRODUCT

    def iverson(self, tree):
        return Fence("[", Row((self.box(tree.ids), Op("="), Id(self.place(tree.axis)))), "]"), ATOM

    def comparison(self, tree):
        return Fence("[", self.relation(tree), "]"), ATOM

    def relation(self, tree):
        return Row((self.box(tree.left), Op(tree.relation), self.box(tree.right)))

    def choice(self, tree):
        condition = tree.condition
        if not isinstance(condition, Comparison):
            condition = Comparison(">", condition, ZERO)
        return CaseBox(((self.box(tree.yes), self.relation(condition)), (self.box(tree.no), self.otherwise))), ATOM

    def cases(self, tree):
        return CaseBox(tuple((self.box(value), self.outside(condition)) for value, condition in tree.cases)), SUM

    def outside(self, tree):
        letter, last = Id(self.letters[tree.axis]), Id("T")
        relation = {"first": ("=", Digits("1")), "later": (">", Digits("1")), "last": ("=", last), "earlier": ("<", last)}
        if tree.kind in relation:
            sign, value = relation[tree.kind]
            return Row((letter, Op(sign), value))
        start, stop = Digits(str(tree.start + 1)), Digits(str(tree.stop))
        if tree.stop == tree.start + 1:
            return Row((letter, Op("="), start))
        return Row((start, Op("≤"), letter, Op("≤"), stop))

    # -- matrix form -----------------------------------------------------------------------------------------------------

    def matmul(self, tree):
        items = []
        factors = [f for f in tree.factors if not (isinstance(f, Ones) and single(f))] or [tree.factors[0]]
        if len(factors) == 1:
            return getattr(self, type(factors[0]).__name__.lower())(factors[0])
        for k, factor in enumerate(factors):
            if k:
                items.append(Op("", "juxtaposed"))
            items.append(self.box(factor, ATOM if isinstance(factor, (Hadamard, Divide, Sum)) else PRODUCT))
        return Row(tuple(items)), PRODUCT

    def hadamard(self, tree):
        if single(tree):
            return Row(self.factors(tree.factors, "juxtaposed")), PRODUCT
        items = []
        for k, factor in enumerate(tree.factors):
            if k:
                items.append(Op(self.notation.hadamard))
            items.append(self.box(factor, ATOM if isinstance(factor, (MatMul, Product, Sum, Divide)) else PRODUCT))
        return Row(tuple(items)), PRODUCT

    def divide(self, tree):
        if single(tree):
            return Fraction_(self.box(tree.top), self.box(tree.bottom)), PRODUCT
        return Row((self.box(tree.top, ATOM), Op("⊘"), self.box(tree.bottom, ATOM))), PRODUCT

    def norm(self, tree):
        return Scripted(Fence("‖", self.box(tree.body), "‖"), sup=Digits("2")), ATOM

    def transpose(self, tree):
        if self.shapes and isinstance(tree.body, Symbol) and tree.body.rows is not None:
            plain = Composer.box(self.without_shapes(), tree.body, ATOM)
            return self.shaped(Scripted(plain, sup=Id("T", "transpose")), tree.body.columns, tree.body.rows) \
                if tree.body.columns is not None else Under(Scripted(plain, sup=Id("T", "transpose")),
                                                            f"1×{tree.body.rows.index.extent}"), ATOM
        return Scripted(self.box(tree.body, ATOM), sup=Id("T", "transpose")), ATOM

    def block(self, tree):
        return Scripted(Fence("[", self.box(tree.body), "]"), sub=Row((Digits(str(tree.start + 1)), Op(":", "tight"),
                                                                       Digits(str(tree.stop))))), ATOM

    def indicator(self, tree):
        return Bar(Id("onehot", "upright"), (self.box(tree.ids),)), ATOM

    def without_shapes(self):
        bare = Composer(self.namer, self.letters, self.layout)
        bare.otherwise = self.otherwise
        return bare

    def diagonal(self, tree):
        return Bar(Id("diag", "upright"), (self.box(tree.body),)), ATOM

    def ones(self, tree):
        if single(tree):
            return Digits("1"), ATOM
        one = Id("1", "bold")
        return (Scripted(one, sup=Id("T", "transpose")) if tree.rows is None and tree.columns is not None else one), ATOM

    def stack(self, tree):
        boxes = tuple(self.box(block) for block in tree.blocks)
        return Matrix(tuple((b,) for b in boxes) if tree.down else (boxes,)), ATOM


def single(tree):
    """Is everything in the tree one number, a 1 × 1 matrix: no products of matrices, all extents 1?"""
    for node in walk(tree):
        if isinstance(node, (MatMul, Transpose, Norm)):
            return False
        if isinstance(node, (Symbol, Ones)) and any(side is not None and side.index.extent != 1
                                                    for side in (node.rows, node.columns)):
            return False
    return True


def number_box(value):
    value = Fraction(value)
    if value < 0:
        return Row((Op("−", "prefix"), number_box(-value)))
    if value.denominator == 1:
        return Digits(str(value.numerator))
    if value.denominator <= 64:
        return Fraction_(Digits(str(value.numerator)), Digits(str(value.denominator)), small=True)
    return Digits(f"{float(value):.6g}")


__all__ += ["number_box"]
