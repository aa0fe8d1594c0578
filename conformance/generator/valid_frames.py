"""Valid cases: sections in zstd frames, and files at the limits."""

from __future__ import annotations

import struct
from pathlib import Path

import bases
import zstdframes
from case import valid
from rawfile import COLUMN, FLOAT32, LINEAR, PRODUCT, ROW, TABLE
from tables import linear, numbers, product, scaled_linear, table

FRAMES = Path(__file__).parent / "frames"
STRUCTURES = ("QUAN", "TRNS", "SUBW")


def framed(file, sizes):
    """The same with sections in frames: of a size for each kind, or of one for all that may be."""
    if isinstance(sizes, int):
        sizes = {section.kind: sizes for section in file.sections if section.kind not in (*STRUCTURES, "news", "NEWS")}
    for kind, size in sizes.items():
        file[kind].frame_size = size
    return file


def packed(file, kind, **options):
    """The same with every frame of a section compressed, where that makes it longer, too."""
    section = file[kind]
    starts = range(0, len(section.data), section.frame_size)
    raws = [section.data[start : start + section.frame_size] for start in starts]
    section.frames = {number: zstdframes.compress(raw, **options) for number, raw in enumerate(raws)}
    return file


def grid(rows=10, dim=8):
    """Rows of small numbers, one number for a row, which shrinks, and every fourth of all different ones."""
    values = [[(row * (column if row % 4 == 3 else 1)) % 100 for column in range(dim)] for row in range(rows)]
    return scaled_linear(values), values


for size, description in (
    (1, "Frames of one byte."),
    (8, "Frames of one row."),
    (12, "Frames of a row and a half."),
    (16, "Frames of two rows."),
    (24, "Frames of three rows; the last has one."),
    (79, "Frames of all bytes but one."),
    (80, "One frame, of just the size."),
    (81, "One frame, larger than what it holds."),
    (2**24, "One frame of the greatest size there is."),
):
    file, rows = grid()
    valid(
        f"frames/size-{size:08}".replace("-0000", "-"),
        framed(file, {"CODE": size}),
        "FRM-01 FRM-03 FRM-05",
        "Frames taken to hold whole rows, or the last frame to be as long as the others.",
        description,
        rows,
    )
for name, options, description in (
    ("single-segment", {}, "Frames of a single segment."),
    ("checksum", {"checksum": True}, "Frames with a checksum of their content."),
    ("window", {"window_log": 20}, "Frames with a window larger than what they hold, and a size of four bytes."),
    ("window-and-checksum", {"window_log": 10, "checksum": True}, "Frames with the least window and a checksum."),
):
    file, rows = grid(12, 20)
    valid(
        f"frames/{name}",
        packed(framed(file, {"CODE": 100}), "CODE", **options),
        "FRM-05",
        "A zstd decoder of one's own that knows one form of the frame's header.",
        f"{description.rstrip('.')}; some are longer than what they hold.",
        rows,
    )
file, rows = grid(40, 16)
file = framed(file, {"CODE": 2**10})
file["CODE"].frames[0] = b"".join(
    (zstdframes.MAGIC, b"\x60", (640 - 256).to_bytes(2, "little"), b"\0\0\0",  # a block of nothing, then one of all
     (1 | 640 << 3).to_bytes(3, "little"), file["CODE"].data)
)  # fmt: skip
valid(
    "frames/empty-block", file, "FRM-05",
    "The first block taken for the whole frame.", "A zstd frame that begins with a block of no bytes.", rows,
)  # fmt: skip
file, rows = grid()
file = framed(file, {"CODE": 40})
file["CODE"].frames = {0: file["CODE"].data[:40], 1: zstdframes.compress(file["CODE"].data[40:])}
valid(
    "frames/raw-and-compressed", file, "FRM-05",
    "Whether a frame is compressed looked up once for the section.",
    "One frame as it stands, though it would shrink, and one that is compressed and longer.", rows,
)  # fmt: skip
file = scaled_linear([[40, 181 - 256, 47, 253 - 256, 32, 2], [1, 2, 3, 4, 5, 6]])
valid(
    "frames/raw-that-begins-like-zstd",
    framed(file, {"CODE": 6}),
    "FRM-05",
    "Frames told apart by the magic number of zstd instead of by their size.",
    "A frame stored as it is, whose first bytes are those of a zstd frame.",
    [[40, -75, 47, -3, 32, 2], [1, 2, 3, 4, 5, 6]],
)
for size in (5, 64, 2**20):
    for base in (bases.linear, bases.whole, bases.digits, bases.product, bases.noughts):
        valid(
            f"frames/{base.__name__}-all-{size}",
            framed(base(), size),
            "FRM-03 FRM-05 FRM-06 TAB-04",
            "Frames read for the codes alone.",
            f"Every section of `{base.__name__}` that may be in frames is, of {size} bytes.",
        )
