"""Layers: their equations, golden; and a user's layer, which touches one place."""

from dataclasses import dataclass

import pytest

from backproof.calculus import elementwise, maximum, rename, sigmoid, tanh
from backproof.errors import OptionError, ShapeError, SpecError
from backproof.network import Network
from backproof.networks import Dense, Last, Layer, layer


def text(spec, **how):
    loss = how.pop("loss", "squared_error")
    return "\n".join(repr(q) for q in Network(spec, loss=loss).gradient_system(**how).system)


def test_two_layer_network_with_cross_entropy_in_the_order_of_article_e():
    assert text("2 | 3 sigmoid | 1 sigmoid", loss="binary_cross_entropy") == """\
z1[n,layer1] = b1[layer1] + Σ_input W1[input,layer1]·x[n,input]
a1[n,layer1] = sigmoid(z1[n,layer1])
z2[n,layer2] = b2[layer2] + Σ_layer1 W2[layer1,layer2]·a1[n,layer1]
a2[n,layer2] = sigmoid(z2[n,layer2])
E[n] = -1·(Σ_layer2 (−(1 − y[n,layer2])·softplus(z2[n,layer2]) − y[n,layer2]·softplus(-1·z2[n,layer2])))
L[] = Σ_n E[n]·N^-1
delta2[n,layer2] = a2[n,layer2] − y[n,layer2]
grad.W2[layer1,layer2] = Σ_n a1[n,layer1]·delta2[n,layer2]·N^-1
grad.b2[layer2] = Σ_n delta2[n,layer2]·N^-1
adj.a1[n,layer1] = Σ_layer2 W2[layer1,layer2]·delta2[n,layer2]
delta1[n,layer1] = a1[n,layer1]·adj.a1[n,layer1]·(−a1[n,layer1] + 1)
grad.W1[input,layer1] = Σ_n delta1[n,layer1]·N^-1·x[n,input]
grad.b1[layer1] = Σ_n delta1[n,layer1]·N^-1"""


def test_logistic_regression_with_decay_on_the_weights_of_article_c():
    network = Network("2 | 1 sigmoid", loss="binary_cross_entropy", l2=0.5)
    found = {q.name: repr(q.expression) for q in network.gradient_system().system}
    assert found["penalty"] == "1/4·(Σ_input,layer1 square(W1[input,layer1]))"
    assert found["J"] == "L + penalty"
    assert found["grad.W1"] == "1/2·W1[input,layer1] + Σ_n delta1[n,layer1]·N^-1·x[n,input]"
    assert found["grad.b1"] == "Σ_n delta1[n,layer1]·N^-1"


def test_a_named_layer_is_called_by_its_name():
    network = Network("2 | hidden: 3 tanh | output: 1")
    assert [p.name for p in network.parameters] == ["hidden.W", "hidden.b", "output.W", "output.b"]
    assert {"hidden.delta", "output.delta"} <= set(network.gradient_system().system.equations)


def test_layers_without_parameters_take_no_number():
    network = Network("7 | 3 sigmoid | dropout 0.2 | relu | 2 softmax", loss="cross_entropy")
    assert [p.name for p in network.parameters] == ["W1", "b1", "W2", "b2"]
    assert [label for label, _ in network.shapes] == ["layer1", "dropout1", "activation1", "layer2"]


def test_dropout_stands_in_the_training_system_alone():
    network = Network("3 | 4 | dropout 0.25 | 2 | dropout 0.5")
    assert not any("noise" in name for name in network.system().variables)
    training = network.system(training=True)
    assert repr(training["dropped1"].expression) == "noise1[n,layer1]·z1[n,layer1]"
    drawn = [(noise.name, noise.rate, noise.number) for noise in network.noises]
    assert drawn == [("noise1", 0.25, 1), ("noise2", 0.5, 2)]
    assert training.variables["noise1"].facts == (("dropout", 1, 0.25),)


def test_dropout_over_time_is_one_draw_or_one_per_step():
    assert [i.kind for i in Network("3 | rnn 4 | dropout 0.2").noises[0].axes] == ["time", "sample", "unit"]
    assert [i.kind for i in Network("3 | rnn 4 | dropout 0.2 same_over_time").noises[0].axes] == ["sample", "unit"]


def test_layer_norm_takes_the_statistics_of_one_sample():
    system = Network("3 | layer_norm eps=0.5").system()
    assert repr(system["deviation1"]) == "deviation1[n] = sqrt(1/2 + 1/3·Σ_input square(centred1[n,input]))"
    assert [p.kind for p in Network("3 | layer_norm", l2=1, decay_biases=True).parameters] == ["scale", "bias"]


def test_a_window_lays_its_vectors_one_after_another():
    network = Network("window 5 vocabulary=100 embedding 4 | 8 tanh | 1 nobias", loss="pairwise_margin")
    shapes = {p.name: p.shape for p in network.parameters}
    assert shapes == {"E1": (100, 4), "W2": (20, 8), "b2": (8,), "W3": (8, 1)}
    assert (network.window, network.vocabulary, network.inputs, network.pairs) == (5, 100, None, True)
    assert [i.name for i in network.input.axes] == ["n", "pair", "position"] and network.input.integer


