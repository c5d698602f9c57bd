"""The horizon in words, and as cards of the report page: the curve over the lag and the heat map of the measured losses."""

from html import escape

import numpy as np

from .document import cleaned
from .mathml import element
from .page_words import page_phrase

__all__ = ["cards", "text"]

SHADES = 4                      # decades from the darkest cell of the heat map to the lightest


def text(horizon, language="en"):
    """Lines for a terminal."""
    return "\n".join([page_phrase("horizon", language), *(f"  {line}" for line in sentences(horizon, language))])


def sentences(horizon, language):
    """What was found, a sentence each."""
    say = lambda key, *values: page_phrase(key, language, *map(_shown, values))                    # noqa: E731
    reach = "horizon_beyond" if horizon.beyond else "horizon_reach"
    lines = [say(reach, horizon.reach, horizon.steps), say("horizon_rate", horizon.rate)]
    for cause in horizon.causes:
        if "radius" in cause:
            lines.append(say("horizon_jacobian", cause["layer"], cause["radius"], cause["norm"]))
        parts = [f"{cleaned(name)} {_shown(value)}" for name, value in cause["slopes"].items()]
        if parts:
            lines.append(say("horizon_slopes", cause["layer"], ", ".join(parts)))
        parts = [f"{cleaned(name)} {_shown(value)}" for name, value in cause["matrices"].items() if value is not None]
        if parts:
            lines.append(say("horizon_matrices", cause["layer"], ", ".join(parts)))
    for length, share, cosine in horizon.bias:
        lines.append(say("horizon_bias", length, 100 * share, cosine))
    for probability, spread in horizon.spread:
        lines.append(say("horizon_spread", probability, 100 * spread))
    return lines + ["→ " + say(key, *values) for key, *values in horizon.advice]


def _shown(value):
    return cleaned(value) if isinstance(value, str) else str(value) if isinstance(value, int) else f"{value:.3g}".replace("-", "−")


def cards(horizon, language, card, chart):
    """The sections of the report page; ``card`` and ``chart`` are the report's own."""
    title = page_phrase("horizon", language)
    facts = "".join(element("p", escape(line)) for line in sentences(horizon, language))
    curves = {page_phrase("horizon_all", language): horizon.curve}
    if len(horizon.by_state) > 1:
        curves.update(horizon.by_state)
    series = {name: [(k, v) for k, v in enumerate(values) if np.isfinite(v)] for name, values in curves.items()}
    drawn = chart(series, page_phrase("horizon_curve", language), logarithmic=True)
    return [card(title, facts), card(page_phrase("horizon_curve", language), drawn),
            card(page_phrase("horizon_heat", language), heat(horizon, language))]


def heat(horizon, language):
    """One row per measured loss, one cell per lag; the shade is the logarithm of the norm."""
    rows = np.array([[np.nan if x is None else x for x in row] for row in horizon.heat], float)
    top = np.nanmax(rows) if np.isfinite(rows).any() else 0.0
    if not top > 0:
        return element("p", escape(page_phrase("horizon_silent", language)))
    wide, tall, left = 560, max(6, min(14, 420 // len(rows))), 90
    cell, parts = wide / rows.shape[1], []
    with np.errstate(divide="ignore"):
        shade = np.clip(1 + np.log10(rows / top) / SHADES, 0, 1)
    for r, line in enumerate(shade):
        n, s = horizon.losses[r]
        words = page_phrase("horizon_row", language, n, s + 1)
        parts.append(element("text", escape(words), x=0, y=f"{r * tall + tall - 1}"))
        for k, value in enumerate(line):
            if np.isfinite(value):
                parts.append(f'<rect x="{left + k * cell:.1f}" y="{r * tall}" width="{cell:.1f}" height="{tall - 1}" class="right" '
                             f'fill-opacity="{value:.2f}"></rect>')
    size = {"viewBox": f"0 0 {left + wide} {len(rows) * tall}", "width": left + wide, "height": len(rows) * tall}
    svg = element("svg", "".join(parts), **size, role="img", **{"aria-label": page_phrase("horizon_heat", language)})
    about = element("p", escape(page_phrase("horizon_heat_about", language, SHADES)), **{"class": "soft"})
    return element("div", svg, **{"class": "scroll chart"}) + about
