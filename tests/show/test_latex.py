"""LaTeX that a real LaTeX takes: articles in both languages, every form, layout and notation."""

import shutil
import subprocess

import pytest
from show.published import NETWORKS, derivation

from backproof import Network

pytestmark = [pytest.mark.long, pytest.mark.skipif(shutil.which("xelatex") is None, reason="there is no xelatex here")]
STYLES = [{"form": form, "layout": layout, "notation": notation} for form, layout, notation in
          [("index", "sample", "house"), ("matrix", "sample", "C"), ("matrix", "batch", "A"), ("index", "batch", "E"), ("matrix", "sample", "D")]]
RECURRENT = ["3 | lstm 2 | last | 2 softmax", "3 | bi gru 2 | mean | 2 softmax", "embedding 2 vocabulary=5 | rnn 3 | 2 softmax",
             "3 | 4 gelu | layer_norm | 2 softmax"]


def compiles(text, folder):
    (folder / "article.tex").write_text(text, encoding="utf-8")
    run = subprocess.run(["xelatex", "-interaction=nonstopmode", "-halt-on-error", "article.tex"], cwd=folder, capture_output=True,
                         text=True, errors="replace")
    assert run.returncode == 0, run.stdout[-3000:]
    assert "Missing character" not in (folder / "article.log").read_text("utf-8", errors="replace")


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("style", STYLES, ids=lambda style: " ".join(style.values()))
def test_an_article_compiles(name, style, tmp_path):
    compiles(derivation(name).to_latex(article=True, **style), tmp_path)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_chinese_article_compiles(name, tmp_path):
    compiles(derivation(name).to_latex(article=True, language="zh"), tmp_path)


@pytest.mark.parametrize("spec", RECURRENT)
@pytest.mark.parametrize("form", ["index", "matrix"])
def test_an_article_about_a_recurrence_compiles(spec, form, tmp_path):
    compiles(Network(spec, loss="cross_entropy", l2=0.1, l1=0.01).derive().to_latex(article=True, form=form), tmp_path)
