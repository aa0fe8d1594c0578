"""The specification of `.qemb` as a program: plain, slow, and in the order of `spec/qemb.md`, whose clauses it names.

It makes every check and decodes everything, with the standard library alone, and `zstandard` where a frame is
compressed. Run as a program it is an adapter of `conformance/PROTOCOL.md`.
"""

from __future__ import annotations

import json
import math
import re
import struct
import sys
from fractions import Fraction
from itertools import pairwise
from typing import Any

Fields = dict[str, Any]
"""Fields of a structure by their names."""


class Rejected(Exception):  # noqa: N818
    """The file is refused, with the error code of the first check that failed and the requirement that it checks."""

    def __init__(self, code: str, requirement: str) -> None:
        super().__init__(code, requirement)
        self.code, self.requirement = code, requirement


class Unsupported(Exception):  # noqa: N818
    """The file needs a feature that this machine lacks."""

    def __init__(self, feature: str) -> None:
        super().__init__(feature)
        self.feature = feature


def require(holds: object, requirement: str, code: str) -> None:
    """Make a check."""
    if not holds:
        raise Rejected(code, requirement)


# --- 1. Concepts ----------------------------------------------------------------------------------------------------


def parse(layout: str, data: bytes, at: int = 0) -> Fields:
    """Read a structure: ``layout`` holds ``name:format`` of each field, in the formats of struct. QEMB-CON-01."""
    names, formats = zip(*(field.split(":") for field in layout.split()), strict=True)
    return dict(zip(names, struct.unpack_from("<" + "".join(formats), data, at), strict=True))


def array(format_: str, data: bytes) -> list[Any]:
    """Read elements of one type, little-endian."""
    return [element for (element,) in struct.iter_unpack("<" + format_, data)]


