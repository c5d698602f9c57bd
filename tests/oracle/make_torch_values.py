"""Frozen values of PyTorch: networks with their gradients, and trajectories of its optimizers, all in float64.

Run by hand, in an environment with torch 2.13.0 and numpy (no test runs it, and backproof never needs torch):

    python tests/oracle/make_torch_values.py

Writes  one .npz without pickle per case beside this file; README.md says what the keys mean.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

HERE = Path(__file__).parent
N, T = 5, 6
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

ACTIVATIONS = {
    "": lambda z: z, "identity": lambda z: z, "sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": F.relu,
    "softplus": F.softplus, "gelu": lambda z: F.gelu(z, approximate="none"), "elu": F.elu, "silu": F.silu,
    "softmax": lambda z: F.softmax(z, dim=-1), "exp": torch.exp,
}

# The loss of each sample (and step): from pre-activation z and activation a of the output, both (..., k), and target y.
LOSSES = {
    "squared_error": lambda z, a, y: 0.5 * F.mse_loss(a, y, reduction="none").sum(-1),
    "absolute_error": lambda z, a, y: F.l1_loss(a, y, reduction="none").sum(-1),
    "huber": lambda z, a, y: F.huber_loss(a, y, reduction="none", delta=1.0).sum(-1),
    "poisson": lambda z, a, y: F.poisson_nll_loss(z, y, log_input=True, full=False, reduction="none").sum(-1),
    "binary_cross_entropy": lambda z, a, y: F.binary_cross_entropy_with_logits(z, y, reduction="none").sum(-1),
    "cross_entropy": lambda z, a, y: F.cross_entropy(z, y, reduction="none"),
}

# name: (spec, loss, l2, weighted samples, class ids for targets)
DENSE = {
    "sigmoid_squared_error": ("7 | 3 sigmoid | 4 sigmoid | 2", "squared_error", 0.0, False, False),
    "tanh_squared_error_square": ("4 | 4 tanh | 4 sigmoid", "squared_error", 0.0, False, False),
    "relu_cross_entropy_ids": ("7 | 5 relu | 4 relu | 3 softmax", "cross_entropy", 0.0, False, True),
    "tanh_cross_entropy_soft_l2": ("7 | 3 sigmoid | 4 tanh | 2 softmax", "cross_entropy", 0.3, False, False),
    "softplus_binary_weighted": ("7 | 3 softplus | 4 tanh | 2 sigmoid", "binary_cross_entropy", 0.0, True, False),
    "gelu_binary_one_output": ("6 | 4 gelu | 1 sigmoid", "binary_cross_entropy", 0.0, False, False),
    "elu_huber": ("7 | 3 elu | 4 elu | 3", "huber", 0.0, False, False),
    "silu_absolute_error": ("7 | 3 silu | 2", "absolute_error", 0.0, False, False),
    "tanh_poisson": ("7 | 3 tanh | 4 sigmoid | 2 exp", "poisson", 0.0, False, False),
    "relu_squared_weighted_l2": ("7 | 6 relu | 4 relu | 3", "squared_error", 0.7, True, False),
    "softmax_squared_error": ("5 | 4 tanh | 3 softmax", "squared_error", 0.0, False, False),
    "layer_norm_squared_error": ("7 | 5 tanh | layer_norm | 3 sigmoid | 2", "squared_error", 0.0, False, False),
    "square_all_kinds": ("4 | 4 sigmoid | 4 tanh | 4 softmax", "cross_entropy", 0.0, False, True),
}

# name: (spec, loss, class ids for targets); without "last" there is an output and a target at every step
RECURRENT = {}
for kind in ("rnn", "gru", "lstm"):
    RECURRENT[f"{kind}_last"] = (f"3 | {kind} 4 | last | 2 softmax", "cross_entropy", True)
    RECURRENT[f"{kind}_steps"] = (f"3 | {kind} 4 | 2", "squared_error", False)
RECURRENT["lstm_two_layers"] = ("3 | lstm 4 | lstm 3 | last | 2 softmax", "cross_entropy", True)
RECURRENT["gru_square"] = ("4 | gru 4 | 4", "squared_error", False)
RECURRENT["bi_lstm_last"] = ("3 | bi lstm 4 | last | 2 softmax", "cross_entropy", True)
RECURRENT["bi_lstm_steps"] = ("3 | bi lstm 4 | 2", "squared_error", False)

GATES = {"rnn": [""], "lstm": ["_i", "_f", "_g", "_o"], "gru": ["_r", "_z", "_n"]}      # in PyTorch's row order
CELLS = {"rnn": torch.nn.RNN, "lstm": torch.nn.LSTM, "gru": torch.nn.GRU}

OPTIMIZERS = {
    "sgd": (torch.optim.SGD, {"lr": 0.1}),
    "momentum": (torch.optim.SGD, {"lr": 0.05, "momentum": 0.9, "dampening": 0.0}),
    "nesterov": (torch.optim.SGD, {"lr": 0.05, "momentum": 0.9, "dampening": 0.0, "nesterov": True}),
    "rmsprop": (torch.optim.RMSprop, {"lr": 0.01, "alpha": 0.99, "eps": 1e-8, "centered": False}),
    "adagrad": (torch.optim.Adagrad, {"lr": 0.1, "eps": 1e-10, "initial_accumulator_value": 0.0}),
    "adam": (torch.optim.Adam, {"lr": 0.01, "betas": (0.9, 0.999), "eps": 1e-8}),
    "adam_coupled_decay": (torch.optim.Adam, {"lr": 0.01, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01}),
    "adamw": (torch.optim.AdamW, {"lr": 0.01, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.01}),
}
# As above, but the decay is on weights alone and biases are left free.
WEIGHTS_ALONE = {name + "_weights_alone": OPTIMIZERS[name] for name in ("adam_coupled_decay", "adamw")}


# name: (spec, PyTorch's module with its options); a linear layer follows; both of PyTorch's biases are drawn
STATES = {
    "rnn_relu_two_layers": ("3 | rnn 4 relu | rnn 4 relu | 2", torch.nn.RNN, {"num_layers": 2, "nonlinearity": "relu"}),
    "rnn_tanh_bidirectional": ("3 | bi rnn 4 | 2", torch.nn.RNN, {"bidirectional": True}),
    "gru_two_layers_bidirectional": ("3 | bi gru 4 | bi gru 4 | 2", torch.nn.GRU, {"num_layers": 2, "bidirectional": True}),
    "gru_without_bias": ("3 | gru 4 nobias | 2", torch.nn.GRU, {"bias": False}),
    "lstm_three_layers": ("3 | lstm 4 | lstm 4 | lstm 4 | 2", torch.nn.LSTM, {"num_layers": 3}),
    "lstm_two_layers_bidirectional": ("3 | bi lstm 4 | bi lstm 4 | 2", torch.nn.LSTM, {"num_layers": 2, "bidirectional": True}),
}


class Network:
    """A network of backproof's one-line spec, with the parameters under backproof's names."""

    def __init__(self, spec, rng):
        self.parts = [part.split() for part in spec.split("|")]
        self.rng, self.parameters, self.cells = rng, {}, {}
        width, layer = int(self.parts[0][0]), 0
        for part in self.parts[1:]:
            kind = part[1] if part[0] == "bi" else part[0]
            if kind == "last":
                continue
            layer += 1
            if kind == "layer_norm":
                self.draw(f"gamma{layer}", width).data.add_(1.0)
                self.draw(f"beta{layer}", width)
            elif kind in CELLS:
                units = int(part[-1])
                self.add_cell(layer, kind, width, units, both=part[0] == "bi")
                width = 2 * units if part[0] == "bi" else units
            else:
                units = int(part[0])
                self.draw(f"W{layer}", width, units)
                self.draw(f"b{layer}", units)
                width = units

    def draw(self, name, *shape):
        spread = 0.3 if len(shape) == 1 else 1.2 / np.sqrt(shape[0])
        self.parameters[name] = torch.tensor(self.rng.normal(0, spread, shape), requires_grad=True)
        return self.parameters[name]

    def add_cell(self, layer, kind, width, units, both):
        cell = self.cells[layer] = CELLS[kind](width, units, batch_first=True, bidirectional=both)
        for prefix, end in [("", "_l0")] + ([("reverse_", "_l0_reverse")] if both else []):
            for g, gate in enumerate(GATES[kind]):
                rows = slice(g * units, (g + 1) * units)
                for letter, shape, name in (("W", (width, units), "weight_ih"), ("U", (units, units), "weight_hh"),
                                            ("b", (units,), "bias_ih"), ("c", (units,), "bias_hh")):
                    if letter != "c" or gate == "_n":
                        values = self.draw(f"{prefix}{letter}{gate}{layer}", *shape).detach()
                    else:
                        values = torch.zeros(units)
                    getattr(cell, name + end).data[rows] = values.T if values.ndim == 2 else values

    def read_cell_gradients(self):
        """Copy gradients from the layout of PyTorch's cells to backproof's names."""
        for layer, cell in self.cells.items():
            kind = {torch.nn.RNN: "rnn", torch.nn.LSTM: "lstm", torch.nn.GRU: "gru"}[type(cell)]
            units = cell.hidden_size
            for prefix, end in [("", "_l0")] + ([("reverse_", "_l0_reverse")] if cell.bidirectional else []):
                for g, gate in enumerate(GATES[kind]):
                    rows = slice(g * units, (g + 1) * units)
                    for letter, name in (("W", "weight_ih"), ("U", "weight_hh"), ("b", "bias_ih"), ("c", "bias_hh")):
                        key = f"{prefix}{letter}{gate}{layer}"
                        if key in self.parameters:
                            values = getattr(cell, name + end).grad[rows]
                            self.parameters[key].grad = values.T if values.ndim == 2 else values

    def __call__(self, x):
        """The output's pre-activation and activation; keeps every pre-activation of a dense part in self.z."""
        a, layer, self.z, state = x, 0, {}, None
        for part in self.parts[1:]:
            if part[0] == "last":
                a = torch.cat(list(state), dim=-1)      # forward at the last step, backward at step 0
                continue
            layer += 1
            if layer in self.cells:
                a, state = self.cells[layer](a)
                state = state[0] if isinstance(state, tuple) else state
            elif part[0] == "layer_norm":
                p = self.parameters
                a = F.layer_norm(a, a.shape[-1:], p[f"gamma{layer}"], p[f"beta{layer}"], eps=1e-5)
            else:
                z = a @ self.parameters[f"W{layer}"] + self.parameters[f"b{layer}"]
                z.retain_grad()
                self.z[layer] = z
                a = ACTIVATIONS[part[1] if len(part) > 1 else ""](z)
        return z, a


