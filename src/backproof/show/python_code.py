"""A derivation as a readable NumPy module: forward pass, error signals, gradients and update, line by line.

Reads   a derivation.
Gives   the text of a module that needs nothing but NumPy. Every line stands for one equation and carries its number;
        recurrences are loops over time. Arrays are sample-first, as a user holds them: x (n, i), or (n, t, i).
"""

import builtins
import keyword
import re

from .. import calculus as c
from ..lower.schedule import components
from .names import cleaned
from .index_form import softmax_of
from .lines import lines_of, unit_order
from .sheet import Sheet
from .text import text

__all__ = ["python_code"]

ORDER = ("sample", "time", "pair", "unit")                    # the axes of every array
SUM, PRODUCT, ATOM = 1, 2, 3
COMMENT = 400                                                 # characters of a comment
CALLS = {"exp": "np.exp({})", "log": "np.log({})", "sqrt": "np.sqrt({})", "abs": "np.abs({})", "sign": "np.sign({})",
         "tanh": "np.tanh({})", "expm1": "np.expm1({})", "maximum": "np.maximum({}, {})", "minimum": "np.minimum({}, {})",
         "greater": "np.where({} > {}, 1.0, 0.0)", "equal": "np.where({} == {}, 1.0, 0.0)", "select": "np.where({}, {}, {})",
         "step": "np.where({} > 0, 1.0, 0.0)", "softplus": "np.logaddexp(0, {})"}
HELPERS = {
    "sigmoid": '''def sigmoid(x):
    e = np.exp(-np.abs(x))                                   # never overflows
    return np.where(x < 0, e, 1) / (1 + e)''',
    "erf": '''erf = np.vectorize(math.erf, otypes=[float])''',
    "normal_cdf": '''normal_cdf = np.vectorize(lambda x: math.erfc(-x * math.sqrt(0.5)) / 2, otypes=[float])''',
    "logsumexp": '''def logsumexp(x, axis):
    top = np.max(x, axis=axis, keepdims=True)
    return (np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True)) + top).squeeze(axis)''',
    "softmax": '''def softmax(x):
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)''',
    "before": '''def before(x, edge):
    """The value one step back; before the first step stands the edge."""
    out = np.empty(np.shape(x))
    out[:, 1:], out[:, 0] = x[:, :-1], edge
    return out''',
    "after": '''def after(x, edge):
    """The value one step ahead; behind the last step stands the edge."""
    out = np.empty(np.shape(x))
    out[:, :-1], out[:, -1] = x[:, 1:], edge
    return out''',
    "at": '''def at(x, t, edge):
    """x at step t; outside the range of time stands the edge."""
    return x[:, t] if 0 <= t < x.shape[1] else np.broadcast_to(edge, x[:, 0].shape)''',
    "onehot": '''def onehot(ids, count):
    return np.equal(np.asarray(ids)[..., None], np.arange(count)) * 1.0''',
}
RESERVED = {"np", "math", "theta", "rate", "gradient", "values", "t", "N", "T", *HELPERS, *keyword.kwlist, *dir(builtins)}


def python_code(derivation, style):
    """The text of the module."""
    return _Module(derivation, style).text()


