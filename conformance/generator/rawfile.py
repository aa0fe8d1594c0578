"""Builds `.qemb` files from bytes, with faults put in on purpose. Knows the specification, and nothing of the codec."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from functools import cache

import zstdframes

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
    """Stored bytes of frames that are not to be as `zstdframes` makes them."""
    frame_entries: dict[tuple[int, str], object] = field(default_factory=dict)
    entry: dict[str, object] = field(default_factory=dict)
    before: bytes = b""
    """What stands in front of it, instead of zeros."""

    def stored_frames(self):
        """What each frame holds, and the bytes that it is stored as."""
        for number, at in enumerate(range(0, len(self.data), self.frame_size)):
            raw = self.data[at : at + self.frame_size]
            stored = self.frames.get(number)
            if stored is None:
                packed = zstdframes.compress(raw)
                stored = packed if len(packed) < len(raw) else raw
            yield raw, stored

    def stored(self):
        if not self.frame_size:
            return self.data
        body, table = b"", b""
        for number, (_, stored) in enumerate(self.stored_frames()):
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
        end = 0
        for name, form in HEADER.items():
            end += struct.calcsize("<" + form)
            if 0 <= length < end:
                self.touched.add((name, None))
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


def norm(row):
    """The Euclidean norm, rounded twice, in float64: the same whatever Python adds up with."""
    return math.sqrt(math.fsum(x * x for x in row))


def first_slot(crc, size):
    """Where the search for a token of that CRC begins."""
    return crc * size >> 32


def index_slots(tokens, size, first=first_slot, *, order=None):
    """An index of ``size`` slots: the tokens put in one by one, in that order of rows."""
    slots = [EMPTY] * size
    for row in order or range(len(tokens)):
        slot = first(crc32c(tokens[row]), size)
        while slots[slot] != EMPTY:
            slot = (slot + 1) % size
        slots[slot] = row
    return slots


def splitmix64(state):
    """Words of the generator started at ``state``."""
    while True:
        state = state + 0x9E3779B97F4A7C15 & 2**64 - 1
        z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & 2**64 - 1
        z = (z ^ z >> 27) * 0x94D049BB133111EB & 2**64 - 1
        yield z ^ z >> 31
