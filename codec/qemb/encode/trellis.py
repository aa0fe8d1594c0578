"""Trellises: codebooks with memory, whose codes are searched with Viterbi's algorithm."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from qemb.encode.codebook import LevelsEncoder
from qemb.encode.normal import TRELLIS_SPREAD, trellis_levels
from qemb.encode.viterbi import Trellis, search
from qemb.layout import Group

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from qemb.encode.base import Tiles
    from qemb.quantization import Quantization

LEAST_MEMORY = 6
"""Bits of the smallest register that the published levels fit."""
MIN_DIM = 12
"""Values in the shortest row that closing the circle leaves better off than a scalar codebook."""
MAX_DIM = 1 << 14
"""Values in the longest row: what the search remembers of one grows with it."""
EFFORTS = {1: (6, 1), 2: (6, 2), 3: (7, 1), 4: (7, 2), 5: (8, 2), 6: (8, 3), 7: (9, 3), 8: (10, 2), 9: (10, 3)}
"""Bits of the register, and how many scales are tried for each row."""
DEFAULT_EFFORT = 5
_FACTORS = {1: (1.0,), 2: (0.96, 1.05), 3: (0.93, 1.0, 1.08)}
"""Times the scale that fits the standard deviation of a row: the scales tried."""
_TABLE_SHARE = 16
"""The levels of a small table take at most one part in so many of its codes, down to the smallest register."""
_POSITIVE = np.float32(64)
"""What rows of zeros are searched as, so that their levels are not negative."""


class TrellisEncoder(LevelsEncoder):
    """A trellis of the published levels; of a few scales for each row, the one of least squared error is taken.

    Parameters
    ----------
    quantization : Quantization
        The descriptor to write, its window and shift left open.
    dim : int
        Values in a row, `MIN_DIM` to `MAX_DIM`.
    memory : int
        Bits of the register.
    scales_tried : int
        Scales tried for each row, 1 to 3.
    fixed : bool
        Whether small tables and short rows have so large a register as well.
    may_widen, rotate
        As for every scaled scheme.
    """

    def __init__(
        self,
        quantization: Quantization,
        dim: int,
        *,
        memory: int,
        scales_tried: int,
        fixed: bool,
        may_widen: bool,
        rotate: bool | None = False,
    ) -> None:
        self._factors = _FACTORS[scales_tried]
        self._fixed = fixed
        bits = quantization.bits
        if not fixed:
            # a circle has to close with the register it began with: worth it from six times its length on
            memory = min(memory, max(LEAST_MEMORY, dim // 6))
        self._trellis = Trellis(bits, memory, trellis_levels(bits).astype(np.float32))
        super().__init__(quantization, dim, self._table(), TRELLIS_SPREAD[bits], may_widen=may_widen, rotate=rotate)
        self._describe()

    @property
    def needs_pass(self) -> bool:
        """How large the register may be depends on the number of rows."""
        return True

    def fit(self, tiles: Tiles) -> None:
        """As every scaled scheme; then the register is made smaller where there are few rows."""
        super().fit(tiles)
        if not self._fixed:
            codes = self.rows * self.quantization.row_stride
            memory = self._trellis.memory
            while memory > LEAST_MEMORY and _TABLE_SHARE << memory + self._trellis.bits > codes:
                memory -= 1
            self._trellis = replace(self._trellis, memory=memory)
            self.levels = self._table()
            self._describe()

    def choose(self, tile: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.uint16]]:
        """Search the codes of every row at a few scales, and keep the best."""
        groups = self.groups(tile)
        normalized = self.normalize(groups)
        if self.quantization.scale_group == Group.BLOCK:
            scales = self.store(np.ldexp(normalized.scales, normalized.exponents))
            columns = np.repeat(scales.reshape(len(tile), -1), self.quantization.scale_block, axis=1)[:, : self.dim]
            return scales, self.codes(tile, columns)
        best_scales = np.zeros(len(tile), np.float32)
        best_codes = np.zeros((self.dim, len(tile)), np.uint8)
        least = np.full(len(tile), np.inf)
        for factor in self._factors:
            scales = self.store(np.ldexp(factor * normalized.scales, normalized.exponents))
            codes, levels = search(self._trellis, _units(tile, scales[:, None]).T)
            error = np.square(normalized.columns - np.ldexp(scales.astype(np.float64), -normalized.exponents) * levels)
            total = np.add.reduce(error, axis=0)
            better = total < least
            best_scales[better], least[better] = scales[better], total[better]
            best_codes[:, better] = codes[:, better]
        return best_scales, best_codes.T.astype(np.uint16)

    def codes(self, values: NDArray[np.float32], scales: NDArray[np.float32]) -> NDArray[np.uint16]:
        """Search the codes of ``values / scales``."""
        return search(self._trellis, _units(values, scales).T)[0].T.astype(np.uint16)

    def _table(self) -> NDArray[np.int8]:
        return self._trellis.table().astype(np.int8)

    def _describe(self) -> None:
        self.quantization = replace(self.quantization, window=self._trellis.memory + self._trellis.bits, shift=1)


def _units(values: NDArray[np.float32], scales: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values in units of the levels."""
    return np.where(scales > 0, values / np.where(scales > 0, scales, np.float32(1)), _POSITIVE)
