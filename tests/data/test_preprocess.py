"""What is learned from a table is plain data; a transform from that data gives the same bits, by column name."""

import copy
import json
import math

import numpy as np
import pytest

from backproof.data.builtin import BUILTIN, load_builtin
from backproof.data.messages import DataWarning
from backproof.data.preprocess import TablePreprocessor
from backproof.data.targets import TargetCoder, guess_task
from backproof.data.split import split_rows
from backproof.data.tables import Table, read_table
from backproof.errors import BackproofError, DataError, ModelFileError, OptionError

N = 60


def table(**changes):
    draw = np.random.default_rng(0)
    columns = {
        "age": [None if i % 7 == 0 else float(i) for i in range(N)], "height": draw.normal(170, 10, N),
        "city": [None if i % 11 == 0 else ["Rome", "Oslo", "Bern"][i % 3] for i in range(N)],
        "street": ["Main"] * 50 + ["A", "B"] + ["Side"] * 8, "constant": [3.0] * N, "same": ["x"] * N,
        "id": [f"row{i}" for i in range(N)], "nothing": [None] * N, "y": ["no", "yes", "no"] * 20}
    return Table.from_arrays(columns | changes)


@pytest.fixture(scope="module")
def fitted():
    return TablePreprocessor.fit(table(), "y")


def test_the_features_are_what_the_names_say(fitted):
    X = fitted.transform(table())
    assert fitted.features == [
        "age", "height", "constant", "age is missing", "city=Bern", "city=Oslo", "city=Rome", "city=(missing)",
        "street=Main", "street=Side", "street=(rare)"]
    assert X.shape == (N, len(fitted.features)) and X.dtype == np.float64 and X.flags.c_contiguous
    np.testing.assert_allclose(X[:, :2].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(X[:, :2].std(axis=0), 1, rtol=1e-12)
    assert (X[:, 2] == 0).all()                                                                                   # E4
    ages = [i for i in range(N) if i % 7]
    assert X[0, 0] == pytest.approx((np.median(ages) - np.mean([*ages, *[np.median(ages)] * 9])) / math.sqrt(
        np.var([*ages, *[np.median(ages)] * 9])))
    np.testing.assert_array_equal(X[:, 3], [i % 7 == 0 for i in range(N)])
    np.testing.assert_array_equal(X[:, 4:8].sum(axis=1), 1)
    np.testing.assert_array_equal(X[:, 10], [i in (50, 51) for i in range(N)])


def test_columns_without_information_are_left_out_and_said(fitted):
    assert fitted.columns == ["age", "height", "city", "street", "constant"]
    for part in ("'constant' is 3 in all rows", "'same' is 'x' in all rows", "'id' is left out as an id: 60 different texts in 60 rows",
                 "'nothing' is"):
        assert any(part in note for note in fitted.notes)


def test_the_state_is_json_and_gives_the_same_bits(fitted):
    text = json.dumps(fitted.state(), allow_nan=False)
    again = TablePreprocessor.from_state(json.loads(text))
    assert again.transform(table()).tobytes() == fitted.transform(table()).tobytes()
    assert again.features == fitted.features and again.classes == ["no", "yes"] and again.types == fitted.types
    assert json.dumps(again.state()) == text


@pytest.mark.parametrize("name", BUILTIN)
def test_every_built_in_data_set_survives_the_round_trip(name):
    data, target = load_builtin(name)
    first = TablePreprocessor.fit(data, target)
    second = TablePreprocessor.from_state(json.loads(json.dumps(first.state())))
    assert first.task == ("regression" if name == "diabetes" else "classification")
    assert second.transform(data).tobytes() == first.transform(data).tobytes()
    y = first.target_transform(data)
    assert second.target_transform(data).tobytes() == y.tobytes()
    if first.task == "regression":
        np.testing.assert_allclose(first.inverse(y).ravel(), data[target].values, rtol=1e-12)
    else:
        np.testing.assert_array_equal(first.inverse(y), data[target].values)


def test_an_unknown_data_set_lists_the_known():
    with pytest.raises(OptionError, match="digits, iris"):
        load_builtin("mnist")


def test_columns_are_found_by_name(fitted):                                                                    # F19 B3
    shuffled = Table(list(reversed(table().columns.values())))
    assert fitted.transform(shuffled).tobytes() == fitted.transform(table()).tobytes()


def test_a_missing_column_is_named(fitted):
    with pytest.raises(DataError) as caught:
        fitted.transform(table().without("height", "city"))
    assert "column 'height' is missing (and 1 more)" in caught.value.what and "'age'" in caught.value.fix


def test_further_columns_and_unseen_values_are_noticed(fitted):
    notices = []
    new = table(city=["Paris"] * N, extra=[1.0] * N, height=[None] * N, street=["New"] * N)
    X = fitted.transform(new, notice=notices.append)
    for part in ("ignored: 'extra'", "60 values never seen in training: 'Paris'",
                 "'height' has 60 missing values", "'New'"):
        assert any(part in notice for notice in notices)
    assert (X[:, 4:8] == 0).all() and (X[:, 10] == 1).all()       # nothing fits; the rare group takes new names
    with pytest.warns(DataWarning, match="ignored: 'extra'"):
        fitted.transform(table(extra=[1.0] * N))


def test_notices_are_not_given_without_cause(fitted):
    notices = []
    fitted.transform(table(), notice=notices.append)
    assert notices == []


def test_text_in_a_number_column_is_named(fitted):
    with pytest.raises(DataError, match="'tall' at row 3, column 'height' is text"):
        fitted.transform(table(height=[None] * 3 + ["tall"] * (N - 3)))


def test_infinite_values_are_named_with_their_line(tmp_path):
    data = Table.from_arrays({"x": [1.0, math.inf], "y": [0.5, 1.5]}, source="data.csv")
    with pytest.raises(DataError, match="1 infinite values; the first is inf at row 1, column 'x' of 'data.csv'"):
        TablePreprocessor.fit(data, "y")


def test_a_later_file_is_typed_as_the_training_file(tmp_path):
    (tmp_path / "a.csv").write_text("zip,x,y\n" + "01234,1,a\n56789,2,b\n" * 5)
    (tmp_path / "b.csv").write_text("zip,x\n56789,?\n")
    first = read_table(tmp_path / "a.csv", target="y")
    prepare = TablePreprocessor.fit(first, "y")
    X = prepare.transform(read_table(tmp_path / "b.csv", types=prepare.types), notice=lambda text: None)
    assert X.tolist() == [[0.0, 0.0, 1.0]] and prepare.features == ["x", "zip=01234", "zip=56789"]


def test_a_table_with_nothing_to_learn_is_refused():
    with pytest.raises(DataError, match="no column is left"):
        TablePreprocessor.fit(table().without("age", "height", "city", "street", "constant"), "y")


# -- targets -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("values, task", [
    (["a", "b"], "classification"), ([True, False], "classification"), ([0, 1] * 5, "classification"),
    ([0.0, 1.0] * 5, "classification"), ([0.5, 1.0] * 5, "regression"), (list(range(20)) * 2, "classification"),
    (list(range(21)) * 2, "regression"), (list(range(10)), "regression"),
])
def test_the_task_is_guessed_by_the_stated_rule(values, task):
    assert guess_task(values) == task


