"""check_gradients: is this the gradient of this loss, and if not, what is wrong?

Reads   a target: a model with data, or a pair (loss, gradient) of functions at a point.
Gives   a Report with a verdict for every parameter tensor. Inconclusive is never a pass.
Method  the scale of every comparison is the tensor's own gradient (never the count of its entries); small tensors are
        looked at entry by entry, large ones along fresh random directions and at sampled entries, and where those fail
        the worst entry is found by bisection.
"""

import math
import time
from dataclasses import replace

import numpy as np

from ..train.links import regular
from ..errors import BackproofError, OptionError
from ..oracles import block_scales, taylor, verdict
from .causes import black_box, elementwise_layer
from .diagnosis import diagnose
from .foreign import from_jax, from_sklearn, from_torch, is_jax, is_sklearn, is_torch
from .layers import from_layer, is_layer
from .numeric import Oracle, one_sided
from .report import Block, Cause, Report
from .sides import CAUSES, side_checks
from .targets import Target, from_model, from_pair, from_update
from .twin import Extras, build, frozen_objective

__all__ = ["assert_gradients", "check_gradients"]

# of foreign code, whose own rounding we do not know
TOLERANCE = {"complex step": 1e-9, "Richardson": 1e-8, "single precision": 1e-4}
# rounding beside the largest tensor: a gap below it may be that of a tensor that cancels to zero
ROUNDING = {"complex step": 1e-14, "Richardson": 1e-13, "single precision": 1e-7}
LOOSE = 1e-6                                               # where the oracle's own error forbids the tighter one
DIRECTIONS, SAMPLES, ENTRIES = 3, 20, 2000


def check_gradients(target, X=None, y=None, *, at=None, like=None, update=None, sample_weight=None, mask=None,
                    noise=None, truncation=None, batches=(), loss=None, slopes=False, tolerance=None, seed=None,
                    seconds=20.0, language="en"):
    """Check that a gradient is the gradient of its loss, and name the mistake if it is not.

    Parameters  target     a model (with X, y), or a pair (loss, gradient) of functions of the parameters (and of X, y if they
                           take them); a layer with ``forward`` and ``backward`` (with X); PyTorch functions and modules, JAX
                           functions, scikit-learn's MLP (with X, y)
                at         the parameters of a pair: an array, a list of arrays, a dict by name
                like       a twin: "3 | 4 sigmoid | 2", a Network or a model; mistakes are then named by derived equations
                update     η: the second function is an update step, its gradient (θ before − θ after) / η
                sample_weight, mask, noise   of the twin: weights w[n], valid steps mask[n,t], dropout factors by name
                truncation of a recurrent pair, with like=: the segments' length, or ξ[t] of every link t − 1 → t
                batches    further (X, y), such as the last small one: the pair is checked on each, in turn
                loss       of a PyTorch module's output and y
                slopes     also give the slope of every tensor's Taylor remainder: 2 for a right gradient, no tolerance
                tolerance  relative to each tensor's own gradient; None: what the oracle allows
                seed       of the random directions; None: fresh ones at every call
                seconds    budget; large tensors are sampled to keep to it
    Raises      OptionError if there is nothing to check, NonFiniteError if the loss is not finite.

    >>> loss, gradient = lambda w: (w ** 3).sum(), lambda w: 3 * w ** 2
    >>> check_gradients((loss, gradient), at=np.array([1.0, -2.0])).verdict
    'pass'
    >>> wrong = check_gradients((loss, lambda w: w ** 2), at=np.array([1.0, -2.0]))
    >>> wrong.verdict, round(wrong.blocks[0].ratio, 6), wrong.causes[0].text()
    ('fail', 0.333333, 'every tensor is off by the constant factor 0.333333')
    """
    start = time.perf_counter()
    rng = np.random.default_rng(seed)
    checked = as_target(target, X, y, at=at, sample_weight=sample_weight, update=update, loss=loss, rng=rng)
    if not any(array.size for array in checked.point.values()):
        raise OptionError("there are no parameters to check")
    given = {"sample_weight": sample_weight, "mask": mask, "noise": noise}
    if like is None and checked.network is not None:
        like = checked.network
    twin = None
    if truncation is not None:
        checked, twin = _truncated(checked, like, (X, y), rng, {**given, "links": _links(truncation, X)})
    oracle = Oracle(checked, rng=rng)
    tolerance = tolerance or checked.tolerance or TOLERANCE[oracle.name]
    sides = side_checks(checked, rng)
    examined = _Examination(checked, oracle, tolerance, rng, seconds)
    blocks = [examined.block(name) for name in checked.point]
    if slopes:
        for block in blocks:
            block.slope = examined.slope(block.name)
    if oracle.name == "single precision":
        checked.notes.append(("float32", {}))
    report = Report(checked.title, "pass", blocks, notes=list(checked.notes), language=language)
    if any(block.verdict == "fail" for block in blocks):
        report.causes = _causes(examined, blocks, twin, like, (X, y), rng, given, report, seconds)
    for batch in batches:
        _further(report, check_gradients(target, *batch, at=at, update=update, tolerance=tolerance, seed=seed,
                                         seconds=seconds / 4, loss=loss), batch, X)
    blocks = report.blocks
    report.causes += [Cause(key, "black box", (), values) for key, values in sides if key in CAUSES]
    report.sides = [side for side in sides if side[0] not in CAUSES]
    report.verdict = "fail" if sides else report.verdict_of_blocks()
    report.seconds = time.perf_counter() - start
    return report


