"""The report of a training run: diagnosis first, then what it rests on.

Reads   a model, samples to judge it on, and the measures of a Health callback where there was one.
Gives   a Report: text for the terminal, one self-contained page, and the verdicts as data.
"""

from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import numpy as np

from .document import cleaned, width_of
from .health import Health, Verdict
from .horizon import measure_horizon
from .horizon_page import cards
from .html import assemble
from .mathml import element
from .page_words import page_phrase

__all__ = ["Report", "report", "sentence"]

CLASSES = 40  # classes that a confusion matrix shows
FACTORS = ("gain", "alignment", "slope")


def report(model, X, y=None, *, class_names=None, title="", horizon=False):
    """The Report of a model on samples; its Health's moments, or one moment at the present weights; ``horizon``: over time, too."""
    health = model.health
    if health is None or not health.moments:
        health = Health(X, y)
        remembered = model.health
        health.begin(model)
        model.health = remembered
    predicted = None if model.network.pairs else model.predict(X)
    return Report(
        model.network,
        model.history,
        health.moments,
        health.verdicts() + _overfit(model.history),
        predicted,
        y,
        model.loss(X, y),
        model.objective(X, y),
        class_names,
        title,
        horizon=measure_horizon(model, X, y) if horizon else None,
    )


def _overfit(history):
    losses = [loss for loss in history["validation_loss"] if loss is not None]
    if len(losses) < 5 or history.best is not None:
        return []
    best = int(np.argmin(losses))
    falls = history["loss"][-1] is not None and history["loss"][-1] < history["loss"][best]
    if losses[-1] > 1.1 * losses[best] and falls:
        return [
            Verdict(
                "overfit", (), (losses[-1] / losses[best] - 1, best + 1), (), (("mend_patience",),), {"patience": 5}
            )
        ]
    return []


