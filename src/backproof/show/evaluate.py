"""Print trees to numbers: the check evaluates what is printed.

Reads   a tree, {name: array in stored order} and the extents at hand.
Gives   arrays. Nothing here knows how the tree came about; functions are the words of the reference engine, and f' is
        the complex step of f.
"""

import numpy as np

from ..calculus import Add, Einsum, Map, Variable
from ..engines.reference import WORD
from .trees import Axis, axes_of

__all__ = ["Evaluation", "apply_function", "slope"]


def apply_function(function, operands):
    """The value of an elementwise function at arrays, by the words of the reference engine."""
    if function.value is None:
        return WORD[function.name](*operands)
    return _template(function.value, {p: x for p, x in zip(function.placeholders, operands)})


def _template(node, values):
    if node in values:
        return values[node]
    if isinstance(node, Einsum):
        result = np.asarray(float(node.coefficient))
        for factor in node.factors:
            result = result * _template(factor, values)
        return result
    if isinstance(node, Add):
        return sum(float(w) * _template(term, values) for w, term in node.terms)
    if isinstance(node, Map):
        return apply_function(node.function, [np.asarray(_template(child, values)) for child in node.children])
    raise TypeError(f"{type(node).__name__} in an elementwise function" if not isinstance(node, Variable) else node.name)


def slope(function, operands, position, h=1e-20):
    """∂f/∂operand by the complex step."""
    moved = [np.asarray(x, complex) for x in operands]
    moved[position] = moved[position] + 1j * h
    return np.asarray(apply_function(function, moved)).imag / h


class Evaluation:
    """Evaluates index-form trees over one instance; every array gets one dimension per axis of the formula."""

    def __init__(self, values, extents):
        self.values, self.extents = values, extents

    def __call__(self, tree, axes):
        """The value of a tree with dimensions in the order ``axes``."""
        self.axes = [*axes, *(axis for axis in axes_of(tree) if axis not in axes)]
        result = np.asarray(self.value(tree))
        shape = [self.length(axis) for axis in axes] + [1] * (len(self.axes) - len(axes))
        return np.broadcast_to(result, shape).reshape(shape[:len(axes)])

    def length(self, axis):
        extent = axis.index.extent
        return extent if isinstance(extent, int) else self.extents[extent]

    def value(self, tree):
        return getattr(self, type(tree).__name__.lower())(tree)

    def dimension(self, axis):
        return self.axes.index(axis)

    # -- one method per node -------------------------------------------------------------------------------------------

    def number(self, tree):
        return np.asarray(float(tree.value))

    def extent(self, tree):
        return np.asarray(float(self.extents[tree.symbol]) ** tree.power)

    def symbol(self, tree):
        array = np.asarray(self.values[tree.name])
        for k, place in enumerate(tree.places):
            array = self.placed(array, k, place, tree)
        labels = [place.at for place in tree.places]
        keep = [k for k, label in enumerate(labels) if isinstance(label, Axis)]
        array = array.reshape([array.shape[k] for k in keep])
        labels = [labels[k] for k in keep]
        array = array.transpose(sorted(range(len(labels)), key=lambda k: self.dimension(labels[k])))
        shape = [1] * len(self.axes)
        for label, length in zip(sorted(labels, key=self.dimension), array.shape):
            shape[self.dimension(label)] = length
        array = array.reshape(shape)
        shifted = [p for p in tree.places if isinstance(p.at, Axis) and p.offset and p.at.index.kind == "time"]
        if not shifted:
            return array
        place, = shifted                                                # outside the time range stands the edge
        edge = np.asarray(0.0 if tree.edge is None else self.value(tree.edge))
        steps = np.arange(self.length(place.at)) + place.offset
        outside = ((steps < 0) | (steps >= self.length(place.at))).reshape(
            [-1 if axis is place.at else 1 for axis in self.axes])
        return np.where(outside, edge, array)

    def placed(self, array, k, place, tree):
        """The array along dimension k as the place reads it; entries outside the range are repeated, later replaced."""
        count = array.shape[k]
        if isinstance(place.at, Axis):
            if not place.offset and count == self.length(place.at):
                return array
            return array.take(np.clip(np.arange(self.length(place.at)) + place.offset, 0, count - 1), axis=k)
        position = (0 if place.at == "first" else count - 1) + place.offset
        if 0 <= position < count:
            return array.take([position], axis=k)
        raise IndexError(f"{tree.name} is read outside its range")

    def product(self, tree):
        result = self.value(tree.factors[0])
        for factor in tree.factors[1:]:
            result = result * self.value(factor)
        return result

    def sum(self, tree):
        body = np.asarray(self.value(tree.body))
        body = np.broadcast_to(body, np.broadcast_shapes(body.shape, [1] * len(self.axes)))
        for axis in tree.over:
            k = self.dimension(axis)
            body = body.sum(axis=k, keepdims=True) if body.shape[k] > 1 else body * self.length(axis)
        return body

    def plus(self, tree):
        return sum(float(w) * self.value(term) for w, term in tree.terms)

    def apply(self, tree):
        operands = [np.asarray(self.value(operand)) for operand in tree.operands]
        if tree.prime is not None:
            return slope(tree.function, operands, tree.prime)
        return np.asarray(apply_function(tree.function, operands), float)

    def power(self, tree):
        return self.value(tree.body) ** tree.exponent

    def quotient(self, tree):
        return self.value(tree.top) / self.value(tree.bottom)

    def reduction(self, tree):
        body = np.asarray(self.value(tree.body))
        over = tuple(self.dimension(axis) for axis in tree.over)
        if tree.kind == "max":
            return body.max(axis=over, keepdims=True)
        return np.log(np.exp(body).sum(axis=over, keepdims=True))

    def softmax(self, tree):
        e = np.exp(self.value(tree.body))
        return e / e.sum(axis=self.dimension(tree.over), keepdims=True)

    def iverson(self, tree):
        axis = tree.axis.at
        grid = (np.arange(self.length(axis)) + tree.axis.offset).reshape([-1 if a is axis else 1 for a in self.axes])
        return np.asarray(np.asarray(self.value(tree.ids)) == grid, float)

    def outside(self, tree):
        count = self.length(tree.axis)
        steps = np.arange(count)
        holds = {"first": steps == 0, "last": steps == count - 1, "later": steps > 0, "earlier": steps < count - 1,
                 "range": (steps >= tree.start) & (steps < tree.stop)}[tree.kind]
        return holds.reshape([-1 if axis is tree.axis else 1 for axis in self.axes])

    def cases(self, tree):
        result = 0.0
        for value, condition in tree.cases:
            result = np.where(self.outside(condition), self.value(value), result)
        return result
