"""Faults of contents: metadata, levels, scales, codes, tokens, the index, norms."""

from __future__ import annotations

import math
import struct

import rawfile
from bases import SPLIT_ROWS, TOKENS, codebook, decimal, digits, ieee, linear, product, split, trellis, whole
from fault import data, fault, place
from rawfile import CRITICAL, EMPTY

INFINITY, NAN, LEAST = float("inf"), float("nan"), 2.0**-149


def float32(value):
    return struct.pack("<f", value)


def float16(value):
    return struct.pack("<e", value)


# --- metadata -------------------------------------------------------------------------------------------------------

for name, text in (
    ("that are not UTF-8", b'{"a":"\xff"}'),
    ("with a surrogate in UTF-8", b'{"a":"\xed\xa0\x80"}'),
    ("with an overlong quotation mark", b'{"a":\xc0\xa2\xc0\xa2}'),
    ("that break off within a character", b'{"a":"\xc3'),
    ("in UTF-16", '{"a":1}'.encode("utf-16-le")),
    ("with a byte order mark", b"\xef\xbb\xbf{}"),
    ("of no bytes", b""),
    ("of white space", b" \n"),
    ("that break off", b'{"a":1'),
    ("that break off in a string", b'{"a":"'),
    ("that break off in an escape", b'{"a":"\\'),
    ("with NaN", b'{"a":NaN}'),
    ("with Infinity", b'{"a":-Infinity}'),
    ("with a comma too many", b'{"a":1,}'),
    ("with a comma too many in a list", b'{"a":[1,]}'),
    ("with a comma alone", b"{,}"),
    ("with two values", b"{}{}"),
    ("with a byte after them", b"{}\0"),
    ("with a line feed in a string", b'{"a":"\n"}'),
    ("with the last control character in a string", b'{"a":"\x1f"}'),
    ("with a zero byte in a string", b'{"a":"\0"}'),
    ("with a tab in a key", b'{"\t":1}'),
    ("with an unknown escape", b'{"a":"\\x41"}'),
    ("with an escaped line end", b'{"a":"\\\n"}'),
    ("with three digits in an escape", b'{"a":"\\u123"}'),
    ("with a sign in an escape", b'{"a":"\\u+123"}'),
    ("in single quotes", b"{'a':1}"),
    ("with a bare key", b"{a:1}"),
    ("with a number for a key", b"{1:1}"),
    ("with a comment", b'{"a":1}/**/'),
    ("with a leading zero", b'{"a":01}'),
    ("with a plus sign", b'{"a":+1}'),
    ("with a point and no digit", b'{"a":1.}'),
    ("with a point first", b'{"a":.5}'),
    ("with an exponent and no digit", b'{"a":1e}'),
    ("with a minus sign alone", b'{"a":-}'),
    ("with a hexadecimal number", b'{"a":0x10}'),
    ("with digits that are not ASCII", '{"a":١}'.encode()),
    ("with True", b'{"a":True}'),
    ("with undefined", b'{"a":undefined}'),
    ("with white space that is none", '{\u00a0"a":1}'.encode()),
    ("with a form feed", b'{\f"a":1}'),
    ("without a colon", b'{"a" 1}'),
    ("without a value", b'{"a":}'),
    ("with brackets that do not match", b'{"a":[1}'),
    ("that close more than they open", b"{}}"),
):
    data(f"metadata {name}", "malformed.metadata", "MET-02", linear, "META", text)
