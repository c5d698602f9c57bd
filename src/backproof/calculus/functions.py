"""Elementwise functions, each declared in one place.

A function is a name, how it prints, and either nothing more (a primitive: every engine has it) or its value as an
expression of others (a composition: it runs as that expression unless an engine has a kernel of the name). Its
derivative may be declared in x and y = f(x); a composition without one is differentiated by the sweep. Kinks are the
points without a derivative, with the subgradient that is taken there.

    swish = elementwise("swish", value=lambda x: x * sigmoid(x))        # all that a user's function needs

Source  Griewank & Walther (2008), ch. 2; subgradient conventions: docs/notation.md.
"""

from fractions import Fraction
from functools import cached_property
from inspect import signature
from math import pi, sqrt as _root

from ..errors import ExpressionError
from .nodes import ONE, Map, Node, Variable, as_node, as_number, broadcast, number, product
from .rewrites import substitute

__all__ = ["Function", "elementwise", "FUNCTIONS", "REAL"]

REAL = (float("-inf"), float("inf"))
FUNCTIONS = {}          # the built-in functions by name; a user's function lives where the user keeps it


def placeholder(position):
    return Variable(f"x{position}", role="placeholder")


RESULT = Variable("y", role="placeholder")


class Function:
    """An elementwise function; call it on expressions.

    Attributes  name, arity; latex; value: template over x0, x1, … or None for a primitive; derivatives: one template
    per operand over x0, …, y, or None where the sweep derives them from the value; kinks {point: subgradient};
    switch: template whose sign chooses the branch (for more operands); range: interval of its values.
    """

    def __init__(self, name, arity, latex, value, derivatives, kinks, switch, range):
        self.name, self.arity, self.latex = name, arity, latex or rf"\operatorname{{{name}}}"
        self.value, self.declared, self.kinks, self.switch, self.range = value, derivatives, kinks, switch, range

    @cached_property
    def derivatives(self):
        """The declared partial derivatives as templates, or None; traced when first asked for."""
        if self.declared is None:
            return None
        partials = self.declared(*self.placeholders, RESULT)
        return tuple(as_node(p) for p in (partials if isinstance(partials, tuple) else (partials,)))

    def __call__(self, *operands):
        if len(operands) != self.arity:
            raise ExpressionError(f"{self.name} takes {self.arity} operand{'s' * (self.arity != 1)}, not {len(operands)}")
        return Map(self, operands)

    def expand(self, operands):
        """The value as an expression of the operands (compositions only)."""
        return substitute(self.value, dict(zip(self.placeholders, operands)))

    def derivative(self, position, operands, result):
        """The declared partial derivative at the operands, y = result."""
        template = self.derivatives[position]
        return substitute(template, {**dict(zip(self.placeholders, operands)), RESULT: result})

    def switches(self, operands):
        """Expressions whose signs tell which branch holds at the operands."""
        if self.switch is not None:
            return [substitute(self.switch, dict(zip(self.placeholders, operands)))]
        return [operands[0] - point for point in self.kinks]

    @property
    def placeholders(self):
        return [placeholder(k) for k in range(self.arity)]

    def __repr__(self):
        """The name; a user's function shows its content too, since digests are made of this text."""
        return self.name if FUNCTIONS.get(self.name) is self or self.value is None else f"{self.name}#{self.value.digest}"


def elementwise(name, latex=None, *, value=None, derivative=None, kinks=None, switch=None, range=REAL, operands=None):
    """Declare an elementwise function: as a decorator of an expression, or by name with value and derivative.

    Parameters  value       expression of the operands, traced once; None declares a primitive
                derivative  function of (x, …, y) giving one expression (one operand) or a tuple of them
                kinks       {point: subgradient taken there}
                switch      for several operands, the expression whose sign chooses the branch
                range       the open interval of the values, (low, high, "closed") where its ends are attained; losses state
                            which they take
    Raises      ExpressionError if the value is no expression of its operands.

    >>> from backproof.calculus import elementwise, sigmoid
    >>> @elementwise
    ... def swish(x): return x * sigmoid(x)
    >>> swish.value
    x0·sigmoid(x0)
    """
    if callable(name):
        return elementwise(name.__name__, latex, value=name, derivative=derivative, kinks=kinks, switch=switch, range=range)
    shape = value or switch or derivative
    arity = operands or (len(signature(shape).parameters) - (shape is derivative) if shape else 1)
    xs = [placeholder(k) for k in _count(arity)]
    traced = None if value is None else _trace(name, value, xs)
    return Function(name, arity, latex, traced, derivative, dict(kinks or {}),
                    None if switch is None else as_node(switch(*xs)), range)


