"""The generator: published vectors, purity, and draws that follow their distribution."""

import numpy as np
import pytest

from backproof.engines import generator
from backproof.engines.generator import (
    STREAMS,
    dropout_mask,
    initial_values,
    normal,
    order,
    philox,
    stream_key,
    truncation_links,
    uniform,
    words,
)
from backproof.errors import OptionError, ShapeError

# philox4x32 10, counter, key, result: the file kat_vectors of Random123.
KNOWN_ANSWERS = """
00000000 00000000 00000000 00000000 00000000 00000000 6627e8d5 e169c58d bc57ac4c 9b00dbd8
ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff 408f276d 41c83b0e a20bc7c6 6d5451fd
243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0 d16cfe09 94fdcceb 5001e420 24126ea1
"""
FROZEN_WORDS = [2231995758, 277032971, 3381103758, 3817313747]
FROZEN_ORDER = [2, 6, 0, 5, 4, 7, 3, 1]
FROZEN_MASK = [[0, 0, 1, 1, 0, 0], [0, 1, 0, 1, 1, 0]]
KNOWN_ANSWERS = [[int(word, 16) for word in line.split()] for line in KNOWN_ANSWERS.split("\n") if line]


def philox_in_python(counter, key):
    """The definition in Python integers, one block."""
    a, b, c, d = (int(word) for word in counter)
    k, m = (int(word) for word in key)
    for _ in range(10):
        p, q = a * 0xD2511F53, c * 0xCD9E8D57
        a, b, c, d = (q >> 32) ^ b ^ k, q % 2**32, (p >> 32) ^ d ^ m, p % 2**32
        k, m = (k + 0x9E3779B9) % 2**32, (m + 0xBB67AE85) % 2**32
    return [a, b, c, d]


@pytest.mark.parametrize("row", KNOWN_ANSWERS)
def test_philox_gives_the_published_vectors(row):
    assert philox(row[:4], row[4:6]).tolist() == row[6:]
    assert philox_in_python(row[:4], row[4:6]) == row[6:]


def test_philox_of_many_blocks_is_philox_of_each(monkeypatch):
    counters = philox(np.arange(4 * 37, dtype=np.uint32).reshape(37, 4), [1, 2])
    whole = philox(counters.reshape(1, 37, 4), [3, 4])
    assert whole.dtype == np.uint32 and whole.shape == (1, 37, 4)
    assert whole[0].tolist() == [philox_in_python(c, [3, 4]) for c in counters]
    monkeypatch.setattr(generator, "_CHUNK", 5)
    assert np.array_equal(philox(counters, [3, 4]), whole[0])


def test_philox_leaves_its_arguments_alone():
    counter, key = np.full((3, 4), 9, dtype=np.uint32), np.array([1, 2], dtype=np.uint32)
    philox(counter, key)
    assert (counter == 9).all() and key.tolist() == [1, 2]


def test_philox_refuses_a_counter_of_three_words():
    with pytest.raises(ShapeError):
        philox([1, 2, 3], [0, 0])


def test_words_follow_the_documented_counter():
    seed, at = (7 << 32) + 5, (11, 13, 17)
    key = philox_in_python([STREAMS["dropout"].number, 0, 0, 0], [5, 7])[:2]
    blocks = [philox_in_python([11, 13, block, 17], key) for block in range(3)]
    assert words(seed, "dropout", 10, at).tolist() == sum(blocks, [])[:10]


def test_uniform_follows_the_documented_bits():
    w = [int(word) for word in words(3, "corrupt", 6, (1, 2, 3))]
    assert uniform(3, "corrupt", 6, (1, 2, 3), bits=24).tolist() == [(word >> 8) / 2**24 for word in w]
    draws = [w[2 * m] + (w[2 * m + 1] << 32) for m in range(3)]
    assert uniform(3, "corrupt", 3, (1, 2, 3)).tolist() == [(draw >> 11) / 2**53 for draw in draws]


def test_a_shorter_sequence_is_the_start_of_a_longer_one():
    for draw in (words, uniform, normal):
        longest = draw(0, "parameters", 9)
        for count in range(9):
            assert np.array_equal(draw(0, "parameters", count), longest[:count])


