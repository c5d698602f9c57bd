"""The native engine: programs bound by name to the C++ core in ``native/``.

Reads   a Program and arrays, as the reference engine does.
Gives   the same numbers within the tolerances of the case table, the same bits for any number of threads.

The table of words is asked from the core and compared; a program reaches it instruction by instruction, under the names
that ``lower`` uses. What the core refuses is an EngineError here.
"""

import os
import weakref
from contextlib import contextmanager
from functools import lru_cache

import numpy as np
import threadpoolctl

from ..calculus import Index
from ..errors import EngineError, ShapeError
from ..lower import WORDS
from ..lower.instructions import FIRST
from . import _native, generator
from .generator import stream_key
from .steps import Steps
from .threads import beside, team, told

__all__ = ["name", "kernels", "Answers", "Run", "Session", "instruction_set", "order"]

name = "native"
kernels = frozenset()

_MACHINES = {np.dtype(np.float32): _native.Machine32, np.dtype(np.float64): _native.Machine64}
_core = _native.words()
if _core != {word: arity for word, (arity, _) in WORDS.items()}:
    raise EngineError(f"the words of the C++ core are not those of the table: {sorted(set(_core) ^ set(WORDS))}",
                      fix="build the package again: pip install -e .")


class Controller(threadpoolctl.LibController):
    """``threadpoolctl.threadpool_limits`` holds for the native engine, too; threadpool_info lists it as "backproof"."""

    user_api = internal_api = "backproof"
    filename_prefixes = ("_native",)
    check_symbols = ("backproof_get_num_threads", "backproof_set_num_threads")

    def get_num_threads(self):
        return self.dynlib.backproof_get_num_threads()

    def set_num_threads(self, num_threads):
        self.dynlib.backproof_set_num_threads(num_threads)

    def get_version(self):
        return None


threadpoolctl.register(Controller)


_stepping = []                          # the sessions whose steps are under way
told.append(lambda: [session.share() for session in list(_stepping)])
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_stepping.clear)     # their threads are not in the child


def instruction_set():
    """The instruction set that the kernels use: the best that was compiled and that this processor has."""
    return _native.instruction_set()


@contextmanager
def _named_errors():
    try:
        yield
    except (RuntimeError, IndexError) as error:
        raise EngineError(f"the native engine cannot run this program: {error}", fix='engine="reference"') from error


class Bound:
    """A program in the core's form, with the positions of its names.

    Attributes  builder; value {name: position}; index {Index: position}
    """

    def __init__(self, program):
        self.values, self.builder = program.values, _native.Builder()         # not the program: bindings die with it
        self.index, self.value = {}, {}
        for name, value in program.values.items():
            self.value[name] = self.builder.value(name, [self.place(i) for i in value.axes], value.storage, value.integer,
                                                  value.pad or "")
            for fact in value.facts:
                if fact == "holes":
                    self.builder.holes(self.value[name])
                if isinstance(fact, tuple) and fact[0] == "dropout":
                    self.builder.dropout(self.value[name], fact[1], fact[2])
        for instruction in program.instructions:
            self.instruction(instruction)
        self.builder.update()
        for instruction in program.update:
            self.instruction(instruction)
        for new, old in program.replaces.items():
            self.builder.replaces(self.value[new], self.value[old])
            self.builder.finite(self.value[new])
        for new, (table, ids) in program.rows.items():
            self.builder.rows(self.value[new], self.value[table], self.value[ids.value], *self.labels(ids))
            self.builder.finite(self.value[new])
        for gradient in program.gradients.values():
            self.builder.finite(self.value[gradient])
        for public, operand in program.outputs.items():
            self.labels(operand)                                              # nothing is placed after the first machine
            self.builder.output(self.value[operand.value])
            if public in ("L", "J"):
                self.builder.finite(self.value[operand.value])

    def place(self, index):
        if index not in self.index:
            symbolic = isinstance(index.extent, str)
            self.index[index] = self.builder.index(index.name, index.kind, index.extent if symbolic else "",
                                                   0 if symbolic else index.extent)
        return self.index[index]

    def labels(self, operand):
        """(label of each axis, offset of each axis)."""
        return ([self.place(label) if isinstance(label, Index) else _native.FIRST if label == FIRST else _native.LAST
                 for label, _ in operand.axes], [offset for _, offset in operand.axes])

    def instruction(self, instruction):
        if instruction.op == "loop":
            self.builder.begin_loop(instruction.how, self.place(instruction.index))
            for inner in instruction.body:
                self.instruction(inner)
            self.builder.end_loop()
            return
        index = -1 if instruction.index is None else self.place(instruction.index)
        self.builder.instruction(instruction.op, instruction.how, self.value[instruction.out], index)
        for operand in instruction.product:
            self.builder.operand(True, self.value[operand.value], *self.labels(operand))
        for operand in instruction.operands:
            self.builder.operand(False, self.value[operand.value], *self.labels(operand))
        if instruction.order == "descending":
            self.builder.descending()
        if instruction.start is not None:
            self.builder.start(self.value[instruction.start.value], *self.labels(instruction.start))
        if instruction.op == "join":
            for operand, own in zip(instruction.operands, instruction.how.split(",")):
                self.builder.part(self.place(next(i for i in operand.labels if i.name == own)))
        for word in instruction.words:
            self.builder.word(word.name)
            for argument in word.arguments:
                if isinstance(argument, tuple):
                    self.builder.argument(argument[0], argument[1] if len(argument) > 1 else 0, 0.0)
                else:
                    self.builder.argument("number", 0, float(argument))

    def extents(self, arrays):
        """{symbol: length} of arrays in storage order, checked against one another."""
        found = {}
        for name, array in arrays.items():
            value = self.values[name]
            if array.ndim != len(value.axes):
                raise ShapeError(f"{name} has {array.ndim} axes", where=f"it is {value!r}")
            for index, length in zip(value.axes, array.shape):
                known = found.setdefault(index.extent, length) if isinstance(index.extent, str) else index.extent
                if known != length:
                    raise ShapeError(f"index {index.name!r} has extent {length} in {name} and {known} elsewhere")
        return found


