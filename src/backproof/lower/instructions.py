"""The instruction table: what a program is made of, as data.

Listings, the verifier and the reference page are made from these tables; engines bind instructions and words by name.
An operand is a stored value seen through a view: every axis of the value carries the label of an index, with an offset
(a shift in time, the start of a slice), or is fixed at the first or last step. A label that the value lacks broadcasts.
"""

from dataclasses import dataclass
from fractions import Fraction

from ..calculus import Index

__all__ = ["Value", "Operand", "Instruction", "Word", "INSTRUCTIONS", "RowsOf", "WORDS", "STORAGES", "FIRST", "LAST"]

FIRST, LAST = "first", "last"

STORAGES = {
    "input": "given with each run: x, y, ids, w, masks, noise",
    "parameter": "in the parameter arena",
    "state": "in the optimizer's arena",
    "scalar": "a number given with each run: η, 1 − β^t, clip limits",
    "extent": "a power of an extent at hand, such as N^-1, computed in float64",
    "value": "made by an instruction",
}

INSTRUCTIONS = {
    "dense": "out = words(acc, r…), acc = Σ a·b over the indices that out lacks; one chain, ascending n, t in the order named",
    "map": "out = words(r…), elementwise",
    "reduce": "out = sum, max or logsumexp of words(r…) over the indices that out lacks",
    "gather": "out = source at index v = ids",
    "scatter": "out[v, …] = Σ source over the places where ids = v, in ascending order",
    "collect": "out[…] = Σ of every source over all places whose id is the id here (the last operand), in ascending order; "
               "operands: source, ids, source, ids, …, ids here",
    "onehot": "out = 1 where ids = v, else 0",
    "join": "out = the operands laid end to end along an index",
    "fill": "the slot before the first (behind the last) step of out = operand",
    "loop": "for every step t, ascending or descending: the body",
}

# name: (operands, meaning); w is an earlier word, r an operand, acc the product of a dense
WORDS = {
    "copy": (1, "a"),
    "add": (2, "a + b"), "sub": (2, "a - b"), "mul": (2, "a * b"), "neg": (1, "-a"),
    "reciprocal": (1, "1 / a"), "exp": (1, "e^a"), "log": (1, "ln a"), "sqrt": (1, "√a"), "abs": (1, "|a|"),
    "sign": (1, "-1, 0 or 1"), "step": (1, "1 if a > 0 else 0"),
    "greater": (2, "1 if a > b else 0"), "equal": (2, "1 if a = b else 0"),
    "maximum": (2, "max(a, b)"), "minimum": (2, "min(a, b)"), "select": (3, "b where a ≠ 0, else c"),
    "sigmoid": (1, "1 / (1 + e^-a)"), "tanh": (1, "tanh a"), "erf": (1, "erf a"),
    "normal_cdf": (1, "Φ(a) = (1 + erf(a/√2)) / 2"), "expm1": (1, "e^a - 1"), "softplus": (1, "ln(1 + e^a)"),
}


@dataclass(frozen=True)
class Value:
    """A stored tensor: axes in storage order; ``pad`` names the side in time on which it has one more slot."""

    name: str
    axes: tuple
    storage: str = "value"
    integer: bool = False
    pad: str | None = None          # "before": slot 0 lies before t = 0; "behind": one slot lies behind the last step
    facts: tuple = ()               # what is declared of an input, such as ("dropout", layer number, rate)

    def __repr__(self):
        pad = {"before": " +1 before", "behind": " +1 behind", None: ""}[self.pad]
        return f"{self.name}[{', '.join(f'{i.name}:{i.extent}' for i in self.axes)}]{pad}"


@dataclass(frozen=True)
class RowsOf:
    """The rows of a stored table that an update replaces: those that the integer node ``places`` names."""

    name: str
    places: object


@dataclass(frozen=True)
class Operand:
    """A value seen through labels: axes[k] = (Index or "first" or "last", offset)."""

    value: str
    axes: tuple

    @property
    def labels(self):
        return tuple(label for label, _ in self.axes if isinstance(label, Index))

    def relabel(self, mapping):
        return Operand(self.value, tuple((mapping.get(label, label), offset) for label, offset in self.axes))

    @property
    def plain(self):
        """The whole value as it lies, under whatever labels."""
        return all(isinstance(label, Index) and not offset for label, offset in self.axes)

    def __repr__(self):
        def axis(label, offset):
            return label if isinstance(label, str) else label.name + (f"{offset:+d}" if offset else "")
        return self.value + (f"[{','.join(axis(*a) for a in self.axes)}]" if self.axes else "")


@dataclass(frozen=True)
class Word:
    """One step of an elementwise list: arguments are ("acc",), ("r", k), ("w", k) or an exact constant."""

    name: str
    arguments: tuple


@dataclass(frozen=True)
class Instruction:
    """One instruction; ``words`` for dense, map and reduce, ``body`` for loop."""

    op: str
    out: str
    operands: tuple = ()
    product: tuple = ()             # dense: its two factors
    words: tuple = ()
    index: object = None            # gather, scatter, onehot, join, loop
    how: str = ""                   # reduce: sum|max|logsumexp; loop: ascending|descending; fill: before|behind
    body: tuple = ()
    order: str = ""                 # dense, reduce, scatter: "descending" where the sum over t begins at the last step
    start: object = None            # dense, reduce, scatter: the operand that the sum goes on from, else 0

    def reads(self):
        yield from self.product
        yield from self.operands
        if self.start is not None:
            yield self.start
        for inner in self.body:
            yield from inner.reads()

    def writes(self):
        if self.op == "loop":
            for inner in self.body:
                yield from inner.writes()
        else:
            yield self.out

    def __repr__(self):
        return "\n".join(self.lines())

    def lines(self, indent=""):
        if self.op == "loop":
            yield f"{indent}loop {self.index.name} {self.how}"
            for inner in self.body:
                yield from inner.lines(indent + "    ")
            return
        parts = [" ".join(filter(None, (self.op, self.how, self.order)))]
        if self.start is not None:
            parts.append(f"from {self.start!r}")
        if self.product:
            parts.append(" × ".join(map(repr, self.product)))
        if self.operands and not self.words:
            parts.append(", ".join(map(repr, self.operands)))
        if self.index is not None:
            parts.append(f"along {self.index.name}")
        if self.words:
            parts.append(": " * bool(self.product) + self.formula())
        yield f"{indent}{self.out} ← {' '.join(parts)}"

    def formula(self):
        """The word list as an infix expression."""
        texts = []
        infix = {"add": "{} + {}", "sub": "{} - {}", "mul": "{}·{}", "neg": "-{}", "copy": "{}"}

        def argument(a, tight):
            if isinstance(a, Fraction):
                return str(a) if a.denominator < 100 else repr(float(a))
            text = "acc" if a[0] == "acc" else repr(self.operands[a[1]]) if a[0] == "r" else texts[a[1]]
            return f"({text})" if tight and a[0] == "w" and self.words[a[1]].name in ("add", "sub") else text
        for word in self.words:
            if word.name in infix:
                texts.append(infix[word.name].format(*(argument(a, word.name not in ("add", "copy")) for a in word.arguments)))
            else:
                texts.append(f"{word.name}({', '.join(argument(a, False) for a in word.arguments)})")
        return texts[-1]
