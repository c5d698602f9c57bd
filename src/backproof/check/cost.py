"""The cost meter: what the numerical gradient costs beside backpropagation, on the user's own network (article A1).

Reads   a Target (a model, or a pair of functions).
Gives   times of one forward pass, of the gradient, of N + 1 and of 2N forward passes, predicted and measured, and an SVG.
"""

import time
from dataclasses import dataclass, field
from html import escape

import numpy as np

__all__ = ["Cost", "measure_cost"]


@dataclass
class Cost:
    """Seconds. ``measured`` {passes: seconds}: how long so many forward passes took; predicted is passes × forward."""

    parameters: int
    forward: float
    gradient: float
    measured: dict = field(default_factory=dict)

    def predicted(self, passes):
        return passes * self.forward

    @property
    def ratio(self):
        """The gradient in forward passes."""
        return self.gradient / self.forward

    @property
    def crossing(self):
        """From how many parameters on N + 1 forward passes take longer than one gradient."""
        return max(1, int(np.ceil(self.ratio)) - 1)

    def to_text(self):
        n = self.parameters
        lines = [f"{n} parameters", f"  one forward pass               {_time(self.forward)}",
                 f"  the gradient                   {_time(self.gradient)} = {self.ratio:.1f} forward passes"]
        for name, passes in ((f"N + 1 = {n + 1} forward passes", n + 1), (f"2N = {2 * n} forward passes", 2 * n)):
            known = self.measured.get(passes)
            lines.append(f"  {name:<30} predicted {_time(self.predicted(passes))}, "
                         + (f"measured {_time(known)}" if known is not None else "too long to be measured")
                         + f": {(known or self.predicted(passes)) / self.gradient:.0f} × the gradient")
        return "\n".join([*lines, f"  numerical gradients cost more from {self.crossing} parameters on"])

    def to_dict(self):
        return {"parameters": self.parameters, "forward": self.forward, "gradient": self.gradient,
                "measured": {str(k): v for k, v in self.measured.items()}, "crossing": self.crossing}

    def to_svg(self, width=640, height=360):
        """Time over the number of parameters: forward passes predicted and measured, the gradient as a level line."""
        most = max(self.measured, default=self.parameters + 1)
        top = max(self.predicted(most), *self.measured.values(), self.gradient) * 1.05
        x = lambda passes: 60 + (width - 80) * passes / most                                                    # noqa: E731
        y = lambda seconds: height - 40 - (height - 60) * seconds / top                                        # noqa: E731
        dots = "".join(f'<circle cx="{x(p):.1f}" cy="{y(s):.1f}" r="4" fill="#b3261e"/>' for p, s in self.measured.items())
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="12">'
                f'<line x1="60" y1="{y(0):.1f}" x2="{width - 20}" y2="{y(0):.1f}" stroke="#222"/>'
                f'<line x1="60" y1="20" x2="60" y2="{y(0):.1f}" stroke="#222"/>'
                f'<line x1="{x(0)}" y1="{y(0):.1f}" x2="{x(most):.1f}" y2="{y(self.predicted(most)):.1f}" stroke="#b3261e"/>'
                f'<line x1="60" y1="{y(self.gradient):.1f}" x2="{width - 20}" y2="{y(self.gradient):.1f}" stroke="#176b2c"/>'
                f'{dots}<text x="{width / 2}" y="{height - 10}">forward passes</text><text x="64" y="16">{escape(_time(top))}</text>'
                f'<text x="70" y="{y(self.gradient) - 6:.1f}" fill="#176b2c">the gradient</text></svg>')


def measure_cost(target, *, seconds=5.0):
    """The Cost of a target's gradient, by its own loss and gradient functions."""
    point = target.point
    count = sum(array.size for array in point.values())
    clock = lambda f: (f(), _best(f))[1]                                                                    # noqa: E731
    forward = clock(lambda: target.loss({n: a.copy() for n, a in point.items()}))
    gradient = clock(lambda: target.gradient({n: a.copy() for n, a in point.items()}))
    cost = Cost(count, forward, gradient)
    for passes in sorted({max(1, count // 4), max(1, count // 2), count + 1, 2 * count}):
        if cost.predicted(passes) < seconds / 2:
            start = time.perf_counter()
            for _ in range(passes):
                target.loss({n: a.copy() for n, a in point.items()})
            cost.measured[passes] = time.perf_counter() - start
    return cost


def _best(function, repeats=7):
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return sorted(times)[len(times) // 2]


def _time(seconds):
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1 or unit == "µs":
            return f"{seconds * factor:.3g} {unit}"
