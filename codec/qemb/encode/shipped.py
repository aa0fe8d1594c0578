"""Quantizing for entropy coding: steps so coarse that Huffman coding brings codes to the bits that are wanted.

A uniform quantizer followed by entropy coding is 1.53 dB from the rate-distortion limit at all rates but low ones. From
3 to 5 bits a trellis gains 1 dB of that (entropy-coded trellis-coded quantization: Fischer and Wang, IEEE Trans. Inf.
Theory 38, 1992): its levels are the integers, in four classes by their remainder modulo 4, two of which are open to a
code, depending on the codes before.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from qemb.encode.base import need_finite, sample_rows
from qemb.encode.scaled import ScaledEncoder
from qemb.encode.split import split, stored_size
from qemb.encode.viterbi import FAR, find_kernels
from qemb.layout import FloatType, Group, Level
from qemb.packing import packed_size
from qemb.quantization import Quantization, float_dtype
from qemb.threads import for_each

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from qemb.encode.base import Tiles

SHIPPED_WIDTHS = range(2, 9)
"""Bits a value that this is for."""
_TRELLIS_WIDTHS = range(3, 6)
"""Bits a value at which the trellis is ahead. At 2 bits its four classes blur the few codes that are left; at 6, int8
levels would not reach far enough."""
MEMORY = 3
"""Bits of the trellis's register: 8 states. 4 states are 0.003 of recall behind, 16 and more hardly ahead."""
_TOP = 124
"""The largest level of the trellis that any code reaches in every class."""
_SEAM = 16
"""Values on either side of the seam of a row that are searched to find the register it is closed with."""
_ROUNDS = 6
"""Factors tried; each comes five times nearer and more."""
_LEAST_VALUES = 1 << 17
"""Values of a table from which on the levels of the trellis are worth 600 bytes."""
_LEAST_SHARE = 0.9
"""Share of the bits that is left to codes and scales where there are so few rows that the mean weighs more."""
_LANES = 2048
"""Rows searched side by side."""
_DECISIONS = 1 << 24
"""Bytes of decisions that are kept at a time."""


