"""Mutations: named rewrites of derived equations into the mistakes that people make.

Reads   the Sweep of a network: δ, adjoints and gradients as named equations.
Gives   Mutants: the mistake's name and the equations as the mistaken program has them.
Source  the mistakes of docs/checker.md: published articles, public issue threads, textbooks' warnings.

One mechanism serves the diagnosis of foreign gradients (which mutant reproduces them?), exercises (a program with one
mutant in it) and mutation scores (which mutants would a test suite miss?). A mutation sees one equation at a time and
knows no network: roles, indices and the forward equations tell it what stands where. It offers only what would run:
a rewrite whose shapes do not conform would have crashed.
"""

from dataclasses import dataclass, field, replace
from fractions import Fraction

from ..calculus import (ONE, Add, Einsum, Extent, Map, OneHot, Reduce, Ref, Shift, Variable, add, as_number, edge,
                        greater, number, product, reciprocal, rename, step, substitute, total, transform, walk)
from ..calculus.nodes import split_coefficient
from ..errors import BackproofError, OptionError
from .sweep import partials

__all__ = ["MUTATIONS", "Mutant", "Mutation", "mutants", "mutation_named"]

MUTATIONS = {}                      # by name, in the order in which explanations are preferred


@dataclass(frozen=True)
class Mutation:
    """A mistake: its name, the roles of the equations it rewrites, and rewrite(view, equation) -> expressions.

    ``everywhere`` tells whether the same mistake is usual in all equations of a program at once.
    """

    name: str
    roles: tuple
    rewrite: object
    everywhere: bool = True

    def expressions(self, view, equation):
        """The mistaken right sides that conform, without those that change nothing; (detail, expression) pairs."""
        if equation.role not in self.roles:
            return
        try:
            for found in self.rewrite(view, equation):
                detail, expression = found if isinstance(found, tuple) else ("", found)
                if expression is not None and set(expression.indices) <= set(equation.axes) \
                        and expression is not equation.expression:
                    yield detail, product([expression], out=equation.axes)
        except BackproofError:                       # indices that do not conform: nobody's program would have run
            return


@dataclass(frozen=True)
class Mutant:
    """A program with a mistake in it.

    Fields  name, detail; changes {equation: the mistaken right side}
    """

    name: str
    changes: dict = field(hash=False)
    detail: str = ""

    @property
    def where(self):
        return tuple(self.changes)

    def apply(self, system):
        """The system with the mistake.

        >>> from backproof.calculus import SAMPLE, Variable, System, total
        >>> system = System(); _ = system.define("J", total(Variable("e", (SAMPLE,)), over=SAMPLE))
        >>> Mutant("demo", {"J": 2 * system["J"].expression}).apply(system)["J"]
        J[] = 2·(Σ_n e[n])
        """
        changed = system.copy()
        for name, expression in self.changes.items():
            changed.equations[name] = replace(changed.equations[name], expression=expression, rule=self.name)
        return changed


def mutants(sweep, names=None):
    """Every mutant of a sweep: each mistake in each equation where it conforms, and in all of them at once.

    Parameters  names  the mutations wanted; all unless given
    """
    view, found = View(sweep), {}
    for mutation in MUTATIONS.values() if names is None else map(mutation_named, names):
        sites = {}
        for equation in view.backward:
            seen = {}
            for detail, expression in mutation.expressions(view, equation):
                place = seen[detail] = seen.get(detail, -1) + 1            # the second place of the same equation, …
                sites.setdefault((detail, place), {})[equation.name] = expression
        for (detail, _), changes in sites.items():
            groups = [{name: expression} for name, expression in changes.items()]
            if mutation.everywhere and len(changes) > 1:
                groups += [g for g in view.groups(changes) if 1 < len(g)]
            for group in groups:
                found.setdefault((mutation.name, frozenset(group.items())), Mutant(mutation.name, group, detail))
    return list(found.values())


def mutation_named(name):
    if name not in MUTATIONS:
        raise OptionError(f"there is no mutation {name!r}", fix=f"one of {', '.join(MUTATIONS)}")
    return MUTATIONS[name]


def mutation(name, *roles, everywhere=True):
    """Declare a mutation by its rewrite."""
    def declare(rewrite):
        MUTATIONS[name] = Mutation(name, roles, rewrite, everywhere)
        return rewrite
    return declare


# -------------------------------------------------------------------------------------------------- what stands where

