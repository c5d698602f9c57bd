"""The reverse sweep: one adjoint per named equation.

Reads   a System, the seeds (names with their adjoints) and the names to differentiate by.
Gives   Equations in execution order; an adjoint is the sum over its consumers.
Source  Griewank & Walther, Evaluating Derivatives (2008), ch. 3.

Every adjoint is itself a name, defined after the sweep, so a recurrent circle needs no special care. With ``mean_over``
(the sample index) adjoints stay *per sample* and the 1/N of the mean enters once, where a contribution leaves the
samples: δ = ∂E_n/∂z and ∂J/∂W = (1/N) Σ_n …
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache

from ..calculus import (ONE, Add, Edge, Einsum, Equation, Join, Map, OneHot, Reduce, Ref, Rename, Scaled, Shift, Slice,
                        System, Term, Variable, add, as_node, edge, equal, exp, expand, extent, factor_out,
                        is_zero, join, number, product, reciprocal, rename, shift, sigmoid, size, slice_,
                        substitute, total, transform, walk, zero)
from ..errors import DerivationError

__all__ = ["Sweep", "sweep", "partials", "adjoint_name"]


@dataclass
class Sweep:
    """What a sweep gives: the extended system, and the adjoint's name by the name differentiated by.

    An adjoint that is a plain expression of variables (a seed, a number) is put in where it is used and has no name;
    it stands in ``inlined``.
    """

    system: System
    adjoints: dict = field(default_factory=dict)
    inlined: dict = field(default_factory=dict)


def adjoint_name(name, role):
    """delta for a pre-activation, grad for a parameter, adj for every other node."""
    if role == "parameter":
        return f"grad.{name}"
    if role == "pre_activation":
        head, dot, tail = name.rpartition(".")
        renamed, found = re.subn(r"(^|_)z(?=[\d_]|$)", r"\1delta", tail, count=1)
        return f"{head}{dot}{renamed}" if found else f"delta.{name}"
    return f"adj.{name}"


ROLES = {"pre_activation": "delta", "parameter": "gradient"}


def sweep(system, seeds, wrt, *, mean_over=None, naming=adjoint_name):
    """Differentiate the seeds' weighted sum by every name of ``wrt``.

    Parameters  seeds      {name: its adjoint}, e.g. {"E": w_n, "penalty": 1}
                wrt        names of variables or equations
                mean_over  the sample index: adjoints per sample, 1/N in what has no samples; None: plain sums
    Raises      DerivationError if samples are mixed, or a name is unknown.
    """
    out = Sweep(system.copy())
    variables = system.variables
    asked, wrt = wrt, [system.resolve(name) for name in wrt]
    for name in (*wrt, *seeds):
        if system.resolve(name) not in system.equations and name not in variables:
            raise DerivationError(f"there is nothing called {name!r} to differentiate",
                                  fix=f"one of {', '.join([*variables, *system.equations])}")
    seeds = {system.resolve(name): as_node(seed) for name, seed in seeds.items()}
    dependent = system.depending_on(wrt) | set(wrt)
    active = [name for name in system.needed_for(seeds) if name in dependent]
    live = set(active) | {name for name in wrt if name in variables}
    consumers, leaves = {name: set() for name in live}, {}
    for reader in active:
        for name in system.reads(reader):
            if name in live:
                consumers[name].add(reader)
                if name in variables:
                    leaves.setdefault(reader, set()).add(name)

    collected = {name: [] for name in live}
    collected.update({name: [Term(seed, "seed")] for name, seed in seeds.items()})
    emitted, processed = [], set()
    flow = _Flow(live, mean_over)

    def close(name, axes, role, layer):
        """The adjoint that consumers put upstream: its Ref, or the value itself where that is plain."""
        value = _sum(collected[name], axes)
        if consumers.get(name, set()) <= processed and name not in wrt and role != "pre_activation" and _plain(value):
            out.inlined[name] = value
            return value
        adjoint = naming(name, role)
        if adjoint in system:
            raise DerivationError(f"the name {adjoint!r} of an adjoint is taken", where=repr(system[adjoint]),
                                  fix="a second sweep of one system wants its own naming=")
        out.adjoints[name] = adjoint
        emitted.append((name, adjoint, axes, role, layer))
        return Ref(adjoint, axes)

    for name in reversed(active):
        equation = system.equations[name]
        upstream = close(name, equation.axes, equation.role, equation.layer)
        if not is_zero(upstream):
            flow.into(equation.expression, upstream, (), lambda leaf, term: collected[leaf].append(term), name)
        processed.add(name)
        for leaf in sorted(leaves.get(name, ()), key=lambda leaf: (-len(variables[leaf].axes), leaf)):
            if consumers[leaf] <= processed:                       # a layer's gradients stand right after its δ
                close(leaf, variables[leaf].axes, variables[leaf].role, equation.layer)
    for leaf in wrt:
        if leaf not in out.adjoints:                                                  # nothing depends on it: zero
            about = system.equations.get(leaf) or variables[leaf]
            collected.setdefault(leaf, [])
            close(leaf, about.axes, about.role, getattr(about, "layer", None))

    out.adjoints.update({name: out.adjoints[leaf] for name, leaf in zip(asked, wrt)})

    aliases = {}
    for name, adjoint, axes, role, layer in emitted:
        terms = tuple(collected[name])
        value = _simplify(out.system, _sum(terms, axes))
        if isinstance(value, (Ref, Variable)) and set(value.indices) == set(axes):
            aliases[Ref(adjoint, axes)] = value
            out.system.aliases[adjoint] = value.name
            continue
        out.system.append(Equation(adjoint, value, axes, ROLES.get(role, "adjoint"), layer, _rule(terms), None, name, terms))
    if aliases:
        _replace_aliases(out.system, [adjoint for _, adjoint, *_ in emitted], aliases)
    return out


def _sum(terms, axes):
    return add([term.value for term in terms], out=axes) if terms else zero(axes)


def _plain(value):
    """No named equation and no contraction in it: not worth a name."""
    return all(not isinstance(node, (Ref, Map, Reduce, Shift, Edge)) and not (isinstance(node, Einsum) and node.summed)
               for node in walk(value))


def _rule(terms):
    return "chain rule over several paths" if len(terms) > 1 else "chain rule"


def _replace_aliases(system, names, aliases):
    def resolve(node):
        while node in aliases:
            node = aliases[node]
        return node if isinstance(node, (Ref, Variable)) else None
    for name in names:
        if name in system.equations:
            new = transform(system.equations[name].expression, lambda node: resolve(node) if node in aliases else None)
            if new is not system.equations[name].expression:
                system.revise(name, expression=new)


def _simplify(system, value):
    """Names put in, σ(−u) reflected onto a named σ(u), expanded and factored: each kept only if it got smaller."""
    value = system.fold(value)
    def reflect(node):                                                                             # noqa: E306
        if isinstance(node, Map) and node.function is sigmoid:
            named = system.name_of(sigmoid(-node.children[0]))
            return None if named is None else 1 - named
    for form in (lambda v: expand(transform(v, reflect)), expand, factor_out):
        candidate = system.fold(form(value))
        if size(candidate) < size(value):
            value = candidate
    return value


class _Flow:
    """Carries an adjoint from the root of an expression down to its leaves."""

    def __init__(self, live, mean_over):
        self.live, self.mean_over, self.memo = live, mean_over, {}

    def reaches(self, node):
        """Does the node depend on anything that is differentiated by?"""
        if node not in self.memo:
            if isinstance(node, (Ref, Variable)):
                self.memo[node] = node.name in self.live
            else:
                self.memo[node] = any(self.reaches(child) for child in node.children)
        return self.memo[node]

    def times(self, upstream, local, operand):
        """upstream × local summed to exactly the operand's indices; 1/N where the samples end."""
        factors = [upstream, *local]
        if self.mean_over is not None:
            carries = any(self.mean_over in factor.indices for factor in factors)
            if carries and self.mean_over not in operand.indices:
                factors.append(extent(self.mean_over, -1))
            elif self.mean_over in operand.indices and self.mean_over not in upstream.indices:
                raise self.mixed(operand)
        result = product(factors, out=operand.indices)
        if set(result.indices) != set(operand.indices):
            raise DerivationError(f"the adjoint of {operand!r} has other indices than it", where=repr(result))
        return result

    @staticmethod
    def mixed(node):
        return DerivationError("samples are mixed: an error signal per sample does not exist",
                               where=f"{node!r} meets other samples before the loss",
                               fix="use statistics of one sample (layer_norm), not of the batch")

    def into(self, node, upstream, steps, deliver, consumer):
        stack = [(node, upstream, steps)]
        while stack:
            node, upstream, steps = stack.pop()
            if not self.reaches(node) or is_zero(upstream):
                continue
            if isinstance(node, (Ref, Variable)):
                deliver(node.name, Term(upstream, consumer, steps))
                continue
            for child, kind, value, local in reversed(list(self.contributions(node, upstream))):
                stack.append((child, value, (*steps, (kind, upstream, local))))

    def contributions(self, node, g):
        """(operand, rule, its adjoint, local derivative) for every operand: the rules of the calculus."""
        if isinstance(node, Einsum):
            for k, factor in enumerate(node.factors):
                if self.reaches(factor):
                    others = [number(node.coefficient), *node.factors[:k], *node.factors[k + 1:]]
                    yield factor, "product", self.times(g, others, factor), product(others)
        elif isinstance(node, Add):
            for coefficient, term in node.terms:
                if self.reaches(term):
                    yield term, "sum", self.times(g, [number(coefficient)], term), number(coefficient)
        elif isinstance(node, Map):
            for k, operand in enumerate(node.children):
                if self.reaches(operand):
                    partial = partials(node.function, k, node.children, node)
                    yield operand, node.function, self.times(g, [partial], operand), partial
        elif isinstance(node, Reduce):
            x = node.operand
            if node.kind == "logsumexp":
                partial = exp(x - node)
            else:
                winner = equal(x, node)
                partial = winner * reciprocal(total(winner, node.over))
            yield x, node.kind, self.times(g, [partial], x), partial
        elif isinstance(node, Rename):
            if self.mean_over in dict(node.pairs):
                raise self.mixed(node)
            yield node.operand, "rename", rename(g, {new: old for old, new in node.pairs}), ONE
        elif isinstance(node, Join):
            position = 0
            for operand, own in zip(node.children, node.parts):
                part = slice_(g, node.index, position, own)
                yield operand, "join", self.times(part, [], operand), ONE
                position += own.extent
        elif isinstance(node, Slice):
            yield node.operand, "slice", _pad(g, node), ONE
        elif isinstance(node, Shift):
            yield node.operand, "shift", shift(g, node.time, -node.step, number(0)), ONE
            if self.reaches(node.edge):
                yield node.edge, "edge", edge(g, node.time, "first" if node.step > 0 else "last"), ONE
        elif isinstance(node, Edge):
            nothing = zero((*g.indices, node.time))
            yield node.operand, "edge", shift(nothing, node.time, 1 if node.which == "first" else -1, g), ONE
        elif isinstance(node, Scaled):
            yield node.operand, "scaled", self.times(g, [node.factor], node.operand), node.factor
        elif not isinstance(node, OneHot):
            raise DerivationError(f"no rule to differentiate {type(node).__name__}")


