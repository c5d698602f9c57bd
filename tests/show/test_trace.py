"""Traces: every number is the program's own, at every recorded epoch, and the page holds them all within its size."""

import base64
import json
import re

import numpy as np
import pytest

from backproof import Network, Recorder

NETWORKS = [
    ("2 | 3 tanh | 1 sigmoid", "binary_cross_entropy", "dense"),
    ("4 | 5 relu | layer_norm | 3 softmax", "cross_entropy", "class"),
    ("2 | lstm 4 | 2", "squared_error", "steps"),
    ("2 | bi gru 3 | mean | 1", "squared_error", "sequence"),
    ("window 3 vocabulary=10 embedding 2 | 4 gelu | 1", "squared_error", "ids"),
]


def samples(spec, kind, n=6):
    draw = np.random.default_rng(1)
    inputs = int(spec.split(" |")[0]) if kind != "ids" else 3
    X = (
        draw.integers(0, 10, (n, 3))
        if kind == "ids"
        else draw.normal(size=(n, 5, inputs) if kind in ("steps", "sequence") else (n, inputs))
    )
    y = {
        "class": lambda: draw.integers(0, 3, n),
        "steps": lambda: draw.normal(size=(n, 5, 2)),
        "dense": lambda: (draw.random(n) > 0.5) * 1.0,
    }
    return X, y.get(kind, lambda: draw.normal(size=n))()


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S).group(1))


def unpacked(packed):
    size, shape, text = packed
    return np.frombuffer(base64.b64decode(text), f"<f{size}").reshape(shape)


@pytest.mark.parametrize("spec, loss, kind", NETWORKS)
def test_the_numbers_are_those_of_the_model(spec, loss, kind):
    X, y = samples(spec, kind)
    model = Network(spec, loss=loss, l2=0.01).build(seed=2, dtype="float64")
    values = model.trace(X, y).values
    for name, array in {**model.deltas(X, y), **model.parameters}.items():
        assert np.array_equal(values[name], array), name
    for name, array in model.gradients(X, y).items():
        assert np.allclose(values[f"grad.{name}"], array, rtol=1e-12, atol=1e-15)
    assert float(values["E"].mean()) == pytest.approx(model.loss(X, y), rel=1e-12)
    if kind != "ids":
        assert np.allclose(values["adj.x"], model.input_gradients(X, y), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("spec, loss, kind", NETWORKS)
def test_the_page_holds_the_same_numbers(spec, loss, kind):
    X, y = samples(spec, kind)
    trace = Network(spec, loss=loss).build(seed=2).trace(X, y)
    arrays = data_of(trace.to_html())["snapshots"][-1]["arrays"]
    for name, array in trace.snapshots[-1].values.items():
        assert np.array_equal(unpacked(arrays[name]), array), name


def test_a_truncated_trace_holds_the_truncated_gradient_and_its_links():
    X, y = samples("2 | lstm 4 | 2", "steps")
    model = Network("2 | lstm 4 | 2").build(seed=2, dtype="float64")
    trace, full = model.trace(X, y, truncation_length=2), model.gradients(X, y)
    for name, array in model.truncated_gradients(X, y, truncation_length=2).items():
        assert np.allclose(trace.values[f"grad.{name}"], array, rtol=1e-12, atol=1e-15)
    assert trace.values["xi"].tolist() == [1, 1, 0, 1, 0] and not np.allclose(trace.values["grad.U_i1"], full["U_i1"])
    assert "xi" in data_of(trace.to_html())["snapshots"][-1]["arrays"]


def test_recorded_epochs_are_the_parameters_of_those_epochs_and_change_no_bit():
    X, y = samples(*NETWORKS[0][::2])
    recorder = Recorder(X[:3], y[:3], every=2)
    build = lambda: Network("2 | 3 tanh | 1 sigmoid", loss="binary_cross_entropy").build(seed=0)  # noqa: E731
    model = build().fit(X, y, epochs=4, callbacks=[recorder])
    trace = recorder.trace()
    assert [s.when for s in trace.snapshots] == [0, 2, 4]
    for epochs, snapshot in zip((0, 2, 4), trace.snapshots):
        alone = build().fit(X, y, epochs=epochs)
        assert all(np.array_equal(snapshot.values[name], array) for name, array in alone.parameters.items())
    assert np.array_equal(trace.values["delta1"], model.deltas(X[:3], y[:3])["delta1"])


def test_many_epochs_are_thinned():
    X, y = samples(*NETWORKS[0][::2])
    recorder = Recorder(X, y, most=10)
    Network("2 | 3 tanh | 1 sigmoid", loss="binary_cross_entropy").build(seed=0).fit(
        X, y, epochs=50, callbacks=[recorder]
    )
    assert recorder.trace().snapshots[0].when == 0 and len(recorder.trace().snapshots) <= 10


@pytest.mark.parametrize("spec, n", [("784 | 128 relu | 10 softmax", 60), ("2000 | 1500 relu | 10 softmax", 4)])
def test_a_page_stays_below_five_megabytes_and_names_what_is_missing(spec, n):
    draw = np.random.default_rng(0)
    model = Network(spec, loss="cross_entropy").build(seed=0)
    X, y = draw.random((n, model.network.inputs)), draw.integers(0, 10, n)
    recorder = Recorder(X, y)
    model.fit(X, y, epochs=3, callbacks=[recorder])
    page = recorder.trace().to_html()
    assert len(page.encode()) <= 5_000_000
    kinds = [note[0] for note in data_of(page)["notes"]]
    assert {"left_samples", "left_epochs", "left_arrays"} & set(kinds)


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        '"><img src=x onerror=alert(1)>',
        "</script><!--",
        "\u2028\u2029",
        "a\x1b[31m\u202eb",
    ],
)
def test_hostile_names_stay_text(name):
    X, y = samples(*NETWORKS[0][::2])
    model = Network("2 | 3 tanh | 1 sigmoid", loss="binary_cross_entropy").build(seed=0)
    page = model.trace(X, y, feature_names=[name, "b"], class_names=[name], title=name).to_html()
    assert page.count("<script") == 3 and page.count("</script>") == 3 and "<img" not in page and "<!--" not in page
    assert not any(sign in page for sign in "\u2028\u2029\x1b\u202e")
    report = model.report(X, y, class_names=[name, name], title=name).to_html()
    assert "<script" not in report and "<img" not in report and "<!--" not in report


def test_a_name_of_ten_megabytes_is_cut():
    X, y = samples(*NETWORKS[0][::2])
    model = Network("2 | 3 tanh | 1 sigmoid", loss="binary_cross_entropy").build(seed=0)
    assert len(model.trace(X, y, feature_names=["x" * 10**7, "b"]).to_html()) < 300_000


def test_notebooks_show_a_page_in_a_frame_of_its_own():
    X, y = samples(*NETWORKS[0][::2])
    model = Network("2 | 3 tanh | 1 sigmoid", loss="binary_cross_entropy").build(seed=0).fit(X, y, epochs=2)
    shown = model.trace(X, y)._repr_html_()
    assert shown.startswith('<iframe sandbox="allow-scripts" srcdoc="') and "<script" not in shown
    assert "sigmoid" in model.network._repr_html_() and "| epoch |" in model.history._repr_markdown_()
    assert (
        "<math" in model.network.derive()._repr_html_()
        and "<code>" in model.network.derive().equations[0]._repr_html_()
    )
