"""The one-line spec: it says the same as a list of layers, prints back, and answers every unknown word."""

import pytest

from backproof.calculus import elementwise, sigmoid, tanh
from backproof.errors import BackproofError, OptionError, SpecError
from backproof.network import Network
from backproof.networks import (GRU, LSTM, RNN, Activation, Bidirectional, Dense, Dropout, Embedding, Last, LayerNorm,
                                MaxPool, MeanPool, Window, cell, layer)

SAME = [
    ("3 | 4 relu | 2", 3, [Dense(4, "relu"), Dense(2)]),
    ("3|4 tanh nobias|out: 2 l2=0.5", 3, [Dense(4, "tanh", bias=False), Dense(2, name="out", l2=0.5)]),
    ("3 | dense 4 | relu | 2", 3, [Dense(4), Activation("relu"), Dense(2)]),
    ("3 | 4 initial=he | layer_norm eps=0.001 | dropout 0.25 | 2", 3,
     [Dense(4, initial="he"), LayerNorm(1e-3), Dropout(0.25), Dense(2)]),
    ("3 | 4 initial=normal(0, 0.5) | 2", 3, [Dense(4, initial=("normal", 0, 0.5)), Dense(2)]),
    ("3 | rnn 4 relu | dropout 0.5 same_over_time | last | 2", 3,
     [RNN(4, "relu"), Dropout(0.5, same_over_time=True), Last(), Dense(2)]),
    ("3 | bi lstm 4 | gru 2 nobias | mean", 3, [Bidirectional(LSTM(4)), GRU(2, bias=False), MeanPool()]),
    ("3 | both: bi rnn 4 initial=zeros | max | 1", 3,
     [Bidirectional(RNN(4, initial="zeros"), name="both"), MaxPool(), Dense(1)]),
    ("window 3 vocabulary=10 embedding 2 | 4 tanh | 1", None, [Window(3, 10, 2), Dense(4, "tanh"), Dense(1)]),
    ("embedding 5 vocabulary=10 | lstm 4 | last | 1", None, [Embedding(5, 10), LSTM(4), Last(), Dense(1)]),
    ("3 | units=4 activation=tanh nobias | 1", 3, [Dense(4, "tanh", bias=False), Dense(1)]),
]


@pytest.mark.parametrize("spec, inputs, layers", SAME, ids=[case[0] for case in SAME])
def test_a_spec_and_a_list_of_layers_give_the_same_network(spec, inputs, layers):
    one, other = Network(spec), Network(layers, inputs=inputs)
    assert one == other and one.digest == other.digest and hash(one) == hash(other)
    assert [repr(q) for q in one.system()] == [repr(q) for q in other.system()]
    assert one.parameters == other.parameters


@pytest.mark.parametrize("spec", [case[0] for case in SAME])
def test_the_canonical_spec_is_a_fixed_point(spec):
    canonical = Network(spec).spec
    assert Network(canonical).spec == canonical and Network(canonical) == Network(spec)


def test_networks_that_differ_are_not_equal():
    base = Network("3 | 4 relu | 2")
    assert all(base != Network(spec, **how) for spec, how in [
        ("3 | 5 relu | 2", {}), ("3 | 4 tanh | 2", {}), ("3 | 4 relu nobias | 2", {}), ("2 | 4 relu | 2", {}),
        ("3 | 4 relu | 2", {"l2": 1}), ("3 | 4 relu | 2", {"loss": "absolute_error"}),
        ("3 | 4 relu | 2", {"initial": "he"})])


def test_a_spec_takes_the_users_words():
    @elementwise
    def swish(x): return x * sigmoid(x)

    @cell
    def leaky(scope, x, h, rate=0.5):
        z = scope.define("z", scope.project(x, "W") + scope.project(h, "U"), role="pre_activation")
        return (1 - rate) * h + rate * tanh(z)

    @layer
    def gain(scope, x, factor=2):
        return scope.define("a", factor * x * scope.parameter("g", (scope.unit_of(x),), "scale"), role="activation")
    words = {"swish": swish, "leaky": leaky, "gain": gain}
    spec = Network("3 | 4 swish | leaky 5 rate=0.25 | gain 3 | last | 2", words=words)
    assert spec == Network([Dense(4, swish), leaky(5, rate=0.25), gain(3), Last(), Dense(2)], inputs=3)
    assert spec.spec is None                       # no one-line spec can say what the user's words mean


@pytest.mark.parametrize("spec, message", [
    ("", "an empty part"),
    ("4", "the network has no layers"),
    ("4 | 3 |", "an empty part"),
    ("0 | 3", "0 inputs"),
    ("dense 3 | 2", "begin with the number of inputs"),
    ("4 | 8 rleu | 2", "did you mean 'relu'?"),
    ("4 | 8 rleu | 2", "part 2, '8 rleu'"),
    ("4 | lstn 3", "did you mean 'lstm'?"),
    ("4 | 3 nobais", "did you mean 'nobias'?"),
    ("4 | 3 lr=4", "unknown option 'lr'"),
    ("4 | 3 tanh relu", "activation is given twice: tanh and relu"),
    ("4 | 3 5", "one number too many: 5"),
    ("4 | 3 units=5", "units is given twice"),
    ("4 | dropout", "this part needs rate"),
    ("4 | dense units", "units has no value"),
    ("4 | dropout 1.0", "at least 0 and below 1"),
    ("4 | bi 3", "takes a recurrent layer"),
    ("4 | bi", "'bi' of what?"),
    ("4 | 3 l2=x", "l2 = 'x'"),
    ("4 | 3 initial=hee", "did you mean 'he'?"),
    ("4 | 3 initial=normal(0,-1)", "have no meaning"),
    ("4 | rnn 3 | last | mean", "'mean1' (mean) wants steps in time, and 'last1' gives one value for all steps"),
    ("4 | 3 | embedding 4 vocabulary=3", "can only be the first layer"),
    ("4 | E: 3", "cannot be called 'E'"),
    ("4 | a: 3 | a: 2", "two layers are called 'a'"),
    ("window 5 embedding 3 | 2", "needs vocabulary"),
])
def test_an_error_names_the_part_and_the_mend(spec, message):
    with pytest.raises((SpecError, OptionError)) as caught:
        Network(spec)
    assert message in str(caught.value)


@pytest.mark.parametrize("value", ["0", "-3", "3.0", "1e3"])
def test_units_that_are_no_whole_number_are_named_with_the_layer(value):
    with pytest.raises(SpecError, match=r"units = .*\n  in   layer 2, dense"):
        Network(f"4 | 3 | {value}")


@pytest.mark.parametrize("spec", ["4 | 3 \x00", "4 |||", "|", "٣ | 3", "4 | ²", "4 | 3 (", "4 | 3 l2=", "4 | (", "=|=",
                                  ":", "4 | : 3", "4 | 3 initial=", "4 | 99999999999999999999999999"])
def test_odd_texts_are_refused_without_another_exception(spec):
    with pytest.raises(BackproofError):
        Network(spec)