class View:
    """The equations of a sweep by what they mean."""

    def __init__(self, sweep):
        self.system, self.adjoints = sweep.system, sweep.adjoints
        self.backward = [e for e in self.system if e.role in ("delta", "adjoint", "gradient")]
        self.forward = [e for e in self.system if e.role not in ("delta", "adjoint", "gradient")]
        self.deltas = [e for e in self.backward if e.role == "delta"]
        self.variables = self.system.variables
        self.output = self.deltas[0].name if self.deltas else None
        self.penalised = "penalty" in self.system

    def groups(self, changes):
        """The same mistake in all equations; in all hidden ones; in those of one kind of tensor."""
        yield changes
        kinds = {}
        for name, expression in changes.items():
            equation = self.system.equations[name]
            kind = ("bias" if self.is_bias(equation) else "weight") if equation.role == "gradient" else \
                "output" if name == self.output else equation.role
            kinds.setdefault(kind, {})[name] = expression
        if len(kinds) > 1:
            yield from kinds.values()

    def activation(self, equation):
        """The forward equation a = f(z) over a δ's z, or None."""
        z = Ref(equation.of, self.system.equations[equation.of].axes)
        for candidate in self.forward:
            if candidate.role in ("activation", "state") and z in walk(candidate.expression) \
                    and {n for n in walk(candidate.expression) if isinstance(n, (Ref, Variable))} == {z}:
                return candidate
        return None

    def own(self, delta):
        """The activation of the layer that a δ belongs to; z itself where the layer is linear."""
        equation = self.system.equations[delta.name]
        a = self.activation(equation)
        return Ref(equation.of, self.system.equations[equation.of].axes) if a is None else a.ref

    def slope(self, equation):
        """(upstream adjoint, f, z, a) where δ = ā ⊙ f'(z), or None."""
        a = self.activation(equation)
        if a is None or not isinstance(a.expression, Map) or len(a.expression.children) != 1 \
                or not isinstance(a.expression.children[0], Ref):
            return None
        upstream = self.adjoint(a.name)
        return None if upstream is None else (upstream, a.expression.function, a.expression.children[0], a.ref)

    def adjoint(self, name):
        """The Ref of a node's adjoint where that is an equation."""
        adjoint = self.system.resolve(self.adjoints.get(name, ""))
        return self.system.equations[adjoint].ref if adjoint in self.system.equations else None

    def shortcut(self, equation):
        """a − y at the output, y the target (weighted, averaged over time as the true error is)."""
        a = self.activation(equation)
        if a is None or equation.name != self.output:
            return None
        target = next((v for v in self.variables.values() if v.role == "target"), None)
        unit, = [i for i in equation.axes if i.kind == "unit"]
        if target is None:
            return None
        y = target if unit in target.axes else next(
            (n for e in self.system for n in walk(e.expression) if isinstance(n, OneHot)), None)
        weight = [v for v in self.variables.values() if v.role == "weight"]
        return None if y is None else product([a.ref - y, *weight])

    def is_bias(self, equation):
        return len(equation.axes) < 2

    def like(self, node, indices):
        """A node with its units renamed so that it has exactly the indices; None if the extents differ."""
        have, want = [i for i in node.indices if i.kind == "unit"], [i for i in indices if i.kind == "unit"]
        if len(have) != len(want) or [i.extent for i in have] != [i.extent for i in want]:
            return None
        return rename(node, dict(zip(have, want)))

    def of_shape(self, ref, role):
        """Other equations of a role with the same extents, renamed to the ref's indices."""
        for equation in self.system:
            if equation.role == role and equation.name != ref.name:
                other = self.like(equation.ref, ref.indices)
                if other is not None and set(other.indices) == set(ref.indices):
                    yield equation.name, other


def terms_of(node):
    """(coefficient, term) of a sum, or the node itself as the only one."""
    return list(node.terms) if isinstance(node, Add) else [(Fraction(1), node)]


def split_gradient(expression):
    """(the part that comes from the samples, the part that the penalty adds)."""
    data, penalty = [], []
    for coefficient, term in terms_of(expression):
        from_data = any(isinstance(n, (Ref, Extent)) or isinstance(n, Variable) and n.role != "parameter"
                        for n in walk(term))
        (data if from_data else penalty).append(product([number(coefficient), term]))
    return add(data) if data else number(0), add(penalty) if penalty else None