def targets_for(network, loss, shape, ids, rng):
    k = int(network.parts[-1][0])
    if ids:
        return torch.tensor(rng.integers(0, k, shape))
    if loss == "cross_entropy":
        return torch.tensor(rng.dirichlet(np.ones(k), shape))
    if loss == "binary_cross_entropy":
        return torch.tensor(rng.integers(0, 2, (*shape, k)).astype(float))
    if loss == "poisson":
        return torch.tensor(rng.poisson(2.0, (*shape, k)).astype(float))
    return torch.tensor(rng.normal(0, 1.5, (*shape, k)))


def case(spec, loss, l2, weighted, ids, steps, seed):
    """Everything that is stored of one network."""
    rng = np.random.default_rng(seed)
    network = Network(spec, rng)
    every_step = steps is not None and "last" not in spec
    shape = (N, steps) if every_step else (N,)
    x = torch.tensor(rng.normal(0, 1, (N, network_inputs(spec)) if steps is None else (N, steps, network_inputs(spec))),
                     requires_grad=True)
    y = targets_for(network, loss, shape, ids, rng)
    w = torch.ones(N)
    if weighted:
        w = torch.tensor(rng.uniform(0.2, 3.0, N))
        w = w / w.mean()
    z, a = network(x)
    losses = LOSSES[loss](z, a, y)
    losses = losses.mean(1) if every_step else losses
    data_loss = (w * losses).mean()
    penalty = 0.5 * l2 * sum((p**2).sum() for name, p in network.parameters.items() if name[0] == "W")
    objective = data_loss + penalty
    objective.backward()
    network.read_cell_gradients()
    stored = {"spec": spec, "loss": loss, "l2": l2, "inputs": x, "targets": y, "output": a, "sample_losses": losses,
              "data_loss": data_loss, "objective": objective, "input_gradients": N * x.grad}
    if weighted:
        stored["sample_weight"] = w
    for name, p in network.parameters.items():
        stored[f"parameter.{name}"], stored[f"gradient.{name}"] = p, p.grad
    for layer, node in network.z.items():
        stored[f"delta{layer}"] = N * node.grad
    return stored


