"""Faults of structures, and of the presence and the sizes of sections."""

from __future__ import annotations

import struct
from functools import partial

from bases import codebook, decimal, digits, ieee, linear, product, rotated, split, subwords, trellis, whole
from fault import fault, place, simple
from rawfile import CRITICAL

# --- structures -----------------------------------------------------------------------------------------------------


def in_frames(kind):
    def apply(file):
        file[kind].frame_size = 64

    return apply


def resized(kind, change):
    """A section some bytes longer, or shorter."""

    def apply(file):
        section = file[kind]
        section.data = section.data + bytes(change) if change > 0 else section.data[:change]

    return apply


for kind, base in (("QUAN", linear), ("TRNS", rotated), ("SUBW", subwords)):
    simple(f"{kind} in frames", "invalid.section_codec", base, "FRM-06", kind, in_frames(kind))
    simple(f"{kind} too long", "invalid.section_size", base, "SEC-03", kind, resized(kind, 1))
    simple(f"{kind} too short", "invalid.section_size", base, "SEC-03", kind, resized(kind, -1))
    simple(f"{kind} of no bytes", "invalid.section_size", base, "SEC-03", kind, resized(kind, -28))


reserved = partial(place, code="malformed.structure", rule="QNT-01a", kind="QUAN", also="CON-04")
reserved("QUAN.reserved", base=linear, at=3, data=b"\1")
reserved("reserved of a codebook", base=codebook, at=22, data=b"\1")
reserved("last reserved of a trellis", base=trellis, at=27, data=b"\1")
reserved("reserved of product levels", base=product, at=24, data=b"\1")
reserved("reserved of decimal levels", base=decimal, at=23, data=b"\1")
reserved("reserved of ieee levels", base=ieee, at=21, data=b"\xff")
reserved("last reserved of ieee levels", base=ieee, at=27, data=b"\x80")
place("unknown level", "unsupported.level", "QNT-01b", linear, "QUAN", 0, b"\5")
place("highest level", "unsupported.level", "QNT-01b", split, "QUAN", 0, b"\xff")


def quantization(name, rule, base, at, data):
    place(name, "invalid.quantization", rule, base, "QUAN", at, data, also="QNT-01")


def int8(value):
    return struct.pack("<b", value)


def int32(value):
    return struct.pack("<i", value)


def with_window(bits, parameter, base=codebook):
    """The descriptor of a base from `bits` on, with those bits and that first parameter."""
    quan = base()["QUAN"].data
    return bits + quan[3:PARAMETERS] + bytes([parameter])


BITS, LOW_BITS, SCALE_GROUP, SCALE_TYPE, OFFSET_GROUP, OFFSET_TYPE = 1, 2, 4, 5, 6, 7
SCALE_BLOCK, OFFSET_BLOCK, ROW_STRIDE, PARAMETERS = 8, 12, 16, 20

