"""check_gradients: is this the gradient of this loss, and if not, what is wrong?

Reads   a target: a model with data, or a pair (loss, gradient) of functions at a point.
Gives   a Report with a verdict for every parameter tensor. Inconclusive is never a pass.
Method  the scale of every comparison is the tensor's own gradient (never the count of its entries); small tensors are
        looked at entry by entry, large ones along fresh random directions and at sampled entries, and where those fail
        the worst entry is found by bisection.
"""

import time

import numpy as np

from ..errors import OptionError
from ..oracles import block_scales, verdict
from .numeric import Oracle, one_sided
from .report import Block, Report
from .targets import as_target

__all__ = ["assert_gradients", "check_gradients"]

TOLERANCE = {"complex step": 1e-9, "Richardson": 1e-8}     # of foreign code, whose own rounding we do not know
LOOSE = 1e-6                                               # where the oracle's own error forbids the tighter one
DIRECTIONS, SAMPLES, ENTRIES = 3, 20, 2000


def check_gradients(target, X=None, y=None, *, at=None, like=None, sample_weight=None, tolerance=None, seed=None,
                    seconds=20.0, language="en"):
    """Check that a gradient is the gradient of its loss.

    Parameters  target     a model (with X, y), or a pair (loss, gradient) of functions of the parameters (and of X, y if given)
                at         the parameters of a pair: an array, a list of arrays, a dict by name
                tolerance  relative to each tensor's own gradient; None: what the oracle allows
                seed       of the random directions; None: fresh ones at every call
                seconds    budget; large tensors are sampled to keep to it
    Raises      OptionError if there is nothing to check, NonFiniteError if the loss is not finite.

    >>> loss, gradient = lambda w: (w ** 3).sum(), lambda w: 3 * w ** 2
    >>> check_gradients((loss, gradient), at=np.array([1.0, -2.0])).verdict
    'pass'
    >>> wrong = check_gradients((loss, lambda w: w ** 2), at=np.array([1.0, -2.0]))
    >>> wrong.verdict, round(wrong.blocks[0].ratio, 6)
    ('fail', 0.333333)
    """
    start = time.perf_counter()
    rng = np.random.default_rng(seed)
    checked = as_target(target, X, y, at=at, sample_weight=sample_weight)
    if not any(array.size for array in checked.point.values()):
        raise OptionError("there are no parameters to check")
    oracle = Oracle(checked, rng=rng)
    tolerance = tolerance or checked.tolerance or TOLERANCE[oracle.name]
    examined = _Examination(checked, oracle, tolerance, rng, seconds)
    blocks = [examined.block(name) for name in checked.point]
    verdicts = {block.verdict for block in blocks}
    overall = next(v for v in ("fail", "inconclusive", "pass") if v in verdicts)
    return Report(checked.title, overall, blocks, notes=list(checked.notes), seconds=time.perf_counter() - start,
                  language=language)


def assert_gradients(target, X=None, y=None, **options):
    """Raise AssertionError with the report unless the check passes; returns the Report.

    >>> assert_gradients((lambda w: (w * w).sum(), lambda w: 2 * w), at=np.array([1.0, 2.0])).verdict
    'pass'
    """
    report = check_gradients(target, X, y, **options)
    if not report:
        raise AssertionError(report.to_text())
    return report


