"""Sequences on the command line: long tables, .ts files, series; a model carries all that prediction needs."""

import csv
import json

import numpy as np
import pytest

from backproof import cli
from backproof.data.long import group
from backproof.data.sequence_tables import ForecastPreprocessor, SequencePreprocessor, from_state
from backproof.data.tables import Table, read_table
from backproof.errors import DataError, ModelFileError
from backproof.model import Model
from backproof.sequence_jobs import SequenceSettings, train_sequences

DRAW = np.random.default_rng(6)
LENGTHS = DRAW.integers(3, 8, 60)


def long_rows(shuffled=True):
    """id, t, x, colour, rising (per sequence), tag (per step), total (a number per sequence)."""
    rows = []
    for k, length in enumerate(LENGTHS):
        x = DRAW.normal(size=length)
        for t in range(length):
            rows.append([f"s{k}", t, f"{x[t]:.4f}", "rb"[int(x[t] > 1)], "yes" if x[-1] > x[0] else "no",
                         "high" if x[:t + 1].sum() > 0 else "low", f"{x.sum():.4f}"])
    return [rows[k] for k in DRAW.permutation(len(rows))] if shuffled else rows


NAMES = ["id", "t", "x", "colour", "rising", "tag", "total"]
ROWS = long_rows()


def table(path, names=NAMES, rows=ROWS, without=()):
    kept = [k for k, name in enumerate(names) if name not in without]
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([[names[k] for k in kept], *([row[k] for k in kept] for row in rows)])
    return str(path)


def read(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def run(*arguments):
    return cli.main([str(a) for a in arguments])


def trained(tmp_path, capsys, *options, target="rising", without=("tag", "total"), expected=0, data=None):
    out = tmp_path / "run"
    data = data or table(tmp_path / "long.csv", without=without)
    code = run("train", data, "--target", target, "--out", out, "--force", "--epochs", 8, "--batch-size", 8,
               "--learning-rate", 0.02, *options)
    said = capsys.readouterr()
    assert code == expected, said.err
    return out, said, data


SEQUENCES = ("--sequence-id", "id", "--time", "t", "--layers", "gru 6 | last")


def test_one_answer_per_sequence(tmp_path, capsys):
    out, said, data = trained(tmp_path, capsys, *SEQUENCES)
    assert "60 sequences of 3 to 7 steps" in said.err and "'rising' per sequence, classification" in said.err
    assert "always" in said.out and "accuracy" in said.out
    summary = json.loads((out / "summary.json").read_text())
    assert summary["rows"] == {"training": 42, "validation": 9, "test": 9} and summary["kind"] == "sequence"
    assert summary["gradient_check"]["verdict"] == "pass" and summary["gradient_check"]["error"] < 1e-11
    assert "<html" in (out / "report.html").read_text()
    lines = read(out / "predictions.csv")
    assert list(lines[0]) == ["id", "rising", "prediction"] and len(lines) == 9
    truth = {row[0]: row[4] for row in ROWS}
    assert all(line["rising"] == truth[line["id"]] for line in lines)

    model = out / "model.safetensors"
    bare = table(tmp_path / "new.csv", without=("rising", "tag", "total"))
    assert run("predict", model, bare, "--out", tmp_path / "p.csv", "--probabilities") == 0
    found = read(tmp_path / "p.csv")
    assert list(found[0]) == ["id", "prediction", "probability_no", "probability_yes"] and len(found) == 60
    named = {line["id"]: line["prediction"] for line in found}
    assert all(named[line["id"]] == line["prediction"] for line in lines)
    capsys.readouterr()
    assert run("evaluate", model, data, "--json") == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured["accuracy"] == pytest.approx(np.mean([named[key] == truth[key] for key in truth]))
    assert run("trace", model, data, "--row", 2, "--out", tmp_path / "t.html") == 0
    assert run("report", model, data, "--out", tmp_path / "r.html") == 0
    assert "<html" in (tmp_path / "t.html").read_text() and "<html" in (tmp_path / "r.html").read_text()


def test_the_order_of_the_rows_is_that_of_time_and_no_other(tmp_path):
    first = {name: k for k, name in enumerate(dict.fromkeys(row[0] for row in ROWS))}
    ordered = sorted(ROWS, key=lambda row: (first[row[0]], row[1]))
    ways = [(ROWS, "t"), (ordered, "t"), (ordered, None)]
    examples = []
    for rows, time in ways:
        path = table(tmp_path / "a.csv", rows=rows, without=("tag", "total") + (() if time else ("t",)))
        steps = read_table(path, target="rising")
        groups = group(steps, "id", time)
        examples.append(SequencePreprocessor.fit(steps, groups, "rising", "sequence", id="id", time=time).examples(steps, groups))
        assert groups.ids == list(first)
    for X, y in examples[1:]:
        assert np.array_equal(y, examples[0][1])
        assert all(np.allclose(a, b, rtol=1e-13) for a, b in zip(X, examples[0][0]))


def test_an_answer_per_step(tmp_path, capsys):
    out, said, data = trained(tmp_path, capsys, "--sequence-id", "id", "--time", "t", "--layers", "gru 6", target="tag",
                              without=("rising", "total"))
    assert "'tag' per step" in said.err
    lines = read(out / "predictions.csv")
    assert list(lines[0]) == ["id", "t", "tag", "prediction"]
    truth = {(row[0], str(row[1])): row[5] for row in ROWS}
    assert all(line["tag"] == truth[line["id"], line["t"]] for line in lines)
    assert run("predict", out / "model.safetensors", table(tmp_path / "n.csv", without=("rising", "tag", "total")),
               "--out", tmp_path / "p.csv") == 0
    assert len(read(tmp_path / "p.csv")) == len(ROWS)


def test_a_number_per_sequence_in_its_own_units(tmp_path, capsys):
    out, said, data = trained(tmp_path, capsys, *SEQUENCES, target="total", without=("rising", "tag"))
    assert "'total' per sequence, regression" in said.err and "RMSE" in said.out
    capsys.readouterr()
    assert run("evaluate", out / "model.safetensors", data, "--json") == 0
    measured = json.loads(capsys.readouterr().out)
    assert run("predict", out / "model.safetensors", data, "--out", tmp_path / "p.csv") == 0
    truth = {row[0]: float(row[6]) for row in ROWS}
    errors = [float(line["prediction"]) - truth[line["id"]] for line in read(tmp_path / "p.csv")]
    assert measured["rmse"] == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-5)


