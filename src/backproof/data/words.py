"""Words as numbers: tokens of raw text, vocabularies of channels, windows with padding at the ends of sentences.

Reads   raw text, or sentences as lists of tokens.
Gives   whole numbers per token, window position and channel.

A channel looks at one side of a token: the word, its shape, its capitals, its first or last letters. In every channel 0 is
the padding beyond a sentence's ends and 1 is whatever training did not have (or had too rarely).
"""

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np

from ..errors import DataError, OptionError
from .messages import shown

__all__ = ["PADDING", "UNKNOWN", "Vocabulary", "WindowCoder", "as_sentences", "channel", "tokenize"]

PADDING, UNKNOWN = 0, 1
NAMES = ("<padding>", "<unknown>")

TOKEN = re.compile(r"""
    (?:https?://|www\.)\S+            # an address
  | [@#]\w+                           # a mention, a hashtag
  | \d+(?:[.,:]\d+)*%?                # 1,000.50  12:30  5%
  | (?:\w\.){2,}                      # U.S.
  | '(?:s|m|d|re|ve|ll|t)\b           # 's 'm 'd, behind a word
  | \w+(?:-\w+)*                      # words, with hyphens inside
  | \.{2,}                            # ...
  | \S                                # any other sign by itself
""", re.VERBOSE | re.IGNORECASE)
ENDS = re.compile(r"[.!?…。！？]+[\"'”’)\]]*$")


def tokenize(text):
    """Raw text as sentences of tokens: a line end ends a sentence, and so does . ! or ? before a capital.

    Tokens are addresses, @mentions and #hashtags, numbers, words (hyphens stay inside, 's is a token of its own), and every
    other sign by itself.

    >>> tokenize("Dr. Lee's in Paris. It rains, 5% at http://a.b/c!")
    [['Dr', '.', 'Lee', "'s", 'in', 'Paris', '.'], ['It', 'rains', ',', '5%', 'at', 'http://a.b/c!']]
    """
    if not isinstance(text, str):
        raise DataError(f"{shown(text)} is no text", fix="give a string")
    sentences = []
    for line in text.split("\n"):
        tokens, starts = [], True
        for found in TOKEN.finditer(line):
            token = found.group()
            if tokens and starts and token[0].isupper() and not _abbreviation(tokens):
                sentences.append(tokens)
                tokens = []
            tokens.append(token)
            starts = bool(ENDS.fullmatch(token))
        if tokens:
            sentences.append(tokens)
    return sentences


def _abbreviation(tokens):
    """Does the full stop belong to a short title (Dr. Lee), not to the sentence?"""
    return tokens[-1] == "." and len(tokens) > 1 and tokens[-2] in ("Dr", "Mr", "Mrs", "Ms", "Prof", "St", "No", "vs")


def as_sentences(X, name="X"):
    """Checked sentences: a list of lists of tokens; a sentence may be empty.

    Raises   DataError for text that is not cut into tokens, a token that is no text or empty, no token at all
    """
    if isinstance(X, (str, bytes)):
        raise DataError(f"{name} is text, not a list of sentences", fix="tokenize(text) cuts it into sentences of tokens")
    sentences = []
    for k, sentence in enumerate(X):
        if isinstance(sentence, (str, bytes)):
            raise DataError(f"sentence {k} of {name} is text, not a list of tokens: {shown(sentence)}",
                            fix="tokenize(text), or text.split()")
        try:
            sentences.append(list(sentence))
        except TypeError:
            raise DataError(f"sentence {k} of {name} is {shown(sentence)}, not a list of tokens") from None
        for t, token in enumerate(sentences[-1]):
            if not isinstance(token, str) or not token:
                raise DataError(f"token {t} of sentence {k} of {name} is {shown(token)}", fix="every token is text, not empty")
    if not any(sentences):
        raise DataError(f"{name} has no token", fix="give sentences")
    return sentences


# ------------------------------------------------------------------------------------------------------ channels

def _word(token):
    return token.lower()


def _shape(token):
    """
    >>> _shape("McDonald's"), _shape("1,000.50"), _shape("@usa")
    ("XxXx'x", 'd,d.d', '@x')
    """
    signs = ["X" if c.isupper() else "x" if c.isalpha() else "d" if c.isdigit() else c for c in token[:100]]
    return "".join(c for k, c in enumerate(signs) if k == 0 or c != signs[k - 1])


def _case(token):
    letters = [c for c in token if c.isalpha()]
    if not letters:
        return "number" if any(c.isdigit() for c in token) else "sign"
    capitals = sum(c.isupper() for c in letters)
    if capitals == 0:
        return "lower"
    if capitals == len(letters):
        return "upper" if len(letters) > 1 else "initial"
    return "title" if letters[0].isupper() and capitals == 1 else "mixed"


def channel(name):
    """The function from a token to its symbol in a channel: word, form, shape, case, prefixN, suffixN.

    ``word`` is in small letters, ``form`` as it stands.

    >>> [channel(name)("Museums") for name in ("word", "form", "shape", "case", "prefix3", "suffix2")]
    ['museums', 'Museums', 'Xx', 'title', 'mus', 'ms']
    """
    found = {"word": _word, "form": str, "shape": _shape, "case": _case}.get(name)
    if found is not None:
        return found
    affix = re.fullmatch(r"(prefix|suffix)([1-9])", str(name))
    if affix is None:
        raise OptionError(f"there is no channel {shown(name)}", fix="word, form, shape, case, prefix3 or suffix3 (1 to 9 letters)")
    letters = int(affix[2])
    return (lambda token: token.lower()[:letters]) if affix[1] == "prefix" else (lambda token: token.lower()[-letters:])


