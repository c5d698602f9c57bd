"""Tables of vectors are updated at the rows that a step looks up: the numbers, and what they cost."""

from pathlib import Path

import numpy as np
import pytest

from backproof import Network, layer, square, total
from backproof.calculus import Index, System, Variable, one_hot
from backproof.engines import choose
from backproof.errors import NonFiniteError, ProgramError
from backproof.lower import Instruction, Operand, Program, RowsOf, Value, Word, lower, plan
from backproof.oracles import assert_agree
from backproof.train.checkpoints import Checkpoints
from backproof.train.optimizers import OPTIMIZERS

ORACLE = Path(__file__).parents[1] / "oracle"
ENGINES = ["reference", "native"]
WINDOWS = "window 3 vocabulary=12 embedding 4 | 5 tanh | 3 softmax"
STEPS = "embedding 4 vocabulary=12 | rnn 5 | last | 3 softmax"


def data(spec=WINDOWS, n=13, words=9, seed=0):
    """Token numbers below 9, with repetitions in a window and in a batch, so that rows 9 … 11 are never met."""
    draw = np.random.default_rng(seed)
    return draw.integers(0, words, (n, 3 if spec == WINDOWS else 6)), draw.integers(0, 3, n)


def fitted(spec=WINDOWS, engine="reference", dtype="float64", l2=0.0, threads=None, **how):
    model = Network(spec, loss="cross_entropy", l2=l2).build(seed=1, engine=engine, dtype=dtype, threads=threads)
    return model.fit(*data(spec), **{"epochs": 3, "batch_size": 5, "learning_rate": 0.05, **how})


def stored(name):
    with np.load(ORACLE / f"rows_{name}.npz", allow_pickle=False) as file:
        return dict(file)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("name", "optimizer"), [("sparse_adam", OPTIMIZERS["adam"](epsilon=1e-30)), ("sgd", OPTIMIZERS["sgd"])])
def test_thirty_steps_follow_pytorch_with_sparse_gradients(name, optimizer, engine):
    kept = stored(name)
    model = Network(str(kept["spec"]), loss="cross_entropy").build(engine=engine, dtype="float64")
    start = {key.removeprefix("start."): array for key, array in kept.items() if key.startswith("start.")}
    model.set_parameters(**start)
    model.fit(kept["ids"], kept["targets"], epochs=10, batch_size=5, optimizer=optimizer, learning_rate=float(kept["option.lr"]),
              shuffle=False)
    for parameter in start:
        assert_agree(model.parameters[parameter], kept[f"end.{parameter}"], tolerance=1e-12, name=parameter)
    means = kept["losses"].reshape(10, 3) @ np.array([5, 5, 3]) / 13
    assert_agree(np.array(model.history["loss"]), means, tolerance=1e-12)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("clip", [None, 0.05])
@pytest.mark.parametrize(("spec", "tolerance"), [(STEPS, 0.0), (WINDOWS, 1e-14)])
def test_gradient_descent_by_rows_is_gradient_descent(spec, tolerance, clip, engine):
    """Without momentum and decay: bit for bit where a gradient is one scatter, to rounding where five are added."""
    rows, whole = (fitted(spec, engine, optimizer="sgd", lazy=lazy, clip_norm=clip) for lazy in (True, False))
    for name in rows.parameters:
        if tolerance or clip:
            assert_agree(rows.parameters[name], whole.parameters[name], tolerance=1e-14, name=name)
        else:
            assert (rows.parameters[name] == whole.parameters[name]).all()
    assert np.allclose(rows.history["objective"], whole.history["objective"], rtol=1e-14)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_untouched_rows_keep_value_and_state(name, engine):
    if name not in ("sgd", "momentum", "nesterov", "rmsprop", "adagrad", "adam", "adamw"):
        pytest.skip("declared by another test")
    optimizer = OPTIMIZERS[name](weight_decay=0.1)
    start = Network(WINDOWS, loss="cross_entropy").build(seed=1, dtype="float64").parameters["E1"]
    model = fitted(engine=engine, optimizer=optimizer, l2=0.1)
    state = model._training[1]
    assert (model.parameters["E1"][9:] == start[9:]).all() and (model.parameters["E1"][:9] != start[:9]).all()
    slots = {slot: array for slot, array in state.items() if slot.endswith(".E1")}
    assert len(slots) == len(optimizer.slots)
    for array in slots.values():
        assert (array[9:] == 0).all() and (array[:9] != 0).all()
    whole = fitted(engine=engine, optimizer=optimizer, l2=0.1, lazy=False)
    assert (whole.parameters["E1"][9:] != start[9:]).all()                      # the control: decay reaches every row