def state_case(spec, module, options, seed):
    """A module of PyTorch as it is, its state_dict, outputs and gradients under PyTorch's names."""
    rng = np.random.default_rng(seed)
    cell = module(3, 4, batch_first=True, **options)
    parts = torch.nn.ModuleList([cell, torch.nn.Linear(8 if options.get("bidirectional") else 4, 2)])
    for p in parts.parameters():
        p.data = torch.tensor(rng.normal(0, 0.6, tuple(p.shape)))
    x, y = (torch.tensor(rng.normal(0, 1, (N, T, k)), requires_grad=k == 3) for k in (3, 2))
    output = parts[1](cell(x)[0])
    loss = LOSSES["squared_error"](output, output, y).mean()
    loss.backward()
    stored = {"spec": spec, "loss": "squared_error", "inputs": x, "targets": y, "output": output, "data_loss": loss,
              "input_gradients": N * x.grad}
    for name, p in parts.named_parameters():
        stored[f"state.{name}"], stored[f"gradient.{name}"] = p, p.grad
    return stored


def network_inputs(spec):
    return int(spec.split("|")[0])


def trajectory(name, weights_alone=False):
    """100 steps in full batches and in three minibatches of 5, 5 and 3 rows, from the same start."""
    optimizer_class, options = {**OPTIMIZERS, **WEIGHTS_ALONE}[name]
    spec, rng = "7 | 3 tanh | 2", np.random.default_rng(900)
    start = Network(spec, rng).parameters
    x, y = torch.tensor(rng.normal(0, 1, (13, 7))), torch.tensor(rng.normal(0, 1, (13, 2)))
    stored = {"spec": spec, "loss": "squared_error", "optimizer": optimizer_class.__name__, "inputs": x, "targets": y,
              "decayed": np.array([n for n in start if n[0] == "W" or not weights_alone])}
    for option, value in options.items():
        stored[f"option.{option}"] = np.array(value)
    for key, p in start.items():
        stored[f"start.{key}"] = p.detach().clone()
    for batching, batches in (("full", [slice(0, 5)]), ("minibatches", [slice(0, 5), slice(5, 10), slice(10, 13)])):
        network = Network(spec, np.random.default_rng(900))
        groups = list(network.parameters.values())
        if weights_alone:
            groups = [{"params": [p for n, p in network.parameters.items() if n[0] == "W"]},
                      {"params": [p for n, p in network.parameters.items() if n[0] != "W"], "weight_decay": 0.0}]
        optimizer, losses = optimizer_class(groups, **options), []
        for step in range(100):
            rows = batches[step % len(batches)]
            optimizer.zero_grad()
            z, a = network(x[rows])
            loss = LOSSES["squared_error"](z, a, y[rows]).mean()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        stored[f"{batching}.losses"] = np.array(losses)
        for key, p in network.parameters.items():
            stored[f"{batching}.end.{key}"] = p
    return stored


