"""MLPClassifier and MLPRegressor: scikit-learn's numbers step by step, what goes beyond them, and what they refuse."""

import io
import pickle
import warnings
from contextlib import redirect_stdout

import joblib
import numpy as np
import pytest
from scipy import sparse
from sklearn import neural_network as theirs
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from backproof import Network, elementwise, loss, select, square, total
from backproof.errors import DataError, NonFiniteError, OptionError
from backproof.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
rng = np.random.default_rng(0)
X = rng.normal(size=(53, 5))
TWO, THREE = (X[:, 0] + X[:, 1] > 0).astype(int), np.digitize(X[:, 0], [-0.5, 0.5])
LABELS, NUMBERS = (rng.random((53, 3)) < 0.5).astype(int), X[:, 0] * X[:, 1]
MANY = np.stack([NUMBERS, X[:, 2], X[:, 3] ** 2], 1)


# ------------------------------------------------------------------------------------- scikit-learn's numbers

BASE = {"hidden_layer_sizes": (7, 6), "shuffle": False, "batch_size": 16, "random_state": 1, "tol": 0, "alpha": 0.1,
        "n_iter_no_change": 1000, "max_iter": 30}
SETTINGS = {
    "adam": {},
    "nesterov": {"solver": "sgd", "learning_rate_init": 0.05},
    "momentum": {"solver": "sgd", "nesterovs_momentum": False, "learning_rate": "invscaling", "learning_rate_init": 0.01},
    "plain": {"solver": "sgd", "momentum": 0, "learning_rate": "adaptive", "learning_rate_init": 0.3, "tol": 1e-2,
              "n_iter_no_change": 1},
    "lbfgs": {"solver": "lbfgs", "activation": "tanh"},
    "full batches": {"batch_size": 53, "activation": "logistic"},
}
TARGETS = {"two": ("Classifier", TWO, {}), "three": ("Classifier", THREE, {}), "labels": ("Classifier", LABELS, {}),
           "number": ("Regressor", NUMBERS, {}), "counts": ("Regressor", np.exp(NUMBERS), {"loss": "poisson", "learning_rate_init": 1e-3}),
           "numbers": ("Regressor", MANY, {})}


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("weighted", [False, True])
def test_every_step_is_scikit_learns(target, setting, weighted):
    kind, y, more = TARGETS[target]
    if weighted and setting not in ("full batches", "lbfgs"):
        pytest.skip("scikit-learn normalises weights per minibatch (its issue 30155)")
    if setting in ("lbfgs", "plain") and target == "numbers":
        pytest.skip("scikit-learn's loss is not the one that its gradient belongs to (its issue 8349)")
    options = {**BASE, **SETTINGS[setting], **more}
    w = rng.integers(1, 4, 53).astype(float) if weighted else None
    ours = {"Classifier": MLPClassifier, "Regressor": MLPRegressor}[kind](**options).fit(X, y, sample_weight=w)
    start = list(ours.network_.build(seed=1, dtype="float64").parameters.values())

    class Given(getattr(theirs, f"MLP{kind}")):
        def _init_coef(self, fan_in, fan_out, dtype):
            return next((start[k].copy(), start[k + 1].copy()) for k in range(0, len(start), 2) if start[k].shape == (fan_in, fan_out))
    peer = Given(**options).fit(X, y, sample_weight=w)
    tolerance = 1e-9 if setting == "lbfgs" else 1e-13
    for a, b in zip(ours.coefs_ + ours.intercepts_, peer.coefs_ + peer.intercepts_):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance)
    assert ours.n_iter_ == peer.n_iter_ and ours.t_ == peer.t_ or setting == "lbfgs"
    if target in ("two", "three", "labels", "number"):
        assert ours.loss_ == pytest.approx(peer.loss_, rel=1e-9)
    if kind == "Classifier":
        np.testing.assert_allclose(ours.predict_proba(X), peer.predict_proba(X), atol=1e-8)
        np.testing.assert_array_equal(ours.predict(X), peer.predict(X))


