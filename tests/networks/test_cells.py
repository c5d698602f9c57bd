"""Cells: every recurrence's system, against plain NumPy loops; masks hold the state; a user's cell is one function."""

import numpy as np
import pytest

from backproof.calculus import tanh
from backproof.engines.reference import Run
from backproof.errors import SpecError
from backproof.lower import lower
from backproof.network import Network
from backproof.networks import Bidirectional, Dense, Last, Recurrent, cell

CELLS = ["rnn 3", "rnn 3 relu", "rnn 3 linear", "gru 3", "lstm 3", "gru 3 nobias", "lstm 3 nobias", "bi rnn 3",
         "bi gru 3", "bi lstm 3"]


def values(network, inputs, names, parameters=None, **how):
    """Run named equations on inputs given in storage order; returns them in the same."""
    program = lower(network.system(**how), names)
    parameters = parameters or drawn(network)
    return Run(program, {**parameters, **inputs}, np.float64).outputs()


def drawn(network, seed=0):
    rng = np.random.default_rng(seed)
    return {p.name: rng.normal(0, 0.7, p.shape) for p in network.parameters}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


@pytest.mark.parametrize("spec", CELLS)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("end", ["", " | last", " | mean", " | max"])
def test_every_cell_has_a_checked_system_and_gradients(spec, masked, end):
    network = Network(f"2 | {spec}{end} | 2 softmax", loss="cross_entropy")
    swept = network.gradient_system(masked=masked, weighted=True)
    assert set(swept.adjoints) >= {p.name for p in network.parameters}
    assert swept.system.check() is swept.system


def test_a_simple_recurrent_net_as_the_articles_write_it():
    found = [repr(q) for q in Network("2 | rnn 3 | last | 1").gradient_system().system]
    name, terms = found[0].split(" = ")
    assert name == "z1[t,n,layer1]" and set(terms.split(" + ")) == {
        "b1[layer1]", "Σ_input W1[input,layer1]·x[t,n,input]",
        "Σ_layer1' U1[layer1',layer1]·shift(h1[t,n,layer1], 0; t-1){layer1→layer1'}"}
    assert "adj.h1[t,n,layer1] = shift((Σ_layer1 U1[layer1',layer1]·delta1[t,n,layer1]){layer1'→layer1}, " \
           "adj.last1[n,layer1]; t+1)" in found


def test_lstm_follows_a_plain_loop():
    network, rng = Network("2 | lstm 3"), np.random.default_rng(1)
    p, x = drawn(network), rng.normal(size=(5, 4, 2))
    h, c, out = np.zeros((4, 3)), np.zeros((4, 3)), []
    for xt in x:
        z = {g: xt @ p[f"W_{g}1"] + h @ p[f"U_{g}1"] + p[f"b_{g}1"] for g in "ifgo"}
        c = sigmoid(z["f"]) * c + sigmoid(z["i"]) * np.tanh(z["g"])
        h = sigmoid(z["o"]) * np.tanh(c)
        out.append(h)
    assert np.allclose(values(network, {"x": x}, ["h1"], p)["h1"], out, rtol=1e-13)


def test_gru_follows_a_plain_loop_of_pytorchs_form():
    network, rng = Network("2 | gru 3"), np.random.default_rng(1)
    p, x = drawn(network), rng.normal(size=(5, 4, 2))
    h, out = np.zeros((4, 3)), []
    for xt in x:
        r = sigmoid(xt @ p["W_r1"] + h @ p["U_r1"] + p["b_r1"])
        u = sigmoid(xt @ p["W_u1"] + h @ p["U_u1"] + p["b_u1"])
        n = np.tanh(xt @ p["W_n1"] + p["b_n1"] + r * (h @ p["U_n1"] + p["c_n1"]))
        h = (1 - u) * n + u * h
        out.append(h)
    assert np.allclose(values(network, {"x": x}, ["h1"], p)["h1"], out, rtol=1e-13)


def test_a_bidirectional_layer_is_two_that_meet():
    network, rng = Network("2 | bi rnn 3 | last"), np.random.default_rng(1)
    p, x = drawn(network), rng.normal(size=(5, 4, 2))
    single = Network("2 | rnn 3 | last")
    own = {prefix: {name: p[prefix + name] for name in ("W1", "U1", "b1")} for prefix in ("", "reverse_")}
    ahead = values(single, {"x": x}, ["prediction"], own[""])["prediction"]
    behind = values(single, {"x": x[::-1]}, ["prediction"], own["reverse_"])["prediction"]
    found = values(network, {"x": x}, ["prediction"], p)["prediction"]
    assert np.allclose(found, np.concatenate([ahead, behind], axis=-1), rtol=1e-13)


