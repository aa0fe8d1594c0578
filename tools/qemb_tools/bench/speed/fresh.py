"""What a process that has done nothing yet takes to import, to open and to answer, in time, memory and reading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qemb_tools.bench.speed.measure import SLOW, Spread, rotated
from qemb_tools.bench.speed.process import CAN_DROP, MEMORY, drop_from_cache, run_code

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

# `result` of the last step is handed back, so that what was measured can be checked
_CODE = """
import json, sys, time
try:
    from resource import RUSAGE_SELF, getrusage
    def read(): return getrusage(RUSAGE_SELF).ru_inblock * 512
except ImportError:
    def read(): return 0
path, word, cpu = sys.argv[1], sys.argv[2], time.process_time
measured = [{"seconds": 0, "cpu": 0, "read": 0, "memory": memory()}]
for step in sys.argv[3:]:
    code = compile(step, "<step>", "exec")
    before, busy, start = read(), cpu(), time.perf_counter()
    exec(code)
    seconds = time.perf_counter() - start
    measured.append({"seconds": seconds, "cpu": cpu() - busy, "read": read() - before, "memory": memory()})
print(json.dumps({"measured": measured, "result": result}))
"""


@dataclass(frozen=True)
class Steps:
    """Lines of Python, timed one after the other: imports first; ``result`` is what the last one sets."""

    path: Path
    word: str
    steps: tuple[str, ...]


def take_turns(
    sides: Mapping[str, Steps], *, rounds: int, threads: int | None, cold: bool = False
) -> dict[str, list[dict[str, Any]]]:
    """Run every side in fresh processes, in turns.

    Parameters
    ----------
    sides : mapping of str to Steps
        What to run.
    rounds : int
        Processes of each side; one that has taken `SLOW` seconds is let off after its second.
    threads : int or None
        Threads and processors of each process; None leaves them as they are.
    cold : bool
        Drop the files from the cache before each process; where the platform cannot, nothing is measured.

    Returns
    -------
    dict
        By side a list, the state before the first step and after each: `Spread.figures`, bytes ``read`` from disk by
        the step, and memory (``resident``, ``anonymous``, ``peak``) after it, medians; in the last, ``result``.
    """
    if cold and not CAN_DROP:
        return {}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in sides}
    for turn in range(rounds):
        for name in rotated(list(sides), turn):
            spent = sum(step["seconds"] for run in found[name] for step in run["measured"])
            if len(found[name]) >= 2 and spent > SLOW:
                continue
            side = sides[name]
            if cold:
                drop_from_cache(side.path.parent)
            found[name].append(run_code(MEMORY + _CODE, side.path, side.word, *side.steps, threads=threads))
    return {name: _summary(runs) for name, runs in found.items()}


def _summary(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    for step in zip(*(run["measured"] for run in runs), strict=True):
        seconds = [each["seconds"] for each in step]
        cores = sum(each["cpu"] for each in step) / max(sum(seconds), 1e-9)
        figures = Spread.of(seconds, cores).figures()
        figures["read"] = middle([each["read"] for each in step])
        names = step[0]["memory"]
        steps.append(figures | {name: middle([each["memory"][name] for each in step]) for name in names})
    steps[-1]["result"] = runs[-1]["result"]
    return steps


def middle(values: Sequence[int]) -> int:
    """The median, one of the values."""
    return sorted(values)[len(values) // 2]
