"""Estimators: scikit-learn's front. The only room with scikit-learn's parameter names.

    from backproof.estimators import (MLPClassifier, MLPRegressor, SequenceClassifier, SequenceRegressor, SequenceTagger,
                                      WindowScorer, WindowTagger)

Changing the import line is all it takes: parameters, defaults, attributes and meanings are scikit-learn's; what goes beyond
them has a default that changes nothing. Each loads when it is first used.
"""

from importlib import import_module

_HOME = {"MLPClassifier": ".mlp", "MLPRegressor": ".mlp", "SequenceClassifier": ".sequence", "SequenceRegressor": ".sequence",
         "SequenceTagger": ".sequence", "WindowScorer": ".words", "WindowTagger": ".words"}
__all__ = sorted(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'backproof.estimators' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOME[name], __name__), name)
    return value


def __dir__():
    return sorted([*globals(), *_HOME])
