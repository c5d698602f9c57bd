"""Training over long sequences in the memory of one segment: the steps of time are run piece by piece.

Reads   a Program cut along time (``lower/segments.py``), an engine, data sample-first.
Gives   a Session like an engine's: one update per minibatch, whose gradient is that of the whole sequences. Between
        segments it carries the values at the borders and the sums over time, so that full gradients keep every bit.
"""

from dataclasses import dataclass

import numpy as np

from ..engines.reference import masks, storage_order
from ..engines.steps import Steps, uninterrupted
from ..lower.plan import count
from ..lower.segments import SAMPLES, segmented
from .loop import check_number

__all__ = ["BUDGET", "Segments", "Session", "footprint", "new_values", "segment_length"]

BUDGET = 1 << 30                    # bytes that one run of whole sequences may hold before it is cut into segments


def footprint(program, itemsize, **capacity):
    """Bytes that the values of a run take: all that is not a parameter or optimizer state.

    >>> from backproof import Network
    >>> program = Network("2 | rnn 3 | 1").build(seed=0).program("L", target="dense")
    >>> footprint(program, 4, N=8, T=1000) < 11 * footprint(program, 4, N=8, T=100)
    True
    """
    return itemsize * sum(count(v, capacity) for v in program.values.values() if v.storage not in ("parameter", "state"))


