"""What the estimators of words in windows share: from sentences to a trained network, word vectors, files.

Reads   sentences as lists of tokens, something to learn for every token, word vectors by their file or as WordVectors.
Gives   the network behind the estimator, its vectors before and after learning, the windows that excite a unit most.

Every token is one sample: the numbers of the words around it, channel by channel, 0 beyond the sentence's ends.
"""

import json
import os

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from ..data.messages import megabytes
from ..data.vectors import WordVectors, read_vectors
from ..data.words import PADDING, UNKNOWN, WindowCoder, as_sentences, channel
from ..errors import DataError, ModelFileError, OptionError
from ..model import CHUNK, Model
from ..network import Network
from ..networks import Channels, Dense, Dropout, Window
from ..networks.spec import parse
from ..networks.words import nearest
from ..train import OPTIMIZERS, Optimizer, Options
from .parameters import PARAMETERS, Parameter, check_parameters
from .rules import Tolerance

__all__ = ["KEY", "OWN", "Windows"]

KEY = "words"                       # what travels in the model file beside the network, under this key
UNKEPT = ("vectors", "random_state", "engine", "threads", "verbose")       # options of a run, not of the model
WORDS = 15_000_000                  # bytes of vocabularies in a model file
DIMENSIONS = 50                     # of vectors that are not given
LEFT_OUT = ("alpha", "learning_rate", "power_t", "shuffle", "warm_start", "momentum", "nesterovs_momentum", "beta_1", "beta_2",
            "epsilon", "max_fun", "out_activation", "layer_norm", "initial", "weight_decay", "warm_up")


def _whole(low, none=False):
    def test(value):
        return none and value is None or isinstance(value, (int, np.integer)) and not isinstance(value, bool) and value >= low
    return test, f"a whole number of at least {low}" + (" or None" if none else "")


def _own(default, allowed, meaning):
    return Parameter(default, *allowed, meaning)


OWN = {
    **dict.fromkeys(LEFT_OUT),
    "window": _own(5, (lambda v: _whole(1)[0](v) and v % 2 == 1, "an odd whole number"),
                   "words in a window, the middle one and its neighbours"),
    "channels": _own(("word", "case"), (lambda v: True, "names of channels"), "what is looked at of each word: word, form, shape, "
                     "case, prefixN, suffixN"),
    "vectors": _own(None, (lambda v: v is None or isinstance(v, (str, os.PathLike, WordVectors)), "a path, WordVectors or None"),
                    "word vectors to start from; None: drawn"),
    "dimensions": _own(None, _whole(1, none=True), f"of the first channel's vectors; None: those of the vectors, or {DIMENSIONS}"),
    "channel_dimensions": _own(10, _whole(1), "of the vectors of every channel but the first"),
    "freeze_vectors": _own(False, (lambda v: isinstance(v, (bool, np.bool_)), "True or False"),
                           "the vectors of the first channel stay as given"),
    "min_count": _own(2, _whole(1), "words seen less often are unknown ones, unless they have a vector"),
    "hidden_layer_sizes": Parameter((100,), PARAMETERS["hidden_layer_sizes"].allowed, PARAMETERS["hidden_layer_sizes"].wanted,
                                    "units of each hidden layer"),
    "activation": Parameter("tanh", lambda v: True, "an activation", "of the hidden layers"),
    "batch_size": _own(64, _whole(1), "windows per update"),
    "max_iter": _own(20, _whole(1), "epochs at most"),
    "n_iter_no_change": _own(5, _whole(1), "epochs without a better validation score before it stops"),
    "tol": _own(1e-4, (lambda v: isinstance(v, (int, float)) and v >= 0, "a number of at least 0"),
                "an improvement by less does not count"),
    "layers": _own(None, (lambda v: v is None or isinstance(v, str), "a spec or None"),
                   "hidden layers as a spec, '100 tanh | dropout 0.2'; "
                   "replaces hidden_layer_sizes, activation and dropout"),
    "solver": _own("adam", (lambda v: isinstance(v, Optimizer) or v in OPTIMIZERS,
                            f"one of {', '.join(OPTIMIZERS)}, or an Optimizer"),
                   "what updates the weights and the vectors"),
    "l2": _own(0.0, (lambda v: isinstance(v, (int, float)) and v >= 0, "a number of at least 0"),
               "λ/2 ΣW² over weights and vectors"),
}


