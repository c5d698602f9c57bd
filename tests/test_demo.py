"""The demo: it runs, it says what it measured, and its judgement of the published program is right."""

import re

import numpy as np
import pytest

from backproof import demo
from backproof.demo import MENDS, compare, error_signals, implied_gradients, published_update, wrong
from backproof.network import Network


def test_the_demo_runs_and_every_error_signal_has_its_check(tmp_path, capsys):
    demo.main(str(tmp_path / "demo"))
    told = capsys.readouterr().out
    assert "gradients checked on 5 rows" in told
    assert len(re.findall(r"^ *\(\d+\) +δ.* ✓ ", told, re.M)) == 2
    accuracy = float(re.search(r"^ +test +270 +\S+ +(\S+)", told, re.M)[1])
    assert accuracy > 0.93
    assert "18 of 18 tensors wrong" in told and " 0 of 18 tensors wrong" in told
    assert (tmp_path / "demo/model.safetensors").exists()


def test_error_signals_are_the_lines_of_delta_alone():
    told = error_signals(Network("3 | 4 tanh | 2 tanh | 2 softmax", loss="cross_entropy"))
    assert re.findall(r"^ *\(\d+\) +(δ\d)", told, re.M) == ["δ3", "δ2", "δ1"]
    assert "∂J" not in told and told.count("✓") == 3


@pytest.mark.parametrize("seed", range(4))
def test_each_mistake_of_the_published_program_is_seen(seed):
    found = {mended: wrong(compare(mended, seed)) for mended in MENDS}
    weights = [f"W{k}" for k in range(1, 10)]
    assert len(found[""]) == 18
    assert found["slope"] == weights and found["slope, input"] == weights
    assert found["slope, input, shape"] == []


def test_a_program_that_is_right_is_not_accused_and_one_wrong_number_is():
    draw = np.random.default_rng(1)
    weights, biases = [draw.normal(size=(3, 3)) for _ in range(2)], [draw.normal(size=3) for _ in range(2)]
    x = draw.uniform(size=3)
    model = Network("3 | 3 sigmoid | 3 sigmoid", loss="squared_error").build(dtype="float64")
    model.set_parameters(W1=weights[0].T, W2=weights[1].T, b1=biases[0], b2=biases[1])
    derived = model.gradients(x[None], x[None])
    after = published_update(weights, biases, x, x, MENDS[-1])
    implied = implied_gradients((weights, biases), after)
    for name in derived:
        assert np.allclose(implied[name], derived[name], rtol=1e-12, atol=1e-14)
    after[0][0][1, 2] += 1e-3
    assert not np.allclose(implied_gradients((weights, biases), after)["W1"], derived["W1"], rtol=1e-6)
