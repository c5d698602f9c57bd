"""The twin: the user's network described to us, so that derived equations stand beside the user's gradient.

Reads   a description (a one-line spec, a Network or a model), the data, and the user's point and loss.
Gives   which of the user's tensors is which parameter of the twin (order, transposition, flat vectors), by what factor
        the losses differ, and the gradients that any mutant of the derived equations would have given.
Method  an arrangement is taken only if the twin's loss equals the user's at several points, up to a constant factor and
        a weight penalty that are fitted; so the twin is proved to be one before it speaks.
"""

import itertools
from dataclasses import dataclass, field

import numpy as np

from ..calculus import SAMPLE, Extent, Index, Ref, Scaled, System, Variable, substitute, transform, walk
from ..derive import sweep
from ..engines import reference
from ..errors import BackproofError, OptionError
from ..lower import lower
from ..networks import spec
from ..networks.losses import LOSSES, loss_of
from ..networks.systems import checked_layers, describe, seeds

__all__ = ["Place", "Plan", "Twin", "build", "frozen_objective", "ordered"]


@dataclass
class Plan:
    """A one-line spec as what a twin needs of a network."""

    text: str
    loss: object
    l2: float = 0.0
    decay_biases: bool = False
    _kept: dict = field(default_factory=dict)

    def described(self, **how):
        inputs, layers = spec.parse(self.text, None)
        return describe(checked_layers(list(layers)), inputs, loss_of(self.loss), l2=self.l2,
                        decay_biases=self.decay_biases, **{k: v for k, v in how.items() if v})

    @property
    def parameters(self):
        return self.described().parameters

    def gradient_system(self, **how):
        key = tuple(sorted(how.items()))
        if key not in self._kept:
            self._kept[key] = derived(self.described(**how).system, self.parameters, how.get("weighted"))
        return self._kept[key]


def derived(system, parameters, weighted=False):
    """The sweep of an objective: δ per sample, 1/N in the parameters' gradients."""
    return sweep(system, seeds(system, weighted), [p.name for p in parameters], mean_over=SAMPLE)


@dataclass(frozen=True)
class Place:
    """Where a parameter of the twin lies in the user's tensors: a name, a slice of the flat array, a transposition."""

    name: str
    start: int
    shape: tuple
    transposed: bool = False

    def read(self, tensors):
        size = int(np.prod(self.shape))
        part = np.asarray(tensors[self.name]).ravel()[self.start:self.start + size]
        return part.reshape(self.shape[::-1]).T if self.transposed else part.reshape(self.shape)


