"""The pytest fixture. In a conftest.py: ``pytest_plugins = ["backproof.check.fixture"]``.

    def test_my_layer(gradients):
        gradients((loss, gradient), X, y, at=parameters)

A failing report is kept as HTML in the folder that ``--gradient-reports`` names.
"""

import re
from pathlib import Path

import pytest

__all__ = ["gradients"]


def pytest_addoption(parser):
    parser.addoption("--gradient-reports", default=None, metavar="DIR", help="where failing gradient checks leave HTML reports")


@pytest.fixture
def gradients(request):
    """assert_gradients with the test's name: the seed of its random directions comes from it, so that failures come back."""
    from . import check_gradients

    def check(target, X=None, y=None, **options):
        options.setdefault("seed", sum(map(ord, request.node.nodeid)))
        report = check_gradients(target, X, y, **options)
        folder = request.config.getoption("--gradient-reports")
        if not report and folder:
            name = re.sub(r"\W+", "_", request.node.nodeid).strip("_")[-120:]
            Path(folder).mkdir(parents=True, exist_ok=True)
            report.to_html(Path(folder) / f"{name}.html")
        if not report:
            pytest.fail(report.to_text(), pytrace=False)
        return report
    return check
