"""One link of the chain over time: the Jacobian of a step, transposed and applied to a signal.

Reads   a system with recurrent states, the names of the states that one step carries.
Gives   the system of one step, the states before it variables, and seeds: the signal v that arrives at each state. Its sweep gives
            (∂h_t/∂h_{t−1})ᵀ v,
        times ξ_t where the system is truncated, written out for the cell at hand; their product over the steps between is what
        carries the loss of step s back to step s − k.
"""

from ..calculus import Ref, Shift, Variable, transform
from ..errors import DerivationError

__all__ = ["one_link"]


def one_link(system, states):
    """(system of one step, {state: v}, names of the states before it). The states of other layers are given numbers."""
    before, part = {}, system.restricted(list(states)).copy()

    def rule(node):
        if isinstance(node, Shift) and isinstance(node.operand, Ref) and node.operand.name in system:
            name = node.operand.name
            return before.setdefault(name, Variable(f"{name}.before", node.indices, "carried"))
        return None
    for equation in list(part):
        new = transform(equation.expression, rule)
        if new is not equation.expression:
            part.revise(equation.name, expression=new)
    missing = [name for name in states if name not in before]
    if missing:
        raise DerivationError(f"{missing[0]} is not read one step back: it is no recurrent state")
    return part, {name: Variable(f"v.{name}", part[name].axes, "input") for name in states}, [before[name].name for name in states]
