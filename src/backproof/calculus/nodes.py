"""The closed set of nodes: every network, loss, gradient and optimizer is a tree of these.

Nodes are immutable and interned: building the same node twice gives the same object, so ``==`` is identity.
A node knows its free indices, its children and a digest of its content by which commutative operands are sorted;
nothing depends on creation order. References to named equations are ``Ref`` leaves, so trees stay trees where the
system is recurrent. Coefficients are exact fractions.

The constructors normalise: products flatten pure products only (a contraction is a barrier), sums flatten sums,
like terms merge, shifts of equal step merge, extents multiply out. They never reorder what rounds differently at run
time except by collecting exact coefficients.
"""

from fractions import Fraction
from hashlib import blake2b
from weakref import WeakValueDictionary

from ..errors import ExpressionError, ShapeError
from .indices import Index, canonical, merge

__all__ = [
    "Node", "Variable", "Ref", "Extent", "Einsum", "Add", "Map", "Reduce", "OneHot", "Rename", "Join", "Slice",
    "Shift", "Edge", "Scaled", "ONE", "as_node", "number", "zero", "product", "add", "total", "mean", "extent",
    "logsumexp", "largest", "one_hot", "rename", "join", "slice_", "shift", "edge", "scaled", "broadcast",
    "is_zero", "as_number", "split_coefficient", "walk", "resolve_index",
]

_interned = WeakValueDictionary()


class Node:
    """A symbolic tensor: operators build products, sums and elementwise functions of nodes and numbers.

    Division, powers, comparisons and abs need elementwise functions and are attached where those are declared.
    """

    __slots__ = ("data", "children", "indices", "digest", "leaves", "__weakref__")

    @classmethod
    def _make(cls, data, children, indices):
        key = (cls, data, children)
        node = _interned.get(key)
        if node is None:
            node = object.__new__(cls)
            node.data, node.children, node.indices = data, children, canonical(indices)
            content = repr((cls.__name__, data, [child.digest for child in children]))
            node.digest = blake2b(content.encode(), digest_size=8).hexdigest()
            node.leaves = (node.title(),) if not children else tuple(sorted(set().union(*(c.leaves for c in children))))
            _interned[key] = node
        return node

    def title(self):
        """How errors call this node."""
        return getattr(self, "name", None) or type(self).__name__.lower()

    def order(self):
        """The sort key of commutative operands: leaves by name, then the rest by the names in it, last by content."""
        return (1 if self.children else 0, self.leaves, self.digest)

    def __add__(self, other): return add([self, as_node(other)])
    def __radd__(self, other): return add([as_node(other), self])
    def __sub__(self, other): return add([self, as_node(other)], [1, -1])
    def __rsub__(self, other): return add([as_node(other), self], [1, -1])
    def __neg__(self): return product([number(-1), self])
    def __pos__(self): return self
    def __mul__(self, other): return product([self, as_node(other)])
    __rmul__ = __mul__

    def __bool__(self):
        raise ExpressionError("a symbolic comparison has no truth value", fix="select(condition, a, b)")

    def __iter__(self):
        raise ExpressionError("an expression cannot be iterated over", fix="total(x, over=index)")

    def __array__(self, *_, **__):
        raise ExpressionError("a symbolic expression cannot become an array", fix="use backproof's functions, not NumPy's")

    def __deepcopy__(self, memo):
        return self                                            # interned and immutable

    def __reduce__(self):
        raise TypeError("nodes are not pickled; save the description of the network instead")


def _field(position):
    return property(lambda self: self.data[position])


class _Facts(tuple):
    """Facts compared by what they print: Python's True == 1 == 1.0 would make one node of different ones."""
    __slots__ = ()
    __hash__ = tuple.__hash__

    def __eq__(self, other):
        return repr(self) == repr(other)


class Variable(Node):
    """A tensor given from outside. Roles: input, target, weight, mask, parameter, scalar, state, noise, placeholder."""
    __slots__ = ()
    name, axes, role, integer, facts = (_field(k) for k in range(5))

    def __new__(cls, name, axes=(), role="input", integer=False, facts=()):
        axes = tuple(axes)
        if len(set(axes)) != len(axes):
            raise ShapeError(f"{name} has an index twice: {', '.join(i.name for i in axes)}",
                             fix="give a square matrix its second index by index.primed()")
        return cls._make((name, axes, role, bool(integer), _Facts(facts)), (), axes)


