"""Word vectors: read from the usual files, looked up, compared.

Reads   the text of GloVe or word2vec (a word and its numbers on each line, word2vec with a line "words dimensions" before);
        NPZ with the arrays words and vectors; safetensors with the tensor vectors and the words as JSON in its metadata.
Gives   WordVectors: words and one float32 row each.

Text is read line by line, and only the words that are wanted are kept: memory is bounded by what is asked for, not by the file.
"""

import io
import json
import os
import zipfile
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..errors import DataError, FileProblem, OptionError
from .files import kind_of_file, open_regular, read_regular
from .messages import listed, megabytes, shown

__all__ = ["WordVectors", "read_vectors"]

LINE = 1 << 20                  # bytes of a line of text
LIMIT = 16 << 30                # bytes that a binary file may unpack to
ROOM = 1024                     # rows taken at first


@dataclass(frozen=True)
class WordVectors:
    """Words and their vectors, in the order of the file; a word that comes twice keeps its first vector.

    Shapes   vectors (words, dimensions), float32, finite
    Raises   DataError where they do not fit together

    >>> vectors = WordVectors(["a", "b", "c"], np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]]))
    >>> "b" in vectors, vectors["c"].tolist(), [(word, round(cosine, 2)) for word, cosine in vectors.nearest("a", 1)]
    (True, [0.0, 1.0], [('b', 0.99)])
    """

    words: list
    vectors: object

    def __post_init__(self):
        words, vectors = list(self.words), np.asarray(self.vectors)
        if vectors.ndim != 2 or len(words) != len(vectors) or not vectors.size or vectors.dtype.kind not in "fiu":
            raise DataError(f"{len(words)} words and vectors of shape {vectors.shape} and dtype {vectors.dtype} do not fit",
                            fix="one row of numbers for each word")
        for k, word in enumerate(words):
            if not isinstance(word, str) or not word:
                raise DataError(f"word {k} is {shown(word)}", fix="every word is text, not empty")
        with np.errstate(over="ignore"):
            vectors = np.ascontiguousarray(vectors, np.float32)
        bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
        if len(bad):
            raise DataError(f"the vector of {shown(words[bad[0]])} is not finite in float32", where=f"{len(bad)} such vectors")
        first = {}
        for k, word in enumerate(words):
            first.setdefault(word, k)
        if len(first) < len(words):
            words, vectors = list(first), vectors[list(first.values())]
        object.__setattr__(self, "words", words)
        object.__setattr__(self, "vectors", vectors)

    @cached_property
    def rows(self):
        """{word: its row}."""
        return {word: k for k, word in enumerate(self.words)}

    dimensions = property(lambda self: self.vectors.shape[1], doc="How many components a vector has.")

    def __len__(self):
        return len(self.words)

    def __contains__(self, word):
        return word in self.rows

    def __getitem__(self, word):
        if word not in self.rows:
            raise DataError(f"{shown(word)} has no vector", fix=f"one of {len(self):,} words, such as {listed(self.words, 3)}")
        return self.vectors[self.rows[word]]

    def lowered(self):
        """The same by words in small letters: each word's own vector where it has one, else that of its first other form."""
        rows = {}
        for k, word in sorted(enumerate(self.words), key=lambda pair: pair[1] != pair[1].lower()):
            rows.setdefault(word.lower(), k)
        return WordVectors(list(rows), self.vectors[list(rows.values())])

    def nearest(self, word, count=10):
        """The words whose vectors point most nearly the same way: [(word, cosine)], the nearest first, without itself.

        ``word`` is one of the words, or a vector. A vector of length 0 has the cosine 0 with all.
        """
        wanted = self[word] if isinstance(word, str) else np.asarray(word, np.float32)
        if wanted.shape != (self.dimensions,):
            raise DataError(f"a vector of shape {wanted.shape} is compared with {self.dimensions} dimensions")
        lengths = np.linalg.norm(self.vectors, axis=1) * np.linalg.norm(wanted)
        cosines = np.divide(self.vectors @ wanted, lengths, out=np.zeros(len(self), np.float32), where=lengths > 0)
        order = [k for k in np.argsort(-cosines, kind="stable")[:count + 1] if self.words[k] != word]
        return [(self.words[k], float(cosines[k])) for k in order[:count]]

    def save(self, path):
        """Write a file: .npz, .safetensors, else the text that GloVe and word2vec share (nine digits: float32 exactly)."""
        path, kind = os.fspath(path), os.path.splitext(os.fspath(path))[1].lower()
        if kind == ".npz":
            buffer = io.BytesIO()
            np.savez(buffer, words=np.array(self.words), vectors=self.vectors)
            data = buffer.getvalue()
        elif kind == ".safetensors":
            from safetensors.numpy import save
            data = save({"vectors": self.vectors}, {"words": json.dumps(self.words)})
        else:
            spaced = [word for word in self.words if any(c in word for c in " \t\r\n")]
            if spaced:
                raise DataError(f"{shown(spaced[0])} cannot stand in text: it has a space", fix="save as .npz or .safetensors")
            rows = (f"{word} {' '.join(format(x, '.9g') for x in row)}\n" for word, row in zip(self.words, self.vectors.tolist()))
            data = "".join(rows).encode("utf-8", "backslashreplace")
        try:
            with open(path, "wb") as file:
                file.write(data)
        except OSError as error:
            raise FileProblem(f"the file cannot be written: {error.strerror}", where=shown(path, 200), fix="another path") from None
        return path


