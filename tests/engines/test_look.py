"""Values out of panels: every named value of a run, with its labels in any order, is the reference engine's."""

from itertools import permutations

import numpy as np
import pytest

from backproof import Network
from backproof.engines import reference

native = pytest.importorskip("backproof.engines.native")
DRAW = np.random.default_rng(0)
NETWORKS = [("5 | 17 tanh | 33 softmax", "cross_entropy", (9, 5)), ("1 | 1", "squared_error", (1, 1)),
            ("3 | lstm 17 | 5", "squared_error", (4, 7, 3)), ("2 | bi gru 16 | last | 1", "squared_error", (3, 6, 2))]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("spec, loss, shape", NETWORKS)
def test_every_named_value_is_the_references_in_every_order_of_its_labels(spec, loss, shape, dtype):
    model = Network(spec, loss=loss).build(seed=0, dtype=dtype)
    X = DRAW.normal(size=shape).astype(dtype)
    y = DRAW.integers(0, model.network.outputs, shape[0]) if loss == "cross_entropy" else \
        DRAW.normal(size=(*shape[:2], 5) if spec.endswith("5") else (shape[0], 1))
    fed = model._feeds(X, y)
    sweep = model.network.gradient_system(**fed.how)
    roles = ("pre_activation", "activation", "state", "delta", "sample_loss", "gradient")
    names = [e.name for e in sweep.system if e.role in roles]
    program = model.program("J", *names, gradients=True, **fed.how)
    feeds = {**model.parameters, **model._store(program, fed.arrays)}
    run, meant = native.Run(program, feeds, model.dtype), reference.Run(program, feeds, model.dtype)
    expected, tolerance = meant.outputs(), {"float32": 3e-5, "float64": 1e-12}[dtype]
    looked = 0
    for public, operand in program.outputs.items():
        labels, offsets = run.bound.labels(operand)
        for order in permutations(range(len(operand.labels))):
            wanted = [operand.labels[k] for k in order]
            found = run._look_at(operand.value, labels, offsets, wanted)
            np.testing.assert_allclose(found, expected[public].transpose(order), rtol=tolerance, atol=tolerance)
            looked += 1
    for name, gradient in run.gradients().items():
        np.testing.assert_allclose(gradient, meant.gradients()[name], rtol=tolerance, atol=tolerance)
    assert looked >= len(names) > 4 or spec == "1 | 1"


@pytest.mark.parametrize("columns", [1, 15, 16, 17, 40])
def test_a_part_of_a_row_that_begins_inside_a_panel_is_read_whole(columns):
    model = Network(f"3 | {columns + 20} tanh | {columns}").build(seed=0, dtype="float64")
    program = model.program("a1", "prediction")
    run = native.Run(program, {**model.parameters, "x": DRAW.normal(size=(4, 3))}, np.float64)
    whole, (n, part) = run.outputs()["a1"], program.outputs["prediction"].labels
    for start in range(21):
        for wanted in ([n, part], [part, n]):
            found = run._look_at("a1", [run.bound.place(n), run.bound.place(part)], [0, start], wanted)
            meant = whole[:, start:start + columns]
            np.testing.assert_array_equal(found, meant if wanted[0] == n else meant.T)


def test_nothing_is_read_of_no_samples():
    model = Network("3 | 4 tanh | 2").build(seed=0)
    run = native.Run(model.program("a1", "prediction"), {**model.parameters, "x": np.empty((0, 3), np.float32)}, np.float32)
    assert [values.shape for values in run.outputs().values()] == [(0, 4), (0, 2)]
