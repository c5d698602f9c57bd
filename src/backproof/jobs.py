"""What the commands do: train on a table, predict for a table, differentiate an expression at a point.

Reads   a CSV or Parquet file or the name of a built-in data set; options as plain values.
Gives   a trained model that carries its preprocessing, measured beside a baseline; the files of a run; predictions.
Raises  OutputProblem where something cannot be written, other FileProblem where it cannot be read, and the rooms' errors.

The rows for validation and test are set aside first. Everything is learned from the training rows alone: the
preprocessing, the weights and the baseline. The validation rows decide when to stop; the test rows decide nothing.
"""

import contextlib
import csv
import io
import itertools
import json
import math
import os
import sys
import time
import warnings
from dataclasses import asdict, dataclass

from . import __version__
from .errors import EngineError, FileProblem, ModelFileError, OptionError, RangeError
from .measures import baseline_of, boosting, counts, measure

__all__ = ["Settings", "Outcome", "OutputProblem", "read_data", "train_table", "predict_table", "differentiate", "FILES"]

FILES = ("model.safetensors", "history.jsonl", "predictions.csv", "report.html", "summary.json")
MEMORY = "run.json"                 # what was asked for, while there is something to go on with
TABLE = "table"                     # the key of the model file under which the preprocessing travels
CHECKED_ROWS = 5
PARTS = ("training", "validation", "test")


class OutputProblem(FileProblem):
    """A file or directory that cannot be created, or must not be replaced."""


@dataclass(frozen=True)
class Settings:
    """How a table is trained on. docs/defaults.md says how the defaults were chosen.

    Fields  layers      the hidden layers of the one-line spec; inputs and output follow from the table; "" for none
            task        "classification", "regression", or None: found out from the target
            batch_size  None: by the number of training rows, see `batch_size_for`
            patience    epochs without a better validation loss before it stops; None: never; the best epoch is kept
    """

    layers: str = "64 relu | 32 relu"
    task: str | None = None
    epochs: int = 200
    batch_size: int | None = None
    learning_rate: float = 1e-3
    optimizer: str = "adam"
    l2: float = 1e-4
    validation: float = 0.15
    test: float = 0.15
    seed: int = 0
    patience: int | None = 15


def batch_size_for(rows):
    """About a hundredth of the training rows, a power of two from 32 to 128.

    >>> [batch_size_for(n) for n in (100, 1000, 6000, 1_000_000)]
    [32, 32, 64, 128]
    """
    return min(128, max(32, 1 << max(0, round(math.log2(max(1, rows) / 100)))))


@dataclass
class Outcome:
    """What training a table left behind: the model, its preprocessing, the summary that is written, the paths written."""

    model: object
    prepare: object
    summary: dict
    files: list

    def table(self):
        """The final table: every part of the rows, the measures, and the baseline beside them."""
        return results_table(self.summary)


# ---------------------------------------------------------------------------------------------------- reading

def read_data(data, target=None, **reading):
    """(table, target): a built-in data set by its name, else a file; ``reading`` as for `read_table`."""
    from .data.builtin import BUILTIN, load_builtin
    from .data.messages import shown

    if data in BUILTIN:
        table, default = load_builtin(data)
        table[target or default]
        return table, target or default
    from .data.tables import read_table

    if target is None and os.path.exists(data):
        names = read_table(data, **reading).names
        raise OptionError("there is no target column", fix=f"--target NAME; the last column is {shown(names[-1])}")
    return read_table(data, target=target, **reading), target


# ---------------------------------------------------------------------------------------------------- training

