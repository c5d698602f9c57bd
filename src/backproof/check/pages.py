"""A report as one HTML file: no script, nothing loaded from elsewhere, every text escaped."""

from html import escape

from .words import say

__all__ = ["page"]

STYLE = """
body{font:15px/1.5 system-ui,"Noto Sans SC",sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#222}
table{border-collapse:collapse}th,td{padding:.3rem .7rem;text-align:left;border-bottom:1px solid #ddd}
td.n{font-family:ui-monospace,monospace;text-align:right}.pass{color:#176b2c}.fail{color:#b3261e}.inconclusive{color:#8a6100}
h1 span{font-weight:600}pre{background:#f5f5f5;padding:.6rem;overflow-x:auto}
"""
HEADS = ("tensor", "shape of", "verdict", "error", "tolerance", "index", "analytic", "numeric", "ratio", "note")


def page(report, language="en"):
    """The HTML text of a report.

    >>> from backproof.check import Report
    >>> "<script" in page(Report("<script>alert(1)</script>", "pass", []))
    False
    """
    rows = "".join(_row(block, language) for block in report.blocks)
    heads = "".join(f"<th>{escape(say(head, language))}</th>" for head in HEADS)
    causes = "".join(_cause(cause, language) for cause in report.causes)
    if report.verdict == "fail" and not report.causes:
        causes = f"<p>{escape(say('cause not found', language))}</p>"
    notes = "".join(f"<li>{escape(say(key, language, **values))}</li>" for key, values in (*report.sides, *report.notes))
    return (f'<!doctype html><html lang="{"zh-CN" if language == "zh" else "en"}"><meta charset="utf-8">'
            '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src \'unsafe-inline\'">'
            f"<title>{escape(report.target)}</title><style>{STYLE}</style>"
            f'<h1>{escape(report.target)}: <span class="{report.verdict}">{escape(say(report.verdict, language))}</span></h1>'
            f"<table><tr>{heads}</tr>{rows}</table>{causes}<ul>{notes}</ul></html>")


def _row(block, language):
    numbers = [f"{block.error:.2e}", f"{block.tolerance:.0e}", "" if block.worst is None else list(block.worst),
               *(f"{v:.9g}" if v == v else "" for v in (block.analytic, block.numeric, block.ratio))]
    cells = "".join(f'<td class="n">{escape(str(n))}</td>' for n in numbers)
    return (f"<tr><td>{escape(block.name)}</td><td>{' × '.join(map(str, block.shape)) or 1}</td>"
            f'<td class="{block.verdict}">{escape(say(block.verdict, language))}</td>{cells}'
            f"<td>{escape(say(block.note, language)) if block.note else ''}</td></tr>")


def _cause(cause, language):
    lines = [f"{say(word, language)} {text}" for word, text in (("should stand", cause.equation), ("stands", cause.instead)) if text]
    shown = f"<pre>{escape(chr(10).join(lines))}</pre>" if lines else ""
    return f"<p><b>{escape(say('cause', language))}</b> ({escape(say(cause.tier, language))}): {escape(cause.text(language))}</p>{shown}"
