"""The forms of truncation: the lag, the carried state; each against a twin that shares nothing but the forward pass."""

import numpy as np
import pytest

from backproof.engines.reference import Run
from backproof.errors import NonFiniteError, OptionError
from backproof.lower import lower
from backproof.network import Network
from backproof.oracles import assert_agree, complex_step
from backproof.train.checkpoints import Checkpoints
from backproof.train.loop import Interrupted

DRAW = np.random.default_rng(11)
LENGTHS = [1, 6, 4]
X = [DRAW.normal(size=(t, 3)) for t in LENGTHS]
Y = [DRAW.normal(size=(t, 2)) for t in LENGTHS]
ENDS = [("2", Y), ("last | 2", DRAW.normal(size=(3, 2)))]
CELLS = ["rnn 4", "lstm 3", "gru 3 | rnn 4"]


def model_of(cell, end="2", **more):
    model = Network(f"3 | {cell} | {end}", **more).build(seed=3, dtype="float64")
    return model.set_parameters(**{k: 0.7 * DRAW.normal(size=v.shape) for k, v in model.parameters.items()})


def states_of(model, x):
    program = lower(model.network.system(target="dense"), model.network.states)
    return Run(program, {**model.parameters, "x": x[:, None]}, np.float64).outputs()


def loss_with_frozen_state(model, x, y, first):
    """J(θ) of steps first … end of one sequence: the state before them a number; the loss is that of the last step."""
    system = model.network.system(target="dense", given_state=True)
    names = [name for name in ("prediction",)]
    program = lower(system, names)
    before = states_of(model, x)
    start = {f"{s}.start": before[s][first - 1] if first else np.zeros_like(before[s][0]) for s in model.network.states}

    def loss(theta):
        dtype = np.result_type(np.float64, *theta.values())
        found = Run(program, {"x": x[first:, None], **start, **theta}, dtype).outputs()["prediction"]
        return 0.5 * ((found.reshape(-1, 2)[-1] - y) ** 2).sum()
    return loss


def by_differences(model, lag, y):
    """Σ over steps of the complex step of the loss that reaches back ``lag`` steps; the mean over steps and sequences."""
    total = None
    for k, x in enumerate(X):
        ends = range(1, len(x) + 1) if model.network.output_per_step else [len(x)]
        for end in ends:
            target = y[k][end - 1] if model.network.output_per_step else y[k]
            one = complex_step(loss_with_frozen_state(model, x[:end], target, max(0, end - lag)), dict(model.parameters))
            share = 1 / (len(X) * len(ends))
            total = {n: share * g + (0 if total is None else total[n]) for n, g in one.items()}
    return total


@pytest.mark.parametrize("end, y", ENDS, ids=["steps", "last"])
@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("lag", [1, 2, 4])
def test_the_lag_form_is_the_derivative_with_older_states_as_numbers(cell, end, y, lag):
    model = model_of(cell, end)
    assert_agree(model.truncated_gradients(X, y, truncation_lag=lag), by_differences(model, lag, y), tolerance=1e-11)


@pytest.mark.parametrize("end, y", ENDS, ids=["steps", "last"])
def test_another_lag_is_another_gradient(end, y):
    model = model_of("rnn 4", end)
    one, two = model.truncated_gradients(X, y, truncation_lag=2), by_differences(model, 3, y)
    assert np.linalg.norm(one["U1"] - two["U1"]) > 1e-3 * np.linalg.norm(two["U1"])


@pytest.mark.parametrize("end, y", ENDS, ids=["steps", "last"])
def test_a_lag_of_all_steps_is_the_full_gradient(end, y):
    model = model_of("lstm 3", end, l2=0.1)
    weights = [1.0, 2.0, 0.5]
    full = model.gradients(X, y, weights)
    assert_agree(model.truncated_gradients(X, y, weights, truncation_lag=6), full, tolerance=1e-13)
    long = model.truncated_gradients(X, y, weights, truncation_lag=5)            # one loss of one sequence lacks one link
    above = [name for name in full if name.endswith("2")]
    assert_agree({k: long[k] for k in above}, {k: full[k] for k in above}, tolerance=1e-13)
    assert not np.allclose(long["W_i1"], full["W_i1"], rtol=1e-9, atol=0)       # a forget gate has nothing to forget at first


