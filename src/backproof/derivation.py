"""A derivation: what ``net.derive()`` gives. Its equations in order, as text in any notation, each line checked.

Reads   a system, the scalar that is differentiated (its seeds) and what it is differentiated by.
Gives   equations, and their print in every form, layout, notation, language and format.
"""

from dataclasses import replace
from fractions import Fraction
from functools import cached_property

import numpy as np

from .calculus import SAMPLE
from .derive import sweep, textbook
from .engines.reference import Run
from .errors import DerivationError, OptionError
from .lower import lower
from .show.article import article as blocks_of
from .show.c_code import c_code
from .show.document import Rows, write
from .show.evaluate import Evaluation, MatrixEvaluation
from .show.folded import FoldedLine
from .show.instance import Instance, relative
from .show.lines import lines_of
from .show.notation import NOTATIONS
from .show.python_code import python_code
from .show.sheet import Sheet, Style
from .show.views import error_sharing, graph
from .show.words import LANGUAGES, phrase

__all__ = ["Derivation"]


class Derivation:
    """The forward equations of a network and everything derived from them, in order of execution.

    Attributes  system, sweep; seeds {scalar: its adjoint}; wrt, the names differentiated by; network, or None; symbol, the letter
                of what is differentiated where it is not the loss ("s" of a score)

    >>> from backproof import Network
    >>> derivation = Network("3 | 2 tanh", loss="squared_error").derive()
    >>> for equation in derivation.equations[-3:]: print(equation.name)
    delta1
    grad.W1
    grad.b1
    >>> max(derivation.check().values()) < 1e-13
    True
    """

    def __init__(self, sweep, seeds, wrt, network=None, mean_over=SAMPLE, symbol=None):
        self.sweep, self.system, self.seeds = sweep, sweep.system, dict(seeds)
        self.wrt, self.network, self.mean_over, self.symbol = list(wrt), network, mean_over, symbol
        self._instances = {}

    @classmethod
    def of(cls, system, seeds, wrt, *, network=None, mean_over=SAMPLE, symbol=None):
        """Differentiate the seeded scalars of a system by the names ``wrt``."""
        return cls(sweep(system, seeds, wrt, mean_over=mean_over), seeds, wrt, network, mean_over, symbol)

    @property
    def equations(self):
        """The equations, forward first, in order of execution."""
        return list(self.system)

    @property
    def kept(self):
        """The names asked for, which always get a line of their own."""
        return {self.sweep.adjoints[name] for name in self.wrt if name in self.sweep.adjoints}

    @cached_property
    def textbook(self):
        """The chain of the output as a textbook writes it, derived from the loss as written; None where there is none."""
        return textbook(self.system, self.seeds, self.mean_over)

    @cached_property
    def strengths(self):
        """{parameter: ((λ's name, value), (μ's name, value))} of the penalties; one name where all layers share one value."""
        parameters = getattr(self.network, "parameters", ())
        made = {p.name: [("lambda", Fraction(p.l2)), ("mu", Fraction(p.l1))] for p in parameters if p.l2 or p.l1}
        for k in range(2):
            values = {pair[k][1] for pair in made.values() if pair[k][1]}
            for name, pair in made.items() if len(values) > 1 else ():
                pair[k] = (f"{pair[k][0]}_{name}", pair[k][1])
        return {name: tuple(pair) for name, pair in made.items()}

    def lines(self, notation="house", form="index", layout="sample", *, bias="separate", book=False):
        """The printed lines as trees; ``book`` writes the output's chain as a textbook does."""
        return lines_of(self, NOTATIONS[notation], form, layout, bias=bias, book=book)

    def check(self, seed=0, *, lines=None, **how):
        """{line number: largest relative error of its right-hand sides}: printed trees evaluated on a random instance.

        Forward lines are compared with the reference engine, derivatives with the complex step; ``how`` as for ``lines``.
        """
        lines = self.lines(**how) if lines is None else lines
        return {line.number: max(_error(line, side, self.instance(line.system or self.system, seed)) for side in line.sides)
                for line in lines}

    def instance(self, system, seed):
        """The random instance of a system under a seed; made once, as measuring derivatives is the dear part of a check."""
        if (id(system), seed) not in self._instances:
            made = Instance(system, {k: v for k, v in self.seeds.items() if k in system}, self.mean_over, seed)
            made.values.update({name: float(value) for pair in self.strengths.values() for name, value in pair})
            self._instances[id(system), seed] = made
        return self._instances[id(system), seed]

    # ------------------------------------------------------------------------------------------------ with numbers

    def values(self, feeds):
        """({name: array}, {extent: number}): every named quantity at the numbers fed, by the reference engine."""
        run = Run(lower(self.system, list(self.system.equations)), feeds)
        constants = {name: float(value) for pair in self.strengths.values() for name, value in pair}
        return {**feeds, **run.outputs(), **constants}, run.extents

    def error_sharing(self, feeds, **style):
        """The error signals and gradients entry by entry, their formulas with letters and with numbers.

        Parameters  feeds  {name: array in stored order} of parameters, input (one sample reads best) and target
        """
        return error_sharing(self, *self.values(feeds), _style(**style))

    def graph(self, feeds, **style):
        """The computational graph: every quantity with its value, its adjoint, and its sensitivity in words.

        >>> from backproof.calculus import System, Variable
        >>> s = System()
        >>> f = s.define("f", Variable("x") * Variable("y"))
        >>> for node in Derivation.of(s, {"f": 1}, ["x", "y", "f"], mean_over=None).graph({"x": 4, "y": -3}): print(node)
        x = 4   adjoint −3   a small step h in x changes f by about −3 h
        y = −3   adjoint 4   a small step h in y changes f by about 4 h
        f = x·y = 4·(−3) = −12   adjoint 1   a small step h in f changes f by about 1 h
        """
        return graph(self, *self.values({name: np.asarray(array) for name, array in feeds.items()}), _style(**style))

    # ------------------------------------------------------------------------------------------------ print

    def to_text(self, **style):
        """The equations as Unicode text for a terminal; the options of ``printed``."""
        return self.printed("text", **style)

    def to_latex(self, **style):
        """LaTeX: displays for a document of yours, or with ``article=True`` a whole document (Chinese through ctex)."""
        return self.printed("latex", **style)

    def to_markdown(self, **style):
        """Markdown with formulas between $."""
        return self.printed("markdown", **style)

    def to_html(self, **style):
        """HTML with MathML; with ``article=True`` one self-contained page."""
        return self.printed("html", **style)

    def to_python(self, **style):
        """A NumPy module: forward pass, error signals, gradients, update; every line with its equation's number."""
        return python_code(self, _style(**style))

    def to_c(self, **style):
        """One C99 file without dependencies: step(theta, state, x, y, n), gradient, predict; also n_max, t_max, optimizer."""
        options = {name: style.pop(name) for name in ("n_max", "t_max", "optimizer") if name in style}
        return c_code(self, _style(**style), **options)

    def printed(self, format, *, check=False, article=False, **style):
        """The equations in a format.

        Parameters  form      "index" with explicit sums, or "matrix"
                    layout    "sample": columns, W of shape units × inputs, as in the articles; "batch": arrays as stored
                    notation  "house", "A", "C", "D" or "E"
                    bias      "separate" or "folded": [W b][x; 1] (matrix form)
                    names     "numbers" or "layers"
                    language  "en" or "zh"
                    article   the whole derivation with its prose, not the equations alone
                    shapes    the shape under every factor of a matrix form; None: in articles
                    check     each line marked with its relative error
        Raises      DerivationError if a printed line does not hold.
        """
        shapes = style.pop("shapes", None)
        style = _style(**style)
        style = replace(style, shapes=style.form == "matrix" and (article if shapes is None else bool(shapes)))
        lines = lines_of(self, style.notation, style.form, style.layout, bias=style.bias, book=article)
        errors = self.check(lines=lines) if check or article else {}
        sheet = Sheet(self, style)
        rows = [sheet.row(line, errors.get(line.number)) for line in lines]
        title = phrase("article_title", style.language) if article else None
        written = write(blocks_of(sheet, rows) if article else [Rows(tuple(rows))], style, format, title=title)
        wrong = [row.number for row in rows if not row.holds]
        if wrong:
            raise DerivationError(f"the printed lines {', '.join(map(str, wrong))} do not hold", where=written)
        return written

    def _repr_html_(self):
        return self.to_html()

    def __str__(self):
        return self.to_text()


