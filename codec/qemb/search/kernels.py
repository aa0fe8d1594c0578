"""The inner loops of searching; importing this needs numba. LLVM makes vectors of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qemb.jit import kernel
from qemb.search.intrinsics import sum_levels

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
def score_nibbles(
    data: NDArray[np.uint8],
    stride: int,
    tables: NDArray[np.int8],
    kinds: NDArray[np.uint8] | None,
    query: NDArray[np.int16],
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
    tables, kinds, query : arrays
        As `sum_levels` has them.
    unit, base : float32
        What an integer of the query stands for; the product of the query with what is added to all rows.
    factors, inverse, off : float32 arrays of shape (rows,)
    out : float32 array of shape (rows,)
    """
    for row in range(len(out)):
        total = sum_levels(data, np.uint64(row * stride), tables, kinds, np.uint64(row), query)
        out[row] = np.float32(total) * (factors[row] * unit) + base * inverse[row] + off[row]
