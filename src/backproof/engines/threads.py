"""How many threads a run may use: the processors of this process, and what others have a say in.

Gives   available()          processors: the affinity, and no more than the control group's quota
        at_work()            a context: this thread trains
        team(threads, …)     members of a run's team, shared with the fits that are at work beside it

No number of threads changes a bit of the result, so all of this is about time alone.
"""

import math
import os
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from ..errors import OptionError

__all__ = ["MOST", "at_work", "available", "beside", "checked", "quota", "team", "told"]

MOST = 64                       # members of a team
GROUPS = Path("/sys/fs/cgroup")


def quota(groups=GROUPS):
    """Processors that the control group grants (0.5 is half of one); None where it sets no limit."""
    try:
        limit, period = (groups / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            limit, period = ((groups / "cpu" / f"cpu.cfs_{what}_us").read_text().strip() for what in ("quota", "period"))
        except OSError:
            return None
    return None if limit in ("max", "-1") else int(limit) / int(period)


granted = cache(quota)            # read once: a file takes longer than a prediction


def available():
    """Processors that this process may use, at least one."""
    found = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return found if granted() is None else max(1, min(found, math.ceil(granted())))


def checked(threads):
    """None or a whole number of threads from 1.

    >>> checked(None), checked(2)
    (None, 2)
    >>> checked(0)
    Traceback (most recent call last):
    backproof.errors.OptionError: threads=0 is no number of threads
      fix  a whole number from 1, or None: as many as are worth it, of those that the process may use
    """
    if threads is not None and (isinstance(threads, bool) or not hasattr(threads, "__index__") or threads < 1):
        raise OptionError(f"threads={threads!r} is no number of threads",
                          fix="a whole number from 1, or None: as many as are worth it, of those that the process may use")
    return None if threads is None else int(threads)


told = []                       # functions that are called when a fit begins or ends
_fits = []                      # one entry for every fit that is under way in this process
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_fits.clear)         # their threads are not in the child


@contextmanager
def at_work():
    """A fit is under way from here to the end of the block: others share the processors with it."""
    _fits.append(None)
    try:
        _tell()
        yield
    finally:
        if _fits:                                           # a child that was forked in between has none
            _fits.pop()
        _tell()


def _tell():
    for each in told:
        each()


def beside():
    """Fits that are under way beside the one that asks."""
    return max(0, len(_fits) - 1)


def team(threads, limit=0, beside=0):
    """Members of a team.

    Parameters  threads  as the user asked; None: the available ones, no more than OMP_NUM_THREADS (joblib sets it in its
                         workers), shared with the fits that are at work ``beside`` this one
                limit    of threadpoolctl; 0: none
    """
    wanted = checked(threads)
    if wanted is None:
        wanted = available() // (1 + beside)
        told = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
        wanted = min(wanted, int(told)) if told.isdecimal() and int(told) else wanted
    return max(1, min(wanted, limit or MOST, MOST))
