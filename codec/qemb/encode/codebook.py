"""Levels for the normal distribution, and the scalar codebooks among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from qemb.encode.normal import NORMAL_SPREAD, normal_levels
from qemb.encode.scaled import ScaledEncoder, keep_finite, round_scales, sum_rows
from qemb.layout import FloatType, Group

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from qemb.encode.base import Tiles
    from qemb.quantization import Quantization


class LevelsEncoder(ScaledEncoder):
    """Tables of int8 levels for the normal distribution: what scalar codebooks and trellises share.

    Parameters
    ----------
    levels : ndarray
        Section LEVL.
    spread : float
        Standard deviation of the normal distribution that the levels fit best, in their units.
    """

    def __init__(
        self,
        quantization: Quantization,
        dim: int,
        levels: NDArray[np.int8],
        spread: float,
        *,
        may_widen: bool,
        rotate: bool | None = False,
    ) -> None:
        super().__init__(quantization, dim, may_widen=may_widen, rotate=rotate)
        self.levels = levels
        self.spread = spread

    @property
    def top(self) -> int:
        """The outermost level."""
        return int(np.abs(self.levels.astype(np.int64)).max())

    def head(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """The levels, then what every scaled scheme has."""
        yield "LEVL", self.levels
        yield from super().head()

    def normalize(self, groups: NDArray[np.float32]) -> Normalized:
        """Rows as columns, powers of two divided out: squares must neither overflow nor vanish."""
        largest = np.abs(groups).max(axis=1, initial=0)
        exponents = np.frexp(largest)[1]
        columns = np.ascontiguousarray(np.ldexp(groups, -exponents[:, None]).T)
        deviations = np.sqrt(sum_rows(columns, columns) / groups.shape[1])
        return Normalized(columns, exponents, deviations / self.spread)

    def store(self, scales: NDArray[np.float64]) -> NDArray[np.float32]:
        """Round scales to their stored type; those that do not fit float16 stay as they are, to be found."""
        rounded = round_scales(scales, self.quantization.scale_type)
        return rounded if self.quantization.scale_type == FloatType.FLOAT16 else keep_finite(rounded, self.top)

    def _fit_shared(
        self,
        tiles: Tiles,
        low: NDArray[np.float32],
        high: NDArray[np.float32],
        rows: int,
    ) -> NDArray[np.float32]:
        """The spread of the values over that of the levels; shared scales see too many values to be searched."""
        _ = low, high
        square = np.zeros(self.dim)
        mean = 0 if self.mean is None else self.mean
        for tile in tiles():
            square += np.add.reduce(np.square(tile.astype(np.float64) - mean), axis=0)
        if self.quantization.scale_group == Group.TABLE:
            square = square.mean(keepdims=True)
        ideal = np.sqrt(square / max(rows, 1)) / self.spread
        scales = round_scales(ideal, self.quantization.scale_type)
        self._check_range(scales, 0, 0)
        return keep_finite(scales, self.top)


@dataclass(frozen=True)
class Normalized:
    """Groups of values that share a scale."""

    columns: NDArray[np.float32]
    """Shape (values, groups): group i times 2^-exponents[i]."""
    exponents: NDArray[np.int32]
    scales: NDArray[np.float64]
    """The scale that fits the standard deviation of each group; of the columns, as they are here."""


class CodebookEncoder(LevelsEncoder):
    """A level for each code; the scale of a group is that of least squared error."""

    def __init__(self, quantization: Quantization, dim: int, *, may_widen: bool, rotate: bool | None = False) -> None:
        bits = quantization.bits
        levels = normal_levels(bits)
        super().__init__(quantization, dim, levels, NORMAL_SPREAD[bits], may_widen=may_widen, rotate=rotate)
        # Thresholds lie half way between neighbouring levels, so at multiples of a half: a table of the code for
        # every half step, indexed by floor(2 x), finds the nearest level exactly.
        wide = levels.astype(np.int64)
        middles = wide[1:] + wide[:-1]
        self._reach = int(2 * np.abs(wide).max()) + 2
        steps = np.arange(-self._reach, self._reach + 1)
        self._code_of = np.searchsorted(middles, steps, side="right").astype(np.uint16)

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
        normalized = self.normalize(groups)
        columns, base = normalized.columns, normalized.scales
        best = np.zeros(len(groups))
        least = np.full(len(groups), np.inf)
        for factor in _STARTS:
            scale = base * factor
            for _ in range(_IMPROVEMENTS):
                levels = self._levels_of(columns, scale)
                power = sum_rows(levels, levels)
                scale = sum_rows(columns, levels) / np.where(power > 0, power, 1)
            levels = self._levels_of(columns, scale)
            error = sum_rows(columns, columns) - 2 * scale * sum_rows(columns, levels)
            error += scale * scale * sum_rows(levels, levels)
            better = error < least
            best[better], least[better] = scale[better], error[better]
        return self.store(np.ldexp(best, normalized.exponents))

    def _levels_of(self, columns: NDArray[np.float32], scale: NDArray[np.float64]) -> NDArray[np.float32]:
        codes = self.codes(columns, scale.astype(np.float32))
        return self.levels.astype(np.float32)[codes]


_STARTS = (0.8, 0.87, 0.94, 1.0, 1.07, 1.15, 1.25, 1.4)
_IMPROVEMENTS = 1
