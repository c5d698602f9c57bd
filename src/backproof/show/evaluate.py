"""Print trees to numbers: the check evaluates what is printed.

Reads   a tree, {name: array in stored order} and the extents at hand.
Gives   arrays. Nothing here knows how the tree came about; functions are the words of the reference engine, and f' is
        the complex step of f.
"""

import numpy as np

from ..calculus import Add, Einsum, Map, Variable
from ..engines.reference import WORD
from .trees import Axis

__all__ = ["Evaluation", "MatrixEvaluation", "apply_function", "slope"]


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
        self.axes = list(axes)
        return np.broadcast_to(np.asarray(self.value(tree)), [self.length(axis) for axis in axes])

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
        return self.over(tree, np.sum)

    def over(self, tree, reduce):
        """The body with a dimension more for each bound axis, reduced over them."""
        keep, self.axes = self.axes, [*self.axes, *tree.over]
        body = np.asarray(self.value(tree.body))
        full = [self.length(axis) for axis in tree.over]
        body = self.filled(body, len(keep), full)
        self.axes = keep
        return reduce(body, axis=tuple(range(len(keep), len(keep) + len(full))))

    @staticmethod
    def filled(body, first, full):
        """The body with its last dimensions, those of the bound axes, at full length."""
        body = body.reshape((1,) * (first + len(full) - body.ndim) + body.shape)
        return np.broadcast_to(body, [*body.shape[:first], *full])

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
        return self.over(tree, np.max if tree.kind == "max" else lambda x, axis: np.log(np.exp(x).sum(axis=axis)))

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

    def comparison(self, tree):
        a, b = self.value(tree.left), self.value(tree.right)
        return np.asarray({">": np.greater, "≤": np.less_equal, "=": np.equal}[tree.relation](a, b), float)

    def choice(self, tree):
        return np.where(self.value(tree.condition) != 0, self.value(tree.yes), self.value(tree.no))

    def cases(self, tree):
        result = 0.0
        for value, condition in tree.cases:
            result = np.where(self.outside(condition), self.value(value), result)
        return result


