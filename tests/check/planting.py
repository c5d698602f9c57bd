"""Plant a mistake, check it, and say what the checker made of it: one row of the table in docs/checker.md."""

import numpy as np
from check import programs

from backproof.check import check_gradients
from backproof.check.twin import Extras, Plan, Twin
from backproof.derive.mutations import MUTATIONS, mutants
from backproof.engines import reference


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
    if getattr(program, "window", None):
        options["truncation"] = program.window
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


def check_ours(rng, mistake, name, drawn):
    """The report on one of the library's own networks whose gradient is that of a mutant with the name."""
    program, X, y, point = programs.draw(rng, mistake, **drawn)
    text, _, loss = program.spec().partition(", ")
    how, feeds, options = {}, {"x": X, "y": y}, {"at": point, "seed": int(rng.integers(1 << 30))}
    if getattr(program, "weights", None) is not None:
        how["weighted"], feeds["w"], options["sample_weight"] = True, program.weights, program.weights
    if getattr(program, "masks", None):
        how["training"], feeds["noise1"], options["noise"] = True, program.masks[1], {"noise1": program.masks[1]}
    if getattr(program, "mask", None) is not None:
        how["masked"], feeds["mask"], options["mask"] = True, program.mask, program.mask
    if loss == "cross_entropy":
        feeds["y"] = y.argmax(axis=1)
    twin = Twin(Plan(text, loss, getattr(program, "lam", 0.0)), feeds, how)
    values, extras = twin.at(point), Extras(len(X), 0.3)
    right = twin.gradients(values)
    found = []
    for mutant in mutants(twin.sweep, [name]):
        given = twin.mutated(mutant, point, values, extras)
        if given and any(np.linalg.norm(given[p] - right[p]) > 1e-4 * np.linalg.norm(right[p]) for p in given):
            found.append({**right, **given})
    if not found:
        return None
    gradient = found[rng.integers(len(found))]

    def objective(p):
        return reference.Run(twin._objective, {**p, **{n: reference.storage_order(v, feeds[n]) for n, v in
                             twin._objective.inputs.items()}}, np.result_type(float, *p.values())).outputs()["J"].reshape(())
    return check_gradients((objective, lambda p: gradient), X, y, like=program.spec(), **options)


def table(trials, tier, seed=0, classes=None):
    """Yield (class, mistake, wanted, failed, right, wrong, not found, trials) over random programs; tier "twin", "arrays", "ours"."""
    for number, mistake, by_twin, by_arrays, drawn in programs.MISTAKES:
        wanted = by_arrays if tier == "arrays" else by_twin
        if wanted is None or classes is not None and number not in classes or tier == "ours" and (
                wanted not in MUTATIONS or drawn.get("update") or drawn.get("window")):
            continue
        counts = {None: 0, "right": 0, "wrong": 0, "not found": 0}
        for trial in range(trials):
            report = None
            for attempt in range(5):                              # not every network has a place for every mistake
                rng = np.random.default_rng([seed, number, trial, attempt, sum(map(ord, mistake))])
                report = check_ours(rng, mistake, wanted, drawn) if tier == "ours" else check(rng, mistake, drawn, tier == "twin")
                if report is not None:
                    break
            counts[verdict(report, wanted)] += 1
        yield number, mistake, wanted, trials - counts[None], counts["right"], counts["wrong"], counts["not found"], trials


def show(row):
    print("| {} | {} | {} | {} | {} | {} | {} | {} |".format(*row), flush=True)


if __name__ == "__main__":
    import sys
    for row in table(int(sys.argv[1]), sys.argv[2], seed=2):
        show(row)
