"""Valid cases: scales, offsets and their arithmetic in float32; the transform; norms."""

from __future__ import annotations

import struct
from itertools import cycle, product

from case import valid
from rawfile import BLOCK, CODEBOOK, COLUMN, FLOAT16, FLOAT32, IEEE, LINEAR, NONE, PRODUCT, ROW, TABLE
from tables import (
    GROUPS,
    IEEE16,
    TYPES,
    bits32,
    codebook,
    codes,
    floats32,
    ieee,
    linear,
    scaled_linear,
    table,
)
from tables import product as product_parameters

SCALES = list(product((TABLE, ROW, COLUMN, BLOCK), (FLOAT32, FLOAT16)))
EITHER = [(NONE, 0), *SCALES]


def grouping(group, form, block):
    return group, form, block if group == BLOCK else 0


def words(group, form):
    return GROUPS[group] if group == NONE else f"{GROUPS[group]}-{TYPES[form]}"


# every grouping of the scale with every grouping of the offset
kinds = cycle(((FLOAT32, FLOAT16), (FLOAT16, FLOAT32), (FLOAT32, FLOAT32), (FLOAT16, FLOAT16)))
for scale_group, offset_group in product((TABLE, ROW, COLUMN, BLOCK), GROUPS):
    for scale_type, offset_type in (next(kinds), next(kinds)) if offset_group != NONE else ((1, 0), (2, 0)):
        scale, offset = grouping(scale_group, scale_type, 3), grouping(offset_group, offset_type, 4)
        valid(
            f"scale/{words(*scale[:2])}-offset-{words(*offset[:2])}",
            table(LINEAR, 8, codes(scale_group, 3, 10, 8), linear(), scale=scale, offset=offset),
            "SCL-01 QNT-10 CON-02 CFM-03",
            "A scale or an offset taken from another place, in another order of bytes, or with one rounding for two.",
            f"Scales: {words(*scale[:2])}; offsets: {words(*offset[:2])}; blocks of three and of four in ten columns.",
        )
for level, name in ((CODEBOOK, "codebook"), (PRODUCT, "product")):
    for scale, offset in zip(SCALES if level == CODEBOOK else EITHER, cycle(EITHER)):
        scaled = {"scale": grouping(*scale, 2), "offset": grouping(*offset, 5)}
        if level == CODEBOOK:
            file = table(
                level, 3, codes(3, 3, 7, 3), codebook(3), levels=struct.pack("<8b", *range(-64, 64, 16)), **scaled
            )
        else:
            levels = struct.pack("<32f", *(number / 7 - 2 for number in range(32)))
            file = table(level, 1, codes(4, 3, 4, 1), product_parameters(2), dim=7, levels=levels[:64], **scaled)
        valid(
            f"scale/{name}-{words(*scale)}-offset-{words(*offset)}",
            file,
            "SCL-01 QNT-04 QNT-10",
            "Groups of scales that work for linear levels alone.",
            f"A {name} with scales: {words(*scale)}; offsets: {words(*offset)}.",
        )
valid(
    "scale/codebook-offset-block-float16",
    table(
        CODEBOOK, 2, codes(1, 3, 9, 2), codebook(2), levels=b"\x81\xda\x26\x7f", scale=(ROW, FLOAT32, 0),
        offset=(BLOCK, FLOAT16, 4),
    ),
    "SCL-01 QNT-04 QNT-10",
    "Offsets by block taken with the blocks of the scale.",
    "A codebook with offsets for blocks of four of nine columns.",
)  # fmt: skip
for block, dim in ((1, 5), (5, 5), (4, 9), (8, 9), (32, 300)):
    valid(
        f"scale/block-{block:02}-dim-{dim:03}",
        table(LINEAR, 4, codes(block, 2, dim, 4), linear(), scale=(BLOCK, FLOAT16, block)),
        "SCL-01 QNT-06 QNT-10",
        "The number of blocks in a row rounded down, or blocks that run on into the next row.",
        f"Blocks of {block} columns in rows of {dim}.",
    )

