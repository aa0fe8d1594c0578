"""HDF5, both ways."""

from __future__ import annotations

import json

import numpy as np
import pytest

from qemb import InvalidError
from qemb_tools import Batch, UsageError, hdf5

h5py = pytest.importorskip("h5py")

TOKENS = ["the", "New York", "", "中文", "a\u00a0b"]
MATRIX = np.arange(15, dtype=np.float32).reshape(5, 3) / 7


@pytest.fixture
def written(tmp_path):
    def write(tokens, matrix, counts=None, metadata=None, step=2):
        path = tmp_path / "table.h5"
        with hdf5.Hdf5Sink(str(path), matrix.shape[1], metadata or {}) as sink:
            for start in range(0, len(tokens), step):
                part = slice(start, start + step)
                sink.append(Batch(tokens[part], matrix[part], None if counts is None else counts[part]))
        assert [p.name for p in tmp_path.iterdir()] == ["table.h5"]
        return path

    return write


def test_round_trip(read, written, same_floats):
    counts = np.array([5, 4, 1 << 63, 1, 0], np.uint64)
    metadata = {"licence": "CC0", "n": [1, {"a": None}], "中": "文"}
    table = read(written([t.encode() for t in TOKENS], MATRIX, counts, metadata))
    assert table.words == TOKENS
    same_floats(table.vectors, MATRIX)
    assert np.array_equal(table.counts, counts)
    assert table.metadata == metadata | {"source": "hdf5"}


def test_the_layout_is_as_documented(written):
    path = written([t.encode() for t in TOKENS], MATRIX, metadata={"a": 1})
    with h5py.File(path) as file:
        assert dict(file.attrs) == {"format": "qemb-hdf5", "version": 1, "metadata": '{"a": 1}'}
        assert set(file) == {"tokens", "vectors"}
        assert file["tokens"].asstr()[:].tolist() == TOKENS
        assert h5py.check_string_dtype(file["tokens"].dtype).encoding == "utf-8"
        assert h5py.check_string_dtype(file["tokens"].dtype).length is None
        vectors = file["vectors"]
        assert (vectors.dtype, vectors.shape) == (np.float32, (5, 3))
        assert vectors.chunks
        assert vectors.compression == "gzip"
        assert vectors.shuffle


def test_tokens_that_hdf5_cannot_hold(read, written):
    tokens = [b"good", b"caf\xe9", b"\xff\xfe", b"a\0b", b"\0", "é\ufffd".encode(), b""]
    path = written(tokens, np.ones((7, 2), np.float32), step=3)
    assert read(path).tokens == tokens
    with h5py.File(path) as file:
        assert file["raw_rows"][:].tolist() == [1, 2, 3, 4]
        assert file["tokens"].asstr()[:].tolist() == [
            "good",
            "caf\ufffd",
            "\ufffd\ufffd",
            "a\ufffdb",
            "\ufffd",
            "é\ufffd",
            "",
        ]


def test_long_metadata(read, written):
    metadata = {"text": "x" * 100_000}
    assert read(written([b"a"], MATRIX[:1], metadata=metadata)).metadata["text"] == metadata["text"]


def test_any_dataset_by_its_path(read, tmp_path, same_floats):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["a/b"] = MATRIX.astype(np.float64)
        file["a/words"] = TOKENS
        file["a/fixed"] = np.array([b"v", b"w", b"x", b"y", b"z"])
    same_floats(read(path, dataset="/a/b", tokens="/a/words").vectors, MATRIX)
    assert read(path, dataset="/a/b", tokens="/a/words").words == TOKENS
    assert read(path, dataset="a/b", tokens="a/fixed").words == list("vwxyz")
    (tmp_path / "words.txt").write_text("\n".join("abcde"))
    assert read(path, dataset="/a/b", tokens=str(tmp_path / "words.txt")).words == list("abcde")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "name the file with its words: --tokens FILE"),
        ({"dataset": "/x"}, "has no dataset '/x'; /a/b is there"),
        ({"dataset": "/a"}, "has no dataset '/a'; /a/b is there"),
        ({"dataset": "/a/b"}, "name the file with its words: --tokens FILE"),
        ({"dataset": "/a/b", "tokens": "/a/no"}, "has no dataset '/a/no'"),
    ],
)
def test_parts_that_have_to_be_named(read, tmp_path, options, message):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["a/b"] = MATRIX
    with pytest.raises(UsageError) as caught:
        read(path, **options)
    assert message in str(caught.value)


def test_datasets_that_do_not_fit(read, tmp_path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["m"], file["line"], file["words"], file["numbers"] = MATRIX, MATRIX[0], TOKENS[:4], np.arange(5)
    for options, message in (
        ({"dataset": "m", "tokens": "words"}, "there are 5 rows and 4 tokens"),
        ({"dataset": "line", "tokens": "words"}, "the dataset is not a matrix of numbers"),
        ({"dataset": "m", "tokens": "numbers"}, "the tokens are not strings"),
    ):
        with pytest.raises(InvalidError, match=message):
            read(path, **options)


def test_damage(read, written):
    path = written([b"a", b"b"] * 50, np.ones((100, 3), np.float32))
    data = path.read_bytes()
    for size in (8, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(InvalidError, match="HDF5 cannot read"):
            read(path)


def test_another_version_is_refused(read, written):
    path = written([b"a"], MATRIX[:1])
    with h5py.File(path, "a") as file:
        file.attrs["version"] = 2
    with pytest.raises(InvalidError, match="version 2 of qemb-hdf5 is not known"):
        read(path)
    with h5py.File(path, "a") as file:
        file.attrs["version"], file.attrs["metadata"] = 1, json.dumps([1])
    with pytest.raises(InvalidError, match="the metadata is not a JSON object"):
        read(path)


def test_nothing_is_left_behind_after_an_error(tmp_path):
    def write_it():
        with hdf5.Hdf5Sink(str(tmp_path / "table.h5"), 3, {}) as sink:
            sink.append(Batch([b"a"], MATRIX[:1]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_it()
    assert not list(tmp_path.iterdir())
