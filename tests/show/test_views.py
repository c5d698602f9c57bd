"""The two views: an error signal shared out over weights (article D4), and values with adjoints (D7)."""

import numpy as np
import pytest

from backproof import Network
from backproof.calculus import System, Variable
from backproof.derivation import Derivation


def fed(derivation, seed=0):
    draw = np.random.default_rng(seed)
    return {name: draw.normal(size=[i.extent if isinstance(i.extent, int) else 1 for i in v.axes])
            for name, v in derivation.system.variables.items()}


def sigma(z):
    return 1 / (1 + np.exp(-z))


def test_a_signal_of_one_reaches_one_weight_of_the_4_2_1_network_as_in_article_d():
    derivation = Network("4 | 2 sigmoid | 1 nobias", loss="squared_error").derive(of="score")
    feeds = fed(derivation)
    shared = {row.symbol: row for row in derivation.error_sharing(feeds)}
    W, U, x = feeds["W1"], feeds["W2"], feeds["x"][0]
    a = sigma(x @ W + feeds["b1"])
    assert shared["δ2[1,1]"].value == 1
    assert shared["∂s/∂W1[1,4]"].value == pytest.approx(1 * U[0, 0] * a[0] * (1 - a[0]) * x[3], rel=1e-12)      # W_14
    assert shared["∂s/∂b1[1]"].value == pytest.approx(1 * U[0, 0] * a[0] * (1 - a[0]), rel=1e-12)                # its input is 1
    assert shared["δ1[1,2]"].formula == "δ2[1,1]·W2[1,2]·σ′(z1[1,2])"


def test_under_the_margin_the_signal_is_minus_one_at_s_and_plus_one_at_the_corrupt_window():
    derivation = Network("4 | 2 sigmoid | 1 nobias", loss="pairwise_margin").derive()
    feeds = fed(derivation)
    signals = [row.value for row in derivation.error_sharing(feeds) if row.symbol.startswith("δ2")]
    assert signals == [-1, 1]
    feeds["W2"] = feeds["W2"] * 0 + 100 * np.sign(sigma(feeds["x"][0, 0] @ feeds["W1"]) - sigma(feeds["x"][0, 1] @ feeds["W1"]))[:, None]
    assert {row.value for row in derivation.error_sharing(feeds) if row.symbol.startswith("δ2")} == {0}          # J = 0: no update


def test_the_graph_of_article_d7_says_what_a_step_does():
    s = System()
    s.define("f", Variable("x") * Variable("y"))
    nodes = {node.symbol: node for node in Derivation.of(s, {"f": 1}, ["x", "y", "f"], mean_over=None).graph({"x": 4, "y": -3})}
    assert (nodes["f"].value, nodes["x"].adjoint, nodes["y"].adjoint) == (-12, -3, 4)
    assert nodes["x"].sensitivity == "a small step h in x changes f by about −3 h"


def test_the_graph_speaks_chinese():
    s = System()
    s.define("f", Variable("x") * Variable("y"))
    made = Derivation.of(s, {"f": 1}, ["x", "y"], mean_over=None).graph({"x": 4, "y": -3}, language="zh")
    assert made[0].sensitivity == "x 增加微小的 h，f 约变化 −3 h"


@pytest.mark.parametrize("spec, loss", [("2 | rnn 2 | last | 2 softmax", "cross_entropy"), ("3 | bi rnn 2 | 1", "squared_error"),
                                        ("3 | 2 relu | layer_norm | 1", "huber"), ("embedding 2 vocabulary=3 | mean | 1", "squared_error")])
def test_every_entry_s_value_is_the_engine_s(spec, loss):
    derivation = Network(spec, loss=loss).derive()
    draw = np.random.default_rng(1)
    feeds = {name: draw.integers(0, 3, [2] * len(v.axes)) if v.integer else
             draw.normal(size=[i.extent if isinstance(i.extent, int) else 2 for i in v.axes]) for name, v in derivation.system.variables.items()}
    values, _ = derivation.values(feeds)
    rows = derivation.error_sharing(feeds)
    lines = [line for line in derivation.lines() if line.equation.of is not None]
    expected = np.concatenate([np.ravel(values[line.equation.name]) for line in lines])
    assert np.allclose([row.value for row in rows], expected, rtol=1e-12, atol=1e-300)
    assert all(np.isfinite(node.value) for node in derivation.graph(feeds))
