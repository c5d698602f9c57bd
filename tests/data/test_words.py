"""Tokens, vocabularies and windows."""

import json

import numpy as np
import pytest

from backproof.data.entities import entities
from backproof.data.words import Vocabulary, WindowCoder, as_sentences, channel, tokenize
from backproof.errors import DataError, OptionError


@pytest.mark.parametrize("text, tokens", [
    ("Museums in Paris are amazing.", [["Museums", "in", "Paris", "are", "amazing", "."]]),
    ("I'm here, it's 12:30!", [["I", "'m", "here", ",", "it", "'s", "12:30", "!"]]),
    ("See http://a.b/c?d=1 @bob #nice", [["See", "http://a.b/c?d=1", "@bob", "#nice"]]),
    ("The U.S. won 1,000.50 or 5%...", [["The", "U.S.", "won", "1,000.50", "or", "5%", "..."]]),
    ("One. Two? three.\nFour", [["One", "."], ["Two", "?", "three", "."], ["Four"]]),
    ("Mr. Lee went.", [["Mr", ".", "Lee", "went", "."]]),
    ("well-known 東京。 \U0001f600", [["well-known", "東京", "。", "\U0001f600"]]),
    (" \n\t ", []),
])
def test_raw_text_becomes_sentences_of_tokens(text, tokens):
    assert tokenize(text) == tokens


def test_no_sign_is_lost():
    text = "".join(chr(k) for k in range(33, 0x500)) + "日本\U0001f600"
    assert "".join(token for sentence in tokenize(text) for token in sentence) == "".join(text.split())


def test_channels_look_at_one_side_each():
    seen = {name: [channel(name)(t) for t in ("McDonald's", "NASA", "X", "paris", "2010", "!", "É", "ß")]
            for name in ("case", "shape", "prefix2", "suffix3", "form", "word")}
    assert seen["case"] == ["mixed", "upper", "initial", "lower", "number", "sign", "initial", "lower"]
    assert seen["shape"][:3] == ["XxXx'x", "X", "X"] and seen["suffix3"][0] == "d's" and seen["word"][1] == "nasa"
    for name in ("", "prefix", "prefix0", "suffix12", "words", None):
        with pytest.raises(OptionError, match="there is no channel"):
            channel(name)


def test_rare_words_are_unknown_and_words_with_vectors_are_kept():
    words = Vocabulary.learn(["b", "a", "b", "c", "a", "d"], least=2, more=["z", "d"])
    assert words.symbols == ["<padding>", "<unknown>", "a", "b", "d", "z"]
    assert words.numbers(["a", "c", "z", "<padding>"]).tolist() == [2, 1, 5, 1]


def test_the_order_of_a_vocabulary_is_that_of_counts_then_of_words():
    one = Vocabulary.learn("the cat the dog a cat".split())
    other = Vocabulary.learn(reversed("the cat the dog a cat".split()))
    assert one.symbols == other.symbols == ["<padding>", "<unknown>", "cat", "the", "a", "dog"]


def test_windows_are_padded_at_both_ends_channel_by_channel():
    coder = WindowCoder.learn([["In", "Paris"], ["in", "rome"]], window=5, channels=("word", "case"))
    windows = coder.windows([["in", "Paris"], [], ["Oslo"]])
    words, cases = coder.vocabularies
    i, p, t, low = words.numbers(["in"])[0], words.numbers(["paris"])[0], *cases.numbers(["title", "lower"])
    assert windows.shape == (3, 5, 2)
    assert windows[0].tolist() == [[0, 0], [0, 0], [i, low], [p, t], [0, 0]]
    assert windows[2].tolist() == [[0, 0], [0, 0], [1, t], [0, 0], [0, 0]]
    assert coder.unknown([["in", "Oslo"]]) == 0.5


def test_a_window_of_one_and_a_long_sentence():
    coder = WindowCoder.learn([["a", "b"]], window=1)
    assert coder.windows([["b", "a"]])[:, 0, 0].tolist() == [3, 2]
    wide = WindowCoder.learn([["a", "b"]], window=5).windows([["a"] * 10_000])
    assert wide.shape == (10_000, 5, 1) and (wide[2:-2] == 2).all() and wide[0, :2, 0].tolist() == [0, 0]


def test_a_coder_survives_json():
    text = entities()
    coder = WindowCoder.learn(text.sentences, 3, ("form", "suffix2"), 2)
    again = WindowCoder.from_state(json.loads(json.dumps(coder.state())))
    assert np.array_equal(coder.windows(text.sentences), again.windows(text.sentences))


@pytest.mark.parametrize("options, message", [
    ({"window": 4}, "has no middle"), ({"window": 0}, "has no middle"), ({"window": True}, "has no middle"),
    ({"channels": ()}, "one or several channels"), ({"channels": ("word", "word")}, "each once"),
    ({"channels": ("wrd",)}, "there is no channel 'wrd'"),
])
def test_windows_without_meaning_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        WindowCoder.learn([["a"]], **options)


@pytest.mark.parametrize("X, message", [
    ("Museums in Paris", "X is text, not a list of sentences"),
    (["Museums in Paris"], "sentence 0 of X is text, not a list of tokens: 'Museums in Paris'"),
    ([["a"], ["b", 3]], "token 1 of sentence 1 of X is 3"),
    ([["a", ""]], "token 1 of sentence 0 of X is ''"),
    ([["a"], 5], "sentence 1 of X is 5, not a list of tokens"),
    ([[], []], "X has no token"), ([], "X has no token"),
])
def test_what_is_no_sentence_is_told_its_place(X, message):
    with pytest.raises(DataError, match=message):
        as_sentences(X)


def test_sentences_may_be_empty_or_arrays():
    assert as_sentences([[], ("a",), np.array(["b", "c"])]) == [[], ["a"], ["b", "c"]]


def test_the_built_in_text_holds_new_names_in_its_test_part():
    training, test = entities(), entities("test")
    assert training.sentences == entities().sentences and training.tokens > 1000
    known = {token for sentence in training.sentences for token in sentence}
    named = [t for sentence, tags in zip(test.sentences, test.tags) for t, tag in zip(sentence, tags) if tag != "O"]
    new = [token for token in named if token not in known]
    assert len(new) > 30
    assert {tag for tags in training.tags for tag in tags} == {tag for tags in test.tags for tag in tags}
