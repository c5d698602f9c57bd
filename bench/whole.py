"""Whole jobs beside scikit-learn with the same settings: a grid of 100 small networks, epochs of MNIST, the first fit."""

import subprocess
import sys
import tempfile
import time
import warnings

import numpy as np
from results import installed, others_path

GRID = {
    "hidden_layer_sizes": [(8,), (16,), (32,), (64,), (32, 32)],
    "alpha": [1e-5, 1e-4, 1e-3, 1e-2, 1e-1],
    "learning_rate_init": [3e-4, 1e-3, 3e-3, 1e-2],
}
EPOCHS = 20


def estimator(module, max_iter, **settings):
    """The estimator of either library with everything that could end early switched off."""
    return module.MLPClassifier(max_iter=max_iter, n_iter_no_change=10**6, tol=0.0, random_state=0, **settings)


def modules():
    import sklearn.neural_network

    from backproof import estimators

    return {"backproof": estimators, "scikit-learn": sklearn.neural_network}


def grid(options):
    """100 candidates of a grid search, one split: both libraries with threads side by side and with processes."""
    import joblib
    from sklearn.model_selection import GridSearchCV, ShuffleSplit

    draw = np.random.default_rng(0)
    X = draw.normal(size=(1000, 20)).astype(np.float32)
    y = (X[:, :5].sum(axis=1) + X[:, 5] * X[:, 6] > 0).astype(int)

    def search(module, backend):
        found = GridSearchCV(
            estimator(module, EPOCHS, batch_size=32),
            GRID,
            cv=ShuffleSplit(1, test_size=0.2, random_state=0),
            n_jobs=options.threads,
            refit=False,
        )
        with joblib.parallel_config(backend, n_jobs=options.threads), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            start = time.perf_counter()
            found.fit(X, y)
        return time.perf_counter() - start, float(found.best_score_)

    ours, theirs = modules().values()
    trials = {
        "backproof, threads": (ours, "threading"),
        "backproof, processes": (ours, "loky"),
        "scikit-learn, processes": (theirs, "loky"),
        "scikit-learn, threads": (theirs, "threading"),
    }
    joblib.Parallel(options.threads)(
        joblib.delayed(warm)(options.packages) for _ in range(2 * options.threads)
    )  # imports are not timed
    found = {name: search(*how) for name, how in trials.items()}
    theirs = min(seconds for name, (seconds, _) in found.items() if name.startswith("scikit-learn"))
    return {
        "networks": 100,
        "epochs": EPOCHS,
        "seconds": {name: s for name, (s, _) in found.items()},
        "scores": {name: score for name, (_, score) in found.items()},
        "times": theirs / found["backproof, threads"][0],
    }


def beside(options):
    """A search over eight middle-sized networks with the threads left to the engine, and with every way of saying them."""
    import joblib
    from sklearn.model_selection import GridSearchCV, ShuffleSplit

    ours = modules()["backproof"]
    draw = np.random.default_rng(0)
    X = draw.normal(size=(10_000, 32)).astype(np.float32)
    y = (X[:, :5].sum(axis=1) > 0).astype(int)
    ways = {
        "the engine's choice, processes": (None, "loky", options.threads),
        "the engine's choice, threads": (None, "threading", options.threads),
        "processes of one thread": (1, "loky", options.threads),
        "one process, a team": (options.threads, "loky", 1),
    }

    def search(threads, backend, jobs):
        found = GridSearchCV(
            estimator(ours, 6, hidden_layer_sizes=(128, 128), batch_size=200, threads=threads),
            {"alpha": [10.0**-k for k in range(8)]},
            cv=ShuffleSplit(1, test_size=0.2, random_state=0),
            n_jobs=jobs,
            refit=False,
        )
        with joblib.parallel_config(backend, n_jobs=jobs), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            start = time.perf_counter()
            found.fit(X, y)
        return time.perf_counter() - start

    joblib.Parallel(options.threads)(joblib.delayed(warm)(options.packages) for _ in range(2 * options.threads))
    seconds = {name: [] for name in ways}
    for _ in range(3):
        for name, how in ways.items():
            seconds[name].append(search(*how))
    best = {name: min(found) for name, found in seconds.items()}
    chosen, told = (min(s for name, s in best.items() if ("choice" in name) == mine) for mine in (True, False))
    return {"networks": 8, "epochs": 6, "seconds": best, "over": chosen / told}


