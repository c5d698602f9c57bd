"""Options that several commands share, what they come to, and the options of a command as data.

Gives   annotated types for signatures; options of `read_table`; {name: Option} of a command, from which run files are written
        and read.
"""

import inspect
from dataclasses import dataclass
from typing import Annotated, get_args, get_type_hints

import typer

from ..errors import OptionError

__all__ = ["Compression", "Data", "Debug", "Delimiter", "Encoding", "Force", "MISSING", "Missing", "Option", "Quiet", "Threads",
           "Types", "Verbose", "chosen", "options_of", "reading_of"]

MISSING = ",NA,?"
DATA = "a CSV or Parquet file, or the name of a built-in data set: digits, iris, breast_cancer, wine, diabetes (./digits is a file)"

Data = Annotated[str, typer.Argument(metavar="DATA", help=DATA)]
Debug = Annotated[bool, typer.Option("--debug", help="show tracebacks")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="say nothing but results and errors")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="a line for every epoch")]
Force = Annotated[bool, typer.Option("--force", help="write over what is there")]
Threads = Annotated[int, typer.Option(help="of the engine; no number of them changes a bit of the result; by default as many as "
                                      "are worth it")]
Delimiter = Annotated[str, typer.Option(help="between the fields of a CSV file; 'tab' for a tab")]
Encoding = Annotated[str, typer.Option(help="of a CSV file")]
Compression = Annotated[str, typer.Option(help="of a CSV file: none or gzip")]
Missing = Annotated[str, typer.Option(help="what stands for a missing value, with commas between: ',NA,?' is the empty cell, NA "
                                      "and ?; in the target only the empty cell is missing")]
Types = Annotated[str, typer.Option(help="kinds of columns that are not to be found out: 'zip=category,day=date,x=number'")]


def reading_of(delimiter, encoding, compression, missing=MISSING, types=None):
    """Options of `read_table`."""
    return {"delimiter": "\t" if delimiter in ("tab", r"\t") else delimiter, "encoding": encoding,
            "compression": None if compression in ("", "none") else compression,
            "missing": [marker.strip() for marker in missing.split(",")], **({"types": _kinds(types)} if types else {})}


def _kinds(text):
    """{column: kind} of 'zip=category,day=date'."""
    found = {}
    for part in text.split(","):
        name, sign, kind = (piece.strip() for piece in part.rpartition("="))
        if not (name and sign) or kind not in ("number", "date", "category"):
            raise OptionError(f"--types {part!r} is no column and kind", fix="--types 'zip=category,day=date,x=number'")
        found[name] = kind
    return found


def chosen(name, value, allowed):
    """The value, if it is one of those allowed."""
    if value not in allowed:
        raise OptionError(f"--{name} {value!r} is unknown", fix=f"one of {', '.join(allowed)}")
    return value


# ---------------------------------------------------------------------------------------------------- as data

@dataclass(frozen=True)
class Option:
    """What a command says of one of its options: str, int, float or bool; the default, None for none; the meaning."""

    kind: type
    default: object
    help: str


def options_of(command):
    """{name: Option} of a function that is a command, in order, as its signature says.

    >>> def greet(name: Annotated[str, typer.Option(help="whom to greet")] = "you"): ...
    >>> options_of(greet)
    {'name': Option(kind=<class 'str'>, default='you', help='whom to greet')}
    """
    hints, found = get_type_hints(command, include_extras=True), {}
    for name, parameter in inspect.signature(command).parameters.items():
        kind, *about = get_args(hints[name]) or (hints[name],)
        if about:
            found[name] = Option(kind, parameter.default, about[0].help)
    return found
