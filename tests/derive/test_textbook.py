"""The textbook chain is derived from the loss as written, simplified by named rules, and equal to what runs."""

import pytest

from backproof import Network
from backproof.derive import simplified

PAIRINGS = [("3 | 2 sigmoid", "binary_cross_entropy"), ("3 | 2 softmax", "cross_entropy"), ("3 | 2 exp", "poisson"),
            ("3 | 2 sigmoid", "squared_error"), ("3 | 2 tanh", "huber"), ("3 | 2 softmax", "squared_error"), ("3 | 1 softplus", "poisson")]


def chain(spec, loss, **how):
    derivation = Network(spec, loss=loss).derive(**how)
    book = derivation.textbook
    return derivation, book.sweep.system, book.steps


@pytest.mark.parametrize("spec, loss", PAIRINGS)
@pytest.mark.parametrize("weighted", [False, True])
def test_every_step_equals_the_complex_step(spec, loss, weighted):
    derivation = Network(spec, loss=loss).derive(weighted=weighted)
    lines = [line for line in derivation.lines(book=True) if line.system is not None]
    assert len(lines) == 2
    assert max(derivation.check(lines=lines).values()) < 1e-12


@pytest.mark.parametrize("spec, loss, simplest", [
    ("3 | 2 sigmoid", "binary_cross_entropy", "a1[n,layer1] − y[n,layer1]"),
    ("3 | 2 softmax", "cross_entropy", "a1[n,layer1] − y[n,layer1]"),
    ("3 | 2 exp", "poisson", "a1[n,layer1] − y[n,layer1]")])
def test_the_canonical_pairings_simplify_to_a_minus_y(spec, loss, simplest):
    _, _, steps = chain(spec, loss)
    assert repr(steps["delta1"][-1][1]) == simplest


def test_the_steps_of_article_e_carry_their_rules():
    _, system, steps = chain("2 | 1 sigmoid", "binary_cross_entropy")
    assert "reciprocal" in repr(system.equations["adj.a1"].expression)
    assert [rule for rule, _ in steps["delta1"]] == ["substitute", "cancel", "expand"]


def test_softmax_needs_that_the_targets_sum_to_one():
    _, _, steps = chain("2 | 3 softmax", "cross_entropy")
    assert "fact" in [rule for rule, _ in steps["delta1"]]


def test_what_cancels_nothing_is_left_alone():
    derivation = Network("3 | 4 tanh | 2").derive()
    for equation in derivation.equations:
        if equation.role == "gradient":
            assert simplified(equation.expression) == []


def test_the_simplified_form_never_enters_the_system_that_runs():
    derivation = Network("3 | 2 sigmoid", loss="squared_error").derive()
    before = list(derivation.system.equations.values())
    assert derivation.textbook is not None
    assert list(derivation.system.equations.values()) == before


def test_a_network_without_an_output_activation_has_no_chain():
    assert Network("3 | 2", loss="squared_error").derive().textbook is None
