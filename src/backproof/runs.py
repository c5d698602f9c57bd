"""What stands around a training run: its run file, its continuation, cross-validation, peers, evaluation, descriptions.

Reads   run files (TOML) and the folder of a run; tables; model files.
Gives   settings, measures beside gradient boosting, mean and spread over folds, descriptions as text and as plain data.
"""

import json
import math
import os
import re
import tomllib
from dataclasses import fields, replace

from .errors import DataError, FileProblem, OptionError
from .jobs import MEMORY, Settings, _build, _fit, read_data
from .measures import baseline, boosting, finite, measure
from .predictions import load_table_model, one_thread, read_for
from .sequence_jobs import SequenceSettings
from .sources import PARTS, TableSource, prepare_parts, split_table

__all__ = ["cross_validate", "describe", "evaluate", "read_run_file", "resumable", "run_file"]

READING = ("delimiter", "encoding", "compression")
COMMENTS = {
    "layers": "hidden layers: '64 relu | dropout 0.2 | 32 relu'; '' for none",
    "task": "classification or regression; left out: found out from the target",
    "epochs": "passes over the training rows, at most",
    "batch_size": "rows per update; left out: about a hundredth of them, 32 to 128",
    "learning_rate": "of the optimizer", "optimizer": "adam, adamw, sgd, momentum, nesterov, rmsprop, adagrad or lbfgs",
    "l2": "penalty λ/2 ΣW² on the weights", "validation": "share of the rows that decide when to stop",
    "test": "share of the rows that only measure the result", "seed": "of the split, the initial weights and the order of the rows",
    "patience": "epochs without a better validation loss before it stops",
}


# ---------------------------------------------------------------------------------------------------- run files

def run_file(data="data.csv", target="target"):
    """A run file with every setting, its default and its meaning.

    >>> print(run_file("adult.csv", "income").split("\\n")[2])
    data = "adult.csv"
    """
    lines = ["# A run of backproof:  backproof train --config THIS_FILE", "", f"data = {json.dumps(data, ensure_ascii=False)}",
             f"target = {json.dumps(target, ensure_ascii=False)}", 'out = "run"', ""]
    for field in fields(Settings):
        value = field.default
        given = "#" if value is None else ""
        text = {None: {"task": '"classification"', "batch_size": "64"}.get(field.name, "0")}.get(value, json.dumps(value))
        lines.append(f"{given}{field.name} = {text}".ljust(36) + f"# {COMMENTS.get(field.name, '')}")
    lines += ["", "# of a CSV file", 'delimiter = ","', 'encoding = "utf-8"', '#compression = "gzip"']
    return "\n".join(lines) + "\n"


