"""The bias folded into the weights: z = [W b][x; 1], and both gradients in one product.

Reads   lines in matrix form.
Gives   the same lines with weights and bias side by side, their gradients as one line whose check compares both.
"""

from dataclasses import dataclass, replace
from fractions import Fraction

from .index_form import plus
from .line import Line
from .trees import ONE, ZERO, MatMul, Ones, Plus, Stack, Symbol, Transpose, rewrite, walk

__all__ = ["FoldedLine", "folded"]


def folded(lines, derivation, layout):
    """The lines with biases folded in wherever a weighted sum and a bias meet."""
    parameters = {name for name, variable in derivation.system.variables.items() if variable.role == "parameter"}
    down = layout == "sample"
    made = []
    for line in lines:
        if line.left.matrix and line.equation.role == "pre_activation":
            line = replace(line, sides=tuple(replace(side, tree=_sum(side.tree, parameters, down)) for side in line.sides))
        made.append(line)
    return _gradients(made, parameters, down)


@dataclass(frozen=True)
class FoldedLine(Line):
    """The gradients of weights and bias as one matrix: ``weight`` and ``bias_line`` are the lines that it replaces."""

    weight: Line = None
    bias_line: Line = None

    def parts(self, whole):
        """((line, its part of the matrix in stored order), …)."""
        if self.weight.left.rows is self.weight.free[0]:
            return (self.weight, whole[:-1]), (self.bias_line, whole[-1])
        return (self.weight, whole[:, :-1].T), (self.bias_line, whole[:, -1])


def _gradients(lines, parameters, down):
    """∂J/∂W and ∂J/∂b that multiply one error signal as ∂J/∂[W b] = (1/N) Σ δ [x; 1]ᵀ."""
    merged, gone = {}, set()
    biases = {line.equation.of: line for line in lines if _is_gradient(line, parameters) and len(line.free) == 1}
    for line in lines:
        if not (_is_gradient(line, parameters) and len(line.free) == 2):
            continue
        signal = _signal(line)
        bias = next((b for b in biases.values() if b.number not in gone and signal is not None and _plain_signal(b) == signal), None)
        if bias is None or any(_signal(other) == signal for other in lines if other is not line and len(other.free) == 2
                               and _is_gradient(other, parameters)):
            continue
        gone.add(bias.number)
        left = Stack((line.left, bias.left if down else Transpose(bias.left)), not down)
        merged[line.number] = FoldedLine(**{**vars(line), "left": left, "weight": line, "bias_line": bias,
                                            "sides": tuple(replace(side, tree=_with_one(side.tree, line, down)) for side in line.sides)})
    return [merged.get(line.number, line) for line in lines if line.number not in gone]


def _is_gradient(line, parameters):
    return line.equation.role == "gradient" and line.equation.of in parameters and getattr(line.left, "matrix", False)


def _signal(line):
    """The name of the error signal in a gradient δ xᵀ or Xᵀ Δ."""
    for node in walk(line.sides[0].tree):
        if isinstance(node, MatMul) and len(node.factors) == 2:
            names = [n.name for factor in node.factors for n in walk(factor) if isinstance(n, Symbol)]
            derived = [name for name in names if "delta" in name or name.startswith("adj.")]
            return derived[0] if len(names) == 2 and len(derived) == 1 else None
    return None


def _plain_signal(line):
    names = [n.name for n in walk(line.sides[0].tree) if isinstance(n, Symbol)]
    return names[0] if len(names) == 1 else None


def _with_one(tree, line, down):
    """x with a 1 below it, λ W with a 0 beside it."""
    weight = line.equation.of

    def rule(node):
        if isinstance(node, MatMul) and len(node.factors) == 2:
            if down:
                first, last = node.factors
                return MatMul((first, Transpose(Stack((last.body, ONE), True)))) if isinstance(last, Transpose) else None
            first, last = node.factors
            if isinstance(first, Transpose):
                return MatMul((Transpose(Stack((first.body, Ones(first.body.rows, None)), False)), last))
        return None

    def decay(node):
        return Stack((node, ZERO), not down) if isinstance(node, Symbol) and node.name == weight else None
    return rewrite(rewrite(tree, decay), rule)


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


