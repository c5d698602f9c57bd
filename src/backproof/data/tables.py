"""Tables from CSV and Parquet files: named columns of numbers or categories, typed once for the whole file.

Reads   a CSV or Parquet file, or a pandas, polars or Arrow table.
Gives   a Table: columns in order, each with its values, a mask of what is missing, and its kind.
Raises  FileProblem for the file itself, DataError with line, column and cell for what stands in it.

Rules for CSV. A number is a plain decimal (-1.5, 2e-3); nothing else is read as one. A column is of numbers if all its
cells are, and of categories otherwise; whole numbers with a leading zero or of more than 18 digits are codes, hence
categories. If more than nine cells in ten are numbers the others are taken for mistakes and named. Missing markers are
declared and counted; in a target column only the empty cell is missing, so that "NA" stays a class.
"""

import contextlib
import csv
import gzip
import io
import itertools
import os
import zlib
from array import array
from dataclasses import dataclass, field
from difflib import get_close_matches

import numpy as np

from backproof.data.files import kind_of_file, read_regular
from backproof.data.messages import listed, megabytes, shown
from backproof.errors import DataError, DtypeError, FileProblem, OptionError

__all__ = ["Column", "Table", "read_chunks", "read_table", "as_table", "MISSING"]

MISSING = ("", "NA", "?")
FIELD_LIMIT = 1 << 20
COLUMN_LIMIT = 100_000
FILE_LIMIT = 4 << 30
EXPANSION_LIMIT = 100                  # of a compressed file: decompressed bytes per byte
BLOCK = 1 << 14                        # rows gathered before they become Arrow strings

DECIMAL = r"^[ \t]*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?[ \t]*$"
WHOLE = r"^[ \t]*[+-]?[0-9]{1,18}[ \t]*$"
CODE = r"^[ \t]*[+-]?(0[0-9]+|[0-9]{19,})[ \t]*$"
OTHER_NOTATION = (r"^[ \t]*([+-]?[0-9]{1,3}([,_' ][0-9]{3})+([.,][0-9]+)?|[+-]?[0-9]+,[0-9]+|[+-]?0[xX][0-9a-fA-F]+"
                  r"|[+-]?(?i:inf|infinity|nan)|[+-]?\p{Nd}+([.,]\p{Nd}+)?)[ \t]*$")


CHUNK = 2 << 20                     # bytes of CSV read at a time when a file is streamed
PARQUET_ROWS = 20_000


@dataclass(frozen=True)
class Column:
    """The values of one column (float64, int64, uint64 or bool: numbers; text: categories), and which are missing."""
    name: str
    values: np.ndarray
    missing: np.ndarray
    markers: dict = field(default_factory=dict)          # how often each missing marker stood there

    @property
    def kind(self):
        return "category" if self.values.dtype == object else "number"

    def numbers(self):
        """float64 with NaN where missing."""
        out = self.values.astype(np.float64)
        out[self.missing] = np.nan
        return out

    def texts(self):
        """Text of every cell, None where missing; whole numbers print without a point."""
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


def read_table(path, *, target=None, types=None, missing=MISSING, delimiter=",", encoding="utf-8", compression=None,
               format=None):
    """A table from a CSV or Parquet file.

    target       name of the label column, whose values stay typed and in which only the empty cell is missing.
    types        {column: "number" | "category"}, decided beforehand, as a trained model does.
    missing      the markers that mean "no value" in a CSV file, and in the text columns of a Parquet file.
    compression  None or "gzip"; format: None ("parquet" by the file's first bytes, else "csv"), "csv" or "parquet".
    """
    _check_options(types, delimiter, compression, format)
    data = read_regular(path, limit=FILE_LIMIT)
    if compression == "gzip":
        data = _gunzip(data, path)
    if format is None:
        format = "parquet" if data.startswith(b"PAR1") or str(path).endswith((".parquet", ".pq")) else "csv"
    if format == "parquet":
        table = _read_parquet(data, path, target, types or {}, tuple(missing))
    else:
        table = _read_csv(data, path, target, types or {}, tuple(missing), delimiter, encoding)
    if target is not None:
        table[target]                                     # an unknown target is an error here, with the columns listed
    for name in types or {}:
        if name in table.columns and table[name].kind != types[name]:
            raise DataError(f"column {shown(name)} holds text; numbers are expected", where=str(path),
                            fix="encode it, or declare it a category")
    return table


