"""Opening a file from outside: regular files only, read once into memory, with a limit.

Reads   a path as the user typed it.
Gives   the bytes; what is checked afterwards is what was read, whatever happens to the file meanwhile.
Raises  FileProblem with the path as given and as resolved.
"""

import os
import stat

from backproof.data.messages import megabytes, shown
from backproof.errors import FileProblem

__all__ = ["open_regular", "read_regular", "kind_of_file"]

MAGIC = [
    (b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ\x00", "xz"), (b"\x28\xb5\x2f\xfd", "zstandard"),
    (b"PAR1", "Parquet"), (b"ARROW1", "Arrow IPC"), (b"\x89HDF\r\n\x1a\n", "HDF5 (.h5)"), (b"\x93NUMPY", "NumPy .npy"),
    (b"PK\x03\x04", "zip"), (b"PK\x05\x06", "zip"), (b"%PDF", "PDF"), (b"\x7fELF", "executable"),
    (b"\x80\x02", "pickle"), (b"\x80\x03", "pickle"), (b"\x80\x04", "pickle"), (b"\x80\x05", "pickle"),
]


def kind_of_file(data):
    """What the first bytes say a file is, or None.

    >>> kind_of_file(b"\\x80\\x04\\x95"), kind_of_file(b"a,b")
    ('pickle', None)
    """
    return next((kind for magic, kind in MAGIC if data.startswith(magic)), None)


def open_regular(path):
    """(binary file, where) of a regular file, to be read in parts; ``where`` names it in messages.

    A directory, pipe, device or URL is refused.
    """
    given = os.fspath(path)
    if isinstance(given, bytes):
        given = os.fsdecode(given)
    if "://" in given:
        raise FileProblem(f"{shown(given, 200)} is a URL; only files of this machine are read", fix="download it first")
    where = shown(given, 200)
    try:
        where = f"{shown(given, 200)}, which is {shown(os.path.realpath(given), 300)}"
        handle = os.open(given, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)       # never waits for a pipe's other end
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise FileProblem(f"the file cannot be opened: {reason}", where=where, fix="check the path") from None
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        os.close(handle)
        kind = "directory" if stat.S_ISDIR(found.st_mode) else "pipe" if stat.S_ISFIFO(found.st_mode) else "device"
        raise FileProblem(f"this is a {kind}, not a regular file", where=where, fix="give the path of a file")
    return os.fdopen(handle, "rb"), where


def read_regular(path, limit=None):
    """All bytes of a regular file; a directory, pipe, device, URL or a file over the limit is refused unread."""
    file, where = open_regular(path)
    with file:
        found = os.fstat(file.fileno())
        if limit is not None and found.st_size > limit:
            raise FileProblem(f"the file has {megabytes(found.st_size)}; the limit is {megabytes(limit)}", where=where,
                              fix="raise the limit, if the file is yours")
        try:
            data = file.read() if limit is None else file.read(min(found.st_size, limit) + 1)
        except OSError as error:
            raise FileProblem(f"the file cannot be read: {error.strerror}", where=where, fix="check the disk") from None
    if limit is not None and len(data) > found.st_size:
        raise FileProblem("the file grew while it was read", where=where, fix="try again when it is complete")
    return data
