"""A program cut along time: the same numbers, bit for bit, holding the steps of one segment at once.

Reads   a Program.
Gives   a Segmented: for every pass over the steps a Program of one segment, and before, between and behind them Programs
        of what has no steps. Whoever runs it carries between segments: the values that are read one step back or ahead
        (at the *borders*), and the sums over time, each of which goes on as one chain where the segment before left it.

What a later pass needs of an earlier one is computed again from the borders: so full backpropagation through time holds
one segment and the borders, at the cost of one more forward pass.
Source  Chen et al., Training deep nets with sublinear memory cost (2016); Gruslys et al. (2016) for recurrent networks.
"""

from dataclasses import dataclass, replace

from ..calculus import Index
from ..errors import ProgramError
from .instructions import FIRST, LAST, Instruction, Operand, Value, Word
from .passes import ascends, over_time, places
from .program import Program

__all__ = ["SAMPLES", "Pass", "Segmented", "segmented"]

SAMPLES = "samples.n"           # an input of N numbers that are not read: it says how many samples there are
COPY, ACC = (Word("copy", (("r", 0),)),), (Word("copy", (("acc",),)),)


@dataclass(frozen=True)
class Pass:
    """One sweep over the segments.

    Fields  program    of one segment; None where there is nothing to do
            ascending  the direction
            borders    {(value, side): "rolled" from the segment before, "stored" by an earlier pass, "edge" always}
            captures   the (value, side) whose borders are stored here for later passes
            sums, ends names of the complete sums and of the values at the first or last of all steps
    """

    program: object
    ascending: bool
    borders: dict
    captures: tuple
    sums: tuple
    ends: tuple


@dataclass(frozen=True)
class Segmented:
    """The passes, and one Program more than passes of what has no steps; the last one holds gradients and update."""

    passes: tuple
    between: tuple


def segmented(program, cut=False):
    """Cut a program along time.

    ``cut``: no signal crosses a border backwards (the links of regular truncation), so that one ascending pass is enough
    where nothing waits for a sum over all steps.
    Raises   ProgramError where a reduction over time is no chain, or an output has an entry for every step.
    """
    return _Cutter(program, cut).result()


