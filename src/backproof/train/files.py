"""Model files: tensors and text in the safetensors format, written atomically, refused when anything is wrong.

Reads   a dict of arrays and a dict of text; or a file from anywhere.
Gives   equal bytes for equal content; every tensor and the text carry a SHA-256, so that one flipped bit is found.
Source  the safetensors format: 8 bytes header length, a JSON header, the data. There is no code in such a file, and the
        header is parsed here under limits before any memory is taken for what it claims.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import secrets
import stat
from itertools import pairwise

import numpy as np

from backproof.data.files import kind_of_file, read_regular
from backproof.data.messages import megabytes, shown
from backproof.errors import DataError, DtypeError, FileProblem, ModelFileError

__all__ = ["save_tensors", "load_tensors", "write_atomically"]

HEADER_LIMIT = 16 << 20
FILE_LIMIT = 64 << 30
NAME_LIMIT, COUNT_LIMIT, RANK_LIMIT, DEPTH_LIMIT = 256, 100_000, 16, 4
CHECKSUMS = "backproof.sha256"
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
          "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?"}
NAMES = {np.dtype(code): name for name, code in DTYPES.items()}
AGAIN = "fetch or save the file again"


def save_tensors(path, tensors, metadata=None):
    """Write arrays and text to a file, atomically: afterwards it is the new file or, after an error, the old one.

    tensors    {name: array} of float, integer or boolean arrays.
    metadata   {name: text}.
    Raises     DtypeError or DataError for content that cannot be stored, FileProblem where the disk fails.
    """
    tensors, metadata = dict(tensors), dict(metadata or {})
    _check_content(tensors, metadata)
    arrays = {name: _plain(name, tensors[name]) for name in tensors}
    # large elements first, so that every tensor is aligned; then by name, so that equal content gives equal bytes
    order = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
    entries, end = {}, 0
    for name in order:
        values = arrays[name]
        begin, end = end, end + values.nbytes
        entries[name] = {"dtype": NAMES[values.dtype], "shape": list(values.shape), "data_offsets": [begin, end]}
    sums = {"metadata": _digest_text(metadata), "tensors": {name: _digest(arrays[name]) for name in order}}
    text = {**metadata, CHECKSUMS: json.dumps(sums, sort_keys=True)}
    header = json.dumps({"__metadata__": dict(sorted(text.items())), **entries}, separators=(",", ":")).encode("ascii")
    header += b" " * (-len(header) % 8)
    if len(header) > HEADER_LIMIT:
        raise DataError(f"names and text take {megabytes(len(header))}; the limit is {megabytes(HEADER_LIMIT)}",
                        fix="store large things as tensors")
    write_atomically(path, [len(header).to_bytes(8, "little"), header, *(arrays[name] for name in order)])


def load_tensors(path, *, allow_nonfinite=False):
    """(tensors, metadata) of a file that `save_tensors` wrote.

    allow_nonfinite   take NaN and infinite weights as well.
    Raises   ModelFileError that says what is wrong with the file, FileProblem where it cannot be read. Nothing in a
             file is ever run, and no memory is taken for sizes that the file does not have.
    """
    data = memoryview(read_regular(path, limit=FILE_LIMIT))
    where = shown(os.fspath(path), 200)
    try:
        header, body = _split_file(data)
        entries, metadata = _parse_header(header, len(body))
        sums = _checksums(metadata, entries)
        tensors = {name: _tensor(name, *entry, body, sums[name], allow_nonfinite) for name, entry in entries.items()}
        return tensors, metadata
    except ModelFileError as error:
        raise ModelFileError(error.what, where=where, fix=error.fix, state="nothing was loaded") from None


# -- writing -----------------------------------------------------------------------------------------------------

def write_atomically(path, chunks):
    """Write bytes to a new file beside `path`, flush it to the disk, and put it in place in one step.

    A link, directory, pipe or device is never written to. On any error or interrupt the old file stays as it was and
    nothing is left beside it.
    """
    given = os.fspath(path)
    folder, name = os.path.split(given)
    folder = folder or "."
    chunks = [chunk.reshape(-1).view(np.uint8).data if isinstance(chunk, np.ndarray) else chunk for chunk in chunks]
    needed = sum(len(chunk) for chunk in chunks)
    temporary = os.path.join(folder, f".{name[:100]}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    state, handle = "the old file, if there was one, is unchanged", None
    try:
        mode = _replaceable(given)
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        if mode is not None:
            os.fchmod(handle, mode)
        for chunk in chunks:
            while len(chunk):
                chunk = chunk[os.write(handle, chunk):]
        os.fsync(handle)
        handle, closing = None, handle
        os.close(closing)
        os.replace(temporary, given)
        state = "the new file is in place, but may not survive a power failure"
        _sync_folder(folder)
    except BaseException as error:
        if handle is not None:
            with contextlib.suppress(OSError):
                os.close(handle)
        with contextlib.suppress(OSError, ValueError):
            os.unlink(temporary)
        if not isinstance(error, (OSError, ValueError)) or isinstance(error, FileProblem):
            raise
        problem = FileProblem(f"the file cannot be written: {getattr(error, 'strerror', None) or error}",
                              where=f"{shown(given, 200)}: {megabytes(needed)} needed, {_free(folder)} free",
                              fix=_mend(getattr(error, "errno", None)), state=state)
        problem.errno = getattr(error, "errno", None)
        raise problem from None


def _replaceable(given):
    """The permissions of a file that is to be replaced, None where there is none."""
    try:
        found = os.lstat(given)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found.st_mode):
        kind = "link" if stat.S_ISLNK(found.st_mode) else "directory" if stat.S_ISDIR(found.st_mode) else "special file"
        raise FileProblem(f"{shown(given, 200)} is a {kind}; only regular files are replaced", fix="give another path",
                          state="nothing was written")
    return stat.S_IMODE(found.st_mode)


def _sync_folder(folder):
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):       # some file systems have no such thing
            raise
    finally:
        os.close(handle)


def _free(folder):
    try:
        disk = os.statvfs(folder)
    except OSError:
        return "unknown"
    return megabytes(disk.f_bavail * disk.f_frsize)


def _mend(number):
    mends = {errno.ENOSPC: "free some space", errno.EDQUOT: "free some of your quota",
             errno.EFBIG: "raise the limit on file sizes", errno.ENOENT: "create the directory first",
             errno.EACCES: "choose a directory you may write to", errno.EROFS: "choose a disk that is not read-only"}
    return mends.get(number, "check the path and the disk")


def _check_content(tensors, metadata):
    if len(tensors) > COUNT_LIMIT:
        raise DataError(f"{len(tensors)} tensors; the limit is {COUNT_LIMIT}", fix="join small ones")
    for name in [*tensors, *metadata]:
        if not isinstance(name, str) or (wrong := _wrong_name(name)):
            raise DataError(f"the name {shown(name)} {wrong if isinstance(name, str) else 'is no text'}",
                            fix=f"printable text of 1 to {NAME_LIMIT} characters")
        if name == CHECKSUMS:
            raise DataError(f"the name {shown(name)} is taken by the checksums", fix="choose another name")
    for name, text in metadata.items():
        if not isinstance(text, str) or any("\ud800" <= c <= "\udfff" for c in text):
            raise DataError(f"metadata {shown(name)} is no text: {shown(text)}", fix="give a str; json.dumps makes one")


def _wrong_name(name):
    if not name or name == "__metadata__":
        return "is reserved" if name else "is empty"
    if len(name) > NAME_LIMIT:
        return f"is longer than {NAME_LIMIT} characters"
    return None if name.isprintable() else "has characters that cannot be printed"


def _plain(name, values):
    values = np.asarray(values)
    dtype = values.dtype.newbyteorder("<")
    if dtype not in NAMES:
        raise DtypeError(f"tensor {shown(name)} has dtype {values.dtype}, which a model file does not hold",
                         fix=f"one of {', '.join(str(known) for known in NAMES)}")
    if values.ndim > RANK_LIMIT:
        raise DataError(f"tensor {shown(name)} is {values.ndim}-D; the limit is {RANK_LIMIT}", fix="reshape it")
    return np.asarray(values, dtype=dtype, order="C")


def _digest(values):
    """SHA-256 of dtype, shape and bytes together: a header that was changed is found as well."""
    digest = hashlib.sha256(f"{NAMES[values.dtype]} {list(values.shape)}\n".encode("ascii"))
    digest.update(values.reshape(-1).view(np.uint8))
    return digest.hexdigest()


def _digest_text(metadata):
    return hashlib.sha256(json.dumps(metadata, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()


# -- reading -----------------------------------------------------------------------------------------------------

def _split_file(data):
    """The header's bytes and the data after it."""
    if len(data) < 8:
        raise ModelFileError(f"the file has {len(data)} bytes; a model file has more than 8", fix=AGAIN)
    size = int.from_bytes(data[:8], "little")
    if size > HEADER_LIMIT or bytes(data[8:9]) != b"{":
        _refuse_foreign(bytes(data[:64]))
    if size > HEADER_LIMIT:
        raise ModelFileError(f"the header claims {megabytes(size)}; the limit is {megabytes(HEADER_LIMIT)}", fix=AGAIN)
    if size > len(data) - 8:
        raise ModelFileError(f"the header claims {megabytes(size)} and the file has {megabytes(len(data))}: it is "
                             "truncated, or no model file", fix=AGAIN)
    if bytes(data[8:9]) != b"{":
        raise ModelFileError("this is not a model file: no header begins at byte 8", fix=AGAIN)
    return bytes(data[8:8 + size]), data[8 + size:]


