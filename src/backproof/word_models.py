"""What the other commands do with a model of words: tag text, measure by type, show one sentence.

Reads   model files of `WindowTagger` (a page also of `WindowScorer`); CoNLL files, raw text, or the built-in text "entities".
Gives   columns of text, scores as plain data and as a table, a page.
"""

import os
import sys

from .errors import DataError, OptionError
from .outputs import OutputProblem, refuse_same, write_text
from .predictions import one_thread
from .word_jobs import read_tagged

__all__ = ["described", "evaluate_words", "evaluation_text", "predict_words", "reads_words", "trace_sentence"]


def reads_words(path):
    """Was a model file written by a tagger or scorer of words?"""
    from .estimators.windows import KEY
    from .train.files import load_tensors

    return KEY in load_tensors(path, allow_nonfinite=True)[1]


# ---------------------------------------------------------------------------------------------------- tagging

def _tagger(path):
    from .estimators import WindowTagger

    return WindowTagger.load(path)


def _sentences(data, form):
    """(sentences, their tags or None) of a CoNLL file or of raw text."""
    from .data.conll import LIMIT, decoded, parse_conll
    from .data.entities import ENTITIES, entities
    from .data.files import read_regular
    from .data.tags import parse_tag
    from .data.words import tokenize

    if data == ENTITIES:
        text = entities("test")
        return text.sentences, text.tags
    content = decoded(read_regular(data, limit=LIMIT), data)
    if form == "text" or form == "auto" and str(data).lower().endswith(".txt"):
        found = tokenize(content)
        if not found:
            raise DataError("there is no word in it", where=str(data), fix="give text")
        return found, None
    text = parse_conll(content, source=str(data), entities=False) if _columns(content) > 1 else \
        parse_conll(content, source=str(data), tagged=False)
    try:
        for tags in text.tags or []:
            for tag in tags:
                parse_tag(tag)
    except DataError:
        return text.sentences, None                      # further columns that are no tags are left alone
    return text.sentences, text.tags


def _columns(content):
    first = next((line for line in content.split("\n") if line.strip() and not line.startswith("#")), "")
    return len(first.rstrip("\r").split("\t" if "\t" in first else None))


def predict_words(model, data, *, out="-", probabilities=False, form="auto", force=False):
    """Tag a CoNLL file or raw text; returns how many sentences there were.

    Columns of the result, with tabs between: the token, its tag in the file (where it has one), the tag predicted, and with
    ``probabilities`` that tag's probability.
    """
    from .data.conll import conll_text
    from .data.messages import shown

    tagger = _tagger(model)
    if out != "-":
        refuse_same(out, data, model)
        if os.path.lexists(out) and not force:
            raise OutputProblem(f"{shown(str(out), 200)} exists", fix="another --out, or --force to replace it",
                                state="nothing was written")
    sentences, tags = _sentences(data, form)
    with one_thread():
        predicted = tagger.predict(sentences)
        columns = [*([tags] if tags else []), predicted]
        if probabilities:
            if tagger.loss != "cross_entropy":
                raise OptionError(f"this tagger learnt by {tagger.loss}: it has no probabilities", fix="leave --probabilities out")
            likeliest = [part.max(axis=1, initial=0) for part in tagger.predict_proba(sentences)]
            columns.append([[format(p, ".4f") for p in part] for part in likeliest])
    text = conll_text(sentences, *columns)
    if out == "-":
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        write_text(out, text, force)
    return len(sentences)


# ---------------------------------------------------------------------------------------------------- measuring

def evaluate_words(model, data):
    """Scores of a saved tagger on a CoNLL file, by type and overall: plain data for JSON."""
    tagger, text = _tagger(model), read_tagged(data, "test")
    with one_thread():
        found = tagger.evaluate(text.sentences, text.tags)
    return {"sentences": len(text.sentences), "tokens": text.tokens, **found}


def evaluation_text(found):
    """The table by type.

    >>> one = {"precision": 0.5, "recall": 0.25, "f1": 1 / 3, "support": 8, "predicted": 4}
    >>> print(evaluation_text({"sentences": 2, "tokens": 20, "types": {"place": one}, "overall": {**one, "accuracy": 0.8}}))
    type                precision  recall      F1  support  predicted
    place                  0.5000  0.2500  0.3333        8          4
    all                    0.5000  0.2500  0.3333        8          4
    2 sentences, 20 tokens, accuracy of single tags 0.8000
    """
    from .data.messages import shown

    rows = [["type", "precision", "recall", "F1", "support", "predicted"]]
    for kind, scores in [*found["types"].items(), ("all", found["overall"])]:
        name = shown(kind, 40)[1:-1] if len(kind) <= 40 else shown(kind, 40)
        rows.append([name, *(f"{scores[key]:.4f}" for key in ("precision", "recall", "f1")), f"{scores['support']:,}",
                     f"{scores['predicted']:,}"])
    widths = [max(low, *(len(row[j]) for row in rows)) for j, low in enumerate((18, 9, 6, 6, 7, 9))]
    lines = ["  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]) for row in rows]
    return "\n".join([*lines, f"{found['sentences']:,} sentences, {found['tokens']:,} tokens, "
                              f"accuracy of single tags {found['overall']['accuracy']:.4f}"])


# ---------------------------------------------------------------------------------------------------- showing

def described(model, path):
    """What a model of words reads and answers: (text, plain data)."""
    from .estimators.words import Windows

    estimator = Windows.of(model, path)
    sizes = {name: len(vocabulary) for name, vocabulary in zip(estimator.coder_.channels, estimator.coder_.vocabularies)}
    tags = getattr(estimator, "classes_", None)
    answers = "scores the middle one" if tags is None else f"tags the middle one: {', '.join(tags.tolist())}"
    text = f"reads windows of {estimator.coder_.window} words and {answers}\n" + "\n".join(
        f"    {name}  {size:,} symbols" for name, size in sizes.items())
    return text, {"window": estimator.coder_.window, "channels": sizes, "tags": None if tags is None else tags.tolist()}


def trace_sentence(model, sentence, *, tags=None, out="trace.html", language="en", force=False):
    """Write the page of a sentence; returns its SentenceTrace."""
    from .data.words import tokenize
    from .estimators.words import Windows
    from .model import Model

    if out == "-":
        raise OptionError("a page is a file", fix="--out trace.html")
    refuse_same(out, model)
    estimator = Windows.of(Model.load(model), model)
    tokens = [token for part in tokenize(sentence) for token in part]
    if not tokens:
        raise DataError("the sentence has no word", fix='--sentence "Museums in Paris are amazing"')
    with one_thread():
        trace = estimator.trace(tokens, None if tags is None else tags.split())
    write_text(out, trace.to_html(language=language), force)
    return trace
