"""The README and the docs say only what runs: every python and console block is executed and its output compared.

A ```python block runs in the names of its page; a ```console block's lines after "$ " run in a shell, in one empty
folder per page. The ```text block after a python block, and the lines after a command, are what is printed: words must
be equal, numbers agree to three digits (or both be rounding, below 1e-12), and "..." stands for anything.

``python tests/test_docs.py FILE`` writes what is printed into the text blocks of a page that say something else.
"""

import contextlib
import io
import math
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
NUMBER = re.compile(r"[+−-]?(?:\d[\d,]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w])")
TOKEN = re.compile(rf"\.\.\.|{NUMBER.pattern}|\w+|[^\w\s]")
RELATIVE, ROUNDING = 2e-3, 1e-12


def agree(expected, printed):
    """Do two texts say the same, up to white space, rounding and what "..." stands for?

    >>> agree("loss 0.1234, 3 rows", "loss  0.12341, 3 rows"), agree("error 1e-17", "error 3e-16")
    (True, True)
    >>> agree("a ... c", "a b c")
    True
    >>> agree("loss 0.1234", "loss 0.1334"), agree("passes", "fails"), agree("a b", "a b c")
    (False, False, False)
    """
    segments, tokens, at = [[]], TOKEN.findall(printed), 0
    for token in TOKEN.findall(expected):
        if token == "...":
            segments.append([])
        else:
            segments[-1].append(token)
    for position, segment in enumerate(segments):
        places = [at] if position == 0 else [len(tokens) - len(segment)] if position == len(segments) - 1 else \
            range(at, len(tokens) - len(segment) + 1)
        found = next((k for k in places if k >= at and _same(segment, tokens[k:k + len(segment)])), None)
        if found is None:
            return False
        at = found + len(segment)
    return at == len(tokens)


def _same(expected, printed):
    return len(expected) == len(printed) and all(a == b or _close(a, b) for a, b in zip(expected, printed))


def _close(a, b):
    if not (NUMBER.fullmatch(a) and NUMBER.fullmatch(b)):
        return False
    a, b = (float(text.replace(",", "").replace("−", "-")) for text in (a, b))
    return math.isclose(a, b, rel_tol=RELATIVE) or max(abs(a), abs(b)) < ROUNDING


def blocks(text):
    """(language, content, position of the content) of every fenced block."""
    return [(found[1], found[2], found.span(2)) for found in BLOCK.finditer(text)]


def run(path):
    """Execute a page; yields (what is printed there, what was printed, the former's position if it is a block)."""
    text = path.read_text(encoding="utf-8")
    names, found, printed = {"__name__": "__docs__"}, blocks(text), None
    for language, content, span in found:
        line = text.count("\n", 0, span[0])
        if language == "python":
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile("\n" * line + content, str(path), "exec"), names)
            printed = out.getvalue()
        elif language == "text" and printed is not None:
            yield content, printed, span
            printed = None
        elif language == "console":
            for command, expected in commands(content):
                done = subprocess.run(command, shell=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                      env=environment(), encoding="utf-8")
                yield expected, done.stdout, None


def commands(content):
    """(command, the lines printed after it) of a console block."""
    parts = re.split(r"^\$ (.*)\n", content, flags=re.M)[1:]
    return list(zip(parts[::2], parts[1::2]))


