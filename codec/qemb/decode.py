"""From the bytes of the sections to float32 vectors: unpack, level, scale, transform.

Every step is exact or one rounded float32 operation, in the order of the specification, so that every implementation
gets the same bits. ``offset + scale * level`` is a product and a sum, each rounded; numpy never fuses them.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from qemb import jit, layout
from qemb.decimal import DecimalLevels
from qemb.errors import InvalidError
from qemb.layout import HIGH_KINDS, FloatType, Group, IeeeFormat, Level
from qemb.packing import unpack
from qemb.quantization import Quantization, float_dtype
from qemb.threads import for_each
from qemb.vocabulary import numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from numpy.typing import NDArray

    from qemb.transform import Hadamard

Selection = slice | np.ndarray
"""Rows start to stop, or an int64 array of row numbers."""

TILE_VALUES = 1 << 16
"""Values decoded at a time: a float32 tile of a quarter of a megabyte stays in the cache of one core."""
_PART = 16
"""Tiles that a thread takes at a time; what is no larger stays on one thread."""
_SAFE_SCALE = 2.0**100
"""Below this no product with an 8-bit level is past float32."""
_NO_SCALE, _NO_OFFSET = np.full((1, 1), 1, np.float32), np.full((1, 1), -0.0, np.float32)
"""What changes no value, not even -0, where a kernel wants a scale and an offset."""


class Sections(Protocol):
    """Raw bytes of sections by kind: a file's, or what an encoder is about to write."""

    @property
    def sections(self) -> Collection[str]:
        """The kinds that there are."""
        ...

    def is_raw(self, kind: str) -> bool:
        """Whether a section is stored as it is, so that reading it makes no copy."""
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
        q = quantization
        scalar = q.level in (Level.LINEAR, Level.CODEBOOK) and q.bits <= 8 and not q.high_planes
        trellis = q.level == Level.CODEBOOK and q.window > q.bits
        self._is_int8 = scalar and q.level == Level.LINEAR and (q.bits, q.step, q.bias) == (8, 1, 0)
        self._fills_bytes = scalar and not trellis and 8 % q.bits == 0 and dim * q.bits % 8 == 0
        self._has_kernel = scalar and not self._fills_bytes  # what fills bytes evenly is as quick in numpy
        self._is_plain = (
            self._is_int8
            and transform is None
            and (q.scale_group, q.scale_type, q.offset_group) == (Group.ROW, FloatType.FLOAT32, Group.NONE)
        )
        self._int8_rows: tuple[NDArray[np.int8], memoryview] | None = None
        self._kernel: Callable[..., None] | None = None
        self._shared: dict[str, NDArray[np.float32]] = {}
        self._vectors: NDArray[np.float32] | None = None
        self._exceptions: tuple[NDArray[np.uint64], NDArray[np.uint32]] | None = None

    def release(self) -> None:
        """Let go of the map, as `qemb.Embedding.close` needs it."""
        self._vectors = self._exceptions = self._int8_rows = None
        self._shared.clear()
        self.__dict__.pop("_levels", None)

    # --- rows -------------------------------------------------------------------------------------------------------

    def rows(self, start: int, stop: int, out: NDArray[np.float32]) -> NDArray[np.float32]:
        """Decode rows ``start`` to ``stop`` into ``out``, float32, shape (stop - start, dim), a tile at a time."""
        self._fill(lambda low, high: slice(start + low, min(start + high, stop)), out)
        return out

    def row(self, number: int) -> NDArray[np.float32]:
        """Decode one row, float32, shape (dim,); for who has just seen that the file is open and whole."""
        kept = self._int8_rows
        if kept is None and self._is_plain and all(map(self.container.is_raw, ("CODE", "SCAL"))):
            rows = self.container.array("CODE", "i1").reshape(-1, self.quantization.row_stride)[:, : self.dim]
            kept = self._int8_rows = rows, numbers(self.container.array("SCAL", "<f4"))
        if kept is not None:
            codes, scales = kept
            scale = scales[number]
            if -_SAFE_SCALE < scale < _SAFE_SCALE:
                row: NDArray[np.float32] = np.multiply(codes[number], scale, dtype=np.float32)
                return row
        out = np.empty((1, self.dim), np.float32)
        self._fill(lambda low, high: slice(number + low, number + high), out)
        return out.reshape(self.dim)

    def gather(self, indices: NDArray[np.int64], out: NDArray[np.float32]) -> NDArray[np.float32]:
        """Decode the rows of the numbers given into ``out``, float32, shape (n, dim)."""
        if not self._in_frames:
            self._fill(lambda low, high: indices[low:high], out)
            return out
        some = 4 * _PART * max(1, TILE_VALUES // self.dim)
        for start in range(0, len(indices), some):
            self._gather_from_frames(indices[start : start + some], out[start : start + some])
        return out

    def _gather_from_frames(self, indices: NDArray[np.int64], out: NDArray[np.float32]) -> None:
        """Rows are decoded in the order of the file, so that each frame is decoded once."""
        order = np.argsort(indices, kind="stable")
        ordered = indices[order]
        found = np.empty((len(indices), self.dim), np.float32)
        self._fill(lambda low, high: ordered[low:high], found)
        out[order] = found

    @cached_property
    def _in_frames(self) -> bool:
        kinds = {"CODE", *HIGH_KINDS, "SCAL", "OFFS"} & set(self.container.sections)
        return not all(map(self.container.is_raw, kinds))

    def _fill(self, select: Callable[[int, int], Selection], out: NDArray[np.float32]) -> None:
        """Decode the rows that ``select`` names into ``out``, tile by tile, large tables on several threads."""
        count = len(out)
        step = max(1, TILE_VALUES // self.dim)
        if self._has_kernel and self._kernel is None and jit.ready():
            from qemb.kernels import decode_scalars

            self._kernel = decode_scalars

        def work(first: int) -> None:
            for low in range(first, min(first + _PART * step, count), step):
                high = min(low + step, count)
                self._decode(select(low, high), high - low, out[low:high])

        if count <= _PART * step:
            work(0)
        elif (self._has_kernel or self.transform is not None) and not jit.ready():
            with jit.spent():
                for_each(work, range(0, count, _PART * step))
        else:
            for_each(work, range(0, count, _PART * step))

    def _decode(self, rows: Selection, count: int, out: NDArray[np.float32]) -> None:
        # a product past the largest float32 is infinity, as the specification says; NaN comes out of damaged scales
        with np.errstate(over="ignore", invalid="ignore"):
            scales, scale_block = self._factors("SCAL", rows, count)
            offsets, offset_block = self._factors("OFFS", rows, count)
            if self._kernel is not None:
                self._decode_by(self._kernel, rows, count, (scales, scale_block, offsets, offset_block), out)
            else:
                self._put_levels(rows, count, out)
                if scales is not None:
                    np.multiply(out, self._broadcast(scales, scale_block), out=out)
                if offsets is not None:
                    np.add(out, self._broadcast(offsets, offset_block), out=out)
            if self.transform is not None:
                self.transform.apply(out)

    def _put_levels(self, rows: Selection, count: int, out: NDArray[np.float32]) -> None:
        q = self.quantization
        match q.level:
            case Level.LINEAR | Level.CODEBOOK:
                self._put_scalar_levels(rows, count, out)
            case Level.PRODUCT:
                out[...] = self._product_levels(rows, count)
            case Level.DECIMAL:
                self._decimal.values(self.codes(rows, count), out)
                self._put_exceptions(rows, out)
            case Level.IEEE if q.bits == 16 and 2 * out.size >= TILE_VALUES:
                np.take(self._halves, self.codes(rows, count), out=out, mode="clip")
            case Level.IEEE:
                out[...] = decode_ieee(self.codes(rows, count), q.format)

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

    def _put_scalar_levels(self, rows: Selection, count: int, out: NDArray[np.float32]) -> None:
        q = self.quantization
        if q.level == Level.CODEBOOK and q.window > q.bits:
            # no state is past the table; "clip" spares looking, and half the time
            np.take(self._levels, trellis_states(self.codes(rows, count), q), out=out, mode="clip")
        elif self._is_int8:
            out[...] = self.packed(rows, count, "CODE", q.row_stride)[:, : self.dim].view(np.int8)
        elif self._fills_bytes:
            packed = self.packed(rows, count, "CODE", q.row_stride)[:, : self.dim * q.bits // 8]
            np.take(self._byte_levels, packed, axis=0, out=out.reshape(*packed.shape, 8 // q.bits), mode="clip")
        else:
            np.take(self._levels, self.codes(rows, count), out=out, mode="clip")

    @cached_property
    def _levels(self) -> NDArray[np.float32]:
        """Levels by state, float32."""
        q = self.quantization
        if q.level == Level.LINEAR:
            half = 1 << (q.bits - 1)
            signed = (np.arange(1 << q.bits, dtype=np.int64) + half) % (2 * half) - half
            return np.asarray(signed * q.step - q.bias, np.float32)
        return np.asarray(self.container.array("LEVL", "<i1"), np.float32)

    @cached_property
    def _halves(self) -> NDArray[np.float32]:
        """The value of every code of 16 bits, for tables: made in the time that half a tile takes without it."""
        return decode_ieee(np.arange(1 << 16, dtype=np.uint16), self.quantization.format)

    @cached_property
    def _byte_levels(self) -> NDArray[np.float32]:
        """Where codes fill bytes evenly: the levels of each byte, shape (256, codes in a byte)."""
        bits = self.quantization.bits
        return np.take(self._levels, unpack(np.arange(256, dtype=np.uint8)[:, None], 8 // bits, bits))

    def _decode_by(
        self,
        kernel: Callable[..., None],
        rows: Selection,
        count: int,
        factors: tuple[NDArray[np.float32] | None, int, NDArray[np.float32] | None, int],
        out: NDArray[np.float32],
    ) -> None:
        q = self.quantization
        packed = self.packed(rows, count, "CODE", q.row_stride)
        packed.flags.writeable = False  # of one type, wherever it comes from: a kernel is compiled for each
        memory = q.window - q.bits if q.shift else 0
        scales, scale_block, offsets, offset_block = factors
        scales = _NO_SCALE if scales is None else scales
        offsets = _NO_OFFSET if offsets is None else offsets
        kernel(packed, q.bits, self._levels, memory, q.shift, scales, scale_block, offsets, offset_block, out)

    def _product_levels(self, rows: Selection, count: int) -> NDArray[np.float32]:
        q = self.quantization
        codes = self.codes(rows, count)
        vectors = self._vectors
        if vectors is None:
            levels = self.container.array("LEVL", "<f4")
            vectors = self._vectors = levels.reshape(self.codes_per_row, 1 << q.bits, q.sub_dim)
        parts: NDArray[np.float32] = vectors[np.arange(self.codes_per_row), codes]
        return parts.reshape(count, self.codes_per_row * q.sub_dim)[:, : self.dim]

    def _put_exceptions(self, rows: Selection, values: NDArray[np.float32]) -> None:
        if "EXCP" not in self.container.sections:
            return
        exceptions = self._exceptions
        if exceptions is None:
            entries = self.container.array("EXCP", EXCEPTION)
            # copies: searching in the map would copy the positions anew for every tile
            exceptions = self._exceptions = entries["position"].copy(), entries["bits"].copy()
        positions, bits = exceptions
        if isinstance(rows, slice):
            ends = np.array([rows.start * self.dim, rows.stop * self.dim], np.uint64)
            first, last = np.searchsorted(positions, ends).tolist()
            if first == last:
                return
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

    def _factors(self, kind: str, rows: Selection, count: int) -> tuple[NDArray[np.float32] | None, int]:
        """Scales (or offsets) of rows and how many values share each: float32, shape (count or 1, parts of a row)."""
        q = self.quantization
        group, element, block = (
            (q.scale_group, q.scale_type, q.scale_block)
            if kind == "SCAL"
            else (q.offset_group, q.offset_type, q.offset_block)
        )
        match group:
            case Group.NONE:
                return None, self.dim
            case Group.ROW:
                return self._elements(kind, rows, count, element, 1), self.dim
            case Group.BLOCK:
                return self._elements(kind, rows, count, element, -(-self.dim // block)), block
            case _:
                shared = self._shared.get(kind)
                if shared is None:
                    shared = self.container.array(kind, float_dtype(element)).astype(np.float32).reshape(1, -1)
                    self._shared[kind] = shared
                return shared, self.dim if group == Group.TABLE else 1

    def _elements(
        self, kind: str, rows: Selection, count: int, element: FloatType, per_row: int
    ) -> NDArray[np.float32]:
        name = float_dtype(element)
        packed = self.packed(rows, count, kind, np.dtype(name).itemsize * per_row)
        return np.ascontiguousarray(packed).view(name).astype(np.float32)

    def _broadcast(self, factors: NDArray[np.float32], block: int) -> NDArray[np.float32]:
        """Factors in a shape that broadcasts to rows of ``dim`` values."""
        return np.repeat(factors, block, axis=1)[:, : self.dim] if 1 < block < self.dim else factors


EXCEPTION = layout.dtype(layout.ExceptionEntry)


def trellis_states(codes: NDArray[Any], q: Quantization) -> NDArray[np.uint16]:
    """States of every value of rows that are circles, uint16, shape as ``codes``.

    The register under the code is a sum over the codes before it, the newest on top. It is built by doubling: what the
    last 2n codes leave is what the last n leave, and below it what the n before them leave. All rows are gone over as
    one, each behind as many of its last codes as the register remembers.
    """
    memory = q.window - q.bits
    count, dim = codes.shape
    back = -(-memory // q.shift)
    circles = np.empty((count, back + dim), codes.dtype)
    circles[:, back:] = codes
    circles[:, :back] = codes[:, np.arange(-back, 0) % dim]  # more than once round where the row is shorter than that
    flat = circles.reshape(-1)
    remembered = flat & codes.dtype.type((1 << q.shift) - 1)
    remembered = remembered.astype(np.uint8 if memory <= 8 else np.uint16, copy=False)
    narrow = remembered.dtype.type
    remembered <<= narrow(memory - q.shift)
    reach = 1
    while reach * q.shift < memory:
        remembered[reach:] |= remembered[:-reach] >> narrow(q.shift * reach)
        reach *= 2
    states = flat.astype(np.uint16)
    states <<= np.uint16(memory)
    states[1:] |= remembered[:-1]
    return states.reshape(circles.shape)[:, back:]


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
