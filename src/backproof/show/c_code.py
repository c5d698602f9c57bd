"""A derivation as one C99 file without dependencies: the Program with its buffer plan, printed.

Reads   a derivation.
Gives   ``gradient``, ``step`` and ``predict`` over flat arrays. Every loop nest is one instruction of the Program; its
        comment is the instruction as the listing shows it, with the number of its equation. Arrays lie in storage order:
        time, sample, pair, unit. The arena holds what runs for any n up to N_MAX.
"""

import re
from fractions import Fraction
from textwrap import fill

from ..calculus import Index
from ..errors import OptionError
from ..lower import lower, plan
from ..lower.instructions import FIRST
from ..train.optimizers import OPTIMIZERS, update_equations
from .lines import lines_of
from .names import cleaned
from .sheet import Sheet
from .text import text

__all__ = ["c_code"]

WORDS = {
    "copy": "{}", "add": "{} + {}", "sub": "{} - {}", "mul": "{} * {}", "neg": "-{}", "reciprocal": "1.0 / {}", "exp": "exp({})",
    "log": "log({})", "sqrt": "sqrt({})", "abs": "fabs({})", "sign": "sign_of({})", "step": "step_of({})",
    "greater": "({} > {} ? 1.0 : 0.0)", "equal": "({} == {} ? 1.0 : 0.0)", "maximum": "larger({}, {})", "minimum": "smaller({}, {})",
    "select": "({} != 0.0 ? {} : {})", "sigmoid": "sigmoid({})", "tanh": "tanh({})", "erf": "erf({})", "expm1": "expm1({})",
    "softplus": "softplus({})", "normal_cdf": "normal_cdf({})",
}
FUNCTIONS = {
    "sigmoid": "static real sigmoid(real x)\n{\n    const real e = exp(-fabs(x));\n    return (x < 0 ? e : 1.0) / (1.0 + e);\n}",
    "softplus": "static real softplus(real x)\n{\n    return (x > 0 ? x : 0.0) + log1p(exp(-fabs(x)));\n}",
    "normal_cdf": "static real normal_cdf(real x)\n{\n    return 0.5 * erfc(-0.70710678118654752 * x);\n}",
    "larger": "static real larger(real a, real b)\n{\n    return a < b || b != b ? b : a;\n}",
    "smaller": "static real smaller(real a, real b)\n{\n    return a > b || b != b ? b : a;\n}",
    "sign_of": "static real sign_of(real x)\n{\n    return x > 0 ? 1.0 : x < 0 ? -1.0 : x;\n}",
    "step_of": "static real step_of(real x)\n{\n    return x > 0 ? 1.0 : x == x ? 0.0 : x;\n}",
}
HEAD = """\
/* {title}

   Printed from the equations that run; compile with: cc -std=c99 -O2 file.c -lm

   gradient  the objective and its gradient, {parameters} numbers in the order of theta
   step      the same, then one update of theta ({optimizer}); the learning rate is the variable eta
   predict   the output of the network

   theta     {layout}
   state     {state}
   arrays    {arrays}

   One call at a time: the arena is static. n may be at most {n_max}{t_max}; a call with more returns NaN. */

#include <math.h>

typedef double real;

enum {{ PARAMETERS = {parameters}, N_MAX = {n_max}, T_MAX = {t_max_value} }};

{globals}
static real arena[{arena}];
"""


def c_code(derivation, style, *, n_max=256, t_max=64, optimizer="sgd"):
    """The text of the file."""
    if optimizer not in OPTIMIZERS:
        raise OptionError(f"there is no optimizer {optimizer!r}", fix=f"one of {', '.join(OPTIMIZERS)}")
    return _File(derivation, style, {"N": n_max, "T": t_max}, OPTIMIZERS[optimizer]).text()


