"""Valid cases: header, section table, metadata, sections that are not known."""

from __future__ import annotations

import math
import struct

import bases
from case import valid
from rawfile import COPY_SAFE, FLOAT16, FLOAT32, LINEAR, PRODUCT, ROW, TABLE, RawFile
from tables import codes, floats, linear, product, scaled_linear, table


def small(**options):
    """Two rows of two values."""
    return scaled_linear([[1, -2], [3, 4]], **options)


def changed(base, change):
    file = base()
    change(file)
    return file


SMALL_ROWS = [[1, -2], [3, 4]]

# --- versions and features ------------------------------------------------------------------------------------------

for minor in (1, 255, 65_535):
    valid(
        f"header/minor-{minor}",
        changed(small, lambda file, minor=minor: file.set(minor=minor)),
        "HDR-03 VER-02",
        "A newer minor version refused.",
        f"Version 1.{minor}.",
        SMALL_ROWS,
    )
for name, features in (("first", 1), ("last", 1 << 31), ("all", 2**32 - 1)):
    valid(
        f"header/optional-features-{name}",
        changed(small, lambda file, features=features: file.set(optional_features=features)),
        "HDR-05 VER-02",
        "An optional feature that is not known refused.",
        f"Optional features: {name}, none of which version 1.0 defines.",
        SMALL_ROWS,
    )
valid(
    "header/newer-minor-with-all-of-it",
    changed(
        bases.linear,
        lambda file: (
            file.set(minor=7, optional_features=0x80000001),
            file.insert("NEWS", b"of 1.7").entry.update(codec=2, raw_size=2**63, frame_size=3),
        ),
    ),
    "HDR-03 HDR-05 TAB-02 VER-02",
    "What a later version may add taken for a fault.",
    "A newer minor version with optional features and a section in a codec that is not known.",
    bases.LINEAR_ROWS,
)

# --- order and place of sections ------------------------------------------------------------------------------------


def ordered(base, order):
    """The same sections, in another order."""
    file = base()
    file.sections.sort(key=lambda section: order(section.kind))
    return file


for base in (bases.linear, bases.split, bases.decimal, bases.whole, bases.digits):
    kinds = [section.kind for section in base().sections]
    for name, order in (
        ("reversed", kinds[::-1].index),
        ("alphabetical", sorted(kinds).index),
        ("descriptor-last", ["QUAN", "TRNS", "SUBW"].__contains__),
    ):
        valid(
            f"order/{base.__name__}-{name}",
            ordered(base, order),
            "TAB-06 TAB-08 SEC-01",
            "Sections looked for in the order in which the writer puts them.",
            f"The sections of `{base.__name__}`: {name.replace('-', ' ')}.",
        )
valid(
    "order/private-section-last",
    small().add("zzzz", b"last"),
    "TAB-09 TAB-01",
    "The last section that is known taken for the end of the file.",
    "A private section after all others.",
    SMALL_ROWS,
)
valid(
    "order/section-of-64-bytes",
    table(LINEAR, 8, codes(64, 8, 8, 8), linear(), scale=(TABLE, FLOAT32, 0)),
    "TAB-08 TAB-05",
    "Padding of 64 bytes after a section that needs none.",
    "A section whose size is a multiple of 64: the next one follows at once.",
)
valid(
    "order/empty-sections",
    changed(
        bases.noughts,
        lambda file: (file.add("aaaa", b""), file.add("NORM", b""), file.add("CNTS", b""), file.add("bbbb", b"")),
    ),
    "TAB-06 TAB-08 SEC-03 HDR-09",
    "Sections without bytes taken to overlap, or to need a place of their own.",
    "Sections of no bytes, several at one place, some at the end.",
)
valid(
    "order/empty-section-at-the-end",
    small(tokens=[b"", b"a"]).add("last", b""),
    "TAB-08 TAB-09",
    "A section of no bytes without a multiple of 64 before it.",
    "The last section has no bytes: the file ends with padding.",
    SMALL_ROWS,
)
valid(
    "order/no-descriptor-sections",
    table(LINEAR, 8, [], linear(), dim=3, low_bits=0, stride=0, scale=(TABLE, FLOAT16, 0), scales=[1]),
    "SEC-01 QNT-10",
    "CODE demanded where no bits are packed.",
    "No rows, and no bits packed.",
    [],
)

