"""What this installation is and will do: engine, instruction set, threads, floating point. ``backproof doctor`` prints it."""

import os
import platform

import numpy as np

from . import __version__
from .engines import choose, compiled
from .engines.threads import MOST, available, quota, team
from .errors import EngineError

__all__ = ["examine", "sentences"]


def examine(threads=None):
    """{what: plain value}; ``problems`` lists what keeps the fast engine from running.

    >>> examine()["problems"]
    []
    """
    found = {"version": __version__, "python": platform.python_version(), "numpy": np.__version__, "compiled": compiled(),
             "processors": os.cpu_count(), "available": available(), "quota": quota(), "problems": []}
    try:
        engine = choose("native" if found["compiled"] else "reference")
    except EngineError as error:
        return {**found, "engine": None, "problems": [str(error)]}
    found["engine"] = engine.name
    if engine.name == "native":
        core = engine._native
        found.update(instruction_set=engine.instruction_set(), instruction_sets=core.instruction_sets().split(),
                     limit=core.limit() or None, threads=team(threads, core.limit()), asked=threads, most=MOST,
                     subnormals=bool(np.float64(5e-324) * 1 != 0) and len(set(core.floating_point_states(2))) == 1)
    return found


def sentences(found):
    """The same in lines."""
    lines = [f"backproof {found['version']}, Python {found['python']}, NumPy {found['numpy']}"]
    if found["engine"] is None:
        return lines + ["engine     none: " + found["problems"][0].replace("\n", "\n           ")]
    if found["engine"] == "reference":
        return lines + ["engine     reference: the package was built without its C++ core; a compiled wheel is many times faster"]
    lines += [f"engine     native, {found['instruction_set']} kernels (compiled: {', '.join(found['instruction_sets'])})"]
    why = [f"{found['processors']} processors, {found['available']} for this process"]
    why += [f"quota {found['quota']:g}"] if found["quota"] is not None else []
    why += [f"threadpoolctl's limit {found['limit']}"] if found["limit"] else []
    why += [f"OMP_NUM_THREADS={os.environ['OMP_NUM_THREADS']}"] if os.environ.get("OMP_NUM_THREADS") else []
    asked = f", {found['asked']} asked for, {found['most']} at most" if found["asked"] else ""
    lines += [f"threads    {found['threads']} ({'; '.join(why)}{asked})"]
    return lines + ["numbers    " + ("subnormals are kept, in the threads of the team, too" if found["subnormals"] else
                                     "subnormals are lost: another library has set flush-to-zero for the process")]
