"""The parameters of the estimators, each declared in one place: name, default, what is allowed, meaning.

Reads   the table PARAMETERS and what a class says of its own.
Gives   ``__init__`` with the signature that scikit-learn inspects, the docstring's parameters, and one check before a fit.
"""

import numbers
from dataclasses import dataclass
from inspect import Parameter as Argument
from inspect import Signature
from math import inf

import numpy as np

from ..errors import OptionError
from ..networks.words import nearest

__all__ = ["PARAMETERS", "Parameter", "check_parameters", "parameters"]


@dataclass(frozen=True)
class Parameter:
    """A default, the allowed values as a test and as text, and the meaning."""

    default: object
    allowed: object
    wanted: str
    meaning: str


def _number(low, high, *, closed="both", kind=numbers.Real, also=()):
    def test(value):
        if any(value is other or isinstance(other, str) and isinstance(value, str) and value == other for other in also):
            return True
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, kind):
            return False
        above = value >= low if closed in ("both", "left") else value > low
        below = value <= high if closed in ("both", "right") else value < high
        return bool(above and below)
    left, right = "[" if closed in ("both", "left") else "(", "]" if closed in ("both", "right") and high < inf else ")"
    what = "a whole number" if kind is numbers.Integral else "a number"
    text = f"{what} in {left}{low}, {'∞' if high == inf else high}{right}"
    return test, " or ".join([text, *map(repr, also)])


def _whole(low, also=()):
    return _number(low, inf, closed="left", kind=numbers.Integral, also=also)


def _flag():
    return lambda value: isinstance(value, (bool, np.bool_)), "True or False"


def _one_of(*words):
    return lambda value: isinstance(value, str) and value in words, f"one of {', '.join(map(repr, words))}"


def _anything():
    return lambda value: True, "anything"


def _sizes(value):
    if isinstance(value, np.ndarray):
        value = value.tolist()
    sizes = list(value) if isinstance(value, (list, tuple)) else [value]
    return all(isinstance(size, numbers.Integral) and not isinstance(size, bool) and size > 0 for size in sizes)


def _schedule(value):
    return callable(value) or isinstance(value, str) and value in (
        "constant", "invscaling", "adaptive", "step", "cosine", "one_cycle", "plateau")


def _solver(value):
    from ..train import OPTIMIZERS, Optimizer
    return isinstance(value, Optimizer) or isinstance(value, str) and (value == "lbfgs" or value in OPTIMIZERS)


def _state(value):
    return value is None or isinstance(value, np.random.RandomState) \
        or isinstance(value, numbers.Integral) and not isinstance(value, bool) and 0 <= value < 1 << 64


def _rates(value):
    rates = list(value) if isinstance(value, (list, tuple)) else [value]
    return all(isinstance(rate, numbers.Real) and not isinstance(rate, bool) and 0 <= rate < 1 for rate in rates)


def _declared(default, allowed, meaning):
    return Parameter(default, *allowed, meaning)


