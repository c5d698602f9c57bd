"""Files read in parts: the same cells as in one go, whatever the parts; memory does not grow with the file."""

import gzip
import subprocess
import sys

import numpy as np
import pytest

from backproof.data.tables import read_chunks, read_table
from backproof.errors import DataError, FileProblem

TEXT = ('\ufeff"a\nb",city,x,\n' + "".join(f'{k},"Ro""me,\n{k}",{k / 7!r},\n' if k % 3 else f"{k},,{-k}e-3,\r\n" for k in range(200)))
TYPES = {"a\nb": "number", "city": "category", "x": "number"}


@pytest.mark.parametrize("size", [16, 64, 100, 1000, 1 << 20])
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_parts_of_any_size_give_the_cells_of_the_whole(tmp_path, size, compression):
    data = TEXT.encode()
    path = tmp_path / "t.csv"
    path.write_bytes(gzip.compress(data) if compression else data)
    whole = read_table(path, types=TYPES, compression=compression)
    parts = list(read_chunks(path, types=TYPES, compression=compression, size=size))
    assert (len(parts) > 1) == (size < 10_000)
    for name in whole.names:
        assert sum((part[name].texts().tolist() if name == "city" else part[name].numbers().tolist() for part in parts), []) == \
            pytest.approx(whole[name].texts().tolist() if name == "city" else whole[name].numbers().tolist(), nan_ok=True, rel=0, abs=0) \
            if name != "city" else whole[name].texts().tolist()
    assert np.concatenate([part.lines for part in parts]).tolist() == whole.lines.tolist()


@pytest.mark.parametrize("size", [16, 64, 1 << 20])
def test_a_wrong_cell_is_named_with_its_line_in_the_whole_file(tmp_path, size):
    path = tmp_path / "t.csv"
    path.write_text("x,y\n" + "1,2\n" * 500 + "abc,2\n" + "1,2\n" * 10)
    with pytest.raises(DataError, match="line 502, column 'x': 'abc'"):
        list(read_chunks(path, types={"x": "number", "y": "number"}, size=size))
    path.write_text("x,y\n" + "1,2\n" * 500 + "1,2,3\n")
    with pytest.raises(DataError, match="line 502 has 3 fields"):
        list(read_chunks(path, types={"x": "number"}, size=size))


def test_what_is_no_table(tmp_path):
    with pytest.raises(FileProblem):
        list(read_chunks(tmp_path / "none.csv", types={}))
    for text in ("", "a,b\n"):
        (tmp_path / "e.csv").write_text(text)
        with pytest.raises(DataError):
            list(read_chunks(tmp_path / "e.csv", types={}))
    (tmp_path / "old.csv").write_bytes(b"a,b\r1,2\r3,4\r")
    assert [len(part) for part in read_chunks(tmp_path / "old.csv", types={"a": "number"})] == [2]


def test_parquet_comes_in_parts(tmp_path, monkeypatch):
    import pyarrow
    from pyarrow import parquet
    from backproof.data import parquet as tables
    monkeypatch.setattr(tables, "PARQUET_ROWS", 7)
    parquet.write_table(pyarrow.table({"x": list(range(20)), "c": ["a", None] * 10}), tmp_path / "t.parquet")
    parts = list(read_chunks(tmp_path / "t.parquet", types={"x": "number", "c": "category"}))
    assert [len(part) for part in parts] == [7, 7, 6] and parts[2]["x"].numbers().tolist() == [14, 15, 16, 17, 18, 19]


def test_predicting_a_larger_file_takes_no_more_memory(tmp_path):
    code = ("import sys, resource; from backproof.jobs import Settings, train_table; from backproof.predictions import predict_table; import numpy as np\n"
            "folder = sys.argv[1]; rng = np.random.default_rng(0)\n"
            "def write(name, rows):\n"
            "    with open(f'{folder}/{name}', 'w') as file:\n"
            "        file.write('a,b,c,y\\n')\n"
            "        block = ''.join(','.join(f'{v:.6f}' for v in row) + '\\n' for row in rng.normal(size=(2000, 4)))\n"
            "        for _ in range(rows // 2000): file.write(block)\n"
            "write('small.csv', 2000); write('one.csv', 200000); write('three.csv', 800000)\n"
            "train_table(f'{folder}/small.csv', 'y', Settings(epochs=1), out=f'{folder}/run')\n"
            "peaks = []\n"
            "for name, rows in (('one', 200000), ('three', 800000)):\n"
            "    assert predict_table(f'{folder}/run/model.safetensors', f'{folder}/{name}.csv', out=f'{folder}/{name}.out') == rows\n"
            "    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)\n"
            "print(peaks[1] <= 1.1 * peaks[0], peaks)")
    found = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert found.stdout.startswith("True"), (found.stdout, found.stderr)
    assert sum(1 for _ in open(tmp_path / "three.out")) == 800_001
