"""From a table to numbers and back, and all it learned is plain data.

Reads   a Table and the name of its target.
Gives   a float64 array (n, i), class numbers or targets in standard units, and the way back to the user's units.
State   numbers, text and lists alone, so that it travels as JSON in a model file, hence equal bits afterwards.

Number columns: missing values become the median, a column "... is missing" says where; then mean 0 and deviation 1; with
tails="asinh" asinh of that, which is nearly the identity around 0 and grows as a logarithm far out, so that no row dwarfs the
others.
Date columns: the days since 1970-01-01 in UTC, as a number column; and where in the year, the week and (if any date has a
time) the day it lies, as sine and cosine, so that December is beside January.
Category columns: one column per category; categories rarer than one row in a thousand (at least 2 rows, at most 100
categories) share one column "(rare)", missing values have their own. A column of nearly all different texts, or of more
than 100,000, is an id and left out; of the former kind it is kept if it is declared a category.
The target is the business of `targets`.
"""

import math
import warnings
from collections import Counter

import numpy as np

from backproof.data.messages import DataWarning, listed, shown
from backproof.data.moments import blocks_of, means_and_scales
from backproof.data.tables import as_table
from backproof.data.targets import TargetCoder, bad_state, plain_number
from backproof.errors import DataError, OptionError

__all__ = ["TablePreprocessor", "numbers_of"]

VERSION = 3                            # 1 had no dates, 2 no tails
TAILS = ("plain", "asinh")
RARE_SHARE, RARE_ROWS, MOST_CATEGORIES = 0.001, 2, 100
MANY_TEXTS, NEARLY_ALL, FEW_TEXTS = 100_000, 0.9, 20        # more texts, or more than this share (of at least so many), are an id
CYCLES = {"year": 365.2425, "week": 7.0, "day": 1.0}        # in days; 1970-01-01 was a Thursday


