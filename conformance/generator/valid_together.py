"""Valid cases: every kind of level with all that can come with it at once."""

from __future__ import annotations

import struct
import sys
from pathlib import Path

from case import valid
from rawfile import CODEBOOK, COLUMN, DECIMAL, FLOAT16, FLOAT32, IEEE, LINEAR, PRODUCT, ROW, norm
from tables import IEEE16, codebook, codes, floats, greatest_rank, ieee, ieee_code, linear, numbers, product, table
from tables import decimal as decimal_parameters
from valid_frames import framed, packed
from valid_trellis import levels as trellis_levels

sys.path.append(str(Path(__file__).parents[1] / "implementations" / "spec-decoder"))

import qemb_spec

TOKENS = [b"\xff", "naïve".encode(), b"caf\xe9", b""]
ROWS, BUCKETS, DIM = 7, 3, 6
SCALED = {"scale": (ROW, FLOAT32, 0), "offset": (COLUMN, FLOAT16, 0)}
RANKS = (4, -3, 3)
ZERO = greatest_rank(*RANKS)
STATES = codes(5, ROWS, DIM, 5)


def half_floats():
    values = [(-1) ** number * value for number, value in enumerate(floats(7, ROWS * DIM))]
    patterns = [struct.unpack("<H", struct.pack("<e", value))[0] for value in values]
    return [[ieee_code(pattern, 16) for pattern in patterns[row::ROWS]] for row in range(ROWS)]


def ranks():
    """Two zeros among them, for exceptions to stand on."""
    flat = [ZERO if place in (3, 40) else ZERO + rank - 500 for place, rank in enumerate(numbers(6, ROWS * DIM, 1000))]
    return [flat[at : at + DIM] for at in range(0, len(flat), DIM)]


SCHEMES = {
    "linear": (LINEAR, 10, codes(1, ROWS, DIM, 10), linear(3, 1), {"low_bits": 3, **SCALED}),
    "codebook": (CODEBOOK, 5, codes(2, ROWS, DIM, 5), codebook(5), {
        "low_bits": 2, "levels": bytes(8 * level % 251 for level in range(32)), **SCALED,
    }),
    "trellis": (CODEBOOK, 5, STATES, codebook(9, 2), {
        "low_bits": 3, "levels": trellis_levels(STATES, 5, 9, 2), **SCALED,
    }),
    "product": (PRODUCT, 3, codes(3, ROWS, 2, 3), product(4), {
        "low_bits": 1, "dim": DIM, "levels": struct.pack("<64f", *floats(4, 64)), **SCALED,
    }),
    "decimal": (DECIMAL, 20, ranks(), decimal_parameters(*RANKS), {"low_bits": 5}),
    "ieee": (IEEE, 16, half_floats(), ieee(IEEE16), {"low_bits": 6}),
}  # fmt: skip


def together(name, transform):
    level, bits, rows, parameters, options = SCHEMES[name]
    file = table(level, bits, rows, parameters, transform=transform, tokens=TOKENS, **options)
    file.required_features = 1
    if name == "decimal":
        file.add("EXCP", struct.pack("<QIQI", 3, 0x80000000, 40, 0x40490FDB))
    file.add("SUBW", struct.pack("<B3x3I", 1, 1, 4, BUCKETS))
    vectors = qemb_spec.answer(file.build())["vectors"]
    norms = [norm([qemb_spec.float_of(int(value, 16)) for value in row]) for row in vectors]
    file.add("NORM", struct.pack(f"<{ROWS}f", *norms), at=0)
    file.add("META", b'{"description":"all at once"}')
    file.add("CNTS", struct.pack("<4Q", 4, 3, 2, 1))
    framed(file, 24)
    for section in file.sections:
        if section.frame_size:
            packed(file, section.kind, checksum=len(section.data) % 2 == 0)
    return file


for name in SCHEMES:
    for suffix, transform in (("", None), ("-rotated", (2, 99))):
        valid(
            f"together/{name}{suffix}",
            together(name, transform),
            "CFM-03 SUB-03 FRM-05 PCK-03 NRM-01 TOK-03" + " TRN-02" * bool(transform) + " DEC-02" * (name == "decimal"),
            "Parts that work one at a time: frames, planes, the transform, subwords, exceptions, tokens of any bytes.",
            f"A {name} with planes, zstd frames, {'a transform, ' if transform else ''}subwords, norms, byte tokens.",
        )
