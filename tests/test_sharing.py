"""Networks of one description are derived once: what decides a program and what does not, counted, never timed."""

import pickle

import numpy as np
import pytest

from backproof import Dense, Dropout, Network, elementwise, layer, loss, square, total
from backproof.calculus import tanh
from backproof.lower import programs
from backproof.networks.layers import Channels, Window
from backproof.train import OPTIMIZERS, Optimizer

DRAW = np.random.default_rng(0)
X, Y = DRAW.normal(size=(24, 4)).astype(np.float32), DRAW.integers(0, 2, 24)


@pytest.fixture(autouse=True)
def nothing_known():
    programs.forget()


@pytest.fixture
def derived(monkeypatch):
    """One entry for every sweep that is made."""
    import backproof.network
    sweeps, sweep = [], backproof.network.sweep
    monkeypatch.setattr(backproof.network, "sweep", lambda *given, **how: sweeps.append(given) or sweep(*given, **how))
    return sweeps


def network(l2=0.0, rate=0.2, units=5, **more):
    return Network([Dense(units, "tanh", **more), Dropout(rate), Dense(1, "sigmoid")], inputs=4, loss="binary_cross_entropy", l2=l2)


def fit(net, seed=0, **how):
    how = {"epochs": 2, "batch_size": 8, **how}
    build = {key: how.pop(key) for key in ("dtype", "engine", "threads") if key in how}
    return net.build(seed=seed, **build).fit(X, Y, **how)


def test_a_hundred_fits_of_one_description_are_derived_once(derived):
    for k in range(100):
        fit(network(), seed=k, learning_rate=10.0 ** (-k / 25), epochs=1).predict(X)
    assert len(derived) == 1


@pytest.mark.parametrize("what", [
    {"seed": 7}, {"learning_rate": 0.03}, {"batch_size": 5}, {"epochs": 3}, {"schedule": "cosine"}, {"warm_up": 4}, {"patience": 2},
    {"shuffle": False}, {"dtype": "float64"}, {"threads": 2}, {"engine": "reference"}, {"validation": (X, Y)}])
def test_what_is_an_input_of_the_program_derives_nothing_anew(what, derived):
    fit(network())
    fit(network(), **what)
    assert len(derived) == 1


def test_initial_values_do_not_decide_a_program(derived):
    fit(network())
    fit(network(initial="he"))
    fit(network(initial=("uniform", -0.1, 0.1)))
    assert len(derived) == 1


@pytest.mark.parametrize("what", [
    {"optimizer": "sgd"}, {"optimizer": OPTIMIZERS["adam"](beta1=0.8)}, {"optimizer": OPTIMIZERS["adam"](weight_decay=0.1)},
    {"clip_norm": 1.0}, {"clip_value": 1.0}, {"sample_weight": np.ones(24)}, {"decay_biases": True}])
def test_what_is_written_into_the_program_derives_it_anew(what, derived):
    fit(network())
    fit(network(), **what)
    fit(network(), **what)
    assert len(derived) == 2


@pytest.mark.parametrize("other", [network(l2=0.1), network(rate=0.3), network(units=6), network(frozen=True), network(l1=0.1),
                                   network(bias=False), network(name="first")], ids=lambda net: str(net.to_dict())[:90])
def test_another_description_is_another_program(other, derived):
    alike, plain = fit(other, seed=3), fit(network(), seed=3)
    assert len(derived) == 2
    programs.forget()
    alone = fit(Network.from_dict(other.to_dict()), seed=3)
    assert len(derived) == 3
    for name, array in alone.parameters.items():
        np.testing.assert_array_equal(array, alike.parameters[name])
    assert other.layers[0].name or not np.array_equal(plain.predict(X), alike.predict(X))


def test_a_shared_program_gives_the_bits_of_one_derived_for_itself(derived):
    first = fit(network(), seed=1)
    shared = fit(network(), seed=2, learning_rate=0.02)
    programs.forget()
    alone = fit(network(), seed=2, learning_rate=0.02)
    assert len(derived) == 2
    for name, array in alone.parameters.items():
        np.testing.assert_array_equal(array, shared.parameters[name])
        assert not np.array_equal(array, first.parameters[name])
    np.testing.assert_array_equal(alone.predict(X), shared.predict(X))


@pytest.mark.parametrize("net", [network(), Network("4 | 3 tanh | 1 sigmoid", loss="binary_cross_entropy", l2=0.1),
                                 Network([Channels((Window(2, 9, 3, l2=0.2), Window(2, 7, 2))), Dense(1)], l2=0.1, l1=0.2)])
def test_predictions_ask_for_no_penalty(net):
    made = programs.made
    other = Network.from_dict({key: value for key, value in net.to_dict().items() if key not in ("l2", "l1")})
    assert net.build().program("prediction") == other.build().program("prediction")
    assert programs.made == made + 1
    assert net.build().program("J") == other.build().program("J") or net.l2
    assert net.fingerprint() != other.fingerprint() or not net.l2


