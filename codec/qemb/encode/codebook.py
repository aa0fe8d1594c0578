"""Scalar codebooks of the normal distribution."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from qemb.encode.scaled import ScaledEncoder, keep_finite, round_scales, sum_rows
from qemb.layout import FloatType, Group
from qemb.quantization import Quantization, float_dtype

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray


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


def normal_levels(bits: int) -> NDArray[np.int8]:
    """The published codebook of ``bits`` bits, ascending, int8, shape (2^bits,)."""
    half = np.array(NORMAL_LEVELS[bits], np.int8)
    return np.concatenate([-half[::-1], half])


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
        spread = np.sqrt(sum_rows(columns, columns) / groups.shape[1])
        base = spread / NORMAL_SPREAD[self.quantization.bits]
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
        scales = np.ldexp(best, exponent)
        rounded = round_scales(scales, self.quantization.scale_type)
        return rounded if self.quantization.scale_type == FloatType.FLOAT16 else keep_finite(rounded, self.top)

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
        return keep_finite(scales, self.top)


_STARTS = (0.8, 0.87, 0.94, 1.0, 1.07, 1.15, 1.25, 1.4)
_IMPROVEMENTS = 1
