"""The node constructors: equal content is one object, normalising keeps the value, errors speak of index names."""

import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from expressions import EXPRESSIONS, EXTENTS, FEEDS, I, J, K
from hypothesis import given, settings
from interpreter import aligned, value

from backproof.calculus import (ONE, SAMPLE, TIME, Add, Einsum, Index, Ref, Scaled, Shift, Variable, as_node,
                                broadcast, edge, elementwise, exp, extent, join, mean, number, one_hot, product, rename,
                                scaled, shift, slice_, tanh, total, zero)
from backproof.errors import ExpressionError, ShapeError

x, W, b = Variable("x", (SAMPLE, I)), Variable("W", (I, J), "parameter"), Variable("b", (J,), "parameter")
h = Variable("h", (TIME, SAMPLE, J))


@settings(max_examples=150, deadline=None)
@given(EXPRESSIONS)
def test_normalising_keeps_the_value(meant):
    found = value(meant.node, FEEDS, EXTENTS)
    assert set(meant.node.indices) == set(meant.indices)
    np.testing.assert_allclose(found, aligned(meant.array, meant.indices, meant.node.indices, EXTENTS), rtol=1e-12, atol=1e-12)


# -- one object for equal content --------------------------------------------------------------------------------------

def test_equal_content_is_one_object():
    assert tanh(total(x * W, over=I) + b) is tanh(b + total(W * x, over="i"))
    assert tanh(x) is not exp(x)


def test_order_and_digest_do_not_depend_on_what_was_built_before():
    program = """
from backproof.calculus import *
n, i, j = SAMPLE, Index("i", 2), Index("j", 3)
{before}
u, v, w = (Variable(c, (n, i)) for c in {order})
u, v, w = sorted((u, v, w), key=lambda variable: variable.name)
node = tanh(u) * exp(v) * w + sigmoid(w) * 3 - u * v
print(node.digest, node)
"""
    texts = {subprocess.run([sys.executable, "-c", program.format(before=before, order=order)], check=True, text=True,
                            capture_output=True).stdout
             for before in ("", "kept = [exp(Variable('v', (n, i))), tanh(Variable('u', (n, i))) * 3]")
             for order in ("'uvw'", "'wvu'")}
    assert len(texts) == 1


def test_functions_of_one_name_and_different_values_have_an_order():
    one, two = (elementwise("twin", value=lambda x, c=c: tanh(x) * c, operands=1) for c in (1, 2))
    assert one(x) is not two(x)
    assert one(x).digest != two(x).digest and one(x) * two(x) is two(x) * one(x)


def test_true_one_and_one_point_zero_are_one_number_but_no_other():
    assert number(True) is number(1) is number(1.0) is ONE is as_node(np.float32(1))
    assert number(-0.0) is number(0.0) is number(0) is zero()
    assert number(0.1) is not number(Fraction(1, 10))


def test_facts_that_python_calls_equal_stay_apart():
    facts = [True, 1, 1.0, 0.0, -0.0]
    made = [Variable("noise", (SAMPLE,), facts=(fact,)) for fact in facts]
    assert len({id(node) for node in made}) == len({node.digest for node in made}) == len(facts)
    assert [repr(node.facts) for node in made] == [repr((fact,)) for fact in facts]
    assert made[1] is Variable("noise", (SAMPLE,), facts=(1,))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), np.float32("nan"), 10**400])
def test_what_is_no_finite_number_is_refused(bad):
    with pytest.raises(ExpressionError, match="not a finite number"):
        x * bad


def test_a_symbolic_comparison_has_no_truth_and_nothing_becomes_an_array():
    with pytest.raises(ExpressionError, match="select"):
        bool(x > 0)
    with pytest.raises(ExpressionError, match="total"):
        sum(x)
    with pytest.raises(ExpressionError, match="array"):
        np.asarray(x)
    with pytest.raises(ExpressionError, match="neither an expression nor a number"):
        x + "1"


# -- products and sums --------------------------------------------------------------------------------------------------

def test_sums_over_an_absent_index_count_its_extent():
    assert product([number(1)], out=()) is ONE
    assert total(broadcast(b, [SAMPLE]), over=SAMPLE) is b * extent(SAMPLE)
    assert total(broadcast(number(1), [J]), over=J) is number(3)
    assert mean(broadcast(b, [SAMPLE]), over=SAMPLE) is b


def test_a_sum_that_was_repeated_counts_the_repetition_when_summed_again():
    repeated = product([x], out=(SAMPLE, J))                      # Σ_i x, the same for every j
    assert total(repeated, over=J) is 3 * total(x, over=I)


def test_pure_products_flatten_and_contractions_are_barriers():
    assert isinstance(x * (W * b), Einsum) and (x * (W * b)).factors == (x * W * b).factors
    contraction = total(x * W, over=I)
    assert contraction in (contraction * b).factors


def test_like_terms_merge_and_cancel():
    assert x + x is 2 * x
    assert (x - x) is zero((SAMPLE, I))
    assert (x + b) - b is broadcast(x, [J])
    assert -(x - b) is b - x
    assert isinstance(x + b, Add) and set((x + b).indices) == {SAMPLE, I, J}


def test_extents_multiply_out():
    assert extent(SAMPLE) * extent(SAMPLE, -1) is ONE
    assert extent(J, -1) * 3 is ONE


def test_division_by_a_number_keeps_every_index():
    assert x / broadcast(number(2), [J]) is broadcast(x / 2, [J])
    with pytest.raises(ExpressionError, match="division by zero"):
        x / 0


