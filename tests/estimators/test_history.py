"""The mistakes of scikit-learn's MLP, 2015 to 2026: each is named by its issue and cannot come back here."""

import warnings

import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from backproof.errors import NonFiniteError, OptionError
from backproof.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
rng = np.random.default_rng(1)
X = rng.normal(size=(60, 4))
Y = (X[:, 0] > 0).astype(int)
TEXT = np.array(["no", "yes"])[Y]


def test_8349_the_gradient_of_several_outputs_is_that_of_the_loss():
    targets = X[:, :3] ** 2
    found = MLPRegressor(hidden_layer_sizes=(5,), activation="tanh", random_state=0, max_iter=1, alpha=0.0).fit(X, targets)
    model, h = found.model_, 1e-6
    gradient = model.gradients(X, targets)["W1"]
    moved = {name: np.array(array) for name, array in model.parameters.items()}
    values = []
    for sign in (1, -1):
        moved["W1"] = model.parameters["W1"].copy()
        moved["W1"][1, 2] += sign * h
        values.append(_loss_at(model, moved, targets))
    assert (values[0] - values[1]) / (2 * h) == pytest.approx(gradient[1, 2], rel=1e-6)


def _loss_at(model, parameters, targets):
    from backproof.estimators.mlp import _at
    return _at(model, parameters).objective(X, targets)


def test_6780_7962_alpha_is_half_alpha_w_squared_over_the_weight_of_the_batch():
    plain, heavy = (MLPRegressor(hidden_layer_sizes=(5,), alpha=a, random_state=0, max_iter=1, batch_size=60, shuffle=False,
                                 learning_rate_init=1e-12).fit(X, X[:, 0]) for a in (0.0, 0.6))
    squares = sum((w**2).sum() for w in heavy.coefs_)
    assert heavy.loss_ - plain.loss_ == pytest.approx(0.5 * 0.6 * squares / 60, rel=1e-6)


def test_6994_a_first_batch_without_a_class_is_fine_when_the_classes_are_named():
    found = MLPClassifier(random_state=0).partial_fit(X[Y == 0], Y[Y == 0], classes=[0, 1])
    assert found.partial_fit(X, Y).predict_proba(X).shape == (60, 2)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        MLPClassifier().partial_fit(X, Y)
    with pytest.raises(ValueError, match="has classes not in"):
        found.partial_fit(X, Y + 1)


def test_7976_8035_warm_start_refuses_other_classes():
    found = MLPClassifier(warm_start=True, max_iter=1, random_state=0).fit(X, Y)
    before = found.coefs_[0].copy()
    with pytest.raises(ValueError, match="same classes as in the previous call"):
        found.fit(X, Y + 1)
    np.testing.assert_array_equal(before, found.coefs_[0])


def test_11758_partial_fit_with_warm_start():
    a = MLPClassifier(warm_start=True, random_state=0).partial_fit(X, Y, classes=[0, 1]).partial_fit(X, Y)
    b = MLPClassifier(random_state=0).partial_fit(X, Y, classes=[0, 1]).partial_fit(X, Y)
    np.testing.assert_array_equal(a.coefs_[0], b.coefs_[0])


def test_12505_12605_18269_warm_start_runs_all_its_epochs():
    found = MLPClassifier(warm_start=True, max_iter=5, random_state=0)
    for _ in range(3):
        assert found.fit(X, Y).n_iter_ == 5
    assert found.t_ == 15 * 60 and len(found.loss_curve_) == 15


def test_13656_lbfgs_warm_starts_from_where_it_was():
    found = MLPClassifier(solver="lbfgs", warm_start=True, max_iter=5, random_state=0).fit(X, Y)
    first = found.loss_
    assert found.fit(X, Y).loss_ <= first and found.loss_curve_[5] <= first


def test_12582_shuffle_is_obeyed():
    still, moved = (MLPClassifier(shuffle=s, batch_size=7, max_iter=3, random_state=0).fit(X, Y) for s in (False, True))
    assert np.abs(still.coefs_[0] - moved.coefs_[0]).max() > 0


def test_13164_the_early_stopping_split_is_stratified():
    rare = np.arange(60) % 10 == 0
    found = MLPClassifier(early_stopping=True, validation_fraction=0.5, max_iter=1, random_state=0)
    kept = {}
    found._run = lambda X, targets, weights, rows, held, *rest: kept.update(held=held)
    found.fit(X, rare.astype(int))
    assert kept["held"][1].sum() == 3


def test_16117_saturated_probabilities_have_finite_logarithms_and_losses():
    found = MLPClassifier((), solver="lbfgs", alpha=0.0, max_iter=1, random_state=0).fit(X, Y)
    found.coefs_ = [np.array([[1e5], [0.0], [0.0], [0.0]])]
    assert np.isfinite(found.predict_log_proba(X)).all() and found.predict_log_proba(X).min() < -1e3
    assert np.isfinite(found.model_.loss(X, 1.0 - Y))


def test_24315_float32_probabilities_of_one_do_not_make_nan():
    far = (X * 1e4).astype(np.float32)
    found = MLPClassifier(max_iter=20, random_state=0).fit(far, Y)
    assert np.isfinite(found.loss_curve_).all()


