"""Rows: the update of a table of vectors touches the rows that a step looked up, and no others.

Reads   a system with the gradient of a table θ[v,i], every term of which is a lookup's adjoint or a penalty on θ.
Gives   the same gradient, and the table itself, at the *places* of the lookups, such as ids[n,p]:

    rows.θ[n,p,i]  =  Σ_v [ids[n,p] = v] θ[v,i]                                         a lookup
    rows.∇[n,p,i]  =  Σ_v [ids[n,p] = v] Σ_{n',p'} [ids[n',p'] = v] δ[n',p',i]          all places with the same id

so that an optimizer's expressions run on as many rows as there are places, whatever the vocabulary. Places with the same
id hold the same row, hence the same new row. What is written once per row (a norm, a penalty) is a sum over the places,
each divided by how often its id occurs.
"""

from dataclasses import dataclass

from ..calculus import (Add, Einsum, Index, Map, OneHot, Slice, add, expand, maximum, number, one_hot, product, reciprocal,
                        slice_, total, walk)

__all__ = ["Rows", "rows_of"]


class _Whole(Exception):
    """The gradient reads the table otherwise than row by row."""


@dataclass
class Rows:
    """A table at the places where a step looks it up.

    Attributes  table     the variable θ[v,i]
                places    the integer node whose entries name rows
                axes      those of the places, then those of a row
                gradient  a Ref to the gradient's rows
                system    the system that they are defined in; it grows by what is asked for
    """

    system: object
    table: object
    places: object
    gradient: object = None
    counted: object = None

    @property
    def index(self):
        return self.table.axes[0]

    @property
    def axes(self):
        return (*self.places.indices, *self.table.axes[1:])

    def at(self, variable, role="rows"):
        """The rows of a variable that lies like the table: the table itself, or a slot of the optimizer's state."""
        name = f"rows.{variable.name}"
        if name in self.system:
            return self.system.ref(name)
        looked = total(one_hot(self.places, self.index) * variable, over=self.index)
        named = self.system.name_of(looked)                    # the forward pass may have looked it up already
        return self.system.define(name, looked, axes=self.axes, role=role) if named is None else named

    @property
    def share(self):
        """1 / how often the id at a place occurs: Σ over places of share × f(row) counts every row once."""
        if self.counted is None:
            name = self.table.name
            hot = one_hot(self.places, self.index)
            often = self.system.define(f"lookups.{name}", total(hot, over=self.places.indices), role="rows")
            self.counted = self.system.define(f"times.{name}", total(hot * often, over=self.index), axes=self.places.indices, role="rows")
        return reciprocal(maximum(self.counted, 1))              # where no word stands nothing is counted

    # ------------------------------------------------------------------------------------------ the gradient's rows

    def read(self, node):
        """An expression in v at the places. Raises _Whole where it needs the whole table."""
        if node is self.table:
            return self.at(node)
        if self.index not in node.indices:
            return node
        if isinstance(node, Add):
            looked, rest = {}, []
            for coefficient, term in node.terms:
                scale, core = self.scattered(term)
                if core is None:
                    rest.append(product([number(coefficient), self.read(term)]))
                else:
                    looked.setdefault(product([number(coefficient), scale]), []).append(core)
            return add([*(product([scale, self.gathered(add(cores))]) for scale, cores in looked.items()), *rest])
        scale, core = self.scattered(node)
        if core is not None:
            return product([scale, self.gathered(core)])
        if isinstance(node, Einsum) and not node.summed:
            return product([number(node.coefficient), *map(self.read, node.factors)])
        if isinstance(node, Map):
            return node.function(*map(self.read, node.children))
        raise _Whole

    def scattered(self, node):
        """(scale, core) of a lookup's adjoint, scale · Σ_places [ids = v] source; core is None for anything else."""
        hot = [f for f in node.factors if isinstance(f, OneHot) and f.index == self.index] if isinstance(node, Einsum) else []
        if len(hot) != 1 or not set(hot[0].ids.indices) <= set(node.summed):
            return number(1), None
        plain = [f for f in node.factors if not f.indices]
        return (product([number(node.coefficient), *plain]),
                product([f for f in node.factors if f.indices], out=node.indices))

    def gathered(self, core):
        """Σ_v [ids = v] core[v,i]: a lookup in what was scattered; lowered to one instruction that costs nothing in v."""
        count = sum(name.startswith(f"scatter.{self.table.name}.") for name in self.system.equations)
        scatter = self.system.define(f"scatter.{self.table.name}.{count}", core, axes=self.table.axes, role="rows")
        looked = total(one_hot(self.places, self.index) * scatter, over=self.index)
        return self.system.define(f"collect.{self.table.name}.{count}", looked, axes=self.axes, role="rows")


def rows_of(system, table, gradient):
    """The Rows of a table in a system, which is extended; None where its gradient needs the whole table.

    Parameters  gradient  the name of the equation of the table's gradient
    """
    name = system.resolve(gradient)
    if name not in system.equations or len(table.axes) != 2:
        return None
    expression = expand(system.equations[name].expression)
    places = _places({node.ids for node in walk(expression) if isinstance(node, OneHot) and node.index == table.axes[0]})
    if places is None:
        return None
    trial = Rows(system.copy(), table, places)
    try:
        found = trial.read(expression)
    except _Whole:
        return None
    if set(found.indices) != set(trial.axes):
        return None
    system.equations, system.aliases, system._named = trial.system.equations, trial.system.aliases, trial.system._named
    trial.system = system
    trial.gradient = system.define(f"rows.{name}", found, axes=trial.axes, role="rows")
    return trial


def _places(nodes):
    """One node for all the places: the ids themselves, or slices of them that lie side by side, as one."""
    if len(nodes) == 1:
        return next(iter(nodes))
    if not nodes or any(not isinstance(node, Slice) for node in nodes):
        return None
    cut = sorted((node.start, node.start + node.new.extent, node) for node in nodes)
    whole, along = cut[0][2].operand, cut[0][2].index
    if any(node.operand is not whole or node.index != along for *_, node in cut) \
            or any(a[1] != b[0] for a, b in zip(cut, cut[1:])):
        return None
    first, behind = cut[0][0], cut[-1][1]
    if (first, behind) == (0, along.extent):
        return whole
    return slice_(whole, along, first, Index(f"{along.name}.{first}", behind - first, along.kind, along.letter))
