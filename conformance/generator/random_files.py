"""Random files that conform, and that no writer would make: any order of sections, any stride, any scale, odd frames.

    python conformance/generator/random_files.py --seed 1 --count 100 --out DIR

writes `.qemb` and, beside it, the answer of `spec-decoder` as `.json`. The same seed and number give the same file, as
far as libzstd compresses the same bytes alike: some frames are its own.
"""

from __future__ import annotations

import argparse
import json
import random
import struct
import sys
from pathlib import Path

import rawfile
import zstdframes
from rawfile import BLOCK, CODEBOOK, COLUMN, DECIMAL, FLOAT16, FLOAT32, IEEE, LINEAR, NONE, PRODUCT, ROW, TABLE

sys.path.append(str(Path(__file__).parents[1] / "implementations" / "spec-decoder"))

import qemb_spec

LEVELS = (LINEAR, CODEBOOK, CODEBOOK, PRODUCT, DECIMAL, IEEE)
CORE_LEVELS = (LINEAR, CODEBOOK, CODEBOOK, IEEE)
DIMS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 31, 33, 63, 64, 65, 70)
MAX_FRAMES = 200
"""In a section, so that files stay small."""
ODD_TOKENS = (
    "",
    "?",
    "??",
    "a",
    "a?",
    " ",
    "\0",
    "\n",
    "New York",
    "naïve",
    "nai\u0308ve",
    "中文",
    "👩‍👩‍👧",
    "\ufeff",
    "\U0010ffff",
    "<a>",
    "x" * 100,
)
METADATA = (
    "{}",
    ' \t\r\n{ "a" : [ 1 , -0.5e-7 , true , null ] } ',
    '{"a":{"a":1},"b":{"a":2},"A":3}',
    '{"":"","\\u0000":"\\ud800","é":"\\\\\\"[[[["}',
    '{"big":' + "9" * 5000 + ',"small":1e-99999,"large":1e99999}',
    '{"a":' + "[" * 31 + "]" * 31 + "}",
    '{"many":[' + "[]," * 200 + "[]]}",
)


class Draw:
    """Random choices by the one method whose results Python promises to keep, `random.Random.random`."""

    def __init__(self, seed, number):
        self._random = random.Random(seed << 64 | number).random  # noqa: S311

    def below(self, n):
        """An integer of 0 to n - 1; n is 2^53 at most."""
        return int(self._random() * n)

    def between(self, low, high):
        return low + self.below(high - low + 1)

    def chance(self, p):
        return self._random() < p

    def pick(self, choices):
        return choices[self.below(len(choices))]

    def bits(self, count):
        return sum(self.below(1 << 16) << at for at in range(0, count, 16)) & (1 << count) - 1

    def bytes(self, count):
        return bytes(self.below(256) for _ in range(count))

    def shuffled(self, items):
        left = list(items)
        return [left.pop(self.below(len(left))) for _ in range(len(left))]


