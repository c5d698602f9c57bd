"""Tables from CSV and Parquet files: named columns of numbers, dates or categories, typed once for the whole file.

Reads   a CSV or Parquet file, or a pandas, polars or Arrow table.
Gives   a Table: columns in order, each with its values, a mask of what is missing, and its kind; or one after the other
        for the parts of a file; or what a file holds, from one pass over it (`survey`).
Raises  FileProblem for the file itself, DataError with line, column and cell for what stands in it.

Missing markers are declared and counted; in a target column only the empty cell is missing, so that "NA" stays a class.
The kinds are those of `kinds`.
"""

from dataclasses import dataclass

import numpy as np

from backproof.data import csv_text
from backproof.data.columns import Column, Table
from backproof.data.csv_text import arrow_library, check_header, cut_fields, gunzip, header_of, open_regular, record_blocks
from backproof.data.files import read_regular
from backproof.data.kinds import Evidence, values_of
from backproof.data.messages import shown
from backproof.data.parquet import from_arrow, parquet_chunks, parquet_kinds, read_parquet
from backproof.data.split import DRAWN
from backproof.errors import DataError, OptionError

__all__ = ["Column", "Survey", "Table", "as_table", "read_chunks", "read_table", "survey", "MISSING"]

MISSING = ("", "NA", "?")
TYPES = ("number", "date", "category")
CHUNK = 2 << 20                     # bytes of CSV read at a time when a file is streamed


def read_table(path, *, target=None, types=None, missing=MISSING, delimiter=",", encoding="utf-8", compression=None,
               format=None):
    """A table from a CSV or Parquet file.

    target       name of the label column, whose values stay typed and in which only the empty cell is missing.
    types        {column: "number" | "date" | "category"}, decided beforehand, as a trained model does.
    missing      the markers that mean "no value" in a CSV file, and in the text columns of a Parquet file.
    compression  None or "gzip"; format: None ("parquet" by the file's first bytes, else "csv"), "csv" or "parquet".
    """
    _check_options(types, delimiter, compression, format)
    data = read_regular(path, limit=csv_text.FILE_LIMIT)
    if compression == "gzip":
        data = gunzip(data, path)
    if format is None:
        format = "parquet" if _is_parquet(path, data) else "csv"
    if format == "parquet":
        table = read_parquet(data, path, target, types or {}, tuple(missing))
    else:
        table = _read_csv(data, path, target, types or {}, tuple(missing), delimiter, encoding)
    if target is not None:
        table[target]                                     # an unknown target is an error here, with the columns listed
    for name in types or {}:
        if name in table.columns and table[name].kind != types[name]:
            raise DataError(f"column {shown(name)} holds {'text' if table[name].kind == 'category' else table[name].kind + 's'}; "
                            f"{types[name]}s are expected", where=str(path), fix="encode it, or declare it a category")
    return table


def _is_parquet(path, head):
    return head.startswith(b"PAR1") or str(path).endswith((".parquet", ".pq"))


def read_chunks(path, *, types, target=None, missing=MISSING, delimiter=",", encoding="utf-8", compression=None, size=CHUNK):
    """The rows of a CSV or Parquet file as one Table after the other, each of about ``size`` bytes: memory does not grow
    with the file. The types are declared beforehand, so that no chunk decides one; columns not named are text.

    Raises   as `read_table`, with lines counted in the whole file, when the chunk is reached that is wrong.
    """
    _check_options(types, delimiter, compression, None)
    if _is_parquet(path, _start(path)):
        yield from parquet_chunks(path, target, types, tuple(missing))
        return
    markers = {target: ("",)}
    for names, cells, lines in _cut(path, delimiter, encoding, compression, size):
        columns = [Column(name, *values_of(name, column, types.get(name, "category"), markers.get(name, tuple(missing)), lines, path))
                   for name, column in zip(names, cells)]
        yield Table(columns, source=str(path), lines=lines)


# -- what a file holds -------------------------------------------------------------------------------------------

