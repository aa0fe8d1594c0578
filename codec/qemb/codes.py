"""Writing codes as others chose them: quantized tables go into a ``.qemb`` file without being quantized again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from construct import ConstructError

from qemb import quantization
from qemb.errors import InvalidError
from qemb.layout import FloatType, Group, Level
from qemb.packing import code_dtype, pack, packed_size
from qemb.quantization import Quantization, float_dtype
from qemb.rows import RowWriter, as_array

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from qemb.rows import Token
    from qemb.table import TableWriter


@dataclass(frozen=True, kw_only=True, eq=False)
class CodeFormat:
    """How codes become values: ``value = offset + scale * level``, float32, the product rounded, then the sum.

    Attributes
    ----------
    bits : int
        Bits of a code.
    levels : array, optional
        What a code stands for. Left out, codes are *linear*: signed integers s, level = step * s - bias. int8 of shape
        (2^bits,): a *codebook*; (2^window,) with more bits than a code has: a *trellis*. float32 of shape
        (m, 2^bits, L): *product*, a code for each sub-vector of L values, m = ceil(dim / L).
    shift : int
        Of a trellis: how many bits of each code the state remembers.
    step, bias : int
        Of linear levels. The codes c = 0 to 255 of an unsigned quantizer are s = c - 128 with bias -128.
    scale, offset : "none", "table", "row", "column" or "block"
        Which values share one. Linear levels and codebooks have a scale.
    scale_block, offset_block : int, optional
        Columns that share one, where it is "block".
    scale_dtype, offset_dtype : "float32" or "float16"
        How they are stored.
    scales, offsets : array, optional
        Those that rows share: shape () or (1,) for "table", (dim,) for "column". The others come with their rows.
    """

    bits: int
    levels: NDArray[Any] | None = None
    shift: int = 0
    step: int = 1
    bias: int = 0
    scale: str = "none"
    scale_block: int | None = None
    scale_dtype: str = "float32"
    scales: ArrayLike | None = None
    offset: str = "none"
    offset_block: int | None = None
    offset_dtype: str = "float32"
    offsets: ArrayLike | None = None

    def quantization(self, dim: int) -> Quantization:
        """The descriptor for rows of ``dim`` values, checked.

        Raises
        ------
        InvalidError
            ``invalid.option`` or ``invalid.quantization``: an attribute is out of range, or does not go with another.
        """
        level, window, sub_dim = self._level_kind()
        codes = -(-dim // sub_dim) if sub_dim else dim
        shape, found = (codes, 1 << self.bits, sub_dim), np.asarray(self.levels).shape
        if level == Level.PRODUCT and found != shape:
            raise InvalidError("invalid.shape", f"levels of shape {found}; {shape} belongs there")
        scale_group, scale_type = _group("scale", self.scale, self.scale_dtype)
        offset_group, offset_type = _group("offset", self.offset, self.offset_dtype)
        built = Quantization(
            level=level,
            bits=self.bits,
            low_bits=self.bits,
            row_stride=packed_size(codes, self.bits),
            scale_group=scale_group,
            scale_type=scale_type,
            offset_group=offset_group,
            offset_type=offset_type,
            scale_block=self.scale_block or 0,
            offset_block=self.offset_block or 0,
            step=self.step,
            bias=self.bias,
            window=window,
            shift=self.shift,
            sub_dim=sub_dim,
        )
        try:
            return quantization.parse(built.build(), dim, 0)
        except ConstructError as error:
            raise InvalidError("invalid.option", "step, bias or the columns of a block do not fit 32 bits") from error

    def _level_kind(self) -> tuple[Level, int, int]:
        """Kind of levels, window, and length of a sub-vector; the last two 0 where there is none."""
        if not 1 <= self.bits <= 16:
            raise InvalidError("invalid.option", f"bits={self.bits}; codes have 1 to 16")
        if self.levels is None:
            return Level.LINEAR, 0, 0
        levels = np.asarray(self.levels)
        if levels.ndim == 1 and levels.dtype == np.int8:
            window = len(levels).bit_length() - 1
            if len(levels) == 0 or len(levels) != 1 << window:
                raise InvalidError("invalid.shape", f"{len(levels):,} levels; a power of two belongs there")
            return Level.CODEBOOK, window, 0
        if levels.ndim == 3 and levels.dtype.newbyteorder("=") == np.float32:
            if not np.isfinite(levels).all():
                raise InvalidError("invalid.level", "a level is NaN or infinite", where="levels")
            return Level.PRODUCT, 0, levels.shape[2]
        found = f"levels are {levels.dtype} of shape {levels.shape}"
        raise InvalidError("invalid.shape", f"{found}; int8 of one dimension or float32 of three belong there")


def _group(name: str, group: str, dtype: str) -> tuple[Group, FloatType]:
    if group.upper() not in Group.__members__:
        there = ", ".join(member.name.lower() for member in Group)
        raise InvalidError("invalid.option", f"{name} {group!r} does not exist; there are {there}")
    if dtype not in ("float32", "float16"):
        raise InvalidError("invalid.option", f"{name}_dtype {dtype!r} does not exist; there are float32, float16")
    return Group[group.upper()], FloatType.NONE if group == "none" else FloatType[dtype.upper()]


class CodeWriter(RowWriter):
    """Writes a ``.qemb`` file from codes that come in batches; `Writer` is the same for floats.

    Memory is bounded by a batch, the vocabulary, and the scales of rows. The file appears under its name, whole, when
    the ``with`` block ends, or not at all.

    Parameters
    ----------
    path : path
        The file to write.
    dim : int
        Values in a vector.
    code_format : CodeFormat
        How the codes become values.
    metadata, index, duplicates
        As for `Writer`.
    compress : bool
        As for `write`.

    Raises
    ------
    QembError
        A format that does not hold together, or metadata that cannot be stored.
    OSError
        The file cannot be created.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        dim: int,
        code_format: CodeFormat,
        metadata: Mapping[str, Any] | None = None,
        index: bool = True,
        duplicates: Literal["error", "first"] = "error",
        compress: bool = False,
    ) -> None:
        super().__init__(path, dim=dim, metadata=metadata, index=index, duplicates=duplicates)
        self._compress = "all" if compress else "none"
        self._codes = _Codes(code_format, dim)

    def append(
        self,
        tokens: Sequence[Token],
        codes: ArrayLike,
        *,
        scales: ArrayLike | None = None,
        offsets: ArrayLike | None = None,
        counts: ArrayLike | None = None,
    ) -> None:
        """Append rows.

        Parameters
        ----------
        tokens : sequence of str or bytes
            One for each row.
        codes : integer array of shape (n, codes in a row)
            A row has ``dim`` codes, or one for each sub-vector. Linear: signed, -2^(bits-1) to 2^(bits-1) - 1; others
            0 to 2^bits - 1.
        scales, offsets : array of shape (n,) or (n, 1) for "row", (n, blocks) for "block"
            Where rows or blocks have their own. They have to be finite and hold in their dtype exactly.
        counts : array of shape (n,), optional
            How often each token occurs. With the first batch, or never.

        Raises
        ------
        InvalidError
            Shapes do not agree, a code is out of range, a scale is not finite, or a token is too long or there
            already; the message names the row. The writer is of no more use then, and nothing is written.
        """
        with self._taking():
            array = as_array(codes, "codes")
            parts = self._codes.parts(array, scales, offsets, self.rows)
            kept = self._take_tokens(tokens, counts, len(array))
            if kept is not None:
                parts = {kind: part[kept] for kind, part in parts.items()}
            self._table = self._table or self._begin(self._codes)
            self._table.write(parts, len(parts["CODE"]))

    def _finish_rows(self) -> TableWriter:
        self._table = self._table or self._begin(self._codes)
        return self._table


