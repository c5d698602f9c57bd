"""The reference engine: one readable function per instruction; it defines what programs mean.

Reads   a Program and arrays in storage order (time, sample, unit).
Gives   the program's outputs, gradients and updated values, in float32, float64 or a complex type: every word chooses
        its branch by the real part, so the complex step runs through everything.
"""

import numpy as np

from ..calculus import Index
from ..errors import EngineError, ShapeError
from ..lower import WORDS
from ..lower.instructions import FIRST
from .generator import dropout_mask
from .steps import Steps, uninterrupted

__all__ = ["name", "kernels", "Run", "Session", "WORD", "storage_order", "masks"]

name = "reference"
kernels = frozenset()           # composed functions with a kernel of their own: none, they run as their composition


# ---------------------------------------------------------------------------------------------------- the words

def _negative_magnitude(x):
    return np.where(x.real < 0, x, -x)


def _sigmoid(x):
    e = np.exp(_negative_magnitude(x))
    return np.where(x.real < 0, e, 1) / (1 + e)


def _softplus(x):
    return np.where(x.real < 0, 0, x) + _log1p(np.exp(_negative_magnitude(x)))


def _log1p(x):
    if not np.iscomplexobj(x):
        return np.log1p(x)
    # NumPy's complex log1p takes the logarithm of |1 + x|, which drops a small x
    return np.log1p(x.real * (2 + x.real) + x.imag**2) / 2 + 1j * np.arctan2(x.imag, 1 + x.real)


def _maximum(a, b):
    if np.iscomplexobj(a) or np.iscomplexobj(b):
        return np.where((a.real > b.real) | np.isnan(a.real), a, b)         # a tie is b's, as the derivative declares
    return np.maximum(a, b)


def _erf(x):
    from scipy.special import erf                       # it and the next NumPy lacks; loaded when a network uses them
    return erf(x)


def _normal_cdf(x):
    from scipy.special import ndtr
    return ndtr(x)


WORD = {
    "copy": lambda a: a, "add": np.add, "sub": np.subtract, "mul": np.multiply, "neg": np.negative,
    "reciprocal": lambda a: 1 / a, "exp": np.exp, "log": np.log, "sqrt": np.sqrt,
    "abs": lambda a: np.where(a.real < 0, -a, a),
    "sign": lambda a: np.sign(a.real), "step": lambda a: np.where(np.isnan(a.real), a.real, a.real > 0),
    "greater": lambda a, b: np.greater(a.real, b.real), "equal": lambda a, b: np.equal(a.real, b.real),
    "maximum": _maximum, "minimum": lambda a, b: -_maximum(-a, -b),
    "select": lambda c, a, b: np.where(c.real != 0, a, b),
    "sigmoid": _sigmoid, "tanh": np.tanh, "erf": _erf, "normal_cdf": _normal_cdf, "expm1": np.expm1, "softplus": _softplus,
}
if set(WORD) != set(WORDS):
    raise EngineError(f"the reference engine lacks words of the table: {sorted(set(WORDS) ^ set(WORD))}")


# ---------------------------------------------------------------------------------------------------- a run