class TablePreprocessor:
    """Features of a table as numbers, and its target as classes or standard units.

    >>> from backproof.data.columns import Table
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
        self._dates, self._tails = state["dates"], state["tails"]
        self._lookup = [_lookup(c) for c in self._categories]
        keys = "median", "mean", "scale"
        self._medians, self._means, self._scales = (np.array([c[key] for c in self._numbers]) for key in keys)

    # -- fitting

    @classmethod
    def fit(cls, table, target=None, *, task=None, declared=(), tails="plain"):
        """Learn from a table; columns without any information are left out, and `notes` says which and why. Categories
        that are ``declared`` are never taken for ids. ``tails``: what is done with far values, "plain" (nothing) or "asinh".
        """
        table = as_table(table)
        if len(table) == 0:
            raise DataError("the table has 0 rows", where=table.source, fix="give it rows")
        coder = None
        if target is not None:
            coder = TargetCoder.fit(table[target], task=task, where=lambda row: table.place(row, target))
            table = table.without(target)
        kinds = {column.name: column.kind for column in table.columns.values()}
        numbers = [name for name, kind in kinds.items() if kind != "category"]
        matrix = np.column_stack([numbers_of(table, name) for name in numbers]) if numbers else np.empty((len(table), 0))
        middle = [np.median(present) + 0.0 if len(present := column[~np.isnan(column)]) else np.nan for column in matrix.T]
        texts = {name: table[name].texts() for name, kind in kinds.items() if kind == "category"}
        counts = {name: Counter(text for text in found if text is not None) for name, found in texts.items()}
        return cls.learn(kinds, len(table), lambda: blocks_of(matrix), np.array(middle), counts,
                         missing={name for name in kinds if table[name].missing.any()}, target=target, coder=coder,
                         source=table.source, declared=declared, tails=tails)

    @classmethod
    def learn(cls, kinds, rows, blocks, middle, counts, *, missing, target=None, coder=None, source=None, declared=(),
              tails="plain"):
        """From what was counted over the rows of training.

        kinds    {column: "number", "date" or "category"}, in order, without the target
        blocks   function that gives the number and date columns (m, k) in blocks of `moments.BLOCK` rows, NaN where missing
        middle   (k,) their medians; counts  {category column: Counter of its texts, or None: more than MANY_TEXTS}
        missing  names of the columns that have missing cells
        """
        numeric = [name for name, kind in kinds.items() if kind != "category"]
        learned, dropped, notes, dates = {}, {}, [], []
        found = _learn_numbers(numeric, blocks, middle, missing, source)
        for name, kind in kinds.items():
            if kind == "category":
                found[name] = _learn_category(name, counts[name], rows, name in missing, name in declared)
            one, note = found[name]
            if one is None:
                dropped[name] = note
            else:
                learned[name] = one
            if note:
                notes.append(f"column {shown(name)} {note}")
        if not learned:
            raise DataError("no column is left to learn from", where="; ".join(notes) or None,
                            fix="give the table columns besides the target that vary")
        numbers, categories = ([one for name,
                                one in learned.items() if (kinds[name] == "category") == category] for category in (False, True))
        for name in (name for name in learned if kinds[name] == "date"):
            j = numeric.index(name)
            timed = any((block[:, j] % 1 > 0).any() for block in blocks())
            dates.append({"name": name, "cycles": ["year", "week", "day"][:2 + timed]})
        return cls({"version": VERSION, "target": target, "coder": coder and coder.state(), "order": list(kinds),
                    "numbers": numbers, "tails": tails, "dates": dates, "categories": categories, "dropped": dropped,
                    "notes": notes})

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
        kinds.update(dict.fromkeys((c["name"] for c in self._dates), "date"))
        kinds.update(dict.fromkeys((c["name"] for c in self._categories), "category"))
        return {name: kinds[name] for name in self.columns}

    @property
    def features(self):
        """Names of the columns of `transform`'s array."""
        dates = {c["name"] for c in self._dates}
        names = [f"{c['name']} in days" if c["name"] in dates else c["name"] for c in self._numbers]
        names += [f"{c['name']} is missing" for c in self._numbers if c["indicator"]]
        names += [f"{c['name']}: {wave} of the {cycle}" for c in self._dates for cycle in c["cycles"]
                  for wave in ("sine", "cosine")]
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
        return self.encode(*self.raw(table, say))

    @property
    def numeric(self):
        """Names of the columns that are read as numbers: the first part of `raw`."""
        return [c["name"] for c in self._numbers]

    @property
    def categorical(self):
        """Names of the category columns: the second part of `raw`."""
        return [c["name"] for c in self._categories]

    def raw(self, table, say):
        """(numbers (n, k), NaN where missing; category numbers (n, c), -1 where none fits) of a table."""
        numbers, codes = np.empty((len(table), len(self._numbers))), np.empty((len(table), len(self._categories)), np.int64)
        for j, c in enumerate(self._numbers):
            numbers[:, j] = numbers_of(table, c["name"])
            count = np.isnan(numbers[:, j]).sum()
            if count and not c["indicator"]:
                say(f"column {shown(c['name'])} has {count} missing values and had none in training; they become the median")
        for j, c in enumerate(self._categories):
            texts, where = _distinct(table[c["name"]].texts())
            codes[:, j] = self.category_codes(j, texts, np.bincount(where, minlength=len(texts)), say)[where]
        return numbers, codes

    def category_codes(self, j, texts, counts, say):
        """The category numbers of distinct texts (None: missing) of category column j, each of which occurs so many times."""
        c, lookup = self._categories[j], self._lookup[j]
        rare = len(c["kept"]) if c["has_rare"] else -1
        unseen = [(text, count) for text, count in zip(texts, counts) if text not in lookup and count]
        if unseen:
            values = listed("missing" if text is None else text for text, _ in unseen)
            say(f"column {shown(c['name'])} has {sum(int(count) for _, count in unseen)} values never seen in training: {values}")
        return np.array([lookup.get(text, -1 if text is None else rare) for text in texts], np.int64)

    def encode(self, numbers, codes):
        """Features (n, i) from `raw` numbers and category numbers."""
        absent = np.isnan(numbers)
        filled = np.where(absent, self._medians, numbers)
        units = (filled - self._means) / self._scales
        parts = [np.arcsinh(units) if self._tails == "asinh" else units, absent[:, [c["indicator"] for c in self._numbers]]]
        for c in self._dates:
            days = filled[:, self.numeric.index(c["name"])]
            for cycle in c["cycles"]:
                angle = days % CYCLES[cycle] * (2 * np.pi / CYCLES[cycle])
                parts += [np.sin(angle)[:, None], np.cos(angle)[:, None]]
        parts += [code[:, None] == np.arange(len(c["kept"]) + len(_groups(c))) for c, code in zip(self._categories, codes.T)]
        return np.ascontiguousarray(np.hstack([part.astype(np.float64, copy=False) for part in parts]))

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
        if isinstance(state, dict) and state.get("version") in (1, 2):
            state = {"dates": [], "tails": "plain", **state, "version": VERSION}
        _check_state(state)
        return cls(state)


# -- learning one column -----------------------------------------------------------------------------------------

def _learn_numbers(names, blocks, middle, missing, source):
    """{column: (plain state, note)} of number and date columns; None for the state where there is nothing to learn."""
    fill = np.where(np.isnan(middle), 0.0, middle)
    means, scales, least, most = means_and_scales((np.where(np.isnan(block), fill, block) for block in blocks()), len(names))
    found = {}
    for j, name in enumerate(names):
        if np.isnan(middle[j]):
            found[name] = None, "is empty and left out"
            continue
        if not (plain_number(float(means[j])) and plain_number(float(scales[j]))):
            raise DataError(f"column {shown(name)} has values up to {max(abs(least[j]), abs(most[j])):.3g}, too large to scale",
                            where=source, fix="divide it, or take its logarithm")
        learned = {"name": name, "median": float(middle[j]), "mean": float(means[j]), "scale": float(scales[j]),
                   "indicator": name in missing}
        found[name] = learned, f"is {least[j]:g} in all rows; its scale stays 1" if least[j] == most[j] else None
    return found