def test_the_values_of_seed_0_are_frozen():
    """These numbers change only together with the definition, and then every saved seed changes its meaning."""
    assert words(0, "order", 4).tolist() == FROZEN_WORDS
    assert order(0, 0, 8).tolist() == FROZEN_ORDER
    assert (dropout_mask(0, 1, [2, 3], 6, 1, 0.5) > 0).astype(int).tolist() == FROZEN_MASK


def test_streams_seeds_and_addresses_are_told_apart():
    assert len({stream.number for stream in STREAMS.values()}) == len(STREAMS)
    keys = {tuple(stream_key(seed, stream).tolist())
            for seed in (0, 1, 1 << 32, (1 << 32) + 1, 2**64 - 1) for stream in STREAMS}
    assert len(keys) == 5 * len(STREAMS)
    base = words(0, "dropout", 4, (1, 2, 3)).tolist()
    for at in ((2, 1, 3), (1, 3, 2), (0, 2, 3), (1, 2, 4)):
        assert words(0, "dropout", 4, at).tolist() != base


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, True, "1", None])
def test_seeds_outside_64_bits_are_refused(seed):
    with pytest.raises(OptionError, match="seed"):
        order(seed, 0, 3)


@pytest.mark.parametrize("row", [-1, 2**32, 0.5])
def test_addresses_outside_32_bits_are_refused(row):
    with pytest.raises(OptionError, match="address"):
        dropout_mask(0, 0, [row], 3, 1, 0.5)


def test_an_unknown_stream_or_width_is_refused():
    with pytest.raises(OptionError, match="stream"):
        words(0, "weights", 3)
    with pytest.raises(OptionError, match="24 or 53"):
        uniform(0, "order", 3, bits=32)


def test_uniform_draws_fill_the_interval_evenly():
    for bits in (24, 53):
        u = uniform(1, "parameters", 100_000, bits=bits)
        counts = np.histogram(u, bins=50, range=(0, 1))[0]
        assert ((counts - 2000) ** 2 / 2000).sum() < 100      # chi-square, 49 degrees: 1e-5 beyond 100
        assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < 0.02


def test_normal_draws_have_the_moments_of_a_normal():
    x = normal(1, "parameters", 200_001)
    assert np.isfinite(x).all() and x.dtype == np.float64
    for power, moment, error in ((1, 0, 0.01), (2, 1, 0.015), (3, 0, 0.04), (4, 3, 0.1)):
        assert abs((x**power).mean() - moment) < error
    assert abs(np.corrcoef(x[0:-1:2], x[1::2])[0, 1]) < 0.02


def test_normals_are_the_same_drawn_part_by_part(monkeypatch):
    whole = normal(3, "parameters", 1001, at=(0, 0, [1, 2]))
    monkeypatch.setattr(generator, "_PAIRS", 7)
    assert (normal(3, "parameters", 1001, at=(0, 0, [1, 2])) == whole).all()


def test_normal_is_finite_at_the_ends_of_the_uniform(monkeypatch):
    for end in (0.0, 1 - 2.0**-53):
        monkeypatch.setattr(generator, "uniform", lambda *args, end=end, **how: np.full(2, end))
        assert np.isfinite(normal(0, "order", 2)).all()


@pytest.mark.parametrize(("distribution", "mean", "deviation"), [
    (("normal", 2.0, 0.5), 2, 0.5), (("uniform", -1.0, 3.0), 1, 4 / 12**0.5),
    (("zeros",), 0, 0), (("constant", 1.5), 1.5, 0)])
def test_initial_values_follow_their_distribution(distribution, mean, deviation):
    values = initial_values(distribution, (200, 300), 4, 1)
    assert values.shape == (200, 300) and values.dtype == np.float64
    assert abs(values.mean() - mean) < 0.02 and abs(values.std() - deviation) < 0.02
    assert np.array_equal(values, initial_values(distribution, (200, 300), 4, 1))
    if deviation:
        assert not np.array_equal(values, initial_values(distribution, (200, 300), 4, 2))


