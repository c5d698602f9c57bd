"""L-BFGS on the whole training set, by SciPy, on the same loss and gradients that every other optimizer gets.

Source  Liu & Nocedal (1989); Byrd, Lu, Nocedal & Zhu (1995), as in scipy.optimize.
"""

import numpy as np

from ..errors import NonFiniteError
from .history import History
from .loop import heard

__all__ = ["minimise"]


def minimise(objective, parameters, *, iterations, fixed=None, tolerance=1e-10, decrease=None, corrections=20, calls=None,
             history=None, validate=None, callbacks=()):
    """Minimise objective({name: array}) -> (J, {name: gradient}) from the parameters given.

    Parameters  fixed        {name: array} of parameters that stay as they are
                tolerance    on the largest entry of the gradient; decrease: on the relative decrease of J
                corrections  pairs of steps and gradients kept; calls: evaluations at most
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

    def flat(theta):
        value, gradients = objective(unflatten(theta))
        return value, np.concatenate([np.ravel(gradients[name]) for name in names]).astype(np.float64)
    start = np.concatenate([np.ravel(parameters[name]) for name in names]).astype(np.float64)
    value, gradient = flat(start)
    if not (np.isfinite(value) and np.isfinite(gradient).all()):
        raise NonFiniteError("the objective or its gradient is not finite at the start", epoch=0, step=0,
                             fix="scale the inputs or choose smaller initial values")

    class Stopped(Exception):
        pass
    latest = start

    def after(intermediate_result):
        nonlocal latest
        latest = intermediate_result.x.copy()
        measured = None if validate is None else validate(unflatten(latest))
        measured = measured if isinstance(measured, dict) else {"validation_loss": measured}
        record = history.append(epoch=len(history), step=len(history) + 1, loss=None, objective=float(intermediate_result.fun), **measured,
                                learning_rate=None, seconds=None)
        if heard(callbacks, record, lambda: unflatten(latest)):
            history.stopped = f"stopped by a callback after iteration {len(history) - 1}"
            raise Stopped
    try:
        result = minimize(flat, start, jac=True, method="L-BFGS-B", callback=after,
                          options={"maxiter": iterations, "ftol": tolerance * 1e-3 if decrease is None else decrease, "gtol": tolerance,
                                   "maxcor": corrections,
                                   "maxfun": 20 * max(1, iterations) if calls is None else calls})
        latest = result.x
        history.stopped = f"L-BFGS: {result.message}"
    except Stopped:
        pass
    return unflatten(latest), history
