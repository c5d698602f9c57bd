"""Words of users: how an unknown one is answered, and how numbers are read."""

from difflib import get_close_matches
from operator import index

__all__ = ["nearest", "unknown", "whole"]


def nearest(word, known):
    """The known word that looks most like the one given, or None."""
    found = get_close_matches(str(word).lower(), [name.lower() for name in known], n=1, cutoff=0.6)
    return next((name for name in known if name.lower() == found[0]), None) if found else None


def unknown(kind_of_error, what, word, known, where=None):
    """The error for a word nobody knows: the nearest one is the mend, else the whole list."""
    close = nearest(word, known)
    return kind_of_error(f"unknown {what} {str(word)[:80]!r}", where=where,
                         fix=f"did you mean {close!r}?" if close else f"one of {listed(known)}")


def listed(known, most=16):
    """
    >>> listed("abc", most=2)
    'a, b, …'
    """
    known = list(known)
    return ", ".join(known if len(known) <= most else [*known[:most], "…"])


def whole(value):
    """A positive whole number as int, or None: neither True nor 3.0 counts as one."""
    if isinstance(value, bool) or type(value).__name__ == "bool":
        return None
    try:
        value = index(value)
    except TypeError:
        return None
    return value if value > 0 else None
