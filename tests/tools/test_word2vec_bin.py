"""word2vec ``.bin``: both habits of newlines, bytes that are no text, damage."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from qemb import InvalidError
from qemb_tools import Batch, word2vec_bin
from qemb_tools.word2vec_bin import BinSink

VECTORS = np.arange(12, dtype=np.float32).reshape(4, 3) / 7
TOKENS = [b"a", b"caf\xe9", "中文".encode(), b"x\ny"]


def table_bytes(newline, rows=4):
    body = b"".join(t + b" " + v.tobytes() + newline for t, v in zip(TOKENS, VECTORS, strict=True))
    return b"%d 3\n" % rows + body


@pytest.mark.parametrize("newline", [b"", b"\n"], ids=["gensim", "C tool"])
@pytest.mark.parametrize("block", [1, 1 << 22], ids=["small blocks", "one block"])
def test_newlines(read, tmp_path, same_floats, monkeypatch, newline, block):
    monkeypatch.setattr(word2vec_bin, "BLOCK", block)
    path = tmp_path / "table.bin"
    path.write_bytes(table_bytes(newline))
    table = read(path)
    assert table.tokens == TOKENS
    same_floats(table.vectors, VECTORS)
    assert table.notes == ["tokens that are not UTF-8, kept as bytes: 1"]


def test_gzip(read, tmp_path):
    path = tmp_path / "table.bin.gz"
    path.write_bytes(gzip.compress(table_bytes(b"\n")))
    assert read(path).tokens == TOKENS


def test_encoding(read, tmp_path):
    path = tmp_path / "table.bin"
    path.write_bytes(b"1 3\ncaf\xe9 " + VECTORS[0].tobytes())
    assert read(path, encoding="latin-1").words == ["café"]


@pytest.mark.parametrize("newline", [b"", b"\n"], ids=["gensim", "C tool"])
def test_every_cut_is_refused_with_row_and_byte(read, tmp_path, newline):
    data = table_bytes(newline)
    path = tmp_path / "table.bin"
    ends = [len(b"4 3\n") + sum(len(t) + 13 + len(newline) for t in TOKENS[: i + 1]) - len(newline) for i in range(4)]
    for size in range(len(b"4 3\n") + 1, len(data) - len(newline)):
        path.write_bytes(data[:size])
        with pytest.raises(InvalidError) as caught:
            read(path, "word2vec-bin")
        row = sum(end <= size for end in ends)
        assert caught.value.message == f"the file ends in row {row} of 4; it was cut short, so fetch it again"
        assert caught.value.where == f"{path}, row {row}"
        assert caught.value.offset <= size


def test_bytes_past_the_end_are_told(read, tmp_path):
    path = tmp_path / "table.bin"
    path.write_bytes(table_bytes(b"\n", rows=3))
    assert "there are bytes after the 3 rows that the header promises; they were left" in read(path).notes


@pytest.mark.parametrize("header", [b"", b"4\n", b"four 3\n", b"4 0\n", b"4 99999999999\n", b"4 3"])
def test_headers_that_cannot_be(read, tmp_path, header):
    path = tmp_path / "table.bin"
    path.write_bytes(header + b"\x00\x01\x02")
    with pytest.raises(InvalidError, match="there is no word2vec header"):
        read(path, "word2vec-bin")


def test_a_token_without_end(read, tmp_path):
    path = tmp_path / "table.bin"
    path.write_bytes(b"4 3\n" + bytes(1 << 18))
    with pytest.raises(InvalidError, match="no token of at most 65,536 bytes starts here"):
        read(path)


def test_reading_is_gensims(read, gensim_data, same_floats):
    keyedvectors = pytest.importorskip("gensim.models.keyedvectors")
    for name in ("euclidean_vectors.bin", "high_precision.kv.bin", "poincare_vectors.bin"):
        theirs = keyedvectors.KeyedVectors.load_word2vec_format(gensim_data / name, binary=True)
        ours = read(gensim_data / name)
        assert ours.words == theirs.index_to_key
        same_floats(ours.vectors, theirs.vectors)


@pytest.mark.parametrize("rows", [None, 2, 1000], ids=["unknown", "right", "wrong"])
def test_written_bin_reads_back(read, tmp_path, same_floats, rows):
    path = tmp_path / "out.bin"
    with BinSink(str(path), 3, rows) as sink:
        sink.append(Batch(TOKENS[:1], VECTORS[:1]))
        sink.append(Batch(TOKENS[1:2], VECTORS[1:2]))
    assert path.read_bytes()[:4] == b"2 3\n"
    table = read(path)
    assert table.tokens == TOKENS[:2]
    same_floats(table.vectors, VECTORS[:2])
    assert [p.name for p in tmp_path.iterdir()] == ["out.bin"]


@pytest.mark.parametrize("token", [b"New York", b"\nx"])
def test_tokens_that_bin_cannot_hold(tmp_path, token):
    def write_it():
        with BinSink(str(tmp_path / "out.bin"), 3, 1) as sink:
            sink.append(Batch([token], VECTORS[:1]))

    with pytest.raises(InvalidError, match=r"cannot stand in word2vec \.bin"):
        write_it()
    assert not list(tmp_path.iterdir())
