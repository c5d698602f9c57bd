"""Print trees as plain data: what the pages' script reads, and evaluates with the recorded numbers.

Reads   trees in index form.
Gives   nested lists [kind, …]; an axis is a number within its line. Composed functions travel as expressions.
"""

from ..calculus import Add, Einsum, Map, as_number
from .trees import Axis, Symbol

__all__ = ["LineData"]


class LineData:
    """Turns the trees of one line into data; ``axes`` lists its axes, ``slopes`` the (function, z) whose f' is read."""

    def __init__(self, functions):
        self.functions, self.axes, self.slopes = functions, [], {}

    def axis(self, axis):
        if axis not in self.axes:
            self.axes.append(axis)
        return self.axes.index(axis)

    def place(self, place):
        return [self.axis(place.at) if isinstance(place.at, Axis) else place.at, place.offset]

    def tree(self, tree):
        """The data of a tree."""
        return getattr(self, type(tree).__name__.lower())(tree)

    def number(self, tree):
        return ["num", float(tree.value), str(tree.value)]

    def extent(self, tree):
        return ["ext", tree.symbol, tree.power]

    def symbol(self, tree):
        return [
            "sym",
            tree.name,
            [self.place(place) for place in tree.places],
            None if tree.edge is None else self.tree(tree.edge),
        ]

    def product(self, tree):
        return ["prod", [self.tree(factor) for factor in tree.factors]]

    def sum(self, tree):
        return ["sum", [self.axis(axis) for axis in tree.over], self.tree(tree.body)]

    def plus(self, tree):
        return ["plus", [[float(w), self.tree(term)] for w, term in tree.terms]]

    def apply(self, tree):
        name, operand = tree.function.name, tree.operands[0]
        if tree.prime is not None and isinstance(operand, Symbol):
            self.slopes[f"slope.{name}.{operand.name}"] = tree.function, operand.name
            return ["slope", name, self.tree(operand), f"slope.{name}.{operand.name}"]
        declare(tree.function, self.functions)
        return ["fn", name, [self.tree(part) for part in tree.operands]]

    def power(self, tree):
        return ["pow", self.tree(tree.body), tree.exponent]

    def quotient(self, tree):
        return ["quo", self.tree(tree.top), self.tree(tree.bottom)]

    def reduction(self, tree):
        return ["red", tree.kind, [self.axis(axis) for axis in tree.over], self.tree(tree.body)]

    def softmax(self, tree):
        return ["softmax", self.tree(tree.body), self.axis(tree.over)]

    def iverson(self, tree):
        return ["iv", self.tree(tree.ids), self.place(tree.axis)]

    def cases(self, tree):
        return ["cases", [[self.tree(value), self.axis(c.axis), c.kind, c.start, c.stop] for value, c in tree.cases]]

    def comparison(self, tree):
        return ["cmp", tree.relation, self.tree(tree.left), self.tree(tree.right)]

    def choice(self, tree):
        return ["choice", self.tree(tree.condition), self.tree(tree.yes), self.tree(tree.no)]


def declare(function, functions):
    """Put the expression of a composed function, and of those that it uses, into ``functions``."""
    if function.value is not None and function.name not in functions:
        functions[function.name] = template(
            function.value, dict(zip(function.placeholders, range(function.arity))), functions
        )


def template(node, arguments, functions):
    if node in arguments:
        return ["arg", arguments[node]]
    value = as_number(node)
    if value is not None:
        return ["num", float(value), str(value)]
    if isinstance(node, Einsum):
        return [
            "prod",
            [
                ["num", float(node.coefficient), str(node.coefficient)],
                *(template(factor, arguments, functions) for factor in node.factors),
            ],
        ]
    if isinstance(node, Add):
        return ["plus", [[float(w), template(term, arguments, functions)] for w, term in node.terms]]
    if isinstance(node, Map):
        declare(node.function, functions)
        return ["fn", node.function.name, [template(child, arguments, functions) for child in node.children]]
    raise TypeError(f"{node!r} in an elementwise function")