class _Module:
    def __init__(self, derivation, style):
        self.derivation, self.system, self.style = derivation, derivation.system, style
        self.variables = self.system.variables
        self.order = unit_order(self.system)
        self.helpers, self.functions = {}, {}
        self.names = {}
        for name in [*self.variables, *self.system.equations]:
            self.names[name] = self.identifier(name)
        self.comments = self.numbered()

    def identifier(self, name):
        """A Python name for a quantity: letters, digits and _ alone, and no two alike."""
        made = re.sub(r"[^A-Za-z0-9_]", "_", name)[:60]
        made = made if made[:1].isalpha() else "v_" + made
        while made in RESERVED or made in self.names.values():
            made += "_"
        return made

    def numbered(self):
        """{equation: "(7) left = right"} as printed in index form."""
        sheet, found = Sheet(self.derivation, self.style), {}
        for line in lines_of(self.derivation, self.style.notation, self.style.form, self.style.layout):
            if line.system is None:
                row = sheet.row(line)
                found[line.equation.name] = f"({row.number}) {one_line(text(row.left))} = {one_line(text(row.right[0][0]))}"
        return found

    # ------------------------------------------------------------------------------------------ the module

    def text(self):
        forward = [name for name, equation in self.system.equations.items() if equation.of is None]
        backward = [name for name in self.system.equations if name not in forward]
        body = [*self.block("forward pass", forward), *self.block("error signals and gradients", backward)]
        given = [name for name, v in self.variables.items() if v.role != "parameter"]
        predicted = self.prediction()
        parts = ['"""' + self.title() + '"""', "", "{imports}", "", "", "{helpers}" + f"def backpropagation(theta, {self.arguments(given)}):",
                 '    """Every named quantity by name, and the gradient of the objective by parameter."""',
                 *self.unpacked([n for n, v in self.variables.items() if v.role == "parameter"]), *self.extents(given), *body,
                 "    values = {" + ", ".join(f"{self.quoted(n)}: {self.names[n]}" for n in self.system.equations) + "}",
                 "    gradient = {" + ", ".join(self.gradient_items()) + "}", "    return values, gradient", "", ""]
        if predicted is not None:
            parts += predicted
        parts += ["def update(theta, gradient, rate):", '    """One step of gradient descent."""',
                  "    return {name: theta[name] - rate * gradient[name] for name in gradient}"]
        helpers = self.helper_text()
        imports = "import math\n\nimport numpy as np" if "math." in helpers else "import numpy as np"
        return "\n".join(parts).replace("{imports}", imports, 1).replace("{helpers}", helpers, 1) + "\n"

    def title(self):
        network = self.derivation.network
        about = f"Gradients of {network.spec or 'a network'}, {network.loss.text()}" if network is not None else "Gradients"
        return cleaned(about).replace("\\", "\\\\").replace('"', "'") + ": printed from the equations that run."

    def arguments(self, given):
        return ", ".join(self.names[name] for name in sorted(given, key=lambda n: (self.variables[n].role != "input", n)))

    def quoted(self, name):
        return repr(name)

    def unpacked(self, parameters):
        return [f"    {self.names[name]} = np.asarray(theta[{name!r}], float)" for name in parameters]

    def extents(self, given):
        """N and T from the first array that has them."""
        lines = []
        for symbol in ("N", "T"):
            for name in given:
                axes = self.sorted(self.variables[name].axes)
                places = [k for k, index in enumerate(axes) if index.extent == symbol]
                if places:
                    lines.append(f"    {symbol} = np.shape({self.names[name]})[{places[0]}]")
                    break
        return lines

    def gradient_items(self):
        for name in self.derivation.wrt:
            adjoint = self.derivation.sweep.adjoints.get(name)
            if name in self.variables and adjoint is not None:
                yield f"{name!r}: {self.names[self.system.resolve(adjoint)]}"

    def prediction(self):
        """def predict: the part of the forward pass that the prediction needs."""
        if "prediction" not in self.system:
            return None
        name = self.system.resolve("prediction")
        needed = self.system.needed_for([name])
        read = {v for n in needed for v in self.system.reads(n) if v in self.variables}
        given = [n for n in self.variables if n in read and self.variables[n].role != "parameter"]
        return [f"def predict(theta, {self.arguments(given)}):", '    """The output of the network."""',
                *self.unpacked([n for n in self.variables if n in read and self.variables[n].role == "parameter"]),
                *self.extents(given), *self.block("", needed), f"    return {self.names[name]}", "", ""]

    def helper_text(self):
        done, parts = set(), []
        while set(self.functions) - done:                       # a composition may use another
            for name in sorted(set(self.functions) - done):
                done.add(name)
                function = self.functions[name]
                arguments = [f"x{k}" for k in range(function.arity)]
                value = self.function_value(function)
                parts.append(f"def {self.function_name(function)}({', '.join(arguments)}):\n    return {value}")
        helpers = [HELPERS[name] for name in HELPERS if name in self.helpers]
        return "\n\n\n".join([*helpers, *reversed(parts), ""])

    # ------------------------------------------------------------------------------------------ equations

    def block(self, title, names):
        lines = ["", f"    # {title}"] if title else []
        reads = {name: [r for r in dict.fromkeys(self.system.reads(name)) if r in self.system.equations] for name in self.system.equations}
        wanted = set(names)
        for group in components([n for n in names], {n: [r for r in reads[n] if r in wanted] for n in names}):
            looped = len(group) > 1 or group[0] in reads[group[0]]
            lines += self.loop(group, reads) if looped else self.equation(group[0], "    ", None)
        return lines

    def equation(self, name, indent, time):
        equation = self.system.equations[name]
        axes = self.stored(name)
        code, own, level = _Writer(self, time).node(equation.expression)
        kept = [i for i in axes if time is None or i.kind != "time"]
        code, level = _Writer(self, time).aligned((code, own, level), kept, whole=True)
        comment = [f"{indent}# {self.comments[name]}"] if name in self.comments else []
        return [*comment, f"{indent}{self.target(name, time)} = {code}"]

    def target(self, name, time):
        return self.names[name] if time is None else f"{self.names[name]}[:, t]"

    def loop(self, group, reads):
        """A recurrence as a loop over time: reads of another step are carried, the rest is ordered."""
        steps = {node.step for name in group for node in c.walk(self.system.equations[name].expression) if isinstance(node, c.Shift)
                 and any(isinstance(leaf, c.Ref) and leaf.name in group for leaf in c.walk(node.operand))}
        now = {name: _same_step(self.system.equations[name].expression) & set(group) for name in group}
        ordered, pending = [], [name for name in self.system.equations if name in group]
        while pending:
            ready = next(name for name in pending if not now[name] & set(pending))
            ordered.append(ready)
            pending.remove(ready)
        lines = []
        for name in ordered:
            shape = ", ".join(self.extent(i) for i in self.sorted(self.system.equations[name].axes))
            lines.append(f"    {self.names[name]} = np.zeros(({shape}))")
        lines.append(f"    for t in {'range(T)' if steps == {1} else 'reversed(range(T))'}:")
        for name in ordered:
            lines += self.equation(name, "        ", "t")
        return lines

    # ------------------------------------------------------------------------------------------ axes

    def sorted(self, axes):
        return sorted(axes, key=lambda i: (ORDER.index(i.kind), self.order.get(i.name.rstrip("'"), 0),
                                           not i.name.endswith("'"), i.name))

    def stored(self, name):
        """The axes of a quantity's array: parameters and their gradients as they lie, everything else sample-first."""
        equation = self.system.equations.get(name)
        variable = self.variables.get(name if equation is None else equation.of)
        if variable is not None and variable.role == "parameter":
            return list(variable.axes)
        return self.sorted(variable.axes if equation is None else equation.axes)

    def extent(self, index):
        return index.extent if isinstance(index.extent, str) else str(index.extent)

    def function_name(self, function):
        name = re.sub(r"\W", "_", function.name)[:60]
        return name if name.isidentifier() and name not in keyword.kwlist and name not in self.names.values() else f"f_{name}"

    def function_value(self, function):
        writer = _Writer(self, None)
        return writer.node(function.value)[0]


