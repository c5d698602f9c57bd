"""The programs that are compared. Each is given a row, the data, the same starting parameters, and threads.

A peer has ``epoch()``, one pass of SGD steps over the data in their order, and ``gradients()`` of the first minibatch at the
start, by the parameter names of our network.
"""

import warnings

import numpy as np

from backproof import Network
from backproof.train import OPTIMIZERS

from rows import RATE


def names(row):
    """Our parameters of a dense row, from the first layer."""
    return [(f"W{k}", f"b{k}") for k in range(1, len(row.widths))]


class Ours:
    name = "backproof"

    def __init__(self, row, X, y, start, threads, dtype="float32", optimizer="sgd"):
        model = Network(row.spec, loss="squared_error").build(seed=0, dtype=dtype, threads=threads, engine="native")
        self.model = model.set_parameters(**start) if start else model
        self.row, self.X, self.y = row, X, y
        how = OPTIMIZERS[optimizer]
        program = model._step_program({"target": "dense"}, how, None, None, False)
        state = {name: np.zeros([i.extent for i in v.axes], dtype) for name, v in program.state.items()}
        self.session = model.engine.Session(program, model.parameters, state, model.dtype, threads)
        steps = len(X) // row.batch
        self.scalars = {name: np.full(steps, value) for name, value in {"eta": RATE, **how.at(1)}.items()}
        self.rows = np.arange(len(X))

    def epoch(self):
        done = self.session.steps({"x": self.X, "y": self.y}, self.rows, self.row.batch, self.scalars, 0, 0)
        assert done.done == len(self.X) // self.row.batch

    def gradients(self):
        return self.model.gradients(self.X[:self.row.batch], self.y[:self.row.batch])


class Numpy:
    name = "NumPy by hand"

    def __init__(self, row, X, y, start, threads):
        if row.recurrent:
            raise NotImplementedError
        self.row, self.X, self.y = row, X, y
        self.W, self.b = ([np.array(start[pair[k]]) for pair in names(row)] for k in (0, 1))

    def backward(self, X, y):
        a = [X]
        for k, (W, b) in enumerate(zip(self.W, self.b)):
            z = a[-1] @ W + b
            a.append(np.maximum(z, 0) if k + 1 < len(self.W) else z)
        delta, grads = a[-1] - y, []
        for k in reversed(range(len(self.W))):
            grads.append((a[k].T @ delta / len(X), delta.mean(axis=0)))
            if k:
                delta = (delta @ self.W[k].T) * (a[k] > 0)
        return grads[::-1]

    def epoch(self):
        for s in range(0, len(self.X), self.row.batch):
            grads = self.backward(self.X[s:s + self.row.batch], self.y[s:s + self.row.batch])
            for k, (gW, gb) in enumerate(grads):
                self.W[k] -= np.float32(RATE) * gW
                self.b[k] -= np.float32(RATE) * gb

    def gradients(self):
        grads = self.backward(self.X[:self.row.batch], self.y[:self.row.batch])
        return {name: g for pair, both in zip(names(self.row), grads) for name, g in zip(pair, both)}