def test_pooling_ends_the_steps():
    for kind, expression in [("last", "last_t(h1[t,n,layer1])"), ("mean", "Σ_t T^-1·h1[t,n,layer1]"),
                             ("max", "max_t(h1[t,n,layer1])")]:
        network = Network(f"3 | rnn 2 | {kind}")
        assert repr(network.system()[network.system().resolve("prediction")].expression) == expression
        assert not network.output_per_step and network.sequence


def test_layers_that_do_not_fit_are_both_named():
    with pytest.raises(ShapeError) as caught:
        Network([Dense(3, inputs=4), Dense(2, inputs=4)])
    assert "'layer1' gives (n, 3): 3 units, and the weights of 'layer2' are 4 × 2" in str(caught.value)
    with pytest.raises(ShapeError, match="the input gives"):
        Network([Dense(3, inputs=4)], inputs=5)


@pytest.mark.parametrize("units", [0, -1, True, 3.0, "3", None, float("nan")])
def test_units_must_be_a_whole_number(units):
    with pytest.raises(SpecError, match="units = .*\n  in   layer 2, dense"):
        Network([Dense(3), Dense(units)] if units is not None else [Dense(3), Dense(0)], inputs=2)


def test_whole_numbers_of_other_libraries_are_taken():
    import numpy as np
    assert Network([Dense(np.int64(3))], inputs=np.int32(2)) == Network("2 | 3")


# one place each: an elementwise function, a layer

@elementwise
def hat(x): return maximum(0, 1 - abs(x))


def test_a_users_activation_is_one_function():
    found = {q.name: repr(q.expression) for q in Network([Dense(3, hat)], inputs=2).gradient_system().system}
    assert found["a1"] == "hat(z1[n,layer1])" and "sign(z1[n,layer1])" in found["delta1"]
    assert Network([Dense(3, lambda x: x * sigmoid(x))], inputs=2).parameters[0].name == "W1"


@pytest.mark.parametrize("function, message", [
    (elementwise("relu", value=lambda x: x), "a function called 'relu' is built in"),
    (elementwise("mine", derivative=lambda x, y: x), "no engine can run it"),
    (lambda x, y: x * y, "takes 2 operands"),
    (3, "3 is no activation"),
])
def test_a_function_that_cannot_be_an_activation_is_refused(function, message):
    with pytest.raises(SpecError, match=message):
        Network([Dense(3, function)], inputs=2)


@dataclass(frozen=True)
class Highway(Layer):
    """t·f(z) + (1 − t)·x"""

    def forward(self, scope, x):
        j = scope.unit(scope.unit_of(x).extent)
        bias = scope.bias("b_t", initial=("constant", -1.0))
        t = scope.define("t", sigmoid(scope.define("z_t", scope.project(x, "W_t") + bias, role="pre_activation")))
        z = scope.define("z", scope.project(x, "W") + scope.bias("b"), role="pre_activation")
        return scope.define("a", t * tanh(z) + (1 - t) * rename(x, {scope.unit_of(x): j}), role="activation")


@layer
def gain(scope, x, factor=2):
    return scope.define("a", factor * x * scope.parameter("g", (scope.unit_of(x),), "scale"), role="activation")


def test_a_users_layer_is_one_class_or_one_function():
    network = Network([Dense(4), Highway(), Highway(name="second"), gain(factor=3), Dense(2)], inputs=3)
    names = [p.name for p in network.parameters]
    assert names[2:6] == ["b_t2", "W_t2", "W2", "b2"] and names[-3:] == ["g4", "W5", "b5"]
    assert names[6:-3] == ["second.b_t", "second.W_t", "second.W", "second.b"]
    assert {"delta_t2", "delta2", "second.delta_t", "grad.g4"} <= set(network.gradient_system().system.equations)
    assert network.parameters[2].initial == ("constant", -1.0)


def test_a_users_mistakes_are_named():
    @layer
    def twice(scope, x):
        scope.bias("b", scope.unit_of(x))
        return x + scope.bias("b", scope.unit_of(x))

    @layer
    def odd(scope, x):
        return scope.define("../a", x)

    @layer
    def nowhere(scope, x):
        return x + scope.previous("h", x.indices)
    with pytest.raises(SpecError, match="'b1' is asked for twice"):
        Network([twice(), Dense(1)], inputs=2)
    with pytest.raises(SpecError, match="no symbol"):
        Network([odd(), Dense(1)], inputs=2)
    with pytest.raises(ValueError, match="no time index"):
        Network([nowhere(), Dense(1)], inputs=2)


def test_a_mask_and_carried_states_want_a_recurrence():
    for how in ({"masked": True}, {"given_state": True}, {"truncated": True}):
        with pytest.raises(OptionError):
            Network("3 | 2").system(**how)
    with pytest.raises(OptionError, match="runs backwards in time"):
        Network([*Network("3 | bi rnn 2 | last").layers, Dense(1)], inputs=3).system(given_state=True)
    assert isinstance(Network("3 | last | 2").layers[0], Last)
