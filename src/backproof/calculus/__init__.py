"""The calculus: indices, a closed set of nodes, elementwise functions, systems of named equations, rewrites.

Reads   nothing but the standard library.
Gives   expressions that ``derive`` differentiates and ``lower`` turns into programs.
"""

from .functions import *                                                              # noqa: F401,F403
from .functions import FUNCTIONS, Function, elementwise                               # noqa: F401
from .indices import SAMPLE, TIME, Index                                              # noqa: F401
from .nodes import (ONE, Add, Edge, Einsum, Extent, Join, Map, Node, OneHot, Reduce,  # noqa: F401
                    Ref, Rename, Scaled, Shift, Slice, Variable, add, as_node, as_number, broadcast, edge, extent,
                    is_zero, join, largest, logsumexp, mean, number, one_hot, product, rename, scaled, shift, slice_,
                    split_coefficient, total, walk, zero)
from .plain import plain                                                              # noqa: F401
from .rewrites import expand, factor_out, rebuild, size, substitute, transform        # noqa: F401
from .system import Equation, System, Term                                            # noqa: F401
