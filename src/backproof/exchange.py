"""Interchange: ONNX out, fitted scikit-learn MLPs in; PyTorch state_dicts in and out by `torch_state`.

Reads   a Model; scikit-learn's estimators.
Gives   an ONNX file with its weights inside and nothing else; Models.
Raises  OptionError for what the other side has no word for, with the layer's name; nothing is written then.
"""

from .errors import OptionError
from .model import Model
from .network import Network
from .networks import Dense
from .onnx_graph import OPSET, to_onnx
from .torch_state import from_state_dict, to_state_dict
from .train.files import save_tensors, write_atomically

__all__ = ["export_model", "from_sklearn", "from_state_dict", "to_onnx", "to_state_dict"]


def export_model(path, out):
    """Write a model file as ONNX (.onnx) or as a state_dict (.safetensors); a sentence about what was written."""
    model = Model.load(path)
    if str(out).endswith(".onnx"):
        write_atomically(out, [to_onnx(model)])
        prepared = " (a table's prepared inputs, in the order of backproof describe)" if "table" in model.extra else ""
        return f"wrote {out}: ONNX, operators of version {OPSET}, input {_shape(model.network)}{prepared}, output prediction"
    if str(out).endswith(".safetensors"):
        tensors = to_state_dict(model)
        save_tensors(out, tensors)
        return f"wrote {out}: state_dict of nn.Sequential, {', '.join(tensors)}"
    raise OptionError(f"{str(out)!r} says not what to write", fix="a name that ends in .onnx or .safetensors")


def _shape(network):
    if network.vocabulary is not None:
        return "ids (n, t)" if network.sequence else f"ids (n, {network.window})"
    return f"x (n, t, {network.inputs})" if network.sequence else f"x (n, {network.inputs})"


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
