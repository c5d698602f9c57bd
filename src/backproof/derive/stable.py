"""Named rewrites of a loss written on activations into the form that runs.

Reads   the loss of one sample as the textbook writes it, and the system that defines its activations.
Gives   the same function of the pre-activations, without an overflow; the output error then follows by interning
        (softplus' is σ(z), logsumexp' is exp(z − lse)), with no simplification at all.
"""

from ..calculus import (ONE, Add, Einsum, Map, OneHot, Variable, add, exp, log, log_softplus, number, product, sigmoid,
                        softplus, transform)

__all__ = ["STABLE", "stable"]


def _inside(node, function, system):
    """u where the node is (or names) function(u), else None."""
    node = system.definition(node)
    return node.children[0] if isinstance(node, Map) and node.function is function else None


def log_of_exp(node, system):
    """log exp(u) = u"""
    if isinstance(node, Map) and node.function is log:
        return _inside(node.children[0], exp, system)


def log_of_sigmoid(node, system):
    """log σ(u) = −softplus(−u)"""
    if isinstance(node, Map) and node.function is log:
        u = _inside(node.children[0], sigmoid, system)
        return None if u is None else -softplus(-u)


def log_of_one_minus_sigmoid(node, system):
    """log(1 − σ(u)) = −softplus(u)"""
    if isinstance(node, Map) and node.function is log and isinstance(node.children[0], Add):
        terms = {term: coefficient for coefficient, term in node.children[0].terms}
        if len(terms) == 2 and terms.pop(ONE, None) == 1:
            (term, coefficient), = terms.items()
            u = _inside(term, sigmoid, system)
            return -softplus(u) if u is not None and coefficient == -1 else None


def log_of_softplus(node, system):
    """log softplus(u), which tends to u where softplus(u) underflows"""
    if isinstance(node, Map) and node.function is log:
        u = _inside(node.children[0], softplus, system)
        return None if u is None else log_softplus(u)


def sums_to_one(node, system):
    """Σ_k y_k (u_k + v) = Σ_k y_k u_k + v where Σ_k y_k = 1"""
    if not (isinstance(node, Einsum) and len(node.summed) == 1):
        return None
    index, = node.summed
    ones = [f for f in node.factors if index in f.indices and _is_distribution(f)]
    sums = [f for f in node.factors if isinstance(f, Add)]
    if not ones or not sums:
        return None
    y, inner = ones[0], sums[0]
    rest = [f for f in node.factors if f is not inner and f is not y]
    if any(index in f.indices for f in rest):
        return None
    parts = []
    for coefficient, term in inner.terms:
        factors = [number(coefficient * node.coefficient), term, *rest]
        parts.append(product([*factors, y], out=node.indices) if index in term.indices else product(factors, out=node.indices))
    return add(parts, out=node.indices)


def _is_distribution(node):
    return isinstance(node, OneHot) or isinstance(node, Variable) and "sums to one" in node.facts


STABLE = (log_of_exp, log_of_sigmoid, log_of_one_minus_sigmoid, log_of_softplus, sums_to_one)


def stable(expression, system, rules=STABLE):
    """The expression with every stable form put in; also which rules were used."""
    used = []

    def rewrite(node):
        for rule in rules:
            new = rule(node, system)
            if new is not None:
                used.append(rule)
                return new
        return None
    previous = None
    while previous is not expression:
        previous, expression = expression, transform(expression, rewrite)
    return expression, tuple(dict.fromkeys(used))
