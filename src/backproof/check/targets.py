"""Targets: anything that has a loss and claims a gradient, seen as two functions over a dict of float64 arrays.

Reads   a model, or a pair (loss, gradient) of functions over an array, a list or a dict.
Gives   a Target: a point, `loss(point) -> number`, `gradient(point) -> {name: array}`.
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from inspect import signature

import numpy as np

from ..errors import OptionError

__all__ = ["Structure", "Target", "facts_of", "flatten", "from_model", "from_pair", "from_update", "function_name", "rebuild"]


@dataclass
class Target:
    """What is checked.

    Fields  title; point {name: float64 array}
            loss        of a point; the oracles differentiate it
            gradient    of a point, by name: what is checked
            oracle      "complex step", "Richardson", or None: find out
            tolerance   None: the oracle's own
            facts       numbers that a cause may speak of: "N", "outputs", …
            noise       error of every entry of the gradient itself (an update step gives it by a difference)
            rate        the learning rate of an update step
    """

    title: str
    point: dict
    loss: object
    gradient: object
    oracle: str | None = None
    tolerance: float | None = None
    facts: dict = field(default_factory=dict)
    noise: float = 0.0
    rate: float | None = None
    network: object = None
    data: tuple = (None, None)
    layer: object = None                    # (output's shape, pull back) where there is an upstream signal to choose
    passed: object = None                   # (upstream, output) of a hand-written layer at the point
    notes: list = field(default_factory=list)


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
                  network=model.network, data=(X, y))


# ---------------------------------------------------------------------------------------------------- pairs of functions

def from_pair(loss, gradient, at, *data):
    """Two functions of parameters (and of the data, where they take it): an array, a list of arrays, a dict by name."""
    if at is None:
        raise OptionError("functions are checked at a point", fix="check_gradients((loss, gradient), at=parameters)")
    structure = Structure(at)

    def loss_at(theta):
        return loss(structure.restore(theta), *taken(loss, data))

    def gradient_at(theta):
        return structure.read(gradient(structure.restore(theta), *taken(gradient, data)))

    title = " of ".join(function_name(f, word) for f, word in ((gradient, "gradient"), (loss, "loss")))
    return Target(title, structure.point, loss_at, gradient_at, facts=facts_of(data), data=(*data, None, None)[:2])


def from_update(loss, step, at, rate, *data):
    """A loss and an update step that exposes no gradient: the gradient is (θ before − θ after) / η.

    The step returns the new parameters, or changes those that it was given.
    """
    if not rate > 0:
        raise OptionError(f"update={rate!r} is no learning rate", fix="give the η of the step, a positive number")
    target = from_pair(loss, step, at, *data)
    structure = Structure(at)

    def gradient_at(theta):
        given = structure.restore({name: array.copy() for name, array in theta.items()})
        returned = step(given, *taken(step, data))
        after = structure.read(given if returned is None else returned)
        return {name: (theta[name] - array) / rate for name, array in after.items() if name in theta}

    largest = max((float(np.abs(a).max(initial=0)) for a in structure.point.values()), default=1.0)
    target.gradient, target.rate = gradient_at, rate
    target.noise = 2 * np.finfo(float).eps * max(largest, 1e-3) / rate
    target.title = f"update step of {function_name(loss, 'loss')}"
    return target


def taken(function, data):
    """As much of the data as the function takes after the parameters."""
    try:
        parameters = list(signature(function).parameters.values())
    except (TypeError, ValueError):
        return data
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return data
    places = sum(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty for p in parameters)
    return data[:max(0, places - 1)]


def facts_of(data):
    """{"N": samples, "outputs": columns of the targets} as far as the arrays tell."""
    facts = {}
    if data and np.ndim(data[0]):
        facts["N"] = len(data[0])
        facts["features"] = np.shape(data[0])[-1]
    if len(data) > 1 and np.ndim(data[1]) > 1:
        facts["outputs"] = np.shape(data[1])[-1]
    return facts


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