def read_vectors(path, *, words=None, limit=None, dimensions=None):
    """The WordVectors of a file; its form is told by its first bytes.

    Parameters  words       keep these alone; None: all
                limit       keep the first so many (files begin with the commonest words)
                dimensions  what the vectors must have; None: what the file has
    Raises      FileProblem where it cannot be read; DataError with the number of the line that is wrong
    """
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, (int, np.integer)) or limit < 1):
        raise OptionError(f"limit={limit!r} is no number of words", fix="a whole number of at least 1, or None")
    file, where = open_regular(path)
    with file:
        begin = file.read(16)
        file.seek(0)
        if begin.startswith(b"PK"):
            found = _from_npz(file, where)
        elif begin[8:10] == b'{"' or begin[8:9] == b"{":
            found = _from_safetensors(path, where)
        elif kind_of_file(begin) is not None:
            raise DataError(f"this is a {kind_of_file(begin)} file", where=where,
                            fix="unpack or convert it first: text, NPZ or safetensors")
        else:
            return _checked(_from_text(file, where, words, limit, dimensions), dimensions, where)
    kept = [k for k, word in enumerate(found.words) if words is None or word in words][:limit]
    if not kept:
        raise DataError("none of the words that are wanted has a vector", where=where, fix="vectors of the same language")
    return _checked(found if len(kept) == len(found) else WordVectors([found.words[k] for k in kept], found.vectors[kept]),
                    dimensions, where)


def _checked(found, dimensions, where):
    if dimensions is not None and found.dimensions != dimensions:
        raise DataError(f"the vectors have {found.dimensions} dimensions, not {dimensions}", where=where,
                        fix=f"vectors of {dimensions} dimensions, or leave the number out")
    return found


# ------------------------------------------------------------------------------------------------------- text

def _from_text(file, where, words, limit, dimensions):
    kept, rows, seen = [], None, set()
    for number, line in enumerate(iter(lambda: file.readline(LINE), b""), 1):
        if len(line) >= LINE and not line.endswith(b"\n"):
            raise _wrong(number, f"is longer than {megabytes(LINE)}", line, where)
        cells = line.rstrip(b"\r\n ").split(b" " if b" " in line else b"\t")
        if number == 1:
            if len(cells) == 2 and all(cell.isdigit() for cell in cells):        # word2vec: words, dimensions
                dimensions = _agreed(int(cells[1]), dimensions, where)
                continue
        if not line.strip():
            raise _wrong(number, "is empty", line, where)
        dimensions = len(cells) - 1 if dimensions is None else dimensions
        if dimensions < 1 or len(cells) <= dimensions:
            raise _wrong(number, f"has {len(cells) - 1} numbers; {max(dimensions, 1)} are expected", line, where)
        word = _decoded(b" ".join(cells[:-dimensions]), number, line, where)     # a word of some files holds spaces
        try:
            with np.errstate(over="ignore"):
                row = np.array(cells[-dimensions:], np.float32)
        except ValueError:
            wrong = next(cell for cell in cells[-dimensions:] if not _is_number(cell))
            raise _wrong(number, f"has {shown(wrong.decode('utf-8', 'replace'))} where a number should be", line, where) from None
        if not np.isfinite(row).all():
            raise _wrong(number, "has a number that is not finite in float32", line, where)
        if len(cells) > dimensions + 1 and _is_number(cells[-dimensions - 1]):
            raise _wrong(number, f"has {len(cells) - 1} numbers; {dimensions} are expected", line, where)
        if words is not None and word not in words or word in seen or not word:
            continue
        if rows is None or len(kept) == len(rows):
            rows = np.empty((ROOM, dimensions), np.float32) if rows is None else np.concatenate([rows, np.empty_like(rows)])
        rows[len(kept)] = row
        seen.add(word)
        kept.append(word)
        if limit is not None and len(kept) == limit:
            break
    if not kept:
        raise DataError("there are no vectors of the words that are wanted in it", where=where,
                        fix="a word and its numbers on each line, as GloVe and word2vec write them")
    return WordVectors(kept, rows[:len(kept)].copy())


