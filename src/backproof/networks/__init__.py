"""Networks: layers, cells, losses, initial values and the one-line spec, all written in the calculus.

Reads   what a user says: a spec, layers, functions of their own.
Gives   one system of named equations per network; nothing in it is differentiated by hand.
"""

from .activations import ACTIVATIONS, SIMPLEX, activation                                              # noqa: F401
from .cells import GRU, LSTM, RNN, Bidirectional, Cell, Recurrent, cell                                # noqa: F401
from .initial import POLICIES                                                                          # noqa: F401
from .layers import (KINDS, Activation, Channels, Dense, Dropout, Embedding, Last, Layer, LayerNorm, MaxPool, MeanPool,    # noqa: F401
                     Window, layer)
from .losses import LOSSES, Loss, loss                                                                 # noqa: F401
from .scope import Noise, Parameter, Scope                                                             # noqa: F401
