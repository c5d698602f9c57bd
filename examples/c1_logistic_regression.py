"""C1: one sigmoid neuron with cross-entropy is logistic regression.

Reads   the breast cancer table, standardised.
Gives   the largest difference between our weights and scikit-learn's on one objective, (1/N) sum E_n + (l2/2) |w|^2.
"""

import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression

from backproof import Network


def main(l2=0.05):
    X, y = load_breast_cancer(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    model = Network(f"{X.shape[1]} | 1 sigmoid", loss="binary_cross_entropy", l2=l2).build(seed=0, dtype="float64")
    model.fit(X, y, optimizer="lbfgs", epochs=1000)
    theirs = LogisticRegression(C=1 / (l2 * len(X)), solver="newton-cholesky", tol=1e-12).fit(X, y)
    weights = np.abs(model.parameters["W1"][:, 0] - theirs.coef_[0]).max()
    bias = abs(model.parameters["b1"][0] - theirs.intercept_[0])
    probabilities = np.abs(model.predict(X)[:, 0] - theirs.predict_proba(X)[:, 1]).max()
    return {"weights": float(weights), "bias": float(bias), "probabilities": float(probabilities)}


if __name__ == "__main__":
    for name, difference in main().items():
        print(f"{name:<14} differ by at most {difference:.1e}")