@dataclass
class Report:
    """What training came to.

    Attributes  verdicts   warnings with cause and mend; empty for a healthy network
                moments    the measures per epoch and layer
                text       the report for a terminal, in English; ``to_text(language)``

    >>> import numpy as np
    >>> from backproof import Network
    >>> X, y = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1.0, 0.0])
    >>> model = Network("2 | 3 tanh | 1", loss="squared_error").build(seed=0)
    >>> model.report(X, y).verdicts
    []
    """

    network: object
    history: object
    moments: list
    verdicts: list
    predicted: object
    target: object
    loss: float
    objective: float
    class_names: list | None = None
    title: str = ""
    notes: list = field(default_factory=list)
    horizon: object = None

    @property
    def text(self):
        return self.to_text()

    def to_text(self, language="en"):
        """The report for a terminal."""
        say = _speaker(language)
        lines = [f"{say('report')}: {cleaned(self.network.spec or 'network')}, {cleaned(self.network.loss.text())}", ""]
        lines += [f"- {sentence(verdict, language)}" for verdict in self.verdicts] or [say("healthy")]
        lines += ["", f"{say('health')} ({self._when(say)})", *_aligned(self._table(say)), say("health_about"), ""]
        lines += [f"{say('loss_now')}: {self.loss:.6g}", f"{say('objective_now')}: {self.objective:.6g}"]
        summary = self._summary(say)
        lines += [summary] if summary else []
        return "\n".join(lines + (["", self.horizon.to_text(language)] if self.horizon else []))

    def to_html(self, path=None, language="en"):
        """Write the page, one self-contained file without a script, and give its path; without a path its text."""
        page = assemble(
            "report",
            title=cleaned(self.title or self.network.spec or "backproof"),
            language=language,
            body=self._body(language),
        )
        if path is None:
            return page
        Path(path).write_text(page, "utf-8")
        return str(path)

    def _repr_html_(self):
        from .trace import framed  # of the pages; a report alone needs no trace

        return framed(self.to_html())

    def __str__(self):
        return self.text

    # -------------------------------------------------------------------------------------------------------- content

    def _when(self, say):
        last = self.moments[-1].when
        return say("after", last) if last else say("now_weights")

    def _table(self, say):
        """Header and rows, the layer at the top first, since the error enters there."""
        header = [
            say(key)
            for key in (
                "layer",
                "units",
                "norm",
                "ratio",
                "gain",
                "alignment",
                "slope",
                "saturated_share",
                "dead_share",
                "update_share",
            )
        ]
        rows = [
            [
                cleaned(layer.layer),
                str(layer.units),
                *map(_number, (layer.norm, layer.ratio, layer.gain, layer.alignment, layer.slope)),
                _share(layer.saturated),
                _share(layer.dead),
                _number(layer.update),
            ]
            for layer in reversed(self.moments[-1].layers)
        ]
        return [header, *rows]

    def _classes(self):
        """(truth, prediction) as class numbers, or None for a regression."""
        if self.predicted is None or self.target is None:
            return None
        try:
            truth, predicted = np.asarray(self.target), self.predicted
        except ValueError:
            return None
        if "cross_entropy" in self.network.loss.name and predicted.ndim == 2 and predicted.shape[1] > 1:
            truth = truth.argmax(axis=-1) if truth.ndim == 2 else truth
            return truth.astype(int), predicted.argmax(axis=-1)
        if self.network.loss.name == "binary_cross_entropy" and predicted.size == truth.size:
            return (truth.ravel() > 0.5).astype(int), (predicted.ravel() > 0.5).astype(int)
        return None

    def _residuals(self):
        if self.predicted is None or self.target is None or self._classes() is not None:
            return None
        try:
            truth = np.asarray(self.target, float)
        except (TypeError, ValueError):
            return None
        return (self.predicted.ravel() - truth.ravel(), truth.ravel()) if truth.size == self.predicted.size else None

    def _summary(self, say):
        classes, residuals = self._classes(), self._residuals()
        if classes is not None:
            right = int((classes[0] == classes[1]).sum())
            return say("accuracy", right, classes[0].size, _share(right / classes[0].size))
        if residuals is not None:
            off, truth = residuals
            return say("residual_facts", _number(off.mean()), _number(np.sqrt((off**2).mean())), _number(truth.std()))
        return ""

    # ----------------------------------------------------------------------------------------------------------- page

    def _body(self, language):
        say = _speaker(language)
        parts = [
            element("h1", escape(cleaned(self.title or say("report")))),
            element(
                "p",
                escape(f"{cleaned(self.network.spec or '')}   {cleaned(self.network.loss.text())}"),
                **{"class": "soft"},
            ),
            _card(say("verdicts"), self._verdicts(language)),
        ]
        parts.append(_card(f"{say('health')} ({self._when(say)})", self._health(say)))
        if len(self.moments) > 1:
            layers = [layer.layer for layer in self.moments[-1].layers]
            series = {name: [(m.when, m.layers[k].norm) for m in self.moments] for k, name in enumerate(layers)}
            parts.append(_card(say("over_epochs"), chart(series, say("over_epochs"), logarithmic=True)))
        else:
            parts.append(element("p", escape(say("no_moments")), **{"class": "soft"}))
        steps = {
            layer.layer: [(t + 1, norm) for t, norm in enumerate(layer.per_step)]
            for layer in self.moments[-1].layers
            if layer.per_step
        }
        if steps and max(map(len, steps.values())) > 1:
            parts.append(_card(say("over_time"), chart(steps, say("over_time"), logarithmic=True)))
        if self.horizon:
            parts += cards(self.horizon, language, _card, chart)
        curves = {
            say(key): [(r["epoch"] + 1, r[column]) for r in self.history.records if r.get(column) is not None]
            for key, column in (("training", "loss"), ("validation", "validation_loss"))
        }
        curves = {name: points for name, points in curves.items() if points}
        if curves:
            parts.append(_card(say("curves"), chart(curves, say("curves"))))
        parts += self._errors(say)
        derivation = self.network.derive().to_html(language=language)
        parts.append(_card(say("derivation"), element("div", derivation, **{"class": "scroll"})))
        return "\n".join(parts)

    def _verdicts(self, language):
        if not self.verdicts:
            return element("p", escape("✓ " + page_phrase("healthy", language)), **{"class": "good"})
        return "".join(
            element("p", escape("⚠ " + sentence(verdict, language)), **{"class": "bad"}) for verdict in self.verdicts
        )

    def _health(self, say):
        header, *rows = self._table(say)
        top = max((layer.norm for layer in self.moments[-1].layers), default=0) or 1
        table = element("tr", "".join(element("th", escape(cell), scope="col") for cell in header))
        for row, layer in zip(rows, reversed(self.moments[-1].layers)):
            width = 60 * max(0.0, 1 + np.log10(layer.norm / top) / 6) if layer.norm > 0 else 0
            stick = f'<rect width="{max(1, width):.0f}" height="9" rx="2" class="stick"/>'
            stick = f'<svg width="62" height="10" aria-hidden="true">{stick}</svg>'
            cells = [
                element("th", escape(row[0]), scope="row"),
                element("td", escape(row[1]), **{"class": "n"}),
                element("td", escape(row[2]) + " " + stick, **{"class": "n"}),
            ]
            table += element("tr", "".join(cells + [element("td", escape(cell), **{"class": "n"}) for cell in row[3:]]))
        return element("div", element("table", table), **{"class": "scroll"}) + element(
            "p", escape(say("health_about")), **{"class": "soft"}
        )

    def _errors(self, say):
        facts = element(
            "p", escape(f"{say('loss_now')}: {self.loss:.6g}; {say('objective_now')}: {self.objective:.6g}")
        )
        summary = element("p", escape(self._summary(say)))
        classes, residuals = self._classes(), self._residuals()
        if classes is not None:
            return [_card(say("confusion"), facts + summary + self._confusion(*classes))]
        if residuals is not None:
            return [_card(say("residuals"), facts + summary + histogram(residuals[0], say("residuals")))]
        return [_card(say("loss_now"), facts)]

    def _confusion(self, truth, predicted):
        count = int(max(truth.max(initial=0), predicted.max(initial=0))) + 1
        shown = min(count, CLASSES)
        table = np.zeros((count, count), int)
        np.add.at(table, (truth, predicted), 1)
        names = [cleaned(str(name))[:40] for name in self.class_names or []]
        names += [str(k) for k in range(len(names), count)]
        head = element(
            "tr", element("th", "") + "".join(element("th", escape(names[k]), scope="col") for k in range(shown))
        )
        top = table.max() or 1
        rows = "".join(
            element(
                "tr",
                element("th", escape(names[i]), scope="row")
                + "".join(_cell(table[i, j], top, i == j) for j in range(shown)),
            )
            for i in range(shown)
        )
        return element("div", element("table", head + rows, **{"class": "confusion"}), **{"class": "scroll"})


