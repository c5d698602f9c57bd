"""The reverse sweep: adjoints add over consumers, δ is per sample, recurrences derive to recurrences."""

from itertools import product as every

import numpy as np
import pytest
from systems import lstm, perceptron, recurrent

from backproof.calculus import (SAMPLE, TIME, Index, System, Variable, edge, elementwise, exp, join, largest, log, logsumexp, mean,
                                reciprocal, rename, scaled, shift, sigmoid, slice_, sqrt, square, tanh, total)
from backproof.calculus.functions import RESULT
from backproof.derive import adjoint_name, hessian_vector_product, stable, sweep
from backproof.engines.reference import Run
from backproof.errors import DerivationError
from backproof.lower import lower
from backproof.oracles import assert_agree, complex_step

I, J, K, WIDE = Index("i", 2, letter="i"), Index("j", 3), Index("k", 3, letter="k"), Index("wide", 5)
DRAW = np.random.default_rng(2)


def gradients(case, **feeds):
    """By the derivation, and by the complex step of the program's own loss."""
    feeds = {**case.feeds, **feeds}
    found = Run(case.program, feeds).gradients()
    numbers = complex_step(lambda theta: Run(case.program, {**feeds, **theta}, complex).outputs()["E"].mean(),
                           {name: feeds[name] for name in case.wrt})
    return found, numbers


@pytest.mark.parametrize("case", [perceptron(), perceptron((3, 3, 3, 1), sigmoid, batch=1), recurrent(), recurrent(-1),
                                  recurrent(loss="each"), recurrent(steps=1), recurrent(-1, loss="each", steps=2), lstm(), lstm(1, 1)])
def test_gradients_are_those_of_the_complex_step(case):
    assert_agree(*gradients(case), tolerance=1e-13)


def test_the_check_fails_where_a_rule_is_wrong(monkeypatch):
    monkeypatch.setattr(tanh, "derivatives", (1 - RESULT,))
    with pytest.raises(AssertionError, match="relative error"):
        assert_agree(*gradients(recurrent()), tolerance=1e-6)


# -- golden equations -----------------------------------------------------------------------------------------------------

def test_adjoints_add_over_consumers():
    system, x = System(), Variable("x", (SAMPLE,))
    a = system.define("a", exp(x))
    system.define("b", tanh(a))
    system.define("E", system.ref("b") + 3 * a + square(a))
    swept = sweep(system, {"E": 1}, ["a"])
    equation = swept.system["adj.a"]
    assert [term.consumer for term in equation.terms] == ["E", "E", "b"]
    assert_agree(Run(lower(swept.system, ["adj.a"]), {"x": np.zeros(1)}).outputs()["adj.a"],
                 np.array([1 - np.tanh(1) ** 2 + 3 + 2]), tolerance=1e-15)


def output(activation, loss):
    """The δ of an output unit as text."""
    system, z = System(), Variable("z", (SAMPLE, K))
    y = Variable("y", (SAMPLE, K), "target", facts=("sums to one",))
    z = system.define("z1", 1 * z + Variable("b", (K,)), role="pre_activation")
    a = system.define("a1", activation(z), role="activation")
    written = loss(a, y)
    runs, used = stable(written, system)
    system.define("E", runs, role="sample_loss", written=written)
    return repr(sweep(system, {"E": 1}, ["z1"], mean_over=SAMPLE).system["delta1"])


def softmax(z):
    return exp(z - logsumexp(z, over="k"))


@pytest.mark.parametrize("activation, loss", [
    (sigmoid, lambda a, y: -total(y * log(a) + (1 - y) * log(1 - a), over="k")),
    (softmax, lambda a, y: -total(y * log(a), over="k")),
    (lambda z: 1 * z, lambda a, y: total(square(a - y), over="k") / 2),
    (exp, lambda a, y: total(a - y * log(a), over="k"))], ids=["sigmoid", "softmax", "identity", "exp"])