_count = range


def _trace(name, value, xs):
    try:
        traced = as_node(value(*xs))
    except ExpressionError:
        raise
    except TypeError as error:
        raise ExpressionError(f"{name} cannot be traced: {error}",
                              fix="use backproof's functions (exp, log, maximum, select, …) and + - * / **") from error
    if traced.indices:
        raise ExpressionError(f"{name} is not elementwise: its value has indices", where=repr(traced))
    return traced


def _declare(name, latex=None, **how):
    FUNCTIONS[name] = function = elementwise(name, latex, **how)
    __all__.append(name)
    return function


# -- primitives: every engine has a word of this name -----------------------------------------------------------------
exp = _declare("exp", r"\exp", derivative=lambda x, y: y, range=(0, float("inf")))
log = _declare("log", r"\log", derivative=lambda x, y: reciprocal(x))
sqrt = _declare("sqrt", r"\sqrt", derivative=lambda x, y: reciprocal(2 * y), range=(0, float("inf"), "closed"))
reciprocal = _declare("reciprocal", r"1/", derivative=lambda x, y: -y * y)
sign = _declare("sign", r"\operatorname{sign}", derivative=lambda x, y: 0, kinks={0.0: 0.0}, range=(-1, 1, "closed"))
step = _declare("step", r"\operatorname{step}", derivative=lambda x, y: 0, kinks={0.0: 0.0}, range=(0, 1, "closed"))
abs = _declare("abs", r"\operatorname{abs}", derivative=lambda x, y: sign(x), kinks={0.0: 0.0},
               range=(0, float("inf"), "closed"))
greater = _declare("greater", r">", operands=2, derivative=lambda a, b, y: (0, 0), switch=lambda a, b: a - b,
                   range=(0, 1, "closed"))
equal = _declare("equal", r"=", operands=2, derivative=lambda a, b, y: (0, 0), switch=lambda a, b: a - b,
                 range=(0, 1, "closed"))
maximum = _declare("maximum", r"\max", operands=2, switch=lambda a, b: a - b,
                   derivative=lambda a, b, y: (greater(a, b), 1 - greater(a, b)))
minimum = _declare("minimum", r"\min", operands=2, switch=lambda a, b: a - b,
                   derivative=lambda a, b, y: (greater(b, a), 1 - greater(b, a)))
select = _declare("select", r"\operatorname{select}", operands=3, switch=lambda c, a, b: c - Fraction(1, 2),
                  derivative=lambda c, a, b, y: (0, select(c, 1, 0), select(c, 0, 1)))
sigmoid = _declare("sigmoid", r"\sigma", derivative=lambda x, y: y * (1 - y), range=(0, 1))
tanh = _declare("tanh", r"\tanh", derivative=lambda x, y: 1 - y * y, range=(-1, 1))
erf = _declare("erf", r"\operatorname{erf}", derivative=lambda x, y: 2 / _root(pi) * exp(-x * x), range=(-1, 1))
normal_cdf = _declare("normal_cdf", r"\Phi", derivative=lambda x, y: _root(0.5 / pi) * exp(-0.5 * (x * x)),
                      range=(0, 1, "closed"))              # attained by rounding, and its logarithm has no stable form here
expm1 = _declare("expm1", r"\operatorname{expm1}", derivative=lambda x, y: y + 1, range=(-1, float("inf")))
softplus = _declare("softplus", r"\operatorname{softplus}", derivative=lambda x, y: sigmoid(x), range=(0, float("inf")))

