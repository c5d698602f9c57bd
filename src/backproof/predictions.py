"""What a saved model says of a table: predictions for all its rows, in parts; a check of its gradients.

Reads   a model file that a run wrote; a CSV or Parquet file, or the name of a built-in data set.
Gives   a CSV or Parquet file of predictions; an outcome.
"""

import contextlib
import itertools
import json
import sys

from .errors import ModelFileError, OptionError
from .outputs import answers, check_predictions, csv_bytes, parts_file, write_parts

__all__ = ["TABLE", "at_most", "check_saved", "load_table_model", "one_thread", "predict_table", "read_for", "tables_for"]

FORMULAS = tuple("=+-@\t\r")        # what a spreadsheet takes for the start of a formula
TABLE = "table"                     # the key of the model file under which the preprocessing travels


@contextlib.contextmanager
def one_thread():
    """One thread for NumPy's matrix products: ours are small, and the bits do not depend on the machine's load."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        yield


@contextlib.contextmanager
def at_most(threads):
    """The engine takes no more threads than that; None: as many as are worth it. No number of them changes a bit."""
    from threadpoolctl import threadpool_limits

    from .engines import choose
    from .engines.threads import checked

    choose()                                                  # what is not loaded cannot be limited
    with threadpool_limits(limits=checked(threads)):
        yield


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
    table = read_for(prepare, data, reading or {}, target=True)
    table = table.select(range(min(rows, len(table)))) if rows else table
    X, y = prepare.transform(table, notice=lambda text: None), prepare.target_transform(table)
    with one_thread():
        return cost_of(model, X, y) if cost else check_model(model, X, y, rows=0, language=language, seed=seed)


def predict_table(model, data, *, out="-", probabilities=False, for_spreadsheet=False, force=False, reading=None, say=None):
    """Predict for the rows of a table; returns how many there were.

    Columns are found by name, in any order; others are ignored, and `say` is told of them.

    Parameters  model  path of a model file; data as for `train_table`
                out    a file with the column "prediction", and one per class with ``probabilities``: CSV, or Parquet where
                       its name ends in .parquet; "-": CSV on stdout
                for_spreadsheet  a ' before CSV texts that a spreadsheet would run as formulas
    """
    say = say or (lambda text: None)
    network, prepare = load_table_model(model)
    check_predictions(out, prepare, probabilities, force, data, model)
    tables = tables_for(prepare, data, reading or {})
    told, counts = set(), []

    def predicted():
        for table in tables:
            X = prepare.transform(table, notice=lambda text: text in told or told.add(text) or say(text))
            with one_thread():
                yield network.predict(X)
            counts.append(len(table))
    parts = predicted()
    parts = itertools.chain([next(parts)], parts)             # what is wrong at once is said before anything is written
    names = [f"probability_{label}" for label in prepare.classes] if probabilities else []
    if str(out).endswith((".parquet", ".pq")):
        with parts_file(out) as file:
            _write_parquet(file, prepare, names, parts)
    elif out == "-":
        for part in _csv_parts(prepare, names, parts, for_spreadsheet):
            sys.stdout.write(part.decode())
        sys.stdout.flush()
    else:
        write_parts(out, _csv_parts(prepare, names, parts, for_spreadsheet))
    return sum(counts)


def _csv_parts(prepare, names, parts, for_spreadsheet):
    def guarded(text):
        return f"'{text}" if for_spreadsheet and isinstance(text, str) and text[:1] in FORMULAS else text
    text = prepare.task == "classification"
    yield csv_bytes([["prediction", *map(guarded, names)]])
    for predicted in parts:
        told = answers(prepare, predicted)
        columns = [map(guarded, told) if text else told,
                   *([format(p, ".9g") for p in column] for column in (predicted.T if names else ()))]
        yield csv_bytes(zip(*columns))


def _write_parquet(file, prepare, names, parts):
    """A row group for each part: labels as they are, numbers in the target's units, probabilities as float32."""
    import pyarrow
    from pyarrow import parquet

    writer = None
    try:
        for predicted in parts:
            told = prepare.inverse(predicted)
            columns = {"prediction": told.ravel() if prepare.task == "regression" else pyarrow.array(told.tolist())}
            columns.update(zip(names, predicted.T if names else ()))
            table = pyarrow.table(columns)
            writer = writer or parquet.ParquetWriter(file, table.schema)
            writer.write_table(table)
    finally:
        if writer is not None:
            writer.close()


def tables_for(prepare, data, reading, target=False):
    """The table, one part of the file after the other, typed as in training; with its target where that is asked for."""
    from .data.builtin import BUILTIN

    if data in BUILTIN:
        yield read_for(prepare, data, reading)
        return
    from .data.tables import read_chunks

    words = prepare.task == "classification" and isinstance(prepare.classes[0], str)
    more = {prepare.target: "category" if words else "number"} if target else {}
    yield from read_chunks(data, types={**prepare.types, **more}, target=prepare.target if target else None, **reading)


def read_for(prepare, data, reading, target=False):
    """The table of a prediction, typed as in training; columns that are not used are taken as they come."""
    from .data.builtin import BUILTIN, load_builtin

    if data in BUILTIN:
        return load_builtin(data)[0]
    from .data.tables import read_table

    unused = {name: "category" for name in (*prepare.state()["order"], *(() if target else (prepare.target,)))}
    return read_table(data, types={**unused, **prepare.types}, **({"target": prepare.target} if target else {}), **reading)