linear_quan = linear()["QUAN"].data
quantization("0 bits", "QNT-02", linear, BITS, b"\0\0")
quantization("0 bits of a codebook", "QNT-02", codebook, BITS, b"\0\0")
quantization("0 bits and no others", "QNT-02", linear, BITS, bytes(2) + linear_quan[3:ROW_STRIDE] + bytes(4))
quantization("17 bits", "QNT-02", split, BITS, b"\x11")
quantization("9 bits of a codebook", "QNT-02", codebook, BITS, b"\x09")
quantization("9 bits of a codebook and a window of 9", "QNT-02", codebook, BITS, with_window(b"\x09\x02", 9))
quantization("255 bits of a trellis", "QNT-02", trellis, BITS, b"\xff")
quantization("17 bits of product levels", "QNT-02", product, BITS, b"\x11")
quantization("33 bits of decimals", "QNT-02", decimal, BITS, b"\x21")
quantization("33 bits of ieee levels", "QNT-02", ieee, BITS, b"\x21")
quantization("more low bits than bits", "QNT-03", linear, LOW_BITS, b"\x09")
quantization("255 low bits", "QNT-03", digits, LOW_BITS, b"\xff")
quantization("low bits of a codebook past its bits", "QNT-03", codebook, LOW_BITS, b"\3")
quantization("unknown scale group", "QNT-04", linear, SCALE_GROUP, b"\5")
quantization("unknown scale group of product levels", "QNT-04", product, SCALE_GROUP, b"\xff\1")
quantization("linear without a scale", "QNT-04", rotated, SCALE_GROUP, b"\0\0")
quantization("codebook without a scale", "QNT-04", codebook, SCALE_GROUP, b"\0\0")
quantization("trellis without a scale", "QNT-04", trellis, SCALE_GROUP, b"\0\0\1\1")
quantization("decimal with a scale", "QNT-04", decimal, SCALE_GROUP, b"\1\1")
quantization("decimal with an offset", "QNT-04", digits, OFFSET_GROUP, b"\2\1")
quantization("ieee with a scale", "QNT-04", ieee, SCALE_GROUP, b"\2\2")
quantization("ieee with an offset", "QNT-04", ieee, OFFSET_GROUP, b"\1\1")
quantization("unknown offset group", "QNT-04", linear, OFFSET_GROUP, b"\5")
quantization("unknown scale type", "QNT-05", linear, SCALE_TYPE, b"\3")
quantization("unknown offset type", "QNT-05", whole, OFFSET_TYPE, b"\3")
quantization("scale without a type", "QNT-05", rotated, SCALE_TYPE, b"\0")
quantization("offset without a type", "QNT-05", linear, OFFSET_TYPE, b"\0")
quantization("type without a scale", "QNT-05", product, SCALE_TYPE, b"\1")
quantization("type without an offset", "QNT-05", rotated, OFFSET_TYPE, b"\1")
quantization("type of a decimal's scale", "QNT-05", decimal, SCALE_TYPE, b"\1")
quantization("block of a row's scale", "QNT-06", linear, SCALE_BLOCK, b"\1")
quantization("block of 0 columns", "QNT-06", codebook, SCALE_BLOCK, b"\0")
quantization("block of more columns than there are", "QNT-06", codebook, SCALE_BLOCK, b"\6")
quantization("block of 2^32 - 1 columns", "QNT-06", codebook, SCALE_BLOCK, b"\xff" * 4)
quantization("block of an offset by column", "QNT-06", linear, OFFSET_BLOCK, b"\1")
quantization("block of an offset that is not there", "QNT-06", rotated, OFFSET_BLOCK, b"\3")
quantization("block of an ieee scale", "QNT-06", ieee, SCALE_BLOCK, b"\1")
quantization("step 0", "QNT-07", linear, PARAMETERS, bytes(4))
quantization("step below 0", "QNT-07", rotated, PARAMETERS, int32(-1))
quantization("lowest step", "QNT-07", split, PARAMETERS, int32(-(2**31)))
quantization("level past 2^24 below", "QNT-07", linear, PARAMETERS + 4, int32(2**24 - 127))
quantization("level of two steps past 2^24 above", "QNT-07", split, PARAMETERS + 4, int32(2 * 1023 - 2**24 - 1))
quantization("level past 2^24 above", "QNT-07", rotated, PARAMETERS + 4, int32(127 - 2**24 - 1))
quantization("levels that wrap in 32 bits", "QNT-07", subwords, PARAMETERS, int32(2**31 - 1))
quantization("lowest bias", "QNT-07", split, PARAMETERS + 4, int32(-(2**31)))
quantization("window below bits", "QNT-07", codebook, PARAMETERS, b"\1")
quantization("window of 0", "QNT-07", codebook, PARAMETERS, b"\0")
quantization("window of 17 bits", "QNT-07", codebook, PARAMETERS, b"\x11\1")
quantization("window of 255 bits", "QNT-07", trellis, PARAMETERS, b"\xff")
quantization("codebook that shifts", "QNT-07", codebook, PARAMETERS + 1, b"\1")
quantization("trellis that does not shift", "QNT-07", trellis, PARAMETERS + 1, b"\0")
quantization("trellis that shifts by more than a code", "QNT-07", trellis, PARAMETERS + 1, b"\3")
quantization("trellis that shifts by more than its register", "QNT-07", trellis, PARAMETERS, b"\3\2")
quantization("sub-vectors of 0 values", "QNT-07", product, PARAMETERS, bytes(4))
quantization("sub-vectors of more values than a row", "QNT-07", product, PARAMETERS, b"\6")
quantization("sub-vectors of 2^32 - 1 values", "QNT-07", product, PARAMETERS, b"\xff" * 4)
quantization("0 digits", "QNT-07", decimal, PARAMETERS, b"\0")
quantization("10 digits", "QNT-07", digits, PARAMETERS, b"\x0a")
quantization("exponent below -60", "QNT-07", decimal, PARAMETERS + 1, int8(-61))
quantization("lowest exponent", "QNT-07", digits, PARAMETERS + 1, int8(-128))
quantization("exponents that descend", "QNT-07", decimal, PARAMETERS + 2, int8(-3))
quantization("exponent above 38", "QNT-07", decimal, PARAMETERS + 2, int8(39))
quantization("highest exponent", "QNT-07", digits, PARAMETERS + 2, int8(127))
quantization("too few bits for the digits", "QNT-07", decimal, PARAMETERS, b"\4")
quantization("too few bits for the exponents", "QNT-07", decimal, PARAMETERS + 2, int8(2))
quantization("unknown ieee format", "QNT-07", ieee, PARAMETERS, b"\3")
quantization("unknown ieee format of 16 bits", "QNT-07", ieee, BITS, with_window(b"\x10\x10", 3, ieee))
quantization("exponents of -61 alone", "QNT-07", decimal, PARAMETERS + 1, int8(-61) * 2)
quantization("exponents of 39 alone", "QNT-07", decimal, PARAMETERS + 1, int8(39) * 2)
quantization("32 bits of float16", "QNT-07", ieee, PARAMETERS, b"\1")
quantization("32 bits of bfloat16", "QNT-07", ieee, PARAMETERS, b"\2")
quantization("16 bits of float32", "QNT-07", ieee, BITS, b"\x10\x10")
quantization("row stride too small", "QNT-08", linear, ROW_STRIDE, b"\2")
quantization("row stride of 0", "QNT-08", trellis, ROW_STRIDE, b"\0")
quantization("row stride of the whole bytes alone", "QNT-08", codebook, ROW_STRIDE, b"\1")
quantization("row stride of bits", "QNT-08", decimal, ROW_STRIDE, b"\3")
quantization("row stride without low bits", "QNT-09", split, LOW_BITS, b"\0")

