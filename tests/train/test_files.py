"""Model files: what is saved comes back, equal content gives equal bytes, and every damaged or hostile file is refused.

The ids are rows of the catalogue of bad inputs.
"""

import ast
import errno
import io
import json
import os
import pickle
import resource
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from backproof.data import files as data_files
from backproof.errors import DataError, DtypeError, FileProblem, ModelFileError
from backproof.train import files
from backproof.train.files import CHECKSUMS, DTYPES, load_tensors, save_tensors, write_atomically

TENSORS = {"W1": np.arange(12, dtype=np.float32).reshape(3, 4), "b1": np.full(4, 0.1), "steps": np.array(7, np.int64),
           "mask": np.array([True, False]), "empty": np.empty((0, 3), np.float32)}
METADATA = {"backproof": json.dumps({"spec": "3 | 4 relu", "note": "ä"}), "version": "1"}


@pytest.fixture
def saved(tmp_path):
    save_tensors(tmp_path / "m.safetensors", TENSORS, METADATA)
    return tmp_path / "m.safetensors"


def same(a, b):
    return a.keys() == b.keys() and all(
        a[k].dtype == b[k].dtype and a[k].shape == b[k].shape and a[k].tobytes() == b[k].tobytes() for k in a)


def test_what_is_saved_comes_back(saved):
    tensors, metadata = load_tensors(saved)
    assert same(tensors, TENSORS) and metadata == METADATA
    for values in tensors.values():
        assert values.flags.writeable and values.flags.aligned and values.flags.c_contiguous


def test_equal_content_gives_equal_bytes(saved, tmp_path):
    other = tmp_path / "other"
    save_tensors(other, dict(reversed(TENSORS.items())), dict(reversed(METADATA.items())))
    assert other.read_bytes() == saved.read_bytes()


def test_the_safetensors_package_reads_our_files(saved):
    found = safetensors.numpy.load_file(saved)
    assert same({k: found[k] for k in TENSORS}, TENSORS)


@pytest.mark.parametrize("code", DTYPES.values())
def test_every_dtype_and_layout_comes_back(code, tmp_path):
    values = np.array([[0, 1, 1], [1, 0, 1]]).astype(code)
    layouts = {"c": values, "f": np.asfortranarray(values), "s": values[:, ::-1],
    "b": values.astype(values.dtype.newbyteorder(">"))}
    save_tensors(tmp_path / "m", layouts)
    for name, array in load_tensors(tmp_path / "m")[0].items():
        np.testing.assert_array_equal(array, layouts[name])
        assert array.dtype == np.dtype(code)


@pytest.mark.parametrize("tensors, metadata, error, what", [
    ({"W": np.array([object()])}, {}, DtypeError, "'W' has dtype object"),
    ({"W": np.ones(2, complex)}, {}, DtypeError, "complex128"),
    ({"W\n": np.ones(2)}, {}, DataError, r"'W\n' has characters that cannot be printed"),
    ({"": np.ones(2)}, {}, DataError, "is empty"),
    ({"W" * 300: np.ones(2)}, {}, DataError, "longer than 256"),
    ({"W": np.ones(2)}, {"a": 1}, DataError, "metadata 'a' is no text"),
    ({"W": np.ones(2)}, {"a": "\ud800"}, DataError, "metadata 'a' is no text"),
    ({"W": np.ones(2)}, {CHECKSUMS: ""}, DataError, "taken by the checksums"),
])
def test_content_that_cannot_be_stored(tensors, metadata, error, what, tmp_path):
    with pytest.raises(error) as caught:
        save_tensors(tmp_path / "m", tensors, metadata)
    assert what in caught.value.what and caught.value.fix and os.listdir(tmp_path) == []


# -- damaged files -----------------------------------------------------------------------------------------------

def refused(path, data):
    """The error of loading these bytes; None if they load, which they may only do unchanged."""
    path.write_bytes(data)
    try:
        tensors, metadata = load_tensors(path)
    except ModelFileError as error:
        assert error.fix and error.state == "nothing was loaded"
        return error
    assert same(tensors, TENSORS) and metadata == METADATA
    return None


def test_every_truncation_is_refused(saved, tmp_path):
    data = saved.read_bytes()
    for length in range(len(data)):
        assert refused(tmp_path / "cut", data[:length]) is not None, length
    assert refused(tmp_path / "cut", data) is None


