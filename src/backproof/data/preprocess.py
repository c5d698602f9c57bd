"""From a table to numbers and back: scikit-learn transforms, and all it learned is plain data.

Reads   a Table and the name of its target.
Gives   a float64 array (n, i), class numbers or targets in standard units, and the way back to the user's units.
State   numbers, text and lists alone, so that it travels as JSON in a model file. Fitting and loading build the same
        transformers from that state, hence equal bits.

Number columns: missing values become the median, a column "... is missing" says where; then mean 0 and deviation 1.
Category columns: one column per category; categories rarer than one row in a thousand (at least 2 rows, at most 100
categories) share one column "(rare)", missing values have their own.
Task: text and booleans are classes, and so are whole numbers with at most 20 distinct values, each met twice on the
average; everything else is regression.
"""

import math
import unicodedata
import warnings
from collections import Counter

import numpy as np

from backproof.data.messages import DataWarning, listed, shown
from backproof.data.tables import Column, Table, as_table
from backproof.errors import DataError, ModelFileError, OptionError

__all__ = ["TablePreprocessor", "TargetCoder", "guess_task"]

VERSION = 1
FEW_CLASSES = 20                       # whole numbers with more distinct values are a quantity
MANY_CLASSES = 1000                    # with more, and less than two rows each, the target is an id
RARE_SHARE, RARE_ROWS, MOST_CATEGORIES = 0.001, 2, 100
TYPES = {"int": int, "float": float, "bool": bool, "str": str}


