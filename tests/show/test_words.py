"""Every phrase exists in both languages and is used."""

import re
from pathlib import Path

import pytest
from show.published import NETWORKS, derivation

from backproof.show.words import LANGUAGES, WORDS

SOURCE = Path(__file__).parents[2] / "src" / "backproof"


def test_every_phrase_has_both_languages():
    for key, phrases in WORDS.items():
        assert len(phrases) == len(LANGUAGES) and all(phrases), key
        assert key == "softmax" or phrases[0] != phrases[1], key


def test_every_phrase_is_used_somewhere():
    source = "".join(path.read_text("utf-8") for path in SOURCE.rglob("*.py") if path.name != "words.py")
    unused = [key for key in WORDS if f'"{key}"' not in source]
    assert set(unused) <= {"state", "sample_loss", "loss", "penalty", "objective", "update"}          # asked for by role


@pytest.mark.parametrize("name", NETWORKS)
def test_a_chinese_article_has_no_english_prose(name):
    text = derivation(name).to_markdown(article=True, language="zh")
    prose = re.sub(r"\$\$.*?\$\$|\$.*?\$|```.*?```", "", text, flags=re.S)
    words = set(re.findall(r"[A-Za-z]{3,}", prose))
    assert words <= {"sigmoid", "tanh", "softmax", "nobias", "window", "vocabulary", "embedding", "relu", "squared", "error", "pairwise",
                     "margin", "binary", "cross", "entropy"}, words
