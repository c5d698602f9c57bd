"""Windows of words: channels, the padding rule, frozen and given vectors, gradients on both sides of the margin."""

import numpy as np
import pytest

from backproof import Channels, Corruption, Dense, Embedding, Model, Network, Window, check_gradients
from backproof.errors import DataError, OptionError, ShapeError, SpecError
from backproof.oracles import assert_agree

ENGINES = ["reference", "native"]
CHANNELS = "word: window 5 vocabulary=20 embedding 3 + shape: window 3 vocabulary=4 embedding 2 | 6 tanh | 1 nobias"


def pairs(n=6, low=0, vocabularies=(20,) * 5 + (4,) * 3, seed=0):
    """Pairs of windows with repeated words in a window and rows that stand twice in the batch."""
    draw = np.random.default_rng(seed)
    X = np.stack([draw.integers(low, v, (n, 2)) for v in vocabularies], axis=2)
    X[:, :, 1] = X[:, :, 0]
    X[1] = X[0]
    return X


# ------------------------------------------------------------------------------------------------------ channels

def test_channels_are_windows_side_by_side_each_with_its_table():
    net = Network(CHANNELS, loss="pairwise_margin")
    assert net.spec == CHANNELS.replace("embedding ", "embedding=") and Network(net.spec, loss="pairwise_margin") == net
    assert Network.from_dict(net.to_dict()) == net
    assert net == Network([Channels((Window(5, 20, 3, name="word"), Window(3, 4, 2, name="shape"))), Dense(6, "tanh"),
                           Dense(1, bias=False)], loss="pairwise_margin")
    shapes = {p.name: p.shape for p in net.parameters}
    assert shapes == {"word.E": (20, 3), "shape.E": (4, 2), "W2": (21, 6), "b2": (6,), "W3": (6, 1)}
    assert (net.window, net.vocabulary) == (8, (20,) * 5 + (4,) * 3)
    model = net.build(dtype="float64")
    X = pairs()
    words, shapes = model.parameters["word.E"][X[..., :5]], model.parameters["shape.E"][X[..., 5:]]
    vectors = np.concatenate([words.reshape(6, 2, 15), shapes.reshape(6, 2, 6)], axis=2)
    assert (model.values(X, None, "e1")["e1"] == vectors).all()


def test_channels_without_a_name_are_numbered():
    net = Network("window 3 vocabulary=9 embedding 2 + window 1 vocabulary=5 embedding 2 | 2 softmax", loss="cross_entropy")
    assert [p.name for p in net.parameters][:2] == ["channel1.E", "channel2.E"]
    assert net.spec.startswith("window 3 vocabulary=9 embedding=2 + window 1 ") and "channel1" in str(net)


def test_each_id_of_a_row_has_its_own_vocabulary():
    model = Network(CHANNELS, loss="pairwise_margin").build()
    X = pairs()
    X[2, 1, 6] = 4                                                     # a word's number, but no shape's
    with pytest.raises(DataError, match="token 4 .* the model has 4"):
        model.loss(X, None)


@pytest.mark.parametrize(("given", "says"), [
    ((Window(3, 9, 2),), "two windows or more"),
    ((Window(3, 9, 2), Embedding(2, 9)), "two windows or more"),
    ((Window(3, 9, 2, name="w"), Window(3, 9, 2, name="w")), "two channels are called 'w'"),
    ((Window(3, 9, 2, padding=True), Window(3, 9, 2)), "padding is said of some"),
])
def test_channels_that_do_not_fit_are_refused(given, says):
    with pytest.raises(SpecError) as caught:
        Network([Channels(given), Dense(1)])
    assert says in str(caught.value)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_channel_is_updated_by_rows(engine):
    model = Network(CHANNELS, loss="pairwise_margin").build(engine=engine, dtype="float64", seed=3)
    before = {name: model.parameters[name].copy() for name in ("word.E", "shape.E")}
    X = np.minimum(pairs(), [9] * 5 + [2] * 3)
    model.fit(X, epochs=2, batch_size=4, learning_rate=0.1)
    for name, met in (("word.E", 10), ("shape.E", 3)):
        assert (model.parameters[name][met:] == before[name][met:]).all() and (model.parameters[name][:3] != before[name][:3]).any()


# ------------------------------------------------------------------------------------------------------ gradients

@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("padding", ["", " padding"])
@pytest.mark.parametrize("loss", ["pairwise_margin", "pairwise_difference", "pairwise_margin(margin=0.3)"])
def test_gradients_reach_every_table_from_both_sides_of_the_margin(loss, padding, engine):
    spec = CHANNELS.replace("embedding 3", "embedding 3" + padding).replace("embedding 2", "embedding 2" + padding)
    model = Network(spec, loss=loss, l2=0.01).build(engine=engine, dtype="float64", seed=1)
    X = pairs(low=-1 if padding else 0)
    assert (model.sample_losses(X, None) != 0).any()
    report = check_gradients(model, X, None, seed=0)
    assert report.verdict == "pass", report
    gradient = model.gradients(X, None)["word.E"]
    for side in (0, 1):                                                # either side alone gives a part of the gradient
        alone = X.copy()
        alone[:, 1 - side] = -1 if padding else [19] * 5 + [3] * 3
        assert not np.allclose(model.gradients(alone, None)["word.E"], gradient)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("ending", "loss"), [("3 softmax", "cross_entropy"), ("3", "multiclass_margin")])
