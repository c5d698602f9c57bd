"""What ``train --task tag`` does: train a tagger on sentences and measure it.

Reads   CoNLL files (token and tag on each line), or the built-in text "entities"; options as plain values.
Gives   a model that carries its vocabularies and vectors, measured beside the baseline of the most frequent tag of each word.
Raises  the rooms' errors, as `jobs` does.

The training sentences alone are learnt from; the validation sentences decide when to stop, the test sentences decide nothing.
"""

import contextlib
import json
import os
import time
from collections import Counter
from dataclasses import asdict, dataclass

from . import __version__
from .errors import DataError
from .jobs import check_network
from .outputs import claim, output
from .predictions import one_thread

__all__ = ["Outcome", "WordSettings", "baseline", "read_tagged", "results_table", "train_words"]

FILES = ("model.safetensors", "history.jsonl", "predictions.conll", "summary.json")
PARTS = ("training", "validation", "test")
CHECKED = 5                         # windows that the gradients are checked on


@dataclass(frozen=True)
class WordSettings:
    """How a tagger is trained; the fields are parameters of `WindowTagger` under the names of the command.

    Fields  layers      hidden layers of the one-line spec
            validation, test  shares of the sentences set aside; with a file for validation nothing is, unless asked for
            patience    epochs without a better entity F1 on the validation sentences before it stops; None: never
    """

    layers: str = "100 tanh"
    window: int = 5
    channels: tuple = ("word", "case")
    scheme: str = "BIO"
    min_count: int = 2
    dimensions: int | None = None
    freeze_vectors: bool = False
    epochs: int = 20
    batch_size: int = 64
    learning_rate: float = 1e-3
    optimizer: str = "adam"
    l2: float = 0.0
    validation: float = 0.15
    test: float = 0.15
    seed: int = 0
    patience: int | None = 5
    threads: int | None = None


@dataclass
class Outcome:
    """What training left behind: the tagger, the summary that is written, the paths written."""

    tagger: object
    summary: dict
    files: list

    def table(self):
        """The final table: every part of the sentences, the entity scores, the baseline beside them."""
        return results_table(self.summary)


# ---------------------------------------------------------------------------------------------------- reading

def read_tagged(data, part="training"):
    """The Tagged text of a file, or a part of the built-in one."""
    from .data.conll import read_conll
    from .data.entities import ENTITIES, entities

    return entities(part) if data == ENTITIES else read_conll(data)


def _parts(data, dev, settings, say):
    """{part: Tagged} of the data: as the built-in text says, by a file for validation, or by shares of the sentences."""
    from .data.entities import ENTITIES
    from .data.split import split_rows

    if data == ENTITIES and dev is None:
        return {part: read_tagged(data, part) for part in PARTS}
    text = read_tagged(data)
    shares = {"validation": 0.0 if dev is not None else settings.validation, "test": settings.test}
    rows = dict(zip(PARTS, split_rows(len(text.sentences), **shares, seed=settings.seed)))
    rows["training"], rows["validation"] = _learnable(text, rows["training"], rows["validation"], settings.scheme, say)
    parts = {name: text.select(chosen) for name, chosen in rows.items() if len(chosen)}
    if dev is not None:
        parts["validation"] = read_tagged(dev, "validation")
        _refuse_unlearnt(parts["training"], parts["validation"], settings.scheme)
    return {name: parts[name] for name in PARTS if name in parts}


def _tags_of(text, rows, scheme):
    from .data.tags import convert

    return {tag for k in rows for tag in convert(text.tags[k], scheme)}


def _learnable(text, training, validation, scheme, say):
    """The two parts of a split; sentences set aside with a tag that training would lack are trained on instead."""
    known = _tags_of(text, training, scheme)
    rare = [k for k in validation if not _tags_of(text, [k], scheme) <= known]
    if rare:
        say(f"{len(rare)} sentences of the validation part have tags too rare to set aside: they are trained on")
    return sorted([*training, *rare]), [k for k in validation if k not in set(rare)]


