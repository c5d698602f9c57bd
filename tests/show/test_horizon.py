"""The horizon measures what it says: each number against the complex step or the truncated gradient itself."""

import json

import numpy as np
import pytest

from backproof.engines.reference import Run
from backproof.errors import OptionError
from backproof.lower import lower
from backproof.network import Network
from backproof.show.horizon import Horizon

DRAW = np.random.default_rng(5)
X = [DRAW.normal(size=(t, 3)) for t in (9, 5, 7)]


def model_of(spec, seed=2):
    model = Network(spec).build(seed=seed, dtype="float64")
    return model.set_parameters(**{k: 0.8 * DRAW.normal(size=v.shape) for k, v in model.parameters.items()})


def targets(model):
    return [DRAW.normal(size=(len(x), 2)) for x in X] if model.network.output_per_step else DRAW.normal(size=(3, 2))


def signal(model, x, y, s, t):
    """‖∂E_s/∂(states at t)‖ by the complex step through the steps t + 1 … s; E_s the loss of step s alone."""
    states = model.network.states
    before = Run(lower(model.network.system(), states), {**model.parameters, "x": x[:, None]}, np.float64).outputs()
    if s == t:
        return None
    program = lower(model.network.system(given_state=True), ["prediction"])
    squares = 0.0
    for state in states:
        for unit in range(before[state].shape[-1]):
            start = {f"{name}.start": before[name][t].astype(complex) for name in states}
            start[f"{state}.start"][0, unit] += 1e-20j
            run = Run(program, {**model.parameters, "x": x[t + 1:s + 1, None], **start}, np.complex128)
            a = run.outputs()["prediction"].reshape(-1, 2)[-1]
            squares += (0.5 * ((a - y) ** 2).sum()).imag ** 2 / 1e-40
    return np.sqrt(squares)


@pytest.mark.parametrize("spec", ["3 | rnn 4 | 2", "3 | lstm 3 | 2", "3 | gru 2 | rnn 3 | 2", "3 | rnn 4 | last | 2"])
def test_the_curve_is_the_derivative_by_older_states(spec):
    model = model_of(spec)
    y = targets(model)
    found = model.horizon(X, y)
    for row, (n, s) in zip(found.heat, found.losses):
        target = y[n][s] if model.network.output_per_step else y[n]
        for k in range(1, s + 1):
            expected = signal(model, X[n], target, s, s - k)
            if model.network.states == ("h1",):                       # with several states, those of one step feed each other
                assert row[k] == pytest.approx(expected, rel=1e-9)
            else:
                assert row[k] >= 0.1 * expected > 0
        assert np.isnan(row[s + 1:]).all()
    assert max(found.curve) == 1 and found.steps == 9


def test_the_step_jacobian_of_a_simple_network_is_its_matrix_times_its_slopes():
    model = model_of("3 | rnn 4 | 2")
    model.set_parameters(W1=np.zeros((3, 4)), b1=np.zeros(4))                        # states stay at 0: every slope is 1
    cause, = model.horizon(X, targets(model)).causes
    U = model.parameters["U1"]
    assert cause["radius"] == pytest.approx(np.abs(np.linalg.eigvals(U)).max(), rel=1e-12) == cause["matrices"]["U1"]
    assert cause["norm"] == pytest.approx(np.linalg.norm(U, 2), rel=1e-12) and cause["slopes"]["z1"] == 1


def test_the_bias_is_that_of_the_truncated_gradient():
    model = model_of("3 | lstm 3 | 2")
    y = targets(model)
    full = np.concatenate([g.ravel() for g in model.gradients(X, y).values()])
    found = model.horizon(X, y)
    assert [length for length, *_ in found.bias] == [1, 2, 3, 5, 8]
    for length, share, cosine in found.bias:
        cut = np.concatenate([g.ravel() for g in model.truncated_gradients(X, y, truncation_length=length).values()])
        assert share == pytest.approx(np.linalg.norm(full - cut) / np.linalg.norm(full), rel=1e-9)
        assert cosine == pytest.approx(full @ cut / np.linalg.norm(full) / np.linalg.norm(cut), rel=1e-9)


def test_a_vanishing_and_an_exploding_signal_are_told_apart():
    model = model_of("3 | rnn 4 | 2")
    y = targets(model)
    small = model.set_parameters(U1=0.2 * np.eye(4)).horizon(X, y)
    large = model.set_parameters(U1=3 * np.eye(4), W1=np.zeros((3, 4)), b1=np.zeros(4)).horizon(X, y)
    assert small.rate < 0.5 and small.reach < 4 and "horizon_explodes" not in dict((key, 0) for key, *_ in small.advice)
    assert large.rate == pytest.approx(3, rel=0.1) and large.beyond and large.advice[0][0] == "horizon_explodes"


@pytest.mark.parametrize("spec", ["3 | bi lstm 3 | 2", "3 | bi rnn 3 | last | 2", "3 | gru 3 | max | 2",
                                  "3 | lstm 3 learned_state | 2"])
@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_network_with_a_state_has_a_horizon(spec, language):
    model = model_of(spec)
    found = model.horizon(X, targets(model))
    assert isinstance(found, Horizon) and json.loads(json.dumps(found.to_dict(), allow_nan=False))["steps"] == 9
    assert "truncation_length=1" in found.to_text(language)


def test_the_report_shows_the_horizon():
    model = model_of("3 | rnn 4 | 2")
    y = targets(model)
    page, text = (f(model.report(X, y, horizon=True)) for f in (lambda r: r.to_html(), lambda r: r.to_text()))
    assert "The horizon" in page and page.count("<rect") >= 9 + 5 + 7 and "continue_probability=0.9" in text
    assert "The horizon" not in model.report(X, y).to_html()


def test_without_a_state_there_is_no_horizon():
    model = Network("3 | 2").build()
    with pytest.raises(OptionError, match="no recurrent state"):
        model.horizon(np.zeros((2, 3)), np.zeros((2, 2)))
