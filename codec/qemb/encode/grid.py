"""Small integers times a scale, as an int8 table is once it was widened: the integers, found again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from qemb.encode.base import MisfitError
from qemb.encode.scaled import ScaledEncoder
from qemb.encode.split import best_low_bits
from qemb.layout import FloatType, Group, Level
from qemb.packing import packed_size
from qemb.quantization import Quantization

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from qemb.encode.base import Tiles

_BLOCKS = (32, 64, 128)
"""Columns that share a scale, where blocks do: 32 is GGML's, the others are usual."""
_MAX_LEVEL = 255
"""The largest magnitude that is looked for: 8 bits, and a zero point anywhere."""
_USUAL_LEVEL = 127
"""What most quantizers give to the largest value of a group: tried first."""
_PROBE = 16
"""Values of a group that are looked at before all of them are."""
_ULPS = (0, -1, 1, -2, 2)
"""Steps from a quotient to the float32 that are tried: product and quotient were rounded, by half a unit each."""
_SAMPLE_ROWS = 4
"""Rows, or columns, that are tried before all: most tables are none of this, and it shows there."""


class GridEncoder(ScaledEncoder):
    """Integers times scales that give every value back; `MisfitError` where they do not.

    Parameters
    ----------
    quantization : Quantization
        The descriptor, linear levels.
    dim : int
        Values in a row.
    shared : ndarray or None
        Scales that rows share, float32, shape (1,) or (dim,); None where rows or blocks have their own.
    """

    compress_rows = True

    def __init__(self, quantization: Quantization, dim: int, shared: NDArray[np.float32] | None) -> None:
        super().__init__(quantization, dim, may_widen=False)
        self.fitted = shared

    def fit(self, tiles: Tiles) -> None:
        """The scales that rows share are known."""

    def encode(self, tile: NDArray[np.float32], first: int) -> dict[str, NDArray[Any]]:
        """As every scaled scheme; a value that is not finite is no integer times a scale."""
        if not np.isfinite(tile).all():
            raise MisfitError("invalid.value", "a value is not finite", where=f"row {first}")
        return super().encode(tile, first)

    def scales(self, groups: NDArray[np.float32]) -> NDArray[np.float32]:
        """The scale of each group, 1 where there is none."""
        return find_scales(groups)[0]

    def codes(self, values: NDArray[np.float32], scales: NDArray[np.float32]) -> NDArray[np.uint16]:
        """The integers, in two's complement; those that do not fit are cut off, which the check sees."""
        levels = np.clip(_levels(values, scales), -_MAX_LEVEL, _MAX_LEVEL)
        return levels.astype(np.int16).view(np.uint16) & np.uint16((1 << self.quantization.bits) - 1)


def find_grids(sample: NDArray[np.float32]) -> Iterator[tuple[float, GridEncoder]]:
    """Integers times scales, by table, column, row or block, that give a sample of rows back, and bits a value."""
    rows, dim = sample.shape
    if not rows or not np.isfinite(sample).all():
        return
    choices = [(Group.COLUMN, 0)]
    # a scale of the table or of rows serves each of their blocks: where blocks have none, nothing else has to be tried
    if find_scales(_cut(sample[:_SAMPLE_ROWS], min(_BLOCKS[0], dim)))[1]:
        choices += [(Group.TABLE, 0), (Group.ROW, 0), *((Group.BLOCK, block) for block in _BLOCKS if block < dim)]
    for group, block in choices:
        quantization = Quantization(
            level=Level.LINEAR,
            bits=9,
            low_bits=9,
            row_stride=packed_size(dim, 9),
            scale_group=group,
            scale_type=FloatType.FLOAT32,
            scale_block=block,
        )
        encoder = GridEncoder(quantization, dim, None)
        match group:
            case Group.TABLE:
                groups = sample.reshape(1, -1)
            case Group.COLUMN:
                groups = np.ascontiguousarray(sample.T)
            case _:
                groups = encoder.groups(sample)
        if not find_scales(groups[:_SAMPLE_ROWS])[1]:
            continue
        scales, found = find_scales(groups)
        if not found:
            continue
        levels = _levels(groups, scales[:, None])
        bits = 8 if levels.min() >= -128 and levels.max() <= 127 else 9
        codes = (levels.astype(np.int16).view(np.uint16) & np.uint16((1 << bits) - 1)).reshape(groups.shape)
        codes = codes.T if group == Group.COLUMN else codes.reshape(rows, -1)[:, :dim]
        low_bits, cost = best_low_bits(np.ascontiguousarray(codes), bits)
        shared = scales if group in (Group.TABLE, Group.COLUMN) else None
        encoder.quantization = replace(
            quantization, bits=bits, low_bits=low_bits, row_stride=packed_size(dim, low_bits)
        )
        encoder.fitted = shared
        yield cost + 32 * len(scales) / sample.size, encoder


def _cut(rows: NDArray[np.float32], columns: int) -> NDArray[np.float32]:
    """Blocks of so many columns, whole ones only."""
    return rows[:, : rows.shape[1] // columns * columns].reshape(-1, columns)


def find_scales(groups: NDArray[np.float32]) -> tuple[NDArray[np.float32], bool]:
    """Scales whose multiples by integers up to 255 are the values of each group, and whether there are any for all.

    The largest magnitude is some integer times the scale, a rounding aside: each integer is tried, the usual one
    first, and the float32 next to each quotient.
    """
    largest = np.abs(groups).max(axis=1, initial=0)
    scales = np.where(largest > 0, np.float32(1), np.float32(0)).astype(np.float32)
    left = np.flatnonzero(largest > 0)
    if not _may_have_scales(groups[left[:_SAMPLE_ROWS]], largest[left[:_SAMPLE_ROWS]]):
        return scales, False
    for level in (_USUAL_LEVEL, *range(1, _MAX_LEVEL + 1)):
        quotient = largest[left] / np.float32(level)
        for ulps in _ULPS:
            scale = (quotient.view(np.int32) + np.int32(ulps)).view(np.float32)[:, None]
            likely = np.flatnonzero(_are_multiples(groups[left, :_PROBE], scale))
            same = likely[_are_multiples(groups[left[likely]], scale[likely])]
            scales[left[same]] = scale[same, 0]
            left, quotient = np.delete(left, same), np.delete(quotient, same)
        if not len(left):
            break
    return scales, not len(left)


def _may_have_scales(groups: NDArray[np.float32], largest: NDArray[np.float32]) -> bool:
    """Whether the first values of each of a few groups are multiples of any scale that is tried: all at once."""
    quotients = largest[:, None] / np.arange(1, _MAX_LEVEL + 1, dtype=np.float32)
    scales = (quotients.view(np.int32)[..., None] + np.array(_ULPS, np.int32)).view(np.float32)[..., None]
    return bool(_are_multiples(groups[:, None, None, :_PROBE], scales).any(axis=(1, 2)).all())


def _are_multiples(groups: NDArray[np.float32], scales: NDArray[np.float32]) -> NDArray[np.bool_]:
    same = (_levels(groups, scales) * scales).view(np.uint32) == groups.view(np.uint32)
    return np.asarray(same.all(axis=-1))


def _levels(values: NDArray[np.float32], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        levels = np.rint(values / np.where(scales > 0, scales, np.float32(1)))
    return levels + np.float32(0)  # no level is -0
