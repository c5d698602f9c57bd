"""Where the rows of a training run lie: in memory, or on the disk when the file is too large for it.

Reads   a table, or the path of a file.
Gives   the same of both: the preprocessing learned from the training rows, rows to train on, blocks to measure on, samples.

Both give the same weights, bit for bit: the same parts, the same preprocessing, the same order of rows.
"""

import os
import shutil
import tempfile
import warnings

from .errors import DataError, FileProblem, OptionError

__all__ = ["STREAM_BYTES", "DiskSource", "TableSource", "streamed"]

STREAM_BYTES = 256_000_000              # files above this are read in parts: in memory they take about ten times their size
BOOSTED_ROWS, BOOSTED_CELLS = 100_000, 4_000_000     # what gradient boosting is given at most; the cells for rows on the disk
REPORT_ROWS = 4096                      # of a part on the disk, drawn
CATEGORIES = 255                        # that HistGradientBoosting can tell apart
PARTS = ("training", "validation", "test")


def streamed(data, stream=None):
    """Is a file read in parts? As asked for, else by its size."""
    from .data.builtin import BUILTIN

    if data in BUILTIN or not os.path.isfile(data):
        if stream:
            raise OptionError(f"{data!r} is no file that could be streamed", fix="leave --stream out")
        return False
    return os.path.getsize(data) > STREAM_BYTES if stream is None else stream


class TableSource:
    """Rows in memory. Attributes  prepare; rows {part: how many}, in the order of PARTS; categorical: by raw column."""

    def __init__(self, table, prepare, parts, arrays):
        self.table, self.prepare, self.parts, self.arrays = table, prepare, parts, arrays
        self.rows = {name: len(rows) for name, rows in parts.items()}
        self.categorical = [kind == "category" for kind in prepare.types.values()]
        self._columns = None

    @classmethod
    def split(cls, table, target, settings, say, declared=()):
        for sentence in table.missing_report():
            say(sentence)
        task, parts = split_table(table, target, settings)
        return cls(table, *prepare_parts(table, target, task, parts, say, declared))

    def data(self, part):
        """(X, y) for `Model.fit`."""
        return self.arrays[part]

    def blocks(self, part):
        """(X, y) in blocks, for measuring."""
        yield self.arrays[part]

    def first(self, rows):
        """(X, y) of the first training rows."""
        return tuple(array[:rows] for array in self.arrays["training"])

    def sample(self, part, rows):
        """(X, y) of about so many rows, all where they are in memory."""
        return self.arrays[part]

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

    def close(self):
        """Nothing is left to put away."""


def split_table(table, target, settings):
    """(task, {part: row numbers}) of a table."""
    from .data.messages import DataWarning
    from .data.preprocess import TargetCoder, guess_task
    from .data.split import split_rows

    task = settings.task or guess_task(table[target])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)             # said once, where the training rows are prepared
        coder = TargetCoder.fit(table[target], task=task, where=lambda row: table.place(row, target))
        labels = coder.transform(table[target]) if task == "classification" else None
    rows = split_rows(len(table), validation=settings.validation, test=settings.test, labels=labels, seed=settings.seed)
    return task, {name: part for name, part in zip(PARTS, rows) if len(part)}


def prepare_parts(table, target, task, parts, say, declared=()):
    """(preprocessor fitted on the training rows, parts, {part: (X, y)})."""
    from .data.preprocess import TablePreprocessor

    tables = {name: table.select(rows) for name, rows in parts.items()}
    prepare = TablePreprocessor.fit(tables["training"], target, task=task, declared=declared)
    for note in prepare.notes:
        say(note)
    return prepare, parts, {name: (prepare.transform(part, notice=lambda text, name=name: say(f"{name} rows: {text}")),
                                   prepare.target_transform(part)) for name, part in tables.items()}


