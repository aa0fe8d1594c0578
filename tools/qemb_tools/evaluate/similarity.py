"""Word similarity: the rank correlation of cosines with what people say of pairs of words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qemb_tools.evaluate.sets import line_error, numbered_lines, unit
from qemb_tools.interface import source_error
from qemb_tools.stream import plain_name

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from qemb_tools.evaluate.table import Table


@dataclass(frozen=True, slots=True)
class Pairs:
    """A set: pairs of words, and their scores, float64 of shape (n,), higher for words more alike."""

    name: str
    words: list[tuple[str, str]]
    scores: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Similarity:
    """What a table says of a set.

    Attributes
    ----------
    name : str
        The set's.
    spearman : float
        Rank correlation, ties at their mean rank; NaN where fewer than two pairs, or equal ones only, were found.
    found, pairs : int
        Pairs with both words in the table, and all of them.
    missing : list of str
        Words of the set that are not in the table.
    """

    name: str
    spearman: float
    found: int
    pairs: int
    missing: list[str]


def read_pairs(path: str) -> Pairs:
    """Read a set in gensim's format: word, tab, word, tab, score; spaces do as well, lines after # are comments.

    Raises
    ------
    qemb.InvalidError
        A line is something else, or there is none.
    UsageError
        There is no such file.
    """
    words, scores = [], []
    for number, line in numbered_lines(path, comments=True):
        fields = [field.strip() for field in line.split("\t")] if "\t" in line else line.split()
        if len(fields) != 3:
            raise line_error(
                f"word, tab, word, tab, score is expected; the line has {len(fields)} fields", path, number
            )
        score = _number(fields[2])
        if not math.isfinite(score):
            raise line_error(
                f"the score {fields[2]!r} is no number; put # before a line that is a heading", path, number
            )
        words.append((fields[0], fields[1]))
        scores.append(score)
    if not words:
        raise source_error("the set is empty; lines of word, tab, word, tab, score are expected", path)
    return Pairs(Path(plain_name(path)).stem, words, np.array(scores))


def score_pairs(table: Table, pairs: Pairs) -> Similarity:
    """Score a table; as gensim's ``evaluate_word_pairs``, pairs with a word that is missing are left out."""
    rows, missing = table.find(word for pair in pairs.words for word in pair)
    known = [i for i, pair in enumerate(pairs.words) if all(word in rows for word in pair)]
    places = np.array([[rows[word] for word in pairs.words[i]] for i in known], np.int64).reshape(-1, 2)
    needed, inverse = np.unique(places, return_inverse=True)
    first, second = unit(table.take(needed))[inverse.reshape(places.shape)].transpose(1, 0, 2)
    cosines = np.einsum("ij,ij->i", first, second)
    return Similarity(pairs.name, spearman(cosines, pairs.scores[known]), len(known), len(pairs.words), missing)


def spearman(left: ArrayLike, right: ArrayLike) -> float:
    """Spearman's rank correlation, ties at their mean rank; NaN where it is not defined."""
    one, other = (_ranks(np.asarray(values, np.float64)) for values in (left, right))
    one, other = one - one.mean() if len(one) else one, other - other.mean() if len(other) else other
    power = math.sqrt(float(one @ one) * float(other @ other))
    return float(one @ other) / power if power else math.nan


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: NDArray[np.float64] = (ends - (counts - 1) / 2)[inverse]
    return ranks


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