def table(sparse):
    """30 steps of windows of 3 ids through a table of 12 vectors: SparseAdam or SGD on the table, Adam or SGD on the rest.

    SparseAdam leaves its epsilon outside the correction of the average, where Adam has it inside; 1e-30 makes them one.
    """
    rng = np.random.default_rng(950)
    E, W2, b2, W3, b3 = (torch.tensor(rng.normal(0, spread, shape), requires_grad=True) for spread, shape in
                         ((0.5, (12, 4)), (0.4, (12, 5)), (0.3, 5), (0.5, (5, 3)), (0.3, 3)))
    ids, y = torch.tensor(rng.integers(0, 9, (13, 3))), torch.tensor(rng.integers(0, 3, 13))       # rows 9 … 11 are never met
    stored = {"spec": "window 3 vocabulary=12 embedding 4 | 5 tanh | 3 softmax", "loss": "cross_entropy",
              "optimizer": "SparseAdam" if sparse else "SGD", "option.lr": 0.02, "ids": ids, "targets": y}
    named = {"E1": E, "W2": W2, "b2": b2, "W3": W3, "b3": b3}
    stored.update({f"start.{name}": value.clone() for name, value in named.items()})
    rest = [W2, b2, W3, b3]
    made = [torch.optim.SparseAdam([E], lr=0.02, eps=1e-30), torch.optim.Adam(rest, lr=0.02, eps=1e-30)] if sparse else \
        [torch.optim.SGD([E, *rest], lr=0.02)]
    losses = []
    for step in range(30):
        rows = [range(0, 5), range(5, 10), range(10, 13)][step % 3]
        for optimizer in made:
            optimizer.zero_grad()
        x = F.embedding(ids[list(rows)], E, sparse=True).reshape(len(rows), -1)
        loss = F.cross_entropy(torch.tanh(x @ W2 + b2) @ W3 + b3, y[list(rows)])
        loss.backward()
        for optimizer in made:
            optimizer.step()
        losses.append(loss.item())
    return {**stored, "losses": np.array(losses), **{f"end.{name}": value for name, value in named.items()}}


def write(name, stored):
    arrays = {key: value.detach().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
              for key, value in stored.items()}
    for key, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name}: {key} is not finite")
    np.savez_compressed(HERE / f"{name}.npz", allow_pickle=False, torch=torch.__version__, **arrays)


if __name__ == "__main__":
    for number, (name, (spec, loss, l2, weighted, ids)) in enumerate(DENSE.items()):
        write(f"dense_{name}", case(spec, loss, l2, weighted, ids, None, 100 + number))
    for number, (name, (spec, loss, ids)) in enumerate(RECURRENT.items()):
        write(f"recurrent_{name}", case(spec, loss, 0.0, False, ids, T, 500 + number))
    for number, (name, (spec, module, options)) in enumerate(STATES.items()):
        write(f"state_{name}", state_case(spec, module, options, 700 + number))
    for name in OPTIMIZERS:
        write(f"optimizer_{name}", trajectory(name))
    for name in WEIGHTS_ALONE:
        write(f"optimizer_{name}", trajectory(name, weights_alone=True))
    for name, sparse in {"sparse_adam": True, "sgd": False}.items():
        write(f"rows_{name}", table(sparse))
