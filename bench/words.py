"""``python bench/words.py``: the time of a training step on windows of words, for vocabularies of 10⁴, 10⁵ and 10⁶ words.

Beside it PyTorch's Embedding(sparse=True) + Linear with the same start, data and optimizer: SGD, and Adam (SparseAdam on the
table). The programs take turns in one run, after the gradients of the first minibatch were compared. Rows of a window are drawn
evenly, so that nearly every lookup of a large table misses the caches. Prints a table; where PyTorch is missing, our column alone.
"""

import argparse
import os
import time

import numpy as np

from backproof import Network
from backproof.train import OPTIMIZERS

try:
    import torch
except ImportError:
    torch = None

RATE = 1e-3


class Ours:
    """The step program of a model, minibatch by minibatch, as ``fit`` runs it."""

    name = "backproof"

    def __init__(self, start, ids, y, batch, optimizer, threads):
        vocabulary, vector = start["E1"].shape
        spec = f"window {ids.shape[1]} vocabulary={vocabulary} embedding {vector} | {len(start['b2'])} tanh | {len(start['b3'])} softmax"
        self.model = Network(spec, loss="cross_entropy").build(initial=start, threads=threads, engine="native")
        how = OPTIMIZERS[optimizer]
        program = self.model._step_program({"target": "class"}, how, None, None, False)
        state = {name: np.zeros([i.extent for i in v.axes], np.float32) for name, v in program.state.items()}
        self.session = self.model.engine.Session(program, self.model.parameters, state, np.float32, threads)
        steps = len(ids) // batch
        self.scalars = {name: np.full(steps, value) for name, value in {"eta": RATE, **how.at(1)}.items()}
        self.data, self.rows, self.batch = {"ids": ids, "y": y}, np.arange(len(ids)), batch

    def epoch(self):
        done = self.session.steps(self.data, self.rows, self.batch, self.scalars, 0, 0)
        assert done.done == len(self.rows) // self.batch

    def gradients(self):
        return self.model.gradients(self.data["ids"][:self.batch], self.data["y"][:self.batch])


class Torch:
    """Embedding(sparse=True), two Linear layers, cross_entropy."""

    name = "PyTorch"

    def __init__(self, start, ids, y, batch, optimizer, threads):
        torch.set_num_threads(threads)
        self.table = torch.nn.Embedding(*start["E1"].shape, sparse=True)
        self.layers = torch.nn.Sequential(torch.nn.Linear(*start["W2"].shape), torch.nn.Tanh(), torch.nn.Linear(*start["W3"].shape))
        with torch.no_grad():
            self.table.weight.copy_(torch.from_numpy(start["E1"]))
            for layer, k in ((self.layers[0], 2), (self.layers[2], 3)):
                layer.weight.copy_(torch.from_numpy(start[f"W{k}"].T))
                layer.bias.copy_(torch.from_numpy(start[f"b{k}"]))
        rest = list(self.layers.parameters())
        self.optimizers = [torch.optim.SGD([self.table.weight, *rest], lr=RATE)] if optimizer == "sgd" else \
            [torch.optim.SparseAdam([self.table.weight], lr=RATE), torch.optim.Adam(rest, lr=RATE)]
        self.ids, self.y, self.batch = torch.from_numpy(ids), torch.from_numpy(y), batch

    def loss(self, rows):
        x = self.table(self.ids[rows]).flatten(1)
        loss = torch.nn.functional.cross_entropy(self.layers(x), self.y[rows])
        loss.backward()

    def epoch(self):
        for first in range(0, len(self.ids), self.batch):
            for optimizer in self.optimizers:
                optimizer.zero_grad()
            self.loss(slice(first, first + self.batch))
            for optimizer in self.optimizers:
                optimizer.step()

    def gradients(self):
        self.loss(slice(0, self.batch))
        found = {"E1": self.table.weight.grad.to_dense(), **{f"{letter}{k}": (p.T if letter == "W" else p) for k, layer in
                 ((2, self.layers[0]), (3, self.layers[2])) for letter, p in (("W", layer.weight.grad), ("b", layer.bias.grad))}}
        return {name: np.array(array) for name, array in found.items()}


def start_of(vocabulary, vector, window, hidden, classes):
    """Starting values, drawn in float32."""
    draw = np.random.default_rng(0)
    shapes = {"E1": (vocabulary, vector), "W2": (window * vector, hidden), "b2": (hidden,), "W3": (hidden, classes), "b3": (classes,)}
    return {name: draw.standard_normal(shape, np.float32) * np.float32(0.1) for name, shape in shapes.items()}


def measured(vocabulary, optimizer, options):
    """{program: seconds of a step, one per round}; the programs take turns."""
    draw = np.random.default_rng(1)
    ids = draw.integers(0, vocabulary, (options.batch * options.steps, options.window))
    y = draw.integers(0, options.classes, len(ids))
    start = start_of(vocabulary, options.vector, options.window, options.hidden, options.classes)
    programs = [kind(start, ids, y, options.batch, optimizer, options.threads) for kind in (Ours, Torch) if kind is Ours or torch]
    mine = programs[0].gradients()
    for peer in programs[1:]:
        for name, array in peer.gradients().items():
            difference = np.linalg.norm(array - mine[name]) / np.linalg.norm(mine[name])
            if not difference <= 1e-4:
                raise SystemExit(f"{peer.name} computes another gradient of {name}: {difference:.2e}")
    found, began = {p.name: [] for p in programs}, time.perf_counter()
    for program in programs:
        program.epoch()                                                 # the first touch of every page
    while len(found[Ours.name]) < 5 or time.perf_counter() - began < options.seconds:
        for program in programs:
            first = time.perf_counter()
            program.epoch()
            found[program.name].append((time.perf_counter() - first) / options.steps)
    return found


def micro(times):
    return f"{min(times) * 1e6:,.0f} / {np.median(times) * 1e6:,.0f}" if times else "–"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vocabularies", default="10000,100000,1000000")
    for name, default in (("batch", 64), ("steps", 200), ("window", 5), ("vector", 50), ("hidden", 100), ("classes", 10),
                          ("threads", os.cpu_count()), ("seconds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    print(f"One step on windows of {options.window} words, vectors of {options.vector}, {options.hidden} tanh units, {options.classes} "
          f"classes, batch {options.batch}, float32, {options.threads} threads; microseconds, minimum / median"
          + (f"; torch {torch.__version__}" if torch else "; PyTorch is not installed") + "\n")
    print("| optimizer | vocabulary | backproof | PyTorch | ratio of the minima |\n| --- | ---: | ---: | ---: | ---: |")
    for optimizer in ("sgd", "adam"):
        for vocabulary in map(int, options.vocabularies.split(",")):
            found = measured(vocabulary, optimizer, options)
            theirs = found.get(Torch.name, [])
            ratio = f"{min(theirs) / min(found[Ours.name]):.2f}" if theirs else "–"
            print(f"| {optimizer} | {vocabulary:,} | {micro(found[Ours.name])} | {micro(theirs)} | {ratio} |", flush=True)