for name, text in (
    ("that are a list", b"[]"),
    ("that are a string", b'"a"'),
    ("that are a number", b"1"),
    ("that are null", b"null"),
    ("with a key twice", b'{"a":1,"a":1}'),
    ("with a key twice within", b'{"a":{"b":1,"b":1}}'),
    ("with a key twice in a list", b'{"a":[{"b":1,"c":2,"b":3}]}'),
    ("with a key twice, once escaped", b'{"a":1,"\\u0061":2}'),
    ("with a key twice, once as surrogates", '{"👩":1,"\\ud83d\\uDC69":2}'.encode()),
    ("with half a character twice", b'{"\\uD800":1,"\\ud800":2}'),
    ("with the empty key twice", b'{"":1,"":2}'),
    ("too deep", b'{"a":' * 33 + b"1" + b"}" * 33),
    ("too deep in lists", b'{"a":' + b"[" * 32 + b"]" * 32 + b"}"),
    ("too deep after lists that close", b'{"a":[[],[],[]],"b":' + b"[" * 32 + b"]" * 32 + b"}"),
    ("too deep after objects that close", b'{"a":[{},{},{}],"b":' + b'{"c":' * 32 + b"1" + b"}" * 33),
    ("deep enough for any stack", b"[" * 10_000),
    ("too deep before they break off", b"[" * 33 + b"x"),
):
    data(f"metadata {name}", "invalid.metadata", "MET-03", linear, "META", text)

# --- levels, scales, codes ------------------------------------------------------------------------------------------

for name, at, value in (
    ("that is infinite", 40, INFINITY),
    ("that is minus infinity", 8, -INFINITY),
    ("that is NaN", 0, NAN),
    ("past the row that is NaN", 44, NAN),
    ("of no code that is infinite", 12, INFINITY),
):
    place(f"level {name}", "invalid.level", "PRO-02", product, "LEVL", at, float32(value))
for name, base, at, value in (
    ("that is NaN", linear, 12, float32(NAN)),
    ("that is infinite", linear, 0, float32(INFINITY)),
    ("that is minus infinity", split, 0, float32(-INFINITY)),
    ("that is a signalling NaN", trellis, 0, b"\1\0\x80\x7f"),
    ("of float16 that is infinite", codebook, 0, float16(INFINITY)),
    ("of float16 that is NaN", codebook, 6, float16(NAN)),
    ("of float16 that is minus infinity", whole, 8, float16(-INFINITY)),
):
    place(f"scale {name}", "invalid.scale", "SCL-02", base, "SCAL", at, value)
for name, base, at, value in (
    ("that is infinite", linear, 4, INFINITY),
    ("that is minus infinity", linear, 8, -INFINITY),
    ("that is NaN", whole, 0, NAN),
):
    place(f"offset {name}", "invalid.offset", "SCL-03", base, "OFFS", at, float32(value))
for name, base, at, value in (
    ("bits past the last code", codebook, 1, b"\x04"),
    ("top bit past the last code", codebook, 3, b"\x80"),
    ("bits past the last code of the first row", product, 0, b"\x0a"),
    ("bytes past the last code", split, 5, b"\x01"),
    ("bits of a decimal past the last code", decimal, 3, b"\x04"),
    ("bits of one code past it", whole, 4, b"\x21"),
    ("top bits past the last code", digits, 3, b"\xfe"),
):
    place(name, "invalid.code_padding", "PCK-02", base, "CODE", at, value)
place("bits past those of a code in a plane", "invalid.code_padding", "PCK-03", whole, "HIG0", 24, b"\4")
place("top bit past those of a code in a plane", "invalid.code_padding", "PCK-03", whole, "HIG0", 0, b"\x80")


@fault("invalid.code_padding", split, "PCK-03", "HIG1")
def bits_past_those_of_a_code_in_the_second_plane(file):
    """Codes of 12 bits, one of them in the second plane."""
    file["QUAN"].data = file["QUAN"].data[:1] + b"\x0c" + file["QUAN"].data[2:]
    file.insert("HIG1", bytes(9) + b"\2", flags=CRITICAL)


place("bits past those of a code in the last plane", "invalid.code_padding", "PCK-03", digits, "HIG3", 0, b"\x20")


@fault("invalid.code_padding", split, "PCK-03", "HIG0")
def bits_past_those_of_a_code(file):
    file["QUAN"].data = file["QUAN"].data[:1] + bytes([10]) + file["QUAN"].data[2:]