@pytest.mark.parametrize("values, classes", [
    ([5, -1, 2, 5, -1, 2], [-1, 2, 5]), (["b", "a", "b"], ["a", "b"]), ([True, False, True], [False, True]),
    ([2.0, 1.0, 2.0, 1.0], [1.0, 2.0]), ([10**18, 1, 10**18, 1], [1, 10**18]),
])
def test_classes_are_sorted_and_keep_their_type(values, classes):                                                 # D5
    coder = TargetCoder.from_state(json.loads(json.dumps(TargetCoder.fit(values).state())))
    assert coder.classes == classes and [type(c) for c in coder.classes] == [type(values[0])] * len(classes)
    assert coder.inverse(coder.transform(values)).tolist() == values


def test_labels_come_from_probabilities():
    coder = TargetCoder.fit(["a", "b", "c"])
    assert coder.inverse(np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]])).tolist() == ["b", "a"]
    assert TargetCoder.fit(["a", "b"]).inverse(np.array([[0.4], [0.6]])).tolist() == ["a", "b"]


@pytest.mark.parametrize("values, task, what", [
    (["a", "a"], None, "only class 'a'"), ([0.5, 1.0], "classification", "continuous: 0.5 at row 0"),       # D1 D4
    (["a", None, None], None, "missing in 2 rows; the first is row 1"), ([1.0, math.nan], None, "missing in 1 rows"),
    (["a", "b"], "regression", "the target is text ('a' at row 0)"), ([1.5, math.inf], None, "1 infinite"),
    ([f"id{i}" for i in range(2000)], None, "2000 classes in 2000 rows"), ([], None, "0 rows"),                    # D11
    ([1, 2], "ranking", "task 'ranking' is unknown"),
])
def test_targets_refused(values, task, what):
    with pytest.raises(BackproofError) as caught:
        TargetCoder.fit(values, task=task)
    assert what in caught.value.what and caught.value.fix


def test_an_unseen_class_is_named():                                                                              # D7
    with pytest.raises(DataError, match="class 'c' at row 1 was not in training"):
        TargetCoder.fit(["a", "b"]).transform(["a", "c"])


