"""The programs that are compared. Each is given a row, the data, the same starting parameters, and threads.

A peer has ``epoch()``, one pass of SGD steps over the data in their order, and ``gradients()`` of the first minibatch at the
start, by the parameter names of our network; ``predict(X)`` where its prediction is timed, too.
"""

import warnings

import numpy as np

from backproof import Network
from backproof.train import OPTIMIZERS

from rows import RATE

LETTERS = {"rnn": [""], "gru": ["_r", "_u", "_n"], "lstm": ["_i", "_f", "_g", "_o"]}      # of the gates, in the peers' order


def names(row):
    """Our parameters of a dense row, from the first layer."""
    return [(f"W{k}", f"b{k}") for k in range(1, len(row.widths))]


def gates(row, letter):
    """Our parameters of a recurrent row's gates: W_i1, W_f1, …"""
    return [f"{letter}{gate}1" for gate in LETTERS[row.recurrent]]


class Ours:
    name = "backproof"

    def __init__(self, row, X, y, start, threads, optimizer="sgd"):
        model = Network(row.spec, loss="squared_error").build(seed=0, dtype=row.dtype, threads=threads, engine="native")
        self.model = model.set_parameters(**start) if start else model
        self.row, self.X, self.y = row, X, y
        how = OPTIMIZERS[optimizer]
        program = model._step_program({"target": "dense"}, how, None, None, False)
        state = {name: np.zeros([i.extent for i in v.axes], row.dtype) for name, v in program.state.items()}
        self.session = model.engine.Session(program, model.parameters, state, model.dtype, threads)
        steps = -(-len(X) // row.batch)
        self.scalars = {name: np.full(steps, value) for name, value in {"eta": RATE, **how.at(1)}.items()}
        self.rows = np.arange(len(X))

    def epoch(self):
        done = self.session.steps({"x": self.X, "y": self.y}, self.rows, self.row.batch, self.scalars, 0, 0)
        assert done.samples == len(self.X) and done.failure is None

    def gradients(self):
        return self.model.gradients(self.X[:self.row.batch], self.y[:self.row.batch])

    def predict(self, X):
        return self.model.predict(X)


class Numpy:
    name = "NumPy by hand"

    def __init__(self, row, X, y, start, threads):
        if row.recurrent:
            raise NotImplementedError
        self.row, self.X, self.y, self.rate = row, X, y, X.dtype.type(RATE)
        self.W, self.b = ([np.array(start[pair[k]]) for pair in names(row)] for k in (0, 1))

    def forward(self, X):
        a = [X]
        for k, (W, b) in enumerate(zip(self.W, self.b)):
            z = a[-1] @ W + b
            a.append(np.maximum(z, 0) if k + 1 < len(self.W) else z)
        return a

    def predict(self, X):
        return self.forward(X)[-1]

    def backward(self, X, y):
        a = self.forward(X)
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
                self.W[k] -= self.rate * gW
                self.b[k] -= self.rate * gb

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
        self.net = MLPRegressor(hidden_layer_sizes=row.widths[1:-1], solver="sgd", alpha=0.0, batch_size=row.batch, momentum=0.0,
                                learning_rate_init=RATE, nesterovs_momentum=False, max_iter=1, shuffle=False, warm_start=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.net.fit(self.X[:row.batch], self.y[:row.batch])
            for k, (W, b) in enumerate(names(row)):
                self.net.coefs_[k][:], self.net.intercepts_[k][:] = start[W], start[b]

    def epoch(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.net.fit(self.X, self.y)

    def predict(self, X):
        return self.net.predict(X)

    def gradients(self):
        return None                                       # its gradient is not that of its loss for several outputs (issue 8349)


class Torch:
    name, compiled = "torch eager", False

    def __init__(self, row, X, y, start, threads):
        import torch
        torch.set_num_threads(threads)
        self.torch, self.row = torch, row
        self.X, self.y = torch.from_numpy(X), torch.from_numpy(y)
        modules = self.recurrent(start) if row.recurrent else self.dense(start)
        parameters = [p for module in modules for p in module.parameters()]
        if self.compiled:
            torch._dynamo.reset()                         # a row's shapes are not to count against another's
            self.loss = torch.compile(self.loss)
        self.optimizer = torch.optim.SGD(parameters, lr=RATE)

    def dense(self, start):
        torch, layers = self.torch, []
        for W, b in names(self.row):
            linear = torch.nn.Linear(*start[W].shape, dtype=getattr(torch, self.row.dtype))
            self.copy({linear.weight: start[W].T, linear.bias: start[b]})
            layers += [linear, torch.nn.ReLU()]
        self.forward = self.net = torch.nn.Sequential(*layers[:-1])
        return [self.net]

    def recurrent(self, start):
        torch, row = self.torch, self.row
        first, hidden, last = row.widths
        kind, exact = {"rnn": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[row.recurrent], getattr(torch, row.dtype)
        self.cell, self.head = kind(first, hidden, batch_first=True, dtype=exact), torch.nn.Linear(hidden, last, dtype=exact)
        second = np.zeros((len(gates(row, "b")), hidden), row.dtype)            # torch's second bias: ours only in a GRU's n
        if row.recurrent == "gru":
            second[2] = start["c_n1"]
        joined = {letter: np.concatenate([start[name].T for name in gates(row, letter)]) for letter in "WUb"}
        self.copy({self.cell.weight_ih_l0: joined["W"], self.cell.weight_hh_l0: joined["U"], self.cell.bias_ih_l0: joined["b"],
                   self.cell.bias_hh_l0: second.ravel(), self.head.weight: start["W2"].T, self.head.bias: start["b2"]})
        self.forward = lambda x: self.head(self.cell(x)[0][:, -1])
        return [self.cell, self.head]

    def copy(self, values):
        with self.torch.no_grad():
            for tensor, array in values.items():
                tensor.copy_(self.torch.from_numpy(np.array(array)))

    def loss(self, x, y):
        return 0.5 * ((self.forward(x) - y) ** 2).sum() / len(x)

    def epoch(self):
        for s in range(0, len(self.X), self.row.batch):
            self.optimizer.zero_grad(set_to_none=True)
            self.loss(self.X[s:s + self.row.batch], self.y[s:s + self.row.batch]).backward()
            self.optimizer.step()

    def predict(self, X):
        with self.torch.no_grad():
            return self.forward(self.torch.from_numpy(X)).numpy()

    def gradients(self):
        self.optimizer.zero_grad()
        self.loss(self.X[:self.row.batch], self.y[:self.row.batch]).backward()
        if not self.row.recurrent:
            linear = [m for m in self.net if hasattr(m, "weight")]
            return {name: g.grad.numpy().T.copy() for pair, m in zip(names(self.row), linear)
                    for name, g in zip(pair, (m.weight, m.bias))}
        found = {"W2": self.head.weight.grad.numpy().T, "b2": self.head.bias.grad.numpy()}
        count = len(gates(self.row, "W"))
        for letter, tensor in zip("WUb", (self.cell.weight_ih_l0, self.cell.weight_hh_l0, self.cell.bias_ih_l0)):
            parts = np.split(tensor.grad.numpy(), count)
            found.update({name: part.T for name, part in zip(gates(self.row, letter), parts)})
        if self.row.recurrent == "gru":
            found["c_n1"] = np.split(self.cell.bias_hh_l0.grad.numpy(), 3)[2]
        return found


class TorchCompiled(Torch):
    name, compiled = "torch.compile", True


class Jax:
    name = "jax jit + scan"

    def __init__(self, row, X, y, start, threads):
        import jax
        jax.config.update("jax_enable_x64", row.dtype == "float64")
        import jax.numpy as jnp
        self.row, self.jax = row, jax
        self.theta = {name: jnp.asarray(value) for name, value in start.items()}
        k = len(X) // row.batch
        self.X, self.y = jnp.asarray(X.reshape(k, row.batch, *X.shape[1:])), jnp.asarray(y.reshape(k, row.batch, -1))
        assert str(self.X.dtype) == row.dtype

        def dense(theta, x):
            for j, (W, b) in enumerate(names(row)):
                x = x @ theta[W] + theta[b]
                x = jax.nn.relu(x) if j + 2 < len(row.widths) else x
            return x

        def rnn(theta, h, p, hU):
            return jnp.tanh(p + hU), None

        def gru(theta, h, p, hU):
            (pr, pu, pn), (hr, hu, hn) = jnp.split(p, 3, -1), jnp.split(hU, 3, -1)
            r, u = jax.nn.sigmoid(pr + hr), jax.nn.sigmoid(pu + hu)
            return (1 - u) * jnp.tanh(pn + r * (hn + theta["c_n1"])) + u * h, None

        def lstm(theta, c, p, hU):
            i, f, g, o = jnp.split(p + hU, 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return jax.nn.sigmoid(o) * jnp.tanh(c), c

        def recurrent(theta, x):
            W, U, b = (jnp.concatenate([theta[name] for name in gates(row, letter)], -1) for letter in "WUb")
            cell, two = {"rnn": rnn, "gru": gru, "lstm": lstm}[row.recurrent], row.recurrent == "lstm"
            projected = jnp.swapaxes(x @ W + b, 0, 1)
            zero = jnp.zeros((x.shape[0], U.shape[0]), x.dtype)

            def step(carry, p):
                h, c = carry
                h, new = cell(theta, c if two else h, p, h @ U)
                return (h, new if two else c), None
            (h, _), _ = jax.lax.scan(step, (zero, zero), projected)
            return h @ theta["W2"] + theta["b2"]
        forward = recurrent if row.recurrent else dense
        loss = lambda theta, x, y: 0.5 * ((forward(theta, x) - y) ** 2).sum() / x.shape[0]           # noqa: E731
        self.grad, self.forward = jax.grad(loss), jax.jit(forward)

        def step(theta, batch):
            g = self.grad(theta, *batch)
            return jax.tree.map(lambda t, d: t - RATE * d, theta, g), None
        self.run = jax.jit(lambda theta, X, y: jax.lax.scan(step, theta, (X, y))[0])

    def epoch(self):
        self.theta = self.jax.block_until_ready(self.run(self.theta, self.X, self.y))

    def predict(self, X):
        return np.asarray(self.forward(self.theta, X))

    def gradients(self):
        return {name: np.asarray(g) for name, g in self.grad(self.theta, self.X[0], self.y[0]).items()}


PEERS = [Ours, Numpy, ScikitLearn, Torch, TorchCompiled, Jax]
