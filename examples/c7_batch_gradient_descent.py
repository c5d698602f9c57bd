"""C7: batch gradient descent as the tutorial writes it, against ``fit``.

Reads   60 samples, a 4-5-2 network, weight decay.
Gives   the largest difference of any parameter after 50 updates: dW and db accumulated sample by sample in plain NumPy,
        W <- W - alpha [(1/m) dW + l2 W], b <- b - alpha (1/m) db, against optimizer="sgd" on the whole batch.
"""

import numpy as np

from backproof import Network


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def accumulate(p, X, Y):
    """The four steps for each sample, added up."""
    sums = {name: np.zeros(array.shape) for name, array in p.items()}
    for x, y in zip(X, Y):
        a1 = sigmoid(x @ p["W1"] + p["b1"])
        a2 = sigmoid(a1 @ p["W2"] + p["b2"])
        delta2 = (a2 - y) * a2 * (1 - a2)
        delta1 = (p["W2"] @ delta2) * a1 * (1 - a1)
        for name, part in (("W2", np.outer(a1, delta2)), ("b2", delta2), ("W1", np.outer(x, delta1)), ("b1", delta1)):
            sums[name] += part
    return sums


def main(m=60, updates=50, alpha=0.5, l2=1e-2):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(m, 4)), rng.uniform(size=(m, 2))
    model = Network("4 | 5 sigmoid | 2 sigmoid", loss="squared_error", l2=l2).build(seed=0, dtype="float64")
    p = {name: array.copy() for name, array in model.parameters.items()}
    start = model.objective(X, Y)
    for _ in range(updates):
        sums = accumulate(p, X, Y)
        for name in p:
            decay = l2 * p[name] if name.startswith("W") else 0.0
            p[name] = p[name] - alpha * (sums[name] / m + decay)
    model.fit(X, Y, epochs=updates, batch_size=m, optimizer="sgd", learning_rate=alpha)
    return {"apart": max(float(np.abs(p[name] - model.parameters[name]).max()) for name in p),
            "objective": (start, model.objective(X, Y))}


if __name__ == "__main__":
    found = main()
    print("objective {:.6f} -> {:.6f}".format(*found["objective"]))
    print(f"largest difference of a parameter after 50 updates: {found['apart']:.1e}")