def test_the_attributes_are_scikit_learns():
    for early in (False, True):
        ours = MLPClassifier(max_iter=3, early_stopping=early, random_state=0).fit(X, TWO)
        peer = theirs.MLPClassifier(max_iter=3, early_stopping=early, random_state=0).fit(X, TWO)
        wanted = {name for name in vars(peer) if name.endswith("_")}
        assert {name for name in wanted if not hasattr(ours, name)} == set()
        for name in wanted:
            assert type(getattr(ours, name)).__name__.replace("float64", "float") == \
                type(getattr(peer, name)).__name__.replace("float64", "float"), name


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_the_parameters_and_defaults_are_scikit_learns(name):
    ours, peer = {"MLPClassifier": MLPClassifier, "MLPRegressor": MLPRegressor}[name](), getattr(theirs, name)()
    mine, yours = ours.get_params(), peer.get_params()
    assert {k: mine[k] for k in yours} == yours
    assert list(ours.parameter_table)[:3 if name == "MLPRegressor" else 2] == \
        (["loss", "hidden_layer_sizes", "activation"] if name == "MLPRegressor" else ["hidden_layer_sizes", "activation"])


# ------------------------------------------------------------------------------------- beyond scikit-learn

@elementwise
def swish(x):
    from backproof import sigmoid
    return x * sigmoid(x)


@loss
def asymmetric(a, y):
    return total(select(a > y, square(a - y), 3 * square(a - y)), over="k")


def test_activations_per_layer_dropout_layer_norm_clipping_and_schedules_train():
    for options in ({"activation": ("tanh", swish), "hidden_layer_sizes": (8, 6)}, {"dropout": 0.2}, {"layer_norm": True},
                    {"layers": "16 relu | dropout 0.1 | 8 gelu"}, {"clip_norm": 1.0}, {"clip_value": 0.1}, {"warm_up": 5},
                    *({"learning_rate": name} for name in ("step", "cosine", "one_cycle", "plateau")),
                    *({"solver": name} for name in ("rmsprop", "adagrad", "adamw", "momentum", "nesterov")),
                    {"weight_decay": 1e-3}, {"l2": 1e-3}, {"initial": "he"}, {"layers": ""}):
        found = MLPClassifier(**{"max_iter": 60, "learning_rate_init": 0.03, "random_state": 0, **options}).fit(X, TWO)
        assert found.score(X, TWO) > 0.9, options
        again = pickle.loads(pickle.dumps(found))
        np.testing.assert_array_equal(found.predict_proba(X), again.predict_proba(X))


def test_a_loss_as_an_expression():
    high = MLPRegressor(asymmetric, max_iter=300, random_state=0, learning_rate_init=0.01).fit(X, NUMBERS + rng.normal(size=53))
    assert high.network_.loss.name == "asymmetric"
    for again in (clone(high), pickle.loads(pickle.dumps(high))):
        assert again.loss.text() == "asymmetric"
    search = GridSearchCV(MLPRegressor(asymmetric, activation=swish, max_iter=3), {"alpha": [0.1, 0.2]}, cv=2, n_jobs=2)
    assert search.fit(X, NUMBERS).best_estimator_.activation.name == "swish"


def test_the_median_by_the_quantile_loss():
    y = np.where(np.arange(53) % 10 == 0, 100.0, 0.0)
    found = MLPRegressor("quantile(q=0.5)", layers="", solver="adam", learning_rate_init=0.05, max_iter=600, random_state=0, l2=0.0,
                         n_iter_no_change=100).fit(np.zeros((53, 1)), y)
    assert abs(found.predict([[0.0]])[0]) < 1


def test_tanh_outputs_get_targets_of_minus_one_and_one():
    found = MLPClassifier(loss="squared_error", out_activation="tanh", random_state=0, max_iter=300, learning_rate_init=0.02).fit(X, TWO)
    assert sorted(np.unique(found._stored(np.array([0, 1])))) == [-1, 1] and found.score(X, TWO) > 0.95
    assert not hasattr(found, "predict_proba")


def test_margins_and_squares_classify_three_classes():
    for name in ("multiclass_margin", "squared_error", "binary_cross_entropy"):
        found = MLPClassifier(loss=name, random_state=0, max_iter=300, learning_rate_init=0.02).fit(X, THREE)
        assert found.score(X, THREE) > 0.9, name


