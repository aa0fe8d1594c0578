"""Valid cases: product, decimal and ieee levels."""

from __future__ import annotations

import struct

from case import valid
from rawfile import COLUMN, DECIMAL, FLOAT32, IEEE, PRODUCT, ROW
from tables import (
    BFLOAT16,
    IEEE16,
    IEEE32,
    codes,
    decimal,
    floats,
    floats32,
    greatest_rank,
    ieee,
    ieee_code,
    numbers,
    product,
    table,
)

# --- product --------------------------------------------------------------------------------------------------------


def products(rows, bits, dim, sub_dim, **options):
    """Levels that differ where a code stands, and are zero elsewhere: a frame of them is small."""
    across = len(rows[0])
    values = floats(bits, across * sub_dim * len(rows))
    table_of_levels = bytearray(4 * across * (1 << bits) * sub_dim)
    for row in rows:
        for j, code in enumerate(row):
            level = struct.pack(f"<{sub_dim}f", *(values.pop() for _ in range(sub_dim)))
            at = 4 * sub_dim * ((j << bits) + code)
            table_of_levels[at : at + 4 * sub_dim] = level
    file = table(PRODUCT, bits, rows, product(sub_dim), dim=dim, levels=bytes(table_of_levels), **options)
    if len(table_of_levels) > 2048:
        file["LEVL"].frame_size = 1 << 16
    return file


