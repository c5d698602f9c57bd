"""Lowering keeps the meaning: every program gives the numbers of the expressions it was made from."""

import numpy as np
import pytest
from expressions import EXPRESSIONS, EXTENTS, FEEDS, PARAMETERS, I, J, K
from hypothesis import given, settings
from interpreter import aligned, values
from systems import lstm, perceptron, recurrent

from backproof.calculus import (SAMPLE, TIME, Index, Ref, System, Variable, broadcast, edge, elementwise, exp, logsumexp,
                                maximum, one_hot, product, rename, scaled, shift, sigmoid, tanh, total)
from backproof.derive import sweep
from backproof.engines.reference import Run
from backproof.errors import DerivationError, ProgramError
from backproof.lower import lower
from backproof.lower import lowering
from backproof.oracles import assert_agree, complex_step




def named(expression):
    """A system that names the expression; N and T are known to it whatever the expression reads."""
    system = System()
    system.define("anchor", total(exp(Variable("u", (TIME, SAMPLE, J))), over=(TIME, SAMPLE, J)))
    system.define("out", 1 * exp(expression) if not expression.children else expression)
    return system


@settings(max_examples=150, deadline=None)
@given(EXPRESSIONS)
def test_programs_give_the_value_of_random_expressions(meant):
    array = np.exp(meant.array) if not meant.node.children else meant.array
    found = Run(lower(named(meant.node), ["anchor", "out"]), FEEDS).outputs()["out"]
    np.testing.assert_allclose(found, aligned(array, meant.indices, meant.node.indices, EXTENTS), rtol=1e-11, atol=1e-11)


@settings(max_examples=100, deadline=None)
@given(EXPRESSIONS)
def test_gradients_of_random_expressions_are_those_of_the_complex_step(meant):
    system = named(meant.node)
    scale = 1 / max(1.0, float(np.abs(meant.array).max()))
    system.define("E", total(tanh(scale * system.ref("out")), system.ref("out").indices))
    wrt = [v.name for v in PARAMETERS if v.name in system.variables]
    swept = sweep(system, {"E": 1}, wrt)
    program = lower(swept.system, ["E", "anchor"], gradients={name: swept.adjoints[name] for name in wrt})
    found = Run(program, FEEDS).gradients()
    reference = complex_step(lambda theta: Run(program, {**FEEDS, **theta}, complex).outputs()["E"],
                             {name: FEEDS[name] for name in wrt}) if wrt else {}
    for name in wrt:
        np.testing.assert_allclose(found[name], reference[name], rtol=1e-9, atol=1e-11)


# -- every optimisation gives the numbers of going without it ---------------------------------------------------------

@pytest.mark.parametrize("network", [perceptron, recurrent, lstm])
def test_fused_and_unfused_programs_give_the_same_bits(network, monkeypatch):
    case = network()
    fused = case.run()
    monkeypatch.setattr(lowering._Lowering, "fuse", lambda self, kept: None)
    plain = case.run()
    assert len(plain.program) > len(fused.program)
    for name, array in fused.gradients().items():
        assert np.array_equal(array, plain.gradients()[name]), name
    assert np.array_equal(fused.outputs()["E"], plain.outputs()["E"])


@pytest.mark.parametrize("network", [perceptron, recurrent, lstm])
def test_programs_give_the_values_of_the_plain_interpreter(network):
    case = network()
    found = case.run().gradients()
    expected = values(case.swept.system, case.feeds, case.extents)
    for name in case.wrt:
        assert_agree(found[name], expected[case.swept.adjoints[name]], tolerance=1e-13)


# -- what used to be or could go wrong ----------------------------------------------------------------------------------

x = Variable("x", (SAMPLE, I))


def test_a_repetition_that_is_summed_counts():
    system = System()
    repeated = product([x], out=(SAMPLE, K))
    system.define("sum", total(exp(repeated * 0 + broadcast(Variable("c"), [K])), over=K) + 0 * total(x, over=I))
    system.define("soft", logsumexp(broadcast(Variable("c"), [K]), over=K))
    system.define("again", total(repeated, over=K))
    out = Run(lower(system, ["sum", "soft", "again"]), {"x": np.ones((2, 2)), "c": 0.0}).outputs()
    assert out["sum"].tolist() == [3, 3] and out["again"].tolist() == [6, 6]
    assert out["soft"] == pytest.approx(np.log(3))


