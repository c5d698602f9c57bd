"""Programs: ordered instructions over stored values, and the verifier.

A Program is in single assignment form: every value is written by one instruction (its time slot by a ``fill``), except
that an update may write the storage of the parameter or state that it replaces, after its last read.
"""

from dataclasses import dataclass, field

from ..calculus import Index
from ..errors import ProgramError
from .instructions import FIRST, INSTRUCTIONS, LAST, STORAGES, WORDS

__all__ = ["Program"]


@dataclass(frozen=True)
class Program:
    """What lowering gives and engines run.

    Fields  values        {name: Value}
            instructions  the forward pass, the adjoints and gradients
            update        instructions that run only after loss and gradients were found finite
            outputs       {public name: Operand}
            replaces      {value: the parameter or state whose storage it takes}
            gradients     {parameter: value of its gradient}; of a table with ``rows`` that of its rows at the places
            rows          {value: (table, ids)}: its rows take the places of the table's rows that the ids name. Places with
                          the same id hold the same row; the table, a parameter or state, is written after the step

    ``bound`` is where engines keep what they made of the instructions, {engine: anything that stays as it is}.
    """

    values: dict
    instructions: tuple
    update: tuple = ()
    outputs: dict = field(default_factory=dict)
    replaces: dict = field(default_factory=dict)
    gradients: dict = field(default_factory=dict)
    rows: dict = field(default_factory=dict)

    def __post_init__(self):
        object.__setattr__(self, "bound", {})
        self.verify()

    def own(self):
        """The same verified program for one owner more: the tables are its own, what engines bound of it is shared."""
        other = object.__new__(Program)
        vars(other).update((name, dict(found) if isinstance(found, dict) and name != "bound" else found)
                           for name, found in vars(self).items())
        return other

    def __getstate__(self):
        return {**vars(self), "bound": {}}

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
        lines += [f"put rows of {table} at {ids!r} ← {new}" for new, (table, ids) in self.rows.items()]
        for public, operand in self.outputs.items():
            lines.append(f"give {public} = {operand!r}")
        return "\n".join(lines)

    # ---------------------------------------------------------------------------------------------- verifier

    def verify(self):
        """Raise ProgramError unless every read has been written, labels fit extents and names are known."""
        for name, value in self.values.items():
            if value.storage not in STORAGES:
                raise ProgramError(f"{name} has the unknown storage {value.storage!r}")
        tables = [table for table, _ in self.rows.values()]
        for name in (*self.replaces, *self.replaces.values(), *self.gradients, *self.gradients.values(), *self.rows, *tables):
            if name not in self.values:
                raise ProgramError(f"{name} is no value of this program")
        _Verifier(self).run()
        return self


