"""The search itself: rows whose scores may be among the best are kept, and their cosines computed exactly."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np

from qemb import jit
from qemb.search.int8 import FEW, Int8Scores
from qemb.search.nibbles import NibbleScores
from qemb.search.pool import Pool
from qemb.search.scores import DecodedScores, unit
from qemb.threads import count_threads, for_each

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from qemb.decode import Decoder
    from qemb.search.scores import Asked

_WORTH_THREADS = 1 << 26
"""Values below which one thread is done before a second has started."""
_MANY_ROWS = 1 << 13
"""Rows below which measuring what scores of packed codes are off by does not pay."""
_BLOCK = 1 << 16
"""Values of candidates decoded at a time."""


class Searcher:
    """Exact cosine search over the first ``count`` rows of a file; what a search finds out of the rows is kept."""

    def __init__(self, decoder: Decoder, count: int) -> None:
        self._decoder = decoder
        self._count = count
        self._decoded: DecodedScores | None = None
        self._int8: Int8Scores | Literal[False] | None = None
        self._nibbles: NibbleScores | Literal[False] | None = None
        """None where it is not known yet whether the table allows it."""

    def top(
        self, queries: NDArray[np.float64], k: int, exclude: Collection[int] = ()
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The k rows of highest cosine with each query, best first; ties by row.

        Parameters
        ----------
        queries : ndarray
            float64, shape (n, dim), of unit length.
        k : int
            How many.
        exclude : collection of int
            Rows that are left out. So are rows with NaN or infinity; rows of zeros have cosine 0.

        Returns
        -------
        rows, cosines : ndarray
            int64 and float64, shape (n, at most k); -1 and NaN where a query has fewer.
        """
        wanted = min(k + len(exclude), self._count)
        if wanted <= 0 or k <= 0 or not len(queries):
            return np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0))
        asked = self._ask(queries)
        threads = min(count_threads(), self._count * self._decoder.dim // _WORTH_THREADS + 1)
        bounds = [self._count * i // threads for i in range(threads + 1)]
        pools = [Pool(asked, wanted, partial(self._cosines, queries)) for _ in range(threads)]
        for_each(lambda i: pools[i].scan(bounds[i], bounds[i + 1]), range(threads))
        return pools[0].join(pools[1:]).best(k, exclude)

    def _ask(self, queries: NDArray[np.float64]) -> Asked:
        """Queries made ready for the way of scoring that is quickest for so many of them, on this table."""
        if self._int8 is None:
            self._int8 = Int8Scores.of(self._decoder, self._count) or False
        if self._int8:
            return self._int8.ask(queries)
        if self._decoded is None:
            self._decoded = DecodedScores(self._decoder, self._count)
        asked = None
        if len(queries) < FEW and self._count >= _MANY_ROWS and jit.ready():
            if self._nibbles is None:
                self._nibbles = NibbleScores.of(self._decoder, self._decoded, self._count) or False
            asked = self._nibbles.ask(queries) if self._nibbles else None
        return asked or self._decoded.ask(queries)

    def _cosines(
        self, queries: NDArray[np.float64], which: NDArray[np.int64], rows: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """Cosines in float64 of pairs of a query and a row.

        Decoded rows over their norms, times the query; einsum adds up each row in the same order: equal rows tie. Of
        many queries a row may be asked for by all, and is decoded once.
        """
        out = np.empty(len(rows))
        step = max(1, _BLOCK // self._decoder.dim)
        order = np.argsort(rows, kind="stable")
        distinct, starts = np.unique(rows[order], return_index=True)
        ends = np.append(starts, len(rows))
        for low in range(0, len(distinct), step):
            part = distinct[low : low + step]
            vectors = unit(self._decoder.gather(part, np.empty((len(part), self._decoder.dim), np.float32)))
            asked = order[ends[low] : ends[low + len(part)]]
            for begin in range(0, len(asked), step):
                pairs = asked[begin : begin + step]
                places = np.searchsorted(part, rows[pairs])
                out[pairs] = np.einsum("ij,ij->i", vectors[places], queries[which[pairs]])
        return out
