"""The one table of cases: networks that feed golden equations, gradient checks, engine agreement and benchmarks.

A case is a spec, a loss, how its data are drawn, and its tolerance against the complex step (or against Richardson
extrapolation where it is not analytic, away from kinks).
"""

from dataclasses import dataclass

import numpy as np

from backproof.network import Network
from backproof.networks import ACTIVATIONS, LOSSES

HIDDEN = ("identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "softsign", "hardtanh")


@dataclass(frozen=True)
class Case:
    """A network, a loss, and options; ``name`` is the test's id."""

    spec: str
    loss: str
    batch: int = 5
    weighted: bool = False
    target: str = "dense"
    options: tuple = ()
    tolerance: float = 1e-11
    steps: int = 4
    scale: float = 0.8

    @property
    def name(self):
        extra = "".join(f" {k}={v}" for k, v in self.options)
        return f"{self.spec} {self.loss}{extra} n={self.batch}{' weighted' if self.weighted else ''}{' class' if self.target == 'class' else ''}"

    def network(self):
        return Network(self.spec, loss=self.loss, **dict(self.options))

    def model(self, **how):
        """The network with parameters drawn away from symmetry: every tensor dense, biases too."""
        model = self.network().build(seed=1, **{"dtype": "float64", **how})
        draw = np.random.default_rng(7)
        return model.set_parameters(**{name: self.scale * draw.normal(size=array.shape) for name, array in model.parameters.items()})

    def data(self):
        """(X, y, sample weights or None), drawn from the case alone."""
        network, draw = self.network(), np.random.default_rng(3)
        shape = (self.batch, self.steps) if network.sequence else (self.batch,)
        if network.vocabulary is not None:
            X = draw.integers(0, network.vocabulary, (*shape, network.window) if network.window else shape)
        elif network.pairs:
            X = draw.normal(size=(self.batch, 2, network.inputs))
        else:
            X = draw.normal(size=(*shape, network.inputs))
        weights = draw.uniform(0.2, 2, self.batch) if self.weighted else None
        rows = shape if network.output_per_step else (self.batch,)
        return X, targets(network, self.target, rows, draw), weights


def targets(network, form, rows, draw):
    """Targets in the range that the loss takes."""
    if network.pairs:
        return None
    if form == "class":
        return draw.integers(0, network.outputs, rows)
    y = draw.normal(size=(*rows, network.outputs))
    if "class" in network.targets or "softmax" in network.spec:       # else Σ_k a_k = 1 may leave no gradient at all
        y = np.exp(y) / np.exp(y).sum(axis=-1, keepdims=True)
    elif network.loss.takes == (0, 1):
        y = draw.uniform(0, 1, y.shape)
    elif network.loss.takes == (0, float("inf")):
        y = np.round(np.exp(y))
    return y


# defined on half the line, or constant between jumps: nobody ends a network with them
NO_OUTPUT = ("log", "sqrt", "reciprocal", "log_softplus", "sign", "step")


def admissible():
    """Every activation of the last layer × loss that may be paired."""
    pairs = []
    for activation in [name for name in ACTIVATIONS if name not in NO_OUTPUT]:
        for loss in LOSSES:
            try:
                Network(f"3 | 2 {activation}", loss=loss)
            except ValueError:
                if not LOSSES[loss].pairs:
                    continue
                try:
                    Network(f"3 | 1 {activation}", loss=loss)
                except ValueError:
                    continue
            pairs.append((activation, loss))
    return pairs


def pairings():
    """Every admissible pairing × 1, 2, 3 outputs × batch 1, 2, 5 × weights on and off."""
    cases = []
    for activation, loss in admissible():
        outputs = [1] if LOSSES[loss].pairs else [2, 3] if activation == "softmax" or loss == "multiclass_margin" else [1, 2, 3]
        for k in outputs:
            for batch in (1, 2, 5):
                for weighted in (False, True):
                    for target in LOSSES[loss].targets or ("dense",):
                        cases.append(Case(f"3 | 4 tanh | {k} {activation}", loss, batch, weighted, target))
    return cases


def hidden():
    """Every hidden activation in a deep network with unequal widths, and in a square one."""
    return [Case(spec.replace("f", activation), "squared_error", options=(("l2", 0.3),))
            for activation in HIDDEN for spec in ("7 | 3 f | 4 f | 2", "4 | 4 f | 4 f | 4")]


def recurrent():
    """Every cell × loss at the last step, at every step and pooled, both directions, one and two layers."""
    cases = []
    for cell in ("rnn", "gru", "lstm", "bi rnn", "bi gru", "bi lstm"):
        cases.append(Case(f"3 | {cell} 4 | 2", "squared_error"))
        cases += [Case(f"3 | {cell} 4 | {pool} | 2 softmax", "cross_entropy", target="class") for pool in ("last", "mean", "max")]
        cases.append(Case(f"3 | {cell} 3 | {cell} 4 | 2 softmax", "cross_entropy", target="class"))
        cases.append(Case(f"4 | {cell} 4 | last | 4 tanh | 1 sigmoid", "binary_cross_entropy", weighted=True))
    return cases


def others():
    """Layer norm, embeddings, windows, penalties of both kinds."""
    return [
        Case("5 | 6 tanh | layer_norm | 3", "squared_error"),
        Case("5 | layer_norm | 6 tanh | layer_norm | 3 softmax", "cross_entropy", target="class"),
        Case("window 5 vocabulary=11 embedding 4 | 6 tanh | 1 nobias", "squared_error"),
        Case("embedding 4 vocabulary=9 | rnn 3 | last | 2 softmax", "cross_entropy", target="class"),
        Case("embedding 4 vocabulary=9 | bi lstm 3 | 2 softmax", "cross_entropy", target="class"),
        Case("4 | 3 tanh | 2", "squared_error", options=(("l2", 0.3), ("l1", 0.1))),
        Case("4 | 3 tanh | 2", "squared_error", options=(("l2", 0.3), ("decay_biases", True))),
        Case("20 | 8 tanh | 1 nobias", "pairwise_margin"),
    ]


def every():
    return [*pairings(), *hidden(), *recurrent(), *others()]
