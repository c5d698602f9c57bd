"""What the door for arrays takes unchanged, converts and refuses; ids are rows of the catalogue of bad inputs."""

import re
import warnings
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
import scipy.sparse
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from backproof.data.arrays import as_labels, as_samples, as_targets, as_tokens, as_weights, feature_names
from backproof.data.messages import DataWarning
from backproof.errors import BackproofError, DataError, DtypeError

GOOD = np.arange(12.0).reshape(4, 3)


def with_value(value, at=(2, 1), dtype=float):
    X = GOOD.astype(dtype)
    X[at] = value
    return X


class Tensor:
    """Stands for a torch tensor: the door looks at the module's name alone."""
    def __init__(self, requires_grad, device):
        self.requires_grad, self.device, self.dtype = requires_grad, type("device", (), {"type": device})(), "float32"


Tensor.__module__ = "torch"

REFUSED = [
    # id, X, arguments, error, what the message says, what the mend says
    ("A1 no samples", np.empty((0, 3)), {}, DataError, "X has 0 samples, shape (0, 3)", "rows"),
    ("A2 no features", np.empty((4, 0)), {}, DataError, "X has 0 features", "columns"),
    ("A2 after training", np.empty((4, 0)), {"features": 3}, DataError, "0 features; the model was built for 3",
     "3 columns"),
    ("A3 one dimension", np.arange(7.0), {}, DataError, "X is 1-D, of shape (7,)", "X.reshape(1, -1) for one sample"),
    ("A3 no dimension", 3.0, {}, DataError, "X is 0-D", "2-D"),
    ("A4 three dimensions", np.ones((2, 3, 4)), {}, DataError, "X is 3-D, of shape (2, 3, 4)", "SequenceClassifier"),
    ("A4 two for sequences", GOOD, {"sequence": True}, DataError, "X is 2-D", "X[:, :, None]"),
    ("A5 sparse", scipy.sparse.csr_matrix((1000, 1000)), {}, DtypeError, "sparse csr_matrix of shape (1000, 1000)",
     "8 MB"),
    ("A11 masked", np.ma.masked_equal(GOOD, 5), {}, DataError, "1 masked values; the first is at row 1, column 2",
     "filled"),
    ("A12 grad", Tensor(True, "cpu"), {}, DtypeError, "requires grad", "X.detach().cpu().numpy()"),
    ("A12 elsewhere", Tensor(False, "cuda"), {}, DtypeError, "is on", "X.detach().cpu().numpy()"),
    ("ragged", [[1, 2], [3, 4, 5]], {}, DataError, "row 0 has 2 values, row 1 has 3 values", "same length"),
    ("not an array", {"a": 1}, {}, DtypeError, "X is a dict", "array of numbers"),
    ("none", None, {}, DtypeError, "X is a NoneType", "array of numbers"),
    ("a generator", (i for i in range(3)), {}, DtypeError, "X is a generator", "array of numbers"),
    ("structured", np.zeros(3, [("a", "f8")]).reshape(-1, 1), {}, DtypeError, "structured", "plain"),
    ("B2 width", GOOD, {"features": 4}, DataError, "X has 3 features; the model was built for 4", "4 columns"),
    ("B2 names", pa.table({"a": [1.0], "b": [1.0], "zip": [2.0]}), {"features": 2, "names": ["a", "b"]}, DataError,
     "3 features", "leave out 'zip'"),
    ("B3 renamed", pa.table({"a": [1.0], "c": [1.0]}), {"features": 2, "names": ["a", "b"]}, DataError,
     "column 1 of X is 'c'; the model was trained with 'b' there", "the columns 'a', 'b'"),
    ("C1 object", np.array([[1, 2], [3, "four"]], dtype=object), {}, DtypeError,
     "'four' of type str at row 1, column 1", "encode"),
    ("C1 nested", pa.table({"a": [[1, 2]]}), {}, DtypeError, "column 'a' of X has an object that is no real number",
     "encode"),
    ("C1 huge", np.array([[10**400]], dtype=object), {}, DataError, "too large for float64 at row 0, column 0",
     "scale"),
    ("C2 complex", GOOD + 1j, {}, DtypeError, "complex (complex128); the imaginary part would be lost", "two features"),
    ("C5 float32", with_value(1e40, at=(1, 2)), {}, DataError, "column 2 of X has values up to 1e+40",
     "dtype='float64'"),
    ("C4 longdouble", with_value(np.longdouble("1e400"), dtype=np.longdouble), {"dtype": np.float64}, DataError,
     "column 1 of X has values up to 1e+400", "scale"),
    ("C6 dates", np.array([["2026-01-01"]], dtype="M8[D]"), {}, DtypeError, "dates or durations (datetime64[D])",
     "days"),
    ("C6 text", np.array([["red"]]), {}, DtypeError, "holds text (<U3), not numbers: the first value is 'red'",
     "OneHotEncoder"),
    ("C6 bytes", np.array([[b"red"]]), {}, DtypeError, "holds text", "OneHotEncoder"),
    ("C6 text column", pa.table({"age": [1.0], "city": ["Rome"]}), {}, DtypeError, "column 'city' of X holds String",
     "encode"),
    ("C6 date column", pa.table({"day": pa.array([0], pa.date32())}), {}, DtypeError, "column 'day' of X holds Date",
     "days"),
    ("E1 NaN", with_value(np.nan), {}, DataError, "X has 1 NaN; the first is nan at row 2, column 1", "SimpleImputer"),
    ("E1 None", np.array([[1, None]], dtype=object), {}, DataError, "1 NaN; the first is nan at row 0, column 1",
     "fill"),
    ("E1 named", pa.table({"age": [1.0, None]}), {}, DataError, "1 NaN; the first is nan at row 1, column 0 ('age')",
     "fill"),
    ("E1 in a sequence", np.full((2, 3, 1), np.nan), {"sequence": True}, DataError, "sequence 0, step 0, feature 0",
     "fill"),
    ("E2 infinite", with_value(-np.inf), {}, DataError, "1 infinite values; the first is -inf at row 2, column 1",
     "drop"),
    ("E1 E2 both", with_value([np.nan, 0, np.inf], at=0), {}, DataError, "1 NaN and 1 infinite values", "fill"),
    ("M5 a hostile name", pa.table({"\x1b[31m": ["x"]}), {}, DtypeError, r"column '\x1b[31m' of X", "encode"),
]


