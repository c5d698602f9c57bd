"""Tagged text in columns, as the CoNLL shared tasks write it.

Reads   UTF-8 text: one token a line with its columns, an empty line behind each sentence.
Gives   Tagged: the tokens and the tags of every sentence, and the line where each begins.
Rules   Columns stand between tabs where the first token's line has one, else between spaces. The token is the first
        column, the tag the last. Between sentences, a line that begins with # and has not the file's columns is a comment;
        lines of -DOCSTART- are left out. Only \\n and \\r\\n end a line: other separators of Unicode belong to the token.
"""

from dataclasses import dataclass

from ..errors import DataError
from .files import kind_of_file, read_regular
from .messages import shown
from .tags import parse_tag

__all__ = ["Tagged", "conll_text", "decoded", "parse_conll", "read_conll"]

LIMIT = 1 << 30                          # bytes of a file


@dataclass(frozen=True)
class Tagged:
    """Sentences as token lists with their tag lists (None: the file was read without them).

    Fields  sentences, tags; lines: where each sentence begins, from 1; source: the path, for messages
    """

    sentences: list
    tags: list | None
    lines: list
    source: str = "text"

    tokens = property(lambda self: sum(map(len, self.sentences)), doc="How many tokens there are.")

    def place(self, sentence, token=0):
        """Where a token stands, for messages."""
        return f"{shown(self.source, 200)}, line {self.lines[sentence] + token}"


def read_conll(path, *, tagged=True, entities=True):
    """The Tagged text of a file.

    Parameters  tagged    the last column holds tags; False: tokens alone are taken
                entities  tags must be O or prefix-type; False: any text
    Raises      FileProblem where it cannot be read, DataError with the line's number and content
    """
    data = read_regular(path, limit=LIMIT)
    kind = kind_of_file(data)
    if kind is not None:
        raise DataError(f"this is a {kind} file, not text", where=shown(str(path), 200), fix="unpack or convert it first")
    return parse_conll(decoded(data, path), source=str(path), tagged=tagged, entities=entities)


def decoded(data, path):
    """The text of a file's bytes, UTF-8 with or without its mark. Raises DataError naming the line."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"line {line} is not UTF-8: byte {data[error.start]:#04x}", where=shown(str(path), 200),
                        fix="save the file as UTF-8") from None


def parse_conll(text, *, source="text", tagged=True, entities=True):
    """The Tagged text of a string in columns; as `read_conll`.

    >>> parse_conll("Museums O\\nin O\\nParis B-place\\n\\nGo O\\n").sentences
    [['Museums', 'in', 'Paris'], ['Go']]
    """
    sentences, tags, lines = [], [], []
    columns, first, separator, open_ = None, 0, None, False
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        if not line.strip(" \t"):
            open_ = False
            continue
        if separator is None and not _comment_before_all(line):
            separator = "\t" if "\t" in line else " "
        cells = _cells(line, separator)
        if not open_ and line.startswith("#") and (columns is None and separator is None or columns is not None and len(cells) != columns):
            continue
        if cells[0] == "-DOCSTART-":
            continue
        if columns is None:
            columns, first = len(cells), number
            if tagged and columns < 2:
                raise _wrong(source, number, line, "has one column: there is no tag", "a token and its tag, with a tab between")
        if len(cells) != columns:
            raise _wrong(source, number, line, f"has {len(cells)} columns; line {first} has {columns}",
                         f"give every line {columns} columns, {'tabs' if separator == chr(9) else 'spaces'} between them")
        if not cells[0] or tagged and not cells[-1]:
            raise _wrong(source, number, line, f"has an empty {'token' if not cells[0] else 'tag'}", "fill it, or leave the line empty")
        if tagged and entities:
            _checked_tag(source, number, line, cells[-1])
        if not open_:
            sentences.append([])
            tags.append([])
            lines.append(number)
            open_ = True
        sentences[-1].append(cells[0])
        tags[-1].append(cells[-1])
    if not sentences:
        raise DataError("there is no token in it", where=shown(source, 200), fix="a token and its tag on each line")
    return Tagged(sentences, tags if tagged else None, lines, source)


def _comment_before_all(line):
    """A line that begins with # before any token: a comment unless it has tabs, or one token and a tag."""
    if not line.startswith("#") or "\t" in line:
        return False
    cells = line.split(" ")
    try:
        return len(cells) != 2 or parse_tag(cells[1]) is None
    except DataError:
        return True


def _cells(line, separator):
    return line.split("\t") if separator == "\t" else [cell for cell in line.split(" ") if cell]


def _wrong(source, number, line, what, fix):
    return DataError(f"line {number} {what}", where=f"{shown(source, 200)}: {shown(line)}", fix=fix)


def _checked_tag(source, number, line, tag):
    try:
        parse_tag(tag)
    except DataError as error:
        raise _wrong(source, number, line, f"has the tag {shown(tag)}, which is none of an entity", error.fix) from None


def conll_text(sentences, *columns):
    """Text in columns with tabs: the tokens, then each further column; it reads back as it was.

    >>> conll_text([["in", "Paris"]], [["O", "B-place"]])
    'in\\tO\\nParis\\tB-place\\n\\n'
    """
    parts = []
    for sentence, *more in zip(sentences, *columns, strict=True):
        for cells in zip(sentence, *more, strict=True):
            for cell in cells:
                if not cell or any(sign in cell for sign in "\t\n\r"):
                    raise DataError(f"{shown(cell)} cannot stand in a column", fix="no tabs, line ends or empty tokens")
            parts.append("\t".join(cells) + "\n")
        parts.append("\n")
    return "".join(parts)
