"""How far two tables of the same words are apart: in their values, in their neighbours, and where."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from qemb_tools.bench import recall
from qemb_tools.evaluate.similarity import read_pairs, spearman
from qemb_tools.evaluate.table import Vocabulary
from qemb_tools.formats import open_source
from qemb_tools.interface import source_error
from qemb_tools.qemb_file import QembSource
from qemb_tools.stream import size_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from qemb_tools.evaluate.similarity import Pairs
    from qemb_tools.interface import Source

BINS = 40
MOVED = 20
_BEYOND = 0.001
"""Share of the rows at either end of a histogram that its first and its last bar count, however far they lie."""
_NEAR = 3
_BANDS = (100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000)
"""Rows that bands of frequency end with."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Numbers of rows between edges, one edge more than numbers; what lies beyond counts at the edge."""

    edges: list[float]
    counts: list[int]


@dataclass(frozen=True, slots=True)
class Band:
    """Recall of the words in rows ``first`` to ``last`` of A, counted from 1; ``queries`` of them were asked for."""

    first: int
    last: int
    recall: float
    queries: int


@dataclass(frozen=True, slots=True)
class Moved:
    """A word whose vector has turned, its row in A counted from 1, and its nearest words in both files."""

    word: str
    row: int
    cosine: float
    error: float
    near_a: list[str]
    near_b: list[str]


@dataclass(frozen=True, slots=True)
class SetScore:
    """Rank correlations over the pairs of a similarity set: of each file with people, and of the files' cosines."""

    name: str
    pairs: int
    pairs_in_set: int
    a_with_people: float
    b_with_people: float
    a_with_b: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Figures of a comparison.

    Attributes
    ----------
    a, b : str
        The files.
    shared, rows_a, dim : int
        Words of A that were looked at, how many of them B has, and values a row.
    relative_error : float
        Root of the summed squared differences over that of A's squares.
    mean_cosine : float
        Mean over the words of the cosine between their two vectors; rows of zeros are left out.
    recall : float
        Share of the k nearest words by A, the query left out, that are also among the k nearest by B.
    k, queries : int
        What recall was measured with.
    rank_correlation : float
        Spearman's correlation between the cosines of pairs in A and in B.
    pairs : int
        Pairs that it was measured with, drawn at random.
    size_a, size_b : int
        Bytes of the files, or of the files in a folder.
    bits_a, bits_b : float or None
        Bits a value: of the vectors of a ``.qemb`` file, of others of the whole file; None where the rows are not
        counted.
    errors, cosines : Histogram
        Of the words' relative errors, and of their cosines.
    bands : list of Band
        Recall by the row in A: files have frequent words first.
    dimension_errors : list of float
        Relative error of each column.
    moved : list of Moved
        The words of lowest cosine.
    sets : list of SetScore
        One for each similarity set given.
    """

    a: str
    b: str
    shared: int
    rows_a: int
    dim: int
    relative_error: float
    mean_cosine: float
    recall: float
    k: int
    queries: int
    rank_correlation: float
    pairs: int
    size_a: int
    size_b: int
    bits_a: float | None
    bits_b: float | None
    errors: Histogram
    cosines: Histogram
    bands: list[Band]
    dimension_errors: list[float]
    moved: list[Moved]
    sets: list[SetScore] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as a dict, JSON-able."""
        return asdict(self)

    def facts(self) -> list[tuple[str, str]]:
        """The figures of the whole, by name, as they are printed."""
        facts = [
            ("shared words", f"{self.shared:,} of the first {self.rows_a:,} of A"),
            ("relative error", f"{self.relative_error:.6f}"),
            ("mean cosine", f"{self.mean_cosine:.6f}"),
            (f"recall@{self.k}", f"{self.recall:.4f} ({self.queries:,} queries)"),
            ("rank correlation", f"{self.rank_correlation:.4f} ({self.pairs:,} pairs)"),
        ]
        facts += [
            (each.name, f"{each.a_with_people:.4f} in A, {each.b_with_people:.4f} in B ({each.pairs:,} pairs)")
            for each in self.sets
        ]
        for name, size, bits in (("A", self.size_a, self.bits_a), ("B", self.size_b, self.bits_b)):
            facts.append((f"size of {name}", f"{size:,} bytes" + (f", {bits:.2f} bits a value" if bits else "")))
        return facts

    def _repr_html_(self) -> str:
        """The same as a table, for notebooks."""
        from qemb_tools.pictures.page import table

        return table(["A", self.a], [["B", self.b], *self.facts()])


@dataclass(frozen=True, slots=True)
class Pair:
    """The shared rows of two files, float32 of shape (n, dim), with their words and their row numbers in A."""

    a_path: str
    b_path: str
    words: list[bytes]
    rows: NDArray[np.int64]
    a: NDArray[np.float32]
    b: NDArray[np.float32]
    rows_a: int
    bits: tuple[float | None, float | None]


