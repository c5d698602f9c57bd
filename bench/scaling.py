"""How the time of a step or an epoch grows with width, depth, samples, minibatch and T: our engine alone."""

from dataclasses import replace

import numpy as np
from peers import Ours
from rows import Row

import time

BASE = Row("base", (64, 128, 128, 10), 64)
CELL = Row("cell", (32, 64, 10), 32, "lstm", 50)
# curve: (what grows, its values, the row, samples of the table or None, what is timed, the exponent of a cost linear in numbers)
CURVES = {
    "width": (
        "units of two hidden layers",
        (32, 64, 128, 256, 512, 1024),
        lambda w: replace(BASE, widths=(w, w, w, 10)),
        None,
        "step",
        2,
    ),
    "depth": ("hidden layers of 128", (1, 2, 4, 8, 16, 32), lambda d: replace(BASE, widths=(64, *[128] * d, 10)), None, "step", 1),
    "samples": ("samples of the table", (1024, 4096, 16384, 65536, 262144), lambda n: BASE, lambda n: n, "epoch", 1),
    "batch": ("samples of a minibatch", (1, 4, 16, 64, 256, 1024), lambda b: replace(BASE, batch=b), None, "step", 1),
    "T": ("steps of an LSTM", (10, 30, 100, 300, 1000), lambda t: replace(CELL, steps=t), None, "step", 1),
}


def timed(row, samples, what, threads, seconds):
    X, y = row.data(samples or 4 * row.batch)
    ours = Ours(row, X, y, None, threads)
    ours.epoch()
    best, began, rounds = float("inf"), time.perf_counter(), 0
    while rounds < 3 or time.perf_counter() - began < seconds:
        start = time.perf_counter()
        ours.epoch()
        best, rounds = min(best, time.perf_counter() - start), rounds + 1
    return best if what == "epoch" else best * row.batch / len(X)


def exponent(sizes, times):
    """Slope of log time over log size, by least squares over the larger half, where the fixed costs are small."""
    half = len(sizes) // 2
    return float(np.polyfit(np.log(sizes[half:]), np.log(times[half:]), 1)[0])


def curve(name, options):
    label, sizes, row, samples, what, expected = CURVES[name]
    each = max(0.05, options.seconds / 10)
    times = [timed(row(size), samples and samples(size), what, options.threads, each) for size in sizes]
    return {
        "grows": label,
        "timed": what,
        "sizes": list(sizes),
        "seconds": times,
        "exponent": exponent(sizes, times),
        "linear": expected,
    }