class Twin:
    """A network, data in storage order, and the arrangement of the user's tensors.

    Attributes  places {parameter: Place}; factor: the user's loss over the twin's; network, sweep
    """

    def __init__(self, network, feeds, how):
        self.network, self.how, self.data = network, how, feeds
        self.places, self.factor = {}, 1.0
        self.sweep = network.gradient_system(**how)
        self.system = self.sweep.system
        self.parameters = {p.name: p.shape for p in network.parameters}
        self.names = [name for name in self.system.equations if name not in ("J",)]
        self._objective = lower(self.system, ["J"])
        self._everything = None

    # ------------------------------------------------------------------------------------------ the user's tensors

    def arrays(self, tensors):
        """The user's tensors as the twin's parameters."""
        return {name: place.read(tensors) for name, place in self.places.items()}

    def objective(self, theta):
        return float(self.run(self._objective, theta).outputs()["J"])

    def run(self, program, theta, more=()):
        feeds = {**theta, **dict(more)}
        for name, value in program.inputs.items():
            if name in self.data:
                feeds[name] = reference.storage_order(value, self.data[name])
        return reference.Run(program, feeds, np.result_type(np.float64, *(a for a in theta.values())))

    def arranged(self, target, rng):
        """Is there an arrangement in which the losses agree? It is kept in ``places`` and ``factor``."""
        points = [target.point] + [{n: a + 0.1 * rng.normal(size=a.shape) for n, a in target.point.items()}
                                   for _ in range(3)]
        users = [float(np.asarray(target.loss({n: a.copy() for n, a in p.items()})).real) for p in points]
        for places in self.arrangements(target.point):
            self.places = places
            try:
                ours = [self.objective(self.arrays(p)) for p in points]
            except (BackproofError, ValueError):
                continue
            factor = float(np.dot(users, ours) / max(np.dot(ours, ours), 1e-300))
            if np.allclose(users, np.multiply(factor, ours), rtol=1e-7, atol=1e-12) and abs(factor) > 1e-12:
                self.factor = factor
                return True
        self.places = {}
        return False

    def arrangements(self, point):
        """Ways in which the user's tensors may hold the twin's parameters."""
        if set(self.parameters) <= set(point):
            yield from self.transposed({n: Place(n, 0, s) for n, s in self.parameters.items()}, point)
        names, total = list(self.parameters), sum(int(np.prod(s)) for s in self.parameters.values())
        weights_first = sorted(names, key=lambda n: len(self.parameters[n]) < 2)
        orders = [names, weights_first, names[::-1], weights_first[::-1]]
        if len(point) == 1 and len(names) > 1 and next(iter(point.values())).size == total:
            for order in orders:
                start, places = 0, {}
                for name in order:
                    places[name] = Place(next(iter(point)), start, self.parameters[name])
                    start += int(np.prod(self.parameters[name]))
                yield from self.transposed(places, point)
        for big, small in itertools.product((1, -1), (1, -1)):
            matrices = [n for n, a in point.items() if np.squeeze(a).ndim >= 2 or a.ndim >= 2 and min(a.shape) > 1]
            pairs = self.by_size(point, matrices, big, small)
            if pairs is not None:
                yield from self.transposed({ours: Place(user, 0, self.parameters[ours]) for ours, user in pairs.items()}, point)

    def by_size(self, point, matrices, big, small):
        """Parameters in order given to the user's tensors of their size, matrices and vectors each in order."""
        pairs, left = {}, list(point)[::big]
        for ours, shape in self.parameters.items():
            size = int(np.prod(shape))
            fits = [n for n in left if point[n].size == size]
            alike = [n for n in fits if sorted(np.squeeze(point[n]).shape) == sorted(s for s in shape if s > 1)]
            if not (alike or fits):
                return None
            pairs[ours] = (alike or fits)[0 if small > 0 else -1]
            left.remove(pairs[ours])
        return pairs

    def transposed(self, places, point):
        """The same places with the matrices as they are and turned: all of them, then each by itself."""
        matrices = [n for n, place in places.items() if len(place.shape) == 2]
        forced = {n: point[places[n].name].shape == places[n].shape[::-1] and places[n].shape[0] != places[n].shape[1]
                  for n in matrices}
        free = [n for n in matrices if places[n].shape[0] == places[n].shape[1] or point[places[n].name].shape
                not in (places[n].shape, places[n].shape[::-1])]
        choices = [(False,) * len(free), (True,) * len(free)]
        if len(free) <= 6:
            choices += [c for c in itertools.product((False, True), repeat=len(free)) if c not in choices]
        for choice in choices:
            turned = {**forced, **dict(zip(free, choice))}
            yield {n: Place(p.name, p.start, p.shape, turned.get(n, False)) for n, p in places.items()}

    # ------------------------------------------------------------------------------------------ what mutants give

    def at(self, theta, sweep=None, extras=None):
        """Every named equation of the sweep at a point of the twin's parameters, in the order of its axes."""
        system = (sweep or self.sweep).system
        if sweep is not None or self._everything is None:
            program = lower(system, self.names)
            self._everything = program if sweep is None else self._everything
        else:
            program = self._everything
        more = extras.feeds(system.variables) if extras else {}
        outputs = self.run(program, theta, more).outputs()
        return {name: ordered(outputs[name], program.outputs[name].labels, system.equations[name].axes)
                for name in self.names}

    def gradients(self, values):
        """{parameter: gradient} of the values of all equations."""
        return {name: values[self.system.resolve(self.sweep.adjoints[name])] for name in self.parameters}

    def mutated(self, mutant, theta, values, extras, sweep_=None):
        """The gradients that a mutant changes, from the values of the equations that it leaves alone."""
        system = (sweep_ or self.sweep).system
        affected = set(mutant.changes) | {name for name in system.depending_on(mutant.changes)}
        part = System()
        for name, equation in mutant.apply(system).equations.items():
            if name in affected:
                given = {n: Variable(n.name, system.equations[n.name].axes, "input") for n in walk(equation.expression)
                         if isinstance(n, Ref) and n.name not in affected and n.name in system.equations}
                given.update({n: Variable(f"extent.{n.symbol}.{n.power}", (), "scalar") for n in walk(equation.expression)
                              if isinstance(n, Extent)})
                part.append(_with(equation, substitute(equation.expression, given)))
        wanted = {p: name for p, name in self.sweep.adjoints.items() if p in self.parameters}
        wanted = {p: system.resolve(name) for p, name in wanted.items() if system.resolve(name) in affected}
        if not wanted:
            return {}
        variables = part.variables
        if any(not extras.fits(v) for v in variables.values()):
            return None
        program = lower(part, list(wanted.values()))
        feeds = {**{n: values[n] for n in variables if n in values}, **extras.feeds(variables), **self.extents(variables)}
        outputs = self.run(program, {n: theta[n] for n in variables if n in theta}, feeds).outputs()
        return {p: ordered(outputs[name], program.outputs[name].labels, part.equations[name].axes)
                for p, name in wanted.items()}


    def extents(self, variables):
        """The lengths N and T to the powers that a part of the system asks for."""
        data = next(self.data[n] for n in ("x", "ids") if n in self.data)
        lengths = {"N": len(data), "T": data.shape[1] if data.ndim > 1 else 1}
        wanted = (name.split(".") for name in variables if name.startswith("extent."))
        return {f"extent.{symbol}.{power}": np.asarray(float(lengths[symbol]) ** int(power)) for _, symbol, power in wanted}