# --- sections that are not known ------------------------------------------------------------------------------------

for name, kind, flags in (
    ("ancillary", "NEWS", 0),
    ("copy-safe", "NEWS", COPY_SAFE),
    ("private", "mine", 0),
    ("private-copy-safe", "mine", COPY_SAFE),
    ("with-digits", "x2Y9", 0),
    ("like-quan", "qUAN", 0),
    ("like-code", "code", 0),
    ("like-high", "HIG4", 0),
    ("letters-at-the-edges", "AZaz", 0),
    ("digits-at-the-edges", "z099", COPY_SAFE),
):
    valid(
        f"unknown/{name}",
        changed(small, lambda file, kind=kind, flags=flags: file.insert(kind, b"whatever", flags=flags)),
        "TAB-02 TAB-01",
        "A section that is not known refused, or taken for another whose name is like it.",
        f"A section `{kind}`, which no version has defined.",
        SMALL_ROWS,
    )
for name, fields in (
    ("codec", {"codec": 0xFFFF}),
    ("raw-size", {"raw_size": 2**64 - 1}),
    ("frame-size", {"frame_size": 2**32 - 1}),
    ("frames-that-are-none", {"codec": 1, "raw_size": 100, "frame_size": 10}),
    ("frames-of-no-bytes", {"codec": 1, "raw_size": 0, "frame_size": 0}),
):
    valid(
        f"unknown/odd-{name}",
        changed(small, lambda file, fields=fields: file.insert("NEWS", b"whatever").entry.update(fields)),
        "TAB-02 TAB-04",
        "Rules for sections that are known applied to one that is not.",
        f"An ancillary section that is not known, with {', '.join(fields)} of no meaning.",
        SMALL_ROWS,
    )
valid(
    "unknown/several",
    changed(
        bases.linear,
        lambda file: [
            file.add(kind, kind.encode() * n, at=2 * n) for n, kind in enumerate(("aaaa", "NEW1", "NEW2", "b0b0"))
        ],
    ),
    "TAB-02 TAB-03",
    "Sections counted, where they should be looked for by kind.",
    "Four sections that are not known among the others.",
    bases.LINEAR_ROWS,
)

# --- every section alone ---------------------------------------------------------------------------------------------

for kind, data in (
    ("META", b"{}"),
    ("TRNS", struct.pack("<3B5xQ", 1, 1, 1, 3)),
    ("NORM", struct.pack("<2f", math.sqrt(5), 5)),
    ("CNTS", struct.pack("<2Q", 2, 1)),
    ("SUBW", struct.pack("<B3x3I", 1, 3, 6, 0)),
):
    valid(
        f"sections/{kind.lower()}-alone",
        small(index=False).add(kind, data),
        {"META": "MET-02", "TRNS": "TRN-02", "NORM": "NRM-01", "CNTS": "SEC-03", "SUBW": "SUB-01"}[kind],
        "Sections that are only looked at together with others.",
        f"What every file has, and `{kind}`.",
    )
