"""Backpropagation you can read, check and trust, at full speed."""

__version__ = "0.1.0"
