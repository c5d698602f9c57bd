"""Pages of a saved model and a table: the trace of chosen rows, the report. What the commands ``trace`` and ``report`` call."""

import os

from .errors import DataError, OptionError
from .outputs import refuse_same, write_text
from .predictions import load_table_model, one_thread, read_for

__all__ = ["report_table", "trace_table"]

ROWS = 8                                # traced where none are asked for


def trace_table(model, data, *, rows=(), out="trace.html", language="en", force=False, reading=None, say=None):
    """Write the trace page of rows of a table (numbered from 0, as in predictions.csv; none: the first eight); returns the Trace."""
    network, prepare, table, X, y = _loaded(model, data, out, reading, say)
    rows = list(rows) or list(range(min(ROWS, len(table))))
    beyond = [row for row in rows if not 0 <= row < len(table)]
    if beyond:
        raise DataError(f"there is no row {beyond[0]}", where=f"{data}: {len(table):,} rows", fix=f"a number from 0 to {len(table) - 1}")
    with one_thread():
        trace = network.trace(X[rows], y[rows], rows=rows, feature_names=list(map(str, prepare.features)),
                              class_names=_classes(prepare), title=f"{os.path.basename(str(data))}: {network.network.spec}")
    write_text(out, trace.to_html(language=language), force)
    return trace


def report_table(model, data, *, out="report.html", language="en", force=False, reading=None, say=None, horizon=False):
    """Write the report of a saved model on a table that has the target; ``horizon``: over time, too. Returns the Report."""
    network, prepare, _, X, y = _loaded(model, data, out, reading, say)
    with one_thread():
        report = network.report(X, y, class_names=_classes(prepare), title=os.path.basename(str(data)), horizon=horizon)
    write_text(out, report.to_html(language=language), force)
    return report


def _classes(prepare):
    return None if prepare.task == "regression" else list(map(str, prepare.classes))


def _loaded(model, data, out, reading, say):
    if out == "-":
        raise OptionError("a page is a file", fix="--out trace.html")
    refuse_same(out, data, model)
    network, prepare = load_table_model(model)
    table = read_for(prepare, data, reading or {}, target=True)
    return network, prepare, table, prepare.transform(table, notice=say or (lambda text: None)), prepare.target_transform(table)
