"""``make bench``: our engine and every installed peer side by side, alternating, in one run; writes docs/benchmarks.md.

Before anything is timed, all programs that show their gradients are checked to compute the same ones.
"""

import argparse
import os
import pathlib
import platform
import subprocess
import sys
import time
from importlib import metadata

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from peers import PEERS, Ours                                           # noqa: E402
from rows import ROWS                                                   # noqa: E402

from backproof import Network                                           # noqa: E402
from backproof.engines import _native                                   # noqa: E402

TARGET = pathlib.Path(__file__).parents[1] / "docs" / "benchmarks.md"


def check(row, ours, peer):
    """Largest difference of a gradient from ours, relative to its norm; None where the peer shows none."""
    theirs = peer.gradients()
    if theirs is None:
        return None
    mine = ours.gradients()
    worst = max(float(np.linalg.norm(theirs[k] - mine[k]) / np.linalg.norm(mine[k])) for k in theirs)
    if not worst <= 1e-3:
        raise SystemExit(f"{peer.name} computes other gradients on {row.name}: {worst:.2e}")
    return worst


def prepared(row, threads, skip):
    X, y = row.data()
    start = {name: np.array(value) for name, value in Network(row.spec, loss="squared_error").build(seed=0).parameters.items()}
    programs, missing, ours = [], [], None
    for kind in PEERS:
        if kind.name in skip:
            continue
        try:
            program = kind(row, X, y, start, threads)
            ours = ours or program
            check(row, ours, program)
            program.epoch()                                             # compiles, warms
        except NotImplementedError:
            continue
        except ImportError as error:
            missing.append(f"{kind.name} ({error.name})")
            continue
        programs.append(program)
    return programs, missing


def measure(programs, row, seconds):
    """{name: seconds per step, one per round}, and the same of processor time; the programs take turns."""
    steps, began = row.minibatches(), time.perf_counter()
    found, spent = ({p.name: [] for p in programs} for _ in range(2))
    while len(next(iter(found.values()))) < 5 or time.perf_counter() - began < seconds:
        for program in programs:
            start, used = time.perf_counter(), time.process_time()
            program.epoch()
            found[program.name].append((time.perf_counter() - start) / steps)
            spent[program.name].append((time.process_time() - used) / steps)
    return found, spent


def peak(threads):
    """Multiply-adds of registers alone, in operations a second, by all threads together."""
    return _native.peak(threads)


def fresh(script):
    """Wall seconds of a script in a new process, the best of three."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return min(times)


def latency():
    """(seconds of one row inside the engine, of one row through predict, of 10,000 rows)."""
    model = Network("32 | 128 relu | 128 relu | 10", loss="squared_error").build(seed=0)
    X = np.random.default_rng(0).normal(size=(10000, 32)).astype(np.float32)
    run = model.engine.Run(model.program("prediction"), {**model.parameters, "x": X[:1]}, np.float32)

    def best(function, repeat):
        times = []
        for _ in range(repeat):
            start = time.perf_counter()
            function()
            times.append(time.perf_counter() - start)
        return min(times)
    return best(lambda: run.machine.run(False), 2000), best(lambda: model.predict(X[:1]), 200), best(lambda: model.predict(X), 20)


def versions():
    found = [f"{name} {metadata.version(name)}" for name in ("numpy", "scikit-learn", "torch", "jax") if installed(name)]
    with open("/proc/cpuinfo") as file:
        cpu = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), platform.processor())
    return f"{cpu}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}; {_native.instruction_set()} kernels; Python {platform.python_version()}, " + ", ".join(found)


def installed(name):
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def micro(seconds):
    return f"{seconds * 1e6:,.1f}"


def report(rows, threads, seconds, skip):
    lines = ["# Benchmarks", "", f"Written by `make bench`. {versions()}.", "",
             "One training step (forward, backward, plain SGD), float32, squared error; microseconds, minimum / median over the rounds "
             f"of one run in which the programs take turns; {threads} threads for everybody. The gradients of the first minibatch were "
             "compared before. Ratio: the fastest peer's minimum over ours. Share: of the peak measured in the same run.", ""]
    header = [kind.name for kind in PEERS if kind.name not in skip]
    lines += ["| row | network | batch | " + " | ".join(header) + " | ratio | share of peak |", "|" + " --- |" * (len(header) + 5)]
    ratios, absent = [], []
    work = ["", "Processor time of a step, all threads together, minimum in microseconds: what counts where other programs run, too.", "",
            "| row | " + " | ".join(header) + " |", "|" + " --- |" * (len(header) + 1)]
    for row in rows:
        programs, missing = prepared(row, threads, skip)
        absent += [m for m in missing if m not in absent]
        top = peak(threads)
        found, spent = measure(programs, row, seconds)
        ours = min(found[Ours.name])
        others = [min(times) for name, times in found.items() if name != Ours.name]
        ratio = min(others) / ours if others else float("nan")
        ratios.append(ratio)
        cells = [f"{micro(min(found[n]))} / {micro(float(np.median(found[n])))}" if n in found else "–" for n in header]
        lines.append(f"| {row.name} | {row.spec.replace('|', '→')} | {row.batch} | {' | '.join(cells)} | {ratio:.2f} | "
                     f"{100 * row.flops / ours / top:.0f} % of {top / 1e9:.0f} GFLOP/s |")
        print(lines[-1], flush=True)
        work.append(f"| {row.name} | " + " | ".join(micro(min(spent[n])) if n in spent else "–" for n in header) + " |")
        print(work[-1], flush=True)
    lines += work
    one, through, many = latency()
    first = ("import numpy as np; from backproof import Network\nX = np.random.default_rng(0).normal(size=(1000, 20)); y = X[:, :1]\n"
             "Network('20 | 64 relu | 1', loss='squared_error').build(seed=0).fit(X, y, epochs=10)")
    lines += ["", f"Geometric mean of the ratios: **{np.exp(np.mean(np.log(ratios))):.2f}**.", ""]
    if absent:
        lines += [f"Not installed: {', '.join(absent)}.", ""]
    lines += ["| what | seconds |", "| --- | --- |", f"| predict one row, inside the engine | {one * 1e6:.1f} µs |",
              f"| predict one row, through `predict` | {through * 1e6:.0f} µs |", f"| predict 10,000 rows | {many * 1e3:.2f} ms |",
              f"| first fit of a small table in a fresh process | {fresh(first):.2f} s |"]
    for module in ("torch", "jax", "sklearn.neural_network"):
        if installed(module.split(".")[0].replace("sklearn", "scikit-learn")):
            lines.append(f"| `import {module}` in a fresh process | {fresh('import ' + module):.2f} s |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", default=",".join(row.name for row in ROWS))
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=5, help="of measuring per row")
    parser.add_argument("--skip", default="", help="peers to leave out")
    parser.add_argument("--out", default=TARGET)
    options = parser.parse_args()
    chosen = [row for row in ROWS if row.name in options.rows.split(",")]
    text = report(chosen, options.threads, options.seconds, options.skip.split(","))
    pathlib.Path(options.out).write_text(text)
    print(text)