def _learn_category(name, counts, rows, missing, declared):
    """(plain state, note) of a category column; None where there is nothing to learn."""
    if counts is None or len(counts) > MANY_TEXTS:
        return None, f"is left out as an id: more than {MANY_TEXTS:,} different texts"
    if not counts:
        return None, "is empty and left out"
    present = sum(counts.values())
    if len(counts) >= FEW_TEXTS and len(counts) > NEARLY_ALL * present and not declared:
        return None, f"is left out as an id: {len(counts):,} different texts in {present:,} rows (declared a category, it is kept)"
    least = max(RARE_ROWS, math.ceil(RARE_SHARE * rows))
    frequent = sorted((text for text in counts if counts[text] >= least), key=lambda text: (-counts[text], text))
    kept = sorted(frequent[:MOST_CATEGORIES])
    rare = sorted(set(counts) - set(kept))
    if not kept:
        return None, f"is left out: none of its {len(counts)} categories is in {least} rows or more"
    if len(kept) + bool(rare) + missing == 1:
        return None, f"is {shown(kept[0])} in all rows and left out"
    note = f"has {len(rare)} rare categories, read as one" if len(rare) > 1 else None
    # of very many rare categories the names say nothing; they are then only told from new ones by the notice
    return {"name": name, "kept": kept, "rare": rare[:MOST_CATEGORIES], "has_rare": bool(rare), "has_missing": missing}, note


def _lookup(category):
    """{text: category number} of all that training had; None is the missing one."""
    rare = len(category["kept"])
    lookup = {**dict.fromkeys(category["rare"], rare), **{name: code for code, name in enumerate(category["kept"])}}
    return {**lookup, None: rare + category["has_rare"]} if category["has_missing"] else lookup


def _distinct(texts):
    """(distinct texts in the order of their first row, None among them where some are missing; which of them each row has)."""
    known = {}
    where = np.fromiter((known.setdefault(text, len(known)) for text in texts), np.int64, len(texts))
    return list(known), where


def _groups(category):
    return ["(rare)"] * category["has_rare"] + ["(missing)"] * category["has_missing"]


def numbers_of(table, name):
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


# -- checking a state from outside -------------------------------------------------------------------------------

def _is_name_list(value):
    return isinstance(value, list) and all(type(name) is str for name in value) and len(set(value)) == len(value)


def _check_state(state):
    """A state may come from a stranger's file: every field, type and length is checked, unknown fields are refused."""
    fields = {"version", "target", "coder", "order", "numbers", "tails", "dates", "categories", "dropped", "notes"}
    if not isinstance(state, dict) or set(state) != fields or state["version"] != VERSION:
        raise bad_state("the table")
    if state["coder"] is not None:
        TargetCoder.from_state(state["coder"])
    dropped = state["dropped"]
    if not (_is_name_list(state["order"]) and _is_name_list(state["notes"]) and isinstance(dropped, dict)
            and (state["target"] is None or type(state["target"]) is str)
            and (state["target"] is None) == (state["coder"] is None) and state["tails"] in TAILS
            and all(isinstance(state[key], list) for key in ("numbers", "dates", "categories"))):
        raise bad_state("the table")
    for c in state["numbers"]:
        if not (isinstance(c, dict) and set(c) == {"name", "median", "mean", "scale", "indicator"}
                and type(c["name"]) is str and all(plain_number(c[key]) for key in ("median", "mean", "scale"))
                and c["scale"] > 0 and type(c["indicator"]) is bool):
            raise bad_state("a number column")
    for c in state["categories"]:
        if not (isinstance(c, dict) and set(c) == {"name", "kept", "rare", "has_rare", "has_missing"}
                and type(c["name"]) is str and _is_name_list(c["kept"]) and _is_name_list(c["rare"]) and c["kept"]
                and type(c["has_rare"]) is bool and type(c["has_missing"]) is bool):
            raise bad_state("a category column")
    numbers = [c["name"] for c in state["numbers"]]
    for c in state["dates"]:
        if not (isinstance(c, dict) and set(c) == {"name", "cycles"} and c["name"] in numbers and _is_name_list(c["cycles"])
                and set(c["cycles"]) <= set(CYCLES)):
            raise bad_state("a date column")
    names = [c["name"] for c in [*state["numbers"], *state["categories"]]]
    if not names or sorted([*names, *dropped]) != sorted(state["order"]):
        raise bad_state("the columns")
