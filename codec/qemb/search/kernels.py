"""The inner loops of searching; importing this needs numba. LLVM makes vectors of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qemb.jit import kernel

if TYPE_CHECKING:
    from numpy.typing import NDArray


@kernel
def dot_int8(
    data: NDArray[np.int8],
    stride: int,
    query: NDArray[np.int16],
    unit: np.float32,
    factors: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """``out[r] = factors[r] * unit * (codes of row r . query)``; rows begin ``stride`` bytes apart.

    The query may be longer than a row, with zeros: what it reads past the row is multiplied with those.
    """
    for row in range(len(out)):
        start = np.uint64(row * stride)  # unsigned: numba would ask of a signed index whether it is negative
        total = np.int32(0)
        for j in range(len(query)):
            total = np.int32(total + np.int32(np.int32(data[start + np.uint64(j)]) * np.int32(query[j])))
        out[row] = np.float32(total) * (factors[row] * unit)


@kernel
def _pair(pair: np.uint8, linear: np.int16, even: np.int16, odd: np.int16) -> np.int32:
    """The cubics of the two codes of a byte, times their values of the query."""
    low = np.int16(2 * np.int16(pair & np.uint8(15)) - 15)
    high = np.int16(2 * np.int16(pair >> np.uint8(4)) - 15)
    one, other = np.int16(low * (linear + low * low)), np.int16(high * (linear + high * high))
    return np.int32(np.int32(np.int32(one) * np.int32(even)) + np.int32(np.int32(other) * np.int32(odd)))


@kernel
def score_nibbles(
    data: NDArray[np.uint8],
    stride: int,
    flips: NDArray[np.uint8],
    query: NDArray[np.int16],
    linear: np.int16,
    unit: np.float32,
    base: np.float32,
    factors: NDArray[np.float32],
    inverse: NDArray[np.float32],
    off: NDArray[np.float32],
    out: NDArray[np.float32],
) -> None:
    """Scores of rows of 4-bit codes, as `qemb.search.nibbles` has them.

    Parameters
    ----------
    data : uint8 array
        Bytes from the first row on, and some past the last.
    stride : int
        Bytes from row to row.
    flips : uint8 array of shape (rows, n) or (0, n)
        Which of the lowest bits are flipped: bits 2g and 2g + 1 of byte j are those of byte g n + j of the row.
    query : int16 array of shape (2, 4 n)
        The query times even values, and times odd ones; zeros past the row.
    linear : int16
        The coefficient of x.
    unit, base : float32
        What an integer of the query stands for; the product of the query with what is added to all rows.
    factors, inverse, off : float32 arrays of shape (rows,)
    out : float32 array of shape (rows,)
    """
    even, odd, width = query[0], query[1], flips.shape[1]
    for row in range(len(out)):
        start = np.uint64(row * stride)
        total = np.int32(0)
        if len(flips) == 0:
            for j in range(4 * width):
                total = np.int32(total + _pair(data[start + np.uint64(j)], linear, even[j], odd[j]))
        else:
            flip = flips[row]
            for group in range(4):
                first = group * width
                begin = start + np.uint64(first)
                for j in range(width):
                    bits = (flip[j] >> np.uint8(2 * group)) & np.uint8(3)
                    flipped = data[begin + np.uint64(j)] ^ ((bits | (bits << np.uint8(3))) & np.uint8(0x11))
                    total = np.int32(total + _pair(np.uint8(flipped), linear, even[first + j], odd[first + j]))
        out[row] = np.float32(total) * (factors[row] * unit) + base * inverse[row] + off[row]
