"""SequenceClassifier, SequenceRegressor and SequenceTagger: recurrent networks with scikit-learn's conventions.

Reads   X as a list of arrays (t, i), one per sequence; a padded array (n, t, i), with ``lengths=`` where it is padded; or
        Sequences. y one target per sequence, or per step (a list of arrays, or a padded array).
Gives   fitted estimators; answers per sequence as arrays, answers per step as lists of arrays of the sequences' own lengths.

`Recurrent` says what sequences change: the network, the inputs, truncation, length bucketing. What targets are and how scores
become answers is that of `MLPClassifier` and `MLPRegressor`, on the valid steps laid one after another where there is a target
per step.
"""

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target
from sklearn.utils.validation import check_is_fitted

from ..data.arrays import as_samples, as_targets
from ..data.sequences import Sequences, as_ragged, is_ragged, pad
from ..errors import DataError, DtypeError, OptionError
from ..networks import GRU, LSTM, RNN, Bidirectional, Dropout, Last, Layer, MaxPool, MeanPool
from ..networks.spec import parse
from ..train.links import Links
from .mlp import MLPClassifier, MLPRegressor, Perceptron, _has_probabilities, _listed, _per_layer, _stochastic
from .parameters import Parameter, _anything, _flag, _number, _one_of, _sizes, _whole, parameters

__all__ = ["SequenceClassifier", "SequenceRegressor", "SequenceTagger"]

CELLS = {"rnn": RNN, "gru": GRU, "lstm": LSTM}
POOLS = {"last": Last, "mean": MeanPool, "max": MaxPool}


def _cell(value):
    return value in CELLS if isinstance(value, str) else callable(value)


# what takes the place of the hidden layers' parameters; None: a parameter of the table that is left out
OWN = {
    "cell": Parameter("lstm", _cell, "rnn, gru, lstm, or what a function under @cell became",
                      "of the recurrence: 'rnn', 'gru', 'lstm', or your own, a function under @cell"),
    "units": Parameter(32, _sizes, "whole numbers > 0", "units of the recurrent layer, or of each of several: (32, 16)"),
    "bidirectional": Parameter(False, *_flag(), "every recurrent layer has a twin that reads from the end"),
    "pooling": Parameter("last", *_one_of("last", "mean", "max"), "what becomes of the steps: 'last', 'mean' or 'max'"),
    "layers": Parameter(None, *_anything(), "hidden layers as a spec, 'bi gru 32 | dropout 0.2 | mean', or a list of layers; "
                        "replaces cell, units, bidirectional, dropout and pooling"),
    "truncation_length": Parameter(None, *_whole(1, also=(None,)), "the adjoint is cut every so many steps; None: full"),
    "continue_probability": Parameter(None, *_number(0, 1, closed="right", also=(None,)),
                                      "the adjoint passes each link with this probability, unbiased; None: full"),
    "stateful": Parameter(False, *_flag(), "an update for every truncation_length steps, the state carried from one to the next"),
    "truncation_lag": Parameter(None, *_whole(1, also=(None,)),
                                "the loss of every step reaches back exactly so many steps; None: full"),
    "bucketing": Parameter(True, *_flag(), "minibatches of sequences of near lengths: faster, and other minibatches"),
    "clip_norm": Parameter(1.0, *_number(0, np.inf, closed="neither", also=(None,)), "limit of the norm of all gradients together"),
    "hidden_layer_sizes": None, "activation": None, "layer_norm": None,
}
STEPS = Parameter("last", lambda value: value is None or value in POOLS, "'last', 'mean', 'max' or None",
                  "what becomes of the steps: 'last', 'mean', 'max'; None: an output at every step")


