"""The training loop: epochs of minibatches, validation, early stopping, and what the user hears of it.

Reads   a session (engine + program + parameters), data, and plain options.
Gives   a History; the session holds the parameters of the last complete step, or of the best epoch.

The order of samples is a pure function of (seed, epoch), so an interrupted run continues as it would have gone on.
"""

import math
import time
from dataclasses import dataclass, field

import numpy as np

from ..engines.steps import Steps, uninterrupted
from ..engines.generator import order
from ..errors import NonFiniteError, OptionError
from .buckets import Cut, bucketed
from .history import History
from .schedules import schedule
from .stopping import Patience

__all__ = ["Cancelled", "Interrupted", "Options", "Progress", "train", "check_number", "new_progress", "heard"]


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
    bucketing: bool = False

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


@dataclass
class Progress:
    """Where a run stands: with the parameters and the optimizer's state, all that its continuation depends on.

    Fields  epoch, step     the epoch under way, and the steps done before it
            end, total      the epoch to end before, and the steps planned (schedules are functions of both)
            within          Steps of the epoch under way; seconds: spent in it
            best            parameters of the best epoch, where the rule of stopping keeps them
    """

    epoch: int = 0
    step: int = 0
    end: int = 0
    total: int = 0
    within: Steps = field(default_factory=Steps)
    seconds: float = 0.0
    best: dict | None = None
    cancelled = False               # no field: it is nothing to write down

    def cancel(self):
        """From another thread: no further step is begun."""
        self.cancelled = self.within.cancelled = True

    steps = property(lambda self: self.step + self.within.done, doc="The steps done so far.")


def new_progress(start, rows, options):
    """A run's progress before its first step; ``start`` is (epoch, step), rows how many are trained on."""
    epoch, step = start
    per_epoch = max(1, math.ceil(rows / options.batch_size))
    return Progress(epoch, step, epoch + options.epochs, step + per_epoch * options.epochs)


class Cancelled(Exception):
    """A run that was asked to end, after a complete step."""


class Interrupted(KeyboardInterrupt):
    """A run that was ended from outside after a complete step; ``step`` says after which."""

    def __init__(self, step, reason, best=None):
        super().__init__(f"{reason} after step {step}")
        self.step, self.reason, self.best = step, reason, best


