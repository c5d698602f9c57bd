"""Optimizers, each an expression: the new parameter and state from the old, the gradient and a few scalars.

Reads   a parameter θ, its gradient g, the optimizer's slots and the scalars of the step.
Gives   update equations that are lowered together with the gradients, so every engine runs them.

Weight decay stands here as ``weight_decay`` (coupled: added to the gradient; decoupled: taken off the parameter) or in
the network's objective as ``l2``; the name says which.
"""

from dataclasses import dataclass, field
from functools import cached_property, partial
from inspect import signature

from ..calculus import (ONE, System, Variable, abs, add, as_node, identity, largest, maximum, minimum, number, reciprocal, sqrt,
                        square, total)
from ..errors import OptionError
from ..lower import RowsOf
from ..networks.systems import penalties
from .rows import rows_of

__all__ = ["Optimizer", "OPTIMIZERS", "optimizer", "update_alone", "update_equations"]

OPTIMIZERS = {}


@dataclass(frozen=True)
class Optimizer:
    """An optimizer with its hyper-parameters.

    Attributes  rule     (θ, g, slots…, scalars) -> (new θ, *new slots), expressions
                slots    names of the state kept per parameter, 0 at the start
                scalars  hyper-parameters and the step number from 1 -> {name: factor}, computed in float64
                intervals {option: (lowest, highest)} as open-ended text in errors
    """

    name: str
    rule: object
    slots: tuple = ()
    options: dict = field(default_factory=dict)
    scalars: object = None
    decoupled: bool = False

    def __call__(self, **options):
        """The same optimizer with other hyper-parameters; unknown names and values outside are refused."""
        unknown = set(options) - set(self.options)
        if unknown:
            raise OptionError(f"{self.name} has no option {sorted(unknown)[0]!r}",
                              fix=f"one of {', '.join(self.options) or 'none'}")
        merged = {**self.options, **options}
        for option, value in merged.items():
            _check(self.name, option, value)
        return Optimizer(self.name, self.rule, self.slots, merged, self.scalars, self.decoupled)

    @property
    def key(self):
        """What its update equations depend on."""
        return self.rule, self.slots, tuple(sorted(self.options.items())), self.scalars, self.decoupled

    @property
    def built_in(self):
        """Is its rule one of the package's? A user's is Python that may do otherwise tomorrow."""
        home = __name__.partition(".")[0]
        return all(f is None or getattr(f, "__module__", "").partition(".")[0] == home for f in (self.rule, self.scalars))

    def at(self, step):
        """The scalars of a step (counted from 1) besides the learning rate."""
        if self.scalars is None:
            return {}
        return self._scalars_of(step)

    @cached_property
    def _scalars_of(self):
        """The scalars with the options that they ask for; looked up once, for a step takes no longer than the looking."""
        accepted = signature(self.scalars).parameters
        return partial(self.scalars, **{k: v for k, v in self.options.items() if k in accepted})


_INTERVALS = {
    "momentum": (0, 1, "[0, 1)"), "beta1": (0, 1, "[0, 1)"), "beta2": (0, 1, "[0, 1)"), "decay": (0, 1, "[0, 1)"),
    "weight_decay": (0, float("inf"), "[0, ∞)"), "epsilon": (None, float("inf"), "(0, ∞)"), "nesterov": None,
}


def _check(name, option, value):
    interval = _INTERVALS.get(option)
    if interval is None:
        return
    low, high, text = interval
    bad = isinstance(value, bool) or not isinstance(value, (int, float)) \
        or not (value > 0 if low is None else value >= low) or not value < high
    if bad:
        raise OptionError(f"{option}={value!r} of {name} lies outside {text}", fix=f"choose {option} in {text}")


