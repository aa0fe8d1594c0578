"""Converting from Python: files, gensim's objects, duplicates, counts."""

from __future__ import annotations

import numpy as np
import pytest

import qemb as codec
import qemb_tools
from qemb import QembError


def test_duplicates_keep_the_first(tmp_path, read):
    source = tmp_path / "table.txt"
    source.write_text("a 1 2\nb 3 4\na 5 6\nb 7 8\nc 9 10\n")
    for name in ("out.qemb", "out.bin", "out.vec"):
        summary = qemb_tools.convert(str(source), str(tmp_path / name))
        assert (summary.rows, summary.duplicates) == (3, 2)
        table = read(tmp_path / name)
        assert table.words == ["a", "b", "c"]
        assert np.allclose(table.vectors, [[1, 2], [3, 4], [9, 10]], rtol=0.01)


def test_a_table_is_quantized_again(tmp_path):
    matrix = np.random.default_rng(0).normal(size=(50, 16)).astype(np.float32)
    counts = np.arange(50, 0, -1, dtype=np.uint64)
    codec.write(
        tmp_path / "a.qemb", [f"w{i}" for i in range(50)], matrix, scheme="float32", counts=counts, metadata={"a": 1}
    )
    qemb_tools.convert(str(tmp_path / "a.qemb"), str(tmp_path / "b.qemb"), bits=8)
    with codec.open(tmp_path / "b.qemb") as embedding:
        assert np.abs(embedding.matrix() - matrix).max() < 0.02
        assert np.array_equal(embedding.counts, counts)
        assert embedding.metadata["a"] == 1


def test_counts_and_metadata_survive_hdf5(tmp_path, read):
    pytest.importorskip("h5py")
    matrix = np.eye(4, 3, dtype=np.float32)
    counts = np.array([4, 3, 2, 1], np.uint64)
    codec.write(tmp_path / "a.qemb", "abcd", matrix, scheme="float32", counts=counts, metadata={"a": {"b": [None]}})
    qemb_tools.convert(str(tmp_path / "a.qemb"), str(tmp_path / "a.h5"))
    table = read(tmp_path / "a.h5")
    assert np.array_equal(table.counts, counts)
    assert table.metadata["a"] == {"b": [None]}


def test_gensims_objects_in_memory(tmp_path):
    word2vec = pytest.importorskip("gensim.models").Word2Vec
    model = word2vec([["a", "b", "b"], ["c", "b", "a"]] * 20, vector_size=6, min_count=1, workers=1, seed=1)
    for name, thing in (("model.qemb", model), ("vectors.qemb", model.wv)):
        summary = qemb_tools.from_gensim(thing, tmp_path / name, scheme="float32", metadata={"corpus": "abc"})
        assert (summary.rows, summary.dim) == (3, 6)
        with codec.open(tmp_path / name) as embedding:
            assert list(embedding) == model.wv.index_to_key == ["b", "a", "c"]
            assert np.array_equal(embedding.matrix(), model.wv.vectors)
            assert embedding.counts.tolist() == [60, 40, 20]
            assert embedding.metadata["corpus"] == "abc"
    fasttext = pytest.importorskip("gensim.models").FastText
    subwords = fasttext([["a", "b", "b"]] * 20, vector_size=6, min_count=1, workers=1, seed=1, bucket=50)
    summary = qemb_tools.from_gensim(subwords, tmp_path / "subwords.qemb", scheme="float32")
    assert summary.notes == []
    with codec.open(tmp_path / "subwords.qemb") as embedding:
        assert np.array_equal(embedding["b"], subwords.wv["b"])
        assert np.array_equal(embedding["baab"], subwords.wv["baab"])
    with pytest.raises(TypeError, match="a gensim model or KeyedVectors is wanted, not dict"):
        qemb_tools.from_gensim({}, tmp_path / "other.qemb")


def test_a_failure_leaves_what_was_there(tmp_path):
    (tmp_path / "bad.txt").write_text("a 1 2\nb 1\nc 1 2\n")
    for name in ("out.qemb", "out.txt"):
        (tmp_path / name).write_text("precious")
        with pytest.raises(QembError):
            qemb_tools.convert(str(tmp_path / "bad.txt"), str(tmp_path / name))
        assert (tmp_path / name).read_text() == "precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.txt", "out.qemb", "out.txt"]


def test_slow_quantizing_names_what_would_be_quicker(tmp_path, monkeypatch):
    table = tmp_path / "table.txt"
    table.write_text("\n".join(f"w{i} " + " ".join(str((7 * i + j) % 11) for j in range(20)) for i in range(30)))
    assert not qemb_tools.convert(table, tmp_path / "out.qemb", bits=4).notes
    monkeypatch.setattr("qemb_tools.qemb_file.PATIENCE", 0.0)
    monkeypatch.setattr("qemb_tools.qemb_file.find_spec", lambda _: None)
    (note,) = qemb_tools.convert(table, tmp_path / "out.qemb", bits=4).notes
    assert "qemb-format[numba]" in note
    assert not qemb_tools.convert(table, tmp_path / "out.qemb", bits=8).notes


def test_a_qemb_file_is_not_quantized_again_unless_that_is_asked_for(tmp_path):
    tokens = [f"a common beginning {i}" for i in range(500)]
    matrix = np.random.default_rng(0).normal(size=(500, 32)).astype(np.float32)
    codec.write(tmp_path / "a.qemb", tokens, matrix, bits=2, metadata={"a": 1, "kept": "something"})
    summary = qemb_tools.convert(tmp_path / "a.qemb", tmp_path / "b.qemb", compress=True, metadata={"b": 2})
    assert summary.scheme.endswith("kept as they were: something")
    assert (summary.rows, summary.dim, summary.duplicates) == (500, 32, 0)
    assert summary.size == (tmp_path / "b.qemb").stat().st_size < (tmp_path / "a.qemb").stat().st_size
    qemb_tools.convert(tmp_path / "a.qemb", tmp_path / "c.qemb", bits=8)
    with (
        codec.open(tmp_path / "a.qemb") as a,
        codec.open(tmp_path / "b.qemb") as b,
        codec.open(tmp_path / "c.qemb") as c,
    ):
        assert np.array_equal(a.matrix(), b.matrix())
        assert b.metadata == {"a": 1, "b": 2, "kept": "something", "source": "qemb"}
        assert c.metadata == {"a": 1, "source": "qemb"}
        assert (b.info.bits, c.info.bits) == (2, 8)
