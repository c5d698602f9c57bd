"""What a run is measured by, and what stands beside it: the answer that looks at no column, and gradient boosting.

Reads   a model, its preprocessing, prepared rows.
Gives   plain numbers by name: loss, accuracy, or RMSE and R² in the target's units.
"""

import math
import time

__all__ = ["baseline_of", "boosting", "counts", "finite", "measure", "quality"]

SAMPLE = 100_000                         # rows that gradient boosting is fitted on at most


def measure(model, prepare, X, y):
    """The loss, and accuracy or RMSE (in the target's units) and R² of a model on prepared rows."""
    return {"loss": finite(model.loss(X, y)), **quality(prepare, model.predict(X), y)}


def quality(prepare, predicted, y):
    import numpy as np

    if prepare.task == "classification":
        return {"accuracy": float((predicted.argmax(axis=1) == y).mean())}
    error, spread = predicted.astype(np.float64) - y, y - y.mean()
    total = float((spread**2).sum())
    return {"rmse": finite(math.sqrt(float((error**2).mean())) * prepare.coder.scale),
            "r2": finite(1 - float((error**2).sum()) / total) if total > 0 else None}


def baseline_of(prepare, training, y):
    """The measures of the best answer that looks at no column: class frequencies, or the mean, of the training rows."""
    import numpy as np

    if prepare.task == "classification":
        share = counts(training, prepare) / len(training)
        answer = np.broadcast_to(share, (len(y), len(share)))
        return {"loss": finite(-np.log(share[y]).mean()), **quality(prepare, answer, y)}
    answer = np.broadcast_to(training.mean(axis=0), y.shape)
    return {"loss": finite(0.5 * ((answer - y) ** 2).mean()), **quality(prepare, answer, y)}


def counts(codes, prepare):
    import numpy as np

    return np.bincount(codes, minlength=len(prepare.classes))


def finite(value):
    """A float that JSON can hold, else None."""
    value = float(value)
    return value if math.isfinite(value) else None


def boosting(table, prepare, parts, arrays, seed=0):
    """scikit-learn's HistGradientBoosting with its defaults, on the raw columns of the same rows: measures, seconds, rows.

    Missing values stay missing; categories are its own categories, up to 255 a column, the rarer ones missing.
    """
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    columns, categorical = _raw_columns(table, prepare, parts["training"])
    train = parts["training"]
    taken = train if len(train) <= SAMPLE else np.sort(np.random.default_rng(seed).choice(train, SAMPLE, replace=False))
    picked = np.searchsorted(train, taken)
    kind = HistGradientBoostingClassifier if prepare.task == "classification" else HistGradientBoostingRegressor
    began = time.perf_counter()
    found = kind(categorical_features=categorical, random_state=seed).fit(columns[taken], np.ravel(arrays["training"][1])[picked])
    seconds = time.perf_counter() - began
    result = {"name": "HistGradientBoosting", "seconds": round(seconds, 3), "fitted_rows": len(taken)}
    for name, rows in parts.items():
        y = arrays[name][1]
        if prepare.task == "classification":
            answer = np.full((len(rows), len(prepare.classes)), 1e-15)
            answer[:, found.classes_.astype(int)] = found.predict_proba(columns[rows])
            result[name] = {"loss": finite(-np.log(np.maximum(answer[np.arange(len(rows)), y], 1e-15)).mean()),
                            **quality(prepare, answer, y)}
        else:
            answer = found.predict(columns[rows])[:, None]
            result[name] = {"loss": finite(0.5 * ((answer - y) ** 2).mean()), **quality(prepare, answer, y)}
    return result


def _raw_columns(table, prepare, train):
    import numpy as np

    columns, categorical = [], []
    for name, kind in prepare.types.items():
        if kind == "number":
            columns.append(table[name].numbers())
        else:
            texts = table[name].texts()
            known = [text for text in texts[train] if text is not None]
            names, counts = np.unique(np.array(known, dtype=object).astype(str), return_counts=True)
            kept = {str(text): code for code, text in enumerate(names[np.argsort(-counts, kind="stable")][:255])}
            columns.append(np.array([kept.get(text, np.nan) if text is not None else np.nan for text in texts], float))
        categorical.append(kind != "number")
    return np.stack(columns, axis=1), np.array(categorical)