def test_tagging_losses_reach_the_table(ending, loss, engine):
    draw = np.random.default_rng(0)
    model = Network(f"window 3 vocabulary=9 embedding 4 | 5 tanh | {ending}", loss=loss).build(engine=engine, dtype="float64", seed=1)
    X, y = draw.integers(0, 5, (7, 3)), draw.integers(0, 3, 7)
    assert check_gradients(model, X, y, seed=0).verdict == "pass"


def test_at_the_hinge_itself_the_verdict_is_a_subgradient():
    """By differences; the complex step takes the branch of the hinge at hand and cannot see the other."""
    net = Network("window 1 vocabulary=3 embedding 1 | 1 nobias", loss="pairwise_margin(margin=1)")
    model = net.build(dtype="float64")
    model.set_parameters(E1=[[2.0], [1.0], [0.0]], W2=[[1.0]])
    X = np.array([[[0], [1]]])                                          # s − s_c = 1 exactly
    assert model.sample_losses(X, None) == [0.0]
    assert (model.gradients(X, None)["E1"] == 0).all()                  # relu has derivative 0 at 0: no update
    objective, gradient = model.objective_function(X, None), model.gradients(X, None)

    def real(theta):
        return float(objective({name: np.asarray(array, np.float64) for name, array in theta.items()}))
    report = check_gradients((real, lambda theta: gradient), at=dict(model.parameters), seed=0)
    assert report.verdict == "pass" and {block.note for block in report.blocks} == {"subgradient"}, report
    wrong = {name: array - 2.0 for name, array in gradient.items()}    # beyond both slopes
    assert check_gradients((real, lambda theta: wrong), at=dict(model.parameters), seed=0).verdict == "fail"


def test_repeated_words_and_repeated_rows_accumulate():
    net = Network("window 3 vocabulary=9 embedding 4 | 5 tanh | 3 softmax", loss="cross_entropy")
    model = net.build(dtype="float64", seed=1)
    X, y = np.array([[4, 4, 4], [4, 2, 4], [4, 2, 4]]), np.array([0, 1, 1])
    delta = model.values(X, y, "e1", "delta2")["delta2"]
    to_words = (delta @ model.parameters["W2"].T).reshape(3, 3, 4)      # of each place, per sample
    expected = np.zeros((9, 4))
    for n in range(3):
        for p in range(3):
            expected[X[n, p]] += to_words[n, p] / 3
    assert_agree(model.gradients(X, y)["E1"], expected, tolerance=1e-14)


# ------------------------------------------------------------------------------------------------------ padding

@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_the_vector_of_no_word_is_zero_and_stays_zero(optimizer, engine):
    net = Network("window 3 vocabulary=9 embedding 4 padding | 5 tanh | 3 softmax", loss="cross_entropy", l2=0.1)
    X, y = np.array([[-1, 4, 2], [1, 2, -1], [-1, 3, -1]]), np.array([0, 1, 2])
    model = net.build(engine=engine, dtype="float64", seed=1)
    vectors = model.values(X, y, "e1")["e1"].reshape(3, 3, 4)
    assert (vectors[X < 0] == 0).all() and (vectors[X >= 0] == model.parameters["E1"][X[X >= 0]]).all()
    start = model.parameters["E1"].copy()
    model.fit(X, y, epochs=3, batch_size=2, optimizer=optimizer, learning_rate=0.1)
    met = np.unique(X[X >= 0])
    assert (np.delete(model.parameters["E1"], met, 0) == np.delete(start, met, 0)).all()        # the last row above all
    assert (model.values(X, y, "e1")["e1"].reshape(3, 3, 4)[X < 0] == 0).all()
    whole = net.build(engine=engine, dtype="float64", seed=1).fit(X, y, epochs=3, batch_size=2, optimizer="sgd", lazy=False)
    assert np.isfinite(whole.parameters["E1"]).all()


def test_without_the_option_no_word_is_refused_and_a_padding_symbol_learns():
    net = Network("window 3 vocabulary=9 embedding 4 | 5 tanh | 3 softmax", loss="cross_entropy")
    with pytest.raises(DataError, match="token -1 at row 0, column 1"):
        net.build().predict([[1, -1, 2]])
    model = net.build(dtype="float64", seed=1)
    start = model.parameters["E1"].copy()
    model.fit([[0, 4, 2], [1, 2, 0]], [0, 1], epochs=1)                # 0 is the symbol
    assert (model.parameters["E1"][0] != start[0]).all()
    with pytest.raises(DataError, match="token -2"):
        Network("window 1 vocabulary=9 embedding 4 padding | 1").build().predict([[-2]])


