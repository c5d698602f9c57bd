"""Lowering: from equations to a Program, verified where it is made.

Reads   a System (forward, adjoints, updates).
Gives   a Program: instructions over stored values, with a buffer plan beside it that engines may ignore.
"""

from .instructions import INSTRUCTIONS, WORDS, Instruction, Operand, RowsOf, Value, Word     # noqa: F401
from .lowering import lower                                                          # noqa: F401
from .plan import Plan, plan                                                         # noqa: F401
from .program import Program                                                         # noqa: F401
from .shared import Shared, programs                                                 # noqa: F401
