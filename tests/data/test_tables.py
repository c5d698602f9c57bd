"""Tables are typed once for the whole file, numbers are read exactly, and a broken file is named by line and cell."""

import gzip
import os
import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from backproof.data import csv_text
from backproof.data.tables import Table, as_table, read_table
from backproof.errors import BackproofError, DataError, DtypeError, FileProblem, OptionError


def csv_file(folder, text, name="data.csv"):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def cells(table):
    return {c.name: c.texts().tolist() for c in table.columns.values()}


@pytest.mark.parametrize("text", [
    "a,b\n1,x\n2,y\n", "a,b\r\n1,x\r\n2,y\r\n", "a,b\r1,x\r2,y\r", "a,b\n1,x\n2,y", "\ufeffa,b\n1,x\n2,y\n",
    "\n\na,b\n\n1,x\n\n2,y\n\n", "a,b,\n1,x,\n2,y,\n", "a,b\n1,x,\n2,y,\n", '"a","b"\n"1","x"\n2,"y"\n',
    " a , b\n 1,x\n2 ,y\n",
])
def test_line_ends_marks_blank_lines_and_trailing_commas_read_right(text, tmp_path):                             # F3 F7
    table = read_table(csv_file(tmp_path, text))
    assert cells(table) == {"a": ["1", "2"], "b": ["x", "y"]}
    assert table["a"].values.dtype == np.int64 and table["b"].kind == "category"


REFUSED = [
    ("F2 empty", "", {}, "the file is empty"),
    ("F2 blank", "\n \n", {}, "the file is empty"),
    ("F2 header only", "a,b\n", {}, "no data rows"),
    ("F4 a byte", b"a,b\n1,caf\xe9\n", {}, "byte 0xE9 at line 2, column 6 is not utf-8"),
    ("F4 UTF-16", "a,b\n1,2\n".encode("utf-16"), {}, "begins like UTF-16"),
    ("F4 unknown", "a\n1\n", {"encoding": "klingon"}, "'klingon' does not fit"),
    ("F5 too many", "a,b\n1,2\n1,2,3\n", {}, "line 3 has 3 fields; the header has 2"),
    ("F5 too few", "a,b,c\n1,2\n", {}, "line 2 has 2 fields; the header has 3"),
    ("F6 unclosed", 'a,b\n1,2\n3,"x\n5,6\n7,8\n', {}, "a quote opened in the row at line 3 is never closed"),
    ("F6 huge field", 'a,b\n1,2\n3,"' + "x\n" * 600_000, {}, "a quote opened in the row at line 3 is never closed"),
    ("F6 after a quote", 'a,b\n1,"x"y\n', {}, "line 2 cannot be read"),
    ("F8 duplicate", "a,b,a\n1,2,3\n", {}, "names 'a' more than once"),
    ("F8 no name", "a,,c\n1,2,3\n", {}, "no name for column 2"),
    ("F9 semicolon", "a;b\n1;2\n", {}, "contains ';'"),
    ("F9 tab", "a\tb\n1\t2\n", {}, "contains '\\t'"),
    ("F9 decimal comma", 'a;b\n"1,5";2\n"2,5";3\n', {"delimiter": ";"},
     "line 2, column 'a': '1,5' is a number in another"),
    ("F12 a stray word", "x,y\n" + "1,2\n" * 50 + "abc,2\n", {}, "line 52, column 'x': 'abc' is not a plain decimal"),
    ("F12 declared", "x,y\na,1\nb,2\n", {"types": {"x": "number"}}, "line 2, column 'x': 'a' is not a plain decimal"),
    ("F13 underscore", "x,y\n1_000,1\n2_000,1\n", {}, "'1_000' is a number in another notation"),
    ("F13 hexadecimal", "x,y\n0x10,1\n", {}, "'0x10' is a number in another notation"),
    ("F13 thousands", 'x,y\n"1,234.5",1\n', {}, "'1,234.5' is a number in another notation"),
    ("F13 infinity", "x,y\n" + "1,1\n" * 20 + "inf,1\n", {}, "'inf' is not a plain decimal"),
    ("F13 nan", "x,y\nnan,1\nNaN,2\n", {}, "'nan' is a number in another notation"),
    ("F13 Arabic", "x,y\n\u0661\u0662,1\n", {}, "is a number in another notation"),
    ("F13 full width", "x,y\n\uff11\uff12,1\n", {}, "is a number in another notation"),
    ("F13 too large", "x,y\n1e999,1\n", {}, "line 2, column 'x': '1e999' is too large"),
    ("F14 NUL", b"a,b\n1,\x00\n", {}, "NUL byte at line 2"),
    ("F14 gzip", gzip.compress(b"a,b\n1,2\n"), {}, "this looks like gzip"),
    ("F14 zip", b"PK\x03\x04rest", {}, "this looks like zip"),
    ("F16 bomb", gzip.compress(b"0" * 50_000_000), {"compression": "gzip"}, "expand more than 100 : 1"),
    ("F16 broken gzip", gzip.compress(b"a,b\n1,2\n")[:-4], {"compression": "gzip"}, "gzip data are corrupt"),
    ("no such target", "age,y\n1,2\n", {"target": "aeg"}, "no column 'aeg'; did you mean 'age'?"),
    ("bad option", "a\n1\n", {"types": {"a": "int"}}, "declared 'int'"),
    ("bad delimiter", "a\n1\n", {"delimiter": ";;"}, "is not one character"),
    ("F15 columns", ",".join(map(str, range(12))) + "\n", {}, "12 columns; the limit is 10"),
]


