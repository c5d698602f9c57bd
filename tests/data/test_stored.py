"""Rows on the disk: the bits of rows in memory, for any size of the parts they are read in; memory that does not grow."""

import json
import os
import subprocess
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest

from backproof.data import moments, split, stored, tables
from backproof.data.moments import blocks_of, means_and_scales, medians
from backproof.data.stored import Store, Unchanged
from backproof.data.tables import read_table, survey
from backproof.engines.generator import order
from backproof.errors import DataError, FileProblem, OptionError
from backproof.jobs import Settings, train_table
from backproof.disk_sources import streamed

SHORT = Settings(layers="8 relu | dropout 0.2", epochs=3, patience=2, batch_size=37)


def write(path, rows=900, target="yes no", strange=""):
    draw = np.random.default_rng(3)
    x, n = draw.normal(size=rows), draw.integers(-5, 5, rows)
    city = draw.choice(["Rome", "Oslo", "São Paulo", 'the "town"', ""], rows)
    lines = ["when,x,n,id,city,constant,bad,y"]
    for k in range(rows):
        day = f"20{k % 30:02d}-{1 + k % 12:02d}-{1 + k % 28:02d}" + (f"T{k % 24:02d}:30:00Z" if k % 2 else "") if k % 11 else ""
        y = {"yes no": ["no", "yes"][int(x[k] + (city[k] == "Rome") > 0)], "number": f"{3 * x[k] + n[k]:.4f}",
             "whole": str(n[k] % 3)}[target]
        text = '"' + city[k].replace('"', '""') + '"' if '"' in city[k] else city[k]
        lines.append(f"{day},{x[k]:.6f},{'NA' if k % 7 == 0 else n[k]},user{k},{text},3,{strange if k == rows - 1 else 1.5},{y}")
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return str(path)


@pytest.fixture(params=["yes no", "number", "whole"])
def table(tmp_path, request):
    return write(tmp_path / "t.csv", target=request.param)


def test_a_streamed_file_trains_the_weights_of_the_same_file_in_memory(table, tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "AT_ONCE", 100)
    monkeypatch.setattr(stored, "PAGES", 11)
    whole = train_table(table, "y", SHORT, out=str(tmp_path / "a"), stream=False)
    for chunk in (1 << 11, 1 << 20):
        monkeypatch.setattr(tables, "CHUNK", chunk)
        monkeypatch.setattr(tables.survey, "__kwdefaults__", {**tables.survey.__kwdefaults__, "size": chunk})
        monkeypatch.setattr(tables.read_chunks, "__kwdefaults__", {**tables.read_chunks.__kwdefaults__, "size": chunk})
        told = []
        parts = train_table(table, "y", SHORT, out=str(tmp_path / "b"), stream=True, say=told.append, force=True)
        assert json.dumps(parts.prepare.state()) == json.dumps(whole.prepare.state())
        for name, array in whole.model.parameters.items():
            assert parts.model.parameters[name].tobytes() == array.tobytes(), name
        assert parts.model.history["validation_loss"] == whole.model.history["validation_loss"]
        assert (tmp_path / "a/predictions.csv").read_bytes() == (tmp_path / "b/predictions.csv").read_bytes()
        assert any("900 rows are streamed: typed rows of" in sentence for sentence in told)
        for part, measured in whole.summary["measures"].items():
            assert parts.summary["measures"][part] == pytest.approx(measured, rel=1e-12)
            assert parts.summary["baseline"][part] == pytest.approx(whole.summary["baseline"][part], rel=1e-12)
        assert sorted(os.listdir(tmp_path / "a")) == sorted(os.listdir(tmp_path / "b")), "the rows on the disk were not taken away"


def test_gradient_boosting_stands_beside_a_streamed_run_with_the_same_measures(tmp_path, monkeypatch):
    path = write(tmp_path / "t.csv")
    whole, parts = (train_table(path, "y", SHORT, stream=stream, peers=True).summary["boosting"] for stream in (False, True))
    assert "measured_rows" not in parts
    for name in ("training", "validation", "test"):
        assert parts[name] == pytest.approx(whole[name], rel=1e-9)
    monkeypatch.setattr("backproof.disk_sources.BOOSTED_CELLS", 600)
    some = train_table(path, "y", SHORT, stream=True, peers=True).summary["boosting"]
    assert some["fitted_rows"] == 100 and some["measured_rows"] == {"training": 100, "validation": 100, "test": 100}


