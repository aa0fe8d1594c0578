"""The rules that opening a file does not check: checksums, padding, and the contents of every section.

The order is the specification's, so that the first error is the same in every implementation: section by section in
file order the padding before it and its checksum, then the contents, kind by kind in the order of the specification.
Contents are gone over in tiles of rows, so that memory is bounded by the vocabulary's hashes and the index.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import google_crc32c
import numpy as np

from qemb.container import damaged
from qemb.damage import frame_bytes, rows_of, runs, tokens_of, zero_pages
from qemb.decode import EXCEPTION
from qemb.errors import InvalidError, QembError
from qemb.layout import FEATURE_BYTE_TOKENS, HIGH_KINDS, MAX_TOKEN, Codec, FloatType, Level
from qemb.lookup import EMPTY, home_slots
from qemb.packing import stray_bits
from qemb.quantization import float_dtype
from qemb.vocabulary import check_offsets, offset_dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from qemb.container import Container
    from qemb.decode import Decoder
    from qemb.errors import Rows
    from qemb.header import Section
    from qemb.vocabulary import Tokens

Progress: TypeAlias = "Callable[[int, int], None]"
"""Is told how many bytes were gone over, and of how many: each once for its checksum, once for what it says."""

_ROWS = 1 << 14
_BYTES = 1 << 20
_NORM_TOLERANCE = 1e-6
_SMALLEST, _PAST_LARGEST = 2.0**-149, 2.0**128
"""The least float32 above 0, and where float32 ends."""


@dataclass(frozen=True)
class OpenFile:
    """What the checks look at: the parts of an open file."""

    container: Container
    """The bytes, by section."""
    decoder: Decoder
    tokens: Tokens
    metadata: Callable[[], object]
    """Reads and checks the metadata."""

    @property
    def rows(self) -> int:
        """Rows in the table."""
        return self.container.header.rows

    @property
    def dim(self) -> int:
        """Values in a row."""
        return self.container.header.dim


def find_faults(file: OpenFile, progress: Progress | None = None) -> Iterator[QembError]:
    """Everything that is wrong with an open file; `qemb.Embedding.faults` is the public name.

    Each rule comes once for each section that breaks it, with all rows that do; each damaged frame is one of its own.
    What cannot be read is not looked into further.
    """
    container = file.container
    total = 2 * sum(section.stored_size for section in container.sections.values())
    done = 0

    def add(size: int) -> None:
        nonlocal done
        done += size
        if progress is not None:
            progress(done, total)

    found: set[tuple[str, str]] = set()
    for fault in _stored_faults(file, add):
        found.add((fault.code, fault.where))
        yield fault
    for kind, check in _CHECKS.items():
        if kind in container.sections:
            for fault in _until_unreadable(check(file)):
                if (fault.code, fault.where) not in found:
                    found.add((fault.code, fault.where))
                    yield fault
            add(container.sections[kind].stored_size)
    add(total - done)


def vector_faults(file: OpenFile) -> Iterator[QembError]:
    """What is wrong with the contents that vectors are made of."""
    for kind in ("LEVL", "SCAL", "OFFS", "CODE", "HIG0", "QUAN", "EXCP"):
        if kind in file.container.sections:
            yield from _CHECKS[kind](file)


def _until_unreadable(faults: Iterator[QembError]) -> Iterator[QembError]:
    """What a check finds, and what it fails on."""
    failed: QembError | None = None
    try:
        yield from faults
    except QembError as error:
        failed = error
    if failed is not None:
        yield failed


def _stored_faults(file: OpenFile, add: Callable[[int], None]) -> Iterator[QembError]:
    container = file.container
    end = 64 + 40 * len(container.sections)
    for section in container.sections.values():
        if container.data[end : section.offset].any():
            yield InvalidError("invalid.padding", "the bytes before it are not zero", where=section.where, offset=end)
        good = container.checksum(section, add) == section.crc
        faults = list(container.frame_faults(section))
        if not good:
            yield _of_checksum(file, section, [number for number, _ in faults])
        for number, fault in faults:
            if number >= 0:
                fault.rows = _rows_hit(file, section, frame_bytes(section, [number]))
            yield fault
        end = section.end


def _of_checksum(file: OpenFile, section: Section, frames: list[int]) -> QembError:
    """A section that does not match its checksum, with the rows that are known to be hit."""
    if section.codec == Codec.ZSTD:
        return damaged(section, "", () if -1 in frames else _rows_hit(file, section, frame_bytes(section, frames)))
    pages = zero_pages(file.container.data, section)
    if not pages:
        return damaged(section)
    size = sum(stop - start for start, stop in pages)
    return damaged(section, f"; {size:,} bytes lie in pages of zeros", _rows_hit(file, section, pages))


def _rows_hit(file: OpenFile, section: Section, hit: Rows) -> Rows:
    """The rows that raw bytes of a section belong to, as far as the other sections say."""
    if section.kind == "TOKB":
        try:
            offsets = file.container.array("TOKO", offset_dtype(section.raw_size))
        except QembError:
            return ()
        return runs(tokens_of(offsets, hit))
    return runs(rows_of(file.container, file.decoder.quantization, section, hit))


# --- contents -------------------------------------------------------------------------------------------------------


def _check_metadata(file: OpenFile) -> Iterator[QembError]:
    file.metadata()
    yield from ()


def _check_levels(file: OpenFile) -> Iterator[QembError]:
    if file.decoder.quantization.level == Level.PRODUCT:
        yield from _check_floats(file, "LEVL", FloatType.FLOAT32, "invalid.level")


def _check_scales(file: OpenFile) -> Iterator[QembError]:
    yield from _check_floats(file, "SCAL", file.decoder.quantization.scale_type, "invalid.scale")


def _check_offsets(file: OpenFile) -> Iterator[QembError]:
    yield from _check_floats(file, "OFFS", file.decoder.quantization.offset_type, "invalid.offset")


def _check_floats(file: OpenFile, kind: str, element: FloatType, code: str) -> Iterator[QembError]:
    """Elements are finite."""
    container, dtype = file.container, np.dtype(float_dtype(element))
    section = container.sections[kind]
    first, hit = "", []
    for start in range(0, section.raw_size, _BYTES):
        values = container.read(kind, start, min(start + _BYTES, section.raw_size)).view(dtype)
        for low, high in runs(~np.isfinite(values)):
            number = start // dtype.itemsize + low
            first = first or f"element {number:,} is {values[low]}; it is finite"
            hit.append((number * dtype.itemsize, (number + high - low) * dtype.itemsize))
    if first:
        yield InvalidError(code, first, where=section.where, rows=_rows_hit(file, section, tuple(hit)))


def _by_rows(
    file: OpenFile, look: Callable[[int, int], NDArray[np.bool_]], fault: Callable[[int, Rows], QembError]
) -> Iterator[QembError]:
    """Look at all rows, a tile at a time; the first that is wrong makes the message, and all are named."""
    wrong: list[tuple[int, int]] = []
    for low in range(0, file.rows, _ROWS):
        for first, last in runs(look(low, min(low + _ROWS, file.rows))):
            if wrong and wrong[-1][1] == low + first:
                wrong[-1] = wrong[-1][0], low + last
            else:
                wrong.append((low + first, low + last))
    if wrong:
        yield fault(wrong[0][0], tuple(wrong))


def _check_codes(file: OpenFile) -> Iterator[QembError]:
    q = file.decoder.quantization
    count = q.codes_per_row(file.dim)

    def look(low: int, high: int) -> NDArray[np.bool_]:
        packed = file.decoder.packed(slice(low, high), high - low, "CODE", q.row_stride)
        return stray_bits(packed, count, q.low_bits)

    yield from _by_rows(
        file,
        look,
        lambda row, rows: InvalidError(
            "invalid.code_padding",
            "bits past the last code of the row are not zero",
            where=f"section CODE, row {row:,}",
            rows=rows,
        ),
    )


def _check_high(file: OpenFile) -> Iterator[QembError]:
    """The last plane may hold bits that no code has."""
    q = file.decoder.quantization
    spare = 8 * q.high_planes - (q.bits - q.low_bits)
    if not spare or not q.high_planes:
        return
    kind = HIGH_KINDS[q.high_planes - 1]

    def look(low: int, high: int) -> NDArray[np.bool_]:
        plane = file.decoder.packed(slice(low, high), high - low, kind, q.codes_per_row(file.dim))
        return np.asarray((plane >> np.uint8(8 - spare)).any(axis=1))

    yield from _by_rows(
        file,
        look,
        lambda row, rows: InvalidError(
            "invalid.code_padding",
            f"a byte has bits past bit {q.bits - 1} of its code",
            where=f"section {kind}, row {row:,}",
            rows=rows,
        ),
    )


def _check_ranks(file: OpenFile) -> Iterator[QembError]:
    """Decimal codes are ranks, and none is past the last."""
    q = file.decoder.quantization
    if q.level == Level.DECIMAL:
        last = 2 * q.max_rank
        yield from _by_rows(
            file,
            lambda low, high: np.asarray((file.decoder.codes(slice(low, high), high - low) > last).any(axis=1)),
            lambda _, rows: InvalidError(
                "invalid.code", f"a code is past {last:,}, the last rank", where="section CODE", rows=rows
            ),
        )


def _check_exceptions(file: OpenFile) -> Iterator[QembError]:
    positions = file.container.array("EXCP", EXCEPTION)["position"]
    last = file.rows * file.dim
    if bool((positions[1:] <= positions[:-1]).any()) or bool((positions >= last).any()):
        yield InvalidError(
            "invalid.exceptions", f"positions ascend and are below rows x dim, {last:,}", where="section EXCP"
        )
        return
    yield from _check_exception_codes(file, positions)


def _check_exception_codes(file: OpenFile, positions: NDArray[np.uint64]) -> Iterator[QembError]:
    """An exception stands where the code is that of zero, so that a value has one reading."""
    q = file.decoder.quantization
    rows = (positions // np.uint64(file.dim)).astype(np.int64)
    columns = (positions % np.uint64(file.dim)).astype(np.int64)
    wrong = np.zeros(file.rows, np.bool_)
    for low in range(0, len(rows), _ROWS):
        part = rows[low : low + _ROWS]
        codes = file.decoder.codes(part, len(part))[np.arange(len(part)), columns[low : low + _ROWS]]
        wrong[part[codes != q.max_rank]] = True
    if wrong.any():
        yield InvalidError(
            "invalid.exceptions",
            f"the code under an exception is that of zero, {q.max_rank:,}",
            where="section EXCP",
            rows=runs(wrong),
        )


def _check_token_offsets(file: OpenFile) -> Iterator[QembError]:
    size = file.container.sections["TOKB"].raw_size
    offsets = file.container.array("TOKO", offset_dtype(size)).astype(np.int64)
    if offsets[0] != 0 or offsets[-1] != size:
        yield InvalidError(
            "invalid.token_offsets",
            f"they run from {offsets[0]:,} to {offsets[-1]:,}; 0 to {size:,} belongs there",
            where="section TOKO",
        )
    bad = bad_tokens(offsets, size)
    if bad.any():
        row = int(np.argmax(bad))
        try:
            check_offsets(row, int(offsets[row]), int(offsets[row + 1]), size)
        except InvalidError as error:
            error.rows = runs(bad)
            yield error


def bad_tokens(offsets: NDArray[np.int64], size: int) -> NDArray[np.bool_]:
    """Which tokens have offsets that descend, lie past the ``size`` bytes of TOKB, or are too far apart."""
    lengths = np.diff(offsets)
    return np.asarray((lengths < 0) | (lengths > MAX_TOKEN) | (offsets[1:] > size))


def _check_tokens(file: OpenFile) -> Iterator[QembError]:
    """Tokens are UTF-8 and unique; of both faults, the one in the earlier row comes first."""
    torn, again = examine_tokens(file.tokens, utf8=not file.container.header.required_features & FEATURE_BYTE_TOKENS)
    faults: list[tuple[int, QembError]] = []
    if torn.any():
        row = int(np.argmax(torn))
        where = f"section TOKB, token {row}"
        place = _first_torn_byte(file.tokens.raw(row))
        message = f"byte {place} of the token is not UTF-8"
        faults.append((row, InvalidError("invalid.token_utf8", message, where=where, rows=runs(torn))))
    if again.any():
        row = int(np.argmax(again))
        where = f"section TOKB, token {row}"
        faults.append(
            (row, InvalidError("invalid.duplicate_token", "the token came before", where=where, rows=runs(again)))
        )
    yield from (fault for _, fault in sorted(faults, key=lambda fault: fault[0]))


def examine_tokens(tokens: Tokens, *, utf8: bool) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which tokens are not UTF-8, where they have to be, and which came before: bool, shape (tokens,) each.

    Only tokens of equal CRC-32C are compared, so that no set of all is held.
    """
    count = len(tokens)
    torn, again = np.zeros(count, np.bool_), np.zeros(count, np.bool_)
    hashes = np.empty(count, np.uint32)
    for row, token in enumerate(tokens.iter_raw()):
        hashes[row] = google_crc32c.value(token)
        if utf8 and not token.isascii():
            torn[row] = _first_torn_byte(token) >= 0
    order = np.argsort(hashes, kind="stable")
    equal = hashes[order][1:] == hashes[order][:-1]
    seen: set[bytes] = set()
    for row in np.unique(np.concatenate([order[1:][equal], order[:-1][equal]])).tolist():
        token = tokens.raw(row)
        again[row] = token in seen
        seen.add(token)
    return torn, again


