"""Estimators: scikit-learn's front. The only room with scikit-learn's parameter names.

    from backproof.estimators import (MLPClassifier, MLPRegressor, SequenceClassifier, SequenceRegressor, SequenceTagger,
                                      WindowScorer, WindowTagger)

Changing the import line is all it takes: parameters, defaults, attributes and meanings are scikit-learn's; what goes beyond
them has a default that changes nothing.
"""

from .mlp import MLPClassifier, MLPRegressor                                    # noqa: F401
from .sequence import SequenceClassifier, SequenceRegressor, SequenceTagger     # noqa: F401
from .words import WindowScorer, WindowTagger                                  # noqa: F401

__all__ = ["MLPClassifier", "MLPRegressor", "SequenceClassifier", "SequenceRegressor", "SequenceTagger", "WindowScorer", "WindowTagger"]
