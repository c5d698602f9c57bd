"""Tags and entities: conlleval's rule, against the library that counts by it."""

import random
import sys

import pytest

from backproof.data.tags import SCHEMES, convert, parse_tag, repaired, score_entities, spans, to_tags
from backproof.errors import DataError, EngineError, OptionError

KINDS = ["O", *(f"{prefix}-{kind}" for prefix in "BIES" for kind in ("person", "creative-work"))]


def random_tags(seed, kinds=KINDS):
    draw = random.Random(seed)
    return [draw.choice(kinds) for _ in range(draw.randint(1, 12))]


def test_any_sequence_of_tags_means_what_seqeval_says():
    from seqeval.metrics.sequence_labeling import get_entities

    for seed in range(300):
        tags = random_tags(seed)
        theirs = sorted(get_entities(tags), key=lambda found: found[1])
        assert [(kind, start, end - 1) for kind, start, end in spans(tags)] == theirs, tags


@pytest.mark.parametrize("scheme", SCHEMES)
def test_converting_keeps_the_entities_and_mends_once(scheme):
    for seed in range(200):
        tags = random_tags(seed)
        mended = convert(tags, scheme)
        assert spans(mended) == spans(tags) and convert(mended, scheme) == mended
        assert convert(convert(mended, "IOBES"), "BIO") == convert(tags, "BIO")
        assert to_tags(spans(tags), len(tags), scheme) == mended


def test_repairs_are_counted_and_order_is_none():
    assert repaired(["B-a", "I-a", "O", "I-b"]) == 1
    assert repaired(["B-a", "I-b", "I-b"]) == 1
    assert repaired(convert(random_tags(3))) == 0


def test_bilou_is_read_as_iobes():
    assert convert(["U-a", "O", "B-a", "L-a"], "IOBES") == ["S-a", "O", "B-a", "E-a"]


@pytest.mark.parametrize("tag", ["", "person", "B", "B-", "X-person", "b-person", None, 3, "B_person"])
def test_text_that_is_no_tag_is_refused(tag):
    with pytest.raises(DataError, match="is no tag of an entity"):
        parse_tag(tag)


def test_an_unknown_scheme_is_refused():
    with pytest.raises(OptionError, match="one of BIO, IOBES"):
        convert(["O"], "IOB7")


def test_scores_by_hand():
    true = [["B-a", "I-a", "O", "B-b"], ["O", "B-a", "O"]]
    predicted = [["B-a", "I-a", "O", "B-a"], ["O", "I-a", "I-a"]]        # one right, one of another type, one too long
    found = score_entities(true, predicted)
    assert found["overall"] == {"precision": 1 / 3, "recall": 1 / 3, "f1": 1 / 3, "support": 3, "predicted": 3, "accuracy": 5 / 7}
    assert found["types"]["a"] == {"precision": 1 / 3, "recall": 0.5, "f1": 0.4, "support": 2, "predicted": 3}
    assert found["types"]["b"]["f1"] == 0 and found["types"]["b"]["support"] == 1


def test_scores_do_not_depend_on_the_scheme():
    for seed in range(50):
        true, predicted = [random_tags(seed)], [random_tags(seed)[::-1]]
        other = [convert(true[0], "IOBES")], [convert(predicted[0], "IOBES")]
        assert score_entities(true, predicted) == score_entities(*other)


def test_no_entities_score_zero_and_other_lengths_are_refused():
    assert score_entities([["O"]], [["O"]])["overall"]["f1"] == 0
    with pytest.raises(DataError, match="other lengths"):
        score_entities([["O"]], [["O", "O"]])


def test_without_seqeval_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "seqeval.metrics.sequence_labeling", None)
    with pytest.raises(EngineError, match=r"backproof\[words\]"):
        score_entities([["B-a"]], [["B-a"]])