def test_the_output_error_of_the_canonical_pairings_is_a_minus_y(activation, loss):
    assert output(activation, loss) in ("delta1[n,k] = a1[n,k] − y[n,k]", "delta1[n,k] = −y[n,k] + z1[n,k]")


def test_another_pairing_has_another_output_error():
    assert output(sigmoid, lambda a, y: total(square(a - y), over="k") / 2) \
        == "delta1[n,k] = a1[n,k]·adj.a1[n,k]·(−a1[n,k] + 1)"


@pytest.mark.parametrize("loss", [
    lambda a, y: total(square(a - y), over="k"), lambda a, y: total(tanh(a) * y, over="k"), lambda a, y: largest(a * y, over="k"),
    lambda a, y: -total(y * log(a), over="k")])
def test_softmax_goes_with_any_loss(loss):
    system = System()
    z = system.define("z1", total(Variable("x", (SAMPLE, I)) * Variable("W", (I, K), "parameter"), over=I), role="pre_activation")
    a = system.define("a1", softmax(z))
    system.define("E", stable(loss(a, Variable("y", (SAMPLE, K), facts=("sums to one",))), system)[0])
    check(system, {"x": DRAW.normal(size=(4, 2)), "y": np.eye(3)[[0, 2, 1, 1]], "W": DRAW.normal(size=(2, 3))})


def check(system, feeds, seed=1, tolerance=1e-12, wrt=None):
    wrt = wrt or [v.name for v in system.variables.values() if v.role == "parameter"]
    swept = sweep(system, {"E": seed}, wrt, mean_over=SAMPLE)
    program = lower(swept.system, ["E"], gradients={name: swept.adjoints[name] for name in wrt})
    weights = feeds.get("w", 1.0)
    numbers = complex_step(lambda theta: (weights * Run(program, {**feeds, **theta}, complex).outputs()["E"]).mean(),
                           {name: feeds[name] for name in wrt})
    assert assert_agree(Run(program, feeds).gradients(), numbers, tolerance=tolerance).zeros == 0
    return swept


def test_names_follow_the_pre_activation():
    assert [adjoint_name(*about) for about in [("z3", "pre_activation"), ("output.z", "pre_activation"),
            ("reverse_z_i1", "pre_activation"), ("fuzz", "pre_activation"), ("W1", "parameter"), ("a1", "activation")]] \
        == ["delta3", "output.delta", "reverse_delta_i1", "delta.fuzz", "grad.W1", "adj.a1"]


def test_gradients_of_a_layer_stand_right_after_its_delta():
    names = list(perceptron((3, 4, 4, 2)).swept.system.equations)
    assert [name for name in names if name.startswith(("delta", "grad"))] == [
        "delta3", "grad.W3", "grad.b3", "delta2", "grad.W2", "grad.b2", "delta1", "grad.W1", "grad.b1"]


# -- per sample -----------------------------------------------------------------------------------------------------------

def test_one_over_n_stands_once_and_weights_in_the_seed():
    case, w = perceptron(), Variable("w", (SAMPLE,), "weight")
    feeds = {**case.feeds, "w": DRAW.uniform(0.1, 2, 5)}
    swept = check(case.system, feeds, seed=w)
    for equation in swept.system:
        assert ("N^-1" in repr(equation)) == (equation.role == "gradient"), equation
    delta = Run(lower(swept.system, ["delta2"]), feeds).outputs()["delta2"]
    one = {**feeds, **{k: feeds[k][3:4] for k in "xyw"}}
    assert_agree(Run(lower(swept.system, ["delta2"]), one).outputs()["delta2"], delta[3:4], tolerance=1e-14)


def test_penalties_have_no_samples_and_no_one_over_n():
    case = perceptron()
    W = case.system.variables["W1"]
    case.system.define("penalty", total(square(W), over=W.axes) / 2)
    swept = sweep(case.system, {"E": 1, "penalty": Variable("lambda", (), "scalar")}, ["W1"], mean_over=SAMPLE)
    assert repr(swept.system["grad.W1"]) == "grad.W1[x.unit,unit1] = W1[x.unit,unit1]·lambda + Σ_n delta1[n,unit1]·N^-1·x[n,x.unit]"


