"""D7: a derivative is the sensitivity of the whole expression to one variable: f(x, y) = xy at x = 4, y = -3.

Reads   the expression as text.
Gives   f, its derived equations and their values, and what a small step of x does to f.
"""

from backproof.calculus import System
from backproof.calculus.parser import parse
from backproof.derive import sweep
from backproof.engines.reference import Run
from backproof.lower import lower


def main(text="x*y", h=1e-3, **at):
    at = at or {"x": 4.0, "y": -3.0}
    system = System()
    system.define("f", parse(text))
    derived = sweep(system, {"f": 1}, list(at))

    def value(point, names):
        found = Run(lower(derived.system, names), point).outputs()
        return [float(found[name]) for name in names]
    names = [derived.adjoints[name] for name in at]
    f, *slopes = value(at, ["f", *names])
    first = next(iter(at))
    moved, = value({**at, first: at[first] + h}, ["f"])
    return {"f": f, **{f"df/d{name}": slope for name, slope in zip(at, slopes)}, "change per step": (moved - f) / h,
            "equations": [repr(derived.system["f"])]
            + [f"df/d{name} = {derived.system.resolve(derived.adjoints[name])}" for name in at]}


if __name__ == "__main__":
    found = main()
    print("\n".join(found.pop("equations")))
    for name, value in found.items():
        print(f"{name:<16} {value:g}")
