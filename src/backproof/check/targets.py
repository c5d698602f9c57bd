"""Targets: anything that has a loss and claims a gradient, seen as two functions over a dict of float64 arrays.

Reads   a model, or a pair (loss, gradient) of functions over an array, a list or a dict.
Gives   a Target: a point, `loss(point) -> number`, `gradient(point) -> {name: array}`.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ..errors import OptionError

__all__ = ["Target", "as_target", "from_model", "from_pair"]


@dataclass
class Target:
    """What is checked.

    Fields  title; point {name: float64 array}
            loss        of a point; the oracles differentiate it
            gradient    of a point, by name: what is checked
            oracle      "complex step", "Richardson", or None: find out
            tolerance   None: the oracle's own
            facts       numbers that a cause may speak of: "N", "outputs", "l2", …
    """

    title: str
    point: dict
    loss: object
    gradient: object
    oracle: str | None = None
    tolerance: float | None = None
    facts: dict = field(default_factory=dict)
    network: object = None
    data: dict = field(default_factory=dict)
    notes: list = field(default_factory=list)


def as_target(target, X=None, y=None, *, at=None, sample_weight=None):
    """The Target behind whatever the user gave."""
    if isinstance(target, Target):
        return target
    if hasattr(target, "network") and hasattr(target, "gradients"):
        return from_model(target, X, y, sample_weight)
    if isinstance(target, (tuple, list)) and len(target) == 2 and all(map(callable, target)):
        return from_pair(*target, at, *([] if X is None else [X] if y is None else [X, y]))
    raise OptionError(f"a {type(target).__name__} cannot be checked",
                      fix="give a model, or a pair (loss, gradient) and at=parameters")


# ---------------------------------------------------------------------------------------------------- our own models

def from_model(model, X, y, sample_weight=None):
    """A model: its engine's gradients against the objective of the reference engine in double or complex precision."""
    if X is None:
        raise OptionError("a model is checked on data", fix="check_gradients(model, X, y)")
    loss = model.objective_function(X, y, sample_weight)
    more = {} if sample_weight is None else {"sample_weight": sample_weight}
    point = {name: np.array(array, np.float64) for name, array in model.parameters.items()}

    def gradient(theta):
        moved = copy.copy(model).set_parameters(**theta)
        return moved.gradients(X, y, **more)

    return Target(f"Model {model.network.spec or ''}".strip(), point, loss, gradient, "complex step",
                  1e-11 if model.dtype == np.float64 else 1e-5, {"N": len(X), "outputs": model.network.outputs},
                  model.network)


# ---------------------------------------------------------------------------------------------------- pairs of functions

def from_pair(loss, gradient, at, *data):
    """Two functions of parameters (and of the data given): an array, a list of arrays or a dict by name."""
    if at is None:
        raise OptionError("functions are checked at a point", fix="check_gradients((loss, gradient), at=parameters)")
    structure = Structure(at)

    def loss_at(theta):
        return loss(structure.restore(theta), *data)

    def gradient_at(theta):
        return structure.read(gradient(structure.restore(theta), *data))

    title = " of ".join(function_name(f, word) for f, word in ((gradient, "gradient"), (loss, "loss")))
    facts = {"N": len(data[0])} if data and np.ndim(data[0]) else {}
    return Target(title, structure.point, loss_at, gradient_at, facts=facts)


def function_name(function, otherwise):
    name = getattr(function, "__name__", otherwise)
    return otherwise if name == "<lambda>" else name


class Structure:
    """How the user holds parameters: one array, a list of arrays, or a dict of them; nested ones flatten to dotted names.

    >>> Structure([np.zeros(2), np.ones(3)]).point["[1]"].tolist()
    [1.0, 1.0, 1.0]
    """

    def __init__(self, value):
        self.value = value
        self.leaves = dict(flatten(value))
        self.point = {name: np.array(leaf, np.float64) for name, leaf in self.leaves.items()}

    def restore(self, theta):
        """The user's structure with these arrays; float32 code is given doubles."""
        def cast(name):
            return theta[name] if isinstance(self.leaves[name], np.ndarray) else theta[name][()]
        return rebuild(self.value, cast)

    def read(self, gradients):
        """{name: array} of what a gradient function returned; a missing one is left out."""
        if set(self.leaves) == {"theta"} and not isinstance(gradients, Mapping):
            return {"theta": np.asarray(gradients)}
        return {name: np.asarray(leaf) for name, leaf in flatten(gradients) if leaf is not None}


def flatten(value, prefix=""):
    """Yield (name, leaf); the whole is called "theta" where it is a single array."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from flatten(part, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, (list, tuple)) and not all(np.isscalar(part) for part in value):
        for k, part in enumerate(value):
            yield from flatten(part, f"{prefix}[{k}]")
    else:
        yield prefix or "theta", value


def rebuild(value, leaf, prefix=""):
    """The structure of a value with every leaf replaced by leaf(name)."""
    if isinstance(value, Mapping):
        return {key: rebuild(part, leaf, f"{prefix}.{key}" if prefix else str(key)) for key, part in value.items()}
    if isinstance(value, (list, tuple)) and not all(np.isscalar(part) for part in value):
        parts = [rebuild(part, leaf, f"{prefix}[{k}]") for k, part in enumerate(value)]
        return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)
    return leaf(prefix or "theta")
