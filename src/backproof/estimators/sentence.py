"""A sentence followed through the network: forward values, and the error signal shared out down to the word vectors.

Reads   an estimator of words in windows and one sentence.
Gives   a SentenceTrace. The signals are run from derived equations: those of E for every tag that a token might have, and
        those of one score, where a signal of 1 begins at the score and is shared out downwards (article D, error sharing).
"""

import numpy as np

from ..calculus import SAMPLE, Variable, one_hot
from ..derive import sweep
from ..lower import lower
from ..show.sentence import SentenceTrace, Signal

__all__ = ["sentence_trace"]


def sentence_trace(model, network, ids, tokens, words, tags, *, loss, **about):
    """The trace of the tokens of one sentence.

    Parameters  network  of one window at a time (a pairwise loss compares two), with the parameters of ``model``
                ids      (t, C); words: (t, p) around each; tags: the names of the outputs; loss: follow E for every tag, too
    """
    first = next(iter(network.shapes))[0]
    forward = [e for e in network.system()]
    e = [q.name for q in forward if q.layer == first][-1]
    z = [q.name for q in forward if q.role == "pre_activation"]
    a = [q.name for q in forward if q.role == "activation" and q.layer != first and "prediction" not in q.name]
    output = network.system().resolve("prediction")
    names, k, t = [e, *a, z[-1], output], len(tags), len(tokens)
    every = np.repeat(np.arange(k), t)                                  # each token with each tag in turn
    repeated = np.tile(ids, (k, 1))
    values = _run(model, network.system(), [n for n in dict.fromkeys(names)], ids)
    signals = {}
    if loss:
        derived = network.gradient_system(target="class")
        signals["loss"] = _signal(model, derived, "E", z, e, repeated, every, (k, t))
    system = network.system().restricted([z[-1]])
    unit = system[z[-1]].axes[-1]
    seed = one_hot(Variable("y", (SAMPLE,), "target", integer=True), unit)
    derived = sweep(system, {z[-1]: seed}, [e, *z[:-1]], mean_over=SAMPLE)
    signals["score"] = _signal(model, derived, None, z, e, repeated, every, (k, t))
    scores = values[z[-1]]
    signals["score"] = Signal(scores.T.copy(), signals["score"].deltas, signals["score"].e)
    shaped = {m: Signal(s.value, s.deltas, _by_position(s.e, network).reshape(k, t, len(words[0]), -1)) for m, s in signals.items()}
    hidden = [(name, values[name]) for name in a if name not in (output, e)]
    return SentenceTrace(tokens=list(tokens), tags=list(tags), window=words, outputs=values[output],
                         e=_by_position(values[e], network),
                         units=hidden, signals=shaped, **about)


def _by_position(e, network):
    """(n, p, d) from the features of the windows: at each position the vectors of all channels, one after another."""
    windows = getattr(network.layers[0], "layers", network.layers[:1])
    ends = np.cumsum([window.size * window.embedding for window in windows])
    return np.concatenate([part.reshape(len(e), window.size, -1) for part, window in zip(np.split(e, ends[:-1], axis=1), windows)],
                          axis=2)


def _run(model, system, names, ids, **more):
    program = lower(system, names, kernels=model.engine.kernels)
    stored = {name: array for name, array in {"ids": ids, **more}.items() if name in program.inputs}
    arrays = {name: array for name, array in model.parameters.items() if name in program.parameters}
    return model.engine.Run(program, {**arrays, **stored}, model.dtype).outputs()


def _signal(model, derived, value, z, e, ids, tags, shape):
    """The Signal of derived equations; an error signal that is a plain number or a variable is put in by itself."""
    adjoints = {name: derived.adjoints[name] for name in (*z, e) if name in derived.adjoints}
    found = _run(model, derived.system, [*([value] if value else []), *adjoints.values()], ids, y=tags)
    deltas = []
    for name in z:
        if name in adjoints:
            deltas.append((adjoints[name], found[adjoints[name]].reshape(*shape, -1)))
    if len(deltas) < len(z):                                             # the seed: 1 at the score that is followed
        ones = np.eye(shape[0], dtype=model.dtype)[:, None]
        deltas.append((f"delta of {z[-1]}", np.broadcast_to(ones, (*shape, shape[0])).copy()))
    return Signal(found[value].reshape(shape) if value else np.zeros(shape), deltas, found[adjoints[e]])