@pytest.mark.parametrize("X, arguments, error, what, mend", [row[1:] for row in REFUSED],
    ids=[row[0] for row in REFUSED])
def test_refused_with_the_place_and_the_mend(X, arguments, error, what, mend):
    before = X.copy() if isinstance(X, np.ndarray) else None
    with pytest.raises(error) as caught:
        as_samples(X, **arguments)
    assert isinstance(caught.value, BackproofError)
    assert what in caught.value.what
    assert mend in caught.value.fix
    assert str(caught.value).isascii() and "\x1b" not in str(caught.value)
    if before is not None:
        np.testing.assert_array_equal(X, before)


def test_overflow_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DataError):
            as_samples(np.full((1, 1), 1e300))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_array_that_fits_is_not_copied(dtype):
    X = GOOD.astype(dtype)
    assert np.shares_memory(as_samples(X, dtype=dtype), X)


def misaligned(X):
    raw = np.zeros(X.nbytes + 1, np.uint8)[1:]
    raw[:] = np.frombuffer(X.tobytes(), np.uint8)
    return raw.view(X.dtype).reshape(X.shape)


@pytest.mark.parametrize("X", [
    np.asfortranarray(GOOD), np.repeat(GOOD, 2, axis=0)[::2], GOOD[::-1][::-1], GOOD[::-1], GOOD.astype(">f8"),
    misaligned(GOOD),
    GOOD.astype(np.float16), GOOD.astype(np.longdouble), GOOD.astype(object), GOOD.astype(np.int8),
    GOOD.astype(np.uint64),
    np.ma.masked_array(GOOD), np.matrix(GOOD), GOOD.tolist(), [tuple(row) for row in GOOD], memoryview(GOOD),
    np.broadcast_to(GOOD[:1], (4, 3)), np.vectorize(Fraction, otypes=[object])(GOOD),
    pa.table(dict(zip("abc", GOOD.T, strict=True))),
], ids=lambda X: type(X).__name__)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_numbers_give_the_same_bits(X, dtype):
    want = np.asarray(np.column_stack(X.columns) if isinstance(X, pa.Table) else X, dtype=dtype)
    out = as_samples(X, dtype=dtype)
    assert type(out) is np.ndarray and out.dtype == dtype and out.flags.c_contiguous and out.flags.aligned
    assert out.tobytes() == np.ascontiguousarray(want).tobytes()