class Extras:
    """What mutants read beside the equations: the learning rate, and which sample is the first, the last, the same."""

    def __init__(self, samples, rate=None):
        self.samples, self.rate = samples, rate

    def fits(self, variable):
        if variable.name == "rate":
            return self.rate is not None
        if variable.name.startswith("same place"):
            return any(i.extent == self.samples for i in variable.axes if isinstance(i.extent, int))
        return True

    def feeds(self, variables):
        chosen = np.zeros((2, self.samples))
        chosen[0, 0] = chosen[1, -1] = 1.0
        known = {"rate": self.rate, "first sample": chosen[0], "last sample": chosen[1],
                 **{name: np.eye(self.samples) for name in variables if name.startswith("same place")}}
        return {name: np.asarray(value) for name, value in known.items() if name in variables}


def _with(equation, expression):
    return type(equation)(equation.name, expression, equation.axes, equation.role, equation.layer)


def ordered(array, labels, axes):
    labels = [label for label in labels if isinstance(label, Index)]
    order = [labels.index(i) for i in axes]
    return np.transpose(array, order) if array.ndim else array


def frozen_objective(twin, target):
    """The objective whose gradient a truncated one is: a state that crosses a link t − 1 → t counts as x₀ + ξ_t (x − x₀), x₀
    its number at the point. A function of the user's tensors, complex-safe.
    """
    plain, system, links = twin.network.gradient_system(**twin.how).system.copy(), System(), {}
    names = plain.needed_for(["J"])

    def rule(node):
        if isinstance(node, Scaled):
            base = links.setdefault(node, Variable(f"base{len(links)}", node.operand.indices, "input"))
            return base + node.factor * (node.operand - base)
    for name in names:
        system.append(_with(plain.equations[name], transform(plain.equations[name].expression, rule)))
    system.aliases.update(plain.aliases)
    for node, base in links.items():
        plain.define(f"link of {base.name}", node.operand, axes=base.axes)
    theta = twin.arrays(target.point)
    values = lower(plain, [f"link of {base.name}" for base in links.values()])
    outputs = twin.run(values, theta).outputs()
    bases = {base.name: ordered(outputs[f"link of {base.name}"], values.outputs[f"link of {base.name}"].labels, base.axes)
             for base in links.values()}
    program = lower(system, ["J"])

    def objective(theta):
        return twin.factor * twin.run(program, twin.arrays(theta), bases).outputs()["J"].reshape(())
    return objective


# ---------------------------------------------------------------------------------------------------- building one

def build(like, target, X, y, rng, *, sample_weight=None, mask=None, noise=None, links=None):
    """The twin that a description stands for, arranged to the user's tensors.

    Raises   OptionError if no network behind the description has the user's loss.
    """
    if hasattr(like, "network"):
        like = like.network
    tried = []
    for network in candidates(like, target):
        for feeds, how in data_for(network, X, y, sample_weight, mask, noise, links):
            try:
                twin = Twin(network, feeds, how)
                if twin.arranged(target, rng):
                    return twin
                fitted = with_penalty(network, twin, target, rng, feeds, how)
                if fitted is not None:
                    return fitted
            except (BackproofError, ValueError, IndexError) as error:
                tried.append(str(error).splitlines()[0])
    raise OptionError("the twin's loss is not the user's at any arrangement of the tensors",
                      where=getattr(like, "spec", None) or str(like)[:120],
                      fix="check like=, the loss and the data" + (f" ({tried[-1]})" if tried else ""))