transform = partial(place, base=rotated, kind="TRNS")
for at, data in ((3, b"\1"), (7, b"\1")):
    transform(f"TRNS.reserved at {at}", "malformed.structure", "TRN-01a", at=at, data=data, also="CON-04")
for name, at, data in (
    ("no transform", 0, b"\0"),
    ("unknown transform", 0, b"\2"),
    ("no generator", 1, b"\0"),
    ("unknown generator", 1, b"\2"),
):
    transform(name, "unsupported.transform", "TRN-01b", at=at, data=data)
for name, data in (("no rounds", b"\0"), ("nine rounds", b"\x09"), ("255 rounds", b"\xff")):
    transform(name, "invalid.transform", "TRN-01c", at=2, data=data)

subword = partial(place, base=subwords, kind="SUBW")
for at in (1, 2, 3):
    subword(f"SUBW.reserved at {at}", "malformed.structure", "SUB-02a", at=at, data=b"\1", also="CON-04")
for name, data in (("no subword hash", b"\0"), ("unknown subword hash", b"\2")):
    subword(name, "unsupported.subword", "SUB-02b", at=0, data=data)
for name, at, data in (
    ("n-grams of 0 characters", 4, bytes(4)),
    ("n-grams that end before they begin", 8, b"\2"),
    ("no longest n-gram", 8, bytes(4)),
):
    subword(name, "invalid.subword", "SUB-02c", at=at, data=data)
subword("more buckets than rows", "invalid.counts", "SUB-01", at=12, data=b"\4")
subword("fewer buckets than rows", "invalid.counts", "SUB-01", at=12, data=b"\1")
subword("2^32 - 1 buckets", "invalid.counts", "SUB-01", at=12, data=b"\xff" * 4)


@fault("invalid.counts", subwords, "SUB-01")
def buckets_without_parameters(file):
    file.drop("SUBW")


@fault("invalid.counts", linear, "SUB-01")
def a_row_without_a_token(file):
    file.set(tokens=3)


# --- presence and sizes of the others -------------------------------------------------------------------------------

simple("no QUAN", "invalid.missing_section", ieee, "SEC-01", "QUAN", lambda file: file.drop("QUAN"))
for base, kinds in (
    (linear, ("SCAL", "OFFS", "CODE", "TOKO", "TOKB")),
    (split, ("CODE", "HIG0")),
    (codebook, ("LEVL", "SCAL", "CODE")),
    (product, ("LEVL",)),
    (decimal, ("CODE", "TOKB")),
    (ieee, ("CODE", "TOKO")),
    (digits, ("HIG0", "HIG1", "HIG2", "HIG3")),
    (whole, ("LEVL", "OFFS", "HIG0")),
):
    for kind in kinds:
        simple(f"no {kind}", "invalid.missing_section", base, "SEC-01", kind, lambda file, kind=kind: file.drop(kind))
for base, kinds in (
    (linear, ("SCAL", "OFFS", "CODE", "TOKO", "NORM", "CNTS")),
    (split, ("HIG0",)),
    (codebook, ("LEVL",)),
    (product, ("LEVL",)),
    (digits, ("HIG1", "HIG3", "EXCP")),
):
    for kind in kinds:
        for word, change in (("long", 1), ("short", -1)):
            simple(f"{kind} too {word}", "invalid.section_size", base, "SEC-03", kind, resized(kind, change))
for kind in ("SCAL", "OFFS", "LEVL", "CODE", "HIG0", "TOKO", "NORM", "CNTS"):
    simple(f"{kind} of no bytes", "invalid.section_size", whole, "SEC-03", kind, resized(kind, -1000))
