"""Equations as lines of NumPy, for exercises: what a careful student would write.

Reads   the equations of a feedforward network's sweep.
Gives   assignments over arrays whose axes are the equation's: `delta1 = (da1) * a1 * (1 - a1)`.
"""

from ..calculus import Add, Einsum, Extent, Map, OneHot, Reduce, Ref, Variable, as_number
from ..errors import OptionError

__all__ = ["HELPERS", "assignment", "name_of"]

HELPERS = {
    "sigmoid": "def sigmoid(z):\n    return 1 / (1 + np.exp(-z))",
    "softplus": "def softplus(z):\n    return np.logaddexp(0, z)",
    "relu": "def relu(z):\n    return np.maximum(z, 0)",
    "positive": "def positive(z):\n    return (z > 0) * 1.0",
    "logsumexp": "def logsumexp(z):\n    top = z.max(axis=-1, keepdims=True)\n"
                 "    return (np.log(np.exp(z - top).sum(axis=-1, keepdims=True)) + top)[..., 0]",
}
CALLS = {"exp": "np.exp", "log": "np.log", "sqrt": "np.sqrt", "abs": "np.abs", "sign": "np.sign", "tanh": "np.tanh",
         "expm1": "np.expm1", "sigmoid": "sigmoid", "softplus": "softplus", "relu": "relu", "step": "positive",
         "maximum": "np.maximum", "minimum": "np.minimum"}
SUM, PRODUCT, ATOM = 1, 2, 3


def name_of(name):
    """An equation's or parameter's name as Python has it.

    >>> name_of("grad.W1"), name_of("adj.a1"), name_of("delta2"), name_of("output.W")
    ('dW1', 'da1', 'delta2', 'output_W')
    """
    for prefix in ("grad.", "adj."):
        if name.startswith(prefix):
            return "d" + name.removeprefix(prefix).replace(".", "_")
    return name.replace(".", "_").replace("'", "_")


def assignment(system, equation, expression=None, used=None):
    """The line of NumPy for an equation of a system; ``used`` collects the helper functions it calls."""
    writer = _Writer(system, set() if used is None else used)
    code = writer.over(equation.expression if expression is None else expression, list(equation.axes))
    return f"{name_of(equation.name)} = {code}"