def train(session, data, n, optimizer, options, *, seed, history=None, validate=None, callbacks=(), start=(0, 0), layer_of=None,
          rows=None, links=None, stopping=None, more_scalars=None, checkpoints=None, progress=None,
          sampled=None, updates=None):
    """Run epochs on a session.

    Parameters  data       {input: array, sample-first}, weights "w" included where the program has them
                rows       the rows to train on (those of weight 0 are absent); None: all n
                validate   function(parameters) -> validation loss or {column: number}, or None
                callbacks  functions(record) called after every epoch; a true result ends the run
                start      (epoch, step) to go on from
                links      function(epoch, step in the epoch) -> ξ[t], where the adjoint is truncated
                stopping   the rule of stopping; None: Patience by the options
                more_scalars  function(rows in order) -> {scalar input: one number per step}
                checkpoints   object with ``every`` (steps between its looks) and look(progress, …); may raise Interrupted
                sampled    function(epoch) -> {input: array} that is drawn anew for every epoch, or None
                updates    how many updates a step takes, where it is a minibatch in segments (each gets its own scalars)
                progress   of an interrupted run, with the session's parameters and state as they were then
    Raises      NonFiniteError in the step where a loss, gradient or new parameter is not finite; it is not applied.
                Cancelled between two steps, once ``progress.cancel()`` was called
    """
    history = History() if history is None else history
    rows = np.arange(n) if rows is None else rows
    per_epoch = max(1, math.ceil(len(rows) / options.batch_size))
    if progress is None:
        progress = new_progress(start, len(rows), options)
    plateau = options.schedule == "plateau"
    rate = schedule("constant" if plateau else options.schedule, options.warm_up)
    if stopping is None:
        stopping = Patience("validation_loss" if validate is not None else "loss", options.patience, options.improvement, plateau)
    draw = getattr(session, "order", order)                        # an engine may draw the same order itself
    cut = Cut(session.program, data) if options.bucketing and "mask" in data else None
    look = (lambda: None) if checkpoints is None else (lambda: checkpoints.look(progress, session, history, stopping))
    while progress.epoch < progress.end:
        epoch, step = progress.epoch, progress.step
        if hasattr(rows, "shuffled"):                             # too many for the memory: they give parts of the order
            chosen = rows.shuffled(seed, epoch) if options.shuffle else rows
        else:
            chosen = rows[draw(seed, epoch, len(rows))] if options.shuffle else rows
        if cut is not None:
            chosen = bucketed(chosen, cut.lengths, options.batch_size, seed, epoch)
        more = more_scalars(chosen) if more_scalars else {}
        data = {**data, **sampled(epoch)} if sampled else data

        def scalars(first, last, epoch=epoch, step=step, more=more):
            """{scalar input: the numbers of each of these steps}"""
            found = _scalars(optimizer, options.learning_rate * stopping.scale, lambda k: rate(k, progress.total),
                             range(step + first, step + last), updates)
            if links is not None:
                drawn = [links(epoch, k) for k in range(first, last)]
                same = all(xi is drawn[0] for xi in drawn)                    # regular: one row serves every step
                found["xi"] = np.broadcast_to(drawn[0], (last - first, len(drawn[0]))) if same else np.stack(drawn)
            return {**found, **{name: values[first:last] for name, values in more.items()}}
        every = checkpoints.every if checkpoints else per_epoch
        while progress.within.done < per_epoch:
            look()
            if progress.cancelled:
                raise Cancelled
            first, last = progress.within.done, min(per_epoch, (progress.within.done // every + 1) * every)
            _steps(session, data, chosen, scalars(first, last), options.batch_size, seed, progress, (first, last), cut)
            if progress.within.failure is not None:
                raise _failure(progress.within.failure, epoch, progress.steps, history, layer_of)
        done = progress.within
        measured = None if validate is None else validate(session.parameters)
        measured = measured if isinstance(measured, dict) else {"validation_loss": measured}
        if "idle" in session.program.outputs:
            measured = {**measured, "idle": done.idle / done.samples}
        with uninterrupted():                                     # an epoch is counted as a whole, or not
            record = history.append(epoch=epoch, step=progress.steps, loss=done.loss / done.samples,
                                    objective=done.objective / done.samples, **measured,
                                    learning_rate=float(np.ravel(scalars(per_epoch - 1, per_epoch)["eta"])[-1]),
                                    seconds=progress.seconds)
            better, reason = stopping.after(record)
            if better and stopping.keeps_best:
                history.best, progress.best = epoch, {k: v.copy() for k, v in session.parameters.items()}
            progress.epoch, progress.step, progress.within, progress.seconds = epoch + 1, progress.steps, Steps(), 0.0
            if reason:
                history.stopped, progress.end = reason, epoch + 1
        if heard(callbacks, record, lambda: session.parameters):
            history.stopped, progress.end = f"stopped by a callback after epoch {epoch}", epoch + 1
    look()
    if progress.best is not None:
        session.parameters = progress.best
    return history


def _scalars(optimizer, learning_rate, rate, steps, updates):
    """{name: the scalars of each step}, one row of them where a step takes several updates."""
    several = updates or 1
    found = {"eta": [learning_rate * rate(k) for k in steps for _ in range(several)]}
    of_step = [optimizer.at(k * several + s + 1) for k in steps for s in range(several)] if optimizer.scalars is not None else []
    found.update({name: [one[name] for one in of_step] for name in (of_step[0] if of_step else ())})
    return {name: np.array(values).reshape(len(steps), several) if updates else np.array(values) for name, values in found.items()}


def _steps(session, data, chosen, scalars, batch_size, seed, progress, steps, cut=None):
    """The steps (first, last) of an epoch, up to the next look."""
    done, began = progress.within, time.perf_counter()
    rows = chosen[steps[0] * batch_size:steps[1] * batch_size]
    try:
        if cut is not None:                                           # minibatches cut to the length of their longest
            for k, start in enumerate(range(0, len(rows), batch_size)):
                batch = rows[start:start + batch_size]
                numbers = cut.scalars(batch, {name: values[k:k + 1] for name, values in scalars.items()})
                if done.cancelled:
                    return
                session.steps(cut.arrays(batch), np.arange(len(batch)), batch_size, numbers, progress.epoch, seed, done, batch)
                if done.failure is not None:
                    return
        elif hasattr(data.get("x"), "dense"):                         # rows that are made dense, or read, when they are wanted
            batches = max(1, getattr(data["x"], "at_once", 1) // batch_size)
            for k, start in enumerate(range(0, len(rows), batches * batch_size)):
                part = rows[start:start + batches * batch_size]
                if done.cancelled:
                    return
                session.steps({name: array[part] for name, array in data.items()}, np.arange(len(part)), batch_size,
                              {name: values[k * batches:(k + 1) * batches] for name, values in scalars.items()},
                              progress.epoch, seed, done, part)
                if done.failure is not None:
                    return
        else:
            session.steps(data, rows, batch_size, scalars, progress.epoch, seed, done)
    finally:
        progress.seconds += time.perf_counter() - began


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
