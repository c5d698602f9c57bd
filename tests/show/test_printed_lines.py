"""What is printed is checked: every line of every form evaluates to what the engine and the complex step give."""

from dataclasses import replace

import pytest
from show.random_networks import random_network

from backproof import Network
from backproof.derivation import _error
from backproof.errors import DerivationError, OptionError
from backproof.show.instance import Instance
from backproof.show.lines import lines_of
from backproof.show.notation import NOTATIONS
from backproof.show.trees import Plus, Quotient, Symbol, Transpose, rewrite

HOLDS = 1e-9


def worst(derivation, **style):
    errors = derivation.check(lines=derivation.lines(**style))
    return max(errors.values())


@pytest.mark.parametrize("seed", range(0, 40))
def test_every_line_of_a_random_network_holds_in_every_form(seed):
    network, how = random_network(seed)
    derivation = network.derive(**how)
    for form, layout in (("index", "sample"), ("matrix", "sample"), ("matrix", "batch")):
        assert worst(derivation, form=form, layout=layout) < HOLDS, (form, layout)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(40, 300))
def test_every_line_of_every_random_network_holds_in_every_form(seed):
    network, how = random_network(seed)
    derivation = network.derive(**how)
    for form, layout in (("index", "sample"), ("matrix", "sample"), ("matrix", "batch")):
        for book in (False, True):
            assert worst(derivation, form=form, layout=layout, book=book) < HOLDS, (form, layout, book)


@pytest.mark.parametrize("notation", NOTATIONS)
@pytest.mark.parametrize("layout", ["sample", "batch"])
def test_every_notation_holds_and_so_do_folded_biases(notation, layout):
    derivation = Network("3 | 4 tanh | 4 sigmoid | 2 softmax", loss="cross_entropy", l2=0.1, l1=0.01).derive()
    assert worst(derivation, notation=notation, form="index", layout=layout) < HOLDS
    assert worst(derivation, notation=notation, form="matrix", layout=layout) < HOLDS
    assert worst(derivation, notation=notation, form="matrix", layout=layout, bias="folded") < HOLDS


SPOILED = {
    "a transpose left out": lambda node: node.body if isinstance(node, Transpose) else None,
    "a sign turned": lambda node: Plus(tuple((-w, t) for w, t in node.terms)) if isinstance(node, Plus) else None,
    "a fraction turned over": lambda node: Quotient(node.bottom, node.top) if isinstance(node, Quotient) else None,
    "one layer's activation for another's": lambda node: replace(node, name="a2") if isinstance(node, Symbol) and node.name == "a1" else None,
}


@pytest.mark.parametrize("mistake", SPOILED)
def test_a_spoiled_line_does_not_pass_its_check(mistake):
    derivation = Network("4 | 4 tanh | 4 tanh | 4 softmax", loss="cross_entropy").derive()
    lines = [line for form in ("index", "matrix") for line in lines_of(derivation, NOTATIONS["house"], form, "sample", book=True)]
    found = 0
    for line in lines:
        system = line.system or derivation.system
        instance = Instance(system, {"E": 1}, seed=0)
        for side in line.sides:
            spoiled = rewrite(side.tree, SPOILED[mistake])
            if spoiled != side.tree:
                found += 1
                assert _error(line, replace(side, tree=spoiled), instance) > 1e-6, line.equation.name
    assert found


def test_a_line_that_does_not_hold_fails_the_print(monkeypatch):
    derivation = Network("3 | 2 tanh | 1").derive()
    monkeypatch.setattr(type(derivation), "check", lambda self, lines: {line.number: 0.5 if line.number == 3 else 0.0 for line in lines})
    with pytest.raises(DerivationError, match="printed lines 3 do not hold") as caught:
        derivation.to_text(check=True)
    assert "✗ 5e-01" in str(caught.value)


@pytest.mark.parametrize("style, message", [
    ({"form": "tensor"}, "form='tensor'"), ({"layout": "columns"}, "layout='columns'"), ({"notation": "B"}, "notation='B'"),
    ({"bias": "hidden", "form": "matrix"}, "bias='hidden'"), ({"bias": "folded"}, "written with matrices"),
    ({"language": "fr"}, "language='fr'"), ({"colour": "red"}, "no option 'colour'"), ({"names": 3}, "names=3")])
def test_an_option_that_is_none_is_refused_with_those_that_are(style, message):
    with pytest.raises(OptionError, match=message):
        Network("3 | 2").derive().to_text(**style)


def test_equal_networks_print_equally_whatever_was_built_before():
    first = Network("3 | gru 2 | last | 2 softmax", loss="cross_entropy").derive().to_latex()
    for seed in range(5):
        random_network(seed)
    assert Network("3 | gru 2 | last | 2 softmax", loss="cross_entropy").derive().to_latex() == first


def test_printing_grows_linearly_in_depth():
    lines = [len(Network("3 | " + "4 tanh | " * depth + "1").derive().lines()) for depth in (10, 20, 40)]
    assert lines[2] - lines[1] == 2 * (lines[1] - lines[0])
