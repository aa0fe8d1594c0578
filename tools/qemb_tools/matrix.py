"""A source over tokens and a matrix that are at hand, in memory or mapped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from qemb_tools.interface import MAX_DIM, Batch, Source, batch_rows, source_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from qemb_tools.ngrams import Ngrams


def float32(values: NDArray[Any]) -> NDArray[np.float32]:
    """Values as float32, rounded to nearest; what is too large becomes infinite, which the writer then refuses."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(values, dtype=np.float32)


def widen_bfloat16(bits: NDArray[Any]) -> NDArray[np.float32]:
    """Float32 of bfloat16 given as uint16: its upper half."""
    return np.left_shift(bits.astype(np.uint32), 16).view(np.float32)


def check_dim(dim: int, where: str) -> None:
    """Raise `qemb.InvalidError` where rows are empty or too long."""
    if not 1 <= dim <= MAX_DIM:
        raise source_error(f"the rows have {dim:,} values; 1 to {MAX_DIM:,} are possible", where)


def check_shape(rows: int, dim: int, tokens: list[bytes], where: str) -> None:
    """Raise `qemb.InvalidError` where rows are too long, or not as many as the tokens."""
    check_dim(dim, where)
    if rows != len(tokens):
        raise source_error(f"there are {rows:,} rows and {len(tokens):,} tokens; give every row one token", where)


def without_padding(matrix: NDArray[Any], tokens: int) -> tuple[NDArray[Any], list[str]]:
    """The rows that have tokens, and a note of the others: models pad their tables to a round number of rows."""
    left = len(matrix) - tokens
    return (matrix[:tokens], [f"rows past the last token, left out: {left:,}"]) if left > 0 else (matrix, [])


def rounding(dtype: np.dtype[Any]) -> list[str]:
    """The note that values of a type are rounded to float32, where they are."""
    return [f"the values are {dtype}; they were rounded to float32"] if dtype.kind == "f" and dtype.itemsize > 4 else []


@dataclass(frozen=True)
class RowView:
    """Rows that are made when they are asked for. It has of an array what `MatrixSource` uses.

    Attributes
    ----------
    shape : tuple of int
        Rows and values in a row.
    dtype : numpy.dtype
        Of a value.
    rows : callable
        Gives an array of the rows of a slice.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    rows: Callable[[slice], NDArray[Any]]
    ndim: int = 2

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        return self.rows(rows)


class MatrixSource(Source):
    """Tokens and the rows of a matrix.

    Parameters
    ----------
    tokens : list of bytes
        One a row.
    matrix : numpy.ndarray or RowView
        Floats or integers, shape ``(rows, dim)``; may be a memory map.
    where : str
        The file, for errors.
    counts : numpy.ndarray, optional
        Integers, shape ``(rows,)``.
    ngrams : Ngrams, optional
        The rows of subword buckets.

    Raises
    ------
    qemb.InvalidError
        The shapes do not fit each other, or the values are not numbers.
    """

    def __init__(
        self,
        tokens: list[bytes],
        matrix: NDArray[Any] | RowView,
        where: str,
        counts: NDArray[Any] | None = None,
        *,
        ngrams: Ngrams | None = None,
    ) -> None:
        super().__init__()
        if matrix.ndim != 2:
            raise source_error(f"the array has {matrix.ndim} dimensions; rows and columns are wanted", where)
        if matrix.dtype.kind not in "fiu":
            raise source_error(f"the array holds {matrix.dtype}, not numbers", where)
        rows, dim = matrix.shape
        check_shape(rows, dim, tokens, where)
        if counts is not None and counts.shape != (rows,):
            raise source_error(f"there are {rows:,} rows and counts of shape {counts.shape}", where)
        self.notes += rounding(matrix.dtype)
        self.rows = self.expected = rows
        self.dim = dim
        self._tokens = tokens
        self._matrix = matrix
        self._counts = counts
        self._ngrams = ngrams
        if ngrams is not None:
            self.subwords = ngrams.subwords

    def batches(self) -> Iterator[Batch]:
        """Yield slices of the matrix."""
        step = batch_rows(self.dim)
        for start in range(0, len(self._tokens), step):
            part = slice(start, start + step)
            counts = None if self._counts is None else self._counts[part].astype(np.uint64)
            yield Batch(self._tokens[part], self.decode(self._matrix[part]), counts)

    def buckets(self) -> Iterator[NDArray[np.float32]]:
        """Yield slices of the rows of n-grams."""
        if self._ngrams is not None:
            step = batch_rows(self.dim)
            for start in range(0, self._ngrams.buckets, step):
                yield float32(self._ngrams.matrix[np.arange(start, min(start + step, self._ngrams.buckets))])

    def decode(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Values of the matrix as float32; for types that numpy has not, a subclass has its own."""
        return float32(values)


class Bfloat16Source(MatrixSource):
    """A matrix of bfloat16 as integers: each the upper half of a float32."""

    def decode(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """As `widen_bfloat16`."""
        return widen_bfloat16(values)
