"""Second derivatives: the sweep applied to what a sweep gave.

Source  Pearlmutter, Fast Exact Multiplication by the Hessian (1994): H v is the gradient of vᵀ∇J.
"""

from ..calculus import Variable, add, total
from .sweep import sweep

__all__ = ["hessian_vector_product"]


def hessian_vector_product(first, names):
    """Extend a sweep's system by Hv for the variables ``names``: returns (Sweep, {name: direction variable}).

    The direction of parameter W is the variable "v.W"; the product with the Hessian is the equation "hess.W".
    """
    system = first.system.copy()
    variables = system.variables
    directions = {name: Variable(f"v.{name}", variables[name].axes, "scalar") for name in names}
    system.define("slope", add([total(directions[name] * system.ref(first.adjoints[name]), variables[name].axes)
                                for name in names]), role="slope")
    naming = lambda name, role: f"hess.{name}" if name in directions else f"adj2.{name}"              # noqa: E731
    return sweep(system, {"slope": 1}, names, naming=naming), directions