def _first_torn_byte(token: bytes) -> int:
    """Where a token stops being UTF-8; -1 where it does not."""
    try:
        token.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start
    return -1


def _check_index(file: OpenFile) -> Iterator[QembError]:
    """Every token is found from its hash without meeting an empty slot, and nothing else is in the table."""
    slots = file.container.array("INDX", "<u4")
    count = len(file.tokens)
    taken = np.flatnonzero(slots != EMPTY)
    rows = slots[taken].astype(np.int64)

    def invalid(message: str, rows: Rows = ()) -> InvalidError:
        return InvalidError("invalid.index", message, where="section INDX", rows=rows)

    if len(rows) != count or bool((rows >= count).any()) or len(np.unique(rows)) != count:
        yield invalid(f"it does not name each of the {count:,} tokens once")
        return
    hashes = np.fromiter((google_crc32c.value(token) for token in file.tokens.iter_raw()), np.uint32, count)
    place = np.empty(count, np.int64)
    place[rows] = taken
    lost = cannot_be_found(slots, place, home_slots(hashes, len(slots)))
    if lost.any():
        yield invalid(f"token {int(np.argmax(lost))} cannot be found from its hash", runs(lost))


def cannot_be_found(slots: NDArray[np.uint32], place: NDArray[np.int64], home: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the search for tokens meets an empty slot between where it begins and where they stand."""
    # The nearest empty slot at or before a token's place has to lie before its home, going round the end.
    size = len(slots)
    empty = np.flatnonzero(slots == EMPTY)
    before = empty[np.searchsorted(empty, place, side="right") - 1]
    return np.asarray((place - home) % size >= (place - before) % size)


def norm_faults(file: OpenFile) -> Iterator[QembError]:
    """Norms that are not those of their rows, as `NORM` is there."""
    norms = file.container.array("NORM", "<f4")

    def look(low: int, high: int) -> NDArray[np.bool_]:
        with np.errstate(invalid="ignore", over="ignore"):
            true = _true_norms(file, low, high)
            # a norm that float32 cannot hold may be stored as anything
            checked = true < _PAST_LARGEST
            close = np.abs(norms[low:high] - true) <= np.maximum(_NORM_TOLERANCE * true, _SMALLEST)
        return np.asarray(checked & ~close)

    def fault(row: int, rows: Rows) -> QembError:
        message = f"it is {norms[row]}, the row's is {_true_norms(file, row, row + 1)[0]}"
        return InvalidError("invalid.norm", message, where=f"section NORM, row {row}", rows=rows)

    yield from _by_rows(file, look, fault)


def _true_norms(file: OpenFile, low: int, high: int) -> NDArray[np.float64]:
    with np.errstate(invalid="ignore", over="ignore"):
        rows = file.decoder.rows(low, high, np.empty((high - low, file.dim), np.float32)).astype(np.float64)
        return np.asarray(np.sqrt(np.einsum("ij,ij->i", rows, rows)))


_CHECKS: dict[str, Callable[[OpenFile], Iterator[QembError]]] = {
    "META": _check_metadata,
    "LEVL": _check_levels,
    "SCAL": _check_scales,
    "OFFS": _check_offsets,
    "CODE": _check_codes,
    "HIG0": _check_high,
    "QUAN": _check_ranks,
    "EXCP": _check_exceptions,
    "TOKO": _check_token_offsets,
    "TOKB": _check_tokens,
    "INDX": _check_index,
    "NORM": norm_faults,
}
