"""faiss: its indexes are kept, and its codebooks trained by the command."""

from __future__ import annotations

import sys

import numpy as np
import pytest

import qemb as codec
import qemb_tools
from qemb import QembError
from qemb_tools import UsageError

faiss = pytest.importorskip("faiss")

ROWS = 300
SQ = faiss.ScalarQuantizer


@pytest.fixture
def save(tmp_path):
    """Write an index of random rows, and its words beside it: ``save(index)`` gives the path and what it decodes to."""

    def write(index, table=None):
        if table is None:
            table = np.random.default_rng(3).normal(2, 3, (ROWS, index.d)).astype(np.float32)
        if not index.is_trained:
            index.train(table)
        index.add(table)
        faiss.write_index(index, str(tmp_path / "a.faiss"))
        (tmp_path / "words.txt").write_text("".join(f"w{i}\n" for i in range(len(table))))
        return tmp_path / "a.faiss", index.reconstruct_n(0, len(table))

    return write


def convert(source, folder, **options):
    words = qemb_tools.ReadOptions(tokens=str(folder / "words.txt"))
    summary = qemb_tools.convert(source, folder / "out.qemb", options=words, **options)
    with codec.open(folder / "out.qemb") as emb:
        emb.verify()
        assert list(emb) == [f"w{i}" for i in range(ROWS)]
        return emb.matrix(), emb.info, summary.scheme


