"""What a run of training steps gives, in every engine."""

from dataclasses import dataclass

__all__ = ["Steps"]


@dataclass
class Steps:
    """What a run of training steps gives.

    Fields  done       steps applied
            loss       Σ over the steps of (samples × data loss); objective likewise; samples: how many were met
            failure    None, or (step from 0, name of the first non-finite value): that step was not applied
    """

    done: int = 0
    samples: int = 0
    loss: float = 0.0
    objective: float = 0.0
    failure: tuple | None = None

    def add(self, samples, loss, objective):
        """One step more, of some samples, with the values of L and J on them."""
        self.done += 1
        self.samples += samples
        self.loss += samples * loss
        self.objective += samples * objective
