"""The health of the error signal: how large δ is in every layer, and why it differs from the layer above.

Reads   the recorded numbers of a fixed probe batch, at the start and after every epoch of training.
Gives   measures per layer and epoch, and verdicts in words, each with its cause and a mend.

From layer l+1 to layer l the error signal passes the weights and the slope, δ_l = (δ_{l+1} Wᵀ) ⊙ f'(z_l), so
    ‖δ_l‖ / ‖δ_{l+1}‖  =  gain × alignment × slope       exactly, with
    gain       ‖W‖_F / √units          what the weights do to an error that points anywhere (units: those above)
    alignment  ‖δWᵀ‖ / (‖δ‖ · gain)    how much better than that this error fits them
    slope      ‖(δWᵀ) ⊙ f'‖ / ‖δWᵀ‖    the mean slope that the error meets
Every judgement is a ratio: between layers, or to the largest slope that the activation has.
"""

import math
from dataclasses import dataclass, field

import numpy as np

from ..calculus import Ref
from .evaluate import slope as slope_of
from .trace import Recording

__all__ = ["Health", "LayerHealth", "Moment", "Verdict", "judge", "measure"]

PROBE = 128  # samples of the probe batch
FAINT = 0.1  # of the largest slope: below it a unit counts as saturated


@dataclass
class LayerHealth:
    """The measures of one layer at one moment; None where they have no meaning.

    Fields  layer, number of units; norm ‖δ‖/√N; above: the layer whose error arrives; ratio = gain × alignment × slope;
            saturated, dead: shares of the units; identical: how many units have a twin; update: ‖ΔW‖/‖W‖ per step
            reach: root mean square of z; function, steepest: the activation's name and its largest slope
    """

    layer: str
    units: int
    norm: float
    above: str | None = None
    ratio: float | None = None
    gain: float | None = None
    alignment: float | None = None
    slope: float | None = None
    saturated: float | None = None
    dead: float | None = None
    identical: int = 0
    update: float | None = None
    reach: float = 0.0
    function: str = "identity"
    steepest: float = 1.0
    per_step: list | None = None


@dataclass
class Moment:
    """When (epochs trained), the step count, and the layers from the input upwards."""

    when: int
    step: int
    layers: list


@dataclass
class Verdict:
    """A warning: its kind (a phrase of the table), the layers, the numbers of the sentence, and the mends.

    ``mend`` says the same for a program: options of Network and fit.
    """

    kind: str
    layers: tuple
    numbers: tuple = ()
    causes: tuple = ()
    mends: tuple = ()
    mend: dict = field(default_factory=dict)


class Health:
    """A callback of ``fit`` that measures the error signal of a fixed probe batch after every epoch.

    It runs the program beside the training and changes no bit of the weights. Without samples of its own it takes up to
    128 rows of the training data, spread evenly.

    >>> import numpy as np
    >>> from backproof import Network
    >>> X, y = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1.0, 0.0])
    >>> health = Health()
    >>> model = Network("2 | 3 tanh | 1", loss="squared_error").build(seed=0)
    >>> _ = model.fit(X, y, epochs=2, callbacks=[health])
    >>> [len(moment.layers) for moment in health.moments], health.verdicts()
    ([2, 2, 2], [])
    """

    def __init__(self, X=None, y=None):
        self.samples, self.recording, self.moments, self._before = (X, y), None, [], None

    def begin(self, model, X=None, y=None):
        """Called by fit before the first step."""
        model.health = self
        if self.recording is None:
            given = self.samples if self.samples[0] is not None else _spread(X, y)
            self.recording = Recording(model, *given)
            self._note(0, 0, model.parameters)

    def watch(self, record, parameters):
        """Called by fit after every epoch; asks for no end."""
        self._note(record["epoch"] + 1, record["step"], parameters())
        return False

    def _note(self, when, step, parameters):
        steps = max(1, step - self.moments[-1].step) if self.moments else 1
        kept = {name: np.array(array) for name, array in parameters.items()}
        self.moments.append(Moment(when, step, measure(self.recording, kept, self._before, steps)))
        self._before = kept

    def verdicts(self):
        """The warnings, the gravest first; empty for a healthy network."""
        return judge(self.moments, self.recording.network)


def _spread(X, y):
    if hasattr(X, "to_numpy"):
        X = X.to_numpy()
    y = y.to_numpy() if hasattr(y, "to_numpy") else y
    rows = np.unique(np.linspace(0, len(X) - 1, min(PROBE, len(X))).round().astype(int))
    pick = (lambda a: a[rows]) if isinstance(X, np.ndarray) else (lambda a: [a[row] for row in rows])
    return pick(X), None if y is None else np.asarray(y)[rows] if not isinstance(y, list) else [y[row] for row in rows]


# ------------------------------------------------------------------------------------------------------------- measures