class Recurrent(Perceptron):
    """What the estimators of sequences share."""

    pooling = None                                       # where a class has no such parameter, every step has an output

    def fit(self, X, y, sample_weight=None, eval_set=None, lengths=None):
        """Train. ``eval_set=(X, y)`` are validation sequences of your own; ``lengths`` belong to a padded array X.

        Shapes   X a list of n arrays (t, i), or (n, t, i); y (n), (n, k), or per step; sample_weight (n), of whole sequences.
        Raises   ValueErrors for data and parameters that cannot be used, NonFiniteError at the step where training diverges.
        """
        return super().fit(_with_lengths(X, lengths), y, sample_weight, eval_set)

    # ------------------------------------------------------------------------------------------ data at the door

    def _checked(self, X, y, reset):
        X = self._sequences(X, reset)
        return X, self._targets(X, y)

    def _sequences(self, X, reset=False):
        """Checked Sequences of the model's dtype; full arrays are sequences of one length."""
        X = _arrays(X)
        features = None if reset else getattr(self, "n_features_in_", None)
        if is_ragged(X):
            dtype = np.result_type(*(s.dtype for s in X)) if isinstance(X, list) else np.asarray(X.values).dtype
            found = as_ragged(X, features=features, dtype=_floating(dtype))
        else:
            _check_dimensions(X, self)
            values = as_samples(X, features=features, dtype=_floating(np.asarray(X).dtype), sequence=True)
            found = Sequences(values, np.full(len(values), values.shape[1]))
        if reset:
            self.n_features_in_ = found.values.shape[2]
        return found

    def _targets(self, X, y):
        if y is None:
            raise DataError(f"{type(self).__name__} requires y to be passed, but the target y is None", fix="fit(X, y)")
        if not self._every_step():
            y = np.asarray(y)
            if y.shape[:1] != (len(X),):
                raise DataError(f"X has {len(X)} sequences and y has shape {y.shape}", fix="give one target per sequence")
            y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
            return y if is_classifier(self) else _numbers(y)
        y = _steps(y, X)
        return y if is_classifier(self) else y.like(_numbers(y.flat()))

    def _every_step(self):
        if self.layers is not None:
            return not any(layer.steps == "ends" for layer in self._hidden(1))
        return self.pooling is None

    def _inputs(self, X):
        if X.full():
            return {}, {"x": np.ascontiguousarray(X.values)}
        return {"masked": True}, {"x": X.values, "mask": X.mask(self.model_.dtype)}

    # ------------------------------------------------------------------------------------------ the network

    def _hidden(self, features):
        if self.layers is not None:
            return parse(f"{features} | {self.layers}")[1] if isinstance(self.layers, str) else list(self.layers)
        sizes = _listed(self.units)
        made = []
        for units, rate in zip(sizes, _per_layer("dropout", self.dropout, len(sizes))):
            cell = (CELLS.get(self.cell) if isinstance(self.cell, str) else self.cell)(int(units))
            if not isinstance(cell, Layer):
                raise OptionError(f"cell={self.cell!r} gives {cell!r:.60}, which is no layer", fix="a function under @cell")
            made += [Bidirectional(cell) if self.bidirectional else cell, *([Dropout(float(rate))] if rate else [])]
        return made if self.pooling is None else [*made, POOLS[self.pooling]()]

    def _started(self, layer, fan_in):
        return layer

    def _architecture(self):
        names = ("cell", "units", "bidirectional", "pooling", "layers", "dropout", "out_activation", "loss")
        return {name: getattr(self, name) for name in names}

    def _training(self, fed):
        links = Links.of(self.network_, self.truncation_length, self.continue_probability, fed, self.model_.seed, self.stateful,
                         self.truncation_lag)
        return {"bucketing": bool(self.bucketing)}, {"links": links}

    def _run_lbfgs(self, fed, rows, watch):
        if self.stateful or {self.truncation_length, self.continue_probability, self.truncation_lag} != {None}:
            raise OptionError("lbfgs takes the whole gradient of one objective, and truncation gives another one",
                              fix="solver='adam', or no truncation")
        super()._run_lbfgs(fed, rows, watch)

    # ------------------------------------------------------------------------------------------ targets per step

    def _learn_targets(self, y, again, classes=None):
        if not isinstance(y, Sequences):
            return super()._learn_targets(y, again, classes)
        super()._learn_targets(y.flat(), again, classes)
        return self._encode(y)

    def _encode(self, y):
        return y.like(super()._encode(y.flat())) if isinstance(y, Sequences) else super()._encode(y)

    def _refuse_poor(self, y):
        super()._refuse_poor(y.flat() if isinstance(y, Sequences) else y)

    def _outputs(self, targets):
        return super()._outputs(targets.flat() if isinstance(targets, Sequences) else targets)

    def _strata(self, targets):
        return None if isinstance(targets, Sequences) else super()._strata(targets)

    def _stored(self, targets):
        return targets.like(super()._stored(targets.flat())).values if isinstance(targets, Sequences) else super()._stored(targets)

    def _quality(self, targets, scores, weights):
        if not isinstance(targets, Sequences):
            return super()._quality(targets, scores, weights)
        weights = None if weights is None else np.repeat(weights, targets.lengths)
        return super()._quality(targets.flat(), np.concatenate(scores), weights)

    # ------------------------------------------------------------------------------------------ answers

    def _scores(self, X, wanted="prediction", model=None, checked=False):
        """The output activations: (n, k), or a list of arrays (t, k) where there is an output per step.

        Another equation's values come as rows: of the sequences, or of all valid steps.
        """
        check_is_fitted(self, "model_")
        model, X = model or self.model_, X if checked else self._sequences(X)
        if wanted != "prediction":
            found = model.values(X, None, wanted)[wanted]
            return Sequences(found, X.lengths).flat() if model.network.output_per_step else found
        found = model.predict(X if not X.full() else np.ascontiguousarray(X.values))
        return list(found) if model.network.output_per_step else found

    def _data_loss(self, X, targets, model):
        return model.loss(X, self._stored(targets))

    def _answers(self, X, lengths, answer):
        """``answer`` of the scores, sequence by sequence where every step has one."""
        scores = self._scores(_with_lengths(X, lengths))
        return [answer(one) for one in scores] if self.network_.output_per_step else answer(scores)

    def score(self, X, y, sample_weight=None, lengths=None):
        """Accuracy, or R²; over all steps where there is a target per step."""
        check_is_fitted(self, "model_")
        X, y = self._checked(_with_lengths(X, lengths), y, reset=False)
        found = self.predict(X)
        if isinstance(y, Sequences):
            y, found = y.flat(), np.concatenate(found)
            sample_weight = None if sample_weight is None else np.repeat(np.asarray(sample_weight), X.lengths)
        from sklearn.metrics import accuracy_score, r2_score           # load with the first score
        return float((accuracy_score if hasattr(self, "classes_") else r2_score)(y, found, sample_weight=sample_weight))

    def trace(self, X, y, lengths=None, **options):
        """Every number of a run on these sequences: ``Model.trace``."""
        return super().trace(_with_lengths(X, lengths), y, **options)

    def report(self, X, y, lengths=None, **options):
        """What training came to, on these sequences: ``Model.report``."""
        return super().report(_with_lengths(X, lengths), y, **options)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse, tags.input_tags.two_d_array, tags.input_tags.three_d_array = False, False, True
        return tags


