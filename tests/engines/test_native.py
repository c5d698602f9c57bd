"""The native engine: the reference's numbers, the same bits for any team, nothing of the process disturbed."""

import gc
import os
import pathlib
import re
import signal
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest
from cases import every

from backproof import LSTM, Bidirectional, Dense, Last, MeanPool, Network, cell
from backproof.calculus import sigmoid, tanh
from backproof.engines import choose, generator, reference
from backproof.errors import NonFiniteError, OptionError, ShapeError
from backproof.lower import INSTRUCTIONS, WORDS
from backproof.train import OPTIMIZERS

native = pytest.importorskip("backproof.engines.native")
from backproof.engines import _native  # noqa: E402

CASES = list(every())
NATIVE = pathlib.Path(__file__).parents[2] / "native"


@pytest.fixture
def teams():
    """Teams of threads however small the work."""
    _native.set_worth_a_thread(0)
    yield
    _native.set_worth_a_thread(4e5)


def distance(a, b):
    scale = np.linalg.norm(b.astype(np.float64))
    return np.linalg.norm(a.astype(np.float64) - b) / scale if scale else np.abs(a).max(initial=0)


def agree(case, dtype, tolerance):
    """Loss, gradients and outputs to `tolerance`; of a sum that cancels, where no order of float32 keeps that, what is lost must be
    of the size that the reference loses against itself in float64."""
    X, y, w = case.data()
    ours, theirs = (case.model(engine=engine, dtype=dtype) for engine in ("native", "reference"))
    (j, g), (j0, g0) = ours.objective_and_gradients(X, y, w), theirs.objective_and_gradients(X, y, w)
    largest = max(np.linalg.norm(x) for x in g0.values())
    assert abs(j - j0) <= tolerance * max(1, abs(j0))
    exact = case.model(engine="reference", dtype="float64").objective_and_gradients(X, y, w)[1]
    for name in g0:
        inherent = 4 * np.linalg.norm(g0[name] - exact[name])
        assert np.linalg.norm(g[name] - g0[name]) <= max(tolerance * max(np.linalg.norm(g0[name]), 1e-3 * largest), inherent), name
    assert distance(ours.predict(X), theirs.predict(X)) <= tolerance


# ------------------------------------------------------------------------------------------- the reference's numbers

@pytest.mark.parametrize("case", CASES[::31], ids=lambda case: case.name)
def test_every_kind_of_case_agrees_in_double_precision(case):
    agree(case, "float64", 1e-12)


@pytest.mark.parametrize("case", CASES[7::31], ids=lambda case: case.name)
def test_every_kind_of_case_agrees_in_single_precision(case):
    agree(case, "float32", 1e-5)


@pytest.mark.long
def test_all_cases_agree_in_both_precisions():
    for case in CASES:
        agree(case, "float64", 1e-12)
        agree(case, "float32", 1e-5)


def trained(engine, spec, X, y, *, dtype="float64", threads=1, optimizer="sgd", loss="cross_entropy", batch_size=16, epochs=4, **more):
    model = Network(spec, loss=loss, **more).build(seed=3, dtype=dtype, engine=engine, threads=threads)
    return model.fit(X, y, epochs=epochs, batch_size=batch_size, optimizer=optimizer, learning_rate=1e-2)


def table(n=100, inputs=20, classes=3, seed=0):
    draw = np.random.default_rng(seed)
    return draw.normal(size=(n, inputs)), draw.integers(0, classes, n)


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-9), ("float32", 1e-3)])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_hundred_steps_of_every_optimizer_agree(optimizer, dtype, tolerance, teams):
    X, y = table(n=90)                                                    # 15 steps an epoch, the last of 6 samples
    how = {"dtype": dtype, "optimizer": optimizer, "epochs": 7, "batch_size": 6, "l2": 1e-3}
    ours, theirs = (trained(engine, "20 | 33 tanh | 17 relu | 3 softmax", X, y, **how) for engine in ("native", "reference"))
    for name in theirs.parameters:
        assert distance(ours.parameters[name], theirs.parameters[name]) <= tolerance
    assert ours.history.records[-1]["loss"] == pytest.approx(theirs.history.records[-1]["loss"], rel=tolerance)


