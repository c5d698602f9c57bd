"""Tags of entities: which tokens belong together, and the same entities written in another scheme.

Reads   tags "O" or prefix-type, prefix B, I, E, S (L and U, of BILOU, count as E and S); whatever order a file or a
        network put them in.
Gives   entities (type, start, end), end exclusive; the tags of BIO or IOBES for them; scores per type.
Rule    of conlleval: a token continues the entity of the token before it where both have the same type, the one before is
        no E or S, and this one is no B or S. Every other tag but O begins an entity. So no sequence of tags is an error,
        and repairing is reading and writing again.
"""

from ..errors import DataError, EngineError, OptionError
from .messages import shown

__all__ = ["SCHEMES", "convert", "parse_tag", "repaired", "score_entities", "spans", "to_tags"]

SCHEMES = ("BIO", "IOBES")
PREFIXES = {"B": "B", "I": "I", "E": "E", "S": "S", "L": "E", "U": "S"}


def parse_tag(tag):
    """(prefix, type) of a tag, ("O", None) outside. Raises DataError for text that is no tag.

    >>> parse_tag("B-creative-work"), parse_tag("O")
    (('B', 'creative-work'), ('O', None))
    """
    if tag == "O":
        return "O", None
    prefix, hyphen, kind = tag.partition("-") if isinstance(tag, str) else ("", "", "")
    if prefix not in PREFIXES or not hyphen or not kind:
        raise DataError(f"{shown(tag)} is no tag of an entity", fix="O, or B-, I-, E- or S- and a type, such as B-person")
    return PREFIXES[prefix], kind


def spans(tags):
    """The entities of a sentence, [(type, start, end)], by conlleval's rule.

    >>> spans(["O", "I-person", "I-person", "B-person", "I-place"])
    [('person', 1, 3), ('person', 3, 4), ('place', 4, 5)]
    """
    found, before = [], ("O", None)
    for position, tag in enumerate(tags):
        prefix, kind = parse_tag(tag)
        continues = kind is not None and kind == before[1] and before[0] not in "ES" and prefix not in "BS"
        if continues:
            found[-1] = (kind, found[-1][1], position + 1)
        elif kind is not None:
            found.append((kind, position, position + 1))
        before = prefix, kind
    return found


def to_tags(entities, length, scheme="BIO"):
    """The tags of a sentence of so many tokens, of entities that do not overlap.

    >>> to_tags([("person", 0, 2), ("place", 3, 4)], 5, "IOBES")
    ['B-person', 'E-person', 'O', 'S-place', 'O']
    """
    if scheme not in SCHEMES:
        raise OptionError(f"scheme={scheme!r} is unknown", fix=f"one of {', '.join(SCHEMES)}")
    tags = ["O"] * length
    for kind, start, end in entities:
        tags[start:end] = [f"B-{kind}"] + [f"I-{kind}"] * (end - start - 1)
        if scheme == "IOBES":
            tags[end - 1] = f"{'S' if end - start == 1 else 'E'}-{kind}"
    return tags


def convert(tags, scheme="BIO"):
    """The same entities in a scheme; tags out of order are repaired by it.

    >>> convert(["O", "I-person", "E-person", "I-person"])
    ['O', 'B-person', 'I-person', 'B-person']
    """
    return to_tags(spans(tags), len(tags), scheme)


def repaired(tags):
    """How many tags of a sentence change where BIO is put in order (tags of IOBES count as what they mean in BIO).

    >>> repaired(["O", "I-person", "I-person"]), repaired(["S-person", "O"])
    (1, 0)
    """
    meant = {"B": "B", "S": "B", "I": "I", "E": "I"}
    plain = ["O" if kind is None else f"{meant[prefix]}-{kind}" for prefix, kind in map(parse_tag, tags)]
    return sum(a != b for a, b in zip(plain, convert(tags)))


def score_entities(true, predicted):
    """Scores by exact match of type and both ends, counted as conlleval does, by the library seqeval.

    Parameters  true, predicted  tags of each sentence, in any scheme
    Gives       {"types": {type: {"precision", "recall", "f1", "support", "predicted"}}, and the same "overall", with the
                accuracy of the single tags as BIO}; a type without truth or prediction has 0 there
    Raises      EngineError without seqeval, DataError where the sentences have other lengths

    >>> found = score_entities([["B-place", "I-place", "O"]], [["B-place", "O", "O"]])
    >>> found["overall"]["f1"], found["types"]["place"]["support"]
    (0.0, 1)
    """
    precision_recall_fscore_support = _counted_by()
    true, predicted = [convert(tags) for tags in true], [convert(tags) for tags in predicted]
    if list(map(len, true)) != list(map(len, predicted)):
        raise DataError("the sentences of truth and prediction have other lengths", fix="predict for the same sentences")
    kinds = sorted({kind for tags in (*true, *predicted) for kind, *_ in spans(tags)})
    counted = [sum(kind == k for tags in predicted for k, *_ in spans(tags)) for kind in kinds]
    same = sum(a == b for x, y in zip(true, predicted) for a, b in zip(x, y))
    overall = {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0, "predicted": sum(counted)}
    types = {}
    if kinds:
        scores = precision_recall_fscore_support(true, predicted, average=None, zero_division=0)
        micro = precision_recall_fscore_support(true, predicted, average="micro", zero_division=0)
        types = {kind: _scores(*row) for kind, *row in zip(kinds, *scores, counted)}
        overall = _scores(*micro[:3], int(sum(scores[3])), sum(counted))
    return {"types": types, "overall": {**overall, "accuracy": same / max(1, sum(map(len, true)))}}


def _counted_by():
    """seqeval's function, or the error that says how to get it."""
    try:
        from seqeval.metrics.sequence_labeling import precision_recall_fscore_support
    except ImportError:
        raise EngineError("the package seqeval, which counts entities, is not installed",
                          fix="pip install 'backproof[words]'") from None
    return precision_recall_fscore_support


def _scores(precision, recall, f1, support, predicted):
    return {"precision": float(precision), "recall": float(recall), "f1": float(f1), "support": int(support),
            "predicted": int(predicted)}
