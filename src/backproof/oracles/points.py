"""What all oracles share: the point of parameters, the entries to look at, the call of the function under test."""

import math

import numpy as np

from ..errors import DtypeError, NonFiniteError, OptionError, ShapeError

__all__ = ["along", "chosen", "read_direction", "read_point", "real_number", "single"]


def read_point(theta):
    """The parameters as float64 arrays of our own, so that the caller's stay as they are."""
    if not theta:
        raise OptionError("there are no parameters to differentiate by", fix="give a dict of arrays by name")
    point = {}
    for name, array in theta.items():
        array = np.asarray(array)
        if array.dtype.kind not in "fiu":
            raise DtypeError(f"parameter {name!r} has elements of type {array.dtype}", fix="give real numbers")
        point[name] = array.astype(np.float64)
        if not np.isfinite(point[name]).all():
            raise NonFiniteError(f"parameter {name!r} holds values that are not finite", tensor=name)
    return point


def chosen(point, names, entries):
    """Yield (name, flat indices in row-major order) of what is asked for."""
    entries = {} if entries is None else entries
    names = list(point) if names is None else list(names)
    unknown = [name for name in [*names, *entries] if name not in point]
    if unknown or not names or set(entries) - set(names):
        raise OptionError(f"asked for {names} with entries of {list(entries)}", fix=f"parameters are {list(point)}")
    for name in names:
        indices = np.asarray(entries.get(name, np.arange(point[name].size)))
        if indices.ndim != 1 or indices.dtype.kind not in "iu" and indices.size:
            raise OptionError(f"entries of {name!r} are {indices.dtype} of shape {indices.shape}",
                              fix="give a list of flat indices, row-major")
        if indices.size and not (0 <= indices.min() and indices.max() < point[name].size):
            raise OptionError(f"entries of {name!r} run from {indices.min()} to {indices.max()}",
                              fix=f"flat indices of {name!r} run from 0 to {point[name].size - 1}")
        yield name, [int(i) for i in indices]


def single(point, name, index):
    """The direction of one entry."""
    direction = np.zeros(point[name].shape)
    direction.flat[index] = 1.0
    return {name: direction}


def read_direction(point, direction):
    """A direction as float64 arrays; parameters that it does not name stay put."""
    result = {}
    for name, array in direction.items():
        if name not in point:
            raise OptionError(f"the direction names {name!r}", fix=f"parameters are {list(point)}")
        result[name] = np.asarray(array, dtype=np.float64)
        if result[name].shape != point[name].shape:
            raise ShapeError(f"direction {name!r} has shape {result[name].shape}, the parameter {point[name].shape}")
        if not np.isfinite(result[name]).all():
            raise NonFiniteError(f"direction {name!r} holds values that are not finite", tensor=name)
    if not any(array.any() for array in result.values()):
        raise OptionError("the direction is zero, so any gradient would fit", fix="give a direction with an entry")
    return result


def along(point, direction, step):
    """A fresh point, one step along the direction: functions that overwrite their argument do no harm."""
    return {name: array + step * direction[name] if name in direction else array + 0 * step
            for name, array in point.items()}


def real_number(f, point):
    """The value of f as a float of double precision."""
    value = np.asarray(f(point))
    if value.size != 1:
        raise ShapeError(f"the function returned shape {value.shape}", fix="return one number")
    if value.dtype.kind not in "fiu" or value.dtype.itemsize < 8:
        raise DtypeError(f"the function returned {value.dtype}; differences need float64", fix="compute in float64")
    value = float(value.reshape(()))
    if not math.isfinite(value):
        raise NonFiniteError(f"the function returned {value}", tensor="loss")
    return value
