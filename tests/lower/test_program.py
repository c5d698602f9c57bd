"""The verifier lets no corrupted program through, and a listing shows everything that runs."""

from dataclasses import replace
from fractions import Fraction

import pytest
from systems import lstm, perceptron, recurrent

from backproof.calculus import TIME, Index, System, Variable, one_hot, total, SAMPLE
from backproof.errors import ProgramError
from backproof.lower import INSTRUCTIONS, WORDS, Instruction, Operand, Program, Value, Word, lower

J = Index("j", 3)
DENSE, LOOP = perceptron().program, recurrent().program


def lookup():
    system, V = System(), Index("v", 4)
    system.define("out", total(Variable("E", (V, J), "parameter") * one_hot(Variable("ids", (SAMPLE,), integer=True), V), over=V))
    return lower(system, ["out"])


LOOKUP = lookup()


def changed(program, kind, **fields):
    """The program with fields of its first instruction of a kind replaced (functions are applied), in loops too."""
    def each(instructions):
        for k, instruction in enumerate(instructions):
            if instruction.op == kind:
                new = {key: value(instruction) if callable(value) else value for key, value in fields.items()}
                return (*instructions[:k], replace(instruction, **new), *instructions[k + 1:])
            if instruction.body and (body := each(instruction.body)) != instruction.body:
                return (*instructions[:k], replace(instruction, body=body), *instructions[k + 1:])
        return instructions
    return lambda: replace(program, instructions=each(program.instructions))


def without(program, op):
    return lambda: replace(program, instructions=tuple(i for i in program.instructions if i.op != op))


def valued(program, name, **fields):
    return lambda: replace(program, values={**program.values, name: replace(program.values[name], **fields)})


def relabelled(position, axes):
    return lambda i: tuple(replace(o, axes=axes(o.axes)) if k == position else o for k, o in enumerate(i.product))


X = DENSE.values["x"]
CORRUPTIONS = {
    "unknown instruction": (changed(DENSE, "map", op="warp"), "unknown instruction 'warp'"),
    "unknown word": (changed(DENSE, "map", words=(Word("sinh", (("r", 0),)),)), "unknown word 'sinh'"),
    "a word with too few arguments": (changed(DENSE, "map", words=(Word("add", (("r", 0),)),)), "add takes 2 arguments"),
    "a word that reads a later word": (changed(DENSE, "map", words=(Word("copy", (("w", 0),)),)), "which is not there"),
    "a word that reads a missing operand": (changed(DENSE, "map", words=(Word("copy", (("r", 9),)),)), "which is not there"),
    "a word that reads a negative operand": (changed(DENSE, "map", words=(Word("copy", (("r", -1),)),)), "which is not there"),
    "acc outside a dense": (changed(DENSE, "map", words=(Word("copy", (("acc",),)),)), "which is not there"),
    "no words": (changed(DENSE, "map", words=()), "map has no words"),
    "a value that does not exist": (changed(DENSE, "map", operands=(Operand("ghost", ()),)), "ghost is no value"),
    "a target that does not exist": (changed(DENSE, "map", out="ghost"), "ghost is no value"),
    "reversed order": (lambda: replace(DENSE, instructions=DENSE.instructions[::-1]), "read before it is written"),
    "the first instruction dropped": (lambda: replace(DENSE, instructions=DENSE.instructions[1:]), "read before it is written"),
    "written twice": (lambda: replace(DENSE, instructions=(DENSE.instructions[0], *DENSE.instructions)), "written twice"),
    "a parameter overwritten": (lambda: replace(DENSE, instructions=(replace(DENSE.instructions[0], out="W1"),)),
                                "W1 is parameter, no value to write"),
    "too few labels": (changed(DENSE, "dense", product=relabelled(0, lambda axes: axes[:-1])), "labels, .* axes"),
    "a label twice": (changed(DENSE, "dense", product=relabelled(0, lambda axes: (axes[0], axes[0]))), "twice|labels an axis"),
    "a label of another extent": (changed(DENSE, "dense", product=relabelled(0, lambda axes: ((Index("q", 99), 0), axes[1]))),
                                  "reads outside"),
    "an offset outside": (changed(DENSE, "dense", product=relabelled(0, lambda axes: ((axes[0][0], 1), axes[1]))), "reads outside"),
    "a strange label": (changed(DENSE, "dense", product=relabelled(1, lambda axes: (("middle", 0), axes[1]))), "label 'middle'"),
    "an offset along the samples": (changed(DENSE, "dense", product=relabelled(1, lambda axes: ((axes[0][0], 1), axes[1]))),
                                    "past the last step"),
    "a sum over an index of one factor": (changed(DENSE, "dense", product=relabelled(0, lambda axes: ((Index("q", 3), 0), axes[1]))),
                                          "dense sums q, x.unit of one factor alone"),
    "three factors": (changed(DENSE, "dense", product=lambda i: (*i.product, i.product[0])), "dense takes two factors"),
    "a product outside a dense": (changed(DENSE, "map", product=(Operand("b1", DENSE.instructions[0].operands[0].axes),)),
                                  "map takes no product"),
    "a map that needs more indices than it writes": (changed(DENSE, "map", operands=(Operand("W1", tuple((i, 0) for i in DENSE.values["W1"].axes)),),
                                                     words=(Word("copy", (("r", 0),)),)), "labels .* are not in"),
    "an unknown reduction": (changed(DENSE, "reduce", how="median"), "reduce takes sum, max or logsumexp"),
    "an unknown storage": (valued(DENSE, "x", storage="cloud"), "unknown storage 'cloud'"),
    "an output that is never written": (lambda: replace(DENSE, outputs={"E": Operand("ghost", ())}), "ghost is no value"),
    "a gradient that is never written": (lambda: replace(DENSE, gradients={"W1": "ghost"}), "ghost is no value"),
    "a replaced value that does not exist": (lambda: replace(DENSE, replaces={"a1": "ghost"}), "ghost is no value"),
    "a replacement of another shape": (lambda: replace(DENSE, replaces={"grad.W1": "b1"}), "another shape"),
    "a slot that nothing fills": (without(LOOP, "fill"), "not filled"),
    "a slot on the other side": (changed(LOOP, "fill", how="behind"), "no slot behind"),
    "a fill of a value without a slot": (valued(LOOP, "h", pad=None), "no slot before"),
    "a loop without direction": (changed(LOOP, "loop", how="sideways"), "ascending or descending"),
    "a loop in the wrong direction": (changed(LOOP, "loop", how="descending"), "read before it is written in the same step"),
    "a loop body in another order": (changed(lstm().program, "loop", body=lambda i: i.body[::-1]), "read before it is written in the same step"),
    "a line of a loop twice": (changed(LOOP, "loop", body=lambda i: i.body * 2), "written twice"),
    "a loop in a loop": (changed(LOOP, "loop", body=lambda i: (i,)), "written twice|cannot stand in a loop|unknown"),
    "a loop that writes what has no steps": (changed(LOOP, "loop", index=Index("s", "T", "time")), "has no index 's'|same step"),
    "float ids": (valued(LOOKUP, "ids", integer=False), "integer ids"),
    "a gather along another index": (changed(LOOKUP, "gather", index=Index("w", 4)), "does not fit its index"),
}


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_verifier_finds(name):
    corrupt, words = CORRUPTIONS[name]
    with pytest.raises(ProgramError, match=words):
        corrupt()


