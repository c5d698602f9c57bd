"""Median, mean and deviation of columns too long for the memory: the same bits, whatever holds the rows.

Reads   functions that give the rows as arrays (m, k), NaN where missing, in order and in blocks of BLOCK rows.
Gives   medians exactly; means and deviations by block and merged in order, as scikit-learn's StandardScaler merges them.
Source  Chan, Golub & LeVeque, Updating formulae and a pairwise algorithm for computing sample variances (1979).
"""

import numpy as np

__all__ = ["BLOCK", "blocks_of", "means_and_scales", "medians"]

BLOCK = 16_384                      # rows: part of the definition, or the last bit of a mean would be another
DIGITS = 16                         # bits of a number that are decided in one pass over the rows
TOGETHER = 64                       # columns whose digits are counted at once: 32 MB of counts


def blocks_of(array):
    """The rows of an array in blocks of BLOCK.

    >>> [len(block) for block in blocks_of(np.zeros((20_000, 2)))]
    [16384, 3616]
    """
    return (array[start:start + BLOCK] for start in range(0, len(array), BLOCK))


def medians(blocks, columns):
    """The median of every column, NaN where all is missing; ``blocks()`` gives the rows anew.

    The numbers in their order are numbered by 64 bits; each pass finds 16 bits more of the two middle ones, from counts.

    >>> medians(lambda: blocks_of(np.array([[1.0, 5.0], [2.0, np.nan], [4.0, 7.0], [-3.0, np.nan]])), 2).tolist()
    [1.5, 6.0]
    """
    if columns > TOGETHER:
        cuts = [slice(first, min(first + TOGETHER, columns)) for first in range(0, columns, TOGETHER)]
        return np.concatenate([medians(lambda cut=cut: (block[:, cut] for block in blocks()), cut.stop - cut.start) for cut in cuts])
    found = np.full((2, columns), np.nan)
    present = np.zeros(columns, np.int64)
    for block in blocks():
        present += np.isfinite(block).sum(axis=0)
    ranks = np.stack([(present - 1) // 2, present // 2])                 # of the lower and the upper middle, from 0
    heads = np.zeros((2, columns), np.uint64)
    for shift in range(64 - DIGITS, -1, -DIGITS):
        counts = np.zeros((2, columns, 1 << DIGITS), np.int32 if present.max(initial=0) < 1 << 31 else np.int64)
        for block in blocks():
            for j in range(columns):
                keys = _keys(block[:, j])
                for side in range(2 if (heads[0, j] != heads[1, j]) else 1):
                    inside = keys if shift == 64 - DIGITS else keys[keys >> np.uint64(shift + DIGITS) == heads[side, j]]
                    digits = (inside >> np.uint64(shift)) & np.uint64((1 << DIGITS) - 1)
                    counts[side, j] += np.bincount(digits.astype(np.int64), minlength=1 << DIGITS).astype(counts.dtype)
        for j in np.flatnonzero(present):
            same = heads[0, j] == heads[1, j]
            for side in (0, 1):
                below = np.cumsum(counts[0 if same else side, j], dtype=np.int64)
                digit = int(np.searchsorted(below, ranks[side, j], side="right"))
                ranks[side, j] -= below[digit - 1] if digit else 0
                heads[side, j] = (heads[side, j] << np.uint64(DIGITS)) | np.uint64(digit)
    there = present > 0
    found[:, there] = _numbers(heads[:, there])
    return found.mean(axis=0) + 0.0                                      # no negative zero


def _keys(values):
    """Numbers that are ordered as the finite values are: the bits, turned where the sign is minus."""
    bits = np.ascontiguousarray(values[np.isfinite(values)]).view(np.uint64)
    return bits ^ np.where(bits >> np.uint64(63), np.uint64(2**64 - 1), np.uint64(2**63))


def _numbers(keys):
    keys = np.ascontiguousarray(keys)
    return (keys ^ np.where(keys >> np.uint64(63), np.uint64(2**63), np.uint64(2**64 - 1))).view(np.float64)


def means_and_scales(blocks, columns):
    """(mean, deviation, least, most) of every column of finite numbers; the deviation is 1 where a column does not vary.

    >>> [found.tolist() for found in means_and_scales(blocks_of(np.array([[1.0, 7.0], [3.0, 7.0]])), 2)]
    [[2.0, 7.0], [1.0, 1.0], [1.0, 7.0], [3.0, 7.0]]
    """
    n, mean, squares = 0, np.zeros(columns), np.zeros(columns)
    least, most = np.full(columns, np.inf), np.full(columns, -np.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        for block in blocks:
            rows = np.ascontiguousarray(block.T)                         # sums run along a row: pairwise, for any k
            m = rows.shape[1]
            here = rows.mean(axis=1)
            rest = rows - here[:, None]
            there = (rest**2).sum(axis=1) - rest.sum(axis=1)**2 / m
            squares = squares + there + (here - mean)**2 * (n * m / (n + m))
            mean, n = (here if n == 0 else mean + (here - mean) * (m / (n + m))), n + m
            least, most = np.minimum(least, rows.min(axis=1)), np.maximum(most, rows.max(axis=1))
        variance = squares / max(n, 1)
        rounding = n * np.finfo(np.float64).eps * variance + (n * mean * np.finfo(np.float64).eps)**2
        still = (least == most) | (variance <= rounding)
        return mean, np.where(still, 1.0, np.sqrt(variance)), least, most
