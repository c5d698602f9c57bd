"""Hand-written NumPy programs with planted mistakes. They share no code with the library: nothing of it is imported.

A program has the loss right and its gradient (or its update step) wrong in one known way. `MISTAKES` lists them by the
number of the bug class in docs/checker.md.
"""

from dataclasses import dataclass, field

import numpy as np


def logistic(z):
    return 1 / (1 + np.exp(-z))


F = {"sigmoid": logistic, "tanh": np.tanh, "relu": lambda z: z * (z.real > 0), "softplus": lambda z: np.log(1 + np.exp(z)),
     "linear": lambda z: z}
DF = {"sigmoid": lambda z: logistic(z) * (1 - logistic(z)), "tanh": lambda z: 1 - np.tanh(z) ** 2,
      "relu": lambda z: (z.real > 0) * 1.0, "softplus": logistic, "linear": lambda z: np.ones_like(z)}


def softmax(z):
    e = np.exp(z - z.real.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


@dataclass
class Perceptron:
    """A multilayer perceptron with its loss and a gradient that has the mistake asked for."""

    sizes: list
    acts: list                                  # hidden activations, then the output's
    kind: str = "squared"                       # squared, cross, bernoulli
    lam: float = 0.0
    mistake: str = ""
    layer: int | None = None                    # where; None: everywhere
    weights: np.ndarray | None = None           # of samples
    masks: dict = field(default_factory=dict)   # dropout masks (with 1/(1 − p)) behind hidden layers
    summed: bool = False                        # the loss is a sum over samples, not a mean
    mean_outputs: bool = False                  # the loss is a mean over outputs too
    rate: float = 0.3
    cache: dict = field(default_factory=dict)
    full: int = 0                               # the batch size that the program believes in
    lam_biases: float = 0.0                     # a penalty of the biases in the loss, which the mistake may forget

    @property
    def depth(self):
        return len(self.acts)

    def spec(self):
        parts = [str(self.sizes[0])]
        for k, (n, f) in enumerate(zip(self.sizes[1:], self.acts), 1):
            parts.append(f"{n} {f}" if f != "linear" else str(n))
            if k in self.masks:
                parts.append("dropout 0.5")
        names = {"margin": "multiclass_margin", "squared": "squared_error", "cross": "cross_entropy", "bernoulli": "binary_cross_entropy"}
        return " | ".join(parts) + ", " + names[self.kind]

    def start(self, rng, spread=0.8):
        p = {}
        for k in range(1, self.depth + 1):
            p[f"W{k}"] = spread * rng.normal(size=(self.sizes[k - 1], self.sizes[k]))
            p[f"b{k}"] = 0.5 * rng.normal(size=self.sizes[k]) + 0.1
        return p

    def here(self, layer, *mistakes):
        return self.mistake in mistakes and self.layer in (None, layer)

    def forward(self, p, X):
        a, z = [X], [None]
        for k in range(1, self.depth + 1):
            z.append(a[-1] @ p[f"W{k}"] + p[f"b{k}"])
            f = self.acts[k - 1]
            out = softmax(z[-1]) if f == "softmax" else F[f](z[-1])
            a.append(out * self.masks[k] if k in self.masks else out)
        return z, a

    def loss(self, p, X, y):
        z, a = self.forward(p, X)
        out = a[-1]
        if self.kind == "squared":
            e = 0.5 * ((out - y) ** 2).sum(axis=1)
        elif self.kind == "cross":
            e = -(y * np.log(out)).sum(axis=1)
        elif self.kind == "margin":
            gap = 1 + out - (y * out).sum(axis=1, keepdims=True)
            e = (gap * (gap.real > 0) * (1 - y)).sum(axis=1)
        else:
            e = -(y * np.log(out) + (1 - y) * np.log(1 - out)).sum(axis=1)
        if self.weights is not None:
            e = e * self.weights
        data = e.sum() if self.summed else e.sum() / len(X)
        if self.mean_outputs:
            data = data / self.sizes[-1]
        layers = range(1, self.depth + 1)
        return data + self.lam / 2 * sum((p[f"W{k}"] ** 2).sum() for k in layers) \
            + self.lam_biases / 2 * sum((p[f"b{k}"] ** 2).sum() for k in layers)

    def slope(self, k, z, a):
        """f'(z) of hidden layer k, perhaps wrong."""
        f = self.acts[k - 1]
        if self.here(k, "f(z)f(1-z)") and f == "sigmoid":
            return F[f](z[k]) * F[f](1 - z[k])
        if self.here(k, "f'(a)"):
            return DF[f](F[f](z[k]))
        if self.here(k, "y(1-y) at z"):
            return {"sigmoid": lambda v: v * (1 - v), "tanh": lambda v: 1 - v**2}.get(f, DF[f])(z[k])
        if self.here(k, "no slope"):
            return 1.0
        if self.here(k, "-f"):
            return -F[f](z[k])
        if self.here(k, "value for slope"):
            return F[f](z[k])
        if self.here(k, "-a^2"):
            return -F[f](z[k]) ** 2
        if self.here(k, "slope of next layer"):
            return DF[f](z[k + 1])
        return DF[f](z[k])

    def output_error(self, z, a, y):
        out, f = a[-1], self.acts[-1]
        difference = out - y
        if self.kind == "squared":
            if self.mistake == "shortcut":
                delta = difference
            elif f == "softmax":
                delta = out * (difference - (difference * out).sum(axis=1, keepdims=True))
                if self.mistake == "softmax diagonal":
                    delta = difference * out * (1 - out)
                elif self.mistake == "softmax uncoupled":
                    delta = difference * out
            else:
                delta = difference * self.slope(self.depth, z, a)
        elif self.kind == "margin":
            hinge = (1 + out - (y * out).sum(axis=1, keepdims=True) > 0) * (1 - y)
            delta = hinge - y * hinge.sum(axis=1, keepdims=True)
        else:
            delta = difference
            if self.mistake == "slope kept":
                delta = difference * out * (1 - out)
        if self.mistake == "output sign":
            delta = -delta
        if self.weights is not None and self.mistake != "no sample weights":
            w = self.weights * (self.weights if self.mistake == "sample weights twice" else 1)
            w = w / w.mean() if self.mistake == "weights normalised" else w
            delta = delta * w[:, None]
        return delta

    def gradient(self, p, X, y):
        z, a = self.forward(p, X)
        fresh = a
        if self.mistake == "stale" and self.cache:
            a = [a[0] if k == 0 else self.cache["a"][k] if len(self.cache["a"][k]) == len(X) else a[k] for k in range(len(a))]
        m, g = len(X), {}
        delta = self.output_error(z, a, y)
        for k in range(self.depth, 0, -1):
            scale = 1.0 if self.summed else 1.0 / m
            if self.mean_outputs:
                scale /= self.sizes[-1]
            below = a[k - 1]
            if self.here(k, "own activation"):
                below = a[k]
            if self.here(k, "activation two below"):
                below = a[max(0, k - 2)]
            if self.here(k, "z below") and k > 1:
                below = z[k - 1]
            W, b = p[f"W{k}"], p[f"b{k}"]
            gw, gb = scale * below.T @ delta, scale * delta.sum(axis=0)
            gw, gb = self.scaled(k, gw, gb, m)
            gb = self.bias(k, gb, delta, scale, gw)
            if self.here(k, "gradient transposed"):
                gw = gw.T
            penalty = self.lam * W
            if self.here(k, "penalty halved"):
                penalty = penalty / 2
            elif self.here(k, "penalty doubled"):
                penalty = penalty * 2
            elif self.here(k, "penalty over m"):
                penalty = penalty / m
            elif self.here(k, "penalty missing"):
                penalty = 0 * penalty
            elif self.here(k, "penalty sign"):
                penalty = -penalty
            g[f"W{k}"] = gw + penalty
            g[f"b{k}"] = gb + (self.lam * b if self.here(k, "decay on biases") else 0)
            g[f"b{k}"] += 0 if self.here(k, "bias penalty forgotten") else self.lam_biases * b
            if k > 1:
                back = W
                if self.here(k, "W not transposed"):
                    back = W.T
                if self.here(k, "W of the layer below"):
                    back = p[f"W{k - 1}"]
                if self.mistake == "updated early":
                    back = W - self.rate * g[f"W{k}"]
                error = delta @ back.T
                if k - 1 in self.masks:
                    mask = self.masks[k - 1]
                    error = error * {"no mask": 1.0, "mask not rescaled": mask > 0, "rescaled, no mask": mask.max()}.get(
                        self.mistake, mask)
                delta = error * self.slope(k - 1, z, a)
        self.cache = {"a": fresh, "sum": {n: g[n] + self.cache.get("sum", g)[n] * ("sum" in self.cache) for n in p}}
        return {name: (self.cache["sum"] if self.mistake == "piles up" else g)[name] for name in p}

    def scaled(self, k, gw, gb, m):
        """1/m and other factors gone wrong."""
        n = self.sizes[-1]
        if self.here(k, "dW not over m"):
            gw = gw * m
        if self.here(k, "db not over m"):
            gb = gb * m
        if self.here(k, "over m twice"):
            gw, gb = gw / m, gb / m
        if self.here(k, "db over m twice"):
            gb = gb / m
        for name, c in (("times m", m), ("times outputs", n), ("over outputs", 1 / n), ("twice", 2), ("half", 0.5), ("minus", -1)):
            if self.here(k, name):
                gw, gb = c * gw, c * gb
        if self.mistake == "full batch size":
            gw, gb = gw * m / self.full, gb * m / self.full
        if self.mistake == "2 dW2 and 4 db1":
            gw, gb = (2 * gw if k == 2 else gw), (4 * gb if k == 1 else gb)
        return gw, gb

    def bias(self, k, gb, delta, scale, gw):
        if self.here(k, "bias: wrong axis"):
            return scale * delta.sum(axis=1)
        if self.here(k, "bias: single sum"):
            return np.full(gb.shape, scale * delta.sum())
        if self.here(k, "bias: not summed"):
            return scale * delta
        if self.here(k, "bias: one sample"):
            return delta[-1]
        if self.here(k, "bias: from weights"):
            return gw.sum(axis=0)
        if self.here(k, "bias: column"):
            return gb[:, None] + np.zeros(gb.shape)
        return gb

    def step(self, p, X, y):
        g = self.gradient(p, X, y)
        return {name: p[name] - self.rate * g[name] for name in p}


@dataclass
class Recurrent:
    """h_t = tanh(x_t W1 + h_{t−1} U1 + b1), an output h_t W2 + b2 at every step or at the last, ½ squared error."""

    inputs: int
    units: int
    outputs: int
    mistake: str = ""
    last: bool = False
    mask: np.ndarray | None = None              # (n, t): valid steps; the state is held on the others
    window: int | None = None                   # segments of so many steps, at whose borders the error is cut

    def spec(self):
        return f"{self.inputs} | rnn {self.units} |{' last |' if self.last else ''} {self.outputs}, squared_error"

    def start(self, rng):
        draw = lambda *s: 0.6 * rng.normal(size=s)                                     # noqa: E731
        return {"W1": draw(self.inputs, self.units), "U1": draw(self.units, self.units), "b1": draw(self.units),
                "W2": draw(self.units, self.outputs), "b2": draw(self.outputs)}

    def forward(self, p, X):
        n, T, _ = X.shape
        h = [np.zeros((n, self.units), p["W1"].dtype)]
        for t in range(T):
            new = np.tanh(X[:, t] @ p["W1"] + h[-1] @ p["U1"] + p["b1"])
            if self.mask is not None:
                v = self.mask[:, t:t + 1]
                new = v * new + (1 - v) * h[-1]
            h.append(new)
        return h

    def valid(self, X):
        n, T, _ = X.shape
        if self.last:
            return np.eye(T)[[T - 1] * n]
        v = np.ones((n, T)) if self.mask is None else self.mask
        return v / v.sum(axis=1, keepdims=True)

    def loss(self, p, X, y):
        h, v = self.forward(p, X), self.valid(X)
        total = 0
        for t in range(X.shape[1]):
            out = h[t + 1] @ p["W2"] + p["b2"]
            target = y if self.last else y[:, t]
            total = total + (v[:, t] * 0.5 * ((out - target) ** 2).sum(axis=1)).sum()
        return total / len(X)

    def gradient(self, p, X, y):
        n, T, _ = X.shape
        h, v = self.forward(p, X), self.valid(X)
        if self.mistake == "padding counted in the loss":
            v = np.ones((n, T)) / v.astype(bool).sum(axis=1, keepdims=True)
        g = {name: np.zeros_like(a) for name, a in p.items()}
        later = np.zeros((n, self.units))
        for t in reversed(range(T)):
            target = y if self.last else y[:, t]
            error = v[:, t:t + 1] * (h[t + 1] @ p["W2"] + p["b2"] - target)
            g["W2"] = h[t + 1].T @ error / n + (0 if self.mistake == "dW2 overwritten" else g["W2"])
            g["b2"] = error.sum(axis=0) / n + g["b2"]
            dh = error @ p["W2"].T + later
            held = 0
            if self.mask is not None:
                m = self.mask[:, t:t + 1]
                held, dh = (1 - m) * dh, m * dh
                if self.mistake == "padding counted in the state":
                    held, dh = 0, dh + (1 - m) * later
            new = np.tanh(X[:, t] @ p["W1"] + h[t] @ p["U1"] + p["b1"])
            dz = dh * (1 - new**2)
            previous = h[t + 1] if self.mistake == "h of the same step" else h[t]
            keep = 0 if self.mistake == "dW overwritten" else 1
            g["W1"] = keep * g["W1"] + X[:, t].T @ dz / n
            g["U1"] = (0 if self.mistake == "dU overwritten" else keep) * g["U1"] + previous.T @ dz / n
            g["b1"] = keep * g["b1"] + dz.sum(axis=0) / n
            back = p["U1"] if self.mistake == "U not transposed" else p["U1"].T
            later = dz @ back
            if self.mistake == "later error forgotten":
                later, held = 0 * later, 0 * held
            if self.window and t % self.window == 0 and self.mistake != "leak":
                later = 0 * later                           # the links of the held state are no links: padding cuts nothing
                held = 0 * held if self.mistake == "held state cut" else held
            later = later + held
        return g


# class, mistake, what the twin must call it, what the arrays alone must call it (None: not of that tier), how to draw
MISTAKES = [
    (1, "f(z)f(1-z)", "f(z)f(1-z)", None, {"hidden": ["sigmoid"]}),
    (2, "f'(a)", "f'(a) for f'(z)", None, {"hidden": ["tanh"]}),
    (3, "f'(a)", "f'(a) for f'(z)", None, {"hidden": ["sigmoid", "softplus"]}),
    (3, "y(1-y) at z", "closed form at z", None, {"hidden": ["sigmoid", "tanh"]}),
    (4, "own activation", "own activation", None, {"square": True}),
    (5, "dW not over m", "1/m missing", "factor", {}),
    (6, "db not over m", "1/m missing", "factor", {}),
    (7, "over m twice", "1/m twice", "factor", {}),
    (7, "times outputs", "factor of the outputs", "factor", {"mean_outputs": True, "everywhere": True}),
    (8, "W not transposed", "weights not transposed", None, {"square": True, "upper": True}),
    (8, "gradient transposed", "gradient transposed", "transposed", {"square": True, "lam": 0}),
    (9, "W of the layer below", "weights of another layer", None, {"square": True, "upper": True, "depth": 3}),
    (10, "slope of next layer", "slope of another layer", None, {"square": True, "depth": 4, "hidden_layer": True,
                                                              "hidden": ["sigmoid", "tanh", "softplus"]}),
    (10, "activation two below", "activation of another layer", None, {"square": True, "depth": 3, "upper": True}),
    (11, "updated early", "weights updated early", None, {"update": True, "everywhere": True}),
    (13, "softmax diagonal", "softmax diagonal", None, {"output": "softmax"}),
    (13, "softmax uncoupled", "softmax uncoupled", None, {"output": "softmax"}),
    (14, "shortcut", "shortcut a - y", None, {"output": "sigmoid"}),
    (14, "slope kept", "slope kept", None, {"kind": "bernoulli", "output": "sigmoid"}),
    (15, "bias: wrong axis", "bias summed over the wrong axis", "wrong axis", {"as_batch": True, "lam": 0}),
    (15, "bias: single sum", "bias summed over the units too", "summed over everything", {}),
    (15, "bias: not summed", None, "not summed", {}),
    (15, "bias: one sample", "one sample only", None, {}),
    (16, "bias: column", None, "broadcast", {}),
    (17, "over m twice", "1/m twice", "factor", {"everywhere": True}),
    (17, "times m", "1/m missing", "factor", {"everywhere": True}),
    (18, "penalty halved", "penalty halved", "penalty missing", {"lam": 0.4}),
    (18, "penalty doubled", "penalty doubled", "penalty surplus", {"lam": 0.4}),
    (18, "penalty over m", "penalty over m", "penalty missing", {"lam": 0.4}),
    (18, "penalty missing", "penalty forgotten", "penalty missing", {"lam": 0.4}),
    (19, "decay on biases", "decay on biases", "penalty surplus", {"lam": 0.4}),
    (22, "stale", "stale", "stale", {"everywhere": True}),
    (23, "full batch size", "batch factor", "batch factor", {"everywhere": True, "batches": True}),
    (24, "weights normalised", "weights normalised", None, {"weighted": True, "everywhere": True}),
    (24, "no sample weights", "sample weight forgotten", None, {"weighted": True, "everywhere": True}),
    (25, "no mask", "dropout mask forgotten", None, {"dropout": True}),
    (25, "mask not rescaled", "dropout not rescaled", None, {"dropout": True}),
    (26, "dW overwritten", "only the first step", None, {"recurrent": True}),
    (27, "later error forgotten", "later step's error forgotten", None, {"recurrent": True}),
    (28, "U not transposed", "weights not transposed", None, {"recurrent": True}),
    (29, "leak", "truncation leaks", None, {"recurrent": True, "window": 2}),
    (31, "padding counted in the loss", "padding counted", None, {"recurrent": True, "masked": True}),
    (0, "minus", "wrong sign", "factor", {}),
    (0, "twice", "factor 2", "factor", {}),
    (0, "half", "factor 1/2", "factor", {}),
]


def draw(rng, mistake, *, square=False, hidden=None, output=None, kind=None, lam=None, depth=None, upper=False, everywhere=False,
         hidden_layer=False, as_batch=False, weighted=False, dropout=False, mean_outputs=False, update=False, batches=False,
         recurrent=False, masked=False, window=None):
    """A random program with the mistake, its data and its point: (program, X, y, parameters)."""
    if recurrent:
        program = Recurrent(int(rng.integers(2, 5)), int(rng.integers(3, 6)), int(rng.integers(1, 4)), mistake,
                            last=bool(rng.integers(2)) and not masked)
        n, T, program.window = 5, 4, window
        X = rng.normal(size=(n, T, program.inputs))
        y = rng.normal(size=(n, program.outputs) if program.last else (n, T, program.outputs))
        if masked:
            lengths = np.array([1, 4, 2, 3, 4])
            program.mask = (np.arange(T) < lengths[:, None]) * 1.0
        return program, X, y, program.start(rng)
    m = 5
    depth = depth or int(rng.integers(2, 5))
    square = square or rng.random() < 0.3 and not as_batch
    width = int(rng.integers(3, 5)) if not as_batch else m
    sizes = [width] * (depth + 1) if square or as_batch else [int(k) for k in rng.permutation([2, 3, 4, 6, 7, 8])[:depth + 1]]
    acts = [str(rng.choice(hidden or ["sigmoid", "tanh", "softplus", "relu"])) for _ in range(depth - 1)]
    if kind is None:
        kind = "squared" if output or rng.random() < 0.6 else "cross"
    output = output or {"squared": "linear", "cross": "softmax"}[kind]
    if kind == "cross" and sizes[-1] == 1:
        sizes[-1] = 3
    program = Perceptron(sizes, [*acts, output], kind, rng.choice([0.0, 0.2]) if lam is None else lam, mistake)
    X = rng.normal(size=(m, sizes[0]))
    y = rng.normal(size=(m, sizes[-1]))
    if kind == "cross":
        y = np.eye(sizes[-1])[rng.integers(0, sizes[-1], m)]
    elif kind == "bernoulli" or output == "sigmoid":
        y = rng.integers(0, 2, (m, sizes[-1])) * 1.0
    elif output == "softmax":
        y = np.eye(sizes[-1])[rng.integers(0, sizes[-1], m)]
    slopes = ("f(z)f(1-z)", "f'(a)", "y(1-y) at z", "no slope", "slope of next layer")
    last = depth - 2 if hidden_layer else depth - 1 if mistake in slopes else depth
    lowest = 2 if upper else 1
    if not everywhere and rng.random() < 0.6 or hidden_layer:
        program.layer = int(rng.integers(lowest, max(lowest, last) + 1))
    if weighted:
        program.weights = rng.uniform(0.2, 3, size=m)
    if dropout:
        program.masks = {1: (rng.random((m, sizes[1])) > 0.5) * 2.0}
        if not program.masks[1].any() or program.masks[1].all():
            program.masks[1][0, 0], program.masks[1][-1, -1] = 2.0, 0.0
    program.mean_outputs, program.summed = mean_outputs, mistake == "over m twice" and everywhere
    program.full = m
    return program, X, y, program.start(rng)


def draw_right(rng):
    """A random program without a mistake, ReLU and max-margin included: (program, X, y, parameters)."""
    choice = rng.random()
    if choice < 0.15:
        return draw(rng, "", recurrent=True, masked=bool(rng.integers(2)))
    if choice < 0.35:
        depth = int(rng.integers(1, 4))
        sizes = [int(n) for n in rng.integers(2, 7, depth + 1)]
        program = Perceptron(sizes, [str(a) for a in rng.choice(["relu", "tanh"], depth - 1)] + ["linear"], "margin")
        X, y = rng.normal(size=(5, sizes[0])), np.eye(sizes[-1])[rng.integers(0, sizes[-1], 5)]
        return program, X, y, program.start(rng)
    how = [{}, {"hidden": ["relu"]}, {"output": "sigmoid"}, {"output": "softmax"}, {"kind": "bernoulli", "output": "sigmoid"},
           {"weighted": True}, {"dropout": True}][rng.integers(7)]
    return draw(rng, "", **how)
