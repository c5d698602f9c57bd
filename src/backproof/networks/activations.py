"""Activations: what a layer puts on its pre-activation, by name or as a user's function, and the range of its values.

Reads   a word ("relu"), an elementwise Function, or a Python function of one expression.
Gives   the activation in its canonical form, its value on a node, and where its values lie.
"""

from math import inf

from ..calculus import FUNCTIONS, REAL, Function, elementwise, exp, logsumexp
from ..errors import SpecError
from .words import unknown

__all__ = ["ACTIVATIONS", "SIMPLEX", "activate", "activation", "contains", "own_function", "range_of", "range_text"]

SIMPLEX = "simplex"             # positive numbers that sum to 1 over the units
LINEAR = ("linear", "identity")
ACTIVATIONS = ("linear", "softmax", *(name for name, function in FUNCTIONS.items() if function.arity == 1))


def softmax(z, over):
    """exp(z - logsumexp(z)): positive and summing to 1 over the units; a composition, so any loss can follow."""
    return exp(z - logsumexp(z, over=over))


def activation(word):
    """The canonical form of an activation: a built-in's name, or the user's Function.

    Raises   SpecError for an unknown word, and for a function that no engine could run or whose name is taken.

    >>> activation("identity"), activation(FUNCTIONS["tanh"])
    ('linear', 'tanh')
    """
    if isinstance(word, str):
        if word not in ACTIVATIONS:
            raise unknown(SpecError, "activation", word, ACTIVATIONS)
        return "linear" if word in LINEAR else word
    if not isinstance(word, Function) and callable(word):
        word = elementwise(word)
    if not isinstance(word, Function):
        raise SpecError(f"{word!r} is no activation", fix='a word such as "relu", or a function made by @elementwise')
    if word.arity != 1:
        raise SpecError(f"{word.name} takes {word.arity} operands; an activation takes one")
    if FUNCTIONS.get(word.name) is word:
        return "linear" if word.name in LINEAR else word.name
    return own_function(word)


def own_function(function):
    """A user's function, checked: its name is free, and its value is an expression. Raises SpecError."""
    if function.name in FUNCTIONS or function.name in ACTIVATIONS:
        raise SpecError(f"a function called {function.name!r} is built in", fix="give your function another name")
    if function.value is None:
        raise SpecError(f"{function.name} has no value as an expression, so no engine can run it",
                        fix="elementwise(name, value=lambda x: …)")
    return function


def activate(word, z, over):
    """The activation's value on a pre-activation; softmax runs over the index given."""
    if word == "linear":
        return z
    if word == "softmax":
        return softmax(z, over)
    return (FUNCTIONS[word] if isinstance(word, str) else word)(z)


def range_of(word):
    """Where an activation's values lie: an interval, or SIMPLEX."""
    if word == "softmax":
        return SIMPLEX
    if word == "linear":
        return REAL
    return (FUNCTIONS[word] if isinstance(word, str) else word).range


def contains(wide, narrow):
    """Does the range ``wide`` hold all of ``narrow``? A third entry "closed" says that the ends are attained."""
    if wide == SIMPLEX or narrow == SIMPLEX:
        return wide == SIMPLEX == narrow or wide != SIMPLEX and contains(wide, (0, 1))
    (low, high, *closed), (below, above, *attained) = wide, narrow
    if attained and not closed:
        return (low < below or low == -inf) and (above < high or high == inf)
    return low <= below and above <= high


def range_text(interval):
    """
    >>> range_text((0, float("inf"), "closed")), range_text(SIMPLEX)
    ('[0, inf)', 'the simplex')
    """
    if interval == SIMPLEX:
        return "the simplex"
    low, high, *closed = interval
    left = "[" if closed and low != -inf else "("
    right = "]" if closed and high != inf else ")"
    return f"{left}{low:g}, {high:g}{right}"


def word_of(activation):
    """How tables and errors call an activation."""
    return activation if isinstance(activation, str) else activation.name
