"""Rows of text to float32, thousands of numbers at a time: the step that decides how long it takes to read text."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PAD: Final = 24  # bytes that may be looked at before the end of a number
_POWERS: Final = np.array([1.0, *(float(10**n) for n in range(16))])
"""Ten to the number of digits after the point, by that number and one; the first is for numbers without a point."""
_KEEP: Final = np.array([(1 << 64) - (1 << (64 - 8 * n)) for n in range(9)], np.uint64)
"""Masks of the last n bytes of eight, which are the high ones of a little-endian word."""
_ZEROS: Final = np.uint64(0x3030303030303030)
_POINTS: Final = np.uint64(0x1E1E1E1E1E1E1E1E)  # "." ^ "0"
_ONES: Final = np.uint64(0x0101010101010101)
_TOPS: Final = np.uint64(0x8080808080808080)
_AFTER: Final = np.uint64(0x0807060504030201)
"""Times 2^8k, it has in its top byte how many of eight bytes follow number k, and one."""


def read_rows(lines: bytes, dim: int) -> tuple[list[bytes], NDArray[np.float32]] | None:
    """Read lines that are a token and ``dim`` numbers each, with spaces or tabs between; they may be in the token, too.

    Parameters
    ----------
    lines : bytes
        Whole lines, each with its newline. Everything is in the cache of one core where they are half a megabyte.
    dim : int
        Numbers in a line.

    Returns
    -------
    tuple or None
        Tokens, and float32 of shape (lines, dim), rounded as ``np.float32(float(field))`` is. None where any of the
        lines is something else: too few fields, no finite number, control characters.
    """
    buffer = np.frombuffer(b"\n" * _PAD + lines, np.uint8)
    marks = np.flatnonzero(buffer[_PAD - 1 :] <= ord(" ")) + (_PAD - 1)
    kinds = np.take(buffer, marks)
    newlines = marks[kinds == ord("\n")]
    others = marks[(kinds != ord(" ")) & (kinds != ord("\n")) & (kinds != ord("\t"))]
    if len(others) and not ((buffer[others] == ord("\r")) & (buffer[others + 1] == ord("\n"))).all():
        return None
    starts, ends = marks[:-1] + 1, marks[1:]
    fields = ends > starts
    if not fields.all():  # several separators in a row
        starts, ends = starts[fields], ends[fields]
    until = np.searchsorted(ends, newlines, side="right")  # fields up to each newline
    if (np.diff(until) <= dim).any():
        return None
    places = until[1:, None] + np.arange(-dim, 0)
    first, last = starts[places].reshape(-1), ends[places].reshape(-1)
    values, usual = _read_fields(buffer, first, last)
    odd = np.flatnonzero(~usual)
    if len(odd):
        values[odd], good = _read_long(buffer, first[odd], last[odd])
        odd = odd[~good]
    if len(odd):
        read = parse_floats(b" ".join(_cut(lines, first[odd], last[odd])))
        if len(read) != len(odd):
            return None
        values[odd] = read
    if not np.isfinite(values).all():
        return None
    return _cut(lines, newlines[:-1] + 1, ends[until[1:] - dim - 1]), values.reshape(-1, dim)


def _cut(lines: bytes, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> list[bytes]:
    return [lines[i:j] for i, j in zip((starts - _PAD).tolist(), (ends - _PAD).tolist(), strict=True)]


def _read_fields(
    buffer: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read the numbers at these places; which of them are usual, as the others are left to `parse_floats`.

    A usual number is a minus or none and up to 16 characters, digits and perhaps a point: an integer over a power of
    ten. Below 2^53 both are exact in float64; an integer of 16 digits is rounded, and divided by one. So the quotient
    is the float64 nearest to the number, which is what ``float`` reads.
    """
    negative = np.take(buffer, starts) == ord("-")
    length = ends - starts
    length -= negative
    words = np.lib.stride_tricks.as_strided(buffer[:8].view("<u8"), (len(buffer) - 7,), (1,))
    whole, after, usual = _read_digits(words[ends - 8], np.minimum(length, 8))
    usual &= (length >= 1) & (length <= 16)
    long = np.flatnonzero(length > 8)
    if len(long):
        high, before, valid = _read_digits(words[ends[long] - 16], np.minimum(length[long], 16) - 8)
        point = after[long]
        # a point among the last eight characters leaves seven digits there
        whole[long] += high * np.where(point > 0, np.uint64(10**7), np.uint64(10**8))
        after[long] = np.where(point > 0, point, before + np.uint64(8) * (before > 0))
        usual[long] &= valid & ((point == 0) | (before == 0))
    usual &= (length > 1) | (after == 0)  # a point alone is no number
    values = whole.astype(np.float64)
    values /= np.take(_POWERS, after.view(np.int64))
    result = values.astype(np.float32)
    bits = result.view(np.uint32)
    bits |= negative.astype(np.uint32) << np.uint32(31)  # np.negative with where= takes fifteen times as long
    return result, usual


