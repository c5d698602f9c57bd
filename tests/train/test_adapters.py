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


@pytest.mark.parametrize("make, package, extra", [(lambda: TensorBoard("x"), "tensorboardX", "tensorboard"), (Mlflow, "mlflow", "mlflow"),
                                                  (lambda: Pruning(None), "optuna", "tune")])
def test_a_missing_tool_is_named(monkeypatch, make, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(EngineError, match=rf"{package} is not installed\n.*backproof\[{extra}\]"):
        make()
