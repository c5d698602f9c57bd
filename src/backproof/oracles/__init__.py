"""Gradients found without any rule of differentiation, and the one comparator.

Functions under test take a dict of arrays (the parameters by name) and return one number.
"""

from .compare import Agreement, agree, assert_agree, block_scales, relative_error, verdict
from .complex_step import complex_step, complex_step_directional
from .richardson import richardson, richardson_directional
from .taylor import Taylor, taylor

__all__ = ["Agreement", "Taylor", "agree", "assert_agree", "block_scales", "complex_step", "complex_step_directional",
           "relative_error", "richardson", "richardson_directional", "taylor", "verdict"]
