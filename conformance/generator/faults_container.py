"""Faults of the header, of the section table and of what lies between sections."""

from __future__ import annotations

import struct
import zlib

from bases import codebook, digits, framed, ieee, linear, noughts, product, rotated, split, subwords, trellis, whole
from fault import entry, fault, header, simple
from rawfile import CRITICAL, FLAGS, crc32c

# --- header ---------------------------------------------------------------------------------------------------------

MAGIC = b"\x89QEMB\r\n\x1a"


def magic(name, value, base=linear):
    header(name, "malformed.magic", "HDR-01", base, magic=value)


magic("other magic", b"PK\3\4QEMB")
magic("line ends made LF", b"\x89QEMB\n\x1a\1")
magic("line ends made CR LF", b"\x89QEMB\r\r\n", ieee)
magic("top bits cleared", b"\x09QEMB\r\n\x1a", codebook)
magic("magic in lower case", b"\x89qemb\r\n\x1a", split)
magic("last byte of the magic", MAGIC[:7] + b"\0", product)
magic("UTF-8 made of Latin-1", b"\xc2\x89QEMB\r\n", rotated)
for name, length in (("no bytes at all", 0), ("one byte", 1), ("the magic alone", 8), ("shorter than a header", 63)):
    simple(name, "malformed.truncated", linear, "HDR-02", None, lambda file, length=length: file.cut(length))


@fault("malformed.magic", ieee, "HDR-01")
def three_bytes_of_something_else(file):
    file.set(magic=b"the 0.1 ")
    file.cut(3)


header("older major", "unsupported.version", "HDR-03", linear, major=0)
header("newer major", "unsupported.version", "HDR-03", linear, major=2)
header("big-endian major", "unsupported.version", "HDR-03", ieee, major=256)
header("highest major", "unsupported.version", "HDR-03", codebook, major=65_535)
header("header crc", "malformed.header_checksum", "HDR-04", linear, header_crc=lambda crc: crc ^ 1)
header("header crc of 0", "malformed.header_checksum", "HDR-04", ieee, header_crc=0)
header("header crc not inverted", "malformed.header_checksum", "HDR-04", split, header_crc=lambda crc: crc ^ 0xFFFFFFFF)
header(
    "header crc big-endian", "malformed.header_checksum", "HDR-04", codebook,
    header_crc=lambda crc: int.from_bytes(crc.to_bytes(4, "big"), "little"),
)  # fmt: skip


@fault("malformed.header_checksum", product, "HDR-04")
def header_crc_of_zip(file):
    file.set(header_crc=zlib.crc32(product().build()[:60]))


header("unknown feature", "unsupported.feature", "HDR-05", linear, required_features=2)
header("unknown feature beside a known one", "unsupported.feature", "HDR-05", split, required_features=3)
header("highest feature", "unsupported.feature", "HDR-05", ieee, required_features=1 << 31)
header("table offset", "invalid.table_offset", "HDR-06", linear, table_offset=128)
header("table in the header", "invalid.table_offset", "HDR-06", ieee, table_offset=0)
header("table offset 65", "invalid.table_offset", "HDR-06", codebook, table_offset=65)
header("257 sections", "limit.sections", "HDR-07", linear, section_count=257)
header("2^32 sections", "limit.sections", "HDR-07", ieee, section_count=2**32 - 1)
header("dim 0", "invalid.dim", "HDR-08", linear, dim=0)
header("dim past the limit", "invalid.dim", "HDR-08", ieee, dim=2**24 + 1)
header("highest dim", "invalid.dim", "HDR-08", codebook, dim=2**32 - 1)
header("2^53 rows", "invalid.counts", "HDR-09", linear, rows=2**53)
header("2^64 - 1 rows", "invalid.counts", "HDR-09", product, rows=2**64 - 1)
header("more tokens than rows", "invalid.counts", "HDR-09", ieee, tokens=3)
header("2^64 - 1 tokens", "invalid.counts", "HDR-09", codebook, tokens=2**64 - 1)
header("a token without rows", "invalid.counts", "HDR-09", noughts, tokens=1)
header("file size of 2^53", "invalid.file_size", "HDR-10", linear, file_size=2**53)
header("file size of 2^64 - 1", "invalid.file_size", "HDR-10", codebook, file_size=2**64 - 1)
header("file size within the table", "invalid.file_size", "HDR-10", ieee, file_size=100)
header("file size of a header", "invalid.file_size", "HDR-10", product, file_size=64)
header("256 sections in a small file", "invalid.file_size", "HDR-10", split, section_count=256)
header("file size of 2^53 - 1", "malformed.truncated", "HDR-11", codebook, file_size=2**53 - 1)
header("file size past the end", "malformed.truncated", "HDR-11", linear, file_size=lambda size: size + 1)
header("file size before the end", "invalid.trailing_bytes", "HDR-11", ieee, file_size=lambda size: size - 1)
header("table crc", "malformed.table_checksum", "HDR-12", linear, table_crc=lambda crc: crc ^ 1 << 31)
header("table crc of 0", "malformed.table_checksum", "HDR-12", split, table_crc=0)
header("too few sections", "malformed.table_checksum", "HDR-12", ieee, section_count=lambda count: count - 1)


