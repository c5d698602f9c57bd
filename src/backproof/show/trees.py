"""Print trees: what a printed formula means, small enough to be evaluated.

A calculus expression becomes a tree of these nodes (``index_form``, ``matrix_form``), the tree becomes boxes in a
notation (``boxes``), and boxes become LaTeX, MathML or text. ``evaluate`` computes the very tree that is printed.

An ``Axis`` is one occurrence of an index: every Σ binds an axis of its own, so renaming can never capture a letter.
Letters are chosen last, for a whole line.
"""

from dataclasses import dataclass, fields
from fractions import Fraction

__all__ = [
    "Axis", "Place", "Tree", "Number", "Extent", "Symbol", "Product", "Sum", "Plus", "Apply", "Power", "Quotient",
    "Reduction", "Iverson", "Cases", "Choice", "Comparison", "Softmax", "MatMul", "Hadamard", "Divide", "Norm", "Transpose", "Diagonal", "Ones", "Stack",
    "Block", "Indicator", "Outside",
    "children", "rewrite", "walk", "axes_of", "ZERO", "ONE",
]


@dataclass(frozen=True, eq=False)
class Axis:
    """One occurrence of an index in a formula."""

    index: object

    def __repr__(self):
        return f"{self.index.letter}@{self.index.name}"


@dataclass(frozen=True)
class Place:
    """Where a symbol is read along one of its axes: at an axis plus an offset, or at the "first" or "last" step."""

    at: object
    offset: int = 0


class Tree:
    """The root of all print-tree nodes."""


def node(cls):
    return dataclass(frozen=True)(cls)


@node
class Number(Tree):
    value: Fraction


@node
class Extent(Tree):
    """N, T or a power of one."""
    symbol: str
    power: int = 1


@node
class Symbol(Tree):
    """A named quantity. ``places`` follow its stored axes; ``edge`` is its value outside the time range.

    In matrix form ``rows`` and ``columns`` name the axes that run down and across; the others are subscripts.
    """
    name: str
    places: tuple = ()
    edge: object = None
    rows: object = None
    columns: object = None
    matrix: bool = False


@node
class Product(Tree):
    factors: tuple


@node
class Sum(Tree):
    """Σ over axes."""
    over: tuple
    body: Tree


@node
class Plus(Tree):
    """Σ coefficient × term, written with + and −."""
    terms: tuple


@node
class Apply(Tree):
    """An elementwise function; ``prime`` is its derivative by that operand, None the function itself."""
    function: object
    operands: tuple
    prime: int | None = None


@node
class Power(Tree):
    body: Tree
    exponent: int


@node
class Quotient(Tree):
    top: Tree
    bottom: Tree


@node
class Reduction(Tree):
    """max or logsumexp over axes; in matrix form over the rows or columns of its body."""
    kind: str
    over: tuple
    body: Tree


@node
class Softmax(Tree):
    """exp(body) / Σ exp(body) along an axis; index form prints the quotient, matrix form softmax(body), down or across."""
    body: Tree
    over: object
    bound: object
    down: bool | None = None


@node
class Iverson(Tree):
    """[ids = axis]: 1 where it holds, else 0."""
    ids: Tree
    axis: object


@node
class Outside(Tree):
    """Is the condition of a case: which step, or which range of an index, a case is for."""
    axis: object
    kind: str                    # first, last, later, earlier, range
    start: int = 0
    stop: int = 0


@node
class Cases(Tree):
    """(tree, Outside) pairs; the conditions exclude one another and leave nothing out."""
    cases: tuple


@node
class Comparison(Tree):
    """1 where the relation (> ≤ =) holds, else 0."""
    relation: str
    left: Tree
    right: Tree


@node
class Choice(Tree):
    """``yes`` where the condition (a Comparison) holds, else ``no``."""
    condition: Tree
    yes: Tree
    no: Tree


# -- matrix form: every tree is a matrix; a vector is a column ------------------------------------------------------------

@node
class MatMul(Tree):
    factors: tuple


@node
class Hadamard(Tree):
    """Entry by entry."""
    factors: tuple


@node
class Divide(Tree):
    """Entry by entry."""
    top: Tree
    bottom: Tree


@node
class Norm(Tree):
    """The sum of the squares of all entries."""
    body: Tree


@node
class Transpose(Tree):
    body: Tree


@node
class Diagonal(Tree):
    body: Tree


@node
class Ones(Tree):
    """A matrix of ones; None is an extent of one."""
    rows: object
    columns: object


@node
class Stack(Tree):
    """Blocks below one another (``down``) or side by side."""
    blocks: tuple
    down: bool = True


@node
class Block(Tree):
    """Some rows (``down``) or columns of a matrix."""
    body: Tree
    start: int
    stop: int
    down: bool = True


@node
class Indicator(Tree):
    """The column that is 1 at the row ``ids`` and 0 elsewhere; with ``rows`` None a row per entry of ids."""
    ids: Tree
    axis: object
    down: bool = True


ZERO, ONE = Number(Fraction(0)), Number(Fraction(1))


def children(tree):
    """The trees directly below a tree."""
    for f in fields(tree):
        value = getattr(tree, f.name)
        yield from _trees(value)


def _trees(value):
    if isinstance(value, Tree):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _trees(item)


def rewrite(tree, rule):
    """The tree with ``rule`` (tree -> tree or None) applied to every node, children first."""
    changed = {}
    for f in fields(tree):
        value = getattr(tree, f.name)
        new = _rewrite(value, rule)
        if new is not value:
            changed[f.name] = new
    if changed:
        tree = type(tree)(**{**{f.name: getattr(tree, f.name) for f in fields(tree)}, **changed})
    ruled = rule(tree)
    return tree if ruled is None else ruled


def _rewrite(value, rule):
    if isinstance(value, Tree):
        return rewrite(value, rule)
    if isinstance(value, tuple):
        new = tuple(_rewrite(item, rule) for item in value)
        return value if all(a is b for a, b in zip(new, value)) else new
    return value


def walk(tree):
    """Every node, parents first, in reading order."""
    yield tree
    for child in children(tree):
        yield from walk(child)


def axes_of(tree):
    """Every axis of a tree in the order of reading, once."""
    found = {}

    def visit(value):
        if isinstance(value, Axis):
            found[value] = None
        elif isinstance(value, Place):
            visit(value.at)
        elif isinstance(value, Tree):
            for f in fields(value):
                visit(getattr(value, f.name))
        elif isinstance(value, tuple):
            for item in value:
                visit(item)
    visit(tree)
    return list(found)
