"""Small networks written by hand in the calculus, with data: what the tests of derive, lower and engines work on."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from backproof.calculus import (SAMPLE, TIME, Index, Ref, System, Variable, edge, rename, scaled, shift, sigmoid, square, tanh,
                                total)
from backproof.derive import sweep
from backproof.engines.reference import Run
from backproof.lower import lower


@dataclass
class Case:
    """A system with the loss E of a sample, and the values of its variables."""

    system: System
    feeds: dict
    extents: dict

    @property
    def wrt(self):
        return [v.name for v in self.system.variables.values() if v.role == "parameter"]

    @cached_property
    def swept(self):
        return sweep(self.system, {"E": 1}, self.wrt, mean_over=SAMPLE)

    @property
    def program(self):
        return lower(self.swept.system, ["E"], gradients={name: self.swept.adjoints[name] for name in self.wrt})

    def run(self, dtype=np.float64, **feeds):
        return Run(self.program, {**self.feeds, **feeds}, dtype)


def _drawn(system, extents, seed=0):
    draw = np.random.default_rng(seed)
    feeds = {v.name: 0.7 * draw.normal(size=[extents.get(i.extent, i.extent) for i in v.axes])
             for v in system.variables.values()}
    return Case(system, feeds, extents)


def parameter(name, *axes):
    return Variable(name, axes, "parameter")


def perceptron(widths=(3, 4, 2), function=tanh, batch=5):
    system, a, below = System(), None, Index("x.unit", widths[0], letter="i")
    a = Variable("x", (SAMPLE, below))
    for layer, width in enumerate(widths[1:], 1):
        own = Index(f"unit{layer}", width)
        z = system.define(f"z{layer}", total(a * parameter(f"W{layer}", below, own), over=below) + parameter(f"b{layer}", own),
                          role="pre_activation", layer=str(layer))
        a, below = system.define(f"a{layer}", function(z), role="activation", layer=str(layer)), own
    system.define("E", total(square(a - Variable("y", (SAMPLE, below))), over=below) / 2, role="sample_loss")
    return _drawn(system, {"N": batch})


def recurrent(step=1, link=None, loss="last", batch=3, steps=4):
    """h_t = tanh(x_t W + h_(t−1) U + b), read at its last step ("last"), or at every step ("each"); ``link`` is ξ."""
    system, i, j = System(), Index("x.unit", 3, letter="i"), Index("h", 2)
    below = j.primed()
    h, x = Ref("h", (TIME, SAMPLE, j)), Variable("x", (TIME, SAMPLE, i))
    before = shift(h, TIME, step, parameter("h0", j))
    before = before if link is None else scaled(before, link)
    z = total(x * parameter("W", i, j), over=i) + parameter("b", j) \
        + total(rename(before, {j: below}) * parameter("U", below, j), over=below)
    system.define("h", tanh(system.define("z", z, role="pre_activation")), role="activation")
    if loss == "last":
        out = edge(h, TIME, "last" if step > 0 else "first")
        system.define("E", total(square(out - Variable("y", (SAMPLE, j))), over=j))
    else:
        system.define("E", total(square(h - Variable("y", (TIME, SAMPLE, j))), over=(TIME, j)))
    return _drawn(system, {"N": batch, "T": steps})


def lstm(batch=3, steps=4):
    system, i, j = System(), Index("x.unit", 3, letter="i"), Index("h", 3)
    below = j.primed()
    h, c, x = Ref("h", (TIME, SAMPLE, j)), Ref("c", (TIME, SAMPLE, j)), Variable("x", (TIME, SAMPLE, i))
    gates = {}
    for gate, function in (("i", sigmoid), ("f", sigmoid), ("g", tanh), ("o", sigmoid)):
        z = total(x * parameter(f"W_{gate}", i, j), over=i) + parameter(f"b_{gate}", j) \
            + total(rename(shift(h, TIME, 1, 0), {j: below}) * parameter(f"U_{gate}", below, j), over=below)
        gates[gate] = system.define(gate, function(system.define(f"z_{gate}", z, role="pre_activation")))
    system.define("c", gates["f"] * shift(c, TIME, 1, 0) + gates["i"] * gates["g"])
    system.define("h", gates["o"] * tanh(c))
    system.define("E", total(square(edge(h, TIME, "last") - Variable("y", (SAMPLE, j))), over=j))
    return _drawn(system, {"N": batch, "T": steps})
