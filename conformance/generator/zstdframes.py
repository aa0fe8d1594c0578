"""Zstandard frames (RFC 8878) out of raw and run-length blocks alone: the same bytes whatever zstd is installed."""

from __future__ import annotations

import struct
from itertools import groupby

MAGIC = b"\x28\xb5\x2f\xfd"
BLOCK = 1 << 17
"""Most bytes in a block."""
RAW, RLE = 0, 1
RUN = 8
"""Equal bytes from which on a block of their own is worth its header."""

_MASK = 2**64 - 1
_P1, _P2, _P3, _P4, _P5 = (
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)


def run(byte, length):
    """One frame of equal bytes, however many."""
    return _frame([(RLE, bytes([byte]), length)], length)


def compress(data, *, content_size=True, checksum=False, window_log=None):
    """One frame. It has a single segment unless it tells no size or is given the logarithm of a window."""
    tail = struct.pack("<I", xxh64(data) & 0xFFFFFFFF) if checksum else b""
    return _frame(_runs(data), len(data), tail, content_size=content_size, window_log=window_log)


def _frame(runs, length, tail=b"", *, content_size=True, window_log=None):
    single = content_size and window_log is None
    size_flag = 0
    size = b""
    if content_size:
        size_flag = 0 if single and length < 256 else 1 if 256 <= length < 65_792 else 2
        size = (length - (256 if size_flag == 1 else 0)).to_bytes(1 << size_flag, "little")
    descriptor = size_flag << 6 | single << 5 | bool(tail) << 2
    window = b"" if single else bytes([((17 if window_log is None else window_log) - 10) << 3])
    return MAGIC + bytes([descriptor]) + window + size + _blocks(runs) + tail


def _blocks(runs):
    blocks = [block for stretch in runs for block in _cut(*stretch)]
    headers = [kind << 1 | length << 3 | (number == len(blocks) - 1) for number, (kind, _, length) in enumerate(blocks)]
    return b"".join(
        header.to_bytes(3, "little") + stored for header, (_, stored, _) in zip(headers, blocks, strict=True)
    )


def _runs(data):
    """Kind, bytes to store and length of each stretch of equal bytes, and of what is between them."""
    start = at = 0
    for byte, run in groupby(data):
        length = len(list(run))
        if length >= RUN:
            if at > start:
                yield RAW, data[start:at], at - start
            yield RLE, bytes([byte]), length
            start = at + length
        at += length
    if at > start or not data:
        yield RAW, data[start:], at - start


def _cut(kind, stored, length):
    """The same in blocks of what a block can hold."""
    for start in range(0, max(length, 1), BLOCK):
        part = min(BLOCK, length - start)
        yield kind, stored if kind == RLE else stored[start : start + part], part


def _left(value, bits):
    return (value << bits | value >> (64 - bits)) & _MASK


def _lane(value, word):
    return _left((value + word * _P2) & _MASK, 31) * _P1 & _MASK


def xxh64(data):
    """XXH64 with seed 0, whose low half is the checksum of a frame's content."""
    at, value = 0, _P5
    if len(data) >= 32:
        lanes = [(_P1 + _P2) & _MASK, _P2, 0, -_P1 & _MASK]
        for at in range(32, len(data) + 1, 32):
            lanes = [_lane(a, word) for a, word in zip(lanes, struct.unpack_from("<4Q", data, at - 32), strict=True)]
        value = sum(_left(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18), strict=True)) & _MASK
        for lane in lanes:
            value = ((value ^ _lane(0, lane)) * _P1 + _P4) & _MASK
    value = (value + len(data)) & _MASK
    while len(data) - at >= 8:
        (word,) = struct.unpack_from("<Q", data, at)
        value = (_left(value ^ _lane(0, word), 27) * _P1 + _P4) & _MASK
        at += 8
    if len(data) - at >= 4:
        (word,) = struct.unpack_from("<I", data, at)
        value = (_left(value ^ word * _P1 & _MASK, 23) * _P2 + _P3) & _MASK
        at += 4
    for byte in data[at:]:
        value = _left(value ^ byte * _P5 & _MASK, 11) * _P1 & _MASK
    value = (value ^ value >> 33) * _P2 & _MASK
    value = (value ^ value >> 29) * _P3 & _MASK
    return value ^ value >> 32
