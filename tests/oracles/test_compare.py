"""The comparator: what must fail, fails, and its words say where."""

import math

import numpy as np
import pytest

from backproof.errors import OptionError
from backproof.oracles import agree, assert_agree, block_scales, relative_error, verdict

NAN, INF = float("nan"), float("inf")


def test_relative_error_is_norm_wise():
    reference = np.array([3.0, 4.0])
    assert relative_error(reference + [0, 5e-6], reference) == pytest.approx(1e-6)
    assert relative_error(reference + [0, 5e-6], reference, scale=1.0) == pytest.approx(5e-6)
    assert relative_error(np.array([1 + 1e-6j]), np.array([1 + 0j])) == pytest.approx(1e-6)


@pytest.mark.parametrize("size", [1e-300, 1e-170, 1.0, 1e170, 1e300])
def test_relative_error_does_not_depend_on_the_unit(size):
    reference = np.arange(1.0, 9.0)
    assert relative_error(size * (reference * (1 + 1e-6)), size * reference) == pytest.approx(1e-6, rel=1e-6)


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_nothing_that_is_no_number_agrees(bad):
    good = np.ones(4)
    for index in range(4):
        broken = good.copy()
        broken[index] = bad
        for value, reference in ((broken, good), (good, broken), (broken, broken)):
            assert math.isnan(relative_error(value, reference))
            assert not agree(value, reference, tolerance=0.9)
            assert not agree(value, reference, tolerance=0.9, scale=1e300)
            with pytest.raises(AssertionError, match=rf"g: 1 of 4 elements are not finite\n  first at \[{index}\]"):
                assert_agree(value, reference, tolerance=0.9, name="g")


def test_a_wrong_shape_does_not_broadcast():
    assert not agree(np.ones((3, 1)), np.ones(3), tolerance=0.5)
    assert not agree(1.0, np.ones(3), tolerance=0.5)
    assert math.isnan(relative_error(np.ones((3, 1)), np.ones(3)))


def test_kinds_of_elements_are_told_apart():
    ones = np.ones(3)
    for other in (ones.astype(complex), ones.astype(int), ones.astype(bool)):
        assert not agree(other, ones, tolerance=0.5) and not agree(ones, other, tolerance=0.5)
    assert agree(ones.astype(np.float32), ones, tolerance=1e-6)
    assert not agree(np.array(["a"]), np.array(["a"]), tolerance=0.5)
    assert not agree(np.array([1.0], dtype=object), np.array([1.0], dtype=object), tolerance=0.5)


def test_whole_numbers_are_compared_exactly():
    assert agree(np.array([1, 2**62]), np.array([1, 2**62]), tolerance=0)
    assert not agree(np.array([0], dtype=np.uint8), np.array([255], dtype=np.uint8), tolerance=0.5)
    assert not agree(np.array([2**62 + 1]), np.array([2**62]), tolerance=0)


def test_tolerance_zero_means_equal():
    assert not agree(np.array([np.nextafter(3.7, 4)]), np.array([3.7]), tolerance=0)
    assert agree(np.array([3.7]), np.array([3.7]), tolerance=0)


def test_nothing_to_compare_is_no_agreement():
    assert not agree({}, {}, tolerance=0.5)
    assert not agree(np.ones((0, 3)), np.ones((0, 3)), tolerance=0.5)


def test_both_zero_agrees_and_is_counted():
    zero, one = np.zeros(2), np.ones(2)
    assert assert_agree({"a": zero, "b": one, "c": zero}, {"a": zero, "b": one, "c": zero}, tolerance=0) == (3, 2, 0.0)
    assert not agree(zero, one, tolerance=0.5) and not agree(one * 1e-300, zero, tolerance=0.5)
    assert relative_error(one, zero) == INF
    assert agree(one * 1e-12, zero, tolerance=1e-10, scale=1.0)


def test_dicts_must_name_the_same_tensors():
    with pytest.raises(AssertionError, match=r"missing \['b'\], not in the reference \['c'\]"):
        assert_agree({"a": 1.0, "c": 1.0}, {"a": 1.0, "b": 1.0}, tolerance=0.1)
    assert not agree({"a": 1.0}, 1.0, tolerance=0.1) and not agree(1.0, {"a": 1.0}, tolerance=0.1)