def test_every_flipped_bit_is_refused_or_changes_nothing(saved, tmp_path):
    data = saved.read_bytes()
    harmless = 0
    for bit in range(8 * len(data)):
        mutated = bytearray(data)
        mutated[bit // 8] ^= 1 << bit % 8
        harmless += refused(tmp_path / "flip", bytes(mutated)) is None
    assert harmless <= 8                                  # the letter case in \u00e4 of the metadata


@pytest.mark.long
def test_every_truncation_and_flipped_bit_of_a_file_of_4_kb_is_refused(tmp_path):
    weights = np.random.default_rng(0).normal(size=(24, 24)).astype(np.float32)
    save_tensors(tmp_path / "m", {"W": weights}, {"net": "x" * 1350})
    data = (tmp_path / "m").read_bytes()
    assert 3900 < len(data) < 4300
    mutants = [data[:length] for length in range(len(data))]
    mutants += [data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1:] for at in range(len(data)) for bit in range(8)]
    for mutant in mutants:
        (tmp_path / "mutant").write_bytes(mutant)
        with pytest.raises(ModelFileError):
            load_tensors(tmp_path / "mutant")


def test_a_flipped_bit_names_the_tensor(saved, tmp_path):
    data = saved.read_bytes()
    at = data.index(TENSORS["W1"].tobytes()) + 5
    error = refused(tmp_path / "flip", data[:at] + bytes([data[at] ^ 4]) + data[at + 1:])
    assert "checksum of tensor 'W1'" in error.what


