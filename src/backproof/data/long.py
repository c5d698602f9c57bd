"""Long tables: rows that belong to sequences, and series cut into windows.

Reads   a Table, the column that names the sequence of each row, the column of its time.
Gives   Groups: the rows of every sequence in the order of time; windows of a series with the values that follow.
Raises  DataError naming the line where an id or a time is missing, a time stands twice, a sequence has two answers.
"""

from dataclasses import dataclass

import numpy as np

from backproof.data.messages import shown
from backproof.errors import DataError

__all__ = ["Groups", "group", "one_target", "windows"]


@dataclass(frozen=True)
class Groups:
    """The sequences of a long table.

    Fields  ids      the name of each sequence, in the order of first appearance (None where the table is one series)
            rows     the rows of each sequence, in the order of time
    """

    ids: list
    rows: list

    lengths = property(lambda self: np.array([len(rows) for rows in self.rows]))

    def __len__(self):
        return len(self.rows)

    def select(self, numbers):
        return Groups([self.ids[k] for k in numbers], [self.rows[k] for k in numbers])

    def all_rows(self):
        """The rows of all sequences, one sequence after another."""
        return np.concatenate(self.rows)

    def split(self, values):
        """What belongs to `all_rows`, as a list with an array per sequence."""
        return np.split(values, np.cumsum(self.lengths)[:-1])


def group(table, sequence_id=None, time=None):
    """The sequences of a long table; without an id it is one series, without a time the order of the file is that of time.

    >>> from backproof.data.tables import Table
    >>> table = Table.from_arrays({"id": ["b", "a", "b"], "t": [2, 1, 1]})
    >>> found = group(table, "id", "t")
    >>> found.ids, [rows.tolist() for rows in found.rows]
    (['b', 'a'], [[2, 0], [1]])
    """
    if sequence_id is None:
        ids, members = [None], [np.arange(len(table))]
    else:
        column = _whole(table, sequence_id, "id")
        values, first, codes = np.unique(column.values, return_index=True, return_inverse=True)
        by_first = np.argsort(first)
        members = np.split(np.argsort(codes, kind="stable"), np.cumsum(np.bincount(codes))[:-1])
        ids, members = [values[k] for k in by_first], [members[k] for k in by_first]
    if time is None:
        return Groups(ids, members)
    when = _whole(table, time, "time").values
    ordered = [rows[np.argsort(when[rows], kind="stable")] for rows in members]
    for name, rows in zip(ids, ordered):
        twice = np.flatnonzero(when[rows][1:] == when[rows][:-1])
        if twice.size:
            row = rows[twice[0] + 1]
            of = "" if name is None else f" of sequence {shown(str(name))}"
            raise DataError(f"time {shown(str(when[row]))}{of} stands twice, the second time at {table.place(row, time)}",
                            fix="leave one of them out, or name the sequences with --sequence-id")
    return Groups(ids, ordered)


def _whole(table, name, what):
    column = table[name]
    missing = np.flatnonzero(column.missing)
    if missing.size:
        raise DataError(f"the {what} is missing in {missing.size} rows; the first is {table.place(missing[0], name)}",
                        fix=f"leave these rows out, or give them the {what}")
    return column


def one_target(table, groups, target):
    """The row whose target stands for its sequence, for each of them, or None where some sequence has several targets."""
    column = _whole(table, target, "target")
    firsts = np.array([rows[0] for rows in groups.rows])
    one = all((column.values[rows] == column.values[rows[0]]).all() for rows in groups.rows)
    return firsts if one else None


def windows(length, lags, horizon):
    """(starts, …) of the windows of a series: ``lags`` steps that are read, and the ``horizon`` steps behind them.

    >>> windows(6, lags=3, horizon=2).tolist()
    [0, 1]
    """
    return np.arange(max(0, length - lags - horizon + 1))
