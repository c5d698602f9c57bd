"""Sequences of unequal length, and truncated gradients that are checked like all others."""

import itertools

import numpy as np
import pytest

from backproof.calculus import Scaled, Variable, tanh, transform
from backproof.data.sequences import Sequences
from backproof.engines.reference import Run
from backproof.check import check_gradients
from backproof.errors import BackproofError, DataError, NonFiniteError, OptionError
from backproof.lower import lower
from backproof.network import Network
from backproof.networks.cells import cell
from backproof.networks.layers import Dense
from backproof.oracles import assert_agree, complex_step
from backproof.train.links import regular

DRAW = np.random.default_rng(21)
LENGTHS = [1, 4, 2]
RAGGED = [DRAW.normal(size=(t, 3)) for t in LENGTHS]
CELLS = ["rnn 4", "gru 4", "lstm 4", "bi rnn 4", "bi gru 4", "bi lstm 4", "rnn 3 | rnn 4", "lstm 3 | lstm 4", "bi gru 3 | bi gru 2",
         "gru 3 | gru 3 | gru 3"]
ENDS = [("2", "squared_error"), ("last | 2 softmax", "cross_entropy"), ("mean | 2 softmax", "cross_entropy"), ("max | 2", "squared_error")]


def problem(cell, end, loss):
    network = Network(f"3 | {cell} | {end}", loss=loss)
    model = network.build(seed=3, dtype="float64")
    model.set_parameters(**{k: 0.7 * DRAW.normal(size=v.shape) for k, v in model.parameters.items()})
    if network.output_per_step:
        return model, [DRAW.normal(size=(t, 2)) for t in LENGTHS]
    return model, [0, 1, 1] if loss == "cross_entropy" else DRAW.normal(size=(3, 2))


@pytest.mark.parametrize("end, loss", ENDS)
@pytest.mark.parametrize("cell", CELLS)
def test_ragged_gradients_agree_with_the_complex_step(cell, end, loss):
    model, y = problem(cell, end, loss)
    fed = model._feeds(RAGGED, y)
    program = model.program("J", **fed.how)
    stored = model._store(program, fed.arrays)
    theta = dict(model.parameters)
    numeric = complex_step(lambda p: Run(program, {**stored, **p}, np.result_type(*p.values())).outputs()["J"][()], theta)
    assert_agree(model.gradients(RAGGED, y), numeric, tolerance=1e-11)


@pytest.mark.parametrize("end, loss", ENDS)
@pytest.mark.parametrize("cell", CELLS)
def test_a_batch_of_unequal_lengths_is_the_mean_of_its_sequences(cell, end, loss):
    model, y = problem(cell, end, loss)
    alone = [model.gradients(x[None], np.asarray(t)[None]) for x, t in zip(RAGGED, y)]
    assert_agree(model.gradients(RAGGED, y), {k: np.mean([g[k] for g in alone], axis=0) for k in alone[0]}, tolerance=1e-12)
    losses = [model.loss(x[None], np.asarray(t)[None]) for x, t in zip(RAGGED, y)]
    assert_agree(model.sample_losses(RAGGED, y), np.array(losses), tolerance=1e-13)


@pytest.mark.parametrize("cell", CELLS)
def test_padding_changes_no_bit_whatever_stands_in_it(cell):
    model, y = problem(cell, *ENDS[0])
    for filler in (0.0, np.nan, np.inf, 1e300):
        values = np.full((3, 4, 3), filler)
        targets = np.full((3, 4, 2), filler)
        for k, t in enumerate(LENGTHS):
            values[k, :t], targets[k, :t] = RAGGED[k], y[k]
        padded = Sequences(values, LENGTHS)
        assert model.loss(padded, targets) == model.loss(RAGGED, y)
        assert all(np.array_equal(a, b) for a, b in zip(model.gradients(padded, targets).values(), model.gradients(RAGGED, y).values()))


def test_predictions_come_back_in_their_lengths():
    model, _ = problem("bi lstm 4", *ENDS[0])
    assert [p.shape for p in model.predict(RAGGED)] == [(1, 2), (4, 2), (2, 2)]
    assert problem("rnn 4", *ENDS[1])[0].predict(RAGGED).shape == (3, 2)


@pytest.mark.parametrize("X, y, message", [
    ([np.zeros((0, 3)), np.zeros((2, 3))], None, "sequence 0 of X has 0 steps"),
    ([np.zeros((2, 3)), np.zeros((2, 4))], None, "sequence 1 of X has 4 features"),
    ([np.zeros(3)], None, "1-D"), (Sequences(np.zeros((2, 4, 3)), [4, 5]), None, "length 5, outside 1 … 4"),
    (Sequences(np.zeros((2, 4, 3)), [4]), None, "one whole number per sequence"),
    ([np.full((2, 3), np.nan)], None, "NaN"), (RAGGED, [np.zeros((1, 2)), np.zeros((3, 2)), np.zeros((2, 2))], "4 steps and 3 targets"),
])
def test_bad_sequences_are_named(X, y, message):
    model, _ = problem("rnn 4", *ENDS[0])
    with pytest.raises(BackproofError, match=message):
        model.predict(X) if y is None else model.loss(X, y)


