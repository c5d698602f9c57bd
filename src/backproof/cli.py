"""The commands: backproof train, predict, evaluate, check, exercise, grade, trace, report, describe, init, export, doctor and
derive. They read options, call `jobs` and print.

Results go to stdout, everything else to stderr. Exit codes: 0; 2 usage; 65 data; 66 an input file; 70 engine; 73 an
output that cannot be created; 74 a disk that fails or is full; 75 a folder that another run owns, try again later; 130
interrupted; 141 stdout closed; 143 terminated. No traceback is shown without --debug.
"""

import contextlib
import errno
import json
import os
import re
import shlex
import signal
import sys
from typing import Annotated

import typer

from .errors import (BackproofError, DataError, DtypeError, ExpressionError, FileProblem, ModelFileError, OptionError, RangeError,
                     ShapeError, SpecError)

__all__ = ["app", "main", "exit_code"]

app = typer.Typer(name="backproof", no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False,
                  help="Backpropagation you can read, check and trust, at full speed.")

USAGE, DATA, NO_INPUT, INTERNAL, NO_OUTPUT, DISK, LATER, INTERRUPTED, CLOSED, TERMINATED = 2, 65, 66, 70, 73, 74, 75, 130, 141, 143
NUMBERS = {**dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG), DISK), errno.EAGAIN: LATER}
CODES = [(ModelFileError, DATA), (DataError, DATA), (DtypeError, DATA), (FileProblem, NO_INPUT),
         ((OptionError, SpecError, ExpressionError, ShapeError, RangeError), USAGE)]
OPTIONS = "delimiter|encoding|compression|task|epochs|batch_size|learning_rate|patience|validation|test|seed|layers|optimizer|l2" \
          "|vectors|window|channels|scheme|dev"


def exit_code(error):
    """The exit code for an error; what is none of the user's doing is 70."""
    if getattr(error, "errno", None) in NUMBERS:
        return NUMBERS[error.errno]
    if type(error).__name__ == "OutputProblem":            # of jobs, which is not loaded to answer --help
        return NO_OUTPUT
    return next((code for kinds, code in CODES if isinstance(error, kinds)), INTERNAL)


# ---------------------------------------------------------------------------------------------------- what is printed

