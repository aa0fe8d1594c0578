"""Values that were printed with a few decimal digits, as ranks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from qemb.decimal import DecimalLevels, scaled_decimal
from qemb.decode import EXCEPTION
from qemb.encode.split import best_low_bits, split
from qemb.layout import Level
from qemb.packing import packed_size
from qemb.quantization import Quantization

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

EXCEPTION_BITS = 8 * EXCEPTION.itemsize
_BLOCK = 1 << 14
"""Values coded at a time, so that float64 intermediates stay in the cache of one core."""
_MAX_DIGITS = 9
"""Nine significant digits tell any two float32 apart."""
_MAX_EXPONENT = 22
"""Powers of ten beyond are not exact in float64, and decode slowly: such values are exceptions."""
_WORTH_TRYING = 12
"""Bits a value that exceptions may take in a form that is tried at all."""
_RARE = (1e-5, 1e-3)
"""Shares of the values that may be left to exceptions for the sake of a larger smallest exponent, and so fewer bits."""


class DecimalEncoder:
    """Ranks of decimal numbers; values that are none of them are exceptions.

    Parameters
    ----------
    quantization : Quantization
        The descriptor, decimal levels.
    dim : int
        Values in a row.
    """

    needs_pass = False
    needs_finite = False
    compress_rows = True

    def __init__(self, quantization: Quantization, dim: int) -> None:
        self.quantization = quantization
        self.dim = dim
        self.levels = DecimalLevels(quantization)
        q = quantization
        self._decade = 9 * 10 ** (q.digits - 1)
        self._thresholds = [np.float32(10.0 ** (e + q.digits)) for e in range(q.exponent_min, q.exponent_max)]
        self._factors = np.array([10.0**-e for e in range(q.exponent_min, q.exponent_max + 1)])

    def encode(self, tile: NDArray[np.float32], first: int) -> dict[str, NDArray[Any]]:
        """Low bits, high planes, and exceptions where there are any, by position in the table."""
        codes, exceptions = self.codes(tile)
        exceptions["position"] += np.uint64(first * self.dim)
        return {**split(codes, self.quantization)} | ({"EXCP": exceptions} if len(exceptions) else {})

    def fit(self, tiles: Callable[[], Iterable[NDArray[np.float32]]]) -> None:
        """Nothing depends on other rows."""

    def head(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Nothing but codes and exceptions."""
        return iter(())

    def widen(self) -> bool:
        """There are no scales."""
        return False

    def codes(self, tile: NDArray[np.float32]) -> tuple[NDArray[np.uint32], NDArray[Any]]:
        """Codes, uint32, shape as ``tile``, and exceptions by position in the tile."""
        flat = np.ascontiguousarray(tile).reshape(-1)
        codes = np.empty(len(flat), np.uint32)
        for low in range(0, len(flat), _BLOCK):
            codes[low : low + _BLOCK] = self._nearest(flat[low : low + _BLOCK])
        bits = flat.view(np.uint32)
        other = np.flatnonzero(self.levels.values(codes).view(np.uint32) != bits)
        codes[other] = self.quantization.max_rank
        exceptions = np.empty(len(other), EXCEPTION)
        exceptions["position"], exceptions["bits"] = other, bits[other]
        return codes.reshape(tile.shape), exceptions

    def _nearest(self, values: NDArray[np.float32]) -> NDArray[np.uint32]:
        """Codes of the nearest numbers; anything for values that are out of reach."""
        magnitude = np.abs(values)
        magnitude[~np.isfinite(magnitude)] = 0
        steps = np.zeros(len(values), np.uint8)
        for threshold in self._thresholds:
            steps += magnitude >= threshold
        rank = magnitude.astype(np.float64)
        rank *= np.take(self._factors, steps)
        np.rint(rank, out=rank)
        # a significand that rounds up to 10^D is 10^(D-1) with the next exponent, and that is the next rank, too
        rank += np.multiply(steps, self._decade, dtype=np.float64)
        top = self.quantization.max_rank
        np.minimum(rank, top, out=rank)
        rank = np.where(np.signbit(values), -rank, rank)
        rank += top
        return rank.astype(np.uint32)


def find_decimals(sample: NDArray[np.float32]) -> Iterator[tuple[Quantization, float]]:
    """Decimal forms that a sample of rows suggests, and the bits a value that each takes, exceptions counted."""
    digits, low, high = shortest_decimals(sample.reshape(-1))
    for count in range(1, _MAX_DIGITS + 1):
        fits = digits <= count
        found = fits & (digits > 0)
        if not found.any() or EXCEPTION_BITS * np.count_nonzero(~fits) > _WORTH_TRYING * len(fits):
            continue
        smallest = np.quantile(low[found], _RARE, method="lower").astype(int)
        for exponent_min in range(smallest.min(), smallest.max() + 1):
            exponent_max = max(exponent_min, int(high[found].max()) - count + 1)
            q = _descriptor(count, exponent_min, exponent_max, sample.shape[1])
            if q is None:
                continue
            codes, exceptions = DecimalEncoder(q, sample.shape[1]).codes(sample)
            low_bits, cost = best_low_bits(codes, q.bits)
            q = replace(q, low_bits=low_bits, row_stride=packed_size(sample.shape[1], low_bits))
            yield q, cost + EXCEPTION_BITS * len(exceptions) / sample.size
        if fits.all():
            break


def _descriptor(digits: int, exponent_min: int, exponent_max: int, dim: int) -> Quantization | None:
    q = Quantization(
        level=Level.DECIMAL,
        bits=32,
        low_bits=32,
        row_stride=packed_size(dim, 32),
        digits=digits,
        exponent_min=exponent_min,
        exponent_max=exponent_max,
    )
    bits = (2 * q.max_rank).bit_length()
    return replace(q, bits=bits) if bits <= 32 else None


def shortest_decimals(values: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The shortest decimal number that is each value, when read as float32.

    Returns
    -------
    digits, low, high : int64, shape as ``values``
        Significant digits: 0 for +0, more than 9 where there is no such number within the powers of ten that are tried.
        Exponents of the last digit and of the first.
    """
    digits = np.full(len(values), _MAX_DIGITS + 1)
    low, high = np.zeros_like(digits), np.zeros_like(digits)
    digits[values.view(np.uint32) == 0] = 0
    left = np.flatnonzero(np.isfinite(values) & (values != 0))
    magnitude = np.abs(values[left]).astype(np.float64)
    leading = np.floor(np.log10(magnitude)).astype(np.int64)
    for count in range(1, _MAX_DIGITS + 1):
        last = leading - count + 1
        within = np.abs(last) <= _MAX_EXPONENT
        left, magnitude, leading, last = left[within], magnitude[within], leading[within], last[within]
        significand = np.rint(magnitude * 10.0 ** -last.astype(np.float64)).astype(np.int64)
        number = scaled_decimal(significand, last + _MAX_EXPONENT, -_MAX_EXPONENT, _MAX_EXPONENT)
        same = number == magnitude
        # a value just below a power of ten is that power: one digit
        last, leading = last + (significand == 10**count) * count, leading + (significand == 10**count)
        digits[left[same]], low[left[same]], high[left[same]] = count, last[same], leading[same]
        left, magnitude, leading = left[~same], magnitude[~same], leading[~same]
    return digits, low, high
