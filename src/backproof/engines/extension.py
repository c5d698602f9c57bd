"""The file of the C++ core: is it there, is it whole?

A shared library that was cut short (a full disk, a broken copy) is mapped by the loader without a look at its length and ends
the process with SIGBUS. Its table of sections lies at the end of the file: a glance at the header tells that something is missing.
"""

import os
import struct
from importlib.util import find_spec

__all__ = ["damage", "path"]

EXTENSION = f"{__package__}._native"


def path():
    """Where the compiled core lies; None where the package was built without it."""
    found = find_spec(EXTENSION)
    return None if found is None else found.origin


def damage(file):
    """What is wrong with a 64-bit ELF file, in a few words; None for what is whole and for every other format.

    >>> import sys
    >>> damage(sys.executable)
    """
    try:
        with open(file, "rb") as opened:
            head, length = opened.read(64), os.fstat(opened.fileno()).st_size
    except OSError as error:
        return str(error)
    if len(head) < 64:
        return f"the file has {length} bytes: it was cut short"
    if head[:6] != b"\x7fELF\x02\x01":                                   # 64 bits, little-endian
        return None
    (start,), (size, count) = struct.unpack_from("<Q", head, 0x28), struct.unpack_from("<HH", head, 0x3A)
    missing = start + size * count - length
    return f"{missing} of its {length + missing} bytes are missing: it was cut short" if missing > 0 else None
