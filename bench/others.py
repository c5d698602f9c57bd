"""The rows that are no training step: latencies, memory, the cost of checks and of tracing, Ctrl-C, whole jobs, curves."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from argparse import Namespace
from unittest import mock

import numpy as np
from peers import Ours
from results import others_path
from rows import ROWS, Row
from scaling import CURVES, curve
from steps import prepared
from whole import beside, first, grid, mnist

from backproof import Network
from backproof.engines import native
from backproof.lower import programs

BY_NAME = {row.name: row for row in ROWS}


def best(function, repeat):
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def latency(options):
    """Prediction of one row and of 10,000: inside the engine, through ``predict``, and by the peers."""
    row = Row("predict", (32, 128, 128, 10), 100)
    programs, absent, _ = prepared(row, options.threads, [*options.skip, "torch.compile"], samples=10_000)
    X, _ = row.data(10_000)
    model = programs[0].model
    run = model.engine.Run(model.program("prediction"), {**model.parameters, "x": X[:1]}, np.float32)
    one = {"backproof, inside the engine": best(lambda: run.machine.run(False), 2000)}
    one.update({p.name: best(lambda p=p: p.predict(X[:1]), 200) for p in programs})
    return {"spec": row.spec, "absent": absent, "one": one, "many": {p.name: best(lambda p=p: p.predict(X), 20) for p in programs}}


MEMORY = """
import ctypes, gc, json, sys
from pathlib import Path
sys.path.insert(0, {here!r})
from others import BY_NAME
from peers import Ours

def now(key):
    return next(int(line.split()[1]) * 1024 for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
row = BY_NAME[{name!r}]
X, y = row.data()
for small in (BY_NAME["small"], BY_NAME["rnn"]):               # the code that is loaded at the first use is none of the row's
    Ours(small, *small.data(), None, {threads}).epoch()
gc.collect()
ctypes.CDLL(None).malloc_trim(0)                               # what they left behind is given back
Path("/proc/self/clear_refs").write_text("5")                  # the peak begins here
before = now("VmRSS")
ours = Ours(row, X, y, None, {threads})
ours.epoch()
ours.epoch()
print(json.dumps([ours.session.machine.bytes(), now("VmHWM") - before, X.nbytes + y.nbytes]))
"""


def memory(options):
    """What the machine planned beside what the process grew by at most, in a fresh process each; Linux alone."""
    found = {}
    for name in ("table", "digits2", "large", "lstm", "lstm500"):
        script = MEMORY.format(here=os.path.dirname(__file__), name=name, threads=options.threads)
        done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, env=others_path())
        planned, measured, data = json.loads(done.stdout)
        found[name] = {"planned": planned, "measured": measured, "data": data}
    return {"bytes": found}


class Unchecked(native._native.Builder):
    """Binds a program without its marks of what must be finite."""

    def finite(self, value):
        pass


def finite(options):
    """The same step with and without the detection of numbers that are not finite, in turns: binding leaves the marks out."""
    found = {}
    for name in ("small", "digits", "large", "lstm"):
        row = BY_NAME[name]
        X, y = row.data()
        checked = Ours(row, X, y, None, options.threads)
        programs.forget()  # or both would be bound as the first was
        with mock.patch.object(native._native, "Builder", Unchecked):
            bare = Ours(row, X, y, None, options.threads)
        for program in (checked, bare):
            program.epoch()
        times, began = {checked: [], bare: []}, time.perf_counter()
        while len(times[bare]) < 5 or time.perf_counter() - began < options.seconds / 2:
            for program in times:
                times[program].append(best(program.epoch, 1) / row.minibatches())
        programs.forget()
        found[name] = {"checked": min(times[checked]), "bare": min(times[bare])}
    return {"seconds": found}


def tracing(options):
    """Loss and gradients of a minibatch, and the same with every named z, a and δ asked for; and a page of one sample."""
    found = {}
    for name in ("small", "digits", "lstm"):
        row = BY_NAME[name]
        X, y = row.data(row.batch)
        model = Network(row.spec, loss="squared_error").build(seed=0, dtype=row.dtype, threads=options.threads, engine="native")
        sweep = model.network.gradient_system()
        named = [e.name for e in sweep.system if e.role in ("pre_activation", "activation", "delta")]
        fed = model._feeds(X, y)
        runs = {}
        for kind, outputs in (("plain", ()), ("traced", tuple(named))):
            program = model.program("J", *outputs, gradients=True)
            run = model.engine.Run(program, {**model.parameters, **model._store(program, fed.arrays)}, model.dtype)
            runs[kind] = lambda run=run: (run.machine.run(False), run.outputs(), run.gradients())
        found[name] = {kind: best(run, 100) for kind, run in runs.items()}
        found[name]["names"] = len(named)
    return {"seconds": found}


def ctrl_c(options):
    """From the signal to KeyboardInterrupt in the caller's hand, at moments drawn at random."""
    found = {}
    for name, tries in (("small", 100), ("large", 200)):
        row, late, draw = BY_NAME[name], [], np.random.default_rng(0)
        X, y = row.data()
        ours = Ours(row, X, y, None, options.threads)
        rows = np.tile(np.arange(len(X)), 10**5 // row.minibatches())
        ours.scalars = {key: np.full(len(rows) // row.batch, values[0]) for key, values in ours.scalars.items()}
        sent = []

        def send(sent=sent):
            sent.append(time.perf_counter())
            os.kill(os.getpid(), signal.SIGINT)

        while len(late) < tries:
            timer = threading.Timer(float(draw.uniform(0.02, 0.12)), send)
            timer.start()
            try:
                ours.session.steps({"x": X, "y": y}, rows, row.batch, ours.scalars, 0, 0)
                raise SystemExit("the run ended before the signal")
            except KeyboardInterrupt:
                late.append(time.perf_counter() - sent.pop())
            timer.join()
        found[name] = {
            "median": float(np.median(late)),
            "p99": float(np.quantile(late, 0.99)),
            "largest": max(late),
            "tries": len(late),
        }
    return {"seconds": found}


def words(options):
    """A step on windows of words beside PyTorch's sparse embedding, as ``python bench/words.py`` measures it."""
    import words as windows  # PyTorch with it, where it is installed

    found, size = {}, {"batch": 64, "steps": 200, "window": 5, "vector": 50, "hidden": 100, "classes": 10}
    for optimizer in ("sgd", "adam"):
        for vocabulary in (10_000, 100_000):
            given = Namespace(**size, threads=options.threads, seconds=options.seconds)
            times = windows.measured(vocabulary, optimizer, given)
            found[f"{optimizer}, {vocabulary:,} words"] = {
                name: {"min": min(each), "median": float(np.median(each))} for name, each in times.items()
            }
    return {**size, "windows": found}


OTHERS = {
    "words": words,
    "latency": latency,
    "first": first,
    "memory": memory,
    "finite": finite,
    "tracing": tracing,
    "ctrl-c": ctrl_c,
    "grid": grid,
    "beside": beside,
    "mnist": mnist,
    **{name: lambda options, name=name: curve(name, options) for name in CURVES},
}
