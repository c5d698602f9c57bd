"""The Taylor test: a gradient is right where the remainder shrinks with the square of the step.

Reads   f, parameters, the gradients to test, a direction d.
Gives   R(h) = |f(theta + h d) - f(theta) - h g.d| at h = 1e-2 ... 1e-5 and its slope in log R over log h:
        2 for a right gradient, 1 for a wrong one. No tolerance is chosen.
Source  Farrell, Ham, Funke & Rognes (2013), SIAM J. Sci. Comput. 35(4).
"""

import math
from typing import NamedTuple

import numpy as np

from ..errors import OptionError, ShapeError
from .points import along, read_direction, read_point, real_number

__all__ = ["Taylor", "taylor"]

_EPS = np.finfo(np.float64).eps


class Taylor(NamedTuple):
    """Steps, remainders, slopes between neighbouring steps (NaN below rounding), the slope that counts, the verdict."""

    steps: tuple
    remainders: tuple
    slopes: tuple
    slope: float
    verdict: str


def taylor(f, theta, gradients, direction, *, steps=(1e-2, 1e-3, 1e-4, 1e-5)):
    """The Taylor test of gradients along a direction.

    The slope that counts is the one of the two smallest steps whose remainders stand above rounding (50 eps |f|): there
    a wrong linear term shows most. The verdict is "pass" for a slope in [1.9, 2.1] or where every remainder is
    rounding, "fail" for a slope below 1.5, "inconclusive" otherwise.

    Shapes   gradients and direction: dicts of arrays shaped like their parameters; zero where left out of direction.
    Raises   OptionError for a zero direction, or one that names a parameter without gradient.

    >>> f = lambda p: np.exp(p["w"]).sum()
    >>> taylor(f, {"w": [1.0]}, {"w": np.exp([1.0])}, {"w": [1.0]}).verdict
    'pass'
    >>> round(taylor(f, {"w": [1.0]}, {"w": [0.0]}, {"w": [1.0]}).slope, 2)
    1.0
    """
    point = read_point(theta)
    direction = read_direction(point, direction)
    if len(steps) < 2 or not all(a > b > 0 for a, b in zip(steps, steps[1:], strict=False)):
        raise OptionError(f"the steps of the Taylor test are {steps}", fix="give two or more that decrease")
    linear = 0.0
    for name, array in direction.items():
        if name not in gradients:
            raise OptionError(f"there is no gradient of {name!r}", fix="leave it out of the direction")
        gradient = np.asarray(gradients[name])
        if gradient.shape != array.shape:
            raise ShapeError(f"the gradient of {name!r} has shape {gradient.shape}, the parameter {array.shape}")
        linear += float(np.sum(gradient * array))
    if not math.isfinite(linear):
        return Taylor(tuple(steps), (math.nan,) * len(steps), (math.nan,) * (len(steps) - 1), math.nan, "fail")
    start = real_number(f, along(point, {}, 0.0))
    values = [real_number(f, along(point, direction, h)) for h in steps]
    remainders = tuple(abs(value - start - h * linear) for h, value in zip(steps, values, strict=True))
    floor = 50 * _EPS * max(abs(start), *(abs(value) for value in values))
    above = [remainder > floor for remainder in remainders]
    slopes = tuple(
        math.log(remainders[k] / remainders[k + 1]) / math.log(steps[k] / steps[k + 1])
        if above[k] and above[k + 1] else math.nan for k in range(len(steps) - 1))
    usable = [slope for slope in slopes if not math.isnan(slope)]
    slope = usable[-1] if usable else math.nan
    if not any(above) or 1.9 <= slope <= 2.1:
        return Taylor(tuple(steps), remainders, slopes, slope, "pass")
    return Taylor(tuple(steps), remainders, slopes, slope, "fail" if slope < 1.5 else "inconclusive")
