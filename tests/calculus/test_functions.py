"""Every elementwise function: its derivative on a grid of both signs, its kinks, and functions that users declare."""

import numpy as np
import pytest

from backproof.calculus import (FUNCTIONS, SAMPLE, System, Variable, elementwise, exp, maximum, relu, sigmoid, silu, softplus, tanh)
from backproof.derive import sweep
from backproof.engines.reference import Run
from backproof.errors import ExpressionError
from backproof.lower import lower

GRID = np.array([-1e4, -745, -709, -89, -37, -36, -35, -20, -3.3, -1.5, -1, -0.7, -1e-3, -1e-8, 1e-8, 1e-3, 0.3, 1, 1.5, 2.7, 20,
                 36, 37, 89, 709, 745, 1e4])
POSITIVE = {"log", "sqrt"}                             # defined there alone
OVERFLOWS = {"exp", "expm1"}                           # beyond 709 by their nature


def derivative(function, *points):
    """(value, partial derivatives) of a function at arrays of points, through derive, lower and the engine."""
    system, names = System(), "abc"[:function.arity]
    operands = [Variable(name, (SAMPLE,)) for name in names]
    system.define("y", function(*operands))
    swept = sweep(system, {"y": 1}, list(names))
    wanted = [swept.adjoints.get(name) for name in names]
    out = Run(lower(swept.system, ["y", *wanted]), dict(zip(names, points))).outputs()
    return out["y"], [out[name] for name in wanted], lower(system, ["y"])


def by_complex_step(program, names, points, k):
    moved = [p + 1e-30j * (m == k) for m, p in enumerate(points)]
    return Run(program, dict(zip(names, moved)), complex).outputs()["y"].imag / 1e-30


@pytest.mark.parametrize("name", sorted(f for f in FUNCTIONS if FUNCTIONS[f].arity == 1))
def test_the_derivative_is_that_of_the_complex_step(name):
    function, grid = FUNCTIONS[name], GRID
    grid = grid[grid > 0] if name in POSITIVE else grid[grid < 709] if name in OVERFLOWS else grid
    grid = np.array([g for g in grid if g not in function.kinks])
    y, (found,), program = derivative(function, grid)
    expected = by_complex_step(program, "a", [grid], 0)
    assert np.isfinite(y).all() and np.isfinite(found).all()
    assert close(found, expected)


def close(found, expected):
    """Relative, but a derivative declared in y = f(x) loses 1e-16 of its largest value where y rounds to its limit."""
    return (np.abs(found - expected) <= 1e-11 * (np.abs(expected) + 1e-4)).all()


def test_a_wrong_derivative_is_found():
    wrong = elementwise("wrong", value=lambda x: tanh(x), derivative=lambda x, y: 1 - y)
    _, (found,), program = derivative(wrong, GRID)
    assert not close(found, by_complex_step(program, "a", [GRID], 0))


@pytest.mark.parametrize("name", ["maximum", "minimum", "select", "greater", "equal"])
def test_partial_derivatives_of_several_operands_are_those_of_the_complex_step(name):
    function, draw = FUNCTIONS[name], np.random.default_rng(0)
    points = [draw.normal(size=40) for _ in range(function.arity)]
    if name == "select":
        points[0] = (points[0] > 0) * 1.0
    _, partials, program = derivative(function, *points)
    for k, found in enumerate(partials):
        assert np.array_equal(found, by_complex_step(program, "abc", points, k))


@pytest.mark.parametrize("name", sorted(f for f in FUNCTIONS if FUNCTIONS[f].kinks))
def test_the_stated_subgradient_is_taken_at_a_kink(name):
    points = np.array(list(FUNCTIONS[name].kinks))
    _, (found,), _ = derivative(FUNCTIONS[name], points)
    assert np.array_equal(found, list(FUNCTIONS[name].kinks.values()))


def test_a_tie_goes_to_the_second_operand_in_the_derivative_and_in_the_complex_step():
    tie = np.array([2.0, 0.0])
    for name in ("maximum", "minimum"):
        _, (first, second), program = derivative(FUNCTIONS[name], tie, tie)
        assert first.tolist() == [0, 0] and second.tolist() == [1, 1]
        assert by_complex_step(program, "ab", [tie, tie], 1).tolist() == [1, 1]
    assert derivative(relu, np.zeros(1))[1][0] == by_complex_step(derivative(relu, np.zeros(1))[2], "a", [np.zeros(1)], 0) == 0


