"""The page of a sentence: the window around each word, its vectors, the scores, and the error signal shared out over them.

Reads   a SentenceTrace: plain arrays, as the equations gave them.
Gives   one self-contained page. Words stay text, whatever they hold.
"""

from base64 import b64encode
from dataclasses import dataclass, field

import numpy as np

from .html import assemble
from .names import cleaned
from .page_words import SENTENCE_WORDS
from .trace import framed

__all__ = ["LIMIT", "SentenceTrace", "sentence_page"]

LIMIT = 5_000_000                   # bytes of a page
LONGEST = 60                        # characters of a word


@dataclass(frozen=True)
class SentenceTrace:
    """Every number of one sentence's windows: what the page shows.

    Fields  tokens (t); tags: the outputs' names (k); predicted, true (t, or None): labels of the tokens; title
            window       words (t, p) around each token, "" beyond the ends
            outputs      (t, k); e (t, p, d): the vectors of each window; units: [(name, a (t, j))] of the hidden layers
            signals      {mode: Signal}: "loss" (the error if the tag were k) and "score" (a signal of 1 at the score of k)
            formulas     HTML of the equations
    """

    tokens: list
    tags: list
    predicted: list
    true: list | None
    window: list
    outputs: object
    e: object
    units: list
    signals: dict
    title: str = "backproof"
    formulas: str = ""

    def to_html(self, path=None, language="en"):
        """Write the page and give its path; without a path the page's text."""
        page = sentence_page(self, language)
        if path is None:
            return page
        with open(path, "w", encoding="utf-8") as file:
            file.write(page)
        return str(path)

    def shares(self, token, tag, mode="loss"):
        """How the error signal is shared out over the words of a window: [(word, ‖∂/∂e‖, share of the sum)], in order.

        ``tag`` is the assumed tag (mode "loss") or the one whose score is followed (mode "score").
        """
        g = self.signals[mode].e[self.tags.index(tag), token]
        sizes = np.linalg.norm(g, axis=1)
        parts = sizes / sizes.sum() if sizes.sum() else sizes
        return list(zip(self.window[token], sizes.tolist(), parts.tolist()))

    def _repr_html_(self):
        return framed(self.to_html())


@dataclass(frozen=True)
class Signal:
    """One kind of error signal, for every tag k that may be asked about.

    Shapes   value (k, t): E, or the score; deltas: [(name, (k, t, j))] from the first hidden layer to the output; e (k, t, p, d)
    """

    value: object
    deltas: list = field(default_factory=list)
    e: object = None


def sentence_page(trace, language="en"):
    """The page's text; where it would grow beyond the limit the last words are not kept, and the page says so."""
    per_token = _numbers(trace) // max(1, len(trace.tokens))
    kept = max(1, min(len(trace.tokens), (LIMIT - 200_000 - len(trace.formulas)) * 3 // 4 // max(1, per_token)))
    data = {
        "language": language,
        "title": cleaned(trace.title),
        "tokens": [_word(word) for word in trace.tokens],
        "kept": kept,
        "tags": [cleaned(tag) for tag in trace.tags],
        "predicted": [cleaned(label) for label in trace.predicted],
        "true": None if trace.true is None else [cleaned(label) for label in trace.true],
        "window": [[_word(word) for word in words] for words in trace.window[:kept]],
        "outputs": _packed(trace.outputs[:kept]),
        "e": _packed(trace.e[:kept]),
        "units": [[cleaned(name), _packed(a[:kept])] for name, a in trace.units],
        "signals": {mode: {"value": _packed(s.value[:, :kept]), "e": _packed(s.e[:, :kept]),
                           "deltas": [[cleaned(name), _packed(delta[:, :kept])] for name, delta in s.deltas]}
                    for mode, s in trace.signals.items()},
    }
    body = f'<template id="formulas">{trace.formulas}</template>'
    return assemble("sentence", title=cleaned(trace.title), language=language, body=body, data=data, words=SENTENCE_WORDS)


def _word(word):
    shown = cleaned(word[:4 * LONGEST])
    return shown if len(shown) <= LONGEST else shown[:LONGEST] + "…"


def _numbers(trace):
    """Bytes of all arrays as they are packed."""
    arrays = [trace.outputs, trace.e, *(a for _, a in trace.units)]
    for signal in trace.signals.values():
        arrays += [signal.value, signal.e, *(delta for _, delta in signal.deltas)]
    return sum(np.asarray(array).nbytes for array in arrays)


def _packed(array):
    """[bytes of a number, shape, base64], little-endian."""
    array = np.ascontiguousarray(array)
    return [array.dtype.itemsize, list(array.shape), b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode()]
