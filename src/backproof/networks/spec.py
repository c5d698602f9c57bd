"""The one-line spec of a network.

    spec  := inputs | part | part …
    part  := piece [+ piece] …         windows joined by + are channels
    piece := [name:] [kind] [units] [activation] [key=value | key value | flag] …

Reads   "784 | 128 relu | dropout 0.2 | output: 10 softmax"; the first part is the number of inputs, or a part that
        reads whole numbers ("window 5 vocabulary=10000 embedding 50").
Gives   the number of inputs and the layers, and back.
"""

import re
from dataclasses import fields, replace

from ..calculus import Function
from ..errors import SpecError
from . import cells, layers                                                                       # noqa: F401
from .activations import ACTIVATIONS, word_of
from .cells import Bidirectional
from .initial import policy_text
from .layers import KINDS, Activation, Channels, Dense, options_of
from .words import unknown

__all__ = ["parse", "text"]

TOKEN = re.compile(r"[\w=.]*\([^()|]*\)|\S+")
NUMBER = re.compile(r"[+-]?[0-9]+|[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
STRUCTURAL = ("name", "layer", "inputs")                 # options that no key=value of a part sets


def parse(spec, words=None):
    """(inputs or None, [layers]) of a spec; ``words`` are further activations, layers and cells by name.

    >>> parse("2 | 3 sigmoid nobias | out: 1")
    (2, [Dense(units=3, activation='sigmoid', bias=False), Dense(units=1, name='out')])
    """
    parts = spec.split("|")
    head = parts[0].strip()
    inputs = None
    if re.fullmatch(r"[+-]?[0-9]+", head):
        inputs, parts = int(head), parts[1:]
        if inputs < 1:
            raise SpecError(f"{inputs} inputs", where=repr(spec), fix="give a whole number of at least 1")
        if not parts:
            raise SpecError("the network has no layers", where=repr(spec), fix=f'for example "{inputs} | 8 tanh | 1"')
    found = []
    for position, part in enumerate(parts, 1 if inputs is None else 2):
        where = f"part {position}, {part.strip()!r}, of {spec!r:.200}"
        pieces = [_Part(piece, where, words or {}).layer() for piece in re.split(r"\s\+\s", part)]
        layer = pieces[0] if len(pieces) == 1 else Channels(tuple(pieces))
        if not found and inputs is None and not layer.reads_ids:
            raise SpecError(f"the spec begins with {part.strip()!r}", where=repr(spec),
                            fix='begin with the number of inputs, as in "4 | 8 tanh | 3 softmax"')
        found.append(layer)
    return inputs, found


class _Part:
    """One part of a spec, read word by word."""

    def __init__(self, part, where, words):
        self.where, self.words = where, words
        named = re.match(r"\s*(\w+)\s*:(.*)", part, re.S)
        self.name, part = (named[1], named[2]) if named else (None, part)
        self.tokens = TOKEN.findall(part)
        if not self.tokens:
            raise SpecError("an empty part", where=where, fix="write a layer between the bars")

    def activations(self):
        return (*ACTIVATIONS, *(name for name, value in self.words.items() if isinstance(value, Function)))

    def makers(self):
        own = {name: value for name, value in self.words.items()
               if callable(value) and not isinstance(value, Function) and not hasattr(value, "expression")}
        return {**{kind: made for kind, made in KINDS.items() if kind not in ("activation", "channels")}, **own}

    def layer(self):
        tokens, makers = self.tokens, self.makers()
        both = tokens[0] == "bi"
        if both:
            tokens = tokens[1:]
            if not tokens:
                raise SpecError("'bi' of what?", where=self.where, fix="bi rnn 8, bi gru 8 or bi lstm 8")
        if tokens[0] in makers:
            make, tokens = makers[tokens[0]], tokens[1:]
        elif tokens[0] in self.activations():
            make = Activation
        elif NUMBER.fullmatch(tokens[0]) or "=" in tokens[0]:
            make = Dense
        else:
            raise unknown(SpecError, "word", tokens[0], [*makers, "bi", *self.activations()], self.where)
        options = self.options(make, tokens)
        if self.name and not both:
            options["name"] = self.name
        try:
            layer = make(**options)
            return Bidirectional(layer, name=self.name) if both else layer
        except TypeError as error:
            missing = re.search(r"'(\w+)'", str(error))
            raise SpecError(f"{'this part'} needs {missing[1] if missing else 'something else'}", where=self.where,
                            fix=f"{missing[1]}=…" if missing else str(error)) from None

    def options(self, make, tokens):
        if isinstance(make, type):
            known = {f.name: f for f in fields(make) if f.name not in STRUCTURAL}
            flags = {(f"no{name}" if f.default is True else name): not f.default
                     for name, f in known.items() if isinstance(f.default, bool)}
            keys, positional = [k for k in known if not isinstance(known[k].default, bool)], list(make.positional)
        else:                                                        # a user's layer or cell: its function tells
            arguments = make.function.__code__.co_varnames[:make.function.__code__.co_argcount]
            defaults = arguments[len(arguments) - len(make.function.__defaults__ or ()):]
            keys, flags = [*defaults, "units", "initial", "l2", "l1"], {}
            positional = ["units"] if "units" in make.__code__.co_varnames else list(arguments[2:])
        options, tokens = {}, list(tokens)
        while tokens:
            token = tokens.pop(0)
            key, equals, value = token.partition("=")
            if key in keys and not equals and not tokens:
                raise SpecError(f"{key} has no value", where=self.where, fix=f"{key}=…")
            if equals or key in keys and key not in self.activations():
                if key not in keys:
                    raise unknown(SpecError, "option", key, [*keys, *flags], self.where)
                value = value if equals else tokens.pop(0)
                value = self.words.get(value, _value(value))
            elif token in flags:
                key, value = token, flags[token]
                key = key if key in known else key.removeprefix("no")
            elif NUMBER.fullmatch(token) and [p for p in positional if p not in options and p != "activation"]:
                key, value = next(p for p in positional if p not in options and p != "activation"), _value(token)
            elif token in self.activations() and "activation" in positional:
                key, value = "activation", self.words.get(token, token)
            elif NUMBER.fullmatch(token):
                raise SpecError(f"one number too many: {token}", where=self.where)
            else:
                accepted = [*(self.activations() if "activation" in positional else ()), *keys, *flags]
                raise unknown(SpecError, "word", token, accepted, self.where)
            if key in options:
                raise SpecError(f"{key} is given twice: {options[key]} and {value}", where=self.where)
            options[key] = value
        return options


def _value(word):
    if re.fullmatch(r"[+-]?[0-9]+", word):
        return int(word)
    return float(word) if NUMBER.fullmatch(word) else word


def text(inputs, given):
    """The canonical spec of layers, or None where one of them cannot be written in it.

    >>> text(2, [Dense(3, "sigmoid", bias=False), Dense(1, name="out")])
    '2 | 3 sigmoid nobias | out: 1'
    """
    parts = [_text(layer) for layer in given]
    return None if None in parts else " | ".join(([] if inputs is None else [str(inputs)]) + parts)


def _text(layer, bare=False):
    if isinstance(layer, Bidirectional):
        inner = _text(layer.layer)
        rest = _options(layer, {k: v for k, v in options_of(layer).items() if k != "layer"})
        return None if inner is None or rest is None else " ".join([*_name(layer), "bi", inner, *rest])
    if isinstance(layer, Channels):
        pieces = [_text(window if window.name != f"channel{k}" else replace(window, name=None))
                  for k, window in enumerate(layer.layers, 1)]
        return None if None in pieces or options_of(layer).keys() - {"layers"} else " + ".join(pieces)
    if KINDS.get(layer.kind) is not type(layer):
        return None
    words = _options(layer, options_of(layer))
    if words is None:
        return None
    return " ".join([*_name(layer), *([] if isinstance(layer, (Dense, Activation)) else [layer.kind]), *words])


def _name(layer):
    return [f"{layer.name}:"] if layer.name else []


def _options(layer, options):
    words = []
    for name, value in sorted(options.items(), key=lambda option: option[0] not in layer.positional):
        if name == "activation":
            if not isinstance(value, str):
                return None
            words.append(word_of(value))
        elif name in layer.positional:
            words.append(_plain(value))
        elif name == "inputs":
            return None
        elif isinstance(value, bool):
            words.append(name if value else f"no{name}")
        elif name == "initial":
            words.append(f"initial={policy_text(value)}")
        elif name != "name":
            words.append(f"{name}={_plain(value)}")
    return words


def _plain(value):
    return repr(value)