def _cell(count, top, right):
    shade = (
        f'<svg width="46" height="26" role="img" aria-label="{count}">'
        f'<rect width="46" height="26" class="{"right" if right else "wrong"}" '
        f'fill-opacity="{0.85 * count / top:.2f}"/><text x="23" y="17" text-anchor="middle">{count}</text></svg>'
    )
    return element("td", shade)


def _card(title, body):
    return element("section", element("h2", escape(title)) + body, **{"class": "card"})


def _speaker(language):
    return lambda key, *values: page_phrase(key, language, *values)


def _number(x):
    return "" if x is None else f"{x:.3g}".replace("-", "−")


def _share(x):
    return "" if x is None else f"{100 * x:.0f} %" if x == 0 or x >= 0.005 else "< 1 %"


def _aligned(rows):
    widths = [max(width_of(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [
        "  ".join(
            " " * (w - width_of(cell)) + cell if k else cell + " " * (w - width_of(cell))
            for k, (cell, w) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    ]


# ----------------------------------------------------------------------------------------------------------- sentences

SHARES = {"saturated": (1,), "dead": (0,), "large_updates": (0,), "overfit": (0,)}


def sentence(verdict, language="en"):
    """A verdict in words: what is wrong, its cause, and the mends."""
    numbers = [_share(x) if k in SHARES.get(verdict.kind, ()) else _number(x) for k, x in enumerate(verdict.numbers)]
    if verdict.kind == "overfit":
        text = page_phrase(verdict.kind, language, *numbers)
    else:
        text = page_phrase(verdict.kind, language, _layers(verdict.layers), *numbers)
    if verdict.causes:
        causes = page_phrase("times", language).join(
            page_phrase(f"factor_{name}", language, _number(value)) for name, value in verdict.causes
        )
        text += f"{'；' if language == 'zh' else '; '}{page_phrase('cause', language)}: {causes}"
    joint = {True: ("，并且", ", and "), False: ("，或", ", or ")}[verdict.kind == "vanishing"][language == "en"]
    mends = [
        page_phrase(key, language, *(x if isinstance(x, str) else _number(x) for x in values))
        for key, *values in verdict.mends
    ]
    join = "；" if language == "zh" else "; "
    return f"{text}{join}{page_phrase('mend', language)}: {joint.join(mends)}" if mends else text


def _layers(names):
    return cleaned(names[0]) if len(names) == 1 else f"{cleaned(names[0])} … {cleaned(names[-1])}" if names else ""


# ------------------------------------------------------------------------------------------------------------- pictures

WIDE, TALL, LEFT, LOW = 640, 220, 64, 26


def chart(series, label, logarithmic=False):
    """Lines over a whole-numbered axis: {name: [(x, y)]}."""
    points = [(x, y) for line in series.values() for x, y in line if np.isfinite(y) and (y > 0 or not logarithmic)]
    if not points:
        return ""
    measure = np.log10 if logarithmic else float
    xs, ys = [x for x, _ in points], [measure(y) for _, y in points]
    low, high = (min(ys), max(ys)) if max(ys) > min(ys) else (min(ys) - 0.5, max(ys) + 0.5)
    right = WIDE - 110

    def place(x, y):
        across = LEFT + (right - LEFT) * (x - min(xs)) / max(1, max(xs) - min(xs))
        return across, 12 + (TALL - 12 - LOW) * (high - measure(y)) / (high - low)

    drawn, ends = [], []
    for k, (name, line) in enumerate(series.items()):
        at = [place(x, y) for x, y in line if np.isfinite(y) and (y > 0 or not logarithmic)]
        if not at:
            continue
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
        shade = 1 - 0.75 * k / max(1, len(series))
        drawn.append(
            f'<polyline points="{path}" class="line{k % 2}" stroke-opacity="{shade:.2f}">'
            f"<title>{escape(cleaned(name))}</title></polyline>"
        )
        if len(at) == 1:
            drawn.append(f'<circle cx="{at[0][0]:.1f}" cy="{at[0][1]:.1f}" r="3" class="dot"/>')
        ends.append((at[-1][1], name))
    labels, last = [], -99.0
    for y, name in sorted(ends):
        last = max(y, last + 13)
        labels.append(f'<text x="{right + 8}" y="{last + 4:.1f}">{escape(cleaned(name)[:16])}</text>')
    back = (lambda v: 10**v) if logarithmic else float
    heights = [(12 + (TALL - 12 - LOW) * k / 3, high - (high - low) * k / 3) for k in range(4)]
    ticks = "".join(
        _mark(LEFT - 6, y + 4, _number(back(value)), end=True)
        + f'<line x1="{LEFT}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
        for y, value in heights
    )
    ticks += _mark(LEFT, TALL - 4, min(xs)) + _mark(right, TALL - 4, max(xs), end=True)
    return _picture("".join([ticks, *drawn, *labels]), label)


def histogram(values, label, bins=24):
    """Bars of how often values occur."""
    values = values[np.isfinite(values)]
    if not values.size:
        return ""
    counts, edges = np.histogram(values, bins=bins)
    step = (WIDE - LEFT - 20) / bins
    tall = (TALL - 12 - LOW) / (counts.max() or 1)
    bars = ""
    for k, count in enumerate(counts):
        place = f'x="{LEFT + k * step + 1:.1f}" width="{step - 2:.1f}" '
        place += f'y="{TALL - LOW - count * tall:.1f}" height="{count * tall:.1f}"'
        words = f"{_number(edges[k])} … {_number(edges[k + 1])}: {count}"
        bars += f'<rect {place} class="stick"><title>{words}</title></rect>'
    ticks = _mark(LEFT, TALL - 6, _number(edges[0])) + _mark(WIDE - 20, TALL - 6, _number(edges[-1]), end=True)
    ticks += _mark(LEFT - 6, 18, counts.max(), end=True)
    return _picture(bars + ticks, label)


def _mark(x, y, words, end=False):
    """A number at an axis."""
    return element("text", str(words), x=x, y=f"{y:.1f}", **({"text-anchor": "end"} if end else {}))


def _picture(body, label):
    size = {"viewBox": f"0 0 {WIDE} {TALL}", "width": WIDE, "height": TALL}
    svg = element("svg", body, **size, role="img", **{"aria-label": label})
    return element("div", svg, **{"class": "scroll chart"})