@pytest.mark.parametrize("spec, X", [
    ("5 | rnn 9 | last | 3 softmax", (50, 7, 5)), ("5 | gru 9 | mean | 3 softmax", (50, 7, 5)),
    ("5 | bi lstm 9 | last | 3 softmax", (50, 7, 5)), ("5 | lstm 4 | dropout 0.3 | max | 3 softmax", (50, 7, 5)),
    ("window 5 vocabulary=30 embedding 6 | 8 tanh | 3 softmax", (100, 5)), ("20 | 33 relu | dropout 0.3 | 3 softmax", (100, 20)),
    ("20 | layer_norm | 8 relu | 3 softmax", (100, 20))])
def test_training_agrees_for_recurrent_embedded_and_dropped(spec, X, teams):
    draw = np.random.default_rng(1)
    data = draw.integers(0, 30, X) if "vocabulary" in spec else draw.normal(size=X)
    y = draw.integers(0, 3, len(data))
    ours, theirs = (trained(engine, spec, data, y, optimizer="momentum", threads=2) for engine in ("native", "reference"))
    for name in theirs.parameters:
        assert distance(ours.parameters[name], theirs.parameters[name]) <= 1e-11


@pytest.mark.parametrize("widths", [(1, 1, 1), (1, 17, 1), (2, 3, 5), (16, 16, 16), (17, 31, 33), (7, 64, 1), (129, 5, 2), (48, 130, 47)])
@pytest.mark.parametrize("n", [1, 7, 33])
def test_odd_prime_and_one_wide_shapes_agree(widths, n, teams):
    draw = np.random.default_rng(sum(widths) + n)
    spec = f"{widths[0]} | {widths[1]} tanh | {widths[1]} relu | {widths[2]}"
    X, y = draw.normal(size=(n, widths[0])), draw.normal(size=(n, widths[2]))
    ours, theirs = (Network(spec, loss="squared_error").build(seed=1, dtype="float64", engine=engine, threads=3)
                    for engine in ("native", "reference"))
    (_, g), (_, g0) = ours.objective_and_gradients(X, y), theirs.objective_and_gradients(X, y)
    for name in g0:
        assert distance(g[name], g0[name]) <= 1e-12


def test_a_users_function_and_cell_run_without_a_kernel():
    from backproof.calculus import elementwise, sigmoid, square, tanh
    from backproof.networks import Dense, Last, cell

    bump = elementwise("bump", value=lambda x: x * sigmoid(x) + square(tanh(x)))

    @cell
    def leaky(scope, x, h, rate=0.5):
        z = scope.define("z", scope.project(x, "W") + scope.project(h, "U"), role="pre_activation")
        return (1 - rate) * h + rate * bump(z)
    draw = np.random.default_rng(0)
    X, y = draw.normal(size=(6, 5, 4)), draw.normal(size=(6, 2))
    ours, theirs = (Network([leaky(7, rate=0.3), Last(), Dense(2)], inputs=4, loss="squared_error").build(
        seed=1, dtype="float64", engine=engine) for engine in ("native", "reference"))
    (_, g), (_, g0) = ours.objective_and_gradients(X, y), theirs.objective_and_gradients(X, y)
    for name in g0:
        assert distance(g[name], g0[name]) <= 1e-12


def test_the_core_binds_by_name_what_the_tables_name():
    assert _native.words() == {word: arity for word, (arity, _) in WORDS.items()}
    source = (NATIVE / "resolve.cpp").read_text()
    assert all(f'"{name}"' in source for name in INSTRUCTIONS)


# ------------------------------------------------------------------------------------------------------ the shape of a step

@pytest.fixture
def machine_of(teams, monkeypatch):
    """The machine that trained a network by a team of two."""
    def machine(spec, optimizer="sgd", X=None, y=None, **options):
        machines = []
        for dtype, kind in native._MACHINES.items():
            monkeypatch.setitem(native._MACHINES, dtype, lambda *given, kind=kind: machines.append(kind(*given)) or machines[-1])
        if X is None:
            X, y = table(n=64)
        Network(spec, loss="squared_error").build(seed=0, threads=2).fit(X, y.reshape(len(y), -1), epochs=1, batch_size=64, optimizer=optimizer,
                                                                          learning_rate=1e-3, **options)
        return machines[-1]
    return machine