def factors_of(term):
    """(coefficient, factors, indices kept) of a product."""
    if isinstance(term, Einsum):
        return term.coefficient, list(term.children), term.indices
    return Fraction(1), [term], term.indices


def with_factor(term, old, new):
    """The product with one factor exchanged; contractions inside are searched too."""
    return substitute(term, {old: new})


def mapped(expression, rule):
    """Every node exchanged that the rule answers for."""
    return transform(expression, rule)


# -------------------------------------------------------------------------------------------------- factors

def _factor(name, factor):
    @mutation(name, "gradient")
    def rewrite(view, equation):
        data, penalty = split_gradient(equation.expression)
        by = factor(view, equation)
        if by is None or as_number(by) == 1:
            return
        scaled = product([by, data], out=equation.axes)
        yield scaled if penalty is None else add([scaled, penalty])
        if view.penalised:
            yield "with the penalty", product([by, equation.expression], out=equation.axes)


def _outputs(view):
    units = [i for i in view.system.equations[view.output].axes if i.kind == "unit"] if view.output else []
    return units[0].extent if units else 1


def _time(view, equation, power):
    extents = {i.extent for e in view.deltas for i in e.axes if i.kind == "time"}
    return Extent(extents.pop(), power) if extents else None


_factor("1/m missing", lambda view, e: Extent("N"))
_factor("1/m twice", lambda view, e: Extent("N", -1))
_factor("factor of the outputs", lambda view, e: number(_outputs(view)))
_factor("divided by the outputs", lambda view, e: number(Fraction(1, _outputs(view))))
_factor("wrong sign", lambda view, e: number(-1))
_factor("factor 2", lambda view, e: number(2))
_factor("factor 1/2", lambda view, e: number(Fraction(1, 2)))
_factor("1/T missing", lambda view, e: _time(view, e, 1))
_factor("1/T twice", lambda view, e: _time(view, e, -1))


@mutation("weights normalised", "gradient")
def weights_normalised(view, equation):
    weight = next((v for v in view.variables.values() if v.role == "weight"), None)
    if weight is not None:
        yield product([Extent("N"), reciprocal(total(weight, over=weight.axes)), equation.expression], out=equation.axes)


# -------------------------------------------------------------------------------------------------- the output error

@mutation("shortcut a - y", "delta")
def shortcut(view, equation):
    if view.output == equation.name and _has_slope(view, equation):
        yield view.shortcut(equation)


def _has_slope(view, equation):
    """Does the true output error carry the activation's slope (is it no a − y already)?"""
    short = view.shortcut(equation)
    return short is not None and short is not equation.expression


@mutation("slope kept", "delta", everywhere=False)
def slope_kept(view, equation):
    """(a − y) f'(z) where the loss cancels the slope."""
    a = view.activation(equation) if view.output == equation.name else None
    if a is None or view.adjoint(a.name) is not None:
        return
    if isinstance(a.expression, Map) and isinstance(a.expression.children[0], Ref):
        yield product([equation.expression, partials(a.expression.function, 0, a.expression.children, a.ref)])
    else:
        yield product([equation.expression, a.ref, 1 - a.ref])


@mutation("softmax diagonal", "delta", everywhere=False)
def softmax_diagonal(view, equation):
    """a(1 − a) as the slope of a softmax: the other classes forgotten."""
    upstream, a = _softmax(view, equation)
    if a is not None:
        yield product([upstream, a, 1 - a])


@mutation("softmax uncoupled", "delta", everywhere=False)
def softmax_uncoupled(view, equation):
    """a ⊙ ā without the sum Σ_k ā_k a_k."""
    upstream, a = _softmax(view, equation)
    if a is not None:
        yield product([upstream, a])


def _softmax(view, equation):
    a = view.activation(equation)
    if a is None or not any(isinstance(n, Reduce) for n in walk(a.expression)):
        return None, None
    upstream = view.adjoint(a.name)
    return (None, None) if upstream is None else (upstream, a.ref)


@mutation("sample weight forgotten", "delta", everywhere=False)
def weight_forgotten(view, equation):
    yield from _without(view, equation, "weight")


@mutation("sample weight twice", "delta", everywhere=False)
def weight_twice(view, equation):
    for variable in view.variables.values():
        if variable.role == "weight" and variable in walk(equation.expression):
            yield product([equation.expression, variable])