def measure(recording, parameters, before=None, steps=1):
    """[LayerHealth] from the input upwards, of a probe batch at these parameters."""
    values = recording(parameters)
    system, adjoints = recording.derivation.system, recording.derivation.sweep.adjoints
    found, above = [], None
    equations = [e for e in system if e.of is None and e.role == "pre_activation" and adjoints.get(e.name) in system]
    for equation in reversed(equations):
        delta = values[adjoints[equation.name]].astype(float)
        health = LayerHealth(
            equation.layer or equation.name,
            equation.axes[-1].extent,
            _norm(delta) / math.sqrt(recording.n),
            reach=_norm(values[equation.name]) / math.sqrt(max(1, values[equation.name].size)),
        )
        _activation(health, equation, system, values)
        if above is not None and above.layer != equation.layer:
            _link(health, equation, above, system, adjoints, values)
        _weights(health, equation, system, parameters, before, steps)
        if "time" in [axis.kind for axis in equation.axes]:
            moved = np.moveaxis(delta, [axis.kind for axis in equation.axes].index("time"), 0)
            health.per_step = [_norm(part) / math.sqrt(recording.n) for part in moved]
        found.append(health)
        above = equation
    return _one_per_layer(found[::-1])


def _one_per_layer(found):
    """Cells with several gates count as one layer: the gate with the largest error speaks for it."""
    layers = {}
    for health in found:
        best = layers.get(health.layer)
        if best is None or health.norm > best.norm:
            layers[health.layer] = health
    return list(layers.values())


def _norm(array):
    return float(np.linalg.norm(np.asarray(array, float).ravel()))


def _activation(health, equation, system, values):
    """Saturated and dead units, by the slope that the units have."""
    reader = next(
        (
            e
            for e in system
            if e.of is None
            and e.name != equation.name
            and equation.name in system.reads(e.name)
            and getattr(e.expression, "function", None) is not None
            and len(e.expression.children) == 1
            and isinstance(e.expression.children[0], Ref)
        ),
        None,
    )
    if reader is None or reader.role == "sample_loss":
        return
    function, z = reader.expression.function, np.asarray(values[equation.name], float)
    slopes = np.abs(slope_of(function, [z], 0)).reshape(-1, z.shape[-1])
    health.function, health.steepest = function.name, _steepest(function)
    health.saturated = float((slopes < FAINT * health.steepest).mean())
    health.dead = float((slopes == 0).all(axis=0).mean())


def _steepest(function):
    """The largest slope that an activation has."""
    at = np.linspace(-8, 8, 1601)
    with np.errstate(all="ignore"):
        found = np.abs(slope_of(function, [at], 0))
    return float(np.nanmax(found)) or 1.0


def _link(health, equation, above, system, adjoints, values):
    """The ratio to the layer above and its factors, where the weights between them are all that the error passes."""
    delta, upper = values[adjoints[equation.name]], np.asarray(values[adjoints[above.name]], float)
    health.above = above.layer
    if not _norm(upper):
        return
    health.ratio = _norm(delta) / _norm(upper) if delta.ndim == upper.ndim else None
    own = equation.axes[-1].name
    for name in system.reads(above.name):
        axes = system.variables[name].axes if name in system.variables else ()
        if [axis.name for axis in axes] != [own, above.axes[-1].name]:
            continue
        weight = np.asarray(values[name], float)
        arrived = upper @ weight.T
        out = next(
            (
                adjoint
                for of, adjoint in adjoints.items()
                if of in system.equations and adjoint in system and of in system.reads(above.name)
            ),
            None,
        )
        exact = (
            out is None
            or values[out].shape == arrived.shape
            and np.allclose(values[out], arrived, rtol=1e-4, atol=1e-12 + 1e-4 * np.abs(arrived).max())
        )
        if exact and _norm(arrived) and arrived.shape == delta.shape:
            health.gain = _norm(weight) / math.sqrt(weight.shape[1])
            health.alignment = _norm(arrived) / (_norm(upper) * health.gain)
            health.slope = _norm(delta) / _norm(arrived)


def _weights(health, equation, system, parameters, before, steps):
    """Units with a twin, and the relative size of the updates."""
    incoming, change, size = [], 0.0, 0.0
    for name in system.reads(equation.name):
        if name not in parameters:
            continue
        array = parameters[name]
        incoming.append(array.reshape(-1, array.shape[-1]))
        if array.ndim > 1:
            size += _norm(array) ** 2
            change += 0.0 if before is None else _norm(array - before[name]) ** 2
    if incoming and health.units > 1:
        units = np.concatenate(incoming).T
        _, counts = np.unique(units, axis=0, return_counts=True)
        health.identical = int(counts[counts > 1].sum())
    if before is not None and size:
        health.update = math.sqrt(change / size) / steps


# ------------------------------------------------------------------------------------------------------------- verdicts


def judge(moments, network):
    """The Verdicts of a run, the gravest first."""
    last = moments[-1].layers
    hidden = last[:-1]
    flow = _vanishing(last) or _exploding(last)
    found = [_identical(hidden), flow, _saturated(moments, hidden), _dead(hidden), None if flow else _updates(moments)]
    found += [_fading(layer) for layer in last if layer.per_step]
    if hidden and all(layer.function == "identity" for layer in hidden) and all(not layer.per_step for layer in hidden):
        found.append(Verdict("affine", tuple(layer.layer for layer in hidden), mends=(("mend_activation", "tanh"),)))
    return [verdict for verdict in found if verdict is not None]


