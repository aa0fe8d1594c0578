"""A ``.qemb`` file taken apart, changed in parts, and put together again. Knows nothing of the codec."""

from __future__ import annotations

import struct
import sys
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import accumulate
from pathlib import Path

import google_crc32c

sys.path.append(str(Path(__file__).parents[2] / "conformance" / "generator"))

import rawfile
import zstdframes

HEADER = struct.Struct("<" + "".join(rawfile.HEADER.values()))
ENTRY = struct.Struct("<" + "".join(rawfile.ENTRY.values()))
DESCRIPTOR = struct.Struct("<8B3I8s")
FLAGS = {kind.encode(): flags for kind, flags in rawfile.FLAGS.items()}
KINDS = tuple(FLAGS)
LARGEST = 1 << 16
"""Bytes that a section is filled up to, where it has to grow; what is larger becomes frames of equal bytes."""
MOST_FRAMES = 64


@dataclass(slots=True)
class Part:
    """A section: its entry, as far as the layout does not give it, and its stored bytes."""

    kind: bytes
    flags: int
    codec: int
    raw_size: int
    frame_size: int
    data: bytes

    def set_raw(self, data):
        self.data, self.raw_size, self.codec, self.frame_size = data, len(data), 0, 0

    def set_frames(self, raw_size, frame_size, byte=0):
        """Frames of equal bytes: far more than is stored of them."""
        whole, rest = divmod(raw_size, frame_size)
        frames = [_run(byte, frame_size)] * whole + [_run(byte, rest)] * (rest > 0)
        self.raw_size, self.codec, self.frame_size = raw_size, 1, frame_size
        self.data = _with_table(frames)

    def cut_into_frames(self, frame_size):
        """The same bytes, of a raw section, in frames: compressed where that is quick, otherwise stored as they are."""
        pieces = [self.data[start : start + frame_size] for start in range(0, len(self.data), frame_size)]
        frames = [_compressed(piece) if 16 < len(piece) <= 512 else piece for piece in pieces]
        self.raw_size, self.codec, self.frame_size = len(self.data), 1, frame_size
        self.data = _with_table(frames)