@mutation("padding counted", "delta", "adjoint", "gradient")
def padding_counted(view, equation):
    """The mask of the valid steps left out."""
    yield from _without(view, equation, "mask")


def _without(view, equation, role):
    for variable in view.variables.values():
        if variable.role == role and variable in walk(equation.expression):
            yield substitute(equation.expression, {variable: number(1)})


# -------------------------------------------------------------------------------------------------- slopes

def _slope(name, *more):
    """Declare a mutation of the slope f'(z) in δ = ā ⊙ f'(z)."""
    def declare(change):
        @mutation(name, "delta")
        def rewrite(view, equation):
            found = view.slope(equation)
            if found is not None:
                upstream, function, z, a = found
                slope = change(view, equation, function, z, a)
                if slope is not None:
                    yield product([upstream, slope], out=equation.axes)
        return change
    return declare


@_slope("slope forgotten")
def slope_forgotten(view, equation, function, z, a):
    return ONE if not _output_of_squared_error(view, equation) else None


def _output_of_squared_error(view, equation):
    """At the output of a squared error a forgotten slope is the shortcut a − y and goes by that name."""
    return equation.name == view.output and _same(view.shortcut(equation), view.slope(equation)[0], view.system)


def _same(node, ref, system):
    return node is not None and system.equations[ref.name].expression is node


@_slope("f(z)f(1-z)")
def slope_of_one_minus(view, equation, function, z, a):
    return product([a, function(1 - z)]) if function.name in ("sigmoid", "tanh") else None


@_slope("f'(a) for f'(z)")
def slope_at_activation(view, equation, function, z, a):
    return partials(function, 0, (a,), function(a))


@_slope("closed form at z")
def closed_form_at_z(view, equation, function, z, a):
    """σ' = y(1 − y) with z put in for y."""
    if function.derivatives is None:
        return None
    return function.derivative(0, (z,), z)


@_slope("value for slope")
def value_for_slope(view, equation, function, z, a):
    return a if function.name not in ("exp", "identity") else None


@_slope("one forgotten in the slope")
def one_forgotten(view, equation, function, z, a):
    """1 − a² written as −a², a(1 − a) as −a²."""
    slope = partials(function, 0, (z,), a)
    return transform(slope, lambda n: add([n, number(-1)]) if isinstance(n, Add) and ONE in n.children else None)


@_slope("slope squared")
def slope_squared(view, equation, function, z, a):
    slope = partials(function, 0, (z,), a)
    return product([slope, slope]) if function.name != "relu" else None


@_slope("slope of another layer")
def slope_of_another_layer(view, equation, function, z, a):
    """f'(z) taken at the layer above or below."""
    position = [e.name for e in view.deltas].index(equation.name)
    for other in view.deltas[max(0, position - 1):position + 2]:
        found = None if other.name == equation.name else view.slope(other)
        if found is not None:
            z_other, a_other = view.like(found[2], z.indices), view.like(found[3], a.indices)
            if z_other is not None:
                return partials(function, 0, (z_other,), a_other if found[1] is function else function(z_other))
    return None


@mutation("mask from the upstream sign", "delta")
def mask_from_upstream(view, equation):
    found = view.slope(equation)
    if found is not None and found[1].name in ("relu", "leaky_relu"):
        yield product([found[0], step(found[0])])


@mutation("upstream ignored", "delta")
def upstream_ignored(view, equation):
    """The slope alone, without the error that comes from above."""
    found = view.slope(equation)
    if found is not None:
        _, function, z, a = found
        yield product([partials(function, 0, (z,), a)], out=equation.axes)


@mutation("slope twice", "gradient")
def slope_twice(view, equation):
    """The slope multiplied once more in a parameter's gradient."""
    for delta in _deltas_in(view, equation):
        found = view.slope(view.system.equations[delta.name])
        if found is not None:
            yield substitute(equation.expression, {delta: product([delta, partials(found[1], 0, (found[2],), found[3])])})


# -------------------------------------------------------------------------------------------------- the error below

def _parameters_in(view, expression):
    return [n for n in walk(expression) if isinstance(n, Variable) and n.role == "parameter" and len(n.axes) == 2]


@mutation("weights not transposed", "adjoint")
def weights_not_transposed(view, equation):
    for weights in _parameters_in(view, equation.expression):
        first, second = weights.axes
        if first.extent == second.extent:
            yield substitute(equation.expression, {weights: rename(weights, {first: second, second: first})})