def read_chunks(path, *, types, target=None, missing=MISSING, delimiter=",", encoding="utf-8", compression=None, size=CHUNK):
    """The rows of a CSV or Parquet file as one Table after the other, each of about ``size`` bytes: memory does not grow
    with the file. The types are declared beforehand, so that no chunk decides one; columns not named are text.

    Raises   as `read_table`, with lines counted in the whole file, when the chunk is reached that is wrong.
    """
    _check_options(types, delimiter, compression, None)
    head = _open_regular(path)
    with head as file:
        start = file.read(FIELD_LIMIT)
    old_line_ends = b"\r" in start and b"\n" not in start
    if start.startswith(b"PAR1") or str(path).endswith((".parquet", ".pq")):
        yield from _parquet_chunks(path, target, types, tuple(missing))
        return
    if old_line_ends or any(wide in encoding.lower() for wide in ("16", "32", "utf-7")):
        yield read_table(path, target=target, types=types, missing=missing, delimiter=delimiter, encoding=encoding, compression=compression)
        return
    header, line = None, 1
    for block in _record_blocks(path, compression, size):
        if header is None:
            rows = block.split(b"\n")
            at = next((k for k, row in enumerate(rows) if row.strip(b"\xef\xbb\xbf\r ")), 0)
            ends = next(k for k in range(at, len(rows)) if sum(row.count(b'"') for row in rows[:k + 1]) % 2 == 0 or k == len(rows) - 1)
            header = b"\n".join(rows[:ends + 1]) + b"\n"
            names = _parse(_decode(header, path, encoding), path, delimiter)[0]
            types = {**dict.fromkeys(names, "category"), **types}
            block = block[len(header):]
            line += header.count(b"\n")
            if not block.strip():
                continue
        if block.strip():
            yield _read_csv(header + block, path, target, types, tuple(missing), delimiter, encoding, line - 1 - header.count(b"\n"))
        line += block.count(b"\n")
    if header is None:
        _decode(b"", path, encoding)
    if line == 1 + header.count(b"\n"):
        raise DataError("no data rows: the file ends after the header", where=str(path), fix="give it rows")


def _open_regular(path):
    """A regular file, open for reading in parts; refused as `read_regular` refuses."""
    read_regular(path, limit=None) if not os.path.isfile(path) else None        # says what is wrong with it
    try:
        return open(path, "rb")
    except OSError as error:
        raise FileProblem(f"the file cannot be opened: {error.strerror}", where=shown(str(path), 200), fix="check the path") from None


def _record_blocks(path, compression, size):
    """Bytes up to the last line end outside quotes, about ``size`` at a time."""
    taken, limit = b"", EXPANSION_LIMIT * os.path.getsize(path) + FIELD_LIMIT
    read = 0
    with _open_regular(path) as raw, (gzip.GzipFile(fileobj=raw) if compression == "gzip" else contextlib.nullcontext(raw)) as file:
        while True:
            try:
                new = file.read(size)
            except (OSError, EOFError, zlib.error) as error:
                raise DataError(f"the gzip data are corrupt: {error}", where=str(path), fix="fetch the file again") from None
            read += len(new)
            if compression == "gzip" and read > limit:
                raise DataError(f"the gzip data expand more than {EXPANSION_LIMIT} : 1", where=str(path),
                                fix="decompress it yourself if you trust it")
            taken += new
            if not new:
                if taken:
                    yield taken
                return
            cut = _last_line_end(taken)
            if cut:
                yield taken[:cut]
                taken = taken[cut:]
            elif len(taken) > size + 64 * FIELD_LIMIT:
                raise DataError(f"a quote is never closed: no row ends within {megabytes(len(taken))}", where=str(path),
                                fix='close the quote; a quote inside a field is written ""')


