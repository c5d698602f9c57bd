"""Side checks: what a gradient must keep to besides being right.

Reads   a Target.
Gives   what was violated, as (key of words.py, values): values kept from the call before, gradients that pile up, inputs
        changed in place, a loss that changes when the gradient is asked for; for a layer also that its backward pass is
        linear in the upstream signal and gives zero for zero.
"""

import numpy as np

__all__ = ["CAUSES", "side_checks"]

CAUSES = ("stale", "piles up", "random", "upstream not used", "not linear")         # these explain a wrong gradient


def side_checks(target, rng):
    """The violations found; the gradient is called five times at most."""
    found = []
    point = {name: array.copy() for name, array in target.point.items()}
    before = np.asarray(target.loss(_copy(point)))
    given = _copy(point)
    first = _read(target.gradient(given))
    if any(not np.array_equal(given[n], point[n]) for n in point) and target.rate is None:
        found.append(("inputs changed", {"names": ", ".join(n for n in point if not np.array_equal(given[n], point[n]))}))
    after = np.asarray(target.loss(_copy(point)))
    if not np.array_equal(before, after, equal_nan=True):
        found.append(("loss changed", {}))
    again = _read(target.gradient(_copy(point)))
    elsewhere = {name: array + 0.5 * rng.normal(size=array.shape) for name, array in point.items()}
    target.gradient(elsewhere)
    third = _read(target.gradient(_copy(point)))
    if not _same(first, again):
        ratios = [_ratio(again[n], first[n]) for n in first if n in again]
        piled = [r for r in ratios if r is not None]
        found.append(("piles up", {}) if piled and min(piled) > 1.5 else ("random", {}))
    elif not _same(first, third):
        found.append(("stale", {}))
    if target.layer is not None:
        found += _upstream(target, rng)
    return found


def _upstream(target, rng):
    """A backward pass is linear in the upstream signal: zero gives zero, sums give sums."""
    shape, pull = target.layer
    r, s = rng.normal(size=shape), rng.normal(size=shape)
    gr, gs, both, zero = (_read(pull(signal)) for signal in (r, s, 2 * r + s, np.zeros(shape)))
    ignoring = [n for n in gr if np.any(gr[n]) and _same({n: gr[n]}, {n: gs[n]})]
    found = [("upstream not used", {"names": ", ".join(ignoring)})] if ignoring else []
    alive = [n for n, g in zero.items() if np.any(g) and n not in ignoring]
    if alive:
        found.append(("zero upstream", {"names": ", ".join(alive)}))
    bent = [n for n in gr if n in gs and n not in ignoring and not np.allclose(both[n], 2 * gr[n] + gs[n], rtol=1e-6,
                                                         atol=1e-9 * max(1e-300, np.abs(gr[n]).max(initial=0)))]
    if bent:
        found.append(("not linear", {"names": ", ".join(bent)}))
    return found


def _copy(point):
    return {name: array.copy() for name, array in point.items()}


def _read(gradients):
    return {name: np.array(g) for name, g in gradients.items()}


def _same(first, second):
    """Equal to rounding: threads may change the order of a sum."""
    return set(first) == set(second) and all(
        first[n].shape == second[n].shape and np.allclose(first[n], second[n], rtol=1e-9, atol=1e-12 * max(
            1e-300, np.abs(first[n]).max(initial=0)), equal_nan=True) for n in first)


def _ratio(a, b):
    size = float((b * b).sum()) if a.shape == b.shape else 0.0
    return float((a * b).sum()) / size if size else None
