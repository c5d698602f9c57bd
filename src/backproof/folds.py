"""Cross-validation: every row is tested once, by a network that learned from the other folds alone.

Reads   the rows of a table, in memory or on the disk; a function that trains.
Gives   the measures of every fold, their mean and spread, beside the baseline and gradient boosting on the same rows.
"""

from .data.split import Division
from .errors import OptionError
from .measures import baseline, boosting, finite, measure_blocks
from .predictions import one_thread

__all__ = ["cross_validate"]


def cross_validate(rows, folds, fitted, *, validation=0.0, seed=0, threads=None, say=None):
    """{"folds", "network": {"folds": [measures of the test rows], "mean", "spread"}, "baseline": ..., "boosting": ...}.

    In each fold the preprocessing, the weights and the stopping learn from the other folds alone.

    Parameters  rows    a TableInMemory or TableOnDisk; both have the same folds
                fitted  function(source) -> the model that was trained on it
                threads  that gradient boosting takes at most
                validation  share of the other folds' rows that decide when to stop
    """
    import numpy as np

    if isinstance(folds, bool) or not isinstance(folds, int) or folds < 2:
        raise OptionError(f"--cv {folds!r} is no number of folds", fix="2 or more")
    results = {"network": [], "baseline": [], "boosting": []}
    for k in range(folds):
        source = rows.source(Division(validation=validation, seed=seed, folds=folds, fold=k), say=lambda text: None)
        try:
            model, prepare = fitted(source), source.prepare
            with one_thread():
                results["network"].append(measure_blocks(model, prepare, source.blocks("test")))
            beside = baseline(prepare, (y for _, y in source.blocks("training")))[1]
            results["baseline"].append(beside(y for _, y in source.blocks("test")))
            results["boosting"].append(boosting(source, prepare, seed, threads)["test"])
        finally:
            source.close()
        if say is not None:
            say(f"fold {k + 1} of {folds}: " + ", ".join(f"{name} {value:.4f}" for name, value in results["network"][-1].items()
                                                         if value is not None))
    return {"folds": folds, **{name: {"folds": measured, "mean": _over(measured, np.mean), "spread": _over(measured, np.std)}
                               for name, measured in results.items()}}


def _over(measured, how):
    return {key: finite(how([one[key] for one in measured])) if all(one[key] is not None for one in measured) else None
            for key in measured[0]}