@dataclass(frozen=True)
class Survey:
    """What one pass over a file found: kinds by column, the number of rows, and the target with its row numbers or counts.

    Fields  kinds   {column: "number", "date" or "category"}; rows
            whole   is every target cell a whole number (then its classes are whole numbers)?
            labels  the distinct target values (None where there are more than LABELS), ``counts`` of each, and ``codes``:
                    which of them every row has (None for files of more than CODED rows); -1 where missing
            missing {column: how many cells are missing}, of the columns with some
    """

    kinds: dict
    rows: int
    whole: bool = False
    labels: list | None = None
    counts: list | None = None
    codes: np.ndarray | None = None
    missing: dict | None = None


LABELS = 100_000                    # distinct target values that are told apart while a file is surveyed
CODED = DRAWN                       # rows whose target values are remembered in that pass: those that are split by class


def column_names(path, *, delimiter=",", encoding="utf-8", compression=None, missing=MISSING):
    """The names of the columns of a file, in order."""
    if _is_parquet(path, _start(path)):
        return list(parquet_kinds(path))
    return next(_cut(path, delimiter, encoding, compression, CHUNK))[0]


def survey(path, *, target=None, types=None, missing=MISSING, delimiter=",", encoding="utf-8", compression=None, size=CHUNK):
    """A Survey of a file: what `read_table` decides, without holding the file; the same for any ``size``. ``types`` are decided."""
    _check_options(types, delimiter, compression, None)
    if _is_parquet(path, _start(path)):
        kinds = {**parquet_kinds(path), **(types or {})}
        if target in kinds and kinds[target] == "date":
            kinds[target] = "category"
        chunks = ((list(table.columns), table) for table in parquet_chunks(path, target, kinds, tuple(missing)))
        return _survey_tables(path, chunks, kinds, target)
    evidence, found, rows, lost = None, _Labels(), 0, {}
    for names, cells, lines in _cut(path, delimiter, encoding, compression, size):
        if evidence is None:
            evidence = {name: Evidence(name, name == target) for name in names}
            _known_target(target, names, path)
        for name, column in zip(names, cells):
            evidence[name].add(column, lines, ("",) if name == target else tuple(missing))
            if name == target:
                values, mask, _ = values_of(name, column, "category", ("",), lines, path)
                found.add(values, mask)
        rows += len(lines)
    kinds = {name: (types or {}).get(name) or one.kind(path) for name, one in evidence.items()}
    lost = {name: one.rows - one.present for name, one in evidence.items() if one.rows > one.present}
    whole = target is not None and kinds[target] == "number" and evidence[target].whole
    typed = str if target is None or kinds[target] != "number" else int if whole else float
    return Survey(kinds, rows, whole, *found.result(typed), lost)


def _survey_tables(path, chunks, kinds, target):
    found, rows, lost, whole = _Labels(), 0, {}, True
    for names, table in chunks:
        if rows == 0:
            _known_target(target, names, path)
        rows += len(table)
        for column in table.columns.values():
            if count := int(column.missing.sum()):
                lost[column.name] = lost.get(column.name, 0) + count
        if target is not None:
            found.add(table[target].values.tolist(), table[target].missing)
            whole = whole and table[target].values.dtype.kind in "iu"
    if rows == 0:
        raise DataError("no data rows", where=str(path), fix="give it rows")
    return Survey(kinds, rows, target is not None and whole, *found.result(lambda value: value), lost)


def _known_target(target, names, path):
    if target is not None:
        Table([Column(name, np.empty(0), np.empty(0, bool)) for name in names], source=str(path))[target]


class _Labels:
    """Distinct values, their counts, and the number of each row's, while there are not too many."""

    def __init__(self):
        self.known, self.counts, self.codes, self.rows = {}, np.zeros(0, np.int64), [], 0

    def add(self, values, mask):
        self.rows += len(values)
        if self.known is None:
            return
        codes = np.full(len(values), -1, np.int32)
        present = np.flatnonzero(~mask)
        codes[present] = [self.known.setdefault(values[row], len(self.known)) for row in present.tolist()]
        more = np.bincount(codes[present], minlength=len(self.known))
        more[:len(self.counts)] += self.counts
        self.counts = more
        if len(self.known) > LABELS:
            self.known = self.codes = None
        elif self.rows > CODED:
            self.codes = None
        elif self.codes is not None:
            self.codes.append(codes)

    def result(self, typed):
        """(values, counts, codes); texts that are one value ("1" and "01.0") are one label."""
        if self.known is None:
            return None, None, None
        values = {}
        turned = np.array([values.setdefault(typed(text), len(values)) for text in self.known] + [-1], np.int32)
        counts = np.bincount(turned[:-1], weights=self.counts, minlength=len(values)).astype(int).tolist()
        return list(values), counts, turned[np.concatenate(self.codes)] if self.codes else None


