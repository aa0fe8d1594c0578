"""Opening a source's bytes: a file or standard input, decompressed."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import mmap
import os
import re
import shutil
import struct
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, Protocol, cast

import zstandard

from qemb.source import is_url
from qemb_tools.interface import UsageError, source_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _typeshed import WriteableBuffer

HEAD = 1 << 16
"""Bytes that a format may look at to recognize a file."""
SMALL = 1 << 26
"""Bytes that any file may become."""
GROWTH = 100
"""Bytes that a byte more of a file may become; tables of vectors compress to half, and seldom to a tenth."""


def check_growth(grown: int, stored: int, where: str) -> None:
    """Raise `qemb.InvalidError` where ``stored`` bytes of a file stand for so many that it is no table of vectors."""
    if grown > SMALL + GROWTH * stored:
        raise source_error(
            f"it stands for {grown:,} bytes or more, over {GROWTH} times its own; no table of vectors does, so it is "
            "refused: decompress it yourself if it is meant",
            where,
        )


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

    _PIECE = 1 << 11
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
ZIP_ERRORS = (OSError, EOFError, ValueError, LookupError, RuntimeError, struct.error, zlib.error, lzma.LZMAError,
              zipfile.BadZipFile)  # fmt: skip
"""What zipfile raises on archives that are damaged or encrypted, or compressed in ways that it has not."""
COMPRESSED_EXTENSIONS = tuple(compression.extension for compression in _COMPRESSIONS)


class _Counted:
    """A stream that knows how much was read of it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self.count += len(data)
        return data


class _Decompressed(io.RawIOBase):
    """A stream whose damage is reported as ours, and which a BufferedReader can peek into."""

    def __init__(self, compression: _Compression, stream: BinaryIO, path: str) -> None:
        super().__init__()
        self._compressed = _Counted(stream)
        self._stream = compression.open(cast("BinaryIO", self._compressed))
        self._grown = 0
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
        self._grown += len(data)
        check_growth(self._grown, self._compressed.count, self._path)
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._stream.close()
        self._under.close()
        super().close()


STANDARD_INPUT = "-"
_LONGEST_NAME = 256


def is_pipe(path: str) -> bool:
    """Whether a source can be read only once, front to back: standard input, a named pipe, ``<(command)``."""
    return path == STANDARD_INPUT or (Path(path).exists() and not Path(path).is_file() and not Path(path).is_dir())


def is_name(name: str) -> bool:
    """Whether a name that a file gives is that of a file beside it, on every system."""
    return name not in ("", ".", "..") and len(name) < _LONGEST_NAME and not re.search(r"[/\\:\0]", name)


def check_file(path: str) -> None:
    """Raise `UsageError` unless ``path`` is a file that exists."""
    if path == STANDARD_INPUT:
        raise UsageError("standard input is read as text or word2vec .bin alone; name a file")
    if not path:
        raise UsageError("the name of a file is empty; name one")
    if is_url(path):
        raise UsageError(
            f"{path} is a URL, from which .qemb files are looked into, not converted; fetch the file first"
        )
    if Path(path).is_dir():
        raise UsageError(f"{path} is a folder; name a file in it")
    if not Path(path).exists():
        raise UsageError(f"{path} does not exist; check the name")


def standard_input() -> io.FileIO:
    """Standard input, as bytes. Raises `UsageError` where it is closed."""
    try:
        return io.FileIO(0, closefd=False)
    except OSError:
        raise UsageError("standard input is closed; name a file, or give it one") from None


def open_bytes(path: str) -> io.BufferedReader:
    """Open ``path`` (``-`` for standard input) for reading, decompressed where its first bytes say how.

    ``peek()`` on what is returned gives the first bytes without consuming them, on pipes too.
    """
    if path == STANDARD_INPUT:
        raw = standard_input()
    else:
        check_file(path)
        raw = io.FileIO(path)
    plain: io.BufferedReader = io.BufferedReader(raw, buffer_size=HEAD)
    for compression in _COMPRESSIONS:
        if compression.start.match(plain.peek(HEAD)):
            return io.BufferedReader(_Decompressed(compression, plain, path), buffer_size=HEAD)
    return plain


def size_of(path: str) -> int:
    """Bytes of a file, or of the files in a folder."""
    if os.path.isdir(path):
        return sum(file.stat().st_size for file in Path(path).iterdir() if file.is_file())
    return os.path.getsize(path)


def plain_name(path: str) -> str:
    """The name without the extension of a compressed file."""
    return next((path.removesuffix(end) for end in COMPRESSED_EXTENSIONS if path.endswith(end)), path)


def is_compressed(stream: io.BufferedReader) -> bool:
    """Whether a stream of `open_bytes` is being decompressed, so that the file's size says little about its length."""
    return isinstance(stream.raw, _Decompressed)


def map_bytes(path: str) -> tuple[mmap.mmap | bytes, bool]:
    """The bytes of a file, mapped, and whether it was compressed: then they are those of an unnamed temporary file."""
    with open_bytes(path) as stream:
        compressed = is_compressed(stream)
        if not compressed and not is_pipe(path):
            return map_stream(stream), False
        with tempfile.TemporaryFile() as plain:
            shutil.copyfileobj(stream, plain, 1 << 20)
            return map_stream(plain), compressed


def map_stream(stream: IO[bytes]) -> mmap.mmap | bytes:
    """The bytes of an open file, mapped; the map outlives the file."""
    stream.flush()
    size = os.fstat(stream.fileno()).st_size
    return mmap.mmap(stream.fileno(), size, access=mmap.ACCESS_READ) if size else b""  # which cannot be mapped


def copy_member(archive: zipfile.ZipFile, name: str, path: str, target: IO[bytes]) -> None:
    """Copy a member of the archive ``path`` into an open file; its name in the archive is no name of a file."""
    member = archive.getinfo(name)
    check_growth(member.file_size, os.path.getsize(path), f"{path}, {name}")
    with archive.open(member) as stream:  # which ends where the archive says
        shutil.copyfileobj(stream, target, 1 << 20)
    target.flush()
