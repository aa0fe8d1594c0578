"""Valid cases: the bases, linear levels, codebooks, and how codes are packed."""

from __future__ import annotations

import struct
from functools import partial

import bases
from case import valid
from rawfile import BLOCK, CODEBOOK, FLOAT16, FLOAT32, LINEAR, ROW, TABLE
from tables import codebook, codes, linear, numbers, scaled_linear, table

by_row = {"scale": (ROW, FLOAT32, 0)}

# --- the files that bad ones are made from --------------------------------------------------------------------------

for base, requirements, rows, description in (
    (bases.linear, "LIN-01 SCL-01", bases.LINEAR_ROWS, "Int8 levels scaled by row, offsets by column, and much else."),
    (bases.split, "PCK-03 LIN-01", bases.SPLIT_ROWS, "Codes of 11 bits, 3 of them packed and 8 in a plane, no index."),
    (bases.codebook, "COD-01 SCL-01", bases.CODEBOOK_ROWS, "A codebook of 2 bits, float16 scales for blocks of three."),
    (bases.trellis, "COD-01", bases.TRELLIS_ROWS, "One row of a trellis of 2 bits whose window is 4."),
    (bases.product, "PRO-01", bases.PRODUCT_ROWS, "Five values in sub-vectors of two: the last code stands for one."),
    (bases.decimal, "DEC-01 DEC-02", bases.DECIMAL_ROWS, "Decimal numbers of three digits, and an exception: -0."),
    (bases.ieee, "IEE-01", None, "Four float32, a NaN among them."),
    (bases.rotated, "TRN-02 TRN-03", None, "One round of the transform over three values."),
    (bases.subwords, "SUB-03", [[1, 2], [3, 4], [5, 6]], "One token and two subword buckets."),
    (bases.framed, "FRM-05 FRM-03", None, "Codes in four frames of ten rows; the third is stored as it is."),
    (bases.noughts, "HDR-09 SEC-03", [], "No rows and no tokens."),
    (bases.whole, "SEC-01", None, "Every kind of section that a codebook can have, and two unknown ones."),
    (bases.digits, "DEC-01 PCK-03", None, "Decimals of 32 bits, 3 packed and four planes, with exceptions."),
):
    valid(f"bases/{base.__name__}", base(), f"CFM-01 {requirements}",
          "Refusing, or decoding wrongly, a file without a fault.", description, rows)  # fmt: skip

# --- linear ---------------------------------------------------------------------------------------------------------

for bits in range(1, 17):
    dim = (7, 9, 8, 13)[bits % 4]
    step, bias = ((1, 0), (2, -1), (3, 5))[bits % 3]
    valid(
        f"linear/bits-{bits:02}",
        table(LINEAR, bits, codes(bits, 3, dim, bits), linear(step, bias), **by_row),
        "LIN-01 PCK-01 PCK-02 CON-01",
        "Codes taken as unsigned, or from the most significant bit down.",
        f"Linear levels of {bits} bits, three rows of {dim}, step {step} and bias {bias}.",
    )
