"""Nearest neighbours by cosine, a tile of the packed table at a time: the decoded table is never held."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qemb.container import allocate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from qemb.decode import Decoder

TILE_VALUES = 1 << 18
_MODERATE = 2.0**-60, 2.0**60
"""Between these norms, float32 products with a unit vector neither overflow nor vanish."""


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Rows over their Euclidean norm, in float64; rows of zeros stay zero, others that are not finite become NaN."""
    with np.errstate(invalid="ignore"):
        wide = vectors.astype(np.float64)
        norms = np.sqrt(np.einsum("ij,ij->i", wide, wide))
        norms[norms == 0] = 1
        return np.asarray(wide / norms[:, None])


class Searcher:
    """Exact cosine search over the first ``count`` rows of a file; norms are computed once and kept."""

    def __init__(self, decoder: Decoder, count: int) -> None:
        self._decoder = decoder
        self._count = count
        self._inverse: NDArray[np.float32] | NDArray[np.float64] | None = None
        self._unbounded = np.empty(0, np.int64)
        """Rows that hold NaN or infinity."""

    def top(self, query: NDArray[np.float64], k: int, exclude: set[int]) -> list[tuple[int, float]]:
        """The k rows of highest cosine with ``query``, of unit length, as (row, cosine), best first; ties by row.

        Rows in ``exclude`` are left out, and so are rows with NaN or infinity. Rows of zeros have cosine 0.
        """
        wanted = min(k + len(exclude), self._count)
        if wanted == 0 or k <= 0:
            return []
        scores = self._scores(query)
        place = self._count - wanted
        least = np.partition(scores, place)[place]
        # every row that may be among the best, as far as float32 sums can tell: their error is at most that of `dim`
        # roundings, and lies on both sides
        slack = 2 * (self._decoder.dim + 4) * 2.0**-24
        rows = np.flatnonzero((scores >= least - slack) & (scores > -np.inf))
        rows = rows[~np.isin(rows, list(exclude))]
        exact = self._cosines(rows, query)
        order = np.argsort(-exact, kind="stable")[:k]
        return [(int(rows[i]), float(exact[i])) for i in order]

    def _cosines(self, rows: NDArray[np.int64], query: NDArray[np.float64]) -> NDArray[np.float64]:
        """Cosines of some rows in float64; einsum adds up each row in the same order, so that equal rows tie."""
        out = np.empty(len(rows))
        for low, high in self._tiles(len(rows)):
            found = np.empty((high - low, self._decoder.dim), np.float32)
            out[low:high] = np.einsum("ij,j->i", unit(self._decoder.gather(rows[low:high], found)), query)
        return out

    def _scores(self, query: NDArray[np.float64]) -> NDArray[np.float32] | NDArray[np.float64]:
        """Cosines of every row, in float32 unless the table asks for more; -infinity for rows that have none."""
        inverse = self._inverse = self._inverse_norms() if self._inverse is None else self._inverse
        narrow = query.astype(inverse.dtype)
        scores = allocate((self._count,), inverse.dtype.type)
        with np.errstate(over="ignore", invalid="ignore"):
            for low, high, rows in self._rows():
                np.matmul(rows.astype(inverse.dtype, copy=False), narrow, out=scores[low:high])
            scores *= inverse
        scores[self._unbounded] = -np.inf
        return scores

    def _inverse_norms(self) -> NDArray[np.float32] | NDArray[np.float64]:
        """One over the norm of every row, 0 for rows of zeros; float32 where all norms are moderate."""
        norms: NDArray[np.float64] = allocate((self._count,), np.float64)
        with np.errstate(invalid="ignore"):
            for low, high, rows in self._rows():
                np.einsum("ij,ij->i", rows, rows, dtype=np.float64, out=norms[low:high])
        self._unbounded = np.flatnonzero(~np.isfinite(norms))
        norms[self._unbounded] = 0
        np.sqrt(norms, out=norms)
        some = norms[norms > 0]
        moderate = not len(some) or (some.min() >= _MODERATE[0] and some.max() <= _MODERATE[1])
        inverse = np.divide(1, norms, out=norms, where=norms > 0)
        return inverse.astype(np.float32) if moderate else inverse

    def _rows(self) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
        """Every row, decoded a tile at a time: first, last, and the rows between."""
        tile = allocate((min(self._step, self._count), self._decoder.dim), np.float32)
        for low, high in self._tiles(self._count):
            yield low, high, self._decoder.rows(low, high, tile[: high - low])

    def _tiles(self, count: int) -> Iterator[tuple[int, int]]:
        for low in range(0, count, self._step):
            yield low, min(low + self._step, count)

    @property
    def _step(self) -> int:
        return max(1, TILE_VALUES // self._decoder.dim)
