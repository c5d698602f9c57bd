"""The verdicts: right gradients pass, wrong ones fail at the right place, kinks and dropped imaginary parts do not mislead."""

import numpy as np
import pytest

from backproof.check import assert_gradients, check_gradients
from backproof.errors import NonFiniteError, OptionError


def layer(theta):
    return np.tanh(X @ theta["W"] + theta["b"])


def loss(theta):
    return 0.5 * ((layer(theta) - Y) ** 2).sum() / len(X)


def gradient(theta):
    a = layer(theta)
    delta = (a - Y) * (1 - a**2) / len(X)
    return {"W": X.T @ delta, "b": delta.sum(axis=0)}


RNG = np.random.default_rng(3)
X, Y = RNG.normal(size=(5, 4)), RNG.normal(size=(5, 3))
POINT = {"W": RNG.normal(size=(4, 3)), "b": RNG.normal(size=3)}


def test_a_right_gradient_passes_by_the_complex_step():
    report = check_gradients((loss, gradient), at=POINT)
    assert report and report.verdict == "pass" and report.exit_code == 0
    assert {block.method for block in report.blocks} == {"complex step"}
    assert max(block.error for block in report.blocks) < 1e-13


def test_code_that_cannot_carry_complex_numbers_is_differenced():
    report = check_gradients((lambda theta: float(loss(theta)), gradient), at=POINT)
    assert report and {block.method for block in report.blocks} == {"Richardson"}


def test_a_dropped_imaginary_part_in_one_term_is_noticed():
    def value(theta):
        return (theta["a"] ** 2).sum() + np.abs(theta["b"]).sum()

    report = check_gradients((value, lambda t: {"a": 2 * t["a"], "b": np.sign(t["b"])}),
                             at={"a": RNG.normal(size=3), "b": RNG.normal(size=3)})
    assert report and {block.method for block in report.blocks} == {"Richardson"}


@pytest.mark.parametrize("name, index", [("W", (2, 1)), ("b", (1,))])
def test_one_wrong_entry_fails_and_is_the_worst(name, index):
    def wrong(theta):
        result = gradient(theta)
        result[name][index] *= 1.001
        return result

    report = check_gradients((loss, wrong), at=POINT)
    assert report.verdict == "fail" and report.exit_code == 1
    assert [block.name for block in report.blocks if block.verdict == "fail"] == [name]
    assert report.block(name).worst == index and report.block(name).ratio == pytest.approx(1.001, rel=1e-9)


def test_one_wrong_entry_of_a_large_tensor_is_found_by_bisection():
    weights = RNG.normal(size=(200, 300))

    def wrong(w):
        result = np.cos(w)
        result[17, 33] += 0.1
        return result

    report = check_gradients((lambda w: np.sin(w).sum(), wrong), at=weights)
    assert report.verdict == "fail" and report.blocks[0].worst == (17, 33)
    assert check_gradients((lambda w: np.sin(w).sum(), np.cos), at=weights)


@pytest.mark.parametrize("bad, note", [(lambda g: np.full_like(g, np.nan), "not finite"), (lambda g: g[:, 0], "shape"),
                                       (lambda g: None, "missing"), (lambda g: g + 1j, "complex")])
def test_what_is_no_gradient_fails_and_says_so(bad, note):
    report = check_gradients((loss, lambda t: {**gradient(t), "W": bad(gradient(t)["W"])}), at=POINT)
    assert report.verdict == "fail" and report.block("W").note == note and report.block("b").verdict == "pass"


def test_a_value_between_the_slopes_at_a_kink_is_a_subgradient():
    at = np.array([0.0, 1.0, -2.0])
    for chosen, verdict in ((0.0, "pass"), (0.5, "pass"), (1.0, "pass"), (1.5, "fail"), (-0.1, "fail")):
        report = check_gradients((lambda w: np.maximum(w, 0).sum(),
                                  lambda w, c=chosen: np.where(w == 0, c, w > 0)), at=at)
        assert report.verdict == verdict, chosen
        if 0 <= chosen < 1:                                     # 1 is what NumPy's own branch gives the complex step
            assert report.blocks[0].note == "subgradient"


def test_float32_code_is_cast_to_double():
    def single(theta):
        return loss(theta)
    at = {name: array.astype(np.float32) for name, array in POINT.items()}
    assert check_gradients((single, gradient), at=at).verdict == "pass"


