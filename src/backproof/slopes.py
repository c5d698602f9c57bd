"""An expression differentiated at a point: formulas, values, and the complex step beside them.

Reads   an expression in the package's grammar, a point {name: number}.
Gives   the formula, its value, the slope by every variable.
"""

import math
from dataclasses import dataclass

from .errors import OptionError, RangeError

__all__ = ["Slope", "differentiate", "read_point"]


@dataclass(frozen=True)
class Slope:
    """One partial derivative of an expression: as a formula, its value at the point, and the complex step's beside it."""

    name: str
    formula: str
    value: float | None = None
    checked: float | None = None

    @property
    def error(self):
        """How far the value is from the complex step, relative to it."""
        return abs(self.value - self.checked) / max(abs(self.checked), abs(self.value), 1e-300)


def differentiate(text, at=None):
    """(formula, value or None, [Slope of every variable]) of an expression, at a point {name: number} if one is given.

    >>> formula, value, slopes = differentiate("x*y", {"x": 4, "y": -3})
    >>> formula, value, [(s.name, s.formula, s.value) for s in slopes]
    ('x y', -12.0, [('x', 'y', -3.0), ('y', 'x', 4.0)])
    """
    from .calculus import Equation, System
    from .calculus.parser import parse
    from .derive import sweep

    system = System()
    node = parse(text)
    system.append(Equation(RESULT, node, (), role="objective"))
    names = sorted(system.variables)
    if not names:
        raise OptionError("the expression has no variable to differentiate by", where=text[:200],
                          fix="such as --expression 'x*y'")
    derived = sweep(system, {RESULT: 1}, names)
    nodes = {name: _derivative(derived, name) for name in names}
    formulas = {name: _formula(derived.system, part) for name, part in nodes.items()}
    if at is None:
        return _formula(system, node), None, [Slope(name, formulas[name]) for name in names]
    return _at_point(system, derived.system, nodes, formulas, names, _point(names, at))


RESULT = "the expression"           # no variable can have this name


def _derivative(derived, name):
    """The node of a partial derivative: its equation's, or the variable that it is."""
    from .calculus import zero

    if name not in derived.adjoints:
        return zero(())
    found = derived.system.resolve(derived.adjoints[name])
    equations = derived.system.equations
    return equations[found].expression if found in equations else derived.system.variables[found]


def _formula(system, node):
    """A node in the house notation."""
    from .show.compose import Composer
    from .show.index_form import IndexForm
    from .show.notation import NOTATIONS, Namer
    from .show.text import text

    shorter = IndexForm(system, frozenset(n for n in system.equations if n != RESULT))
    return text(Composer(Namer(NOTATIONS["house"], system), {}).box(shorter.tree(node, {}))).replace(RESULT, "f")


def _point(names, at):
    for name in at:
        if name not in names:
            raise OptionError(f"the expression has no variable {name!r}", fix=f"give {', '.join(names)}")
    missing = [name for name in names if name not in at]
    if missing:
        raise OptionError(f"no value is given for {', '.join(missing)}", fix=f"--at {','.join(f'{n}=1' for n in missing)}")
    return {name: float(at[name]) for name in names}


def _at_point(system, derived, nodes, formulas, names, point):
    import numpy as np

    from .calculus import Equation
    from .engines.reference import Run
    from .lower import lower

    whole = derived.copy()
    for name in names:
        whole.append(Equation(f"slope of {name}", nodes[name], ()))
    program, alone = lower(whole, [RESULT, *(f"slope of {name}" for name in names)]), lower(system, [RESULT])
    found = {key: float(value) for key, value in Run(program, point).outputs().items()}
    for key, value in found.items():
        if not math.isfinite(value):
            raise RangeError(f"{'the value' if key == RESULT else 'the ' + key} is {value} there",
                             where=", ".join(f"{name} = {value:g}" for name, value in point.items()),
                             fix="choose a point where the expression is defined")
    slopes = []
    for name in names:
        moved = {n: np.asarray(v + (1e-20j if n == name else 0j)) for n, v in point.items()}
        checked = float(Run(alone, moved, np.complex128).outputs()[RESULT].imag) / 1e-20
        slopes.append(Slope(name, formulas[name], found[f"slope of {name}"], checked))
    return _formula(system, system[RESULT].expression), found[RESULT], slopes


def read_point(text):
    """{name: number} of "x=4,y=-3"; a number may be written as a fraction.

    >>> read_point("x=4, y=-1/2")
    {'x': 4.0, 'y': -0.5}
    """
    from .calculus.nodes import as_number
    from .calculus.parser import parse

    point = {}
    for part in text.split(","):
        name, sign, value = (piece.strip() for piece in part.partition("="))
        number = as_number(parse(value)) if sign and value else None
        if not name.isidentifier() or number is None or name in point:
            raise OptionError(f"the point {part.strip()[:60]!r} cannot be read", fix="--at x=4,y=-3")
        try:
            point[name] = float(number)
        except OverflowError:
            raise OptionError(f"the value of {name} is too large for a 64-bit number", fix="--at x=4,y=-3") from None
    return point
