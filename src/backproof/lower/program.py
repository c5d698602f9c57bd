"""Programs: ordered instructions over stored values, and the verifier.

A Program is in single assignment form: every value is written by one instruction (its time slot by a ``fill``). What an
update makes stands beside the parameter or state that it replaces, and takes its place when the whole step is done, so
an update may read the old values in any order and a step that is not finite is simply forgotten.
"""

from dataclasses import dataclass, field

from ..calculus import Index
from ..errors import ProgramError
from .instructions import INSTRUCTIONS, STORAGES, WORDS, Value

__all__ = ["Program"]


@dataclass(frozen=True)
class Program:
    """What lowering gives and engines run.

    Fields  values        {name: Value}
            instructions  the forward pass, the adjoints and gradients
            update        instructions that run only after loss and gradients were found finite
            outputs       {public name: Operand}
            replaces      {value: the parameter or state whose place it takes after the step}
            gradients     {parameter: value of its gradient}
    """

    values: dict
    instructions: tuple
    update: tuple = ()
    outputs: dict = field(default_factory=dict)
    replaces: dict = field(default_factory=dict)
    gradients: dict = field(default_factory=dict)

    def __post_init__(self):
        self.verify()

    @property
    def inputs(self):
        return {name: v for name, v in self.values.items() if v.storage in ("input", "scalar")}

    @property
    def parameters(self):
        return {name: v for name, v in self.values.items() if v.storage == "parameter"}

    @property
    def state(self):
        return {name: v for name, v in self.values.items() if v.storage == "state"}

    @property
    def symbols(self):
        """The extents that each run decides: N, T, …"""
        return sorted({i.extent for v in self.values.values() for i in v.axes if isinstance(i.extent, str)})

    def __len__(self):
        """How many instructions there are, those inside loops included."""
        def count(instructions):
            return sum(1 + count(i.body) for i in instructions)
        return count(self.instructions) + count(self.update)

    def listing(self):
        """The program as text, one instruction a line."""
        lines = [f"{v.storage:<9} {v!r}" for v in self.values.values() if v.storage != "value"]
        for instruction in self.instructions:
            lines += instruction.lines()
        if self.update:
            lines.append("update")
            for instruction in self.update:
                lines += instruction.lines("    ")
        for public, operand in self.outputs.items():
            lines.append(f"give {public} = {operand!r}")
        return "\n".join(lines)

    # ---------------------------------------------------------------------------------------------- verifier

    def verify(self):
        """Raise ProgramError unless every read has been written, labels fit extents and names are known."""
        written = {name for name, v in self.values.items() if v.storage != "value"}
        for name, value in self.values.items():
            if value.storage not in STORAGES:
                raise ProgramError(f"{name} has the unknown storage {value.storage!r}")
        self._verify(self.instructions, written, None)
        self._verify(self.update, written, None)
        for public, operand in self.outputs.items():
            self._operand(operand, written, f"output {public}", None)
        for new, old in self.replaces.items():
            if [i.extent for i in self.values[new].axes] != [i.extent for i in self.values[old].axes]:
                raise ProgramError(f"{new} replaces {old} but has another shape")
        return self

    def _verify(self, instructions, written, loop):
        for instruction in instructions:
            where = next(iter(instruction.lines()))
            if instruction.op not in INSTRUCTIONS:
                raise ProgramError(f"unknown instruction {instruction.op!r}", where=where,
                                   fix=f"one of {', '.join(INSTRUCTIONS)}")
            if instruction.op == "loop":
                self._verify(instruction.body, written | set(instruction.writes()), instruction)
                done = set()
                for inner in instruction.body:                     # within one step: only earlier steps or earlier lines
                    for operand in inner.reads():
                        if operand.value in set(instruction.writes()) - done and not _carried(operand, instruction):
                            raise ProgramError(f"{operand!r} is read before it is written in the same step", where=where)
                    done |= set(inner.writes())
                written |= set(instruction.writes())
                continue
            for operand in instruction.reads():
                self._operand(operand, written, where, loop)
            if instruction.op == "fill":
                if self.values[instruction.out].pad is None:
                    raise ProgramError(f"{instruction.out} has no slot to fill", where=where)
                continue
            self._shape(instruction, where)
            for k, word in enumerate(instruction.words):
                self._word(word, k, instruction, where)
            if loop is None and instruction.out in written:
                raise ProgramError(f"{instruction.out} is written twice", where=where)
            written.add(instruction.out)

    def _operand(self, operand, written, where, loop):
        if operand.value not in self.values:
            raise ProgramError(f"{operand.value} is no value of this program", where=where)
        if operand.value not in written:
            raise ProgramError(f"{operand.value} is read before it is written", where=where)
        value = self.values[operand.value]
        if len(operand.axes) != len(value.axes):
            raise ProgramError(f"{operand!r} has {len(operand.axes)} labels, {value!r} has {len(value.axes)} axes", where=where)
        if len(set(operand.labels)) != len(operand.labels):
            raise ProgramError(f"{operand!r} has a label twice", where=where)
        for (label, offset), axis in zip(operand.axes, value.axes):
            if not isinstance(label, Index):
                continue
            if isinstance(axis.extent, int) and isinstance(label.extent, int):
                if not 0 <= offset <= axis.extent - label.extent:
                    raise ProgramError(f"{operand!r} reads outside {value!r}", where=where)
            elif label.extent != axis.extent:
                raise ProgramError(f"{operand!r} labels an axis of extent {axis.extent} with {label!r}", where=where)
            elif offset and (offset, value.pad) not in ((-1, "before"), (1, "behind")):
                raise ProgramError(f"{operand!r} reads past the {'first' if offset < 0 else 'last'} step of {value!r}",
                                   where=where)

    def _shape(self, instruction, where):
        out = set(self.values[instruction.out].axes)
        labels = set().union(*(operand.labels for operand in instruction.reads())) if any(True for _ in instruction.reads()) else set()
        if instruction.op in ("map",) and not labels <= out:
            raise ProgramError(f"labels {sorted(i.name for i in labels - out)} are not in {instruction.out}", where=where)
        if instruction.op == "dense":
            if not set().union(*(o.labels for o in instruction.operands), ()) <= out:
                raise ProgramError(f"an epilogue of {instruction.out} has labels that it lacks", where=where)
            if len(instruction.product) != 2:
                raise ProgramError("dense takes two factors", where=where)

    @staticmethod
    def _word(word, position, instruction, where):
        if word.name not in WORDS:
            raise ProgramError(f"unknown word {word.name!r}", where=where, fix=f"one of {', '.join(WORDS)}")
        if len(word.arguments) != WORDS[word.name][0]:
            raise ProgramError(f"{word.name} takes {WORDS[word.name][0]} arguments", where=where)
        for argument in word.arguments:
            if isinstance(argument, tuple):
                kind = argument[0]
                if kind == "acc" and instruction.op != "dense" \
                        or kind == "w" and not argument[1] < position \
                        or kind == "r" and not argument[1] < len(instruction.operands):
                    raise ProgramError(f"word {position} ({word.name}) reads {argument}, which is not there", where=where)


def _carried(operand, loop):
    """Does the operand read another step than the one at hand?"""
    step = -1 if loop.how == "ascending" else 1
    return any(label == loop.index and offset == step for label, offset in operand.axes)
