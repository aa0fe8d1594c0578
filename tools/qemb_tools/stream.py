"""Opening a source's bytes: a file or standard input, decompressed."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

import zstandard

from qemb_tools.interface import UsageError, source_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _typeshed import WriteableBuffer

HEAD = 1 << 16
"""Bytes that a format may look at to recognize a file."""


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Compression:
    """How compressed bytes begin, and who decompresses them; files of several members are read whole."""

    name: str
    start: re.Pattern[bytes]
    extension: str
    open: Callable[[BinaryIO], _Readable]


class _Unzstd:
    """A zstd stream of any number of frames. zstandard's own readers end quietly where a frame is cut short."""

    _PIECE = 1 << 12
    """Compressed bytes taken at a time. A frame can grow 32,000 times, and all of that has to fit in memory."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._frame = zstandard.ZstdDecompressor().decompressobj()
        self._begun = False
        self._rest = memoryview(b"")

    def read(self, size: int) -> bytes:
        while not self._rest:
            piece = self._stream.read(self._PIECE)
            if not piece:
                if self._begun:
                    raise EOFError("a frame ends early")
                return b""
            self._rest = memoryview(b"".join(self._decompress(piece)))
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken.tobytes()

    def _decompress(self, piece: bytes) -> Iterator[bytes]:
        while piece:
            self._begun = True
            yield self._frame.decompress(piece)
            if not self._frame.eof:
                return
            piece = self._frame.unused_data
            self._frame = zstandard.ZstdDecompressor().decompressobj()
            self._begun = False

    def close(self) -> None:
        """Nothing is held."""


_COMPRESSIONS = (
    _Compression("gzip", re.compile(rb"\x1f\x8b"), ".gz", lambda stream: gzip.GzipFile(fileobj=stream)),
    _Compression("bzip2", re.compile(rb"BZh[1-9]1AY&SY"), ".bz2", bz2.BZ2File),
    _Compression("xz", re.compile(rb"\xfd7zXZ\0"), ".xz", lzma.LZMAFile),
    _Compression("zstd", re.compile(rb"\x28\xb5\x2f\xfd"), ".zst", _Unzstd),
)
COMPRESSED_EXTENSIONS = tuple(compression.extension for compression in _COMPRESSIONS)


class _Decompressed(io.RawIOBase):
    """A stream whose damage is reported as ours, and which a BufferedReader can peek into."""

    def __init__(self, compression: _Compression, stream: BinaryIO, path: str) -> None:
        super().__init__()
        self._stream = compression.open(stream)
        self._under = stream
        self._name = compression.name
        self._path = path

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        try:
            data = self._stream.read(len(view))
        except (EOFError, OSError, zlib.error, lzma.LZMAError, zstandard.ZstdError) as error:
            raise source_error(
                f"the {self._name} data is damaged or cut short ({error}); fetch the file again", self._path
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
    """Open ``path`` (``-`` for standard input) for reading, decompressed where its first bytes say how.

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
    for compression in _COMPRESSIONS:
        if compression.start.match(plain.peek(HEAD)):
            return io.BufferedReader(_Decompressed(compression, plain, path), buffer_size=HEAD)
    return plain


def plain_name(path: str) -> str:
    """The name without the extension of a compressed file."""
    return next((path.removesuffix(end) for end in COMPRESSED_EXTENSIONS if path.endswith(end)), path)


def is_compressed(stream: io.BufferedReader) -> bool:
    """Whether a stream of `open_bytes` is being decompressed, so that the file's size says little about its length."""
    return isinstance(stream.raw, _Decompressed)