def _refuse_unlearnt(training, other, scheme):
    """A tag of validation that training lacks is named with its line: nothing could be learnt for it."""
    from .data.messages import shown
    from .data.tags import convert

    known = _tags_of(training, range(len(training.tags)), scheme)
    for k, tags in enumerate(other.tags):
        for t, tag in enumerate(convert(tags, scheme)):
            if tag not in known:
                raise DataError(f"the tag {shown(tag)} of {shown(other.sentences[k][t])} does not occur in training",
                                where=other.place(k, t), fix="add sentences with it to the training, or give another --dev")


# ---------------------------------------------------------------------------------------------------- training

def train_words(data, settings=None, *, dev=None, vectors=None, out=None, force=False, say=None, progress=None):
    """Train a WindowTagger and measure it; the Outcome.

    Parameters  data, dev  CoNLL files, or "entities"; vectors: a file of word vectors
                out        directory for the files of the run; None: nothing is written
    Interrupt   Ctrl-C keeps the last complete step; the summary says "interrupted": true.
    """
    from .data.tags import repaired
    from .estimators import WindowTagger

    settings, say, began = settings or WordSettings(), say or (lambda text: None), time.perf_counter()
    made = claim(out, force, data) if out is not None else None
    try:
        parts = _parts(data, dev, settings, say)
        mended = sum(repaired(tags) for text in parts.values() for tags in text.tags)
        if mended:
            say(f"{mended} tags were put in order by conlleval's rule (an entity begins with B-)")
        held = parts.get("validation")
        tagger = WindowTagger(
            settings.window, layers=settings.layers, channels=settings.channels, scheme=settings.scheme,
            min_count=settings.min_count, dimensions=settings.dimensions, freeze_vectors=settings.freeze_vectors, vectors=vectors,
            max_iter=settings.epochs, batch_size=settings.batch_size, learning_rate_init=settings.learning_rate,
            solver=settings.optimizer, l2=settings.l2, random_state=settings.seed,
            early_stopping=held is not None and settings.patience is not None, n_iter_no_change=settings.patience or 1,
            threads=settings.threads)
        tagger._watching = _Start(tagger, say, progress, parts["training"])
        interrupted = False
        with one_thread():
            try:
                tagger.fit(parts["training"].sentences, parts["training"].tags,
                           eval_set=None if held is None else (held.sentences, held.tags))
            except KeyboardInterrupt:
                if not hasattr(tagger, "model_"):
                    raise
                interrupted = True
            summary = _summary(data, dev, vectors, settings, tagger, parts, interrupted)
    except BaseException:
        if made:
            with contextlib.suppress(OSError):
                os.rmdir(out)
        raise
    summary["seconds"] = round(time.perf_counter() - began, 3)
    return Outcome(tagger, summary, [] if out is None else _write_run(out, tagger, parts, summary))


class _Start:
    """The callbacks of a run: before the first epoch the network is described and its gradients are checked."""

    def __init__(self, tagger, say, progress, text):
        self.tagger, self.say, self.progress, self.text = tagger, say, progress, text

    def __iter__(self):
        tagger, model = self.tagger, self.tagger.model_
        unknown = tagger.coder_.unknown(self.text.sentences)
        words = len(tagger.coder_.vocabularies[0])
        self.say(f"{self.text.tokens:,} tokens in {len(self.text.sentences):,} sentences; {words:,} words, "
                 f"{unknown:.1%} of the tokens unknown; {len(tagger.classes_)} tags")
        self.say(f"network {model.network.spec}, {model.network.count:,} parameters; minibatches of {tagger.batch_size}")
        error = checked_gradients(tagger, self.text.sentences)
        self.say(f"gradients checked on {CHECKED} windows: largest relative error {error:.0e} ✓")
        return iter([lambda record: bool(self.progress(record))] if self.progress else [])


def checked_gradients(tagger, sentences):
    """The largest relative error of the gradients on a few windows, by the complex step.

    It is the tagger's network with a table of the rows alone that those windows read; the others have no gradient there.
    """
    from dataclasses import replace

    import numpy as np

    from .network import Network

    first, *rest = tagger.network_.layers
    windows, small, columns = getattr(first, "layers", (first,)), [], []
    for window, ids in zip(windows, np.split(tagger._ids(sentences[:CHECKED])[:CHECKED], len(windows), axis=1)):
        rows, numbers = np.unique(ids, return_inverse=True)
        small.append(replace(window, vocabulary=len(rows)))
        columns.append(numbers.reshape(ids.shape))
    first = small[0] if len(small) == 1 else replace(first, layers=tuple(small))
    network = Network([first, *rest], loss=tagger.network_.loss, l2=tagger.network_.l2)
    ids = np.concatenate(columns, axis=1)
    return check_network(network, ids, np.arange(len(ids)) % len(tagger.classes_), 0)["error"]