# ------------------------------------------------------------------------------------------------ truncation

X = DRAW.normal(size=(2, 5, 3))
Y = DRAW.normal(size=(2, 5, 2))


def truncated(model, xi):
    program = model.program("J", gradients=True, truncated=True, target="dense")
    stored = model._store(program, {"x": X, "y": Y})
    return model.engine.Run(program, {**model.parameters, **stored, "xi": xi}, np.float64).gradients()


def frozen(model, xi):
    """The complex step of the function in which a state that crosses a link is x₀ + ξ (x − x₀), x₀ its number."""
    plain, scaled = model.network.system(truncated=True, target="dense").copy(), {}
    system = plain.copy()
    for equation in plain:
        def rule(node):
            if isinstance(node, Scaled):
                base = Variable(f"base{len(scaled)}", node.operand.indices, "input")
                scaled[base] = node.operand
                return base + node.factor * (node.operand - base)
        new = transform(equation.expression, rule)
        if new is not equation.expression:
            system.revise(equation.name, expression=new)
    for k, (base, operand) in enumerate(list(scaled.items())):
        plain.define(f"link{k}", operand, axes=base.axes)
    values = lower(plain, [f"link{k}" for k in range(len(scaled))])
    stored = {"x": X.swapaxes(0, 1), "y": Y.swapaxes(0, 1), "xi": xi}
    numbers = Run(values, {**model.parameters, **stored}, np.float64).outputs()
    bases = {base.name: numbers[f"link{k}"] for k, base in enumerate(scaled)}
    program = lower(system, ["J"])
    return complex_step(lambda p: Run(program, {**stored, **bases, **p}, np.result_type(*p.values())).outputs()["J"][()],
                        dict(model.parameters))


@pytest.mark.parametrize("cell", ["rnn 4", "gru 4", "lstm 4", "rnn 3 | lstm 4"])
@pytest.mark.parametrize("xi", [regular(1, 5), regular(2, 5), regular(3, 5), np.array([0, 0.0, 2.0, 0.0, 2.0])], ids=["1", "2", "3", "drawn"])
def test_a_truncated_gradient_is_that_of_the_function_with_frozen_states(cell, xi):
    model, _ = problem(cell, *ENDS[0])
    assert_agree(truncated(model, xi), frozen(model, xi), tolerance=1e-11)


def test_truncation_cuts_something():
    model, _ = problem("rnn 4", *ENDS[0])
    full, cut = truncated(model, np.ones(5)), truncated(model, regular(2, 5))
    assert np.linalg.norm(full["U1"] - cut["U1"]) > 1e-3 * np.linalg.norm(full["U1"])
    assert np.array_equal(full["W2"], cut["W2"])


@pytest.mark.parametrize("cell", ["rnn 4", "gru 4", "lstm 4"])
def test_a_segment_of_all_steps_is_the_full_gradient_bit_for_bit(cell):
    model, _ = problem(cell, *ENDS[0])
    full = model.gradients(X, Y)
    assert all(np.array_equal(full[k], g) for k, g in truncated(model, regular(5, 5)).items())
    assert all(np.array_equal(full[k], g) for k, g in truncated(model, np.ones(5)).items())


@pytest.mark.parametrize("cell", ["rnn 4", "lstm 4", "rnn 2 | gru 3"])
def test_the_mean_of_the_randomised_gradient_over_all_draws_is_the_full_one(cell):
    model, _ = problem(cell, *ENDS[0])
    p, mean = 0.6, None
    for draw in itertools.product([0, 1], repeat=4):
        weight = np.prod([p if d else 1 - p for d in draw])
        g = truncated(model, np.array([1.0, *(d / p for d in draw)]))
        mean = {k: weight * v + (0 if mean is None else mean[k]) for k, v in g.items()}
    assert_agree(mean, model.gradients(X, Y), tolerance=1e-12)


ONE_WAY = [cell for cell in CELLS if not cell.startswith("bi")]


