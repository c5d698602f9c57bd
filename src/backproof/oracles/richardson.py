"""Richardson's extrapolation of central differences, with an estimate of its own error.

Reads   f, any function of a dict of float64 arrays, and parameters theta.
Gives   gradients and error estimates; good for about eleven digits of a smooth function.
Source  Ridders (1982); Press et al., Numerical Recipes, sec. 5.7 (dfridr).

Steps are h0, h0/2, ..., h0/128 with h0 = 0.02 max(1, rms of the parameter), and smaller ones only where these have not
converged (a kink or a steep place nearby). A Neville tableau in h^2 extrapolates to 0; the entry of smallest estimated
error wins. Two things are added to Ridders' estimate: it is never below the rounding of f over h, and a kink at theta,
where central differences agree on a number that is no derivative, counts as error.
"""

import numpy as np

from .points import along, chosen, read_direction, read_point, real_number, single

__all__ = ["richardson", "richardson_directional"]

_LEVELS, _MOST_LEVELS = 8, 24
_EPS = np.finfo(np.float64).eps


def richardson(f, theta, *, names=None, entries=None):
    """The gradient of f at theta by differences: (gradients, estimated errors), two dicts by parameter name.

    names    the parameters asked for; all unless given.
    entries  by name, a list of flat indices (row-major): gradient and error are then vectors in that order.
    Shapes   gradients and errors have the shapes of their parameters; 16 evaluations of f per entry, at most 48.
    Raises   DtypeError unless f returns float64, NonFiniteError, ShapeError if f is no scalar.

    >>> gradients, errors = richardson(lambda p: np.exp(p["w"]).sum(), {"w": np.array([0.0, 1.0])})
    >>> bool((abs(gradients["w"] - np.exp([0.0, 1.0])) <= errors["w"]).all() and (errors["w"] < 1e-9).all())
    True
    """
    point = read_point(theta)
    middle = real_number(f, along(point, {}, 0.0))
    gradients, errors = {}, {}
    for name, indices in chosen(point, names, entries):
        h0 = _first_step(point[name])
        pairs = [_extrapolate(f, point, single(point, name, i), h0, middle) for i in indices]
        shape = -1 if entries is not None and name in entries else point[name].shape
        gradients[name], errors[name] = (np.array([pair[side] for pair in pairs], dtype=np.float64).reshape(shape)
                                         for side in (0, 1))
    return gradients, errors


def richardson_directional(f, theta, direction):
    """The derivative of f at theta along a direction, and its estimated error: (derivative, error).

    Shapes   direction: a dict of arrays shaped like their parameters; parameters left out stay put.

    >>> slope, error = richardson_directional(lambda p: np.sin(p["a"]).sum(), {"a": [0.0]}, {"a": [2.0]})
    >>> abs(slope - 2.0) <= error < 1e-9
    True
    """
    point = read_point(theta)
    direction = read_direction(point, direction)
    named = np.concatenate([point[name].ravel() for name in direction])
    size = np.sqrt(np.mean(np.concatenate([array.ravel() for array in direction.values()]) ** 2))
    middle = real_number(f, along(point, {}, 0.0))
    return _extrapolate(f, point, direction, _first_step(named) / max(1.0, size), middle)


def _first_step(block):
    return 0.02 * max(1.0, float(np.sqrt(np.mean(block**2)))) if block.size else 0.02


def _extrapolate(f, point, direction, h0, middle):
    steps, sides, above = [], [], []
    best, least, error, largest = 0.0, np.inf, np.inf, abs(middle)
    for k in range(_MOST_LEVELS):
        enough = max(1e-9 * abs(best), 4 * _EPS * largest * 2**_LEVELS / h0)
        if k >= _LEVELS and error <= enough:
            break
        h = h0 * 0.5**k
        plus, minus = real_number(f, along(point, direction, h)), real_number(f, along(point, direction, -h))
        largest = max(largest, abs(plus), abs(minus))
        steps.append(h)
        sides.append((plus, minus))
        row = [(plus - minus) / (2 * h)]
        for m in range(k):
            row.append(row[m] + (row[m] - above[m]) / (4.0 ** (m + 1) - 1))
            # Chance can make two entries equal; no entry knows the derivative better than f's rounding allows.
            guess = max(abs(row[m + 1] - row[m]), abs(row[m + 1] - above[m]), _EPS * largest / h)
            if guess < least:
                best, least = row[m + 1], guess
        above = row
        if k + 1 >= _LEVELS:
            error = max(least, _kink(steps, sides, middle, largest))
    return float(best), float(error)


def _kink(steps, sides, middle, largest):
    """Half the jump between the slopes on the right and on the left, 0 where it is no more than rounding.

    The gap of the two slopes over a step h is jump + h f'' + O(h^3); two steps cancel f''.
    """
    gaps = [((plus - middle) - (middle - minus)) / h for h, (plus, minus) in zip(steps, sides, strict=True)]
    jump = abs(2 * gaps[-1] - gaps[-2])
    earlier = abs(2 * gaps[-2] - gaps[-3])
    # For a smooth f the rest is O(h^3) and shrinks eightfold; a jump stays.
    smooth = jump <= earlier / 4
    return 0.0 if smooth or jump <= 64 * _EPS * largest / steps[-1] else jump / 2
