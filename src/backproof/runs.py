"""What stands around a training run: its continuation, evaluation, descriptions.

Reads   the folder of a run; tables; model files.
Gives   what was asked for, measures, descriptions as text and as plain data.
"""

import json
import os

from .errors import FileProblem, OptionError
from .jobs import MEMORY, Settings
from .measures import Tally, finite
from .predictions import load_table_model, one_thread, tables_for
from .sequence_jobs import SequenceSettings

__all__ = ["continues", "describe", "evaluate", "evaluation_text", "resumable"]

INPUTS = 100                        # that a description lists

def continues(out):
    """Is there an interrupted run in a folder?"""
    from .train.checkpoints import Checkpoints

    return os.path.exists(os.path.join(out, MEMORY)) and bool(Checkpoints(out).steps())


def resumable(out):
    """What a run's folder says was asked for. Raises OptionError or FileProblem where there is nothing to go on with."""
    from .data.files import read_regular
    from .data.messages import shown

    where = shown(str(out), 200)
    path = os.path.join(out, MEMORY)
    if not os.path.exists(path):
        raise FileProblem(f"there is no run to go on with: {shown(path, 200)} is missing", fix="give the --out of an earlier run")
    try:
        plain = json.loads(read_regular(path, limit=1 << 20))
        made = SequenceSettings if "forecast" in plain["settings"] else Settings
        found = {**plain, "settings": made(**plain["settings"])}
        found["data"], found["target"], found["reading"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise OptionError(f"the memory of the run cannot be read: {error}", where=where, fix="start the run again with --force") from None
    if not continues(out):
        raise OptionError("there is nothing to go on with: the run is complete, or was stopped before its first checkpoint",
                          where=where, fix="start it again with --force")
    return found


# ---------------------------------------------------------------------------------------------------- evaluating

def evaluate(model, data, *, reading=None, say=None):
    """Measures of a saved model on a table that has the target, read in parts: plain data for JSON."""
    import numpy as np

    say, told = say or (lambda text: None), set()
    network, prepare = load_table_model(model)
    tally, errors, scores, k = Tally(prepare), [], [], len(prepare.classes or ())
    confusion = np.zeros((k, k), np.int64)
    for table in tables_for(prepare, data, reading or {}, target=True):
        X = prepare.transform(table, notice=lambda text: text in told or told.add(text) or say(text))
        y = prepare.target_transform(table)
        with one_thread():
            predicted = network.predict(X)
            tally.add(predicted, y, network.loss(X, y))
        if prepare.task == "regression":
            error = (predicted.astype(np.float64) - y) * prepare.coder.scale
            errors.append((np.abs(error).sum(), error.sum()))
            continue
        confusion += np.bincount(y * k + predicted.argmax(axis=1), minlength=k * k).reshape(k, k)
        if k == 2:
            scores.append((y.astype(bool), predicted[:, 1]))
    found = {"rows": tally.rows, "task": prepare.task, **tally.result()}
    if prepare.task == "regression":
        absolute, plain = np.sum(errors, axis=0) / tally.rows
        return {**found, "mean_absolute_error": finite(absolute), "mean_error": finite(plain)}
    truths, answers = confusion.sum(axis=1), confusion.sum(axis=0)
    met = (truths > 0) | (answers > 0)
    found["balanced_accuracy"] = finite((np.diag(confusion)[met] / np.maximum(truths[met], 1)).mean())
    if k == 2 and truths.all():
        from sklearn.metrics import roc_auc_score
        found["auc"] = finite(roc_auc_score(*(np.concatenate(parts) for parts in zip(*scores))))
    return {**found, "classes": prepare.classes, "confusion": confusion.tolist()}


def evaluation_text(found):
    """The measures as lines; the confusion matrix where there are few classes."""
    lines = [f"{name.replace('_', ' '):<20}{value:>12,}" if isinstance(value, int) else f"{name.replace('_', ' '):<20}{value:>12.4f}"
             for name, value in found.items() if isinstance(value, (int, float))]
    if len(found.get("classes", ())) in range(2, 21):
        width = max(8, *(len(str(label)[:16]) + 2 for label in found["classes"]))
        lines += ["", "truth \\ prediction".ljust(20) + "".join(str(label)[:16].rjust(width) for label in found["classes"])]
        lines += [str(label)[:18].ljust(20) + "".join(f"{count:,}".rjust(width) for count in row)
                  for label, row in zip(found["classes"], found["confusion"])]
    return "\n".join(lines)


# ---------------------------------------------------------------------------------------------------- describing

def describe(path, *, reading=None):
    """What a table or a model file holds: (text, plain data)."""
    if str(path).endswith(".safetensors"):
        return _describe_model(path)
    return _describe_table(path, reading or {})


def _describe_model(path):
    from .model import Model

    model = Model.load(path)
    plain = {"network": model.network.spec, "loss": model.network.loss.text(), "parameters": model.network.count,
             "dtype": model.dtype.name, "seed": model.seed}
    text = str(model.network)
    if "table" in model.extra:
        _, prepare = load_table_model(path)
        plain.update(task=prepare.task, target=prepare.target, classes=prepare.classes, columns=prepare.types, inputs=prepare.features)
        lines = [f"    {name}  {kind}" for name, kind in prepare.types.items()]
        text += f"\n\npredicts {prepare.target} ({prepare.task}) from {len(lines)} columns:\n" + "\n".join(lines)
        text += f"\n\nwhich are {len(prepare.features)} inputs: {', '.join(prepare.features[:INPUTS])}"
        text += "" if len(prepare.features) <= INPUTS else f" and {len(prepare.features) - INPUTS} more (--json lists all)"
    if "words" in model.extra:
        from .word_models import described

        more, about = described(model, path)
        text, plain = f"{text}\n\n{more}", {**plain, **about}
    return text, plain


def _describe_table(path, reading):
    import numpy as np

    from .data.builtin import BUILTIN, load_builtin
    from .data.tables import read_table

    table = load_builtin(path)[0] if path in BUILTIN else read_table(path, **reading)
    plain, rows = [], [["column", "kind", "missing", "distinct", "values"]]
    for column in table.columns.values():
        there = column.values[~column.missing]
        distinct = len(set(there.tolist()))
        about = {"column": column.name, "kind": column.kind, "missing": int(column.missing.sum()), "distinct": distinct}
        if column.kind == "number" and len(there):
            numbers = there.astype(np.float64)
            about.update(least=finite(numbers.min()), mean=finite(numbers.mean()), most=finite(numbers.max()))
            values = f"{numbers.min():.6g} … {numbers.mean():.6g} … {numbers.max():.6g}"
        else:
            names, counts = np.unique(there.astype(str), return_counts=True) if len(there) else ([], np.array([], int))
            top = [(str(names[k]), int(counts[k])) for k in np.argsort(-counts, kind="stable")[:4]]
            about["most_frequent"] = top
            values = ", ".join(f"{name[:24]} {count:,}" for name, count in top) + (", …" if distinct > 4 else "")
        plain.append(about)
        rows.append([column.name[:40], column.kind, f"{about['missing']:,}", f"{distinct:,}", values])
    widths = [max(len(row[j]) for row in rows) for j in range(4)]
    lines = ["  ".join([*(cell.ljust(width) for cell, width in zip(row, widths)), row[4]]).rstrip() for row in rows]
    return f"{len(table):,} rows, {len(table.names)} columns\n\n" + "\n".join(lines), {"rows": len(table), "columns": plain}
