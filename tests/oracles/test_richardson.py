"""Richardson's extrapolation: accurate where f is smooth, honest where it is not."""

import numpy as np
import pytest

from backproof.errors import DtypeError, NonFiniteError, ShapeError
from backproof.oracles import assert_agree, richardson, richardson_directional, verdict
from oracles.functions import POINT, SMOOTH, relu


@pytest.mark.parametrize(("f", "gradient"), SMOOTH)
def test_smooth_gradients_to_ten_digits_with_an_honest_error(f, gradient):
    numeric, errors = richardson(f, POINT)
    wanted = gradient(POINT)
    assert assert_agree(numeric, wanted, tolerance=1e-10).zeros == 0
    for name in POINT:
        assert (np.abs(numeric[name] - wanted[name]) <= 10 * errors[name]).all()
        assert verdict(wanted[name], numeric[name], errors[name], tolerance=1e-8) == "pass"
        assert verdict(1.001 * wanted[name], numeric[name], errors[name], tolerance=1e-8) == "fail"


@pytest.mark.parametrize(("f", "gradient"), SMOOTH)
def test_a_direction_sums_gradient_times_direction(f, gradient):
    direction = {"x": np.array([10.0, -20.0, 5.0]), "b": np.array([0.3, 0.7])}
    wanted = sum((gradient(POINT)[name] * direction[name]).sum() for name in direction)
    slope, error = richardson_directional(f, POINT, direction)
    assert verdict([wanted], [slope], [error], tolerance=1e-8) == "pass"


def test_names_and_entries_choose_what_is_computed():
    f, gradient = SMOOTH[1]
    numeric, errors = richardson(f, POINT, names=["x"], entries={"x": [2, 0]})
    assert list(numeric) == list(errors) == ["x"] and errors["x"].shape == (2,)
    assert_agree(numeric["x"], gradient(POINT)["x"][[2, 0]], tolerance=1e-9)


@pytest.mark.parametrize("distance", [0.0, 1e-12, 1e-9, 1e-7, 1e-5, 1e-4, 1e-3, 0.02])
def test_a_kink_within_the_steps_never_passes_a_wrong_slope_and_never_convicts_a_right_one(distance):
    for side in (1, -1):
        numeric, errors = richardson(lambda p: relu(p) + (p["x"] ** 2).sum(), {"x": np.array([side * distance])})
        slopes = {0.0, 1.0} if distance == 0 else {float(side > 0)}
        for slope in slopes:
            analytic = np.array([slope + 2 * side * distance])
            assert verdict(analytic, numeric["x"], errors["x"], tolerance=1e-8) != "fail"
        assert verdict([0.5], numeric["x"], errors["x"], tolerance=1e-8) != "pass"


def test_a_kink_far_off_does_no_harm():
    numeric, errors = richardson(relu, {"x": np.array([-0.01, 0.01, -3.0, 3.0])})
    assert verdict([0.0, 1.0, 0.0, 1.0], numeric["x"], errors["x"], tolerance=1e-8) == "pass"


def test_a_jump_is_never_green():
    numeric, errors = richardson(lambda p: np.floor(p["x"]).sum(), {"x": np.array([2.0])})
    assert verdict([0.0], numeric["x"], errors["x"], tolerance=1e-8, scale=1.0) != "pass"


def test_rounding_sets_the_floor_of_the_error():
    _, errors = richardson(lambda p: 1e6 + 0.0 * p["x"].sum(), {"x": np.array([1.0])})
    assert errors["x"][0] > 1e-12
    numeric, errors = richardson(lambda p: p["x"].sum(), {"x": np.array([1.0])})
    assert 0 < errors["x"][0] < 1e-10 and abs(numeric["x"][0] - 1) < 1e-12


def test_single_precision_is_refused():
    with pytest.raises(DtypeError, match="float32"):
        richardson(lambda p: p["x"].astype(np.float32).sum(), POINT)
    with pytest.raises(DtypeError, match="complex"):
        richardson(lambda p: p["x"].sum() + 0j, POINT)


def test_a_function_that_is_nan_at_a_step_is_refused():
    with pytest.raises(NonFiniteError), np.errstate(invalid="ignore"):
        richardson(lambda p: np.log(p["x"]).sum(), {"x": np.array([1e-5])})


def test_a_vector_is_no_scalar_and_an_array_of_one_is():
    with pytest.raises(ShapeError):
        richardson(lambda p: p["x"], POINT)
    assert richardson(lambda p: p["x"][:1], POINT)[0]["x"].shape == (3,)


def test_parameters_stay_as_they_are_whatever_the_function_does():
    def overwrites(p):
        p["x"] *= 2
        return (p["x"] ** 2).sum()

    theta = {"x": np.array([1.0, 2.0])}
    assert_agree(richardson(overwrites, theta)[0]["x"], np.array([8.0, 16.0]), tolerance=1e-10)
    assert theta["x"].tolist() == [1.0, 2.0]


def test_a_steep_function_is_inconclusive_or_right_and_never_wrongly_green():
    for steep in (1.0, 30.0, 300.0, 3000.0):
        f = lambda p, steep=steep: np.tanh(steep * (p["x"] - 0.1)).sum()  # noqa: E731
        x = np.linspace(0.05, 0.15, 11)
        numeric, errors = richardson(f, {"x": x})
        right = steep / np.cosh(steep * (x - 0.1)) ** 2
        assert verdict(right, numeric["x"], errors["x"], tolerance=1e-8) != "fail"
        assert verdict(1.01 * right, numeric["x"], errors["x"], tolerance=1e-8) != "pass"
