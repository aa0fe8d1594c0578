"""Sides of a comparison take turns; a measurement is the median of its turns, with quartiles."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qemb_tools.bench.timing import Stopwatch

TURN = 0.02
"""Seconds that a turn lasts at least: what is quicker is called several times."""
WARM = 0.6
"""Seconds before anything counts: numpy works for 0.4 before qemb loads numba."""
SLOW = 10.0
"""Seconds of all turns of a side, after which it is let off: it still has two."""


@dataclass(frozen=True)
class Spread:
    """Seconds of one call: median and quartiles of ``runs`` turns, and ``cores``, CPU seconds a second."""

    median: float
    low: float
    high: float
    runs: int
    cores: float | None = None

    @classmethod
    def of(cls, seconds: Sequence[float], cores: float | None = None) -> Spread:
        """Median and quartiles; the extremes stand for the quartiles of fewer than four turns."""
        ordered = sorted(seconds)
        if len(ordered) < 4:
            return cls(statistics.median(ordered), ordered[0], ordered[-1], len(ordered), cores)
        low, _, high = statistics.quantiles(ordered, n=4, method="inclusive")
        return cls(statistics.median(ordered), low, high, len(ordered), cores)

    def figures(self) -> dict[str, Any]:
        """What stands in a row of the report."""
        return {"median": self.median, "low": self.low, "high": self.high, "runs": self.runs, "cores": self.cores}


Turn = Callable[[int], tuple[float, float]]
"""Does something so many times; gives seconds by the clock and of the processor."""


def here(call: Callable[[], object]) -> Turn:
    """Calls in this process, as turns; `process.Worker.turn` gives those of another."""

    def run(times: int) -> tuple[float, float]:
        with Stopwatch() as watch:
            for _ in range(times):
                call()
        return watch.wall, watch.cpu

    return run


def take_turns(sides: Mapping[str, Turn], *, rounds: int, per: int = 1) -> dict[str, dict[str, Any]]:
    """Time every side in every round, each round beginning with another side.

    Parameters
    ----------
    sides : mapping of str to Turn
        What to time. It is done for `WARM` seconds before it counts: caches fill, and what is compiled is compiled.
    rounds : int
        Turns of each side; one that has taken `SLOW` seconds is let off after its second.
    per : int
        How many things are done at a time; seconds are given for one.

    Returns
    -------
    dict
        By side, `Spread.figures`.
    """
    times = {name: _warm_up(turn) for name, turn in sides.items()}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for number in range(rounds):
        for name in rotated(list(sides), number):
            if len(found[name]) >= 2 and sum(wall for wall, _ in found[name]) > SLOW:
                continue
            found[name].append(sides[name](times[name]))
    return {name: _summary(turns, times[name] * per) for name, turns in found.items()}


def _warm_up(turn: Turn) -> int:
    """How often makes a turn, once it is as quick as it gets."""
    taken = turn(1)[0]
    while taken < WARM:
        times = max(1, math.ceil(TURN / max(turn(1)[0], 1e-9)))
        taken += max(turn(times)[0], TURN / 10)
    return max(1, math.ceil(TURN / max(turn(1)[0], 1e-9)))


def rotated(names: list[str], number: int) -> list[str]:
    """The names, beginning with another one each time."""
    start = number % max(1, len(names))
    return names[start:] + names[:start]


def _summary(turns: Sequence[tuple[float, float]], times: int) -> dict[str, Any]:
    wall, processor = (sum(turn[i] for turn in turns) for i in (0, 1))
    return Spread.of([turn[0] / times for turn in turns], processor / max(wall, 1e-9)).figures()
