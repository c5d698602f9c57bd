"""What recurrent networks learn, and what truncation keeps them from learning: the figures of docs/sequences.md.

    python bench/sequences.py adding | copy                 the two classical problems, full and truncated, rnn and LSTM
    python bench/sequences.py series FOLDER                 ItalyPowerDemand and GunPoint (.ts files): accuracy over five seeds
    python bench/sequences.py co2 FILE.csv                  a weekly series, columns date and co2: a year ahead
    python bench/sequences.py text FILE.txt [--torch]       bits per character of examples/char_model.py, and of PyTorch's LSTM
    python bench/sequences.py buckets                       what length bucketing saves
    [--seeds 3] [--epochs N]                                for a reduced run

Every line of a table is printed as soon as it is measured. One thread; the figures do not depend on the machine.
"""

import argparse
import time
import warnings
from pathlib import Path

import numpy as np

from backproof import Network

TRUNCATIONS = {"full": {}, "regular, 10 steps": {"truncation_length": 10}, "regular, 50 steps": {"truncation_length": 50},
               "randomised, π = 0.9": {"continue_probability": 0.9}, "randomised, π = 0.98": {"continue_probability": 0.98}}


def adding(n, steps, seed):
    """Two numbers of a sequence are marked, one in each half; the target is their sum. Answering 1 has the error 1/6.

    Shapes   (n, steps, 2), (n, 1)
    """
    rng = np.random.default_rng(seed)
    x = np.zeros((n, steps, 2), np.float32)
    x[:, :, 0] = rng.random((n, steps))
    rows = np.arange(n)
    for low, high in ((0, steps // 2), (steps // 2, steps)):
        x[rows, rng.integers(low, high, n), 1] = 1
    return x, (x[:, :, 0] * x[:, :, 1]).sum(axis=1, keepdims=True)


def copying(n, delay, seed, symbols=8, length=5):
    """Symbols, a wait, a signal: the symbols are to be given again. A network without memory has the right one in 1 of 8.

    Shapes   (n, delay + 2 length, symbols + 2) one-hot, (n, delay + 2 length) class numbers
    """
    rng = np.random.default_rng(seed)
    given = rng.integers(1, symbols + 1, (n, length))
    x, y = np.zeros((2, n, delay + 2 * length), int)
    x[:, :length], x[:, length + delay - 1], y[:, -length:] = given, symbols + 1, given
    return np.eye(symbols + 2, dtype=np.float32)[x], y


def table(title, columns):
    print(f"\n{title}\n")
    print("| " + " | ".join(columns) + " |\n|" + " --- |" * len(columns), flush=True)


def row(*cells):
    print("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |", flush=True)


def spread(values, digits=4):
    return ", ".join(f"{value:.{digits}f}" for value in values)


def run_adding(seeds, epochs, steps=100):
    table(f"Adding problem, {steps} steps: squared error on 1,000 new sequences, one number per seed (answering 1: 0.1667)",
          ["network", "gradient", "error", "seconds per epoch"])
    X, y = adding(10_000, steps, 1000)
    Xt, yt = adding(1_000, steps, 2000)
    for cell, rate in (("rnn 32", 1e-3), ("lstm 32", 5e-3)):
        for name, how in TRUNCATIONS.items():
            errors, seconds = [], []
            for seed in range(seeds):
                model = Network(f"2 | {cell} | last | 1").build(seed=seed, threads=1)
                model.fit(X, y, epochs=epochs, batch_size=50, learning_rate=rate, clip_norm=1.0, **how)
                errors.append(2 * model.loss(Xt, yt))
                seconds += model.history["seconds"]
            row(cell, name, spread(errors), f"{np.median(seconds):.2f}")


def run_copy(seeds, epochs, delay=20):
    table(f"Copy memory, 5 symbols of 8 over {delay} steps: share given right in 1,000 new sequences (chance: 0.125)",
          ["network", "gradient", "right", "seconds per epoch"])
    X, y = copying(10_000, delay, 1000)
    Xt, yt = copying(1_000, delay, 2000)
    for cell, rate in (("rnn 64", 1e-3), ("lstm 64", 5e-3)):
        for name in ("full", "regular, 10 steps", "randomised, π = 0.9", "randomised, π = 0.98"):
            how = TRUNCATIONS[name]
            right, seconds = [], []
            for seed in range(seeds):
                model = Network(f"10 | {cell} | 9 softmax", loss="cross_entropy").build(seed=seed, threads=1)
                model.fit(X, y, epochs=epochs, batch_size=50, learning_rate=rate, clip_norm=1.0, **how)
                right.append((model.predict(Xt).argmax(axis=-1) == yt)[:, -5:].mean())
                seconds += model.history["seconds"]
            row(cell, name, spread(right, 3), f"{np.median(seconds):.2f}")


def run_series(folder, seeds, epochs):
    from sklearn.neighbors import KNeighborsClassifier

    from backproof.data.long import group
    from backproof.data.ts import SEQUENCE, STEP, read_ts
    from backproof.estimators import SequenceClassifier

    def read(path):
        found = read_ts(path)
        groups = group(found, SEQUENCE, STEP)
        classes = found["class"].values[[rows[0] for rows in groups.rows]]
        return np.stack(groups.split(found["value"].values[groups.all_rows()])), classes

    table("Accuracy on the archive's test rows; networks over the seeds 0, 1, …", ["data", "network", "mean ± deviation", "of each seed"])
    for name in ("ItalyPowerDemand", "GunPoint"):
        (X, y), (Xt, yt) = (read(Path(folder) / f"{name}_{part}.ts") for part in ("TRAIN", "TEST"))
        mean, scale = X.mean(), X.std()
        X, Xt = ((x[:, :, None] - mean) / scale for x in (X, Xt))
        row(name, "majority", f"{max((yt == label).mean() for label in y):.4f}", "")
        nearest = KNeighborsClassifier(1).fit(X[:, :, 0], y)
        row(name, "nearest neighbour, Euclidean", f"{nearest.score(Xt[:, :, 0], yt):.4f}", "")
        for spec in ("rnn 32 | last", "lstm 32 | last", "bi gru 32 | mean"):
            scores = [SequenceClassifier(layers=spec, learning_rate_init=5e-3, batch_size=16, max_iter=epochs, tol=0, alpha=1e-3,
                                         n_iter_no_change=np.inf, random_state=seed, threads=1).fit(X, y).score(Xt, yt)
                      for seed in range(seeds)]
            row(name, spec, f"{np.mean(scores):.4f} ± {np.std(scores):.4f}", spread(scores))


def run_co2(path, seeds, epochs, season=52):
    """A year ahead of a weekly series; the last 15 % of it is the test part."""
    from backproof.data.long import group
    from backproof.data.sequence_tables import interpolated
    from backproof.data.tables import read_table
    from backproof.sequence_jobs import SequenceSettings, train_sequences

    table("CO₂, 52 weeks ahead from 104: root mean square error in ppm over the windows of the test part", ["forecast", "error"])
    found = []
    for seed in range(seeds):
        settings = SequenceSettings(time="date", forecast=52, lags=104, season=season, seed=seed, epochs=epochs)
        outcome = train_sequences(path, "co2", settings)
        found.append(outcome.summary["measures"]["test"]["rmse"])
    whole = read_table(path, target="co2")
    groups = group(whole, None, "date")
    values = interpolated(whole, groups, "co2")[0]["co2"].values[groups.rows[0]]
    starts = np.arange(len(values) - round(0.15 * len(values)), len(values) - 51)[:, None] + np.arange(52)
    last = starts[:, :1] - 1
    answers = {"the last value": values[last], "seasonal-naive: the value a year before": values[starts - season],
               "seasonal-naive and the growth of the last year": values[starts - season] + values[last] - values[last - season]}
    for name, answer in answers.items():
        row(name, f"{np.sqrt(((answer - values[starts])**2).mean()):.3f}")
    row(f"lstm 32, {seeds} seeds", f"{np.mean(found):.3f} ± {np.std(found):.3f} ({spread(found, 3)})")


def torch_bits(text, epochs, units=128, embedding=32, batch_size=32, learning_rate=5e-3, steps=64, seed=0):
    """The same model, text, minibatches and optimizer in PyTorch: (bits per character of the last tenth, seconds)."""
    import char_model
    import torch

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    alphabet, numbers = char_model.encoded(text)
    border = int(0.9 * len(numbers))
    (X, Y), (Xv, Yv) = ([torch.tensor(a) for a in char_model.cut(part, steps)] for part in (numbers[:border], numbers[border:]))
    table_, cell, head = torch.nn.Embedding(len(alphabet), embedding), torch.nn.LSTM(embedding, units, batch_first=True), \
        torch.nn.Linear(units, len(alphabet))
    parameters = [p for part in (table_, cell, head) for p in part.parameters()]
    optimizer, began = torch.optim.Adam(parameters, lr=learning_rate), time.perf_counter()

    def loss(x, y):
        return torch.nn.functional.cross_entropy(head(cell(table_(x))[0]).flatten(0, 1), y.flatten())
    for _ in range(epochs):
        for rows in torch.randperm(len(X)).split(batch_size):
            optimizer.zero_grad()
            loss(X[rows], Y[rows]).backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
    with torch.no_grad():
        return loss(Xv, Yv).item() / np.log(2), time.perf_counter() - began


def run_text(path, seeds, epochs, torch):
    import sys
    sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))
    import char_model

    text = Path(path).read_text(encoding="utf-8")
    table(f"{len(text):,} characters, lstm 128, {epochs} epochs: bits per character of the last tenth", ["", "bits", "seconds"])
    for seed in range(seeds):
        if torch:
            bits, seconds = torch_bits(text, epochs, seed=seed)
            row(f"PyTorch, seed {seed}", f"{bits:.4f}", f"{seconds:.0f}")
            continue
        model, alphabet, bits = char_model.train(text, epochs=epochs, seed=seed, threads=1)
        row(f"backproof, seed {seed}", f"{bits:.4f}", f"{sum(model.history['seconds']):.0f}")
        print(char_model.write(model, alphabet, "ROMEO:", 300, 0.7, seed), flush=True)