OTHER = Index("m", "N", "sample", "m")


@pytest.mark.parametrize("mix", [
    lambda u: u - mean(u, over=SAMPLE), lambda u: u / sqrt(mean(square(u), over=SAMPLE)), lambda u: u - logsumexp(u, over=SAMPLE),
    lambda u: total(square(u - rename(u, {SAMPLE: OTHER})), over=OTHER)],
    ids=["mean", "norm", "logsumexp", "pairs"])
def test_layers_that_mix_samples_are_refused(mix):
    system = System()
    u = system.define("u", total(Variable("x", (SAMPLE, I)) * Variable("W", (I,), "parameter"), over=I))
    system.define("v", mix(u))
    system.define("E", square(system.ref("v")))
    with pytest.raises(DerivationError, match="samples are mixed"):
        sweep(system, {"E": 1}, ["W"], mean_over=SAMPLE)


def test_what_nothing_depends_on_has_the_adjoint_zero():
    case = perceptron()
    case.system.define("aside", exp(Variable("q", (J,), "parameter")))
    swept = sweep(case.system, {"E": 1}, ["W1", "q", "aside"], mean_over=SAMPLE)
    out = Run(lower(swept.system, ["E", swept.adjoints["q"], swept.adjoints["aside"]]), {**case.feeds, "q": np.ones(3)}).outputs()
    assert out[swept.adjoints["q"]].tolist() == out[swept.adjoints["aside"]].tolist() == [0, 0, 0]


def test_unknown_names_and_names_that_are_taken_are_refused():
    case = perceptron()
    with pytest.raises(DerivationError, match="nothing called 'W9'"):
        sweep(case.system, {"E": 1}, ["W9"])
    with pytest.raises(DerivationError, match="is taken"):
        sweep(case.swept.system, {"E": 2}, ["W1"], mean_over=SAMPLE)


def test_an_alias_is_differentiated_by_what_it_stands_for():
    case = perceptron()
    case.system.define("same", case.system.ref("a1"))
    swept = sweep(case.system, {"E": 1}, ["same"], mean_over=SAMPLE)
    assert swept.adjoints["same"] == swept.adjoints["a1"] == "adj.a1"


# -- views and their adjoints ------------------------------------------------------------------------------------------

P = {name: Variable(name, axes, "parameter") for name, axes in
     {"h": (TIME, SAMPLE, J), "g": (TIME, SAMPLE, I), "e": (SAMPLE, J), "A": (J, K), "c": ()}.items()}
VIEWS = {
    "join": lambda p: total(tanh(join([p["h"], p["g"]], [J, I], WIDE)) * Variable("v", (WIDE,)), over=(TIME, WIDE)),
    "slice": lambda p: total(square(slice_(p["h"], J, 1, I)) * tanh(p["g"]), over=(TIME, I)),
    "slice of the first entries": lambda p: total(square(slice_(p["h"], J, 0, I)), over=(TIME, I)),
    "rename": lambda p: total(tanh(p["A"]) * rename(p["A"], {J: K, K: J}) * p["e"], over=(J, K)),
    "shift forward": lambda p: total(tanh(shift(p["h"], TIME, 1, p["e"])) * p["h"], over=(TIME, J)),
    "shift backward": lambda p: total(tanh(shift(p["h"], TIME, -1, p["e"])) * p["h"], over=(TIME, J)),
    "shift twice": lambda p: total(tanh(shift(shift(p["h"], TIME, 1, p["e"]), TIME, 1, 1)), over=(TIME, J)),
    "there and back": lambda p: total(square(shift(shift(p["h"], TIME, 1, p["e"]), TIME, -1, p["c"])), over=(TIME, J)),
    "first": lambda p: total(square(edge(p["h"], TIME, "first")) * p["e"], over=J),
    "last": lambda p: total(square(edge(p["h"], TIME, "last")) * p["e"], over=J),
    "last of a shift": lambda p: total(square(edge(shift(p["h"], TIME, 1, p["e"]), TIME, "last")), over=J),
    "largest": lambda p: largest(p["e"] * p["c"], over=J),
    "repeated": lambda p: total(p["e"], over=J) * total(shift(p["c"] * exp(p["h"]), TIME, 1, p["c"]), over=(TIME, J)),
}