def train_table(data, target=None, settings=None, *, out=None, force=False, reading=None, say=None, progress=None, resume=False,
                time_limit=None, peers=False):
    """Train on a table and measure the model.

    Parameters  data      a path or the name of a built-in data set
                out       directory for the files of the run; None: nothing is written
                force     write into a directory that is not empty, over the files of an earlier run
                reading   options of `read_table`
                say       called with a sentence about the data or the run
                progress  called with the record of every epoch
                resume    go on from the newest checkpoint in ``out``, bit for bit
                time_limit  seconds after which training ends; the best epoch's weights are kept
                peers     measure HistGradientBoosting beside the network
    Interrupt   Ctrl-C during training writes a checkpoint (with ``out``) and keeps the last complete step; the summary says "interrupted": true.
    """
    from .train.loop import check_number

    settings, say, began = settings or Settings(), say or (lambda text: None), time.perf_counter()
    check_number("seed", settings.seed, 0, whole=True, highest=1 << 32)
    made, checkpoints = _claim(out, force or resume, data) if out is not None else None, None
    try:
        table, target = read_data(data, target, **(reading or {}))
        for sentence in table.missing_report():
            say(sentence)
        task, parts = _split(table, target, settings)
        prepare, arrays = _prepare(table, target, task, parts, say)
        model, batch_size = _build(prepare, arrays["training"], settings)
        say(f"{len(prepare.columns)} columns as {len(prepare.features)} inputs, {_target_words(prepare)}")
        say(f"network {model.network.spec}, {model.network.count:,} parameters; minibatches of {batch_size}")
        check = check_network(model.network, *(a[:CHECKED_ROWS] for a in arrays["training"]), settings.seed)
        say(f"gradients checked on {check['rows']} rows: largest relative error {check['error']:.0e} ✓")
        checkpoints = _checkpoints(out, resume, time_limit, say)
        if out is not None:
            remember(out, data, target, settings, reading)
        interrupted = _fit(model, arrays, settings, batch_size, progress, checkpoints)
        summary = _summary(data, target, settings, batch_size, model, prepare, parts, arrays, check, interrupted)
        if peers and not interrupted:
            summary["boosting"] = boosting(table, prepare, parts, arrays, settings.seed)
        model.extra[TABLE] = json.dumps(prepare.state(), allow_nan=False)
    except BaseException:
        _tidy(out, checkpoints)
        if made:
            with contextlib.suppress(OSError):
                os.rmdir(out)
        raise
    summary["seconds"] = round(time.perf_counter() - began, 3)
    files = [] if out is None else _write_run(out, model, prepare, table, parts, arrays, summary)
    if checkpoints is not None and not interrupted:
        checkpoints.clear()
    _tidy(out, checkpoints)
    return Outcome(model, prepare, summary, files)


def check_network(network, X, y, seed=0):
    """Check the gradients of a network at its initial weights on a few rows, in double precision by the complex step.

    Gives    {"rows", "error": the largest relative error of a parameter tensor, "verdict"}
    Raises   EngineError that names the tensors whose gradients are not those of the loss.
    """
    from .check import check_gradients

    report = check_gradients(network.build(seed=seed, dtype="float64"), X, y, seed=seed, seconds=0.5)
    if report.verdict != "pass":
        raise EngineError("the gradients of this network are not those of its loss", where=report.to_text(),
                          fix="this is a mistake of backproof: please report the network and this text",
                          state="nothing was trained")
    return {"rows": len(X), "error": float(max(block.error for block in report.blocks)), "verdict": report.verdict}


def _split(table, target, settings):
    from .data.messages import DataWarning
    from .data.preprocess import TargetCoder, guess_task
    from .data.split import split_rows

    task = settings.task or guess_task(table[target])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)             # said once, where the training rows are prepared
        coder = TargetCoder.fit(table[target], task=task, where=lambda row: table.place(row, target))
        labels = coder.transform(table[target]) if task == "classification" else None
    rows = split_rows(len(table), validation=settings.validation, test=settings.test, labels=labels, seed=settings.seed)
    return task, {name: part for name, part in zip(PARTS, rows) if len(part)}


