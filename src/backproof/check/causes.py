"""Causes from the arrays alone: what the analytic gradient is to the true one.

Reads   both gradients of every tensor, the parameters, and what is known of the data (samples, outputs).
Gives   Causes of the tier "black box". Nothing is guessed: a cause is named where it makes the difference vanish.
"""

import numpy as np

from .report import Cause

__all__ = ["black_box", "constant_factor", "elementwise_layer"]

CLOSE = 1e-6


def black_box(wrong, analytic, numeric, point, facts, precision=CLOSE):
    """The Causes of the tensors named in ``wrong``; tensors with the same cause are told together.

    analytic, numeric, point   {name: array}; facts {"N": samples, "outputs": …}
    """
    precision = max(CLOSE, precision)
    found = {}
    for name in wrong:
        named = explanation(analytic.get(name), numeric[name], point[name], facts, precision, len(point))
        if named is not None:
            key, values = named
            found.setdefault((key, tuple(sorted(values.items()))), []).append(name)
    everything = list(point)
    causes = []
    for (key, values), names in found.items():
        values = dict(values)
        live = [n for n in everything if numeric.get(n) is not None and np.any(numeric[n])]
        if key == "factor" and set(live) <= set(names):
            key = "factor of all"
        causes.append(Cause(key, "black box", tuple(names), values))
    return causes


def elementwise_layer(target, analytic, numeric, precision=CLOSE):
    """The Cause of a wrong slope in an elementwise layer: its closed form in the output, with the input put in."""
    upstream, output = target.passed
    x, a = target.point.get("x"), analytic.get("x")
    if x is None or a is None or not x.shape == output.shape == np.shape(a):
        return None
    known = {"closed form at x": (x * (1 - x), 1 - x**2), "value for slope": (output,),
             "slope squared": ((numeric["x"] / np.where(upstream == 0, 1, upstream)) ** 2,),
             "one forgotten in the slope": (-output**2,)}
    for key, slopes in known.items():
        if any(np.linalg.norm(a - upstream * s) <= precision * np.linalg.norm(a) for s in slopes):
            return Cause(key, "black box", ("x",))
    return None


def explanation(a, n, theta, facts, precision, tensors):
    """(key, values) of what a is to n, or None."""
    if a is None or n is None or np.iscomplexobj(a):
        return None
    a = np.asarray(a, float)
    if a.shape != n.shape:
        return shape_explanation(a, n, precision)
    if not np.isfinite(a).all() or not np.isfinite(n).all():
        return None
    same = lambda x, y: np.linalg.norm(x - y) <= precision * max(np.linalg.norm(x), np.linalg.norm(y), 1e-300)  # noqa: E731
    if n.any() and np.linalg.norm(a) <= 1e-12 * np.linalg.norm(n):
        vector = n.size > 1 and (n.ndim == 1 or min(n.shape) == 1)
        if vector and abs(n.sum()) <= 1e-12 * np.linalg.norm(n):          # a sum over classes, say, behind a softmax
            return "zero sum", {"also": ("wrong axis", "summed over everything")}
        return "zero gradient", {}
    if not n.any():
        return ("decay", {"strength": _digits(_along(a, theta))}) if theta.any() and same(a, _along(a, theta) * theta) else None
    factor = constant_factor(a, n, precision)
    if factor is not None and (n.size > 1 or abs(factor) < 1e3):
        return "factor", {"factor": _digits(factor), "meaning": meaning(factor, facts)}
    excess = _along(a - n, theta) if theta.any() else 0.0
    if theta.size > 1 and same(a, n + excess * theta):
        return ("penalty missing" if excess < 0 else "penalty surplus"), {"strength": _digits(abs(excess))}
    if n.ndim == 2 and n.shape[0] == n.shape[1] and same(a, n.T):
        return "transposed", {}
    if n.ndim >= 2 and same(a.ravel(), n.ravel(order="F")):
        return "other order of storage", {}
    if n.size > 1 and same(np.sort(a.ravel()), np.sort(n.ravel())):
        return "permuted", {}
    vector = n.ndim == 1 or min(n.shape) == 1
    if vector and n.size > 1:
        if same(a, np.full_like(n, n.sum())):
            return "summed over everything", {}
        if same(a, np.full_like(n, n.mean())):
            return "averaged over everything", {}
        if abs(a.sum() - n.sum()) <= precision * np.linalg.norm(n) and abs(n.sum()) > 1e-3 * np.linalg.norm(n) \
                and facts.get("N") == n.size:
            return "wrong axis", {}
    if n.size > 3 and theta.any():
        fitted = two_factors(a, n, theta, precision)
        if fitted is not None:
            return "factor and penalty", {"factor": _digits(fitted[0]), "strength": f"{fitted[1]:+.6g}",
                                          "penalty": _digits(fitted[1] / (1 - fitted[0])), "meaning": meaning(fitted[0], facts)}
    clipped = np.abs(a).max()
    if clipped < np.abs(n).max() and same(a, np.clip(n, -clipped, clipped)) and (np.abs(a) < clipped).any():
        return "clipped", {"limit": _digits(clipped)}
    if n.size > 2:
        equal = np.isclose(a, n, rtol=precision, atol=precision * np.abs(n).max())
        if equal.any() and not a[~equal].any():
            return "entries missing", {"count": int((~equal).sum())}
    return None


