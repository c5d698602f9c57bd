"""B2: ten layers of three units, the published faulty update and the right one from the same start.

Reads   one sample that is its own target (ours: the published one is not given); weights and biases uniform in [0, 1);
        eta = 0.1; 500 steps.
Gives   the loss (the sum of squares, without the half) before each step for both updates, the delta of every layer, and
        what the gradient checker says of the faulty one.

The faulty update has three mistakes: f(z) f(1 - z) stands where f(z) (1 - f(z)) should; the weight gradient takes the
layer's own activation instead of the previous layer's; it has one number per unit, which moves a whole row of weights.
"""

import numpy as np

from backproof import Network, check_gradients

LAYERS, UNITS = 9, 3                        # nine weight matrices between the ten layers
SAMPLE = np.array([[0.3, 0.5, 0.7]])
SPEC = " | ".join([str(UNITS)] + [f"{UNITS} sigmoid"] * LAYERS)


def f(z):
    return 1 / (1 + np.exp(-z))


def loss(parameters, x, y):
    """E of one sample, in plain NumPy."""
    a = x
    for l in range(1, LAYERS + 1):
        a = f(a @ parameters[f"W{l}"] + parameters[f"b{l}"])
    return 0.5 * ((a - y) ** 2).sum()


def faulty_gradients(parameters, x, y):
    """What the published update takes for the gradient, in our layout (inputs, outputs); of one sample."""
    a, z = [x], []
    for l in range(1, LAYERS + 1):
        z.append(a[-1] @ parameters[f"W{l}"] + parameters[f"b{l}"])
        a.append(f(z[-1]))
    gradients, up = {}, a[-1] - y
    for l in range(LAYERS, 0, -1):
        delta = up * f(z[l - 1]) * f(1 - z[l - 1])
        gradients[f"b{l}"] = delta
        gradients[f"W{l}"] = np.broadcast_to(delta * a[l], (UNITS, UNITS)).copy()
        up = parameters[f"W{l}"] @ delta
    return gradients


def main(seed=0, steps=500, rate=0.1):
    net = Network(SPEC, loss="squared_error", initial=("uniform", 0.0, 1.0))
    start = net.build(seed=seed, dtype="float64")
    deltas = {name: float(np.abs(delta).max()) for name, delta in sorted(start.deltas(SAMPLE, SAMPLE).items())}
    x = SAMPLE[0]
    report = check_gradients((lambda p: loss(p, x, x), lambda p: faulty_gradients(p, x, x)), at=dict(start.parameters))
    right = net.build(seed=seed, dtype="float64")
    right.fit(SAMPLE, SAMPLE, epochs=steps, batch_size=1, optimizer="sgd", learning_rate=rate)
    wrong, faulty = net.build(seed=seed, dtype="float64"), []
    for _ in range(steps):
        faulty.append(2 * wrong.loss(SAMPLE, SAMPLE))
        gradients = faulty_gradients(wrong.parameters, x, x)
        wrong.set_parameters(**{name: array - rate * gradients[name] for name, array in wrong.parameters.items()})
    losses = {"right": [2 * loss for loss in right.history["loss"]] + [2 * right.loss(SAMPLE, SAMPLE)],
              "faulty": faulty + [2 * wrong.loss(SAMPLE, SAMPLE)]}
    return {"losses": losses, "deltas": deltas, "report": report, "target": SAMPLE[0].tolist(),
            "prediction": right.predict(SAMPLE)[0].tolist()}


if __name__ == "__main__":
    for seed in range(4):
        found = main(seed)
        if seed == 0:
            for name, size in found["deltas"].items():
                print(f"{name}  {size:.2e}")
        ends = {name: (losses[0], losses[-1]) for name, losses in found["losses"].items()}
        print(f"start {seed}: loss {ends['right'][0]:.3f}, after 500 steps right {ends['right'][1]:.2e}, "
              f"faulty {ends['faulty'][1]:.2e}; faulty gradient: {found['report'].verdict}")
