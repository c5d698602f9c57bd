"""The pages in a real browser: nothing is fetched, the controls do what they say, the numbers are those of the trace.

Where Chromium or Playwright are missing the tests are skipped with the reason; the checks of every change install both.
"""

import math
import os
import shutil

import numpy as np
import pytest

from backproof import Health, Network, Recorder

CHROMIUM = (
    os.environ.get("CHROMIUM")
    or shutil.which("chromium")
    or shutil.which("chromium-browser")
    or shutil.which("google-chrome")
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
HOSTILE = [
    '<script>document.title="owned"</script>',
    '"><img src=x onerror=alert(1)>',
    "javascript:alert(1)",
    "</script><!--",
]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install playwright")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


class Page:
    """A page opened from disk, with everything that it asked for and every error that it met."""

    def __init__(self, browser, path, **how):
        self.requests, self.errors = [], []
        self.tab = browser.new_page(**how)
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.on("pageerror", lambda error: self.errors.append(str(error)))
        self.tab.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        self.tab.on("dialog", lambda dialog: (self.errors.append("a dialog: " + dialog.message), dialog.dismiss()))
        self.tab.goto(f"file://{path}")

    def __getattr__(self, name):
        return getattr(self.tab, name)

    def fact(self, name):
        return float(self.tab.locator(f'#detail [data-fact="{name}"]').first.get_attribute("data-value"))

    def slide(self, control, value):
        self.tab.locator(f"#{control}").fill(str(value))

    def check(self):
        """Nothing but the file itself was asked for; no error, no sideways scrolling; every formula adds up."""
        assert self.errors == [] and len(self.requests) == 1 and self.requests[0].startswith("file://")
        assert self.tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert self.tab.locator(".off").count() == 0


@pytest.fixture
def opened(browser, tmp_path):
    pages = []

    def open_(page, **how):
        path = tmp_path / f"page{len(pages)}.html"
        page.to_html(path)
        pages.append(Page(browser, path, **{"viewport": {"width": 1280, "height": 900}, **how}))
        return pages[-1]

    yield open_
    for page in pages:
        page.check()
        page.close()


def trace_of(spec="2 | 3 tanh | 1 sigmoid", loss="binary_cross_entropy", X=None, y=None, epochs=3, l2=0.01, **about):
    draw = np.random.default_rng(0)
    X = draw.normal(size=(4, 2)) if X is None else X
    y = np.array([0.0, 1, 1, 0]) if y is None else y
    recorder = Recorder(X, y)
    model = Network(spec, loss=loss, l2=l2).build(seed=1, dtype="float64")
    model.fit(X, y, epochs=epochs, learning_rate=0.05, callbacks=[recorder])
    return recorder.trace(**about), model, X, y


def same(shown, value):
    return shown == pytest.approx(float(value), rel=1e-12, abs=1e-300)


def test_a_unit_shows_z_a_and_its_delta_as_the_sum_of_its_terms(opened):
    trace, model, X, y = trace_of()
    page, values = opened(trace), trace.values
    page.locator('[data-node="layer1:2"]').click()
    for name in ("z1", "a1", "delta1", "adj.a1"):
        assert same(page.fact(name), values[name][0, 2])
    terms = page.locator("#detail .terms").last.locator("[data-term]")
    assert terms.count() == 2  # the line of z1: one weighted input each; δ1 has one term
    page.locator('[data-node="x:1"]').click()
    terms = page.locator("#detail .terms").last.locator("[data-term]")
    shares = [float(terms.nth(k).get_attribute("data-term")) for k in range(terms.count())]
    assert np.allclose(shares, values["delta1"][0] * values["W1"][1], rtol=1e-12)
    assert math.fsum(shares) == pytest.approx(values["adj.x"][0, 1], rel=1e-9)


def test_a_weight_shows_its_terms_per_sample_its_gradient_and_its_update(opened):
    trace, model, X, y = trace_of()
    page, values = opened(trace), trace.values
    page.locator('[data-edge="W1:1,2"]').focus()
    page.keyboard.press("Enter")
    rows = page.locator("#detail [data-sample-term]")
    shown = [float(rows.nth(k).get_attribute("data-sample-term")) for k in range(rows.count())]
    assert np.allclose(shown, values["delta1"][:, 2] * X[:, 1], rtol=1e-12)
    gradient = model.gradients(X, y)["W1"][1, 2]
    assert page.fact("grad.W1") == pytest.approx(gradient, rel=1e-12)
    assert float(page.locator("[data-mean]").get_attribute("data-mean")) == pytest.approx(np.mean(shown), rel=1e-12)
    page.locator("#rate").fill("0.5")
    page.locator("#rate").press("Enter")
    assert float(page.locator("[data-updated]").get_attribute("data-updated")) == pytest.approx(
        values["W1"][1, 2] - 0.5 * gradient, rel=1e-12
    )
    page.locator('[data-edge="b1:0"]').focus()
    page.keyboard.press("Enter")
    assert same(page.fact("b1"), values["b1"][0])


def test_sliders_choose_sample_epoch_and_equation(opened):
    trace, *_ = trace_of()
    page = opened(trace)
    page.locator('[data-node="layer1:0"]').click()
    page.slide("sample", 2)
    assert same(page.fact("a1"), trace.values["a1"][2, 0]) and "3" in page.locator("#sample-text").inner_text()
    page.slide("epoch", 0)
    assert same(page.fact("a1"), trace.at(0)["a1"][2, 0]) and page.locator("#epoch-text").inner_text() == "start"
    page.slide("line", 4)
    assert page.locator("#line-text").inner_text().startswith("5 of")


@pytest.mark.parametrize(
    "spec, loss, shape, target",
    [
        ("2 | 3 tanh | 1 sigmoid", "binary_cross_entropy", (4, 2), "binary"),
        ("4 | 5 relu | layer_norm | 3 softmax", "cross_entropy", (4, 4), "class"),
        ("2 | lstm 3 | 2", "squared_error", (4, 5, 2), "steps"),
        ("2 | bi gru 3 | mean | 1", "huber", (4, 5, 2), "value"),
        ("2 | rnn 3 | last | 4 gelu | 1", "absolute_error", (4, 5, 2), "value"),
        ("3 | 4 silu | dropout 0.2 | 2 softplus | 2", "squared_error", (4, 3), "pair"),
        ("window 3 vocabulary=9 embedding 2 | 4 elu | 1", "squared_error", None, "value"),
    ],
)
def test_every_equation_of_every_network_adds_up_on_the_page(opened, spec, loss, shape, target):
    draw = np.random.default_rng(3)
    X = draw.integers(0, 9, (4, 3)) if shape is None else draw.normal(size=shape)
    y = {
        "binary": lambda: np.array([0.0, 1, 1, 0]),
        "class": lambda: draw.integers(0, 3, 4),
        "steps": lambda: draw.normal(size=(4, 5, 2)),
        "value": lambda: draw.normal(size=4),
        "pair": lambda: draw.normal(size=(4, 2)),
    }[target]()
    trace, *_ = trace_of(spec, loss, X, y)
    page, total = opened(trace), len(trace.derivation.lines())
    assert page.locator("#back").count() == 1
    for number in range(1, total + 1):
        result = page.locator(f'.sub[data-line="{number}"] .eq').first
        name, recorded, evaluated = (result.get_attribute(f"data-{key}") for key in ("name", "value", "evaluated"))
        assert float(evaluated) == pytest.approx(float(recorded), rel=1e-6, abs=1e-9), name
        assert page.locator(".off").count() == 0, name
        page.locator("#next").click()
    assert page.locator("#line-text").inner_text().startswith(f"{total} of")


def test_the_keyboard_steps_and_chooses(opened):
    page = opened(trace_of()[0])
    page.locator("h1").click()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowLeft")
    assert page.locator("#line-text").inner_text().startswith("3 of")
    page.keyboard.press("Shift+ArrowRight")
    assert page.locator("#sample-text").inner_text() == "row 2"
    page.locator('[data-node="layer2:0"]').focus()
    page.keyboard.press("Enter")
    assert page.locator('#detail [data-unit="layer2:0"]').count() == 1
    assert page.evaluate("document.activeElement.getAttribute('data-node')") == "layer2:0"
    assert "= " in page.locator('[data-node="layer1:0"]').get_attribute("aria-label")
    unnamed = page.evaluate(
        "[...document.querySelectorAll('[role=button],button,input,select,canvas')]"
        ".filter(e => !(e.getAttribute('aria-label') "
        "|| e.textContent.trim() || e.labels?.length)).length"
    )
    assert unnamed == 0


def test_the_computational_graph_shows_value_adjoint_and_sensitivity(opened):
    trace, *_ = trace_of()
    page, values = opened(trace), trace.values
    page.locator("#view-graph").click()
    page.locator('[data-quantity="z1:1"]').click()
    assert same(page.fact("z1"), values["z1"][0, 1])
    slope = f"{values['delta1'][0, 1]:.4g}".replace("-", "−")
    assert f"changes by {slope}·h" in page.locator("#detail .sensitivity").inner_text()
    page.locator('[data-quantity="E:0"]').click()
    assert same(page.fact("E"), values["E"][0])


def test_a_recurrent_network_is_unrolled(opened):
    draw = np.random.default_rng(0)
    trace, *_ = trace_of("2 | rnn 3 | last | 1", "squared_error", draw.normal(size=(4, 6, 2)), draw.normal(size=4))
    page = opened(trace)
    page.locator('[data-cell="layer1@1"]').click()
    assert page.locator("#time-text").inner_text() == "2 of 6"
    assert same(page.fact("h1"), trace.values["h1"][0, 1, 0]) and same(
        page.fact("delta1"), trace.values["delta1"][0, 1, 0]
    )
    page.slide("time", 4)
    assert same(page.fact("h1"), trace.values["h1"][0, 4, 0])


@pytest.mark.parametrize("spec", ["2 | rnn 3 learned_state | 1", "2 | lstm 2 | 1"])
def test_a_truncated_trace_adds_up_at_every_step(opened, spec):
    draw = np.random.default_rng(0)
    X, y = [draw.normal(size=(t, 2)) for t in (6, 4)], [draw.normal(size=(t, 1)) for t in (6, 4)]
    model = Network(spec).build(seed=1, dtype="float64")
    trace = model.trace(X, y, truncation_length=2)
    page, total = opened(trace), len(trace.derivation.lines())
    for step in (0, 1, 2):                                             # step 2 is the last before a border
        page.slide("time", step)
        page.slide("line", 0)
        for number in range(1, total + 1):
            result = page.locator(f'.sub[data-line="{number}"] .eq').first
            name, recorded, evaluated = (result.get_attribute(f"data-{key}") for key in ("name", "value", "evaluated"))
            assert float(evaluated) == pytest.approx(float(recorded), rel=1e-6, abs=1e-9), name
            page.locator("#next").click()


def test_large_layers_are_folded_and_their_weights_are_heat_maps(opened):
    draw = np.random.default_rng(0)
    trace, *_ = trace_of(
        "784 | 128 relu | 10 softmax", "cross_entropy", draw.random((6, 784)), draw.integers(0, 10, 6), epochs=2, l2=0
    )
    page = opened(trace)
    page.locator('[data-node="layer1:77"]').click()
    assert same(page.fact("z1"), trace.values["z1"][0, 77])
    page.locator("#heat summary").click()
    page.locator("#heat select").first.select_option("W1")
    width = page.locator("#map").evaluate("c => c.width")
    page.locator("#zoom-in").click()
    assert page.locator("#map").evaluate("c => c.width") > width
    page.locator("#map").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert same(page.fact("W1"), trace.values["W1"][1, 1])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_both_themes_widths_and_languages(opened, scheme, width):
    page = opened(trace_of()[0], viewport={"width": width, "height": 800}, color_scheme=scheme)
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, back[4:-1].split(", "))) < 200) == (scheme == "dark")
    page.locator("#theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != back
    page.locator("#language").click()
    assert (
        page.evaluate("document.documentElement.lang") == "zh-CN"
        and "误差分配" in page.locator("#view-network").inner_text()
    )


def test_hostile_names_stay_text(opened):
    trace, model, X, y = trace_of(feature_names=HOSTILE[:2], class_names=HOSTILE[2:], title=HOSTILE[0])
    page = opened(trace)
    assert page.locator("h1").inner_text() == HOSTILE[0] and page.title() == HOSTILE[0]
    page.locator('[data-node="x:1"]').click()
    assert page.locator("#detail h2").inner_text() == HOSTILE[1]
    assert page.locator("img").count() == 0


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_report_opens_and_says_what_it_found(browser, tmp_path, language):
    draw = np.random.default_rng(0)
    X, y = draw.normal(size=(60, 2)), draw.integers(0, 2, 60)
    model = Network(
        "2 | " + " | ".join(["8 sigmoid"] * 10) + " | 2 softmax", loss="cross_entropy", initial=("normal", 0, 0.1)
    ).build(seed=0)
    model.fit(X, y, epochs=4, callbacks=[Health()], validation=(X, y))
    path = model.report(X, y, class_names=HOSTILE[:2]).to_html(tmp_path / "report.html", language=language)
    page = Page(browser, path, viewport={"width": 390, "height": 800})
    text = page.locator("main").inner_text()
    assert ("vanishes" if language == "en" else "误差信号消失") in text and HOSTILE[1] in text
    assert page.locator("svg[role=img]").count() >= 3 and page.locator("math").count() > 20
    page.check()