@fault("malformed.truncated", linear, "HDR-11")
def last_byte_missing(file):
    file.cut(-1)


@fault("malformed.truncated", codebook, "HDR-11")
def cut_after_the_table(file):
    file.cut(64 + 40 * len(file.sections))


@fault("malformed.truncated", split, "HDR-11")
def cut_within_the_table(file):
    file.cut(64 + 40)


@fault("malformed.truncated", ieee, "HDR-11")
def cut_after_the_header(file):
    file.cut(64)


@fault("invalid.trailing_bytes", linear, "HDR-11")
def a_byte_after_the_end(file):
    file.append(b"\0")


@fault("invalid.trailing_bytes", codebook, "HDR-11")
def a_file_after_the_end(file):
    file.append(noughts().build())


# --- every section --------------------------------------------------------------------------------------------------

EVERY = [(whole, section.kind) for section in whole().sections if section.kind in FLAGS]
EVERY += [(digits, kind) for kind in ("HIG1", "HIG2", "HIG3", "EXCP")]


def once_more(kind):
    def apply(file):
        file.insert(kind, file[kind].data, flags=FLAGS[kind])

    return apply


def bytes_before(kind):
    def apply(file):
        sections = [section.kind for section in file.sections]
        # no room is left before it where the one before that is touched, too
        file.touched.add((sections[sections.index(kind) - 1], None))
        file[kind].before = b"\1"

    return apply


for base, kind in EVERY:
    other = "ancillary" if FLAGS[kind] & CRITICAL else "critical"
    entry(f"{kind} called {other}", "invalid.section_flags", "TAB-02a", base, kind, flags=FLAGS[kind] ^ CRITICAL)
    entry(f"codec of {kind}", "unsupported.codec", "TAB-04", base, kind, codec=2)
    entry(f"raw size of {kind}", "invalid.section_size", "TAB-04", base, kind, raw_size=lambda size: size + 1)
    entry(f"crc of {kind}", "malformed.section_checksum", "TAB-11", base, kind, crc=lambda crc: crc ^ 1 << 16)
    simple(f"{kind} twice", "invalid.duplicate_section", base, "TAB-03", kind, once_more(kind))
    if kind == "META":  # nothing lies between it and the table
        continue
    simple(
        f"bytes before {kind}", "invalid.padding", base, "TAB-10", kind,
        bytes_before(kind), also="CON-04",
    )  # fmt: skip

# --- section table --------------------------------------------------------------------------------------------------

for name, base, kind, value in (
    ("kind with a space", linear, "INDX", b"IND "),
    ("kind that begins with a digit", ieee, "INDX", b"1NDX"),
    ("kind that is not ASCII", codebook, "INDX", "ÍND".encode()),
    ("kind of zeros", split, "TOKB", bytes(4)),
    ("kind with an underscore", product, "INDX", b"IN_X"),
    ("kind that ends with a zero byte", rotated, "INDX", b"IND\0"),
    ("kind of digits", subwords, "INDX", b"1234"),
    ("kind just before A", framed, "INDX", b"@NDX"),
    ("kind just after z", trellis, "INDX", b"{NDX"),
):
    entry(name, "invalid.section_kind", "TAB-01", base, kind, kind=value)
