"""A second meaning of expressions, as short as possible and independent of lowering: NumPy over whole arrays.

Reads   an expression, or a system with the values of its variables, and the extents of N and T.
Gives   arrays whose axes follow ``indices`` (a node) or ``axes`` (an equation). Recurrent systems are evaluated again and
        again, from zero, until nothing changes: the step after the last one that can still change.
"""

import numpy as np

from backproof.calculus import (Add, Edge, Einsum, Extent, Join, Map, OneHot, Ref, Rename, Scaled, Shift, Slice,
                                Variable, substitute)
from backproof.engines.reference import WORD


def aligned(array, own, wanted, extents):
    """An array over the indices ``own`` as one over ``wanted``, repeated along those that it lacks."""
    order = [own.index(index) for index in wanted if index in own]
    shape = [length(index, extents) if index in own else 1 for index in wanted]
    return np.broadcast_to(np.transpose(array, order).reshape(shape), [length(index, extents) for index in wanted])


def length(index, extents):
    return extents.get(index.extent, index.extent)


def value(node, known, extents):
    """The array of an expression; ``known`` has arrays by the name of Variables (their axes) and Refs (their indices)."""
    def of(child, wanted):
        return aligned(value(child, known, extents), child.indices, wanted, extents)
    if isinstance(node, Variable):
        return aligned(known[node.name], node.axes, node.indices, extents)
    if isinstance(node, Ref):
        return known[node.name]
    if isinstance(node, Extent):
        return np.array(float(extents[node.symbol]) ** node.power)
    if isinstance(node, Einsum):
        every = (*node.indices, *node.summed)
        result = np.broadcast_to(np.array(float(node.coefficient)), [length(i, extents) for i in every])
        for factor in node.factors:
            result = result * of(factor, every)
        return result.sum(axis=tuple(range(len(node.indices), len(every))))
    if isinstance(node, Add):
        return sum(float(c) * of(term, node.indices) for c, term in node.terms)
    if isinstance(node, Map):
        operands = [of(child, node.indices) for child in node.children]
        if node.function.value is None:
            return WORD[node.function.name](*map(np.asarray, operands))
        inside = {p.name: a for p, a in zip(node.function.placeholders, operands)}
        return elementwise_value(node.function.value, inside)
    if node.__class__.__name__ == "Reduce":
        every = (*node.indices, *node.over)
        x, axes = of(node.operand, every), tuple(range(len(node.indices), len(every)))
        return x.max(axis=axes) if node.kind == "max" else np.log(np.exp(x).sum(axis=axes))
    if isinstance(node, OneHot):
        ids = of(node.ids, node.indices)
        shape = [-1 if index == node.index else 1 for index in node.indices]
        return (ids == np.arange(node.index.extent).reshape(shape)) * 1.0
    if isinstance(node, Rename):
        pairs = dict(node.pairs)
        return aligned(value(node.operand, known, extents), tuple(pairs.get(i, i) for i in node.operand.indices),
                       node.indices, extents)
    if isinstance(node, Join):
        parts = [of(child, tuple(own if i == node.index else i for i in node.indices))
                 for child, own in zip(node.children, node.parts)]
        return np.concatenate(parts, axis=node.indices.index(node.index))
    if isinstance(node, Slice):
        inner = tuple(node.index if i == node.new else i for i in node.indices)
        return np.take(of(node.operand, inner), range(node.start, node.start + node.new.extent), inner.index(node.index))
    if isinstance(node, Shift):
        axis, steps = node.indices.index(node.time), extents[node.time.extent]
        x, border = of(node.operand, node.indices), np.expand_dims(value(node.edge, known, extents), axis)
        if node.step > 0:
            return np.concatenate([border, np.take(x, range(steps - 1), axis)], axis)
        return np.concatenate([np.take(x, range(1, steps), axis), border], axis)
    if isinstance(node, Edge):
        return np.take(value(node.operand, known, extents), 0 if node.which == "first" else -1,
                       node.operand.indices.index(node.time))
    if isinstance(node, Scaled):
        return value(node.operand, known, extents)
    raise AssertionError(f"no meaning for {type(node).__name__}")


def elementwise_value(template, known):
    """A template of an elementwise function over arrays that broadcast by position."""
    if isinstance(template, Variable):
        return known[template.name]
    if isinstance(template, Einsum):
        return float(template.coefficient) * np.prod([elementwise_value(f, known) for f in template.factors], axis=0)
    if isinstance(template, Add):
        return sum(float(c) * elementwise_value(t, known) for c, t in template.terms)
    if template.function.value is not None:
        return elementwise_value(substitute(template.function.value, dict(zip(template.function.placeholders,
                                                                              template.children))), known)
    return WORD[template.function.name](*(np.asarray(elementwise_value(c, known)) for c in template.children))


def values(system, known, extents):
    """Every equation's array by name, axes as its ``axes``; a circle is evaluated until it stands still."""
    found = {**known, **{e.name: np.zeros([length(i, extents) for i in e.expression.indices]) for e in system}}
    for _ in range(extents.get("T", 1) * len(system) + 1):
        before = dict(found)
        for equation in system:
            found[equation.name] = value(equation.expression, found, extents)
        if all(np.array_equal(found[name], before[name]) for name in system.equations):
            return {e.name: aligned(found[e.name], e.expression.indices, e.axes, extents) for e in system}
    raise AssertionError("the system does not come to rest")
