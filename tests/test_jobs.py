"""What the commands do, called directly: tables are trained, measured and predicted; expressions are differentiated."""

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from backproof import check, jobs, outputs, predictions, sources
from backproof.data.builtin import BUILTIN
from backproof.data.split import Division
from backproof.errors import BackproofError, DataError, EngineError, ModelFileError, OptionError, RangeError, SpecError
from backproof.jobs import Settings, train_table
from backproof.outputs import OutputProblem
from backproof.predictions import predict_table
from backproof.slopes import differentiate, read_point
from backproof.model import Model
from backproof.network import Network

SHORT = Settings(layers="16 relu", epochs=15, learning_rate=1e-2)
REGRESSIONS = {"diabetes"}


@pytest.fixture
def table(tmp_path):
    """A CSV file with numbers, a category, missing values; y follows from x and c."""
    draw = np.random.default_rng(0)
    path = tmp_path / "data.csv"
    x, c = draw.normal(size=200), draw.choice(["red", "blue"], 200)
    rows = [[f"{a:.4f}" if k % 17 else "", b, "yes" if a + (b == "red") > 0.5 else "no", f"{3 * a + 10:.3f}"]
            for k, (a, b) in enumerate(zip(x, c))]
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([["x", "c", "y", "amount"], *rows])
    return str(path)


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize("name", BUILTIN)
def test_a_built_in_set_is_learned_and_predicted(name, tmp_path):
    out = tmp_path / "run"
    outcome = train_table(name, settings=SHORT, out=str(out))
    test, baseline = (outcome.summary[key]["test"] for key in ("measures", "baseline"))
    assert test["loss"] < 0.9 * baseline["loss"]
    key = "r2" if name in REGRESSIONS else "accuracy"
    assert test[key] > baseline[key] + 0.1
    assert outcome.summary["gradient_check"]["error"] < 1e-11
    assert sorted(p.name for p in out.iterdir()) == sorted(outputs.FILES)
    again = tmp_path / "again.csv"
    rows = predict_table(str(out / "model.safetensors"), name, out=str(again))
    told = read(again)
    assert told[0] == ["prediction"] and len(told) == rows + 1
    kept = read(out / "predictions.csv")
    assert kept[0] == ["row", BUILTIN[name], "prediction"]
    assert len(kept) == outcome.summary["rows"]["test"] + 1
    for row, _, predicted in kept[1:]:
        told_here = told[1 + int(row)][0]
        assert told_here == predicted if name not in REGRESSIONS else math.isclose(float(told_here), float(predicted), rel_tol=1e-5)