# --- arithmetic -----------------------------------------------------------------------------------------------------

LEAST, GREATEST = 2.0**-149, 2.0**128 - 2.0**104
by_column = (COLUMN, FLOAT32, 0)


def arithmetic(name, levels, scales, requirements, guards, description, expected, *, offsets=None, scale_type=FLOAT32):
    """One row, with a scale for each column."""
    offset = (NONE, 0, 0) if offsets is None else by_column
    scale = (COLUMN, scale_type, 0)
    file = scaled_linear([levels], scale=scale, scales=scales, offset=offset, offsets=offsets)
    valid(f"arithmetic/{name}", file, requirements, guards, description, [expected])


arithmetic(
    "fused",
    [3, 3, 5, 7, 11], [1 / 3 + 2.0**-26, 0.1, 0.2, 1 + 2.0**-23, 0.7],
    "CON-02 SCL-01 CFM-03",
    "A product fused with a sum, or computed in float64.",
    "Products that are rounded, less what they are rounded to: exactly 0 in two operations.",
    [0, 0, 0, 0, 0],
    offsets=[-1, -0.30000001192092896, -1, -7.000000953674316, -7.699999809265137],
)  # fmt: skip
arithmetic(
    "ties-to-even",
    [3, 5, -3, -5, 127], [1 + 2.0**-23, 1 + 2.0**-23, 1 + 2.0**-23, 1 + 2.0**-23, 1 + 2.0**-23],
    "CON-02 SCL-01",
    "Ties rounded away from zero, or products cut.",
    "Products half-way between two float32, and near to it.",
    [3 + 2.0**-21, 5 + 2.0**-21, -3 - 2.0**-21, -5 - 2.0**-21, 127 + 2.0**-16 - 0],
)  # fmt: skip
arithmetic(
    "sums-tie-to-even",
    [1, 1, 3, -1, 1], [1, 1, 1, 1, 1],
    "CON-02 SCL-01",
    "Sums rounded otherwise than to nearest, ties to even.",
    "Sums half-way between two float32.",
    [2.0**24, 2.0**24 + 4, 2.0**24 + 4, -(2.0**24), 2.0**25],
    offsets=[2.0**24, 2.0**24 + 2, 2.0**24, -(2.0**24), 2.0**25],
)  # fmt: skip
arithmetic(
    "subnormal-scales",
    [1, -1, 2, 127, -128], [LEAST, LEAST, LEAST, 3 * LEAST, 2.0**-127],
    "CON-02 SCL-02",
    "Subnormal scales taken for zero.",
    "Subnormal float32 scales.",
    [LEAST, -LEAST, 2 * LEAST, 381 * LEAST, -(2.0**-120)],
)  # fmt: skip
arithmetic(
    "subnormal-float16-scales",
    [1, -1, 2, 127, -128], [2.0**-24, 2.0**-24, 3 * 2.0**-24, 1023 * 2.0**-24, 2.0**-14],
    "CON-02 SCL-02",
    "Subnormal float16 flushed to zero, or given the exponent of a normal one.",
    "Subnormal float16 scales, and the least that is not.",
    [2.0**-24, -(2.0**-24), 6 * 2.0**-24, 129921 * 2.0**-24, -(2.0**-7)],
    scale_type=FLOAT16,
)  # fmt: skip
arithmetic(
    "extreme-float16-scales",
    [1, -1, 127, 2, 1], [65504, 65504, 65504, -65504, -0.0],
    "CON-02 SCL-02",
    "A product rounded to float16.",
    "The greatest float16 as a scale, of either sign, and -0.",
    [65504, -65504, 8319008, -131008, -0.0],
    scale_type=FLOAT16,
)  # fmt: skip
arithmetic(
    "subnormal-products",
    [1, 3, -3, 1, 5], [2.0**-126, 2.0**-127, 2.0**-127, 2.0**-126 + LEAST, 2.0**-148],
    "CON-02",
    "Subnormal results flushed to zero.",
    "Products that are subnormal, or just not.",
    [2.0**-126, 3 * 2.0**-127, -3 * 2.0**-127, 2.0**-126 + LEAST, 10 * LEAST],
)  # fmt: skip
arithmetic(
    "subnormal-sums",
    [1, -1, 1, -1, 1], [2.0**-126, 2.0**-126, LEAST, LEAST, 2.0**-126],
    "CON-02",
    "Subnormal sums flushed to zero.",
    "Sums of numbers near the least normal one.",
    [2.0**-127, -(2.0**-127), 0, 0, LEAST],
    offsets=[-(2.0**-127), 2.0**-127, -LEAST, LEAST, -(2.0**-126) + LEAST],
)  # fmt: skip
arithmetic(
    "negative-scales",
    [1, -1, 127, -128, 0], [-1, -1, -0.5, -2, -3],
    "SCL-02 SCL-01",
    "Scales taken to be positive.",
    "Negative scales; 0 times one of them is -0.",
    [-1, 1, -63.5, 256, -0.0],
)  # fmt: skip
arithmetic(
    "signed-zeros",
    [1, -1, 0, 0, -1], [0.0, 0.0, -0.0, 1, -0.0],
    "CON-02 SCL-01",
    "-0 made +0.",
    "Scales of zero of either sign: -0 wherever the signs differ.",
    [0, -0.0, -0.0, 0, 0],
)  # fmt: skip
arithmetic(
    "signed-zeros-with-offsets",
    [-1, -1, 0, 1, -1], [0.0, 0.0, -0.0, 1, 1],
    "CON-02 SCL-01",
    "An offset of zero left out as if it changed nothing.",
    "-0 + -0 is -0, -0 + 0 is 0, and so is 1 - 1.",
    [-0.0, 0, -0.0, 0, 0],
    offsets=[-0.0, 0.0, -0.0, -1, 1],
)  # fmt: skip
arithmetic(
    "overflow",
    [2, -2, 127, 1, 3], [GREATEST, GREATEST, 2.0**122, GREATEST, 2.0**127],
    "CON-02 SCL-01",
    "Overflow refused, clipped, or kept in float64.",
    "Products past the greatest float32 are infinite.",
    [float("inf"), float("-inf"), float("inf"), GREATEST, float("inf")],
)  # fmt: skip
arithmetic(
    "overflow-that-an-offset-does-not-undo",
    [2, -2, 1, 1, -1], [GREATEST, GREATEST, GREATEST, GREATEST, GREATEST],
    "CON-02 SCL-01",
    "A product kept in more than float32 until the sum.",
    "An infinite product stays infinite, whatever finite number is added; a sum can be infinite, too.",
    [float("inf"), float("-inf"), float("inf"), GREATEST, float("-inf")],
    offsets=[-GREATEST, GREATEST, GREATEST, 1, -GREATEST],
)  # fmt: skip
valid(
    "arithmetic/great-levels",
    table(
        LINEAR, 16, [[0x7FFF, 0x8000, 1, 0xFFFF]], linear(511, -255), scale=(TABLE, FLOAT32, 0),
        scales=[1 + 2.0**-23],
    ),
    "LIN-01 CON-02 SCL-01",
    "Levels rounded to float16 or to 16 bits before they are scaled.",
    "Levels of 24 bits, exact in float32, by a scale just above 1.",
    [[16744194, -16744195, 766 + 2.0**-14, -256 - 2.0**-15]],
)  # fmt: skip