@pytest.mark.parametrize("early", [False, True])
def test_22150_17925_29504_29773_divergence_stops_at_its_step_also_with_early_stopping(early):
    made = MLPRegressor(solver="sgd", learning_rate_init=1e8, early_stopping=early, random_state=0)
    with np.errstate(all="ignore"), pytest.raises(NonFiniteError, match="the step was not applied"):
        made.fit(X, 1e6 * X[:, 0])
    assert all(np.isfinite(w).all() for w in made.coefs_)


def test_24713_a_validation_split_too_small_is_refused_before_training():
    with pytest.raises(ValueError, match="validation set is too small"):
        MLPClassifier(early_stopping=True, validation_fraction=0.01).fit(X, Y)
    lonely = np.where(np.arange(60) == 7, 2, Y)
    with pytest.raises(ValueError, match="class '2' has one row"):
        MLPClassifier(early_stopping=True).fit(X, lonely)


def test_24683_attributes_are_there_for_every_solver():
    for solver in ("adam", "sgd", "lbfgs"):
        found = MLPClassifier(solver=solver, max_iter=2, random_state=0).fit(X, Y)
        for name in ("loss_", "best_loss_", "loss_curve_", "n_iter_", "t_", "n_outputs_", "out_activation_", "validation_scores_"):
            assert hasattr(found, name), (solver, name)


def test_25693_25694_partial_fit_refuses_early_stopping():
    with pytest.raises(OptionError, match="does not support early_stopping"):
        MLPClassifier(early_stopping=True).partial_fit(X, Y, classes=[0, 1])
    with pytest.raises(AttributeError):
        MLPClassifier(solver="lbfgs").partial_fit          # noqa: B018


def test_33760_33774_text_labels_with_early_stopping():
    found = MLPClassifier(early_stopping=True, max_iter=5, random_state=0).fit(X, TEXT)
    assert set(found.predict(X)) <= {"no", "yes"} and len(found.validation_scores_) == 5


def test_11723_30155_weights_act_over_the_training_set_not_per_minibatch():
    w = np.array([100.0] * 30 + [1.0] * 30)
    found = MLPRegressor(hidden_layer_sizes=(), batch_size=30, shuffle=False, solver="sgd", momentum=0, alpha=0.0, learning_rate_init=1e-9,
                         random_state=0, max_iter=1).fit(X, X[:, 0], sample_weight=w)
    start = found.network_.build(seed=0, dtype="float64")
    steps = [(a - b) / -1e-9 for a, b in zip(found.coefs_, [start.parameters["W1"]])]
    both = start.gradients(X, X[:, 0], sample_weight=w)["W1"] * 2          # the sum of two minibatches is twice the mean
    np.testing.assert_allclose(steps[0], both, rtol=1e-4)


def test_the_reported_curve_is_the_weighted_objective():
    w = rng.random(60) * 5
    found = MLPClassifier(batch_size=13, learning_rate_init=1e-12, alpha=0.0, max_iter=1, random_state=0).fit(X, Y, sample_weight=w)
    assert found.loss_curve_[0] == pytest.approx(found.model_.loss(X, Y.astype(float), sample_weight=w), rel=1e-9)


def test_5481_10663_28026_read_only_data():
    still = X.copy()
    still.flags.writeable = False
    MLPClassifier(max_iter=2).fit(still, Y).predict(still)


def test_6512_one_epoch_without_improvement_is_not_the_end():
    found = MLPClassifier(tol=10.0, n_iter_no_change=4, max_iter=50, random_state=0).fit(X, Y)
    assert found.n_iter_ == 6                                      # the first improves on nothing; then 5 more than 4


def test_7500_a_mistyped_option_is_refused():
    with pytest.raises(TypeError, match="did you mean 'early_stopping'"):
        MLPClassifier(early_stoping=True)


def test_7596_7614_ctrl_c_is_not_swallowed(monkeypatch):
    monkeypatch.setattr("backproof.estimators.mlp._Watch.watch", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        MLPClassifier(max_iter=3).fit(X, Y)


def test_14603_a_hidden_size_that_is_no_multiple_of_a_vector_gives_the_same_bits_twice():
    a, b = (MLPClassifier((7,), max_iter=5, random_state=3).fit(X, Y) for _ in range(2))
    np.testing.assert_array_equal(a.coefs_[0], b.coefs_[0])


def test_muffnn_15_partial_fit_does_not_repeat_the_first_epochs_order():
    found = MLPClassifier(batch_size=7, random_state=0).partial_fit(X, Y, classes=[0, 1]).partial_fit(X, Y)
    assert found.model_.history["epoch"] == [0, 1]


def test_no_warning_where_it_converged_and_searches_survive_divergence():
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        MLPClassifier(tol=1.0, max_iter=50, random_state=0).fit(X, Y)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search = GridSearchCV(MLPRegressor(solver="sgd", random_state=0, max_iter=5), {"learning_rate_init": [1e-3, 1e9]}, cv=2)
        assert search.fit(X, 1e3 * X[:, 0]).best_params_ == {"learning_rate_init": 1e-3}
