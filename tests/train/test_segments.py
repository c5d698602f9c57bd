"""Sequences run in segments: the same bits as in one piece, in the memory of one segment."""

import resource

import numpy as np
import pytest

from backproof.data.sequences import Sequences
from backproof.engines import choose, reference
from backproof.lower.segments import segmented
from backproof.network import Network
from backproof.oracles import assert_agree
from backproof.train.forms import predicted, run_of
from backproof.train.links import regular
from backproof.train.segments import Segments, Session, footprint, segment_length

DRAW = np.random.default_rng(7)
N, T = 3, 7
CELLS = ["rnn 4", "lstm 4", "gru 3 | gru 4", "bi rnn 3", "bi lstm 3 | bi rnn 2"]
ENDS = [("2", "squared_error"), ("last | 2 softmax", "cross_entropy"), ("mean | 2 softmax", "cross_entropy"),
        ("max | 2", "squared_error")]


def problem(cell, end, loss, ragged, **more):
    network = Network(f"3 | {cell} | {end}", loss=loss, l2=0.01, **more)
    model = network.build(seed=3, dtype="float64")
    X = DRAW.normal(size=(N, T, 3))
    if loss == "cross_entropy":
        y = np.array([0, 1, 1])
    else:
        y = DRAW.normal(size=(N, T, 2) if network.output_per_step else (N, 2))
    return model, model._feeds(Sequences(X, [1, 7, 4]) if ragged else X, y)


def step(model, fed, **how):
    from backproof.train import OPTIMIZERS
    return model._step_program({**fed.how, **how}, OPTIMIZERS["momentum"], None, None, False)


def run(model, program, fed, length, engine, xi=None, cut=False):
    session = Session(program, Segments.of(program, length, engine, model.dtype, cut), model.parameters,
                      {n: np.zeros([i.extent for i in v.axes]) for n, v in program.state.items()})
    scalars = {"eta": 0.1} if xi is None else {"eta": 0.1, "xi": xi}
    return session.one(fed.arrays, np.arange(N), scalars, np.arange(N), 0, 0)


def whole(model, program, fed, engine, xi=None):
    state = {n: np.zeros([i.extent for i in v.axes]) for n, v in program.state.items()}
    stored = model._store(program, fed.arrays)
    noise = reference.masks(program, np.arange(N), T, 0, 0, model.dtype)
    scalars = {"eta": 0.1} if xi is None else {"eta": 0.1, "xi": xi}
    return engine.Run(program, {**stored, **noise, **model.parameters, **state, **scalars}, model.dtype)


def same_bits(a, b):
    gradients, others = a.gradients(), b.gradients()
    assert set(gradients) == set(others)
    different = [name for name in gradients if not np.array_equal(gradients[name], others[name])]
    assert not different, f"other bits in {different}"
    assert {k: float(v) for k, v in a.outputs().items()} == {k: float(v) for k, v in b.outputs().items()}
    new, other = a.update(), b.update()
    assert all(np.array_equal(new[name], other[name]) for name in new)


def check_bits(cell, end, loss, ragged, engine, lengths):
    model, fed = problem(cell, end, loss, ragged)
    engine, program = choose(engine), step(model, fed)
    expected = whole(model, program, fed, engine)
    for length in lengths:
        same_bits(expected, run(model, program, fed, length, engine))


@pytest.mark.long
@pytest.mark.parametrize("engine", ["reference", "native"])
@pytest.mark.parametrize("ragged", [False, True], ids=["even", "ragged"])
@pytest.mark.parametrize("end, loss", ENDS)
@pytest.mark.parametrize("cell", CELLS)
def test_segments_change_no_bit_of_full_gradients(cell, end, loss, ragged, engine):
    check_bits(cell, end, loss, ragged, engine, (1, 2, 3, 7))


@pytest.mark.parametrize("engine", ["reference", "native"])
@pytest.mark.parametrize("cell, end, loss, ragged", [("lstm 4", *ENDS[0], True), ("rnn 3 | gru 4", *ENDS[1], True),
                                                     ("bi rnn 3", *ENDS[3], True), ("bi gru 3 | bi rnn 2", *ENDS[2], False)])
def test_segments_and_recomputation_change_no_bit(cell, end, loss, ragged, engine):
    check_bits(cell, end, loss, ragged, engine, (3,))


def test_the_bits_can_differ():
    model, fed = problem("rnn 4", *ENDS[0], False)
    engine, program = choose("native"), step(model, fed)
    other = whole(model, program, fed, engine)
    fed.arrays["x"][0, -1, 0] += 1e-12
    with pytest.raises(AssertionError, match="other bits"):
        same_bits(other, run(model, program, fed, 3, engine))


