"""Decoders with one bug each: the specification as a program, a line of it changed as someone may misread the text."""

from __future__ import annotations

import types
from dataclasses import dataclass
from pathlib import Path

import qemb_spec

SOURCE = Path(qemb_spec.__file__).read_text("utf-8")


@dataclass(frozen=True)
class Bug:
    """A text of the decoder that stands there once, and what stands there instead."""

    name: str
    requirement: str
    old: str
    new: str

    def decoder(self):
        """The decoder with this bug, as a module."""
        places = SOURCE.count(self.old)
        assert places == 1, f"{self.name}: its text stands in qemb_spec.py {places} times"
        module = types.ModuleType("wrong_decoder")
        exec(compile(SOURCE.replace(self.old, self.new), self.name, "exec"), module.__dict__)  # noqa: S102
        return module


def unchecked(name, requirement, check):
    """A bug that leaves a check out."""
    return Bug(name, f"QEMB-{requirement}", f"require({check}", f"require(True or {check}")


DECOMPRESS = SOURCE[
    SOURCE.index("require(declared.content_size") : SOURCE.index("    except zstandard.ZstdError")
].strip()

BUGS = (
    # 1. concepts
    Bug(
        "big-endian scales",
        "QEMB-CON-01",
        'return array(" fe"[type_], raw[kind]) if',
        'return [x for (x,) in struct.iter_unpack(">" + " fe"[type_], raw[kind])] if',
    ),
    Bug("unsigned levels", "QEMB-COD-01", 'array("b" if', 'array("B" if'),
    Bug(
        "product and sum rounded once, as fused multiply-add does",
        "QEMB-CON-02",
        'value = float32(scales[element(q, "scale", i, j, len(levels))] * value)',
        'value = (float if offsets else float32)(scales[element(q, "scale", i, j, len(levels))] * value)',
    ),
    Bug(
        "float16 scales that are subnormal flushed",
        "QEMB-CON-02",
        'return array(" fe"[type_], raw[kind]) if',
        'return [x if type_ == 1 or abs(x) >= 2**-14 else 0.0 for x in array(" fe"[type_], raw[kind])] if',
    ),
    Bug(
        "subnormal results flushed",
        "QEMB-CON-02",
        'return struct.unpack("<f", struct.pack("<f", x))[0]',
        'return struct.unpack("<f", struct.pack("<f", x))[0] if not abs(x) < 2**-126 else math.copysign(0, x)',
    ),
    Bug(
        "the greatest float where an operation overflows",
        "QEMB-CON-02",
        "return math.copysign(math.inf, x)",
        "return math.copysign(float_of(0x7F7FFFFF), x)",
    ),
    Bug("-0 lost", "QEMB-SCL-01", "values.append(value)", "values.append(value + 0.0)"),
    Bug(
        "sizes added in 64 bits",
        "QEMB-TAB-07",
        'require(entry["stored_size"] <= room',
        'require((entry["offset"] + entry["stored_size"]) % 2**64 <= header["file_size"]',
    ),
    Bug(
        "size of CODE in 32 bits",
        "QEMB-QNT-10",
        'sizes["CODE"] = rows * q["row_stride"]',
        'sizes["CODE"] = rows * q["row_stride"] % 2**32',
    ),
    # 2. header
    Bug(
        "a beginning of the magic bytes taken for other ones",
        "QEMB-HDR-02",
        "data[:8] == MAGIC[: len(data)]",
        "data[:8] == MAGIC",
    ),
    Bug("newer minor refused", "QEMB-HDR-03", 'header["major"] == 1,', '(header["major"], header["minor"]) == (1, 0),'),
    unchecked("CRC of the header ignored", "HDR-04", 'header["header_crc"]'),
    unchecked("unknown required feature ignored", "HDR-05", 'header["required_features"] in'),
    Bug(
        "unknown optional feature refused",
        "QEMB-HDR-05",
        'require(header["required_features"] in (0, BYTE_TOKENS)',
        'require(header["required_features"] | header["optional_features"] in (0, BYTE_TOKENS)',
    ),
    Bug("no rows refused", "QEMB-HDR-09", 'require(header["rows"] < 2**53', 'require(0 < header["rows"] < 2**53'),
    unchecked("bytes after the end ignored", "HDR-11", 'len(data) <= header["file_size"]'),
    unchecked("CRC of the section table ignored", "HDR-12", 'header["table_crc"]'),
    # 3. section table
    Bug("private sections refused", "QEMB-TAB-02", 'require(known or not entry["flags"] & CRITICAL', "require(known"),
    unchecked("unknown critical section passed over", "TAB-02", 'known or not entry["flags"] & CRITICAL'),
    Bug(
        "codec of an unknown section looked at",
        "QEMB-TAB-02",
        "        if known:\n            check_codec(entry)",
        "        check_codec(entry)",
    ),
    unchecked("section twice", "TAB-03", "kind not in ["),
    unchecked("sections that overlap", "TAB-06", 'entry["offset"] >= end'),
    unchecked("room between sections", "TAB-08", 'entry["offset"] < end + 64'),
    unchecked("padding not looked at", "TAB-10", 'not any(data[end : entry["offset"]])'),
    unchecked("CRC of a section ignored", "TAB-11", 'entry["crc"] == crc32c(stored)'),
    # 4. zstd frames
    unchecked("frames that overlap", "FRM-03", "offset == end"),
    unchecked("CRC of a frame ignored", "FRM-04", "crc == crc32c(data)"),
    Bug(
        "frame that is stored as it is given to zstd",
        "QEMB-FRM-05",
        "data if len(data) == raw_size else decompress(data, raw_size)",
        "decompress(data, raw_size)",
    ),
    Bug(
        "frame taken for stored as it is where zstd does not make it smaller",
        "QEMB-FRM-05",
        "data if len(data) == raw_size else",
        "data[:raw_size] if len(data) >= raw_size else",
    ),
    Bug(
        "frame that declares no size taken",
        "QEMB-FRM-05",
        DECOMPRESS,
        "raw = zstandard.ZstdDecompressor().decompress(data, max_output_size=raw_size, allow_extra_data=False)",
    ),
    Bug("bytes after a frame ignored", "QEMB-FRM-05", "allow_extra_data=False", "allow_extra_data=True"),
    Bug(
        "last frame as long as the others",
        "QEMB-FRM-05",
        'raw_size = min(entry["frame_size"], entry["raw_size"] - number * entry["frame_size"])',
        'raw_size = entry["frame_size"]',
    ),
    # 5. metadata
    Bug("NaN in metadata taken", "QEMB-MET-02", "parse_constant=_no_constant, ", ""),
    unchecked("key twice in metadata", "MET-03", "len(keys) == len(set(keys))"),
    Bug("brackets in strings counted", "QEMB-MET-03", r"""r'"(?:\\.|[^"\\])*"?|[\[\]{}]'""", r"r'[\[\]{}]'"),
    # 6. vectors
    Bug(
        "row stride not heeded",
        "QEMB-PCK-01",
        '[i * q["row_stride"] : (i + 1) * q["row_stride"]]',
        "[i * ceil_div(c * low_bits, 8) :][: ceil_div(c * low_bits, 8)]",
    ),
    Bug("row stride one byte short", "QEMB-PCK-01", '[i * q["row_stride"] :', '[i * max(q["row_stride"] - 1, 0) :'),
    Bug(
        "codes from the most significant bit",
        "QEMB-PCK-01",
        '"little") >> first % 8 & 2**low_bits - 1',
        '"big") >> -end % 8 & 2**low_bits - 1',
    ),
    unchecked("bits past the last code not looked at", "PCK-02", "past_the_last_code == 0"),
    Bug("high part of the codes a byte up", "QEMB-PCK-03", "<< low_bits + 8 * k", "<< 8 * (k + 1)"),
    Bug("codes without a sign", "QEMB-LIN-01", 'code - 2 ** q["bits"] if', "code if"),
    Bug("bias added", "QEMB-LIN-01", 's - q["bias"] for s in signed', 's + q["bias"] for s in signed'),
    Bug("row that is no circle", "QEMB-COD-01", "before = ceil_div(m, k) if m else 0", "before = 0"),
    Bug(
        "newest code at the bottom of the register",
        "QEMB-COD-01",
        "register = register >> k | code % 2**k << m - k",
        "register = (register << k | code % 2**k) % 2**m",
    ),
    Bug("high bits of the code remembered", "QEMB-COD-01", "code % 2**k << m - k", '(code >> q["bits"] - k) << m - k'),
    Bug("code below the register", "QEMB-COD-01", "code << m | register", 'register << q["bits"] | code'),
    Bug(
        "codebook shared by the sub-vectors",
        "QEMB-PRO-01",
        '(j // size * 2 ** q["bits"] + codes[j // size])',
        "(codes[j // size])",
    ),
    Bug(
        "levels by code, then sub-vector",
        "QEMB-PRO-01",
        '(j // size * 2 ** q["bits"] + codes[j // size])',
        "(codes[j // size] * len(codes) + j // size)",
    ),
    Bug(
        "decimal by multiplication in float64",
        "QEMB-DEC-01",
        "nearest(significand * Fraction(10) ** exponent)",
        "bits_of(float32(significand * 10.0**exponent))",
    ),
    Bug("decade off by one", "QEMB-DEC-01", '"exponent_min"] + 1 + t // decade', '"exponent_min"] + t // decade'),
    Bug(
        "-0 of a decimal that underflows lost",
        "QEMB-DEC-01",
        "(0x80000000 if r < 0 else 0)",
        '(0x80000000 if r < 0 and float(abs(r)) * 10.0 ** q["exponent_min"] > 1e-45 else 0)',
    ),
    unchecked("code past the last rank", "DEC-01", "in_range"),
    Bug(
        "exceptions not heeded",
        "QEMB-DEC-02",
        'exceptions.get(i * header["dim"] + j, decimal_bits(q, code))',
        "decimal_bits(q, code)",
    ),
    Bug("negative numbers not inverted", "QEMB-IEE-01", 'code ^ 2 ** q["bits"] - 1', "code + top"),
    Bug(
        "NaN of float16 made quiet",
        "QEMB-IEE-01",
        "| fraction << 13",
        "| (fraction | 512 if fraction else 0) << 13",
    ),
    Bug(
        "blocks of a row rounded down",
        "QEMB-SCL-01",
        "i * ceil_div(dim, block) + j // block)[group]",
        "i * (dim // block) + j // block)[group]",
    ),
    Bug(
        "offsets of columns taken by row",
        "QEMB-SCL-01",
        'offsets[element(q, "offset", i, j, len(levels))]',
        'offsets[element(q, "offset", i, i % len(levels) if q["offset_group"] == COLUMN else j, len(levels))]',
    ),
    unchecked("scale that is infinite", "SCL-02", "all(map(math.isfinite, scales))"),
    Bug("second half left out", "QEMB-TRN-02", "        if p < dim:\n", "        if False:\n"),
    Bug("scaled by 1 / p", "QEMB-TRN-02", "1 / math.sqrt(p)", "1 / p"),
    Bug("scaled first", "QEMB-TRN-02", "    return [float32(value * factor) for value in y]", "    return y"),
    Bug("signs from the top bit of a word", "QEMB-TRN-03", "signs >> j & 1", "signs >> (j ^ 63) & 1"),
    Bug("the same signs in every round", "QEMB-TRN-03", "words[at : at + per_round] for", "words[:per_round] for"),
    # 7. tokens
    Bug("empty tokens refused", "QEMB-TOK-02", "require(begin <= end <= len(text)", "require(begin < end <= len(text)"),
    Bug("longest token refused", "QEMB-TOK-02", "end - begin <= 65_536", "end - begin < 65_536"),
    Bug("surrogates taken", "QEMB-TOK-03", 'token.decode("utf-8")', 'token.decode("utf-8", "surrogatepass")'),
    unchecked("token twice", "TOK-04", "token not in seen"),
    Bug("tokens folded", "QEMB-TOK-03", "token not in seen", "token.lower() not in {x.lower() for x in seen}"),
    Bug("tokens trimmed", "QEMB-TOK-03", "token not in seen", "token.strip() not in {x.strip() for x in seen}"),
    Bug("search that stops at the last slot", "QEMB-IDX-02", "slot = (slot + 1) % len(slots)", "slot = slot + 1"),
    Bug("search by the remainder", "QEMB-IDX-02", "crc32c(token) * len(slots) >> 32", "crc32c(token) % len(slots)"),
    Bug(
        "norm that is NaN taken",
        "QEMB-NRM-01",
        "within = abs(norm - expected) <= ",
        "within = not abs(norm - expected) > ",
    ),
    unchecked("buckets that do not agree", "SUB-01", 'header["rows"] - header["tokens"] == buckets'),
    Bug("unsigned bytes hashed", "QEMB-SUB-03", "byte if byte < 0x80 else byte | 0xFFFFFF00", "byte"),
    Bug(
        "FNV-1 for FNV-1a",
        "QEMB-SUB-03",
        "h ^= byte if byte < 0x80 else byte | 0xFFFFFF00  # sign-extended\n        h = h * 0x01000193 % 2**32",
        "h = h * 0x01000193 % 2**32\n        h ^= byte if byte < 0x80 else byte | 0xFFFFFF00",
    ),
    Bug("n-grams of bytes", "QEMB-SUB-03", " if byte & 0xC0 != 0x80]", "]"),
    Bug(
        "n-grams of one character at the ends",
        "QEMB-SUB-03",
        "if length == 1 and start in (0, len(starts) - 1):",
        "if False:",
    ),
    Bug("buckets from row 0", "QEMB-SUB-03", "vectors[tokens + fnv1a(ngram)", "vectors[fnv1a(ngram)"),
    Bug(
        "mean in float64",
        "QEMB-SUB-03",
        "total = [float32(x + float_of(bits)) for",
        "total = [x + float_of(bits) for",
    ),
    Bug("sum for mean", "QEMB-SUB-03", "float32(x / len(found))", "x"),
)
