"""A short text of an expression, for errors and debugging; the typesetter lives in ``show``."""

from . import nodes as _n

__all__ = ["plain"]


def plain(node, parenthesise=False):
    text, compound = _plain(node)
    return f"({text})" if parenthesise and compound else text


def _plain(node):
    if isinstance(node, (_n.Variable, _n.Ref)):
        axes = getattr(node, "axes", node.indices)
        return node.name + (f"[{','.join(i.name for i in axes)}]" if axes else ""), False
    if isinstance(node, _n.Extent):
        return (node.symbol, False) if node.power == 1 else (f"{node.symbol}^{node.power}", False)
    if isinstance(node, _n.Einsum):
        factors = [plain(f, True) for f in node.factors]
        if node.coefficient != 1 or not factors:
            factors.insert(0, _number(node.coefficient))
        text = "·".join(factors)
        if node.summed:
            return f"Σ_{','.join(i.name for i in node.summed)} {text}", True
        return text, len(factors) > 1
    if isinstance(node, _n.Add):
        text = ""
        for k, (c, t) in enumerate(node.terms):
            sign = "−" if c < 0 else "+"
            text += f" {sign} " if k else sign.replace("+", "")
            magnitude = abs(c)
            if isinstance(t, _n.Einsum) and not t.children:
                text += _number(magnitude)
            else:
                text += (f"{_number(magnitude)}·" if magnitude != 1 else "") + plain(t, isinstance(t, _n.Add))
        return text, True
    inner = ", ".join(plain(child) for child in node.children)
    if isinstance(node, _n.Map):
        return f"{node.function.name}({inner})", False
    if isinstance(node, _n.Reduce):
        return f"{node.kind}_{','.join(i.name for i in node.over)}({inner})", False
    if isinstance(node, _n.OneHot):
        return f"[{inner} = {node.index.name}]", False
    if isinstance(node, _n.Rename):
        inner = plain(node.operand, True)
        return f"{inner}{{{', '.join(f'{a.name}→{b.name}' for a, b in node.pairs)}}}", False
    if isinstance(node, _n.Shift):
        return f"shift({inner}; {node.time.name}{-node.step:+d})", False
    if isinstance(node, _n.Edge):
        return f"{node.which}_{node.time.name}({inner})", False
    return f"{type(node).__name__.lower()}({inner})", False


def _number(value):
    if value.denominator == 1:
        return str(value.numerator)
    if value.denominator <= 64:
        return f"{value.numerator}/{value.denominator}"
    return repr(float(value))


_n.Node.__repr__ = plain