class Vocabulary:
    """The symbols of a channel, numbered: 0 padding, 1 unknown, then by falling count, ties by the symbol.

    >>> words = Vocabulary.learn(["in", "Paris", "in", "Rome", "in", "Paris"], least=2)
    >>> words.symbols[2:], words.numbers(["Paris", "Oslo"]).tolist()
    (['in', 'Paris'], [3, 1])
    """

    def __init__(self, symbols):
        self.symbols = [*NAMES, *symbols]
        self._numbers = {symbol: k for k, symbol in enumerate(symbols, len(NAMES))}
        if len(self._numbers) != len(self.symbols) - len(NAMES):
            raise DataError("a vocabulary has a symbol twice")

    @classmethod
    def learn(cls, symbols, least=1, more=()):
        """Of symbols as they occur: those seen ``least`` times, and those of ``more`` (behind them, in their order)."""
        counts = Counter(symbols)
        more = {symbol: None for symbol in more}
        kept = sorted((s for s, count in counts.items() if count >= least or s in more), key=lambda s: (-counts[s], s))
        known = set(kept)
        return cls([*kept, *(symbol for symbol in more if symbol not in known)])

    def __len__(self):
        return len(self.symbols)

    def __contains__(self, symbol):
        return symbol in self._numbers

    def numbers(self, symbols):
        """Their numbers as an array; 1 for what is not known."""
        return np.fromiter((self._numbers.get(symbol, UNKNOWN) for symbol in symbols), np.int64)


@dataclass(frozen=True)
class WindowCoder:
    """From sentences to windows of numbers.

    Fields  window        tokens in a window, odd; channels: their names; vocabularies: one of each
    """

    window: int
    channels: tuple
    vocabularies: tuple

    @classmethod
    def learn(cls, sentences, window=5, channels=("word",), least=1, known=()):
        """Vocabularies of the training sentences; ``known`` words (those that have vectors) are kept whatever their count.

        >>> coder = WindowCoder.learn([["in", "Paris"]], window=3)
        >>> coder.windows([["Paris", "in", "Oslo"]])[..., 0].tolist()
        [[0, 3, 2], [3, 2, 1], [2, 1, 0]]
        """
        if isinstance(window, bool) or not isinstance(window, (int, np.integer)) or window < 1 or window % 2 == 0:
            raise OptionError(f"window={window!r} has no middle", fix="an odd whole number, such as 5")
        channels = (channels,) if isinstance(channels, str) else tuple(channels)
        if not channels or len(set(channels)) < len(channels):
            raise OptionError(f"channels={channels!r}", fix="one or several channels, each once, such as ('word', 'case')")
        made = []
        for name in channels:
            look = channel(name)
            seen = (look(token) for sentence in sentences for token in sentence)
            made.append(Vocabulary.learn(seen, least, known if name in ("word", "form") else ()))
        return cls(int(window), channels, tuple(made))

    def windows(self, sentences):
        """The window around every token, sentence after sentence.

        Shapes   returns (tokens, window, channels), whole numbers; 0 beyond the ends of a sentence.
        """
        margin, parts = self.window // 2, []
        looks = [channel(name) for name in self.channels]
        for sentence in sentences:
            padded = np.full((len(sentence) + 2 * margin, len(self.channels)), PADDING, np.int64)
            for c, (look, vocabulary) in enumerate(zip(looks, self.vocabularies)):
                padded[margin:margin + len(sentence), c] = vocabulary.numbers(map(look, sentence))
            if len(sentence):
                parts.append(np.lib.stride_tricks.sliding_window_view(padded, self.window, axis=0).transpose(0, 2, 1))
        if not parts:
            return np.zeros((0, self.window, len(self.channels)), np.int64)
        return np.concatenate(parts)

    def unknown(self, sentences):
        """The share of tokens whose word (the first channel) is not in the vocabulary."""
        look, vocabulary = channel(self.channels[0]), self.vocabularies[0]
        words = [look(token) in vocabulary for sentence in sentences for token in sentence]
        return 1 - sum(words) / len(words) if words else 0.0

    def state(self):
        """The coder as plain data for JSON."""
        return {"window": self.window, "channels": list(self.channels),
                "symbols": [vocabulary.symbols[len(NAMES):] for vocabulary in self.vocabularies]}

    @classmethod
    def from_state(cls, state):
        """The coder behind plain data. Raises an ordinary ValueError, TypeError or KeyError where it has no meaning."""
        window, channels, symbols = state["window"], tuple(state["channels"]), state["symbols"]
        if type(window) is not int or window < 1 or window % 2 == 0 or len(symbols) != len(channels) or not channels:
            raise ValueError("the windows have no meaning")
        for name in channels:
            channel(name)
        if not all(isinstance(s, str) for part in symbols for s in part):
            raise TypeError("a symbol is no text")
        return cls(window, channels, tuple(Vocabulary(part) for part in symbols))
