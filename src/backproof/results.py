"""The tables that a run ends with, as lines of text: the measures of every part, mean and spread over folds."""

__all__ = ["folds_table", "results_table"]

COLUMNS = {"classification": (("loss", "loss"), ("accuracy", "accuracy")),
           "regression": (("loss", "loss"), ("rmse", "RMSE"), ("r2", "R²"))}


def results_table(summary):
    """The measures of a run as lines of text, the baseline beside each.

    >>> print(results_table({"task": "classification", "rows": {"training": 70, "test": 30},
    ...     "measures": {"training": {"loss": 0.25, "accuracy": 0.9}, "test": {"loss": 0.5, "accuracy": 0.8}},
    ...     "baseline": {"name": "always 'a'", "training": {"loss": 0.7, "accuracy": 0.6},
    ...                  "test": {"loss": 0.7, "accuracy": 0.5}}}))
                                        always 'a'
                 rows    loss  accuracy      loss  accuracy
    training       70  0.2500    0.9000    0.7000    0.6000
    test           30  0.5000    0.8000    0.7000    0.5000
    """
    columns = COLUMNS[summary["task"]]
    peers = [summary[key] for key in ("baseline", "seasonal", "boosting") if key in summary]
    blocks = [("", [summary["measures"][part] for part in summary["rows"]])]
    blocks += [(peer["name"], [peer[part] for part in summary["rows"]]) for peer in peers]
    lines = [["", ""], ["", "rows"]] + [[part, f"{count:,}"] for part, count in summary["rows"].items()]
    lines = [f"{row[0]:<10}  {row[1]:>6}" for row in lines]
    for name, measured in blocks:
        cells = [[title for _, title in columns], *([_cell(one[key]) for key, _ in columns] for one in measured)]
        widths = [max(8 if j == 0 else 0, *(len(row[j]) for row in cells)) for j in range(len(columns))]
        width = max(len(name), sum(widths) + 2 * (len(widths) - 1))
        texts = [name.rjust(width), *("  ".join(cell.rjust(w) for cell, w in zip(row, widths)).rjust(width) for row in cells)]
        lines = [f"{line}  {text}" for line, text in zip(lines, texts)]
    return "\n".join(line.rstrip() for line in lines)


def _cell(value):
    return "–" if value is None else f"{value:.4f}" if abs(value) < 10 else f"{value:.5g}"


def folds_table(result):
    """Mean ± spread over the folds, the peers beside the network.

    >>> one = {"mean": {"loss": 0.5}, "spread": {"loss": 0.01}}
    >>> print(folds_table({"folds": 5, "network": one, "baseline": one, "boosting": one}).split("\\n")[1])
    network               0.5000 ± 0.0100
    """
    names = list(result["network"]["mean"])
    lines = [f"{result['folds']} folds".ljust(20) + "".join(name.rjust(17) for name in names)]
    for key, title in (("network", "network"), ("boosting", "HistGradientBoosting"), ("baseline", "baseline")):
        cells = []
        for name in names:
            mean, spread = result[key]["mean"][name], result[key]["spread"][name]
            cells.append("–" if mean is None else f"{mean:.4f} ± {spread:.4f}")
        lines.append(title.ljust(20) + "".join(cell.rjust(17) for cell in cells))
    return "\n".join(lines)