def _prepare(table, target, task, parts, say):
    """(preprocessor fitted on the training rows, {part: (X, y)})."""
    from .data.preprocess import TablePreprocessor

    tables = {name: table.select(rows) for name, rows in parts.items()}
    prepare = TablePreprocessor.fit(tables["training"], target, task=task)
    for note in prepare.notes:
        say(note)
    return prepare, {name: (prepare.transform(part, notice=lambda text, name=name: say(f"{name} rows: {text}")),
                            prepare.target_transform(part)) for name, part in tables.items()}


def _build(prepare, training, settings):
    from .network import Network

    output, loss = ("1", "squared_error") if prepare.task == "regression" else \
        (f"{len(prepare.classes)} softmax", "cross_entropy")
    spec = " | ".join([str(len(prepare.features)), *([settings.layers] if settings.layers.strip() else []), output])
    network = Network(spec, loss=loss, l2=settings.l2)
    if network.inputs != len(prepare.features) or network.sequence or network.output_per_step:
        raise OptionError(f"the layers {settings.layers!r} do not read the rows of a table", fix="such as '64 relu | 32 relu'")
    return network.build(seed=settings.seed), settings.batch_size or batch_size_for(len(training[0]))


def _target_words(prepare):
    from .data.messages import listed, shown

    if prepare.task == "classification":
        return f"{shown(prepare.target)} in {len(prepare.classes)} classes: {listed(prepare.classes, 4)}"
    return f"{shown(prepare.target)} as a number, {prepare.coder.mean:.4g} ± {prepare.coder.scale:.4g}"


def _tidy(out, checkpoints):
    """Give the folder free; without a checkpoint there is nothing to go on with, and nothing to remember."""
    if checkpoints is None or out is None:
        return
    checkpoints.close()
    if not checkpoints.steps():
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(out, MEMORY))


def _checkpoints(out, resume, time_limit, say):
    """The Checkpoints of a run that is written somewhere, or has a time limit; those of an earlier run are cleared."""
    from .train.checkpoints import Checkpoints

    if out is None:
        return None if time_limit is None else Checkpoints(None, time_limit=time_limit)
    checkpoints = Checkpoints(out, time_limit=time_limit)
    if not resume:
        checkpoints.clear()
    elif checkpoints.steps():
        say(f"going on after step {checkpoints.steps()[-1]}")
    return checkpoints


def _fit(model, arrays, settings, batch_size, progress, checkpoints=None, **how):
    """Train, with further options of ``Model.fit``; True if it was interrupted, and then the model has the weights of the last complete step."""
    from .train.loop import Interrupted

    from .show.health import Health

    watch = (Health(), *(() if progress is None else (lambda record: bool(progress(record)),)))
    more = {} if settings.optimizer == "lbfgs" else {"checkpoints": checkpoints}
    with _one_thread():
        try:
            model.fit(*arrays["training"], epochs=settings.epochs, batch_size=batch_size, optimizer=settings.optimizer,
                      learning_rate=settings.learning_rate, validation=arrays.get("validation"),
                      patience=settings.patience, callbacks=watch, **more, **how)
        except Interrupted as end:
            if "time limit" not in end.reason:
                return True
            model.history.stopped = end.reason
            if end.best is not None:
                model.set_parameters(**end.best)
        except KeyboardInterrupt:
            return True
    return False