@pytest.mark.parametrize("cell", ["rnn 4", "lstm 3 | rnn 4"])
@pytest.mark.parametrize("ragged", [False, True], ids=["even", "ragged"])
def test_cut_segments_give_the_truncated_gradient_in_one_pass(cell, ragged):
    model, fed = problem(cell, *ENDS[0], ragged)
    engine, program = choose("native"), step(model, fed, truncated=True)
    for k, length in ((1, 1), (2, 2), (3, 3), (2, 6)):
        xi = regular(k, T)
        expected = whole(model, program, fed, engine, xi)
        found = run(model, program, fed, length, engine, xi, cut=True)
        assert_agree(found.gradients(), expected.gradients(), tolerance=1e-13)
        assert found.outputs()["L"] == pytest.approx(float(expected.outputs()["L"]), rel=1e-14)
    cut = segmented(program, cut=True)
    wanted = [p for p in cut.passes if p.program is not None and p.program.values.keys() & {"x"}]
    assert len(wanted) == 1 and not any(p.captures for p in cut.passes)            # nothing is kept of the segments before


def test_segments_that_are_not_cut_do_not_give_the_truncated_gradient():
    model, fed = problem("rnn 4", *ENDS[0], False)
    engine, program = choose("native"), step(model, fed, truncated=True)
    full = whole(model, program, fed, engine, np.ones(T)).gradients()["U1"]
    cut = run(model, program, fed, 3, engine, regular(3, T), cut=True).gradients()["U1"]
    assert np.linalg.norm(full - cut) > 1e-3 * np.linalg.norm(full)


@pytest.mark.parametrize("spec", ["3 | dropout 0.3 | lstm 5 | dropout 0.5 | rnn 4 | 2", "3 | gru 4 | last | dropout 0.5 | 2"])
def test_a_memory_budget_changes_no_bit_of_training(spec):
    network = Network(spec)
    X = [DRAW.normal(size=(t, 3)) for t in (9, 4, 7, 2, 9)]
    y = [DRAW.normal(size=(len(x), 2)) for x in X] if network.output_per_step else DRAW.normal(size=(5, 2))
    how = {"epochs": 2, "batch_size": 2, "clip_norm": 1.0, "sample_weight": [1, 2, 0, 1, 3]}
    free, tight = (network.build(seed=1).fit(X, y, **how, **more) for more in ({}, {"memory_budget": 2000}))
    assert all(np.array_equal(free.parameters[k], tight.parameters[k]) for k in free.parameters)
    assert free.history["loss"] == tight.history["loss"]


@pytest.mark.parametrize("spec", ["3 | lstm 4 learned_state | gru 3 | 2", "3 | rnn 4 | last | 2", "3 | bi rnn 4 | 2",
                                  "3 | gru 3 | max | 2"])
def test_predictions_and_losses_in_segments_have_the_same_bits(spec):
    model = Network(spec).build(seed=1)
    X = [DRAW.normal(size=(t, 3)) for t in (30, 12, 25)]
    y = [DRAW.normal(size=(len(x), 2)) for x in X] if model.network.output_per_step else DRAW.normal(size=(3, 2))
    fed, known = model._feeds(X), model._feeds(X, y)
    program, loss = model.program("prediction", **fed.how), model.program("J", **known.how)
    whole, pieces = (predicted(model, program, fed, budget)[1] for budget in (None, 3000))
    assert np.array_equal(whole, pieces)
    whole, pieces = (run_of(model, loss, known, budget).outputs()["J"] for budget in (None, 3000))
    assert whole == pieces


def test_segments_keep_to_the_budget():
    program = Network("3 | lstm 16 | 2").build().program("J", gradients=True, target="dense")
    assert segment_length(program, 4, 8, 1000, budget=1 << 40) is None
    cut, borders = segmented(program), 4 * 8 * 16 * 2                    # of h and c, for every segment
    for budget in (1_000_000, 3_000_000):
        length = segment_length(program, 4, 8, 1000, budget)
        needed, more = (sum(footprint(one.program, 4, N=8, T=k) for one in cut.passes) + borders * -(-1000 // k)
                        for k in (length, 2 * length))
        assert needed <= budget < more
    least = segment_length(program, 4, 8, 1000, 1)
    assert 1 <= least < 100                                               # nothing keeps to one byte: it takes the least
    assert segment_length(program, 4, 8, 1000, 1, multiple=20, cut=True) == 20


def longest(steps, k):
    """Bytes of the programs of cut segments over so many steps, and those of the whole."""
    model = Network("1 | rnn 8 | 1").build()
    program = step(model, model._feeds(np.zeros((1, 3, 1)), np.zeros((1, 3, 1))), truncated=True)
    cut = Segments.of(program, k, model.engine, np.float32, cut=True).cut
    return sum(footprint(p.program, 4, N=1, T=k) for p in cut.passes if p.program), footprint(program, 4, N=1, T=steps)


def test_truncated_memory_does_not_grow_with_the_sequence():
    assert longest(10**6, 20)[0] == longest(10**3, 20)[0] < longest(10**6, 20)[1] / 10_000


@pytest.mark.long
def test_a_million_steps_are_trained_in_the_memory_of_a_segment():
    X = np.sin(np.arange(10**6, dtype=np.float32) / 10).reshape(1, -1, 1)
    y = np.roll(X, -1, axis=1)
    model = Network("1 | rnn 4 | 1").build(seed=0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    model.fit(X, y, epochs=1, batch_size=1, truncation_length=1000, memory_budget=1 << 20, optimizer="sgd", learning_rate=0.01)
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    assert np.isfinite(model.history["loss"][-1]) and grown < 64 << 20