# --- transform ------------------------------------------------------------------------------------------------------


def rotated(seed, rows, dim, rounds, state, **options):
    options = {"scale": (ROW, FLOAT32, 0)} | options
    return table(LINEAR, 8, codes(seed, rows, dim, 8), linear(), transform=(rounds, state), **options)


for dim in (1, 2, 3, 4, 7, 8, 9, 63, 64, 65, 100, 130, 300):
    rounds = 1 + dim % 3
    valid(
        f"transform/dim-{dim:03}",
        rotated(dim, 2, dim, rounds, dim * 0x9E3779B97F4A7C15 % 2**64),
        "TRN-02 TRN-03 CFM-03",
        "Butterflies in another order, the factor applied at another time, or the second run left out.",
        f"{rounds} round{'s' * (rounds > 1)} over rows of {dim} values.",
    )
for rounds in range(1, 9):
    valid(
        f"transform/rounds-{rounds}",
        rotated(rounds, 2, 5, rounds, 12345),
        "TRN-02 TRN-03 TRN-01",
        "The generator started again in every round.",
        f"{rounds} round{'s' * (rounds > 1)} over five values.",
    )
for name, state in (("zero", 0), ("greatest", 2**64 - 1), ("top-bit", 2**63)):
    valid(
        f"transform/seed-{name}",
        rotated(6, 2, 70, 2, state),
        "TRN-03 CON-01",
        "A seed cut to 53 bits, or multiplied as a signed number.",
        f"The seed {state}, and two words of signs a round.",
    )