@pytest.mark.parametrize("drawn", [500, 10**6])
def test_folds_of_a_streamed_file_are_those_of_the_same_file_in_memory(table, tmp_path, monkeypatch, drawn):
    monkeypatch.setattr(split, "DRAWN", drawn)
    monkeypatch.setattr(tables, "CODED", drawn)
    told = []
    whole, parts = (train_table(table, "y", replace(SHORT, epochs=2), stream=stream, cv=3, cache=str(tmp_path), say=told.append)
                    .summary["cross_validation"] for stream in (False, True))
    assert parts["folds"] == 3 and len(parts["network"]["folds"]) == 3 and "fold 3 of 3: loss" in told[-1] + "".join(told)
    assert parts == whole
    assert len({measured["loss"] for measured in parts["network"]["folds"]}) == 3, "three folds, three results"
    assert os.listdir(tmp_path) == ["t.csv"], "the rows on the disk were not taken away"


def test_every_row_is_in_the_test_part_of_one_fold(monkeypatch):
    labels = np.arange(100) % 3
    for drawn in (10, 1000):
        monkeypatch.setattr(split, "DRAWN", drawn)
        parts = [split.Division(validation=0.25, seed=1, folds=4, fold=k) for k in range(4)]
        tested = np.concatenate([division.rows(100, labels)[2] for division in parts])
        assert sorted(tested) == list(range(100))
        for division in parts:
            rows = division.rows(100, labels)
            assert sorted(np.concatenate(rows)) == list(range(100)) and 5 < len(rows[1]) < 40
            numbers = np.concatenate(list(division.numbers(100, labels)))
            assert all((np.flatnonzero(numbers == k) == rows[k]).all() for k in range(3))
            if drawn == 1000:
                assert np.ptp(np.bincount(labels[rows[2]])) <= 1, "the classes are not in proportion"


def test_many_rows_are_split_by_draws_and_ordered_on_the_disk_with_the_same_bits(tmp_path, monkeypatch):
    path = write(tmp_path / "t.csv")
    monkeypatch.setattr(split, "DRAWN", 500)
    monkeypatch.setattr(split, "AT_ONCE", 64)
    monkeypatch.setattr(tables, "CODED", 500)
    monkeypatch.setattr(stored, "ORDERED", 80)
    whole = train_table(path, "y", SHORT, stream=False)
    parts = train_table(path, "y", SHORT, stream=True)
    assert whole.summary["rows"] == parts.summary["rows"] and whole.summary["rows"]["training"] not in (630, 0)
    for name, array in whole.model.parameters.items():
        assert parts.model.parameters[name].tobytes() == array.tobytes(), name