def warm(packages):
    """In a worker of joblib: both libraries imported, so that the search alone is timed."""
    if packages:
        sys.path.append(packages)
    modules()


def mnist(options):
    """Epochs of the default classifier of both (100 units, adam, minibatches of 200), the same rows."""
    if options.mnist:
        from tables import mnist as read

        (X, y, Xt, yt), _ = read(options.mnist)
        what = "MNIST, 60,000 × 784"
    else:
        draw = np.random.default_rng(0)
        X = draw.random((60000, 784), dtype=np.float32) * (draw.random((60000, 784), dtype=np.float32) < 0.19)
        y, what = draw.integers(0, 10, 60000), "a synthetic table of MNIST's shape"
        Xt, yt = X[:10000], y[:10000]
    seconds, scores, epochs = {}, {}, 3

    def fit(module, max_iter):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            start = time.perf_counter()
            made = estimator(module, max_iter).fit(X, y)
        return time.perf_counter() - start, made

    for name, module in modules().items():  # an epoch without the checks of the data: of 4 fits' difference
        one, _ = min((fit(module, 1) for _ in range(2)), key=lambda pair: pair[0])
        more, made = min((fit(module, 1 + epochs) for _ in range(2)), key=lambda pair: pair[0])
        seconds[name], scores[name] = {"epoch": (more - one) / epochs, "first": one}, float(made.score(Xt, yt))
    return {
        "data": what,
        "seconds": seconds,
        "scores": scores,
        "times": seconds["scikit-learn"]["epoch"] / seconds["backproof"]["epoch"],
    }


SMALL = "import numpy as np\nX = np.random.default_rng(0).normal(size=(1000, 20)); y = X[:, 0]\n"
FRESH = {
    "fit through `Network`": SMALL + "from backproof import Network\n"
    "Network('20 | 64 relu | 1', loss='squared_error').build(seed=0).fit(X, y, epochs=10)",
    "fit through `backproof.estimators`": SMALL + "from backproof.estimators import MLPRegressor\n"
    "MLPRegressor(hidden_layer_sizes=(64,), max_iter=10, tol=0, n_iter_no_change=100, random_state=0).fit(X, y)",
    "fit of scikit-learn's MLPRegressor": SMALL
    + "import warnings; warnings.simplefilter('ignore')\nfrom sklearn.neural_network import MLPRegressor\n"
    "MLPRegressor(hidden_layer_sizes=(64,), max_iter=10, tol=0, n_iter_no_change=100, random_state=0).fit(X, y)",
    "`import numpy`": "import numpy",
    "`import torch`": "import torch",
    "`import jax`": "import jax",
    "`import sklearn.neural_network`": "import sklearn.neural_network",
}


def first(options):
    """Wall seconds of a script in a new process, the best of five, the scripts taking turns.

    A first run of each writes the bytecode of whatever it imports, as installing a package does; it is not counted.
    """
    there = {
        what: script
        for what, script in FRESH.items()
        if not any(f"import {name}" == script and not installed(name) for name in ("torch", "jax"))
    }
    times = {what: [] for what in there}
    with tempfile.TemporaryDirectory() as folder:
        env = {name: value for name, value in others_path().items() if name != "PYTHONDONTWRITEBYTECODE"}
        env["PYTHONPYCACHEPREFIX"] = folder
        for _ in range(6):
            for what, script in there.items():
                start = time.perf_counter()
                subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, env=env)
                times[what].append(time.perf_counter() - start)
    times = {what: found[1:] for what, found in times.items()}
    return {"seconds": {what: min(found) for what, found in times.items()}}
