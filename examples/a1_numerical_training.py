"""A1: a tiny network trained by numerical gradients and by backpropagation, side by side.

Reads   XOR, a 2-3-1 network, the definition dC/dw = (C(w + eps) - C(w))/eps.
Gives   both losses after every step, and what each step cost: N + 1 forward passes against one forward and one back.
"""

import numpy as np

from backproof import Network

X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
y = np.array([0.0, 1.0, 1.0, 0.0])


class Counted:
    """The objective of a model as a function of its parameters; it counts its forward passes."""

    def __init__(self, model):
        self.model, self.passes = model, 0

    def __call__(self, parameters):
        self.passes += 1
        return self.model.set_parameters(**parameters).objective(X, y)


def numerical_gradients(cost, parameters, eps=1e-7):
    """Forward differences, one parameter at a time."""
    at = cost(parameters)
    gradients = {}
    for name, array in parameters.items():
        gradients[name] = np.zeros(array.shape)
        for place in np.ndindex(array.shape):
            moved = {**parameters, name: array.copy()}
            moved[name][place] += eps
            gradients[name][place] = (cost(moved) - at) / eps
    return gradients


def main(steps=300, rate=1.0):
    net = Network("2 | 3 tanh | 1 sigmoid", loss="squared_error")
    by_numbers, by_derivation = (net.build(seed=3, dtype="float64") for _ in range(2))
    cost, losses = Counted(by_numbers), []
    parameters = {name: array.copy() for name, array in by_numbers.parameters.items()}
    for _ in range(steps):
        gradients = numerical_gradients(cost, parameters)
        parameters = {name: array - rate * gradients[name] for name, array in parameters.items()}
        by_derivation.set_parameters(**{name: array - rate * by_derivation.gradients(X, y)[name]
                                        for name, array in by_derivation.parameters.items()})
        losses.append((by_numbers.set_parameters(**parameters).objective(X, y), by_derivation.objective(X, y)))
    return {"parameters": net.count, "passes_per_step": cost.passes // steps, "losses": losses,
            "apart": max(abs(a - b) for a, b in losses)}


if __name__ == "__main__":
    found = main()
    print("{parameters} parameters: {passes_per_step} forward passes a step against 1 and 1 backward".format(**found))
    for step in (0, 9, 99, 299):
        print("step {:>3}   numerical {:.8f}   backpropagation {:.8f}".format(step + 1, *found["losses"][step]))
    print(f"largest difference of the losses {found['apart']:.1e}")
