"""Documents: titles, paragraphs, rows of equations, tables and the picture, written in every format.

Reads   blocks that say what stands there, not how it looks.
Gives   Unicode text, Markdown with $, LaTeX, or HTML with MathML. A page is one self-contained file: no script, no font,
        no request; everything that came from outside is text.
"""

import unicodedata
from dataclasses import dataclass
from html import escape

from .boxes import Box
from .latex import escaped, latex
from .mathml import element, inner, mathml
from .names import cleaned
from .picture import svg, text_picture, tikz
from .text import text
from .words import phrase

__all__ = ["Heading", "Paragraph", "Rows", "Table", "Picture", "write", "FORMATS"]

FORMATS = ("text", "markdown", "latex", "html")
PROSE = 2000                              # characters of a paragraph


@dataclass(frozen=True)
class Heading:
    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """Prose and boxes in turn."""
    parts: tuple


@dataclass(frozen=True)
class Rows:
    """Numbered equations; ``framed`` puts a box around them, ``ruled`` their rules behind them."""
    rows: tuple
    framed: bool = False
    ruled: bool = True


@dataclass(frozen=True)
class Table:
    """A header and rows of cells; a cell is text or a box."""
    header: tuple
    rows: tuple


@dataclass(frozen=True)
class Picture:
    """The network: columns of (caption boxes, how many units)."""
    columns: tuple


def joined(phrases, style):
    return phrase("semicolon", style.language).join(phrases)


def write(blocks, style, form, *, title=None):
    """The blocks in a format; with a title as a whole document."""
    return WRITERS[form](blocks, style, title)


# ---------------------------------------------------------------------------------------------------------------- text

def write_text(blocks, style, title):
    parts = [] if title is None else [cleaned(title, PROSE), "=" * width_of(cleaned(title, PROSE)), ""]
    for block in blocks:
        parts.append(TEXT[type(block)](block, style))
    return "\n".join(parts).rstrip("\n") + ("\n" if title is not None else "")


def _text_heading(block, style):
    return f"\n{cleaned(block.text, PROSE)}\n{'-' * width_of(cleaned(block.text, PROSE))}"


def _text_paragraph(block, style):
    return "".join(text(part) if isinstance(part, Box) else cleaned(part, PROSE) for part in block.parts)


def _text_rows(block, style):
    rows = []
    for row in block.rows:
        head = f"({row.number})".rjust(5) + f"  {text(row.left)}"
        notes = [joined(row.rules, style) if block.ruled else "", *(note for _, note in row.right[1:])]
        formulas = [f"{head} = {text(row.right[0][0])}"]
        formulas += [" " * (len(head) + 1) + f"= {text(box)}" for box, _ in row.right[1:]]
        notes[0] = (notes[0], row.mark())
        rows += list(zip(formulas, notes))
        rows += [(" " * (len(head) + 3) + f"{text(a)} = {text(b)}", phrase("edge", style.language)) for a, b in row.edges]
    width = min(max((len(formula) for formula, _ in rows), default=0), 84)
    marked = any(isinstance(note, tuple) and note[1] for _, note in rows)
    lines = []
    for formula, note in rows:
        note, mark = note if isinstance(note, tuple) else (note, "")
        lines.append(f"{formula:<{width}}   {f'{mark:<8}' if marked else ''}{note}".rstrip())
    if block.framed:
        wide = max(map(width_of, lines))
        lines = ["┌" + "─" * (wide + 2) + "┐", *(f"│ {line}{' ' * (wide - width_of(line))} │" for line in lines), "└" + "─" * (wide + 2) + "┘"]
    return "\n".join(lines)


