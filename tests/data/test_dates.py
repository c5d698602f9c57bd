"""Dates and ids: days and cycles from ISO dates, columns of nearly all different texts left out."""

import datetime
import json
import math

import numpy as np
import pytest

from backproof.data.preprocess import TablePreprocessor
from backproof.data.tables import Table, as_table, read_table
from backproof.errors import DataError, OptionError
from backproof.jobs import Settings, train_table
from backproof.predictions import predict_table

TEXTS = ["1970-01-01", "2024-02-29", "2024-02-29T12:00", "2024-02-29 06:00:00", "2024-03-01T00:00:00+05:30", "1969-12-31T23:59:59.5Z"]
DAYS = [0, 19782, 19782.5, 19782.25, 19783 - 5.5 / 24, -0.5 / 86400]


def csv_table(path, texts, name="when"):
    path.write_text(f"{name},y\n" + "".join(f"{text},{k % 2}\n" for k, text in enumerate(texts)), "utf-8")
    return read_table(path, target="y")


def test_iso_dates_and_times_are_days_since_1970_in_utc(tmp_path):
    column = csv_table(tmp_path / "t.csv", [*TEXTS, ""])["when"]
    assert column.kind == "date" and column.missing.tolist() == [False] * 6 + [True]
    np.testing.assert_allclose(column.numbers(), [*DAYS, math.nan], rtol=0, atol=1e-10)
    assert column.texts()[1] == "2024-02-29" and column.texts()[6] is None


@pytest.mark.parametrize("texts, message", [
    (["2024-01-01"] * 20 + ["yesterday"], "line 22, column 'when': 'yesterday' is no ISO date, as nearly all other cells are"),
    (["2024-01-01"] * 20 + ["2023-02-29"], "line 22, column 'when': '2023-02-29' is no ISO date of the calendar"),
    (["2024-01-01"] * 20 + ["2024-01-01T25:00"], "'2024-01-01T25:00' is no ISO date of the calendar"),
])
def test_what_is_no_date_is_named(tmp_path, texts, message):
    with pytest.raises(DataError, match=message):
        csv_table(tmp_path / "t.csv", texts)


@pytest.mark.parametrize("texts", [["01/02/2024", "2024-01-02"], ["2024-01", "2024-02"], ["2024-01-02", "x"], ["20240102", "abc"]])
def test_other_notations_stay_categories(tmp_path, texts):
    assert csv_table(tmp_path / "t.csv", texts)["when"].kind == "category"


def test_a_date_as_the_target_is_a_class(tmp_path):
    (tmp_path / "t.csv").write_text("x,y\n1,2024-01-01\n2,2024-01-02\n")
    assert read_table(tmp_path / "t.csv", target="y")["y"].kind == "category"