def test_a_scaled_penalty_is_an_input_whatever_its_strength_and_its_layers():
    def objective(l2, own, scale):
        net = Network([Dense(5, "tanh", l2=own), Dense(1)], inputs=4, l2=l2)
        model = net.build(seed=0, dtype="float64")
        how = {"target": "dense", "scaled_penalty": True}
        program = model.program("J", "L", gradients=True, **how)
        run = model.engine.Run(program, {**model.parameters, "x": X, "y": Y[:, None] * 1.0,
                                         "penalty_scale": scale * net.penalty_unit}, np.float64)
        plain = model.loss(X, Y)
        return float(run.outputs()["J"]), plain + scale * (model.objective(X, Y) - plain), run.gradients(), model.gradients(X, Y)
    made = programs.made
    for l2, own in ((0.1, None), (0.3, None), (0.1, 0.2), (0.2, 0.4), (0.0, 0.5)):
        found, expected, gradients, plain = objective(l2, own, 1.0)
        assert found == pytest.approx(expected, rel=1e-14)
        for name, gradient in plain.items():
            np.testing.assert_allclose(gradients[name], gradient, rtol=1e-12, atol=1e-15)
        found, expected, *_ = objective(l2, own, 3.5)
        assert found == pytest.approx(expected, rel=1e-13)
    scaled = [key for key in programs._kept if "scaled_penalty" in str(key)]
    assert len(scaled) == 3 and programs.made > made           # 0.1 and 0.3 alike; 0.2 is twice 0.1, and 0.4 twice 0.2


@pytest.mark.filterwarnings("ignore:Maximum iterations")
def test_a_search_over_alpha_and_rates_derives_each_architecture_once(derived):
    estimators = pytest.importorskip("backproof.estimators")
    found = {}
    for sizes in ((3,), (4, 3)):
        for alpha in (1e-4, 1e-2, 1.0):
            for rate in (1e-3, 1e-2):
                made = estimators.MLPClassifier(sizes, alpha=alpha, learning_rate_init=rate, max_iter=3, tol=0, n_iter_no_change=99,
                                                random_state=0).fit(X, Y)
                found[sizes, alpha, rate] = made.predict_proba(X)
    assert len(derived) == 2
    programs.forget()
    alone = estimators.MLPClassifier((4, 3), alpha=1.0, learning_rate_init=1e-2, max_iter=3, tol=0, n_iter_no_change=99,
                                     random_state=0).fit(X, Y)
    assert len(derived) == 3
    np.testing.assert_array_equal(alone.predict_proba(X), found[(4, 3), 1.0, 1e-2])
    assert len({values.tobytes() for values in found.values()}) == len(found)


def test_optimizers_of_one_rule_and_one_set_of_options_may_differ_still():
    coupled, decoupled = OPTIMIZERS["adam"](weight_decay=0.3), OPTIMIZERS["adamw"](weight_decay=0.3)
    assert coupled.rule is decoupled.rule and coupled.options == decoupled.options
    model = network().build(seed=0)
    listings = [model._step_program({"target": "dense"}, how, None, None, False).listing() for how in (coupled, decoupled)]
    assert listings[0] != listings[1]


# ------------------------------------------------------------------------------------------------ what users write

def test_what_a_users_python_decides_is_derived_for_each_network(derived):
    factor = [1.0]

    @layer
    def gain(scope, x):
        return scope.define("a", x * factor[0] * scope.parameter("g", (scope.unit_of(x),), "scale"), role="activation")

    def net():
        return Network([gain(), Dense(1)], inputs=4)
    assert net().fingerprint() is None
    before = fit(net()).predict(X)
    factor[0] = 2.0
    assert len(derived) == 1 and not np.array_equal(fit(net()).predict(X), before) and len(derived) == 2

    still = [0.0]
    mine = Optimizer("mine", lambda theta, g, *, eta: (theta - still[0] * eta * g,))
    first = fit(network(), optimizer=mine).parameters
    still[0] = 1.0
    second = fit(network(), optimizer=mine).parameters
    assert not np.array_equal(first["W1"], second["W1"])


def test_a_users_functions_and_losses_are_data_and_shared_by_their_expressions(derived):
    def net(power):
        @elementwise
        def bent(x):
            return tanh(x) ** power

        @loss
        def lopsided(a, y):
            return total(square(a - y) * power, over="k")
        return Network([Dense(3, bent), Dense(1)], inputs=4, loss=lopsided)
    fit(net(2))
    fit(net(2))
    assert len(derived) == 1
    fit(net(3))
    assert len(derived) == 2


# ------------------------------------------------------------------------------------------------ owners are apart

def test_an_owner_that_spoils_its_program_harms_nobody_else():
    first, second = (network().build(seed=0) for _ in range(2))
    expected = second.predict(X).copy()
    program = first.program("prediction")
    program.values.clear()
    program.outputs.clear()
    np.testing.assert_array_equal(second.predict(X), expected)
    np.testing.assert_array_equal(network().build(seed=0).predict(X), expected)


def test_a_users_change_of_a_system_reaches_no_other_network():
    first = network()
    first.system().define("mine", first.system().ref("E") * 2)
    assert "mine" not in network().system()
    with pytest.raises(Exception, match="mine"):
        network().build().program("mine")
    fit(network())


def test_pickled_models_carry_no_program_and_find_the_shared_one(derived):
    model = fit(network())
    model.predict(X)
    data = pickle.dumps(model)
    again, made = pickle.loads(data), programs.made
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    assert programs.made == made and len(derived) == 1
    assert b"instructions" not in data and b"Program" not in data
