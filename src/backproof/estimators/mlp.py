"""MLPClassifier and MLPRegressor: scikit-learn's estimators on backproof's networks.

Reads   X (dense, a table, or sparse), y in any form that scikit-learn takes, weights, a validation set of one's own.
Gives   fitted estimators with scikit-learn's attributes, and the network behind them: ``network_``, ``model_``, ``derive()``.

Both share `Perceptron`; a class says only what its targets are and how scores become answers.
"""

import warnings
from contextlib import contextmanager

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels
from sklearn.utils.validation import check_is_fitted, validate_data

from ..data.arrays import as_weights, feature_names, refuse_holes
from ..data.door import Feeds
from ..data.messages import listed, shown
from ..errors import DataError, OptionError
from ..model import CHUNK
from ..network import Network
from ..networks import SIMPLEX, Activation, Dense, Dropout, Layer, LayerNorm
from ..networks.activations import activation, range_of
from ..networks.losses import LOSSES, loss_of
from ..networks.spec import parse
from ..train import Options
from .parameters import Parameter, check_parameters, parameters
from .rules import Tolerance, optimizer_of, schedule_of
from .sparse import SparseRows

try:                                                 # scikit-learn 1.9 and later
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:
    CallbackSupportMixin, with_callbacks = object, None

__all__ = ["MLPClassifier", "MLPRegressor", "Perceptron"]

WORDS = {"identity": "linear", "logistic": "sigmoid"}            # scikit-learn's words for activations, and ours
THEIRS = {ours: theirs for theirs, ours in WORDS.items()}


def _managed(method):
    """Tear scikit-learn's callbacks down after a fit, where there are any."""
    return method if with_callbacks is None else with_callbacks(method)


def _stochastic(estimator):
    if estimator.solver == "lbfgs":
        raise AttributeError("partial_fit is only available for stochastic optimizers; lbfgs is not stochastic")
    return True


