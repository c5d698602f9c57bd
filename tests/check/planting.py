"""Plant a mistake, check it, and say what the checker made of it: one row of the table in docs/checker.md."""

import numpy as np
from check import programs

from backproof.check import check_gradients


def check(rng, mistake, drawn, twin=True):
    """The report on a random program with the mistake."""
    program, X, y, point = programs.draw(rng, mistake, **drawn)
    options = {"at": point, "seed": int(rng.integers(1 << 30))}
    if twin:
        options["like"] = program.spec()
        weights, masks = getattr(program, "weights", None), getattr(program, "masks", {})
        if weights is not None:
            options["sample_weight"] = weights
        if masks:
            options["noise"] = {"noise1": masks[1]}
        if getattr(program, "mask", None) is not None:
            options["mask"] = program.mask
    if drawn.get("update"):
        return check_gradients((program.loss, program.step), X, y, update=program.rate, **options)
    if drawn.get("batches"):
        options["batches"] = [(X[:3], y[:3])]
    return check_gradients((program.loss, program.gradient), X, y, **options)


def verdict(report, wanted):
    """"right", "wrong" or "not found" of the causes; None if the gradient did not fail."""
    if report.verdict != "fail":
        return None
    names = [cause.names for cause in report.causes]
    if not names:
        return "not found"
    key = lambda name: "factor" if name.startswith("factor") and name in ("factor", "factor of all", "factor and penalty") \
        else name                                                                                   # noqa: E731
    return "right" if any(wanted in map(key, group) for group in names) else "wrong"


def table(trials, twin, seed=0, classes=None):
    """Yield (class, mistake, wanted, failed, right, wrong, not found) over random programs."""
    for number, mistake, by_twin, by_arrays, drawn in programs.MISTAKES:
        wanted = by_twin if twin else by_arrays
        if wanted is None or classes is not None and number not in classes:
            continue
        counts = {None: 0, "right": 0, "wrong": 0, "not found": 0}
        for trial in range(trials):
            rng = np.random.default_rng([seed, number, trial, sum(map(ord, mistake))])
            counts[verdict(check(rng, mistake, drawn, twin), wanted)] += 1
        yield number, mistake, wanted, trials - counts[None], counts["right"], counts["wrong"], counts["not found"]


def show(row):
    print("{:>3}  {:<28} {:<34} failed {:>3} right {:>3} wrong {:>3} not found {:>3}".format(*row), flush=True)


if __name__ == "__main__":
    import sys
    trials, twin = int(sys.argv[1]), sys.argv[2] == "twin"
    for row in table(trials, twin, seed=1):
        show(row)