def _links(truncation, X):
    """ξ[t]: 0 on the link into the first step of every segment, 1 elsewhere; or as given."""
    steps = np.shape(X)[1]
    if np.ndim(truncation):
        return np.asarray(truncation, float)
    if not truncation >= 1:
        raise OptionError(f"truncation={truncation!r}", fix="the length of the segments, at least 1")
    return regular(int(truncation), steps)


def _truncated(target, like, data, rng, given):
    """The target with the loss whose gradient the truncated one is, and the twin that tells it."""
    if like is None:
        raise OptionError("a truncated gradient is checked through a twin", fix='like="3 | rnn 4 | last | 2"')
    twin = build(like, target, *data, rng, **given)
    kept = [name for name in target.point if name in {place.name for place in twin.places.values()}]
    point = {name: target.point[name] for name in kept}
    return replace(target, point=point, loss=frozen_objective(twin, target), oracle="complex step",
                   notes=[*target.notes, ("truncated", {})]), twin


def _further(report, more, batch, X):
    """What the check of a further batch adds: its blocks, and the divisor where that is the mistake."""
    name = f"batch of {len(batch[0])}"
    if report.verdict_of_blocks() != "fail" and more.verdict_of_blocks() == "fail":
        ratio = len(batch[0]) / len(X)
        factors = [c.values.get("factor") for c in more.causes]
        if factors and all(f is not None and abs(float(f) / ratio - 1) < 1e-4 for f in factors):
            where = tuple(name for cause in more.causes for name in cause.where)
            more.causes = [Cause("batch factor", "black box", where, {"factor": factors[0]})]
    for block in more.blocks:
        block.name = f"{block.name} ({name})"
    report.blocks += more.blocks
    report.causes += more.causes


def as_target(target, X=None, y=None, *, at=None, sample_weight=None, update=None, loss=None, rng=None):
    """The Target behind whatever the user gave."""
    if isinstance(target, Target):
        return target
    if hasattr(target, "network") and hasattr(target, "gradients"):
        return from_model(target, X, y, sample_weight)
    if isinstance(target, (tuple, list)) and len(target) == 2 and all(map(callable, target)):
        given = [array for array in (X, y) if array is not None]
        return from_update(*target, at, update, *given) if update is not None else from_pair(*target, at, *given)
    if is_torch(target, at):
        return from_torch(target, X, y, at, loss, rng)
    if is_jax(target, at):
        return from_jax(target, at, rng)
    if is_sklearn(target):
        return from_sklearn(target, X, y, rng)
    if is_layer(target):
        return from_layer(target, X, rng)
    raise OptionError(f"a {type(target).__name__} cannot be checked",
                      fix="give a model, a pair (loss, gradient) and at=parameters, or a layer with forward and backward")


