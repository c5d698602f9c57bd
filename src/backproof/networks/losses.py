"""Losses of one sample, written on activations as in the textbook.

Reads   the prediction a[k] and the target y[k] of one sample as expressions.
Gives   E, summed over the outputs; what range of activations it takes and which forms of targets. The stable form that
        runs is derived from it, and so is the output error.

A user's loss is a function under ``@loss``, traced once and kept as data.
"""

from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from inspect import Parameter as Argument
from inspect import signature
from math import isfinite

from ..calculus import (REAL, Extent, Index, Variable, abs, as_node, extent, log, maximum, relu, select, slice_,
                        square, substitute, total, walk)
from ..errors import ExpressionError, OptionError, RangeError
from .activations import ACTIVATIONS, SIMPLEX, contains, range_of, range_text
from .words import unknown

__all__ = ["LOSSES", "PAIR", "Loss", "loss", "loss_of"]

LOSSES = {}
PAIR = Index("pair", 2, "pair", "c")                  # 0: the true member of a pair, 1: the corrupt one
UNIT = Index("k", "K", "unit", "k")                   # stands for the outputs while a loss is traced
POSITIVE, OPEN_UNIT = (0, float("inf")), (0, 1)


@dataclass(frozen=True)
class Loss:
    """The loss of one sample as data.

    Fields  name, options; expression over the placeholders a[k] and y[k] (a[pair,k] alone for a loss of pairs)
            takes    the range that the activations must keep to; alone: each output by itself, so not the simplex
            targets  the forms of the target, the default first: "dense" y[n,k], "class" y[n]; none for pairs
            where    the range that dense targets must keep to
    """

    name: str
    expression: object
    options: tuple = ()
    takes: object = REAL
    alone: bool = False
    targets: tuple = ("dense",)
    pairs: bool = False
    where: object = REAL
    function: object = field(default=None, compare=False, repr=False)

    def __call__(self, **options):
        """The same loss with other options."""
        known = dict(self.options)
        for name in options:
            if name not in known:
                raise unknown(OptionError, f"option of the loss {self.name}", name, known or ["(it has none)"])
        if not options:
            return self
        if self.function is None:
            raise OptionError(f"the loss {self.name} was read from a file; its options stand as they are")
        return replace(trace(self.function, {**known, **options}, self), options=tuple({**known, **options}.items()))

    def at(self, a, y, unit):
        """The expression at a prediction and a target (rows) whose outputs have the index ``unit``."""
        extents = {Extent(UNIT.extent, power): extent(unit, power) for power in _powers(self.expression)}
        return substitute(self.expression, {**extents, A: a, Y: y, PAIRED: a}, {UNIT: unit})

    def admits(self, given):
        """May an output lie in the range given?"""
        return contains(self.takes, given) and not (self.alone and given == SIMPLEX)

    def check(self, given, ending):
        """Raise RangeError with the mend where the outputs' range does not suit."""
        if self.admits(given):
            return
        fits = [word for word in ("exp", "softplus", *ACTIVATIONS) if self.admits(range_of(word))]
        fits.sort(key=lambda word: range_of(word) != self.takes)
        takes = {SIMPLEX: "outputs on the simplex"}.get(self.takes) or f"outputs in {range_text(self.takes)}"
        fix = f"end the network with {' or '.join(dict.fromkeys(fits[:2]))}" if fits else None
        if self.alone and given == SIMPLEX:
            fix = "end the network with sigmoid, or take loss='cross_entropy'"
        raise RangeError(f"{self.name} takes {takes}{' each by itself' if self.alone else ''}, and {ending!r} gives "
                         f"{range_text(given)}", fix=fix)

    def text(self):
        """
        >>> LOSSES["huber"](delta=2).text()
        'huber(delta=2)'
        """
        if self.function is not None:
            defaults = _defaults(self.function)
            given = [f"{k}={v!r}" for k, v in self.options if defaults[k] != v]
        else:
            given = [f"{k}={v!r}" for k, v in self.options]
        return self.name + (f"({', '.join(given)})" if given else "")

    def __repr__(self):
        return f"Loss({self.text()}: {self.expression!r})"


A = Variable("a", (UNIT,), "placeholder")
Y = Variable("y", (UNIT,), "placeholder")
PAIRED = Variable("a", (PAIR, UNIT), "placeholder")


def _powers(expression):
    return {node.power for node in walk(expression) if isinstance(node, Extent) and node.symbol == UNIT.extent}


def loss(function=None, *, takes=REAL, targets=("dense",), pairs=False, alone=False, where=REAL):
    """Declare the loss of one sample: a function of the prediction a[k] and the target y[k], summed over "k".

    Further arguments with defaults are options. ``takes`` is the range that the activations must keep to, ``where``
    that of the targets.

    >>> @loss
    ... def asymmetric(a, y, factor=3): return total(select(a > y, square(a - y), factor * square(a - y)), over="k")
    >>> asymmetric(factor=2).text()
    'asymmetric(factor=2)'
    """
    if function is None:
        return partial(loss, takes=takes, targets=targets, pairs=pairs, alone=alone, where=where)
    about = Loss(function.__name__, None, (), takes, alone, tuple(targets), pairs, where)
    return trace(function, _defaults(function), about)


def _defaults(function):
    return {p.name: p.default for p in signature(function).parameters.values() if p.default is not Argument.empty}


