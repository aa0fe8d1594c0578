"""Scores of 4-bit codes out of the packed bytes: by look-up in a table, and what that is off by is bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from qemb.decode import trellis_states
from qemb.layout import Group, Level
from qemb.packing import unpack
from qemb.quantization import float_dtype
from qemb.search.int8 import MAX_DIM, read_past, scales
from qemb.search.scores import ROUNDING, is_moderate, largest_integer, to_integers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qemb.decode import Decoder
    from qemb.search.scores import Asked, DecodedScores

_STEP = 1 << 15
"""Rows scored at a time."""
_STEEP = 4.0
"""How many times as long as its row a part of it may be; a row of longer ones is looked at whatever its score."""
_LANES = 32
"""Bytes that the kernel takes at once, at most."""


def _has_nibbles(decoder: Decoder) -> bool:
    q = decoder.quantization
    return (
        (q.level, q.bits, q.low_bits) == (Level.CODEBOOK, 4, 4)
        and decoder.dim <= MAX_DIM
        and q.scale_group in (Group.ROW, Group.TABLE)
        and q.offset_group in (Group.NONE, Group.TABLE, Group.COLUMN)
    )


class NibbleScores:
    """Rows of codebook or trellis codes of 4 bits, two to a byte, with a scale by row or table.

    Processors look up many codes at once in a table of 16 levels, but not in the hundreds of a trellis. So registers
    under its codes are of two kinds, and a level stands as the mean of its kind; which one that is, is kept, a bit for
    each value. What the levels of a row are off by, as a vector, is found once: its length is the most that a product
    with a unit vector can be off by (Cauchy and Schwarz), and is added to the row's score.
    """

    def __init__(self, decoder: Decoder, decoded: DecodedScores, count: int) -> None:
        q = decoder.quantization
        self.decoder = decoder
        self.size = -(-decoder.dim // 2)
        self.width = -(-self.size // _LANES) * _LANES
        """Bytes of a row that the kernel reads."""
        self.offset = np.zeros(decoder.dim, np.float32)
        if q.offset_group != Group.NONE:
            self.offset += decoder.container.array("OFFS", float_dtype(q.offset_type)).astype(np.float32)
        self.inverse = decoded.inverse
        self.tables, self._second = _two_tables(decoder.container.array("LEVL", "<i1").reshape(16, -1))
        self.kinds = np.empty((count, 2, self.width // 8), np.uint8) if self._second.any() else None
        """As the kernel wants them."""
        per_row = np.broadcast_to(scales(decoder), count if len(scales(decoder)) == 1 else len(scales(decoder)))[:count]
        self.factors = per_row * self.inverse
        self.off = np.empty(count, np.float32)
        """How far the cosine of a row may be above its score."""
        length = float(np.linalg.norm(self.offset))
        for low in range(0, count, decoded.step):
            high = min(low + decoded.step, count)
            found = self._measure(low, high, per_row[low:high])
            found[length * self.inverse[low:high] > _STEEP] = 2
            self.off[low:high] = found

    @classmethod
    def of(cls, decoder: Decoder, decoded: DecodedScores, count: int) -> NibbleScores | None:
        """Scores of a table; None where it is of another kind, or its scales are no usual ones."""
        if not _has_nibbles(decoder) or not decoded.moderate or not is_moderate(scales(decoder)):
            return None
        return cls(decoder, decoded, count)

    def ask(self, queries: NDArray[np.float64]) -> Asked:
        """Make queries ready, float64, shape (n, dim), of unit length."""
        return _AskedNibbles(self, queries, largest_integer(queries, 128))

    def _measure(self, low: int, high: int, per_row: NDArray[np.float32]) -> NDArray[np.float32]:
        """How far cosines of rows may be above their scores; finds their kinds on the way."""
        q, dim = self.decoder.quantization, self.decoder.dim
        packed: NDArray[Any] = self.decoder.packed(slice(low, high), high - low, "CODE", q.row_stride)[:, : self.size]
        codes = unpack(packed, dim, 4)
        if self.kinds is not None:
            registers = trellis_states(codes, q) & ((1 << (q.window - 4)) - 1)
            second = np.take(self._second, registers).view(np.uint8)
            kinds = np.zeros((high - low, 2, self.width), np.uint8)  # numpy packs what is not contiguous slowly
            for half in range(2):
                values = second[:, half::2]
                kinds[:, half, : values.shape[1]] = values
            self.kinds[low:high] = np.packbits(kinds, axis=2, bitorder="little")
            codes = codes | second << 4
        parts = np.take(self.tables.astype(np.float32), codes)
        parts *= per_row[:, None]
        rest = self.decoder.rows(low, high, np.empty((high - low, dim), np.float32))
        rest -= self.offset
        rest -= parts
        inverse = self.inverse[low:high]
        found = np.sqrt(np.einsum("ij,ij->i", rest, rest)) * inverse
        # float32 sums of as many terms, and roundings of rows and parts at most so many times as long as the row
        found *= 1 + dim * ROUNDING
        found += 8 * _STEEP * ROUNDING
        found[np.sqrt(np.einsum("ij,ij->i", parts, parts)) * inverse > _STEEP] = 2
        return np.asarray(found, np.float32)


class _AskedNibbles:
    step = _STEP

    def __init__(self, scores: NibbleScores, queries: NDArray[np.float64], largest: int) -> None:
        integers, self._units, error = to_integers(queries, largest)
        self.slack = error * _STEEP + 16 * _STEEP * ROUNDING
        self.off: NDArray[np.float32] | None = scores.off
        self._scores = scores
        self._bases = queries @ scores.offset
        self._queries = np.zeros((len(queries), 2, scores.width), np.int16)
        for half in range(2):
            values = integers[:, half::2]
            self._queries[:, half, : values.shape[1]] = values

    def score(self, low: int, high: int) -> NDArray[np.float32]:
        from qemb.search.nibble_kernel import score_nibbles

        own = self._scores
        out = np.empty((len(self._queries), high - low), np.float32)
        for first, last, data in read_past(own.decoder, low, high, own.width, len(own.off)):
            kinds = None if own.kinds is None else own.kinds[first:last]
            for i in range(len(out)):
                score_nibbles(
                    data, own.decoder.quantization.row_stride, own.tables, kinds, self._queries[i],
                    np.float32(self._units[i]), np.float32(self._bases[i]),
                    own.factors[first:last], own.inverse[first:last], own.off[first:last],
                    out[i, first - low : last - low],
                )  # fmt: skip
        return out


def _two_tables(levels: NDArray[np.int8]) -> tuple[NDArray[np.int8], NDArray[np.bool_]]:
    """Registers in two kinds, by the sign along the axis on which their levels differ most.

    Levels have shape (16, registers). Returns the mean levels of either kind, int8, shape (2, 16), and which registers
    are of the second one.
    """
    centered = levels - levels.mean(axis=1, keepdims=True)
    second = np.linalg.eigh(centered @ centered.T)[1][:, -1] @ centered > 0
    means = [levels[:, kind].mean(axis=1) if kind.any() else np.zeros(16) for kind in (~second, second)]
    return np.rint(means).astype(np.int8), second
