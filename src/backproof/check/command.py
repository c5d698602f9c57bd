"""What ``backproof check``, ``exercise`` and ``grade`` do; the commands read options, call this and print.

Gives   an Outcome: text, plain data for JSON, HTML, an exit code for CI: 0 pass, 1 fail, 2 inconclusive.
"""

import importlib
import importlib.util
import inspect
import sys
from dataclasses import dataclass
from pathlib import Path

from ..errors import FileProblem, OptionError
from .cost import measure_cost
from .gradients import as_target, check_gradients
from .pages import page

__all__ = ["Outcome", "check_functions", "check_model", "cost_of", "load"]


@dataclass
class Outcome:
    """What a command prints (``text``), gives as JSON (``data``) and returns (``exit_code``)."""

    text: str
    data: dict
    exit_code: int = 0
    html: str = ""


def load(name):
    """The object behind "module:name" or "path/to/file.py:name".

    >>> load("math:pi")
    3.141592653589793
    """
    place, colon, attribute = str(name).rpartition(":")
    if not colon or not place or not attribute:
        raise OptionError(f"{name!r} names no object", fix="module:name, or path/to/file.py:name")
    if place.endswith(".py"):
        if not Path(place).is_file():
            raise FileProblem(f"{place} is not there", fix="give the path of a Python file")
        made = importlib.util.spec_from_file_location(Path(place).stem, place)
        module = importlib.util.module_from_spec(made)
        sys.modules.setdefault(made.name, module)
        made.loader.exec_module(module)
    else:
        if "" not in sys.path:
            sys.path.insert(0, "")
        try:
            module = importlib.import_module(place)
        except ModuleNotFoundError as error:
            raise OptionError(f"there is no module {place!r}", fix="run it where the module is, or give path/to/file.py:name") from error
    found = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            names = [n for n in dir(found) if not n.startswith("_")][:20]
            raise OptionError(f"{place} has no {part!r}", fix=f"it has {', '.join(names)}")
        found = getattr(found, part)
    return found


def check_functions(name=None, *, loss=None, grad=None, at=None, X=None, y=None, like=None, update=None, seed=None,
                    language="en", seconds=20.0):
    """Check a function that returns (loss, gradients), or a loss and a gradient, named as "module:name".

    The point comes from ``at`` ("module:name") or from the function's defaults. A name that is a pair, a layer, a model or
    an object of another library is checked as that.
    """
    take = lambda given: None if given is None else load(given)                                              # noqa: E731
    point, data = take(at), [take(X), take(y)]
    point = point() if callable(point) else point
    if name is not None:
        target = load(name)
        if inspect.isfunction(target):
            target, point = both(target, point, [d for d in data if d is not None])
    elif loss and grad:
        target = (load(loss), load(grad))
        point = defaults(target[0]) if point is None else point
    else:
        raise OptionError("there is nothing to check", fix="module:function, or --loss m:f --grad m:g --at m:theta")
    report = check_gradients(target, *data, at=point, like=like, update=update, seed=seed, language=language, seconds=seconds)
    return outcome(report, language)


def check_model(model, X, y, *, rows=5, language="en", seed=None, sample_weight=None):
    """Check a trained model on some rows of its data."""
    chosen = slice(0, rows) if rows else slice(None)
    weight = None if sample_weight is None else sample_weight[chosen]
    return outcome(check_gradients(model, X[chosen], y[chosen], seed=seed, language=language, sample_weight=weight), language)


def cost_of(target, X=None, y=None, *, at=None, seconds=5.0):
    """The cost meter as an Outcome; its HTML is the plot."""
    cost = measure_cost(as_target(target, X, y, at=at), seconds=seconds)
    return Outcome(cost.to_text(), cost.to_dict(), 0, cost.to_svg())


def outcome(report, language):
    return Outcome(report.to_text(language), report.to_dict(), report.exit_code, page(report, language))


def defaults(function):
    """The point that a function's defaults are, by argument name."""
    found = {p.name: p.default for p in inspect.signature(function).parameters.values() if p.default is not p.empty}
    if not found:
        raise OptionError(f"{function.__name__} has no defaults to check it at", fix="--at module:name of the parameters")
    return found


def both(function, point, data):
    """((loss, gradient), point) of a function that returns the two together; named arguments where the point is a dict."""
    named = point is None
    point = defaults(function) if named else point

    def loss(theta):
        return function(**theta)[0] if named else function(theta, *data)[0]

    def gradient(theta):
        returned = function(**theta)[1] if named else function(theta, *data)[1]
        return returned if isinstance(returned, dict) or not named else dict(zip(point, returned if isinstance(
            returned, (tuple, list)) else [returned]))
    gradient.__name__ = function.__name__
    return (loss, gradient), point
