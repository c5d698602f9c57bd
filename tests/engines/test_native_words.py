"""The native engine's words, on every instruction set of this processor: accuracy in units in the last place, exact ends, ranges,
NaN, infinities and signed zeros kept. Long: every float there is.
"""

import numpy as np
import pytest
from scipy.special import erf as scipy_erf
from scipy.special import ndtr

from backproof import Network
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


def normal_cdf(x):
    """Φ: SciPy's for floats; in extended precision Laplace's continued fraction below -2, else a series of plus signs alone."""
    if x.dtype == np.float64:
        return ndtr(x)
    a = np.minimum(np.abs(x), 45)
    root = np.round(a * 1024) / 1024                                      # its square is exact
    density = np.exp(-root * root / 2) * np.exp(-(a - root) * (a + root) / 2) / np.sqrt(2 * np.longdouble("3.14159265358979323846264"))
    fraction, term, series = a + 0, a + 0, np.minimum(a, 2)
    for k in range(400, 0, -1):
        fraction = a + k / np.maximum(fraction, np.longdouble(1e-30))
    term = series.copy()
    for k in range(1, 60):
        term = term * np.minimum(a, 2) ** 2 / (2 * k + 1)
        series = series + term
    tail = np.where(a > 2, density / np.maximum(fraction, np.longdouble(1e-30)), 0.5 - density * series)
    return np.where(np.isnan(x), x, np.where(x < 0, tail, 1 - tail))


