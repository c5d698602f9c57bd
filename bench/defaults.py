"""How the defaults of `backproof train` were chosen: hidden layers × learning rate × l2 × minibatch on several tables.

Run     python bench/defaults.py [FILE:TARGET …]     the built-in data sets, and tables of your own
Prints  one line per table and setting: the mean over seeds of the best validation loss relative to the baseline's, and
        the seconds. The test rows are not looked at.
"""

import statistics
import sys
import time
from dataclasses import replace

from backproof.data.builtin import BUILTIN
from backproof.jobs import Settings, train_table

TRIALS = {
    "defaults": {}, "32 relu": {"layers": "32 relu"}, "100 relu": {"layers": "100 relu"},
    "128 relu | 64 relu": {"layers": "128 relu | 64 relu"}, "64 tanh | 32 tanh": {"layers": "64 tanh | 32 tanh"},
    "rate 3e-4": {"learning_rate": 3e-4}, "rate 3e-3": {"learning_rate": 3e-3},
    "l2 0": {"l2": 0.0}, "l2 1e-3": {"l2": 1e-3}, "batch 16": {"batch_size": 16}, "batch 256": {"batch_size": 256},
    "patience 5": {"patience": 5}, "patience 30": {"patience": 30},
}


def trial(data, target, change, seeds):
    ratios, seconds = [], []
    for seed in seeds:
        start = time.perf_counter()
        summary = train_table(data, target, replace(Settings(), seed=seed, **change)).summary
        seconds.append(time.perf_counter() - start)
        ratios.append(summary["measures"]["validation"]["loss"] / summary["baseline"]["validation"]["loss"])
    return statistics.mean(ratios), statistics.stdev(ratios) if len(ratios) > 1 else 0.0, statistics.mean(seconds)


def main(files):
    tables = [(name, None, range(3)) for name in BUILTIN]
    tables += [(*file.rsplit(":", 1), range(1)) for file in files]
    for data, target, seeds in tables:
        for name, change in TRIALS.items():
            mean, spread, seconds = trial(data, target, change, seeds)
            print(f"{data.rpartition('/')[2]:<28} {name:<20} {mean:.4f} ± {spread:.4f}  {seconds:6.1f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
