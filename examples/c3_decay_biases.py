"""C3: weight decay on the weights, or on the biases too: how much does it matter?

Reads   the breast cancer table, an 8-unit network, l2 = 0.001, both objectives minimised by lbfgs from the same start.
Gives   the data loss on rows held out and the share of predictions on which the two models disagree.
"""

import numpy as np
from sklearn.datasets import load_breast_cancer

from backproof import Network


def main(l2=1e-3):
    X, y = load_breast_cancer(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    shuffled = np.random.default_rng(0).permutation(len(X))
    train, test = shuffled[:400], shuffled[400:]
    found = {}
    for name, biases in (("weights", False), ("weights and biases", True)):
        net = Network(f"{X.shape[1]} | 8 tanh | 1 sigmoid", loss="binary_cross_entropy", l2=l2, decay_biases=biases)
        model = net.build(seed=0, dtype="float64")
        model.fit(X[train], y[train], optimizer="lbfgs", epochs=500)
        found[name] = {"loss": model.loss(X[test], y[test]), "yes": model.predict(X[test])[:, 0] > 0.5,
                       "bias_norm": float(np.sqrt(sum((model.parameters[b] ** 2).sum() for b in ("b1", "b2"))))}
    one, other = found.values()
    return {"loss": {name: run["loss"] for name, run in found.items()},
            "bias_norm": {name: run["bias_norm"] for name, run in found.items()},
            "accuracy": {name: float((run["yes"] == y[test]).mean()) for name, run in found.items()},
            "disagree": float((one["yes"] != other["yes"]).mean())}


if __name__ == "__main__":
    found = main()
    for name, loss in found["loss"].items():
        print(f"decay on {name:<20} held-out loss {loss:.5f}   accuracy {found['accuracy'][name]:.4f}   "
              f"norm of the biases {found['bias_norm'][name]:.3f}")
    print(f"predictions that differ: {found['disagree']:.2%}")
