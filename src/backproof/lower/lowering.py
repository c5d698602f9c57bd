"""Lowering: from a system of named equations to a Program.

Reads   a System and the names wanted.
Gives   a Program. Three passes: (1) every equation becomes *definitions*, one for each product, reduction or elementwise
        tree, with views (Rename, Slice, Shift, Edge, Scaled) resolved first; (2) a definition that is read once, whole
        and in place, is fused into its reader, so that product + bias + activation is one ``dense``; (3) loops are found
        as strongly connected components, ordered, and word lists written out.
"""

from dataclasses import dataclass, field, replace
from fractions import Fraction

from ..calculus import (FUNCTIONS, ONE, Add, Edge, Einsum, Extent, Index, Join, Map, OneHot, Reduce, Ref, Rename, Scaled, Shift, Slice,
                        Variable, as_number, product, rename, shift)
from ..calculus.indices import canonical
from ..errors import ProgramError
from .instructions import FIRST, LAST, WORDS, Instruction, Operand, RowsOf, Value, Word
from .passes import directed
from .program import Program
from .schedule import schedule

__all__ = ["lower", "Definition"]

STORAGE = {"parameter": "parameter", "state": "state", "scalar": "scalar"}


@dataclass
class Definition:
    """A value to be made: by a word tree, after a product of two operands or before a reduction."""

    name: str
    axes: tuple
    op: str                                     # map, dense, reduce, gather, scatter, onehot, join
    tree: object = None                         # map, dense, reduce
    product: tuple = ()                         # dense
    operands: tuple = ()                        # gather, scatter, onehot, join
    index: object = None
    how: str = ""
    pads: dict = field(default_factory=dict)    # side -> edge operand or tree of a constant

    def reads(self):
        """Every operand read, those of the word tree included."""
        yield from self.product
        yield from self.operands
        yield from leaves(self.tree)

    def edges(self):
        for edge in self.pads.values():
            yield from leaves(edge)


def leaves(tree):
    """The operands of a word tree. A tree is an Operand, a Fraction, ("acc",) or (word, *trees)."""
    seen, stack = set(), [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, Operand):
            if node not in seen:
                seen.add(node)
                yield node
        elif isinstance(node, tuple):
            if id(node) not in seen:
                seen.add(id(node))
                stack += reversed(node[1:])


def lower(system, outputs, *, updates=None, gradients=None, kernels=()):
    """Lower the equations that the outputs need.

    Parameters  outputs    names of equations or variables to give back
                updates    {equation: the parameter or state it replaces, or RowsOf it}; run after the loss was found finite
                gradients  {parameter: the equation of its gradient}; kept, in the gradient arena
                kernels    names of composed functions for which the engine has a word of its own
    """
    return _Lowering(system.check(), kernels).program(list(outputs), dict(updates or {}), dict(gradients or {}))


