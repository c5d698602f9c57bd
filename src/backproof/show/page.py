"""Lines as pages: numbered equations with their rules, as text."""

from .compose import Composer, letters_for
from .lines import unit_order
from .notation import Namer
from .text import text
from .words import phrase

__all__ = ["render_text", "namer_of", "composed"]


def namer_of(derivation, notation, names):
    """The names of a derivation's system in a notation."""
    top = next(iter(derivation.seeds), "E")
    layers = {}
    for equation in derivation.system:
        head = equation.name.rpartition(".")[0]
        if equation.role == "pre_activation" and head and not head.isdigit():
            layers.setdefault(head, len(layers) + 1)
    namer = Namer(notation, derivation.system, top, layers, names)
    functions = {equation.expression.function.name for equation in derivation.system
                 if equation.role == "activation" and hasattr(equation.expression, "function")} - {"identity"}
    namer.activation = functions.pop() if len(functions) == 1 else None
    return namer


def composed(line, namer, order, layout):
    """(left box, right boxes, edge boxes) of a line."""
    letters = letters_for(line.trees, namer.notation, order, line.free)
    composer = Composer(namer, letters, layout)
    return (composer.box(line.left), [composer.box(side.tree) for side in line.sides],
            [(composer.box(symbol), composer.box(value)) for symbol, value in line.edges])


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
