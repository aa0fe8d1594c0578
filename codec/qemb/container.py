"""The container: sections, read and written without knowing what they mean."""

from __future__ import annotations

import contextlib
import math
import threading
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import zstandard

from qemb import layout
from qemb.atomic import AtomicFile
from qemb.checksum import crc32c
from qemb.errors import InvalidError, LimitError, MalformedError, QembError
from qemb.frames import FRAME_ENTRY, MIN_SAVING, SAMPLE, decompress, make_compressor
from qemb.header import ENTRY_SIZE, HEADER_SIZE, Section, align, read_header, read_table
from qemb.layout import KINDS, Codec
from qemb.source import Source, read_source

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from qemb.errors import Rows
    from qemb.source import Readable

_STEP = 1 << 24
"""Bytes that a checksum goes over between two words to whoever waits."""


# --- reading --------------------------------------------------------------------------------------------------------


class Container:
    """An open ``.qemb`` file: its checked header and section table, and access to the bytes of its sections.

    Parameters
    ----------
    source : path, URL, bytes-like or stream of bytes
        A path is mapped, and only the pages that are needed are read.
    memory_map : bool
        False reads a path whole, too.

    Raises
    ------
    QembError
        The first broken rule, in the order that the specification fixes.
    OSError
        As from ``open``.
    """

    def __init__(self, source: Readable, *, memory_map: bool = True) -> None:
        self._frame_tables: dict[str, NDArray[Any]] = {}
        self._last_frames = threading.local()  # each thread reads on somewhere else
        self._source: Source | None = self._open(source, memory_map=memory_map)
        self._source.data.flags.writeable = False
        self.name = self._source.name
        try:
            self.header = read_header(self.data)
            self.sections = read_table(self.data, self.header)
        except BaseException:
            self.close()
            raise

    def check_open(self) -> Source:
        """See that the bytes of the file can be looked at; wherever a view of them was kept, before it is used again.

        Raises
        ------
        ValueError
            The file is closed.
        QembError
            It was cut, or written to.
        """
        source = self._source
        if source is None:
            raise ValueError("the embedding is closed")
        source.check()
        return source

    @property
    def data(self) -> NDArray[np.uint8]:
        """The bytes of the file; raises as `check_open`."""
        return self.check_open().data

    def _open(self, source: Readable, *, memory_map: bool) -> Source:
        return read_source(source, memory_map=memory_map)

    def close(self) -> None:
        """Let go of the map; arrays that still look into it keep it alive until they go."""
        source, self._source = self._source, None
        self._frame_tables.clear()
        self._last_frames = threading.local()
        if source is not None and source.mapped is not None:
            mapped = source.mapped
            del source
            with contextlib.suppress(BufferError):  # a view is still out: the map closes with the last of them
                mapped.close()

    def stored(self, section: Section) -> NDArray[np.uint8]:
        """The bytes of a section as they stand in the file."""
        return self.data[section.offset : section.end]

    def is_raw(self, kind: str) -> bool:
        """Whether a section is stored as it is: reading it makes no copy."""
        return self.sections[kind].codec == Codec.RAW

    def read(self, kind: str, start: int = 0, stop: int | None = None) -> NDArray[np.uint8]:
        """Raw (decoded) bytes ``start`` to ``stop`` of a section; a view of the map where the codec is raw."""
        section = self.sections[kind]
        stop = section.raw_size if stop is None else stop
        if section.codec == Codec.RAW:
            return self.data[section.offset + start : section.offset + stop]
        size = section.frame_size
        first, last = start // size, -(-stop // size)
        if last - first == 1:
            return self._frame(section, first)[start - first * size : stop - first * size]
        out = allocate((stop - start,), np.uint8, section.where)
        for number in range(first, last):
            frame = self._frame(section, number)
            low, high = max(start, number * size), min(stop, number * size + len(frame))
            out[low - start : high - start] = frame[low - number * size : high - number * size]
        return out

    def read_rows(self, kind: str, stride: int, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Rows of ``stride`` bytes picked out of a section, shape (n, stride)."""
        section = self.sections[kind]
        if section.codec == Codec.RAW:
            return self.read(kind).reshape(-1, stride)[indices]
        out = np.empty((len(indices), stride), np.uint8)
        order = np.argsort(indices, kind="stable")  # in file order, so that each frame is decoded once
        if section.frame_size % stride:  # rows lie across frames
            for position in order:
                row = int(indices[position])
                out[position] = self.read(kind, row * stride, (row + 1) * stride)
            return out
        numbers, places = np.divmod(indices[order], section.frame_size // stride)
        starts = np.flatnonzero(np.diff(numbers, prepend=-1))
        for low, high in zip(starts, [*starts[1:], len(order)], strict=True):
            frame = self._frame(section, int(numbers[low])).reshape(-1, stride)
            out[order[low:high]] = frame[places[low:high]]
        return out

    def array(self, kind: str, element: str | np.dtype[Any]) -> NDArray[Any]:
        """A whole section as an array of little-endian ``element``; a view of the map where the codec is raw."""
        return self.read(kind).view(element)

    def check_section(self, section: Section) -> None:
        """Compare a section with its CRC, and decode every frame of a compressed one.

        Raises
        ------
        MalformedError
            ``malformed.section_checksum`` or ``malformed.frame``.
        """
        if self.checksum(section) != section.crc:
            raise damaged(section)
        for _, fault in self.frame_faults(section):
            raise fault

    def checksum(self, section: Section, progress: Callable[[int], None] = lambda _: None) -> int:
        """The CRC-32C of the stored bytes of a section; ``progress`` is told how many more have been gone over."""
        crc = 0
        for start in range(section.offset, section.end, _STEP):
            part = self.data[start : min(start + _STEP, section.end)]
            crc = crc32c(part, crc)
            progress(len(part))
        return crc

    def frame_faults(self, section: Section) -> Iterator[tuple[int, QembError]]:
        """Decode every frame of a section: the number of each that is damaged, and what is wrong; -1 for the table."""
        if section.codec != Codec.ZSTD or section.kind not in KINDS:
            return
        try:
            self._frame_table(section)
        except InvalidError as error:
            fault: QembError = error
        else:
            for number in range(section.frames):
                try:
                    self._frame(section, number)
                except QembError as error:
                    fault = error
                else:
                    continue
                yield number, fault
            return
        yield -1, fault

    def _frame_table(self, section: Section) -> NDArray[Any]:
        table = self._frame_tables.get(section.kind)
        if table is None:
            size = section.frames * FRAME_ENTRY.itemsize
            table = self._frame_entries(section)
            ends = table["offset"] + table["size"].astype(np.uint64)
            starts = np.concatenate([np.zeros(1, np.uint64), ends])
            if bool((table["offset"] != starts[:-1]).any()) or int(starts[-1]) != section.stored_size - size:
                raise InvalidError(
                    "invalid.frame_table",
                    "the frames do not follow each other without a gap",
                    where=section.where,
                    offset=section.end - size,
                )
            self._frame_tables[section.kind] = table
        return table

    def _frame_entries(self, section: Section) -> NDArray[Any]:
        """The frame table as it stands there."""
        size = section.frames * FRAME_ENTRY.itemsize
        return self.data[section.end - size : section.end].view(FRAME_ENTRY)

    def _frame(self, section: Section, number: int) -> NDArray[np.uint8]:
        """One decoded frame; the last one of each section is kept, since rows are mostly read in order."""
        last_frames: dict[str, tuple[int, NDArray[np.uint8]]] = self._last_frames.__dict__
        kept = last_frames.get(section.kind)
        if kept is not None and kept[0] == number:
            return kept[1]
        entry = self._frame_table(section)[number]
        start = section.offset + int(entry["offset"])
        stored = self.data[start : start + int(entry["size"])]
        where = f"{section.where}, frame {number}"
        if crc32c(stored) != int(entry["crc"]):
            raise MalformedError(
                "malformed.frame_checksum", "the bytes of this frame are damaged", where=where, offset=start
            )
        raw_size = min(section.frame_size, section.raw_size - number * section.frame_size)
        frame = stored if len(stored) == raw_size else decompress(stored, raw_size, where, start)
        last_frames[section.kind] = (number, frame)
        return frame


def damaged(section: Section, hint: str = "", rows: Rows = ()) -> MalformedError:
    """What is said of a section that does not match its CRC."""
    return MalformedError(
        "malformed.section_checksum",
        f"the bytes of this section are damaged: fetch the file again{hint}",
        where=section.where,
        offset=section.offset,
        rows=rows,
    )


def allocate(shape: tuple[int, ...], element: type[np.generic], where: str = "") -> NDArray[Any]:
    """Room for what is decoded: a small file can claim to hold more than the machine does.

    Raises
    ------
    LimitError
        ``limit.memory``.
    """
    try:
        return np.empty(shape, element)
    except (MemoryError, ValueError) as error:  # numpy has its own word for what no address space holds
        count = math.prod(shape) * np.dtype(element).itemsize
        raise LimitError(
            "limit.memory", f"{count:,} bytes have to be held at once, more than there is memory", where=where
        ) from error


# --- writing --------------------------------------------------------------------------------------------------------


class ContainerWriter:
    """Writes sections one after the other; header and table are filled in last, and the file appears whole.

    Parameters
    ----------
    target : path or AtomicFile
        Where the file appears on `finish`, or a file begun already, which is written anew from its start.
    section_count : int
        How many sections will be written: the table's room is reserved at the front.
    """

    def __init__(self, target: str | os.PathLike[str] | AtomicFile, section_count: int) -> None:
        self._atomic = target if isinstance(target, AtomicFile) else AtomicFile(target)
        self._file = self._atomic.file
        self._file.seek(0)
        self._file.truncate()
        self._capacity = section_count
        self._entries: list[dict[str, Any]] = []
        self._end = HEADER_SIZE + section_count * ENTRY_SIZE
        self._file.write(bytes(self._end))
        self._open: SectionSink | None = None

    def section(self, kind: str, *, flags: int | None = None, frame_size: int = 0) -> SectionSink:
        """Begin a section, to be used as a context manager; ``frame_size`` above 0 stores it in zstd frames."""
        compressor = zstandard.ZstdCompressor(level=19) if frame_size else None
        return SectionSink(self, kind, KINDS[kind].flags if flags is None else flags, frame_size, compressor)

    def add(self, kind: str, data: bytes | NDArray[Any], *, flags: int | None = None, frame_size: int = 0) -> None:
        """Write a whole section at once."""
        with self.section(kind, flags=flags, frame_size=frame_size) as sink:
            sink.write(data)

    def add_smaller(self, kind: str, pieces: Callable[[], Iterable[bytes | NDArray[Any]]], *, frame_size: int) -> None:
        """Write a whole section in zstd frames where that saves 3%, otherwise as it is.

        Parameters
        ----------
        kind : str
            The kind of the section.
        pieces : callable
            Gives its raw bytes, piece by piece, from the start each time it is called.
        frame_size : int
            Raw bytes in a frame.
        """
        end = self._end
        compressor = make_compressor(_start(pieces(), SAMPLE), frame_size)
        with SectionSink(self, kind, KINDS[kind].flags, frame_size, compressor) as sink:
            for piece in pieces():
                sink.write(piece)
        entry = self._entries[-1]
        if entry["stored_size"] <= (1 - MIN_SAVING) * entry["raw_size"]:
            return
        self._entries.pop()
        self._end = end
        self._file.seek(end)
        self._file.truncate()
        with self.section(kind) as sink:
            for piece in pieces():
                sink.write(piece)

    def finish(self, *, rows: int, tokens: int, dim: int, required_features: int = 0) -> None:
        """Fill in header and table, and publish the file."""
        if len(self._entries) != self._capacity:
            raise RuntimeError(f"{len(self._entries)} sections written, room reserved for {self._capacity}")
        table = b"".join(layout.SectionEntry.build(entry) for entry in self._entries)
        header = layout.Header.build(
            {
                "major": layout.MAJOR,
                "minor": layout.MINOR,
                "section_count": self._capacity,
                "required_features": required_features,
                "optional_features": 0,
                "rows": rows,
                "tokens": tokens,
                "file_size": self._end,
                "dim": dim,
                "table_offset": HEADER_SIZE,
                "table_crc": crc32c(table),
                "header_crc": 0,
            }
        )
        self._file.seek(0)
        self._file.write(header[:-4] + crc32c(header[:-4]).to_bytes(4, "little") + table)
        self._atomic.commit()

    def abort(self) -> None:
        """Throw everything away; harmless after `finish`."""
        self._atomic.abort()

    def begin(self) -> int:
        """Pad up to where the next section starts; its offset."""
        offset = align(self._end)
        self._file.write(bytes(offset - self._end))
        return offset

    def store(self, data: bytes | memoryview) -> None:
        """Write bytes of the section begun."""
        self._file.write(data)

    def complete(self, entry: dict[str, Any]) -> None:
        """Take the entry of the section begun."""
        self._entries.append(entry)
        self._end = entry["offset"] + entry["stored_size"]


class SectionSink:
    """Takes the raw bytes of one section and stores them as they are, or in zstd frames."""

    def __init__(
        self,
        writer: ContainerWriter,
        kind: str,
        flags: int,
        frame_size: int,
        compressor: zstandard.ZstdCompressor | None,
    ) -> None:
        self._writer = writer
        self._kind = kind
        self._flags = flags
        self._frame_size = frame_size
        self._compressor = compressor
        self._buffer = bytearray()
        self._frames: list[tuple[int, int, int]] = []
        self._stored = 0
        self._raw = 0
        self._crc = 0
        self._offset = 0

    def __enter__(self) -> Self:
        self._offset = self._writer.begin()
        return self

    def write(self, data: bytes | NDArray[Any]) -> None:
        """Append raw bytes; arrays are written in C order, little-endian."""
        flat = _flat(data)
        self._raw += len(flat)
        if not self._frame_size:
            self._store(flat)
            return
        self._buffer += flat
        whole = len(self._buffer) // self._frame_size * self._frame_size
        for frame in _pieces(self._buffer[:whole], self._frame_size):
            self._store_frame(frame)
        del self._buffer[:whole]

    def _store_frame(self, raw: bytes) -> None:
        compressed = self._compressor.compress(raw) if self._compressor else raw
        stored = compressed if len(compressed) < len(raw) else raw
        self._frames.append((self._stored, len(stored), crc32c(stored)))
        self._store(stored)

    def _store(self, data: bytes | memoryview) -> None:
        self._writer.store(data)
        self._crc = crc32c(data, self._crc)
        self._stored += len(data)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            return
        if self._buffer:
            self._store_frame(bytes(self._buffer))
        if self._frames:
            self._store(np.array(self._frames, FRAME_ENTRY).tobytes())
        self._writer.complete(
            {
                "kind": self._kind.encode("ascii"),
                "flags": self._flags,
                "codec": Codec.ZSTD if self._frame_size else Codec.RAW,
                "offset": self._offset,
                "stored_size": self._stored,
                "raw_size": self._raw,
                "frame_size": self._frame_size,
                "crc": self._crc,
            }
        )


def _start(pieces: Iterable[bytes | NDArray[Any]], size: int) -> bytes:
    """The first ``size`` bytes of what comes in pieces, or all where there are fewer."""
    start = bytearray()
    for piece in pieces:
        start += _flat(piece)[: size - len(start)]
        if len(start) == size:
            break
    return bytes(start)


def _flat(data: bytes | NDArray[Any]) -> bytes | memoryview:
    """The bytes of an array, in C order, little-endian."""
    if not isinstance(data, np.ndarray):
        return data
    return np.ascontiguousarray(data, data.dtype.newbyteorder("<")).view(np.uint8).reshape(-1).data


def _pieces(data: bytearray, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield bytes(data[start : start + size])