def _agreed(found, wanted, where):
    if found < 1 or wanted is not None and found != wanted:
        raise DataError(f"line 1 says {found} dimensions" + (f"; {wanted} are expected" if wanted else ""), where=where,
                        fix="vectors of the same dimensions")
    return found


def _is_number(cell):
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _decoded(cell, number, line, where):
    try:
        return cell.decode("utf-8")
    except UnicodeDecodeError:
        raise _wrong(number, "is not UTF-8", line, where) from None


def _wrong(number, what, line, where):
    return DataError(f"line {number} {what}", where=f"{where}: {shown(line[:200].decode('utf-8', 'replace').rstrip(), 60)}",
                     fix="a word and its numbers on each line, the same number everywhere")


# -------------------------------------------------------------------------------------------------- NPZ, safetensors

def _from_npz(file, where):
    try:
        size = sum(entry.file_size for entry in zipfile.ZipFile(file).infolist())
        if size > LIMIT:
            raise DataError(f"the file unpacks to {megabytes(size)}; the limit is {megabytes(LIMIT)}", where=where)
        file.seek(0)
        with np.load(file, allow_pickle=False) as found:
            if not {"words", "vectors"} <= set(found.files):
                raise DataError(f"the file has {listed(found.files)}", where=where,
                                fix="np.savez(path, words=words, vectors=vectors)")
            words, vectors = found["words"], found["vectors"]
    except (ValueError, OSError, EOFError, MemoryError, zipfile.BadZipFile, NotImplementedError) as error:
        if isinstance(error, DataError):
            raise
        more = "np.array(words) of text, not of objects" if "pickle" in str(error).lower() else "write it again with np.savez"
        raise DataError(f"the NPZ file cannot be read: {error}", where=where, fix=more) from None
    if words.ndim != 1 or words.dtype.kind != "U":
        raise DataError(f"words is an array of {words.dtype}, of shape {words.shape}", where=where, fix="np.array(words) of text")
    return _joined(words.tolist(), vectors, where)


def _from_safetensors(path, where):
    from safetensors import SafetensorError, deserialize

    data = read_regular(path, limit=LIMIT)
    try:
        tensors = dict(deserialize(data))
        header = json.loads(data[8:8 + int.from_bytes(data[:8], "little")])
        words = json.loads(header.get("__metadata__", {}).get("words", "null"))
    except (SafetensorError, ValueError, RecursionError) as error:
        raise DataError(f"the safetensors file cannot be read: {error}", where=where, fix="fetch or save it again") from None
    if "vectors" not in tensors or not isinstance(words, list):
        without = "" if isinstance(words, list) else " and no words"
        raise DataError(f"the file has the tensors {listed(tensors)}{without}", where=where,
                        fix="a tensor 'vectors', and the metadata 'words': the words as JSON")
    dtypes = {"F64": np.float64, "F32": np.float32, "F16": np.float16}
    one = tensors["vectors"]
    if one["dtype"] not in dtypes:
        raise DataError(f"the vectors are of {one['dtype']}", where=where, fix="F16, F32 or F64")
    return _joined(words, np.frombuffer(one["data"], dtypes[one["dtype"]]).reshape(one["shape"]), where)


def _joined(words, vectors, where):
    try:
        return WordVectors(words, vectors)
    except DataError as error:
        raise DataError(error.what, where=where, fix=error.fix) from None
