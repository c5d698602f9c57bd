"""Frozen PyTorch values: networks that another library computed, to the last digits."""

from pathlib import Path

import numpy as np
import pytest

from backproof.network import Network
from backproof.oracles import assert_agree

FILES = sorted(Path(__file__).parent.glob("oracle/dense_*.npz")) + sorted(Path(__file__).parent.glob("oracle/recurrent_*.npz"))


def load(path):
    """The file's arrays; the update gate, z in PyTorch's words, is u here: z are pre-activations."""
    with np.load(path, allow_pickle=False) as file:
        gate = {f"{kind}.{symbol}_z1": f"{kind}.{symbol}_u1" for kind in ("parameter", "gradient") for symbol in "WUb"}
        return {gate.get(key, key): file[key][()] for key in file.files}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_pytorch_values_are_reproduced(path):
    frozen = load(path)
    network = Network(str(frozen["spec"]), loss=str(frozen["loss"]), l2=float(frozen["l2"]))
    model = network.build(dtype="float64")
    model.set_parameters(**{key.removeprefix("parameter."): value for key, value in frozen.items() if key.startswith("parameter.")})
    X, y, weights = frozen["inputs"], frozen["targets"], frozen.get("sample_weight")
    gradients = {key.removeprefix("gradient."): value for key, value in frozen.items() if key.startswith("gradient.")}
    assert_agree(model.predict(X), frozen["output"], tolerance=1e-12)
    assert_agree(model.loss(X, y, weights), frozen["data_loss"], tolerance=1e-12)
    assert_agree(model.objective(X, y, weights), frozen["objective"], tolerance=1e-12)
    assert_agree(model.sample_losses(X, y), frozen["sample_losses"], tolerance=1e-12)
    assert_agree(model.gradients(X, y, weights), gradients, tolerance=1e-10)
    assert_agree(model.input_gradients(X, y, weights), frozen["input_gradients"], tolerance=1e-10)
    deltas = model.deltas(X, y, weights)
    for name in (key for key in frozen if key.startswith("delta")):
        assert_agree(deltas[name], frozen[name], tolerance=1e-10, name=name)


def test_there_are_a_dozen_and_more_networks():
    assert len(FILES) >= 12
