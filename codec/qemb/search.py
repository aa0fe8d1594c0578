"""Nearest neighbours by cosine, a tile of the packed table at a time: the decoded table is never held."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qemb.decode import Decoder

TILE_VALUES = 1 << 18
_SPARE = 32
"""Candidates kept besides the k asked for, to be scored again in float64: float32 sums can swap close neighbours."""


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Rows over their Euclidean norm, in float64; rows of zeros stay zero."""
    wide = vectors.astype(np.float64)
    norms = np.sqrt(np.einsum("ij,ij->i", wide, wide))
    norms[norms == 0] = 1
    return np.asarray(wide / norms[:, None])


class Searcher:
    """Exact cosine search over the first ``count`` rows of a file; norms are computed once and kept."""

    def __init__(self, decoder: Decoder, count: int) -> None:
        self._decoder = decoder
        self._count = count
        self._inverse: NDArray[np.float32] | None = None

    def top(self, query: NDArray[np.float64], k: int, exclude: set[int]) -> list[tuple[int, float]]:
        """The k rows of highest cosine with ``query``, shape (dim,), as (row, cosine), best first; ties by row.

        Rows in ``exclude`` are left out. Rows of zeros have cosine 0.
        """
        wanted = min(k + len(exclude) + _SPARE, self._count)
        if wanted == 0 or k <= 0:
            return []
        scores = self._scores(query.astype(np.float32))
        rows = np.argpartition(-scores, wanted - 1)[:wanted] if wanted < self._count else np.arange(self._count)
        rows = np.sort(np.array([row for row in rows.tolist() if row not in exclude], np.int64))
        found = self._decoder.gather(rows, np.empty((len(rows), self._decoder.dim), np.float32))
        exact = unit(found) @ query
        order = np.argsort(-exact, kind="stable")[:k]
        return [(int(rows[i]), float(exact[i])) for i in order]

    def _scores(self, query: NDArray[np.float32]) -> NDArray[np.float32]:
        """Cosines of every row in float32."""
        dim = self._decoder.dim
        step = max(1, TILE_VALUES // dim)
        tile = np.empty((min(step, self._count), dim), np.float32)
        scores = np.empty(self._count, np.float32)
        inverse = self._inverse
        fresh = np.empty(self._count, np.float32) if inverse is None else inverse
        for low in range(0, self._count, step):
            high = min(low + step, self._count)
            rows = self._decoder.rows(low, high, tile[: high - low])
            np.matmul(rows, query, out=scores[low:high])
            if inverse is None:
                fresh[low:high] = _inverse_norms(rows)
        self._inverse = fresh
        scores *= fresh
        return scores


def _inverse_norms(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)  # in float64: float32 squares overflow at 1e19
    with np.errstate(divide="ignore", over="ignore"):
        return np.where(squares > 0, 1 / np.sqrt(squares), 0).astype(np.float32)
