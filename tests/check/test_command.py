"""The functions behind the commands, the pages, the cost meter, the pytest fixture and mutation scores."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import backproof
from backproof.check import check_gradients
from backproof.check.command import check_functions, check_model, cost_of, load
from backproof.check.scores import mutation_score
from backproof.errors import FileProblem, OptionError
from backproof.model import Model
from backproof.network import Network

SOURCE = str(Path(backproof.__file__).parents[1])
USERS = """
import numpy as np
X = np.arange(12.0).reshape(4, 3) / 10
theta = {"w": np.array([0.1, -0.2, 0.3])}
def right(w=np.array([1.0, 2.0]), b=0.5):
    return (w ** 3).sum() * b, {"w": 3 * w ** 2 * b, "b": (w ** 3).sum()}
def wrong(w=np.array([1.0, 2.0])):
    return (w ** 3).sum(), {"w": 6 * w ** 2}
def loss(p): return np.tanh(X @ p["w"]).sum()
def grad(p): return {"w": X.T @ (1 - np.tanh(X @ p["w"]) ** 2)}
"""


@pytest.fixture
def users(tmp_path):
    path = tmp_path / "users_module.py"
    path.write_text(USERS)
    return str(path)


def test_a_function_that_returns_both_is_checked_at_its_defaults(users):
    outcome = check_functions(f"{users}:right")
    assert outcome.exit_code == 0 and outcome.text.startswith("right of loss: pass")
    outcome = check_functions(f"{users}:wrong", language="zh")
    assert outcome.exit_code == 1 and "错误" in outcome.text and outcome.data["causes"]
    assert json.loads(json.dumps(outcome.data))["verdict"] == "fail"


def test_loss_and_gradient_by_name(users):
    assert check_functions(loss=f"{users}:loss", grad=f"{users}:grad", at=f"{users}:theta").exit_code == 0


def test_names_that_lead_nowhere_are_explained(users, tmp_path):
    with pytest.raises(OptionError, match="it has .*right"):
        load(f"{users}:nothing")
    with pytest.raises(OptionError, match="names no object"):
        load("numpy")
    with pytest.raises(OptionError, match="no module"):
        load("no_such_module_here:f")
    with pytest.raises(FileProblem):
        load(str(tmp_path / "none.py") + ":f")
    with pytest.raises(OptionError, match="nothing to check"):
        check_functions()


def test_a_model_is_checked_on_a_few_rows_and_measured():
    rng = np.random.default_rng(0)
    model = Model(Network("4 | 5 tanh | 2", l2=0.1), seed=0, dtype="float64")
    X, y = rng.normal(size=(30, 4)), rng.normal(size=(30, 2))
    assert check_model(model, X, y).exit_code == 0
    cost = cost_of(model, X, y, seconds=1.0)
    assert "N + 1 = 38 forward passes" in cost.text and cost.html.startswith("<svg") and cost.data["parameters"] == 37


def test_a_broken_model_fails_and_its_own_network_is_the_twin():
    class Broken(Model):
        def gradients(self, X, y, sample_weight=None):
            found = dict(super().gradients(X, y, sample_weight))
            return {**found, "W1": found["W1"] * len(X)}
    rng = np.random.default_rng(0)
    model = Broken(Network("4 | 5 tanh | 2"), seed=0, dtype="float64")
    report = check_gradients(model, rng.normal(size=(6, 4)), rng.normal(size=(6, 2)))
    assert report.verdict == "fail" and report.causes[0].key == "1/m missing" and report.causes[0].tier == "twin"


def test_the_page_escapes_names_and_loads_nothing(tmp_path):
    report = check_gradients((lambda p: (p["<b>"] ** 2).sum(), lambda p: {"<b>": p["<b>"]}), at={"<b>": np.ones(2)})
    for language in ("en", "zh"):
        html = report.to_html(language=language)
        assert "<b>&lt;" not in html and "&lt;b&gt;" in html and "http" not in html.replace("http-equiv", "")
    path = tmp_path / "report.html"
    report.to_html(path)
    assert path.read_text("utf-8") == report.to_html()


def test_every_sentence_exists_in_both_languages_with_the_same_places():
    import string

    from backproof.check.words import WORDS
    from backproof.derive.mutations import MUTATIONS
    assert set(MUTATIONS) <= set(WORDS)
    for key, (english, chinese) in WORDS.items():
        places = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in (english, chinese)]
        assert places[0] == places[1], key


def test_the_pytest_fixture_passes_right_gradients_and_keeps_reports_of_wrong_ones(tmp_path):
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["backproof.check.fixture"]\n')
    (tmp_path / "test_mine.py").write_text(textwrap.dedent("""
        import numpy as np
        def test_right(gradients): gradients((lambda w: (w ** 2).sum(), lambda w: 2 * w), at=np.ones(3))
        def test_wrong(gradients): gradients((lambda w: (w ** 2).sum(), lambda w: w), at=np.ones(3))
    """))
    run = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--gradient-reports", "reports"],
                         cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": SOURCE})
    assert "1 failed, 1 passed" in run.stdout and "a factor 2 is missing" in run.stdout
    assert [path.suffix for path in (tmp_path / "reports").iterdir()] == [".html"]


def test_a_mutation_score_tells_what_the_tests_miss():
    class Mine:
        @staticmethod
        def gradient(w):
            return {"w": 2 * w, "b": np.array([1.0])}

    def weak():
        assert np.isfinite(Mine.gradient(np.arange(1.0, 4.0))["w"]).all()

    def strong():
        w = np.arange(1.0, 4.0)
        assert check_gradients((lambda p: (p["w"] ** 2).sum() + p["b"].sum(), lambda p: Mine.gradient(p["w"])),
                               at={"w": w, "b": np.ones(1)})
    assert mutation_score(weak, Mine).value == 0
    score = mutation_score(strong, Mine)
    assert score.value == 1 and not score.missed, score.to_text()
    assert Mine.gradient(np.ones(1))["w"][0] == 2
    with pytest.raises(OptionError, match="fail without"):
        mutation_score(lambda: False, Mine)
