"""A printed line: a left-hand side and one or more right-hand sides, all trees."""

from dataclasses import dataclass

__all__ = ["Line", "Side"]


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
    left: object
    free: tuple
    sides: tuple
    rules: tuple
    edges: tuple = ()
    system: object = None            # the system that the line belongs to, where it is not the derivation's: the textbook's
    @property
    def matrix(self):
        """Is the line in matrix form?"""
        return getattr(self.left, "matrix", True)

    @property
    def trees(self):
        return (self.left, *(side.tree for side in self.sides), *(part for pair in self.edges for part in pair))
