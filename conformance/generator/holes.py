"""What the corpus has to cover, and what of it no case covers."""

from __future__ import annotations

import json
import struct
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import rawfile
import tables

SPEC = Path(__file__).resolve().parents[2] / "spec"
FRAMES = Path(__file__).parent / "frames"

NO_FILE = {
    "QEMB-ORD-02": "what a reader does that has not verified",
    "QEMB-CFM-02": "of readers: the profiles of PROTOCOL.md",
    "QEMB-CFM-04": "of writers",
    "QEMB-CFM-05": "of rewriters",
    "QEMB-VER-01": "of later versions of the specification",
    "QEMB-VER-03": "of later versions of the specification",
}
"""Requirements that no file can break or exercise."""

LEVELS = ("linear", "codebook", "product", "decimal", "ieee")
FORMATS = ("float32", "float16", "bfloat16")
GROUPS = ("table", "row", "column", "block")
CALLED_FOR = ("LEVL", "SCAL", "OFFS", "CODE", "HIG0", "HIG1", "HIG2", "HIG3")
OPTIONAL = ("META", "TRNS", "EXCP", "INDX", "NORM", "CNTS", "SUBW")
OTHERS = ("split", "zstd", "frames", "transform", "subwords", "bytes", "NORM", "EXCP")
"""What can come with any level, or nearly; two kinds of sections among features."""
STRUCTURES = ("QUAN", "TRNS", "SUBW")


def _groupings(*, none):
    typed = [f"{group} {form}" for group in GROUPS for form in ("float32", "float16")]
    return ["none", *typed] if none else typed


def wanted():
    """What there has to be a case of, by heading."""
    requirements = json.loads((SPEC / "requirements.json").read_text("utf-8"))["requirements"]
    errors = json.loads((SPEC / "errors.json").read_text("utf-8"))["errors"]
    return {
        "requirements": [one["id"] for one in requirements if one["id"] not in NO_FILE],
        "requirements that a bad file breaks": [
            one["id"] for one in requirements if one["errors"] or one["id"].startswith("QEMB-QNT")
        ],
        "errors of each requirement": [f"{one['id']} {code}" for one in requirements for code in one["errors"]],
        "error codes": [error["code"] for error in errors if error["of"] == "file"],
        "steps of the order of checks": [str(step) for step in range(1, 9)],
        "linear, bits": [str(bits) for bits in range(1, 17)],
        "codebook, bits": [str(bits) for bits in range(1, 9)],
        "trellis, bits and window": [f"{bits} in {window}" for bits in range(1, 9) for window in range(bits + 1, 17)],
        "trellis, bits and shift": [f"{bits} by {shift}" for bits in range(1, 9) for shift in range(1, bits + 1)],
        "product, bits": [str(bits) for bits in range(1, 17)],
        "decimal, digits": [str(digits) for digits in range(1, 10)],
        "decimal, bits": [str(bits) for bits in range(5, 33)],
        "ieee, formats": list(FORMATS),
        "planes of high bits": [
            f"{level} {planes}"
            for level, most in zip((*LEVELS, "trellis"), (2, 1, 2, 4, 4, 1), strict=True)
            for planes in range(most + 1)
        ],
        "no packed bits": [*LEVELS, "trellis"],
        "scales": [
            f"{level}, {grouping}"
            for level in LEVELS[:3]
            for grouping in _groupings(none=level == "product")
        ],
        "offsets": [f"{level}, {grouping}" for level in LEVELS[:3] for grouping in _groupings(none=True)],
        "linear, scales with offsets": [f"{a} with {b}" for a in GROUPS for b in ("none", *GROUPS)],
        "section kinds alone": [*CALLED_FOR, *OPTIONAL],
        "section kinds together": ["all of a codebook", "all of a decimal"],
        "section kinds in frames": [kind for kind in rawfile.FLAGS if kind not in STRUCTURES],
        "tokens": ["0", "1", "more"],
        "rows": ["0", "1", "more"],
        "dimensions": ["1", "7", "8", "9", "300"],
        "token bytes": ["empty", "space", "no-break space", "emoji", "65,536 bytes", "not UTF-8", "zero byte"],
        "values": ["-0", "subnormal", "infinity", "-infinity", "NaN", "greatest"],
        "scales of a kind": [
            *(f"{form} {kind}" for form in FORMATS[:2] for kind in ("subnormal", "-0", "negative", "greatest"))
        ],
        "sections that are not known": ["private", "upper case", "odd codec", "copy-safe", "critical, refused"],
        "versions": ["newer minor", "optional feature", "required feature, refused"],
        "index": ["none", "one slot empty", "goes round", "other order"],
        "frames": [
            "raw", "runs", "compressed", "checksum", "shorter last one", "one row each", "part of a row", "none",
        ],
        "subwords": ["not ASCII", "not UTF-8", "no buckets", "no n-grams", "no tokens"],
        "features together": [
            *(f"{level} and {other}" for level in (*LEVELS, "trellis") for other in OTHERS[:-1]),
            "decimal and EXCP",
            *(f"{one} and {other}" for one, other in combinations(OTHERS, 2) if (one, other) != ("zstd", "frames")),
        ],
        "profiles": ["structure", "core", "full"],
    }  # fmt: skip