def read_pair(a: str, b: str, rows: int) -> Pair:
    """Read the words that two files of any formats share, of the first ``rows`` of A.

    Raises
    ------
    qemb.InvalidError
        The dimensions differ, or fewer than two words are shared.
    UsageError, qemb.QembError
        As `open_source` does.
    """
    words, left, bits_a = _first_rows(a, rows)
    right, found, bits_b = _rows_of(b, words, left.shape[1])
    numbers = np.flatnonzero(found)
    if len(numbers) < 2:
        raise source_error(
            "the two files share fewer than two words; compare files of the same vocabulary", f"{a}, {b}"
        )
    shared = [word for word, there in zip(words, found.tolist(), strict=True) if there]
    return Pair(a, b, shared, numbers, left[found], right[found], len(words), (bits_a, bits_b))


def compare(
    a: str,
    b: str,
    *,
    rows: int = 100_000,
    queries: int = 600,
    k: int = 10,
    pairs: int = 20_000,
    sets: Sequence[str] = (),
    seed: int = 0,
) -> Comparison:
    """Compare two files of vectors, of any formats, over the words that they share.

    Parameters
    ----------
    a, b : str
        The files; ``a`` is taken as the truth.
    rows : int
        Only the first so many rows of ``a`` are looked at.
    queries, k, seed : int
        Recall is measured for so many words, drawn with this seed, and so many neighbours.
    pairs : int
        So many pairs of words are drawn for the rank correlation.
    sets : sequence of str
        Files of word similarity: a word, a word and a score a line, separated by tabs, commas or spaces.

    Raises
    ------
    qemb.InvalidError
        The dimensions differ, or fewer than two words are shared.
    UsageError, qemb.QembError
        As `open_source` does.
    """
    similarity = [read_pairs(path) for path in sets]
    return compare_pair(read_pair(a, b, rows), queries=queries, k=k, pairs=pairs, sets=similarity, seed=seed)


