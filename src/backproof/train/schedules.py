"""Learning rates over the steps of a run: each a factor on the learning rate, a pure function of the step.

Reads   the step (from 0) and the number of steps planned.
Gives   a factor ≥ 0. ``plateau`` alone listens to the validation loss and therefore keeps state; it is a callback.
"""

import math
from dataclasses import dataclass

from ..errors import OptionError

__all__ = ["SCHEDULES", "schedule", "Plateau"]


def constant(step, total):
    return 1.0


def cosine(step, total):
    """From 1 to 0 along half a cosine (Loshchilov & Hutter 2017)."""
    return 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, total))))


def one_cycle(step, total, peak_at=0.3, start=1 / 25, end=1e-4):
    """Up from ``start`` to 1, then down to ``end``, along half cosines (Smith & Topin 2019)."""
    turn = max(1.0, peak_at * total)
    if step < turn:
        low, high, part = start, 1.0, step / turn
    else:
        low, high, part = 1.0, end, (step - turn) / max(1.0, total - turn)
    return low + (high - low) * 0.5 * (1 - math.cos(math.pi * min(1.0, part)))


def step_decay(step, total, factor=0.1, times=3):
    """Multiplied by ``factor`` after each of ``times`` equal parts of the run."""
    return factor ** min(times - 1, int(times * step / max(1, total)))


def inverse_scaling(step, total, power=0.5):
    """(step + 1)^−power."""
    return (step + 1.0) ** -power


SCHEDULES = {"constant": constant, "cosine": cosine, "one_cycle": one_cycle, "step": step_decay,
             "inverse_scaling": inverse_scaling}


def schedule(how, warm_up=0):
    """A schedule by name or as a function of (step, total steps), with a linear warm-up of some steps in front.

    >>> schedule("cosine")(0, 100), round(schedule("cosine")(100, 100), 3)
    (1.0, 0.0)
    >>> schedule("constant", warm_up=4)(1, 100)
    0.5
    """
    if callable(how):
        chosen = how
    elif how in SCHEDULES:
        chosen = SCHEDULES[how]
    else:
        raise OptionError(f"there is no schedule {how!r}", fix=f"one of {', '.join(SCHEDULES)}, plateau or a function of (step, total)")
    if isinstance(warm_up, bool) or not isinstance(warm_up, int) or warm_up < 0:
        raise OptionError(f"warm_up={warm_up!r} is not a number of steps", fix="a whole number, 0 for none")
    if not warm_up:
        return chosen
    return lambda step, total: (step + 1) / warm_up if step < warm_up else chosen(step - warm_up, max(1, total - warm_up))


@dataclass
class Plateau:
    """Halve the learning rate when the watched loss has not improved for some epochs."""

    factor: float = 0.5
    patience: int = 5
    best: float = math.inf
    waited: int = 0
    scale: float = 1.0

    def watch(self, loss):
        if loss < self.best:
            self.best, self.waited = loss, 0
        else:
            self.waited += 1
            if self.waited >= self.patience:
                self.scale, self.waited = self.scale * self.factor, 0
        return self.scale
