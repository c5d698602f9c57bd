"""The commands: backproof train, predict, evaluate, check, exercise, grade, trace, report, describe, init, export, doctor and
derive. They read options, call `jobs` and print; what goes where, and the exit codes, are those of `commands.talk`.
"""

import contextlib
import json
import shlex
import signal
import sys
from typing import Annotated

import typer

from .commands.options import (MISSING, Compression, Data, Debug, Delimiter, Encoding, Force, Missing, Quiet, Threads, chosen,
                               reading_of)
from .commands.talk import CLOSED, INTERNAL, INTERRUPTED, USAGE, Talk, answering, exit_code, plain, terminate
from .commands.train import keys, train
from .errors import OptionError

__all__ = ["app", "main", "exit_code"]

app = typer.Typer(name="backproof", no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False,
                  help="Backpropagation you can read, check and trust, at full speed.")


def _version(asked):
    if asked:
        from . import __version__
        print(f"backproof {__version__}")
        raise typer.Exit()


@app.callback()
def top(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")] = False):
    pass


# ---------------------------------------------------------------------------------------------------- the commands

app.command()(train)


@app.command()
def predict(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="model.safetensors of a training run")],
    data: Data,
    out: Annotated[str, typer.Option(help="the CSV or .parquet file to write; - for CSV on stdout")] = "-",
    probabilities: Annotated[bool, typer.Option("--probabilities", help="a column with the probability of each class")] = False,
    form: Annotated[str, typer.Option("--input", help="of a tagger: conll, text or auto: text where it is a .txt")] = "auto",
    for_spreadsheet: Annotated[bool, typer.Option("--for-spreadsheet", help="a ' before CSV texts that a spreadsheet would run as "
                                                  "formulas: those that begin with = + - @, a tab or a return")] = False,
    force: Force = False,
    delimiter: Delimiter = ",", encoding: Encoding = "utf-8", compression: Compression = "none",
    missing: Missing = MISSING, threads: Threads = None, quiet: Quiet = False, debug: Debug = False,
):
    """Predict for the rows of a table with the columns of training, in any order; others are ignored.

    A tagger of words tags CoNLL files and raw text.
    """
    talk = Talk(quiet)
    with answering(debug, talk):
        from .predictions import at_most, predict_table
        from .sequence_models import holds_sequences, predict_sequences
        from .word_models import predict_words, reads_words

        with at_most(threads):
            if reads_words(model):
                chosen("input", form, ("auto", "conll", "text"))
                count = predict_words(model, data, out=out, probabilities=probabilities, form=form, force=force)
                return talk.say(f"{count:,} sentence{'' if count == 1 else 's'} tagged" + ("" if out == "-" else f" in {plain(out)}"))
            of = predict_sequences if holds_sequences(model) else predict_table
            rows = of(model, data, out=out, probabilities=probabilities, force=force, for_spreadsheet=for_spreadsheet,
                      reading=reading_of(delimiter, encoding, compression, missing), say=lambda text: talk.say(f"note: {text}"))
        if out != "-":
            talk.say(f"{rows:,} predictions in {plain(out)}")


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="model.safetensors of a training run")],
    data: Data,
    delimiter: Delimiter = ",", encoding: Encoding = "utf-8", compression: Compression = "none",
    missing: Missing = MISSING, threads: Threads = None, quiet: Quiet = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the measures as JSON")] = False,
    debug: Debug = False,
):
    """Measure a saved model on a table that has the target; a tagger on a CoNLL file, by type."""
    talk = Talk(quiet)
    with answering(debug, talk):
        from . import runs, word_models
        from .predictions import at_most
        from .sequence_models import evaluate_sequences, holds_sequences

        with at_most(threads):
            if word_models.reads_words(model):
                found, text = word_models.evaluate_words(model, data), word_models.evaluation_text
            else:
                of, text = evaluate_sequences if holds_sequences(model) else runs.evaluate, runs.evaluation_text
                found = of(model, data, reading=reading_of(delimiter, encoding, compression, missing),
                           say=lambda text: talk.say(f"note: {text}"))
        print(json.dumps(found, ensure_ascii=False) if as_json else "\n".join(map(plain, text(found).split("\n"))))


