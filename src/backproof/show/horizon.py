"""The horizon: how far back in time the error signal reaches, why, and what a truncation would cut off.

Reads   a model with a recurrent state, sequences and targets.
Gives   a Horizon: ‖∂E_s/∂h_{s−k}‖ over the lag k, the causes (step Jacobians, spectral radii, slopes), the bias of every
        truncation length and the spread of every continue probability, measured on these data, and advice.

The loss of one step s is counted alone, so that the adjoint at step s − k is that of lag k and of no other. The Jacobian of a
step, ∂h_t/∂h_{t−1}, is taken by the complex step of the forward pass: it knows no rule, and own cells are covered.
Source  Bengio, Simard & Frasconi (1994); Pascanu, Mikolov & Bengio (2013) for the causes; Tallec & Ollivier (2017).
"""

from dataclasses import asdict, dataclass, field

import numpy as np

from ..calculus import Ref
from ..engines import reference
from ..engines.generator import order, truncation_links
from ..errors import NonFiniteError, OptionError
from ..lower import lower
from ..train.forms import truncated_gradients
from .evaluate import slope as slope_of
from .horizon_page import text

__all__ = ["Horizon", "measure_horizon"]

FAR, WINDOWS, SEQUENCES, POINTS, DRAWS = 200, 64, 32, 8, 24      # lags, losses, sequences, Jacobians, draws that are measured
LENGTHS = (1, 2, 3, 5, 8, 10, 15, 20, 30, 50, 75, 100, 150)
PROBABILITIES = (0.5, 0.8, 0.9, 0.95, 0.99)
WIDEST = 400                                                     # state units up to which Jacobians are taken
FAINT = 0.01


@dataclass
class Horizon:
    """What the error signal does over time.

    Fields  steps       of the longest sequence
            curve       ‖∂E_s/∂h_{s−k}‖ by lag k, over all states, the mean of the measured losses; relative to the largest
            by_state    the same for each recurrent state
            heat        one row per measured loss: the norm by lag; NaN where the sequence begins
            losses      (sequence, step) of each row
            reach       the last lag at which the curve is 1 % of its largest value or more; beyond: it ends in what was measured
            rate        the factor per step with which the curve goes on, by a straight line through its logarithm
            causes      per layer: spectral radius and norm of the step Jacobian, mean slopes, spectral radii of the matrices
            bias        [(truncation length, share of the gradient that it cuts off, cosine with the full gradient)]
            spread      [(continue probability, standard deviation of the randomised gradient as a share of the gradient's norm)]
            advice      [(phrase, values)]
    """

    steps: int
    curve: list
    by_state: dict
    heat: list
    losses: list
    reach: int
    beyond: bool
    rate: float
    causes: list
    bias: list
    spread: list
    advice: list = field(default_factory=list)

    def to_dict(self):
        """Plain data for JSON: NaN as None."""
        return _plain(asdict(self))

    def to_text(self, language="en"):
        """The measures in words, for a terminal."""
        return text(self, language)

    def __str__(self):
        return self.to_text()


