"""How the defaults of `backproof train` were chosen: hidden layers × learning rate × l2 × minibatch on several tables.

Run     python bench/defaults.py [--seeds 3] [--only TRIAL ...] [FILE:TARGET ...]     the built-in data sets, and tables of your own
Prints  one line per table and setting: the mean over seeds (each with its own split) of the loss of the kept epoch relative to
        the baseline's, on the validation rows, which choose, and on the test rows, which are only told; and the seconds.
"""

import argparse
import statistics
import time
from dataclasses import replace

from backproof import sources
from backproof.data.builtin import BUILTIN
from backproof.jobs import Settings, train_table

TRIALS = {
    "defaults": {}, "tails plain": {"tails": "plain"}, "32 relu": {"layers": "32 relu"}, "100 relu": {"layers": "100 relu"},
    "128 relu | 64 relu": {"layers": "128 relu | 64 relu"}, "64 tanh | 32 tanh": {"layers": "64 tanh | 32 tanh"},
    "wide with dropout": {"layers": "128 relu | dropout 0.1 | 64 relu | dropout 0.1"},
    "rate 3e-4": {"learning_rate": 3e-4}, "rate 2e-3": {"learning_rate": 2e-3}, "rate 3e-3": {"learning_rate": 3e-3},
    "l2 0": {"l2": 0.0}, "l2 1e-3": {"l2": 1e-3}, "batch 16": {"batch_size": 16}, "batch 256": {"batch_size": 256},
    "patience 5": {"patience": 5}, "patience 30": {"patience": 30},
}


def trial(data, target, change, seeds):
    """(mean, spread) of the loss over the baseline's on the validation rows, the same on the test rows; seconds of a run."""
    ratios, seconds = {"validation": [], "test": []}, []
    sources.TAILS, change = change.get("tails", "asinh"), {name: value for name, value in change.items() if name != "tails"}
    for seed in range(seeds):
        start = time.perf_counter()
        summary = train_table(data, target, replace(Settings(), seed=seed, **change)).summary
        seconds.append(time.perf_counter() - start)
        for part, found in ratios.items():
            found.append(summary["measures"][part]["loss"] / summary["baseline"][part]["loss"])
    told = [(statistics.mean(found), statistics.stdev(found) if seeds > 1 else 0.0) for found in ratios.values()]
    return *told, statistics.mean(seconds)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("files", nargs="*")
    arguments.add_argument("--seeds", type=int, default=3)
    arguments.add_argument("--only", nargs="*", choices=TRIALS, default=list(TRIALS))
    given = arguments.parse_args()
    for data, target in [(name, None) for name in BUILTIN] + [file.rsplit(":", 1) for file in given.files]:
        for name in given.only:
            validation, test, seconds = trial(data, target, TRIALS[name], given.seeds)
            print(f"{data.rpartition('/')[2]:<28} {name:<20} {validation[0]:.4f} ± {validation[1]:.4f}  "
                  f"test {test[0]:.4f} ± {test[1]:.4f}  {seconds:6.1f} s", flush=True)


if __name__ == "__main__":
    main()
