"""Word vectors of every kind of file, and what every bad file is told."""

import io
import zipfile

import numpy as np
import pytest

from backproof.data.vectors import WordVectors, read_vectors
from backproof.errors import DataError, FileProblem, OptionError

WORDS = ["the", "Paris", "paris", "日本", "...", "1,000"]
ROWS = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)


@pytest.fixture
def vectors():
    return WordVectors(WORDS, ROWS)


def written(tmp_path, text, name="v.txt"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize("name", ["v.txt", "v.npz", "v.safetensors"])
def test_every_form_gives_back_the_very_numbers(tmp_path, vectors, name):
    found = read_vectors(vectors.save(tmp_path / name))
    assert found.words == WORDS and np.array_equal(found.vectors, ROWS) and found.vectors.dtype == np.float32


@pytest.mark.parametrize("name", ["v.txt", "v.npz", "v.safetensors"])
def test_words_and_limit_choose(tmp_path, vectors, name):
    path = vectors.save(tmp_path / name)
    assert read_vectors(path, words={"paris", "...", "nowhere"}).words == ["paris", "..."]
    assert read_vectors(path, limit=2).words == ["the", "Paris"]
    with pytest.raises(DataError, match="words that are wanted"):
        read_vectors(path, words={"nowhere"})


def test_word2vec_text_has_a_line_before(tmp_path):
    assert read_vectors(written(tmp_path, "2 3\na 1 2 3\nb 4 5 6\n")).vectors.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_words_with_spaces_and_words_twice(tmp_path):
    found = read_vectors(written(tmp_path, "a 1 2 3\n. . . 4 5 6\na 7 8 9\n"))
    assert found.words == ["a", ". . ."] and found["a"].tolist() == [1, 2, 3]
    assert WordVectors(["a", "a"], np.eye(2)).words == ["a"]


def test_half_precision_is_read(tmp_path):
    path = tmp_path / "h.npz"
    np.savez(path, words=np.array(WORDS), vectors=ROWS.astype(np.float16))
    assert np.array_equal(read_vectors(path).vectors, ROWS.astype(np.float16).astype(np.float32))


def test_more_rows_than_at_first(tmp_path):
    text = "".join(f"w{k} {k} {-k}\n" for k in range(3000))
    found = read_vectors(written(tmp_path, text))
    assert len(found) == 3000 and found["w2999"].tolist() == [2999, -2999]


def test_small_letters_prefer_the_word_itself(vectors):
    low = vectors.lowered()
    assert low.words.count("paris") == 1 and np.array_equal(low["paris"], ROWS[2])
    assert WordVectors(["Oslo", "OSLO"], np.eye(2)).lowered()["oslo"].tolist() == [1, 0]


def test_nearest_is_by_the_angle_and_leaves_the_word_out():
    found = WordVectors(["a", "b", "c", "zero"], np.array([[1.0, 0], [5, 5], [-1, 0], [0, 0]])).nearest("a", 3)
    assert [word for word, _ in found] == ["b", "zero", "c"]
    assert found[0][1] == pytest.approx(2**-0.5) and found[2][1] == -1
    with pytest.raises(DataError, match="'x' has no vector"):
        WordVectors(["a"], np.ones((1, 2))).nearest("x")


@pytest.mark.parametrize("text, message", [
    ("a 1 2 3\nb 1 2\n", "line 2 has 2 numbers; 3 are expected"),
    ("a 1 2 3\nb 1 2 3 4\n", "line 2 has 4 numbers; 3 are expected"),
    ("a 1 2 3\nb 1 x 3\n", "line 2 has 'x' where a number should be"),
    ("a 1 2 3\nb 1 nan 3\n", "line 2 has a number that is not finite"),
    ("a 1 2 3\nb 1 1e99 3\n", "line 2 has a number that is not finite"),
    ("a 1 2 3\n\nb 1 2 3\n", "line 2 is empty"),
    ("2 4\na 1 2 3\n", "line 2 has 3 numbers; 4 are expected"),
    ("word\n", "line 1 has 0 numbers"),
    ("", "there are no vectors"),
    (b"a 1 2\n\xff\xfe 1 2\n", "line 2 is not UTF-8"),
    (b"\x1f\x8b\x08\x00 packed", "this is a gzip file"),
    (b"a 1 2\n" + b"x" * (1 << 20) + b" 1 2\n", "line 2 is longer than 1.05 MB"),
])
def test_a_wrong_line_is_told_by_its_number(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_vectors(written(tmp_path, text))


def test_other_dimensions_are_told(tmp_path, vectors):
    for name in ("v.txt", "v.npz", "v.safetensors"):
        with pytest.raises(DataError, match="4 dimensions, not 7|4 numbers; 7 are expected|has 4 numbers"):
            read_vectors(vectors.save(tmp_path / name), dimensions=7)
    with pytest.raises(DataError, match="line 1 says 3 dimensions; 5 are expected"):
        read_vectors(written(tmp_path, "1 3\na 1 2 3\n"), dimensions=5)


def npz(tmp_path, **arrays):
    path = tmp_path / "x.npz"
    np.savez(path, **arrays)
    return path


def test_wrong_arrays_in_npz_are_told(tmp_path):
    with pytest.raises(DataError, match="the file has 'a'"):
        read_vectors(npz(tmp_path, a=np.ones(2)))
    with pytest.raises(DataError, match="2 words and vectors of shape"):
        read_vectors(npz(tmp_path, words=np.array(["a", "b"]), vectors=np.ones((3, 2))))
    with pytest.raises(DataError, match="the vector of 'b' is not finite"):
        read_vectors(npz(tmp_path, words=np.array(["a", "b"]), vectors=np.array([[1.0], [np.inf]])))
    with pytest.raises(DataError, match="words is an array of float64"):
        read_vectors(npz(tmp_path, words=np.ones(2), vectors=np.ones((2, 2))))


def test_objects_are_never_unpickled(tmp_path):
    path = npz(tmp_path, words=np.array(["a", 1], object), vectors=np.ones((2, 2)))
    with pytest.raises(DataError, match="cannot be read"):
        read_vectors(path)


def test_a_cut_or_swollen_npz_is_refused(tmp_path):
    whole = npz(tmp_path, words=np.array(["a"] * 50), vectors=np.ones((50, 20))).read_bytes()
    with pytest.raises(DataError, match="cannot be read"):
        read_vectors(written(tmp_path, whole[: len(whole) // 2], "cut.npz"))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        header = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + \
            b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 9), }".ljust(117) + b"\n"
        archive.writestr("vectors.npy", header)
        archive.writestr("words.npy", header)
    with pytest.raises(DataError, match="cannot be read"):
        read_vectors(written(tmp_path, buffer.getvalue(), "bomb.npz"))


def test_foreign_safetensors_are_told(tmp_path, vectors):
    from safetensors.numpy import save_file

    save_file({"vectors": ROWS}, tmp_path / "a.safetensors")
    with pytest.raises(DataError, match="and no words"):
        read_vectors(tmp_path / "a.safetensors")
    save_file({"weights": ROWS}, tmp_path / "b.safetensors", {"words": '["a"]'})
    with pytest.raises(DataError, match="the tensors 'weights'"):
        read_vectors(tmp_path / "b.safetensors")
    data = (tmp_path / "b.safetensors").read_bytes()
    with pytest.raises(DataError, match="cannot be read"):
        read_vectors(written(tmp_path, data[:-9], "c.safetensors"))


def test_limits_and_paths_are_checked(tmp_path, vectors):
    path = vectors.save(tmp_path / "v.txt")
    for limit in (0, -1, True, 1.5):
        with pytest.raises(OptionError, match="is no number of words"):
            read_vectors(path, limit=limit)
    with pytest.raises(FileProblem, match="directory"):
        read_vectors(tmp_path)
    with pytest.raises(DataError, match="cannot stand in text"):
        WordVectors(["a b"], np.ones((1, 2))).save(tmp_path / "w.txt")
    with pytest.raises(DataError, match="word 0 is ''"):
        WordVectors([""], np.ones((1, 2)))