class Run:
    """One execution of a program.

    Parameters  program; feeds {name: array in storage order} for inputs, parameters, state and scalars; dtype;
                threads has no meaning here
    Raises      ShapeError if a feed does not have the axes of its value, EngineError if one is missing.

    ``outputs()``, ``gradients()`` give arrays; ``update()`` runs the update and gives {parameter or state: new array}.
    """

    def __init__(self, program, feeds, dtype=np.float64, threads=None):
        self.program, self.dtype, self.arrays, self.extents = program, np.dtype(dtype), {}, {}
        for value in program.values.values():
            if value.storage == "extent":
                continue
            if value.storage != "value":
                self.feed(value, feeds)
        for value in program.values.values():
            if value.storage == "extent":
                symbol, power = value.name.split("^")
                self.arrays[value.name] = np.asarray(float(self.length(symbol)) ** int(power), self.dtype)
        with np.errstate(all="ignore"):                 # non-finite numbers are found and named by who reads them
            self.execute(program.instructions, {})

    def outputs(self):
        return {public: self.look(operand, operand.labels, {}) for public, operand in self.program.outputs.items()}

    def gradients(self):
        return {parameter: self.arrays[value] for parameter, value in self.program.gradients.items()}

    def update(self):
        with np.errstate(all="ignore"):
            self.execute(self.program.update, {})
        return {old: self.arrays[new] for new, old in self.program.replaces.items()}

    def rows(self):
        """After ``update()``: (table, row numbers, new rows) of every table that is updated by rows."""
        for new, (table, ids) in self.program.rows.items():
            axes = self.program.values[new].axes
            order = [*ids.labels, axes[-1]]
            yield table, self.look(ids, ids.labels, {}), self.arrays[new].transpose([axes.index(i) for i in order])

    def first_non_finite(self):
        """The name of the first value, in order of execution, that holds NaN or infinity; None if all are finite."""
        for instruction in self.program.instructions:
            for made in instruction.writes():
                if made in self.arrays and not np.all(np.isfinite(self.arrays[made])):
                    return made
        return None

    # ------------------------------------------------------------------------------------------ storage

    def feed(self, value, feeds):
        if value.name not in feeds:
            raise EngineError(f"the program needs {value.name!r}", fix=f"feed it {value!r}")
        array = np.asarray(feeds[value.name])
        array = array.astype(np.intp, copy=False) if value.integer else array.astype(self.dtype, copy=False)
        if array.ndim != len(value.axes):
            raise ShapeError(f"{value.name} has {array.ndim} axes", where=f"it is {value!r}")
        for index, length in zip(value.axes, array.shape):
            known = self.extents.setdefault(index.extent, length) if isinstance(index.extent, str) else index.extent
            if known != length:
                raise ShapeError(f"index {index.name!r} has extent {length} in {value.name} and {known} elsewhere")
        self.arrays[value.name] = array

    def length(self, extent):
        if isinstance(extent, int):
            return extent
        if extent not in self.extents:
            raise EngineError(f"the extent {extent} is unknown: no input has it")
        return self.extents[extent]

    def allocate(self, value):
        shape = [self.length(i.extent) + (i.kind == "time" and value.pad is not None) for i in value.axes]
        array = np.empty(shape, self.dtype)
        array.fill(np.nan)                              # what is read before it is written shows
        return array

    def look(self, operand, labels, step):
        """The operand as an array with one axis per label (length 1 where it broadcasts)."""
        value, array = self.program.values[operand.value], self.arrays[operand.value]
        before = value.pad == "before"
        where, present = [], []
        for (label, offset), axis in zip(operand.axes, value.axes):
            base = offset + (before and axis.kind == "time")
            if not isinstance(label, Index):
                last = self.length(axis.extent) - 1
                where.append((0 if label == FIRST else last) + base)
            elif label in step:
                where.append(step[label] + base)
            else:
                where.append(slice(base, base + self.length(label.extent)))
                present.append(label)
        array = array[tuple(where)]
        wanted = [label for label in labels if label not in step]
        array = array.transpose([present.index(label) for label in wanted if label in present])
        return array.reshape([array.shape[[w for w in wanted if w in present].index(label)] if label in present else 1
                              for label in wanted])

    def store(self, instruction, array, step):
        value = self.program.values[instruction.out]
        axes = [i for i in value.axes if i not in step]
        array = np.broadcast_to(array, [self.length(i.extent) for i in axes])
        if not step and value.pad is None:
            self.arrays[value.name] = np.array(array, self.dtype)
            return
        if value.name not in self.arrays:
            self.arrays[value.name] = self.allocate(value)
        before = value.pad == "before"
        where = tuple(step[i] + before if i in step else
                      slice(before, before + self.length(i.extent)) if i.kind == "time" and value.pad else slice(None)
                      for i in value.axes)
        self.arrays[value.name][where] = array

    # ------------------------------------------------------------------------------------------ instructions

    def execute(self, instructions, step):
        for instruction in instructions:
            getattr(self, instruction.op)(instruction, step)

    def words(self, instruction, labels, step, acc=None):
        """The value of a word list over arrays that have one axis per label."""
        operands = [self.look(operand, labels, step) for operand in instruction.operands]
        done = []

        def argument(a):
            if isinstance(a, tuple):
                return acc if a[0] == "acc" else operands[a[1]] if a[0] == "r" else done[a[1]]
            return self.dtype.type(float(a))
        for word in instruction.words:
            done.append(np.asarray(WORD[word.name](*map(argument, word.arguments)), self.dtype))
        return done[-1]

    def map(self, instruction, step):
        self.store(instruction, self.words(instruction, self.program.values[instruction.out].axes, step), step)

    def dense(self, instruction, step):
        axes = [i for i in self.program.values[instruction.out].axes if i not in step]
        a, b = instruction.product

        def product(at):
            return contract(self.look(a, a.labels, at), [i for i in a.labels if i not in at],
                            self.look(b, b.labels, at), [i for i in b.labels if i not in at], axes)
        acc = self.chain(instruction, axes, {*a.labels, *b.labels}, step, product, np.add)
        self.store(instruction, self.words(instruction, axes, step, acc), step)

    def chain(self, instruction, axes, labels, step, part, join):
        """What is summed over time, step by step in the instruction's order from where the chain starts; else the sum at once."""
        time = next((i for i in labels if i.kind == "time" and i not in axes and i not in step), None)
        if time is None and instruction.start is None:
            return part(step)
        total = None if instruction.start is None else self.look(instruction.start, axes, step)
        steps = range(self.length(time.extent)) if time is not None else (None,)
        for t in reversed(steps) if instruction.order == "descending" else steps:
            one = part({**step, time: t} if time is not None else step)
            total = one if total is None else join(total, one)
        return np.zeros([self.length(i.extent) for i in axes], self.dtype) if total is None else total

    def reduce(self, instruction, step):
        kept = [i for i in self.program.values[instruction.out].axes if i not in step]
        labels = set().union(*(o.labels for o in instruction.operands)) - set(step)

        def part(at):
            over = sorted(labels - {*kept, *at}, key=Index.sort_key)
            return REDUCE[instruction.how](self.words(instruction, [*kept, *over], at), len(kept))
        if instruction.how == "logsumexp":
            return self.store(instruction, part(step), step)
        join = np.add if instruction.how == "sum" else WORD["maximum"]
        self.store(instruction, self.chain(instruction, kept, labels, step, part, join), step)

    def gather(self, instruction, step):
        source, ids = instruction.operands
        axes = [i for i in self.program.values[instruction.out].axes if i not in step]
        rest = [i for i in source.labels if i not in step and i != instruction.index]
        table = self.look(source, [instruction.index, *rest], step)
        own = [i for i in ids.labels if i not in step]
        places = self.checked(ids, step, instruction.index)
        grid = np.ix_(*(np.arange(self.length(i.extent)) for i in axes))
        position = {i: g for i, g in zip(axes, grid)}
        chosen = places[tuple(position.get(i, 0) for i in own)] if own else places         # what out lacks has one place
        found = table[(chosen, *(position[i] for i in rest))]
        self.store(instruction, np.where(chosen < 0, 0, found) if (places < 0).any() else found, step)

    def scatter(self, instruction, step):
        source, ids = instruction.operands
        axes = [i for i in self.program.values[instruction.out].axes if i not in step]
        rest = [i for i in axes if i != instruction.index]
        own = [i for i in ids.labels if i not in step]
        kept = [instruction.index, *rest]
        result = np.zeros([self.length(i.extent) for i in kept], self.dtype)
        batch = [i for i in own if i in rest]
        if batch:
            raise EngineError(f"scatter into {instruction.out} keeps the samples apart", where=repr(instruction))
        if instruction.start is not None:
            result[...] = self.look(instruction.start, kept, step)
        places = self.checked(ids, step, instruction.index)
        values = np.broadcast_to(self.look(source, [*own, *rest], step), [*places.shape, *result.shape[1:]])
        if instruction.order == "descending":                 # the places' axes are stored with time first
            time = next(k for k, i in enumerate(own) if i.kind == "time")
            places, values = np.flip(places, time), np.flip(values, time)
        np.add.at(result, places[places >= 0], values[places >= 0])
        self.store(instruction, result.transpose([kept.index(i) for i in axes]), step)

    def collect(self, instruction, step):
        *pairs, here = instruction.operands
        axes = [i for i in self.program.values[instruction.out].axes if i not in step]
        own = [i for i in here.labels if i not in step]
        rest = [i for i in axes if i not in own]
        known, place = np.unique(self.checked(here, step, instruction.index), return_inverse=True)
        sums = np.zeros([len(known), *(self.length(i.extent) for i in rest)], self.dtype)
        for source, ids in zip(pairs[::2], pairs[1::2]):
            labels = [i for i in ids.labels if i not in step]
            ids = self.checked(ids, step, instruction.index)
            rows = np.broadcast_to(self.look(source, [*labels, *rest], step), [*ids.shape, *sums.shape[1:]])
            slot = np.minimum(np.searchsorted(known, ids), len(known) - 1)
            met = (known[slot] == ids) & (ids >= 0)
            np.add.at(sums, slot[met], rows[met])
        result = sums[place.reshape([self.length(i.extent) for i in own])]
        self.store(instruction, result.transpose([[*own, *rest].index(i) for i in axes]), step)

    def onehot(self, instruction, step):
        ids, = instruction.operands
        axes = [i for i in self.program.values[instruction.out].axes if i not in step]
        places = self.checked(ids, step, instruction.index)
        own = [i for i in ids.labels if i not in step]
        hot = (places[..., None] == np.arange(instruction.index.extent)).transpose(
            [[*own, instruction.index].index(i) for i in axes])
        self.store(instruction, hot, step)

    def checked(self, ids, step, index):
        """Integer places, refused outside the index; −1, which stands for no entry, where the value may hold it."""
        places, lowest = self.look(ids, ids.labels, step), -1 if "holes" in self.program.values[ids.value].facts else 0
        if places.size and (places.min() < lowest or places.max() >= index.extent):
            bad = places[(places < lowest) | (places >= index.extent)][0]
            raise ShapeError(f"{ids.value} holds {bad}, outside 0 … {index.extent - 1}", where=f"index {index.name!r}")
        return places

    def join(self, instruction, step):
        axes = [i for i in self.program.values[instruction.out].axes if i not in step]
        names = instruction.how.split(",")
        pieces = []
        for operand, own in zip(instruction.operands, names):
            labels = [next(i for i in operand.labels if i.name == own) if axis == instruction.index else axis for axis in axes]
            piece = self.look(operand, labels, step)
            shape = [self.length(label.extent) for label in labels]
            pieces.append(np.broadcast_to(piece, shape))
        self.store(instruction, np.concatenate(pieces, axis=axes.index(instruction.index)), step)

    def fill(self, instruction, step):
        value = self.program.values[instruction.out]
        if value.name not in self.arrays:
            self.arrays[value.name] = self.allocate(value)
        axes = [i for i in value.axes if i.kind != "time"]
        slot = tuple((0 if instruction.how == "before" else -1) if i.kind == "time" else slice(None) for i in value.axes)
        self.arrays[value.name][slot] = self.words(instruction, axes, step)

    def loop(self, instruction, step):
        steps = range(self.length(instruction.index.extent))
        for t in steps if instruction.how == "ascending" else reversed(steps):
            self.execute(instruction.body, {**step, instruction.index: t})


