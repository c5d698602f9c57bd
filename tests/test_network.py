"""The door Network: its system, penalties, table, growth, and errors before anything is allocated."""

import pytest

from backproof.errors import OptionError, ShapeError, SpecError
from backproof.network import Network
from backproof.networks import Dense


def test_it_prints_as_a_table():
    network = Network("784 | 128 relu | dropout 0.2 | output: 10 softmax", loss="cross_entropy", l2=1e-4)
    assert str(network) == """\
Network, loss cross_entropy, l2 0.0001
layer     kind           output    parameters                        count
input                    (n, 784)
layer1    dense relu     (n, 128)  W1 784 × 128, b1 128            100,480
dropout1  dropout 0.2    (n, 128)
output    dense softmax  (n, 10)   output.W 128 × 10, output.b 10    1,290
total                                                              101,770"""


def test_a_long_row_of_parameters_is_broken():
    assert str(Network("5 | bi lstm 3 | last | 2", initial="he", l1=0.5, decay_biases=True)) == """\
Network, loss squared_error, l1 0.5, biases decay too, initial he
layer   kind          output     parameters                                                 count
input                 (n, t, 5)
layer1  bi lstm       (n, t, 6)  W_i1 W_f1 W_g1 W_o1 5 × 3                                    216
                                 U_i1 U_f1 U_g1 U_o1 3 × 3, b_i1 b_f1 b_g1 b_o1 3
                                 reverse_W_i1 reverse_W_f1 reverse_W_g1 reverse_W_o1 5 × 3
                                 reverse_U_i1 reverse_U_f1 reverse_U_g1 reverse_U_o1 3 × 3
                                 reverse_b_i1 reverse_b_f1 reverse_b_g1 reverse_b_o1 3
last1   last          (n, 6)
layer2  dense linear  (n, 2)     W2 6 × 2, b2 2                                                14
total                                                                                         230"""


def test_the_system_ends_with_the_objective():
    plain, decayed = Network("3 | 2").system(weighted=True), Network("3 | 2", l2=0.5).system()
    assert list(plain.equations) == ["z1", "E", "L"] and plain.resolve("J") == "L"
    assert repr(plain["L"].expression) == "Σ_n E[n]·N^-1·w[n]"
    assert plain.resolve("prediction") == "z1" and plain.resolve("a1") == "z1"
    assert list(decayed.equations) == ["z1", "E", "penalty", "L", "J"]
    assert [q.role for q in decayed] == ["pre_activation", "sample_loss", "penalty", "loss", "objective"]


def test_penalties_are_of_weights_of_biases_on_demand_and_per_layer():
    def strengths(network):
        return {p.name: (p.l2, p.l1) for p in network.parameters}
    assert strengths(Network("3 | 2", l2=1, l1=2)) == {"W1": (1.0, 2.0), "b1": (0.0, 0.0)}
    assert strengths(Network("3 | 2", l2=1, decay_biases=True)) == {"W1": (1.0, 0.0), "b1": (1.0, 0.0)}
    assert strengths(Network("3 | 4 l2=0 | 2 l2=3", l2=1))["W1"] == (0.0, 0.0)
    assert strengths(Network("3 | 4 l2=0 | 2 l2=3", l2=1))["W2"] == (3.0, 0.0)
    assert strengths(Network("window 2 vocabulary=5 embedding 2 | 1", l2=1))["E1"] == (1.0, 0.0)
    assert strengths(Network("3 | rnn 2", l2=1))["U1"] == (1.0, 0.0)


def test_l1_gives_the_sign():
    found = {q.name: repr(q.expression) for q in Network("3 | 2", l1=0.5).gradient_system().system}
    assert "1/2·sign(W1[input,layer1])" in found["grad.W1"].split(" + ")


def test_systems_and_sweeps_are_made_once():
    network = Network("3 | 2")
    assert network.system() is network.system() and network.system(weighted=True) is not network.system()
    assert network.gradient_system() is network.gradient_system()
    before = [repr(q) for q in network.system()]
    network.gradient_system(wrt=("x",))
    assert [repr(q) for q in network.system()] == before


def test_the_gradient_by_the_input_is_per_sample():
    swept = Network("3 | 2 tanh").gradient_system(wrt=("x",))
    assert [i.name for i in swept.system[swept.adjoints["x"]].axes] == ["n", "input"]
    assert repr(swept.system["adj.x"].expression) == "Σ_layer1 W1[input,layer1]·delta1[n,layer1]"


def test_equations_grow_linearly_in_depth():
    def count(depth, **how):
        network = Network("3" + " | 3 tanh" * depth + " | 1")
        return len(network.gradient_system(**how).system)
    five, ten, hundred = count(5), count(10), count(100)
    assert hundred - ten == 18 * (ten - five)


def test_an_output_that_has_no_name_gets_one():
    network = Network("3 | bi rnn 2 | dropout 0.5")
    assert network.system().resolve("prediction") == "both_h1" and network.outputs == 4
    assert list(Network("3 | linear").system().equations) == ["output", "E", "L"]


def test_a_half_that_only_its_ends_are_taken_of_is_left_out():
    assert "both_h1" not in Network("3 | bi rnn 2 | last").system()
    assert "both_h1" in Network("3 | bi rnn 2 | mean").system()


def test_a_layer_too_large_for_any_machine_says_how_much_it_needs():
    with pytest.raises(ShapeError) as caught:
        Network([Dense(2**33, bias=False)], inputs=2**33)
    assert "73,786,976,294,838,206,464 parameters need 295,147,905,179,352,825,856 bytes, and" in str(caught.value)
    assert "W1 8589934592 × 8589934592" in str(caught.value)
    with pytest.raises(ShapeError, match="are free"):
        Network("1000000 | 1000000").check_memory(itemsize=8)


@pytest.mark.parametrize("layers, how, message", [
    ([], {"inputs": 3}, "the network has no layers"),
    ([3], {"inputs": 3}, "layer 1 is 3"),
    ([Dense(2)], {}, "the number of inputs is missing"),
    ([Dense(2)], {"inputs": True}, "inputs = True"),
    ([Dense(2)], {"inputs": 2.0}, "inputs = 2.0"),
    ("3 | 2", {"l2": float("nan")}, "l2 = nan"),
    ("3 | 2", {"l1": -1}, "l1 = -1"),
])
def test_what_cannot_be_built_is_refused(layers, how, message):
    with pytest.raises(SpecError, match=message):
        Network(layers, **how)


def test_inputs_are_said_once():
    with pytest.raises(OptionError, match="inputs stand in the spec"):
        Network("3 | 2", inputs=3)
    with pytest.raises(OptionError, match="reads whole numbers"):
        Network(Network("embedding 2 vocabulary=3 | last").layers, inputs=3)


def test_layers_are_described_without_numpy():
    import subprocess
    import sys
    code = "import sys; from backproof import Network; Network('3 | lstm 2 | last | 2').gradient_system(); " \
           "print('numpy' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
