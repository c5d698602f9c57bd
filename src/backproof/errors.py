"""What can go wrong, in the user's words.

Every error says what happened, where, with which values, and how to mend it. Each class also is the built-in
exception that a Python programmer would expect, so that ``except ValueError`` keeps working.
"""

__all__ = [
    "BackproofError", "ShapeError", "RangeError", "SpecError", "ExpressionError", "DerivationError", "ProgramError",
    "DataError", "DtypeError", "ModelFileError", "NonFiniteError", "EngineError", "OptionError", "FileProblem",
]


class BackproofError(Exception):
    """The root of all errors of backproof: what happened, where, and the mend.

    >>> print(BackproofError("index 'i' has two extents", where="z[n,j] = x[n,i] W[i,j]", fix="give 'output' 64 inputs"))
    index 'i' has two extents
      in   z[n,j] = x[n,i] W[i,j]
      fix  give 'output' 64 inputs
    """

    def __init__(self, what, *, where=None, fix=None, state=None):
        self.what, self.where, self.fix, self.state = what, where, fix, state
        rows = [("in", where), ("fix", fix), ("now", state)]
        super().__init__("\n".join([str(what)] + [f"  {label:<4} {text}" for label, text in rows if text]))

    def __reduce__(self):
        return _rebuild, (type(self), self.what, self.where, self.fix, self.state, dict(self.__dict__))


def _rebuild(cls, what, where, fix, state, attributes):
    error = cls.__new__(cls)
    BackproofError.__init__(error, what, where=where, fix=fix, state=state)
    error.__dict__.update(attributes)
    return error


class ShapeError(BackproofError, ValueError):
    """Indices or array shapes that do not fit together."""


class RangeError(BackproofError, ValueError):
    """A value, or the range of an activation, outside what a loss or function takes."""


class SpecError(BackproofError, ValueError):
    """A network description that cannot be built."""


class OptionError(BackproofError, ValueError):
    """An argument or option outside its allowed interval, or two that exclude each other."""


class ExpressionError(BackproofError, ValueError):
    """An expression that cannot be read or has no meaning."""


class DerivationError(BackproofError, ValueError):
    """A system that cannot be differentiated as asked (samples mixed, a circle without a time step)."""


class ProgramError(BackproofError, ValueError):
    """A program that does not pass the verifier."""


class DataError(BackproofError, ValueError):
    """Data that cannot be used: empty, non-finite, of another width, unknown labels."""


class DtypeError(BackproofError, TypeError):
    """An array whose element type cannot be used without losing something."""


class ModelFileError(BackproofError, ValueError):
    """A model file that is corrupt, truncated, foreign or of another version."""


class FileProblem(BackproofError, OSError):
    """A file that cannot be opened, read or written."""


class EngineError(BackproofError, RuntimeError):
    """An engine that is missing or cannot run a program."""


class NonFiniteError(BackproofError, ArithmeticError):
    """A loss, gradient or activation that is NaN or infinite; the step that produced it was not applied.

    Attributes  epoch, step (from 0), layer, tensor: where it appeared first, None where not applicable.
    """

    def __init__(self, what, *, epoch=None, step=None, layer=None, tensor=None, **more):
        super().__init__(what, **more)
        self.epoch, self.step, self.layer, self.tensor = epoch, step, layer, tensor