def trace(function, options, about):
    """The loss with the function's expression at the options."""
    name = function.__name__
    inputs = [PAIRED] if about.pairs else [A, Y]
    for option, value in options.items():
        if isinstance(value, bool) or not isinstance(value, (int, float, Fraction)) or not isfinite(value):
            raise OptionError(f"{option} = {value!r} in the loss {name}", fix="give a number")
    try:
        expression = as_node(function(*inputs, **options))
    except TypeError as error:
        raise ExpressionError(f"the loss {name} cannot be traced: {error}",
                              fix="def loss(a, y, option=default): … of backproof's functions") from error
    if expression.indices:
        free = ", ".join(index.name for index in expression.indices)
        raise ExpressionError(f"the loss {name} is no single number: {free} is left over", where=repr(expression),
                              fix=f'total(…, over="{expression.indices[0].name}")')
    if inputs[0] not in set(walk(expression)):
        raise ExpressionError(f"the loss {name} does not depend on the prediction", where=repr(expression))
    return replace(about, name=name, expression=expression, options=tuple(options.items()), function=function)


def loss_of(given, words=None):
    """The loss behind a name (with options, "huber(delta=2)"), a Loss or a function. Raises OptionError."""
    if isinstance(given, Loss):
        if given.name in LOSSES and LOSSES[given.name].function is not given.function:
            raise OptionError(f"a loss called {given.name!r} is built in", fix="give your loss another name")
        return given
    if callable(given):
        return loss_of(loss(given))
    if not isinstance(given, str):
        raise OptionError(f"{given!r} is no loss", fix=f"one of {', '.join(LOSSES)}, or a function under @loss")
    known = {**LOSSES, **{k: v for k, v in (words or {}).items() if isinstance(v, Loss)}}
    name, _, rest = given.partition("(")
    if name.strip() not in known:
        raise unknown(OptionError, "loss", given, known)
    options = {}
    for item in filter(str.strip, rest.rstrip(") ").split(",")):
        key, _, value = item.partition("=")
        try:
            options[key.strip()] = float(value) if "." in value or "e" in value.lower() else int(value)
        except ValueError:
            raise OptionError(f"{item.strip()!r} is no option of the loss {name}", fix="name=number") from None
    return known[name.strip()](**options)


def _built_in(function=None, **about):
    if function is None:
        return partial(_built_in, **about)
    declared = loss(function, **about)
    LOSSES[declared.name] = declared
    return declared


def _positive(name, value, limit=float("inf")):
    if not 0 < value < limit:
        below = f" and below {limit:g}" if limit < float("inf") else ""
        raise OptionError(f"{name} = {value!r}", fix=f"give a number above 0{below}")


@_built_in
def squared_error(a, y):
    """½ Σ_k (a_k − y_k)²."""
    return total(square(a - y), over="k") * Fraction(1, 2)


@_built_in(takes=OPEN_UNIT, alone=True, where=(0, 1, "closed"))
def binary_cross_entropy(a, y):
    """−Σ_k (y_k log a_k + (1 − y_k) log(1 − a_k)): each output is the probability of a yes of its own."""
    return -total(y * log(a) + (1 - y) * log(1 - a), over="k")


@_built_in(takes=SIMPLEX, targets=("class", "dense"), where=SIMPLEX)
def cross_entropy(a, y):
    """−Σ_k y_k log a_k, in nats; y is a class, or a row that sums to 1."""
    return -total(y * log(a), over="k")


@_built_in(targets=("class", "dense"), where=SIMPLEX)
def multiclass_margin(a, y, margin=1):
    """Σ_{k≠y} max(0, Δ + a_k − a_y) on scores; at the hinge itself the derivative is 0."""
    _positive("margin", margin)
    true = total(y * a, over="k")
    return total((1 - y) * relu(margin + a - true), over="k")


def _score(a, member):
    """The score of one member of the pair."""
    one = Index("member", 1, "pair", "c")
    return total(slice_(a, PAIR, member, one), over=("member", "k"))


@_built_in(targets=(), pairs=True)
def pairwise_margin(a, margin=1):
    """max(0, Δ + s_corrupt − s_true); no update where it is 0. The network scores both members of a pair."""
    _positive("margin", margin)
    return relu(margin + _score(a, 1) - _score(a, 0))


@_built_in(targets=(), pairs=True)
def pairwise_difference(a):
    """s_corrupt − s_true: maximise the difference, without the hinge."""
    return _score(a, 1) - _score(a, 0)


@_built_in
def absolute_error(a, y):
    """Σ_k |a_k − y_k|."""
    return total(abs(a - y), over="k")


@_built_in
def huber(a, y, delta=1):
    """Σ_k: ½ d² up to |d| = δ, δ(|d| − δ/2) beyond, d = a_k − y_k."""
    _positive("delta", delta)
    d = a - y
    return total(select(abs(d) > delta, delta * (abs(d) - Fraction(delta) / 2), Fraction(1, 2) * square(d)), over="k")


@_built_in
def quantile(a, y, q=Fraction(1, 2)):
    """Σ_k max(q (y_k − a_k), (q − 1)(y_k − a_k)): its mean is least at the q-quantile of y."""
    _positive("q", q, 1)
    return total(maximum(q * (y - a), (q - 1) * (y - a)), over="k")


@_built_in(takes=POSITIVE, where=(0, float("inf"), "closed"))
def poisson(a, y):
    """Σ_k (a_k − y_k log a_k): the negative log-likelihood of counts y of mean a, without the constant."""
    return total(a - y * log(a), over="k")