def compare_pair(
    pair: Pair,
    *,
    queries: int = 600,
    k: int = 10,
    pairs: int = 20_000,
    sets: Sequence[Pairs] = (),
    seed: int = 0,
) -> Comparison:
    """As `compare`, of what has been read."""
    rng = np.random.default_rng(seed)
    unit_a, unit_b = _unit(pair.a), _unit(pair.b)
    k = min(k, len(pair.rows) - 1)
    chosen = rng.permutation(len(pair.rows))[:queries]
    cosines = np.einsum("ij,ij->i", unit_a, unit_b, dtype=np.float64)
    cosines[~(unit_a.any(axis=1) & unit_b.any(axis=1))] = np.nan
    with np.errstate(invalid="ignore"):
        squares, power = np.square(pair.a.astype(np.float64) - pair.b), np.square(pair.a.astype(np.float64))
    errors = _ratio(squares.sum(axis=1), power.sum(axis=1))
    words = Vocabulary(_text(word) for word in pair.words)
    first, second = _draw_pairs(rng, len(pair.rows), pairs)
    return Comparison(
        a=pair.a_path,
        b=pair.b_path,
        shared=len(pair.rows),
        rows_a=pair.rows_a,
        dim=pair.a.shape[1],
        relative_error=float(_ratio(squares.sum(), power.sum())),
        mean_cosine=float(np.nanmean(cosines)) if np.isfinite(cosines).any() else 0.0,
        recall=_recall(unit_a, unit_b, chosen, k),
        k=k,
        queries=len(chosen),
        rank_correlation=spearman(_cosines(unit_a, first, second), _cosines(unit_b, first, second)),
        pairs=len(first),
        size_a=size_of(pair.a_path),
        size_b=size_of(pair.b_path),
        bits_a=pair.bits[0],
        bits_b=pair.bits[1],
        errors=_histogram(errors),
        cosines=_histogram(cosines),
        bands=_bands(pair.rows, unit_a, unit_b, k, max(1, queries // 4), rng),
        dimension_errors=_ratio(squares.sum(axis=0), power.sum(axis=0)).tolist(),
        moved=_moved(pair, unit_a, unit_b, cosines, errors),
        sets=[_set_score(each, words, unit_a, unit_b) for each in sets],
    )


# --- reading --------------------------------------------------------------------------------------------------------


def _first_rows(path: str, rows: int) -> tuple[dict[bytes, int], NDArray[np.float32], float | None]:
    """Read up to so many distinct words of a file, their vectors, and its bits a value."""
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
        matrix = np.concatenate(parts) if parts else np.empty((0, source.dim), np.float32)
        return words, matrix, _bits_a_value(source, path)


def _rows_of(
    path: str, words: dict[bytes, int], dim: int
) -> tuple[NDArray[np.float32], NDArray[np.bool_], float | None]:
    """Read the vectors of these words, which there are, and the file's bits a value."""
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
        return matrix, found, _bits_a_value(source, path)


def _bits_a_value(source: Source, path: str) -> float | None:
    """Bits a value of the vectors where the file says so, of all of the file where it does not."""
    if isinstance(source, QembSource):
        return source.bits_per_value
    rows = source.rows or source.expected
    return 8 * size_of(path) / (rows * source.dim) if rows else None


# --- figures --------------------------------------------------------------------------------------------------------


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of length 1; those that hold NaN or infinity, which have no direction, become zeros as those of zeros."""
    finite = np.isfinite(vectors).all(axis=1, keepdims=True)
    return recall.unit(vectors if finite.all() else np.where(finite, vectors, np.float32(0)))


def _ratio(squares: Any, power: Any) -> Any:  # noqa: ANN401 - numbers or arrays
    """Roots of ratios of sums of squares; of nothing it is 0 where nothing differs, and 1 otherwise."""
    return np.sqrt(np.divide(squares, power, out=np.array(squares > 0, np.float64), where=power > 0))


def _draw_pairs(rng: np.random.Generator, rows: int, pairs: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of different rows."""
    first = rng.integers(rows, size=pairs)
    return first, (first + rng.integers(1, rows, size=pairs)) % rows


def _cosines(unit: NDArray[np.float32], first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.float64]:
    cosines: NDArray[np.float64] = np.einsum("ij,ij->i", unit[first], unit[second], dtype=np.float64)
    return cosines


def _histogram(values: NDArray[np.float64]) -> Histogram:
    finite = values[np.isfinite(values)]
    if not len(finite):
        return Histogram([0.0, 1.0], [0])
    # one row far out would press all others into a bar
    inside = np.clip(finite, *np.quantile(finite, (_BEYOND, 1 - _BEYOND)))
    counts, edges = np.histogram(inside, bins=BINS)
    return Histogram(edges.tolist(), counts.tolist())


def _recall(a: NDArray[np.float32], b: NDArray[np.float32], queries: NDArray[np.int64], k: int) -> float:
    return recall.overlap(recall.nearest(a, a[queries], queries, k), recall.nearest(b, b[queries], queries, k))


def _bands(
    rows: NDArray[np.int64],
    unit_a: NDArray[np.float32],
    unit_b: NDArray[np.float32],
    k: int,
    queries: int,
    rng: np.random.Generator,
) -> list[Band]:
    bands = []
    low = 0
    for high in _BANDS:
        inside = np.flatnonzero((rows >= low) & (rows < high))
        if len(inside):
            chosen = rng.permutation(inside)[:queries]
            bands.append(Band(low + 1, min(high, int(rows[-1]) + 1), _recall(unit_a, unit_b, chosen, k), len(chosen)))
        low = high
    return bands


def _moved(
    pair: Pair,
    unit_a: NDArray[np.float32],
    unit_b: NDArray[np.float32],
    cosines: NDArray[np.float64],
    errors: NDArray[np.float64],
) -> list[Moved]:
    order = np.argsort(cosines, kind="stable")[:MOVED]  # NaN, of rows of zeros, comes last
    order = order[np.isfinite(cosines[order]) & (errors[order] > 0)]
    near = [_near(unit, order, pair.words) for unit in (unit_a, unit_b)]
    return [
        Moved(_text(pair.words[row]), int(pair.rows[row]) + 1, float(cosines[row]), float(errors[row]), *words)
        for row, *words in zip(order.tolist(), *near, strict=True)
    ]


def _near(unit: NDArray[np.float32], rows: NDArray[np.int64], words: Sequence[bytes]) -> list[list[str]]:
    """The nearest words of some rows, best first."""
    if not len(rows):
        return []
    found = recall.nearest(unit, unit[rows], rows, min(_NEAR, len(unit) - 1))
    scores = np.einsum("ij,ikj->ik", unit[rows], unit[found])
    best = np.take_along_axis(found, np.argsort(-scores, axis=1), axis=1)
    return [[_text(words[row]) for row in line] for line in best.tolist()]


def _text(word: bytes) -> str:
    return word.decode("utf-8", "backslashreplace")


def _set_score(pairs: Pairs, words: Vocabulary, unit_a: NDArray[np.float32], unit_b: NDArray[np.float32]) -> SetScore:
    rows = np.array([[words.row(word) for word in pair] for pair in pairs.words])
    known = (rows >= 0).all(axis=1)
    first, second = rows[known].T
    a, b = (_cosines(unit, first, second) for unit in (unit_a, unit_b))
    people = pairs.scores[known]
    return SetScore(pairs.name, len(first), len(rows), spearman(a, people), spearman(b, people), spearman(a, b))
