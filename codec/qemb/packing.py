"""Codes of 1 to 32 bits, packed least significant bit first; a row starts on a byte boundary.

Eight codes of b bits fill b bytes, whatever b is, so both directions work on groups of eight codes and need no loop
over values.
"""

from __future__ import annotations

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
    rows = len(packed)
    packed = packed[:, : packed_size(count, bits)]
    if bits == 8:
        return packed
    if bits in (16, 32):
        return np.ascontiguousarray(packed).view(f"<u{bits // 8}")
    groups = -(-count // 8)
    if packed.shape[1] != groups * bits:
        whole = np.zeros((rows, groups * bits), np.uint8)
        whole[:, : packed.shape[1]] = packed
        packed = whole
    grouped = packed.reshape(rows, groups, bits)
    dtype = code_dtype(bits)
    # five bytes can be needed for 32 bits and a shift; two do for up to 8 bits, and 16-bit arithmetic is quicker
    wide = np.dtype(np.uint16 if bits <= 8 else np.uint32 if bits <= 24 else np.uint64)
    out = np.empty((rows, groups, 8), dtype)
    for position in range(8):
        byte, shift = divmod(position * bits, 8)
        values = grouped[:, :, byte].astype(wide)
        for extra in range(1, packed_size(1, shift + bits)):
            values |= grouped[:, :, byte + extra].astype(wide) << wide.type(8 * extra)
        values >>= wide.type(shift)
        values &= wide.type((1 << bits) - 1)
        out[:, :, position] = values
    return out.reshape(rows, groups * 8)[:, :count]


def stray_bits(packed: NDArray[np.uint8], count: int, bits: int) -> NDArray[np.bool_]:
    """Which rows have a bit set past their last code: in its last byte or in the padding up to the row stride."""
    size = packed_size(count, bits)
    stray = np.asarray(packed[:, size:].any(axis=1))
    used = count * bits % 8
    if used:
        stray |= packed[:, size - 1] >> used != 0
    return stray
