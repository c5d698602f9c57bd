"""A table on the disk: the rows of a file that is too large for the memory, typed, by part, ready to be drawn in any order.

Reads   a Survey of a file and the file once more; which part (training, validation, test) every row belongs to.
Gives   a Store of three Parts. A Part gives the rows of any numbers: raw, as a network's inputs, as targets; and itself to
        `Model.fit`, so that a row is prepared when a minibatch wants it.
Costs   on the disk 8 bytes for a number or date, 4 for a category, 8 for the target, for each row; in memory a few MB,
        whatever the number of rows: pages of the files that were looked at are given back at once.

The order of the rows in an epoch is that of `engines.generator.order`; of more rows than ORDERED it is sorted on the disk.
"""

import hashlib
import mmap
import os
from collections import Counter

import numpy as np

from backproof.data.door import Feeds
from backproof.data.messages import listed, megabytes, shown
from backproof.data.moments import BLOCK, medians
from backproof.data.preprocess import MANY_TEXTS, TablePreprocessor, numbers_of
from backproof.data.tables import MISSING, read_chunks
from backproof.engines.generator import order, philox, stream_key
from backproof.errors import DataError, FileProblem

__all__ = ["PARTS", "Part", "Store", "Unchanged"]

PARTS = ("training", "validation", "test")
ORDERED = 1 << 21                      # rows whose order is sorted in memory
AT_ONCE = 2048                         # rows that are prepared together for minibatches
PAGES = 512                            # rows looked at before their pages are given back: a look may map 64 KB around it


class Unchanged:
    """A file as it was when it was first looked at; ``check`` raises FileProblem once it is another (F17)."""

    def __init__(self, path):
        self.path, self.seen = path, self._look(path)

    @staticmethod
    def _look(path):
        try:
            found = os.stat(path)
            return found.st_ino, found.st_size, found.st_mtime_ns
        except OSError as error:
            return error.strerror

    def check(self, when):
        now = self._look(self.path)
        if now != self.seen:
            what = now if isinstance(now, str) else f"{megabytes(self.seen[1])} before, {megabytes(now[1])} now"
            raise FileProblem(f"the file changed while it was read: {what}", where=f"{shown(str(self.path), 200)}, {when}",
                              fix="wait until it is complete, or train on a copy", state="nothing was trained")