@contextlib.contextmanager
def _one_thread():
    """One thread for NumPy's matrix products: ours are small, and the bits do not depend on the machine's load."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        yield


# ---------------------------------------------------------------------------------------------------- measuring

def _summary(data, target, settings, batch_size, model, prepare, parts, arrays, check, interrupted):
    from .data.messages import shown

    history = model.history
    truth = arrays["training"][1]
    if prepare.task == "classification":
        label = prepare.classes[int(counts(truth, prepare).argmax())]
        baseline = {"name": f"always {shown(label, 30)}", "class": label}
    else:
        baseline = {"name": "always the mean", "mean": prepare.coder.mean}
    with _one_thread():
        measured = {name: measure(model, prepare, X, y) for name, (X, y) in arrays.items()}
    return {"backproof": __version__, "data": str(data), "target": target, "task": prepare.task,
            "classes": prepare.classes, "rows": {name: len(rows) for name, rows in parts.items()},
            "network": model.network.spec, "parameters": model.network.count,
            "settings": {**asdict(settings), "batch_size": batch_size}, "gradient_check": check,
            "epochs": len(history), "best_epoch": history.best, "stopped": history.stopped, "interrupted": interrupted,
            "measures": measured, "baseline": {**baseline, **{name: baseline_of(prepare, truth, y) for name, (_, y) in arrays.items()}},
            "notes": prepare.notes}


COLUMNS = {"classification": (("loss", "loss"), ("accuracy", "accuracy")),
           "regression": (("loss", "loss"), ("rmse", "RMSE"), ("r2", "R²"))}


def results_table(summary):
    """The measures of a run as lines of text, the baseline beside each.

    >>> print(results_table({"task": "classification", "rows": {"training": 70, "test": 30},
    ...     "measures": {"training": {"loss": 0.25, "accuracy": 0.9}, "test": {"loss": 0.5, "accuracy": 0.8}},
    ...     "baseline": {"name": "always 'a'", "training": {"loss": 0.7, "accuracy": 0.6}, "test": {"loss": 0.7, "accuracy": 0.5}}}))
                                        always 'a'
                 rows    loss  accuracy      loss  accuracy
    training       70  0.2500    0.9000    0.7000    0.6000
    test           30  0.5000    0.8000    0.7000    0.5000
    """
    columns = COLUMNS[summary["task"]]
    peers = [summary[key] for key in ("baseline", "seasonal", "boosting") if key in summary]
    blocks = [("", [summary["measures"][part] for part in summary["rows"]])]
    blocks += [(peer["name"], [peer[part] for part in summary["rows"]]) for peer in peers]
    lines = [["", ""], ["", "rows"]] + [[part, f"{count:,}"] for part, count in summary["rows"].items()]
    lines = [f"{row[0]:<10}  {row[1]:>6}" for row in lines]
    for name, measured in blocks:
        cells = [[title for _, title in columns], *([_cell(one[key]) for key, _ in columns] for one in measured)]
        widths = [max(8 if j == 0 else 0, *(len(row[j]) for row in cells)) for j in range(len(columns))]
        width = max(len(name), sum(widths) + 2 * (len(widths) - 1))
        texts = [name.rjust(width), *("  ".join(cell.rjust(w) for cell, w in zip(row, widths)).rjust(width) for row in cells)]
        lines = [f"{line}  {text}" for line, text in zip(lines, texts)]
    return "\n".join(line.rstrip() for line in lines)


def _cell(value):
    return "–" if value is None else f"{value:.4f}" if abs(value) < 10 else f"{value:.5g}"


# ---------------------------------------------------------------------------------------------------- the files of a run

@contextlib.contextmanager
def _output():
    """Problems of files that are written, told from those of files that are read."""
    try:
        yield
    except FileProblem as problem:
        raise OutputProblem(problem.what, where=problem.where, fix=problem.fix, state=problem.state) from None


def remember(out, data, target, settings, reading):
    """Write into a run's folder what was asked for, so that ``--resume`` needs nothing else."""
    from .train.files import write_atomically

    plain = {"data": os.path.abspath(data) if os.path.exists(data) else data, "target": target, "settings": asdict(settings),
             "reading": reading or {}}
    with _output():
        write_atomically(os.path.join(out, MEMORY), [json.dumps(plain, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace")])


def write_text(out, text, force=False):
    """Write a page or a program, whole or not at all; a file that exists is refused unless forced."""
    from .data.messages import shown
    from .train.files import write_atomically

    if os.path.lexists(out) and not force:
        raise OutputProblem(f"{shown(str(out), 200)} exists", fix="another --out, or --force to replace it", state="nothing was written")
    with _output():
        write_atomically(out, [text.encode("utf-8", "backslashreplace")])


def _claim(out, force, data):
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
        _refuse_same(os.path.join(out, name), data)
    return made


def _refuse_same(out, *inputs):
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


def _write_run(out, model, prepare, table, parts, arrays, summary):
    from .train.files import write_atomically

    paths = {name: os.path.join(out, name) for name in FILES}
    with _output():
        model.save(paths["model.safetensors"])
        write_atomically(paths["history.jsonl"], [model.history.to_json_lines().encode()])
        if "test" in parts:
            lines = _test_lines(model, prepare, table.select(parts["test"]), parts["test"], arrays["test"][0])
            write_atomically(paths["predictions.csv"], [_csv(lines)])
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(paths["predictions.csv"])               # of an earlier run: it would not belong to this model
        part = next(name for name in ("test", "validation", "training") if name in arrays)
        page = model.report(*arrays[part], class_names=None if prepare.task == "regression" else list(map(str, prepare.classes)),
                            title=f"{summary['data']}: {part}").to_html()
        write_atomically(paths["report.html"], [page.encode("utf-8", "backslashreplace")])
        text = json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        write_atomically(paths["summary.json"], [text.encode("utf-8", "backslashreplace")])
    return [path for name, path in paths.items() if name != "predictions.csv" or "test" in parts]


def _test_lines(model, prepare, table, rows, X):
    """The header and a line for every test row: its number in the file (from 0), the truth and the prediction."""
    yield ["row", prepare.target, "prediction"]
    truth = table[prepare.target].values.tolist()
    for row, true, predicted in zip(rows.tolist(), truth, _answers(prepare, model.predict(X))):
        yield [row, true, predicted]


def _answers(prepare, predicted):
    """What a user is told for each row: a label, or a number in the target's units with the digits it has."""
    values = prepare.inverse(predicted)
    return [format(v, ".9g") for v in values.ravel()] if prepare.task == "regression" else values.tolist()


def _csv(lines):
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue().encode("utf-8", "backslashreplace")


# ---------------------------------------------------------------------------------------------------- predicting

def load_table_model(path):
    """(model, preprocessor) of a file that `train_table` wrote; anything else is refused with the reason."""
    from .data.messages import shown
    from .data.preprocess import TablePreprocessor
    from .model import Model

    model, where = Model.load(path), shown(str(path), 200)
    if TABLE not in model.extra:
        raise ModelFileError("this model was not trained on a table", where=where,
                             fix="load it in Python: Model.load(path).predict(X)")
    try:
        prepare = TablePreprocessor.from_state(json.loads(model.extra[TABLE]))
        fits = prepare.coder is not None and model.network.inputs == len(prepare.features) and model.network.outputs == \
            (1 if prepare.task == "regression" else len(prepare.classes))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        what = error.what if isinstance(error, ModelFileError) else f"the preprocessing cannot be read: {error}"
        raise ModelFileError(what, where=where, fix="save the model again from the training run") from None
    if not fits:
        raise ModelFileError("the network does not fit the preprocessing in the file", where=where,
                             fix="save the model again from the training run")
    return model, prepare


def check_saved(model, data, *, rows=5, language="en", seed=None, cost=False, reading=None):
    """Check the gradients of a saved model on rows of a table (or measure what they cost); returns the Outcome."""
    from .check.command import check_model, cost_of

    if data is None:
        raise OptionError("a saved model is checked on data", fix="backproof check model.safetensors table.csv")
    model, prepare = load_table_model(model)
    table = _read_for(prepare, data, reading or {}, target=True)
    table = table.select(range(min(rows, len(table)))) if rows else table
    X, y = prepare.transform(table, notice=lambda text: None), prepare.target_transform(table)
    with _one_thread():
        return cost_of(model, X, y) if cost else check_model(model, X, y, rows=0, language=language, seed=seed)


def predict_table(model, data, *, out="-", probabilities=False, force=False, reading=None, say=None):
    """Predict for the rows of a table; returns how many there were.

    Columns are found by name, in any order; others are ignored, and `say` is told of them.

    Parameters  model  path of a model file; data as for `train_table`
                out    a CSV file with the column "prediction", and one per class with ``probabilities``; "-": stdout
    """
    say = say or (lambda text: None)
    network, prepare = load_table_model(model)
    if probabilities and prepare.task == "regression":
        raise OptionError("a regression has no probabilities", fix="leave --probabilities out")
    if out != "-":
        _refuse_same(out, data, model)
        if os.path.lexists(out) and not force:
            from .data.messages import shown
            raise OutputProblem(f"{shown(str(out), 200)} exists", fix="another --out, or --force to replace it",
                                state="nothing was written")
    tables = _chunks_for(prepare, data, reading or {})
    first = next(tables)                                      # what is wrong at once is said before anything is written
    told, counts = set(), []

    def lines():
        header = ["prediction"] + ([f"probability_{label}" for label in prepare.classes] if probabilities else [])
        yield _csv([header])
        for table in itertools.chain([first], tables):
            X = prepare.transform(table, notice=lambda text: text in told or told.add(text) or say(text))
            with _one_thread():
                predicted = network.predict(X)
            columns = [_answers(prepare, predicted)]
            if probabilities:
                columns += [[format(p, ".9g") for p in column] for column in predicted.T]
            counts.append(len(table))
            yield _csv(zip(*columns))
    if out == "-":
        for part in lines():
            sys.stdout.write(part.decode())
        sys.stdout.flush()
    else:
        _write_parts(out, lines())
    return sum(counts)


def _write_parts(out, parts):
    """Write a file part by part beside its place, and put it in place when it is complete."""
    from .data.messages import shown

    temporary = f"{out}.{os.getpid()}.tmp"
    try:
        with open(temporary, "xb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, out)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if not isinstance(error, OSError) or isinstance(error, FileProblem):
            raise
        raise OutputProblem(f"the file cannot be written: {error.strerror}", where=shown(str(out), 200), fix="choose another --out",
                            state="nothing was written") from None


def _chunks_for(prepare, data, reading):
    """The tables of a prediction, one part of the file after the other, typed as in training."""
    from .data.builtin import BUILTIN

    if data in BUILTIN:
        yield _read_for(prepare, data, reading)
        return
    from .data.tables import read_chunks

    yield from read_chunks(data, types=prepare.types, **reading)


def _read_for(prepare, data, reading, target=False):
    """The table of a prediction, typed as in training; columns that are not used are taken as they come."""
    from .data.builtin import BUILTIN, load_builtin

    if data in BUILTIN:
        return load_builtin(data)[0]
    from .data.tables import read_table

    unused = {name: "category" for name in (*prepare.state()["order"], *(() if target else (prepare.target,)))}
    return read_table(data, types={**unused, **prepare.types}, **({"target": prepare.target} if target else {}), **reading)


# ---------------------------------------------------------------------------------------------------- expressions

@dataclass(frozen=True)
class Slope:
    """One partial derivative of an expression: as a formula, its value at the point, and the complex step's beside it."""

    name: str
    formula: str
    value: float | None = None
    checked: float | None = None

    @property
    def error(self):
        """How far the value is from the complex step, relative to it."""
        return abs(self.value - self.checked) / max(abs(self.checked), abs(self.value), 1e-300)


def differentiate(text, at=None):
    """(formula, value or None, [Slope of every variable]) of an expression, at a point {name: number} if one is given.

    >>> formula, value, slopes = differentiate("x*y", {"x": 4, "y": -3})
    >>> formula, value, [(s.name, s.formula, s.value) for s in slopes]
    ('x y', -12.0, [('x', 'y', -3.0), ('y', 'x', 4.0)])
    """
    from .calculus import Equation, System
    from .calculus.parser import parse
    from .derive import sweep

    system = System()
    node = parse(text)
    system.append(Equation(RESULT, node, (), role="objective"))
    names = sorted(system.variables)
    if not names:
        raise OptionError("the expression has no variable to differentiate by", where=text[:200],
                          fix="such as --expression 'x*y'")
    derived = sweep(system, {RESULT: 1}, names)
    nodes = {name: _derivative(derived, name) for name in names}
    formulas = {name: _formula(derived.system, part) for name, part in nodes.items()}
    if at is None:
        return _formula(system, node), None, [Slope(name, formulas[name]) for name in names]
    return _at_point(system, derived.system, nodes, formulas, names, _point(names, at))


RESULT = "the expression"           # no variable can have this name


def _derivative(derived, name):
    """The node of a partial derivative: its equation's, or the variable that it is."""
    from .calculus import zero

    if name not in derived.adjoints:
        return zero(())
    found = derived.system.resolve(derived.adjoints[name])
    equations = derived.system.equations
    return equations[found].expression if found in equations else derived.system.variables[found]


def _formula(system, node):
    """A node in the house notation."""
    from .show.compose import Composer
    from .show.index_form import IndexForm
    from .show.notation import NOTATIONS, Namer
    from .show.text import text

    shorter = IndexForm(system, frozenset(n for n in system.equations if n != RESULT))
    return text(Composer(Namer(NOTATIONS["house"], system), {}).box(shorter.tree(node, {}))).replace(RESULT, "f")


def _point(names, at):
    for name in at:
        if name not in names:
            raise OptionError(f"the expression has no variable {name!r}", fix=f"give {', '.join(names)}")
    missing = [name for name in names if name not in at]
    if missing:
        raise OptionError(f"no value is given for {', '.join(missing)}", fix=f"--at {','.join(f'{n}=1' for n in missing)}")
    return {name: float(at[name]) for name in names}


def _at_point(system, derived, nodes, formulas, names, point):
    import numpy as np

    from .calculus import Equation
    from .engines.reference import Run
    from .lower import lower

    whole = derived.copy()
    for name in names:
        whole.append(Equation(f"slope of {name}", nodes[name], ()))
    program, alone = lower(whole, [RESULT, *(f"slope of {name}" for name in names)]), lower(system, [RESULT])
    found = {key: float(value) for key, value in Run(program, point).outputs().items()}
    for key, value in found.items():
        if not math.isfinite(value):
            raise RangeError(f"{'the value' if key == RESULT else 'the ' + key} is {value} there",
                             where=", ".join(f"{name} = {value:g}" for name, value in point.items()),
                             fix="choose a point where the expression is defined")
    slopes = []
    for name in names:
        moved = {n: np.asarray(v + (1e-20j if n == name else 0j)) for n, v in point.items()}
        checked = float(Run(alone, moved, np.complex128).outputs()[RESULT].imag) / 1e-20
        slopes.append(Slope(name, formulas[name], found[f"slope of {name}"], checked))
    return _formula(system, system[RESULT].expression), found[RESULT], slopes


def read_point(text):
    """{name: number} of "x=4,y=-3"; a number may be written as a fraction.

    >>> read_point("x=4, y=-1/2")
    {'x': 4.0, 'y': -0.5}
    """
    from .calculus.nodes import as_number
    from .calculus.parser import parse

    point = {}
    for part in text.split(","):
        name, sign, value = (piece.strip() for piece in part.partition("="))
        number = as_number(parse(value)) if sign and value else None
        if not name.isidentifier() or number is None or name in point:
            raise OptionError(f"the point {part.strip()[:60]!r} cannot be read", fix="--at x=4,y=-3")
        try:
            point[name] = float(number)
        except OverflowError:
            raise OptionError(f"the value of {name} is too large for a 64-bit number", fix="--at x=4,y=-3") from None
    return point
