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
    columns, sentences, tags, lines, inside = _Columns(source, tagged, entities), [], [], [], False
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r")
        if not line.strip(" \t"):
            inside = False
            continue
        if not inside and columns.comment(line):
            continue
        cells = columns.cells(number, line)
        if cells[0] == "-DOCSTART-":
            continue
        if not inside:
            sentences.append([])
            tags.append([])
            lines.append(number)
            inside = True
        sentences[-1].append(cells[0])
        tags[-1].append(cells[-1])
    if not sentences:
        raise DataError("there is no token in it", where=shown(source, 200), fix="a token and its tag on each line")
    return Tagged(sentences, tags if tagged else None, lines, source)


class _Columns:
    """How a file separates its columns and how many there are: as its first token's line has them, on every line."""

    def __init__(self, source, tagged, entities):
        self.source, self.tagged, self.entities = source, tagged, entities
        self.separator, self.count, self.first = None, None, 0

    def comment(self, line):
        """Is a line between two sentences a comment? Before the first token, one with tabs, or a token and a tag, is none."""
        if not line.startswith("#"):
            return False
        if self.count is not None:
            return len(self.split(line)) != self.count
        cells = line.split(" ")
        return "\t" not in line and not (len(cells) == 2 and _is_tag(cells[1]))

    def split(self, line):
        return line.split("\t") if self.separator == "\t" else [cell for cell in line.split(" ") if cell]

    def cells(self, number, line):
        """The columns of a token's line, checked."""
        if self.separator is None:
            self.separator = "\t" if "\t" in line else " "
        cells = self.split(line)
        if cells[0] == "-DOCSTART-":
            return cells
        if self.count is None:
            self.count, self.first = len(cells), number
            if self.tagged and len(cells) < 2:
                raise self.wrong(number, line, "has one column: there is no tag", "a token and its tag, with a tab between")
        if len(cells) != self.count:
            between = "tabs" if self.separator == "\t" else "spaces"
            raise self.wrong(number, line, f"has {len(cells)} columns; line {self.first} has {self.count}",
                             f"give every line {self.count} columns, {between} between them")
        if not cells[0] or self.tagged and not cells[-1]:
            empty = "tag" if cells[0] else "token"
            raise self.wrong(number, line, f"has an empty {empty}", "fill it, or leave the line empty")
        if self.tagged and self.entities and not _is_tag(cells[-1]):
            raise self.wrong(number, line, f"has the tag {shown(cells[-1])}, which is none of an entity",
                             "O, or B-, I-, E- or S- and a type, such as B-person")
        return cells

    def wrong(self, number, line, what, fix):
        return DataError(f"line {number} {what}", where=f"{shown(self.source, 200)}: {shown(line)}", fix=fix)


def _is_tag(text):
    try:
        parse_tag(text)
    except DataError:
        return False
    return True


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