@pytest.mark.parametrize("name, steps", list(every(VIEWS, (1, 2, 4))))
def test_the_adjoint_of_a_view_is_a_view(name, steps):
    system = System()
    E = VIEWS[name](P)
    system.define("E", E)
    system.define("anchor", total(P["h"], over=(TIME, SAMPLE, J)))
    draw = np.random.default_rng(3)
    feeds = {v.name: draw.normal(size=[{"T": steps, "N": 3}.get(i.extent, i.extent) for i in v.axes])
             for v in system.variables.values()}
    wrt = [v.name for v in system.variables.values() if v.role == "parameter"]
    swept = sweep(system, {"E": 1}, wrt)                          # h and g have samples themselves: plain sums
    program = lower(swept.system, ["E", "anchor"], gradients={n: swept.adjoints[n] for n in wrt})
    numbers = complex_step(lambda theta: Run(program, {**feeds, **theta}, complex).outputs()["E"].sum(), {n: feeds[n] for n in wrt})
    found = Run(program, feeds).gradients()
    for n in wrt:
        np.testing.assert_allclose(found[n], numbers[n], rtol=1e-12, atol=1e-13)


def test_ties_of_a_maximum_share_the_derivative():
    system = System()
    system.define("E", largest(Variable("a", (SAMPLE, J), "parameter"), over=J))
    swept = sweep(system, {"E": 1}, ["a"])
    a = np.array([[1.0, 2, 2], [3, 3, 3], [0, -1, -2]])
    found = Run(lower(swept.system, ["E"], gradients={"a": swept.adjoints["a"]}), {"a": a}).gradients()["a"]
    assert_agree(found, np.array([[0, 0.5, 0.5], [1 / 3] * 3, [1, 0, 0]]), tolerance=1e-15)


def test_a_mask_holds_the_state_and_padding_never_enters():
    def masked(step, lengths, x):
        case = recurrent(step)
        h, m = case.system.ref("h"), Variable("m", (TIME, SAMPLE), "mask")
        held = m * tanh(case.system.ref("z")) + (1 - m) * shift(h, TIME, step, case.system.variables["h0"])
        case.system.revise("h", expression=held)
        mask = (np.arange(len(x))[:, None] < lengths) * 1.0
        return gradients(case, x=x, m=mask), case
    x = DRAW.normal(size=(5, 3, 3))
    for step in (1, -1):
        (found, numbers), case = masked(step, [5, 3, 1], x)
        assert_agree(found, numbers, tolerance=1e-13)
        other = x.copy()
        other[3:, 1] = other[1:, 2] = 1e6
        assert_agree(masked(step, [5, 3, 1], other)[0][0], found, tolerance=0)
        if step > 0:                                        # each sample alone, at its own length, gives the same mean
            alone = [recurrent(step).run(x=x[:length, n:n + 1], y=case.feeds["y"][n:n + 1]).gradients()
                     for n, length in enumerate([5, 3, 1])]
            assert_agree(found, {k: sum(g[k] for g in alone) / 3 for k in found}, tolerance=1e-13)


# -- second derivatives ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("case", [perceptron(), recurrent(), recurrent(-1, loss="each"), lstm()])
def test_a_hessian_vector_product_is_the_complex_step_of_the_gradient(case):
    second, directions = hessian_vector_product(case.swept, case.wrt)
    feeds = {**case.feeds, **{f"v.{name}": DRAW.normal(size=case.feeds[name].shape) for name in case.wrt}}
    program = lower(second.system, ["E"], gradients={name: second.adjoints[name] for name in case.wrt})
    found = Run(program, feeds).gradients()
    moved = {name: case.feeds[name] + 1e-30j * feeds[f"v.{name}"] for name in case.wrt}
    numbers = Run(case.program, {**case.feeds, **moved}, complex).gradients()
    assert_agree(found, {name: array.imag / 1e-30 for name, array in numbers.items()}, tolerance=1e-12)
    assert set(directions) == set(case.wrt)


