"""The frozen files mean what README.md says: plain NumPy forward passes, differentiated by the complex step, agree."""

from pathlib import Path

import numpy as np
import pytest

from backproof.oracles import assert_agree, complex_step

HERE = Path(__file__).parent
NETWORKS = sorted([*HERE.glob("dense_*.npz"), *HERE.glob("recurrent_*.npz")])
OPTIMIZERS = sorted(HERE.glob("optimizer_*.npz"))


def load(path):
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def named(stored, prefix):
    return {key.removeprefix(prefix): array for key, array in stored.items() if key.startswith(prefix)}


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def erf(z):
    """The error function by its series, good for |z| < 4 and analytic as a program."""
    term, result = z, z
    for k in range(1, 100):
        term = -term * z * z / k
        result = result + term / (2 * k + 1)
    return 2 / np.sqrt(np.pi) * result


ACTIVATIONS = {
    "": lambda z: z, "sigmoid": sigmoid, "tanh": np.tanh, "exp": np.exp, "softplus": lambda z: np.log(1 + np.exp(z)),
    "relu": lambda z: z * (z.real > 0), "elu": lambda z: np.where(z.real > 0, z, np.exp(z) - 1),
    "silu": lambda z: z * sigmoid(z), "gelu": lambda z: z / 2 * (1 + erf(z / np.sqrt(2))),
    "softmax": lambda z: np.exp(z) / np.exp(z).sum(-1, keepdims=True),
}
CELLS = {}


def cell(function):
    CELLS[function.__name__] = function
    return function


@cell
def rnn(p, h, c, x):
    return np.tanh(x @ p("W", "") + h @ p("U", "") + p("b", "")), c


@cell
def lstm(p, h, c, x):
    i, f, g, o = (squash(x @ p("W", gate) + h @ p("U", gate) + p("b", gate)) for gate, squash in
                  (("_i", sigmoid), ("_f", sigmoid), ("_g", np.tanh), ("_o", sigmoid)))
    c = f * c + i * g
    return o * np.tanh(c), c


@cell
def gru(p, h, c, x):
    r, z = (sigmoid(x @ p("W", gate) + h @ p("U", gate) + p("b", gate)) for gate in ("_r", "_z"))
    n = np.tanh(x @ p("W", "_n") + p("b", "_n") + r * (h @ p("U", "_n") + p("c", "_n")))
    return (1 - z) * n + z * h, c


def forward(spec, parameters, x):
    a, layer, last = x, 0, None
    for part in [part.split() for part in spec.split("|")][1:]:
        if part == ["last"]:
            a = last
            continue
        layer += 1
        kind = part[1] if part[0] == "bi" else part[0]
        if kind in CELLS:
            sides, ends = [], []
            for prefix in ["", "reverse_"][:1 + (part[0] == "bi")]:
                p = lambda letter, gate, prefix=prefix: parameters[f"{prefix}{letter}{gate}{layer}"]  # noqa: B023, E731
                h = c = np.zeros((len(a), int(part[-1])))
                steps = range(a.shape[1]) if not prefix else range(a.shape[1])[::-1]
                states = {}
                for t in steps:
                    h, c = CELLS[kind](p, h, c, a[:, t])
                    states[t] = h
                sides.append(np.stack([states[t] for t in sorted(states)], axis=1))
                ends.append(h)
            a, last = np.concatenate(sides, axis=-1), np.concatenate(ends, axis=-1)
        elif kind == "layer_norm":
            centred = a - a.mean(-1, keepdims=True)
            a = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
            a = a * parameters[f"gamma{layer}"] + parameters[f"beta{layer}"]
        else:
            z = a @ parameters[f"W{layer}"] + parameters[f"b{layer}"]
            a = ACTIVATIONS[part[1] if len(part) > 1 else ""](z)
    return a


def absolute(e):
    return np.where(e.real < 0, -e, e)


def sample_losses(loss, a, y):
    if loss == "cross_entropy" and y.dtype.kind == "i":
        return -np.log(a[np.arange(len(a)), y])
    e = a - y
    each = {"squared_error": lambda: e * e / 2, "absolute_error": lambda: absolute(e),
            "huber": lambda: np.where(np.abs(e.real) <= 1, e * e / 2, absolute(e) - 0.5),
            "poisson": lambda: a - y * np.log(a), "cross_entropy": lambda: -y * np.log(a),
            "binary_cross_entropy": lambda: -y * np.log(a) - (1 - y) * np.log(1 - a)}[loss]().sum(-1)
    return each.mean(1) if each.ndim == 2 else each


def objective(stored, parameters, x):
    losses = sample_losses(str(stored["loss"]), forward(str(stored["spec"]), parameters, x), stored["targets"])
    weights = sum((p**2).sum() for name, p in parameters.items() if name[0] == "W")
    return (stored.get("sample_weight", 1.0) * losses).mean() + stored["l2"] / 2 * weights