def _causes(examined, blocks, twin, like, data, rng, given, report, seconds):
    """What the twin says; what the arrays say where there is no twin or it cannot tell."""
    target, analytic = examined.target, examined.analytic
    if like is not None and data[0] is not None:
        try:
            twin = twin or build(like, target, *data, rng, **given)
            extras = Extras(len(next(iter(twin.data.values()))), target.rate)
            causes, complete = diagnose(twin, target, analytic, extras=extras, seconds=seconds)
            if causes:
                report.notes += [] if complete else [("more mistakes", {})]
                return causes
        except OptionError as error:
            report.notes.append(("no twin", {"why": error.what}))
    wrong = [block.name for block in blocks if block.verdict == "fail"]
    numeric = {block.name: examined.whole(block.name) for block in blocks}
    wrong = [name for name in wrong if numeric[name] is not None]
    sloped = elementwise_layer(target, analytic, numeric) if target.passed is not None and "x" in wrong else None
    if sloped is not None:
        return [sloped]
    return black_box(wrong, analytic, numeric, target.point, target.facts, examined.relative_noise())


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

    def __init__(self, target, oracle, tolerance, rng, seconds, retries=3):
        self.retries, self.others, self.seconds = retries, [], seconds
        self.target, self.oracle, self.tolerance, self.rng = target, oracle, tolerance, rng
        self.analytic, self.numeric = target.gradient(oracle.fresh()), {}
        share = seconds / max(1, len(target.point))
        self.allowed = min(ENTRIES, max(SAMPLES, int(share / max(oracle.cost, 1e-9))))
        sound = {name: np.asarray(np.real(g), np.float64) for name, g in self.analytic.items()
                 if np.shape(g) == target.point.get(name, np.empty(0)).shape and np.isfinite(g).all()}
        self.floor = max(block_scales(sound, loss=oracle.value, theta=target.point).values(), default=0.0) * ROUNDING[oracle.name] / tolerance

    def slope(self, name):
        """The slope of the Taylor remainder along a random direction of the tensor; NaN where there is none to be had."""
        direction = {name: self.rng.normal(size=self.target.point[name].shape)}
        try:
            return taylor(self.target.loss, self.oracle.point, {name: self.analytic[name]}, direction).slope
        except (BackproofError, KeyError):
            return math.nan

    def relative_noise(self):
        """The noise of the gradient beside its largest tensor."""
        norms = [float(np.linalg.norm(g)) for g in self.numeric.values() if g is not None]
        return 10 * self.target.noise / max([1e-300, *norms])

    def whole(self, name):
        """The numeric gradient of a tensor, or None where it is too large to be had whole."""
        if name not in self.numeric and self.target.point[name].size <= 4 * self.allowed:
            size = self.target.point[name].size
            self.numeric[name] = self.oracle.entries(name, np.arange(size))[0].reshape(self.target.point[name].shape)
        return self.numeric.get(name)

    def block(self, name):
        """The Block of one tensor."""
        parameter = self.target.point[name]
        gradient = self.analytic.get(name)
        broken = "missing" if gradient is None else "shape" if np.shape(gradient) != parameter.shape else \
            "complex" if np.iscomplexobj(gradient) and np.imag(gradient).any() else \
            "not finite" if not np.isfinite(gradient).all() else None
        if broken:
            return Block(name, parameter.shape, "fail", np.inf, self.tolerance, None, method=self.oracle.name, note=broken)
        gradient = np.asarray(np.real(gradient), np.float64)
        if parameter.size <= self.allowed:
            indices = np.arange(parameter.size)
        else:
            indices = np.unique([0, parameter.size - 1, *self.rng.choice(parameter.size, SAMPLES, replace=False)])
        numeric, error = self.oracle.entries(name, indices)
        if len(indices) == parameter.size:
            self.numeric[name] = numeric.reshape(parameter.shape)
        block = self.judge(name, gradient, indices, numeric, error)
        if block.verdict == "pass" and len(indices) < parameter.size:
            block = self.directions(name, gradient, block)
        return self.nearby(name, block) if block.verdict == "inconclusive" and self.retries else block

    def nearby(self, name, block):
        """Close to a kink differences decide nothing: look at points next to it."""
        for attempt in range(self.retries):
            if len(self.others) <= attempt:
                spread = 1e-3 * 10.0**attempt
                point = {n: a + spread * self.rng.normal(size=a.shape) for n, a in self.target.point.items()}
                known = None if self.oracle.name == "single precision" else self.oracle.name
                other = replace(self.target, point=point, oracle=known)
                oracle = Oracle(other, rng=self.rng)
                self.others.append(_Examination(other, oracle, self.tolerance, self.rng, self.seconds, retries=0))
            again = self.others[attempt].block(name)
            if again.verdict != "inconclusive":
                again.note = again.note or "nearby"
                return again
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
        gap, error = np.abs(analytic - numeric), error + self.target.noise
        found, tolerance, note = self.verdict(analytic, numeric, error, scale)
        if found == "fail" and np.linalg.norm(gap) <= 1e-4 * scale:      # so small a gap may be noise of the loss itself
            error = self.oracle.spread(name, indices, numeric, error) + self.target.noise
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
        loose = max(self.tolerance, LOOSE)
        if self.target.noise:
            loose = min(1e-2, max(LOOSE, 40 * self.target.noise * np.sqrt(len(analytic)) / scale))
        if self.oracle.name == "single precision":                     # judged within the quotient's own uncertainty
            loose = min(0.3, max(self.tolerance, 12 * float(np.linalg.norm(error)) / scale))
        for tolerance in (self.tolerance, loose):
            found = verdict(analytic, numeric, error, tolerance=tolerance, scale=scale)
            if found != "inconclusive":
                break
        return found, tolerance, ""

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