class TablePreprocessor:
    """Features of a table as numbers, and its target as classes or standard units.

    >>> table = Table.from_arrays({"age": [20, 40, None], "city": ["a", "b", "a"], "y": ["no", "yes", "no"]})
    >>> prepare = TablePreprocessor.fit(table, target="y")
    >>> prepare.features
    ['age', 'age is missing', 'city=a', 'city=(rare)']
    >>> prepare.transform(table).shape, prepare.target_transform(table).tolist()
    ((3, 4), [0, 1, 0])
    >>> prepare.inverse(prepare.target_transform(table)).tolist()
    ['no', 'yes', 'no']
    """

    def __init__(self, state):
        """From a plain state; use `fit` or `from_state`."""
        self._state = state
        self.target = state["target"]
        self.coder = None if state["coder"] is None else TargetCoder.from_state(state["coder"])
        self._numbers, self._categories = state["numbers"], state["categories"]
        self._lookup = [{name: code for code, name in enumerate(c["kept"])} for c in self._categories]
        self._imputer, self._scaler = _number_transformers(self._numbers)
        self._encoder = _category_transformer(self._categories)

    # -- fitting

    @classmethod
    def fit(cls, table, target=None, *, task=None):
        """Learn from a table; columns without any information are left out, and `notes` says which and why."""
        table = as_table(table)
        if len(table) == 0:
            raise DataError("the table has 0 rows", where=table.source, fix="give it rows")
        coder = None
        if target is not None:
            coder = TargetCoder.fit(table[target], task=task, where=lambda row: table.place(row, target))
            table = table.without(target)
        numbers, categories, dropped, notes = [], [], {}, []
        for column in table.columns.values():
            learn = _learn_number if column.kind == "number" else _learn_category
            learned, note = learn(column, table)
            if learned is None:
                dropped[column.name] = note
            else:
                (numbers if column.kind == "number" else categories).append(learned)
            if note:
                notes.append(f"column {shown(column.name)} {note}")
        if not numbers and not categories:
            raise DataError("no column is left to learn from", where="; ".join(notes) or None,
                            fix="give the table columns besides the target that vary")
        state = {"version": VERSION, "target": target, "coder": coder and coder.state(), "order": table.names,
                 "numbers": numbers, "categories": categories, "dropped": dropped, "notes": notes}
        return cls(state)

    # -- what it knows

    @property
    def columns(self):
        """Names of the columns a table must have, in the order of training."""
        used = {c["name"] for c in self._numbers} | {c["name"] for c in self._categories}
        return [name for name in self._state["order"] if name in used]

    @property
    def types(self):
        """{column: kind} for `read_table`, so that a later file is typed as the training file was."""
        kinds = dict.fromkeys((c["name"] for c in self._numbers), "number")
        kinds.update(dict.fromkeys((c["name"] for c in self._categories), "category"))
        return {name: kinds[name] for name in self.columns}

    @property
    def features(self):
        """Names of the columns of `transform`'s array."""
        names = [c["name"] for c in self._numbers]
        names += [f"{c['name']} is missing" for c in self._numbers if c["indicator"]]
        for c in self._categories:
            names += [f"{c['name']}={category}" for category in [*c["kept"], *_groups(c)]]
        return names

    @property
    def notes(self):
        """What a user should know: columns left out, constant columns."""
        return list(self._state["notes"])

    @property
    def task(self):
        return self.coder and self.coder.task

    @property
    def classes(self):
        return self.coder and self.coder.classes

    # -- transforming

    def transform(self, table, notice=None):
        """Features as float64 (n, i); columns are found by name, in any order.

        notice   called with a sentence about columns that are ignored and values never seen; without it they are warned
                 of. A missing column is an error that names it.
        """
        table = as_table(table)
        say = notice or (lambda text: warnings.warn(text, DataWarning, stacklevel=3))
        missing = [name for name in self.columns if name not in table.columns]
        if missing:
            more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            raise DataError(f"column {shown(missing[0])} is missing{more}", where=table.source,
                            fix=f"give the columns of training: {listed(self.columns, limit=20)}")
        known = {*self._state["order"], self.target}
        extra = [name for name in table.names if name not in known]
        if extra:
            say(f"columns not seen in training are ignored: {listed(extra)}")
        blocks = []
        if self._numbers:
            raw = np.column_stack([_numbers_of(table, c["name"]) for c in self._numbers])
            absent = np.isnan(raw)
            for c, count in zip(self._numbers, absent.sum(axis=0), strict=True):
                if count and not c["indicator"]:
                    say(f"column {shown(c['name'])} has {count} missing values and had none in training; "
                        "they become the median")
            blocks.append(self._scaler.transform(self._imputer.transform(raw)))
            blocks.append(absent[:, [c["indicator"] for c in self._numbers]].astype(np.float64))
        if self._categories:
            codes = [self._codes(j, table[c["name"]], say) for j, c in enumerate(self._categories)]
            blocks.append(self._encoder.transform(np.column_stack(codes)))
        return np.ascontiguousarray(np.hstack(blocks))

    def _codes(self, j, column, say):
        """Number of each row's category; -1, which is encoded as zeros, where nothing fits."""
        c, lookup = self._categories[j], self._lookup[j]
        groups = {group: len(c["kept"]) + k for k, group in enumerate(_groups(c))}
        lookup = {**dict.fromkeys(c["rare"], groups.get("(rare)", -1)), **lookup}
        if c["has_missing"]:
            lookup[None] = groups["(missing)"]
        codes = np.empty(len(column.values), np.int64)
        unseen = Counter()
        for row, text in enumerate(column.texts()):
            code = lookup.get(text)
            if code is None:
                unseen[text] += 1
                code = -1 if text is None else groups.get("(rare)", -1)
            codes[row] = code
        if unseen:
            values = listed("missing" if text is None else text for text in unseen)
            say(f"column {shown(c['name'])} has {unseen.total()} values never seen in training: {values}")
        return codes

    def target_fit(self, table, target, *, task=None):
        """Learn the target of another table, the features staying as they are."""
        table = as_table(table)
        self.target = target
        self.coder = TargetCoder.fit(table[target], task=task, where=lambda row: table.place(row, target))
        self._state = {**self._state, "target": target, "coder": self.coder.state()}
        return self

    def target_transform(self, table):
        """Class numbers (n,) for classification, standard units (n, 1) for regression."""
        table = as_table(table)
        if self.coder is None:
            raise OptionError("no target was given in training", fix="TablePreprocessor.fit(table, target=...)")
        return self.coder.transform(table[self.target], where=lambda row: table.place(row, self.target))

    def inverse(self, values):
        """The user's labels or units; see `TargetCoder.inverse`."""
        if self.coder is None:
            raise OptionError("no target was given in training", fix="TablePreprocessor.fit(table, target=...)")
        return self.coder.inverse(values)

    # -- plain data

    def state(self):
        """All that was learned, as JSON-ready dicts, lists, numbers and text."""
        return self._state

    @classmethod
    def from_state(cls, state):
        """The same preprocessor again, bit for bit; a state that does not hold together is a ModelFileError."""
        _check_state(state)
        return cls(state)


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
        counts = Counter(values.tolist())
        classes = sorted(counts)
        if len(classes) == 1:
            raise DataError(f"only class {shown(classes[0])} is in the target; there is nothing to tell apart",
                            fix="give rows of at least 2 classes")
        if len(classes) > MANY_CLASSES and 2 * len(classes) > len(values):
            mend = "choose another target: an id cannot be learned"
            raise DataError(f"the target has {len(classes)} classes in {len(values)} rows",
                            fix=mend if values.dtype == object else mend + "; or task='regression'")
        _warn_of_look_alikes(classes)
        return cls("classification", classes)

    @classmethod
    def _fit_units(cls, column, where):
        if column.kind == "category":
            raise DataError(f"the target is text ({shown(column.values[0])} at {where(0)}); regression needs numbers",
                            fix="task='classification', or another target")
        from sklearn.preprocessing import StandardScaler

        values = column.values.astype(np.float64)
        _refuse_infinite(values, where)
        scaler = StandardScaler().fit(values[:, None])
        if values.min() == values.max():
            warnings.warn(f"the target is {values[0]:g} in all rows; its scale stays 1", DataWarning, stacklevel=4)
        return cls("regression", None, float(scaler.mean_[0]), float(scaler.scale_[0]))

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
            if _finite(state["mean"]) and _finite(state["scale"]) and state["scale"] > 0:
                return cls("regression", None, float(state["mean"]), float(state["scale"]))
        if task == "classification" and set(state) == {"task", "type", "classes"} and state["type"] in TYPES:
            classes, kind = state["classes"], TYPES[state["type"]]
            if (isinstance(classes, list) and len(classes) > 1 and all(type(c) is kind for c in classes)
                    and (kind is not float or all(map(math.isfinite, classes))) and classes == sorted(set(classes))):
                return cls("classification", classes)
        raise _bad_state("the target")


