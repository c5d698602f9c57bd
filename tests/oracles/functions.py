"""Functions with gradients known in closed form, written so that real and complex arguments work."""

import numpy as np

A = np.array([[2.0, -1.0, 0.5], [0.3, 1.5, -0.7]])


def quadratic(p):
    r = p["x"] @ A.T + p["b"]
    return 0.5 * (r * r).sum()


def quadratic_gradient(p):
    r = p["x"] @ A.T + p["b"]
    return {"x": r @ A, "b": r}


def waves(p):
    return (np.sin(p["x"]) * np.exp(0.3 * p["x"])).sum() + np.log(1 + p["b"] ** 2).sum()


def waves_gradient(p):
    x, b = p["x"], p["b"]
    return {"x": np.exp(0.3 * x) * (np.cos(x) + 0.3 * np.sin(x)), "b": 2 * b / (1 + b**2)}


def logistic(p):
    z = p["x"].sum() * p["b"]
    return np.log(1 + np.exp(z)).sum()


def logistic_gradient(p):
    s = 1 / (1 + np.exp(-p["x"].sum() * p["b"]))
    return {"x": np.full(3, (s * p["b"]).sum()), "b": s * p["x"].sum()}


SMOOTH = [(quadratic, quadratic_gradient), (waves, waves_gradient), (logistic, logistic_gradient)]
POINT = {"x": np.array([0.4, -1.3, 2.2]), "b": np.array([-0.6, 1.1])}


def relu(p):
    """A kink at 0, by the real part."""
    return (p["x"] * (p["x"].real > 0)).sum()
