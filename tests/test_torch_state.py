"""PyTorch's RNN, GRU and LSTM come in with their state_dict and go out again: the same numbers, or an error."""

from pathlib import Path

import numpy as np
import pytest

from backproof import Model, Network
from backproof.errors import OptionError, ShapeError
from backproof.exchange import export_model, from_state_dict, to_state_dict
from backproof.oracles import assert_agree

FILES = sorted(Path(__file__).parent.glob("oracle/state_*.npz"))
SPECS = ["3 | rnn 4 | last | 2", "3 | rnn 4 relu nobias | 2", "3 | bi gru 4 | bi gru 4 | mean | 2 softmax",
         "3 | lstm 4 | dropout 0.2 | lstm 4 | 2",
         "3 | lstm 4 | lstm 5 | max | 6 relu | 2", "embedding 3 vocabulary=7 | gru 4 | last | 2", "3 | encoder: lstm 4 | last | 2"]


def frozen(path):
    with np.load(path, allow_pickle=False) as file:
        return {key: file[key][()] for key in file.files}


def part(stored, kind):
    return {key.removeprefix(f"{kind}."): value for key, value in stored.items() if key.startswith(f"{kind}.")}


def as_state(gradients, gates):
    """PyTorch's gradients as a state_dict whose two biases add up to ours: the second one's is the first one's again."""
    out = {}
    for name, value in gradients.items():
        if "bias_hh" in name:
            value = value.copy()
            value[:2 * len(value) // 3 if gates == "gru" else None] = 0          # the GRU's candidate keeps both
        out[name] = value
    return out


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_pytorch_modules_compute_the_same_here(path):
    stored = frozen(path)
    network = Network(str(stored["spec"]), loss=str(stored["loss"]))
    model = from_state_dict(part(stored, "state"), network)
    X, y = stored["inputs"], stored["targets"]
    assert model.dtype == "float64"
    assert_agree(model.predict(X), stored["output"], tolerance=1e-12)
    assert_agree(model.loss(X, y), stored["data_loss"], tolerance=1e-12)
    assert_agree(model.input_gradients(X, y), stored["input_gradients"], tolerance=1e-10)
    theirs = from_state_dict(as_state(part(stored, "gradient"), path.stem.split("_")[1]), network).parameters
    assert_agree(model.gradients(X, y), dict(theirs), tolerance=1e-10)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_what_goes_out_has_pytorchs_names_and_shapes(path):
    state = part(frozen(path), "state")
    out = to_state_dict(from_state_dict(state, Network(str(frozen(path)["spec"]))))
    assert {name: value.shape for name, value in out.items()} == {name: value.shape for name, value in state.items()}
    for name, value in out.items():
        if "bias" not in name or name.startswith("1."):
            np.testing.assert_array_equal(value, state[name])


def test_there_is_a_file_for_every_kind():
    assert {path.stem.split("_")[1] for path in FILES} == {"rnn", "gru", "lstm"} and len(FILES) == 6


@pytest.mark.parametrize("spec", SPECS)
def test_state_dicts_go_out_and_come_back(spec, tmp_path):
    model = Network(spec).build(seed=3, dtype="float64")
    model.set_parameters(**{name: array + 0.1 for name, array in model.parameters.items()})
    model.save(tmp_path / "m.safetensors")
    assert "wrote" in export_model(tmp_path / "m.safetensors", tmp_path / "s.safetensors")
    for source in (to_state_dict(model), tmp_path / "s.safetensors"):
        again = from_state_dict(source, model.network)
        for name, array in model.parameters.items():
            np.testing.assert_array_equal(array, again.parameters[name])
    assert isinstance(Model.load(tmp_path / "m.safetensors"), Model)


def test_modules_are_numbered_as_in_a_list():
    names = to_state_dict(Network("3 | lstm 4 | lstm 4 | lstm 5 | last | 6 relu | 2").build())
    assert list(dict.fromkeys(name.split(".")[0] for name in names)) == ["0", "1", "2", "4"]
    assert names["0.weight_ih_l1"].shape == (16, 4) and names["1.weight_ih_l0"].shape == (20, 4)


LSTM = to_state_dict(Network("3 | lstm 4 | 2").build(dtype="float64"))
BOTH = to_state_dict(Network("3 | bi lstm 4 | 2").build(dtype="float64"))


@pytest.mark.parametrize("state, spec, message", [
    (LSTM, "3 | gru 4 | 2", r"0.weight_ih_l0 is \(16, 3\), and W_r1 is \(3, 4\): \(12, 3\) is wanted"),
    (LSTM, "3 | lstm 5 | 2", "is wanted"), (LSTM, "3 | lstm 4 | lstm 4 | 2", "1 recurrent layers, the network 2"),
    (LSTM, "3 | lstm 4 nobias | 2", "bias_ih_l0 is there.*has no bias"), (BOTH, "3 | lstm 4 | 4 | 2", "1 weights, the network 2"),
    (BOTH, "3 | lstm 4 | 2", "reads in one direction|is wanted"), (LSTM, "3 | bi lstm 4 | 2", "weight_ih_l0_reverse is missing"),
    ({k: v for k, v in LSTM.items() if "bias_hh" not in k}, "3 | lstm 4 | 2", "0.bias_hh_l0 is missing"),
    (LSTM, "3 | lstm 4 | last | 3", r"1.weight is \(2, 4\)"),
])
def test_state_dicts_that_do_not_fit(state, spec, message):
    with pytest.raises(ShapeError, match=message):
        from_state_dict(state, Network(spec))


def test_what_the_other_side_has_no_word_for():
    with pytest.raises(OptionError, match="knows tanh and relu, not 'sigmoid'"):
        to_state_dict(Network("3 | rnn 4 sigmoid | 2").build())
    with pytest.raises(OptionError, match="proj_size"):
        from_state_dict({**LSTM, "0.weight_hr_l0": np.zeros((2, 4))}, Network("3 | lstm 4 | 2"))
    with pytest.raises(OptionError, match="kind 'window' has no place"):
        to_state_dict(Network("window 3 vocabulary=5 embedding 2 | 1").build())
