"""Gradient checking of our networks and of anybody's functions.

Reads   a target with a loss and a gradient.
Gives   a Report: verdict "pass", "fail" or "inconclusive", a row per parameter tensor, causes.
"""

from .gradients import assert_gradients, check_gradients       # noqa: F401
from .report import Block, Cause, Report                       # noqa: F401
from .targets import Target                                    # noqa: F401

__all__ = ["Block", "Cause", "Report", "Target", "assert_gradients", "check_gradients"]
