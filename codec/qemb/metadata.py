"""Section META: JSON, to its bytes and from them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from qemb import layout
from qemb.errors import InvalidError, LimitError, MalformedError

if TYPE_CHECKING:
    from collections.abc import Mapping

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
"""From a quotation mark to the next that no backslash escapes, or to the end."""
_STEPS = np.zeros(256, np.int8)
"""By how much a byte leads deeper."""
_STEPS[list(b"[{")] = 1
_STEPS[list(b"]}")] = -1


def encode_metadata(metadata: Mapping[str, Any] | None) -> bytes | None:
    """Metadata as the bytes of section META: compact JSON, keys sorted; None where there is none."""
    if not metadata:
        return None
    try:
        text = json.dumps(dict(metadata), sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        data = text.encode("utf-8")
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidError("invalid.metadata", f"it cannot be stored as JSON: {error}", where="metadata") from error
    if len(data) > layout.MAX_METADATA:
        raise LimitError(
            "limit.metadata_size",
            f"{len(data):,} bytes; at most {layout.MAX_METADATA:,} are allowed",
            where="metadata",
        )
    parse_metadata(data)
    return data


def parse_metadata(data: bytes, offset: int = 0) -> dict[str, Any]:
    """Metadata from its bytes: a JSON object in UTF-8, no key twice, nesting bounded, no NaN.

    Raises
    ------
    MalformedError, InvalidError
        ``malformed.metadata`` where it is not JSON, ``invalid.metadata`` where it breaks a rule on top of that.
    """

    def malformed(message: str) -> MalformedError:
        return MalformedError("malformed.metadata", message, where="section META", offset=offset)

    def invalid(message: str) -> InvalidError:
        return InvalidError("invalid.metadata", message, where="section META", offset=offset)

    twice = False

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal twice
        found = dict(items)
        twice |= len(found) != len(items)
        return found

    def integer(digits: str) -> int | float:
        try:
            return int(digits)
        except ValueError:  # more digits than Python converts, which is no fault of the file
            return float(digits)

    def constant(name: str) -> Any:  # noqa: ANN401
        raise malformed(f"{name} is not JSON")

    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise malformed(f"byte {error.start} is not UTF-8") from error
    if _depth(data) > layout.MAX_METADATA_DEPTH:
        raise invalid(f"nested deeper than {layout.MAX_METADATA_DEPTH}")
    try:
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=constant, parse_int=integer)
    except json.JSONDecodeError as error:
        raise malformed(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise invalid("the outermost value is not an object")
    if twice:
        raise invalid("an object has the same key twice")
    return value


def _depth(data: bytes) -> int:
    """How deep brackets nest, outside strings: looked at before parsing, so that no parser's stack is at risk."""
    steps = _STEPS[np.frombuffer(_STRING.sub(b"", data), np.uint8)]
    return int(np.cumsum(steps, dtype=np.int64).max(initial=0))
