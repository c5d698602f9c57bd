"""A saved model of sequences at work: predict, evaluate, trace, report. What the commands call.

Reads   a model file that `sequence_jobs.train_sequences` wrote; a long table, a .ts file, or series.
Gives   answers per sequence or per step, or the next values of every series; measures; pages.
"""

import json
import os
import sys

import numpy as np

from .data.messages import shown
from .data.sequence_tables import from_state, interpolated
from .data.tables import read_table
from .data.ts import is_ts, read_ts
from .errors import BackproofError, DataError, ModelFileError, OptionError
from .measures import finite
from .model import Model
from .outputs import answers, check_predictions, csv_bytes, refuse_same, write_parts, write_text
from .predictions import FORMULAS, one_thread
from .sequence_jobs import KEY, flat, heading, judged, names_of, place, rows_of
from .train.files import load_tensors

__all__ = ["evaluate_sequences", "holds_sequences", "load_sequence_model", "predict_sequences", "report_sequences",
           "trace_sequences"]

TRACED = 3                          # sequences on a trace page, where none are asked for


def holds_sequences(path):
    """Is it a model file that `train_sequences` wrote? What cannot be read is none; its own job says what is wrong with it."""
    try:
        return KEY in load_tensors(path)[1]
    except BackproofError:
        return False


def load_sequence_model(path):
    """(model, preprocessor) of a file that `train_sequences` wrote; anything else is refused with the reason."""
    model, where = Model.load(path), shown(str(path), 200)
    if KEY not in model.extra:
        raise ModelFileError("this model was not trained on sequences", where=where, fix="a model that train --sequence-id wrote")
    try:
        prepare = from_state(json.loads(model.extra[KEY]))
    except (ValueError, RecursionError) as error:
        raise ModelFileError(getattr(error, "what", f"the preprocessing cannot be read: {error}"), where=where,
                             fix="save the model again from the training run") from None
    outputs = prepare.horizon if prepare.kind == "forecast" else 1 if prepare.task == "regression" else len(prepare.classes)
    if (model.network.inputs, model.network.outputs) != (len(prepare.features), outputs) \
            or model.network.output_per_step != (prepare.kind == "step"):
        raise ModelFileError("the network does not fit the preprocessing in the file", where=where,
                             fix="save the model again from the training run")
    return model, prepare


def _table_for(prepare, data, reading, target):
    """The table of a prediction, typed as in training."""
    if is_ts(data):
        table = read_ts(data)
    else:
        unused = dict.fromkeys(prepare.rows.state()["order"], "category")
        own = {"target": prepare.target} if target else {prepare.target: "category"}
        unused.update({} if target else own)
        table = read_table(data, types={**unused, **prepare.types}, **(own if target else {}), **reading)
    if target:
        table[prepare.target]
    if prepare.kind == "forecast":
        return interpolated(table, prepare.groups(table), prepare.target)[0]
    return table


def predict_sequences(model, data, *, out="-", probabilities=False, for_spreadsheet=False, force=False, reading=None, say=None):
    """Predict for the sequences of a table, or the next values of its series; returns how many answers there were."""
    say = say or (lambda text: None)
    network, prepare = load_sequence_model(model)
    check_predictions(out, prepare, probabilities, force, data, model)
    if str(out).endswith((".parquet", ".pq")):
        raise OptionError("predictions of sequences are written as CSV", fix="a name that ends in .csv")
    table = _table_for(prepare, data, reading or {}, target=False)
    groups = prepare.groups(table)
    lines = list(_next_values(network, prepare, table, groups, say) if prepare.kind == "forecast" else
                 _predicted(network, prepare, table, groups, probabilities, say))
    if for_spreadsheet:
        lines = [[f"'{cell}" if isinstance(cell, str) and cell[:1] in FORMULAS and not _number(cell) else cell for cell in line]
                 for line in lines]
    if out == "-":
        sys.stdout.write(csv_bytes(lines).decode())
        sys.stdout.flush()
    else:
        write_parts(out, [csv_bytes(lines)])
    return len(lines) - 1


def _number(text):
    try:
        float(text)
    except ValueError:
        return False
    return True


