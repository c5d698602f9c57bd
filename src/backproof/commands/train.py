"""The command ``train``: which job is asked for, by the command line, a run file or the folder of an interrupted run."""

import json
import shlex
from dataclasses import fields, replace
from typing import Annotated

import typer

from ..errors import OptionError
from .options import (DATA, MISSING, Compression, Debug, Delimiter, Encoding, Force, Missing, Quiet, Threads, Types, Verbose,
                      chosen, options_of, reading_of)
from .talk import Talk, answering, ended, plain

__all__ = ["keys", "train"]

COMMAND_LINE_ALONE = {"config", "resume", "force", "quiet", "verbose", "as_json", "debug"}      # no keys of a run file
OF_A_SITTING = {"resume", "threads", "time_limit", "peers", "cache", "quiet", "verbose", "as_json", "debug"}    # may be others then
OF_TABLES = {"resume", "cv", "time_limit", "target", "delimiter", "encoding", "compression", "missing", "types", "peers", "stream",
             "cache"}
OF_WORDS = {"vectors", "freeze_vectors", "dev", "window", "channels", "scheme"}
OF_SEQUENCES = {"time", "lags", "season"}
LAYERS = "64 relu | 32 relu"


def keys():
    """{name: Option} of what may stand in a run file."""
    return {name: option for name, option in options_of(train).items() if name not in COMMAND_LINE_ALONE}


def _run_file(context: typer.Context, path: str):
    """What a run file says takes the place of the defaults."""
    if path is not None and not context.resilient_parsing:
        from ..run_files import read_run_file

        with answering(debug=False):
            context.default_map = read_run_file(path, keys())
    return path