def test_class_weights_shift_the_decision():
    y = (X[:, 0] > 1).astype(int)
    noisy = X + rng.normal(size=X.shape)
    plain = MLPClassifier(random_state=0, max_iter=100).fit(noisy, y).predict(noisy).sum()
    heavy = MLPClassifier(random_state=0, max_iter=100, class_weight={1: 50}).fit(noisy, y).predict(noisy).sum()
    assert heavy > plain
    balanced = MLPClassifier(random_state=0, max_iter=5, class_weight="balanced").fit(X, y)
    given = MLPClassifier(random_state=0, max_iter=5).fit(X, y, sample_weight=np.where(y == 1, 53 / 2 / y.sum(), 53 / 2 / (53 - y.sum())))
    np.testing.assert_allclose(balanced.coefs_[0], given.coefs_[0], atol=1e-12)


def test_a_zero_weight_is_an_absent_row():
    w = (np.arange(53) % 3 > 0).astype(float)
    for solver in ("adam", "lbfgs"):
        weighted = MLPClassifier(solver=solver, random_state=0, max_iter=20, batch_size=10).fit(X, TWO, sample_weight=w)
        without = MLPClassifier(solver=solver, random_state=0, max_iter=20, batch_size=10).fit(X[w > 0], TWO[w > 0], sample_weight=w[w > 0])
        for a, b in zip(weighted.coefs_, without.coefs_):
            np.testing.assert_array_equal(a, b)


def test_sparse_rows_give_the_bits_of_dense_ones():
    thin = np.where(np.abs(X) > 1, X, 0)
    for options in ({}, {"dropout": 0.3}, {"solver": "lbfgs"}, {"early_stopping": True}):
        dense, csr = (MLPClassifier(random_state=0, max_iter=5, batch_size=10, **options).fit(rows, TWO)
                      for rows in (thin, sparse.csr_array(thin)))
        np.testing.assert_array_equal(dense.coefs_[0], csr.coefs_[0])
        np.testing.assert_array_equal(dense.predict_proba(thin), csr.predict_proba(sparse.csr_matrix(thin)))


def test_the_float_type_of_the_data_is_followed():
    for dtype in ("float32", "float64"):
        found = MLPRegressor(max_iter=3, random_state=0).fit(X.astype(dtype), NUMBERS)
        assert found.coefs_[0].dtype == dtype and found.predict(X.astype(dtype)).dtype == dtype


def test_an_eval_set_of_ones_own_decides_when_to_stop():
    found = MLPClassifier(early_stopping=True, random_state=0, n_iter_no_change=3, max_iter=100, learning_rate_init=0.05)
    found.fit(X[:40], TWO[:40], eval_set=(X[40:], TWO[40:]))
    assert found.n_iter_ < 100 and len(found.validation_scores_) == found.n_iter_
    assert found.score(X[40:], TWO[40:]) == found.best_validation_score_
    watched = MLPClassifier(random_state=0, max_iter=4).fit(X[:40], TWO[:40], eval_set=[(X[40:], TWO[40:])])
    assert len(watched.validation_scores_) == 4


def test_partial_fit_goes_on_where_it_was():
    whole = MLPClassifier(random_state=0, max_iter=4, tol=0).fit(X, TWO)
    parts = MLPClassifier(random_state=0)
    for _ in range(4):
        parts.partial_fit(X, TWO, classes=[0, 1])
    for a, b in zip(whole.coefs_, parts.coefs_):
        np.testing.assert_array_equal(a, b)
    warm = MLPClassifier(random_state=0, max_iter=2, warm_start=True).fit(X, TWO).fit(X, TWO)
    np.testing.assert_array_equal(warm.coefs_[0], whole.coefs_[0])
    revived = pickle.loads(pickle.dumps(MLPClassifier(random_state=0, max_iter=2).fit(X, TWO))).partial_fit(X, TWO).partial_fit(X, TWO)
    np.testing.assert_array_equal(revived.coefs_[0], whole.coefs_[0])