@pytest.mark.parametrize(("dim", "count", "bits"), [(16, 4, 8), (12, 6, 4), (15, 5, 6), (8, 8, 1), (10, 2, 9)])
def test_product_quantization_is_kept(tmp_path, read, same_floats, save, dim, count, bits):
    table = np.random.default_rng(3).normal(size=(600, dim)).astype(np.float32)
    index = faiss.IndexPQ(dim, count, bits)
    index.pq.cp.min_points_per_centroid = 1
    index.train(table)
    path, expected = save(index, table[:ROWS])
    found, info, scheme = convert(path, tmp_path)
    same_floats(found, expected)
    assert (info.scheme, info.bits, info.sub_dim) == ("product", bits, dim // count)
    assert info.metadata["kept"] == "faiss PQ"
    assert scheme.endswith("kept as they were: faiss PQ")
    same_floats(read(path, tokens=str(tmp_path / "words.txt")).vectors, expected)


@pytest.mark.parametrize("dim", [15, 16])
@pytest.mark.parametrize(
    ("kind", "bits", "group"),
    [("4bit", 4, "column"), ("6bit", 6, "column"), ("8bit", 8, "column"), ("4bit_uniform", 4, "table"),
     ("8bit_uniform", 8, "table")],
)  # fmt: skip
def test_scalar_quantization_is_kept_but_for_the_last_bit(tmp_path, save, read, same_floats, dim, kind, bits, group):
    index = faiss.IndexScalarQuantizer(dim, getattr(SQ, f"QT_{kind}"))
    path, expected = save(index)
    found, info, _ = convert(path, tmp_path)
    assert (info.scheme, info.bits, info.scale) == ("linear", bits, f"{group}, float32")
    assert info.metadata["kept"] == f"faiss SQ {kind}"
    # faiss rounds three times, or twice where it fuses; a unit in the last place of the largest term for each
    low, width = np.split(faiss.vector_to_array(index.sq.trained), 2)
    assert (np.abs(found - expected) <= 3 * np.spacing(np.maximum(np.abs(low), width))).all()
    top = np.float32((1 << bits) - 1)
    steps = np.rint((found - low) / width * top - 0.5)
    assert np.array_equal(steps, np.rint((expected - low) / width * top - 0.5))
    same_floats(read(path, tokens=str(tmp_path / "words.txt")).vectors, found)


@pytest.mark.parametrize(
    ("kind", "scheme"),
    [("fp16", "float16"), ("bf16", "bfloat16"), ("8bit_direct", "linear"), ("8bit_direct_signed", "linear")],
)
def test_scalar_types_that_are_kept_exactly(tmp_path, save, same_floats, kind, scheme):
    table = np.random.default_rng(3).integers(0, 120, (ROWS, 9)).astype(np.float32)
    path, expected = save(faiss.IndexScalarQuantizer(9, getattr(SQ, f"QT_{kind}")), table)
    found, info, _ = convert(path, tmp_path)
    same_floats(found, expected)
    assert info.scheme == scheme


def test_a_column_that_does_not_vary(tmp_path, save):
    table = np.random.default_rng(3).normal(size=(ROWS, 8)).astype(np.float32)
    table[:, 3] = 1.5
    path, expected = save(faiss.IndexScalarQuantizer(8, SQ.QT_8bit), table)
    found, _, _ = convert(path, tmp_path)
    assert np.allclose(found, expected, rtol=0, atol=1e-6)
    assert (found[:, 3] == 1.5).all()


def test_a_flat_index_is_a_table_of_floats(tmp_path, save, same_floats):
    path, expected = save(faiss.IndexFlatIP(7))
    found, info, _ = convert(path, tmp_path, scheme="float32")
    same_floats(found, expected)
    assert "kept" not in info.metadata


def test_options_quantize_anew(tmp_path, save):
    path, expected = save(faiss.IndexPQ(16, 4, 8))
    found, info, scheme = convert(path, tmp_path, bits=8)
    assert info.scheme == "linear"
    assert "kept" not in scheme
    assert np.abs(found - expected).max() < np.abs(expected).max() / 200


def test_other_indexes_are_named(tmp_path, save, qemb):
    save(faiss.IndexIVFFlat(faiss.IndexFlatL2(8), 8, 4))
    error = qemb("convert", "a.faiss", "out.qemb", "--tokens", "words.txt", code=1).stderr
    assert "this is an index of kind 'IwFl'; IndexFlat, IndexPQ and IndexScalarQuantizer are read" in error


def test_files_that_cannot_be_read(tmp_path, save, read):
    path, _ = save(faiss.IndexPQ(16, 4, 8))
    words = str(tmp_path / "words.txt")
    with pytest.raises(UsageError, match="--tokens FILE"):
        read(path)
    whole = path.read_bytes()
    for size in (40, 200, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(QembError, match=r"the index runs past the end of the file|faiss cannot read it"):
            read(path, tokens=words)
    path.write_bytes(whole)
    (tmp_path / "words.txt").write_text("a\nb\n")
    with pytest.raises(QembError, match="300 rows and 2 tokens"):
        read(path, tokens=words)


def test_without_faiss_the_extra_is_named(tmp_path, save, read, monkeypatch):
    path, _ = save(faiss.IndexPQ(16, 4, 8))
    words = str(tmp_path / "words.txt")
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(UsageError, match=r"qemb-format\[faiss\]"):
        read(path, tokens=words)
    codec.write(tmp_path / "a.qemb", ["a"], np.ones((1, 4)))
    with pytest.raises(UsageError, match=r"qemb-format\[faiss\]"):
        qemb_tools.convert(tmp_path / "a.qemb", tmp_path / "b.qemb", scheme="product")


def test_the_command_trains_product_quantization(tmp_path, qemb):
    table = np.random.default_rng(3).normal(size=(ROWS, 10)).astype(np.float32)
    codec.write(tmp_path / "a.qemb", [f"w{i}" for i in range(ROWS)], table, scheme="float32")
    printed = qemb("convert", "a.qemb", "b.qemb", "--scheme", "product", "--bits", "4").stdout
    assert "300 rows x 10, parts of 2 values, each one of 256" in printed
    qemb("verify", "b.qemb")
    qemb("convert", "a.qemb", "c.qemb", "--scheme", "product", "--bits", "2", "--sub-dim", "5")
    assert "parts of 5 values, each one of 1,024" in qemb("info", "c.qemb").stdout
    assert "takes no sub_dim" in qemb("convert", "a.qemb", "d.qemb", "--bits", "8", "--sub-dim", "5", code=2).stderr
