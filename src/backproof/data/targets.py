"""The target of a table: classes as numbers, quantities in standard units, and back; and which of both it is.

Reads   a Column, an array or a list.
Gives   a TargetCoder, whose state is plain data; the task found out.
Raises  DataError with the row of what cannot be a target, ModelFileError for a state that does not hold together.

Text and booleans are classes, and so are whole numbers with at most FEW_CLASSES distinct values, each met twice on the
average; everything else is regression.
"""

import math
import unicodedata
import warnings

import numpy as np

from backproof.data.columns import Column, Table
from backproof.data.messages import DataWarning, listed, shown
from backproof.data.moments import blocks_of, means_and_scales
from backproof.errors import DataError, ModelFileError, OptionError

__all__ = ["TargetCoder", "bad_state", "guess_from", "guess_task", "plain_number"]

FEW_CLASSES = 20                       # whole numbers with more distinct values are a quantity
MANY_CLASSES = 1000                    # with more, and less than two rows each, the target is an id
TYPES = {"int": int, "float": float, "bool": bool, "str": str}


class TargetCoder:
    """A target as class numbers or in standard units, and back; classes keep their type and are sorted.

    >>> coder = TargetCoder.fit([5, 1, 5, 1, 2, 2])
    >>> coder.task, coder.classes, coder.transform([2, 5]).tolist()
    ('classification', [1, 2, 5], [1, 2])
    >>> coder = TargetCoder.fit([1.5, 2.5, 3.5])
    >>> coder.task, coder.inverse(coder.transform([1.5, 2.5])).ravel().tolist()
    ('regression', [1.5, 2.5])
    """

    def __init__(self, task, classes=None, mean=0.0, scale=1.0):
        self.task, self.classes, self.mean, self.scale = task, classes, mean, scale
        self._lookup = {} if classes is None else {value: code for code, value in enumerate(classes)}

    @classmethod
    def fit(cls, values, *, task=None, where=None):
        column = _target_column(values)
        where = where or (lambda row: f"row {row}")
        if task not in (None, "classification", "regression"):
            raise OptionError(f"task {shown(task)} is unknown", fix="'classification' or 'regression'")
        _refuse_missing(column, where)
        task = task or guess_task(column)
        return cls._fit_classes(column, where) if task == "classification" else cls._fit_units(column, where)

    @classmethod
    def _fit_classes(cls, column, where):
        values = column.values
        if values.dtype.kind == "f":
            _refuse_infinite(values, where)
            fraction = np.flatnonzero(values != np.floor(values))
            if fraction.size:
                raise DataError(f"the target is continuous: {values[fraction[0]]:g} at {where(fraction[0])}",
                                fix="task='regression', or the regressor")
        return cls.of_classes(values if values.dtype != object else set(values.tolist()), len(values))

    @classmethod
    def of_classes(cls, values, rows):
        """A coder of the distinct values of so many rows."""
        classes = np.unique(values).tolist() if isinstance(values, np.ndarray) else sorted(values)
        if len(classes) == 1:
            raise DataError(f"only class {shown(classes[0])} is in the target; there is nothing to tell apart",
                            fix="give rows of at least 2 classes")
        if len(classes) > MANY_CLASSES and 2 * len(classes) > rows:
            mend = "choose another target: an id cannot be learned"
            raise DataError(f"the target has {len(classes)} classes in {rows} rows",
                            fix=mend if isinstance(classes[0], str) else mend + "; or task='regression'")
        if fractions := [value for value in classes if isinstance(value, float) and value != math.floor(value)]:
            raise DataError(f"the target is continuous: {fractions[0]:g}", fix="task='regression', or the regressor")
        _warn_of_look_alikes(classes)
        return cls("classification", classes)

    @classmethod
    def _fit_units(cls, column, where):
        if column.kind == "category":
            raise DataError(f"the target is text ({shown(column.values[0])} at {where(0)}); regression needs numbers",
                            fix="task='classification', or another target")
        values = column.values.astype(np.float64)
        _refuse_infinite(values, where)
        return cls.of_units(lambda: blocks_of(values[:, None]))

    @classmethod
    def of_units(cls, blocks):
        """A coder of numbers that are given in blocks (m, 1)."""
        mean, scale, least, most = means_and_scales(blocks(), 1)
        if least == most:
            warnings.warn(f"the target is {least[0]:g} in all rows; its scale stays 1", DataWarning, stacklevel=5)
        return cls("regression", None, float(mean[0]), float(scale[0]))

    def transform(self, values, where=None):
        """Class numbers int64 (n,), or float64 (n, 1) in standard units."""
        column = _target_column(values)
        where = where or (lambda row: f"row {row}")
        _refuse_missing(column, where)
        if self.task == "regression":
            if column.kind == "category":
                raise DataError(f"the target is text: {shown(column.values[0])} at {where(0)}", fix="give numbers")
            numbers = column.values.astype(np.float64)
            _refuse_infinite(numbers, where)
            return ((numbers - self.mean) / self.scale)[:, None]
        codes = np.array([self._lookup.get(value, -1) for value in column.values.tolist()], dtype=np.int64)
        unknown = np.flatnonzero(codes < 0)
        if unknown.size:
            label = shown(column.values.tolist()[unknown[0]])
            raise DataError(f"class {label} at {where(unknown[0])} was not in training",
                            fix=f"the classes are {listed(self.classes, limit=20)}")
        return codes

    def inverse(self, values):
        """User's units from standard units; labels from class numbers (n,), probabilities (n, k) or (n, 1) of class 1.
        """
        values = np.asarray(values)
        if self.task == "regression":
            return values.astype(np.float64) * self.scale + self.mean
        if values.ndim == 2:
            codes = (values[:, 0] > 0.5).astype(int) if values.shape[1] == 1 else values.argmax(axis=1)
        else:
            codes = values.astype(int)
        labels = np.array(self.classes, dtype=object if isinstance(self.classes[0], str) else None)
        return labels[codes]

    def state(self):
        if self.task == "regression":
            return {"task": self.task, "mean": self.mean, "scale": self.scale}
        return {"task": self.task, "type": type(self.classes[0]).__name__, "classes": list(self.classes)}

    @classmethod
    def from_state(cls, state):
        task = state.get("task") if isinstance(state, dict) else None
        if task == "regression" and set(state) == {"task", "mean", "scale"}:
            if plain_number(state["mean"]) and plain_number(state["scale"]) and state["scale"] > 0:
                return cls("regression", None, float(state["mean"]), float(state["scale"]))
        if task == "classification" and set(state) == {"task", "type", "classes"} and state["type"] in TYPES:
            classes, kind = state["classes"], TYPES[state["type"]]
            if (isinstance(classes, list) and len(classes) > 1 and all(type(c) is kind for c in classes)
                    and (kind is not float or all(map(math.isfinite, classes))) and classes == sorted(set(classes))):
                return cls("classification", classes)
        raise bad_state("the target")


