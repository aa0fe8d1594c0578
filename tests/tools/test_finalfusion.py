"""finalfusion's files, built from bytes after the layout of its library: vocabularies, norms, product codes, damage."""

from __future__ import annotations

import struct

import numpy as np
import pytest

import qemb as codec
from qemb import InvalidError
from qemb_tools import UsageError, convert

WORDS = ["the", "New York", "", "café", "中文"]
MATRIX = np.arange(15, dtype=np.float32).reshape(5, 3) / 7
SIMPLE, ARRAY, BUCKETS, QUANTIZED, METADATA, NORMS, FASTTEXT, EXPLICIT, FLORET = range(1, 10)


def text(value):
    return struct.pack("<I", len(value.encode())) + value.encode()


def vocabulary(kind=SIMPLE, grams=(), settings=()):
    head = struct.pack("<Q", len(WORDS))
    if kind == EXPLICIT:
        head += struct.pack("<QII", len(grams), 3, 6)
    elif kind != SIMPLE:
        head += struct.pack("<III", *settings)
    body = b"".join(map(text, WORDS)) + b"".join(text(gram) + struct.pack("<Q", i) for i, gram in enumerate(grams))
    # the Python library leaves two lengths and the numbers of n-grams out of the size
    return kind, head + body, len(head + body) - (16 if kind == EXPLICIT else 0)


def padded(head, data):
    """The size of padding depends on where it is, which is known as the file is put together."""
    return lambda at: head + bytes(4 - (at + len(head)) % 4) + data


def array(matrix=MATRIX):
    return ARRAY, padded(struct.pack("<QII", *matrix.shape, 10), matrix.tobytes())


def norms(values):
    return NORMS, padded(struct.pack("<QI", len(values), 10), values.tobytes())


def quantized(codes, levels, norms=None, projection=None):
    count, centroids, width = levels.shape
    settings = projection is not None, norms is not None, count, count * width, centroids, len(codes), 1, 10
    parts = [part.tobytes() for part in (projection, levels, norms, codes) if part is not None]
    return QUANTIZED, padded(struct.pack("<IIIIIQII", *settings), b"".join(parts))


def file_of(*chunks, version=0):
    data = b"FiFu" + struct.pack(f"<II{len(chunks)}I", version, len(chunks), *(chunk[0] for chunk in chunks))
    for kind, body, *size in chunks:
        stored = body(len(data) + 12) if callable(body) else body
        data += struct.pack("<IQ", kind, *(size or [len(stored)])) + stored
    return data


@pytest.fixture
def write(tmp_path):
    def write_it(*chunks, **options):
        (tmp_path / "a.fifu").write_bytes(file_of(*chunks, **options))
        return tmp_path / "a.fifu"

    return write_it


@pytest.mark.parametrize("shift", range(4))
def test_words_and_vectors(read, write, same_floats, shift):
    """Wherever the array begins: its padding is one to four bytes."""
    table = read(write((METADATA, b"#" * shift), vocabulary(), array()))
    assert table.words == WORDS
    same_floats(table.vectors, MATRIX)
    assert table.notes == []


def test_metadata(read, write):
    toml = b'a = 1\nday = 2020-01-02\n[b]\nc = "x"\n'
    assert read(write((METADATA, toml), vocabulary(), array())).metadata["finalfusion"] == {
        "a": 1, "day": "2020-01-02", "b": {"c": "x"},
    }  # fmt: skip
    assert read(write((METADATA, b"= \xff"), vocabulary(), array())).metadata["finalfusion"] == {"text": "= \ufffd"}


def test_norms(read, write, same_floats):
    lengths = np.linalg.norm(MATRIX, axis=1)
    unit = MATRIX / lengths[:, None]
    path = write(vocabulary(), array(unit), norms(lengths))
    table = read(path)
    same_floats(table.vectors, unit)
    assert table.notes == ["norms left out: the vectors have length 1 (--dataset original multiplies them)"]
    table = read(path, dataset="original")
    same_floats(table.vectors, unit * lengths[:, None])
    assert table.notes == []
    with pytest.raises(UsageError) as caught:
        read(path, dataset="x")
    assert str(caught.value) == (
        f"{path} has vectors of length 1 and as they were: --dataset unit or --dataset original"
    )
    with pytest.raises(UsageError, match="has one table; leave out --dataset"):
        read(write(vocabulary(), array()), dataset="original")


@pytest.mark.parametrize(
    ("chunk", "rows"),
    [(vocabulary(BUCKETS, settings=(3, 6, 4)), 16), (vocabulary(EXPLICIT, grams=["<th", "the"]), 2)],
    ids=["buckets", "explicit"],
)
def test_subwords_that_only_finalfusion_finds(read, write, same_floats, chunk, rows):
    table = read(write(chunk, array(np.concatenate([MATRIX, np.ones((rows, 3), np.float32)]))))
    assert table.words == WORDS
    same_floats(table.vectors, MATRIX)
    assert table.notes == [f"subword rows left out, which only finalfusion finds: {rows}"]


