"""The reference engine: what instructions mean, bad feeds in words, and training steps that are all or nothing."""

import numpy as np
import pytest
from systems import lstm, perceptron, recurrent

from backproof import Network
from backproof.calculus import SAMPLE, TIME, Index, System, Variable, exp, largest, logsumexp, one_hot, total
from backproof.engines.reference import WORD, Run, Session, contract
from backproof.errors import EngineError, NonFiniteError, ShapeError
from backproof.lower import WORDS, lower
from backproof.oracles import assert_agree
from backproof.train.optimizers import OPTIMIZERS

I, J, K = Index("i", 2, letter="i"), Index("j", 3), Index("k", 4, letter="k")


def out(expression, **feeds):
    system = System()
    system.define("out", expression)
    return Run(lower(system, ["out"]), feeds).outputs()["out"]


def test_every_word_of_the_table_has_a_meaning_and_takes_its_operands():
    assert set(WORD) == set(WORDS)
    for name, (operands, _) in WORDS.items():
        assert WORD[name](*[np.array([0.5])] * operands).shape == (1,)


def test_contractions_are_those_of_einsum():
    draw = np.random.default_rng(0)
    letters, extents = {SAMPLE: "n", I: "i", J: "j", K: "k"}, {SAMPLE: 5, I: 2, J: 3, K: 4}
    for a, b, target in [((SAMPLE, I), (I, J), (SAMPLE, J)), ((SAMPLE, I), (SAMPLE, J), (I, J)), ((SAMPLE, I), (SAMPLE, I, J), (SAMPLE, J)),
                         ((SAMPLE, I), (I,), (SAMPLE,)), ((SAMPLE, I, J), (J, I, K), (SAMPLE, K)),
                         ((SAMPLE, J), (SAMPLE, J), (SAMPLE,)), ((J,), (I,), (I, J)), ((SAMPLE, J, K), (SAMPLE, K, I), (I, SAMPLE, J))]:
        x, y = (draw.normal(size=[extents[i] for i in axes]) for axes in (a, b))
        text = ",".join("".join(letters[i] for i in axes) for axes in (a, b)) + "->" + "".join(letters[i] for i in target)
        assert_agree(contract(x, list(a), y, list(b), list(target)), np.einsum(text, x, y), tolerance=1e-14)


def test_gather_pick_scatter_with_duplicates():
    table, v = np.arange(8.0).reshape(4, 2), Index("v", 4)
    E, ids = Variable("E", (v, I)), Variable("ids", (SAMPLE,), integer=True)
    assert out(total(E * one_hot(ids, v), over=v), E=table, ids=[3, 0, 3]).tolist() == [[6, 7], [0, 1], [6, 7]]
    scattered = total(Variable("g", (SAMPLE, I)) * one_hot(ids, v), over=SAMPLE)
    assert out(scattered, g=[[1, 2], [3, 4], [10, 20]], ids=[3, 0, 3]).tolist() == [[3, 0, 0, 11], [4, 0, 0, 22]]      # axes i, v
    picked = total(Variable("z", (SAMPLE, v)) * one_hot(ids, v), over=v)
    assert out(picked, z=[[1, 2, 3, 4]] * 2, ids=[2, 2]).tolist() == [3, 3]


@pytest.mark.parametrize("bad", [-1, 4])
def test_a_number_outside_the_table_is_refused(bad):
    v = Index("v", 4)
    with pytest.raises(ShapeError, match=f"ids holds {bad}, outside 0 … 3"):
        out(total(Variable("E", (v, I)) * one_hot(Variable("ids", (SAMPLE,), integer=True), v), over=v), E=np.ones((4, 2)), ids=[0, bad])


def test_logsumexp_neither_overflows_nor_hides_infinities():
    x = Variable("x", (SAMPLE, J))
    found = out(logsumexp(x, over=J), x=[[1e4, 1e4, -1e4], [-1e4] * 3, [-np.inf] * 3, [0, np.inf, 0], [np.nan, 0, 0]])
    assert found[:2] == pytest.approx([1e4 + np.log(2), -1e4 + np.log(3)], rel=1e-15)
    assert found[2] == -np.inf and found[3] == np.inf and np.isnan(found[4])
    assert np.isnan(out(largest(x, over=J), x=[[1, np.nan, 2]])).all()


