"""Causes from the arrays alone: each is named where it makes the difference vanish, and nowhere else."""

import numpy as np
import pytest

from backproof.check.causes import black_box, constant_factor

RNG = np.random.default_rng(11)
W, THETA = RNG.normal(size=(4, 3)), RNG.normal(size=(4, 3))
SQUARE, B = RNG.normal(size=(4, 4)), RNG.normal(size=5)
FACTS = {"N": 5, "outputs": 3}


def cause(a, n, theta=None, facts=FACTS):
    """The one cause of a tensor beside one that is right, or None."""
    right = np.ones(2)
    theta = RNG.normal(size=n.shape) if theta is None else theta
    found = black_box(["W"], {"W": a, "v": right}, {"W": n, "v": right}, {"W": theta, "v": right}, facts)
    return found[0] if found else None


@pytest.mark.parametrize("factor, meaning", [(2, "twice"), (0.5, "half"), (-1, "sign"), (5, "sum for mean"), (0.2, "mean for sum"),
                                             (3, "times outputs"), (1 / 3, "over outputs"), (15, "sum for mean of outputs"),
                                             (-2, "minus twice"), (7.3, "unknown"), (0.4, "twice the mean")])
def test_a_constant_factor_and_what_it_stands_for(factor, meaning):
    found = cause(factor * W, W)
    assert found.key == "factor" and found.values["meaning"] == meaning and float(found.values["factor"]) == pytest.approx(factor, rel=1e-5)
    assert found.text("en") and found.text("zh")


def test_a_factor_of_all_live_tensors_is_told_once():
    n = {"W": W, "b": B, "dead": np.zeros(3)}
    found, = black_box(["W", "b"], {k: 2 * v for k, v in n.items()}, n, n, FACTS)
    assert found.key == "factor of all" and found.where == ("W", "b")


@pytest.mark.parametrize("a, n, key", [
    (W - 0.3 * THETA, W, "penalty missing"), (W + 0.3 * THETA, W, "penalty surplus"), (5 * W - 1.2 * THETA, W, "factor and penalty"),
    (SQUARE.T, SQUARE, "transposed"), (W.T, W, "transposed"), (W.ravel(order="F").reshape(4, 3), W, None),
    (W.ravel().reshape(3, 4).T, W, None), (W[::-1], W, "permuted"), (np.full(5, B.sum()), B, "summed over everything"),
    (np.full(5, B.mean()), B, "averaged over everything"), (np.clip(W, -0.5, 0.5), W, "clipped"),
    (W * (np.arange(12).reshape(4, 3) < 8), W, "entries missing"), (0 * W, W, "zero gradient"),
    (RNG.normal(size=(4, 3)), W, None), (W + 0.01 * RNG.normal(size=(4, 3)), W, None)])
def test_other_causes(a, n, key):
    found = cause(a, n, THETA if n.shape == THETA.shape else None)
    if key is None:
        assert found is None or found.key in ("permuted", "other order of storage")
    else:
        assert found is not None and found.key == key


def test_sums_over_the_wrong_axis_and_broadcasts():
    rows = RNG.normal(size=(5, 5))
    assert cause(rows.sum(axis=1), rows.sum(axis=0)).key == "wrong axis"
    assert cause(rows, rows.sum(axis=0)).key == "not summed" and cause(rows, rows.mean(axis=0)).key == "not averaged"
    assert cause(B[:, None] + np.zeros(5), B).key == "broadcast" and cause(B[:, None], B).key in ("broadcast", "other shape")
    centred = B - B.mean()
    assert "wrong axis" in cause(np.zeros(5), centred).names


def test_a_gradient_that_should_be_zero_and_decays_is_told():
    assert cause(0.1 * THETA, 0 * W, THETA).key == "decay"


def test_no_factor_where_there_is_none():
    assert constant_factor(W, SQUARE[:, :3]) is None and constant_factor(0 * W, W) is None and constant_factor(W, 0 * W) is None