# --- what a valid case covers ---------------------------------------------------------------------------------------


def facts(file, answer):
    """Headings and what a valid case covers under them."""
    q = answer["quantization"]
    level = LEVELS[int(q["level"])]
    bits, low_bits = int(q["bits"]), int(q["low_bits"])
    trellis = level == "codebook" and q["window"] != q["bits"]
    name = "trellis" if trellis else level
    if trellis:
        yield "trellis, bits and window", f"{bits} in {q['window']}"
        yield "trellis, bits and shift", f"{bits} by {q['shift']}"
    elif level == "ieee":
        yield "ieee, formats", FORMATS[int(q["format"])]
    else:
        yield f"{level}, bits", q["bits"]
    if level == "decimal":
        yield "decimal, digits", q["digits"]
    yield "planes of high bits", f"{name} {-(-(bits - low_bits) // 8)}"
    if low_bits == 0:
        yield "no packed bits", name
    words = [_grouping(q["scale_group"], q["scale_type"]), _grouping(q["offset_group"], q["offset_type"])]
    yield "scales", f"{level}, {words[0]}"
    yield "offsets", f"{level}, {words[1]}"
    yield f"{level}, scales with offsets", " with ".join(word.split()[0] for word in words)
    header = answer["header"]
    for heading, field in (("tokens", "tokens"), ("rows", "rows")):
        yield heading, header[field] if header[field] in ("0", "1") else "more"
    yield "dimensions", header["dim"]
    if header["minor"] != "0":
        yield "versions", "newer minor"
    if header["optional_features"] != "0":
        yield "versions", "optional feature"
    yield from _of_sections(answer)
    yield from (("token bytes", fact) for token in answer["tokens"] for fact in _of_token(bytes.fromhex(token)))
    yield from (("values", fact) for row in answer["vectors"] for value in row for fact in _of_value(int(value, 16)))
    yield from _of_scales(file, q)
    yield from _of_index(file, answer)
    yield from _of_frames(file, q)
    if "subword" in answer:
        yield from _of_subwords(answer)


def _grouping(group, form):
    return f"{tables.GROUPS[int(group)]} {tables.TYPES[int(form)]}" if group != "0" else "none"


def _of_sections(answer):
    kinds = [section["kind"] for section in answer["sections"]]
    optional = [kind for kind in kinds if kind in OPTIONAL]
    yield from (("section kinds alone", kind) for kind in (kinds if not optional else optional[: len(optional) == 1]))
    if {*OPTIONAL, "LEVL", "SCAL", "OFFS", "CODE", "HIG0"} - {"EXCP"} <= set(kinds):
        yield "section kinds together", "all of a codebook"
    if {"CODE", "HIG0", "HIG1", "HIG2", "HIG3", "EXCP"} <= set(kinds):
        yield "section kinds together", "all of a decimal"
    for section in answer["sections"]:
        kind = section["kind"]
        if kind in rawfile.FLAGS:
            if section["codec"] == "1":
                yield "section kinds in frames", kind
            continue
        yield "sections that are not known", "private" if kind[0].islower() else "upper case"
        if section["flags"] == "2":
            yield "sections that are not known", "copy-safe"
        if section["codec"] not in ("0", "1"):
            yield "sections that are not known", "odd codec"


def _of_token(token):
    found = {
        "empty": not token,
        "65,536 bytes": len(token) == 65_536,
        "zero byte": b"\0" in token,
        "space": b" " in token,
        "no-break space": "\u00a0".encode() in token,
    }
    try:
        found["emoji"] = any(0x1F000 <= ord(character) < 0x20000 for character in token.decode())
    except UnicodeDecodeError:
        found["not UTF-8"] = True
    return [name for name, there in found.items() if there]


def _of_value(bits):
    exponent, fraction = bits >> 23 & 0xFF, bits & 0x7FFFFF
    if bits in (0x80000000, 0x7F800000, 0xFF800000):
        return [{0x80000000: "-0", 0x7F800000: "infinity", 0xFF800000: "-infinity"}[bits]]
    if exponent == 0xFF:
        return ["NaN"]
    if exponent == 0 and fraction:
        return ["subnormal"]
    return ["greatest"] if bits & 0x7FFFFFFF == 0x7F7FFFFF else []


def _of_scales(file, q):
    if q["scale_group"] == "0":
        return
    form = int(q["scale_type"])
    data = file._section("SCAL").data
    least, greatest = {rawfile.FLOAT32: (2.0**-126, 2.0**128 - 2.0**104), rawfile.FLOAT16: (2.0**-14, 65504)}[form]
    for (scale,) in struct.iter_unpack("<" + tables.PACKED[form], data):
        for kind, there in (
            ("subnormal", 0 < abs(scale) < least),
            ("-0", scale == 0 and str(scale) == "-0.0"),
            ("negative", scale < 0),
            ("greatest", abs(scale) == greatest),
        ):
            if there:
                yield "scales of a kind", f"{tables.TYPES[form]} {kind}"


