"""The twin finds the user's tensors however they are held, and says so where the network is another."""

import numpy as np
import pytest
from check.programs import Perceptron

from backproof.check import check_gradients
from backproof.check.gradients import as_target
from backproof.check.twin import build
from backproof.errors import OptionError

RNG = np.random.default_rng(8)
SIZES, SPEC = [4, 3, 3, 2], "4 | 3 tanh | 3 sigmoid | 2"
PROGRAM = Perceptron(SIZES, ["tanh", "sigmoid", "linear"])
X, Y = RNG.normal(size=(5, 4)), RNG.normal(size=(5, 2))
POINT = PROGRAM.start(RNG)
NAMES = list(POINT)


def twin_of(pack, unpack, like=SPEC, loss=PROGRAM.loss, data=(X, Y)):
    target = as_target((lambda t: loss(unpack(t), X, Y), lambda t: t), at=pack(POINT))
    return build(like, target, *data, np.random.default_rng(0)), target


def flat(p):
    return np.concatenate([p[n].ravel() for n in NAMES])


def unflat(v, names=NAMES):
    found, start = {}, 0
    for name in names:
        found[name] = v[start:start + POINT[name].size].reshape(POINT[name].shape)
        start += POINT[name].size
    return found


WEIGHTS_FIRST = sorted(NAMES, key=lambda n: n[0] != "W")
HELD = {
    "by name": (dict, dict),
    "other names": (lambda p: {f"layer_{n}": a for n, a in p.items()}, lambda t: {n: t[f"layer_{n}"] for n in NAMES}),
    "a list": (lambda p: [p[n] for n in NAMES], lambda t: dict(zip(NAMES, t))),
    "weights first": (lambda p: [p[n] for n in WEIGHTS_FIRST], lambda t: dict(zip(WEIGHTS_FIRST, t))),
    "transposed": (lambda p: {n: a.T.copy() for n, a in p.items()}, lambda t: {n: a.T for n, a in t.items()}),
    "columns": (lambda p: {n: a.T.copy() if n[0] == "W" else a[:, None] for n, a in p.items()},
                lambda t: {n: a.T if n[0] == "W" else a[:, 0] for n, a in t.items()}),
    "one vector": (flat, unflat),
    "one vector, weights first": (lambda p: np.concatenate([p[n].ravel() for n in WEIGHTS_FIRST]), lambda t: unflat(t, WEIGHTS_FIRST)),
}


@pytest.mark.parametrize("held", HELD)
def test_parameters_are_found_however_they_are_held(held):
    twin, target = twin_of(*HELD[held])
    found = twin.arrays(target.point)
    assert all(np.array_equal(found[name], POINT[name]) for name in NAMES) and twin.factor == pytest.approx(1)


@pytest.mark.parametrize("scale", [5.0, 2.0, 0.5])
def test_losses_that_differ_by_a_factor_are_matched(scale):
    twin, _ = twin_of(dict, dict, loss=lambda p, X, y: scale * PROGRAM.loss(p, X, y))
    assert twin.factor == pytest.approx(scale)


def test_a_penalty_that_the_spec_does_not_name_is_fitted():
    program = Perceptron(SIZES, ["tanh", "sigmoid", "linear"], lam=0.3)
    twin, _ = twin_of(dict, dict, loss=program.loss)
    assert twin.network.l2 == pytest.approx(0.3, rel=1e-6) and not twin.network.decay_biases


def test_samples_last_and_classes_as_rows_are_read():
    twin, _ = twin_of(dict, dict, data=(X.T, Y.T))
    assert twin.data["x"].shape == X.shape
    rows = np.eye(2)[[0, 1, 1, 0, 1]]
    program = Perceptron([4, 3, 2], ["tanh", "softmax"], "cross")
    p = program.start(RNG)
    target = as_target((lambda t: program.loss(t, X, rows), lambda t: t), at=p)
    for y in (rows, rows.argmax(axis=1)):
        assert build("4 | 3 tanh | 2 softmax", target, X, y, np.random.default_rng(0)).places


def test_a_twin_that_is_none_is_said_so_and_the_arrays_still_speak():
    with pytest.raises(OptionError, match="not the user's"):
        twin_of(dict, dict, like="4 | 3 relu | 3 relu | 2")
    report = check_gradients((PROGRAM.loss, lambda p, X, y: {n: 2 * g for n, g in PROGRAM.gradient(p, X, y).items()}), X, Y,
                             at=POINT, like="4 | 3 relu | 3 relu | 2")
    assert report.verdict == "fail" and report.causes[0].tier == "black box" and report.notes[0][0] == "no twin"


def test_several_mistakes_are_named_together():
    def two(p, X, y):
        program = Perceptron(SIZES, ["tanh", "sigmoid", "linear"], mistake="f'(a)", layer=1)
        g = program.gradient(p, X, y)
        return {**g, "W3": 5 * g["W3"]}
    report = check_gradients((PROGRAM.loss, two), X, Y, at=POINT, like=SPEC)
    assert {c.key for c in report.causes} == {"f'(a) for f'(z)", "1/m missing"}
    assert report.causes[0].equation and report.causes[0].instead != report.causes[0].equation


def test_a_mistake_without_a_name_is_not_given_one():
    def odd(p, X, y):
        g = PROGRAM.gradient(p, X, y)
        return {**g, "W2": g["W2"] + 0.1 * np.cos(np.arange(9.0).reshape(3, 3)) ** 3}
    for like in (None, SPEC):
        report = check_gradients((PROGRAM.loss, odd), X, Y, at=POINT, like=like)
        assert report.verdict == "fail" and not report.causes and "cause not found" in report.to_text()
