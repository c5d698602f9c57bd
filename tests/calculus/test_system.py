"""Systems: names are looked up modulo a factor, never taken twice, and always with their indices."""

import pytest

from backproof.calculus import SAMPLE, TIME, Index, Ref, System, Variable, exp, number, shift, square, tanh
from backproof.errors import DerivationError, ExpressionError, ShapeError

x, J = Variable("x", (SAMPLE,)), Index("j", 3)


def system():
    made = System()
    made.define("a", tanh(x))
    made.define("b", 2 * square(made.ref("a")))
    return made


def test_what_has_a_name_is_found_modulo_a_factor():
    made = system()
    assert made.name_of(-3 * tanh(x)) is -3 * made.ref("a")
    assert made.name_of(square(made.ref("a"))) is made.ref("b") / 2
    assert made.fold(exp(tanh(x))) is exp(made.ref("a"))


def test_numbers_and_bare_names_are_never_named():
    made = System()
    made.define("one", number(1))
    made.define("again", x)
    made.define("c", exp(x))
    assert made.name_of(number(1)) is None and made.name_of(x) is None
    assert made.ref("again") is x and "again" not in made.equations


def test_a_name_is_taken_once():
    made = system()
    made.define("other", made.ref("a"))
    for name in ("a", "other"):
        with pytest.raises(ExpressionError, match=f"the name '{name}' is taken"):
            made.define(name, exp(x))


def test_a_copy_goes_its_own_way():
    made = system()
    made.copy().define("c", exp(x))
    assert "c" not in made and made.name_of(exp(x)) is None


def test_a_revised_equation_is_found_by_its_new_side_alone():
    made = system()
    made.revise("a", expression=exp(x))
    assert made.name_of(exp(x)) is made.ref("a") and made.name_of(tanh(x)) is None


def test_axes_are_those_of_the_expression():
    with pytest.raises(ShapeError, match=r"c has indices \[j\], its expression \[n\]"):
        system().define("c", exp(x), axes=(J,))


def test_names_without_an_equation_and_two_variables_of_one_name_are_found():
    made = System()
    made.define("h", tanh(shift(Ref("g", (TIME,)), TIME, 1, 0)))
    with pytest.raises(DerivationError, match="'g' is used but never defined"):
        made.check()
    made = system()
    made.define("c", exp(Variable("x", (SAMPLE, J))))
    with pytest.raises(ExpressionError, match="two variables are called 'x'"):
        made.variables    # noqa: B018
    with pytest.raises(ExpressionError, match="no equation 'z'"):
        made["z"]


def test_what_is_needed_comes_in_order_of_definition_and_what_depends_is_found():
    made = system()
    made.define("c", exp(x))
    assert made.needed_for(["b"]) == ["a", "b"] and made.depending_on(["a"]) == {"b"}


def test_an_equation_may_not_read_a_variable_of_its_own_name():
    with pytest.raises(ExpressionError, match="'f' reads a variable of its own name"):
        System().define("f", 2 * Variable("f"))
