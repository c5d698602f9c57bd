"""Named rewrites into the form that runs: right at saturation, and only where they hold."""

import numpy as np
import pytest

from backproof.calculus import SAMPLE, Index, System, Variable, exp, log, logsumexp, one_hot, sigmoid, softplus, square, total
from backproof.derive import stable, sweep
from backproof.engines.reference import Run
from backproof.lower import lower

K = Index("k", 3, letter="k")
FAR = np.array([[745.0, -745, 0], [1e4, -1e4, 3], [-1e4, 1e4, 1e4], [0, 0, 0]])


def run(activation, loss, targets, logits=FAR):
    """E, δ and the rules used, of an output layer with pre-activations ``logits``."""
    system, y = System(), Variable("y", (SAMPLE, K), "target", facts=("sums to one",))
    z = system.define("z1", 1 * Variable("x", (SAMPLE, K)) + Variable("b", (K,), "parameter"), role="pre_activation")
    a = system.define("a1", activation(z), role="activation")
    runs, used = stable(loss(a, y), system)
    system.define("E", runs)
    swept = sweep(system, {"E": 1}, ["z1"], mean_over=SAMPLE)
    out = Run(lower(swept.system, ["E", swept.adjoints["z1"]]), {"x": logits, "b": np.zeros(3), "y": targets}).outputs()
    return out["E"], out[swept.adjoints["z1"]], [rule.__name__ for rule in used]


def binary(a, y):
    return -total(y * log(a) + (1 - y) * log(1 - a), over="k")


def cross_entropy(a, y):
    return -total(y * log(a), over="k")


def softmax(z):
    return exp(z - logsumexp(z, over="k"))


def test_binary_cross_entropy_is_exact_at_saturation():
    y = np.array([[0.0, 1, 0], [0, 1, 1], [0, 1, 0], [1, 0, 1]])
    E, delta, used = run(sigmoid, binary, y)
    assert np.allclose(E, [745 + 745 + np.log(2), 1e4 + 1e4 + np.log1p(np.exp(-3)), 1e4, 3 * np.log(2)], rtol=1e-15)
    assert np.allclose(delta, np.where(FAR > 0, 1 / (1 + np.exp(-np.abs(FAR))), np.exp(-np.abs(FAR)) / (1 + np.exp(-np.abs(FAR)))) - y,
                       rtol=1e-14, atol=0)
    assert set(used) >= {"log_of_sigmoid", "log_of_one_minus_sigmoid"}


def test_cross_entropy_is_exact_at_saturation():
    y = np.array([[0.0, 1, 0], [0, 1, 0], [1, 0, 0], [0.2, 0.3, 0.5]])
    E, delta, used = run(softmax, cross_entropy, y)
    assert np.allclose(E, [1490, 2e4, 2e4 + np.log(2), np.log(3)], rtol=1e-15)
    assert np.allclose(delta, [[1, -1, 0], [1, -1, 0], [-1, 0.5, 0.5], [1 / 3 - 0.2, 1 / 3 - 0.3, 1 / 3 - 0.5]], rtol=1e-15)
    assert used == ["log_of_exp", "sums_to_one"]


def test_without_the_rules_saturation_is_not_finite():
    system, z = System(), Variable("z", (SAMPLE,))
    system.define("a", sigmoid(z))
    system.define("E", -log(1 - system.ref("a")))
    assert Run(lower(system, ["E"]), {"z": [745.0]}).outputs()["E"] == np.inf


def test_the_logarithm_of_softplus_tends_to_its_argument():
    E, delta, used = run(softplus, lambda a, y: total(a - y * log(a), over="k"), np.ones((1, 3)), np.array([[-1e4, -745, 1e4]]))
    assert used == ["log_of_softplus"] and np.isfinite(E).all()
    assert np.allclose(delta, [[-1, -1, 1 - 1e-4]], rtol=1e-12)


def test_class_numbers_pick_the_stable_form_too():
    cls = Variable("cls", (SAMPLE,), "target", integer=True)
    system = System()
    z = system.define("z1", 1 * Variable("x", (SAMPLE, K)), role="pre_activation")
    a = system.define("a1", softmax(z))
    runs, used = stable(-total(one_hot(cls, K) * log(a), over=K), system)
    assert [rule.__name__ for rule in used] == ["log_of_exp", "sums_to_one"]
    system.define("E", runs)
    swept = sweep(system, {"E": 1}, ["x"])
    out = Run(lower(swept.system, ["E", swept.adjoints["x"]]), {"x": FAR, "cls": [1, 1, 0, 2]}).outputs()
    assert np.allclose(out["E"], [1490, 2e4, 2e4 + np.log(2), np.log(3)], rtol=1e-15)
    assert np.allclose(out[swept.adjoints["x"]][3], [1 / 3, 1 / 3, -2 / 3])


@pytest.mark.parametrize("expression", [
    lambda u, y: log(2 - sigmoid(u)), lambda u, y: log(1 - 2 * sigmoid(u)), lambda u, y: log(1 + exp(u)), lambda u, y: square(exp(u)),
    lambda u, y: total(y * (u - logsumexp(u, over="k")), over="k")])
def test_rules_are_not_used_where_they_do_not_hold(expression):
    written = expression(Variable("u", (SAMPLE, K)), Variable("y", (SAMPLE, K)))
    assert stable(written, System()) == (written, ())
