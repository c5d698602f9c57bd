"""Truncated gradients are checked like all others: against the function whose states are held at the borders."""

import numpy as np
import pytest
from check.programs import Recurrent

from backproof.check import check_gradients
from backproof.errors import OptionError


def problem(mistake="", window=2, last=False):
    rng = np.random.default_rng(6)
    program = Recurrent(3, 4, 2, mistake, last=last, window=window)
    X, y = rng.normal(size=(5, 6, 3)), rng.normal(size=(5, 2) if last else (5, 6, 2))
    return program, X, y, program.start(rng)


@pytest.mark.parametrize("window", [1, 2, 3, 6])
@pytest.mark.parametrize("last", [False, True])
def test_a_right_truncated_gradient_passes(window, last):
    program, X, y, p = problem(window=window, last=last)
    report = check_gradients((program.loss, program.gradient), X, y, at=p, like=program.spec(), truncation=window)
    assert report, report


def test_a_truncated_gradient_is_not_the_full_one():
    program, X, y, p = problem()
    assert check_gradients((program.loss, program.gradient), X, y, at=p).verdict == "fail"


def test_a_leak_past_the_window_is_found_and_named():
    program, X, y, p = problem("leak")
    report = check_gradients((program.loss, program.gradient), X, y, at=p, like=program.spec(), truncation=2)
    assert report.verdict == "fail" and [cause.key for cause in report.causes] == ["truncation leaks"]


def test_truncation_needs_a_twin_and_a_length():
    program, X, y, p = problem()
    with pytest.raises(OptionError, match="through a twin"):
        check_gradients((program.loss, program.gradient), X, y, at=p, truncation=2)
    with pytest.raises(OptionError, match="truncation=0"):
        check_gradients((program.loss, program.gradient), X, y, at=p, like=program.spec(), truncation=0)


# ------------------------------------------------------------------------------- truncation and ragged lengths together

LENGTHS = np.array([1, 6, 2, 3, 5])
PLANTED = [("dW overwritten", "only the first step"), ("dU overwritten", "only the first step"),
           ("later error forgotten", "later step's error forgotten"), ("U not transposed", "weights not transposed"),
           ("leak", "truncation leaks"), ("h of the same step", "state of the same step")]
OF_ENDS = {False: [("padding counted in the loss", "padding counted")],
           True: [("padding counted in the state", "padding counted"), ("held state cut", "held state cut")]}


def ragged(mistake, window, last):
    rng = np.random.default_rng(6)
    program = Recurrent(3, 4, 2, mistake, last=last, window=window, mask=(np.arange(6) < LENGTHS[:, None]) * 1.0)
    X, y = rng.normal(size=(5, 6, 3)), rng.normal(size=(5, 2) if last else (5, 6, 2))
    return check_gradients((program.loss, program.gradient), X, y, at=program.start(rng), like=program.spec(), truncation=window,
                           mask=program.mask, seed=0)


@pytest.mark.parametrize("window", [1, 2, 4, 6])
@pytest.mark.parametrize("last", [False, True])
def test_a_right_truncated_gradient_of_ragged_sequences_passes(window, last):
    assert ragged("", window, last).verdict == "pass"


@pytest.mark.parametrize("last, mistake, name", [(last, *row) for last in (False, True) for row in (*PLANTED, *OF_ENDS[last])])
def test_mistakes_are_caught_and_named_with_truncation_and_ragged_lengths(last, mistake, name):
    report = ragged(mistake, 2, last)
    assert report.verdict == "fail"
    assert name in [key for cause in report.causes for key in (cause.key, *cause.values.get("also", ()))], report