def _read_long(
    buffer: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Read the longer numbers at these places, up to 24 characters and an exponent of two digits; which could be read.

    Their float64 is a few units off, for digits and power are put together in several roundings. That matters only near
    the middle of two float32: there numbers are left to `parse_floats`, and so they are outside the normal range.
    """
    negative = np.take(buffer, starts) == ord("-")
    words = np.lib.stride_tricks.as_strided(buffer[:8].view("<u8"), (len(buffer) - 7,), (1,))
    raised = (buffer[ends - 4] | 0x20) == ord("e")
    minus = buffer[ends - 3] == ord("-")
    exponent, point, usual = _read_digits(words[ends - 8], np.full(len(ends), 2))
    usual &= (point == 0) & (minus | (buffer[ends - 3] == ord("+")))
    usual |= ~raised
    power = np.where(raised, np.where(minus, -1, 1) * exponent.astype(np.int64), 0)
    ends = ends - 4 * raised
    length = ends - starts - negative
    usual &= (length >= 1) & (length <= 24)
    values = np.zeros(len(ends))
    points = np.zeros(len(ends), np.int64)
    for place in (16, 8, 0):
        part, after, valid = _read_digits(words[np.maximum(ends - place - 8, 0)], np.clip(length - place, 0, 8))
        values *= np.where(after > 0, 1e7, 1e8)
        values += part
        pointed = after > 0
        points += pointed
        power -= np.where(pointed, after.view(np.int64) - 1 + place, 0)
        usual &= valid
    usual &= (points <= 1) & (length > points) & (np.abs(power) <= 22)
    scale = 10.0 ** np.minimum(np.abs(power), 22)
    values = np.where(power < 0, values / scale, values * scale)
    middle = (values.view(np.int64) & ((1 << 29) - 1)) - (1 << 28)
    usual &= (np.abs(middle) > 64) & (values < 2.0**127) & ((values > 2.0**-126) | (values == 0))
    with np.errstate(over="ignore"):
        return np.where(negative, -values, values).astype(np.float32), usual


def _read_digits(
    words: NDArray[Any], count: NDArray[np.int64]
) -> tuple[NDArray[np.uint64], NDArray[np.uint64], NDArray[np.bool_]]:
    """The last ``count`` characters of each eight, with at most one point among them, as an integer.

    Returns
    -------
    integers : ndarray of uint64
        The digits, the point left out.
    after : ndarray of uint64
        Characters after the point, and one; 0 where there is no point.
    valid : ndarray of bool
        Whether all but the point are digits.

    Notes
    -----
    The point is found as the first zero byte of a word is (Warren, "Hacker's Delight", 6-1). Neighbours are joined in
    pairs, pairs in fours, fours in eights (Mula, "SIMD-ized parsing of numbers", 2014).
    """
    digits = words ^ _ZEROS
    digits &= np.take(_KEEP, count)
    spare = digits ^ _POINTS
    point = spare - _ONES
    np.invert(spare, out=spare)
    point &= spare
    point &= _TOPS
    np.negative(point, out=spare)
    point &= spare
    point >>= np.uint64(7)  # the lowest bit of the byte that is a point, or nothing
    after = point * _AFTER
    after >>= np.uint64(56)
    # what is before the point moves up into its place
    np.minimum(point, np.uint64(1), out=spare)
    np.subtract(point, spare, out=spare)
    spare &= digits
    spare *= np.uint64(255)
    digits += spare
    point *= np.uint64(ord(".") ^ ord("0"))
    digits -= point
    # adding 0x76 carries into the top bit of a byte above 9; bytes above 0x7F have it already
    np.add(digits, np.uint64(0x7676767676767676), out=spare)
    spare |= digits
    spare &= _TOPS
    valid = spare == 0
    for factor, shift, mask in ((10, 8, 0x00FF00FF00FF00FF), (100, 16, 0x0000FFFF0000FFFF), (10_000, 32, 0xFFFFFFFF)):
        np.right_shift(digits, np.uint64(shift), out=spare)
        digits *= np.uint64(factor)
        digits += spare
        digits &= np.uint64(mask)
    return digits, after, valid


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
