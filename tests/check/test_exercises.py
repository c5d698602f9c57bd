"""Exercises: one line is wrong and only that line is marked; the solution is all right; blanks are told."""

import pytest

from backproof.check.exercises import exercise, grade, solution
from backproof.errors import FileProblem, OptionError

NETWORKS = [("3 | 3 sigmoid | 1", "squared_error", 0.0), ("4 | 5 tanh | 3 relu | 2 softmax", "cross_entropy", 0.1),
            ("4 | 5 softplus | 3 sigmoid", "binary_cross_entropy", 0.0), ("3 | 4 relu | 2 softmax", "squared_error", 0.0)]


def marked(tmp_path, text):
    path = tmp_path / "answer.py"
    path.write_text(text)
    return grade(str(path))


@pytest.mark.parametrize("spec, loss, l2", NETWORKS)
def test_the_solution_is_all_right(tmp_path, spec, loss, l2):
    outcome = marked(tmp_path, solution(spec, loss=loss, l2=l2))
    assert outcome.exit_code == 0 and outcome.data["right"] == outcome.data["of"]


@pytest.mark.parametrize("spec, loss, l2", NETWORKS)
@pytest.mark.parametrize("seed", range(4))
def test_one_planted_mistake_costs_its_own_line_and_no_other(tmp_path, spec, loss, l2, seed):
    text, right = exercise(spec, loss=loss, l2=l2, seed=seed), solution(spec, loss=loss, l2=l2)
    assert text == exercise(spec, loss=loss, l2=l2, seed=seed)
    outcome = marked(tmp_path, text)
    wrong = [mark for mark in outcome.data["marks"] if not mark["right"]]
    changed = [k for k, (a, b) in enumerate(zip(text.splitlines(), right.splitlines()), 1) if a != b and k > 6]
    assert outcome.exit_code == 1 and len(wrong) == 1 and [wrong[0]["line"]] == changed


def test_blanks_are_told_until_they_are_filled(tmp_path):
    spec = "3 | 3 sigmoid | 1"
    text = exercise(spec, kind="blanks", seed=1)
    outcome = marked(tmp_path, text)
    assert outcome.exit_code == 1 and "blank" in outcome.text
    filled = [b if a.endswith("# ?") else a for a, b in zip(text.splitlines(), solution(spec).splitlines())]
    assert marked(tmp_path, "\n".join(filled)).exit_code == 0


def test_what_cannot_be_marked_is_refused_with_the_reason(tmp_path):
    with pytest.raises(FileProblem):
        grade(str(tmp_path / "none.py"))
    with pytest.raises(OptionError, match="no exercise"):
        marked(tmp_path, "x = 1")
    text = solution("3 | 3 sigmoid | 1")
    assert "does not run" in marked(tmp_path, text.replace("return locals()", "raise ValueError('oh')")).text
    assert "cannot be read" in marked(tmp_path, text + "\n(").text
    with pytest.raises(OptionError, match="feedforward"):
        exercise("3 | rnn 4 | last | 2")