@pytest.mark.parametrize("n", [1, 5, 100, 101, 1000])
def test_the_order_on_the_disk_is_the_order(n, tmp_path, monkeypatch):
    monkeypatch.setattr(stored, "ORDERED", 40)
    for seed, epoch in ((0, 0), (7, 3)):
        found = stored._SortedOnDisk(seed, epoch, n, str(tmp_path))
        assert found[0:n].tolist() == order(seed, epoch, n).tolist()
        assert found[n // 3:n // 2].tolist() == order(seed, epoch, n)[n // 3:n // 2].tolist()


@pytest.mark.parametrize("size", [64, 1000, 1 << 20])
def test_a_survey_decides_what_reading_decides(tmp_path, size):
    path = write(tmp_path / "t.csv")
    whole, found = read_table(path, target="y"), survey(path, target="y", size=size)
    assert found.kinds == {c.name: c.kind for c in whole.columns.values()} and found.rows == len(whole)
    assert [found.labels[code] for code in found.codes] == whole["y"].values.tolist()
    assert found.missing == {name: int(whole[name].missing.sum()) for name in whole.names if whole[name].missing.any()}


@pytest.mark.parametrize("size", [64, 1 << 20])
def test_a_stray_word_far_down_is_named_by_a_survey_too(tmp_path, size):                                          # F12
    path = write(tmp_path / "t.csv", strange="abc")
    for read in (lambda: survey(path, target="y", size=size), lambda: read_table(path, target="y")):
        with pytest.raises(DataError, match="line 901, column 'bad': 'abc' is not a plain decimal"):
            read()


def test_numbers_that_are_one_value_are_one_label(tmp_path):
    (tmp_path / "t.csv").write_text("x,y\n" + "".join(f"{k},{[' 1', '+1', '2'][k % 3]}\n" for k in range(30)))
    found = survey(tmp_path / "t.csv", target="y", size=40)
    assert found.labels == [1, 2] and found.counts == [20, 10] and found.whole


def test_medians_means_and_deviations_are_those_of_numpy_and_scikit_learn():
    from sklearn.preprocessing import StandardScaler

    draw = np.random.default_rng(0)
    values = draw.normal(size=(40_001, 4)) * [1, 1e-300, 1e300, 1]
    values[:, 3] = draw.integers(0, 3, len(values))
    values[draw.random(values.shape) < 0.1] = np.nan
    for n in (1, 2, 3, 16_384, 16_385, 40_001):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")                              # NumPy's about a column of NaN alone
            np.testing.assert_array_equal(medians(lambda n=n: blocks_of(values[:n]), 4), np.nanmedian(values[:n], axis=0))
    whole = draw.normal(size=(40_001, 3)) * [1, 10, 1e3] + [0, 1e6, 0]
    scaler = StandardScaler().fit(whole)
    mean, scale, least, most = means_and_scales(blocks_of(whole), 3)
    np.testing.assert_allclose(mean, scaler.mean_, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(scale, scaler.scale_, rtol=1e-12)
    np.testing.assert_array_equal([least, most], [whole.min(axis=0), whole.max(axis=0)])
    assert moments.BLOCK < 40_001


def test_more_columns_than_are_counted_together(monkeypatch):
    values = np.random.default_rng(1).normal(size=(50, 7))
    monkeypatch.setattr(moments, "TOGETHER", 3)
    np.testing.assert_array_equal(medians(lambda: blocks_of(values), 7), np.median(values, axis=0))


# -- what goes wrong ---------------------------------------------------------------------------------------------

@pytest.mark.parametrize("change, message", [
    (lambda path: open(path, "a").write("1,2\n"), "the file changed while it was read: .* before, .* now"),
    (lambda path: os.unlink(path), "No such file"), (lambda path: os.truncate(path, 10), "10 bytes now"),
    (lambda path: os.utime(path, (1, 1)), "the file changed"),
])
def test_a_file_that_changes_is_named(tmp_path, change, message):                                                 # F17
    path = write(tmp_path / "t.csv")
    seen = Unchanged(path)
    seen.check("at once")
    change(path)
    with pytest.raises(FileProblem, match=message):
        seen.check("before row 7")


def test_a_file_that_changes_between_two_parts_stops_the_run(tmp_path, monkeypatch):                              # F17
    path = write(tmp_path / "t.csv")
    real = Store._typed
    monkeypatch.setattr(Store, "_typed", lambda self, *how, **more: (os.utime(path, (1, 1)), real(self, *how, **more))[1])
    with pytest.raises(FileProblem, match="the file changed while it was read") as found:
        train_table(path, "y", SHORT, stream=True, out=str(tmp_path / "run"))
    assert "row" in found.value.where and found.value.state == "nothing was trained" and not (tmp_path / "run").exists()


def test_a_disk_that_is_too_small_is_said_before_anything_is_written(tmp_path, monkeypatch):
    path = write(tmp_path / "t.csv")
    full = os.statvfs_result((4096, 4096, 10, 1, 1, 1, 1, 1, 0, 255))
    monkeypatch.setattr(stored.os, "statvfs", lambda _: full)
    with pytest.raises(FileProblem, match=r"the rows need .* KB on the disk; 4.1 KB are free") as found:
        train_table(path, "y", SHORT, stream=True, cache=str(tmp_path))
    assert "--cache" in found.value.fix and os.listdir(tmp_path) == ["t.csv"]


def test_rows_that_a_killed_run_left_are_taken_away_by_the_next(tmp_path):
    path = write(tmp_path / "t.csv")
    child = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    dead, living = tmp_path / f"backproof-rows-{child.stdout.strip()}-abc", tmp_path / f"backproof-rows-{os.getpid()}-abc"
    for folder in (dead, living):
        folder.mkdir()
        (folder / "training.numbers").write_bytes(b"x")
    train_table(path, "y", SHORT, stream=True, cache=str(tmp_path))
    assert not dead.exists() and (living / "training.numbers").exists()


def test_streaming_is_chosen_by_size_or_asked_for(tmp_path, monkeypatch):
    path = write(tmp_path / "t.csv")
    assert not streamed(path) and streamed(path, True) and not streamed("iris")
    monkeypatch.setattr("backproof.disk_sources.STREAM_BYTES", 1000)
    assert streamed(path) and not streamed(path, False)
    with pytest.raises(OptionError, match="no file that could be streamed"):
        streamed("iris", True)
    with pytest.raises(OptionError, match="lbfgs"):
        train_table(path, "y", Settings(optimizer="lbfgs"), stream=True)


@pytest.mark.parametrize("text, message", [
    ("x,y\n" + "1,\n" * 3 + "2,a\n" * 9, "the target is missing in 3 rows"), ("x,y\n" + "1,a\n" * 9, "only class 'a'"),
    ("x,y\n", "no data rows"),
    ("", "empty"), ("x,z\n1,2\n", "no column 'y'"), ("x,y\n" + "2,a\n1,b\n" * 9 + "1,2,3\n", "line 20 has 3 fields"),
])
def test_what_is_refused_in_memory_is_refused_in_parts(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    for stream in (False, True):
        with pytest.raises(DataError, match=message):
            train_table(str(tmp_path / "t.csv"), "y", SHORT, stream=stream)


def test_parquet_files_are_streamed_too(tmp_path):
    from pyarrow import parquet
    import pyarrow

    csv = read_table(write(tmp_path / "t.csv"), target="y")
    arrays = {name: pyarrow.array(column.values, mask=column.missing) for name, column in csv.columns.items()}
    parquet.write_table(pyarrow.table(arrays), tmp_path / "t.parquet")
    outcomes = [train_table(str(tmp_path / f"t.{end}"), "y", SHORT,
                            stream=stream) for end in ("csv", "parquet") for stream in (False, True)]
    for other in outcomes[1:]:
        for name, array in outcomes[0].model.parameters.items():
            assert other.model.parameters[name].tobytes() == array.tobytes(), name


def test_an_interrupted_stream_goes_on_to_the_same_bits(tmp_path):
    path = write(tmp_path / "t.csv")
    whole = train_table(path, "y", SHORT, stream=True)

    def stop(record):
        raise KeyboardInterrupt
    first = train_table(path, "y", SHORT, stream=True, out=str(tmp_path / "run"), progress=stop)
    assert first.summary["interrupted"]
    again = train_table(path, "y", SHORT, stream=True, out=str(tmp_path / "run"), resume=True)
    for name, array in whole.model.parameters.items():
        assert again.model.parameters[name].tobytes() == array.tobytes(), name


# -- memory ------------------------------------------------------------------------------------------------------

MEASURED = """
import os, resource, sys
from backproof.jobs import Settings, train_table
from backproof.predictions import predict_table
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
folder, batch, files = sys.argv[1], int(sys.argv[2]) or None, sys.argv[3:]
train_table("iris", settings=Settings(epochs=1), out=folder + "/first", peers=not batch)          # everything is imported
predict_table(folder + "/first/model.safetensors", "iris", out=folder + "/p.csv")
before = peak()
for k, name in enumerate(files):
    name, stream = name.removesuffix("!"), not name.endswith("!")
    made = train_table(name, "y", Settings(epochs=1, batch_size=batch, learning_rate=1e-2), out=f"{folder}/run{k}", stream=stream, peers=not batch)
    if stream:
        rows = predict_table(f"{folder}/run{k}/model.safetensors", name, out=f"{folder}/p{k}.csv")
        assert rows == sum(made.summary["rows"].values())
    assert made.summary["measures"]["test"]["accuracy"] > 0.6, made.summary
    print(rows, peak() - before, flush=True)
"""


def generate(path, size):
    """A file of numbers, a category and a class that follows from them; size in bytes."""
    draw = np.random.default_rng(0)
    X, city = draw.normal(size=(20_000, 18)), draw.choice(["Rome", "Oslo", "Bern"], 20_000)
    y = np.where(X[:, 0] + (city == "Rome") > 0.3, "yes", "no")
    block = "".join(",".join(f"{v:.5f}" for v in row) + f",{c},{t}\n" for row, c, t in zip(X, city, y))
    with open(path, "w") as file:
        file.write(",".join(f"x{k}" for k in range(18)) + ",city,y\n")
        while file.tell() < size:
            file.write(block)


def peaks(folder, batch, *files, timeout=600):
    """(rows, bytes beyond the imports at most so far) for training and predicting each file; one that ends with ! is held in memory."""
    words = [sys.executable, "-c", MEASURED, str(folder), str(batch), *map(str, files)]
    found = subprocess.run(words, capture_output=True, text=True, timeout=timeout)
    assert found.returncode == 0, found.stderr[-2000:]
    return [tuple(map(int, line.split())) for line in found.stdout.splitlines()]


def test_training_and_predicting_a_larger_file_takes_little_more_memory(tmp_path):
    generate(tmp_path / "one.csv", 6_000_000)
    generate(tmp_path / "four.csv", 24_000_000)
    (_, one), (rows, four), (_, held) = peaks(tmp_path, 1000, tmp_path / "one.csv", tmp_path / "four.csv",
                                              f"{tmp_path / 'four.csv'}!")
    assert rows >= 145_000 and four < 128e6 and four - one < 56e6, (one, four)
    assert held > four + 56e6, f"held in memory the table of 24 MB took {held}, streamed {four}: then this test says nothing"


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_5_gb_train_and_predict_within_512_mb(tmp_path):
    disk = os.statvfs(tmp_path)
    if disk.f_bavail * disk.f_frsize < 16e9:
        pytest.skip("needs 16 GB of disk: 5 for the file, 5 for its typed rows, the rest for predictions and the order")
    generate(tmp_path / "t.csv", 5_000_000_000)
    [(rows, peak)] = peaks(tmp_path, 0, tmp_path / "t.csv", timeout=7000)
    assert rows > 25_000_000 and peak < 512e6, (rows, peak)
