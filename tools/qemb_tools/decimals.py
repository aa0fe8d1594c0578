"""Decimal numbers in text to float32, many at a time: the step that decides how long it takes to read text vectors."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PAD: Final = 16  # bytes that may be looked at before the first number
_LONGEST: Final = 14  # digits after the point: with one before it, the number without its point is below 2^53
_POWERS: Final = 10.0 ** np.arange(_LONGEST + 1)
_KEEP: Final = np.array([(1 << 64) - (1 << (64 - 8 * n)) for n in range(9)], np.uint64)
"""Masks of the last n bytes of eight, which are the high ones of a little-endian word."""


def parse_decimals(data: bytes) -> NDArray[np.float32]:
    """Read numbers with single spaces or tabs between them; the result is that of `parse_floats`, bit for bit.

    A number of the usual form, a sign or none, one digit, a point and up to 14 digits, is an integer over a power of
    ten, both exact in float64. So their quotient is the float64 nearest to the number, which is what ``float`` reads.
    Eight digits become an integer in three multiplications of a 64-bit word. Numbers of other forms, such as those
    with exponents, are left to `parse_floats`. On GloVe text this takes a quarter of its time.
    """
    buffer = np.frombuffer(b" " * _PAD + data + b" ", np.uint8)
    text = buffer[_PAD - 1 :]
    spaces = text == ord(" ")
    if b"\t" in data:
        spaces |= text == ord("\t")
    marks = np.flatnonzero(spaces | (text == ord("."))) + (_PAD - 1)
    separators = np.flatnonzero(spaces[marks - (_PAD - 1)])
    starts, ends = marks[separators[:-1]] + 1, marks[separators[1:]]
    points = marks[separators[1:] - 1]
    negative = buffer[starts] == ord("-")
    whole = buffer[points - 1] - np.uint8(ord("0"))
    places = ends - points - 1
    usual = np.diff(separators) == 2  # a point, and only one
    usual &= (points - starts == 1 + negative) & (whole <= 9) & (places >= 1) & (places <= _LONGEST)
    places *= usual

    words = np.lib.stride_tricks.as_strided(buffer[:8].view("<u8"), (len(buffer) - 7,), (1,))
    fraction, valid = _last_digits(words[ends - 8], np.minimum(places, 8))
    values = fraction.astype(np.float64)
    usual &= valid
    long = np.flatnonzero(places > 8)
    if len(long):
        fraction, valid = _last_digits(words[ends[long] - 16], places[long] - 8)
        values[long] += fraction * 1e8
        usual[long] &= valid
    power = _POWERS[places]
    values += whole * power
    values /= power
    result = values.astype(np.float32)
    np.negative(result, out=result, where=negative)

    others = np.flatnonzero(~usual)
    if not len(others):
        return result
    if len(others) * 8 > len(result):
        return parse_floats(data)
    first, last = (starts[others] - _PAD).tolist(), (ends[others] - _PAD).tolist()
    read = parse_floats(b" ".join([data[i:j] for i, j in zip(first, last, strict=True)]))
    if len(read) != len(others):
        return parse_floats(data)
    result[others] = read
    return result


def parse_floats(data: bytes) -> NDArray[np.float32]:
    """Read numbers of any form with white space between them; fewer than there are fields where one is not a number.

    Rounds as ``np.float32(float(field))`` does. A number glued to the next ("1.5-2") would read as two: the caller
    compares sizes with a count of fields.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # older numpys warn and stop where newer ones raise
        try:
            return np.fromstring(data, dtype=np.float32, sep=" ") if data else np.empty(0, np.float32)
        except (ValueError, DeprecationWarning):
            return np.empty(0, np.float32)


def _last_digits(words: NDArray[Any], count: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.bool_]]:
    """The last ``count`` characters of each eight as an integer, and whether all of them are digits.

    Neighbours are joined in pairs, pairs in fours, fours in eights (Mula, "SIMD-ized parsing of numbers", 2014).
    """
    digits = words ^ np.uint64(0x3030303030303030)
    digits &= _KEEP[count]
    # adding 0x76 carries into the top bit of a byte above 9; bytes above 0x7F have it already
    strange = digits + np.uint64(0x7676767676767676)
    strange |= digits
    strange &= np.uint64(0x8080808080808080)
    for factor, shift, mask in ((10, 8, 0x00FF00FF00FF00FF), (100, 16, 0x0000FFFF0000FFFF), (10_000, 32, 0xFFFFFFFF)):
        right = digits >> np.uint64(shift)
        digits *= np.uint64(factor)
        digits += right
        digits &= np.uint64(mask)
    return digits, strange == 0
