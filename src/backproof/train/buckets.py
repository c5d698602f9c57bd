"""Length bucketing: minibatches of sequences of near lengths, cut to the longest of their own.

Reads   the drawn order of an epoch, the length of each sequence, the size of a minibatch.
Gives   the same rows in another order, and minibatches without the steps that are padding for all of them.

The order stays a pure function of (seed, epoch, original row): rows are sorted by length within pools of the drawn order,
and the minibatches are drawn anew. Every sequence is met once in an epoch, with the loss and the gradient that it has in any
other minibatch; what changes is who stands beside it. Sequences of like length in one minibatch are less of a random sample:
where length tells the class, updates pull to one side, and a pool keeps some chance in them.
"""

import numpy as np

from ..engines.generator import order

__all__ = ["Cut", "bucketed"]

POOL = 32                    # minibatches whose rows are sorted by length together
STREAM = 1 << 31             # the epoch's second draw, of minibatches, has numbers that no epoch reaches


def bucketed(rows, lengths, batch_size, seed, epoch):
    """The rows of an epoch in minibatches of near lengths; the last, incomplete one stays as drawn.

    Shapes   rows (n), as drawn; lengths by row.

    >>> rows = bucketed(np.array([3, 0, 2, 1, 4]), np.array([9, 1, 2, 8, 5]), batch_size=2, seed=0, epoch=0)
    >>> sorted(rows[:2].tolist()) in ([1, 2], [0, 3]), int(rows[-1])
    (True, 4)
    """
    whole = len(rows) // batch_size * batch_size
    batches = []
    for start in range(0, whole, POOL * batch_size):
        pool = rows[start:min(start + POOL * batch_size, whole)]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches += np.split(pool, len(pool) // batch_size)
    drawn = [batches[k] for k in order(seed, STREAM + epoch, len(batches))] if batches else []
    return np.concatenate([*drawn, rows[whole:]])


class Cut:
    """The arrays of a minibatch, cut behind its longest sequence."""

    def __init__(self, program, data):
        self.data, self.lengths = data, data["mask"].sum(axis=1).astype(np.int64)
        self.timed = {name for name, value in program.inputs.items() if any(index.kind == "time" for index in value.axes)}

    def arrays(self, rows):
        steps = int(self.lengths[rows].max())
        return {name: array[rows, :steps] if name in self.timed else array[rows] for name, array in self.data.items()}

    def scalars(self, rows, values):
        """One step's scalars; those that have a number per time step, such as ξ, are cut too."""
        steps = int(self.lengths[rows].max())
        return {name: value[:, :steps] if name in self.timed else value for name, value in values.items()}