def random_file(seed, number, *, core=False):
    """The file with this number among those of a seed; with ``core`` one that the profile core is asked for."""
    draw = Draw(seed, number)
    byte_tokens = draw.chance(0.2)
    tokens = draw_tokens(draw, byte_tokens)
    buckets = draw.pick((0, 1, 2, 7, 20)) if draw.chance(0.3) else None
    rows, dim = len(tokens) + (buckets or 0), draw.pick(DIMS)
    parts = draw_vectors(draw, rows, dim, CORE_LEVELS if core else LEVELS)
    if not core and draw.chance(0.25):
        parts["TRNS"] = struct.pack("<3B5xQ", 1, 1, draw.pick((1, 1, 2, 3, 8)), draw.bits(64))
    ends = [sum(map(len, tokens[:count])) for count in range(len(tokens) + 1)]
    parts |= {"TOKO": struct.pack(f"<{len(ends)}I", *ends), "TOKB": b"".join(tokens)}
    if draw.chance(0.6):
        parts["INDX"] = draw_index(draw, tokens)
    if draw.chance(0.3):
        parts["CNTS"] = b"".join(struct.pack("<Q", draw.bits(draw.pick((1, 8, 53, 64)))) for _ in tokens)
    if draw.chance(0.4):
        parts["META"] = draw.pick(METADATA).encode()
    if buckets is not None:
        min_n = draw.between(1, 4)
        max_n = draw.pick((min_n, min_n + 1, min_n + 3, 2**32 - 1))
        parts["SUBW"] = struct.pack("<B3x3I", 1, min_n, max_n, buckets)
    if draw.chance(0.3):
        parts["NORM"] = draw_norms(draw, assemble(parts, rows, tokens, dim).build())
    file = assemble({kind: parts[kind] for kind in draw.shuffled(parts)}, rows, tokens, dim)
    for section in file.sections:
        if not core and section.kind not in ("QUAN", "TRNS", "SUBW") and draw.chance(0.35):
            cut_into_frames(draw, section)
    for _ in range(draw.pick((0, 0, 0, 1, 2, 5))):
        add_unknown(draw, file)
    file.required_features = int(byte_tokens)
    if draw.chance(0.3):
        file.set(minor=draw.pick((1, 2, 65_535)), optional_features=draw.bits(32))
    return file.build()


def assemble(parts, rows, tokens, dim):
    file = rawfile.RawFile(rows, len(tokens), dim, required_features=1)
    for kind, data in parts.items():
        file.add(kind, data)
    return file


# --- tokens ---------------------------------------------------------------------------------------------------------


def draw_tokens(draw, byte_tokens):
    found = {}
    for _ in range(draw.pick((0, 1, 2, 3, 5, 8, 13, 40))):
        if draw.chance(0.4):
            token = draw.pick(ODD_TOKENS).encode()
        elif byte_tokens:
            token = draw.bytes(draw.below(6))
        else:
            token = "".join(chr(draw.pick((0x61, 0xE0, 0x4E00)) + draw.below(26)) for _ in range(3)).encode()
        found[token] = None
    return list(found)


def draw_index(draw, tokens):
    """An index of any size, the tokens put in in any order."""
    size = len(tokens) + draw.pick((1, 1, 2, 1 + len(tokens), 100))
    slots = rawfile.index_slots(tokens, size, order=draw.shuffled(range(len(tokens))))
    return struct.pack(f"<{size}I", *slots)


def draw_norms(draw, data):
    """Norms by the specification, off by less than they may be; anything where they may be anything."""
    norms = []
    for vector in qemb_spec.read(data)["vectors"]:
        norm = qemb_spec.norm_of(vector)
        if norm < 2.0**128 * (1 - 2e-6):
            off = draw.pick((0, 0, 9e-7, -9e-7))
            # rounding to a subnormal number can take more than is left
            norms.append(struct.pack("<f", norm * (1 + off) if norm >= 2.0**-126 else norm))
        elif norm < 2.0**128:
            norms.append(struct.pack("<I", 0x7F7FFFFF))
        else:
            norms.append(struct.pack("<I", draw.bits(32)))
    return b"".join(norms)


# --- sections -------------------------------------------------------------------------------------------------------


