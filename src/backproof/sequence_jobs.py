"""Training on sequences from the command line: long tables, .ts files, and series to forecast.

Reads   a table with a row per step (CSV, Parquet), or a .ts file; which column names the sequence, and which the time.
Gives   a trained model that carries its preprocessing, measured beside baselines; the files of a run.

A target that is one for every sequence is predicted per sequence, one that changes within a sequence per step; --forecast takes
windows of a series and the values that follow. Whole sequences are set aside for validation and test; of a series the end.
"""

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass, replace

import numpy as np

from . import __version__
from .data.long import group, one_target
from .data.messages import listed, shown
from .data.targets import TargetCoder, guess_task
from .data.sequence_tables import ForecastPreprocessor, SequencePreprocessor, interpolated
from .data.split import split_rows
from .data.tables import read_table
from .data.ts import SEQUENCE, STEP, is_ts, read_ts, ts_target
from .errors import DataError, OptionError
from .jobs import CHECKED_ROWS, Outcome, Settings, _checkpoints, _fit, _put_away, check_network, remember
from .measures import Tally, baseline
from .network import Network
from .outputs import answers, claim, csv_bytes, output
from .predictions import one_thread
from .sources import PARTS, ArraySource

__all__ = ["KEY", "SequenceSettings", "train_sequences", "wants_sequences"]

KEY = "sequences"                   # of the model file, under which the preprocessing travels
LAYERS = {"sequence": "lstm 32 | last", "step": "bi lstm 32", "forecast": "lstm 32 | last"}
CHECKED_STEPS = 6
CLIP = 1.0                          # of the gradients' norm: recurrent gradients may grow with the length


@dataclass(frozen=True)
class SequenceSettings(Settings):
    """How sequences are trained on: the settings of a table, and where the sequences are.

    Fields  layers    None: by what is predicted
            id, time  the columns of the sequence and of the time; None: one series, the order of the file
            forecast  how many values to come; lags: how many are read, None: twice the forecast, a season at least
            season    steps of a season, for the baseline beside a forecast
    """

    layers: str | None = None
    id: str | None = None
    time: str | None = None
    forecast: int | None = None
    lags: int | None = None
    season: int | None = None


def wants_sequences(data, settings):
    """Is it a job of this module?"""
    return is_ts(data) or settings.id is not None or settings.forecast is not None


# ---------------------------------------------------------------------------------------------------- training

def train_sequences(data, target=None, settings=None, *, out=None, force=False, reading=None, say=None, progress=None,
                    resume=False, time_limit=None):
    """Train on sequences and measure the model; parameters and result as of ``jobs.train_table``."""
    from .train.loop import check_number

    settings, say, began = settings or SequenceSettings(), say or (lambda text: None), time.perf_counter()
    check_number("seed", settings.seed, 0, whole=True, highest=1 << 32)
    for name in ("forecast", "lags", "season"):
        if getattr(settings, name) is not None:
            check_number(name, getattr(settings, name), 1, whole=True)
    made, checkpoints = claim(out, force or resume, data) if out is not None else None, None
    try:
        asked = settings
        table, target, settings = _read(data, target, settings, reading or {})
        prepare, arrays, rows = (_split_series if settings.forecast else _split_sequences)(table, target, settings, say)
        model, batch_size = _build(prepare, arrays["training"], settings)
        say(f"network {model.network.spec}, {model.network.count:,} parameters; minibatches of {batch_size}")
        check = check_network(model.network, *_beginnings(prepare, *arrays["training"]), settings.seed)
        say(f"gradients checked on the first steps of {check['rows']} sequences: largest relative error {check['error']:.0e} ✓")
        checkpoints = _checkpoints(out, resume, time_limit, say)
        if out is not None:
            remember(out, data, target, asked, reading)
        bucketing = {} if settings.optimizer == "lbfgs" else {"bucketing": True, "clip_norm": CLIP}
        interrupted = _fit(model, ArraySource(arrays), settings, batch_size, progress, checkpoints, **bucketing)
        summary = _summary(data, settings, batch_size, model, prepare, arrays, check, interrupted)
        model.extra[KEY] = json.dumps(prepare.state(), allow_nan=False)
    except BaseException:
        _put_away(out, checkpoints)
        if made:
            with contextlib.suppress(OSError):
                os.rmdir(out)
        raise
    summary["seconds"] = round(time.perf_counter() - began, 3)
    files = [] if out is None else _write_run(out, model, prepare, arrays, rows, summary)
    if checkpoints is not None and not interrupted:
        checkpoints.clear()
    _put_away(out, checkpoints)
    return Outcome(model, prepare, summary, files)