@pytest.mark.parametrize("case", [perceptron(), recurrent(), lstm()], ids=["perceptron", "recurrent", "lstm"])
def test_float32_follows_float64_and_stays_float32(case):
    found, expected = case.run(np.float32), case.run().gradients()
    assert {a.dtype for a in found.gradients().values()} == {np.dtype(np.float32)}
    assert_agree({k: a.astype(float) for k, a in found.gradients().items()}, expected, tolerance=1e-5)


def test_feeds_that_are_missing_or_do_not_fit_are_named():
    case = perceptron()
    with pytest.raises(EngineError, match="the program needs 'W1'"):
        Run(case.program, {k: v for k, v in case.feeds.items() if k != "W1"})
    with pytest.raises(ShapeError, match="x has 1 axes"):
        case.run(x=np.ones(3))
    with pytest.raises(ShapeError, match="index 'n' has extent 4 in y and 5 elsewhere|index 'n' has extent 5 in . and 4 elsewhere"):
        case.run(y=np.ones((4, 2)))
    with pytest.raises(ShapeError, match="'x.unit' has extent 2 in W1 and 3"):
        case.run(W1=np.ones((2, 4)))


def test_the_first_value_that_is_not_finite_is_named():
    case = perceptron((2, 2, 2), function=exp)
    assert case.run().first_non_finite() is None
    assert case.run(b1=np.array([800.0, 0])).first_non_finite() == "a1"


# -- steps -----------------------------------------------------------------------------------------------------------------

def session(optimizer="momentum", dtype=np.float64, **how):
    model = Network("2 | 3 exp | 1", loss="squared_error").build(seed=0, dtype=np.dtype(dtype).name)
    program = model._step_program({}, OPTIMIZERS[optimizer], how.get("clip_norm"), how.get("clip_value"), False)
    state = {name: np.zeros([i.extent for i in v.axes]) for name, v in program.state.items()}
    return Session(program, {k: np.array(v) for k, v in model.parameters.items()}, state, dtype)


def data(bad=None):
    draw = np.random.default_rng(0)
    made = {"x": draw.normal(size=(6, 2)), "y": draw.normal(size=(6, 1))}
    if bad is not None:
        made["x"][bad] = 1e6
    return made


def steps(made, given, rate=0.01):
    return made.steps(given, np.arange(6), 2, {"eta": np.full(3, rate)}, 0, 0)


def test_a_step_that_is_not_finite_is_not_applied_and_named():
    reference, broken = session(), session()
    done = steps(broken, data(bad=4))
    assert done.done == 2 and done.samples == 4
    k, tensor = done.failure
    assert k == 2 and tensor in broken.program.values
    reference.steps(data(), np.arange(4), 2, {"eta": np.full(2, 0.01)}, 0, 0)
    for name in reference.parameters:
        assert np.array_equal(reference.parameters[name], broken.parameters[name])
    for name in reference.state:
        assert np.array_equal(reference.state[name], broken.state[name])


def test_an_update_that_is_not_finite_is_not_applied_either():
    made = session()
    before = {k: v.copy() for k, v in made.parameters.items()}
    done = steps(made, data(), rate=np.inf)
    assert done.done == 0 and done.failure == (0, "W1")
    assert all(np.array_equal(made.parameters[k], before[k]) for k in before)


def test_training_names_the_step_that_diverged():
    model = Network("2 | 3 exp | 1", loss="squared_error").build(seed=0, dtype="float64")
    given = data(bad=4)
    with pytest.raises(NonFiniteError, match="not finite in epoch 0, step 2") as error:
        model.fit(given["x"], given["y"], epochs=1, batch_size=2, optimizer="sgd", learning_rate=0.01, shuffle=False)
    assert error.value.step == 2 and "not applied" in str(error.value)


def test_an_interrupt_leaves_the_last_complete_step(monkeypatch):
    whole, cut = session(), session()
    whole.steps(data(), np.arange(4), 2, {"eta": np.full(2, 0.01)}, 0, 0)
    updates = []
    original = Run.update

    def interrupted(run):
        updates.append(1)
        if len(updates) == 3:
            raise KeyboardInterrupt
        return original(run)
    monkeypatch.setattr(Run, "update", interrupted)
    with pytest.raises(KeyboardInterrupt):
        steps(cut, data())
    for name in whole.parameters:
        assert np.array_equal(whole.parameters[name], cut.parameters[name])


def test_time_lies_outermost_in_storage():
    assert lstm().program.values["x"].axes[:2] == (TIME, SAMPLE)