def train(
    context: typer.Context,
    data: Annotated[str, typer.Argument(metavar="[DATA]", help=DATA)] = None,
    target: Annotated[str, typer.Option(help="the column to predict; a built-in data set has its own")] = None,
    layers: Annotated[str, typer.Option(help="hidden layers, such as '64 relu | dropout 0.2 | 32 relu'; '' for none")] = LAYERS,
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
    config: Annotated[str, typer.Option(help="a run file (TOML), as init writes one; options given here win", is_eager=True,
                                       callback=_run_file)] = None,
    resume: Annotated[str, typer.Option(help="the directory of an interrupted run: go on with it, bit for bit")] = None,
    cv: Annotated[int, typer.Option(help="measure by cross-validation in so many folds first; 0: not")] = 0,
    time_limit: Annotated[float, typer.Option(help="seconds of training after which the best weights so far are kept")] = None,
    threads: Threads = None,
    peers: Annotated[bool, typer.Option("--peers/--no-peers", help="measure HistGradientBoosting beside the network")] = True,
    vectors: Annotated[str, typer.Option(help="tag: word vectors to start from: GloVe or word2vec text, NPZ, safetensors")] = None,
    freeze_vectors: Annotated[bool, typer.Option("--freeze-vectors", help="tag: leave the word vectors as they are given")] = False,
    dev: Annotated[str, typer.Option(help="tag: a CoNLL file that decides when to stop; nothing of DATA is set aside then")] = None,
    window: Annotated[int, typer.Option(help="tag: words in a window")] = 5,
    channels: Annotated[str, typer.Option(help="tag: what is read of a word: word, form, shape, case, prefixN, "
                                         "suffixN")] = "word,case",
    scheme: Annotated[str, typer.Option(help="tag: BIO or IOBES, what the network learns")] = "BIO",
    sequence_id: Annotated[str, typer.Option(help="the rows are steps of sequences: the column that names the sequence")] = None,
    time: Annotated[str, typer.Option(help="the column of a step's time; without it the order of the file is that of time")] = None,
    forecast: Annotated[int, typer.Option(help="the rows are a series: how many values of the target to foretell")] = None,
    lags: Annotated[int, typer.Option(help="how many steps a forecast reads; by default twice the forecast, a season at "
                                     "least")] = None,
    season: Annotated[int, typer.Option(help="the steps of a season, for the baseline beside a forecast")] = None,
    stream: Annotated[bool, typer.Option("--stream/--no-stream", help="read the file in parts and keep its typed rows on the "
                                         "disk; by default files above 256 MB are")] = None,
    cache: Annotated[str, typer.Option(help="where a streamed file's rows go while it trains; by default inside --out")] = None,
    delimiter: Delimiter = ",", encoding: Encoding = "utf-8", compression: Compression = "none",
    missing: Missing = MISSING, types: Types = None,
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
    with answering(debug, talk):
        chosen("task", task, ("auto", "classification", "regression", "tag"))
        if time_limit is not None and not time_limit > 0:
            raise OptionError(f"--time-limit {time_limit} is no number of seconds above 0", fix="such as --time-limit 60")
        job = _words if task == "tag" else _continued if resume is not None else _rows
        _tell(talk, job(talk, context.params, _given(context)), as_json, resume or out)


def _given(context):
    """The options that were typed or stand in the run file, not left at their defaults."""
    return {name for name in context.params if context.get_parameter_source(name).name in ("COMMANDLINE", "DEFAULT_MAP")}


def _refuse(given, others, why, fix):
    for name in sorted(given & others):
        raise OptionError(f"--{'json' if name == 'as_json' else name.replace('_', '-')} {why}", fix=fix)


# ---------------------------------------------------------------------------------------------------- the jobs

def _continued(talk, options, given):
    """An interrupted run: all but what belongs to a sitting is taken from its folder."""
    from ..runs import resumable

    folder = options["resume"]
    _refuse(given, options.keys() - OF_A_SITTING, "and --resume exclude each other: the folder of the run says what was asked for",
            f"backproof train --resume {shlex.quote(plain(folder))}")
    asked = resumable(folder)
    settings = replace(asked["settings"], threads=options["threads"])
    more = {"out": folder, "stream": asked.get("stream"), "cache": options["cache"] or asked.get("cache")}
    return _trained(talk, asked["data"], asked["target"], settings, asked["reading"], {**options, **more})


def _rows(talk, options, given):
    """A table, or the sequences in one; by cross-validation first, where that is asked for."""
    from ..jobs import Settings
    from ..sequence_jobs import SequenceSettings, wants_sequences

    data, cv = options["data"], options["cv"]
    if data is None:
        raise OptionError("there is no data", fix="backproof train DATA --target NAME, or --config, or --resume")
    _refuse(given, OF_WORDS, "belongs to --task tag", "leave it out")
    asked = {field.name: options[field.name] for field in fields(Settings)}
    asked.update(task=None if options["task"] == "auto" else options["task"], patience=options["patience"] or None)
    settings = SequenceSettings(**{**asked, "layers": options["layers"] if "layers" in given else None}, id=options["sequence_id"],
                                **{name: options[name] for name in ("time", "forecast", "lags", "season")})
    if not wants_sequences(data, settings):
        _refuse(given, OF_SEQUENCES, "belongs to sequences", "--sequence-id NAME, or --forecast STEPS")
        settings = Settings(**asked)
    elif cv:
        raise OptionError("--cv folds the rows of a table, not sequences", fix="several --seed, each with another split")
    else:
        _refuse(given, {"stream", "cache"}, "belongs to tables", "leave it out: sequences are read into memory")
    reading = reading_of(*(options[name] for name in ("delimiter", "encoding", "compression", "missing", "types")))
    return _trained(talk, data, options["target"], settings, reading, options)


def _trained(talk, data, target, settings, reading, options):
    from ..jobs import train_table
    from ..runs import continues
    from ..sequence_jobs import SequenceSettings, train_sequences

    train, more = train_table, {name: options[name] for name in ("peers", "stream", "cache", "cv")}
    if isinstance(settings, SequenceSettings):
        train, more = train_sequences, {}
    with talk.progress(settings.epochs) as progress:
        try:
            return train(data, target, settings, out=options["out"], force=options["force"], reading=reading, say=talk.say,
                         progress=progress, resume=options["resume"] is not None, time_limit=options["time_limit"], **more)
        except KeyboardInterrupt:
            if not continues(options["out"]):
                raise
            raise KeyboardInterrupt(f"go on with  backproof train --resume {shlex.quote(options['out'])}") from None


def _words(talk, options, given):
    """A tagger of words: what was asked for replaces the defaults of `WordSettings`."""
    from ..word_jobs import WordSettings, train_words

    _refuse(given, OF_TABLES, "belongs to tables", "leave it out with --task tag")
    if options["data"] is None:
        raise OptionError("there is no data", fix="backproof train train.conll --task tag")
    named = {name: options[name] for name in given & {field.name for field in fields(WordSettings)}}
    if "channels" in named:
        named["channels"] = tuple(name.strip() for name in named["channels"].split(","))
    if "patience" in named:
        named["patience"] = named["patience"] or None
    if options["dev"] is not None and "test" not in named:
        named["test"] = 0.0
    settings = WordSettings(**named)
    with talk.progress(settings.epochs) as progress:
        return train_words(options["data"], settings, dev=options["dev"], vectors=options["vectors"], out=options["out"],
                           force=options["force"], say=talk.say, progress=progress)


# ---------------------------------------------------------------------------------------------------- what is told

def _tell(talk, outcome, as_json, out):
    """The result on stdout; how it ended, and how to go on, on stderr."""
    summary = outcome.summary
    talk.say("interrupted: the last complete step is kept" if summary["interrupted"] else _ending(summary))
    print(json.dumps(summary, ensure_ascii=False) if as_json else outcome.table())
    talk.say(f"saved {', '.join(plain(path) for path in outcome.files)}")
    if summary["interrupted"]:
        if summary["task"] != "tag":
            talk.say(f"go on with  backproof train --resume {shlex.quote(plain(out))}")
        raise typer.Exit(ended())


def _ending(summary):
    best = summary["best_epoch"]
    kept = f"; the weights of epoch {best} are kept" if best is not None else ""
    return f"{summary['stopped'] or 'trained ' + str(summary['epochs']) + ' epochs'}{kept} ({summary['seconds']:.1f} s in all)"
