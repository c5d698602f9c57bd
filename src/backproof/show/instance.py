"""A random instance of a system: numbers for everything that is given, and every named quantity computed by the engine.

Reads   a system, its seeds and a seed number.
Gives   values by name, and the true derivative of the seeded scalar by any quantity, from the complex step alone: nothing
        that was derived takes part in it.
"""

import numpy as np

from ..calculus import SAMPLE, Equation, Map, OneHot, Scaled, Variable, product, transform, walk
from ..engines.reference import Run
from ..lower import lower

__all__ = ["Instance"]

STEP = 1e-30
EXTENTS = {"N": 3, "T": 4}
EXHAUSTIVE, DIRECTIONS = 48, 12
TRIES = 8                              # draws of an instance without an operand exactly at a kink


class Instance:
    """One random instance. ``values`` {name: array in stored order}; ``extents`` {symbol: number}."""

    def __init__(self, system, seeds, mean_over=SAMPLE, seed=0, extents=None):
        self.system, self.seeds, self.mean_over = system, seeds, mean_over
        self.extents = {**EXTENTS, **(extents or {})}
        self.rng = np.random.default_rng(seed)
        kinks = self.kinks()
        for _ in range(TRIES):                                # at a kink the oracle may take the other side
            self.feeds = {name: self.draw(variable) for name, variable in sorted(system.variables.items())}
            if kinks is None or all((value != 0).all() for value in Run(kinks, self.feeds).outputs().values()):
                break
        run = Run(lower(system, list(system.equations)), self.feeds)
        self.values = {**self.feeds, **run.outputs()}
        self.frozen, self.base = self.freeze()
        self.frozen = self.frozen.restricted(list(seeds))

    def kinks(self):
        """A program of the distances of every operand from the kinks of its function, or None where there is none."""
        asked, distances = self.system.copy(), dict.fromkeys(
            distance for equation in self.system for node in walk(equation.expression) if isinstance(node, Map)
            for distance in node.function.switches(node.children))
        for k, distance in enumerate(distances):
            asked.append(Equation(f"distance.{k}", distance, distance.indices))
        return lower(asked, [f"distance.{k}" for k in range(len(distances))]) if distances else None

    def shape(self, axes):
        return [i.extent if isinstance(i.extent, int) else self.extents.setdefault(i.extent, 4) for i in axes]

    def draw(self, variable):
        """Random numbers of the kind that a variable takes."""
        shape, facts = self.shape(variable.axes), set(variable.facts)
        normal = self.rng.normal(size=shape)
        if variable.integer:
            return self.rng.integers(0, self.largest(variable), size=shape)
        if "sums to one" in facts:
            e = np.exp(normal)
            return e / e.sum(axis=-1, keepdims=True)
        if variable.role == "mask":
            keep = (np.arange(shape[0])[:, None] < self.rng.integers(1, shape[0] + 1, size=shape[1:])[None]).astype(float)
            return keep
        if variable.role in ("weight", "scalar", "target", "noise", "state", "carried"):
            return self.rng.uniform(0.2, 0.8, size=shape)
        if variable.role == "parameter" and len(shape) > 1:
            return normal / np.sqrt(shape[0])
        return normal

    def largest(self, variable):
        """The smallest index that an integer variable is compared with."""
        extents = [node.index.extent for equation in self.system for node in walk(equation.expression)
                   if isinstance(node, OneHot) and any(leaf is variable for leaf in walk(node.ids))]
        return min(extents, default=2)

    # -- the oracle ----------------------------------------------------------------------------------------------------

    def derivative(self, name):
        """(directions, true values): what Σ adjoint · direction must be, per sample where ``name`` has samples.

        Small quantities are tried entry by entry, large ones in random directions.
        """
        system, feeds = self.perturbed(name)
        program = lower(system, [f"signal.{k}" for k in range(len(self.seeds))])
        base = self.feeds[name] if name in self.feeds else np.zeros(self.values[name].shape)
        axes = self.axes(name)
        own = [k for k, index in enumerate(axes) if index == self.mean_over]
        shape = [1 if k in own else length for k, length in enumerate(base.shape)]
        count = int(np.prod(shape))
        flat = np.eye(count) if count <= EXHAUSTIVE else self.rng.normal(size=(DIRECTIONS, count))
        directions = flat.reshape([-1, *shape])
        measured = []
        for direction in directions:
            moved = base + STEP * 1j * np.broadcast_to(direction, base.shape)
            out = Run(program, {**feeds, system_name(name, self): moved}, np.complex128).outputs()
            measured.append(self.scalar([self.by_sample(out[f"signal.{k}"], scalar) for k, scalar in enumerate(self.seeds)], bool(own)))
        return directions, np.array(measured)

    def freeze(self):
        """The system as the function whose true derivative a truncated sweep gives, and the base values that it reads.

        Scaled(x, ξ) becomes x₀ + ξ (x − x₀), x₀ being the value of x here.
        """
        links = list(dict.fromkeys(node for equation in self.system for node in walk(equation.expression)
                                   if isinstance(node, Scaled)))
        system, names = self.system.copy(), {node: f"base.{k}" for k, node in enumerate(links)}
        if not links:
            return system, {}
        asked = self.system.copy()
        for node, name in names.items():
            asked.append(Equation(name, node.operand, node.operand.indices))
        base = Run(lower(asked, list(names.values())), self.feeds).outputs()

        def rule(node):
            if node in names:
                held = Variable(names[node], node.indices, "input")
                return held + node.factor * (node.operand - held)
        for name, equation in self.system.equations.items():
            system.revise(name, expression=transform(equation.expression, rule))
        return system, base

    def perturbed(self, name):
        """The system with name + ε in the place of an equation, and the seeded scalars as equations."""
        system = self.frozen.copy()
        if name in system.equations:
            equation = system.equations[name]
            system.revise(name, expression=equation.expression + Variable("ε", equation.axes, "input"))
        for k, (scalar, seed) in enumerate(self.seeds.items()):
            system.define(f"signal.{k}", product([seed, system.ref(scalar)]))
        return system, {**self.feeds, **self.base}

    def axes(self, name):
        return self.system.equations[name].axes if name in self.system.equations else self.system.variables[name].axes

    def by_sample(self, signal, scalar):
        """A seeded quantity summed to one number per sample, or to one number."""
        signal = np.asarray(signal)
        kept = [k for k, index in enumerate(sorted(self.axes(scalar), key=lambda i: i.sort_key())) if index == self.mean_over]
        return signal.sum(axis=tuple(k for k in range(signal.ndim) if k not in kept))

    def scalar(self, signals, per_sample):
        """Im of the seeded scalar: its mean over the samples, or sample by sample for a quantity of one sample."""
        total = 0.0
        for signal in signals:
            signal = np.asarray(signal).imag / STEP
            if self.mean_over is None:
                total = total + signal.sum()
            elif signal.ndim:                                                           # one value per sample
                total = total + (signal if per_sample else signal.mean())
            elif not per_sample:
                total = total + signal
        return total

    def error(self, name, printed):
        """The relative error of a printed adjoint of ``name`` against the complex step."""
        if name not in self.measured:
            self.measured[name] = self.derivative(name)
        directions, true = self.measured[name]
        axes = self.axes(name)
        rest = tuple(k for k, index in enumerate(axes) if index != self.mean_over)
        got = np.array([np.sum(printed * direction, axis=rest) for direction in directions])
        return relative(got, true)

    @property
    def measured(self):
        return self.__dict__.setdefault("_measured", {})


def system_name(name, instance):
    return name if name in instance.feeds else "ε"


def relative(got, true):
    """‖got − true‖ / ‖true‖; infinite where either is not finite or the shapes differ."""
    got, true = np.asarray(got, float), np.asarray(true, float)
    if got.shape != true.shape or not (np.isfinite(got).all() and np.isfinite(true).all()):
        return float("inf")
    scale = np.linalg.norm(true)
    difference = np.linalg.norm(got - true)
    return float(difference / scale) if scale else float(difference)


__all__ += ["relative"]
