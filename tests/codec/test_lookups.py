"""Looking up: words, rows and ranges of an open file, with and without its index, until it is closed and after."""

from __future__ import annotations

import gc
import os
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import bases
import qemb
import rawfile
import rawread
from qemb import lookup, vocabulary

WORDS = ["the", "", "New York", "naïve", "👩‍👩‍👧", "a\u00a0b", "\udcff\udcfe", "the "]
MATRIX = np.random.default_rng(1).normal(size=(8, 5)).astype(np.float32)
FORMS = {
    "index": {},
    "no index": {"index": False},
    "frames": {"compress": True},
}


@pytest.fixture(autouse=True, params=[1, 64])
def few(request, monkeypatch):
    """Lists of tokens are looked up all at once, or one by one where they are short."""
    for module in (lookup, vocabulary):
        monkeypatch.setattr(module, "FEW", request.param)


@pytest.fixture(params=FORMS)
def emb(request, tmp_path):
    options = FORMS[request.param]
    tokens = [word.encode("utf-8", "surrogateescape") for word in WORDS]
    counts = np.arange(8)[::-1]
    qemb.write(tmp_path / "t.qemb", tokens, MATRIX, scheme="float32", counts=counts, metadata={"a": "b"}, **options)
    with qemb.open(tmp_path / "t.qemb") as opened:
        yield opened


def test_one_word(emb):
    for row, word in enumerate(WORDS):
        for form in (word, word.encode("utf-8", "surrogateescape"), np.str_(word)):
            vector = emb[form]
            assert vector.shape == (5,)
            assert vector.dtype == np.float32
            assert vector.tolist() == MATRIX[row].tolist()
            assert emb.get(form).tolist() == MATRIX[row].tolist()


@pytest.mark.parametrize(
    "word", ["missing", "The", "the\0", b"\xff", "naive", "nai\u0308ve", " ", "\ud800", "x" * 70_000]
)
def test_a_word_that_is_not_there(emb, word):
    with pytest.raises(KeyError) as caught:
        emb[word]
    assert caught.value.args == (word,)
    with pytest.raises(KeyError):
        emb[["the", word]]
    with pytest.raises(ValueError, match="not in the vocabulary"):
        emb.tokens.index(word)
    assert word not in emb
    assert word not in emb.tokens
    assert emb.get(word) is None
    assert emb.get(word, MATRIX) is MATRIX
    assert emb.tokens.count(word) == 0
    assert emb.tokens.find(["the", word]).tolist() == [0, -1]


def test_many_words(emb):
    asked = [3, 0, 0, 7, 1]
    found = emb[[WORDS[row] for row in asked]]
    assert found.shape == (5, 5)
    assert np.array_equal(found, MATRIX[asked])
    assert np.array_equal(emb[tuple(WORDS[row] for row in asked)], MATRIX[asked])
    assert emb[[]].shape == (0, 5)
    assert np.array_equal(emb[np.array(["the", "naïve"])], MATRIX[[0, 3]])


def test_what_is_no_word(emb):
    for key in (5, None, 1.5, ("the",), ["the"]):
        assert key not in emb.tokens
        assert key not in emb
    for key in (5, None, [5], [None]):
        with pytest.raises(TypeError):
            emb[key]


def test_tokens_are_a_sequence(emb):
    tokens = emb.tokens
    assert len(emb) == len(tokens) == 8
    assert list(emb) == list(tokens) == list(iter(tokens)) == WORDS
    assert list(reversed(tokens)) == WORDS[::-1]
    assert [tokens[row] for row in range(-8, 8)] == WORDS + WORDS
    assert tokens[2:5] == WORDS[2:5]
    assert tokens[::-3] == WORDS[::-3]
    assert tokens[5:2] == tokens[8:] == []
    assert tokens[np.int64(3)] == WORDS[3]
    for row in (8, -9, 2**70):
        with pytest.raises(IndexError):
            tokens[row]
        with pytest.raises(IndexError):
            tokens.raw(row)
    assert [tokens.index(word) for word in WORDS] == list(range(8))
    assert tokens.index("naïve", 3, 4) == tokens.index("naïve", -5) == 3
    for bounds in ((4,), (0, 3), (-4,)):
        with pytest.raises(ValueError, match="not in the vocabulary"):
            tokens.index("naïve", *bounds)
    assert tokens.count("the") == 1
    assert tokens.raw(6) == b"\xff\xfe"
    assert repr(tokens).startswith("<8 tokens: 'the', '', 'New York'")
    assert list(tokens.iter_raw(2, 4)) == [b"New York", "naïve".encode()]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(-12, 12), st.none() | st.integers(-12, 12))