def test_the_lag_form_with_budget_and_penalty():
    model = model_of("rnn 4", l2=0.1)
    found = model.truncated_gradients(X, Y, truncation_lag=2)
    assert_agree(model.truncated_gradients(X, Y, truncation_lag=2, memory_budget=500), found, tolerance=1e-13)
    bare = model_of("rnn 4").set_parameters(**model.parameters).truncated_gradients(X, Y, truncation_lag=2)
    assert_agree(found["W1"], bare["W1"] + 0.1 * model.parameters["W1"], tolerance=1e-13)


def test_training_by_lag_steps_along_its_gradient():
    model = model_of("gru 3")
    gradients = model.truncated_gradients(X, Y, truncation_lag=2)
    expected = {k: v - 0.1 * gradients[k] for k, v in model.parameters.items()}
    loss = model.loss(X, Y)
    model.fit(X, Y, epochs=1, batch_size=3, optimizer="sgd", learning_rate=0.1, shuffle=False, truncation_lag=2)
    assert_agree(dict(model.parameters), expected, tolerance=1e-13)
    assert model.history["loss"][0] == pytest.approx(loss, rel=1e-12)                 # forward values never change


# ------------------------------------------------------------------------------------------------ the carried state

def by_hand(model, x, y, k, rate, momentum=0.9, epochs=1):
    """Stateful training of one sequence at a time: plain loops, momentum by hand; the number of updates."""
    program = model.program("J", *(f"{s}.end" for s in model.network.states), gradients=True, target="dense", given_state=True)
    theta, speed, count = dict(model.parameters), {n: np.zeros_like(v) for n, v in model.parameters.items()}, 0
    for _ in range(epochs):
        for sequence, target in zip(x, y):
            state = {s: np.zeros((1, theta[next(n for n in theta if n.startswith("U"))].shape[1])) for s in model.network.states}
            for first in range(0, len(sequence), k):
                fed = {"x": sequence[first:first + k, None], "y": target[first:first + k, None]}
                run = Run(program, {**fed, **{f"{s}.start": v for s, v in state.items()}, **theta}, np.float64)
                state = {s: run.outputs()[f"{s}.end"] for s in state}
                for name, g in run.gradients().items():
                    speed[name] = momentum * speed[name] + g
                    theta[name] = theta[name] - rate * speed[name]
                count += 1
    return theta, count


@pytest.mark.parametrize("engine", ["reference", "native"])
@pytest.mark.parametrize("cell", ["rnn 4", "lstm 4"])
def test_stateful_training_updates_every_segment_and_carries_numbers(cell, engine):
    model = model_of(cell)
    twin = Network(f"3 | {cell} | 2").build(seed=0, engine=engine, dtype="float64").set_parameters(**model.parameters)
    expected, count = by_hand(model, X, Y, 2, 0.1, epochs=2)
    twin.fit(X, Y, epochs=2, batch_size=1, optimizer="momentum", learning_rate=0.1, shuffle=False, stateful=True,
             truncation_length=2)
    assert count == 2 * (1 + 3 + 2)
    assert_agree(dict(twin.parameters), expected, tolerance=1e-12)


def test_rows_that_have_ended_take_no_part_in_a_segment():
    model = model_of("rnn 4")
    apart = model_of("rnn 4").set_parameters(**model.parameters)
    how = {"epochs": 1, "optimizer": "sgd", "learning_rate": 0.1, "shuffle": False, "stateful": True, "truncation_length": 4}
    model.fit([X[1], X[2]], [Y[1], Y[2]], batch_size=2, **how)                        # the second ends with the first segment
    apart.fit([X[1][:4], X[2]], [Y[1][:4], Y[2]], batch_size=2, **how)
    state = states_of(model_of("rnn 4").set_parameters(**model.parameters), X[1])     # the last segment is the first row's alone
    assert not np.array_equal(model.parameters["W1"], apart.parameters["W1"]) and state["h1"].shape == (6, 1, 4)


def test_the_state_begins_anew_with_every_sequence():
    """So the order of the rows and the size of a minibatch mix nothing: equal sequences train alike wherever they stand."""
    how = {"epochs": 1, "optimizer": "sgd", "learning_rate": 1e-30, "stateful": True, "truncation_length": 2}
    losses = [model_of("rnn 4").set_parameters(**dict(PLAIN.parameters)).fit(x, y, batch_size=b, **how).history["loss"][0]
              for x, y, b in (([X[1]] * 3, [Y[1]] * 3, 1), ([X[1]] * 3, [Y[1]] * 3, 3), ([X[1]], [Y[1]], 1))]
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-12) and losses[0] == pytest.approx(PLAIN.loss([X[1]], [Y[1]]), rel=1e-12)


