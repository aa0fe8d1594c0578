"""Confidence intervals of shares, and of the difference of two shares counted on the same things."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Z = 1.959963984540054
"""Of the normal distribution, for 95%."""


def wilson(right: int, count: int) -> tuple[float, float]:
    """Wilson's score interval (1927) of a share, 95%."""
    share, shrink = right / count, 1 + Z * Z / count
    middle = (share + Z * Z / (2 * count)) / shrink
    half = Z * math.sqrt(share * (1 - share) / count + Z * Z / (4 * count * count)) / shrink
    return max(0.0, middle - half), min(1.0, middle + half)


@dataclass(frozen=True, slots=True)
class Paired:
    """Two classifiers on the same texts: ``gained`` are right only by the second, ``lost`` only by the first."""

    gained: int
    lost: int
    count: int

    @classmethod
    def of(cls, first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Paired:
        """Count what each got right, bool of shape (texts,)."""
        return cls(int((second & ~first).sum()), int((first & ~second).sum()), len(first))

    @property
    def difference(self) -> float:
        """Accuracy of the second less that of the first."""
        return (self.gained - self.lost) / self.count

    @property
    def interval(self) -> tuple[float, float]:
        """95% interval of the difference: Agresti and Min's (2005), Wald's with half a text more in each cell."""
        gained, lost, count = self.gained + 0.5, self.lost + 0.5, self.count + 2
        middle = (gained - lost) / count
        half = Z * math.sqrt(gained + lost - (gained - lost) ** 2 / count) / count
        return middle - half, middle + half

    @property
    def p(self) -> float:
        """McNemar's exact test: how often chance alone makes the two differ so much, two-sided."""
        changed, fewer = self.gained + self.lost, min(self.gained, self.lost)
        tail = sum(math.comb(changed, k) for k in range(fewer + 1))
        return min(1.0, float(2 * tail / 2**changed))