for base, kind in (
    (bases.linear, "META"), (bases.codebook, "LEVL"), (bases.linear, "SCAL"), (bases.linear, "OFFS"),
    (bases.split, "HIG0"), (bases.digits, "HIG1"), (bases.digits, "HIG2"), (bases.digits, "HIG3"),
    (bases.digits, "EXCP"), (bases.linear, "TOKO"), (bases.linear, "TOKB"), (bases.linear, "INDX"),
    (bases.linear, "NORM"), (bases.linear, "CNTS"),
):  # fmt: skip
    file = base()
    size = -(-len(file._section(kind).data) // 2) + 1
    valid(
        f"frames/{kind.lower()}",
        packed(framed(file, {kind: size}), kind, checksum=True),
        "FRM-05 FRM-03 TAB-04",
        "Elements that lie across two frames, in sections other than the codes.",
        f"`{kind}` in two zstd frames.",
    )
for kind in ("CODE", "TOKB", "SCAL", "NORM"):
    file = bases.noughts()
    if kind == "NORM":
        file.add(kind, b"")
    valid(
        f"frames/no-frames-{kind.lower()}",
        framed(file, {kind: 64}),
        "FRM-03 FRM-02 HDR-09",
        "A division of no bytes into frames; a last frame looked for where there is none.",
        f"`{kind}` has no bytes, and no frames.",
        [],
    )

# --- frames of the zstd library: see frames/README.md ---------------------------------------------------------------


def library(name, file, kind, frames, guards, description):
    for number, frame in enumerate(frames):
        file[kind].frames[number] = (FRAMES / f"{frame}.zst").read_bytes()
    valid(f"zstd/{name}", file, "FRM-05", guards, description)


def skewed(count, seed=1):
    """Bytes that entropy coding makes shorter and matching does not: the number of ones at the end of a random word."""
    return bytes((~word & word + 1).bit_length() - 1 for word in numbers(seed, count, 2**63))


def syllables(count):
    """Words that share their parts."""
    parts = ["ka", "lo", "mi", "nu", "pe", "ra", "si", "to", "ve", "zu"]
    return [f"{parts[n % 10]}{parts[n // 10 % 10]}{parts[n // 100 % 10]}n".encode() for n in range(count)]


def flat(data, dim):
    return [list(data[at : at + dim]) for at in range(0, len(data), dim)]


def huffman():
    """A frame of 1,500 bytes, whose literals are in four streams, and one of 200, in one."""
    return framed(scaled_linear(flat(skewed(1700), 20)), {"CODE": 1500})


def sequences():
    words = syllables(400)
    return framed(scaled_linear([[number % 100] for number in range(400)], tokens=words), {"TOKB": 1400})


def several_blocks():
    """A table of 2^16 levels of which few are not 0."""
    levels = [0.0] * 2**16
    for place, value in zip(numbers(3, 400, 2**16), numbers(4, 400, 64), strict=True):
        levels[place] = value / 8
    rows = [[place] for place in (*numbers(3, 60, 2**16), 0, 1, 2**15, 2**16 - 1)]
    file = table(PRODUCT, 16, rows, product(1), dim=1, levels=struct.pack("<65536f", *levels))
    return framed(file, {"LEVL": 2**18})


LIBRARY = (
    ("huffman", huffman, "CODE", ("huffman-0", "huffman-1"),
     "Literals compressed by Huffman codes, in four streams and in one.",
     "A zstd decoder of one's own without the four streams of Huffman codes."),
    ("sequences", sequences, "TOKB", ("sequences-0", "sequences-1"),
     "Sequences compressed by FSE, and repeated offsets.",
     "A zstd decoder of one's own that knows the predefined tables alone."),
    ("several-blocks", several_blocks, "LEVL", ("several-blocks",),
     "Blocks that use the tables and bytes of those before.",
     "A zstd decoder of one's own that forgets tables and offsets between blocks."),
)  # fmt: skip
for name, make, kind, frames, description, guards in LIBRARY:
    library(name, make(), kind, frames, guards, description)

# --- limits ---------------------------------------------------------------------------------------------------------

valid(
    "limit/dim-16777216-no-rows",
    table(
        LINEAR, 8, [], linear(), dim=2**24, stride=2**24, scale=(ROW, FLOAT32, 0),
    ),
    "HDR-08 LIM-01",
    "A buffer for a row made before there is one, or `dim` kept in 24 bits.",
    "The greatest `dim`, and no rows.",
    [],
)  # fmt: skip
valid(
    "limit/dim-70000-one-row",
    framed(
        table(LINEAR, 8, [[0] * 66_000 + [1] * 3_999 + [255]], linear(), scale=(TABLE, FLOAT32, 0), scales=[0.5]),
        {"CODE": 2**16},
    ),
    "HDR-08 LIM-01",
    "Columns counted in 16 bits.",
    "One row of 70,000 values, which frames make small.",
    [[0] * 66_000 + [0.5] * 3_999 + [-0.5]],
)
small = scaled_linear([[1, -2], [3, 4]])
for number in range(256 - len(small.sections)):
    small.add(f"{'abcdefgh'[number // 36]}{number % 36:02}z", b"")
valid(
    "limit/sections-256", small, "HDR-07 LIM-01",
    "A table of sections that is too small, or that is never freed.", "256 sections, nearly all of them private.",
    [[1, -2], [3, 4]],
)  # fmt: skip
small = scaled_linear([[1, -2], [3, 4]])
small.add("META", b'{"a":"' + b"a" * (2**20 - 8) + b'"}')["META"].frame_size = 2**19
valid(
    "limit/metadata-of-1-mib", small, "MET-01 LIM-01",
    "A limit on what metadata take that is lower, or that is for the stored bytes.",
    "2^20 bytes of metadata, in frames.", [[1, -2], [3, 4]],
)  # fmt: skip
valid(
    "limit/stride-of-a-million",
    framed(scaled_linear([[1, 2], [3, 4]], stride=10**6), {"CODE": 10**6}),
    "QNT-08 PCK-01 LIM-01",
    "A stride kept in 16 bits.",
    "Rows of two bytes, a million bytes apart.",
    [[1, 2], [3, 4]],
)  # fmt: skip
valid(
    "limit/zstd-window-of-16-mib",
    packed(framed(scaled_linear([[1, -2], [3, 4]]), {"CODE": 64}), "CODE", window_log=24),
    "FRM-05 LIM-01",
    "A limit on the window that is lower than what a writer may declare.",
    "A frame of four bytes that declares a window of 16 MiB.",
    [[1, -2], [3, 4]],
)
valid(
    "limit/one-column-of-scales",
    framed(
        table(LINEAR, 1, [[0, 1] * 1000], linear(), scale=(COLUMN, FLOAT32, 0), scales=[2.0] * 2000), {"SCAL": 8000}
    ),
    "SCL-01 QNT-10",
    "Scales by column past a small buffer.",
    "Two thousand columns with scales of their own.",
    [[0, -2] * 1000],
)