@pytest.mark.parametrize("engine", ENGINES)
def test_penalty_acts_on_the_rows_of_the_step_and_the_objective_has_the_whole_table(engine):
    strength, rate = 0.3, 0.1
    net = Network(WINDOWS, loss="cross_entropy", l2=strength)
    X, y = data(n=5)
    model = net.build(seed=1, engine=engine, dtype="float64")
    start, gradient = dict(model.parameters), model.gradients(X, y)
    touched = np.unique(X)
    assert_agree(gradient["E1"][9:], strength * start["E1"][9:], tolerance=1e-14)        # of the whole table
    assert model.objective(X, y) - model.loss(X, y) == pytest.approx(
        strength / 2 * sum(np.sum(start[w]**2) for w in ("E1", "W2", "W3")), rel=1e-12)
    model.fit(X, y, epochs=1, batch_size=5, optimizer="sgd", learning_rate=rate, shuffle=False)
    moved = start["E1"].copy()
    moved[touched] -= rate * gradient["E1"][touched]
    assert_agree(model.parameters["E1"], moved, tolerance=1e-14)
    rows = strength / 2 * (np.sum(start["E1"][touched]**2) + sum(np.sum(start[w]**2) for w in ("W2", "W3")))
    record = model.history.records[0]
    assert record["objective"] - record["loss"] == pytest.approx(rows, rel=1e-12)


@pytest.mark.parametrize("strength", [{"l1": 0.2}, {"l1": 0.2, "l2": 0.1}])
def test_both_penalties_reach_the_rows(strength):
    net = Network(WINDOWS, loss="cross_entropy", **strength)
    X, y = data(n=5)
    model = net.build(seed=1, engine="reference", dtype="float64")
    expected = model.parameters["E1"] - 0.1 * model.gradients(X, y)["E1"]
    start = model.parameters["E1"].copy()
    model.fit(X, y, epochs=1, batch_size=5, optimizer="sgd", learning_rate=0.1)
    touched = np.unique(X)
    assert_agree(model.parameters["E1"][touched], expected[touched], tolerance=1e-14)
    assert (np.delete(model.parameters["E1"], touched, 0) == np.delete(start, touched, 0)).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("spec", [WINDOWS, STEPS, "window 3 vocabulary=12 embedding 19 | 3 softmax"])
