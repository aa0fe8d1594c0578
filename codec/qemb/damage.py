"""Where a file is damaged, told from its bytes alone, and which rows these bytes are of.

A section stored raw has one checksum: it says that the section is damaged, not where. The commonest damage shows all
the same: pages that were never written, or that a failing disk gave up, read as zeros. Zstd frames each have their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from qemb.layout import HIGH_KINDS, Group
from qemb.vocabulary import offset_dtype

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from qemb.container import Container
    from qemb.errors import Rows
    from qemb.header import Section
    from qemb.quantization import Quantization

PAGE = 4096
"""Bytes that file systems and disks lose together, at a multiple of as many in the file."""
_STEP = 1 << 24


def zero_pages(data: NDArray[np.uint8], section: Section) -> Rows:
    """The raw bytes of a section that lie in pages of nothing but zeros, as ranges from the section's start."""
    first, last = section.offset // PAGE * PAGE, min(-(-section.end // PAGE) * PAGE, len(data))
    empty = np.zeros(-(-(last - first) // PAGE), np.bool_)
    for start in range(first, last, _STEP):
        part = data[start : min(start + _STEP, last)]
        whole = len(part) // PAGE
        at = (start - first) // PAGE
        empty[at : at + whole] = ~part[: whole * PAGE].reshape(-1, PAGE).any(axis=1)
        if len(part) % PAGE:  # the file ends within it
            empty[at + whole] = not part[whole * PAGE :].any()
    found = [
        (max(0, first + low * PAGE - section.offset), min(first + high * PAGE, section.end) - section.offset)
        for low, high in runs(empty)
    ]
    return tuple((start, stop) for start, stop in found if start < stop)


def frame_bytes(section: Section, frames: Iterable[int]) -> Rows:
    """The raw bytes of frames, as ranges from the section's start."""
    hit = np.zeros(section.frames, np.bool_)
    hit[list(frames)] = True
    size = section.frame_size
    return tuple((low * size, min(high * size, section.raw_size)) for low, high in runs(hit))


def runs(mask: NDArray[np.bool_]) -> Rows:
    """Where a mask is set, as ranges."""
    edges = np.flatnonzero(np.diff(mask.astype(np.int8), prepend=0, append=0)).tolist()
    return tuple(zip(edges[::2], edges[1::2], strict=True))


def is_by_row(kind: str, quantization: Quantization) -> bool:
    """Whether a section holds as many bytes for each row."""
    groups = {"SCAL": quantization.scale_group, "OFFS": quantization.offset_group}
    return kind in ("CODE", "NORM", *HIGH_KINDS) or groups.get(kind) in (Group.ROW, Group.BLOCK)


def is_shared(kind: str, quantization: Quantization) -> bool:
    """Whether every vector depends on all of a section."""
    return kind in ("QUAN", "TRNS", "LEVL") or (kind in ("SCAL", "OFFS") and not is_by_row(kind, quantization))


def rows_of(container: Container, quantization: Quantization, section: Section, hit: Rows) -> NDArray[np.bool_]:
    """Which rows raw bytes of a section belong to, bool, shape (rows,); those of `EXCP` and of the index to none.

    The tokens that bytes of TOKB belong to are told by TOKO: see `tokens_of`.
    """
    header = container.header
    rows = np.zeros(header.rows, np.bool_)
    kind = section.kind
    if is_shared(kind, quantization):
        rows[:] = bool(hit)
    elif kind == "TOKO":
        size = np.dtype(offset_dtype(container.sections["TOKB"].raw_size)).itemsize
        for start, stop in hit:  # a token lies between two offsets
            rows[max(0, start // size - 1) : min(-(-stop // size), header.tokens)] = True
    elif (is_by_row(kind, quantization) or kind == "CNTS") and section.raw_size:
        size = section.raw_size // (header.tokens if kind == "CNTS" else header.rows)
        for start, stop in hit:
            rows[start // size : -(-stop // size)] = True
    return rows


def tokens_of(offsets: NDArray[Any], hit: Rows) -> NDArray[np.bool_]:
    """Which tokens raw bytes of TOKB belong to, bool, shape (tokens,)."""
    starts, stops = np.array(hit, np.int64).reshape(-1, 2).T
    before = np.concatenate([np.zeros(1, np.int64), np.cumsum(stops - starts)])
    places = offsets.astype(np.int64)
    run = np.searchsorted(stops, places, side="right")
    started = np.append(starts, np.iinfo(np.int64).max)[run]
    covered = before[run] + np.maximum(places - started, 0)  # bytes hit before each offset
    return np.asarray(covered[1:] > covered[:-1])
