"""Initial values: which distribution a parameter starts from, as plain data that the engines draw.

Reads   a policy (a name, or a distribution for all weights and biases) and what the parameter is.
Gives   ("normal", mean, deviation), ("uniform", low, high), ("zeros",), ("constant", value) or ("orthogonal", gain).
Source  Glorot & Bengio (2010), eq. 16; He et al. (2015), eq. 10; Saxe et al. (2014); Klambauer et al. (2017) for selu.
"""

import re
from math import isfinite, sqrt

from ..errors import OptionError
from .words import unknown

__all__ = ["DISTRIBUTIONS", "POLICIES", "distribution", "policy", "policy_text"]

DISTRIBUTIONS = {"normal": 2, "uniform": 2, "zeros": 0, "constant": 1, "orthogonal": 1}
MATRICES = ("weight", "recurrent")
RELU_LIKE = ("relu", "leaky_relu", "elu", "gelu", "silu", "softplus")


def _glorot(fan_in, fan_out):
    limit = sqrt(6 / (fan_in + fan_out))
    return "uniform", -limit, limit


# per policy: the distribution of matrices by (fan_in, fan_out), and of biases (None: the layer's own, else zero)
POLICIES = {
    "glorot": (_glorot, None),
    "he": (lambda fan_in, fan_out: ("normal", 0.0, sqrt(2 / fan_in)), None),
    "lecun": (lambda fan_in, fan_out: ("normal", 0.0, sqrt(1 / fan_in)), None),
    "orthogonal": (lambda fan_in, fan_out: ("orthogonal", 1.0), None),
    "normal": (lambda fan_in, fan_out: ("normal", 0.0, 0.01), ("normal", 0.0, 0.01)),
    "uniform": (lambda fan_in, fan_out: ("uniform", 0.0, 1.0), ("uniform", 0.0, 1.0)),
    "zeros": (lambda fan_in, fan_out: ("zeros",), ("zeros",)),
}


def policy(given):
    """A policy in canonical form: None, a name of POLICIES, or a distribution for weights and biases alike.

    >>> policy("normal(0, 0.1)")
    ('normal', 0.0, 0.1)
    """
    if given is None:
        return None
    if isinstance(given, str):
        if given in POLICIES:
            return given
        call = re.fullmatch(r"(\w+)\(([^()]*)\)", given)
        if not call:
            raise unknown(OptionError, "initial values", given, POLICIES)
        try:
            given = (call[1], *(float(number) for number in call[2].split(",") if number.strip()))
        except ValueError:
            raise OptionError(f"initial values {given!r} have something that is no number") from None
    name, *numbers = given
    if name not in DISTRIBUTIONS:
        raise unknown(OptionError, "distribution of initial values", name, DISTRIBUTIONS)
    numbers = [float(number) for number in numbers]
    wrong = len(numbers) != DISTRIBUTIONS[name] or not all(map(isfinite, numbers))
    if wrong or name == "normal" and numbers[1] < 0 or name == "uniform" and numbers[0] > numbers[1]:
        raise OptionError(f"initial values {policy_text((name, *numbers))} have no meaning",
                          fix="normal(mean, deviation), uniform(low, high), constant(value), orthogonal(gain) or zeros")
    return name, *numbers


def policy_text(given):
    return given if isinstance(given, str) else f"{given[0]}({','.join(f'{number:g}' for number in given[1:])})"


def distribution(policies, kind, shape, activation, own=None):
    """The distribution of one parameter: of the first policy that speaks of it, else the layer's own, else a default.

    Parameters  policies    the layer's and the network's, the nearer first; None where nothing is said
                kind        "weight", "recurrent", "table", "bias" or "scale"
                shape       the extents; fan in is the first, fan out the last
                activation  its name, which chooses the default of a weight
                own         what the layer itself proposes
    """
    fan_in, fan_out = shape[0], shape[-1]
    for given in policies:
        if given is None or kind == "scale":
            continue
        if not isinstance(given, str):
            if given[0] != "orthogonal" or kind in MATRICES and len(shape) == 2:
                return given
            continue
        matrices, biases = POLICIES[given]
        if kind == "bias":
            if biases is not None:
                return biases
        elif kind in MATRICES or biases is not None:
            return matrices(fan_in, fan_out)
    if own is not None:
        return tuple(own)
    if kind == "bias":
        return ("zeros",)
    if kind == "scale":
        return ("constant", 1.0)
    if kind == "table":
        return ("normal", 0.0, 0.1)
    if kind == "recurrent":
        return ("orthogonal", 1.0)
    usual = "he" if activation in RELU_LIKE else "lecun" if activation == "selu" else "glorot"
    return POLICIES[usual][0](fan_in, fan_out)