def write_codes(
    path: str | os.PathLike[str],
    tokens: Sequence[Token],
    codes: ArrayLike,
    code_format: CodeFormat,
    *,
    dim: int | None = None,
    scales: ArrayLike | None = None,
    offsets: ArrayLike | None = None,
    counts: ArrayLike | None = None,
    metadata: Mapping[str, Any] | None = None,
    index: bool = True,
    compress: bool = False,
) -> None:
    """Write a quantized table as it is: the codes go into the file, and decode as ``code_format`` says.

    Tables of float16 or bfloat16 need none of this: `write` with that scheme keeps their bits.

    Parameters
    ----------
    path : path
        The file to write; it appears whole or not at all.
    tokens : sequence of str or bytes, length n
        Unique, at most 65,536 bytes each.
    codes : integer array of shape (n, codes in a row)
        As for `CodeWriter.append`, which says what ``scales`` and ``offsets`` are, too.
    code_format : CodeFormat
        How the codes become values.
    dim : int, optional
        Values in a vector, where product levels have more: the last sub-vector is cut off there.
    counts, metadata, index, compress
        As for `write`.

    Raises
    ------
    InvalidError
        The format does not hold together, shapes do not agree, a code is out of range, a scale is not finite. No file
        is written.
    OSError
        The file cannot be created.
    """
    array = as_array(codes, "codes")
    shape = array.shape
    if len(shape) != 2:
        raise InvalidError("invalid.shape", f"the codes have {len(shape)} dimensions; they have 2: rows and columns")
    if dim is None:
        levels = np.asarray(code_format.levels).shape
        dim = shape[1] * (levels[2] if len(levels) == 3 else 1)
    with CodeWriter(
        path, dim=dim, code_format=code_format, metadata=metadata, index=index, compress=compress
    ) as writer:
        writer.append(tokens, array, scales=scales, offsets=offsets, counts=counts)


