"""WindowTagger and WindowScorer: named entities by windows of words.

    from backproof.estimators import WindowTagger

Source  Collobert et al., Natural language processing (almost) from scratch (2011), the window approach; the scorer's
        max-margin is article D (CS224n, note 3).
"""

import warnings

import numpy as np
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from ..data.corruption import Corruption
from ..data.door import feeds
from ..data.messages import DataWarning, listed, shown
from ..data.tags import convert, parse_tag, score_entities, spans, to_tags
from ..data.words import as_sentences
from ..errors import DataError, OptionError
from ..network import Network
from ..networks import Dense
from ..networks.losses import LOSSES
from .mlp import _at
from .parameters import Parameter, check_parameters, parameters
from .windows import OWN, Windows

__all__ = ["WindowScorer", "WindowTagger"]


def as_tags(sentences, tags, name="y"):
    """Checked tag lists, one tag for each token. Raises DataError naming sentence and token."""
    if isinstance(tags, (str, bytes)) or not hasattr(tags, "__len__") or len(tags) != len(sentences):
        have = f"{len(tags)} entries" if hasattr(tags, "__len__") and not isinstance(tags, (str, bytes)) else shown(tags)
        raise DataError(f"{name} has {have} for {len(sentences)} sentences", fix="a list of tags for each sentence")
    found = []
    for k, (sentence, marks) in enumerate(zip(sentences, tags)):
        marks = [marks] if isinstance(marks, str) else list(marks)
        if len(marks) != len(sentence):
            raise DataError(f"sentence {k} has {len(sentence)} tokens and {len(marks)} tags", fix="one tag for each token")
        for t, mark in enumerate(marks):
            try:
                parse_tag(mark)
            except DataError as error:
                raise DataError(error.what, where=f"sentence {k}, token {t} ({shown(sentence[t])})", fix=error.fix) from None
        found.append(marks)
    return found


def _has_probabilities(estimator):
    if estimator.loss == "cross_entropy":
        return True
    raise AttributeError(f"{estimator.loss} scores tags; it has no probabilities")


# ---------------------------------------------------------------------------------------------------- the tagger