@pytest.fixture
def shape_of(machine_of):
    """(nodes, links, barriers) of a training step by a team of two."""
    return lambda *given, **options: machine_of(*given, **options).step_shape()


def test_a_step_has_one_barrier_at_any_depth_beside_the_one_at_its_end(shape_of):
    assert [shape_of("20 | " + "32 tanh | " * depth + "1")[2] for depth in (0, 1, 2, 6)] == [1, 1, 1, 1]


@pytest.mark.parametrize("optimizer, updates", [("sgd", 1), ("momentum", 2), ("adam", 3)])
def test_the_update_goes_on_from_the_block_of_the_gradient(shape_of, optimizer, updates):
    """Of W1 and b1, W2 and b2: every map of the update is a link, as is W2's turned twin and, of a bias, the factor 1/N."""
    nodes, links, _ = shape_of("20 | 32 tanh | 1", optimizer=optimizer)
    assert links >= 4 * updates + 1 and shape_of("20 | 32 tanh | 1", optimizer=optimizer, clip_norm=1.0)[1] < links


def test_words_that_follow_one_another_run_in_pairs(machine_of):
    """relu(z + b) is one run, as is W − η g of each parameter; tanh stands alone behind z + b."""
    words, runs = machine_of("20 | 32 relu | 1").words()
    assert words - runs >= 5                                           # z1 + b1 and relu, four updates
    assert machine_of("20 | 32 tanh | 1").words()[1] < machine_of("20 | 32 tanh | 1").words()[0]


@pytest.mark.parametrize("spec, slots", [("lstm 16", 4 + 3 + 4), ("gru 16", 5 + 4), ("rnn 16 tanh", 1 + 1)])
def test_a_time_step_keeps_what_the_gradients_of_the_weights_read(machine_of, spec, slots):
    """An LSTM's four gates, c, tanh c and h, and four deltas, beside the input: no pre-activation, no other adjoint."""
    def bytes_of(steps):
        X, y = np.zeros((64, steps, 16), np.float32), np.zeros((64, 2), np.float32)
        return machine_of(f"16 | {spec} | last | 2", X=X, y=y).bytes()
    assert (bytes_of(96) - bytes_of(32)) / 64 == (slots + 1) * 64 * 16 * 4


@cell
def late(scope, x, h, c, d):
    """o reads c of the step before in a product; c could be made with the blocks of g, which are made first."""
    g = scope.define("g", tanh(scope.project(x, "W") + scope.project(h, "U")), role="activation")
    o = scope.define("o", sigmoid(scope.project(c, "P") + scope.bias("b")), role="activation")
    heard = scope.define("u", scope.project(o, "Q"), role="activation")
    return heard * g, 0.9 * c + g * sigmoid(c), 0.5 * d + o


@pytest.mark.parametrize("spec", [[late(9), Last(), Dense(2)], [late(9), LSTM(5), Dense(2)], [Bidirectional(late(5)), late(4), MeanPool(), Dense(2)]])
def test_a_step_reads_the_step_before_until_it_is_over(spec, teams):
    draw = np.random.default_rng(2)
    network, X = Network(spec, inputs=3, loss="squared_error"), draw.normal(size=(19, 7, 3))
    models = [network.build(seed=1, dtype="float64", threads=2, engine=engine) for engine in ("native", "reference")]
    y = draw.normal(size=models[1].predict(X).shape)
    assert distance(*(m.predict(X) for m in models)) <= 1e-12
    ours, theirs = (m.gradients(X, y) for m in models)
    assert all(distance(ours[name], theirs[name]) <= 1e-12 for name in theirs)


def test_a_frozen_step_reads_the_step_before_until_it_is_over(teams):
    """No gradient reads its states, so that each has one slot also in a training step, where words join the blocks of a product."""
    draw = np.random.default_rng(2)
    network = Network([late(9, frozen=True), Last(), Dense(2)], inputs=3, loss="squared_error")
    X, y = draw.normal(size=(19, 7, 3)), draw.normal(size=(19, 2))
    ours, theirs = (network.build(seed=1, dtype="float64", threads=2, engine=engine).fit(X, y, epochs=2, batch_size=10, optimizer="sgd")
                    for engine in ("native", "reference"))
    assert all(distance(ours.parameters[name], theirs.parameters[name]) <= 1e-12 for name in theirs.parameters)


