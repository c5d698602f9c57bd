"""Training on a table: what `backproof train` does.

Reads   a CSV or Parquet file or the name of a built-in data set; options as plain values.
Gives   a trained model that carries its preprocessing, measured beside a baseline; the files of a run.
Raises  OutputProblem where something cannot be written, other FileProblem where it cannot be read, and the rooms' errors.

The rows for validation and test are set aside first. Everything is learned from the training rows alone: the
preprocessing, the weights and the baseline. The validation rows decide when to stop; the test rows decide nothing.
"""

import contextlib
import json
import math
import os
import time
from dataclasses import asdict, dataclass

from . import __version__
from .data.split import Division
from .disk_sources import TableOnDisk, streamed
from .errors import EngineError, OptionError
from .folds import cross_validate
from .measures import baseline, boosting, measure_blocks
from .outputs import FILES, answers, claim, csv_bytes, output, write_parts
from .predictions import TABLE, one_thread
from .results import folds_table, results_table
from .sources import TableInMemory

__all__ = ["MEMORY", "Outcome", "Settings", "batch_size_for", "check_network", "read_data", "train_table"]

MEMORY = "run.json"                 # what was asked for, while there is something to go on with
CHECKED_ROWS = 5
REPORT_ROWS = 4096                  # of a part on the disk, drawn


@dataclass(frozen=True)
class Settings:
    """How a table is trained on. docs/defaults.md says how the defaults were chosen.

    Fields  layers      the hidden layers of the one-line spec; inputs and output follow from the table; "" for none
            task        "classification", "regression", or None: found out from the target
            batch_size  None: by the number of training rows, see `batch_size_for`
            patience    epochs without a better validation loss before it stops; None: never; the best epoch is kept
            threads     of the engine; they change no bit; None: as many as are worth it
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
    threads: int | None = None


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
        """The final table: every part of the rows, the measures, and the baseline beside them; above it the folds, if there are."""
        folds = self.summary.get("cross_validation")
        return (f"{folds_table(folds)}\n\n" if folds else "") + results_table(self.summary)


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
                time_limit=None, peers=False, stream=None, cache=None, cv=0):
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
                stream    read the file in parts and keep its typed rows in a folder inside ``cache`` (None: ``out``, else the
                          system's); None: files above `STREAM_BYTES` are. The weights are the same bits.
                cv        measure by cross-validation in so many folds first; the time limit is then that of every training
    Interrupt   Ctrl-C during training writes a checkpoint (with ``out``) and keeps the last complete step; the summary says
                "interrupted": true.
    """
    from .train.loop import check_number

    settings, say, began = settings or Settings(), say or (lambda text: None), time.perf_counter()
    check_number("seed", settings.seed, 0, whole=True, highest=1 << 32)
    stream = streamed(data, stream)
    if stream and settings.optimizer == "lbfgs":
        raise OptionError("lbfgs looks at all rows at every step, and a streamed file is not in memory",
                          fix="another optimizer, or --no-stream")
    made, checkpoints, source = claim(out, force or resume, data) if out is not None else None, None, None
    try:
        rows = _rows(data, target, settings, stream, cache or out, reading or {}, say)
        folds = cross_validate(rows, cv, lambda source: _fold(source, settings, time_limit), validation=settings.validation,
                               seed=settings.seed, threads=settings.threads, say=say) if cv else None
        source = rows.source(Division(settings.validation, settings.test, settings.seed), say)
        prepare, target = source.prepare, rows.target
        model, batch_size = _build(prepare, source.rows["training"], settings)
        say(f"{len(prepare.columns)} columns as {len(prepare.features)} inputs, {_target_words(prepare)}")
        say(f"network {model.network.spec}, {model.network.count:,} parameters; minibatches of {batch_size}")
        check = check_network(model.network, *source.first(CHECKED_ROWS), settings.seed)
        say(f"gradients checked on {check['rows']} rows: largest relative error {check['error']:.0e} ✓")
        checkpoints = _checkpoints(out, resume, time_limit, say)
        if out is not None:
            remember(out, data, target, settings, reading, stream=stream, cache=cache)
        interrupted = _fit(model, source, settings, batch_size, progress, checkpoints)
        summary = _summary(data, target, settings, batch_size, model, source, check, interrupted)
        if peers and not interrupted:
            say("measuring gradient boosting on the same rows; Ctrl-C leaves it out")
            try:
                summary["boosting"] = boosting(source, prepare, settings.seed, settings.threads)
            except KeyboardInterrupt:
                say("gradient boosting was left out")
        model.extra[TABLE] = json.dumps(prepare.state(), allow_nan=False)
        if folds is not None:
            summary["cross_validation"] = folds
        summary["seconds"] = round(time.perf_counter() - began, 3)
        files = [] if out is None else _write_run(out, model, source, summary)
    except BaseException:
        _put_away(out, checkpoints, source)
        if made:
            with contextlib.suppress(OSError):
                os.rmdir(out)
        raise
    if checkpoints is not None and not interrupted:
        checkpoints.clear()
    _put_away(out, checkpoints, source)
    return Outcome(model, prepare, summary, files)


def _rows(data, target, settings, stream, cache, reading, say):
    """The rows, in memory or to be streamed."""
    if stream:
        return TableOnDisk(data, target, settings.task, say, cache=cache, **reading)
    table, target = read_data(data, target, **reading)
    return TableInMemory(table, target, settings.task, say, declared=reading.get("types") or ())


