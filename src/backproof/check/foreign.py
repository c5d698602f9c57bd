"""PyTorch, JAX and scikit-learn targets. Each library is imported only if the target is its own.

Reads   a function of tensors, an ``nn.Module``, an ``autograd.Function``, a JAX function over pytrees (``custom_vjp`` too),
        an MLP of scikit-learn.
Gives   a Target in float64; outputs that are no scalar are contracted with a fresh random upstream signal.
"""

import sys
from inspect import isclass

import numpy as np

from ..errors import OptionError
from .targets import Target, facts_of, flatten, function_name, rebuild

__all__ = ["from_jax", "from_sklearn", "from_torch", "is_jax", "is_sklearn", "is_torch"]


# --------------------------------------------------------------------------------------------------------- PyTorch

def is_torch(target, at):
    torch = sys.modules.get("torch")
    if torch is None:
        return False
    return isinstance(target, torch.nn.Module) or isclass(target) and issubclass(target, torch.autograd.Function) \
        or any(isinstance(leaf, torch.Tensor) for _, leaf in flatten(at)) and callable(target)


def from_torch(target, X, y, at, loss, rng):
    """A module (parameters by name, with X and y and a loss), a function of tensors or an autograd.Function."""
    import torch
    if isinstance(target, torch.nn.Module):
        return _module(torch, target, X, y, loss, rng)
    function = target.apply if isclass(target) else target
    if at is None:
        raise OptionError("a PyTorch function is checked at its inputs", fix="check_gradients(f, at=(x, w))")
    several = isinstance(at, (tuple, list))
    names = {name: leaf for name, leaf in flatten(at)}
    moving = {n for n, leaf in names.items() if isinstance(leaf, torch.Tensor) and leaf.dtype.is_floating_point}
    point = {n: names[n].detach().double().cpu().numpy().copy() for n in names if n in moving}

    def call(tensors):
        given = rebuild(at, lambda name: tensors[name] if name in moving else names[name])
        return function(*given) if several else function(given)

    name = target.__name__ if isclass(target) else function_name(target, "function")
    return _torch_target(torch, f"torch {name}", point, call, rng)


def _module(torch, module, X, y, loss, rng):
    import copy
    own = copy.deepcopy(module).double()
    own.train(module.training)
    wide = lambda a: torch.as_tensor(a).double() if torch.as_tensor(a).dtype.is_floating_point else torch.as_tensor(a)  # noqa: E731
    x, target = wide(X), None if y is None else wide(y)
    names = [n for n, p in own.named_parameters() if p.requires_grad]
    point = {n: p.detach().cpu().numpy().copy() for n, p in own.named_parameters() if n in names}

    def call(tensors):
        out = torch.func.functional_call(own, tensors, (x,))
        return out if loss is None else loss(out, target) if target is not None else loss(out)

    made = _torch_target(torch, f"torch {type(module).__name__}", point, call, rng)
    made.data, made.facts = (np.asarray(X), None if y is None else np.asarray(y)), facts_of((np.asarray(X),))
    return made


def _torch_target(torch, title, point, call, rng):
    probe = call({n: torch.tensor(a) for n, a in point.items()})
    signal = torch.as_tensor(np.asarray(rng.normal(size=tuple(probe.shape)) if probe.ndim else 1.0)).double()

    def contracted(out, upstream):
        return (out * upstream.to(out.dtype)).sum() if out.ndim else out

    def loss_at(theta):
        with torch.no_grad():
            return contracted(call({n: torch.tensor(a) for n, a in theta.items()}), signal).double().numpy().copy()

    def pull(theta, upstream):
        leaves = {n: torch.tensor(a, requires_grad=True) for n, a in theta.items()}
        out = call(leaves)
        grads = torch.autograd.grad(contracted(out, torch.as_tensor(upstream)), list(leaves.values()), allow_unused=True)
        return {n: np.zeros(theta[n].shape) if g is None else g.detach().numpy().copy() for n, g in zip(leaves, grads)}

    layer = (tuple(probe.shape), lambda upstream: pull(point, upstream)) if probe.ndim else None
    return Target(title, point, loss_at, lambda theta: pull(theta, signal), "Richardson", layer=layer)


# --------------------------------------------------------------------------------------------------------- JAX

def is_jax(target, at):
    jax = sys.modules.get("jax")
    if jax is None or not callable(target):
        return False
    return isinstance(target, jax.custom_vjp) or any(isinstance(leaf, jax.Array) for _, leaf in flatten(at))