def _of_index(file, answer):
    if not any(section.kind == "INDX" for section in file.sections):
        yield "index", "none"
        return
    slots = [slot for (slot,) in struct.iter_unpack("<I", file._section("INDX").data)]
    tokens = [bytes.fromhex(token) for token in answer["tokens"]]
    if len(slots) == len(tokens) + 1:
        yield "index", "one slot empty"
    if slots != rawfile.index_slots(tokens, len(slots)):
        yield "index", "other order"
    firsts = [rawfile.first_slot(rawfile.crc32c(token), len(slots)) for token in tokens]
    if any(slots.index(row) < first for row, first in enumerate(firsts)):
        yield "index", "goes round"


def _of_frames(file, q):
    stride = int(q["row_stride"])
    for section in file.sections:
        if section.kind not in rawfile.FLAGS or not section.frame_size:
            continue
        frames = list(section.stored_frames())
        if not frames:
            yield "frames", "none"
            continue
        if len(frames[-1][0]) < len(frames[0][0]):
            yield "frames", "shorter last one"
        if section.kind == "CODE" and section.frame_size == stride:
            yield "frames", "one row each"
        if section.kind == "CODE" and section.frame_size % stride:
            yield "frames", "part of a row"
        for raw, stored in frames:
            if raw == stored:
                yield "frames", "raw"
                continue
            if stored[4] & 4:
                yield "frames", "checksum"
            library = (frame.read_bytes() for frame in FRAMES.glob("*.zst"))
            yield "frames", "compressed" if stored in library else "runs"


def _of_subwords(answer):
    tokens = [bytes.fromhex(token) for token in answer["tokens"]]
    for token in tokens:
        try:
            if not token.decode().isascii():
                yield "subwords", "not ASCII"
        except UnicodeDecodeError:
            yield "subwords", "not UTF-8"
    if not tokens:
        yield "subwords", "no tokens"
    if answer["subword"]["buckets"] == "0":
        yield "subwords", "no buckets"
    elif "none" in answer["subword_vectors"]:
        yield "subwords", "no n-grams"


# --- the table ------------------------------------------------------------------------------------------------------


def coverage(entries, files, answers):
    """Number of cases by heading and what is wanted under it. Files and answers are those of valid cases, by id."""
    counts = {heading: dict.fromkeys(items, 0) for heading, items in wanted().items()}
    for entry in entries:
        found = defaultdict(set)
        # with two faults it is there for their order alone
        numbers = ["QEMB-ORD-01"] if "QEMB-ORD-01" in entry["requirements"] else entry["requirements"]
        found["requirements"] |= set(numbers)
        found["profiles"].add(entry["profile"])
        if entry["verdict"] == "valid":
            kinds = {section["kind"] for section in answers[entry["id"]]["sections"]}
            there = [name for name in (*LEVELS, "trellis", *OTHERS) if name in kinds | set(entry["features"])]
            found["features together"] |= {f"{one} and {other}" for one, other in combinations(there, 2)}
            for heading, item in facts(files[entry["id"]], answers[entry["id"]]):
                found[heading].add(item)
        else:
            code = entry["error"]
            found["error codes"].add(code)
            found["steps of the order of checks"].add(entry["check"])
            found["requirements that a bad file breaks"] |= set(numbers)
            found["errors of each requirement"] |= {f"{number} {code}" for number in numbers}
            if code == "unsupported.critical_section":
                found["sections that are not known"].add("critical, refused")
            if code == "unsupported.feature":
                found["versions"].add("required feature, refused")
        for heading, items in found.items():
            for item in items & counts.get(heading, {}).keys():
                counts[heading][item] += 1
    return counts


def holes(counts):
    """A line for each thing that no case covers."""
    return [
        f"no case covers {heading}: {item}" for heading, items in counts.items() for item, n in items.items() if not n
    ]


def markdown(counts, entries):
    """The table of `coverage.md`."""
    valid = sum(entry["verdict"] == "valid" for entry in entries)
    lines = [
        "# What the corpus covers",
        "",
        "Written by `generator/build.py`, whose `--check` fails on a hole: on anything here that no case covers.",
        "",
        f"{len(entries)} cases: {valid} valid, {len(entries) - valid} invalid.",
        "",
        "| what | to cover | covered | fewest cases | for |",
        "|---|---:|---:|---:|---|",
    ]
    for heading, items in counts.items():
        fewest = min(items.values())
        least = next(item for item, number in items.items() if number == fewest)
        lines.append(f"| {heading} | {len(items)} | {sum(map(bool, items.values()))} | {fewest} | {least} |")
    lines += ["", "No file can break or exercise these:", ""]
    lines += [f"- {number}: {reason}" for number, reason in NO_FILE.items()]
    lines += [
        "- section 7.1, offsets of 64 bits: they take 4 GiB of token bytes",
        "- QEMB-IDX-01, an index of 2^32 - 2 slots: it takes 16 GiB, for which `limit.memory` is the answer",
        "",
    ]
    return "\n".join(lines)
