"""What a run is measured by, and what stands beside it: the answer that looks at no column, and gradient boosting.

Reads   a model, its preprocessing, prepared rows: all at once or in blocks.
Gives   plain numbers by name: loss, accuracy, or RMSE and R² in the target's units.
"""

import math
import time

__all__ = ["Tally", "baseline", "boosting", "finite", "measure", "measure_blocks"]


class Tally:
    """Measures of answers that come in blocks."""

    def __init__(self, prepare):
        self.prepare, self.rows, self.loss, self.right, self.squares, self.total, self.about = prepare, 0, 0.0, 0, 0.0, 0.0, 0.0
        self.numbers = 0

    def add(self, predicted, y, loss):
        """Answers and truths of a block of rows, and the mean loss over them."""
        import numpy as np

        n = len(y)
        if self.prepare.task == "classification":
            self.right += int((predicted.argmax(axis=1) == y).sum())
        else:
            mean = float(y.mean())
            self.squares += float(((predicted.astype(np.float64) - y)**2).sum())
            met, self.numbers = self.numbers, self.numbers + y.size              # several of a row, where there are several targets
            self.total += float(((y - mean)**2).sum()) + (mean - self.about)**2 * y.size * met / self.numbers
            self.about += (mean - self.about) * y.size / self.numbers
        self.rows, self.loss = self.rows + n, (loss if self.rows == 0 else (self.loss * self.rows + loss * n) / (self.rows + n))

    def result(self):
        """{"loss", "accuracy"}, or {"loss", "rmse", "r2"}."""
        if self.prepare.task == "classification":
            return {"loss": finite(self.loss), "accuracy": self.right / self.rows}
        return {"loss": finite(self.loss), "rmse": finite(math.sqrt(self.squares / self.numbers) * self.prepare.coder.scale),
                "r2": finite(1 - self.squares / self.total) if self.total > 0 else None}


def measure(model, prepare, X, y):
    """The loss, and accuracy or RMSE (in the target's units) and R² of a model on prepared rows."""
    return measure_blocks(model, prepare, [(X, y)])


def measure_blocks(model, prepare, blocks):
    """`measure` of rows that come in blocks (X, y)."""
    found = Tally(prepare)
    for X, y in blocks:
        found.add(model.predict(X), y, model.loss(X, y))
    return found.result()


def baseline(prepare, training):
    """The best answer that looks at no column: (its name and value, function(blocks of targets) -> measures).

    ``training`` gives the targets of the training rows in blocks: their class frequencies, or their mean, are the answer.
    """
    import numpy as np

    from .data.messages import shown

    if prepare.task == "classification":
        counts = sum(np.bincount(y, minlength=len(prepare.classes)) for y in training)
        label, answer = prepare.classes[int(counts.argmax())], counts / counts.sum()
        about = {"name": f"always {shown(label, 30)}", "class": label}
    else:
        n, mean = 0, 0.0
        for y in training:
            n, mean = n + len(y), mean + (y.mean(axis=0) - mean) * (len(y) / (n + len(y)))
        about, answer = {"name": "always the mean", "mean": prepare.coder.mean}, mean

    def measures(blocks):
        found = Tally(prepare)
        for y in blocks:
            given = np.broadcast_to(answer, (len(y), np.size(answer)))
            found.add(given, y, _loss(prepare, given, y))
        return found.result()
    return about, measures


def _loss(prepare, answer, y):
    import numpy as np

    if prepare.task == "classification":
        return float(-np.log(answer[np.arange(len(y)), y]).mean())
    return float(0.5 * ((answer - y)**2).mean())


def boosting(source, prepare, seed=0, threads=None):
    """scikit-learn's HistGradientBoosting with its defaults, on the raw columns of the same rows: measures, seconds, rows.

    ``source`` gives samples of its parts (`sources`); where they are not all rows, "measured_rows" says how many were.
    Missing values stay missing; categories are its own categories, up to 255 a column, the rarer ones missing. It takes no
    more than so many ``threads``.
    """
    import numpy as np
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    columns, y = source.raw("training", seed)
    kind = HistGradientBoostingClassifier if prepare.task == "classification" else HistGradientBoostingRegressor
    with threadpool_limits(limits=threads):
        began = time.perf_counter()
        found = kind(categorical_features=source.categorical, random_state=seed).fit(columns, np.ravel(y))
        result = {"name": "HistGradientBoosting", "seconds": round(time.perf_counter() - began, 3), "fitted_rows": len(columns)}
        measured = {}
        for name in source.rows:
            columns, y = source.raw(name, None)
            if prepare.task == "classification":
                answer = np.full((len(columns), len(prepare.classes)), 1e-15)
                answer[:, found.classes_.astype(int)] = np.maximum(found.predict_proba(columns), 1e-15)
            else:
                answer = found.predict(columns)[:, None]
            tally = Tally(prepare)
            tally.add(answer, y, _loss(prepare, answer, y))
            result[name], measured[name] = tally.result(), len(columns)
    return result if measured == source.rows else {**result, "measured_rows": measured}


def finite(value):
    """A float that JSON can hold, else None."""
    value = float(value)
    return value if math.isfinite(value) else None
