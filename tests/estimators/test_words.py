"""WindowTagger and WindowScorer: what they learn, answer, keep and refuse."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from backproof import check_gradients
from backproof.data.entities import entities
from backproof.data.tags import score_entities, spans
from backproof.data.vectors import WordVectors
from backproof.errors import DataError, ModelFileError, OptionError
from backproof.estimators import WindowScorer, WindowTagger

TRAINING, VALIDATION, TEST = (entities(part) for part in ("training", "validation", "test"))
QUICK = {"hidden_layer_sizes": 20, "dimensions": 10, "learning_rate_init": 0.01, "random_state": 0, "min_count": 1}


@pytest.fixture(scope="module")
def tagger():
    return WindowTagger(max_iter=15, **QUICK).fit(TRAINING.sentences, TRAINING.tags,
                                                  eval_set=(VALIDATION.sentences, VALIDATION.tags))


@pytest.fixture(scope="module")
def scorer():
    return WindowScorer(max_iter=20, **{**QUICK, "hidden_layer_sizes": 8}).fit(TRAINING.sentences, TRAINING.tags)


# ------------------------------------------------------------------------------------------ learning

def test_entities_are_found_that_training_did_not_have(tagger):
    found = tagger.evaluate(TEST.sentences, TEST.tags)
    usual = score_entities(TEST.tags, [["O"] * len(s) for s in TEST.sentences])["overall"]
    assert found["overall"]["f1"] > 0.75 > usual["f1"] and tagger.score(TEST.sentences, TEST.tags) == found["overall"]["f1"]
    assert tagger.predict([["Trains", "in", "Xyz", "are", "quiet"]]) == [["O", "O", "B-place", "O", "O"]]


def test_the_word_beside_decides(tagger):
    found = tagger.predict(["Ada Jordan lives in Jordan and works for Nordwind .".split()])[0]
    assert found[:2] == ["B-person", "I-person"] and found[4] == "B-place"


@pytest.mark.parametrize("options", [{"loss": "multiclass_margin"}, {"scheme": "IOBES"}, {"layers": "16 relu | dropout 0.1"},
                                     {"channels": ("form", "suffix2", "shape")}, {"hidden_layer_sizes": ()}, {"window": 1}])
def test_every_option_learns(options):
    made = WindowTagger(max_iter=15, **{**QUICK, **options}).fit(TRAINING.sentences, TRAINING.tags)
    assert made.score(TRAINING.sentences, TRAINING.tags) > (0.6 if options == {"window": 1} else 0.9)


def test_the_scorer_ranks_entities_above_the_rest(scorer):
    assert scorer.score(TEST.sentences, TEST.tags) > 0.95
    found = scorer.predict(TEST.sentences)
    right = [inside == (tag != "O") for marks, tags in zip(found, TEST.tags) for inside, tag in zip(marks, tags)]
    assert np.mean(right) > 0.9


def test_the_scorer_is_the_article_s_network(scorer):
    network = scorer.network_
    assert network.spec.endswith("| 8 tanh | score: 1 nobias") and network.loss.text() == "pairwise_margin"
    assert all(0 <= share <= 1 for share in scorer.model_.history["idle"])
    assert scorer.model_.history["idle"][-1] > scorer.model_.history["idle"][0]
    wider = WindowScorer(margin=2.0, max_iter=1, **QUICK).fit(TRAINING.sentences, TRAINING.tags)
    assert wider.network_.loss.text() == "pairwise_margin(margin=2.0)"


def test_a_score_does_not_depend_on_the_window_beside_it(scorer):
    whole = scorer.decision_function(TEST.sentences[:3])
    for sentence, scores in zip(TEST.sentences[:3], whole):
        assert np.allclose(scorer.decision_function([sentence])[0], scores, rtol=1e-6, atol=1e-6)
        assert np.allclose([scorer.decision_function([sentence])[0][0]], scores[0], rtol=1e-6, atol=1e-6)


def test_equal_seeds_give_equal_bits_and_others_do_not(tagger):
    again = WindowTagger(max_iter=15, **QUICK).fit(TRAINING.sentences, TRAINING.tags)
    other = WindowTagger(max_iter=15, **{**QUICK, "random_state": 1}).fit(TRAINING.sentences, TRAINING.tags)
    for name, array in tagger.model_.parameters.items():
        assert np.array_equal(array, again.model_.parameters[name])
    assert not np.array_equal(tagger.vectors_.vectors, other.vectors_.vectors)


def test_the_gradients_of_a_tagger_pass_the_check():
    made = WindowTagger(max_iter=1, **{**QUICK, "dimensions": 3, "hidden_layer_sizes": 4})
    made.fit(TRAINING.sentences[:4], TRAINING.tags[:4])
    model = made.network_.build(seed=1, dtype="float64")
    ids, y = made._ids(TRAINING.sentences[:2]), made._encode(TRAINING.tags[:2])
    assert check_gradients(model, ids, y, seed=0).verdict == "pass"


# ------------------------------------------------------------------------------------------ stopping, weights

def test_the_best_epoch_by_entity_f1_is_kept():
    made = WindowTagger(max_iter=30, early_stopping=True, n_iter_no_change=3, **QUICK)
    made.fit(TRAINING.sentences, TRAINING.tags, eval_set=(VALIDATION.sentences, VALIDATION.tags))
    assert made.n_iter_ < 30 and made.best_validation_score_ == max(made.validation_scores_)
    assert made.score(VALIDATION.sentences, VALIDATION.tags) == pytest.approx(made.best_validation_score_)
    own = WindowTagger(max_iter=3, early_stopping=True, validation_fraction=0.2, **QUICK).fit(TRAINING.sentences, TRAINING.tags)
    assert len(own.validation_scores_) == own.n_iter_


def test_class_weights_move_the_decisions():
    def found(weight):
        made = WindowTagger(max_iter=1, class_weight=weight, **QUICK).fit(TRAINING.sentences, TRAINING.tags)
        return sum(len(spans(tags)) for tags in made.predict(TEST.sentences))
    assert found({"O": 50.0}) < found(None) < found({"place": 50.0, "person": 50.0, "group": 50.0})
    assert found("balanced") > 0
    with pytest.raises(OptionError, match="class_weight has 'plaec', which is neither a tag nor a type"):
        WindowTagger(class_weight={"plaec": 2}, **QUICK).fit(TRAINING.sentences, TRAINING.tags)


def test_a_sentence_of_weight_0_is_a_sentence_left_out():
    weights = np.ones(len(TRAINING.sentences))
    weights[100:] = 0
    one = WindowTagger(max_iter=2, **QUICK).fit(TRAINING.sentences, TRAINING.tags, sample_weight=weights)
    other = WindowTagger(max_iter=2, **QUICK).fit(TRAINING.sentences[:100], TRAINING.tags[:100], sample_weight=np.ones(100))
    assert np.array_equal(one.vectors_.vectors, other.vectors_.vectors)


# ------------------------------------------------------------------------------------------ vectors

def test_given_vectors_are_where_learning_starts(tmp_path):
    words = ["paris", "lima", "oslo", "Nowhere"]
    given = WordVectors(words, np.random.default_rng(0).normal(size=(4, 6)))
    for vectors in (given, given.save(tmp_path / "v.txt")):
        made = WindowTagger(max_iter=2, vectors=vectors, **{**QUICK, "dimensions": None}).fit(TRAINING.sentences, TRAINING.tags)
        start, now = made.initial_vectors_, made.vectors_
        assert np.array_equal(start["paris"], given["paris"]) and np.array_equal(start["nowhere"], given["Nowhere"])
        assert np.allclose(start["<unknown>"], given.vectors.mean(axis=0)) and not start["<padding>"].any()
        assert not np.array_equal(now["paris"], given["paris"])
        assert np.array_equal(now["nowhere"], given["Nowhere"])          # no sentence has it: it stays


def test_frozen_vectors_stay_and_the_rest_learns():
    given = WordVectors(["oslo", "in"], np.random.default_rng(0).normal(size=(2, 10)))
    made = WindowTagger(max_iter=3, vectors=given, freeze_vectors=True, **QUICK).fit(TRAINING.sentences, TRAINING.tags)
    assert np.array_equal(made.vectors_.vectors, made.initial_vectors_.vectors)
    assert made.loss_curve_[-1] < made.loss_curve_[0]


def test_every_channel_has_a_table_of_its_own():
    made = WindowTagger(max_iter=1, channels=("word", "case", "suffix2"), channel_dimensions=3, **QUICK)
    made.fit(TRAINING.sentences, TRAINING.tags)
    shapes = {p.name: p.shape for p in made.network_.parameters if p.kind == "table"}
    assert list(shapes) == ["word.E", "case.E", "suffix2.E"] and [d for _, d in shapes.values()] == [10, 3, 3]
    ids = made._ids([["Ada", "lives"]])
    assert ids.shape == (2, 15) and ids[0, [0, 1, 5, 6, 10, 11]].tolist() == [0] * 6


def test_neighbours_before_and_after(tagger):
    before, after = tagger.neighbours("Oslo", 5, before=True), tagger.neighbours("Oslo", 5)
    assert before != after and len(after) == 5 and all(-1.001 <= cosine <= 1.001 for _, cosine in after)
    assert "oslo" not in [word for word, _ in after]
    with pytest.raises(DataError, match="'oslp' is not among the words of training\n  fix  did you mean 'oslo'"):
        tagger.neighbours("Oslp")


def test_top_windows_are_the_largest_activations(tagger):
    top = tagger.top_windows(3, TEST.sentences, count=4)
    activations = np.concatenate(list(tagger._equation(tagger._ids(TEST.sentences), "a2")))[:, 3]
    assert top[0][0] == activations.max() and [a for a, *_ in top] == sorted((a for a, *_ in top), reverse=True)
    value, words, sentence, token = top[0]
    assert words[2] == TEST.sentences[sentence][token] and len(words) == 5
    with pytest.raises(OptionError, match="hidden layer 1 has 20 units"):
        tagger.top_windows(20, TEST.sentences)
    with pytest.raises(OptionError, match="there are 1 hidden layers"):
        tagger.top_windows(0, TEST.sentences, layer=2)


def test_top_windows_of_the_scorer(scorer):
    top = scorer.top_windows(0, TEST.sentences, 3)
    assert len(top) == 3 and top[0][0] >= top[1][0]


# ------------------------------------------------------------------------------------------ answers

def test_answers_have_the_shape_of_the_sentences(tagger):
    X = [[], ["Go"], ["x"] * 10_000, ["日本", "\u202e", "\U0001f600"]]
    assert [len(tags) for tags in tagger.predict(X)] == [0, 1, 10_000, 3]
    probabilities = tagger.predict_proba(X)
    assert probabilities[0].shape == (0, 7) and probabilities[2].shape == (10_000, 7)
    assert np.allclose(probabilities[2].sum(axis=1), 1, atol=1e-5)


def test_margins_have_no_probabilities():
    made = WindowTagger(loss="multiclass_margin", max_iter=1, **QUICK).fit(TRAINING.sentences, TRAINING.tags)
    assert not hasattr(made, "predict_proba") and len(made.predict(TEST.sentences)) == 60


def test_answers_have_the_scheme_of_the_truth():
    from backproof.data.tags import convert

    tags = [convert(marks, "IOBES") for marks in TRAINING.tags]
    for scheme in ("BIO", "IOBES"):
        made = WindowTagger(max_iter=10, scheme=scheme, **QUICK).fit(TRAINING.sentences, tags)
        found = {tag[0] for marks in made.predict(TRAINING.sentences) for tag in marks}
        assert "S" in found and made.score(TRAINING.sentences, tags) > 0.9


def test_types_without_training_count_as_missed(tagger):
    with pytest.warns(UserWarning, match="'animal' do not occur in training"):
        found = tagger.evaluate([["A", "cat"]], [["O", "B-animal"]])
    assert found["types"]["animal"]["support"] == 1 and found["overall"]["recall"] == 0


# ------------------------------------------------------------------------------------------ files, scikit-learn

def test_what_is_saved_answers_alike(tmp_path, tagger, scorer):
    path = tagger.save(tmp_path / "t.safetensors")
    again = WindowTagger.load(path)
    assert again.predict(TEST.sentences) == tagger.predict(TEST.sentences) and again.classes_.tolist() == tagger.classes_.tolist()
    assert again.neighbours("oslo", 3) == tagger.neighbours("oslo", 3) and again.window == 5
    with pytest.raises(OptionError, match="not kept in a file"):
        again.neighbours("oslo", before=True)
    path = scorer.save(tmp_path / "s.safetensors")
    again = WindowScorer.load(path)
    assert again.threshold_ == scorer.threshold_ and all(
        np.array_equal(a, b) for a, b in zip(again.predict(TEST.sentences), scorer.predict(TEST.sentences)))
    with pytest.raises(ModelFileError, match="holds a WindowScorer, not a WindowTagger"):
        WindowTagger.load(path)


def test_odd_words_survive_a_file(tmp_path):
    X, y = [["\ud800", "日本", "a\x00b", "\u2028"]] * 4, [["O", "B-place", "O", "O"]] * 4
    made = WindowTagger(max_iter=1, **QUICK).fit(X, y)
    assert WindowTagger.load(made.save(tmp_path / "o.safetensors")).coder_ == made.coder_ or \
        WindowTagger.load(tmp_path / "o.safetensors").predict(X) == made.predict(X)


@pytest.mark.parametrize("change, message", [
    (lambda state: state.pop("coder"), "cannot be read"),
    (lambda state: state["classes"].append("B-x"), "the tags do not fit the network"),
    (lambda state: state["coder"]["symbols"][0].append("zzz"), "does not fit the vocabularies"),
    (lambda state: state["coder"].update(window=4), "the windows have no meaning"),
    (lambda state: state.update(estimator="Windows"), "holds a Windows"),
    (lambda state: state["options"].update(windw=3), "cannot be read"),
])
def test_changed_files_are_refused(tmp_path, tagger, change, message):
    import json
    from copy import copy

    state = json.loads(json.dumps(tagger._state()))
    change(state)
    model = copy(tagger.model_)
    model.extra = {"words": json.dumps(state)}
    with pytest.raises(ModelFileError, match=message):
        WindowTagger.load(model.save(tmp_path / "x.safetensors"))


def test_a_model_of_numbers_is_refused(tmp_path):
    from backproof import Network

    with pytest.raises(ModelFileError, match="does not read words"):
        WindowTagger.load(Network("2 | 1").build().save(tmp_path / "m.safetensors"))


def test_clone_pickle_and_grid_search(tagger):
    assert clone(tagger).get_params() == tagger.get_params()
    assert pickle.loads(pickle.dumps(tagger)).predict(TEST.sentences) == tagger.predict(TEST.sentences)
    search = GridSearchCV(WindowTagger(max_iter=2, **QUICK), {"window": [1, 3]}, cv=2).fit(TRAINING.sentences, TRAINING.tags)
    assert search.best_params_["window"] in (1, 3) and search.best_score_ > 0


def test_no_warnings_and_verbose_lines(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        WindowTagger(max_iter=2, verbose=True, **QUICK).fit(TRAINING.sentences, TRAINING.tags)
    assert "Iteration 2, loss = " in capsys.readouterr().out


# ------------------------------------------------------------------------------------------ refusals

@pytest.mark.parametrize("X, y, message", [
    ([["a", "b"]], [["O"]], "sentence 0 has 2 tokens and 1 tags"),
    ([["a"], ["b"]], [["O"]], "y has 1 entries for 2 sentences"),
    ([["a"]], [["PER"]], "'PER' is no tag of an entity\n  in   sentence 0, token 0"),
    ([["a"]], [["O"]], "every token is tagged 'O': there is nothing to learn"),
    ("a b", [["O"]], "X is text"),
    ([[]], [[]], "X has no token"),
    ([["a"]], "O", "y has 'O' for 1 sentences"),
])
def test_unusable_data_are_told(X, y, message):
    with pytest.raises(DataError, match=message):
        WindowTagger(**QUICK).fit(X, y)


@pytest.mark.parametrize("options, message", [
    ({"window": 4}, "window must be an odd whole number"), ({"loss": "hinge"}, "loss must be cross_entropy or multiclass_margin"),
    ({"min_count": 0}, "min_count must be a whole number"), ({"scheme": "IOB"}, "scheme must be BIO or IOBES"),
    ({"solver": "adma"}, "solver must be one of"), ({"l2": -1}, "l2 must be a number"),
    ({"dropout": (0.1, 0.2)}, "2 rates for 1 hidden"), ({"vectors": 3}, "vectors must be a path, WordVectors or None"),
    ({"channels": ("case",), "vectors": WordVectors(["a"], np.ones((1, 10)))}, "the first channel is"),
])
def test_unusable_options_are_told(options, message):
    with pytest.raises(OptionError, match=message):
        WindowTagger(**{**QUICK, **options}).fit(TRAINING.sentences, TRAINING.tags)


def test_vectors_of_another_dimension_are_told():
    with pytest.raises(DataError, match="the vectors have 3 dimensions; dimensions=10"):
        WindowTagger(vectors=WordVectors(["a"], np.ones((1, 3))), **QUICK).fit(TRAINING.sentences, TRAINING.tags)


def test_more_words_than_a_file_holds_are_refused_before_training(monkeypatch):
    from backproof.estimators import windows

    monkeypatch.setattr(windows, "WORDS", 500)
    with pytest.raises(DataError, match="a model file holds 500 bytes of them"):
        WindowTagger(**QUICK).fit(TRAINING.sentences, TRAINING.tags)


def test_validation_tags_without_training_are_told():
    with pytest.raises(DataError, match="the tag 'B-animal' does not occur in training\n  in   eval_set, sentence 0, token 1"):
        WindowTagger(**QUICK).fit(TRAINING.sentences, TRAINING.tags, eval_set=([["A", "cat"]], [["O", "B-animal"]]))


def test_pairs_need_windows_of_both_kinds():
    with pytest.raises(DataError, match="no token is part of an entity"):
        WindowScorer(**QUICK).fit([["a", "b"]], [["O", "O"]])
    with pytest.raises(DataError, match="no token is outside"):
        WindowScorer(**QUICK).fit([["a", "b"]], [["B-x", "I-x"]])