def bound_of(program):
    """What was bound of a program, once for all its owners."""
    if name not in program.bound:
        with _named_errors():
            program.bound.setdefault(name, Bound(program))
    return program.bound[name]


class _Idle:
    """The machines that stand idle, by owner: they go with its program. Programs are compared by identity."""

    def __init__(self):
        self.kept = {}

    def of(self, program, dtype, threads):
        """The list to take one from and to give it back to."""
        if id(program) not in self.kept:
            self.kept.setdefault(id(program), {})
            weakref.finalize(program, self.kept.pop, id(program), None)
        return self.kept[id(program)].setdefault((dtype, threads), [])

    def machine(self, program, dtype, threads):
        bound, free = bound_of(program), self.of(program, dtype, threads)
        try:
            return bound, free.pop(), free
        except IndexError:                                    # none, or another thread was faster
            with _named_errors():
                return bound, (_MACHINES[dtype](bound.builder, threads), {}), free


_idle = _Idle()


def _dtype(dtype):
    dtype = np.dtype(dtype)
    if dtype not in _MACHINES:
        raise EngineError(f"the native engine has no {dtype.name}", fix='float32 or float64, or engine="reference"')
    return dtype


class Answers:
    """What one program answers to one dense input (n, i) while its parameters stay as they are: prediction of a few rows.

    Parameters  parameters  {name: array}, read-only arrays of their own, so that nobody can have written since
    A call takes an array (n, i) of the dtype and gives the output sample-first; None where it is not as the engine reads it
    (another width, more than a FEW rows, not contiguous), or where a number that went in or came out is not finite.
    """

    FEW = 512                                                                 # rows: more are asked for in a Run

    def __init__(self, program, parameters, dtype, threads=None):
        self.program, self.parameters, self.dtype, self.threads = program, parameters, _dtype(dtype), threads
        self.bound, self.idle = bound_of(program), {}
        (self.input, x), = program.inputs.items()
        (public, operand), = program.outputs.items()
        wanted = sorted(operand.labels, key=lambda label: label.kind != "sample")
        self.columns, self.row = [label.extent for label in wanted[1:]], tuple(i.extent for i in x.axes[1:])
        self.symbol = x.axes[0].extent
        self.door = (self.bound.value[self.input], self.bound.value[operand.value], *self.bound.labels(operand),
                     [self.bound.place(label) for label in wanted])

    @classmethod
    def of(cls, program, parameters, dtype, threads=None):
        """The Answers of a program, or None where it is of another kind, or where somebody may write into a parameter."""
        kinds = [[i.kind for i in value.axes] for value in program.inputs.values()]
        labels = [[i.kind for i in operand.labels] for operand in program.outputs.values()]
        asked = kinds == [["sample", "unit"]] and not any(v.integer for v in program.inputs.values()) and not program.state
        fixed = all(parameters[name].base is None and not parameters[name].flags.writeable for name in program.parameters)
        return cls(program, parameters, dtype, threads) if asked and len(labels) == 1 and "sample" in labels[0] and fixed else None

    def __call__(self, x):
        if x.shape[1:] != self.row or not 0 < len(x) <= self.FEW or not x.flags.c_contiguous:
            return None
        threads = 1 if len(x) == 1 else team(self.threads, _native.limit())
        free = self.idle.setdefault(threads, [])
        try:
            machine = free.pop()
        except IndexError:
            machine = self.machine(threads, len(x))
        answer = np.empty((len(x), *self.columns), self.dtype)
        finite = machine.answer(x, answer)
        free.append(machine)
        return answer if finite else None

    def machine(self, threads, samples):
        """A machine that holds the parameters."""
        with _named_errors():
            machine = _MACHINES[self.dtype](self.bound.builder, threads)
            machine.open(*self.door)
            machine.resolve({self.symbol: samples})
            for name in self.program.parameters:
                machine.feed(self.bound.value[name], np.asarray(self.parameters[name], self.dtype, order="C"))
            machine.turn_twins()
        return machine