# ---------------------------------------------------------------------------------------------------- the door's helpers

def _with_lengths(X, lengths):
    return X if lengths is None else Sequences(np.asarray(X), np.asarray(lengths))


def _arrays(X):
    """A list of arrays from whatever holds sequences of their own lengths; arrays and Sequences as they are."""
    if isinstance(X, Sequences) or isinstance(X, np.ndarray) and X.dtype != object or not isinstance(X, (list, tuple, np.ndarray)):
        return X
    if len(X) == 0:
        raise DataError("X has 0 sequences; at least 1 is needed", fix="give it sequences")
    try:
        found = [np.asarray(sequence) for sequence in X]
    except ValueError as error:
        raise DataError(f"X holds a sequence that is no array: {error}", fix="one array (steps, features) per sequence") from None
    for k, sequence in enumerate(found):
        if sequence.dtype.kind not in "biuf":
            raise DtypeError(f"sequence {k} of X holds {sequence.dtype}, not numbers",
                             fix="one array (steps, features) of numbers for each sequence")
    return found


def _check_dimensions(X, estimator):
    """Where X could be meant otherwise, the error says how to say it (reliability.md A4, K1)."""
    shape = np.shape(X)
    if len(shape) == 2:
        raise DataError(f"X is 2-D, of shape {shape}; {type(estimator).__name__} takes sequences: (n, t, i), or a list of (t, i)",
                        fix="X[:, :, None] for series of one number per step; MLPClassifier and MLPRegressor take rows of features")


