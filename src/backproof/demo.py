"""``make demo``: train on handwritten digits, show the network's error signals with their checks, judge a published program.

Reads   the digits that scikit-learn ships; nothing else.
Gives   text on stdout, the files of the run in run/demo. Every figure is measured in this run.
"""

import time

import numpy as np

from .jobs import Settings, train_table
from .network import Network

__all__ = ["main", "published_update", "implied_gradients", "MENDS"]

SETTINGS = Settings(layers="32 relu", epochs=40, patience=None, seed=0)


def main(out="run/demo"):
    start = time.perf_counter()
    print("1. Train on 'digits': 1,797 pictures of 8 × 8 points\n")
    outcome = train_table("digits", settings=SETTINGS, out=out, force=True, say=lambda text: print(f"   {text}"), progress=_progress)
    print("\n2. What the network learned from: its error signals, derived, each line evaluated as printed\n"
          "   on random numbers and compared with the complex step\n")
    print(error_signals(outcome.model.network))
    print("\n3. The result\n")
    print(_indented(outcome.table()))
    print(f"\n   saved in {out}: backproof predict {out}/model.safetensors digits")
    print("\n4. A published program, judged by its own updates\n")
    print(published_program())
    print(f"\n{time.perf_counter() - start:.1f} s in all")


def _progress(record):
    if record["epoch"] % 10 == 9:
        print(f"   epoch {record['epoch'] + 1:>3}  loss {record['loss']:.4f}  validation {record['validation_loss']:.4f}")


def _indented(text):
    return "\n".join("   " + line for line in text.split("\n"))


def error_signals(network):
    """The lines of the derivation that define δ, with their checks."""
    lines, wanted, shown = network.derive().to_text(check=True).split("\n"), False, []
    for line in lines:
        if line.lstrip().startswith("("):
            wanted = line.partition(")")[2].lstrip().startswith("δ")
        if wanted:
            shown.append(line)
    return "\n".join(shown)


# ---------------------------------------------------------------------------------------------------- the published program

LAYERS, UNITS, RATE = 10, 3, 0.1
MENDS = ("", "slope", "slope, input", "slope, input, shape")


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def published_update(weights, biases, x, y, mended=""):
    """One step of the program of a much read article on error backpropagation: new (weights, biases).

    Rewritten from its published mistakes: the slope is f(z)·f(1 − z) instead of f(z)(1 − f(z)); the change of a weight is
    δ times the activation of the unit's own layer instead of the layer below, one number for a whole row of weights.
    ``mended`` names those that are corrected: "slope", "input" (the activation below), "shape" (a number per weight).
    """
    activations, slopes = [x], []
    for W, b in zip(weights, biases):
        z = W @ activations[-1] + b
        activations.append(sigmoid(z))
        slopes.append(sigmoid(z) * (1 - sigmoid(z)) if "slope" in mended else sigmoid(z) * sigmoid(1 - z))
    delta, new_weights, new_biases = (activations[-1] - y) * slopes[-1], [], []
    for k in reversed(range(len(weights))):
        factor = activations[k] if "input" in mended else activations[k + 1]
        change = np.outer(delta, factor) if "shape" in mended else (delta * factor)[:, None]
        new_weights.insert(0, weights[k] - RATE * change)
        new_biases.insert(0, biases[k] - RATE * delta)
        if k:
            delta = (weights[k].T @ delta) * slopes[k - 1]
    return new_weights, new_biases


def implied_gradients(before, after):
    """(θ0 − θ1)/η by our names: the gradient that an update of plain gradient descent must have used."""
    (W0, b0), (W1, b1) = before, after
    found = {}
    for k in range(len(W0)):
        found[f"W{k + 1}"] = ((W0[k] - W1[k]) / RATE).T                      # ours are (inputs, outputs)
        found[f"b{k + 1}"] = (b0[k] - b1[k]) / RATE
    return found


def compare(mended="", seed=0):
    """{tensor: (relative error, allowed)} of the program's implied gradient against the derived one."""
    draw = np.random.default_rng(seed)
    weights = [draw.uniform(0, 1, (UNITS, UNITS)) for _ in range(LAYERS - 1)]
    biases = [draw.uniform(0, 1, UNITS) for _ in range(LAYERS - 1)]
    x = draw.uniform(0, 1, UNITS)                                            # the program learns to give back its input
    implied = implied_gradients((weights, biases), published_update(weights, biases, x, x, mended))
    model = Network(" | ".join([str(UNITS)] + [f"{UNITS} sigmoid"] * (LAYERS - 1)), loss="squared_error").build(dtype="float64")
    model.set_parameters(**{f"W{k + 1}": W.T for k, W in enumerate(weights)}, **{f"b{k + 1}": b for k, b in enumerate(biases)})
    derived = model.gradients(x[None], x[None])
    found = {}
    for name, gradient in derived.items():
        size = np.linalg.norm(gradient)
        rounding = np.finfo(float).eps * np.linalg.norm(model.parameters[name]) / RATE       # of θ0 − θ1
        found[name] = float(np.linalg.norm(implied[name] - gradient) / size), float(2 * rounding / size + 1e-12)
    return found


def wrong(found):
    """The tensors whose error rounding cannot explain."""
    return [name for name, (error, allowed) in found.items() if not error <= allowed]


def published_program():
    """What the comparison says, as text: per tensor as published, then with the mistakes mended one after another."""
    found = compare()
    lines = [f"   {LAYERS} layers of {UNITS} sigmoid units, one sample, learning rate {RATE}. It shows no gradient; its first update",
             "   implies one, (θ0 − θ1)/η, compared here with the derived gradient, tensor by tensor:", "",
             "   layer   weights           biases       error relative to the derived gradient"]
    for k in range(1, LAYERS):
        cells = [f"{found[n][0]:.1e} {'✗' if n in wrong(found) else '✓'}" for n in (f"W{k}", f"b{k}")]
        lines.append(f"   {k:>5}   {cells[0]:<15}   {cells[1]}")
    lines += ["", "   Mended one after another:"]
    words = {"": "as published", "slope": "f'(z) = f(z)(1 − f(z)), not f(z) f(1 − z)",
             "slope, input": "a weight's δ times the activation of the layer below, not of its own",
             "slope, input, shape": "a number for every weight, not one for a whole row"}
    for mended in MENDS:
        judged = compare(mended)
        bad = wrong(judged)
        kinds = "" if not bad else " (all weights)" if bad == [n for n in judged if n[0] == "W"] else ""
        lines.append(f"   {len(bad):>2} of {len(judged)} tensors wrong{kinds:<14}  {words[mended]}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