class Run:
    """One execution of a program, as in the reference engine; its machine goes back when the run is forgotten."""

    def __init__(self, program, feeds, dtype=np.float64, threads=None):
        self.program, self.dtype = program, _dtype(dtype)
        self.bound, (self.machine, self._fed), self._free = _idle.machine(program, self.dtype, team(threads, _native.limit()))
        arrays = {}
        for name, value in program.values.items():
            if value.storage in ("value", "extent"):
                continue
            if name not in feeds:
                raise EngineError(f"the program needs {name!r}", fix=f"feed it {value!r}")
            arrays[name] = np.asarray(feeds[name], np.int64 if value.integer else self.dtype, order="C")
        self.extents = self.bound.extents(arrays)
        with _named_errors():
            self.machine.resolve(self.extents)
            for name, array in arrays.items():
                if program.values[name].integer:
                    self.machine.feed_integers(self.bound.value[name], array)
                elif not self._has(name, array):
                    self.machine.feed(self.bound.value[name], array)
            self.machine.turn_twins()
            self.machine.run(False)
        _refuse_ids(self.machine.bad_ids())

    def _has(self, name, array):
        """Does the machine hold a parameter from a run before? Only of arrays that nobody can have written since."""
        known = self._fed.pop(name, lambda: None)() is array
        kept = self.program.values[name].storage == "parameter" and not array.flags.writeable and array.base is None
        if kept:
            self._fed[name] = weakref.ref(array)
        return kept and known

    def __del__(self):
        if hasattr(self, "machine"):
            self._free.append((self.machine, self._fed))

    def outputs(self):
        return {public: self._look(operand) for public, operand in self.program.outputs.items()}

    def gradients(self):
        return {parameter: self._read(value) for parameter, value in self.program.gradients.items()}

    def update(self):
        if self.program.rows:
            raise EngineError("a run replaces whole values, and this program updates tables by rows", fix="step it in a Session")
        with _named_errors():
            self.machine.run(True)
        return {old: self._read(new) for new, old in self.program.replaces.items()}

    def first_non_finite(self):
        """The name of the first value, in order of execution, that holds NaN or infinity; None if all are finite."""
        return self.machine.first_not_finite() or None

    def _shape(self, labels):
        return [self.extents[i.extent] if isinstance(i.extent, str) else i.extent for i in labels]

    def _read(self, name):
        value = self.program.values[name]
        return self._look_at(name, [self.bound.place(i) for i in value.axes], [0] * len(value.axes), value.axes)

    def _look(self, operand):
        return self._look_at(operand.value, *self.bound.labels(operand), operand.labels)

    def _look_at(self, name, labels, offsets, wanted):
        array = np.empty(self._shape(wanted), self.dtype)
        self.machine.look(self.bound.value[name], labels, offsets, [self.bound.place(i) for i in wanted], array)
        return array


@lru_cache(maxsize=256)
def _key(seed, stream):
    return [int(word) for word in stream_key(seed, stream)]


def order(seed, epoch, n):
    """The generator's order of rows in an epoch, drawn by the core: the same numbers."""
    if not 0 <= epoch < 1 << 32 or not 0 <= n < 1 << 32:
        return generator.order(seed, epoch, n)                                # which says what is wrong
    rows = np.empty(n, np.int64)
    _native.order(_key(seed, "order"), epoch, rows)
    return rows