def _refuse_foreign(head):
    kind = kind_of_file(head)
    if kind == "pickle" or re.match(rb"[(cd]?(dp?\d|lp\d|cos\n|c__builtin__|\(d|\(l)", head):
        raise ModelFileError("this is a pickle; we never open pickles, because opening one runs its code",
                             fix="save the model with model.save(...)")
    if kind:
        more = "; .keras, .pt and .npz files are such" if kind == "zip" else ""
        raise ModelFileError(f"this is {kind}, not a model file{more}", fix="give a file that model.save(...) wrote")
    with contextlib.suppress(UnicodeDecodeError):
        if head.decode("utf-8").replace("\n", "").replace("\r", "").replace("\t", "").isprintable():
            raise ModelFileError(f"this is text, not a model file: {shown(head.decode('utf-8'), 40)}",
                                 fix="give a file that model.save(...) wrote")


def _parse_header(header, size):
    """Entries {name: (dtype, shape, begin, end)} in the order of the data, and the metadata."""
    document = _strict_json(header, "the header")
    metadata = document.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise ModelFileError("the metadata in the header are not text", fix=AGAIN)
    if len(document) > COUNT_LIMIT:
        raise ModelFileError(f"the header names {len(document)} tensors; the limit is {COUNT_LIMIT}", fix=AGAIN)
    for name in [*document, *metadata]:
        if wrong := _wrong_name(name):
            raise ModelFileError(f"the name {shown(name)} {wrong}", fix=AGAIN)
    entries = {name: _entry(name, entry, size) for name, entry in document.items()}
    ordered = sorted(entries, key=lambda name: entries[name][2:])
    edges = [(0, 0, "the header"), *((*entries[name][2:], f"tensor {shown(name)}") for name in ordered)]
    for (_, end, before), (begin, _, after) in pairwise(edges):
        if begin != end:
            kind = "overlap" if begin < end else f"leave a gap of {megabytes(begin - end)} between them"
            raise ModelFileError(f"{before} and {after} {kind}", fix=AGAIN)
    if edges[-1][1] < size:
        raise ModelFileError(f"{megabytes(size - edges[-1][1])} trail after the last tensor", fix=AGAIN)
    return {name: entries[name] for name in ordered}, metadata


