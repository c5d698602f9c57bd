"""Hand-written layers as targets: ``forward(x)`` and ``backward(upstream)``.

Reads   an object with the two methods; its parameters are a dict (``params``/``parameters``, gradients in ``grads``/
        ``gradients``) or attributes W with dW (also grad_W, W_grad) beside them.
Gives   a Target of the scalar Σ upstream ⊙ output with a fresh random upstream signal; x is a parameter too where the
        backward pass returns its gradient.
"""

from collections.abc import Mapping

import numpy as np

from ..errors import OptionError
from .targets import Target, facts_of, flatten

__all__ = ["from_layer", "is_layer"]

HOLDERS, GRADIENTS = ("params", "parameters"), ("grads", "gradients")
FORMS = ("d{}", "d_{}", "grad_{}", "{}_grad", "{}grad")


def is_layer(target):
    return callable(getattr(target, "forward", None)) and callable(getattr(target, "backward", None))


def from_layer(layer, X, rng):
    """The Target of a layer at its input X."""
    if X is None:
        raise OptionError("a layer is checked at an input", fix="check_gradients(layer, X)")
    X = np.asarray(X)
    integer = X.dtype.kind in "iu"
    output = np.asarray(layer.forward(X if integer else X.astype(float)))
    upstream = rng.normal(size=output.shape)
    first = _returned(layer.backward(upstream), layer)
    parameters = _parameters(layer, first)
    point = {name: np.array(read(), float) for name, (read, _) in parameters.items()}
    if "x" in first and not integer:
        point = {"x": X.astype(float), **point}
    if not point:
        raise OptionError("the backward pass gives no gradient", where=type(layer).__name__,
                          fix="return the input's gradient, or keep the parameters' as dW beside W")

    def put(theta):
        for name, (_, write) in parameters.items():
            write(theta[name])
        return layer.forward(theta.get("x", X))

    def loss(theta):
        return (upstream * put(theta)).sum()

    def pull(theta, signal):
        put(theta)
        found = _returned(layer.backward(signal), layer)
        return {name: found[name] for name in point if found.get(name) is not None}

    return Target(f"layer {type(layer).__name__}", point, loss, lambda theta: pull(theta, upstream.copy()),
                  facts=facts_of((X,)), data=(X, None), layer=(output.shape, lambda signal: pull(point, signal)), passed=(upstream, output))


def _returned(returned, layer):
    """{name: gradient} of what backward returned and of what the layer keeps."""
    found = {}
    if isinstance(returned, Mapping):
        found.update(dict(flatten(returned)))
    elif isinstance(returned, tuple):
        found["x"] = np.asarray(returned[0])
        for part in returned[1:]:
            if isinstance(part, Mapping):
                found.update(part)
        rest = [part for part in returned[1:] if not isinstance(part, Mapping)]
        found.update(dict(zip(_held(layer), rest)))
    elif returned is not None:
        found["x"] = np.asarray(returned)
    for holder in GRADIENTS:
        kept = getattr(layer, holder, None)
        if isinstance(kept, Mapping):
            found.update(kept)
    for name in _held(layer):
        for form in FORMS:
            if name not in found and hasattr(layer, form.format(name)):
                found[name] = getattr(layer, form.format(name))
    return {name: np.array(array, float) for name, array in found.items() if array is not None}


def _held(layer):
    """The names under which the layer may hold parameters."""
    for holder in HOLDERS:
        kept = getattr(layer, holder, None)
        if isinstance(kept, Mapping):
            return list(kept)
    return [name for name, value in vars(layer).items() if isinstance(value, np.ndarray) and value.dtype.kind == "f"]


def _parameters(layer, gradients):
    """{name: (read, write)} of the held arrays whose gradients the backward pass gives."""
    found = {}
    for holder in HOLDERS:
        kept = getattr(layer, holder, None)
        if isinstance(kept, Mapping):
            for name in kept:
                found[name] = (lambda kept=kept, name=name: kept[name],
                               lambda value, kept=kept, name=name: kept.__setitem__(name, value))
            return {name: access for name, access in found.items() if name in gradients}
    for name in _held(layer):
        if name in gradients and name != "x":
            found[name] = (lambda name=name: getattr(layer, name), lambda value, name=name: setattr(layer, name, value))
    return found
