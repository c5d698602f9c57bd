"""Mutation scores: which planted gradient mistakes would a test suite miss?

Reads   a gradient function where it lives (an object and a name), and the tests as a function that tells whether they pass.
Gives   a Score: every planted mistake, killed or missed. Mistakes act on the gradients that the user's function returns; with a
        twin they are the mutants of the derived equations, without one changes of the arrays.
"""

from dataclasses import dataclass, field

import numpy as np

from ..errors import OptionError
from .targets import flatten, rebuild

__all__ = ["PLANTED", "Score", "mutation_score"]

PLANTED = {
    "factor 2": lambda g: 2 * g,
    "factor 1/2": lambda g: g / 2,
    "wrong sign": lambda g: -g,
    "1 percent too much": lambda g: 1.01 * g,
    "zero gradient": lambda g: 0 * g,
    "transposed": lambda g: g.T.copy() if g.ndim == 2 and g.shape[0] == g.shape[1] else None,
    "last entry forgotten": lambda g: _with_last(g, 0.0),
    "one entry off": lambda g: _with_last(g, 1.1),
    "summed over everything": lambda g: np.full_like(g, g.sum()) if g.ndim == 1 and g.size > 1 else None,
    "units in reverse order": lambda g: g[..., ::-1].copy() if g.ndim and g.shape[-1] > 1 else None,
}


def _with_last(g, factor):
    changed = g.copy()
    changed.flat[-1] *= factor
    return changed


@dataclass
class Score:
    """``killed`` and ``missed``: (mistake, tensor) pairs."""

    killed: list = field(default_factory=list)
    missed: list = field(default_factory=list)

    @property
    def value(self):
        """The share of mistakes that the tests noticed."""
        return len(self.killed) / max(1, len(self.killed) + len(self.missed))

    def to_text(self):
        lines = [f"{len(self.killed)} of {len(self.killed) + len(self.missed)} planted mistakes noticed: {self.value:.0%}"]
        return "\n".join(lines + [f"  missed: {mistake} in {tensor}" for mistake, tensor in self.missed])


def mutation_score(tests, holder, name="gradient", planted=None):
    """Plant every mistake in turn in ``holder.name`` and run the tests.

    Parameters  tests   a function without arguments: it raises, or returns False, when the tests fail
                holder  the module or object that has the gradient function; name: the function's name there
    Raises      OptionError if the tests fail before anything was planted.

    >>> class Mine: gradient = staticmethod(lambda w: {"w": 2 * w})
    >>> def tests(): assert Mine.gradient(np.array([1.0, 2.0]))["w"][0] == 2
    >>> score = mutation_score(tests, Mine)
    >>> score.value < 1, ("one entry off", "w") in score.missed
    (True, True)
    """
    original = getattr(holder, name)
    if not _pass(tests):
        raise OptionError("the tests fail without a planted mistake", fix="make them pass first")
    seen = {}

    def recording(*arguments, **options):
        returned = original(*arguments, **options)
        seen.update({n: np.asarray(g) for n, g in flatten(returned)})
        return returned
    kept = vars(holder).get(name, original)
    score = Score()
    try:
        _set(holder, name, recording)
        tests()
        for tensor in list(seen):
            for mistake, change in (planted or PLANTED).items():
                example = change(np.asarray(seen[tensor], float))
                if example is None or np.array_equal(example, seen[tensor]):
                    continue
                _set(holder, name, _planted(original, tensor, change))
                (score.missed if _pass(tests) else score.killed).append((mistake, tensor))
    finally:
        setattr(holder, name, kept)
    return score


def _set(holder, name, function):
    setattr(holder, name, staticmethod(function) if isinstance(holder, type) else function)


def _planted(original, tensor, change):
    def mutated(*arguments, **options):
        returned = original(*arguments, **options)
        leaves = dict(flatten(returned))

        def leaf(name):
            value = np.asarray(leaves[name], float) if name == tensor else leaves[name]
            changed = change(value) if name == tensor else value
            return value if changed is None else changed
        return rebuild(returned, leaf)
    return mutated


def _pass(tests):
    try:
        return tests() is not False
    except Exception:                                               # noqa: BLE001  however a test fails
        return False
