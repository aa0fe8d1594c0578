"""What the sinks write that are no text: read back by the library it is meant for; whole, or not there at all."""

from __future__ import annotations

import json

import numpy as np
import pytest

import qemb as codec
from qemb import InvalidError
from qemb_tools import Batch, convert
from qemb_tools.formats import Target, create_sink

TOKENS = ["the", "New York", "", "café", "中文", "a\u00a0b"]
MATRIX = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
COUNTS = np.array([60, 50, 40, 30, 20, 0], np.uint64)
RAW = [b"caf\xe9", b"\xff\xfe", b"\xed\xa0\x80", b"a\0b", "é\ufffd".encode(), b""]
NEEDS = {"table.h5": "h5py", "table.parquet": "pyarrow", "table.arrow": "pyarrow", "table.kv": "gensim"}
NAMES = ["table.h5", "table.npz", "table.safetensors", "table.parquet", "table.arrow", "table.kv"]
ANY_BYTES = ["table.h5", "table.npz", "table.safetensors", "table.kv"]


@pytest.fixture
def write(tmp_path):
    def write_it(name, tokens, matrix=MATRIX, counts=None, metadata=None, step=4):
        if name in NEEDS:
            pytest.importorskip(NEEDS[name])
        path = tmp_path / name
        with create_sink(Target(str(path), matrix.shape[1], None, metadata or {})) as sink:
            for start in range(0, len(tokens), step):
                part = slice(start, start + step)
                sink.append(Batch(tokens[part], matrix[part], None if counts is None else counts[part]))
        assert [p.name for p in tmp_path.iterdir()] == [name]
        return path

    return write_it


@pytest.mark.parametrize("counts", [None, COUNTS], ids=["no counts", "counts"])
@pytest.mark.parametrize("name", NAMES)
def test_round_trip(read, write, same_floats, name, counts):
    table = read(write(name, [t.encode() for t in TOKENS], counts=counts))
    assert table.words == TOKENS
    same_floats(table.vectors, MATRIX)
    if counts is None:
        assert table.counts is None
    else:
        assert np.array_equal(table.counts, counts)


@pytest.mark.parametrize("name", ["table.h5", "table.safetensors", "table.parquet", "table.arrow"])
def test_metadata(read, write, name):
    metadata = {"licence": "CC0", "n": [1, {"a": None}], "中": "文"}
    table = read(write(name, [b"a"], MATRIX[:1], metadata=metadata))
    assert {key: table.metadata[key] for key in metadata} == metadata


@pytest.mark.parametrize("name", ANY_BYTES)
def test_tokens_that_are_no_text(read, write, name):
    assert read(write(name, RAW)).tokens == RAW


@pytest.mark.parametrize("name", ["table.parquet", "table.arrow"])
def test_columns_of_strings_are_utf_8(tmp_path, write, name):
    with pytest.raises(InvalidError) as caught:
        write(name, RAW)
    assert caught.value.message == (
        "a column of strings cannot hold 'caf\\xe9', which is not UTF-8; "
        "write HDF5, .npz or safetensors, which hold any bytes"
    )
    assert not list(tmp_path.iterdir())


