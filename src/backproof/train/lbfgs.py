"""L-BFGS on the whole training set, by SciPy, on the same loss and gradients that every other optimizer gets.

SciPy keeps its memory to itself, so a run is carried over an interruption by its Trail: given the same evaluations again,
SciPy takes the same steps, bit for bit, and none of them is computed twice.

Source  Liu & Nocedal (1989); Byrd, Lu, Nocedal & Zhu (1995), as in scipy.optimize.
"""

import numpy as np

from ..engines.steps import uninterrupted
from ..errors import NonFiniteError
from .history import History
from .loop import heard

__all__ = ["Trail", "minimise"]


class Trail:
    """The evaluations of a run: J and its gradient, in order; ``iterations`` complete, the last of them at ``latest``.

    As a session does, it gives ``parameters`` and ``state`` to a checkpoint: 8 bytes for each parameter and evaluation. Without
    ``kept`` it only knows where the run is.
    """

    def __init__(self, kept=False, unflatten=None, values=(), gradients=(), iterations=0):
        self.kept, self.unflatten, self.values, self.gradients, self.iterations = kept, unflatten, list(values), list(gradients), iterations
        self.latest = None

    @property
    def parameters(self):
        return self.unflatten(self.latest)

    @property
    def state(self):
        return {"values": np.array(self.values), "gradients": np.array(self.gradients), "iterations": np.array([self.iterations])}


def minimise(objective, parameters, *, iterations, fixed=None, tolerance=1e-10, decrease=None, corrections=20, calls=None,
             history=None, validate=None, callbacks=(), trail=None, look=lambda: None):
    """Minimise objective({name: array}) -> (J, {name: gradient}) from the parameters given.

    Parameters  fixed        {name: array} of parameters that stay as they are
                tolerance    on the largest entry of the gradient; decrease: on the relative decrease of J
                corrections  pairs of steps and gradients kept; calls: evaluations at most
                trail        of the same run before it was interrupted; it goes on growing
                look         called after every iteration; what it raises ends the run
    Gives   ({name: array}, History with one record per iteration).
    Raises  NonFiniteError if the objective is not finite at the start.
    """
    from scipy.optimize import minimize

    history = History() if history is None else history
    names = list(parameters)
    shapes = [parameters[name].shape for name in names]
    cuts = np.cumsum([parameters[name].size for name in names])[:-1]

    def unflatten(theta):
        return {**(fixed or {}), **{name: part.reshape(shape) for name, part, shape in zip(names, np.split(theta, cuts), shapes)}}

    trail = Trail() if trail is None else trail
    trail.unflatten, known, before, met = unflatten, len(trail.values), trail.iterations, [0, 0]      # evaluations and iterations met

    def flat(theta):
        at, met[0] = met[0], met[0] + 1
        if at < known:
            return trail.values[at], trail.gradients[at].copy()
        value, gradients = objective(unflatten(theta))
        gradient = np.concatenate([np.ravel(gradients[name]) for name in names]).astype(np.float64)
        if trail.kept:
            with uninterrupted():
                trail.values.append(value)
                trail.gradients.append(gradient.copy())
        return value, gradient
    start = np.concatenate([np.ravel(parameters[name]) for name in names]).astype(np.float64)
    trail.latest = start
    value, gradient = flat(start)
    if not (np.isfinite(value) and np.isfinite(gradient).all()):
        raise NonFiniteError("the objective or its gradient is not finite at the start", epoch=0, step=0,
                             fix="scale the inputs or choose smaller initial values")

    class Stopped(Exception):
        pass
    def after(intermediate_result):
        met[1] += 1
        if met[1] <= before:                               # it was heard of before the interruption
            trail.latest = intermediate_result.x.copy()
            return
        latest = intermediate_result.x.copy()
        measured = None if validate is None else validate(unflatten(latest))
        measured = measured if isinstance(measured, dict) else {"validation_loss": measured}
        with uninterrupted():
            trail.latest, trail.iterations = latest, trail.iterations + 1
            record = history.append(epoch=len(history), step=len(history) + 1, loss=None, objective=float(intermediate_result.fun),
                                    **measured, learning_rate=None, seconds=None)
        if heard(callbacks, record, lambda: unflatten(latest)):
            history.stopped = f"stopped by a callback after iteration {len(history) - 1}"
            raise Stopped
        look()
    try:
        result = minimize(flat, start, jac=True, method="L-BFGS-B", callback=after,
                          options={"maxiter": iterations, "ftol": tolerance * 1e-3 if decrease is None else decrease, "gtol": tolerance,
                                   "maxcor": corrections,
                                   "maxfun": 20 * max(1, iterations) if calls is None else calls})
        trail.latest = result.x
        history.stopped = f"L-BFGS: {result.message}"
    except Stopped:
        pass
    return unflatten(trail.latest), history