CHOICES = {"form": ("index", "matrix"), "layout": ("sample", "batch"), "notation": tuple(NOTATIONS),
           "bias": ("separate", "folded"), "names": ("numbers", "layers"), "language": LANGUAGES}


def _style(**given):
    """The checked options of a print."""
    for option, value in given.items():
        if option not in CHOICES:
            raise OptionError(f"there is no option {option!r}", fix=f"one of {', '.join([*CHOICES, 'article', 'check', 'shapes'])}")
        if value not in CHOICES[option]:
            raise OptionError(f"{option}={value!r}", fix=f"one of {', '.join(map(repr, CHOICES[option]))}")
    if given.get("bias") == "folded" and given.get("form", "index") == "index":
        raise OptionError("bias='folded' is written with matrices", fix="form='matrix'")
    return Style(**{**given, "notation": NOTATIONS[given.get("notation", "house")]})


def _error(line, side, instance):
    """The relative error of one right-hand side; infinite where its matrices do not fit together."""
    try:
        return _compared(line, side, instance)
    except ValueError:
        return float("inf")


def _compared(line, side, instance):
    if isinstance(line, FoldedLine):
        whole = MatrixEvaluation(instance.values, instance.extents)(line, side.tree)
        return max(instance.error(part.equation.of, value) for part, value in line.parts(whole))
    if line.matrix:
        printed = MatrixEvaluation(instance.values, instance.extents)(line, side.tree)
    else:
        printed = Evaluation(instance.values, instance.extents)(side.tree, line.free)
    if line.equation.of is None:
        return relative(printed, instance.values[line.equation.name])
    return instance.error(line.equation.of, printed)
