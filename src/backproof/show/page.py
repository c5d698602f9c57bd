"""Lines as pages: numbered equations with their rules, as text."""

from .compose import Composer, letters_for
from .lines import unit_order
from .notation import Namer
from .text import text
from .trees import axes_of
from .words import phrase

__all__ = ["render_text", "namer_of", "composed"]


def namer_of(derivation, notation, names):
    """The names of a derivation's system in a notation."""
    top = next(iter(derivation.seeds), "E")
    layers, number = {}, 0
    for equation in derivation.system:
        label = equation.layer or ""
        numbered = label.removeprefix("layer")
        if numbered.isdigit():
            number = int(numbered)
        elif label and label == equation.name.rpartition(".")[0] and label not in layers:
            number += 1
            layers[label] = number
    namer = Namer(notation, derivation.system, top, layers, names)
    functions = {equation.expression.function.name for equation in derivation.system
                 if equation.role == "activation" and hasattr(equation.expression, "function")} - {"identity"}
    namer.activation = functions.pop() if len(functions) == 1 else None
    return namer


def composed(line, namer, order, layout):
    """(left box, right boxes, edge boxes) of a line."""
    letters = letters_for(line.trees, namer.notation, order, line.free)
    composer = Composer(namer, letters, layout)
    edges = {}
    for symbol, value in line.edges:                       # one condition, whatever letters its indices had in the formula
        own = letters_for((symbol, value), namer.notation, order, axes_of(symbol))
        edges[Composer(namer, own, layout).box(symbol), Composer(namer, own, layout).box(value)] = None
    return composer.box(line.left), [composer.box(side.tree) for side in line.sides], list(edges)


def render_text(derivation, lines, notation, layout, language, names, errors=None):
    """Numbered lines, their rules behind them, and their checks."""
    namer, order, rows = namer_of(derivation, notation, names), unit_order(derivation.system), []
    for line in lines:
        left, right, edges = composed(line, namer, order, layout)
        head = f"({line.number})".rjust(5) + f"  {text(left)}"
        first, *more = [text(box) for box in right]
        rule = "; ".join(phrase(key, language) for key in line.rules)
        mark = "" if errors is None else f"   {'✓' if errors[line.number] <= 1e-10 else '✗'} {errors[line.number]:.0e}"
        rows.append((f"{head} = {first}", rule + mark))
        rows += [(" " * (len(head) + 1) + f"= {other}", "") for other in more]
        rows += [(" " * (len(head) + 3) + f"{text(symbol)} = {text(value)}", phrase("edge", language)) for symbol, value in edges]
    width = min(max(len(formula) for formula, _ in rows), 88)
    return "\n".join(f"{formula:<{width}}   {note}".rstrip() for formula, note in rows)
