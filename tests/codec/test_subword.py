"""Words out of the vocabulary: n-grams and vectors are gensim's, which are fastText's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import qemb
from qemb import subword
from qemb.subword import hash_ngrams

gensim_fasttext = pytest.importorskip("gensim.models.fasttext")

WORDS = ["a", "", "ab", "hello", "naïve", "日本語", "👍🏽x", "ñ", "Straße", "a" * 40]


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12), max_size=6),
    st.integers(1, 4),
    st.integers(0, 4),
)
def test_hashes_are_those_of_gensim(words, min_n, more):
    hashes, counts = hash_ngrams([word.encode() for word in words], qemb.Subwords(min_n, min_n + more))
    theirs = [gensim_fasttext.ft_ngram_hashes(word, min_n, min_n + more, 1 << 32) for word in words]
    assert counts.tolist() == [len(one) for one in theirs]
    assert hashes.tolist() == [hashed for one in theirs for hashed in one]


def test_a_hash_by_hand():
    """FNV-1a of ``<é>``: bytes 3C C3 A9 3E, those from 80 on exclusive-ored as FFFFFFC3 and FFFFFFA9."""
    value = 0x811C9DC5
    for byte in (0x3C, 0xFFFFFFC3, 0xFFFFFFA9, 0x3E):
        value = (value ^ byte) * 0x01000193 % 2**32
    hashes, _ = hash_ngrams(["é".encode()], qemb.Subwords(3, 3))
    assert hashes.tolist() == [value]


@pytest.fixture
def model(tmp_path):
    """A table with buckets as a file, and the same in gensim."""
    rng = np.random.default_rng(0)
    tokens, dim, buckets = ["hello", "world", "naïve"], 7, 50
    rows = rng.normal(size=(len(tokens) + buckets, dim)).astype(np.float32)
    theirs = gensim_fasttext.FastTextKeyedVectors(dim, 2, 5, bucket=buckets)
    theirs.add_vectors(tokens, rows[: len(tokens)])
    theirs.vectors_ngrams = rows[len(tokens) :]
    path = tmp_path / "words.qemb"
    qemb.write(
        path,
        tokens,
        rows[: len(tokens)],
        subwords=qemb.Subwords(2, 5),
        buckets=rows[len(tokens) :],
        scheme="float32",
        counts=[3, 2, 1],
    )
    with qemb.open(path) as ours:
        yield ours, theirs


def test_vectors_are_those_of_gensim(model):
    ours, theirs = model
    ours.verify()
    for word in [*WORDS, "world"]:
        if gensim_fasttext.ft_ngram_hashes(word, 2, 5, 50):
            assert ours[word].tobytes() == np.asarray(theirs[word], np.float32).tobytes(), word
    batch = ours[["hello", "helo", "naïve", "naive"]]
    assert batch.tobytes() == np.stack([theirs[w] for w in ("hello", "helo", "naïve", "naive")]).tobytes()


def test_the_vocabulary_stays_what_it_is(model):
    ours, _ = model
    assert "helo" not in ours
    assert len(ours) == 3
    assert ours.total_rows == 53
    assert ours.subwords == qemb.Subwords(2, 5)
    assert ours.counts.tolist() == [3, 2, 1]
    assert list(ours) == ["hello", "world", "naïve"]


def test_search_takes_words_out_of_the_vocabulary(model):
    ours, theirs = model
    found = ours.nearest("helo", 3)
    expected = theirs.most_similar("helo", topn=3)
    assert [word for word, _ in found] == [word for word, _ in expected]
    assert np.allclose([score for _, score in found], [score for _, score in expected], atol=1e-6)
    assert ours.similarity("helo", "hello") == pytest.approx(theirs.similarity("helo", "hello"), abs=1e-6)


def test_words_without_n_grams_are_absent(tmp_path):
    path = tmp_path / "long.qemb"
    qemb.write(path, ["hello"], np.eye(1, 4), subwords=qemb.Subwords(6, 6), buckets=np.eye(3, 4))
    with qemb.open(path) as emb:
        assert emb["world"].shape == (4,)
        assert emb.get("ab") is None
        with pytest.raises(KeyError, match="'ab'"):
            emb["ab"]
        with pytest.raises(KeyError, match="'cd'"):
            emb[["hello", "world", "cd"]]
        with pytest.raises(KeyError):
            emb["\ud800"]


def test_no_buckets(tmp_path):
    path = tmp_path / "none.qemb"
    qemb.write(path, ["hello"], np.eye(1, 4), subwords=qemb.Subwords())
    with qemb.open(path) as emb:
        emb.verify()
        with pytest.raises(KeyError, match="'world'"):
            emb["world"]


def test_batches_give_the_same_file(tmp_path):
    rows = np.random.default_rng(1).normal(size=(5_000, 8)).astype(np.float32)
    tokens = [str(n) for n in range(1_000)]
    for bits in (4, 8):
        options = {"bits": bits, "subwords": qemb.Subwords(3, 4)}
        qemb.write(tmp_path / "one.qemb", tokens, rows[:1_000], buckets=rows[1_000:], **options)
        with qemb.Writer(tmp_path / "two.qemb", dim=8, **options) as writer:
            for low in range(0, 1_000, 333):
                writer.append(tokens[low : low + 333], rows[low : min(low + 333, 1_000)])
            for low in range(1_000, 5_000, 777):
                writer.append_buckets(rows[low : low + 777])
        assert (tmp_path / "one.qemb").read_bytes() == (tmp_path / "two.qemb").read_bytes()


def test_wrong_order_and_options(tmp_path):
    path = tmp_path / "bad.qemb"
    with pytest.raises(qemb.InvalidError, match="subword buckets need subwords="):
        qemb.write(path, ["a"], np.eye(1, 4), buckets=np.eye(3, 4))
    writer = qemb.Writer(path, dim=4, subwords=qemb.Subwords())
    writer.append_buckets(np.eye(3, 4))
    with pytest.raises(qemb.InvalidError, match=r"come after the rows of all tokens \(row 3, invalid\.shape\)"):
        writer.append(["a"], np.eye(1, 4))
    for numbers in ((0, 3), (4, 3), (1, 1 << 32)):
        with pytest.raises(qemb.InvalidError, match=r"invalid\.subword"):
            qemb.Subwords(*numbers)
    assert not path.exists()


def test_words_of_any_length(tmp_path):
    """Sums of many rows, in order and one after the other: by the definition, which numpy's `sum` is not."""
    rng = np.random.default_rng(3)
    for dim in (1, 3):
        rows = rng.normal(size=(51, dim)).astype(np.float32)
        path = tmp_path / "long.qemb"
        qemb.write(path, ["x"], rows[:1], subwords=qemb.Subwords(2, 2**32 - 1), buckets=rows[1:], scheme="float32")
        words = ["ab" * 200, "cd", "e" * 250]
        with qemb.open(path) as emb:
            found = emb[words]
            for word, vector in zip(words, found, strict=True):
                total = np.zeros(dim, np.float32)
                hashes = gensim_fasttext.ft_ngram_hashes(word, 2, len(word) + 2, 50)
                for hashed in hashes:
                    total = total + rows[1 + hashed]
                assert vector.tobytes() == (total / np.float32(len(hashes))).tobytes()
            with pytest.raises(qemb.LimitError, match="too many n-grams"):
                emb["x" * 65_536]
        qemb.write(path, ["x"], rows[:1], subwords=qemb.Subwords(3, 6), buckets=rows[1:], scheme="float32")
        with qemb.open(path) as emb:
            assert emb["x" * 65_536].shape == (dim,)