@dataclass(slots=True)
class Parts:
    """A file: fields of its header that the layout does not give, and its sections in order."""

    rows: int
    tokens: int
    dim: int
    required_features: int
    sections: list[Part] = field(default_factory=list)

    def section(self, kind):
        """The section of this kind, which is made where there is none."""
        for part in self.sections:
            if part.kind == kind:
                return part
        part = Part(kind, FLAGS[kind], 0, 0, 0, b"")
        self.sections.append(part)
        return part

    def drop(self, *kinds):
        self.sections = [part for part in self.sections if part.kind not in kinds]

    def set_tokens(self, tokens):
        """Other tokens, and no index."""
        self.drop(b"INDX")
        self.tokens = len(tokens)
        ends = list(accumulate(map(len, tokens), initial=0))
        self.section(b"TOKO").set_raw(struct.pack(f"<{len(ends)}I", *ends))
        self.section(b"TOKB").set_raw(b"".join(tokens))

    def build(self):
        """The file laid out, with every size and checksum right that the parts leave open."""
        table, body = bytearray(), bytearray()
        start = end = HEADER.size + ENTRY.size * len(self.sections)
        for part in self.sections:
            body += bytes(-end % 64) + part.data
            offset = end + -end % 64
            end = offset + len(part.data)
            table += ENTRY.pack(
                part.kind,
                part.flags,
                part.codec,
                offset,
                len(part.data),
                part.raw_size,
                part.frame_size,
                google_crc32c.value(part.data),
            )
        assert start + len(body) == end
        header = bytearray(
            HEADER.pack(
                b"\x89QEMB\r\n\x1a",
                1,
                0,
                len(self.sections),
                self.required_features,
                0,
                self.rows,
                self.tokens,
                end,
                self.dim,
                HEADER.size,
                google_crc32c.value(bytes(table)),
                0,
            )
        )
        struct.pack_into("<I", header, 60, google_crc32c.value(bytes(header[:60])))
        return header + table + body

    def fit(self):
        """Bring row stride and sections into the sizes that header and descriptor call for; make what is missing."""
        wanted = self._wanted()
        if wanted is None:
            return
        for part in self.sections:
            part.flags = FLAGS.get(part.kind, part.flags)
        count = self.tokens
        for kind, size in wanted.items():
            part = self.section(kind)
            if part.raw_size != size:
                _resize(part, size)
                if kind == b"TOKO":
                    self._number_tokens(count, part)
        for part in self.sections:
            if (part.kind == b"NORM" and part.raw_size != 4 * self.rows) or (
                part.kind == b"CNTS" and part.raw_size != 8 * count
            ):
                _resize(part, 4 * self.rows if part.kind == b"NORM" else 8 * count)
        called_for = {b"LEVL", b"SCAL", b"OFFS", b"CODE", b"HIG0", b"HIG1", b"HIG2", b"HIG3"}
        self.drop(*(called_for - wanted.keys()))

    def _number_tokens(self, count, part):
        """Tokens of four bytes each where they are few; empty ones where they are many."""
        self.drop(b"INDX")
        if part.raw_size <= LARGEST:
            self.set_tokens([b"%04x" % row for row in range(count)])
        else:
            self.section(b"TOKB").set_raw(b"")

    def _wanted(self):
        """Raw sizes of the sections that header and descriptor call for (QEMB-QNT-10); None without a descriptor."""
        quan = next((part for part in self.sections if part.kind == b"QUAN"), None)
        if quan is None or len(quan.data) != DESCRIPTOR.size:
            return None
        *fields, stride, parameters = DESCRIPTOR.unpack(quan.data)
        level, bits, low, _, *scale_and_offset, scale_block, offset_block = fields
        scale, offset = scale_and_offset[:2], scale_and_offset[2:]
        rows, dim = self.rows, self.dim
        sub_dim = max(1, int.from_bytes(parameters[:4], "little")) if level == rawfile.PRODUCT else 1
        codes = -(-dim // sub_dim)
        stride = min(max(stride, -(-codes * low // 8)), 0xFFFFFFFF) if low else 0
        quan.data = DESCRIPTOR.pack(*fields, stride, parameters)
        wanted = {b"TOKO": 4 * (self.tokens + 1)}
        if level == rawfile.CODEBOOK:
            wanted[b"LEVL"] = 1 << min(parameters[0], 40)
        if level == rawfile.PRODUCT:
            wanted[b"LEVL"] = 4 * codes * sub_dim << min(bits, 40)
        for kind, (group, type_), block in ((b"SCAL", scale, scale_block), (b"OFFS", offset, offset_block)):
            if group:
                by_block = rows * -(-dim // max(1, block))
                wanted[kind] = (1, 1, rows, dim, by_block)[min(group, 4)] * (2 if type_ == rawfile.FLOAT16 else 4)
        if low:
            wanted[b"CODE"] = rows * stride
        for k in range(min(4, -(-(bits - low) // 8))):
            wanted[b"HIG%d" % k] = rows * codes
        return wanted


def parse(data):
    """Take a file apart, as far as it can be; its broken checksums, gaps and overlaps are not kept."""
    rows, tokens, dim, features, sections = _parse(data)
    return Parts(rows, tokens, dim, features, [replace(part) for part in sections])


@lru_cache(4096)
def _parse(data):
    padded = data[: HEADER.size].ljust(HEADER.size, b"\0")
    _, _, _, count, features, _, rows, tokens, _, dim, *_ = HEADER.unpack(padded)
    sections = []
    for number in range(min(count, 256, max(0, len(data) - HEADER.size) // ENTRY.size)):
        entry = ENTRY.unpack_from(data, HEADER.size + ENTRY.size * number)
        kind, flags, codec, offset, stored_size, raw_size, frame_size, _ = entry
        sections.append(Part(kind, flags, codec, raw_size, frame_size, data[offset : offset + stored_size]))
    return rows, tokens, dim, features, sections


def _resize(part, size):
    """Another raw size: of the bytes that are there, again and again, or of zeros in frames."""
    size = min(size, (1 << 64) - 1)
    if size <= LARGEST:
        data = part.data if part.codec == 0 and part.data else b"\0"
        part.set_raw((data * (size // len(data) + 1))[:size])
    elif size <= MOST_FRAMES << 24:
        part.set_frames(size, min(size, 1 << 24))
    else:
        part.raw_size = size


def _with_table(frames):
    starts = accumulate(map(len, frames), initial=0)
    entries = (
        struct.pack("<QII", start, len(frame), google_crc32c.value(frame))
        for start, frame in zip(starts, frames, strict=False)
    )
    return b"".join(frames) + b"".join(entries)


@lru_cache(256)
def _run(byte, length):
    return zstdframes.run(byte, length)


@lru_cache(4096)
def _compressed(data):
    return zstdframes.compress(data)
