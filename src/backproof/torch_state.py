"""PyTorch's state_dicts in and out: linear layers, embeddings, layer norms, and its RNN, GRU and LSTM.

Reads   a Model; a state_dict as arrays or tensors by PyTorch's names, or as safetensors.
Gives   arrays by PyTorch's names, as of a list of modules; Models with the weights of a state_dict.
Raises  OptionError for what PyTorch has no module for, ShapeError for a state_dict that does not fit, naming both sides.

PyTorch writes a stack of equal recurrent layers as one module (weight_ih_l0, weight_ih_l1, …, …_reverse), its gates one below the
other, weights (gates · units, inputs). It has two biases where ours has their sum: out, the second is zero; in, they are added. The
GRU's candidate keeps both, for one of them stands inside the reset product, here as there.
"""

import re

import numpy as np

from .errors import ModelFileError, OptionError, ShapeError
from .networks import GRU, LSTM, RNN, Activation, Bidirectional, Dense, Dropout, Embedding, LayerNorm

__all__ = ["from_state_dict", "load_foreign", "to_state_dict"]

GATES = {RNN: ("",), GRU: ("r", "u", "n"), LSTM: ("i", "f", "g", "o")}          # in the order of PyTorch's rows
POOLS = ("last", "mean", "max")                                                # have no parameters, and are no modules
NAME = re.compile(r"(?:\w+\.)?(reverse_)?([WUbc])(?:_([a-z]))?\d*")
CELL = re.compile(r"(.*?)(?:weight|bias)_(?:ih|hh|hr)_l(\d+)(?:_reverse)?")


def to_state_dict(model):
    """{PyTorch's name: array}, numbered as nn.Sequential(nn.Linear, activation, …) numbers its modules; pooling has no number.

    >>> from backproof.network import Network
    >>> sorted(to_state_dict(Network("4 | 3 relu | 2").build()))
    ['0.bias', '0.weight', '2.bias', '2.weight']
    >>> list(to_state_dict(Network("4 | lstm 3 | lstm 3 | last | 2").build()))[3:6]
    ['0.bias_hh_l0', '0.weight_ih_l1', '0.weight_hh_l1']
    """
    tensors, position, stack = {}, 0, None
    for layer, arrays in _layers(model.network, model.parameters):
        cell, directions = _cell(layer)
        if cell is not None:
            same = (type(cell), cell.units, cell.bias, directions)
            deep = 0 if stack is None or stack[0] != same else stack[1] + 1
            position += stack is not None and deep == 0
            stack = same, deep
            for end, direction in zip(("", "_reverse"), directions):
                tensors.update({f"{position}.{key}_l{deep}{end}": value for key, value in _packed(cell, arrays, direction).items()})
            continue
        if stack is not None and not isinstance(layer, Dropout):
            position, stack = position + 1, None
        tensors.update({f"{position}.{key}": value for key, value in _plain(layer, list(arrays.values())).items()})
        if layer.kind not in POOLS and stack is None:
            position += 1 + (isinstance(layer, Dense) and layer.activation != "linear")
    return tensors


def from_state_dict(state, network, **options):
    """A Model with the weights of a state_dict: {name: array or tensor}, or a safetensors file.

    Matched in order: the k-th weight with its bias belongs to the k-th dense layer, embedding or layer norm, the k-th layer of
    PyTorch's RNNs, GRUs and LSTMs to the k-th recurrent layer.

    >>> from backproof.network import Network
    >>> one = Network("4 | bi gru 3 | last | 2").build(seed=5)
    >>> bool((from_state_dict(to_state_dict(one), one.network).parameters["W_r1"] == one.parameters["W_r1"]).all())
    True
    """
    tensors = load_foreign(state) if isinstance(state, str) or hasattr(state, "__fspath__") else dict(state)
    arrays = {name: np.asarray(value.detach().cpu().numpy() if hasattr(value, "detach") else value)
              for name, value in tensors.items()}
    model = network.build(**{"dtype": next(iter(arrays.values())).dtype.name if arrays else "float32", **options})
    layers = [(layer, found) for layer, found in _layers(network, model.parameters) if found]
    stacks = sorted({(found[1], int(found[2])) for found in map(CELL.fullmatch, arrays) if found},
                    key=lambda stack: (_natural(stack[0]), stack[1]))
    names = sorted((name for name in arrays if name.endswith("weight")), key=_natural)
    cells, plain = ([one for one in layers if (_cell(one[0])[0] is not None) == recurrent] for recurrent in (True, False))
    for found, wanted, what in ((stacks, cells, "recurrent layers"), (names, plain, "weights")):
        if len(found) != len(wanted):
            raise ShapeError(f"the state_dict has {len(found)} {what}, the network {len(wanted)} layers that have some",
                             where=", ".join(list(arrays)[:8]), fix="describe the network with the same layers")
    replaced = {}
    for (prefix, deep), (layer, found) in zip(stacks, cells):
        replaced.update(_unpacked(arrays, prefix, deep, layer, found))
    for name, (layer, found) in zip(names, plain):
        replaced.update(_read_plain(arrays, name, layer, found))
    return model.set_parameters(**replaced)


def _layers(network, arrays):
    """(layer, {parameter: array}) of every layer in order."""
    return [(layer, {p.name: np.asarray(arrays[p.name]) for p in network.parameters if p.layer == label})
            for layer, label, *_ in network.placed]


def _cell(layer):
    """(the recurrent layer, its directions: "" and "reverse_"), or (None, ()) where it is none."""
    inner = layer.layer if isinstance(layer, Bidirectional) else layer
    if type(inner) not in GATES:
        return None, ()
    return inner, ("", "reverse_") if isinstance(layer, Bidirectional) else ("",)


