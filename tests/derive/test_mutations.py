"""Mutations: every one conforms, changes a gradient where it says so, and leaves the system it was made from alone."""

import numpy as np
import pytest

from backproof.check.twin import Extras, Plan, Twin
from backproof.derive.mutations import MUTATIONS, Mutation, mutants, mutation_named
from backproof.errors import OptionError
from backproof.network import Network

NETWORKS = [("4 | 4 sigmoid | 4 tanh | 4 softmax", "squared_error", {"l2": 0.1}, {}),
            ("4 | 5 relu | 3 softmax", "cross_entropy", {}, {"weighted": True}),
            ("4 | 5 sigmoid | 2 sigmoid", "binary_cross_entropy", {}, {}),
            ("3 | rnn 4 | 2", "squared_error", {}, {"masked": True}), ("3 | lstm 4 | last | 2", "squared_error", {}, {}),
            ("3 | rnn 4 | 2", "squared_error", {}, {"truncated": True}), ("3 | gru 4 | last | 2", "squared_error", {}, {}),
            ("3 | rnn 4 | last | 2", "squared_error", {}, {"truncated": True, "masked": True}),
            ("4 | 6 tanh | dropout 0.5 | 2", "squared_error", {}, {"training": True})]


def twin_of(spec, loss, more, how, n=4):
    rng = np.random.default_rng(1)
    network = Network(spec, loss=loss, **more)
    variables = network.gradient_system(**how).system.variables
    feeds = {}
    for variable in variables.values():
        shape = [n if i.kind == "sample" else 5 if i.kind == "time" else i.extent for i in sorted(
            variable.axes, key=lambda i: ("sample", "time", "unit").index(i.kind))]
        if variable.role == "target" and variable.integer:
            feeds[variable.name] = rng.integers(0, 2, shape)
        elif variable.role in ("input", "target", "weight"):
            feeds[variable.name] = rng.random(shape)
        elif variable.role == "mask":
            feeds[variable.name] = (np.arange(5) < np.array([1, 5, 3, 2])[:, None]) * 1.0
        elif variable.role == "noise":
            feeds[variable.name] = (rng.random(shape) > 0.5) * 2.0
        elif variable.name == "xi":
            feeds["xi"] = np.array([0.0, 1.0, 0.0, 1.0, 1.0])
    theta = {p.name: rng.normal(size=p.shape) for p in network.parameters}
    return Twin(network, feeds, how), theta


@pytest.mark.parametrize("spec, loss, more, how", NETWORKS)
def test_every_mutant_runs_and_most_change_a_gradient(spec, loss, more, how):
    twin, theta = twin_of(spec, loss, more, how)
    before = {e.name: e.expression for e in twin.system}
    values = twin.at(theta)
    right, changed, ran = twin.gradients(values), 0, 0
    for mutant in mutants(twin.sweep):
        given = twin.mutated(mutant, theta, values, Extras(4, 0.1))
        if given is None:
            continue
        ran += 1
        assert set(given) <= set(right) and all(given[p].shape == right[p].shape for p in given), mutant
        changed += any(not np.allclose(given[p], right[p]) for p in given)
    assert ran > 40 and changed > 0.75 * ran
    assert before == {e.name: e.expression for e in twin.system}


def test_over_these_networks_every_mutation_finds_a_place():
    found = set()
    for spec, loss, more, how in NETWORKS:
        found |= {m.name for m in mutants(Network(spec, loss=loss, **more).gradient_system(**how))}
    assert found >= set(MUTATIONS) - {"slope of another layer"} and "slope of another layer" in MUTATIONS


def test_a_mutant_of_all_equations_at_once_changes_all_of_them():
    sweep = Network("4 | 4 sigmoid | 4 sigmoid | 4 sigmoid").gradient_system()
    groups = [set(m.where) for m in mutants(sweep, ["f(z)f(1-z)"])]
    assert {"delta1", "delta2", "delta3"} in groups and {"delta1", "delta2"} in groups and {"delta1"} in groups


def test_the_mutated_equation_says_what_the_mistake_is():
    sweep = Network("3 | 3 tanh | 2").gradient_system()
    one, = (m for m in mutants(sweep, ["slope forgotten"]))
    system = one.apply(sweep.system)
    assert repr(system["delta1"]) == "delta1[n,layer1] = adj.a1[n,layer1]" and system["delta1"].rule == "slope forgotten"
    assert repr(sweep.system["delta1"]) != repr(system["delta1"])


def test_a_rewrite_that_does_not_conform_is_no_mutation():
    sweep = Network("3 | 4 tanh | 2").gradient_system()
    assert not mutants(sweep, ["own activation"]) and not mutants(sweep, ["weights not transposed"])
    broken = Mutation("broken", ("delta",), lambda view, e: [view.variables["x"]])
    assert list(broken.expressions(__import__("backproof.derive.mutations", fromlist=["View"]).View(sweep), sweep.system["delta1"])) == []


def test_an_unknown_mutation_is_refused():
    with pytest.raises(OptionError, match="no mutation"):
        mutation_named("nothing")


def test_a_plan_has_the_equations_of_its_network():
    plan, network = Plan("3 | 4 tanh | 2", "squared_error", 0.2), Network("3 | 4 tanh | 2", l2=0.2)
    assert [repr(e) for e in plan.gradient_system().system] == [repr(e) for e in network.gradient_system().system]