@parameters("window", "hidden_layer_sizes", "activation", **{
    **OWN,
    "loss": Parameter("cross_entropy", lambda v: v in ("cross_entropy", "multiclass_margin"), "cross_entropy or multiclass_margin",
                      "of a token's tag"),
    "scheme": Parameter("BIO", lambda v: v in ("BIO", "IOBES"), "BIO or IOBES",
                        "what the network learns; answers have the scheme of y"),
    "class_weight": Parameter(None, lambda v: v is None or v == "balanced" or isinstance(v, dict), "None, 'balanced' or a dict",
                              "weights by tag or by type: {'O': 0.5, 'person': 2}"),
})
class WindowTagger(Windows):
    """A network that tags every token of a sentence from the window of words around it.

    Parameters ([default])
    {parameters}

    Attributes  classes_ (the tags that it learnt), coder_ (vocabularies), vectors_, initial_vectors_, model_, network_,
                n_iter_, loss_curve_, validation_scores_, best_validation_score_

    >>> X = [["Museums", "in", "Paris"], ["She", "lives", "in", "Lima"], ["Lima", "is", "far"]] * 10
    >>> y = [["O", "O", "B-place"], ["O", "O", "O", "B-place"], ["B-place", "O", "O"]] * 10
    >>> tagger = WindowTagger(window=3, hidden_layer_sizes=8, dimensions=4, learning_rate_init=0.05, random_state=0).fit(X, y)
    >>> tagger.predict([["Trains", "in", "Lima"]]), tagger.score(X, y)
    ([['O', 'O', 'B-place']], 1.0)
    """

    def fit(self, X, y, sample_weight=None, eval_set=None):
        """Train on sentences and their tags.

        Parameters  sample_weight  one weight for each sentence
                    eval_set       (sentences, tags) that decide when to stop where early_stopping=True, by entity F1
        Raises      DataError naming sentence and token; KeyboardInterrupt leaves the last complete step.
        """
        check_parameters(self)
        X = as_sentences(X)
        y = as_tags(X, y)
        weights = None if sample_weight is None else self._sentence_weights(sample_weight, len(X))
        if weights is not None:
            X, y = [X[k] for k in np.flatnonzero(weights)], [y[k] for k in np.flatnonzero(weights)]
            weights = weights[weights > 0]
            if eval_set is None and self.early_stopping:
                raise OptionError("sample_weight with early_stopping needs sentences of your own to stop by", fix="eval_set=(X, y)")
        X, y, held = self._own_rows(X, y, eval_set, self._seed())
        self.answers_ = "IOBES" if any(tag[0] in "ESLU" for tags in y for tag in tags) else "BIO"
        y = [convert(tags, self.scheme) for tags in y]
        self.classes_ = np.array(sorted({tag for tags in y for tag in tags}, key=lambda tag: (tag != "O", tag[2:], tag[:1])))
        if len(self.classes_) < 2:
            raise DataError(f"every token is tagged {shown(str(self.classes_[0]))}: there is nothing to learn",
                            fix="give sentences with entities")
        self._start(X)
        fed = feeds(self.model_.network, self.model_.dtype, self._ids(X), self._encode(y), self._token_weights(X, y, weights))
        self._train(lambda **how: self.model_.train(fed, how.pop("optimizer"), how.pop("options"), **how), self._validation(held))
        return self

    @staticmethod
    def _sentence_weights(sample_weight, n):
        weights = np.asarray(sample_weight, np.float64)
        if weights.shape != (n,) or not (np.isfinite(weights) & (weights >= 0)).all() or not weights.any():
            raise DataError(f"sample_weight of shape {weights.shape} for {n} sentences",
                            fix="a number of at least 0 for each, not all 0")
        return weights

    def _token_weights(self, X, y, weights):
        """One weight for each token, or None: the sentence's times the tag's."""
        if weights is None and self.class_weight is None:
            return None
        found = np.ones(sum(map(len, X))) if weights is None else np.repeat(weights, [len(sentence) for sentence in X])
        tags = [tag for marks in y for tag in marks]
        if self.class_weight == "balanced":
            return found * compute_sample_weight("balanced", tags)
        if self.class_weight is not None:
            known = {*self.classes_.tolist(), *(tag[2:] for tag in self.classes_.tolist() if tag != "O")}
            odd = [key for key in self.class_weight if key not in known]
            if odd:
                raise OptionError(f"class_weight has {shown(odd[0])}, which is neither a tag nor a type here",
                                  fix=f"one of {listed(sorted(known), 20)}")
            found = found * [self.class_weight.get(tag, self.class_weight.get(tag[2:], 1.0)) for tag in tags]
        return found

    def _encode(self, y, name="y"):
        """The numbers of all tags, in one array."""
        numbers = {tag: k for k, tag in enumerate(self.classes_.tolist())}
        for k, tags in enumerate(y):
            for t, tag in enumerate(tags):
                if tag not in numbers:
                    raise DataError(f"the tag {shown(tag)} does not occur in training", where=f"{name}, sentence {k}, token {t}",
                                    fix=f"train on sentences with it, or use one of {listed(self.classes_.tolist(), 20)}")
        return np.array([numbers[tag] for tags in y for tag in tags], np.int64)

    def _validation(self, held):
        if held is None:
            return None
        X = as_sentences(held[0], "X of eval_set")
        y = [convert(tags, self.scheme) for tags in as_tags(X, held[1], "y of eval_set")]
        ids, targets = self._ids(X), self._encode(y, "eval_set")

        def measure(parameters):
            model = _at(self.model_, parameters)
            return {"validation_loss": model.loss(ids, targets),
                    "validation_score": score_entities(y, self._decided(X, model.predict(ids)))["overall"]["f1"]}
        return measure

    def _loss(self):
        return LOSSES[self.loss]

    def _output(self):
        return [Dense(len(self.classes_), "softmax" if self.loss == "cross_entropy" else "linear")]

    # ------------------------------------------------------------------------------------------ answers

    def _decided(self, sentences, scores):
        tags = self.classes_[scores.argmax(axis=1)].tolist()
        return [to_tags(spans(part), len(part), self.answers_) for part in self._cut(sentences, tags)]

    def _scores(self, sentences):
        check_is_fitted(self, "model_")
        return self.model_.predict(self._ids(sentences))

    def predict(self, X):
        """The tags of every sentence, a list of lists; the likeliest of each token, then put in order by conlleval's rule."""
        check_is_fitted(self, "model_")
        X = as_sentences(X)
        return self._decided(X, self._scores(X))

    @available_if(_has_probabilities)
    def predict_proba(self, X):
        """The probabilities of the tags: an array (tokens, tags) for each sentence, in the order of ``classes_``."""
        check_is_fitted(self, "model_")
        X = as_sentences(X)
        return self._cut(X, self._scores(X))

    def score(self, X, y):
        """The F1 of whole entities, counted over all types as conlleval does (by seqeval)."""
        return self.evaluate(X, y)["overall"]["f1"]

    def evaluate(self, X, y):
        """Precision, recall, F1 and support of every type and overall: `score_entities`. Unlearnt types count as misses."""
        X = as_sentences(X)
        y = as_tags(X, y)
        predicted = self.predict(X)
        strange = sorted({k for tags in y for k, *_ in spans(tags)} - {tag[2:] for tag in self.classes_.tolist()})
        if strange:
            warnings.warn(f"the types {listed(strange)} do not occur in training: every such entity counts as missed", DataWarning,
                          stacklevel=2)
        return score_entities(y, predicted)

    def _labels(self, tokens):
        return self.predict([tokens])[0]

    def _true_labels(self, tokens, tags):
        return convert(as_tags([tokens], [tags], "tags")[0], self.scheme)

    def _single(self):
        """(the network of single windows, names of its outputs, has it a loss by tag?)."""
        return self.network_, self.classes_.tolist(), True

    # ------------------------------------------------------------------------------------------ files

    def _state(self):
        return {**super()._state(), "classes": self.classes_.tolist(), "answers": self.answers_}

    def _restore(self, state):
        self.classes_, self.answers_ = np.array(state["classes"], dtype=str), state["answers"]
        if len(self.classes_) != self.model_.network.outputs or self.answers_ not in ("BIO", "IOBES"):
            raise ValueError("the tags do not fit the network")
        for tag in self.classes_.tolist():
            parse_tag(tag)


