"""When to stop, which epoch was the best, and a factor on the learning rate: decided once, after every epoch.

Reads   the record of an epoch.
Gives   (is it the best so far, why to stop or None). ``state`` and ``restore`` carry a rule over an interruption.
"""

import math

from .schedules import Plateau

__all__ = ["Patience"]


class Patience:
    """Stop when the watched loss has not improved for some epochs; with patience, the best epoch's weights are kept.

    >>> rule = Patience("loss", patience=2)
    >>> [rule.after({"epoch": k, "loss": loss})[1] for k, loss in enumerate([1.0, 2.0, float("nan")])]
    [None, None, 'stopped after epoch 2: no better loss for 2 epochs']
    """

    def __init__(self, watched="loss", patience=None, improvement=0.0, plateau=False):
        self.watched, self.patience, self.improvement = watched, patience, improvement
        self.plateau = Plateau() if plateau else None
        self.best, self.waited = math.inf, 0

    keeps_best = property(lambda self: self.patience is not None, doc="Are the best epoch's weights restored at the end?")
    scale = property(lambda self: self.plateau.scale if self.plateau else 1.0, doc="The factor on the learning rate.")

    def after(self, record):
        """(Is this epoch the best so far, why to stop or None); NaN counts as not better."""
        score = record[self.watched]
        if self.plateau:
            self.plateau.watch(score)
        better = score < self.best - self.improvement
        self.best, self.waited = (score, 0) if better else (self.best, self.waited + 1)
        if self.patience is None or self.waited < self.patience:
            return better, None
        return better, (f"stopped after epoch {record['epoch']}: no better {self.watched.replace('_', ' ')} "
                        f"for {self.waited} epochs")

    def state(self):
        """What the rule remembers, as plain data."""
        return {"best": self.best, "waited": self.waited, "plateau": vars(self.plateau) if self.plateau else None}

    def restore(self, state):
        """Go on from a state."""
        self.best, self.waited = state["best"], state["waited"]
        if self.plateau and state["plateau"]:
            self.plateau = Plateau(**state["plateau"])
