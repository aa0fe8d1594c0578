"""Choosing a scheme by what the file may weigh, or by how many neighbours have to come back."""

from __future__ import annotations

import os
import tempfile
from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from qemb.errors import InvalidError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from qemb.encode.base import Tiles
    from qemb.encode.options import Options

SAMPLE_ROWS = 20_000
"""Rows that candidates are tried on: among fewer, neighbours are farther apart and recall is flattered."""
QUERIES = 1000
NEIGHBOURS = 10
WIDTHS = (1, 2, 3, 4, 5, 6, 7, 8, 16)
_QUERY_TILE = 100
_GROWING = ("SCAL", "OFFS", "CODE", "HIG0", "HIG1", "HIG2", "HIG3", "EXCP")
_SLACK = 2048
"""Bytes for header, section table, descriptor and the alignment of sections, which differ little."""


@dataclass(frozen=True)
class Budget:
    """What a caller asks of a scheme: a file of at most ``max_bytes``, recall@10 of at least ``min_recall``."""

    max_bytes: int | None = None
    min_recall: float | None = None

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.max_bytes is not None and self.max_bytes < 1:
            raise InvalidError("invalid.option", f"max_bytes={self.max_bytes}; it is 1 or more")
        if self.min_recall is not None and not 0 < self.min_recall <= 1:
            raise InvalidError("invalid.option", f"min_recall={self.min_recall}; it is above 0, and at most 1")


@dataclass(frozen=True)
class Choice:
    """A scheme chosen, and why."""

    options: Options
    reason: str


@dataclass(frozen=True)
class _Trial:
    """What one candidate did on the sample."""

    options: Options
    name: str
    size: int
    """Bytes of the whole file, by what the sample took."""
    recall: float


def choose(tiles: Tiles, rows: int, fixed: int, options: Options, budget: Budget) -> Choice:
    """Try widths on a sample: the most bits that fit the size, or the fewest that bring the neighbours back.

    Parameters
    ----------
    tiles : callable
        Goes over all rows, float32, in tiles.
    rows : int
        How many there are.
    fixed : int
        Bytes of the file that do not depend on the scheme: tokens, index, counts, metadata.
    options : Options
        What the caller has decided already.
    budget : Budget
        With neither bound, recall of 0.95 is asked for.

    Raises
    ------
    InvalidError
        ``invalid.option``: nothing keeps within the bounds; the message says what comes nearest.
    """
    sample = _sample(tiles, rows)
    trials = _Trials(sample, rows, fixed, options)
    if budget.max_bytes is None:
        return _smallest(trials, 0.95 if budget.min_recall is None else budget.min_recall)
    return _best(trials, budget.max_bytes, budget.min_recall)


def _smallest(trials: _Trials, recall: float) -> Choice:
    """The fewest bits that bring enough neighbours back; exact where that is smaller still, or nothing else does."""
    number = trials.first(lambda trial: trial.recall >= recall)
    exact = trials[-1]
    if number == len(WIDTHS) or exact.size <= trials[number].size:
        return Choice(exact.options, f"exact, about {exact.size:,} bytes: nothing smaller has so much recall")
    trial = trials[number]
    reason = f"{trial.name}: recall@{NEIGHBOURS} {trial.recall:.3f} on {trials.described}"
    if number:
        reason += f"; {trials[number - 1].name} would give {trials[number - 1].recall:.3f}"
    return Choice(trial.options, reason)


def _best(trials: _Trials, most: int, recall: float | None) -> Choice:
    """Exact where it fits, otherwise the most bits that do."""
    exact = trials[-1]
    if exact.size <= most:
        return Choice(exact.options, f"exact, about {exact.size:,} bytes: nothing is lost")
    number = trials.first(lambda trial: trial.size > most)
    if number == 0:
        least = trials[0]
        raise InvalidError("invalid.option", f"max_bytes={most:,}: {least.name} takes {least.size:,} bytes already")
    trial, beyond = trials[number - 1], exact if number == len(WIDTHS) else trials[number]
    more = f"; {beyond.name} would take {beyond.size:,} bytes"
    if recall is not None and trial.recall < recall:
        raise InvalidError(
            "invalid.option",
            f"within max_bytes={most:,} recall@{NEIGHBOURS} is {trial.recall:.3f} ({trial.name}), below {recall}{more}",
        )
    reason = f"{trial.name}: about {trial.size:,} bytes, recall@{NEIGHBOURS} {trial.recall:.3f} on {trials.described}"
    return Choice(trial.options, reason + more)