@pytest.mark.parametrize("path", NETWORKS, ids=lambda path: path.stem)
def test_gradients_of_networks_are_those_of_the_documented_formulas(path):
    stored = load(path)
    parameters = named(stored, "parameter.")
    a = forward(str(stored["spec"]), parameters, stored["inputs"])
    assert_agree(a, stored["output"], tolerance=1e-13)
    losses = sample_losses(str(stored["loss"]), a, stored["targets"])
    assert_agree(losses, stored["sample_losses"], tolerance=1e-13)
    assert_agree((stored.get("sample_weight", 1.0) * losses).mean(), stored["data_loss"], tolerance=1e-13)
    assert_agree(objective(stored, parameters, stored["inputs"]), stored["objective"], tolerance=1e-13)
    gradients = complex_step(lambda p: objective(stored, p, stored["inputs"]), parameters)
    assert assert_agree(gradients, named(stored, "gradient."), tolerance=1e-11).zeros == 0
    by_input = complex_step(lambda p: len(a) * objective(stored, parameters, p["x"]), {"x": stored["inputs"]})["x"]
    assert_agree(by_input, stored["input_gradients"], tolerance=1e-11)


@pytest.mark.parametrize("path", [path for path in NETWORKS if "dense" in path.name], ids=lambda path: path.stem)
def test_deltas_sum_to_the_bias_gradients(path):
    stored = load(path)
    deltas = named(stored, "delta")
    assert deltas
    for layer, delta in deltas.items():
        assert_agree(delta.mean(0), stored[f"gradient.b{layer}"], tolerance=1e-12)


def update(stored, theta, g, m, v, t, decays):
    """One step of the optimizer in `stored` on one parameter, t from 1; m and v are its two memories."""
    option = {name: value for name, value in named(stored, "option.").items()}
    lr, kind, decay = option["lr"], str(stored["optimizer"]), option.get("weight_decay", 0.0) * decays
    if kind == "SGD":
        m = option.get("momentum", 0.0) * m + g
        return theta - lr * (g + option["momentum"] * m if option.get("nesterov", False) else m), m, v
    if kind == "RMSprop":
        v = option["alpha"] * v + (1 - option["alpha"]) * g**2
        return theta - lr * g / (np.sqrt(v) + option["eps"]), m, v
    if kind == "Adagrad":
        v = v + g**2
        return theta - lr * g / (np.sqrt(v) + option["eps"]), m, v
    if kind == "AdamW":
        theta = theta - lr * decay * theta
    else:
        g = g + decay * theta
    first, second = option["betas"]
    m, v = first * m + (1 - first) * g, second * v + (1 - second) * g**2
    return theta - lr * (m / (1 - first**t)) / (np.sqrt(v / (1 - second**t)) + option["eps"]), m, v


@pytest.mark.parametrize("batching", ["full", "minibatches"])
@pytest.mark.parametrize("path", OPTIMIZERS, ids=lambda path: path.stem)
def test_trajectories_follow_the_documented_updates(path, batching):
    stored = load(path)
    theta, losses = named(stored, "start."), []
    memory = {name: (0.0, 0.0) for name in theta}
    batches = {"full": [slice(0, 5)], "minibatches": [slice(0, 5), slice(5, 10), slice(10, 13)]}[batching]
    for step in range(100):
        rows = batches[step % len(batches)]
        x, y = stored["inputs"][rows], stored["targets"][rows]
        a = np.tanh(x @ theta["W1"] + theta["b1"])
        e = a @ theta["W2"] + theta["b2"] - y
        losses.append((e**2).sum(1).mean() / 2)
        d = e @ theta["W2"].T * (1 - a**2)
        gradient = {"W1": x.T @ d, "b1": d.sum(0), "W2": a.T @ e, "b2": e.sum(0)}
        for name in theta:
            theta[name], *memory[name] = update(stored, theta[name], gradient[name] / len(x), *memory[name], step + 1,
                                                name in stored["decayed"])
    assert_agree(np.array(losses), stored[f"{batching}.losses"], tolerance=1e-11)
    assert_agree(theta, named(stored, f"{batching}.end."), tolerance=1e-11)


def test_files_are_small_and_hold_no_pickle():
    files = sorted(HERE.glob("*.npz"))
    here = [path for path in files if path.name.startswith(("dense_", "recurrent_", "optimizer_"))]
    assert len(here) == len(NETWORKS) + len(OPTIMIZERS) == 33
    assert sum(path.stat().st_size for path in files) < 1_000_000
    for path in here:
        stored = load(path)
        assert all(array.dtype.kind in "fiUb" for array in stored.values())
        assert str(stored["torch"]).startswith("2.13.0") and "allow_pickle" not in stored
