"""Prediction of a few rows: the short way gives the bits and errors of the long one, and never an answer from old parameters."""

import threading

import numpy as np
import pytest

from backproof import Network
from backproof.errors import DataError, NonFiniteError
from backproof.estimators import MLPRegressor

native = pytest.importorskip("backproof.engines.native")
DRAW = np.random.default_rng(0)


@pytest.fixture
def short(monkeypatch):
    """The numbers of rows that went the short way."""
    rows, call = [], native.Answers.__call__

    def counted(self, x):
        answer = call(self, x)
        rows.extend([] if answer is None else [len(x)])
        return answer
    monkeypatch.setattr(native.Answers, "__call__", counted)
    return rows


def built(spec="7 | 19 tanh | layer_norm | 33 relu | 3 softmax", loss="cross_entropy", dtype="float32", **how):
    return Network(spec, loss=loss).build(seed=0, dtype=dtype, **how)


def long_way(model, X):
    """A Run over arrays of other memory, which no machine can hold already."""
    program = model.program("prediction")
    copies = {name: array.copy() for name, array in model.parameters.items()}
    run = native.Run(program, {**copies, "x": X}, model.dtype, model.threads)
    return run.outputs()["prediction"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("spec, loss", [("7 | 19 tanh | layer_norm | 33 relu | 3 softmax", "cross_entropy"),
                                        ("1 | 1", "squared_error"), ("40 | 17 sigmoid", "squared_error"),
                                        ("5 | dropout 0.5 | 16 gelu | 1 sigmoid", "binary_cross_entropy")])
def test_the_short_way_gives_the_bits_of_the_long_one(spec, loss, dtype, short):
    model = built(spec, loss, dtype, threads=2)
    X = DRAW.normal(size=(native.Answers.FEW, model.network.inputs)).astype(dtype)
    whole = long_way(model, X)
    for rows in (1, 2, 3, 15, 16, 17, 100, 1, native.Answers.FEW, 1):
        found = model.predict(X[:rows])
        assert found.dtype == model.dtype and found.flags.c_contiguous and found.flags.writeable
        np.testing.assert_array_equal(found, whole[:rows])
    assert short == [1, 2, 3, 15, 16, 17, 100, 1, native.Answers.FEW, 1]
    np.testing.assert_array_equal(model.predict(np.concatenate([X, X])), np.concatenate([whole, whole]))
    assert len(short) == 10                                      # so many are asked for in a run


def test_what_the_engine_cannot_read_as_it_lies_goes_the_long_way(short):
    model, X = built(), DRAW.normal(size=(6, 7)).astype(np.float32)
    expected = model.predict(X)
    assert short == [6]
    wide = np.zeros((6, 14), np.float32)
    wide[:, ::2] = X
    for given in (X.astype(np.float64), X.tolist(), np.asfortranarray(X), wide[:, ::2], X.astype(">f4"), X.view(np.matrix)):
        np.testing.assert_array_equal(model.predict(given), expected)
    assert short == [6]
    frozen = X.copy()
    frozen.flags.writeable = False
    np.testing.assert_array_equal(model.predict(frozen), expected)
    assert short == [6, 6]


def test_every_refusal_is_kept():
    model, X = built("4 | 3 relu | 2", "squared_error"), DRAW.normal(size=(2, 4)).astype(np.float32)
    model.predict(X)
    with pytest.raises(DataError, match=r"X has 5 features; the model was built for 4"):
        model.predict(np.zeros((2, 5), np.float32))
    with pytest.raises(DataError, match="X has 0 samples"):
        model.predict(X[:0])
    with pytest.raises(DataError, match="X is 1-D"):
        model.predict(X[0])
    for bad in (np.nan, np.inf, -np.inf):
        for at in ((0, 0), (1, 3)):
            spoilt = X.copy()
            spoilt[at] = bad
            with pytest.raises(DataError, match=f"row {at[0]}, column {at[1]}"):
                model.predict(spoilt)
    with pytest.raises(NonFiniteError, match="prediction is not finite: .* overflowed"):
        model.set_parameters(W1=np.full((4, 3), 3e38), W2=np.full((3, 2), 3e38)).predict(np.abs(X) + 1)


def test_an_answer_is_never_that_of_older_parameters(short):
    model, X = built("4 | 3 tanh | 1", "squared_error"), DRAW.normal(size=(3, 4)).astype(np.float32)
    answers = [model.predict(X)]

    def changed():
        answers.append(model.predict(X))
        np.testing.assert_array_equal(answers[-1], long_way(model, X))
        assert all(not np.array_equal(answers[-1], old) for old in answers[:-1])
    model.set_parameters(b2=np.ones(1))
    changed()
    model.fit(X, X[:, 0], epochs=1)
    changed()
    model.fit(X, X[:, 0], epochs=2, optimizer="lbfgs")
    changed()
    assert short == [3] * 4
    array, = model.lent("W1")
    array[:] = 0.25
    changed()
    array[0, 0] = 3.0
    changed()
    assert short == [3] * 4                                      # somebody may write into them: they are read every time
    model.fit(X, X[:, 0], epochs=1)
    changed()
    assert short == [3] * 5


def test_coefficients_can_be_written_into_and_count():
    X, y = DRAW.normal(size=(20, 3)), DRAW.normal(size=20)
    made = MLPRegressor(hidden_layer_sizes=(4,), max_iter=2, tol=0, n_iter_no_change=9, random_state=0).fit(X, y)
    made.predict(X)
    made.coefs_[1][:] = 0
    np.testing.assert_array_equal(made.predict(X), np.full(20, made.intercepts_[1][0]))
    made.intercepts_[1][:] = 7
    np.testing.assert_array_equal(made.predict(X), np.full(20, 7.0))


def test_parameters_cannot_be_written_into_behind_the_engines_back():
    model = built()
    with pytest.raises(ValueError, match="read-only"):
        model.parameters["W1"][0, 0] = 1
    with pytest.raises(ValueError, match="WRITEABLE"):
        model.parameters["W1"].flags.writeable = True


@pytest.mark.parametrize("spec", ["3 | rnn 4 | last | 2", "3 | rnn 4 | 2", "window 3 vocabulary=9 embedding 4 | 2"])
def test_other_networks_go_the_long_way(spec, short):
    model = built(spec, "squared_error")
    X = np.ones((2, 3), np.int64) if spec.startswith("window") else np.ones((2, 5, 3), np.float32)
    model.predict(X)
    assert short == []


def test_threads_that_ask_one_model_at_once_get_their_own_answers():
    model, X = built(threads=2), DRAW.normal(size=(64, 7)).astype(np.float32)
    expected, wrong = long_way(model, X), []

    def ask(k):
        for j in range(300):
            first, rows = (k * 7 + j) % 40, 1 + (k + j) % 20
            if not np.array_equal(model.predict(X[first:first + rows]), expected[first:first + rows]):
                wrong.append((k, j))
    threads = [threading.Thread(target=ask, args=(k,)) for k in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong


def test_what_answers_goes_with_its_model():
    import gc
    import weakref
    model = built()
    model.predict(np.ones((1, 7), np.float32))
    answers = weakref.ref(model._answers[1])
    assert answers() is not None
    del model
    gc.collect()
    assert answers() is None