@pytest.mark.parametrize("engine", ENGINES)
def test_the_padding_of_unequal_sequences_touches_no_row(engine):
    net = Network("embedding 4 vocabulary=9 | rnn 5 | last | 3 softmax", loss="cross_entropy")
    model = net.build(engine=engine, dtype="float64", seed=1)
    start = model.parameters["E1"].copy()
    model.fit([np.array(ids) for ids in ([3, 4], [5], [4, 6, 7])], [0, 1, 2], epochs=2, optimizer="adamw", learning_rate=0.1)
    touched = (model.parameters["E1"] != start).all(axis=1)
    assert touched.tolist() == [False] * 3 + [True] * 5 + [False]


# ------------------------------------------------------------------------------------------------------ given and frozen vectors

@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_given_vectors_are_the_start_and_frozen_ones_the_end(optimizer, engine, tmp_path):
    vectors = np.random.default_rng(0).normal(size=(9, 4))
    X, y = np.random.default_rng(1).integers(0, 9, (12, 3)), np.arange(12) % 3
    for word, stays in (("", False), (" frozen", True)):
        net = Network(f"window 3 vocabulary=9 embedding 4{word} | 5 tanh | 3 softmax", loss="cross_entropy", l2=0.1)
        model = net.build(engine=engine, dtype="float64", initial={"E1": vectors})
        assert (model.parameters["E1"] == vectors).all() and ("frozen" in net.spec) == stays == ("frozen" in str(net))
        drawn = net.build(engine=engine, dtype="float64")
        assert (model.parameters["W2"] == drawn.parameters["W2"]).all()           # what is not given is drawn as ever
        model.fit(X, y, epochs=3, optimizer=optimizer)
        assert (model.parameters["E1"] == vectors).all() == stays
        assert (model.parameters["W2"] != drawn.parameters["W2"]).all()
        again = Model.load(model.save(tmp_path / "m.safetensors"))
        assert (again.parameters["E1"] == model.parameters["E1"]).all() and again.network == net


def test_a_frozen_layer_has_a_gradient_but_no_state_and_no_penalty():
    net = Network("4 | 5 tanh frozen | 3 softmax", loss="cross_entropy", l2=0.1)
    model = net.build(dtype="float64")
    X, y = np.random.default_rng(0).normal(size=(6, 4)), np.arange(6) % 3
    assert check_gradients(model, X, y, seed=0).verdict == "pass" and np.abs(model.gradients(X, y)["W1"]).min() > 0
    penalty = model.objective(X, y) - model.loss(X, y)
    assert penalty == pytest.approx(0.05 * np.sum(model.parameters["W2"]**2))
    start = {name: array.copy() for name, array in model.parameters.items()}
    model.fit(X, y, epochs=2, optimizer="adam")
    assert {name for name in start if (model.parameters[name] == start[name]).all()} == {"W1", "b1"}
    assert set(model._training[1]) == {"mean.W2", "square.W2", "mean.b2", "square.b2"}
    with pytest.raises(OptionError, match="every layer is frozen"):
        Network("4 | 3 frozen").build().fit(X, np.zeros((6, 3)))


def test_vectors_of_another_shape_or_name_are_refused():
    net = Network("window 3 vocabulary=9 embedding 4 | 1")
    with pytest.raises(ShapeError, match=r"E1 has shape \(9, 5\)"):
        net.build(initial={"E1": np.zeros((9, 5))})
    with pytest.raises(OptionError, match="no parameter 'E2'"):
        net.build(initial={"E2": np.zeros((9, 4))})
    with pytest.raises(DataError, match="not finite"):
        net.build(initial={"E1": np.full((9, 4), np.nan)})


@pytest.mark.parametrize("engine", ENGINES)
def test_a_scorer_of_channels_learns_from_sampled_pairs(engine):
    draw = np.random.default_rng(0)
    windows, pool = (np.stack([draw.integers(0, v, 60) for v in (20,) * 5 + (4,) * 3], axis=1) for _ in range(2))
    windows[:, 2], pool[:, 2] = draw.integers(0, 4, 60), draw.integers(4, 20, 60)
    model = Network(CHANNELS, loss="pairwise_margin").build(engine=engine, dtype="float64")
    model.fit(Corruption(windows, pool), epochs=40, batch_size=16, learning_rate=0.05)
    score = lambda X: model.predict(np.stack([X, X], axis=1))[:, 0, 0]                                          # noqa: E731
    assert np.mean(score(windows)[:, None] > score(pool)) > 0.95 and model.history["idle"][-1] > 0.8


def test_a_window_of_forty_words_runs_on_both_engines():
    """Its table's rows are collected from forty places: more operands than a word list may have."""
    draw = np.random.default_rng(0)
    ids, tags = draw.integers(0, 30, (12, 41)), draw.integers(0, 3, 12)
    ended = [Network("window 41 vocabulary=30 embedding 3 | 4 tanh | 3 softmax", loss="cross_entropy").build(
        seed=1, engine=engine, dtype="float64").fit(ids, tags, epochs=2, batch_size=5).parameters for engine in ENGINES]
    for name in ended[0]:
        assert_agree(ended[1][name], ended[0][name], tolerance=1e-12, name=name)
