"""D2, D3, D5, D6: the 20-8-1 network that scores whether the middle word of five is a place, trained with max-margin.

Reads   ten sentences with places in them; vectors of four numbers for their words, x = the five vectors of a window.
Gives   ∇W = δ xᵀ, δ = f'(z) ∘ (Wᵀ δ above) and the gradient of every word's vector, written out by hand beside the derived ones;
        the gradient check by central differences; what training with corrupt windows drawn anew in every epoch brings: the share
        of pairs beyond the margin, the words whose vectors moved, the scores of the words of a new sentence.
"""

import numpy as np

from backproof import Corruption, Network

TEXT = """museums in PARIS are amazing
we met in OSLO last winter
the trains to LIMA run late
she sang in CAIRO for years
the museums of ROME are closed
trains from PARIS to OSLO are late
they sang for years in LIMA
the winter in OSLO was amazing
last years we met in CAIRO
they closed the trains to ROME"""
NEW = "she met trains in CAIRO last winter"
SENTENCES = [line.split() for line in TEXT.split("\n")]
WORDS = ["<beyond>", *sorted({word.lower() for words in SENTENCES for word in words})]     # capitals only mark the places here


def windows(words):
    """The five ids around every word of a sentence; what lies beyond its ends is a word of its own, 0."""
    ids = [0, 0, *(WORDS.index(word.lower()) for word in words), 0, 0]
    return np.array([ids[k:k + 5] for k in range(len(words))])


def corpus():
    """(windows with a place in the middle, windows without)."""
    ids, place = np.concatenate([windows(words) for words in SENTENCES]), [word.isupper() for words in SENTENCES for word in words]
    return ids[place], ids[~np.array(place)]


def by_hand(model, pair):
    """The article's formulas for one pair of windows: {parameter: gradient of max(0, 1 + s_c − s)}, with (inputs, units) weights."""
    E, W, b, U = (model.parameters[name] for name in ("E1", "W2", "b2", "W3"))
    gradient, scores = {name: np.zeros_like(model.parameters[name]) for name in model.parameters}, []
    forward = []
    for ids in pair:
        x = E[ids].ravel()
        a = 1 / (1 + np.exp(-(x @ W + b)))
        forward.append((ids, x, a))
        scores.append(float(a @ U[:, 0]))
    loss = max(0.0, 1 + scores[1] - scores[0])
    for (ids, x, a), signal in zip(forward, (-1.0, 1.0)):
        signal *= loss > 0
        delta = a * (1 - a) * (U[:, 0] * signal)
        gradient["W3"] += np.outer(a, signal)
        gradient["W2"] += np.outer(x, delta)
        gradient["b2"] += delta
        np.add.at(gradient["E1"], ids, (W @ delta).reshape(5, 4))               # a word that stands twice receives both
    return loss, gradient


def differences(J, theta, step=1e-5):
    """(J(θ + ε e_i) − J(θ − ε e_i)) / 2ε for every entry of every parameter."""
    found = {}
    for name, array in theta.items():
        found[name] = np.zeros_like(array)
        for place in np.ndindex(array.shape):
            ahead, behind = ({**theta, name: array.copy()} for _ in range(2))
            ahead[name][place] += step
            behind[name][place] -= step
            found[name][place] = (J(ahead) - J(behind)) / (2 * step)
    return found


def main():
    true, without = corpus()
    network = Network(f"window 5 vocabulary={len(WORDS)} embedding 4 | 8 sigmoid | 1 nobias", loss="pairwise_margin")
    model = network.build(seed=2, dtype="float64")
    sampled = Corruption(true, without)
    pair = sampled.pairs(seed=2)[:1]
    loss, hand = by_hand(model, pair[0])
    derived = model.gradients(pair, None)
    worst = max(np.abs(hand[name] - derived[name]).max() for name in hand)
    numeric = differences(model.objective_function(pair, None), dict(model.parameters))
    checked = max(np.linalg.norm(numeric[name] - derived[name]) / np.linalg.norm(derived[name]) for name in derived)
    start = model.parameters["E1"].copy()
    model.fit(sampled, epochs=60, batch_size=4, optimizer="sgd", learning_rate=0.5)
    moved = np.linalg.norm(model.parameters["E1"] - start, axis=1)
    scores = model.predict(np.stack([windows(NEW.split())] * 2, axis=1))[:, 0, 0]
    pairs = model.predict(np.stack([np.repeat(true, len(without), 0), np.tile(without, (len(true), 1))], axis=1))[..., 0]
    return {"shapes": {p.name: p.shape for p in network.parameters}, "loss": loss, "by_hand": float(worst), "checked": float(checked),
            "idle": [model.history["idle"][k] for k in (0, -1)], "moved": [WORDS[k] for k in np.argsort(-moved)[:3]],
            "ranked": float(np.mean(pairs[:, 0] > pairs[:, 1])),
            "new": dict(zip(NEW.split(), scores.round(3).tolist()))}


if __name__ == "__main__":
    found = main()
    print("parameters", found["shapes"])
    print(f"J of the first pair {found['loss']:.4f}; by hand and derived differ by {found['by_hand']:.1e}, differences by {found['checked']:.1e}")
    print(f"pairs beyond the margin: {found['idle'][0]:.0%} in the first epoch, {found['idle'][1]:.0%} in the last")
    print(f"vectors that moved most: {', '.join(found['moved'])}")
    print(f"a window with a place scores above one without in {found['ranked']:.1%} of all pairs")
    print("  ".join(f"{word} {score:+.2f}" for word, score in found["new"].items()))
