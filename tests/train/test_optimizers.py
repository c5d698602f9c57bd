"""Optimizers follow PyTorch's frozen trajectories, clip as stated, and refuse nonsense."""

from pathlib import Path

import numpy as np
import pytest

from backproof import Network
from backproof.calculus import sign
from backproof.engines.reference import Run, Session
from backproof.errors import OptionError
from backproof.lower import lower
from backproof.oracles import assert_agree
from backproof.train.optimizers import OPTIMIZERS, Optimizer, update_equations

FROZEN = sorted((Path(__file__).parents[1] / "oracle").glob("optimizer_*.npz"))
NAMES = {"lr": None, "momentum": "momentum", "alpha": "decay", "eps": "epsilon", "weight_decay": "weight_decay"}


def ours(stored):
    """The optimizer of a frozen file, under our names: (Optimizer, learning rate, decay_biases)."""
    option = {key.removeprefix("option."): value for key, value in stored.items() if key.startswith("option.")}
    kind = {"RMSprop": "rmsprop", "Adagrad": "adagrad", "Adam": "adam", "AdamW": "adamw"}.get(str(stored["optimizer"]))
    kind = kind or ("nesterov" if option.get("nesterov") else "momentum" if option.get("momentum") else "sgd")
    made = OPTIMIZERS[kind]
    options = {NAMES[k]: float(v) for k, v in option.items() if NAMES.get(k) in made.options}
    if "betas" in option:
        options.update(zip(("beta1", "beta2"), map(float, option["betas"])))
    return made(**options), float(option["lr"]), any(name.startswith("b") for name in stored["decayed"])


def network():
    return Network("7 | 3 tanh | 2", loss="squared_error")


def session(optimizer, start, **how):
    model = network().build(seed=0, dtype="float64").set_parameters(**start)
    program = model._step_program({}, optimizer, how.get("clip_norm"), how.get("clip_value"), how.get("decay_biases", False))
    state = {name: np.zeros([i.extent for i in v.axes]) for name, v in program.state.items()}
    return Session(program, {k: np.array(v) for k, v in model.parameters.items()}, state)


def one(made, optimizer, stored, rows, step, rate):
    scalars = {name: np.array([value]) for name, value in {"eta": rate, **optimizer.at(step + 1)}.items()}
    return made.steps({"x": stored["inputs"], "y": stored["targets"]}, rows, len(rows), scalars, 0, 0)


def named(stored, prefix):
    return {key.removeprefix(prefix): array for key, array in stored.items() if key.startswith(prefix)}


@pytest.mark.parametrize("batching", ["full", "minibatches"])
@pytest.mark.parametrize("path", FROZEN, ids=lambda path: path.stem)
def test_a_hundred_steps_follow_pytorch(path, batching):
    with np.load(path, allow_pickle=False) as file:
        stored = dict(file)
    optimizer, rate, biases = ours(stored)
    made = session(optimizer, named(stored, "start."), decay_biases=biases)
    batches = {"full": [range(0, 5)], "minibatches": [range(0, 5), range(5, 10), range(10, 13)]}[batching]
    losses = []
    for step in range(100):
        done = one(made, optimizer, stored, np.array(batches[step % len(batches)]), step, rate)
        assert done.done == 1
        losses.append(done.loss / done.samples)
    assert_agree(np.array(losses), stored[f"{batching}.losses"], tolerance=1e-9)
    assert_agree(made.parameters, named(stored, f"{batching}.end."), tolerance=1e-9)


def test_there_is_a_frozen_trajectory_for_every_optimizer():
    found = set()
    for path in FROZEN:
        with np.load(path, allow_pickle=False) as file:
            found.add(ours(dict(file))[0].name)
    assert found == BUILT_IN <= set(OPTIMIZERS)


BUILT_IN = {"sgd", "momentum", "nesterov", "rmsprop", "adagrad", "adam", "adamw"}


def test_another_number_leaves_the_trajectory():
    with np.load(FROZEN[0], allow_pickle=False) as file:
        stored = dict(file)
    optimizer, rate, biases = ours(stored)
    made = session(optimizer, named(stored, "start."), decay_biases=biases)
    for step in range(100):
        one(made, optimizer, stored, np.arange(5), step, rate * (1 + 1e-6))
    with pytest.raises(AssertionError):
        assert_agree(made.parameters, named(stored, "full.end."), tolerance=1e-9)


# -- clipping --------------------------------------------------------------------------------------------------------------

def step(size=1.0, **clip):
    """Minus the change of the parameters by one step of rate 1 where the gradients have another size."""
    draw = np.random.default_rng(1)
    start = {k: draw.normal(size=v.shape) for k, v in network().build(seed=0).parameters.items()}
    given = {"inputs": draw.normal(size=(5, 7)), "targets": draw.normal(size=(5, 2)) * size}
    made = session(OPTIMIZERS["sgd"], start, **clip)
    one(made, OPTIMIZERS["sgd"], given, np.arange(5), 0, 1.0)
    return {k: start[k] - made.parameters[k] for k in start}


