"""Where the rows of a training run lie when the file is too large for the memory: typed, in a folder that goes when the run ends.

Reads   the path of a file: one pass to survey it, one to write its rows for every division of them.
Gives   a TableOnDisk, and from it DiskSources: what `sources` gives of a table in memory, to the bit. The same parts, the same
        preprocessing, the same order of rows, hence the same weights.
"""

import os
import shutil
import tempfile

from .errors import DataError, FileProblem, OptionError
from .sources import BOOSTED_ROWS, CATEGORIES, PARTS, TAILS

__all__ = ["DiskSource", "STREAM_BYTES", "TableOnDisk", "streamed"]

STREAM_BYTES = 256_000_000              # files above this are read in parts: in memory they take about ten times their size
BOOSTED_CELLS = 4_000_000               # that gradient boosting is given at most
PREFIX = "backproof-rows-"


def streamed(data, stream=None):
    """Is a file read in parts? As asked for, else by its size."""
    from .data.builtin import BUILTIN

    if data in BUILTIN or not os.path.isfile(data):
        if stream:
            raise OptionError(f"{data!r} is no file that could be streamed", fix="leave --stream out")
        return False
    return os.path.getsize(data) > STREAM_BYTES if stream is None else stream


class TableOnDisk:
    """A file that was surveyed: ``source`` writes its rows to the disk, divided, and prepares them.

    Attributes  target, task; rows: how many
    """

    def __init__(self, path, target, task, say, *, cache=None, **reading):
        from .data.messages import megabytes, shown
        from .data.stored import Store, Unchanged
        from .data.tables import column_names, survey

        self.declared = reading.pop("types", None) or {}
        if target is None:
            raise OptionError("there is no target column",
                              fix=f"--target NAME; the last column is {shown(column_names(path, **reading)[-1])}")
        self.path, self.target, self.cache, self.reading, self.same = path, target, cache, reading, Unchanged(path)
        self.found = survey(path, target=target, types=self.declared, **reading)
        self.same.check("while its columns were surveyed")
        for name, count in self.found.missing.items():
            say(f"column {shown(name)}: {count:,} of {self.found.rows:,} missing")
        self.rows = self.found.rows
        self.task, self.coder, self._labels = _decided(self.found, target, task)
        needed = megabytes(self.rows * Store.row_bytes(self.found.kinds, target))
        say(f"{self.rows:,} rows are streamed: typed rows of {needed} go to {_place(cache)} until the run ends")

    def source(self, division, say):
        """A DiskSource; everything is learned from its training rows alone."""
        return DiskSource(self, division, say)

    def numbers(self, division):
        """The part of every row, as `Division.numbers`."""
        return division.numbers(self.rows, self._labels)


def _place(cache):
    return tempfile.gettempdir() if cache is None else cache


class DiskSource:
    """Rows on the disk, in a folder of their own that ``close`` takes away. The attributes are those of TableSource."""

    def __init__(self, table, division, say):
        from .data.stored import Store

        found, target = table.found, table.target
        self.table, self.division, self.folder = table, division, _folder(table.cache)
        try:
            classes = table.coder and {value: code for code, value in enumerate(table.coder.classes)}
            self.store = Store.write(table.path, found.kinds, found.rows, target, classes, table.numbers(division), self.folder,
                                     **table.reading)
            table.same.check("while its rows were read")
            self.prepare = self.store.learn(found.kinds, target, _coder(self.store, table.coder), source=str(table.path),
                                            declared=table.declared, tails=TAILS)
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
        for parts in self.table.numbers(self.division):
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


def _folder(cache):
    """A new folder for rows; what killed runs left in that place is taken away."""
    from .data.messages import shown

    sweep(cache)
    try:
        return tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=cache)
    except OSError as error:
        raise FileProblem(f"no folder for the rows can be made: {error.strerror}", where=shown(str(cache), 200),
                          fix="another --cache", state="nothing was trained") from None


def sweep(cache):
    """Take away the rows that a killed run left in a folder; those of a living process stay."""
    for name in os.listdir(cache) if cache is not None and os.path.isdir(cache) else ():
        owner = name.removeprefix(PREFIX).partition("-")[0]
        if name.startswith(PREFIX) and owner.isdigit() and not _lives(int(owner)):
            shutil.rmtree(os.path.join(cache, name), ignore_errors=True)


def _lives(process):
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True                                        # another user's
    return True


def _decided(found, target, task):
    """(task, TargetCoder of all rows or None, classes of the rows or None), as rows in memory would be decided about."""
    import numpy as np

    from .data.messages import shown
    from .data.targets import TargetCoder, guess_from

    if missing := found.missing.get(target):
        first = "" if found.codes is None else f"; the first is row {int((found.codes < 0).argmax())}"
        raise DataError(f"the target is missing in {missing:,} rows{first}", fix="leave these rows out")
    if found.labels is None and (found.kinds[target] == "category" or task == "classification"):
        raise DataError(f"the target has too many different values in {found.rows:,} rows to be classes",
                        fix="choose another target: an id cannot be learned; numbers are learned with --task regression")
    task = task or ("regression" if found.labels is None else guess_from(found.labels, found.rows))
    coder, labels = None, None
    if task == "classification":
        coder = TargetCoder.of_classes(found.labels, found.rows)
        if found.codes is not None:
            labels = coder.inverse(np.array([coder.classes.index(label) for label in found.labels], np.int32)[found.codes])
    elif found.kinds[target] == "category":
        raise DataError(f"the target is text ({shown(found.labels[0])}); regression needs numbers",
                        fix="task='classification', or another target")
    return task, coder, labels


def _coder(store, coder):
    """The coder of the target that the training rows teach."""
    import numpy as np

    from .data.messages import shown
    from .data.targets import TargetCoder

    if coder is None:
        return TargetCoder.of_units(store.parts["training"].target_blocks)
    there = np.zeros(len(coder.classes), bool)
    for block in store.parts["training"].target_blocks():
        there[block[:, 0].astype(int)] = True
    if not there.all():
        raise DataError(f"train would have 0 of class {shown(coder.classes[int((~there).argmax())])}", fix="give more rows of it")
    return coder
