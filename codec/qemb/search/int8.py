"""Scores straight from int8 codes in the map: integer products with the query, which is rounded to integers."""

from __future__ import annotations

import importlib
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np

from qemb import jit
from qemb.layout import Group, Level
from qemb.quantization import float_dtype
from qemb.search.scores import ROUNDING, is_moderate, largest_integer, to_integers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from numpy.typing import NDArray

    from qemb.decode import Decoder
    from qemb.search.scores import Asked

_STEP = 1 << 20
"""Bytes of codes scored at a time: they are gone over twice the first time, and stay in the cache of one core."""
_BLAS_STEP = 1 << 18
"""The same for numpy, which makes float32 of them."""
FEW = 4
"""So many queries and more are a product of matrices."""
_WIDE = 192
"""Values in a row from which numkong is quicker than float32 products: twice at 300, not at all at 100."""
_KERNEL_STEP = 1 << 15
"""Rows for a kernel, whose calls cost more, and which reads them once."""
LANES = 64
"""Kernels are quickest where loops leave no rest after so many values."""
MAX_DIM = 1 << 16
"""Sums of so many products of two int8 fit in 32 bits."""


def _find(name: str) -> ModuleType | None:
    if name == "simsimd" and "usearch" in sys.modules:
        # usearch makes numkong's symbols those of the process, and a simsimd that is loaded later calls them instead of
        # its own, which have the same names: wrong answers, or none (usearch 2.26, numkong 7.8, simsimd 6.5)
        return None
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


simsimd = _find("simsimd")
"""Imported with this module: a millisecond that the first search would have to wait for."""


