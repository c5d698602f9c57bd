"""The Model: what a user holds in the hand."""

import json

import numpy as np
import pytest

from backproof import Model, Network
from backproof.engines import reference
from backproof.errors import (BackproofError, DataError, DtypeError, ModelFileError, NonFiniteError, OptionError, RangeError,
                              ShapeError)
from backproof.oracles import assert_agree

DRAW = np.random.default_rng(11)
X = DRAW.normal(size=(40, 4))
Y = (X[:, 0] * X[:, 1] > 0).astype(int)


def classifier(spec="4 | 8 tanh | 2 softmax", dtype="float64", **how):
    return Network(spec, loss="cross_entropy", **how).build(seed=2, dtype=dtype)


# ------------------------------------------------------------------------------------------------ values

def test_predictions_do_not_depend_on_what_else_is_in_the_batch():
    model = classifier()
    assert_agree(np.concatenate([model.predict(X[k:k + 1]) for k in range(len(X))]), model.predict(X), tolerance=1e-14)


def test_the_objective_is_loss_plus_penalty_and_the_loss_the_mean_of_the_samples():
    model = classifier(l2=0.3)
    losses = model.sample_losses(X, Y)
    penalty = 0.15 * sum((model.parameters[name] ** 2).sum() for name in ("W1", "W2"))
    assert_agree(model.loss(X, Y), losses.mean(), tolerance=1e-14)
    assert_agree(model.objective(X, Y), losses.mean() + penalty, tolerance=1e-14)


def test_weights_are_normalised_to_mean_one_and_a_zero_weight_is_an_absent_row():
    model = classifier()
    weights = np.where(np.arange(40) < 30, 2.0, 0.0)
    assert_agree(model.gradients(X, Y, sample_weight=weights), model.gradients(X[:30], Y[:30]), tolerance=1e-13)
    assert_agree(model.gradients(X, Y, sample_weight=np.full(40, 7.0)), model.gradients(X, Y), tolerance=1e-13)


def test_deltas_are_per_sample():
    model = classifier()
    delta = model.deltas(X, Y)["delta2"]
    assert_agree(delta, model.predict(X) - np.eye(2)[Y], tolerance=1e-14)
    assert_agree(model.gradients(X, Y)["b2"], delta.mean(axis=0), tolerance=1e-13)


def test_values_are_what_was_asked_for_and_not_their_adjoints():
    model = classifier()
    found = model.values(X, Y, "z1", "a1", "delta1", "grad.W1")
    assert list(found) == ["z1", "a1", "delta1", "grad.W1"]
    assert_agree(found["z1"], X @ model.parameters["W1"] + model.parameters["b1"], tolerance=1e-14)
    assert_agree(found["a1"], np.tanh(found["z1"]), tolerance=1e-14)
    assert_agree(found["delta1"], model.deltas(X, Y)["delta1"], tolerance=0)
    assert_agree(found["grad.W1"], model.gradients(X, Y)["W1"], tolerance=0)


def test_inputs_are_never_changed_and_odd_memory_works():
    model = classifier("4 | 8 relu | 2 softmax", dtype="float32")
    base = X.astype(np.float32)
    strided, swapped = np.repeat(base, 2, axis=1)[:, ::2], base.astype(">f4")
    shifted = np.frombuffer(b"x" + base.tobytes(), dtype=np.uint8)[1:].view(np.float32).reshape(base.shape)
    for odd in (strided, swapped, np.asfortranarray(base), base[::-1][::-1], shifted):
        before = np.array(odd)
        odd = odd.view()
        odd.flags.writeable = False
        assert np.array_equal(model.predict(odd), model.predict(base))
        model.gradients(odd, Y)
        assert np.array_equal(odd, before)