# ------------------------------------------------------------------------------------------------ forecasts

def series(tmp_path, n=150, holes=()):
    values = 0.1 * np.arange(n) + np.sin(2 * np.pi * np.arange(n) / 12)
    rows = [[f"{2000 + k // 12}-{k % 12 + 1:02d}", "" if k in holes else f"{value:.5f}"] for k, value in enumerate(values)]
    return table(tmp_path / "series.csv", ["month", "sales"], rows), values


FORECAST = ("--time", "month", "--forecast", 6, "--lags", 14, "--season", 12, "--layers", "gru 6 | last")


def test_a_forecast_is_measured_beside_the_last_value_and_the_last_season(tmp_path, capsys):
    data, values = series(tmp_path)
    out, said, _ = trained(tmp_path, capsys, *FORECAST, target="sales", data=data)
    assert "windows of 14 values, 6 to come" in said.err and "the last season" in said.out and "the last value" in said.out
    summary = json.loads((out / "summary.json").read_text())
    test = values[-round(0.15 * 150):]
    starts = range(len(values) - len(test), len(values) - 5)
    last, season = ([np.mean([(values[s + h] - values[base(s, h)])**2 for s in starts for h in range(6)])**0.5]
                    for base in (lambda s, h: s - 1, lambda s, h: s + h - 12))
    assert summary["baseline"]["test"]["rmse"] == pytest.approx(last[0], rel=1e-4)
    assert summary["seasonal"]["test"]["rmse"] == pytest.approx(season[0], rel=1e-4)
    assert summary["measures"]["test"]["rmse"] < last[0]
    lines = read(out / "predictions.csv")
    assert list(lines[0]) == ["month", "ahead", "sales", "prediction"] and len(lines) == 6 * len(starts)
    assert lines[0]["month"] == f"{2000 + starts[0] // 12}-{starts[0] % 12 + 1:02d}"
    assert [float(line["sales"]) for line in lines[:6]] == pytest.approx(values[starts[0]:starts[0] + 6], abs=1e-4)
    errors = [float(line["sales"]) - float(line["prediction"]) for line in lines]
    assert summary["measures"]["test"]["rmse"] == pytest.approx(np.sqrt(np.mean(np.square(errors))), rel=1e-4)
    assert run("predict", out / "model.safetensors", data, "--out", tmp_path / "p.csv") == 0
    ahead = read(tmp_path / "p.csv")
    assert [line["ahead"] for line in ahead] == list("123456")
    assert run("evaluate", out / "model.safetensors", data) == 0
    assert run("trace", out / "model.safetensors", data, "--out", tmp_path / "t.html") == 0


def test_a_forecast_does_not_see_the_height_of_the_series(tmp_path):
    values = np.cumsum(DRAW.normal(size=80))
    tables = [Table.from_arrays({"v": values + shift}) for shift in (0.0, 1000.0)]
    examples = [ForecastPreprocessor.fit(t, group(t), "v", lags=5, horizon=3).examples(t, group(t)) for t in tables]
    for a, b in zip(*examples):
        assert np.allclose(a, b, atol=1e-9)


def test_missing_values_of_a_series_are_filled_and_said(tmp_path, capsys):
    data, values = series(tmp_path, holes=(40, 41))
    out, said, _ = trained(tmp_path, capsys, *FORECAST, target="sales", data=data)
    assert "'sales': 2 missing values are put on the line between their neighbours" in said.err


