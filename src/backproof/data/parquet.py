"""Parquet files and Arrow tables: typed columns that need no decision; nested and unknown types are refused.

Reads   a Parquet file, whole or in parts, or an Arrow table.
Gives   Tables.
Raises  DataError, DtypeError that name the column, and the row group of a broken page.
"""

import numpy as np

from backproof.data.columns import Column, Table
from backproof.data.csv_text import arrow_library
from backproof.data.kinds import dates_of
from backproof.data.messages import listed, shown
from backproof.errors import DataError, DtypeError

__all__ = ["from_arrow", "parquet_chunks", "parquet_kinds", "read_parquet"]

PARQUET_ROWS = 20_000


def parquet_chunks(path, target, types, missing):
    arrow = arrow_library()
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            _check_schema(file.schema_arrow, path)
            for batch in file.iter_batches(batch_size=PARQUET_ROWS):
                yield from_arrow(arrow.Table.from_batches([batch]), str(path), types, missing, target)
    except arrow.ArrowInvalid as error:
        raise DataError(f"the Parquet file cannot be read: {shown(str(error), 200)}", where=str(path), fix="fetch the file again") from None


def read_parquet(data, path, target, types, missing):
    arrow = arrow_library()
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
    return from_arrow(table, str(path), types, missing, target)


def _broken_part(file, names, arrow):
    for group in range(file.num_row_groups):
        for name in names:
            try:
                file.read_row_group(group, columns=[name], use_threads=False)
            except (arrow.ArrowException, OSError, ValueError):
                return f"column {shown(name)} in row group {group}"
    return None


def parquet_kinds(path):
    """{column: kind} of a Parquet file, from its schema."""
    arrow = arrow_library()
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
    except (arrow.ArrowException, OSError, ValueError) as error:
        raise DataError(f"the Parquet file is corrupt or truncated: {shown(str(error), 200)}", where=str(path),
                        fix="fetch the file again") from None
    _check_schema(schema, path)
    return {entry.name: from_arrow(arrow.Table.from_batches([], arrow.schema([entry])), None, {})[entry.name].kind for entry in schema}


def _check_schema(schema, path):
    """Names and types of all columns, before any value is read."""
    arrow = arrow_library()
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


def from_arrow(table, source, types, missing=(), target=None):
    _check_schema(table.schema, source)
    columns = [_arrow_column(name, table.column(name), types.get(name), () if name == target else missing, name == target)
               for name in table.column_names]
    return Table(columns, source=source)


def _arrow_column(name, values, declared, markers, label=False):
    arrow = arrow_library()
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
    if (kinds.is_date(values.type) or kinds.is_timestamp(values.type)) and declared != "category" and not label:
        out = values.cast(arrow.timestamp("us", "UTC" if getattr(values.type, "tz", None) else None), safe=False).to_numpy()
        return Column(name, np.where(mask, np.datetime64(0, "us"), out.astype("datetime64[us]")), mask)
    if not kinds.is_null(values.type):
        values = values.cast(arrow.large_string())
    if declared == "date" and not kinds.is_null(values.type):
        out, wrong = dates_of(values.fill_null("1970-01-01"))
        if not wrong.any():
            return Column(name, out, mask)
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