place("code past the last rank", "invalid.code", "DEC-01", decimal, "CODE", 4, b"\xff\xff\xff\x03")
place("code just past the last rank", "invalid.code", "DEC-01", decimal, "CODE", 0, struct.pack("<H", 2 * 3699 + 1))


@fault("invalid.code", digits, "DEC-01", "HIG3")
def code_of_32_bits_past_the_last_rank(file):
    file.patch("HIG3", 2, b"\x1f")


for name, position in (
    ("past the last value", 4),
    ("in the next row", 6),
    ("of 2^32", 2**32),
    ("near 2^64", 2**64 - 1),
    ("over a value", 0),
    ("over the last value", 3),
    ("over a value below zero", 1),
):
    place(f"exception {name}", "invalid.exceptions", "DEC-02", decimal, "EXCP", 0, struct.pack("<Q", position))
place("exceptions that descend", "invalid.exceptions", "DEC-02", digits, "EXCP", 0, struct.pack("<QIQ", 4, 1, 1))
place("exceptions at one place", "invalid.exceptions", "DEC-02", digits, "EXCP", 12, struct.pack("<Q", 1))


@fault("invalid.exceptions", decimal, "DEC-02", "EXCP")
def exception_twice(file):
    file["EXCP"].data *= 2


# --- tokens ---------------------------------------------------------------------------------------------------------

for name, base, at, value in (
    ("tokens that begin later", linear, 0, 1),
    ("tokens that end before the last byte", ieee, 8, 1),
    ("tokens that end after the last byte", codebook, 8, 3),
    ("tokens that descend", linear, 8, 0),
    ("token past the last byte", split, 4, 2**32 - 1),
    ("token just past the last byte", digits, 4, 3),
    ("token that ends before it begins", linear, 12, 0),
):
    place(name, "invalid.token_offsets", "TOK-01", base, "TOKO", at, struct.pack("<I", value))


@fault("invalid.token_offsets", product, "TOK-01", "TOKB")
def bytes_after_the_last_token(file):
    file["TOKB"].data += b"\0"


@fault("invalid.token_offsets", trellis, "TOK-01", "TOKB")
def no_bytes_of_a_token(file):
    file["TOKB"].data = b""


@fault("invalid.token_length", codebook, "TOK-02", "TOKO")
def token_too_long(file):
    file["TOKB"].data = b"x" * 65_537 + b"y"
    file["TOKO"].data = struct.pack("<3I", 0, 65_537, 65_538)
    file["TOKB"].frame_size = 2**17


@fault("invalid.token_length", ieee, "TOK-02", "TOKO")
def token_one_byte_too_long(file):
    file["TOKB"].data = b"x" + b"y" * 65_537
    file["TOKO"].data = struct.pack("<3I", 0, 1, 65_538)


@fault("invalid.token_length", whole, "TOK-02", "TOKO")
def last_token_too_long(file):
    file["TOKB"].data = b"xy" + b"z" * 2**20
    file["TOKO"].data = struct.pack("<4I", 0, 1, 2, 2 + 2**20)
    file["TOKB"].frame_size = 2**21


for name, value in (
    ("that is not UTF-8", b"na\xefvex"),
    ("that breaks off", b"naive\xc3"),
    ("that begins with a continuation", b"\x80aaaaa"),
    ("with a high surrogate", b"\xed\xa0\x80aaa"),
    ("with a low surrogate", b"\xed\xbf\xbfaaa"),
    ("with a pair of surrogates", b"\xed\xa0\xbd\xed\xb1\xa9"),
    ("with zero in two bytes", b"\xc0\x80aaaa"),
    ("with a slash in two bytes", b"\xc0\xafaaaa"),
    ("with two bytes for 7F", b"\xc1\xbfaaaa"),
    ("with three bytes for 7FF", b"\xe0\x9f\xbfaaa"),
    ("with four bytes for FFFF", b"\xf0\x8f\xbf\xbfaa"),
    ("past 10FFFF", b"\xf4\x90\x80\x80aa"),
    ("with F5", b"\xf5\x80\x80\x80aa"),
    ("with five bytes for a character", b"\xf8\x88\x80\x80\x80a"),
    ("with FE", b"\xfeaaaaa"),
    ("with FF", b"aaaaa\xff"),
    ("with a character cut short", b"a\xe2\x82aaa"),
    ("with a continuation too many", b"\xc3\xa9\xa9aaa"),
):
    data(f"token {name}", "invalid.token_utf8", "TOK-03", linear, "TOKB", b"a" + value + b"New York")


