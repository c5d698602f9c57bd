"""Pairs of windows for a pairwise loss: each true window beside a corrupt one, which is drawn anew in every epoch.

Reads   windows with an entity in the middle, a pool of windows of the same text without; a seed and an epoch.
Gives   pairs (n, 2, C): the true window and its corrupt one are the index c of extent 2 of one application of the network.
Source  Collobert & Weston, A unified architecture for natural language processing (2008): ranking against corrupt windows.

The draw of a row is a pure function of (seed, epoch, row), so neither batches nor an interruption change it.
"""

from dataclasses import dataclass

import numpy as np

from backproof.engines.generator import uniform
from backproof.errors import DataError

__all__ = ["Corruption"]


@dataclass(frozen=True)
class Corruption:
    """Windows and a pool of corrupt ones: model.fit(Corruption(windows, corrupt)) trains a pairwise loss.

    Shapes   windows (n, C) and corrupt (m, C), token ids or features; pairs(...) is (n, 2, C)
    Raises   DataError where the two do not fit together or one is empty.

    >>> sampled = Corruption([[4, 1, 5], [5, 2, 4]], [[4, 4, 5], [5, 5, 4], [4, 5, 4]])
    >>> sampled.pairs(seed=0).shape, sampled.pairs(seed=0)[:, 0].tolist()
    ((2, 2, 3), [[4, 1, 5], [5, 2, 4]])
    >>> sampled.draw(seed=0, epoch=0).tolist() == sampled.draw(seed=0, epoch=0).tolist()
    True
    """

    windows: object
    corrupt: object

    def __post_init__(self):
        for name in ("windows", "corrupt"):
            array = np.asarray(getattr(self, name))
            if array.ndim != 2 or 0 in array.shape:
                raise DataError(f"the {name} have shape {array.shape}; they are rows of ids or features, at least one",
                                fix="Corruption(windows (n, C), corrupt (m, C))")
            object.__setattr__(self, name, array)
        if self.windows.shape[1] != self.corrupt.shape[1]:
            raise DataError(f"windows of {self.windows.shape[1]} and corrupt ones of {self.corrupt.shape[1]}",
                            fix="cut both from the text with the same width")

    def __len__(self):
        return len(self.windows)

    def draw(self, seed, epoch=0):
        """The corrupt window of every row in an epoch, uniform over the pool: row numbers into it, int64 (n,)."""
        drawn = uniform(seed, "corrupt", 1, at=(epoch, np.arange(len(self)), 0))[:, 0] * len(self.corrupt)
        return np.minimum(drawn.astype(np.int64), len(self.corrupt) - 1)     # a product just below the end may round onto it

    def pairs(self, seed, epoch=0):
        """(n, 2, C): every true window and the corrupt one that the epoch draws for it."""
        return np.stack([self.windows, self.corrupt[self.draw(seed, epoch)]], axis=1)
