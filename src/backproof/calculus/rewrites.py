"""Rewrites: how one expression becomes another, each under a name.

substitute   leaves replaced by expressions, indices by indices
transform    a rule applied to every node, children first
rules        named pairs (pattern, result); the stable forms run, the textbook forms print

A rule that is valid only on paper (x · 1/x → 1 changes what NaN does) is marked so and never enters a program.
"""

from fractions import Fraction

from . import nodes as _n

__all__ = ["substitute", "transform", "rebuild", "size", "expand", "factor_out"]


def rebuild(node, children, indices=None):
    """The same kind of node over other children, through the normalising constructors."""
    to = (indices or {}).get
    move = lambda index: to(index, index)                                                        # noqa: E731
    if isinstance(node, _n.Einsum):
        summed = {move(index) for index in node.summed}
        out = {move(index) for index in node.indices}.union(*(child.indices for child in children)) - summed
        return _n.product([_n.number(node.coefficient), *children], out=out)
    if isinstance(node, _n.Add):
        return _n.add(children, node.coefficients)
    if isinstance(node, _n.Map):
        return _n.Map(node.function, children)
    if isinstance(node, _n.Reduce):
        return _n.Reduce(node.kind, children[0], [move(index) for index in node.over])
    if isinstance(node, _n.OneHot):
        return _n.one_hot(children[0], move(node.index))
    if isinstance(node, _n.Rename):
        return _n.rename(children[0], {move(old): move(new) for old, new in node.pairs})
    if isinstance(node, _n.Join):
        return _n.join(children, [move(part) for part in node.parts], move(node.index))
    if isinstance(node, _n.Slice):
        return _n.slice_(children[0], move(node.index), node.start, move(node.new))
    if isinstance(node, _n.Shift):
        return _n.shift(children[0], move(node.time), node.step, children[1])
    if isinstance(node, _n.Edge):
        return _n.edge(children[0], move(node.time), node.which)
    if isinstance(node, _n.Scaled):
        return _n.scaled(*children)
    return node


def substitute(node, mapping, indices=None):
    """Leaves (or whole subexpressions) replaced by others, indices by indices."""
    done = dict(mapping)
    indices = indices or {}
    for current in _n.walk(node):
        if current in done:
            continue
        if not current.children and not isinstance(current, _n.Einsum):
            done[current] = _n.rename(current, {i: indices[i] for i in current.indices if i in indices})
        else:
            children = tuple(done[child] for child in current.children)
            same = all(new is old for new, old in zip(children, current.children))
            done[current] = current if same and not indices else rebuild(current, children, indices)
    return done[node]


def transform(node, rule):
    """Apply rule(node) -> node or None to every node, children first, once."""
    done = {}
    for current in _n.walk(node):
        children = tuple(done[child] for child in current.children)
        new = current if all(a is b for a, b in zip(children, current.children)) else rebuild(current, children)
        ruled = rule(new)
        done[current] = new if ruled is None else ruled
    return done[node]


def size(node):
    """How much a reader meets: leaves and functions; numbers, sums and products bind them for free."""
    count, stack = 0, [node]
    while stack:
        current = stack.pop()
        count += not isinstance(current, (_n.Einsum, _n.Add)) or bool(getattr(current, "summed", ()))
        stack += current.children
    return count


def expand(node):
    """Products of sums multiplied out at the root (sums of products; contractions stay)."""
    terms = []
    for coefficient, term in (node.terms if isinstance(node, _n.Add) else [(Fraction(1), node)]):
        parts = [(coefficient, [])]
        factors = term.children if isinstance(term, _n.Einsum) and not term.summed else (term,)
        if isinstance(term, _n.Einsum) and not term.summed:
            parts = [(coefficient * term.coefficient, [])]
        for factor in factors:
            if isinstance(factor, _n.Add) and len(parts) * len(factor.children) <= 64:
                parts = [(c * k, [*p, t]) for c, p in parts for k, t in factor.terms]
            else:
                parts = [(c, [*p, factor]) for c, p in parts]
        terms += [_n.product([_n.number(c), *p]) for c, p in parts]
    return _n.add(terms, out=node.indices)


def factor_out(node):
    """Factors common to all terms of a sum, extracted once at the root."""
    if not isinstance(node, _n.Add):
        return node
    split = [(c, list(t.children) if isinstance(t, _n.Einsum) and not t.summed else [t]) for c, t in node.terms]
    common = [f for f in dict.fromkeys(split[0][1]) if all(f in factors for _, factors in split)]
    if not common:
        return node
    rest = []
    for coefficient, factors in split:
        for factor in common:
            factors.remove(factor)
        rest.append(_n.product([_n.number(coefficient), *factors]))
    return _n.product([*common, _n.add(rest)], out=node.indices)
