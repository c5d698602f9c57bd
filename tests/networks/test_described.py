"""Networks as plain data: the same network comes back, users' code comes back as expressions, nonsense is refused."""

import json
from dataclasses import dataclass

import pytest

from backproof.calculus import Ref, elementwise, logsumexp, maximum, rename, select, sigmoid, square, tanh, total
from backproof.errors import ModelFileError, SpecError
from backproof.network import Network
from backproof.networks import Bidirectional, Dense, Dropout, Last, Layer, cell, layer, loss


@elementwise
def swish(x): return x * sigmoid(x)


hat = elementwise("hat", value=lambda x: maximum(0, 1 - swish(x)), derivative=lambda x, y: select(y > 0, -1, 0),
                  kinks={1.0: 0.0}, range=(0, float("inf"), "closed"))


@loss
def asymmetric(a, y, factor=3): return total(select(a > y, square(a - y), factor * square(hat(a - y))), over="k")


@loss(targets=("class", "dense"))
def own_entropy(a, y): return logsumexp(a, over="k") - total(y * a, over="k")


@cell
def leaky(scope, x, h, rate=0.5):
    z = scope.define("z", scope.project(x, "W") + scope.project(h, "U") + scope.bias("b"), role="pre_activation")
    return (1 - rate) * h + rate * tanh(z)


@layer
def noisy(scope, x, factor=2):
    if scope.training:
        x = x * scope.noise("noise", x.indices, 0.1)
    return scope.define("a", factor * x * scope.parameter("g", (scope.unit_of(x),), "scale"), role="activation")


@dataclass(frozen=True)
class Recall(Layer):
    """A recurrence that a layer writes by itself, without a cell."""
    activation: object = "relu"
    steps = "reads"

    def forward(self, scope, x):
        j = scope.unit(scope.unit_of(x).extent)
        x = rename(x, {scope.unit_of(x): j})
        return scope.define("m", tanh(x + scope.project(scope.previous("m", x.indices), "W")), role="state")


BUILT_IN = ["3 | 4 relu | 2", "3 | 4 gelu nobias | dropout 0.5 | out: 2 l1=0.5 initial=normal(0,1)",
            "3 | 4 | layer_norm | tanh | 2",
            "3 | lstm 4 | bi gru 3 | b: bi rnn 2 relu | last | 1", "window 3 vocabulary=9 embedding 2 | 1",
            "embedding 4 vocabulary=9 | mean | 1"]
WAYS = [{}, {"training": True}, {"weighted": True}, {"masked": True}, {"training": True, "masked": True}]


def travelled(network):
    return Network.from_dict(json.loads(json.dumps(network.to_dict(), sort_keys=True, allow_nan=False)))


def same_equations(one, other, ways=WAYS):
    for how in ways:
        if how.get("masked") and not one.sequence:
            continue
        first, second = one.system(**how), other.system(**how)
        assert [repr(q) for q in first] == [repr(q) for q in second]
        assert [q.axes for q in first] == [q.axes for q in second] and first.aliases == second.aliases
    assert one.parameters == other.parameters and one.noises == other.noises


@pytest.mark.parametrize("spec", BUILT_IN)
def test_a_built_in_network_comes_back(spec):
    network = Network(spec, loss="huber(delta=0.5)", l2=0.25, l1=0.125, decay_biases=True, initial=("normal", 0, 0.1))
    back = travelled(network)
    assert back == network and back.spec == network.spec and str(back) == str(network)
    same_equations(network, back)


@pytest.mark.parametrize("layers, how", [
    ([Dense(4, swish), Dense(2, hat)], {}),
    ([Dense(2)], {"loss": asymmetric(factor=2)}),
    ([Dense(2)], {"loss": own_entropy}),
    ([noisy(factor=3), Dropout(0.5), Dense(2)], {}),
    ([leaky(3, rate=0.25), Last(), Dense(2)], {"l2": 0.5}),
    ([Bidirectional(leaky(3), name="both"), noisy(), Last(), Dense(2)], {}),
    ([Dense(4), Recall(name="mine", l2=0.5), Last(), Dense(2, hat)], {"loss": asymmetric}),
])
def test_what_a_user_wrote_comes_back_as_expressions(layers, how):
    network = Network(layers, inputs=3, **how)
    back = travelled(network)
    assert back == network and back.digest == network.digest and travelled(back) == network
    same_equations(network, back)


