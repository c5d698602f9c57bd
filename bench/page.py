"""docs/benchmarks.md from the kept figures; what stands from "## Read with it" on is kept as it is."""

from pathlib import Path

import numpy as np
from peers import PEERS
from rows import AIM, ROWS

WRITTEN = "## Read with it"
MB = 1 << 20


def micro(seconds):
    return f"{seconds * 1e6:,.1f}"


def seconds(value):
    return f"{value * 1e6:,.1f} µs" if value < 1e-3 else f"{value * 1e3:,.2f} ms" if value < 1 else f"{value:,.2f} s"


def table(head, rows):
    return [
        "| " + " | ".join(head) + " |",
        "|" + " --- |" * len(head),
        *("| " + " | ".join(map(str, row)) + " |" for row in rows),
        "",
    ]


def mean(values):
    return float(np.exp(np.mean(np.log(values)))) if values else float("nan")


def steps(results):
    """The table of training steps, the processor times, the means."""
    rows = [(row, results[row.name]) for row in ROWS if row.name in results]
    header = [kind.name for kind in PEERS if any(kind.name in found["peers"] for _, found in rows)]

    def cell(found, name, text):
        return text(found["peers"][name]) if name in found["peers"] else "–"

    body = [
        [
            row.name,
            row.spec.replace("|", "→") + (f", T = {row.steps}" if row.recurrent else ""),
            row.batch,
            *(cell(found, name, lambda p: f"{micro(p['min'])} / {micro(p['median'])}") for name in header),
            "–" if found["ratio"] is None else f"{found['ratio']:.2f}",
            f"{100 * found['share']:.0f} % of {found['peak'] / 1e9:.0f}",
        ]
        for row, found in rows
    ]
    lines = [
        "## A training step",
        "",
        "Forward, backward, plain SGD; squared error; microseconds, minimum / median over the rounds of one run in which "
        "the programs take turns, the same threads for everybody. The gradients of the first minibatch were compared before "
        "(scikit-learn's cannot be asked for). Ratio: the fastest peer's minimum over ours. Share: of the peak in GFLOP/s, "
        "measured in the same run; a row whose name ends in 64 is float64.",
        "",
    ]
    lines += table(["row", "network", "batch", *header, "ratio", "share of peak"], body)
    ratios = {row.name: found["ratio"] for row, found in rows if found["ratio"]}
    aim = [name for name in AIM if name in ratios]
    lines += [
        f"Geometric mean of the ratios: **{mean([ratios[name] for name in aim]):.2f}** over {', '.join(aim)}; "
        f"**{mean(list(ratios.values())):.2f}** over all {len(ratios)} rows.",
        "",
    ]
    spread = [
        (f["peers"]["backproof"]["quartiles"][1] - f["peers"]["backproof"]["quartiles"][0]) / f["peers"]["backproof"]["median"]
        for _, f in rows
    ]
    lines += [
        f"Spread of ours (between the quartiles, relative to the median): {100 * min(spread):.0f} to {100 * max(spread):.0f} %.",
        "",
    ]
    lines += [
        "Processor time of a step, all threads together, minimum in microseconds: what counts where other programs run, too.",
        "",
    ]
    lines += table(
        ["row", *header],
        [[row.name, *(cell(found, name, lambda p: micro(p["processor"])) for name in header)] for row, found in rows],
    )
    absent = {}
    for row, found in rows:
        for name, why in found["absent"].items():
            absent.setdefault(f"{name} {why}", []).append(row.name)
    missing = [f"{what}: {', '.join(where)}" for what, where in absent.items()]
    return lines + ([f"Not measured: {'; '.join(missing)}.", ""] if missing else [])


def words(found):
    names = list(dict.fromkeys(name for times in found["windows"].values() for name in times))
    body = []
    for what, times in found["windows"].items():
        cells = [f"{micro(times[n]['min'])} / {micro(times[n]['median'])}" if n in times else "–" for n in names]
        peers = [times[n]["min"] for n in names if n in times and n != "backproof"]
        body.append([what, *cells, f"{min(peers) / times['backproof']['min']:.2f}" if peers else "–"])
    size = f"{found['window']} words, vectors of {found['vector']}, {found['hidden']} tanh units, {found['classes']} classes"
    said = f"A step on windows of {size}, minibatches of {found['batch']}; microseconds, minimum / median."
    return ["## Words", "", said, "", *table(["optimizer, vocabulary", *names, "ratio"], body)]


def latency(found):
    names = [*found["one"], *(name for name in found["many"] if name not in found["one"])]
    return [
        "## Prediction",
        "",
        f"Of {found['spec'].replace('|', '→')}, the best of many.",
        "",
        *table(
            ["program", "one row", "10,000 rows"],
            [[name, *(seconds(found[part][name]) if name in found[part] else "–" for part in ("one", "many"))] for name in names],
        ),
    ]


def first(found):
    return [
        "## The first fit, in a fresh process",
        "",
        "1,000 × 20, 64 units, 10 epochs; wall time from the start of Python, the best of five.",
        "",
        *table(["what", "time"], [[name, seconds(value)] for name, value in found["seconds"].items()]),
    ]