@app.command()
def trace(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="model.safetensors of a training run")],
    data: Annotated[str, typer.Argument(metavar="[DATA]", help="the table; none for a tagger, which is given --sentence")] = None,
    sentence: Annotated[str, typer.Option(help='of a tagger: the sentence to show, "Museums in Paris are amazing"')] = None,
    tags: Annotated[str, typer.Option(help="of a tagger: the true tags of its words, with spaces between")] = None,
    row: Annotated[list[int], typer.Option(help="a row, from 0 as in predictions.csv; may be repeated; none: the first eight")] = (),
    out: Annotated[str, typer.Option(help="the page to write")] = "trace.html",
    language: Annotated[str, typer.Option(help="en or zh")] = "en",
    force: Force = False,
    delimiter: Delimiter = ",", encoding: Encoding = "utf-8", compression: Compression = "none",
    missing: Missing = MISSING, quiet: Quiet = False, debug: Debug = False,
):
    """Write the page that shows every number of a run: the network, its equations with the numbers put in, the error signal."""
    talk = Talk(quiet)
    with answering(debug, talk):
        from .pages import trace_table
        from .sequence_models import holds_sequences, trace_sequences

        chosen("language", language, ("en", "zh"))
        from .word_models import reads_words, trace_sentence

        words = reads_words(model)
        if words and (sentence is None or data is not None or row):
            raise OptionError("a tagger is traced on one sentence", fix='--sentence "Museums in Paris are amazing"')
        if not words and (sentence is not None or tags is not None or data is None):
            raise OptionError("this model reads tables, not sentences", fix="backproof trace model.safetensors DATA")
        if words:
            made = trace_sentence(model, sentence, tags=tags, out=out, language=language, force=force)
            return talk.say(f"{len(made.tokens)} words traced in {plain(out)}")
        of = trace_sequences if holds_sequences(model) else trace_table
        made = of(model, data, rows=row, out=out, language=language, force=force, reading=reading_of(delimiter, encoding, compression, missing),
                  say=lambda text: talk.say(f"note: {text}"))
        talk.say(f"{made.n} {'sequences' if of is trace_sequences else 'rows'} traced in {plain(out)}")


@app.command()
def report(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="model.safetensors of a training run")],
    data: Data,
    out: Annotated[str, typer.Option(help="the page to write")] = "report.html",
    horizon: Annotated[bool, typer.Option(help="how far back in time the error reaches (models of sequences)")] = False,
    language: Annotated[str, typer.Option(help="en or zh")] = "en",
    force: Force = False,
    delimiter: Delimiter = ",", encoding: Encoding = "utf-8", compression: Compression = "none",
    missing: Missing = MISSING, quiet: Quiet = False, debug: Debug = False,
):
    """Judge a saved model on a table: the error signal layer by layer, causes and mends, errors, the derivation."""
    talk = Talk(quiet)
    with answering(debug, talk):
        from .pages import report_table
        from .sequence_models import holds_sequences, report_sequences

        chosen("language", language, ("en", "zh"))
        of = report_sequences if holds_sequences(model) else report_table
        made = of(model, data, out=out, language=language, force=force, reading=reading_of(delimiter, encoding, compression, missing),
                  say=lambda text: talk.say(f"note: {text}"), horizon=horizon)
        print(made.to_text(language))
        talk.say(f"written to {plain(out)}")


@app.command()
def check(
    target: Annotated[str | None, typer.Argument(metavar="TARGET", help="module:function (or file.py:function) that returns (loss, "
                                                 "gradients), a pair, a layer or a model; or a model.safetensors")] = None,
    data: Annotated[str | None, typer.Argument(metavar="[DATA]", help="for a model file: the table it is checked on")] = None,
    loss: Annotated[str | None, typer.Option(help="module:function of the loss, with --grad")] = None,
    grad: Annotated[str | None, typer.Option(help="module:function of the gradient, with --loss")] = None,
    at: Annotated[str | None, typer.Option(help="module:name of the parameters; none: the function's defaults")] = None,
    x: Annotated[str | None, typer.Option("--x", help="module:name of the inputs")] = None,
    y: Annotated[str | None, typer.Option("--y", help="module:name of the targets")] = None,
    like: Annotated[str | None, typer.Option(help='a twin that names causes, "3 | 3 sigmoid | 1"')] = None,
    update: Annotated[float | None, typer.Option(help="the learning rate of a step that exposes no gradient")] = None,
    rows: Annotated[int, typer.Option(help="rows of DATA to check a model on")] = 5,
    cost: Annotated[bool, typer.Option("--cost", help="measure what the gradient costs by backpropagation and by differences")] = False,
    html: Annotated[str | None, typer.Option(help="write the report as a page, too")] = None,
    seed: Annotated[int | None, typer.Option(help="of the random directions; none: fresh ones")] = None,
    language: Annotated[str, typer.Option(help="en or zh")] = "en",
    as_json: Annotated[bool, typer.Option("--json", help="print the report as JSON")] = False,
    force: Force = False, debug: Debug = False,
):
    """Is this the gradient of this loss, and if not, what is wrong? Exit code 0: pass, 1: fail, 2: inconclusive."""
    with answering(debug):
        from .check.command import check_functions, cost_of, load

        chosen("language", language, ("en", "zh"))
        if target is not None and target.endswith(".safetensors"):
            from .predictions import check_saved
            outcome = check_saved(target, data, rows=rows, language=language, seed=seed, cost=cost)
        elif cost:
            point = None if at is None else load(at)
            outcome = cost_of(load(target) if target else (load(loss), load(grad)), None if x is None else load(x),
                              None if y is None else load(y), at=point)
        else:
            outcome = check_functions(target, loss=loss, grad=grad, at=at, X=x, y=y, like=like, update=update, seed=seed,
                                      language=language)
        if html is not None:
            _write(html, outcome.html, force)
        print(json.dumps(outcome.data, ensure_ascii=False) if as_json else outcome.text)
        raise typer.Exit(outcome.exit_code)