def test_changed_text_is_found(saved, tmp_path):
    error = refused(tmp_path / "text", saved.read_bytes().replace(b"relu", b"tanh"))
    assert "checksum of the metadata differs" in error.what


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_mutated_files_never_crash(data, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp()
    path = folder / "original"
    if not path.exists():
        save_tensors(path, TENSORS, METADATA)
    raw = path.read_bytes()
    a, b = sorted(data.draw(st.tuples(st.integers(0, len(raw)), st.integers(0, len(raw)))))
    spliced = raw[:a] + data.draw(st.binary(max_size=40) | st.just(raw[a:b] * 2)) + raw[b:]
    length = data.draw(st.none() | st.integers(0, 2**64 - 1))
    refused(folder / "mutated", spliced if length is None else struct.pack("<Q", length) + spliced[8:])


MUTATING = """
import json, resource, sys
import numpy as np
from backproof import Model, Network
from backproof.errors import BackproofError
from backproof.train.files import load_tensors, save_tensors

folder, count = sys.argv[1], int(sys.argv[2])
draw = np.random.default_rng(0)
Network("4 | 3 tanh | dropout 0.2 | 2 softmax", loss="cross_entropy", l2=1e-3).build(seed=1).save(folder + "/original")
raw = open(folder + "/original", "rb").read()
tensors, metadata = load_tensors(folder + "/original")
whole = Model.load(folder + "/original")
WORDS = [b"0", b"-1", b"9" * 30, b"1e999", b"NaN", b"null", b"true", b"[]", b"{}", b'"x"', b"[" * 50, b'"../x"', b"4", b"softmax", b"lstm"]

def spliced(data):
    a, b = sorted(draw.integers(0, len(data) + 1, 2))
    word = WORDS[draw.integers(len(WORDS))] if draw.random() < 0.5 else bytes(draw.integers(0, 256, draw.integers(0, 12), dtype=np.uint8))
    return data[:a] + (data[a:b] * 2 if draw.random() < 0.2 else word) + data[min(b, a + draw.integers(0, 12)):]

def flipped(data):
    data = bytearray(data)
    for _ in range(draw.integers(1, 4)):
        data[draw.integers(len(data))] ^= 1 << draw.integers(8)
    return bytes(data)

def mutated(k):
    kind = k % 4
    if kind == 0:
        return spliced(raw)
    if kind == 1:
        return flipped(raw) if k % 8 == 1 else raw[:draw.integers(len(raw))]
    if kind == 2:
        return int(draw.integers(0, 2**63)).to_bytes(8, "little") + raw[8:] if k % 8 == 2 else spliced(raw[:400]) + raw[400:]
    text = spliced(metadata["backproof"].encode()).decode("utf-8", "replace")              # with checksums that are right
    save_tensors(folder + "/m", tensors, {"backproof": text})
    return open(folder + "/m", "rb").read()

loaded = refused = 0
peak = None
for k in range(count):
    data = mutated(k)
    open(folder + "/m", "wb").write(data)
    try:
        model = Model.load(folder + "/m")
    except BackproofError as error:
        refused += 1
        assert str(error)
    else:
        loaded += 1
        same = {n: a.tobytes() for n, a in model.parameters.items()} == {n: a.tobytes() for n, a in whole.parameters.items()}
        assert same, "weights that nobody saved"
    if k == 200:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(loaded, refused, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak)
"""


def mutants(folder, count):
    """(loaded, refused, growth of the memory in bytes) of so many damaged model files."""
    found = subprocess.run([sys.executable, "-c", MUTATING, str(folder), str(count)], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr[-3000:]
    loaded, refused, growth = map(int, found.stdout.split())
    return loaded, refused, 1024 * growth


def test_damaged_model_files_are_refused_or_loaded_right(tmp_path):
    loaded, refused, _ = mutants(tmp_path, 600)
    assert refused > 500 and loaded + refused == 600


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_hundred_thousand_damaged_model_files_are_refused_or_loaded_right(tmp_path):
    loaded, refused, growth = mutants(tmp_path, 100_000)
    assert loaded + refused == 100_000 and 0 < loaded < 10_000 and growth < 64e6


def built(header, body=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def one(**changes):
    return {"W": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}}


NO_MODEL = {
    "H1 seven bytes": (b"\x01" * 7, "the file has 7 bytes"),
    "H1 empty": (b"", "the file has 0 bytes"),
    "H1 pickle": (pickle.dumps({"W": [1.0] * 20}), "this is a pickle; we never open pickles"),
    "H1 old pickle": (pickle.dumps({"W": [1.0] * 20}, protocol=0), "this is a pickle"),
    "H1 HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "this is HDF5"),
    "H1 zip": (b"PK\x03\x04" + bytes(100), "this is zip, not a model file; .keras, .pt and .npz"),
    "H1 text": (b"epoch,loss\n1,0.5\n2,0.4\n" * 4, "this is text"),
    "H1 zeros": (bytes(100), "no header begins"),
    "H2 2^63": (built(b"{}", length=2**63), "the limit is 16.8 MB"),
    "H2 over the limit": (built(b"{" + b" " * 100, length=17 << 20), "the limit is 16.8 MB"),
    "H2 over the file": (built(b"{}", length=1000), "truncated"),
    "H3 not UTF-8": (built(b'{"\xff": 1}'), "not UTF-8: byte 0xFF"),
    "H3 not JSON": (built(b"{,}"), "is no JSON"),
    "H3 trailing comma": (built(b'{"a": [1,]}'), "is no JSON"),
    "H3 duplicate keys": (built(b'{"W": 1, "W": 2}'), "names 'W' twice"),
    "H3 NaN": (built(b'{"W": NaN}'), "holds NaN"),
    "H3 depth": (built(b'{"W": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "nests 100001 levels"),
    "H3 digits": (built(b'{"W": 1' + b"0" * 10_000 + b"}"), "is no JSON"),
    "H4 negative": (built(one(data_offsets=[-8, 0]), bytes(8)), "whole numbers from 0"),
    "H4 past the end": (built(one(data_offsets=[4, 12]), bytes(8)), "ends at byte 12 of 8"),
    "H4 gap": (built(one(data_offsets=[4, 12]), bytes(12)), "leave a gap of 4 bytes"),
    "H4 overlap": (built({**one(), "V": one()["W"]}, bytes(8)), "'W' and tensor 'V' overlap"),
    "H4 trailing bytes": (built(one(), bytes(8) + b"PK\x05\x06"), "4 bytes trail after the last tensor"),
    "H5 length": (built(one(shape=[3]), bytes(12)), "needs 12 bytes; its offsets are [0, 8]"),
    "H5 rank 65": (built(one(shape=[1] * 65), bytes(8)), "at most 16 extents"),
    "H5 extents": (built(one(shape=[2**31, 0]), bytes(8)), "below 2^31"),
    "H5 booleans": (built(one(shape=[True, 2]), bytes(8)), "whole numbers"),
    "H5 fractions": (built(one(shape=[2.0]), bytes(8)), "whole numbers"),
    "H6 dtype": (built(one(dtype="F8_E4M3"), bytes(8)), "unknown dtype 'F8_E4M3'"),
    "H6 a dtype that is a list": (built(one(dtype=["F32"]), bytes(8)), "unknown dtype"),
    "H6 a further field": (built(one(code="os.system"), bytes(8)), "not described by"),
    "H9 no checksums": (built(one(), bytes(8)), "has no checksums"),
    "H10 name with NUL": (built({"W\0": one()["W"]}, bytes(8)), r"'W\x00' has characters that cannot"),
    "H10 name with ANSI": (built({"\x1b[2J": one()["W"]}, bytes(8)), r"'\x1b[2J' has characters"),
    "H10 name of 1 MB": (built({"W" * 1_000_000: one()["W"]}, bytes(8)), "(1000000 characters) is longer than 256"),
    "H13 metadata": (built({"__metadata__": {"class": ["os.system"]}, **one()}, bytes(8)), "are not text"),
    "H14 1e12 parameters": (built(one(shape=[1_000_000, 1_000_000], data_offsets=[0, 4 * 10**12]), bytes(8)),
    "needs 4 TB"),
}


@pytest.mark.parametrize("data, what", NO_MODEL.values(), ids=NO_MODEL)
def test_no_model_file(data, what, tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(data)
    with pytest.raises(ModelFileError) as caught:
        load_tensors(path)
    assert what in caught.value.what
    assert caught.value.fix and caught.value.where == f"'{path}'" and caught.value.state == "nothing was loaded"
    assert str(caught.value).isprintable() or "\x1b" not in str(caught.value)


def test_a_header_length_that_looks_like_a_pickle_is_no_pickle(tmp_path):
    """1152 bytes of header begin the file with 80 04, as pickles of protocol 4 do."""
    for filler in range(1200):
        save_tensors(tmp_path / "m", {"W": np.ones(2)}, {"filler": "x" * filler})
        if (tmp_path / "m").read_bytes()[:2] == b"\x80\x04":
            break
    else:
        pytest.fail("no file of that length was made")
    assert load_tensors(tmp_path / "m")[0]["W"].tolist() == [1, 1]


def test_hostile_names_are_inert_text(tmp_path):
    names = ["../../etc/passwd", "<script>alert(1)</script>", "__import__('os')"]
    save_tensors(tmp_path / "m", {name: np.ones(1) for name in names}, {"url": "http://127.0.0.1/",
    "class": "os.system"})
    assert sorted(load_tensors(tmp_path / "m")[0]) == sorted(names)
    assert os.listdir(tmp_path) == ["m"]


def test_non_finite_weights_are_refused_unless_wanted(tmp_path):                                                  # H8
    save_tensors(tmp_path / "m", {"W": np.array([1, np.nan, -np.inf])})
    with pytest.raises(ModelFileError, match="tensor 'W' has 2 values that are NaN or infinite"):
        load_tensors(tmp_path / "m")
    np.testing.assert_array_equal(load_tensors(tmp_path / "m", allow_nonfinite=True)[0]["W"], [1, np.nan, -np.inf])


@pytest.mark.parametrize("make, what", [                                                                          # H11
    (lambda p: p.mkdir(), "directory"), (lambda p: os.mkfifo(p), "pipe"), (lambda p: p.symlink_to("/dev/zero"),
     "device"),
    (lambda p: None, "No such file"), (lambda p: p.symlink_to(p), "symbolic link"),
])
def test_only_regular_files_are_read(make, what, tmp_path):
    make(tmp_path / "m")
    with pytest.raises(FileProblem, match=what) as caught:
        load_tensors(tmp_path / "m")
    assert str(tmp_path) in caught.value.where and caught.value.fix


def test_a_file_over_the_limit_is_refused_unread(tmp_path, monkeypatch):
    (tmp_path / "m").write_bytes(bytes(1000))
    monkeypatch.setattr(files, "FILE_LIMIT", 999)
    with pytest.raises(FileProblem, match="1 KB; the limit is 999 bytes"):
        load_tensors(tmp_path / "m")


def test_loading_opens_nothing_else(saved):
    """An audit hook cannot be removed, so the load runs in a process of its own."""
    code = f"""
import sys
from backproof.train.files import load_tensors
import numpy.ma
seen = []
sys.addaudithook(lambda event, args: seen.append((event, str(args[0]) if args else "")))
load_tensors({str(saved)!r})
watched = ("open", "socket", "subprocess", "os.system", "import", "exec", "compile", "pickle", "ctypes")
print([e for e in seen if e[0].startswith(watched) and e[1] != {str(saved)!r} and not e[1].isdigit()])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


FORBIDDEN = {"pickle", "marshal", "eval", "exec", "import_module", "__import__", "getattr", "load", "shelve", "ctypes"}


def words(source):
    return {node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else name.name
            for node in ast.walk(ast.parse(source))
            for name in (node.names if isinstance(node, ast.Import | ast.ImportFrom) else [node])
            if isinstance(node, ast.Name | ast.Attribute | ast.Import | ast.ImportFrom)}


@pytest.mark.parametrize("module", [files, data_files])
def test_the_loader_has_no_way_to_run_code(module):
    source = Path(module.__file__).read_text("utf-8")
    names = words(source) - {"getattr"}                   # used on exceptions only
    assert not names & FORBIDDEN
    assert words("import pickle\npickle.load(x)") & FORBIDDEN == {"pickle", "load"}


# -- saving ------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("step", ["open", "write", "fsync", "close", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_failing_disk_leaves_the_old_file(step, number, saved, monkeypatch):
    before, happened = saved.read_bytes(), []
    real = getattr(os, step)

    def fail(*arguments, **more):
        if step == "open" and not str(arguments[0]).endswith(".tmp"):
            return real(*arguments, **more)
        if not happened:
            happened.append(step)
            if step == "close":
                real(*arguments)
            raise OSError(number, os.strerror(number))
        return real(*arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(os, step, fail)
        with pytest.raises(FileProblem) as caught:
            save_tensors(saved, {"W": np.ones(1000)})
    assert happened == [step]
    assert caught.value.errno == number and os.strerror(number) in caught.value.what
    assert "KB needed" in caught.value.where and "free" in caught.value.where and "unchanged" in caught.value.state
    assert saved.read_bytes() == before and os.listdir(saved.parent) == [saved.name]


def test_the_order_is_write_flush_rename_flush(tmp_path, monkeypatch):                                            # I2
    calls = []
    for step in ("write", "fsync", "close", "replace"):
        real = getattr(os, step)
        monkeypatch.setattr(os, step, lambda *a, real=real, step=step: calls.append(step) or real(*a))
    write_atomically(tmp_path / "m", [b"abc"])
    assert calls == ["write", "fsync", "close", "replace", "fsync", "close"]


def test_an_interrupt_leaves_no_temporary_file(saved, monkeypatch):
    before = saved.read_bytes()

    def interrupted(handle):
        raise KeyboardInterrupt
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            save_tensors(saved, {"W": np.ones(3)})
    assert saved.read_bytes() == before and os.listdir(saved.parent) == [saved.name]


def test_every_limit_on_file_sizes_is_loud_and_harmless(saved):
    before = saved.read_bytes()
    big = {"W": np.arange(1000.0)}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    failed = 0
    for budget in range(0, 8001, 500):
        resource.setrlimit(resource.RLIMIT_FSIZE, (budget, hard))
        try:
            with pytest.raises(FileProblem) as caught:
                save_tensors(saved, big)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        failed += caught.value.errno == errno.EFBIG
        assert saved.read_bytes() == before and os.listdir(saved.parent) == [saved.name]
    assert failed == 17
    save_tensors(saved, big)                              # the limit lifted, the same call succeeds


@pytest.mark.parametrize("make, what", [
    (lambda p: p.symlink_to(p.parent / "elsewhere"), "is a link"), (lambda p: p.mkdir(), "is a directory"),
    (lambda p: os.mkfifo(p), "is a special file"),
])
def test_only_regular_files_are_replaced(make, what, tmp_path):
    make(tmp_path / "m")
    with pytest.raises(FileProblem, match=what) as caught:
        save_tensors(tmp_path / "m", TENSORS)
    assert caught.value.fix and os.listdir(tmp_path) == ["m"]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileProblem, match="No such file") as caught:
        save_tensors(tmp_path / "no" / "m", TENSORS)
    assert "no/m" in caught.value.where and "create the directory" in caught.value.fix


def test_the_permissions_of_a_replaced_file_stay(saved):
    saved.chmod(0o640)
    save_tensors(saved, TENSORS)
    assert saved.stat().st_mode & 0o777 == 0o640


def test_zip_magic_is_what_zipfile_writes():
    buffer = io.BytesIO()
    zipfile.ZipFile(buffer, "w").close()
    assert data_files.kind_of_file(buffer.getvalue()) == "zip"
