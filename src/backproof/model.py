"""Model: a network with numbers in it. The door to running, training, differentiating and saving.

Reads   a Network, arrays sample-first.
Gives   predictions, losses, gradients by parameter name, error signals per sample, a trained model, a model file.
"""

import json
from dataclasses import replace
from functools import wraps
from threading import Lock
from types import MappingProxyType
from zlib import crc32

import numpy as np

from .calculus import SAMPLE, equal, total
from .data.arrays import feature_names
from .data.corruption import Corruption
from .data.door import corruption, feeds
from .data.sequences import unpad
from .engines import choose, reference
from .engines.generator import initial_values
from .engines.reference import storage_order
from .engines.threads import at_work, checked
from .errors import DataError, DtypeError, EngineError, ModelFileError, NonFiniteError, OptionError, ShapeError
from .lower import lower, programs
from .network import Network
from .train import OPTIMIZERS, History, Options, train
from .train.files import load_tensors, save_tensors
from .train.lbfgs import Trail, minimise
from .train.checkpoints import identity
from .train.forms import predicted, run_of, session_of, truncated_gradients
from .train.links import Links
from .train.loop import Cancelled, Progress, check_number, new_progress
from .train.optimizers import Optimizer, update_equations
from .train.segments import BUDGET
from .train.stopping import Patience

__all__ = ["Model"]

FORMAT = "backproof-model/1"
CHUNK = 4096                    # samples that are predicted at once: memory stays bounded
UNPENALISED = frozenset({"prediction", "E", "L"})       # in these equations no penalty has a part
MEAN_OF = 16_384                # samples whose loss is taken at once; a loss over more is the mean over such parts


def _one_at_a_time(method):
    """Two fits of one model at once would mix their parameters: the second is refused, and so is one from within a callback."""
    @wraps(method)
    def alone(self, *args, **kwargs):
        if not self._alone.acquire(blocking=False):
            raise EngineError("this model is training already", fix="wait for the other fit, or give every thread a model of its own: "
                              "network.build(seed=…)", state="the other fit goes on")
        try:
            with at_work():
                return method(self, *args, **kwargs)
        finally:
            self._alone.release()
    return alone


