"""Pairs that are drawn anew in every epoch, and what they do in training."""

import numpy as np
import pytest

from backproof import Corruption, Network
from backproof.errors import DataError, OptionError
from backproof.train.checkpoints import Checkpoints

ENTITIES, WORDS = 8, 60


def corpus(rows=40, width=5, seed=0):
    """Windows with one of the first ids in the middle, and a pool of windows without."""
    draw = np.random.default_rng(seed)
    windows, pool = (draw.integers(ENTITIES, WORDS, (count, width)) for count in (rows, 30))
    windows[:, width // 2] = draw.integers(0, ENTITIES, rows)
    return Corruption(windows, pool)


def model(engine="reference", loss="pairwise_margin", **how):
    return Network("window 5 vocabulary=60 embedding 3 | 4 tanh | 1 nobias", loss=loss).build(engine=engine, dtype="float64", **how)


def test_a_pair_is_the_true_window_and_a_member_of_the_pool():
    sampled = corpus()
    pairs = sampled.pairs(seed=3, epoch=2)
    assert pairs.shape == (40, 2, 5) and (pairs[:, 0] == sampled.windows).all()
    assert (pairs[:, 1] == sampled.corrupt[sampled.draw(3, 2)]).all()


def test_every_epoch_and_seed_draws_anew_and_every_row_for_itself():
    sampled = corpus()
    draws = [tuple(sampled.draw(seed, epoch)) for seed in (0, 1) for epoch in (0, 1, 2)]
    assert len(set(draws)) == 6
    fewer = Corruption(sampled.windows[:7], sampled.corrupt)
    assert (fewer.draw(0, 1) == sampled.draw(0, 1)[:7]).all()


def test_draws_are_uniform_over_the_pool():
    drawn = Corruption(np.zeros((30000, 1), int), np.zeros((10, 1), int)).draw(seed=5)
    counts = np.bincount(drawn, minlength=10)
    assert counts.size == 10 and abs(counts - 3000).max() < 5 * np.sqrt(3000 * 0.9)


@pytest.mark.parametrize(("windows", "corrupt", "says"), [
    (np.zeros((3, 5), int), np.zeros((3, 4), int), "windows of 5 and corrupt ones of 4"),
    (np.zeros((3, 5), int), np.zeros((0, 5), int), "shape (0, 5)"),
    (np.zeros(5, int), np.zeros((3, 5), int), "shape (5,)"),
])
def test_what_does_not_fit_together_is_refused(windows, corrupt, says):
    with pytest.raises(DataError) as caught:
        Corruption(windows, corrupt)
    assert says in str(caught.value)


def test_only_a_loss_of_pairs_takes_corrupt_windows():
    with pytest.raises(DataError, match="corrupt ones are for a loss of pairs"):
        Network("window 5 vocabulary=60 embedding 3 | 2 softmax", loss="cross_entropy").build().fit(corpus())
    with pytest.raises(DataError, match="the model has 60"):
        model().fit(Corruption(corpus().windows, corpus().corrupt + 60))
    with pytest.raises(OptionError, match="draws pairs anew"):
        model().fit(corpus(), optimizer="lbfgs")


@pytest.mark.parametrize("engine", ["reference", "native"])
def test_training_meets_the_pairs_of_every_epoch(engine):
    sampled = corpus()
    drawn, given = model(engine), model(engine)
    drawn.fit(sampled, epochs=3, batch_size=16, learning_rate=0.05)
    for epoch in range(3):
        given.fit(sampled.pairs(seed=0, epoch=epoch), None, epochs=1, batch_size=16, learning_rate=0.05, continued=epoch > 0)
    assert all((drawn.parameters[name] == given.parameters[name]).all() for name in drawn.parameters)
    assert len({record["loss"] for record in drawn.history.records}) == 3


@pytest.mark.parametrize("engine", ["reference", "native"])
def test_the_history_counts_the_pairs_that_changed_nothing(engine):
    sampled = corpus()
    trained = model(engine).fit(sampled, epochs=1, batch_size=64, learning_rate=0.05)
    idle = np.mean(model().sample_losses(sampled.pairs(seed=0), None) == 0)
    assert trained.history["idle"] == [idle]
    trained.fit(sampled, epochs=40, batch_size=16, learning_rate=0.05)
    assert trained.history["idle"][-1] > 0.9 and "%" in str(trained.history)


@pytest.mark.parametrize("engine", ["reference", "native"])
def test_a_batch_within_the_margin_keeps_every_bit(engine):
    trained = model(engine).fit(corpus(), epochs=60, batch_size=16, learning_rate=0.05)
    pairs = corpus().pairs(seed=0)
    satisfied = pairs[trained.sample_losses(pairs, None) == 0]
    before = {name: array.copy() for name, array in trained.parameters.items()}
    assert len(satisfied) > 4
    trained.fit(satisfied, epochs=2, batch_size=4, optimizer="momentum", learning_rate=10.0)
    assert all((trained.parameters[name] == before[name]).all() for name in before)
    assert trained.history["idle"] == [1.0, 1.0]
    trained.fit(Corruption(pairs[:, 1], pairs[:, 0]), epochs=1, optimizer="sgd", learning_rate=0.1)   # the wrong way
    assert any((trained.parameters[name] != before[name]).any() for name in before)


def test_the_plain_difference_is_never_idle():
    assert model(loss="pairwise_difference").fit(corpus(), epochs=2).history["idle"] == [0.0, 0.0]


@pytest.mark.parametrize("engine", ["reference", "native"])
def test_an_interrupted_run_meets_the_same_pairs(engine, tmp_path):
    sampled, options = corpus(), {"epochs": 4, "batch_size": 16, "learning_rate": 0.05}
    whole = model(engine).fit(sampled, **options)
    checkpoints = Checkpoints(tmp_path, every=1, seconds=0)
    count = iter(range(100))
    seen = checkpoints.look
    checkpoints.look = lambda *a: (checkpoints.stop("asked") if next(count) == 7 else None, seen(*a))[1]
    with pytest.raises(KeyboardInterrupt):
        model(engine).fit(sampled, checkpoints=checkpoints, **options)
    checkpoints.close()
    again = model(engine).fit(sampled, checkpoints=Checkpoints(tmp_path, every=1, seconds=0), **options)
    assert all((whole.parameters[name] == again.parameters[name]).all() for name in whole.parameters)
    assert again.history["idle"] == whole.history["idle"]
    with pytest.raises(OptionError, match="another run"):
        model(engine).fit(Corruption(sampled.windows, sampled.corrupt[:20]), checkpoints=Checkpoints(tmp_path), **options)
