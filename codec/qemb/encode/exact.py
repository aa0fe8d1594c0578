"""Lossless storage: every bit comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from qemb.decode import decode_ieee
from qemb.encode.ieee import IeeeEncoder, order_bits, to_ieee
from qemb.layout import IeeeFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from qemb.quantization import Quantization


class ExactEncoder:
    """The narrowest float format that holds every value of the table, bit for bit."""

    needs_pass = True

    def widen(self) -> bool:
        """There are no scales."""
        return False

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._inner = IeeeEncoder(IeeeFormat.FLOAT32, dim)

    @property
    def quantization(self) -> Quantization:
        """The descriptor of the format chosen."""
        return self._inner.quantization

    def fit(self, tiles: Callable[[], Iterable[NDArray[np.float32]]]) -> None:
        """Find out whether all values are bfloat16 or float16."""
        left = [IeeeFormat.BFLOAT16, IeeeFormat.FLOAT16]
        for tile in tiles():
            for kind in tuple(left):
                back = decode_ieee(order_bits(to_ieee(tile, kind)), kind)
                if (back.view(np.uint32) != np.ascontiguousarray(tile).view(np.uint32)).any():
                    left.remove(kind)
            if not left:
                break
        self._inner = IeeeEncoder(left[0] if left else IeeeFormat.FLOAT32, self._dim)

    def head(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """As the format chosen."""
        return self._inner.head()

    def encode(self, tile: NDArray[np.float32], first: int) -> dict[str, NDArray[Any]]:
        """As the format chosen."""
        return self._inner.encode(tile, first)