def environment():
    """The commands of this installation come first in the path; nothing depends on the terminal's width or colours."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**os.environ, "PATH": path, "COLUMNS": "120", "NO_COLOR": "1", "TERM": "dumb", "PYTHONUTF8": "1",
            "PYTHONUNBUFFERED": "1"}


# the Chinese README has the blocks of the English one, which the next test holds
@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "README.zh.md"], ids=lambda page: page.name)
def test_every_block_of_a_page_prints_what_stands_there(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    for expected, printed, _ in run(page):
        assert agree(expected, printed), f"{page.name} says\n{expected}\nand this is printed\n{printed}\n" \
            f"(python tests/test_docs.py {page.relative_to(ROOT)} writes it)"


def test_the_two_readmes_show_the_same_code():
    pages = [blocks((ROOT / name).read_text(encoding="utf-8")) for name in ("README.md", "README.zh.md")]
    english, chinese = ([part for part in page if part[0]] for page in pages)
    assert [part[:2] for part in english] == [part[:2] for part in chinese]


def test_every_relative_link_leads_somewhere():
    for page in PAGES:
        text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(encoding="utf-8"), flags=re.S)
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_a_page_that_says_something_else_is_noticed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```python\nprint('two', 2 + 2)\n```\n\n```text\ntwo 5\n```\n")
    (expected, printed, _), = run(page)
    assert not agree(expected, printed)


def functions_table():
    """The elementwise functions, their derivatives and subgradients, as FUNCTIONS declares them."""
    from backproof.calculus import FUNCTIONS
    rows = ["| function | derivative, y its value | where there is none, taken as |", "| --- | --- | --- |"]
    for name, function in FUNCTIONS.items():
        letters = {f"x{k}": "x" if function.arity == 1 else "abc"[k] for k in range(function.arity)}

        def shown(template):
            return re.sub(r"x\d", lambda found: letters[found[0]], repr(template))          # noqa: B023
        partials = "follows from its value" if function.derivatives is None else \
            "; ".join(f"`{shown(partial)}`" for partial in function.derivatives)
        kinks = ", ".join(f"{value:g} at x = {point:g}" for point, value in function.kinks.items())
        if function.switch is not None and function.arity == 2:
            kinks = "as the formula says at a = b"
        rows.append(f"| `{name}({', '.join(letters.values())})` | {partials} | {kinks or '—'} |")
    return "\n".join(rows) + "\n"


def instructions_table():
    """The instructions as the table declares them."""
    from backproof.lower import INSTRUCTIONS
    rows = ["| instruction | meaning |", "| --- | --- |"]
    return "\n".join([*rows, *(f"| `{name}` | {meaning} |" for name, meaning in INSTRUCTIONS.items())]) + "\n"


def words_table():
    """The words of elementwise lists."""
    from backproof.lower import WORDS
    rows = ["| word | operands | meaning |", "| --- | --- | --- |"]
    return "\n".join([*rows, *(f"| `{name}` | {count} | {meaning.replace('|', chr(92) + '|')} |"
                               for name, (count, meaning) in WORDS.items())]) + "\n"


def storages_table():
    """Where values lie."""
    from backproof.lower.instructions import STORAGES
    rows = ["| storage | what lies there |", "| --- | --- |"]
    return "\n".join([*rows, *(f"| `{name}` | {meaning} |" for name, meaning in STORAGES.items())]) + "\n"


TABLES = {"functions": functions_table, "instructions": instructions_table, "words": words_table,
          "storages": storages_table}
TABLE = re.compile(r"(<!-- table: (\w+) -->\n)(.*?)(<!-- end -->)", re.S)


def test_every_table_of_the_docs_is_what_the_code_declares():
    seen = set()
    for page in PAGES:
        for _, name, content, _ in TABLE.findall(page.read_text(encoding="utf-8")):
            assert content == TABLES[name](), f"{page.name}, table {name}: run python tests/test_docs.py {page}"
            seen.add(name)
    assert seen == set(TABLES)


def fill(path):
    """Write what is printed into the text blocks of a page that say something else, and its tables."""
    path = Path(path).resolve()
    os.environ.update(environment())
    os.chdir(tempfile.mkdtemp())
    path.write_text(TABLE.sub(lambda found: found[1] + TABLES[found[2]]() + found[4], path.read_text(encoding="utf-8")))
    text = path.read_text(encoding="utf-8")
    wrong = [(span, printed) for expected, printed, span in run(path)
             if span and not agree(expected, printed)]
    for (start, end), printed in reversed(wrong):
        text = text[:start] + "\n".join(line.rstrip() for line in printed.rstrip("\n").split("\n")) + "\n" + text[end:]
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    for page in [Path(name).resolve() for name in sys.argv[1:]]:
        fill(page)