def _last_line_end(data):
    """One past the last newline before which the quotes are balanced; 0 where there is none."""
    whole, at = data.count(b'"'), len(data)
    while (at := data.rfind(b"\n", 0, at)) >= 0:
        after = data.count(b'"', at)
        if (whole - after) % 2 == 0:
            return at + 1
    return 0


def _parquet_chunks(path, target, types, missing):
    arrow = _arrow()
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            _check_schema(file.schema_arrow, path)
            for batch in file.iter_batches(batch_size=PARQUET_ROWS):
                yield _from_arrow(arrow.Table.from_batches([batch]), str(path), types, missing, target)
    except arrow.ArrowInvalid as error:
        raise DataError(f"the Parquet file cannot be read: {shown(str(error), 200)}", where=str(path), fix="fetch the file again") from None


def as_table(frame, source=None):
    """A Table from a pandas, polars or Arrow table."""
    if isinstance(frame, Table):
        return frame
    import narwhals

    _arrow()
    try:
        frame = narwhals.from_native(frame, eager_only=True).to_arrow()
    except Exception as error:                              # of a library we do not know at this point
        raise DataError(f"{type(frame).__name__} cannot be read as a table: {shown(str(error), 200)}",
                        fix="give a pandas, polars or Arrow table with unique column names") from None
    return _from_arrow(frame, source, {})


def _check_options(types, delimiter, compression, format):
    for name, kind in (types or {}).items():
        if kind not in ("number", "category"):
            raise OptionError(f"column {shown(name)} is declared {shown(kind)}", fix="'number' or 'category'")
    if not (isinstance(delimiter, str) and len(delimiter) == 1 and delimiter not in '"\r\n\0'):
        raise OptionError(f"the delimiter {shown(delimiter)} is not one character", fix="such as ',' or ';' or a tab")
    if compression not in (None, "gzip"):
        raise OptionError(f"compression {shown(compression)} is unknown", fix="None or 'gzip'")
    if format not in (None, "csv", "parquet"):
        raise OptionError(f"format {shown(format)} is unknown", fix="'csv' or 'parquet'")


def _arrow():
    """pyarrow, which reads no code from files since 14.0.1."""
    import pyarrow

    version = tuple(int(part) for part in pyarrow.__version__.split(".")[:3] if part.isdigit())
    if version < (14, 0, 1):
        raise DataError(f"pyarrow {pyarrow.__version__} may run code from a data file (CVE-2023-47248)",
                        fix="pip install 'pyarrow>=14.0.1'")
    return pyarrow


def _near(name, names):
    near = get_close_matches(str(name), names, n=1)
    return f"; did you mean {shown(near[0])}?" if near else ""


def _gunzip(data, path):
    limit = EXPANSION_LIMIT * len(data) + FIELD_LIMIT
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            out = file.read(min(limit, FILE_LIMIT) + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"the gzip data are corrupt: {error}", where=str(path), fix="fetch the file again") from None
    if len(out) > min(limit, FILE_LIMIT):
        raise DataError(f"the gzip data expand more than {EXPANSION_LIMIT} : 1", where=str(path),
                        fix="decompress it yourself if you trust it")
    return out


# -- CSV ---------------------------------------------------------------------------------------------------------

def _read_csv(data, path, target, types, missing, delimiter, encoding, offset=0):
    text = _decode(data, path, encoding)
    previous = csv.field_size_limit(FIELD_LIMIT)
    try:
        names, cells, lines = _parse(text, path, delimiter, offset)
    finally:
        csv.field_size_limit(previous)
    if len(lines) == 0:
        raise DataError("no data rows: the file ends after the header", where=str(path), fix="give it rows")
    names, cells = _drop_trailing_column(names, cells)
    _check_header(names, path, delimiter)
    columns = []
    for name, values in zip(names, cells, strict=True):
        label = name == target
        columns.append(_typed(name, values, ("",) if label else missing, label, types.get(name), lines, path))
    return Table(columns, source=str(path), lines=lines)