def _read(data, target, settings, reading):
    """(table, target, settings with the columns that the file itself declares)."""
    if is_ts(data):
        table = read_ts(data)
        return table, target or ts_target(table) or _no_target(table), replace(settings, id=SEQUENCE, time=STEP)
    table = read_table(data, target=target, **reading)
    for name in (settings.id, settings.time):
        if name is not None:
            table[name]
    return table, target or _no_target(table), settings


def _no_target(table):
    raise OptionError("there is no target column", where=table.source, fix=f"--target NAME, one of {listed(table.names)}")


def _split_sequences(table, target, settings, say):
    """(preprocessor, {part: (X, y)}, {part: Groups}); whole sequences are set aside."""
    if target in (settings.id, settings.time):
        raise OptionError(f"{shown(target)} is the {'id' if target == settings.id else 'time'} and the target",
                          fix="another --target")
    groups = group(table, settings.id, settings.time)
    firsts = one_target(table, groups, target)
    kind = _kind(settings, firsts, target)
    chosen = table[target] if kind == "step" else table.select(firsts)[target]
    task, labels = settings.task or guess_task(chosen), None
    if kind == "sequence" and task == "classification":
        labels = TargetCoder.fit(chosen, task=task).transform(chosen)
    numbers = split_rows(len(groups), validation=settings.validation, test=settings.test, labels=labels, seed=settings.seed)
    parts = {name: groups.select(part) for name, part in zip(PARTS, numbers) if len(part)}
    prepare = SequencePreprocessor.fit(table, parts["training"], target, kind, task=task, id=settings.id, time=settings.time)
    for note in prepare.notes:
        say(note)
    arrays = {name: prepare.examples(table, part, lambda text, name=name: say(f"{name} rows: {text}"))
              for name, part in parts.items()}
    lengths = groups.lengths
    say(f"{len(groups):,} sequences of {lengths.min()} to {lengths.max()} steps, {len(prepare.features)} inputs; "
        f"{shown(target)} {'per step' if kind == 'step' else 'per sequence'}, {prepare.task}")
    return prepare, arrays, {name: (table, part) for name, part in parts.items()}


def _kind(settings, firsts, target):
    """Is there a target per sequence or per step? The layers decide where they are given, the table where not."""
    if settings.layers is None:
        return "step" if firsts is None else "sequence"
    pooled = any(part.strip().split()[:1] in (["last"], ["mean"], ["max"]) for part in settings.layers.split("|"))
    if pooled and firsts is None:
        raise DataError(f"{shown(target)} changes within a sequence, and the layers {settings.layers!r} give one answer for it",
                        fix="leave last, mean or max out for an answer per step, or choose another target")
    return "sequence" if pooled else "step"