class Store:
    """The typed rows of a file in a folder; made by ``Store.write``.

    Attributes  parts {name: Part}; numbers, categories: names of the columns in order; texts [{text: code}] of the categories,
                None where there are more than MANY_TEXTS in training
    """

    def __init__(self, folder, numbers, categories):
        self.folder, self.numbers, self.categories = folder, numbers, categories
        self.texts = [{} for _ in categories]
        self.seen = [np.zeros(0, bool) for _ in categories]            # which of them the training rows have
        self.parts = {name: Part(self, name) for name in PARTS}

    @staticmethod
    def row_bytes(kinds, target):
        """The bytes that a row takes on the disk."""
        kinds = [kind for name, kind in kinds.items() if name != target]
        return 8 + sum(4 if kind == "category" else 8 for kind in kinds)

    @classmethod
    def write(cls, path, kinds, rows, target, labels, part_of, folder, *, missing=MISSING, say=None, **reading):
        """Write the rows of a file into a folder.

        Parameters  kinds    {column: kind}, rows: their number, as `survey` found them
                    labels   {target value: class number}, or None for targets that are numbers
                    part_of  iterable of int8 arrays: the part number of every row, in order
        Raises      FileProblem where the disk is too small, or the file changes meanwhile; DataError for cells that fit nothing.
        """
        features = {name: kind for name, kind in kinds.items() if name != target}
        store = cls(folder, [n for n, kind in features.items() if kind != "category"],
                    [n for n, kind in features.items() if kind == "category"])
        needed, disk = rows * cls.row_bytes(kinds, target), os.statvfs(folder)
        if needed > (free := disk.f_bavail * disk.f_frsize):
            raise FileProblem(f"the rows need {megabytes(needed)} on the disk; {megabytes(free)} are free",
                              where=shown(str(folder), 200),
                              fix="choose another place with --cache, or free some space", state="nothing was trained")
        parts, met, same = _Taken(part_of), 0, Unchanged(path)
        try:
            for table in read_chunks(path, types=kinds, target=target, missing=missing, **reading):
                same.check(f"before row {met}")
                here = parts.take(len(table))
                values = _target_values(table, target, labels, met)
                for k, name in enumerate(PARTS):
                    chosen = np.flatnonzero(here == k)
                    if len(chosen):
                        part = table if len(chosen) == len(table) else table.select(chosen)
                        store.parts[name].append(*store._typed(part, training=k == 0), values[chosen])
                met += len(table)
            same.check(f"after row {met}")
        finally:
            for part in store.parts.values():
                part.finish()
        if met != rows:
            raise FileProblem(f"the file had {rows:,} rows and has {met:,} now", where=shown(str(path), 200), fix="train on a copy",
                              state="nothing was trained")
        return store

    def _typed(self, table, training):
        """(numbers float64, codes int32) of rows; texts get numbers as they are met."""
        numbers = np.empty((len(table), len(self.numbers)))
        for j, name in enumerate(self.numbers):
            numbers[:, j] = numbers_of(table, name)
        codes = np.full((len(table), len(self.categories)), -1, np.int32)
        for j, name in enumerate(self.categories):
            known = self.texts[j]
            if known is None:
                continue
            column = table[name]
            present = np.flatnonzero(~column.missing)
            codes[present, j] = [known.setdefault(text, len(known)) for text in column.values[present].tolist()]
            if training:
                seen = self.seen[j] = np.concatenate([self.seen[j], np.zeros(len(known) - len(self.seen[j]), bool)])
                seen[codes[present, j]] = True
                if len(known) > MANY_TEXTS and seen.sum() > MANY_TEXTS:
                    self.texts[j] = self.seen[j] = None
        return numbers, codes

    # ------------------------------------------------------------------------------------------ learning

    def learn(self, kinds, target, coder, *, source=None, declared=(), tails="plain"):
        """A TablePreprocessor from the training rows, with the bits that the same rows in memory give."""
        training = self.parts["training"]
        features = {name: kind for name, kind in kinds.items() if name != target}
        counts, missing = [np.zeros(len(known), np.int64) if known is not None else None for known in self.texts], set()
        for numbers, codes in training.raw_blocks():
            missing |= {name for name, absent in zip(self.numbers, np.isnan(numbers).any(axis=0)) if absent}
            for j, name in enumerate(self.categories):
                if counts[j] is not None:
                    there = codes[:, j][codes[:, j] >= 0]
                    counts[j] += np.bincount(there, minlength=len(counts[j]))
                    missing |= {name} if len(there) < len(codes) else set()
        found = self.counts = {}
        for name, known, count in zip(self.categories, self.texts, counts):
            found[name] = None if count is None else Counter({text: int(count[code]) for text, code in known.items() if count[code]})

        def blocks():
            return (numbers for numbers, _ in training.raw_blocks())
        prepare = TablePreprocessor.learn(features, len(training), blocks, medians(blocks, len(self.numbers)), found,
                                          missing=missing, target=target, coder=coder, source=source, declared=declared,
                                          tails=tails)
        for part in self.parts.values():
            part.prepare(prepare)
        return prepare


class _Taken:
    """Arrays one after the other, taken in pieces of other lengths."""

    def __init__(self, arrays):
        self.arrays, self.rest = iter(arrays), np.empty(0, np.int8)

    def take(self, n):
        while len(self.rest) < n:
            more = next(self.arrays, None)
            if more is None:
                return np.zeros(n, np.int8)                            # the file has grown, which is said at its end
            self.rest = np.concatenate([self.rest, more])
        taken, self.rest = self.rest[:n], self.rest[n:]
        return taken


def _target_values(table, target, labels, met):
    """The target's numbers, or class numbers, as float64."""
    column = table[target]
    if column.missing.any():
        row = int(column.missing.argmax())
        raise DataError(f"the target is missing; the first is row {met + row}", where=table.place(row, target),
                        fix="leave these rows out")
    if labels is None:
        values = column.values.astype(np.float64)
        if not np.isfinite(values).all():
            raise DataError("the target is not finite", where=table.place(int((~np.isfinite(values)).argmax()), target),
                            fix="leave these rows out")
        return values
    found = column.values.tolist()
    unknown = [row for row, value in enumerate(found) if value not in labels]
    if unknown:
        raise DataError(f"class {shown(found[unknown[0]])} was not in training", where=table.place(unknown[0], target),
                        fix=f"the classes are {listed(labels, limit=20)}")
    return np.array([labels[value] for value in found], np.float64)