class _Examination:
    """The comparison of one target's gradient with an oracle, tensor by tensor."""

    def __init__(self, target, oracle, tolerance, rng, seconds):
        self.target, self.oracle, self.tolerance, self.rng = target, oracle, tolerance, rng
        self.analytic = target.gradient(oracle.fresh())
        share = seconds / max(1, len(target.point))
        self.allowed = min(ENTRIES, max(SAMPLES, int(share / max(oracle.cost, 1e-9))))
        sound = {name: np.asarray(g, np.float64) for name, g in self.analytic.items()
                 if np.shape(g) == target.point.get(name, np.empty(0)).shape and np.isfinite(g).all()}
        self.floor = max(block_scales(sound, loss=oracle.value, theta=target.point).values(), default=0.0) * 1e-10

    def block(self, name):
        """The Block of one tensor."""
        parameter = self.target.point[name]
        gradient = self.analytic.get(name)
        broken = "missing" if gradient is None else "shape" if np.shape(gradient) != parameter.shape else \
            "not finite" if not np.isfinite(gradient).all() else None
        if broken:
            return Block(name, parameter.shape, "fail", np.inf, self.tolerance, None, method=self.oracle.name, note=broken)
        gradient = np.asarray(gradient, np.float64)
        if parameter.size <= self.allowed:
            indices = np.arange(parameter.size)
        else:
            indices = np.unique([0, parameter.size - 1, *self.rng.choice(parameter.size, SAMPLES, replace=False)])
        numeric, error = self.oracle.entries(name, indices)
        block = self.judge(name, gradient, indices, numeric, error)
        if block.verdict == "pass" and len(indices) < parameter.size:
            block = self.directions(name, gradient, block)
        return block

    def judge(self, name, gradient, indices, numeric, error):
        """The verdict on looked-at entries, kinks considered."""
        shape = gradient.shape
        analytic = gradient.ravel()[indices]
        whole = len(indices) == gradient.size
        # where only samples were looked at, the scale is what the norm of as many entries would be
        size = np.linalg.norm(numeric) if whole else np.linalg.norm(gradient) * np.sqrt(len(indices) / gradient.size)
        rounding = 4 * np.finfo(float).eps * abs(self.oracle.value) / max(1.0, np.linalg.norm(self.target.point[name]))
        scale = max(float(size), self.floor, rounding, 1e-300)
        gap = np.abs(analytic - numeric)
        found, tolerance, note = self.verdict(analytic, numeric, error, scale)
        if found != "pass":
            at_kink = self.subgradients(name, indices, analytic, numeric, error, scale)
            if at_kink.any():
                kept = ~at_kink
                found, tolerance, note = self.verdict(analytic[kept], numeric[kept], error[kept], scale) \
                    if kept.any() else ("pass", tolerance, "")
                note = "subgradient"
                gap = np.where(at_kink, 0, gap)
        if not analytic.any() and not numeric.any():
            note = "zero"
        worst = int(np.argmax(gap)) if len(gap) else 0
        index = tuple(int(i) for i in np.unravel_index(int(indices[worst]), shape)) if shape else ()
        return Block(name, shape, found, float(np.linalg.norm(gap)) / scale, tolerance, index, float(analytic[worst]),
                     float(numeric[worst]), float(np.linalg.norm(error)) / scale, self.oracle.name, len(indices), note)

    def verdict(self, analytic, numeric, error, scale):
        """(verdict, tolerance, note): at the tight tolerance, else at what the oracle's error allows."""
        found = verdict(analytic, numeric, error, tolerance=self.tolerance, scale=scale)
        if found == "inconclusive" and self.tolerance < LOOSE:
            return verdict(analytic, numeric, error, tolerance=LOOSE, scale=scale), LOOSE, ""
        return found, self.tolerance, ""

    def subgradients(self, name, indices, analytic, numeric, error, scale):
        """Which entries lie at a kink, between the slopes on either side."""
        result = np.zeros(len(indices), bool)
        suspects = np.flatnonzero(~(np.abs(analytic - numeric) + error <= self.tolerance * scale / np.sqrt(len(indices))))
        for k in suspects[:50]:
            left, right, doubt = one_sided(self.target.loss, self.oracle.point, name, int(indices[k]))
            slack = 10 * doubt + self.tolerance * scale
            if abs(right - left) > 100 * doubt + 1e-6 * scale:
                result[k] = min(left, right) - slack <= analytic[k] <= max(left, right) + slack
        return result

    def directions(self, name, gradient, block):
        """A large tensor along random directions: an error anywhere shows in each of them."""
        size = np.linalg.norm(gradient)
        for _ in range(DIRECTIONS):
            direction = self.rng.normal(size=gradient.shape)
            numeric, error = self.oracle.along({name: direction})
            analytic = float((gradient * direction).sum())
            scale = max(float(size), self.floor, 1e-300)
            found, tolerance, _ = self.verdict(np.array([analytic]), np.array([numeric]), np.array([error]), scale)
            if found != "pass":
                index = self.bisect(name, gradient)
                value, doubt = self.oracle.entries(name, [index])
                return Block(name, gradient.shape, found, abs(analytic - numeric) / scale, tolerance,
                             tuple(int(i) for i in np.unravel_index(index, gradient.shape)), float(gradient.flat[index]),
                             float(value[0]), error / scale, self.oracle.name, block.looked, "")
            block.error = max(block.error, abs(analytic - numeric) / scale)
        return block

    def bisect(self, name, gradient):
        """The flat index of an entry that is wrong: halves are told apart by random directions within them."""
        low, high = 0, gradient.size
        while high - low > 1:
            middle, gaps = (low + high) // 2, []
            for a, b in ((low, middle), (middle, high)):
                direction = np.zeros(gradient.size)
                direction[a:b] = self.rng.normal(size=b - a)
                direction = direction.reshape(gradient.shape)
                numeric, _ = self.oracle.along({name: direction})
                gaps.append(abs(float((gradient * direction).sum()) - numeric))
            low, high = (low, middle) if gaps[0] >= gaps[1] else (middle, high)
        return low