def _split_series(table, target, settings, say):
    """(preprocessor, {part: (windows, values behind them)}, {part: where those values stand}); the end is set aside."""
    lags, season = settings.lags or max(2 * settings.forecast, settings.season or 0), settings.season
    if season is not None and lags < season:
        raise OptionError(f"--lags {lags} is less than a season of {season} steps", fix=f"--lags {season}, or no --season")
    groups = group(table, settings.id, settings.time)
    table, filled = interpolated(table, groups, target)
    if filled:
        say(f"{shown(target)}: {filled} missing values are put on the line between their neighbours")
    if not (0 <= settings.validation and 0 <= settings.test and settings.validation + settings.test < 1):
        raise OptionError(f"validation = {settings.validation} and test = {settings.test} are no shares that leave something",
                          fix="0 or more, less than 1 together")
    cuts = [_cuts(n, settings) for n in groups.lengths]
    training = replace(groups, rows=[rows[:first] for rows, (first, _) in zip(groups.rows, cuts)])
    prepare = ForecastPreprocessor.fit(table, training, target, lags=lags, horizon=settings.forecast, id=settings.id,
                                       time=settings.time)
    for note in prepare.notes:
        say(note)
    X, y = prepare.examples(table, groups, notice=lambda text: None)
    places = prepare.places(groups)
    begins, ends = places[:, 1], places[:, 1] + settings.forecast
    bounds = np.array(cuts)[places[:, 0]]
    chosen = {"training": ends <= bounds[:, 0], "validation": (begins >= bounds[:, 0]) & (ends <= bounds[:, 1]),
              "test": begins >= bounds[:, 1]}
    wanted = {"training": True, "validation": settings.validation > 0, "test": settings.test > 0}
    for name, mask in chosen.items():
        if wanted[name] and not mask.any():
            raise DataError(f"{name} would have no window of {lags} values read and {settings.forecast} to come",
                            where=f"{table.source}: {groups.lengths.max()} rows",
                            fix="fewer --lags, a smaller --forecast, or a larger share")
    parts = {name: np.flatnonzero(mask) for name, mask in chosen.items() if mask.any() and wanted[name]}
    say(f"{len(groups):,} series of {groups.lengths.min():,} to {groups.lengths.max():,} steps: windows of {lags} values, "
        f"{settings.forecast} to come; {len(prepare.features)} inputs")
    arrays = {name: (X[rows], y[rows]) for name, rows in parts.items()}
    return prepare, arrays, {name: (table, groups, rows) for name, rows in parts.items()}


def _cuts(n, settings):
    """The steps at which validation and test begin."""
    test = n - round(settings.test * n)
    return test - round(settings.validation * n), test


def _build(prepare, training, settings):
    layers = settings.layers or LAYERS[prepare.kind]
    regression = prepare.task == "regression"
    width = prepare.horizon if prepare.kind == "forecast" else 1 if regression else len(prepare.classes)
    network = Network(f"{len(prepare.features)} | {layers} | {width}{'' if regression else ' softmax'}",
                      loss="squared_error" if regression else "cross_entropy", l2=settings.l2)
    if network.inputs != len(prepare.features) or network.output_per_step != (prepare.kind == "step"):
        raise OptionError(f"the layers {layers!r} do not read these sequences", fix=f"such as {LAYERS[prepare.kind]!r}")
    model = network.build(seed=settings.seed, threads=settings.threads)
    return model, settings.batch_size or batch_size_for(len(training[0]))


def _beginnings(prepare, X, y):
    """The first steps of some sequences: the complex step runs the whole recurrence once per parameter that it looks at."""
    short = [x[:CHECKED_STEPS] for x in X[:CHECKED_ROWS]]
    return short, [part[:CHECKED_STEPS] for part in y[:CHECKED_ROWS]] if prepare.kind == "step" else y[:CHECKED_ROWS]


def batch_size_for(sequences):
    """About a twentieth of the training sequences, a power of two from 8 to 64.

    >>> [batch_size_for(n) for n in (50, 500, 20_000)]
    [8, 32, 64]
    """
    return max(8, min(64, 1 << round(np.log2(max(1, sequences / 20)))))


# ---------------------------------------------------------------------------------------------------- measuring

def flat(y):
    return np.concatenate(y) if isinstance(y, list) else y


def measure(model, prepare, X, y):
    """The loss and the quality; over all steps where there is a target per step."""
    return judged(prepare, flat(model.predict(X)), flat(y), model.loss(X, y))


def judged(prepare, answer, y, loss):
    """The measures of answers, whoever gave them."""
    found = Tally(prepare)
    found.add(answer, y, loss)
    return found.result()