class _Cutter:
    def __init__(self, program, cut):
        self.program, self.values, self.cut = program, program.values, cut
        self.places = places(program.instructions, self.values, cut)
        self.maker, self.fills = {}, {}
        for instruction in program.instructions:
            if instruction.op == "fill":
                self.fills[instruction.out, instruction.how] = instruction
            else:
                self.maker.update(dict.fromkeys(instruction.writes(), instruction))
        self.sums = {name: place.at - 1 for name, place in self.places.items() if over_time(self.maker[name], self.values)}
        timed = [place.at for place in self.places.values() if not place.between]
        self.count = 1 + max([*timed, *self.sums.values()], default=0)
        self.check()
        self.put_off()

    def check(self):
        for name in self.sums:
            if self.maker[name].how == "logsumexp":
                raise ProgramError("logsumexp over time is no chain: it cannot be cut into segments", where=repr(self.maker[name]),
                                   fix="run whole sequences: memory_budget=…")
        for public, operand in self.program.outputs.items():
            if any(label.kind == "time" for label in operand.labels):
                raise ProgramError(f"{public} has an entry for every step: in segments only what has none is given")

    def put_off(self):
        """What no pass waits for is done as late as can be: sums in the last pass of their direction, the rest at the end."""
        needed = {}
        for instruction in reversed(self.program.instructions):
            name = next(iter(instruction.writes()))
            place = self.places[name]
            if place.between:
                latest = min(needed.get(name, self.count), self.count)
                self.places[name] = replace(place, at=max(place.at, latest))
                at = self.places[name].at
                if name in self.sums:
                    last = at - 1
                    while last > self.sums[name] and not self.cut and ascends(last) != ascends(self.sums[name]):
                        last -= 1
                    at = self.sums[name] = max(last, self.sums[name])
            else:
                at = place.at
            for operand in instruction.reads():
                needed[operand.value] = min(needed.get(operand.value, at), at)

    # ------------------------------------------------------------------------------------------ which pass does what

    def result(self):
        self.borders = {number: {} for number in range(self.count)}
        captures = {number: set() for number in range(self.count)}
        ends, chosen = self.ends(), {}
        for number in reversed(range(self.count)):
            targets = [name for name, at in self.sums.items() if at == number]
            targets += [name for name, _ in ends[number]] + [name for name, _ in captures[number]]
            chosen[number] = self.slice(targets)
            for border in self.crossing(chosen[number]):
                how = self.how(border, number)
                self.borders[number][border] = how
                if how == "stored":
                    captures[self.places[border[0]].at].add(border)
        self.used = {border for found in self.borders.values() for border in found}
        passes = tuple(self.one_pass(number, chosen[number], tuple(sorted(captures[number])), tuple(sorted(ends[number])))
                       for number in range(self.count))
        reads = [name for p in passes if p.program for name in p.program.values]
        between = []
        for number in reversed(range(self.count + 1)):
            between.append(self.between(number, reads))
            reads += between[-1].values
        return Segmented(passes, tuple(reversed(between)))

    def ends(self):
        """pass -> {(value, first or last)}: what is read of a whole value at its ends."""
        found = {number: set() for number in range(self.count)}
        for instruction in (*self.program.instructions, *self.program.update):
            for operand in instruction.reads():
                found_end = _end(operand)
                if found_end and operand.value in self.places:
                    found[self.places[operand.value].at].add((operand.value, found_end))
        for operand in self.program.outputs.values():
            if _end(operand) and operand.value in self.places:
                found[self.places[operand.value].at].add((operand.value, _end(operand)))
        return found

    def how(self, border, number):
        if self.cut and border[1] == "behind":
            return "edge"
        return "rolled" if self.cut or ascends(number) == (border[1] == "before") else "stored"

    def slice(self, targets):
        """The instructions of a pass: all with steps that its targets need."""
        chosen, stack = set(), [self.maker[name] for name in targets]
        while stack:
            instruction = stack.pop()
            if id(instruction) in chosen:
                continue
            chosen.add(id(instruction))
            stack += [self.maker[operand.value] for operand in instruction.reads()
                      if operand.value in self.places and not self.places[operand.value].between and not _end(operand)]
        return [i for i in self.program.instructions if id(i) in chosen]

    def crossing(self, instructions):
        """The (value, side) that the instructions read across a border of segments."""
        found = set()
        for instruction in instructions:
            for operand in instruction.reads():
                offset = next((o for label, o in operand.axes if isinstance(label, Index) and label.kind == "time"), 0)
                if offset and operand.value in self.places:
                    found.add((operand.value, "before" if offset < 0 else "behind"))
        return sorted(found)

    # ------------------------------------------------------------------------------------------ programs

    def without_time(self, name):
        return tuple(index for index in self.values[name].axes if index.kind != "time")

    def one_pass(self, number, instructions, captures, ends):
        ascending, borders = self.cut or ascends(number), self.borders[number]
        if not instructions:
            return Pass(None, ascending, {}, (), (), ())
        values, made, outputs, sums = {}, [], {}, []
        for name, side in borders:
            inner = tuple(i for i in self.without_time(name))
            values[_border(name, side)] = Value(_border(name, side), inner, "input")
            made.append(Instruction("fill", name, (_whole(_border(name, side), inner),), words=COPY, how=side))
        for name, side in {*captures, *(b for b, how in borders.items() if how == "rolled")}:
            outputs[_border(name, side)] = self.at_end(name, LAST if side == "before" else FIRST)
        for name, end in ends:
            outputs[_border(name, end)] = self.at_end(name, end)
        for instruction in instructions:
            name = instruction.out
            if name in self.sums:
                sums.append(name)
                axes = self.values[name].axes
                start = _whole(f"{name}.start", axes)
                values[start.value] = Value(start.value, axes, "input")
                values[f"{name}.sum"] = Value(f"{name}.sum", axes)
                outputs[f"{name}.sum"] = _whole(f"{name}.sum", axes)
                instruction = replace(instruction, out=f"{name}.sum", start=start)
                if instruction.op == "dense":
                    instruction = replace(instruction, operands=(), words=ACC)
            made.append(self.ended(instruction))
        padded = {name: side for name, side in borders}
        program = self.program_of(made, values, outputs, timed={n for i in instructions for n in i.writes()}, padded=padded)
        return Pass(program, ascending, dict(borders), captures, tuple(sums), ends)

    def between(self, number, later):
        """The program of what is complete before pass ``number``; ``later``: the names that anybody reads afterwards."""
        made, values, outputs = [], {}, {}
        for instruction in self.program.instructions:
            name = instruction.out
            if instruction.op in ("fill", "loop") or not self.places[name].between or self.places[name].at != number:
                continue
            if name in self.sums:
                total = _whole(f"{name}.sum", self.values[name].axes)
                values[total.value] = Value(total.value, self.values[name].axes, "input")
                instruction = _finished(instruction, total)
            made.append(self.ended(instruction))
            if name in later:
                outputs[name] = _whole(name, self.values[name].axes)
        for name, side in sorted(self.used):
            fill = self.fills[name, side]
            read = [self.places[o.value] for o in fill.reads() if o.value in self.places]
            if number == max([place.at + (not place.between) for place in read], default=0):
                edge = f"{name}.{side}.edge"
                values[edge] = Value(edge, self.without_time(name))
                outputs[edge] = _whole(edge, self.without_time(name))
                made.append(self.ended(Instruction("map", edge, fill.operands, words=fill.words)))
        last = number == self.count
        if last:
            outputs.update({public: self.operand_ended(operand) for public, operand in self.program.outputs.items()})
        return self.program_of(made, values, outputs, update=[self.ended(i) for i in self.program.update] if last else (),
                               replaces=self.program.replaces if last else {}, gradients=self.program.gradients if last else {})

    def at_end(self, name, which):
        return Operand(name, tuple((which if index.kind == "time" else index, 0) for index in self.values[name].axes))

    def operand_ended(self, operand):
        end = _end(operand)
        if not end or operand.value not in self.places:
            return operand
        return Operand(_border(operand.value, end), tuple(axis for axis in operand.axes if isinstance(axis[0], Index)))

    def ended(self, instruction):
        """The instruction reading complete first and last steps as values of their own."""
        return replace(instruction, operands=tuple(map(self.operand_ended, instruction.operands)),
                       product=tuple(map(self.operand_ended, instruction.product)),
                       body=tuple(self.ended(inner) for inner in instruction.body))

    def program_of(self, instructions, values, outputs, update=(), replaces=None, gradients=None, timed=(), padded=None):
        """A Program of the instructions: what they make are values, all else that they read are inputs."""
        made = {name for i in (*instructions, *update) for name in i.writes()}
        read = [o.value for i in (*instructions, *update) for o in i.reads()] + [o.value for o in outputs.values()]
        for name in dict.fromkeys([*made, *read, *(replaces or {}).values(), *(gradients or {})]):
            if name in values:
                continue
            value = self.values.get(name)
            if value is None:                                                      # a complete first or last step
                base, end = name.rpartition(".")[0], name.rpartition(".")[2]
                value = Value(name, self.without_time(base), "input") if end in (FIRST, LAST) else None
            elif name in made:
                value = replace(value, pad=(padded or {}).get(name))
            elif value.storage == "extent" and value.name.split("^")[0] in self.times():
                value = replace(value, storage="scalar")
            elif value.storage == "value":
                value = replace(value, storage="input", pad=None)
            values[name] = value
        samples = next((i for v in self.values.values() for i in v.axes if i.kind == "sample"), None)
        if samples is not None:
            values[SAMPLES] = Value(SAMPLES, (samples,), "input")
        return Program(values, tuple(instructions), tuple(update), outputs, dict(replaces or {}), dict(gradients or {}))

    def times(self):
        return {i.extent for v in self.values.values() for i in v.axes if i.kind == "time"}


def _border(name, side):
    return f"{name}.{side}"


def _whole(name, axes):
    return Operand(name, tuple((index, 0) for index in axes))


def _end(operand):
    """FIRST or LAST where the operand is one end of a value, else None."""
    return next((label for label, _ in operand.axes if not isinstance(label, Index)), None)


def _finished(instruction, total):
    """What is left to do when a sum over time is complete: the words of a product, else nothing."""
    if instruction.op != "dense":
        return Instruction("map", instruction.out, (total,), words=COPY)
    def of(argument):                                                                              # noqa: E306
        return ("r", len(instruction.operands)) if argument == ("acc",) else argument
    words = tuple(Word(word.name, tuple(map(of, word.arguments))) for word in instruction.words)
    return Instruction("map", instruction.out, (*instruction.operands, total), words=words)
