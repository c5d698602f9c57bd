"""From a long table to sequences and back: what a model of sequences knows of its table, as plain data.

Reads   a Table whose rows are steps, the sequences they belong to (`data.long`), the target.
Gives   arrays (t, i) per sequence, class numbers or standard units per sequence or per step; or windows of series with the values
        that follow, relative to the last value that is read; and the way back to the user's units.
State   numbers, text and lists alone, checked field by field when it comes from a file.

The columns are prepared as in any table (`data.preprocess`), row by row, learned from the rows of the training sequences alone.
"""

import numpy as np

from backproof.data.columns import Column, Table
from backproof.data.long import group, windows
from backproof.data.messages import shown
from backproof.data.preprocess import TablePreprocessor
from backproof.errors import DataError, ModelFileError

__all__ = ["KINDS", "ForecastPreprocessor", "SequencePreprocessor", "from_state", "interpolated"]

VERSION = 1
KINDS = ("sequence", "step", "forecast")         # one target per sequence, one per step, the next values of a series


class _Prepared:
    """What both share: the columns, the sequences, the state."""

    def __init__(self, state):
        self._state = state
        self.rows = TablePreprocessor.from_state(state["rows"])
        self.kind, self.id, self.time = state["kind"], state["id"], state["time"]

    features = property(lambda self: self.rows.features, doc="The names of the inputs of a step.")
    columns = property(lambda self: self.rows.columns, doc="The columns that a table must have.")
    notes = property(lambda self: self.rows.notes, doc="What a user should know.")

    @property
    def types(self):
        """{column: kind} for `read_table`; the columns of the id and the time included."""
        own = {self.id: self._state["id_kind"], self.time: self._state["time_kind"]}
        return {**self.rows.types, **{name: kind for name, kind in own.items() if name is not None}}

    def groups(self, table):
        """The sequences of a table, by the columns of training."""
        return group(table, self.id, self.time)

    def _arrays(self, table, groups, notice):
        """The inputs of every sequence, (t, i) each."""
        chosen = table.select(groups.all_rows()).without(*(name for name in (self.id, self.time) if name is not None))
        return groups.split(self.rows.transform(chosen, notice=notice))

    def state(self):
        """All it knows, as plain data."""
        return {**self._state, "rows": self.rows.state()}


def _columns(table, id, time):
    kinds = {f"{what}_kind": None if name is None else table[name].kind for what, name in (("id", id), ("time", time))}
    return {"id": id, "time": time, **kinds}


class SequencePreprocessor(_Prepared):
    """Sequences of a long table with one target each, or one per step.

    >>> table = Table.from_arrays({"id": [1, 1, 2, 2, 2], "x": [0.0, 1.0, 2.0, 3.0, 4.0], "y": ["a", "a", "b", "b", "b"]})
    >>> prepare = SequencePreprocessor.fit(table, group(table, "id"), "y", "sequence", id="id")
    >>> X, y = prepare.examples(table, prepare.groups(table))
    >>> [x.shape for x in X], y.tolist()
    ([(2, 1), (3, 1)], [0, 1])
    """

    @classmethod
    def fit(cls, table, groups, target, kind, *, task=None, id=None, time=None):
        """Learn from the sequences given: the columns from all their rows, a target per sequence from each once."""
        own = [name for name in (id, time) if name is not None]
        rows = TablePreprocessor.fit(table.select(groups.all_rows()).without(*own), target, task=task)
        if kind == "sequence":
            rows.target_fit(table.select([r[0] for r in groups.rows]), target, task=task)
        return cls({"version": VERSION, "kind": kind, "rows": rows.state(), **_columns(table, id, time)})

    target = property(lambda self: self.rows.target, doc="The column that is predicted.")
    task = property(lambda self: self.rows.task, doc='"classification" or "regression".')
    classes = property(lambda self: self.rows.classes, doc="The classes, or None.")
    coder = property(lambda self: self.rows.coder, doc="The TargetCoder.")

    def inputs(self, table, groups, notice=None):
        """A list with an array (t, i) per sequence."""
        target = [self.target] if self.target in table.columns else []
        return self._arrays(table.without(*target), groups, notice)

    def examples(self, table, groups, notice=None):
        """(inputs, targets): one target per sequence, or a list with an array per sequence."""
        if self.kind == "sequence":
            return self.inputs(table, groups, notice), self.rows.target_transform(table.select([r[0] for r in groups.rows]))
        flat = self.rows.target_transform(table.select(groups.all_rows()))
        return self.inputs(table, groups, notice), groups.split(flat)

    def inverse(self, values):
        """Labels, or the target's units."""
        return self.rows.inverse(values)


