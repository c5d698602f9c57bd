"""Derivation: from a system of named equations to the ordered equations of its gradients.

Reads   a System and what to differentiate by what.
Gives   the same System extended by adjoints, each a named Equation. It knows no networks: layer and role are
        annotations that it carries along.
"""

from .link import one_link             # noqa: F401
from .second import hessian_vector_product                     # noqa: F401
from .stable import STABLE, stable                             # noqa: F401
from .sweep import Sweep, adjoint_name, partials, sweep        # noqa: F401
from .textbook import RULES, Textbook, simplified, textbook    # noqa: F401
