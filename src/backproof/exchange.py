"""Interchange: ONNX out, PyTorch state_dicts in and out, fitted scikit-learn MLPs in.

Reads   a Model (for state_dicts of dense layers, layer norm and dropout); a state_dict; scikit-learn's estimators.
Gives   an ONNX file with its weights inside and nothing else; arrays by PyTorch's names; Models.
Raises  OptionError for what the other side has no word for, with the layer's name; nothing is written then.
"""

import numpy as np

from .errors import OptionError, ShapeError
from .model import Model
from .network import Network
from .networks import Activation, Dense, Dropout, LayerNorm
from .onnx_graph import OPSET, to_onnx
from .train.files import save_tensors, write_atomically

__all__ = ["export_model", "from_sklearn", "from_state_dict", "to_onnx", "to_state_dict"]

def export_model(path, out):
    """Write a model file as ONNX (.onnx) or as a state_dict (.safetensors); a sentence about what was written."""
    model = Model.load(path)
    if str(out).endswith(".onnx"):
        write_atomically(out, [to_onnx(model)])
        return f"wrote {out}: ONNX, operators of version {OPSET}, input {_shape(model.network)}, output prediction"
    if str(out).endswith(".safetensors"):
        tensors = to_state_dict(model)
        save_tensors(out, tensors)
        return f"wrote {out}: state_dict of nn.Sequential, {', '.join(tensors)}"
    raise OptionError(f"{str(out)!r} says not what to write", fix="a name that ends in .onnx or .safetensors")


def _shape(network):
    if network.vocabulary is not None:
        return "ids (n, t)" if network.sequence else f"ids (n, {network.window})"
    return f"x (n, t, {network.inputs})" if network.sequence else f"x (n, {network.inputs})"


def _parameters_by_layer(model):
    """For every layer, its parameters in order; layers without any have none."""
    left, found = list(model.network.parameters), []
    for layer in model.network.layers:
        count = 1 + layer.bias if isinstance(layer, Dense) else 2 if isinstance(layer, LayerNorm) else 0
        taken, left = left[:count], left[count:]
        found.append({p.name: model.parameters[p.name] for p in taken})
    return found


# ---------------------------------------------------------------------------------------------------- PyTorch

def to_state_dict(model):
    """{PyTorch's name: array} as of nn.Sequential(nn.Linear, activation, …): weights are (outputs, inputs) there.

    >>> sorted(to_state_dict(Network("4 | 3 relu | 2").build()))
    ['0.bias', '0.weight', '2.bias', '2.weight']
    """
    tensors, position = {}, 0
    for layer, found in zip(model.network.layers, _parameters_by_layer(model)):
        arrays = list(found.values())
        if isinstance(layer, (Dense, LayerNorm)):
            tensors[f"{position}.weight"] = np.ascontiguousarray(arrays[0].T) if isinstance(layer, Dense) else arrays[0]
            if len(arrays) > 1:
                tensors[f"{position}.bias"] = arrays[1]
        elif not isinstance(layer, (Dropout, Activation)):
            raise OptionError(f"a layer of kind {layer.kind!r} has no place in a state_dict of nn.Sequential",
                              fix="dense networks have")
        position += 1 + (isinstance(layer, Dense) and layer.activation != "linear")
    return tensors


def from_state_dict(state, network, **options):
    """A Model of a dense network with the weights of a state_dict: {name: array or tensor}, or a safetensors file.

    Matched in order: the k-th weight with its bias belongs to the k-th dense layer or layer norm.

    >>> one = Network("4 | 3 relu | 2").build(seed=5)
    >>> bool((from_state_dict(to_state_dict(one), one.network).parameters["W1"] == one.parameters["W1"]).all())
    True
    """
    tensors = load_foreign(state) if isinstance(state, str) or hasattr(state, "__fspath__") else dict(state)
    arrays = {name: np.asarray(value.detach().cpu().numpy() if hasattr(value, "detach") else value) for name,
              value in tensors.items()}
    model = network.build(**{"dtype": next(iter(arrays.values())).dtype.name if arrays else "float32", **options})
    names = [name for name in arrays if name.endswith("weight")]
    layers = [(layer, found) for layer, found in zip(network.layers, _parameters_by_layer(model)) if found]
    if len(names) != len(layers):
        raise ShapeError(f"the state_dict has {len(names)} weights, the network {len(layers)} layers with some",
                         where=", ".join(names[:8]), fix="describe the network with the same layers")
    replaced = {}
    for name, (layer, found) in zip(sorted(names, key=_natural), layers):
        weight, *bias = found
        given = arrays[name].T if isinstance(layer, Dense) else arrays[name]
        if given.shape != found[weight].shape:
            raise ShapeError(f"{name} is {arrays[name].shape}, and {weight} is {found[weight].shape}",
                             where=f"weights are (outputs, inputs) in {name}, (inputs, outputs) in {weight}",
                             fix="describe the same network")
        replaced[weight] = given
        other = name.removesuffix("weight") + "bias"
        if bool(bias) != (other in arrays):
            raise ShapeError(f"{other} {'is there' if other in arrays else 'is missing'}, and layer {layer.kind} of the network has "
                             f"{'no' if not bias else 'a'} bias",
                             fix="Dense(…, bias=False), or nobias in the spec, where there is none")
        if bias:
            replaced[bias[0]] = arrays[other]
    return model.set_parameters(**replaced)


def load_foreign(path):
    """The tensors of a safetensors file that others wrote: no checksums of ours, numbers only."""
    from safetensors.numpy import load

    from .data.files import read_regular
    from .errors import ModelFileError
    data = read_regular(path, limit=64 << 30)
    try:
        return load(data)
    except Exception as error:                             # the library's own exception types
        raise ModelFileError(f"this is no safetensors file: {error}", where=str(path),
                             fix="safetensors.torch.save_file(model.state_dict(), path); pickles are never opened") from None


def _natural(name):
    return [int(part) if part.isdigit() else part for part in name.split(".")]


# ---------------------------------------------------------------------------------------------------- scikit-learn

def from_sklearn(estimator, **options):
    """A Model with the weights of a fitted MLPClassifier or MLPRegressor of scikit-learn: the same outputs.

    A binary classifier has one output, the probability of ``classes_[1]``. The penalty is α/N of its objective unknown N: 0.
    """
    if not hasattr(estimator, "coefs_"):
        raise OptionError(f"{type(estimator).__name__} is not fitted, or no MLP", fix="fit it first")
    words = {"identity": "linear", "logistic": "sigmoid"}
    coefs, intercepts = estimator.coefs_, estimator.intercepts_
    out = words.get(estimator.out_activation_, estimator.out_activation_)
    hidden = words.get(estimator.activation, estimator.activation)
    layers = [Dense(int(w.shape[1]), hidden) for w in coefs[:-1]] + [Dense(int(coefs[-1].shape[1]), out)]
    loss = {"softmax": "cross_entropy", "sigmoid": "binary_cross_entropy", "exp": "poisson"}.get(out, "squared_error")
    network = Network(layers, inputs=int(coefs[0].shape[0]), loss=loss)
    model = network.build(**{"dtype": coefs[0].dtype.name, **options})
    return model.set_parameters(**{p.name: array for p,
                                   array in zip(network.parameters, [a for pair in zip(coefs, intercepts) for a in pair])})