# -- truncation ------------------------------------------------------------------------------------------------------------

XI = Variable("xi", (TIME,), "scalar")


def frozen_gradient(xi, steps, loss):
    """The complex step of the frozen function x₀ + ξ(x − x₀), written as a plain loop, by parameter."""
    feeds = recurrent(link=XI, steps=steps, loss=loss).feeds
    def states(p, base):                                                                                   # noqa: E306
        h, kept = np.broadcast_to(p["h0"], (3, 2)), []
        for t in range(steps):
            before = h if base is None else base[t] + xi[t] * (h - base[t])
            h = np.tanh(feeds["x"][t] @ p["W"] + p["b"] + before @ p["U"])
            kept.append(h)
        return kept
    start = {k: feeds[k] for k in ("h0", "W", "U", "b")}
    run = states(start, None)
    base = [np.broadcast_to(start["h0"], (3, 2)), *run[:-1]]
    def E(p):                                                                                              # noqa: E306
        h = states(p, base)
        errors = [(h[-1] - feeds["y"]) ** 2] if loss == "last" else [(a - y) ** 2 for a, y in zip(h, feeds["y"])]
        return sum(e.sum() for e in errors) / 3
    return complex_step(E, start)


def truncated(xi, steps, loss):
    return recurrent(link=XI, steps=steps, loss=loss).run(xi=np.asarray(xi, float)).gradients()


@pytest.mark.parametrize("loss", ["last", "each"])
@pytest.mark.parametrize("xi", [[1, 1, 1, 1], [1, 1, 0, 1], [0, 0, 0, 0], [1, 2.5, 0, 2.5]])
def test_a_truncated_gradient_is_that_of_the_frozen_function(xi, loss):
    found, expected = truncated(xi, 4, loss), frozen_gradient(xi, 4, loss)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-12, atol=1e-15)


def untruncated(loss):
    feeds = recurrent(link=XI, loss=loss).feeds
    return recurrent(loss=loss).run(**feeds).gradients()


def test_truncation_leaves_the_loss_and_changes_the_gradient():
    full, cut = (recurrent(link=XI).run(xi=np.array(xi, float)) for xi in ([1, 1, 1, 1], [1, 0, 1, 1]))
    assert np.array_equal(full.outputs()["E"], cut.outputs()["E"])
    assert not np.allclose(full.gradients()["W"], cut.gradients()["W"])
    assert_agree(full.gradients(), untruncated("last"), tolerance=1e-15)


def test_the_mean_over_all_draws_is_the_full_gradient():
    steps, keep, mean_gradient = 4, 0.3, None
    for draw in every([0, 1], repeat=steps):
        chance = np.prod([keep if link else 1 - keep for link in draw])
        found = truncated([link / keep for link in draw], steps, "each")
        mean_gradient = {k: chance * g + (0 if mean_gradient is None else mean_gradient[k]) for k, g in found.items()}
    assert_agree(mean_gradient, untruncated("each"), tolerance=1e-14)


def test_a_stop_gradient_is_scaled_by_zero():
    system, x = System(), Variable("x", (SAMPLE,), "parameter")
    system.define("E", x * scaled(exp(x), 0))
    swept = sweep(system, {"E": 1}, ["x"])
    found = Run(lower(swept.system, ["E"], gradients={"x": "grad.x"}), {"x": np.array([0.5])}).gradients()["x"]
    assert found == pytest.approx(np.exp(0.5))


def test_users_functions_are_differentiated_by_the_same_rules():
    bump = elementwise("bump", value=lambda a, b: tanh(a) * reciprocal(1 + b * b))
    case = perceptron(function=lambda z: bump(z, 0.5 * z))
    assert_agree(*gradients(case), tolerance=1e-12)
