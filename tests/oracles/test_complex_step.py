"""The complex step: exact to rounding where f is analytic, refusals where imaginary parts get lost."""

import numpy as np
import pytest

from backproof.errors import DtypeError, NonFiniteError, OptionError, ShapeError
from backproof.oracles import assert_agree, complex_step, complex_step_directional
from oracles.functions import POINT, SMOOTH, relu


@pytest.mark.parametrize(("f", "gradient"), SMOOTH)
def test_gradients_are_exact_to_rounding(f, gradient):
    assert assert_agree(complex_step(f, POINT), gradient(POINT), tolerance=1e-14).zeros == 0


@pytest.mark.parametrize(("f", "gradient"), SMOOTH)
def test_a_direction_sums_gradient_times_direction(f, gradient):
    direction = {"x": np.array([1.0, -2.0, 0.5]), "b": np.array([0.3, 0.7])}
    wanted = sum((gradient(POINT)[name] * direction[name]).sum() for name in direction)
    assert_agree(complex_step_directional(f, POINT, direction), wanted, tolerance=1e-13)
    only = (gradient(POINT)["b"] * direction["b"]).sum()
    assert_agree(complex_step_directional(f, POINT, {"b": direction["b"]}), only, tolerance=1e-13)


def test_names_and_entries_choose_what_is_computed():
    f, gradient = SMOOTH[0]
    calls = []
    result = complex_step(lambda p: calls.append(1) or f(p), POINT, names=["x"], entries={"x": [2, 0]})
    assert list(result) == ["x"] and len(calls) == 2
    assert_agree(result["x"], gradient(POINT)["x"][[2, 0]], tolerance=1e-13)
    matrix = complex_step(lambda p: (p["W"] ** 2).sum(), {"W": np.arange(6.0).reshape(2, 3)}, entries={"W": [5]})
    assert matrix["W"].tolist() == [10.0]


def test_a_function_that_returns_reals_is_refused():
    for drop in (np.abs, np.real, lambda z: z.real.astype(np.float32)):
        with pytest.raises(DtypeError, match="imaginary"):
            complex_step(lambda p, drop=drop: drop(p["x"]).sum(), POINT)


def test_a_warning_of_a_dropped_imaginary_part_is_an_error():
    def drops(p):
        buffer = np.zeros(3)
        buffer[:] = p["x"]
        return buffer.sum() + 0j * p["b"].sum()

    with pytest.raises(DtypeError, match="imaginary"):
        complex_step(drops, POINT)


def test_narrow_complex_numbers_are_refused():
    with pytest.raises(DtypeError, match="complex64"):
        complex_step(lambda p: p["x"].sum().astype(np.complex64), POINT)


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(NonFiniteError), np.errstate(all="ignore"):
        complex_step(lambda p: p["x"].sum() / 0.0, POINT)
    with pytest.raises(NonFiniteError, match="'x'"):
        complex_step(relu, {"x": np.array([1.0, np.nan])})


def test_a_vector_is_no_scalar():
    with pytest.raises(ShapeError):
        complex_step(lambda p: p["x"], POINT)


def test_a_kink_takes_the_branch_of_the_real_part():
    x = np.array([-1.0, 0.0, 2.0])
    assert complex_step(relu, {"x": x})["x"].tolist() == [0.0, 0.0, 1.0]


def test_parameters_stay_as_they_are_whatever_the_function_does():
    def overwrites(p):
        p["x"] *= 2
        return (p["x"] ** 2).sum()

    theta = {"x": np.array([1.0, 2.0])}
    assert_agree(complex_step(overwrites, theta)["x"], np.array([8.0, 16.0]), tolerance=1e-15)
    assert theta["x"].tolist() == [1.0, 2.0]


def test_parameters_of_other_kinds():
    assert complex_step(lambda p: (p["x"] ** 2).sum(), {"x": np.float32([3])})["x"].tolist() == [6.0]
    assert complex_step(lambda p: p["c"] ** 2, {"c": 3})["c"].shape == ()
    with pytest.raises(DtypeError):
        complex_step(lambda p: p["x"].sum(), {"x": np.array([1j])})


@pytest.mark.parametrize("more", [{"names": ["y"]}, {"names": []}, {"entries": {"x": [3]}}, {"entries": {"x": [-1]}},
                                  {"entries": {"x": [0.5]}}, {"names": ["b"], "entries": {"x": [0]}}, {"h": 0}])
def test_wrong_choices_are_refused(more):
    with pytest.raises(OptionError):
        complex_step(SMOOTH[0][0], POINT, **more)


def test_wrong_directions_are_refused():
    f = SMOOTH[0][0]
    for direction in ({}, {"x": np.zeros(3)}, {"y": np.ones(3)}):
        with pytest.raises(OptionError):
            complex_step_directional(f, POINT, direction)
    with pytest.raises(ShapeError):
        complex_step_directional(f, POINT, {"x": np.ones(2)})
    with pytest.raises(OptionError):
        complex_step(f, {})