def _links(layers):
    return [layer for layer in layers if layer.ratio is not None]


def _attenuation(layers):
    links = _links(layers)
    total = math.prod(link.ratio for link in links)
    return links, total, total ** (1 / len(links)) if links else 1.0


def _vanishing(layers):
    """δ shrinks on the way down, by a hundred in all and by more than half a layer: which factors do it?"""
    links, total, mean = _attenuation(layers)
    if not links or not 0 < total < 1e-2 or not mean < 0.5:
        return None
    known = [link for link in links if link.gain and link.slope]
    names = tuple(link.layer for link in links)
    if not known:
        return Verdict(
            "vanishing",
            names,
            (total, len(links), mean),
            mends=(("mend_initial", "glorot"),),
            mend={"initial": "glorot"},
        )
    factors = {
        name: math.exp(sum(math.log(getattr(link, name)) for link in known) / len(known))
        for name in ("gain", "alignment", "slope")
    }
    whole = math.log(math.prod(factors.values()))
    guilty = tuple((name, value) for name, value in factors.items() if math.log(value) < 0.2 * whole)
    mends, mend = [], {}
    if "gain" in dict(guilty):
        mends.append(("mend_gain", 1 / factors["gain"]))
        mend["initial"] = None
    if "slope" in dict(guilty):
        steep = max(link.steepest for link in known)
        if steep < 0.9:
            mends.append(("mend_steeper", known[0].function, steep))
            mend["activation"] = "tanh"
        else:
            mends.append(("mend_scale", 1 / max(link.reach for link in known)))
    return Verdict("vanishing", names, (total, len(links), mean), guilty, tuple(mends), mend)


def _exploding(layers):
    links, total, mean = _attenuation(layers)
    if not links or not total > 1e2 or not mean > 2:
        return None
    gains = [link.gain for link in links if link.gain]
    gain = math.exp(sum(map(math.log, gains)) / len(gains)) if gains else mean
    return Verdict(
        "exploding",
        tuple(link.layer for link in links),
        (total, len(links), mean),
        (("gain", gain),),
        (("mend_smaller", 1 / gain), ("mend_clip",)),
        {"initial": None, "clip_norm": 1.0},
    )


def _saturated(moments, hidden):
    worst = max(
        (layer for layer in hidden if layer.saturated is not None and layer.dead is not None and not _rectifies(layer)),
        key=lambda layer: layer.saturated,
        default=None,
    )
    if worst is None or worst.saturated < 0.5 or worst.slope is not None and worst.slope > 0.3 * worst.steepest:
        return None
    number = [layer.layer for layer in moments[-1].layers].index(worst.layer)
    mends = [("mend_scale", 1 / worst.reach)] + ([("mend_standardise",)] if number == 0 else [])
    slope = worst.steepest * FAINT if worst.slope is None else worst.slope
    return Verdict("saturated", (worst.layer,), (slope, worst.saturated), (), tuple(mends), {"scale": 1 / worst.reach})


def _rectifies(layer):
    return layer.function in ("relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus")


def _dead(hidden):
    worst = max((layer for layer in hidden if layer.dead is not None), key=lambda layer: layer.dead, default=None)
    if worst is None or worst.dead < 0.4 or not _rectifies(worst):
        return None
    return Verdict(
        "dead", (worst.layer,), (worst.dead,), (), (("mend_rate",), ("mend_leaky",)), {"activation": "leaky_relu"}
    )


def _identical(hidden):
    twins = [layer for layer in hidden if layer.identical]
    if not twins:
        return None
    worst = max(twins, key=lambda layer: layer.identical / layer.units)
    return Verdict(
        "identical",
        tuple(layer.layer for layer in twins),
        (worst.identical, worst.units),
        (),
        (("mend_random",),),
        {"initial": None},
    )


def _updates(moments):
    """Steps that change a layer by more than a twentieth of it, or a layer a thousand times slower than the others."""
    if len(moments) < 2:
        return None
    updates = [layer for layer in moments[-1].layers if layer.update is not None]
    if updates and (worst := max(updates, key=lambda layer: layer.update)).update > 0.05:
        return Verdict("large_updates", (worst.layer,), (worst.update,), (), (("mend_rate",),), {})
    if len(updates) > 1:
        middle, least = (
            float(np.median([layer.update for layer in updates])),
            min(updates, key=lambda layer: layer.update),
        )
        if least.update < 1e-3 * middle:
            return Verdict("stuck", (least.layer,), (least.update / middle,), (), (("mend_initial", "glorot"),), {})
    return None


def _fading(layer):
    """How far back in time the error reaches: the steps over which it falls to a hundredth."""
    norms = np.asarray(layer.per_step)
    top = int(norms.argmax())
    if top < 8 or norms[top] == 0 or norms[0] > 1e-3 * norms[top]:
        return None
    reach = next(k for k in range(top + 1) if norms[top - k] < 1e-2 * norms[top])
    return Verdict("fading", (layer.layer,), (reach, len(norms)), (), (("mend_gates",),), {"kind": "lstm"})