def test_strings_that_an_array_cannot_hold(tmp_path, write, monkeypatch):
    with pytest.raises(InvalidError, match=r"numpy's strings cannot end in NUL as 'a\\x00' does"):
        write("table.npz", [b"a\0"], MATRIX[:1])
    monkeypatch.setattr("qemb_tools.npy.LARGEST_STRINGS", 1000)
    with pytest.raises(InvalidError) as caught:
        write("table.npz", [b"a", b"b" * 200], MATRIX[:2])
    assert caught.value.message == (
        "each of 2 strings of an array takes the room of the longest, 200 characters; write HDF5 or safetensors"
    )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_no_rows(tmp_path, write, name):
    path = write(name, [], MATRIX[:0])
    assert path.stat().st_size


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_left_behind_after_an_error(tmp_path, write, name):
    (tmp_path / name).write_bytes(b"what was there before")
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])

    def write_it():
        with create_sink(Target(str(tmp_path / name), 3)) as sink:
            sink.append(Batch([b"a"], MATRIX[:1]))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_it()
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_bytes() == b"what was there before"


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_error_in_the_middle_of_an_archive_is_not_hidden(tmp_path, write, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(np.lib.format, "write_array_header_1_0", fail)
    with pytest.raises(error):
        write("table.npz", [b"a"], MATRIX[:1])
    assert not list(tmp_path.iterdir())


def test_npz_by_numpy(write, same_floats):
    with np.load(write("table.npz", [t.encode() for t in TOKENS], counts=COUNTS)) as arrays:
        assert set(arrays) == {"vectors", "tokens", "counts"}
        assert arrays["tokens"].tolist() == TOKENS
        same_floats(arrays["vectors"], MATRIX)
        assert np.array_equal(arrays["counts"], COUNTS)
        assert arrays["counts"].dtype == np.uint64


def test_safetensors_by_its_layout(write, same_floats):
    data = write("table.safetensors", [t.encode() for t in TOKENS], counts=COUNTS, metadata={"a": 1}).read_bytes()
    length = int.from_bytes(data[:8], "little")
    header, data = json.loads(data[8 : 8 + length]), data[8 + length :]
    assert length % 8 == 0
    assert header.pop("__metadata__") == {"qemb": '{"a": 1}'}
    kinds = {"F32": "<f4", "I32": "<i4", "I64": "<i8", "U8": "u1"}
    tensors, end = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        assert entry["data_offsets"][0] == end  # no holes
        start, end = entry["data_offsets"]
        tensors[name] = np.frombuffer(data[start:end], kinds[entry["dtype"]]).reshape(entry["shape"])
    assert end == len(data)
    same_floats(tensors["embeddings"], MATRIX)
    assert tensors["token_lengths"].tolist() == [len(t.encode()) for t in TOKENS]
    assert tensors["token_bytes"].tobytes().decode() == "".join(TOKENS)
    assert tensors["counts"].tolist() == COUNTS.tolist()


def test_a_count_of_2_63_is_refused_by_safetensors(tmp_path, write):
    with pytest.raises(InvalidError, match=r"a count is 2\^63 or more, which the file cannot hold; write HDF5"):
        write("table.safetensors", [b"a"], MATRIX[:1], np.array([1 << 63], np.uint64))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["table.parquet", "table.arrow"])
def test_parquet_and_arrow_by_pyarrow(write, same_floats, name):
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    path = write(name, [t.encode() for t in TOKENS], counts=COUNTS)
    table = pq.read_table(path) if name.endswith("parquet") else pa.ipc.open_file(path).read_all()
    assert table.schema.types == [pa.string(), pa.list_(pa.float32(), 3), pa.uint64()]
    assert table.column_names == ["token", "vector", "count"]
    assert table.column("token").to_pylist() == TOKENS
    same_floats(np.array(table.column("vector").to_pylist(), np.float32), MATRIX)


def test_gensim_loads_what_it_saved(write, tmp_path, same_floats, monkeypatch):
    keyedvectors = pytest.importorskip("gensim.models").KeyedVectors
    path = write("table.kv", [t.encode() for t in TOKENS], counts=COUNTS)
    loaded = keyedvectors.load(str(path))
    assert loaded.index_to_key == TOKENS
    assert type(loaded.vectors) is np.ndarray
    same_floats(loaded.vectors, MATRIX)
    assert loaded.get_vecattr("New York", "count") == 50
    assert len(loaded.most_similar("the")) == 5
    loaded.add_vectors(["more"], MATRIX[:1])
    assert loaded.key_to_index["more"] == 6


def test_gensim_puts_large_vectors_beside_the_pickle(read, tmp_path, same_floats):
    keyedvectors = pytest.importorskip("gensim.models").KeyedVectors
    matrix = np.arange(10 << 20, dtype=np.float32).reshape(-1, 1024)  # as many values as gensim calls large
    with create_sink(Target(str(tmp_path / "a.kv"), 1024)) as sink:
        sink.append(Batch([b"%d" % i for i in range(len(matrix))], matrix))
    assert sink.notes == ["keep with the file what gensim put beside it: a.kv.vectors.npy"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.kv", "a.kv.vectors.npy"]
    same_floats(keyedvectors.load(str(tmp_path / "a.kv"), mmap="r").vectors, matrix)
    same_floats(read(tmp_path / "a.kv").vectors, matrix)


@pytest.mark.parametrize("name", NAMES)
def test_out_of_qemb_and_into_it_again(write, tmp_path, same_floats, name):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    codec.write(tmp_path / "a.qemb", TOKENS, MATRIX, scheme="exact")
    convert(tmp_path / "a.qemb", tmp_path / name)
    convert(tmp_path / name, tmp_path / "b.qemb", scheme="exact")
    with codec.open(tmp_path / "b.qemb") as emb:
        assert list(emb.tokens) == TOKENS
        same_floats(emb.matrix(), MATRIX)
