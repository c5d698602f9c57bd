"""Losses: written on activations, refused outside their range, and the output error that follows."""

import pytest

from backproof.calculus import select, square, total
from backproof.errors import ExpressionError, OptionError, RangeError, SpecError
from backproof.network import Network
from backproof.networks import LOSSES, Dense, loss


def equations(spec, loss="squared_error", **how):
    return {q.name: repr(q.expression) for q in Network(spec, loss=loss).gradient_system(**how).system}


@pytest.mark.parametrize("spec, loss, target, y", [
    ("3 | 2", "squared_error", None, "y[n,layer1]"),
    ("3 | 2 sigmoid", "binary_cross_entropy", None, "y[n,layer1]"),
    ("3 | 1 sigmoid", "binary_cross_entropy", None, "y[n,layer1]"),
    ("3 | 2 softmax", "cross_entropy", "class", "[y[n] = layer1]"),
    ("3 | 2 softmax", "cross_entropy", "dense", "y[n,layer1]"),
    ("3 | 2 exp", "poisson", None, "y[n,layer1]"),
])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_canonical_pairings_give_a_minus_y(spec, loss, target, y, weighted):
    delta = equations(spec, loss, target=target, weighted=weighted)["delta1"]
    a = "z1[n,layer1]" if spec == "3 | 2" else "a1[n,layer1]"
    factor = f"w[n]·({{}})" if weighted else "{}"                                             # noqa: F541
    assert delta in (factor.format(f"{a} − {y}"), factor.format(f"−{y} + {a}"))


def test_a_recurrent_net_has_a_minus_y_at_every_step():
    delta = equations("3 | rnn 2 | 2 softmax", "cross_entropy")["delta2"]
    assert delta == "T^-1·(a2[t,n,layer2] − [y[t,n] = layer2])"


def test_a_loss_that_runs_in_another_form_keeps_the_written_one():
    E = Network("3 | 2 softmax", loss="cross_entropy").system()["E"]
    assert repr(E.written) == "-1·(Σ_layer1 log(a1[n,layer1])·[y[n] = layer1])"
    assert "log(" not in repr(E.expression)
    assert Network("3 | 2").system()["E"].written is None


@pytest.mark.parametrize("output, name, message", [
    ("relu", "cross_entropy", "cross_entropy takes outputs on the simplex, and 'relu' gives [0, inf)"),
    ("sigmoid", "cross_entropy", "end the network with softmax"),
    ("tanh", "binary_cross_entropy", "end the network with sigmoid"),
    ("softmax", "binary_cross_entropy", "or take loss='cross_entropy'"),
    ("step", "binary_cross_entropy", "'step' gives [0, 1]"),
    ("linear", "poisson", "end the network with exp or softplus"),
    ("relu", "poisson", "poisson takes outputs in (0, inf)"),
    ("softmax | dropout 0.5", "cross_entropy", "'dropout' gives (-inf, inf)"),
])
def test_a_pairing_outside_the_range_is_refused_with_the_mend(output, name, message):
    with pytest.raises(RangeError) as caught:
        Network(f"3 | 2 {output}", loss=name)
    assert message in str(caught.value)


def test_every_activation_that_keeps_to_the_range_is_taken():
    from backproof.networks import ACTIVATIONS
    taken = {name: [] for name in LOSSES}
    for name in LOSSES:
        for activation in ACTIVATIONS:
            try:
                Network(f"3 | 1 {activation}", loss=name)
                taken[name].append(activation)
            except RangeError:
                pass
    assert taken["cross_entropy"] == ["softmax"] and taken["binary_cross_entropy"] == ["sigmoid"]
    assert taken["poisson"] == ["softmax", "exp", "sigmoid", "softplus"]
    assert all(taken[name] == list(ACTIVATIONS) for name in LOSSES
               if name not in ("cross_entropy", "binary_cross_entropy", "poisson"))


def test_a_pair_shares_the_error_signal_as_minus_one_and_one():
    found = equations("3 | s: 1 nobias", "pairwise_margin")
    assert found["E"] in ("relu(1 − Σ_member,s slice(s.z[n,pair,s]) + Σ_member,s slice(s.z[n,pair,s]))",
                          "relu(1 + Σ_member,s slice(s.z[n,pair,s]) − Σ_member,s slice(s.z[n,pair,s]))")
    assert set(found["s.delta"].split(" + ")) == {"join(0, step(E[n]))", "join(-1·step(E[n]), 0)"}
    plain = Network("3 | s: 1 nobias", loss="pairwise_difference").gradient_system()
    assert set(repr(plain.system["s.delta"].expression).split(" + ")) == {"join(-1, 0)", "join(0, 1)"}    # named, though plain


def test_a_pair_wants_one_score_and_no_target():
    with pytest.raises(SpecError, match="takes one score, and the network gives 2"):
        Network("3 | 2", loss="pairwise_margin")
    with pytest.raises(OptionError, match="takes no target"):
        Network("3 | 1", loss="pairwise_margin").system(target="dense")


def test_options_stand_in_the_name_or_in_the_call():
    assert Network("3 | 1", loss="huber(delta=0.5)") == Network("3 | 1", loss=LOSSES["huber"](delta=0.5))
    assert Network("3 | 1", loss="quantile(q=0.9)").loss.text() == "quantile(q=0.9)"
    assert LOSSES["huber"].text() == "huber"


@pytest.mark.parametrize("given, message", [
    ("hubr", "did you mean 'huber'?"), ("huber(d=1)", "unknown option"), ("huber(delta=x)", "is no option"),
    ("huber(delta=0)", "above 0"), ("quantile(q=1)", "above 0 and below 1"), (3, "3 is no loss"),
])
def test_unknown_losses_and_options_are_answered(given, message):
    with pytest.raises(OptionError) as caught:
        Network("3 | 1", loss=given)
    assert message in str(caught.value)


def test_a_target_of_another_form_is_refused():
    with pytest.raises(OptionError, match="takes no target of the form 'class'"):
        Network("3 | 1").system(target="class")


# a user's loss: one function, and everything follows

@loss
def asymmetric(a, y, factor=3): return total(select(a > y, square(a - y), factor * square(a - y)), over="k")


def test_a_users_loss_is_one_function():
    found = equations("3 | 2", asymmetric(factor=2))
    assert "select(greater(z1[n,layer1], y[n,layer1]), square(" in found["E"] and "grad.W1" in found
    mean_one = loss(lambda a, y: total(square(a - y), over="k"))
    assert mean_one.name == "<lambda>"


def test_a_users_mean_over_outputs_counts_them():
    from backproof.calculus import mean

    @loss
    def average(a, y): return mean(square(a - y), over="k")
    assert repr(Network("3 | 4", loss=average).system()["E"].expression).startswith("Σ_layer1 1/4·square")


def test_a_loss_that_is_no_number_or_reads_nothing_is_refused():
    with pytest.raises(ExpressionError, match="is no single number"):
        @loss
        def vector(a, y): return square(a - y)
    with pytest.raises(ExpressionError, match="does not depend on the prediction"):
        @loss
        def constant(a, y): return total(square(y), over="k")
    with pytest.raises(OptionError, match="is built in"):
        @loss
        def huber(a, y): return total(square(a - y), over="k")
        Network([Dense(1)], inputs=3, loss=huber)
