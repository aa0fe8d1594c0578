"""Codes cut into low bits, packed as they are, and byte planes of high bits, which compress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from qemb.frames import literal_size, whole_rows
from qemb.layout import HIGH_KINDS
from qemb.packing import pack, packed_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qemb.quantization import Quantization


_PLANE = 0.05
"""Bits a value that a plane has to save: reading a row of it costs a frame more."""


def split(codes: NDArray[Any], quantization: Quantization) -> dict[str, NDArray[np.uint8]]:
    """The sections that hold codes, unsigned, shape (rows, count): ``CODE`` and high planes, as the descriptor says."""
    return _cut(codes, quantization.low_bits, quantization.high_planes)


def best_low_bits(codes: NDArray[Any], bits: int) -> tuple[int, float]:
    """How many low bits to pack as they are, and the bits a value that this costs.

    Each number is tried on the codes given, unsigned, shape (rows, count): a sample. More than two planes of high bits
    are not: the third would hold digits that are noise.
    """
    best, least = bits, float("inf")
    for low in range(bits, max(0, bits - 16) - 1, -1):
        parts = _cut(codes, low, packed_size(1, bits - low))
        cost = 8 * stored_size(parts) / max(codes.size, 1) + _PLANE * packed_size(1, bits - low)
        if cost < least:
            best, least = low, cost
    return best, least


def stored_size(parts: dict[str, NDArray[Any]]) -> int:
    """Bytes that sections take in the file, about, each by rows: in frames, or as they are."""
    return sum(literal_size(part.tobytes(), whole_rows(part[:1].nbytes)) for part in parts.values() if part.size)


def _cut(codes: NDArray[Any], low: int, planes: int) -> dict[str, NDArray[np.uint8]]:
    parts = {}
    if low:
        parts["CODE"] = pack(codes & codes.dtype.type((1 << low) - 1), low)
    for plane, kind in enumerate(HIGH_KINDS[:planes]):
        parts[kind] = np.asarray(codes >> codes.dtype.type(low + 8 * plane)).astype(np.uint8)
    return parts
