"""The training loop: epochs of minibatches, validation, early stopping, and what the user hears of it.

Reads   a session (engine + program + parameters), data, and plain options.
Gives   a History; the session holds the parameters of the last complete step, or of the best epoch.

The order of samples is a pure function of (seed, epoch), so an interrupted run continues as it would have gone on.
"""

import math
import time
from dataclasses import dataclass

import numpy as np

from ..engines.generator import order
from ..errors import NonFiniteError, OptionError
from .history import History
from .schedules import Plateau, schedule

__all__ = ["Options", "train", "check_number", "heard"]


@dataclass
class Options:
    """How to train. Intervals are checked before anything is computed."""

    epochs: int = 10
    batch_size: int = 64
    learning_rate: object = 1e-3
    schedule: object = "constant"
    warm_up: int = 0
    patience: int | None = None
    improvement: float = 0.0
    shuffle: bool = True
    clip_norm: float | None = None
    clip_value: float | None = None

    def __post_init__(self):
        check_number("epochs", self.epochs, 0, whole=True)
        check_number("batch_size", self.batch_size, 1, whole=True)
        check_number("learning_rate", self.learning_rate, 0, open_low=True)
        check_number("improvement", self.improvement, 0)
        for name in ("clip_norm", "clip_value"):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), 0, open_low=True)
        if self.patience is not None:
            check_number("patience", self.patience, 1, whole=True)
        if self.schedule != "plateau":
            schedule(self.schedule, self.warm_up)


def check_number(name, value, lowest, *, whole=False, open_low=False, highest=math.inf):
    """Refuse a number outside its interval, naming the interval."""
    kind = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    interval = f"{'(' if open_low else '['}{lowest}, {'∞' if highest == math.inf else highest})"
    wanted = f"a {'whole ' if whole else ''}number in {interval}"
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, kind):
        raise OptionError(f"{name}={value!r} is not {wanted}", fix=f"give {name} {wanted}")
    if not (value > lowest if open_low else value >= lowest) or not value < highest:
        raise OptionError(f"{name}={value!r} lies outside {interval}", fix=f"give {name} {wanted}")


def train(session, data, n, optimizer, options, *, seed, history=None, validate=None, callbacks=(), start=(0, 0), layer_of=None,
          rows=None, links=None):
    """Run epochs on a session.

    Parameters  data       {input: array, sample-first}, weights "w" included where the program has them
                rows       the rows to train on (those of weight 0 are absent); None: all n
                validate   function(parameters) -> validation loss, or None
                callbacks  functions(record) called after every epoch; a true result ends the run
                start      (epoch, step) to go on from
                links      function(epoch, step in the epoch) -> ξ[t], where the adjoint is truncated
    Raises      NonFiniteError in the step where a loss, gradient or new parameter is not finite; it is not applied.
    """
    history = History() if history is None else history
    rows = np.arange(n) if rows is None else rows
    epoch, step = start
    per_epoch = max(1, math.ceil(len(rows) / options.batch_size))
    total = step + per_epoch * options.epochs
    plateau = Plateau() if options.schedule == "plateau" else None
    rate = schedule("constant" if plateau else options.schedule, options.warm_up)
    best, best_parameters, waited = math.inf, None, 0
    watched = "validation_loss" if validate is not None else "loss"
    for epoch in range(epoch, epoch + options.epochs):
        began = time.perf_counter()
        numbers = [{"eta": options.learning_rate * rate(step + k, total) * (plateau.scale if plateau else 1.0),
                    **optimizer.at(step + k + 1)} for k in range(per_epoch)]
        scalars = {name: np.array([at[name] for at in numbers]) for name in numbers[0]}
        if links is not None:
            scalars["xi"] = np.stack([links(epoch, k) for k in range(per_epoch)])
        chosen = rows[order(seed, epoch, len(rows))] if options.shuffle else rows
        done = session.steps(data, chosen, options.batch_size, scalars, epoch, seed)
        step += done.done
        if done.failure is not None:
            raise _failure(done.failure, epoch, step, history, layer_of)
        record = history.append(epoch=epoch, step=step, loss=done.loss / done.samples, objective=done.objective / done.samples,
                                validation_loss=None if validate is None else validate(session.parameters),
                                learning_rate=float(scalars["eta"][-1]), seconds=time.perf_counter() - began)
        score = record[watched]
        if plateau:
            plateau.watch(score)
        if not score >= best - options.improvement:                      # NaN counts as not better
            best, waited = (score, 0) if not math.isnan(score) else (best, waited + 1)
            if options.patience is not None and not math.isnan(score):
                history.best, best_parameters = epoch, {k: v.copy() for k, v in session.parameters.items()}
        else:
            waited += 1
        if heard(callbacks, record, lambda: session.parameters):
            history.stopped = f"stopped by a callback after epoch {epoch}"
            break
        if options.patience is not None and waited >= options.patience:
            history.stopped = f"stopped after epoch {epoch}: no better {watched.replace('_', ' ')} for {waited} epochs"
            break
    if best_parameters is not None:
        session.parameters = best_parameters
    return history


def heard(callbacks, record, parameters):
    """Tell every callback of an epoch, and the parameters to one with ``watch`` (as a function); does any ask for an end?"""
    return any([c.watch(record, parameters) if hasattr(c, "watch") else c(record) for c in callbacks])


def _failure(failure, epoch, step, history, layer_of):
    k, tensor = failure
    layer = (layer_of or {}).get(tensor)
    past = ", ".join(f"{r['loss']:.4g}" for r in history.records[-5:])
    return NonFiniteError(
        f"{tensor} is not finite in epoch {epoch}, step {k}" + (f" (layer {layer})" if layer else ""),
        where=f"losses of the epochs before: {past}" if past else "the first epoch",
        fix="lower the learning rate (a tenth), clip the gradients (clip_norm=1.0) or scale the inputs",
        state=f"the step was not applied; the parameters are those after step {step}",
        epoch=epoch, step=k, layer=layer, tensor=tensor)
