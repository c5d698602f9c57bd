"""E2, E3: the backward chain of a two-layer network with cross-entropy, step by step in its order.

Reads   m samples, sigmoid twice.
Gives   da2, dz2, dW2, db2, da1, dz1, dW1, db1 in the order in which they are derived from the loss as textbooks write
        it, each compared with formulas (8-12) ... (8-19) of the article, with 1/m and the transposes where they belong.
"""

import numpy as np

from backproof import Network
from backproof.calculus import SAMPLE
from backproof.derive import sweep
from backproof.engines.reference import Run
from backproof.lower import lower

NAMES = {"adj.a2": "da2", "delta2": "dz2", "grad.W2": "dw2", "grad.b2": "db2",
         "adj.a1": "da1", "delta1": "dz1", "grad.W1": "dw1", "grad.b1": "db1"}


def formulas(x, y, a1, a2, W2):
    """(8-12) … (8-19), for m samples as rows."""
    m = len(x)
    dz2 = a2 - y
    dz1 = dz2 @ W2.T * a1 * (1 - a1)
    return {"da2": -y / a2 + (1 - y) / (1 - a2), "dz2": dz2, "dw2": a1.T @ dz2 / m, "db2": dz2.mean(axis=0),
            "da1": dz2 @ W2.T, "dz1": dz1, "dw1": x.T @ dz1 / m, "db1": dz1.mean(axis=0)}


def main(m=5):
    net = Network("3 | 4 sigmoid | 1 sigmoid", loss="binary_cross_entropy")
    system = net.system().copy()
    system.revise("E", expression=system["E"].written)        # the loss on activations, not its stable form
    derived = sweep(system, {"E": 1}, ["W1", "b1", "W2", "b2"], mean_over=SAMPLE).system
    order = [NAMES[equation.name] for equation in derived if equation.name in NAMES]
    rng = np.random.default_rng(0)
    feeds = {**net.build(seed=0, dtype="float64").parameters, "x": rng.normal(size=(m, 3)),
             "y": rng.integers(0, 2, (m, 1)).astype(float)}
    values = Run(lower(derived, [*NAMES, "a1", "a2"]), feeds).outputs()
    expected = formulas(feeds["x"], feeds["y"], values["a1"], values["a2"], feeds["W2"])
    apart = {ours: float(np.abs(values[name] - expected[ours]).max()) for name, ours in NAMES.items()}
    return {"order": order, "apart": apart, "equations": {NAMES[e.name]: repr(e) for e in derived if e.name in NAMES}}


if __name__ == "__main__":
    found = main()
    for name in found["order"]:
        print(f"{name:<4} differs by {found['apart'][name]:.0e}   {found['equations'][name]}")