class Ref(Node):
    """A named equation of the system, by name."""
    __slots__ = ()
    name = _field(0)

    def __new__(cls, name, indices=()):
        return cls._make((name, canonical(indices)), (), indices)


class Extent(Node):
    """A symbolic extent to a power: N, T, 1/N."""
    __slots__ = ()
    symbol, power = (_field(k) for k in range(2))

    def __new__(cls, symbol, power=1):
        return cls._make((symbol, power), (), ())

    def order(self):
        return (-1, (self.symbol,), self.digest)


class Einsum(Node):
    """coefficient × product of factors, summed over every index that is not free; a missing free index broadcasts."""
    __slots__ = ()
    coefficient = _field(0)
    factors = property(lambda self: self.children)

    @property
    def summed(self):
        return canonical(set().union(*(f.indices for f in self.children)) - set(self.indices)) if self.children else ()


class Add(Node):
    """Sum of coefficient × term; terms with fewer indices broadcast."""
    __slots__ = ()
    coefficients = _field(0)
    terms = property(lambda self: tuple(zip(self.data[0], self.children)))


class Map(Node):
    """An elementwise function of one or more operands."""
    __slots__ = ()
    function = _field(0)

    def __new__(cls, function, operands):
        operands = tuple(as_node(operand) for operand in operands)
        return cls._make((function,), operands, merge(operands))


class Reduce(Node):
    """max (ties share the derivative equally) or logsumexp over indices."""
    __slots__ = ()
    kind, over = (_field(k) for k in range(2))
    operand = property(lambda self: self.children[0])

    def __new__(cls, kind, operand, over):
        over = canonical(over)
        return cls._make((kind, over), (operand,), set(operand.indices) - set(over))


class OneHot(Node):
    """[ids = v]: 1 where the integer tensor equals the index v, else 0."""
    __slots__ = ()
    index = _field(0)
    ids = property(lambda self: self.children[0])

    def __new__(cls, ids, index):
        return cls._make((index,), (ids,), (*ids.indices, index))


class Rename(Node):
    """The same numbers with indices renamed."""
    __slots__ = ()
    pairs = _field(0)
    operand = property(lambda self: self.children[0])


class Join(Node):
    """Operands laid one after another along an index."""
    __slots__ = ()
    index, parts = (_field(k) for k in range(2))      # parts: each operand's own index along the join


class Slice(Node):
    """A run of entries along an index, under an index of its own."""
    __slots__ = ()
    index, start, new = (_field(k) for k in range(3))
    operand = property(lambda self: self.children[0])


class Shift(Node):
    """The value ``step`` steps back in time; before the first (after the last) step stands the edge."""
    __slots__ = ()
    time, step = (_field(k) for k in range(2))
    operand = property(lambda self: self.children[0])
    edge = property(lambda self: self.children[1])


class Edge(Node):
    """The value at the first or last step."""
    __slots__ = ()
    time, which = (_field(k) for k in range(2))
    operand = property(lambda self: self.children[0])


class Scaled(Node):
    """Forward the operand unchanged; backward its adjoint times the factor (0 stops it, ξ truncates it)."""
    __slots__ = ()
    operand = property(lambda self: self.children[0])
    factor = property(lambda self: self.children[1])


# -------------------------------------------------------------------------------------------------- numbers

def number(value):
    """An exact constant."""
    return _einsum(_fraction(value), (), ())


