"""Stateful training: an update for every segment of a sequence, the state carried into the next one as plain numbers.

Reads   a program with the first state given and the last one named (``given_state``), data sample-first.
Gives   a Session like an engine's. A step is a minibatch of whole sequences: all its segments are updated, or none.

The reset rule: a row of the data is one sequence; its state begins at zero in every epoch, is carried to the end of the row,
and goes nowhere else. So neither the order of the rows nor the size of a minibatch can mix sequences. A row that has no
valid step in a segment takes no part in it: its state waits, and the segment's mean is over the others.
"""

from dataclasses import dataclass

import numpy as np

from ..engines.reference import masks, storage_order
from ..engines.steps import uninterrupted
from .segments import Minibatches, new_values

__all__ = ["Session"]


@dataclass
class Place:
    """Parameters and state between two segments of a minibatch."""

    parameters: dict
    state: dict


class Session(Minibatches):
    """Steps of a program over segments of ``length`` steps, the states carried between them; scalars hold an array per minibatch,
    one number per segment."""

    def __init__(self, program, length, engine, parameters, state, dtype, threads=None):
        super().__init__(parameters, state, np.dtype(dtype))
        self.program, self.length, self.engine, self.threads = program, length, engine, threads
        self.carried = [name.removesuffix(".end") for name in program.outputs if name.endswith(".end")]

    def step(self, data, rows, scalars, originals, epoch, seed, done):
        """All segments of one minibatch. False if something was not finite: nothing of it is applied then."""
        values = self.program.inputs
        timed = {name for name, v in values.items() if any(i.kind == "time" for i in v.axes)}
        steps = next(data[name].shape[1] for name in timed if name in data)
        mask = data["mask"][rows] if "mask" in data else np.ones((len(rows), steps))
        weights = data["w"][rows] if "w" in data else np.ones(len(rows))
        carried = {name: np.zeros((len(rows), *(i.extent for i in values[f"{name}.start"].axes if i.kind != "sample")), self.dtype)
                   for name in self.carried}
        place, loss, penalty = Place(self.parameters, self.state), np.zeros(len(rows)), 0.0
        for s, first in enumerate(range(0, steps, self.length)):
            behind = min(first + self.length, steps)
            valid = mask[:, first:behind].sum(axis=1)
            active = np.flatnonzero(valid)
            if not len(active):
                break
            chosen = {name: data[name][rows[active], first:behind] if name in timed else data[name][rows[active]]
                      for name in values if name in data}
            feeds = {name: storage_order(values[name], array) for name, array in chosen.items()}
            feeds.update(masks(self.program, originals[active], behind - first, epoch, seed, self.dtype, first, timed=True))
            feeds.update(masks(self.program, originals[active], behind - first, epoch, seed, self.dtype, timed=False))
            feeds.update({name: value[first:behind] if name in timed else value[s] if np.ndim(value) else value
                          for name, value in scalars.items()})
            feeds.update({f"{name}.start": carried[name][active] for name in self.carried})
            feeds["begins"] = np.full(len(active), first == 0)
            run = self.engine.Run(self.program, {**feeds, **place.parameters, **place.state}, self.dtype, self.threads)
            outputs = run.outputs()
            found = new_values(run, place, done)
            if found is None:
                return False
            place = Place(*found)
            for name in self.carried:
                carried[name][active] = outputs[f"{name}.end"]
            loss[active] += valid[active] * outputs["E"]
            penalty = float(outputs["J"]) - float(outputs["L"])
        with uninterrupted():
            self.parameters, self.state = place.parameters, place.state
            data_loss = float(np.mean(weights * loss / mask.sum(axis=1)))
            done.add(len(rows), data_loss, data_loss + penalty)
        return True
