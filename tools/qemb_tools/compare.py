"""How far two tables of the same words are apart."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from qemb_tools.formats import open_source
from qemb_tools.interface import source_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TILE = 128  # queries a matrix product: 100,000 rows make 51 MB of scores


@dataclass(frozen=True, slots=True)
class Comparison:
    """Figures of a comparison.

    Attributes
    ----------
    shared, rows_a : int
        Words of A that were looked at, and how many of them B has.
    relative_error : float
        Root of the summed squared differences over that of A's squares.
    mean_cosine : float
        Mean over the words of the cosine between their two vectors; rows of zeros are left out.
    recall : float
        Share of the k nearest words by A, the query left out, that are also among the k nearest by B.
    k, queries : int
        What recall was measured with.
    """

    shared: int
    rows_a: int
    relative_error: float
    mean_cosine: float
    recall: float
    k: int
    queries: int

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as a dict, JSON-able."""
        return asdict(self)


def compare(a: str, b: str, *, rows: int = 100_000, queries: int = 600, k: int = 10, seed: int = 0) -> Comparison:
    """Compare two files of vectors, of any formats, over the words that they share.

    Parameters
    ----------
    a, b : str
        The files; ``a`` is taken as the truth.
    rows : int
        Only the first so many rows of ``a`` are looked at.
    queries, k, seed : int
        Recall is measured for so many words, drawn with this seed, and so many neighbours.

    Raises
    ------
    qemb.InvalidError
        The dimensions differ, or fewer than two words are shared.
    UsageError, qemb.QembError
        As `open_source` does.
    """
    words, left = _first_rows(a, rows)
    right, found = _rows_of(b, words, left.shape[1])
    left, right = left[found], right[found]
    if len(left) < 2:
        raise source_error(
            "the two files share fewer than two words; compare files of the same vocabulary", f"{a}, {b}"
        )
    difference = np.linalg.norm(left.astype(np.float64) - right)
    norm = np.linalg.norm(left.astype(np.float64))
    unit_a, unit_b = _unit(left), _unit(right)
    cosines = np.einsum("ij,ij->i", unit_a, unit_b)[unit_a.any(axis=1) & unit_b.any(axis=1)]
    k = min(k, len(left) - 1)
    chosen = np.random.default_rng(seed).permutation(len(left))[:queries]
    return Comparison(
        shared=len(left),
        rows_a=len(words),
        relative_error=float(difference / norm) if norm else float(difference != 0),
        mean_cosine=float(cosines.mean()) if len(cosines) else 0.0,
        recall=_recall(unit_a, unit_b, chosen, k),
        k=k,
        queries=len(chosen),
    )


def _first_rows(path: str, rows: int) -> tuple[dict[bytes, int], NDArray[np.float32]]:
    """Read up to so many distinct words of a file, and their vectors."""
    words: dict[bytes, int] = {}
    parts = []
    with open_source(path) as source:
        for batch in source.batches():
            keep = []
            for i, token in enumerate(batch.tokens):
                if token not in words and len(words) < rows:
                    words[token] = len(words)
                    keep.append(i)
            parts.append(batch.vectors[keep])
            if len(words) >= rows:
                break
        return words, np.concatenate(parts) if parts else np.empty((0, source.dim), np.float32)


def _rows_of(path: str, words: dict[bytes, int], dim: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read the vectors of these words, and which there are."""
    matrix = np.zeros((len(words), dim), np.float32)
    found = np.zeros(len(words), dtype=bool)
    with open_source(path) as source:
        if source.dim != dim:
            raise source_error(f"one file has {dim:,} values a row and the other {source.dim:,}; they differ", path)
        for batch in source.batches():
            for i, token in enumerate(batch.tokens):
                row = words.get(token, -1)
                if row >= 0 and not found[row]:
                    matrix[row] = batch.vectors[i]
                    found[row] = True
            if found.all():
                break
    return matrix, found


def _unit(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    unit: NDArray[np.float32] = np.divide(matrix, norms, out=np.zeros_like(matrix), where=norms > 0)
    return unit


def _recall(a: NDArray[np.float32], b: NDArray[np.float32], queries: NDArray[np.int64], k: int) -> float:
    hits = 0
    for start in range(0, len(queries), _TILE):
        tile = queries[start : start + _TILE]
        for near_a, near_b in zip(_nearest(a, tile, k), _nearest(b, tile, k), strict=True):
            hits += len(np.intersect1d(near_a, near_b, assume_unique=True))
    return hits / (len(queries) * k)


def _nearest(unit: NDArray[np.float32], queries: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    scores = unit[queries] @ unit.T
    scores[np.arange(len(queries)), queries] = -np.inf
    return np.argpartition(-scores, k - 1, axis=1)[:, :k]