def contract(a, a_labels, b, b_labels, out):
    """Σ a·b over what ``out`` lacks, as one matrix product per shared kept index."""
    both = [i for i in a_labels if i in b_labels]
    batch, summed = [i for i in both if i in out], [i for i in both if i not in out]
    rows, columns = [i for i in a_labels if i not in both], [i for i in b_labels if i not in both]
    sizes = dict(zip([*a_labels, *b_labels], [*a.shape, *b.shape]))

    def matrix(array, labels, first, second):
        array = array.transpose([labels.index(i) for i in [*batch, *first, *second]])
        return array.reshape([*(sizes[i] for i in batch), int(np.prod([sizes[i] for i in first])),
                              int(np.prod([sizes[i] for i in second]))])
    result = matrix(a, a_labels, rows, summed) @ matrix(b, b_labels, summed, columns)
    made = [*batch, *rows, *columns]
    result = result.reshape([sizes[i] for i in made])
    present = [i for i in out if i in made]
    return result.transpose([made.index(i) for i in present]).reshape([sizes[i] if i in made else 1 for i in out])


def _largest(x, axes):
    """The entry with the largest real part along axes, kept as length-1 axes."""
    if not np.iscomplexobj(x):
        return x.max(axis=axes, keepdims=True)
    kept = x.shape[:x.ndim - len(axes)]
    flat = x.reshape(*kept, -1)
    place = np.argmax(flat.real, axis=-1)[..., None]
    return np.take_along_axis(flat, place, axis=-1).reshape(*kept, *[1] * len(axes))


