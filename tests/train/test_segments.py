"""Sequences run in segments: the same bits as in one piece, in the memory of one segment."""

import numpy as np
import pytest

from backproof.data.sequences import Sequences
from backproof.engines import choose, reference
from backproof.lower import lower
from backproof.network import Network
from backproof.train.segments import Segments, Session

DRAW = np.random.default_rng(7)
N, T = 3, 7
CELLS = ["rnn 4", "lstm 4", "gru 3 | gru 4", "bi rnn 3", "bi lstm 3 | bi rnn 2"]
ENDS = [("2", "squared_error"), ("last | 2 softmax", "cross_entropy"), ("mean | 2 softmax", "cross_entropy"), ("max | 2", "squared_error")]


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
    return engine.Run(program, {**stored, **noise, **model.parameters, **state, "eta": 0.1, **({} if xi is None else {"xi": xi})}, model.dtype)


def same_bits(a, b):
    gradients, others = a.gradients(), b.gradients()
    assert set(gradients) == set(others)
    different = [name for name in gradients if not np.array_equal(gradients[name], others[name])]
    assert not different, f"other bits in {different}"
    assert {k: float(v) for k, v in a.outputs().items()} == {k: float(v) for k, v in b.outputs().items()}
    new, other = a.update(), b.update()
    assert all(np.array_equal(new[name], other[name]) for name in new)


@pytest.mark.parametrize("engine", ["reference", "native"])
@pytest.mark.parametrize("ragged", [False, True], ids=["even", "ragged"])
@pytest.mark.parametrize("end, loss", ENDS)
@pytest.mark.parametrize("cell", CELLS)
def test_segments_change_no_bit_of_full_gradients(cell, end, loss, ragged, engine):
    model, fed = problem(cell, end, loss, ragged)
    engine, program = choose(engine), step(model, fed)
    expected = whole(model, program, fed, engine)
    for length in (1, 3, 7):
        same_bits(expected, run(model, program, fed, length, engine))
