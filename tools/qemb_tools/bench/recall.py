"""Relative error, and recall@k of cosine neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TILE = 256  # queries a matrix product: 100,000 rows make 102 MB of scores
_STRIPES = 64


def relative_error(vectors: NDArray[np.float32], decoded: NDArray[np.float32]) -> float:
    """Root of the summed squared differences over that of the squares."""
    difference = power = 0.0
    for low in range(0, len(vectors), 8192):
        wide = vectors[low : low + 8192].astype(np.float64)
        difference += float(np.square(wide - decoded[low : low + 8192]).sum())
        power += float(np.square(wide).sum())
    return float(np.sqrt(difference / power)) if power else float(difference != 0)


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows over their Euclidean norm; rows of zeros stay zero."""
    norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))[:, None].astype(np.float32)
    result: NDArray[np.float32] = np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
    return result


def cosines(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cosines of unit rows with the rows of the same number, float64, shape (n,); rows of zeros are left out."""
    products: NDArray[np.float64] = np.einsum("ij,ij->i", one, other, dtype=np.float64)
    return products[one.any(axis=1) & other.any(axis=1)]


def nearest(
    table: NDArray[np.float32], queries: NDArray[np.float32], rows: NDArray[np.int64], k: int
) -> NDArray[np.int64]:
    """The k rows of highest inner product with each query, in no order, shape (queries, k).

    Parameters
    ----------
    table : ndarray, shape (n, dim)
        Unit rows.
    queries : ndarray, shape (queries, dim)
        Unit rows.
    rows : ndarray, shape (queries,)
        The row that each query is, which is left out.
    k : int
        How many, below n.
    """
    found = [_top(queries[i : i + _TILE] @ table.T, rows[i : i + _TILE], k) for i in range(0, len(rows), _TILE)]
    return np.concatenate(found)


def _top(scores: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Positions of the k largest of each row of scores, the row that each query is left out."""
    scores[np.arange(len(rows)), rows] = -np.inf
    return top(scores, k)


def top(scores: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Positions of the k largest of each row of scores, in no order.

    The columns are cut into groups and the largest of each is found, which is one pass at the speed of memory; the k
    largest scores lie in the k groups whose largest is largest, so only those are looked at closely.
    """
    count = scores.shape[1]
    groups = count // _STRIPES
    if groups <= k:
        return np.argpartition(scores, count - k, axis=1)[:, count - k :]
    best = scores[:, : groups * _STRIPES].reshape(len(scores), _STRIPES, groups).max(axis=1)
    chosen = np.argpartition(best, groups - k, axis=1)[:, groups - k :]
    candidates = (chosen[:, None, :] + (np.arange(_STRIPES) * groups)[None, :, None]).reshape(len(scores), -1)
    rest = np.broadcast_to(np.arange(groups * _STRIPES, count), (len(scores), count - groups * _STRIPES))
    candidates = np.concatenate([candidates, rest], axis=1)
    near = np.argpartition(np.take_along_axis(scores, candidates, axis=1), candidates.shape[1] - k, axis=1)
    return np.take_along_axis(candidates, near[:, candidates.shape[1] - k :], axis=1)


def without(found: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """What a search for one neighbour more found, the row that each query is left out: shape (queries, k).

    Where the query is not among them, the last one goes.
    """
    itself = found == rows[:, None]
    itself[~itself.any(axis=1), -1] = True
    near: NDArray[np.int64] = found[~itself].reshape(len(found), found.shape[1] - 1)
    return near


def overlap(truth: NDArray[Any], found: NDArray[Any]) -> float:
    """Share of the true neighbours that were found; -1 in ``found`` stands for nothing."""
    hits = (truth[:, :, None] == found[:, None, :]).any(axis=2)
    return float(hits.mean())
