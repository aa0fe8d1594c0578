"""Tokens as a file has them, made fit for a table: UTF-8 checked, other encodings transcoded; and lists of tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qemb_tools.interface import ReadOptions, UsageError, missing_extra, source_error
from qemb_tools.stream import open_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def check_encoding(options: ReadOptions) -> None:
    """Raise `UsageError` for an encoding that is unknown, or that text lines cannot be split in."""
    if options.encoding is None:
        return
    if options.keep_bytes:
        raise UsageError("--encoding and --bytes exclude each other; name one of them")
    try:
        ascii_stays = "a 1".encode(options.encoding) == b"a 1"
    except (LookupError, UnicodeError):
        raise UsageError(
            f"the encoding {options.encoding!r} is unknown; Python's names are meant, such as gbk"
        ) from None
    if not ascii_stays:
        raise UsageError(f"lines cannot be split in {options.encoding}; convert the file to UTF-8 first (iconv)")


def to_utf8(tokens: list[bytes], options: ReadOptions, where: Callable[[int], str]) -> list[bytes]:
    """Tokens in UTF-8, transcoded where the options name an encoding.

    Parameters
    ----------
    tokens : list of bytes
        As they stand in the file.
    options : ReadOptions
        ``encoding`` and ``keep_bytes`` are looked at.
    where : callable
        Gives the place of token i, for the error.

    Raises
    ------
    qemb.InvalidError
        A token is not in the encoding, naming its place.
    """
    if options.keep_bytes:
        return tokens
    encoding = options.encoding or "utf-8"
    try:
        if options.encoding:
            return [token.decode(encoding).encode() for token in tokens]
        # one call for the whole batch, and almost always the only one. The joint cannot hide anything: a newline
        # is never part of a longer UTF-8 sequence
        b"\n".join(tokens).decode()
    except UnicodeError:
        place, token = next((i, t) for i, t in enumerate(tokens) if not decodes(t, encoding))
        if options.encoding:
            advice = "name the right one with --encoding NAME, or keep the bytes as they are with --bytes"
            raise source_error(f"the token {show(token)} is not {encoding}; {advice}", where(place)) from None
        advice = "name the file's encoding with --encoding NAME (gbk, latin-1, ...), or keep the bytes as they are"
        raise source_error(f"the token {show(token)} is not UTF-8; {advice} with --bytes", where(place)) from None
    return tokens


def show(token: bytes) -> str:
    """A token for a message: quoted, escaped, never long and never more than one line."""
    short = token if len(token) <= 40 else token[:40] + b"..."
    text = short.decode("utf-8", "backslashreplace")
    return "'" + "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text) + "'"


def read_tokens(options: ReadOptions) -> list[bytes]:
    """Read the tokens of the file that ``--tokens`` names, one for each row of the vectors.

    Text with one token a line, plain or gzip; a Parquet file (``FILE`` or ``FILE:COLUMN``); or JSON: a list, a mapping
    of tokens to rows, or a Hugging Face ``tokenizer.json``.

    Raises
    ------
    UsageError
        The file is missing, a column is not named and there are several, or pyarrow is needed and absent.
    qemb.InvalidError
        The file cannot be read as a list of tokens.
    """
    name = options.tokens
    if name is None:
        raise UsageError("the file holds vectors only; name the file with its words: --tokens FILE")
    column = None
    if not Path(name).exists() and ":" in name:
        file, _, rest = name.rpartition(":")
        if Path(file).exists():
            name, column = file, rest
    with open_bytes(name) as stream:
        head = stream.peek(8)[:8]
        if head[:4] == b"PAR1":
            return _parquet(name, column)
        data = stream.read()
    if column is not None:
        raise UsageError(f"only Parquet files have columns, {name} is none; leave out :{column}")
    if name.endswith(".json") and head.lstrip()[:1] in (b"{", b"["):
        return _json(data, name)
    lines = data.split(b"\n")
    if lines and not lines[-1]:
        lines.pop()
    return to_utf8([line.removesuffix(b"\r") for line in lines], options, lambda i: f"{name}, line {i + 1:,}")


def decodes(token: bytes, encoding: str = "utf-8") -> bool:
    """Whether a token is text in an encoding."""
    try:
        token.decode(encoding)
    except UnicodeError:
        return False
    return True


def _parquet(name: str, column: str | None) -> list[bytes]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise missing_extra("pyarrow", "parquet") from None
    try:
        file = pq.ParquetFile(name)
        types = {
            field.name: field.type
            for field in file.schema_arrow
            if pa.types.is_string(field.type) or pa.types.is_large_string(field.type) or pa.types.is_binary(field.type)
        }
        if column is None:
            if len(types) != 1:
                found = ", ".join(types) or "none"
                raise UsageError(f"{name} has no single column of strings ({found}); name it: --tokens {name}:COLUMN")
            column = next(iter(types))
        if column not in types:
            raise UsageError(f"{name} has no column of strings called {column!r}; it has: {', '.join(types) or 'none'}")
        values = file.read(columns=[column]).column(0).to_pylist()
    except pa.ArrowException as error:
        first = str(error).splitlines()[0]
        raise source_error(f"the Parquet file cannot be read ({first}); check that it is whole", name) from None
    tokens: list[bytes] = []
    for row, value in enumerate(values):
        if value is None:
            raise source_error("a token is missing (null); give every row one", f"{name}, row {row:,}")
        tokens.append(value if isinstance(value, bytes) else value.encode())
    return tokens


def _json(data: bytes, name: str) -> list[bytes]:
    try:
        content = json.loads(data)
        return vocabulary(content)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise source_error(
            "the JSON holds no vocabulary; a list of tokens, a mapping of tokens to rows or a tokenizer.json is wanted",
            name,
        ) from None


def vocabulary(content: Any) -> list[bytes]:  # noqa: ANN401 - JSON holds anything, and this is who checks it
    """Tokens by row out of parsed JSON: a list, a mapping of tokens to rows, or a Hugging Face tokenizer.

    Raises LookupError, TypeError, AttributeError or ValueError where it is none of these.
    """
    added: Sequence[Any] = ()
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        added = content.get("added_tokens") or ()
        content = content["model"]["vocab"]
    if isinstance(content, list):
        # Unigram models have pairs of a token and its score
        rows = {(item[0] if isinstance(item, list) else item): i for i, item in enumerate(content)}
        if len(rows) != len(content):
            raise ValueError("a token stands twice")
    else:
        rows = dict(content)
    rows |= {item["content"]: item["id"] for item in added}
    tokens: list[bytes | None] = [None] * len(rows)
    for token, row in rows.items():
        if not 0 <= row < len(rows) or tokens[row] is not None:
            raise ValueError("rows are not numbered 0, 1, 2, ...")
        tokens[row] = token.encode("utf-8", "surrogatepass")
    return [token for token in tokens if token is not None]
