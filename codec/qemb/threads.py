"""Work that lets go of the GIL, on as many threads as there are processors for this process."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Part = TypeVar("Part")


def count_threads() -> int:
    """Threads that this process may run at once: its processors, or ``QEMB_THREADS`` where that is fewer."""
    try:
        processors = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        processors = os.cpu_count() or 1
    limit = os.environ.get("QEMB_THREADS", "")
    return min(processors, max(int(limit), 1)) if limit.isdecimal() else processors


def for_each(work: Callable[[Part], object], parts: Sequence[Part]) -> None:
    """Call ``work`` with each part, on several threads where there is more than one; the first error is raised."""
    workers = min(len(parts), count_threads())
    if workers <= 1:
        for part in parts:
            work(part)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(workers) as pool:
        for _ in pool.map(work, parts):
            pass