def test_read_only_and_memory_mapped_arrays_are_taken_without_a_copy(tmp_path):
    np.save(tmp_path / "x.npy", GOOD)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    out = as_samples(mapped, dtype=np.float64)
    assert type(out) is np.ndarray and np.shares_memory(out, mapped) and not out.flags.writeable


def test_booleans_and_mixed_tables_become_numbers():
    out = as_samples(pa.table({"a": [True, False], "b": pa.array([1, 2], pa.int8()), "c": pa.array([0.5, 1],
    pa.float16())}))
    np.testing.assert_array_equal(out, [[1, 1, 0.5], [0, 2, 1]])


def test_integers_above_2_53_warn_with_their_place():
    with pytest.warns(DataWarning, match="2\\^53.*row 1, column 0"):
        as_samples([[0], [2**53 + 1]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        as_samples([[0], [2**53]])


def test_sequences_are_three_dimensional():
    assert as_samples(np.ones((2, 3, 4)), sequence=True, features=4).shape == (2, 3, 4)
    with pytest.raises(DataError, match="0 steps"):
        as_samples(np.ones((2, 0, 4)), sequence=True)


def test_feature_names_are_those_of_a_table():
    assert feature_names(pa.table({"a": [1], "b": [2]})) == ["a", "b"]
    assert feature_names(GOOD) is None


def test_duplicate_column_names_are_refused():
    with pytest.raises(DataError, match="unique|[Dd]uplicate"):
        as_samples(pa.table([[1.0], [2.0]], names=["a", "a"]))


@settings(max_examples=200, deadline=None)
@given(hnp.arrays(st.sampled_from([np.float16, np.float32, np.float64, np.int32, np.bool_]),
                  hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)))
def test_any_array_is_converted_exactly_or_refused(X):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            out = as_samples(X, dtype=np.float64)
    except BackproofError as error:
        assert X.ndim != 2 or 0 in X.shape or not np.isfinite(X.astype(float)).all()
        assert error.fix
    else:
        np.testing.assert_array_equal(out, X.astype(float))


# -- targets, labels, tokens -------------------------------------------------------------------------------------

def test_targets_are_rows():
    assert as_targets([1, 2, 3], 3, outputs=1).shape == (3, 1)
    assert as_targets([[1], [2]], 2, outputs=1).shape == (2, 1)
    assert as_targets(np.ones((2, 5, 3)), 2, outputs=3, steps=5).shape == (2, 5, 3)
    assert as_targets(np.ones((2, 5)), 2, outputs=1, steps=5).shape == (2, 5, 1)


@pytest.mark.parametrize("y, arguments, what", [
    (np.ones(149), {"n": 150, "outputs": 1}, r"X has 150 rows and y has 149"),                                   # B1
    (np.ones((3, 2)), {"n": 3, "outputs": 4}, r"y has shape \(3, 2\); the model's targets are \(3, 4\)"),
    (np.ones((3, 4, 1)), {"n": 3, "outputs": 1, "steps": 5}, r"targets are \(3, 5, 1\) or \(3, 5\)"),              # K8
    ([1, np.nan, np.nan], {"n": 3, "outputs": 1}, r"y has 2 NaN; the first is nan at row 1"),                      # D3
    ([1, None], {"n": 2, "outputs": 1}, r"y has 1 NaN; the first is nan at row 1"),
    (3.0, {"n": 2, "outputs": 1}, r"single value; X has 2 rows"),
    (["a", "b"], {"n": 2, "outputs": 1}, r"y holds text"),
])
def test_targets_refused(y, arguments, what):
    with pytest.raises(BackproofError) as caught:
        as_targets(y, **arguments)
    assert re.search(what, caught.value.what) and caught.value.fix


def test_large_targets_warn_in_float32_only():                                                                    # E17
    with pytest.warns(DataWarning, match="1e\\+12.*divide"):
        as_targets([1e12], 1, outputs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        as_targets([1e12], 1, outputs=1, dtype=np.float64)


@pytest.mark.parametrize("y", [[0, 2, 1], [0.0, 2.0, 1.0], np.array([0, 2, 1], np.uint8), np.array([0, 2, 1], object),
    pa.array([0, 2, 1])])
def test_labels_become_class_numbers(y):
    out = as_labels(y, 3, classes=3)
    assert out.dtype == np.int64 and out.tolist() == [0, 2, 1]


def test_a_column_of_labels_warns_once():                                                                         # B4
    with pytest.warns(DataWarning, match=r"column of shape \(2, 1\)") as caught:
        assert as_labels([[0], [1]], 2, classes=2).shape == (2,)
    assert len(caught) == 1


@pytest.mark.parametrize("y, what", [
    ([0, 1], "X has 3 rows and y has 2"),
    ([0, 1, 3], "class 3 at row 2; the model has 3, numbered 0 to 2"),
    ([0, -1, 2], "class -1 at row 1"),
    ([0, 0.5, 1], "0.5 at row 1, which is no class number"),                                                      # D4
    ([0, np.nan, 1], "1 NaN; the first is nan at row 1"),                                                         # D3
    ([0, None, 1], "1 NaN; the first is nan at row 1"),
    (["a", "b", "c"], "holds text"),
    (np.zeros((3, 3)), "class numbers are (3,)"),
])
def test_labels_refused(y, what):
    with pytest.raises(BackproofError) as caught:
        as_labels(y, 3, classes=3)
    assert what in caught.value.what and caught.value.fix


@pytest.mark.parametrize("X, arguments, what", [
    ([1, 2], {}, "1-D"), ([[1, 7]], {}, "token 7 at row 0, column 1; the model has 5"), ([[1, -1]], {}, "token -1"),
    ([[0.5, 1]], {}, "no token number"), (np.empty((0, 3)), {}, "at least 1"), ([[1, 2]], {"steps": 3},
     "2 tokens per sample"),
])
def test_tokens_refused(X, arguments, what):
    with pytest.raises(BackproofError) as caught:
        as_tokens(X, vocabulary=5, **arguments)
    assert what in caught.value.what and caught.value.fix


# -- weights -----------------------------------------------------------------------------------------------------

@settings(deadline=None)
@given(hnp.arrays(float, st.integers(1, 20), elements=st.floats(0, 1e300)).filter(lambda w: w.max() > 0))
def test_weights_have_mean_one_and_keep_their_zeros(w):
    out = as_weights(w, len(w))
    assert abs(out.mean() - 1) < 1e-12
    assert out[w == 0].sum() == 0
    assert as_weights(np.ones(len(w)) * 7, len(w)).tolist() == [1.0] * len(w)


def test_no_weights_stay_none():
    assert as_weights(None, 3) is None


@pytest.mark.parametrize("w, what", [
    ([1, 2], "X has 3 rows and sample_weight has 2"), ([1, -2, -3], "2 negative values; the first is -2 at row 1"),
    ([0, 0, 0], "zero for all 3 rows"), ([1, np.nan, 1], "1 NaN; the first is nan at row 1"),
    (np.ones((3, 1)), "2-D"), (["a", "b", "c"], "text"),
])
def test_weights_refused(w, what):                                                                                # B11
    with pytest.raises(BackproofError) as caught:
        as_weights(w, 3)
    assert what in caught.value.what and caught.value.fix


def test_columns_of_a_table_are_matched_by_name():                                                                # B3
    turned = pa.table({"b": [1.0, 2.0], "a": [3.0, 4.0]})
    assert as_samples(turned, features=2, names=["a", "b"]).tolist() == [[3.0, 1.0], [4.0, 2.0]]
