"""The one comparator: norm-wise per tensor, and nothing that is not a number can pass.

Reads   a value and its reference, arrays or dicts of arrays by name.
Gives   a relative error, an agreement, or one of the verdicts "pass", "fail" and "inconclusive".
Why     absolute tolerances let the gradient of a large network vanish in the allowance, so the scale is the norm of the
        tensor itself; a comparison written as `error > tolerance` lets NaN through, so every test here is `not (<=)`.
"""

import math
from typing import NamedTuple

import numpy as np

from ..errors import OptionError

__all__ = ["Agreement", "agree", "assert_agree", "block_scales", "relative_error", "verdict"]

_WIDE = {"f": np.float64, "c": np.complex128, "i": np.longdouble, "u": np.longdouble, "b": np.float64}
_KINDS = {"f": "real", "c": "complex", "i": "signed whole", "u": "unsigned whole", "b": "boolean"}


class Agreement(NamedTuple):
    """What was compared: tensors, those of them where both sides are zero throughout, and the worst relative error."""

    tensors: int
    zeros: int
    worst: float


def relative_error(value, reference, scale=None):
    """The norm of value - reference over the scale, which is the norm of the reference unless given.

    Both zero: 0. A zero reference only: infinite. NaN where either side holds NaN or infinity.

    Shapes   value and reference of one shape; scale a positive number.

    >>> round(relative_error([1.0, 2.0], [1.0, 2.002]), 6)
    0.000894
    >>> relative_error([0.0], [0.0]), relative_error([1e-9], [0.0])
    (0.0, inf)
    """
    value, reference = _wide(value), _wide(reference)
    if value.shape != reference.shape:
        return math.nan
    if scale is not None and not (0 < scale < math.inf):
        raise OptionError(f"the scale of a comparison is {scale!r}", fix="give a positive, finite number")
    if not (np.isfinite(value).all() and np.isfinite(reference).all()):
        return math.nan
    largest = float(max(_largest(value), _largest(reference)))
    if largest == 0:
        return 0.0
    # A common factor first, or squares could leave the range; a power of two, so that no difference rounds away.
    unit = math.ldexp(1.0, math.frexp(largest)[1] - 1)
    gap = _norm(value / unit - reference / unit)
    size = _norm(reference / unit) if scale is None else float(scale) / unit
    if gap == 0:
        return 0.0
    return gap / size if size > 0 else math.inf


def agree(value, reference, *, tolerance, scale=None, elementwise=None):
    """Whether value and reference agree within the tolerance; see `assert_agree`, which also says why not.

    >>> agree([1.0], [1.0 + 1e-13], tolerance=1e-12), agree([float("nan")], [float("nan")], tolerance=1e-12)
    (True, False)
    """
    return not _differences(value, reference, tolerance, scale, elementwise, "value")[0]


def assert_agree(value, reference, *, tolerance, scale=None, elementwise=None, name="value"):
    """Raise AssertionError unless value and reference agree; return the Agreement, which counts what was compared.

    Value and reference are arrays or dicts of arrays with the same names. They disagree if the relative error of a
    tensor is not <= tolerance, if anything is NaN or infinite, if shapes or kinds of elements (real, complex, whole)
    differ, and if there is nothing to compare. Where both are zero they agree, and `.zeros` counts it: a test that
    needs a live gradient asserts `assert_agree(...).zeros == 0`.

    scale        replaces the norm of the reference; a number, or a dict by name.
    elementwise  also asks max |value - reference| <= elementwise * max |reference|.
    Raises       OptionError for a tolerance that everything meets (below 0, 1 and above, NaN).

    >>> assert_agree({"W1": np.ones(3), "b1": np.zeros(2)}, {"W1": np.ones(3), "b1": np.zeros(2)}, tolerance=1e-12)
    Agreement(tensors=2, zeros=1, worst=0.0)
    >>> assert_agree(np.array([1.0, 4.0]), np.array([1.0, 2.0]), tolerance=1e-12, name="W1")
    Traceback (most recent call last):
    AssertionError: W1: relative error 0.894 exceeds 1e-12
      worst at [1]: 4.0 against 2.0, ratio 2
      norms 4.12311 against 2.23607, 1 of 2 elements are off
    """
    complaints, agreement = _differences(value, reference, tolerance, scale, elementwise, name)
    if complaints:
        raise AssertionError("\n".join(complaints))
    return agreement


def block_scales(gradients, *, loss=0.0, theta=None):
    """The scale of every gradient tensor, from its own norm, with a floor for tensors that are zero by rounding.

    scale_b = max(|g_b|, 1e-10 max_b |g_b|, 4 eps |loss| / max(1, |theta_b|)); smallest positive double if all are zero.

    >>> block_scales({"W1": np.array([3.0, 4.0]), "b1": np.zeros(2)})
    {'W1': 5.0, 'b1': 5e-10}
    """
    norms = {name: _norm(_wide(g)) for name, g in gradients.items()}
    top = max(norms.values(), default=0.0)
    sizes = {name: 0.0 if theta is None else _norm(_wide(theta[name])) for name in norms}
    rounding = 4 * np.finfo(np.float64).eps * abs(loss)
    return {name: max(norm, 1e-10 * top, float(rounding / max(1.0, sizes[name])), math.ulp(0.0))
            for name, norm in norms.items()}


