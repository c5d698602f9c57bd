"""Every case: the gradient that runs is the derivative of the loss that is reported, per parameter tensor."""

import cases
import numpy as np
import pytest

from backproof.calculus import Map, walk
from backproof.engines.reference import Run
from backproof.oracles import assert_agree, block_scales, complex_step, richardson

ANALYTIC = {"exp", "log", "sqrt", "reciprocal", "sigmoid", "tanh", "erf", "expm1", "softplus", "identity", "square", "gelu", "silu",
            "log_softplus", "maximum", "relu", "abs", "leaky_relu", "select", "greater", "minimum", "step", "sign", "equal",
            "elu", "selu", "softsign", "hardtanh"}        # branches are chosen by the real part: analytic away from kinks


def check(case):
    model, (X, y, weights) = case.model(), case.data()
    J, gradients = model.objective_and_gradients(X, y, weights)
    theta = dict(model.parameters)
    numeric = complex_step(model.objective_function(X, y, weights), theta)
    scales = block_scales(numeric, loss=J, theta=theta)
    assert_agree(gradients, numeric, tolerance=case.tolerance, scale=scales)


@pytest.mark.parametrize("case", cases.pairings(), ids=lambda case: case.name)
def test_every_admissible_pairing_has_the_gradient_of_its_loss(case):
    check(case)


@pytest.mark.parametrize("case", [*cases.hidden(), *cases.recurrent(), *cases.others()], ids=lambda case: case.name)
def test_every_hidden_activation_cell_and_layer_has_the_gradient_of_its_loss(case):
    check(case)


@pytest.mark.parametrize("case", [*cases.hidden()[::3], *cases.recurrent()[::5], *cases.others()[::3]], ids=lambda case: case.name)
def test_richardson_agrees_without_complex_numbers(case):
    model, (X, y, weights) = case.model(), case.data()
    J, gradients = model.objective_and_gradients(X, y, weights)
    theta = dict(model.parameters)
    numeric, error = richardson(model.objective_function(X, y, weights), theta)
    scales = block_scales(numeric, loss=J, theta=theta)
    for name in gradients:
        if np.linalg.norm(error[name]) <= 1e-9 * scales[name]:            # a step across a kink is no evidence
            assert_agree(gradients[name], numeric[name], tolerance=1e-8, scale=scales[name], name=name)


def test_the_check_fails_on_a_wrong_gradient():
    case = cases.hidden()[0]
    model, (X, y, weights) = case.model(), case.data()
    J, gradients = model.objective_and_gradients(X, y, weights)
    numeric = complex_step(model.objective_function(X, y, weights), dict(model.parameters))
    gradients["W1"] = gradients["W1"] * (1 + 1e-9)
    with pytest.raises(AssertionError):
        assert_agree(gradients, numeric, tolerance=1e-11, scale=block_scales(numeric, loss=J, theta=dict(model.parameters)))


def test_every_elementwise_function_of_the_cases_is_complex_safe():
    used = {node.function.name for case in [*cases.hidden(), *cases.recurrent(), *cases.others()]
            for equation in case.network().system() for node in walk(equation.expression) if isinstance(node, Map)}
    assert used <= ANALYTIC


@pytest.mark.parametrize("case", [*cases.pairings()[::17], *cases.recurrent(), *cases.others()], ids=lambda case: case.name)
def test_deltas_and_input_gradients_are_derivatives_of_one_samples_loss(case):
    """∂E_n/∂x and ∂E_n/∂z of a sample: of w_n E_n, without the 1/N of the mean."""
    model, (X, y, weights) = case.model(), case.data()
    if model.network.vocabulary is not None:
        pytest.skip("token numbers have no gradient")
    fed = model._feeds(X, y, weights)
    program = model.program("J", **fed.how)

    def value(theta):
        stored = model._store(program, {**fed.arrays, "x": theta["x"]})
        return Run(program, {**model.parameters, **stored}, np.result_type(theta["x"])).outputs()["J"][()]
    numeric = complex_step(value, {"x": np.asarray(fed.arrays["x"], float)})["x"] * fed.n
    assert_agree(model.input_gradients(X, y, weights), numeric, tolerance=1e-11, scale=max(np.linalg.norm(numeric), 1e-12))
