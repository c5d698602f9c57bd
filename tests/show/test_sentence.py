"""The page of a sentence: its numbers are those of the model, and no word can break out of it."""

import json
import os
import re
import shutil

import numpy as np
import pytest

from backproof.data.entities import entities
from backproof.estimators import WindowScorer, WindowTagger

HOSTILE = ['<script>document.title="owned"</script>', '"><img src=x onerror=alert(1)>', "javascript:alert(1)", "</script><!--",
           "\u202eevil\u2028"]
WORDS = "Museums in Paris are amazing".split()
QUICK = {"hidden_layer_sizes": (8, 6), "dimensions": 4, "learning_rate_init": 0.01, "random_state": 0, "min_count": 1}


@pytest.fixture(scope="module")
def tagger():
    text = entities()
    return WindowTagger(max_iter=3, **QUICK).fit(text.sentences, text.tags)


@pytest.fixture(scope="module")
def scorer():
    text = entities()
    return WindowScorer(max_iter=3, **QUICK).fit(text.sentences, text.tags)


def flat(e, own=4):
    """(…, p, d) as the network lays it: the window of the words' vectors (4 numbers each), then that of the capitals'."""
    return np.concatenate([e[..., :own].reshape(*e.shape[:-2], -1), e[..., own:].reshape(*e.shape[:-2], -1)], axis=-1)


def test_the_signals_of_the_loss_are_the_model_s(tagger):
    trace, model, ids = tagger.trace(WORDS), tagger.model_, tagger._ids([WORDS])
    signal = trace.signals["loss"]
    for k in range(len(tagger.classes_)):
        y = np.full(5, k)
        deltas, values = model.deltas(ids, y), model.values(ids, y, "E", "adj.e1")
        assert [name for name, _ in signal.deltas] == ["delta2", "delta3", "delta4"]
        for name, found in signal.deltas:
            assert np.allclose(found[k], deltas[name], rtol=1e-5, atol=1e-7)
        assert np.allclose(flat(signal.e[k]), values["adj.e1"], rtol=1e-5, atol=1e-7)
        assert np.allclose(signal.value[k], values["E"], rtol=1e-5)
    assert np.allclose(trace.outputs, model.predict(ids)) and np.allclose(trace.units[0][1], model.values(ids, y, "a2")["a2"])


def test_every_delta_stands_beside_the_activation_of_its_layer():
    text = entities()
    made = WindowTagger(layers="8 relu | dropout 0.2 | layer_norm | 6 gelu", max_iter=1, dimensions=4, random_state=0)
    trace = made.fit(text.sentences, text.tags).trace(WORDS)
    assert [name for name, _ in trace.units] == ["a2", "a4"]
    assert [name for name, _ in trace.signals["loss"].deltas] == ["delta2", "delta4", "delta5"]


@pytest.mark.parametrize("mode", ["loss", "score"])
def test_the_signals_are_derivatives(tagger, mode):
    """A forward pass of NumPy's own, with the complex step."""
    trace, p = tagger.trace(WORDS), {k: v.astype(np.float64) for k, v in tagger.model_.parameters.items()}

    def outcome(e, k):
        a = e
        for layer in (2, 3):
            a = np.tanh(a @ p[f"W{layer}"] + p[f"b{layer}"])
        z = a @ p["W4"] + p["b4"]
        return z[k] if mode == "score" else np.log(np.exp(z).sum()) - z[k]
    e = flat(trace.e[2].astype(np.float64))
    for k in (0, 3):
        assert trace.signals[mode].value[k, 2] == pytest.approx(outcome(e, k), rel=1e-5)
        for entry in range(0, e.size, 7):
            moved = e.astype(complex)
            moved[entry] += 1e-20j
            assert flat(trace.signals[mode].e[k, 2])[entry] == pytest.approx(outcome(moved, k).imag / 1e-20, rel=1e-4, abs=1e-6)


def test_the_scorer_s_signal_is_that_of_the_pair(scorer):
    """−1 at s under the margin: the pair's δ at its true member is minus the page's."""
    trace, ids = scorer.trace(WORDS), scorer._ids([WORDS])
    assert list(trace.signals) == ["score"] and trace.tags == ["s"]
    s = np.concatenate(scorer.decision_function([WORDS]))
    assert np.allclose(trace.signals["score"].value[0], s, rtol=1e-5)
    pairs = np.stack([ids, ids], axis=1)                               # J = Δ > 0: every pair is learnt from
    deltas = scorer.model_.deltas(pairs, None)
    for name, found in trace.signals["score"].deltas[:2]:
        assert np.allclose(deltas[name][:, 0], -found[0], rtol=1e-5, atol=1e-7)
        assert np.allclose(deltas[name][:, 1], found[0], rtol=1e-5, atol=1e-7)


