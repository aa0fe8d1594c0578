"""Header and section table: parsed, and checked in the order of the specification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qemb import layout
from qemb.checksum import crc32c
from qemb.errors import InvalidError, LimitError, MalformedError, UnsupportedError
from qemb.frames import FRAME_ENTRY
from qemb.layout import ALIGNMENT, KINDS, MAX_OFFSET, Codec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HEADER_SIZE = layout.Header.sizeof()
ENTRY_SIZE = layout.SectionEntry.sizeof()


@dataclass(frozen=True)
class FileHeader:
    """What the header says, once checked."""

    major: int
    minor: int
    required_features: int
    optional_features: int
    rows: int
    tokens: int
    dim: int
    file_size: int


@dataclass(frozen=True)
class Section:
    """One entry of the section table, once checked."""

    kind: str
    flags: int
    codec: int
    offset: int
    stored_size: int
    raw_size: int
    frame_size: int
    crc: int
    entry_offset: int
    """Byte offset of the entry itself, for messages."""

    @property
    def where(self) -> str:
        """How messages name the section."""
        return f"section {self.kind}"

    @property
    def end(self) -> int:
        """Offset of the byte after the section."""
        return self.offset + self.stored_size

    @property
    def frames(self) -> int:
        """Number of frames of a compressed section."""
        return -(-self.raw_size // self.frame_size) if self.frame_size else 0


def align(offset: int) -> int:
    """The next multiple of the section alignment."""
    return -(-offset // ALIGNMENT) * ALIGNMENT


def read_header(data: NDArray[np.uint8]) -> FileHeader:
    """Parse and check the header; ``data`` is the whole file. Checks stand in the order of the specification."""
    size = len(data)
    start = bytes(data[:8])
    if start != layout.MAGIC[: len(start)]:
        raise MalformedError("malformed.magic", _explain_magic(start), where="header", offset=0)
    if size < HEADER_SIZE:
        raise MalformedError(
            "malformed.truncated", f"the file has {size} bytes, a header has {HEADER_SIZE}", where="header", offset=size
        )
    raw = bytes(data[:HEADER_SIZE])
    fields = layout.parse(layout.Header, raw, where="header")
    if fields.major != layout.MAJOR:
        raise UnsupportedError(
            "unsupported.version",
            f"the file is of version {fields.major}.{fields.minor}; this reader knows {layout.MAJOR}: upgrade qemb",
            where="header, field major",
            offset=8,
        )
    if crc32c(raw[:-4]) != fields.header_crc:
        raise MalformedError(
            "malformed.header_checksum", "the header is damaged: fetch the file again", where="header", offset=60
        )
    unknown = fields.required_features & ~layout.KNOWN_REQUIRED_FEATURES
    if unknown:
        raise UnsupportedError(
            "unsupported.feature",
            f"the file requires features {unknown:#x}, which this reader does not know: upgrade qemb",
            where="header, field required_features",
            offset=16,
        )
    _check_header_fields(fields, size)
    return FileHeader(
        fields.major,
        fields.minor,
        fields.required_features,
        fields.optional_features,
        fields.rows,
        fields.tokens,
        fields.dim,
        fields.file_size,
    )


def _check_header_fields(fields: Any, size: int) -> None:  # noqa: ANN401
    def invalid(code: str, message: str, field: str, offset: int) -> InvalidError:
        return InvalidError(code, message, where=f"header, field {field}", offset=offset)

    if fields.table_offset != HEADER_SIZE:
        raise invalid("invalid.table_offset", f"it is {fields.table_offset}, not {HEADER_SIZE}", "table_offset", 52)
    if fields.section_count > layout.MAX_SECTIONS:
        raise LimitError(
            "limit.sections",
            f"{fields.section_count:,} sections; at most {layout.MAX_SECTIONS} are read",
            where="header, field section_count",
            offset=12,
        )
    if not 1 <= fields.dim <= layout.MAX_DIM:
        raise invalid("invalid.dim", f"dim is {fields.dim:,}; it is 1 to {layout.MAX_DIM:,}", "dim", 48)
    if fields.rows >= MAX_OFFSET:
        raise invalid("invalid.counts", f"{fields.rows:,} rows; fewer than 2^53 are allowed", "rows", 24)
    if fields.tokens > fields.rows:
        raise invalid("invalid.counts", f"{fields.tokens:,} tokens for {fields.rows:,} rows", "tokens", 32)
    table_end = HEADER_SIZE + fields.section_count * ENTRY_SIZE
    if not table_end <= fields.file_size < MAX_OFFSET:
        raise invalid(
            "invalid.file_size", f"file_size is {fields.file_size:,}, the table ends at {table_end}", "file_size", 40
        )
    if size < fields.file_size:
        raise MalformedError(
            "malformed.truncated",
            f"the file has {size:,} bytes, its header says {fields.file_size:,}: fetch the file again",
            where="header, field file_size",
            offset=size,
        )
    if size > fields.file_size:
        raise invalid(
            "invalid.trailing_bytes", f"{size - fields.file_size:,} bytes follow the end of the file", "file_size", 40
        )


def _explain_magic(start: bytes) -> str:
    if start[:5] == b"\x09QEMB":
        return "the top bit of every byte was lost: the file was sent as 7-bit text, send it as binary"
    if start[:5] == layout.MAGIC[:5] or start.startswith((b"\xef\xbf\xbdQEMB", b"\xc2\x89QEMB")):
        return "line ends or bytes were changed: the file was sent or opened as text, send it as binary"
    return "not a .qemb file: it does not start with 89 51 45 4D 42 0D 0A 1A"


def read_table(data: NDArray[np.uint8], header: FileHeader) -> dict[str, Section]:
    """Parse and check the section table, layout included; sections by kind, in file order."""
    count = int.from_bytes(bytes(data[12:16]), "little")
    raw = bytes(data[HEADER_SIZE : HEADER_SIZE + count * ENTRY_SIZE])
    if crc32c(raw) != int.from_bytes(bytes(data[56:60]), "little"):
        raise MalformedError(
            "malformed.table_checksum",
            "the section table is damaged: fetch the file again",
            where="section table",
            offset=HEADER_SIZE,
        )
    sections: dict[str, Section] = {}
    end = HEADER_SIZE + len(raw)
    for number in range(count):
        at = HEADER_SIZE + number * ENTRY_SIZE
        section = _read_entry(raw[number * ENTRY_SIZE : (number + 1) * ENTRY_SIZE], number, at)
        if section.kind in sections:
            raise InvalidError(
                "invalid.duplicate_section", "it stands twice in the table", where=section.where, offset=at
            )
        _check_codec(section)
        _check_place(section, end, header.file_size)
        sections[section.kind] = section
        end = section.end
    if end != header.file_size:
        raise InvalidError(
            "invalid.trailing_bytes",
            f"{header.file_size - end:,} bytes follow the last section",
            where="section table",
            offset=end,
        )
    return sections


def _read_entry(raw: bytes, number: int, at: int) -> Section:
    fields = layout.parse(layout.SectionEntry, raw, where=f"section table entry {number}", offset=at)
    if not (fields.kind.isalnum() and fields.kind[:1].isalpha()):
        raise InvalidError(
            "invalid.section_kind",
            f"{fields.kind!r} is not four ASCII letters or digits, the first a letter",
            where=f"section table entry {number}",
            offset=at,
        )
    section = Section(
        fields.kind.decode("ascii"),
        fields.flags,
        fields.codec,
        fields.offset,
        fields.stored_size,
        fields.raw_size,
        fields.frame_size,
        fields.crc,
        at,
    )
    known = KINDS.get(section.kind)
    allowed = known.flags if known else section.flags & (layout.FLAG_CRITICAL | layout.FLAG_COPY_SAFE)
    if section.flags != allowed:
        raise InvalidError(
            "invalid.section_flags",
            f"flags are {section.flags:#x}, the specification says {allowed:#x}",
            where=section.where,
            offset=at + 4,
        )
    if known is None and section.flags & layout.FLAG_CRITICAL:
        raise UnsupportedError(
            "unsupported.critical_section",
            "the file cannot be understood without this section, which this reader does not know: upgrade qemb",
            where=section.where,
            offset=at,
        )
    return section


def _check_codec(section: Section) -> None:
    if section.kind not in KINDS:
        return  # passed over, so how it is stored is its own affair
    at = section.entry_offset
    if section.codec == Codec.RAW:
        if section.raw_size != section.stored_size or section.frame_size:
            raise InvalidError(
                "invalid.section_size",
                "a raw section has raw_size equal to stored_size, and frame_size 0",
                where=section.where,
                offset=at + 24,
            )
    elif section.codec == Codec.ZSTD:
        if not 1 <= section.frame_size <= layout.MAX_FRAME:
            raise InvalidError(
                "invalid.frame_size",
                f"frame_size is {section.frame_size:,}; it is 1 to {layout.MAX_FRAME:,}",
                where=section.where,
                offset=at + 32,
            )
        if section.raw_size >= MAX_OFFSET or section.frames * FRAME_ENTRY.itemsize > section.stored_size:
            raise InvalidError(
                "invalid.section_size",
                f"{section.stored_size:,} bytes are too few for a table of {section.frames:,} frames",
                where=section.where,
                offset=at + 16,
            )
    else:
        raise UnsupportedError(
            "unsupported.codec",
            f"codec {section.codec} is not known to this reader: upgrade qemb",
            where=section.where,
            offset=at + 6,
        )


def _check_place(section: Section, end: int, file_size: int) -> None:
    """The layout is closed: a section starts where the one before it ends, rounded up to the alignment."""
    at = section.entry_offset + 8

    def invalid(code: str, message: str) -> InvalidError:
        return InvalidError(code, message, where=section.where, offset=at)

    if section.offset % ALIGNMENT:
        raise invalid("invalid.alignment", f"it starts at {section.offset:,}, which is no multiple of {ALIGNMENT}")
    if section.offset < end:
        raise invalid(
            "invalid.overlap", f"it starts at {section.offset:,}, before the end of what precedes it, {end:,}"
        )
    # the end of the file comes before the hole: a section past the end is both
    if section.offset > file_size or section.stored_size > file_size - section.offset:
        raise invalid(
            "invalid.section_past_end",
            f"it would end at {section.offset + section.stored_size:,}, the file at {file_size:,}",
        )
    if section.offset > align(end):
        raise invalid("invalid.hole", f"it starts at {section.offset:,}; what precedes it ends at {end:,}")