def guess_task(values):
    """"classification" for text, booleans and few whole numbers, else "regression"; the rule is at the top.

    >>> guess_task(["a", "b"]), guess_task([0, 1, 0, 1]), guess_task([0.5, 1.0]), guess_task(list(range(50)))
    ('classification', 'classification', 'regression', 'regression')
    """
    column = _target_column(values)
    present = column.values[~column.missing]
    if column.kind == "category" or present.dtype == bool:
        return "classification"
    return guess_from(np.unique(present).tolist(), len(present))


def guess_from(distinct, rows):
    """`guess_task` from the distinct values of so many rows."""
    if any(isinstance(value, (str, bool)) for value in distinct):
        return "classification"
    if not all(math.isfinite(value) and value == math.floor(value) for value in distinct):
        return "regression"
    return "classification" if len(distinct) <= FEW_CLASSES and 2 * len(distinct) <= rows else "regression"


# -- what cannot be a target ------------------------------------------------------------------------------------------

def _target_column(values):
    if isinstance(values, Column):
        return values
    if isinstance(values, np.ndarray) and values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    return Table.from_arrays({"target": values})["target"]


def _refuse_missing(column, where):
    if len(column.values) == 0:
        raise DataError("the target has 0 rows", fix="give it rows")
    missing = np.flatnonzero(column.missing)
    if missing.size:
        raise DataError(f"the target is missing in {missing.size} rows; the first is {where(missing[0])}",
                        fix="leave these rows out")


def _refuse_infinite(values, where):
    infinite = np.flatnonzero(~np.isfinite(values))
    if infinite.size:
        raise DataError(f"the target has {infinite.size} infinite values; the first is at {where(infinite[0])}",
                        fix="leave these rows out")


def _warn_of_look_alikes(classes):
    if not isinstance(classes[0], str):
        return
    alike = {}
    for label in classes:
        alike.setdefault(unicodedata.normalize("NFKC", label).strip(), []).append(label)
    for labels in (labels for labels in alike.values() if len(labels) > 1):
        names = ", ".join(ascii(label) for label in labels)
        warnings.warn(f"classes that look alike are kept apart: {names}", DataWarning, stacklevel=5)


# -- states from outside -----------------------------------------------------------------------------------------------

def plain_number(value):
    return (type(value) is float and math.isfinite(value)) or (type(value) is int and abs(value) <= 2**53)


def bad_state(what):
    return ModelFileError(f"the preprocessing of {what} does not hold together",
                          fix="the file was changed or is of another version; save it again from the training run")
