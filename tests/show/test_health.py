"""The health of the error signal: the product identity, the diagnosis, the mend that mends, and no false alarm."""

import numpy as np
import pytest

from backproof import Health, Network
from backproof.show.page_words import PAGE_WORDS, page_phrase
from backproof.show.report import sentence

DEEP = "6 | " + " | ".join(["16 {}"] * 10) + " | 2 softmax"


@pytest.fixture
def data():
    draw = np.random.default_rng(0)
    X = draw.normal(size=(200, 6))
    return X, (X @ draw.normal(size=6) > 0).astype(int)


def trained(spec, X, y, *, loss="cross_entropy", initial=None, epochs=3, learning_rate=1e-3, **how):
    health = Health()
    model = Network(spec, loss=loss, initial=initial).build(seed=0, dtype="float64")
    model.fit(X, y, epochs=epochs, callbacks=[health], learning_rate=learning_rate, **how)
    return model, health


@pytest.mark.parametrize("activation", ["sigmoid", "tanh", "relu", "gelu"])
def test_the_ratio_is_exactly_gain_times_alignment_times_slope(data, activation):
    _, health = trained(f"6 | 8 {activation} | 5 {activation} | 2 softmax", *data)
    for moment in health.moments:
        links = [layer for layer in moment.layers if layer.ratio is not None]
        assert len(links) == 2
        for link in links:
            assert link.gain * link.alignment * link.slope == pytest.approx(link.ratio, rel=1e-12)


def test_the_measures_are_those_of_the_deltas(data):
    X, y = data
    model = Network("6 | 8 tanh | 2 softmax", loss="cross_entropy").build(seed=1, dtype="float64")
    health = Health(X, y)
    health.begin(model)
    deltas, (low, top) = model.deltas(X, y), health.moments[-1].layers
    assert top.norm == pytest.approx(np.linalg.norm(deltas["delta2"]) / np.sqrt(len(X)), rel=1e-12)
    assert low.ratio == pytest.approx(np.linalg.norm(deltas["delta1"]) / np.linalg.norm(deltas["delta2"]), rel=1e-12)
    assert low.gain == pytest.approx(np.linalg.norm(model.parameters["W2"]) / np.sqrt(2), rel=1e-12)


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_asking_for_the_health_changes_no_bit(data, optimizer):
    with_it, _ = trained(
        "6 | dropout 0.2 | 8 tanh | 2 softmax" if optimizer == "adam" else "6 | 8 tanh | 2 softmax",
        *data,
        optimizer=optimizer,
    )
    alone = (
        Network(with_it.network.spec, loss="cross_entropy")
        .build(seed=0, dtype="float64")
        .fit(*data, epochs=3, optimizer=optimizer)
    )
    assert all(np.array_equal(with_it.parameters[name], alone.parameters[name]) for name in alone.parameters)


def test_ten_sigmoid_layers_with_small_weights_are_diagnosed_and_the_advice_mends_them(data):
    model, health = trained(DEEP.format(*["sigmoid"] * 10), *data, initial=("normal", 0, 0.1), epochs=30)
    (verdict,) = health.verdicts()
    assert verdict.kind == "vanishing" and [name for name, _ in verdict.causes] == ["gain", "slope"]
    assert verdict.mend == {"initial": None, "activation": "tanh"}
    mended, healthy = trained(
        DEEP.format(*[verdict.mend["activation"]] * 10), *data, initial=verdict.mend["initial"], epochs=30
    )
    assert healthy.verdicts() == []
    assert mended.loss(*data) < 0.5 * model.loss(*data)


@pytest.mark.parametrize(
    "spec",
    [
        "6 | 16 relu | 16 relu | 2 softmax",
        "6 | 16 tanh | 2 softmax",
        "6 | 32 gelu | 16 gelu | 2 softmax",
        "6 | 2 softmax",
    ],
)
@pytest.mark.parametrize("epochs", [3, 40])
def test_a_healthy_network_gets_no_warning(data, spec, epochs):
    model, health = trained(spec, *data, epochs=epochs, learning_rate=3e-3)
    assert [sentence(v) for v in health.verdicts()] == []
    assert "no warning" in model.report(*data).text


def test_inputs_that_were_not_scaled_saturate_the_first_layer(data):
    X, y = data
    _, health = trained("6 | 16 sigmoid | 2 softmax", 100 * X, y)
    (verdict,) = health.verdicts()
    assert verdict.kind == "saturated" and "standardise the inputs" in sentence(verdict)


def test_equal_units_are_found(data):
    _, health = trained("6 | 16 tanh | 2 softmax", *data, initial="zeros")
    assert [v.kind for v in health.verdicts()] == ["identical"]


def test_dead_units_are_found(data):
    X, y = data
    model = Network("6 | 8 relu | 2 softmax", loss="cross_entropy").build(seed=0)
    model.set_parameters(b1=np.full(8, -100.0))
    assert [v.kind for v in model.report(X, y).verdicts if v.kind == "dead"] == ["dead"]


def test_growing_errors_are_found(data):
    _, health = trained(
        DEEP.format(*["identity"] * 10).replace(" identity", ""), *data, initial=("normal", 0, 1.0), epochs=0
    )
    assert [v.kind for v in health.verdicts()] == ["exploding", "affine"]


def test_a_long_memory_of_a_plain_recurrence_fades():
    draw = np.random.default_rng(0)
    _, health = trained(
        "2 | rnn 4 | last | 1", draw.normal(size=(20, 30, 2)), draw.normal(size=20), loss="squared_error"
    )
    assert "fading" in [v.kind for v in health.verdicts()]


def test_every_phrase_stands_in_both_languages_with_the_same_numbers():
    for key, (english, chinese) in PAGE_WORDS.items():
        assert english and chinese
        assert {f"{{{k}}}" for k in range(4) if f"{{{k}}}" in english} == {
            f"{{{k}}}" for k in range(4) if f"{{{k}}}" in chinese
        }, key
    assert page_phrase("row", "zh", 3) == "第 3 行"
