"""Backpropagation you can read, check and trust, at full speed.

    from backproof import Network
    model = Network("64 | 32 relu | 10 softmax", loss="cross_entropy").build(seed=0)
    model.fit(X, y, epochs=10).predict(X)

Names load when they are first used, so that importing backproof is quick.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    ".network": ["Network"],
    ".model": ["Model"],
    ".check": ["check_gradients", "assert_gradients"],
    ".networks": ["Activation", "Bidirectional", "Channels", "Dense", "Dropout", "Embedding", "GRU", "LSTM", "Last", "Layer",
                  "LayerNorm", "MaxPool", "MeanPool", "RNN", "Cell", "Recurrent", "Window", "cell", "layer", "loss"],
    ".calculus": ["elementwise", "select", "total", "mean", "square", "exp", "log", "sqrt", "abs", "maximum", "minimum",
                  "sigmoid", "tanh", "relu", "softplus", "erf", "normal_cdf", "step", "sign", "logsumexp", "largest"],
    ".data.corruption": ["Corruption"],
    ".train": ["optimizer"],
    ".show.trace": ["Recorder"],
    ".show.health": ["Health"],
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
__all__ = sorted(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'backproof' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name], __name__), name)
    return value


def __dir__():
    return sorted([*globals(), *_HOME])
