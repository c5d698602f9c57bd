"""Exercises: a NumPy training step with one seeded mistake, or with blanks; and their marking, line by line.

Reads   a one-line spec and a loss; for marking, the student's file.
Gives   the text of a Python file; marks by line.
Method  a line is right if its value is what the derived equation gives *for the student's own values above it*, so a
        mistake costs the line that it is in and no other.
"""

import ast
import json
from dataclasses import dataclass

import numpy as np

from ..calculus import Ref, System, Variable, substitute, walk
from ..derive.mutations import mutants
from ..engines import reference
from ..errors import BackproofError, FileProblem, OptionError
from ..lower import lower
from .command import Outcome, load
from .numpy_code import HELPERS, assignment, name_of
from .twin import Plan, ordered
from .words import say

__all__ = ["Mark", "exercise", "grade", "solution"]

SAMPLES = 5
HEAD = "# backproof exercise "
QUIET = {"one sample only", "weights updated early", "bias summed over the wrong axis", "1/m twice", "factor of the outputs",
         "divided by the outputs"}                                     # mistakes that an exercise does not plant


@dataclass
class Mark:
    """One line: the name on its left, whether it is right, the line number, the equation that should stand there."""

    name: str
    right: bool
    line: int | None
    equation: str


def exercise(spec, *, loss="squared_error", l2=0.0, seed=0, kind="bug"):
    """The text of an exercise: "bug" plants one mistake, "blanks" leaves lines of the backward pass out.

    >>> text = exercise("3 | 3 sigmoid | 1", seed=4)
    >>> "def step(x, y, W1, b1, W2, b2, rate=0.1):" in text, "delta1 = " in text
    (True, True)
    """
    if kind not in ("bug", "blanks"):
        raise OptionError(f"an exercise of the kind {kind!r}", fix="bug or blanks")
    plan, rng = Plan(spec, loss, l2), np.random.default_rng(seed)
    sweep = plan.gradient_system()
    if any(i.kind == "time" for v in sweep.system.variables.values() for i in v.axes) or "x" not in sweep.system.variables:
        raise OptionError("exercises are written for feedforward networks on numbers", where=spec, fix="a network of dense layers")
    changes, blank = {}, set()
    if kind == "bug":
        choices = [m for m in mutants(sweep) if len(m.changes) == 1 and m.name not in QUIET]
        names = [str(name) for name in rng.permutation(sorted({m.name for m in choices}))]
        order = [m for name in names for m in _shuffled([m for m in choices if m.name == name], rng)]
        changes = dict(next(m for m in order if _shows(plan, sweep, m)).changes)
    else:
        backward = [e.name for e in sweep.system if e.role in ("delta", "adjoint", "gradient")]
        blank = set(rng.choice(backward, max(1, len(backward) // 3), replace=False))
    about = {"spec": spec, "loss": loss, "l2": l2, "seed": seed, "kind": kind}
    return _program(plan, sweep, about, changes, blank)


def solution(spec, *, loss="squared_error", l2=0.0):
    """The same program without a mistake."""
    plan = Plan(spec, loss, l2)
    return _program(plan, plan.gradient_system(), {"spec": spec, "loss": loss, "l2": l2, "seed": None, "kind": "solution"}, {}, set())


def _shuffled(items, rng):
    return [items[k] for k in rng.permutation(len(items))]


def _shows(plan, sweep, mutant):
    """Does the mistake change a gradient visibly, and can it be written as NumPy?"""
    from .twin import Extras, Twin
    x, y, theta = _data(plan, sweep, 7)
    twin = Twin(plan, {"x": x, "y": y}, {})
    try:
        code = assignment(sweep.system, sweep.system.equations[mutant.where[0]], mutant.changes[mutant.where[0]])
        if "einsum" in code or "broadcast_to" in code:               # nobody writes such a line by mistake
            return False
        values = twin.at(theta)
        given = twin.mutated(mutant, theta, values, Extras(SAMPLES))
    except BackproofError:
        return False
    right = twin.gradients(values)
    return bool(given) and any(np.linalg.norm(given[p] - right[p]) > 1e-2 * np.linalg.norm(right[p]) for p in given)


def _program(plan, sweep, about, changes, blank):
    system, used, lines = sweep.system, set(), []
    names = [p.name for p in plan.parameters]
    wanted = [sweep.adjoints[n] for n in names]
    titles = {"forward": [], "backward": []}
    for name in system.needed_for([*wanted, "J"]):
        equation = system.equations[name]
        assignment(system, equation, None, used)                   # helpers of the right program, so that none is a hint
        part = "backward" if equation.role in ("delta", "adjoint", "gradient") else "forward"
        code = assignment(system, equation, changes.get(name), used) if name not in blank else f"{name_of(name)} = ...  # ?"
        titles[part].append(code)
    for title, body in titles.items():
        lines += [f"    # {title}", *(f"    {line}" for line in body)]
    task = {"bug": "One line is wrong. Find it and mend it.", "blanks": "Fill in the lines marked with ?.",
            "solution": "The program without a mistake."}[about["kind"]]
    arguments = ", ".join(["x", "y", *map(name_of, names), "rate=0.1"])
    updates = [f"    {name_of(n)}_new = {name_of(n)} - rate * {name_of(sweep.adjoints[n])}" for n in names]
    helpers = [HELPERS[name] for name in HELPERS if name in used]
    return "\n".join([
        f'"""A training step of {about["spec"]}, loss {about["loss"]}. {task}', "", "Marked by: backproof grade FILE", '"""',
        HEAD + json.dumps(about), "import numpy as np", "", *("\n" + h + "\n" for h in helpers), "",
        f"def step({arguments}):", "    N = len(x)", *lines, "    # update", *updates, "    return locals()", ""])


def grade(path, language="en"):
    """Mark an answer: an Outcome whose exit code is 0 where every line is right. The student's file is run."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise FileProblem(f"{path} cannot be read: {error.strerror}") from error
    head = next((line for line in text.splitlines() if line.startswith(HEAD)), None)
    if head is None:
        raise OptionError(f"{path} is no exercise of backproof", fix="keep the line that begins with '# backproof exercise'")
    try:
        about = json.loads(head.removeprefix(HEAD))
        plan = Plan(about["spec"], about["loss"], about["l2"])
        tree = ast.parse(text)
    except (ValueError, KeyError, SyntaxError) as error:
        return Outcome(say("exercise unreadable", language, why=str(error)), {"marks": [], "error": str(error)}, 1)
    sweep = plan.gradient_system()
    x, y, theta = _data(plan, sweep, 11)
    try:
        values = load(f"{path}:step")(x.copy(), y.copy(), *(theta[p.name].copy() for p in plan.parameters))
    except Exception as error:                                          # noqa: BLE001  the student's program
        blank = [str(k) for k, line in enumerate(text.splitlines(), 1) if line.rstrip().endswith("= ...  # ?")]
        if blank:
            return Outcome(say("exercise blank", language, lines=", ".join(blank)), {"marks": [], "blank": blank}, 1)
        return Outcome(say("exercise fails", language, why=f"{type(error).__name__}: {error}"), {"marks": [], "error": str(error)}, 1)
    marks = [_mark(plan, sweep, name, values if isinstance(values, dict) else {}, _lines(tree), x, y, theta)
             for name in sweep.system.needed_for([sweep.adjoints[p.name] for p in plan.parameters])]
    wrong = [mark for mark in marks if not mark.right]
    lines = [say("exercise marks", language, right=len(marks) - len(wrong), all=len(marks))]
    lines += [f"  {say('line', language)} {mark.line or '?'}: {name_of(mark.name)}  {say('should stand', language)} {mark.equation}"
              for mark in wrong]
    return Outcome("\n".join(lines), {"right": len(marks) - len(wrong), "of": len(marks), "marks": [vars(m) for m in marks]},
                   1 if wrong else 0)


def _mark(plan, sweep, name, values, lines, x, y, theta):
    """The Mark of an equation, evaluated at the student's own values of what it reads."""
    system = sweep.system
    equation = system.equations[name]
    part, feeds = System(), {"x": x, "y": y, **theta}
    given = {}
    for node in walk(equation.expression):
        if isinstance(node, Ref) and node.name in system.equations:
            given[node] = Variable(node.name, system.equations[node.name].axes, "input")
            feeds[node.name] = values.get(name_of(node.name))
    part.append(type(equation)(name, substitute(equation.expression, given), equation.axes))
    right = False
    try:
        program = lower(part, [name])
        run = reference.Run(program, {n: np.asarray(feeds[n], float if n != "y" else None) for n in program.values if n in feeds})
        expected = ordered(run.outputs()[name], program.outputs[name].labels, equation.axes)
        own = np.asarray(values.get(name_of(name)), float)
        right = own.shape == expected.shape and bool(np.linalg.norm(own - expected) <= 1e-8 * max(1e-12, np.linalg.norm(expected)))
    except (BackproofError, TypeError, ValueError):
        right = False
    return Mark(name, right, lines.get(name_of(name)), repr(equation))


def _lines(tree):
    """{name: the last line that assigns it}."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found[target.id] = max(node.lineno, found.get(target.id, 0))
    return found


def _data(plan, sweep, seed):
    """(x, y, parameters) on which exercises are tried and marked."""
    rng = np.random.default_rng(seed)
    variables = sweep.system.variables
    target = next(v for v in variables.values() if v.role == "target")
    x = rng.normal(size=(SAMPLES, variables["x"].axes[-1].extent))
    if target.integer:
        hot = next(n for e in sweep.system for n in walk(e.expression) if type(n).__name__ == "OneHot")
        y = rng.integers(0, hot.index.extent, SAMPLES)
    else:
        y = rng.random((SAMPLES, target.axes[-1].extent))
        if "sums to one" in target.facts:
            y = y / y.sum(axis=1, keepdims=True)
    theta = {p.name: rng.normal(size=p.shape) for p in plan.parameters}
    return x, y, theta