@mutation("weights of another layer", "adjoint")
def weights_of_another_layer(view, equation):
    for weights in _parameters_in(view, equation.expression):
        for other in view.variables.values():
            if other is not weights and other.role == "parameter" and len(other.axes) == 2 \
                    and [i.extent for i in other.axes] == [i.extent for i in weights.axes]:
                yield other.name, substitute(equation.expression,
                                             {weights: rename(other, dict(zip(other.axes, weights.axes)))})


@mutation("delta of another layer", "adjoint", "gradient", everywhere=False)
def delta_of_another_layer(view, equation):
    below = view.system.depending_on([equation.name])
    for delta in _deltas_in(view, equation):
        for name, other in view.of_shape(delta, "delta"):
            if name not in below:                                              # nothing computes an error from itself
                yield name, substitute(equation.expression, {delta: other})


def _deltas_in(view, equation):
    return [n for n in walk(equation.expression) if isinstance(n, Ref) and n.name in view.system.equations
            and view.system.equations[n.name].role == "delta"]


RATE = Variable("rate", (), "scalar")


@mutation("weights updated early", "adjoint")
def weights_updated_early(view, equation):
    """The error below computed with weights that this step has already changed."""
    below = view.system.depending_on([equation.name])
    for weights in _parameters_in(view, equation.expression):
        gradient = view.adjoint(weights.name)
        if gradient is not None and gradient.name not in below:            # not of its own error, as over time
            yield substitute(equation.expression, {weights: weights - RATE * gradient})


@mutation("later step's error forgotten", "adjoint")
def later_error_forgotten(view, equation):
    """What comes back from the step after is not added: δ_{t+1} (or the cell's error) is lost."""
    kept = [product([number(c), t]) for c, t in terms_of(equation.expression) if not _over_time(t)]
    if len(kept) < len(terms_of(equation.expression)):
        yield add(kept, out=equation.axes) if kept else _only_edge(equation)


def _over_time(term):
    return any(isinstance(n, Shift) for n in walk(term))


def _only_edge(equation):
    """Of a shift whose edge is the error at the last step: the edge alone."""
    def cut(node):
        if isinstance(node, Shift):
            return Shift._make(node.data, (number(0) * node.operand, node.edge), node.indices)
        return None
    return transform(equation.expression, cut)


@mutation("truncation leaks", "adjoint")
def truncation_leaks(view, equation):
    """The error goes on past the border of the segment."""
    for variable in view.variables.values():
        if variable.name == "xi" and variable in walk(equation.expression):
            yield substitute(equation.expression, {variable: number(1)})


@mutation("held state cut", "adjoint")
def held_state_cut(view, equation):
    """The state that an ended sequence holds is cut at the border too, so that padding changes the gradient."""
    xi = view.variables.get("xi")
    def cut(node):                                                                                 # noqa: E306
        if not isinstance(node, Shift) or not any(isinstance(n, Variable) and n.role == "mask" for n in walk(node.operand)):
            return None
        terms = [product([number(c), t] if xi in walk(t) else [number(c), t, xi], out=t.indices) for c, t in terms_of(node.operand)]
        return Shift._make(node.data, (add(terms, out=node.operand.indices), node.edge), node.indices)
    if xi is not None and (mutant := transform(equation.expression, cut)) is not equation.expression:
        yield mutant


@mutation("one path forgotten", "adjoint")
def one_path_forgotten(view, equation):
    """One of several consumers does not send its error back."""
    terms = terms_of(equation.expression)
    if len(terms) > 1:
        for k in range(len(terms)):
            yield str(k), add([product([number(c), t]) for i, (c, t) in enumerate(terms) if i != k], out=equation.axes)


@mutation("dropout mask forgotten", "adjoint", "delta")
def noise_forgotten(view, equation):
    yield from _without(view, equation, "noise")


@mutation("dropout not rescaled", "adjoint", "delta")
def noise_unscaled(view, equation):
    """The mask of zeros and ones without its 1/(1 − p)."""
    for variable in view.variables.values():
        if variable.role == "noise" and variable in walk(equation.expression):
            yield substitute(equation.expression, {variable: greater(variable, 0)})


