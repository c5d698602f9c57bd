"""The report of a check: a verdict, a row per parameter tensor, causes, and what else was noticed.

Reads   nothing but what it is made of.
Gives   text, JSON and HTML in English and Chinese.
"""

import json
import math
from dataclasses import asdict, dataclass, field

from .pages import page
from .words import say

__all__ = ["Block", "Cause", "Report"]


@dataclass
class Block:
    """One parameter tensor.

    Fields  name, shape; verdict "pass" | "fail" | "inconclusive"
            error, tolerance  relative to the norm of the tensor's own gradient
            worst             index of the largest gap, with analytic, numeric and their ratio there
            doubt             the oracle's own relative error; method: which oracle; looked: how many entries it looked at
            note              a key of words.py: "subgradient", "nearby", "zero", …
    """

    name: str
    shape: tuple
    verdict: str
    error: float
    tolerance: float
    worst: tuple = ()
    analytic: float = math.nan
    numeric: float = math.nan
    doubt: float = 0.0
    method: str = "complex step"
    looked: int = 0
    note: str = ""
    slope: float = math.nan                             # of the Taylor remainder, 2 for a right gradient; where asked for

    @property
    def ratio(self):
        """Analytic over numeric at the worst entry."""
        return self.analytic / self.numeric if self.numeric else math.inf if self.analytic else math.nan


@dataclass
class Cause:
    """Why a gradient is wrong.

    Fields  key       the hypothesis, a key of words.py, with the values that complete its sentence
            tier      "black box" (from arrays alone) or "twin" (a mutation of the derived equations)
            where     the parameters or equations concerned
            equation  the equation that should stand there, where the tier knows it
    """

    key: str
    tier: str
    where: tuple = ()
    values: dict = field(default_factory=dict)
    equation: str = ""
    instead: str = ""

    def text(self, language="en"):
        """The sentence that names the mistake and where it is."""
        return say(self.key, language, where=", ".join(self.where), **self.values)

    @property
    def names(self):
        """The mistake's name and those of other mistakes that give the same numbers."""
        return (self.key, *self.values.get("also", ()))


@dataclass
class Report:
    """What a check found; true in a condition only where it passed.

    >>> bool(Report("t", "inconclusive", []))
    False
    """

    target: str
    verdict: str
    blocks: list
    causes: list = field(default_factory=list)
    notes: list = field(default_factory=list)           # (key of words.py, values)
    sides: list = field(default_factory=list)           # side checks that failed, as (key, values)
    seconds: float = 0.0
    language: str = "en"

    def __bool__(self):
        return self.verdict == "pass"

    @property
    def exit_code(self):
        """0 for a pass, 1 for a fail, 2 for inconclusive."""
        return {"pass": 0, "fail": 1}.get(self.verdict, 2)

    def verdict_of_blocks(self):
        """Of all tensors: fail if one fails, else inconclusive if one is."""
        verdicts = {block.verdict for block in self.blocks}
        return next(v for v in ("fail", "inconclusive", "pass") if v in verdicts)

    def block(self, name):
        return next(block for block in self.blocks if block.name == name)

    def to_text(self, language=None):
        """The report as lines of text.

        >>> print(Report("demo", "pass", [Block("W", (2,), "pass", 1e-16, 1e-11, looked=2)]).to_text())
        demo: pass
          W  (2)  pass  error 1.0e-16, tolerance 1.0e-11, complex step of 2 entries
        """
        language = language or self.language
        lines = [f"{self.target}: {say(self.verdict, language)}"]
        width = max((len(block.name) for block in self.blocks), default=0)
        shapes = [" × ".join(map(str, block.shape)) or "1" for block in self.blocks]
        wide = max(map(len, shapes), default=0)
        for block, shape in zip(self.blocks, shapes):
            lines.append(f"  {block.name:<{width}}  ({shape}){'':<{wide - len(shape)}}  " + self._row(block, language))
        if self.verdict != "pass":
            lines += self._causes(language)
        lines += [f"  {say('note', language)}: {say(key, language, **values)}" for key, values in (*self.sides, *self.notes)]
        return "\n".join(lines)

    def _row(self, block, language):
        row = f"{say(block.verdict, language)}  " + say(
            "row", language, error=f"{block.error:.1e}", tolerance=f"{block.tolerance:.1e}",
            method=say(block.method, language), looked=block.looked)
        if block.verdict != "pass" and block.worst is not None and not math.isnan(block.analytic):
            row += "; " + say("worst", language, index=list(block.worst), analytic=f"{block.analytic:.9g}",
                              numeric=f"{block.numeric:.9g}", ratio=f"{block.ratio:.9g}")
        if not math.isnan(block.slope):
            row += "; " + say("taylor slope", language, slope=f"{block.slope:.2f}")
        return row + (f"; {say(block.note, language)}" if block.note else "")

    def _causes(self, language):
        if not self.causes:
            return [f"  {say('cause not found', language)}"] if self.verdict == "fail" else []
        lines = []
        for cause in self.causes:
            lines.append(f"  {say('cause', language)} ({say(cause.tier, language)}): {cause.text(language)}")
            if cause.equation:
                lines.append(f"    {say('should stand', language)}  {cause.equation}")
            if cause.instead:
                lines.append(f"    {say('stands', language)}  {cause.instead}")
            if cause.values.get("also"):
                others = [say(name, language, where="…") for name in cause.values["also"]]
                lines.append(f"    {say('also', language, names='; '.join(others))}")
        return lines

    __str__ = to_text

    def to_html(self, path=None, language=None):
        """The report as one HTML file; the text is returned where no path is given."""
        text = page(self, language or self.language)
        if path is None:
            return text
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def to_dict(self):
        """The report as plain data; numbers that JSON lacks (NaN, infinity) become None."""
        data = {"target": self.target, "verdict": self.verdict, "seconds": self.seconds,
                "blocks": [{**asdict(block), "ratio": block.ratio} for block in self.blocks],
                "causes": [{**asdict(cause), "text": cause.text(self.language)} for cause in self.causes],
                "notes": [say(key, self.language, **values) for key, values in (*self.sides, *self.notes)]}
        return _plain(data)

    def to_json(self):
        """
        >>> Report("demo", "pass", []).to_json()
        '{"target": "demo", "verdict": "pass", "seconds": 0.0, "blocks": [], "causes": [], "notes": []}'
        """
        return json.dumps(self.to_dict(), ensure_ascii=False)


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if hasattr(value, "item"):
        value = value.item()
    return value if not isinstance(value, float) or math.isfinite(value) else None