# -- CSV ---------------------------------------------------------------------------------------------------------

def _read_csv(data, path, target, types, missing, delimiter, encoding):
    names, cells, lines = cut_fields(data, path, delimiter, encoding)
    check_header(names, path, delimiter)
    columns = []
    for name, column in zip(names, cells, strict=True):
        label = name == target
        markers, kind = ("",) if label else missing, types.get(name)
        if kind is None:
            evidence = Evidence(name, label)
            evidence.add(column, lines, markers)
            kind = evidence.kind(path)
        columns.append(Column(name, *values_of(name, column, kind, markers, lines, path)))
    return Table(columns, source=str(path), lines=lines)


def _start(path):
    with open_regular(path) as file:
        return file.read(csv_text.FIELD_LIMIT)


def _cut(path, delimiter, encoding, compression, size):
    """(names, cells by column, file line of each row) of one part of a CSV file after the other."""
    start = _start(path)
    old_line_ends = b"\r" in start and b"\n" not in start and compression is None
    if old_line_ends or any(wide in encoding.lower() for wide in ("16", "32", "utf-7")):
        data = read_regular(path, limit=csv_text.FILE_LIMIT)
        names, cells, lines = cut_fields(gunzip(data, path) if compression == "gzip" else data, path, delimiter, encoding)
        check_header(names, path, delimiter)
        yield names, cells, lines
        return
    header, line, found = None, 0, False
    for block in record_blocks(path, compression, size):
        if header is None:
            header = _header_bytes(block)
            check_header(_without_trailing(header_of(header, path, delimiter, encoding)), path, delimiter)
            block, line = block[len(header):], header.count(b"\n")
        if block.strip():
            found = True
            names, cells, lines = cut_fields(header + block, path, delimiter, encoding, line - header.count(b"\n"))
            check_header(names, path, delimiter)
            yield names, cells, lines
        line += block.count(b"\n")
    if not found:
        if header is None:
            raise DataError("the file is empty", where=str(path), fix="give it a header and rows")
        raise DataError("no data rows: the file ends after the header", where=str(path), fix="give it rows")


def _without_trailing(names):
    return names[:-1] if len(names) > 1 and names[-1] == "" else names


def _header_bytes(block):
    """The lines up to the end of the header, which may have line ends inside quotes."""
    rows = block.split(b"\n")
    at = next((k for k, row in enumerate(rows) if row.strip(b"\xef\xbb\xbf\r ")), 0)
    ends = next(k for k in range(at, len(rows)) if sum(row.count(b'"') for row in rows[:k + 1]) % 2 == 0 or k == len(rows) - 1)
    return b"\n".join(rows[:ends + 1]) + (b"\n" if ends + 1 < len(rows) else b"")


# -- frames ------------------------------------------------------------------------------------------------------

def as_table(frame, source=None):
    """A Table from a pandas, polars or Arrow table."""
    if isinstance(frame, Table):
        return frame
    import narwhals

    arrow_library()
    try:
        frame = narwhals.from_native(frame, eager_only=True).to_arrow()
    except Exception as error:                              # of a library we do not know at this point
        raise DataError(f"{type(frame).__name__} cannot be read as a table: {shown(str(error), 200)}",
                        fix="give a pandas, polars or Arrow table with unique column names") from None
    return from_arrow(frame, source, {})


def _check_options(types, delimiter, compression, format):
    for name, kind in (types or {}).items():
        if kind not in TYPES:
            raise OptionError(f"column {shown(name)} is declared {shown(kind)}", fix="'number', 'date' or 'category'")
    if not (isinstance(delimiter, str) and len(delimiter) == 1 and delimiter not in '"\r\n\0'):
        raise OptionError(f"the delimiter {shown(delimiter)} is not one character", fix="such as ',' or ';' or a tab")
    if compression not in (None, "gzip"):
        raise OptionError(f"compression {shown(compression)} is unknown", fix="None or 'gzip'")
    if format not in (None, "csv", "parquet"):
        raise OptionError(f"format {shown(format)} is unknown", fix="'csv' or 'parquet'")