def test_clipping_by_norm_scales_all_gradients_together():
    full, clipped = step(100.0), step(100.0, clip_norm=0.5)
    norm = np.sqrt(sum((g**2).sum() for g in full.values()))
    assert norm > 0.5
    assert_agree(clipped, {k: 0.5 * g / norm for k, g in full.items()}, tolerance=1e-12)


def test_clipping_leaves_small_gradients_alone():
    full = step()
    assert_agree(step(clip_norm=1e6), full, tolerance=1e-15)
    assert_agree(step(clip_value=1e6), full, tolerance=1e-15)


def test_clipping_by_value_cuts_every_entry_on_both_sides():
    full, clipped = step(100.0), step(100.0, clip_value=0.1)
    assert_agree(clipped, {k: np.clip(g, -0.1, 0.1) for k, g in full.items()}, tolerance=1e-12)
    assert min(g.min() for g in clipped.values()) == pytest.approx(-0.1) and max(g.max() for g in clipped.values()) == pytest.approx(0.1)


@pytest.mark.parametrize("dtype, size", [("float64", 1e170), ("float32", 1e25)])
def test_a_huge_finite_gradient_is_clipped_to_the_norm_and_never_to_nothing(dtype, size):
    model = Network("1 | 1", loss="squared_error").build(seed=0, dtype=dtype)
    before = {k: np.array(v) for k, v in model.parameters.items()}
    program = model._step_program({}, OPTIMIZERS["sgd"], 1.0, None, False)
    run = Run(program, {"x": np.zeros((1, 1)), "y": np.full((1, 1), size), "eta": 1.0, **before}, np.dtype(dtype))
    new = run.update()
    assert np.isclose(abs(new["b1"] - before["b1"]), 1, rtol=1e-5)


def test_a_gradient_of_zero_is_clipped_to_zero():
    model = Network("1 | 1", loss="squared_error").build(seed=0, dtype="float64").set_parameters(W1=[[0.0]], b1=[0.0])
    model.fit(np.ones((2, 1)), np.zeros((2, 1)), epochs=1, optimizer="sgd", clip_norm=1.0)
    assert model.parameters["b1"].tolist() == [0]


# -- declaring and refusing ------------------------------------------------------------------------------------------------

def test_a_users_optimizer_is_one_function():
    mine = Optimizer("sign", lambda theta, g, *, eta: (theta - eta * sign(g),))
    model = network().build(seed=0, dtype="float64")
    start = {k: np.array(v) for k, v in model.parameters.items()}
    draw = np.random.default_rng(0)
    made = session(mine, start)
    one(made, mine, {"inputs": draw.normal(size=(5, 7)), "targets": draw.normal(size=(5, 2))}, np.arange(5), 0, 0.1)
    for name in start:
        assert np.allclose(np.abs(made.parameters[name] - start[name]), 0.1)


def test_two_slots_may_change_places():
    swap = Optimizer("swap", lambda theta, g, a, b, *, eta: (theta - eta * (a + 2 * b), b + g, a), slots=("a", "b"))
    start = {k: np.array(v) for k, v in network().build(seed=0, dtype="float64").parameters.items()}
    made = session(swap, start)
    draw = np.random.default_rng(0)
    given = {"inputs": draw.normal(size=(5, 7)), "targets": draw.normal(size=(5, 2))}
    one(made, swap, given, np.arange(5), 0, 0.0)
    first = made.state["a.b1"].copy()
    one(made, swap, given, np.arange(5), 1, 0.0)
    assert_agree(made.state["b.b1"], first, tolerance=0)
    assert_agree(made.state["a.b1"], first, tolerance=0)        # b was 0, and the gradient is the same


@pytest.mark.parametrize("options, words", [
    ({"momentum": 1.0}, "momentum=1.0 of momentum lies outside"), ({"momentum": float("nan")}, "outside"), ({"momentum": True}, "outside"),
    ({"beta": 1}, "momentum has no option 'beta'"), ({"weight_decay": -1}, "outside")])
def test_options_outside_their_interval_are_refused(options, words):
    with pytest.raises(OptionError, match=words.replace("(", r"\(")):
        OPTIMIZERS["momentum"](**options)


def test_decay_spares_biases_unless_asked():
    with np.load(FROZEN[0], allow_pickle=False) as file:
        start = named(dict(file), "start.")
    for biases in (False, True):
        optimizer = OPTIMIZERS["sgd"](weight_decay=0.5)
        model = network().build(seed=0, dtype="float64").set_parameters(**start)
        listing = model._step_program({}, optimizer, None, None, biases).listing()
        text = {line.split(" ←")[0].strip(): line for line in listing.splitlines()}
        assert "1/2" in text["next.W1"] and ("1/2" in text["next.b1"]) == biases


def test_deep_networks_are_clipped_without_deep_recursion():
    deep = Network(" | ".join(["3", *["3 tanh"] * 300, "1"]), loss="squared_error")
    swept = deep.gradient_system(training=True)
    gradients = {p.name: swept.adjoints[p.name] for p in deep.parameters}
    system, replaces = update_equations(swept.system, gradients, deep.parameters, OPTIMIZERS["adam"], clip_norm=1.0)
    assert len(lower(system, ["L", "J"], updates=replaces, gradients=gradients)) > 300
