"""Where the bytes of a file come from: a path, a buffer, a stream or a URL, each made one array here."""

from __future__ import annotations

import mmap
import os
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

import numpy as np

from qemb.errors import InvalidError, LimitError, MalformedError
from qemb.layout import MAGIC

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from numpy.typing import NDArray

_PIECE = 1 << 24
"""Bytes asked of a stream at once."""
_HEAD = 64
"""Bytes of a header."""
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+(://|::)")  # one letter before a colon is a drive of Windows


class Stream(Protocol):
    """What can be read as a file opened with ``"rb"`` can: `io.BytesIO`, a pipe, a member of an archive."""

    def read(self, size: int, /) -> bytes:
        """At most so many bytes; none at the end."""
        ...


Readable: TypeAlias = "str | os.PathLike[str] | ReadableBuffer | Stream"
"""What a file can be opened from: a path or URL, its bytes, or a stream."""


@dataclass(frozen=True)
class Source:
    """The bytes of a file."""

    name: str
    """For messages."""
    data: NDArray[np.uint8]
    mapped: mmap.mmap | None = None
    """The map that ``data`` looks into."""
    size: int = 0
    """Bytes of the map."""
    again: str | None = None
    """What opens it in another process, where something does."""

    def check(self) -> None:
        """See that the file is still as long as when it was mapped: looking into pages that are gone kills a process.

        Raises
        ------
        MalformedError
            ``malformed.truncated``: it was cut.
        InvalidError
            ``invalid.trailing_bytes``: it has grown, so that it was written to.
        """
        mapped = self.mapped
        if mapped is None:
            return
        now = mapped.size()  # of the file, by fstat
        if now == self.size:
            return
        size = self.size
        if now < size:
            raise MalformedError(
                "malformed.truncated",
                f"the file was cut from {size:,} bytes to {now:,} while it was open: open it again when it is whole",
                where="header, field file_size",
                offset=now,
            )
        raise InvalidError(
            "invalid.trailing_bytes",
            f"the file grew from {size:,} bytes to {now:,} while it was open: open it again when it is whole",
            where="header, field file_size",
            offset=40,
        )


def is_url(path: str) -> bool:
    """Whether a name is one for fsspec, and not a path here."""
    return _URL.match(path) is not None


def read_source(source: Readable, *, memory_map: bool) -> Source:
    """The bytes of a source: mapped where it is a file and ``memory_map`` says so, read whole otherwise.

    Raises
    ------
    TypeError
        It is none.
    ImportError
        It is a URL, and fsspec is not installed; or what fsspec needs for it.
    LimitError
        ``limit.memory``: there is no room to read it whole.
    OSError
        As from ``open``, and for whatever a remote file system fails on.
    """
    if isinstance(source, str) and is_url(source):
        return Source(source, _read_url(source), again=source)
    if isinstance(source, str | os.PathLike):
        return _read_path(os.fsdecode(source), memory_map=memory_map)
    try:
        view = memoryview(source)  # type: ignore[arg-type]  # or it is a stream
    except TypeError:
        name = getattr(source, "name", None)  # of what comes from a descriptor it is a number
        return Source(name if isinstance(name, str) else "<stream>", _read_stream(source))
    return Source("<bytes>", np.frombuffer(view, np.uint8))


def _read_path(path: str, *, memory_map: bool) -> Source:
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):  # a pipe, a device; it may have no end
            return Source(path, _read_stream(file))
        again = os.path.abspath(path)
        if status.st_size == 0:  # cannot be mapped; in /proc there are bytes all the same
            return Source(path, _read_stream(file), again=again)
        if memory_map:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            return Source(path, np.frombuffer(mapped, np.uint8), mapped, len(mapped), again)
        try:
            return Source(path, np.fromfile(file, np.uint8), again=again)
        except MemoryError as error:
            raise _too_large(status.st_size) from error


def _read_url(url: str) -> NDArray[np.uint8]:
    try:
        import fsspec
    except ImportError:
        raise ImportError(
            'URLs are opened by fsspec, which is not installed; run: pip install "qemb-format[fsspec]"'
        ) from None
    try:
        with fsspec.open(url, "rb") as stream:
            return _read_stream(stream)
    except (OSError, ImportError, InvalidError, LimitError, MalformedError):
        raise
    except Exception as error:  # each file system has errors of its own
        raise OSError(f"{url} cannot be read: {type(error).__name__}: {error}") from error


def _read_stream(stream: object) -> NDArray[np.uint8]:
    """A stream from where it stands to its end, which may never come: a byte past what its header says is enough."""
    read = getattr(stream, "read", None)
    if read is None:
        raise TypeError(
            f"a file is opened from a path, a URL, bytes or a stream of bytes, not from {type(stream).__name__}"
        )
    data, wanted = bytearray(), _HEAD
    while len(data) < wanted:
        piece: bytes | str = read(min(wanted - len(data), _PIECE))
        if isinstance(piece, str):
            raise TypeError('the stream gives text: open it in binary mode, "rb"')
        if not piece:
            break
        try:
            data += piece
        except MemoryError as error:
            raise _too_large(wanted) from error
        if len(data) == _HEAD and data.startswith(MAGIC):
            wanted = max(_HEAD, int.from_bytes(data[40:48], "little")) + 1
    return np.frombuffer(data, np.uint8)


def _too_large(size: int) -> LimitError:
    return LimitError("limit.memory", f"{size:,} bytes have to be held at once, more than there is memory")