@app.command()
def exercise(
    spec: Annotated[str, typer.Argument(metavar="SPEC", help='a network, "3 | 3 sigmoid | 1"')],
    loss: Annotated[str, typer.Option(help="its loss")] = "squared_error",
    l2: Annotated[float, typer.Option(help="its weight decay")] = 0.0,
    bug: Annotated[bool, typer.Option("--bug/--blanks", help="one planted mistake, or lines left out")] = True,
    seed: Annotated[int, typer.Option(help="which mistake, which lines")] = 0,
    out: Annotated[str, typer.Option(help="the Python file to write; - for stdout")] = "-",
    force: Force = False, debug: Debug = False,
):
    """Write a NumPy training step with one mistake to find, or with blanks to fill; `backproof grade` marks it."""
    with answering(debug):
        from .check import exercises

        text = exercises.exercise(spec, loss=loss, l2=l2, seed=seed, kind="bug" if bug else "blanks")
        if out == "-":
            print(text)
        else:
            _write(out, text, force)


@app.command()
def grade(
    answer: Annotated[str, typer.Argument(metavar="FILE", help="an answer to an exercise; it is run")],
    language: Annotated[str, typer.Option(help="en or zh")] = "en",
    as_json: Annotated[bool, typer.Option("--json", help="print the marks as JSON")] = False,
    debug: Debug = False,
):
    """Mark an answer to an exercise line by line. Exit code 0: every line is right, else 1."""
    with answering(debug):
        from .check import exercises

        chosen("language", language, ("en", "zh"))
        outcome = exercises.grade(answer, language)
        print(json.dumps(outcome.data, ensure_ascii=False) if as_json else outcome.text)
        raise typer.Exit(outcome.exit_code)


def _write(path, text, force):
    """Write a text file; one that exists is replaced only where that was asked for."""
    from .outputs import write_text

    write_text(path, text, force)


@app.command()
def describe(
    data: Annotated[str, typer.Argument(metavar="FILE", help="a CSV or Parquet file, a built-in data set, or a model file")],
    delimiter: Delimiter = ",", encoding: Encoding = "utf-8", compression: Compression = "none",
    missing: Missing = MISSING, as_json: Annotated[bool, typer.Option("--json", help="print it as JSON")] = False,
    debug: Debug = False,
):
    """Say what a table or a model file holds."""
    with answering(debug):
        from .runs import describe

        text, about = describe(data, reading=reading_of(delimiter, encoding, compression, missing))
        print(json.dumps(about, ensure_ascii=False) if as_json else "\n".join(plain(line) for line in text.split("\n")))


@app.command()
def init(
    out: Annotated[str, typer.Argument(metavar="FILE", help="the run file to write; - for stdout")] = "run.toml",
    data: Annotated[str, typer.Option(help="the table to train on")] = "data.csv",
    target: Annotated[str, typer.Option(help="the column to predict")] = "target",
    force: Force = False, debug: Debug = False,
):
    """Write a commented run file with every setting and its default, for train --config."""
    with answering(debug):
        from .outputs import write_text
        from .run_files import run_file

        text = run_file(keys(), data, target)
        if out == "-":
            print(text, end="")
            return
        write_text(out, text, force)
        print(f"wrote {plain(out)}: edit it, then  backproof train --config {shlex.quote(plain(out))}", file=sys.stderr)


@app.command()
def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="a model file")],
    out: Annotated[str, typer.Argument(metavar="FILE", help="ends in .onnx, or in .safetensors for a PyTorch state_dict")],
    force: Force = False, debug: Debug = False,
):
    """Write a saved model as ONNX, or as a PyTorch state_dict (safetensors, the weights transposed)."""
    with answering(debug):
        from .exchange import export_model
        from .outputs import output, refuse_existing

        refuse_existing(out, force)
        with output():
            said = export_model(model, out)
        print(plain(said), file=sys.stderr)