PLAIN = model_of("rnn 4")


def test_adam_counts_every_segment():
    from backproof.train import OPTIMIZERS
    seen = []
    adam = OPTIMIZERS["adam"]
    class Counting(type(adam)):                                                                    # noqa: E306
        def at(self, step):
            seen.append(step)
            return super().at(step)
    counted = Counting(**{f: getattr(adam, f) for f in adam.__dataclass_fields__})
    model_of("rnn 4").fit(X, Y, epochs=2, batch_size=3, optimizer=counted, stateful=True, truncation_length=2)
    assert {1, 2, 3, 4, 5, 6} <= set(seen) and max(seen) == 6                        # 2 epochs of 3 segments


@pytest.mark.parametrize("spec, how, message", [
    ("3 | bi rnn 4 | 2", {"stateful": True, "truncation_length": 2}, "bidirectional"),
    ("3 | bi rnn 4 | 2", {"truncation_lag": 2}, "bidirectional"),
    ("3 | rnn 4 | 2", {"stateful": True}, "no segment has a length"),
    ("3 | rnn 4 | last | 2", {"stateful": True, "truncation_length": 2}, "behind the last step only"),
    ("3 | rnn 4 | mean | 2", {"truncation_lag": 2}, "pooled"),
    ("3 | rnn 4 | 2", {"truncation_lag": 2, "truncation_length": 2}, "excludes"),
    ("3 | rnn 4 | 2", {"truncation_lag": 0}, "truncation_lag=0"),
    ("3 | rnn 4 | 2", {"memory_budget": 0}, "memory_budget=0"),
    ("3 | 4 tanh | 2", {"truncation_lag": 2}, "nothing to truncate"),
    ("3 | rnn 4 | 2", {"truncation_length": 2, "optimizer": "lbfgs"}, "lbfgs"),
])
def test_what_cannot_be_is_refused_with_the_reason(spec, how, message):
    network = Network(spec)
    y = np.zeros((2, 6, 2)) if network.output_per_step and network.sequence else np.zeros((2, 2))
    x = np.zeros((2, 6, 3)) if network.sequence else np.zeros((2, 3))
    with pytest.raises(OptionError, match=message):
        network.build().fit(x, y, epochs=1, **how)


# ------------------------------------------------------------------------------------------------ interruption

FORMS = [{"memory_budget": 1500}, {"truncation_length": 2, "memory_budget": 1500}, {"truncation_lag": 2},
         {"stateful": True, "truncation_length": 2}, {"stateful": True, "truncation_length": 2, "continue_probability": 0.6}]


class StopAt(Checkpoints):
    """Stops after a step, as a signal would."""

    def __init__(self, folder, step):
        super().__init__(folder, every=1, seconds=1e9)
        self.at = step

    def look(self, progress, *rest):
        if progress.steps == self.at:
            self.stop()
        super().look(progress, *rest)


@pytest.mark.parametrize("how", FORMS)
def test_an_interrupted_run_goes_on_bit_for_bit_in_every_form(tmp_path, how):
    network = Network("3 | lstm 3 recurrent_dropout=0.2 | 2")
    run = {"epochs": 2, "batch_size": 2, "optimizer": "adam", "learning_rate": 0.05, **how}
    whole = network.build(seed=1).fit(X, Y, **run)
    for step in (1, 3):
        with pytest.raises(Interrupted, match=f"after step {step}"):
            network.build(seed=1).fit(X, Y, **run, checkpoints=StopAt(tmp_path / str(step), step))
        again = network.build(seed=1).fit(X, Y, **run, checkpoints=Checkpoints(tmp_path / str(step)))
        assert all(np.array_equal(again.parameters[k], a) for k, a in whole.parameters.items())
        assert again.history["loss"] == whole.history["loss"]


@pytest.mark.parametrize("how", FORMS)
def test_what_is_not_finite_is_not_applied_in_any_form(how):
    model = Network("3 | rnn 3 linear | 2").build(seed=1)
    model.set_parameters(U1=1e20 * np.eye(3))
    before = {k: a.copy() for k, a in model.parameters.items()}
    with pytest.raises(NonFiniteError, match="epoch 0, step 0"):
        model.fit(X, Y, epochs=1, batch_size=3, optimizer="sgd", **how)
    assert all(np.array_equal(model.parameters[k], a) for k, a in before.items())