def width_of(line):
    """Columns of a terminal: wide characters take two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else not unicodedata.combining(c) for c in line)


def _text_table(block, style):
    cells = [[text(cell) if isinstance(cell, Box) else cleaned(cell) for cell in row] for row in (block.header, *block.rows)]
    widths = [max(width_of(row[k]) for row in cells) for k in range(len(block.header))]
    lines = ["  ".join(cell + " " * (w - width_of(cell)) for cell, w in zip(row, widths)).rstrip() for row in cells]
    return "\n".join([lines[0], "  ".join("─" * w for w in widths), *lines[1:]])


def _text_picture(block, style):
    return text_picture(block.columns)


TEXT = {Heading: _text_heading, Paragraph: _text_paragraph, Rows: _text_rows, Table: _text_table, Picture: _text_picture}


# ------------------------------------------------------------------------------------------------------------- markdown

def write_markdown(blocks, style, title):
    parts = [] if title is None else [f"# {plain_markdown(title)}"]
    for block in blocks:
        parts.append(MARKDOWN[type(block)](block, style))
    return "\n\n".join(parts) + "\n"


def plain_markdown(word):
    """Text that Markdown reads as text: markup and HTML escaped."""
    return "".join(rf"\{c}" if c in r"\`*_{}[]()#+!|~$" else {"<": "&lt;", ">": "&gt;", "&": "&amp;"}.get(c, c) for c in cleaned(word, PROSE))


def _markdown_heading(block, style):
    return "#" * block.level + " " + plain_markdown(block.text)


def _inline(part):
    return f"${latex(part).strip()}$" if isinstance(part, Box) else plain_markdown(part)


def _markdown_paragraph(block, style):
    return "".join(map(_inline, block.parts))


def _markdown_rows(block, style):
    parts = []
    for row in block.rows:
        words = joined(row.rules, style) if block.ruled else ""
        words = plain_markdown(" — ".join(w for w in (words, row.mark()) if w))
        parts.append((f"**({row.number})** {words}\n\n" if words else "") + f"$$\n{aligned(row)}\n$$")
    body = "\n\n".join(parts)
    return "\n".join("> " + line for line in body.split("\n")).replace("> \n", ">\n") if block.framed else body


def aligned(row):
    """A row as one LaTeX display with its number: right-hand sides below one another."""
    formulas = [rf"{latex(row.left)} &= {latex(row.right[0][0])}", *(rf"&= {latex(box)}{_note(note)}" for box, note in row.right[1:])]
    formulas += [rf"& {latex(a)} = {latex(b)}" for a, b in row.edges]
    if len(formulas) == 1:
        return formulas[0].replace("&= ", "= ", 1) + rf" \tag{{{row.number}}}"
    return r"\begin{aligned} " + r" \\ ".join(formulas) + rf" \end{{aligned}} \tag{{{row.number}}}"


def _note(words):
    return rf" \qquad \text{{{escaped(cleaned(words, PROSE))}}}" if words else ""


def _markdown_table(block, style):
    lines = ["| " + " | ".join(map(_inline, block.header)) + " |", "|" + " --- |" * len(block.header)]
    return "\n".join([*lines, *("| " + " | ".join(map(_inline, row)) + " |" for row in block.rows)])


def _markdown_picture(block, style):
    return " → ".join(", ".join(f"${latex(box).strip()}$" for box in captions) + f" ({count})" for captions, count in block.columns)


MARKDOWN = {Heading: _markdown_heading, Paragraph: _markdown_paragraph, Rows: _markdown_rows, Table: _markdown_table,
            Picture: _markdown_picture}


# ---------------------------------------------------------------------------------------------------------------- latex

PREAMBLE = r"""\documentclass[11pt]{%s}
\usepackage{amsmath,amssymb,tikz,array}
\usepackage[margin=25mm]{geometry}
\allowdisplaybreaks
\setlength{\parindent}{0pt}\setlength{\parskip}{6pt}
\begin{document}
"""


def write_latex(blocks, style, title):
    body = "\n\n".join(LATEX[type(block)](block, style) for block in blocks)
    if title is None:
        return body + "\n"
    head = PREAMBLE % ("ctexart" if style.language == "zh" else "article")
    return f"% compile with {'xelatex' if style.language == 'zh' else 'xelatex or pdflatex'}\n{head}" \
        rf"{{\Large\bfseries {escaped(cleaned(title, PROSE))}\par}}" + f"\n\n{body}\n\n\\end{{document}}\n"


def _latex_part(part):
    return rf"\({latex(part).strip()}\)" if isinstance(part, Box) else escaped(cleaned(part, PROSE))


def _latex_heading(block, style):
    return rf"\{'section' if block.level == 2 else 'subsection'}*{{{escaped(cleaned(block.text, PROSE))}}}"


def _latex_paragraph(block, style):
    return "".join(map(_latex_part, block.parts))


def _latex_rows(block, style):
    parts = []
    for row in block.rows:
        notes = joined(row.rules if block.ruled else (), style)
        sign = r"\checkmark" if row.holds else r"\times"
        mark = "" if row.error is None else rf"\;{{\footnotesize \({sign}\) {row.error:.0e}}}"
        words = rf"{{\small {escaped(cleaned(notes, PROSE))}{mark}}}\nopagebreak" if notes or mark else ""
        formulas = [rf"{latex(row.left)} &= {latex(row.right[0][0])} \tag{{{row.number}}}"]
        formulas += [rf"&= {latex(box)}{_note(note).replace('text{', 'text{' + chr(92) + 'footnotesize ')} \notag" for box, note in row.right[1:]]
        formulas += [rf"& {latex(a)} = {latex(b)} \notag" for a, b in row.edges]
        parts.append((words + "\n" if words else "") + "\\begin{align}\n" + " \\\\\n".join(formulas) + "\n\\end{align}")
    body = "\n".join(parts)
    return "\\noindent\\fbox{\\begin{minipage}{0.96\\linewidth}\n" + body + "\n\\end{minipage}}" if block.framed else body


def _latex_table(block, style):
    rows = [" & ".join(map(_latex_part, row)) + r" \\" for row in (block.header, *block.rows)]
    columns = "l" * (len(block.header) - 1) + "p{0.5\\linewidth}"
    return "\\begin{tabular}{@{}" + columns + "@{}}\n" + rows[0] + "\n\\hline\n" + "\n".join(rows[1:]) + "\n\\end{tabular}"


def _latex_picture(block, style):
    return tikz(block.columns)


LATEX = {Heading: _latex_heading, Paragraph: _latex_paragraph, Rows: _latex_rows, Table: _latex_table, Picture: _latex_picture}


# ----------------------------------------------------------------------------------------------------------------- html

CSS = """
:root{color-scheme:light dark;--ink:#1a1a1a;--paper:#fff;--dim:#666;--line:#ccc;--good:#0a7a33;--bad:#b00020}
@media(prefers-color-scheme:dark){:root{--ink:#e6e6e6;--paper:#161616;--dim:#a0a0a0;--line:#444;--good:#5fd38a;--bad:#ff7b8a}}
body{color:var(--ink);background:var(--paper);font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
table.equations{border-collapse:collapse;width:100%}table.equations td{padding:.35rem .5rem;vertical-align:middle}
td.number{color:var(--dim);width:3rem}td.rule{color:var(--dim);font-size:.85rem}td.check{font-size:.8rem;white-space:nowrap;color:var(--good)}
td.check.wrong{color:var(--bad)}td.formula{overflow-x:auto}.framed{border:1px solid var(--line);border-radius:6px;padding:.5rem}
table.grid{border-collapse:collapse}table.grid td,table.grid th{padding:.25rem .75rem;text-align:left;border-bottom:1px solid var(--line)}
math{font-size:1.1rem}mtext.shape{font-size:.6em;color:var(--dim)}mtext.note{font-size:.75em;color:var(--dim);padding-left:1em}svg{max-width:100%;height:auto}
""".strip()


def write_html(blocks, style, title):
    body = "\n".join(HTML[type(block)](block, style) for block in blocks)
    if title is None:
        return body + "\n"
    shown = escape(cleaned(title, PROSE))
    return f"""<!DOCTYPE html>
<html lang="{'zh-Hans' if style.language == 'zh' else 'en'}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{shown}</title><style>{CSS}</style></head>
<body><main><h1>{shown}</h1>
{body}
</main></body></html>
"""


def _html_part(part):
    return mathml(part, display=False) if isinstance(part, Box) else escape(cleaned(part, PROSE))


def _html_heading(block, style):
    return element(f"h{block.level}", escape(cleaned(block.text, PROSE)))


def _html_paragraph(block, style):
    return element("p", "".join(map(_html_part, block.parts)))


def _html_rows(block, style):
    rows = "\n".join(_html_row(row, block, style) for row in block.rows)
    return element("table", rows, **{"class": "equations framed" if block.framed else "equations"})


def _html_row(row, block, style):
    formula = element("mtable", "".join(
        element("mtr", "".join(element("mtd", cell) for cell in cells)) for cells in _html_sides(row)), columnalign="right left left")
    note = element("annotation", escape(aligned(row)), encoding="application/x-tex")
    math = element("math", element("semantics", element("mrow", formula) + note), display="block")
    words = joined(row.rules if block.ruled else (), style)
    cells = element("td", f"({row.number})", **{"class": "number"}) + element("td", math, **{"class": "formula"})
    cells += element("td", escape(cleaned(words, PROSE)), **{"class": "rule"})
    if row.error is not None:
        cells += element("td", escape(row.mark()), **{"class": "check" if row.holds else "check wrong"})
    return element("tr", cells, id=f"eq{row.number}" if not block.framed else f"sum{row.number}")


def _html_sides(row):
    equals = element("mo", "=")
    left = inner(row.left)
    for box, note in row.right:
        yield left, element("mrow", equals + inner(box)), element("mtext", escape(cleaned(note, PROSE)), **{"class": "note"}) if note else ""
        left = ""
    for a, b in row.edges:
        yield "", element("mrow", inner(a) + equals + inner(b)), ""


def _html_table(block, style):
    head = element("tr", "".join(element("th", _html_part(cell), scope="col") for cell in block.header))
    rows = "".join(element("tr", "".join(element("td", _html_part(cell)) for cell in row)) for row in block.rows)
    return element("table", head + rows, **{"class": "grid"})


def _html_picture(block, style):
    return element("figure", svg(block.columns, phrase("picture", style.language)))


HTML = {Heading: _html_heading, Paragraph: _html_paragraph, Rows: _html_rows, Table: _html_table, Picture: _html_picture}
WRITERS = {"text": write_text, "markdown": write_markdown, "latex": write_latex, "html": write_html}