class _Scale:
    """The units of a forecast's target: what `measures` asks a coder for."""

    def __init__(self, mean, scale):
        self.mean, self.scale = mean, scale


class ForecastPreprocessor(_Prepared):
    """Windows of series, and the values that follow.

    A window's own column is read relative to its last value, and so are the values to come: a series that rises for ever looks
    the same at every height.

    >>> table = Table.from_arrays({"value": [float(k * k) for k in range(9)]})
    >>> prepare = ForecastPreprocessor.fit(table, group(table), "value", lags=3, horizon=2)
    >>> X, y = prepare.examples(table, prepare.groups(table))
    >>> X.shape, y.shape
    ((5, 3, 1), (5, 2))
    >>> prepare.forecasts(prepare.bases(table, prepare.groups(table)), y)[0].round(6).tolist()          # after 0, 1, 4
    [9.0, 16.0]
    """

    task, classes = "regression", None

    def __init__(self, state):
        super().__init__(state)
        self.target, self.lags, self.horizon = state["target"], state["lags"], state["horizon"]
        self._own = self.rows.features.index(self.target)
        number = next(c for c in self.rows.state()["numbers"] if c["name"] == self.target)
        self._units = _Scale(number["mean"], number["scale"])
        self.coder = _Scale(0.0, state["scale"] * number["scale"])

    @classmethod
    def fit(cls, table, groups, target, *, lags, horizon, id=None, time=None):
        """Learn from the rows of the groups given; the scale from the windows of ``lags`` steps in them."""
        if table[target].kind != "number":
            raise DataError(f"column {shown(target)} holds text; a forecast is of numbers", where=table.source,
                            fix="another --target")
        own = [name for name in (id, time) if name is not None]
        rows = TablePreprocessor.fit(table.select(groups.all_rows()).without(*own))
        state = {"version": VERSION, "kind": "forecast", "rows": rows.state(), **_columns(table, id, time), "target": target,
                 "lags": lags, "horizon": horizon, "scale": 1.0}
        X, y = cls(state).examples(table, groups)
        changes = np.concatenate([X[:, :, cls(state)._own].ravel(), y.ravel()])
        scale = float(np.sqrt((changes**2).mean())) if len(changes) else 0.0
        return cls({**state, "scale": scale if scale > 0 else 1.0})

    def _windows(self, table, groups, notice, behind):
        """For each series: its inputs, and where its windows start so that ``behind`` steps follow."""
        for k, z in enumerate(self._arrays(table, groups, notice)):
            yield k, z, windows(len(z), self.lags, behind)

    def examples(self, table, groups, notice=None):
        """(windows (n, lags, i), the values behind them (n, horizon)), relative to the window's last value, in units of `scale`."""
        X, y = [], []
        for _, z, starts in self._windows(table, groups, notice, self.horizon):
            taken = z[starts[:, None] + np.arange(self.lags)].reshape(len(starts), self.lags, z.shape[1])
            last = taken[:, -1:, self._own].copy()
            coming = z[starts[:, None] + self.lags + np.arange(self.horizon), self._own]
            X.append(self._relative(taken, last))
            y.append((coming - last) / self._state["scale"])
        return np.concatenate(X), np.concatenate(y)

    def _relative(self, taken, last):
        taken[:, :, self._own] = (taken[:, :, self._own] - last) / self._state["scale"]
        return taken

    def places(self, groups):
        """(series, step of the first value to come) of every window of `examples`, (n, 2)."""
        found = [np.stack([np.full(len(starts), k), starts + self.lags], axis=1)
                 for k, starts in ((k, windows(n, self.lags, self.horizon)) for k, n in enumerate(groups.lengths))]
        return np.concatenate(found)

    def latest(self, table, groups, notice=None):
        """The last window of every series (n, lags, i), and its last value."""
        X, bases = [], []
        for k, z, starts in self._windows(table, groups, notice, 0):
            if not len(starts):
                of = "the series" if groups.ids[k] is None else f"sequence {shown(str(groups.ids[k]))}"
                raise DataError(f"{of} has {len(z)} rows; the model reads {self.lags}", where=table.source, fix="give it more rows")
            taken = z[None, -self.lags:].copy()
            bases.append(taken[0, -1, self._own])
            X.append(self._relative(taken, taken[:, -1:, self._own].copy()))
        return np.concatenate(X), np.array(bases)

    def bases(self, table, groups):
        """The last value that each window of `examples` reads, in standard units."""
        return np.concatenate([z[starts + self.lags - 1, self._own]
                               for _, z, starts in self._windows(table, groups, lambda text: None, self.horizon)])

    def forecasts(self, bases, predicted):
        """Values in the target's units from predictions (n, horizon) and the last values read."""
        standard = bases[:, None] + self._state["scale"] * np.asarray(predicted, np.float64)
        return standard * self._units.scale + self._units.mean

    def seasonal(self, X, season):
        """The forecast that repeats the last season, from windows of at least one season: (n, horizon), relative as y is."""
        return X[:, self.lags - season + np.arange(self.horizon) % season, self._own]


