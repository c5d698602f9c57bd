"""The commands check, exercise and grade, run as a user runs them."""

import json

import pytest

from backproof.cli import main

USERS = """
import numpy as np
def right(w=np.array([1.0, 2.0]), b=0.5):
    return (w ** 3).sum() * b, {"w": 3 * w ** 2 * b, "b": (w ** 3).sum()}
def wrong(w=np.array([1.0, 2.0])):
    return (w ** 3).sum(), {"w": 6 * w ** 2}
"""


@pytest.fixture
def run(capsys):
    def call(*arguments):
        code = main([str(a) for a in arguments])
        told = capsys.readouterr()
        return code, told.out, told.err
    return call


@pytest.fixture
def users(tmp_path):
    path = tmp_path / "users.py"
    path.write_text(USERS)
    return path


def test_a_right_gradient_exits_with_0_and_a_wrong_one_with_1_and_its_cause(run, users):
    assert run("check", f"{users}:right", "--seed", "0")[0] == 0
    code, out, _ = run("check", f"{users}:wrong", "--seed", "0")
    assert code == 1 and "fail" in out and "2" in out
    data = json.loads(run("check", f"{users}:wrong", "--seed", "0", "--json")[1])
    assert data["verdict"] == "fail"


def test_the_page_of_a_check_is_written_once(run, users, tmp_path):
    page = tmp_path / "check.html"
    assert run("check", f"{users}:right", "--html", page)[0] == 0 and page.read_text().lstrip().startswith("<!")
    assert run("check", f"{users}:right", "--html", page)[0] == 73


def test_nothing_to_check_and_unknown_names_are_usage_errors(run, users):
    for arguments in ([], [f"{users}:absent"], ["nowhere:f"]):
        code, _, err = run("check", *arguments)
        assert code == 2 and err.startswith("error:")


def test_an_exercise_is_marked_line_by_line(run, tmp_path):
    file = tmp_path / "answer.py"
    assert run("exercise", "3 | 3 sigmoid | 1", "--seed", "4", "--out", file)[0] == 0
    assert run("grade", file)[0] == 1 and json.loads(run("grade", file, "--json")[1])["marks"]
    from backproof.check.exercises import solution
    text = file.read_text()
    head = next(line for line in text.splitlines() if line.startswith("# backproof exercise "))
    right = solution("3 | 3 sigmoid | 1")
    mine = next(line for line in right.splitlines() if line.startswith("# backproof exercise "))
    file.write_text(right.replace(mine, head))
    assert run("grade", file)[0] == 0


def test_a_saved_model_is_checked_on_its_table(run, tmp_path):
    out = tmp_path / "run"
    assert run("train", "iris", "--layers", "4 tanh", "--epochs", "2", "--out", out, "--quiet")[0] == 0
    assert run("check", out / "model.safetensors", "iris", "--seed", "1")[0] == 0
    code, _, err = run("check", out / "model.safetensors")
    assert code == 2 and "checked on data" in err