def candidates(like, target):
    """The network itself, or the spec under each loss that it may be meant with."""
    if not isinstance(like, str):
        return [like]
    text, _, named = like.partition(",")
    if named.strip():
        return [Plan(text.strip(), named.strip())]
    found = []
    for name in LOSSES:
        plan = Plan(text.strip(), name)
        try:
            plan.described()                                 # a pairing outside the loss's range is refused here
            found.append(plan)
        except BackproofError:
            continue
    if not found:
        Plan(text.strip(), "squared_error").described()      # raises what is wrong with the spec
    return found


def data_for(network, X, y, sample_weight, mask, noise, links):
    """Ways to read the user's data: samples first or last, classes as numbers or as rows."""
    variables = None
    how = {"weighted": sample_weight is not None, "masked": mask is not None, "training": noise is not None,
           "truncated": links is not None}
    for turned in (False, True):
        for form in forms(network):
            options = {**{k: v for k, v in how.items() if v}, **({"target": form} if form else {})}
            try:
                variables = network.gradient_system(**options).system.variables
            except BackproofError:
                continue
            feeds = read_data(variables, X, y, turned)
            if feeds is None:
                continue
            if sample_weight is not None:
                feeds["w"] = np.asarray(sample_weight, float)
            if mask is not None:
                feeds["mask"] = np.asarray(mask, float)
            if links is not None:
                feeds["xi"] = np.asarray(links, float)
            if noise is not None:
                feeds.update({name: np.asarray(array, float) for name, array in noise.items()})
            yield feeds, options


def forms(network):
    loss = getattr(network, "loss", None)
    found = loss_of(loss).targets if isinstance(loss, str) else getattr(network, "targets", ())
    return list(found) or [None]


def read_data(variables, X, y, turned):
    """{variable: array sample-first} where the shapes fit the variables, else None."""
    inputs = next(v for v in variables.values() if v.role == "input" and v.name in ("x", "ids"))
    X = np.asarray(X)
    X = X.T if turned else X
    wide = [i.extent for i in inputs.axes if i.kind == "unit"]
    if X.ndim == len(inputs.axes) - 1:
        X = X[None]
    if X.ndim != len(inputs.axes) or wide and not inputs.integer and X.shape[-1] != wide[-1]:
        return None
    feeds = {inputs.name: X.astype(int) if inputs.integer else X.astype(float)}
    target = next((v for v in variables.values() if v.role == "target"), None)
    if target is None:
        return feeds
    y = np.asarray(y).T if turned else np.asarray(y)
    shape = [X.shape[0] if i.kind == "sample" else X.shape[1] if i.kind == "time" else i.extent
             for i in sorted(target.axes, key=lambda i: ("sample", "time", "pair", "unit").index(i.kind))]
    if target.integer:
        if y.size == np.prod(shape) and np.array_equal(y, np.round(y)):
            feeds[target.name] = y.reshape(shape).astype(int)
        elif y.ndim == len(shape) + 1 and np.isin(y, (0, 1)).all():
            feeds[target.name] = y.argmax(axis=-1)
        else:
            return None
    else:
        if y.size != np.prod(shape):
            return None
        feeds[target.name] = y.reshape(shape).astype(float)
    return feeds


def with_penalty(network, twin, target, rng, feeds, how):
    """A plan whose weight penalty is fitted to the user's loss: user = c (L + λ/2 ΣW² [+ λ/2 Σb²])."""
    if not isinstance(network, Plan) or network.l2:
        return None
    points = [{n: a + 0.2 * rng.normal(size=a.shape) for n, a in target.point.items()} for _ in range(6)]
    users = [float(np.asarray(target.loss({n: a.copy() for n, a in p.items()})).real) for p in points]
    for places in twin.arrangements(target.point):
        twin.places = places
        rows = []
        for point in points:
            theta = twin.arrays(point)
            squares = [0.5 * sum((a**2).sum() for a in theta.values() if (a.ndim > 1) == weights) for weights in (True, False)]
            rows.append([twin.objective(theta), *squares])
        solution = np.linalg.lstsq(np.array(rows), np.array(users), rcond=None)[0]
        if np.allclose(np.array(rows) @ solution, users, rtol=1e-8, atol=1e-10) and abs(solution[0]) > 1e-9:
            biases = abs(solution[2]) > 1e-8 * abs(solution[1])
            if biases and not np.isclose(solution[1], solution[2], rtol=1e-6):
                continue
            strength = float(f"{solution[1] / solution[0]:.9g}")
            fitted = Twin(Plan(network.text, network.loss, strength, biases), feeds, how)
            if fitted.arranged(target, rng):
                return fitted
    return None
