"""Engines run programs; the generator draws for all of them.

An engine is a module with
    name, kernels       what it is called; the composed functions for which it has a word of its own
    Run(program, feeds, dtype, threads)
                        one execution: outputs(), gradients(), first_non_finite()
    Session(program, parameters, state, dtype, threads)
                        training: steps(data, rows, batch_size, scalars, epoch, seed, done=None, originals=None)
                        applies one update per minibatch and gives Steps; parameters and state are those after the last
                        complete step. ``done`` are Steps to go on from, up to date at every moment that an interrupt
                        can end the call; ``originals`` are the rows' numbers where the data are a part of the whole
The same program gives the same numbers in all of them, within the tolerances of the case table in the tests.
"""

import warnings
from functools import cache
from importlib import import_module

from ..errors import EngineError
from . import extension
from .steps import Steps          # noqa: F401

ENGINES = ("native", "reference")


def compiled():
    """Was this package built with its C++ core?"""
    return extension.path() is not None


@cache
def choose(engine=None):
    """An engine by name; by default the native one, and the reference where the package was built without a compiler.

    Raises   EngineError for an unknown name, and where the compiled core is there but cannot be loaded.
    """
    if engine is None:
        engine = "native" if compiled() else "reference"
        if engine == "reference":
            warnings.warn("backproof was built without its C++ core: the readable reference engine runs, many times slower; "
                          "a compiled wheel or a C++ compiler gives the native one", stacklevel=3)
    if engine not in ENGINES:
        raise EngineError(f"there is no engine {engine!r}", fix=f"one of {', '.join(ENGINES)}")
    if engine == "native" and not compiled():
        raise EngineError("this package was built without its C++ core",
                          fix="install a compiled wheel, or g++ 12 and build again: pip install --force-reinstall backproof")
    try:
        damage = extension.damage(extension.path()) if engine == "native" else None
        if damage is not None:
            raise ImportError(damage)
        return import_module(f"{__name__}.{engine}")
    except ImportError as error:
        raise EngineError(f"the engine {engine!r} cannot be loaded: {error}", where=extension.path() or f"{__name__}.{engine}",
                          fix="build it again for this Python: pip install --force-reinstall --no-cache-dir backproof; "
                              "until then engine='reference'") from error