@pytest.mark.parametrize("z", [745.0, -745.0, 1e4, -1e4])
def test_loss_and_error_signal_are_exact_at_saturation(z):
    inputs = np.array([[z], [z]])
    yes = Network("1 | 1 sigmoid", loss="binary_cross_entropy").build(dtype="float64").set_parameters(W1=[[1.0]], b1=[0.0])
    wrong = int(z > 0)                       # the target that the output denies
    losses = yes.sample_losses(inputs, np.array([[1.0 - wrong], [1.0 * wrong]]))
    assert losses[0 if wrong else 1 - wrong] == pytest.approx(abs(z), rel=1e-15) or losses.max() == abs(z)
    assert losses.min() == pytest.approx(np.exp(-abs(z)), abs=5e-324) and np.isfinite(losses).all()
    assert_agree(yes.deltas(inputs, np.array([[0.0], [1.0]]))["delta1"].ravel(), np.array([1.0, 0.0]) if z > 0 else np.array([0.0, -1.0]),
                 tolerance=1e-300)
    both = Network("1 | 2 softmax", loss="cross_entropy").build(dtype="float64").set_parameters(W1=[[1.0, -1.0]], b1=[0.0, 0.0])
    assert sorted(both.sample_losses(inputs, [0, 1]).tolist()) == [0.0, 2 * abs(z)]


def test_an_exponential_output_that_overflows_is_named():
    model = Network("1 | 1 exp", loss="poisson").build().set_parameters(W1=[[1.0]], b1=[0.0])
    with pytest.raises(NonFiniteError, match=r"a1 overflowed \(layer layer1\)"):
        model.loss([[1000.0]], [[1.0]])
    with pytest.raises(NonFiniteError, match="prediction is not finite"):
        model.predict([[1000.0]])


# ------------------------------------------------------------------------------------------------ training

def test_the_same_seed_gives_the_same_bits_and_another_seed_others():
    def run(seed):
        return Network("4 | 8 tanh | dropout 0.2 | 2 softmax", loss="cross_entropy").build(seed=seed).fit(X, Y, epochs=3, batch_size=7)
    first, second, other = run(5), run(5), run(6)
    assert all(np.array_equal(first.parameters[k], second.parameters[k]) for k in first.parameters)
    assert not np.array_equal(first.parameters["W1"], other.parameters["W1"])


def test_a_run_continued_is_the_run_uninterrupted():
    whole, parts = classifier(), classifier()
    whole.fit(X, Y, epochs=6, batch_size=16)
    parts.fit(X, Y, epochs=2, batch_size=16).fit(X, Y, epochs=4, batch_size=16, continued=True)
    assert all(np.array_equal(whole.parameters[k], parts.parameters[k]) for k in whole.parameters)
    assert whole.history["loss"] == parts.history["loss"] and parts.history["epoch"] == list(range(6))


def test_the_last_small_batch_is_divided_by_its_own_size():
    model = classifier()
    start = {k: v.copy() for k, v in model.parameters.items()}
    model.fit(X[:5], Y[:5], epochs=1, batch_size=3, optimizer="sgd", learning_rate=0.5, shuffle=False)
    twin = classifier().set_parameters(**start)
    for rows in (slice(0, 3), slice(3, 5)):
        gradients = twin.gradients(X[:5][rows], Y[:5][rows])
        twin.set_parameters(**{k: twin.parameters[k] - 0.5 * gradients[k] for k in gradients})
    assert_agree(dict(model.parameters), dict(twin.parameters), tolerance=1e-14)


def test_early_stopping_keeps_the_best_epochs_weights():
    model = classifier("4 | 32 relu | 2 softmax")
    model.fit(X[:20], Y[:20], epochs=200, learning_rate=0.05, validation=(X[20:], Y[20:]), patience=5)
    losses = model.history["validation_loss"]
    assert model.history.best == int(np.argmin(losses)) and len(losses) == model.history.best + 6
    assert_agree(model.loss(X[20:], Y[20:]), min(losses), tolerance=1e-12)
    assert "no better validation loss for 5 epochs" in model.history.stopped


@pytest.mark.parametrize("schedule", ["step", "cosine", "one_cycle", "inverse_scaling", "plateau", lambda step, total: 1 / (1 + step)])
def test_schedules_change_the_learning_rate(schedule):
    model = classifier().fit(X, Y, epochs=20, learning_rate=0.4, schedule=schedule)
    rates = model.history["learning_rate"]
    assert all(0 <= rate <= 0.4 for rate in rates) and (len(set(rates)) > 1 or schedule == "plateau")