def shape_explanation(a, n, precision):
    """A gradient of another shape: not summed over the broadcast axes, or transposed."""
    same = lambda x, y: x.shape == y.shape and np.linalg.norm(x - y) <= precision * max(np.linalg.norm(y), 1e-300)  # noqa: E731
    if a.ndim == 2 and same(a.T, n):
        return "transposed", {}
    for axis in range(a.ndim):
        spread = a.mean(axis=axis, keepdims=True)
        if n.ndim < a.ndim and np.allclose(a, spread, rtol=1e-9) and spread.size == n.size and same(spread.reshape(n.shape), n):
            return "broadcast", {"shape": " × ".join(map(str, a.shape))}
    for axes in ((0,), (1,), (0, 1), (-1,)):
        if max(axes) < a.ndim and min(axes) >= -a.ndim:
            for summed in (a.sum(axis=axes), a.sum(axis=axes, keepdims=True)):
                if summed.size == n.size and same(summed.reshape(n.shape), n):
                    return "not summed", {"axis": axes[0]}
                mean = summed / np.prod([a.shape[k] for k in axes])
                if summed.size == n.size and same(mean.reshape(n.shape), n):
                    return "not averaged", {"axis": axes[0]}
    if a.size == n.size and same(a.reshape(n.shape), n):
        return "other shape", {"shape": " × ".join(map(str, a.shape))}
    return None


def constant_factor(a, n, precision=CLOSE):
    """c where a = c n throughout, else None.

    >>> constant_factor(np.array([2.0, 4.0]), np.array([1.0, 2.0]))
    2.0
    """
    size = float((n * n).sum())
    if size == 0 or not np.isfinite(size):
        return None
    c = float((a * n).sum()) / size
    return c if c and np.linalg.norm(a - c * n) <= precision * np.linalg.norm(a) else None


def two_factors(a, n, theta, precision):
    """(c, p) where a = c n + p θ, else None."""
    matrix = np.stack([n.ravel(), theta.ravel()], axis=1)
    solution, *_ = np.linalg.lstsq(matrix, a.ravel(), rcond=None)
    if np.linalg.cond(matrix) > 1e4 or np.linalg.norm(matrix @ solution - a.ravel()) > precision * np.linalg.norm(a):
        return None
    return float(solution[0]), float(solution[1])


def meaning(factor, facts):
    """What a factor is likely to stand for, as a key of words.py; the first that fits, sign apart."""
    samples, outputs, features = (facts.get(key) for key in ("N", "outputs", "features"))
    known = {1.0: "sign", 2.0: "twice", 0.5: "half"}
    if outputs and outputs > 1:
        known.update({float(outputs): "times outputs", 1.0 / outputs: "over outputs"})
    if samples and samples > 1:
        known.update({float(samples): "sum for mean", 1.0 / samples: "mean for sum"})
        if outputs and outputs > 1:
            known.update({float(samples * outputs): "sum for mean of outputs", 1 / (samples * outputs): "mean for sum of outputs"})
        known.update({2.0 * samples: "twice the sum", 2.0 / samples: "twice the mean", 0.5 * samples: "half the sum"})
    rate = facts.get("rate")
    if rate:
        known.setdefault(rate, "rate")
    for value, key in known.items():
        if abs(abs(factor) - value) <= 1e-5 * value and not (value == 1.0 and factor > 0):
            return key if factor > 0 or key == "sign" else f"minus {key}"
    return "unknown"


def _along(a, theta):
    return float((a * theta).sum() / (theta * theta).sum())


def _digits(value):
    return f"{value:.6g}"