def guess_task(values):
    """"classification" for text, booleans and few whole numbers, else "regression"; the rule is at the top.

    >>> guess_task(["a", "b"]), guess_task([0, 1, 0, 1]), guess_task([0.5, 1.0]), guess_task(list(range(50)))
    ('classification', 'classification', 'regression', 'regression')
    """
    column = _target_column(values)
    present = column.values[~column.missing]
    if column.kind == "category" or present.dtype == bool:
        return "classification"
    if present.dtype.kind == "f" and not (np.isfinite(present) & (present == np.floor(present))).all():
        return "regression"
    distinct = len(np.unique(present))
    return "classification" if distinct <= FEW_CLASSES and 2 * distinct <= len(present) else "regression"


# -- learning one column -----------------------------------------------------------------------------------------

def _learn_number(column, table):
    """(plain state, note) of a number column; None where there is nothing to learn."""
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import StandardScaler

    values = _numbers_of(table, column.name)[:, None]
    absent = np.isnan(values)
    if absent.all():
        return None, "is empty and left out"
    imputer = SimpleImputer(strategy="median").fit(values)
    scaler = StandardScaler().fit(imputer.transform(values))
    mean, scale = float(scaler.mean_[0]), float(scaler.scale_[0])
    if not (_finite(mean) and _finite(scale)):
        largest = f"{np.nanmax(np.abs(values)):.3g}"
        raise DataError(f"column {shown(column.name)} has values up to {largest}, too large to scale",
                        where=table.source, fix="divide it, or take its logarithm")
    note = None
    if np.nanmin(values) == np.nanmax(values):
        note = f"is {np.nanmin(values):g} in all rows; its scale stays 1"
    learned = {"name": column.name, "median": float(imputer.statistics_[0]), "mean": mean, "scale": scale,
               "indicator": bool(absent.any())}
    return learned, note


def _learn_category(column, table):
    counts = Counter(text for text in column.texts() if text is not None)
    least = max(RARE_ROWS, math.ceil(RARE_SHARE * len(table)))
    frequent = sorted((text for text in counts if counts[text] >= least), key=lambda text: (-counts[text], text))
    kept = sorted(frequent[:MOST_CATEGORIES])
    rare = sorted(set(counts) - set(kept))
    missing = bool(column.missing.any())
    if not counts:
        return None, "is empty and left out"
    if not kept:
        return None, f"is left out: none of its {len(counts)} categories is in {least} rows or more"
    if len(kept) + bool(rare) + missing == 1:
        return None, f"is {shown(kept[0])} in all rows and left out"
    note = f"has {len(rare)} rare categories, read as one" if len(rare) > 1 else None
    # of very many rare categories the names say nothing; they are then only told from new ones by the notice
    return {"name": column.name, "kept": kept, "rare": rare[:MOST_CATEGORIES], "has_rare": bool(rare),
            "has_missing": missing}, note