def ceil_div(a: int, b: int) -> int:
    """Divide and round up."""
    return -(-a // b)


def float32(x: float) -> float:
    """Round to float32, ties to even, and past its range to infinity. QEMB-CON-02.

    What comes here is a sum, a product or a quotient of two float32, rounded to float64 already. That changes nothing:
    the product is exact; the sum and the quotient are never so near to the middle between two float32 that 53 bits miss
    on which side they are, because 53 >= 2 x 24 + 2 (Figueroa, 1995). Among the subnormal numbers the sum is exact, and
    the quotient by n is the middle or 2^-150 / n away.
    """
    try:
        return struct.unpack("<f", struct.pack("<f", x))[0]
    except OverflowError:
        return math.copysign(math.inf, x)


def bits_of(x: float) -> int:
    """Give the bits of a float that is a float32."""
    return struct.unpack("<I", struct.pack("<f", x))[0]


def float_of(bits: int) -> float:
    """Give the float32 with these bits."""
    return struct.unpack("<f", struct.pack("<I", bits))[0]


CRC_OF_BYTE = list(range(256))
for _ in range(8):  # reflected, so that the polynomial 1EDC6F41 stands as 82F63B78
    CRC_OF_BYTE = [crc >> 1 ^ (0x82F63B78 if crc & 1 else 0) for crc in CRC_OF_BYTE]


def crc32c(data: bytes) -> int:
    """Give the CRC-32C."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_OF_BYTE[crc & 0xFF ^ byte]
    return crc ^ 0xFFFFFFFF


# --- 2. Header ------------------------------------------------------------------------------------------------------

MAGIC = b"\x89QEMB\r\n\x1a"
HEADER = """magic:8s major:H minor:H section_count:I required_features:I optional_features:I rows:Q tokens:Q file_size:Q
    dim:I table_offset:I table_crc:I header_crc:I"""
BYTE_TOKENS = 1


def read_header(data: bytes) -> Fields:
    """Read and check the header, and the CRC of the section table."""
    require(data[:8] == MAGIC[: len(data)], "QEMB-HDR-01", "malformed.magic")
    require(len(data) >= 64, "QEMB-HDR-02", "malformed.truncated")
    header = parse(HEADER, data)
    require(header["major"] == 1, "QEMB-HDR-03", "unsupported.version")
    require(header["header_crc"] == crc32c(data[:60]), "QEMB-HDR-04", "malformed.header_checksum")
    require(header["required_features"] in (0, BYTE_TOKENS), "QEMB-HDR-05", "unsupported.feature")
    require(header["table_offset"] == 64, "QEMB-HDR-06", "invalid.table_offset")
    require(header["section_count"] <= 256, "QEMB-HDR-07", "limit.sections")
    require(1 <= header["dim"] <= 2**24, "QEMB-HDR-08", "invalid.dim")
    require(header["rows"] < 2**53, "QEMB-HDR-09", "invalid.counts")
    require(header["tokens"] <= header["rows"], "QEMB-HDR-09", "invalid.counts")
    table_end = 64 + 40 * header["section_count"]
    require(table_end <= header["file_size"] < 2**53, "QEMB-HDR-10", "invalid.file_size")
    require(len(data) >= header["file_size"], "QEMB-HDR-11", "malformed.truncated")
    require(len(data) <= header["file_size"], "QEMB-HDR-11", "invalid.trailing_bytes")
    require(header["table_crc"] == crc32c(data[64:table_end]), "QEMB-HDR-12", "malformed.table_checksum")
    return header


# --- 3. Section table -----------------------------------------------------------------------------------------------

ENTRY = "kind:4s flags:H codec:H offset:Q stored_size:Q raw_size:Q frame_size:I crc:I"
CRITICAL, COPY_SAFE = 1, 2
RAW, ZSTD_FRAMES = 0, 1


def read_table(data: bytes, header: Fields) -> list[Fields]:
    """Read and check the entries of the section table."""
    entries: list[Fields] = []
    end = 64 + 40 * header["section_count"]
    for number in range(header["section_count"]):
        entry = parse(ENTRY, data, 64 + 40 * number)
        require(re.fullmatch(b"[A-Za-z][A-Za-z0-9]{3}", entry["kind"]), "QEMB-TAB-01", "invalid.section_kind")
        kind = entry["kind"] = entry["kind"].decode("ascii")
        known = kind in FLAGS_OF_KIND
        require(entry["flags"] <= CRITICAL | COPY_SAFE, "QEMB-TAB-02", "invalid.section_flags")
        require(not known or entry["flags"] == FLAGS_OF_KIND[kind], "QEMB-TAB-02", "invalid.section_flags")
        require(known or not entry["flags"] & CRITICAL, "QEMB-TAB-02", "unsupported.critical_section")
        require(kind not in [other["kind"] for other in entries], "QEMB-TAB-03", "invalid.duplicate_section")
        if known:
            check_codec(entry)
        require(entry["offset"] % 64 == 0, "QEMB-TAB-05", "invalid.alignment")
        require(entry["offset"] >= end, "QEMB-TAB-06", "invalid.overlap")
        room = header["file_size"] - entry["offset"]
        require(entry["stored_size"] <= room, "QEMB-TAB-07", "invalid.section_past_end")
        require(entry["offset"] < end + 64, "QEMB-TAB-08", "invalid.hole")
        end = entry["offset"] + entry["stored_size"]
        entries.append(entry)
    require(end == header["file_size"], "QEMB-TAB-09", "invalid.trailing_bytes")
    return entries


def check_codec(entry: Fields) -> None:
    """Check the codec of a known kind, and the sizes that go with it."""
    require(entry["codec"] in (RAW, ZSTD_FRAMES), "QEMB-TAB-04", "unsupported.codec")
    if entry["codec"] == RAW:
        require(entry["raw_size"] == entry["stored_size"], "QEMB-TAB-04", "invalid.section_size")
        require(entry["frame_size"] == 0, "QEMB-TAB-04", "invalid.section_size")
    else:
        require(1 <= entry["frame_size"] <= 2**24, "QEMB-FRM-01", "invalid.frame_size")
        require(entry["raw_size"] < 2**53, "QEMB-FRM-02", "invalid.section_size")
        require(entry["stored_size"] >= 16 * frame_count(entry), "QEMB-FRM-02", "invalid.section_size")


# --- 4. Zstd frames -------------------------------------------------------------------------------------------------


def frame_count(entry: Fields) -> int:
    """Give the number of frames of a section."""
    return ceil_div(entry["raw_size"], entry["frame_size"])


def raw_bytes(entry: Fields, stored: bytes) -> bytes:
    """Decode the stored bytes of a section."""
    if entry["codec"] == RAW:
        return stored
    table = len(stored) - 16 * frame_count(entry)
    frames = list(struct.iter_unpack("<QII", stored[table:]))  # offset, size, crc
    end = 0
    for offset, size, _ in frames:
        require(offset == end, "QEMB-FRM-03", "invalid.frame_table")
        end = offset + size
    require(end == table, "QEMB-FRM-03", "invalid.frame_table")
    raw: list[bytes] = []
    for number, (offset, size, crc) in enumerate(frames):
        raw_size = min(entry["frame_size"], entry["raw_size"] - number * entry["frame_size"])
        data = stored[offset : offset + size]
        require(crc == crc32c(data), "QEMB-FRM-04", "malformed.frame_checksum")
        raw.append(data if len(data) == raw_size else decompress(data, raw_size))
    return b"".join(raw)


def decompress(data: bytes, raw_size: int) -> bytes:
    """Decode the one Zstandard frame that ``data`` has to be. QEMB-FRM-05."""
    try:
        import zstandard
    except ImportError:
        raise Unsupported("zstd") from None
    try:
        require(data[:4] == b"\x28\xb5\x2f\xfd", "QEMB-FRM-05", "malformed.frame")  # no skippable or older frame
        declared = zstandard.get_frame_parameters(data)
        require(declared.content_size == raw_size, "QEMB-FRM-05", "malformed.frame")
        require(declared.dict_id == 0, "QEMB-FRM-05", "malformed.frame")
        raw = zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
    except zstandard.ZstdError:
        raise Rejected("malformed.frame", "QEMB-FRM-05") from None
    require(len(raw) == raw_size, "QEMB-FRM-05", "malformed.frame")
    return raw


# --- 5. Kinds of sections -------------------------------------------------------------------------------------------

KINDS = "META QUAN TRNS LEVL SCAL OFFS CODE HIG0 HIG1 HIG2 HIG3 EXCP TOKO TOKB INDX NORM CNTS SUBW"
FLAGS_OF_KIND = dict.fromkeys(KINDS.split(), CRITICAL) | {"META": COPY_SAFE, "INDX": 0, "NORM": 0, "CNTS": 0, "SUBW": 0}


def check_metadata(data: bytes) -> None:
    """Check the contents of META. QEMB-MET-02, QEMB-MET-03."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise Rejected("malformed.metadata", "QEMB-MET-02") from None
    # a string ends at a quotation mark that no backslash precedes, or with the text; its brackets are not counted
    depth = 0
    for mark in re.findall(r'"(?:\\.|[^"\\])*"?|[\[\]{}]', text, re.DOTALL):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(mark, 0)
        require(depth <= 32, "QEMB-MET-03", "invalid.metadata")
    numbers: Fields = {"parse_int": str, "parse_float": str}  # they stay text, so that none is too large
    try:
        value = json.loads(text, parse_constant=_no_constant, **numbers)
    except ValueError:
        raise Rejected("malformed.metadata", "QEMB-MET-02") from None
    require(isinstance(value, dict), "QEMB-MET-03", "invalid.metadata")
    json.loads(text, object_pairs_hook=_unique_keys, **numbers)


def _no_constant(name: str) -> None:
    """Refuse NaN and Infinity, which json takes."""
    raise ValueError(name)


def _unique_keys(pairs: list[tuple[str, Any]]) -> None:
    """Refuse an object with a key twice."""
    keys = [key for key, _ in pairs]
    require(len(keys) == len(set(keys)), "QEMB-MET-03", "invalid.metadata")


# --- 6.1 Quantization descriptor ------------------------------------------------------------------------------------

QUANTIZATION = """level:B bits:B low_bits:B reserved:1s scale_group:B scale_type:B offset_group:B offset_type:B
    scale_block:I offset_block:I row_stride:I"""
PARAMETERS = (
    "step:i bias:i",
    "window:B shift:B reserved:6s",
    "sub_dim:I reserved:4s",
    "digits:B exponent_min:b exponent_max:b reserved:5s",
    "format:B reserved:7s",
)
LINEAR, CODEBOOK, PRODUCT, DECIMAL, IEEE = range(5)
NONE, TABLE, ROW, COLUMN, BLOCK = range(5)
FLOAT32, FLOAT16, BFLOAT16 = range(3)


def read_quantization(data: bytes, dim: int) -> Fields:
    """Read and check QUAN; its parameters stand among the other fields."""
    q = parse(QUANTIZATION, data)
    require(not any(q.pop("reserved")), "QEMB-QNT-01", "malformed.structure")
    require(q["level"] <= IEEE, "QEMB-QNT-01", "unsupported.level")
    q |= parse(PARAMETERS[q["level"]], data, 20)
    require(not any(q.pop("reserved", b"")), "QEMB-QNT-01", "malformed.structure")

    def rule(requirement: str, holds: object) -> None:
        require(holds, requirement, "invalid.quantization")

    level, bits = q["level"], q["bits"]
    rule("QEMB-QNT-02", 1 <= bits <= (16, 8, 16, 32, 32)[level])
    rule("QEMB-QNT-03", q["low_bits"] <= bits)
    rule("QEMB-QNT-04", q["scale_group"] <= BLOCK and q["offset_group"] <= BLOCK)
    rule("QEMB-QNT-04", level not in (LINEAR, CODEBOOK) or q["scale_group"] != NONE)
    rule("QEMB-QNT-04", level not in (DECIMAL, IEEE) or q["scale_group"] == q["offset_group"] == NONE)
    rule("QEMB-QNT-05", q["scale_type"] <= 2 and q["offset_type"] <= 2)
    rule("QEMB-QNT-05", (q["scale_type"] == 0) == (q["scale_group"] == NONE))
    rule("QEMB-QNT-05", (q["offset_type"] == 0) == (q["offset_group"] == NONE))
    for name in ("scale", "offset"):
        least, most = (1, dim) if q[f"{name}_group"] == BLOCK else (0, 0)
        rule("QEMB-QNT-06", least <= q[f"{name}_block"] <= most)
    if level == LINEAR:
        lowest, highest = (q["step"] * s - q["bias"] for s in (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))
        rule("QEMB-QNT-07", q["step"] >= 1)
        rule("QEMB-QNT-07", -lowest <= 2**24 and highest <= 2**24)
    elif level == CODEBOOK:
        m = q["window"] - bits
        rule("QEMB-QNT-07", bits <= q["window"] <= 16)
        rule("QEMB-QNT-07", q["shift"] == 0 if m == 0 else 1 <= q["shift"] <= min(bits, m))
    elif level == PRODUCT:
        rule("QEMB-QNT-07", 1 <= q["sub_dim"] <= dim)
    elif level == DECIMAL:
        rule("QEMB-QNT-07", 1 <= q["digits"] <= 9)
        rule("QEMB-QNT-07", -60 <= q["exponent_min"] <= q["exponent_max"] <= 38)
        rule("QEMB-QNT-07", 2 * greatest_rank(q) < 2**bits)
    else:
        rule("QEMB-QNT-07", q["format"] <= BFLOAT16)
        rule("QEMB-QNT-07", bits == (32 if q["format"] == FLOAT32 else 16))
    if q["low_bits"] != 0:
        rule("QEMB-QNT-08", q["row_stride"] >= ceil_div(codes_per_row(q, dim) * q["low_bits"], 8))
    else:
        rule("QEMB-QNT-09", q["row_stride"] == 0)
    return q


def codes_per_row(q: Fields, dim: int) -> int:
    """Give the number of codes of a row, c of QEMB-QNT-08."""
    return ceil_div(dim, q["sub_dim"]) if q["level"] == PRODUCT else dim


def sizes_called_for(q: Fields, header: Fields) -> dict[str, int]:
    """Give the raw sizes of the sections that the descriptor calls for. QEMB-QNT-10."""
    rows, dim, c = header["rows"], header["dim"], codes_per_row(q, header["dim"])
    sizes = {}
    if q["level"] == CODEBOOK:
        sizes["LEVL"] = 2 ** q["window"]
    if q["level"] == PRODUCT:
        sizes["LEVL"] = 4 * c * 2 ** q["bits"] * q["sub_dim"]
    for kind, name in (("SCAL", "scale"), ("OFFS", "offset")):
        if q[f"{name}_group"] != NONE:
            blocks = ceil_div(dim, q[f"{name}_block"] or dim)
            elements = (0, 1, rows, dim, rows * blocks)[q[f"{name}_group"]]
            sizes[kind] = elements * (0, 4, 2)[q[f"{name}_type"]]
    if q["low_bits"] > 0:
        sizes["CODE"] = rows * q["row_stride"]
    for k in range(ceil_div(q["bits"] - q["low_bits"], 8)):
        sizes[f"HIG{k}"] = rows * c
    return sizes


# --- 6.2 Unpacking --------------------------------------------------------------------------------------------------


def read_codes(q: Fields, header: Fields, raw: dict[str, bytes]) -> list[list[int]]:
    """Unpack the codes of every row."""
    rows, c, low_bits = header["rows"], codes_per_row(q, header["dim"]), q["low_bits"]
    codes = [[0] * c for _ in range(rows)]
    for i in range(rows):  # QEMB-PCK-01
        row = raw.get("CODE", b"")[i * q["row_stride"] : (i + 1) * q["row_stride"]]
        for j in range(c):
            first, end = j * low_bits, (j + 1) * low_bits  # only the bytes with these bits are looked at, for speed
            codes[i][j] = int.from_bytes(row[first // 8 : ceil_div(end, 8)], "little") >> first % 8 & 2**low_bits - 1
        past_the_last_code = int.from_bytes(row, "little") >> c * low_bits
        require(past_the_last_code == 0, "QEMB-PCK-02", "invalid.code_padding")
    for k in range(ceil_div(q["bits"] - low_bits, 8)):  # QEMB-PCK-03
        for i in range(rows):
            for j in range(c):
                codes[i][j] |= raw[f"HIG{k}"][i * c + j] << low_bits + 8 * k
                require(codes[i][j] < 2 ** q["bits"], "QEMB-PCK-03", "invalid.code_padding")
    return codes


# --- 6.3 Levels -----------------------------------------------------------------------------------------------------


def linear_levels(q: Fields, codes: list[int]) -> list[int]:
    """QEMB-LIN-01."""
    signed = [code - 2 ** q["bits"] if code >= 2 ** (q["bits"] - 1) else code for code in codes]
    return [q["step"] * s - q["bias"] for s in signed]


def codebook_levels(q: Fields, codes: list[int], levels: list[int]) -> list[int]:
    """QEMB-COD-01."""
    m, k = q["window"] - q["bits"], q["shift"]
    before = ceil_div(m, k) if m else 0
    register, states = 0, []
    for i in range(-before, len(codes)):
        code = codes[i % len(codes)]
        states.append(code << m | register)
        if m:
            register = register >> k | code % 2**k << m - k
    return [levels[state] for state in states[before:]]


def product_levels(q: Fields, codes: list[int], levels: list[float], dim: int) -> list[float]:
    """QEMB-PRO-01."""
    size = q["sub_dim"]
    return [levels[(j // size * 2 ** q["bits"] + codes[j // size]) * size + j % size] for j in range(dim)]


def greatest_rank(q: Fields) -> int:
    """Give R of section 6.3.4."""
    digits = q["digits"]
    return 10**digits + (q["exponent_max"] - q["exponent_min"]) * 9 * 10 ** (digits - 1) - 1


def decimal_bits(q: Fields, code: int) -> int:
    """Give the value of a code as the bits of a float32. QEMB-DEC-01."""
    digits, r = q["digits"], code - greatest_rank(q)
    significand, exponent = abs(r), q["exponent_min"]
    if abs(r) >= 10**digits:
        t, decade = abs(r) - 10**digits, 9 * 10 ** (digits - 1)
        significand, exponent = 10 ** (digits - 1) + t % decade, q["exponent_min"] + 1 + t // decade
    return nearest(significand * Fraction(10) ** exponent) | (0x80000000 if r < 0 else 0)


def nearest(x: Fraction) -> int:
    """Give the bits of the float32 nearest to x, ties to even; x is not negative."""
    # the least power of two by which x is below 2^24: floats are multiples of it there, and of 2^-149 at least
    unit = max(x.numerator.bit_length() - x.denominator.bit_length() - 24, -149)
    while x >= Fraction(2) ** (unit + 24):
        unit += 1
    return bits_of(float32(math.ldexp(round(x / Fraction(2) ** unit), unit)))  # round gives the even one of a tie


def read_exceptions(raw: dict[str, bytes]) -> list[tuple[int, ...]]:
    """Read EXCP: positions, and the bits there."""
    return list(struct.iter_unpack("<QI", raw.get("EXCP", b"")))


def check_exceptions(q: Fields, dim: int, codes: list[list[int]], exceptions: list[tuple[int, ...]]) -> None:
    """QEMB-DEC-02."""
    last = -1
    for position, _ in exceptions:
        require(last < position < len(codes) * dim, "QEMB-DEC-02", "invalid.exceptions")
        require(codes[position // dim][position % dim] == greatest_rank(q), "QEMB-DEC-02", "invalid.exceptions")
        last = position


def ieee_bits(q: Fields, code: int) -> int:
    """Give the value of a code as the bits of a float32. QEMB-IEE-01."""
    top = 2 ** (q["bits"] - 1)
    bits = code - top if code >= top else code ^ 2 ** q["bits"] - 1
    if q["format"] == FLOAT32:
        return bits
    if q["format"] == BFLOAT16:
        return bits << 16
    sign, exponent, fraction = bits >> 15, bits >> 10 & 31, bits & 1023
    if exponent == 31:  # infinity, and every NaN as it is
        return sign << 31 | 255 << 23 | fraction << 13
    return bits_of(struct.unpack("<e", struct.pack("<H", bits))[0])


# --- 6.4 Scale and offset -------------------------------------------------------------------------------------------


def read_floats(type_: int, raw: dict[str, bytes], kind: str) -> list[float]:
    """Read scales or offsets."""
    return array(" fe"[type_], raw[kind]) if kind in raw else []


def element(q: Fields, name: str, i: int, j: int, dim: int) -> int:
    """Give the number of the scale or offset of a value. QEMB-SCL-01."""
    group, block = q[f"{name}_group"], q[f"{name}_block"] or dim
    return (0, 0, i, j, i * ceil_div(dim, block) + j // block)[group]


def scaled(q: Fields, levels: list[float], scales: list[float], offsets: list[float], i: int) -> list[float]:
    """Scale the levels of row i and add its offsets. QEMB-SCL-01."""
    values = []
    for j, level in enumerate(levels):
        value = float(level)
        if q["scale_group"] != NONE:
            value = float32(scales[element(q, "scale", i, j, len(levels))] * value)
        if q["offset_group"] != NONE:
            value = float32(offsets[element(q, "offset", i, j, len(levels))] + value)
        values.append(value)
    return values


# --- 6.5 Transform --------------------------------------------------------------------------------------------------

TRANSFORM = "kind:B generator:B rounds:B reserved:5s seed:Q"


def read_transform(data: bytes) -> Fields:
    """Read and check TRNS. QEMB-TRN-01."""
    transform = parse(TRANSFORM, data)
    require(not any(transform.pop("reserved")), "QEMB-TRN-01", "malformed.structure")
    require(transform["kind"] == transform["generator"] == 1, "QEMB-TRN-01", "unsupported.transform")
    require(1 <= transform["rounds"] <= 8, "QEMB-TRN-01", "invalid.transform")
    return transform


def transformed(transform: Fields, values: list[float]) -> list[float]:
    """Turn the values of a row into its vector. QEMB-TRN-02."""
    x, dim = list(values), len(values)
    p = 2 ** (dim.bit_length() - 1)
    for signs in signs_of_rounds(transform, dim):
        x = [-value if signs >> j & 1 else value for j, value in enumerate(x)]
        x[:p] = hadamard(x[:p])
        if p < dim:
            x[dim - p :] = hadamard(x[dim - p :])
    return x


def hadamard(values: list[float]) -> list[float]:
    """Transform 2^n values."""
    y, p = list(values), len(values)
    h = 1
    while h < p:
        for k in range(p):
            if k // h % 2 == 0:
                y[k], y[k + h] = float32(y[k] + y[k + h]), float32(y[k] - y[k + h])
        h *= 2
    factor = float32(1 / math.sqrt(p))
    return [float32(value * factor) for value in y]


def signs_of_rounds(transform: Fields, dim: int) -> list[int]:
    """Draw the signs of each round, as the bits of one integer. QEMB-TRN-03."""
    state, words = transform["seed"], []
    for _ in range(transform["rounds"] * ceil_div(dim, 64)):
        state = (state + 0x9E3779B97F4A7C15) % 2**64
        z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        z = (z ^ z >> 27) * 0x94D049BB133111EB % 2**64
        words.append(z ^ z >> 31)
    per_round = ceil_div(dim, 64)
    rounds = [words[at : at + per_round] for at in range(0, len(words), per_round)]
    return [sum(word << 64 * n for n, word in enumerate(words)) for words in rounds]


def decode_vectors(
    q: Fields, header: Fields, transform: Fields | None, raw: dict[str, bytes], codes: list[list[int]]
) -> list[list[int]]:
    """Decode every row to the bits of float32: all of section 6."""
    levels = array("b" if q["level"] == CODEBOOK else "f", raw.get("LEVL", b""))
    scales, offsets = read_floats(q["scale_type"], raw, "SCAL"), read_floats(q["offset_type"], raw, "OFFS")
    exceptions = dict(read_exceptions(raw))
    vectors = []
    for i, row in enumerate(codes):
        if q["level"] == DECIMAL:
            bits = [exceptions.get(i * header["dim"] + j, decimal_bits(q, code)) for j, code in enumerate(row)]
        elif q["level"] == IEEE:
            bits = [ieee_bits(q, code) for code in row]
        else:
            if q["level"] == LINEAR:
                of_row: list[Any] = linear_levels(q, row)
            elif q["level"] == CODEBOOK:
                of_row = codebook_levels(q, row, levels)
            else:
                of_row = product_levels(q, row, levels, header["dim"])
            bits = [bits_of(value) for value in scaled(q, of_row, scales, offsets, i)]
        if transform:
            bits = [bits_of(value) for value in transformed(transform, [float_of(value) for value in bits])]
        vectors.append(bits)
    return vectors


# --- 7. Tokens ------------------------------------------------------------------------------------------------------


def read_tokens(header: Fields, raw: dict[str, bytes]) -> list[bytes]:
    """Read and check TOKO and TOKB."""
    text = raw["TOKB"]
    ends = array("Q" if len(text) >= 2**32 else "I", raw["TOKO"])
    require(ends[0] == 0 and ends[-1] == len(text), "QEMB-TOK-01", "invalid.token_offsets")
    for begin, end in pairwise(ends):
        require(begin <= end <= len(text), "QEMB-TOK-01", "invalid.token_offsets")
        require(end - begin <= 65_536, "QEMB-TOK-02", "invalid.token_length")
    tokens = [text[begin:end] for begin, end in pairwise(ends)]
    seen = set()
    for token in tokens:
        if header["required_features"] & BYTE_TOKENS == 0:
            try:
                token.decode("utf-8")
            except UnicodeDecodeError:
                raise Rejected("invalid.token_utf8", "QEMB-TOK-03") from None
        require(token not in seen, "QEMB-TOK-04", "invalid.duplicate_token")
        seen.add(token)
    return tokens


EMPTY = 0xFFFFFFFF


def search(slots: list[int], tokens: list[bytes], token: bytes) -> int | None:
    """Find the row of a token by the index. Section 7.2."""
    slot = crc32c(token) * len(slots) >> 32
    while slots[slot] != EMPTY:
        if tokens[slots[slot]] == token:
            return slots[slot]
        slot = (slot + 1) % len(slots)
    return None


def check_index(slots: list[int], tokens: list[bytes]) -> None:
    """QEMB-IDX-02. Where every row stands once there is an empty slot, and each search comes to its end."""
    rows = sorted(row for row in slots if row != EMPTY)
    require(rows == list(range(len(tokens))), "QEMB-IDX-02", "invalid.index")
    for row, token in enumerate(tokens):
        require(search(slots, tokens, token) == row, "QEMB-IDX-02", "invalid.index")


def norm_of(vector: list[int]) -> float:
    """Give the Euclidean norm of a vector: the squares are exact in float64, and their sum is rounded once."""
    values = [float_of(bits) for bits in vector]
    return math.nan if any(map(math.isnan, values)) else math.sqrt(math.fsum(x * x for x in values))


def check_norms(norms: list[float], vectors: list[list[int]]) -> None:
    """QEMB-NRM-01."""
    for norm, vector in zip(norms, vectors, strict=True):
        expected = norm_of(vector)
        if expected < 2.0**128:
            within = abs(norm - expected) <= max(expected * 1e-6, 2.0**-149)
            require(within, "QEMB-NRM-01", "invalid.norm")


SUBWORD = "hash:B reserved:3s min_n:I max_n:I buckets:I"


def read_subword(data: bytes) -> Fields:
    """Read and check SUBW. QEMB-SUB-02."""
    subword = parse(SUBWORD, data)
    require(not any(subword.pop("reserved")), "QEMB-SUB-02", "malformed.structure")
    require(subword["hash"] == 1, "QEMB-SUB-02", "unsupported.subword")
    require(1 <= subword["min_n"] <= subword["max_n"], "QEMB-SUB-02", "invalid.subword")
    return subword


def ngrams(subword: Fields, word: bytes) -> list[bytes]:
    """Cut a word into the n-grams of QEMB-SUB-03, in their order."""
    w = b"<" + word + b">"
    starts = [at for at, byte in enumerate(w) if byte & 0xC0 != 0x80]
    bounds, found = [*starts, len(w)], []
    for start in range(len(starts)):
        for length in range(subword["min_n"], min(subword["max_n"], len(starts) - start) + 1):
            if length == 1 and start in (0, len(starts) - 1):
                continue
            found.append(w[bounds[start] : bounds[start + length]])
    return found


def fnv1a(ngram: bytes) -> int:
    """Hash an n-gram as fastText does. QEMB-SUB-03."""
    h = 0x811C9DC5
    for byte in ngram:
        h ^= byte if byte < 0x80 else byte | 0xFFFFFF00  # sign-extended
        h = h * 0x01000193 % 2**32
    return h


def subword_vector(subword: Fields, tokens: int, vectors: list[list[int]], word: bytes) -> list[int] | None:
    """Make the vector of a word that is no token, as bits of float32. QEMB-SUB-03."""
    found = ngrams(subword, word)
    if not found or subword["buckets"] == 0:
        return None
    total = [0.0] * len(vectors[0])
    for ngram in found:
        row = vectors[tokens + fnv1a(ngram) % subword["buckets"]]
        total = [float32(x + float_of(bits)) for x, bits in zip(total, row, strict=True)]
    return [bits_of(float32(x / len(found))) for x in total]


# --- 8. Order of checks ---------------------------------------------------------------------------------------------


def read_structures(data: bytes) -> Fields:
    """Open a file, making the checks 1 to 6 of QEMB-ORD-01: header, entries, structures, entries of known kinds."""
    header = read_header(data)  # 1
    entries = read_table(data, header)  # 2
    known = {entry["kind"]: entry for entry in entries if entry["kind"] in FLAGS_OF_KIND}

    for kind in ("QUAN", "TOKO", "TOKB"):  # 3
        require(kind in known, "QEMB-SEC-01", "invalid.missing_section")
    structures = {}
    for kind, size in (("QUAN", 28), ("TRNS", 16), ("SUBW", 16)):
        if kind in known:
            require(known[kind]["codec"] == RAW, "QEMB-FRM-06", "invalid.section_codec")
            require(known[kind]["raw_size"] == size, "QEMB-SEC-03", "invalid.section_size")
            structures[kind] = stored_bytes(data, known[kind])

    q = read_quantization(structures["QUAN"], header["dim"])  # 4
    transform = read_transform(structures["TRNS"]) if "TRNS" in known else None
    subword = read_subword(structures["SUBW"]) if "SUBW" in known else None
    buckets = subword["buckets"] if subword else 0
    require(header["rows"] - header["tokens"] == buckets, "QEMB-SUB-01", "invalid.counts")

    check_sizes(known, q, header)  # 5, 6
    return {
        "header": header,
        "sections": entries,
        "quantization": q,
        "transform": transform,
        "subword": subword,
        "known": known,
    }


def read(data: bytes) -> Fields:
    """Make every check in the order of QEMB-ORD-01, and decode: what is in the file, by names."""
    opened = read_structures(data)
    header, entries, q, transform = (opened[name] for name in ("header", "sections", "quantization", "transform"))
    known = opened["known"]
    check_memory(known, header)

    raw, end = {}, 64 + 40 * header["section_count"]  # 7
    for entry in entries:
        require(not any(data[end : entry["offset"]]), "QEMB-TAB-10", "invalid.padding")
        stored = stored_bytes(data, entry)
        if entry["kind"] in known:
            raw[entry["kind"]] = raw_bytes(entry, stored)
        end = entry["offset"] + entry["stored_size"]

    if "META" in raw:  # 8
        check_metadata(raw["META"])
    if q["level"] == PRODUCT:
        require(all(map(math.isfinite, array("f", raw["LEVL"]))), "QEMB-PRO-02", "invalid.level")
    scales, offsets = read_floats(q["scale_type"], raw, "SCAL"), read_floats(q["offset_type"], raw, "OFFS")
    require(all(map(math.isfinite, scales)), "QEMB-SCL-02", "invalid.scale")
    require(all(map(math.isfinite, offsets)), "QEMB-SCL-03", "invalid.offset")
    codes = read_codes(q, header, raw)
    if q["level"] == DECIMAL:
        in_range = all(code <= 2 * greatest_rank(q) for row in codes for code in row)
        require(in_range, "QEMB-DEC-01", "invalid.code")
        check_exceptions(q, header["dim"], codes, read_exceptions(raw))
    tokens = read_tokens(header, raw)
    slots = array("I", raw["INDX"]) if "INDX" in raw else None
    if slots is not None:
        check_index(slots, tokens)
    vectors = decode_vectors(q, header, transform, raw, codes)
    if "NORM" in raw:
        check_norms(array("f", raw["NORM"]), vectors)
    return opened | {"raw": raw, "tokens": tokens, "slots": slots, "vectors": vectors}


def stored_bytes(data: bytes, entry: Fields) -> bytes:
    """Cut a section out of the file and check its CRC."""
    stored = data[entry["offset"] : entry["offset"] + entry["stored_size"]]
    require(entry["crc"] == crc32c(stored), "QEMB-TAB-11", "malformed.section_checksum")
    return stored


def check_sizes(known: dict[str, Fields], q: Fields, header: Fields) -> None:
    """Make the checks 5 and 6."""
    called_for = sizes_called_for(q, header)
    sizes = called_for | {
        "TOKO": (8 if known["TOKB"]["raw_size"] >= 2**32 else 4) * (header["tokens"] + 1),
        "NORM": 4 * header["rows"],
        "CNTS": 8 * header["tokens"],
    }
    for kind in KINDS.split():
        if kind in called_for:
            require(kind in known, "QEMB-SEC-01", "invalid.missing_section")
        elif kind in ("LEVL", "SCAL", "OFFS", "CODE", "HIG0", "HIG1", "HIG2", "HIG3"):
            require(kind not in known, "QEMB-SEC-02", "invalid.unexpected_section")
        if kind in known and kind in sizes:
            require(known[kind]["raw_size"] == sizes[kind], "QEMB-SEC-03", "invalid.section_size")
    if "META" in known:  # 6
        require(known["META"]["raw_size"] <= 2**20, "QEMB-MET-01", "limit.metadata_size")
    if "EXCP" in known:
        require(q["level"] == DECIMAL, "QEMB-SEC-02", "invalid.unexpected_section")
        require(known["EXCP"]["raw_size"] % 12 == 0, "QEMB-SEC-03", "invalid.section_size")
    if "INDX" in known:
        size = known["INDX"]["raw_size"]
        require(size % 4 == 0, "QEMB-IDX-01", "invalid.section_size")
        require(header["tokens"] < size // 4 < 2**32 - 1, "QEMB-IDX-01", "invalid.section_size")


def check_memory(known: dict[str, Fields], header: Fields) -> None:
    """Refuse what PROTOCOL.md says is too much to ask. QEMB-LIM-01."""
    require(header["rows"] * header["dim"] <= 2**28, "QEMB-LIM-01", "limit.memory")
    for entry in known.values():
        require(entry["raw_size"] <= 2**30, "QEMB-LIM-01", "limit.memory")


# --- The answer of conformance/PROTOCOL.md --------------------------------------------------------------------------


def answer(data: bytes) -> Fields:
    """Read a file, and say what is in it in strings, lists and dicts alone."""
    contents = read(data)
    tokens, vectors, slots, raw = (contents[name] for name in ("tokens", "vectors", "slots", "raw"))
    row_of = {token: row for row, token in enumerate(tokens)}
    queries = [b"?", *(token + b"?" for token in tokens)]
    rows = {token: row_of.get(token) if slots is None else search(slots, tokens, token) for token in tokens + queries}
    result: Fields = {
        "header": strings(contents["header"]),
        "sections": [strings(entry) for entry in contents["sections"]],
        "quantization": strings(contents["quantization"]),
        "tokens": [token.hex() for token in tokens],
        "vectors": [[f"{bits:08x}" for bits in vector] for vector in vectors],
        "lookups": ["absent" if rows[token] is None else str(rows[token]) for token in tokens + queries],
    }
    if contents["transform"]:
        result["transform"] = strings(contents["transform"])
    if contents["subword"]:
        result["subword"] = strings(contents["subword"])
        result["subword_vectors"] = []
        for query in queries:
            vector = subword_vector(contents["subword"], len(tokens), vectors, query)
            made = "none" if vector is None else [f"{bits:08x}" for bits in vector]
            result["subword_vectors"].append(made if rows[query] is None else "token")
    if "META" in raw:
        result["metadata"] = raw["META"].hex()
    if "NORM" in raw:
        result["norms"] = [f"{bits:08x}" for bits in array("I", raw["NORM"])]
    if "CNTS" in raw:
        result["counts"] = [str(count) for count in array("Q", raw["CNTS"])]
    return result


def strings(fields: Fields) -> Fields:
    """Write the fields of a structure."""
    written = {}
    for name, value in fields.items():
        if name != "magic":
            written[name] = f"{value:08x}" if name.endswith("crc") else str(value)
    return written


def respond(data: bytes) -> tuple[int, Fields]:
    """Give the exit code and the output for a file."""
    try:
        return 0, answer(data)
    except Rejected as error:
        return 1, {"error": error.code, "requirement": error.requirement}
    except Unsupported as error:
        return 2, {"unsupported": error.feature}


def main() -> int:
    """Answer the file on standard input, or with ``--jsonl`` those that it names."""
    if sys.argv[1:] == ["--jsonl"]:
        for line in sys.stdin:
            with open(json.loads(line)["file"], "rb") as file:
                code, output = respond(file.read())
            print(json.dumps({"exit": str(code), "output": output}), flush=True)
        return 0
    code, output = respond(sys.stdin.buffer.read())
    print(json.dumps(output))
    return code


if __name__ == "__main__":
    sys.exit(main())