# ------------------------------------------------------------------------------------------------------ the same bits

def bits(model):
    return b"".join(model.parameters[name].tobytes() for name in sorted(model.parameters))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("spec, shape", [("20 | 33 tanh | 50 relu | 3 softmax", (150, 20)), ("5 | lstm 19 | last | 3 softmax", (60, 6, 5))])
def test_the_same_bits_for_any_number_of_threads(spec, shape, dtype, teams):
    draw = np.random.default_rng(2)
    X, y = draw.normal(size=shape), draw.integers(0, 3, shape[0])
    found = {bits(trained("native", spec, X, y, dtype=dtype, threads=threads, optimizer="adam", batch_size=37, l2=1e-4))
             for threads in (1, 2, 3, 5, 8, 2)}
    assert len(found) == 1


def test_a_samples_prediction_does_not_depend_on_its_place_in_the_batch():
    X, _ = table(n=61)
    model = Network("20 | 33 tanh | 17 relu | 3 softmax", loss="cross_entropy").build(seed=0)
    whole = model.predict(X)
    for k in (0, 13, 60):
        assert np.array_equal(model.predict(X[k:k + 1])[0], whole[k])
        assert np.array_equal(model.predict(X[k:])[0], whole[k])


def test_strided_misaligned_read_only_mapped_and_swapped_inputs_give_the_same_bits(tmp_path):
    X, y = table(n=40)
    X = X.astype(np.float32)
    before = X.copy()
    buffer = np.zeros(X.nbytes + 1, np.uint8)
    misaligned = buffer[1:].view(np.float32).reshape(X.shape)
    misaligned[:] = X
    frozen = X.copy()
    frozen.flags.writeable = False
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    wide = np.zeros((80, 40), np.float32)
    wide[::2, ::2] = X
    variants = [X, misaligned, frozen, mapped, wide[::2, ::2], np.asfortranarray(X), X.astype(">f4"), X[::-1][::-1]]
    found = {bits(trained("native", "20 | 9 tanh | 3 softmax", variant, y, dtype="float32")) for variant in variants}
    assert len(found) == 1
    assert all(np.array_equal(variant, before) for variant in variants)


def test_every_instruction_set_agrees_with_the_reference():
    script = """
        import numpy as np
        from backproof import Network
        from backproof.engines import _native
        draw = np.random.default_rng(0)
        X, y = draw.normal(size=(13, 21)), draw.normal(size=(13, 3))
        want = Network("21 | 35 tanh | 18 gelu | 3", loss="squared_error").build(engine="reference", dtype="float64").gradients(X, y)
        for name in _native.instruction_sets().split():
            if _native.force_instruction_set(name):
                got = Network("21 | 35 tanh | 18 gelu | 3", loss="squared_error").build(engine="native", dtype="float64").gradients(X, y)
                assert all(np.linalg.norm(got[k] - want[k]) <= 1e-12 * np.linalg.norm(want[k]) for k in want), name
                print(name)
    """
    assert "baseline" in in_python(script)


# ------------------------------------------------------------------------------------------- steps that are not applied

def test_a_step_that_is_not_finite_is_not_applied_and_named(teams):
    X, y = table(n=64)
    X[40] = 1e38
    for engine in ("native", "reference"):
        model = Network("20 | 8 relu | 3", loss="squared_error").build(seed=0, engine=engine, threads=2)
        before = {k: v.copy() for k, v in model.parameters.items()}
        with pytest.raises(NonFiniteError) as caught:
            model.fit(X, np.eye(3)[y], epochs=1, batch_size=8, shuffle=False, optimizer="sgd", learning_rate=1e-3)
        assert caught.value.step == 5
        assert all(np.isfinite(v).all() for v in model.parameters.values())
        assert any(not np.array_equal(before[k], v) for k, v in model.parameters.items())
        if engine == "native":
            ours = caught.value.tensor
    assert ours == caught.value.tensor


