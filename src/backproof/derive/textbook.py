"""The textbook chain of the output: ∂E/∂a, then ∂E/∂z, simplified on paper to a − y. For print only.

Reads   a System whose sample loss keeps what the textbook writes beside the stable form that runs.
Gives   the same sweep on the loss as written, and the steps from its raw product to its simplest form, each a named
        rule. x · (1/x) → 1 changes what NaN does, so none of these steps ever enters a program; a test holds them equal
        to what runs.
"""

from dataclasses import dataclass

from ..calculus import (Add, Einsum, Map, OneHot, Ref, Variable, add, expand, factor_out, number, product, size,
                        substitute, transform, walk)
from .sweep import sweep

__all__ = ["Textbook", "textbook", "simplified", "RULES"]


@dataclass(frozen=True)
class Textbook:
    """The sweep on the loss as written; ``steps`` {adjoint: ((rule, expression), …)} from the raw product to the simplest."""

    sweep: object
    activation: str
    pre_activation: str
    steps: dict


def textbook(system, seeds, mean_over):
    """The chain from the loss through the output activation to its pre-activation; None where there is no such pair."""
    pair = _output(system, seeds)
    if pair is None:
        return None
    written = system.copy()
    for name, equation in system.equations.items():
        if equation.written is not None:
            written.revise(name, expression=equation.written, written=None)
    written = written.restricted(list(seeds))
    activation, pre = pair
    result = sweep(written, seeds, [pre, activation], mean_over=mean_over)
    steps = {}
    for name in (activation, pre):
        adjoint = result.adjoints.get(name)
        if adjoint in result.system.equations:
            steps[adjoint] = _steps(result.system, adjoint)
    return Textbook(result, activation, pre, steps)


def _output(system, seeds):
    """(activation, pre-activation) that the loss reads, where it reads an activation of one pre-activation."""
    for scalar in seeds:
        equation = system.equations.get(scalar)
        if equation is None or equation.role != "sample_loss":
            continue
        expression = equation.expression if equation.written is None else equation.written
        found = _reads(expression)
        activations = [name for name in found if name in system.equations and system.equations[name].role == "activation"]
        if len(activations) == 1:
            below = [name for name in _reads(system.equations[activations[0]].expression)
                     if name in system.equations and system.equations[name].role == "pre_activation"]
            if len(below) == 1:
                return activations[0], below[0]
    return None


def _reads(expression):
    return list(dict.fromkeys(node.name for node in walk(expression) if isinstance(node, (Ref, Variable))))


# ---------------------------------------------------------------------------------------------------- the rules on paper

def cancel(node):
    """x · (1/x) = 1"""
    if not isinstance(node, Einsum):
        return None
    factors = list(node.factors)
    for factor in node.factors:
        if isinstance(factor, Map) and factor.function.name == "reciprocal" and factor.children[0] in factors:
            factors.remove(factor)
            factors.remove(factor.children[0])
            return product([number(node.coefficient), *factors], out=node.indices)
    return None


def distribute(node):
    """(u/x + v/w) · x = u + v x/w, where a factor cancels a reciprocal"""
    if not isinstance(node, Einsum):
        return None
    for position, inner in enumerate(node.factors):
        others = [*node.factors[:position], *node.factors[position + 1:]]
        if isinstance(inner, Add) and any(_cancels(term, others) for _, term in inner.terms):
            return add([product([number(node.coefficient * w), term, *others], out=node.indices) for w, term in inner.terms],
                       out=node.indices)
    return None


def _cancels(term, others):
    factors = term.factors if isinstance(term, Einsum) and not term.summed else (term,)
    return any(isinstance(f, Map) and f.function.name == "reciprocal" and f.children[0] in others for f in factors)


def sums_to_one(node):
    """Σ_k y_k = 1"""
    if not isinstance(node, Einsum):
        return None
    for index in node.summed:
        carriers = [f for f in node.factors if index in f.indices]
        if len(carriers) == 1 and _is_distribution(carriers[0], index):
            rest = [f for f in node.factors if f is not carriers[0]]
            return product([number(node.coefficient), *rest], out=node.indices)
    return None


def _is_distribution(node, index):
    return isinstance(node, OneHot) and node.index == index or isinstance(node, Variable) and "sums to one" in node.facts


def smaller(node):
    """multiplied out, or common factors taken out, where that is shorter"""
    for candidate in (expand(node), factor_out(node)):
        if size(candidate) < size(node):
            return candidate
    return None


RULES = {"cancel": (distribute, cancel), "fact": (sums_to_one,), "expand": (smaller,)}


def simplified(expression):
    """[(name of a rule, expression)]: each rule applied as long as it does anything."""
    steps, before = [], None
    while before is not expression:
        before = expression
        for name, rules in RULES.items():
            changed = expression
            for rule in rules:
                changed = _exhaust(changed, rule)
            if changed is not expression:
                expression = changed
                steps.append((name, expression))
    return steps


def _exhaust(expression, rule):
    previous = None
    while previous is not expression:
        previous, expression = expression, transform(expression, rule)
    return expression


def _steps(system, adjoint):
    """The raw product, with named adjoints put in, then every simplification."""
    raw = system.equations[adjoint].expression
    put = {node: system.equations[node.name].expression for node in _refs(raw) if system.equations[node.name].of is not None}
    inside = substitute(raw, put)
    steps = [("substitute", inside)] if inside is not raw else []
    done = simplified(inside)
    return tuple([*steps, *done])


def _refs(expression):
    return [node for node in walk(expression) if isinstance(node, Ref)]