def test_a_declared_kind_holds(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("when,y\n2024-01-01,1\n2024-01-02,0\n")
    assert read_table(path, types={"when": "category"})["when"].kind == "category"
    path.write_text("when,y\n,1\n,0\n")
    assert read_table(path, types={"when": "date"})["when"].missing.all()
    with pytest.raises(OptionError, match="declared 'day'"):
        read_table(path, types={"when": "day"})


def test_the_features_of_dates_are_days_and_cycles():
    days = np.datetime64("2023-12-28") + np.arange(40)
    prepare = TablePreprocessor.fit(Table.from_arrays({"when": days, "y": np.arange(40) % 2}), "y")
    assert prepare.types == {"when": "date"}
    assert prepare.features == ["when in days", "when: sine of the year", "when: cosine of the year", "when: sine of the week",
                                "when: cosine of the week"]
    X = prepare.transform(Table.from_arrays({"when": days, "y": np.arange(40) % 2}))
    np.testing.assert_allclose(X[:, 0], (np.arange(40) - 19.5) / np.std(np.arange(40)), atol=1e-12)
    np.testing.assert_allclose(X[7:, 3:], X[:-7, 3:], atol=1e-9)                       # a week later is the same day of the week
    np.testing.assert_allclose(np.arctan2(X[:, 1], X[:, 2]) % (2 * np.pi),
                               (days.astype("datetime64[D]").astype(int) % 365.2425) / 365.2425 * 2 * np.pi, atol=1e-9)
    assert np.abs(np.diff(X[:, 1:3], axis=0)).max() < 0.02                             # the year's end is no jump


def test_a_time_of_day_has_its_cycle_and_a_missing_date_its_column():
    when = [datetime.datetime(2024, 1, 1, hour) for hour in range(24)] + [None]
    table = Table.from_arrays({"when": when, "y": np.arange(25) % 2})
    prepare = TablePreprocessor.fit(table, "y")
    assert prepare.features[1] == "when is missing" and prepare.features[-2:] == ["when: sine of the day", "when: cosine of the day"]
    X = prepare.transform(table)
    np.testing.assert_allclose(X[:24, -2], np.sin(2 * np.pi * np.arange(24) / 24), atol=1e-7)
    assert X[24, 1] == 1 and np.isfinite(X).all()
    again = TablePreprocessor.from_state(json.loads(json.dumps(prepare.state())))
    assert again.transform(table).tobytes() == X.tobytes()


def test_a_state_of_the_first_version_still_loads():
    table = Table.from_arrays({"x": [1.0, 2.0, 4.0], "c": ["a", "b", "a"], "y": [0, 1, 0]})
    prepare = TablePreprocessor.fit(table, "y", task="classification")
    state = {**prepare.state(), "version": 1}
    del state["dates"]
    assert TablePreprocessor.from_state(state).transform(table).tobytes() == prepare.transform(table).tobytes()


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_dates_of_frames_and_parquet_files(library, tmp_path):
    frames = pytest.importorskip(library, reason=f"{library} is not installed")
    when = np.array(["2024-02-29T12:00", "NaT", "1969-12-31"], "datetime64[us]")
    made = {"pandas": lambda: frames.DataFrame({"when": when}), "polars": lambda: frames.DataFrame({"when": when}),
            "pyarrow": lambda: frames.table({"when": when})}[library]()
    expected = [19782.5, math.nan, -1.0]
    np.testing.assert_array_equal(as_table(made)["when"].numbers(), expected)
    {"pandas": lambda p: made.to_parquet(p), "polars": lambda p: made.write_parquet(p),
     "pyarrow": lambda p: __import__("pyarrow.parquet").parquet.write_table(made, p)}[library](tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet")["when"].kind == "date"
    np.testing.assert_array_equal(read_table(tmp_path / "t.parquet")["when"].numbers(), expected)


def test_a_column_of_nearly_all_different_texts_is_left_out_unless_declared():
    texts = [f"user{k}" for k in range(57)] + ["user0"] * 3
    table = Table.from_arrays({"x": np.arange(60.0), "user": texts, "y": np.arange(60) % 2})
    prepare = TablePreprocessor.fit(table, "y")
    assert prepare.columns == ["x"] and any("'user' is left out as an id: 57 different texts in 60 rows" in note for note in prepare.notes)
    kept = TablePreprocessor.fit(table, "y", declared=["user"])
    assert kept.columns == ["x", "user"] and "user=user0" in kept.features


def test_more_texts_than_can_be_told_apart_are_an_id(monkeypatch):
    from backproof.data import preprocess
    monkeypatch.setattr(preprocess, "MANY_TEXTS", 10)
    table = Table.from_arrays({"x": np.arange(60.0), "c": [f"c{k % 11}" for k in range(60)], "d": [f"d{k % 10}" for k in range(60)],
                               "y": np.arange(60) % 2})
    prepare = TablePreprocessor.fit(table, "y")
    assert prepare.columns == ["x", "d"] and any("'c' is left out as an id: more than 10 different texts" in note for note in prepare.notes)


def test_a_table_with_dates_trains_and_predicts_whatever_the_later_file_holds(tmp_path):
    path, draw = tmp_path / "t.csv", np.random.default_rng(0)
    day = np.datetime64("2020-01-01") + draw.integers(0, 700, 300)
    weekend = (day.astype("datetime64[D]").astype(int) + 3) % 7 >= 5
    path.write_text("day,x,y\n" + "".join(f"{d},{x:.3f},{'shut' if w else 'open'}\n" for d, x, w in zip(day, draw.normal(size=300), weekend)))
    made = train_table(str(path), "y", Settings(epochs=60, learning_rate=1e-2), out=str(tmp_path / "run"))
    assert made.summary["measures"]["test"]["accuracy"] > 0.95
    (tmp_path / "later.csv").write_text("x,day\n0,2021-03-06\n0,2021-03-08\n0,\n")
    told = []
    predict_table(str(tmp_path / "run/model.safetensors"), str(tmp_path / "later.csv"), out=str(tmp_path / "p.csv"), say=told.append)
    assert (tmp_path / "p.csv").read_text().split()[:3] == ["prediction", "shut", "open"] and "1 missing values" in told[0]
    (tmp_path / "later.csv").write_text("x,day\n0,tomorrow\n")
    with pytest.raises(DataError, match="line 2, column 'day': 'tomorrow' is no ISO date"):
        predict_table(str(tmp_path / "run/model.safetensors"), str(tmp_path / "later.csv"))


@pytest.mark.parametrize("probabilities", [False, True])
@pytest.mark.parametrize("target", ["y", "amount"])
def test_predictions_as_parquet_are_those_as_csv(tmp_path, target, probabilities):
    from pyarrow import parquet

    path, draw = tmp_path / "t.csv", np.random.default_rng(0)
    path.write_text("x,amount,y\n" + "".join(f"{x:.3f},{2 * x:.3f},{'b' if x > 0 else 'a'}\n" for x in draw.normal(size=80)))
    train_table(str(path), target, Settings(epochs=2), out=str(tmp_path / "run"))
    model = str(tmp_path / "run/model.safetensors")
    if target == "amount" and probabilities:
        with pytest.raises(OptionError, match="no probabilities"):
            predict_table(model, str(path), out=str(tmp_path / "p.parquet"), probabilities=True)
        return
    for end in ("csv", "parquet"):
        assert predict_table(model, str(path), out=str(tmp_path / f"p.{end}"), probabilities=probabilities) == 80
    table, lines = parquet.read_table(tmp_path / "p.parquet"), (tmp_path / "p.csv").read_text().split()
    assert ",".join(table.column_names) == lines[0]
    for row, line in zip(table.to_pylist(), lines[1:]):
        for value, text in zip(row.values(), line.split(",")):
            assert str(value) == text if isinstance(value, str) else value == pytest.approx(float(text), rel=1e-8)
