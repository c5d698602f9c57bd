"""The lag form of truncation: the loss of every step reaches back exactly τ steps.

Reads   programs of a window (the first state given, the loss of each step counted by a weight), data sample-first.
Gives   the gradient as a sum over windows,

            ∂E/∂θ = Σ_s ∂E_s/∂θ  with h_{s−τ} replaced by its number,

        and a Session that trains by it. One window stands behind every step s ≥ τ: it runs over the steps s − τ + 1 … s from
        the state h_{s−τ} of the forward pass and counts the loss of its last step alone. The losses of the first τ steps
        reach the beginning, so that these are one window which counts them all. Windows lie side by side as samples do.
Source  Williams & Peng (1990): the true truncated gradient, at τ times the cost of segments.
"""

import numpy as np

from ..engines.reference import masks, storage_order
from .segments import Minibatches, footprint

__all__ = ["Lag", "Session"]


class Lag:
    """The gradient of a network whose losses reach back exactly ``length`` steps.

    Parameters  begin, window, states  programs: gradients from the beginning, gradients of windows, the states of every step
                names   the recurrent states
                budget  bytes that the windows at work at once may take
                unit    the network's penalty_unit
    """

    def __init__(self, begin, window, states, names, length, engine, dtype, budget, threads=None, unit=1.0):
        self.unit = unit
        self.begin, self.window, self.states, self.names = begin, window, states, names
        self.length, self.engine, self.dtype, self.budget, self.threads = length, engine, np.dtype(dtype), budget, threads

    def run(self, program, feeds):
        return self.engine.Run(program, feeds, self.dtype, self.threads)

    def gradients(self, parameters, arrays, noise=None):
        """({parameter: gradient of J}, L, J) of a minibatch.

        ``arrays`` sample-first: x or ids, y, and mask and w where there are any; ``noise`` the draws of dropout, likewise.
        """
        arrays = {**arrays, **(noise or {})}
        n, steps = next(arrays[name].shape[:2] for name in ("x", "ids") if name in arrays)
        mask = arrays.pop("mask", np.ones((n, steps)))
        lengths = mask.sum(axis=1)
        weights = arrays.pop("w", np.ones(n))
        per_step = "counts" in self.window.inputs
        counts = mask / lengths[:, None] if per_step else None
        timed = {name for name, v in {**self.begin.inputs, **self.window.inputs, **self.states.inputs}.items()
                 if any(i.kind == "time" for i in v.axes)}
        self.total, self.loss, self.objective = None, 0.0, 0.0
        if per_step:
            first = {name: a[:, :self.length] if name in timed else a for name, a in arrays.items()}
            self.add(self.begin, parameters, {**first, "counts": counts[:, :self.length], "w": weights}, n, n, 1.0)
            rows, last = np.nonzero(mask[:, self.length:])
            last = last + self.length
        else:
            rows, last = self.short(parameters, arrays, timed, lengths, weights, n)
        if len(rows):
            self.windows(parameters, arrays, timed, rows, last, lengths, weights, n, per_step)
        return self.total, self.loss, self.objective

    def short(self, parameters, arrays, timed, lengths, weights, n):
        """One loss behind the last step: sequences that are not longer than the lag, and the windows of the others."""
        lengths = lengths.astype(int)
        for length in sorted(set(lengths[lengths <= self.length])):
            chosen = np.flatnonzero(lengths == length)
            fed = {name: a[chosen, :length] if name in timed else a[chosen] for name, a in arrays.items()}
            self.add(self.begin, parameters, {**fed, "w": weights[chosen]}, len(chosen), n, 1.0 if self.total is None else 0.0)
        rows = np.flatnonzero(lengths > self.length)
        return rows, lengths[rows] - 1

    def windows(self, parameters, arrays, timed, rows, last, lengths, weights, n, per_step):
        """The windows that end at (row, last step), as many at once as the budget allows."""
        states = self.run(self.states, {**parameters, **stored(self.states, arrays)}).outputs()
        one = footprint(self.window, self.dtype.itemsize, N=1, T=self.length)
        several = max(1, int(self.budget // one))
        offsets = np.arange(1 - self.length, 1)
        for start in range(0, len(rows), several):
            row, end = rows[start:start + several], last[start:start + several]
            fed = {name: a[row[:, None], end[:, None] + offsets] if name in timed else a[row] for name, a in arrays.items()}
            if per_step:
                fed["counts"] = np.zeros((len(row), self.length))
                fed["counts"][:, -1] = 1 / lengths[row]
            fed["begins"] = np.zeros(len(row))
            fed.update({f"{name}.start": states[name][end - self.length, row] for name in self.names})
            self.add(self.window, parameters, {**fed, "w": weights[row]}, len(row), n, 1.0 if self.total is None else 0.0)

    def add(self, program, parameters, arrays, samples, n, penalty):
        """Add a run's share: the program takes the mean over its own samples, the minibatch has ``n``; the penalty counts once."""
        arrays["w"] = arrays["w"] * (samples / n)
        run = self.run(program, {**parameters, **stored(program, arrays), "penalty_scale": penalty * self.unit})
        outputs, gradients = run.outputs(), run.gradients()
        self.total = gradients if self.total is None else {name: self.total[name] + g for name, g in gradients.items()}
        self.loss += float(outputs["L"])
        self.objective += float(outputs["J"])


def stored(program, arrays):
    """Arrays in the storage order of a program's inputs; those that it does not read are left out."""
    return {name: storage_order(value, arrays[name]) for name, value in program.inputs.items() if name in arrays}


class Session(Minibatches):
    """Training by the gradient of a Lag; ``update`` is a program of the update alone, the gradients its inputs."""

    def __init__(self, update, lag, training, parameters, state):
        super().__init__(parameters, state, lag.dtype)
        self.update, self.lag, self.program = update, lag, training

    def minibatch(self, data, rows, scalars, originals, epoch, seed):
        arrays = {name: array[rows] for name, array in data.items()}
        steps = next(arrays[name].shape[1] for name in ("x", "ids") if name in arrays)
        noise = masks(self.program, originals, steps, epoch, seed, self.dtype)
        noise = {name: a.swapaxes(0, 1) if any(i.kind == "time" for i in self.program.inputs[name].axes) else a
                 for name, a in noise.items()}
        gradients, loss, objective = self.lag.gradients(self.parameters, arrays, noise)
        given = {**{f"given.{name}": g for name, g in gradients.items()}, "given.L": loss, "given.J": objective}
        return self.lag.run(self.update, {**given, **self.parameters, **self.state, **scalars}), loss, objective
