"""Run files: the options of ``backproof train`` as keys of a TOML file.

Reads   {name: Option} of the command (kind, default, meaning); a run file.
Gives   a commented run file; the values of one, every mistake named with its line.

There is no second list of keys: every option that belongs to a run is a key of the same name, with _ for -.
"""

import json
import math
import re
import tomllib

from .errors import OptionError

__all__ = ["read_run_file", "run_file"]

ASKED = ("data", "target", "out")          # not behind a #
EXAMPLES = {"batch_size": 64, "time_limit": 600.0, "threads": 2, "vectors": "vectors.txt", "dev": "dev.conll", "sequence_id": "id",
            "time": "t", "forecast": 24, "lags": 48, "season": 24, "stream": True, "cache": "/tmp",
            "types": "zip=category,day=date,x=number"}          # of the options without a default
ABOVE = {"layers": "a table", "vectors": 'words: task = "tag"', "sequence_id": "sequences", "stream": "files larger than memory",
         "delimiter": "how a CSV file is read"}
WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def run_file(options, data="data.csv", target="target"):
    """A run file with every key, its default (where it has none, an example) and its meaning."""
    asked = {"data": data, "target": target, "out": options["out"].default}
    lines = ["# A run of backproof:  backproof train --config THIS_FILE",
             "# What stands behind a # is not asked for: the default, or an example where there is none.", ""]
    lines += [_line(name, asked[name], options[name]) for name in ASKED]
    for name, option in options.items():
        if name in ASKED:
            continue
        lines += ["", f"# {ABOVE[name]}"] if name in ABOVE else []
        lines.append("#" + _line(name, EXAMPLES.get(name) if option.default is None else option.default, option))
    return "\n".join(lines) + "\n"


def _line(name, value, option):
    return f"{name} = {json.dumps(value, ensure_ascii=False)}".ljust(35) + f"  # {option.help}"


def read_run_file(path, options):
    """{key: value} of a run file.

    Raises   FileProblem, or OptionError for an unknown key, a wrong type, a key twice.
    """
    from .data.files import read_regular
    from .data.messages import shown
    from .networks.words import nearest

    where = shown(str(path), 200)
    try:
        text = read_regular(path, limit=1 << 20).decode("utf-8")
        given = tomllib.loads(text)
    except UnicodeDecodeError:
        raise OptionError("the run file is not UTF-8", where=where, fix="save it as UTF-8") from None
    except (ValueError, RecursionError) as error:                # a number of too many digits is a plain ValueError
        raise OptionError(f"the run file cannot be read: {error}", where=where,
                          fix="backproof init writes one to start from") from None
    for key, value in given.items():
        start = re.compile(rf'\s*\[*\s*["\']?{re.escape(key)}["\']?\s*[=.\]]')
        line = next((n for n, row in enumerate(text.split("\n"), 1) if start.match(row)), 1)
        if key not in options:
            close = nearest(key, options)
            raise OptionError(f"line {line}: unknown key {shown(key)}", where=where,
                              fix=f"did you mean {close!r}?" if close else f"one of {', '.join(options)}")
        kind = options[key].kind
        wanted = (int, float) if kind is float else kind
        fits = isinstance(value, wanted) and isinstance(value, bool) == (kind is bool)
        if not fits or isinstance(value, float) and not math.isfinite(value):
            raise OptionError(f"line {line}: {key} is {type(value).__name__} {shown(value)}", where=where,
                              fix=f"give {key} {WORDS[kind]}")
    return given
