"""Faults of contents: metadata, levels, scales, codes, tokens, the index, norms."""

from __future__ import annotations

import struct

import rawfile
from bases import TOKENS, codebook, decimal, ieee, linear, product, split
from fault import fault, place, simple

# --- contents -------------------------------------------------------------------------------------------------------


def metadata(name, code, text):
    def apply(file):
        file["META"].data = text

    simple(name, code, linear, "MET-02" if code.startswith("malformed") else "MET-03", "META", apply)


metadata("metadata that are not UTF-8", "malformed.metadata", b'{"a":"\xff"}')
metadata("metadata with a byte order mark", "malformed.metadata", b"\xef\xbb\xbf{}")
metadata("no metadata at all", "malformed.metadata", b"")
metadata("metadata that break off", "malformed.metadata", b'{"a":1')
metadata("metadata with NaN", "malformed.metadata", b'{"a":NaN}')
metadata("metadata with a comma too many", "malformed.metadata", b'{"a":1,}')
metadata("metadata with bytes after them", "malformed.metadata", b"{}{}")
metadata("metadata with a line feed in a string", "malformed.metadata", b'{"a":"\n"}')
metadata("metadata that are a list", "invalid.metadata", b"[]")
metadata("metadata with a key twice", "invalid.metadata", b'{"a":{"b":1,"b":1}}')
metadata("metadata too deep", "invalid.metadata", b'{"a":' * 33 + b"1" + b"}" * 33)
metadata("metadata deep enough for any stack", "invalid.metadata", b"[" * 100_000)
place("level that is infinite", "invalid.level", "PRO-02", product, "LEVL", 44, struct.pack("<f", float("inf")))
place("level that is NaN", "invalid.level", "PRO-02", product, "LEVL", 0, struct.pack("<f", float("nan")))
place("scale that is NaN", "invalid.scale", "SCL-02", linear, "SCAL", 12, struct.pack("<f", float("nan")))
place("scale that is infinite", "invalid.scale", "SCL-02", codebook, "SCAL", 0, struct.pack("<e", float("inf")))
place("offset that is infinite", "invalid.offset", "SCL-03", linear, "OFFS", 4, struct.pack("<f", float("-inf")))
place("bits past the last code", "invalid.code_padding", "PCK-02", codebook, "CODE", 1, b"\x04")
place("bytes past the last code", "invalid.code_padding", "PCK-02", split, "CODE", 5, b"\x01")
place("code past the last rank", "invalid.code", "DEC-01", decimal, "CODE", 4, b"\xff\xff\xff\x03")
place("first exception past the last value", "invalid.exceptions", "DEC-02", decimal, "EXCP", 0, struct.pack("<Q", 4))
place("exception near 2^64", "invalid.exceptions", "DEC-02", decimal, "EXCP", 0, struct.pack("<Q", 2**64 - 1))
place("exception over a value", "invalid.exceptions", "DEC-02", decimal, "EXCP", 0, bytes(8))


@fault("invalid.code_padding", split, "PCK-03", "HIG0")
def bits_past_those_of_a_code(file):
    file["QUAN"].data = file["QUAN"].data[:1] + bytes([10]) + file["QUAN"].data[2:]


@fault("invalid.exceptions", decimal, "DEC-02", "EXCP")
def exception_twice(file):
    file["EXCP"].data *= 2


place("tokens that begin later", "invalid.token_offsets", "TOK-01", linear, "TOKO", 0, b"\1")
place("tokens that end before the last byte", "invalid.token_offsets", "TOK-01", ieee, "TOKO", 8, b"\1")
place("tokens that descend", "invalid.token_offsets", "TOK-01", linear, "TOKO", 8, b"\0")
place("token past the last byte", "invalid.token_offsets", "TOK-01", split, "TOKO", 4, b"\xff" * 4)


@fault("invalid.token_length", codebook, "TOK-02", "TOKO")
def token_too_long(file):
    file["TOKB"].data = b"x" * 65_537 + b"y"
    file["TOKO"].data = struct.pack("<3I", 0, 65_537, 65_538)


def tokens(name, code, rule, data):
    def apply(file):
        file["TOKB"].data = data

    simple(name, code, linear, rule, "TOKB", apply)


tokens("token that is not UTF-8", "invalid.token_utf8", "TOK-03", b"a" + b"na\xefvex" + b"New York")
tokens("token that breaks off", "invalid.token_utf8", "TOK-03", b"a" + b"naive\xc3" + b"New York")
tokens("token with a surrogate", "invalid.token_utf8", "TOK-03", b"a" + b"\xed\xa0\x80aaa" + b"New York")
tokens("token longer than it need be", "invalid.token_utf8", "TOK-03", b"a" + b"\xc0\x80aaaa" + b"New York")
place("token twice", "invalid.duplicate_token", "TOK-04", codebook, "TOKB", 1, b"x")


def index(name, slots):
    def apply(file):
        file["INDX"].data = struct.pack(f"<{len(slots)}I", *slots)

    simple(name, "invalid.index", linear, "IDX-02", "INDX", apply)


SLOTS = rawfile.index_slots(TOKENS, 7)
E = rawfile.EMPTY
index("index without a token", [E if row == 2 else row for row in SLOTS])
index("index with a row past the tokens", [4 if row == 2 else row for row in SLOTS])
index("index with a row twice", [1 if row == 2 else row for row in SLOTS])
index("index that is empty", [E] * 7)
index("index that goes round", [0] * 7)
index("index turned by one slot", SLOTS[-1:] + SLOTS[:-1])
index("index that is full of the last row", [2**32 - 2] * 7)
place("norm of another row", "invalid.norm", "NRM-01", linear, "NORM", 4, struct.pack("<f", 2))
place("norm that is NaN", "invalid.norm", "NRM-01", linear, "NORM", 0, struct.pack("<f", float("nan")))