def optimizer(name, slots=(), scalars=None, decoupled=False, **options):
    """Declare an optimizer by its rule; the rule's keyword arguments are scalars and options by name.

    >>> from backproof.train.optimizers import optimizer
    >>> @optimizer("sign_sgd")
    ... def sign_sgd(theta, g, *, eta):
    ...     from backproof.calculus import sign
    ...     return (theta - eta * sign(g),)
    >>> sign_sgd.name
    'sign_sgd'
    """
    def declare(rule):
        made = Optimizer(name, rule, tuple(slots), dict(options), scalars, decoupled)
        OPTIMIZERS[name] = made
        return made
    return declare


@optimizer("sgd", weight_decay=0.0)
def sgd(theta, g, *, eta):
    return (theta - eta * g,)


@optimizer("momentum", slots=("velocity",), momentum=0.9, weight_decay=0.0)
def momentum(theta, g, velocity, *, eta, momentum):
    new = momentum * velocity + g
    return theta - eta * new, new


@optimizer("nesterov", slots=("velocity",), momentum=0.9, weight_decay=0.0)
def nesterov(theta, g, velocity, *, eta, momentum):
    new = momentum * velocity + g
    return theta - eta * (g + momentum * new), new


@optimizer("rmsprop", slots=("square",), decay=0.99, epsilon=1e-8, weight_decay=0.0)
def rmsprop(theta, g, square_, *, eta, decay, epsilon):
    new = decay * square_ + (1 - decay) * square(g)
    return theta - eta * g * reciprocal(sqrt(new) + epsilon), new


@optimizer("adagrad", slots=("square",), epsilon=1e-10, weight_decay=0.0)
def adagrad(theta, g, square_, *, eta, epsilon):
    new = square_ + square(g)
    return theta - eta * g * reciprocal(sqrt(new) + epsilon), new


def _adam_scalars(step, beta1, beta2):
    """The corrections of the averages' start at 0 (Kingma & Ba 2015, sec. 3)."""
    return {"correction1": 1 / (1 - beta1**step), "correction2": (1 - beta2**step) ** -0.5}


def _adam(theta, g, mean, square_, *, eta, beta1, beta2, epsilon, correction1, correction2):
    m = beta1 * mean + (1 - beta1) * g
    v = beta2 * square_ + (1 - beta2) * square(g)
    return theta - eta * correction1 * m * reciprocal(correction2 * sqrt(v) + epsilon), m, v


adam = optimizer("adam", slots=("mean", "square"), scalars=_adam_scalars,
                 beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.0)(_adam)
adamw = optimizer("adamw", slots=("mean", "square"), scalars=_adam_scalars, decoupled=True,
                  beta1=0.9, beta2=0.999, epsilon=1e-8, weight_decay=0.01)(_adam)


def update_equations(system, gradients, parameters, optimizer, *, clip_norm=None, clip_value=None, decay_biases=False, lazy=False):
    """Extend a system with the update of every parameter.

    Parameters  gradients   {parameter: equation of its gradient}; with ``lazy`` a table's is replaced by that of its rows
                parameters  the network's parameters (name, kind); decay spares biases unless ``decay_biases``
                lazy        tables of vectors are updated at the rows that the step looks up: value, slots and decay of
                            all other rows stay as they are
    Returns     {equation: the parameter or state that it replaces, or RowsOf it}
    """
    system, replaces = system.copy(), {}
    tables = _tables(system, gradients, parameters) if lazy else {}
    eta = Variable("eta", (), "scalar")
    scalars = {name: Variable(name, (), "scalar") for name in optimizer.at(1)}
    accepted = signature(optimizer.rule).parameters
    options = {k: as_node(v) for k, v in {**optimizer.options}.items() if k in accepted}
    scalars = {k: v for k, v in scalars.items() if k in accepted}
    decay = optimizer.options.get("weight_decay", 0.0)
    variables = system.variables
    clipped = {name: system.ref(equation) for name, equation in gradients.items()}
    if clip_value is not None:
        clipped = {name: _between(g, clip_value) for name, g in clipped.items()}
    if clip_norm is not None:
        clipped = _clipped(system, clipped, clip_norm, {name: rows.share for name, rows in tables.items()})
    for parameter in parameters:
        if parameter.name not in gradients or getattr(parameter, "frozen", False):
            continue
        variable, rows = variables[parameter.name], tables.get(parameter.name)
        theta = rows.at(variable) if rows else variable
        g, kept = clipped[parameter.name], theta
        if decay and (decay_biases or parameter.kind not in ("bias", "scale")):
            if optimizer.decoupled:
                kept = theta - eta * decay * theta
            else:
                g = g + decay * theta
        slots = [Variable(f"{slot}.{variable.name}", variable.axes, "state") for slot in optimizer.slots]
        results = optimizer.rule(kept, g, *(rows.at(slot) if rows else slot for slot in slots), eta=eta, **options, **scalars)
        axes = rows.axes if rows else variable.axes
        for slot, value in zip(slots, results[1:]):
            system.define(f"next.{slot.name}", value, axes=axes, role="update", layer=parameter.layer)
            replaces[f"next.{slot.name}"] = RowsOf(slot.name, rows.places) if rows else slot.name
        value = system.fold(results[0])
        system.define(f"next.{variable.name}", value, axes=axes, role="update", layer=parameter.layer, rule="update")
        replaces[f"next.{variable.name}"] = RowsOf(variable.name, rows.places) if rows else variable.name
    return system, replaces


