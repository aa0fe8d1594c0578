"""Subwords: words that are no token have the vectors that their n-grams make, as in fastText.

Bojanowski, Grave, Joulin and Mikolov, "Enriching Word Vectors with Subword Information" (2017).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from qemb import layout
from qemb.errors import InvalidError, LimitError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

_FASTTEXT = 1
"""The one hash there is."""
_BASIS, _PRIME = np.uint32(0x811C9DC5), np.uint32(0x01000193)
_MAX_NGRAMS = 1 << 24
"""N-grams of one word; the longest token has as many where they have up to 255 characters."""
_MANY = 1 << 16
"""N-grams whose rows are decoded at once, at most."""
_VALUES = 1 << 23
"""Values of them, unless one row has more."""
_FEW = 16
"""Words whose n-grams are added up one word after the other, more of them together."""


@dataclass(frozen=True)
class Subwords:
    """How words are cut into n-grams; the rows that n-grams have, *buckets*, follow those of the tokens.

    Attributes
    ----------
    min_n, max_n : int
        Characters in the shortest and the longest n-gram, the ``<`` and ``>`` around a word among them.

    Raises
    ------
    InvalidError
        ``invalid.subword``: not 1 <= min_n <= max_n < 2^32.
    """

    min_n: int = 3
    max_n: int = 6

    def __post_init__(self) -> None:
        if not 1 <= self.min_n <= self.max_n < 1 << 32:
            raise InvalidError(
                "invalid.subword",
                f"n-grams of {self.min_n} to {self.max_n} characters; 1 or more belong there, the shortest first",
                where="section SUBW, field min_n",
            )

    def build(self, buckets: int) -> bytes:
        """The section SUBW."""
        fields = {"hash": _FASTTEXT, "min_n": self.min_n, "max_n": self.max_n, "buckets": buckets}
        return bytes(layout.Subword.build(fields))


def parse(data: bytes, offset: int) -> tuple[Subwords, int]:
    """The section SUBW, which begins at byte ``offset`` of the file: parameters, and number of buckets.

    Raises
    ------
    QembError
        As section 7.4 of the specification says.
    """
    fields = layout.parse(layout.Subword, data, where="section SUBW", offset=offset)
    if fields.hash != _FASTTEXT:
        raise UnsupportedError(
            "unsupported.subword",
            f"subword hash {fields.hash} is not known to this reader: upgrade qemb",
            where="section SUBW, field hash",
            offset=offset,
        )
    try:
        return Subwords(fields.min_n, fields.max_n), fields.buckets
    except InvalidError as error:
        raise InvalidError(error.code, error.message, where=error.where, offset=offset) from None


def hash_ngrams(words: Sequence[bytes], subwords: Subwords) -> tuple[NDArray[np.uint32], NDArray[np.int64]]:
    """Hashes of the n-grams of words, FNV-1a over signed bytes, as fastText has them.

    Every character of every word is a start, and all starts are followed at once: the hash of a longer n-gram goes on
    where that of the shorter one ended.

    Parameters
    ----------
    words : sequence of bytes
        In UTF-8, without ``<`` and ``>``.

    Returns
    -------
    hashes : uint32 array
        Word by word; of a word by start, then by length.
    counts : int64 array of shape (len(words),)
        How many n-grams each word has.

    Raises
    ------
    LimitError
        ``limit.memory``: a word has too many n-grams.
    """
    longest = max(map(len, words), default=0) + 2
    reach = min(longest, subwords.max_n)
    if longest * reach - reach * (reach - 1) // 2 > _MAX_NGRAMS:
        raise LimitError("limit.memory", f"a word of {longest - 2:,} bytes has too many n-grams", where="section SUBW")
    if not words:
        return np.empty(0, np.uint32), np.zeros(0, np.int64)
    text = np.frombuffer(b"".join(b"<%b>" % word for word in words), np.uint8)
    begins_character = (text & 0xC0) != 0x80
    signed = text.view(np.int8).astype(np.int32).view(np.uint32)
    lengths = np.fromiter(map(len, words), np.int64, len(words)) + 2
    word_ends = np.cumsum(lengths)

    starts = np.flatnonzero(begins_character)
    word = np.searchsorted(word_ends, starts, side="right")
    ends, first = word_ends[word], starts == word_ends[word] - lengths[word]
    state = np.full(len(starts), _BASIS)
    at = starts.copy()

    def take_byte(which: NDArray[np.int64]) -> None:
        state[which] = (state[which] ^ signed[at[which]]) * _PRIME
        at[which] += 1

    found: list[tuple[NDArray[np.int64], NDArray[np.uint32]]] = []
    going, n = np.arange(len(starts)), 0
    while len(going) and n < subwords.max_n:
        n += 1
        take_byte(going)
        within = going
        while len(within := within[at[within] < ends[within]]) and len(within := within[~begins_character[at[within]]]):
            take_byte(within)
        if n >= subwords.min_n:
            taken = going[~first[going] & (at[going] < ends[going])] if n == 1 else going
            found.append((taken, state[taken]))
        going = going[at[going] < ends[going]]
    if not found:
        return np.empty(0, np.uint32), np.zeros(len(words), np.int64)
    whose = np.concatenate([start for start, _ in found])
    order = np.argsort(whose, kind="stable")  # lengths ascend in `found`
    hashes = np.concatenate([hashed for _, hashed in found])[order]
    return hashes, np.bincount(word[whose], minlength=len(words)).astype(np.int64)


def mean_of_runs(rows: NDArray[np.float32], counts: NDArray[np.int64]) -> NDArray[np.float32]:
    """Means of successive runs of rows, each sum begun at +0 and taken in order, every operation rounded to float32.

    Parameters
    ----------
    rows : float32 array of shape (sum of counts, dim)
    counts : int64 array of shape (n,)
        Length of each run, 1 or more.

    Returns
    -------
    float32 array of shape (n, dim)
    """
    begins = np.cumsum(counts) - counts
    divisors = counts.astype(np.float32)[:, None]
    if len(counts) <= _FEW:
        total = np.empty((len(counts), rows.shape[1]), np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            for number, (begin, count) in enumerate(zip(begins, counts, strict=True)):
                # every partial sum, so that none is taken in pairs; +0 added to the last is as good as to the first
                total[number] = np.add.accumulate(rows[begin : begin + count], axis=0)[-1] + np.float32(0)
            return np.asarray(total / divisors, np.float32)
    longest_first = np.argsort(-counts, kind="stable")
    descending = counts[longest_first]
    total = np.zeros((len(counts), rows.shape[1]), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for k in range(int(counts.max(initial=0))):
            going = longest_first[: np.searchsorted(-descending, -k)]
            total[going] += rows[begins[going] + k]
        return np.asarray(total / divisors, np.float32)


def mean_of_ngrams(
    decode: Callable[[NDArray[np.int64]], NDArray[np.float32]],
    numbers: NDArray[np.int64],
    counts: NDArray[np.int64],
    dim: int,
) -> NDArray[np.float32]:
    """Means of the rows that successive runs of numbers name, as `mean_of_runs`, with bounded memory.

    Parameters
    ----------
    decode : callable
        Gives the rows of such numbers, float32.
    numbers : int64 array of shape (sum of counts,)
    counts : int64 array of shape (n,)
        Length of each run, 1 or more.
    dim : int
        Values of a row.

    Returns
    -------
    float32 array of shape (n, dim)
    """
    many = min(_MANY, max(1, _VALUES // dim))
    if len(numbers) <= many:
        return _mean_of_some(decode, numbers, counts)
    ends = np.cumsum(counts)
    means = []
    first = 0
    while first < len(counts):
        begin = int(ends[first] - counts[first])
        last = max(int(np.searchsorted(ends, begin + many, side="right")), first + 1)
        some = numbers[begin : ends[last - 1]]
        if len(some) <= many:
            means.append(_mean_of_some(decode, some, counts[first:last]))
        else:
            means.append(_mean_of_many(decode, some, many))
        first = last
    return np.concatenate(means)


def _mean_of_some(
    decode: Callable[[NDArray[np.int64]], NDArray[np.float32]], numbers: NDArray[np.int64], counts: NDArray[np.int64]
) -> NDArray[np.float32]:
    distinct, which = np.unique(numbers, return_inverse=True)  # a long word names a bucket more than once
    return mean_of_runs(decode(distinct)[which], counts)


def _mean_of_many(
    decode: Callable[[NDArray[np.int64]], NDArray[np.float32]], numbers: NDArray[np.int64], many: int
) -> NDArray[np.float32]:
    distinct, which = np.unique(numbers, return_inverse=True)
    table = decode(distinct) if len(distinct) <= many else None
    total: NDArray[np.float32] | float = 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        for low in range(0, len(numbers), many):
            part = slice(low, low + many)
            rows = decode(numbers[part]) if table is None else table[which[part]]
            # every partial sum, so that none is taken in pairs; the last is the total
            rows[0] += total
            total = np.add.accumulate(rows, axis=0, out=rows)[-1]
        return np.asarray(total / np.float32(len(numbers)), np.float32)[None]
