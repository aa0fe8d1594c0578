"""From the bytes of the sections to float32 vectors: unpack, level, scale, transform.

Every step is exact or one rounded float32 operation, in the order of the specification, so that every implementation
gets the same bits. ``offset + scale * level`` is a product and a sum, each rounded; numpy never fuses them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from qemb import layout
from qemb.decimal import DecimalLevels
from qemb.errors import InvalidError
from qemb.layout import HIGH_KINDS, Group, IeeeFormat, Level
from qemb.packing import packed_size, unpack
from qemb.quantization import Quantization, float_dtype

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from qemb.transform import Hadamard

Selection = slice | np.ndarray
"""Rows start to stop, or an int64 array of row numbers."""

TILE_VALUES = 1 << 16
"""Values decoded at a time: a float32 tile of a quarter of a megabyte stays in the cache of one core."""


class Sections(Protocol):
    """Raw bytes of sections by kind: a file's, or what an encoder is about to write."""

    @property
    def sections(self) -> Collection[str]:
        """The kinds that there are."""
        ...

    def read(self, kind: str, start: int, stop: int) -> NDArray[np.uint8]:
        """Bytes ``start`` to ``stop`` of a section."""
        ...

    def read_rows(self, kind: str, stride: int, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Rows of ``stride`` bytes picked out of a section, shape (n, stride)."""
        ...

    def array(self, kind: str, element: str | np.dtype[Any]) -> NDArray[Any]:
        """A whole section as an array of ``element``."""
        ...


class Decoder:
    """Decodes rows of one file.

    Parameters
    ----------
    container : Sections
        The open file; its sections have been checked against the descriptor.
    dim : int
        Values in a row.
    quantization : Quantization
        The descriptor.
    transform : Hadamard or None
        The rotation, if there is one.
    """

    def __init__(self, container: Sections, dim: int, quantization: Quantization, transform: Hadamard | None) -> None:
        self.container = container
        self.quantization = quantization
        self.transform = transform
        self.dim = dim
        self.codes_per_row = quantization.codes_per_row(dim)
        self._decimal = DecimalLevels(quantization)
        self._tables: tuple[NDArray[Any], int] | None = None
        self._vectors: NDArray[np.float32] | None = None
        self._exceptions: tuple[NDArray[np.uint64], NDArray[np.uint32]] | None = None

    def release(self) -> None:
        """Let go of the map, as `qemb.Embedding.close` needs it."""
        self._tables = self._vectors = self._exceptions = None

    # --- rows -------------------------------------------------------------------------------------------------------

    def rows(self, start: int, stop: int, out: NDArray[np.float32]) -> NDArray[np.float32]:
        """Decode rows ``start`` to ``stop`` into ``out``, float32, shape (stop - start, dim), a tile at a time."""
        step = max(1, TILE_VALUES // self.dim)
        for low in range(start, stop, step):
            high = min(low + step, stop)
            self._decode(slice(low, high), high - low, out[low - start : high - start])
        return out

    def gather(self, indices: NDArray[np.int64], out: NDArray[np.float32]) -> NDArray[np.float32]:
        """Decode the rows of the numbers given into ``out``, float32, shape (n, dim)."""
        step = max(1, TILE_VALUES // self.dim)
        for low in range(0, len(indices), step):
            part = indices[low : low + step]
            self._decode(part, len(part), out[low : low + len(part)])
        return out

    def _decode(self, rows: Selection, count: int, out: NDArray[np.float32]) -> None:
        q = self.quantization
        # a product past the largest float32 is infinity, as the specification says; NaN comes out of damaged scales
        with np.errstate(over="ignore", invalid="ignore"):
            levels = self._levels(rows, count)
            if q.scale_group != Group.NONE:
                np.multiply(levels, self._grouped("SCAL", rows, count), out=out)
            else:
                out[...] = levels
            if q.offset_group != Group.NONE:
                np.add(out, self._grouped("OFFS", rows, count), out=out)
            if self.transform is not None:
                self.transform.apply(out)

    def _levels(self, rows: Selection, count: int) -> NDArray[np.float32]:
        q = self.quantization
        match q.level:
            case Level.LINEAR | Level.CODEBOOK:
                return self._scalar_levels(rows, count)
            case Level.PRODUCT:
                return self._product_levels(rows, count)
            case Level.DECIMAL:
                values = self._decimal.values(self.codes(rows, count))
                self._put_exceptions(rows, values)
                return values
            case Level.IEEE:
                return decode_ieee(self.codes(rows, count), q.format)

    # --- codes ------------------------------------------------------------------------------------------------------

    def packed(self, rows: Selection, count: int, kind: str, stride: int) -> NDArray[np.uint8]:
        """The bytes of rows of a section, shape (count, stride)."""
        if isinstance(rows, slice):
            return self.container.read(kind, rows.start * stride, rows.stop * stride).reshape(count, stride)
        return self.container.read_rows(kind, stride, rows)

    def codes(self, rows: Selection, count: int) -> NDArray[Any]:
        """Whole codes of rows, unsigned, shape (count, codes_per_row): low bits and high planes put together."""
        q = self.quantization
        codes: NDArray[Any] | None = None
        if q.low_bits:
            packed = self.packed(rows, count, "CODE", q.row_stride)
            codes = unpack(packed, self.codes_per_row, q.low_bits)
        if q.high_planes:
            whole = np.zeros((count, self.codes_per_row), np.uint32) if codes is None else codes.astype(np.uint32)
            for plane, kind in enumerate(HIGH_KINDS[: q.high_planes]):
                high = self.packed(rows, count, kind, self.codes_per_row)
                whole |= high.astype(np.uint32) << np.uint32(q.low_bits + 8 * plane)
            # bits past the last of a code are an error that `verify` reports; here they must not point past a table
            codes = whole & np.uint32((1 << q.bits) - 1)
        if codes is None:
            raise AssertionError("the descriptor check lets no file through that has neither low bits nor high")
        return codes

    # --- levels -----------------------------------------------------------------------------------------------------

    def _scalar_levels(self, rows: Selection, count: int) -> NDArray[np.float32]:
        q = self.quantization
        if q.level == Level.CODEBOOK and q.window > q.bits:
            table, _ = self._level_tables()
            # no state is past the table; "clip" spares looking, and half the time
            return np.take(table, trellis_states(self.codes(rows, count), q), mode="clip")
        if q.high_planes or q.bits == 16:
            return np.take(self._level_tables()[0], self.codes(rows, count))
        packed = self.packed(rows, count, "CODE", q.row_stride)
        if q.level == Level.LINEAR and q.bits == 8 and q.step == 1 and q.bias == 0:
            return packed[:, : self.dim].view(np.int8).astype(np.float32)
        table, per_byte = self._level_tables()
        if per_byte > 1:
            packed = packed[:, : packed_size(self.dim, q.bits)]
            return np.take(table, packed, axis=0).reshape(count, -1)[:, : self.dim]
        return np.take(table, unpack(packed, self.dim, q.bits))

    def _level_tables(self) -> tuple[NDArray[np.float32], int]:
        """Levels by state, float32; where codes fill bytes evenly, all the levels of a byte, shape (256, n), and n."""
        if self._tables is None:
            q = self.quantization
            if q.level == Level.LINEAR:
                half = 1 << (q.bits - 1)
                signed = (np.arange(1 << q.bits, dtype=np.int64) + half) % (2 * half) - half
                table = (signed * q.step - q.bias).astype(np.float32)
            else:
                table = self.container.array("LEVL", "<i1").astype(np.float32)
            per_byte = 8 // q.bits if q.bits in (1, 2, 4) and len(table) == 1 << q.bits and not q.high_planes else 1
            if per_byte > 1:
                every = np.arange(256, dtype=np.uint8)[:, None]
                table = table[unpack(every, per_byte, q.bits)]
            self._tables = np.ascontiguousarray(table), per_byte
        return self._tables

    def _product_levels(self, rows: Selection, count: int) -> NDArray[np.float32]:
        q = self.quantization
        if self._vectors is None:
            levels = self.container.array("LEVL", "<f4")
            self._vectors = levels.reshape(self.codes_per_row, 1 << q.bits, q.sub_dim)
        codes = self.codes(rows, count)
        parts: NDArray[np.float32] = self._vectors[np.arange(self.codes_per_row), codes]
        return parts.reshape(count, self.codes_per_row * q.sub_dim)[:, : self.dim]

    def _put_exceptions(self, rows: Selection, values: NDArray[np.float32]) -> None:
        if "EXCP" not in self.container.sections:
            return
        if self._exceptions is None:
            entries = self.container.array("EXCP", EXCEPTION)
            # copies: searching in the map would copy the positions anew for every tile
            self._exceptions = entries["position"].copy(), entries["bits"].copy()
        positions, bits = self._exceptions
        numbers = np.arange(rows.start, rows.stop, dtype=np.int64) if isinstance(rows, slice) else rows
        flat = values.view(np.uint32)
        low = np.searchsorted(positions, (numbers * self.dim).astype(np.uint64))
        high = np.searchsorted(positions, ((numbers + 1) * self.dim).astype(np.uint64))
        for row in np.flatnonzero(high > low):
            column = positions[low[row] : high[row]] - np.uint64(int(numbers[row]) * self.dim)
            if bool((column >= self.dim).any()):
                raise InvalidError("invalid.exceptions", "the positions do not ascend", where="section EXCP")
            flat[row, column.astype(np.int64)] = bits[low[row] : high[row]]

    # --- scales and offsets -----------------------------------------------------------------------------------------

    def _grouped(self, kind: str, rows: Selection, count: int) -> NDArray[np.float32]:
        """Scales (or offsets) of rows as float32, in a shape that broadcasts to (count, dim)."""
        q = self.quantization
        group, element, block = (
            (q.scale_group, q.scale_type, q.scale_block)
            if kind == "SCAL"
            else (q.offset_group, q.offset_type, q.offset_block)
        )
        name = float_dtype(element)
        match group:
            case Group.ROW:
                return self._elements(kind, rows, count, name, 1)
            case Group.BLOCK:
                blocks = -(-self.dim // block)
                return np.repeat(self._elements(kind, rows, count, name, blocks), block, axis=1)[:, : self.dim]
            case _:
                return self.container.array(kind, name).astype(np.float32)

    def _elements(self, kind: str, rows: Selection, count: int, name: str, per_row: int) -> NDArray[np.float32]:
        stride = np.dtype(name).itemsize * per_row
        return np.ascontiguousarray(self.packed(rows, count, kind, stride)).view(name).astype(np.float32)


EXCEPTION = layout.dtype(layout.ExceptionEntry)


def trellis_states(codes: NDArray[Any], q: Quantization) -> NDArray[np.uint16]:
    """States of every value of rows that are circles, uint16, shape as ``codes``.

    The register under the code is a sum over the codes before it, the newest on top. It is built by doubling: what the
    last 2n codes leave is what the last n leave, and below it what the n before them leave.
    """
    memory = q.window - q.bits
    remembered = (codes & codes.dtype.type((1 << q.shift) - 1)).astype(np.uint16) << np.uint16(memory - q.shift)
    reach = 1
    while reach * q.shift < memory:
        # np.roll goes round more than once where the row is shorter than the reach
        remembered |= np.roll(remembered, reach, axis=1) >> np.uint16(q.shift * reach)
        reach *= 2
    states: NDArray[np.uint16] = np.roll(remembered, 1, axis=1) | codes.astype(np.uint16) << np.uint16(memory)
    return states


def decode_ieee(codes: NDArray[Any], kind: IeeeFormat) -> NDArray[np.float32]:
    """Codes that sort as the values do, back to the bits of the format, and those to float32.

    Negative values have all bits flipped, the others the sign bit. NaN keeps its payload.
    """
    width = 32 if kind == IeeeFormat.FLOAT32 else 16
    dtype = np.uint32 if width == 32 else np.uint16
    codes = codes.astype(dtype, copy=False)
    sign = dtype(1 << (width - 1))
    bits = codes ^ np.where(codes & sign, sign, dtype((1 << width) - 1))
    if kind == IeeeFormat.FLOAT32:
        return bits.view(np.float32)
    if kind == IeeeFormat.BFLOAT16:
        return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)
    values = bits.view(np.float16).astype(np.float32)
    # processors set the quiet bit of a NaN on the way to float32; the specification keeps the payload as it is
    nan = (bits & np.uint16(0x7FFF)) > np.uint16(0x7C00)
    if bool(nan.any()):
        raw = bits[nan].astype(np.uint32)
        high = (raw & np.uint32(0x8000)) << np.uint32(16) | np.uint32(0x7F800000)
        values.view(np.uint32)[nan] = high | (raw & np.uint32(0x3FF)) << np.uint32(13)
    return values