def test_ranges_are_those_of_slices(start, stop):
    expected = np.array(bases.LINEAR_ROWS, np.float32)[start:stop]
    with qemb.open(bases.linear().build()) as emb:
        assert np.array_equal(emb.matrix(start, stop), expected)
        out = np.full(expected.shape, np.nan, np.float32)
        assert emb.matrix(start, stop, out=out) is out
        assert np.array_equal(out, expected)


def test_decoding_into_an_array(emb):
    whole = np.zeros((10, 5), np.float32)
    emb.matrix(2, 4, out=whole[3:5])
    assert np.array_equal(whole[3:5], MATRIX[2:4])
    assert not whole[[0, 1, 2, 5, 6, 7, 8, 9]].any()
    for out in (
        np.zeros((7, 5), np.float32),
        np.zeros((8, 5), np.float64),
        np.zeros((5, 8), np.float32).T,
        np.zeros((8, 10), np.float32)[:, ::2],
    ):
        with pytest.raises(ValueError, match=r"C-contiguous float32 of shape \(8, 5\)"):
            emb.matrix(out=out)


def test_rows_by_number(emb):
    assert np.array_equal(emb.rows([3, -1, 3, 0]), MATRIX[[3, -1, 3, 0]])
    assert np.array_equal(emb.rows(range(8)), MATRIX)
    assert np.array_equal(emb.rows(np.array([7, 1], np.uint8)), MATRIX[[7, 1]])
    assert np.array_equal(emb.rows(5), MATRIX[5:6])
    assert emb.rows([]).shape == (0, 5)
    for bad in ([8], [-9], [2**40], np.array([2**64 - 1], np.uint64), [0.0], [True, False], ["the"]):
        with pytest.raises(IndexError):
            emb.rows(bad)


def test_what_is_handed_out_may_be_changed_by_who_has_it(emb):
    vector, rows, matrix = emb["the"], emb.rows([0]), emb.matrix()
    for array in (vector, rows, matrix):
        array[:] = 7
    assert np.array_equal(emb.matrix(), MATRIX)
    assert np.array_equal(emb["the"], MATRIX[0])
    with pytest.raises(ValueError, match="read-only"):
        emb.counts[0] = 5


def test_counts_metadata_and_info(emb, request):
    assert emb.counts.tolist() == list(range(8))[::-1]
    assert emb.metadata == {"a": "b"}
    info = emb.info
    assert (info.tokens, info.rows, info.dim, info.version) == (8, 8, 5, "1.0")
    assert (info.scheme, info.bits, info.byte_tokens) == ("float32", 32, True)
    path = Path(info.path)
    assert info.file_size == path.stat().st_size
    header, _ = rawread.parse(path.read_bytes())
    assert header["section_count"] == len(info.sections)
    assert sum(info.sections.values()) < info.file_size
    assert info.bits_per_value == pytest.approx(8 * sum(info.sections[kind] for kind in ("QUAN", "CODE")) / 40)
    assert info.to_dict()["metadata"] == {"a": "b"}
    assert repr(emb).startswith("<qemb.Embedding '")
    assert "8 tokens x 5, float32 32 bits" in repr(emb)


def test_a_file_without_what_is_optional():
    with qemb.open(bases.split().build()) as emb:
        assert emb.counts is None
        assert emb.norms is None
        assert emb.metadata == {}
        assert np.array_equal(emb["y"], np.array(bases.SPLIT_ROWS[1], np.float32))
        assert "z" not in emb


def test_norms_as_they_are_stored():
    with qemb.open(bases.linear().build()) as emb:
        assert emb.norms.dtype == np.float32
        assert emb.norms.tolist() == pytest.approx(np.linalg.norm(bases.LINEAR_ROWS, axis=1).tolist())


def test_rows_past_the_tokens_have_numbers_and_no_words():
    with qemb.open(bases.subwords().build()) as emb:
        assert (len(emb), emb.total_rows) == (1, 3)
        assert emb.matrix().tolist() == [[1, 2], [3, 4], [5, 6]]
        assert emb.rows([-1]).tolist() == [[5, 6]]
        assert emb.nearest([1, 1]) == [("x", pytest.approx(3 / 10**0.5))]
        with pytest.raises(IndexError):
            emb.tokens[1]


# --- the index ------------------------------------------------------------------------------------------------------

TWINS = (b"pasapululo", b"nibafiga", 0x258B1A3E), (b"kupuposi", b"delodura", 0x49DDF504)
"""Words of equal CRC-32C: they begin at the same slot of any index."""


