"""Nearest neighbours: gensim's words in gensim's order, over the decoded table; ties and extremes."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import qemb
from qemb import jit
from qemb.search import int8, searcher

CLOSE = 2.0**-20
"""gensim adds up in float32: cosines nearer than this, some eight roundings of it, may change places there."""

some = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def words(count):
    return [f"w{row}" for row in range(count)]


@pytest.fixture
def table(tmp_path):
    """Write a table, and open it: ``table(matrix, **options)``."""

    def write(matrix, **options):
        qemb.write(tmp_path / "table.qemb", words(len(matrix)), matrix, **options)
        return qemb.open(tmp_path / "table.qemb")

    return write


def gensim_table(emb, tokens=None):
    gensim = pytest.importorskip("gensim")
    vectors = gensim.models.KeyedVectors(emb.dim)
    tokens = list(emb) if tokens is None else tokens
    vectors.add_vectors(tokens, emb[tokens])
    return vectors


def cosines(matrix, query):
    """In extended precision, with cosine 0 for zeros."""
    wide, query = matrix.astype(np.longdouble), np.asarray(query, np.longdouble)
    norms = np.sqrt((wide * wide).sum(axis=1))
    length = np.sqrt(query @ query)
    return (wide @ query) / np.where(norms > 0, norms, 1) / (length if length > 0 else 1)


def assert_as_gensim(ours, theirs, cosine):
    """The same words in the same places, but where two cosines are too close for float32 to tell apart."""
    assert len(ours) == len(theirs)
    assert len({word for word, _ in ours}) == len(ours)
    for (word, score), (other, their_score) in zip(ours, theirs, strict=True):
        assert word == other or abs(cosine[word] - cosine[other]) < CLOSE
        assert abs(score - cosine[word]) < 1e-12
        assert abs(score - their_score) < CLOSE


@some
@given(st.integers(2, 300), st.integers(2, 60), st.integers(0, 2**32 - 1), st.data())
def test_as_gensim(table, rows, dim, seed, data):
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, dim)) * 10.0 ** rng.integers(-3, 4, (rows, 1))
    matrix[rng.integers(0, rows, rows // 5)] = matrix[rng.integers(0, rows)]
    rows_asked = st.lists(st.integers(0, rows - 1), min_size=1, max_size=3, unique=True)
    positive = words_of(data.draw(rows_asked))
    negative = words_of(data.draw(st.just([]) | rows_asked))
    k = data.draw(st.sampled_from([1, 10, rows]))
    with table(matrix, **data.draw(st.sampled_from([{"scheme": "float32"}, {"bits": 8}]))) as emb:
        units = {word: emb[word].astype(np.float64) / np.linalg.norm(emb[word].astype(np.float64)) for word in emb}
        query = sum(units[word] for word in positive) - sum(units[word] for word in negative)
        if np.linalg.norm(query) < 0.05:  # all but cancelled: what is left is float32's rounding
            return
        theirs = gensim_table(emb).most_similar(positive=positive, negative=negative, topn=k)
        cosine = dict(zip(emb, cosines(emb.matrix(), query), strict=True))
        assert_as_gensim(emb.analogy(positive, negative, k=k), theirs, cosine)


def words_of(rows):
    return [f"w{row}" for row in rows]


@pytest.mark.parametrize("options", [{"scheme": "float32"}, {"bits": 8}, {"scheme": "codebook", "bits": 4}], ids=str)
def test_as_gensim_over_a_real_table(tmp_path, options):
    gensim = pytest.importorskip("gensim")
    source = Path(gensim.__file__).parent / "test" / "test_data" / "lee_fasttext.vec"
    real = gensim.models.KeyedVectors.load_word2vec_format(str(source))
    qemb.write(tmp_path / "lee.qemb", real.index_to_key, real.vectors, **options)
    with qemb.open(tmp_path / "lee.qemb") as emb:
        decoded = gensim_table(emb)
        matrix = emb.matrix()
        for word in list(emb)[::10]:
            cosine = dict(zip(emb, cosines(matrix, emb[word]), strict=True))
            assert_as_gensim(emb.nearest(word), decoded.most_similar(word), cosine)


@some
@given(st.integers(1, 200), st.integers(1, 20), st.integers(0, 2**32 - 1), st.integers(1, 30))
def test_exact_order_with_ties_in_row_order(table, rows, dim, seed, k):
    """Among a few distinct directions, at lengths that are powers of two, nearly every row ties with others."""
    rng = np.random.default_rng(seed)
    directions = rng.integers(-9, 10, (5, dim))
    matrix = directions[rng.integers(0, 5, rows)] * 2.0 ** rng.integers(-3, 4, (rows, 1))
    query = rng.normal(size=dim)
    with table(matrix, scheme="float32") as emb:
        found = emb.nearest(query, k=k)
        cosine = cosines(matrix, query)
        # directions whose cosines agree to the last bits of float64, such as x and x, are one tie
        order = sorted(range(rows), key=lambda row: (-float(np.round(cosine[row], 12)), row))
        assert [word for word, _ in found] == words_of(order[:k])


def test_a_thousand_equal_rows_come_in_row_order(table):
    rng = np.random.default_rng(1)
    matrix = np.concatenate([rng.normal(size=(50, 30)), np.tile(rng.normal(size=30), (1000, 1))])
    with table(matrix, scheme="float32") as emb:
        for asked, first in (("w50", 51), ("w700", 50)):
            assert [word for word, _ in emb.nearest(asked, k=30)] == words_of(range(first, first + 30))


@some
@given(st.integers(0, 2**32 - 1), st.sampled_from([-140, -100, -70, 70, 100, 120]))
@example(0, 120)
@example(0, -140)
def test_the_length_of_vectors_does_not_matter(table, seed, exponent):
    """Powers of two change no cosine; float32 products of such vectors overflow, or vanish."""
    matrix = np.random.default_rng(seed).integers(-15, 16, (200, 20)).astype(np.float32)
    with table(matrix, scheme="float32") as emb:
        expected = emb.nearest("w3", k=20)
    with table(np.ldexp(matrix, exponent), scheme="float32") as emb:
        assert emb.nearest("w3", k=20) == expected
        assert emb.similarity("w3", expected[0][0]) == pytest.approx(expected[0][1], abs=1e-12)
    longer = np.ldexp(matrix, np.where(np.arange(200) % 2, exponent, 0)[:, None])
    with table(longer, scheme="float32") as emb:
        assert emb.nearest("w3", k=20) == expected


def test_zeros_have_cosine_0(table):
    with table([[1, 0], [0, 0], [-1, 0], [2, 0]], scheme="float32") as emb:
        assert emb.nearest("w0") == [("w3", 1), ("w1", 0), ("w2", -1)]
        assert emb.nearest("w1") == [("w0", 0), ("w2", 0), ("w3", 0)]
        assert emb.similarity("w0", "w1") == 0
        assert emb.nearest([0, 0], k=2) == [("w0", 0), ("w1", 0)]
        assert emb.analogy(["w0"], ["w3"], k=2) == [("w1", 0), ("w2", 0)]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_vectors_that_are_not_finite_are_left_out(table, bad):
    matrix = np.random.default_rng(2).normal(size=(100, 8)).astype(np.float32)
    with table(matrix, scheme="float32") as emb:
        expected = [pair for pair in emb.nearest("w0", k=100) if pair[0] not in ("w7", "w60")]
    matrix[7, 3] = matrix[60, 0] = bad
    with table(matrix, scheme="float32") as emb:
        assert emb.nearest("w0", k=100) == expected
        assert emb.nearest("w7") == []
        assert np.isnan(emb.similarity("w0", "w7"))


def test_what_may_be_asked(table):
    matrix = np.random.default_rng(3).normal(size=(40, 6))
    with table(matrix, scheme="float32") as emb:
        vector = emb["w5"]
        nearest = emb.nearest("w5", k=39)
        assert len(nearest) == 39
        assert emb.nearest("w5", k=1000) == nearest
        assert emb.nearest("w5") == nearest[:10]
        assert emb.nearest("w5", k=0) == emb.nearest("w5", k=-1) == []
        assert emb.nearest(b"w5") == emb.nearest(["w5"]) == emb.analogy("w5") == emb.analogy(positive=["w5"])
        assert emb.nearest(vector, k=1) == [("w5", pytest.approx(1))]
        assert [word for word, _ in emb.nearest(list(vector), k=11)] == ["w5", *(word for word, _ in nearest[:10])]
        assert emb.nearest(np.ldexp(vector.astype(np.float64), 900), k=5) == emb.nearest(vector, k=5)
        assert emb.nearest(["w5", "w6"]) == emb.analogy(["w5", "w6"])
        assert emb.analogy(negative=["w5"], k=39)[::-1] == [(word, pytest.approx(-score)) for word, score in nearest]
        for query in ("missing", ["w1", "missing"], b"\xff"):
            with pytest.raises(KeyError):
                emb.nearest(query)
        for query in ([], [1.0] * 5, np.ones((1, 6)), [np.nan] * 6, [np.inf] + [0.0] * 5):
            with pytest.raises(ValueError, match=r"has shape \(6,\) and finite values"):
                emb.nearest(query)
        with pytest.raises(ValueError, match="needs a token"):
            emb.analogy()


def test_similarity_is_gensims(table):
    matrix = np.random.default_rng(4).normal(size=(30, 12))
    with table(matrix, bits=8) as emb:
        theirs = gensim_table(emb)
        for word in emb:
            assert emb.similarity("w3", word) == pytest.approx(theirs.similarity("w3", word), abs=CLOSE)


def test_no_words(table):
    with table(np.empty((0, 4)), bits=8) as emb:
        assert emb.nearest([1, 2, 3, 4]) == []


# --- every way of scoring -------------------------------------------------------------------------------------------

ENGINES = ["numpy", "simsimd", "numkong", "kernels", "kernels without look-up"]


@functools.cache
def fresh_kernel():
    """Compiled when it is used first, and not kept on disk."""
    numba = pytest.importorskip("numba")
    from qemb.search import nibble_kernel

    return numba.njit(nibble_kernel.score_nibbles.py_func, error_model="numpy")


@pytest.fixture(params=ENGINES)
def engine(request, monkeypatch):
    """Search with one library and no other, where it is installed."""
    modules = {"numpy": None, "kernels": "numba", "kernels without look-up": "numba"}
    if (module := modules.get(request.param, request.param)) is not None:
        pytest.importorskip(module)
    monkeypatch.setattr(jit, "ready", jit.load if request.param.startswith("kernels") else lambda: False)
    if request.param != "simsimd":
        monkeypatch.setattr(int8, "simsimd", None)
    if request.param != "numkong":
        monkeypatch.setitem(sys.modules, "numkong", None)  # importing it fails
    if request.param == "kernels without look-up":
        monkeypatch.setattr("qemb.search.nibble_kernel._LOOKUPS", {})
        monkeypatch.setattr("qemb.search.nibble_kernel.score_nibbles", fresh_kernel())
    monkeypatch.setattr(searcher, "_MANY_ROWS", 1)
    monkeypatch.setattr(int8, "_WIDE", 1)
    return request.param


def write_some(path, rng, rows, dim, options):
    """A table with zeros, rows that are equal, and lengths all over the place."""
    matrix = rng.normal(size=(rows, dim)) * 10.0 ** rng.integers(-3, 4, (rows, 1))
    matrix[rng.integers(0, rows, rows // 10)] = matrix[0]
    matrix[rng.integers(0, rows, 2)] = 0
    qemb.write(path, words(rows), matrix.astype(np.float32), **options)


@pytest.mark.parametrize(
    "options",
    [
        {"bits": 8},
        {"bits": 8, "compress": True},
        {"scheme": "linear", "bits": 8, "scale": "table"},
        {"scheme": "linear", "bits": 8, "block": 7},
        {"scheme": "codebook", "bits": 4},
        {"bits": 4},
        {"bits": 4, "compress": True},
        {"scheme": "trellis", "bits": 4, "window": 11, "scale": "table"},
        {"bits": 3},
        {"scheme": "exact"},
    ],
    ids=str,
)
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(2, 700), st.integers(13, 140), st.sampled_from([1, 2, 5]), st.integers(0, 2**32 - 1))
def test_the_same_as_searching_the_decoded_table(tmp_path, engine, options, rows, dim, count, seed):
    rng = np.random.default_rng(seed)
    write_some(tmp_path / "some.qemb", rng, rows, dim, options)
    with qemb.open(tmp_path / "some.qemb") as emb:
        matrix = emb.matrix()
        queries = np.concatenate([matrix[rng.integers(0, rows, count)], rng.normal(size=(1, dim))])
        found, cosine = emb.search(queries, k=10)
        for query, places, scores in zip(queries, found, cosine, strict=True):
            assert_best(matrix, query, places[places >= 0], scores[places >= 0], min(10, rows))
        assert [emb.tokens[row] for row in found[-1] if row >= 0] == [word for word, _ in emb.nearest(queries[-1])]


def assert_best(matrix, query, places, scores, count):
    """The best rows, best first; which of equal ones does not matter here."""
    expected = cosines(matrix, query)
    assert len(set(places.tolist())) == len(places) == count
    assert np.allclose(scores, expected[places].astype(float), rtol=0, atol=1e-12)
    assert (np.diff(scores) <= 0).all()
    assert np.allclose(scores, np.sort(expected)[::-1][:count].astype(float), rtol=0, atol=1e-12)


def test_scales_of_any_size_and_rows_with_room_between_them(tmp_path, engine):
    rng = np.random.default_rng(5)
    codes = rng.integers(-127, 128, (300, 20)).astype(np.int8)
    codes[7] = 0
    for scales in (np.ldexp(1.0, rng.integers(-120, 120, 300)), np.where(np.arange(300) % 3, 0.5, 0)):
        form = qemb.CodeFormat(bits=8, scale="row", scale_dtype="float32")
        qemb.write_codes(tmp_path / "codes.qemb", words(300), codes, form, scales=scales.astype(np.float32))
        with qemb.open(tmp_path / "codes.qemb") as emb:
            for query in (codes[3].astype(float), rng.normal(size=20)):
                (places,), (scores,) = emb.search(query[None], k=10)
                assert_best(emb.matrix(), query, places, scores, 10)


def test_a_table_larger_than_a_tile(tmp_path, engine):
    rng = np.random.default_rng(6)
    centers = rng.normal(size=(40, 24))
    matrix = (centers[rng.integers(0, 40, 70_000)] + 0.3 * rng.normal(size=(70_000, 24))).astype(np.float32)
    for options in ({"bits": 8}, {"scheme": "codebook", "bits": 4}, {"bits": 4, "effort": 1}):
        qemb.write(tmp_path / "large.qemb", words(len(matrix)), matrix, **options)
        with qemb.open(tmp_path / "large.qemb") as emb:
            decoded = emb.matrix()
            for count in (1, 5):
                queries = decoded[rng.integers(0, len(decoded), count)]
                for query, places, scores in zip(queries, *emb.search(queries, k=12), strict=True):
                    assert_best(decoded, query, places, scores, 12)


def test_threads_find_what_one_finds(tmp_path, monkeypatch):
    monkeypatch.setattr(searcher, "count_threads", lambda: 3)
    monkeypatch.setattr(searcher, "_WORTH_THREADS", 1000)
    rng = np.random.default_rng(7)
    matrix = rng.integers(-3, 4, (5000, 13)).astype(np.float32)  # many ties
    qemb.write(tmp_path / "ties.qemb", words(5000), matrix, scheme="float32")
    with qemb.open(tmp_path / "ties.qemb") as emb:
        several = emb.search(matrix[:7], k=50)
    monkeypatch.setattr(searcher, "count_threads", lambda: 1)
    with qemb.open(tmp_path / "ties.qemb") as emb:
        one = emb.search(matrix[:7], k=50)
    assert np.array_equal(several[0], one[0])
    assert np.array_equal(several[1], one[1])


def test_what_may_be_searched_for(table):
    with table([[1, 0], [0, 0], [np.nan, 0], [2, 0]], scheme="float32") as emb:
        rows, cosine = emb.search([[1, 0], [0, 0]], k=4)
        assert rows.tolist() == [[0, 3, 1, -1], [0, 1, 3, -1]]
        assert np.array_equal(cosine, [[1, 1, 0, np.nan], [0, 0, 0, np.nan]], equal_nan=True)
        assert emb.search(np.empty((0, 2)), k=3)[0].shape == (0, 3)
        assert emb.search([[1, 0]], k=0)[0].shape == (1, 0)
        for bad in ([1, 0], [[1, 0, 0]], [[np.nan, 0]], [[np.inf, 0]]):
            with pytest.raises(ValueError, match=r"queries have shape \(n, 2\)"):
                emb.search(bad)


def test_simsimd_is_not_loaded_after_usearch():
    pytest.importorskip("simsimd")
    code = "import sys; sys.modules['usearch'] = sys; from qemb.search import int8; print(int8.simsimd)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "None\n"
