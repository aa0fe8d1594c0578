"""Decimal levels: ranks of numbers of few significant digits, and the float32 that each of them is.

A rank m below 10^D is the significand, at exponent E; from there on each power of ten takes 9 x 10^(D-1) ranks. So with
k = max(0, floor((m - 10^(D-1)) / (9 x 10^(D-1)))) the exponent is E + k, and the significand m - k x 9 x 10^(D-1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from qemb.errors import InvalidError

if TYPE_CHECKING:
    from fractions import Fraction

    from numpy.typing import NDArray

    from qemb.quantization import Quantization

MAX_TABLE = 1 << 21
"""Codes whose values are put in a table, at most: 8 MiB of float32."""
_BLOCK = 1 << 14
"""Values computed at a time, so that float64 intermediates stay in the cache of one core."""
_EXACT_POWERS = 22
"""10^22 is the largest power of ten that float64 holds exactly."""


class DecimalLevels:
    """Values of the decimal codes of one descriptor.

    Computing one takes 10 ns, looking it up 1 ns. A table of all is made when as many values have been asked for as it
    has entries: single rows never wait for it.
    """

    def __init__(self, quantization: Quantization) -> None:
        self._top = quantization.max_rank
        self._first = 10 ** (quantization.digits - 1)
        self._exponents = quantization.exponent_min, quantization.exponent_max
        self._table: NDArray[np.float32] | None = None
        self._asked = 0

    def values(self, codes: NDArray[Any], out: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """The float32 of each code, shape as ``codes``, which are uint8 to uint32; in ``out`` where it is given.

        Raises
        ------
        InvalidError
            ``invalid.code`` for a code past the last rank.
        """
        if self._table is None and 2 * self._top < MAX_TABLE:
            self._asked += codes.size
            if self._asked > 2 * self._top:
                self._table = self._compute(np.arange(2 * self._top + 1, dtype=np.uint32))
        out = np.empty(codes.shape, np.float32) if out is None else out
        if codes.size and int(codes.max()) > 2 * self._top:
            raise InvalidError("invalid.code", f"a code is past {2 * self._top:,}, the last rank", where="section CODE")
        if self._table is None:
            out[...] = self._compute(codes)
        else:
            np.take(self._table, codes, out=out, mode="clip")
        return out

    def _compute(self, codes: NDArray[Any]) -> NDArray[np.float32]:
        flat = np.ascontiguousarray(codes).reshape(-1)
        out = np.empty(len(flat), np.float32)
        for low in range(0, len(flat), _BLOCK):
            out[low : low + _BLOCK] = self._compute_block(flat[low : low + _BLOCK])
        return out.reshape(codes.shape)

    def _compute_block(self, codes: NDArray[Any]) -> NDArray[np.float32]:
        rank = codes.astype(np.int64) - self._top
        magnitude = np.abs(rank)
        steps = np.maximum(magnitude - self._first, 0) // (9 * self._first)
        magnitude -= steps * (9 * self._first)
        values = scaled_decimal(magnitude, steps, *self._exponents)
        return np.where(rank < 0, -values, values)


def scaled_decimal(
    significand: NDArray[np.int64], steps: NDArray[np.int64], exponent_min: int, exponent_max: int
) -> NDArray[np.float32]:
    """``significand * 10**(exponent_min + steps)`` rounded once, to the nearest float32, ties to even.

    Powers of ten up to 10^22 are exact in float64, so one product or quotient gives the nearest float64. Rounding
    that again is right unless it fell on a tie between two float32, or outside their normal range: those few are
    settled with exact fractions.
    """
    exponents = range(exponent_min, exponent_max + 1)
    factors = np.array([10.0**e if 0 <= e <= _EXACT_POWERS else 1.0 for e in exponents])
    divisors = np.array([10.0**-e if -_EXACT_POWERS <= e < 0 else 1.0 for e in exponents])
    near = significand.astype(np.float64)
    if exponent_max > 0:
        near *= np.take(factors, steps)
    if exponent_min < 0:
        near /= np.take(divisors, steps)
    with np.errstate(over="ignore", under="ignore"):
        values = near.astype(np.float32)
    doubtful = near.view(np.uint64) & np.uint64((1 << 29) - 1) == np.uint64(1 << 28)
    if exponent_min < -_EXACT_POWERS or exponent_max > _EXACT_POWERS:
        large = np.abs(np.array(exponents)) > _EXACT_POWERS
        doubtful |= np.take(large, steps)
        doubtful |= near > 2.0**127
        doubtful |= near < 2.0**-126
    if doubtful.any():
        from fractions import Fraction

        doubtful &= significand != 0
        for place in np.flatnonzero(doubtful):
            exact = Fraction(int(significand.flat[place])) * Fraction(10) ** (exponent_min + int(steps.flat[place]))
            values.flat[place] = nearest_float32(exact)
    return values


def nearest_float32(value: Fraction) -> np.float32:
    """The float32 nearest to a fraction that is not negative, ties to even, infinity past the largest."""
    from fractions import Fraction

    if value == 0:
        return np.float32(0)
    exponent = max(value.numerator.bit_length() - value.denominator.bit_length() - 1, -126)
    while value >= Fraction(2) ** (exponent + 1):
        exponent += 1
    units = round(value / Fraction(2) ** (exponent - 23))  # Python rounds fractions half to even
    with np.errstate(over="ignore"):
        return np.float32(float(units) * 2.0 ** (exponent - 23))