class Perceptron(CallbackSupportMixin, BaseEstimator):
    """What the estimators share: from checked data to a trained model and scikit-learn's attributes."""

    # ------------------------------------------------------------------------------------------ fitting

    @_managed
    def fit(self, X, y, sample_weight=None, eval_set=None, X_val=None, y_val=None):
        """Train. ``eval_set=(X, y)`` are validation rows of your own; with early_stopping they decide when to stop. X_val and
        y_val are another way to give them, so that a Pipeline can prepare them: Pipeline(..., transform_input=["X_val"]).

        Raises   ValueErrors for data and parameters that cannot be used, NonFiniteError at the step where training
                 diverges. KeyboardInterrupt leaves a fitted estimator with the last complete step.
        """
        if X_val is not None or y_val is not None:
            if eval_set is not None or X_val is None or y_val is None:
                raise OptionError("validation rows are given by eval_set=(X, y), or by X_val and y_val together",
                                  fix="give one of the two")
            eval_set = X_val, y_val
        return self._fit(X, y, sample_weight, eval_set)

    def _fit(self, X, y, sample_weight=None, eval_set=None, one_epoch=False, classes=None):
        check_parameters(self)
        if one_epoch and self.early_stopping:
            raise OptionError("partial_fit does not support early_stopping=True", fix="early_stopping=False")
        again = hasattr(self, "model_") and (one_epoch or self.warm_start)
        X, y = self._checked(X, y, reset=not again)
        targets = self._learn_targets(y, again, classes)
        weights = self._weights(sample_weight, y, len(targets))
        if weights is not None and not weights.all():
            kept = np.flatnonzero(weights)
            X, targets, weights, y = X[kept], targets[kept], weights[kept], y[kept]
        if classes is None and not again:
            self._refuse_poor(y)
        rows = np.arange(len(targets))
        rng = check_random_state(self.random_state if not isinstance(self.random_state, (int, np.integer))
                                 else int(self.random_state) % 2**32)
        if again:
            self._same_architecture()
        else:
            total = float(len(rows) if weights is None else weights.sum())
            self._build(X, self._outputs(targets), total, rng)
        held = self._own_rows(eval_set)
        if self.early_stopping and held is None and self.solver != "lbfgs":
            rows, held = self._split(X, targets, weights, rng)
        with self._reported(X, y) as report:
            self._run(X, targets, weights, rows, held, again, one_epoch, report)
        return self

    def _checked(self, X, y, reset):
        names, masked = feature_names(X), X if isinstance(X, np.ma.MaskedArray) else None
        if y is not None and not hasattr(y, "tocsr"):
            refuse_holes(np.asanyarray(y), "y")
        X, y = validate_data(self, X, y, accept_sparse="csr", multi_output=True, y_numeric=not is_classifier(self),
                             dtype=(np.float64, np.float32), ensure_all_finite=False, reset=reset)
        refuse_holes(X if masked is None else masked, "X", names)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        return X, y

    def _weights(self, sample_weight, y, n):
        if sample_weight is None and getattr(self, "class_weight", None) is None:
            return None
        if sample_weight is None:
            weights = np.ones(n)
        else:
            as_weights(sample_weight, n)                                    # says what is wrong with them
            weights = np.array(sample_weight, np.float64)
        if getattr(self, "class_weight", None) is not None:
            weights = weights * compute_sample_weight(self.class_weight, y)
        return weights

    def _own_rows(self, eval_set):
        """(X, targets, weights) of a validation set of the user's own."""
        if eval_set is None:
            return None
        if isinstance(eval_set, list) and len(eval_set) == 1:
            eval_set = eval_set[0]
        if not isinstance(eval_set, (tuple, list)) or len(eval_set) not in (2, 3):
            raise OptionError("eval_set is not a pair (X, y)", fix="eval_set=(X_validation, y_validation)")
        X, y = self._checked(*eval_set[:2], reset=False)
        return X, self._encode(y), np.asarray(eval_set[2], np.float64) if len(eval_set) == 3 else None

    def _split(self, X, targets, weights, rng):
        """(training rows, (X, targets, weights) set aside)."""
        n = len(targets)
        apart = round(self.validation_fraction * n)
        labels = self._strata(targets)
        if np.ceil(self.validation_fraction * n) < 2:
            raise DataError(f"the validation set is too small: {apart} of {n} rows",
                            fix="increase validation_fraction or the size of the dataset, or give eval_set=(X, y)")
        if labels is not None:
            counts = np.bincount(labels)
            if counts[counts > 0].min() < 2:
                raise DataError(f"class {shown(str(self.classes_[int(np.flatnonzero(counts == 1)[0])]))} has one row: training "
                                "and validation cannot both have it", fix="give eval_set=(X, y), or leave early_stopping out")
        from sklearn.model_selection import train_test_split          # loads where rows are set aside: most fits need it not
        train, held = train_test_split(np.arange(n), test_size=self.validation_fraction, stratify=labels, random_state=rng)
        return np.sort(train), (X[held], targets[held], None if weights is None else weights[held])

    # ------------------------------------------------------------------------------------------ the network

    def _build(self, X, outputs, total, rng):
        """A network for the data, with scikit-learn's attributes of a new fit."""
        loss = self._loss()
        out = self._output_word(loss, outputs)
        units = max(2, outputs) if range_of(out) == SIMPLEX or "class" in loss.targets and is_classifier(self) else outputs
        features = self.n_features_in_
        layers = [*self._hidden(features), Dense(units, out)]
        layers = [self._started(layer, fan_in) for layer, fan_in in _with_inputs(layers, features)]
        penalty = self.l2 if self.l2 is not None else self.alpha / total
        network = Network(layers, inputs=features, loss=loss, l2=float(penalty), initial=self.initial)
        seed = int(self.random_state) if isinstance(self.random_state, (int, np.integer)) else int(rng.randint(2**31 - 1))
        self.model_ = network.build(seed=seed, dtype=X.dtype.name, engine=self.engine, threads=self.threads)
        self._total, self._units = total, units
        self.n_outputs_, self.out_activation_ = outputs, THEIRS.get(out, out if isinstance(out, str) else out.name)
        self.n_layers_ = 1 + sum(isinstance(layer, Dense) for layer in layers)
        self.t_, self.n_iter_, self.loss_curve_ = 0, 0, []
        self.validation_scores_ = self.best_validation_score_ = None
        self._described = self._architecture()

    def _architecture(self):
        return {name: getattr(self, name) for name in ("hidden_layer_sizes", "activation", "layers", "dropout", "layer_norm",
                                                       "out_activation", "loss")}

    def _same_architecture(self):
        now = self._architecture()
        for name, value in self._described.items():
            if repr(now[name]) != repr(value):
                raise OptionError(f"{name} was {value!r} in the last fit and is {now[name]!r} now: there is nothing to go on from",
                                  fix="warm_start=False, or the old value")

    def _hidden(self, features):
        """The hidden layers, as `layers` or the sizes say."""
        if self.layers is not None:
            return parse(f"{features} | {self.layers}")[1] if isinstance(self.layers, str) and self.layers.strip() else \
                [] if isinstance(self.layers, str) else list(self.layers)
        sizes = _listed(self.hidden_layer_sizes)
        words, rates = _per_layer("activation", self.activation, len(sizes)), _per_layer("dropout", self.dropout, len(sizes))
        made = []
        for units, word, rate in zip(sizes, words, rates):
            word = WORDS.get(word, word) if isinstance(word, str) else word
            made += [Dense(int(units)), LayerNorm(), Activation(word)] if self.layer_norm else [Dense(int(units), word)]
            made += [Dropout(float(rate))] if rate else []
        return made

    def _started(self, layer, fan_in):
        """A dense layer with scikit-learn's limits for its initial values: uniform Glorot, for biases as well."""
        if self.initial is not None or not isinstance(layer, Dense) or layer.initial is not None or self.layers is not None:
            return layer
        limit = float(np.sqrt((2.0 if self.activation == "logistic" else 6.0) / (fan_in + layer.units)))
        return Dense(layer.units, layer.activation, layer.bias, initial=("uniform", -limit, limit), name=layer.name)

    def _output_word(self, loss, outputs):
        if self.out_activation is not None:
            given = self.out_activation
            return activation(WORDS.get(given, given) if isinstance(given, str) else given)
        if loss.takes == SIMPLEX:
            return "softmax"
        return {(0, 1): "sigmoid", (0, float("inf")): "exp"}.get(tuple(loss.takes), "linear")

    # ------------------------------------------------------------------------------------------ running

    def _run(self, X, targets, weights, rows, held, again, one_epoch, report):
        model, n = self.model_, len(rows)
        if weights is not None:
            scaled = np.zeros(len(weights), model.dtype)
            scaled[rows] = as_weights(weights[rows], n)                     # mean 1 over the rows that are trained on
        how, inputs = self._inputs(X)
        fed = Feeds({"target": self._form(), **how, **({"weighted": True} if weights is not None else {})},
                    {**inputs, "y": self._stored(targets), **({"w": scaled} if weights is not None else {})}, len(targets))
        watch = _Watch(self, held, report)
        try:
            if self.solver == "lbfgs":
                self._run_lbfgs(fed, rows, watch)
            else:
                self._run_steps(fed, rows, weights, watch, again, one_epoch)
        finally:
            self._record(watch.records, n)
        if self.verbose and model.history.stopped and not one_epoch:
            print(f"{model.history.stopped} Stopping.")
        if self.n_iter_ == self.max_iter and not one_epoch and not model.history.stopped.startswith(("Training", "Validation")):
            warnings.warn(f"Maximum iterations ({self.max_iter}) reached and the optimization hasn't converged yet.",
                          ConvergenceWarning, stacklevel=4)

    def _inputs(self, X):
        """(options of the system that the samples need, {input: array}) for training."""
        return {}, {"x": SparseRows(X, X.dtype) if hasattr(X, "tocsr") else np.ascontiguousarray(X)}

    def _training(self, fed):
        """(further Options, further arguments of ``Model.train``)."""
        return {}, {}

    def _run_steps(self, fed, rows, weights, watch, again, one_epoch):
        model, n = self.model_, len(rows)
        batch_size = min(200 if self.batch_size == "auto" else self.batch_size, n)
        if self.batch_size != "auto" and self.batch_size > n:
            warnings.warn(f"batch_size={self.batch_size} is more than the {n} rows; all of them are one minibatch", stacklevel=5)
        optimizer = optimizer_of(self)
        continued = again and model._training is not None and model._training[0] == _signature(optimizer)
        start = model._training[2][1] if continued else 0
        more, arguments = self._training(fed)
        schedule = schedule_of(self, self.t_, n, max(1, -(-n // batch_size)), start)
        options = Options(1 if one_epoch else self.max_iter, batch_size, float(self.learning_rate_init), schedule, self.warm_up,
                          None, 0.0, self.shuffle, self.clip_norm, self.clip_value, **more)
        rule = Tolerance(self.tol, self.n_iter_no_change, score=self.early_stopping, plateau=schedule == "plateau",
                         adaptive=self.learning_rate == "adaptive" and self.solver == "sgd")
        scaled = self.l2 is None and self.alpha > 0
        fed.how.update({"scaled_penalty": True} if scaled else {})

        def penalty_scales(chosen):
            """One over the weight of each minibatch, in units of the network's penalty."""
            edges = np.arange(0, n, batch_size)
            sums = np.add.reduceat(weights[chosen], edges) if weights is not None else np.minimum(n - edges, batch_size)
            return {"penalty_scale": model.network.penalty_unit * self._total / sums}
        model.history.stopped = ""
        model.train(fed, optimizer, options, rows=rows, validate=watch.measured, callbacks=(watch,), continued=continued,
                    stopping=rule, more_scalars=penalty_scales if scaled else None, **arguments)

    def _run_lbfgs(self, fed, rows, watch):
        arrays = {name: array[rows] for name, array in fed.arrays.items()}
        self.model_._fit_lbfgs(Feeds(fed.how, arrays, len(rows)), Options(self.max_iter), watch.measured, (watch,), False,
                               tolerance=self.tol, decrease=2.220446e-09, corrections=10, calls=self.max_fun)
        if "CONVERGENCE" in self.model_.history.stopped:
            self.model_.history.stopped = f"Training converged: {self.model_.history.stopped}"

    def _record(self, records, n):
        """scikit-learn's attributes after a fit, complete or not."""
        self.n_iter_ = len(records)
        self.t_ += n * len(records)
        self.loss_curve_ = [*self.loss_curve_, *(record["objective"] for record in records)]
        if self.loss_curve_:
            self.loss_, self.best_loss_ = self.loss_curve_[-1], None if self.early_stopping else min(self.loss_curve_)
        scores = [record["validation_score"] for record in records if record.get("validation_score") is not None]
        if scores:
            self.validation_scores_ = [*(self.validation_scores_ or []), *scores]
            self.best_validation_score_ = max(self.validation_scores_)
        elif self.early_stopping and self.validation_scores_ is None:
            self.validation_scores_ = []

    @contextmanager
    def _reported(self, X, y):
        """A function of (record, parameters) that tells scikit-learn's callbacks of an epoch; true to stop."""
        if with_callbacks is None:
            yield lambda record, parameters: False
            return
        context = self._init_callback_context(max_subtasks=self.max_iter)
        context.call_on_fit_task_begin(estimator=self, X=X, y=y)

        def report(record, parameters):
            epoch = context.subcontext(task_name="epoch")
            told = {"estimator": self, "X": X, "y": y,
                    "reconstruction_attributes": lambda: {"model_": _at(self.model_, parameters())}}
            epoch.call_on_fit_task_begin(**told)
            return epoch.call_on_fit_task_end(**told)
        yield report
        context.call_on_fit_task_end(estimator=self, X=X, y=y)

    # ------------------------------------------------------------------------------------------ answers

    def _scores(self, X, wanted="prediction", model=None, checked=False):
        """The output activations, or another equation, of rows; sparse ones are made dense in parts."""
        check_is_fitted(self, "model_")
        model = model or self.model_
        if not checked:
            names, masked = feature_names(X), X if isinstance(X, np.ma.MaskedArray) else None
            X = validate_data(self, X, accept_sparse="csr", dtype=(np.float64, np.float32), ensure_all_finite=False, reset=False)
            refuse_holes(X if masked is None else masked, "X", names)
        if hasattr(X, "tocsr"):
            X = X.tocsr()
            return np.concatenate([self._scores(X[start:start + CHUNK].toarray(), wanted, model, True)
                                   for start in range(0, X.shape[0], CHUNK)])
        X = np.ascontiguousarray(X, dtype=model.dtype)
        if wanted == "prediction":
            return model.predict(X)
        program = model.program(wanted)
        parts = [model._run(program, {"x": X[start:start + CHUNK]}).outputs()[wanted] for start in range(0, len(X), CHUNK)]
        return np.concatenate(parts)

    def _data_loss(self, X, targets, model):
        """The data term of checked samples."""
        return model.loss(np.ascontiguousarray(X.toarray() if hasattr(X, "tocsr") else X, model.dtype), self._stored(targets))

    def _last_pre_activation(self):
        """The name of the output layer's pre-activation, or None where the output is linear."""
        names = [equation.name for equation in self.model_.network.system() if equation.role == "pre_activation"]
        return names[-1] if self.model_.network.layers[-1].activation != "linear" else None

    # ------------------------------------------------------------------------------------------ attributes

    def _named(self, kind):
        if not hasattr(self, "model_"):
            raise AttributeError(f"this {type(self).__name__} is not fitted yet")
        return self.model_.lent(*self._names(kind))

    def _names(self, kind):
        """The parameters of a kind that belong to dense layers, in order; layer norm has a shift of its own."""
        found = self.model_.network.parameters
        dense = {p.layer for p in found if p.kind == "weight"}
        return [p.name for p in found if p.kind == kind and p.layer in dense]

    def _replace(self, kind, arrays):
        names = self._names(kind)
        if len(names) != len(arrays):
            raise OptionError(f"{len(arrays)} arrays for {len(names)} layers", fix=f"give {', '.join(names)}")
        self.model_.set_parameters(**dict(zip(names, arrays)))

    coefs_ = property(lambda self: self._named("weight"), lambda self, arrays: self._replace("weight", arrays),
                      doc="The weight matrices (inputs, outputs) from the first layer on.")
    intercepts_ = property(lambda self: self._named("bias"), lambda self, arrays: self._replace("bias", arrays),
                           doc="The biases from the first layer on.")

    @property
    def network_(self):
        """The Network behind the estimator."""
        if not hasattr(self, "model_"):
            raise AttributeError(f"this {type(self).__name__} is not fitted yet")
        return self.model_.network

    def derive(self, *args, **options):
        """The equations of the gradients that trained it: ``Network.derive``."""
        check_is_fitted(self, "model_")
        return self.network_.derive(*args, **options)

    def trace(self, X, y, **options):
        """Every number of a run on these rows, as a Trace with a page: ``Model.trace``; y as ``fit`` takes it."""
        X, y = self._shown(X, y)
        names = {"feature_names": list(map(str, self.feature_names_in_))} if hasattr(self, "feature_names_in_") else {}
        return self.model_.trace(X, y, **{**names, **self._class_names(), **options})

    def report(self, X, y, **options):
        """What training came to, measured on these rows, as a Report with a page: ``Model.report``; y as ``fit`` takes it."""
        X, y = self._shown(X, y)
        return self.model_.report(X, y, **{**self._class_names(), **options})

    def _shown(self, X, y):
        """Rows and targets as the model takes them."""
        check_is_fitted(self, "model_")
        X, y = self._checked(X, y, reset=False)
        return X.toarray() if hasattr(X, "tocsr") else X, self._stored(self._encode(y))

    def _class_names(self):
        """How a page names the outputs, where there is one for every class."""
        each = hasattr(self, "classes_") and self.model_.network.outputs == len(self.classes_)
        return {"class_names": list(map(str, self.classes_))} if each else {}

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class _Watch:
    """What is looked at after every epoch: validation score and loss, a printed line, scikit-learn's callbacks."""

    def __init__(self, estimator, held, report):
        self.estimator, self.report, self.held, self.records = estimator, report, held, []
        self.measured = None if held is None else self.measure

    def measure(self, parameters):
        X, targets, weights = self.held
        estimator = self.estimator
        model = _at(estimator.model_, parameters)
        with np.errstate(all="ignore"):
            try:
                scores = estimator._scores(X, model=model, checked=True)
                loss = estimator._data_loss(X, targets, model)
            except ArithmeticError:
                return {"validation_loss": float("nan"), "validation_score": float("nan")}
        return {"validation_loss": loss, "validation_score": float(estimator._quality(targets, scores, weights))}

    def watch(self, record, parameters):
        """After every epoch; ``parameters`` is a function."""
        self.records.append(record)
        if self.estimator.verbose:
            print(f"Iteration {len(self.records)}, loss = {record['objective']:.8f}")
            if record.get("validation_score") is not None:
                print(f"Validation score: {record['validation_score']:f}")
        return bool(self.report(record, parameters))


def _at(model, parameters):
    """The same model with other parameters; programs are shared."""
    other = object.__new__(type(model))
    other.__dict__.update(model.__dict__)
    other._arrays = {name: np.array(array) for name, array in parameters.items()}
    return other


def _signature(optimizer):
    return optimizer.name, tuple(sorted(optimizer.options.items()))


def _listed(value):
    return list(value.tolist() if isinstance(value, np.ndarray) and value.ndim else value) if np.iterable(value) else [value]


def _per_layer(name, value, count):
    values = list(value) if isinstance(value, (list, tuple)) else [value] * count
    if len(values) != count:
        raise OptionError(f"{name} has {len(values)} entries for {count} hidden layers", fix="one per hidden layer, or one for all")
    return values


def _with_inputs(layers, width):
    for layer in layers:
        if not isinstance(layer, Layer):
            raise OptionError(f"layers holds {layer!r:.60}, which is no layer", fix='such as Dense(8, "tanh")')
        yield layer, width
        width = getattr(layer, "units", width)


# ---------------------------------------------------------------------------------------------------- the classifier

def _told(classes):
    """Labels as a person writes them."""
    return listed(np.asarray(classes).tolist())


def _has_probabilities(estimator):
    if not hasattr(estimator, "model_"):
        return True
    reach = range_of(estimator.model_.network.layers[-1].activation)
    if reach == SIMPLEX or reach[0] >= 0 and reach[1] <= 1:
        return True
    raise AttributeError(f"outputs of {estimator.out_activation_} are no probabilities")


@parameters("hidden_layer_sizes", "activation",
            loss=Parameter("log_loss", lambda value: True, "a loss", "log_loss, another loss of backproof, or a function under @loss"),
            class_weight=Parameter(None, lambda value: value is None or isinstance(value, (dict, str, list)),
                                   "None, 'balanced' or weights by class", "weights of the classes: a dict or 'balanced'"))
class MLPClassifier(ClassifierMixin, Perceptron):
    """A network that classifies: two or more classes, or several labels at once.

    Parameters (scikit-learn's, then those beyond them; [default])
    {parameters}

    Attributes  scikit-learn's: coefs_, intercepts_, classes_, loss_curve_, loss_, best_loss_, validation_scores_,
                best_validation_score_, n_iter_, t_, n_layers_, n_outputs_, out_activation_, n_features_in_,
                feature_names_in_; and model_, network_

    >>> import numpy as np
    >>> X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]] * 4)
    >>> y = np.array(["no", "yes", "yes", "no"] * 4)
    >>> xor = MLPClassifier(8, "tanh", solver="lbfgs", random_state=1, max_iter=500).fit(X, y)
    >>> xor.predict(X[:4]).tolist()
    ['no', 'yes', 'yes', 'no']
    """

    def _learn_targets(self, y, again, classes):
        check_classification_targets(y)
        if again:
            labels = unique_labels(y)
            strange = np.setdiff1d(labels, self.classes_)
            if len(strange) and not self.warm_start:
                raise DataError(f"`y` has classes not in `self.classes_`: {_told(strange)}; the classes are {_told(self.classes_)}",
                                fix="name all of them in the first call: partial_fit(X, y, classes=...)", state="the model is unchanged")
            if self.warm_start and not np.array_equal(labels, self.classes_):
                raise DataError("warm_start can only be used where `y` has the same classes as in the previous call to fit. "
                                f"Previously got {_told(self.classes_)}, `y` has {_told(labels)}", fix="warm_start=False")
        else:
            self._multilabel = type_of_target(y).startswith("multilabel")
            self.classes_ = unique_labels(y) if classes is None or self._multilabel else unique_labels(classes)
            if classes is not None and not self._multilabel and len(np.setdiff1d(y, self.classes_)):
                raise DataError(f"`y` has classes that `classes` lacks: {_told(np.setdiff1d(y, self.classes_))}",
                                fix="name all classes in classes=")
        return self._encode(y)

    def _encode(self, y):
        """Class numbers (n,), or an indicator (n, k) of labels."""
        if self._multilabel:
            return np.asarray(y.toarray() if hasattr(y, "toarray") else y, np.int64)
        strange = np.setdiff1d(y, self.classes_)
        if len(strange):
            raise DataError(f"y has classes that training did not have: {_told(strange)}", fix="leave those rows out")
        return np.searchsorted(self.classes_, y)

    def _refuse_poor(self, y):
        if len(self.classes_) < 2 and not self._multilabel or not self._multilabel and len(np.unique(y)) < 2:
            raise DataError(f"y has only one class, {shown(str(y[0]))}: there is nothing to learn", fix="give rows of another class")

    def _outputs(self, targets):
        return targets.shape[1] if self._multilabel else len(self.classes_) if len(self.classes_) > 2 else 1

    def _strata(self, targets):
        return None if self._multilabel else targets

    def _loss(self):
        if isinstance(self.loss, str) and self.loss == "log_loss":
            many = not self._multilabel and len(self.classes_) > 2 or self.out_activation == "softmax"
            return LOSSES["cross_entropy" if many else "binary_cross_entropy"]
        return loss_of(self.loss)

    def _form(self):
        return "class" if not self._multilabel and "class" in self.model_.network.loss.targets else "dense"

    def _stored(self, targets):
        """The targets as the loss takes them: class numbers, or the ends of the output's range (−1 and +1 for tanh)."""
        if self._form() == "class":
            return targets
        low, high = self._ends()
        hot = targets if self._multilabel else targets[:, None] if self._units == 1 else np.arange(self._units) == targets[:, None]
        return np.where(hot, high, low).astype(self.model_.dtype)

    def _ends(self):
        reach = range_of(self.model_.network.layers[-1].activation)
        return (-1.0, 1.0) if reach != SIMPLEX and tuple(reach[:2]) == (-1, 1) else (0.0, 1.0)

    def _decide(self, scores):
        """Class numbers, or the indicator of labels, from outputs."""
        if self._form() == "dense" and scores.shape[1] == self.n_outputs_ and (self._multilabel or self.n_outputs_ == 1):
            above = scores > sum(self._ends()) / 2
            return above.astype(np.int64) if self._multilabel else above[:, 0].astype(np.int64)
        return scores.argmax(axis=1)

    def _quality(self, targets, scores, weights):
        from sklearn.metrics import accuracy_score                     # loads with the first score
        return accuracy_score(targets, self._decide(scores), sample_weight=weights)

    def predict(self, X):
        """The class of every row, or the indicator of its labels."""
        found = self._decide(self._scores(X))
        return found if self._multilabel else self.classes_[found]

    @available_if(_has_probabilities)
    def predict_proba(self, X):
        """Probabilities (n, classes), in the order of ``classes_``."""
        scores = self._scores(X)
        if self._multilabel:
            return scores
        if scores.shape[1] == 1:
            return np.concatenate([1 - scores, scores], axis=1)
        return scores if self.out_activation_ == "softmax" else scores / scores.sum(axis=1, keepdims=True)

    @available_if(_has_probabilities)
    def predict_log_proba(self, X):
        """Logarithms of the probabilities, computed from the pre-activations: never log(0)."""
        check_is_fitted(self, "model_")
        if self.out_activation_ not in ("softmax", "logistic") or self.out_activation_ == "logistic" and self.n_outputs_ > 1:
            with np.errstate(divide="ignore"):
                return np.log(self.predict_proba(X))
        z = self._scores(X, self._last_pre_activation())
        if z.shape[1] == 1:
            return -np.logaddexp(0, np.concatenate([z, -z], axis=1))
        z = z - z.max(axis=1, keepdims=True)
        return z - np.log(np.exp(z).sum(axis=1, keepdims=True))

    @available_if(_stochastic)
    @_managed
    def partial_fit(self, X, y, sample_weight=None, classes=None):
        """One epoch over the rows given, with the optimizer's state of the calls before; ``classes`` in the first call."""
        if not hasattr(self, "model_") and classes is None:
            raise DataError("classes must be passed on the first call to partial_fit: later rows may have classes that these lack",
                            fix="partial_fit(X, y, classes=np.unique(all_labels))")
        if hasattr(self, "model_") and classes is not None and not np.array_equal(unique_labels(classes), self.classes_):
            raise DataError(f"`classes={_told(classes)}` is not the same as on last call to partial_fit, was: {_told(self.classes_)}",
                            fix="leave classes= out")
        return self._fit(X, y, sample_weight, one_epoch=True, classes=classes)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


# ---------------------------------------------------------------------------------------------------- the regressor

@parameters("loss", "hidden_layer_sizes", "activation",
            loss=Parameter("squared_error", lambda value: True, "a loss",
                           "squared_error, poisson, another loss of backproof, or a function under @loss"))
class MLPRegressor(RegressorMixin, Perceptron):
    """A network that predicts numbers, one or several per row. The loss is summed over the outputs, as its gradient is.

    Parameters (scikit-learn's, then those beyond them; [default])
    {parameters}

    Attributes  as of MLPClassifier, without classes_

    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 40)[:, None]
    >>> square = MLPRegressor(hidden_layer_sizes=16, activation="tanh", solver="lbfgs", random_state=0).fit(X, X[:, 0] ** 2)
    >>> round(square.score(X, X[:, 0] ** 2), 2)
    1.0
    """

    def _learn_targets(self, y, again, classes):
        if again and self._width(y) != self.n_outputs_:
            raise DataError(f"y has {self._width(y)} outputs; the first call had {self.n_outputs_}", fix="give the same outputs")
        return self._encode(y)

    @staticmethod
    def _width(y):
        return 1 if y.ndim == 1 else y.shape[1]

    def _encode(self, y):
        y = np.asarray(y, np.float64)
        return y[:, None] if y.ndim == 1 else y

    def _refuse_poor(self, y):
        pass

    def _outputs(self, targets):
        return targets.shape[1]

    def _strata(self, targets):
        return None

    def _loss(self):
        return loss_of(self.loss)

    def _form(self):
        return "dense"

    def _stored(self, targets):
        low, high = self.model_.network.loss.takes[:2] if self.model_.network.loss.takes != SIMPLEX else (0, 1)
        bad = np.argwhere((targets < low) | (targets > high))
        if len(bad):
            raise DataError(f"Some value(s) of y are out of the valid range of the loss {self.loss!r}: "
                            f"{targets[tuple(bad[0])]:g} in row {bad[0][0]}", fix=f"targets in [{low:g}, {high:g}], or another loss")
        return targets.astype(self.model_.dtype)

    def _quality(self, targets, scores, weights):
        from sklearn.metrics import r2_score                           # loads with the first score
        return r2_score(targets, scores, sample_weight=weights) if np.isfinite(scores).all() else float("nan")

    def predict(self, X):
        """The outputs of every row: (n,), or (n, outputs) where there are several."""
        scores = self._scores(X)
        return scores[:, 0] if self.n_outputs_ == 1 else scores

    @available_if(_stochastic)
    @_managed
    def partial_fit(self, X, y, sample_weight=None):
        """One epoch over the rows given, with the optimizer's state of the calls before."""
        return self._fit(X, y, sample_weight, one_epoch=True)