def _pad(g, node):
    """The adjoint of a slice: g with zeros before and behind."""
    from_index, length = node.index, node.new.extent
    rest = set(g.indices) - {node.new}
    pieces, along = [], []
    for label, extent_ in (("before", node.start), ("slice", length), ("behind", from_index.extent - node.start - length)):
        if label == "slice":
            pieces.append(g)
            along.append(node.new)
        elif extent_:
            own = type(from_index)(f"{from_index.name}.{label}{node.start}", extent_, from_index.kind, from_index.letter)
            pieces.append(zero((*rest, own)))
            along.append(own)
    return join(pieces, along, from_index)


def partials(function, position, operands, result):
    """∂f/∂operand: declared, or derived from the function's value by the same rules."""
    if function.derivatives is not None:
        return function.derivative(position, operands, result)
    return substitute(_derived(function)[position], dict(zip(function.placeholders, operands)))


@lru_cache(maxsize=1024)
def _derived(function):
    """The partial derivatives of a composition, as templates over its placeholders."""
    if function.value is None:
        raise DerivationError(f"{function.name} has neither a derivative nor a value to derive one from",
                              fix="declare derivative=lambda x, y: …")
    names = [p.name for p in function.placeholders]
    collected = {name: [] for name in names}
    _Flow(set(names), None).into(function.value, ONE, (), lambda leaf, term: collected[leaf].append(term.value), function.name)
    return [add(collected[name]) if collected[name] else number(0) for name in names]
