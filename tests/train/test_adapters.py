"""Adapters: what they are told of an epoch arrives; a missing tool is named with the extra to install."""

import sys
import types

import numpy as np
import pytest

from backproof import Network
from backproof.errors import EngineError, OptionError
from backproof.train.adapters import Mlflow, Pruning, TensorBoard

X = np.random.default_rng(0).normal(size=(20, 2))


def fitted(callback, **options):
    return Network("2 | 1").build().fit(X, X[:, 0], epochs=3, callbacks=[callback], **options)


def test_tensorboard_gets_every_epoch(monkeypatch, tmp_path):
    written = []
    writer = types.SimpleNamespace(add_scalar=lambda *told: written.append(told), flush=lambda: None, close=lambda: None)
    monkeypatch.setitem(sys.modules, "tensorboardX", types.SimpleNamespace(SummaryWriter=lambda folder: writer))
    callback = TensorBoard(tmp_path)
    model = fitted(callback)
    callback.close()
    assert [(value, epoch) for name, value, epoch in written if name == "loss"] == [(r["loss"], r["epoch"]) for r in model.history.records]


def test_mlflow_gets_every_epoch(monkeypatch):
    told = []
    monkeypatch.setitem(sys.modules, "mlflow", types.SimpleNamespace(log_metrics=lambda metrics, step: told.append((step, metrics["loss"]))))
    model = fitted(Mlflow())
    assert told == list(zip(range(3), model.history["loss"]))


def test_optuna_may_end_a_run(monkeypatch):
    class TrialPruned(Exception):
        pass
    monkeypatch.setitem(sys.modules, "optuna", types.SimpleNamespace(TrialPruned=TrialPruned))
    told = []
    trial = types.SimpleNamespace(report=lambda value, step: told.append(step), should_prune=lambda: len(told) == 2)
    with pytest.raises(TrialPruned, match="after epoch 1"):
        fitted(Pruning(trial), validation=(X, X[:, 0]))
    assert told == [0, 1]
    with pytest.raises(OptionError, match="no validation_loss"):
        fitted(Pruning(trial))


# ------------------------------------------------------------------------------------- with the tools themselves

def tool(name, extra):
    return pytest.importorskip(name, reason=f"{name} is not installed: pip install 'backproof[{extra}]'")


def test_tensorboard_files_hold_the_history(tmp_path):
    tool("tensorboardX", "tensorboard")
    from tensorboardX.proto.event_pb2 import Event

    callback = TensorBoard(tmp_path)
    model = fitted(callback, validation=(X, X[:, 0]))
    callback.close()
    [path] = tmp_path.iterdir()
    data, found = path.read_bytes(), {}
    while data:                                             # length, its checksum, the event, its checksum
        length = int.from_bytes(data[:8], "little")
        event, data = Event.FromString(data[12:12 + length]), data[16 + length:]
        for value in event.summary.value:
            found.setdefault(value.tag, []).append((event.step, value.simple_value))
    for column in ("loss", "objective", "validation_loss", "learning_rate"):
        assert found[column] == [(epoch, pytest.approx(value, rel=1e-6)) for epoch, value in enumerate(model.history[column])]


def test_mlflow_runs_hold_the_history(tmp_path, monkeypatch):
    mlflow = tool("mlflow", "mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    before = mlflow.get_tracking_uri()
    try:
        mlflow.set_tracking_uri(tmp_path.as_uri())
        with mlflow.start_run() as run:
            model = fitted(Mlflow())
        logged = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
    finally:
        mlflow.set_tracking_uri(before)
    assert sorted((m.step, m.value) for m in logged) == list(enumerate(model.history["loss"]))


def test_optuna_prunes_what_does_not_learn():
    optuna = tool("optuna", "tune")
    optuna.logging.set_verbosity(optuna.logging.ERROR)

    def trained(trial):
        rate = trial.suggest_categorical("learning_rate", [1e-1, 1e-9])
        made = fitted(Pruning(trial, "loss"), optimizer="sgd", learning_rate=rate, batch_size=5)
        return made.history["loss"][-1]
    study = optuna.create_study(pruner=optuna.pruners.MedianPruner(n_startup_trials=1), sampler=optuna.samplers.GridSampler(
        {"learning_rate": [1e-1, 1e-9]}, seed=0))
    study.enqueue_trial({"learning_rate": 1e-1})
    study.optimize(trained, n_trials=3)
    states = {trial.params["learning_rate"]: trial.state.name for trial in study.trials}
    assert states == {1e-1: "COMPLETE", 1e-9: "PRUNED"} and study.best_params == {"learning_rate": 1e-1}


@pytest.mark.parametrize("make, package, extra", [(lambda: TensorBoard("x"), "tensorboardX", "tensorboard"), (Mlflow, "mlflow", "mlflow"),
                                                  (lambda: Pruning(None), "optuna", "tune")])
def test_a_missing_tool_is_named(monkeypatch, make, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(EngineError, match=rf"{package} is not installed\n.*backproof\[{extra}\]"):
        make()