class _Writer:
    def __init__(self, system, used):
        self.system, self.used = system, used

    def over(self, node, axes):
        """Code of a value that has exactly these axes."""
        code, own, _ = self.write(node, axes)
        if own == axes:
            return code
        if not set(own) <= set(axes):
            raise OptionError(f"no line of NumPy for {node!r}")
        return f"np.broadcast_to({self.aligned(code, own, axes)}, [{', '.join(self.length(i) for i in axes)}])"

    def length(self, index):
        return str(index.extent)

    def aligned(self, code, own, axes):
        """Code whose axes broadcast against ``axes``."""
        if own == [i for i in axes if i in own]:
            present = [i for i in axes if i in own]
            if present == axes[len(axes) - len(present):]:
                return code
            first = axes.index(present[0]) if present else 0
            slots = ", ".join(":" if i in own else "None" for i in axes[first:])
            return f"{_wrapped(code)}[{slots}]"
        order = [own.index(i) for i in axes if i in own]
        moved = f"{_wrapped(code)}.T" if len(own) == 2 else f"{_wrapped(code)}.transpose({order})"
        return self.aligned(moved, [i for i in axes if i in own], axes)

    def write(self, node, wanted):
        """(code, axes, how tightly it binds) of a node."""
        value = as_number(node)
        if value is not None:
            return _number(value), [], ATOM if value >= 0 else SUM
        if isinstance(node, Variable):
            return name_of(node.name), list(node.axes), ATOM
        if isinstance(node, Ref):
            return name_of(node.name), list(self.system.equations[node.name].axes), ATOM
        if isinstance(node, Extent):
            return (node.symbol if node.power == 1 else f"{node.symbol}**{node.power}"), [], ATOM
        if isinstance(node, Add):
            return self.sum(node, wanted)
        if isinstance(node, Map):
            return self.function(node, wanted)
        if isinstance(node, Einsum):
            return self.contraction(node, wanted) if node.summed else self.product(node, wanted)
        if isinstance(node, Reduce) and node.kind == "logsumexp":
            inner, own, _ = self.write(node.operand, [*(i for i in wanted if i not in node.over), *node.over])
            self.used.add("logsumexp")
            return f"logsumexp({inner})", [i for i in own if i not in node.over], ATOM
        if isinstance(node, OneHot):
            return f"np.eye({node.index.extent})[y]", [*node.ids.axes, node.index], ATOM
        raise OptionError(f"exercises are written for feedforward networks; there is no line of NumPy for {type(node).__name__}",
                          fix="a network of dense layers")

    def axes_of(self, parts, wanted):
        union = {i for _, own, _ in parts for i in own}
        return [i for i in wanted if i in union] + [i for i in sorted(union - set(wanted), key=lambda i: i.sort_key())]

    def sum(self, node, wanted):
        pairs = sorted(node.terms, key=lambda pair: pair[0] < 0)
        parts = [(c, self.write(t, wanted)) for c, t in pairs]
        axes = self.axes_of([p for _, p in parts], wanted)
        text = ""
        for k, (c, (code, own, binds)) in enumerate(parts):
            code = self.aligned(code, own, axes)
            one = as_number(pairs[k][1]) is not None
            magnitude = abs(c)
            body = _number(magnitude * as_number(pairs[k][1])) if one else \
                (code if binds > SUM or magnitude == 1 and c > 0 else f"({code})") if magnitude == 1 else \
                f"{_number(magnitude)} * {code if binds > SUM else f'({code})'}"
            text += (f" {'-' if c < 0 else '+'} " if k else ("-" if c < 0 else "")) + body
        return text, axes, SUM

    def function(self, node, wanted):
        name = node.function.name
        parts = [self.write(child, wanted) for child in node.children]
        axes = self.axes_of(parts, wanted)
        arguments = [self.aligned(code, own, axes) for code, own, _ in parts]
        if name == "reciprocal":
            return f"1 / {arguments[0] if parts[0][2] == ATOM else f'({arguments[0]})'}", axes, PRODUCT
        if name == "square":
            return f"{arguments[0] if parts[0][2] == ATOM else f'({arguments[0]})'}**2", axes, PRODUCT
        if name in ("greater", "equal"):
            return f"({arguments[0]} {'>' if name == 'greater' else '=='} {arguments[1]})", axes, ATOM
        if name == "select":
            return f"np.where({', '.join(arguments)})", axes, ATOM
        if name in CALLS:
            self.used.add(CALLS[name])
            return f"{CALLS[name]}({', '.join(arguments)})", axes, ATOM
        if node.function.value is not None:
            return self.write(node.function.expand(node.children), wanted)
        raise OptionError(f"no line of NumPy for the function {name!r}")

    def product(self, node, wanted):
        over = [f for f in node.factors if isinstance(f, Extent) and f.power < 0]
        parts = [self.write(f, wanted) for f in node.factors if f not in over]
        axes = [i for i in wanted if i in node.indices] + [i for i in node.indices if i not in wanted]
        codes = []
        for code, own, binds in parts:
            code = self.aligned(code, own, axes)
            codes.append(code if binds > SUM else f"({code})")
        own = {i for _, o, _ in parts for i in o}
        text = _scaled(node.coefficient, " * ".join(codes), over)
        if set(axes) - own:
            return f"np.broadcast_to({text}, [{', '.join(self.length(i) for i in axes)}])", axes, ATOM
        return text, axes, PRODUCT

    def contraction(self, node, wanted):
        """A sum over indices as a matrix product, a .sum or an einsum."""
        over = [f for f in node.factors if isinstance(f, Extent) and f.power < 0]
        factors = [f for f in node.factors if f not in over]
        out = [i for i in wanted if i in node.indices] + [i for i in node.indices if i not in wanted]
        parts = [self.write(f, out) for f in factors]
        summed = node.summed
        if len(parts) == 1:
            code, own, binds = parts[0]
            axes = [own.index(i) for i in summed]
            left = [i for i in own if i not in summed]
            axis = str(axes[0]) if len(axes) == 1 else str(tuple(axes))
            code = f"{code if binds == ATOM else f'({code})'}.sum({'' if not left else f'axis={axis}'})"
            return _scaled(node.coefficient, code, over), left, PRODUCT
        matrix = self.matrix(parts, summed, out)
        if matrix is not None:
            return _scaled(node.coefficient, matrix, over), out, PRODUCT
        widest = max((own for _, own, _ in parts), key=len)
        if all(set(own) <= set(widest) for _, own, _ in parts):
            axis = str(widest.index(summed[0])) if len(summed) == 1 else str(tuple(widest.index(i) for i in summed))
            code = " * ".join(self.aligned(c if b > SUM else f"({c})", own, widest) for c, own, b in parts)
            left = [i for i in widest if i not in summed]
            return _scaled(node.coefficient, f"({code}).sum({f'axis={axis}' if left else ''})", over), left, PRODUCT
        letters = {}
        label = lambda own: "".join(letters.setdefault(i, "nijklmpqrs"[len(letters)]) for i in own)            # noqa: E731
        terms = ",".join(label(own) for _, own, _ in parts)
        code = f'np.einsum("{terms}->{label(out)}", {", ".join(code for code, _, _ in parts)})'
        return _scaled(node.coefficient, code, over), out, PRODUCT

    def matrix(self, parts, summed, out):
        """A @ B with the transposes it takes; None where it is no product of two matrices."""
        if len(parts) != 2 or len(summed) != 1 or any(len(own) != 2 for _, own, _ in parts) or len(out) != 2:
            return None
        k, = summed
        for (a, own_a, bind_a), (b, own_b, bind_b) in (parts, parts[::-1]):
            if k in own_a and k in own_b and out[0] in own_a and out[1] in own_b and out[0] != out[1]:
                left = _wrapped(a) if bind_a < ATOM else a
                right = _wrapped(b) if bind_b < ATOM else b
                return f"{left}{'' if own_a == [out[0], k] else '.T'} @ {right}{'' if own_b == [k, out[1]] else '.T'}"
        return None


def _wrapped(code):
    closed = code.endswith(")") and ("(" == code[0] or " " not in code[:code.index("(")]) and _balanced(code)
    return code if code.isidentifier() or closed else f"({code})"


def _balanced(code):
    """Does the last bracket close a call or group that spans to the end without an operator outside of brackets?"""
    depth = 0
    for character in code:
        depth += (character in "([") - (character in ")]")
        if depth == 0 and character in " +-*/@":
            return False
    return True


def _number(value):
    return str(value.numerator) if value.denominator == 1 else repr(float(value))


def _scaled(coefficient, code, over):
    sign = "-" if coefficient < 0 else ""
    size = abs(coefficient)
    text = (f"{_number(size)} * " if size != 1 or not code else "") + code
    for extent in over:
        text += f" / {extent.symbol}" + (f"**{-extent.power}" if extent.power != -1 else "")
    return sign + text
