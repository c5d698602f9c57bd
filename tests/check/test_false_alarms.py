"""Right programs pass: no false alarm, and hardly ever "inconclusive"; ReLU and max-margin included."""

import numpy as np
import pytest
from check.programs import draw_right

from backproof.check import check_gradients


def verdicts(count, seed):
    """How often each verdict falls on right programs; every third is checked by differences alone."""
    found = {"pass": 0, "fail": 0, "inconclusive": 0}
    for trial in range(count):
        rng = np.random.default_rng([seed, trial])
        program, X, y, point = draw_right(rng)
        real = trial % 3 == 0                                          # no imaginary part comes through

        def loss(p, f=program.loss, X=X, y=y, real=real):
            return float(f(p, X, y).real) if real else f(p, X, y)

        def gradient(p, f=program.gradient, X=X, y=y):
            return f(p, X, y)
        report = check_gradients((loss, gradient), at=point, seed=trial)
        found[report.verdict] += 1
        assert report.verdict != "fail", (seed, trial, program, str(report))
    return found


def test_no_false_alarm_in_500_right_programs():
    found = verdicts(500, seed=1)
    assert found["fail"] == 0 and found["inconclusive"] < 5


@pytest.mark.long
@pytest.mark.parametrize("part", range(10))
def test_no_false_alarm_in_10000_right_programs(part):
    found = verdicts(1000, seed=100 + part)
    assert found["fail"] == 0 and found["inconclusive"] < 10