def test_scales_and_windows_learn_from_the_training_part_alone():
    values = np.concatenate([DRAW.normal(size=70), 1e6 * DRAW.normal(size=30)])
    whole = Table.from_arrays({"v": values})
    prepare = ForecastPreprocessor.fit(whole, type(group(whole))([None], [np.arange(70)]), "v", lags=4, horizon=2)
    assert prepare.coder.scale < 10


# ------------------------------------------------------------------------------------------------ files and errors

def test_ts_files_are_read_as_they_are(tmp_path, capsys):
    sequences = DRAW.normal(size=(40, 5))
    lines = [",".join(f"{v:.3f}" for v in x) + (":up" if x[-1] > x[0] else ":down") for x in sequences]
    path = tmp_path / "toy.ts"
    path.write_text("@classLabel true up down\n@data\n" + "\n".join(lines) + "\n")
    out = tmp_path / "run"
    assert run("train", path, "--out", out, "--epochs", 3, "--layers", "rnn 4 | last", "-q") == 0
    assert "always" in capsys.readouterr().out
    assert run("predict", out / "model.safetensors", path) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "sequence,prediction" and len(printed) == 41


@pytest.mark.parametrize("options, target, code, message", [
    (("--sequence-id", "nobody"), "rising", 65, "no column 'nobody'"),
    (("--sequence-id", "id", "--time", "id"), "rising", 65, "stands twice"),
    (("--sequence-id", "id", "--time", "t", "--layers", "gru 4 | last"), "tag", 65, "changes within a sequence"),
    (("--sequence-id", "id", "--time", "t", "--layers", "16 relu"), "rising", 2, "do not read"),
    (("--sequence-id", "id", "--cv", "3"), "rising", 2, "--cv folds the rows"),
    (("--time", "t"), "rising", 2, "belongs to sequences"),
    (("--sequence-id", "id"), "id", 2, "is the id and the target"),
    (("--forecast", "3"), "rising", 65, "is of numbers"),
    (("--sequence-id", "id", "--time", "t", "--forecast", "3"), "x", 65, "no window of 6 values read and 3 to come"),
    (("--forecast", "3", "--lags", "4", "--season", "12"), "x", 2, "--lags 4 is less than a season"),
    (("--forecast", "0"), "x", 2, "forecast"),
])
def test_errors_of_the_command_line(tmp_path, capsys, options, target, code, message):
    _, said, _ = trained(tmp_path, capsys, *options, target=target, without=(), expected=code)
    assert message in said.err and "Traceback" not in said.err and "fix" in said.err
    assert not (tmp_path / "run").exists()


def test_another_table_and_another_model_are_refused(tmp_path, capsys):
    out, _, data = trained(tmp_path, capsys, *SEQUENCES)
    model = out / "model.safetensors"
    assert run("predict", model, table(tmp_path / "a.csv", without=("x",))) == 65
    assert "column 'x' is missing" in capsys.readouterr().err
    assert run("predict", model, table(tmp_path / "b.csv", without=("t",))) == 65
    assert "no column 't'" in capsys.readouterr().err
    assert run("trace", model, data, "--row", 60, "--out", tmp_path / "t.html") == 65
    assert "there is no sequence 60" in capsys.readouterr().err


def test_an_interrupted_run_goes_on_bit_for_bit(tmp_path, capsys):
    data = table(tmp_path / "long.csv", without=("tag", "total"))
    settings = SequenceSettings(id="id", time="t", layers="rnn 3 | last", epochs=4, batch_size=8)
    whole = train_sequences(data, "rising", settings).model

    def stop(record):
        if record["epoch"] == 1:
            raise KeyboardInterrupt
    cut = train_sequences(data, "rising", settings, out=str(tmp_path / "run"), progress=stop)
    assert cut.summary["interrupted"] and (tmp_path / "run" / "run.json").exists()
    assert run("train", "--resume", tmp_path / "run") == 0
    going = Model.load(tmp_path / "run" / "model.safetensors")
    assert all(np.array_equal(a, going.parameters[name]) for name, a in whole.parameters.items())


def test_a_state_from_outside_is_checked_field_by_field():
    rows = Table.from_arrays({"id": [1, 1, 2, 2], "x": [0.0, 1.0, 2.0, 3.0], "y": ["a", "a", "b", "b"]})
    states = [SequencePreprocessor.fit(rows, group(rows, "id"), "y", "sequence", id="id").state(),
              ForecastPreprocessor.fit(rows.without("y", "id"), group(rows), "x", lags=1, horizon=1).state()]
    for state in states:
        state = json.loads(json.dumps(state))
        assert from_state(state).state() == state
        for key in state:
            for wrong in (None, [], "nothing", -1, {**state}):
                if wrong != state[key] and not (key in ("id", "time") and isinstance(wrong, str)):
                    with pytest.raises((ModelFileError, DataError)):
                        from_state({**state, key: wrong})
        with pytest.raises(ModelFileError):
            from_state({**state, "more": 1})