@pytest.mark.parametrize("how", [{"optimizer": "adam"}, {"optimizer": "momentum", "clip_norm": 0.1, "l2": 0.1}, {"optimizer": "adamw"}])
def test_engines_agree(spec, how, dtype):
    spec = WINDOWS if spec == WINDOWS else spec
    models = []
    for engine in ENGINES:
        model = Network(spec, loss="cross_entropy", l2=how.get("l2", 0.0)).build(seed=1, engine=engine, dtype=dtype)
        X, y = data(WINDOWS if spec.startswith("window") else STEPS)
        models.append(model.fit(X, y, epochs=2, batch_size=5, learning_rate=0.02,
                                **{k: v for k, v in how.items() if k != "l2"}))
    for name in models[0].parameters:
        assert_agree(models[1].parameters[name], models[0].parameters[name], tolerance=1e-4 if dtype == "float32" else 1e-11, name=name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("spec", [WINDOWS, STEPS])
def test_threads_change_no_bit(spec, dtype):
    from backproof.engines import _native
    _native.set_worth_a_thread(0)
    try:
        found = [fitted(spec, "native", dtype, threads=threads, optimizer="adam", clip_norm=0.5) for threads in (1, 2, 3)]
    finally:
        _native.set_worth_a_thread(4e5)
    for other in found[1:]:
        assert all((other.parameters[name] == found[0].parameters[name]).all() for name in other.parameters)
        assert all((other._training[1][name] == found[0]._training[1][name]).all() for name in other._training[1])


@pytest.mark.parametrize("engine", ENGINES)
def test_an_interrupted_run_goes_on_bit_for_bit(engine, tmp_path):
    whole = fitted(engine=engine, epochs=4)
    checkpoints, count = Checkpoints(tmp_path, every=1, seconds=0), iter(range(100))
    seen = checkpoints.look
    checkpoints.look = lambda *a: (checkpoints.stop("asked") if next(count) == 5 else None, seen(*a))[1]
    with pytest.raises(KeyboardInterrupt):
        fitted(engine=engine, epochs=4, checkpoints=checkpoints)
    checkpoints.close()
    again = fitted(engine=engine, epochs=4, checkpoints=Checkpoints(tmp_path, every=1, seconds=0))
    assert all((whole.parameters[name] == again.parameters[name]).all() for name in whole.parameters)
    assert all((whole._training[1][name] == again._training[1][name]).all() for name in whole._training[1])


@pytest.mark.parametrize("engine", ENGINES)
def test_continued_training_keeps_the_state_of_the_tables(engine):
    once, twice = fitted(engine=engine, epochs=4), fitted(engine=engine, epochs=2)
    twice.fit(*data(), epochs=2, batch_size=5, learning_rate=0.05, continued=True)
    assert all((once.parameters[name] == twice.parameters[name]).all() for name in once.parameters)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_step_that_is_not_finite_puts_no_row(engine):
    X, y = data()
    model = Network("window 3 vocabulary=12 embedding 4 | 5 exp | 3", loss="squared_error").build(seed=1, engine=engine, dtype="float64")
    E = model.parameters["E1"].copy()
    E[8] = 1e4
    model.set_parameters(E1=E)
    X[:5], X[5:] = np.minimum(X[:5], 7), 8
    with pytest.raises(NonFiniteError):
        model.fit(X, np.eye(3)[y], epochs=1, batch_size=5, optimizer="sgd", learning_rate=1e-3, shuffle=False)
    changed = (model.parameters["E1"] != E).any(axis=1)
    assert changed[:8].any() and not changed[8:].any()               # the first step came through, the second did not


# ------------------------------------------------------------------------------------------------------ what it costs

def step_program(vocabulary, **how):
    net = Network(f"window 5 vocabulary={vocabulary} embedding 8 | 6 tanh | 1 nobias", loss="pairwise_margin", l2=1e-3)
    return net, net.build(seed=0, engine="reference")._step_program({}, OPTIMIZERS["adam"], 1.0, None, False, **how)


def test_nothing_that_a_step_does_depends_on_the_vocabulary():
    programs = {V: step_program(V)[1] for V in (100, 10_000)}
    small, large = programs.values()
    assert repr(small.instructions + small.update) == repr(large.instructions + large.update)
    plans = [plan(program, N=64) for program in programs.values()]
    assert plans[0].length == plans[1].length and plans[0].layout == plans[1].layout
    for program in programs.values():                                  # no value but the tables has the vocabulary's extent
        wide = {v.name for v in program.values.values() if any(i.name.endswith("vocabulary") for i in v.axes)}
        assert wide == {"E1", "mean.E1", "square.E1"}
    whole = step_program(100, lazy=False)[1]
    assert plan(whole, N=64).parameters == plans[0].parameters + 100 * 8            # the control: dense tables lie in the arena


def test_the_native_engine_keeps_one_copy_of_a_table():
    engine = choose("native")
    sizes = {}
    for V in (1000, 3000):
        net, program = step_program(V)
        bound = engine.Bound(program)
        machine = engine._MACHINES[np.dtype("float32")](bound.builder, 1)
        machine.resolve({"N": 64})
        sizes[V] = machine.bytes()
    line = 64                                                          # 8 numbers of 4 bytes take one line of 64
    assert sizes[3000] - sizes[1000] == 2000 * 3 * line


# ------------------------------------------------------------------------------------------------------ what is chosen

def test_a_table_that_is_read_as_a_whole_is_updated_as_a_whole():
    @layer
    def tied(scope, x):
        v, j = scope.unit(12, part="vocabulary", letter="v"), scope.unit(4)
        i = scope.unit_of(x)
        table = scope.parameter("E", (v, j), "table")
        z = total(x * scope.parameter("W", (i, v)), over=i)
        return scope.define("a", total(z * table, over=v) + total(square(table), over=v), role="activation")
    net = Network([tied()], inputs=3)
    model = net.build(seed=0, engine="reference", dtype="float64")
    assert model._step_program({"target": "dense"}, OPTIMIZERS["sgd"], None, None, False).rows == {}
    X, Y = np.random.default_rng(0).normal(size=(5, 3)), np.zeros((5, 4))
    start = model.parameters["E1"].copy()
    model.fit(X, Y, epochs=1)
    assert (model.parameters["E1"] != start).all()


def collected(engine, ids, source, vocabulary, dtype="float64"):
    """Σ over places with the same id, by a program of two lookups: gather ∘ scatter becomes one collect."""
    n, p, v, i = Index("n", "N", "sample"), Index("p", ids.shape[1], "unit"), Index("v", vocabulary, "unit"), Index("x", source.shape[2], "unit")
    system = System()
    hot = one_hot(Variable("ids", (n, p), "input", integer=True), v)
    scattered = system.define("scattered", total(hot * Variable("s", (n, p, i), "input"), over=(n, p)), axes=(v, i))
    system.define("y", total(hot * scattered, over=v), axes=(n, p, i))
    program = lower(system, ["y"])
    assert [instruction.op for instruction in program.instructions] == ["collect"]
    return choose(engine).Run(program, {"ids": ids, "s": source}, np.dtype(dtype)).outputs()["y"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("rows", "width", "lanes"), [(1, 1, 1), (7, 3, 5), (33, 5, 17), (4, 1, 50)])
def test_collect_adds_what_stands_at_places_with_the_same_id(engine, rows, width, lanes):
    draw = np.random.default_rng(rows)
    ids, source = draw.integers(0, 11, (rows, width)), draw.normal(size=(rows, width, lanes))
    table = np.zeros((11, lanes))
    np.add.at(table, ids, source)
    assert (collected(engine, ids, source, 11) == table[ids]).all()
    assert collected(engine, ids * 0 + 7, source, 10**12).shape == source.shape              # the index may be as long as it likes


def test_programs_with_unfit_rows_are_refused():
    n, v, i = Index("n", "N", "sample"), Index("v", 9, "unit"), Index("i", 2, "unit")
    values = {"E": Value("E", (v, i), "parameter"), "ids": Value("ids", (n,), "input", integer=True), "y": Value("y", (n, i)),
              "z": Value("z", (i, n)), "x": Value("x", (n,), "input")}
    ids, copy = Operand("ids", ((n, 0),)), (Word("copy", (("r", 0),)),)
    made = (Instruction("gather", "y", (Operand("E", ((v, 0), (i, 0))), ids), index=v),
            Instruction("map", "z", (Operand("y", ((n, 0), (i, 0))),), words=copy))
    assert Program(values, made, rows={"y": ("E", ids)}).rows
    for rows in ({"z": ("E", ids)}, {"y": ("E", Operand("x", ((n, 0),)))}, {"y": ("x", ids)}):
        with pytest.raises(ProgramError, match="holds no rows"):
            Program(values, made, rows=rows)
    with pytest.raises(ProgramError, match="no equation reads"):
        lower(System(), [], updates={"y": RowsOf("E", Variable("ids", (n,), "input", integer=True))})