def test_an_expression_comes_back_as_the_same_node():
    back = travelled(Network([Dense(2, hat)], inputs=3, loss=asymmetric))
    assert back.loss.expression is not None and repr(back.loss.expression) == repr(asymmetric.expression)
    own = travelled(Network([Dense(2)], inputs=3, loss=own_entropy)).loss
    assert own.expression is own_entropy.expression                       # interned: nothing of it is the user's


def test_the_data_hold_numbers_and_words_alone():
    def leaves(data):
        if isinstance(data, dict):
            return [leaf for key, value in data.items() for leaf in (key, *leaves(value))]
        return [leaf for value in data for leaf in leaves(value)] if isinstance(data, list) else [data]
    data = Network([leaky(3), noisy(), Last(), Dense(2, hat)], inputs=3, loss=asymmetric).to_dict()
    assert {type(leaf) for leaf in leaves(data)} <= {str, int, float, bool, type(None)}


def test_a_layer_that_reads_what_is_not_its_own_cannot_be_saved():
    @layer
    def spy(scope, x):
        return x + Ref("z1", x.indices)
    with pytest.raises(SpecError, match="reads 'z1', which is not its own"):
        Network([Dense(2), spy(), Dense(1)], inputs=2).to_dict()


def broken(change):
    network = Network([Dense(4, hat), noisy(), leaky(2), Last(), Dense(2)], inputs=3, loss=asymmetric)
    data = json.loads(json.dumps(network.to_dict()))
    change(data)
    return data


def setter(*path, value):
    def change(data):
        for key in path[:-1]:
            data = data[key]
        data[path[-1]] = value
    return change


@pytest.mark.parametrize("change, message", [
    (lambda d: d.update(lawyers=[]), "did you mean 'layers'?"),
    (lambda d: d.pop("layers"), "'layers' is missing"),
    (lambda d: d.pop("loss"), "'loss' is missing"),
    (setter("inputs", value=-3), "inputs = -3"),
    (setter("inputs", value="3"), "inputs = '3'"),
    (setter("layers", value=[]), "no layers"),
    (setter("layers", value=3), "no meaning"),
    (setter("layers", 0, "kind", value="dence"), "did you mean 'dense'?"),
    (setter("layers", 0, "units", value=0), "units = 0"),
    (setter("layers", 0, "units", value=[1]), "units = [1]"),
    (setter("layers", 0, "activation", value="rleu"), "did you mean 'relu'?"),
    (setter("layers", 0, "activation", value=["relu"]), "no meaning"),
    (setter("layers", 0, "colour", value=1), "unknown entry 'colour'"),
    (setter("layers", 0, "name", value="../etc"), "no name for a layer"),
    (setter("layers", 0, "initial", value=["normal", "x", 1]), "no meaning"),
    (setter("loss", "name", value="huber"), "which is built in"),
    (setter("loss", "root", value=99999), "has no node"),
    (setter("loss", "nodes", 2, value=["eval", "1+1", []]), "unknown node 'eval'"),
    (setter("loss", "nodes", 1, value=["map", "os.system", [0]]), "unknown function"),
    (setter("loss", "nodes", 1, value=["sum", ["1"], [5]]), "reads node 5"),
    (setter("loss", "nodes", 1, value=[]), "no meaning"),
    (setter("loss", "takes", value=["a", "b"]), "no meaning"),
    (setter("functions", 0, "name", value="relu"), "which is built in"),
    (setter("functions", 0, "operands", value=10**9), "takes 1000000000 operands"),
    (setter("functions", 0, "value", "nodes", 0, value=["leaf", "x9"]), "is missing"),
    (setter("layers", 1, "record", "evaluation", "calls", 0, value=["exec", "x"]), "unknown call 'exec'"),
    (setter("layers", 1, "record", "evaluation", "out", value=[True]), "has no node True"),
    (setter("layers", 2, "cell", "evaluation", "out", value=[]), "no meaning"),
    (setter("l2", value=-1), "l2 = -1"),
    (setter("l2", value="x"), "l2 = 'x'"),
])
def test_nonsense_is_refused_with_the_reason(change, message):
    with pytest.raises(ModelFileError) as caught:
        Network.from_dict(broken(change))
    assert message in str(caught.value)


@pytest.mark.parametrize("data", [None, [], "4 | 3", 3])
def test_what_is_no_dict_is_refused(data):
    with pytest.raises(ModelFileError, match="described by a dict"):
        Network.from_dict(data)