def test_powers_are_whole_numbers_or_a_root():
    assert x**3 is x * x * x and x**0 is broadcast(ONE, x.indices)
    with pytest.raises(ExpressionError, match="2.5"):
        x**2.5


# -- views ----------------------------------------------------------------------------------------------------------------

def test_renaming_is_a_swap():
    square = Variable("A", (J, K))
    swapped = rename(square, {J: K, K: J})
    known = {"A": np.arange(9.0).reshape(3, 3)}
    assert np.array_equal(value(swapped, known, {}), known["A"].T)
    assert rename(swapped, {J: K, K: J}) is square
    assert rename(rename(b, {J: K}), {K: J}) is b


def test_renaming_onto_an_index_that_is_there_is_refused():
    with pytest.raises(ShapeError, match="an index twice"):
        rename(Variable("A", (J, K)), {J: K})
    with pytest.raises(ShapeError, match="extent 3 cannot be renamed to 'i' of 2"):
        rename(b, {J: I})


def test_a_slice_of_a_join_is_the_part_itself():
    wide = Index("wide", 5)
    joined = join([x, rename(b, {})], [I, J], wide)
    assert slice_(joined, wide, 0, I) is broadcast(x, [])
    assert slice_(joined, wide, 2, J) is broadcast(b, [SAMPLE])


def test_shifts_of_equal_step_merge():
    g = Variable("g", (TIME, SAMPLE, J))
    merged = shift(h, TIME, 1, 2) + 3 * shift(g, TIME, 1, 1)
    assert isinstance(merged, Shift) and merged.operand is h + 3 * g and merged.edge is broadcast(number(5), [SAMPLE, J])
    apart = shift(h, TIME, 1, 0) + shift(g, TIME, -1, 0)
    assert isinstance(apart, Add)


def test_the_first_step_of_a_shift_is_its_edge():
    h0 = Variable("h0", (SAMPLE, J))
    assert edge(shift(h, TIME, 1, h0), TIME, "first") is h0
    assert edge(shift(h, TIME, -1, h0), TIME, "last") is h0
    assert edge(shift(h, TIME, 1, h0), TIME, "last") is not h0


def test_scaling_by_one_is_nothing():
    assert scaled(x, 1) is x and isinstance(scaled(x, 0), Scaled)


# -- errors speak of index names --------------------------------------------------------------------------------------

wrong = Variable("output.W", (Index("i", 32), J), "parameter")
second = Index("j.second", 3, letter="j")


@pytest.mark.parametrize("make, words", [
    (lambda: Variable("hidden1.a", (SAMPLE, Index("i", 64))) * wrong,
     "index 'i' has extent 64 in hidden1.a and 32 in output.W\n  in   hidden1.a and output.W\n  fix  give both the same number of units"),
    (lambda: b + Variable("c", (Index("j", 3, letter="q"),)), "two different indices are called 'j': one in b, one in c"),
    (lambda: Variable("A", (J, J)), "A has an index twice: j, j"),
    (lambda: total(x, over="q"), "x has no index 'q'\n  in   its indices are n, i"),
    (lambda: total(Variable("A", (J, second)), over="A"), "A has no index 'A'"),
    (lambda: total(Variable("A", (Index("a", 3, letter="p"), Index("b", 3, letter="p"))), over="p"),
     "A has 2 indices of the letter 'p'"),
    (lambda: one_hot(x, J), "x is not an integer tensor"),
    (lambda: one_hot(Variable("ids", (SAMPLE,), integer=True), SAMPLE), "ids has the index 'n' already"),
    (lambda: join([x, b], [I, J], K), "2 + 3 entries do not fill index 'k' of extent 3"),
    (lambda: slice_(b, J, 2, I), "entries 2 to 3 do not lie in index 'j' of extent 3"),
    (lambda: slice_(h, TIME, 0, I), "index 't' of extent T cannot be sliced"),
    (lambda: join([h], [TIME], Index("wide", "T", "time")), "index 'wide' of extent T cannot be joined"),
    (lambda: shift(x, TIME, 1, 0), "x has no time index 't' to shift along"),
    (lambda: shift(h, TIME, 2, 0), "one step, +1 or -1, not 2"),
    (lambda: shift(h, TIME, 1, Variable("e", (TIME,))), "the edge of a shift along 't' varies over it"),
    (lambda: shift(x, SAMPLE, 1, 0), "index 'n' is of kind 'sample'"),
    (lambda: edge(x, SAMPLE, "first"), "index 'n' is of kind 'sample'"),
    (lambda: edge(h, TIME, "middle"), "'first' or 'last', not 'middle'"),
    (lambda: scaled(b, x), "the factor of b has further indices n, i"),
    (lambda: Index("i", 0), "extent 0"), (lambda: Index("i", True), "extent True"), (lambda: Index("i", 2.0), "extent 2.0"),
    (lambda: Index("i", 2, "colour"), "kind 'colour'"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_shape_errors_name_the_indices(make, words):
    with pytest.raises(ShapeError) as error:
        make()
    assert words in str(error.value)


def test_a_name_goes_before_a_letter():
    a = Variable("A", (J, second))                      # the letter j is that of both, the name that of one
    assert total(a, over="j") is total(a, over=J)


def test_leaves_without_indices_are_scalars():
    assert Ref("L").indices == () and number(2).indices == ()
