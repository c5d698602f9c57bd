"""The rows of the benchmark: networks, minibatches, data. A step is forward, backward and a plain SGD update.

A new row is one line here. A peer that cannot do it raises NotImplementedError (peers.py).
"""

from dataclasses import dataclass

import numpy as np

RATE = 1e-4
GATES = {"rnn": 1, "gru": 3, "lstm": 4}


@dataclass(frozen=True)
class Row:
    """widths: inputs, hidden layers (relu) and outputs; or a recurrent layer between inputs and outputs, over ``steps``."""

    name: str
    widths: tuple
    batch: int
    recurrent: str | None = None
    steps: int = 0
    dtype: str = "float32"

    @property
    def spec(self):
        first, *hidden, last = self.widths
        if self.recurrent:
            return f"{first} | {self.recurrent} {hidden[0]} | last | {last}"
        return " | ".join([str(first), *(f"{w} relu" for w in hidden), str(last)])

    @property
    def flops(self):
        """Of one step: two for every multiply-add of the products forward, for the errors and for the gradients."""
        if self.recurrent:
            i, h, o = self.widths
            per_step = 2 * GATES[self.recurrent] * (2 * i * h + 3 * h * h)   # no error signal for the inputs
            return self.batch * (self.steps * per_step + 6 * h * o)
        pairs = list(zip(self.widths, self.widths[1:]))
        return 2 * self.batch * (3 * sum(a * b for a, b in pairs) - pairs[0][0] * pairs[0][1])

    def minibatches(self):
        """How many steps an epoch of the measurement has."""
        return int(max(4, min(256, 2e9 / self.flops)))

    def data(self, samples=None):
        draw = np.random.default_rng(0)
        n = samples or self.batch * self.minibatches()
        shape = (n, self.steps, self.widths[0]) if self.recurrent else (n, self.widths[0])
        return draw.normal(size=shape).astype(self.dtype), draw.normal(size=(n, self.widths[-1])).astype(self.dtype)


ROWS = [
    Row("small", (20, 64, 64, 1), 32), Row("table", (32, 128, 128, 10), 200), Row("digits", (784, 128, 10), 64),
    Row("digits2", (784, 256, 128, 10), 128), Row("large", (1024, 1024, 1024, 10), 256),
    Row("rnn", (32, 64, 10), 32, "rnn", 50), Row("gru", (32, 64, 10), 32, "gru", 50), Row("lstm", (32, 64, 10), 32, "lstm", 50),
    Row("rnn500", (32, 64, 10), 32, "rnn", 500), Row("lstm500", (32, 64, 10), 32, "lstm", 500),
    Row("small64", (20, 64, 64, 1), 32, dtype="float64"), Row("table64", (32, 128, 128, 10), 200, dtype="float64"),
    Row("digits64", (784, 128, 10), 64, dtype="float64"), Row("lstm64", (32, 64, 10), 32, "lstm", 50, "float64"),
]
AIM = ["small", "table", "digits", "digits2", "large", "rnn", "lstm"]         # the rows of the geometric mean of the aim
