"""Faults of structures, of the presence and the sizes of sections."""

from __future__ import annotations

import struct

from bases import codebook, decimal, ieee, linear, product, rotated, split, subwords, trellis
from fault import entry, fault, place, simple

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
    file["META"].frame_size = 2**19


@fault("invalid.section_size", linear, "IDX-01")
def index_without_an_empty_slot(file):
    file["INDX"].data = struct.pack("<4I", *range(4))


@fault("invalid.section_size", ieee, "IDX-01")
def index_that_breaks_off(file):
    file["INDX"].data = bytes(15)