def _fold(source, settings, time_limit):
    """The model that a fold's rows train."""
    model, batch_size = _build(source.prepare, source.rows["training"], settings)
    if _fit(model, source, settings, batch_size, None, _checkpoints(None, False, time_limit, None)):
        raise KeyboardInterrupt
    return model


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


def _build(prepare, rows, settings):
    from .network import Network

    output, loss = ("1", "squared_error") if prepare.task == "regression" else \
        (f"{len(prepare.classes)} softmax", "cross_entropy")
    spec = " | ".join([str(len(prepare.features)), *([settings.layers] if settings.layers.strip() else []), output])
    network = Network(spec, loss=loss, l2=settings.l2)
    if network.inputs != len(prepare.features) or network.sequence or network.output_per_step:
        raise OptionError(f"the layers {settings.layers!r} do not read the rows of a table", fix="such as '64 relu | 32 relu'")
    return network.build(seed=settings.seed, threads=settings.threads), settings.batch_size or batch_size_for(rows)


def _target_words(prepare):
    from .data.messages import listed, shown

    if prepare.task == "classification":
        return f"{shown(prepare.target)} in {len(prepare.classes)} classes: {listed(prepare.classes, 4)}"
    return f"{shown(prepare.target)} as a number, {prepare.coder.mean:.4g} ± {prepare.coder.scale:.4g}"


def _put_away(out, checkpoints, source=None):
    """Give the folders free; without a checkpoint there is nothing to go on with, and nothing to remember."""
    if source is not None:
        source.close()
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


def _fit(model, source, settings, batch_size, progress, checkpoints=None, **how):
    """Train, with further options of ``Model.fit``; True if it was interrupted, and then the model has the weights of the last
    complete step."""
    from .train.loop import Interrupted

    from .show.health import PROBE, Health

    probe = () if source.data("training")[1] is not None else source.sample("training", PROBE)
    watch = (Health(*probe), *(() if progress is None else (lambda record: bool(progress(record)),)))
    with one_thread():
        try:
            model.fit(*source.data("training"), epochs=settings.epochs, batch_size=batch_size, optimizer=settings.optimizer,
                      learning_rate=settings.learning_rate,
                      validation=source.data("validation") if "validation" in source.rows else None,
                      patience=settings.patience, callbacks=watch, checkpoints=checkpoints, **how)
        except Interrupted as end:
            if "time limit" not in end.reason:
                return True
            model.history.stopped = end.reason
            if end.best is not None:
                model.set_parameters(**end.best)
        except KeyboardInterrupt:
            return True
    return False


# ---------------------------------------------------------------------------------------------------- measuring

def _summary(data, target, settings, batch_size, model, source, check, interrupted):
    history, prepare = model.history, source.prepare
    about, measures_of = baseline(prepare, (y for _, y in source.blocks("training")))
    with one_thread():
        measured = {name: measure_blocks(model, prepare, source.blocks(name)) for name in source.rows}
    beside = {name: measures_of(y for _, y in source.blocks(name)) for name in source.rows}
    return {"backproof": __version__, "data": str(data), "target": target, "task": prepare.task,
            "classes": prepare.classes, "rows": source.rows,
            "network": model.network.spec, "parameters": model.network.count,
            "settings": {**asdict(settings), "batch_size": batch_size}, "gradient_check": check,
            "epochs": len(history), "best_epoch": history.best, "stopped": history.stopped, "interrupted": interrupted,
            "measures": measured, "baseline": {**about, **beside}, "notes": prepare.notes}


# ---------------------------------------------------------------------------------------------------- the files of a run

def remember(out, data, target, settings, reading, **more):
    """Write into a run's folder what was asked for, so that ``--resume`` needs nothing else."""
    from .train.files import write_atomically

    plain = {"data": os.path.abspath(data) if os.path.exists(data) else data, "target": target, "settings": asdict(settings),
             "reading": reading or {}, **more}
    with output():
        write_atomically(os.path.join(out, MEMORY),
                         [json.dumps(plain, indent=2, ensure_ascii=False).encode("utf-8", "backslashreplace")])


def _write_run(out, model, source, summary):
    from .train.files import write_atomically

    paths, prepare = {name: os.path.join(out, name) for name in FILES}, source.prepare
    with output():
        model.save(paths["model.safetensors"])
        write_atomically(paths["history.jsonl"], [model.history.to_json_lines().encode()])
        if "test" in source.rows:
            write_parts(paths["predictions.csv"], _test_lines(model, source))
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(paths["predictions.csv"])               # of an earlier run: it would not belong to this model
        part = next(name for name in ("test", "validation", "training") if name in source.rows)
        X, y = source.sample(part, REPORT_ROWS)
        shown_rows = "" if len(X) == source.rows[part] else f", {len(X):,} of {source.rows[part]:,} rows"
        page = model.report(X, y, class_names=None if prepare.task == "regression" else list(map(str, prepare.classes)),
                            title=f"{summary['data']}: {part}{shown_rows}").to_html()
        write_atomically(paths["report.html"], [page.encode("utf-8", "backslashreplace")])
        text = json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        write_atomically(paths["summary.json"], [text.encode("utf-8", "backslashreplace")])
    return [path for name, path in paths.items() if name != "predictions.csv" or "test" in source.rows]


def _test_lines(model, source):
    """The header and a line for every test row: its number in the file (from 0), the truth and the prediction."""
    yield csv_bytes([["row", source.prepare.target, "prediction"]])
    for rows, truth, X in source.truths("test"):
        yield csv_bytes(zip(rows, truth, answers(source.prepare, model.predict(X))))


