"""Engines run programs; the generator draws for all of them.

An engine is a module with
    name, kernels       what it is called; the composed functions for which it has a word of its own
    Run(program, feeds, dtype)
                        one execution: outputs(), gradients(), first_non_finite()
    Session(program, parameters, state, dtype, threads)
                        training: steps(data, rows, batch_size, scalars, epoch, seed) applies one update per minibatch
                        and gives Steps; parameters and state are those after the last complete step
The same program gives the same numbers in all of them, within the tolerances of the case table in the tests.
"""

from ..errors import EngineError
from . import native, reference
from .steps import Steps          # noqa: F401

ENGINES = {engine.name: engine for engine in (native, reference)}


def choose(engine=None):
    """An engine by name, or the default."""
    if engine is None:
        return native
    if engine not in ENGINES:
        raise EngineError(f"there is no engine {engine!r}", fix=f"one of {', '.join(ENGINES)}")
    return ENGINES[engine]
