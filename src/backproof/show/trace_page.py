"""The trace page: a Trace as one self-contained HTML file.

Reads   a Trace. The very trees that are printed go into the page; its script evaluates them with the recorded numbers.
Gives   HTML of at most LIMIT bytes: samples and epochs are kept until then, and the page names what was left out.
"""

from base64 import b64encode

import numpy as np

from .boxes import Op, Row
from .document import cleaned
from .evaluate import slope
from .html import assemble
from .mathml import element, mathml
from .notation import NOTATIONS
from .page_words import PAGE_WORDS
from .sheet import Sheet, Style
from .text import text
from .tree_data import LineData
from .words import phrase

__all__ = ["LIMIT", "trace_page"]

LIMIT = 5_000_000  # bytes of a page
NAMED = 1024  # features and classes whose names travel with the page
SHORT = 80  # characters of a name
SLOPES = "slope."


def trace_page(trace, language="en"):
    """The page's text."""
    style = Style(NOTATIONS["house"], language=language)
    sheet = Sheet(trace.derivation, style)
    functions, lines, formulas, slopes = {}, [], [], {}
    for line in trace.derivation.lines():
        data = LineData(functions)
        lines.append(_line(line, data))
        slopes.update(data.slopes)
        formulas.append(_formula(sheet.row(line)))
    body = element("template", "".join(formulas), id="formulas")
    plan = Plan(trace, slopes, len(body) + 130_000)
    data = {
        "language": language,
        "title": _title(trace),
        "lines": lines,
        "functions": functions,
        **plan.data(),
        "columns": _columns(trace),
        "names": _names(trace, sheet, slopes),
        "adjoints": _adjoints(trace),
        "rate": trace.learning_rate,
        "spec": cleaned(trace.network.spec or ""),
        "loss": cleaned(trace.network.loss.text()),
        "constants": {name: float(value) for pair in trace.derivation.strengths.values() for name, value in pair},
        "features": _listed(trace.feature_names),
        "classes": _listed(trace.class_names),
    }
    return assemble("trace", title=_title(trace), language=language, body=body, data=data, words=PAGE_WORDS)


def _title(trace):
    return cleaned(trace.title or trace.network.spec or "backproof")


def _listed(names):
    return None if names is None else [_name(name) for name in names[:NAMED]]


def _name(name):
    shown = cleaned(str(name)[: 4 * SHORT])
    return shown if len(shown) <= SHORT else shown[:SHORT] + "…"


# ------------------------------------------------------------------------------------------------------------- lines


def _line(line, data):
    equation = line.equation
    left, sides = data.tree(line.left), [{"kind": side.kind, "tree": data.tree(side.tree)} for side in line.sides]
    return {
        "number": line.number,
        "name": equation.name,
        "of": equation.of,
        "role": equation.role,
        "layer": equation.layer,
        "left": left,
        "sides": sides,
        "free": [data.axis(axis) for axis in line.free],
        "axes": [[axis.index.name, axis.index.kind, axis.index.extent] for axis in data.axes],
        "rules": [[phrase(key, "en") for key in line.rules], [phrase(key, "zh") for key in line.rules]],
    }


def _formula(row):
    sides = [mathml(Row((row.left, Op("="), row.right[0][0])))]
    sides += [mathml(Row((Op("="), box))) for box, _ in row.right[1:]]
    sides += [mathml(Row((a, Op("="), b))) for a, b in row.edges]
    return element("div", "".join(sides))


# ------------------------------------------------------------------------------------------------------------- picture


def _columns(trace):
    """The columns of the picture: the input, then a layer each, with what connects it to the one below."""
    system, network = trace.derivation.system, trace.network
    below = _unit(network.input.axes)
    columns = [
        {
            "label": network.input.name,
            "kind": "input",
            "out": network.input.name,
            "unit": below.name if below else None,
            "count": below.extent if below else 1,
            "maps": [],
            "loops": [],
            "pre": [],
            "time": _timed(network.input.axes),
        }
    ]
    kinds = {label: layer.kind for layer, label, *_ in network.placed}
    parameters = {p.name: p for p in network.parameters}
    for label, indices in network.shapes:
        unit = _unit(indices)
        own = [e for e in system if e.of is None and e.layer == label]
        outs = [e.name for e in own if unit in e.axes]
        column = {
            "label": label,
            "kind": kinds[label],
            "out": outs[-1] if outs else columns[-1]["out"],
            "unit": unit.name,
            "count": unit.extent,
            "maps": [],
            "loops": [],
            "pre": [e.name for e in own if e.role == "pre_activation"],
            "time": _timed(indices),
        }
        for equation in own:
            _connect(column, equation, system, parameters, below, unit)
        columns.append(column)
        below = unit
    return columns


def _connect(column, equation, system, parameters, below, unit):
    reads = [parameters[name] for name in system.reads(equation.name) if name in parameters]
    bias = next((p.name for p in reads if [a.name for a in p.axes] == [unit.name]), None)
    for p in reads:
        names = [axis.name for axis in p.axes]
        if below is not None and names == [below.name, unit.name]:
            column["maps"].append({"weight": p.name, "bias": bias, "target": equation.name})
        elif len(names) == 2 and {name.rstrip("'") for name in names} == {unit.name}:
            column["loops"].append({"weight": p.name, "target": equation.name})


