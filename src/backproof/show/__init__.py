"""Showing: print trees of equations, their typesetting in every format, code, articles and pages.

Reads   Equations, and values recorded by an engine.
Gives   text. Every printed line is a small tree that the check evaluates, so what is read is what was tested.
"""
