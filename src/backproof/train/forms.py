"""How a model's programs are run over time: in one piece or in segments, with the adjoint of any reach.

Reads   a model (its network, programs, engine and dtype), the form of truncation, checked arrays.
Gives   the session that trains so, single runs, and truncated gradients on their own.
"""

import numpy as np

from ..engines.reference import storage_order
from ..errors import OptionError, ProgramError, ShapeError
from ..lower import lower
from . import lag, segments, stateful
from .links import Links
from .optimizers import update_alone, update_equations
from .segments import BUDGET, Segments, footprint, segment_length

__all__ = ["predicted", "run_of", "session_of", "truncated_gradients"]


def session_of(model, links, fed, optimizer, options, decay_biases, budget, lazy=True):
    """(function(parameters, state) -> session, the program of its updates)."""
    how, more = {**fed.how, **links.how}, (optimizer, options.clip_norm, options.clip_value, decay_biases)
    engine, dtype = model.engine, model.dtype
    if links.lag:
        update, windows = update_program(model, *more), lag_of(model, fed.how, links.length, budget, training=True)
        return (lambda parameters, state: lag.Session(update, windows, windows.begin, parameters, state)), update
    if links.stateful:                                                 # its runs replace whole tables
        ends = (f"{name}.end" for name in model.network.states)
        program = model._step_program(how, *more, lazy=False, outputs=("L", "J", "E", *ends))
        given = program, links.length, engine
        return (lambda parameters, state: stateful.Session(*given, parameters, state, dtype, model.threads)), program
    program = model._step_program(how, *more, lazy=lazy)
    length = length_of(model, program, fed, options.batch_size, budget, links)
    if length is None:
        return (lambda parameters, state: engine.Session(program, parameters, state, dtype, model.threads)), program
    program = model._step_program(how, *more, lazy=False)              # gradients of segments are summed as whole tables
    cut = Segments.of(program, length, engine, dtype, links.cut, model.threads)
    return (lambda parameters, state: segments.Session(program, cut, parameters, state)), program


def length_of(model, program, fed, rows, budget=BUDGET, links=Links({})):                          # noqa: B008 (frozen)
    """Steps of a segment where whole sequences would not keep to the budget (None: there is none); None where they do."""
    if budget is None or not model.network.sequence:
        return None
    multiple = links.length if links.cut else 1
    return segment_length(program, model.dtype.itemsize, min(rows, fed.n), steps_of(fed), budget, multiple, links.cut)


def steps_of(fed):
    return next(array.shape[1] for name, array in fed.arrays.items() if name in ("x", "ids"))


def run_of(model, program, fed, budget=BUDGET, cut=False, multiple=1, parameters=None, **scalars):
    """One Run of a program on all samples, in segments where the budget asks for it; what it gives has no steps."""
    parameters = model._arrays if parameters is None else parameters
    try:
        length = length_of(model, program, fed, fed.n, budget, Links({}, length=multiple, cut=cut))
    except ProgramError:                                   # no chain over time: the whole runs, in what memory there is
        length = None
    if length is None:
        arrays = {name: storage_order(v, fed.arrays[name]) for name, v in program.inputs.items() if name in fed.arrays}
        return model.engine.Run(program, {**parameters, **arrays, **scalars}, model.dtype, model.threads)
    made = Segments.of(program, length, model.engine, model.dtype, cut, model.threads)
    session = segments.Session(program, made, parameters, {})
    rows = np.arange(fed.n)
    return session.one(fed.arrays, rows, scalars, rows, 0, 0)


def predicted(model, program, fed, budget=BUDGET):
    """(the last Run, the output activations in storage order): long sequences segment by segment, the states carried along."""
    network = model.network
    carries = network.sequence and network.output_per_step and network.states and not network.bidirectional and budget is not None
    needed = footprint(program, model.dtype.itemsize, N=fed.n, T=steps_of(fed)) if carries else 0
    if not carries or needed <= budget:
        run = run_of(model, program, fed, None if network.output_per_step else budget)
        return run, run.outputs()["prediction"]
    steps = steps_of(fed)
    length = max(1, int(steps * budget // needed))
    masked, parts, carried = "mask" in fed.arrays, [], {"begins": np.ones(fed.n)}
    names = ("prediction", *(f"{state}.end" for state in network.states))
    program = model.program(*names, given_state=True, **({"masked": True} if masked else {}))
    for name, value in program.inputs.items():
        if name.endswith(".start") and name not in fed.arrays:
            carried[name] = np.zeros([fed.n if i.kind == "sample" else i.extent for i in value.axes])
    for first in range(0, steps, length):
        window = {name: a[:, first:first + length] for name, a in fed.arrays.items() if name in ("x", "ids", "mask")}
        feeds = {name: storage_order(v, window[name]) for name, v in program.inputs.items() if name in window}
        run = model.engine.Run(program, {**model.parameters, **feeds, **carried}, model.dtype, model.threads)
        outputs = run.outputs()
        parts.append(outputs["prediction"])
        carried = {f"{state}.start": outputs[f"{state}.end"] for state in network.states}
        carried["begins"] = np.zeros(fed.n)
    return run, np.concatenate(parts)


def truncated_gradients(model, fed, length=None, reach=None, xi=None, budget=BUDGET):
    """{parameter: gradient} under one form of truncation; dropout off."""
    if (length is not None) + (reach is not None) + (xi is not None) != 1:
        raise OptionError("a truncated gradient has one form", fix="truncation_length, truncation_lag or xi")
    if xi is None:
        links = Links.of(model.network, length, None, fed, 0, lag=reach)
        if links.lag:
            return lag_of(model, fed.how, links.length, budget).gradients(model.parameters, fed.arrays)[0]
        scalars = {"xi": links.draw(0, 0)} if links.draw else {}
    else:
        if np.shape(xi) != (steps_of(fed),):
            raise ShapeError(f"xi has shape {np.shape(xi)}; there are {steps_of(fed)} steps", fix="one factor per link t − 1 → t")
        links, scalars = Links({"truncated": True}), {"xi": np.asarray(xi, np.float64)}
    program = model.program("J", gradients=True, **fed.how, **links.how)
    return run_of(model, program, fed, budget, links.cut, links.length or 1, **scalars).gradients()


def lag_of(model, how, length, budget=BUDGET, training=False):
    """The gradient whose losses reach back exactly ``length`` steps."""
    how = {"target": how["target"], "weighted": True, "scaled_penalty": True, "training": training,
           "counted": model.network.output_per_step}
    names = model.network.states
    return lag.Lag(model.program("L", "J", gradients=True, **how), model.program("L", "J", gradients=True, given_state=True, **how),
                   model.program(*names, training=training), names, length, model.engine, model.dtype, budget,
                   model.threads, model.network.penalty_unit)


def update_program(model, optimizer, clip_norm, clip_value, decay_biases):
    """The update alone, the gradients its inputs."""
    parameters = [p for p in model.network.parameters if not p.frozen]
    system, gradients = update_alone(parameters)
    system, replaces = update_equations(system, gradients, parameters, optimizer, clip_norm=clip_norm, clip_value=clip_value,
                                        decay_biases=decay_biases)
    return lower(system, ["L", "J"], updates=replaces, gradients=gradients, kernels=model.engine.kernels)
