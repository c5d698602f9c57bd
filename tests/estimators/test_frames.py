"""pandas, polars and Arrow tables wherever data are taken; their columns are matched by name, never silently by place."""

import numpy as np
import pytest

from backproof import Network, check_gradients
from backproof.errors import DataError
from backproof.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
rng = np.random.default_rng(0)
X = rng.normal(size=(60, 3))
LABELS = np.where(X[:, 0] > 0, "a", "b")
NAMES = ["u", "v", "w"]
TURNED = ["w", "u", "v"]


class Library:
    """The same rows as a frame of a library, with its series."""

    def __init__(self, name):
        self.name = name
        self.module = pytest.importorskip(name, reason=f"{name} is not installed")

    def frame(self, rows=X, names=NAMES):
        columns = {name: rows[:, NAMES.index(name)] for name in names}
        return self.module.table(columns) if self.name == "pyarrow" else self.module.DataFrame(columns)

    def series(self, values):
        return self.module.array(values) if self.name == "pyarrow" else self.module.Series(values)


@pytest.fixture(params=["pandas", "polars", "pyarrow"])
def library(request):
    return Library(request.param)


def test_estimators_take_frames_and_series_everywhere(library):
    frame, labels = library.frame(), library.series(LABELS)
    made = {"max_iter": 3, "random_state": 0}
    plain = MLPClassifier(**made).fit(X, LABELS, sample_weight=np.ones(60), eval_set=(X, LABELS))
    found = MLPClassifier(**made).fit(frame, labels, sample_weight=library.series(np.ones(60)), eval_set=(frame, labels))
    assert list(found.feature_names_in_) == NAMES and found.validation_scores_ == plain.validation_scores_
    for a, b in zip(found.coefs_, plain.coefs_):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(found.predict(frame), plain.predict(X))
    np.testing.assert_array_equal(found.predict_proba(frame), plain.predict_proba(X))
    assert found.score(frame, labels) == plain.score(X, LABELS)
    assert found.trace(library.frame(X[:2]), library.series(LABELS[:2])).n == 2
    again = MLPClassifier(random_state=0).partial_fit(frame, labels, classes=["a", "b"])
    np.testing.assert_array_equal(again.coefs_[0], MLPClassifier(random_state=0).partial_fit(X, LABELS, classes=["a", "b"]).coefs_[0])
    numbers = MLPRegressor(**made).fit(frame, library.series(X[:, 0])).predict(frame)
    np.testing.assert_array_equal(numbers, MLPRegressor(**made).fit(X, X[:, 0]).predict(X))


def test_an_estimator_refuses_columns_in_another_order_as_scikit_learn_asks(library):
    found = MLPClassifier(max_iter=2, random_state=0).fit(library.frame(), LABELS)
    with pytest.raises(ValueError, match="same order"):
        found.predict(library.frame(names=TURNED))


def test_models_take_frames_everywhere_and_match_columns_by_name(library):
    network, y = Network("3 | 4 tanh | 2 softmax", loss="cross_entropy"), (X[:, 0] > 0).astype(int)
    plain = network.build(seed=0).fit(X, y, epochs=2, validation=(X, y))
    model = network.build(seed=0).fit(library.frame(), y, epochs=2, validation=(library.frame(names=TURNED), library.series(y)))
    assert model.history["validation_loss"] == plain.history["validation_loss"] and model.feature_names == NAMES
    for frame in (library.frame(), library.frame(names=TURNED)):
        np.testing.assert_array_equal(model.predict(frame), plain.predict(X))
        assert model.loss(frame, y) == plain.loss(X, y)
    few = library.frame(X[:3])
    double = network.build(seed=0, dtype="float64")
    assert check_gradients(double, few, y[:3]).verdict == "pass"
    assert double.trace(few, y[:3]).n == 3


def test_a_column_of_another_name_is_named(library):
    model = Network("3 | 2 softmax", loss="cross_entropy").build().fit(library.frame(), (X[:, 0] > 0).astype(int), epochs=1)
    other = {"u": X[:, 0], "v": X[:, 1], "z": X[:, 2]}
    frame = library.module.table(other) if library.name == "pyarrow" else library.module.DataFrame(other)
    with pytest.raises(DataError, match="column 2 of X is 'z'; the model was trained with 'w' there"):
        model.predict(frame)