def from_jax(function, at, rng):
    """A JAX function over pytrees; a tuple ``at`` is its arguments. Checked in float64 whatever the session's default."""
    import jax
    if at is None:
        raise OptionError("a JAX function is checked at its arguments", fix="check_gradients(f, at=(x, w))")
    arguments = at if isinstance(at, tuple) else (at,)
    leaves, tree = jax.tree_util.tree_flatten(arguments)
    paths = [jax.tree_util.keystr(path).removeprefix("[0]").lstrip(".") if len(arguments) == 1 else jax.tree_util.keystr(path)
             for path, _ in jax.tree_util.tree_flatten_with_path(arguments)[0]]
    names = [path.strip("[]'\"") or "theta" for path in paths]
    moving = {n for n, leaf in zip(names, leaves) if np.asarray(leaf).dtype.kind == "f"}
    point = {n: np.array(leaf, np.float64) for n, leaf in zip(names, leaves) if n in moving}

    def call(*values):
        given = iter(values)
        filled = [next(given) if n in moving else leaf for n, leaf in zip(names, leaves)]
        return function(*jax.tree_util.tree_unflatten(tree, filled))

    with _double(jax):
        shape = jax.numpy.shape(call(*(jax.numpy.asarray(a) for a in point.values())))
    signal = rng.normal(size=shape) if shape else np.ones(())

    def loss_at(theta):
        with _double(jax):
            return np.asarray((call(*(jax.numpy.asarray(a) for a in theta.values())) * signal).sum())

    def pull(theta, upstream):
        with _double(jax):
            out, back = jax.vjp(call, *(jax.numpy.asarray(a) for a in theta.values()))
            return dict(zip(theta, map(np.asarray, back(jax.numpy.asarray(upstream, out.dtype)))))

    layer = (shape, lambda upstream: pull(point, upstream)) if shape else None
    return Target(f"jax {function_name(function, 'function')}", point, loss_at, lambda theta: pull(theta, signal),
                  "Richardson", layer=layer)


def _double(jax):
    """Within: float64, as the check needs it."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64
    return enable_x64()


# --------------------------------------------------------------------------------------------------------- scikit-learn

def is_sklearn(target):
    return hasattr(target, "_loss_grad_lbfgs") and hasattr(target, "hidden_layer_sizes")


def from_sklearn(estimator, X, y, rng):
    """The loss and gradient by which scikit-learn's own MLP trains with lbfgs, at its weights or fresh ones."""
    import warnings

    import sklearn
    from sklearn.base import clone
    if X is None or y is None:
        raise OptionError("an estimator is checked on data", fix="check_gradients(estimator, X, y)")
    X, y = np.asarray(X, np.float64), np.asarray(y)
    fitted = clone(estimator).set_params(solver="lbfgs", max_iter=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fitted.fit(X, y)
    if hasattr(fitted, "_label_binarizer"):
        y = fitted._label_binarizer.transform(y)
    y = np.asarray(y, np.float64).reshape(len(X), -1)
    shapes = [*(w.shape for w in fitted.coefs_), *(b.shape for b in fitted.intercepts_)]
    layers = len(fitted.coefs_)
    names = [f"coefs_[{k}]" for k in range(layers)] + [f"intercepts_[{k}]" for k in range(layers)]
    point = dict(zip(names, (np.array(a, np.float64) for a in (*fitted.coefs_, *fitted.intercepts_))))
    if not hasattr(estimator, "coefs_"):
        point = {name: array + 0.3 * rng.normal(size=array.shape) for name, array in point.items()}
    else:
        point = dict(zip(names, (np.array(a, np.float64) for a in (*estimator.coefs_, *estimator.intercepts_))))

    def both(theta):
        packed = np.hstack([theta[n].ravel() for n in names])
        units = [X.shape[1], *(shape[1] for shape in shapes[:layers])]
        activations = [X] + [np.empty((len(X), n)) for n in units[1:]]
        deltas = [np.empty_like(a) for a in activations]
        arrays = [np.empty(shape) for shape in shapes]
        arguments = {"X": X, "y": y, "activations": activations, "deltas": deltas, "coef_grads": arrays[:layers],
                     "intercept_grads": arrays[layers:], "sample_weight": None}
        taken = fitted._loss_grad_lbfgs.__code__.co_varnames[2:fitted._loss_grad_lbfgs.__code__.co_argcount]
        return fitted._loss_grad_lbfgs(packed, *(arguments[name] for name in taken))

    def gradient(theta):
        flat, found, start = np.array(both(theta)[1]), {}, 0
        for name, shape in zip(names, shapes):
            size = int(np.prod(shape))
            found[name] = flat[start:start + size].reshape(shape)
            start += size
        return found

    facts = {**facts_of((X,)), "outputs": y.shape[1]}
    return Target(f"scikit-learn {sklearn.__version__} {type(estimator).__name__}", point, lambda t: float(both(t)[0]),
                  gradient, "Richardson", facts=facts, data=(X, y))
