"""A derivation: what ``net.derive()`` gives. Its equations in order, as text in any notation, each line checked.

Reads   a system, the scalar that is differentiated (its seeds) and what it is differentiated by.
Gives   equations, and their print in every form, layout, notation, language and format.
"""

from .calculus import SAMPLE
from .derive import sweep
from .errors import DerivationError
from .show.evaluate import Evaluation
from .show.instance import Instance, relative
from .show.lines import index_lines
from .show.notation import NOTATIONS
from .show.page import render_text

__all__ = ["Derivation", "TOLERANCE"]

TOLERANCE = 1e-10


class Derivation:
    """The forward equations of a network and everything derived from them, in order of execution.

    Attributes  system, sweep; seeds {scalar: its adjoint}; wrt, the names differentiated by; network, or None

    >>> from backproof import Network
    >>> derivation = Network("3 | 2 tanh", loss="squared_error").derive()
    >>> for equation in derivation.equations[-3:]: print(equation.name)
    delta1
    grad.W1
    grad.b1
    >>> max(derivation.check().values()) < 1e-13
    True
    """

    def __init__(self, sweep, seeds, wrt, network=None, mean_over=SAMPLE):
        self.sweep, self.system, self.seeds = sweep, sweep.system, dict(seeds)
        self.wrt, self.network, self.mean_over = list(wrt), network, mean_over

    @classmethod
    def of(cls, system, seeds, wrt, *, network=None, mean_over=SAMPLE):
        """Differentiate the seeded scalars of a system by the names ``wrt``."""
        return cls(sweep(system, seeds, wrt, mean_over=mean_over), seeds, wrt, network, mean_over)

    @property
    def equations(self):
        """The equations, forward first, in order of execution."""
        return list(self.system)

    @property
    def kept(self):
        """The names asked for, which always get a line of their own."""
        return {self.sweep.adjoints[name] for name in self.wrt if name in self.sweep.adjoints}

    def lines(self, notation="house", form="index", layout="sample"):
        """The printed lines as trees."""
        return index_lines(self, NOTATIONS[notation])

    def check(self, seed=0, *, lines=None, notation="house", form="index", layout="sample"):
        """{line number: largest relative error of its right-hand sides}: printed trees evaluated on a random instance.

        Forward lines are compared with the reference engine, derivatives with the complex step.
        """
        instance = Instance(self.system, self.seeds, self.mean_over, seed)
        evaluate, errors = Evaluation(instance.values, instance.extents), {}
        for line in lines if lines is not None else self.lines(notation, form, layout):
            errors[line.number] = max(self._error(line, side, instance, evaluate) for side in line.sides)
        return errors

    @staticmethod
    def _error(line, side, instance, evaluate):
        printed = evaluate(side.tree, line.free)
        if line.equation.of is None:
            return relative(printed, instance.values[line.equation.name])
        return instance.error(line.equation.of, printed)

    def to_text(self, form="index", layout="sample", notation="house", language="en", *, names="numbers", check=False):
        """The equations as Unicode text, each with the rule by which it holds; ``check`` marks each with its error.

        Raises  DerivationError if a printed line does not hold.
        """
        lines = self.lines(notation, form, layout)
        errors = self.check(lines=lines) if check else None
        written = render_text(self, lines, NOTATIONS[notation], layout, language, names, errors)
        wrong = [n for n, error in (errors or {}).items() if not error <= TOLERANCE]
        if wrong:
            raise DerivationError(f"{len(wrong)} printed lines do not hold", where=written)
        return written

    def __str__(self):
        return self.to_text()
