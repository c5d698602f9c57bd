"""D0: a word that counts only beside another one: no line separates it, a network does.

Reads   windows of three words, made up: "Museums" speaks for a place only if "in" is the second word ("Museums in
        Paris", not "Museums by Gehry"); after "believers" it is the other way round ("believers in Ali", "believers by
        Delhi").
Gives   the accuracy of a linear classifier and of a network with one hidden layer.
"""

import numpy as np

from backproof import Network

WORDS = ["Museums", "believers", "in", "by", "Paris", "Ali", "Gehry", "Delhi"]


def windows():
    """Every window as three words, and whether its last word is meant as a place."""
    found = []
    for first in ("Museums", "believers"):
        for second in ("in", "by"):
            for third in WORDS[4:]:
                found.append(((first, second, third), float((first == "Museums") == (second == "in"))))
    return found


def main():
    found = windows()
    X = np.array([[float(word == known) for word in text for known in WORDS] for text, _ in found])
    y = np.array([label for _, label in found])
    accuracy = {}
    for name, spec in (("linear", "24 | 1 sigmoid"), ("network", "24 | 4 tanh | 1 sigmoid")):
        model = Network(spec, loss="binary_cross_entropy", l2=1e-4).build(seed=0, dtype="float64")
        model.fit(X, y, optimizer="lbfgs", epochs=500)
        accuracy[name] = float(((model.predict(X)[:, 0] > 0.5) == y).mean())
        accuracy[f"{name} loss"] = model.loss(X, y)
    return accuracy


if __name__ == "__main__":
    for name, value in main().items():
        print(f"{name:<13} {value:.4f}")
