"""Files that conform, small and by hand: what faults are put into, and what they decode to."""

from __future__ import annotations

import struct

from rawfile import (
    BLOCK,
    CODEBOOK,
    COLUMN,
    COPY_SAFE,
    DECIMAL,
    FLOAT16,
    FLOAT32,
    IEEE,
    LINEAR,
    PRODUCT,
    ROW,
    TABLE,
    RawFile,
    add_tokens,
    descriptor,
    norm,
    pack_codes,
)

TOKENS = [b"a", b"", "naïve".encode(), b"New York"]


def linear():
    """Four rows of three values, 8 bits by row, a mean; every optional section that it can have."""
    file = RawFile(4, 4, 3)
    file.add("META", b'{"license":"CC0-1.0"}')
    quan = descriptor(
        LINEAR, 8, 3, scale=(ROW, FLOAT32, 0), offset=(COLUMN, FLOAT32, 0), parameters=struct.pack("<ii", 1, 0)
    )
    file.add("QUAN", quan)
    file.add("CODE", bytes([127, 0, 3, 1, 2, 4, 0x81, 0xFF, 0, 0, 0, 0]))
    file.add("SCAL", struct.pack("<4f", 0.5, 0.25, 2, 0))
    file.add("OFFS", struct.pack("<3f", 0, 1, -1))
    add_tokens(file, TOKENS)
    file.add("CNTS", struct.pack("<4Q", 9, 7, 5, 3))
    rows = [[63.5, 1, 0.5], [0.25, 1.5, 0], [-254, -1, -1], [0, 1, -1]]
    file.add("NORM", struct.pack("<4f", *(norm(row) for row in rows)))
    return file


LINEAR_ROWS = [[63.5, 1, 0.5], [0.25, 1.5, 0], [-254, -1, -1], [0, 1, -1]]
"""What `linear` decodes to."""


def split():
    """Two rows of five 11-bit linear codes, 3 bits of each in CODE, the rest in a byte plane; no index."""
    codes = [[0, 1, 1023, 1024, 2047], [5, 700, 1500, 8, 9]]
    file = RawFile(2, 2, 5)
    file.add(
        "QUAN",
        descriptor(LINEAR, 11, 5, low_bits=3, scale=(TABLE, FLOAT32, 0), parameters=struct.pack("<ii", 2, 7), stride=3),
    )
    file.add("CODE", b"".join(pack_codes([c & 7 for c in row], 3, 3) for row in codes))
    file.add("HIG0", bytes(c >> 3 for row in codes for c in row))
    file.add("SCAL", struct.pack("<f", 0.5))
    return add_tokens(file, [b"x", b"y"], index=False)


SPLIT_ROWS = [[-3.5, -2.5, 1019.5, -1027.5, -4.5], [1.5, 696.5, -551.5, 4.5, 5.5]]
"""What `split` decodes to: ((code as 11 signed bits) x 2 - 7) / 2."""


def codebook():
    """Two rows of five codes of 2 bits, scales by blocks of three columns in float16."""
    file = RawFile(2, 2, 5)
    file.add("QUAN", descriptor(CODEBOOK, 2, 5, scale=(BLOCK, FLOAT16, 3), parameters=bytes([2])))
    file.add("LEVL", struct.pack("<4b", -127, -38, 38, 127))
    file.add("CODE", pack_codes([0, 1, 2, 3, 0], 2) + pack_codes([3, 3, 3, 0, 1], 2))
    file.add("SCAL", struct.pack("<4e", 0.5, 2, 1, 0.25))
    return add_tokens(file, [b"x", b"y"])


CODEBOOK_ROWS = [[-63.5, -19, 19, 254, -254], [127, 127, 127, -31.75, -9.5]]
"""What `codebook` decodes to."""


def trellis():
    """One row of four codes of 2 bits in a window of 4 that shifts by 1: the state is the code, over the low bits of
    the two codes before it."""
    file = RawFile(1, 1, 4)
    file.add("QUAN", descriptor(CODEBOOK, 2, 4, scale=(TABLE, FLOAT32, 0), parameters=bytes([4, 1])))
    file.add("LEVL", bytes(range(16)))
    file.add("CODE", pack_codes([0, 3, 1, 2], 2))
    file.add("SCAL", struct.pack("<f", 2))
    return add_tokens(file, [b"x"])


TRELLIS_ROWS = [[2 * 0b0001, 2 * 0b1100, 2 * 0b0110, 2 * 0b1011]]
"""What `trellis` decodes to: the low bits of its codes are 0, 1, 1, 0, and the row is a circle."""


def product():
    """Two rows of five values, sub-vectors of two: three codes a row, of 1 bit."""
    file = RawFile(2, 2, 5)
    file.add("QUAN", descriptor(PRODUCT, 1, 5, stride=1, parameters=struct.pack("<I", 2)))
    file.add("LEVL", struct.pack("<12f", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12))
    file.add("CODE", bytes([0b010, 0b101]))
    return add_tokens(file, [b"x", b"y"])


PRODUCT_ROWS = [[1, 2, 7, 8, 9], [3, 4, 5, 6, 11]]
"""What `product` decodes to."""


def decimal():
    """Two rows of two values of three digits, powers of ten -2 to 1, and an exception."""
    rank = 10**3 + 3 * 9 * 10**2 - 1
    file = RawFile(2, 2, 2)
    file.add("QUAN", descriptor(DECIMAL, 13, 2, parameters=struct.pack("<Bbb", 3, -2, 1)))
    file.add("CODE", pack_codes([rank + 123, rank - 1000 - 900], 13) + pack_codes([rank, 2 * rank], 13))
    file.add("EXCP", struct.pack("<QI", 2, 0x80000000))
    return add_tokens(file, [b"x", b"y"])


