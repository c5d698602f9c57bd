"""The commands on sentences, as a user types them."""

import json

import pytest

from backproof import word_jobs, word_models
from backproof.cli import main
from backproof.data.conll import conll_text, read_conll
from backproof.data.entities import entities

QUICK = ["--epochs", "8", "--learning-rate", "0.01", "--layers", "20 tanh"]


@pytest.fixture
def run(capsys):
    """Call a command in this process: (exit code, stdout, stderr)."""
    def call(*arguments):
        code = main([str(a) for a in arguments])
        told = capsys.readouterr()
        assert "Traceback" not in told.err + told.out
        return code, told.out, told.err
    return call


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", "entities", "--task", "tag", "--out", str(out), "-q", *QUICK]) == 0
    return out / "model.safetensors"


def test_train_on_the_built_in_text(run, tmp_path):
    code, out, err = run("train", "entities", "--task", "tag", "--out", tmp_path / "run", *QUICK)
    assert code == 0
    rows = {line.split()[0]: line.split() for line in out.splitlines()[2:]}
    assert list(rows) == ["training", "validation", "test"] and float(rows["test"][4]) > float(rows["test"][6])
    assert "1,284 tokens in 150 sentences" in err and "saved" in err
    assert "gradients checked on 5 windows: largest relative error" in err
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    f1 = summary["measures"]["test"]["overall"]["f1"]
    assert summary["task"] == "tag" and f1 == pytest.approx(float(rows["test"][4]), abs=1e-4)
    text = read_conll(tmp_path / "run/predictions.conll")
    assert text.sentences == entities("test").sentences


def test_train_on_files_with_vectors(run, tmp_path):
    text, dev = entities(), entities("validation")
    (tmp_path / "t.conll").write_text(conll_text(text.sentences, text.tags))
    (tmp_path / "d.conll").write_text(conll_text(dev.sentences, dev.tags))
    (tmp_path / "v.txt").write_text("".join(f"{w} {k} 1 {-k}\n" for k, w in enumerate(["paris", "in", "lives"])))
    code, out, err = run("train", tmp_path / "t.conll", "--task", "tag", "--dev", tmp_path / "d.conll",
                         "--vectors", tmp_path / "v.txt", "--window", 3, "--channels", "word,case,suffix2",
                         "--scheme", "IOBES", "--out", tmp_path / "run", *QUICK)
    assert code == 0 and [line.split()[0] for line in out.splitlines()[2:]] == ["training", "validation"]
    assert "embedding=3 + case: window 3 vocabulary=" in err and "| 20 tanh |" in err
    code, out, err = run("train", tmp_path / "t.conll", "--task", "tag", "--out", tmp_path / "other", "--json", "-q", *QUICK)
    assert json.loads(out)["sentences"] == {"training": 106, "validation": 22, "test": 22}


def test_tag_raw_text_and_columns(run, tmp_path, model):
    (tmp_path / "raw.txt").write_text("Ada lives in Jordan. Nordwind opened an office in New York!")
    code, out, err = run("predict", model, tmp_path / "raw.txt")
    assert code == 0 and "2 sentences tagged" in err
    assert out.startswith("Ada\tB-person\nlives\tO\nin\tO\nJordan\tB-place\n.\tO\n\n")
    code, out, _ = run("predict", model, tmp_path / "raw.txt", "--probabilities", "-q")
    assert code == 0 and 0 < float(out.splitlines()[0].split("\t")[2]) <= 1
    words = "Ada lives in Jordan and works for Nordwind .".split()
    told = ["B-person", "O", "O", "B-place", "O", "O", "O", "B-group", "O"]
    (tmp_path / "a.conll").write_text(conll_text([words], [["O"] * 9]))
    assert run("predict", model, tmp_path / "a.conll", "-q")[1] == conll_text([words], [["O"] * 9], [told])
    (tmp_path / "b.conll").write_text("\n".join(words))
    assert run("predict", model, tmp_path / "b.conll", "--out", tmp_path / "o.conll")[0] == 0
    assert (tmp_path / "o.conll").read_text() == conll_text([words], [told])
    (tmp_path / "c.conll").write_text("\n".join(f"{word} NNP x" for word in words))
    assert run("predict", model, tmp_path / "c.conll", "-q")[1] == conll_text([words], [told])
    code, _, err = run("predict", model, tmp_path / "c.conll", "--out", tmp_path / "o.conll")
    assert code == 73 and "exists" in err