def test_shares_add_up_and_name_the_words(tagger):
    shares = tagger.trace(WORDS).shares(2, "B-place")
    assert [word for word, *_ in shares] == WORDS and sum(part for *_, part in shares) == pytest.approx(1)


def test_a_page_keeps_to_its_limit_and_says_what_was_left_out(tagger):
    page = tagger.trace(["word"] * 10_000).to_html()
    data = json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])
    assert len(page) < 5_000_000 and 0 < data["kept"] < 10_000 == len(data["tokens"]) and len(data["window"]) == data["kept"]


def test_words_are_escaped_in_the_text(tagger):
    page = tagger.trace(HOSTILE).to_html()
    assert "<img" not in page and page.count("</script>") == 3 and "\u2028" not in page and "\u202e" not in page


NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install playwright")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--no-first-run"])
        yield running
        running.close()


@pytest.fixture
def opened(browser, tmp_path):
    pages = []

    def open_(trace, language="en", **how):
        path = trace.to_html(tmp_path / f"page{len(pages)}.html", language)
        tab = browser.new_page(**{"viewport": {"width": 1280, "height": 900}, **how})
        tab.met = {"requests": [], "errors": []}
        tab.on("request", lambda request: tab.met["requests"].append(request.url))
        tab.on("pageerror", lambda error: tab.met["errors"].append(str(error)))
        tab.on("console", lambda message: tab.met["errors"].append(message.text) if message.type == "error" else None)
        tab.on("dialog", lambda dialog: (tab.met["errors"].append("a dialog"), dialog.dismiss()))
        tab.goto(f"file://{path}")
        pages.append(tab)
        return tab

    yield open_
    for tab in pages:
        assert tab.met["errors"] == [] and len(tab.met["requests"]) == 1
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        tab.close()


def shown(tab, selector):
    return float(tab.locator(selector).first.get_attribute("data-value"))


def test_the_page_shows_the_numbers_of_the_trace(opened, tagger):
    trace = tagger.trace(WORDS, "O O B-place O O".split())
    tab, k = opened(trace), trace.tags.index("B-place")
    tab.locator('[data-token="2"]').click()
    assert tab.locator("#tag").input_value() == str(k)                 # the truth is what is assumed
    assert shown(tab, '[data-fact="value"]') == pytest.approx(float(trace.signals["loss"].value[k, 2]), rel=1e-6)
    shares = trace.shares(2, "B-place")
    for p in range(5):
        assert shown(tab, f'[data-share="{p}"]') == pytest.approx(shares[p][2], rel=1e-5)
        product = float((trace.e[2, p] * trace.signals["loss"].e[k, 2, p]).sum())
        assert shown(tab, f'[data-product="{p}"]') == pytest.approx(product, rel=1e-4, abs=1e-7)
    largest = max(shares, key=lambda share: share[1])[0]
    assert tab.locator("#drives").inner_text().startswith(largest)
    tab.locator('[data-position="0"]').click()
    tab.locator("#components summary").click()
    for d in range(4):
        assert shown(tab, f'[data-g="{d}"]') == pytest.approx(float(trace.signals["loss"].e[k, 2, 0, d]), rel=1e-6)
    for name, delta in trace.signals["loss"].deltas:
        for j in range(delta.shape[-1]):
            assert shown(tab, f'[data-delta="{name}"][data-unit="{j}"]') == pytest.approx(float(delta[k, 2, j]), rel=1e-6)
    tab.locator("#mode").select_option("score")
    assert shown(tab, '[data-fact="value"]') == pytest.approx(float(trace.signals["score"].value[k, 2]), rel=1e-6)


def test_keyboard_language_and_theme(opened, scorer):
    tab = opened(scorer.trace(WORDS), "zh", viewport={"width": 390, "height": 800})
    assert tab.evaluate("document.documentElement.lang") == "zh-CN" and "窗口" in tab.locator("main").inner_text()
    tab.locator("#language").click()
    assert tab.evaluate("document.documentElement.lang") == "en" and "The window" in tab.locator("main").inner_text()
    back = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    tab.locator("#theme").click()
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") != back
    tab.locator('[data-token="1"]').focus()
    tab.keyboard.press("Enter")
    assert tab.locator('[data-token="1"]').get_attribute("aria-pressed") == "true"
    assert tab.evaluate("document.activeElement.getAttribute('data-token')") == "1"


def test_hostile_words_stay_text(opened, tagger):
    tab = opened(tagger.trace(HOSTILE))
    assert tab.locator("img").count() == 0 and tab.title() != "owned"
    assert tab.locator('[data-token="0"]').inner_text().startswith(HOSTILE[0])