@pytest.mark.parametrize("text, options, what", [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_refused_with_line_and_cell(text, options, what, tmp_path, monkeypatch):
    monkeypatch.setattr(csv_text, "COLUMN_LIMIT", 10)
    with pytest.raises(BackproofError) as caught:
        read_table(csv_file(tmp_path, text), **options)
    assert isinstance(caught.value, DataError | OptionError)
    assert what in caught.value.what and caught.value.fix


@pytest.mark.parametrize("path, what", [("no.csv", "No such file"), (".", "directory"), ("pipe", "pipe"),
                                        ("https://example.org/a.csv", "URL")])
def test_paths_that_are_no_files(path, what, tmp_path, monkeypatch):                                              # F1
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    with pytest.raises(FileProblem, match=what) as caught:
        read_table(path)
    assert caught.value.fix and (what == "URL" or str(tmp_path) in caught.value.where)


def test_latin_1_and_gzip_and_other_delimiters_on_demand(tmp_path):
    path = csv_file(tmp_path, gzip.compress("a;b\n1;café\n".encode("latin-1")))
    assert cells(read_table(path, encoding="latin-1", compression="gzip", delimiter=";")) == {"a": ["1"], "b": ["café"]}


def test_missing_markers_are_counted_and_a_label_keeps_its_text(tmp_path):                                        # F10
    table = read_table(csv_file(tmp_path, "age,country,y\n1,NA,NA\n?,FR,?\n,,\n4,DE,FR\n"), target="y")
    assert table["age"].missing.tolist() == [False, True, True, False] and table["age"].kind == "number"
    assert cells(table)["country"] == [None, "FR", None, "DE"]
    assert cells(table)["y"] == ["NA", "?", None, "FR"]
    assert table.missing_report()[0] == "column 'age': 2 of 4 missing (1 '?', 1 empty)"
    assert cells(read_table(tmp_path / "data.csv", missing=[""]))["country"][0] == "NA"


@pytest.mark.parametrize("column, dtype", [
    (["007", "008"], object), (["12345678901234567890", "1"], object), (["1", "2"], np.int64), (["-1", "+2"], np.int64),
    (["1.5", "2"], np.float64), (["1e5", "2"], np.float64), ([".5", "1."], np.float64), (["True", "False"], object),
])
@pytest.mark.parametrize("target", [None, "x"])
def test_codes_stay_text_and_numbers_keep_their_type(column, dtype, target, tmp_path):                            # F11
    table = read_table(csv_file(tmp_path, "x,y\n" + "".join(f"{cell},1\n" for cell in column)), target=target)
    assert table["x"].values.dtype == dtype


def test_types_decided_beforehand_hold(tmp_path):
    path = csv_file(tmp_path, "zip,x\n12345,\n23456,\n")
    table = read_table(path, types={"zip": "category", "x": "number"})
    assert table["zip"].values.tolist() == ["12345", "23456"]
    assert table["x"].kind == "number" and table["x"].missing.all()


@settings(deadline=None, max_examples=50)
@given(numbers=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=30))
def test_decimals_are_rounded_as_python_does(numbers, tmp_path_factory):
    path = csv_file(tmp_path_factory.getbasetemp(), "x,y\n" + "".join(f"{x!r},{x:.25e}\n" for x in numbers))
    table = read_table(path)
    np.testing.assert_array_equal(table["x"].numbers(), numbers)
    np.testing.assert_array_equal(table["y"].numbers(), [float(f"{x:.25e}") for x in numbers])


def test_many_random_decimals_are_exact(tmp_path):
    draw = random.Random(0)
    texts = [f"{draw.choice(['', '-', '+'])}{draw.randrange(10**draw.randrange(1, 18))}."
             f"{draw.randrange(10**draw.randrange(1, 25))}e{draw.randrange(-320, 290)}" for _ in range(20_000)]
    table = read_table(csv_file(tmp_path, "x,y\n" + "".join(f"{t},1\n" for t in texts)), types={"x": "number"})
    assert table["x"].values.tolist() == [float(t) for t in texts]


def test_blocks_change_nothing(tmp_path, monkeypatch):                                                            # F12
    path = csv_file(tmp_path, "x,y\n" + "".join(f"{i / 7},w{i % 3}\n" for i in range(100)))
    whole = read_table(path)
    monkeypatch.setattr(csv_text, "BLOCK", 7)
    assert cells(read_table(path)) == cells(whole)
    csv_file(tmp_path, path.read_text() + "oops,w\n")
    with pytest.raises(DataError, match="line 102, column 'x': 'oops'"):
        read_table(path)


def test_lines_are_those_of_the_file(tmp_path):
    table = read_table(csv_file(tmp_path, 'a,b\n\n1,"two\nlines"\n2,x\n'))
    assert table.place(1, "b").startswith("line 5, column 'b' of ")
    assert table.select([1]).place(0, "b").startswith("line 5")


@pytest.mark.parametrize("cell", ['"', "\x1b[31m", "\u202e", "=cmd()"])
def test_hostile_cells_are_text(cell, tmp_path):
    quoted = '"' + cell.replace('"', '""') + '"'
    assert cells(read_table(csv_file(tmp_path, f"a,b\n{quoted},1\n")))["a"] == [cell]


# -- Parquet and frames ------------------------------------------------------------------------------------------

def test_parquet_keeps_types_and_missing_values(tmp_path):                                                        # F18
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({
        "i": pa.array([1, None, 3], pa.int32()), "f": [0.5, None, float("nan")], "b": [True, False, None],
        "s": ["x", None, "?"], "d": pa.array(["u", "v", None]).dictionary_encode(), "y": ["NA", "?", "z"],
        "n": pa.nulls(3), "u": pa.array([2**63, 1, 2], pa.uint64()),
        "c": pa.array([1, 2, None]).cast(pa.decimal128(21, 2)),
    }), path)
    table = read_table(path, target="y", types={"i": "category"})
    assert cells(table) | {"f": None, "c": None} == {
        "i": ["1", None, "3"], "f": None, "b": ["True", "False", None], "s": ["x", None, None], "d": ["u", "v", None],
        "y": ["NA", "?", "z"], "n": [None] * 3, "u": [str(2**63), "1", "2"], "c": None}
    assert [table[name].values.dtype for name in "fbuc"] == [np.float64, bool, np.uint64, np.float64]
    assert table["f"].missing.tolist() == [False, True, True]


