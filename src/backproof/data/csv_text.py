"""The text of a CSV file: bytes, quotes, line ends and fields, with the file line of every row.

Reads   the bytes of a file, or a part of them that ends with a row.
Gives   the header, and the cells by column as Arrow strings.
Raises  DataError with line and place for what is no CSV.

A part without quotes and blank lines is cut by pyarrow, ten times as fast; any other, and any that pyarrow refuses, by
Python's csv module, which can say what is wrong. Both give the same cells.
"""

import contextlib
import csv
import gzip
import io
import os
import zlib
from array import array

import numpy as np

from backproof.data.files import kind_of_file, read_regular
from backproof.data.messages import listed, megabytes, shown
from backproof.errors import DataError, FileProblem, OptionError

__all__ = ["arrow_library", "check_header", "cut_fields", "gunzip", "header_of", "open_regular", "record_blocks"]

FIELD_LIMIT = 1 << 20
COLUMN_LIMIT = 100_000
FILE_LIMIT = 4 << 30
EXPANSION_LIMIT = 100                  # of a compressed file: decompressed bytes per byte
BLOCK = 1 << 14                        # rows gathered before they become Arrow strings


def arrow_library():
    """pyarrow, which reads no code from files since 14.0.1."""
    import pyarrow

    version = tuple(int(part) for part in pyarrow.__version__.split(".")[:3] if part.isdigit())
    if version < (14, 0, 1):
        raise DataError(f"pyarrow {pyarrow.__version__} may run code from a data file (CVE-2023-47248)",
                        fix="pip install 'pyarrow>=14.0.1'")
    return pyarrow


def gunzip(data, path):
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


def decode(data, path, encoding):
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


def cut_fields(data, path, delimiter, encoding="utf-8", offset=0):
    """(names, cells by column as Arrow strings, the file line on which each row ends) of bytes that begin with the header;
    the bytes are ``offset`` lines further down in their file than their own count."""
    text = decode(data, path, encoding)
    found = _cut_quickly(text, delimiter, offset)
    if found is None:
        previous = csv.field_size_limit(FIELD_LIMIT)
        try:
            found = _cut_carefully(text, path, delimiter, offset)
        finally:
            csv.field_size_limit(previous)
    names, cells, lines = found
    if len(lines) == 0:
        raise DataError("no data rows: the file ends after the header", where=str(path), fix="give it rows")
    return *_drop_trailing_column(names, cells), lines


def header_of(data, path, delimiter, encoding="utf-8"):
    """The names in the header of a file's first bytes."""
    return _cut_carefully(decode(data, path, encoding), path, delimiter, 0)[0]


def _cut_quickly(text, delimiter, offset):
    """As `_cut_carefully`, by pyarrow; None where the text has quotes, blank lines, old line ends or rows of another width."""
    arrow = arrow_library()
    from pyarrow import csv as arrow_csv

    head, _, body = text.partition("\n")
    if '"' in text or not head.strip() or not body or "\n\n" in text or "\n\r" in text or text.count("\r") != text.count("\r\n"):
        return None
    names = [name.strip() for name in head.removesuffix("\r").split(delimiter)]
    body = body.encode()
    odd = len(names) > COLUMN_LIMIT or len(set(names)) < len(names) or not all(names)
    if odd or not delimiter.isascii() or len(body) >= 1 << 30:
        return None
    kinds = dict.fromkeys(names, arrow.large_string())
    try:
        table = arrow_csv.read_csv(
            io.BytesIO(body), arrow_csv.ReadOptions(use_threads=False, column_names=names, block_size=len(body) + 1),
            arrow_csv.ParseOptions(delimiter=delimiter, quote_char=False, escape_char=False),
            arrow_csv.ConvertOptions(check_utf8=False, column_types=kinds, strings_can_be_null=False))
    except arrow.ArrowInvalid:
        return None                                        # the careful reader says what is wrong, and where
    rows = text.count("\n") - text.endswith("\n")
    if len(table) != rows or max(map(len, body.split(b"\n"))) > FIELD_LIMIT:
        return None
    return names, table.columns, np.arange(offset + 2, offset + 2 + rows)


def _cut_carefully(text, path, delimiter, offset=0):
    """The header, the cells by column as Arrow strings, and the file line on which each row ends; the text is ``offset``
    lines further down in its file than its own count."""
    arrow = arrow_library()
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
                    _check_delimiter(names, path, delimiter)
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


def _check_delimiter(names, path, delimiter):
    if len(names) == 1:
        for other in (c for c in ";\t|," if c != delimiter and c in names[0]):
            raise DataError(f"the header is one column, {shown(names[0])}, and contains {shown(other)}",
                            where=str(path), fix=f"delimiter={other!r}")


def check_header(names, path, delimiter):
    _check_delimiter(names, path, delimiter)
    empty = [j + 1 for j, name in enumerate(names) if not name]
    if empty:
        raise DataError(f"the header has no name for column {', '.join(map(str, empty[:6]))} (counted from 1)",
                        where=str(path), fix="name every column")
    double = [name for name in dict.fromkeys(names) if names.count(name) > 1] if len(set(names)) < len(names) else []
    if double:
        raise DataError(f"the header names {listed(double)} more than once", where=str(path), fix="rename one of them")


def open_regular(path):
    """A regular file, open for reading in parts; refused as `read_regular` refuses."""
    read_regular(path, limit=None) if not os.path.isfile(path) else None        # says what is wrong with it
    try:
        return open(path, "rb")
    except OSError as error:
        raise FileProblem(f"the file cannot be opened: {error.strerror}", where=shown(str(path), 200),
                          fix="check the path") from None


def record_blocks(path, compression, size):
    """Bytes up to the last line end outside quotes, about ``size`` at a time."""
    taken, limit = b"", EXPANSION_LIMIT * os.path.getsize(path) + FIELD_LIMIT
    read = 0
    with open_regular(path) as raw, (gzip.GzipFile(fileobj=raw) if compression == "gzip" else contextlib.nullcontext(raw)) as file:
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