for bits in range(1, 17):
    sub_dim, dim = ((3, 8), (2, 5), (4, 12), (1, 3))[bits % 4] if bits < 13 else (2, 3)
    valid(
        f"product/bits-{bits:02}",
        products(codes(bits, 3, -(-dim // sub_dim), bits), bits, dim, sub_dim),
        "PRO-01 PCK-01",
        "One table of levels for every place of a row, or its axes in another order.",
        f"Product codes of {bits} bits, rows of {dim} values in sub-vectors of {sub_dim}.",
    )
for dim, sub_dim in ((1, 1), (7, 3), (7, 7), (8, 4), (9, 8), (300, 7)):
    valid(
        f"product/dim-{dim:03}-sub-{sub_dim}",
        products(codes(dim, 2, -(-dim // sub_dim), 2), 2, dim, sub_dim),
        "PRO-01 QNT-08 HDR-08",
        "The number of codes in a row rounded down, or values past `dim` used.",
        f"Rows of {dim} values in sub-vectors of {sub_dim}.",
    )
for bits, low_bits in ((4, 0), (9, 3), (12, 8), (16, 0)):
    valid(
        f"product/bits-{bits:02}-low-{low_bits}",
        products(codes(low_bits, 2, 2, bits), bits, 3, 2, low_bits=low_bits),
        "PCK-03 PRO-01 QNT-10",
        "Planes as wide as `dim`, where a row has fewer codes.",
        f"Product codes of {bits} bits, {low_bits} of them packed, the others in planes.",
    )
valid(
    "product/values-past-the-row",
    table(
        PRODUCT, 1, [[1, 0]], product(2), dim=3,
        levels=struct.pack("<8f", 1, 2, 3, 4, 5, 6, 7, 8),
    ),
    "PRO-01 QNT-10",
    "Levels of the last sub-vector laid out without those past `dim`.",
    "Three values in sub-vectors of two: the table has four levels for each pair, one is of no use.",
    [[3, 4, 5]],
)  # fmt: skip
valid(
    "product/signed-zeros-and-subnormals",
    table(
        PRODUCT, 1, [[0, 1]], product(2), dim=4,
        levels=struct.pack("<8I", 0x80000000, 1, 0, 0x807FFFFF, 0x00800000, 0x7F7FFFFF, 0x80000001, 0xFF7FFFFF),
    ),
    "PRO-01 CON-02 CFM-03",
    "Subnormal numbers flushed to zero, or -0 to 0, where nothing is computed.",
    "Levels of -0, the least and the greatest float32, without a scale.",
    [[-0.0, 2.0**-149, -(2.0**-149), -(2.0**128 - 2.0**104)]],
)  # fmt: skip
valid(
    "product/scaled",
    table(
        PRODUCT, 1, [[0, 1], [1, 0]], product(2), dim=3, scale=(ROW, FLOAT32, 0), scales=[2, -0.5],
        offset=(COLUMN, FLOAT32, 0), offsets=[1, 0, -1], levels=struct.pack("<8f", 1, 2, 3, 4, 5, 6, 7, 8),
    ),
    "SCL-01 PRO-01",
    "Scales of product codes left out.",
    "Product levels scaled by row, with offsets by column.",
    [[3, 4, 13], [-0.5, -2, -3.5]],
)  # fmt: skip

# --- decimal --------------------------------------------------------------------------------------------------------


def decimals(values, bits, parameters, exceptions=(), **options):
    """Rows of ranks, counted from that of zero."""
    rank = greatest_rank(*parameters)
    file = table(DECIMAL, bits, [[rank + value for value in row] for row in values], decimal(*parameters), **options)
    if exceptions:
        file.add("EXCP", b"".join(struct.pack("<QI", *entry) for entry in exceptions))
    return file


def bits_of(parameters):
    return (2 * greatest_rank(*parameters)).bit_length()


def some_ranks(seed, rows, dim, parameters):
    """Ranks about all edges of a decade, and random ones."""
    digits, _least, _most = parameters
    rank = greatest_rank(*parameters)
    edges = [10**digits - 1, 10**digits, 10**digits + 9 * 10 ** (digits - 1), rank, 1, 0]
    flat = [value - rank for value in numbers(seed, rows * dim, 2 * rank + 1)]
    for place, edge in enumerate(edges[: len(flat) // 2]):
        flat[2 * place] = min(edge, rank) * (1 if place % 2 else -1)
    return [flat[row * dim : (row + 1) * dim] for row in range(rows)]


for digits in range(1, 10):
    parameters = (digits, -digits, -1 if digits < 9 else -8)
    valid(
        f"decimal/digits-{digits}",
        decimals(some_ranks(digits, 2, 9, parameters), bits_of(parameters), parameters),
        "DEC-01 PCK-01",
        "Ranks past the first decade taken for significands.",
        f"Numbers of {digits} significant digits, in {bits_of(parameters)} bits.",
    )
for bits in range(4, 33):
    digits = next(d for d in range(9, 0, -1) if (2 * greatest_rank(d, 0, 0)).bit_length() <= bits) if bits > 4 else 1
    most = next((e for e in range(98, 0, -1) if 2 * greatest_rank(digits, -60, e - 60) < 1 << bits), 0)
    if 2 * greatest_rank(digits, -60, -60) >= 1 << bits:
        continue
    least = max(-60, min(-most // 2, 38 - most))
    parameters = (digits, least, least + most)
    valid(
        f"decimal/bits-{bits:02}",
        decimals(some_ranks(bits, 2, 7, parameters), bits, parameters),
        "DEC-01 PCK-01 QNT-07",
        "The rank of zero computed from `bits`.",
        f"Decimals in {bits} bits: {digits} digits, powers of ten {least} to {least + most}.",
    )
for bits, low_bits in ((13, 0), (13, 5), (20, 1), (28, 3), (32, 0), (32, 8), (32, 31)):
    parameters = (3, -2, 1) if bits == 13 else (4, -3, 3)
    valid(
        f"decimal/bits-{bits}-low-{low_bits:02}",
        decimals(some_ranks(bits + low_bits, 2, 5, parameters), bits, parameters, low_bits=low_bits),
        "PCK-03 DEC-01 QNT-10",
        "Planes past the second left out.",
        f"Decimals of {bits} bits, {low_bits} of them packed, the others in planes.",
    )
for dim in (1, 7, 8, 9, 300):
    parameters = (4, -4, 0)
    valid(
        f"decimal/dim-{dim:03}",
        decimals(some_ranks(dim, 2, dim, parameters), bits_of(parameters), parameters),
        "DEC-01 HDR-08",
        "Rows of odd bits that are not padded to a byte.",
        f"Two rows of {dim} decimals of four digits.",
    )
valid(
    "decimal/edges-of-decades",
    decimals([[0, 1, -1, 99, 100, 189, 190, 279, -100, -279]], 10, (2, -1, 1)),
    "DEC-01",
    "The first number of a decade off by one.",
    "Two digits, powers of ten -1 to 1, around the edges between them.",
    [[0, 0.1, -0.1, 9.9, 10, 99, 100, 990, -10, -990]],
)
valid(
    "decimal/rounded-once",
    decimals([[16777217, 33554435, -16777217, 16777219]], 29, (8, 0, 0)),
    "DEC-01 CON-02",
    "Ties rounded away from zero, or integers cut.",
    "Integers half-way between two float32.",
    [[16777216, 33554436, -16777216, 16777220]],
)
# Each is so near to the middle between two float32 that the nearest float64 is that middle. Rounding it once more goes
# to the even one, and the other is right.
for exponent, significands, expected in (
    (-34, [703853100, 966173818], ["0x1.5c87fap-84", "0x1.de6d16p-84"]),
    (25, [537664439, 703099651, 868534863], ["0x1.0916cap+112", "0x1.5aa7a6p+112", "0x1.ac3882p+112"]),
):
    valid(
        f"decimal/not-rounded-twice-{'small' if exponent < 0 else 'large'}",
        decimals([significands], 31, (9, exponent, exponent)),
        "DEC-01 CON-02",
        "The nearest float64 rounded to float32, which rounds twice.",
        f"Nine digits times 10^{exponent} that float64 puts half-way between two float32.",
        [[float.fromhex(value) for value in expected]],
    )
valid(
    "decimal/past-the-greatest-float32",
    decimals([[10**9 - 1, 340282346, 340282356, 340282357, -340282357, 10**9 - 2]], 32, (9, 30, 30)),
    "DEC-01 CON-02",
    "A number past the greatest float32 refused, or made the greatest.",
    "Nine digits times 10^30: the greatest float32 lies among them, and past it infinity.",
    [[float("inf"), 340282346e30, 340282356e30, float("inf"), float("-inf"), float("inf")]],
)
valid(
    "decimal/greatest-exponent",
    decimals([[1, -1, 9, 0]], 5, (1, 38, 38)),
    "DEC-01",
    "10^38 computed in float32 from powers that are rounded.",
    "One digit times 10^38: 1 is finite, 9 is not, 0 is 0.",
    [[1e38, -1e38, float("inf"), 0]],
)
valid(
    "decimal/subnormals",
    decimals([[1, -1, 7, 14, 140, -1401, 9999, 0]], 15, (4, -46, -46)),
    "DEC-01 CON-02",
    "Small numbers flushed to zero, or got by dividing in float32.",
    "Four digits times 10^-46: subnormal numbers, and what rounds to 0 and to -0.",
    [[0, -0.0, 0, 2.0**-149, 10 * 2.0**-149, -100 * 2.0**-149, 714 * 2.0**-149, 0]],
)
valid(
    "decimal/below-all-float32",
    decimals([[1, -1, 999, -999, 0]], 11, (3, -60, -60)),
    "DEC-01",
    "A negative number that rounds to zero made +0.",
    "Three digits times 10^-60: all are 0 or -0.",
    [[0, -0.0, 0, -0.0, 0]],
)
valid(
    "decimal/widest-exponents",
    decimals([[9, -9, 9 + 9 * 98, -(9 + 9 * 98), 9 + 9 * 60, 1 + 9 + 9 * 59]], 11, (1, -60, 38)),
    "DEC-01 QNT-07",
    "Exponents that are not signed, or a table of powers of ten that is too short.",
    "One digit, powers of ten from -60 to 38.",
    [[0, -0.0, float("inf"), float("-inf"), 9, 1]],
)
exception_rows = [[100, 0, 0], [0, 0, -100]]
for name, entries, description in (
    ("first-and-last", ((0, 0x80000000), (5, 0x3F800001)), "the first value and the last"),
    ("specials", ((1, 0x7F800000), (2, 0xFF800000), (3, 0x00000001), (4, 0x807FFFFF)), "infinities and subnormals"),
    ("nan-payloads", ((1, 0x7F800001), (2, 0xFFC12345), (4, 0x7FFFFFFF)), "NaNs with payloads, a signalling one too"),
    ("all-of-a-row", ((0, 1), (1, 2), (2, 3)), "every value of a row"),
):
    places = dict(entries)
    ranks = [
        [0 if 3 * i + j in places else value for j, value in enumerate(row)] for i, row in enumerate(exception_rows)
    ]
    valid(
        f"decimal/exceptions-{name}",
        decimals(ranks, 13, (3, -2, 1), entries),
        "DEC-02",
        "An exception put through arithmetic, or looked for at row x stride + column.",
        f"Exceptions: {description}.",
    )
valid(
    "sections/excp-alone",
    decimals([[0, 5]], 13, (3, -2, 1), ((0, 0x80000000),), index=False),
    "DEC-02 SEC-02",
    "Sections that are only looked at together with others.",
    "What every file has, and `EXCP`.",
    [[-0.0, 0.05]],
)
valid(
    "decimal/exceptions-empty",
    decimals(exception_rows, 13, (3, -2, 1)).add("EXCP", b""),
    "DEC-02 SEC-02",
    "A section of exceptions taken to hold at least one.",
    "A section of exceptions without one.",
    [[1, 0, 0], [0, 0, -1]],
)
valid(
    "transform/of-exceptions",
    decimals([[400, 0, 0, 0]], 13, (3, -2, 1), ((1, 0x41000000),), transform=(1, 0)),
    "DEC-02 TRN-02",
    "Exceptions put into the vector, after the transform, instead of among the values.",
    "The transform of 4, of 8 as an exception, and of two zeros, all negated by the signs of seed 0.",
    [[-6, 2, -6, 2]],
)
valid(
    "decimal/zero-without-exception",
    decimals([[0, 0]], 13, (3, -2, 1)),
    "DEC-01",
    "Zero made -0 by its sign bit.",
    "The rank of zero is +0.",
    [[0, 0]],
)

# --- ieee -----------------------------------------------------------------------------------------------------------

SPECIAL32 = [
    0x00000000, 0x80000000, 0x3F800000, 0xBF800000, 0x00000001, 0x80000001, 0x007FFFFF, 0x807FFFFF, 0x00800000,
    0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000, 0xFF800000, 0x7FC00000, 0xFFC00000, 0x7F800001, 0xFFBFFFFF, 0x7FFFFFFF,
]  # fmt: skip
SPECIAL16 = [
    0x0000, 0x8000, 0x3C00, 0xBC00, 0x0001, 0x8001, 0x03FF, 0x83FF, 0x0400, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7E00,
    0xFE00, 0x7C01, 0xFDFF, 0x7FFF,
]  # fmt: skip
SPECIAL_BFLOAT = [
    0x0000, 0x8000, 0x3F80, 0xBF80, 0x0001, 0x8001, 0x007F, 0x807F, 0x0080, 0x7F7F, 0xFF7F, 0x7F80, 0xFF80, 0x7FC0,
    0xFFC0, 0x7F81, 0xFFBF, 0x7FFF,
]  # fmt: skip

for name, form, bits, patterns in (
    ("float32", IEEE32, 32, SPECIAL32),
    ("float16", IEEE16, 16, SPECIAL16),
    ("bfloat16", BFLOAT16, 16, SPECIAL_BFLOAT),
):

    def rows_of(patterns, bits=bits):
        return [[ieee_code(pattern, bits) for pattern in patterns[row::2]] for row in range(2)]

    valid(
        f"ieee/{name}-specials",
        table(IEEE, bits, rows_of(patterns), ieee(form)),
        "IEE-01 CON-02",
        "NaNs made quiet or stripped of their payload, subnormal numbers flushed, or the sign of the code turned.",
        f"Every special value of {name}: zeros, subnormals, extremes, infinities, NaNs with payloads.",
    )
    valid(
        f"ieee/{name}",
        table(IEEE, bits, codes(bits + form, 3, 9, bits), ieee(form)),
        "IEE-01 CON-02 PCK-01",
        "A code taken for the bits of the number.",
        f"Random bits as {name}.",
    )
    for low_bits in sorted({0, 1, 8, bits // 2, bits - 1}):
        valid(
            f"ieee/{name}-low-{low_bits:02}",
            table(IEEE, bits, rows_of(patterns), ieee(form), low_bits=low_bits),
            "PCK-03 IEE-01 QNT-10",
            "Planes put together in the wrong order.",
            f"Special values of {name}, {low_bits} bits packed, the others in planes.",
        )
    for dim in (1, 7, 8, 300):
        valid(
            f"ieee/{name}-dim-{dim:03}",
            table(IEEE, bits, codes(dim, 2, dim, bits), ieee(form)),
            "IEE-01 HDR-08",
            "Rows taken to be aligned to more than their bytes.",
            f"Two rows of {dim} values of {name}.",
        )
valid(
    "ieee/by-hand",
    floats32([[0x3F800000, 0xC0000000, 0x00000000, 0x80000000], [0x3EAAAAAB, 0x7F7FFFFF, 1, 0x80000001]]),
    "IEE-01",
    "Codes that do not ascend as the numbers do.",
    "1, -2, 0, -0; a third, the greatest, and the least of either sign.",
    [[1, -2, 0, -0.0], [0.3333333432674408, 2.0**128 - 2.0**104, 2.0**-149, -(2.0**-149)]],
)
valid(
    "ieee/stride",
    table(IEEE, 16, codes(5, 2, 3, 16), ieee(BFLOAT16), stride=9),
    "PCK-01 IEE-01",
    "Rows of whole numbers taken to lie without a gap, or aligned.",
    "Three bfloat16 in rows nine bytes apart.",
)