def test_a_number_outside_its_index_is_refused():
    model = Network("window 2 vocabulary=5 embedding 3 | 2 softmax", loss="cross_entropy").build()
    program = model.program("prediction")
    with pytest.raises(ShapeError, match="ids"):
        native.Run(program, {**model.parameters, "ids": np.array([[0, 7]])}, np.float32)


def test_a_run_keeps_its_values_when_another_follows():
    X, _ = table(n=5)
    model = Network("20 | 4 tanh | 3 softmax", loss="cross_entropy").build()
    program = model.program("prediction")
    first = native.Run(program, {**model.parameters, "x": X}, np.float32)
    kept = first.outputs()["prediction"]
    second = native.Run(program, {**model.parameters, "x": 2 * X}, np.float32)
    assert np.array_equal(first.outputs()["prediction"], kept)
    assert not np.array_equal(second.outputs()["prediction"], kept)


def test_a_program_that_is_forgotten_takes_its_machines_along():
    before = len(native._idle.kept)
    X, _ = table(n=3)
    for _ in range(5):
        Network("20 | 4 tanh | 3 softmax", loss="cross_entropy").build().predict(X)
    gc.collect()
    assert len(native._idle.kept) <= before + 1


@pytest.mark.parametrize("seed", [0, 7, (1 << 64) - 1])
def test_the_core_draws_the_generators_order(seed):
    for epoch in (0, 1, (1 << 32) - 1):
        for n in (0, 1, 2, 3, 7, 800, 1001):
            drawn = native.order(seed, epoch, n)
            assert drawn.dtype == np.int64 and np.array_equal(drawn, generator.order(seed, epoch, n)), (epoch, n)
    with pytest.raises(OptionError, match="address word"):
        native.order(seed, 1 << 32, 3)


# ------------------------------------------------------------------------------------------------ the process is left alone

def in_python(script, **more):
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, timeout=120, **more)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_subnormals_live_on_after_import_and_training(teams):
    X, y = table(n=64)
    trained("native", "20 | 9 tanh | 3 softmax", X, y, threads=2)
    assert np.float64(5e-324) / 1 != 0 and np.float32(1e-45) * np.float32(1) != 0
    tiny = Network("1 | 1 linear", loss="squared_error").build(engine="native", dtype="float32", threads=2)
    tiny.set_parameters(W1=np.array([[1e-3]]), b1=np.zeros(1))
    found = tiny.predict(np.full((4000, 1), 1e-40, np.float32))            # in the threads of the team, too
    assert (found == np.float32(1e-40) * np.float32(1e-3)).all() and (found != 0).all()


def test_no_openmp_is_linked_and_nothing_is_compiled_with_fast_math():
    linked = subprocess.run(["ldd", _native.__file__], capture_output=True, text=True).stdout
    assert not re.search("gomp|iomp|libomp", linked)
    assert "fast-math" not in re.sub("#.*", "", (NATIVE.parent / "CMakeLists.txt").read_text())


def test_ctrl_c_leaves_the_last_complete_step():
    X, y = table(n=4096, inputs=64)
    model = Network("64 | 256 relu | 256 relu | 3 softmax", loss="cross_entropy").build(engine="native")
    timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y, epochs=10**6, batch_size=32)
    timer.join()
    assert all(np.isfinite(v).all() for v in model.parameters.values())


def test_threads_train_side_by_side(teams):
    X, y = table(n=64)
    alone = bits(trained("native", "20 | 9 tanh | 3 softmax", X, y, threads=2))
    found = []
    threads = [threading.Thread(target=lambda: found.append(bits(trained("native", "20 | 9 tanh | 3 softmax", X, y, threads=2))))
               for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [alone] * 4


def test_memory_does_not_grow_over_fits():
    X, y = table(n=32)
    model = Network("20 | 9 tanh | 3 softmax", loss="cross_entropy").build(engine="native")

    def resident():
        gc.collect()
        return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    for _ in range(20):
        model.fit(X, y, epochs=1)
    before = resident()
    for _ in range(200):
        model.fit(X, y, epochs=1)
    assert resident() - before < 1 << 20


def test_the_engine_is_the_default_and_names_itself():
    assert choose() is native and choose("reference") is reference
    assert _native.instruction_set() in _native.instruction_sets().split()