class ScikitLearn:
    name = "scikit-learn"

    def __init__(self, row, X, y, start, threads):
        from sklearn.neural_network import MLPRegressor
        if row.recurrent:
            raise NotImplementedError
        self.row, self.X, self.y = row, X, y if y.shape[1] > 1 else y[:, 0]
        self.net = MLPRegressor(hidden_layer_sizes=row.widths[1:-1], solver="sgd", alpha=0.0, batch_size=row.batch, learning_rate_init=RATE, momentum=0.0,
                                nesterovs_momentum=False, max_iter=1, shuffle=False, warm_start=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.net.fit(self.X[:row.batch], self.y[:row.batch])
            for k, (W, b) in enumerate(names(row)):
                self.net.coefs_[k][:], self.net.intercepts_[k][:] = start[W], start[b]

    def epoch(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.net.fit(self.X, self.y)

    def gradients(self):
        return None                                       # its gradient is not that of its loss for several outputs (issue 8349)


class Torch:
    name, compiled = "torch eager", False

    def __init__(self, row, X, y, start, threads):
        import torch
        torch.set_num_threads(threads)
        self.torch, self.row = torch, row
        self.X, self.y = torch.from_numpy(X), torch.from_numpy(y)
        first, *hidden, last = row.widths
        if row.recurrent:
            kind = torch.nn.LSTM if row.recurrent == "lstm" else torch.nn.RNN
            self.cell, self.head = kind(first, hidden[0], batch_first=True), torch.nn.Linear(hidden[0], last)
            with torch.no_grad():
                for ours, theirs in (("W", self.cell.weight_ih_l0), ("U", self.cell.weight_hh_l0), ("b", self.cell.bias_ih_l0)):
                    parts = [f"{ours}_{g}1" for g in "ifgo"] if row.recurrent == "lstm" else [f"{ours}1"]
                    theirs.copy_(torch.from_numpy(np.concatenate([start[p].T for p in parts])))
                self.cell.bias_hh_l0.zero_()
                self.head.weight.copy_(torch.from_numpy(start["W2"].T))
                self.head.bias.copy_(torch.from_numpy(start["b2"]))
            parameters = [*self.cell.parameters(), *self.head.parameters()]
            self.forward = lambda x: self.head(self.cell(x)[0][:, -1])
        else:
            layers = []
            for k, (W, b) in enumerate(names(row)):
                linear = torch.nn.Linear(*start[W].shape)
                with torch.no_grad():
                    linear.weight.copy_(torch.from_numpy(start[W].T.copy()))
                    linear.bias.copy_(torch.from_numpy(start[b]))
                layers += [linear, torch.nn.ReLU()]
            self.forward = self.net = torch.nn.Sequential(*layers[:-1])
            parameters = list(self.net.parameters())
        if self.compiled:
            self.forward = torch.compile(self.forward)
        self.optimizer = torch.optim.SGD(parameters, lr=RATE)

    def loss(self, x, y):
        return 0.5 * ((self.forward(x) - y) ** 2).sum() / len(x)

    def epoch(self):
        for s in range(0, len(self.X), self.row.batch):
            self.optimizer.zero_grad(set_to_none=True)
            self.loss(self.X[s:s + self.row.batch], self.y[s:s + self.row.batch]).backward()
            self.optimizer.step()

    def gradients(self):
        self.optimizer.zero_grad()
        self.loss(self.X[:self.row.batch], self.y[:self.row.batch]).backward()
        if self.row.recurrent:
            return {"W2": self.head.weight.grad.numpy().T, "b2": self.head.bias.grad.numpy()}
        linear = [m for m in self.net if hasattr(m, "weight")]
        found = {}
        for (W, b), m in zip(names(self.row), linear):
            found[W], found[b] = m.weight.grad.numpy().T.copy(), m.bias.grad.numpy().copy()
        return found


class TorchCompiled(Torch):
    name, compiled = "torch.compile", True


class Jax:
    name = "jax jit + scan"

    def __init__(self, row, X, y, start, threads):
        import jax
        import jax.numpy as jnp
        self.row, self.jax = row, jax
        self.theta = {name: jnp.asarray(value) for name, value in start.items()}
        k = len(X) // row.batch
        self.X, self.y = jnp.asarray(X.reshape(k, row.batch, *X.shape[1:])), jnp.asarray(y.reshape(k, row.batch, -1))

        def dense(theta, x):
            for j, (W, b) in enumerate(names(row)):
                x = x @ theta[W] + theta[b]
                x = jax.nn.relu(x) if j + 2 < len(row.widths) else x
            return x

        def rnn(theta, x):
            projected = jnp.swapaxes(x @ theta["W1"] + theta["b1"], 0, 1)
            h, _ = jax.lax.scan(lambda h, p: (jnp.tanh(p + h @ theta["U1"]), None), jnp.zeros(projected.shape[1:], x.dtype), projected)
            return h @ theta["W2"] + theta["b2"]

        def lstm(theta, x):
            W, U, b = (jnp.concatenate([theta[f"{s}_{g}1"] for g in "ifgo"], -1) for s in "WUb")
            projected = jnp.swapaxes(x @ W + b, 0, 1)
            zero = jnp.zeros((x.shape[0], U.shape[0]), x.dtype)

            def step(carry, p):
                h, c = carry
                i, f, g, o = jnp.split(p + h @ U, 4, -1)
                c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
                return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None
            (h, _), _ = jax.lax.scan(step, (zero, zero), projected)
            return h @ theta["W2"] + theta["b2"]
        forward = {"rnn": rnn, "lstm": lstm}.get(row.recurrent, dense)
        loss = lambda theta, x, y: 0.5 * ((forward(theta, x) - y) ** 2).sum() / x.shape[0]           # noqa: E731
        self.grad = jax.grad(loss)

        def step(theta, batch):
            g = self.grad(theta, *batch)
            return jax.tree.map(lambda t, d: t - RATE * d, theta, g), None
        self.run = jax.jit(lambda theta, X, y: jax.lax.scan(step, theta, (X, y))[0])

    def epoch(self):
        self.theta = self.jax.block_until_ready(self.run(self.theta, self.X, self.y))

    def gradients(self):
        return {name: np.asarray(g) for name, g in self.grad(self.theta, self.X[0], self.y[0]).items()}


PEERS = [Ours, Numpy, ScikitLearn, Torch, TorchCompiled, Jax]