def test_clipping_bounds_the_step():
    model = classifier()
    start = {k: v.copy() for k, v in model.parameters.items()}
    model.fit(X * 50, Y, epochs=1, batch_size=40, optimizer="sgd", learning_rate=1.0, clip_norm=0.1)
    moved = np.sqrt(sum(((model.parameters[k] - start[k]) ** 2).sum() for k in start))
    assert moved == pytest.approx(0.1, rel=1e-12)


def test_a_step_that_is_not_finite_is_named_and_not_applied():
    model = classifier("4 | 8 relu | 2 softmax", dtype="float32")
    start, twin = {k: v.copy() for k, v in model.parameters.items()}, classifier("4 | 8 relu | 2 softmax", dtype="float32")
    with pytest.raises(NonFiniteError) as caught:
        model.fit(X, Y, epochs=5, batch_size=40, optimizer="sgd", learning_rate=1e30)
    twin.set_parameters(**start).fit(X, Y, epochs=caught.value.epoch, batch_size=40, optimizer="sgd", learning_rate=1e30)
    assert all(np.array_equal(model.parameters[k], twin.parameters[k]) for k in start)
    assert caught.value.epoch is not None and caught.value.step is not None and caught.value.tensor
    assert "the step was not applied" in str(caught.value) and "lower the learning rate" in str(caught.value)
    assert all(np.isfinite(v).all() for v in model.parameters.values())


def test_an_interrupt_leaves_the_last_complete_step(monkeypatch):
    network, calls = Network("4 | 8 tanh | 2 softmax", loss="cross_entropy"), []
    model, twin = (network.build(seed=2, dtype="float64", engine="reference") for _ in range(2))

    class Interrupted(reference.Run):
        def update(self):
            calls.append(1)
            new = super().update()
            if len(calls) == 4:
                raise KeyboardInterrupt
            return new
    model.engine = twin.engine = reference
    monkeypatch.setattr(reference, "Run", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, epochs=1, batch_size=8, shuffle=False)
    monkeypatch.undo()
    assert len(calls) == 4
    twin.fit(X[:24], Y[:24], epochs=1, batch_size=8, shuffle=False)
    assert all(np.array_equal(model.parameters[k], twin.parameters[k]) for k in model.parameters)


def test_lbfgs_reaches_a_point_without_slope():
    model = classifier(l2=1e-2)
    model.fit(X, Y, optimizer="lbfgs", epochs=500)
    assert max(np.abs(g).max() for g in model.gradients(X, Y).values()) < 1e-6
    with pytest.raises(OptionError, match="dropout"):
        Network("4 | dropout 0.5 | 2 softmax", loss="cross_entropy").build().fit(X, Y, optimizer="lbfgs")


def test_callbacks_see_each_epoch_and_may_stop():
    seen = []
    model = classifier().fit(X, Y, epochs=10, callbacks=[lambda record: seen.append(record["epoch"]) or len(seen) == 3])
    assert seen == [0, 1, 2] and "callback" in model.history.stopped


def test_parameters_are_read_only_views():
    model = classifier()
    with pytest.raises(ValueError, match="read-only"):
        model.parameters["W1"][0, 0] = 1.0
    with pytest.raises(TypeError):
        model.parameters["W1"] = 0


@pytest.mark.parametrize("wrong, message", [
    ({"learning_rate": 0}, r"learning_rate=0 lies outside \(0, ∞\)"), ({"learning_rate": float("nan")}, "lies outside"),
    ({"learning_rate": True}, "is not a number"), ({"batch_size": 0}, "batch_size=0"), ({"epochs": 2.5}, "epochs=2.5"),
    ({"optimizer": "adm"}, "no optimizer 'adm'"), ({"schedule": "linear"}, "no schedule 'linear'"), ({"patience": 0}, "patience=0"),
    ({"clip_norm": -1.0}, "clip_norm=-1.0"), ({"validation": X}, "pair"), ({"continued": True}, "no run of this optimizer"),
    ({"sample_weight": [1.0]}, "sample_weight has 1"), ({"sample_weight": -np.ones(40)}, "negative"), ({"sample_weight": np.zeros(40)}, "zero for all"),
])
def test_options_outside_their_interval_are_refused_before_anything_is_computed(wrong, message):
    model = classifier()
    before = model.parameters["W1"].copy()
    with pytest.raises(BackproofError, match=message):
        model.fit(X, Y, **wrong)
    assert np.array_equal(model.parameters["W1"], before)


