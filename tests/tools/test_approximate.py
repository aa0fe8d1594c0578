"""Approximate search: enough is found, what is found is scored exactly, and no index serves a file not its own."""

from __future__ import annotations

import json
import os
import sys

import numpy as np
import pytest

import qemb as codec
from qemb import InvalidError
from qemb_tools import UsageError, convert
from qemb_tools.approximate import build, load

faiss = pytest.importorskip("faiss", minversion="1.13")

ROWS, DIM = 6000, 33


def make_table(seed=0):
    """Rows in clusters, as embeddings are; an odd number of values, which product codes do not divide."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(100, DIM))
    return (centres[rng.integers(0, 100, ROWS)] + 0.7 * rng.normal(size=(ROWS, DIM))).astype(np.float32)


def nearest_rows(matrix, queries, k):
    """The k rows of highest cosine, in float64, by the definition."""
    matrix = matrix.astype(np.float64)
    scores = queries @ (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).T
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]


def recall(found, expected):
    return np.mean([len(set(f) & set(e)) / len(e) for f, e in zip(found.tolist(), expected.tolist(), strict=True)])


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Threads that wait for each other are slow where tests run side by side."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # of the commands
        yield
    faiss.omp_set_num_threads(before)


@pytest.fixture(scope="module")
def indexed(tmp_path_factory):
    """The path of a file at 4 bits, and what `build` said of its index."""
    path = tmp_path_factory.mktemp("approximate") / "table.qemb"
    codec.write(path, [f"w{i}" for i in range(ROWS)], make_table(), bits=4)
    return path, build(path)


@pytest.fixture
def copied(indexed, tmp_path):
    """The file and its index in a folder that a test may spoil."""
    for name in ("table.qemb", "table.qemb.faiss"):
        (tmp_path / name).write_bytes((indexed[0].parent / name).read_bytes())
    return tmp_path / "table.qemb"


# --- what is found --------------------------------------------------------------------------------------------------


def test_enough_is_found_and_more_with_more_effort(indexed):
    path, summary = indexed
    with load(path) as emb:
        matrix = emb.matrix()
        queries = np.random.default_rng(1).normal(size=(100, DIM)) + matrix[:100]
        expected = nearest_rows(matrix, queries, 10)
        found = {}
        for emb.effort in (0, 5, 9):
            rows, _ = emb.search(queries, 10)
            found[emb.effort] = recall(rows, expected)
    assert found[0] < found[5] < found[9]
    assert found[5] > 0.9
    assert found[9] > 0.99
    assert summary.recall == emb.recall
    assert list(summary.recall) == sorted(summary.recall)
    assert summary.recall[5] == pytest.approx(found[5], abs=0.05)


@pytest.mark.parametrize(("name", "floor"), [("word2vec-zh-95k-100d.bin", 0.9), ("fasttext-en-35k-100d.bin", 0.95)])
def test_enough_is_found_in_real_tables(shared_tables, tmp_path, name, floor):
    convert(shared_tables / name, tmp_path / "real.qemb", bits=8)
    summary = build(tmp_path / "real.qemb")
    with load(tmp_path / "real.qemb") as emb:
        assert summary.rows == len(emb)  # words alone, not the buckets of their n-grams
        numbers = np.random.default_rng(2).integers(0, len(emb), 100)
        queries = emb.rows(numbers).astype(np.float64)
        rows, _ = emb.search(queries, 10)
        assert recall(rows, nearest_rows(emb.matrix(0, len(emb)), queries, 10)) > floor
    assert summary.size < 40 * summary.rows + 1_000_000


def test_cosines_are_exact_and_in_order(indexed):
    with load(indexed[0]) as emb, codec.open(indexed[0]) as exact:
        for word in ("w0", "w17", "w5999"):
            found = emb.nearest(word, k=20)
            assert len(found) == 20
            assert word not in dict(found)
            for other, cosine in found:
                assert cosine == pytest.approx(exact.similarity(word, other), abs=1e-14)
            assert [cosine for _, cosine in found] == sorted((cosine for _, cosine in found), reverse=True)
        queries = exact.matrix(0, 40)
        everything = [
            dict(zip(*(part[0].tolist() for part in exact.search(q[None], ROWS)), strict=True)) for q in queries
        ]
        rows, cosines = emb.search(queries, 10)
        for one, scores, all_scores in zip(rows.tolist(), cosines.tolist(), everything, strict=True):
            assert [all_scores[row] for row in one] == scores  # to the last bit


def test_many_queries_are_answered_as_each_alone(indexed):
    with load(indexed[0]) as emb:
        queries = make_table(1)[:300]
        rows, cosines = emb.search(queries, 5)
        assert rows.dtype == np.int64
        assert cosines.dtype == np.float64
        for i, query in enumerate(queries):
            alone = emb.search(query[None], 5)
            assert np.array_equal(alone[0][0], rows[i])
            assert np.array_equal(alone[1][0], cosines[i])
        assert emb.search(np.empty((0, DIM)), 5)[0].shape == (0, 5)


def test_analogies_leave_out_their_words(indexed):
    with load(indexed[0], effort=9) as emb, codec.open(indexed[0]) as exact:
        words = {"positive": ["w1", "w2"], "negative": ["w3"]}
        assert emb.analogy(**words) == exact.analogy(**words)
        assert emb.nearest(["w1", "w2"], k=3) == exact.nearest(["w1", "w2"], k=3)
        assert emb.nearest(np.arange(DIM), k=3) == exact.nearest(np.arange(DIM), k=3)
        assert emb.nearest("w1", k=0) == []
        with pytest.raises(KeyError):
            emb.nearest("absent")


@pytest.mark.parametrize("dim", [1, 2, 3, 50])
@pytest.mark.parametrize("rows", [1, 2, 12, 700])
def test_small_tables(tmp_path, rows, dim):
    matrix = np.random.default_rng(rows).normal(size=(rows, dim)).astype(np.float32)
    codec.write(tmp_path / "small.qemb", [f"w{i}" for i in range(rows)], matrix)
    assert build(tmp_path / "small.qemb").rows == rows
    with load(tmp_path / "small.qemb", effort=9) as emb, codec.open(tmp_path / "small.qemb") as exact:
        assert len(emb.nearest("w0", k=rows)) == rows - 1 or rows > 200
        if rows <= 12:  # every row is a candidate
            assert emb.nearest("w0") == exact.nearest("w0")
            found, expected = emb.search(matrix[:1], rows + 2), exact.search(matrix[:1], rows + 2)
            assert np.array_equal(found[0], expected[0])
            assert np.array_equal(found[1], expected[1], equal_nan=True)


def test_rows_without_a_direction(tmp_path):
    matrix = make_table()[:300]
    matrix[3], matrix[5], matrix[7, 2] = 0, np.nan, np.inf
    codec.write(tmp_path / "odd.qemb", [f"w{i}" for i in range(300)], matrix, scheme="float32")
    assert build(tmp_path / "odd.qemb").rows == 298
    with load(tmp_path / "odd.qemb", effort=9) as emb:
        rows, cosines = emb.search(matrix[:1], 300)
        assert set(rows[0].tolist()) == set(range(300)) - {5, 7} | {-1}
        assert cosines[0][rows[0] == 3] == [0]
        assert np.isnan(cosines[0][rows[0] == -1]).all()
        assert emb.nearest("w5") == []


def test_nothing_to_index(tmp_path):
    codec.write(tmp_path / "nan.qemb", ["a"], [[np.nan, 1]], scheme="float32")
    codec.write(tmp_path / "none.qemb", [], np.empty((0, 3), np.float32))
    for name in ("nan.qemb", "none.qemb"):
        with pytest.raises(InvalidError, match="there are no vectors to make an index of"):
            build(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["nan.qemb", "none.qemb"]


def test_effort_is_checked(indexed):
    for wrong in (-1, 10, 5.5):
        with pytest.raises(ValueError, match="effort is 0 to 9"):
            load(indexed[0], effort=wrong)


def test_gensim_takes_it_as_indexer(indexed):
    pytest.importorskip("gensim")
    from qemb_tools.gensim import load as load_vectors

    with load(indexed[0]) as emb:
        vectors = load_vectors(indexed[0])
        found = vectors.most_similar("w8", topn=5, indexer=emb)
        assert found[0] == ("w8", pytest.approx(1))  # gensim leaves it to the index to leave it out, and none does
        assert [word for word, _ in found[1:]] == [word for word, _ in emb.nearest("w8", k=4)]


# --- the file -------------------------------------------------------------------------------------------------------


def test_faiss_reads_the_file_itself(indexed):
    path, summary = indexed
    index = faiss.read_index(f"{path}.faiss")
    assert (index.ntotal, index.nlist, summary.path) == (ROWS, summary.cells, f"{path}.faiss")
    assert os.path.getsize(summary.path) == summary.size


def test_the_same_file_has_the_same_index(copied):
    before = copied.with_name("table.qemb.faiss").read_bytes()
    build(copied)
    assert copied.with_name("table.qemb.faiss").read_bytes() == before


def test_an_index_of_another_file_is_refused(copied):
    with codec.open(copied) as emb:
        emb.save(copied.with_name("other.qemb"), metadata={"changed": True})
        emb.save(copied.with_name("shorter.qemb"), rows=range(ROWS - 1))
    for name in ("other.qemb", "shorter.qemb"):
        os.replace(copied.with_name(name), copied)
        with pytest.raises(InvalidError, match=r"index of another file.*qemb index .*table\.qemb"):
            load(copied)
    build(copied)
    with load(copied) as emb:
        assert len(emb) == ROWS - 1


def test_damage_is_noticed_before_faiss_reads(copied, monkeypatch):
    index = copied.with_name("table.qemb.faiss")
    whole = index.read_bytes()
    monkeypatch.setattr(faiss, "read_index", lambda *_: pytest.fail("faiss was given a damaged file"))
    rng = np.random.default_rng(4)
    for place in [
        0,
        16,
        len(whole) - 20,
        len(whole) - 16,
        len(whole) - 9,
        len(whole) - 1,
        *rng.integers(0, len(whole), 20),
    ]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(0, 8))
        index.write_bytes(damaged)
        with pytest.raises(InvalidError, match=r"damaged.*qemb index"):
            load(copied)
    for size in [0, 1, 15, 16, 17, len(whole) // 2, len(whole) - 1]:
        index.write_bytes(whole[:size])
        with pytest.raises(InvalidError, match=r"damaged.*qemb index"):
            load(copied)


def test_an_index_that_this_faiss_cannot_read(copied, monkeypatch):
    def refuse(_):
        raise RuntimeError("Error in read_index at x.cpp:1: Error: unknown\nkind")

    monkeypatch.setattr(faiss, "read_index", refuse)
    with pytest.raises(InvalidError, match=r"faiss \S+ cannot read it \(unknown kind\); run: qemb index"):
        load(copied)


def test_it_appears_whole_or_not_at_all(copied, monkeypatch):
    before = copied.with_name("table.qemb.faiss").read_bytes()
    real = faiss.write_index

    def interrupted(index, writer):
        real(index, writer)
        raise KeyboardInterrupt

    monkeypatch.setattr(faiss, "write_index", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build(copied)
    assert copied.with_name("table.qemb.faiss").read_bytes() == before
    assert sorted(os.listdir(copied.parent)) == ["table.qemb", "table.qemb.faiss"]


def test_without_faiss(copied, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    for use in (load, build):
        with pytest.raises(UsageError, match=r'this needs faiss.*pip install "qemb-format\[approximate\]"'):
            use(copied)


def test_with_a_faiss_that_finds_wrong_rows(copied, monkeypatch):
    monkeypatch.setattr(faiss, "__version__", "1.12.0")
    for use in (load, build):
        with pytest.raises(UsageError, match=r"faiss 1\.12\.0 is installed.*pip install --upgrade"):
            use(copied)


# --- the commands ---------------------------------------------------------------------------------------------------


def test_the_commands(qemb, copied):
    copied.with_name("table.qemb.faiss").unlink()
    missing = qemb("nearest", "table.qemb", "w1", "--approximate", code=2)
    assert missing.stderr == "qemb: there is no index table.qemb.faiss; run: qemb index table.qemb\n"
    printed = qemb("index", "table.qemb")
    size = copied.with_name("table.qemb.faiss").stat().st_size
    assert printed.stdout.startswith(f"table.qemb.faiss: 6,000 rows in 93 cells, {size:,} bytes\n")
    assert "(default: effort 5)" in printed.stdout
    exact = qemb("nearest", "table.qemb", "w1", "--json").stdout
    assert qemb("nearest", "table.qemb", "w1", "--approximate", "--effort", 9, "--json").stdout == exact
    some = qemb("nearest", "table.qemb", "w1", "--minus", "w2", "--approximate", "-k", 3).stdout
    assert len(some.splitlines()) == 3
    summary = json.loads(qemb("index", "table.qemb", "--json").stdout)
    assert {key: summary[key] for key in ("path", "rows", "cells", "size")} == {
        "path": "table.qemb.faiss", "rows": ROWS, "cells": 93, "size": size
    }  # fmt: skip
    assert len(summary["recall"]) == 10
    assert qemb("index", "table.qemb", "--quiet").stdout == ""


def test_the_commands_say_what_is_wrong(qemb, copied):
    copied.with_name("table.qemb.faiss").write_bytes(b"no index")
    assert "table.qemb.faiss" in qemb("nearest", "table.qemb", "w1", "--approximate", code=1).stderr
    assert "--approximate" in qemb("nearest", "table.qemb", "w1", "--effort", 3, code=2).stderr
    assert "effort" in qemb("nearest", "table.qemb", "w1", "--approximate", "--effort", 10, code=2).stderr
    assert "does not exist" in qemb("index", "absent.qemb", code=2).stderr
    assert "not a .qemb file" in qemb("index", "table.qemb.faiss", code=1).stderr