def test_the_files_of_a_run_hold_what_is_reported(table, tmp_path):
    outcome = train_table(table, "y", SHORT, out=str(tmp_path / "run"))
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary == json.loads(json.dumps(outcome.summary))
    assert summary["classes"] == ["no", "yes"] and sum(summary["rows"].values()) == 200
    lines = (tmp_path / "run" / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == list(range(summary["epochs"]))
    kept = read(tmp_path / "run" / "predictions.csv")[1:]
    accuracy = np.mean([true == predicted for _, true, predicted in kept])
    assert math.isclose(accuracy, summary["measures"]["test"]["accuracy"])
    truth = read(table)
    assert all(truth[1 + int(row)][2] == true for row, true, _ in kept)


def test_measures_and_baseline_are_what_numpy_says(table):
    outcome = train_table(table, "amount", replace(SHORT, validation=0, patience=None))
    prepare, summary = outcome.prepare, outcome.summary
    assert list(summary["rows"]) == ["training", "test"]
    assert summary["task"] == "regression"
    whole, _ = jobs.read_data(table, "amount")
    rows = sources.TableInMemory(whole, "amount", None, print).parts(Division(test=SHORT.test))
    truth = {name: whole["amount"].values[part] for name, part in rows.items()}
    told = prepare.inverse(outcome.model.predict(prepare.transform(whole.select(rows["test"])))).ravel()
    error, mean = told - truth["test"], truth["training"].mean()
    assert math.isclose(summary["measures"]["test"]["rmse"], np.sqrt(np.mean(error**2)), rel_tol=1e-6)
    assert math.isclose(summary["measures"]["test"]["r2"], 1 - (error**2).sum() / ((truth["test"] - truth["test"].mean())**2).sum())
    assert math.isclose(summary["baseline"]["test"]["rmse"], np.sqrt(np.mean((truth["test"] - mean) ** 2)), rel_tol=1e-9)


def test_nothing_is_learned_from_the_rows_set_aside(table):
    outcome = train_table(table, "y", SHORT)
    whole, _ = jobs.read_data(table, "y")
    training = whole.select(sources.TableInMemory(whole, "y", None, print).parts(Division(SHORT.validation, SHORT.test))["training"])
    assert outcome.prepare.state()["numbers"][0]["median"] == float(np.median(training["x"].values[~training["x"].missing]))


def test_equal_seeds_give_equal_models(table, tmp_path):
    for name in "ab":
        train_table(table, "y", replace(SHORT, epochs=3), out=str(tmp_path / name))
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()


def test_columns_are_found_by_name_in_any_order(table, tmp_path):
    train_table(table, "y", SHORT, out=str(tmp_path / "run"))
    rows = read(table)
    with open(tmp_path / "turned.csv", "w", newline="") as file:
        csv.writer(file).writerows([[row[3], "k", row[1], row[0]] if k else ["amount", "new", "c", "x"] for k, row in enumerate(rows)])
    told = []
    for name in (table, str(tmp_path / "turned.csv")):
        predict_table(str(tmp_path / "run/model.safetensors"), name, out=str(tmp_path / "p.csv"), probabilities=True, force=True,
                      say=told.append)
        told.append(read(tmp_path / "p.csv"))
    assert told[0] == told[2] and "'new'" in told[1]
    assert told[0][0] == ["prediction", "probability_no", "probability_yes"]
    for predicted, no, yes in told[0][1:]:
        assert math.isclose(float(no) + float(yes), 1, rel_tol=1e-5) and predicted == ("no", "yes")[float(yes) > float(no)]


def test_a_missing_column_is_named(table, tmp_path):
    train_table(table, "y", replace(SHORT, epochs=1), out=str(tmp_path / "run"))
    (tmp_path / "short.csv").write_text("x,amount\n1,2\n")
    with pytest.raises(DataError, match="column 'c' is missing"):
        predict_table(str(tmp_path / "run/model.safetensors"), str(tmp_path / "short.csv"))


def test_an_interrupt_keeps_the_last_complete_step_and_saves(table, tmp_path):
    def stop(record):
        if record["epoch"] == 2:
            raise KeyboardInterrupt
    outcome = train_table(table, "y", SHORT, out=str(tmp_path / "run"), progress=stop)
    assert outcome.summary["interrupted"] and outcome.summary["epochs"] == 3
    saved = Model.load(tmp_path / "run/model.safetensors")
    for name, array in outcome.model.parameters.items():
        assert np.array_equal(saved.parameters[name], array) and np.isfinite(array).all()


def test_an_interrupt_before_the_training_leaves_nothing(table, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt
    monkeypatch.setattr(jobs, "check_network", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train_table(table, "y", SHORT, out=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_wrong_gradient_stops_the_command(table, tmp_path, monkeypatch):
    right = Model.gradients
    monkeypatch.setattr(Model, "gradients", lambda self, X, y: {k: g * (1.001 if k == "W2" else 1)
                                                                for k, g in right(self, X, y).items()})
    with pytest.raises(EngineError, match="not those of its loss") as found:
        train_table(table, "y", SHORT, out=str(tmp_path / "run"))
    assert "W2" in str(found.value) and not (tmp_path / "run").exists()


def test_the_check_is_of_the_network_that_is_trained(monkeypatch, table):
    seen = []
    real = check.check_gradients
    monkeypatch.setattr(check, "check_gradients", lambda model, *data, **how: seen.append(model) or real(model, *data, **how))
    outcome = train_table(table, "y", replace(SHORT, epochs=1))
    [checked] = seen
    assert checked.network == outcome.model.network and checked.dtype == np.float64


def test_a_directory_that_holds_something_is_refused_unless_forced(table, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("mine")
    with pytest.raises(OutputProblem, match="not empty: it holds 'mine.txt'"):
        train_table(table, "y", SHORT, out=str(tmp_path / "run"))
    train_table(table, "y", replace(SHORT, epochs=1), out=str(tmp_path / "run"), force=True)
    assert (tmp_path / "run" / "mine.txt").read_text() == "mine"
    assert (tmp_path / "run" / "predictions.csv").exists()
    train_table(table, "y", replace(SHORT, epochs=1, test=0), out=str(tmp_path / "run"), force=True)
    assert not (tmp_path / "run" / "predictions.csv").exists()


def test_the_input_is_never_overwritten(table, tmp_path):
    train_table(table, "y", replace(SHORT, epochs=1), out=str(tmp_path / "run"))
    model, before = str(tmp_path / "run/model.safetensors"), open(table).read()
    (tmp_path / "link.csv").hardlink_to(table)
    for out in (table, str(tmp_path / "link.csv"), model):
        with pytest.raises(OutputProblem, match="is the input"):
            predict_table(model, table, out=out, force=True)
    with pytest.raises(OutputProblem, match="exists"):
        predict_table(model, table, out=str(tmp_path / "run/summary.json"))
    assert open(table).read() == before
    inside = tmp_path / "there"
    inside.mkdir()
    (inside / "predictions.csv").write_text(before)
    with pytest.raises(OutputProblem, match="is the input"):
        train_table(str(inside / "predictions.csv"), "y", SHORT, out=str(inside), force=True)


def test_layers_may_be_left_out_and_may_drop_out(table):
    assert train_table(table, "y", replace(SHORT, layers="", epochs=2)).summary["network"].endswith("| 2 softmax")
    assert "dropout" in train_table(table, "y", replace(SHORT, layers="8 relu | dropout 0.2", epochs=2)).summary["network"]


@pytest.mark.parametrize("change, kind", [
    ({"layers": "64 rellu"}, SpecError), ({"epochs": -1}, OptionError), ({"optimizer": "adm"}, OptionError),
    ({"validation": 1.5}, OptionError), ({"task": "guess"}, OptionError), ({"l2": -1.0}, BackproofError),
    ({"learning_rate": math.nan}, OptionError), ({"seed": -1}, BackproofError), ({"layers": "lstm 4 | last"}, BackproofError),
])
def test_bad_settings_are_refused_and_leave_nothing(change, kind, table, tmp_path):
    with pytest.raises(kind):
        train_table(table, "y", replace(SHORT, **change), out=str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_a_model_that_was_not_trained_on_a_table_is_refused(table, tmp_path):
    path = str(tmp_path / "m.safetensors")
    model = Network("2 | 2 softmax", loss="cross_entropy").build()
    for text, message in [(None, "not trained on a table"), ("{", "cannot be read"), ("[" * 9999, "cannot be read"),
                          ("{}", "does not hold together")]:
        model.extra = {} if text is None else {predictions.TABLE: text}
        model.save(path)
        with pytest.raises(ModelFileError, match=message):
            predict_table(path, table)
    state = train_table("iris", settings=replace(SHORT, epochs=0)).prepare.state()
    model.extra = {predictions.TABLE: json.dumps(state)}
    model.save(path)
    with pytest.raises(ModelFileError, match="does not fit"):
        predict_table(path, "iris")


def test_a_regression_has_no_probabilities(tmp_path):
    train_table("diabetes", settings=replace(SHORT, epochs=1), out=str(tmp_path / "run"))
    with pytest.raises(OptionError, match="no probabilities"):
        predict_table(str(tmp_path / "run/model.safetensors"), "diabetes", probabilities=True)


@pytest.mark.parametrize("text, at", [
    ("x*y", "x=4,y=-3"), ("x", "x=2"), ("f*2", "f=3"), ("sigmoid(x+y)", "x=1,y=2"), ("exp(x*y)**2/y + tanh(x)", "x=1/2,y=2"),
    ("max(0, w*x + b)**2", "w=1,x=2,b=0.5"), ("1/x*x", "x=3"), ("x*0 + y", "y=1"),
])
def test_slopes_agree_with_the_complex_step(text, at):
    _, value, slopes = differentiate(text, read_point(at))
    assert math.isfinite(value) and slopes
    assert all(slope.error < 1e-13 for slope in slopes)


@pytest.mark.parametrize("text, at, kind, message", [
    ("log(x)", "x=0", RangeError, "not|is -inf there"), ("3", "x=1", OptionError, "no variable"), ("x*y", "x=1", OptionError, "for y"),
    ("x", "x=1,z=2", OptionError, "'z'"), ("x", "x=1,x=2", OptionError, "cannot be read"), ("x", "x", OptionError, "cannot be read"),
    ("x", "x=y", OptionError, "cannot be read"), ("x", "x=1e999", BackproofError, "finite|too large"), ("x +* y", "x=1", BackproofError, "stands where"),
    ("__import__('os')", "x=1", BackproofError, "no meaning|no function"),
])
def test_expressions_that_cannot_be_differentiated_there_say_why(text, at, kind, message):
    with pytest.raises(kind, match=message):
        differentiate(text, read_point(at))