def segment_length(program, itemsize, n, steps, budget, multiple=1, cut=False):
    """The longest segment whose run keeps to the budget: ``multiple`` times a power of two; None: no need to cut.

    What counts is one segment in every pass, and the borders that later passes need. Where nothing keeps to the budget, it is the
    segment that takes least.
    """
    check_number("memory_budget", budget, 0, open_low=True)
    if footprint(program, itemsize, N=n, T=steps) <= budget:
        return None
    passes = [one for one in segmented(program, cut).passes if one.program is not None]

    def needed(length):
        kept = [one.program.values[name] for one in passes for name, _ in one.captures]
        borders = sum(count(value, {"N": n, "T": length}) // length for value in kept)
        return sum(footprint(one.program, itemsize, N=n, T=length) for one in passes) + itemsize * borders * -(-steps // length)
    lengths = [multiple << k for k in range(64) if multiple << k < steps] or [multiple]
    return max([length for length in lengths if needed(length) <= budget], default=min(lengths, key=needed))


@dataclass
class Segments:
    """A program cut along time, and how long a segment is. ``run`` is one execution on an engine."""

    cut: object
    length: int
    engine: object
    dtype: object
    threads: object = None

    @classmethod
    def of(cls, program, length, engine, dtype, cut=False, threads=None):
        check_number("the length of a segment", length, 1, whole=True)
        return cls(segmented(program, cut), int(length), engine, np.dtype(dtype), threads)

    def run(self, fixed, window, steps, n):
        """The Run of what is left when all passes are done: its outputs, gradients and update are the program's.

        Parameters  fixed   {name: array} of parameters, state and inputs without steps
                    window  function(first, behind) -> {name: array in storage order} of the inputs with steps
        """
        fixed = {**fixed, SAMPLES: np.zeros(n, self.dtype)}
        for program in (*(p.program for p in self.cut.passes if p.program), *self.cut.between):
            fixed.update({name: np.float64(steps) ** int(name.rpartition("^")[2]) for name, v in program.values.items()
                          if v.storage == "scalar" and "^" in name})
        stored = {}
        for one, before in zip(self.cut.passes, self.cut.between):
            fixed.update(self.execute(before, fixed).outputs())
            if one.program is not None:
                self.sweep(one, fixed, window, steps, stored)
        return self.execute(self.cut.between[-1], fixed)

    def execute(self, program, feeds):
        given = [name for name, v in program.values.items() if v.storage not in ("value", "extent")]
        return self.engine.Run(program, {name: feeds[name] for name in given}, self.dtype, self.threads)

    def sweep(self, one, fixed, window, steps, stored):
        """One pass over the segments: what is complete behind it is added to ``fixed``, what later passes need to ``stored``."""
        firsts = list(range(0, steps, self.length))
        order = range(len(firsts)) if one.ascending else reversed(range(len(firsts)))
        sums = {f"{name}.start": self.beginning(one.program, name, len(fixed[SAMPLES])) for name in one.sums}
        rolling, found = {}, {}
        for s in order:
            borders = {f"{name}.{side}": self.border(name, side, how, s, len(firsts), fixed, stored, rolling)
                       for (name, side), how in one.borders.items()}
            found = None                                                   # its machine serves the next segment
            run = self.execute(one.program, {**fixed, **window(firsts[s], min(firsts[s] + self.length, steps)), **borders, **sums})
            found = run.outputs()
            del run
            sums = {f"{name}.start": found[f"{name}.sum"] for name in one.sums}
            for name, side in one.captures:
                stored.setdefault((name, side), {})[s] = found[f"{name}.{side}"]
            rolling = {border: found[f"{border[0]}.{border[1]}"] for border, how in one.borders.items() if how == "rolled"}
            for name, end in one.ends:
                if s == (0 if end == "first" else len(firsts) - 1):
                    fixed[f"{name}.{end}"] = found[f"{name}.{end}"]
        fixed.update({f"{name}.sum": sums[f"{name}.start"] for name in one.sums})

    def beginning(self, program, name, n):
        """What a chain over time starts from: 0, and −∞ for a maximum."""
        largest = next(i for i in program.instructions if i.out == f"{name}.sum").how == "max"
        shape = [n if index.kind == "sample" else index.extent for index in program.values[f"{name}.start"].axes]
        return np.full(shape, -np.inf if largest else 0.0, self.dtype)

    @staticmethod
    def border(name, side, how, s, segments, fixed, stored, rolling):
        """The value one step outside of segment s."""
        neighbour = s - 1 if side == "before" else s + 1
        if how == "edge" or not 0 <= neighbour < segments:
            return fixed[f"{name}.{side}.edge"]
        return rolling[name, side] if how == "rolled" else stored[name, side][neighbour]


class Minibatches:
    """An engine's Session whose steps are made elsewhere: ``minibatch`` gives (run of the update, L, J) of one minibatch, or ``step``
    does all of it."""

    def __init__(self, parameters, state, dtype):
        self.dtype = dtype
        self.parameters = {name: np.array(array, dtype) for name, array in parameters.items()}
        self.state = {name: np.array(array, dtype) for name, array in state.items()}

    def steps(self, data, rows, batch_size, scalars, epoch, seed, done=None, originals=None):
        """One update for each ``batch_size`` of the rows, in their order; see the reference engine."""
        done = Steps() if done is None else done
        originals = rows if originals is None else originals
        for k, start in enumerate(range(0, len(rows), batch_size)):
            if done.cancelled:
                break
            behind = start + batch_size
            now = {name: values[k] for name, values in scalars.items()}
            if not self.step(data, rows[start:behind], now, originals[start:behind], epoch, seed, done):
                break
        return done

    def step(self, data, rows, scalars, originals, epoch, seed, done):
        """The update of one minibatch, added to ``done``. False if something was not finite: nothing is applied then."""
        run, loss, objective = self.minibatch(data, rows, scalars, originals, epoch, seed)
        found = new_values(run, self, done)
        if found is None:
            return False
        with uninterrupted():
            self.parameters, self.state = found
            done.add(len(rows), loss, objective)
        return True


class Session(Minibatches):
    """An engine's Session whose runs go over segments: the same steps, gradients and updates in less memory."""

    def __init__(self, program, segments, parameters, state):
        super().__init__(parameters, state, segments.dtype)
        self.program, self.segments = program, segments

    def minibatch(self, data, rows, scalars, originals, epoch, seed):
        run = self.one(data, rows, scalars, originals, epoch, seed)
        outputs = run.outputs()
        return run, float(outputs["L"]), float(outputs["J"])

    def one(self, data, chosen, scalars, originals, epoch, seed):
        """A run of the whole sequences of a minibatch, segment by segment."""
        values = self.program.inputs
        timed = {name for name, v in values.items() if any(i.kind == "time" for i in v.axes)}
        steps = next(data[name].shape[1] for name in values if name in data and name in timed)
        fixed = {**self.parameters, **self.state, **{name: value for name, value in scalars.items() if name not in timed}}
        given = [name for name in values if name in data and name not in timed]
        fixed.update({name: storage_order(values[name], data[name][chosen]) for name in given})
        noise = masks(self.program, originals, steps, epoch, seed, self.dtype, timed=False)

        def window(first, behind):
            found = {name: storage_order(values[name], data[name][chosen, first:behind]) for name in timed if name in data}
            found.update({name: value[first:behind] for name, value in scalars.items() if name in timed})
            return {**found, **masks(self.program, originals, behind - first, epoch, seed, self.dtype, first, timed=True)}
        return self.segments.run({**fixed, **noise}, window, steps, len(chosen))


def new_values(run, at, done):
    """(parameters, state) after a run's update of those ``at`` hand; None, and ``done.failure``, where something is not finite."""
    outputs = run.outputs()
    if not all(np.isfinite(array).all() for array in (outputs["L"], outputs["J"], *run.gradients().values())):
        done.failure = (done.done, run.first_non_finite() or "J")
        return None
    new = run.update()
    bad = next((name for name, array in new.items() if not np.isfinite(array).all()), None)
    if bad is not None:
        done.failure = (done.done, bad)
        return None
    return tuple({name: new.get(name, array) for name, array in group.items()} for group in (at.parameters, at.state))
