"""Order: which definition runs when, and which belong together in a loop over time.

A loop is a strongly connected component of the definitions; nothing is declared. Inside one, reads of another step cut
the circle and the rest is ordered. Source of the components: Tarjan (1972).
"""

from ..calculus import Index
from ..errors import DerivationError

__all__ = ["components", "schedule"]


def schedule(definitions, order, groups=False):
    """Definitions in an order in which everything is written before it is read.

    Gives a list of definitions and loops (time index, "ascending" | "descending", definitions). With ``groups`` the
    names of each component instead.
    """
    named = {d.name: d for d in definitions}
    position = {name: k for k, name in enumerate(order)}
    reads = {d.name: sorted({o.value for o in (*d.reads(), *d.edges()) if o.value in named}, key=position.get)
             for d in definitions}
    found = components(sorted(named, key=position.get), reads)
    if groups:
        return found
    result = []
    for component in found:
        if len(component) == 1 and component[0] not in reads[component[0]]:
            result.append(named[component[0]])
        else:
            result.append(_loop([named[name] for name in sorted(component, key=position.get)]))
    return result


def components(names, reads):
    """Strongly connected components, each after those that it reads."""
    index, low, on_stack, stack, result = {}, {}, set(), [], []
    for root in names:
        if root in index:
            continue
        work = [(root, iter(reads[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        while work:
            name, children = work[-1]
            for child in children:
                if child not in index:
                    index[child] = low[child] = len(index)
                    stack.append(child)
                    on_stack.add(child)
                    work.append((child, iter(reads[child])))
                    break
                if child in on_stack:
                    low[name] = min(low[name], index[child])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == index[name]:
                    component = []
                    while True:
                        member = stack.pop()
                        on_stack.discard(member)
                        component.append(member)
                        if member == name:
                            break
                    result.append(component)
    return result


def _loop(members):
    names = {d.name for d in members}
    inner = [(d, o) for d in members for o in d.reads() if o.value in names]
    offsets = {(label, offset) for _, o in inner for label, offset in o.axes
               if isinstance(label, Index) and label.kind == "time" and offset}
    if not offsets:
        raise DerivationError("the equations depend on each other in a circle without a time step",
                              where=" → ".join(d.name for d in members), fix="put a Shift on the recurrent link")
    time = next(iter(offsets))[0]
    without = [d.name for d in members if time not in d.axes]
    fixed = [o.value for _, o in inner if any(not isinstance(label, Index) for label, _ in o.axes)]
    if without or fixed:
        raise DerivationError(f"not causal: the circle goes through {(without + fixed)[0]}, which needs all steps of "
                              f"{time.name!r} at once", where=" → ".join(d.name for d in members))
    for d in members:
        for edge in d.edges():
            if edge.value in names:
                raise DerivationError(f"the edge of {d.name} depends on {d.name} itself", where=repr(edge))
    if {offset for _, offset in offsets} == {-1, 1}:
        raise DerivationError("one circle reads both the step before and the step after",
                              where=" → ".join(d.name for d in members), fix="use two layers, one in each direction")
    carried = {(d.name, o) for d, o in inner if any(isinstance(label, Index) and label == time and offset for label, offset in o.axes)}
    local = {d.name: [o.value for o in d.reads() if o.value in names and (d.name, o) not in carried] for d in members}
    ordered, done = [], set()
    pending = {d.name: d for d in members}
    while pending:
        ready = next((n for n in pending if all(r in done for r in local[n])), None)
        if ready is None:
            raise DerivationError("a circle within one time step", where=" → ".join(pending),
                                  fix="put a Shift on the recurrent link")
        done.add(ready)
        ordered.append(pending.pop(ready))
    return time, "ascending" if next(iter(offsets))[1] < 0 else "descending", ordered
