"""The native engine's words: accuracy in units in the last place, exact ends, NaN, infinities and signed zeros kept."""

import numpy as np
import pytest
from scipy.special import erf as scipy_erf

from backproof.engines.reference import WORD
from backproof.lower import WORDS

native = pytest.importorskip("backproof.engines.native")
from backproof.engines import _native  # noqa: E402

INF, NAN = np.inf, np.nan


def softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


# the function in more digits than asked, the bound in units in the last place, points where branches meet
PRECISE = {
    "exp": (np.exp, 2, [-745.2, -708.4, -103.98, -87.34, 88.73, 709.79]),
    "expm1": (np.expm1, 2, [-40, -17.4, -0.3466, 0.3466, 88.7, 709.7]),
    "log": (np.log, 2, [0.5**0.5, 2**0.5, 1.0, 1e-38, 1e-308, 5e-324]),
    "sigmoid": (sigmoid, 2, [-745, -104, -88, -17, 17, 40]),
    "tanh": (np.tanh, 2, [-20, -9.01, -0.55, -1e-4, 1e-4, 0.17, 9.01, 19.06]),
    "softplus": (softplus, 4, [-745, -104, -88, -36, 36]),
    "erf": (scipy_erf, 4, [-4, -1, -0.5, 0.5, 1, 3.8, 4, 5.9]),
}
ENDS = {
    "exp": [(-INF, 0.0), (INF, INF), (0.0, 1.0), (-0.0, 1.0), (1000.0, INF), (-1000.0, 0.0)],
    "expm1": [(-INF, -1.0), (INF, INF), (0.0, 0.0), (-0.0, -0.0), (-1000.0, -1.0), (1000.0, INF)],
    "log": [(0.0, -INF), (-0.0, -INF), (-1.0, NAN), (-INF, NAN), (INF, INF), (1.0, 0.0)],
    "sigmoid": [(-INF, 0.0), (INF, 1.0), (0.0, 0.5), (-1e4, 0.0), (1e4, 1.0)],
    "tanh": [(-INF, -1.0), (INF, 1.0), (0.0, 0.0), (-0.0, -0.0), (-1e4, -1.0)],
    "softplus": [(-INF, 0.0), (INF, INF), (1e4, 1e4), (-1e4, 0.0)],
    "erf": [(-INF, -1.0), (INF, 1.0), (0.0, 0.0), (-0.0, -0.0)],
    "sqrt": [(0.0, 0.0), (-0.0, -0.0), (-1.0, NAN), (INF, INF)],
    "reciprocal": [(0.0, INF), (-0.0, -INF), (INF, 0.0)],
    "abs": [(-INF, INF)], "sign": [(-3.0, -1.0), (0.0, 0.0), (INF, 1.0)], "step": [(0.0, 0.0), (-0.0, 0.0), (1e-40, 1.0)],
    "neg": [(INF, -INF)], "copy": [(-INF, -INF)],
}


def apply(word, x):
    y = np.empty_like(x)
    _native.apply(word, np.ascontiguousarray(x), y)
    return y


def in_ulps(found, exact, dtype):
    """|found − exact| in units in the last place of the rounded exact value; an equal infinity or NaN is 0."""
    with np.errstate(all="ignore"):
        rounded = exact.astype(dtype)
    unit = np.spacing(np.abs(np.where(np.isfinite(rounded), rounded, 1))).astype(exact.dtype)
    with np.errstate(all="ignore"):
        difference = np.abs(found.astype(exact.dtype) - exact) / unit
    largest = np.finfo(dtype).max
    same = (found == rounded) | (np.isnan(found) & np.isnan(rounded)) | (np.isinf(found) & (np.abs(exact) > largest))
    return np.where(same, 0, difference)


