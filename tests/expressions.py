"""Random expressions for property tests: each comes with the array that it should have, computed as it is built.

The array never looks at the node, so a constructor that normalises wrongly is found out.
"""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from interpreter import aligned, length

from backproof.calculus import (SAMPLE, TIME, Index, Variable, broadcast, edge, exp, join, largest, logsumexp, maximum,
                                one_hot, product, rename, scaled, shift, sigmoid, slice_, softsign, square, tanh, total)
from backproof.calculus.indices import canonical

EXTENTS = {"N": 3, "T": 4}
I, J, K = Index("i", 2, letter="i"), Index("j", 3, letter="j"), Index("k", 3, letter="k")
WIDE, PART = Index("wide", 6), Index("part", 2)
RNG = np.random.default_rng(5)


def variable(name, *axes, **how):
    return Variable(name, axes, **how)


PARAMETERS = [variable("W", I, J, role="parameter"), variable("V", K, J, role="parameter"), variable("b", J, role="parameter"),
              variable("c", role="parameter"), variable("H", TIME, SAMPLE, K, role="parameter"),
              variable("s", TIME, role="parameter")]
INPUTS = [variable("x", SAMPLE, I), variable("u", TIME, SAMPLE, J)]
IDS = [variable("ids", SAMPLE, integer=True), variable("words", TIME, SAMPLE, integer=True)]
FEEDS = {v.name: RNG.normal(size=[length(i, EXTENTS) for i in v.axes]) for v in [*PARAMETERS, *INPUTS]}
FEEDS.update({v.name: RNG.integers(0, 3, size=[length(i, EXTENTS) for i in v.axes]) for v in IDS})


@dataclass
class Meant:
    """An expression and the array that it is meant to have, over ``indices``."""

    node: object
    array: object
    indices: tuple

    def over(self, indices):
        return aligned(self.array, self.indices, indices, EXTENTS)


def leaf(v):
    return Meant(v, FEEDS[v.name], v.axes)


FUNCTIONS = {tanh: np.tanh, sigmoid: lambda x: 1 / (1 + np.exp(-x)), square: np.square, softsign: lambda x: x / (1 + abs(x)),
             exp: lambda x: np.exp(x)}


def _together(a, b):
    return canonical((*a.indices, *b.indices))


def _squash(m):
    return Meant(tanh(m.node), np.tanh(m.array), m.indices) if np.abs(m.array).max() > 3 else m


def _add(m, other, k, flag):
    out = _together(m, other)
    if flag:
        return Meant(m.node + 2 * other.node - m.node, 2 * other.over(out), out)
    return Meant(m.node - 2 * other.node, m.over(out) - 2 * other.over(out), out)


def _multiply(m, other, k, flag):
    a, b = _squash(m), _squash(other)
    out = _together(a, b)
    return Meant(a.node * b.node, a.over(out) * b.over(out), out)


def _maximum(m, other, k, flag):
    out = _together(m, other)
    return Meant(maximum(m.node, other.node), np.maximum(m.over(out), other.over(out)), out)


def _times(m, other, k, flag):
    factor = (-2.5, -1, 0.5, 3)[k % 4]
    return Meant(factor * m.node, factor * m.array, m.indices)


def _function(m, other, k, flag):
    function, m = list(FUNCTIONS)[k % len(FUNCTIONS)], _squash(m)
    return Meant(function(m.node), FUNCTIONS[function](m.array), m.indices)


def _contract(m, other, k, flag):
    """Their product, summed over the indices whose bit is set in k; repeated along i or k sometimes."""
    a, b = _squash(m), _squash(other)
    every = canonical((*_together(a, b), *((I, K)[k % 2:][:1] if flag else ())))
    summed = [index for bit, index in enumerate(every) if k >> bit & 1]
    keep = tuple(index for index in every if index not in summed)
    real = [index for index in summed if index in _together(a, b)]
    full = a.over((*keep, *real)) * b.over((*keep, *real))
    return Meant(product([a.node, b.node], out=keep), full.sum(axis=tuple(range(len(keep), full.ndim))), keep)


