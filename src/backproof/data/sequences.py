"""Sequences of unequal length: what the user holds, and the padded array with its mask that programs read.

Reads   a list of arrays (one per sequence), or a padded array with lengths.
Gives   one array (n, t, …) whose padding is overwritten by zeros, and the mask (n, t), 1 at valid steps.

Padding is never read: 0 · NaN is NaN, so whatever stood there is replaced here, at the door.
"""

from dataclasses import dataclass

import numpy as np

from backproof.data.arrays import as_samples
from backproof.errors import DataError, DtypeError

__all__ = ["Sequences", "as_ragged", "is_ragged", "pad", "unpad"]


@dataclass(frozen=True)
class Sequences:
    """A padded array with the length of each sequence.

    Shapes   values (n, t, …); lengths (n,), whole numbers from 1 to t.

    >>> Sequences(np.zeros((2, 5, 3)), [5, 2]).mask().astype(int).tolist()
    [[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]
    """

    values: object
    lengths: object

    dtype = property(lambda self: self.values.dtype)

    def mask(self, dtype=np.float64):
        lengths = np.asarray(self.lengths)
        return (np.arange(np.shape(self.values)[1]) < lengths[:, None]).astype(dtype)

    def __len__(self):
        return len(self.values)

    def __getitem__(self, rows):
        """One sequence in its own length by its number; the Sequences of several by an array of numbers."""
        if isinstance(rows, (int, np.integer)):
            return self.values[rows][:self.lengths[rows]]
        return Sequences(np.asarray(self.values)[rows], np.asarray(self.lengths)[rows])

    def full(self):
        """Has every sequence all steps, so that nothing is padding?"""
        return bool((np.asarray(self.lengths) == np.shape(self.values)[1]).all())

    def flat(self):
        """The valid steps of all sequences, one after another: (Σ lengths, …)."""
        return np.asarray(self.values)[self.mask(bool)]

    def like(self, flat):
        """Sequences of the same lengths with other values at their valid steps, zeros as padding.

        >>> Sequences(np.zeros((2, 2)), [2, 1]).like(np.array([7, 8, 9])).values.tolist()
        [[7, 8], [9, 0]]
        """
        values = np.zeros((*np.shape(self.values)[:2], *flat.shape[1:]), flat.dtype)
        values[self.mask(bool)] = flat
        return Sequences(values, self.lengths)

    def unpadded(self):
        """A list of arrays of their own lengths."""
        return unpad(self.values, self.lengths)


def is_ragged(X):
    """Is it given as sequences of their own lengths (a list of arrays, or Sequences)?"""
    return isinstance(X, Sequences) or isinstance(X, (list, tuple)) and len(X) > 0 and isinstance(X[0], np.ndarray) \
        or isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1 and len(X) > 0 and isinstance(X[0], np.ndarray)


def as_ragged(X, *, features=None, dtype=np.float32, name="X"):
    """Checked Sequences: values (n, t, i) of the dtype with zeros as padding.

    Raises   DataError on an empty sequence, other widths, lengths outside 1 … t; NaN at a valid step (padding may hold any).
    """
    if isinstance(X, Sequences):
        values, lengths = np.asarray(X.values), _lengths(X, name)
        if values.ndim != 3:
            raise DataError(f"{name} has shape {values.shape}; padded sequences are (samples, steps, features)")
    else:
        lengths = np.array([len(sequence) for sequence in X])
        for k, sequence in enumerate(X):
            if sequence.ndim != 2:
                raise DataError(f"sequence {k} of {name} is {sequence.ndim}-D, of shape {sequence.shape}; it has rows of features",
                                fix="sequence.reshape(-1, 1) for one feature")
            if len(sequence) == 0:
                raise DataError(f"sequence {k} of {name} has 0 steps", fix="leave empty sequences out")
            if sequence.shape[1] != X[0].shape[1]:
                raise DataError(f"sequence {k} of {name} has {sequence.shape[1]} features, sequence 0 has {X[0].shape[1]}")
        values = pad(X)
    mask = np.arange(values.shape[1]) < lengths[:, None]
    values = np.where(mask[..., None], values, 0)
    return Sequences(as_samples(values, features=features, dtype=dtype, sequence=True, name=name), lengths)


def _lengths(X, name):
    values, lengths = np.asarray(X.values), np.asarray(X.lengths)
    if lengths.shape != values.shape[:1] or not np.issubdtype(lengths.dtype, np.integer):
        raise DtypeError(f"lengths of {name} have shape {lengths.shape} and dtype {lengths.dtype}; one whole number per sequence "
                         f"is needed, shape {values.shape[:1]}")
    bad = np.flatnonzero((lengths < 1) | (lengths > values.shape[1]))
    if len(bad):
        raise DataError(f"sequence {bad[0]} of {name} has length {lengths[bad[0]]}, outside 1 … {values.shape[1]}",
                        fix="leave empty sequences out")
    return lengths


def pad(sequences, value=0):
    """A list of arrays (t_n, …) as one array (n, max t, …).

    >>> pad([np.array([1, 2, 3]), np.array([4])]).tolist()
    [[1, 2, 3], [4, 0, 0]]
    """
    longest = max(len(sequence) for sequence in sequences)
    first = np.asarray(sequences[0])
    out = np.full((len(sequences), longest, *first.shape[1:]), value, np.result_type(*sequences))
    for row, sequence in zip(out, sequences, strict=True):
        row[:len(sequence)] = sequence
    return out


def unpad(values, lengths):
    """A padded array as a list of arrays of their own lengths."""
    return [row[:length] for row, length in zip(values, lengths, strict=True)]