class _Lowering:
    def __init__(self, system, kernels):
        self.system, self.variables, self.kernels = system, system.variables, frozenset(kernels)
        self.definitions, self.values = {}, {}
        self.operands, self.trees = {}, {}
        self.owner, self.counter = "", {}
        self.resolved = {}

    # ------------------------------------------------------------------------------------------ pass 1: definitions

    def program(self, outputs, updates, gradients):
        wanted = [*outputs, *gradients.values(), *updates]
        tables = {name: old for name, old in updates.items() if isinstance(old, RowsOf)}
        updates = {name: old for name, old in updates.items() if name not in tables}
        for old in (*gradients, *updates.values(), *(rows.name for rows in tables.values())):
            if old not in self.variables:
                raise ProgramError(f"no equation reads {old!r}, so it has no place to be replaced or differentiated by")
        for name in self.system.needed_for(wanted):
            self.resolve(name)
        give = {name: self.given(name) for name in outputs}
        kept = {op.value for op in give.values()}
        gradient_values = {p: self.stored(name, self.axes_of(name, p)) for p, name in gradients.items()}
        replaces = {self.stored(name, self.variables[old].axes): old for name, old in updates.items()}
        rows = {self.stored(name, self.system[name].axes): (old.name, self.materialise(old.places)) for name, old in tables.items()}
        kept |= set(gradient_values.values()) | set(replaces) | set(rows)
        self.fuse(kept)
        live = self.reachable(kept)
        ordered = schedule([d for d in self.definitions.values() if d.name in live], list(self.definitions))
        late = self.reachable({*replaces, *rows}) - self.reachable(kept - {*replaces, *rows})
        early = _flatten(self.instruction(item) for item in ordered if not _belongs(item, late))
        after = _flatten(self.instruction(item) for item in ordered if _belongs(item, late))
        after = self.readers_first(after, replaces)
        used = live | {o.value for d in self.definitions.values() if d.name in live for o in (*d.reads(), *d.edges())}
        used |= {op.value for op in give.values()} | {instruction.out for instruction in after}
        values = {name: value for name, value in self.values.items() if name in used}
        return Program(values, directed(early, values), tuple(after), give, replaces, gradient_values, rows)

    def axes_of(self, gradient, parameter):
        """The axes of a gradient: its parameter's, or its own where it is that of some rows."""
        axes = self.variables[parameter].axes
        own = self.system.equations.get(self.system.resolve(gradient))
        return axes if own is None or set(own.axes) == set(axes) else own.axes

    def readers_first(self, updates, replaces):
        """Update instructions in an order in which every old value is read before it is overwritten.

        Where two would each have to wait for the other, one is computed aside and copied into place afterwards.
        """
        ordered, pending = [], list(updates)
        while pending:
            made, reads = {i.out for i in pending}, [{o.value for o in i.reads()} for i in pending]
            ready = [k for k, own in enumerate(reads) if not own & made]
            chosen = next((k for k in ready if not any(replaces.get(pending[k].out) in other
                                                       for m, other in enumerate(reads) if m != k)), None)
            if chosen is None:
                chosen = ready[0]
                new = pending[chosen].out
                axes, aside = self.values[new].axes, self.fresh(new)
                self.values[aside] = Value(aside, axes)
                pending = [replace(i, operands=_moved(i.operands, new, aside), product=_moved(i.product, new, aside)) for i in pending]
                pending[chosen] = replace(pending[chosen], out=aside)
                whole = Operand(aside, tuple((i, 0) for i in axes))
                pending.append(Instruction("map", new, (whole,), words=(Word("copy", (("r", 0),)),)))
            ordered.append(pending.pop(chosen))
        return ordered

    def reachable(self, names):
        seen, stack = set(), list(names)
        while stack:
            name = stack.pop()
            if name in self.definitions and name not in seen:
                seen.add(name)
                stack += [o.value for o in (*self.definitions[name].reads(), *self.definitions[name].edges())]
        return seen

    def resolve(self, name):
        """An equation or variable as an operand: its stored value, or the view that its right side is."""
        name = self.system.resolve(name)
        if name in self.resolved:
            return self.resolved[name]
        if name not in self.system.equations:
            if name not in self.variables:
                raise ProgramError(f"there is nothing called {name!r} to compute",
                                   fix=f"one of {', '.join([*self.variables, *self.system.equations])}")
            return self.variable(self.variables[name])
        equation = self.system.equations[name]
        if _is_view(equation.expression):
            self.owner, keep = name, self.owner
            operand = self.resolved[name] = self.view(equation.expression)
            self.owner = keep
            return operand
        operand = self.resolved[name] = Operand(name, tuple((i, 0) for i in equation.axes))
        self.owner, keep = name, self.owner
        self.make(name, equation.axes, equation.expression)
        self.owner = keep
        self.operands.setdefault(equation.expression, operand)
        return operand

    def given(self, name):
        """An output: as it lies, or copied where a view has its axes in another order than the equation."""
        operand, resolved = self.resolve(name), self.system.resolve(name)
        axes = (self.system.equations.get(resolved) or self.variables[resolved]).axes
        return operand if operand.labels == tuple(axes) else self.copied(operand, axes, name)

    def variable(self, variable):
        storage = STORAGE.get(variable.role, "input")
        value = self.values.setdefault(variable.name, Value(variable.name, variable.axes, storage, variable.integer,
                                                            facts=variable.facts))
        if value.axes != variable.axes:
            raise ProgramError(f"two variables are called {variable.name!r}")
        return Operand(variable.name, tuple((i, 0) for i in variable.axes))

    def stored(self, name, axes):
        """The name of a stored value for an equation, a copy where it is a view of another or has its axes in another order."""
        resolved = self.system.resolve(name)
        operand = self.resolve(name)
        if operand.value == resolved and operand.plain and operand.labels == tuple(axes) \
                and self.values[resolved].storage == "value":
            return resolved
        copied = name if name not in self.values else self.fresh(name)
        self.values[copied] = Value(copied, tuple(axes))
        self.definitions[copied] = Definition(copied, tuple(axes), "map", ("copy", operand))
        return copied

    def fresh(self, owner=None):
        owner = owner or self.owner
        self.counter[owner] = self.counter.get(owner, 0) + 1
        return f"{owner}.{self.counter[owner]}"

    def make(self, name, axes, node):
        """Define a value by an expression."""
        self.values[name] = Value(name, tuple(axes))
        definition = self.definitions[name] = Definition(name, tuple(axes), "map")
        simple = self.simple(node, name, axes)
        if simple is not None:
            self.definitions[name] = simple
            simple.pads = definition.pads
        else:
            definition.tree = self.tree(node, {})
        return Operand(name, tuple((i, 0) for i in axes))

    def materialise(self, node):
        """The node as an operand: an existing value or view, or a new value."""
        if _is_view(node):
            return self.view(node)
        if node not in self.operands:
            name = self.fresh()
            self.operands[node] = Operand(name, tuple((i, 0) for i in node.indices))
            self.make(name, node.indices, node)
        return self.operands[node]

    def simple(self, node, name, axes):
        """The definition of a node that is one instruction by itself: reductions, products, lookups, joins."""
        if isinstance(node, Reduce):
            return self.reduction(name, axes, node.operand, node.over, node.kind)
        if isinstance(node, OneHot):
            return Definition(name, axes, "onehot", operands=(self.materialise(node.ids),), index=node.index)
        if isinstance(node, Join):
            parts = tuple(self.materialise(child).relabel({own: Index(own.name, own.extent, own.kind, own.letter)})
                          for child, own in zip(node.children, node.parts))
            return Definition(name, axes, "join", operands=parts, index=node.index, how=",".join(p.name for p in node.parts))
        if isinstance(node, Einsum) and node.coefficient == 1 and node.summed \
                and all(set(f.indices) & set(node.summed) for f in node.factors):
            return self.contraction(list(node.factors), set(node.summed), tuple(node.indices), name, tuple(axes))
        return None

    def contraction(self, factors, summed, out, name, axes):
        """Σ over ``summed`` of factors that all carry a summed index."""
        hot = next((f for f in factors if isinstance(f, OneHot)), None)
        if hot is not None:
            rest = [f for f in factors if f is not hot]
            if hot.index in summed:                                                   # a lookup
                source = [f for f in rest if hot.index in f.indices]
                if source:
                    pairs = self.scattered(source[0], hot.index) if len(rest) == 1 and summed == {hot.index} else None
                    if pairs:
                        return Definition(name, axes, "collect", operands=(*pairs, self.materialise(hot.ids)), index=hot.index)
                    joint = self.materialise(source[0] if len(source) == 1 else product(source))
                    looked = tuple(i for i in canonical((*joint.labels, *hot.ids.indices)) if i != hot.index)
                    left = [f for f in rest if f not in source]
                    remaining = summed - {hot.index}
                    remaining = {i for i in remaining if i.extent != 1 or any(i in f.indices for f in rest)}     # a sum of one
                    looked = tuple(i for i in looked if i in remaining or i not in summed)
                    definition = Definition(name, axes, "gather", operands=(joint, self.materialise(hot.ids)), index=hot.index)
                    if not left and not remaining:
                        return definition
                    gathered = self.fresh()
                    self.values[gathered] = Value(gathered, looked)
                    self.definitions[gathered] = replace(definition, name=gathered, axes=looked)
                    leaf = Ref(gathered, looked)
                    self.resolved[gathered] = Operand(gathered, tuple((i, 0) for i in looked))
                    return self.sum_of(product([leaf, *left], out=out), name, axes)
            elif not set(hot.ids.indices) & set(out) and all(hot.index not in f.indices for f in rest):    # its adjoint
                own = set(hot.ids.indices)
                keep = canonical((*out, *own))
                source = product(rest, out=[i for i in keep if i != hot.index])
                return Definition(name, axes, "scatter", operands=(self.materialise(source), self.materialise(hot.ids)),
                                  index=hot.index)
        # an index that one factor alone carries is summed there first
        if len(factors) > 1:
            for k, factor in enumerate(factors):
                others = set().union(*(f.indices for j, f in enumerate(factors) if j != k))
                alone = {i for i in factor.indices if i in summed and i not in others}
                if alone:
                    factors = [*factors]
                    factors[k] = product([factor], out=set(factor.indices) - alone)
                    return self.sum_of(product(factors, out=out), name, axes)
        if len(factors) == 1:
            return self.reduction(name, axes, factors[0], summed, "sum")
        if len(factors) == 2:
            a, b = factors
            if a.indices != b.indices:
                return Definition(name, axes, "dense", ("acc",), (self.materialise(a), self.materialise(b)))
            return self.reduction(name, axes, product(factors), summed, "sum")
        if all(set(f.indices) == set(factors[0].indices) for f in factors):
            return self.reduction(name, axes, product(factors), summed, "sum")
        # more factors: multiply those that lie within another first, else contract the pair with the smallest result
        pairs = [(j, k) for k in range(len(factors)) for j in range(k)]
        def joined(pair):                                                                          # noqa: E306
            j, k = pair
            both = set(factors[j].indices) | set(factors[k].indices)
            needed = set(out).union(*(f.indices for m, f in enumerate(factors) if m not in pair))
            within = set(factors[j].indices) <= set(factors[k].indices) or set(factors[k].indices) <= set(factors[j].indices)
            return not within, len(both & needed), pair
        j, k = min(pairs, key=joined)
        needed = set(out).union(*(f.indices for m, f in enumerate(factors) if m not in (j, k)))
        pair = product([factors[j], factors[k]], out=(set(factors[j].indices) | set(factors[k].indices)) & needed)
        leaf = self.leaf(pair)
        return self.sum_of(product([leaf, *(f for m, f in enumerate(factors) if m not in (j, k))], out=out), name, axes)

    def scattered(self, node, index):
        """The operands source, ids, … of a named sum of scatters along an index, or None: a lookup in it needs none of it."""
        equation = self.system.equations.get(node.name) if isinstance(node, Ref) else None
        if equation is None:
            return None
        terms = equation.expression.terms if isinstance(equation.expression, Add) else [(Fraction(1), equation.expression)]
        pairs = []
        for coefficient, term in terms:
            hot = [f for f in term.factors if isinstance(f, OneHot) and f.index == index] if isinstance(term, Einsum) else []
            if coefficient != 1 or len(hot) != 1 or term.coefficient != 1 or not set(hot[0].ids.indices) == set(term.summed):
                return None
            rest = [f for f in term.factors if f is not hot[0]]
            pairs.append((self.materialise(product(rest) if rest else ONE), self.materialise(hot[0].ids)))
        pairs.sort(key=lambda pair: [offset for _, offset in pair[1].axes])                    # a window's places in their order
        return [operand for pair in pairs for operand in pair]

    def reduction(self, name, axes, node, over, how):
        tree = self.tree(node, {})
        if not set(over) <= set().union(*(operand.labels for operand in leaves(tree))):
            tree = self.materialise(node)              # it repeats along what is reduced: the repetition counts
        return Definition(name, axes, "reduce", tree, how=how)

    def leaf(self, node):
        """A node made a value now, and a Ref to it."""
        operand = self.materialise(node)
        ref = Ref(operand.value if operand.plain and operand.labels == node.indices else self.fresh(), node.indices)
        self.resolved.setdefault(ref.name, operand)
        return ref

    def sum_of(self, node, name, axes):
        simple = self.simple(node, name, axes)
        return simple if simple is not None else Definition(name, axes, "map", self.tree(node, {}))

    # ------------------------------------------------------------------------------------------ views

    def view(self, node):
        """A chain of Rename, Slice, Shift, Edge and Scaled down to a stored value."""
        if isinstance(node, Ref):
            return self.resolved.get(node.name) or self.resolve(node.name)
        if isinstance(node, Variable):
            return self.variable(node)
        if isinstance(node, Extent):
            name = f"{node.symbol}^{node.power}"
            self.values.setdefault(name, Value(name, (), "extent"))
            return Operand(name, ())
        if isinstance(node, Scaled):
            return self.materialise(node.operand)
        if isinstance(node, Rename):
            return self.materialise(node.operand).relabel(dict(node.pairs))
        if isinstance(node, Slice):
            operand = self.materialise(node.operand)
            return Operand(operand.value, tuple((node.new, offset + node.start) if label == node.index else (label, offset)
                                                for label, offset in operand.axes))
        if isinstance(node, Edge):
            operand = self.materialise(node.operand)
            if any(label == node.time and offset for label, offset in operand.axes):
                operand = self.copied(operand, node.operand.indices)
            which = FIRST if node.which == "first" else LAST
            return Operand(operand.value, tuple((which, 0) if label == node.time else (label, offset)
                                                for label, offset in operand.axes))
        return self.shifted(node)

    def shifted(self, node):
        if isinstance(node.operand, Rename):                  # shift below the renaming, so that the edge fits the value
            inner, back = node.operand, {new: old for old, new in node.operand.pairs}
            return self.view(rename(shift(inner.operand, node.time, node.step, rename(node.edge, back)), dict(inner.pairs)))
        operand = self.materialise(node.operand)
        edge = self.tree(node.edge, {})
        side = "before" if node.step > 0 else "behind"
        definition = self.definitions.get(operand.value)
        free = definition is not None and operand.plain and definition.pads.get(side, edge) == edge \
            and set(definition.pads) <= {side}
        if not free or operand.labels != self.values[operand.value].axes:
            operand = self.copied(operand, node.operand.indices)
            definition = self.definitions[operand.value]
        definition.pads[side] = edge
        self.values[operand.value] = replace(self.values[operand.value], pad=side)
        return Operand(operand.value, tuple((label, offset - node.step) if label == node.time else (label, offset)
                                            for label, offset in operand.axes))

    def copied(self, operand, axes, owner=None):
        name = self.fresh(owner)
        self.values[name] = Value(name, tuple(axes))
        self.definitions[name] = Definition(name, tuple(axes), "map", ("copy", operand))
        return Operand(name, tuple((i, 0) for i in axes))

    # ------------------------------------------------------------------------------------------ word trees

    def tree(self, node, memo):
        """The elementwise part of an expression as a word tree; everything else becomes an operand."""
        if node not in memo:
            memo[node] = self._tree(node, memo)
        return memo[node]

    def _tree(self, node, memo):
        if as_number(node) is not None:
            return node.coefficient
        if isinstance(node, Einsum):
            inside = [f for f in node.factors if set(f.indices) & set(node.summed)]
            outside = [f for f in node.factors if f not in inside] if inside else list(node.factors)
            parts = [self.tree(f, memo) for f in outside]
            if inside:
                carried = set().union(*(f.indices for f in inside))
                core = product(inside, out=carried - set(node.summed))
                parts.insert(0, self.materialise(core) if isinstance(core, Einsum) and core.summed else self.tree(core, memo))
            return _multiply(node.coefficient, parts)
        if isinstance(node, Add):
            return _sum([(c, self.tree(term, memo)) for c, term in sorted(node.terms, key=lambda pair: pair[0] < 0)])
        if isinstance(node, Map):
            function = node.function
            built_in = FUNCTIONS.get(function.name) is function            # a user's function may have the name of another
            if function.value is not None and not (built_in and function.name in self.kernels):
                return self.tree(function.expand(node.children), memo)
            if not built_in or function.name not in WORDS and function.name not in self.kernels:
                raise ProgramError(f"there is no word for the function {function.name!r}",
                                   fix="give it a value, an expression of known functions")
            return (function.name, *(self.tree(child, memo) for child in node.children))
        return self.materialise(node)

    # ------------------------------------------------------------------------------------------ pass 2: fusion

    def fuse(self, kept):
        """A value read once, whole and at its own place, is computed inside its reader."""
        readers = {}
        for definition in self.definitions.values():
            for operand in (*definition.reads(), *definition.edges()):
                readers.setdefault(operand.value, []).append((definition.name, operand))
        component = {}
        for number_, group in enumerate(schedule(list(self.definitions.values()), list(self.definitions), groups=True)):
            for name in group:
                component[name] = (number_ if len(group) > 1 or _reads_itself(self.definitions[name]) else None)
        for name in list(self.definitions):
            definition = self.definitions.get(name)
            if definition is None or definition.op not in ("map", "dense"):
                continue
            while True:
                candidates = []
                for operand in leaves(definition.tree):
                    inner = self.definitions.get(operand.value)
                    if inner is None or inner is definition or inner.op not in ("map", "dense") or operand.value in kept \
                            or inner.pads or len(readers.get(operand.value, ())) != 1 or not operand.plain \
                            or set(operand.labels) != set(definition.axes) or component[operand.value] != component[name]:
                        continue
                    if inner.op == "dense" and definition.op == "dense":
                        continue
                    candidates.append((inner.op == "map", operand, inner))
                if not candidates:
                    break
                _, operand, inner = min(candidates, key=lambda c: c[0])
                self.inline(definition, operand, inner)
                del self.definitions[inner.name], self.values[inner.name]

    def inline(self, definition, operand, inner):
        mapping = {axis: label for axis, (label, _) in zip(inner.axes, operand.axes)}
        relabelled = _relabel(inner.tree, mapping, {})
        definition.tree = _replace(definition.tree, operand, relabelled, {})
        if inner.op == "dense":
            bound = _bound(inner) - set(inner.axes)
            clash = {i: _unused(i, {*bound, *definition.axes}) for i in bound if i in definition.axes}
            definition.op, definition.product = "dense", tuple(o.relabel({**mapping, **clash}) for o in inner.product)

    # ------------------------------------------------------------------------------------------ pass 3: instructions

    def instruction(self, item):
        """The instructions of a definition, or of a loop (index, direction, definitions)."""
        if isinstance(item, tuple):
            index, how, body = item
            inner = [self.plain_instruction(d) for d in body]
            return [*(f for d in body for f in self.fills(d)),
                    Instruction("loop", body[-1].name, index=index, how=how, body=tuple(inner))]
        return [*self.fills(item), self.plain_instruction(item)]

    def fills(self, definition):
        for side, edge in definition.pads.items():
            operands, words = _linearise(edge)
            yield Instruction("fill", definition.name, operands, words=words, how=side)

    def plain_instruction(self, d):
        if d.op in ("map", "dense", "reduce"):
            operands, words = _linearise(d.tree)
            return Instruction(d.op, d.name, operands, d.product, words, how=d.how)
        return Instruction(d.op, d.name, d.operands, index=d.index, how=d.how)


