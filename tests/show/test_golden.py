"""The articles' own networks in every form, layout, notation, format and language: the prints that people have read."""

import pytest
from show.published import EXTENSIONS, GOLDEN, NETWORKS, joined, prints, without_errors


@pytest.mark.parametrize("name", NETWORKS)
def test_the_article_s_network_prints_as_it_was_read(name):
    for file, parts in prints(name).items():
        kept = (GOLDEN / file).read_text("utf-8")
        assert without_errors(joined(parts)) == kept, f"{file} differs; see tests/show/published.py"


def test_no_golden_file_is_left_over():
    made = {f"{name}.{extension}" for name in NETWORKS for extension in EXTENSIONS.values()}
    assert {path.name for path in GOLDEN.iterdir()} == made