class _File:
    def __init__(self, derivation, style, capacity, optimizer):
        self.derivation, self.system, self.style, self.capacity = derivation, derivation.system, style, capacity
        self.optimizer = optimizer
        self.variables = self.system.variables
        self.parameters = [name for name in derivation.wrt if name in self.variables
                           and self.variables[name].role == "parameter" and name in derivation.sweep.adjoints]
        gradients = {name: derivation.sweep.adjoints[name] for name in self.parameters}
        scalar = self.objective()
        system, replaces = update_equations(self.system, gradients, self.known_parameters(), optimizer)
        self.training = lower(system, [scalar], updates=replaces, gradients=gradients)
        self.training_plan = plan(self.training, **self.capacity)
        self.scalar = scalar
        self.layout = dict(self.training_plan.layout)
        self.predicting = lower(self.system, ["prediction"]) if "prediction" in self.system else None
        if self.predicting is not None:
            self.predicting_plan = plan(self.predicting, **self.capacity)
            for value in self.predicting.parameters.values():
                self.layout.setdefault(value.name, None)
        self.numbers = self.numbered()

    def known_parameters(self):
        network = self.derivation.network
        if network is not None:
            return network.parameters
        return [_Plain(name) for name in self.parameters]

    def objective(self):
        """The equation whose gradient this is: J, or the seeded scalar itself."""
        for name in ("J", next(iter(self.derivation.seeds))):
            if name in self.system:
                return name
        raise OptionError("there is no scalar to compute")

    def numbered(self):
        sheet, found = Sheet(self.derivation, self.style), {}
        for line in lines_of(self.derivation, self.style.notation, self.style.form, self.style.layout):
            if line.system is None:
                row = sheet.row(line)
                found[line.equation.name] = f"({row.number}) {text(row.left)} = {text(row.right[-1][0])}"
        return found

    # ------------------------------------------------------------------------------------------ the file

    def text(self):
        training = _Body(self, self.training, self.training_plan)
        steps = training.instructions(self.training.instructions, "    ")
        update = training.instructions(self.training.update, "    ")
        functions = []
        inputs = self.arguments(self.training)
        functions.append(self.function(f"real gradient(const real *theta, real *grad, {inputs})", training, steps,
                                       f"return {training.element(self.training.outputs[self.scalar])};", "NAN"))
        updating = _Body(self, self.training, self.training_plan)
        names = ", ".join(argument.split()[-1].lstrip("*") for argument in inputs.split(", "))
        head = ["    static real grad[PARAMETERS];", f"    const real value = gradient(theta, grad, {names});"]
        functions.append(self.function(f"real step(real *theta, real *state, {inputs})", updating, update, "return value;", "NAN", head))
        if self.predicting is not None:
            predicting = _Body(self, self.predicting, self.predicting_plan)
            body = predicting.instructions(self.predicting.instructions, "    ")
            body += predicting.copy_out(self.predicting.outputs["prediction"], "    ")
            functions.append(self.function(f"int predict(const real *theta, real *out, {self.arguments(self.predicting)})", predicting,
                                           body, "return 0;", "1"))
        code = "\n\n".join(functions)
        used = [FUNCTIONS[name] for name in FUNCTIONS if re.search(rf"\b{name}\(", code)]
        return self.head() + "\n" + "".join(f"{function}\n\n" for function in used) + code + "\n"

    def head(self):
        slots = self.optimizer.slots
        state = "not used; may be a null pointer" if not slots else \
            ", then ".join(slots) + f": {len(slots)} × PARAMETERS numbers, 0 at the start"
        network = self.derivation.network
        scalars = {"eta": 0.01, **self.optimizer.at(1)}
        globals_ = "".join(f"real {name} = {float(value)!r};\n" for name, value in scalars.items()
                           if name in self.training.values)
        length = max(1, self.training_plan.length, self.predicting_plan.length if self.predicting is not None else 1)
        about = f"{network.spec or 'a network'}, {network.loss.text()}" if network is not None else "A system of equations"
        layout = ", ".join(f"{name}{''.join(f'[{i.extent}]' for i in self.variables[name].axes)} at {offset}"
                           for name, offset in self.layout.items() if offset is not None)
        arrays = ", ".join(f"{v.name}{''.join(f'[{self.letter(i)}]' for i in v.axes)}" for v in self.training.values.values()
                           if self.given(v))
        return HEAD.format(title=comment(about), parameters=self.training_plan.parameters, optimizer=self.optimizer.name,
                           layout=wrapped(layout), state=wrapped(state), arrays=wrapped(arrays), n_max=self.capacity["N"],
                           t_max=f", t at most {self.capacity['T']}" if "T" in self.training.symbols else "",
                           t_max_value=self.capacity["T"], globals=globals_, arena=length)

    @staticmethod
    def letter(index):
        return index.extent.lower() if isinstance(index.extent, str) else index.extent

    def given(self, value):
        """Is a value an array that the caller hands over: an input, ξ[t], the state that a recurrence starts from?"""
        slot, _, parameter = value.name.partition(".")
        kept = slot in self.optimizer.slots and parameter in self.layout
        return value.storage == "input" or value.storage == "scalar" and bool(value.axes) or value.storage == "state" and not kept

    def arguments(self, program):
        """The inputs as pointers, then n and t."""
        given = sorted((v for v in program.values.values() if self.given(v)),
                       key=lambda v: (self.variables[v.name].role != "input", v.name))
        parts = [f"const {'int' if v.integer else 'real'} *{self.pointer(v.name)}" for v in given]
        return ", ".join([*parts, *(f"int {symbol.lower()}" for symbol in program.symbols)])

    def pointer(self, name):
        """A C name for an input."""
        made = re.sub(r"[^A-Za-z0-9_]", "_", name)[:40]
        return made if made in ("x", "y", "w", "ids") else f"in_{made}"

    def function(self, signature, body, lines, last, refused, head=()):
        """A function with the extents, the capacity check and unused arguments settled."""
        written = "\n".join([*head, *lines, f"    {last}"])
        extents, checks = [], []
        for symbol in body.program.symbols:
            extents.append(f"    const long {symbol} = {symbol.lower()};")
            checks.append(f"{symbol} < 1 || {symbol} > {symbol}_MAX")
        for value in body.program.values.values():
            if value.storage == "extent" and re.search(rf"\b{body.names[value.name]}\b", written):
                symbol, power = value.name.split("^")
                expression = f"1.0 / {symbol}" if power == "-1" else f"pow((real){symbol}, {power})"
                extents.append(f"    const real {body.names[value.name]} = {expression};")
        guard = [f"    if ({' || '.join(checks)})", f"        return {refused};"] if checks else []
        arguments = [a.split()[-1].lstrip("*") for a in signature[signature.index("(") + 1:-1].split(", ")]
        unused = [f"    (void){a};" for a in arguments if not re.search(rf"\b{a}\b", written + "\n".join(extents))]
        return "\n".join([signature, "{", *extents, *guard, *unused, written, "}"])