def _fraction(value):
    if isinstance(value, Fraction):
        return value
    if isinstance(value, bool):
        return Fraction(int(value))
    try:
        float(Fraction(value))
        return Fraction(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ExpressionError(f"{str(value)[:40]} is not a finite number") from error


def as_node(value):
    """A node as it is; a number as a constant."""
    if isinstance(value, Node):
        return value
    if isinstance(value, (int, float, Fraction)) or (hasattr(value, "item") and getattr(value, "ndim", 1) == 0):
        return number(value.item() if hasattr(value, "item") else value)
    raise ExpressionError(f"{type(value).__name__} {value!r} is neither an expression nor a number")


def as_number(node):
    """The fraction that a constant stands for, or None."""
    return node.coefficient if isinstance(node, Einsum) and not node.children else None


def is_zero(node):
    return isinstance(node, Einsum) and node.coefficient == 0


def zero(indices=()):
    return _einsum(Fraction(0), (), canonical(indices))


def split_coefficient(node):
    """(coefficient, node without it)."""
    if isinstance(node, Einsum) and node.coefficient != 1:
        return node.coefficient, _einsum(Fraction(1), node.children, node.indices)
    return Fraction(1), node


def _einsum(coefficient, factors, out):
    if coefficient == 0:
        factors = ()
    if coefficient == 1 and len(factors) == 1 and factors[0].indices == out:
        return factors[0]
    return Einsum._make((coefficient, out), tuple(factors), out)


# -------------------------------------------------------------------------------------------------- products and sums

def extent(index, power=1):
    """How long an index is, as a node: a number or a symbol."""
    if isinstance(index.extent, int):
        return number(Fraction(index.extent) ** power)
    return Extent(index.extent, power)


def product(factors, out=None):
    """The product of factors, summed over every index not in ``out`` (None: nothing is summed).

    An index of ``out`` that no factor has broadcasts.
    """
    factors = [as_node(factor) for factor in factors]
    union = merge(factors)
    out = union if out is None else canonical(out)
    coefficient, flat, powers = Fraction(1), [], {}
    queue = list(factors)
    while queue:
        factor = queue.pop(0)
        if isinstance(factor, Einsum) and not factor.summed:
            # a pure product; an index that it merely broadcasts over and that is summed here counts its extent
            coefficient *= factor.coefficient
            queue[:0] = factor.children
        elif isinstance(factor, Extent):
            powers[factor.symbol] = powers.get(factor.symbol, 0) + factor.power
        elif isinstance(factor, Einsum) and factor.coefficient != 1:
            coefficient *= factor.coefficient
            queue.insert(0, split_coefficient(factor)[1])
        else:
            flat.append(factor)
    covered = {index for factor in flat for index in factor.indices}
    for index in union:
        if index not in covered and index not in out:
            if isinstance(index.extent, int):
                coefficient *= index.extent
            else:
                powers[index.extent] = powers.get(index.extent, 0) + 1
    if coefficient == 0:
        return zero(out)
    if coefficient == -1 and len(flat) == 1 and isinstance(flat[0], Add):                   # −(a − b) is b − a
        coefficient, flat = Fraction(1), [add(flat[0].children, [-c for c in flat[0].coefficients])]
    flat += [Extent(symbol, power) for symbol, power in powers.items() if power]
    covered = {index for factor in flat for index in factor.indices}
    kept = tuple(index for index in out if index in covered)
    if kept != out and len(kept) < len(covered):            # a sum is taken first, and repeated by a product of its own:
        flat = [_einsum(Fraction(1), tuple(sorted(flat, key=Node.order)), kept)]     # so a later sum counts what it repeats
    return _einsum(coefficient, tuple(sorted(flat, key=Node.order)), out)


def add(terms, coefficients=None, out=None):
    """Σ coefficient × term, like terms merged; ``out`` adds indices to broadcast over."""
    terms = [as_node(term) for term in terms]
    indices = merge(terms)
    if out is not None:
        indices = canonical((*indices, *out))
    collected, shifts = {}, {}
    queue = list(zip([_fraction(c) for c in coefficients or [1] * len(terms)], terms))
    while queue:
        coefficient, term = queue.pop(0)
        own, core = split_coefficient(term)
        coefficient *= own
        if coefficient == 0 or is_zero(core):
            continue
        if isinstance(core, Add):
            queue[:0] = [(coefficient * c, t) for c, t in core.terms]
        elif isinstance(core, Shift):
            shifts.setdefault((core.time, core.step), []).append((coefficient, core))
        elif isinstance(core, Einsum) and not core.summed and len(core.children) == 1 and core.children[0].indices:
            queue.insert(0, (coefficient, core.children[0]))     # a broadcast: the sum broadcasts by itself
        elif isinstance(core, Einsum) and not core.children:
            collected[ONE] = collected.get(ONE, Fraction(0)) + coefficient
        else:
            collected[core] = collected.get(core, Fraction(0)) + coefficient
    for (time, step), group in shifts.items():                  # sums of shifts of equal step merge, edges add
        if len(group) == 1:
            coefficient, merged = group[0]
        else:
            weights = [c for c, _ in group]
            coefficient, merged = Fraction(1), shift(add([s.operand for _, s in group], weights), time, step,
                                                     add([s.edge for _, s in group], weights))
            own, merged = split_coefficient(merged)
            coefficient *= own
        collected[merged] = collected.get(merged, Fraction(0)) + coefficient
    pairs = sorted(((c, t) for t, c in collected.items() if c != 0 and not is_zero(t)), key=lambda pair: pair[1].order())
    if not pairs:
        return zero(indices)
    if len(pairs) == 1:
        return product([number(pairs[0][0]), pairs[0][1]], out=indices)
    node = Add._make((tuple(c for c, _ in pairs),), tuple(t for _, t in pairs), merge([t for _, t in pairs]))
    return node if node.indices == indices else _einsum(Fraction(1), (node,), indices)


def resolve_index(node, index):
    """An index of the node, given as Index, name or letter; otherwise an error that lists what there is."""
    found = [i for i in node.indices if index in (i, i.name)] or [i for i in node.indices if index == i.letter]
    if len(found) == 1:
        return found[0]
    if found:
        raise ShapeError(f"{node.title()} has {len(found)} indices of the letter {index!r}",
                         where=f"they are called {', '.join(i.name for i in found)}", fix="give the index by its name")
    name = index.name if isinstance(index, Index) else index
    raise ShapeError(f"{node.title()} has no index {name!r}",
                     where=f"its indices are {', '.join(i.name for i in node.indices) or 'none'}")


def _over(node, over):
    over = [over] if isinstance(over, (Index, str)) else list(over)
    return {resolve_index(node, index) for index in over}


def total(x, over):
    """Σ over one or more indices (Index, name or letter)."""
    x = as_node(x)
    return product([x], out=set(x.indices) - _over(x, over))


def mean(x, over):
    """The mean over one or more indices."""
    x = as_node(x)
    over = _over(x, over)
    return product([x, *(extent(index, -1) for index in over)], out=set(x.indices) - over)


def broadcast(x, indices):
    """x repeated along the indices that it lacks."""
    return product([x], out=canonical((*x.indices, *indices)))


# -------------------------------------------------------------------------------------------------- the other nodes

def logsumexp(x, over):
    """log Σ exp(x), shifted by the maximum so that it cannot overflow."""
    return Reduce("logsumexp", x, _over(x, over))


def largest(x, over):
    """The maximum over indices; ties share the derivative equally."""
    return Reduce("max", x, _over(x, over))


def one_hot(ids, index):
    """[ids = index]."""
    if not getattr(ids, "integer", True):
        raise ShapeError(f"{ids.title()} is not an integer tensor", fix="declare it with integer=True")
    if index in ids.indices:
        raise ShapeError(f"{ids.title()} has the index {index.name!r} already", fix="look up under an index of its own")
    return OneHot(ids, index)


def rename(x, mapping):
    """x with indices renamed, {old: new}."""
    mapping = {old: new for old, new in mapping.items() if old != new and old in x.indices}
    for old, new in mapping.items():
        if old.extent != new.extent:
            raise ShapeError(f"index {old.name!r} of extent {old.extent} cannot be renamed to {new.name!r} of {new.extent}")
    if isinstance(x, Rename):
        inner = dict(x.pairs)
        composed = {old: mapping.pop(new, new) for old, new in inner.items()}
        return rename(x.operand, {**composed, **mapping})
    if not mapping:
        return x
    indices = [mapping.get(index, index) for index in x.indices]
    if len(set(indices)) != len(indices):
        raise ShapeError(f"renaming gives {x.title()} an index twice", where=", ".join(i.name for i in indices))
    if isinstance(x, Einsum) and not x.children:
        return _einsum(x.coefficient, (), canonical(indices))
    pairs = tuple(sorted(mapping.items(), key=lambda pair: pair[0].sort_key()))
    return Rename._make((pairs,), (x,), indices)


def join(operands, along, index):
    """Operands laid end to end: ``along`` names each operand's own index, ``index`` the joined one."""
    along = tuple(along)
    extents = [a.extent for a in along]
    _fixed("joined", index, *along)
    if sum(extents) != index.extent:
        raise ShapeError(f"{' + '.join(map(str, extents))} entries do not fill index {index.name!r} of extent {index.extent}")
    rest = set().union(*(set(o.indices) - {a} for o, a in zip(operands, along)))
    operands = tuple(broadcast(o, rest) for o in operands)
    if all(is_zero(o) for o in operands):
        return zero((*rest, index))
    return Join._make((index, along), operands, (*rest, index))


def _fixed(what, *indices):
    for index in indices:
        if not isinstance(index.extent, int):
            raise ShapeError(f"index {index.name!r} of extent {index.extent} cannot be {what}", fix="an extent known beforehand")


def slice_(x, index, start, new):
    """Entries start … start + extent(new) − 1 of x along an index, addressed by ``new``."""
    index = resolve_index(x, index)
    _fixed("sliced", index, new)
    if start < 0 or start + new.extent > index.extent:
        raise ShapeError(f"entries {start} to {start + new.extent - 1} do not lie in index {index.name!r} of extent {index.extent}")
    if is_zero(x):
        return zero([new if i == index else i for i in x.indices])
    if isinstance(x, Join):
        position = 0
        for operand, own in zip(x.children, x.parts):
            if position == start and own.extent == new.extent:
                return rename(operand, {own: new})
            position += own.extent
    return Slice._make((index, start, new), (x,), [new if i == index else i for i in x.indices])


def _temporal(index):
    if index.kind != "time":
        raise ShapeError(f"index {index.name!r} is of kind {index.kind!r}; steps are taken along time alone")


def shift(x, time, step, edge):
    """x at the step before (step=+1) or after (step=−1); outside stands ``edge``."""
    if step not in (1, -1):
        raise ShapeError(f"a shift goes one step, +1 or -1, not {step}", fix="shift several times")
    x, edge = as_node(x), as_node(edge)
    _temporal(time)
    if time not in x.indices:
        raise ShapeError(f"{x.title()} has no time index {time.name!r} to shift along")
    edge = broadcast(edge, set(x.indices) - {time})
    if time in edge.indices:
        raise ShapeError(f"the edge of a shift along {time.name!r} varies over it: {edge.title()}")
    if is_zero(x) and is_zero(edge):
        return x
    if is_zero(edge):
        coefficient, core = split_coefficient(x)
        if coefficient != 1:
            return product([number(coefficient), shift(core, time, step, zero(edge.indices))])
        if isinstance(x, Einsum):                 # linear: with one factor in t the shift belongs to that factor
            moving = [f for f in x.factors if time in f.indices]
            if len(moving) == 1 and time not in x.summed:
                still = [f for f in x.factors if time not in f.indices]
                return product([shift(moving[0], time, step, number(0)), *still], out=x.indices)
    return Shift._make((time, step), (x, edge), x.indices)


def edge(x, time, which):
    """x at the "first" or "last" step."""
    if which not in ("first", "last"):
        raise ShapeError(f"an edge is 'first' or 'last', not {which!r}")
    time = resolve_index(x, time)
    _temporal(time)
    if isinstance(x, Shift) and x.time == time and (x.step > 0) == (which == "first"):
        return x.edge
    if is_zero(x):
        return zero(set(x.indices) - {time})
    return Edge._make((time, which), (x,), set(x.indices) - {time})


def scaled(x, factor):
    """Forward x, backward its adjoint times the factor."""
    factor = as_node(factor)
    if as_number(factor) == 1:
        return x
    missing = set(factor.indices) - set(x.indices)
    if missing:
        raise ShapeError(f"the factor of {x.title()} has further indices {', '.join(i.name for i in canonical(missing))}")
    return Scaled._make((), (x, factor), x.indices)


def walk(node):
    """Every node of a tree once, children first."""
    seen, stack = set(), [(node, False)]
    while stack:
        current, done = stack.pop()
        if done:
            yield current
        elif current not in seen:
            seen.add(current)
            stack.append((current, True))
            stack += [(child, False) for child in reversed(current.children)]


ONE = number(1)