def verdict(analytic, numeric, error=None, *, tolerance, scale=None):
    """Whether an analytic gradient is right: "pass", "fail" or "inconclusive".

    A pass needs |analytic - numeric| <= tolerance * scale, and a numeric value whose own error is a tenth of it.
    A numeric value of larger error convicts only where a thousand times the error does not explain the gap.
    Zero throughout on both sides (dead units) passes whatever the error; callers count such tensors.

    analytic, numeric   arrays of one shape, one tensor.
    error               estimated errors of numeric, elementwise; None for a method without error (the complex step).
    scale               the norm of numeric unless given; see `block_scales`.

    >>> verdict([2.0], [2.0], tolerance=1e-8), verdict([2.0], [2.1], [1e-12], tolerance=1e-8)
    ('pass', 'fail')
    >>> verdict([2.0], [2.0], [1e-3], tolerance=1e-8), verdict([float("nan")], [2.0], tolerance=1e-8)
    ('inconclusive', 'fail')
    """
    _check_tolerance(tolerance)
    analytic, numeric = _wide(analytic), _wide(numeric)
    error = np.zeros(numeric.shape) if error is None else np.abs(_wide(error))
    if analytic.shape != numeric.shape or analytic.size == 0 or not np.isfinite(analytic).all():
        return "fail"
    if error.shape != numeric.shape or not (np.isfinite(numeric).all() and np.isfinite(error).all()):
        return "inconclusive"
    if not analytic.any() and not numeric.any():
        return "pass"       # dead units: no difference was seen at any step, and no relative bar can be met by zero
    if scale is None:
        scale = max(_norm(numeric), math.ulp(0.0))
    gap, doubt = (relative_error(part, np.zeros(part.shape), scale) for part in (analytic - numeric, error))
    if doubt <= tolerance / 10:
        return "pass" if gap <= tolerance else "fail"
    return "inconclusive" if gap - 1000 * doubt <= tolerance else "fail"


def _differences(value, reference, tolerance, scale, elementwise, name):
    """The sentences that say what differs (none: they agree), and the Agreement."""
    _check_tolerance(tolerance)
    if elementwise is not None:
        _check_tolerance(elementwise)
    if isinstance(value, dict) != isinstance(reference, dict):
        return [f"{name}: a dict of tensors against one tensor"], None
    if not isinstance(value, dict):
        value, reference, scale = {name: value}, {name: reference}, {name: scale}
    elif not isinstance(scale, dict):
        scale = dict.fromkeys(reference, scale)
    if set(value) != set(reference):
        missing, foreign = sorted(set(reference) - set(value)), sorted(set(value) - set(reference))
        return [f"{name}: other tensors; missing {missing}, not in the reference {foreign}"], None
    if not reference:
        return [f"{name}: nothing to compare, a dict without tensors"], None
    complaints, zeros, worst = [], 0, 0.0
    for key in reference:
        v, r = np.asarray(value[key]), np.asarray(reference[key])
        complaint, error = _tensor(key, v, r, tolerance, scale[key], elementwise)
        complaints += complaint
        zeros += not v.any() and not r.any()
        worst = max(worst, error)
    return complaints, Agreement(len(reference), zeros, worst)


def _tensor(name, value, reference, tolerance, scale, elementwise):
    for side in (value, reference):
        if side.dtype.kind not in _KINDS:
            return [f"{name}: elements of type {side.dtype} cannot be compared"], math.nan
    if value.shape != reference.shape:
        return [f"{name}: shape {value.shape} against {reference.shape}"], math.nan
    if value.dtype.kind != reference.dtype.kind:
        kinds = f"{_KINDS[value.dtype.kind]} numbers ({value.dtype}) against {_KINDS[reference.dtype.kind]} numbers"
        return [f"{name}: {kinds} ({reference.dtype})"], math.nan
    if reference.size == 0:
        return [f"{name}: nothing to compare, shape {reference.shape}"], math.nan
    v, r = _wide(value), _wide(reference)
    finite = np.isfinite(v) & np.isfinite(r)
    if not finite.all():
        index = np.unravel_index(int(np.argmin(finite)), finite.shape)
        return [f"{name}: {finite.size - finite.sum()} of {finite.size} elements are not finite\n"
                f"  first at {_place(index)}: {value[index]} against {reference[index]}"], math.nan
    error = relative_error(value, reference, scale)
    gap, largest = np.abs(v - r), _largest(r)
    tight = tolerance if elementwise is None else elementwise
    if error <= tolerance and (elementwise is None or bool((gap <= elementwise * largest).all())):
        return [], error
    index = np.unravel_index(int(np.argmax(gap)), gap.shape)
    ratio = f"{v[index] / r[index]:.6g}" if r[index] != 0 else "none"
    what = (f"relative error {error:.3g} exceeds {tolerance:g}" if not error <= tolerance else
            f"one element is off by {gap[index] / largest if largest else math.inf:.3g} of the largest, over {tight:g}")
    return [f"{name}: {what}\n"
            f"  worst at {_place(index)}: {value[index]} against {reference[index]}, ratio {ratio}\n"
            f"  norms {_norm(v):g} against {_norm(r):g}, "
            f"{int((~(gap <= tight * max(largest, math.ulp(0.0)))).sum())} of {gap.size} elements are off"], error


def _check_tolerance(tolerance):
    if not 0 <= tolerance < 1:
        raise OptionError(f"a tolerance of {tolerance!r} says nothing", fix="give a number from 0, below 1")


def _wide(array):
    """The array in the widest type of its kind, so that whole numbers do not wrap and float16 does not overflow."""
    array = np.asarray(array)
    return array.astype(_WIDE.get(array.dtype.kind, np.float64))


def _largest(array):
    return np.abs(array).max(initial=0.0)


def _norm(array):
    largest = float(_largest(array))
    if largest == 0 or not math.isfinite(largest):
        return largest
    return largest * math.sqrt(float(np.sum(np.abs(array / largest) ** 2)))


def _place(index):
    return "[" + ", ".join(str(int(i)) for i in index) + "]"
