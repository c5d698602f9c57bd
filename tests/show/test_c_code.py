"""Printed C compiles without a warning as C99 and gives the reference engine's numbers."""

import ctypes
import re
import shutil
import subprocess

import numpy as np
import pytest
from show.random_networks import close, instance, random_network

from backproof import Network
from backproof.errors import OptionError

FLAGS = ["-Wall", "-Wextra", "-std=c99", "-pedantic", "-Werror"]
pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="there is no gcc here")


class Compiled:
    """A printed file as a shared library; arrays by the argument names of its functions."""

    def __init__(self, text, folder):
        source, library = folder / "printed.c", folder / "printed.so"
        source.write_text(text, encoding="utf-8")
        run = subprocess.run(["gcc", *FLAGS, "-O0", "-shared", "-fPIC", str(source), "-o", str(library), "-lm"], capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        self.text, self.library = text, ctypes.CDLL(str(library))
        self.library.gradient.restype = self.library.step.restype = ctypes.c_double
        layout = re.search(r"^   theta     (.*?)^   state", text, re.M | re.S)[1]
        self.layout = {name: int(start) for name, start in re.findall(r"([^\s,\[]+)(?:\[\d+\])*\s+at\s+(\d+)", layout)}
        self.parameters = int(re.search(r"PARAMETERS = (\d+)", text)[1])

    def call(self, function, first, feeds, extents):
        """Call a function with its first two arrays and the inputs that its signature names."""
        signature = re.search(rf"^\w+ {function}\((.*)\)$", self.text, re.M)[1].split(", ")[2:]
        arguments = []
        for argument in signature:
            name = argument.split()[-1].lstrip("*")
            if argument.startswith("int "):
                arguments.append(extents[name.upper()])
            else:
                array = np.ascontiguousarray(feeds[name], np.intc if "int " in argument else float)
                arguments.append(array)
        pointers = [a.ctypes.data_as(ctypes.c_void_p) if isinstance(a, np.ndarray) else ctypes.c_int(a) for a in [*first, *arguments]]
        return getattr(self.library, function)(*pointers)

    def flat(self, arrays):
        theta = np.zeros(self.parameters)
        for name, start in self.layout.items():
            theta[start:start + arrays[name].size] = arrays[name].ravel()
        return theta


def compare(network, how, folder, **options):
    derivation = network.derive(**how)
    made, here = Compiled(derivation.to_c(n_max=4, t_max=5, **options), folder), instance(derivation)
    feeds = {**here.feeds, **{"in_" + name.replace(".", "_"): array for name, array in here.feeds.items()}}
    theta, gradient = made.flat(here.feeds), np.zeros(made.parameters)
    value = made.call("gradient", [theta, gradient], feeds, here.extents)
    assert close(value, here.values[derivation.system.resolve("J")])
    adjoints = {name: here.values[derivation.system.resolve(derivation.sweep.adjoints[name])] for name in made.layout}
    assert close(gradient, made.flat(adjoints))
    moved = theta.copy()
    made.call("step", [moved, np.zeros(8 * made.parameters)], feeds, here.extents)
    if not options:
        assert close(moved, theta - 0.01 * gradient)
    true = here.values[derivation.system.resolve("prediction")]
    out = np.zeros(true.shape)
    assert made.call("predict", [theta, out], feeds, here.extents) == 0
    assert close(out, true)
    return made, theta, gradient, moved


@pytest.mark.parametrize("seed", range(40))
def test_a_random_network_s_printed_c_gives_the_engine_s_numbers(seed, tmp_path):
    compare(*random_network(seed), tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(40, 300))
def test_every_random_network_s_printed_c_gives_the_engine_s_numbers(seed, tmp_path):
    compare(*random_network(seed), tmp_path)


@pytest.mark.parametrize("optimizer", ["momentum", "nesterov", "rmsprop", "adagrad", "adam", "adamw"])
def test_the_first_step_of_every_optimizer_moves_against_the_gradient(optimizer, tmp_path):
    made, theta, gradient, moved = compare(Network("3 | 4 tanh | 2", l2=0.1), {}, tmp_path, optimizer=optimizer)
    assert ((moved - theta) * gradient <= 0).all() and (moved != theta).any()


def test_more_samples_than_the_arena_holds_give_nan_and_write_nothing(tmp_path):
    derivation = Network("3 | 2 tanh | 1").derive()
    made = Compiled(derivation.to_c(n_max=4), tmp_path)
    gradient = np.full(made.parameters, 7.0)
    feeds = {"x": np.zeros((5, 3)), "y": np.zeros((5, 1))}
    assert np.isnan(made.call("gradient", [np.zeros(made.parameters), gradient], feeds, {"N": 5}))
    assert (gradient == 7).all()


def test_an_unknown_optimizer_is_refused_by_name():
    with pytest.raises(OptionError, match="no optimizer 'newton'"):
        Network("3 | 2").derive().to_c(optimizer="newton")


@pytest.mark.parametrize("word", ["", " frozen"])
def test_no_word_has_no_row_and_a_frozen_table_stays(word, tmp_path):
    network = Network(f"window 3 vocabulary=6 embedding 2 padding{word} | 4 tanh | 1 nobias", loss="pairwise_margin")
    model, ids = network.build(seed=1, dtype="float64"), np.array([[[-1, 3, 2], [5, -1, -1]], [[0, 0, -1], [1, 4, 5]]])
    made = Compiled(network.derive().to_c(n_max=4), tmp_path)
    theta, gradient = made.flat(model.parameters), np.zeros(made.parameters)
    assert close(made.call("gradient", [theta, gradient], {"ids": ids}, {"N": 2}), model.objective(ids, None))
    assert close(gradient, made.flat(model.gradients(ids, None)))
    moved, table = theta.copy(), slice(made.layout["E1"], made.layout["E1"] + 12)
    made.call("step", [moved, np.zeros(8 * made.parameters)], {"ids": ids}, {"N": 2})
    assert (moved[table] == theta[table]).all() == bool(word) and (moved != theta).any()
