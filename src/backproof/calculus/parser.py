"""A parser of expressions: text to nodes, never by ``eval``.

Reads   text such as "max(0, x*w + b)**2": numbers, names, + - * / **, comparisons, parentheses, the elementwise functions.
Gives   a node over scalar variables.
Raises  ExpressionError that points at the place.

    expression := sum (("<" | ">" | "<=" | ">=") sum)?        sum := term (("+" | "-") term)*
    term := factor (("*" | "/") factor)*                      factor := ("+" | "-") factor | power
    power := atom (("**" | "^") factor)?                      atom := number | name | name "(" … ")" | "(" expression ")"
"""

import re
from difflib import get_close_matches

from ..errors import ExpressionError
from .functions import FUNCTIONS
from .nodes import Variable, number

__all__ = ["parse"]

LONGEST, DEEPEST = 10_000, 100
_TOKEN = re.compile(r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?)|(?P<name>[^\W\d]\w*)"
                    r"|(?P<sign>\*\*|<=|>=|[-+*/^(),<>]))", re.UNICODE)
_OTHER_NAMES = {"max": "maximum", "min": "minimum", "ln": "log", "sgn": "sign"}


def parse(text):
    """The expression that a text stands for; its names become scalar variables.

    >>> parse("x*y + 1")
    1 + x·y
    >>> parse("x +* y")
    Traceback (most recent call last):
    backproof.errors.ExpressionError: '*' stands where a number, a name or '(' should
      in   x +▸* y
    """
    if len(text) > LONGEST:
        raise ExpressionError(f"the expression has {len(text)} characters; at most {LONGEST} are read")
    return _Parser(text).whole()


class _Parser:
    def __init__(self, text):
        self.text, self.tokens, self.at, self.depth = text, [], 0, 0
        position = 0
        while text[position:].strip():
            match = _TOKEN.match(text, position)
            if not match:
                place = position + len(text[position:]) - len(text[position:].lstrip())
                raise ExpressionError(f"{text[place]!r} has no meaning here", where=self.mark(place))
            self.tokens.append((match.lastgroup, match.group(match.lastgroup), match.start(match.lastgroup)))
            position = match.end()

    def mark(self, place):
        return f"{self.text[max(0, place - 60):place]}▸{self.text[place:place + 60]}"

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else ("end", "", len(self.text))

    def take(self, *signs):
        kind, text, _ = self.peek()
        if kind == "sign" and text in signs:
            self.at += 1
            return text
        return None

    def fail(self, wanted):
        kind, text, place = self.peek()
        found = "the end" if kind == "end" else repr(text)
        raise ExpressionError(f"{found} stands where {wanted} should", where=self.mark(place))

    def expect(self, sign):
        if not self.take(sign):
            self.fail(repr(sign))

    def whole(self):
        result = self.expression()
        if self.peek()[0] != "end":
            self.fail("an operator or the end")
        return result

    def expression(self):
        left = self.sum()
        sign = self.take("<", ">", "<=", ">=")
        if sign is None:
            return left
        right = self.sum()
        return {"<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right}[sign]

    def sum(self):
        result = self.term()
        while sign := self.take("+", "-"):
            result = result + self.term() if sign == "+" else result - self.term()
        return result

    def term(self):
        result = self.factor()
        while sign := self.take("*", "/"):
            result = result * self.factor() if sign == "*" else result / self.factor()
        return result

    def factor(self):
        self.depth += 1
        if self.depth > DEEPEST:
            raise ExpressionError(f"the expression is nested more than {DEEPEST} deep", where=self.mark(self.peek()[2]))
        sign = self.take("+", "-")
        result = self.power() if sign is None else self.factor() if sign == "+" else -self.factor()
        self.depth -= 1
        return result

    def power(self):
        base = self.atom()
        return base ** self.factor() if self.take("**", "^") else base

    def atom(self):
        kind, text, place = self.peek()
        if kind == "number":
            self.at += 1
            return number(text)
        if kind == "name":
            self.at += 1
            return self.call(text, place) if self.take("(") else Variable(text, (), "placeholder")
        if self.take("("):
            inside = self.expression()
            self.expect(")")
            return inside
        self.fail("a number, a name or '('")

    def call(self, name, place):
        function = FUNCTIONS.get(_OTHER_NAMES.get(name, name))
        if function is None:
            known = [*FUNCTIONS, *_OTHER_NAMES]
            near = [k for k in known if k.startswith(name)] or get_close_matches(name, known, 1)
            raise ExpressionError(f"there is no function {name!r}", where=self.mark(place),
                                  fix=f"did you mean {near[0]!r}?" if near else f"one of {', '.join(sorted(FUNCTIONS))}")
        operands = [self.expression()]
        while self.take(","):
            operands.append(self.expression())
        self.expect(")")
        return function(*operands)