@pytest.mark.parametrize("name, points", [
    ("sigmoid", [0, 1, np.nan]), ("softplus", [0, 1e4]), ("tanh", [0, 1]), ("relu", [0, 1e4]), ("silu", [0, 1e4]),
    ("gelu", [0, 1e4]), ("elu", [-1, 1e4]), ("log_softplus", [-1e4, np.log(1e4)]), ("hardtanh", [-1, 1])])
def test_values_at_saturation_are_exact(name, points):
    y, _, _ = derivative(FUNCTIONS[name], np.array([-1e4, 1e4]))
    low = {"tanh": -1}.get(name, points[0])
    assert y.tolist() == pytest.approx([low, points[1]], rel=1e-15)


def test_softplus_and_its_logarithm_are_exact_where_they_underflow_even_for_complex_numbers():
    x = np.array([-745.0, -100, -40, -36, -30, -1])
    for dtype in (float, complex):
        found = Run(derivative(softplus, x)[2], {"a": x}, dtype).outputs()["y"].real
        assert np.allclose(found, np.log1p(np.exp(x)), rtol=1e-15, atol=0)
        found = Run(derivative(FUNCTIONS["log_softplus"], x)[2], {"a": x}, dtype).outputs()["y"].real
        assert np.allclose(found[1:], np.log(np.log1p(np.exp(x[1:]))), rtol=1e-15, atol=0) and found[0] == -745


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"greater", "equal", "select", "step"}))
def test_nan_goes_through(name):
    y, _, _ = derivative(FUNCTIONS[name], *[np.array([np.nan])] * FUNCTIONS[name].arity)
    assert np.isnan(y).all()


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_values_keep_to_the_declared_range(name):
    function, grid = FUNCTIONS[name], np.abs(GRID) if name in POSITIVE else GRID[np.abs(GRID) < 700]
    low, high, *closed = function.range
    y, _, _ = derivative(function, *[grid] * function.arity)
    assert (y >= low).all() and (y <= high).all()


# -- functions of users --------------------------------------------------------------------------------------------------

def test_a_users_function_is_derived_from_its_value():
    @elementwise
    def swish(x): return x * sigmoid(2 * x)
    x = np.linspace(-5, 5, 21)
    _, (found,), program = derivative(swish, x)
    assert np.allclose(found, by_complex_step(program, "a", [x], 0), rtol=1e-13, atol=1e-15)
    assert swish.name == "swish" and swish.arity == 1


def test_a_users_function_of_others_and_of_two_operands_is_derived():
    inner = elementwise("inner", value=lambda x: tanh(x) * exp(-x * x))
    outer = elementwise("outer", value=lambda a, b: inner(a * b) + silu(a - b) * 3)
    a, b = np.random.default_rng(0).normal(size=(2, 30))
    _, partials, program = derivative(outer, a, b)
    for k in (0, 1):
        assert np.allclose(partials[k], by_complex_step(program, "ab", [a, b], k), rtol=1e-12, atol=1e-15)


def test_a_declared_derivative_goes_before_the_derived_one():
    straight = elementwise("straight", value=lambda x: maximum(x, 0), derivative=lambda x, y: 1)
    assert derivative(straight, GRID)[1][0].tolist() == [1] * len(GRID)


@pytest.mark.parametrize("value, words", [
    (lambda x: np.tanh(x), "use backproof's functions"), (lambda x: x if x > 0 else 0, "select"), (lambda x: x**2.5, "2.5"),
    (lambda x: x * float("nan"), "not a finite number"), (lambda x: x * Variable("n", (SAMPLE,)), "not elementwise"),
    (lambda x: "x", "neither an expression nor a number")])
def test_what_cannot_be_traced_is_refused_with_the_mend(value, words):
    with pytest.raises(ExpressionError, match=words):
        elementwise("mine", value=value)


def test_a_wrong_number_of_operands_is_refused():
    with pytest.raises(ExpressionError, match="maximum takes 2 operands, not 1"):
        maximum(1)
