"""scikit-learn's own checks of an estimator, with no expected failures, for several sets of parameters."""

import pytest

sklearn = pytest.importorskip("sklearn")

from sklearn.utils.estimator_checks import parametrize_with_checks                   # noqa: E402

from backproof.estimators import MLPClassifier, MLPRegressor                         # noqa: E402

ESTIMATORS = [
    MLPClassifier(max_iter=100),
    MLPRegressor(max_iter=100),
    MLPClassifier((16,), "tanh", solver="lbfgs", max_iter=100, l2=1e-3),
    MLPRegressor(hidden_layer_sizes=(16,), activation="logistic", solver="lbfgs", max_iter=100),
    MLPClassifier(layers="16 relu | 8 tanh", solver="adamw", max_iter=100, learning_rate_init=0.01, clip_norm=5.0),
    MLPRegressor(hidden_layer_sizes=(16, 8), activation=("relu", "tanh"), solver="sgd", learning_rate_init=0.01, max_iter=100),
]


@parametrize_with_checks(ESTIMATORS)
def test_scikit_learn_accepts_the_estimators(estimator, check):
    check(estimator)