def _decode(data, path, encoding):
    where = str(path)
    if not data.strip():
        raise DataError("the file is empty", where=where, fix="give it a header and rows")
    if kind := kind_of_file(data):
        fix = {"gzip": 'compression="gzip"', "Parquet": 'format="parquet"'}.get(kind, "give a CSV or Parquet file")
        raise DataError(f"this looks like {kind}, not CSV", where=where, fix=fix)
    wide = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    if wide and "16" not in encoding:
        raise DataError("the file begins like UTF-16", where=where, fix='encoding="utf-16"')
    if b"\0" in data and "16" not in encoding and "32" not in encoding:
        at = data.index(b"\0")
        raise DataError(f"NUL byte at line {_line_of(data, at)}: this is no text file", where=where,
                        fix="give a CSV or Parquet file, or the right encoding")
    try:
        return data.decode("utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding)
    except UnicodeDecodeError as error:
        start = data.rfind(b"\n", 0, error.start) + 1
        raise DataError(f"byte 0x{data[error.start]:02X} at line {_line_of(data, error.start)}, column "
                        f"{error.start - start + 1} is not {encoding}", where=where, fix='encoding="latin-1"') from None
    except (LookupError, UnicodeError):
        raise OptionError(f"encoding {shown(encoding)} does not fit the file", where=where, fix="'utf-8'") from None


def _line_of(data, at):
    head = data[:at]
    return head.count(b"\n") + head.count(b"\r") - head.count(b"\r\n") + 1


def _parse(text, path, delimiter, offset=0):
    """The header, the cells by column as Arrow strings, and the file line on which each row ends; the text is ``offset``
    lines further down in its file than its own count."""
    arrow = _arrow()
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    names, blocks, rows, lines, before = None, [], [], array("q"), 0
    try:
        for row in reader:
            if row and names is None:
                names = [name.strip() for name in row]
                if len(names) > COLUMN_LIMIT:
                    raise DataError(f"the header has {len(names)} columns; the limit is {COLUMN_LIMIT}",
                                    where=str(path), fix="leave columns out")
            elif row:
                if len(row) == len(names) + 1 and row[-1] == "":
                    row.pop()                             # a comma at the end of the line
                if len(row) != len(names):
                    shape = f"line {reader.line_num + offset} has {len(row)} fields; the header has {len(names)}"
                    raise DataError(shape, where=f"{path}: {shown(delimiter.join(row))}",
                                    fix="quote fields that contain the delimiter, or mend the line")
                rows.append(row)
                lines.append(reader.line_num + offset)
                if len(rows) == BLOCK:
                    blocks.append([arrow.array(column, arrow.large_string()) for column in zip(*rows, strict=True)])
                    rows = []
            before = reader.line_num + offset
    except csv.Error as error:
        reason = str(error)
        if "end of data" in reason or "field larger" in reason:
            what = f"a quote opened in the row at line {before + 1} is never closed"
            if "field larger" in reason:
                what += f", or a field there has more than {megabytes(FIELD_LIMIT)}"
        else:
            what = f"line {reader.line_num + offset} cannot be read: {reason}"
        raise DataError(what, where=str(path), fix='close the quote; a quote inside a field is written ""') from None
    if names is None:
        raise DataError("the file has no header", where=str(path), fix="give it a header and rows")
    if rows or not blocks:
        columns = zip(*rows, strict=True) if rows else [[] for _ in names]
        blocks.append([arrow.array(column, arrow.large_string()) for column in columns])
    cells = [arrow.chunked_array([block[j] for block in blocks]) for j in range(len(names))]
    return names, cells, np.frombuffer(lines, dtype=np.int64) if lines else np.empty(0, np.int64)


def _drop_trailing_column(names, cells):
    """A header that ends with the delimiter names no column, if nothing stands below it."""
    if len(names) > 1 and names[-1] == "" and set(cells[-1].unique().to_pylist()) <= {""}:
        return names[:-1], cells[:-1]
    return names, cells


def _check_header(names, path, delimiter):
    if len(names) == 1:
        for other in (c for c in ";\t|," if c != delimiter and c in names[0]):
            raise DataError(f"the header is one column, {shown(names[0])}, and contains {shown(other)}",
                            where=str(path), fix=f"delimiter={other!r}")
    empty = [j + 1 for j, name in enumerate(names) if not name]
    if empty:
        raise DataError(f"the header has no name for column {', '.join(map(str, empty[:6]))} (counted from 1)",
                        where=str(path), fix="name every column")
    double = [name for name in dict.fromkeys(names) if names.count(name) > 1] if len(set(names)) < len(names) else []
    if double:
        raise DataError(f"the header names {listed(double)} more than once", where=str(path), fix="rename one of them")


def _typed(name, cells, markers, label, declared, lines, path):
    """One column of strings as numbers or categories: declared, or decided from all its cells."""
    arrow = _arrow()
    from pyarrow import compute

    stripped = compute.utf8_trim(cells, " \t")
    is_missing = compute.is_in(stripped, value_set=arrow.array(markers, arrow.large_string()))
    mask = is_missing.to_numpy(zero_copy_only=False).astype(bool)
    present = cells.filter(compute.invert(is_missing))
    counts = compute.value_counts(stripped.filter(is_missing)).to_pylist()
    found = {entry["values"]: entry["counts"] for entry in counts}
    decimal = compute.match_substring_regex(present, DECIMAL)
    share = compute.sum(decimal).as_py() / len(present) if len(present) else 1.0
    codes = declared is None and (compute.any(compute.match_substring_regex(present, CODE)).as_py() or False)

    def fail(wrong, sentence):
        row = np.flatnonzero(~mask)[wrong.to_numpy(zero_copy_only=False).argmax()]
        cell = shown(cells[int(row)].as_py())
        raise DataError(f"line {lines[row]}, column {shown(name)}: {cell} {sentence}", where=str(path),
                        fix=f"mend the cell, add it to the missing markers, or declare {shown(name)} a category")

    number = declared == "number" or (declared is None and share == 1 and not codes and len(present) > 0)
    if number and share < 1:
        fail(compute.invert(decimal), "is not a plain decimal number")
    if declared is None and not label and not number and not codes and len(present):
        if share > 0.9:
            fail(compute.invert(decimal), "is not a plain decimal number, as nearly all other cells are")
        other = compute.or_(decimal, compute.match_substring_regex(present, OTHER_NOTATION))
        if compute.all(other).as_py():
            fail(compute.invert(decimal), "is a number in another notation; plain decimals such as -1234.5 are read")
    if not number:
        values = cells.to_numpy().astype(object)
        values[mask] = ""
        return Column(name, values, mask, found)
    plain = compute.utf8_trim(present, " \t")
    whole = len(plain) and compute.all(compute.match_substring_regex(plain, WHOLE)).as_py()
    plain = compute.replace_substring_regex(plain, r"^\+", "")
    read = plain.cast(arrow.int64() if whole else arrow.float64()).to_numpy()
    if not np.isfinite(read).all():
        fail(arrow.chunked_array([arrow.array(~np.isfinite(read))]), "is too large for a 64-bit number")
    values = np.zeros(len(mask), read.dtype)
    values[~mask] = read
    return Column(name, values, mask, found)


# -- Parquet and Arrow -------------------------------------------------------------------------------------------

def _read_parquet(data, path, target, types, missing):
    arrow = _arrow()
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(arrow.BufferReader(data), page_checksum_verification=True)
        schema = file.schema_arrow
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise DataError(f"the Parquet file is corrupt or truncated: {shown(str(error), 200)}", where=str(path),
                        fix="fetch the file again") from None
    _check_schema(schema, path)
    if file.metadata.num_rows == 0:
        raise DataError("no data rows", where=str(path), fix="give it rows")
    try:
        table = file.read(use_threads=False)
    except (arrow.ArrowException, OSError, ValueError) as error:
        where = _broken_part(file, schema.names, arrow) or "the file"
        raise DataError(f"{where} cannot be read: {shown(str(error), 200)}", where=str(path),
                        fix="fetch the file again") from None
    return _from_arrow(table, str(path), types, missing, target)


def _broken_part(file, names, arrow):
    for group in range(file.num_row_groups):
        for name in names:
            try:
                file.read_row_group(group, columns=[name], use_threads=False)
            except (arrow.ArrowException, OSError, ValueError):
                return f"column {shown(name)} in row group {group}"
    return None


def _check_schema(schema, path):
    """Names and types of all columns, before any value is read."""
    arrow = _arrow()
    kinds = arrow.types
    double = [name for name in dict.fromkeys(schema.names) if schema.names.count(name) > 1]
    if double:
        raise DataError(f"the table names {listed(double)} more than once", where=path and str(path), fix="rename one")
    if "" in schema.names or len(schema.names) == 0:
        raise DataError("the table has a column without a name" if schema.names else "the table has no columns",
                        where=path and str(path), fix="name every column")
    for entry in schema:
        plain = entry.type.value_type if kinds.is_dictionary(entry.type) else entry.type
        known = (kinds.is_boolean, kinds.is_integer, kinds.is_floating, kinds.is_decimal, kinds.is_string,
                 kinds.is_large_string, kinds.is_null, kinds.is_date, kinds.is_timestamp)
        if isinstance(plain, arrow.BaseExtensionType) or not (any(is_kind(plain) for is_kind in known)
                                                              or str(plain) == "string_view"):
            raise DtypeError(f"column {shown(entry.name)} has the type {shown(str(entry.type))}, neither number nor "
                             "text", where=path and str(path), fix="leave it out, or write it as numbers or text")


def _from_arrow(table, source, types, missing=(), target=None):
    _check_schema(table.schema, source)
    columns = [_arrow_column(name, table.column(name), types.get(name), () if name == target else missing)
               for name in table.column_names]
    return Table(columns, source=source)


def _arrow_column(name, values, declared, markers):
    arrow = _arrow()
    if arrow.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    mask = values.is_null().to_numpy(zero_copy_only=False).astype(bool)
    kinds = arrow.types
    if kinds.is_decimal(values.type) or kinds.is_float16(values.type):
        values = values.cast(arrow.float64())
    if kinds.is_boolean(values.type) or kinds.is_integer(values.type) or kinds.is_floating(values.type):
        dtype = np.dtype(bool if kinds.is_boolean(values.type) else np.float64 if kinds.is_floating(values.type)
                         else np.uint64 if kinds.is_uint64(values.type) else np.int64)
        out = np.zeros(len(mask), dtype)
        out[~mask] = values.drop_null().to_numpy()
        if dtype.kind == "f":
            mask = mask | np.isnan(out)
        column = Column(name, out, mask)
        return column if declared != "category" else Column(name, np.where(mask, "", column.texts()), mask)
    if not kinds.is_null(values.type):
        values = values.cast(arrow.large_string())
    out = values.to_numpy().astype(object)
    out[mask] = ""
    found = {"null": int(mask.sum())} if mask.any() else {}
    for marker in markers:
        here = (out == marker) & ~mask
        if here.any():
            found[marker] = int(here.sum())
            mask = mask | here
    out[mask] = ""
    return Column(name, out, mask, found)


def _column_of(name, values):
    """A Column from an array or list; None and NaN are missing, text makes a category."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "biuf":
        kind = {"b": bool, "i": np.int64, "u": np.uint64, "f": np.float64}[values.dtype.kind]
        return Column(name, values.astype(kind), np.isnan(values.astype(np.float64)))
    items = [item.item() if isinstance(item, np.generic) else item for item in values]
    items = [None if item is None or item != item else item for item in items]
    mask = np.array([item is None for item in items], dtype=bool)
    present = [item for item in items if item is not None]
    if all(isinstance(item, str) for item in present):
        return Column(name, np.array([item or "" for item in items], dtype=object), mask)
    kinds = {type(item) for item in present}
    if kinds == {bool} or kinds <= {int, float}:
        out = np.array([0 if item is None else item for item in items], dtype=np.float64 if float in kinds else None)
        if out.dtype != object:                           # whole numbers beyond 64 bits
            return Column(name, out, mask)
    raise DtypeError(f"column {shown(name)} holds {listed(sorted(kind.__name__ for kind in kinds))}",
                     fix="give it 64-bit numbers only, or text only")
