"""The buffer plan: where every value lies, for any N ≤ N_max and T ≤ T_max.

Reads   a Program and the capacities of its symbolic extents.
Gives   offsets in one arena per storage. Values whose live ranges do not overlap share memory; shapes and strides at
        run time are those at hand, only the offsets are planned at capacity. Parameters, gradients and optimizer state
        lie in flat arenas with the same offsets; tables that are updated by rows lie outside of them.
"""

from dataclasses import dataclass

__all__ = ["Plan", "plan", "extent_of", "count"]

ALIGN = 16          # elements: one cache line of float32


@dataclass(frozen=True)
class Plan:
    """offsets {value: first element} in the value arena, its length; layout {parameter: first element} and its length."""

    offsets: dict
    length: int
    layout: dict
    parameters: int

    def bytes(self, itemsize=4):
        return itemsize * (self.length + 2 * self.parameters)


def extent_of(index, capacity, pad=None):
    """How many entries an axis has at capacity, the extra time slot included."""
    length = index.extent if isinstance(index.extent, int) else capacity[index.extent]
    return length + (index.kind == "time" and pad is not None)


def count(value, capacity):
    """How many elements a value has at capacity."""
    total = 1
    for index in value.axes:
        total *= extent_of(index, capacity, value.pad)
    return total


def plan(program, **capacity):
    """Plan the arena of a program for capacities such as N=64, T=100.

    Offsets are found largest value first: each goes to the lowest place where nothing alive at the same time lies.
    """
    instructions = (*program.instructions, *program.update)
    first, last = {}, {}
    for k, instruction in enumerate(instructions):
        for name in instruction.writes():
            first.setdefault(name, k)
            last[name] = k
        for operand in instruction.reads():
            last[operand.value] = k
    forever = {operand.value for operand in program.outputs.values()} | set(program.gradients.values()) | set(program.rows)
    tables = {table for table, _ in program.rows.values()}
    learned = [program.values[name] for name in program.gradients if name not in tables]
    others = [v for n, v in program.parameters.items() if n not in program.gradients and n not in tables]
    layout, parameters = _lay([*learned, *others], capacity)
    own = {value for name, value in program.gradients.items() if name not in tables} | set(program.replaces)
    names = [n for n in first if program.values[n].storage == "value" and n not in own]
    for name in names:
        if name in forever:
            last[name] = len(instructions)
    placed, offsets, length = [], {}, 0
    for name in sorted(names, key=lambda n: (-count(program.values[n], capacity), first[n])):
        size = -(-count(program.values[name], capacity) // ALIGN) * ALIGN
        start = 0
        for other_start, other_end, a, b in sorted(placed):
            if a <= last[name] and first[name] <= b and other_start < start + size and start < other_end:
                start = other_end
        placed.append((start, start + size, first[name], last[name]))
        offsets[name] = start
        length = max(length, start + size)
    return Plan(offsets, length, layout, parameters)


def _lay(values, capacity):
    offsets, position = {}, 0
    for value in values:
        offsets[value.name] = position
        position += count(value, capacity)
    return offsets, position
