"""The .ts files of the time series archives (sktime's format), as long tables: one row per step of each sequence.

Reads   text: comments "#", "@" lines that declare, "@data", then a line per sequence: its dimensions separated by ":", the values
        of a dimension by ",", at the end the class or the number to predict. "?" or "NaN" is a missing value.
Gives   a Table with the columns "sequence" and "step" (from 0), "value" (or "value1", "value2", …), and "class" or "target".
Raises  DataError with the line, FileProblem for the file itself.
"""

import numpy as np

from backproof.data.columns import Column, Table
from backproof.data.csv_text import FILE_LIMIT
from backproof.data.files import read_regular
from backproof.data.messages import shown
from backproof.errors import DataError

__all__ = ["SEQUENCE", "STEP", "is_ts", "read_ts", "ts_target"]

SEQUENCE, STEP = "sequence", "step"
MISSING = {"?", "NaN", "nan", ""}


def is_ts(path):
    """Is it the name of a .ts file?"""
    return str(path).endswith(".ts")


def ts_target(table):
    """The column that a .ts file says to predict, or None."""
    return next((name for name in ("class", "target") if name in table.columns), None)


def read_ts(path):
    """The long Table of a .ts file."""
    text = _text(path)
    declared, first, lines = _header(text, path)
    if declared.get("timestamps", ["false"])[0].lower() == "true":
        raise _bad(path, 1, "its values carry time stamps (@timeStamps true)",
                   "give a long table: columns of an id, a time and the values")
    kind = next((kind for word, kind in (("classlabel", "class"), ("targetlabel", "target"))
                 if declared.get(word, ["false"])[0].lower() == "true"), None)
    sequences, labels, numbers = [], [], []
    for number, line in enumerate(lines, first):
        if line.strip() and not line.startswith("#"):
            values, label = _sequence(line.strip(), kind, path, number)
            if sequences and len(values) != len(sequences[0]):
                raise _bad(path, number, f"{len(values)} dimensions; the first sequence has {len(sequences[0])}",
                           "dimensions are separated by a colon, and every sequence has all of them")
            sequences.append(values)
            labels.append(label)
            numbers.append(number)
    if not sequences:
        raise _bad(path, first, "no sequence follows @data", "give it sequences, one per line")
    return _table(sequences, labels, numbers, kind, path)


def _text(path):
    data = read_regular(path, limit=FILE_LIMIT)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"byte {error.start} is no UTF-8", where=str(path), fix="save the file as UTF-8") from None


def _header(text, path):
    """({word: what follows it}, number of the first line of data, those lines)."""
    declared, lines = {}, text.splitlines()
    for k, line in enumerate(lines):
        word, *rest = line.split() or [""]
        if word.lower() == "@data":
            return declared, k + 2, lines[k + 1:]
        if word.startswith("@"):
            declared[word[1:].lower()] = rest or [""]
        elif word and not word.startswith("#"):
            raise _bad(path, k + 1, f"{shown(line, 60)} stands before @data", "a .ts file declares with @, then says @data")
    raise _bad(path, len(lines), "there is no @data", "a .ts file declares with @, then says @data")


def _sequence(line, kind, path, number):
    """([values of each dimension], label or None) of a line."""
    parts = line.split(":")
    label = None
    if kind is not None:
        label = parts.pop().strip()
        if not parts or "," in label or not label:
            raise _bad(path, number, f"the line ends in {shown(label[-40:], 60)}, which is no {kind}",
                       f"end it with a colon and the {kind}")
        label = _number(label, path, number) if kind == "target" else label
    values = [[np.nan if cell.strip() in MISSING else _number(cell, path, number) for cell in part.split(",")] for part in parts]
    lengths = {len(part) for part in values}
    if len(lengths) > 1:
        raise _bad(path, number, f"dimensions of {min(lengths)} and {max(lengths)} steps", "give every dimension the same steps")
    return values, label


def _number(cell, path, number):
    try:
        value = float(cell)
    except ValueError:
        raise _bad(path, number, f"{shown(cell.strip(), 60)} is no number",
                   "numbers separated by commas; ? where one is missing") from None
    if not np.isfinite(value):
        raise _bad(path, number, f"{shown(cell.strip(), 60)} is not finite", "mend it, or write ? where a value is missing")
    return value


def _table(sequences, labels, numbers, kind, path):
    lengths = np.array([len(values[0]) for values in sequences])
    names = ["value"] if len(sequences[0]) == 1 else [f"value{d + 1}" for d in range(len(sequences[0]))]
    arrays = {SEQUENCE: np.repeat(np.arange(len(lengths)), lengths), STEP: np.concatenate([np.arange(n) for n in lengths])}
    arrays.update({name: np.concatenate([values[d] for values in sequences]) for d, name in enumerate(names)})
    columns = [Column(name, values, np.isnan(values)) for name, values in arrays.items()]
    if kind is not None:
        column = np.array(labels, dtype=object if kind == "class" else np.float64)
        columns.append(Column(kind, np.repeat(column, lengths), np.zeros(lengths.sum(), bool)))
    return Table(columns, source=str(path), lines=np.repeat(np.array(numbers), lengths))


def _bad(path, number, what, fix):
    return DataError(f"line {number}: {what}", where=shown(str(path), 200), fix=fix)
