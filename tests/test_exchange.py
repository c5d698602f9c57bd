"""Interchange: the same function on the other side, or an error before anything is written."""

import numpy as np
import pytest

from backproof import Model, Network, elementwise
from backproof.errors import BackproofError, ModelFileError, OptionError, ShapeError
from backproof.exchange import export_model, from_sklearn, from_state_dict, to_onnx, to_state_dict
from backproof.networks.activations import ACTIVATIONS

rng = np.random.default_rng(0)
X = np.concatenate([rng.normal(size=(990, 4)), 30 * rng.normal(size=(10, 4))])
NETWORKS = ["4 | 3", "4 | 5 relu | 3 softmax", "4 | 6 nobias | layer_norm | tanh | dropout 0.3 | 1 sigmoid", "4 | 1 exp",
            *(f"4 | 5 {word} | 2" for word in ACTIVATIONS)]
CELLS = ["rnn 3", "gru 3", "lstm 3", "bi rnn 3", "bi gru 3", "bi lstm 3"]
SEQUENCES = [*(f"4 | {cell} | {pool} | 2 softmax" for cell in CELLS for pool in ("last", "mean", "max")), *(f"4 | {cell} | 2 softmax" for cell in CELLS),
             "4 | lstm 3 | layer_norm | bi gru 2 | mean | 1 sigmoid"]
TOKENS = ["window 3 vocabulary=9 embedding 2 | 4 tanh | 2 softmax", "embedding 3 vocabulary=9 | gru 4 | last | 2 softmax",
          "embedding 3 vocabulary=9 | bi lstm 4 | 3 softmax"]


def compared(model, batches, tmp_path=None):
    """Predict with the reference evaluator of ONNX and with onnxruntime, and compare with the engine; how many peers there were."""
    onnx = pytest.importorskip("onnx", reason="the package onnx is not installed: pip install 'backproof[onnx]'")
    from onnx.reference import ReferenceEvaluator

    data = to_onnx(model)
    loaded = onnx.load_from_string(data)
    assert not any(tensor.external_data for tensor in loaded.graph.initializer)
    name, = [given.name for given in loaded.graph.input]
    peers = [ReferenceEvaluator(loaded)]
    try:
        import onnxruntime
        peers.append(onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]))
    except ImportError:
        pass
    except Exception as error:                              # onnxruntime lacks some operators in float64
        assert model.dtype == np.float64 and "NOT_IMPLEMENTED" in str(error)
    for batch in batches:
        try:
            ours = model.predict(batch)
        except BackproofError:
            continue
        for peer in peers:
            [found] = peer.run(None, {name: batch})
            assert found.shape == ours.shape and found.dtype == ours.dtype
            np.testing.assert_allclose(found, ours, rtol=1e-5, atol=1e-6 * max(1, np.abs(ours).max()))
    return len(peers)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("spec", NETWORKS)
def test_onnx_computes_the_same_function(spec, dtype):
    model = Network(spec).build(seed=3, dtype=dtype)
    rows = np.abs(X) + 0.1 if spec.split()[3:4] and spec.split()[3] in ("log", "sqrt", "reciprocal", "rsqrt") else X
    compared(model, [batch.astype(dtype) for batch in (rows, rows[:1], rows[:7])])


@pytest.mark.parametrize("spec", SEQUENCES)
def test_onnx_computes_recurrent_networks_as_scans(spec):
    model = Network(spec).build(seed=3)
    draw = np.random.default_rng(1)
    compared(model, [draw.normal(size=(n, t, 4)).astype(np.float32) * scale for n, t, scale in ((5, 7, 1), (1, 3, 1), (2, 1, 1), (3, 20, 10))])


@pytest.mark.parametrize("spec", TOKENS)
def test_onnx_reads_token_numbers(spec):
    model = Network(spec, loss="cross_entropy").build(seed=3)
    draw = np.random.default_rng(1)
    steps = (3, 3) if model.network.window else (6, 1)
    compared(model, [draw.integers(0, 9, (n, t)) for n, t in zip((5, 1), steps)])


def test_onnx_carries_a_users_own_functions():
    own = elementwise("bent", value=lambda x: x * x * x)
    assert compared(Network("4 | 3 bent | 1", words={"bent": own}).build(), [X[:5].astype(np.float32)])