def run_buckets(seeds, epochs):
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.gamma(2.0, 25, 1500).astype(int) + 3, 3, 200)
    X = [rng.normal(size=(t, 4)).astype(np.float32) for t in lengths]
    y = np.array([int(x[:, 0].mean() > 0) for x in X])
    table(f"1,500 sequences of 4 numbers, {lengths.min()} to {lengths.max()} steps, mean {lengths.mean():.0f}; lstm 32",
          ["bucketing", "seconds per epoch", f"loss after {epochs} epochs"])
    for bucketing in (False, True):
        seconds, losses = [], []
        for seed in range(seeds):
            model = Network("4 | lstm 32 | last | 2 softmax", loss="cross_entropy").build(seed=seed, threads=1)
            model.fit(X, y, epochs=epochs, batch_size=32, bucketing=bucketing)
            seconds += model.history["seconds"]
            losses.append(model.loss(X, y))
        row(bucketing, f"{np.median(seconds):.3f}", spread(losses))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["adding", "copy", "series", "co2", "text", "buckets"])
    parser.add_argument("data", nargs="?")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--torch", action="store_true")
    given = parser.parse_args()
    warnings.simplefilter("ignore")                       # of epochs that were all used
    began = time.perf_counter()
    if given.what == "adding":
        run_adding(given.seeds or 3, given.epochs or 40)
    elif given.what == "copy":
        run_copy(given.seeds or 2, given.epochs or 40)
    elif given.what == "series":
        run_series(given.data, given.seeds or 5, given.epochs or 300)
    elif given.what == "co2":
        run_co2(given.data, given.seeds or 5, given.epochs or 200)
    elif given.what == "text":
        run_text(given.data, given.seeds or 1, given.epochs or 10, given.torch)
    elif given.what == "buckets":
        run_buckets(given.seeds or 3, given.epochs or 10)
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
