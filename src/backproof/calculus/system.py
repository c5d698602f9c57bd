"""Systems: ordered lists of named equations over the nodes.

Names live here and not in the nodes: ``Ref`` leaves name an equation, so a system may be recurrent while every
expression stays a tree. The same class of Equation serves the forward pass and everything derived from it.
"""

from dataclasses import dataclass, field, replace
from html import escape

from ..errors import DerivationError, ExpressionError, ShapeError
from .nodes import (Extent, Ref, Variable, as_node, as_number, is_zero, number, product,
                    split_coefficient, walk)
from .rewrites import transform

__all__ = ["Equation", "Term", "System"]


@dataclass(frozen=True)
class Term:
    """One contribution to an adjoint: which consumer it came through, and the chain-rule steps on the way.

    Each step is (rule, upstream, local): the adjoint that arrived and the local derivative that multiplied it.
    """

    value: object
    consumer: str
    steps: tuple = ()


@dataclass(frozen=True)
class Equation:
    """A named equation.

    Fields  name, expression; axes: the order in which a stored value has its indices
            role    pre_activation, activation, state, sample_loss, loss, penalty, objective, adjoint, delta, gradient, update, …
            layer   the layer it belongs to; rule: how it was obtained, in a word of the rule table
            written the expression as the textbook writes it where a stable form runs instead
            of      for an adjoint, delta or gradient: the name differentiated by
            terms   for an adjoint: its contributions with their chains
    """

    name: str
    expression: object
    axes: tuple
    role: str = ""
    layer: str | None = None
    rule: str = "definition"
    written: object = None
    of: str | None = None
    terms: tuple = ()

    @property
    def ref(self):
        return Ref(self.name, self.axes)

    def _repr_html_(self):
        return f"<code>{escape(repr(self))}</code>"

    def __repr__(self):
        return f"{self.name}[{','.join(i.name for i in self.axes)}] = {self.expression!r}"


@dataclass
class System:
    """An ordered list of named equations, the variables they read, and facts declared of both."""

    equations: dict = field(default_factory=dict)
    aliases: dict = field(default_factory=dict)
    _named: dict = field(default_factory=dict, repr=False)

    def define(self, name, expression, *, axes=None, **about):
        """Name an expression; returns its Ref. A bare Ref or variable gets an alias instead of a second name."""
        expression = as_node(expression)
        if name in self:
            raise ExpressionError(f"the name {name!r} is taken", where=repr(expression), fix="choose another name")
        if isinstance(expression, (Ref, Variable)):
            self.aliases[name] = expression.name
            return expression
        axes = expression.indices if axes is None else tuple(axes)
        if set(axes) != set(expression.indices):
            raise ShapeError(f"{name} has indices {_names(axes)}, its expression {_names(expression.indices)}",
                             where=f"{name} = {expression!r}")
        return self.append(Equation(name, expression, axes, **about))

    def append(self, equation):
        if equation.name in self:
            raise ExpressionError(f"the name {equation.name!r} is taken", where=repr(equation), fix="choose another name")
        if any(isinstance(node, Variable) and node.name == equation.name for node in walk(equation.expression)):
            raise ExpressionError(f"the equation {equation.name!r} reads a variable of its own name", where=repr(equation),
                                  fix="call one of them otherwise")
        self.equations[equation.name] = equation
        coefficient, core = split_coefficient(equation.expression)
        if core.children and not is_zero(core):
            self._named.setdefault(core, (coefficient, equation.name))
        return equation.ref

    def revise(self, name, **changes):
        """Replace fields of an equation where it stands."""
        old = self.equations[name]
        self.equations[name] = replace(old, **changes)
        coefficient, core = split_coefficient(old.expression)
        if self._named.get(core, (None, None))[1] == name:
            del self._named[core]
        coefficient, core = split_coefficient(self.equations[name].expression)
        self._named.setdefault(core, (coefficient, name))

    def copy(self):
        return System(dict(self.equations), dict(self.aliases), dict(self._named))

    def resolve(self, name):
        """The equation's or variable's own name behind an alias."""
        while name in self.aliases:
            name = self.aliases[name]
        return name

    def __contains__(self, name):
        return self.resolve(name) in self.equations

    def __getitem__(self, name):
        try:
            return self.equations[self.resolve(name)]
        except KeyError:
            raise ExpressionError(f"the system has no equation {name!r}",
                                  fix=f"one of {', '.join(self.equations)}") from None

    def __iter__(self):
        return iter(self.equations.values())

    def __len__(self):
        return len(self.equations)

    def ref(self, name):
        """A leaf for an equation or variable by name."""
        name = self.resolve(name)
        return self[name].ref if name in self.equations or name not in self.variables else self.variables[name]

    @property
    def variables(self):
        """Every variable that the equations read, by name."""
        found = {}
        for equation in self:
            for expression in (equation.expression, equation.written):
                for node in walk(expression) if expression is not None else ():
                    if isinstance(node, Variable) and found.setdefault(node.name, node) is not node:
                        raise ExpressionError(f"two variables are called {node.name!r}", where=repr(equation),
                                              fix="rename one of them")
        return found

    def definition(self, node):
        """The expression behind a Ref, or the node itself."""
        return self.equations[node.name].expression if isinstance(node, Ref) and node.name in self.equations else node

    def name_of(self, node):
        """coefficient × Ref for a node that an equation names, modulo a rational coefficient; else None."""
        if isinstance(node, (Ref, Variable, Extent)) or as_number(node) is not None:
            return None
        coefficient, core = split_coefficient(node)
        if core in self._named:
            own, name = self._named[core]
            return product([number(coefficient / own), self.equations[name].ref])
        return None

    def fold(self, expression):
        """Subexpressions that have a name replaced by it."""
        return transform(expression, self.name_of)

    def check(self):
        """Every Ref is defined, with the indices it is used with."""
        for equation in self:
            for node in walk(equation.expression):
                if isinstance(node, Ref):
                    if node.name not in self.equations:
                        raise DerivationError(f"{node.name!r} is used but never defined", where=repr(equation))
                    if set(self.equations[node.name].axes) != set(node.indices):
                        raise ShapeError(f"{node.name} is defined with indices {_names(self.equations[node.name].axes)} "
                                         f"and used with {_names(node.indices)}", where=repr(equation))
        return self

    def reads(self, name):
        """The names (equations and variables) that an equation reads."""
        return [node.name for node in walk(self.equations[name].expression) if isinstance(node, (Ref, Variable))]

    def needed_for(self, names):
        """The equations that the names need, in order of definition."""
        seen, stack = set(), [self.resolve(name) for name in names]
        while stack:
            name = stack.pop()
            if name in self.equations and name not in seen:
                seen.add(name)
                stack += self.reads(name)
        return [name for name in self.equations if name in seen]

    def restricted(self, names):
        """The system with the equations alone that the names need."""
        kept, other = set(self.needed_for(names)), self.copy()
        other.equations = {name: equation for name, equation in self.equations.items() if name in kept}
        other._named = {core: named for core, named in self._named.items() if named[1] in kept}
        return other

    def depending_on(self, names):
        """The equations whose value depends on any of the names."""
        consumers = {}
        for name in self.equations:
            for read in self.reads(name):
                consumers.setdefault(read, []).append(name)
        seen, stack = set(), list(names)
        while stack:
            for consumer in consumers.get(stack.pop(), ()):
                if consumer not in seen:
                    seen.add(consumer)
                    stack.append(consumer)
        return seen


def _names(indices):
    return "[" + ",".join(index.name for index in indices) + "]"