class Windows(BaseEstimator):
    """The base of `WindowTagger` and `WindowScorer`."""

    # ------------------------------------------------------------------------------------------ building

    def _start(self, sentences):
        """Vocabularies of the training sentences and a network with its initial vectors."""
        given = self._given_vectors()
        self.coder_ = WindowCoder.learn(sentences, self.window, self.channels, self.min_count, given.words if given else ())
        text = len(json.dumps(json.dumps(self.coder_.state())))
        if text > WORDS:
            raise DataError(f"the vocabularies take {megabytes(text)}; a model file holds {megabytes(WORDS)} of them",
                            fix="fewer words: vectors=read_vectors(path, limit=500_000), or a larger min_count")
        width = self.dimensions or (given.dimensions if given else DIMENSIONS)
        network = Network(self._layers(width), loss=self._loss(), l2=float(self.l2))
        seed = self.random_state
        if not isinstance(seed, (int, np.integer)):
            seed = np.random.RandomState(None).randint(2**31 - 1) if seed is None else seed.randint(2**31 - 1)
        self.model_ = network.build(seed=int(seed), engine=self.engine, threads=self.threads)
        self._set_vectors(given)
        self.initial_vectors_ = self.vectors_
        return self

    def _given_vectors(self):
        """The vectors to start from, by words as the first channel writes them."""
        if self.vectors is None:
            return None
        given = self.vectors if isinstance(self.vectors, WordVectors) else read_vectors(self.vectors)
        if self.dimensions is not None and given.dimensions != self.dimensions:
            raise DataError(f"the vectors have {given.dimensions} dimensions; dimensions={self.dimensions}",
                            fix=f"dimensions={given.dimensions}, or leave it out")
        channels = (self.channels,) if isinstance(self.channels, str) else tuple(self.channels)
        if not channels or channels[0] not in ("word", "form"):
            raise OptionError(f"vectors are of words, and the first channel is {channels[:1]}", fix="channels=('word', …)")
        return given.lowered() if channels[0] == "word" else given

    def _layers(self, width):
        windows = self._windows(width)
        if self.layers is not None:
            return [windows, *(parse(f"1 | {self.layers}")[1] if self.layers.strip() else []), *self._output()]
        sizes = np.atleast_1d(np.asarray(self.hidden_layer_sizes, dtype=int)).tolist()
        rates = list(self.dropout) if isinstance(self.dropout, (list, tuple)) else [self.dropout] * len(sizes)
        if len(rates) != len(sizes):
            raise OptionError(f"dropout has {len(rates)} rates for {len(sizes)} hidden layers", fix="one each, or one for all")
        layers = [windows]
        for units, rate in zip(sizes, rates):
            layers += [Dense(units, self.activation), *([Dropout(float(rate))] if rate else [])]
        return [*layers, *self._output()]

    def _windows(self, width):
        """The layer of the vectors: a window of every channel, each with a table of its own."""
        widths = [width] + [self.channel_dimensions] * (len(self.coder_.channels) - 1)
        made = [Window(self.coder_.window, len(vocabulary), d, frozen=bool(self.freeze_vectors and k == 0),
                       name=name if len(widths) > 1 else None)
                for k, (name, vocabulary, d) in enumerate(zip(self.coder_.channels, self.coder_.vocabularies, widths))]
        return made[0] if len(made) == 1 else Channels(tuple(made))

    def _tables(self):
        """The names of the tables, one for each channel."""
        return [p.name for p in self.model_.network.parameters if p.kind == "table"]

    def _set_vectors(self, given):
        """Put vectors into the tables: those of known words, zeros for the padding, their mean for unknown words."""
        tables = {name: np.array(self.model_.parameters[name]) for name in self._tables()}
        for table in tables.values():
            table[PADDING] = 0
        if given is not None:
            words, table = self.coder_.vocabularies[0].symbols, next(iter(tables.values()))
            rows = [k for k, word in enumerate(words[UNKNOWN + 1:], UNKNOWN + 1) if word in given]
            table[rows] = given.vectors[[given.rows[words[k]] for k in rows]]
            table[UNKNOWN] = given.vectors.mean(axis=0)
        self.model_.set_parameters(**tables)

    def _ids(self, sentences):
        """The numbers that the network reads, (tokens, channels · window): the window of each channel in turn."""
        windows = self.coder_.windows(sentences)
        return np.ascontiguousarray(windows.transpose(0, 2, 1)).reshape(len(windows), -1)

    # ------------------------------------------------------------------------------------------ training

    def _train(self, run, validate):
        """``run(arguments of Model.fit or train)`` by the estimator's options, watched after every epoch."""
        options = Options(self.max_iter, self.batch_size, float(self.learning_rate_init), clip_norm=self.clip_norm,
                          clip_value=self.clip_value)
        stopping = Tolerance(self.tol, self.n_iter_no_change, score=True) if self.early_stopping else None
        optimizer = self.solver if isinstance(self.solver, Optimizer) else OPTIMIZERS[self.solver]
        callbacks = [self._say] if self.verbose else []
        run(optimizer=optimizer, options=options, validate=validate, stopping=stopping, callbacks=(*callbacks, *self._watching))
        self.n_iter_ = len(self.model_.history)
        self.loss_curve_ = self.model_.history["loss"]
        self.validation_scores_ = [s for s in self.model_.history["validation_score"] if s is not None]
        self.best_validation_score_ = max(self.validation_scores_, default=None)

    _watching = ()                  # further callbacks of a run, such as a progress bar

    def _say(self, record):
        print(f"Iteration {record['epoch'] + 1}, loss = {record['loss']:.8f}")
        if record.get("validation_score") is not None:
            print(f"Validation score: {record['validation_score']:f}")

    def _own_rows(self, X, y, eval_set, seed):
        """(training sentences, their labels, (validation sentences, labels) or None): whole sentences are set aside."""
        if eval_set is not None:
            if not isinstance(eval_set, (tuple, list)) or len(eval_set) != 2:
                raise OptionError("eval_set is not a pair (sentences, tags)", fix="eval_set=(X_validation, y_validation)")
            return X, y, eval_set
        if not self.early_stopping:
            return X, y, None
        apart = max(1, round(self.validation_fraction * len(X)))
        if apart >= len(X):
            raise DataError(f"{len(X)} sentences: none would be left to train on", fix="more sentences, or eval_set=(X, y)")
        chosen = np.random.RandomState(seed).permutation(len(X))
        held, kept = np.sort(chosen[:apart]), np.sort(chosen[apart:])
        return [X[k] for k in kept], [y[k] for k in kept], ([X[k] for k in held], [y[k] for k in held])

    def _seed(self):
        return int(self.random_state) % 2**32 if isinstance(self.random_state, (int, np.integer)) else None

    # ------------------------------------------------------------------------------------------ looking inside

    @property
    def network_(self):
        """The Network behind the estimator."""
        return self.model_.network

    @property
    def vectors_(self):
        """The word vectors as they are now; ``initial_vectors_`` are those before learning (not kept in files)."""
        return WordVectors(self.coder_.vocabularies[0].symbols, self.model_.parameters[self._tables()[0]])

    def neighbours(self, word, count=10, before=False):
        """The words with the nearest vectors, [(word, cosine)], after learning or before it."""
        check_is_fitted(self, "model_")
        if before and not hasattr(self, "initial_vectors_"):
            raise OptionError("the vectors from before learning are not kept in a file", fix="read_vectors(path).nearest(word)")
        word = channel(self.coder_.channels[0])(word)
        if word not in self.coder_.vocabularies[0]:
            close = nearest(word, self.coder_.vocabularies[0].symbols[2:])
            raise DataError(f"{word!r} is not among the words of training",
                            fix=f"did you mean {close!r}?" if close else "another word")
        return (self.initial_vectors_ if before else self.vectors_).nearest(word, count)

    def top_windows(self, unit, X, count=10, layer=1):
        """The windows of a text that excite a hidden unit most: what feature it indicates.

        Parameters  unit, layer  from 0 and from 1; X: sentences
        Gives       [(activation, the window's words, sentence, token)], the largest first; equal windows once
        """
        check_is_fitted(self, "model_")
        sentences = as_sentences(X)
        name, units = self._hidden_name(layer)
        if isinstance(unit, bool) or not isinstance(unit, (int, np.integer)) or not 0 <= unit < units:
            raise OptionError(f"unit={unit!r}: hidden layer {layer} has {units} units", fix=f"a number from 0 to {units - 1}")
        ids = self._ids(sentences)
        values = np.concatenate([part[:, unit] for part in self._equation(ids, name)])
        places = [(s, t) for s, sentence in enumerate(sentences) for t in range(len(sentence))]
        found, met = [], set()
        for k in np.argsort(-values, kind="stable"):
            if ids[k].tobytes() not in met:
                met.add(ids[k].tobytes())
                s, t = places[k]
                found.append((float(values[k]), self._words_around(sentences[s], t), s, t))
            if len(found) == count:
                break
        return found

    def _words_around(self, sentence, token):
        margin = self.coder_.window // 2
        return [sentence[t] if 0 <= t < len(sentence) else "" for t in range(token - margin, token + margin + 1)]

    def _hidden_name(self, layer):
        """(name of the activation, units) of a hidden layer, from 1."""
        labels = [(label, placed.units) for placed, label, *_ in self.model_.network.placed if isinstance(placed, Dense)][:-1]
        if isinstance(layer, bool) or not isinstance(layer, (int, np.integer)) or not 1 <= layer <= len(labels):
            raise OptionError(f"layer={layer!r}: there are {len(labels)} hidden layers", fix=f"a number from 1 to {len(labels)}")
        label, units = labels[layer - 1]
        return [e.name for e in self.model_.network.system() if e.layer == label][-1], units

    def _equation(self, ids, name):
        """An equation of the network on single windows, part by part."""
        program = self.model_.program(name)
        for start in range(0, len(ids), CHUNK):
            yield self.model_._run(program, {"ids": ids[start:start + CHUNK]}).outputs()[name]

    def trace(self, sentence, tags=None, title=None):
        """Every number of a sentence's windows, and the error signal shared out down to the word vectors: a SentenceTrace.

        Parameters  sentence  a list of tokens; tags: their true tags, where they are known
        """
        from .sentence import sentence_trace           # typesetting loads only when asked for
        check_is_fitted(self, "model_")
        tokens = as_sentences([sentence])[0]
        about = {"predicted": self._labels(tokens), "true": None if tags is None else self._true_labels(tokens, tags),
                 "title": title or " ".join(tokens)[:200]}
        network, names, loss = self._single()
        derivation = network.derive()
        return sentence_trace(self.model_, network, self._ids([tokens]), tokens,
                              [self._words_around(tokens, t) for t in range(len(tokens))],
                              names, loss=loss, formulas=derivation.to_html(), **about)

    def derive(self, *args, **options):
        """The equations of the gradients that trained it: ``Network.derive``."""
        check_is_fitted(self, "model_")
        return self.network_.derive(*args, **options)

    def _cut(self, sentences, values):
        """Values of all tokens as one list or array per sentence."""
        ends = np.cumsum([len(sentence) for sentence in sentences])
        return [values[end - len(sentence):end] for end, sentence in zip(ends, sentences)]

    # ------------------------------------------------------------------------------------------ files

    def _state(self):
        """What a model file holds beside the network, as plain data."""
        return {"estimator": type(self).__name__, "coder": self.coder_.state(), "options": self._plain_options()}

    def _plain_options(self):
        plain = {}
        for name, value in self.get_params(deep=False).items():
            value = list(value) if isinstance(value, tuple) else value
            if name not in UNKEPT and isinstance(value, (str, int, float, list, dict)):
                plain[name] = value
        return plain

    def save(self, path):
        """Write a model file: the network, its vectors and vocabularies; no code."""
        check_is_fitted(self, "model_")
        self.model_.extra[KEY] = json.dumps(self._state())
        return self.model_.save(path)

    @classmethod
    def load(cls, path, *, engine=None, threads=None):
        """The estimator behind a file that ``save`` wrote. Raises ModelFileError where it is none."""
        return cls.of(Model.load(path, engine=engine, threads=threads), path)

    @classmethod
    def of(cls, model, path):
        """The estimator of a model that was loaded from a path."""
        where = str(path)
        if KEY not in model.extra:
            raise ModelFileError("this model does not read words", where=where,
                                 fix="load it with Model.load, or predict with its table")
        try:
            state = json.loads(model.extra[KEY])
            made = next((c for c in (cls, *cls.__subclasses__()) if c.__name__ == state["estimator"]), None)
            if made is None:
                raise ModelFileError(f"the file holds a {str(state['estimator'])[:40]}, not a {cls.__name__}", where=where)
            estimator = made(**{k: tuple(v) if isinstance(v, list) else v for k, v in state["options"].items()})
            check_parameters(estimator)
            estimator.coder_, estimator.model_ = WindowCoder.from_state(state["coder"]), model
            estimator._restore(state)
            rows = [len(vocabulary) for vocabulary in estimator.coder_.vocabularies for _ in range(estimator.coder_.window)]
            if np.broadcast_to(model.network.vocabulary, model.network.window).tolist() != rows:
                raise ValueError("the network does not fit the vocabularies")
        except ModelFileError:
            raise
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ModelFileError(f"the words in the file cannot be read: {str(error):.200}", where=where,
                                 fix="save the model again from the training run") from None
        return estimator
