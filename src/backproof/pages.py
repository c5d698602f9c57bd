"""Pages of a saved model and a table, which the commands ``trace`` and ``report`` call."""

import os

from .errors import DataError, OptionError
from .jobs import OutputProblem, _one_thread, _output, _read_for, _refuse_same, load_table_model

__all__ = ["report_table", "trace_table"]

ROWS = 8  # traced where none are asked for


def trace_table(model, data, *, rows=(), out="trace.html", language="en", force=False, reading=None, say=None):
    """Write the trace page of rows (from 0, as in predictions.csv; none: the first eight); returns the Trace."""
    network, prepare, table, X, y = _loaded(model, data, out, force, reading, say)
    rows = list(rows) or list(range(min(ROWS, len(table))))
    beyond = [row for row in rows if not 0 <= row < len(table)]
    if beyond:
        raise DataError(
            f"there is no row {beyond[0]}",
            where=f"{data}: {len(table):,} rows",
            fix=f"a number from 0 to {len(table) - 1}",
        )
    with _one_thread():
        trace = network.trace(
            X[rows],
            y[rows],
            rows=rows,
            feature_names=list(map(str, prepare.features)),
            class_names=_classes(prepare),
            title=f"{os.path.basename(str(data))}: {network.network.spec}",
        )
    _write(out, trace.to_html(language=language))
    return trace


def report_table(model, data, *, out="report.html", language="en", force=False, reading=None, say=None):
    """Write the report of a saved model on a table that has the target; returns the Report."""
    network, prepare, _, X, y = _loaded(model, data, out, force, reading, say)
    with _one_thread():
        report = network.report(X, y, class_names=_classes(prepare), title=os.path.basename(str(data)))
    _write(out, report.to_html(language=language))
    return report


def _classes(prepare):
    return None if prepare.task == "regression" else list(map(str, prepare.classes))


def _loaded(model, data, out, force, reading, say):
    if out == "-":
        raise OptionError("a page is a file", fix="--out trace.html")
    _refuse_same(out, data, model)
    if os.path.lexists(out) and not force:
        from .data.messages import shown

        raise OutputProblem(
            f"{shown(str(out), 200)} exists", fix="another --out, or --force to replace it", state="nothing was written"
        )
    network, prepare = load_table_model(model)
    table = _read_for(prepare, data, reading or {}, target=True)
    return (
        network,
        prepare,
        table,
        prepare.transform(table, notice=say or (lambda text: None)),
        prepare.target_transform(table),
    )


def _write(out, page):
    from .train.files import write_atomically

    with _output():
        write_atomically(out, [page.encode("utf-8", "backslashreplace")])