def _moved(operands, old, new):
    return tuple(Operand(new, o.axes) if o.value == old else o for o in operands)


def _flatten(groups):
    return [instruction for group in groups for instruction in group]


def _belongs(item, names):
    return (item[2][0].name if isinstance(item, tuple) else item.name) in names


def _reads_itself(definition):
    return any(operand.value == definition.name for operand in definition.reads())


def _is_view(node):
    return isinstance(node, (Ref, Variable, Extent, Rename, Slice, Shift, Edge, Scaled))


def _unused(index, taken):
    while index in taken:
        index = index.primed()
    return index


def _bound(definition):
    return set().union(*(o.labels for o in definition.product))


def _sum(terms):
    """Σ coefficient × tree, from left to right; a long sum by halves, so that no tree grows deep."""
    if len(terms) > 32:
        middle = len(terms) // 2
        return ("add", _sum(terms[:middle]), _sum(terms[middle:]))
    result = None
    for coefficient, part in terms:
        if isinstance(part, Fraction):
            part, coefficient = part * coefficient, Fraction(1)
        if result is None:
            result = _multiply(coefficient, [part])
        elif coefficient == -1:
            result = ("sub", result, part)
        else:
            result = ("add", result, _multiply(coefficient, [part]))
    return result


def _multiply(coefficient, parts):
    numbers = [p for p in parts if isinstance(p, Fraction)]
    parts = [p for p in parts if not isinstance(p, Fraction)]
    for value in numbers:
        coefficient *= value
    if not parts:
        return coefficient
    result = parts[0]
    for part in parts[1:]:
        result = ("mul", result, part)
    if coefficient == -1:
        return ("neg", result)
    return result if coefficient == 1 else ("mul", coefficient, result)