def _summary(data, settings, batch_size, model, prepare, arrays, check, interrupted):
    truth = flat(arrays["training"][1])
    if prepare.kind == "forecast":
        beside = {"name": "the last value", **{name: _beside(prepare, y, np.zeros_like(y)) for name, (_, y) in arrays.items()}}
    else:
        about, measures = baseline(prepare, [truth])
        beside = {**about, **{name: measures([flat(y)]) for name, (_, y) in arrays.items()}}
    with one_thread():
        measured = {name: measure(model, prepare, X, y) for name, (X, y) in arrays.items()}
    found = {"backproof": __version__, "data": str(data), "target": prepare.target, "task": prepare.task, "kind": prepare.kind,
             "classes": prepare.classes, "rows": {name: len(X) for name, (X, _) in arrays.items()}, "network": model.network.spec,
             "parameters": model.network.count, "settings": {**asdict(settings), "batch_size": batch_size}, "gradient_check": check,
             "epochs": len(model.history), "best_epoch": model.history.best, "stopped": model.history.stopped,
             "interrupted": interrupted, "measures": measured, "baseline": beside, "notes": prepare.notes}
    if prepare.kind == "forecast" and settings.season is not None:
        found["seasonal"] = {"name": "the last season", **{name: _beside(prepare, y, prepare.seasonal(X, settings.season))
                                                           for name, (X, y) in arrays.items()}}
    return found


def _beside(prepare, y, answer):
    """The measures of an answer that is no network's."""
    return judged(prepare, answer, y, 0.5 * ((answer - y) ** 2).sum(axis=1).mean())


# ---------------------------------------------------------------------------------------------------- the files of a run

def _write_run(out, model, prepare, arrays, rows, summary):
    from .train.files import write_atomically

    part = next(name for name in ("test", "validation", "training") if name in arrays)
    pages = model.report(*arrays[part], class_names=names_of(prepare), title=f"{summary['data']}: {part}").to_html()
    summary_text = json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    files = {"history.jsonl": model.history.to_json_lines(), "report.html": pages, "summary.json": summary_text}
    paths = {name: os.path.join(out, name) for name in ("model.safetensors", *files, "predictions.csv")}
    with output():
        model.save(paths["model.safetensors"])
        for name, text in files.items():
            write_atomically(paths[name], [text.encode("utf-8", "backslashreplace")])
        if "test" in arrays:
            lines = _test_lines(model, prepare, arrays["test"], *rows["test"])
            write_atomically(paths["predictions.csv"], [csv_bytes(lines)])
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(paths["predictions.csv"])              # of an earlier run: it would not belong to this model
    return [path for name, path in paths.items() if name != "predictions.csv" or "test" in arrays]


def names_of(prepare):
    return None if prepare.task == "regression" else list(map(str, prepare.classes))


def _test_lines(model, prepare, arrays, table, groups, chosen=None):
    """The header and a line for every answer on the test part, the truth beside it."""
    if prepare.kind == "forecast":
        places = prepare.places(groups)[chosen]
        bases = prepare.bases(table, groups)[chosen]
        values, truth = (prepare.forecasts(bases, found) for found in (model.predict(arrays[0]), arrays[1]))
        yield [*heading(prepare), "ahead", prepare.target, "prediction"]
        for (series, first), said, true in zip(places, values, truth):
            for h in range(prepare.horizon):
                row = groups.rows[series][first + h]
                yield [*place(prepare, table, groups.ids[series], row), h + 1, f"{true[h]:.9g}", f"{said[h]:.9g}"]
        return
    yield [*heading(prepare), prepare.target, "prediction"]
    truth = table[prepare.target].values.tolist()
    for sequence, row, answer in rows_of(prepare, groups, answers(prepare, flat(model.predict(arrays[0])))):
        yield [*place(prepare, table, sequence, row), truth[row], answer]


def heading(prepare):
    """The columns that say where an answer belongs: of the sequence, and of the time where there is an answer per step."""
    time = [prepare.time or "step"] if prepare.kind != "sequence" else []
    return [*([prepare.id] if prepare.id is not None else []), *time]


def place(prepare, table, sequence, row):
    when = [] if prepare.kind == "sequence" else [row if prepare.time is None else _moment(table[prepare.time].values[row])]
    return [*([sequence] if prepare.id is not None else []), *when]


def _moment(value):
    return np.datetime_as_string(value, unit="auto") if isinstance(value, np.datetime64) else value


def rows_of(prepare, groups, answers):
    """(sequence, row, answer) of every answer, one per sequence (its first row) or one per step."""
    kept = 1 if prepare.kind == "sequence" else None
    each = [(name, row) for name, rows in zip(groups.ids, groups.rows) for row in rows[:kept]]
    return [(name, row, answer) for (name, row), answer in zip(each, answers, strict=True)]
