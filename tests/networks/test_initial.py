"""Initial values: plain data that the generator draws, by policy, activation and kind of parameter."""

from math import sqrt

import pytest

from backproof.engines.generator import initial_values
from backproof.errors import OptionError
from backproof.network import Network
from backproof.networks import LSTM, Dense


def initials(spec, **how):
    return {p.name: p.initial for p in Network(spec, **how).parameters}


def test_the_default_follows_the_activation():
    found = initials("6 | 4 tanh | 2 relu | 3 selu | 5")
    assert found["W1"] == ("uniform", -sqrt(6 / 10), sqrt(6 / 10))
    assert found["W2"] == ("normal", 0.0, sqrt(2 / 4)) and found["W3"] == ("normal", 0.0, sqrt(1 / 2))
    assert all(found[f"b{k}"] == ("zeros",) for k in (1, 2, 3, 4))


def test_recurrent_matrices_are_orthogonal_and_an_lstm_remembers_at_first():
    found = initials("6 | lstm 4")
    assert found["U_i1"] == ("orthogonal", 1.0) and found["b_f1"] == ("constant", 1.0) and found["b_i1"] == ("zeros",)


def test_article_c_starts_weights_and_biases_alike():
    assert set(initials("6 | 4 tanh | 3", initial="normal").values()) == {("normal", 0.0, 0.01)}


def test_article_b_starts_uniform():
    assert set(initials("3 | 3 sigmoid | 3 sigmoid", initial="uniform").values()) == {("uniform", 0.0, 1.0)}


def test_equal_starts_are_one_distribution():
    assert set(initials("3 | 3 sigmoid | 1", initial=("constant", 0.5)).values()) == {("constant", 0.5)}


def test_the_layers_policy_goes_before_the_networks():
    found = initials("3 | 4 initial=zeros | 2", initial="he")
    assert found["W1"] == ("zeros",) and found["W2"] == ("normal", 0.0, sqrt(2 / 4))
    network = Network([LSTM(2, initial="normal"), Dense(1)], inputs=3)
    assert {p.initial for p in network.parameters if p.layer == "layer1"} == {("normal", 0.0, 0.01)}


def test_orthogonal_leaves_biases_alone_and_scales_are_one():
    found = initials("3 | 4 | layer_norm | 2", initial=("orthogonal", 2.0))
    assert found["W1"] == ("orthogonal", 2.0) and found["b1"] == ("zeros",) and found["gamma2"] == ("constant", 1.0)


@pytest.mark.parametrize("spec", ["3 | 4 relu | layer_norm | 2", "3 | bi lstm 4 | gru 3 | rnn 2",
                                  "embedding 3 vocabulary=7 | last"])
@pytest.mark.parametrize("policy", [None, "glorot", "he", "lecun", "orthogonal", "normal", "uniform", "zeros",
                                    ("constant", 2)])
def test_the_generator_draws_every_policy(spec, policy):
    for number, p in enumerate(Network(spec, initial=policy).parameters):
        assert initial_values(p.initial, p.shape, 0, number).shape == p.shape


@pytest.mark.parametrize("given", ["hee", "normal(1)", "normal(0,-1)", "uniform(1,0)", "constant(x)",
                                   ("normal", float("nan"), 1), ("gauss", 1), "normal(0,1)x"])
def test_unknown_or_meaningless_policies_are_refused(given):
    with pytest.raises(OptionError):
        Network("3 | 2", initial=given)