class _Plain:
    """A parameter of a system without a network."""

    def __init__(self, name):
        self.name, self.kind, self.layer = name, "weight", None


def wrapped(words):
    """A list of any length as lines of the opening comment."""
    return fill(", ".join(comment(item) for item in words.split(", ")), 100, subsequent_indent=" " * 13, break_long_words=False)


def _plus(base, offset):
    """base + offset as C."""
    if base.endswith(" - 1"):
        base, offset = base[:-4], offset - 1
    return base if not offset else f"({base} {'+' if offset > 0 else '-'} {abs(offset)})"


def comment(words):
    """Text that cannot end a comment, or begin another."""
    words = cleaned(words, 400)
    return re.sub(r"[/*\\?](?=[/*\\?])", lambda m: m.group() + " ", words).rstrip("\\")


class _Body:
    """The instructions of one program as loop nests."""

    def __init__(self, file, program, plan):
        self.file, self.program, self.plan = file, program, plan
        self.names, self.loops = {}, {}
        for name in program.values:
            made = "v_" + re.sub(r"[^A-Za-z0-9_]", "_", name.replace("^-1", "_inverse"))[:40]
            while made in self.names.values():
                made += "_"
            self.names[name] = made
        self.new = {new: old for new, old in program.replaces.items()}
        self.slots = file.optimizer.slots

    # -- where things lie --------------------------------------------------------------------------------------------------

    def base(self, name):
        """(array, first element) of a value."""
        value = self.program.values[name]
        if name in self.new:
            return self.base(self.new[name])
        if value.storage == "parameter":
            return "theta", self.file.layout[name]
        if self.file.given(value):
            return self.file.pointer(name), 0
        if value.storage == "state":
            slot, _, parameter = name.partition(".")
            return "state", f"{self.slots.index(slot)} * PARAMETERS + {self.file.layout[parameter]}"
        for parameter, gradient in self.program.gradients.items():
            if gradient == name:
                return "grad", self.file.layout[parameter]
        return "arena", self.plan.offsets[name]

    def length(self, index, pad=None):
        extent = str(index.extent)
        return f"({extent} + 1)" if index.kind == "time" and pad is not None else extent

    def variable(self, index):
        if index not in self.loops:
            made = "i_" + re.sub(r"[^A-Za-z0-9_]", "_", index.name.replace("'", "_p"))[:30]
            while made in self.loops.values():
                made += "_"
            self.loops[index] = made
        return self.loops[index]

    def at(self, name, coordinates):
        """The element of a value at coordinates, as C."""
        value = self.program.values[name]
        if value.storage in ("scalar", "extent") and not value.axes:
            return name if value.storage == "scalar" else self.names[name]
        array, first = self.base(name)
        linear = ""
        for index, coordinate in zip(value.axes, coordinates):
            step = f"{linear} * {self.length(index, value.pad)} + " if re.fullmatch(r"\([^()]*\)", linear) else \
                f"({linear}) * {self.length(index, value.pad)} + " if " " in linear else \
                f"{linear} * {self.length(index, value.pad)} + " if linear else ""
            linear = step + coordinate
        place = " + ".join(part for part in (str(first) if str(first) != "0" else "", linear) if part) or "0"
        return f"{array}[{place}]"

    def element(self, operand, replaced=None):
        """An operand's element under the loop variables; ``replaced`` {index: C expression}."""
        value = self.program.values[operand.value]
        coordinates = []
        for (label, offset), axis in zip(operand.axes, value.axes):
            offset += axis.kind == "time" and value.pad == "before"
            if isinstance(label, Index):
                base = (replaced or {}).get(label, self.variable(label))
            elif label == FIRST:
                base = "0"
            else:
                base = f"{axis.extent} - 1"
            coordinates.append(_plus(base, offset))
        return self.at(operand.value, coordinates)

    def target(self, instruction):
        """The element that an instruction writes."""
        value = self.program.values[instruction.out]
        return self.at(instruction.out, [f"({self.variable(i)} + 1)" if i.kind == "time" and value.pad == "before" else self.variable(i)
                                         for i in value.axes])

    # -- instructions ------------------------------------------------------------------------------------------------------

    def instructions(self, instructions, indent, step=()):
        lines = []
        for instruction in instructions:
            if instruction.op == "loop":
                t, length = self.variable(instruction.index), self.length(instruction.index)
                heading = f"for (long {t} = 0; {t} < {length}; ++{t}) {{" if instruction.how == "ascending" else \
                    f"for (long {t} = {length} - 1; {t} >= 0; --{t}) {{"
                lines += [f"{indent}/* {comment(next(iter(instruction.lines())))} */", indent + heading,
                          *self.instructions(instruction.body, indent + "    ", (*step, instruction.index)), indent + "}"]
                continue
            number = self.file.numbers.get(instruction.out)
            lines += [f"{indent}/* {comment(number)} */"] if number else []
            lines.append(f"{indent}/* {comment(next(iter(instruction.lines())))} */")
            lines += getattr(self, "_" + instruction.op)(instruction, indent, step)
        return lines

    def nest(self, axes, indent, inner):
        """Loops over axes around the lines that ``inner`` gives at its depth."""
        if not axes:
            return ["    " * 0 + line for line in [f"{indent}{{", *inner(indent + "    "), f"{indent}}}"]]
        lines, depth = [], indent
        for index in axes:
            v = self.variable(index)
            lines.append(f"{depth}for (long {v} = 0; {v} < {self.length(index)}; ++{v}) {{")
            depth += "    "
        lines += inner(depth)
        while depth != indent:
            depth = depth[4:]
            lines.append(f"{depth}}}")
        return lines

    def words(self, instruction, indent, result, acc=None):
        """The word list as statements; ``result`` is a template that takes the last word."""
        lines, made = [], []

        def argument(a):
            if isinstance(a, Fraction):
                written = repr(float(a))
                return f"({written})" if a < 0 else written
            return acc if a[0] == "acc" else self.element(instruction.operands[a[1]]) if a[0] == "r" else made[a[1]]
        for k, word in enumerate(instruction.words):
            expression = WORDS[word.name].format(*map(argument, word.arguments))
            if k == len(instruction.words) - 1:
                lines.append(indent + result.format(expression))
            else:
                lines.append(f"{indent}const real w{k} = {expression};")
                made.append(f"w{k}")
        return lines

    def _map(self, instruction, indent, step):
        axes = [i for i in self.program.values[instruction.out].axes if i not in step]
        return self.nest(axes, indent, lambda depth: self.words(instruction, depth, self.target(instruction) + " = {};"))

    def _dense(self, instruction, indent, step):
        axes = [i for i in self.program.values[instruction.out].axes if i not in step]
        a, b = instruction.product
        summed = [i for i in dict.fromkeys((*a.labels, *b.labels)) if i not in axes and i not in step]

        def inner(depth):
            return [f"{depth}real acc = 0.0;", *self.nest(summed, depth, lambda d: [f"{d}acc += {self.element(a)} * {self.element(b)};"]),
                    *self.words(instruction, depth, self.target(instruction) + " = {};", "acc")]
        return self.nest(axes, indent, inner)

    def _reduce(self, instruction, indent, step):
        axes = [i for i in self.program.values[instruction.out].axes if i not in step]
        labels = set().union(*(o.labels for o in instruction.operands)) - set(step)
        over = sorted(labels - set(axes), key=Index.sort_key)

        def inner(depth):
            out = self.target(instruction)
            if instruction.how == "sum":
                return [f"{depth}real acc = 0.0;", *self.nest(over, depth, lambda d: self.words(instruction, d, "acc += {};")),
                        f"{depth}{out} = acc;"]
            lines = [f"{depth}real top = -INFINITY;",
                     *self.nest(over, depth, lambda d: [*self.words(instruction, d, "const real u = {};"),
                                                        f"{d}top = u > top || u != u ? u : top;"])]
            if instruction.how == "max":
                return [*lines, f"{depth}{out} = top;"]
            return [*lines, f"{depth}real acc = 0.0;",
                    *self.nest(over, depth, lambda d: [*self.words(instruction, d, "const real u = {};"), f"{d}acc += exp(u - top);"]),
                    f"{depth}{out} = log(acc) + top;"]
        return self.nest(axes, indent, inner)

    def _gather(self, instruction, indent, step):
        source, ids = instruction.operands
        axes = [i for i in self.program.values[instruction.out].axes if i not in step]
        place = self.element(ids, {i: "0" for i in ids.labels if i not in axes and i not in step})
        there = f"{place} < 0 ? 0.0 : " if self.holes(ids) else ""                              # −1 stands for no entry
        return self.nest(axes, indent, lambda d: [
            f"{d}{self.target(instruction)} = {there}{self.element(source, {instruction.index: place})};"])

    def holes(self, ids):
        return "holes" in self.program.values[ids.value].facts

    def _scatter(self, instruction, indent, step):
        source, ids = instruction.operands
        value = self.program.values[instruction.out]
        axes = [i for i in value.axes if i not in step]
        rest = [i for i in axes if i != instruction.index]
        clear = self.nest(axes, indent, lambda d: [f"{d}{self.target(instruction)} = 0.0;"])
        where = self.at(instruction.out, [self.element(ids) if i == instruction.index else self.variable(i) for i in value.axes])
        own = [i for i in ids.labels if i not in step]
        there = f"if ({self.element(ids)} >= 0) " if self.holes(ids) else ""
        return [*clear, *self.nest([*own, *rest], indent, lambda d: [f"{d}{there}{where} += {self.element(source)};"])]

    def _onehot(self, instruction, indent, step):
        ids, = instruction.operands
        axes = [i for i in self.program.values[instruction.out].axes if i not in step]
        return self.nest(axes, indent, lambda d: [
            f"{d}{self.target(instruction)} = {self.element(ids)} == {self.variable(instruction.index)} ? 1.0 : 0.0;"])

    def _join(self, instruction, indent, step):
        value, start, lines = self.program.values[instruction.out], 0, []
        for operand, own in zip(instruction.operands, instruction.how.split(",")):
            label = next(i for i in operand.labels if i.name == own)
            axes = [label if i == instruction.index else i for i in value.axes if i not in step]
            where = []
            for i in value.axes:
                coordinate = f"({self.variable(label)} + {start})" if i == instruction.index else self.variable(i)
                where.append(f"({coordinate} + 1)" if i.kind == "time" and value.pad == "before" else coordinate)
            lines += self.nest(axes, indent, lambda d, where=where, operand=operand: [
                f"{d}{self.at(instruction.out, where)} = {self.element(operand)};"])
            start += label.extent
        return lines

    def _fill(self, instruction, indent, step):
        value = self.program.values[instruction.out]
        axes = [i for i in value.axes if i.kind != "time"]
        where = self.at(instruction.out, ["0" if i.kind == "time" and instruction.how == "before" else str(i.extent)
                                          if i.kind == "time" else self.variable(i) for i in value.axes])
        return self.nest(axes, indent, lambda d: self.words(instruction, d, where + " = {};"))

    def copy_out(self, operand, indent):
        axes = list(operand.labels)
        linear = ""
        for index in axes:
            linear = f"({linear}) * {self.length(index)} + {self.variable(index)}" if linear else self.variable(index)
        return self.nest(axes, indent, lambda d: [f"{d}out[{linear or 0}] = {self.element(operand)};"])
