"""Callbacks that tell other tools of a run: TensorBoard, MLflow, Optuna. Adapters, not dependencies.

Reads   the record of every epoch: model.fit(..., callbacks=[TensorBoard("logs")]).
Gives   scalars under the names of the history's columns; Optuna may end the run.
Raises  EngineError with the extra to install where the tool is missing.
"""

from importlib import import_module

from ..errors import EngineError, OptionError

__all__ = ["Mlflow", "Pruning", "TensorBoard", "scalars"]


def scalars(record):
    """{column: number} of a record, without the epoch and what is missing.

    >>> scalars({"epoch": 2, "step": 9, "loss": 0.5, "validation_loss": None})
    {'step': 9, 'loss': 0.5}
    """
    return {name: value for name, value in record.items() if name != "epoch" and isinstance(value, (int, float))}


def _tool(name, extra):
    try:
        return import_module(name)
    except ImportError:
        raise EngineError(f"the package {name} is not installed", fix=f"pip install 'backproof[{extra}]'") from None


class TensorBoard:
    """Write every epoch into a folder that TensorBoard reads, through tensorboardX."""

    def __init__(self, folder):
        self.writer = _tool("tensorboardX", "tensorboard").SummaryWriter(str(folder))

    def __call__(self, record):
        for name, value in scalars(record).items():
            self.writer.add_scalar(name, value, record["epoch"])
        self.writer.flush()

    def close(self):
        self.writer.close()


class Mlflow:
    """Log every epoch to the active MLflow run."""

    def __init__(self):
        self.tool = _tool("mlflow", "mlflow")

    def __call__(self, record):
        self.tool.log_metrics(scalars(record), step=record["epoch"])


class Pruning:
    """Report a column to an Optuna trial, and end the run where Optuna says so: raises optuna.TrialPruned."""

    def __init__(self, trial, column="validation_loss"):
        self.trial, self.column = trial, column
        self.tool = _tool("optuna", "tune")

    def __call__(self, record):
        value = record.get(self.column)
        if value is None:
            raise OptionError(f"the history has no {self.column}", fix="model.fit(..., validation=(X, y)), or column='loss'")
        self.trial.report(value, record["epoch"])
        if self.trial.should_prune():
            raise self.tool.TrialPruned(f"after epoch {record['epoch']}")
