"""The buffer plan: a program that runs inside one poisoned arena gives the same bits, for any extent up to capacity."""

from dataclasses import replace

import numpy as np
import pytest
from systems import lstm, perceptron, recurrent

from backproof.engines.reference import Run
from backproof.lower import plan
from backproof.lower.plan import count


class ArenaRun(Run):
    """The reference engine with its values in one arena of NaN, where the plan says."""

    def __init__(self, program, feeds, plan, dtype=np.float64):
        self.plan, self.arena = plan, np.full(plan.length, np.nan, dtype)
        super().__init__(program, feeds, dtype)

    def allocate(self, value):
        elsewhere = super().allocate(value)
        if value.name not in self.plan.offsets:
            return elsewhere                                           # gradients and updates have arenas of their own
        start = self.plan.offsets[value.name]
        assert start + elsewhere.size <= self.plan.length
        place = self.arena[start:start + elsewhere.size].reshape(elsewhere.shape)
        place.fill(np.nan)                                             # who still needed what lay here will notice
        return place

    def store(self, instruction, array, step):
        value = self.program.values[instruction.out]
        if value.name not in self.arrays:
            array = np.array(array)
            self.arrays[value.name] = self.allocate(value)
        if not step and value.pad is None:
            self.arrays[value.name][...] = array
        else:
            super().store(instruction, array, step)


CASES = {"perceptron": lambda: perceptron((3, 7, 5, 2)), "recurrent": recurrent, "backwards": lambda: recurrent(-1, loss="each"),
         "lstm": lstm, "one layer": lambda: perceptron((2, 1))}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("capacity", [{"N": 8, "T": 9}, None], ids=["larger", "exact"])
def test_the_arena_gives_the_same_bits(name, capacity):
    case = CASES[name]()
    program, free = case.program, case.run()
    bound = ArenaRun(program, case.feeds, plan(program, **(capacity or case.extents)))
    assert np.array_equal(bound.outputs()["E"], free.outputs()["E"])
    for parameter, gradient in free.gradients().items():
        assert np.array_equal(bound.gradients()[parameter], gradient)


def test_values_share_memory_once_they_are_dead():
    program = perceptron((3, *[8] * 30, 2)).program
    made = plan(program, N=16)
    assert made.length < 0.7 * sum(count(program.values[name], {"N": 16}) for name in made.offsets)


def test_a_plan_that_lets_living_values_overlap_is_noticed():
    case = perceptron((3, 7, 5, 2))
    made = plan(case.program, **case.extents)
    wrong = ArenaRun(case.program, case.feeds, replace(made, offsets=dict.fromkeys(made.offsets, 0)))
    assert any(not np.array_equal(wrong.gradients()[name], array) for name, array in case.run().gradients().items())


def test_parameters_and_gradients_lie_in_one_row_each_at_equal_places():
    program = perceptron((3, 7, 2)).program
    made = plan(program, N=4)
    sizes = {name: count(program.values[name], {}) for name in program.parameters}
    ends = sorted((start, start + sizes[name]) for name, start in made.layout.items())
    assert [a for a, _ in ends] == [0, *(b for _, b in ends)][:-1] and ends[-1][1] == made.parameters == sum(sizes.values())
    assert set(made.layout) == set(program.parameters) and not set(program.gradients.values()) & set(made.offsets)


def test_a_plan_grows_with_its_capacity_alone():
    program = recurrent().program
    assert plan(program, N=64, T=100).length > 50 * plan(program, N=4, T=10).length / 10
    assert plan(program, N=4, T=10).bytes() == 4 * (plan(program, N=4, T=10).length + 2 * plan(program, N=4, T=10).parameters)
