"""Passes over time: in which sweep along the steps each instruction can run, where only borders are kept between sweeps.

Reads   instructions in executable order, the values they write.
Gives   for every value the pass in which it can first be computed, and where it stands complete.

A pass runs through all steps in one direction, pass 0 from the first to the last, pass 1 backwards, and so on. A value
with a time axis belongs to a pass: a loop to one of its own direction, everything else to the first in which what it
reads is there. A value without a time axis stands *between* passes: the sum over t of what pass p makes is complete
before pass p + 1. A sum over t runs in the direction of the pass that it falls into, in segments as in one piece: so a
gradient is one chain over descending t, whatever is kept and whatever is computed again.
"""

from dataclasses import dataclass, replace

from .instructions import Instruction

__all__ = ["Place", "ascends", "directed", "is_timed", "places", "over_time"]


@dataclass(frozen=True)
class Place:
    """Where a value is made: in a pass over time, or (``between``) once, before that pass."""

    at: int
    between: bool


def ascends(number):
    """Does the pass run from the first step to the last?"""
    return number % 2 == 0


def is_timed(value):
    """Has the value an entry for every step?"""
    return any(index.kind == "time" for index in value.axes)


def over_time(instruction, values):
    """Does the instruction reduce over the steps: are there steps in what it reads and none in what it writes?"""
    return instruction.op in ("dense", "reduce", "scatter") and not is_timed(values[instruction.out]) \
        and any(label.kind == "time" for operand in instruction.reads() for label in operand.labels)


def places(instructions, values, cut=False):
    """{value: Place} of what the instructions make; inputs and parameters stand between, before pass 0.

    ``cut``: no signal crosses the border of a segment backwards, so that every loop may run in an ascending pass.
    """
    found, fills = {}, {}
    for instruction in instructions:
        if instruction.op == "fill":
            fills.setdefault(instruction.out, []).append(instruction)
            continue
        own = [f for name in instruction.writes() for f in fills.get(name, ())]
        wanted = _wanted(instruction, own, found, values, cut)
        if instruction.op == "loop":
            if not cut and ascends(wanted) != (instruction.how == "ascending"):
                wanted += 1
            found.update(dict.fromkeys(instruction.writes(), Place(wanted, False)))
        elif is_timed(values[instruction.out]):
            found[instruction.out] = Place(wanted, False)
        else:
            found[instruction.out] = Place(wanted + over_time(instruction, values), True)
    return found


def _wanted(instruction, fills, found, values, cut):
    """The first pass at which all that is read is there."""
    made, wanted = set(instruction.writes()), 0
    for operand in (*instruction.reads(), *(operand for fill in fills for operand in fill.reads())):
        place = found.get(operand.value)
        if place is None or operand.value in made:
            continue
        if place.between:
            wanted = max(wanted, place.at)
        elif any(not hasattr(label, "kind") for label, _ in operand.axes):              # its first or last step
            wanted = max(wanted, place.at + 1)
        else:
            offset = next((offset for label, offset in operand.axes if label.kind == "time"), 0)
            along = cut or not offset or ascends(place.at) == (offset < 0)
            wanted = max(wanted, place.at + (not along))
    return wanted


def directed(instructions, values):
    """The instructions with the direction of every sum over time written out."""
    found = places(instructions, values)
    result = []
    for instruction in instructions:
        if isinstance(instruction, Instruction) and over_time(instruction, values) and not ascends(found[instruction.out].at - 1):
            instruction = replace(instruction, order="descending")
        result.append(instruction)
    return tuple(result)
