"""Truncation: how far back the adjoint reaches, and the factors ξ_t that multiply it on the links t−1 → t.

Reads   how the adjoint is truncated.
Gives   ξ[t] for each step of training: 0 at the border of a segment (regular), 0 or 1/π by draw (randomised, unbiased);
        or that the state is carried from segment to segment with an update for each (stateful), or that every step's loss
        reaches back exactly so many steps (lag).

The forward pass is the same with any ξ; a truncated gradient is the gradient of the function in which older states are
replaced by their numbers, and is checked as such.
Source  Williams & Peng (1990) for the regular form and the lag; Tallec & Ollivier, Unbiasing truncated BPTT (2017), for the
        randomised.
"""

from dataclasses import dataclass

import numpy as np

from ..engines.generator import truncation_links
from ..errors import OptionError
from .loop import check_number

__all__ = ["Links", "regular"]


def regular(length, steps):
    """ξ of segments of ``length`` steps: 0 on the link into each segment but the first, whose link is from the initial state.

    >>> regular(2, 5).tolist()
    [1.0, 1.0, 0.0, 1.0, 0.0]
    """
    t = np.arange(steps)
    return ((t % length > 0) | (t == 0)).astype(np.float64)


@dataclass(frozen=True)
class Links:
    """How the adjoint is truncated.

    Fields  how       the options of the system that truncation needs
            draw      function(epoch, step) -> ξ[t]; None where there are no factors
            length    steps of a segment, or of the lag
            stateful  the state is carried over the border of segments, each of which is an update
            lag       every step's loss reaches back exactly ``length`` steps
            cut       no signal crosses a border: segments can be run one after another
    """

    how: dict
    draw: object = None
    length: int | None = None
    stateful: bool = False
    lag: bool = False
    cut: bool = False

    def about(self, budget):
        """What, beside the length and the probability, the numbers of a run depend on."""
        return (self.stateful, self.lag and self.length, budget) if self.stateful or self.lag or self.cut else ()

    def updates(self, fed):
        """How many updates a minibatch of sequences takes where the state is carried."""
        return -(-next(array.shape[1] for name, array in fed.arrays.items() if name in ("x", "ids")) // self.length)

    @classmethod
    def of(cls, network, length, probability, fed, seed, stateful=False, lag=None):
        """Check the options and choose. Raises OptionError where they exclude each other or there is nothing to truncate."""
        if length is None and probability is None and lag is None and not stateful:
            return cls({})
        check_forms(network, length, probability, stateful, lag)
        steps = next(array.shape[1] for name, array in fed.arrays.items() if name in ("x", "ids"))
        if lag is not None:
            check_number("truncation_lag", lag, 1, whole=True)
            return cls({}) if lag >= steps else cls({}, length=int(lag), lag=True)
        if length is not None:
            check_number("truncation_length", length, 1, whole=True)
        if probability is not None:
            check_number("continue_probability", probability, 0, open_low=True, highest=1 + 1e-12)
            def drawn(epoch, step):                                                                # noqa: E306
                return truncation_links(seed, epoch, step, steps, probability)
            how = {"truncated": True, **({"given_state": True} if stateful else {})}
            return cls(how, drawn, length if stateful else None, stateful)
        if stateful:
            return cls({"given_state": True}, length=int(length), stateful=True)
        if length >= steps:
            return cls({})                                      # one segment: the full gradient, bit for bit
        xi = regular(length, steps)
        cut = network.output_per_step and not network.bidirectional
        return cls({"truncated": True}, lambda epoch, step: xi, int(length), cut=cut)


def check_forms(network, length, probability, stateful, lag):
    """Refuse what excludes each other, with the reason."""
    if not network.states:
        raise OptionError("there is nothing to truncate: the network has no recurrent state", fix="leave the truncation out")
    if lag is not None and (length is not None or probability is not None or stateful):
        raise OptionError("truncation_lag excludes truncation_length, continue_probability and stateful", fix="give one of them")
    if not stateful:
        if length is not None and probability is not None:
            raise OptionError("truncation_length and continue_probability exclude each other",
                              fix="give one of them, or stateful=True, where the length is that of the carried segments")
    elif length is None:
        raise OptionError("stateful=True carries the state from segment to segment, and no segment has a length",
                          fix="truncation_length=…: there is one update for each segment")
    if (stateful or lag is not None) and network.bidirectional:
        raise OptionError("a bidirectional network has no state to carry: its reversed half begins at the last step, which a "
                          "segment does not know", fix="train it in one direction, or by truncation_length without stateful")
    if stateful and not network.output_per_step:
        raise OptionError("stateful=True updates after every segment, and this network has its loss behind the last step only",
                          fix="an output at every step, or truncation_length without stateful")
    if lag is not None and not (network.output_per_step or any(layer.kind == "last" for layer in network.layers)):
        raise OptionError("a pooled output is no loss of one step: the adjoint of the mean or the maximum begins at all steps "
                          "at once",
                          fix="truncation_length, or 'last' instead of the pool")
