"""Training: optimizers as expressions, schedules, the loop, history, model files."""

from .history import History                                     # noqa: F401
from .loop import Options, train                                 # noqa: F401
from .optimizers import OPTIMIZERS, Optimizer, optimizer         # noqa: F401