def one_line(words):
    """A comment of one line, cut where it would no longer be read."""
    return words if len(words) <= COMMENT else words[:COMMENT] + " …"


def _same_step(expression):
    """Names that are read at the same step: not behind a Shift."""
    found, stack = set(), [expression]
    while stack:
        node = stack.pop()
        if isinstance(node, c.Ref):
            found.add(node.name)
        stack += [node.edge] if isinstance(node, c.Shift) else node.children
    return found


class _Writer:
    """Writes one expression: (code, axes of its value, how tightly the code binds)."""

    def __init__(self, module, time, offset=0):
        self.module, self.time, self.offset = module, time, offset

    def node(self, node):
        return getattr(self, "_" + type(node).__name__.lower())(node)

    def order(self, axes):
        return tuple(i for i in self.module.sorted(axes) if self.time is None or i.kind != "time")

    # -- alignment ---------------------------------------------------------------------------------------------------------

    def aligned(self, value, axes, whole=False):
        """(code, level) of a value under more axes, in the one order of axes; ``whole`` makes every entry exist."""
        code, own, level = value
        axes = list(axes)
        if list(own) != [i for i in axes if i in own]:
            order = [own.index(i) for i in axes if i in own]
            code, level = (f"{self.wrapped(code, level, ATOM)}.T" if len(own) == 2 else
                           f"np.transpose({code}, {tuple(order)})"), ATOM
            own = tuple(i for i in axes if i in own)
        missing = [i for i in axes if i not in own]
        if missing and whole:
            shape = ", ".join(self.module.extent(i) for i in axes)
            shape = f"({shape},)" if len(axes) == 1 else f"({shape})"
            code = self.aligned((code, own, level), axes)[0]
            return f"np.broadcast_to({code}, {shape})", ATOM
        if own and missing:
            first = next(k for k, i in enumerate(axes) if i in own)
            if any(i not in own for i in axes[first:]):
                key = ", ".join(":" if i in own else "None" for i in axes[first:])
                return f"{self.wrapped(code, level, ATOM)}[{key}]", ATOM
        return code, level

    @staticmethod
    def wrapped(code, level, needed):
        return code if level >= needed else f"({code})"

    # -- leaves ------------------------------------------------------------------------------------------------------------

    def leaf(self, name):
        code, stored = self.module.names[name], self.module.stored(name)
        if self.time is not None and any(i.kind == "time" for i in stored):
            step = f"{self.time}{f' {self.offset:+d}'.replace('+', '+ ').replace('-', '- ') if self.offset else ''}"
            place = [i.kind for i in stored].index("time")
            code = f"{code}[{':, ' * place}{step}]"
            stored = [i for i in stored if i.kind != "time"]
        return code, tuple(stored), ATOM

    def _variable(self, node):
        if node.role == "placeholder":
            return node.name, (), ATOM
        return self.leaf(node.name)

    def _ref(self, node):
        name = self.module.system.resolve(node.name)
        if name in self.module.variables:
            return self._variable(self.module.variables[name])
        return self.leaf(name)

    def _extent(self, node):
        if node.power == -1:
            return f"1 / {node.symbol}", (), PRODUCT
        return (node.symbol, (), ATOM) if node.power == 1 else (f"{node.symbol}**{node.power}", (), PRODUCT)

    @staticmethod
    def number(value):
        return str(value.numerator) if value.denominator == 1 else repr(float(value))

    # -- products ----------------------------------------------------------------------------------------------------------

    def _einsum(self, node):
        if not node.factors:
            return self.number(node.coefficient), (), ATOM if node.coefficient >= 0 else SUM
        if self.time is not None and any(index.kind == "time" for index in node.summed):
            return _Writer(self.module, None).node(node)                          # all steps at once, inside a loop too
        axes = self.order(node.indices)
        extents = [f for f in node.factors if isinstance(f, c.Extent)]
        parts = [self.node(f) for f in node.factors if not isinstance(f, c.Extent)]
        carried = {i for _, own, _ in parts for i in own}
        summed = [i for i in node.summed if i in carried]
        code, own, level = self.contracted(parts, summed) if parts else ("1", (), ATOM)
        for extent in extents:
            sign, power = ("/", -extent.power) if extent.power < 0 else ("*", extent.power)
            code, level = f"{self.wrapped(code, level, PRODUCT)} {sign} {extent.symbol}{f'**{power}' if power > 1 else ''}", PRODUCT
        if node.coefficient != 1:
            inner = self.wrapped(code, level, PRODUCT)
            if node.coefficient == -1:
                code, level = f"-{inner}", SUM
            else:
                code, level = f"{self.wrapped(self.number(node.coefficient), ATOM if node.coefficient > 0 else SUM, ATOM)} * {inner}", PRODUCT
        return code, tuple(i for i in own if i in axes), level

    def contracted(self, parts, summed):
        axes = self.order({i for _, own, _ in parts for i in own})
        kept = tuple(i for i in axes if i not in summed)
        if not summed:
            return self.times(parts, axes), axes, PRODUCT if len(parts) > 1 else parts[0][2]
        alone = [k for k, (_, own, _) in enumerate(parts) if not set(own) & set(summed)]
        if alone and len(alone) < len(parts):                                     # what is not summed stands outside
            inside = self.contracted([p for k, p in enumerate(parts) if k not in alone], summed)
            inside = (f"({inside[0]})", inside[1], ATOM) if "@" in inside[0] else inside
            return self.contracted([*(parts[k] for k in alone), inside], [])
        if len(parts) == 2 and len(summed) == 1:
            made = self.matrix_product(parts, summed[0], kept)
            if made is not None:
                return made
        if all(set(own) == set(axes) for _, own, _ in parts) or len(parts) == 1:
            places = tuple(axes.index(i) for i in summed)
            where = "" if len(places) == len(axes) else f", axis={places[0] - len(axes) if len(places) == 1 else places}"
            return f"np.sum({self.times(parts, axes)}{where})", kept, ATOM
        parts = sorted(parts, key=lambda part: "delta" in part[0] or "adj_" in part[0])             # the input first, as in xᵀ δ
        letters = {i: {"sample": "n", "time": "t", "pair": "c"}.get(i.kind) or chr(105 + k) for k, i in enumerate(axes)}
        spec = ",".join("".join(letters[i] for i in own) for _, own, _ in parts)
        return (f"np.einsum(\"{spec}->{''.join(letters[i] for i in kept)}\", {', '.join(code for code, _, _ in parts)})", kept, ATOM)

    def matrix_product(self, parts, index, kept):
        """a @ b for the contractions that are one: x W, δ Wᵀ, xᵀ δ."""
        for (a, first, p), (b, second, q) in (parts, parts[::-1]):
            if index not in first or index not in second or len(second) != 2 or set(first) & set(second) != {index}:
                continue
            rest = tuple(i for i in first if i != index)
            other = tuple(i for i in second if i != index)
            if (*rest, *other) != kept or not rest:
                continue
            a, b = self.wrapped(a, p, ATOM), self.wrapped(b, q, ATOM)
            left = a if first[-1] == index else f"{a}.T" if len(first) == 2 else None
            right = b if second[0] == index else f"{b}.T"
            if left is not None:
                return f"{left} @ {right}", kept, PRODUCT
        return None

    def times(self, parts, axes):
        codes = []
        for code, own, level in parts:
            code, level = self.aligned((code, own, level), axes)
            matrix = "@" in code and level == PRODUCT
            codes.append(f"({code})" if matrix and len(parts) > 1 else self.wrapped(code, level, PRODUCT if not codes else ATOM))
        return " * ".join(codes)

    def _add(self, node):
        axes, code = self.order(node.indices), ""
        made = [(w, term, self.node(term)) for w, term in node.terms]
        made.sort(key=lambda entry: (entry[0] < 0, "@" not in entry[2][0]))
        for k, (w, term, value) in enumerate(made):
            part, level = self.aligned(value, axes)
            part = self.wrapped(part, level, PRODUCT)
            if c.as_number(term) is not None:
                part = self.number(abs(w) * term.coefficient)
            elif abs(w) != 1:
                part = f"{self.number(abs(w))} * {self.wrapped(part, PRODUCT if '@' in part or '/' in part else ATOM, ATOM) if '@' in part else part}"
            code += (" - " if w < 0 else " + ") + part if k else ("-" if w < 0 else "") + part
        carried = {i for _, _, value in made for i in value[1]}
        return code, tuple(i for i in axes if i in carried), SUM

    # -- functions -----------------------------------------------------------------------------------------------------------

    def _map(self, node):
        soft = softmax_of(node)
        if soft is not None:
            body, index = soft
            code, own, _ = self.node(body)
            if own and own[-1] == index:
                self.module.helpers["softmax"] = True
                return f"softmax({code})", own, ATOM
        axes = self.order(node.indices)
        made = [self.node(child) for child in node.children]
        carried = tuple(i for i in axes if any(i in own for _, own, _ in made))
        arguments = [self.aligned(value, carried) for value in made]
        name = node.function.name
        if name == "reciprocal":
            return f"1 / {self.wrapped(*arguments[0], ATOM)}", carried, PRODUCT
        if name == "square":
            return f"{self.wrapped(*arguments[0], ATOM)}**2", carried, ATOM
        codes = [code for code, _ in arguments]
        if name in CALLS and c.FUNCTIONS.get(name) is node.function:
            return CALLS[name].format(*codes), carried, ATOM
        if name in HELPERS and c.FUNCTIONS.get(name) is node.function:
            self.module.helpers[name] = True
            return f"{name}({', '.join(codes)})", carried, ATOM
        if name not in self.module.functions:
            self.module.functions[name] = node.function
            self.module.function_value(node.function)                              # asks for the helpers that it needs
        return f"{self.module.function_name(node.function)}({', '.join(codes)})", carried, ATOM

    def _reduce(self, node):
        if self.time is not None and any(index.kind == "time" for index in node.over):
            return _Writer(self.module, None).node(node)
        code, own, _ = self.node(node.operand)
        places = tuple(own.index(i) - len(own) for i in node.over if i in own)
        kept = tuple(i for i in own if i not in node.over)
        if node.kind == "max":
            return f"np.max({code}, axis={places[0] if len(places) == 1 else places})", kept, ATOM
        self.module.helpers["logsumexp"] = True
        return f"logsumexp({code}, axis={places[0] if len(places) == 1 else places})", kept, ATOM

    def _onehot(self, node):
        code, own, _ = self.node(node.ids)
        self.module.helpers["onehot"] = True
        return f"onehot({code}, {self.module.extent(node.index)})", (*own, node.index), ATOM

    # -- views -----------------------------------------------------------------------------------------------------------------

    def _rename(self, node):
        code, own, level = self.node(node.operand)
        to = dict(node.pairs)
        return code, tuple(to.get(i, i) for i in own), level

    def _scaled(self, node):
        return self.node(node.operand)

    def _slice(self, node):
        code, own, level = self.node(node.operand)
        key = ", ".join(f"{node.start}:{node.start + node.new.extent}" if i == node.index else ":" for i in own)
        return f"{self.wrapped(code, level, ATOM)}[{key}]", tuple(node.new if i == node.index else i for i in own), ATOM

    def _join(self, node):
        axes = self.order(node.indices)
        codes = []
        for operand, own in zip(node.children, node.parts):
            part = [own if i == node.index else i for i in axes]
            codes.append(self.aligned(self.node(operand), part, whole=True)[0])
        return f"np.concatenate([{', '.join(codes)}], axis={axes.index(node.index) - len(axes)})", axes, ATOM

    def _edge(self, node):
        if self.time is not None:
            inner = _Writer(self.module, "0" if node.which == "first" else "T - 1")
            return inner.node(node.operand)
        code, own, level = self.node(node.operand)
        place = [i.kind for i in own].index("time")
        return (f"{self.wrapped(code, level, ATOM)}[{':, ' * place}{'0' if node.which == 'first' else '-1'}]",
                tuple(i for i in own if i.kind != "time"), ATOM)

    def _shift(self, node):
        if self.time is not None:
            return self.carried(node)
        axes = self.order(node.indices)
        helper = "before" if node.step > 0 else "after"
        self.module.helpers[helper] = True
        inside = self.aligned(self.node(node.operand), axes, whole=True)[0]
        edge = self.aligned(self.node(node.edge), [i for i in axes if i.kind != "time"])[0]
        if axes[0].kind == "time":
            return f"{helper}({inside}[None], {edge})[0]", axes, ATOM
        return f"{helper}({inside}, {edge})", axes, ATOM

    def carried(self, node):
        """A shift inside a loop: the value at another step, or the edge."""
        axes = self.order(node.indices)
        inner = _Writer(self.module, self.time, self.offset - node.step)
        edge, level = self.aligned(self.node(node.edge), axes)
        made = inner.node(node.operand)
        simple = re.fullmatch(r"(\w+)\[:, (t[^\[\]:,]*)\]", made[0])
        if simple and set(made[1]) == set(axes):
            self.module.helpers["at"] = True
            return f"at({simple[1]}, {simple[2]}, {edge})", made[1], ATOM
        if c.as_number(node.edge) is not None:
            edge = self.aligned(self.node(node.edge), axes, whole=True)[0]
        where = f"{self.time} > {-inner.offset - 1}" if node.step > 0 else f"{self.time} < T - {inner.offset}"
        return f"({inner.aligned(made, axes)[0]} if {where} else {edge})", axes, ATOM
