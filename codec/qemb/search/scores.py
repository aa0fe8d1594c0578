"""Cosines of a stretch of rows, near enough to tell which rows have to be looked at exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from qemb import jit
from qemb.container import allocate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from qemb.decode import Decoder

ROUNDING = 2.0**-24
"""Half a unit in the last place of a float32 near 1."""
TILE_VALUES = 1 << 18
"""Values decoded at a time: a megabyte of float32 stays in the cache of one core."""
_MODERATE = 2.0**-60, 2.0**60
"""Between these, float32 products with a unit vector neither overflow nor vanish."""


class Asked(Protocol):
    """Queries, made ready for one way of scoring."""

    slack: NDArray[np.float64]
    """Shape (n,): no cosine with a query is above its score by more than this."""
    off: NDArray[np.float32] | None
    """Shape (rows,): what scores are above the likely cosines; None where they are no further off than the slack."""
    step: int
    """Rows to score at a time, at most."""

    def score(self, low: int, high: int) -> NDArray[np.float32] | NDArray[np.float64]:
        """Scores of rows ``low`` to ``high``, shape (n, high - low); -infinity for rows that have no cosine."""
        ...


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """Rows over their Euclidean norm, in float64; rows of zeros stay zero, others that are not finite become NaN."""
    with np.errstate(invalid="ignore"):
        wide = vectors.astype(np.float64)
        norms = np.sqrt(np.einsum("ij,ij->i", wide, wide))
        norms[norms == 0] = 1
        return np.asarray(wide / norms[:, None])


def is_moderate(numbers: NDArray[np.floating]) -> bool:
    """Whether numbers are zero, or positive and far from the ends of float32."""
    if not len(numbers):
        return True
    least, most = numbers.min(), numbers.max()
    if least == 0 and most > 0:
        least = numbers[numbers > 0].min()
    return bool(least >= _MODERATE[0] and most <= _MODERATE[1]) or bool(least == most == 0)


def largest_integer(queries: NDArray[np.float64], term: int) -> int:
    """The largest integer of 16 bits that the largest value of a query may stand as.

    So that products of all its values with numbers up to ``term`` add up to less than 2^31.
    """
    largest = np.abs(queries).max(axis=1)
    ratio = np.divide(np.abs(queries).sum(axis=1), largest, out=np.ones_like(largest), where=largest > 0).max()
    rounding = queries.shape[1]  # half a unit each, and as much again to be safe
    return int(np.clip(((1 << 31) / term - rounding) / ratio, 1, (1 << 15) - 1))


def to_integers(
    queries: NDArray[np.float64], largest: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Queries, float64, shape (n, dim), as integers up to ``largest``, their units, and the lengths of what is lost."""
    units = np.abs(queries).max(axis=1) / largest
    units[units == 0] = 1
    integers = np.rint(queries / units[:, None])
    return integers, units, np.linalg.norm(queries - integers * units[:, None], axis=1)


class DecodedScores:
    """Scores out of decoded tiles, for any table: a product of matrices for each tile."""

    def __init__(self, decoder: Decoder, count: int) -> None:
        self._decoder = decoder
        self._count = count
        self.step = max(1, TILE_VALUES // decoder.dim)
        norms: NDArray[np.float64] = allocate((count,), np.float64)
        with np.errstate(invalid="ignore"):
            for low, high, rows in self._tiles():
                np.einsum("ij,ij->i", rows, rows, dtype=np.float64, out=norms[low:high])
        self._unbounded = np.flatnonzero(~np.isfinite(norms))
        """Rows that hold NaN or infinity."""
        norms[self._unbounded] = 0
        np.sqrt(norms, out=norms)
        self.moderate = is_moderate(norms)
        """Whether float32 is wide enough."""
        inverse = np.divide(1, norms, out=norms, where=norms > 0)
        self.inverse: NDArray[np.float32] | NDArray[np.float64] = (
            inverse.astype(np.float32) if self.moderate else inverse
        )
        """One over the norm of every row, 0 for rows of zeros, and for those that hold NaN or infinity."""

    def ask(self, queries: NDArray[np.float64]) -> Asked:
        """Make queries ready, float64, shape (n, dim), of unit length."""
        return _AskedDecoded(self, queries)

    def score(self, queries: NDArray[Any], low: int, high: int) -> NDArray[Any]:
        """Scores of rows, as `Asked.score` has them; ``queries`` are of the dtype of `inverse`, shape (dim, n)."""
        with jit.spent():
            rows = self._decoder.rows(low, high, allocate((high - low, self._decoder.dim), np.float32))
        with np.errstate(over="ignore", invalid="ignore"):
            scores: NDArray[Any] = rows.astype(queries.dtype, copy=False) @ queries
            scores *= self.inverse[low:high, None]
        first, last = np.searchsorted(self._unbounded, (low, high))
        scores[self._unbounded[first:last] - low] = -np.inf
        return scores.T

    def _tiles(self) -> Iterator[tuple[int, int, NDArray[np.float32]]]:
        """Every row, decoded a tile at a time: first, last, and the rows between."""
        tile = allocate((min(self.step, self._count), self._decoder.dim), np.float32)
        for low in range(0, self._count, self.step):
            high = min(low + self.step, self._count)
            yield low, high, self._decoder.rows(low, high, tile[: high - low])


class _AskedDecoded:
    off: NDArray[np.float32] | None = None

    def __init__(self, scores: DecodedScores, queries: NDArray[np.float64]) -> None:
        self.step = scores.step
        # the error of a float32 sum of products with a unit vector is at most that of as many roundings
        self.slack = np.full(len(queries), (queries.shape[1] + 4) * ROUNDING)
        self._scores = scores
        self._queries = np.ascontiguousarray(queries.T, scores.inverse.dtype)

    def score(self, low: int, high: int) -> NDArray[np.float32] | NDArray[np.float64]:
        return self._scores.score(self._queries, low, high)