@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(("first", "second", "crc"), TWINS)
def test_words_of_equal_crc(tmp_path, options, first, second, crc):
    assert rawfile.crc32c(first) == rawfile.crc32c(second) == crc
    for tokens in ([first, second], [second, b"other", first], [second]):
        matrix = np.arange(len(tokens), dtype=np.float32)[:, None]
        qemb.write(tmp_path / "t.qemb", tokens, matrix, scheme="float32", **options)
        with qemb.open(tmp_path / "t.qemb") as emb:
            emb.verify()
            assert emb.tokens.find([second, first]).tolist() == [
                tokens.index(second),
                tokens.index(first) if first in tokens else -1,
            ]


def test_the_index_is_the_one_that_the_specification_describes(tmp_path):
    tokens = [b"w%d" % row for row in range(20_000)]
    matrix = np.zeros((20_000, 1), np.float32)
    qemb.write(tmp_path / "t.qemb", tokens, matrix, scheme="float32")
    _, sections = rawread.parse((tmp_path / "t.qemb").read_bytes())
    slots = rawfile.index_slots(tokens, 30_001)
    assert np.frombuffer(sections["INDX"], "<u4").tolist() == slots


@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS)
def test_every_word_of_many_is_found_and_no_other(tmp_path, options):
    count = 3000 if options.get("compress") else 30_000
    tokens = [b"w%d" % row for row in range(count)]
    matrix = np.arange(count, dtype=np.float32)[:, None]
    qemb.write(tmp_path / "t.qemb", tokens, matrix, scheme="float32", **options)
    with qemb.open(tmp_path / "t.qemb") as emb:
        emb.verify()
        assert emb.tokens.find(tokens).tolist() == list(range(count))
        assert emb[tokens[::1000]].ravel().tolist() == list(range(0, count, 1000))
        assert set(emb.tokens.find([b"x%d" % row for row in range(count)]).tolist()) == {-1}


def test_an_index_of_any_size_that_conforms_is_read():
    for size in (5, 6, 7, 8, 100, 4099):
        file = bases.linear()
        file["INDX"].data = np.array(rawfile.index_slots(bases.TOKENS, size), "<u4").tobytes()
        with qemb.open(file.build()) as emb:
            emb.verify()
            assert emb.tokens.find(bases.TOKENS).tolist() == [0, 1, 2, 3]
            assert "b" not in emb


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_the_search_goes_round_the_end(seed, count):
    """As few slots as there may be, so that nearly every search goes on, and many go round."""
    pairs = np.random.default_rng(seed).integers(0, 256, (count, 2), np.uint8)
    tokens = list(dict.fromkeys(map(bytes, pairs)))
    file = rawfile.RawFile(len(tokens), len(tokens), 1)
    file.add("QUAN", rawfile.descriptor(rawfile.IEEE, 32, 1, parameters=b"\0"))
    file.add("CODE", bytes(4 * len(tokens)))
    file.required_features = 1
    rawfile.add_tokens(file, tokens)
    file["INDX"].data = np.array(rawfile.index_slots(tokens, len(tokens) + 1), "<u4").tobytes()
    with qemb.open(file.build()) as emb:
        emb.verify()
        assert emb.tokens.find(tokens).tolist() == list(range(len(tokens)))
        assert emb.tokens.find([b"", b"abc", b"abcd"]).tolist() == [-1, -1, -1]


# --- opening and closing --------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data(), st.integers(0, 2**32 - 1))
def test_many_tokens_meet_damage_as_one_does(data, seed):
    """Rows, or the first error, are those of a search for one token after the other."""
    rng = np.random.default_rng(seed)
    tokens = sorted({rng.integers(97, 100, rng.integers(0, 6), np.uint8).tobytes() for _ in range(rng.integers(1, 60))})
    file = rawfile.RawFile(len(tokens), len(tokens), 1)
    file.add("QUAN", rawfile.descriptor(rawfile.IEEE, 32, 1, parameters=bytes([0])))
    file.add("CODE", bytes(4 * len(tokens)))
    rawfile.add_tokens(file, tokens)
    for kind in data.draw(st.sets(st.sampled_from(["INDX", "TOKO"]))):
        values = np.frombuffer(file[kind].data, "<u4").copy()
        for place in data.draw(st.lists(st.integers(0, len(values) - 1), max_size=5)):
            values[place] = data.draw(st.sampled_from([0, 1, len(tokens) - 1, len(tokens), 70_000, 2**31, 2**32 - 1]))
        file[kind].data = values.tobytes()
    wanted = [*tokens, b"", b"abcabcabc", *tokens[:3]]
    with qemb.open(file.build()) as emb:

        def answer(find):
            try:
                return find()
            except qemb.QembError as error:
                return str(error)

        one_by_one = answer(lambda: [emb.tokens.row(token) for token in wanted])
        assert answer(lambda: emb.tokens.find(wanted).tolist()) == one_by_one


