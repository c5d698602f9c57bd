"""What is written: the folder of a run, pages, tables of predictions. Whole or not at all, and never over an input.

Raises  OutputProblem where something cannot be written.
"""

import contextlib
import csv
import io
import os

from .errors import FileProblem, OptionError

__all__ = ["OutputProblem", "FILES", "answers", "check_predictions", "claim", "csv_bytes", "output", "parts_file", "refuse_same",
           "refuse_existing", "write_parts", "write_text"]

FILES = ("model.safetensors", "history.jsonl", "predictions.csv", "report.html", "summary.json")


class OutputProblem(FileProblem):
    """A file or directory that cannot be created, or must not be replaced."""


@contextlib.contextmanager
def output():
    """Problems of files that are written, told from those of files that are read."""
    try:
        yield
    except FileProblem as problem:
        told = OutputProblem(problem.what, where=problem.where, fix=problem.fix, state=problem.state)
        told.errno = problem.errno
        raise told from None


def write_text(out, text, force=False):
    """Write a page or a program, whole or not at all; a file that exists is refused unless forced."""
    from .train.files import write_atomically

    refuse_existing(out, force)
    with output():
        write_atomically(out, [text.encode("utf-8", "backslashreplace")])


def refuse_existing(out, force=False):
    """What is there is replaced only where that was asked for."""
    from .data.messages import shown

    if os.path.lexists(out) and not force:
        raise OutputProblem(f"{shown(str(out), 200)} exists", fix="another name, or --force to replace it",
                            state="nothing was written")


def claim(out, force, data):
    """Make the directory of a run; True if it was not there. One that holds something is refused unless forced."""
    from .data.messages import shown

    where = shown(os.path.realpath(out), 300)
    try:
        made = not os.path.isdir(out)
        os.makedirs(out, exist_ok=True)
        found = sorted(os.listdir(out))
    except (OSError, ValueError) as error:
        raise OutputProblem(f"the directory cannot be made: {getattr(error, 'strerror', None) or error}", where=where,
                            fix="choose another --out", state="nothing was trained") from None
    if found and not force:
        raise OutputProblem(f"the directory is not empty: it holds {shown(found[0])}", where=where,
                            fix="another --out, or --force to write over the files of an earlier run",
                            state="nothing was trained or written")
    if not os.access(out, os.W_OK | os.X_OK):
        raise OutputProblem("the directory cannot be written to", where=where, fix="choose another --out",
                            state="nothing was trained")
    for name in FILES:
        refuse_same(os.path.join(out, name), data)
    return made


def refuse_same(out, *inputs):
    """An output that is one of the inputs is refused, whatever its path looks like."""
    from .data.messages import shown

    for path in inputs:
        try:
            same = os.path.samefile(out, path)
        except (OSError, ValueError):
            same = False                                          # one of them does not exist
        if same:
            raise OutputProblem(f"the output {shown(str(out), 200)} is the input {shown(str(path), 200)}",
                                fix="choose another --out", state="nothing was written")


def check_predictions(out, prepare, probabilities, force, *inputs):
    """What can be refused before anything is predicted."""
    if probabilities and prepare.task == "regression":
        raise OptionError("a regression has no probabilities", fix="leave --probabilities out")
    if out != "-":
        refuse_same(out, *inputs)
        refuse_existing(out, force)


@contextlib.contextmanager
def parts_file(out):
    """A file to write part by part beside its place; it is put in place when it is complete."""
    from .data.messages import shown

    temporary = f"{out}.{os.getpid()}.tmp"
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, out)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if not isinstance(error, OSError) or isinstance(error, FileProblem):
            raise
        told = OutputProblem(f"the file cannot be written: {error.strerror}", where=shown(str(out), 200),
                             fix="choose another --out",
                             state="nothing was written")
        told.errno = error.errno
        raise told from None


def write_parts(out, parts):
    """Write bytes that come in parts."""
    with parts_file(out) as file:
        for part in parts:
            file.write(part)


def answers(prepare, predicted):
    """What a user is told for each row: a label, or a number in the target's units with the digits it has."""
    values = prepare.inverse(predicted)
    return [format(v, ".9g") for v in values.ravel()] if prepare.task == "regression" else values.tolist()


def csv_bytes(lines):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue().encode("utf-8", "backslashreplace")


