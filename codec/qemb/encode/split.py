"""Codes cut into low bits, packed as they are, and byte planes of high bits, which compress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from qemb.frames import FRAME_BYTES, literal_size
from qemb.layout import HIGH_KINDS
from qemb.packing import pack, packed_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qemb.quantization import Quantization


_PLANE = 0.05
"""Bits a value that a plane has to save: reading a row of it costs a frame more."""


def split(codes: NDArray[Any], quantization: Quantization) -> dict[str, NDArray[np.uint8]]:
    """The sections that hold codes, unsigned, shape (rows, count): ``CODE`` and high planes, as the descriptor says."""
    low = quantization.low_bits
    parts = {}
    if low:
        parts["CODE"] = pack(_low(codes, low), low)
    for plane, kind in enumerate(HIGH_KINDS[: quantization.high_planes]):
        parts[kind] = _plane(codes, low, plane)
    return parts


def best_low_bits(codes: NDArray[Any], bits: int) -> tuple[int, float]:
    """How many low bits to pack as they are, and the bits a value that this costs.

    Each number is tried on the codes given, unsigned, shape (rows, count): a sample. More than two planes of high bits
    are not: the third would hold digits that are noise.
    """
    best, least = bits, float("inf")
    for low in range(bits, max(0, bits - 16) - 1, -1):
        planes = packed_size(1, bits - low)
        size = sum(literal_size(_plane(codes, low, plane).tobytes(), FRAME_BYTES) for plane in range(planes))
        if low:
            packed = pack(_low(codes, low), low)
            size += literal_size(packed.tobytes(), FRAME_BYTES) if low == bits else packed.size
        cost = 8 * size / max(codes.size, 1) + _PLANE * planes
        if cost < least:
            best, least = low, cost
    return best, least


def _low(codes: NDArray[Any], bits: int) -> NDArray[Any]:
    return np.asarray(codes & codes.dtype.type((1 << bits) - 1))


def _plane(codes: NDArray[Any], low: int, plane: int) -> NDArray[np.uint8]:
    return np.asarray(codes >> codes.dtype.type(low + 8 * plane)).astype(np.uint8)
