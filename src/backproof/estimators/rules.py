"""scikit-learn's training rules where they differ from backproof's: its updates, its stopping, its schedules.

Gives   Optimizers whose velocity holds the learning rate and whose ε is not corrected, and the rule of tol and
        n_iter_no_change. The same numbers as scikit-learn's, step by step.
"""

import math

from ..calculus import reciprocal, sqrt, square
from ..train import OPTIMIZERS, Optimizer
from ..train.schedules import SCHEDULES

__all__ = ["Tolerance", "optimizer_of", "schedule_of"]


def _momentum(theta, g, velocity, *, eta, momentum):
    new = momentum * velocity - eta * g
    return theta + new, new


def _nesterov(theta, g, velocity, *, eta, momentum):
    new = momentum * velocity - eta * g
    return theta + momentum * new - eta * g, new


def _adam(theta, g, mean, square_, *, eta, beta1, beta2, epsilon, correction):
    m = beta1 * mean + (1 - beta1) * g
    v = beta2 * square_ + (1 - beta2) * square(g)
    return theta - eta * correction * m * reciprocal(sqrt(v) + epsilon), m, v


def _correction(step, beta1, beta2):
    return {"correction": math.sqrt(1 - beta2**step) / (1 - beta1**step)}


def optimizer_of(estimator):
    """The Optimizer behind an estimator's solver and its options."""
    solver, decay = estimator.solver, {"weight_decay": float(estimator.weight_decay)}
    if isinstance(solver, Optimizer):
        return solver
    if solver == "sgd" and estimator.momentum > 0:
        rule = _nesterov if estimator.nesterovs_momentum else _momentum
        return Optimizer(f"scikit-learn {rule.__name__[1:]}", rule, ("velocity",), {"momentum": float(estimator.momentum), **decay})
    betas = {"beta1": float(estimator.beta_1), "beta2": float(estimator.beta_2), "epsilon": float(estimator.epsilon)}
    if solver == "adam":
        return Optimizer("scikit-learn adam", _adam, ("mean", "square"), {**betas, **decay}, _correction)
    if solver == "adamw":
        return OPTIMIZERS[solver](**betas, **(decay if decay["weight_decay"] else {}))
    return OPTIMIZERS[solver](**(decay if "weight_decay" in OPTIMIZERS[solver].options else {}))


def schedule_of(estimator, seen, rows, per_epoch, start):
    """The learning rate's factor by (step, total). ``seen`` are the rows seen before this fit, from step ``start`` on."""
    name = estimator.learning_rate
    if name == "invscaling":
        def inverse(step, total):
            epochs = (step - start) // per_epoch
            return 1.0 if seen == 0 and epochs == 0 else (seen + epochs * rows + 1.0) ** -estimator.power_t
        return inverse
    if name == "adaptive":
        return "constant"
    if name == "plateau" or callable(name):
        return name
    chosen = SCHEDULES[name]
    return (lambda step, total: chosen(step - start, max(1, total - start))) if start else name


class Tolerance:
    """Stop when the objective, or the validation score, has not improved by ``tol`` for more than so many epochs.

    adaptive    the learning rate is divided by 5 instead, until it has fallen to 1e-6
    score       watch "validation_score", where more is better, and keep the best epoch's weights

    >>> rule = Tolerance(tol=0.1, epochs=1)
    >>> [rule.after({"epoch": k, "objective": value, "learning_rate": 1})[1] for k, value in enumerate([1.0, 0.95, 0.94])]
    [None, None, 'Training loss did not improve more than tol=0.100000 for 1 consecutive epochs.']
    """

    def __init__(self, tol, epochs, *, score=False, adaptive=False, plateau=False):
        from ..train.schedules import Plateau

        self.tol, self.epochs, self.score, self.adaptive = tol, epochs, score, adaptive
        self.plateau = Plateau() if plateau else None
        self.best, self.waited, self.scale_ = -math.inf, 0, 1.0

    keeps_best = property(lambda self: self.score)
    scale = property(lambda self: self.scale_ * (self.plateau.scale if self.plateau else 1.0))

    def after(self, record):
        """(Is this epoch the best so far, why to stop or None); NaN counts as not better."""
        value = record["validation_score"] if self.score else -record["objective"]
        if self.plateau:
            self.plateau.watch(-value)
        enough = value >= self.best + self.tol
        better = value > self.best
        self.waited = 0 if enough else self.waited + 1
        self.best = value if better else self.best
        if self.waited <= self.epochs:
            return better, None
        what = "Validation score" if self.score else "Training loss"
        reason = f"{what} did not improve more than tol={self.tol:f} for {self.epochs:g} consecutive epochs."
        if self.adaptive and record["learning_rate"] > 1e-6:
            self.scale_, self.waited = self.scale_ / 5, 0
            return better, None
        return better, reason

    def state(self):
        return {"best": self.best, "waited": self.waited, "scale": self.scale_, "plateau": vars(self.plateau) if self.plateau else None}

    def restore(self, state):
        self.best, self.waited, self.scale_ = state["best"], state["waited"], state["scale"]
        if self.plateau and state["plateau"]:
            self.plateau = type(self.plateau)(**state["plateau"])
