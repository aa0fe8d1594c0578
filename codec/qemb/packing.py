"""Codes of 1 to 32 bits, packed least significant bit first; a row starts on a byte boundary.

Neither direction needs a loop over values: packing works on groups of eight codes, which fill as many bytes as a code
has bits; unpacking looks at each code in a window of 2, 4 or 8 bytes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def packed_size(count: int, bits: int) -> int:
    """Bytes that ``count`` codes of ``bits`` bits take."""
    return (count * bits + 7) // 8


def code_dtype(bits: int) -> np.dtype[Any]:
    """The smallest unsigned dtype that holds a code."""
    return np.dtype(np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32)


def pack(codes: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """Pack codes, unsigned, shape (rows, count), into bytes, shape (rows, packed_size(count, bits)).

    Unused bits of the last byte of a row are zero. Codes are below 2^bits; the caller sees to that.
    """
    rows, count = codes.shape
    size = packed_size(count, bits)
    if bits == 8:
        return np.ascontiguousarray(codes, np.uint8)
    if bits in (16, 32):
        return np.ascontiguousarray(codes, f"<u{bits // 8}").view(np.uint8).reshape(rows, size)
    groups = -(-count // 8)
    padded = np.zeros((rows, groups * 8), code_dtype(bits))
    padded[:, :count] = codes
    out = np.zeros((rows, groups, bits), np.uint8)
    for position in range(8):
        values = padded[:, position::8].astype(np.uint64)
        byte, shift = divmod(position * bits, 8)
        values <<= np.uint64(shift)
        for extra in range(packed_size(1, shift + bits)):
            out[:, :, byte + extra] |= (values >> np.uint64(8 * extra)).astype(np.uint8)
    return np.ascontiguousarray(out.reshape(rows, groups * bits)[:, :size])


def unpack(packed: NDArray[np.uint8], count: int, bits: int) -> NDArray[Any]:
    """Unpack rows of bytes, shape (rows, at least packed_size(count, bits)), into codes, shape (rows, count).

    Returns
    -------
    ndarray
        uint8, uint16 or uint32, the smallest that holds a code; for 8 bits a view of what was given.
    """
    if bits in (8, 16, 32):
        packed = packed[:, : packed_size(count, bits)]
        if bits == 8:
            return packed
        return np.ascontiguousarray(packed).view(f"<u{bits // 8}").astype(code_dtype(bits), copy=False)
    if 8 % bits == 0:
        return _spread(packed[:, : packed_size(count, bits)], bits)[:, :count]
    # every code lies in a window that begins at the byte in which it begins
    rows, stride = packed.shape
    place, shift = _places(count, bits)
    data = np.zeros(rows * stride + shift.itemsize, np.uint8)
    data[: rows * stride].reshape(rows, stride)[...] = packed
    windows = np.ndarray((rows, stride), shift.dtype.newbyteorder("<"), data, strides=(stride, 1))[:, place]
    codes: NDArray[Any] = windows >> shift
    codes &= shift.dtype.type((1 << bits) - 1)
    return codes.astype(code_dtype(bits), copy=False)


@lru_cache(maxsize=8)
def _places(count: int, bits: int) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Byte in which each code begins, and bit of that byte, in the dtype of a window that holds the code with that."""
    first = np.arange(count, dtype=np.int64) * bits
    return first >> 3, (first & 7).astype(np.uint16 if bits <= 9 else np.uint32 if bits <= 25 else np.uint64)


def _spread(packed: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Codes of 1, 2 or 4 bits: the halves of each byte are moved apart, and theirs, until each code has a byte."""
    size = half = 8 // bits
    codes = packed.astype(f"u{size}")
    wide = codes.dtype.type
    while half > 1:
        half //= 2
        low = wide(sum(((1 << half * bits) - 1) << at for at in range(0, 8 * size, 16 * half)))
        high = codes >> wide(half * bits)
        high &= low
        high <<= wide(8 * half)
        codes &= low
        codes |= high
    return codes.astype(codes.dtype.newbyteorder("<"), copy=False).view(np.uint8)


def stray_bits(packed: NDArray[np.uint8], count: int, bits: int) -> NDArray[np.bool_]:
    """Which rows have a bit set past their last code: in its last byte or in the padding up to the row stride."""
    size = packed_size(count, bits)
    stray = np.asarray(packed[:, size:].any(axis=1))
    used = count * bits % 8
    if used:
        stray |= packed[:, size - 1] >> used != 0
    return stray