valid(
    "transform/one-value",
    table(LINEAR, 8, [[3], [0x80]], linear(), scale=(TABLE, FLOAT32, 0), scales=[1], transform=(1, 0)),
    "TRN-02 TRN-03",
    "A transform of one value that divides by something.",
    "A row of one value: only its sign is turned, by bit 0 of E220A8397B1DCDAF.",
    [[-3], [128]],
)
valid(
    "transform/two-pairs-exactly",
    table(LINEAR, 8, [[4, 0, 0, 0], [4, 8, 12, 16]], linear(), scale=(TABLE, FLOAT32, 0), scales=[1], transform=(1, 0)),
    "TRN-02 TRN-03",
    "A transform in the order of frequencies, or without its factor.",
    "Four values, all negated by the signs of seed 0; the factor is 1/2.",
    [[-2, -2, -2, -2], [-20, 4, 8, 0]],
)
valid(
    "transform/overflow",
    table(
        LINEAR, 8, [[127, 127, 127, 1], [127, 1, 127, 127]], linear(), scale=(TABLE, FLOAT32, 0), scales=[2.0**121],
        transform=(2, 3),
    ),
    "TRN-02 CON-02",
    "Sums kept in more than float32, so that they do not overflow.",
    "Sums that overflow on the way, and give infinity and NaN.",
)  # fmt: skip
valid(
    "transform/subnormal",
    table(
        LINEAR, 8, [[1, 2, 3, 4, 5]], linear(), scale=(TABLE, FLOAT32, 0), scales=[3 * LEAST], transform=(2, 3)
    ),
    "TRN-02 CON-02",
    "Subnormal numbers flushed in the middle of a transform.",
    "Subnormal values through two rounds.",
)  # fmt: skip
valid(
    "transform/of-offsets",
    rotated(8, 2, 6, 1, 9, offset=(COLUMN, FLOAT32, 0)),
    "TRN-02 SCL-01",
    "Offsets added after the transform.",
    "The transform comes after scale and offset.",
)
for name, file in (
    ("codebook", table(
        CODEBOOK, 2, codes(1, 2, 9, 2), codebook(2), levels=b"\x81\xda\x26\x7f", scale=(ROW, FLOAT16, 0),
        transform=(2, 1),
    )),
    ("product", table(
        PRODUCT, 1, codes(2, 2, 3, 1), product_parameters(3), dim=8,
        levels=struct.pack("<18f", *(number / 3 for number in range(18))), transform=(1, 2),
    )),
    ("ieee", table(IEEE, 16, [[0xBC00, 0xBC01, 0x4000], [0x8001, 0x7FFF, 0xFBFF]], ieee(IEEE16), transform=(1, 3))),
    ("no-rows", table(LINEAR, 8, [], linear(), dim=4, scale=(ROW, FLOAT32, 0), transform=(1, 0))),
):  # fmt: skip
    valid(
        f"transform/of-{name}",
        file,
        "TRN-02 TRN-03 SEC-02",
        "A transform that works for linear levels alone.",
        f"The transform of {name.replace('-', ' ')}.",
    )

