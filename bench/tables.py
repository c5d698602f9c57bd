"""backproof's estimators beside scikit-learn's: same rows, same settings, five seeds, one thread; and the defaults of `train`
beside scikit-learn's MLP and HistGradientBoosting. Figures for docs/tables.md.

    python bench/tables.py FOLDER_OF_TABLES [--mnist FOLDER] [--out figures.json] [--seeds 5] [--only NAME ...] [--epochs N]

FOLDER_OF_TABLES holds adult.parquet (target income) and california_housing.parquet (target MedHouseVal). --only takes some of
digits, california, adult, mnist; --epochs lowers the limit, to try the script. Gradient boosting is fitted on at most BOOSTED
cells, a sample of the training rows, and the figures say on how many rows.
"""

import argparse
import gzip
import json
import time
import warnings
from pathlib import Path

import numpy as np
from sklearn import ensemble, neural_network
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from backproof import estimators
from backproof.data.split import Division
from backproof.data.preprocess import TablePreprocessor
from backproof.data.tables import read_table
from backproof.jobs import Settings, read_data, train_table
from backproof.sources import TableInMemory

warnings.simplefilter("ignore")
BOOSTED = 8_000_000


def table(path, target):
    whole = read_table(path, target=target)
    rows = np.random.default_rng(0).permutation(len(whole))
    cut = int(0.8 * len(rows))
    train, test = whole.select(np.sort(rows[:cut])), whole.select(np.sort(rows[cut:]))
    prepare = TablePreprocessor.fit(train, target)
    parts = [(prepare.transform(part, notice=lambda text: None).astype(np.float32), prepare.target_transform(part)) for part in (train, test)]
    return [*parts[0], *parts[1]], prepare.task == "classification"


def digits():
    X, y = load_digits(return_X_y=True)
    X, Xt, y, yt = train_test_split((X / 16).astype(np.float32), y, test_size=0.2, random_state=0, stratify=y)
    return [X, y, Xt, yt], True


def idx(path):
    opened = gzip.open(path) if path.suffix == ".gz" else open(path, "rb")
    with opened as file:
        head = file.read(4)
        shape = [int.from_bytes(file.read(4), "big") for _ in range(head[3])]
        return np.frombuffer(file.read(), np.uint8).reshape(shape)


def mnist(folder):
    def find(part):
        return idx(next(path for path in sorted(Path(folder).iterdir()) if path.name.startswith(part)))
    X, y, Xt, yt = (find(p) for p in ("train-images", "train-labels", "t10k-images", "t10k-labels"))
    return [(X.reshape(len(X), -1) / 255).astype(np.float32), y.astype(int), (Xt.reshape(len(Xt), -1) / 255).astype(np.float32),
            yt.astype(int)], True


def compared(data, classification, seeds, max_iter):
    X, y, Xt, yt = data
    y, yt = (y, yt) if classification else (y.ravel(), yt.ravel())
    kind = "MLPClassifier" if classification else "MLPRegressor"
    found = {}
    for name, module in (("backproof", estimators), ("scikit-learn", neural_network)):
        runs = []
        for seed in range(seeds):
            began = time.perf_counter()
            made = getattr(module, kind)(random_state=seed, max_iter=max_iter).fit(X, y)
            runs.append({"score": made.score(Xt, yt), "seconds": time.perf_counter() - began, "epochs": made.n_iter_})
            print(name, seed, runs[-1], flush=True)
        found[name] = runs
    boosted = getattr(ensemble, "HistGradientBoosting" + ("Classifier" if classification else "Regressor"))
    taken = np.arange(len(X)) if X.size <= BOOSTED else np.random.default_rng(0).choice(len(X), BOOSTED // X.shape[1], replace=False)
    began = time.perf_counter()
    made = boosted(random_state=0).fit(X[taken], y[taken])
    found["HistGradientBoosting"] = [{"score": made.score(Xt, yt), "seconds": time.perf_counter() - began, "epochs": made.n_iter_,
                                      "fitted_rows": len(taken)}]
    return found


def defaults(path, target, seeds, epochs):
    """`backproof train` with its defaults, and beside gradient boosting scikit-learn's MLP with its own, on the same rows; each
    seed has its own split. {who: [score on the test rows]}, accuracy or R²."""
    found = {"backproof": [], "scikit-learn": [], "HistGradientBoosting": [], "seconds": [], "epochs": []}
    table, target = read_data(path, target)
    for seed in range(seeds):
        settings = Settings(epochs=min(epochs, Settings.epochs), seed=seed)
        outcome = train_table(path, target, settings, peers=True)
        classification = outcome.prepare.task == "classification"
        source = TableInMemory(table, target, None, lambda text: None).source(
            Division(settings.validation, settings.test, seed), lambda text: None)
        (X, y), (Xt, yt) = ((X.astype(np.float32), np.ravel(y)) for X, y in (source.data("training"), source.data("test")))
        kind = "MLPClassifier" if classification else "MLPRegressor"
        theirs = getattr(neural_network, kind)(random_state=seed, max_iter=min(200, epochs)).fit(X, y)
        key = "accuracy" if classification else "r2"
        found["backproof"].append(outcome.summary["measures"]["test"][key])
        found["HistGradientBoosting"].append(outcome.summary["boosting"]["test"][key])
        found["scikit-learn"].append(theirs.score(Xt, yt))
        found["seconds"].append(outcome.summary["seconds"])
        found["epochs"].append(outcome.summary["epochs"])
    return found


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("tables", type=Path)
    arguments.add_argument("--mnist", type=Path)
    arguments.add_argument("--out", type=Path, default=Path("figures.json"))
    arguments.add_argument("--seeds", type=int, default=5)
    arguments.add_argument("--only", nargs="*")
    arguments.add_argument("--epochs", type=int, default=200)
    given = arguments.parse_args()
    figures = {"same settings": {}, "defaults": {}}

    def keep(group, name, value):
        figures[group][name] = value
        given.out.write_text(json.dumps(figures, indent=1))
    sets = {"digits": (digits, 200), "california": (lambda: table(given.tables / "california_housing.parquet", CALIFORNIA), 200),
            "adult": (lambda: table(given.tables / "adult.parquet", "income"), 30)}
    if given.mnist:
        sets["mnist"] = (lambda: mnist(given.mnist), 10)
    wanted = given.only or [*sets]
    for name, (load, most) in sets.items():
        if name in wanted:
            print("--", name, flush=True)
            most = min(most, given.epochs)
            keep("same settings", name, {"max_iter": most, **compared(*load(), given.seeds, most)})
    files = {"california": (str(given.tables / "california_housing.parquet"), CALIFORNIA),
             "adult": (str(given.tables / "adult.parquet"), "income")}
    for name in ("digits", "california", "adult", "wine", "iris", "breast_cancer", "diabetes"):
        if not given.only or name in given.only:
            keep("defaults", name, defaults(*files.get(name, (name, None)), given.seeds, given.epochs))
            print("defaults", name, {who: float(np.mean(scores)) for who, scores in figures["defaults"][name].items()}, flush=True)


CALIFORNIA = "MedHouseVal"

if __name__ == "__main__":
    main()
