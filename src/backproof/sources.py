"""Where the rows of a training run lie: here in memory; `disk_sources` has those of files too large for it.

Reads   a table.
Gives   a TableInMemory, and from it for every division of the rows a TableSource: the preprocessing learned from the training
        rows, rows to train on, blocks to measure on, samples.
"""

import warnings

__all__ = ["BOOSTED_ROWS", "CATEGORIES", "PARTS", "ArraySource", "TableInMemory", "TableSource"]

BOOSTED_ROWS = 100_000                  # that gradient boosting is given at most
CATEGORIES = 255                        # that HistGradientBoosting can tell apart
PARTS = ("training", "validation", "test")
TAILS = "asinh"                         # of number columns; docs/defaults.md says why


class ArraySource:
    """Samples in memory, {part: (X, y)}. Attribute  rows {part: how many}, in the order of PARTS."""

    def __init__(self, arrays):
        self.arrays = arrays
        self.rows = {name: len(X) for name, (X, _) in arrays.items()}

    def data(self, part):
        """(X, y) for `Model.fit`."""
        return self.arrays[part]

    def blocks(self, part):
        """(X, y) in blocks, for measuring."""
        yield self.arrays[part]

    def sample(self, part, rows):
        """(X, y) of about so many rows, all where they are in memory."""
        return self.arrays[part]

    def close(self):
        """Nothing is left to put away."""


class TableSource(ArraySource):
    """Rows of a table in memory. Attributes  prepare; rows, as above; categorical: by raw column."""

    def __init__(self, table, prepare, parts, arrays):
        super().__init__(arrays)
        self.table, self.prepare, self.parts = table, prepare, parts
        self.categorical = [kind == "category" for kind in prepare.types.values()]
        self._columns = None

    def first(self, rows):
        """(X, y) of the first training rows."""
        return tuple(array[:rows] for array in self.arrays["training"])

    def truths(self, part):
        """(row numbers in the file, what the target says, X) of a part, in blocks."""
        yield self.parts[part].tolist(), self.table[self.prepare.target].values[self.parts[part]].tolist(), self.arrays[part][0]

    def raw(self, part, seed):
        """(columns as they are, y) for gradient boosting; with a seed, a sample of the rows that it is given."""
        import numpy as np

        if self._columns is None:
            self._columns = self._raw_columns()
        rows, y = self.parts[part], self.arrays[part][1]
        if seed is None or len(rows) <= BOOSTED_ROWS:
            return self._columns[rows], y
        taken = np.sort(np.random.default_rng(seed).choice(len(rows), BOOSTED_ROWS, replace=False))
        return self._columns[rows[taken]], y[taken]

    def _raw_columns(self):
        import numpy as np

        columns, train = [], self.parts["training"]
        for name, kind in self.prepare.types.items():
            if kind != "category":
                columns.append(self.table[name].numbers())
                continue
            texts = self.table[name].texts()
            known = [text for text in texts[train] if text is not None]
            names, counts = np.unique(np.array(known, dtype=object).astype(str), return_counts=True)
            kept = {str(text): code for code, text in enumerate(names[np.argsort(-counts, kind="stable")][:CATEGORIES])}
            columns.append(np.array([kept.get(text, np.nan) if text is not None else np.nan for text in texts], float))
        return np.stack(columns, axis=1)


class TableInMemory:
    """A table that is read: ``source`` divides its rows and prepares them.

    Attributes  target, task; rows: how many
    """

    def __init__(self, table, target, task, say, declared=()):
        from .data.messages import DataWarning
        from .data.targets import TargetCoder, guess_task

        for sentence in table.missing_report():
            say(sentence)
        self.table, self.target, self.task = table, target, task or guess_task(table[target])
        self.rows, self.declared = len(table), declared
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)             # said once, where the training rows are prepared
            coder = TargetCoder.fit(table[target], task=self.task, where=lambda row: table.place(row, target))
            self._labels = coder.inverse(coder.transform(table[target])) if self.task == "classification" else None

    def parts(self, division):
        """{part: row numbers}, of the parts that have some."""
        return {name: rows for name, rows in zip(PARTS, division.rows(self.rows, self._labels)) if len(rows)}

    def source(self, division, say):
        """A TableSource; everything is learned from its training rows alone."""
        from .data.preprocess import TablePreprocessor

        parts = self.parts(division)
        tables = {name: self.table.select(rows) for name, rows in parts.items()}
        prepare = TablePreprocessor.fit(tables["training"], self.target, task=self.task, declared=self.declared, tails=TAILS)
        for note in prepare.notes:
            say(note)
        arrays = {name: (prepare.transform(part, notice=lambda text, name=name: say(f"{name} rows: {text}")),
                         prepare.target_transform(part)) for name, part in tables.items()}
        return TableSource(self.table, prepare, parts, arrays)
