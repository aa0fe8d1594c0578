"""What every scheme has to offer a writer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from qemb.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from qemb.quantization import Quantization

    Tiles = Callable[[], Iterable[NDArray[np.float32]]]
    """Calling it goes over all rows once more, a tile at a time."""


TILE_ROWS = 4096
"""Rows quantized at a time. Column sums run tile by tile, so the files this codec writes depend on it."""
SAMPLE_VALUES = 1 << 16
"""Values that a writer looks at before it chooses: whole rows at equal distances."""


SAMPLE_VALUES = 1 << 16
"""Values that a choice is tried on: rows at equal distances over the whole table."""


class MisfitError(InvalidError):
    """A choice that was made from a sample, or before the rows were seen, does not hold: the writer starts again."""


class ScaleRangeError(MisfitError):
    """A scale does not fit float16: the writer starts again with float32, where the caller left it the choice."""

    def __init__(self, scale: float, where: str) -> None:
        super().__init__(
            "invalid.scale_range", f"the scale {scale:.3g} does not fit float16; use scale_dtype='float32'", where=where
        )


class Encoder(Protocol):
    """One scheme, ready to quantize. What `fit` needs to see first, it sees in a pass of its own."""

    @property
    def quantization(self) -> Quantization:
        """The descriptor to write, as far as it is decided."""
        ...

    @property
    def needs_pass(self) -> bool:
        """Whether `fit` has to see every row before `encode` may see any."""
        ...

    @property
    def needs_finite(self) -> bool:
        """Whether NaN and infinities cannot be stored."""
        ...

    @property
    def compress_rows(self) -> bool:
        """Whether codes are made for zstd frames: they are stored so unless the caller says no."""
        ...

    def fit(self, tiles: Tiles) -> None:
        """Look at all rows, in tiles."""
        ...

    def head(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Sections whose contents are known before the first row is encoded."""
        ...

    def encode(self, tile: NDArray[np.float32], first: int) -> dict[str, NDArray[Any]]:
        """Quantize a tile of float32 rows, shape (n, dim); ``first`` is the number of its first row.

        Returns
        -------
        dict
            What to append to which sections.
        """
        ...

    def widen(self) -> bool:
        """After a `MisfitError`: choose something wider and say True, or say False. Then `fit` sees all rows again."""
        ...


def need_finite(tile: NDArray[np.float32], first: int, message: str) -> None:
    """Raise `InvalidError`, naming row and column, where a value is NaN or infinite."""
    finite = np.isfinite(tile)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise InvalidError(
            "invalid.value",
            f"{message}: {tile[row, column]}; leave the row out, or use scheme='float32'",
            where=f"row {first + int(row)}, column {int(column)}",
        )


def sample_rows(tiles: Iterable[NDArray[np.float32]], dim: int) -> tuple[NDArray[np.float32], int]:
    """Rows at equal distances, `SAMPLE_VALUES` to twice as many where there are, and the number of all rows."""
    wanted = max(1, SAMPLE_VALUES // dim)
    taken = [np.empty((0, dim), np.float32)]
    step, rows = 1, 0
    for tile in tiles:
        taken.append(tile[-rows % step :: step].copy())
        rows += len(tile)
        if sum(map(len, taken)) > 2 * wanted:
            taken = [np.concatenate(taken)[::2]]
            step *= 2
    return np.concatenate(taken), rows