def _strict_json(text, what):
    """A JSON object with unique keys and plain numbers; its depth is measured before it is parsed."""
    depth = deepest = 0
    for bracket in re.findall(rb"[\[{\]}]", re.sub(rb'"(?:[^"\\]|\\.)*"', b"", text, flags=re.DOTALL)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    if deepest > DEPTH_LIMIT:
        raise ModelFileError(f"{what} nests {deepest} levels deep; the limit is {DEPTH_LIMIT}", fix=AGAIN)

    def unique(pairs):
        found = {}
        for key, value in pairs:
            if key in found:
                raise ModelFileError(f"{what} names {shown(key)} twice", fix=AGAIN)
            found[key] = value
        return found

    def constant(word):
        raise ModelFileError(f"{what} holds {word}, which is no JSON", fix=AGAIN)

    try:
        document = json.loads(text.decode("utf-8"), object_pairs_hook=unique, parse_constant=constant)
    except UnicodeDecodeError as error:
        wrong = f"byte 0x{text[error.start]:02X} at {error.start}"
        raise ModelFileError(f"{what} is not UTF-8: {wrong}", fix=AGAIN) from None
    except (ValueError, RecursionError) as error:
        if isinstance(error, ModelFileError):
            raise
        raise ModelFileError(f"{what} is no JSON: {shown(str(error), 200)}", fix=AGAIN) from None
    if not isinstance(document, dict):
        raise ModelFileError(f"{what} is no JSON object", fix=AGAIN)
    return document


def _entry(name, entry, size):
    """(dtype, shape, begin, end) of one tensor, checked against the bytes that are there."""
    what = f"tensor {shown(name)}"
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise ModelFileError(f"{what} is not described by dtype, shape and data_offsets", fix=AGAIN)
    if not isinstance(entry["dtype"], str) or entry["dtype"] not in DTYPES:
        raise ModelFileError(f"{what} has the unknown dtype {shown(entry['dtype'])}", fix=f"one of {', '.join(DTYPES)}")
    shape, offsets = entry["shape"], entry["data_offsets"]
    for numbers in (shape, offsets):
        if not isinstance(numbers, list) or any(type(n) is not int or n < 0 for n in numbers):
            raise ModelFileError(f"{what} has {shown(numbers)} where whole numbers from 0 are needed", fix=AGAIN)
    if len(shape) > RANK_LIMIT or any(extent >= 2**31 for extent in shape):
        raise ModelFileError(f"{what} has the shape {shown(shape)}; at most {RANK_LIMIT} extents below 2^31 are read",
                             fix=AGAIN)
    needed = np.dtype(DTYPES[entry["dtype"]]).itemsize
    for extent in shape:
        needed *= extent
    if needed > size:
        raise ModelFileError(f"{what} of shape {shape} needs {megabytes(needed)}; the file has {megabytes(size)}",
                             fix="the file is truncated or was changed; " + AGAIN)
    if len(offsets) != 2 or offsets[1] - offsets[0] != needed:
        raise ModelFileError(f"{what} of shape {shape} needs {needed} bytes; its offsets are {shown(offsets)}",
                             fix=AGAIN)
    if offsets[1] > size:
        raise ModelFileError(f"{what} ends at byte {offsets[1]} of {size}: the file is truncated", fix=AGAIN)
    return DTYPES[entry["dtype"]], tuple(shape), *offsets


def _checksums(metadata, entries):
    """{tensor name: SHA-256}; takes the checksums out of the metadata and checks the rest of it."""
    text = metadata.pop(CHECKSUMS, None)
    if text is None:
        raise ModelFileError("the file has no checksums: backproof did not write it, or it was changed",
                             fix="load it with the safetensors package and save it with save_tensors")
    sums = _strict_json(text.encode("utf-8", "replace"), "the list of checksums")
    if set(sums) != {"metadata", "tensors"} or not isinstance(sums["tensors"], dict):
        raise ModelFileError("the list of checksums is incomplete", fix=AGAIN)
    if sums["metadata"] != _digest_text(metadata):
        raise ModelFileError("the checksum of the metadata differs: the text was changed", fix=AGAIN)
    if set(sums["tensors"]) != set(entries):
        odd = sorted(set(sums["tensors"]) ^ set(entries))[0]
        raise ModelFileError(f"tensor {shown(odd)} and the list of checksums do not go together", fix=AGAIN)
    return sums["tensors"]


def _tensor(name, dtype, shape, begin, end, body, checksum, allow_nonfinite):
    values = np.frombuffer(body[begin:end], dtype=dtype).reshape(shape).copy()
    if _digest(values) != checksum:
        raise ModelFileError(f"the checksum of tensor {shown(name)} differs: at least one bit was changed", fix=AGAIN)
    if values.dtype.kind == "f" and not allow_nonfinite:
        count = values.size - int(np.isfinite(values).sum())
        if count:
            raise ModelFileError(f"tensor {shown(name)} has {count} values that are NaN or infinite",
                                 fix="allow_nonfinite=True, if that is wanted")
    if values.dtype.kind == "b" and values.size and values.view(np.uint8).max() > 1:
        raise ModelFileError(f"tensor {shown(name)} is boolean and holds other bytes than 0 and 1", fix=AGAIN)
    return values