def memory(found):
    return [
        "## Memory",
        "",
        "What the engine planned before the first step, and by how much the process grew at most over binding and two epochs "
        "(`VmHWM`, a fresh process per row; the Python objects of the programs included); the data are used in place.",
        "",
        *table(
            ["row", "planned", "measured", "the data"],
            [[name, *(f"{f[key] / MB:.1f} MiB" for key in ("planned", "measured", "data"))] for name, f in found["bytes"].items()],
        ),
    ]


def finite(found):
    return [
        "## What the checks cost",
        "",
        "A step with the detection of numbers that are not finite, and the same program bound without its marks, in turns.",
        "",
        *table(
            ["row", "checked", "unchecked", "cost"],
            [
                [name, seconds(f["checked"]), seconds(f["bare"]), f"{100 * (f['checked'] / f['bare'] - 1):+.1f} %"]
                for name, f in found["seconds"].items()
            ],
        ),
    ]


def tracing(found):
    return [
        "## What tracing costs",
        "",
        "Loss and gradients of a minibatch, and the same with every z, a and δ asked for and copied out.",
        "",
        *table(
            ["row", "plain", "traced", "names kept", "ratio"],
            [
                [name, seconds(f["plain"]), seconds(f["traced"]), f["names"], f"{f['traced'] / f['plain']:.2f}"]
                for name, f in found["seconds"].items()
            ],
        ),
    ]


def ctrl_c(found):
    return [
        "## Ctrl-C",
        "",
        "From the signal to `KeyboardInterrupt`, at moments drawn at random.",
        "",
        *table(
            ["row", "median", "p99", "largest", "tries"],
            [
                [name, *(seconds(f[key]) for key in ("median", "p99", "largest")), f["tries"]]
                for name, f in found["seconds"].items()
            ],
        ),
    ]


def grid(found):
    return [
        "## Many small networks",
        "",
        f"A grid search over {found['networks']} classifiers of 1,000 × 20, {found['epochs']} epochs each, one split, "
        f"the same settings: scikit-learn takes **{found['times']:.1f}** times as long as ours with threads side by side.",
        "",
        *table(
            ["program", "time", "best score"],
            [[name, seconds(s), f"{found['scores'][name]:.3f}"] for name, s in found["seconds"].items()],
        ),
    ]


def beside(found):
    return [
        "## Threads beside processes",
        "",
        f"A grid search over {found['networks']} classifiers of 10,000 × 32, two hidden layers of 128, {found['epochs']} epochs each; the "
        f"best of three. The better of the engine's choices takes **{found['over']:.2f}** times as long as the better of what can be said.",
        "",
        *table(["who says how many threads", "time"], [[name, seconds(s)] for name, s in found["seconds"].items()]),
    ]


def mnist(found):
    return [
        "## An epoch of MNIST",
        "",
        f"On {found['data']}: `MLPClassifier()` of both, 100 units, adam, minibatches of 200; an epoch is the slope from 1 to "
        f"4 epochs; the checks of the data are in the first. scikit-learn takes **{found['times']:.1f}** times as long.",
        "",
        *table(
            ["program", "an epoch", "fit of one epoch", "score after 4"],
            [
                [name, seconds(f["epoch"]), seconds(f["first"]), f"{found['scores'][name]:.4f}"]
                for name, f in found["seconds"].items()
            ],
        ),
    ]


def curves(results):
    from scaling import CURVES

    there = [(name, results[name]) for name in CURVES if name in results]
    if not there:
        return []
    return [
        "## How the cost grows",
        "",
        "Our engine; minimum of a step (of an epoch for samples). The exponent is fitted over the larger half; "
        "beside it that of a cost linear in the numbers at work.",
        "",
        *table(
            ["what grows", "times", "exponent", "linear"],
            [
                [
                    f["grows"],
                    ", ".join(f"{size}: {seconds(s)}" for size, s in zip(f["sizes"], f["seconds"])),
                    f"{f['exponent']:.2f}",
                    f["linear"],
                ]
                for _, f in there
            ],
        ),
    ]


SECTIONS = {
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
}


def machines(results, order):
    """Rows that were measured alike stand together."""
    groups = {}
    for name in (name for name in order if name in results):
        f = results[name]
        key = (
            f"{f['processor']}, {f['processors']} processors, {f['threads']} threads, {f['kernels']} kernels, "
            f"Python {f['python']}, " + ", ".join(f"{package} {version}" for package, version in f["versions"].items())
        )
        groups.setdefault(key, []).append(f"{name} ({f['date'][5:-4]}, load {f['load']})")
    return ["## Where and when", "", *(f"- {key}: {', '.join(names)}" for key, names in groups.items()), ""]


def write(results, path, order):
    path = Path(path)
    lines = ["# Benchmarks", "", "Written by `make bench`; a row alone by `python bench --rows NAME`.", ""]
    if any(row.name in results for row in ROWS):
        lines += steps(results)
    for name, section in SECTIONS.items():
        lines += section(results[name]) if name in results else []
    lines += curves(results) + machines(results, order)
    before = path.read_text() if path.exists() else ""
    kept = before[before.index(WRITTEN) :] if WRITTEN in before else ""
    path.write_text("\n".join(lines) + kept)