@app.command()
def doctor(
    threads: Annotated[int, typer.Option(help="what this number of threads would come to")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print it as JSON")] = False,
    debug: Debug = False,
):
    """Say which engine runs here, with which instruction set and how many threads. Exit code 70: none can be loaded."""
    with answering(debug):
        from .doctor import examine, sentences

        found = examine(threads)
        print(json.dumps(found, ensure_ascii=False) if as_json else "\n".join(sentences(found)))
        raise typer.Exit(INTERNAL if found["problems"] else 0)


@app.command()
def derive(
    spec: Annotated[str, typer.Argument(metavar="[SPEC]", help="a network, such as '3 | 3 sigmoid | 2 softmax'")] = None,
    loss: Annotated[str, typer.Option(help="the loss of one sample")] = "squared_error",
    l2: Annotated[float, typer.Option(help="penalty λ/2 ΣW² on the weights")] = 0.0,
    form: Annotated[str, typer.Option(help="index: every sum written out; matrix")] = "index",
    format: Annotated[str, typer.Option(help="text, latex, markdown, html, python or c")] = "text",
    layout: Annotated[str, typer.Option(help="sample: columns, W of units × inputs; batch: arrays as stored")] = "sample",
    notation: Annotated[str, typer.Option(help="house, or that of an article: A, C, D, E")] = "house",
    bias: Annotated[str, typer.Option(help="separate, or folded: [W b][x; 1]")] = "separate",
    names: Annotated[str, typer.Option(help="numbers or layers")] = "numbers",
    language: Annotated[str, typer.Option(help="en or zh")] = "en",
    article: Annotated[bool, typer.Option("--article", help="the whole derivation with its prose")] = False,
    of: Annotated[str, typer.Option(help="differentiate this equation instead of the objective, such as score")] = None,
    check: Annotated[bool, typer.Option("--check", help="evaluate every line as printed against the complex step")] = False,
    expression: Annotated[str, typer.Option(help="differentiate this instead of a network, such as 'x*y'")] = None,
    at: Annotated[str, typer.Option(help="the point for --expression, such as x=4,y=-3")] = None,
    debug: Debug = False,
):
    """Print the equations of a network and of its gradients, or the slopes of an expression at a point."""
    with answering(debug):
        if (spec is None) == (expression is None):
            raise OptionError("derive takes a network or --expression, one of them",
                              fix="backproof derive '3 | 2 tanh', or backproof derive --expression 'x*y' --at x=4,y=-3")
        if at is not None and expression is None:
            raise OptionError("--at belongs to --expression", fix="leave --at out, or give --expression")
        style = {"form": form, "layout": layout, "notation": notation, "bias": bias, "names": names, "language": language}
        print(_network_text(spec, loss, l2, of, format, check, article, style) if spec is not None else _expression_text(expression, at, check))


def _network_text(spec, loss, l2, of, format, check, article, style):
    from .network import Network

    derivation = Network(spec, loss=loss, l2=l2).derive(of)
    written = chosen("format", format, ("text", "latex", "markdown", "html", "python", "c"))
    if written in ("python", "c"):
        return getattr(derivation, f"to_{written}")(**style)
    return derivation.printed(written, check=check, article=article, **style).rstrip("\n")


def _expression_text(expression, at, check):
    from .slopes import differentiate, read_point

    formula, value, slopes = differentiate(expression, None if at is None else read_point(at))
    lines = [f"f = {formula}" + ("" if value is None else f" = {_figure(value)}")]
    for slope in slopes:
        lines.append(f"∂f/∂{slope.name} = {slope.formula}")
        if slope.value is None:
            continue
        if slope.formula != _figure(slope.value):
            lines[-1] += f" = {_figure(slope.value)}"
        if check:
            lines[-1] += f"   {'✓' if slope.error <= 1e-10 else '✗'} {slope.error:.0e}"
        lines.append("    " + _sensitivity(slope))
    return "\n".join(lines)


def _sensitivity(slope):
    if slope.value == 0:
        return f"a small step h in {slope.name} changes f by less than any multiple of h"
    factor = {1.0: "", -1.0: "−"}.get(slope.value, f"{_figure(slope.value, 6)} ")
    return f"a small step h in {slope.name} changes f by about {factor}h"


def _figure(value, digits=12):
    """A number with a minus sign as printed: −3, 0.25."""
    return f"{value:.{digits}g}".replace("-", "−")


def main(arguments=None):
    """Run a command; returns its exit code."""
    with contextlib.suppress(ValueError):                                # not on the main thread
        signal.signal(signal.SIGTERM, terminate)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")                # a terminal without δ gets \u03b4, not an error
    try:
        return app(args=arguments, prog_name="backproof", standalone_mode=False) or 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except typer.Abort:
        return INTERRUPTED
    except BrokenPipeError:
        return CLOSED
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        print(f"error: {plain(error.format_message())}\n  fix  backproof --help, or backproof COMMAND --help", file=sys.stderr)
        return getattr(error, "exit_code", USAGE)


if __name__ == "__main__":
    sys.exit(main())