def interpolated(table, groups, name):
    """(table, how many): a column's missing numbers put on the line between their neighbours in the series."""
    column = table[name]
    if column.kind != "number" or not column.missing.any():
        return table, 0
    values = column.numbers()
    for rows in groups.rows:
        there = np.flatnonzero(~np.isnan(values[rows]))
        if not len(there):
            raise DataError(f"column {shown(name)} is empty in a series", where=table.place(rows[0], name),
                            fix="leave the series out")
        values[rows] = np.interp(np.arange(len(rows)), there, values[rows][there])
    filled = Column(name, values, np.zeros(len(values), bool))
    columns = [filled if c.name == name else c for c in table.columns.values()]
    return Table(columns, source=table.source, lines=table.lines), int(column.missing.sum())


def from_state(state):
    """The preprocessor behind a plain state; ModelFileError where it does not hold together."""
    try:
        forecast = state["kind"] == "forecast"
        if _known(state, forecast):
            found = (ForecastPreprocessor if forecast else SequencePreprocessor)(state)
            if forecast or found.coder is not None:
                return found
    except ModelFileError:
        raise
    except (TypeError, KeyError, ValueError, StopIteration):
        pass
    raise ModelFileError("the preprocessing of the sequences does not hold together",
                         fix="the file was changed or is of another version; save it again from the training run")


def _known(state, forecast):
    """Has a state every field, of its type, and no other?"""
    wanted = {"version", "kind", "rows", "id", "time", "id_kind", "time_kind"}
    if set(state) != (wanted | {"target", "lags", "horizon", "scale"} if forecast else wanted):
        return False
    if state["version"] != VERSION or state["kind"] not in KINDS:
        return False
    for name in ("id", "time"):
        kinds = (None,) if state[name] is None else ("number", "category", "date")
        if not (state[name] is None or type(state[name]) is str) or state[f"{name}_kind"] not in kinds:
            return False
    return not forecast or (type(state["target"]) is str and type(state["scale"]) is float and 0 < state["scale"] < float("inf")
                            and all(type(state[name]) is int and 1 <= state[name] < 1 << 31 for name in ("lags", "horizon")))