def test_reading_a_state_at_the_last_step_inside_its_own_loop_is_found():
    def body(loop):
        first = loop.body[0]
        wrong = Operand("h", tuple(("last", 0) if i == TIME else (i, 0) for i in LOOP.values["h"].axes))
        return (*loop.body[:-1], replace(loop.body[-1], operands=(*loop.body[-1].operands, wrong))) if len(loop.body) > 1 \
            else (replace(first, operands=(*first.operands, wrong)),)
    with pytest.raises(ProgramError, match="same step"):
        changed(LOOP, "loop", body=body)()


def test_a_parameter_is_not_read_after_its_update():
    w = Value("w", (J,), "parameter")
    new, late = Value("new", (J,)), Value("late", (J,))
    def copied(out, source):                                                                              # noqa: E306
        return Instruction("map", out, (Operand(source, ((J, 0),)),), words=(Word("mul", (("r", 0), Fraction(2))),))
    values = {v.name: v for v in (w, new, late)}
    Program(values, (), (copied("late", "w"), copied("new", "w")), replaces={"new": "w"})
    with pytest.raises(ProgramError, match="w is read after its update"):
        Program(values, (), (copied("new", "w"), copied("late", "w")), replaces={"new": "w"})


def test_every_program_of_the_tests_passes_unchanged():
    for program in (DENSE, LOOP, LOOKUP, lstm().program):
        assert program.verify() is program


def test_a_listing_shows_every_instruction_and_output():
    for program in (DENSE, LOOP):
        lines = program.listing().splitlines()
        stored = sum(v.storage != "value" for v in program.values.values())
        assert len(lines) == stored + len(program) + len(program.outputs)
        for value in program.values:
            assert any(value in line for line in lines)


def test_instructions_and_words_used_are_those_of_the_tables():
    for program in (DENSE, LOOP, LOOKUP):
        assert {i.op for i in program.instructions} <= set(INSTRUCTIONS)
        assert {w.name for i in program.instructions for w in i.words} <= set(WORDS)


def test_a_two_layer_perceptron_is_ten_instructions_and_two_for_its_loss():
    assert len(DENSE) == 12
    assert DENSE.listing().count("dense") == 5           # two forward, one backward, two gradients