def _pick(m, k, kinds=("time", "sample", "unit")):
    found = [i for i in canonical(m.indices) if i.kind in kinds]
    return found[k % len(found)] if found else None


def _total(m, other, k, flag):
    index = _pick(m, k)
    if index is None:
        return m
    return Meant(total(m.node, index), m.array.sum(axis=m.indices.index(index)), tuple(i for i in m.indices if i != index))


def _broadcast(m, other, k, flag):
    out = canonical((*m.indices, (I, J, K, SAMPLE)[k % 4]))
    return Meant(broadcast(m.node, out), m.over(out), out)


def _rename(m, other, k, flag):
    swap = {i: {J: K, K: J}[i] for i in m.indices if i in (J, K)}
    return Meant(rename(m.node, swap), m.array, tuple(swap.get(i, i) for i in m.indices))


def _shift(m, other, k, flag):
    forward = flag
    if TIME not in m.indices:
        return m
    axis, border = m.indices.index(TIME), float(k % 3)
    moved = np.roll(m.array, 1 if forward else -1, axis)
    moved[tuple(slice(None) if i != TIME else 0 if forward else -1 for i in m.indices)] = border
    return Meant(shift(m.node, TIME, 1 if forward else -1, border), moved, m.indices)


def _edge(m, other, k, flag):
    first = flag
    if TIME not in m.indices:
        return m
    return Meant(edge(m.node, TIME, "first" if first else "last"),
                 np.take(m.array, 0 if first else -1, m.indices.index(TIME)), tuple(i for i in m.indices if i != TIME))


def _join(m, other, k, flag):
    twice = flag
    if J not in m.indices or WIDE in m.indices:
        return m
    axis = m.indices.index(J)
    second = m.node if twice else square(m.node)
    return Meant(join([m.node, second], [J, J], WIDE), np.concatenate([m.array, m.array if twice else m.array**2], axis),
                 tuple(WIDE if i == J else i for i in m.indices))


def _slice(m, other, k, flag):
    whole = next((i for i in m.indices if i in (J, WIDE)), None)
    if whole is None or PART in m.indices:
        return m
    start, axis = k % (whole.extent - 1), m.indices.index(whole)
    return Meant(slice_(m.node, whole, start, PART), np.take(m.array, range(start, start + 2), axis),
                 tuple(PART if i == whole else i for i in m.indices))


def _reduce(m, other, k, flag):
    soft = flag
    index = _pick(m, k, ("unit", "sample"))
    if index is None:
        return m
    m = _squash(m)
    axis, rest = m.indices.index(index), tuple(i for i in m.indices if i != index)
    return Meant(logsumexp(m.node, index), np.log(np.exp(m.array).sum(axis)), rest) if soft else \
        Meant(largest(m.node, index), m.array.max(axis), rest)


def _lookup(m, other, k, flag):
    timed = flag
    ids = IDS[timed]
    if K not in m.indices:
        return m
    out = canonical((*(i for i in m.indices if i != K), *ids.axes))
    every = (*out, K)
    hot = aligned(FEEDS[ids.name], ids.axes, every, EXTENTS) == np.arange(3)
    return Meant(product([m.node, one_hot(ids, K)], out=out), (m.over(every) * hot).sum(-1), out)


def _scaled(m, other, k, flag):
    return Meant(scaled(m.node, 1), m.array, m.indices)


RULES = (_add, _multiply, _maximum, _times, _function, _contract, _contract, _total, _broadcast, _rename, _shift, _edge, _join,
         _slice, _reduce, _lookup, _scaled)
LEAVES = [leaf(v) for v in [*PARAMETERS, *INPUTS]]


def build(first, steps):
    """The last of a list of expressions, each made by a rule from the one before and another."""
    made = [*LEAVES, LEAVES[first]]
    for rule, other, k, flag in steps:
        made.append(rule(made[-1], made[-1 - other % len(made)], k, flag))
    return made[-1]


EXPRESSIONS = st.builds(build, st.integers(0, len(LEAVES) - 1), st.lists(
    st.tuples(st.sampled_from(RULES), st.integers(0, 15), st.integers(0, 15), st.booleans()), min_size=2, max_size=14))