def _plain(value):
    """The same without NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def measure_horizon(model, X, y, sample_weight=None, seed=0):
    """The Horizon of a model on these sequences; at most 32 of them, spread evenly, are measured."""
    network = model.network
    if not network.states:
        raise OptionError("there is no horizon: the network has no recurrent state", fix="a network with rnn, gru or lstm")
    fed = _some(model._feeds(X, y, sample_weight))
    mask = fed.arrays.get("mask")
    steps = next(a.shape[1] for name, a in fed.arrays.items() if name in ("x", "ids"))
    lengths = np.full(fed.n, steps) if mask is None else np.asarray(mask).sum(axis=1).astype(int)
    losses = _losses(network, lengths, seed)
    heat, by_state = _reach(model, fed, lengths, losses)
    if not np.isfinite(np.asarray(heat, float)[~np.isnan(heat)]).all() or not all(np.isfinite(row[0]) for row in heat):
        raise NonFiniteError("the error signal is not finite", where="on the way through the measured sequences",
                             fix="smaller recurrent weights (initial=\"orthogonal\"), or train with clip_norm=1.0")
    curve = _means(heat)
    reach, beyond, rate = _summary(curve)
    bias, spread = _truncations(model, fed, int(lengths.max()), seed)
    found = Horizon(int(lengths.max()), _relative(curve), {name: _relative(_means(rows)) for name, rows in by_state.items()},
                    heat, losses, reach, beyond, rate, _causes(model, fed, lengths, seed), bias, spread)
    found.advice = _advice(network, found)
    return found


def _some(fed):
    """Up to 32 of the sequences, spread evenly."""
    rows = np.unique(np.linspace(0, fed.n - 1, min(SEQUENCES, fed.n)).round().astype(int))
    arrays = {name: array[rows] for name, array in fed.arrays.items()}
    return type(fed)(fed.how, arrays, len(rows), None if fed.lengths is None else np.asarray(fed.lengths)[rows])


def _losses(network, lengths, seed):
    """(sequence, step) of the losses that are measured: the latest of each sequence where there is one per step, and others."""
    last = [(n, int(t) - 1) for n, t in enumerate(lengths)]
    if not network.output_per_step:
        return last[:WINDOWS]
    far = min(FAR, int(lengths.max()) - 1)
    others = [(n, s) for n, t in enumerate(lengths) for s in range(far, int(t) - 1)]
    chosen = [others[k] for k in order(seed, 0, len(others))[:max(0, WINDOWS - len(last))]] if others else []
    return sorted([*last[:WINDOWS], *chosen])


# ------------------------------------------------------------------------------------------------------------- reach

def _reach(model, fed, lengths, losses):
    """(rows of norms by lag, {state: such rows}): windows of equal length run side by side."""
    network = model.network
    own = network.output_per_step or any(layer.kind == "last" for layer in network.layers)
    rows = {state: [None] * len(losses) for state in network.states}
    groups = {}
    for k, (n, s) in enumerate(losses):
        begin = max(0, s - FAR) if own and not network.bidirectional else 0
        end = int(lengths[n]) - 1 if network.bidirectional else s
        groups.setdefault((end - begin + 1, begin > 0), []).append((k, n, begin, s - begin))
    before = _states(model, fed) if any(given for _, given in groups) else None
    for (length, given), members in groups.items():
        adjoints = _adjoints(model, fed, length, given, members, before)
        for state, norms in adjoints.items():
            backwards = state.rpartition(".")[2].startswith("reverse_")
            for column, (k, _, _, at) in enumerate(members):
                at = 0 if backwards and not network.output_per_step else at
                line = norms[at:, column] if backwards else norms[at::-1, column]
                rows[state][k] = [float(x) for x in line[:FAR + 1]]
    widest = max(len(row) for found in rows.values() for row in found)
    padded = {state: [row + [float("nan")] * (widest - len(row)) for row in found] for state, found in rows.items()}
    total = np.sqrt(_sum([np.square(found) for found in map(np.array, padded.values())]))
    return total.tolist(), padded


def _sum(arrays):
    """The sum of what is there; NaN where nothing is."""
    stacked = np.stack(arrays)
    return np.where(np.isnan(stacked).all(axis=0), np.nan, np.nansum(stacked, axis=0))


def _adjoints(model, fed, length, given, members, before):
    """{state: norms[t, member]} of the adjoints in windows of equal length whose loss stands at one step."""
    network, per_step = model.network, model.network.output_per_step
    how = {"target": fed.how["target"], "counted": per_step, "given_state": given}
    adjoints = network.gradient_system(**{k: v for k, v in how.items() if v}).adjoints
    program = model.program(*(adjoints[state] for state in network.states), derived=True, **how)
    rows = np.array([n for _, n, _, _ in members])
    steps = np.array([begin for _, _, begin, _ in members])[:, None] + np.arange(length)
    timed = {name for name, v in program.inputs.items() if any(i.kind == "time" for i in v.axes)}
    arrays = {name: a[rows[:, None], steps] if name in timed else a[rows]
              for name, a in fed.arrays.items() if name in program.inputs}
    if per_step:
        arrays["counts"] = (np.arange(length) == np.array([at for *_, at in members])[:, None]).astype(float)
    if given:
        arrays.update({f"{state}.start": before[state][steps[:, 0] - 1, rows] for state in network.states})
        arrays["begins"] = np.zeros(len(rows))
    feeds = {name: reference.storage_order(v, arrays[name]) for name, v in program.inputs.items() if name in arrays}
    outputs = model.engine.Run(program, {**model.parameters, **feeds}, model.dtype).outputs()
    return {state: np.linalg.norm(np.asarray(outputs[adjoints[state]], float), axis=-1) for state in network.states}


def _states(model, fed):
    """{state: its values (t, n, j)} of the forward pass."""
    program = model.program(*model.network.states, masked="mask" in fed.arrays)
    feeds = {name: reference.storage_order(v, fed.arrays[name]) for name, v in program.inputs.items() if name in fed.arrays}
    return model.engine.Run(program, {**model.parameters, **feeds}, model.dtype).outputs()


def _means(rows):
    rows = np.asarray(rows, float)
    return [float(np.nanmean(column)) if not np.isnan(column).all() else float("nan") for column in rows.T]


def _relative(curve):
    top = np.nanmax(curve)
    return [float(x / top) if top > 0 else 0.0 for x in curve]


def _summary(curve):
    """(the last lag at 1 % or more, does it end in what was measured, the factor per step)."""
    curve = np.asarray(curve, float)
    top = np.nanmax(curve)
    if not top > 0:
        return 0, False, 0.0
    strong = np.flatnonzero(curve >= FAINT * top)
    inside = np.flatnonzero(curve > 1e-12 * top)
    rate = float(np.exp(np.polyfit(inside, np.log(curve[inside]), 1)[0])) if len(inside) > 1 else 0.0
    return int(strong[-1]), bool(strong[-1] == len(curve) - 1), rate


# ------------------------------------------------------------------------------------------------------------ causes

def _causes(model, fed, lengths, seed):
    """Per recurrent layer: what one step back does to the signal, and the numbers behind it."""
    network, system = model.network, model.network.system(target=fed.how["target"])
    blocks = _jacobians(model, fed, lengths, seed)
    slopes = _slopes(model, fed, system)
    found = []
    for layer in dict.fromkeys(system[state].layer for state in network.states):
        matrices = {p.name: _radius(model.parameters[p.name])
                    for p in network.parameters if p.layer == layer and p.kind == "recurrent"}
        found.append({"layer": layer, **blocks.get(layer, {}), "slopes": slopes.get(layer, {}), "matrices": matrices})
    return found


def _radius(matrix):
    """The spectral radius of a square matrix."""
    matrix = np.asarray(matrix, float)
    return float(np.abs(np.linalg.eigvals(matrix)).max()) if matrix.ndim == 2 and len(matrix) == len(matrix.T) else None


def _jacobians(model, fed, lengths, seed):
    """{layer: mean spectral radius and norm of ∂h_t/∂h_{t−1}} at a few steps of the data, by the complex step."""
    network = model.network
    if network.bidirectional:
        return {}
    system = network.system(given_state=True)
    program = lower(system, [f"{state}.end" for state in network.states])
    before = {state: np.asarray(a, float) for state, a in _states(model, fed).items()}
    widths = [before[state].shape[-1] for state in network.states]
    size, places = sum(widths), [(n, t) for n, length in enumerate(lengths) for t in range(1, int(length))]
    if size > WIDEST or not places:
        return {}
    places = [places[k] for k in order(seed, 1, len(places))[:POINTS]]
    layers = np.repeat([system[state].layer for state in network.states], widths)
    found = {}
    for n, t in places:
        start = np.concatenate([before[state][t - 1, n] for state in network.states])
        moved = start + 1e-20j * np.eye(size)                                # row k: unit k moved
        parts = np.split(moved, np.cumsum(widths)[:-1], axis=1)
        now = {name: np.repeat(fed.arrays[name][n:n + 1, t:t + 1], size, axis=0).swapaxes(0, 1)
               for name in ("x", "ids") if name in fed.arrays}
        feeds = {**now, **{f"{state}.start": part for state, part in zip(network.states, parts)}, "begins": np.zeros(size)}
        outputs = reference.Run(program, {**model.parameters, **feeds}, np.complex128).outputs()
        jacobian = np.concatenate([outputs[f"{state}.end"] for state in network.states], axis=1).imag / 1e-20
        for layer in dict.fromkeys(layers):
            own = jacobian[np.ix_(layers == layer, layers == layer)]
            found.setdefault(layer, []).append((_radius(own), float(np.linalg.norm(own, 2))))
    return {layer: {"radius": float(np.mean([r for r, _ in pairs])), "norm": float(np.mean([s for _, s in pairs]))}
            for layer, pairs in found.items()}


def _slopes(model, fed, system):
    """{layer: {pre-activation: mean |slope| of its function}} of the recurrent layers."""
    recurrent, found = {system[state].layer for state in model.network.states}, {}
    for equation in system:
        inner = getattr(equation.expression, "children", ())
        function = getattr(equation.expression, "function", None)
        if equation.layer in recurrent and function is not None and len(inner) == 1 and isinstance(inner[0], Ref) \
                and inner[0].name in system and system[inner[0].name].role == "pre_activation":
            found.setdefault(equation.layer, {})[inner[0].name] = function
    masked, slopes = "mask" in fed.arrays, {}
    for layer, functions in found.items():
        program = model.program(*functions, masked=masked)
        feeds = {name: reference.storage_order(v, fed.arrays[name]) for name, v in program.inputs.items() if name in fed.arrays}
        values = model.engine.Run(program, {**model.parameters, **feeds}, model.dtype).outputs()
        valid = np.asarray(fed.arrays["mask"]).T > 0 if masked else Ellipsis
        slopes[layer] = {z: float(np.abs(slope_of(function, [np.asarray(values[z], float)], 0))[valid].mean())
                         for z, function in functions.items()}
    return slopes


# ------------------------------------------------------------------------------------------------------------ truncation

def _truncations(model, fed, longest, seed):
    """(bias by truncation length, spread by continue probability) of the gradient on these sequences."""
    full = _flat(_truncated(model, fed, np.ones(_steps(fed))))
    size = float(np.linalg.norm(full))
    if not size > 0:
        return [], []
    bias = []
    for length in (k for k in LENGTHS if k < longest):
        t = np.arange(_steps(fed))
        cut = _flat(_truncated(model, fed, ((t % length > 0) | (t == 0)).astype(float)))
        both = float(np.linalg.norm(cut)) * size
        bias.append((length, float(np.linalg.norm(full - cut)) / size, float(full @ cut) / both if both else 0.0))
    spread = []
    for probability in PROBABILITIES if longest > 1 else ():
        off = [np.square(_flat(_truncated(model, fed, truncation_links(seed, 0, k, _steps(fed), probability))) - full).sum()
               for k in range(DRAWS)]
        spread.append((probability, float(np.sqrt(np.mean(off))) / size))
    return bias, spread


def _steps(fed):
    return next(a.shape[1] for name, a in fed.arrays.items() if name in ("x", "ids"))


def _truncated(model, fed, xi):
    return truncated_gradients(model, fed, xi=xi)


def _flat(gradients):
    return np.concatenate([np.asarray(g, float).ravel() for g in gradients.values()])


# ------------------------------------------------------------------------------------------------------------ advice

def _advice(network, found):
    """[(phrase of the table, values)], the gravest first."""
    advice = []
    simple = [layer for layer in network.layers if "rnn" in (layer.kind, getattr(getattr(layer, "layer", None), "kind", ""))]
    if found.rate > 1.02:
        advice.append(("horizon_explodes", found.rate))
    enough = next((length for length, share, _ in found.bias if share < FAINT), None)
    if enough is not None:
        advice.append(("horizon_length", enough, 100 * dict((k, s) for k, s, _ in found.bias)[enough]))
    elif found.bias:
        length, share, _ = found.bias[-1]
        advice.append(("horizon_full", length, 100 * share))
    if not found.beyond and found.reach < found.steps // 2:
        radii = [r for cause in found.causes for r in cause["matrices"].values() if r is not None]
        if simple:
            advice.append(("horizon_gates", found.reach, found.steps))
        if radii and min(radii) < 0.9:
            advice.append(("horizon_orthogonal", min(radii)))
    return advice
