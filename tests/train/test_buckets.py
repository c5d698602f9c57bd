"""Length bucketing: other minibatches, the same epoch; a cut minibatch has the bits of a padded one."""

import numpy as np
import pytest

from backproof import Network
from backproof.data.sequences import Sequences, pad
from backproof.engines.generator import order
from backproof.errors import OptionError
from backproof.train.buckets import POOL, bucketed
from backproof.train.checkpoints import Checkpoints

DRAW = np.random.default_rng(8)
LENGTHS = DRAW.integers(1, 12, 70)
X = [DRAW.normal(size=(t, 3)) for t in LENGTHS]
Y = DRAW.integers(0, 2, 70)
STEPS = [DRAW.normal(size=(t, 2)) for t in LENGTHS]
LAST, EVERY = Network("3 | lstm 4 | last | 2 softmax", loss="cross_entropy"), Network("3 | gru 4 | dropout 0.2 | 2")
DATA = [(LAST, Y), (EVERY, STEPS)]


def fitted(network, y, engine=None, **how):
    how = {"epochs": 2, "batch_size": 16, "bucketing": True, **how}
    return network.build(seed=3, dtype="float64", engine=engine).fit(X, y, **how)


@pytest.mark.parametrize("n, size", [(70, 16), (64, 16), (5, 16), (3000, 20)])
def test_an_epoch_meets_every_row_once_in_minibatches_of_near_lengths(n, size):
    lengths = np.random.default_rng(n).integers(1, 200, n)
    drawn = order(7, 3, n)
    rows = bucketed(drawn, lengths, size, seed=7, epoch=3)
    assert sorted(rows.tolist()) == list(range(n))
    whole = n // size * size
    assert np.array_equal(rows[whole:], drawn[whole:])
    if whole:
        spread = np.ptp(lengths[rows[:whole].reshape(-1, size)], axis=1)
        assert spread.mean() <= 200 / min(whole // size, POOL) * 2
    assert np.array_equal(rows, bucketed(order(7, 3, n), lengths, size, seed=7, epoch=3))
    if n > size:
        assert not np.array_equal(rows, bucketed(order(7, 4, n), lengths, size, seed=7, epoch=4))


@pytest.mark.parametrize("network, y", DATA)
def test_the_sum_over_the_epoch_is_unchanged(network, y):
    network = Network([layer for layer in network.layers if layer.kind != "dropout"], inputs=3, loss=network.loss)
    plain, sorted_ = (fitted(network, y, bucketing=b, learning_rate=1e-300, epochs=1) for b in (False, True))
    whole = network.build(seed=3, dtype="float64").loss(X, y)
    assert [m.history.records[0]["loss"] for m in (plain, sorted_)] == pytest.approx([whole, whole], rel=1e-13)


FORMS = [{}, {"truncation_length": 2}, {"continue_probability": 0.7}]
LONGER = [{"truncation_lag": 3}, {"truncation_length": 3, "stateful": True}, {"memory_budget": 6000}]


@pytest.mark.parametrize("network, y, more, engine", [
    *((network, y, more, engine) for network, y in DATA for more in FORMS for engine in ("native", "reference")),
    *((EVERY, STEPS, more, "native") for more in LONGER)])
def test_a_cut_minibatch_has_the_bits_of_a_padded_one(network, y, more, engine, monkeypatch):
    cut = fitted(network, y, engine, **more)
    seen = []
    monkeypatch.setattr("backproof.train.buckets.Cut.arrays",
                        lambda self, rows: seen.append(1) or {name: array[rows] for name, array in self.data.items()})
    monkeypatch.setattr("backproof.train.buckets.Cut.scalars", lambda self, rows, values: values)
    padded = fitted(network, y, engine, **more)
    assert len(seen) == 10
    for name, array in cut.parameters.items():
        assert np.array_equal(array, padded.parameters[name]), name


def test_engines_agree_on_cut_minibatches():
    one, other = (fitted(EVERY, STEPS, engine) for engine in ("native", "reference"))
    for name, array in one.parameters.items():
        assert np.allclose(array, other.parameters[name], rtol=1e-10, atol=1e-13), name


def test_padding_is_not_read_and_weights_belong_to_their_sequences():
    weights = DRAW.uniform(0, 2, 70)
    values = np.where(np.arange(11)[None, :, None] < LENGTHS[:, None, None], pad(X), np.nan)
    plain = fitted(LAST, Y, sample_weight=weights)
    padded = LAST.build(seed=3, dtype="float64").fit(Sequences(values, LENGTHS), Y, epochs=2, batch_size=16, bucketing=True,
                                                     sample_weight=weights)
    assert all(np.array_equal(a, padded.parameters[name]) for name, a in plain.parameters.items())


def test_an_interrupted_run_goes_on_with_the_same_minibatches(tmp_path):
    whole = fitted(LAST, Y, epochs=4)
    folder = str(tmp_path)

    def stop(record):
        if record["epoch"] == 1:
            raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        fitted(LAST, Y, epochs=4, checkpoints=Checkpoints(folder), callbacks=(stop,))
    going = fitted(LAST, Y, epochs=4, checkpoints=Checkpoints(folder))
    assert all(np.array_equal(a, going.parameters[name]) for name, a in whole.parameters.items())


def test_what_has_no_lengths_or_no_minibatches_is_refused():
    with pytest.raises(OptionError, match="no sequences"):
        Network("3 | 2").build().fit(np.zeros((4, 3)), np.zeros((4, 2)), bucketing=True)
    with pytest.raises(OptionError, match="no minibatches"):
        fitted(LAST, Y, optimizer="lbfgs")
