"""Builds `.qemb` files from bytes, with faults put in on purpose. Knows the specification, and nothing of the codec."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import zstandard

HEADER = {
    "magic": "8s",
    "major": "H",
    "minor": "H",
    "section_count": "I",
    "required_features": "I",
    "optional_features": "I",
    "rows": "Q",
    "tokens": "Q",
    "file_size": "Q",
    "dim": "I",
    "table_offset": "I",
    "table_crc": "I",
    "header_crc": "I",
}
ENTRY = {
    "kind": "4s",
    "flags": "H",
    "codec": "H",
    "offset": "Q",
    "stored_size": "Q",
    "raw_size": "Q",
    "frame_size": "I",
    "crc": "I",
}
CRITICAL, COPY_SAFE = 1, 2
FLAGS = {
    "META": COPY_SAFE,
    "QUAN": CRITICAL,
    "TRNS": CRITICAL,
    "LEVL": CRITICAL,
    "SCAL": CRITICAL,
    "OFFS": CRITICAL,
    "CODE": CRITICAL,
    "HIG0": CRITICAL,
    "HIG1": CRITICAL,
    "HIG2": CRITICAL,
    "HIG3": CRITICAL,
    "EXCP": CRITICAL,
    "TOKO": CRITICAL,
    "TOKB": CRITICAL,
    "INDX": 0,
    "NORM": 0,
    "CNTS": 0,
    "SUBW": 0,
}
"""Kinds of sections in the order of the specification, with the flags that each has."""

LINEAR, CODEBOOK, PRODUCT, DECIMAL, IEEE = range(5)
NONE, TABLE, ROW, COLUMN, BLOCK = range(5)
FLOAT32, FLOAT16 = 1, 2
EMPTY = 0xFFFFFFFF


def _crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)  # noqa: PLW2901
        table.append(value)
    return table


_TABLE = _crc_table()


@cache
def crc32c(data):
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def pack_fields(types, values):
    return b"".join(struct.pack("<" + types[name], value) for name, value in values.items())


def pack_codes(codes, bits, stride=None):
    """One row of CODE, by arithmetic on one long integer."""
    whole = sum(code << (j * bits) for j, code in enumerate(codes))
    return whole.to_bytes(stride or -(-len(codes) * bits // 8), "little")


@dataclass
class Section:
    """One section. ``entry`` overrides fields of its table entry: values, or functions of the right value."""

    kind: str
    data: bytes
    flags: int
    frame_size: int = 0
    """Above 0: stored in zstd frames."""
    frames: dict[int, bytes] = field(default_factory=dict)
    """Stored bytes of frames that are not to be as zstd makes them."""
    frame_entries: dict[tuple[int, str], object] = field(default_factory=dict)
    entry: dict[str, object] = field(default_factory=dict)
    before: bytes = b""
    """What stands in front of it, instead of zeros."""

    def stored(self):
        if not self.frame_size:
            return self.data
        raws = [self.data[at : at + self.frame_size] for at in range(0, len(self.data), self.frame_size)]
        body, table = b"", b""
        for number, raw in enumerate(raws):
            stored = self.frames.get(number)
            if stored is None:
                packed = zstandard.compress(raw)
                stored = packed if len(packed) < len(raw) else raw
            fields = {"offset": len(body), "size": len(stored), "crc": crc32c(stored)}
            fields = {name: _override(self.frame_entries, (number, name), value) for name, value in fields.items()}
            body += stored
            table += pack_fields({"offset": "Q", "size": "I", "crc": "I"}, fields)
        return body + table


@dataclass
class RawFile:
    """A whole file. ``header`` overrides fields of the header, as ``Section.entry`` those of an entry."""

    rows: int
    tokens: int
    dim: int
    sections: list[Section] = field(default_factory=list)
    required_features: int = 0
    header: dict[str, object] = field(default_factory=dict)
    tail: bytes = b""
    """Bytes after the last section."""
    length: int | None = None
    """Bytes that are left of the file, where it is cut."""
    touched: set[tuple[str, int | None]] = field(default_factory=set)
    """What has been tampered with: fields of the header, sections, or single places in a section."""

    def add(self, kind, data, *, flags=None, frame_size=0, at=None):
        section = Section(kind, bytes(data), FLAGS.get(kind, 0) if flags is None else flags, frame_size)
        self.sections.insert(len(self.sections) if at is None else at, section)
        return self

    def __getitem__(self, kind):
        """A section to tamper with."""
        self.touched.add((kind, None))
        return self._section(kind)

    def _section(self, kind):
        return next(section for section in self.sections if section.kind == kind)

    def drop(self, kind):
        self.sections.remove(self[kind])

    def set(self, **fields):
        """Override fields of the header."""
        self.touched |= {(name, None) for name in fields}
        self.header |= fields

    def patch(self, kind, at, data):
        """Write ``data`` over the bytes of a section, from ``at``; its CRC follows."""
        section = self._section(kind)
        self.touched.add((kind, at))
        at = at if at >= 0 else len(section.data) + at
        section.data = section.data[:at] + data + section.data[at + len(data) :]

    def cut(self, length):
        """Leave only the first bytes of the file, as a slice counts them."""
        self.touched.add(("length", None))
        self.length = length

    def append(self, data):
        """Put bytes after the last section."""
        self.touched.add(("tail", None))
        self.tail = data

    def insert(self, kind, data, *, flags=0):
        """A section before all others."""
        self.touched.add(("inserted", None))
        self.add(kind, data, flags=flags, at=0)
        return self[kind]

    def build(self):
        stored = [section.stored() for section in self.sections]
        end = 64 + 40 * len(self.sections)
        table, body = b"", b""
        for section, data in zip(self.sections, stored, strict=True):
            start = -(-(end + len(section.before)) // 64) * 64
            body += section.before.ljust(start - end, b"\0") + data
            end = start + len(data)
            fields = {
                "kind": section.kind.encode("latin-1"),
                "flags": section.flags,
                "codec": 1 if section.frame_size else 0,
                "offset": start,
                "stored_size": len(data),
                "raw_size": len(section.data),
                "frame_size": section.frame_size,
                "crc": crc32c(data),
            }
            table += pack_fields(ENTRY, {name: _override(section.entry, name, fields[name]) for name in ENTRY})
        fields = {
            "magic": b"\x89QEMB\r\n\x1a",
            "major": 1,
            "minor": 0,
            "section_count": len(self.sections),
            "required_features": self.required_features,
            "optional_features": 0,
            "rows": self.rows,
            "tokens": self.tokens,
            "file_size": end,
            "dim": self.dim,
            "table_offset": 64,
            "table_crc": crc32c(table),
        }
        fields = {name: _override(self.header, name, value) for name, value in fields.items()}
        header = pack_fields(HEADER, fields)
        header += struct.pack("<I", _override(self.header, "header_crc", crc32c(header)))
        return (header + table + body + self.tail)[: self.length]


def _override(overrides, name, value):
    given = overrides.get(name, value)
    return given(value) if callable(given) else given


def descriptor(level, bits, dim, *, low_bits=None, scale=(NONE, 0, 0), offset=(NONE, 0, 0), stride=None, parameters):
    """Section QUAN. ``scale`` and ``offset`` are (group, type, block)."""
    low_bits = bits if low_bits is None else low_bits
    stride = -(-dim * low_bits // 8) if stride is None else stride
    fixed = (level, bits, low_bits, 0, *scale[:2], *offset[:2], scale[2], offset[2], stride)
    return struct.pack("<8B3I", *fixed) + parameters.ljust(8, b"\0")


def add_tokens(file, tokens, *, index=True):
    ends = [0]
    for token in tokens:
        ends.append(ends[-1] + len(token))
    file.add("TOKO", struct.pack(f"<{len(ends)}I", *ends)).add("TOKB", b"".join(tokens))
    if index:
        size = len(tokens) + len(tokens) // 2 + 1
        file.add("INDX", struct.pack(f"<{size}I", *index_slots(tokens, size)))
    return file


def index_slots(tokens, size):
    """An index of ``size`` slots: the tokens put in one by one."""
    slots = [EMPTY] * size
    for row, token in enumerate(tokens):
        slot = crc32c(token) * size >> 32
        while slots[slot] != EMPTY:
            slot = (slot + 1) % size
        slots[slot] = row
    return slots


def parse(data):
    """Header fields and raw sections of a file that conforms."""
    return header_of(data), {kind: raw for kind, (_, raw) in read_sections(data).items()}


def header_of(data):
    values = struct.unpack_from("<" + "".join(HEADER.values()), data)
    return dict(zip(HEADER, values, strict=True))


def read_sections(data):
    """Table entry and raw bytes of every section of a file that conforms."""
    found = {}
    for number in range(header_of(data)["section_count"]):
        values = struct.unpack_from("<" + "".join(ENTRY.values()), data, 64 + 40 * number)
        entry = dict(zip(ENTRY, values, strict=True))
        stored = data[entry["offset"] : entry["offset"] + entry["stored_size"]]
        found[entry["kind"].decode()] = entry, join_frames(entry, stored) if entry["codec"] else stored
    return found


def join_frames(entry, stored):
    count = -(-entry["raw_size"] // entry["frame_size"])
    parts, left = [], entry["raw_size"]
    for start, size, _ in struct.iter_unpack("<QII", stored[len(stored) - 16 * count :]):
        frame = stored[start : start + size]
        parts.append(frame if size == min(entry["frame_size"], left) else zstandard.decompress(frame))
        left -= len(parts[-1])
    return b"".join(parts)


def splitmix64(state):
    """Words of the generator started at ``state``."""
    while True:
        state = state + 0x9E3779B97F4A7C15 & 2**64 - 1
        z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & 2**64 - 1
        z = (z ^ z >> 27) * 0x94D049BB133111EB & 2**64 - 1
        yield z ^ z >> 31


def rotation(section, dim):
    """The transform as a matrix in float64: a row of values x becomes the vector R x."""
    rounds, seed = section[2], int.from_bytes(section[8:], "little")
    p = 1 << dim.bit_length() - 1
    hadamard = np.ones((1, 1))
    while len(hadamard) < p:
        hadamard = np.block([[hadamard, hadamard], [hadamard, -hadamard]])
    first, last = np.eye(dim), np.eye(dim)
    first[:p, :p] = last[dim - p :, dim - p :] = hadamard / np.sqrt(p)
    words, whole = splitmix64(seed), np.eye(dim)
    for _ in range(rounds):
        signs = sum(next(words) << 64 * k for k in range(-(-dim // 64)))
        whole = np.diag([-1.0 if signs >> j & 1 else 1.0 for j in range(dim)]) @ whole
        whole = first @ whole
        if p < dim:
            whole = last @ whole
    return whole


# --- files that conform, to put one fault into ----------------------------------------------------------------------

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
    file.add("NORM", struct.pack("<4f", *(sum(x * x for x in row) ** 0.5 for row in rows)))
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


BASES = (linear, split, codebook, trellis, product, decimal, ieee, rotated, subwords, framed, noughts)
