"""Extending: a function, a layer, a loss, a cell and an optimizer, each added in one place and nowhere else.

One of each is added here as users do it; its gradient is compared with the complex step, it travels in a model
file, and it runs on the instructions that there are. What is built in is held to the same: its name stands in one
source file.
"""

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from backproof import (Dense, Last, Model, Network, cell, check_gradients, elementwise, layer, loss, optimizer, select,
                       sigmoid, sign, square, tanh, total)
from backproof.engines.reference import Run, storage_order
from backproof.lower import WORDS
from backproof.networks import KINDS, Layer
from backproof.oracles import complex_step
from backproof.train import OPTIMIZERS

SOURCE = Path(__file__).parents[1] / "src" / "backproof"
RNG = np.random.default_rng(5)
X, Y, STEPS = RNG.normal(size=(7, 3)), RNG.normal(size=(7, 2)), RNG.normal(size=(7, 4, 3))


@elementwise
def swish(x):
    return x * sigmoid(x)


@loss
def asymmetric(a, y, factor=3):
    return total(select(a > y, square(a - y), factor * square(a - y)), over="k")


@layer
def gain(scope, x):
    return scope.define("a", x * scope.parameter("g", (scope.unit_of(x),), "scale"), role="activation")


@cell
def leaky(scope, x, h, rate=0.5):
    z = scope.define("z", scope.project(x, "W") + scope.project(h, "U") + scope.bias("b"), role="pre_activation")
    return (1 - rate) * h + rate * tanh(z)


NETWORKS = {
    "function": (Network([Dense(4, swish), Dense(2)], inputs=3), X),
    "loss": (Network("3 | 4 tanh | 2", loss=asymmetric(factor=2)), X),
    "layer": (Network([Dense(4, "tanh"), gain(), Dense(2)], inputs=3), X),
    "cell": (Network([leaky(4, rate=0.1), Last(), Dense(2)], inputs=3), STEPS),
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_gradient_of_what_was_added_is_the_complex_steps(kind):
    network, inputs = NETWORKS[kind]
    model = network.build(seed=1, dtype="float64")
    model.set_parameters(**{name: RNG.normal(size=array.shape) for name, array in model.parameters.items()})
    program = model.program("J", target="dense")
    feeds = {name: storage_order(program.values[name], array) for name, array in (("x", inputs), ("y", Y))}

    def objective(parameters):
        return Run(program, {**feeds, **parameters}, np.complex128).outputs()["J"]
    true, derived = complex_step(objective, dict(model.parameters)), model.gradients(inputs, Y)
    for name in true:
        assert np.linalg.norm(true[name]) > 0
        assert np.linalg.norm(derived[name] - true[name]) <= 1e-11 * np.linalg.norm(true[name]), name


@pytest.mark.parametrize("kind", NETWORKS)
def test_what_was_added_travels_in_a_model_file(kind, tmp_path):
    network, inputs = NETWORKS[kind]
    model = network.build(seed=1, dtype="float64")
    loaded = Model.load(model.save(tmp_path / "m.safetensors"))
    assert (loaded.predict(inputs) == model.predict(inputs)).all()
    assert loaded.loss(inputs, Y) == model.loss(inputs, Y)


@pytest.mark.parametrize("kind", NETWORKS)
def test_what_was_added_needs_no_word_of_its_own(kind):
    network, _ = NETWORKS[kind]
    program = network.build().program("J", gradients=True, target="dense")
    words = {word.name for instruction in program.instructions for word in instruction.words}
    assert words and words <= set(WORDS)


@pytest.mark.parametrize("kind", NETWORKS)
def test_what_was_added_is_printed_and_every_line_holds(kind):
    assert max(NETWORKS[kind][0].derive().check().values()) < 1e-11


def test_a_class_with_a_word_is_known_to_the_spec_and_to_files(tmp_path):
    try:
        @dataclass(frozen=True)
        class Shifted(Layer, word="shifted"):
            by: float = 1.0

            positional: ClassVar[tuple] = ("by",)

            def forward(self, scope, x):
                shift = scope.parameter("s", (scope.unit_of(x),), "bias")
                return scope.define("a", x + self.by * shift, role="activation")
        network = Network("3 | 4 tanh | shifted 2.0 | 2")
        assert network == Network([Dense(4, "tanh"), Shifted(2.0), Dense(2)], inputs=3)
        model = network.build(seed=0, dtype="float64")
        model.set_parameters(s2=RNG.normal(size=4))
        assert check_gradients(model, X, Y, seed=0)
        loaded = Model.load(model.save(tmp_path / "m.safetensors"))
        assert loaded.network == network and (loaded.predict(X) == model.predict(X)).all()
    finally:
        KINDS.pop("shifted", None)


def test_an_optimizer_that_was_added_steps_as_it_says():
    try:
        @optimizer("sign_momentum", slots=("velocity",), momentum=0.9)
        def sign_momentum(theta, g, velocity, *, eta, momentum):
            new = momentum * velocity + (1 - momentum) * g
            return theta - eta * sign(new), new
        model = Network("3 | 4 tanh | 2").build(dtype="float64")
        expected = {name: array.copy() for name, array in model.parameters.items()}
        velocity = {name: np.zeros(array.shape) for name, array in expected.items()}
        twin = Network("3 | 4 tanh | 2").build(dtype="float64")
        for _ in range(5):
            gradients = twin.set_parameters(**expected).gradients(X, Y)
            for name, g in gradients.items():
                velocity[name] = 0.8 * velocity[name] + (1 - 0.8) * g
                expected[name] = expected[name] - 0.01 * np.sign(velocity[name])
        model.fit(X, Y, epochs=5, batch_size=len(X), optimizer=sign_momentum(momentum=0.8), learning_rate=0.01)
        assert all(np.abs(model.parameters[name] - expected[name]).max() < 1e-13 for name in expected)
    finally:
        OPTIMIZERS.pop("sign_momentum", None)


# what a format or another library calls the same things; and the front that has scikit-learn's parameter names
TRANSLATIONS = ("exchange.py", "mlp.py", "parameters.py", "sequence.py", "windows.py", "torch_state.py")


def places(name):
    """The source files that speak of a name in code: identifiers and strings, docstrings and re-exports aside."""
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        spoken = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        spoken |= {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
        spoken |= {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        if name in spoken and path.name not in ("__init__.py", *TRANSLATIONS):
            found.append(path.relative_to(SOURCE).as_posix())
    return found


@pytest.mark.parametrize(("name", "place"), [
    ("softsign", "calculus/functions.py"), ("hardtanh", "calculus/functions.py"),
    ("huber", "networks/losses.py"), ("quantile", "networks/losses.py"), ("layer_norm", "networks/layers.py"),
    ("gru", "networks/cells.py"), ("adagrad", "train/optimizers.py"), ("rmsprop", "train/optimizers.py")])
def test_what_is_built_in_stands_in_one_place(name, place):
    assert places(name) == [place]


def test_the_search_for_places_finds_several():
    assert len(places("sigmoid")) > 1
