"""Text vectors: every trap that real files hold, and gensim's own reading of them."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma

import numpy as np
import pytest
import zstandard

from qemb import InvalidError
from qemb_tools import Batch, UsageError, text
from qemb_tools.text import TextSink


@pytest.fixture
def write(tmp_path):
    def write_file(data, name="table.txt"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write_file


def refused(read, path, **options):
    with pytest.raises(InvalidError) as caught:
        read(path, **options)
    assert caught.value.code == "invalid.source"
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_header(read, write):
    table = read(write(b"2 3\na 1 2 3\nb 4 5 6\n"))
    assert table.words == ["a", "b"]
    assert table.vectors.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert table.notes == []


def test_no_header(read, write):
    table = read(write(b"a 1 2 3\nb 4 5 6\n"))
    assert table.words == ["a", "b"]
    assert table.vectors.shape == (2, 3)


def test_glove_takes_the_first_line_as_a_row(read, write):
    path = write(b"7 3\n8 4\n")
    assert read(path, "glove").words == ["7", "8"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b" \n", b" \r\n", b"\t\n"])
@pytest.mark.parametrize("last", [True, False], ids=["newline at the end", "none at the end"])
def test_line_ends(read, write, end, last):
    data = b"2 2" + end + b"a 1 2" + end + b"b 3 4" + (end if last else b"")
    table = read(write(data))
    assert table.words == ["a", "b"]
    assert table.vectors.tolist() == [[1, 2], [3, 4]]


def test_the_vector_is_the_last_fields(read, write):
    table = read(write(b"the 1 2 3\n. . . 4 5 6\nNew  York 7 8 9\n 1 1 1\n95 1 2 3\n at 1 2 3\n"))
    assert table.tokens == [b"the", b". . .", b"New  York", b"", b"95", b" at"]
    assert table.vectors[1].tolist() == [4, 5, 6]
    assert table.notes == ["tokens with spaces in them: 3, the first '. . .' in line 2"]


def test_other_unicode_spaces_are_part_of_a_token(read, write):
    words = ["a\u00a0b", "c\u3000d", "e\u2003f", "\u0085", "g\x0bh", "\x1c", "i\rj"]
    rows = "".join(f"{word} 1 2\n" for word in words)
    assert read(write(rows.encode())).words == words


@pytest.mark.parametrize("separator", [b"\t", b"  ", b" \t "])
def test_tabs_and_several_spaces_separate(read, write, separator):
    lines = [[b"a", b"1", b"2"], [b"New York", b"3", b"4"], [b"c", b"5", b"6"]]
    table = read(write(b"".join(separator.join(line) + b"\n" for line in lines)))
    assert table.tokens == [b"a", b"New York", b"c"]
    assert table.vectors.tolist() == [[1, 2], [3, 4], [5, 6]]


def test_tabs_may_separate_the_token_alone(read, write):
    table = read(write(b"2 3\na\t1 2 3\nb\t4 5 6\n"))
    assert table.words == ["a", "b"]


def test_blank_lines_are_passed_over(read, write):
    table = read(write(b"a 1 2\n\nb 3 4\n  \n\n"))
    assert table.words == ["a", "b"]
    assert table.notes == ["blank lines passed over: 3"]


def test_byte_order_mark(read, write):
    table = read(write(b"\xef\xbb\xbf2 2\na 1 2\nb 3 4\n"))
    assert table.words == ["a", "b"]
    assert table.notes == ["a byte order mark at the start of the file was left out"]


def test_header_that_lies_about_rows(read, write):
    assert read(write(b"9 2\na 1 2\nb 3 4\n")).notes == ["the header promises 9 rows; there are 2"]


def test_header_that_lies_about_the_dimension(read, write):
    path = write(b"2 3\na 1 2\nb 3 4\n")
    assert refused(read, path) == (
        "the header promises 3 numbers a row and the rows have 2; mend or remove the header "
        f"({path}, line 1, invalid.source)"
    )


@pytest.mark.parametrize("block", [16, 1 << 22], ids=["small blocks", "one block"])
@pytest.mark.parametrize("separator", [b" ", b"  "], ids=["one space", "two spaces"])
def test_short_row(read, write, monkeypatch, block, separator):
    monkeypatch.setattr(text, "BLOCK", block)
    path = write(b"a 1 2 3\nb 1 2 3\nc 1 2\nd 1 2 3\n".replace(b" ", separator))
    assert refused(read, path) == (
        "the row has 2 numbers, not 3; mend the line, or leave such rows out with --skip-bad "
        f"({path}, line 3, invalid.source)"
    )
    table = read(path, skip_bad=True)
    assert table.words == ["a", "b", "d"]
    assert table.notes == ["bad rows left out: 1, the first in line 3: the row has 2 numbers, not 3"]


@pytest.mark.parametrize("block", [16, 1 << 22], ids=["small blocks", "one block"])
@pytest.mark.parametrize("bad", ["x", "1.2.3", "0,5", "nan", "-inf", "1e39", "0x10", "1_0", "1-2", "--1", "1e", "\x00"])
def test_bad_number(read, write, monkeypatch, block, bad):
    monkeypatch.setattr(text, "BLOCK", block)
    path = write(f"2 3\na 1 2 3\nb 1 {bad} 3\nc 4 5 6\n".encode())
    shown = bad.replace("\x00", "\\x00")
    assert refused(read, path, format_name="text") == (
        f"'{shown}' is not a finite number; mend the line, or leave such rows out with --skip-bad "
        f"({path}, line 3, invalid.source)"
    )
    assert read(path, "text", skip_bad=True).words == ["a", "c"]


def test_damage_that_cancels_out_is_found(read, write):
    # a number too few in one line, two glued together in the next: as many numbers as there should be
    path = write(b"a 1 2 3\nb 1  2\nc 1-2 3 4\nd 1 2 3\n")
    assert "line 2" in refused(read, path)


def test_latin_bytes_are_refused_with_their_line(read, write):
    path = write(b"a 1 2\ncaf\xe9 3 4\n")
    assert refused(read, path) == (
        "the token 'caf\\xe9' is not UTF-8; name the file's encoding with --encoding NAME (gbk, latin-1, ...), "
        f"or keep the bytes as they are with --bytes ({path}, line 2, invalid.source)"
    )
    assert read(path, encoding="latin-1").words == ["a", "café"]
    assert read(path, keep_bytes=True).tokens == [b"a", b"caf\xe9"]


def test_wrong_encoding(read, write):
    path = write("2 1\na 1\n中文 2\n".encode("gbk"))
    assert read(path, encoding="gbk").words == ["a", "中文"]
    assert "is not ascii" in refused(read, path, encoding="ascii")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoding": "klingon"}, "the encoding 'klingon' is unknown; Python's names are meant, such as gbk"),
        ({"encoding": "utf-16"}, "lines cannot be split in utf-16; convert the file to UTF-8 first (iconv)"),
        ({"encoding": "gbk", "keep_bytes": True}, "--encoding and --bytes exclude each other; name one of them"),
    ],
)
def test_encodings_that_cannot_be(read, write, options, message):
    with pytest.raises(UsageError) as caught:
        read(write(b"a 1 2\n"), **options)
    assert str(caught.value) == message


@pytest.mark.parametrize("data", [b"", b"\n", b"just words in a line\n", b"2 2\n", b"\x00\x01\x02\x03"])
def test_what_is_no_table(read, write, data):
    refused(read, write(data))


@pytest.mark.parametrize(
    ("name", "extension", "compress"),
    [
        ("gzip", ".gz", gzip.compress),
        ("bzip2", ".bz2", bz2.compress),
        ("xz", ".xz", lzma.compress),
        ("zstd", ".zst", zstandard.compress),
    ],
)
def test_compressed(read, write, name, extension, compress):
    text = b"2 2\na 1 2\nb 3 4\n"
    assert read(write(compress(text), f"table.vec{extension}")).words == ["a", "b"]
    assert read(write(compress(text[:9]) + compress(text[9:]), f"two.vec{extension}")).words == ["a", "b"]
    assert f"the {name} data is damaged or cut short" in refused(read, write(compress(text)[:-3], f"cut{extension}"))


def test_a_word_that_begins_as_bzip2_does(read, write):
    assert read(write(b"BZh 1 2\nb 3 4\n")).words == ["BZh", "b"]


def test_many_blocks_read_as_one(read, write, monkeypatch, same_floats):
    rng = np.random.default_rng(5)
    matrix = rng.normal(size=(500, 7)).astype(np.float32)
    path = write(b"".join(b"w%d %s\n" % (i, " ".join(map(str, row)).encode()) for i, row in enumerate(matrix)))
    for block in (1, 50, 4096, 1 << 22):
        monkeypatch.setattr(text, "BLOCK", block)
        table = read(path)
        assert table.words == [f"w{i}" for i in range(500)]
        same_floats(table.vectors, matrix)


@pytest.mark.parametrize("few", [0, 1 << 12])
def test_unusual_lines_among_many_are_rows_in_their_place(read, write, monkeypatch, same_floats, few):
    monkeypatch.setattr(text, "FEW", few)
    matrix = np.random.default_rng(6).normal(size=(500, 7)).astype(np.float32)
    words = [f"w{i}" for i in range(500)]
    words[1], words[250], words[499] = "New York", "", "a\x0bb"
    lines = [f"{word} {' '.join(map(str, row))}\n" for word, row in zip(words, matrix, strict=True)]
    lines.insert(300, "\n")
    lines.insert(400, "short 1 2\n")
    path = write("".join(lines).encode())
    assert "line 401" in refused(read, path)
    table = read(path, skip_bad=True)
    assert table.words == words
    same_floats(table.vectors, matrix)
    assert table.notes == [
        "tokens with spaces in them: 1, the first 'New York' in line 2",
        "blank lines passed over: 1",
        "bad rows left out: 1, the first in line 401: the row has 2 numbers, not 7",
    ]


def test_numbers_round_as_python_does(read, write, same_floats):
    rng = np.random.default_rng(11)
    digits = [f"{x:.{p}g}" for x in rng.normal(size=300) * 10.0 ** rng.integers(-40, 30, 300) for p in (1, 5, 9, 17)]
    digits += ["1e-45", "7e-46", "1.17549435e-38", "3.4028235e38", "-0", "+1", "1.", ".5", "16777217", "1E5"]
    path = write(b"w " + " ".join(digits).encode() + b"\n")
    same_floats(read(path).vectors[0], np.array([np.float32(float(d)) for d in digits]))


# gensim leaves files open when it looks for their size
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_reading_is_gensims(read, gensim_data, same_floats):
    keyedvectors = pytest.importorskip("gensim.models.keyedvectors")
    for name, header in (
        ("lee_fasttext.vec", True),
        ("crime-and-punishment.vec", True),
        ("EN.1-10.cbow1_wind5_hs0_neg10_size300_smpl1e-05.txt", True),
        ("word2vec_pre_kv_c", True),
        ("high_precision.kv.txt", True),
        ("test_glove.txt", False),
    ):
        theirs = keyedvectors.KeyedVectors.load_word2vec_format(gensim_data / name, no_header=not header)
        ours = read(gensim_data / name)
        assert ours.words == theirs.index_to_key
        same_floats(ours.vectors, theirs.vectors)


def test_written_text_reads_back_bit_for_bit(read, tmp_path, same_floats):
    bits = np.random.default_rng(2).integers(0, 1 << 32, 4000, dtype=np.uint64).astype(np.uint32)
    values = bits.view(np.float32)
    values = values[np.isfinite(values)][:3000].reshape(-1, 10)
    values[0, :4] = [-0.0, 1e-45, 3.4028235e38, 0.1]
    tokens = [b"w%d" % i for i in range(len(values))]
    tokens[3], tokens[4], tokens[5] = b"New York", b"", "a\u00a0b".encode()
    for header in (True, False):
        path = tmp_path / "out.txt"
        with TextSink(str(path), 10, None, header=header) as sink:
            sink.append(Batch(tokens[:100], values[:100]))
            sink.append(Batch(tokens[100:], values[100:]))
        assert path.read_bytes().startswith(b"%d 10\n" % len(values) if header else b"w0 -0.0 1e-45 3.4028235e+38 0.1 ")
        table = read(path, "text" if header else "glove")
        assert table.tokens == tokens
        same_floats(table.vectors, values)
    assert [p.name for p in tmp_path.iterdir()] == ["out.txt"]


def test_many_numbers_are_printed_as_few_are(tmp_path, monkeypatch):
    pytest.importorskip("pyarrow")
    rng = np.random.default_rng(8)
    usual = rng.normal(size=20_000).astype(np.float32)
    bits = rng.integers(0, 0x7F800000, 20_000).astype(np.uint32)
    powers = np.float32(10) ** np.arange(-12, 13, dtype=np.float32)
    edges = np.concatenate([powers, np.nextafter(powers, np.float32(0)), np.nextafter(powers, np.float32(np.inf))])
    values = np.concatenate([usual, usual.round(4), usual.round(), bits.view(np.float32), edges, [0.0]])
    values = np.concatenate([values, -values]).astype(np.float32)
    values = values[: len(values) // 8 * 8].reshape(-1, 8)
    monkeypatch.setattr(text, "MANY", 10_000)
    with TextSink(str(tmp_path / "out.txt"), 8, None, header=False) as sink:
        sink.append(Batch([b"w"] * len(values), values))
    lines = (tmp_path / "out.txt").read_text().splitlines()
    assert lines == [" ".join(["w", *map(str, row)]) for row in values]


@pytest.mark.parametrize("token", [b"a\nb", b"a ", b"a\t", b"a\r"])
def test_tokens_that_text_cannot_hold(tmp_path, token):
    def write_it():
        with TextSink(str(tmp_path / "out.txt"), 2, 1) as sink:
            sink.append(Batch([token], np.ones((1, 2), np.float32)))

    with pytest.raises(InvalidError, match="cannot stand in text; write"):
        write_it()
    assert not list(tmp_path.iterdir())


def test_text_holds_no_nan(tmp_path):
    def write_it():
        with TextSink(str(tmp_path / "out.txt"), 2, 1) as sink:
            sink.append(Batch([b"a"], np.array([[1, np.nan]], np.float32)))

    with pytest.raises(InvalidError, match="the row is not finite"):
        write_it()
    assert not list(tmp_path.iterdir())


def test_a_line_without_end(read, monkeypatch, tmp_path):
    monkeypatch.setattr(text, "BLOCK", 100)
    monkeypatch.setattr(text, "LONGEST_LINE", 1000)
    path = tmp_path / "endless.txt"
    path.write_bytes(b"a" + b" 1" * 2000)
    assert "a line is longer than" in refused(read, path, format_name="text")


def test_sniff_leaves_other_text_alone():
    assert text.sniff(b"the 0.1 0.2\n", "")
    assert text.sniff(b"2 3\nthe 0.1 0.2 0.3\n", "")
    assert not text.sniff(b"the quick brown fox 1\n", "")
    assert not text.sniff(b'{"a": 1}\n', "")
    assert not text.sniff(io.BytesIO(bytes(range(256))).read(), "")
