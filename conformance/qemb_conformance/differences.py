"""Where an answer is not the one expected: field by field, the floats compared by their bits."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from qemb_conformance.cases import STRUCTURE_KEYS
from qemb_conformance.digests import is_digest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qemb_conformance.strict_json import Json

FLOAT_KEYS = frozenset({"vectors", "subword_vectors", "norms"})
BYTE_KEYS = frozenset({"tokens", "metadata"})
KEYS = frozenset({*STRUCTURE_KEYS, *FLOAT_KEYS, *BYTE_KEYS, "lookups", "counts"})
"""Every key of an answer; others are ignored."""
_LENGTH = "the length of "
_SHOWN = 60


@dataclass(frozen=True)
class Difference:
    """One field in which two answers differ."""

    field: str
    """Such as ``vectors[3][17]``."""
    expected: str
    got: str

    @property
    def key(self) -> str:
        """Key of the answer that it is in."""
        return key_of(self.field)


def compare(expected: dict[str, Json], got: dict[str, Json], *, optional: frozenset[str]) -> Iterator[Difference]:
    """Find the differences of two answers, in the order of the expected one.

    Parameters
    ----------
    expected, got : dict
        Answers.
    optional : frozenset of str
        Keys that may be left out; what is there must be right all the same.
    """
    loose = {"subword_vectors", "vectors"} if "transform" in expected else {"subword_vectors"}
    for key, value in expected.items():
        if key in got:
            yield from _compare(key, value, got[key], any_nan=key in loose)
        elif key not in optional:
            yield Difference(key, describe(key, value), "nothing")
    for key in sorted((KEYS & got.keys()) - expected.keys()):
        yield Difference(key, "nothing: the file has no such section", describe(key, got[key]))


def _compare(field: str, expected: Json, got: Json, *, any_nan: bool) -> Iterator[Difference]:
    if expected == got:
        return
    if isinstance(expected, dict) and isinstance(got, dict):
        for key, value in expected.items():
            if key not in got:
                yield Difference(f"{field}.{key}", describe(field, value), "nothing")
            else:
                yield from _compare(f"{field}.{key}", value, got[key], any_nan=any_nan)
    elif isinstance(expected, list) and isinstance(got, list):
        if len(expected) != len(got):
            yield Difference(f"{_LENGTH}{field}", f"{len(expected):,}", f"{len(got):,}")
        for place, (left, right) in enumerate(zip_longest(expected, got)):
            if left is not None and right is not None and left != right:
                yield from _compare(f"{field}[{place}]", left, right, any_nan=any_nan)
    elif not (any_nan and _is_nan(expected) and _is_nan(got)):
        yield Difference(field, describe(field, expected), f"{describe(field, got)}{_hint(field, expected, got)}")


def key_of(field: str) -> str:
    """Key of the answer that a field is in."""
    return re.split(r"[.\[]", field.removeprefix(_LENGTH))[0]


def _hint(field: str, expected: Json, got: Json) -> str:
    """What is wrong where it is only in how a value is written."""
    if not isinstance(expected, str) or not isinstance(got, str):
        return ""
    if got.lower() == expected:
        return " (to be lower case)"
    if field.endswith(".kind") and got.lower() == expected.encode().hex():
        return " (to be its four characters)"
    if expected.isdecimal() and got.isdecimal() and got.lstrip("0") == expected.lstrip("0"):
        floats_or_bytes = key_of(field) in FLOAT_KEYS | BYTE_KEYS or field.endswith("crc")
        return "" if floats_or_bytes else " (to be without leading zeros)"
    return ""


def describe(field: str, value: Json) -> str:
    """A value as a report shows it: a float by its bits and what they stand for, bytes by their hex and text."""
    if isinstance(value, list):
        return f"an array of {len(value):,}"
    if isinstance(value, dict):
        if is_digest(value):
            return f"{value['count']} strings of SHA-256 {value['sha256']}"
        return f"an object of {', '.join(value)}" if value else "an empty object"
    key = key_of(field)
    shown = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}... ({len(value):,} characters)"
    if key in FLOAT_KEYS:
        number = _float(value)
        return shown if number is None else f"{shown} = {number:.9g}"
    if key in BYTE_KEYS:
        try:
            return f"{shown} = {bytes.fromhex(value)[: _SHOWN // 2]!r}" if value else "the empty string"
        except ValueError:
            return f"{shown}, which is not hexadecimal"
    return shown or "the empty string"


def _float(digits: Json) -> float | None:
    """The float32 of eight hexadecimal digits."""
    if not isinstance(digits, str) or len(digits) != 8 or not set(digits) <= set("0123456789abcdef"):
        return None
    return float(struct.unpack(">f", bytes.fromhex(digits))[0])


def _is_nan(value: Json) -> bool:
    number = _float(value)
    return number is not None and number != number  # noqa: PLR0124  (what NaN is)