@pytest.mark.parametrize("values, what", [
    (pa.array([[1, 2]]), "list<"), (pa.array([{"a": 1}]), "struct<"), (pa.array([b"x"]), "'binary'"),
    (pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())), "map<"),
])
def test_columns_of_other_types_are_refused(values, what, tmp_path):
    parquet.write_table(pa.table({"ok": [1], "bad": values}), tmp_path / "t.parquet")
    with pytest.raises(DtypeError) as caught:
        read_table(tmp_path / "t.parquet")
    assert "column 'bad' has the type" in caught.value.what and what in caught.value.what and caught.value.fix


def test_broken_parquet_is_refused(tmp_path):
    path = tmp_path / "t.parquet"
    table = pa.table({"first": np.arange(1000.0), "second": np.arange(1000.0)})
    parquet.write_table(table, path, write_page_checksum=True, use_dictionary=False, compression="none")
    data = path.read_bytes()
    for cut in (3, 10, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:cut])
        with pytest.raises(DataError):
            read_table(path)
    at = data.index(np.arange(500.0, 510.0).tobytes(), len(data) // 2 - 1000)
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1:])
    with pytest.raises(DataError, match="column '(first|second)' in row group 0 cannot be read"):
        read_table(path)
    path.write_bytes(data)                                # the control: whole, it reads
    assert len(read_table(path)) == 1000


def test_an_old_pyarrow_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(pa, "__version__", "14.0.0")
    with pytest.raises(DataError, match="pyarrow 14.0.0 may run code"):
        read_table(csv_file(tmp_path, "a,b\n1,2\n"))


def test_arrow_tables_and_arrays_become_tables():
    assert cells(as_table(pa.table({"a": [1, 2], "b": ["x", None]}))) == {"a": ["1", "2"], "b": ["x", None]}
    with pytest.raises(DtypeError, match="column 'a' holds 'int', 'str'"):
        Table.from_arrays({"a": [1, "x"]})
    with pytest.raises(DataError, match="cannot be read as a table"):
        as_table(pa.table([[1], [2]], names=["a", "a"]))