def _numbers(y):
    """Targets as finite numbers (n,) or (n, k)."""
    if y.ndim > 2:
        raise DataError(f"y has shape {y.shape}; targets are numbers, one or several per sequence or step",
                        fix="give it at most 2 axes")
    return as_targets(y, len(y), outputs=1 if y.ndim == 1 else y.shape[1], dtype=np.float64).reshape(y.shape)


def _floating(dtype):
    return np.float32 if dtype == np.float32 else np.float64


def _steps(y, X):
    """Targets per step as Sequences of the lengths of X; DataError with both lengths where they differ (K8)."""
    if isinstance(y, Sequences):
        found, values = np.asarray(y.lengths), np.asarray(y.values)
    elif isinstance(y, np.ndarray) and y.dtype != object and y.ndim > 1:
        found, values = np.full(len(y), y.shape[1]), y
        if len(y) == len(X) and y.shape[1] == X.values.shape[1]:
            found = X.lengths                                  # padded as X is: what stands in the padding is not read
    else:
        parts = [np.asarray(part) for part in y]
        single = [k for k, part in enumerate(parts) if part.ndim == 0]
        if single:
            raise DataError(f"y has one target for sequence {single[0]}, and an output is asked for at every step",
                            fix="one target per step: a list of arrays; SequenceClassifier takes one per sequence")
        found, values = np.array([len(part) for part in parts]), pad(parts) if parts else np.zeros((0, 0))
    if len(found) != len(X):
        raise DataError(f"X has {len(X)} sequences and y has {len(found)}", fix="give one array of targets per sequence")
    wrong = np.flatnonzero(found != X.lengths)
    if len(wrong):
        raise DataError(f"sequence {wrong[0]} has {X.lengths[wrong[0]]} steps and {found[wrong[0]]} targets",
                        fix="give one target per step")
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    return Sequences(values, X.lengths)


# ---------------------------------------------------------------------------------------------------- the estimators

@parameters("cell", "units", **OWN,
            loss=MLPClassifier.parameter_table["loss"], class_weight=MLPClassifier.parameter_table["class_weight"])
class SequenceClassifier(Recurrent, MLPClassifier):
    """A recurrent network that gives each sequence a class (or several labels at once).

    Parameters ([default])
    {parameters}

    Attributes  classes_, n_features_in_, n_iter_, loss_curve_, best_validation_score_, …, as of MLPClassifier; model_, network_

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(size=(t, 1)) for t in rng.integers(2, 9, 120)]
    >>> y = np.array(["up" if x[-1, 0] > x[0, 0] else "down" for x in X])
    >>> found = SequenceClassifier("gru", 8, learning_rate_init=0.02, max_iter=60, random_state=0, tol=0).fit(X, y)
    >>> found.classes_.tolist(), found.score(X, y) > 0.9, found.predict(X[:2]).shape
    (['down', 'up'], True, (2,))
    """

    def predict(self, X, lengths=None):
        """The class of every sequence, or the indicator of its labels."""
        found = self._answers(X, lengths, self._decide)
        return found if self._multilabel else self.classes_[found]

    @available_if(_has_probabilities)
    def predict_proba(self, X, lengths=None):
        """Probabilities (n, classes), in the order of ``classes_``."""
        return super().predict_proba(_with_lengths(X, lengths))

    @available_if(_stochastic)
    def partial_fit(self, X, y, sample_weight=None, classes=None, lengths=None):
        """One epoch over the sequences given, with the optimizer's state of the calls before; ``classes`` in the first call."""
        return super().partial_fit(_with_lengths(X, lengths), y, sample_weight, classes)

    def _every_step(self):
        if super()._every_step():
            raise OptionError(f"the layers {self.layers!r} give an output at every step, and a sequence has one class",
                              fix="end them with last, mean or max; SequenceTagger gives every step a class")
        return False


