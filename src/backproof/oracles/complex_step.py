"""The complex step: derivatives to rounding, from values alone.

Reads   f, a function of a dict of complex arrays, and real parameters theta.
Gives   Im f(theta + i h d) / h: no difference is taken, so h may be 1e-20 and nothing cancels.
Source  Squire & Trapp (1998); Martins, Sturdza & Alonso (2003).

f has to be analytic as a program: branches by real part (relu, max, clip), `.T` and never a conjugate, no `abs`, no
`linalg.norm`, no `vdot`. A function that drops all imaginary parts is refused. One that drops them in one term only
cannot be told from a constant term, so `richardson` is the second opinion on foreign functions.
"""

import warnings

import numpy as np

from ..errors import DtypeError, NonFiniteError, OptionError, ShapeError
from .points import along, chosen, read_direction, read_point, single

__all__ = ["complex_step", "complex_step_directional"]


def complex_step(f, theta, *, names=None, entries=None, h=1e-20):
    """The gradient of f at theta, by parameter name.

    names    the parameters asked for; all unless given.
    entries  by name, a list of flat indices (row-major): that gradient is then a vector in the order of the list.
    Shapes   gradients have the shapes of their parameters, float64; one evaluation of f per entry.
    Raises   DtypeError if imaginary parts are dropped, NonFiniteError if f is not finite, ShapeError if f is no scalar.

    >>> complex_step(lambda p: (p["w"] ** 3).sum(), {"w": np.array([1.0, 2.0])})["w"].tolist()
    [3.0, 12.0]
    """
    point = read_point(theta)
    gradients = {}
    for name, indices in chosen(point, names, entries):
        values = [_step(f, point, single(point, name, i), h) for i in indices]
        asked = entries is not None and name in entries
        gradients[name] = np.array(values, dtype=np.float64).reshape(-1 if asked else point[name].shape)
    return gradients


def complex_step_directional(f, theta, direction, *, h=1e-20):
    """The derivative of f at theta along a direction: the sum of gradient times direction, in one evaluation.

    Shapes   direction: a dict of arrays shaped like their parameters; parameters left out stay put.

    >>> complex_step_directional(lambda p: p["a"].sum() * p["b"].sum(), {"a": [2.0], "b": [5.0]}, {"a": [1.0]})
    5.0
    """
    point = read_point(theta)
    return _step(f, point, read_direction(point, direction), h)


def _step(f, point, direction, h):
    if not 0 < h <= 1e-8:
        raise OptionError(f"the complex step h is {h!r}", fix="give a positive number, 1e-8 at most; 1e-20 is usual")
    with warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)
        try:
            value = np.asarray(f(along(point, direction, 1j * h)))
        except np.exceptions.ComplexWarning as warning:
            raise DtypeError(f"the function dropped an imaginary part: {warning}", fix=_FIX) from warning
    if value.size != 1:
        raise ShapeError(f"the function returned shape {value.shape}", fix="return one number")
    if value.dtype != np.complex128 and value.dtype != np.clongdouble:
        raise DtypeError(f"the function was given complex128 and returned {value.dtype}: imaginary parts are lost",
                         fix=_FIX)
    value = complex(value.reshape(()))
    if not np.isfinite(value):
        raise NonFiniteError(f"the function returned {value}", tensor="loss")
    return value.imag / h


_FIX = "keep complex128 throughout: no abs, float(), .real or conjugate; or take richardson"
