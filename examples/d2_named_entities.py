"""D2, D3: is the middle word of a window an entity? The article's 20-8-1 network, s = U.f(Wx + b), trained by max-margin.

Reads   the built-in text of 150 short sentences, in its test part with names that training does not have.
Gives   the share of pairs (a word inside an entity, one outside) that the score puts in the right order, the share of pairs from
        which nothing was learnt (J = 0) epoch by epoch, what the first hidden units answer to, and how the signal of 1 at the score
        of "Paris" in "Museums in Paris are amazing" is shared out over the five words.
"""

from backproof.data.entities import entities
from backproof.estimators import WindowScorer


def main():
    training, test = entities(), entities("test")
    scorer = WindowScorer(window=5, dimensions=4, hidden_layer_sizes=8, activation="sigmoid", channels="word", min_count=1,
                          learning_rate_init=0.003, max_iter=60, random_state=0)
    scorer.fit(training.sentences, training.tags)
    words = "Museums in Paris are amazing".split()
    trace = scorer.trace(words)
    idle = scorer.model_.history["idle"]
    return {"network": str(scorer.network_.spec), "loss": scorer.network_.loss.text(), "inputs": scorer.window * 4,
            "ordered": scorer.score(test.sentences, test.tags), "idle": [idle[0], idle[9], idle[-1]],
            "scores": dict(zip(words, scorer.decision_function([words])[0].tolist())), "threshold": scorer.threshold_,
            "shares": trace.shares(2, "s", "score"),
            "top": [[" ".join(window) for _, window, *_ in scorer.top_windows(unit, training.sentences, 3)] for unit in range(3)]}


if __name__ == "__main__":
    found = main()
    print(f"{found['network']}, {found['loss']}: {found['inputs']} inputs")
    print(f"test pairs in the right order: {found['ordered']:.4f}")
    print("nothing learnt from", ", ".join(f"{share:.0%}" for share in found["idle"]), "of the pairs in epochs 1, 10 and 60")
    print("scores:", ", ".join(f"{word} {score:.2f}" for word, score in found["scores"].items()),
          f"(yes above {found['threshold']:.2f})")
    for word, size, share in found["shares"]:
        print(f"  {word:<8} receives {size:.4f}, {share:.0%} of the signal at the score of 'Paris'")
    for unit, windows in enumerate(found["top"]):
        print(f"unit {unit + 1} answers to: {' | '.join(windows)}")
