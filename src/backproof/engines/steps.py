"""What a run of training steps gives, in every engine."""

import signal
import threading
from contextlib import contextmanager
from dataclasses import dataclass

__all__ = ["Steps", "uninterrupted"]


@dataclass
class Steps:
    """What a run of training steps gives.

    Fields  done       steps applied
            loss       Σ over the steps of (samples × data loss); objective likewise; samples: how many were met
            idle       pairs whose loss was exactly 0 when they were met, so that nothing was learnt from them
            failure    None, or (step from 0, name of the first non-finite value): that step was not applied

    ``cancelled`` is set from another thread, and no further step is begun then.
    """

    cancelled = False               # no field: it is nothing to write down

    done: int = 0
    samples: int = 0
    loss: float = 0.0
    objective: float = 0.0
    failure: tuple | None = None
    idle: float = 0.0

    def add(self, samples, loss, objective, idle=0.0):
        """One step more, of some samples, with the values of L and J on them and the number of idle ones."""
        self.done += 1
        self.samples += samples
        self.loss += samples * loss
        self.objective += samples * objective
        self.idle += idle


@contextmanager
def uninterrupted():
    """SIGINT waits until the block is done, so that a step is applied and counted, or neither."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is None:
        yield
        return
    waiting = []
    before = signal.signal(signal.SIGINT, lambda *how: waiting.append(how))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if waiting and callable(before):
            before(*waiting[0])
