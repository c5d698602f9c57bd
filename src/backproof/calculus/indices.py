"""Named indices: what addresses the axes of every tensor.

An index is a name, an extent and a kind. The extent is a number or a symbol ("N" samples, "T" steps), so one
expression and one Program serve every batch size. Two indices are the same exactly when all their fields are.
"""

from dataclasses import dataclass

from ..errors import ShapeError

__all__ = ["KINDS", "SAMPLE", "TIME", "Index", "canonical", "merge"]

# the order in which axes of a stored tensor follow one another: loops stride over time first
KINDS = ("time", "sample", "pair", "unit")


@dataclass(frozen=True)
class Index:
    """One named axis.

    Fields  name    unique within a system, e.g. "layer1"
            extent  a positive number, or the symbol of an extent known at run time ("N", "T")
            kind    "sample", "time", "pair" or "unit"
            letter  the letter proposed for print (n, t, c, i, j, k)
    """

    name: str
    extent: int | str
    kind: str = "unit"
    letter: str = "j"

    def __post_init__(self):
        if isinstance(self.extent, bool) or not isinstance(self.extent, (int, str)):
            raise ShapeError(f"index {self.name!r} has extent {self.extent!r}", fix="give a whole number or a symbol")
        if isinstance(self.extent, int) and self.extent < 1:
            raise ShapeError(f"index {self.name!r} has extent {self.extent}", fix="an extent is at least 1")
        if self.kind not in KINDS:
            raise ShapeError(f"index {self.name!r} is of kind {self.kind!r}", fix=f"one of {', '.join(KINDS)}")

    def primed(self):
        """The same axis under a second name, for a square matrix."""
        return Index(self.name + "'", self.extent, self.kind, self.letter + "'")

    def sort_key(self):
        return KINDS.index(self.kind), self.name, str(self.extent)

    def __repr__(self):
        return f"{self.name}:{self.extent}"


SAMPLE = Index("n", "N", "sample", "n")
TIME = Index("t", "T", "time", "t")


def canonical(indices):
    """The indices in the one order in which nodes list them."""
    return tuple(sorted(set(indices), key=Index.sort_key))


def merge(operands, where=None):
    """The union of the operands' indices; an index name with two extents is an error that names both owners."""
    seen = {}
    for operand in operands:
        for index in operand.indices:
            other, owner = seen.setdefault(index.name, (index, operand))
            if other != index and other.extent == index.extent:
                raise ShapeError(f"two different indices are called {index.name!r}: one in {owner.title()}, one in "
                                 f"{operand.title()}", where=where, fix="make the index once and use it in both")
            if other != index:
                raise ShapeError(
                    f"index {index.name!r} has extent {other.extent} in {owner.title()} and {index.extent} in {operand.title()}",
                    where=where or " and ".join(o.title() for o in operands),
                    fix=f"give both the same number of {'units' if index.kind == 'unit' else index.kind + 's'}")
    return canonical(index for index, _ in seen.values())