class Session:
    """A program with its parameters and optimizer state, stepped over minibatches, as in the reference engine."""

    order = staticmethod(order)

    def __init__(self, program, parameters, state, dtype=np.float64, threads=None):
        self.program, self.dtype = program, _dtype(dtype)
        self.bound = bound_of(program)
        self.threads = threads
        with _named_errors():
            self.machine = _MACHINES[self.dtype](self.bound.builder, team(threads, _native.limit()))
        self._given = {name: np.array(array, self.dtype, order="C") for name, array in {**parameters, **state}.items()}
        self._names, self._states = list(parameters), list(state)
        self._trained = False

    def share(self):
        """As many threads as are this fit's part of them now, also in the middle of an epoch."""
        self.machine.use(team(self.threads, _native.limit(), beside()))

    def cancel(self):
        """From another thread: the steps under way end after the one at hand."""
        self.machine.cancel()

    @property
    def parameters(self):
        return self._arrays(self._names)

    @parameters.setter
    def parameters(self, arrays):
        self._give(arrays)

    @property
    def state(self):
        return self._arrays(self._states)

    @state.setter
    def state(self, arrays):
        self._give(arrays)

    def _arrays(self, names):
        if self._trained:
            for name in names:
                if name in self.bound.value:
                    self.machine.read(self.bound.value[name], self._given[name], False)
        return {name: self._given[name].copy() for name in names}

    def _give(self, arrays):
        if self._trained:
            self._arrays([*self._names, *self._states])
        self._given.update({name: np.array(array, self.dtype, order="C") for name, array in arrays.items()})
        self._trained = False

    def steps(self, data, rows, batch_size, scalars, epoch, seed, done=None, originals=None):
        """One update for each ``batch_size`` of the rows, in their order; see the reference engine."""
        program, bound = self.program, self.bound
        rows = np.ascontiguousarray(rows, np.int64)
        originals = rows if originals is None else np.ascontiguousarray(originals, np.int64)
        total = Steps() if done is None else done
        if not len(rows):
            return total
        if len(originals) != len(rows):
            raise ShapeError(f"{len(rows)} rows and {len(originals)} numbers of them in the whole training set")
        sources = {}
        for name, value in program.inputs.items():
            if name in data:
                sources[name] = np.asarray(data[name], np.int64 if value.integer else self.dtype, order="C")
            elif value.storage == "input" and name not in scalars and not any(isinstance(f, tuple) and f[0] == "dropout" for f in value.facts):
                raise EngineError(f"the program needs {name!r}", fix=f"feed it {value!r}")
        if rows.min() < 0 or any(rows.max() >= len(array) for array in sources.values()):
            raise ShapeError("a row number lies outside the data")
        extents = bound.extents({name: _stored(program.values[name], array) for name, array in sources.items()})
        symbol = next((i.extent for v in program.values.values() for i in v.axes if i.kind == "sample"), "N")
        extents.pop(symbol, None)
        with _named_errors():
            if not self._trained:
                self.machine.resolve({**extents, symbol: min(batch_size, len(rows))})
                for name, array in self._given.items():
                    if name in bound.value:
                        self.machine.feed(bound.value[name], array)
                self._trained = True
            given = ({bound.value[name]: array for name, array in sources.items()}, rows, int(batch_size),
                     {bound.value[name]: np.ascontiguousarray(values, np.float64) for name, values in scalars.items()
                      if name in bound.value}, extents, symbol, _key(int(seed), "dropout"), int(epoch),
                     bound.value[program.outputs["L"].value], bound.value[program.outputs["J"].value], originals,
                     (total.done, total.samples, total.loss, total.objective, total.idle),
                     bound.value[program.outputs["idle"].value] if "idle" in program.outputs else -1)
            _stepping.append(self)
            self.share()
            try:
                self.machine.epoch(*given)
            finally:
                _stepping.remove(self)
                last = self.machine.last
                total.done, total.samples, total.loss, total.objective = last.steps, last.samples, last.loss, last.objective
                total.idle = last.idle
        _refuse_ids(last.bad_ids)
        total.failure = (last.failed_step, last.failed or "J") if last.failed_step >= 0 else None
        return total


def _stored(value, array):
    """A sample-first array with its axes in the order of the stored value; only its shape is looked at."""
    kinds = [index.kind for index in value.axes]
    return array.swapaxes(0, 1) if kinds[:2] == ["time", "sample"] else array


def _refuse_ids(name):
    if name:
        raise ShapeError(f"{name} holds a number outside its index")
