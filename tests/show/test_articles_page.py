"""docs/articles.md: every formula in the printed column is a line that the call above its table prints."""

import re
from pathlib import Path

import pytest

from backproof import Network

PAGE = (Path(__file__).parents[2] / "docs" / "articles.md").read_text("utf-8")
TABLES = re.findall(r"^`(Network\(.*\))`\n\n((?:\|.*\n)+)", PAGE, re.M)


def test_every_article_has_its_tables():
    assert len(TABLES) == 13 and all(f"## {article}. " in PAGE for article in "ABCDE")


@pytest.mark.parametrize("call, table", TABLES, ids=[call for call, _ in TABLES])
def test_every_printed_formula_is_printed(call, table):
    printed = re.sub(" +", " ", eval(call, {"Network": Network}))
    rows = [row.split(" | ") for row in table.strip().split("\n")[2:]]
    assert rows
    for row in rows:
        formula = next(cell for cell in row if cell.startswith("`"))
        assert re.search(re.escape(formula.strip("`")) + r"( [✓a-z]|\n|$)", printed), formula


def test_every_mistake_of_the_articles_is_marked():
    assert PAGE.count("**[!]**") == 14