def read_run_file(path):
    """{"data", "target", "out", "settings": Settings, "reading"} of a run file; every mistake is named with its line.

    Raises   FileProblem, or OptionError for an unknown key, a wrong type, a key twice.
    """
    from .data.files import read_regular
    from .data.messages import shown
    from .networks.words import nearest

    where = shown(str(path), 200)
    try:
        text = read_regular(path, limit=1 << 20).decode("utf-8")
        given = tomllib.loads(text)
    except UnicodeDecodeError:
        raise OptionError("the run file is not UTF-8", where=where, fix="save it as UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise OptionError(f"the run file cannot be read: {error}", where=where, fix="backproof init writes one to start from") from None
    kinds = {field.name: type(field.default) if field.default is not None else {"task": str}.get(field.name, int)
             for field in fields(Settings)}
    kinds.update({"data": str, "target": str, "out": str, "time_limit": float, "cv": int, **dict.fromkeys(READING, str)})
    for key, value in given.items():
        line = next((n for n, row in enumerate(text.split("\n"), 1) if re.match(rf'\s*"?{re.escape(key)}"?\s*[=.\]]', row)), 1)
        if key not in kinds:
            close = nearest(key, kinds)
            raise OptionError(f"line {line}: unknown key {shown(key)}", where=where,
                              fix=f"did you mean {close!r}?" if close else f"one of {', '.join(kinds)}")
        wanted = (int, float) if kinds[key] is float else kinds[key]
        if isinstance(value, bool) or not isinstance(value, wanted) or isinstance(value, float) and not math.isfinite(value):
            word = {str: "text", int: "a whole number", float: "a number"}[kinds[key]]
            raise OptionError(f"line {line}: {key} is {type(value).__name__} {shown(value)}", where=where, fix=f"give {key} {word}")
    settings = {key: float(value) if kinds[key] is float else value for key, value in given.items() if key in {f.name for f in fields(Settings)}}
    if settings.get("patience") == 0:
        settings["patience"] = None
    return {**{key: given.get(key) for key in ("data", "target", "out", "time_limit", "cv")}, "settings": settings,
            "reading": {key: given[key] for key in READING if key in given}}


def resumable(out):
    """What a run's folder says was asked for. Raises OptionError or FileProblem where there is nothing to go on with."""
    from .data.files import read_regular
    from .data.messages import shown
    from .train.checkpoints import Checkpoints

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
    if not Checkpoints(out).steps():
        raise OptionError("there is nothing to go on with: the run is complete, or was stopped before its first checkpoint",
                          where=where, fix="start it again with --force")
    return found


# ---------------------------------------------------------------------------------------------------- peers

# ---------------------------------------------------------------------------------------------------- cross-validation

def cross_validate(data, target, settings, folds, *, reading=None, say=None, progress=None):
    """Every row is tested once: {"folds": [measures of the test rows], "mean", "spread", "baseline", "boosting"}.

    In each fold the preprocessing, the weights and the stopping learn from the other folds alone.
    """
    import numpy as np
    from sklearn.model_selection import KFold, StratifiedKFold

    from .data.preprocess import TargetCoder, guess_task

    say = say or (lambda text: None)
    if isinstance(folds, bool) or not isinstance(folds, int) or folds < 2:
        raise OptionError(f"--cv {folds!r} is no number of folds", fix="2 or more")
    table, target = read_data(data, target, **(reading or {}))
    task = settings.task or guess_task(table[target])
    labels = TargetCoder.fit(table[target], task=task).transform(table[target])
    if folds > len(table) or task == "classification" and folds > np.bincount(labels).min():
        raise DataError(f"{folds} folds of {len(table)} rows: some class or fold would be empty", fix="fewer folds")
    splitter = (StratifiedKFold if task == "classification" else KFold)(folds, shuffle=True, random_state=settings.seed)
    results = {"network": [], "baseline": [], "boosting": []}
    for k, (rest, test) in enumerate(splitter.split(np.zeros(len(table)), labels if task == "classification" else None)):
        inner = replace(settings, task=task, test=0.0)
        _, parts = split_table(table.select(rest), target, inner)
        parts = {**{name: rest[rows] for name, rows in parts.items()}, "test": test}
        parts = {name: parts[name] for name in PARTS if name in parts}
        source = TableSource(table, *prepare_parts(table, target, task, parts, lambda text: None, (reading or {}).get("types") or ()))
        prepare, arrays = source.prepare, source.arrays
        model, batch_size = _build(prepare, source.rows["training"], inner)
        if _fit(model, source, inner, batch_size, progress):
            raise KeyboardInterrupt
        with one_thread():
            results["network"].append(measure(model, prepare, *arrays["test"]))
        results["baseline"].append(baseline(prepare, [arrays["training"][1]])[1]([arrays["test"][1]]))
        results["boosting"].append(boosting(source, prepare, settings.seed)["test"])
        say(f"fold {k + 1} of {folds}: " + ", ".join(f"{name} {value:.4f}" for name, value in results["network"][-1].items()))
    return {"folds": folds, **{name: {"folds": measured, "mean": _over(measured, np.mean), "spread": _over(measured, np.std)}
                               for name, measured in results.items()}}


def _over(measured, how):
    return {key: finite(how([m[key] for m in measured])) if all(m[key] is not None for m in measured) else None for key in measured[0]}


def folds_table(result):
    """Mean ± spread over the folds, the peers beside the network.

    >>> one = {"mean": {"loss": 0.5}, "spread": {"loss": 0.01}}
    >>> print(folds_table({"folds": 5, "network": one, "baseline": one, "boosting": one}).split("\\n")[1])
    network               0.5000 ± 0.0100
    """
    names = list(result["network"]["mean"])
    lines = [f"{result['folds']} folds".ljust(20) + "".join(name.rjust(17) for name in names)]
    for key, title in (("network", "network"), ("boosting", "HistGradientBoosting"), ("baseline", "baseline")):
        cells = []
        for name in names:
            mean, spread = result[key]["mean"][name], result[key]["spread"][name]
            cells.append("–" if mean is None else f"{mean:.4f} ± {spread:.4f}")
        lines.append(title.ljust(20) + "".join(cell.rjust(17) for cell in cells))
    return "\n".join(lines)


# ---------------------------------------------------------------------------------------------------- evaluating

def evaluate(model, data, *, reading=None, say=None):
    """Measures of a saved model on a table that has the target: plain data for JSON."""
    import numpy as np
    from sklearn import metrics

    say = say or (lambda text: None)
    network, prepare = load_table_model(model)
    table = read_for(prepare, data, reading or {}, target=True)
    X, y = prepare.transform(table, notice=say), prepare.target_transform(table)
    with one_thread():
        predicted = network.predict(X)
        found = {"rows": len(table), "task": prepare.task, **measure(network, prepare, X, y)}
    if prepare.task == "regression":
        error = (predicted.astype(np.float64) - y) * prepare.coder.scale
        return {**found, "mean_absolute_error": finite(np.abs(error).mean()), "mean_error": finite(error.mean())}
    answer = predicted.argmax(axis=1)
    found["balanced_accuracy"] = finite(metrics.recall_score(y, answer, average="macro", zero_division=0))
    if len(prepare.classes) == 2 and 0 < y.sum() < len(y):
        found["auc"] = finite(metrics.roc_auc_score(y, predicted[:, 1]))
    confusion = metrics.confusion_matrix(y, answer, labels=range(len(prepare.classes)))
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
