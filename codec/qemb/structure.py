"""The checks that opening makes past header and section table: structures, and which sections there are, how long."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qemb import layout, quantization, subword, transform
from qemb.errors import InvalidError, LimitError
from qemb.layout import KINDS, Codec
from qemb.vocabulary import MAX_INDEXED, offset_dtype

if TYPE_CHECKING:
    from qemb.container import Container
    from qemb.header import Section
    from qemb.subword import Subwords

_STRUCTURES = ("QUAN", "TRNS", "SUBW")


def check_structure(
    container: Container,
) -> tuple[quantization.Quantization, transform.Hadamard | None, Subwords | None]:
    """Read the structures and check that every section is there that must be, in its size, and no other.

    Raises
    ------
    QembError
        The first broken rule, in the order that the specification fixes.
    """
    sections = container.sections
    header = container.header
    for kind in ("QUAN", "TOKO", "TOKB"):
        if kind not in sections:
            raise InvalidError("invalid.missing_section", "every file has it", where=f"section {kind}")
    for kind in _STRUCTURES:
        if kind in sections:
            _check_structure_section(container, sections[kind])
    section = sections["QUAN"]
    q = quantization.parse(container.read("QUAN").tobytes(), header.dim, section.offset)
    rotation = None
    if "TRNS" in sections:
        rotation = transform.parse(container.read("TRNS").tobytes(), header.dim, sections["TRNS"].offset)
    subwords, buckets = None, 0
    if "SUBW" in sections:
        subwords, buckets = subword.parse(container.read("SUBW").tobytes(), sections["SUBW"].offset)
    if header.rows - header.tokens != buckets:
        raise InvalidError(
            "invalid.counts",
            f"{header.rows:,} rows for {header.tokens:,} tokens and {buckets:,} subword buckets",
            where="header, field rows",
            offset=24,
        )
    _check_sizes(container, q)
    return q, rotation, subwords


def _check_structure_section(container: Container, section: Section) -> None:
    """Structures are stored raw, in exactly their size, and their checksum is looked at before their fields."""
    size = {
        "QUAN": layout.QUANTIZATION_SIZE,
        "TRNS": layout.Transform.sizeof(),
        "SUBW": layout.Subword.sizeof(),
    }[section.kind]
    if section.codec != Codec.RAW:
        raise InvalidError(
            "invalid.section_codec", "it is stored raw", where=section.where, offset=section.entry_offset
        )
    if section.raw_size != size:
        raise _bad_size(section, size)
    container.check_section(section)


def _check_sizes(container: Container, q: quantization.Quantization) -> None:
    header = container.header
    sections = container.sections
    token_bytes = sections["TOKB"].raw_size
    wanted = dict(q.sections(header.rows, header.dim))
    wanted["TOKO"] = np.dtype(offset_dtype(token_bytes)).itemsize * (header.tokens + 1)
    optional = {"NORM": 4 * header.rows, "CNTS": 8 * header.tokens}
    free = {"META", "QUAN", "TRNS", "EXCP", "TOKB", "INDX", "SUBW"}
    for kind in KINDS:
        section = sections.get(kind)
        if section is None:
            if kind in wanted:
                raise InvalidError("invalid.missing_section", "the descriptor calls for it", where=f"section {kind}")
        elif kind not in wanted and kind not in optional and kind not in free:
            raise InvalidError(
                "invalid.unexpected_section",
                "the descriptor has no use for it",
                where=section.where,
                offset=section.entry_offset,
            )
        elif kind in wanted or kind in optional:
            size = wanted.get(kind, optional.get(kind, 0))
            if section.raw_size != size:
                raise _bad_size(section, size)
    _check_free_sizes(container, q)


def _check_free_sizes(container: Container, q: quantization.Quantization) -> None:
    """Sections whose size is not fixed by the header and the descriptor."""
    sections = container.sections
    if "META" in sections and sections["META"].raw_size > layout.MAX_METADATA:
        raise LimitError(
            "limit.metadata_size",
            f"metadata of {sections['META'].raw_size:,} bytes; at most {layout.MAX_METADATA:,} are read",
            where="section META",
            offset=sections["META"].entry_offset,
        )
    if "EXCP" in sections:
        section = sections["EXCP"]
        if q.level != layout.Level.DECIMAL:
            raise InvalidError(
                "invalid.unexpected_section",
                "only decimal levels have exceptions",
                where=section.where,
                offset=section.entry_offset,
            )
        if section.raw_size % layout.ExceptionEntry.sizeof():
            raise _bad_size(section, section.raw_size - section.raw_size % layout.ExceptionEntry.sizeof())
    if "INDX" in sections:
        section = sections["INDX"]
        slots = section.raw_size // 4
        if section.raw_size % 4 or not container.header.tokens < slots < MAX_INDEXED:
            raise InvalidError(
                "invalid.section_size",
                f"{section.raw_size:,} bytes; an index has a slot of 4 bytes for every token, and an empty one",
                where=section.where,
                offset=section.entry_offset + 24,
            )


def _bad_size(section: Section, size: int) -> InvalidError:
    return InvalidError(
        "invalid.section_size",
        f"it has {section.raw_size:,} bytes, {size:,} belong there",
        where=section.where,
        offset=section.entry_offset + 24,
    )