@pytest.mark.parametrize("xi", [regular(1, 4), regular(2, 4), np.array([1.0, 0.0, 1.25, 1.25])], ids=["1", "2", "drawn"])
@pytest.mark.parametrize("end, loss", ENDS)
@pytest.mark.parametrize("cell", [CELLS[0], CELLS[4], CELLS[7]])
def test_truncation_of_a_batch_of_unequal_lengths_is_that_of_its_sequences(cell, end, loss, xi):
    """So padding cuts no signal and adds none: the state that an ended sequence holds goes through no link."""
    model, y = problem(cell, end, loss)
    alone = [model.truncated_gradients(x[None], np.asarray(t)[None], xi=xi[:len(x)]) for x, t in zip(RAGGED, y)]
    assert_agree(model.truncated_gradients(RAGGED, y, xi=xi), {k: np.mean([g[k] for g in alone], axis=0) for k in alone[0]},
                 tolerance=1e-12)


@pytest.mark.parametrize("how", [{"truncation_length": 2}, {"truncation_lag": 2}, {"xi": np.array([1.0, 2.0, 0.0, 2.0])}])
def test_padding_changes_no_bit_of_a_truncated_gradient(how):
    model, y = problem("lstm 4", *ENDS[0])
    expected = model.truncated_gradients(RAGGED, y, **how)
    for filler in (np.nan, np.inf):
        values, targets = np.full((3, 4, 3), filler), np.full((3, 4, 2), filler)
        for k, t in enumerate(LENGTHS):
            values[k, :t], targets[k, :t] = RAGGED[k], y[k]
        found = model.truncated_gradients(Sequences(values, LENGTHS), targets, **how)
        assert all(np.array_equal(found[k], g) for k, g in expected.items())


@pytest.mark.parametrize("cell", ONE_WAY)
def test_truncation_changes_no_bit_of_a_forward_value(cell):
    model, y = problem(cell, *ENDS[0])
    fed = model._feeds(RAGGED, y)
    names = ("prediction", "E", "L", *model.network.states)
    plain, cut = (model.program(*names, **fed.how, truncated=truncated) for truncated in (False, True))
    feeds = {**model._store(plain, fed.arrays), **model.parameters}
    one, two = Run(plain, feeds).outputs(), Run(cut, {**feeds, "xi": regular(2, 4)}).outputs()
    assert all(np.array_equal(one[name], two[name]) for name in names)


def test_a_users_cell_is_truncated_carried_and_learned_like_all_others():
    @cell
    def leaky(scope, x, h, rate=0.5):
        z = scope.define("z", scope.project(x, "W") + scope.project(h, "U"), role="pre_activation")
        return (1 - rate) * h + rate * tanh(z)
    network = Network([leaky(4, rate=0.3, learned_state=True, recurrent_dropout=0.2), Dense(2)], inputs=3)
    again = Network.from_dict(network.to_dict())
    model = again.build(seed=1, dtype="float64")
    model.set_parameters(**{k: DRAW.normal(size=v.shape) for k, v in model.parameters.items()})
    y = [DRAW.normal(size=(t, 2)) for t in LENGTHS]
    assert check_gradients(model, X, Y, seed=0)
    assert_agree(model.truncated_gradients(RAGGED, y, truncation_lag=4), model.gradients(RAGGED, y), tolerance=1e-13)
    whole, pieces = (again.build(seed=1).fit(RAGGED, y, epochs=2, memory_budget=b).parameters for b in (1 << 30, 1000))
    assert all(np.array_equal(whole[k], pieces[k]) for k in whole)
    assert again.build(seed=1).fit(RAGGED, y, epochs=2, stateful=True, truncation_length=2).parameters["start_h1"].any()
    assert model.horizon(RAGGED, y).causes[0]["radius"] > 0


@pytest.mark.parametrize("engine", ["reference", "native"])
def test_recurrent_dropout_drops_the_same_units_at_every_step(engine):
    network = Network("3 | rnn 4 recurrent_dropout=0.5 | 2")
    program = lower(network.system(training=True), ["h1"])
    value = program.inputs["h_noise1"]
    assert [i.kind for i in value.axes] == ["sample", "unit"] and network.noises[0].rate == 0.5
    calm, noisy = (Network(f"3 | rnn 4{more} | 2").build(seed=2, engine=engine).fit(X, Y, epochs=1)
                   for more in ("", " recurrent_dropout=0.5"))
    assert not np.array_equal(calm.parameters["U1"], noisy.parameters["U1"])


@pytest.mark.parametrize("spec", ["3 | rnn 4 learned_state | 2", "3 | lstm 3 learned_state | gru 2 learned_state | last | 2",
                                  "3 | bi rnn 3 learned_state | mean | 2"])
