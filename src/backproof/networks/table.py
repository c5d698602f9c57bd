"""A network as a table of layers, shapes and parameter counts."""

from itertools import groupby

from .activations import word_of

__all__ = ["table"]


WIDEST = 48                     # columns that the parameters of a layer may take on one line


def table(inputs, layers, described, title):
    """The table as text: the input's shape, the layers with their labels, the described system.

    A shape stands once behind all parameters that have it.
    """
    rows = [("layer", "kind", "output", "parameters", "count"), ("input", "", inputs, "", "")]
    for (layer, label, *_), (_, indices) in zip(layers, described.shapes):
        own = [p for p in described.parameters if p.layer == label]
        first, *more = _parameters(own)
        count = f"{sum(p.count for p in own):,}" if own else ""
        rows.append((label, kind_text(layer), shape_text(indices), first, count))
        rows += [("", "", "", line, "") for line in more]
    rows.append(("total", "", "", "", f"{sum(p.count for p in described.parameters):,}"))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    lines = [title]
    for row in rows:
        left = "  ".join(cell.ljust(width) for cell, width in zip(row[:4], widths))
        lines.append(f"{left}  {row[4].rjust(widths[4])}".rstrip())
    return "\n".join(lines)


def _parameters(own):
    """Lines such as "W1 3 × 4, b1 4"."""
    texts = [f"{' '.join(p.name for p in run)} {' × '.join(map(str, shape)) or 'number'}"
             for shape, run in groupby(own, key=lambda p: p.shape) for run in [list(run)]]
    lines = [""]
    for text in texts:
        joined = f"{lines[-1]}, {text}" if lines[-1] else text
        if len(joined) > WIDEST and lines[-1]:
            lines.append(text)
        else:
            lines[-1] = joined
    return lines


def kind_text(layer):
    """
    >>> from .layers import Dropout
    >>> kind_text(Dropout(0.2))
    'dropout 0.2'
    """
    words = [layer.kind]
    if layer.kind == "bi":
        words.append(kind_text(layer.layer))
    elif layer.kind == "activation":
        words = [word_of(layer.activation)]
    elif hasattr(layer, "activation"):
        words.append(word_of(layer.activation))
    elif layer.kind == "dropout":
        words.append(f"{layer.rate:g}")
    elif layer.kind == "channels":
        words = [" + ".join(f"{window.name}: {kind_text(window)} {window.size}" for window in layer.layers)]
    if layer.frozen and layer.numbered:
        words.append("frozen")
    return " ".join(words)


def shape_text(indices):
    """The shape as users see it: samples first, then steps."""
    order = ("sample", "time", "pair", "unit")
    seen = sorted(indices, key=lambda index: order.index(index.kind))
    return "(" + ", ".join(i.letter if isinstance(i.extent, str) else str(i.extent) for i in seen) + ")"
