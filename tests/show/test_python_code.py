"""Printed Python runs as printed and gives the reference engine's numbers."""

import inspect

import numpy as np
import pytest
from show.random_networks import close, instance, random_network

from backproof import Network
from backproof.show.python_code import ORDER

SAMPLE, ALL = range(40), range(40, 300)


def sample_first(array, axes):
    return np.transpose(array, sorted(range(len(axes)), key=lambda k: ORDER.index(axes[k].kind))) if axes else array


def executed(text):
    made = {}
    exec(compile(text, "printed.py", "exec"), made)
    return made


def compare(network, how):
    derivation = network.derive(**how)
    module, here = executed(derivation.to_python()), instance(derivation)
    variables = derivation.system.variables
    theta = {name: here.feeds[name] for name, v in variables.items() if v.role == "parameter"}
    arguments = {name.replace(".", "_"): sample_first(here.feeds[name], v.axes) for name, v in variables.items()}
    given = list(inspect.signature(module["backpropagation"]).parameters)[1:]
    with np.errstate(all="ignore"):
        values, gradient = module["backpropagation"](theta, *(arguments[name] for name in given))
    for name, value in values.items():
        equation = derivation.system.equations[name]
        true = here.values[name] if equation.role == "gradient" else sample_first(here.values[name], equation.axes)
        assert close(value, true), name
    for name, value in gradient.items():
        assert close(value, here.values[derivation.system.resolve(derivation.sweep.adjoints[name])])
    if "predict" in module:
        given = list(inspect.signature(module["predict"]).parameters)[1:]
        name = derivation.system.resolve("prediction")
        assert close(module["predict"](theta, *(arguments[a] for a in given)), values[name])
    moved = module["update"](theta, gradient, 0.1)
    assert all(close(moved[name], theta[name] - 0.1 * gradient[name]) for name in gradient)


@pytest.mark.parametrize("seed", SAMPLE)
def test_a_random_network_s_printed_python_gives_the_engine_s_numbers(seed):
    compare(*random_network(seed))


@pytest.mark.long
@pytest.mark.parametrize("seed", ALL)
def test_every_random_network_s_printed_python_gives_the_engine_s_numbers(seed):
    compare(*random_network(seed))


def test_every_line_carries_the_number_of_its_equation():
    derivation = Network("3 | 4 tanh | 2 softmax", loss="cross_entropy").derive()
    text = derivation.to_python()
    for line in derivation.lines():
        assert f"# ({line.number}) " in text


def test_the_same_network_prints_the_same_python_twice():
    assert Network("3 | lstm 2 | last | 1").derive().to_python() == Network("3 | lstm 2 | last | 1").derive().to_python()
