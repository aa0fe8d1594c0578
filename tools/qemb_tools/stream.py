"""Opening a source's bytes: a file or standard input, gzip undone."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from qemb_tools.interface import UsageError, source_error

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

HEAD = 1 << 16
"""Bytes that a format may look at to recognize a file."""


class _Gunzip(io.RawIOBase):
    """A gzip stream whose damage is reported as ours, and which a BufferedReader can peek into."""

    def __init__(self, stream: BinaryIO, path: str) -> None:
        super().__init__()
        self._stream = gzip.GzipFile(fileobj=stream)
        self._under = stream
        self._path = path

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        try:
            data = self._stream.read(len(view))
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise source_error(
                f"the gzip data is damaged or cut short ({error}); fetch the file again", self._path
            ) from None
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        self._under.close()
        super().close()


STANDARD_INPUT = "-"


def is_pipe(path: str) -> bool:
    """Whether a source can be read only once, front to back: standard input, a named pipe, ``<(command)``."""
    return path == STANDARD_INPUT or (Path(path).exists() and not Path(path).is_file() and not Path(path).is_dir())


def check_file(path: str) -> None:
    """Raise `UsageError` unless ``path`` is a file that exists."""
    if path == STANDARD_INPUT:
        raise UsageError("standard input is read as text or word2vec .bin alone; name a file")
    if not path:
        raise UsageError("the name of a file is empty; name one")
    if Path(path).is_dir():
        raise UsageError(f"{path} is a folder; name a file in it")
    if not Path(path).exists():
        raise UsageError(f"{path} does not exist; check the name")


def open_bytes(path: str) -> io.BufferedReader:
    """Open ``path`` (``-`` for standard input) for reading, decompressed where it is gzip by content.

    ``peek()`` on what is returned gives the first bytes without consuming them, on pipes too.
    """
    if path == STANDARD_INPUT:
        try:
            raw = io.FileIO(0, closefd=False)
        except OSError:
            raise UsageError("standard input is closed; name a file, or give it one") from None
    else:
        check_file(path)
        raw = io.FileIO(path)
    plain: io.BufferedReader = io.BufferedReader(raw, buffer_size=HEAD)
    if plain.peek(2)[:2] == b"\x1f\x8b":
        return io.BufferedReader(_Gunzip(plain, path), buffer_size=HEAD)
    return plain


def is_compressed(stream: io.BufferedReader) -> bool:
    """Whether a stream of `open_bytes` is being decompressed, so that the file's size says little about its length."""
    return isinstance(stream.raw, _Gunzip)