def test_opening_from_anything(tmp_path):
    data = bases.linear().build()
    path = tmp_path / "é.qemb"
    path.write_bytes(data)
    askew = memoryview(b"x" + data)[1:]
    sources = [path, str(path), data, bytearray(data), memoryview(data), askew]
    for source in sources:
        with qemb.open(source) as emb:
            emb.verify()
            assert emb.matrix().tolist() == bases.LINEAR_ROWS
            assert emb.tokens.index("New York") == 3
    for source, error in ((tmp_path / "missing", FileNotFoundError), (tmp_path, IsADirectoryError), (5.5, TypeError)):
        with pytest.raises(error):
            qemb.open(source)


@pytest.mark.skipif(not Path("/dev/fd").exists(), reason="there are no named pipes")
def test_opening_a_pipe(tmp_path):
    data = bases.framed().build()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    with qemb.open(pipe) as emb:
        emb.verify()
        assert len(emb) == 40
    writer.join()


@pytest.mark.parametrize("source", ["path", "bytes"])
def test_closing(tmp_path, source):
    path = tmp_path / "t.qemb"
    qemb.write(path, ["a", "b"], MATRIX[:2], scheme="float32", counts=[1, 2], metadata={"a": 1})
    emb = qemb.open(path if source == "path" else path.read_bytes())
    vector, rows, matrix, counts = emb["a"], emb.rows([1]), emb.matrix(), emb.counts
    iterator = iter(emb)
    emb.nearest("a")
    emb.close()
    emb.close()
    gc.collect()
    assert np.array_equal(vector, MATRIX[0])
    assert np.array_equal(rows, MATRIX[1:2])
    assert np.array_equal(matrix, MATRIX[:2])
    assert counts.tolist() == [1, 2]
    questions = [
        lambda: emb["a"],
        lambda: emb[["a", "b"]],
        lambda: emb.get("a"),
        lambda: "a" in emb,
        lambda: emb.rows([0]),
        emb.matrix,
        lambda: emb.tokens[0],
        lambda: emb.tokens.index("a"),
        lambda: list(emb),
        lambda: next(iterator),
        lambda: emb.nearest("a"),
        lambda: emb.nearest(MATRIX[0]),
        lambda: emb.analogy(["a"]),
        lambda: emb.similarity("a", "b"),
        lambda: emb.counts,
        lambda: emb.metadata,
        lambda: emb.info,
        emb.verify,
    ]
    for ask in questions:
        with pytest.raises(ValueError, match="the embedding is closed"):
            ask()
    assert (len(emb), emb.dim, emb.total_rows) == (2, 5, 2)


def test_a_file_that_is_refused_is_let_go(tmp_path):
    """Windows would not let it be deleted otherwise; here the map would stay in /proc/self/maps."""
    path = tmp_path / "bad.qemb"
    file = bases.linear()
    file.drop("SCAL")
    path.write_bytes(file.build())
    with pytest.raises(qemb.InvalidError) as caught:
        qemb.open(path)
    assert caught.value.code == "invalid.missing_section"
    maps = Path("/proc/self/maps")
    if maps.exists():
        assert "bad.qemb" not in maps.read_text("utf-8")


def test_errors_travel_between_processes():
    with pytest.raises(qemb.InvalidError) as caught:
        qemb.open(bases.linear().build()[:-1] + b"\1\1")
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is type(caught.value)
    assert (str(again), again.code, again.where, again.offset) == (
        str(caught.value),
        caught.value.code,
        caught.value.where,
        caught.value.offset,
    )


def test_many_readers_at_once(tmp_path):
    """Lookups from threads give what they give alone."""
    qemb.write(tmp_path / "t.qemb", [f"w{row}" for row in range(5000)], np.arange(20_000).reshape(5000, 4), bits=16)
    wrong = []
    with qemb.open(tmp_path / "t.qemb") as emb:
        expected = emb.matrix()

        def look(seed):
            rng = np.random.default_rng(seed)
            rows = rng.integers(0, 5000, 300).tolist()
            wrong.extend(row for row in rows if not np.array_equal(emb[f"w{row}"], expected[row]))

        threads = [threading.Thread(target=look, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []
