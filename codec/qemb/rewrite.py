"""Writing a file again with its sections stored otherwise: rows, codes and tokens stay as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qemb.container import ContainerWriter
from qemb.frames import whole_rows
from qemb.layout import HIGH_KINDS, KINDS, ExceptionEntry, Group

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator

    import numpy as np
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
            pieces = _Pieces(container, section)
            _add(writer, section.kind, pieces, _frame_size(section, compress, row_bytes) if row_bytes else 0)
        header = container.header
        writer.finish(
            rows=header.rows, tokens=header.tokens, dim=header.dim, required_features=header.required_features
        )
    except BaseException:
        writer.abort()
        raise


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
    groups = {"SCAL": quantization.scale_group, "OFFS": quantization.offset_group}
    if section.kind in ("CODE", *HIGH_KINDS) or groups.get(section.kind) in (Group.ROW, Group.BLOCK):
        return section.raw_size // rows
    return int(ExceptionEntry.sizeof()) if section.kind == "EXCP" else 1


class _Pieces:
    """The raw bytes of a section, a mebibyte at a time, as often as they are asked for."""

    def __init__(self, container: Container, section: Section) -> None:
        self._container = container
        self._section = section

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        size = self._section.raw_size
        for start in range(0, size, _PIECE):
            yield self._container.read(self._section.kind, start, min(start + _PIECE, size))