def baseline(training):
    """A function from sentences to tags: each word's most frequent tag in training, O for words that it has not."""
    counts = {}
    for sentence, tags in zip(training.sentences, training.tags):
        for token, tag in zip(sentence, tags):
            counts.setdefault(token.lower(), Counter())[tag] += 1
    usual = {word: min(found, key=lambda tag: (-found[tag], tag)) for word, found in counts.items()}
    return lambda sentences: [[usual.get(token.lower(), "O") for token in sentence] for sentence in sentences]


def _summary(data, dev, vectors, settings, tagger, parts, interrupted):
    from .data.tags import score_entities

    usual, history = baseline(parts["training"]), tagger.model_.history
    measured = {name: score_entities(text.tags, tagger.predict(text.sentences)) for name, text in parts.items()}
    plain = {name: score_entities(text.tags, usual(text.sentences))["overall"] for name, text in parts.items()}
    return {"backproof": __version__, "data": str(data), "validation data": None if dev is None else str(dev),
            "vectors": None if vectors is None else str(vectors), "task": "tag", "tags": tagger.classes_.tolist(),
            "sentences": {name: len(text.sentences) for name, text in parts.items()},
            "tokens": {name: text.tokens for name, text in parts.items()}, "network": tagger.network_.spec,
            "parameters": tagger.network_.count, "settings": asdict(settings), "epochs": len(history), "best_epoch": history.best,
            "stopped": history.stopped, "interrupted": interrupted, "measures": measured,
            "baseline": {"name": "most frequent tag", **plain}}


def _write_run(out, tagger, parts, summary):
    from .data.conll import conll_text
    from .train.files import write_atomically

    paths = {name: os.path.join(out, name) for name in FILES}
    with output():
        tagger.save(paths["model.safetensors"])
        write_atomically(paths["history.jsonl"], [tagger.model_.history.to_json_lines().encode()])
        text = parts.get("test") or parts.get("validation") or parts["training"]
        lines = conll_text(text.sentences, text.tags, tagger.predict(text.sentences))
        write_atomically(paths["predictions.conll"], [lines.encode("utf-8", "backslashreplace")])
        plain = json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        write_atomically(paths["summary.json"], [plain.encode("utf-8", "backslashreplace")])
    return list(paths.values())


def results_table(summary):
    """Entity scores of every part, the baseline's F1 beside.

    >>> overall = {"precision": 0.5, "recall": 0.25, "f1": 1 / 3, "accuracy": 0.9}
    >>> print(results_table({"tokens": {"test": 1000}, "measures": {"test": {"overall": overall}},
    ...     "baseline": {"name": "most frequent tag", "test": overall}}))
                                                      most frequent tag
                tokens  precision  recall      F1  accuracy          F1
    test         1,000     0.5000  0.2500  0.3333    0.9000      0.3333
    """
    names = ("precision", "recall", "f1", "accuracy")
    rows = [["", "", "", "", "", "", summary["baseline"]["name"]], ["", "tokens", "precision", "recall", "F1", "accuracy", "F1"]]
    for part, count in summary["tokens"].items():
        found = summary["measures"][part]["overall"]
        rows.append([part, f"{count:,}", *(f"{found[name]:.4f}" for name in names), f"{summary['baseline'][part]['f1']:.4f}"])
    return _aligned(rows, [10, 6, 9, 6, 6, 8, 10])


def _aligned(rows, least):
    """Columns of text: the first to the left, the others to the right; a title over the last may be wider than it."""
    widths = [max(low, *(len(row[j]) for row in rows[1:])) for j, low in enumerate(least)]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]
        line = "  ".join(cells)
        lines.append(line if len(cells[-1]) == widths[-1] else cells[-1].strip().rjust(sum(widths) + 2 * (len(widths) - 1)))
    return "\n".join(line.rstrip() for line in lines)
