"""D4: backpropagation as error sharing, signal by signal on a 4-2-1 network.

Reads   one window of four numbers, s = U.f(Wx + b).
Gives   the error signal of 1 that starts at the score, what multiplies it on its way, and what arrives at W_14, at a
        bias and at the inputs; then the signals -1 at s and +1 at s_c under J = max(0, 1 + s_c - s), none where
        J = 0.
"""

import numpy as np

from backproof import Network
from backproof.engines.reference import Run
from backproof.lower import lower

X = np.array([[0.5, -1.0, 2.0, 0.3]])
W = np.array([[0.1, -0.4], [0.7, 0.2], [-0.3, 0.5], [0.6, -0.8]])            # (inputs, units): W_14 is W[3, 0]
B = np.array([0.1, -0.2])
U = np.array([[0.9], [-0.5]])


def score_signals():
    """The derived equations of ds/d(everything), run."""
    derivation = Network("4 | 2 sigmoid | score: 1 nobias").derive(of="score", wrt=["W1", "b1", "score.W", "x"])
    names = [equation.name for equation in derivation.equations]
    run = Run(lower(derivation.system, names), {"x": X, "W1": W, "b1": B, "score.W": U})
    return {**run.outputs(), "x": run.outputs()[derivation.sweep.adjoints["x"]]}


def margin_signals():
    """The error signals at the scores of the true and the corrupt window, where J > 0 and where J = 0."""
    model = Network("4 | 2 sigmoid | score: 1 nobias", loss="pairwise_margin").build(dtype="float64")
    model.set_parameters(**{"W1": W, "b1": B, "score.W": U})
    pair = np.stack([X, X[:, ::-1]], axis=1)
    signals, losses = [], []
    for pairs, factor in ((pair, 1.0), (pair[:, ::-1], 50.0)):       # the second: beyond the margin
        model.set_parameters(**{"score.W": factor * U})
        losses.append(float(model.sample_losses(pairs, None)[0]))
        signals.append(model.deltas(pairs, None)["score.delta"].ravel().tolist())
    return losses, signals


def main():
    found = score_signals()
    a = found["a1"][0]
    slopes = a * (1 - a)
    shared = 1.0 * U[:, 0]
    delta = shared * slopes
    losses, signals = margin_signals()
    return {"score": float(found["score.z"][0, 0]), "shared": shared.tolist(), "slopes": slopes.tolist(),
            "delta": delta.tolist(), "derived_delta": found["delta1"][0].tolist(),
            "W14": float(delta[0] * X[0, 3]), "derived_W14": float(found["grad.W1"][3, 0]),
            "b1": float(delta[0]), "derived_b1": float(found["grad.b1"][0]),
            "x": (W @ delta).tolist(), "derived_x": found["x"][0].tolist(),
            "losses": losses, "signals": signals}


if __name__ == "__main__":
    found = main()
    print(f"score s = {found['score']:.6f}, error signal 1")
    for unit in range(2):
        print(f"unit {unit + 1}: 1 × U_{unit + 1} = {found['shared'][unit]:.4f}, × f'(z_{unit + 1}) = "
              f"{found['slopes'][unit]:.6f} gives δ_{unit + 1} = {found['delta'][unit]:.6f}")
    print(f"W_14 receives δ_1 × x_4 = {found['W14']:.6f}; derived {found['derived_W14']:.6f}")
    print(f"b_1  receives δ_1 × 1   = {found['b1']:.6f}; derived {found['derived_b1']:.6f}")
    for loss, (true, corrupt) in zip(found["losses"], found["signals"]):
        print(f"J = {loss:.4f}: signal {true:+g} at s, {corrupt:+g} at s_c")
