"""JSON as the protocol has it: objects, arrays and strings, no key twice, and each fault with a sentence of its own."""

from __future__ import annotations

import json
from typing import NoReturn, TypeAlias

Json: TypeAlias = "str | list[Json] | dict[str, Json]"


class JsonError(ValueError):
    """The bytes are not what the protocol allows."""


def parse(data: bytes, *, values: str = "strings") -> Json:
    """Parse an answer.

    Parameters
    ----------
    data : bytes
        UTF-8, without a byte order mark.
    values : str
        ``"strings"`` where strings are the only values there may be, ``"any"`` where numbers, booleans and nulls are
        read over: they come as empty strings.

    Raises
    ------
    JsonError
        It is no JSON, has a key twice, or holds a value that is not allowed.
    """

    def refuse(what: str) -> NoReturn:
        raise JsonError(f"it holds {what}; every value is a string")

    def number(digits: str) -> str:
        return "" if values == "any" else refuse(f"the number {digits[:40]}")

    def constant(name: str) -> NoReturn:
        raise JsonError(f"{name} is not JSON")

    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        found = dict(items)
        if len(found) != len(items):
            twice = next(key for i, (key, _) in enumerate(items) if key in dict(items[:i]))
            raise JsonError(f"an object has the key {twice!r} twice")
        return found

    def checked(value: object) -> Json:
        if isinstance(value, str):
            return value
        if isinstance(value, list):
            return [checked(item) for item in value]
        if isinstance(value, dict):
            return {key: checked(item) for key, item in value.items()}
        return "" if values == "any" else refuse({True: "true", False: "false", None: "null"}[value])  # type: ignore[index]

    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise JsonError(f"byte {error.start} is not UTF-8") from None
    if not text.strip():
        raise JsonError("there is no output")
    try:
        return checked(
            json.loads(text, object_pairs_hook=pairs, parse_int=number, parse_float=number, parse_constant=constant)
        )
    except json.JSONDecodeError as error:
        raise JsonError(f"no JSON: {error}") from None
    except RecursionError:
        raise JsonError("it nests too deep") from None
