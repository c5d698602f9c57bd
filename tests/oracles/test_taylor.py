"""The Taylor test: slope 2 for a right gradient, 1 for a wrong one."""

import numpy as np
import pytest

from backproof.errors import OptionError, ShapeError
from backproof.oracles import taylor
from oracles.functions import POINT, SMOOTH

DIRECTION = {"x": np.array([1.0, -0.4, 0.6]), "b": np.array([0.5, -1.0])}


@pytest.mark.parametrize(("f", "gradient"), SMOOTH)
def test_a_right_gradient_has_slope_two(f, gradient):
    result = taylor(f, POINT, gradient(POINT), DIRECTION)
    assert result.verdict == "pass" and 1.9 <= result.slope <= 2.1


@pytest.mark.parametrize("wrong", [0.0, 0.5, 0.9, 1.1, -1.0])
@pytest.mark.parametrize(("f", "gradient"), SMOOTH)
def test_a_wrong_gradient_has_slope_one(f, gradient, wrong):
    scaled = {name: wrong * g for name, g in gradient(POINT).items()}
    result = taylor(f, POINT, scaled, DIRECTION)
    assert result.verdict == "fail" and result.slope < 1.5


@pytest.mark.parametrize(("f", "gradient"), SMOOTH)
def test_a_slightly_wrong_gradient_does_not_pass(f, gradient):
    scaled = {name: 0.999 * g for name, g in gradient(POINT).items()}
    assert taylor(f, POINT, scaled, DIRECTION).verdict != "pass"


def test_a_linear_function_passes_by_rounding_and_fails_when_wrong():
    f = lambda p: 3 * p["x"].sum()  # noqa: E731
    assert taylor(f, POINT, {"x": np.full(3, 3.0)}, {"x": np.ones(3)}).verdict == "pass"
    result = taylor(f, POINT, {"x": np.full(3, 3.001)}, {"x": np.ones(3)})
    assert result.verdict == "fail" and result.slope == pytest.approx(1, abs=1e-3)


def test_a_function_without_curvature_is_inconclusive():
    assert taylor(lambda p: (p["x"] ** 3).sum(), {"x": [0.0]}, {"x": [0.0]}, {"x": [1.0]}).verdict == "inconclusive"


def test_a_gradient_that_is_no_number_fails():
    assert taylor(SMOOTH[0][0], POINT, {"b": np.array([np.nan, 1.0])}, {"b": np.ones(2)}).verdict == "fail"


def test_wrong_arguments_are_refused():
    f, gradient = SMOOTH[0]
    with pytest.raises(OptionError):
        taylor(f, POINT, {}, DIRECTION)
    with pytest.raises(OptionError):
        taylor(f, POINT, gradient(POINT), {"x": np.zeros(3)})
    with pytest.raises(OptionError):
        taylor(f, POINT, gradient(POINT), DIRECTION, steps=(1e-3, 1e-2))
    with pytest.raises(ShapeError):
        taylor(f, POINT, {"x": np.ones(1), "b": np.ones(2)}, DIRECTION)