def samples(dtype, points, count):
    """Every magnitude alike, the middle densely, and the neighbours of the points where branches meet."""
    draw = np.random.default_rng(5)
    bits = draw.integers(0, 1 << 8 * np.dtype(dtype).itemsize, count // 2, dtype=np.uint64)
    wide = bits.astype(np.uint32 if dtype == np.float32 else np.uint64).view(dtype)
    close = [np.asarray(points, dtype)]
    for direction in (-INF, INF):
        at = close[0]
        for _ in range(3):
            at = np.nextafter(at, dtype(direction))
            close.append(at)
    x = np.concatenate([wide, draw.normal(0, 4, count // 4).astype(dtype), draw.uniform(-1, 1, count // 4).astype(dtype), *close])
    return x[~np.isnan(x)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("word", PRECISE)
def test_a_word_is_accurate_to_the_promised_ulps(word, dtype):
    exact, bound, points = PRECISE[word]
    if word == "erf" and dtype == np.float64:
        x = samples(dtype, points, 10**5)
        assert np.array_equal(apply(word, x), np.vectorize(__import__("math").erf)(x))      # the C library's own
        return
    x = samples(dtype, points, 10**6)
    with np.errstate(all="ignore"):
        wanted = exact(x.astype(np.float64 if dtype == np.float32 else np.longdouble))
    error = in_ulps(apply(word, x), wanted, dtype)
    assert not (error > bound).any(), (x[error.argmax()], error.max())
    assert not np.isnan(error).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("word", ENDS)
def test_a_word_is_exact_at_the_ends_and_keeps_nan(word, dtype):
    x, wanted = np.array([*ENDS[word], (NAN, NAN)], dtype).T
    found = apply(word, x)
    assert np.array_equal(found, wanted, equal_nan=True)
    signed = np.isfinite(wanted) & (wanted == 0) & (word not in ("step", "sign"))
    assert np.array_equal(np.signbit(found[signed]), np.signbit(wanted[signed]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("word", ["exp", "expm1", "sigmoid", "tanh", "softplus", "log", "erf"])
def test_a_word_keeps_to_its_range_and_never_falls(word, dtype):
    x = np.sort(samples(dtype, PRECISE[word][2], 10**5))
    x = x[x >= 0] if word == "log" else x
    y = apply(word, x)
    steps = np.diff(y[np.isfinite(y)].astype(np.longdouble))
    assert (steps >= -2 * np.spacing(np.abs(y[np.isfinite(y)][1:]))).all()
    if word in ("sigmoid", "tanh", "erf"):
        assert y.max() == 1 and y.min() == (0 if word == "sigmoid" else -1)


@pytest.mark.parametrize("word", sorted(w for w, (arity, _) in WORDS.items() if arity == 1))
def test_every_word_of_one_operand_agrees_with_the_reference(word):
    x = np.random.default_rng(2).normal(0, 3, 10**4)
    with np.errstate(all="ignore"):
        wanted = WORD[word](x)
    assert np.allclose(apply(word, x), wanted, rtol=1e-14, atol=1e-300, equal_nan=True)


def test_a_word_gives_the_same_bits_wherever_a_number_stands():
    x = np.random.default_rng(4).normal(0, 3, 600).astype(np.float32)
    for word in PRECISE:
        whole = apply(word, x)
        for shift in (1, 7, 13):
            assert np.array_equal(apply(word, x[shift:]), whole[shift:], equal_nan=True)


@pytest.mark.long
@pytest.mark.parametrize("word", PRECISE)
def test_a_word_is_accurate_for_every_float(word):
    exact, bound, _ = PRECISE[word]
    for start in range(0, 1 << 32, 1 << 24):
        x = np.arange(start, start + (1 << 24), dtype=np.uint64).astype(np.uint32).view(np.float32)
        x = x[~np.isnan(x)]
        with np.errstate(all="ignore"):
            error = in_ulps(apply(word, x), exact(x.astype(np.float64)), np.float32)
        assert not (error > bound).any() and not np.isnan(error).any()
