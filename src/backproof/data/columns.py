"""Tables in memory: named columns of numbers, dates or categories, of equal length.

Reads   arrays and lists by name.
Gives   a Table; each Column has its values, a mask of what is missing, and its kind.
"""

import datetime
import itertools
from dataclasses import dataclass, field
from difflib import get_close_matches

import numpy as np

from backproof.data.messages import listed, shown
from backproof.errors import DataError, DtypeError

__all__ = ["Column", "Table"]

DAY, EPOCH = np.timedelta64(1, "D"), np.datetime64("1970-01-01")
KINDS = {"O": "category", "M": "date"}                # by the kind of NumPy's dtype; the others are numbers


@dataclass(frozen=True)
class Column:
    """The values of one column (float64, int64, uint64 or bool: numbers; datetime64: dates in UTC; text: categories), and
    which are missing."""
    name: str
    values: np.ndarray
    missing: np.ndarray
    markers: dict = field(default_factory=dict)          # how often each missing marker stood there

    @property
    def kind(self):
        return KINDS.get(self.values.dtype.kind, "number")

    def numbers(self):
        """float64 with NaN where missing; of dates, the days since 1970-01-01."""
        out = (self.values - EPOCH) / DAY if self.kind == "date" else self.values.astype(np.float64)
        out[self.missing] = np.nan
        return out

    def texts(self):
        """Text of every cell, None where missing; whole numbers print without a point."""
        if self.kind == "date":
            out = np.datetime_as_string(self.values, unit="auto").astype(object)
        else:
            out = self.values if self.kind == "category" else np.array([str(v) for v in self.values.tolist()], dtype=object)
        return np.where(self.missing, None, out)


class Table:
    """Named columns of equal length.

    >>> table = Table.from_arrays({"age": [31, 47], "city": ["Rome", None]})
    >>> table.names, len(table), table["city"].kind, table["city"].missing.tolist()
    (['age', 'city'], 2, 'category', [False, True])
    """

    def __init__(self, columns, *, source=None, lines=None):
        self.columns = {c.name: c for c in columns}
        self.rows = len(columns[0].values) if columns else 0
        self.source, self.lines = source, lines

    @classmethod
    def from_arrays(cls, arrays, source=None):
        return cls([_column_of(name, values) for name, values in arrays.items()], source=source)

    @property
    def names(self):
        return list(self.columns)

    def __len__(self):
        return self.rows

    def __getitem__(self, name):
        if name not in self.columns:
            raise DataError(f"no column {shown(name)}{_near(name, self.names)}", where=self.source,
                            fix=f"the columns are {listed(self.names, limit=20)}")
        return self.columns[name]

    def __repr__(self):
        kinds = ", ".join(f"{shown(c.name, 30)} {c.kind}" for c in itertools.islice(self.columns.values(), 8))
        return f"Table of {self.rows} rows: {kinds}" + (", ..." if len(self.columns) > 8 else "")

    def select(self, rows):
        """The given rows, by index or mask, in the order given."""
        rows = np.asarray(rows)
        columns = [Column(c.name, c.values[rows], c.missing[rows], c.markers) for c in self.columns.values()]
        return Table(columns, source=self.source, lines=None if self.lines is None else self.lines[rows])

    def without(self, *names):
        """All columns but these."""
        return Table([c for c in self.columns.values() if c.name not in names], source=self.source, lines=self.lines)

    def place(self, row, name):
        """Where a cell stands, in the words of the file it came from."""
        where = f"row {row}" if self.lines is None else f"line {self.lines[row]}"
        return f"{where}, column {shown(name)}" + (f" of {shown(str(self.source), 200)}" if self.source else "")

    def missing_report(self):
        """One sentence for each column with missing cells, with the markers counted."""
        report = []
        for c in self.columns.values():
            if count := int(c.missing.sum()):
                kinds = ", ".join(f"{n} {shown(marker) if marker else 'empty'}" for marker, n in c.markers.items())
                kinds = f" ({kinds})" if kinds else ""
                report.append(f"column {shown(c.name)}: {count} of {self.rows} missing{kinds}")
        return report


def _near(name, names):
    near = get_close_matches(str(name), names, n=1)
    return f"; did you mean {shown(near[0])}?" if near else ""


def _column_of(name, values):
    """A Column from an array or list; None and NaN are missing, text makes a category."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        kind = {"b": bool, "i": np.int64, "u": np.uint64, "f": np.float64}[values.dtype.kind]
        return Column(name, values.astype(kind), np.isnan(values.astype(np.float64)))
    if isinstance(values, np.ndarray) and values.dtype.kind == "M":
        return Column(name, np.where(np.isnat(values), EPOCH, values).astype("datetime64[us]"), np.isnat(values))
    items = [item.item() if isinstance(item, np.generic) else item for item in values]
    items = [None if item is None or item != item else item for item in items]
    mask = np.array([item is None for item in items], dtype=bool)
    present = [item for item in items if item is not None]
    if all(isinstance(item, str) for item in present):
        return Column(name, np.array([item or "" for item in items], dtype=object), mask)
    kinds = {type(item) for item in present}
    if present and kinds <= {datetime.date, datetime.datetime}:
        return Column(name, np.array([_moment(item) if item is not None else EPOCH for item in items], "datetime64[us]"), mask)
    if kinds == {bool} or kinds <= {int, float}:
        out = np.array([0 if item is None else item for item in items], dtype=np.float64 if float in kinds else None)
        if out.dtype != object:                           # whole numbers beyond 64 bits
            return Column(name, out, mask)
    raise DtypeError(f"column {shown(name)} holds {listed(sorted(kind.__name__ for kind in kinds))}",
                     fix="give it 64-bit numbers only, or text only")


def _moment(item):
    """A date or time of Python in UTC; without a zone it counts as UTC."""
    if getattr(item, "tzinfo", None) is not None:
        item = item.astimezone(datetime.UTC).replace(tzinfo=None)
    return np.datetime64(item, "us")