def _unit(axes):
    return next((axis for axis in reversed(axes) if axis.kind == "unit"), None)


def _timed(axes):
    return any(axis.kind == "time" for axis in axes)


def _names(trace, sheet, slopes):
    """{quantity: how it is read and written}."""
    system = trace.derivation.system
    namer = sheet.namer(system)
    found = {**{name: v for name, v in system.variables.items()}, **system.equations}
    made = {}
    for name, thing in found.items():
        parameter = getattr(thing, "of", None) or name
        units = [axis for axis in thing.axes if axis.kind == "unit"]
        flipped = parameter in system.variables and system.variables[parameter].role == "parameter" and len(units) == 2
        made[name] = {
            "axes": [[i.name, i.kind, i.extent] for i in thing.axes],
            "role": thing.role,
            "of": getattr(thing, "of", None),
            "shown": cleaned(text(namer.box(name))),
            "flipped": flipped,
        }
    for name, (function, z) in slopes.items():
        made[name] = {
            "axes": made[z]["axes"],
            "role": "slope",
            "of": None,
            "shown": f"{_letter(function)}′({made[z]['shown']})",
            "flipped": False,
        }
    return made


def _letter(function):
    return "σ" if function.name == "sigmoid" else cleaned(function.name)


def _adjoints(trace):
    system = trace.derivation.system
    return {system.resolve(name): adjoint for name, adjoint in trace.adjoints.items() if adjoint in system.equations}


# ------------------------------------------------------------------------------------------------------------- numbers


class Plan:
    """Which arrays, samples and epochs fit; ``notes`` say what was left out: (phrase, numbers or names)."""

    def __init__(self, trace, slopes, used):
        self.trace, self.slopes, self.notes = trace, slopes, []
        first = trace.snapshots[0].values
        budget = (LIMIT - used) * 3 // 4
        per_sample, shared = {}, {}
        for name, array in first.items():
            kinds = [axis.kind for axis in trace.axes(name)]
            bytes_ = array.size * array.dtype.itemsize
            (per_sample if "sample" in kinds else shared)[name] = bytes_ // trace.n if "sample" in kinds else bytes_
        per_sample.update({name: per_sample[z] for name, (_, z) in slopes.items()})
        self.left = self._left(shared, budget // 2)
        fixed = sum(size for name, size in shared.items() if name not in self.left)
        each = sum(per_sample.values()) or 1
        epochs = len(trace.snapshots)
        self.samples = max(
            1, min(trace.n, (budget - fixed) // each, max(8, (budget - fixed * epochs) // (each * epochs)))
        )
        kept = max(1, min(epochs, budget // max(1, fixed + self.samples * each)))
        self.epochs = (
            sorted(set(np.linspace(0, epochs - 1, kept).round().astype(int).tolist())) if kept > 1 else [epochs - 1]
        )
        if self.samples < trace.n:
            self.notes.append(["left_samples", str(self.samples), str(trace.n)])
        if len(self.epochs) < epochs:
            self.notes.append(["left_epochs", str(len(self.epochs)), str(epochs)])
        if self.left:
            self.notes.append(["left_arrays", ", ".join(cleaned(name) for name in self.left), ""])

    @staticmethod
    def _left(shared, room):
        """The largest arrays, gradients before parameters, until the rest fits."""
        left = []
        for name in sorted(shared, key=lambda name: (not name.startswith("grad."), -shared[name])):
            if sum(shared.values()) - sum(shared[other] for other in left) <= room:
                break
            left.append(name)
        return left

    def data(self):
        trace = self.trace
        extents = {"N": trace.n}
        for name, array in trace.snapshots[0].values.items():
            extents.update(
                {axis.extent: array.shape[k] for k, axis in enumerate(trace.axes(name)) if isinstance(axis.extent, str)}
            )
        rows = list(range(1, trace.n + 1)) if trace.rows is None else [int(row) for row in trace.rows]
        return {
            "extents": extents,
            "samples": self.samples,
            "notes": self.notes,
            "rows": rows[: self.samples],
            "lengths": None if trace.lengths is None else [int(length) for length in trace.lengths[: self.samples]],
            "snapshots": [self._snapshot(trace.snapshots[k]) for k in self.epochs],
        }

    def _snapshot(self, snapshot):
        values = dict(snapshot.values)
        for name, (function, z) in self.slopes.items():
            values[name] = slope(function, [values[z]], 0).astype(values[z].dtype)
        return {
            "when": snapshot.when,
            "arrays": {name: self._packed(name, array) for name, array in values.items() if name not in self.left},
        }

    def _packed(self, name, array):
        axes = self.trace.axes(self.slopes[name][1] if name in self.slopes else name)
        kinds = [axis.kind for axis in axes]
        if "sample" in kinds:
            array = array.take(range(self.samples), axis=kinds.index("sample"))
        array = np.asarray(array, None if array.dtype in (np.float32, np.float64) else np.float64)
        array = array.astype(array.dtype.newbyteorder("<"))
        return [array.dtype.itemsize, list(array.shape), b64encode(array.tobytes()).decode()]