# the function in more digits than asked, the bound in units in the last place, points where branches meet
PRECISE = {
    "exp": (np.exp, 2, [-745.2, -708.4, -103.98, -87.34, 88.73, 709.79]),
    "expm1": (np.expm1, 2, [-40, -17.4, -0.3466, 0.3466, 88.7, 709.7]),
    "log": (np.log, 2, [0.5**0.5, 2**0.5, 1.0, 1e-38, 1e-308, 5e-324]),
    "sigmoid": (sigmoid, 2, [-745, -104, -88, -17, 17, 40]),
    "tanh": (np.tanh, 2, [-20, -9.01, -0.55, -1e-4, 1e-4, 0.17, 9.01, 19.06]),
    "softplus": (softplus, {np.float32: 4, np.float64: 2}, [-745, -104, -88, -36, 36]),
    "erf": (scipy_erf, {np.float32: 4, np.float64: 2}, [-4, -1, -0.5, 0.5, 1, 3.8, 4, 5.9]),
    "normal_cdf": (normal_cdf, 2, [-38.47, -37.5, -14.1, -13.0, -4, -2, -1, 1, 5.4, 8.2]),
}
ENDS = {
    "exp": [(-INF, 0.0), (INF, INF), (0.0, 1.0), (-0.0, 1.0), (1000.0, INF), (-1000.0, 0.0)],
    "expm1": [(-INF, -1.0), (INF, INF), (0.0, 0.0), (-0.0, -0.0), (-1000.0, -1.0), (1000.0, INF)],
    "log": [(0.0, -INF), (-0.0, -INF), (-1.0, NAN), (-INF, NAN), (INF, INF), (1.0, 0.0)],
    "sigmoid": [(-INF, 0.0), (INF, 1.0), (0.0, 0.5), (-1e4, 0.0), (1e4, 1.0)],
    "tanh": [(-INF, -1.0), (INF, 1.0), (0.0, 0.0), (-0.0, -0.0), (-1e4, -1.0)],
    "softplus": [(-INF, 0.0), (INF, INF), (1e4, 1e4), (-1e4, 0.0)],
    "erf": [(-INF, -1.0), (INF, 1.0), (0.0, 0.0), (-0.0, -0.0)],
    "normal_cdf": [(-INF, 0.0), (INF, 1.0), (0.0, 0.5), (-0.0, 0.5), (-1e4, 0.0), (1e4, 1.0)],
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


def falls(word, dtype):
    """How many units a word may fall from one argument to the next."""
    return 2 if dtype == np.float64 or word in ("exp", "sigmoid", "tanh") else 0


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


RANGES = {"sigmoid": (0, 1), "tanh": (-1, 1), "erf": (-1, 1), "normal_cdf": (0, 1)}
SETS = _native.instruction_sets().split()


@pytest.fixture(params=SETS)
def kernels(request):
    """One instruction set after the other; those that this processor lacks are named as skipped."""
    best = _native.instruction_set()
    if not _native.force_instruction_set(request.param):
        pytest.skip(f"this processor has no {request.param}")
    yield request.param
    _native.force_instruction_set(best)


def bound_of(word, dtype):
    bound = PRECISE[word][1]
    return bound[dtype] if isinstance(bound, dict) else bound


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("word", PRECISE)
def test_a_word_is_accurate_to_the_promised_ulps(word, dtype, kernels):
    exact, _, points = PRECISE[word]
    if word == "erf" and dtype == np.float64:
        x = samples(dtype, points, 10**5)
        assert np.array_equal(apply(word, x), np.vectorize(__import__("math").erf)(x))      # the C library's own
        return
    x = samples(dtype, points, 10**4 if word == "normal_cdf" else 10**5)
    with np.errstate(all="ignore"):
        wanted = exact(x.astype(np.float64 if dtype == np.float32 else np.longdouble))
    error = in_ulps(apply(word, x), wanted, dtype)
    assert not (error > bound_of(word, dtype)).any(), (x[error.argmax()], error.max())
    assert not np.isnan(error).any()


def test_the_measure_of_accuracy_sees_a_unit_too_much_and_nan():
    exact = np.array([1.0, 3.0, 0.0, np.inf])
    assert in_ulps(np.array([1, 3, 0, INF], np.float32), exact, np.float32).max() == 0
    assert in_ulps(np.nextafter(np.float32([1, 3, 0, 1]), np.float32(9)), exact, np.float32)[:3].tolist() == [1, 1, 1]
    assert np.isnan(in_ulps(np.full(4, NAN, np.float32), exact, np.float32)[:3]).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("word", ENDS)
def test_a_word_is_exact_at_the_ends_and_keeps_nan(word, dtype, kernels):
    x, wanted = np.array([*ENDS[word], (NAN, NAN)], dtype).T
    found = apply(word, x)
    assert np.array_equal(found, wanted, equal_nan=True)
    signed = np.isfinite(wanted) & (wanted == 0) & (word not in ("step", "sign"))
    assert np.array_equal(np.signbit(found[signed]), np.signbit(wanted[signed]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("word", PRECISE)
def test_a_word_keeps_to_its_range_and_never_falls(word, dtype, kernels):
    """By way of doubles a float never does; what is computed in its own precision may, by a rounding: two units at most."""
    x = np.sort(samples(dtype, PRECISE[word][2], 10**5))
    x = x[x >= 0] if word == "log" else x
    y = apply(word, x)
    y = y[np.isfinite(y)]
    steps = np.diff(y.astype(np.longdouble))
    assert (steps >= -falls(word, dtype) * np.spacing(np.abs(y[1:]))).all()
    if word in RANGES:
        assert (y.min(), y.max()) == RANGES[word]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gelu_is_accurate_in_its_tail(dtype):
    """x Φ(x), not x (1 + erf)/2, which loses everything below -5: four units in float32, three in float64."""
    model = Network("1 | 1 gelu", loss="squared_error").build(dtype=dtype, engine="native")
    model.set_parameters(W1=np.ones((1, 1)), b1=np.zeros(1))
    x = np.random.default_rng(0).uniform(-13 if dtype == "float32" else -37, 6, 4000).astype(dtype)
    wide = x.astype(np.float64 if dtype == "float32" else np.longdouble)
    error = in_ulps(model.predict(x[:, None]).ravel(), wide * normal_cdf(wide), np.dtype(dtype).type)
    assert not (error > (4 if dtype == "float32" else 3)).any() and not np.isnan(error).any()


@pytest.mark.parametrize("word", sorted(w for w, (arity, _) in WORDS.items() if arity == 1))
def test_every_word_of_one_operand_agrees_with_the_reference(word):
    x = np.random.default_rng(2).normal(0, 3, 10**4)
    with np.errstate(all="ignore"):
        wanted = WORD[word](x)
    rounding = 1e-13 if word == "normal_cdf" else 1e-14                    # SciPy rounds x/√2 first
    assert np.allclose(apply(word, x), wanted, rtol=rounding, atol=1e-300, equal_nan=True)


def test_a_word_gives_the_same_bits_wherever_a_number_stands():
    x = np.random.default_rng(4).normal(0, 3, 600).astype(np.float32)
    for word in PRECISE:
        whole = apply(word, x)
        for shift in (1, 7, 13):
            assert np.array_equal(apply(word, x[shift:]), whole[shift:], equal_nan=True)


def chunks_in_order():
    """Every float from -inf to inf, without the NaNs, in ascending order."""
    for start in range(0xFF, 0x7F, -1):                                   # negative: descending patterns
        bits = np.arange((start << 24) + (1 << 24) - 1, (start << 24) - 1, -1, dtype=np.int64)
        yield bits.astype(np.uint32).view(np.float32)
    for start in range(0x80):
        yield np.arange(start << 24, (start + 1) << 24, dtype=np.int64).astype(np.uint32).view(np.float32)


@pytest.mark.long
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("word", PRECISE)
def test_a_word_is_accurate_and_monotone_for_every_float_on_every_instruction_set(word, capsys):
    exact, best = PRECISE[word][0], _native.instruction_set()
    sets = [name for name in SETS if _native.force_instruction_set(name)]
    worst, last, seen = dict.fromkeys(sets, (0.0, 0.0)), dict.fromkeys(sets, -INF), 0
    try:
        for x in chunks_in_order():
            x = x[~np.isnan(x)]
            x = x[x >= 0] if word == "log" else x                          # below, NaN: among the ends
            if not len(x):
                continue
            seen += len(x)
            with np.errstate(all="ignore"):
                wide = exact(x.astype(np.float64))
                wanted = wide.astype(np.float32)
            for name in sets:
                assert _native.force_instruction_set(name)
                y = apply(word, x)
                assert not np.isnan(y).any()
                y_before = np.concatenate([[last[name]], y[:-1]]).astype(np.float32)
                lowest = y_before if not falls(word, np.float32) else y_before - 2 * np.spacing(np.abs(y))
                assert (y >= lowest)[np.isfinite(lowest)].all(), (name, "falls")
                last[name] = y[-1]
                other = np.flatnonzero(y != wanted)
                if len(other):
                    error = in_ulps(y[other], wide[other], np.float32)
                    assert not np.isnan(error).any()
                    worst[name] = max(worst[name], (float(error.max()), float(x[other[error.argmax()]])))
                if word in RANGES:
                    assert RANGES[word][0] <= y[0] and y[-1] <= RANGES[word][1]
    finally:
        _native.force_instruction_set(best)
    with capsys.disabled():
        print(f"\n{word}: {seen} floats,", ", ".join(f"{name} {error:.3f} ULP at {at:.9g}" for name, (error, at) in worst.items()))
    assert seen >= (2**31 if word == "log" else 2**32) - 2**25
    assert all(error <= bound_of(word, np.float32) for error, _ in worst.values())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_pair_of_words_gives_the_bits_of_the_two_alone(kernels, dtype):
    """Each is rounded as if alone: no fused multiply-add, NaN and infinity included."""
    draw, odd = np.random.default_rng(3), np.array([0, -0.0, 1, -1, INF, -INF, NAN, np.finfo(dtype).max, np.finfo(dtype).tiny / 8], dtype)
    numbers = [np.concatenate([draw.normal(size=512 - odd.size ** 2 * 3).astype(dtype) * dtype(3) ** k,
                               np.tile(np.roll(np.repeat(odd, odd.size), 7 * k), 2), np.tile(odd, odd.size)]) for k in range(3)]
    assert len(_native.pairs()) > 20
    for k, (first, second, place) in enumerate(_native.pairs()):
        arity = WORDS[first][0]
        a, b, c = numbers
        with np.errstate(all="ignore"):
            made, other = WORD[first](*numbers[:arity]), numbers[arity]
            wanted = WORD[second](*((made, other) if place == 0 else (other, made)))
        found = np.empty_like(a)
        _native.apply_pair(k, a, b, c, found)
        assert np.array_equal(found, wanted, equal_nan=True), (first, second, place)
        there = ~np.isnan(wanted) & (wanted != 0 if second == "maximum" else True)       # of 0 and −0 either is the larger
        assert np.array_equal(np.signbit(found[there]), np.signbit(wanted[there])), (first, second, place)
