"""What a column of a CSV file holds: numbers, dates or categories, decided from all its cells and never from a part.

Reads   cells as Arrow strings, in parts of any size.
Gives   the kind; the values of one column with what is missing.
Raises  DataError that names line, column and cell.

A number is a plain decimal (-1.5, 2e-3), a date what ISO 8601 calls one (2024-02-29, 2024-02-29T18:30:00Z); nothing else
is read as either. A column is of numbers, or of dates, if all its cells are, and of categories otherwise; whole numbers
with a leading zero or of more than 18 digits are codes, hence categories. If more than nine cells in ten are numbers, or
dates, the others are taken for mistakes and named.
"""

import re

import numpy as np

from backproof.data.csv_text import arrow_library
from backproof.data.messages import shown
from backproof.errors import DataError

__all__ = ["Evidence", "dates_of", "values_of"]

DECIMAL = r"^[ \t]*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?[ \t]*$"
WHOLE = r"^[ \t]*[+-]?[0-9]{1,18}[ \t]*$"
CODE = r"^[ \t]*[+-]?(0[0-9]+|[0-9]{19,})[ \t]*$"
OTHER_NOTATION = (r"^[ \t]*([+-]?[0-9]{1,3}([,_' ][0-9]{3})+([.,][0-9]+)?|[+-]?[0-9]+,[0-9]+|[+-]?0[xX][0-9a-fA-F]+"
                  r"|[+-]?(?i:inf|infinity|nan)|[+-]?\p{Nd}+([.,]\p{Nd}+)?)[ \t]*$")
ZONE = r"(Z|[+-][0-9]{2}:?[0-9]{2})?"
DATE = rf"^[ \t]*[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}([T ][0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}(\.[0-9]{{1,9}})?)?{ZONE})?[ \t]*$"
NEARLY_ALL = 0.9


class Evidence:
    """What the cells of a column say about its kind; the same for any parts they come in.

    >>> import pyarrow
    >>> found = Evidence("x")
    >>> for part in (["1", "2.5"], ["", "-3e2"]):
    ...     found.add(pyarrow.array(part, pyarrow.large_string()), [2, 3], ("",))
    >>> found.kind("t.csv"), found.rows, found.present
    ('number', 4, 3)
    """

    def __init__(self, name, label=False):
        self.name, self.label = name, label
        self.rows = self.present = self.decimals = self.dates = 0
        self.whole, self.codes, self.foreign = True, False, True
        self.no_decimal = self.no_date = None               # (line, cell) of the first cell that is none

    def add(self, cells, lines, markers):
        """Take in a part: its cells, the file line of each, the missing markers."""
        from pyarrow import compute

        self.rows += len(cells)
        absent = _absent(cells, markers)
        present = cells.filter(compute.invert(absent)) if compute.any(absent).as_py() else cells
        decimal = compute.match_substring_regex(present, DECIMAL)
        count = compute.sum(decimal).as_py() or 0
        self.present, self.decimals = self.present + len(present), self.decimals + count
        if count:
            self.whole = self.whole and count == len(present) and _all(present, WHOLE)
            self.codes = self.codes or bool(compute.any(compute.match_substring_regex(present, CODE)).as_py())
        if count == len(present):
            return
        self.whole = False
        others = present.filter(compute.invert(decimal))
        self.foreign = self.foreign and _all(others, OTHER_NOTATION)
        date = compute.match_substring_regex(others, DATE)
        dates = compute.sum(date).as_py()
        self.dates += dates
        places = np.asarray(lines)[~absent.to_numpy(zero_copy_only=False).astype(bool)]
        is_decimal = decimal.to_numpy(zero_copy_only=False).astype(bool)
        if self.no_decimal is None:
            self.no_decimal = places[~is_decimal][0], others[0].as_py()
        if self.no_date is None and (count or dates < len(others)):
            wrong = is_decimal.copy()
            wrong[~is_decimal] = ~date.to_numpy(zero_copy_only=False).astype(bool)
            at = int(wrong.argmax())
            self.no_date = places[at], present[at].as_py()

    def kind(self, path):
        """ "number", "date" or "category"; DataError where nearly all cells are one thing and some are another."""
        if not self.present or self.codes:
            return "category"
        if self.decimals == self.present:
            return "number"
        if self.label:
            return "category"
        if self.dates == self.present:
            return "date"
        if self.decimals > NEARLY_ALL * self.present:
            raise misfit(self.name, self.no_decimal, "is not a plain decimal number, as nearly all other cells are", path)
        if self.dates > NEARLY_ALL * self.present:
            raise misfit(self.name, self.no_date, "is no ISO date, as nearly all other cells are", path)
        if self.foreign:
            raise misfit(self.name, self.no_decimal, "is a number in another notation; plain decimals such as -1234.5 are read",
                         path)
        return "category"


