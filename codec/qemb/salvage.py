"""Saving what can be saved of a damaged file: the rows that are whole, under their tokens, in a new file.

What is lost is told by what each section has. Zstd frames have a checksum each. A section stored raw has one for all of
it: there rows that lie in pages of zeros are lost, and the others are taken to be whole; where there are no such pages
nothing tells its rows apart. Words are confirmed by the token index, whose slots follow from their hashes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import google_crc32c
import numpy as np

from qemb.container import Container, damaged
from qemb.damage import frame_bytes, is_by_row, is_shared, rows_of, runs, tokens_of, zero_pages
from qemb.decode import EXCEPTION, Decoder
from qemb.errors import InvalidError, QembError
from qemb.layout import FEATURE_BYTE_TOKENS, KINDS, MAGIC, Codec
from qemb.limits import LIMITS, check_limits
from qemb.lookup import EMPTY, home_slots
from qemb.metadata import parse_metadata
from qemb.rewrite import Choice, rewrite
from qemb.structure import check_structure
from qemb.verify import OpenFile, bad_tokens, cannot_be_found, norm_faults, vector_faults
from qemb.vocabulary import Tokens, offset_dtype

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qemb.errors import Rows
    from qemb.header import Section
    from qemb.limits import Limits
    from qemb.quantization import Quantization
    from qemb.source import Readable, Source

_STRUCTURES = ("QUAN", "TRNS", "SUBW")
_BY_DOUBT = "; nothing tells which of its rows: keep_suspect=True keeps them all"


@dataclass(frozen=True)
class Repaired:
    """What `repair` saved, and what it did not."""

    tokens: int
    """Tokens that the damaged file had."""
    kept: int
    """Those that the new file has, each with its vector as it was."""
    lost: Rows
    """Rows of tokens that it has not, as ranges of their old numbers: the first and the one after the last."""
    lost_vectors: int
    """Of these, rows whose vectors are damaged."""
    lost_words: int
    """Of these, rows whose vectors are whole and whose words are damaged, or came before."""
    dropped: tuple[str, ...]
    """Sections that were left out whole."""
    notes: tuple[str, ...]
    """What is damaged, and what the checksums cannot confirm; a line each."""


def repair(
    source: str | os.PathLike[str] | bytes,
    path: str | os.PathLike[str],
    *,
    keep_suspect: bool = False,
    limits: Limits | None = LIMITS,
) -> Repaired:
    """Save what can be saved of a damaged ``.qemb`` file into a new one, which verifies.

    Rows whose bytes and words are whole are kept, in their order; the index is built anew. Metadata, counts and norms
    that are damaged are left out, and so are subwords where one of their buckets is. A file that was cut off loses what
    was at its end.

    Parameters
    ----------
    source : path or bytes
        The damaged file.
    path : path
        The file to write; it appears whole or not at all, and is not ``source``.
    keep_suspect : bool
        Whether to keep rows of a section that is damaged in a way that does not show which of them are: any may be
        wrong.
    limits : Limits or None
        How much the damaged file may decode to, as for `qemb.open`.

    Raises
    ------
    QembError
        Nothing can be saved: header, section table, descriptor or something else that all rows share is damaged; or
        rows cannot be told apart, and ``keep_suspect`` is False. No file is written.
    OSError
        A file cannot be read or created.
    """
    if not isinstance(source, bytes) and os.path.exists(path) and os.path.samefile(source, path):
        raise InvalidError("invalid.option", "the damaged file is not written over: name another one")
    container = _DamagedFile(source)
    try:
        return _Salvage(container, keep_suspect, limits).write(path)
    finally:
        container.close()


class _DamagedFile(Container):
    """A file that reads whatever its damage: frames that are, as zeros."""

    def __init__(self, source: str | os.PathLike[str] | bytes) -> None:
        self.size = 0
        """Bytes that there were."""
        self.bad_frames: dict[str, set[int]] = {}
        self.replaced: dict[str, NDArray[np.uint8]] = {}
        """Sections that read otherwise than they stand there."""
        super().__init__(source)

    def _open(self, source: Readable, *, memory_map: bool) -> Source:
        opened = super()._open(source, memory_map=memory_map)
        return replace(opened, data=self._mend(opened.data))

    def _mend(self, data: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The file in the length that its header gives, zeros for what was cut off; a quarter has to be there."""
        self.size = len(data)
        if self.size < 64 or data[:8].tobytes() != MAGIC:
            return data
        wanted = int.from_bytes(data[40:48].tobytes(), "little")
        if self.size < wanted <= 4 * self.size:
            whole = np.zeros(wanted, np.uint8)
            whole[: self.size] = data
            return whole
        return data[:wanted]

    def check_section(self, section: Section) -> None:
        if section.kind in _STRUCTURES:
            super().check_section(section)

    def read(self, kind: str, start: int = 0, stop: int | None = None) -> NDArray[np.uint8]:
        if kind in self.replaced:
            return self.replaced[kind][start:stop]
        return super().read(kind, start, stop)

    def _frame_table(self, section: Section) -> NDArray[Any]:
        return self._frame_entries(section)

    def _frame(self, section: Section, number: int) -> NDArray[np.uint8]:
        try:
            return super()._frame(section, number)
        except QembError:
            self.bad_frames.setdefault(section.kind, set()).add(number)
            return np.zeros(min(section.frame_size, section.raw_size - number * section.frame_size), np.uint8)


