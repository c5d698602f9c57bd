"""The article: a network's derivation from its description to the update, as a document.

Reads   a derivation and a style.
Gives   blocks (``document``): the network and its picture, notation, forward equations, the output error step by step, the
        recurrence of the error signals once and then layer by layer, gradients, update, and a summary.
"""

from dataclasses import replace

from .boxes import Box, Id, Name, Op, Partial, Under, Row as Across
from .document import Heading, Paragraph, Picture, Rows, Table
from .words import phrase

__all__ = ["article", "generic"]


def article(sheet, rows):
    """The blocks of the article about rows that were composed with the textbook chain in them."""
    say = lambda key: phrase(key, sheet.style.language)                                           # noqa: E731
    derivation, groups = sheet.derivation, _grouped(rows)
    blocks = [Paragraph((say("article_about"), _described(derivation), say("period")))]
    columns = _columns(sheet, rows)
    if len(columns) > 1:
        blocks.append(Picture(tuple(columns)))
    blocks += [Heading(say("heading_notation")), Paragraph((say("article_convention"),)), _symbols(sheet, rows)]
    if groups["forward"]:
        blocks += [Heading(say("heading_forward")), Rows(tuple(groups["forward"]))]
    if groups["loss"]:
        blocks += [Heading(say("heading_loss")), Rows(tuple(groups["loss"]))]
    if groups["output"]:
        blocks += [Heading(say("heading_output")), Paragraph((say("article_output"),)), Rows(tuple(groups["output"]))]
    if groups["errors"]:
        blocks += [Heading(say("heading_errors")), Paragraph((say("article_errors"),))]
        once = generic(groups["errors"])
        if once is not None:
            blocks += [Paragraph((say("article_generic"), Id("ℓ"), say("article_generic_end"), once))]
        blocks.append(Rows(tuple(groups["errors"])))
    if groups["gradients"]:
        blocks += [Heading(say("heading_gradients")), Paragraph((say("article_gradients"),)), Rows(tuple(groups["gradients"]))]
        blocks += [Heading(say("heading_update")), Paragraph((say("article_update"), _update(sheet), say("period")))]
    summary = [row for row in rows if row.line.equation.role in ("delta", "gradient")]
    blocks += [Heading(say("heading_summary")), Rows(tuple(_short(row) for row in summary), framed=True, ruled=False)]
    if any(row.error is not None for row in rows):
        worst = max(row.error for row in rows if row.error is not None)
        blocks.append(Paragraph((say("article_checked"), f"{worst:.0e}", say("period"))))
    return blocks


def _grouped(rows):
    groups = {"forward": [], "loss": [], "output": [], "errors": [], "gradients": []}
    first = True
    for row in rows:
        role, of = row.line.equation.role, row.line.equation.of
        if role in ("sample_loss", "loss", "penalty", "objective"):
            groups["loss"].append(row)
        elif of is None:
            groups["forward"].append(row)
        elif role == "gradient":
            groups["gradients"].append(row)
        elif first and (row.line.system is not None or role == "delta"):
            groups["output"].append(row)
            first = role != "delta"
        else:
            groups["errors"].append(row)
    return groups


def _short(row):
    """A row of the summary: left-hand side and the last right-hand side of a textbook chain, else the first; no notes."""
    last = row.right[-1] if row.line.system is not None else row.right[0]
    return replace(row, right=((last[0], ""),), edges=(), rules=(), error=None)


def _described(derivation):
    network = derivation.network
    if network is None:
        return "a system of equations"
    return f"{network.spec or 'Network'}, {network.loss.text()}"


def _columns(sheet, rows):
    """(captions, units) of the input and of every layer, with z, a and δ where they stand."""
    system, namer = sheet.derivation.system, sheet.namer(sheet.derivation.system)
    found = []
    for name, variable in system.variables.items():
        if variable.role == "input":
            units = [index.extent for index in variable.axes if index.kind == "unit"]
            found.append(([namer.box(name)], units[0] if units else 1))
    for name, equation in system.equations.items():
        units = [index.extent for index in equation.axes if index.kind == "unit"]
        if equation.role == "pre_activation" and units:
            found.append(([namer.box(name)], units[0]))
        elif equation.role in ("activation", "state") and units and len(found) > 1:
            found[-1][0].append(namer.box(name))
        if equation.role == "pre_activation" and units:
            adjoint = sheet.derivation.sweep.adjoints.get(name)
            if adjoint in system.equations:
                found[-1][0].append(namer.box(adjoint))
    return [(tuple(captions), units) for captions, units in found]


