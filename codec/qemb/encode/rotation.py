"""Whether to rotate rows before they are quantized."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from qemb.encode.base import sample_rows
from qemb.encode.normal import NORMAL_SPREAD, normal_levels
from qemb.transform import Hadamard

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

WORTH = 0.9
"""Reading rotated rows costs several times more, so that a rotation has to take off a tenth of the error."""
_BITS = 4


def make_rotation(dim: int) -> Hadamard:
    """The rotation that the writer uses: two rounds where one leaves some columns to the shorter half."""
    return Hadamard(dim, rounds=1 if dim & (dim - 1) == 0 else 2, seed=0)


def rotation_pays(tiles: Iterable[NDArray[np.float32]], dim: int) -> bool:
    """Whether a rotation makes the error of a scalar codebook much smaller, on a sample of the rows.

    It does where some columns stand out: they decide the scales of rows, and the other columns are lost. It does not
    where rows are nearly normal already.
    """
    rows, _ = sample_rows(tiles, dim)
    with np.errstate(over="ignore", invalid="ignore"):
        plain = _error(rows)
        return bool(_error(make_rotation(dim).invert(rows.copy())) < WORTH * plain)


def _error(rows: NDArray[np.float32]) -> float:
    """Root of the squared error of a scalar codebook of 4 bits, each row at the scale of its deviation."""
    if not len(rows):
        return 0.0
    levels = normal_levels(_BITS).astype(np.float64)
    wide = rows - rows.mean(axis=0, dtype=np.float64)
    scales = np.sqrt(np.square(wide).mean(axis=1, keepdims=True)) / NORMAL_SPREAD[_BITS]
    nearest = np.searchsorted((levels[1:] + levels[:-1]) / 2, wide / np.where(scales > 0, scales, 1))
    return float(np.sqrt(np.square(wide - scales * levels[nearest]).sum()))
