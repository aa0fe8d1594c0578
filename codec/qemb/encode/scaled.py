"""Levels times a scale: what linear and codebook schemes share, and the linear one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from qemb.encode.base import ScaleRangeError, need_finite
from qemb.encode.rotation import make_rotation, rotation_pays
from qemb.encode.split import split
from qemb.layout import FloatType, Group
from qemb.quantization import Quantization, float_dtype

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from qemb.encode.base import Tiles
    from qemb.transform import Hadamard


SMALLEST_FLOAT16 = 2.0**-17
"""Scales below this lose more than 0.4% to float16's subnormal steps; then float32 is taken."""
LARGEST_FLOAT16 = 65504.0
SMALLEST_NORMAL = 2.0**-126
"""The smallest float32 of full precision."""


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
    rotate : bool or None
        Whether rows are rotated first; None where that is to be measured.
    """

    needs_finite = True
    compress_rows = False

    def __init__(self, quantization: Quantization, dim: int, *, may_widen: bool, rotate: bool | None = False) -> None:
        self.quantization = quantization
        self.dim = dim
        self.may_widen = may_widen
        self.rotate = rotate
        self.rotation: Hadamard | None = make_rotation(dim) if rotate else None
        self.mean: NDArray[np.float32] | None = None
        self.fitted: NDArray[np.float32] | None = None
        self.rows = 0
        """Rows that `fit` has seen."""

    @property
    def needs_pass(self) -> bool:
        """A mean, scales that rows share, and measuring need all rows; so does a float16 scale that may not fit."""
        q = self.quantization
        shared = self.rotate is None or q.offset_group != Group.NONE or q.scale_group in (Group.TABLE, Group.COLUMN)
        return shared or (self.may_widen and q.scale_type == FloatType.FLOAT16)

    def widen(self) -> bool:
        """Go from float16 to float32 scales; False where that may not be. `fit` has to be called again."""
        if not self.may_widen or self.quantization.scale_type != FloatType.FLOAT16:
            return False
        self.quantization = replace(self.quantization, scale_type=FloatType.FLOAT32)
        return True

    def fit(self, tiles: Tiles) -> None:
        """Whether to rotate, column means, and the scales of groups that span rows."""
        q = self.quantization
        if self.rotate is None:
            self.rotation = make_rotation(self.dim) if rotation_pays(tiles(), self.dim) else None
        tiles = self._rotated(tiles)
        total = np.zeros(self.dim)
        low = np.full(self.dim, np.inf, np.float32)
        high = np.full(self.dim, -np.inf, np.float32)
        rows = 0
        for tile in tiles():
            total += np.add.reduce(tile, axis=0, dtype=np.float64)
            np.minimum(low, tile.min(axis=0), out=low)
            np.maximum(high, tile.max(axis=0), out=high)
            rows += len(tile)
        self.rows = rows
        if q.offset_group != Group.NONE:
            self.mean = (total / max(rows, 1)).astype(np.float32)
        if q.scale_group in (Group.TABLE, Group.COLUMN):
            self.fitted = self._fit_shared(tiles, low, high, rows)

    def head(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """The transform, offsets, and scales that rows share."""
        q = self.quantization
        if self.rotation is not None:
            yield "TRNS", np.frombuffer(self.rotation.build(), np.uint8)
        if self.fitted is not None:
            yield "SCAL", self.fitted.astype(float_dtype(q.scale_type))
        if self.mean is not None:
            yield "OFFS", self.mean.astype(float_dtype(q.offset_type))

    def encode(self, tile: NDArray[np.float32], first: int) -> dict[str, NDArray[Any]]:
        """Rotate, subtract the mean, choose scales, choose codes, pack."""
        if self.rotation is not None:
            tile = self.rotation.invert(tile.copy())
        if self.mean is not None:
            with np.errstate(over="ignore", invalid="ignore"):
                tile = tile - self.mean
        need_finite(tile, first, "the distance from the mean overflows")
        if self.fitted is not None:
            return {**split(self.codes(tile, self.fitted), self.quantization)}
        scales, codes = self.choose(tile)
        self._check_range(scales, first, len(scales) // max(len(tile), 1))
        stored = scales.astype(float_dtype(self.quantization.scale_type))
        return {**split(codes, self.quantization), "SCAL": stored}

    def choose(self, tile: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
        """Scales as they will be stored, row by row, shape (rows x groups,), and codes, shape (rows, dim)."""
        groups = self.groups(tile)
        scales = self.scales(groups)
        return scales, self.codes(groups, scales[:, None]).reshape(len(tile), -1)[:, : self.dim]

    def _rotated(self, tiles: Tiles) -> Tiles:
        """The same tiles, rotated where rows are."""
        rotation = self.rotation
        return tiles if rotation is None else lambda: (rotation.invert(tile.copy()) for tile in tiles())

    def groups(self, tile: NDArray[np.float32]) -> NDArray[np.float32]:
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
        tiles: Tiles,  # noqa: ARG002
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
        bad = np.flatnonzero(((scales > 0) & (scales < SMALLEST_FLOAT16)) | (scales > LARGEST_FLOAT16))
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

    Parameters
    ----------
    clip : bool
        Whether the largest magnitudes may be cut off where that makes the squared error of their group smaller.
    quantization, dim, may_widen, rotate
        As for every scaled scheme.
    """

    def __init__(
        self,
        quantization: Quantization,
        dim: int,
        *,
        may_widen: bool,
        rotate: bool | None = False,
        clip: bool = False,
    ) -> None:
        super().__init__(quantization, dim, may_widen=may_widen, rotate=rotate)
        self._clip = clip

    @property
    def top(self) -> int:
        """The outermost level."""
        return max(1, (1 << (self.quantization.bits - 1)) - 1)

    def scales(self, groups: NDArray[np.float32]) -> NDArray[np.float32]:
        """Largest magnitude over the outermost level, or of several smaller ones the one of least squared error."""
        largest = np.abs(groups).max(axis=1, initial=0)
        best = self.absmax_scales(largest)
        if self._clip:
            columns = np.ascontiguousarray(groups.T)
            least = np.full(len(groups), np.inf)
            for factor in _CLIPS:
                scales = self.absmax_scales(largest * np.float32(factor))
                error = columns - scales * self._levels(columns, scales).astype(np.float64)
                total = sum_rows(error, error)
                better = total < least
                best[better], least[better] = scales[better], total[better]
        return best

    def codes(self, values: NDArray[np.float32], scales: NDArray[np.float32]) -> NDArray[np.uint16]:
        """Nearest integer, ties to even, in two's complement of b bits."""
        bits = self.quantization.bits
        levels = self._levels(values, scales)
        if bits == 1:
            return (levels < 0).astype(np.uint16)
        return levels.astype(np.int16).view(np.uint16) & np.uint16((1 << bits) - 1)

    def _levels(self, values: NDArray[np.float32], scales: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.quantization.bits == 1:
            return np.where(values < 0, np.float32(-1), np.float32(1))
        with np.errstate(over="ignore"):  # numpy 1.26 warns of lanes past the values, where a shared scale is subnormal
            levels = np.rint(values / np.where(scales > 0, scales, np.float32(1)))
        return np.clip(levels, -self.top, self.top, out=levels)


_CLIPS = tuple(1.05**-step for step in range(48))
"""Times the largest magnitude: where it is cut off. One bit is best at a third of it or less, eight at nearly all."""


def sum_rows(one: NDArray[Any], two: NDArray[Any]) -> NDArray[np.float64]:
    """Sums of products over the first axis, float64, added row after row."""
    return np.asarray(np.add.reduce(np.multiply(one, two, dtype=np.float64), axis=0))


def round_scales(scales: NDArray[Any], element: FloatType) -> NDArray[np.float32]:
    """Scales rounded to their stored type; those too small or too large for float16 stay as they are, to be found."""
    fits = (scales >= SMALLEST_FLOAT16) & (scales <= LARGEST_FLOAT16)
    with np.errstate(over="ignore"):
        if element != FloatType.FLOAT16:
            return scales.astype(np.float32)
        return np.where(fits, scales.astype(np.float16), scales).astype(np.float32)


def absmax_scales(largest: NDArray[np.float32], top: int, element: FloatType) -> NDArray[np.float32]:
    """Scales, rounded to their stored type, that map the largest magnitude to the outermost level.

    Quantizing what was decoded has to give the same scales again. float16 scales times a level are exact in float32,
    so they do; float32 ones are moved on until ``scale * top / top``, each step rounded, is the scale itself. Below the
    normal range, where scales have few bits, they are the next power of two.
    """
    if element == FloatType.FLOAT16:
        return round_scales(largest / np.float32(top), element)
    wide = largest.astype(np.float64) / top
    mantissa, exponent = np.frexp(wide)
    powers = np.ldexp(1.0, np.maximum(exponent - (mantissa == 0.5), -149))
    scales = np.where((wide > 0) & (wide < SMALLEST_NORMAL), powers, wide).astype(np.float32)
    scales = keep_finite(scales, top)
    while True:
        again = scales * np.float32(top) / np.float32(top)
        if bool((again == scales).all()):
            return scales
        scales = again


def keep_finite(scales: NDArray[np.float32], top: int) -> NDArray[np.float32]:
    """Step down scales whose outermost level would decode to infinity."""
    scales = np.minimum(scales, np.finfo(np.float32).max / np.float32(top))
    with np.errstate(over="ignore"):
        while bool((over := np.isinf(scales * np.float32(top))).any()):
            scales = np.where(over, np.nextafter(scales, np.float32(0)), scales).astype(np.float32)
    return scales
