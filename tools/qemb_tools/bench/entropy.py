"""The entropy of values: what lossless storage of values that do not depend on each other cannot go below.

Computed from the values alone, not with the codec's own search for their digits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_DIGITS = 8  # nine tell every float32 apart
_SAMPLE = 100_000


@dataclass(frozen=True)
class Entropy:
    """``bits`` a value, and what the values are taken for."""

    bits: float
    form: str


def entropy(vectors: NDArray[np.float32]) -> Entropy:
    """Entropy of a table's values as floats, or as decimals where they are such and that is less."""
    raw = vectors.reshape(-1).view(np.uint32)
    short = not (raw & np.uint32(0xFFFF)).any()
    floats = Entropy(_entropy_of((raw >> np.uint32(16 * short)).astype(np.int64)), "bfloat16" if short else "float32")
    decimals = (
        Entropy(_entropy_of(codes), f"{digits} {name}")
        for name, digits, codes in _decimals(vectors.reshape(-1).astype(np.float64))
    )
    return min([floats, *decimals], key=lambda found: found.bits)


def _decimals(values: NDArray[np.float64]) -> list[tuple[str, int, NDArray[np.int64]]]:
    """The fewest significant digits, and the fewest decimals, that hold all values but one in a thousand at most."""
    sample = np.random.default_rng(0).choice(values, min(_SAMPLE, len(values)), replace=False)
    found = []
    for name, cut in (("significant decimal digits", _significant), ("decimals", _fixed)):
        for digits in range(1, _MOST_DIGITS + 1):
            if (cut(sample, digits)[1].astype(np.float32) == sample).mean() > 0.999:
                found.append((name, digits, cut(values, digits)[0]))
                break
    return found


def _significant(values: NDArray[np.float64], digits: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Codes in the order of the values: sign, power of ten, digits; and the decimals that they stand for."""
    magnitude = np.abs(values)
    exponent = np.floor(np.log10(np.where(magnitude > 0, magnitude, 1))).astype(np.int64) - (digits - 1)
    integer = np.rint(_times_power(magnitude, -exponent)).astype(np.int64)
    over = integer >= 10**digits
    exponent += over
    integer = np.where(over, 10 ** (digits - 1), integer)
    decade = 9 * 10 ** (digits - 1)
    rank = np.where(magnitude > 0, (exponent - exponent.min()) * decade + integer - 10 ** (digits - 1) + 1, 0)
    return np.where(values < 0, -rank, rank), np.copysign(_times_power(integer.astype(np.float64), exponent), values)


def _fixed(values: NDArray[np.float64], decimals: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    integer = np.rint(values * 10.0**decimals)
    return integer.astype(np.int64), integer / 10.0**decimals


def _times_power(values: NDArray[np.float64], exponent: NDArray[np.int64]) -> NDArray[np.float64]:
    """``values * 10**exponent`` with powers that are exact in float64: quotients for negative ones."""
    power = 10.0 ** np.clip(np.abs(exponent), 0, 22)
    return np.where(exponent < 0, values / power, values * power)


def _entropy_of(codes: NDArray[np.int64]) -> float:
    """Entropy of integers, bits each, with Miller and Madow's correction (1955) for what too few samples miss.

    Low bits are taken for uniform noise, a bit each, as long as there are fewer than ten samples for each code that
    occurs; more cannot be known from so few.
    """
    codes = codes - codes.min()
    noise = 0
    counts = np.unique(codes, return_counts=True)[1]
    while len(codes) < 10 * len(counts) and len(counts) > 1:
        noise += 1
        counts = np.unique(codes >> noise, return_counts=True)[1]
    share = counts / len(codes)
    plain = -float((share * np.log2(share)).sum())
    return plain + (len(counts) - 1) / (2 * len(codes) * math.log(2)) + noise