entry("reserved flag", "invalid.section_flags", "TAB-02a", linear, "CODE", flags=1 | 4)
entry("highest flag", "invalid.section_flags", "TAB-02a", ieee, "CODE", flags=1 | 1 << 15)
entry("codes called copy-safe", "invalid.section_flags", "TAB-02a", codebook, "CODE", flags=3)
entry("metadata not copy-safe", "invalid.section_flags", "TAB-02a", linear, "META", flags=0)
entry("raw size smaller than stored", "invalid.section_size", "TAB-04", ieee, "INDX", raw_size=lambda size: size - 4)
entry("raw with a frame size", "invalid.section_size", "TAB-04", ieee, "CODE", frame_size=64)
entry("highest codec", "unsupported.codec", "TAB-04", ieee, "TOKB", codec=0xFFFF)
entry("big-endian codec", "unsupported.codec", "TAB-04", framed, "CODE", codec=256)
entry("frames of 0 bytes", "invalid.frame_size", "FRM-01", framed, "CODE", frame_size=0)
entry("frames past the limit", "invalid.frame_size", "FRM-01", linear, "CODE", codec=1, frame_size=2**24 + 1)
entry("frames of 2^32 - 1 bytes", "invalid.frame_size", "FRM-01", ieee, "CODE", codec=1, frame_size=2**32 - 1)
entry("too small for its frame table", "invalid.section_size", "FRM-02", linear, "TOKB", codec=1, frame_size=1)
entry(
    "2^64 - 1 bytes in frames", "invalid.section_size", "FRM-02", ieee, "INDX",
    codec=1, frame_size=1, raw_size=2**64 - 1,
)  # fmt: skip
entry(
    "frame table of a size that wraps", "invalid.section_size", "FRM-02", framed, "CODE",
    frame_size=1, raw_size=2**60,
)  # fmt: skip
entry(
    "2^53 bytes in frames", "invalid.section_size", "FRM-02", split, "CODE", codec=1, frame_size=2**24, raw_size=2**53
)
entry("askew", "invalid.alignment", "TAB-05", linear, "CNTS", offset=lambda offset: offset + 1)
entry("askew by 32", "invalid.alignment", "TAB-05", ieee, "INDX", offset=lambda offset: offset - 32)
entry("askew by 63", "invalid.alignment", "TAB-05", codebook, "CODE", offset=lambda offset: offset + 63)
entry("over the section before it", "invalid.overlap", "TAB-06", linear, "TOKB", offset=lambda offset: offset - 64)
entry("over the header", "invalid.overlap", "TAB-06", ieee, "QUAN", offset=0)
entry("over the table", "invalid.overlap", "TAB-06", codebook, "QUAN", offset=64)
entry("at the first section", "invalid.overlap", "TAB-06", product, "INDX", offset=320)
entry("past the end", "invalid.section_past_end", "TAB-07", linear, "NORM", stored_size=2**20, raw_size=2**20)
entry("one byte past the end", "invalid.section_past_end", "TAB-07", codebook, "INDX", stored_size=17, raw_size=17)
entry("begins past the end", "invalid.section_past_end", "TAB-07", codebook, "INDX", offset=2**40)
entry("offset near 2^64", "invalid.section_past_end", "TAB-07", split, "TOKB", offset=2**64 - 64)
entry(
    "size that wraps to nothing", "invalid.section_past_end", "TAB-07", ieee, "INDX",
    stored_size=2**64 - 448, raw_size=2**64 - 448,
)  # fmt: skip
entry("size of 2^63", "invalid.section_past_end", "TAB-07", product, "INDX", stored_size=2**63, raw_size=2**63)
entry("hole of 64 bytes after the table", "invalid.hole", "TAB-08", whole, "META", offset=lambda offset: offset + 64)
entry("hole", "invalid.hole", "TAB-08", linear, "META", offset=lambda offset: offset + 64)
entry("hole before an empty section", "invalid.hole", "TAB-08", noughts, "CODE", offset=lambda offset: offset + 64)
entry("hole before the token bytes", "invalid.hole", "TAB-08", ieee, "TOKB", offset=lambda offset: offset + 64)


@fault("unsupported.critical_section", linear, "TAB-02b")
def unknown_critical_section(file):
    file.insert("NEWS", b"", flags=1)


