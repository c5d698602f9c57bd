"""Boxes: a print tree in one notation, ready for every format.

Reads   trees, the letters of their axes and a Notation.
Gives   boxes: identifiers, scripts, fractions, fences, rows. A writer per format (``latex``, ``mathml``, ``text``) turns
        each kind of box into its own markup and decides nothing else.
"""

from dataclasses import dataclass

__all__ = ["Box", "Id", "Digits", "Op", "Row", "Name", "Partial", "Fraction_", "Bar", "Scripted", "Fence", "Big", "CaseBox",
           "Matrix", "Words", "Under"]


class Box:
    """The root of all boxes."""


def box(cls):
    return dataclass(frozen=True)(cls)


@box
class Id(Box):
    """A letter or a word: italic (variable), bold, upright (function)."""
    text: str
    style: str = "italic"


@box
class Digits(Box):
    text: str


@box
class Op(Box):
    """An operator or relation: + − = · ⊙ ∂ with the space that belongs around it (infix, prefix, juxtaposed)."""
    text: str
    kind: str = "infix"


@box
class Row(Box):
    items: tuple


@box
class Name(Box):
    """A quantity: base letter, layer and subscripts. ``place`` says where the layer stands: up, (up), down, none."""
    base: str
    layer: str = ""
    place: str = "(up)"
    subs: tuple = ()
    style: str = "italic"
    prefix: str = ""               # d, of a derivative written dz
    detail: str = ""               # a gate's letter
    behind: bool = False           # of the half that runs backwards in time


@box
class Partial(Box):
    """∂top/∂bottom."""
    top: Box
    bottom: Box


@box
class Fraction_(Box):
    top: Box
    bottom: Box
    small: bool = False


@box
class Scripted(Box):
    base: Box
    sub: Box | None = None
    sup: Box | None = None


@box
class Bar(Box):
    """A function applied: head (box) and arguments in parentheses."""
    head: Box
    arguments: tuple


@box
class Fence(Box):
    """A body between brackets that grow with it."""
    left: str
    body: Box
    right: str


@box
class Big(Box):
    """A large operator with its range below: Σ, max."""
    sign: str
    below: Box


@box
class CaseBox(Box):
    """(value, condition) rows behind one brace."""
    rows: tuple


@box
class Matrix(Box):
    """A bracketed table of boxes."""
    rows: tuple


@box
class Words(Box):
    """Prose inside a formula."""
    text: str


@box
class Under(Box):
    """A body with a note under it: the shape of a matrix."""
    body: Box
    note: str
