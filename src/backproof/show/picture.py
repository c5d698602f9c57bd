"""The picture of a network: columns of units, as SVG, TikZ and text. Large layers show their first and last units."""

from html import escape

from .latex import latex
from .mathml import element
from .text import text

__all__ = ["svg", "tikz", "text_picture", "shown_units"]

MOST = 6


def shown_units(count):
    """The units drawn: all of a small layer; of a large one the first ones, None for the gap, the last.

    >>> shown_units(3), shown_units(100)
    ([1, 2, 3], [1, 2, 3, None, 100])
    """
    return list(range(1, count + 1)) if count <= MOST else [1, 2, 3, None, count]


def _positions(columns):
    """[(captions, [(unit, x, y)])] on a grid with the columns centred."""
    tallest = max(len(shown_units(count)) for _, count in columns)
    for x, (captions, count) in enumerate(columns):
        units = shown_units(count)
        yield captions, [(unit, x, k + (tallest - len(units)) / 2) for k, unit in enumerate(units)]


def svg(columns, label):
    """The picture as SVG with a label for screen readers."""
    placed = list(_positions(columns))
    height = max(y for _, units in placed for _, _, y in units) + 1
    place = lambda x, y: (60 + 170 * x, 40 + 50 * y)                                              # noqa: E731
    lines, circles, captions = [], [], []
    for (_, lower), (_, upper) in zip(placed, placed[1:]):
        for a, x1, y1 in lower:
            for b, x2, y2 in upper:
                if a is not None and b is not None:
                    (u, v), (w, z) = place(x1, y1), place(x2, y2)
                    lines.append(f'<line x1="{u}" y1="{v:g}" x2="{w}" y2="{z:g}"/>')
    for k, (words, units) in enumerate(placed):
        for unit, x, y in units:
            u, v = place(x, y)
            if unit is None:
                circles.append(f'<text x="{u}" y="{v + 5:g}" text-anchor="middle" stroke="none" fill="currentColor">⋮</text>')
            else:
                circles.append(f'<circle cx="{u}" cy="{v:g}" r="16"/><text x="{u}" y="{v + 5:g}" text-anchor="middle" '
                               f'stroke="none" fill="currentColor" font-size="13">{unit}</text>')
        shown = "  ".join(text(box) for box in words)
        captions.append(f'<text x="{place(k, 0)[0]}" y="{40 + 50 * height:g}" text-anchor="middle" stroke="none" '
                        f'fill="currentColor" font-size="14">{escape(shown)}</text>')
    width, tall = 120 + 170 * (len(placed) - 1), 60 + 50 * height
    body = f'<g stroke="currentColor" stroke-opacity=".35">{"".join(lines)}</g><g fill="none" stroke="currentColor">' \
           f'{"".join(circles)}{"".join(captions)}</g>'
    return element("svg", f"<title>{escape(label)}</title>{body}", xmlns="http://www.w3.org/2000/svg", role="img",
                   viewBox=f"0 0 {width} {tall:g}", width=width)


def tikz(columns):
    """The picture as TikZ."""
    placed = list(_positions(columns))
    height = max(y for _, units in placed for _, _, y in units) + 1
    lines = [r"\begin{center}\begin{tikzpicture}[x=28mm,y=-9mm,unit/.style={circle,draw,minimum size=6mm,inner sep=0pt,font=\scriptsize}]"]
    for k, (words, units) in enumerate(placed):
        for n, (unit, x, y) in enumerate(units):
            lines.append(rf"\node (u{k}x{n}) at ({x},{y:g}) {{$\vdots$}};" if unit is None else
                         rf"\node[unit] (u{k}x{n}) at ({x},{y:g}) {{{unit}}};")
        caption = r",\; ".join(latex(box) for box in words)
        lines.append(rf"\node at ({k},{height:g}) {{\small $ {caption} $}};")
    for k, ((_, lower), (_, upper)) in enumerate(zip(placed, placed[1:])):
        for n, (a, *_) in enumerate(lower):
            for m, (b, *_) in enumerate(upper):
                if a is not None and b is not None:
                    lines.append(rf"\draw[gray] (u{k}x{n}) -- (u{k + 1}x{m});")
    return "\n".join([*lines, r"\end{tikzpicture}\end{center}"])


def text_picture(columns):
    """The picture as one line: x (3) → z1, a1 (4) → …"""
    return "  →  ".join(f"{', '.join(text(box) for box in captions)} ({count})" for captions, count in columns)


