"""A character model: an LSTM reads a text and learns what comes next; then it writes, character by character.

    python examples/char_model.py FILE [--units 128] [--epochs 10] [--temperature 0.7] [--start "The "] [--length 400]

Any text will do; without a file it reads one that is made here, whose entropy is known, so that one can see how good it gets.
The last tenth of the text is not trained on: the bits per character are those of that part.
"""

import argparse
import math

import numpy as np

from backproof import Network
from backproof.engines.generator import uniform

STEPS = 64                       # characters of a training sequence
WORDS = [["a ", "one ", "that ", "this "], ["cat ", "dog ", "bird ", "fish "], ["eats ", "hears ", "likes ", "sees "],
         ["it.\n", "me.\n", "us.\n", "you.\n"]]


def made_text(sentences=4000, seed=0):
    """Sentences of four words, each drawn from four different ones: 2 bits per word, 8 bits a sentence, and nothing else is new."""
    draws = (uniform(seed, "corrupt", 4 * sentences).reshape(sentences, 4) * 4).astype(int)
    return "".join(words[k] for row in draws for words, k in zip(WORDS, row))


def entropy(text):
    """Bits per character of `made_text`: 8 bits a sentence over its characters."""
    return 8 * text.count("\n") / len(text)


def encoded(text, alphabet=None):
    """(alphabet, the number of each character)."""
    alphabet = alphabet or "".join(sorted(set(text)))
    known = {character: k for k, character in enumerate(alphabet)}
    return alphabet, np.array([known[character] for character in text])


def cut(numbers, steps=STEPS):
    """(what is read, what comes next), sequences of ``steps`` characters: (n, t) each."""
    n = (len(numbers) - 1) // steps
    return numbers[:n * steps].reshape(n, steps), numbers[1:n * steps + 1].reshape(n, steps)


def describe(alphabet, units=128, embedding=32):
    """The network: a vector per character, an LSTM, the probability of every character at every step."""
    size = len(alphabet)
    return Network(f"embedding {embedding} vocabulary={size} | lstm {units} | {size} softmax", loss="cross_entropy")


def train(text, *, units=128, epochs=10, batch_size=32, learning_rate=5e-3, seed=0, steps=STEPS, threads=None, callbacks=()):
    """(model, alphabet, bits per character of the last tenth of the text)."""
    alphabet, numbers = encoded(text)
    border = int(0.9 * len(numbers))
    model = describe(alphabet, units).build(seed=seed, threads=threads)
    model.fit(*cut(numbers[:border], steps), epochs=epochs, batch_size=batch_size, learning_rate=learning_rate, clip_norm=1.0,
              callbacks=callbacks)
    return model, alphabet, bits_per_character(model, numbers[border:], steps)


def bits_per_character(model, numbers, steps=STEPS):
    """The mean of −log₂ of the probability of the next character; every sequence of ``steps`` begins without a memory."""
    return model.loss(*cut(numbers, steps)) / math.log(2)


def write(model, alphabet, start, length, temperature=1.0, seed=0):
    """``start`` and what the model writes after it: the state is carried from character to character.

    A temperature below 1 sharpens the probabilities (p^(1/T), normalised), above 1 it flattens them; draws come from ``seed``.
    """
    states = model.network.states
    program = model.program("prediction", *(f"{name}.end" for name in states), given_state=True)
    carried = {name: np.zeros((1, program.values[f"{name}.start"].axes[-1].extent), model.dtype) for name in states}
    draws, written = uniform(seed, "corrupt", length), list(start)
    reading = encoded(start, alphabet)[1]
    for draw in draws:
        feeds = {"ids": reading[:, None], **{f"{name}.start": value for name, value in carried.items()}}
        found = model.engine.Run(program, {**model.parameters, **feeds}, model.dtype).outputs()
        carried = {name: found[f"{name}.end"] for name in states}
        chances = np.log(found["prediction"][-1, 0].astype(np.float64)) / temperature
        chances = np.exp(chances - chances.max())
        reading = np.array([min(np.searchsorted(np.cumsum(chances) / chances.sum(), draw, side="right"), len(alphabet) - 1)])
        written.append(alphabet[reading[0]])
    return "".join(written)


def main(text=None, *, start=None, length=200, temperature=0.7, **how):
    made = text is None
    text = made_text() if made else text
    model, alphabet, bits = train(text, **how)
    sample = write(model, alphabet, start or text[:1], length, temperature)
    print(f"{len(text):,} characters, {len(alphabet)} different; {model.network.spec}, {model.network.count:,} parameters")
    print(f"{bits:.3f} bits per character on the last tenth" + (f"; the text's entropy is {entropy(text):.3f}" if made else ""))
    print(sample)
    return {"bits": bits, "entropy": entropy(text) if made else None, "sample": sample, "model": model, "alphabet": alphabet}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?")
    for name, kind in (("units", int), ("epochs", int), ("temperature", float), ("start", str), ("length", int), ("seed", int)):
        parser.add_argument(f"--{name}", type=kind)
    given = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    file = given.pop("file", None)
    main(None if file is None else open(file, encoding="utf-8").read(), **given)
