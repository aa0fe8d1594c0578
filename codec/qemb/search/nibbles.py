"""Scores of 4-bit codes out of the packed bytes: levels are stood in for by a cubic, and the difference is bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from qemb.decode import trellis_states
from qemb.layout import Group, Level
from qemb.packing import unpack
from qemb.quantization import float_dtype
from qemb.search.int8 import read_past, scales
from qemb.search.scores import ROUNDING, is_moderate, largest_integer, to_integers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qemb.decode import Decoder
    from qemb.search.scores import Asked, DecodedScores

_STEP = 1 << 15
"""Rows scored at a time."""
_STEEP = 4.0
"""How many times as long as its row a part of it may be; a row of longer ones is looked at whatever its score."""
_BOUNDS = -225, 1900
"""Of the linear coefficient: terms of the cubic stay within 16 bits."""
_COARSEST = 1 << 6
"""A query whose largest value has to stand as less than this is better served otherwise."""
_LANES = 16
"""The kernel is quickest where its inner loop has so many steps, or a multiple."""


def _has_nibbles(decoder: Decoder) -> bool:
    q = decoder.quantization
    return (
        (q.level, q.bits, q.low_bits) == (Level.CODEBOOK, 4, 4)
        and q.scale_group in (Group.ROW, Group.TABLE)
        and q.offset_group in (Group.NONE, Group.TABLE, Group.COLUMN)
    )


class NibbleScores:
    """Rows of codebook or trellis codes of 4 bits, two to a byte, with a scale by row or table.

    Compiled loops have no quick table look-up, but multiply 16-bit integers as quickly as they add them. So the level
    of a code stands as x (a + x^2) times a factor, where x = 2 u - 15 and u is the code; in a trellis the code with its
    lowest bit flipped for those registers whose levels ascend so. Which are flipped is kept, a bit for each value. What
    the levels of a row are off by, as a vector, is found once: its length is the most that a product with a unit vector
    can be off by (Cauchy and Schwarz), and is added to the row's score.
    """

    def __init__(self, decoder: Decoder, decoded: DecodedScores, count: int) -> None:
        q = decoder.quantization
        self.decoder = decoder
        self.size = -(-decoder.dim // 2)
        self.width = -(-self.size // (4 * _LANES)) * _LANES
        """Bytes of flips in a row."""
        self.offset = np.zeros(decoder.dim, np.float32)
        if q.offset_group != Group.NONE:
            self.offset += decoder.container.array("OFFS", float_dtype(q.offset_type)).astype(np.float32)
        self.inverse = decoded.inverse
        table = decoder.container.array("LEVL", "<i1").astype(np.float64).reshape(16, -1)
        self._flipped = (table[1::2] - table[::2]).sum(axis=0) < 0
        """Whether the lowest bit of a code is flipped, by register."""
        table[:, self._flipped] = table[np.arange(16) ^ 1][:, self._flipped]
        self.linear, factor = _fit(table.mean(axis=1))
        self.flips = np.zeros((count if self._flipped.any() else 0, self.width), np.uint8)
        """As the kernel wants them."""
        self._cubic = np.arange(-15, 16, 2, dtype=np.float32)
        self._cubic *= factor * (self.linear + self._cubic**2)
        per_row = np.broadcast_to(scales(decoder), count if len(scales(decoder)) == 1 else len(scales(decoder)))[:count]
        self.factors = (factor * per_row * self.inverse).astype(np.float32)
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

    def ask(self, queries: NDArray[np.float64]) -> Asked | None:
        """Make queries ready, float64, shape (n, dim), of unit length; None where 16 bits are too few for them."""
        largest = largest_integer(queries, 15 * (abs(self.linear) + 15 * 15))
        return _AskedNibbles(self, queries, largest) if largest >= _COARSEST else None

    def _measure(self, low: int, high: int, per_row: NDArray[np.float32]) -> NDArray[np.float32]:
        """How far cosines of rows may be above their scores; finds their flips on the way."""
        q, dim = self.decoder.quantization, self.decoder.dim
        packed: NDArray[Any] = self.decoder.packed(slice(low, high), high - low, "CODE", q.row_stride)[:, : self.size]
        if len(self.flips):
            registers = trellis_states(unpack(packed, dim, 4), q) & ((1 << (q.window - 4)) - 1)
            flips = np.zeros((high - low, 8 * self.width), np.uint8)
            flips[:, :dim] = self._flipped[registers]
            two = flips[:, ::2] | flips[:, 1::2] << 1
            packed = packed ^ ((two | two << 3) & 0x11)[:, : self.size]
            groups = two.reshape(high - low, 4, self.width)
            self.flips[low:high] = groups[:, 0] | groups[:, 1] << 2 | groups[:, 2] << 4 | groups[:, 3] << 6
        cubics = np.take(self._cubic[unpack(np.arange(256, dtype=np.uint8)[:, None], 2, 4)], packed, axis=0)
        parts = cubics.reshape(high - low, -1)[:, :dim] * per_row[:, None]
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
        self._queries = np.zeros((len(queries), 2, 4 * scores.width), np.int16)
        for half in range(2):
            values = integers[:, half::2]
            self._queries[:, half, : values.shape[1]] = values

    def score(self, low: int, high: int) -> NDArray[np.float32]:
        from qemb.search.kernels import score_nibbles

        own = self._scores
        out = np.empty((len(self._queries), high - low), np.float32)
        for first, last, data in read_past(own.decoder, low, high, 4 * own.width, len(own.off)):
            for i in range(len(out)):
                score_nibbles(
                    data, own.decoder.quantization.row_stride, own.flips[first:last], self._queries[i],
                    np.int16(own.linear), np.float32(self._units[i]), np.float32(self._bases[i]),
                    own.factors[first:last], own.inverse[first:last], own.off[first:last],
                    out[i, first - low : last - low],
                )  # fmt: skip
        return out


def _fit(levels: NDArray[np.float64]) -> tuple[int, float]:
    """The coefficient of x and the factor of the cubic that is nearest to 16 levels."""
    x = np.arange(-15.0, 16, 2)
    weights = np.exp(-0.5 * np.square(x / 7))  # codes in the middle are the usual ones
    linear, third = np.linalg.lstsq(np.stack([x, x**3], 1) * weights[:, None], levels * weights, rcond=None)[0]
    coefficient = int(np.clip(np.rint(linear / third), *_BOUNDS)) if third > 0 else _BOUNDS[1]
    cubic = x * (coefficient + x**2) * weights
    return coefficient, float(cubic @ (levels * weights) / (cubic @ cubic))
