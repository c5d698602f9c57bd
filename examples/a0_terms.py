"""A0: why nobody differentiates the whole loss in closed form.

Reads   our derived equations of a chain of layers, three units wide.
Gives   per depth: the terms and symbols of dE/dW1 once every named quantity is replaced by its definition, against the
        symbols of the whole list of equations.

A term is a product; a sum over an index counts once for each of its values. A symbol is a variable or a name.
"""

from backproof import Network
from backproof.calculus import Add, Einsum, substitute, walk

WIDTH = 3


def expanded(system, name):
    """The equation's expression with every name in it replaced by its definition, down to x, y, W and b."""
    done = {}
    for equation in system:
        done[equation.ref] = substitute(equation.expression, done)
        if equation.name == name:
            return done[equation.ref]


def extents(node):
    """How often a product is written when the sum over its indices is written out; the samples count as one."""
    times = 1
    for index in getattr(node, "summed", ()):
        times *= index.extent if isinstance(index.extent, int) else 1
    return times


def terms(expression):
    """Products, once all brackets are multiplied out and all sums written out; a function's value is one letter."""
    count = {}
    for node in walk(expression):
        if isinstance(node, Einsum):
            count[node] = extents(node)
            for factor in node.factors:
                count[node] *= count[factor]
        else:
            count[node] = sum(count[child] for child in node.children) if isinstance(node, Add) else 1
    return count[expression]


def symbols(expression):
    """Variables and names met on reading the expression, with all sums written out."""
    count = {}
    for node in walk(expression):
        inside = sum(count[child] for child in node.children) if node.children else int(hasattr(node, "name"))
        count[node] = extents(node) * inside
    return count[expression]


def main(depths=(1, 2, 3, 4, 6, 8, 10)):
    rows = []
    for depth in depths:
        net = Network(" | ".join([str(WIDTH)] + [f"{WIDTH} sigmoid"] * depth), loss="squared_error")
        system = net.gradient_system().system
        whole = expanded(system, "grad.W1")
        rows.append({"depth": depth, "terms": terms(whole), "symbols": symbols(whole), "equations": len(list(system)),
                     "recurrence": sum(symbols(equation.expression) for equation in system)})
    return rows


if __name__ == "__main__":
    print("depth   terms of dE/dW1   its symbols   symbols of all equations   equations")
    for row in main():
        print("{depth:>5} {terms:>17,} {symbols:>13,} {recurrence:>26,} {equations:>11}".format(**row))
