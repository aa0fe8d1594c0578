"""Time by the clock and of the processor: on a machine with other work to do, only the second says what work costs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Self


@dataclass
class Stopwatch:
    """Measures a ``with`` block: ``wall`` seconds by the clock, ``cpu`` seconds of the process, all its threads."""

    wall: float = 0.0
    cpu: float = 0.0

    def __enter__(self) -> Self:
        self._wall, self._cpu = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *exc: object) -> None:
        self.wall = time.perf_counter() - self._wall
        self.cpu = time.process_time() - self._cpu

    def rates(self, name: str, amount: float) -> dict[str, float]:
        """``amount`` a second, by the clock as ``name`` and of the processor as ``name_cpu``."""
        tick = 1e-9  # nothing is quicker than the clock can tell
        return {name: amount / max(self.wall, tick), f"{name}_cpu": amount / max(self.cpu, tick)}
