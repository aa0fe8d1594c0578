"""Files by their scheme: descriptor, levels, packed codes, scales and offsets of given or repeatable random values."""

from __future__ import annotations

import struct
from itertools import islice

import rawfile
from rawfile import BLOCK, COLUMN, FLOAT16, FLOAT32, IEEE, LINEAR, NONE, PRODUCT, ROW, TABLE

IEEE32, IEEE16, BFLOAT16 = range(3)
GROUPS = {NONE: "none", TABLE: "table", ROW: "row", COLUMN: "column", BLOCK: "block"}
TYPES = {FLOAT32: "float32", FLOAT16: "float16"}
PACKED = {FLOAT32: "f", FLOAT16: "e"}


def numbers(seed, count, below):
    """Repeatable random integers from 0, below a power of two or any other number."""
    return [word % below for word in islice(rawfile.splitmix64(seed), count)]


def codes(seed, rows, count, bits):
    """Random codes, ``rows`` of ``count``, among them the least, the greatest and the two in the middle."""
    flat = numbers(seed, rows * count, 1 << bits)
    middle = 1 << bits - 1
    for place, code in enumerate((0, (1 << bits) - 1, middle, middle - 1)):
        if place < len(flat):
            flat[place * (len(flat) // 4 or 1)] = code
    return [flat[row * count : (row + 1) * count] for row in range(rows)]


def floats(seed, count):
    """Random numbers of 24 significant bits, between 2^-4 and 2^2: sums and products of them are rounded."""
    return [(1 + fraction / 2**23) * 2.0 ** (fraction % 6 - 4) for fraction in numbers(seed, count, 2**23)]


def linear(step=1, bias=0):
    return struct.pack("<ii", step, bias)


def codebook(window, shift=0):
    return bytes([window, shift])


def product(sub_dim):
    return struct.pack("<I", sub_dim)


def decimal(digits, least, most):
    return struct.pack("<Bbb", digits, least, most)


def ieee(form):
    return bytes([form])


def greatest_rank(digits, least, most):
    """R: the rank of zero, and of the greatest magnitude counted from there."""
    return 10**digits + (most - least) * 9 * 10 ** (digits - 1) - 1


def ieee_code(pattern, bits=32):
    """The code of a floating-point number of that bit pattern."""
    return pattern ^ ((1 << bits) - 1 if pattern >> bits - 1 else 1 << bits - 1)


def group_size(group, block, rows, dim):
    return {NONE: 0, TABLE: 1, ROW: rows, COLUMN: dim, BLOCK: rows * -(-dim // (block or 1))}[group]


def table(
    level,
    bits,
    codes,
    parameters,
    *,
    dim=None,
    low_bits=None,
    stride=None,
    scale=(NONE, 0, 0),
    scales=None,
    offset=(NONE, 0, 0),
    offsets=None,
    levels=None,
    transform=None,
    tokens=None,
    buckets=0,
    index=True,
):
    """A file of these rows of codes. Scales and offsets that are not given are random, tokens ``t0``, ``t1``, ..."""
    rows, count = len(codes), len(codes[0]) if codes else 0
    dim = count if dim is None else dim
    low = bits if low_bits is None else low_bits
    if stride is None:
        across = -(-dim // struct.unpack("<I", parameters)[0]) if level == PRODUCT else dim
        stride = -(-across * low // 8)
    tokens = [b"t%d" % row for row in range(rows - buckets)] if tokens is None else tokens
    file = rawfile.RawFile(rows, len(tokens), dim)
    file.add(
        "QUAN",
        rawfile.descriptor(
            level, bits, dim, low_bits=low, scale=scale, offset=offset, stride=stride, parameters=parameters
        ),
    )
    if transform is not None:
        file.add("TRNS", struct.pack("<3B5xQ", 1, 1, *transform))
    if levels is not None:
        file.add("LEVL", levels)
    if low:
        file.add("CODE", b"".join(rawfile.pack_codes([c & (1 << low) - 1 for c in row], low, stride) for row in codes))
    for plane in range(-(-(bits - low) // 8)):
        file.add(f"HIG{plane}", bytes(code >> low + 8 * plane & 0xFF for row in codes for code in row))
    for kind, (group, form, block), given, seed in (("SCAL", scale, scales, 11), ("OFFS", offset, offsets, 13)):
        if group != NONE:
            values = floats(seed, group_size(group, block, rows, dim)) if given is None else given
            file.add(kind, struct.pack(f"<{len(values)}{PACKED[form]}", *values))
    return rawfile.add_tokens(file, tokens, index=index)


def scaled_linear(rows, **options):
    """8-bit levels as they are, by a scale of 1 for the table: the least that a file of any values takes."""
    codes = [[level & 0xFF for level in row] for row in rows]
    return table(LINEAR, 8, codes, linear(), **{"scale": (TABLE, FLOAT32, 0), "scales": [1.0]} | options)


def floats32(rows, **options):
    """A table of float32, each given by its bits."""
    return table(IEEE, 32, [[ieee_code(bits) for bits in row] for row in rows], ieee(IEEE32), **options)


def bits32(value):
    """The bits of a float32."""
    return struct.unpack("<I", struct.pack("<f", value))[0]