@mutation("dropout rescaled without the mask", "adjoint", "delta")
def noise_without_mask(view, equation):
    """1/(1 − p) everywhere, as if no unit had been dropped."""
    for variable in view.variables.values():
        if variable.role == "noise" and variable in walk(equation.expression):
            top = Reduce("max", variable, variable.indices)
            yield substitute(equation.expression, {variable: top})


# -------------------------------------------------------------------------------------------------- gradients of weights

def _inputs_of(view, equation):
    """The factor that stands for the values below in Σ_n (values below) δ."""
    data, _ = split_gradient(equation.expression)
    for node in (data, *walk(data)):
        if isinstance(node, Einsum) and node.summed:
            deltas = [f for f in node.factors if any(isinstance(n, Ref) and n.name in view.system.equations and
                      view.system.equations[n.name].role == "delta" for n in walk(f))]
            below = [f for f in node.factors if f not in deltas and not isinstance(f, Extent)
                     and any(i.kind == "unit" for i in f.indices)]
            if deltas and below:
                return below[0], deltas[0]
    return None, None


@mutation("state of the same step", "gradient")
def state_of_the_same_step(view, equation):
    """h_t where h_{t−1} belongs."""
    if _over_time(equation.expression):
        yield mapped(equation.expression, lambda n: n.operand if isinstance(n, Shift) else None)


@mutation("own activation", "gradient")
def own_activation(view, equation):
    """The layer's own activation where the one below belongs."""
    below, delta = _inputs_of(view, equation)
    if below is None or not isinstance(delta, Ref):
        return
    other = _as(view.own(delta), below)
    if other is not None:
        yield substitute(equation.expression, {below: other})


@mutation("one number for a row", "gradient")
def one_number_for_a_row(view, equation):
    """δ_j a_j, the layer's own activation, spread over all weights that lead to unit j (article B's program)."""
    below, delta = _inputs_of(view, equation)
    if isinstance(delta, Ref) and len(equation.axes) == 2:
        _, penalty = split_gradient(equation.expression)
        kept = {i for i in delta.indices if i.kind == "unit"}
        row = product([product([delta, view.own(delta), Extent("N", -1)], out=kept)], out=equation.axes)
        yield row if penalty is None else add([row, penalty])


def _as(node, like):
    """A node with its unit renamed to that of another; None where extents differ."""
    have, want = [i for i in node.indices if i.kind == "unit"], [i for i in like.indices if i.kind == "unit"]
    if len(have) != 1 or len(want) != 1 or have[0].extent != want[0].extent:
        return None
    renamed = rename(node, {have[0]: want[0]})
    return renamed if set(renamed.indices) == set(like.indices) else None


@mutation("pre-activation for activation", "gradient")
def pre_activation_below(view, equation):
    """z of the layer below instead of its f(z)."""
    below, _ = _inputs_of(view, equation)
    name = getattr(below, "name", None)
    if name in view.system.equations and isinstance(view.system.equations[name].expression, Map):
        yield substitute(equation.expression, {below: view.system.equations[name].expression.children[0]})


@mutation("activation of another layer", "gradient", everywhere=False)
def activation_of_another_layer(view, equation):
    below, delta = _inputs_of(view, equation)
    if below is None:
        return
    values = [e.ref for e in view.forward if e.role in ("activation", "state")]
    values += [v for v in view.variables.values() if v.role == "input" and not v.integer]
    own = view.activation(view.system.equations[delta.name]) if isinstance(delta, Ref) else None
    for value in values:
        if value is not below and (own is None or value is not own.ref):
            other = _as(value, below)
            if other is not None:
                yield value.name, substitute(equation.expression, {below: other})


@mutation("error before the slope", "gradient")
def error_before_slope(view, equation):
    """ā instead of δ: the parameter's gradient lacks the slope, the layers below are right."""
    for delta in _deltas_in(view, equation):
        found = view.slope(view.system.equations[delta.name])
        if found is not None:
            yield substitute(equation.expression, {delta: found[0]})


@mutation("gradient transposed", "gradient")
def gradient_transposed(view, equation):
    if len(equation.axes) == 2 and equation.axes[0].extent == equation.axes[1].extent:
        first, second = equation.axes
        yield rename(equation.expression, {first: second, second: first})


def _one_step(which):
    def rewrite(view, equation):
        """Overwritten at each step instead of accumulated: one step's contribution is left."""
        data, penalty = split_gradient(equation.expression)
        c, factors, _ = factors_of(data)
        if not isinstance(data, Einsum) or not any(i.kind == "time" for i in data.summed):
            return
        time = next(i for i in data.summed if i.kind == "time")
        cut = [edge(f, time, which) if time in f.indices else f for f in factors]
        one = product([number(c), *cut], out=equation.axes)
        yield one if penalty is None else add([one, penalty])
    return rewrite