def test_outputs_have_the_axes_of_their_equation():
    system = System()
    matrix = Variable("A", (I, J))
    system.define("turned", rename(matrix, {J: K}), axes=(K, I))
    system.define("moved", scaled(matrix, 0), axes=(J, I))
    a = np.arange(6.0).reshape(2, 3)
    out = Run(lower(system, ["turned", "moved"]), {"A": a}).outputs()
    assert np.array_equal(out["turned"], a.T) and np.array_equal(out["moved"], a.T)


def test_a_gradient_lies_like_its_parameter_even_where_it_is_another_adjoint():
    system, V = System(), Variable("V", (K, J), "parameter")          # adj.u has its axes in the order j, k
    system.define("u", V + Variable("y", (K,)))
    system.define("E", total(Variable("g", (J, K)) * system.ref("u"), over=(J, K)) + total(exp(system.ref("u")), over=(J, K)))
    swept = sweep(system, {"E": 1}, ["V"])
    feeds = {"V": np.zeros((3, 3)), "y": np.zeros(3), "g": np.arange(9.0).reshape(3, 3)}
    found = Run(lower(swept.system, ["E"], gradients={"V": swept.adjoints["V"]}), feeds).gradients()["V"]
    assert np.array_equal(found, feeds["g"].T + 1)


def test_one_state_shifted_with_two_edges_is_copied():
    h, system = Variable("h", (TIME, SAMPLE)), System()
    system.define("g", tanh(h))
    g = system.ref("g")
    system.define("out", shift(g, TIME, 1, 0) + 10 * shift(g, TIME, 1, 1) + 100 * shift(g, TIME, -1, 2))
    system.define("apart", shift(g, TIME, 1, 5) * shift(g, TIME, -1, 7) * shift(shift(g, TIME, 1, 3), TIME, 1, 4))
    feeds = {"h": np.random.default_rng(0).normal(size=(4, 2))}
    found, expected = Run(lower(system, ["out", "apart"]), feeds).outputs(), values(system, feeds, {"T": 4, "N": 2})
    assert_agree(found, {"out": expected["out"], "apart": expected["apart"]}, tolerance=1e-14)


def test_lookups_are_gathers_and_their_adjoints_scatters_that_add_duplicates():
    words, table, K6 = Variable("ids", (TIME, SAMPLE), integer=True), Variable("table", (Index("v", 6), J), "parameter"), Index("v", 6)
    system = System()
    vectors = system.define("vectors", total(table * one_hot(words, K6), over=K6))
    system.define("E", total(vectors * vectors * vectors, over=(TIME, J)))
    swept = sweep(system, {"E": 1}, ["table"], mean_over=SAMPLE)
    program = lower(swept.system, ["E"], gradients={"table": swept.adjoints["table"]})
    assert {"gather", "scatter"} <= {i.op for i in program.instructions} and "onehot" not in {i.op for i in program.instructions}
    ids = np.array([[0, 5, 0], [0, 1, 5]])
    array = np.random.default_rng(0).normal(size=(6, 3))
    found = Run(program, {"ids": ids, "table": array}).gradients()["table"]
    expected = np.zeros((6, 3))
    for v in ids.ravel():
        expected[v] += 3 * array[v] ** 2 / 3
    assert_agree(found, expected, tolerance=1e-14)
    assert not found[2:5].any()


def test_a_lookup_of_what_varies_over_the_looked_up_index_has_its_own_adjoint():
    system, W, u = System(), Variable("W", (I, J), "parameter"), Variable("u", (SAMPLE,))
    picked = total(maximum(rename(W, {J: K}), u) * one_hot(Variable("ids", (SAMPLE,), integer=True), K), over=K)
    system.define("E", total(picked, over=(SAMPLE, I)))
    swept = sweep(system, {"E": 1}, ["W"])
    feeds = {"u": np.array([0.5, -9]), "ids": [2, 1], "W": np.array([[3.0, 1, 0], [-1, 2, 1]])}
    found = Run(lower(swept.system, ["E"], gradients={"W": "grad.W"}), feeds).gradients()["W"]
    assert found.tolist() == [[0, 1, 0], [0, 1, 1]]


def test_a_pick_reads_one_entry_of_each_row():
    cls, system = Variable("cls", (SAMPLE,), integer=True), System()
    system.define("E", -total(one_hot(cls, J) * Variable("z", (SAMPLE, J)), over=J))
    program = lower(system, ["E"])
    assert [i.op for i in program.instructions] == ["gather", "map"]
    assert Run(program, {"cls": [2, 0], "z": [[1.0, 2, 3], [4, 5, 6]]}).outputs()["E"].tolist() == [-3, -4]


