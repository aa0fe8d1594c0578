"""One fault for each way in which a `.qemb` file can be bad, with the code that readers owe it and its place in the
order of checks (section 8 of the specification)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import rawfile
import zstdframes
from bases import TOKENS, codebook, decimal, framed, ieee, linear, noughts, product, rotated, split, subwords, trellis

if TYPE_CHECKING:
    from collections.abc import Callable

STRUCTURES = ("QUAN", "TRNS", "SUBW")
CONTENTS = "MET-02 MET-03 PRO-02 SCL-02 SCL-03 PCK-02 PCK-03 DEC-01 DEC-02 TOK-01 TOK-02 TOK-03 TOK-04 IDX-02 NRM-01"


@dataclass(frozen=True)
class Fault:
    name: str
    code: str
    base: Callable[[], rawfile.RawFile]
    rule: str
    """The requirement that is broken, without QEMB; a letter after it puts the parts of one in order."""
    kind: str | None
    """The section that it is broken in."""
    apply: Callable[[rawfile.RawFile], object]

    def bytes(self):
        file = self.base()
        self.apply(file)
        return file.build()

    @property
    def rank(self):
        """Place in the order of checks."""
        order = [section.kind for section in self.base().sections]
        place = order.index(self.kind) if self.kind in order else -1
        group, number = self.rule.split("-")
        if group == "HDR":
            return 1, number
        if self.rule == "TAB-09":
            return 2, len(order)
        if (group == "TAB" and number < "10") or self.rule in ("FRM-01", "FRM-02"):
            return 2, place, "TAB-04" if group == "FRM" else self.rule
        if group == "SEC":
            return self._section_rank(number)
        if self.kind in STRUCTURES and self.rule in ("FRM-06", "TAB-11"):
            return 3, 1 + STRUCTURES.index(self.kind), ("FRM-06", "SEC-03", "TAB-11").index(self.rule)
        if group in ("QNT", "TRN", "SUB"):
            return 4, ("QNT", "TRN", "SUB").index(group) + (self.rule == "SUB-01"), number
        if self.rule in ("MET-01", "IDX-01"):
            return 6, ("MET-01", "EXCP", "IDX-01").index(self.rule)
        if group in ("TAB", "FRM"):
            return 7, place, {"TAB": 0, "FRM": 1}[group], number
        return 8, CONTENTS.split().index(self.rule)

    def _section_rank(self, number):
        if self.kind in ("QUAN", "TOKO", "TOKB") and number == "01":
            return 3, 0, self.kind
        if self.kind in STRUCTURES:
            return 3, 1 + STRUCTURES.index(self.kind), 1
        if self.kind == "EXCP":
            return 6, 1
        return 5, list(rawfile.FLAGS).index(self.kind)


FAULTS: list[Fault] = []


def fault(code, base, rule, kind=None):
    def register(apply):
        FAULTS.append(Fault(apply.__name__, code, base, rule, kind, apply))
        return apply

    return register


def simple(name, code, base, rule, kind, apply):
    FAULTS.append(Fault(name, code, base, rule, kind, apply))


# --- header ---------------------------------------------------------------------------------------------------------

for name, base, rule, code, fields in (
    ("other magic", linear, "HDR-01", "malformed.magic", {"magic": b"PK\3\4QEMB"}),
    ("older major", linear, "HDR-03", "unsupported.version", {"major": 0}),
    ("newer major", linear, "HDR-03", "unsupported.version", {"major": 2}),
    ("header crc", linear, "HDR-04", "malformed.header_checksum", {"header_crc": lambda crc: crc ^ 1}),
    ("unknown feature", linear, "HDR-05", "unsupported.feature", {"required_features": 2}),
    ("highest feature", ieee, "HDR-05", "unsupported.feature", {"required_features": 1 << 31}),
    ("table offset", linear, "HDR-06", "invalid.table_offset", {"table_offset": 128}),
    ("table in the header", ieee, "HDR-06", "invalid.table_offset", {"table_offset": 0}),
    ("257 sections", linear, "HDR-07", "limit.sections", {"section_count": 257}),
    ("2^32 sections", ieee, "HDR-07", "limit.sections", {"section_count": 2**32 - 1}),
    ("dim 0", linear, "HDR-08", "invalid.dim", {"dim": 0}),
    ("dim past the limit", ieee, "HDR-08", "invalid.dim", {"dim": 2**24 + 1}),
    ("2^53 rows", linear, "HDR-09", "invalid.counts", {"rows": 2**53}),
    ("more tokens than rows", ieee, "HDR-09", "invalid.counts", {"tokens": 3}),
    ("2^64 - 1 tokens", codebook, "HDR-09", "invalid.counts", {"tokens": 2**64 - 1}),
    ("file size of 2^53", linear, "HDR-10", "invalid.file_size", {"file_size": 2**53}),
    ("file size within the table", ieee, "HDR-10", "invalid.file_size", {"file_size": 100}),
    ("256 sections in a small file", split, "HDR-10", "invalid.file_size", {"section_count": 256}),
    ("file size past the end", linear, "HDR-11", "malformed.truncated", {"file_size": lambda size: size + 1}),
    ("table crc", linear, "HDR-12", "malformed.table_checksum", {"table_crc": lambda crc: crc ^ 1 << 31}),
    ("too few sections", ieee, "HDR-12", "malformed.table_checksum", {"section_count": lambda count: count - 1}),
):
    simple(name, code, base, rule, None, lambda file, fields=fields: file.set(**fields))


@fault("malformed.truncated", linear, "HDR-02")
def shorter_than_a_header(file):
    file.cut(63)


@fault("malformed.truncated", linear, "HDR-11")
def last_byte_missing(file):
    file.cut(-1)


@fault("invalid.trailing_bytes", linear, "HDR-11")
def a_byte_after_the_end(file):
    file.append(b"\0")


# --- section table --------------------------------------------------------------------------------------------------


def entry(name, code, rule, base, section, /, **fields):
    simple(name, code, base, rule, section, lambda file: file[section].entry.update(fields))


entry("kind with a space", "invalid.section_kind", "TAB-01", linear, "INDX", kind=b"IND ")
entry("kind that begins with a digit", "invalid.section_kind", "TAB-01", ieee, "INDX", kind=b"1NDX")
entry("kind that is not ASCII", "invalid.section_kind", "TAB-01", codebook, "INDX", kind="ÍND".encode())
entry("kind of zeros", "invalid.section_kind", "TAB-01", split, "TOKB", kind=bytes(4))
entry("reserved flag", "invalid.section_flags", "TAB-02a", linear, "CODE", flags=1 | 4)
entry("critical section called ancillary", "invalid.section_flags", "TAB-02a", ieee, "CODE", flags=0)
entry("index called critical", "invalid.section_flags", "TAB-02a", linear, "INDX", flags=1)
entry("metadata not copy-safe", "invalid.section_flags", "TAB-02a", linear, "META", flags=0)
entry("kind twice", "invalid.duplicate_section", "TAB-03", linear, "CNTS", kind=b"INDX")
entry("raw sizes differ", "invalid.section_size", "TAB-04", linear, "SCAL", raw_size=12)
entry("raw with a frame size", "invalid.section_size", "TAB-04", ieee, "CODE", frame_size=64)
entry("unknown codec", "unsupported.codec", "TAB-04", linear, "OFFS", codec=2)
entry("highest codec", "unsupported.codec", "TAB-04", ieee, "TOKB", codec=0xFFFF)
entry("frames of 0 bytes", "invalid.frame_size", "FRM-01", framed, "CODE", frame_size=0)
entry("frames past the limit", "invalid.frame_size", "FRM-01", linear, "CODE", codec=1, frame_size=2**24 + 1)
entry("too small for its frame table", "invalid.section_size", "FRM-02", linear, "TOKB", codec=1, frame_size=1)
entry(
    "frames of 2^64 - 1 bytes",
    "invalid.section_size",
    "FRM-02",
    ieee,
    "INDX",
    codec=1,
    frame_size=1,
    raw_size=2**64 - 1,
)
entry("askew", "invalid.alignment", "TAB-05", linear, "CNTS", offset=lambda offset: offset + 1)
entry("askew by 32", "invalid.alignment", "TAB-05", ieee, "INDX", offset=lambda offset: offset - 32)
entry("over the section before it", "invalid.overlap", "TAB-06", linear, "TOKB", offset=lambda offset: offset - 64)
entry("over the header", "invalid.overlap", "TAB-06", ieee, "QUAN", offset=0)
entry("over the table", "invalid.overlap", "TAB-06", codebook, "QUAN", offset=64)
entry("past the end", "invalid.section_past_end", "TAB-07", linear, "NORM", stored_size=2**20, raw_size=2**20)
entry("one byte past the end", "invalid.section_past_end", "TAB-07", codebook, "INDX", stored_size=17, raw_size=17)
entry("begins past the end", "invalid.section_past_end", "TAB-07", codebook, "INDX", offset=2**40)
entry("offset near 2^64", "invalid.section_past_end", "TAB-07", split, "TOKB", offset=2**64 - 64)
entry(
    "size that wraps to nothing", "invalid.section_past_end", "TAB-07", ieee, "INDX", stored_size=2**64 - 448,
    raw_size=2**64 - 448,
)  # fmt: skip
entry("hole", "invalid.hole", "TAB-08", linear, "META", offset=lambda offset: offset + 64)


@fault("unsupported.critical_section", linear, "TAB-02b")
def unknown_critical_section(file):
    file.insert("NEWS", b"", flags=1)


@fault("unsupported.critical_section", ieee, "TAB-02b")
def private_critical_section(file):
    file.insert("mine", b"data", flags=3)


@fault("invalid.section_flags", codebook, "TAB-02a")
def reserved_flag_of_an_unknown_section(file):
    file.insert("NEWS", b"", flags=8)


@fault("invalid.duplicate_section", codebook, "TAB-03")
def private_section_twice(file):
    file.insert("mine", b"")
    file.insert("mine", b"")


@fault("invalid.overlap", split, "TAB-06")
def unknown_section_over_the_table(file):
    file.insert("NEWS", b"data").entry.update(offset=64)


@fault("invalid.trailing_bytes", linear, "TAB-09")
def bytes_after_the_last_section(file):
    file.append(bytes(64))
    file.set(file_size=lambda size: size + 64)


@fault("invalid.hole", codebook, "TAB-08", "SCAL")
def a_second_file_in_a_hole(file):
    file["SCAL"].before = bytes(64) + b"hidden"


@fault("invalid.missing_section", ieee, "SEC-01", "QUAN")
def no_descriptor(file):
    file.drop("QUAN")


@fault("invalid.missing_section", linear, "SEC-01", "TOKO")
def no_token_offsets(file):
    file.drop("TOKO")


@fault("invalid.missing_section", linear, "SEC-01", "TOKB")
def no_token_bytes(file):
    file.drop("TOKB")


@fault("invalid.trailing_bytes", noughts, "TAB-09")
def no_sections(file):
    file.set(section_count=0, table_crc=0)


# --- structures -----------------------------------------------------------------------------------------------------


def in_frames(kind):
    def apply(file):
        file[kind].frame_size = 64

    return apply


def one_more_byte(kind):
    def apply(file):
        file[kind].data += b"\0"

    return apply


for kind, base in (("QUAN", linear), ("TRNS", rotated), ("SUBW", subwords)):
    simple(f"{kind} in frames", "invalid.section_codec", base, "FRM-06", kind, in_frames(kind))
    simple(f"{kind} too long", "invalid.section_size", base, "SEC-03", kind, one_more_byte(kind))
    entry(f"crc of {kind}", "malformed.section_checksum", "TAB-11", base, kind, crc=lambda crc: crc ^ 2)


def place(name, code, rule, base, kind, at, data):
    simple(name, code, base, rule, kind, lambda file: file.patch(kind, at, data))


def quantization(name, rule, base, at, data):
    place(name, "invalid.quantization", rule, base, "QUAN", at, data)


place("QUAN.reserved", "malformed.structure", "QNT-01a", linear, "QUAN", 3, b"\1")
place("reserved of a codebook", "malformed.structure", "QNT-01a", codebook, "QUAN", 22, b"\1")
place("reserved of product levels", "malformed.structure", "QNT-01a", product, "QUAN", 24, b"\1")
place("reserved of decimal levels", "malformed.structure", "QNT-01a", decimal, "QUAN", 23, b"\1")
place("reserved of ieee levels", "malformed.structure", "QNT-01a", ieee, "QUAN", 21, b"\xff")
place("unknown level", "unsupported.level", "QNT-01b", linear, "QUAN", 0, b"\5")
quantization("0 bits", "QNT-02", linear, 1, b"\0")
quantization("17 bits", "QNT-02", split, 1, b"\x11")
quantization("9 bits of a codebook", "QNT-02", codebook, 1, b"\x09")
quantization("17 bits of product levels", "QNT-02", product, 1, b"\x11")
quantization("33 bits", "QNT-02", decimal, 1, b"\x21")
quantization("more low bits than bits", "QNT-03", linear, 2, b"\x09")
quantization("unknown scale group", "QNT-04a", linear, 4, b"\5")
quantization("linear without a scale", "QNT-04a", rotated, 4, b"\0\0")
quantization("codebook without a scale", "QNT-04a", codebook, 4, bytes(2))
quantization("decimal with a scale", "QNT-04a", decimal, 4, b"\1\1")
quantization("ieee with an offset", "QNT-04a", ieee, 6, b"\1\1")
quantization("unknown scale type", "QNT-05a", linear, 5, b"\3")
quantization("scale without a type", "QNT-05a", rotated, 5, b"\0")
quantization("type without an offset", "QNT-05a", rotated, 7, b"\1")
quantization("unknown offset group", "QNT-04a", linear, 6, b"\5")
quantization("block of a row's scale", "QNT-06a", linear, 8, b"\1")
quantization("block of 0 columns", "QNT-06a", codebook, 8, b"\0")
quantization("block of more columns than there are", "QNT-06a", codebook, 8, b"\6")
quantization("block of an offset that has none", "QNT-06b", linear, 12, b"\1")
quantization("step 0", "QNT-07", linear, 20, bytes(4))
quantization("step below 0", "QNT-07", rotated, 20, struct.pack("<i", -1))
quantization("level past 2^24", "QNT-07", linear, 24, struct.pack("<i", 2**24 - 127))
quantization("lowest bias", "QNT-07", split, 24, struct.pack("<i", -(2**31)))
quantization("window below bits", "QNT-07", codebook, 20, b"\1")
quantization("window of 17 bits", "QNT-07", codebook, 20, b"\x11")
quantization("codebook that shifts", "QNT-07", codebook, 21, b"\1")
quantization("trellis that does not shift", "QNT-07", trellis, 21, b"\0")
quantization("trellis that shifts by more than a code", "QNT-07", trellis, 21, b"\3")
quantization("trellis that shifts by more than its register", "QNT-07", trellis, 20, b"\3\2")
quantization("sub-vectors of 0 values", "QNT-07", product, 20, bytes(4))
quantization("sub-vectors of more values than a row", "QNT-07", product, 20, b"\6")
quantization("0 digits", "QNT-07", decimal, 20, b"\0")
quantization("10 digits", "QNT-07", decimal, 20, b"\x0a")
quantization("exponent below -60", "QNT-07", decimal, 21, struct.pack("<b", -61))
quantization("exponents that descend", "QNT-07", decimal, 22, struct.pack("<b", -3))
quantization("exponent above 38", "QNT-07", decimal, 22, b"\x27")
quantization("too few bits for the ranks", "QNT-07", decimal, 20, b"\4")
quantization("unknown ieee format", "QNT-07", ieee, 20, b"\3")
quantization("32 bits of float16", "QNT-07", ieee, 20, b"\1")
quantization("row stride too small", "QNT-08", linear, 16, b"\2")
quantization("row stride without low bits", "QNT-09", split, 2, b"\0")
place("TRNS.reserved", "malformed.structure", "TRN-01a", rotated, "TRNS", 7, b"\1")
place("unknown transform", "unsupported.transform", "TRN-01b", rotated, "TRNS", 0, b"\2")
place("unknown generator", "unsupported.transform", "TRN-01b", rotated, "TRNS", 1, b"\0")
place("no rounds", "invalid.transform", "TRN-01c", rotated, "TRNS", 2, b"\0")
place("nine rounds", "invalid.transform", "TRN-01c", rotated, "TRNS", 2, b"\x09")
place("SUBW.reserved", "malformed.structure", "SUB-02a", subwords, "SUBW", 2, b"\1")
place("unknown subword hash", "unsupported.subword", "SUB-02b", subwords, "SUBW", 0, b"\2")
place("n-grams of 0 characters", "invalid.subword", "SUB-02c", subwords, "SUBW", 4, bytes(4))
place("n-grams that end before they begin", "invalid.subword", "SUB-02c", subwords, "SUBW", 8, b"\2")
place("other number of buckets", "invalid.counts", "SUB-01", subwords, "SUBW", 12, b"\1")


@fault("invalid.counts", subwords, "SUB-01")
def buckets_without_parameters(file):
    file.drop("SUBW")


# --- presence and sizes of the others -------------------------------------------------------------------------------

for base, kinds in (
    (linear, ("SCAL", "OFFS", "CODE")),
    (split, ("CODE", "HIG0")),
    (codebook, ("LEVL", "SCAL", "CODE")),
    (product, ("LEVL",)),
):
    for kind in kinds:
        code = "invalid.missing_section"
        simple(f"no {kind}", code, base, "SEC-01", kind, lambda file, kind=kind: file.drop(kind))
for base, kind in (
    (linear, "SCAL"),
    (linear, "OFFS"),
    (linear, "CODE"),
    (split, "HIG0"),
    (codebook, "LEVL"),
    (product, "LEVL"),
    (linear, "TOKO"),
    (linear, "NORM"),
    (linear, "CNTS"),
    (decimal, "EXCP"),
):
    simple(f"{kind} too long", "invalid.section_size", base, "SEC-03", kind, one_more_byte(kind))
for base, kind in (
    (ieee, "LEVL"),
    (ieee, "SCAL"),
    (rotated, "OFFS"),
    (linear, "HIG0"),
    (split, "HIG1"),
    (linear, "EXCP"),
):
    code = "invalid.unexpected_section"
    simple(f"unexpected {kind}", code, base, "SEC-02", kind, lambda file, kind=kind: file.add(kind, bytes(12)))


@fault("invalid.section_size", codebook, "SEC-03", "TOKO")
def token_offsets_of_64_bits(file):
    file["TOKO"].data = struct.pack("<3Q", 0, 1, 2)


@fault("limit.metadata_size", linear, "MET-01")
def metadata_past_the_limit(file):
    file["META"].data = b'{"a":"' + b" " * (2**20 - 7) + b'"}'


@fault("invalid.section_size", linear, "IDX-01")
def index_without_an_empty_slot(file):
    file["INDX"].data = struct.pack("<4I", *range(4))


@fault("invalid.section_size", ieee, "IDX-01")
def index_that_breaks_off(file):
    file["INDX"].data = bytes(15)


# --- as stored ------------------------------------------------------------------------------------------------------


@fault("invalid.padding", linear, "TAB-10", "META")
def bytes_between_table_and_sections(file):
    file["META"].before = b"hidden"


@fault("invalid.padding", linear, "TAB-10", "NORM")
def bytes_between_sections(file):
    file["NORM"].before = b"\0\1"


for kind in ("META", "CODE", "SCAL", "TOKB", "INDX"):
    entry(f"crc of {kind}", "malformed.section_checksum", "TAB-11", linear, kind, crc=lambda crc: crc ^ 1 << 16)


@fault("malformed.section_checksum", ieee, "TAB-11")
def crc_of_an_unknown_section(file):
    file.insert("news", b"data").entry.update(crc=0)


@fault("invalid.frame_table", framed, "FRM-03", "CODE")
def first_frame_later(file):
    file["CODE"].frame_entries[0, "offset"] = 1


@fault("invalid.frame_table", framed, "FRM-03", "CODE")
def frames_that_overlap(file):
    file["CODE"].frame_entries[2, "offset"] = lambda offset: offset - 1


@fault("invalid.frame_table", framed, "FRM-03", "CODE")
def frame_near_the_top_of_64_bits(file):
    file["CODE"].frame_entries[1, "offset"] = 2**64 - 1


@fault("invalid.frame_table", framed, "FRM-03", "CODE")
def last_frame_shorter_than_its_room(file):
    file["CODE"].frame_entries[3, "size"] = lambda size: size - 1


@fault("malformed.frame_checksum", framed, "FRM-04", "CODE")
def crc_of_a_frame(file):
    file["CODE"].frame_entries[1, "crc"] = lambda crc: crc ^ 1


def frame(name, stored):
    def apply(file):
        file["CODE"].frames[1] = stored

    simple(name, "malformed.frame", framed, "FRM-05", "CODE", apply)


RIGHT = bytes([2]) * 80
frame("frame of noise", b"noise, and no zstd")
frame("empty frame", b"")
frame("frame cut short", zstdframes.compress(RIGHT)[:-1])
frame("frame with something after it", zstdframes.compress(RIGHT) + b"\0")
frame("two frames in one", zstdframes.compress(RIGHT[:40]) + zstdframes.compress(RIGHT[40:]))
frame("frame that holds less", zstdframes.compress(RIGHT[:-1]))
frame("frame that holds more", zstdframes.compress(RIGHT + b"\2"))
frame("zstd bomb", zstdframes.compress(bytes(1 << 26)))
frame("frame without a size", zstdframes.compress(RIGHT, content_size=False))
frame("skippable frame", b"\x50\x2a\x4d\x18" + struct.pack("<I", 16) + bytes(16))
frame("frame of a dictionary", b"\x28\xb5\x2f\xfd\x21\x07\x50" + struct.pack("<I", 80 << 3 | 1)[:3] + RIGHT[:60])


def _claims_a_terabyte():
    """A frame that says it holds 2^40 bytes, and is 27 long."""
    return b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 1 << 40) + bytes(14)


frame("zstd frame that claims a terabyte", _claims_a_terabyte())

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