def test_many_words_at_once(model):
    ours, theirs = model
    words = [f"word{n}" for n in range(1000)] + ["hello"]
    assert np.array_equal(ours[words], np.stack([ours[word] for word in words]))
    assert np.allclose(ours[words], theirs[words], atol=1e-6)


@pytest.mark.parametrize("few", [0, 100])
@pytest.mark.parametrize("many", [1, 7, 1 << 16])
@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=30), st.integers(0, 2**32 - 1))
def test_means_are_sums_in_order_in_whatever_parts_they_are_taken(few, many, counts, seed):
    rng = np.random.default_rng(seed)
    table = rng.choice(np.array([-0.0, 0.0, 1.5, -1.5, 1e-45, 3e38, np.inf, 0.1], np.float32), (9, 3))
    numbers = rng.integers(0, 9, sum(counts))
    expected, at = [], 0
    with np.errstate(over="ignore", invalid="ignore"):
        for count in counts:
            total = np.zeros(3, np.float32)
            for number in numbers[at : at + count]:
                total += table[number]
            expected.append(total / np.float32(count))
            at += count
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subword, "_FEW", few)
        patch.setattr(subword, "_MANY", many)
        found = subword.mean_of_ngrams(lambda rows: table[rows], numbers, np.array(counts), table.shape[1])
    assert found.view(np.uint32).tolist() == np.array(expected).view(np.uint32).tolist()
