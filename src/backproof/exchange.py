"""Interchange: ONNX out, fitted scikit-learn MLPs in; PyTorch state_dicts in and out by `torch_state`.

Reads   a Model of dense layers, layer norm and dropout; scikit-learn's estimators.
Gives   an ONNX file with its weights inside and nothing else; Models.
Raises  OptionError for what the other side has no word for, with the layer's name; nothing is written then.
"""

import numpy as np

from .errors import EngineError, OptionError
from .model import Model
from .network import Network
from .networks import Activation, Dense, Dropout, LayerNorm
from .torch_state import from_state_dict, to_state_dict
from .train.files import save_tensors, write_atomically

__all__ = ["export_model", "from_sklearn", "from_state_dict", "to_onnx", "to_state_dict"]

OPSET = 20
# activation: (ONNX operator, its attributes); the others of backproof are put together below
OPERATORS = {
    "relu": ("Relu", {}), "tanh": ("Tanh", {}), "sigmoid": ("Sigmoid", {}), "softmax": ("Softmax", {"axis": -1}), "elu": ("Elu", {"alpha": 1.0}),
    "selu": ("Selu", {"alpha": 1.6732632423543772, "gamma": 1.0507009873554805}), "gelu": ("Gelu", {"approximate": "none"}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.01}), "softplus": ("Softplus", {}), "softsign": ("Softsign", {}), "exp": ("Exp", {}),
    "abs": ("Abs", {}), "sqrt": ("Sqrt", {}), "log": ("Log", {}), "erf": ("Erf", {}), "sign": ("Sign", {}), "reciprocal": ("Reciprocal", {}),
}


def export_model(path, out):
    """Write a model file as ONNX (.onnx) or as a state_dict (.safetensors); a sentence about what was written."""
    model = Model.load(path)
    if str(out).endswith(".onnx"):
        write_atomically(out, [to_onnx(model)])
        return f"wrote {out}: ONNX, operators of version {OPSET}, input x (n, {model.network.inputs}), output prediction"
    if str(out).endswith(".safetensors"):
        tensors = to_state_dict(model)
        save_tensors(out, tensors)
        return f"wrote {out}: state_dict of nn.Sequential, {', '.join(tensors)}"
    raise OptionError(f"{str(out)!r} says not what to write", fix="a name that ends in .onnx or .safetensors")


# ---------------------------------------------------------------------------------------------------- ONNX

def to_onnx(model):
    """The bytes of an ONNX model: input x (n, i), output prediction (n, k), the weights embedded.

    Raises   EngineError where the package onnx is missing, OptionError for a layer or activation that ONNX has no word for.
    """
    try:
        import onnx
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        raise EngineError("writing ONNX needs the package onnx", fix="pip install 'backproof[onnx]'") from None
    network, nodes, weights = model.network, [], {}
    kind = TensorProto.FLOAT if model.dtype == np.float32 else TensorProto.DOUBLE
    by_layer = _parameters_by_layer(model)
    name, own = "x", iter(range(10**9))

    def node(operator, *inputs, **attributes):
        out = f"v{next(own)}"
        nodes.append(helper.make_node(operator, inputs, [out], **attributes))
        return out

    def constant(value, like="c"):
        key = f"{like}{next(own)}"
        weights[key] = np.array(value, model.dtype)
        return key

    def activated(word, x):
        if word == "linear":
            return x
        if not isinstance(word, str):
            raise OptionError(f"ONNX has no word for your function {word.name!r}", fix="a built-in activation")
        if word in OPERATORS:
            operator, attributes = OPERATORS[word]
            return node(operator, x, **attributes)
        made = {"silu": lambda: node("Mul", x, node("Sigmoid", x)), "square": lambda: node("Mul", x, x),
                "hardtanh": lambda: node("Clip", x, constant(-1), constant(1)),
                "step": lambda: node("Cast", node("Greater", x, constant(0)), to=kind)}
        if word not in made:
            raise OptionError(f"ONNX has no word for the activation {word!r}", fix=f"one of {', '.join([*OPERATORS, *made])}")
        return made[word]()
    for layer, found in zip(network.layers, by_layer):
        for parameter, array in found.items():
            weights[parameter] = np.asarray(array)
        if isinstance(layer, Dense):
            matrix, *bias = found
            name = node("Gemm", name, matrix, *bias)
            name = activated(layer.activation, name)
        elif isinstance(layer, LayerNorm):
            name = node("LayerNormalization", name, *found, axis=-1, epsilon=float(layer.eps))
        elif isinstance(layer, Activation):
            name = activated(layer.activation, name)
        elif not isinstance(layer, Dropout):
            raise OptionError(f"a layer of kind {layer.kind!r} cannot be written as ONNX", fix="dense networks are")
    nodes.append(helper.make_node("Identity", [name], ["prediction"]))
    graph = helper.make_graph(
        nodes, "backproof", [helper.make_tensor_value_info("x", kind, ["n", network.inputs])],
        [helper.make_tensor_value_info("prediction", kind, ["n", network.outputs])],
        [numpy_helper.from_array(np.ascontiguousarray(array), key) for key, array in weights.items()])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="backproof", ir_version=9)
    onnx.checker.check_model(made, full_check=True)
    return made.SerializeToString()


def _parameters_by_layer(model):
    """For every layer, its parameters in order; layers without any have none."""
    left, found = list(model.network.parameters), []
    for layer in model.network.layers:
        count = 1 + layer.bias if isinstance(layer, Dense) else 2 if isinstance(layer, LayerNorm) else 0
        taken, left = left[:count], left[count:]
        found.append({p.name: model.parameters[p.name] for p in taken})
    return found


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
    return model.set_parameters(**{p.name: array for p, array in zip(network.parameters, [a for pair in zip(coefs, intercepts) for a in pair])})