PARAMETERS = {
    "hidden_layer_sizes": _declared((100,), (_sizes, "whole numbers > 0"), "units of each hidden layer"),
    "activation": _declared("relu", _anything(), "of the hidden layers: identity, logistic, tanh, relu, any other activation "
                            "of backproof, a function under @elementwise, or one per layer"),
    "solver": _declared("adam", (_solver, "lbfgs, sgd, adam, another optimizer of backproof, or an Optimizer"),
                        "what updates the weights"),
    "alpha": _declared(0.0001, _number(0, inf, closed="left"),
                       "L2 penalty α/2 ΣW², divided by the weight of the minibatch (of all rows with lbfgs)"),
    "batch_size": _declared("auto", _whole(1, also=("auto",)), "rows per update; 'auto' is min(200, rows)"),
    "learning_rate": _declared("constant", (_schedule, "constant, invscaling, adaptive, step, cosine, one_cycle, plateau or a "
                                            "function of (step, total)"),
                               "schedule; invscaling divides by (rows seen + 1)^power_t, adaptive by 5 where the loss stalls"),
    "learning_rate_init": _declared(0.001, _number(0, inf, closed="neither"), "the learning rate at the start"),
    "power_t": _declared(0.5, _number(0, inf, closed="left"), "exponent of invscaling"),
    "max_iter": _declared(200, _whole(1), "epochs at most; iterations with lbfgs"),
    "shuffle": _declared(True, _flag(), "a new order of the rows in every epoch"),
    "random_state": _declared(None, (_state, "None, a RandomState, or a whole number in [0, 2^64)"),
                              "seed of initial weights, order, dropout and the validation split"),
    "tol": _declared(0.0001, _number(0, inf, closed="left"), "an improvement by less does not count"),
    "verbose": _declared(False, (lambda value: isinstance(value, numbers.Integral) and value >= 0, "True, False or a whole number"),
                         "print a line per epoch"),
    "warm_start": _declared(False, _flag(), "fit goes on from the last fit, with the optimizer's state"),
    "momentum": _declared(0.9, _number(0, 1), "of sgd"),
    "nesterovs_momentum": _declared(True, _flag(), "of sgd, where momentum > 0"),
    "early_stopping": _declared(False, _flag(), "stop by the score of validation rows, and keep the best epoch's weights"),
    "validation_fraction": _declared(0.1, _number(0, 1, closed="left"), "share of the rows that early_stopping sets aside"),
    "beta_1": _declared(0.9, _number(0, 1, closed="left"), "of adam and adamw"),
    "beta_2": _declared(0.999, _number(0, 1, closed="left"), "of adam and adamw"),
    "epsilon": _declared(1e-8, _number(0, inf, closed="neither"), "of adam and adamw"),
    "n_iter_no_change": _declared(10, (lambda value: value == inf if isinstance(value, float) else _whole(1)[0](value),
                                       "a whole number ≥ 1 or inf"), "epochs without an improvement before it stops"),
    "max_fun": _declared(15000, _whole(1), "evaluations at most, with lbfgs"),
    # beyond scikit-learn
    "layers": _declared(None, _anything(), "hidden layers as a spec, '64 relu | dropout 0.2', or a list of layers; replaces "
                        "hidden_layer_sizes and activation"),
    "out_activation": _declared(None, _anything(), "of the output layer; None: what the loss takes"),
    "dropout": _declared(0.0, (_rates, "rates in [0, 1)"), "after every hidden layer, or one rate per layer"),
    "layer_norm": _declared(False, _flag(), "normalise the pre-activations of every hidden layer"),
    "initial": _declared(None, _anything(), "initial values; None: scikit-learn's uniform Glorot limits, biases included"),
    "l2": _declared(None, _number(0, inf, closed="left", also=(None,)), "λ/2 ΣW², constant over minibatches; replaces alpha"),
    "weight_decay": _declared(0.0, _number(0, inf, closed="left"), "of the optimizer's update; decoupled with adamw"),
    "warm_up": _declared(0, _whole(0), "steps of a linear rise of the learning rate at the start"),
    "clip_norm": _declared(None, _number(0, inf, closed="neither", also=(None,)), "limit of the norm of all gradients together"),
    "clip_value": _declared(None, _number(0, inf, closed="neither", also=(None,)), "limit of every entry of the gradients"),
    "engine": _declared(None, _anything(), "what computes; None: the fastest there is"),
    "threads": _declared(None, _whole(1, also=(None,)), "of the engine; no number of threads changes a bit of the result"),
}


def parameters(*positional, **own):
    """Give a class the parameters of the table: the positional ones first, the class's own among them; None leaves one out."""
    def declare(cls):
        table = {name: parameter for name, parameter in {**PARAMETERS, **own}.items() if parameter is not None}
        order = [*positional, *(name for name in table if name not in positional)]
        signature = Signature([Argument("self", Argument.POSITIONAL_ONLY)] + [
            Argument(name, Argument.POSITIONAL_OR_KEYWORD if name in positional else Argument.KEYWORD_ONLY,
                     default=table[name].default) for name in order])

        def __init__(self, *args, **given):
            for name in given:
                if name not in table:
                    close = nearest(name, table)
                    raise TypeError(f"{cls.__name__} has no parameter {name!r}" + (f"; did you mean {close!r}?" if close else ""))
            bound = signature.bind(self, *args, **given)
            bound.apply_defaults()
            for name in order:
                setattr(self, name, bound.arguments[name])
        __init__.__signature__ = signature
        __init__.__qualname__ = f"{cls.__qualname__}.__init__"
        cls.__init__, cls.parameter_table = __init__, {name: table[name] for name in order}
        lines = [f"    {name:<20}{p.meaning} [{p.default!r}]" for name, p in cls.parameter_table.items()]
        cls.__doc__ = (cls.__doc__ or "").replace("    {parameters}", "\n".join(lines))
        return cls
    return declare


def check_parameters(estimator):
    """Raise OptionError, a ValueError, for the first parameter outside what is allowed."""
    for name, parameter in type(estimator).parameter_table.items():
        value = getattr(estimator, name)
        if not parameter.allowed(value):
            raise OptionError(f"{name}={value!r} of {type(estimator).__name__}: {name} must be {parameter.wanted}",
                              fix=f"give {name} {parameter.wanted}")
    if estimator.l2 is not None and getattr(estimator, "alpha", None) not in (None, PARAMETERS["alpha"].default):
        raise OptionError(f"alpha={estimator.alpha!r} and l2={estimator.l2!r} are two strengths of one penalty",
                          fix="give alpha (divided by the minibatch's weight) or l2 (constant)")
