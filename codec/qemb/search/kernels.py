"""The inner loop of searching int8 codes; importing this needs numba. LLVM makes vectors of it."""

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