DECIMAL_ROWS = [[1.23, -100], [-0.0, 9990]]
"""What `decimal` decodes to, once rounded to float32: 123e-2, the first of its decade, the exception, the last."""


def ieee():
    """Two rows of two float32 values."""
    file = RawFile(2, 2, 2)
    file.add("QUAN", descriptor(IEEE, 32, 2, parameters=bytes([0])))
    codes = [
        bits ^ (0xFFFFFFFF if bits >> 31 else 1 << 31) for bits in (0x3F800000, 0xC0490FDB, 0x80000000, 0x7FC00001)
    ]
    file.add("CODE", struct.pack("<4I", *codes))
    return add_tokens(file, [b"x", b"y"])


def rotated():
    """Two rows of three values under one round of the transform."""
    file = RawFile(2, 2, 3)
    quan = descriptor(LINEAR, 8, 3, scale=(TABLE, FLOAT32, 0), parameters=struct.pack("<ii", 1, 0))
    file.add("QUAN", quan)
    file.add("TRNS", struct.pack("<3B5xQ", 1, 1, 1, 0))
    file.add("CODE", bytes([1, 2, 3, 4, 5, 6]))
    file.add("SCAL", struct.pack("<f", 1))
    return add_tokens(file, [b"x", b"y"])


def subwords():
    """One token and two subword buckets."""
    file = RawFile(3, 1, 2)
    quan = descriptor(LINEAR, 8, 2, scale=(TABLE, FLOAT32, 0), parameters=struct.pack("<ii", 1, 0))
    file.add("QUAN", quan)
    file.add("CODE", bytes([1, 2, 3, 4, 5, 6]))
    file.add("SCAL", struct.pack("<f", 1))
    add_tokens(file, [b"x"])
    return file.add("SUBW", struct.pack("<B3x3I", 1, 3, 6, 2))


def framed():
    """Forty rows of eight values, 8 bits, in frames of ten rows; the third does not shrink and is stored raw."""
    file = RawFile(40, 40, 8)
    quan = descriptor(LINEAR, 8, 8, scale=(TABLE, FLOAT32, 0), parameters=struct.pack("<ii", 1, 0))
    file.add("QUAN", quan)
    noise = bytes((37 * k * k + 11 * k) % 251 for k in range(80))
    file.add("CODE", b"".join(bytes([n]) * 80 for n in (1, 2)) + noise + bytes(80), frame_size=80)
    file.add("SCAL", struct.pack("<f", 1))
    return add_tokens(file, [b"%d" % n for n in range(40)])


def noughts():
    """No rows at all."""
    file = RawFile(0, 0, 3)
    quan = descriptor(LINEAR, 8, 3, scale=(ROW, FLOAT32, 0), parameters=struct.pack("<ii", 1, 0))
    file.add("QUAN", quan).add("CODE", b"").add("SCAL", b"")
    return add_tokens(file, [])


def whole():
    """Three tokens and two buckets of five values: a codebook in two parts, rotated, with all else that there is."""
    codes = [[0, 1, 2, 3, 4], [5, 6, 7, 0, 2], [7, 7, 1, 3, 5], [4, 2, 6, 0, 1], [3, 5, 0, 6, 7]]
    levels, scales = [-127, -70, -31, -9, 12, 40, 81, 127], [0.5, 0.25, 2, 0.125, 1]
    file = RawFile(5, 3, 5)
    file.add("META", '{"description":"Größe","n":[1,2.5e-3,{}]}'.encode())
    quan = descriptor(
        CODEBOOK, 3, 5, low_bits=1, scale=(ROW, FLOAT16, 0), offset=(TABLE, FLOAT32, 0), stride=1, parameters=bytes([3])
    )
    file.add("QUAN", quan)
    file.add("TRNS", struct.pack("<3B5xQ", 1, 1, 2, 7))
    file.add("news", b"private", flags=COPY_SAFE)
    file.add("LEVL", struct.pack("<8b", *levels))
    file.add("CODE", b"".join(pack_codes([code & 1 for code in row], 1) for row in codes))
    file.add("HIG0", bytes(code >> 1 for row in codes for code in row))
    file.add("SCAL", struct.pack("<5e", *scales))
    file.add("OFFS", struct.pack("<f", 0.75))
    add_tokens(file, TOKENS[:1] + TOKENS[2:])
    # a rotation keeps the norm
    rows = [[scale * levels[code] + 0.75 for code in row] for row, scale in zip(codes, scales, strict=True)]
    file.add("NORM", struct.pack("<5f", *(norm(row) for row in rows)))
    file.add("CNTS", struct.pack("<3Q", 2**53 - 1, 0, 256))
    file.add("SUBW", struct.pack("<B3x3I", 1, 2, 3, 2))
    return file.add("NEWS", b"of a later version")


def digits():
    """Two rows of three values of nine digits, powers of ten -1 and 0: 32 bits, 3 of them packed; two exceptions."""
    rank = 10**9 + 9 * 10**8 - 1
    codes = [[0, rank, 2 * rank], [rank + 1, rank, rank - 123_456_789]]
    file = RawFile(2, 2, 3)
    file.add("QUAN", descriptor(DECIMAL, 32, 3, low_bits=3, parameters=struct.pack("<Bbb", 9, -1, 0)))
    file.add("CODE", b"".join(pack_codes([code & 7 for code in row], 3) for row in codes))
    for plane in range(4):
        file.add(f"HIG{plane}", bytes(code >> 3 + 8 * plane & 0xFF for row in codes for code in row))
    file.add("EXCP", struct.pack("<QIQI", 1, 0x7FC00001, 4, 1))
    return add_tokens(file, [b"x", b"y"])


BASES = (linear, split, codebook, trellis, product, decimal, ieee, rotated, subwords, framed, noughts, whole, digits)