def _relabel(tree, mapping, memo):
    if isinstance(tree, Operand):
        return tree.relabel(mapping)
    if isinstance(tree, Fraction):
        return tree
    if id(tree) not in memo:
        memo[id(tree)] = (tree[0], *(_relabel(t, mapping, memo) for t in tree[1:]))
    return memo[id(tree)]


def _replace(tree, old, new, memo):
    if isinstance(tree, Operand):
        return new if tree == old else tree
    if isinstance(tree, Fraction):
        return tree
    if id(tree) not in memo:
        memo[id(tree)] = (tree[0], *(_replace(t, old, new, memo) for t in tree[1:]))
    return memo[id(tree)]


def _linearise(tree):
    """A word tree as operands and a word list; equal subtrees are computed once."""
    operands, words, known = [], [], {}

    def argument(node):
        if isinstance(node, Fraction):
            return node
        if isinstance(node, Operand):
            if node not in operands:
                operands.append(node)
            return ("r", operands.index(node))
        if node == ("acc",):
            return node
        word = Word(node[0], tuple(argument(t) for t in node[1:]))
        if word not in known:
            known[word] = ("w", len(words))
            words.append(word)
        return known[word]
    last = argument(tree)
    if not words or last != ("w", len(words) - 1):
        words.append(Word("copy", (last,)))
    return tuple(operands), tuple(words)
