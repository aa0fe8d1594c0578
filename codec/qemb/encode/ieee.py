"""The bits of float formats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from qemb.encode.split import split
from qemb.errors import InvalidError
from qemb.layout import IeeeFormat, Level
from qemb.packing import packed_size
from qemb.quantization import Quantization

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray


class IeeeEncoder:
    """The bits of a float format, ordered so that codes sort as the values do; NaN and infinities included."""

    needs_pass = False
    needs_finite = False
    compress_rows = False

    def widen(self) -> bool:
        """There are no scales."""
        return False

    def __init__(self, kind: IeeeFormat, dim: int) -> None:
        bits = 32 if kind == IeeeFormat.FLOAT32 else 16
        self.kind = kind
        self.quantization = Quantization(
            level=Level.IEEE, bits=bits, low_bits=bits, row_stride=packed_size(dim, bits), format=kind
        )

    def fit(self, tiles: Callable[[], Iterable[NDArray[np.float32]]]) -> None:
        """Nothing depends on other rows."""

    def head(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Nothing but codes."""
        return iter(())

    def encode(self, tile: NDArray[np.float32], first: int) -> dict[str, NDArray[Any]]:
        """Round to the format, nearest even, and order the bits.

        Raises
        ------
        InvalidError
            ``invalid.value``: a finite value is past the largest of the format.
        """
        bits = to_ieee(tile, self.kind)
        if self.kind != IeeeFormat.FLOAT32:
            infinity = 0x7C00 if self.kind == IeeeFormat.FLOAT16 else 0x7F80
            lost = ((bits & np.uint16(0x7FFF)) == infinity) & np.isfinite(tile)
            if lost.any():
                row, column = np.argwhere(lost)[0]
                raise InvalidError(
                    "invalid.value",
                    f"{tile[row, column]} is past the largest {self.kind.name.lower()}; use scheme='float32'",
                    where=f"row {first + int(row)}, column {int(column)}",
                )
        return {**split(order_bits(bits), self.quantization)}


def to_ieee(values: NDArray[np.float32], kind: IeeeFormat) -> NDArray[Any]:
    """Bits of the values in a float format, rounded to nearest even; NaN stays NaN and keeps the payload that fits."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    if kind == IeeeFormat.FLOAT32:
        return bits
    nan = (bits & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)
    if kind == IeeeFormat.FLOAT16:
        with np.errstate(over="ignore"):
            out = np.ascontiguousarray(values).astype(np.float16).view(np.uint16)
        kept = bits >> np.uint32(16) & np.uint32(0x8000) | np.uint32(0x7C00) | bits >> np.uint32(13) & np.uint32(0x3FF)
        quiet, fraction = 0x200, 0x3FF
    else:
        rounded = bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))
        out = (rounded >> np.uint32(16)).astype(np.uint16)
        kept = bits >> np.uint32(16)
        quiet, fraction = 0x40, 0x7F
    # a payload that lies only in the bits cut off would turn NaN into infinity
    kept = np.where(kept & np.uint32(fraction), kept, kept | np.uint32(quiet)).astype(np.uint16)
    return np.where(nan, kept, out)


def order_bits(bits: NDArray[Any]) -> NDArray[Any]:
    """Flip all bits of negative values, the sign bit of the others: codes then sort as the values do."""
    width = bits.dtype.itemsize * 8
    dtype = bits.dtype.type
    sign = dtype(1 << (width - 1))
    return np.asarray(bits ^ np.where(bits & sign, dtype((1 << width) - 1), sign))
