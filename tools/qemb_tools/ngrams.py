"""The vectors of words as fastText makes them: the mean of a word's own row and those of its n-grams."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np

from qemb.subword import hash_ngrams, mean_of_runs
from qemb_tools.interface import BATCH_VALUES, source_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

    import qemb


MOST_VALUES = 1 << 25
"""Values in the rows of one word's n-grams that are gathered: 128 MB."""


class Rows(Protocol):
    """A matrix that gives rows by number: an array, mapped or not, or one that is decoded."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows and values in a row."""
        ...

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Rows of these numbers."""
        ...


@dataclass(frozen=True)
class Ngrams:
    """The rows that n-grams have.

    Attributes
    ----------
    subwords : qemb.Subwords
        How words are cut.
    buckets : int
        N-grams are hashed into so many, 1 or more.
    matrix : Rows
        Holds their rows.
    first : int
        Row of bucket 0.
    left, rows : int64 arrays, optional
        Of a pruned model: the buckets that are left, ascending, and their rows counted from ``first``.
    whole : frozenset of bytes
        Words that are not cut.
    """

    subwords: qemb.Subwords
    buckets: int
    matrix: Rows
    first: int = 0
    left: NDArray[np.int64] | None = None
    rows: NDArray[np.int64] | None = None
    whole: frozenset[bytes] = frozenset()

    def find(self, words: list[bytes]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of the n-grams of words, word by word, and how many each word has."""
        hashes, counts = hash_ngrams(words, self.subwords)
        buckets = hashes.astype(np.int64) % self.buckets
        word = np.repeat(np.arange(len(words)), counts)
        there = ~np.isin(word, [i for i, one in enumerate(words) if one in self.whole])
        if self.left is not None and self.rows is not None:
            place = np.minimum(np.searchsorted(self.left, buckets), len(self.left) - 1)
            there &= self.left[place] == buckets
            buckets = self.rows[place]
        return self.first + buckets[there], np.bincount(word[there], minlength=len(words))

    def compose(self, words: list[bytes], own: NDArray[np.float32]) -> NDArray[np.float32]:
        """Vectors of words, float32, shape (n, dim), from their own rows: summed in fastText's order, divided once."""
        bound = self.subwords.max_n - self.subwords.min_n + 1
        most = [1 + (len(word) + 2) * min(len(word) + 2, bound) for word in words]  # rows that a word may take
        if max(most, default=0) * own.shape[1] > MOST_VALUES:
            longest = max(map(len, words))
            raise source_error(f"a word of {longest:,} bytes has too many n-grams; leave such words out", "the model")
        runs = np.cumsum(most) // max(1, BATCH_VALUES // own.shape[1])
        cuts = [0, *(np.flatnonzero(np.diff(runs)) + 1).tolist(), len(words)]
        parts = [self._compose(words[low:high], own[low:high]) for low, high in pairwise(cuts) if low < high]
        return np.concatenate(parts) if parts else np.empty(own.shape, np.float32)

    def _compose(self, words: list[bytes], own: NDArray[np.float32]) -> NDArray[np.float32]:
        grams, counts = self.find(words)
        counts = counts + 1
        rows = np.empty((int(counts.sum()), own.shape[1]), np.float32)
        is_own = np.zeros(len(rows), bool)
        is_own[np.cumsum(counts) - counts] = True
        rows[is_own] = own
        rows[~is_own] = self.matrix[grams]
        return mean_of_runs(rows, counts)