def test_one_wrong_tensor_hides_behind_no_large_one():
    big, small = np.full(10**4, 1e6), np.full(2, 1e-6)
    assert not agree({"W": big, "b": small * 1.1}, {"W": big, "b": small}, tolerance=1e-3)


def test_the_words_name_tensor_place_values_and_ratio():
    value, reference = np.ones((2, 3)), np.ones((2, 3))
    value[1, 2] = 5.0
    with pytest.raises(AssertionError) as caught:
        assert_agree({"W2": value}, {"W2": reference}, tolerance=1e-9)
    for words in ("W2", "[1, 2]", "5.0 against 1.0", "ratio 5", "1 of 6 elements"):
        assert words in str(caught.value)


def test_elementwise_catches_one_element_in_a_long_tensor():
    reference = np.ones(10**6)
    value = reference.copy()
    value[7] += 1e-4
    assert agree(value, reference, tolerance=1e-6)
    assert not agree(value, reference, tolerance=1e-6, elementwise=1e-6)
    with pytest.raises(AssertionError, match=r"worst at \[7\]"):
        assert_agree(value, reference, tolerance=1e-6, elementwise=1e-6)


@pytest.mark.parametrize("tolerance", [-1e-9, 1.0, INF, NAN])
def test_a_tolerance_that_says_nothing_is_refused(tolerance):
    with pytest.raises(OptionError):
        agree(1.0, 1.0, tolerance=tolerance)
    with pytest.raises(OptionError):
        verdict([1.0], [1.0], tolerance=tolerance)


@pytest.mark.parametrize("scale", [0.0, -1.0, INF, NAN])
def test_a_scale_that_says_nothing_is_refused(scale):
    with pytest.raises(OptionError):
        agree(1.0, 2.0, tolerance=0.1, scale=scale)


def test_block_scales_have_a_floor_for_tensors_that_are_zero_by_rounding():
    scales = block_scales({"W": np.array([100.0]), "b": np.array([1e-15])}, loss=2.0, theta={"W": [1.0], "b": [0.0]})
    assert scales == {"W": 100.0, "b": 1e-8}
    assert block_scales({"W": np.zeros(2)}, loss=1.0)["W"] == 4 * np.finfo(float).eps
    assert block_scales({"W": np.zeros(2)})["W"] > 0


def test_verdict_passes_only_with_a_small_error_estimate():
    g = np.array([3.0, 4.0])
    assert verdict(g, g + 1e-12, np.full(2, 1e-12), tolerance=1e-8) == "pass"
    assert verdict(g, g, np.full(2, 1e-8), tolerance=1e-8) == "inconclusive"
    assert verdict(g, g, tolerance=1e-11) == "pass"


def test_verdict_fails_a_wrong_gradient_even_with_a_poor_estimate():
    g = np.array([3.0, 4.0])
    assert verdict(2 * g, g, np.full(2, 1e-4), tolerance=1e-8) == "fail"
    assert verdict(g + 1e-3, g, np.full(2, 1e-3), tolerance=1e-8) == "inconclusive"


def test_verdict_never_passes_what_is_no_number():
    g = np.array([3.0, 4.0])
    for bad in (NAN, INF):
        assert verdict([bad, 4.0], g, tolerance=1e-8) == "fail"
        assert verdict(g, [bad, 4.0], tolerance=1e-8) == "inconclusive"
        assert verdict(g, g, [bad, 0.0], tolerance=1e-8) == "inconclusive"
    assert verdict(g, g[:, None], tolerance=1e-8) == "fail" and verdict([], [], tolerance=1e-8) == "fail"


def test_verdict_of_both_zero_is_pass():
    assert verdict(np.zeros(3), np.zeros(3), tolerance=1e-8) == "pass"
    assert verdict(np.zeros(3), np.zeros(3), np.full(3, 1e-12), tolerance=1e-8, scale=1e-10) == "pass"
    assert verdict(np.zeros(3), np.zeros(3), np.full(3, NAN), tolerance=1e-8) == "inconclusive"
    assert verdict(np.full(3, 1e-9), np.zeros(3), tolerance=1e-8) == "fail"
    assert verdict(np.full(3, 1e-9), np.zeros(3), tolerance=1e-8, scale=1.0) == "pass"