class _Verifier:
    """Follows a program from top to bottom: what is written, filled and replaced so far."""

    def __init__(self, program):
        self.program, self.values = program, program.values
        self.written = {name for name, v in self.values.items() if v.storage != "value"}
        self.filled, self.replaced = set(), set()

    def run(self):
        for instruction in (*self.program.instructions, *self.program.update):
            if instruction.op == "loop":
                self.loop(instruction)
            else:
                self.single(instruction, None)
        for public, operand in self.program.outputs.items():
            self.operand(operand, f"output {public}")
        for new, old in self.program.replaces.items():
            if [i.extent for i in self.values[new].axes] != [i.extent for i in self.values[old].axes]:
                raise ProgramError(f"{new} replaces {old} but has another shape")
        for new, (table, ids) in self.program.rows.items():
            self.operand(ids, f"rows of {table}")
            table, rows = self.values[table], self.values[new]
            if table.storage not in ("parameter", "state") or not self.values[ids.value].integer \
                    or set(rows.axes) != {*ids.labels, *table.axes[1:]} or rows.axes[-1:] != table.axes[1:]:
                raise ProgramError(f"{new} holds no rows of {table!r} at {ids!r}")
        for name in (*self.program.gradients.values(), *self.program.replaces, *self.program.rows):
            if name not in self.written:
                raise ProgramError(f"{name} is never written")

    def loop(self, loop):
        where, made = _line(loop), list(loop.writes())
        if loop.how not in ("ascending", "descending") or not isinstance(loop.index, Index):
            raise ProgramError(f"a loop is ascending or descending along an index, not {loop.how!r}", where=where)
        if len(set(made)) != len(made) or set(made) & self.written:
            raise ProgramError(f"{next(n for n in made if n in self.written or made.count(n) > 1)} is written twice", where=where)
        before, done = set(self.written), set()
        self.written |= set(made)
        for inner in loop.body:
            if inner.op in ("loop", "fill"):
                raise ProgramError(f"{inner.op} cannot stand in a loop", where=where)
            if inner.out in self.values and loop.index not in self.values[inner.out].axes:
                raise ProgramError(f"{inner.out} is written at every step but has no index {loop.index.name!r}", where=where)
            for operand in inner.reads():                        # within one step: only earlier steps or earlier lines
                if operand.value in made and not _carried(operand, loop) \
                        and not (operand.value in done and (loop.index, 0) in operand.axes):
                    raise ProgramError(f"{operand!r} is read before it is written in the same step", where=where)
            self.single(inner, before)
            done.add(inner.out)

    def single(self, instruction, before):
        """One instruction; ``before`` is what was written before the loop that it stands in."""
        where = _line(instruction)
        if instruction.op not in INSTRUCTIONS:
            raise ProgramError(f"unknown instruction {instruction.op!r}", where=where, fix=f"one of {', '.join(INSTRUCTIONS)}")
        if instruction.out not in self.values:
            raise ProgramError(f"{instruction.out} is no value of this program", where=where)
        for operand in instruction.reads():
            self.operand(operand, where)
        if instruction.op in ("dense", "map", "reduce", "fill") and not instruction.words:
            raise ProgramError(f"{instruction.op} has no words", where=where)
        for k, word in enumerate(instruction.words):
            _word(word, k, instruction, where)
        value = self.values[instruction.out]
        if instruction.op == "fill":
            if value.pad != instruction.how or value.pad is None:
                raise ProgramError(f"{instruction.out} has no slot {instruction.how} its steps to fill", where=where)
            self.filled.add(instruction.out)
            return
        if value.storage != "value":
            raise ProgramError(f"{instruction.out} is {value.storage}, no value to write", where=where)
        self.shape(instruction, where)
        if instruction.out in (self.written if before is None else before):
            raise ProgramError(f"{instruction.out} is written twice", where=where)
        self.written.add(instruction.out)
        if instruction.out in self.program.replaces:
            self.replaced.add(self.program.replaces[instruction.out])

    def operand(self, operand, where):
        if operand.value not in self.values:
            raise ProgramError(f"{operand.value} is no value of this program", where=where)
        if operand.value not in self.written:
            raise ProgramError(f"{operand.value} is read before it is written", where=where)
        if operand.value in self.replaced:
            raise ProgramError(f"{operand.value} is read after its update", where=where)
        value = self.values[operand.value]
        if len(operand.axes) != len(value.axes):
            raise ProgramError(f"{operand!r} has {len(operand.axes)} labels, {value!r} has {len(value.axes)} axes", where=where)
        if len(set(operand.labels)) != len(operand.labels):
            raise ProgramError(f"{operand!r} has a label twice", where=where)
        for (label, offset), axis in zip(operand.axes, value.axes):
            if not isinstance(label, Index):
                if label not in (FIRST, LAST) or offset:
                    raise ProgramError(f"{operand!r} has the label {label!r}", where=where, fix=f"an index, {FIRST} or {LAST}")
            elif isinstance(axis.extent, int) and isinstance(label.extent, int):
                if not 0 <= offset <= axis.extent - label.extent:
                    raise ProgramError(f"{operand!r} reads outside {value!r}", where=where)
            elif label.extent != axis.extent:
                raise ProgramError(f"{operand!r} labels an axis of extent {axis.extent} with {label!r}", where=where)
            elif offset:
                if (offset, value.pad) not in ((-1, "before"), (1, "behind")):
                    raise ProgramError(f"{operand!r} reads past the {'first' if offset < 0 else 'last'} step of {value!r}", where=where)
                if operand.value not in self.filled:
                    raise ProgramError(f"{operand!r} reads the slot {value.pad} the steps of {value!r}, which is not filled",
                                       where=where)

    def shape(self, instruction, where):
        out = set(self.values[instruction.out].axes)
        labels = {label for operand in instruction.operands for label in operand.labels}
        if instruction.op == "dense":
            if len(instruction.product) != 2:
                raise ProgramError("dense takes two factors", where=where)
            a, b = (set(operand.labels) for operand in instruction.product)
            if (a ^ b) - out:
                raise ProgramError(f"dense sums {', '.join(sorted(i.name for i in (a ^ b) - out))} of one factor alone", where=where)
        elif instruction.product:
            raise ProgramError(f"{instruction.op} takes no product", where=where)
        if instruction.start is not None or instruction.order:
            if instruction.op not in ("dense", "reduce", "scatter") or instruction.how == "logsumexp":
                raise ProgramError(f"{instruction.op} {instruction.how} is no chain: it has neither start nor order", where=where)
            if instruction.order not in ("", "descending") or instruction.start and set(instruction.start.labels) != out:
                raise ProgramError(f"a chain starts at a value with the axes of {instruction.out} and is descending or not", where=where)
        if instruction.op in ("map", "dense") and not labels <= out:
            extra = ", ".join(sorted(i.name for i in labels - out))
            raise ProgramError(f"labels {extra} are not in {instruction.out}", where=where)
        if instruction.op == "reduce" and instruction.how not in ("sum", "max", "logsumexp"):
            raise ProgramError(f"reduce takes sum, max or logsumexp, not {instruction.how!r}", where=where)
        if instruction.op == "collect" and (len(instruction.operands) < 3 or len(instruction.operands) % 2 == 0 or not all(
                self.values[ids.value].integer for ids in (*instruction.operands[1::2], instruction.operands[-1]))):
            raise ProgramError("collect takes sources, each with its integer ids, and the ids here", where=where)
        if instruction.op in ("gather", "scatter", "onehot"):
            ids = instruction.operands[-1:]
            if len(instruction.operands) != 2 - (instruction.op == "onehot") or not self.values[ids[0].value].integer:
                raise ProgramError(f"{instruction.op} takes {'' if instruction.op == 'onehot' else 'a source and '}integer ids",
                                   where=where)
        wide = {i for i in labels - {instruction.index} if i.extent != 1}                # what has one place may be left out
        if instruction.op == "gather" and not wide <= out \
                or instruction.op == "gather" and instruction.index not in instruction.operands[0].labels \
                or instruction.op in ("scatter", "onehot", "join") and instruction.index not in out:
            raise ProgramError(f"{instruction.op} into {instruction.out} does not fit its index {instruction.index!r}", where=where)


def _line(instruction):
    try:
        return next(iter(instruction.lines()))
    except IndexError:                                      # its words read what is not there; which, the error says
        return f"{instruction.out} ← {instruction.op}"


def _word(word, position, instruction, where):
    if word.name not in WORDS:
        raise ProgramError(f"unknown word {word.name!r}", where=where, fix=f"one of {', '.join(WORDS)}")
    if len(word.arguments) != WORDS[word.name][0]:
        raise ProgramError(f"{word.name} takes {WORDS[word.name][0]} arguments", where=where)
    for argument in word.arguments:
        if isinstance(argument, tuple):
            kind = argument[0]
            if kind == "acc" and instruction.op != "dense" \
                    or kind == "w" and not 0 <= argument[1] < position \
                    or kind == "r" and not 0 <= argument[1] < len(instruction.operands):
                raise ProgramError(f"word {position} ({word.name}) reads {argument}, which is not there", where=where)


def _carried(operand, loop):
    """Does the operand read another step than the one at hand?"""
    step = -1 if loop.how == "ascending" else 1
    return any(label == loop.index and offset == step for label, offset in operand.axes)