def test_evaluate_prints_a_table_by_type(run, model):
    code, out, _ = run("evaluate", model, "entities")
    assert code == 0 and [line.split()[0] for line in out.splitlines()] == ["type", "group", "person", "place", "all", "60"]
    code, out, _ = run("evaluate", model, "entities", "--json")
    assert json.loads(out)["types"]["place"]["support"] == 51


def test_the_page_of_a_sentence(run, tmp_path, model):
    code, _, err = run("trace", model, "--sentence", "Museums in Paris are amazing", "--tags", "O O B-place O O", "--out",
                       tmp_path / "s.html")
    assert code == 0 and "5 words traced" in err and "Museums" in (tmp_path / "s.html").read_text()
    assert run("trace", model, "--sentence", "Go", "--out", tmp_path / "s.html")[0] == 73
    assert run("trace", model, "--sentence", "Go", "--out", tmp_path / "zh.html", "--language", "zh")[0] == 0
    assert 'lang="zh-CN"' in (tmp_path / "zh.html").read_text()


@pytest.mark.parametrize("content, message", [
    ("a\tO\nb\n", "line 2 has 1 columns; line 1 has 2"),
    ("a\tO\nb\tPER\n", "line 2 has the tag 'PER'"),
    ("", "there is no token"),
    ("a\tO\n\nb\tO\n\n" * 20, "every token is tagged 'O'"),
    ("a\tB-x\n", "the test part would have 0|would have 0 of 1 rows|would take all"),
])
def test_bad_files_are_told(run, tmp_path, content, message):
    import re

    (tmp_path / "bad.conll").write_text(content)
    code, out, err = run("train", tmp_path / "bad.conll", "--task", "tag", "--out", tmp_path / "run", *QUICK)
    assert code == 65 and out == "" and re.search(message, err) and not (tmp_path / "run").exists()


def test_a_validation_tag_without_training_is_told_by_its_line(run, tmp_path):
    (tmp_path / "d.conll").write_text("a\tO\n\nA\tO\ncat\tB-animal\n")
    code, _, err = run("train", "entities", "--task", "tag", "--dev", tmp_path / "d.conll", "--out", tmp_path / "run", *QUICK)
    assert code == 65 and "the tag 'B-animal' of 'cat' does not occur in training" in err and "d.conll', line 4" in err


@pytest.mark.parametrize("options, message", [
    (["--resume", "x"], "--resume belongs to tables"), (["--cv", "3"], "--cv belongs to tables"),
    (["--window", "4"], "window must be an odd"), (["--scheme", "x"], "scheme must be"),
    (["--vectors", "/nowhere.txt"], "cannot be opened"), (["--channels", "wrd"], "there is no channel 'wrd'"),
])
def test_bad_options_are_told(run, tmp_path, options, message):
    code, out, err = run("train", "entities", "--task", "tag", "--out", tmp_path / "run", *options)
    assert code in (2, 66) and out == "" and message in err


def test_models_of_words_and_of_tables_are_told_apart(run, tmp_path, model):
    assert main(["train", "iris", "--epochs", "1", "--out", str(tmp_path / "t"), "-q", "--no-peers"]) == 0
    table = tmp_path / "t/model.safetensors"
    assert "this model reads tables, not sentences" in run("trace", table, "--sentence", "Go", "--out", tmp_path / "x.html")[2]
    assert "a tagger is traced on one sentence" in run("trace", model, "iris", "--out", tmp_path / "x.html")[2]
    assert "this model was not trained on a table" in run("report", model, "iris", "--out", tmp_path / "x.html")[2]
    (tmp_path / "a.conll").write_text("Ada\tO\n")
    assert run("predict", table, tmp_path / "a.conll")[0] == 65


def test_types_without_training_are_noted(run, tmp_path, model):
    (tmp_path / "a.conll").write_text("A\tO\ncat\tB-animal\n")
    code, out, err = run("evaluate", model, tmp_path / "a.conll")
    assert code == 0 and "'animal' do not occur in training" in err and "animal" in out


def test_the_baseline_is_each_word_s_most_frequent_tag():
    text = entities()
    usual = word_jobs.baseline(type(text)([["a", "A", "a", "b"]], [["O", "B-x", "B-x", "O"]], [1]))
    assert usual([["A", "b", "new"]]) == [["B-x", "O", "O"]]


def test_an_interrupted_run_keeps_the_last_complete_step(monkeypatch, tmp_path):
    def stop(record):
        raise KeyboardInterrupt
    outcome = word_jobs.train_words("entities", word_jobs.WordSettings(epochs=5), out=str(tmp_path / "run"), progress=stop)
    assert outcome.summary["interrupted"] and outcome.summary["epochs"] == 1
    assert word_models.reads_words(tmp_path / "run/model.safetensors")
