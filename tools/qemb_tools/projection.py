"""Words and where they lie in a plane: principal components, or UMAP (extra ``map``)."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from qemb_tools.bench.recall import unit
from qemb_tools.interface import UsageError, missing_extra

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    import qemb

METHODS = ("pca", "umap")
NEIGHBOURS = 25
FIRST = 500
"""Words of a map where nothing is asked for."""


@dataclass(frozen=True, slots=True)
class Place:
    """A word in the plane; ``group`` is the number of the word that was asked for, and -1 where none was."""

    word: str
    x: float
    y: float
    group: int = -1
    asked: bool = False


@dataclass(frozen=True)
class Map:
    """Words in the plane, those asked for first, and how they came there, in a sentence."""

    places: list[Place]
    groups: list[str]
    how: str

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data, JSON-able."""
        return asdict(self)


def make_map(
    embedding: qemb.Embedding, words: Sequence[str] = (), *, top: int | None = None, method: str = "pca"
) -> Map:
    """Lay out some words with their neighbours, or the first words of a file.

    Parameters
    ----------
    embedding : qemb.Embedding
        The open file.
    words : sequence of str
        Words whose neighbours are shown; a word belongs to the one it is nearest to.
    top : int, optional
        Neighbours of each word (25 where left out); without words, how many of the file's first are shown (500).
    method : {"pca", "umap"}
        Two principal components of the unit vectors, by numpy; or UMAP of their cosines, which needs the extra ``map``.

    Raises
    ------
    KeyError
        A word has no vector.
    UsageError
        There are fewer than three words to show, or UMAP is not installed.
    """
    if method == "umap" and find_spec("umap") is None:
        raise missing_extra("umap-learn", "map")
    words = list(dict.fromkeys(words))
    shown = list(words)
    for word in words:
        shown += [near for near, _ in embedding.nearest(word, k=top or NEIGHBOURS)]
    if not words:
        shown = [embedding.tokens[row] for row in range(min(top or FIRST, len(embedding)))]
    shown = list(dict.fromkeys(shown))
    if len(shown) < 3:
        raise UsageError(f"a map of {len(shown)} words shows nothing; ask for more with --top, or for more words")
    vectors = unit(embedding[shown])
    plane, how = (_principal if method == "pca" else _umap)(vectors)
    groups = np.argmax(vectors @ vectors[: len(words)].T, axis=1) if words else np.full(len(shown), -1)
    places = [
        Place(word, float(x), float(y), int(group), row < len(words))
        for row, (word, (x, y), group) in enumerate(zip(shown, plane.tolist(), groups.tolist(), strict=True))
    ]
    return Map(places, words, how)


def _principal(vectors: NDArray[np.float32]) -> tuple[NDArray[np.float64], str]:
    """Coordinates along the two directions of most variance (Pearson, 1901), the farther end of each positive."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    left, scales, _ = np.linalg.svd(centred, full_matrices=False)
    plane = np.zeros((len(vectors), 2))
    count = min(2, len(scales))
    plane[:, :count] = left[:, :count] * scales[:count]
    # directions have no sign of their own
    plane *= np.where(plane[np.abs(plane).argmax(axis=0), [0, 1]] < 0, -1, 1)
    total = float(np.square(scales).sum())
    share = float(np.square(scales[:2]).sum()) / total if total else 1.0
    return plane, f"two principal components of the unit vectors, which hold {share:.0%} of their variance"


def _umap(vectors: NDArray[np.float32]) -> tuple[NDArray[np.float64], str]:
    """UMAP (McInnes, Healy and Melville, 2018) with a fixed seed, so that it comes out the same again."""
    from umap import UMAP

    count = min(15, len(vectors) - 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a seed keeps it to one thread, and that there are few rows
        init = "spectral" if len(vectors) > 10 else "random"
        model = UMAP(n_neighbors=count, metric="cosine", random_state=0, init=init)
        plane = model.fit_transform(vectors)
    return np.asarray(plane, np.float64), f"UMAP of cosines, {count} neighbours; distances far apart say little"
