"""The bias folded into the weights: z = [W b][x; 1], and both gradients in one product.

Reads   lines in matrix form.
Gives   the same lines with weights and bias side by side, their gradients as one line whose check compares both.
"""

from dataclasses import replace
from fractions import Fraction

from .index_form import plus
from .trees import ONE, MatMul, Ones, Plus, Stack, Symbol, Transpose

__all__ = ["folded"]


def folded(lines, derivation, layout):
    """The lines with biases folded in wherever a weighted sum and a bias meet."""
    parameters = {name for name, variable in derivation.system.variables.items() if variable.role == "parameter"}
    down = layout == "sample"
    made = []
    for line in lines:
        if line.left.matrix and line.equation.role == "pre_activation":
            line = replace(line, sides=tuple(replace(side, tree=_sum(side.tree, parameters, down)) for side in line.sides))
        made.append(line)
    return made


def _sum(tree, parameters, down):
    """W x + U h + b as [W U b][x; h; 1]; X W + H U + 1 bᵀ as [X H 1][W; U; bᵀ]."""
    if not isinstance(tree, Plus) or any(w != 1 for w, _ in tree.terms):
        return tree
    products, biases, rest = [], [], []
    for _, term in tree.terms:
        pair = isinstance(term, MatMul) and len(term.factors) == 2
        weight = term.factors[0 if down else 1] if pair else None
        if pair and isinstance(weight, Symbol) and weight.name in parameters:
            products.append(term.factors)
        elif _is_bias(term, parameters, down):
            biases.append(term)
        else:
            rest.append((Fraction(1), term))
    if not products or len(biases) != 1:
        return tree
    if down:
        product = MatMul((Stack((*(w for w, _ in products), biases[0]), False), Stack((*(x for _, x in products), ONE), True)))
    else:
        ones, bias = biases[0].factors
        product = MatMul((Stack((*(x for x, _ in products), ones), False), Stack((*(w for _, w in products), bias), True)))
    return plus([(Fraction(1), product), *rest])


def _is_bias(term, parameters, down):
    if down:
        return isinstance(term, Symbol) and term.name in parameters
    return isinstance(term, MatMul) and len(term.factors) == 2 and isinstance(term.factors[0], Ones) and isinstance(
        term.factors[1], Transpose) and isinstance(term.factors[1].body, Symbol) and term.factors[1].body.name in parameters


