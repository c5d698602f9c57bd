"""``Model.cancel``: a fit in another thread ends after a complete step, with exactly the steps that it counts; J8 of the faults."""

import signal
import threading

import numpy as np
import pytest

from backproof import Network
from backproof.estimators import MLPClassifier
from backproof.train.checkpoints import Checkpoints
from backproof.train.loop import Progress

DRAW = np.random.default_rng(0)
X = DRAW.normal(size=(60, 4)).astype(np.float32)
Y = X[:, :1] ** 2
ENDLESS = 10**9


class Fit(threading.Thread):
    """A fit in a thread of its own; ``begun`` after its first epoch."""

    def __init__(self, model, *given, **how):
        super().__init__(daemon=True)
        self.model, self.given, self.how, self.error = model, given, how, None
        self.begun = threading.Event()
        self.start()

    def run(self):
        try:
            self.model.fit(*self.given, callbacks=[lambda record: self.begun.set()], **self.how)
        except BaseException as error:                       # noqa: BLE001  (looked at by the test)
            self.error = error

    def ended(self):
        self.join(60)
        assert not self.is_alive() and self.error is None, self.error
        return self


def network(**how):
    return Network("4 | 5 tanh | 1").build(seed=0, **how)


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_a_fit_in_another_thread_ends_with_the_steps_that_it_counts(engine):
    model = network(engine=engine)
    how = {"batch_size": 7, "optimizer": "momentum", "learning_rate": 1e-3}
    fit = Fit(model, X, Y, epochs=ENDLESS, **how)
    assert fit.begun.wait(60)
    assert model.cancel() is True
    fit.ended()
    steps = int(model.history.stopped.removeprefix("cancelled after step "))
    epochs = len(model.history.records)
    assert epochs * 9 <= steps < (epochs + 1) * 9 and model._training[2] == (epochs, steps)
    again = network(engine=engine).fit(X, Y, epochs=epochs, **how)
    if steps % 9:
        rest = network(engine=engine)                        # the same epoch, up to the same step
        done = Stop(steps, rest)
        rest.fit(X, Y, epochs=epochs + 1, checkpoints=done, **how)
        again = rest
    for name, array in again.parameters.items():
        np.testing.assert_array_equal(model.parameters[name], array)


class Stop(Checkpoints):
    """No folder: cancels its model after so many steps."""

    def __init__(self, steps, model):
        super().__init__(None)
        self.every, self.after, self.model = 1, steps, model

    def begin(self, identity):
        pass

    def newest(self):
        return None

    def look(self, progress, session, history, stopping):
        if progress.steps == self.after:
            assert self.model.cancel()


def test_an_epoch_that_is_long_is_left_in_its_middle():
    rows = np.repeat(X, 20_000, axis=0)
    target = np.repeat(Y, 20_000, axis=0)
    model, how = network(), {"batch_size": 1, "shuffle": False, "optimizer": "sgd", "learning_rate": 1e-4}
    fit = Fit(model, rows, target, epochs=1, **how)
    while not model.cancel():                                # until it has begun
        assert fit.is_alive()
    fit.ended()
    steps = int(model.history.stopped.removeprefix("cancelled after step "))
    assert 0 <= steps < len(rows) and not model.history.records
    short = network()
    if steps:
        short.fit(rows[:steps], target[:steps], epochs=1, **how)
    for name, array in short.parameters.items():
        np.testing.assert_array_equal(model.parameters[name], array)


@pytest.mark.parametrize("how", [{"truncation_length": 3, "stateful": True}, {"truncation_lag": 3}, {"memory_budget": 6_000},
                                 {"bucketing": True}], ids=str)
