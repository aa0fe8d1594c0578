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
    computed to twice as many bits.
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
    doubtful &= significand != 0
    if doubtful.any():
        values[doubtful] = _settle(significand[doubtful], steps[doubtful] + exponent_min)
    return values


def _settle(significand: NDArray[np.int64], exponents: NDArray[np.int64]) -> NDArray[np.float32]:
    """``significand * 10**exponents``, for 0 < significand < 2^53, rounded once whatever it is.

    Computed as the sum of two float64 (Dekker, 1971), which is rounded to odd first: where the sum is not a float64, to
    whichever neighbour ends in a 1. Rounding that to any format of two bits less is as rounding once (Boldo and
    Melquiond, 2008), and subnormal float32 have fewer.
    """
    up = exponents >= 0
    if up.any() and not up.all():
        values = np.empty(len(up), np.float32)
        for side in (up, ~up):
            values[side] = _settle(significand[side], exponents[side])
        return values
    near = significand.astype(np.float64)
    powers = np.abs(exponents)
    tens, rests = _powers_of_ten(int(powers.max()))
    ten, rest = tens[powers], rests[powers]
    if up.all():
        high, low = _product(near, ten)
        low += near * rest
    else:
        high = near / ten
        back, missed = _product(high, ten)
        low = ((near - back) - missed - high * rest) / ten
    total = high + low
    low -= total - high
    odd = (total.view(np.uint64) & np.uint64(1)).astype(np.bool_)
    towards = np.where(low > 0, np.inf, -np.inf)
    with np.errstate(over="ignore", under="ignore"):
        values = np.where((low == 0) | odd, total, np.nextafter(total, towards)).astype(np.float32)
    # Up to 10^22 the rest is exact. Past it no product or quotient is a float64, and the sign of a rest that is all
    # error would not be known.
    unsure = (powers > _EXACT_POWERS) & (np.abs(low) < np.abs(total) * 2.0**-96)
    if unsure.any():
        from fractions import Fraction

        for place in np.flatnonzero(unsure):
            values[place] = nearest_float32(Fraction(int(significand[place])) * Fraction(10) ** int(exponents[place]))
    return values


def _powers_of_ten(last: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """10^0 to 10^last as the sums of two float64, the first of them the nearest."""
    tens = [float(10**power) for power in range(last + 1)]
    rests = [float(10**power - int(ten)) for power, ten in enumerate(tens)]
    return np.array(tens), np.array(rests)


def _product(one: NDArray[np.float64], other: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The product as float64, and what it lost, exactly (Veltkamp's splitting, Dekker's product)."""
    product = one * other
    (one_high, one_low), (other_high, other_low) = _split(one), _split(other)
    lost = ((one_high * other_high - product) + one_high * other_low + one_low * other_high) + one_low * other_low
    return product, lost


def _split(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Two float64 of 26 bits each whose sum it is."""
    wide = values * (2.0**27 + 1)
    high = wide - (wide - values)
    return high, values - high


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
