"""The writer's half of the model: choose scales, choose codes, pack them.

The codes are chosen with the scale as it is stored, after rounding. All sums run in a fixed order, so that the same
rows give the same file on every machine and whatever the sizes of the batches they came in.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from qemb.errors import InvalidError
from qemb.layout import FloatType, Group, IeeeFormat, Level
from qemb.packing import pack, packed_size
from qemb.quantization import Quantization, float_dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

TILE_ROWS = 4096
"""Rows quantized at a time. Column sums run tile by tile, so the files this codec writes depend on it."""

# fmt: off
NORMAL_LEVELS: dict[int, tuple[int, ...]] = {
    1: (1,),
    2: (38, 127),
    3: (14, 45, 79, 127),
    4: (6, 18, 31, 44, 58, 75, 96, 127),
    5: (3, 8, 13, 18, 24, 29, 35, 41, 47, 54, 61, 70, 79, 90, 105, 127),
    6: (1, 3, 6, 8, 10, 13, 15, 17, 20, 22, 24, 27, 30, 32, 35, 38, 40, 43, 46, 49, 53, 56, 60, 64, 68, 73, 78, 84, 91,
        99, 110, 127),
    7: (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 23, 24, 25, 26, 27, 28, 29,
        31, 32, 33, 34, 36, 37, 38, 40, 41, 42, 44, 45, 47, 49, 50, 52, 54, 55, 57, 59, 61, 64, 66, 68, 71, 74, 77, 80,
        83, 87, 92, 97, 104, 113, 127),
}
# fmt: on
"""Positive halves of the published codebooks: Lloyd-Max levels of the normal distribution, the outermost on 127 (or 1),
rounded to integers."""
NORMAL_SPREAD = {1: 1.2533, 2: 84.08, 3: 59.02, 4: 46.48, 5: 38.95, 6: 33.92, 7: 30.61}
"""Standard deviation, in units of the levels, of the normal distribution that each codebook fits best."""

_SMALLEST_FLOAT16 = 2.0**-17
"""Scales below this lose more than 0.4% to float16's subnormal steps; then float32 is taken."""
_LARGEST_FLOAT16 = 65504.0


def normal_levels(bits: int) -> NDArray[np.int8]:
    """The published codebook of ``bits`` bits, ascending, int8, shape (2^bits,)."""
    half = np.array(NORMAL_LEVELS[bits], np.int8)
    return np.concatenate([-half[::-1], half])


class ScaleRangeError(InvalidError):
    """A scale does not fit float16: the writer starts again with float32, where the caller left it the choice."""

    def __init__(self, scale: float, where: str) -> None:
        super().__init__(
            "invalid.scale_range", f"the scale {scale:.3g} does not fit float16; use scale_dtype='float32'", where=where
        )


