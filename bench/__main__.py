"""``make bench``: our engine and every installed peer side by side, alternating, in one run; writes docs/benchmarks.md.

    python bench                                  every row (about ten minutes on two quiet cores)
    python bench --rows small,rnn                 these alone; the page keeps the others as they were measured before
    python bench --packages DIR                   with the peers installed in DIR (the site-packages of another environment)
    python bench --mnist DIR                      MNIST from its four files instead of a synthetic table of the same shape
    python bench --page                           write the page again, measure nothing

Figures are kept in bench/results.json, every row with its day, load and machine. What stands in the page from
"## Read with it" on is written by hand and kept.
"""

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
ROOT = Path(__file__).parents[1]


def arguments():
    parser = argparse.ArgumentParser(prog="bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="", help="names, separated by commas; --list shows them")
    parser.add_argument("--list", action="store_true")
    parser.add_argument(
        "--threads", type=int, default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    )
    parser.add_argument("--seconds", type=float, default=5, help="of measuring per row")
    parser.add_argument("--skip", default="", help="peers to leave out, separated by commas")
    parser.add_argument("--packages", help="a folder of installed packages, looked at after this environment's own")
    parser.add_argument(
        "--mnist", default=os.environ.get("BACKPROOF_MNIST"), help="the folder of the four files (or BACKPROOF_MNIST)"
    )
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("results.json"))
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "benchmarks.md")
    parser.add_argument("--page", action="store_true", help="write the page from the kept figures alone")
    options = parser.parse_args()
    options.skip = [name for name in options.skip.split(",") if name]
    return options


def main():
    options = arguments()
    if options.packages:
        sys.path.append(options.packages)
    from others import OTHERS
    from page import write
    from results import keep, load, stamp
    from rows import ROWS
    from steps import step
    from threadpoolctl import threadpool_limits

    rows = {**{row.name: lambda options, row=row: step(row, options) for row in ROWS}, **OTHERS}
    if options.list:
        return print(" ".join(rows))
    chosen = [name for name in options.rows.split(",") if name] or list(rows)
    unknown = [name for name in chosen if name not in rows]
    if unknown:
        raise SystemExit(f"there is no row {', '.join(unknown)}; there are: {' '.join(rows)}")
    for name in [] if options.page else chosen:
        began = time.perf_counter()
        with threadpool_limits(options.threads):  # NumPy and scikit-learn: the same threads as everybody
            before, found = stamp(options.threads), rows[name](options)
        keep(options.results, name, {**before, **found})
        print(f"{name:<10} {time.perf_counter() - began:6.1f} s  load {before['load']}  " + summary(found), flush=True)
    write(load(options.results), options.out, list(rows))


def summary(found):
    if "ratio" in found and found["ratio"]:
        ours = found["peers"]["backproof"]["min"] * 1e6
        return f"{ours:,.1f} µs, {found['ratio']:.2f} × {found['fastest']}, {100 * found['share']:.0f} % of peak"
    return ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in found.items()
        if isinstance(value, (int, float, str))
    )[:200]


if __name__ == "__main__":
    main()