class Model:
    """A network with parameters, an engine and a dtype.

    Made by ``network.build(seed=0)``; ``parameters`` are read-only views by name.

    >>> import numpy as np
    >>> from backproof import Network
    >>> model = Network("2 | 3 tanh | 1", loss="squared_error").build(seed=0, dtype="float64")
    >>> X, y = np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([1.0, 0.0])
    >>> sorted(model.gradients(X, y))
    ['W1', 'W2', 'b1', 'b2']
    >>> model.deltas(X, y)["delta1"].shape
    (2, 3)
    """

    def __init__(self, network, *, seed=0, engine=None, dtype="float32", threads=None, parameters=None, initial=None):
        self.network, self.seed, self.threads = network, _seed(seed), checked(threads)
        self._alone = Lock()                # held while it trains
        self._under_way = None              # (progress, session) of the fit that is under way
        try:
            self.dtype = np.dtype(dtype)
        except TypeError:
            self.dtype = None
        if self.dtype not in (np.float32, np.float64):
            raise DtypeError(f"dtype={dtype!r} is not supported", fix="float32 or float64")
        self.engine = choose(engine)
        self.history = History()
        self.feature_names = None           # the columns of a table given to fit, in order
        self.health = None                  # measures of the last fit that had a Health among its callbacks
        self.extra = {}                     # what travels in the model file beside the network: text by key
        self._programs, self._training = {}, None
        self._arrays, self._answers = {}, (None, None)
        if parameters is None:
            initial = dict(initial or {})
            drawn = {p.name: initial_values(p.initial, p.shape, self.seed, k)
                     for k, p in enumerate(network.parameters) if p.name not in initial}
            parameters = {**drawn, **initial}
        self.set_parameters(**parameters)

    # ------------------------------------------------------------------------------------------ parameters

    @property
    def parameters(self):
        """{name: array}, read-only views; ``set_parameters`` replaces."""
        views = {}
        for name, array in self._arrays.items():
            views[name] = array.view()
            views[name].flags.writeable = False
        return MappingProxyType(views)

    def set_parameters(self, **arrays):
        """Replace parameters by name; all of them the first time. Shapes must fit, values be finite."""
        known = {p.name: p for p in self.network.parameters}
        for name in arrays:
            if name not in known:
                raise OptionError(f"there is no parameter {name!r}", fix=f"one of {', '.join(known)}")
        checked = {}
        for name, array in arrays.items():
            array = np.array(array, self.dtype)
            if array.shape != known[name].shape:
                raise ShapeError(f"{name} has shape {array.shape}, the network's is {known[name].shape}",
                                 where=f"{name}[{', '.join(i.name for i in known[name].axes)}]")
            if not np.isfinite(array).all():
                raise DataError(f"{name} has {np.count_nonzero(~np.isfinite(array))} values that are not finite")
            array.flags.writeable = False                              # so that engines need not read it again
            checked[name] = array
        self._arrays = {name: checked.get(name, self._arrays.get(name)) for name in known}
        missing = [name for name, array in self._arrays.items() if array is None]
        if missing:
            raise OptionError(f"the parameters {', '.join(missing)} are missing")
        return self

    # ------------------------------------------------------------------------------------------ programs

    def program(self, *outputs, derived=False, gradients=False, wrt=(), **how):
        """The lowered program for named equations; derived once for all networks of one description, and kept.

        Raises   DerivationError or ProgramError for names that the system does not have.
        """
        swept = bool(derived or gradients or wrt)

        def make():
            if not swept:
                return lower(self.network.system(**how), outputs, kernels=self.engine.kernels)
            sweep = self.network.gradient_system(**how, wrt=wrt or None)
            names = [p.name for p in self.network.parameters] if gradients else []
            named = [name if name in sweep.system else sweep.adjoints.get(name, name) for name in outputs]
            return lower(sweep.system, named, kernels=self.engine.kernels, gradients={name: sweep.adjoints[name] for name in names})
        return self._kept((outputs, derived, gradients, wrt, tuple(sorted(how.items()))), make,
                          penalised=swept or not UNPENALISED.issuperset(outputs), scaled_penalty=how.get("scaled_penalty", False))

    def _kept(self, key, make, share=True, **how):
        """This model's program of a key, made by the first network of this description that wants it."""
        if key not in self._programs:
            fingerprint = self.network.fingerprint(**how) if share else None
            self._programs[key] = programs.of(fingerprint and (fingerprint, self.engine.kernels, key), make)
        return self._programs[key]

    def _run(self, program, feeds):
        return self.engine.Run(program, {**self._arrays, **feeds}, self.dtype, self.threads)

    # ------------------------------------------------------------------------------------------ data at the door

    def _feeds(self, X, y=None, sample_weight=None):
        if isinstance(X, Corruption):
            X = corruption(self.network, self.dtype, X).pairs(self.seed)
        return feeds(self.network, self.dtype, X, y, sample_weight, self.feature_names)

    @staticmethod
    def _store(program, data):
        return {name: storage_order(value, data[name]) for name, value in program.inputs.items() if name in data}

    # ------------------------------------------------------------------------------------------ running

    def predict(self, X):
        """The output activations.

        Shapes   X (n,i) or (n,t,i); returns (n,k), or (n,t,k) where the network has an output per step.
        Raises   DataError on unusable input, NonFiniteError naming the first tensor that overflowed.
        """
        if (quick := self._answer(X)) is not None:
            return quick
        fed = self._feeds(X)
        program = self.program("prediction", **fed.how)
        parts = []
        for start in range(0, fed.n, CHUNK):
            chunk = replace(fed, arrays={name: array[start:start + CHUNK] for name, array in fed.arrays.items()},
                            n=min(CHUNK, fed.n - start))
            run, values = predicted(self, program, chunk)
            part = _sample_first(program.outputs["prediction"].labels, values)
            if not np.isfinite(part).all():
                raise self._not_finite(run, "prediction", start)
            parts.append(part)
        values = parts[0] if len(parts) == 1 else np.concatenate(parts)
        return unpad(values, fed.lengths) if fed.lengths is not None and self.network.output_per_step else values

    def _answer(self, X):
        """The prediction of a few rows that are as the engine wants them, or None: the long way does it, or says what is wrong."""
        if type(X) is not np.ndarray or X.dtype != self.dtype or X.ndim != 2:
            return None
        arrays, answers = self._answers
        if arrays is not self._arrays:
            arrays, kind = self._arrays, getattr(self.engine, "Answers", None)
            answers = kind and kind.of(self.program("prediction"), arrays, self.dtype, self.threads)
            self._answers = arrays, answers
        return answers and answers(X)

    def lent(self, *names):
        """These parameters themselves, to write into: until the next fit engines read them anew every time."""
        self._arrays = dict(self._arrays)
        for name in names:
            self._arrays[name].flags.writeable = True
        return [self._arrays[name] for name in names]

    def loss(self, X, y, sample_weight=None):
        """The data term L = (1/N) Σ w_n E_n."""
        return self._scalar("L", X, y, sample_weight)

    def objective(self, X, y, sample_weight=None):
        """The data term with the penalties, J = L + Ω."""
        return self._scalar("J", X, y, sample_weight)

    def sample_losses(self, X, y):
        """E_n of every sample, unweighted; shape (n,)."""
        fed = self._feeds(X, y)
        program = self.program("E", **fed.how)
        return self._run(program, self._store(program, fed.arrays)).outputs()["E"]

    def _scalar(self, name, X, y, sample_weight):
        value, run, start = self._mean(name, self._feeds(X, y, sample_weight), self._arrays)
        if not np.isfinite(value):
            raise self._not_finite(run, name, start)
        return value

    def _mean(self, name, fed, parameters=None):
        """(L or J over all samples, the last run, its first row); in parts of MEAN_OF samples, so that the memory stays bounded."""
        program, total = self.program(name, **fed.how), 0.0
        for start in range(0, fed.n, MEAN_OF):
            part = {key: array[start:start + MEAN_OF] for key, array in fed.arrays.items()}
            run = run_of(self, program, replace(fed, arrays=part, n=min(MEAN_OF, fed.n - start)), parameters=parameters)
            value = float(run.outputs()[name])
            if fed.n <= MEAN_OF or not np.isfinite(value):
                return value, run, start
            total += value * min(MEAN_OF, fed.n - start)
        return total / fed.n, run, start

    def gradients(self, X, y, sample_weight=None):
        """∂J/∂θ by parameter name, J the objective; dropout off."""
        return self.objective_and_gradients(X, y, sample_weight)[1]

    def objective_and_gradients(self, X, y, sample_weight=None):
        """(J, {parameter: ∂J/∂θ}) from one run."""
        fed = self._feeds(X, y, sample_weight)
        run = run_of(self, self.program("J", gradients=True, **fed.how), fed)
        gradients = run.gradients()
        value = float(run.outputs()["J"])
        if not (np.isfinite(value) and all(np.isfinite(g).all() for g in gradients.values())):
            raise self._not_finite(run, "J")
        return value, gradients

    def truncated_gradients(self, X, y, sample_weight=None, *, truncation_length=None, truncation_lag=None, xi=None,
                            memory_budget=BUDGET):
        """The gradients with a truncated adjoint, by parameter name: what ``fit`` steps along with the same option.

        Parameters  truncation_length  the adjoint is cut every so many steps
                    truncation_lag     the loss of every step reaches back exactly so many steps
                    xi                 the factors ξ_t of the links t − 1 → t themselves, shape (t,)

        >>> import numpy as np
        >>> from backproof import Network
        >>> model = Network("1 | rnn 2 | 1").build(seed=0, dtype="float64")
        >>> X, y = np.ones((1, 5, 1)), np.zeros((1, 5, 1))
        >>> full, cut = model.gradients(X, y), model.truncated_gradients(X, y, truncation_length=1)
        >>> bool((full["W2"] == cut["W2"]).all()), bool((full["U1"] == cut["U1"]).any())
        (True, False)
        """
        fed = self._feeds(X, y, sample_weight)
        return truncated_gradients(self, fed, truncation_length, truncation_lag, xi, memory_budget)

    def objective_function(self, X, y, sample_weight=None):
        """J as a function of the parameters, {name: array} -> J, by the reference engine in their dtype (complex ones too).

        It is what a gradient check differentiates: the program of the objective alone, in float64 or wider.
        """
        fed = feeds(self.network, np.dtype(np.float64), X, y, sample_weight, self.feature_names)
        program = lower(self.network.system(**fed.how), ["J"])
        stored = self._store(program, fed.arrays)

        def objective(theta):
            dtype = np.result_type(np.float64, *theta.values())
            return reference.Run(program, {**self._arrays, **stored, **theta}, dtype).outputs()["J"].reshape(())
        return objective

    def deltas(self, X, y, sample_weight=None):
        """The error signals δ = ∂E_n/∂z per sample, by name: "delta1", "delta2", …; shapes (n,j) or (n,t,j)."""
        fed = self._feeds(X, y, sample_weight)
        sweep = self.network.gradient_system(**fed.how)
        names = {sweep.adjoints[e.name]: e.name for e in sweep.system if e.role == "pre_activation" and e.name in sweep.adjoints}
        program = self.program(*names, derived=True, **fed.how)
        values = self._run(program, self._store(program, fed.arrays)).outputs()
        return {name: _sample_first(program.outputs[name].labels, values[name]) for name in names}

    def input_gradients(self, X, y, sample_weight=None):
        """∂E_n/∂x per sample, in the shape of X."""
        fed = self._feeds(X, y, sample_weight)
        if self.network.vocabulary is not None:
            raise DataError("token numbers have no gradient", fix="ask for the embedding's: model.gradients(X, y)")
        program = self.program("x", wrt=("x",), **fed.how)
        (public, operand), = program.outputs.items()
        return _sample_first(operand.labels, self._run(program, self._store(program, fed.arrays)).outputs()[public])

    def values(self, X, y, *names, sample_weight=None):
        """Any named equations of the forward pass, adjoints or gradients as arrays, sample-first."""
        fed = self._feeds(X, y, sample_weight)
        program = self.program(*names, derived=True, **fed.how)
        found = self._run(program, self._store(program, fed.arrays)).outputs()
        return {name: _sample_first(program.outputs[name].labels, found[name]) for name in program.outputs}

    def trace(self, X, y=None, sample_weight=None, truncation_length=None, **about):
        """Every number of a run on these samples, for reading and for the page: a Trace (.values, .to_html(path)).

        ``truncation_length``: the adjoint is cut every so many steps, as ``fit`` does with the same option.
        ``about``: feature_names, class_names, learning_rate (of the update that the page shows), title, rows.
        """
        from .show.trace import NEWEST, Recording, Snapshot, Trace      # typesetting loads only when asked for
        recording = Recording(self, X, y, sample_weight, truncation_length)
        snapshot = Snapshot(self.history.records[-1]["epoch"] + 1 if self.history.records else NEWEST, recording(self._arrays))
        return Trace.of(recording, [snapshot], **{"feature_names": self.feature_names, **about})

    def horizon(self, X, y, sample_weight=None, seed=0):
        """How far back in time the error signal reaches on these sequences, why, and what a truncation would cut off: a Horizon.

        >>> import numpy as np
        >>> from backproof import Network
        >>> model = Network("1 | rnn 3 | 1").build(seed=0, dtype="float64")
        >>> found = model.horizon(np.ones((2, 30, 1)), np.zeros((2, 30, 1)))
        >>> found.steps, len(found.curve), [length for length, share, cosine in found.bias][:3]
        (30, 30, [1, 2, 3])
        """
        from .show.horizon import measure_horizon      # typesetting loads only when asked for
        return measure_horizon(self, X, y, sample_weight, seed)

    def report(self, X, y=None, **about):
        """What training came to: curves, errors, the health of the error signal with causes and mends: a Report.

        With a Health among the callbacks of ``fit`` the report shows every epoch, else these weights alone.
        """
        from .show.report import report
        return report(self, X, y, **about)

    def _not_finite(self, run, wanted, start=0):
        tensor = run.first_non_finite() or wanted
        layer = self._layer_of().get(tensor)
        return NonFiniteError(f"{wanted} is not finite: {tensor} overflowed" + (f" (layer {layer})" if layer else ""),
                              where=f"among the samples from row {start}", layer=layer, tensor=tensor,
                              fix="scale the inputs, or train with a lower learning rate",
                              state="the parameters are unchanged")

    def _layer_of(self):
        return _Layers(self.network)

    # ------------------------------------------------------------------------------------------ training

    def fit(self, X, y=None, *, epochs=10, batch_size=64, optimizer="adam", learning_rate=1e-3, validation=None, sample_weight=None,
            schedule="constant", warm_up=0, patience=None, improvement=0.0, shuffle=True, clip_norm=None, clip_value=None,
            decay_biases=False, truncation_length=None, continue_probability=None, stateful=False, truncation_lag=None,
            memory_budget=BUDGET, bucketing=False, callbacks=(), continued=False, checkpoints=None, lazy=True):
        """Train on (X, y) and return the model; ``history`` holds the record.

        Parameters  X              samples, or for a pairwise loss pairs (n, 2, …), or a Corruption that draws them anew each epoch
                    optimizer      name, or an Optimizer with options: OPTIMIZERS["adam"](beta1=0.8); "lbfgs" for full batches
                    validation     (Xv, yv): its loss is recorded, and with ``patience`` the best epoch's weights are kept
                    schedule       constant, step, cosine, one_cycle, inverse_scaling, plateau, or f(step, total)
                    truncation_length     the adjoint is cut every so many steps (recurrent networks); None: full
                    continue_probability  the adjoint passes each link with probability π, scaled by 1/π: unbiased
                    stateful       the state is carried from segment to segment of truncation_length steps, with an update for
                                   each; it begins anew with every sequence (a row of X) and every epoch
                    truncation_lag  the loss of every step reaches back exactly so many steps
                    memory_budget  bytes that a run of whole sequences may take; above, it goes in segments, forward from border to
                                   border and back again: full gradients keep every bit
                    bucketing      minibatches of sequences of near lengths, cut to their longest: other minibatches, same epoch
                    continued      go on with the optimizer's state and the count of epochs of the last fit
                    checkpoints    a Checkpoints folder that is written while training; what it holds is continued
                    lazy           a step updates the rows of tables of vectors that it looks up; all others keep value and
                                   optimizer state, and count in the objective of no step. False: every row in every step
                    callbacks      functions(record), called after every epoch: a true result ends the run; or Recorder, Health
        Raises      NonFiniteError in the step where something is not finite (that step is not applied); OptionError,
                    DataError before anything is computed. KeyboardInterrupt leaves the last complete step.
        """
        if not continued:
            self.feature_names = feature_names(X)
        for callback in callbacks:
            if hasattr(callback, "begin"):
                callback.begin(self, X, y)
        options = Options(epochs, batch_size, learning_rate, schedule, warm_up, patience, improvement, shuffle, clip_norm, clip_value,
                          bool(bucketing))
        if bucketing and (not self.network.sequence or optimizer == "lbfgs"):
            raise OptionError("bucketing sorts minibatches by the length of their sequences, and here are "
                              f"{'no minibatches' if self.network.sequence else 'no sequences'}", fix="bucketing=False")
        fed = self._feeds(X, y, sample_weight)
        check_number("memory_budget", memory_budget, 0, open_low=True)
        links = Links.of(self.network, truncation_length, continue_probability, fed, self.seed, stateful, truncation_lag)
        validate = self._validation(validation)
        rows = np.flatnonzero(fed.arrays["w"] > 0) if "w" in fed.arrays else fed.rows
        sampled, about = None, (truncation_length, continue_probability)
        if isinstance(X, Corruption):
            drawn = corruption(self.network, self.dtype, X)
            name, = (name for name in fed.arrays if name in ("x", "ids"))
            sampled = lambda epoch: {name: drawn.pairs(self.seed, epoch)}                                       # noqa: E731
            about = (*about, crc32(np.ascontiguousarray(drawn.corrupt)))
        if optimizer == "lbfgs":
            if sampled:
                raise OptionError("lbfgs needs the same objective at every call, and a Corruption draws pairs anew",
                                  fix=f"fit(X.pairs(seed={self.seed})), or optimizer='adam'")
            if links.how or links.length is not None:
                raise OptionError("lbfgs needs the gradient of its objective, and a truncated one is not",
                                  fix="optimizer='adam', or full gradients")
            return self._fit_lbfgs(fed, options, validate, callbacks, continued, checkpoints)
        about = about if lazy else (*about, "whole tables")
        if "w" in fed.arrays:
            fed.arrays["w"] = (fed.arrays["w"] * (len(rows) / fed.n)).astype(self.dtype)     # mean 1 over the rows that are there
        return self.train(fed, _optimizer(optimizer), options, rows=rows, validate=validate, callbacks=callbacks, links=links,
                          about=(*about, *links.about(memory_budget)), memory_budget=memory_budget,
                          continued=continued, decay_biases=decay_biases, checkpoints=checkpoints, sampled=sampled, lazy=lazy)

    @_one_at_a_time
    def train(self, fed, optimizer, options, *, rows=None, validate=None, callbacks=(), continued=False, decay_biases=False,
              links=None, about=(), stopping=None, more_scalars=None, checkpoints=None, memory_budget=BUDGET,
              sampled=None, lazy=True):
        """Train on arrays that are checked already: ``fit`` is its door, and the estimators have doors of their own.

        Parameters  fed          .arrays {input: array, sample-first}, .how (options of ``Network.system``), .n
                    checkpoints  a Checkpoints folder: a run that it holds is continued, bit for bit
        """
        links = Links({}) if links is None else links
        make, program = session_of(self, links, fed, optimizer, options, decay_biases, memory_budget, lazy)
        signature = optimizer.name, tuple(sorted(optimizer.options.items()))
        state, start = {name: np.zeros([i.extent for i in v.axes], self.dtype) for name, v in program.state.items()}, (0, 0)
        progress = None
        if continued:
            if self._training is None or self._training[0] != signature:
                raise OptionError("there is no run of this optimizer to continue", fix="fit once with continued=False")
            _, state, start = self._training
        else:
            self.history = History()
        if stopping is None:
            stopping = Patience("validation_loss" if validate is not None else "loss", options.patience, options.improvement,
                                options.schedule == "plateau")
        if checkpoints is not None:
            checkpoints.begin(identity(self, fed.arrays, rows, options, (*signature, *about)))
            found = checkpoints.newest()
            if found is not None:
                self._arrays, state, progress = found.parameters, found.state, found.progress
                self.history = found.history
                stopping.restore(found.stopping)
        session = make(self._arrays, state)
        if progress is None:
            progress = new_progress(start, fed.n if rows is None else len(rows), options)
        self._under_way = progress, session
        try:
            train(session, fed.arrays, fed.n, optimizer, options, seed=self.seed, history=self.history, validate=validate,
                  callbacks=callbacks, layer_of=self._layer_of(), rows=rows, links=links.draw,
                  stopping=stopping, more_scalars=more_scalars, checkpoints=checkpoints, progress=progress,
                  updates=links.updates(fed) if links.stateful else None, sampled=sampled)
        except (KeyboardInterrupt, Cancelled) as ended:
            if checkpoints is not None:
                checkpoints.last_words(progress, session, self.history, stopping)
            if not isinstance(ended, Cancelled):
                raise
            self.history.stopped = f"cancelled after step {progress.steps}"
        finally:
            self._under_way = None
            self._arrays = {name: np.asarray(array) for name, array in session.parameters.items()}
            for array in self._arrays.values():
                array.flags.writeable = False
            self._training = signature, session.state, (progress.epoch, progress.steps)
        return self

    def cancel(self):
        """Ask the fit of this model that is under way, in another thread or above a callback, to end; was there one?

        It ends within 200 ms after the step at hand and returns as usual: the parameters are those of the last complete step,
        ``history.stopped`` says where it ended, a checkpoint is written where there are any. Python answers Ctrl-C in the main
        thread alone; this is how to end a fit that runs in another one.
        """
        under_way = self._under_way
        if under_way is None:
            return False
        progress, session = under_way
        progress.cancel()
        if hasattr(session, "cancel"):
            session.cancel()
        return True

    def _validation(self, validation):
        if validation is None:
            return None
        if not isinstance(validation, (tuple, list)) or len(validation) not in (2, 3):
            raise OptionError("validation is not a pair (X, y)", fix="validation=(X_validation, y_validation)")
        fed = self._feeds(*validation)
        return lambda parameters: self._mean("L", fed, parameters)[0]

    def _step_program(self, how, optimizer, clip_norm, clip_value, decay_biases, lazy=True, outputs=("L", "J")):
        def make():
            sweep = self.network.gradient_system(training=True, **how)
            parameters = self.network.described(training=True, **how).parameters
            gradients = {p.name: sweep.adjoints[p.name] for p in parameters if not p.frozen}
            if not gradients:
                raise OptionError("every layer is frozen, so there is nothing to learn", fix="leave frozen out of one of them")
            system, replaces = update_equations(sweep.system, gradients, parameters, optimizer,
                                                clip_norm=clip_norm, clip_value=clip_value, decay_biases=decay_biases, lazy=lazy)
            wanted = list(outputs)
            if self.network.pairs:
                system.define("idle", total(equal(system.ref("E"), 0), over=SAMPLE), role="measure")
                wanted.append("idle")
            return lower(system, wanted, updates=replaces, gradients=gradients, kernels=self.engine.kernels)
        key = "step", tuple(sorted(how.items())), optimizer.key, clip_norm, clip_value, decay_biases, lazy, outputs
        return self._kept(key, make, share=optimizer.built_in, scaled_penalty=how.get("scaled_penalty", False))

    @_one_at_a_time
    def _fit_lbfgs(self, fed, options, validate, callbacks, continued, checkpoints=None, **limits):
        if self.network.noises:
            raise OptionError("lbfgs needs the same objective at every call, and this network has dropout",
                              fix="optimizer='adam', or a network without dropout")
        program = self.program("J", gradients=True, **fed.how)
        stored = self._store(program, fed.arrays)

        def objective(parameters):
            if progress.cancelled:
                raise Cancelled
            run = self.engine.Run(program, {**stored, **parameters}, self.dtype, self.threads)
            return float(run.outputs()["J"]), run.gradients()
        self.history = self.history if continued else History()
        trail, stopping = Trail(checkpoints is not None), Patience()
        fixed = {p.name: self._arrays[p.name] for p in self.network.parameters if p.frozen}
        start = {name: array for name, array in self._arrays.items() if name not in fixed}
        progress = Progress(end=options.epochs, total=options.epochs)
        if checkpoints is not None:
            first = np.concatenate([np.ravel(array) for array in start.values()])
            checkpoints.begin(identity(self, {**fed.arrays, "start": first}, None, options, ("lbfgs", tuple(sorted(limits.items())))))
            found = checkpoints.newest()
            if found is not None:
                trail = Trail(True, values=found.state["values"].tolist(), gradients=found.state["gradients"],
                              iterations=int(found.state["iterations"][0]))
                self.history = found.history

        def look(last_words=False):
            progress.epoch = progress.step = trail.iterations
            if checkpoints is not None:
                (checkpoints.last_words if last_words else checkpoints.look)(progress, trail, self.history, stopping)
        self._under_way = progress, None
        try:
            minimise(objective, start, fixed=fixed, iterations=options.epochs, history=self.history, validate=validate, callbacks=callbacks,
                     trail=trail, look=look, **limits)
        except (KeyboardInterrupt, Cancelled) as ended:
            if trail.values:
                look(last_words=True)
            if not isinstance(ended, Cancelled):
                raise
            self.history.stopped = f"cancelled after iteration {trail.iterations}"
        finally:
            self._under_way = None
            if trail.latest is not None:
                self.set_parameters(**trail.parameters)
        return self

    # ------------------------------------------------------------------------------------------ files

    def save(self, path):
        """Write a model file: safetensors with the description of the network in its metadata; atomic."""
        description = {"format": FORMAT, "network": self.network.to_dict(), "dtype": self.dtype.name, "seed": self.seed,
                       "feature_names": self.feature_names}
        save_tensors(path, dict(self._arrays), {"backproof": json.dumps(description, sort_keys=True), **self.extra})
        return path

    @classmethod
    def load(cls, path, *, engine=None, threads=None, allow_nonfinite=False):
        """Read a model file; a corrupt, truncated, foreign or newer one is refused with the reason.

        >>> import tempfile, os
        >>> from backproof import Network
        >>> path = os.path.join(tempfile.mkdtemp(), "m.safetensors")
        >>> _ = Network("2 | 1").build(seed=3).save(path)
        >>> Model.load(path).network.spec
        '2 | 1'
        """
        tensors, metadata = load_tensors(path, allow_nonfinite=allow_nonfinite)
        if "backproof" not in metadata:
            raise ModelFileError("this safetensors file was not written by backproof", where=str(path),
                                 fix="load it with the library that wrote it")
        description = _description(metadata["backproof"], path)
        network = Network.from_dict(description["network"])
        shapes = {p.name: p.shape for p in network.parameters}
        if set(shapes) != set(tensors):
            odd = sorted(set(shapes) ^ set(tensors))
            raise ModelFileError(f"the file's tensors are not the network's: {', '.join(odd[:3])}", where=str(path))
        for name, shape in shapes.items():
            if tensors[name].shape != shape:
                raise ModelFileError(f"{name} has shape {tensors[name].shape}, the described network's is {shape}", where=str(path))
        model = cls(network, seed=description["seed"], engine=engine, dtype=description["dtype"], threads=threads, parameters=tensors)
        model.feature_names = description["feature_names"]
        model.extra = {key: value for key, value in metadata.items() if key != "backproof"}
        return model

    def __getstate__(self):
        """Plain data: the description of the network, arrays, text. (Opening any pickle runs code; model files do not.)"""
        return {"network": self.network.to_dict(), "parameters": dict(self._arrays), "dtype": self.dtype.name, "seed": self.seed,
                "engine": self.engine.name, "threads": self.threads, "feature_names": self.feature_names, "extra": self.extra,
                "history": self.history, "training": self._training}

    def __setstate__(self, state):
        self.__init__(Network.from_dict(state["network"]), seed=state["seed"], engine=state["engine"], dtype=state["dtype"],
                      threads=state["threads"], parameters=state["parameters"])
        self.history, self._training = state["history"], state["training"]
        self.feature_names, self.extra = state["feature_names"], state["extra"]

    def __repr__(self):
        return (f"Model({self.network.spec!r}, loss={self.network.loss.text()!r}, dtype={self.dtype.name}, "
                f"engine={self.engine.name}, {self.network.count} parameters)")


