"""One training step: our engine and every installed peer on one row, alternating in one run.

Before anything is timed, all programs that show their gradients are checked to compute the same ones.
"""

import time

import numpy as np
from peers import PEERS, Ours

from backproof import Network
from backproof.engines import _native


def check(row, ours, peer):
    """Largest difference of a gradient from ours, relative to its norm; None where the peer shows none."""
    theirs = peer.gradients()
    if theirs is None:
        return None
    mine = ours.gradients()
    worst = max(float(np.linalg.norm(theirs[k] - mine[k]) / np.linalg.norm(mine[k])) for k in theirs)
    if not worst <= (1e-3 if row.dtype == "float32" else 1e-9):
        raise SystemExit(f"{peer.name} computes other gradients on {row.name}: {worst:.2e}")
    return worst


def prepared(row, threads, skip=(), samples=None):
    """(programs that ran once, {peer: why it is absent}, {peer: difference of its gradients from ours})."""
    X, y = row.data(samples)
    start = {
        name: np.array(value)
        for name, value in Network(row.spec, loss="squared_error").build(seed=0, dtype=row.dtype).parameters.items()
    }
    programs, absent, differences, ours = [], {}, {}, None
    for kind in PEERS:
        if kind.name in skip:
            absent[kind.name] = "left out of this run"
            continue
        try:
            program = kind(row, X, y, start, threads)
            ours = ours or program
            differences[kind.name] = check(row, ours, program)
            program.epoch()  # compiles, warms
        except NotImplementedError:
            continue
        except ImportError as error:
            absent[kind.name] = f"not installed ({error.name})"
            continue
        except RuntimeError as error:  # such as a compiler that torch.compile does not find
            absent[kind.name] = f"does not run here: {str(error).strip().splitlines()[0][:200]}"
            continue
        programs.append(program)
    return programs, absent, differences


WARM = 0.1  # seconds of a turn before it counts: OpenBLAS keeps its threads spinning for about 25 ms, on the next one's processor


def measure(programs, steps, seconds):
    """{name: seconds per step, one per round}, and the same of processor time; the programs take turns."""
    began = time.perf_counter()
    found, spent = ({p.name: [] for p in programs} for _ in range(2))
    while len(next(iter(found.values()))) < 5 or time.perf_counter() - began < seconds:
        for program in programs:
            before = time.perf_counter()
            while time.perf_counter() - before < WARM:
                program.epoch()
            start, used = time.perf_counter(), time.process_time()
            program.epoch()
            found[program.name].append((time.perf_counter() - start) / steps)
            spent[program.name].append((time.process_time() - used) / steps)
    return found, spent


def peak(dtype, threads):
    """Multiply-adds of registers alone, operations a second of all threads together; a double takes the room of two floats."""
    return _native.peak(threads) / (2 if dtype == "float64" else 1)


def step(row, options):
    """The figures of one row: {"peers": {name: minimum, median, quartiles, processor time}, "share": …}."""
    programs, absent, differences = prepared(row, options.threads, options.skip)
    top = max(peak(row.dtype, options.threads) for _ in range(3))
    found, spent = measure(programs, row.minibatches(), options.seconds)
    top = max(top, peak(row.dtype, options.threads))
    peers = {
        name: {
            "min": min(times),
            "median": float(np.median(times)),
            "quartiles": [float(q) for q in np.quantile(times, (0.25, 0.75))],
            "rounds": len(times),
            "processor": min(spent[name]),
            "gradients": differences[name],
        }
        for name, times in found.items()
    }
    ours, others = peers[Ours.name]["min"], {name: p["min"] for name, p in peers.items() if name != Ours.name}
    fastest = min(others, key=others.get) if others else None
    return {
        "spec": row.spec,
        "batch": row.batch,
        "steps": row.steps,
        "dtype": row.dtype,
        "flops": row.flops,
        "peers": peers,
        "absent": absent,
        "fastest": fastest,
        "ratio": others[fastest] / ours if others else None,
        "peak": top,
        "share": row.flops / ours / top,
    }