class MatrixEvaluation(Evaluation):
    """Evaluates matrix-form trees: every value is an array (subscripts…, rows, columns), multiplied as matrices are.

    Nothing is matched by name but the subscripts: a missing transpose shows as a wrong shape or a wrong number.
    """

    def __call__(self, line, tree):
        """The value of a line's tree with dimensions in the stored order of its left-hand side."""
        left = line.left
        if not hasattr(left, "matrix"):                                      # blocks side by side: the matrix as it stands
            self.axes = []
            result = np.asarray(self.value(tree))
            return result.reshape(result.shape[-2:])
        self.axes = [axis for axis in line.free if axis not in (left.rows, left.columns)]
        result = np.asarray(self.value(tree))
        rows, columns = (1 if axis is None else self.length(axis) for axis in (left.rows, left.columns))
        own = [axis for axis in line.free if axis not in (left.rows, left.columns)]
        shape = [self.length(axis) if axis in own else 1 for axis in self.axes]
        if result.shape[-2:] not in ((rows, columns),) and result.ndim >= 2:
            raise ValueError(f"{result.shape[-2:]} where {(rows, columns)} is defined")
        result = np.broadcast_to(result, [*shape, rows, columns])
        kept = [k for k, axis in enumerate(self.axes) if axis in own]
        result = result.reshape([shape[k] for k in kept] + [rows, columns])
        order = [*(self.axes[k] for k in kept), left.rows, left.columns]
        result = result.reshape([n for n, axis in zip(result.shape, order) if axis is not None])
        order = [axis for axis in order if axis is not None]
        return result.transpose([order.index(axis) for axis in line.free])

    def scalar(self, array):
        return np.asarray(array)[..., None, None]

    def number(self, tree):
        return np.full((1, 1), float(tree.value))

    def extent(self, tree):
        return np.full((1, 1), float(self.extents[tree.symbol]) ** tree.power)

    def symbol(self, tree):
        matrix = [axis for axis in (tree.rows, tree.columns) if axis is not None]
        keep = self.axes
        self.axes = [*keep, *matrix]
        edge, plain = tree.edge, tree
        if edge is not None:
            plain = type(tree)(tree.name, tree.places, None, tree.rows, tree.columns, True)
        array = super().symbol(plain)
        self.axes = keep
        if tree.rows is None:
            array = array[..., None]
        if tree.columns is None:
            array = array[..., None]
        shifted = [p for p in tree.places if isinstance(p.at, Axis) and p.offset and p.at.index.kind == "time"]
        if edge is None or not shifted:
            return array
        place, = shifted
        steps = np.arange(self.length(place.at)) + place.offset
        outside = ((steps < 0) | (steps >= self.length(place.at))).reshape(
            [*(-1 if axis is place.at else 1 for axis in keep), 1, 1])
        return np.where(outside, self.value(edge), array)

    def sized(self, axis):
        return 1 if axis is None else self.length(axis)

    def entrywise(self, values):
        """Arrays of one shape; numbers (1 × 1) go with any."""
        shapes = {v.shape[-2:] for v in values} - {(1, 1)}
        if len(shapes) > 1:
            raise ValueError(f"entries of {shapes} do not go together")
        return values

    def plus(self, tree):
        values = self.entrywise([np.asarray(self.value(term)) for _, term in tree.terms])
        return sum(float(w) * value for (w, _), value in zip(tree.terms, values))

    def product(self, tree):
        values = [self.value(factor) for factor in tree.factors]
        if any(v.shape[-2:] != (1, 1) for v in values[:-1]):
            raise ValueError("only scalars stand before a matrix")
        result = values[0]
        for value in values[1:]:
            result = result * value
        return result

    @staticmethod
    def filled(body, first, full):
        body = body.reshape((1,) * (first + len(full) + 2 - body.ndim) + body.shape)
        return np.broadcast_to(body, [*body.shape[:first], *full, *body.shape[-2:]])

    def quotient(self, tree):
        return self.value(tree.top) / self.value(tree.bottom)

    def hadamard(self, tree):
        values = self.entrywise([self.value(factor) for factor in tree.factors])
        result = values[0]
        for value in values[1:]:
            result = result * value
        return result

    def divide(self, tree):
        top, bottom = self.entrywise([self.value(tree.top), self.value(tree.bottom)])
        return top / bottom

    def matmul(self, tree):
        result = self.value(tree.factors[0])
        for factor in tree.factors[1:]:
            result = result @ self.value(factor)
        return result

    def norm(self, tree):
        body = self.value(tree.body)
        return (body * body).sum(axis=(-2, -1), keepdims=True)

    def transpose(self, tree):
        return np.swapaxes(self.value(tree.body), -1, -2)

    def diagonal(self, tree):
        body = self.value(tree.body)
        return body * np.eye(body.shape[-2])

    def ones(self, tree):
        return np.ones((self.sized(tree.rows), self.sized(tree.columns)))

    def stack(self, tree):
        blocks = [np.asarray(self.value(block)) for block in tree.blocks]
        side = -1 if tree.down else -2                                       # a lone number fills its block
        wide = max(block.shape[side] for block in blocks)
        blocks = [np.repeat(b, wide, axis=side) if b.shape[side] == 1 else b for b in blocks]
        outer = np.broadcast_shapes(*(b.shape[:-2] for b in blocks))
        return np.concatenate([np.broadcast_to(b, (*outer, *b.shape[-2:])) for b in blocks], axis=-2 if tree.down else -1)

    def block(self, tree):
        body = self.value(tree.body)
        return body[..., tree.start:tree.stop, :] if tree.down else body[..., tree.start:tree.stop]

    def indicator(self, tree):
        ids = self.value(tree.ids)
        places = np.arange(self.length(tree.axis))
        return np.asarray(ids == (places[:, None] if tree.down else places), float)

    def softmax(self, tree):
        e = np.exp(self.value(tree.body))
        return e / e.sum(axis=-2 if tree.down else -1, keepdims=True)

    def outside(self, tree):
        return super().outside(tree)[..., None, None]

