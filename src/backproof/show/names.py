"""Names that came from outside, as text that cannot act: no control, bidirectional or invisible characters, cut to a length."""

import unicodedata

__all__ = ["cleaned", "LIMIT"]

LIMIT = 80                                # characters of a name that are shown
HIDDEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")


def cleaned(word, limit=LIMIT):
    """A name without characters that act or hide, cut to a length that can be read.

    >>> cleaned("a\\x1b[31mb\\u202ec")
    'a�[31mb�c'
    """
    word = word if len(word) <= limit else word[:limit] + f"… ({len(word)} characters)"
    return "".join("�" if unicodedata.category(c) in HIDDEN else c for c in word)