def test_lists_vectors_and_nested_parameters():
    assert check_gradients((lambda p: (p[0] ** 2).sum() + p[1] ** 3, lambda p: [2 * p[0], 3 * p[1] ** 2]),
                           at=[np.array([1.0, 2.0]), 2.0])
    nested = {"layer": {"W": np.ones(2)}, "more": (np.ones(1), np.zeros(2))}
    report = check_gradients((lambda p: (p["layer"]["W"] ** 2).sum() + np.sin(p["more"][1]).sum() + p["more"][0].sum(),
                              lambda p: {"layer": {"W": 2 * p["layer"]["W"]}, "more": (np.ones(1), np.cos(p["more"][1]))}),
                             at=nested)
    assert report and [block.name for block in report.blocks] == ["layer.W", "more[0]", "more[1]"]


def test_what_cannot_be_checked_is_refused():
    with pytest.raises(OptionError, match="at a point"):
        check_gradients((loss, gradient))
    with pytest.raises(OptionError, match="cannot be checked"):
        check_gradients(3)
    with pytest.raises(NonFiniteError):
        check_gradients((lambda w: w.sum() * np.nan, lambda w: w), at=np.ones(2))


def test_assert_gradients_raises_with_the_report():
    assert assert_gradients((loss, gradient), at=POINT)
    with pytest.raises(AssertionError, match="worst at"):
        assert_gradients((loss, lambda t: {**gradient(t), "b": 2 * gradient(t)["b"]}), at=POINT)


def test_code_that_insists_on_float32_is_judged_within_its_own_uncertainty():
    def single(theta):
        return np.float32(0.5 * ((np.tanh(X.astype("f4") @ theta["W"].astype("f4") + theta["b"].astype("f4")) - Y) ** 2).sum() / 5)
    right = check_gradients((single, gradient), at=POINT)
    assert right.verdict == "pass" and right.blocks[0].method == "single precision" and right.notes
    for factor in (2.0, 1.2, -1.0):
        wrong = check_gradients((single, lambda t, c=factor: {n: c * g for n, g in gradient(t).items()}), at=POINT)
        assert wrong.verdict == "fail", factor


def test_close_to_a_kink_a_point_nearby_decides():
    at = np.array([1e-13, 1.0, -2.0])
    right = check_gradients((lambda w: float(np.maximum(w, 0).sum()), lambda w: (w > 0) * 1.0), at=at)
    assert right.verdict == "pass"
    wrong = check_gradients((lambda w: float(np.maximum(w, 0).sum()), lambda w: (w > 0) * 2.0), at=at)
    assert wrong.verdict == "fail"


def test_taylor_slopes_are_two_for_right_gradients_and_one_for_wrong_ones():
    report = check_gradients((loss, lambda t: {**gradient(t), "b": 2 * gradient(t)["b"]}), at=POINT, slopes=True, seed=3)
    assert report.block("W").slope == pytest.approx(2, abs=0.1) and report.block("b").slope == pytest.approx(1, abs=0.2)
    assert "Taylor slope 2.0" in report.to_text()


def test_a_hundred_thousand_parameters_take_seconds_and_no_jacobian():
    import tracemalloc
    rng = np.random.default_rng(0)
    at = {"W": rng.normal(size=(300, 330)) / 20, "b": rng.normal(size=330)}
    x, y = rng.normal(size=(5, 300)), rng.normal(size=(5, 330))

    def value(p):
        return ((np.tanh(x @ p["W"] + p["b"]) - y) ** 2).sum()

    def slopes(p):
        a = np.tanh(x @ p["W"] + p["b"])
        delta = 2 * (a - y) * (1 - a * a)
        return {"W": x.T @ delta, "b": delta.sum(axis=0)}
    tracemalloc.start()
    try:
        report = check_gradients((value, slopes), at=at)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert report and report.block("W").looked < 100 and peak < 40 * 8 * 330 * 300


@pytest.mark.parametrize("cast", [lambda v: v, float])
def test_a_tensor_that_cancels_to_zero_is_no_false_alarm(cast):
    def cancelling(p):
        return cast((p["W"] ** 2).sum() + (X @ p["c"] - X @ p["c"] * (1 + 1e-16)).sum())
    at = {"W": np.ones(4), "c": RNG.normal(size=(4, 2))}
    for noise in (0.0, 3e-17):
        assert check_gradients((cancelling, lambda p, e=noise: {"W": 2 * p["W"], "c": np.full((4, 2), e)}), at=at)
    assert not check_gradients((cancelling, lambda p: {"W": 2 * p["W"], "c": np.full((4, 2), 1e-6)}), at=at)