def test_pipelines_searches_clones_and_joblib(tmp_path):
    made = make_pipeline(StandardScaler(), MLPClassifier(random_state=0, max_iter=10))
    search = GridSearchCV(made, {"mlpclassifier__hidden_layer_sizes": [(4,), (8,)], "mlpclassifier__activation": ["relu", "tanh"]}, cv=2)
    search.fit(X, TWO)
    assert cross_val_score(clone(made), X, TWO, cv=3).shape == (3,)
    joblib.dump(search.best_estimator_, tmp_path / "m.joblib")
    np.testing.assert_array_equal(joblib.load(tmp_path / "m.joblib").predict(X), search.predict(X))
    shown = repr(MLPClassifier((4,), alpha=0.01))
    assert "alpha=0.01" in shown


def test_metadata_routing_reaches_the_weights():
    import sklearn
    with sklearn.config_context(enable_metadata_routing=True):
        made = MLPClassifier(random_state=0, max_iter=3).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        search = GridSearchCV(made, {"alpha": [0.1, 0.2]}, cv=2).fit(X, TWO, sample_weight=np.ones(53))
        assert search.n_features_in_ == 5


def test_tables_are_matched_by_name():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=list("abcde"))
    found = MLPClassifier(random_state=0, max_iter=3).fit(frame, TWO)
    assert found.feature_names_in_.tolist() == list("abcde")
    with pytest.raises(ValueError, match="feature names"):
        found.predict(frame[list("edcba")])


def test_callbacks_of_scikit_learn():
    callback = pytest.importorskip("sklearn.callback")
    monitor = callback.ScoringMonitor(scoring="accuracy")
    found = MLPClassifier(random_state=0, max_iter=3).set_callbacks(monitor)
    found.fit(X, TWO)
    assert found.n_iter_ == 3 and not hasattr(found, "_callback_fit_ctx")


def test_the_network_and_its_derivation_are_at_hand():
    found = MLPClassifier((3,), random_state=0, max_iter=2).fit(X, TWO)
    assert isinstance(found.network_, Network) and found.network_.spec == "5 | 3 relu initial=uniform(" + found.network_.spec.split("(", 1)[1]
    assert [e.name for e in found.derive().equations if e.name.startswith("delta")] == ["delta2", "delta1"]


def test_verbose_prints_and_quiet_does_not():
    heard = io.StringIO()
    with redirect_stdout(heard):
        MLPClassifier(random_state=0, max_iter=2).fit(X, TWO)
    assert heard.getvalue() == ""
    with redirect_stdout(heard):
        MLPClassifier(random_state=0, max_iter=2, verbose=True).fit(X, TWO)
    assert heard.getvalue().startswith("Iteration 1, loss = ")


# ------------------------------------------------------------------------------------- what is refused