# --- norms ----------------------------------------------------------------------------------------------------------


def norms(name, rows, values, guards, description, **options):
    """Rows of float32 and their norms."""
    file = floats32([[bits32(value) for value in row] for row in rows], **options)
    valid(f"norm/{name}", file.add("NORM", struct.pack(f"<{len(values)}f", *values)), "NRM-01", guards, description)


INFINITY, NAN = float("inf"), float("nan")
norms("exact", [[3, 4], [-5, 12], [0, 0]], [5, 13, 0], "A norm that is a sum of squares.", "Norms that are integers.")
norms(
    "within-tolerance",
    [[3, 4], [3, 4]],
    [5 * (1 + 9e-7), 5 * (1 - 9e-7)],
    "Norms compared bit by bit.",
    "Norms nine parts in ten million above and below.",
)
norms(
    "subnormal",
    [[LEAST, LEAST], [LEAST, LEAST], [0, LEAST]],
    [LEAST, 2 * LEAST, 0],
    "A tolerance that is relative alone.",
    "Norms of the least numbers, off by less than 2^-149 or just that.",
)
norms(
    "squares-that-vanish",
    [[3 * 2.0**-80, 4 * 2.0**-80], [2.0**-100, 0]],
    [5 * 2.0**-80, 2.0**-100],
    "Squares computed in float32, where they are zero.",
    "Rows whose squares float32 cannot hold.",
)
norms(
    "squares-that-overflow",
    [[3 * 2.0**80, 4 * 2.0**80], [GREATEST, 0]],
    [5 * 2.0**80, GREATEST],
    "Squares computed in float32, where they are infinite.",
    "Rows whose squares float32 cannot hold, and whose norms it can.",
)
norms(
    "anything-goes",
    [[GREATEST, GREATEST], [INFINITY, 1], [NAN, 1], [-INFINITY, NAN], [GREATEST, 2.0**126]],
    [0, -7, NAN, INFINITY, INFINITY],
    "A norm demanded where there is none, or where float32 cannot hold it.",
    "Norms past the greatest float32, infinite, or not a number: the elements may be anything.",
)
norms(
    "just-too-great",
    [[2.0**127] * 4],
    [-1],
    "A norm of just 2^128 taken for one that float32 can hold.",
    "A norm of 2^128: the element may be anything.",
)
norms(
    "negative-zero",
    [[0, -0.0]],
    [-0.0],
    "A sign looked at where a difference is meant.",
    "A norm of -0 for a row of zeros.",
)
norms("no-rows", [], [], "A section of norms taken to hold one.", "Norms of no rows.", dim=2, stride=8)
valid(
    "norm/of-rotated-rows",
    table(
        LINEAR, 8, [[3, 4, 0, 0], [1, 1, 1, 1]], linear(), scale=(TABLE, FLOAT32, 0), scales=[1], transform=(1, 5)
    ).add("NORM", struct.pack("<2f", 5, 2)),
    "NRM-01 TRN-02",
    "Norms compared with rows that are not decoded to the end.",
    "Norms of rows under the transform.",
)  # fmt: skip
valid(
    "norm/of-scaled-rows",
    scaled_linear([[3, 4], [6, 8]], scale=(ROW, FLOAT32, 0), scales=[2, -0.5]).add("NORM", struct.pack("<2f", 10, 5)),
    "NRM-01 SCL-01",
    "Norms of levels, without their scales.",
    "Norms of scaled rows.",
    [[6, 8], [-3, -4]],
)
