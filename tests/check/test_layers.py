"""Hand-written layers: right ones pass, and what is wrong with the others is told; side checks."""

import numpy as np
import pytest

from backproof.check import check_gradients


class Affine:
    def __init__(self, rng, holder=False):
        self.params = {"W": rng.normal(size=(4, 3)), "b": rng.normal(size=3)} if holder else None
        self.W, self.b = (self.params["W"], self.params["b"]) if holder else (rng.normal(size=(4, 3)), rng.normal(size=3))

    def held(self):
        return (self.params["W"], self.params["b"]) if self.params else (self.W, self.b)

    def forward(self, x):
        W, b = self.held()
        self.x = x
        return x @ W + b

    def backward(self, upstream):
        W, _ = self.held()
        self.dW, self.db = self.x.T @ upstream, upstream.sum(axis=0)
        self.grads = {"W": self.dW, "b": self.db}
        return upstream @ W.T


class Returning(Affine):
    def backward(self, upstream):
        W, _ = self.held()
        return upstream @ W.T, {"W": self.x.T @ upstream, "b": upstream.sum(axis=0)}


class Scaling:
    def forward(self, x):
        self.x = x
        return x**2

    def backward(self, upstream):
        return 2 * self.x * upstream**2


class Changing:
    def forward(self, x):
        self.x = x
        return 2 * x

    def backward(self, upstream):
        self.x *= 1.0001
        return 2 * upstream


X = np.random.default_rng(5).normal(size=(5, 4))


@pytest.mark.parametrize("make", [lambda r: Affine(r), lambda r: Affine(r, True), lambda r: Returning(r)])
def test_a_right_layer_passes_however_it_holds_its_parameters(make):
    report = check_gradients(make(np.random.default_rng(0)), X)
    assert report and [block.name for block in report.blocks] == ["x", "W", "b"], report


def test_a_backward_pass_that_is_not_linear_is_told():
    report = check_gradients(Scaling(), X)
    assert report.verdict == "fail" and "not linear" in [cause.key for cause in report.causes]


def test_inputs_changed_in_place_are_told():
    report = check_gradients(Changing(), X)
    assert report.verdict == "fail" and "inputs changed" in [key for key, _ in report.sides]


def test_gradients_that_pile_up_and_random_ones_are_told():
    kept = np.zeros(3)

    def piling(w):
        kept[:] += 2 * w
        return kept.copy()
    assert "piles up" in [c.key for c in check_gradients((lambda w: (w**2).sum(), piling), at=np.ones(3)).causes]
    rng = np.random.default_rng(0)
    report = check_gradients((lambda w: (w**2).sum(), lambda w: 2 * w * (rng.random(3) > 0.5)), at=np.arange(1.0, 4.0))
    assert report.verdict == "fail" and report.causes