def cut_into_frames(draw, section):
    size = len(section.data)
    section.frame_size = draw.pick((1, 2, 3, 7, 16, 64, 100, max(size // 3, 1), max(size, 1), size + 1, 2**24))
    section.frame_size = max(section.frame_size, -(-size // MAX_FRAMES))
    for number, at in enumerate(range(0, size, section.frame_size)):
        raw = section.data[at : at + section.frame_size]
        stored = draw_frame(draw, raw)
        section.frames[number] = raw if len(stored) == len(raw) else stored


def draw_frame(draw, raw):
    """The bytes of a frame: as they are, or in raw and run-length blocks, or as libzstd compresses them."""
    if draw.chance(0.3):
        return raw
    checksum = draw.chance(0.3)
    if draw.chance(0.4):
        return zstdframes.compress(raw, checksum=checksum, window_log=draw.pick((None, 17, 20)))
    try:
        import zstandard
    except ImportError:
        return zstdframes.compress(raw, checksum=checksum)
    return zstandard.ZstdCompressor(level=draw.pick((-5, 1, 3, 19)), write_checksum=checksum).compress(raw)


def add_unknown(draw, file):
    """A section of a kind that nobody knows, with any codec and sizes."""
    first = draw.pick("abcxyzNQX")
    kind = first + "".join(draw.pick("aZ09T") for _ in range(3))
    if kind in [section.kind for section in file.sections]:
        return
    at, flags = draw.below(len(file.sections) + 1), draw.pick((0, 2))
    file.add(kind, draw.bytes(draw.pick((0, 1, 64, 99))), flags=flags, at=at)
    if draw.chance(0.7):
        file.sections[at].entry |= {"codec": draw.bits(16), "raw_size": draw.bits(64), "frame_size": draw.bits(32)}


# --- vectors --------------------------------------------------------------------------------------------------------


def draw_vectors(draw, rows, dim, choice):
    """QUAN and the sections that it calls for, with one of the levels there are to choose from."""
    level = draw.pick(choice)
    bits, parameters, levels, edges = DRAW_LEVEL[level](draw, dim)
    c = dim if level != PRODUCT else -(-dim // struct.unpack("<I", parameters)[0])
    low_bits = draw.pick((bits, bits, bits, draw.between(0, bits), 0))
    stride = -(-c * low_bits // 8) + draw.pick((0, 0, 0, 1, 3, 61)) if low_bits else 0
    sections, groups = {}, {}
    if levels is not None:
        sections["LEVL"] = levels
    for name, kind in (("scale", "SCAL"), ("offset", "OFFS")):
        choices = (NONE, TABLE, ROW, COLUMN, BLOCK)
        if level in (DECIMAL, IEEE):
            choices = (NONE,)
        elif name == "scale" and level != PRODUCT:
            choices = (TABLE, ROW, COLUMN, BLOCK)
        group = draw.pick(choices)
        type_ = draw.pick((FLOAT32, FLOAT16)) if group != NONE else 0
        block = draw.between(1, dim) if group == BLOCK else 0
        groups[name] = group, type_, block
        if group != NONE:
            count = (0, 1, rows, dim, rows * -(-dim // (block or dim)))[group]
            sections[kind] = draw_floats(draw, type_, count)
    codes = draw_codes(draw, rows, c, edges)
    low = [[code & (1 << low_bits) - 1 for code in row] for row in codes]
    if low_bits:
        sections["CODE"] = b"".join(rawfile.pack_codes(row, low_bits, stride) for row in low)
    for plane, shift in enumerate(range(low_bits, bits, 8)):
        sections[f"HIG{plane}"] = bytes(code >> shift & 0xFF for row in codes for code in row)
    if level == DECIMAL and draw.chance(0.7):
        nought = max(edges) // 2
        noughts = [at for at, code in enumerate(code for row in codes for code in row) if code == nought]
        values = (0x80000000, 0x7FC00000, 0x7F800001, 0, draw.bits(32))
        chosen = [at for at in noughts if draw.chance(0.7)]
        sections["EXCP"] = b"".join(struct.pack("<QI", at, draw.pick(values)) for at in chosen)
    fields = {"low_bits": low_bits, "stride": stride, "parameters": parameters} | groups
    return {"QUAN": rawfile.descriptor(level, bits, dim, **fields)} | sections


def draw_floats(draw, type_, count):
    """Finite floats: of every magnitude, or the edges of the type, or common ones."""
    width, infinity, one = (32, 0x7F800000, 0x3F800000) if type_ == FLOAT32 else (16, 0x7C00, 0x3C00)
    least_normal = infinity // (255 if type_ == FLOAT32 else 31)
    edges = (0, 1, 2, least_normal - 1, least_normal, infinity - 1, one, one + 1)
    style = draw.below(3)
    found = []
    for _ in range(count):
        if style == 0:
            bits = draw.below(infinity)
        elif style == 1:
            bits = draw.pick(edges)
        else:
            bits = one - 8 * least_normal + draw.below(16 * least_normal)  # 1/256 to 256
        found.append(bits | draw.below(2) << width - 1)
    return struct.pack(f"<{count}{'I' if width == 32 else 'H'}", *found)


def draw_codes(draw, rows, c, edges):
    """Codes of 0 to the greatest edge: any, few, those of the edges or one alone."""
    most = max(edges)
    few = [draw.between(0, most) for _ in range(2)]
    choices = draw.pick((None, None, few, edges, edges[:1]))
    return [[draw.between(0, most) if choices is None else draw.pick(choices) for _ in range(c)] for _ in range(rows)]


# Each gives the bits of a code, the parameters, LEVL, and codes that are worth having, the greatest among them.


def draw_linear(draw, _dim):
    bits = draw.between(1, 16)
    half = 1 << bits - 1
    step = draw.pick((1, 1, draw.between(1, 2**25 // (2**bits - 1)), 2**25 // (2**bits - 1)))
    least, greatest = step * (half - 1) - 2**24, 2**24 - step * half
    bias = draw.pick((0 if least <= 0 <= greatest else least, least, greatest, draw.between(least, greatest)))
    return bits, struct.pack("<ii", step, bias), None, (0, half - 1, half, 2**bits - 1)


def draw_codebook(draw, _dim):
    bits = draw.between(1, 8)
    window = bits if draw.chance(0.4) else draw.between(bits, draw.pick((9, 9, 10, 16)))
    shift = draw.between(1, min(bits, window - bits)) if window > bits else 0
    levels = bytes(range(256)) * 256 if draw.chance(0.3) else draw.bytes(997) * 66
    return bits, bytes([window, shift]), levels[: 1 << window], (0, 1, 2**bits - 1)


def draw_product(draw, dim):
    sub_dim = draw.pick((1, dim, draw.between(1, dim)))
    values = -(-dim // sub_dim) * sub_dim
    bits = draw.between(1, 12 if values < 4 else 4)
    return bits, struct.pack("<I", sub_dim), draw_floats(draw, FLOAT32, values << bits), (0, 1, 2**bits - 1)


def draw_decimal(draw, _dim):
    digits = draw.between(1, 9)
    lowest = draw.pick((-60, -46, -10, -3, 0, 38, draw.between(-60, 38)))
    most_span = min(38 - lowest, (2**31 - 10**digits) // (9 * 10 ** (digits - 1)))
    span = draw.pick((0, most_span, draw.between(0, most_span)))
    r = 10**digits + span * 9 * 10 ** (digits - 1) - 1
    bits = draw.between((2 * r).bit_length(), 32)
    return bits, struct.pack("<Bbb", digits, lowest, lowest + span), None, (r, r - 1, r + 1, 2 * r, 0)


def draw_ieee(draw, _dim):
    format_ = draw.below(3)
    bits, fraction = ((32, 23), (16, 10), (16, 7))[format_]
    top = 1 << bits - 1
    infinity = (top - 1) >> fraction << fraction
    magnitudes = (infinity, infinity | 1, infinity | 1 << fraction - 1, 0, 1, (1 << fraction) - 1, 1 << fraction)
    positive = tuple(magnitude | top for magnitude in magnitudes)
    negative = tuple(top - 1 - magnitude for magnitude in magnitudes)
    return bits, bytes([format_]), None, (*positive, *negative, 2**bits - 1)


DRAW_LEVEL = (draw_linear, draw_codebook, draw_product, draw_decimal, draw_ieee)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--out", type=Path, required=True, help="folder, made where there is none")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for number in range(arguments.count):
        data = random_file(arguments.seed, number)
        path = arguments.out / f"{arguments.seed}-{number}.qemb"
        path.write_bytes(data)
        path.with_suffix(".json").write_text(json.dumps(qemb_spec.answer(data), indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