@pytest.mark.parametrize("options, message", [
    ({"learning_rate_init": 0}, r"learning_rate_init=0 .* \(0, ∞\)"), ({"learning_rate_init": float("nan")}, "learning_rate_init=nan"),
    ({"momentum": 1.5}, r"momentum=1.5 .*\[0, 1\]"), ({"beta_1": 1.0}, r"beta_1=1.0 .*\[0, 1\)"), ({"epsilon": 0.0}, "epsilon=0.0"),
    ({"hidden_layer_sizes": (0,)}, "hidden_layer_sizes"), ({"hidden_layer_sizes": (3.0,)}, "hidden_layer_sizes"),
    ({"hidden_layer_sizes": (True,)}, "hidden_layer_sizes"), ({"hidden_layer_sizes": -3}, "hidden_layer_sizes"),
    ({"batch_size": 0}, "batch_size=0"), ({"batch_size": -1}, "batch_size=-1"), ({"alpha": -1}, "alpha=-1"),
    ({"solver": "adm"}, "solver='adm'"), ({"activation": "rellu"}, "did you mean 'relu'"), ({"loss": "log_los"}, "log_los"),
    ({"dropout": 1.0}, "dropout=1.0"), ({"clip_norm": 0}, "clip_norm=0"), ({"max_iter": 0}, "max_iter=0"),
    ({"random_state": -1}, "random_state=-1"), ({"random_state": 1.5}, "random_state=1.5"), ({"l2": 1.0, "alpha": 0.5}, "two strengths"),
    ({"activation": ("relu", "tanh")}, "activation has 2 entries for 1 hidden layers"), ({"solver": "lbfgs", "dropout": 0.1}, "lbfgs"),
])
def test_parameters_outside_their_interval(options, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier(**options).fit(X, TWO)


def test_an_unknown_parameter_gets_the_nearest_name():
    with pytest.raises(TypeError, match="no parameter 'lerning_rate'; did you mean 'learning_rate'"):
        MLPClassifier(lerning_rate=1)


@pytest.mark.parametrize("y, message", [
    (np.zeros(53), "only one class"), (np.where(np.arange(53) == 5, np.nan, TWO), "NaN"), (NUMBERS, "continuous"), (TWO[:50], "53, 50"),
    (np.array(["a"] * 53), "only one class, 'a'"),
])
def test_targets_that_cannot_be_used(y, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier().fit(X, y)


@pytest.mark.parametrize("w, message", [
    (np.ones(10), "X has 53 rows and sample_weight has 10"), (-np.ones(53), "negative"), (np.zeros(53), "zero for all"),
    (np.full(53, np.nan), "NaN"), (np.ones((53, 1)), "2-D"),
])
def test_weights_that_cannot_be_used(w, message):
    with pytest.raises(ValueError, match=message):
        MLPClassifier().fit(X, TWO, sample_weight=w)


@pytest.mark.parametrize("labels", [np.array([5, 1, 2])[THREE], -THREE, np.array(["b", "a", "ä "])[THREE], THREE.astype(bool),
                                    THREE.astype(float), THREE.reshape(-1, 1)])
def test_labels_of_every_kind_come_back(labels):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = MLPClassifier(random_state=0, max_iter=200, learning_rate_init=0.02).fit(X, labels)
    assert found.classes_.tolist() == sorted(set(np.ravel(labels).tolist()))
    assert found.predict(X).dtype == np.asarray(labels).dtype and (found.predict(X) == np.ravel(labels)).mean() > 0.9


def test_a_batch_larger_than_the_data_is_said_once():
    with pytest.warns(UserWarning, match="batch_size=100 is more than the 53 rows") as heard:
        MLPClassifier(batch_size=100, max_iter=2).fit(X, TWO)
    assert sum("batch_size" in str(w.message) for w in heard) == 1


def test_one_row_and_a_last_batch_of_one_work():
    MLPRegressor(max_iter=2).fit(X[:1], NUMBERS[:1])
    MLPRegressor(max_iter=2, batch_size=13).fit(X, NUMBERS)


def test_divergence_is_named_where_it_happens_and_the_estimator_stays_usable():
    made = MLPRegressor(solver="sgd", learning_rate_init=1e6, random_state=0)
    with np.errstate(all="ignore"), pytest.raises(NonFiniteError, match="not finite in epoch") as caught:
        made.fit(X, NUMBERS * 1e3)
    assert caught.value.step is not None and np.isfinite(made.predict(X)).all()


def test_ctrl_c_leaves_a_fitted_estimator(monkeypatch):
    made = MLPClassifier(random_state=0, max_iter=50)
    from backproof.estimators import mlp
    real, count = mlp._Watch.watch, []

    def watch(self, record, parameters):
        count.append(1)
        if len(count) == 3:
            raise KeyboardInterrupt
        return real(self, record, parameters)
    monkeypatch.setattr(mlp._Watch, "watch", watch)
    with pytest.raises(KeyboardInterrupt):
        made.fit(X, TWO)
    three = MLPClassifier(random_state=0, max_iter=3)
    monkeypatch.setattr(mlp._Watch, "watch", real)
    np.testing.assert_array_equal(made.predict_proba(X), three.fit(X, TWO).predict_proba(X))


def test_a_pickle_with_wrong_shapes_is_refused():
    found = MLPClassifier((3,), max_iter=1).fit(X, TWO)
    state = found.model_.__getstate__()
    state["parameters"] = {**state["parameters"], "W1": np.zeros((5, 4))}
    with pytest.raises(ValueError, match=r"W1 has shape \(5, 4\)"):
        type(found.model_).__new__(type(found.model_)).__setstate__(state)


def test_reaching_max_iter_warns():
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(2\)"):
        MLPClassifier(max_iter=2).fit(X, TWO)


def test_another_architecture_cannot_be_warm_started():
    made = MLPClassifier((3,), max_iter=1, warm_start=True).fit(X, TWO)
    with pytest.raises(OptionError, match="hidden_layer_sizes was"):
        made.set_params(hidden_layer_sizes=(4,)).fit(X, TWO)
    with pytest.raises(DataError, match="same classes"):
        MLPClassifier((3,), max_iter=1, warm_start=True).fit(X, TWO).fit(X, TWO + 1)


# ------------------------------------------------------------------------------------- pages, places, pipelines

def test_pages_take_labels_and_sparse_rows_as_fit_does():
    labels = np.array(["low", "middle", "high"])[THREE]
    made = MLPClassifier(4, max_iter=3, random_state=0).fit(X, labels)
    for rows in (X, sparse.csr_matrix(X)):
        assert made.trace(rows[:2], labels[:2]).class_names == ["high", "low", "middle"]
        assert "middle" in made.report(rows, labels).to_html()
    with pytest.raises(NotFittedError):
        MLPClassifier().trace(X, THREE)


def test_pages_of_a_frame_have_its_names():
    table = pytest.importorskip("pandas").DataFrame(X, columns=list("abcde"))
    named = MLPRegressor(hidden_layer_sizes=4, max_iter=3, random_state=0).fit(table, NUMBERS)
    assert named.trace(table[:1], NUMBERS[:1]).feature_names == list("abcde")
    assert "Report" in named.report(table, NUMBERS).to_text()


def _with_hole(value, at=(17, 3)):
    holed = X.copy()
    holed[at] = value
    return holed


@pytest.mark.parametrize("rows, message", [
    (_with_hole(np.nan), "1 NaN; the first is nan at row 17, column 3"),
    (_with_hole(-np.inf), "1 infinite values; the first is -inf at row 17, column 3"),
    (sparse.csr_matrix(_with_hole(np.nan)), "1 NaN; the first is nan at row 17, column 3"),
    (np.ma.masked_array(X, X == X[17, 3]), "1 masked values; the first is at row 17, column 3"),
])
def test_holes_in_the_data_are_named_with_their_place(rows, message):                                          # A11, E1, E2
    made = MLPClassifier(4, max_iter=2)
    with pytest.raises(DataError, match=f"X has {message}"):
        made.fit(rows, THREE)
    with pytest.raises(DataError, match=message):
        made.fit(X, THREE).predict(rows)


def test_holes_in_a_frame_are_named_with_their_column():
    frame = pytest.importorskip("pandas").DataFrame(_with_hole(np.nan), columns=list("abcde"))
    for used in (MLPClassifier(4).fit, MLPClassifier(4, max_iter=2).fit(frame.fillna(0), THREE).score):
        with pytest.raises(DataError, match="row 17, column 3 .*'d'"):
            used(frame, THREE)


def test_holes_in_the_targets_are_named_with_their_place():
    with pytest.raises(DataError, match="y has 1 NaN; the first is nan at row 4"):
        MLPRegressor().fit(X, np.where(np.arange(53) == 4, np.nan, NUMBERS))


def test_validation_rows_go_through_a_pipeline():
    from sklearn import config_context
    from sklearn.pipeline import Pipeline

    made = MLPRegressor(hidden_layer_sizes=4, max_iter=3, random_state=0, early_stopping=True)
    with config_context(enable_metadata_routing=True):
        last = clone(made).set_fit_request(X_val=True, y_val=True)
        piped = Pipeline([("scale", StandardScaler()), ("net", last)], transform_input=["X_val"])
        piped.fit(X, MANY, X_val=X[:9], y_val=MANY[:9])
    scaled = StandardScaler().fit(X).transform
    direct = made.fit(scaled(X), MANY, eval_set=(scaled(X[:9]), MANY[:9]))
    assert piped[-1].validation_scores_ == direct.validation_scores_
    for given in ({"X_val": X}, {"y_val": MANY}, {"X_val": X, "y_val": MANY, "eval_set": (X, MANY)}):
        with pytest.raises(OptionError, match="eval_set=.* or by X_val and y_val together"):
            MLPRegressor().fit(X, MANY, **given)


def test_classes_are_said_as_they_are_written():
    with pytest.raises(DataError, match="Previously got 0, 1, 2, `y` has 0, 1"):
        MLPClassifier(4, max_iter=2, warm_start=True).fit(X, THREE).fit(X, TWO)