def test_classes_that_look_alike_are_kept_apart_with_a_warning():                                                 # D10
    with pytest.warns(DataWarning, match="look alike"):
        assert len(TargetCoder.fit(["a", "a ", "b"]).classes) == 3


def test_a_constant_regression_target_warns_and_keeps_scale_one():
    with pytest.warns(DataWarning, match="0.5 in all rows"):
        assert TargetCoder.fit([0.5] * 4).scale == 1


# -- states from strangers ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("change", [
    lambda s: s.pop("notes"), lambda s: s.update(code="os.system"), lambda s: s.update(version=4), lambda s: s.update(tails="exec"),
    lambda s: s["numbers"][0].update(mean=math.nan), lambda s: s["numbers"][0].update(scale=0.0),
    lambda s: s["numbers"][0].update(median="1"), lambda s: s["numbers"][0].update(mean=10**400),
    lambda s: s["numbers"].pop(), lambda s: s["numbers"].append(s["numbers"][0]),
    lambda s: s["categories"][0].update(kept=[]), lambda s: s["dates"].append({"name": "street", "cycles": ["year"]}),
    lambda s: s["dates"].append({"name": "age", "cycles": ["moon"]}),
    lambda s: s["categories"][0].update(kept=["a", "a"]), lambda s: s["categories"][0].update(kept=[1]),
    lambda s: s.update(order=s["order"][1:]), lambda s: s.update(coder=None),
    lambda s: s["coder"].update(classes=["b", "a"]),
    lambda s: s["coder"].update(type="os.system"), lambda s: s["coder"].update(type="float", classes=[math.nan, 1.0]),
    lambda s: s.update(numbers={}), lambda s: s.clear(),
])
def test_a_state_that_does_not_hold_together_is_refused(change, fitted):
    state = copy.deepcopy(fitted.state())
    change(state)
    with pytest.raises(ModelFileError, match="does not hold together"):
        TablePreprocessor.from_state(state)


# -- splitting ---------------------------------------------------------------------------------------------------

def test_a_split_is_a_partition_that_depends_on_the_seed_alone():
    labels = np.repeat(["a", "b"], [80, 20])
    parts = split_rows(100, validation=0.2, test=0.1, labels=labels, seed=3)
    assert [len(part) for part in parts] == [70, 20, 10]
    assert sorted(np.concatenate(parts)) == list(range(100))
    assert [(labels[part] == "b").sum() for part in parts] == [14, 4, 2]
    again = split_rows(100, validation=0.2, test=0.1, labels=labels, seed=3)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))
    assert not np.array_equal(parts[0], split_rows(100, validation=0.2, test=0.1, labels=labels, seed=4)[0])


@pytest.mark.parametrize("arguments, what", [
    ({"n": 10, "validation": 0.2, "labels": ["a"] * 9 + ["b"]}, "validation would have 0 of class 'b'"),          # B10
    ({"n": 100, "test": 0.1, "labels": ["a"] * 98 + ["b"] * 2}, "would have 0 of class 'b'"),
    ({"n": 3, "validation": 0.1}, "0 of 3 rows"), ({"n": 2, "validation": 0.9}, "take all 2 rows"),
    ({"n": 9, "validation": 1.0}, "not a share"), ({"n": 9, "validation": 0.5, "test": 0.5}, "nothing to train on"),
    ({"n": 9, "validation": 0.5, "labels": ["a"]}, "9 rows and labels of shape"),
])
def test_splits_refused(arguments, what):
    with pytest.raises(BackproofError) as caught:
        split_rows(**arguments)
    assert what in caught.value.what and caught.value.fix


def test_far_values_are_drawn_in_by_asinh():
    plain, drawn = (TablePreprocessor.fit(table(height=[*range(N - 1), 1e6]), "y", tails=tails) for tails in ("plain", "asinh"))
    far = table(height=[1e9] * N)
    before, after = plain.transform(far), drawn.transform(far)
    np.testing.assert_allclose(np.sinh(after[:, :3]), before[:, :3], rtol=1e-12, atol=1e-12)
    assert before[0, 1] > 1000 and after[0, 1] < 10
    np.testing.assert_array_equal(before[:, 3:], after[:, 3:])                      # the others stay as they are
    again = TablePreprocessor.from_state(json.loads(json.dumps(drawn.state())))
    assert again.transform(far).tobytes() == after.tobytes()


@pytest.mark.parametrize("version, lacks", [(1, ("dates", "tails")), (2, ("tails",))])
def test_states_of_older_versions_keep_their_meaning(fitted, version, lacks):
    old = {key: value for key, value in fitted.state().items() if key not in lacks} | {"version": version}
    assert TablePreprocessor.from_state(old).transform(table()).tobytes() == fitted.transform(table()).tobytes()