valid(
    "sections/indx-alone", small(), "IDX-02",
    "Sections that are only looked at together with others.", "What every file has, and `INDX`.", SMALL_ROWS,
)  # fmt: skip
valid(
    "sections/offs-without-scal",
    table(
        PRODUCT, 1, [[0, 1], [1, 0]], product(1), offset=(TABLE, FLOAT32, 0), offsets=[0.5], index=False,
        levels=struct.pack("<4f", 1, 2, 3, 4),
    ),
    "SEC-01 QNT-04 SCL-01",
    "An offset left out where there is no scale.",
    "Product levels with an offset and without a scale.",
    [[1.5, 4.5], [2.5, 3.5]],
)  # fmt: skip
valid(
    "sections/scal-without-offs",
    table(
        PRODUCT, 1, [[0, 1], [1, 0]], product(1), scale=(ROW, FLOAT16, 0), scales=[2, 4], index=False,
        levels=struct.pack("<4f", 1, 2, 3, 4),
    ),
    "SEC-01 QNT-04 SCL-01",
    "A scale demanded to come with an offset.",
    "Product levels with a scale and without an offset.",
    [[2, 8], [8, 12]],
)  # fmt: skip
valid(
    "sections/least",
    RawFile(0, 0, 1)
    .add("QUAN", bytes([4, 32, 0, 0]) + bytes(24))
    .add("HIG0", b"").add("HIG1", b"").add("HIG2", b"").add("HIG3", b"")
    .add("TOKO", bytes(4))
    .add("TOKB", b""),
    "SEC-01 HDR-09 QNT-10",
    "Anything demanded that is not required.",
    "No rows of one value, all their bits in planes.",
    [],
)  # fmt: skip
valid(
    "sections/many-scales",
    table(LINEAR, 2, codes(5, 30, 4, 2), linear(2, -1), scale=(ROW, FLOAT32, 0), scales=[-x for x in floats(1, 30)]),
    "SCL-01 SCL-02",
    "Scales of rows past the first few.",
    "Thirty rows, each with a scale of its own.",
)

# --- metadata -------------------------------------------------------------------------------------------------------

for name, text, description in (
    ("empty", b"{}", "An empty object."),
    ("white-space", b" \t\r\n{ \n} \r\n\t ", "White space around an empty object and within."),
    ("recommended", b'{"description":"d","license":"l","source":"s","creator":"c","created":"2025-01-01T00:00:00Z"}',
     "The keys that are recommended."),
    ("every-type", b'{"a":[1,-0,0.5,1e5,-1E-5,true,false,null,"",[],{}]}', "Every type of JSON."),
    ("32-deep", b'{"a":' * 32 + b"1" + b"}" * 32, "Objects nested 32 deep."),
    ("32-deep-twice", b'{"a":%b,"b":%b}' % ((b"[" * 31 + b"]" * 31,) * 2), "Arrays 32 deep, twice."),
    ("many-side-by-side", b'{"a":[' + b"[]," * 40 + b"{}," * 40 + b"1]}", "Eighty that are not nested."),
    ("brackets-in-strings", b'{"a":"' + b"[{" * 40 + b'\\"[","' + b"]" * 3 + b'":"\\\\"}', "Brackets in strings."),
    ("long-number", b'{"a":' + b"1" * 5000 + b"}", "A number of 5000 digits."),
    ("huge-exponent", b'{"a":1e99999,"b":-1e-99999}', "Numbers that float64 cannot hold."),
    ("escapes", b'{"\\u00e9\\n\\"\\\\\\/\\b\\f\\r\\t":"\\ud83d\\udc69\\u0000"}', "All escapes of JSON."),
    ("same-key-elsewhere", b'{"a":{"a":1},"b":[{"a":1},{"a":2}]}', "A key that stands in several objects."),
    ("keys-that-differ-in-form", '{"é":1,"e\u0301":2,"E":3,"e":4}'.encode(), "Keys alike, and not equal."),
    ("not-ascii", '{"описание":"Größe 👩\u2028\x7f"}'.encode(), "Characters beyond ASCII, and DEL, as they are."),
    ("lone-surrogates", b'{"\\ud800":1,"\\ud801":2,"\\udc00\\ud800":"\\udfff"}', "Keys that are halves of characters."),
    ("empty-key", b'{"":{"":""}}', "Empty keys."),
    ("proto", b'{"__proto__":1,"constructor":{"prototype":[]}}', "Keys that are properties in JavaScript."),
):  # fmt: skip
    valid(
        f"metadata/{name}",
        changed(bases.linear, lambda file, text=text: setattr(file["META"], "data", text)),
        "MET-03 MET-02" if "deep" in name or "key" in name else "MET-02 MET-03",
        "JSON that a parser of one's own refuses, or that is changed on the way.",
        description,
        bases.LINEAR_ROWS,
    )
