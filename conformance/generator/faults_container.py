"""Faults of the header, the section table, what lies between sections, and frames."""

from __future__ import annotations

import struct

import zstdframes
from bases import codebook, framed, ieee, linear, noughts, split
from fault import entry, fault, simple

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
