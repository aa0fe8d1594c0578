"""Writing a file again: sections stored otherwise, some of its rows, other tokens for them. Codes stay as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qemb.container import ContainerWriter
from qemb.damage import is_by_row
from qemb.decode import EXCEPTION
from qemb.errors import InvalidError
from qemb.frames import whole_rows
from qemb.layout import KINDS, ExceptionEntry
from qemb.vocabulary import VocabularyBuilder, check_indexable

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from qemb.container import Container
    from qemb.header import Section
    from qemb.quantization import Quantization

_STRUCTURES = ("QUAN", "TRNS", "SUBW")
_PIECE = 1 << 20


def rewrite(
    container: Container,
    quantization: Quantization,
    path: str | os.PathLike[str],
    *,
    compress: bool | None,
    metadata: bytes | None,
    choice: Choice | None = None,
) -> None:
    """Write a file of the same contents; `qemb.Embedding.save` is the public name, and says what the arguments mean.

    Sections of kinds that are not known here are left out, as the specification lets a rewriter do.
    """
    kept = [section for kind, section in container.sections.items() if kind in KINDS and kind != "META"]
    writer = ContainerWriter(path, len(kept) + (metadata is not None))
    try:
        if metadata is not None:
            _add(writer, "META", [metadata], _frame_size(container.sections.get("META"), compress, 1))
        for section in kept:
            container.check_section(section)
            row_bytes = _row_bytes(section, quantization, container.header.rows)
            pieces = _Pieces(container, section) if choice is None else choice.pieces(container, section, quantization)
            _add(writer, section.kind, pieces, _frame_size(section, compress, row_bytes) if row_bytes else 0)
        header = container.header
        rows, tokens, features = header.rows, header.tokens, header.required_features
        if choice is not None:
            rows, tokens, features = len(choice.rows), len(choice.vocabulary), choice.vocabulary.required_features
        writer.finish(rows=rows, tokens=tokens, dim=header.dim, required_features=features)
    except BaseException:
        writer.abort()
        raise


class Choice:
    """Some rows of a file, in any order, and what they are called; subword buckets follow them, or do not.

    Raises
    ------
    InvalidError
        A number is not the row of a token, or not as many tokens as rows; a token comes twice or is too long.
    """

    def __init__(
        self, container: Container, rows: NDArray[np.int64], tokens: Sequence[str | bytes], *, buckets: bool = True
    ) -> None:
        header = container.header
        if len(rows) != len(tokens):
            raise InvalidError("invalid.shape", f"{len(tokens):,} tokens for {len(rows):,} rows")
        if bool(((rows < 0) | (rows >= header.tokens)).any()):
            raise InvalidError("invalid.shape", f"a row to keep is not one of {header.tokens:,} tokens")
        self.vocabulary = VocabularyBuilder()
        for number, token in enumerate(tokens if not self.vocabulary.extend(tokens) else ()):
            if not self.vocabulary.add(token, number):
                raise InvalidError("invalid.duplicate_token", f"{token!r} came before", where=f"row {number}")
        self._of_tokens = rows
        self.rows = np.concatenate([rows, np.arange(header.tokens, header.rows)]) if buckets else rows

    def pieces(
        self, container: Container, section: Section, quantization: Quantization
    ) -> Iterable[bytes | NDArray[np.uint8]]:
        """The raw bytes of a section of the new file."""
        kind = section.kind
        if kind in ("TOKO", "TOKB", "INDX"):
            return [self._vocabulary(kind).view(np.uint8)]
        if kind == "CNTS":
            return [container.array("CNTS", "<u8")[self._of_tokens].view(np.uint8)]
        if kind == "EXCP":
            return [self._exceptions(container).view(np.uint8)]
        if section.raw_size and is_by_row(kind, quantization):
            return _Rows(container, kind, section.raw_size // container.header.rows, self.rows)
        return _Pieces(container, section)

    def _vocabulary(self, kind: str) -> NDArray[np.uint8] | NDArray[np.uint32] | NDArray[np.uint64]:
        if kind == "TOKB":
            return self.vocabulary.data()
        if kind == "TOKO":
            return self.vocabulary.offsets()
        check_indexable(len(self.vocabulary))
        return self.vocabulary.index()

    def _exceptions(self, container: Container) -> NDArray[np.void]:
        """The exceptions of the rows that are kept, in their new order."""
        entries = container.array("EXCP", EXCEPTION)
        dim = container.header.dim
        old, column = np.divmod(entries["position"].astype(np.int64), dim)
        # a row may be kept more than once; those of a row follow one another, and ascend
        begins, ends = (np.searchsorted(old, self.rows, side) for side in ("left", "right"))
        counts = ends - begins
        new = np.repeat(np.arange(len(self.rows)), counts)
        source = np.repeat(begins - (np.cumsum(counts) - counts), counts) + np.arange(len(new))
        kept = entries[source].copy()
        kept["position"] = new * dim + column[source]
        return np.asarray(kept)


def _add(writer: ContainerWriter, kind: str, pieces: Iterable[bytes | NDArray[np.uint8]], frame_size: int) -> None:
    if frame_size:
        writer.add_smaller(kind, lambda: pieces, frame_size=frame_size)
        return
    with writer.section(kind) as sink:
        for piece in pieces:
            sink.write(piece)


def _frame_size(section: Section | None, compress: bool | None, row_bytes: int) -> int:  # noqa: FBT001
    """Raw bytes in a frame, 0 for a section that is stored raw: as it is, or as the writer does it."""
    if compress is None:
        return section.frame_size if section is not None else 0
    return whole_rows(row_bytes) if compress else 0


def _row_bytes(section: Section, quantization: Quantization, rows: int) -> int:
    """Bytes that belong together; 0 for a section that is always stored raw."""
    if not section.raw_size or section.kind in _STRUCTURES:
        return 0
    if is_by_row(section.kind, quantization):
        return section.raw_size // rows
    return int(ExceptionEntry.sizeof()) if section.kind == "EXCP" else 1


class _Rows:
    """Rows picked out of a section, a mebibyte at a time, as often as they are asked for."""

    def __init__(self, container: Container, kind: str, stride: int, rows: NDArray[np.int64]) -> None:
        self._container, self._kind, self._stride, self._rows = container, kind, stride, rows

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        step = max(1, _PIECE // self._stride)
        for start in range(0, len(self._rows), step):
            yield self._container.read_rows(self._kind, self._stride, self._rows[start : start + step])


class _Pieces:
    """The raw bytes of a section, a mebibyte at a time, as often as they are asked for."""

    def __init__(self, container: Container, section: Section) -> None:
        self._container = container
        self._section = section

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        size = self._section.raw_size
        for start in range(0, size, _PIECE):
            yield self._container.read(self._section.kind, start, min(start + _PIECE, size))
