"""Names that want to act stay text, in every format (section M: script, \\input, ANSI escapes, bidi overrides, length)."""

import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from backproof.calculus import SAMPLE, Index, System, Variable, elementwise, sigmoid, square, tanh, total
from backproof.derivation import Derivation

NAMES = {
    "script": "<script>alert(1)</script>", "attribute": '"><img src=x onerror=alert(1)>', "javascript": "javascript:alert(1)",
    "comment end": "*/ int main(void) { return 1; } /*", "trigraph": "what??/", "href": r"\href{javascript:alert(1)}{x}",
    "input": r"\input{/etc/passwd}", "write": r"\write18{touch /tmp/owned}", "signs": "$ % & # _ ^ ~ { } \\", "rule": r"\rule{999em}{999em}",
    "def": r"\def\x{\x\x}\x", "ansi": "\x1b[31mred\x1b[0m", "bidi": "abc\u202edef\u2066", "zero width": "a\u200bb\ufeffc",
    "newline": "a\nimport os\nos.abort()", "quotes": "\"\"\"' + str(1) + '", "long": "w" * 10_000, "markdown": "[x](http://x) `y` **z** | <b>",
    "chinese": "权重",
}


def derivation(name):
    """A system whose input, parameter, layer and activation all carry the name."""
    i, j = Index("in", 3, letter="i"), Index("out", 2, letter="j")
    x, y = Variable(f"{name} x", (SAMPLE, i)), Variable("y", (SAMPLE, j), "target")
    odd = elementwise(name, value=lambda v: v * sigmoid(v) + tanh(v))
    s = System()
    z = s.define(f"{name}.z", total(x * Variable(f"{name}.W", (i, j), "parameter"), over=i), role="pre_activation", layer=name)
    a = s.define(f"{name}.a", odd(z), role="activation", layer=name)
    s.define("E", total(square(a - y), over=j) / 2, role="sample_loss")
    s.define("J", total(s.ref("E"), over=SAMPLE) / 3, role="objective")
    s.aliases["prediction"] = f"{name}.a"
    return Derivation.of(s, {"E": 1}, [f"{name}.W"])


class Page(HTMLParser):
    ALLOWED = set("""html head meta title style body main h1 h2 p table tr td th figure svg g line circle text math semantics
        annotation mrow mi mn mo mtext mfrac msub msup msubsup munder mover mtable mtr mtd mstyle""".split())

    def __init__(self, text):
        super().__init__()
        self.odd = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        bad = [name for name, value in attributes if name.startswith("on") or name in ("src", "href") or "javascript" in (value or "")]
        if tag not in self.ALLOWED or bad:
            self.odd.append((tag, bad))


@pytest.mark.parametrize("kind", NAMES)
def test_html_keeps_a_hostile_name_as_text(kind):
    text = derivation(NAMES[kind]).to_html(article=True, names="layers")
    assert Page(text).odd == []
    assert "default-src 'none'" in text and len(text) < 5_000_000


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("article", [False, True])
def test_a_terminal_gets_no_control_or_bidirectional_character(kind, article):
    text = derivation(NAMES[kind]).to_text(article=article, names="layers")
    assert re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]", text) is None
    assert max(map(len, text.split("\n"))) < 2_000


@pytest.mark.parametrize("kind", NAMES)
def test_latex_has_no_command_of_a_name_s_making(kind):
    text = derivation(NAMES[kind]).to_latex(article=True, names="layers")
    for command in (r"\input", r"\write", r"\href", r"\rule", r"\def\x"):
        assert command not in text
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


@pytest.mark.parametrize("kind", NAMES)
def test_markdown_has_no_markup_of_a_name_s_making(kind):
    text = derivation(NAMES[kind]).to_markdown(article=True, names="layers")
    assert "<script" not in text and "<img" not in text
    outside = re.sub(r"(?<!\\)\$\$.*?(?<!\\)\$\$|(?<!\\)\$.*?(?<!\\)\$", "", text, flags=re.S)
    assert "](http" not in outside


@pytest.mark.parametrize("kind", NAMES)
def test_printed_python_runs_and_does_nothing_else(kind):
    made = {}
    exec(compile(derivation(NAMES[kind]).to_python(names="layers"), "printed.py", "exec"), made)
    assert {"backpropagation", "update"} <= set(made) and "os" not in made


@pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc here")
@pytest.mark.parametrize("kind", NAMES)
def test_printed_c_compiles_without_a_warning(kind, tmp_path):
    source = tmp_path / "printed.c"
    source.write_text(derivation(NAMES[kind]).to_c(names="layers"), encoding="utf-8")
    run = subprocess.run(["gcc", "-Wall", "-Wextra", "-std=c99", "-Werror", "-c", str(source), "-o", str(tmp_path / "o.o")],
                         capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


@pytest.mark.long
@pytest.mark.skipif(shutil.which("xelatex") is None, reason="there is no xelatex here")
@pytest.mark.parametrize("kind", NAMES)
def test_a_real_latex_takes_a_hostile_name(kind, tmp_path):
    (tmp_path / "article.tex").write_text(derivation(NAMES[kind]).to_latex(article=True, names="layers"), encoding="utf-8")
    run = subprocess.run(["xelatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "article.tex"], cwd=tmp_path,
                         capture_output=True, text=True, errors="replace")
    assert run.returncode == 0, run.stdout[-2000:]
