"""The numeric side: which oracle differentiates the loss, and what it says of entries and directions.

Reads   a Target.
Gives   derivatives with their errors. The complex step is taken where the code carries imaginary parts through: that is
        found out by comparing it with Richardson's differences along a random direction of every tensor, so that code
        which drops an imaginary part in one term is differenced instead and never silently wrong.
"""

import time
import warnings

import numpy as np

from ..errors import NonFiniteError
from ..oracles import complex_step, complex_step_directional, richardson, richardson_directional

__all__ = ["Oracle", "one_sided"]

EVALUATIONS = {"complex step": 1, "Richardson": 17, "single precision": 16}


class Oracle:
    """The derivative of a target's loss at a point.

    Attributes  name "complex step" | "Richardson"; seconds one evaluation of the loss takes
    """

    def __init__(self, target, point=None, rng=None):
        self.target, self.point = target, target.point if point is None else point
        self.loss = target.loss
        start = time.perf_counter()
        value = np.asarray(target.loss(self.fresh()))
        self.value, self.seconds = float(value.real), time.perf_counter() - start
        if not np.isfinite(self.value):
            raise NonFiniteError(f"the loss is {self.value} at the point of the check", tensor="loss",
                                 fix="check at a point with a finite loss")
        narrow = value.dtype.kind == "f" and value.dtype.itemsize < 8
        self.rounding = float(np.finfo(value.dtype).eps) if narrow else 2.3e-16
        self.name = "single precision" if narrow else target.oracle or self.detect(rng or np.random.default_rng(0))

    def fresh(self):
        return {name: array.copy() for name, array in self.point.items()}

    def detect(self, rng):
        """"complex step" only where it agrees with differences along a direction of every tensor."""
        return "complex step" if all(self.carries(name, rng) for name, a in self.point.items() if a.size) else "Richardson"

    def carries(self, name, rng):
        """Do imaginary parts in this tensor come through? Asked away from kinks, where differences are sharp."""
        for spread in (0.0, 1e-3, 1e-2):
            point = {n: a + spread * rng.normal(size=a.shape) for n, a in self.point.items()}
            direction = {name: rng.normal(size=point[name].shape)}
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", RuntimeWarning)
                    exact = complex_step_directional(self.loss, point, direction)
                slope, error = richardson_directional(self.loss, point, direction)
            except Exception:                           # noqa: BLE001  whatever foreign code does with complex numbers
                return False
            if error <= 1e-6 * max(abs(slope), abs(exact)) or not slope and not exact:
                return abs(exact - slope) <= 10 * error + 1e-6 * abs(slope)
        return False

    @property
    def cost(self):
        """Seconds that one derivative takes."""
        return EVALUATIONS[self.name] * self.seconds

    def entries(self, name, indices):
        """(derivatives, errors) at flat indices of a tensor."""
        if self.name == "complex step":
            values = complex_step(self.loss, self.point, names=[name], entries={name: indices})[name]
            return values, np.zeros(len(values))
        if self.name == "single precision":
            pairs = [coarse(self.loss, self.point, {name: _unit(self.point[name].shape, i)}, self.rounding) for i in indices]
            return np.array([v for v, _ in pairs]), np.array([e for _, e in pairs])
        values, errors = richardson(self.loss, self.point, names=[name], entries={name: indices})
        return values[name], errors[name]

    def spread(self, name, indices, values, errors):
        """The errors, enlarged to how far the same derivatives by other steps lie apart: noise of the loss shows there."""
        if self.name != "Richardson":
            return errors
        wider = np.array(errors)
        for k, index in enumerate(indices):
            unit = _unit(self.point[name].shape, index)
            for factor in (0.6, 1.3, 1.9):
                again, _ = richardson_directional(self.loss, self.point, {name: factor * unit})
                wider[k] = max(wider[k], abs(again / factor - values[k]))
        return wider

    def along(self, direction):
        """(derivative, error) along a direction."""
        if self.name == "complex step":
            return complex_step_directional(self.loss, self.point, direction), 0.0
        if self.name == "single precision":
            return coarse(self.loss, self.point, direction, self.rounding)
        return richardson_directional(self.loss, self.point, direction)


def coarse(loss, point, direction, rounding):
    """(derivative, error) of a loss in single precision: the central difference whose own uncertainty is least.

    Its error is the rounding of the loss over the step plus what halving the step changes.
    """
    def slope(h):
        sides = [float(np.asarray(loss({n: a + s * h * direction.get(n, 0.0) for n, a in point.items()}))) for s in (1, -1)]
        return (sides[0] - sides[1]) / (2 * h), 4 * rounding * max(map(abs, sides)) / h
    reach = max(float(np.sqrt(np.mean(direction[n] ** 2))) for n in direction) or 1.0
    steps = [0.1 * 0.5**k / reach if any(d.all() for d in direction.values()) else 0.1 * 0.5**k for k in range(8)]
    found = [slope(h) for h in steps]
    best = min(range(1, len(found)), key=lambda k: found[k][1] + abs(found[k][0] - found[k - 1][0]))
    return found[best][0], found[best][1] + abs(found[best][0] - found[best - 1][0])


def _unit(shape, index):
    unit = np.zeros(shape)
    unit.flat[index] = 1.0
    return unit


def one_sided(loss, point, name, index):
    """(slope to the left, slope to the right, error) at one entry, by extrapolated one-sided differences."""
    middle = float(np.asarray(loss({n: a.copy() for n, a in point.items()})).real)

    def slope(side):
        best, least, above = np.nan, np.inf, []
        for k in range(12):
            h = side * 1e-3 * 0.5**k
            moved = {n: a.copy() for n, a in point.items()}
            moved[name].flat[index] += h
            row = [(float(np.asarray(loss(moved)).real) - middle) / h]
            for m in range(k):
                row.append(row[m] + (row[m] - above[m]) / (2.0 ** (m + 1) - 1))
                guess = max(abs(row[m + 1] - row[m]), abs(row[m + 1] - above[m]), 2e-16 * abs(middle) / abs(h))
                if guess < least:
                    best, least = row[m + 1], guess
            above = row
        return best, least
    (left, left_error), (right, right_error) = slope(-1.0), slope(1.0)
    return left, right, max(left_error, right_error)