for base, kinds in (
    (ieee, ("LEVL", "SCAL", "OFFS", "HIG0", "EXCP")),
    (rotated, ("OFFS", "LEVL")),
    (linear, ("LEVL", "HIG0", "EXCP")),
    (split, ("HIG1", "HIG3")),
    (codebook, ("EXCP", "HIG0")),
    (decimal, ("LEVL", "SCAL")),
    (product, ("SCAL", "HIG0")),
):
    for kind in kinds:
        simple(
            f"unexpected {kind}", "invalid.unexpected_section", base, "SEC-02", kind,
            lambda file, kind=kind: file.insert(kind, bytes(12), flags=CRITICAL),
        )  # fmt: skip


@fault("invalid.unexpected_section", split, "SEC-02", "CODE")
def codes_without_low_bits(file):
    quan = file["QUAN"]
    quan.data = quan.data[:LOW_BITS] + b"\0" + quan.data[3:ROW_STRIDE] + bytes(4) + quan.data[PARAMETERS:]


@fault("invalid.section_size", codebook, "SEC-03", "TOKO")
def token_offsets_of_64_bits(file):
    file["TOKO"].data = struct.pack("<3Q", 0, 1, 2)


@fault("invalid.section_size", ieee, "SEC-03", "CODE", "A product of counts that wraps.", "QNT-10 CON-03")
def codes_of_2_to_the_66_bytes(file):
    file["QUAN"].data = file["QUAN"].data[:ROW_STRIDE] + struct.pack("<I", 2**14) + file["QUAN"].data[PARAMETERS:]
    file["CODE"].data = b""
    file.set(rows=2**52, tokens=2**52)


@fault("invalid.section_size", ieee, "SEC-03", "CODE", "A product of counts that wraps.", "QNT-10 CON-03")
def codes_of_2_to_the_32_bytes(file):
    """Two rows, so that nothing else is wrong."""
    file["QUAN"].data = file["QUAN"].data[:ROW_STRIDE] + struct.pack("<I", 2**31) + file["QUAN"].data[PARAMETERS:]
    file["CODE"].data = b""


@fault("invalid.section_size", product, "SEC-03", "LEVL", "A product of counts that wraps.", "QNT-10 CON-03")
def levels_of_2_to_the_32_bytes(file):
    quan = file["QUAN"].data
    file["QUAN"].data = quan[:BITS] + b"\x10\x10" + quan[3:ROW_STRIDE] + struct.pack("<2I", 2**15, 1) + bytes(4)
    file["LEVL"].data = b""
    file.set(dim=2**14)


@fault("invalid.section_size", split, "SEC-03", "HIG0", "A product of counts that wraps.", "QNT-10 CON-03")
def planes_of_2_to_the_64_bytes(file):
    """2^24 values in 2^40 rows, and no packed bits that could be missed first."""
    quan = file["QUAN"].data
    file["QUAN"].data = quan[:LOW_BITS] + b"\0" + quan[3:ROW_STRIDE] + bytes(4) + quan[PARAMETERS:]
    file.drop("CODE")
    file["HIG0"].data = b""
    file.insert("HIG1", b"", flags=CRITICAL)
    file.set(rows=2**40, tokens=2**40, dim=2**24)


@fault("limit.metadata_size", linear, "MET-01")
def metadata_past_the_limit(file):
    file["META"].data = b'{"a":"' + b" " * (2**20 - 7) + b'"}'
    file["META"].frame_size = 2**19


@fault("limit.metadata_size", whole, "MET-01", guards="Metadata decompressed before their size is looked at.")
def metadata_of_a_terabyte(file):
    """A frame table of the right size, for frames that are not there."""
    file["META"].data = bytes(16 * 2**8)
    file["META"].entry.update(codec=1, raw_size=2**32, frame_size=2**24)


@fault("invalid.section_size", decimal, "SEC-03", "EXCP")
def exceptions_that_break_off(file):
    file["EXCP"].data += bytes(11)


@fault("invalid.section_size", linear, "IDX-01")
def index_without_an_empty_slot(file):
    file["INDX"].data = struct.pack("<4I", *range(4))


@fault("invalid.section_size", ieee, "IDX-01")
def index_that_breaks_off(file):
    file["INDX"].data = bytes(15)


@fault("invalid.section_size", codebook, "IDX-01")
def index_of_no_slots(file):
    file["INDX"].data = b""


@fault("invalid.section_size", product, "IDX-01", guards="The size of the index multiplied in 32 bits.")
def index_of_2_to_the_32_slots_less_one(file):
    """In frames that are not there: only the size is looked at. With a slot less it is as large as it may be."""
    file["INDX"].data = bytes(16 * 2**10)
    file["INDX"].entry.update(codec=1, raw_size=2**34 - 4, frame_size=2**24)
