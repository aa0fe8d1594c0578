"""The error tree of the format: one class for each way a file can be wrong, one code for each rule.

Codes are dotted names listed in ``spec/errors.json``; their first part decides the class, so that a code can never
be raised under the wrong one.
"""

from __future__ import annotations

from typing import ClassVar


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
    """

    prefix: ClassVar[str] = ""

    def __init__(self, code: str, message: str, *, where: str = "", offset: int | None = None) -> None:
        if not code.startswith(self.prefix):
            raise TypeError(f"{type(self).__name__} cannot carry the code {code!r}")
        super().__init__(code, message, where, offset)
        self.code = code
        self.message = message
        self.where = where
        self.offset = offset

    def __str__(self) -> str:
        place = ", ".join(
            part for part in (self.where, "" if self.offset is None else f"byte {self.offset:,}", self.code) if part
        )
        return f"{self.message} ({place})"

    def __reduce__(self) -> tuple[object, ...]:
        # errors cross process boundaries in converters that use a pool
        return _rebuild, (type(self), self.code, self.message, self.where, self.offset)


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


def _rebuild(kind: type[QembError], code: str, message: str, where: str, offset: int | None) -> QembError:
    return kind(code, message, where=where, offset=offset)
