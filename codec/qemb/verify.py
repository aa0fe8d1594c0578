"""The rules that opening a file does not check: checksums, padding, and the contents of every section.

The order is the specification's, so that the first error is the same in every implementation: section by section in
file order the padding before it and its checksum, then the contents, kind by kind in the order of the specification.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import google_crc32c
import numpy as np

from qemb.decode import EXCEPTION
from qemb.errors import InvalidError
from qemb.layout import FEATURE_BYTE_TOKENS, HIGH_KINDS, FloatType, Level
from qemb.lookup import EMPTY, home_slots
from qemb.packing import stray_bits
from qemb.quantization import float_dtype
from qemb.vocabulary import check_offsets, offset_dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from qemb.container import Container
    from qemb.decode import Decoder
    from qemb.vocabulary import Tokens

_ROWS = 1 << 14
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


def verify(file: OpenFile) -> None:
    """Check an open file whole; `qemb.Embedding.verify` is the public name."""
    _check_stored(file.container)
    for kind, check in _CHECKS.items():
        if kind in file.container.sections:
            check(file)


def _check_stored(container: Container) -> None:
    end = 64 + 40 * len(container.sections)
    for section in container.sections.values():
        if container.data[end : section.offset].any():
            raise InvalidError("invalid.padding", "the bytes before it are not zero", where=section.where, offset=end)
        container.check_section(section)
        end = section.end


# --- contents -------------------------------------------------------------------------------------------------------


def _check_metadata(file: OpenFile) -> None:
    file.metadata()


def _check_levels(file: OpenFile) -> None:
    if file.decoder.quantization.level == Level.PRODUCT:
        _check_floats(file.container, "LEVL", FloatType.FLOAT32, "invalid.level")


def _check_scales(file: OpenFile) -> None:
    _check_floats(file.container, "SCAL", file.decoder.quantization.scale_type, "invalid.scale")


def _check_offsets(file: OpenFile) -> None:
    _check_floats(file.container, "OFFS", file.decoder.quantization.offset_type, "invalid.offset")


def _check_floats(container: Container, kind: str, element: FloatType, code: str) -> None:
    values = container.array(kind, float_dtype(element))
    bad = ~np.isfinite(values)
    if bad.any():
        number = int(np.argmax(bad))
        raise InvalidError(code, f"element {number:,} is {values[number]}; it is finite", where=f"section {kind}")


def _rows(file: OpenFile) -> Iterator[tuple[int, int]]:
    for low in range(0, file.rows, _ROWS):
        yield low, min(low + _ROWS, file.rows)


def _check_codes(file: OpenFile) -> None:
    q = file.decoder.quantization
    count = q.codes_per_row(file.dim)
    for low, high in _rows(file):
        packed = file.decoder.packed(slice(low, high), high - low, "CODE", q.row_stride)
        stray = stray_bits(packed, count, q.low_bits)
        if stray.any():
            raise InvalidError(
                "invalid.code_padding",
                "bits past the last code of the row are not zero",
                where=f"section CODE, row {low + int(np.argmax(stray)):,}",
            )


def _check_high(file: OpenFile) -> None:
    """The last plane may hold bits that no code has."""
    q = file.decoder.quantization
    spare = 8 * q.high_planes - (q.bits - q.low_bits)
    if not spare or not q.high_planes:
        return
    kind = HIGH_KINDS[q.high_planes - 1]
    for low, high in _rows(file):
        plane = file.decoder.packed(slice(low, high), high - low, kind, q.codes_per_row(file.dim))
        bad = (plane >> np.uint8(8 - spare)).any(axis=1)
        if bad.any():
            raise InvalidError(
                "invalid.code_padding",
                f"a byte has bits past bit {q.bits - 1} of its code",
                where=f"section {kind}, row {low + int(np.argmax(bad)):,}",
            )


def _check_ranks(file: OpenFile) -> None:
    """Decimal codes are ranks; decoding them says so when one is past the last."""
    if file.decoder.quantization.level == Level.DECIMAL:
        for low, high in _rows(file):
            file.decoder.rows(low, high, np.empty((high - low, file.dim), np.float32))


def _check_exceptions(file: OpenFile) -> None:
    positions = file.container.array("EXCP", EXCEPTION)["position"]
    last = file.rows * file.dim
    if bool((positions[1:] <= positions[:-1]).any()) or bool((positions >= last).any()):
        raise InvalidError(
            "invalid.exceptions", f"positions ascend and are below rows x dim, {last:,}", where="section EXCP"
        )
    _check_exception_codes(file, positions)


def _check_exception_codes(file: OpenFile, positions: NDArray[np.uint64]) -> None:
    """An exception stands where the code is that of zero, so that a value has one reading."""
    q = file.decoder.quantization
    rows = (positions // np.uint64(file.dim)).astype(np.int64)
    columns = (positions % np.uint64(file.dim)).astype(np.int64)
    for low in range(0, len(rows), _ROWS):
        part = rows[low : low + _ROWS]
        codes = file.decoder.codes(part, len(part))[np.arange(len(part)), columns[low : low + _ROWS]]
        if bool((codes != q.max_rank).any()):
            raise InvalidError(
                "invalid.exceptions",
                f"the code under an exception is that of zero, {q.max_rank:,}",
                where="section EXCP",
            )


def _check_token_offsets(file: OpenFile) -> None:
    size = file.container.sections["TOKB"].raw_size
    offsets = file.container.array("TOKO", offset_dtype(size)).astype(np.int64)
    if offsets[0] != 0 or offsets[-1] != size:
        raise InvalidError(
            "invalid.token_offsets",
            f"they run from {offsets[0]:,} to {offsets[-1]:,}; 0 to {size:,} belongs there",
            where="section TOKO",
        )
    lengths = np.diff(offsets)
    bad = (lengths < 0) | (lengths > 1 << 16)
    if bad.any():
        row = int(np.argmax(bad))
        check_offsets(row, int(offsets[row]), int(offsets[row + 1]), size)


def _check_tokens(file: OpenFile) -> None:
    utf8 = not file.container.header.required_features & FEATURE_BYTE_TOKENS
    seen: set[bytes] = set()
    for row, token in enumerate(file.tokens.iter_raw()):
        where = f"section TOKB, token {row}"
        if utf8 and not token.isascii():
            try:
                token.decode("utf-8")
            except UnicodeDecodeError as error:
                raise InvalidError(
                    "invalid.token_utf8", f"byte {error.start} of the token is not UTF-8", where=where
                ) from error
        if token in seen:
            raise InvalidError("invalid.duplicate_token", "the token came before", where=where)
        seen.add(token)


def _check_index(file: OpenFile) -> None:
    """Every token is found from its hash without meeting an empty slot, and nothing else is in the table."""
    slots = file.container.array("INDX", "<u4")
    count = len(file.tokens)
    taken = np.flatnonzero(slots != EMPTY)
    rows = slots[taken].astype(np.int64)

    def invalid(message: str) -> InvalidError:
        return InvalidError("invalid.index", message, where="section INDX")

    if len(rows) != count or bool((rows >= count).any()) or len(np.unique(rows)) != count:
        raise invalid(f"it does not name each of the {count:,} tokens once")
    hashes = np.fromiter((google_crc32c.value(token) for token in file.tokens.iter_raw()), np.uint32, count)
    place = np.empty(count, np.int64)
    place[rows] = taken
    home = home_slots(hashes, len(slots))
    # The nearest empty slot at or before a token's place has to lie before its home, going round the end.
    size = len(slots)
    empty = np.flatnonzero(slots == EMPTY)
    before = empty[np.searchsorted(empty, place, side="right") - 1]
    gap = (place - before) % size
    lost = (place - home) % size >= gap
    if lost.any():
        raise invalid(f"token {int(np.argmax(lost))} cannot be found from its hash")


def _check_norms(file: OpenFile) -> None:
    norms = file.container.array("NORM", "<f4")
    for low, high in _rows(file):
        decoded = file.decoder.rows(low, high, np.empty((high - low, file.dim), np.float32))
        with np.errstate(invalid="ignore", over="ignore"):
            rows = decoded.astype(np.float64)
            true = np.sqrt(np.einsum("ij,ij->i", rows, rows))
            # a norm that float32 cannot hold may be stored as anything
            checked = true < _PAST_LARGEST
            close = np.abs(norms[low:high] - true) <= np.maximum(_NORM_TOLERANCE * true, _SMALLEST)
        wrong = checked & ~close
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InvalidError(
                "invalid.norm",
                f"it is {norms[low + row]}, the row's is {true[row]}",
                where=f"section NORM, row {low + row}",
            )


_CHECKS: dict[str, Callable[[OpenFile], None]] = {
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
    "NORM": _check_norms,
}
