"""Programs that networks of one description share: derived and lowered once in a process.

Reads   a key that names everything that decides a program, and a function that makes it.
Gives   a copy for each owner, so that nothing that an owner does to its program reaches another's.

A key of None is never shared. The longest unused program is forgotten when there are too many.
"""

import os
from collections import OrderedDict
from threading import Lock

__all__ = ["MOST", "Shared", "programs"]

MOST = 128                      # programs: those of a search over some tens of networks


class Shared:
    """The most recently used programs by key, in any number of threads.

    Attributes  made  how many were derived and lowered so far

    >>> class Owned(list):
    ...     own = list.copy
    >>> two = Shared(most=2)
    >>> [two.of(key, lambda: Owned()) for key in ("a", "b", "a", "c", "b")], two.made
    ([[], [], [], [], []], 4)
    """

    def __init__(self, most=MOST):
        self.most, self.made, self._kept = most, 0, OrderedDict()
        self._fresh_lock()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._fresh_lock)         # whoever held it is not in the child

    def _fresh_lock(self):
        self._lock = Lock()

    def of(self, key, make):
        """The program of a key, for one owner more. Two threads that want a new one at once may both make it."""
        with self._lock:
            found = None if key is None else self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
        if found is None:
            found = make()
            with self._lock:
                self.made += 1
                if key is not None:
                    found = self._kept.setdefault(key, found)
                    while len(self._kept) > self.most:
                        self._kept.popitem(last=False)
        return found.own()

    def forget(self):
        """Forget all of them; owners keep theirs."""
        with self._lock:
            self._kept.clear()

    def __len__(self):
        return len(self._kept)


programs = Shared()
