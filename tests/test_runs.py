"""What stands around a run: run files, resuming, time limits, folds, peers, evaluation, descriptions, export."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from backproof import Model
from backproof.cli import main
from backproof.errors import DataError, FileProblem, OptionError
from backproof.commands.options import Option
from backproof.commands.train import keys
from backproof.jobs import Settings, train_table
from backproof.run_files import EXAMPLES, read_run_file, run_file
from backproof.runs import evaluate, resumable
from backproof.train.checkpoints import Checkpoints


@pytest.fixture
def table(tmp_path):
    rng = np.random.default_rng(0)
    x, city = rng.normal(size=200), rng.choice(["Rome", "Oslo", ""], 200)
    lines = ["x,city,y"] + [f"{a:.4f},{c},{'yes' if a + (c == 'Rome') > 0 else 'no'}" for a, c in zip(x, city)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def run(*arguments):
    return main([str(a) for a in arguments])


# ------------------------------------------------------------------------------------- run files

def test_the_run_file_that_init_writes_has_the_defaults_and_can_be_read(tmp_path, capsys):
    path = tmp_path / "r.toml"
    assert run("init", path, "--data", "t.csv", "--target", "y") == 0 and run("init", path) == 73
    assert read_run_file(path, keys()) == {"data": "t.csv", "target": "y", "out": "run"}
    assert path.read_text() == run_file(keys(), "t.csv", "y")
    lines = [line.removeprefix("#") for line in path.read_text().split("\n") if " = " in line and line[:2] != "# "]
    path.write_text("\n".join(lines))
    found, options = read_run_file(path, keys()), keys()                     # every key is asked for: the defaults, or examples
    assert set(found) == set(options) >= {"stream", "cache", "types", "threads", "sequence_id", "vectors", "cv", "time_limit"}
    assert all(found[name] == option.default for name, option in options.items() if option.default is not None and name != "out")
    assert {name for name in found if options[name].default is None} == {*EXAMPLES, "data", "target"}


def test_every_option_of_a_run_is_a_key_and_no_other(capsys):
    assert run("train", "--help") == 0
    told = set(re.findall(r"--([a-z0-9-]+)", re.sub(r"--(no-peers|no-stream)", "", capsys.readouterr().out)))
    alone = {"config", "resume", "force", "quiet", "verbose", "json", "debug", "help"}
    assert {name.replace("_", "-") for name in keys()} == (told - alone) | {"data"}


@pytest.mark.parametrize("text, message", [
    ('lerning_rate = 0.1', "line 1: unknown key 'lerning_rate'\n.*\n.*did you mean 'learning_rate'"),
    ('\nepochs = "ten"', "line 2: epochs is str 'ten'\n.*\n.*a whole number"), ("epochs = 1.5", "epochs is float"),
    ("epochs = true", "epochs is bool"), ("epochs = 1\nepochs = 2", "cannot be read.*overwrite"), ("l2 = nan", "l2 is float nan"),
    ("layers = [", "cannot be read"), ('\nstream = "yes"', "line 2: stream is str 'yes'\n.*\n.*true or false"),
    ("stream = 1", "stream is int"),
    ("seed = " + "1" * 5000, "cannot be read"), ("[settings]\nepochs = 3", "unknown key 'settings'"),
])
def test_mistakes_in_a_run_file_are_named_with_their_line(tmp_path, text, message):
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(OptionError, match=message):
        read_run_file(tmp_path / "r.toml", keys())


def test_a_run_file_of_other_options():
    text = Option(str, None, "a name")
    found = run_file({"out": Option(str, "run", "a folder"), "data": text, "target": text, "deep": Option(bool, True, "all")}, "a.csv")
    wanted = ['data = "a.csv"', 'target = "target"', 'out = "run"', "#deep = true"]
    assert [line.split("  ")[0] for line in found.splitlines()[3:]] == wanted


def test_options_on_the_command_line_win_over_the_run_file(table, tmp_path, capsys):
    (tmp_path / "r.toml").write_text(f'data = "{table}"\ntarget = "y"\nepochs = 3\nseed = 5\nout = "{tmp_path / "o"}"\n')
    assert run("train", "--config", tmp_path / "r.toml", "--epochs", 2, "--json", "-q") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["settings"]["epochs"], summary["settings"]["seed"], summary["epochs"]) == (2, 5, 2)
    assert run("train", "-q") == 2 and run("train", "--resume", "x", table) == 2
    assert "--data and --resume exclude each other" in capsys.readouterr().err


def test_streaming_kinds_and_places_are_keys_of_the_run_file(table, tmp_path, capsys):
    place = tmp_path / "rows"
    place.mkdir()
    (tmp_path / "r.toml").write_text(f'data = "{table}"\ntarget = "y"\nepochs = 2\nout = "{tmp_path / "o"}"\nstream = true\n'
                                     f'cache = "{place}"\ntypes = "x=category"\ncv = 2\nthreads = 2\npeers = false\n')
    assert run("train", "--config", tmp_path / "r.toml", "--json") == 0
    told = capsys.readouterr()
    summary = json.loads(told.out)
    assert "200 rows are streamed: typed rows of" in told.err and str(place) in told.err and os.listdir(place) == []
    assert summary["cross_validation"]["folds"] == 2 and "boosting" not in summary and summary["settings"]["threads"] == 2
    assert summary == json.loads((tmp_path / "o/summary.json").read_text())
    assert "column 'x' is left out" in told.err and "1 columns as" in told.err      # nearly every text is another
    assert run("train", "--config", tmp_path / "r.toml", "--no-stream", "--cv", 0, "--force", "--types", "city=category") == 0
    told = capsys.readouterr()
    assert "streamed" not in told.err and "folds" not in told.out and "2 columns as" in told.err


def test_a_run_file_trains_sequences_and_words_as_the_command_line_does(tmp_path, capsys):
    steps = "".join(f"{k},{t},{(k * t) % 5},{'ab'[k % 2]}\n" for k in range(24) for t in range(4))
    (tmp_path / "long.csv").write_text("id,t,x,y\n" + steps)
    (tmp_path / "s.toml").write_text(f'data = "{tmp_path / "long.csv"}"\ntarget = "y"\nsequence_id = "id"\ntime = "t"\n'
                                     f'epochs = 1\nout = "{tmp_path / "s"}"\n')
    assert run("train", "--config", tmp_path / "s.toml", "-q") == 0 and "always" in capsys.readouterr().out
    (tmp_path / "w.toml").write_text(f'data = "entities"\ntask = "tag"\nepochs = 1\nwindow = 3\nout = "{tmp_path / "w"}"\n')
    assert run("train", "--config", tmp_path / "w.toml", "-q", "--json") == 0
    assert json.loads(capsys.readouterr().out)["settings"]["window"] == 3
    assert run("train", "--config", tmp_path / "w.toml", "--target", "y") == 2
    assert "--target belongs to tables" in capsys.readouterr().err


# ------------------------------------------------------------------------------------- resuming

def test_a_run_that_was_killed_goes_on_to_the_same_bits(table, tmp_path):
    command = [sys.executable, "-m", "backproof", "train", table, "--target", "y", "--epochs", "4000", "--patience", "0", "--no-peers"]
    child = subprocess.Popen([*command, "--out", str(tmp_path / "a"), "-v"], stderr=subprocess.PIPE, text=True)
    for line in child.stderr:
        if line.startswith("epoch    3"):
            break
    child.send_signal(signal.SIGTERM)
    rest = child.stderr.read()
    assert child.wait(timeout=60) == 143 and "--resume" in rest and "Traceback" not in rest
    done = Checkpoints(tmp_path / "a").steps()[-1]
    asked = resumable(tmp_path / "a")
    assert asked["settings"].epochs == 4000 and asked["target"] == "y" and done > 0
    # a run of fewer epochs from the start, and the checkpoint it must equal
    whole = train_table(table, "y", Settings(epochs=4000, patience=None), out=str(tmp_path / "b"), progress=_until(done), peers=False)
    saved = Checkpoints(tmp_path / "a")
    saved.identity = json.loads(_metadata(saved.path(done)))["identity"]
    found = saved.newest()
    steps = {record["step"] for record in whole.model.history.records}
    if done in steps:
        assert all(found.parameters[k].tobytes() == whole.model.parameters[k].tobytes() for k in found.parameters)


def _until(step):
    return lambda record: record["step"] >= step


def _metadata(path):
    from backproof.train.files import load_tensors
    return load_tensors(path)[1]["checkpoint"]


def test_resume_finishes_an_interrupted_run_bit_for_bit(table, tmp_path, capsys):
    settings = Settings(epochs=12, patience=None)
    whole = train_table(table, "y", settings, out=str(tmp_path / "whole"))

    def interrupt(record):
        if record["epoch"] == 4:
            raise KeyboardInterrupt
    train_table(table, "y", settings, out=str(tmp_path / "part"), progress=interrupt)
    assert sorted(os.listdir(tmp_path / "part"))[-1] == "summary.json" and (tmp_path / "part" / "run.json").exists()
    assert run("train", "--resume", tmp_path / "part", "-q", "--no-peers") == 0
    again = Model.load(tmp_path / "part" / "model.safetensors")
    assert all(again.parameters[k].tobytes() == whole.model.parameters[k].tobytes() for k in again.parameters)
    assert sorted(os.listdir(tmp_path / "part")) == sorted(os.listdir(tmp_path / "whole"))
    with pytest.raises(FileProblem, match="no run to go on with"):
        resumable(tmp_path / "part")
    assert run("train", "--resume", tmp_path / "nowhere") == 66


def test_a_changed_table_cannot_be_resumed(table, tmp_path, capsys):
    def interrupt(record):
        raise KeyboardInterrupt
    train_table(table, "y", Settings(epochs=5), out=str(tmp_path / "o"), progress=interrupt)
    text = open(table).read()
    open(table, "w").write(text.replace("0.1", "0.2"))
    assert run("train", "--resume", tmp_path / "o", "-q") == 2
    assert "the data are others" in capsys.readouterr().err
    assert (tmp_path / "o" / "run.json").exists() and Checkpoints(tmp_path / "o").steps()


def test_a_time_limit_ends_a_run_with_its_best_weights(table, tmp_path):
    began = time.monotonic()
    found = train_table(table, "y", Settings(epochs=10**6, patience=10**6), out=str(tmp_path / "o"), time_limit=0.5)
    assert time.monotonic() - began < 60 and "time limit of 0.5 s" in found.summary["stopped"] and not found.summary["interrupted"]
    best = min(found.model.history["validation_loss"])
    assert found.summary["measures"]["validation"]["loss"] == pytest.approx(best, rel=1e-5)
    assert Checkpoints(tmp_path / "o").steps() == []


# ------------------------------------------------------------------------------------- folds, peers, measures

def test_every_row_is_tested_once_and_the_peers_stand_beside(table):
    for folds, target in ((3, "y"), (2, "x")):
        outcome = train_table(table, target, Settings(epochs=3), cv=folds)
        found = outcome.summary["cross_validation"]
        assert len(found["network"]["folds"]) == folds and set(found) == {"folds", "network", "baseline", "boosting"}
        assert outcome.table().startswith(f"{folds} folds")
    with pytest.raises(OptionError, match="no number of folds"):
        train_table(table, "y", Settings(), cv=1)
    with pytest.raises(DataError, match="would be empty"):
        train_table(table, "y", Settings(), cv=150)


def test_boosting_is_measured_on_the_same_rows_for_both_tasks(table):
    for target in ("x", "y"):
        found = train_table(table, target, Settings(epochs=3), peers=True)
        assert "HistGradientBoosting" in found.table() and set(found.summary["boosting"]) >= {"training", "validation", "test", "seconds"}


def test_evaluate_measures_what_training_measured_in_parts_of_any_size(table, tmp_path, capsys, monkeypatch):
    from backproof.data.tables import read_chunks
    for target in ("x", "y"):
        trained = train_table(table, target, Settings(epochs=5), out=str(tmp_path / target))
        found = evaluate(tmp_path / target / "model.safetensors", table)
        parts = trained.summary["measures"]
        counts = trained.summary["rows"]
        total = sum(parts[name]["loss"] * counts[name] for name in counts) / 200
        assert found["loss"] == pytest.approx(total, rel=1e-5) and found["rows"] == 200
    assert run("evaluate", tmp_path / "y" / "model.safetensors", table, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert sum(map(sum, told["confusion"])) == 200
    from sklearn import metrics

    from backproof.data.tables import read_table
    from backproof.predictions import load_table_model
    network, prepare = load_table_model(tmp_path / "y" / "model.safetensors")
    whole = read_table(table, target="y")
    X, y = prepare.transform(whole), prepare.target_transform(whole)
    predicted = network.predict(X)
    answer = predicted.argmax(axis=1)
    assert told["confusion"] == metrics.confusion_matrix(y, answer).tolist() and told["accuracy"] == (answer == y).mean()
    assert told["auc"] == pytest.approx(metrics.roc_auc_score(y, predicted[:, 1]), rel=1e-12)
    assert told["balanced_accuracy"] == pytest.approx(metrics.balanced_accuracy_score(y, answer), rel=1e-12)
    monkeypatch.setattr("backproof.data.tables.read_chunks.__kwdefaults__", {**read_chunks.__kwdefaults__, "size": 500})
    parts = evaluate(tmp_path / "y" / "model.safetensors", table)
    assert parts["confusion"] == told["confusion"] and parts["loss"] == pytest.approx(told["loss"], rel=1e-6) and parts["auc"] == told["auc"]
    assert run("evaluate", tmp_path / "y" / "model.safetensors", table, "--json") == 0
    assert sum(map(sum, json.loads(capsys.readouterr().out)["confusion"])) == 200
    assert run("evaluate", tmp_path / "y" / "model.safetensors", table) == 0
    assert "truth" in capsys.readouterr().out


def test_describe_tables_and_models(table, tmp_path, capsys):
    train_table(table, "y", Settings(epochs=1), out=str(tmp_path / "o"))
    assert run("describe", table) == 0 and "Rome" in capsys.readouterr().out
    assert run("describe", tmp_path / "o" / "model.safetensors") == 0 and "predicts y (classification)" in capsys.readouterr().out
    assert run("describe", table, "--json") == 0 and json.loads(capsys.readouterr().out)["rows"] == 200
    assert run("describe", "nothing.csv") == 66


def test_export_writes_a_state_dict_and_refuses_to_overwrite(table, tmp_path, capsys):
    train_table(table, "y", Settings(epochs=1), out=str(tmp_path / "o"))
    model = tmp_path / "o" / "model.safetensors"
    assert run("export", model, tmp_path / "s.safetensors") == 0 and run("export", model, tmp_path / "s.safetensors") == 73
    assert run("export", model, tmp_path / "s.h5") == 2 and run("export", tmp_path / "none", tmp_path / "t.safetensors") == 73