def _next_values(network, prepare, table, groups, say):
    X, bases = prepare.latest(table, groups, say)
    with one_thread():
        values = prepare.forecasts(bases, network.predict(X))
    name = [prepare.id] if prepare.id is not None else []
    yield [*name, "ahead", "prediction"]
    for sequence, said in zip(groups.ids, values):
        for h, value in enumerate(said):
            yield [*([sequence] if name else []), h + 1, f"{value:.9g}"]


def _predicted(network, prepare, table, groups, probabilities, say):
    with one_thread():
        predicted = flat(network.predict(prepare.inputs(table, groups, say)))
    yield [*heading(prepare), "prediction", *([f"probability_{label}" for label in prepare.classes] if probabilities else [])]
    for k, (sequence, row, answer) in enumerate(rows_of(prepare, groups, answers(prepare, predicted))):
        yield [*place(prepare, table, sequence, row), answer, *([f"{p:.9g}" for p in predicted[k]] if probabilities else [])]


def _loaded(model, data, reading, say):
    """(model, preprocessor, X, y) of a table that has the target."""
    network, prepare = load_sequence_model(model)
    table = _table_for(prepare, data, reading or {}, target=True)
    X, y = prepare.examples(table, prepare.groups(table), say or (lambda text: None))
    if len(X) == 0:
        raise DataError(f"there is no window of {prepare.lags} values and {prepare.horizon} behind them", where=table.source,
                        fix="give it more rows")
    return network, prepare, X, y


def evaluate_sequences(model, data, *, reading=None, say=None):
    """Measures of a saved model on sequences that have the target: plain data for JSON."""
    from sklearn import metrics

    network, prepare, X, y = _loaded(model, data, reading, say)
    with one_thread():
        predicted, truth = flat(network.predict(X)), flat(y)
    found = {"sequences": len(X), "answers": len(truth), "task": prepare.task,
             **judged(prepare, predicted, truth, network.loss(X, y))}
    if prepare.task == "regression":
        error = (predicted.astype(np.float64) - truth) * prepare.coder.scale
        return {**found, "mean_absolute_error": finite(np.abs(error).mean()), "mean_error": finite(error.mean())}
    answer = predicted.argmax(axis=1)
    found["balanced_accuracy"] = finite(metrics.recall_score(truth, answer, average="macro", zero_division=0))
    confusion = metrics.confusion_matrix(truth, answer, labels=range(len(prepare.classes)))
    return {**found, "classes": prepare.classes, "confusion": confusion.tolist()}


def trace_sequences(model, data, *, rows=(), out="trace.html", language="en", force=False, reading=None, say=None):
    """Write the trace page of sequences of a table (numbered from 0 in the order of the file); returns the Trace."""
    _page(out, data, model)
    network, prepare, X, y = _loaded(model, data, reading, say)
    rows = list(rows) or list(range(min(TRACED, len(X))))
    beyond = [row for row in rows if not 0 <= row < len(X)]
    if beyond:
        raise DataError(f"there is no sequence {beyond[0]}", where=f"{data}: {len(X):,} sequences",
                        fix=f"a number from 0 to {len(X) - 1}")
    chosen = [[part[row] for row in rows] for part in (X, y)]
    X, y = (part if isinstance(whole, list) else np.stack(part) for part, whole in zip(chosen, (X, y)))
    with one_thread():
        trace = network.trace(X, y, rows=rows, feature_names=list(map(str, prepare.features)), class_names=names_of(prepare),
                              title=f"{os.path.basename(str(data))}: {network.network.spec}")
    write_text(out, trace.to_html(language=language), force)
    return trace


def report_sequences(model, data, *, out="report.html", language="en", force=False, reading=None, say=None, horizon=False):
    """Write the report of a saved model on sequences that have the target, with its ``horizon`` if asked; returns the Report."""
    _page(out, data, model)
    network, prepare, X, y = _loaded(model, data, reading, say)
    with one_thread():
        report = network.report(X, y, class_names=names_of(prepare), title=os.path.basename(str(data)),
                                horizon=horizon)
    write_text(out, report.to_html(language=language), force)
    return report


def _page(out, data, model):
    if out == "-":
        raise OptionError("a page is a file", fix="--out page.html")
    refuse_same(out, data, model)
