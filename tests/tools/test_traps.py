"""What real files of vectors hold, one trap a file: what `qemb convert` makes of each, and its exact words."""

from __future__ import annotations

import struct

import pytest

import qemb as codec

ROW = struct.pack("<3f", 1, 2, 3)
NOT_UTF8 = (
    "is not UTF-8; name the file's encoding with --encoding NAME (gbk, latin-1, ...), or keep the bytes as they are "
    "with --bytes"
)

READ = {
    "no header": ("a.txt", b"the 1 2 3\nof 4 5 6\n", [], ["the", "of"], ""),
    "header that promises too many rows": (
        "a.vec", b"5 3\nthe 1 2 3\nof 4 5 6\n", [], ["the", "of"], "note: the header promises 5 rows; there are 2",
    ),
    "tokens with spaces": (
        "a.txt", b"the 1 2 3\n. . . 4 5 6\nNew York 7 8 9\n", [], ["the", ". . .", "New York"],
        "note: tokens with spaces in them: 2, the first '. . .' in line 2",
    ),
    "other spaces of Unicode": (
        "a.txt", "New\u00a0York 4 5 6\n\u3000 7 8 9\n".encode(), [], ["New\u00a0York", "\u3000"], "",
    ),
    "bytes that are kept": ("a.txt", b"the 1 2 3\nna\xefve 4 5 6\n", ["--bytes"], ["the", "na\udcefve"], ""),
    "GBK and CRLF": ("a.txt", "的 1 2 3\r\n是 4 5 6\r\n".encode("gbk"), ["--encoding", "gbk"], ["的", "是"], ""),
    "short row, left out": (
        "a.txt", b"the 1 2 3\nof 4 5\nand 7 8 9\n", ["--skip-bad"], ["the", "and"],
        "note: bad rows left out: 1, the first in line 2: the row has 2 numbers, not 3",
    ),
    "nan, left out": (
        "a.txt", b"the 1 2 3\nof 4 nan 6\n", ["--skip-bad"], ["the"],
        "note: bad rows left out: 1, the first in line 2: 'nan' is not a finite number",
    ),
    "no newline at the end": ("a.txt", b"the 1 2 3\nof 4 5 6", [], ["the", "of"], ""),
    "word twice": ("a.txt", b"the 1 2 3\nthe 4 5 6\nof 7 8 9\n", [], ["the", "of"], "duplicates left out: 1"),
    "newline after each vector": ("a.bin", b"2 3\nthe " + ROW + b"\nof " + ROW + b"\n", [], ["the", "of"], ""),
    "no newline after a vector": ("a.bin", b"2 3\nthe " + ROW + b"of " + ROW, [], ["the", "of"], ""),
}  # fmt: skip

REFUSED = {
    "header of another dimension": (
        "a.vec", b"2 4\nthe 1 2 3\nof 4 5 6\n",
        "the header promises 4 numbers a row and the rows have 3; mend or remove the header (a.vec, line 1, ",
    ),
    "header alone": ("a.vec", b"2 3\n", "there are no rows; check that the file is whole (a.vec, "),
    "not UTF-8": ("a.txt", b"the 1 2 3\nna\xefve 4 5 6\n", rf"the token 'na\xefve' {NOT_UTF8} (a.txt, line 2, "),
    "GBK": ("a.txt", "的 1 2 3\r\n".encode("gbk"), rf"the token '\xb5\xc4' {NOT_UTF8} (a.txt, line 1, "),
    "short row": (
        "a.txt", b"the 1 2 3\nof 4 5\nand 7 8 9\n",
        "the row has 2 numbers, not 3; mend the line, or leave such rows out with --skip-bad (a.txt, line 2, ",
    ),
    "nan": (
        "a.txt", b"the 1 2 3\nof 4 nan 6\n",
        "'nan' is not a finite number; mend the line, or leave such rows out with --skip-bad (a.txt, line 2, ",
    ),
    "past float32": (
        "a.txt", b"the 1 2 3\nof 4 1e99 6\n",
        "'1e99' is not a finite number; mend the line, or leave such rows out with --skip-bad (a.txt, line 2, ",
    ),
    "cut .bin": (
        "a.bin", b"2 3\nthe " + ROW + b"of " + ROW[:-2],
        "the file ends in row 1 of 2; it was cut short, so fetch it again (a.bin, row 1, byte 20, ",
    ),
    "nothing": ("a.txt", b"", "the file is empty; check the name (a.txt, "),
    "prose": (
        "a.txt", b"Call me Ishmael. Some years ago\nnever mind how long\n",
        "this is no format that is known; name it with --from (`qemb formats` lists them) or check the file (a.txt, ",
    ),
    "line of a gigabyte": (
        "a.txt", b"the 1 2 3\n" + b"x" * (1 << 27),
        "a line is longer than 64 MiB, so this is not text with one row a line; check the format (a.txt, ",
    ),
}  # fmt: skip


@pytest.mark.parametrize("trap", READ)
def test_read(qemb, tmp_path, trap):
    name, data, options, words, said = READ[trap]
    (tmp_path / name).write_bytes(data)
    result = qemb("convert", name, "out.qemb", "--scheme", "exact", *options)
    with codec.open(tmp_path / "out.qemb") as emb:
        emb.verify()
        assert list(emb) == words
    if said:
        assert said in (result.stderr + result.stdout)
    else:
        assert result.stderr == ""


@pytest.mark.parametrize("trap", REFUSED)
def test_refused(qemb, tmp_path, trap):
    name, data, message = REFUSED[trap]
    (tmp_path / name).write_bytes(data)
    result = qemb("convert", name, "out.qemb", code=1)
    assert result.stderr == f"qemb: {message}invalid.source)\n"
    assert not (tmp_path / "out.qemb").exists()


def test_the_short_row_that_people_have(qemb, shared_tables, tmp_path):
    """Its row 403 has U+3000 for a token, which a split on white space loses: with the encoding named, all are read."""
    path = shared_tables / "zh-487-300d-gbk-crlf-shortrow.vec"
    said = qemb("convert", path, "out.qemb", code=1).stderr
    assert said == rf"qemb: the token '\xa3\xac' {NOT_UTF8} ({path}, line 2, invalid.source)" + "\n"
    qemb("convert", path, "out.qemb", "--encoding", "gbk")
    with codec.open(tmp_path / "out.qemb") as emb:
        assert (len(emb), emb.dim) == (487, 300)
        assert "\u3000" in emb