def test_subwords_of_fasttext_are_kept(write, tmp_path):
    """The vector of an unknown word is, but for its length, what `finalfusion` 0.7.1 gives for this very file."""
    rows = np.random.default_rng(0).normal(size=(15, 4)).astype(np.float32)
    convert(write(vocabulary(FASTTEXT, settings=(3, 6, 10)), array(rows)), tmp_path / "a.qemb", scheme="exact")
    expected = {
        "unseen": [0.02176599, 0.6992854, 0.3309856, 0.6332256],
        "a中文b": [0.42977276, 0.77706796, -0.21587624, 0.40602738],
    }
    with codec.open(tmp_path / "a.qemb") as emb:
        assert np.array_equal(emb.matrix(0, 5), rows[:5])
        for word, vector in expected.items():
            assert word not in emb
            assert emb[word] / np.linalg.norm(emb[word]) == pytest.approx(vector, abs=1e-6)


RNG = np.random.default_rng(1)
LEVELS = RNG.normal(size=(2, 11, 3)).astype(np.float32)
CODES = RNG.integers(0, 11, (5, 2)).astype(np.uint8)
LENGTHS = RNG.uniform(1, 2, 5).astype(np.float32)
PRODUCT = np.concatenate([LEVELS[0][CODES[:, 0]], LEVELS[1][CODES[:, 1]]], axis=1)


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["plain", "norms"])
def test_product_codes_are_kept(read, write, tmp_path, same_floats, lengths):
    path = write(vocabulary(), quantized(CODES, LEVELS, lengths))
    expected = PRODUCT if lengths is None else PRODUCT * lengths[:, None]
    same_floats(read(path).vectors, expected)
    summary = convert(path, tmp_path / "a.qemb")
    assert summary.scheme.endswith("kept as they were: finalfusion product codes, 3 values each")
    with codec.open(tmp_path / "a.qemb") as emb:
        same_floats(emb.matrix(), expected)
        assert (emb.info.scheme, emb.info.bits) == ("product", 4)


def test_product_codes_of_rotated_vectors(read, write):
    projection = np.linalg.qr(RNG.normal(size=(6, 6)))[0].astype(np.float32)
    table = read(write(vocabulary(), quantized(CODES, LEVELS, LENGTHS, projection)))
    assert table.vectors == pytest.approx((PRODUCT @ projection.T) * LENGTHS[:, None], abs=1e-6)


@pytest.mark.parametrize(
    ("chunks", "message"),
    [
        ([array()], "the file has no vocabulary; there is nothing to convert"),
        ([(FLORET, b""), array()], "the file has floret's hashed n-grams without words; there is nothing to convert"),
        ([vocabulary()], "the file has no vectors in it; there is nothing to convert"),
        ([vocabulary(), array(MATRIX[:4])], "there are 5 words and fewer rows or norms; fetch the file again"),
        ([vocabulary(), array(), norms(LENGTHS[:4])], "there are 5 words and fewer rows or norms"),
        ([vocabulary(), (ARRAY, padded(struct.pack("<QII", 5, 3, 11), bytes(120)))], "values of type 11 are not read"),
        ([vocabulary(), quantized(CODES + 1, LEVELS)], "the file is damaged or cut short"),
        ([vocabulary(), (ARRAY, padded(struct.pack("<QII", 1 << 60, 3, 10), b""))], "the file is damaged or cut short"),
        ([(SIMPLE, struct.pack("<Q", 1 << 62)), array()], "the file is damaged or cut short"),
    ],
)
def test_files_that_cannot_be_read(read, write, chunks, message):
    with pytest.raises(InvalidError) as caught:
        read(write(*chunks))
    assert message in caught.value.message


def test_another_version(read, write, tmp_path):
    with pytest.raises(InvalidError, match="the finalfusion file is of version 1; 0 is known: upgrade qemb"):
        read(write(vocabulary(), array(), version=1))
    (tmp_path / "b.fifu").write_bytes(b"")
    with pytest.raises(InvalidError, match="this is no finalfusion file"):
        read(tmp_path / "b.fifu", "finalfusion")


@pytest.mark.parametrize(
    "chunks",
    [
        [vocabulary(EXPLICIT, grams=["<th"]), array(np.ones((6, 3), np.float32)), norms(np.ones(6, np.float32))],
        [vocabulary(), quantized(CODES, LEVELS, LENGTHS)],
    ],
    ids=["array", "codes"],
)
def test_damage(survives_damage, write, chunks):
    survives_damage(write(*chunks), "finalfusion", times=300)
