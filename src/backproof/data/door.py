"""The door of a network: what the user gives becomes the arrays that its programs read.

Reads   a network, a dtype; X, y and sample weights in any form that is accepted.
Gives   Feeds: the options of the system that they need (masked, weighted, form of target) and checked arrays, sample-first.
"""

from dataclasses import dataclass

import numpy as np

from backproof.data.arrays import as_labels, as_samples, as_targets, as_tokens, as_weights
from backproof.data.corruption import Corruption
from backproof.data.sequences import Sequences, as_ragged, is_ragged, pad
from backproof.errors import DataError, RangeError
from backproof.networks.activations import SIMPLEX

__all__ = ["Feeds", "corruption", "feeds"]


@dataclass(frozen=True)
class Feeds:
    """how: options of ``Network.system``; arrays {input: array, sample-first}; n samples; lengths (n,) or None; rows: what
    gives the order of more rows than the memory holds, or None."""

    how: dict
    arrays: dict
    n: int
    lengths: object = None
    rows: object = None


def feeds(network, dtype, X, y=None, sample_weight=None, names=None):
    """Everything that a run needs, or the error that says what is wrong.

    Raises   DataError, DtypeError, RangeError; nothing has been computed then.
    """
    if hasattr(X, "feeds"):                                   # rows on disk, which were checked when they were written
        return X.feeds(network, dtype)
    X, lengths = _inputs(network, dtype, X, names)
    n, how, arrays = len(X), {}, {"x" if network.vocabulary is None else "ids": X}
    if lengths is not None:
        how["masked"] = True
        arrays["mask"] = Sequences(X, lengths).mask(dtype)
    if y is not None:
        if network.pairs:
            raise DataError(f"{network.loss.name} compares the members of a pair and takes no target", fix="y=None")
        per_step = network.output_per_step
        how["target"], arrays["y"] = _targets(network, dtype, y, n, X.shape[1] if per_step else None, lengths if per_step else None)
    if sample_weight is not None:
        how["weighted"], arrays["w"] = True, as_weights(sample_weight, n).astype(dtype)
    return Feeds(how, arrays, n, lengths)


def corruption(network, dtype, given):
    """The windows and the pool of a Corruption, each checked as inputs of the network."""
    if not network.pairs:
        raise DataError(f"{network.loss.name} scores one window; corrupt ones are for a loss of pairs",
                        fix="loss='pairwise_margin', or fit(windows, targets)")
    return Corruption(_samples(network, dtype, given.windows), _samples(network, dtype, given.corrupt))


def _inputs(network, dtype, X, names):
    """(checked array, lengths or None)."""
    if network.sequence and is_ragged(X):
        if network.vocabulary is not None:
            return _ragged_tokens(network, X)
        ragged = as_ragged(X, features=network.inputs, dtype=dtype)
        return ragged.values, ragged.lengths
    if not network.pairs:
        return _samples(network, dtype, X, names), None
    X = np.asarray(X)
    if X.ndim != 3 or X.shape[1] != 2:
        raise DataError(f"X has shape {X.shape}; {network.loss.name} takes pairs (n, 2, {'tokens' if network.window else 'features'})",
                        fix="np.stack([true, corrupt], axis=1)")
    return _samples(network, dtype, X.reshape(-1, X.shape[-1])).reshape(X.shape), None


def _samples(network, dtype, X, names=None):
    if network.vocabulary is not None:
        return as_tokens(X, vocabulary=network.vocabulary, steps=network.window, holes=network.padding)
    return as_samples(X, features=network.inputs, dtype=dtype, sequence=network.sequence, names=names)


def _ragged_tokens(network, X):
    values, lengths = (X.values, np.asarray(X.lengths)) if isinstance(X, Sequences) else (pad(X), np.array([len(s) for s in X]))
    if lengths.min() < 1:
        raise DataError(f"sequence {int(lengths.argmin())} of X has 0 steps", fix="leave empty sequences out")
    last = np.take_along_axis(values, lengths[:, None] - 1, axis=1)           # no row is looked up that the sequence has not
    values = np.where(Sequences(values, lengths).mask() > 0, values, last)
    return as_tokens(values, vocabulary=network.vocabulary, holes=network.padding), lengths


def _targets(network, dtype, y, n, steps, lengths):
    """(form, array): class numbers where the loss takes them and y looks like them, else values per output."""
    if lengths is not None:
        y = _ragged_targets(y, steps, lengths)
    if "class" in network.targets and _looks_like_classes(y, steps):
        return "class", as_labels(y, n, classes=network.outputs, steps=steps)
    if network.targets == ("class",):
        raise DataError(f"{network.loss.name} takes class numbers; y has shape {np.shape(y)}", fix="y of shape (n,)")
    y = as_targets(y, n, outputs=network.outputs, dtype=dtype, steps=steps)
    _check_range(y, network.loss, lengths)
    return "dense", y


def _ragged_targets(y, steps, lengths):
    """One target per valid step, padded with zeros."""
    if isinstance(y, Sequences):
        y = y.values
    elif is_ragged(y):
        found = [len(sequence) for sequence in y]
        wrong = [k for k, (a, b) in enumerate(zip(found, lengths)) if a != b]
        if len(found) != len(lengths) or wrong:
            k = wrong[0] if wrong else min(len(found), len(lengths))
            raise DataError(f"sequence {k} has {lengths[k]} steps and {found[k] if k < len(found) else 0} targets",
                            fix="give one target per step")
        y = pad(y)
    y = np.asarray(y)
    if y.ndim < 2 or y.shape[1] != steps:
        raise DataError(f"y has shape {y.shape}; the network gives an output at each of {steps} steps", fix="one target per step")
    mask = np.arange(steps) < lengths[:, None]
    return np.where(mask.reshape(*mask.shape, *[1] * (y.ndim - 2)), y, 0)


def _looks_like_classes(y, steps):
    y = np.asarray(y)
    return y.ndim == (1 if steps is None else 2) or y.ndim > 0 and y.shape[-1] == 1


def _check_range(y, loss, lengths):
    """Targets keep to the range that the loss states (E7); what lies in the padding does not count."""
    valid = np.ones(y.shape[:-1], bool) if lengths is None else np.arange(y.shape[1]) < lengths[:, None]
    if loss.where == SIMPLEX:
        sums = y.sum(axis=-1, dtype=np.float64)
        bad = np.argwhere((~(np.abs(sums - 1) <= 1e-6) | (y < 0).any(axis=-1)) & valid)
        if len(bad):
            at = tuple(bad[0])
            raise RangeError(f"the targets of row {at[0]} sum to {sums[at]:.6g}", fix=f"{loss.name} takes class numbers, "
                             "or rows of probabilities that sum to 1")
        return
    low, high = loss.where[:2]
    bad = np.argwhere(((y < low) | (y > high)) & valid[..., None])
    if len(bad):
        at = tuple(bad[0])
        raise RangeError(f"target {y[at]:g} in row {at[0]} lies outside [{low:g}, {high:g}]", where=f"loss {loss.name}",
                         fix=f"rescale the targets into [{low:g}, {high:g}], or choose another loss")
