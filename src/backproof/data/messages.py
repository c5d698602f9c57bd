"""How names, values and places from the user's data are printed, so that no file can write to the terminal.

Reads   any text or value, an index into an array.
Gives   one short printable line: control, bidirectional and zero-width characters escaped, long text cut with a note.
"""

__all__ = ["DataWarning", "shown", "listed", "megabytes", "place", "column"]


class DataWarning(UserWarning):
    """Data that can be used, although probably not as it was meant."""


def shown(value, limit=80):
    """A value as one quoted, printable, bounded piece of text.

    >>> print(shown("age"), shown("a\\x1b[31m"), shown(1.5), shown("x" * 100, limit=5))
    'age' 'a\\x1b[31m' 1.5 'xxxxx…' (100 characters)
    """
    if not isinstance(value, str):
        text = repr(value)
        return _printable(text if len(text) <= limit else text[:limit] + "…")
    if len(value) > limit:
        return f"'{_printable(value[:limit])}…' ({len(value)} characters)"
    return f"'{_printable(value)}'"


def _printable(text):
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def listed(values, limit=6):
    """Several values in one line, the rest counted.

    >>> print(listed(["a", "b", "c"], limit=2))
    'a', 'b' and 1 more
    """
    values = list(values)
    head = ", ".join(shown(value, limit=40) for value in values[:limit])
    return head if len(values) <= limit else f"{head} and {len(values) - limit} more"


def megabytes(size):
    """A number of bytes as a person says it, in units of 1000.

    >>> print(megabytes(12), megabytes(2_500_000), megabytes(8e12), sep=", ")
    12 bytes, 2.5 MB, 8 TB
    """
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "KB")):
        if size >= unit:
            return f"{size / unit:.3g} {name}"
    return f"{int(size)} bytes"


def place(index, names=None):
    """Where an entry stands, by the index of its array; everything counts from 0.

    >>> print(place((17,)), place((17, 2), ["id", "age", "city"]), place((3, 0, 1)), sep="; ")
    row 17; row 17, column 2 ('city'); sequence 3, step 0, feature 1
    """
    index = [int(i) for i in index]
    if len(index) > 2:
        words = ("sequence", "step", "feature")
        return ", ".join(f"{word} {i}" for word, i in zip(words, index, strict=False))
    row = f"row {index[0]}" if index else "the only value"
    return row if len(index) < 2 else f"{row}, {column(index[1], names)}"


def column(j, names=None):
    """A column by its number and, where it has one, its name."""
    return f"column {j}" + (f" ({shown(names[j])})" if names and j < len(names) else "")
