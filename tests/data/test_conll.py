"""Text in columns: what is read, and what every bad file is told."""

import pytest

from backproof.data.conll import conll_text, parse_conll, read_conll
from backproof.errors import DataError, FileProblem


def written(tmp_path, content, name="a.conll"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def test_tabs_blank_lines_comments_and_documents():
    text = parse_conll("# a comment\n-DOCSTART-\t-X-\tO\n\nMuseums\tNNS\tO\nin\tIN\tO\r\nParis\tNN\tB-place\n\t\n \n"
                       "# text = Go\nGo\tVB\tO\n")
    assert text.sentences == [["Museums", "in", "Paris"], ["Go"]]
    assert text.tags == [["O", "O", "B-place"], ["O"]]
    assert text.lines == [4, 10] and text.tokens == 4


def test_a_hashtag_is_a_token_and_no_comment():
    assert parse_conll("#photography\tO\nin\tO\n").sentences == [["#photography", "in"]]
    assert parse_conll("# O\nin O\n").sentences == [["#", "in"]]
    assert parse_conll("a O\n\n#x O\n").sentences == [["a"], ["#x"]]


def test_only_line_feeds_end_lines_and_odd_signs_stay():
    odd = ["a\u2028b", "\u0085", "\u00a0", "e\u0301", "\U0001f600", "\u202eevil", "\x00", "日本語", "\ufeffx"]
    text = conll_text([odd], [["O"] * len(odd)])
    assert parse_conll(text).sentences == [odd]


def test_a_mark_at_the_beginning_is_left_out(tmp_path):
    assert read_conll(written(tmp_path, b"\xef\xbb\xbfParis\tB-place\n")).sentences == [["Paris"]]


def test_a_sentence_of_ten_thousand_tokens():
    words, tags = [f"w{k}" for k in range(10_000)], ["O", "B-x"] * 5000
    text = parse_conll(conll_text([words, ["b"]], [tags, ["O"]]))
    assert text.sentences[0] == words and text.tags[0] == tags and text.lines == [1, 10_002]


def test_tokens_alone():
    text = parse_conll("Museums\nin\nParis\n\nGo\n", tagged=False)
    assert text.sentences == [["Museums", "in", "Paris"], ["Go"]] and text.tags is None


def test_writing_reads_back():
    assert parse_conll(conll_text([["a", "b"], ["c"]], [["O", "B-x"], ["O"]])).tags == [["O", "B-x"], ["O"]]
    with pytest.raises(DataError, match="cannot stand in a column"):
        conll_text([["a\tb"]], [["O"]])


@pytest.mark.parametrize("text, message", [
    ("a\tO\nb\n", r"line 2 has 1 columns; line 1 has 2\n  in   'text': 'b'"),
    ("a\tO\n\nb\tNN\tO\n", "line 3 has 3 columns; line 1 has 2"),
    ("a b c O\nd O\n", "line 2 has 2 columns; line 1 has 4"),
    ("a\tO\n\tO\n", "line 2 has an empty token"),
    ("a\tO\nb\t\n", "line 2 has an empty tag"),
    ("a\tO\nb\tPER\n", "line 2 has the tag 'PER', which is none of an entity"),
    ("a\tO\nb\t\x1b[31m\n", r"has the tag '\\x1b\[31m'"),
    ("a\nb\n", "line 1 has one column: there is no tag"),
    ("", "there is no token in it"),
    ("\n\n# nothing\n \t\n", "there is no token in it"),
    ("a\tO\n# inside\nb\tO\n", "line 2 has 1 columns"),
    ("x" * 100_000 + "\tO\nb\n", "line 2 has 1 columns"),
])
def test_bad_text_is_told_its_line_and_content(text, message):
    with pytest.raises(DataError, match=message):
        parse_conll(text)


@pytest.mark.parametrize("content, message", [
    (b"a\tO\nb\xff\tO\n", "line 2 is not UTF-8: byte 0xff"),
    ("a\tO\n".encode("utf-16"), "line 1 is not UTF-8"),
    (b"\x1f\x8b\x08 packed", "this is a gzip file, not text"),
])
def test_bad_bytes_are_told(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read_conll(written(tmp_path, content))


def test_what_is_no_file_is_told(tmp_path):
    with pytest.raises(FileProblem, match="directory, not a regular file"):
        read_conll(tmp_path)
    with pytest.raises(FileProblem, match="No such file"):
        read_conll(tmp_path / "nothing")


def test_places_are_lines_of_the_file():
    text = parse_conll("# c\na\tO\nb\tO\n\nc\tO\n", source="my.conll")
    assert text.place(0, 1) == "'my.conll', line 3" and text.place(1) == "'my.conll', line 5"