class _Layers:
    """The layer of a value by name, looked for when something failed; a part "z1.2" belongs to the layer of "z1"."""

    def __init__(self, network):
        self.network = network

    def get(self, name, default=None):
        layers = {equation.name: equation.layer for equation in self.network.gradient_system().system}
        while name not in layers and "." in name:
            name = name.rpartition(".")[0]
        return layers.get(name, default)


def _description(text, path):
    try:
        description = json.loads(text)
        known = description["format"] == FORMAT and isinstance(description["network"], dict) \
            and description["dtype"] in ("float32", "float64") and _seed(description["seed"]) is not None \
            and set(description) == {"format", "network", "dtype", "seed", "feature_names"} \
            and (description["feature_names"] is None or all(isinstance(name, str) for name in description["feature_names"]))
    except (ValueError, KeyError, TypeError, RecursionError, OptionError) as error:
        raise ModelFileError(f"the description of the network cannot be read: {error}", where=str(path)) from error
    if not known:
        raise ModelFileError(f"the file's format is {str(description['format'])[:60]!r}; this version reads {FORMAT!r}",
                             where=str(path), fix="update backproof")
    return description


def _sample_first(labels, array):
    kinds = [label.kind for label in labels]
    if "sample" in kinds:
        array = np.moveaxis(array, kinds.index("sample"), 0)
    return np.ascontiguousarray(array)


def _optimizer(given):
    if isinstance(given, Optimizer):
        return given
    if given not in OPTIMIZERS:
        raise OptionError(f"there is no optimizer {given!r}", fix=f"one of {', '.join([*OPTIMIZERS, 'lbfgs'])}")
    return OPTIMIZERS[given]


def _seed(seed):
    check_number("seed", seed, 0, whole=True, highest=1 << 64)
    return int(seed)