@fault("invalid.token_utf8", codebook, "TOK-03", "TOKB", "UTF-8 checked for all token bytes at once.")
def character_over_two_tokens(file):
    file["TOKB"].data = "é".encode()


place("token twice", "invalid.duplicate_token", "TOK-04", codebook, "TOKB", 1, b"x")
place("token twice without an index", "invalid.duplicate_token", "TOK-04", split, "TOKB", 0, b"y")


@fault("invalid.duplicate_token", linear, "TOK-04", "TOKB")
def first_token_last_once_more(file):
    file["TOKB"].data = b"a" + "naïve".encode() + b"a"
    file["TOKO"].data = struct.pack("<5I", 0, 1, 1, 7, 8)


@fault("invalid.duplicate_token", digits, "TOK-04", "TOKO")
def empty_token_twice(file):
    file["TOKB"].data = b""
    file["TOKO"].data = bytes(12)


@fault(
    "invalid.duplicate_token",
    split,
    "TOK-04",
    "TOKO",
    "An index made in a time that grows as the square of equal tokens.",
)
def empty_token_30_000_times(file):
    rows = 30_000
    file.set(rows=rows, tokens=rows)
    file["TOKB"].data = b""
    for kind, size in (("CODE", len(file["CODE"].data) // 2 * rows), ("HIG0", 5 * rows), ("TOKO", 4 * rows + 4)):
        file[kind].data, file[kind].frame_size = bytes(size), 2**20


# --- token by token -------------------------------------------------------------------------------------------------

IN_TURN = "All tokens put through one check before the next, so that another error is reported."


@fault("invalid.duplicate_token", split, "TOK-04", "TOKB", IN_TURN, "ORD-01 TOK-03")
def token_twice_before_one_that_is_not_utf_8(file):
    three_tokens(file, [b"x", b"x", b"\xff"])


@fault("invalid.token_utf8", split, "TOK-03", "TOKB", IN_TURN, "ORD-01 TOK-04")
def token_that_is_not_utf_8_before_one_twice(file):
    three_tokens(file, [b"\xff", b"x", b"x"])


@fault("invalid.token_length", split, "TOK-02", "TOKO", IN_TURN, "ORD-01 TOK-01")
def token_too_long_before_one_that_descends(file):
    three_tokens(file, [b"x" * 65_537, b"y", b"z"])
    file["TOKO"].data = struct.pack("<4I", 0, 65_537, 65_536, 65_539)


@fault("invalid.token_offsets", split, "TOK-01", "TOKO", IN_TURN, "ORD-01 TOK-02")
def token_that_descends_before_one_too_long(file):
    three_tokens(file, [b"xy", b"z", b"x" * 65_537])
    file["TOKO"].data = struct.pack("<4I", 0, 2, 1, 65_540)


@fault("invalid.token_offsets", split, "TOK-01", "TOKO", IN_TURN, "ORD-01 TOK-02")
def last_offset_and_a_token_too_long(file):
    three_tokens(file, [b"x" * 65_537, b"y", b"z"])
    file["TOKO"].data = struct.pack("<4I", 0, 65_537, 65_538, 65_540)


def three_tokens(file, tokens):
    """A third row of codes, and these tokens, in frames."""
    file.set(rows=3, tokens=3)
    file.touched.add(("inserted", None))  # what was put in for two rows
    file["CODE"].data += bytes(3)
    file["HIG0"].data += bytes(5)
    ends = [sum(map(len, tokens[:count])) for count in range(4)]
    file["TOKO"].data, file["TOKB"].data = struct.pack("<4I", *ends), b"".join(tokens)
    file["TOKB"].frame_size = 2**17


# --- index ----------------------------------------------------------------------------------------------------------

SLOTS = rawfile.index_slots(TOKENS, 7)
swapped = {1: 2, 2: 1}
for name, slots in (
    ("without a token", [EMPTY if row == 2 else row for row in SLOTS]),
    ("with a row past the tokens", [4 if row == 2 else row for row in SLOTS]),
    ("with a row twice", [1 if row == 2 else row for row in SLOTS]),
    ("with a row once more", [row if row != EMPTY else 3 for row in SLOTS]),
    ("with two rows changed over", [swapped.get(row, row) for row in SLOTS]),
    ("that is empty", [EMPTY] * 7),
    ("that goes round", [0] * 7),
    ("turned by one slot", SLOTS[-1:] + SLOTS[:-1]),
    ("turned by a slot back", SLOTS[1:] + SLOTS[:1]),
    ("that is full of the last row", [2**32 - 2] * 7),
    ("of rows in order", [*range(4), EMPTY, EMPTY, EMPTY]),
    ("with big-endian rows", [struct.unpack(">I", struct.pack("<I", row))[0] for row in SLOTS]),
    ("by the remainder of the CRC", rawfile.index_slots(TOKENS, 7, lambda crc, size: crc % size)),
    ("that counts rows from 1", [row if row == EMPTY else row + 1 for row in SLOTS]),
):
    data(f"index {name}", "invalid.index", "IDX-02", linear, "INDX", struct.pack(f"<{len(slots)}I", *slots))


@fault("invalid.index", ieee, "IDX-02", "INDX", "A search that does not begin at the first slot of a token.")
def index_with_a_gap_before_a_token(file):
    """The second token two slots past its first, which is empty."""
    slots = rawfile.index_slots([b"x", b"y"], 9)
    at = slots.index(1)
    slots[at], slots[(at + 2) % 9] = EMPTY, 1
    file["INDX"].data = struct.pack("<9I", *slots)


# --- norms ----------------------------------------------------------------------------------------------------------

for name, base, at, value in (
    ("of another row", linear, 4, 2),
    ("that is NaN", linear, 0, NAN),
    ("that is infinite", linear, 8, INFINITY),
    ("that is negative", linear, 12, -math.sqrt(2)),
    ("squared", linear, 12, 2),
    ("two parts in a million above", linear, 12, math.sqrt(2) * (1 + 2e-6)),
    ("two parts in a million below", linear, 12, math.sqrt(2) * (1 - 2e-6)),
    ("of a rotated row", whole, 0, 1),
    ("of a bucket", whole, 16, 0),
):
    place(f"norm {name}", "invalid.norm", "NRM-01", base, "NORM", at, float32(value))


@fault("invalid.norm", linear, "NRM-01", "NORM", "Norms that are great taken for those that float32 cannot hold.")
def norm_of_a_great_row(file):
    """127 x 2^121 is below 2^128."""
    file.patch("SCAL", 0, float32(2.0**121))
    file.patch("NORM", 0, float32(1))


@fault("invalid.norm", split, "NRM-01", "NORM", "A tolerance of more than the least float32.")
def norm_of_a_subnormal_row(file):
    """Off by more than 2^-149, by less than twice that."""
    file.patch("SCAL", 0, float32(LEAST))
    norms = [rawfile.norm([2 * value for value in row]) for row in SPLIT_ROWS]
    file.insert("NORM", b"".join(float32((math.floor(norm) + 2) * LEAST) for norm in norms))
