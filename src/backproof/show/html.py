"""Self-contained pages: a template of the package, its style and script, and data that cannot break out of its element.

Reads   the name of a page in ``pages/``, fragments of HTML that are escaped already, and data for JSON.
Gives   one file that opens from disk. Its policy lets its own style and script run, by their hashes, and nothing else:
        no request leaves the page, no handler stands in an attribute.
"""

import json
from base64 import b64encode
from hashlib import sha256
from html import escape
from importlib.resources import files

__all__ = ["assemble", "data_text", "asset"]

ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def asset(name):
    """The text of a file of ``pages/``."""
    return files(__package__).joinpath("pages", name).read_text("utf-8")


def data_text(data):
    """JSON that may stand in a script element: no <, >, & or line separators outside ASCII escapes.

    >>> data_text({"name": "</script><!--"})
    '{"name":"\\\\u003c/script\\\\u003e\\\\u003c!--"}'
    """
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign, code in ESCAPES.items():
        text = text.replace(sign, code)
    return text


def digest(text):
    return "'sha256-" + b64encode(sha256(text.encode("utf-8")).digest()).decode() + "'"


def assemble(page, *, title, language, body="", data=None, words=None):
    """The page ``pages/<page>.html`` with its style, its script where there is one, a title, a body and data."""
    style, script = asset("base.css") + asset(f"{page}.css"), "" if data is None else asset(f"{page}.js")
    allowed = digest(script) if script else "'none'"
    policy = (
        f"default-src 'none'; style-src {digest(style)}; script-src {allowed}; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {
        "POLICY": policy,
        "TITLE": escape(title),
        "LANGUAGE": {"en": "en", "zh": "zh-CN"}[language],
        "STYLE": style,
        "BODY": body,
        "DATA": "" if data is None else data_text(data),
        "WORDS": "" if words is None else data_text(words),
        "SCRIPT": script,
    }
    pieces = asset(f"{page}.html").split("{{")
    written = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}}")
        written += [parts[name], rest]
    return "".join(written)