class DiskSource:
    """Rows on the disk, in a folder of their own that ``close`` takes away. The attributes are those of TableSource."""

    def __init__(self, path, target, settings, say, *, cache=None, **reading):
        from .data.messages import megabytes, shown
        from .data.stored import Store, Unchanged
        from .data.tables import column_names, survey

        self.folder, declared = None, reading.pop("types", None) or {}
        if target is None:
            raise OptionError("there is no target column", fix=f"--target NAME; the last column is {shown(column_names(path, **reading)[-1])}")
        same = Unchanged(path)
        found = survey(path, target=target, types=declared, **reading)
        same.check("while its columns were surveyed")
        for name, count in found.missing.items():
            say(f"column {shown(name)}: {count:,} of {found.rows:,} missing")
        task, coder, self._parts_of = _decided(found, target, settings)
        sweep(cache)
        needed = found.rows * Store.row_bytes(found.kinds, target)
        try:
            self.folder = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=cache)
        except OSError as error:
            raise FileProblem(f"no folder for the rows can be made: {error.strerror}", where=shown(str(cache), 200), fix="another --cache",
                              state="nothing was trained") from None
        say(f"{found.rows:,} rows are streamed: typed rows of {megabytes(needed)} go to {self.folder} until the run ends")
        try:
            classes = coder and {value: code for code, value in enumerate(coder.classes)}
            self.store = Store.write(path, found.kinds, found.rows, target, classes, self._parts_of(), self.folder, **reading)
            same.check("while its rows were read")
            self.prepare = self.store.learn(found.kinds, target, _coder(self.store, coder), source=str(path), declared=declared)
            for note in self.prepare.notes:
                say(note)
            self._parts = {name: part for name, part in self.store.parts.items() if len(part)}
            for name, part in self._parts.items():
                part.notices(lambda text, name=name: say(f"{name} rows: {text}"))
        except BaseException:
            self.close()
            raise
        self.rows = {name: len(part) for name, part in self._parts.items()}
        self.whole, self.categorical = found.whole, [kind == "category" for kind in self.prepare.types.values()]

    def data(self, part):
        return self._parts[part], None

    def blocks(self, part):
        return self._parts[part].blocks()

    def first(self, rows):
        part = self._parts["training"]
        return part.inputs(slice(0, rows)), part.targets(slice(0, rows))

    def sample(self, part, rows):
        part = self._parts[part]
        taken = part.sample(rows)
        return part.inputs(taken), part.targets(taken)

    def truths(self, part):
        import numpy as np

        from .data.moments import BLOCK
        numbers, wanted, start, done = [], PARTS.index(part), 0, 0
        for parts in self._parts_of():
            numbers = np.concatenate([numbers, start + np.flatnonzero(parts == wanted)]).astype(np.int64)
            start += len(parts)
            while len(numbers) >= BLOCK or len(numbers) and done + len(numbers) == self.rows[part]:
                rows, numbers = numbers[:BLOCK], numbers[BLOCK:]
                here = slice(done, done + len(rows))
                yield rows.tolist(), self._told(self._parts[part].target(here)), self._parts[part].inputs(here)
                done += len(rows)

    def _told(self, values):
        if self.prepare.task == "classification":
            return [self.prepare.classes[int(code)] for code in values]
        return [int(value) for value in values] if self.whole else values.tolist()

    def raw(self, part, seed):
        import numpy as np

        store, part = self.store, self._parts[part]
        rows = part.sample(min(BOOSTED_ROWS, max(1, BOOSTED_CELLS // len(self.categorical))), seed or 0)
        numbers, codes = part.raw(rows)
        columns = []
        for name, kind in self.prepare.types.items():
            if kind != "category":
                columns.append(numbers[:, store.numbers.index(name)])
                continue
            k = store.categories.index(name)
            names = sorted(store.counts[name].items(), key=lambda item: (-item[1], item[0]))[:CATEGORIES]
            kept = {text: code for code, (text, _) in enumerate(names)}
            turned = np.array([kept.get(text, np.nan) for text in store.texts[k]] + [np.nan], float)
            columns.append(turned[codes[:, k]])
        return np.stack(columns, axis=1), part.targets(rows)

    def close(self):
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


PREFIX = "backproof-rows-"


def sweep(cache):
    """Take away the rows that a killed run left in a folder; those of a living process stay."""
    for name in os.listdir(cache) if cache is not None and os.path.isdir(cache) else ():
        owner = name.removeprefix(PREFIX).partition("-")[0]
        if name.startswith(PREFIX) and owner.isdigit() and not os.path.exists(f"/proc/{owner}"):
            shutil.rmtree(os.path.join(cache, name), ignore_errors=True)


def _decided(found, target, settings):
    """(task, TargetCoder of all rows or None, function that gives the part number of every row anew), as the rows in memory
    would be decided about."""
    import numpy as np

    from .data.messages import shown
    from .data.preprocess import TargetCoder, guess_from
    from .data.split import DRAWN, part_numbers, split_rows

    if missing := found.missing.get(target):
        first = "" if found.codes is None else f"; the first is row {int((found.codes < 0).argmax())}"
        raise DataError(f"the target is missing in {missing:,} rows{first}", fix="leave these rows out")
    if found.labels is None and (found.kinds[target] == "category" or settings.task == "classification"):
        raise DataError(f"the target has too many different values in {found.rows:,} rows to be classes",
                        fix="choose another target: an id cannot be learned; numbers are learned with --task regression")
    task = settings.task or ("regression" if found.labels is None else guess_from(found.labels, found.rows))
    coder, labels = None, None
    if task == "classification":
        coder = TargetCoder.of_classes(found.labels, found.rows)
        if found.codes is not None:
            labels = np.array([coder.classes.index(label) for label in found.labels], np.int32)[found.codes]
    elif found.kinds[target] == "category":
        raise DataError(f"the target is text ({shown(found.labels[0])}); regression needs numbers", fix="task='classification', or another target")
    shares = {"validation": settings.validation, "test": settings.test, "seed": settings.seed}
    if found.rows > DRAWN:
        return task, coder, lambda: part_numbers(found.rows, **shares)
    return task, coder, _fixed(found.rows, dict(zip(PARTS, split_rows(found.rows, labels=labels, **shares))))


def _fixed(n, rows):
    import numpy as np

    parts = np.zeros(n, np.int8)
    for name, chosen in rows.items():
        parts[chosen] = PARTS.index(name)
    return lambda: iter([parts])


def _coder(store, coder):
    """The coder of the target that the training rows teach."""
    import numpy as np

    from .data.messages import shown
    from .data.preprocess import TargetCoder

    if coder is None:
        return TargetCoder.of_units(store.parts["training"].target_blocks)
    there = np.zeros(len(coder.classes), bool)
    for block in store.parts["training"].target_blocks():
        there[block[:, 0].astype(int)] = True
    if not there.all():
        raise DataError(f"train would have 0 of class {shown(coder.classes[int((~there).argmax())])}", fix="give more rows of it")
    return coder
