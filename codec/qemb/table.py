"""The sections of one table: descriptor and levels first, codes as they come, the rest at the end."""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from qemb import layout
from qemb.atomic import AtomicFile
from qemb.container import ContainerWriter
from qemb.frames import FRAME_BYTES, whole_rows
from qemb.layout import HIGH_KINDS, Level
from qemb.vocabulary import check_indexable

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from qemb.container import SectionSink
    from qemb.quantization import Quantization
    from qemb.subword import Subwords
    from qemb.vocabulary import VocabularyBuilder

Compress = Literal["none", "rows", "all"]
"""Which sections are put in zstd frames, where that saves anything: none, those that grow with the rows, or all."""

_FIRST = ("TRNS", "LEVL")
_STRUCTURES = ("QUAN", "TRNS")
_ROW_KINDS = ("CODE", *HIGH_KINDS, "SCAL", "OFFS", "EXCP")


class TableSource(Protocol):
    """What has to be known of a table before its first row is written; an `Encoder` knows it."""

    @property
    def quantization(self) -> Quantization:
        """The descriptor to write."""
        ...

    def head(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Sections that do not grow with the rows: levels, and scales and offsets that rows share."""
        ...


@dataclass(frozen=True)
class Extras:
    """What a file holds besides the rows, and how."""

    metadata: bytes | None
    index: bool
    counts: bool
    subwords: Subwords | None
    compress: Compress


class TableWriter:
    """Writes the sections of one table.

    Codes go straight into the file where they may; everything else that grows with the rows waits in unnamed temporary
    files beside it. Where sections are compressed, so do the codes.
    """

    def __init__(self, path: str, dim: int, source: TableSource, extras: Extras) -> None:
        self._dim = dim
        self._quantization = source.quantization
        self._head = dict(source.head())
        self._extras = extras
        self.rows = 0
        """Rows written so far."""
        self._spools: dict[str, Spool] = {}
        self._atomic = AtomicFile(path)
        self._container: ContainerWriter | None = None
        self._codes: SectionSink | None = None
        try:
            # whether there are exceptions shows at the end, and the table of sections stands before the codes
            if extras.compress == "none" and self._quantization.level != Level.DECIMAL:
                self._container = self._begin()
                if self._quantization.low_bits:
                    self._codes = self._container.section("CODE").__enter__()
        except BaseException:
            self.abort()
            raise

    def write(self, parts: dict[str, NDArray[Any]], rows: int) -> None:
        """Write what a number of rows adds to each section."""
        for kind, part in parts.items():
            if kind == "CODE" and self._codes is not None:
                self._codes.write(part)
            else:
                self._spool(kind).write(part)
        self.rows += rows

    def finish(self, vocabulary: VocabularyBuilder, counts: array[int] | None) -> None:
        """Write what is left and publish the file."""
        container = self._container or self._begin()
        if self._codes is not None:
            self._codes.__exit__(None)
        for kind in self._row_kinds():
            if kind in self._head:
                self._add(container, kind, self._head[kind])
            elif kind in self._spools:
                self._add_spool(container, kind, self._spools[kind])
            elif kind != "CODE" or self._codes is None:
                container.add(kind, b"")
        self._add(container, "TOKO", vocabulary.offsets())
        self._add(container, "TOKB", vocabulary.data())
        if self._extras.index:
            check_indexable(len(vocabulary))
            self._add(container, "INDX", vocabulary.index())
        if counts is not None:
            self._add(container, "CNTS", np.frombuffer(counts, np.uint64).astype("<u8"))
        if self._extras.subwords is not None:
            container.add("SUBW", self._extras.subwords.build(self.rows - len(vocabulary)))
        container.finish(
            rows=self.rows,
            tokens=len(vocabulary),
            dim=self._dim,
            required_features=vocabulary.required_features,
        )
        self._close_spools()

    def abort(self) -> None:
        """Throw everything away; harmless after `finish`."""
        self._atomic.abort()
        self._close_spools()

    def _spool(self, kind: str) -> Spool:
        if kind not in self._spools:
            self._spools[kind] = Spool(self._atomic.path)
        return self._spools[kind]

    def _row_kinds(self) -> list[str]:
        """The sections that follow the descriptor and its levels, up to the tokens."""
        wanted = {kind for kind, _ in self._quantization.sections(self.rows, self._dim)} | self._spools.keys()
        return [kind for kind in _ROW_KINDS if kind in wanted]

    def _begin(self) -> ContainerWriter:
        extras = self._extras
        first = [kind for kind in _FIRST if kind in self._head]
        count = 3 + len(first) + len(self._row_kinds()) + extras.index + extras.counts
        count += (extras.metadata is not None) + (extras.subwords is not None)
        container = ContainerWriter(self._atomic, count)
        if extras.metadata is not None:
            self._add(container, "META", extras.metadata)
        container.add("QUAN", self._quantization.build())
        for kind in first:
            self._add(container, kind, self._head[kind])
        return container

    def _add(self, container: ContainerWriter, kind: str, data: bytes | NDArray[Any]) -> None:
        """Write a section that is in memory."""
        if self._extras.compress == "all" and kind not in _STRUCTURES:
            container.add_smaller(kind, lambda: [data], frame_size=FRAME_BYTES)
        else:
            container.add(kind, data)

    def _add_spool(self, container: ContainerWriter, kind: str, spool: Spool) -> None:
        """Write a section from its temporary file."""
        if self._extras.compress == "none" or not spool.size:
            with container.section(kind) as sink:
                for piece in spool.pieces():
                    sink.write(piece)
            return
        row_bytes = layout.ExceptionEntry.sizeof() if kind == "EXCP" else spool.size // self.rows
        container.add_smaller(kind, spool.pieces, frame_size=whole_rows(row_bytes))

    def _close_spools(self) -> None:
        for spool in self._spools.values():
            spool.close()


class Spool:
    """Bytes in an unnamed temporary file beside ``target``, to be gone over more than once."""

    def __init__(self, target: str) -> None:
        folder = os.path.dirname(os.path.realpath(target))
        try:
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  (lives as long as the writer)
        except OSError as error:  # nobody asked for a file of the temporary name
            raise OSError(error.errno, error.strerror, target) from None
        self.size = 0

    def write(self, data: NDArray[Any]) -> None:
        """Append the bytes of an array, in C order."""
        flat = np.ascontiguousarray(data).data
        self._file.write(flat)
        self.size += flat.nbytes

    def pieces(self, size: int = 1 << 20) -> Iterable[bytes]:
        """Everything from the start, ``size`` bytes at a time."""
        self._file.seek(0)
        while data := self._file.read(size):
            yield data

    def close(self) -> None:
        """Let go of the file, which goes with it."""
        with contextlib.suppress(OSError):  # flushing into a full disk fails here too
            self._file.close()

    def __del__(self) -> None:
        if hasattr(self, "_file"):  # a writer that was forgotten
            self.close()