@pytest.mark.parametrize("options, message", [
    ({"beta1": 1.0}, r"beta1=1.0 of adam lies outside \[0, 1\)"), ({"epsilon": 0}, r"epsilon=0 of adam lies outside \(0, ∞\)"),
    ({"momentum": 0.9}, "adam has no option 'momentum'")])
def test_optimizer_options_are_checked(options, message):
    from backproof.train import OPTIMIZERS
    with pytest.raises(OptionError, match=message):
        OPTIMIZERS["adam"](**options)


# ------------------------------------------------------------------------------------------------ bad data

@pytest.mark.parametrize("x, y, kind, message", [
    (X[:0], Y[:0], DataError, "0 samples"), (X[0], Y[:1], DataError, "1-D"), (X[:, :3], Y, DataError, "3 features; the model was built for 4"),
    (X, Y[:-1], DataError, "39"), (np.where(X == X[3, 2], np.nan, X), Y, DataError, "NaN.* row 3"),
    (np.where(X == X[3, 2], np.inf, X), Y, DataError, "row 3"), (X * 1j, Y, DtypeError, "imaginary"),
    (X, Y + 1, DataError, "2"), (X, Y + 0.5, DataError, "no class number"), (X, np.full(40, np.nan), DataError, "NaN"),
    (X, np.ones((40, 2)), RangeError, "sum to 2"), (X[:, None], Y, DataError, "3-D"),
])
def test_bad_data_is_named_with_the_mend(x, y, kind, message):
    with pytest.raises(kind, match=message) as caught:
        classifier().gradients(x, y)
    assert "fix" in str(caught.value)


def test_targets_outside_the_losses_range_are_refused():
    with pytest.raises(RangeError, match=r"outside \[0, 1\]"):
        Network("4 | 1 sigmoid", loss="binary_cross_entropy").build().loss(X, np.full(40, 2.0))
    with pytest.raises(RangeError, match="outside"):
        Network("4 | 1 exp", loss="poisson").build().loss(X, np.full(40, -1.0))


def test_values_too_large_for_float32_are_named():
    with pytest.raises(DataError, match="column 2"):
        classifier(dtype="float32").predict(np.where(X == X[3, 2], 1e40, X))


@pytest.mark.parametrize("how, message", [({"dtype": "float16"}, "float16"), ({"dtype": "x"}, "'x'"), ({"engine": "gpu"}, "no engine 'gpu'"),
                                          ({"seed": -1}, "seed=-1"), ({"seed": 1.5}, "seed=1.5")])
def test_build_refuses_what_it_does_not_know(how, message):
    with pytest.raises(BackproofError, match=message):
        Network("2 | 1").build(**how)


def test_set_parameters_refuses_what_does_not_fit():
    model = classifier()
    for wrong, kind, message in (({"W9": [[1.0]]}, OptionError, "no parameter 'W9'"), ({"W1": np.ones((4, 7))}, ShapeError, "shape"),
                                 ({"b1": np.full(8, np.nan)}, DataError, "8 values that are not finite")):
        with pytest.raises(kind, match=message):
            model.set_parameters(**wrong)


# ------------------------------------------------------------------------------------------------ files

@pytest.mark.parametrize("spec, loss", [("4 | 8 tanh | dropout 0.2 | 2 softmax", "cross_entropy"), ("3 | bi lstm 4 | last | 1", "huber(delta=2)"),
                                        ("window 3 vocabulary=7 embedding 2 | 4 relu | 1", "squared_error")])