class Encoder(Protocol):
    """One scheme, ready to quantize. What `fit` needs to see first, it sees in a pass of its own."""

    @property
    def quantization(self) -> Quantization:
        """The descriptor to write, as far as it is decided."""
        ...

    @property
    def needs_pass(self) -> bool:
        """Whether `fit` has to see every row before `encode` may see any."""
        ...

    def fit(self, tiles: Callable[[], Iterable[NDArray[np.float32]]]) -> None:
        """Look at all rows, in tiles."""
        ...

    def head(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Sections whose contents are known before the first row is encoded."""
        ...

    def encode(self, tile: NDArray[np.float32], first: int) -> dict[str, NDArray[Any]]:
        """Quantize a tile of float32 rows, shape (n, dim); ``first`` is the number of its first row.

        Returns
        -------
        dict
            What to append to which sections.
        """
        ...

    def widen(self) -> bool:
        """After a `ScaleRangeError`: choose a wider type and say True, or say False. Then `fit` sees all rows again."""
        ...


# --- scaled schemes -------------------------------------------------------------------------------------------------


class ScaledEncoder:
    """Linear and codebook levels: what they share is the mean, the grouping of scales and their rounding.

    Parameters
    ----------
    quantization : Quantization
        The descriptor to write.
    dim : int
        Values in a row.
    may_widen : bool
        Whether float16 scales may become float32 ones where they do not fit.
    """

    def __init__(self, quantization: Quantization, dim: int, *, may_widen: bool) -> None:
        self.quantization = quantization
        self.dim = dim
        self.may_widen = may_widen
        self.mean: NDArray[np.float32] | None = None
        self.fitted: NDArray[np.float32] | None = None

    @property
    def needs_pass(self) -> bool:
        """A mean, and scales that rows share, need all rows; so does a float16 scale that may turn out too narrow."""
        q = self.quantization
        shared = q.offset_group != Group.NONE or q.scale_group in (Group.TABLE, Group.COLUMN)
        return shared or (self.may_widen and q.scale_type == FloatType.FLOAT16)

    def widen(self) -> bool:
        """Go from float16 to float32 scales; False where that may not be. `fit` has to be called again."""
        if not self.may_widen or self.quantization.scale_type != FloatType.FLOAT16:
            return False
        self.quantization = replace(self.quantization, scale_type=FloatType.FLOAT32)
        return True

    def fit(self, tiles: Callable[[], Iterable[NDArray[np.float32]]]) -> None:
        """Column means, and the scales of groups that span rows."""
        q = self.quantization
        total = np.zeros(self.dim)
        low = np.full(self.dim, np.inf, np.float32)
        high = np.full(self.dim, -np.inf, np.float32)
        rows = 0
        for tile in tiles():
            total += np.add.reduce(tile, axis=0, dtype=np.float64)
            np.minimum(low, tile.min(axis=0), out=low)
            np.maximum(high, tile.max(axis=0), out=high)
            rows += len(tile)
        if q.offset_group != Group.NONE:
            self.mean = (total / max(rows, 1)).astype(np.float32)
        if q.scale_group in (Group.TABLE, Group.COLUMN):
            self.fitted = self._fit_shared(tiles, low, high, rows)

    def head(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Offsets, and scales that rows share."""
        q = self.quantization
        if self.fitted is not None:
            yield "SCAL", self.fitted.astype(float_dtype(q.scale_type))
        if self.mean is not None:
            yield "OFFS", self.mean.astype(float_dtype(q.offset_type))

    def encode(self, tile: NDArray[np.float32], first: int) -> dict[str, NDArray[Any]]:
        """Subtract the mean, choose scales, choose codes, pack."""
        if self.mean is not None:
            with np.errstate(over="ignore"):
                tile = tile - self.mean
        _need_finite(tile, first, "the distance from the mean overflows")
        if self.fitted is not None:
            return {"CODE": self.pack(self.codes(tile, self.fitted))}
        groups = self._groups(tile)
        scales = self.scales(groups)
        self._check_range(scales, first, len(groups) // max(len(tile), 1))
        codes = self.codes(groups, scales[:, None]).reshape(len(tile), -1)[:, : self.dim]
        stored = scales.astype(float_dtype(self.quantization.scale_type))
        return {"CODE": self.pack(codes), "SCAL": stored}

    def pack(self, codes: NDArray[np.uint16]) -> NDArray[np.uint8]:
        """Pack codes into rows of bytes."""
        return pack(codes, self.quantization.bits)

    def _groups(self, tile: NDArray[np.float32]) -> NDArray[np.float32]:
        """The tile cut so that each row of the result shares one scale: whole rows, or blocks filled up with zeros."""
        q = self.quantization
        if q.scale_group == Group.ROW:
            return tile
        blocks = -(-self.dim // q.scale_block)
        padded = np.zeros((len(tile), blocks * q.scale_block), np.float32)
        padded[:, : self.dim] = tile
        return padded.reshape(-1, q.scale_block)

    def _fit_shared(
        self,
        tiles: Callable[[], Iterable[NDArray[np.float32]]],  # noqa: ARG002
        low: NDArray[np.float32],
        high: NDArray[np.float32],
        rows: int,
    ) -> NDArray[np.float32]:
        """One scale for the table, shape (1,), or one for each column, shape (dim,), from the largest magnitudes."""
        if not rows:
            low, high = np.zeros_like(low), np.zeros_like(high)
        if self.mean is not None:
            # subtracting the same number keeps order, so the extremes move with the mean
            low, high = low - self.mean, high - self.mean
        largest = np.maximum(np.abs(low), np.abs(high))
        if self.quantization.scale_group == Group.TABLE:
            largest = largest.max(keepdims=True)
        scales = self.absmax_scales(largest)
        self._check_range(scales, 0, 0)
        return scales

    def absmax_scales(self, largest: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scales that put these magnitudes on the outermost level, rounded to the stored type."""
        return absmax_scales(largest, self.top, self.quantization.scale_type)

    def _check_range(self, scales: NDArray[np.float32], first: int, groups_per_row: int) -> None:
        if self.quantization.scale_type != FloatType.FLOAT16:
            return
        bad = np.flatnonzero(((scales > 0) & (scales < _SMALLEST_FLOAT16)) | (scales > _LARGEST_FLOAT16))
        if len(bad):
            row = f"row {first + int(bad[0]) // groups_per_row}" if groups_per_row else ""
            raise ScaleRangeError(float(scales[bad[0]]), row)

    @property
    def top(self) -> int:
        """The outermost level."""
        raise NotImplementedError

    def scales(self, groups: NDArray[np.float32]) -> NDArray[np.float32]:
        """One scale for each row of ``groups``, as it will be stored."""
        raise NotImplementedError

    def codes(self, values: NDArray[np.float32], scales: NDArray[np.float32]) -> NDArray[np.uint16]:
        """Codes of the levels nearest to ``values / scales``."""
        raise NotImplementedError


class LinearEncoder(ScaledEncoder):
    """Integers from -(2^(b-1) - 1) to 2^(b-1) - 1, the largest magnitude of a group on the last; one bit is a sign.

    With one bit, the levels are -1 and +1: a step of 2.
    """

    @property
    def top(self) -> int:
        """The outermost level."""
        return max(1, (1 << (self.quantization.bits - 1)) - 1)

    def scales(self, groups: NDArray[np.float32]) -> NDArray[np.float32]:
        """Largest magnitude over the outermost level."""
        return self.absmax_scales(np.abs(groups).max(axis=1, initial=0))

    def codes(self, values: NDArray[np.float32], scales: NDArray[np.float32]) -> NDArray[np.uint16]:
        """Nearest integer, ties to even, in two's complement of b bits."""
        bits = self.quantization.bits
        if bits == 1:
            return (values < 0).astype(np.uint16)
        levels = np.rint(values / np.where(scales > 0, scales, np.float32(1)))
        np.clip(levels, -self.top, self.top, out=levels)
        return levels.astype(np.int16).view(np.uint16) & np.uint16((1 << bits) - 1)


class CodebookEncoder(ScaledEncoder):
    """A table of int8 levels for the normal distribution; the scale of a group is that of least squared error."""

    def __init__(self, quantization: Quantization, dim: int, levels: NDArray[np.int8], *, may_widen: bool) -> None:
        super().__init__(quantization, dim, may_widen=may_widen)
        self.levels = levels
        # Thresholds lie half way between neighbouring levels, so at multiples of a half: a table of the code for
        # every half step, indexed by floor(2 x), finds the nearest level exactly.
        wide = levels.astype(np.int64)
        middles = wide[1:] + wide[:-1]
        self._reach = int(2 * np.abs(wide).max()) + 2
        steps = np.arange(-self._reach, self._reach + 1)
        self._code_of = np.searchsorted(middles, steps, side="right").astype(np.uint16)

    @property
    def top(self) -> int:
        """The outermost level."""
        return int(np.abs(self.levels.astype(np.int64)).max())

    def head(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """The levels, then what every scaled scheme has."""
        yield "LEVL", self.levels
        yield from super().head()

    def codes(self, values: NDArray[np.float32], scales: NDArray[np.float32]) -> NDArray[np.uint16]:
        """The nearest level; half way between two, the upper one."""
        with np.errstate(over="ignore"):
            steps = np.floor(values / np.where(scales > 0, scales, np.float32(1)) * np.float32(2))
        np.clip(steps, -self._reach, self._reach, out=steps)
        return np.asarray(self._code_of[steps.astype(np.int16) + np.int16(self._reach)])

    def scales(self, groups: NDArray[np.float32]) -> NDArray[np.float32]:
        """The best of several starts around the ratio of spreads, each improved by alternating codes and scale.

        For given codes the scale of least squared error is <x, l> / <l, l>; for a given scale the best codes are the
        nearest levels. Sums run over the columns in order, so that they are the same on every machine.
        """
        # Powers of two are divided out first: squares must neither overflow nor vanish.
        largest = np.abs(groups).max(axis=1, initial=0)
        exponent = np.frexp(largest)[1]
        columns = np.ascontiguousarray(np.ldexp(groups, -exponent[:, None]).T)
        spread = np.sqrt(_sum_rows(columns, columns) / groups.shape[1])
        base = spread / NORMAL_SPREAD[self.quantization.bits]
        best = np.zeros(len(groups))
        least = np.full(len(groups), np.inf)
        for factor in _STARTS:
            scale = base * factor
            for _ in range(_IMPROVEMENTS):
                levels = self._levels_of(columns, scale)
                power = _sum_rows(levels, levels)
                scale = _sum_rows(columns, levels) / np.where(power > 0, power, 1)
            levels = self._levels_of(columns, scale)
            error = _sum_rows(columns, columns) - 2 * scale * _sum_rows(columns, levels)
            error += scale * scale * _sum_rows(levels, levels)
            better = error < least
            best[better], least[better] = scale[better], error[better]
        scales = np.ldexp(best, exponent)
        if self.quantization.scale_type == FloatType.FLOAT16:
            with np.errstate(over="ignore"):
                return np.where(
                    (scales >= _SMALLEST_FLOAT16) & (scales <= _LARGEST_FLOAT16), scales.astype(np.float16), scales
                ).astype(np.float32)
        return _keep_finite(scales.astype(np.float32), self.top)

    def _levels_of(self, columns: NDArray[np.float32], scale: NDArray[np.float64]) -> NDArray[np.float32]:
        codes = self.codes(columns, scale.astype(np.float32))
        return self.levels.astype(np.float32)[codes]

    def _fit_shared(
        self,
        tiles: Callable[[], Iterable[NDArray[np.float32]]],
        low: NDArray[np.float32],
        high: NDArray[np.float32],
        rows: int,
    ) -> NDArray[np.float32]:
        """The spread of the values over that of the levels; shared scales see too many values to be searched."""
        _ = low, high
        square = np.zeros(self.dim)
        mean = 0 if self.mean is None else self.mean
        for tile in tiles():
            square += np.add.reduce(np.square(tile - mean, dtype=np.float64), axis=0)
        if self.quantization.scale_group == Group.TABLE:
            square = square.mean(keepdims=True)
        spread = np.sqrt(square / max(rows, 1))
        ideal = spread / NORMAL_SPREAD[self.quantization.bits]
        scales = ideal.astype(float_dtype(self.quantization.scale_type)).astype(np.float32)
        self._check_range(scales, 0, 0)
        return _keep_finite(scales, self.top)


_STARTS = (0.8, 0.87, 0.94, 1.0, 1.07, 1.15, 1.25, 1.4)
_IMPROVEMENTS = 1


def _sum_rows(one: NDArray[np.float32], two: NDArray[np.float32]) -> NDArray[np.float64]:
    """Sums of products over the first axis, float64, added row after row."""
    return np.asarray(np.add.reduce(np.multiply(one, two, dtype=np.float64), axis=0))


def absmax_scales(largest: NDArray[np.float32], top: int, element: FloatType) -> NDArray[np.float32]:
    """Scales, rounded to their stored type, that map the largest magnitude to the outermost level.

    Quantizing what was decoded has to give the same scales again. float16 scales times a level are exact in float32,
    so they do; float32 ones are moved on until ``scale * top / top``, each step rounded, is the scale itself.
    """
    if element == FloatType.FLOAT16:
        with np.errstate(over="ignore"):
            return (largest / np.float32(top)).astype(np.float16).astype(np.float32)
    scales = largest / np.float32(top)
    # the smallest magnitudes would round to a scale of zero, and be lost
    scales = np.where((largest > 0) & (scales == 0), np.finfo(np.float32).smallest_subnormal, scales)
    scales = _keep_finite(scales, top)
    while True:
        again = np.maximum(scales * np.float32(top) / np.float32(top), np.minimum(scales, np.float32(1e-44)))
        if bool((again == scales).all()):
            return scales
        scales = again


def _keep_finite(scales: NDArray[np.float32], top: int) -> NDArray[np.float32]:
    """Step down scales whose outermost level would decode to infinity."""
    with np.errstate(over="ignore"):
        while bool((over := np.isinf(scales * np.float32(top))).any()):
            scales = np.where(over, np.nextafter(scales, np.float32(0)), scales).astype(np.float32)
    return scales


def _need_finite(tile: NDArray[np.float32], first: int, message: str) -> None:
    finite = np.isfinite(tile)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        raise InvalidError(
            "invalid.value",
            f"{message}: {tile[row, column]}; leave the row out, or use scheme='float32'",
            where=f"row {first + int(row)}, column {int(column)}",
        )


# --- ieee -----------------------------------------------------------------------------------------------------------


class IeeeEncoder:
    """The bits of a float format, ordered so that codes sort as the values do; NaN and infinities included."""

    needs_pass = False

    def widen(self) -> bool:
        """There are no scales."""
        return False

    def __init__(self, kind: IeeeFormat, dim: int) -> None:
        bits = 32 if kind == IeeeFormat.FLOAT32 else 16
        self.kind = kind
        self.quantization = Quantization(
            level=Level.IEEE, bits=bits, low_bits=bits, row_stride=packed_size(dim, bits), format=kind
        )

    def fit(self, tiles: Callable[[], Iterable[NDArray[np.float32]]]) -> None:
        """Nothing depends on other rows."""

    def head(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Nothing but codes."""
        return iter(())

    def encode(self, tile: NDArray[np.float32], first: int) -> dict[str, NDArray[Any]]:
        """Round to the format, nearest even, and order the bits.

        Raises
        ------
        InvalidError
            ``invalid.value``: a finite value is past the largest of the format.
        """
        bits = to_ieee(tile, self.kind)
        if self.kind != IeeeFormat.FLOAT32:
            infinity = 0x7C00 if self.kind == IeeeFormat.FLOAT16 else 0x7F80
            lost = ((bits & np.uint16(0x7FFF)) == infinity) & np.isfinite(tile)
            if lost.any():
                row, column = np.argwhere(lost)[0]
                raise InvalidError(
                    "invalid.value",
                    f"{tile[row, column]} is past the largest {self.kind.name.lower()}; use scheme='float32'",
                    where=f"row {first + int(row)}, column {int(column)}",
                )
        return {"CODE": pack(order_bits(bits), self.quantization.bits)}


def to_ieee(values: NDArray[np.float32], kind: IeeeFormat) -> NDArray[Any]:
    """Bits of the values in a float format, rounded to nearest even; NaN stays NaN and keeps the payload that fits."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    if kind == IeeeFormat.FLOAT32:
        return bits
    nan = (bits & np.uint32(0x7FFFFFFF)) > np.uint32(0x7F800000)
    if kind == IeeeFormat.FLOAT16:
        with np.errstate(over="ignore"):
            out = np.ascontiguousarray(values).astype(np.float16).view(np.uint16)
        kept = bits >> np.uint32(16) & np.uint32(0x8000) | np.uint32(0x7C00) | bits >> np.uint32(13) & np.uint32(0x3FF)
        quiet, fraction = 0x200, 0x3FF
    else:
        rounded = bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))
        out = (rounded >> np.uint32(16)).astype(np.uint16)
        kept = bits >> np.uint32(16)
        quiet, fraction = 0x40, 0x7F
    # a payload that lies only in the bits cut off would turn NaN into infinity
    kept = np.where(kept & np.uint32(fraction), kept, kept | np.uint32(quiet)).astype(np.uint16)
    return np.where(nan, kept, out)


def order_bits(bits: NDArray[Any]) -> NDArray[Any]:
    """Flip all bits of negative values, the sign bit of the others: codes then sort as the values do."""
    width = bits.dtype.itemsize * 8
    dtype = bits.dtype.type
    sign = dtype(1 << (width - 1))
    return np.asarray(bits ^ np.where(bits & sign, dtype((1 << width) - 1), sign))


class ExactEncoder:
    """The narrowest float format that holds every value of the table, bit for bit."""

    needs_pass = True

    def widen(self) -> bool:
        """There are no scales."""
        return False

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._inner = IeeeEncoder(IeeeFormat.FLOAT32, dim)

    @property
    def quantization(self) -> Quantization:
        """The descriptor of the format chosen."""
        return self._inner.quantization

    def fit(self, tiles: Callable[[], Iterable[NDArray[np.float32]]]) -> None:
        """Find out whether all values are bfloat16 or float16."""
        from qemb.decode import decode_ieee

        left = [IeeeFormat.BFLOAT16, IeeeFormat.FLOAT16]
        for tile in tiles():
            for kind in tuple(left):
                back = decode_ieee(order_bits(to_ieee(tile, kind)), kind)
                if (back.view(np.uint32) != np.ascontiguousarray(tile).view(np.uint32)).any():
                    left.remove(kind)
            if not left:
                break
        self._inner = IeeeEncoder(left[0] if left else IeeeFormat.FLOAT32, self._dim)

    def head(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """As the format chosen."""
        return self._inner.head()

    def encode(self, tile: NDArray[np.float32], first: int) -> dict[str, NDArray[Any]]:
        """As the format chosen."""
        return self._inner.encode(tile, first)


# --- choosing -------------------------------------------------------------------------------------------------------

SCHEMES = ("linear", "codebook", "float32", "float16", "bfloat16", "exact")


def make_encoder(
    dim: int,
    *,
    bits: int | None,
    scheme: str | None,
    scale: str | None,
    block: int | None,
    scale_dtype: str | None,
    offset: str | None,
) -> Encoder:
    """The encoder for what a caller asked for; see `qemb.write` for what the options mean.

    Raises
    ------
    InvalidError
        ``invalid.option``: options that do not exist or do not go together.
    """
    if scheme is None:
        bits = 8 if bits is None else bits
        scheme = "linear" if bits in (8, 16) else "codebook"
    if scheme not in SCHEMES:
        raise _option(f"scheme {scheme!r} does not exist; there are {', '.join(SCHEMES)}")
    if scheme in ("linear", "codebook"):
        bits = {"linear": 8, "codebook": 4}[scheme] if bits is None else bits
        return _make_scaled(dim, scheme, bits, scale, block, scale_dtype, offset)
    width = {"float32": 32, "float16": 16, "bfloat16": 16}.get(scheme)
    given = {"scale": scale, "block": block, "scale_dtype": scale_dtype, "offset": offset}
    if bits is not None and bits != width:
        given["bits"] = bits
    for name, value in given.items():
        if value is not None:
            raise _option(f"scheme {scheme!r} takes no {name}")
    if scheme == "exact":
        return ExactEncoder(dim)
    return IeeeEncoder(IeeeFormat[scheme.upper()], dim)


def _make_scaled(
    dim: int,
    scheme: str,
    bits: int,
    scale: str | None,
    block: int | None,
    scale_dtype: str | None,
    offset: str | None,
) -> Encoder:
    allowed = (*range(1, 9), 16) if scheme == "linear" else tuple(NORMAL_LEVELS)
    if bits not in allowed:
        raise _option(f"bits={bits} does not exist for {scheme}; there are {', '.join(map(str, allowed))}")
    scale = ("row" if block is None else "block") if scale is None else scale
    if scale not in ("table", "row", "column", "block"):
        raise _option(f"scale {scale!r} does not exist; there are table, row, column, block")
    if (scale == "block") != (block is not None):
        raise _option("scale='block' and block= (columns that share a scale) go together")
    if block is not None and not 1 <= block <= dim:
        raise _option(f"block={block}; a block has 1 to {dim} columns here")
    # 16 bits a row are worth it where a row has few bits, not where they cost 8-bit codes the property that
    # quantizing what was decoded gives the same file
    may_widen = scale_dtype is None
    scale_dtype = ("float32" if scheme == "linear" else "float16") if scale_dtype is None else scale_dtype
    if scale_dtype not in ("float32", "float16"):
        raise _option(f"scale_dtype {scale_dtype!r} does not exist; there are float32, float16")
    offset = ("none" if scheme == "linear" else "mean") if offset is None else offset
    if offset not in ("mean", "none"):
        raise _option(f"offset {offset!r} does not exist; there are mean, none")
    quantization = Quantization(
        level=Level.LINEAR if scheme == "linear" else Level.CODEBOOK,
        bits=bits,
        row_stride=packed_size(dim, bits),
        low_bits=bits,
        scale_group=Group[scale.upper()],
        scale_type=FloatType[scale_dtype.upper()],
        offset_group=Group.COLUMN if offset == "mean" else Group.NONE,
        offset_type=FloatType.FLOAT32 if offset == "mean" else FloatType.NONE,
        scale_block=block or 0,
    )
    if scheme == "linear":
        if bits == 1:
            quantization = replace(quantization, step=2, bias=-1)
        return LinearEncoder(quantization, dim, may_widen=may_widen)
    return CodebookEncoder(replace(quantization, window=bits), dim, normal_levels(bits), may_widen=may_widen)


def _option(message: str) -> InvalidError:
    return InvalidError("invalid.option", message)