@pytest.mark.parametrize("end", ["", " | last", " | mean", " | max", " | 2 | last", " | dropout 0.5 | last"])
@pytest.mark.parametrize("spec", CELLS)
def test_padding_never_enters(spec, end):
    """Sequences of three lengths in one masked batch give what each gives alone, whatever stands in the padding."""
    network, rng = Network(f"2 | {spec}{end} | 2"), np.random.default_rng(2)
    p, x, lengths = drawn(network), rng.normal(size=(5, 3, 2)), [5, 3, 1]
    y = rng.normal(size=(5, 3, 2) if network.output_per_step else (3, 2))
    mask = (np.arange(5)[:, None] < lengths).astype(float)
    for filler in (0.0, 7.0):
        padded = np.where(mask[..., None] > 0, x, filler)
        found = values(network, {"x": padded, "y": y, "mask": mask}, ["E"], p, masked=True)["E"]
        for n, length in enumerate(lengths):
            one = y[:length, n:n + 1] if network.output_per_step else y[n:n + 1]
            alone = values(network, {"x": x[:length, n:n + 1], "y": one}, ["E"], p)["E"]
            assert np.allclose(found[n], alone[0], rtol=1e-12), (n, length)


def test_states_are_carried_from_segment_to_segment():
    network, rng = Network("2 | lstm 3 | gru 2"), np.random.default_rng(3)
    p, x = drawn(network), rng.normal(size=(6, 4, 2))
    whole = values(network, {"x": x}, ["prediction"], p)["prediction"]
    names = network.states
    assert set(names) == {"h1", "c1", "h2"}
    state = {f"{name}.start": np.zeros((4, 2 if name == "h2" else 3)) for name in names}
    parts = []
    for start in (0, 2, 4):
        wanted = ["prediction", *(f"{name}.end" for name in names)]
        found = values(network, {"x": x[start:start + 2], **state}, wanted, p, given_state=True)
        parts.append(found["prediction"])
        state = {f"{name}.start": found[f"{name}.end"] for name in names}
    assert np.allclose(np.concatenate(parts), whole, rtol=1e-13)


def test_truncation_scales_the_adjoint_on_the_link():
    found = {q.name: repr(q.expression) for q in Network("2 | rnn 3 | last | 1").gradient_system(truncated=True).system}
    assert "xi[t]" in found["adj.h1"] and "delta1[t,n,layer1]" in found["adj.h1"]


# a user's cell: one function

@cell
def leaky(scope, x, h, rate=0.5):
    z = scope.define("z", scope.project(x, "W") + scope.project(h, "U") + scope.bias("b"), role="pre_activation")
    return (1 - rate) * h + rate * tanh(z)


@cell
def counter(scope, x, h, c):
    """Two states, returned as plain expressions."""
    c = c + tanh(scope.project(x, "W"))
    return tanh(c + scope.project(h, "U")), c


def test_a_users_cell_is_one_function():
    network = Network([leaky(3, rate=0.25), Bidirectional(leaky(2)), Last(), Dense(1)], inputs=2)
    rng = np.random.default_rng(1)
    assert [p.name for p in network.parameters][:6] == ["W1", "U1", "b1", "W2", "U2", "b2"]
    assert {"delta1", "reverse_delta2"} <= set(network.gradient_system().system.equations)
    p, x, h = drawn(network), rng.normal(size=(5, 4, 2)), np.zeros((4, 3))
    for xt in x:
        h = 0.75 * h + 0.25 * np.tanh(xt @ p["W1"] + h @ p["U1"] + p["b1"])
    assert np.allclose(values(network, {"x": x}, ["h1"], p)["h1"][-1], h, rtol=1e-13)


@pytest.mark.parametrize("masked", [False, True])
def test_a_users_cell_may_carry_several_states(masked):
    network = Network([counter(3), Last(), Dense(1)], inputs=2)
    assert set(network.states) == {"h1", "c1"}
    assert "c1[t,n,layer1]" in repr(network.system(masked=masked)["new_h1" if masked else "h1"].expression)
    network.gradient_system(masked=masked)


def test_a_cell_without_a_state_or_with_too_many_is_refused():
    with pytest.raises(SpecError, match="carries no state"):
        @cell
        def none(scope, x): return x

    @cell
    def wrong(scope, x, h): return h, h
    with pytest.raises(SpecError, match="gives 2 states, not h"):
        Network([wrong(3)], inputs=2)
    with pytest.raises(SpecError, match="'bi' takes a recurrent layer"):
        Network([Bidirectional(Dense(3))], inputs=2)
    assert isinstance(leaky(3), Recurrent)