@pytest.mark.parametrize("shape", [(4, 4), (6, 3), (3, 6), (1, 5)])
def test_orthogonal_values_are_orthogonal_along_the_short_side(shape):
    q = initial_values(("orthogonal", 2.0), shape, 0, 1)
    gram = q.T @ q if shape[0] >= shape[1] else q @ q.T
    assert q.shape == shape and np.allclose(gram, 4 * np.eye(min(shape)), atol=1e-12)


def test_orthogonal_values_have_no_preferred_sign():
    signs = [np.sign(initial_values(("orthogonal", 1.0), (3, 3), seed, 1)) for seed in range(200)]
    assert (np.abs(np.mean(signs, axis=0)) < 0.3).all()


def test_wrong_distributions_are_refused():
    for distribution in (("gauss", 0, 1), ("normal", 0), ("normal", 0.0, float("nan")), ("zeros", 0)):
        with pytest.raises(OptionError):
            initial_values(distribution, (2, 2), 0, 1)
    with pytest.raises(ShapeError):
        initial_values(("orthogonal", 1.0), (3,), 0, 1)


def test_order_is_a_permutation_that_changes_with_seed_and_epoch():
    for n in (0, 1, 2, 1000):
        assert np.array_equal(np.sort(order(0, 0, n)), np.arange(n))
    orders = {tuple(order(seed, epoch, 30)) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


def test_order_sorts_by_draw_then_row(monkeypatch):
    monkeypatch.setattr(generator, "_draws", lambda *args, **more: np.array([5, 1, 5, 0, 1], dtype=np.uint64))
    assert order(0, 0, 5).tolist() == [3, 1, 4, 0, 2]


def test_every_row_reaches_every_place():
    places = np.array([order(0, epoch, 4) for epoch in range(2000)])
    counts = np.array([[(places[:, place] == row).sum() for row in range(4)] for place in range(4)])
    assert (np.abs(counts - 500) < 100).all()


def test_dropout_depends_on_the_row_and_not_on_its_place():
    rows = np.array([9, 2, 400, 7])
    mask = dropout_mask(0, 5, rows, 33, 2, 0.25)
    backwards = dropout_mask(0, 5, rows[::-1], 33, 2, 0.25)
    assert np.array_equal(mask, backwards[::-1])
    for i, row in enumerate(rows):
        assert np.array_equal(mask[i], dropout_mask(0, 5, [row], 33, 2, 0.25)[0])
        assert np.array_equal(mask[i, :10], dropout_mask(0, 5, [row], 10, 2, 0.25)[0])


def test_dropout_changes_with_epoch_layer_and_seed():
    masks = {dropout_mask(seed, epoch, [0], 64, layer, 0.5).tobytes()
             for seed in (0, 1) for epoch in (0, 1) for layer in (1, 2)}
    assert len(masks) == 8


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean(rate, dtype):
    mask = dropout_mask(0, 0, np.arange(500), 200, 1, rate, dtype)
    assert mask.dtype == dtype and set(np.unique(mask)) <= {dtype(0), dtype(1 / (1 - rate))}
    assert abs((mask == 0).mean() - rate) < 0.01 and abs(mask.mean() - 1) < 0.05


def test_dropout_of_no_rows_is_empty():
    assert dropout_mask(0, 0, [], 4, 1, 0.5).shape == (0, 4)


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_wrong_rates_are_refused(rate):
    with pytest.raises(OptionError):
        dropout_mask(0, 0, [0], 3, 1, rate)


def test_truncation_links_are_zero_or_the_reciprocal_with_mean_one():
    links = np.array([truncation_links(0, 0, step, 50, 0.2) for step in range(2000)])
    assert set(np.unique(links)) == {0.0, 5.0} and abs(links.mean() - 1) < 0.03
    assert np.array_equal(truncation_links(0, 0, 3, 10, 0.2), links[3, :10])
    assert not np.array_equal(truncation_links(0, 1, 3, 50, 0.2), links[3])


@pytest.mark.parametrize("probability", [0.0, 1.5, float("nan")])
def test_wrong_probabilities_are_refused(probability):
    with pytest.raises(OptionError):
        truncation_links(0, 0, 0, 5, probability)
