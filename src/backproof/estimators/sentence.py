"""A sentence followed through the network: forward values, and the error signal shared out down to the word vectors.

Reads   an estimator of words in windows and one sentence.
Gives   a SentenceTrace. The signals are run from derived equations: those of E for every tag that a token might have, and
        those of one score, where a signal of 1 begins at the score and is shared out downwards (article D, error sharing).
"""

from dataclasses import replace

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
    system, first = network.system(), network.shapes[0][0]
    e = [q.name for q in system if q.layer == first][-1]
    z = [q.name for q in system if q.role == "pre_activation"]
    last = {q.layer: q.name for q in system if q.role == "activation"}
    a = [last[system[name].layer] for name in z[:-1]]                               # beside its z, layer by layer
    output = system.resolve("prediction")
    values = _run(model, system, list(dict.fromkeys([e, *a, z[-1], output])), ids)
    asked = _Asked(model, ids, len(tags), z, e)
    signals = {}
    if loss:
        signals["loss"] = asked.signal(network.gradient_system(target="class"), "E")
    top = system.restricted([z[-1]])
    seed = one_hot(Variable("y", (SAMPLE,), "target", integer=True), top[z[-1]].axes[-1])
    signals["score"] = asked.signal(sweep(top, {z[-1]: seed}, [e, *z[:-1]], mean_over=SAMPLE), None)
    signals["score"] = replace(signals["score"], value=np.ascontiguousarray(values[z[-1]].T))
    shape = (len(tags), len(tokens), len(words[0]), -1)
    signals = {mode: replace(s, e=_by_position(s.e, network).reshape(shape)) for mode, s in signals.items()}
    return SentenceTrace(tokens=list(tokens), tags=list(tags), window=words, outputs=values[output],
                         e=_by_position(values[e], network),
                         units=[(name, values[name]) for name in a], signals=signals, **about)


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


class _Asked:
    """The tokens of a sentence, each with every tag that may be asked about in turn."""

    def __init__(self, model, ids, tags, z, e):
        self.model, self.z, self.e, self.shape = model, z, e, (tags, len(ids))
        self.ids, self.y = np.tile(ids, (tags, 1)), np.repeat(np.arange(tags), len(ids))

    def signal(self, derived, value):
        """The Signal of derived equations; the seed, 1 at the score that is followed, has no equation of its own."""
        adjoints = {name: derived.adjoints[name] for name in (*self.z, self.e) if name in derived.adjoints}
        found = _run(self.model, derived.system, [*([value] if value else []), *adjoints.values()], self.ids, y=self.y)
        deltas = [(adjoints[name], found[adjoints[name]].reshape(*self.shape, -1)) for name in self.z if name in adjoints]
        if len(deltas) < len(self.z):
            ones = np.eye(self.shape[0], dtype=self.model.dtype)[:, None]
            deltas.append((f"delta of {self.z[-1]}", np.broadcast_to(ones, (*self.shape, self.shape[0])).copy()))
        return Signal(found[value].reshape(self.shape) if value else None, deltas, found[adjoints[self.e]])
