"""The estimators of sequences: scikit-learn's conventions, three ways to hold sequences, errors that say the mend."""

import pickle
import warnings

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn")

from sklearn.base import clone                                                        # noqa: E402
from sklearn.exceptions import ConvergenceWarning, NotFittedError                     # noqa: E402
from sklearn.metrics import accuracy_score, r2_score                                  # noqa: E402
from sklearn.model_selection import GridSearchCV                                      # noqa: E402

from backproof import cell, check_gradients                                           # noqa: E402
from backproof.calculus import tanh                                                   # noqa: E402
from backproof.data.sequences import Sequences, pad                                   # noqa: E402
from backproof.estimators import SequenceClassifier, SequenceRegressor, SequenceTagger  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

DRAW = np.random.default_rng(4)
LENGTHS = DRAW.integers(2, 9, 60)
X = [DRAW.normal(size=(t, 2)) for t in LENGTHS]
Y = np.array(["up" if x[-1, 0] > x[0, 0] else "down" for x in X])
THREE = np.array(["abc"[min(len(x) // 3, 2)] for x in X])
NUMBERS = np.array([x[:, 1].sum() for x in X])
TAGS = [np.where(np.cumsum(x[:, 0]) > 0, "above", "below") for x in X]
SUMS = [np.cumsum(x, axis=0) for x in X]
PADDED = pad(X)
FAST = {"units": 6, "max_iter": 6, "learning_rate_init": 0.02, "random_state": 0, "batch_size": 16}
CASES = [(SequenceClassifier, Y), (SequenceClassifier, THREE), (SequenceRegressor, NUMBERS), (SequenceTagger, TAGS)]


def poisoned(value=np.nan):
    values = np.full((len(X), max(LENGTHS), 2), value)
    for row, x in zip(values, X):
        row[:len(x)] = x
    return values


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("make, y", CASES)
def test_lists_padded_arrays_and_sequences_give_the_same_bits(make, y):
    ways = [make(**FAST).fit(X, y), make(**FAST).fit(poisoned(), y, lengths=LENGTHS),
            make(**FAST).fit(Sequences(PADDED, LENGTHS), y),
            make(**FAST).fit(np.array([*X, None], dtype=object)[:-1], y)]
    expected = ways[0].predict(X)
    for found in ways[1:]:
        assert same(found.model_.parameters.values(), ways[0].model_.parameters.values())
        assert same(found.predict(poisoned(7.0), lengths=LENGTHS), expected)
        assert found.score(PADDED, y, lengths=LENGTHS) == ways[0].score(X, y)


@pytest.mark.parametrize("make, y, cell_, more", [
    (SequenceClassifier, Y, "rnn", {}), (SequenceRegressor, NUMBERS, "lstm", {"units": (4, 3), "dropout": (0.1, 0.0)}),
    (SequenceTagger, TAGS, "gru", {"bidirectional": True, "units": 3}), (SequenceClassifier, THREE, "gru", {"pooling": "max"})])
def test_every_cell_trains_and_its_gradients_are_checked(make, y, cell_, more):
    found = make(cell_, **{**FAST, **more}).fit(X, y)
    assert found.loss_curve_[-1] < found.loss_curve_[0]
    assert found.n_features_in_ == 2 and found.n_iter_ == 6
    network = found.network_
    assert len(found.derive().equations) > 5
    checked, target = found._checked(X[:3], y[:3], reset=False)
    report = check_gradients(network.build(dtype="float64"), checked, found._stored(found._encode(target)), seed=0, seconds=0.3)
    assert report.verdict == "pass"


def test_what_it_learns():
    rising = SequenceClassifier("gru", **{**FAST, "max_iter": 80, "tol": 0}).fit(X, Y)
    assert rising.score(X, Y) > 0.95
    assert rising.score(X, Y) == accuracy_score(Y, rising.predict(X))
    assert rising.classes_.tolist() == ["down", "up"]
    proba = rising.predict_proba(X)
    assert proba.shape == (60, 2) and np.allclose(proba.sum(axis=1), 1)
    assert np.allclose(rising.predict_log_proba(X), np.log(proba))
    adding = SequenceRegressor("rnn", **{**FAST, "units": 12, "max_iter": 150, "tol": 0}).fit(X, NUMBERS)
    assert adding.score(X, NUMBERS) > 0.9


def test_answers_per_step_have_the_lengths_of_their_sequences():
    tagger = SequenceTagger("gru", **{**FAST, "max_iter": 60, "tol": 0}).fit(X, TAGS)
    found = tagger.predict(X)
    assert [len(tags) for tags in found] == LENGTHS.tolist()
    assert tagger.score(X, TAGS) == accuracy_score(np.concatenate(TAGS), np.concatenate(found)) > 0.9
    assert [p.shape for p in tagger.predict_proba(X[:2])] == [(LENGTHS[0], 2), (LENGTHS[1], 2)]
    assert all(np.allclose(a, np.log(b)) for a, b in zip(tagger.predict_log_proba(X), tagger.predict_proba(X)))
    steps = SequenceRegressor("gru", pooling=None, **{**FAST, "max_iter": 60, "tol": 0}).fit(X, SUMS)
    found = steps.predict(X)
    assert [p.shape for p in found] == [s.shape for s in SUMS]
    assert steps.score(X, SUMS) == r2_score(np.concatenate(SUMS), np.concatenate(found)) > 0.5


@pytest.mark.parametrize("make, y", CASES)
def test_parameters_are_only_stored_and_clones_and_pickles_are_equal(make, y):
    given = {**FAST, "cell": "gru", "bucketing": False}
    first = make(**given)
    assert {name: first.get_params()[name] for name in given} == given
    assert "hidden_layer_sizes" not in first.get_params()
    first.fit(X, y)
    again = clone(first)
    assert not hasattr(again, "model_") and again.get_params() == first.get_params()
    assert same(again.fit(X, y).predict(X), first.predict(X))
    assert same(pickle.loads(pickle.dumps(first)).predict(X), first.predict(X))


def test_grid_search_takes_lists_and_sequences():
    grid = {"cell": ["rnn", "gru"], "units": [4, 6]}
    searches = [GridSearchCV(SequenceClassifier(**FAST), grid, cv=3).fit(data, Y) for data in (X, Sequences(PADDED, LENGTHS))]
    assert searches[0].best_params_ == searches[1].best_params_
    assert np.array_equal(*(search.cv_results_["mean_test_score"] for search in searches))
    assert searches[0].predict(X).shape == (60,)


@pytest.mark.parametrize("make, y", CASES)
def test_sequences_of_weight_0_are_left_out(make, y):
    weights = np.where(np.arange(60) < 40, 1.0, 0.0)
    kept = make(**{**FAST, "shuffle": False}).fit(X[:40], y[:40])
    weighed = make(**{**FAST, "shuffle": False}).fit(X, y, sample_weight=weights)
    for a, b in zip(kept.model_.parameters.values(), weighed.model_.parameters.values()):
        assert np.allclose(a, b, rtol=1e-6, atol=1e-9)
    assert weighed.score(X, y, sample_weight=weights) == pytest.approx(weighed.score(X[:40], y[:40]))


def test_class_weights_are_sample_weights():
    one = SequenceClassifier(class_weight={"up": 3.0, "down": 1.0}, **FAST).fit(X, Y)
    other = SequenceClassifier(**FAST).fit(X, Y, sample_weight=np.where(Y == "up", 3.0, 1.0))
    assert same(one.model_.parameters.values(), other.model_.parameters.values())


@pytest.mark.parametrize("make, y", CASES)
def test_early_stopping_keeps_the_best_epoch_with_own_or_split_validation(make, y):
    given = {**FAST, "early_stopping": True, "max_iter": 12, "n_iter_no_change": 3, "validation_fraction": 0.25}
    split = make(**given).fit(X, y)
    own = make(**given).fit(X[:40], y[:40], eval_set=(X[40:], y[40:]))
    for found in (split, own):
        assert found.best_validation_score_ == max(found.validation_scores_) and len(found.validation_scores_) == found.n_iter_
    assert own.score(X[40:], y[40:]) == pytest.approx(own.best_validation_score_)


@pytest.mark.parametrize("make, y", CASES)
def test_warm_start_and_partial_fit_go_on_as_one_fit(make, y):
    given = {**FAST, "tol": 0, "n_iter_no_change": np.inf}
    whole = make(**{**given, "max_iter": 4}).fit(X, y)
    warm = make(**{**given, "max_iter": 2, "warm_start": True})
    assert same(warm.fit(X, y).fit(X, y).model_.parameters.values(), whole.model_.parameters.values())
    steps = make(**given)
    for _ in range(4):
        more = {"classes": np.unique(np.concatenate(y) if make is SequenceTagger else y)} if hasattr(steps, "predict_proba") else {}
        steps.partial_fit(X, y, **more)
    assert same(steps.model_.parameters.values(), whole.model_.parameters.values())
    assert steps.partial_fit(PADDED, y, lengths=LENGTHS).t_ == 5 * 60


def test_layers_as_a_spec_and_a_cell_of_ones_own():
    @cell
    def leaky(scope, x, h, rate=0.5):
        z = scope.define("z", scope.project(x, "W") + scope.project(h, "U"), role="pre_activation")
        return (1 - rate) * h + rate * tanh(z)
    spec = SequenceClassifier(layers="bi gru 5 | dropout 0.1 | rnn 4 | mean", **FAST).fit(X, THREE)
    assert spec.network_.spec == "2 | bi gru 5 | dropout 0.1 | rnn 4 | mean | 3 softmax"
    own = SequenceRegressor(leaky, pooling="max", **FAST).fit(X, NUMBERS)
    assert own.network_.layers[0].kind == "leaky" and own.predict(X).shape == (60,)


def test_truncation_is_handed_through():
    full, cut, drawn = (SequenceClassifier("rnn", **FAST, **more).fit(X, Y) for more in
                        ({}, {"truncation_length": 1}, {"continue_probability": 0.5}))
    long = SequenceClassifier("rnn", **FAST, truncation_length=100).fit(X, Y)
    assert not same(full.model_.parameters.values(), cut.model_.parameters.values())
    assert not same(full.model_.parameters.values(), drawn.model_.parameters.values())
    for a, b in zip(full.model_.parameters.values(), long.model_.parameters.values()):
        assert np.allclose(a, b, rtol=1e-9, atol=1e-12)


def test_every_form_of_truncation_is_handed_through():
    ways = [{}, {"truncation_length": 2}, {"truncation_length": 2, "stateful": True}, {"truncation_lag": 2},
            {"continue_probability": 0.5}]
    found = [SequenceTagger("rnn", **{**FAST, "max_iter": 2}, **how).fit(X, TAGS).model_.parameters["U1"] for how in ways]
    assert all(np.isfinite(U).all() for U in found) and len({U.tobytes() for U in found}) == len(ways)
    with pytest.raises(ValueError, match="bidirectional|backwards"):
        SequenceTagger("rnn", bidirectional=True, stateful=True, truncation_length=2, **FAST).fit(X, TAGS)


def test_trace_and_report_show_the_sequences():
    found = SequenceClassifier("rnn", **FAST).fit(X, Y)
    trace = found.trace(X[:2], Y[:2])
    assert "<html" in trace.to_html() and trace.n == 2
    assert "<html" in found.report(X, Y).to_html()


@pytest.mark.parametrize("fit, message", [
    (lambda: SequenceClassifier().fit(PADDED[:, :, 0], Y), r"X is 2-D.*X\[:, :, None\]"),
    (lambda: SequenceClassifier().fit([np.zeros((3, 2)), np.zeros((0, 2))], ["a", "b"]),
     "sequence 1 of X has 0 steps.*leave empty sequences out"),
    (lambda: SequenceClassifier().fit([], []), "X has 0 sequences"),
    (lambda: SequenceClassifier().fit([np.zeros((3, 2)), np.zeros((2, 3))], ["a", "b"]),
     "sequence 1 of X has 3 features, sequence 0 has 2"),
    (lambda: SequenceClassifier().fit([np.zeros((3, 2)), [["a", "b"]]], ["a", "b"]), "sequence 1 of X holds <U1, not numbers"),
    (lambda: SequenceClassifier().fit([np.zeros(3), np.zeros(2)], ["a", "b"]), r"1-D.*reshape\(-1, 1\)"),
    (lambda: SequenceClassifier().fit([np.full((3, 2), np.nan)] * 2, ["a", "b"]), "6 NaN|12 NaN"),
    (lambda: SequenceClassifier().fit(PADDED, Y, lengths=np.zeros(60, int)), "sequence 0 of X has length 0"),
    (lambda: SequenceClassifier().fit(PADDED, Y, lengths=np.ones(3, int)), "one whole number per sequence"),
    (lambda: SequenceClassifier().fit(X, Y[:-1]), "60 sequences and y has shape"),
    (lambda: SequenceClassifier().fit(X, ["a"] * 60), "only one class"),
    (lambda: SequenceClassifier(cell="ltsm").fit(X, Y), "rnn, gru, lstm"),
    (lambda: SequenceClassifier(pooling=None).fit(X, Y), "pooling"),
    (lambda: SequenceClassifier(layers="gru 4").fit(X, Y), "SequenceTagger"),
    (lambda: SequenceTagger(layers="gru 4 | last").fit(X, TAGS), "SequenceClassifier"),
    (lambda: SequenceTagger().fit(X, [TAGS[0][:-1], *TAGS[1:]]), f"sequence 0 has {LENGTHS[0]} steps and {LENGTHS[0] - 1} targets"),
    (lambda: SequenceTagger().fit(X, Y), "y has one target for sequence 0"),
    (lambda: SequenceRegressor().fit(X, np.where(NUMBERS > 0, NUMBERS, np.nan)), "NaN"),
    (lambda: SequenceRegressor().fit(X, Y), "text"),
    (lambda: SequenceRegressor(solver="lbfgs", truncation_length=2).fit(X, NUMBERS), "lbfgs takes the whole gradient"),
    (lambda: SequenceRegressor(truncation_length=2, continue_probability=0.5).fit(X, NUMBERS), "exclude each other"),
    (lambda: SequenceClassifier(layers=[]).fit(X, Y), "output at every step"),
], ids=range(22))
def test_errors_say_what_where_and_the_mend(fit, message):
    with pytest.raises((ValueError, TypeError), match=f"(?s){message}"):
        fit()


def test_prediction_refuses_what_training_did_not_have():
    found = SequenceClassifier(**FAST).fit(X, Y)
    with pytest.raises(ValueError, match="3 features; the model was built for 2"):
        found.predict([np.zeros((4, 3))])
    with pytest.raises(NotFittedError):
        SequenceClassifier().predict(X)


def test_inputs_are_not_changed():
    values, weights = poisoned(), np.ones(60)
    before = values.copy(), weights.copy()
    SequenceClassifier(**FAST).fit(values, Y, weights, lengths=LENGTHS).predict(values, lengths=LENGTHS)
    assert np.array_equal(values, before[0], equal_nan=True) and np.array_equal(weights, before[1])


def test_the_warning_of_too_few_epochs_is_scikit_learns():
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        SequenceClassifier(**FAST).fit(X, Y)
    assert [w.category for w in told] == [ConvergenceWarning]