class _Trials:
    """Candidates by width, and exact; each is tried when it is asked for, once."""

    def __init__(self, sample: NDArray[np.float32], rows: int, fixed: int, options: Options) -> None:
        self._sample = sample
        self._rows = rows
        self._fixed = fixed
        self._options = options
        self._done: dict[int, _Trial] = {}
        chosen = np.random.default_rng(0).permutation(len(sample))[:QUERIES]
        self._queries = np.sort(chosen)
        self._true = nearest(sample, self._queries)
        self.described = f"{len(sample):,} rows" if len(sample) < rows else "all rows"

    def __getitem__(self, number: int) -> _Trial:
        """The trial of a width by its place in `WIDTHS`; -1 is exact."""
        if number not in self._done:
            self._done[number] = self._try(None if number < 0 else WIDTHS[number])
        return self._done[number]

    def first(self, enough: Callable[[_Trial], bool]) -> int:
        """The place of the first width that is enough, by bisection: more bits have more of everything."""
        return bisect_left(range(len(WIDTHS)), True, key=lambda number: enough(self[number]))  # noqa: FBT003

    def _try(self, bits: int | None) -> _Trial:
        from qemb.embedding import Embedding
        from qemb.writer import write

        options = replace(self._options, bits=bits, scheme="exact" if bits is None else None)
        if bits is None:
            options = replace(options, effort=None, offset=None, rotate=None)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "sample.qemb")
            tokens = [str(row) for row in range(len(self._sample))]
            write(path, tokens, self._sample, index=False, **options.keywords())
            with Embedding(path) as embedding:
                info = embedding.info
                found = nearest(embedding.matrix(), self._queries)
        growing = sum(size for kind, size in info.sections.items() if kind in _GROWING)
        size = self._fixed + _SLACK + info.sections.get("LEVL", 0) + growing * self._rows // max(len(self._sample), 1)
        name = "exact" if bits is None else f"{bits} {'bit' if bits == 1 else 'bits'} ({info.scheme})"
        return _Trial(options, name, size, _recall(self._true, found))


def _sample(tiles: Tiles, rows: int) -> NDArray[np.float32]:
    """Rows from all over the table, at even distances."""
    step = max(1, -(-rows // SAMPLE_ROWS))
    parts, first = [], 0
    for tile in tiles():
        parts.append(tile[-first % step :: step])
        first += len(tile)
    return np.concatenate(parts)


def nearest(vectors: NDArray[np.float32], queries: NDArray[np.int64]) -> NDArray[np.int64]:
    """The neighbours of highest cosine of some rows, themselves left out: row numbers, shape (queries, k)."""
    count = min(NEIGHBOURS, len(vectors) - 1)
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
        unit = (vectors / np.where(norms > 0, norms, 1)[:, None]).astype(np.float32)
    found = np.empty((len(queries), count), np.int64)
    for low in range(0, len(queries), _QUERY_TILE):
        part = queries[low : low + _QUERY_TILE]
        scores = np.nan_to_num(unit[part] @ unit.T)
        scores[np.arange(len(part)), part] = -np.inf
        found[low : low + len(part)] = np.argpartition(-scores, max(count - 1, 0), axis=1)[:, :count]
    return found


def _recall(true: NDArray[np.int64], found: NDArray[np.int64]) -> float:
    """Share of the true neighbours that were found; 1 where there are none."""
    if not true.size:
        return 1.0
    return float((true[:, :, None] == found[:, None, :]).any(axis=2).mean())