def _logsumexp(x, kept):
    top = _largest(x, tuple(range(kept, x.ndim)))
    real = np.where(np.isfinite(top.real), top.real, 0)
    return (np.log(np.exp(x - real).sum(axis=tuple(range(kept, x.ndim)), keepdims=True)) + real).reshape(x.shape[:kept])


REDUCE = {"sum": lambda x, kept: x.sum(axis=tuple(range(kept, x.ndim))), "logsumexp": _logsumexp,
          "max": lambda x, kept: _largest(x, tuple(range(kept, x.ndim))).reshape(x.shape[:kept])}


# ---------------------------------------------------------------------------------------------------- training

class Session:
    """A program with its parameters and optimizer state, stepped over minibatches.

    Parameters  program     with outputs "L" and "J" (of pairs also "idle"), gradients and an update
                parameters, state  {name: array}; copied, and given back by the attributes of the same names
    """

    def __init__(self, program, parameters, state, dtype=np.float64, threads=None):
        self.program, self.dtype = program, np.dtype(dtype)
        self.parameters, self.state = parameters, state
        self._tables = {table for table, _ in program.rows.values()}

    @property
    def parameters(self):
        return self._given_out(self._parameters)

    @parameters.setter
    def parameters(self, arrays):
        self._parameters = {name: np.array(array, self.dtype) for name, array in arrays.items()}

    @property
    def state(self):
        return self._given_out(self._state)

    @state.setter
    def state(self, arrays):
        self._state = {name: np.array(array, self.dtype) for name, array in arrays.items()}

    def _given_out(self, arrays):
        """Tables are written in place, row by row, so a copy goes out of them; other arrays are replaced as a whole."""
        return {name: array.copy() if name in self._tables else array for name, array in arrays.items()}

    def steps(self, data, rows, batch_size, scalars, epoch, seed, done=None, originals=None):
        """One update for each ``batch_size`` of the rows, in their order.

        Parameters  data     {input: array, sample-first}; rows: row numbers into them
                    scalars  {name: one number per step}
                    epoch, seed  the address of dropout masks, with the row
                    done     Steps to go on from, kept up to date after every step, also when an interrupt ends the run
                    originals  the row numbers of the whole training set, where the data are a part of it; None: ``rows``
        Interrupts leave the last complete step: parameters and state change together, after the step was found finite.
        """
        done = Steps() if done is None else done
        originals = rows if originals is None else originals
        steps = next((data[name].shape[1] for name, value in self.program.inputs.items()
                      if name in data and value.axes[:1] and value.axes[0].kind == "time"), None)
        for k, start in enumerate(range(0, len(rows), batch_size)):
            if done.cancelled:
                break
            chosen = rows[start:start + batch_size]
            feeds = {name: storage_order(self.program.values[name], data[name][chosen]) for name in self.program.inputs
                     if name in data}
            feeds.update(masks(self.program, originals[start:start + batch_size], steps, epoch, seed, self.dtype))
            feeds.update({name: values[k] for name, values in scalars.items()})
            run = Run(self.program, {**feeds, **self._parameters, **self._state}, self.dtype)
            outputs = run.outputs()
            loss, objective = float(outputs["L"]), float(outputs["J"])
            gradients = run.gradients()
            if not (np.isfinite(loss) and np.isfinite(objective) and all(np.isfinite(g).all() for g in gradients.values())):
                done.failure = (done.done, run.first_non_finite() or "J")
                return done
            new = run.update()
            put = list(run.rows())
            written = [*new.items(), *((table, array) for table, _, array in put)]
            bad = next((name for name, array in written if not np.isfinite(array).all()), None)
            if bad is not None:
                done.failure = (done.done, bad)
                return done
            parameters, state = ({name: new.get(name, array) for name, array in group.items()}
                                 for group in (self._parameters, self._state))
            with uninterrupted():
                self._parameters, self._state = parameters, state
                for table, places, array in put:
                    group = parameters if table in parameters else state
                    group[table][places[places >= 0]] = array[places >= 0]
                done.add(len(chosen), loss, objective, float(outputs.get("idle", 0.0)))
        return done


def storage_order(value, array):
    """A sample-first array with its axes in the order of the stored value (time, sample, …)."""
    kinds = [index.kind for index in value.axes]
    if kinds[:2] == ["time", "sample"]:
        return array.swapaxes(0, 1)
    return array


def masks(program, rows, steps, epoch, seed, dtype, first=0, timed=None):
    """The dropout masks of a minibatch, by original row; unit j of step t takes draw t · units + j of its row.

    ``steps`` from step ``first`` on; ``timed``: only masks that have (or have not) an entry for every step.
    """
    feeds = {}
    for name, value in program.inputs.items():
        for fact in value.facts:
            if isinstance(fact, tuple) and fact[0] == "dropout" and timed in (None, any(i.kind == "time" for i in value.axes)):
                _, layer, rate = fact
                shape = [steps if index.kind == "time" else index.extent for index in value.axes if index.kind != "sample"]
                units = int(np.prod(shape))
                skip = first * (units // max(steps, 1)) if timed else 0
                drawn = dropout_mask(seed, epoch, rows, units, layer, rate, dtype, skip)
                feeds[name] = storage_order(value, drawn.reshape(len(rows), *shape))
    return feeds
