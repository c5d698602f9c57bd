"""Random networks: dense, normalised, dropped out, recurrent in both directions, pooled, embedded, windows; any loss that fits."""

import numpy as np

from backproof import Network
from backproof.errors import BackproofError
from backproof.networks import LOSSES
from backproof.show.instance import Instance

ACTIVATIONS = ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "softsign", "hardtanh", "linear")
CELLS = ("rnn", "gru", "lstm", "bi rnn", "bi lstm", "rnn relu")


def random_network(seed):
    """(network, options of derive) number ``seed``; the same for ever."""
    draw = np.random.default_rng(seed)
    while True:
        parts, kind = [], draw.choice(["plain", "sequence", "ids", "window"], p=[0.5, 0.3, 0.1, 0.1])
        if kind == "plain":
            parts.append(str(draw.integers(1, 5)))
        elif kind == "sequence":
            parts += [str(draw.integers(1, 4)), _cell(draw)]
        elif kind == "ids":
            parts += [f"embedding {draw.integers(1, 4)} vocabulary={draw.integers(2, 7)}", _cell(draw)]
        else:
            parts.append(f"window {draw.integers(1, 4)} vocabulary={draw.integers(2, 7)} embedding {draw.integers(1, 4)}")
        if kind in ("sequence", "ids"):
            parts += [_cell(draw)] * int(draw.integers(0, 2)) + [str(draw.choice(["last", "mean", "max"]))] * int(draw.integers(0, 2))
        for _ in range(draw.integers(0, 3)):
            parts.append(f"{draw.integers(1, 5)} {draw.choice(ACTIVATIONS)}" + " nobias" * int(draw.random() < 0.2))
        parts += ["layer_norm"] * int(draw.random() < 0.15) + ["dropout 0.3"] * int(draw.random() < 0.15)
        parts.append(f"{draw.integers(1, 4)} {draw.choice([*ACTIVATIONS, 'softmax', 'sigmoid', 'exp'])}")
        penalties = {"l2": float(draw.choice([0, 0.01]) if draw.random() < 0.8 else 0.3), "l1": float(draw.choice([0, 0.0, 0.002]))}
        how = {name: True for name in ("weighted", "masked", "training", "given_state", "truncated") if draw.random() < 0.25}
        try:
            network = Network(" | ".join(parts), loss=str(draw.choice(list(LOSSES))), **penalties)
            how = how if network.sequence else {k: v for k, v in how.items() if k in ("weighted", "training")}
            network.derive(**how)
            return network, how
        except BackproofError:                      # a pairing that is refused: draw again
            continue


def _cell(draw):
    kind = str(draw.choice(CELLS))
    activation = " relu" if kind == "rnn relu" else ""
    more = " learned_state" * int(draw.random() < 0.2) + " recurrent_dropout=0.3" * int(draw.random() < 0.2)
    return f"{kind.removesuffix(activation)} {draw.integers(1, 4)}{activation}{more}"


def instance(derivation):
    return Instance(derivation.system, derivation.seeds, derivation.mean_over, seed=5)


def close(got, true):
    """Equal to rounding: the norm of the difference against the norm of the truth; what is summed to it is of order 1."""
    got, true = np.asarray(got, float), np.asarray(true, float)
    assert got.shape == true.shape
    return np.linalg.norm(got - true) <= 1e-12 * np.linalg.norm(true) + 1e-15