valid(
    "linear/sign-of-one-bit",
    table(LINEAR, 1, [[0, 1, 1, 0, 1]], linear(), scale=(TABLE, FLOAT32, 0), scales=[2]),
    "LIN-01",
    "A code of one bit taken as 0 and 1.",
    "In one bit, two's complement, 1 is -1.",
    [[0, -2, -2, 0, -2]],
)
valid(
    "linear/half-steps",
    table(LINEAR, 3, [[0, 1, 3, 4, 7]], linear(2, -1), scale=(TABLE, FLOAT32, 0), scales=[0.5]),
    "LIN-01 QNT-07",
    "The bias added instead of subtracted.",
    "Step 2 and bias -1 make levels that lie evenly about zero.",
    [[0.5, 1.5, 3.5, -3.5, -0.5]],
)
valid(
    "linear/greatest-step",
    table(LINEAR, 1, [[0, 1, 1]], linear(2**24, 0), scale=(TABLE, FLOAT32, 0), scales=[1]),
    "LIN-01 QNT-07",
    "A step kept in 16 bits, or a level at the limit refused.",
    "One bit and a step of 2^24: the lowest level is -2^24.",
    [[0, -(2**24), -(2**24)]],
)
valid(
    "linear/levels-at-both-limits",
    table(LINEAR, 1, [[0, 1, 0]], linear(2**25, -(2**24)), scale=(TABLE, FLOAT32, 0), scales=[1]),
    "LIN-01 QNT-07",
    "A limit for the step, where the specification has one for the level.",
    "A step of 2^25 and a bias of -2^24: levels 2^24 and -2^24.",
    [[2**24, -(2**24), 2**24]],
)
valid(
    "linear/bias-beyond-16-bits",
    table(LINEAR, 8, [[0, 127, 128]], linear(1, 2**24 - 128), scale=(TABLE, FLOAT32, 0), scales=[0.25]),
    "LIN-01 QNT-07",
    "Levels held in int16.",
    "A bias of 2^24 - 128: the lowest level is -2^24.",
    [[-(2**22) + 32, -(2**22) + 63.75, -(2**22)]],
)
for dim in (1, 7, 8, 9, 300):
    valid(
        f"linear/dim-{dim:03}",
        table(LINEAR, 3, codes(100 + dim, 2, dim, 3), linear(2, 1), **by_row),
        "PCK-01 HDR-08",
        "Rows that are not padded to a byte, or a stride that is off by one.",
        f"Two rows of {dim} codes of 3 bits.",
    )
valid(
    "linear/one-row-one-value",
    scaled_linear([[-128]]),
    "LIN-01 HDR-08 HDR-09",
    "Loops that need two of something.",
    "One row of one value.",
    [[-128]],
)

# --- packing --------------------------------------------------------------------------------------------------------

valid(
    "packing/order-of-bits",
    table(LINEAR, 4, [[1, 2, 3, 4, 5]], linear(), scale=(TABLE, FLOAT32, 0), scales=[1]),
    "PCK-01",
    "The high half of a byte taken first.",
    "Five codes of 4 bits, 1 to 5: the bytes 21 43 05.",
    [[1, 2, 3, 4, 5]],
)
valid(
    "packing/across-bytes",
    table(LINEAR, 5, [[1, 2, 4, 8, 15, 17, 30, 31]], linear(), scale=(TABLE, FLOAT32, 0), scales=[1]),
    "PCK-01",
    "A code that lies across two bytes put together the wrong way round.",
    "Eight codes of 5 bits, most of them across two bytes.",
    [[1, 2, 4, 8, 15, -15, -2, -1]],
)
valid(
    "packing/code-over-three-bytes",
    table(LINEAR, 11, [[0, 1023, 1024, 1365, 682, 2047]], linear(), scale=(TABLE, FLOAT32, 0), scales=[1]),
    "PCK-01",
    "Codes read out of a window of 16 bits.",
    "Codes of 11 bits, some of which touch three bytes.",
    [[0, 1023, -1024, -683, 682, -1]],
)
for bits, dim, stride in ((8, 3, 4), (3, 5, 7), (1, 9, 64), (16, 2, 5)):
    valid(
        f"packing/stride-{stride:02}-bits-{bits:02}",
        table(LINEAR, bits, codes(stride, 3, dim, bits), linear(), stride=stride, **by_row),
        "PCK-01 QNT-08",
        "A stride computed from `dim` instead of read.",
        f"Rows of {dim} codes of {bits} bits, {stride} bytes apart.",
    )