class Talk:
    """What is said on stderr: notes and progress, at the level that was asked for."""

    def __init__(self, quiet=False, verbose=False):
        self.quiet, self.verbose = quiet, verbose

    def say(self, text):
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    @contextlib.contextmanager
    def progress(self, epochs):
        """A function of the record of an epoch: a bar on a terminal, else a line now and then (every epoch with -v)."""
        if self.quiet:
            yield None
        elif sys.stderr.isatty() and not self.verbose:
            yield from _bar(epochs)
        else:
            every = 1 if self.verbose else max(1, epochs // 10)
            yield lambda record: print(_epoch_line(record), file=sys.stderr, flush=True) \
                if record["epoch"] % every == 0 else None


def _bar(epochs):
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(TextColumn("epoch {task.completed:.0f} of at most {task.total:.0f}"), BarColumn(), TimeElapsedColumn(),
                  TextColumn("{task.description}", markup=False), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=epochs)
        yield lambda record: bar.update(task, advance=1, description=_losses(record))


def _epoch_line(record):
    return f"epoch {record['epoch']:>4}  {_losses(record)}  {record['seconds']:.2f} s"


def _losses(record):
    validation = record.get("validation_loss")
    return f"loss {record['loss']:.4f}" + ("" if validation is None else f"  validation {validation:.4f}")


def _explain(error):
    """The error's text as a command says it: options as they are typed."""
    if not isinstance(error, BackproofError):
        return f"{type(error).__name__}: {_plain(str(error))}"
    fix = error.fix and re.sub(rf"\b({OPTIONS})=", lambda found: "--" + found[1].replace("_", "-") + " ", error.fix)
    return "\n".join(_plain(line) for line in str(BackproofError(error.what, where=error.where, fix=fix, state=error.state)).split("\n"))


def _plain(line):
    """One line that cannot write to the terminal, whatever a file put into it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in line)


@contextlib.contextmanager
def _answering(debug, talk=None):
    """Turn what goes wrong inside into one text on stderr and an exit code."""
    import warnings

    talk = talk or Talk()
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, category, *place, **more: talk.say(f"note: {_plain(str(message))}")
            yield
            sys.stdout.flush()
    except (KeyboardInterrupt, BrokenPipeError, Exception) as error:
        if isinstance(error, (typer.Exit, typer.Abort)) or hasattr(error, "format_message"):
            raise
        if isinstance(error, BrokenPipeError):
            with contextlib.suppress(OSError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())       # or the interpreter complains at exit
            raise typer.Exit(CLOSED) from None
        if debug:
            import traceback
            traceback.print_exc()
        if isinstance(error, KeyboardInterrupt):
            print("interrupted: nothing was saved", file=sys.stderr)
            raise typer.Exit(TERMINATED if _terminated else INTERRUPTED) from None
        print(f"error: {_explain(error)}", file=sys.stderr)
        if not isinstance(error, BackproofError) and not debug:
            print("  fix  this should not happen: run it again with --debug and report what it prints", file=sys.stderr)
        raise typer.Exit(exit_code(error)) from None


# ---------------------------------------------------------------------------------------------------- options

Data = Annotated[str, typer.Argument(metavar="DATA", help="a CSV or Parquet file, or the name of a built-in data set: digits, "
                                     "iris, breast_cancer, wine, diabetes (./digits is a file)")]
Debug = Annotated[bool, typer.Option("--debug", help="show tracebacks")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="say nothing but results and errors")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="a line for every epoch")]
Force = Annotated[bool, typer.Option("--force", help="write over what is there")]
Delimiter = Annotated[str, typer.Option(help="between the fields of a CSV file; 'tab' for a tab")]
Encoding = Annotated[str, typer.Option(help="of a CSV file")]
Compression = Annotated[str, typer.Option(help="of a CSV file: none or gzip")]
Types = Annotated[str, typer.Option(help="kinds of columns that are not to be found out: 'zip=category,day=date,x=number'")]


def _reading(delimiter, encoding, compression, types=None):
    return {"delimiter": "\t" if delimiter in ("tab", r"\t") else delimiter, "encoding": encoding,
            "compression": None if compression in ("", "none") else compression, **({"types": _kinds(types)} if types else {})}


def _kinds(text):
    """{column: kind} of 'zip=category,day=date'."""
    found = {}
    for part in text.split(","):
        name, sign, kind = (piece.strip() for piece in part.rpartition("="))
        if not (name and sign) or kind not in ("number", "date", "category"):
            raise OptionError(f"--types {part!r} is no column and kind", fix="--types 'zip=category,day=date,x=number'")
        found[name] = kind
    return found


def _chosen(name, value, allowed):
    if value not in allowed:
        raise OptionError(f"--{name} {value!r} is unknown", fix=f"one of {', '.join(allowed)}")
    return value


def _version(asked):
    if asked:
        from . import __version__
        print(f"backproof {__version__}")
        raise typer.Exit()


@app.callback()
def top(version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")] = False):
    pass


# ---------------------------------------------------------------------------------------------------- the commands

@app.command()
def train(
    context: typer.Context,
    data: Annotated[str, typer.Argument(metavar="[DATA]", help="a CSV or Parquet file, or the name of a built-in data set: digits, "
                                        "iris, breast_cancer, wine, diabetes (./digits is a file)")] = None,
    target: Annotated[str, typer.Option(help="the column to predict; a built-in data set has its own")] = None,
    layers: Annotated[str, typer.Option(help="hidden layers, such as '64 relu | dropout 0.2 | 32 relu'; '' for none")] = "64 relu | 32 relu",
    task: Annotated[str, typer.Option(help="auto, classification, regression, or tag: entities in a CoNLL file, or in the "
                                     "built-in text entities")] = "auto",
    epochs: Annotated[int, typer.Option(help="passes over the training rows, at most")] = 200,
    batch_size: Annotated[int, typer.Option(help="rows per update; by default about a hundredth of them, 32 to 128")] = None,
    learning_rate: Annotated[float, typer.Option(help="of the optimizer")] = 1e-3,
    optimizer: Annotated[str, typer.Option(help="adam, adamw, sgd, momentum, nesterov, rmsprop, adagrad or lbfgs")] = "adam",
    l2: Annotated[float, typer.Option(help="penalty λ/2 ΣW² on the weights")] = 1e-4,
    validation: Annotated[float, typer.Option(help="share of the rows that decide when to stop")] = 0.15,
    test: Annotated[float, typer.Option(help="share of the rows that only measure the result")] = 0.15,
    seed: Annotated[int, typer.Option(help="of the split, the initial weights and the order of the rows")] = 0,
    patience: Annotated[int, typer.Option(help="epochs without a better validation loss before it stops; 0: never")] = 15,
    out: Annotated[str, typer.Option(help="directory for model.safetensors, history.jsonl, predictions.csv, summary.json")] = "run",
    force: Force = False,
    config: Annotated[str, typer.Option(help="a run file (TOML), as init writes one; options given here win")] = None,
    resume: Annotated[str, typer.Option(help="the directory of an interrupted run: go on with it, bit for bit")] = None,
    cv: Annotated[int, typer.Option(help="measure by cross-validation in so many folds first; 0: not")] = 0,
    time_limit: Annotated[float, typer.Option(help="seconds of training after which the best weights so far are kept")] = None,
    peers: Annotated[bool, typer.Option("--peers/--no-peers", help="measure HistGradientBoosting beside the network")] = True,
    vectors: Annotated[str, typer.Option(help="tag: word vectors to start from: GloVe or word2vec text, NPZ, safetensors")] = None,
    freeze_vectors: Annotated[bool, typer.Option("--freeze-vectors", help="tag: leave the word vectors as they are given")] = False,
    dev: Annotated[str, typer.Option(help="tag: a CoNLL file that decides when to stop; nothing of DATA is set aside then")] = None,
    window: Annotated[int, typer.Option(help="tag: words in a window")] = 5,
    channels: Annotated[str, typer.Option(help="tag: what is read of a word: word, form, shape, case, prefixN, suffixN")] = "word,case",
    scheme: Annotated[str, typer.Option(help="tag: BIO or IOBES, what the network learns")] = "BIO",
    sequence_id: Annotated[str, typer.Option(help="the rows are steps of sequences: the column that names the sequence")] = None,
    time: Annotated[str, typer.Option(help="the column of a step's time; without it the order of the file is that of time")] = None,
    forecast: Annotated[int, typer.Option(help="the rows are a series: how many values of the target to foretell")] = None,
    lags: Annotated[int, typer.Option(help="how many steps a forecast reads; by default twice the forecast, a season at least")] = None,
    season: Annotated[int, typer.Option(help="the steps of a season, for the baseline beside a forecast")] = None,
    stream: Annotated[bool, typer.Option("--stream/--no-stream", help="read the file in parts and keep its typed rows on the disk; by "
                                         "default files above 256 MB are")] = None,
    cache: Annotated[str, typer.Option(help="where a streamed file's rows go while it trains; by default inside --out")] = None,
    delimiter: Delimiter = ",", encoding: Encoding = "utf-8", compression: Compression = "none", types: Types = None,
    quiet: Quiet = False, verbose: Verbose = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the summary as JSON instead of the table")] = False,
    debug: Debug = False,
):
    """Train a network on a table: numbers, categories and missing values in, a model that takes the same table out.

    Rows that are steps of sequences (--sequence-id, --time), .ts files and series (--forecast) train a recurrent network.

    The defaults were chosen by a small trial on seven tables, with its figures in docs/defaults.md. The gradients of the
    very network are checked on a few rows before it trains.
    """
    talk = Talk(quiet, verbose)
    with _answering(debug, talk):
        from dataclasses import replace

        from .jobs import Settings, train_table
        from .runs import cross_validate, folds_table, read_run_file, resumable
        from .sequence_jobs import SequenceSettings, train_sequences, wants_sequences

        if _chosen("task", task, ("auto", "classification", "regression", "tag")) == "tag":
            return _train_words(talk, context, as_json)
        settings = Settings(layers, None if task == "auto" else task, epochs, batch_size, learning_rate, optimizer, l2, validation,
                            test, seed, patience or None)
        sequential = SequenceSettings(**{**vars(settings), "layers": layers if "layers" in _given(context) else None},
                                      id=sequence_id, time=time, forecast=forecast, lags=lags, season=season)
        reading = _reading(delimiter, encoding, compression, types)
        if resume is not None:
            if data is not None or config is not None:
                raise OptionError("--resume takes everything from the directory of the run", fix=f"backproof train --resume {resume}")
            asked = resumable(resume)
            data, target, settings, reading, out = asked["data"], asked["target"], asked["settings"], asked["reading"], resume
            stream, cache = asked.get("stream"), cache or asked.get("cache")
        elif config is not None:
            asked, given = read_run_file(config), _given(context)
            kept = {name: value for name, value in asked["settings"].items() if name not in given}
            settings = replace(settings, **kept)
            reading = {**reading, **{name: value for name, value in asked["reading"].items() if name not in given}}
            data, target, out = data or asked["data"], target or asked["target"], out if "out" in given else asked["out"] or out
            cv, time_limit = cv or asked["cv"] or 0, time_limit or asked["time_limit"]
        elif data is not None and wants_sequences(data, sequential):
            settings = sequential
        if data is None:
            raise OptionError("there is no data", fix="backproof train DATA --target NAME, or --config, or --resume")
        if time_limit is not None and not time_limit > 0:
            raise OptionError(f"--time-limit {time_limit} is no number of seconds above 0", fix="such as --time-limit 60")
        of_sequences = isinstance(settings, SequenceSettings)
        if of_sequences and cv:
            raise OptionError("--cv folds the rows of a table, not sequences", fix="several --seed, each with another split")
        if not of_sequences and (time or lags or season):
            raise OptionError("--time, --lags and --season belong to sequences", fix="--sequence-id NAME, or --forecast STEPS")
        folds = cross_validate(data, target, settings, cv, reading=reading, say=talk.say) if cv else None
        with talk.progress(settings.epochs) as progress:
            train, more = (train_sequences, {}) if of_sequences else (train_table, {"peers": peers, "stream": stream, "cache": cache})
            outcome = train(data, target, settings, out=out, force=force, reading=reading, say=talk.say, progress=progress,
                            resume=resume is not None, time_limit=time_limit, **more)
        summary = outcome.summary
        if folds is not None:
            summary["cross_validation"] = folds
        talk.say("interrupted: the last complete step is kept" if summary["interrupted"] else _ending(summary))
        if folds is not None and not as_json:
            print(folds_table(folds) + "\n")
        print(json.dumps(summary, ensure_ascii=False) if as_json else outcome.table())
        talk.say(f"saved {', '.join(_plain(path) for path in outcome.files)}")
        if summary["interrupted"]:
            talk.say(f"go on with  backproof train --resume {shlex.quote(_plain(out))}")
            raise typer.Exit(TERMINATED if _terminated else INTERRUPTED)


def _train_words(talk, context, as_json):
    """The command ``train --task tag``: what was typed replaces the defaults of `WordSettings`."""
    from .word_jobs import WordSettings, train_words

    options, given = context.params, _given(context)
    refused = given & {"config", "resume", "cv", "time_limit", "target", "delimiter", "encoding", "compression", "peers"}
    if refused:
        raise OptionError(f"--{min(refused).replace('_', '-')} belongs to tables", fix="leave it out with --task tag")
    if options["data"] is None:
        raise OptionError("there is no data", fix="backproof train train.conll --task tag")
    named = {name: options[name] for name in given & {f for f in WordSettings.__dataclass_fields__}}
    if "channels" in named:
        named["channels"] = tuple(name.strip() for name in named["channels"].split(","))
    if "patience" in named:
        named["patience"] = named["patience"] or None
    if options["dev"] is not None and "test" not in named:
        named["test"] = 0.0
    settings = WordSettings(**named)
    with talk.progress(settings.epochs) as progress:
        outcome = train_words(options["data"], settings, dev=options["dev"], vectors=options["vectors"], out=options["out"],
                              force=options["force"], say=talk.say, progress=progress)
    summary = outcome.summary
    talk.say("interrupted: the last complete step is kept" if summary["interrupted"] else _ending(summary))
    print(json.dumps(summary, ensure_ascii=False) if as_json else outcome.table())
    talk.say(f"saved {', '.join(_plain(path) for path in outcome.files)}")
    if summary["interrupted"]:
        raise typer.Exit(TERMINATED if _terminated else INTERRUPTED)


def _given(context):
    """The options that were typed, not left at their defaults."""
    return {name for name in context.params if context.get_parameter_source(name).name == "COMMANDLINE"}


def _ending(summary):
    best = summary["best_epoch"]
    kept = f"; the weights of epoch {best} are kept" if best is not None else ""
    return f"{summary['stopped'] or 'trained ' + str(summary['epochs']) + ' epochs'}{kept} ({summary['seconds']:.1f} s in all)"


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
    quiet: Quiet = False, debug: Debug = False,
):
    """Predict for the rows of a table with the columns of training, in any order; others are ignored.

    A tagger of words tags CoNLL files and raw text.
    """
    talk = Talk(quiet)
    with _answering(debug, talk):
        from .word_models import predict_words, reads_words

        if reads_words(model):
            _chosen("input", form, ("auto", "conll", "text"))
            count = predict_words(model, data, out=out, probabilities=probabilities, form=form, force=force)
            return talk.say(f"{count:,} sentence{'' if count == 1 else 's'} tagged" + ("" if out == "-" else f" in {_plain(out)}"))
        from .predictions import predict_table
        from .sequence_models import holds_sequences, predict_sequences

        of = predict_sequences if holds_sequences(model) else predict_table
        rows = of(model, data, out=out, probabilities=probabilities, force=force, for_spreadsheet=for_spreadsheet,
                             reading=_reading(delimiter, encoding, compression), say=lambda text: talk.say(f"note: {text}"))
        if out != "-":
            talk.say(f"{rows:,} predictions in {_plain(out)}")


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="model.safetensors of a training run")],
    data: Data,
    delimiter: Delimiter = ",", encoding: Encoding = "utf-8", compression: Compression = "none",
    quiet: Quiet = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the measures as JSON")] = False,
    debug: Debug = False,
):
    """Measure a saved model on a table that has the target; a tagger on a CoNLL file, by type."""
    talk = Talk(quiet)
    with _answering(debug, talk):
        from . import word_models

        if word_models.reads_words(model):
            found = word_models.evaluate_words(model, data)
            table = "\n".join(_plain(line) for line in word_models.evaluation_text(found).split("\n"))
            return print(json.dumps(found, ensure_ascii=False) if as_json else table)
        from .runs import evaluate, evaluation_text

        from .sequence_models import evaluate_sequences, holds_sequences

        of = evaluate_sequences if holds_sequences(model) else evaluate
        found = of(model, data, reading=_reading(delimiter, encoding, compression), say=lambda text: talk.say(f"note: {text}"))
        print(json.dumps(found, ensure_ascii=False) if as_json else evaluation_text(found))


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
    quiet: Quiet = False, debug: Debug = False,
):
    """Write the page that shows every number of a run: the network, its equations with the numbers put in, the error signal."""
    talk = Talk(quiet)
    with _answering(debug, talk):
        from .pages import trace_table
        from .sequence_models import holds_sequences, trace_sequences

        _chosen("language", language, ("en", "zh"))
        from .word_models import reads_words, trace_sentence

        words = reads_words(model)
        if words and (sentence is None or data is not None or row):
            raise OptionError("a tagger is traced on one sentence", fix='--sentence "Museums in Paris are amazing"')
        if not words and (sentence is not None or tags is not None or data is None):
            raise OptionError("this model reads tables, not sentences", fix="backproof trace model.safetensors DATA")
        if words:
            made = trace_sentence(model, sentence, tags=tags, out=out, language=language, force=force)
            return talk.say(f"{len(made.tokens)} words traced in {_plain(out)}")
        of = trace_sequences if holds_sequences(model) else trace_table
        made = of(model, data, rows=row, out=out, language=language, force=force, reading=_reading(delimiter, encoding, compression),
                  say=lambda text: talk.say(f"note: {text}"))
        talk.say(f"{made.n} {'sequences' if of is trace_sequences else 'rows'} traced in {_plain(out)}")


@app.command()
def report(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="model.safetensors of a training run")],
    data: Data,
    out: Annotated[str, typer.Option(help="the page to write")] = "report.html",
    horizon: Annotated[bool, typer.Option(help="how far back in time the error reaches (models of sequences)")] = False,
    language: Annotated[str, typer.Option(help="en or zh")] = "en",
    force: Force = False,
    delimiter: Delimiter = ",", encoding: Encoding = "utf-8", compression: Compression = "none",
    quiet: Quiet = False, debug: Debug = False,
):
    """Judge a saved model on a table: the error signal layer by layer, causes and mends, errors, the derivation."""
    talk = Talk(quiet)
    with _answering(debug, talk):
        from .pages import report_table
        from .sequence_models import holds_sequences, report_sequences

        _chosen("language", language, ("en", "zh"))
        of = report_sequences if holds_sequences(model) else report_table
        made = of(model, data, out=out, language=language, force=force, reading=_reading(delimiter, encoding, compression),
                  say=lambda text: talk.say(f"note: {text}"), horizon=horizon)
        print(made.to_text(language))
        talk.say(f"written to {_plain(out)}")


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
    with _answering(debug):
        from .check.command import check_functions, cost_of, load

        _chosen("language", language, ("en", "zh"))
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
    with _answering(debug):
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
    with _answering(debug):
        from .check import exercises

        _chosen("language", language, ("en", "zh"))
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
    as_json: Annotated[bool, typer.Option("--json", help="print it as JSON")] = False,
    debug: Debug = False,
):
    """Say what a table or a model file holds."""
    with _answering(debug):
        from .runs import describe

        text, plain = describe(data, reading=_reading(delimiter, encoding, compression))
        print(json.dumps(plain, ensure_ascii=False) if as_json else "\n".join(_plain(line) for line in text.split("\n")))


@app.command()
def init(
    out: Annotated[str, typer.Argument(metavar="FILE", help="the run file to write; - for stdout")] = "run.toml",
    data: Annotated[str, typer.Option(help="the table to train on")] = "data.csv",
    target: Annotated[str, typer.Option(help="the column to predict")] = "target",
    force: Force = False, debug: Debug = False,
):
    """Write a commented run file with every setting and its default, for train --config."""
    with _answering(debug):
        from .outputs import write_text
        from .runs import run_file

        text = run_file(data, target)
        if out == "-":
            print(text, end="")
            return
        write_text(out, text, force)
        print(f"wrote {_plain(out)}: edit it, then  backproof train --config {shlex.quote(_plain(out))}", file=sys.stderr)


@app.command()
def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="a model file")],
    out: Annotated[str, typer.Argument(metavar="FILE", help="ends in .onnx, or in .safetensors for a PyTorch state_dict")],
    force: Force = False, debug: Debug = False,
):
    """Write a saved model as ONNX, or as a PyTorch state_dict (safetensors, the weights transposed)."""
    with _answering(debug):
        from .exchange import export_model
        from .outputs import output, refuse_existing

        refuse_existing(out, force)
        with output():
            said = export_model(model, out)
        print(_plain(said), file=sys.stderr)


@app.command()
def doctor(
    threads: Annotated[int, typer.Option(help="what this number of threads would come to")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print it as JSON")] = False,
    debug: Debug = False,
):
    """Say which engine runs here, with which instruction set and how many threads. Exit code 70: none can be loaded."""
    with _answering(debug):
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
    with _answering(debug):
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
    written = _chosen("format", format, ("text", "latex", "markdown", "html", "python", "c"))
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


_terminated = []


def _terminate(*_):
    """SIGTERM ends a run as Ctrl-C does: with a checkpoint."""
    _terminated.append(True)
    raise KeyboardInterrupt


def main(arguments=None):
    """Run a command; returns its exit code."""
    with contextlib.suppress(ValueError):                                # not on the main thread
        signal.signal(signal.SIGTERM, _terminate)
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
        print(f"error: {_plain(error.format_message())}\n  fix  backproof --help, or backproof COMMAND --help", file=sys.stderr)
        return getattr(error, "exit_code", USAGE)


if __name__ == "__main__":
    sys.exit(main())