# ---------------------------------------------------------------------------------------------------- the scorer

@parameters("window", "hidden_layer_sizes", "activation", **{
    **OWN,
    "early_stopping": None, "validation_fraction": None, "n_iter_no_change": None, "tol": None,
    "hidden_layer_sizes": Parameter((8,), OWN["hidden_layer_sizes"].allowed, OWN["hidden_layer_sizes"].wanted,
                                    "units of each hidden layer"),
    "margin": Parameter(1.0, lambda v: isinstance(v, (int, float)) and not isinstance(v, bool) and v > 0, "a number above 0",
                        "Δ: how far a true window's score shall lie above a corrupt one's"),
    "loss": Parameter("pairwise_margin", lambda v: v in ("pairwise_margin", "pairwise_difference"),
                      "pairwise_margin or pairwise_difference", "of a pair of windows: max(0, Δ + s_c − s), or s_c − s alone"),
})
class WindowScorer(Windows):
    """The scorer of article D: is the middle word of a window (part of) an entity? s = Uᵀ f(Wx + b), trained by max-margin.

    Each window with an entity in its middle is paired with a corrupt one, a window of the same text without, drawn anew in every
    epoch; J = max(0, Δ + s_c − s), so that a pair far enough apart teaches nothing.

    Parameters ([default])
    {parameters}

    Attributes  threshold_ (the score above which ``predict`` says yes: best F1 on the training tokens), coder_, vectors_, model_

    >>> X = [["Museums", "in", "Paris"], ["She", "lives", "in", "Lima"], ["Lima", "is", "far"]] * 10
    >>> y = [["O", "O", "B-place"], ["O", "O", "O", "B-place"], ["B-place", "O", "O"]] * 10
    >>> scorer = WindowScorer(window=3, dimensions=4, learning_rate_init=0.05, random_state=0).fit(X, y)
    >>> scorer.predict([["Trains", "in", "Lima"]])[0].tolist(), scorer.score(X, y)
    ([False, False, True], 1.0)
    """

    early_stopping = False

    def fit(self, X, y):
        """Train on sentences and their tags; a token is one of an entity where its tag is not O."""
        check_parameters(self)
        X = as_sentences(X)
        inside = self._inside(X, y)
        if inside.all() or not inside.any():
            raise DataError("no token is outside of an entity" if inside.all() else "no token is part of an entity",
                            fix="pairs need windows of both kinds")
        self._start(X)
        ids = self._ids(X)
        self._train(lambda **how: self._run(Corruption(ids[inside], ids[~inside]), **how), None)
        self.threshold_ = _best_threshold(self._score_ids(ids), inside)
        return self

    def _run(self, pairs, *, optimizer, options, validate, stopping, callbacks):
        self.model_.fit(pairs, epochs=options.epochs, batch_size=options.batch_size, optimizer=optimizer, callbacks=callbacks,
                        learning_rate=options.learning_rate, clip_norm=options.clip_norm, clip_value=options.clip_value)

    def _inside(self, X, y):
        return np.array([tag != "O" for tags in as_tags(X, y) for tag in tags])

    def _loss(self):
        return LOSSES[self.loss](**({"margin": self.margin} if self.loss == "pairwise_margin" else {}))

    def _output(self):
        return [Dense(1, bias=False, name="score")]

    def _score_ids(self, ids):
        """The scores of single windows: the network takes them two by two, and no window sees the other."""
        padded = np.concatenate([ids, ids[:len(ids) % 2]])
        return self.model_.predict(padded.reshape(-1, 2, ids.shape[1])).reshape(-1)[:len(ids)]

    def _equation(self, ids, name):
        for start in range(0, len(ids), 2048):
            part = ids[start:start + 2048]
            pairs = np.stack([part, part], axis=1)
            yield self.model_.values(pairs, None, name)[name][:, 0]

    def decision_function(self, X):
        """The score s of every token: an array for each sentence."""
        check_is_fitted(self, "model_")
        X = as_sentences(X)
        return self._cut(X, self._score_ids(self._ids(X)))

    def predict(self, X):
        """Is each token part of an entity: does its score lie above ``threshold_``?"""
        return [scores > self.threshold_ for scores in self.decision_function(X)]

    def score(self, X, y):
        """The share of pairs (a token inside, one outside) that the scores put in the right order: the area under the ROC curve."""
        X = as_sentences(X)
        inside = self._inside(X, y)
        if inside.all() or not inside.any():
            raise DataError("there are no pairs: every token is " + ("inside" if inside.all() else "outside"),
                            fix="sentences with entities")
        from sklearn.metrics import roc_auc_score                      # loads with the first score
        return float(roc_auc_score(inside, np.concatenate(self.decision_function(X))))

    def _labels(self, tokens):
        return ["entity" if inside else "O" for inside in self.predict([tokens])[0]]

    def _true_labels(self, tokens, tags):
        return ["O" if tag == "O" else "entity" for tag in as_tags([tokens], [tags], "tags")[0]]

    def _single(self):
        return Network(list(self.network_.layers), loss="squared_error"), ["s"], False

    def _state(self):
        return {**super()._state(), "threshold": self.threshold_}

    def _restore(self, state):
        self.threshold_ = float(state["threshold"])
        if self.model_.network.outputs != 1 or not self.model_.network.pairs or not np.isfinite(self.threshold_):
            raise ValueError("the network scores no windows")


def _best_threshold(scores, inside):
    """The score between two tokens above which F1 is largest; the highest such."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(inside[order])
    f1 = 2 * hits / (np.arange(1, len(scores) + 1) + inside.sum())
    last = np.append(scores[order][1:] < scores[order][:-1], True)              # a threshold lies between different scores
    k = int(np.argmax(np.where(last, f1, -1)))
    return float((scores[order[k]] + scores[order[k + 1]]) / 2) if k + 1 < len(scores) else float(scores[order[k]] - 1)
