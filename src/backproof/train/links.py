"""Truncation: the factors ξ_t that multiply the adjoint on the links t−1 → t.

Reads   how the adjoint is truncated.
Gives   ξ[t] for each step of training: 0 at the border of a segment (regular), 0 or 1/π by draw (randomised, unbiased).

The forward pass is the same with any ξ; a truncated gradient is the gradient of the function in which older states are
replaced by their numbers, and is checked as such.
Source  Williams & Peng (1990) for the regular form; Tallec & Ollivier, Unbiasing truncated BPTT (2017), for the randomised.
"""

from dataclasses import dataclass

import numpy as np

from ..engines.generator import truncation_links
from ..errors import OptionError
from .loop import check_number

__all__ = ["Links", "regular"]


def regular(length, steps):
    """ξ of segments of ``length`` steps: 0 on the link into each new segment.

    >>> regular(2, 5).tolist()
    [0.0, 1.0, 0.0, 1.0, 0.0]
    """
    return (np.arange(steps) % length > 0).astype(np.float64)


@dataclass(frozen=True)
class Links:
    """how: the options of the system that truncation needs; draw(epoch, step) -> ξ[t], or None for full gradients."""

    how: dict
    draw: object = None

    @classmethod
    def of(cls, network, length, probability, fed, seed):
        """Check the options and choose. Raises OptionError where they exclude each other or there is nothing to truncate."""
        if length is None and probability is None:
            return cls({})
        if length is not None and probability is not None:
            raise OptionError("truncation_length and continue_probability exclude each other", fix="give one of them")
        if not network.states:
            raise OptionError("there is nothing to truncate: the network has no recurrent state", fix="leave the truncation out")
        steps = next(array.shape[1] for name, array in fed.arrays.items() if name in ("x", "ids"))
        if length is not None:
            check_number("truncation_length", length, 1, whole=True)
            xi = regular(length, steps)
            return cls({"truncated": True}, lambda epoch, step: xi)
        check_number("continue_probability", probability, 0, open_low=True, highest=1 + 1e-12)
        return cls({"truncated": True}, lambda epoch, step: truncation_links(seed, epoch, step, steps, probability))