class Int8Scores:
    """Rows of 8-bit linear codes with a scale by row or table, and nothing added.

    The cosine with a row does not depend on its scale: it is the product of the query with the codes over the norm of
    the codes, which is found when a row is scored for the first time.
    """

    def __init__(self, decoder: Decoder, count: int, zero: NDArray[np.bool_] | None) -> None:
        self.decoder = decoder
        self.count = count
        self.stride = decoder.quantization.row_stride
        self.step = max(1, _STEP // self.stride)
        self._inverse = np.empty(count, np.float32)
        """One over the norm of the codes of each row, 0 for rows of zeros, where it is known."""
        self._known = np.zeros(count, np.bool_)
        self._complete = False
        self._zero = zero

    @classmethod
    def of(cls, decoder: Decoder, count: int) -> Int8Scores | None:
        """Scores of a table; None where it is of another kind, or its scales are no usual ones."""
        q = decoder.quantization
        if (
            (q.level, q.bits, q.low_bits, q.bias, q.offset_group) != (Level.LINEAR, 8, 8, 0, Group.NONE)
            or q.scale_group not in (Group.ROW, Group.TABLE)
            or decoder.dim > MAX_DIM
        ):
            return None
        found = scales(decoder)
        if not is_moderate(found):
            return None
        return cls(decoder, count, None if found.all() else np.broadcast_to(found == 0, max(len(found), count)))

    def ask(self, queries: NDArray[np.float64]) -> Asked:
        """Make queries ready, float64, shape (n, dim), of unit length."""
        self._complete = self._complete or bool(self._known.all())
        if len(queries) < FEW and jit.ready():
            from qemb.search import kernels

            return _AskedKernel(self, queries, kernels)
        if len(queries) < FEW:
            return _AskedBlas(self, queries) if simsimd is None else _AskedSimsimd(self, queries, simsimd)
        numkong = _find("numkong") if self.decoder.dim >= _WIDE else None
        return _AskedBlas(self, queries) if numkong is None else _AskedNumkong(self, queries, numkong)

    def rows(self, low: int, high: int) -> NDArray[np.int8]:
        """The codes of rows, int8, shape (high - low, dim)."""
        packed = self.decoder.container.read("CODE", low * self.stride, high * self.stride)
        return packed.view(np.int8).reshape(high - low, self.stride)[:, : self.decoder.dim]

    def inverse(self, low: int, high: int) -> NDArray[np.float32]:
        """One over the norm of the codes of these rows, 0 for rows that are zero."""
        inverse = self._inverse[low:high]
        if not self._complete and not self._known[low:high].all():
            squares = _squares(self.rows(low, high))
            if self._zero is not None:
                squares[self._zero[low:high]] = 0
            with np.errstate(divide="ignore"):
                np.reciprocal(np.sqrt(squares, out=squares), out=squares)
            squares[np.isinf(squares)] = 0
            inverse[:] = squares  # at once: another thread may be reading what it wrote there itself
            self._known[low:high] = True
        return inverse


class _AskedInt8:
    """Queries as integers and units; the rounding of the query is the slack."""

    off: NDArray[np.float32] | None = None

    def __init__(self, scores: Int8Scores, queries: NDArray[np.float64], largest: int) -> None:
        self._scores = scores
        self.step = scores.step
        self._integers, self._units, error = to_integers(queries, largest)
        self.slack = error + 8 * ROUNDING


class _AskedSimsimd(_AskedInt8):
    """Products by simsimd."""

    def __init__(self, scores: Int8Scores, queries: NDArray[np.float64], simsimd: ModuleType) -> None:
        super().__init__(scores, queries, 127)
        self._products = simsimd.cdist
        self._queries = self._integers.astype(np.int8)
        self._scales = self._units.astype(np.float32)[:, None]

    def score(self, low: int, high: int) -> NDArray[np.float32]:
        with jit.spent():
            rows = self._scores.rows(low, high)
            products = self._products(self._queries, rows, metric="inner", out_dtype="f32")
            scores: NDArray[np.float32] = np.asarray(products).reshape(len(self._queries), high - low)
            return np.asarray(scores * (self._scores.inverse(low, high) * self._scales))


class _AskedNumkong(_AskedInt8):
    """Products of many queries with a tile at once, by numkong."""

    def __init__(self, scores: Int8Scores, queries: NDArray[np.float64], numkong: ModuleType) -> None:
        super().__init__(scores, queries, 127)
        self.step = max(1, _BLAS_STEP // scores.stride)
        self._products = numkong.dots_packed
        self._queries = numkong.dots_pack(self._integers.astype(np.int8))
        self._scales = self._units.astype(np.float32)

    def score(self, low: int, high: int) -> NDArray[np.float32]:
        scores = np.asarray(self._products(self._scores.rows(low, high), self._queries)).astype(np.float32)
        scores *= self._scores.inverse(low, high)[:, None]
        scores *= self._scales
        return scores.T


class _AskedKernel(_AskedInt8):
    """Products by a kernel, with queries of 16 bits as far as sums stay within 32."""

    def __init__(self, scores: Int8Scores, queries: NDArray[np.float64], kernels: ModuleType) -> None:
        super().__init__(scores, queries, largest_integer(queries, 128))
        self.step = _KERNEL_STEP
        self._kernels = kernels
        width = -(-queries.shape[1] // LANES) * LANES
        self._queries = np.zeros((len(queries), width), np.int16)
        self._queries[:, : queries.shape[1]] = self._integers

    def score(self, low: int, high: int) -> NDArray[np.float32]:
        out = np.empty((len(self._queries), high - low), np.float32)
        inverse = self._scores.inverse(low, high)
        for first, last, data in read_past(self._scores.decoder, low, high, self._queries.shape[1], self._scores.count):
            for query, unit, scores in zip(self._queries, self._units.astype(np.float32), out, strict=True):
                self._kernels.dot_int8(
                    data.view(np.int8), self._scores.stride, query, unit,
                    inverse[first - low : last - low], scores[first - low : last - low],
                )  # fmt: skip
        return out


class _AskedBlas:
    """Products by numpy, in float32."""

    off: NDArray[np.float32] | None = None

    def __init__(self, scores: Int8Scores, queries: NDArray[np.float64]) -> None:
        self._scores = scores
        self.step = max(1, _BLAS_STEP // scores.stride)
        self.slack = np.full(len(queries), (queries.shape[1] + 8) * ROUNDING)
        self._queries = queries.astype(np.float32)

    def score(self, low: int, high: int) -> NDArray[np.float32]:
        # many queries have no kernel that their time should count for
        with jit.spent() if len(self._queries) < FEW else nullcontext():
            scores = self._queries @ self._scores.rows(low, high).astype(np.float32).T
            scores *= self._scores.inverse(low, high)
            return scores


def read_past(
    decoder: Decoder, low: int, high: int, width: int, size: int
) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """Rows of CODE for kernels that read ``width`` bytes from the beginning of a row, past its end.

    ``size`` is how many rows there may be read.

    Yields first row, last row, and bytes from the first one on. The last rows of a section are copied, with
    zeros behind.
    """
    stride = decoder.quantization.row_stride
    stop = high * stride
    if decoder.container.is_raw("CODE"):
        stop = min(stop + width, size * stride)
    data = decoder.container.read("CODE", low * stride, stop)
    inside = low + min(high - low, max(0, len(data) - width + stride) // stride)
    if inside > low:
        yield low, inside, data
    if inside < high:
        rest = data[(inside - low) * stride : (high - low) * stride]
        yield inside, high, np.concatenate([rest, np.zeros(width, np.uint8)])


def scales(decoder: Decoder) -> NDArray[np.float32]:
    """Scales by row or table as float32, shape (rows,) or (1,)."""
    return decoder.container.array("SCAL", float_dtype(decoder.quantization.scale_type)).astype(np.float32, copy=False)


def _squares(rows: NDArray[np.int8]) -> NDArray[np.float32]:
    """Sums of squares of rows."""
    if simsimd is not None and len(rows) > 1:
        return np.array(simsimd.inner(rows, rows), np.float32)
    wide = rows.astype(np.float32)
    squares: NDArray[np.float32] = np.einsum("ij,ij->i", wide, wide)
    return squares