for bits, low_bits, dim in (
    (1, 0, 9), (2, 1, 7), (8, 0, 5), (8, 7, 9), (9, 1, 8), (9, 8, 3), (11, 0, 6), (12, 4, 7), (13, 5, 4), (16, 0, 5),
    (16, 8, 3), (16, 7, 9), (16, 15, 2), (10, 1, 300),
):  # fmt: skip
    valid(
        f"packing/bits-{bits:02}-low-{low_bits:02}",
        table(LINEAR, bits, codes(40 * bits + low_bits, 2, dim, bits), linear(), low_bits=low_bits, **by_row),
        "PCK-03 PCK-01 QNT-09 QNT-10" if low_bits == 0 else "PCK-03 PCK-01 QNT-10",
        "High parts shifted by 8 instead of by `low_bits`, or planes in the wrong order.",
        f"Linear levels of {bits} bits, {low_bits} of them packed, the others in planes.",
    )
valid(
    "packing/last-plane-of-one-bit",
    table(LINEAR, 9, [[0, 255, 256, 511]], linear(), low_bits=0, scale=(TABLE, FLOAT32, 0), scales=[1]),
    "PCK-03 LIN-01",
    "Sixteen bits made of two planes and taken as signed before they are cut to nine.",
    "Nine bits in two planes: the sign is the lowest bit of the second.",
    [[0, 255, -256, -1]],
)
valid(
    "packing/split-with-a-stride",
    table(LINEAR, 10, codes(77, 3, 5, 10), linear(), low_bits=2, stride=4, **by_row),
    "PCK-03 PCK-01 QNT-08",
    "The stride of the packed bits used for the planes.",
    "Two bits of ten packed in rows of four bytes, the planes without a gap.",
)

# --- codebooks ------------------------------------------------------------------------------------------------------


def levels(seed, window):
    """Levels that are all different as far as int8 goes, in no order."""
    start, step = numbers(seed, 2, 256)
    return bytes((start + (2 * step + 1) * state) % 256 for state in range(1 << window))


level_table = partial(table, CODEBOOK)
for bits in range(1, 9):
    dim = (9, 7, 8, 10)[bits % 4]
    valid(
        f"codebook/bits-{bits}",
        level_table(bits, codes(200 + bits, 3, dim, bits), codebook(bits), levels=levels(bits, bits), **by_row),
        "COD-01 PCK-01",
        "Levels taken as unsigned, or the codes of a codebook as signed.",
        f"A codebook of {bits} bits, its levels in no order.",
    )
for bits, low_bits in ((1, 0), (4, 1), (8, 0), (8, 4)):
    valid(
        f"codebook/bits-{bits}-low-{low_bits}",
        level_table(bits, codes(bits, 2, 7, bits), codebook(bits), low_bits=low_bits, levels=levels(9, bits), **by_row),
        "PCK-03 COD-01",
        "A codebook looked up with the packed bits alone.",
        f"A codebook of {bits} bits, {low_bits} of them packed, the others in a plane.",
    )
for dim in (1, 7, 8, 9, 300):
    valid(
        f"codebook/dim-{dim:03}",
        level_table(
            2, codes(dim, 2, dim, 2), codebook(2), levels=struct.pack("<4b", -127, -38, 38, 127),
            scale=(BLOCK, FLOAT16, min(dim, 32)),
        ),
        "COD-01 SCL-01 HDR-08",
        "Scales by block found without rounding the number of blocks up.",
        f"Two rows of {dim} codes of 2 bits, scales for blocks of {min(dim, 32)} columns.",
    )  # fmt: skip
valid(
    "codebook/lowest-level",
    level_table(1, [[0, 1, 1]], codebook(1), levels=b"\x80\x7f", scale=(TABLE, FLOAT32, 0), scales=[1]),
    "COD-01",
    "Levels taken as symmetric: -128 read as -127 or 128.",
    "The levels -128 and 127.",
    [[-128, 127, 127]],
)
valid(
    "codebook/equal-levels",
    level_table(2, [[0, 1, 2, 3]], codebook(2), levels=b"\7\7\0\7", scale=(TABLE, FLOAT32, 0), scales=[0.5]),
    "COD-01",
    "Levels sorted, or made unique, when they are read.",
    "Several codes for one level.",
    [[3.5, 3.5, 0, 3.5]],
)
