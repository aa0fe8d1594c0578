"""Valid cases: trellises of every window, whose rows are circles."""

from __future__ import annotations

import struct

from case import valid
from rawfile import CODEBOOK, FLOAT32, ROW, TABLE
from tables import codebook, codes, table

FILL = 0x55


def states(row, bits, window, shift):
    """The states that a row of codes goes through."""
    memory = window - bits
    register = 0
    for code in [row[-1 - back % len(row)] for back in range(-(-memory // shift))][::-1] + row:
        state = code << memory | register
        register = register >> shift | (code & (1 << shift) - 1) << memory - shift
        yield state


def levels(rows, bits, window, shift):
    """Levels that differ where these rows go, and are `FILL` elsewhere: a wrong state shows, and a frame of them is
    small."""
    table = bytearray([FILL]) * (1 << window)
    for row in rows:
        for number, state in enumerate(states(row, bits, window, shift)):
            table[state] = (37 * number + 11 * state) % 256
    return bytes(table)


def trellis(rows, bits, window, shift, *, framed=False, **options):
    options = {"scale": (ROW, FLOAT32, 0)} | options
    file = table(CODEBOOK, bits, rows, codebook(window, shift), levels=levels(rows, bits, window, shift), **options)
    file._section("LEVL").frame_size = (1 << window) * framed
    return file


for bits in range(1, 9):
    for window in range(bits + 1, 17):
        most = min(bits, window - bits)
        shift = 1 + (window + bits) % most
        dim = (9, 16, 11, 7)[window % 4]
        # large tables in frames, but for one of each size
        framed = window > 11 and bits != window - 10
        valid(
            f"trellis/bits-{bits}-window-{window:02}",
            trellis(codes(50 * bits + window, 2, dim, bits), bits, window, shift, framed=framed),
            "COD-01 QNT-07",
            "A register that shifts the wrong way, keeps the high bits of a code, or is put above the code.",
            f"A trellis of {bits} bits in a window of {window} that shifts by {shift}, two rows of {dim}.",
        )
for bits, shift in ((b, k) for b in range(2, 9) for k in range(1, b + 1)):
    window = min(bits + 2 * shift + 1, 16) if bits + 2 * shift + 1 <= 16 else bits + shift
    valid(
        f"trellis/bits-{bits}-shift-{shift}",
        trellis(codes(90 * bits + shift, 1, 12, bits), bits, window, shift, framed=window > 11),
        "COD-01 QNT-07",
        "Every code shifted in whole, where only its low bits are.",
        f"A trellis of {bits} bits that shifts by {shift}, in a window of {window}.",
    )
for dim in (1, 2, 3, 7, 8, 9, 300):
    valid(
        f"trellis/dim-{dim:03}",
        trellis(codes(300 + dim, 2, dim, 2), 2, 10, 1),
        "COD-01 HDR-08",
        "A row shorter than the register's memory, whose circle goes round more than once.",
        f"Two rows of {dim} codes of 2 bits whose register remembers eight codes.",
    )
valid(
    "trellis/memory-of-no-whole-number",
    trellis([[3, 0, 2, 1, 1]], 2, 5, 2, scale=(TABLE, FLOAT32, 0)),
    "COD-01",
    "The number of codes before the row rounded down.",
    "A register of three bits that shifts by two: two codes come before the row, not one.",
)
valid(
    "trellis/one-code",
    table(CODEBOOK, 1, [[1]], codebook(4, 1), levels=bytes(range(16)), scale=(TABLE, FLOAT32, 0), scales=[1]),
    "COD-01",
    "A register that begins at 0.",
    "One code, 1: the register before it is all ones.",
    [[15]],
)
valid(
    "trellis/register-that-starts-full",
    table(
        CODEBOOK, 1, [[0, 0, 0, 0, 1, 1]], codebook(3, 1), levels=bytes(range(8)), scale=(TABLE, FLOAT32, 0), scales=[1]
    ),
    "COD-01",
    "A register that begins at 0, as if the row were no circle.",
    "Codes 0 0 0 0 1 1 over a register of two bits, which begins with both set.",
    [[3, 1, 0, 0, 4, 6]],
)
valid(
    "trellis/newest-on-top",
    table(
        CODEBOOK, 2, [[1, 2, 3, 0, 0]], codebook(6, 2), levels=bytes(range(64)), scale=(TABLE, FLOAT32, 0), scales=[1]
    ),
    "COD-01",
    "A register that shifts to the left.",
    "Codes 1 2 3 0 0 over a register that holds two of them, the newer one on top.",
    [[0b010000, 0b100100, 0b111001, 0b001110, 0b000011]],
)
for low_bits in (0, 1, 2):
    valid(
        f"trellis/low-{low_bits}",
        trellis(codes(7, 2, 9, 3), 3, 8, 2, low_bits=low_bits),
        "COD-01 PCK-03",
        "A state made of the packed bits alone.",
        f"A trellis of 3 bits, {low_bits} of them packed, the others in a plane.",
    )
valid(
    "trellis/no-rows",
    table(
        CODEBOOK, 2, [], codebook(5, 1), dim=4, stride=1, levels=struct.pack("<32b", *range(-16, 16)),
        scale=(ROW, FLOAT32, 0), scales=[],
    ),
    "COD-01 HDR-09",
    "Looking for the first row where there is none.",
    "A trellis without rows.",
)  # fmt: skip