class _Codes:
    """Codes and what belongs to them, checked and brought into the form of the sections."""

    def __init__(self, code_format: CodeFormat, dim: int) -> None:
        self.quantization = q = code_format.quantization(dim)
        self._dim = dim
        self._levels = code_format.levels
        self._scales = _Floats("SCAL", "scales", q.scale_group, q.scale_type, q.scale_block, dim)
        self._offsets = _Floats("OFFS", "offsets", q.offset_group, q.offset_type, q.offset_block, dim)
        self._shared = {
            **self._scales.shared(code_format.scales),
            **self._offsets.shared(code_format.offsets),
        }

    def head(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Levels, and scales and offsets that rows share."""
        if self._levels is not None:
            yield "LEVL", np.ascontiguousarray(self._levels)
        yield from self._shared.items()

    def parts(
        self, codes: NDArray[Any], scales: ArrayLike | None, offsets: ArrayLike | None, first: int
    ) -> dict[str, NDArray[Any]]:
        """What a batch adds to each section, a row of each array for each row of ``codes``."""
        return {
            "CODE": self._pack(codes, first),
            **self._scales.of_rows(scales, len(codes), first),
            **self._offsets.of_rows(offsets, len(codes), first),
        }

    def _pack(self, codes: NDArray[Any], first: int) -> NDArray[np.uint8]:
        q = self.quantization
        count = q.codes_per_row(self._dim)
        if codes.ndim != 2 or codes.shape[1] != count:
            raise InvalidError("invalid.shape", f"codes of shape {codes.shape}; (rows, {count}) belongs there")
        if codes.dtype.kind not in "iu":
            raise InvalidError("invalid.value", f"codes of dtype {codes.dtype}; integers belong there")
        low = -(1 << (q.bits - 1)) if q.level == Level.LINEAR else 0
        high = low + (1 << q.bits) - 1
        bad = (codes < low) | (codes > high)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            raise InvalidError(
                "invalid.value",
                f"the code {codes[row, column]} is not {low} to {high}",
                where=f"row {first + int(row)}, column {int(column)}",
            )
        dtype = code_dtype(q.bits)
        return pack(codes.astype(dtype) & dtype.type((1 << q.bits) - 1), q.bits)


@dataclass(frozen=True)
class _Floats:
    """Scales, or offsets: which values share one, and how they are stored."""

    kind: str
    name: str
    group: Group
    element: FloatType
    block: int
    dim: int

    def shared(self, given: ArrayLike | None) -> dict[str, NDArray[Any]]:
        """The section, where all rows share it."""
        if (self.group in (Group.TABLE, Group.COLUMN)) != (given is not None):
            place = "stand in the CodeFormat" if given is None else "do not stand in the CodeFormat"
            raise self._misplaced(place, "")
        if given is None:
            return {}
        return {self.kind: self._stored(np.reshape(given, -1), (1 if self.group == Group.TABLE else self.dim,), None)}

    def of_rows(self, given: ArrayLike | None, rows: int, first: int) -> dict[str, NDArray[Any]]:
        """What a batch adds to the section, where rows or blocks have their own."""
        if (self.group in (Group.ROW, Group.BLOCK)) != (given is not None):
            raise self._misplaced("come with every batch" if given is None else "do not come with rows", f"row {first}")
        if given is None:
            return {}
        array = np.asarray(given)
        columns = 1 if self.group == Group.ROW else -(-self.dim // self.block)
        if array.ndim == 1:
            array = array.reshape(-1, 1)
        return {self.kind: self._stored(array, (rows, columns), first)}

    def _misplaced(self, place: str, where: str) -> InvalidError:
        return InvalidError("invalid.shape", f"{self.name} by {self.group.name.lower()} {place}", where=where)

    def _stored(self, array: NDArray[Any], shape: tuple[int, ...], first: int | None) -> NDArray[Any]:
        """As stored; what the type does not hold exactly is an error: codes were chosen with the value given."""
        if array.shape != shape or array.dtype.kind not in "fiu":
            found = f"{self.name} are {array.dtype} of shape {array.shape}"
            raise InvalidError("invalid.shape", f"{found}; floats of shape {shape} belong there")
        dtype = float_dtype(self.element)
        with np.errstate(over="ignore"):
            stored = array.astype(dtype)
        bad = ~np.isfinite(stored) | (stored != array)
        if bad.any():
            place = np.argwhere(bad)[0]
            value = array[tuple(place)]
            rule = f"{np.dtype(dtype).name} does not hold it exactly" if np.isfinite(value) else "they are finite"
            code = "invalid.scale" if self.kind == "SCAL" else "invalid.offset"
            where = "" if first is None else f"row {first + int(place[0])}"
            raise InvalidError(code, f"{value} among the {self.name}: {rule}", where=where)
        return stored