class ShippedEncoder(ScaledEncoder):
    """Linear levels, or a trellis of integers, whose steps suit the bits a value that a file may take on disk.

    The step of a row is its standard deviation times a factor that all rows share, in three significant bits: such
    scales take 4 bits a row in frames, and finer steps gain nothing. The factor is found by what a sample of rows takes
    in frames.

    Parameters
    ----------
    bits : int
        Bits a value on disk: codes, scales, levels and the mean together.
    dim : int
        Values in a row.
    """

    compress_rows = True

    def __init__(self, bits: int, dim: int) -> None:
        self._wanted = bits
        self._factor = 1.0
        # 2 bits: two codes a byte, whose probabilities suit Huffman coding; 7 and 8: codes of 8 would not reach far
        width = 4 if bits == 2 else 8 + max(0, bits - 6)
        low_bits = width if width <= 8 else width - 8
        quantization = Quantization(
            level=Level.LINEAR,
            bits=width,
            low_bits=low_bits,
            row_stride=packed_size(dim, low_bits),
            scale_group=Group.ROW,
            scale_type=FloatType.FLOAT16,
            offset_group=Group.COLUMN,
            offset_type=FloatType.FLOAT32,
        )
        super().__init__(quantization, dim, may_widen=True)

    @property
    def top(self) -> int:
        """The outermost level."""
        q = self.quantization
        return _TOP if q.level == Level.CODEBOOK else (1 << (q.bits - 1)) - 1

    def fit(self, tiles: Tiles) -> None:
        """The mean; whether the levels of the trellis are worth their bytes; the factor, on a sample of rows."""
        super().fit(tiles)
        sample, rows = sample_rows(tiles(), self.dim)
        if self._wanted in _TRELLIS_WIDTHS and self.dim > MEMORY and rows * self.dim >= _LEAST_VALUES:
            window = self.quantization.bits + MEMORY
            self.quantization = replace(self.quantization, level=Level.CODEBOOK, window=window, shift=1)
        with np.errstate(over="ignore"):
            distances = sample if self.mean is None else sample - self.mean
        # `encode` names the row where the distance from the mean overflows
        self._factor = self._find_factor(distances[np.isfinite(distances).all(axis=1)], rows)

    def _find_factor(self, sample: NDArray[np.float32], rows: int) -> float:
        """The factor that gives the bits wanted."""
        fixed = 8 * sum(part.nbytes for _, part in self.head()) / max(rows * self.dim, 1)
        wanted = max(self._wanted - fixed, _LEAST_SHARE * self._wanted)
        power = 0.0
        for _ in range(_ROUNDS if len(sample) else 0):
            self._factor = 2**power
            scales, codes = self.choose(sample)
            with np.errstate(over="ignore"):  # `encode` names the row of a scale that does not fit
                stored = scales.astype(float_dtype(self.quantization.scale_type))[:, None]
            size = 8 * stored_size({**split(codes, self.quantization), "SCAL": stored}) / sample.size
            power = min(max(power + size - wanted, -16.0), 16.0)  # a step twice as large saves a bit
        return float(2**power)

    def head(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """The levels of the trellis, and the mean."""
        if self.quantization.level == Level.CODEBOOK:
            yield "LEVL", trellis_table()
        yield from super().head()

    def encode(self, tile: NDArray[np.float32], first: int) -> dict[str, NDArray[Any]]:
        """As every scaled scheme; values whose nearest level may be past the largest float32 are refused."""
        with np.errstate(over="ignore"):
            need_finite(tile * np.float32(4), first, "four times the value overflows")
        return super().encode(tile, first)

    def choose(self, tile: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
        """Scales from the standard deviation, then codes."""
        scales = self.scales(tile)
        units = np.where(scales > 0, scales, np.float32(1))[:, None]
        if self.quantization.level == Level.LINEAR:
            levels = np.rint(tile / units)
            np.clip(levels, -self.top, self.top, out=levels)
            return scales, levels.astype(np.int16).view(np.uint16) & np.uint16((1 << self.quantization.bits) - 1)
        return scales, _search(tile, units, _classes())

    def scales(self, groups: NDArray[np.float32]) -> NDArray[np.float32]:
        """Standard deviation times the factor, in three significant bits, and so large that no level is passed."""
        wide = groups.astype(np.float64)
        least = np.abs(wide).max(axis=1, initial=0) / self.top
        wanted = np.maximum(np.sqrt(np.add.reduce(wide * wide, axis=1) / self.dim) * self._factor, least)
        fraction, exponent = np.frexp(wanted)
        eighths = np.rint(8 * fraction)
        eighths += np.ldexp(eighths, exponent - 3) < least
        with np.errstate(over="ignore"):
            return np.asarray(np.ldexp(eighths, exponent - 3)).astype(np.float32)


def _classes() -> NDArray[np.int64]:
    """Remainder modulo 4 of the levels that are open at a register, by the low bit of the code, shape (2^memory, 2).

    Ungerboeck's code of 8 states (IEEE Trans. Inf. Theory 28, 1982), parity checks 13 and 04, octal: with u the low
    bit now and u1 to u3 those before, the low bit of the remainder is u2, the high one u + u1 + u3 modulo 2.
    """
    register = np.arange(1 << MEMORY)
    one, two, three = (register >> (MEMORY - age) & 1 for age in (1, 2, 3))
    return np.stack([2 * (bit ^ one ^ three) + two for bit in (0, 1)], axis=1)


def trellis_table() -> NDArray[np.int8]:
    """Section LEVL: the level of each state, int8, shape (2^(8 + memory),). Code 128 lies in the middle."""
    code = np.arange(256)
    levels = 4 * ((code >> 1) - 64)[:, None] + _classes()[:, code & 1].T
    return np.asarray(np.clip(levels, -128, 127)).astype(np.int8).reshape(-1)


def _search(tile: NDArray[np.float32], units: NDArray[np.float32], classes: NDArray[np.int64]) -> NDArray[np.uint16]:
    """Codes of least squared error, shape (rows, dim): Viterbi's search, rows as circles."""
    rows, dim = tile.shape
    codes = np.empty((rows, dim), np.uint16)
    kernels = find_kernels(tile.size)
    lanes = max(1, min(_LANES, _DECISIONS // (dim << MEMORY)))

    def work(low: int) -> None:
        part = slice(low, low + lanes)
        values = tile[part] / units[part]
        if kernels is None:
            codes[part] = _search_block(np.ascontiguousarray(values.T), classes).T
        else:
            kernels.search_integers(values, np.arange(-_SEAM, _SEAM) % dim, classes, codes[part])

    for_each(work, range(0, rows, lanes))
    return codes


def _search_block(values: NDArray[np.float32], classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Codes for rows side by side, shape (dim, rows)."""
    dim, rows = values.shape
    registers = 1 << MEMORY
    register = np.arange(registers)
    bit = register >> (MEMORY - 1)
    even = register << 1 & (registers - 1)  # of the two registers that lead into each; the other is one more
    from_even, from_odd = (classes[even + odd, bit].reshape(2, -1) for odd in (0, 1))
    metrics = np.empty((4, rows), np.float32)

    def step(column: NDArray[np.float32], costs: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        for remainder in range(4):
            distance = (column - np.float32(remainder)) * np.float32(0.25)
            distance -= np.rint(distance)
            np.multiply(distance, distance, out=metrics[remainder])
        one, other = metrics[from_even], metrics[from_odd]
        one += costs[0::2]
        other += costs[1::2]
        return np.minimum(one, other).reshape(costs.shape), (other < one).reshape(costs.shape)

    def before(at: NDArray[np.int64], number: int) -> NDArray[np.int64]:
        return np.asarray((at << 1 & (registers - 1)) | odd[number][at, lane])

    def search(columns: NDArray[np.float32], costs: NDArray[np.float32]) -> NDArray[np.float32]:
        for number, column in enumerate(columns):
            costs, odd[number] = step(column, costs)
        return costs

    odd = np.empty((max(dim, 2 * _SEAM), registers, rows), np.bool_)
    lane = np.arange(rows)
    # a free run around the seam of the circles finds the register that each is closed with
    seam = np.arange(-_SEAM, _SEAM) % dim
    closing = search(values[seam], np.zeros((registers, rows), np.float32)).argmin(axis=0)
    for number in range(2 * _SEAM - 1, _SEAM - 1, -1):
        closing = before(closing, number)
    costs = np.full((registers, rows), FAR)
    costs[closing, lane] = 0
    search(values, costs)
    codes = np.empty((dim, rows), np.int64)
    at = closing
    for number in range(dim - 1, -1, -1):
        low = at >> (MEMORY - 1)
        at = before(at, number)
        group = np.rint((values[number] - classes[at, low]) * np.float32(0.25)).astype(np.int64)
        codes[number] = 2 * (group + 64) + low
    return codes