@fault("unsupported.critical_section", ieee, "TAB-02b")
def private_critical_section(file):
    file.insert("mine", b"data", flags=3)


@fault("unsupported.critical_section", codebook, "TAB-02b")
def critical_section_named_like_a_plane(file):
    file.insert("HIG4", b"", flags=1)


@fault("unsupported.critical_section", split, "TAB-02b")
def critical_section_named_in_lower_case(file):
    file.insert("code", b"", flags=1)


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


@fault("invalid.section_past_end", linear, "TAB-07")
def unknown_section_past_the_end(file):
    file.insert("NEWS", b"data").entry.update(stored_size=2**40)


@fault("invalid.alignment", rotated, "TAB-05")
def unknown_section_askew(file):
    file.insert("NEWS", b"data").entry.update(offset=lambda offset: offset + 4)


@fault("invalid.trailing_bytes", linear, "TAB-09")
def bytes_after_the_last_section(file):
    file.append(bytes(64))
    file.set(file_size=lambda size: size + 64)


@fault("invalid.trailing_bytes", ieee, "TAB-09")
def padding_after_the_last_section(file):
    file.append(bytes(1))
    file.set(file_size=lambda size: size + 1)


@fault("invalid.trailing_bytes", noughts, "TAB-09")
def no_sections(file):
    file.set(section_count=0, table_crc=0)
    file.touched |= {(section.kind, None) for section in file.sections}


@fault("invalid.missing_section", noughts, "SEC-01", "QUAN", also="HDR-02 HDR-10")
def a_header_alone(file):
    file.set(section_count=0, table_crc=0, file_size=64)
    file.touched |= {(section.kind, None) for section in file.sections}
    file.cut(64)


@fault("invalid.section_size", whole, "FRM-02", "META")
def frame_table_six_bytes_short(file):
    """Sixteen frames, whose table would take all of the section and more."""
    file["META"].data = b"{}".rjust(250)
    file["META"].entry.update(codec=1, raw_size=16, frame_size=1)


@fault("invalid.hole", codebook, "TAB-08", "SCAL")
def a_second_file_in_a_hole(file):
    file["SCAL"].before = bytes(64) + b"hidden"


# --- as stored ------------------------------------------------------------------------------------------------------


@fault("invalid.padding", linear, "TAB-10", "META")
def bytes_between_table_and_sections(file):
    file["META"].before = b"hidden"


@fault("invalid.padding", linear, "TAB-10", "NORM")
def last_byte_of_the_padding(file):
    file["NORM"].before = bytes(3) + b"\1"


@fault("invalid.padding", rotated, "TAB-10")
def bytes_before_an_unknown_section(file):
    file.add("last", b"data")["last"].before = b"\0hidden"


@fault(
    "invalid.padding",
    linear,
    "TAB-10",
    "CODE",
    "The CRC of a section before the bytes in front of it.",
    "ORD-01 TAB-11",
)
def bytes_before_a_section_of_another_crc(file):
    file["CODE"].before = b"\1"
    file["CODE"].entry["crc"] = lambda crc: crc ^ 1


@fault("malformed.section_checksum", ieee, "TAB-11")
def crc_of_an_unknown_section(file):
    file.insert("news", b"data").entry.update(crc=0)


@fault("malformed.section_checksum", codebook, "TAB-11", "CODE")
def crc_of_zip(file):
    file["CODE"].entry["crc"] = zlib.crc32(codebook()["CODE"].data)


@fault("malformed.section_checksum", split, "TAB-11", "SCAL")
def crc_big_endian(file):
    file["SCAL"].entry["crc"] = lambda crc: struct.unpack(">I", struct.pack("<I", crc))[0]


@fault("malformed.section_checksum", product, "TAB-11", "INDX")
def crc_with_the_padding(file):
    """The CRC register run on over the zero bytes that a reader may take along."""
    section = file["INDX"]
    section.entry["crc"] = crc32c(section.data.ljust(64, b"\0"))


@fault("malformed.section_checksum", framed, "TAB-11", "CODE")
def crc_of_what_frames_hold(file):
    file["CODE"].entry["crc"] = crc32c(framed()["CODE"].data)