@dataclass
class _Salvage:
    """The damage of a file, section by section, and what it leaves."""

    container: _DamagedFile
    keep_suspect: bool
    limits: Limits | None
    hit: dict[str, Rows] = field(default_factory=dict)
    """Raw bytes of each damaged section that are lost, as ranges; none where nothing tells which."""
    notes: list[str] = field(default_factory=list)

    def write(self, path: str | os.PathLike[str]) -> Repaired:
        """Look at everything, and write what is whole."""
        container = self.container
        quantization, rotation, _ = check_structure(container)
        check_limits(container, rotation, self.limits)
        header = container.header
        count = header.tokens
        for section in container.sections.values():
            self._survey(section)
        decoder = Decoder(container, header.dim, quantization, rotation)
        file = OpenFile(container, decoder, Tokens(container), lambda: None)
        bad_vectors = self._bad_vectors(file, quantization)
        words = self._words()
        lost = bad_vectors[:count].copy()
        kept, tokens = [], []
        seen: set[bytes] = set()
        for row, word in enumerate(words):
            if word is None or word in seen:
                lost[row] = True
            elif not lost[row]:
                kept.append(row)
                tokens.append(word)
                seen.add(word)
        if count and not kept:
            kind = next(iter(self.hit), "TOKB")  # which every file has
            raise damaged(container.sections[kind], "; no row of the file can be saved")
        if "NORM" in container.sections and "NORM" not in self.hit:
            self._confirm_norms(file, np.concatenate([lost, bad_vectors[count:]]))
        dropped, metadata = self._drop(bad_buckets=bool(bad_vectors[count:].any()))
        buckets = "SUBW" in container.sections
        choice = Choice(container, np.array(kept, np.int64), tokens, buckets=buckets)
        rewrite(container, quantization, path, compress=None, metadata=metadata, choice=choice)
        lost_vectors = int(bad_vectors[:count].sum())
        return Repaired(
            tokens=count,
            kept=len(kept),
            lost=runs(lost),
            lost_vectors=lost_vectors,
            lost_words=count - len(kept) - lost_vectors,
            dropped=tuple(dropped),
            notes=tuple(self.notes),
        )

    # --- what is damaged --------------------------------------------------------------------------------------------

    def _survey(self, section: Section) -> None:
        container = self.container
        if section.kind not in KINDS:
            return
        good = container.checksum(section) == section.crc
        if section.codec == Codec.ZSTD:
            for start in range(0, section.raw_size, section.frame_size):
                container.read(section.kind, start, start + 1)
            frames = container.bad_frames.get(section.kind, set())
            if frames or not good:
                self.hit[section.kind] = frame_bytes(section, frames)
                self.notes.append(f"{section.kind}: {len(frames):,} of {section.frames:,} frames are damaged")
            return
        if good:
            return
        hit = zero_pages(container.data, section)
        if container.size < section.end:
            cut = max(0, container.size - section.offset)
            hit = (*((low, min(high, cut)) for low, high in hit if low < cut), (cut, section.raw_size))
        self.hit[section.kind] = hit
        size = sum(stop - start for start, stop in hit)
        found = f"{size:,} bytes are missing or zeros; its checksum cannot confirm the others" if hit else "damaged"
        self.notes.append(f"{section.kind}: {found}")

    def _is_vague(self, kind: str) -> bool:
        """Whether a section is damaged in places that nothing tells."""
        return kind in self.hit and not self.hit[kind] and self.container.sections[kind].codec == Codec.RAW

    def _bad_vectors(self, file: OpenFile, quantization: Quantization) -> NDArray[np.bool_]:
        """Rows whose vectors are lost."""
        container = self.container
        bad = np.zeros(container.header.rows, np.bool_)
        for kind in self.hit:
            section = container.sections[kind]
            if is_shared(kind, quantization) and (self.hit[kind] or (self._is_vague(kind) and not self.keep_suspect)):
                raise damaged(section, "; every vector depends on it")
            if (is_by_row(kind, quantization) and kind != "NORM") or kind == "EXCP":
                if self._is_vague(kind) and not self.keep_suspect:
                    raise damaged(section, _BY_DOUBT)
                bad |= rows_of(container, quantization, section, self.hit[kind])
        if self.hit.get("EXCP"):
            bad |= self._without_exceptions(file)
        for fault in vector_faults(file):
            if not fault.rows:
                raise fault
            for start, stop in fault.rows:
                bad[start:stop] = True
        return bad

    def _without_exceptions(self, file: OpenFile) -> NDArray[np.bool_]:
        """Rows of which an exception may be lost: those between its neighbours, with a code that one can stand on."""
        container, dim = self.container, file.dim
        entries = container.array("EXCP", EXCEPTION)
        size = EXCEPTION.itemsize
        known = np.ones(len(entries), np.bool_)
        for start, stop in self.hit["EXCP"]:
            known[start // size : -(-stop // size)] = False
        rows = (entries["position"] // np.uint64(dim)).astype(np.int64).clip(0, file.rows - 1)
        bad = np.zeros(file.rows, np.bool_)
        for first, last in runs(~known):
            low = int(rows[first - 1]) if first else 0
            high = int(rows[last]) + 1 if last < len(rows) else file.rows
            for start in range(low, high, 1 << 12):
                stop = min(start + (1 << 12), high)
                codes = file.decoder.codes(slice(start, stop), stop - start)
                bad[start:stop] |= (codes == file.decoder.quantization.max_rank).any(axis=1)
        container.replaced["EXCP"] = np.ascontiguousarray(entries[known]).view(np.uint8)
        return bad

    def _confirm_norms(self, file: OpenFile, lost: NDArray[np.bool_]) -> None:
        """Give up norms that are not those of the rows that are kept, whatever their checksum says."""
        for fault in norm_faults(file):
            if not all(lost[start:stop].all() for start, stop in fault.rows):
                self.hit["NORM"] = fault.rows
                self.notes.append("NORM: some are not those of their rows")

    # --- words ------------------------------------------------------------------------------------------------------

    def _words(self) -> list[bytes | None]:
        """The token of each row; None where it is lost."""
        container, hit = self.container, self.hit
        count, size = container.header.tokens, container.sections["TOKB"].raw_size
        offsets = container.array("TOKO", offset_dtype(size)).astype(np.int64)
        bad = bad_tokens(offsets, size)
        step = container.sections["TOKO"].raw_size // (count + 1)
        for start, stop in hit.get("TOKO", ()):  # a token lies between two offsets
            bad[max(0, start // step - 1) : -(-stop // step)] = True
        bad |= tokens_of(offsets, hit.get("TOKB", ()))
        data = container.read("TOKB").tobytes()
        words: list[bytes | None] = [
            None if lost else data[start:stop]
            for lost, start, stop in zip(bad.tolist(), offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
        ]
        if "TOKO" in hit or "TOKB" in hit:
            self._confirm(words)
        if not container.header.required_features & FEATURE_BYTE_TOKENS:
            words = [word if word is not None and _is_utf8(word) else None for word in words]
        return words

    def _confirm(self, words: list[bytes | None]) -> None:
        """Strike out words that the index cannot lead to, and in doubt those that it does not name."""
        vague = next((kind for kind in ("TOKO", "TOKB") if self._is_vague(kind)), None)
        place, slots = self._index(len(words))
        if slots is None:
            if vague and not self.keep_suspect:
                raise damaged(self.container.sections[vague], _BY_DOUBT)
            return
        hashes = np.fromiter((google_crc32c.value(word or b"") for word in words), np.uint32, len(words))
        named = place >= 0
        wrong = np.zeros(len(words), np.bool_)
        wrong[named] = cannot_be_found(slots, place[named], home_slots(hashes[named], len(slots)))
        if vague and not self.keep_suspect:
            wrong |= ~named
        for row in np.flatnonzero(wrong).tolist():
            words[row] = None

    def _index(self, count: int) -> tuple[NDArray[np.int64], NDArray[np.uint32] | None]:
        """Where the index has each row, -1 where it does not say; and its slots, None where it is of no use."""
        place = np.full(count, -1, np.int64)
        if "INDX" not in self.container.sections or self._is_vague("INDX"):
            return place, None
        slots = self.container.array("INDX", "<u4")
        known = np.ones(len(slots), np.bool_)
        for start, stop in self.hit.get("INDX", ()):
            known[start // 4 : -(-stop // 4)] = False
        if not (slots == EMPTY).any():
            return place, None
        taken = np.flatnonzero(known & (slots < count))
        place[slots[taken]] = taken
        return place, slots

    # --- the rest ---------------------------------------------------------------------------------------------------

    def _drop(self, *, bad_buckets: bool) -> tuple[list[str], bytes | None]:
        """Take out the sections that cannot be kept; their kinds, and the metadata."""
        sections = self.container.sections
        dropped = [kind for kind in sections if kind not in KINDS or (kind in self.hit and kind in ("NORM", "CNTS"))]
        metadata = None
        if "META" in sections:
            metadata = self.container.read("META").tobytes()
            try:
                parse_metadata(metadata, sections["META"].offset)
            except QembError:
                metadata = None
            if "META" in self.hit or metadata is None:
                metadata = None
                dropped.append("META")
        if bad_buckets:
            buckets = self.container.header.rows - self.container.header.tokens
            self.notes.append(f"SUBW: a bucket is damaged; subwords and their {buckets:,} rows are left out")
            dropped.append("SUBW")
        for kind in dropped:
            del sections[kind]
        return dropped, metadata


def _is_utf8(word: bytes) -> bool:
    try:
        word.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
