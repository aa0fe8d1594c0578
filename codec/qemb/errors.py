"""The error tree of the format: one class for each way a file can be wrong, one code for each rule.

Codes are dotted names listed in ``spec/errors.json``; their first part decides the class, so that a code can never
be raised under the wrong one.
"""

from __future__ import annotations

from typing import ClassVar

Rows = tuple[tuple[int, int], ...]
"""Row numbers as ranges, each with its first row and the one after its last; ascending, apart from each other."""
_SHOWN = 3


class QembError(ValueError):
    """Something is wrong with a ``.qemb`` file, or with what was to be written into one.

    Attributes
    ----------
    code : str
        Dotted name out of ``spec/errors.json``, such as ``invalid.overlap``.
    where : str
        The structure it was found in: ``header``, ``section CODE``, ``row 17``; may be empty.
    offset : int or None
        Byte offset in the file, where one is known.
    rows : tuple of (int, int)
        The rows that it concerns, as ranges: the first and the one after the last. Empty where that is not known, or
        no row is concerned.
    """

    prefix: ClassVar[str] = ""

    def __init__(self, code: str, message: str, *, where: str = "", offset: int | None = None, rows: Rows = ()) -> None:
        if not code.startswith(self.prefix):
            raise TypeError(f"{type(self).__name__} cannot carry the code {code!r}")
        super().__init__(code, message, where, offset, rows)
        self.code = code
        self.message = message
        self.where = where
        self.offset = offset
        self.rows = rows

    def __str__(self) -> str:
        byte = "" if self.offset is None else f"byte {self.offset:,}"
        place = ", ".join(part for part in (self.where, describe_rows(self.rows), byte, self.code) if part)
        return f"{self.message} ({place})"

    def __reduce__(self) -> tuple[object, ...]:
        # errors cross process boundaries in converters that use a pool
        return _rebuild, (type(self), self.code, self.message, self.where, self.offset, self.rows)


class MalformedError(QembError):
    """Bytes that cannot be parsed: truncated, damaged, or not a ``.qemb`` file."""

    prefix = "malformed."


class InvalidError(QembError):
    """Bytes that parse but break a rule of the format; or input that the format cannot hold."""

    prefix = "invalid."


class UnsupportedError(QembError):
    """A version, feature, section or scheme this implementation does not know."""

    prefix = "unsupported."


class LimitError(QembError):
    """A resource cap was met: the file may be fine, but reading it would cost more than is allowed."""

    prefix = "limit."


def describe_rows(rows: Rows) -> str:
    """Ranges of rows in words: ``31 rows: 12 to 14, 20, 25 to 30 and 4 more``; nothing for none."""
    if not rows:
        return ""
    shown = ", ".join(
        f"{start:,} to {stop - 1:,}" if stop - start > 1 else f"{start:,}" for start, stop in rows[:_SHOWN]
    )
    total = sum(stop - start for start, stop in rows)
    if len(rows) == 1:
        return f"row {shown}" if total == 1 else f"rows {shown}"
    more = f" and {len(rows) - _SHOWN:,} more" if len(rows) > _SHOWN else ""
    return f"{total:,} rows: {shown}{more}"


def _rebuild(kind: type[QembError], code: str, message: str, where: str, offset: int | None, rows: Rows) -> QembError:
    return kind(code, message, where=where, offset=offset, rows=rows)