mutation("only the first step", "gradient")(_one_step("first"))
mutation("only the last step", "gradient")(_one_step("last"))


# -------------------------------------------------------------------------------------------------- gradients of biases

@mutation("bias summed over the units too", "gradient")
def bias_single_sum(view, equation):
    if view.is_bias(equation) and equation.axes:
        data, penalty = split_gradient(equation.expression)
        yield product([product([data], out=())], out=equation.axes)


@mutation("bias averaged over the units", "gradient")
def bias_unit_mean(view, equation):
    if view.is_bias(equation) and equation.axes:
        data, _ = split_gradient(equation.expression)
        yield product([number(Fraction(1, equation.axes[0].extent)), product([data], out=())], out=equation.axes)


@mutation("bias summed over the wrong axis", "gradient")
def bias_wrong_axis(view, equation):
    """Σ over the units, a number per sample, put where a number per unit belongs (N equal to the units)."""
    if view.is_bias(equation) and equation.axes:
        data, _ = split_gradient(equation.expression)
        c, factors, _ = factors_of(data)
        sample = next((i for f in factors for i in f.indices if i.kind == "sample"), None)
        if sample is not None and isinstance(data, Einsum):
            rows = product([number(c), *factors], out=(sample,))
            yield product([rows, Variable(f"same place.{equation.axes[0].name}", (sample, *equation.axes), "input")], out=equation.axes)


@mutation("one sample only", "gradient")
def one_sample(view, equation):
    """The sum over the samples forgotten: the first or the last one is left."""
    data, penalty = split_gradient(equation.expression)
    c, factors, _ = factors_of(data)
    sample = next((i for f in factors for i in f.indices if i.kind == "sample"), None)
    if sample is not None and isinstance(data, Einsum):
        for which in ("first", "last"):
            chosen = product([number(c), *factors, Variable(f"{which} sample", (sample,), "input")], out=equation.axes)
            yield which, chosen if penalty is None else add([chosen, penalty])
            alone = product([chosen, Extent(sample.extent)], out=equation.axes)
            yield f"{which}, without 1/m", alone if penalty is None else add([alone, penalty])


@mutation("bias from the weights' gradient", "gradient")
def bias_from_weights(view, equation):
    """Σ_i ∂J/∂W_ij taken for ∂J/∂b_j."""
    if view.is_bias(equation) and equation.axes:
        for other in view.backward:
            if other.role == "gradient" and other.layer == equation.layer and len(other.axes) == 2 \
                    and equation.axes[0] in other.axes:
                yield other.name, product([split_gradient(other.expression)[0]], out=equation.axes)


# -------------------------------------------------------------------------------------------------- penalties

def _penalty(name, change):
    @mutation(name, "gradient")
    def rewrite(view, equation):
        data, penalty = split_gradient(equation.expression)
        if penalty is not None:
            changed = change(penalty)
            yield data if changed is None else add([data, changed])


_penalty("penalty forgotten", lambda p: None)
_penalty("penalty doubled", lambda p: product([number(2), p]))
_penalty("penalty halved", lambda p: product([number(Fraction(1, 2)), p]))
_penalty("penalty over m", lambda p: product([Extent("N", -1), p]))
_penalty("penalty times m", lambda p: product([Extent("N"), p]))
_penalty("penalty sign", lambda p: product([number(-1), p]))


@mutation("decay on biases", "gradient")
def decay_on_biases(view, equation):
    """λb added though the objective's penalty leaves biases out."""
    if view.is_bias(equation) and split_gradient(equation.expression)[1] is None:
        for other in view.backward:
            if other.role == "gradient" and len(other.axes) == 2 and (other.layer == equation.layer or not equation.layer):
                penalty = split_gradient(other.expression)[1]
                if penalty is not None:
                    weights = _parameters_in(view, penalty)[0]
                    bias = view.variables[equation.of]
                    strength = split_coefficient(penalty)
                    if strength[1] is weights:
                        yield add([equation.expression, product([number(strength[0]), bias])])
                        yield "over m", add([equation.expression, product([number(strength[0]), bias, Extent("N", -1)])])