MEANINGS = {"input": "means_input", "target": "means_target", "weight": "means_weight", "pre_activation": "means_z",
            "activation": "means_a", "state": "means_state", "delta": "means_delta", "sample_loss": "means_E", "loss": "means_L",
            "objective": "means_J"}


def _symbols(sheet, rows):
    """The table of symbols: how each is written, its extents, its meaning."""
    system, namer, cells = sheet.derivation.system, sheet.namer(sheet.derivation.system), []
    say = lambda key: phrase(key, sheet.style.language)                                           # noqa: E731
    for name, variable in _ordered(sheet.derivation):
        key = MEANINGS.get(variable.role)
        if variable.role == "parameter":
            key = "means_W" if len(variable.axes) > 1 else "means_b"
        if key:
            axes = list(variable.axes)
            if sheet.style.layout == "sample" and variable.role == "parameter":
                axes.reverse()
            cells.append((_symbol(name, variable.axes, namer, sheet.style), _shape(axes, namer), say(key)))
    for name, equation in system.equations.items():
        key = MEANINGS.get(equation.role)
        if key:
            cells.append((_symbol(name, equation.axes, namer, sheet.style), _shape(equation.axes, namer), say(key)))
    return Table((say("column_symbol"), say("column_shape"), say("column_meaning")), tuple(cells))


def _symbol(name, axes, namer, style):
    """A symbol as the style writes it; a capital where a whole batch is one matrix."""
    matrix = style.form == "matrix"
    return namer.box(name, (), matrix, matrix and style.layout == "batch" and len(axes) > 1 and any(i.kind == "sample" for i in axes))


def _ordered(derivation):
    """Variables as a reader meets them: inputs, targets, then the parameters in the network's order."""
    variables = derivation.system.variables
    ranks = {"input": 0, "target": 1, "weight": 2}
    known = [p.name for p in getattr(derivation.network, "parameters", ())]
    place = {name: k for k, name in enumerate(known)}
    return sorted(variables.items(), key=lambda item: (ranks.get(item[1].role, 3), place.get(item[0], len(place))))


def _shape(axes, namer):
    return " × ".join(namer.notation.samples if i.extent == "N" else str(i.extent) for i in axes) or "1"


def _update(sheet):
    """θ ← θ − η ∂J/∂θ"""
    namer, theta = sheet.namer(sheet.derivation.system), Id("θ")
    gradient = Partial(namer.objective(), theta)
    return Across((theta, Op("←"), theta, Op("−"), Id(namer.notation.rate), Op("", "juxtaposed"), gradient))


# ----------------------------------------------------------------------------------------------- the recurrence, once

def generic(rows):
    """δ^(l) from δ^(l+1) with l for the number, where the error signals of all layers have one form; else None."""
    bare = lambda box: box.body if isinstance(box, Under) else box                                   # noqa: E731
    deltas = [row for row in rows if row.line.equation.role == "delta"]
    made = set()
    for row in deltas:
        left = bare(row.left)
        if any(not name.layer.isdigit() for name in _names(row.right[0][0]) if name.layer):
            return None
        if not isinstance(left, Name) or not left.layer.isdigit():
            return None
        made.add(_equals(_lifted(left, int(left.layer)), _lifted(row.right[0][0], int(left.layer))))
    return made.pop() if len(made) == 1 else None


def _names(box):
    """Every name in a box."""
    if isinstance(box, Name):
        yield box
    for field in getattr(box, "__dataclass_fields__", ()):
        value = getattr(box, field)
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, Box):
                yield from _names(item)


def _equals(left, right):
    return Across((left, Op("="), right))


def _lifted(box, base):
    """The box with layer numbers relative to l, without shapes."""
    if isinstance(box, Under):
        return _lifted(box.body, base)
    if isinstance(box, Name) and box.layer.isdigit():
        offset = int(box.layer) - base
        box = replace(box, layer="ℓ" + (f"{offset:+d}".replace("-", "−") if offset else ""))
    changes = {}
    for field in getattr(box, "__dataclass_fields__", ()):
        value = getattr(box, field)
        if isinstance(value, Box):
            changes[field] = _lifted(value, base)
        elif isinstance(value, tuple):
            changes[field] = tuple(_lifted(item, base) if isinstance(item, Box) else item for item in value)
    return replace(box, **changes) if changes else box