def misfit(name, place, sentence, path):
    """The error for a cell that cannot be what its column is."""
    line, cell = place
    return DataError(f"line {line}, column {shown(name)}: {shown(cell)} {sentence}", where=str(path),
                     fix=f"mend the cell, count it as missing by missing=…, or declare {shown(name)} a category by types=…")


def values_of(name, cells, kind, markers, lines, path):
    """(values, mask of the missing, {marker: count}) of a column whose kind is decided."""
    from pyarrow import compute

    absent = _absent(cells, markers)
    mask = absent.to_numpy(zero_copy_only=False).astype(bool)
    found, present = {}, cells
    if mask.any():
        counts = compute.value_counts(compute.utf8_trim(cells.filter(absent), " \t")).to_pylist()
        found = {entry["values"]: entry["counts"] for entry in counts}
        present = cells.filter(compute.invert(absent))
    if kind == "category":
        values = cells.to_numpy(zero_copy_only=False).astype(object)
        values[mask] = ""
        return values, mask, found

    def refuse(wrong, sentence):
        at = int(np.asarray(wrong).argmax())
        raise misfit(name, (np.asarray(lines)[~mask][at], present[at].as_py()), sentence, path)
    if kind == "date":
        read, wrong = dates_of(present)
        if wrong.any():
            refuse(wrong, "is no ISO date of the calendar")
    else:
        read = _decimals(present, refuse)
    values = np.zeros(len(mask), read.dtype)
    values[~mask] = read
    return values, mask, found


def _decimals(present, refuse):
    """Correctly rounded float64; int64 where all are whole."""
    from pyarrow import compute

    arrow = arrow_library()
    decimal = compute.match_substring_regex(present, DECIMAL)
    if len(present) and not compute.all(decimal).as_py():
        refuse(~decimal.to_numpy(zero_copy_only=False).astype(bool), "is not a plain decimal number")
    plain = compute.replace_substring_regex(compute.utf8_trim(present, " \t"), r"^\+", "")
    read = plain.cast(arrow.int64() if len(plain) and _all(plain, WHOLE) else arrow.float64()).to_numpy(zero_copy_only=False)
    if not np.isfinite(read).all():
        refuse(~np.isfinite(read), "is too large for a 64-bit number")
    return read


def dates_of(cells):
    """(datetime64[us] in UTC, which are no dates) of ISO dates and times; a time without a zone counts as UTC.

    >>> import pyarrow
    >>> found, wrong = dates_of(pyarrow.array(["2024-02-29", "2024-03-01T01:30+02:00", "2023-02-29"], pyarrow.large_string()))
    >>> found[:2].astype(str).tolist(), wrong.tolist()
    (['2024-02-29T00:00:00.000000', '2024-02-29T23:30:00.000000'], [False, False, True])
    """
    out, wrong = np.zeros(len(cells), "datetime64[us]"), np.zeros(len(cells), bool)
    for at, text in enumerate(cells.to_pylist()):
        match = _DATE.fullmatch(text.strip(" \t"))
        try:
            moment = np.datetime64(match[1], "us")
            if match[2] and match[2] != "Z":
                sign, zone = -1 if match[2][0] == "-" else 1, match[2][1:].replace(":", "")
                moment -= np.timedelta64(sign * (60 * int(zone[:2]) + int(zone[2:])), "m")
            out[at] = moment
        except (TypeError, ValueError):
            wrong[at] = True
    return out, wrong


_DATE = re.compile(r"(\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?)?)" + ZONE, re.ASCII)


def _absent(cells, markers):
    from pyarrow import compute

    arrow = arrow_library()
    return compute.is_in(compute.utf8_trim(cells, " \t"), value_set=arrow.array(markers, arrow.large_string()))


def _all(cells, pattern):
    from pyarrow import compute

    found = compute.all(compute.match_substring_regex(cells, pattern)).as_py()
    return True if found is None else found