def _groups(category):
    return ["(rare)"] * category["has_rare"] + ["(missing)"] * category["has_missing"]


def _numbers_of(table, name):
    """A feature column as float64 with NaN where missing."""
    column = table[name]
    if column.kind == "category":
        present = np.flatnonzero(~column.missing)
        if present.size:
            cell = f"{shown(column.values[present[0]])} at {table.place(present[0], name)}"
            raise DataError(f"{cell} is text; the column held numbers in training", fix="give plain decimal numbers")
        return np.full(len(table), np.nan)
    values = column.numbers()
    infinite = np.flatnonzero(np.isinf(values))
    if infinite.size:
        raise DataError(f"{infinite.size} infinite values; the first is {values[infinite[0]]} at "
                        f"{table.place(infinite[0], name)}", fix="mend or drop them")
    return values


# -- building transformers from plain numbers, by public interfaces only ------------------------------------------

def _number_transformers(numbers):
    if not numbers:
        return None, None
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import StandardScaler

    medians = np.array([[c["median"] for c in numbers]], dtype=np.float64)
    imputer = SimpleImputer(strategy="median").fit(medians)            # the median of one row is that row
    scaler = StandardScaler().fit(medians)
    scaler.mean_ = np.array([c["mean"] for c in numbers], dtype=np.float64)
    scaler.scale_ = np.array([c["scale"] for c in numbers], dtype=np.float64)
    scaler.var_ = scaler.scale_**2
    return imputer, scaler


def _category_transformer(categories):
    if not categories:
        return None
    from sklearn.preprocessing import OneHotEncoder

    codes = [np.arange(len(c["kept"]) + len(_groups(c))) for c in categories]
    encoder = OneHotEncoder(categories=codes, handle_unknown="ignore", sparse_output=False, dtype=np.float64)
    return encoder.fit(np.zeros((1, len(categories)), np.int64))


# -- targets -----------------------------------------------------------------------------------------------------

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


# -- checking a state from outside -------------------------------------------------------------------------------

def _finite(value):
    return (type(value) is float and math.isfinite(value)) or (type(value) is int and abs(value) <= 2**53)


def _bad_state(what):
    return ModelFileError(f"the preprocessing of {what} does not hold together",
                          fix="the file was changed or is of another version; save it again from the training run")


def _is_name_list(value):
    return isinstance(value, list) and all(type(name) is str for name in value) and len(set(value)) == len(value)


def _check_state(state):
    """A state may come from a stranger's file: every field, type and length is checked, unknown fields are refused."""
    fields = {"version", "target", "coder", "order", "numbers", "categories", "dropped", "notes"}
    if not isinstance(state, dict) or set(state) != fields or state["version"] != VERSION:
        raise _bad_state("the table")
    if state["coder"] is not None:
        TargetCoder.from_state(state["coder"])
    dropped = state["dropped"]
    if not (_is_name_list(state["order"]) and _is_name_list(state["notes"]) and isinstance(dropped, dict)
            and (state["target"] is None or type(state["target"]) is str)
            and (state["target"] is None) == (state["coder"] is None)
            and isinstance(state["numbers"], list) and isinstance(state["categories"], list)):
        raise _bad_state("the table")
    for c in state["numbers"]:
        if not (isinstance(c, dict) and set(c) == {"name", "median", "mean", "scale", "indicator"}
                and type(c["name"]) is str and all(_finite(c[key]) for key in ("median", "mean", "scale"))
                and c["scale"] > 0 and type(c["indicator"]) is bool):
            raise _bad_state("a number column")
    for c in state["categories"]:
        if not (isinstance(c, dict) and set(c) == {"name", "kept", "rare", "has_rare", "has_missing"}
                and type(c["name"]) is str and _is_name_list(c["kept"]) and _is_name_list(c["rare"]) and c["kept"]
                and type(c["has_rare"]) is bool and type(c["has_missing"]) is bool):
            raise _bad_state("a category column")
    names = [c["name"] for c in [*state["numbers"], *state["categories"]]]
    if not names or sorted([*names, *dropped]) != sorted(state["order"]):
        raise _bad_state("the columns")
