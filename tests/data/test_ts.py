""".ts files: what they hold, and the line where one is wrong."""

import numpy as np
import pytest

from backproof.data.ts import read_ts, ts_target
from backproof.errors import DataError, FileProblem

HEAD = "# a comment\n@problemName Two\n@timeStamps false\n@univariate {}\n@classLabel {}\n@data\n"


def written(tmp_path, text):
    path = tmp_path / "a.ts"
    path.write_text(text)
    return str(path)


def test_a_row_per_step_with_the_class_of_its_sequence(tmp_path):
    table = read_ts(written(tmp_path, HEAD.format("true", "true up down") + "1,2.5,?:up\n-1e3,4:down\n"))
    assert table.names == ["sequence", "step", "value", "class"] and ts_target(table) == "class"
    assert table["sequence"].values.tolist() == [0, 0, 0, 1, 1] and table["step"].values.tolist() == [0, 1, 2, 0, 1]
    assert np.array_equal(table["value"].values, [1, 2.5, np.nan, -1000, 4], equal_nan=True)
    assert table["value"].missing.tolist() == [False, False, True, False, False]
    assert table["class"].values.tolist() == ["up"] * 3 + ["down"] * 2
    assert table.place(3, "value").startswith("line 8")


def test_dimensions_targets_and_files_without_answers(tmp_path):
    table = read_ts(written(tmp_path, "@univariate false\n@targetLabel true\n@data\n1,2:3,4:0.5\n5,6:7,8:1.5\n"))
    assert table.names == ["sequence", "step", "value1", "value2", "target"] and ts_target(table) == "target"
    assert table["value2"].values.tolist() == [3, 4, 7, 8] and table["target"].values.tolist() == [0.5, 0.5, 1.5, 1.5]
    bare = read_ts(written(tmp_path, "@classLabel false\n@data\n1,2\n3,4,5\n"))
    assert ts_target(bare) is None and bare["value"].values.tolist() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("text, message", [
    ("@classLabel true a b\n@data\n1,2\n", "line 3: the line ends in '1,2', which is no class"),
    ("@classLabel true a b\n@data\n1,2:a\n1,x:b\n", "line 4: 'x' is no number"),
    ("@classLabel true a b\n@data\n1,inf:a\n", "line 3: 'inf' is not finite"),
    ("@classLabel true a b\n@data\n1,2:3:a\n", "dimensions of 1 and 2 steps"),
    ("@classLabel true a b\n@data\n1:2:a\n1:b\n", "line 4: 1 dimensions; the first sequence has 2"),
    ("@targetLabel true\n@data\n1,2:high\n", "line 3: 'high' is no number"),
    ("@timeStamps true\n@data\n(0,1),(1,2)\n", "time stamps"),
    ("@classLabel true a\n@data\n\n", "no sequence follows @data"),
    ("1,2:a\n", "line 1: '1,2:a' stands before @data"), ("@classLabel true a\n", "there is no @data"),
])
def test_what_is_wrong_is_named_with_its_line(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_ts(written(tmp_path, text))


def test_the_file_itself(tmp_path):
    with pytest.raises(FileProblem, match="directory"):
        read_ts(str(tmp_path))
    (tmp_path / "b.ts").write_bytes(b"@data\n\xff\xfe")
    with pytest.raises(DataError, match="byte 6 is no UTF-8"):
        read_ts(str(tmp_path / "b.ts"))
