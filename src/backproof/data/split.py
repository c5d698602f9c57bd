"""Rows for training, validation and test: drawn once from a seed, classes in the same proportions.

Reads   the number of rows, the shares wanted, class labels where the proportions shall be kept. Of more than DRAWN rows
        each one's part is drawn by itself, without regard to its class: the sizes and proportions are then those of chance.
Gives   three ascending index arrays that together are every row once; folds, each of which is the test part once.
Raises  DataError up front where a part would be empty or lack a class.
"""

from dataclasses import dataclass

import numpy as np

from backproof.data.messages import shown
from backproof.errors import DataError, OptionError

__all__ = ["DRAWN", "Division", "part_numbers", "split_rows"]

DRAWN = 1_000_000
AT_ONCE = 1 << 20


def split_rows(n, *, validation=0.0, test=0.0, labels=None, seed=0):
    """Index arrays (train, validation, test); shares are of all rows, 0 leaves a part out.

    >>> train, validation, test = split_rows(10, validation=0.2, test=0.3, seed=1)
    >>> len(train), len(validation), len(test), sorted([*train, *validation, *test]) == list(range(10))
    (5, 2, 3, True)
    """
    for name, share in (("validation", validation), ("test", test)):
        if not 0 <= share < 1:
            raise OptionError(f"{name} = {share} is not a share of the rows", fix="0 or more, less than 1")
    if validation + test >= 1:
        raise OptionError(f"validation = {validation} and test = {test} leave nothing to train on",
                          fix="less than 1 together")
    labels = None if labels is None else np.asarray(labels)
    if labels is not None and labels.shape != (n,):
        raise DataError(f"there are {n} rows and labels of shape {labels.shape}", fix="give one label per row")
    if n > DRAWN:
        parts = np.concatenate(list(part_numbers(n, validation=validation, test=test, seed=seed)))
        rest, validation_rows, test_rows = (np.flatnonzero(parts == k) for k in range(3))
    else:
        rest = np.arange(n)
        rest, test_rows = _cut(rest, round(n * test), "test", labels, seed)
        rest, validation_rows = _cut(rest, round(n * validation), "validation", labels, seed)
    parts = [("validation", validation, validation_rows), ("test", test, test_rows), ("train", 1, rest)]
    for name, share, rows in parts:
        if share and len(rows) == 0:
            raise DataError(f"the {name} part would have 0 of {n} rows", fix="give more rows or a larger share")
        if share and labels is not None:
            _check_classes(labels, rows, name)
    return np.sort(rest), np.sort(validation_rows), np.sort(test_rows)


def part_numbers(n, *, validation, test, seed):
    """The part of every row (0 training, 1 validation, 2 test) as int8 arrays of at most AT_ONCE rows: one uniform draw each.

    >>> [parts.tolist() for parts in part_numbers(6, validation=0.3, test=0.3, seed=1)]
    [[2, 2, 2, 0, 2, 1]]
    """
    draws = np.random.Generator(np.random.Philox(seed))
    for start in range(0, n, AT_ONCE):
        drawn = draws.random(min(AT_ONCE, n - start))
        yield np.where(drawn < test, 2, np.where(drawn < test + validation, 1, 0)).astype(np.int8)


@dataclass(frozen=True)
class Division:
    """How rows are divided into training, validation and test; with ``folds`` the test part is number ``fold`` of so many.

    >>> [part.tolist() for part in Division(folds=3, fold=1, seed=1).rows(6)]
    [[1, 2, 3, 5], [], [0, 4]]
    """

    validation: float = 0.0
    test: float = 0.0
    seed: int = 0
    folds: int | None = None
    fold: int = 0

    def rows(self, n, labels=None):
        """Ascending index arrays (train, validation, test); ``labels`` keep the classes' proportions where n ≤ DRAWN."""
        if self.folds is None:
            return split_rows(n, validation=self.validation, test=self.test, labels=labels, seed=self.seed)
        if n > DRAWN:
            parts = np.concatenate(list(self.numbers(n)))
            return tuple(np.flatnonzero(parts == k) for k in range(3))
        rest, test = self._fold(n, labels)
        train, validation, _ = split_rows(len(rest), validation=self.validation, seed=self.seed,
                                          labels=None if labels is None else np.asarray(labels)[rest])
        return rest[train], rest[validation], test

    def _fold(self, n, labels):
        from sklearn.model_selection import KFold, StratifiedKFold

        if self.folds > n or labels is not None and self.folds > np.unique(labels, return_counts=True)[1].min():
            raise DataError(f"{self.folds} folds of {n} rows: some class or fold would be empty", fix="fewer folds")
        kind = KFold if labels is None else StratifiedKFold
        return list(kind(self.folds, shuffle=True, random_state=self.seed).split(np.zeros(n), labels))[self.fold]

    def numbers(self, n, labels=None):
        """The part of every row (0 training, 1 validation, 2 test) as int8 arrays one after the other: those of ``rows``."""
        if n <= DRAWN:
            parts = np.zeros(n, np.int8)
            for k, rows in enumerate(self.rows(n, labels)):
                parts[rows] = k
            yield parts
        elif self.folds is None:
            yield from part_numbers(n, validation=self.validation, test=self.test, seed=self.seed)
        else:
            yield from _fold_numbers(n, self)


def _fold_numbers(n, division):
    """`part_numbers` of a fold: one draw for the fold of a row, one for its place in the others."""
    draws = np.random.Generator(np.random.Philox(division.seed))
    for start in range(0, n, AT_ONCE):
        fold, place = draws.random((min(AT_ONCE, n - start), 2)).T
        test = (fold * division.folds).astype(int) == division.fold
        yield np.where(test, 2, np.where(place < division.validation, 1, 0)).astype(np.int8)


def _cut(rows, size, name, labels, seed):
    """(what stays, the part): drawn by scikit-learn."""
    if size == 0:
        return rows, rows[:0]
    if size >= len(rows):
        raise DataError(f"the {name} part would take all {len(rows)} rows", fix="give more rows or a smaller share")
    from sklearn.model_selection import train_test_split

    stratify = None if labels is None else labels[rows]
    try:
        stay, part = train_test_split(rows, test_size=size, random_state=seed, stratify=stratify)
    except ValueError:                                     # a class too small to be in both parts
        classes, counts = np.unique(stratify, return_counts=True)
        label = shown(classes.tolist()[counts.argmin()])
        raise DataError(f"{name} would have 0 of class {label}, which has {counts.min()} of {len(rows)} rows",
                        fix="give more rows of it, a larger share, or leave it out; a class in nearly every row is an id") from None
    return stay, part


def _check_classes(labels, rows, name):
    absent = sorted(set(labels.tolist()) - set(labels[rows].tolist()))
    if absent:
        raise DataError(f"{name} would have 0 of class {shown(absent[0])}",
                        fix="give more rows of it, a larger share, or leave it out; a class in nearly every row is an id")