def update_alone(parameters):
    """A system for an update whose gradients, L and J are computed elsewhere and given: (system, {parameter: its gradient})."""
    system, gradients = System(), {}
    for parameter in parameters:
        system.define(f"kept.{parameter.name}", identity(Variable(parameter.name, parameter.axes, "parameter")), axes=parameter.axes)
        gradients[parameter.name] = f"grad.{parameter.name}"
        system.define(f"grad.{parameter.name}", identity(Variable(f"given.{parameter.name}", parameter.axes, "input")),
                      axes=parameter.axes)
    for name in ("L", "J"):
        system.define(name, identity(Variable(f"given.{name}", (), "input")))
    return system, gradients


def _tables(system, gradients, parameters):
    """{table: its Rows} for tables that the step reads by lookups alone; their gradients become the rows', and their share
    of the penalty is that of the rows."""
    tables = {}
    for parameter in parameters:
        if parameter.kind == "table" and parameter.name in gradients:
            found = rows_of(system, system.variables[parameter.name], gradients[parameter.name])
            if found is not None:
                tables[parameter.name] = found
                gradients[parameter.name] = found.gradient.name
    if any(parameter.name in tables and (parameter.l2 or parameter.l1) for parameter in parameters):
        at = {name: (rows.at(rows.table), rows.share) for name, rows in tables.items()}
        terms = [term for parameter in parameters for term in penalties(parameter, *at.get(parameter.name, ()))]
        system.revise("penalty", expression=add(terms))
    return tables


def _clipped(system, gradients, limit, shares):
    """Gradients scaled together to a norm of at most ``limit``; by their largest entry first, so that no square overflows
    (the abs keeps g·unit together: products of products flatten). A row of a table that stands at several places counts
    by its share at each."""
    entries = [largest(abs(g), g.indices) if g.indices else abs(g) for g in gradients.values()]
    while len(entries) > 1:
        entries = [maximum(*pair) if len(pair) == 2 else pair[0] for pair in (entries[k:k + 2] for k in range(0, len(entries), 2))]
    unit = system.define("gradient_unit", reciprocal(maximum(entries[0], number(1e-30))), role="norm")
    squares = [total(square(abs(g * unit)) * shares.get(name, ONE), g.indices) for name, g in gradients.items()]
    norm = system.define("gradient_norm", sqrt(add(squares)), role="norm")
    scale = system.define("clip", minimum(number(1), number(limit) * unit * reciprocal(norm)), role="norm")
    return {name: g * scale for name, g in gradients.items()}


def _between(g, limit):
    from_below = minimum(g, number(limit))
    return -minimum(-from_below, number(limit))
