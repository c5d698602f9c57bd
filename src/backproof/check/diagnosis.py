"""The diagnosis with a twin: which mutant of the derived equations gives the user's gradient?

Reads   a Twin, the user's gradient in the twin's arrangement.
Gives   Causes, each with the equation that should stand there and the one that explains the numbers; or none.
Method  every mutant is evaluated at the user's point; one that reproduces all tensors is the cause. Else mutants are put
        together, at each turn the one that explains most of the tensors still unexplained without losing any.
"""

import time
from dataclasses import dataclass

import numpy as np

from ..calculus import plain
from ..derive.mutations import mutants
from ..derive.sweep import Sweep
from ..errors import BackproofError
from .report import Cause

__all__ = ["diagnose", "explain"]

CLOSE = 1e-6
DEPTH = 4


@dataclass
class Explanation:
    """Mutants that together reproduce a gradient; ``also``: other names for the same numbers; ``left``: what stays wrong."""

    mutants: list
    also: list
    left: set


def diagnose(twin, target, analytic, *, extras, seconds=20.0):
    """(causes, complete): the Causes found, and whether they explain every wrong tensor."""
    try:
        wanted = twin.arrays({n: np.asarray(g, float) / twin.factor for n, g in analytic.items()})
    except (KeyError, ValueError, TypeError):
        return [], False
    found = explain(twin, twin.arrays(target.point), wanted, extras, target.noise / abs(twin.factor), seconds)
    if found is None:
        return [], False
    users = {name: place.name for name, place in twin.places.items()}
    causes = []
    for mutant, also in zip(found.mutants, found.also):
        equations = [twin.system.equations[name] for name in mutant.where]
        where = tuple(dict.fromkeys(users.get(e.of, e.of) if e.role == "gradient" else e.name for e in equations))
        first = equations[0]
        changed = f"{_left(first)} = {plain(mutant.changes[first.name])}"
        causes.append(Cause(mutant.name, "twin", where, {"detail": mutant.detail, "also": also}, repr(first), changed))
    return together(causes), not found.left


def together(causes):
    """The same mistake in several places is told once."""
    kept = {}
    for cause in causes:
        first = kept.setdefault(cause.key, cause)
        if first is not cause:
            first.where = (*first.where, *(name for name in cause.where if name not in first.where))
    return list(kept.values())


def _left(equation):
    return f"{equation.name}[{','.join(i.name for i in equation.axes)}]"


def explain(twin, theta, wanted, extras, noise=0.0, seconds=20.0):
    """The Explanation of a gradient {parameter: array}, or None; complete where ``left`` is empty."""
    deadline = time.monotonic() + seconds
    values = twin.at(theta)
    gradients = twin.gradients(values)
    allowed = {p: CLOSE * max(np.linalg.norm(w), np.linalg.norm(gradients[p]), 1e-12 * _top(wanted)) + noise * np.sqrt(w.size)
               for p, w in wanted.items()}

    def right(given):
        return {p for p in wanted if given[p].shape == wanted[p].shape
                and np.linalg.norm(given[p] - wanted[p]) <= allowed[p]}

    sweep, chosen, also, matched, reach = twin.sweep, [], [], right(gradients), {}
    if len(matched) == len(wanted):
        return None
    while len(chosen) < DEPTH and time.monotonic() < deadline:
        candidates, ranked = mutants(sweep), []
        # the others would spoil what is right; they are tried where these explain nothing
        likely = [m for m in candidates if not reached(twin, sweep, m, reach) & matched]
        for group in (likely, [m for m in candidates if not any(m is other for other in likely)]):
            for mutant in group:
                given = _evaluated(twin, mutant, theta, values, extras, sweep)
                now = set() if given is None else right({**gradients, **given})
                if len(now) > len(matched) and matched <= now:
                    ranked.append((len(now), mutant, now, given))
                if time.monotonic() > deadline:
                    break
            if ranked:
                break
        if not ranked:
            break
        most = max(count for count, *_ in ranked)
        best = [entry for entry in ranked if entry[0] == most]
        _, mutant, matched, given = min(best, key=lambda entry: _simplicity(entry[1], most == len(wanted)))
        chosen.append(mutant)
        names = dict.fromkeys(m.name for _, m, now, g in best if now == matched and m.name != mutant.name)
        also.append(tuple(names))
        if len(matched) == len(wanted):
            break
        reach = {}
        sweep = Sweep(mutant.apply(sweep.system), sweep.adjoints, sweep.inlined)
        gradients = {**gradients, **given}
        try:
            values = twin.at(theta, sweep, extras)
        except BackproofError:                       # two mistakes that no single program has
            break
    if not chosen:
        return None
    return Explanation(chosen, also, set(wanted) - matched)


def reached(twin, sweep, mutant, known):
    """The parameters whose gradients depend on what a mutant changes."""
    names = {sweep.system.resolve(sweep.adjoints[p]): p for p in twin.parameters}
    for name in mutant.changes:
        if name not in known:
            known[name] = {names[n] for n in sweep.system.depending_on([name]) | {name} if n in names}
    return set().union(*(known[name] for name in mutant.changes))


def _simplicity(mutant, complete):
    """Explanations preferred: of fewer places where all is explained, of more places where more mistakes remain."""
    return (len(mutant.changes) if complete else -len(mutant.changes),)


def _evaluated(twin, mutant, theta, values, extras, sweep):
    try:
        with np.errstate(all="ignore"):
            return twin.mutated(mutant, theta, values, extras, sweep)
    except (BackproofError, ValueError, KeyError):
        return None


def _top(arrays):
    return max((float(np.linalg.norm(a)) for a in arrays.values()), default=0.0) or 1e-300