def test_a_learned_initial_state_has_its_gradient(spec):
    network = Network(spec)
    model = network.build(seed=1, dtype="float64")
    model.set_parameters(**{k: 0.7 * DRAW.normal(size=v.shape) for k, v in model.parameters.items()})
    y = [DRAW.normal(size=(t, 2)) for t in LENGTHS] if network.output_per_step else DRAW.normal(size=(3, 2))
    numeric = complex_step(model.objective_function(RAGGED, y), dict(model.parameters))
    assert_agree(model.gradients(RAGGED, y), numeric, tolerance=1e-11)
    assert all(g.any() for name, g in model.gradients(RAGGED, y).items() if "start" in name)


def test_an_exploding_network_is_named_and_its_horizon_too():
    model = Network("1 | rnn 3 linear | 1").build(seed=0)
    x, y = np.ones((2, 1000, 1), np.float32), np.zeros((2, 1000, 1), np.float32)
    model.set_parameters(U1=1.05 * np.eye(3))
    assert model.horizon(x, y).advice[0][0] == "horizon_explodes"
    model.set_parameters(U1=3 * np.eye(3))
    with pytest.raises(NonFiniteError, match="not finite"):
        model.fit(x, y, epochs=1)
    with pytest.raises(NonFiniteError, match="not finite"):
        model.horizon(x, y)


DEEP = [" | ".join([one] * depth) for kind in ("rnn", "gru", "lstm") for depth in (1, 2, 3) for one in (f"{kind} 3", f"bi {kind} 2")]
LOSSES = [("2", "squared_error"), ("2 sigmoid", "binary_cross_entropy"), ("2 softmax", "cross_entropy"), ("2", "huber(delta=0.5)")]


@pytest.mark.long
@pytest.mark.parametrize("output, loss", LOSSES)
@pytest.mark.parametrize("pool", ["", "last | ", "mean | ", "max | "])
@pytest.mark.parametrize("cell", DEEP)
def test_every_cell_depth_direction_pool_and_loss_agrees_with_the_complex_step(cell, pool, output, loss):
    network = Network(f"3 | {cell} | {pool}{output}", loss=loss)
    model = network.build(seed=1, dtype="float64")
    model.set_parameters(**{k: 0.7 * DRAW.normal(size=v.shape) for k, v in model.parameters.items()})
    shapes = [(t, 2) for t in LENGTHS] if network.output_per_step else [(2,)] * 3
    y = [DRAW.normal(size=s) if "error" in loss or "huber" in loss else np.eye(2)[DRAW.integers(0, 2, s[:-1])] for s in shapes]
    y = y if network.output_per_step else np.array(y)
    numeric = complex_step(model.objective_function(RAGGED, y), dict(model.parameters))
    assert_agree(model.gradients(RAGGED, y), numeric, tolerance=1e-11)


def test_truncated_training_changes_no_forward_value_and_is_reproducible():
    for how in ({"truncation_length": 2}, {"continue_probability": 0.5}):
        first = Network("3 | lstm 4 | 2").build(seed=1).fit(X, Y, epochs=3, batch_size=1, **how)
        twin = Network("3 | lstm 4 | 2").build(seed=1).fit(X, Y, epochs=3, batch_size=1, **how)
        other = Network("3 | lstm 4 | 2").build(seed=1).fit(X, Y, epochs=3, batch_size=1)
        assert all(np.array_equal(first.parameters[k], twin.parameters[k]) for k in first.parameters)
        assert not np.array_equal(first.parameters["U_i1"], other.parameters["U_i1"])
        assert first.history["loss"][0] == pytest.approx(other.history["loss"][0], rel=0.2)


@pytest.mark.parametrize("spec, how, message", [
    ("3 | rnn 4 | 2", {"truncation_length": 2, "continue_probability": 0.5}, "exclude each other"),
    ("3 | rnn 4 | 2", {"truncation_length": 0}, "truncation_length=0"),
    ("3 | rnn 4 | 2", {"continue_probability": 0.0}, "continue_probability=0.0"),
    ("3 | rnn 4 | 2", {"continue_probability": 1.5}, "continue_probability=1.5"),
])
def test_truncation_options_are_checked(spec, how, message):
    with pytest.raises(OptionError, match=message):
        Network(spec).build().fit(X, Y, epochs=1, **how)


def test_there_is_nothing_to_truncate_without_a_state():
    with pytest.raises(OptionError, match="nothing to truncate"):
        Network("3 | 4 tanh | 2").build().fit(X[:, 0], Y[:, 0], truncation_length=2)


def test_pairs_of_windows_train():
    ids = DRAW.integers(0, 9, (12, 2, 3))
    model = Network("window 3 vocabulary=9 embedding 4 | 5 tanh | 1 nobias", loss="pairwise_margin").build(dtype="float64")
    assert len(model.fit(ids, None, epochs=2).history) == 2
    with pytest.raises(DataError, match="pairs"):
        model.fit(ids[:, 0], None)