def test_a_bag_of_words_keeps_the_samples_apart():
    system, V = System(), Index("v", 4)
    system.define("bag", total(one_hot(Variable("ids", (TIME, SAMPLE), integer=True), V), over=TIME))
    found = Run(lower(system, ["bag"]), {"ids": [[0, 1], [0, 3]]}).outputs()["bag"]
    assert found.tolist() == [[2, 0, 0, 0], [0, 1, 0, 1]]


def test_a_users_function_never_runs_as_the_kernel_of_its_name():
    mine = elementwise("silu", value=lambda x: x * sigmoid(3 * x))
    system = System()
    system.define("out", mine(x))
    program = lower(system, ["out"], kernels=("silu",))
    assert "silu" not in [w.name for i in program.instructions for w in i.words]
    unknown = elementwise("mystery", derivative=lambda x, y: y)
    system = System()
    system.define("out", unknown(x))
    with pytest.raises(ProgramError, match="no word for the function 'mystery'"):
        lower(system, ["out"])


def test_unknown_outputs_are_named():
    with pytest.raises(ProgramError, match="nothing called 'z'"):
        lower(named(x), ["z"])


# -- size ----------------------------------------------------------------------------------------------------------------

def deep(layers):
    case = perceptron(widths=[3] * (layers + 1))
    return len(case.swept.system), len(case.program)


def test_equations_and_instructions_grow_linearly_in_depth():
    sizes = [deep(layers) for layers in (20, 60, 100)]
    for small, middle, large in zip(*sizes):
        assert large - middle == middle - small
    assert sizes[-1][1] < 6 * 100 + 20


def test_a_program_does_not_know_how_many_steps_there_are():
    case = recurrent()
    assert case.program.symbols == ["N", "T"]
    for steps in (1, 2, 9):
        feeds = {**case.feeds, "x": np.random.default_rng(1).normal(size=(steps, 3, 3))}
        found = Run(case.program, feeds).gradients()
        numbers = complex_step(lambda theta: Run(case.program, {**feeds, **theta}, complex).outputs()["E"].mean(),  # noqa: B023
                               {name: case.feeds[name] for name in case.wrt})
        for name in case.wrt:
            np.testing.assert_allclose(found[name], numbers[name], rtol=1e-11, atol=1e-13)


# -- loops ----------------------------------------------------------------------------------------------------------------

def circle(*links):
    """h and g that read each other through the given links."""
    system = System()
    for name, link in zip("hgf", links):
        system.define(name, link)
    return system


h, g = (Ref(name, (TIME, SAMPLE)) for name in "hg")
u = Variable("u", (TIME, SAMPLE))


@pytest.mark.parametrize("step, how", [(1, "ascending"), (-1, "descending")])
def test_loops_are_found_in_both_directions(step, how):
    system = circle(tanh(u + shift(h, TIME, step, 0)))
    program = lower(system, ["h"])
    loop, = (i for i in program.instructions if i.op == "loop")
    assert loop.how == how and loop.index == TIME
    feeds = {"u": np.random.default_rng(0).normal(size=(5, 2))}
    assert_agree(Run(program, feeds).outputs()["h"], values(system, feeds, {"N": 2, "T": 5})["h"], tolerance=1e-15)


def test_two_equations_in_one_circle_share_a_loop_and_what_lies_outside_stays_outside():
    system = circle(tanh(exp(u) + shift(g, TIME, 1, 0)), sigmoid(h))
    program = lower(system, ["g"])
    assert [i.op for i in program.instructions] in (["map", "fill", "loop"], ["fill", "loop"])
    feeds = {"u": np.random.default_rng(0).normal(size=(5, 2))}
    assert_agree(Run(program, feeds).outputs()["g"], values(system, feeds, {"N": 2, "T": 5})["g"], tolerance=1e-15)


@pytest.mark.parametrize("links, words", [
    ([tanh(u + h)], "a circle without a time step"),
    ([tanh(u + shift(h, TIME, 1, 0) + shift(h, TIME, -1, 0))], "both the step before and the step after"),
    ([tanh(u + shift(h, TIME, 1, 0) + total(h, over=TIME))], "not causal"),
    ([tanh(u + shift(h, TIME, 1, 0) + edge(h, TIME, "last"))], "not causal"),
    ([tanh(u + shift(h, TIME, 1, edge(h, TIME, "last")))], "the edge of h depends on h itself"),
    ([tanh(u + shift(h, TIME, 1, 0) + g), tanh(h)], "a circle within one time step"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_circles_that_no_loop_can_run_are_refused(links, words):
    with pytest.raises(DerivationError, match=words):
        lower(circle(*links), ["h"])