# ---------------------------------------------------------------------------------------------------- recurrent layers

def _symbols(arrays, direction):
    """{(symbol, gate): parameter's name} of one direction of a recurrent layer."""
    found = {name: NAME.fullmatch(name) for name in arrays}
    return {(match[2], match[3] or ""): name for name, match in found.items() if (match[1] or "") == direction}


def _packed(cell, arrays, direction):
    """One direction of a layer as PyTorch's two weights and two biases."""
    if isinstance(cell, RNN) and cell.activation not in ("tanh", "relu"):
        raise OptionError(f"PyTorch's RNN knows tanh and relu, not {cell.activation!r}", fix="rnn with tanh or relu")
    names, gates = _symbols(arrays, direction), GATES[type(cell)]
    packed = {f"weight_{end}": np.concatenate([arrays[names[symbol, gate]].T for gate in gates])
              for symbol, end in (("W", "ih"), ("U", "hh"))}
    if cell.bias:
        packed["bias_ih"] = np.concatenate([arrays[names["b", gate]] for gate in gates])
        second = [arrays[names["c", gate]] if ("c", gate) in names else np.zeros_like(arrays[names["b", gate]]) for gate in gates]
        packed["bias_hh"] = np.concatenate(second)
    return packed


def _unpacked(state, prefix, deep, layer, arrays):
    """{parameter: array} of a recurrent layer, from the layer ``deep`` of a module of PyTorch."""
    cell, directions = _cell(layer)
    found = {}
    for end, direction in zip(("", "_reverse"), directions):
        names, gates, width = _symbols(arrays, direction), GATES[type(cell)], cell.units
        given = {key: _taken(state, f"{prefix}{key}_l{deep}{end}", cell, key.startswith("bias")) for key in
                 ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
        if f"{prefix}weight_hr_l{deep}{end}" in state:
            raise OptionError(f"{prefix}weight_hr_l{deep} is a projection of the output (proj_size), which our LSTM has not",
                              fix="a module without proj_size")
        for (symbol, gate), name in names.items():
            key = {"W": "weight_ih", "U": "weight_hh", "b": "bias_ih", "c": "bias_hh"}[symbol]
            whole, rows = given[key], slice(gates.index(gate) * width, (gates.index(gate) + 1) * width)
            wanted = (len(gates) * width, *arrays[name].T.shape[1:])
            if whole.shape != wanted:
                raise ShapeError(f"{prefix}{key}_l{deep}{end} is {whole.shape}, and {name} is {arrays[name].shape}: "
                                 f"{wanted} is wanted", where=f"{len(gates)} gates of {width} units below each other",
                                 fix="describe the same network")
            value = whole[rows].T
            if symbol == "b" and ("c", gate) not in names:
                value = value + given["bias_hh"][rows]
            found[name] = value
    if len(directions) == 1 and f"{prefix}weight_ih_l{deep}_reverse" in state:
        raise ShapeError(f"{prefix}weight_ih_l{deep}_reverse is there, and the network's layer reads in one direction",
                         fix=f"bi {cell.kind} {cell.units}")
    return found


def _taken(state, name, cell, bias):
    """An array of the state_dict; None for the biases of a layer that has none on both sides."""
    if bias and not cell.bias:
        if name in state:
            raise ShapeError(f"{name} is there, and the layer {cell.kind} of the network has no bias", fix="leave nobias out")
        return None
    if name not in state:
        raise ShapeError(f"{name} is missing", where=f"layer {cell.kind} {cell.units}",
                         fix="nobias in the spec where there is none" if bias else "describe the same network")
    return state[name]


# ---------------------------------------------------------------------------------------------------- other layers

def _plain(layer, arrays):
    """A layer's parameters by PyTorch's names; none for activations, dropout and pooling."""
    if isinstance(layer, (Dense, LayerNorm, Embedding)):
        weight = np.ascontiguousarray(arrays[0].T) if isinstance(layer, Dense) else arrays[0]
        return {"weight": weight, **({"bias": arrays[1]} if len(arrays) > 1 else {})}
    if not isinstance(layer, (Dropout, Activation)) and layer.kind not in POOLS:
        raise OptionError(f"a layer of kind {layer.kind!r} has no place in a state_dict of nn.Sequential",
                          fix="dense, embedding, layer_norm, rnn, gru and lstm have")
    return {}


def _read_plain(arrays, name, layer, found):
    weight, *bias = found
    given = arrays[name].T if isinstance(layer, Dense) else arrays[name]
    if given.shape != found[weight].shape:
        raise ShapeError(f"{name} is {arrays[name].shape}, and {weight} is {found[weight].shape}",
                         where=f"weights are (outputs, inputs) in {name}, (inputs, outputs) in {weight}",
                         fix="describe the same network")
    other = name.removesuffix("weight") + "bias"
    if bool(bias) != (other in arrays):
        raise ShapeError(f"{other} {'is there' if other in arrays else 'is missing'}, and layer {layer.kind} of the network has "
                         f"{'no' if not bias else 'a'} bias",
                         fix="Dense(…, bias=False), or nobias in the spec, where there is none")
    return {weight: given, **({bias[0]: arrays[other]} if bias else {})}


def load_foreign(path):
    """The tensors of a safetensors file that others wrote: no checksums of ours, numbers only."""
    from safetensors.numpy import load

    from .data.files import read_regular
    data = read_regular(path, limit=64 << 30)
    try:
        return load(data)
    except Exception as error:                             # the library's own exception types
        raise ModelFileError(f"this is no safetensors file: {error}", where=str(path),
                             fix="safetensors.torch.save_file(model.state_dict(), path); pickles are never opened") from None


def _natural(name):
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in name.split(".")]