class Part:
    """The rows of a part, in the order of the file."""

    def __init__(self, store, name):
        self.store, self.name, self.rows = store, name, 0
        self.digest = hashlib.sha256()
        self.files = {kind: open(os.path.join(store.folder, f"{name}.{kind}"), "wb") for kind in ("numbers", "codes", "target")}
        self.arrays, self.maps, self.looked = {}, [], 0

    def __len__(self):
        return self.rows

    # ------------------------------------------------------------------------------------------ writing

    def append(self, numbers, codes, target):
        for kind, array in (("numbers", numbers), ("codes", codes), ("target", target)):
            self.digest.update(np.ascontiguousarray(array).view(np.uint8))
            array.tofile(self.files[kind])
        self.rows += len(target)

    def finish(self):
        """All rows are written; from now on they are read."""
        for file in self.files.values():
            file.close()
        for kind, dtype, width in (("numbers", np.float64, len(self.store.numbers)),
                                   ("codes", np.int32, len(self.store.categories)),
                                   ("target", np.float64, 1)):
            self.arrays[kind] = self._mapped(self.files[kind].name, dtype, width)

    def _mapped(self, path, dtype, width):
        if not self.rows or not width:
            return np.empty((self.rows, width), dtype)
        with open(path, "rb") as file:
            self.maps.append(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        return np.frombuffer(self.maps[-1], dtype).reshape(self.rows, width)

    # ------------------------------------------------------------------------------------------ reading

    def _give_back(self):
        """The pages that were looked at belong to the system again; they count for nobody until they are wanted."""
        for one in self.maps:
            one.madvise(mmap.MADV_DONTNEED)

    def _get(self, kind, rows):
        """The rows of a file: numbers in any order, or a slice."""
        array = self.arrays[kind]
        if isinstance(rows, slice):
            found = np.array(array[rows])
            self._give_back()
            return found
        found = np.empty((len(rows), array.shape[1]), array.dtype)
        for start in range(0, len(rows), PAGES):
            found[start:start + PAGES] = array[rows[start:start + PAGES]]
            self._give_back()
        return found

    def raw(self, rows):
        """(numbers float64 with NaN, codes of texts int32, -1 where missing) of rows."""
        return self._get("numbers", rows), self._get("codes", rows)

    def raw_blocks(self):
        """`raw` of all rows, in blocks."""
        return (self.raw(slice(start, start + BLOCK)) for start in range(0, self.rows, BLOCK))

    def target(self, rows):
        """The target as it stands in the file, or class numbers; float64 (m,)."""
        return self._get("target", rows)[:, 0]

    def target_blocks(self):
        """`target` of all rows as (m, 1), in blocks."""
        return (self._get("target", slice(start, start + BLOCK)) for start in range(0, self.rows, BLOCK))

    def prepare(self, prepare):
        """Rows are given as this preprocessor prepares them."""
        self.preprocessor = prepare
        store, self.columns = self.store, [self.store.numbers.index(name) for name in prepare.numeric]
        self.turned = []
        for j, name in enumerate(prepare.categorical):
            k = store.categories.index(name)
            texts = [*store.texts[k], None]                            # the last is what code -1 reads
            self.turned.append((k, prepare.category_codes(j, texts, np.zeros(len(texts)), None)))

    def notices(self, say):
        """Say what the preprocessor meets in these rows that training did not have."""
        prepare, absent = self.preprocessor, np.zeros(len(self.columns), np.int64)
        counts = [np.zeros(len(codes), np.int64) for _, codes in self.turned]
        for numbers, codes in self.raw_blocks():
            absent += np.isnan(numbers[:, self.columns]).sum(axis=0)
            for count, (k, turned) in zip(counts, self.turned):
                count += np.bincount(codes[:, k] % len(turned), minlength=len(turned))
        for c, count in zip(prepare.state()["numbers"], absent):
            if count and not c["indicator"]:
                say(f"column {shown(c['name'])} has {count} missing values and had none in training; they become the median")
        for j, count in enumerate(counts):
            prepare.category_codes(j, [*self.store.texts[self.turned[j][0]], None], count, say)

    def inputs(self, rows):
        """The network's inputs of rows, float64."""
        numbers, codes = self.raw(rows)
        turned = np.empty((len(numbers), len(self.turned)), np.int64)
        for j, (k, codes_of) in enumerate(self.turned):
            turned[:, j] = codes_of[codes[:, k]]
        return self.preprocessor.encode(numbers[:, self.columns], turned)

    def targets(self, rows):
        """Class numbers int64 (m,), or standard units float64 (m, 1), as `TargetCoder.transform` gives them."""
        values, coder = self.target(rows), self.preprocessor.coder
        return values.astype(np.int64) if coder.task == "classification" else ((values - coder.mean) / coder.scale)[:, None]

    def blocks(self):
        """(inputs, targets) of all rows, in blocks."""
        for start in range(0, self.rows, BLOCK):
            rows = slice(start, start + BLOCK)
            yield self.inputs(rows), self.targets(rows)

    def sample(self, n, seed=0):
        """Numbers of n rows drawn from the part, ascending; all where there are not more."""
        if self.rows <= n:
            return np.arange(self.rows)
        return np.sort(np.random.default_rng(seed).choice(self.rows, n, replace=False))

    def __getitem__(self, rows):
        return self.inputs(rows)

    # ------------------------------------------------------------------------------------------ at the door of a model

    def feeds(self, network, dtype):
        """What `Model.fit` trains on: inputs and targets that are read when a minibatch wants them."""
        classes = self.preprocessor.task == "classification"
        arrays = {"x": _Wanted(self, self.inputs, np.dtype(dtype), (self.rows, network.inputs)),
                  "y": _Wanted(self, self.targets, np.dtype(np.int64 if classes else dtype),
                               (self.rows,) if classes else (self.rows, 1))}
        return Feeds({"target": "class" if classes else "dense"}, arrays, self.rows, rows=_Rows(self.rows, self.store.folder))


class _Wanted:
    """Rows of a Part as an array that is read when they are wanted."""

    dense, at_once = True, AT_ONCE

    def __init__(self, part, read, dtype, shape):
        self.part, self.read, self.dtype, self.shape = part, read, dtype, shape
        self.ndim = len(shape)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        return np.ascontiguousarray(self.read(rows), dtype=self.dtype)

    def fingerprint(self):
        """A checksum of the content, for checkpoints."""
        return f"{self.part.name} {self.shape} {self.dtype} {self.part.digest.hexdigest()}"


class _Rows:
    """The row numbers 0 ... n-1 and their order in every epoch."""

    def __init__(self, n, folder):
        self.n, self.folder = n, folder

    def __len__(self):
        return self.n

    def __getitem__(self, where):
        return np.arange(*where.indices(self.n))

    def shuffled(self, seed, epoch):
        return order(seed, epoch, self.n) if self.n <= ORDERED else _SortedOnDisk(seed, epoch, self.n, self.folder)


class _SortedOnDisk:
    """`engines.generator.order` of many rows, in a file: the draws are put into buckets by their first bits, each is sorted."""

    def __init__(self, seed, epoch, n, folder):
        self.n, self.path = n, os.path.join(folder, "order")
        bits = max(1, int(np.ceil(np.log2(n / (ORDERED // 2)))))
        names = [os.path.join(folder, f"order.{k}") for k in range(1 << bits)]
        pairs = np.dtype([("draw", np.uint64), ("row", np.uint32)])
        files = [open(name, "wb") for name in names]
        try:
            for start in range(0, n, ORDERED // 4):
                draws = _draws(seed, epoch, start, min(ORDERED // 4, n - start))
                taken = np.empty(len(draws), pairs)
                taken["draw"], taken["row"] = draws, np.arange(start, start + len(draws))
                bucket = (draws >> np.uint64(64 - bits)).astype(np.int64)
                for k, file in enumerate(files):
                    taken[bucket == k].tofile(file)
        finally:
            for file in files:
                file.close()
        with open(self.path, "wb") as out:
            for name in names:
                taken = np.fromfile(name, pairs)
                taken["row"][np.argsort(taken["draw"], kind="stable")].tofile(out)
                os.unlink(name)

    def __len__(self):
        return self.n

    def __getitem__(self, where):
        first, last, _ = where.indices(self.n)
        return np.fromfile(self.path, np.uint32, max(0, last - first), offset=4 * first).astype(np.int64)


def _draws(seed, epoch, start, count):
    """Draws start ... start + count - 1 of the stream "order"; start is even."""
    blocks = np.arange(start // 2, (start + count + 1) // 2)
    counter = np.zeros((len(blocks), 4), np.uint32)
    counter[:, 0], counter[:, 2] = epoch, blocks
    words = philox(counter, stream_key(seed, "order")).astype(np.uint64)
    return (words[:, 0::2] | words[:, 1::2] << np.uint64(32)).reshape(-1)[:count]
