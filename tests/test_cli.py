"""The commands as a user types them: what they print where, their exit codes, and no traceback ever."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from backproof import cli, jobs, outputs
from backproof.cli import main
from backproof.train.checkpoints import Checkpoints

QUICK = ["--epochs", "2", "--layers", "8 relu"]


@pytest.fixture
def run(capsys):
    """Call a command in this process: (exit code, stdout, stderr)."""
    def call(*arguments):
        code = main([str(a) for a in arguments])
        told = capsys.readouterr()
        assert "Traceback" not in told.err + told.out
        return code, told.out, told.err
    return call


def command(*arguments, **how):
    return subprocess.run([sys.executable, "-m", "backproof", *map(str, arguments)], capture_output=True, text=True, **how)


def test_train_prints_the_result_on_stdout_and_the_rest_on_stderr(run, tmp_path):
    code, out, err = run("train", "iris", "--out", tmp_path / "run", *QUICK)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[2:]] == ["training", "validation", "test"]
    assert "accuracy" in out and "always" in out
    assert "gradients checked on 5 rows: largest relative error" in err and "✓" in err
    assert "epoch    0  loss" in err and "saved" in err


def test_train_and_predict_on_a_file(run, tmp_path):
    (tmp_path / "d.csv").write_text("a,b,kind\n" + "".join(f"{k % 7},{k % 3},{'even' if k % 2 else 'odd'}\n" for k in range(60)))
    code, _, err = run("train", tmp_path / "d.csv", "--target", "kind", "--out", tmp_path / "run", *QUICK)
    assert code == 0 and "2 columns as 2 inputs" in err
    code, out, err = run("predict", tmp_path / "run/model.safetensors", tmp_path / "d.csv", "--probabilities")
    assert (code, err) == (0, "")
    assert out.splitlines()[0] == "prediction,probability_even,probability_odd" and len(out.splitlines()) == 61
    code, out, err = run("predict", tmp_path / "run/model.safetensors", tmp_path / "d.csv", "--out", tmp_path / "p.csv")
    assert (code, out) == (0, "") and "60 predictions in" in err


def test_missing_markers_are_declared_on_the_command_line(run, tmp_path):
    rows = "".join(f"{-999 if k % 5 == 0 else k % 7},{'NA' if k % 3 else 'FR'},{k % 2}\n" for k in range(60))
    (tmp_path / "d.csv").write_text("a,land,y\n" + rows)
    asked = "--missing=,-999"
    code, _, err = run("train", tmp_path / "d.csv", "--target", "y", "--out", tmp_path / "run", asked, "--no-peers", *QUICK)
    assert code == 0 and "column 'a': 12 of 60 missing (12 '-999')" in err and "'land'" not in err     # NA is a country here
    model = tmp_path / "run/model.safetensors"
    code, out, err = run("predict", model, tmp_path / "d.csv", asked, "--threads", 1)
    assert (code, len(out.splitlines()), err) == (0, 61, "")
    assert "missing" not in run("describe", tmp_path / "d.csv", "--missing", "?")[2]
    assert run("evaluate", model, tmp_path / "d.csv", asked, "--threads", 0)[0] == 2


def test_a_failed_prediction_prints_nothing_on_stdout(run, tmp_path):
    run("train", "iris", "--out", tmp_path / "run", "--no-peers", *QUICK)
    (tmp_path / "d.csv").write_text("a,b\n1,2\n")
    code, out, err = run("predict", tmp_path / "run/model.safetensors", tmp_path / "d.csv")
    assert (code, out) == (65, "") and "is missing" in err


@pytest.mark.parametrize("header, row, message", [
    ("a;b;y", "0,5;1;yes", "the header is one column, 'a;b;y', and contains ';'"),          # decimal commas, too
    ("a,b,y", "1,2,user{}", "would have 0 of class 'user0', which has 1 of 40 rows"),
    ("a,b,y", '"1,000",2,no', "'1,000' is a number in another notation.*count it as missing by --missing …, or declare 'a' a category"),
])
def test_errors_say_it_in_the_words_of_the_file_and_of_the_command(run, tmp_path, header, row, message):
    (tmp_path / "d.csv").write_text("\n".join([header, *(row.format(k) for k in range(40))]) + "\n")
    code, out, err = run("train", tmp_path / "d.csv", "--target", "y", "--out", tmp_path / "run")
    assert (code, out) == (65, "") and re.search(message, err, re.DOTALL)


def test_gradient_boosting_can_be_left_out_while_it_is_fitted(run, tmp_path, monkeypatch):
    def slow(*anything):
        raise KeyboardInterrupt
    monkeypatch.setattr(jobs, "boosting", slow)
    code, out, err = run("train", "iris", "--out", tmp_path / "run", *QUICK)
    assert code == 0 and "gradient boosting was left out" in err and "HistGradientBoosting" not in out
    assert (tmp_path / "run/model.safetensors").exists()


def test_an_interrupt_after_the_training_says_how_to_go_on(run, tmp_path, monkeypatch):
    def pulled(*anything):
        raise KeyboardInterrupt
    monkeypatch.setattr(jobs, "_summary", pulled)
    assert "nothing was saved" in run("train", "iris", "--out", tmp_path / "a", *QUICK)[2]
    monkeypatch.setattr(jobs, "_checkpoints", lambda out, *others: Checkpoints(out, every=1, seconds=0))
    code, out, err = run("train", "iris", "--out", tmp_path / "b", *QUICK)
    assert code == 130 and "backproof train --resume" in err and "nothing was saved" not in err


def test_json_is_the_summary_alone(run, tmp_path):
    code, out, err = run("train", "wine", "--json", "-q", "--out", tmp_path / "run", *QUICK)
    assert (code, err) == (0, "")
    assert json.loads(out) == json.loads((tmp_path / "run/summary.json").read_text())


def test_verbose_has_a_line_for_every_epoch(run, tmp_path):
    _, _, err = run("train", "wine", "-v", "--out", tmp_path / "run", "--epochs", 3, "--layers", "")
    assert [line.split()[1] for line in err.splitlines() if line.startswith("epoch")] == ["0", "1", "2"]


@pytest.mark.parametrize("code, arguments, message", [
    (2, ["train", "iris", "--layers", "8 rellu", "--out", "{}/r"], "rellu"),
    (2, ["train", "iris", "--epochs", "many"], "--epochs"),
    (2, ["train", "iris", "--lerning-rate", "1"], "--learning-rate"),
    (2, ["train", "iris", "--task", "guess"], "--task 'guess'"),
    (2, ["train", "iris", "--validation", "1.5", "--out", "{}/r"], "validation = 1.5"),
    (2, ["train", "{}/d.csv", "--out", "{}/r"], "--target NAME"),
    (2, ["train", "iris", "--seed", "-1", "--out", "{}/r"], "seed"),
    (2, ["nothing"], "nothing"),
    (2, ["derive"], "one of them"),
    (2, ["derive", "3 | 2 tanh", "--expression", "x"], "one of them"),
    (2, ["derive", "3 | 2 tanh", "--at", "x=1"], "--at belongs"),
    (2, ["derive", "3 | 2 tanh", "--format", "word"], "--format 'word'"),
    (2, ["derive", "3 | 2 tanh", "--loss", "nonsense"], "nonsense"),
    (2, ["derive", "3 | 2 tahn"], "tahn"),
    (2, ["derive", "--expression", "x +* y"], "stands where"),
    (65, ["train", "{}/d.csv", "--target", "c", "--out", "{}/r"], "no column 'c'"),
    (65, ["train", "{}/empty.csv", "--target", "c", "--out", "{}/r"], "empty"),
    (65, ["predict", "{}/d.csv", "{}/d.csv"], "error:"),
    (66, ["train", "{}/none.csv", "--target", "c", "--out", "{}/r"], "No such file"),
    (66, ["train", "{}", "--target", "c", "--out", "{}/r"], "directory"),
    (66, ["train", "http://example.org/a.csv", "--target", "c", "--out", "{}/r"], "URL"),
    (66, ["predict", "{}/none.safetensors", "iris"], "No such file"),
    (73, ["train", "iris", "--out", "{}"], "not empty"),
    (73, ["train", "iris", "--out", "{}/d.csv"], "cannot be made"),
    (73, ["train", "iris", "--out", "/proc/none/run"], "cannot be made"),
])
def test_what_goes_wrong_is_one_text_and_an_exit_code(run, tmp_path, code, arguments, message):
    (tmp_path / "d.csv").write_text("a,b\n1,x\n2,y\n")
    (tmp_path / "empty.csv").write_text("")
    found, out, err = run(*[a.replace("{}", str(tmp_path)) for a in arguments])
    assert (found, out) == (code, "")
    assert err.count("error: ") == 1 and message in err and ("  fix  " in err or "  in   " in err)
    assert not (tmp_path / "r").exists()


def test_mends_speak_of_options(run, tmp_path):
    (tmp_path / "d.csv").write_text("a;b\n1;x\n")
    _, _, err = run("train", tmp_path / "d.csv", "--target", "b", "--out", tmp_path / "r")
    assert "--delimiter ';'" in err
    (tmp_path / "d.csv").write_bytes(b"a,b\n1,\xe9\n")
    _, _, err = run("train", tmp_path / "d.csv", "--target", "b", "--out", tmp_path / "r")
    assert '--encoding "latin-1"' in err


def test_names_from_files_cannot_write_to_the_terminal(run, tmp_path):
    evil = "e\x1b[31m\u202evil"
    (tmp_path / "d.csv").write_text(f"a,{evil},y\n" + "".join(f"{k},same,{evil if k % 2 else 'b'}\n" for k in range(40)), "utf-8")
    code, out, err = run("train", tmp_path / "d.csv", "--target", "y", "--out", tmp_path / "run", *QUICK)
    assert code == 0 and "\\x1b[31m" in err
    assert "\x1b" not in out + err and "\u202e" not in out + err
    _, _, err = run("train", tmp_path / "d.csv", "--target", f"no{evil}", "--out", tmp_path / "r2")
    assert "\x1b" not in err and "\\x1b" in err


def test_an_error_of_ours_shows_no_traceback_unless_asked(run, tmp_path, monkeypatch, capsys):
    def broken(*_, **__):
        raise ZeroDivisionError("oh")
    monkeypatch.setattr(jobs, "train_table", broken)
    code, out, err = run("train", "iris", "--out", tmp_path / "r")
    assert (code, out) == (70, "") and err.startswith("error: ZeroDivisionError: oh") and "--debug" in err
    assert main(["train", "iris", "--debug", "--out", str(tmp_path / "r")]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_divergence_is_named(run, tmp_path):
    code, _, err = run("train", "diabetes", "--optimizer", "sgd", "--learning-rate", "1e30", "--out", tmp_path / "r")
    assert code == 70 and "is not finite in epoch 0" in err and "now  the step was not applied" in err
    assert not (tmp_path / "r").exists()


def test_an_interrupt_saves_and_exits_130(tmp_path):
    out = tmp_path / "run"
    arguments = ["train", "digits", "--epochs", "100000", "--patience", "0", "-v", "--out", str(out)]
    process = subprocess.Popen([sys.executable, "-m", "backproof", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.startswith("epoch"):
            break
    process.send_signal(signal.SIGINT)
    told, rest = process.communicate(timeout=60)
    assert process.returncode == 130, rest
    assert "interrupted: the last complete step is kept" in rest and "Traceback" not in rest
    assert told.splitlines()[-1].startswith("test")
    assert json.loads((out / "summary.json").read_text())["interrupted"] is True
    assert command("predict", out / "model.safetensors", "digits").stdout.count("\n") == 1798


def test_a_closed_stdout_is_quiet(tmp_path):
    train = command("train", "digits", "--epochs", 1, "--layers", "", "--out", tmp_path / "run")
    assert train.returncode == 0, train.stderr
    words = [sys.executable, "-m", "backproof", "predict", str(tmp_path / "run/model.safetensors"), "digits"]
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.run(words, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (process.returncode, process.stderr) == (141, "")


def test_help_is_quick_and_loads_nothing_heavy():
    heavy = ["sklearn", "scipy", "pyarrow", "numpy"]
    code = ("import sys\nfrom backproof.cli import main\nassert main(['--help']) == 0\n"
            f"print([name for name in {heavy} if name in sys.modules], file=sys.stderr)")
    start = time.perf_counter()
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert told.stderr.strip() == "[]" and "train" in told.stdout and "derive" in told.stdout
    assert time.perf_counter() - start < 5                 # 0.2 s on an idle machine


def test_derive_prints_equations_with_checks(run):
    code, out, err = run("derive", "3 | 3 sigmoid | 3 sigmoid", "--loss", "squared_error", "--form", "index", "--check")
    assert (code, err) == (0, "")
    assert "δ2[n,j]" in out and "∂J/∂W1" in out and "✓" in out and "✗" not in out


def test_derive_an_expression_at_a_point(run):
    code, out, _ = run("derive", "--expression", "x*y", "--at", "x=4,y=-3", "--check")
    assert code == 0
    assert out.splitlines() == ["f = x y = −12", "∂f/∂x = y = −3   ✓ 0e+00",
                                "    a small step h in x changes f by about −3 h", "∂f/∂y = x = 4   ✓ 0e+00",
                                "    a small step h in y changes f by about 4 h"]
    code, out, _ = run("derive", "--expression", "x*y")
    assert (code, out.splitlines()) == (0, ["f = x y", "∂f/∂x = y", "∂f/∂y = x"])


@pytest.mark.parametrize("text, at, sentence", [
    ("x", "x=1", "changes f by about h"), ("-x", "x=1", "changes f by about −h"), ("step(x)", "x=1", "by less than any multiple of h"),
])
def test_a_slope_is_said_in_words(run, text, at, sentence):
    assert sentence in run("derive", "--expression", text, "--at", at)[1]


def test_version_and_module(run):
    assert run("--version")[:2] == (0, "backproof 0.1.0\n")
    assert command("--version").stdout == "backproof 0.1.0\n"


def test_every_error_class_has_its_exit_code():
    assert cli.exit_code(outputs.OutputProblem("x")) == 73
    assert cli.exit_code(MemoryError()) == 70


def test_the_trace_and_the_report_of_a_saved_model_are_pages(run, tmp_path):
    code, _, _ = run("train", "iris", "--target", "species", "--epochs", "3", "--out", str(tmp_path / "run"))
    model, page = str(tmp_path / "run/model.safetensors"), tmp_path / "trace.html"
    assert code == 0 and "<math" in (tmp_path / "run/report.html").read_text()
    code, out, err = run("trace", model, "iris", "--row", "5", "--row", "77", "--out", str(page), "--language", "zh")
    assert (code, out) == (0, "") and "2 rows traced" in err and '"rows":[5,77]' in page.read_text()
    assert run("trace", model, "iris", "--out", str(page))[0] == 73                      # it exists
    assert run("trace", model, "iris", "--row", "150", "--out", str(tmp_path / "other.html"))[0] == 65
    code, out, _ = run("report", model, "iris", "--out", str(tmp_path / "report.html"))
    assert code == 0 and "weight gain" in out and "classified rightly" in out


# ---------------------------------------------------------------------------------------------------- doctor

def test_doctor_says_which_engine_runs_and_how_many_threads(run):
    code, out, err = run("doctor")
    assert code == 0 and not err
    assert [line.split()[0] for line in out.splitlines()] == ["backproof", "engine", "threads", "numbers"]
    code, out, _ = run("doctor", "--json", "--threads", 10**6)
    found = json.loads(out)
    assert code == 0 and found["problems"] == [] and found["subnormals"]
    assert (found["asked"], found["threads"]) == (10**6, found["most"])


def test_doctor_refuses_what_is_no_number_of_threads(run):
    for wrong in (0, -1):
        code, out, err = run("doctor", f"--threads={wrong}")
        assert code == 2 and not out and "no number of threads" in err and "fix" in err


def test_doctor_names_the_engine_that_cannot_be_loaded(run, monkeypatch):
    from backproof import doctor
    from backproof.errors import EngineError

    def broken(name):
        raise EngineError("the engine 'native' cannot be loaded: file too short", fix="build it again")
    monkeypatch.setattr(doctor, "choose", broken)
    code, out, _ = run("doctor")
    assert code == 70 and "cannot be loaded" in out and "build it again" in out
