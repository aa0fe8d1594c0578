"""Long arrays of an expected answer, which are stored as the SHA-256 of their bytes (PROTOCOL.md, "The corpus")."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from qemb_conformance.strict_json import Json

_CANONICAL_NAN = 0x7FC00000


def resolve(
    expected: dict[str, Json], got: dict[str, Json], recompute: Callable[[], dict[str, Json] | None]
) -> dict[str, Json]:
    """Put in full arrays for the digests of an expected answer.

    Parameters
    ----------
    expected : dict
        Answer as the corpus stores it.
    got : dict
        Answer of an adapter. What agrees with its digest is taken from here.
    recompute : callable
        Gives the answer in full; called where something does not agree. Where it gives None the digest stays.
    """
    resolved = dict(expected)
    full: dict[str, Json] | None = None
    for key, value in expected.items():
        if not is_digest(value):
            continue
        given = got.get(key)
        if isinstance(given, str if key == "metadata" else list) and _agrees(
            key, cast("dict[str, Json]", value), given, expected
        ):
            resolved[key] = given
        else:
            full = full or recompute()
            resolved[key] = value if full is None else full[key]
    return resolved


def is_digest(value: Json) -> bool:
    """Whether a value stands for a long array."""
    return isinstance(value, dict) and "sha256" in value


def _agrees(key: str, digest: dict[str, Json], given: list[Json] | str, expected: dict[str, Json]) -> bool:
    try:
        if isinstance(given, str):
            data = bytes.fromhex(given)
            return data.hex() == given and hashlib.sha256(data).hexdigest() == digest["sha256"]
        header = cast("dict[str, str]", expected["header"])
        if key == "vectors":
            dim = int(header["dim"])
            if len(given) != int(header["rows"]) or any(len(row) != dim for row in given):
                return False
            given = [value for row in given for value in row]
        if len(given) != int(cast("str", digest["count"])):
            return False
        data = _ENCODERS[key](cast("list[str]", given), loose=key == "vectors" and "transform" in expected)
    except (ValueError, TypeError, struct.error):  # strings that are not what belongs there
        return False
    return hashlib.sha256(data).hexdigest() == digest["sha256"]


def _floats(values: list[str], *, loose: bool) -> bytes:
    if any(len(value) != 8 or not set(value) <= set("0123456789abcdef") for value in values):
        raise ValueError("not eight hexadecimal digits")
    bits = [int(value, 16) for value in values]
    if loose:
        bits = [_CANONICAL_NAN if value & 0x7FFFFFFF > 0x7F800000 else value for value in bits]
    return struct.pack(f"<{len(bits)}I", *bits)


def _integers(values: list[str], *, loose: bool) -> bytes:  # noqa: ARG001
    return struct.pack(f"<{len(values)}Q", *map(_decimal, values))


def _rows(values: list[str], *, loose: bool) -> bytes:  # noqa: ARG001
    return struct.pack(f"<{len(values)}q", *(-1 if value == "absent" else _decimal(value) for value in values))


def _tokens(values: list[str], *, loose: bool) -> bytes:  # noqa: ARG001
    tokens = []
    for value in values:
        token = bytes.fromhex(value)
        if token.hex() != value:
            raise ValueError("not lower-case hexadecimal digits")
        tokens.append(struct.pack("<I", len(token)) + token)
    return b"".join(tokens)


def _decimal(digits: str) -> int:
    value = int(digits)
    if value < 0 or str(value) != digits:
        raise ValueError("not a count as the protocol writes it")
    return value


_ENCODERS = {"vectors": _floats, "norms": _floats, "counts": _integers, "lookups": _rows, "tokens": _tokens}