def test_the_comparison_with_onnx_can_fail(monkeypatch):
    pytest.importorskip("onnx", reason="the package onnx is not installed: pip install 'backproof[onnx]'")
    from backproof import onnx_graph
    monkeypatch.setitem(onnx_graph.OPERATORS, "tanh", "Sigmoid")
    with pytest.raises(AssertionError):
        compared(Network("4 | rnn 3 | last | 1").build(), [np.ones((2, 3, 4), np.float32)])


def test_what_onnx_cannot_say_is_named():
    pytest.importorskip("onnx", reason="the package onnx is not installed: pip install 'backproof[onnx]'")
    with pytest.raises(OptionError, match="reads pairs"):
        to_onnx(Network("window 3 vocabulary=9 embedding 2 | 4 tanh | 1", loss="pairwise_margin").build())


def test_a_missing_package_is_named(monkeypatch):
    import sys
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(BackproofError, match="needs the package onnx"):
        to_onnx(Network("4 | 1").build())


@pytest.mark.parametrize("spec", ["4 | 5 relu | 3 softmax", "4 | 6 nobias | layer_norm | tanh | dropout 0.3 | 1 sigmoid"])
def test_state_dicts_go_out_and_come_back(spec, tmp_path):
    model = Network(spec).build(seed=3)
    state = to_state_dict(model)
    assert state["0.weight"].shape == (model.network.layers[0].units, 4)
    model.save(tmp_path / "m.safetensors")
    export_model(tmp_path / "m.safetensors", tmp_path / "s.safetensors")
    for source in (state, tmp_path / "s.safetensors"):
        again = from_state_dict(source, model.network)
        np.testing.assert_array_equal(again.predict(X), model.predict(X))


def test_a_state_dict_of_linear_layers_by_hand():
    w, b = rng.normal(size=(3, 4)), rng.normal(size=3)
    model = from_state_dict({"fc.weight": w, "fc.bias": b}, Network("4 | 3"))
    np.testing.assert_allclose(model.predict(X), X @ w.T + b, atol=1e-12)
    assert model.dtype == "float64"


@pytest.mark.parametrize("state, message", [
    ({"0.weight": np.zeros((3, 5)), "0.bias": np.zeros(3)}, r"0.weight is \(3, 5\), and W1 is \(4, 3\)"),
    ({"0.weight": np.zeros((3, 4))}, "0.bias is missing"), ({}, "0 weights, the network 1"),
])
def test_state_dicts_that_do_not_fit(state, message):
    with pytest.raises(ShapeError, match=message):
        from_state_dict(state, Network("4 | 3"))


def test_a_pickle_is_never_opened(tmp_path):
    (tmp_path / "x.pt").write_bytes(b"\x80\x04\x95")
    with pytest.raises(ModelFileError, match="no safetensors file"):
        from_state_dict(tmp_path / "x.pt", Network("4 | 3"))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_scikit_learn_mlps_come_in():
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    two, three = (X[:, 0] > 0).astype(int), np.digitize(X[:, 0], [-0.5, 0.5])
    for made, y in ((MLPClassifier((5, 3), "tanh"), three), (MLPClassifier((5,), "logistic"), two), (MLPRegressor(hidden_layer_sizes=(4,)), X[:, :2]),
                    (MLPRegressor("poisson", (3,)), np.abs(X[:, 0]))):
        made.set_params(max_iter=5, random_state=0).fit(X, y)
        ours = from_sklearn(made).predict(X)
        theirs = made.predict_proba(X) if hasattr(made, "predict_proba") else made.predict(X)
        theirs = theirs[:, 1:] if ours.shape[1] == 1 and theirs.ndim == 2 else theirs.reshape(len(X), -1)
        np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)
    with pytest.raises(OptionError, match="not fitted"):
        from_sklearn(MLPClassifier())


def test_other_endings_are_refused(tmp_path):
    Network("4 | 3").build().save(tmp_path / "m.safetensors")
    assert isinstance(Model.load(tmp_path / "m.safetensors"), Model)
    with pytest.raises(OptionError, match="says not what to write"):
        export_model(tmp_path / "m.safetensors", tmp_path / "x.h5")