@parameters("cell", "units", **{**OWN, "pooling": STEPS}, loss=MLPRegressor.parameter_table["loss"])
class SequenceRegressor(Recurrent, MLPRegressor):
    """A recurrent network that gives each sequence one number or several; the next values of a series, for example.

    With ``pooling=None`` there is an output at every step, and y holds a target per step.

    Parameters ([default])
    {parameters}

    Attributes  as of SequenceClassifier, without classes_

    >>> import numpy as np
    >>> series = np.sin(0.3 * np.arange(400))
    >>> X = np.stack([series[k:k + 20, None] for k in range(370)])
    >>> y = np.stack([series[k + 20:k + 23] for k in range(370)])                 # the next three values
    >>> found = SequenceRegressor("rnn", 12, learning_rate_init=0.01, max_iter=40, random_state=0, tol=0).fit(X[:300], y[:300])
    >>> found.predict(X[300:]).shape, found.score(X[300:], y[300:]) > 0.98
    ((70, 3), True)
    """

    def _learn_targets(self, y, again, classes=None):
        if not isinstance(y, Sequences):
            return MLPRegressor._learn_targets(self, np.asarray(y), again, classes)
        return super()._learn_targets(y, again, classes)

    def predict(self, X, lengths=None):
        """(n,), or (n, outputs); a list of arrays (t,) or (t, outputs) where every step has an output."""
        return self._answers(X, lengths, lambda scores: scores[:, 0] if self.n_outputs_ == 1 else scores)

    @available_if(_stochastic)
    def partial_fit(self, X, y, sample_weight=None, lengths=None):
        """One epoch over the sequences given, with the optimizer's state of the calls before."""
        return super().partial_fit(_with_lengths(X, lengths), y, sample_weight)


@parameters("cell", "units", **{**OWN, "pooling": None}, loss=MLPClassifier.parameter_table["loss"])
class SequenceTagger(Recurrent, MLPClassifier):
    """A recurrent network that gives every step of a sequence a class.

    Parameters ([default])
    {parameters}

    Attributes  as of SequenceClassifier

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(size=(t, 1)) for t in rng.integers(2, 9, 80)]
    >>> y = [np.where(np.cumsum(x[:, 0]) > 0, "above", "below") for x in X]
    >>> found = SequenceTagger("rnn", 8, learning_rate_init=0.02, max_iter=60, random_state=0, tol=0).fit(X, y)
    >>> found.score(X, y) > 0.9, [len(tags) for tags in found.predict(X[:2])] == [len(x) for x in X[:2]]
    (True, True)
    """

    def _learn_targets(self, y, again, classes=None):
        kind = type_of_target(y.flat())
        if kind not in ("binary", "multiclass"):
            raise DataError(f"y holds {kind} targets; a tagger gives every step one class", fix="labels, one per step")
        return super()._learn_targets(y, again, classes)

    def predict(self, X, lengths=None):
        """A list of arrays (t,): the class of every step of every sequence."""
        return self._answers(X, lengths, lambda scores: self.classes_[self._decide(scores)])

    @available_if(_has_probabilities)
    def predict_proba(self, X, lengths=None):
        """A list of arrays (t, classes)."""
        def answer(scores):
            return np.concatenate([1 - scores, scores], axis=1) if scores.shape[1] == 1 else scores
        return self._answers(X, lengths, answer)

    @available_if(_has_probabilities)
    def predict_log_proba(self, X, lengths=None):
        """Logarithms of the probabilities, from the pre-activations where there are some: never log(0)."""
        X = self._sequences(_with_lengths(X, lengths))
        if self.out_activation_ not in ("softmax", "logistic"):
            with np.errstate(divide="ignore"):
                return [np.log(one) for one in self.predict_proba(X)]
        return X.like(super().predict_log_proba(X)).unpadded()

    @available_if(_stochastic)
    def partial_fit(self, X, y, sample_weight=None, classes=None, lengths=None):
        """One epoch over the sequences given; ``classes`` in the first call."""
        return super().partial_fit(_with_lengths(X, lengths), y, sample_weight, classes)

    def _every_step(self):
        if not super()._every_step():
            raise OptionError(f"the layers {self.layers!r} pool the steps, and a tagger gives every step a class",
                              fix="leave last, mean and max out; SequenceClassifier gives a sequence one class")
        return True
