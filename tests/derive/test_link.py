"""One link of the chain over time, for every cell: its print is evaluated, and its numbers are the step's Jacobian."""

import numpy as np
import pytest

from backproof.engines.reference import Run
from backproof.errors import OptionError
from backproof.lower import lower
from backproof.network import Network

SPECS = ["2 | rnn 3 | 1", "2 | rnn 3 relu | 1", "2 | gru 3 | 1", "2 | lstm 3 | 1", "2 | rnn 2 | lstm 3 | 1", "2 | bi gru 2 | 1",
         "2 | lstm 3 learned_state recurrent_dropout=0.2 | last | 1"]


@pytest.mark.parametrize("form", ["index", "matrix"])
@pytest.mark.parametrize("spec", SPECS)
def test_every_printed_line_of_a_link_holds(spec, form):
    network = Network(spec)
    for layer in {network.system()[state].layer for state in network.states}:
        derivation = network.derive_link(layer)
        assert max(derivation.check(form=form).values()) < 1e-12 and "ξ[" in derivation.to_text(form=form)


@pytest.mark.parametrize("spec", ["2 | rnn 3 | 1", "2 | gru 3 | 1", "2 | lstm 3 | 1"])
def test_a_link_is_the_transposed_jacobian_of_the_step(spec):
    network, draw = Network(spec), np.random.default_rng(0)
    model = network.build(seed=1, dtype="float64")
    derivation = network.derive_link()
    states, size = network.states, 3 * len(network.states)
    start, x, v, xi = draw.normal(size=size), draw.normal(size=(1, 1, 2)), draw.normal(size=size), np.array([0.7])
    step = lower(network.system(given_state=True), [f"{s}.end" for s in states])

    def after(h):
        feeds = {f"{s}.start": part[None] for s, part in zip(states, np.split(h, len(states)))}
        out = Run(step, {**model.parameters, "x": x, **feeds}, h.dtype).outputs()
        return np.concatenate([out[f"{s}.end"][0] for s in states])
    jacobian = np.stack([after(start + 1e-20j * unit).imag / 1e-20 for unit in np.eye(size)], axis=1)
    names = [derivation.sweep.adjoints[f"{s}.before"] for s in states]
    feeds = {**{f"{s}.before": part[None, None] for s, part in zip(states, np.split(start, len(states)))},
             **{f"v.{s}": part[None, None] for s, part in zip(states, np.split(v, len(states)))}}
    run = Run(lower(derivation.system, names), {**model.parameters, "x": x, **feeds, "xi": xi}, np.float64).outputs()
    assert np.allclose(np.concatenate([run[name].ravel() for name in names]), 0.7 * jacobian.T @ v, rtol=1e-12)


def test_an_unknown_layer_is_refused():
    with pytest.raises(OptionError, match="no recurrent layer 'layer2'"):
        Network("2 | rnn 3 | 1").derive_link("layer2")
