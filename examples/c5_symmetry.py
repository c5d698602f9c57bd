"""C5: equal units stay equal for ever; different starts end in different minima.

Reads   XOR and a 2-2-1 network.
Gives   how far the units of a layer drift apart from an equal start and from Normal(0, 0.01^2); the objectives in which
        descent ends from 20 starts.
"""

import numpy as np

from backproof import Network

X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
y = np.array([0.0, 1.0, 1.0, 0.0])


def apart(model):
    """The largest difference between the two hidden units: their incoming weights, bias and outgoing weight."""
    units = np.concatenate([model.parameters["W1"].T, model.parameters["b1"][:, None], model.parameters["W2"]], axis=1)
    return float(np.abs(units[0] - units[1]).max())


def main(starts=20, epochs=500):
    def trained(initial):
        net = Network("2 | 2 tanh | 1 sigmoid", loss="binary_cross_entropy", initial=initial)
        return net.build(seed=0, dtype="float64").fit(X, y, epochs=epochs, batch_size=4, optimizer="adam",
                                                      learning_rate=0.05)
    equal, broken = trained(("constant", 0.5)), trained("normal")
    net, losses = Network("2 | 2 tanh | 1 sigmoid", loss="binary_cross_entropy", l2=1e-3), []
    for seed in range(starts):
        model = net.build(seed=seed, dtype="float64").fit(X, y, epochs=200, optimizer="lbfgs")
        losses.append(model.objective(X, y))
    return {"equal": apart(equal), "broken": apart(broken), "minima": sorted(losses),
            "loss_equal": equal.loss(X, y), "loss_broken": broken.loss(X, y)}


if __name__ == "__main__":
    found = main()
    print(f"equal start:     units differ by {found['equal']:g}, loss {found['loss_equal']:.4f}")
    print(f"normal(0, 0.01): units differ by {found['broken']:.3f}, loss {found['loss_broken']:.4f}")
    values, counts = np.unique(np.round(found["minima"], 3), return_counts=True)
    print("objectives from 20 starts: " + ", ".join(f"{value:g} ({count}×)" for value, count in zip(values, counts)))
