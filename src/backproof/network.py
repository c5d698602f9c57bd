"""Network: the door to describing a network.

Reads   a one-line spec or a list of layers, a loss, penalties and initial values.
Gives   its parameters, its system of named equations, the derived equations of its gradients, a table, and plain data.
"""

import os
from hashlib import blake2b
from json import dumps

from .calculus import SAMPLE
from .derive import one_link, sweep
from .errors import BackproofError, ModelFileError, OptionError, ShapeError, SpecError
from .networks import described, spec
from .networks.initial import policy, policy_text
from .networks.layers import Layer, strength
from .networks.losses import loss_of
from .networks.systems import checked_layers, describe, seeds
from .networks.table import shape_text, table
from .networks.words import whole

__all__ = ["Network"]


class Network:
    """A network described once: layers, a loss, penalties and initial values.

    Parameters  layers   the one-line spec "784 | 128 relu | 10 softmax", or a list of layers
                inputs   the number of inputs, with a list of layers
                loss     a name, with options "huber(delta=2)", or a function under @loss
                l2, l1   λ/2 ΣW² and λ Σ|W| over the weights, added to the objective; per layer overridable
                decay_biases  the penalties take the biases too
                initial  policy of the initial values: "glorot", "he", "lecun", "orthogonal", "normal", "uniform",
                         "zeros", or a distribution such as ("normal", 0, 0.1); None: by activation
                words    the user's activations, layers, cells and losses by the name that the spec uses
    Raises      SpecError, ShapeError, RangeError or OptionError where it cannot be built.

    >>> net = Network("4 | 3 tanh | 2 softmax", loss="cross_entropy")
    >>> [parameter.name for parameter in net.parameters]
    ['W1', 'b1', 'W2', 'b2']
    >>> net == Network(net.layers, inputs=4, loss="cross_entropy")
    True
    """

    def __init__(self, layers, *, inputs=None, loss="squared_error", l2=0.0, l1=0.0, decay_biases=False, initial=None,
                 words=None):
        if isinstance(layers, str):
            if inputs is not None:
                raise OptionError("inputs stand in the spec", where=repr(layers), fix="leave inputs= out")
            inputs, layers = spec.parse(layers, words)
        elif isinstance(layers, Layer):
            layers = [layers]
        self._placed = checked_layers(list(layers))
        self.layers = tuple(layer for layer, *_ in self._placed)
        self.inputs = self._checked_inputs(inputs)
        self.loss = loss_of(loss, words)
        self.l2, self.l1 = strength("l2", l2) or 0.0, strength("l1", l1) or 0.0
        self.decay_biases, self.initial = bool(decay_biases), policy(initial)
        self._described, self._sweeps, self._fingerprints = {}, {}, {}
        self._plain = self.described()
        if self.count >= 1 << 48:
            self.check_memory()

    def _checked_inputs(self, inputs):
        first = self.layers[0]
        if first.reads_ids:
            if inputs is not None:
                raise OptionError(f"{first.kind!r} reads whole numbers; it has no number of inputs",
                                  fix="leave inputs= out")
            return None
        inputs = getattr(first, "inputs", None) if inputs is None else inputs
        if inputs is None:
            raise SpecError("the number of inputs is missing", fix="Network([...], inputs=4), or a spec \"4 | …\"")
        if whole(inputs) is None:
            raise SpecError(f"inputs = {inputs!r}", fix="give a whole number of at least 1")
        return whole(inputs)

    # ------------------------------------------------------------------------------------------------ what it is

    vocabulary = property(lambda self: getattr(self.layers[0], "vocabulary", None), doc="Ids lie below it; of channels one per id.")
    padding = property(lambda self: getattr(self.layers[0], "padding", False), doc="Does the id −1 stand for no word?")
    window = property(lambda self: getattr(self.layers[0], "size", None), doc="Ids per sample of a window, or None.")
    sequence = property(lambda self: any(layer.steps for layer in self.layers), doc="Does it read sequences (n, t, i)?")
    bidirectional = property(lambda self: any(layer.kind == "bi" for layer in self.layers),
                             doc="Does it read sequences in both directions?")
    pairs = property(lambda self: self.loss.pairs, doc="Does its loss compare the two members of a pair?")
    outputs = property(lambda self: self._plain.outputs.extent, doc="The number of outputs.")
    targets = property(lambda self: self.loss.targets, doc='Forms of target, the default first: "dense", "class".')
    parameters = property(lambda self: self._plain.parameters, doc="The parameters in order.")
    states = property(lambda self: self._plain.states, doc="The names of the recurrent states.")
    count = property(lambda self: sum(p.count for p in self.parameters), doc="How many numbers it learns.")
    spec = property(lambda self: spec.text(self.inputs, self.layers), doc="The canonical one-line spec, or None.")
    placed = property(lambda self: self._placed, doc="(layer, label, number, is it named) of each layer.")
    shapes = property(lambda self: self._plain.shapes, doc="(label, the indices of what it gives) of each layer.")
    input = property(lambda self: self._plain.input, doc="The variable that it reads, x or ids.")

    penalty_unit = property(lambda self: self.l2 or self.l1 or 1.0, doc="The λ that a scaled penalty's strengths are counted in.")

    @property
    def noises(self):
        """The random factors that training draws, in order: name, axes, rate, number."""
        return self.described(training=True).noises

    @property
    def output_per_step(self):
        """Is there an output at every step of a sequence?"""
        return any(index.kind == "time" for index in self.shapes[-1][1])

    def check_memory(self, itemsize=4, copies=1):
        """Raise ShapeError where the parameters would not fit into this machine's memory."""
        needed, free = self.count * itemsize * copies, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
        if needed > free:
            largest = max(self.parameters, key=lambda p: p.count)
            raise ShapeError(f"{self.count:,} parameters need {needed:,} bytes, and {free:,} are free",
                             where=f"{largest.name} {' × '.join(map(str, largest.shape))}",
                             fix="give the layers fewer units")

    # ------------------------------------------------------------------------------------------------ equations

    def described(self, **how):
        """The system with its parameters, noises and states; options as of ``system``."""
        key = tuple(sorted((k, v) for k, v in how.items() if v))
        if key not in self._described:
            unit = self.penalty_unit if how.get("scaled_penalty") else 1.0
            self._described[key] = describe(self._placed, self.inputs, self.loss, initial=self.initial, l2=self.l2,
                                            l1=self.l1, decay_biases=self.decay_biases, unit=unit, **dict(key))
        return self._described[key]

    def system(self, *, training=False, weighted=False, masked=False, target=None, given_state=False,
               truncated=False, counted=False, scaled_penalty=False):
        """The forward equations, E of one sample, the penalty, the loss L and the objective J.

        Parameters  training     with dropout's noise
                    weighted     with sample weights w[n]
                    masked       with mask[t,n]: states are held and means taken over the valid steps
                    target       "dense" or "class"; None: the loss's default
                    given_state  the first state of a recurrence is a variable, "h1.start"; the last is named "h1.end"
                    truncated    with a factor xi[t] on the link t − 1 → t of every recurrence
                    counted      E_n = Σ_t counts[t,n] e[t,n], the weights given, instead of the mean over the steps
                    scaled_penalty  J = L + penalty_scale · penalty, the scale a scalar input and the penalty's strengths in
                                 units of ``penalty_unit``
        """
        return self.described(training=training, weighted=weighted, masked=masked, target=target,
                              given_state=given_state, truncated=truncated, counted=counted, scaled_penalty=scaled_penalty).system

    def gradient_system(self, *, wrt=None, **how):
        """The Sweep that adds the gradients of J by every parameter or by ``wrt``, δ per sample; options as above."""
        wrt = tuple(p.name for p in self.parameters) if wrt is None else tuple(wrt)
        key = wrt, tuple(sorted((k, v) for k, v in how.items() if v))
        if key not in self._sweeps:
            system = self.system(**how)
            begin = seeds(system, how.get("weighted"), how.get("scaled_penalty"))
            self._sweeps[key] = sweep(system, begin, wrt, mean_over=SAMPLE)
        return self._sweeps[key]

    def build(self, *, seed=0, engine=None, dtype="float32", threads=None, initial=None):
        """A Model: this network with initial values drawn from the seed, on an engine (None: the default).

        ``initial`` gives some of them, {parameter: array}, such as word vectors: {"E1": vectors}.
        """
        from .model import Model                # numbers begin here: describing and deriving load no NumPy
        return Model(self, seed=seed, engine=engine, dtype=dtype, threads=threads, initial=initial)

    def derive(self, of=None, wrt=None, **how):
        """The equations of the gradients, named and in order: a Derivation, which prints itself.

        Parameters  of    None: the objective; or the name of an equation, with a signal of 1 ("score": the one output)
                    wrt   names of parameters, variables or equations; None: all parameters
                    how   options of ``system``

        >>> print(Network("2 | 1 sigmoid", loss="binary_cross_entropy").derive().equations[-2].name)
        grad.W1
        """
        from .derivation import Derivation      # typesetting loads only when asked for
        if "dense" in self.targets:
            how = {"target": "dense", **how}    # y_k log a_k, as a textbook writes it; target="class" for class numbers
        if of is None:
            sweep = self.gradient_system(wrt=wrt, **how)
            begin = seeds(sweep.system, how.get("weighted"), how.get("scaled_penalty"))
            return Derivation(sweep, begin, wrt or [p.name for p in self.parameters], self)
        system = self.system(**how)
        symbol = "s" if of == "score" and "score" not in system else None
        of = system.resolve("prediction" if symbol else of)
        system = system.restricted([of])
        wrt = wrt or [p.name for p in self.parameters if p.name in system.variables]
        return Derivation.of(system, {of: 1}, wrt, network=self, symbol=symbol)

    def derive_link(self, layer=None, **how):
        """The Jacobian of one step of a recurrent layer, transposed and applied to a signal v, with its link factor: a Derivation.

        The loss of step s reaches step s − k through the product of these over the steps between. Two halves of a bidirectional
        layer have a link each.

        Parameters  layer  its label, the first recurrent layer unless given; how: options of ``system``

        >>> print(Network("2 | rnn 3 | 1").derive_link().to_text(form="matrix").splitlines()[-1].split("   ")[0])
         (4)  ∂s[n]/∂h1.before[t,n] = ξ[t] U1ᵀ δ1[t,n]
        """
        from .derivation import Derivation
        system = self.system(**{"truncated": True, **how})
        layers = dict.fromkeys(system[state].layer for state in self.states)
        layer = next(iter(layers)) if layer is None else layer
        if layer not in layers:
            raise OptionError(f"there is no recurrent layer {layer!r}", fix=f"one of {', '.join(layers)}")
        part, seeds_, before = one_link(system, [state for state in self.states if system[state].layer == layer])
        return Derivation.of(part, seeds_, before, network=self, symbol="s")

    # ------------------------------------------------------------------------------------------------ as text and data

    def __str__(self):
        title = [f"Network, loss {self.loss.text()}"]
        title += [f"{name} {value:g}" for name, value in (("l2", self.l2), ("l1", self.l1)) if value]
        title += ["biases decay too"] if self.decay_biases else []
        title += [f"initial {policy_text(self.initial)}"] if self.initial else []
        return table(shape_text(self.input.indices), self._placed, self._plain, ", ".join(title))

    def _repr_html_(self):
        from html import escape
        return f"<pre>{escape(str(self))}</pre>"

    def __repr__(self):
        return f"Network({self.spec or list(self.layers)!r}, loss={self.loss.text()!r})"

    def to_dict(self):
        """The network as plain data: numbers, strings, lists; a user's functions as expressions, no code."""
        return described.to_dict(self)

    @classmethod
    def from_dict(cls, data):
        """The network behind plain data. Raises ModelFileError where it has no meaning."""
        arguments = described.from_dict(data)
        try:
            return cls(**arguments)
        except (BackproofError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as error:
            if isinstance(error, ModelFileError):
                raise
            raise ModelFileError(f"the description of the network has no meaning: {str(error):.300}") from error

    @property
    def digest(self):
        """A fingerprint of the description: equal networks have equal ones."""
        return blake2b(dumps(self.to_dict(), sort_keys=True).encode(), digest_size=16).hexdigest()

    def fingerprint(self, *, penalised=True, scaled_penalty=False):
        """What decides the equations of this network, as text: equal texts, equal programs. None: nobody can tell.

        It is the description without initial values. A layer or cell of the user's is Python that may do otherwise tomorrow.

        Parameters  penalised       False: of what has no penalty in it
                    scaled_penalty  as for ``system``
        """
        key = penalised, scaled_penalty
        if key not in self._fingerprints:
            self._fingerprints[key] = described.fingerprint(self, penalised, self.penalty_unit if scaled_penalty else 1.0)
        return self._fingerprints[key]

    def __eq__(self, other):
        return self.to_dict() == other.to_dict() if isinstance(other, Network) else NotImplemented

    def __hash__(self):
        return hash(self.digest)