def test_a_saved_model_is_the_model(tmp_path, spec, loss):
    model = Network(spec, loss=loss, l2=1e-3).build(seed=4)
    model.save(tmp_path / "m.safetensors")
    loaded = Model.load(tmp_path / "m.safetensors")
    assert loaded.network == model.network and loaded.dtype == model.dtype
    assert all(np.array_equal(loaded.parameters[k], model.parameters[k]) for k in model.parameters)
    assert model.save(tmp_path / "n.safetensors") and (tmp_path / "m.safetensors").read_bytes() == (tmp_path / "n.safetensors").read_bytes()


def test_files_of_others_are_refused_with_the_reason(tmp_path):
    import pickle

    from backproof.train.files import save_tensors
    (tmp_path / "pickle").write_bytes(pickle.dumps({"W1": 1}))
    save_tensors(tmp_path / "foreign", {"W1": np.ones(2)}, {})
    model = classifier()
    model.save(tmp_path / "good")
    (tmp_path / "cut").write_bytes((tmp_path / "good").read_bytes()[:-9])
    description = {"format": "backproof-model/9", "network": model.network.to_dict(), "dtype": "float64", "seed": 0, "feature_names": None}
    save_tensors(tmp_path / "newer", dict(model.parameters), {"backproof": json.dumps(description)})
    description["format"] = "backproof-model/1"
    save_tensors(tmp_path / "missing", {"W1": model.parameters["W1"]}, {"backproof": json.dumps(description)})
    save_tensors(tmp_path / "shape", {**model.parameters, "b2": np.ones(3)}, {"backproof": json.dumps(description)})
    for name, message in {"pickle": "pickle", "foreign": "not written by backproof", "cut": "file", "newer": "backproof-model/9",
                          "missing": "tensors are not the network's", "shape": "b2 has shape"}.items():
        with pytest.raises(ModelFileError, match=message):
            Model.load(tmp_path / name)
    with pytest.raises(OSError):
        Model.load(tmp_path / "absent")


def test_column_names_travel_and_are_matched(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    columns = {name: X[:, k] for k, name in enumerate("abcd")}
    model = classifier().fit(pyarrow.table(columns), Y, epochs=1)
    model.save(tmp_path / "m")
    loaded = Model.load(tmp_path / "m")
    assert loaded.feature_names == list("abcd")
    turned = pyarrow.table({name: columns[name] for name in "bacd"})
    np.testing.assert_array_equal(loaded.predict(turned), loaded.predict(X))
    with pytest.raises(DataError, match="column 1 of X is 'z'; the model was trained with 'b' there"):
        loaded.predict(turned.rename_columns(["a", "z", "c", "d"]))


# ------------------------------------------------------------------------------------------------ size

def test_equations_and_instructions_grow_linearly_in_depth_and_not_with_time():
    def sizes(depth):
        model = Network("3 | " + " | ".join(["4 tanh"] * depth) + " | 2 softmax", loss="cross_entropy").build()
        return len(model.network.gradient_system(target="class").system), len(model.program("J", gradients=True, target="class"))
    (e10, i10), (e20, i20), (e100, i100) = sizes(10), sizes(20), sizes(100)
    assert e100 - e20 == 8 * (e20 - e10) and i100 - i20 == 8 * (i20 - i10)
    model = Network("3 | lstm 4 | last | 2 softmax", loss="cross_entropy").build(dtype="float64")
    count = len(model.program("J", gradients=True, target="class"))
    for steps in (1, 2, 30):
        model.gradients(DRAW.normal(size=(2, steps, 3)), [0, 1])
    assert len(model._programs) == 1 and len(model.program("J", gradients=True, target="class")) == count


def test_two_optimizers_of_one_name_keep_their_own_rules():
    from backproof.train.optimizers import Optimizer
    still = Optimizer("mine", lambda theta, g, *, eta: (theta + 0 * eta * g,))
    down = Optimizer("mine", lambda theta, g, *, eta: (theta - eta * g,))
    model = classifier()
    before = model.parameters["W1"].copy()
    model.fit(X, Y, epochs=1, optimizer=still)
    assert np.array_equal(model.parameters["W1"], before)
    model.fit(X, Y, epochs=1, optimizer=down)
    assert not np.array_equal(model.parameters["W1"], before)
