"""What every command shares: how it talks, and how what goes wrong becomes one text and an exit code.

Results go to stdout, everything else to stderr. Exit codes: 0; 2 usage; 65 data; 66 an input file; 70 engine; 73 an
output that cannot be created; 74 a disk that fails or is full; 75 a folder that another run owns, try again later; 130
interrupted; 141 stdout closed; 143 terminated. No traceback is shown without --debug.
"""

import contextlib
import errno
import os
import re
import sys

import typer

from ..errors import (BackproofError, DataError, DtypeError, ExpressionError, FileProblem, ModelFileError, OptionError, RangeError,
                      ShapeError, SpecError)

__all__ = ["CLOSED", "INTERNAL", "INTERRUPTED", "TERMINATED", "USAGE", "Talk", "answering", "ended", "exit_code", "plain",
           "terminate"]

USAGE, DATA, NO_INPUT, INTERNAL, NO_OUTPUT, DISK, LATER, INTERRUPTED, CLOSED, TERMINATED = 2, 65, 66, 70, 73, 74, 75, 130, 141, 143
NUMBERS = {**dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG), DISK), errno.EAGAIN: LATER}
CODES = [(ModelFileError, DATA), (DataError, DATA), (DtypeError, DATA), (FileProblem, NO_INPUT),
         ((OptionError, SpecError, ExpressionError, ShapeError, RangeError), USAGE)]
OPTIONS = "delimiter|encoding|compression|task|epochs|batch_size|learning_rate|patience|validation|test|seed|layers|optimizer|l2" \
          "|vectors|window|channels|scheme|dev|threads|types|missing|stream|cache"


def exit_code(error):
    """The exit code for an error; what is none of the user's doing is 70."""
    if getattr(error, "errno", None) in NUMBERS:
        return NUMBERS[error.errno]
    if type(error).__name__ == "OutputProblem":            # of jobs, which is not loaded to answer --help
        return NO_OUTPUT
    return next((code for kinds, code in CODES if isinstance(error, kinds)), INTERNAL)


# ---------------------------------------------------------------------------------------------------- what is printed

class Talk:
    """What is said on stderr: notes and progress, at the level that was asked for."""

    def __init__(self, quiet=False, verbose=False):
        self.quiet, self.verbose = quiet, verbose

    def say(self, text):
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def progress(self, epochs):
        """A function of the record of an epoch: a bar on a terminal, else a line now and then (every epoch with -v)."""
        if self.quiet:
            yield None
        elif sys.stderr.isatty() and not self.verbose:
            yield from _bar(epochs)
        else:
            every = 1 if self.verbose else max(1, epochs // 10)
            yield lambda record: print(_epoch_line(record), file=sys.stderr, flush=True) \
                if record["epoch"] % every == 0 else None


def _bar(epochs):
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(TextColumn("epoch {task.completed:.0f} of at most {task.total:.0f}"), BarColumn(), TimeElapsedColumn(),
                  TextColumn("{task.description}", markup=False), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=epochs)
        yield lambda record: bar.update(task, advance=1, description=_losses(record))


def _epoch_line(record):
    return f"epoch {record['epoch']:>4}  {_losses(record)}  {record['seconds']:.2f} s"


def _losses(record):
    validation = record.get("validation_loss")
    return f"loss {record['loss']:.4f}" + ("" if validation is None else f"  validation {validation:.4f}")


def explain(error):
    """The error's text as a command says it: options as they are typed."""
    if not isinstance(error, BackproofError):
        return f"{type(error).__name__}: {plain(str(error))}"
    fix = error.fix and re.sub(rf"\b({OPTIONS})=", lambda found: "--" + found[1].replace("_", "-") + " ", error.fix)
    told = BackproofError(error.what, where=error.where, fix=fix, state=error.state)
    return "\n".join(plain(line) for line in str(told).split("\n"))


def plain(line):
    """One line that cannot write to the terminal, whatever a file put into it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in line)


@contextlib.contextmanager
def answering(debug, talk=None):
    """Turn what goes wrong inside into one text on stderr and an exit code."""
    import warnings

    talk = talk or Talk()
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, category, *place, **more: talk.say(f"note: {plain(str(message))}")
            yield
            sys.stdout.flush()
    except (KeyboardInterrupt, BrokenPipeError, Exception) as error:
        if isinstance(error, (typer.Exit, typer.Abort)) or hasattr(error, "format_message"):
            raise
        if isinstance(error, BrokenPipeError):
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())       # or the interpreter complains at exit
            raise typer.Exit(CLOSED) from None
        if debug:
            import traceback
            traceback.print_exc()
        if isinstance(error, KeyboardInterrupt):
            print(f"interrupted: {plain(str(error)) or 'nothing was saved'}", file=sys.stderr)
            raise typer.Exit(ended()) from None
        print(f"error: {explain(error)}", file=sys.stderr)
        if not isinstance(error, BackproofError) and not debug:
            print("  fix  this should not happen: run it again with --debug and report what it prints", file=sys.stderr)
        raise typer.Exit(exit_code(error)) from None


# ---------------------------------------------------------------------------------------------------- ends from outside

_terminated = []


def terminate(*_):
    """SIGTERM ends a run as Ctrl-C does: with a checkpoint."""
    _terminated.append(True)
    raise KeyboardInterrupt


def ended():
    """The exit code of a command that was ended from outside."""
    return TERMINATED if _terminated else INTERRUPTED