def test_every_way_of_running_over_time_can_be_cancelled(how):
    model = Network("3 | rnn 4 | 2").build(seed=0)
    lengths = np.arange(24) % 5 + 4
    sequences, targets = ([DRAW.normal(size=(length, width)) for length in lengths] for width in (3, 2))
    fit = Fit(model, sequences, targets, epochs=ENDLESS, batch_size=4, **how)
    assert fit.begun.wait(60)
    assert model.cancel()
    fit.ended()
    assert model.history.stopped.startswith("cancelled after step ")
    assert all(np.isfinite(array).all() for array in model.parameters.values())


def test_full_batches_of_lbfgs_can_be_cancelled():
    model, noise = Network("4 | 30 tanh | 1").build(seed=0, dtype="float64"), DRAW.normal(size=(60, 1))
    model.fit(X, noise, epochs=50, optimizer="lbfgs", callbacks=[lambda record: record["epoch"] == 3 and model.cancel() and None])
    assert len(model.history.records) == 4 and model.history.stopped == "cancelled after iteration 4"
    four = Network("4 | 30 tanh | 1").build(seed=0, dtype="float64").fit(X, noise, epochs=4, optimizer="lbfgs")
    for name, array in four.parameters.items():
        np.testing.assert_array_equal(model.parameters[name], array)


def test_signals_are_the_main_threads_and_the_fit_beside_goes_on():
    model = network()
    fit = Fit(model, X, Y, epochs=ENDLESS)
    assert fit.begun.wait(60)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    fit.begun.clear()
    assert fit.begun.wait(60) and fit.is_alive()             # an epoch after the signal
    assert model.cancel()
    fit.ended()


def test_without_a_fit_there_is_nothing_to_cancel_and_the_next_one_is_not_touched():
    model = network()
    assert model.cancel() is False
    assert len(model.fit(X, Y, epochs=2).history.records) == 2 and model.history.stopped == ""
    assert model.cancel() is False
    assert len(model.fit(X, Y, epochs=2).history.records) == 2


def test_a_callback_may_cancel_its_own_fit_and_it_can_be_continued():
    model, how = network(), {"optimizer": "adam", "shuffle": True, "batch_size": 16}
    model.fit(X, Y, epochs=6, callbacks=[lambda record: record["epoch"] == 1 and model.cancel() and None], **how)
    assert len(model.history.records) == 2 and model.history.stopped == "cancelled after step 8"
    model.fit(X, Y, epochs=4, continued=True, **how)
    whole = network().fit(X, Y, epochs=6, **how)
    for name, array in whole.parameters.items():
        np.testing.assert_array_equal(model.parameters[name], array)


def test_a_cancelled_run_leaves_a_checkpoint_that_goes_on_to_the_same_bits(tmp_path):
    how = {"epochs": 5, "batch_size": 16}
    model = network()
    stop = lambda record: record["epoch"] == 2 and model.cancel() and None                                     # noqa: E731
    model.fit(X, Y, checkpoints=Checkpoints(tmp_path / "run"), callbacks=[stop], **how)
    assert model.history.stopped == "cancelled after step 12"
    again = network().fit(X, Y, checkpoints=Checkpoints(tmp_path / "run"), **how)
    assert len(again.history.records) == 5 and again.history.stopped == ""
    whole = network().fit(X, Y, **how)
    for name, array in whole.parameters.items():
        np.testing.assert_array_equal(again.parameters[name], array)


def test_an_estimator_in_another_thread_ends_fitted():
    made = MLPClassifier((4,), max_iter=ENDLESS, tol=0, n_iter_no_change=ENDLESS, random_state=0)
    fit = threading.Thread(target=made.fit, args=(X, X[:, 0] > 0), daemon=True)
    fit.start()
    while not (hasattr(made, "model_") and made.model_.cancel()):
        assert fit.is_alive()
    fit.join(60)
    assert not fit.is_alive() and made.n_iter_ == len(made.loss_curve_) and made.predict(X).shape == (60,)


def test_a_request_that_falls_between_two_epochs_is_not_lost():
    progress = Progress(end=2)
    progress.cancel()
    assert progress.cancelled and progress.within.cancelled and not Progress().cancelled
