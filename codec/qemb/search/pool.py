"""The rows that may yet be among the best, of one or several queries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from numpy.typing import NDArray

    from qemb.search.scores import Asked

    Candidates = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.floating]]
    """Query, row and score of each."""
    Cosines = Callable[[NDArray[np.int64], NDArray[np.int64]], NDArray[np.float64]]

_FIRST = 1 << 10
"""Scores of the first tile; tiles grow from there, so that what is kept of each is little."""
_ROOM = 1 << 10
"""Candidates that are kept before those that fell behind are thrown out."""
_LOOKS = 3
"""Times the rows wanted: rows that look best, and whose cosines are computed to see what the best are sure to reach."""
_LOWEST = -1e30


class Pool:
    """Candidates for the ``wanted`` best rows of each query.

    A row stays while its score, and the slack of the query on top, is not below what as many rows are sure to reach.

    Parameters
    ----------
    asked : Asked
        Gives the scores.
    wanted : int
        How many rows of each query have to be found.
    cosines : callable
        The exact cosines of pairs of a query and a row: two int64 arrays, to one of float64.
    """

    def __init__(self, asked: Asked, wanted: int, cosines: Cosines) -> None:
        self._asked = asked
        self._wanted = wanted
        self._cosines = cosines
        self.least = np.full(len(asked.slack), _LOWEST)
        """A cosine that ``wanted`` rows of each query reach, shape (n,)."""
        self.candidates: Candidates = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
        self._waiting: list[Candidates] = []

    def scan(self, low: int, high: int) -> Pool:
        """Score rows ``low`` to ``high`` and keep the candidates among them."""
        step = min(max(2 * self._wanted, _FIRST // len(self.least)), self._asked.step)
        room = kept = 0
        while low < high:
            stop = min(low + step, high)
            kept += self._take(self._asked.score(low, stop), low)
            if kept > room:
                self.settle()
                room, kept = len(self.candidates[1]) + _ROOM, 0
            low, step = stop, min(4 * step, self._asked.step)
        self.settle()
        return self

    def join(self, others: Iterable[Pool]) -> Pool:
        """Take over the candidates of other pools of the same queries."""
        for other in others:
            self._waiting.append(other.candidates)
            np.maximum(self.least, other.least, out=self.least)
        if self._waiting:
            self.settle()
        return self

    def best(self, k: int, exclude: Collection[int]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The k best of each query, as (rows, cosines), shape (n, at most k)."""
        count = len(self.least)
        which, rows, _ = self.candidates
        if exclude:
            stays = ~np.isin(rows, list(exclude))
            which, rows = which[stays], rows[stays]
        cosines = self._cosines(which, rows)
        order = np.lexsort((rows, -cosines, which))
        which, rows, cosines = which[order], rows[order], cosines[order]
        place = _places(which, count)
        shown = place < k
        columns = int(place[shown].max()) + 1 if shown.any() else 0
        out = np.full((count, columns), -1, np.int64), np.full((count, columns), np.nan)
        out[0][which[shown], place[shown]] = rows[shown]
        out[1][which[shown], place[shown]] = cosines[shown]
        return out

    def settle(self) -> None:
        """Find what ``wanted`` rows of each query are sure to reach, and throw out those that cannot."""
        parts = [self.candidates, *self._waiting]
        self._waiting = []
        which, rows, scores = (np.concatenate([part[i] for part in parts]) for i in range(3))
        off = self._asked.off
        near = scores if off is None else scores - off[rows]
        looked = self._wanted if off is None else _LOOKS * self._wanted
        leading = _leading(which, near, looked, len(self.least))
        first = which[leading]
        if off is None:
            sure = near[leading] - self._asked.slack[first]
        else:  # they only look best
            sure = self._cosines(first, rows[leading])
            sure = sure[np.lexsort((-sure, first))]
        last = _places(first, len(self.least)) == self._wanted - 1
        self.least[first[last]] = np.maximum(self.least[first[last]], sure[last])
        stays = scores >= (self.least - self._asked.slack)[which]
        self.candidates = which[stays], rows[stays], scores[stays]

    def _take(self, scores: NDArray[np.floating], low: int) -> int:
        """Keep what may be among the best of scores, shape (n, rows), of rows from ``low`` on; how many these are."""
        # in the type of the scores, and not rounded up
        bound = np.nextafter((self.least - self._asked.slack).astype(scores.dtype), -np.inf)
        keep = scores >= bound[:, None]
        # looked for in the order that scores lie in; several times quicker than nonzero of two dimensions
        by_row = not keep.flags.c_contiguous
        flat = np.flatnonzero(keep.T if by_row else keep)
        if len(flat):
            first, second = np.divmod(flat, keep.shape[0] if by_row else keep.shape[1])
            which, columns = (second, first) if by_row else (first, second)
            self._waiting.append((which, columns + low, scores[which, columns]))
        return len(flat)


def _leading(which: NDArray[np.int64], near: NDArray[np.floating], most: int, count: int) -> NDArray[np.int64]:
    """The entries of each of ``count`` queries that are highest, at most so many, by query, highest first."""
    if count == 1:  # several times quicker than to sort all
        order = np.argpartition(near, -most)[-most:] if len(near) > most else np.arange(len(near))
        return order[np.argsort(-near[order])]
    order = np.lexsort((-near, which))
    return order[_places(which[order], count) < most]


def _places(which: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The place of each entry among those of its query; ``which`` ascends, and is below ``count``."""
    sizes = np.bincount(which, minlength=count)
    return np.arange(len(which)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