# -- the operators of expressions that need a function ----------------------------------------------------------------

def _divide(x, y):
    value = as_number(as_node(y))
    if value == 0:
        raise ExpressionError("division by zero", where=f"{x.title()} / 0")
    return product([x, reciprocal(y) if value is None else broadcast(number(1 / value), as_node(y).indices)])


def _power(x, power):
    exponent, power = power, as_number(as_node(power))
    if power == Fraction(1, 2):
        return sqrt(x)
    if power is None or power.denominator != 1:
        raise ExpressionError(f"the power {exponent!r} is not supported", fix="a whole number or 0.5; else exp(p * log(x))")
    if power == 2:
        return square(x)
    if power < 0:
        return reciprocal(_power(x, -power))
    return product([x] * int(power)) if power else broadcast(ONE, x.indices)


Node.__truediv__ = _divide
Node.__rtruediv__ = lambda x, y: _divide(as_node(y), x)
Node.__pow__ = _power
Node.__abs__ = lambda x: abs(x)
Node.__gt__ = lambda x, y: greater(x, y)
Node.__lt__ = lambda x, y: greater(y, x)
Node.__ge__ = lambda x, y: 1 - greater(y, x)
Node.__le__ = lambda x, y: 1 - greater(x, y)


# -- compositions ----------------------------------------------------------------------------------------------------
identity = _declare("identity", r"\operatorname{id}", value=lambda x: x, derivative=lambda x, y: 1)
square = _declare("square", r"\operatorname{square}", value=lambda x: x * x, derivative=lambda x, y: 2 * x,
                  range=(0, float("inf"), "closed"))
relu = _declare("relu", r"\operatorname{relu}", value=lambda x: maximum(x, 0), derivative=lambda x, y: step(y),
                kinks={0.0: 0.0}, range=(0, float("inf"), "closed"))
leaky_relu = _declare("leaky_relu", r"\operatorname{lrelu}", value=lambda x: select(x > 0, x, 0.01 * x),
                      derivative=lambda x, y: select(y > 0, 1, 0.01), kinks={0.0: 0.01})
elu = _declare("elu", r"\operatorname{elu}", value=lambda x: select(x > 0, x, expm1(minimum(x, 0))),
               derivative=lambda x, y: select(y > 0, 1, y + 1), range=(-1, float("inf")))
_SELU_SCALE, _SELU_ALPHA = 1.0507009873554804934, 1.6732632423543772848      # Klambauer et al. (2017), eq. 14
selu = _declare("selu", r"\operatorname{selu}",
                value=lambda x: _SELU_SCALE * select(x > 0, x, _SELU_ALPHA * expm1(minimum(x, 0))),
                derivative=lambda x, y: select(y > 0, _SELU_SCALE, y + _SELU_SCALE * _SELU_ALPHA),
                kinks={0.0: _SELU_SCALE * _SELU_ALPHA}, range=(-_SELU_SCALE * _SELU_ALPHA, float("inf")))
gelu = _declare("gelu", r"\operatorname{gelu}", value=lambda x: x * normal_cdf(x))
silu = _declare("silu", r"\operatorname{silu}", value=lambda x: x * sigmoid(x))
softsign = _declare("softsign", r"\operatorname{softsign}", value=lambda x: x * reciprocal(1 + abs(x)),
                    derivative=lambda x, y: square(1 - abs(y)), range=(-1, 1))
hardtanh = _declare("hardtanh", r"\operatorname{hardtanh}", value=lambda x: minimum(maximum(x, -1), 1),
                    derivative=lambda x, y: step(1 - abs(y)), kinks={-1.0: 0.0, 1.0: 0.0}, range=(-1, 1, "closed"))
# log softplus(x): as x → −∞ softplus(x) underflows while its logarithm tends to x
log_softplus = _declare("log_softplus", r"\log\operatorname{softplus}",
                        value=lambda x: select(x > -36, log(softplus(maximum(x, -36))), x),
                        derivative=lambda x, y: exp(-softplus(-x) - y))
