"""A run: every case, given to the adapters of one implementation, several at a time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from qemb_conformance.adapters import Outcome
from qemb_conformance.processes import kill_all

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from qemb_conformance.cases import Case
    from qemb_conformance.judging import Result

MAX_TIMEOUTS = 5
"""Cases one after the other without an answer, after which the others are not tried."""
_NOT_TRIED = f"not tried, after {MAX_TIMEOUTS} cases in a row without an answer"


@dataclass(frozen=True)
class Run:
    """What came out for one implementation."""

    name: str
    command: str
    profile: str
    results: tuple[Result, ...] = ()
    known: frozenset[str] = frozenset()
    """Cases that are expected to fail."""
    seconds: float = 0.0
    skipped: str = ""
    """Why it was not run at all."""
    broken: str = ""
    """Why it could not be built."""

    @property
    def asked(self) -> list[Result]:
        """All but what the profile does not ask for and the implementation left."""
        return [result for result in self.results if result.answered]

    @property
    def passed(self) -> int:
        """How many of those pass."""
        return sum(result.passed for result in self.asked)

    @property
    def not_tried(self) -> int:
        """How many cases it was not given, since it never answered."""
        return sum(result.outcome.word == _NOT_TRIED for result in self.results)

    @property
    def failures(self) -> list[Result]:
        """What failed and was not expected to."""
        return [result for result in self.results if not result.passed and result.case.id not in self.known]

    @property
    def rotten(self) -> list[Result]:
        """What was expected to fail, and passed."""
        return [result for result in self.results if result.passed and result.case.id in self.known]

    @property
    def good(self) -> bool:
        """Whether something was asked, and nothing failed but what was expected to, all of which did."""
        return not (self.failures or self.rotten or self.broken) and bool(self.asked or not self.results)


class Worker(Protocol):
    """An adapter and how it is judged; each thread has one of its own."""

    def run(self, case: Case) -> Outcome:
        """Give the adapter a case."""
        ...

    def judge(self, case: Case, outcome: Outcome, seconds: float) -> Result:
        """Judge what it said."""
        ...

    def close(self) -> None:
        """Let go of the adapter."""
        ...


def run_cases(
    cases: Sequence[Case], worker: Callable[[], Worker], jobs: int, progress: Callable[[str], None]
) -> tuple[Result, ...]:
    """Run cases, several at a time; results in the order of the cases.

    Parameters
    ----------
    cases : sequence of Case
        What to run.
    worker : callable
        Makes a worker; called once for each job.
    jobs : int
        How many at a time.
    progress : callable
        Told the id of each case that is done.
    """
    results: dict[int, Result] = {}
    waiting = iter(range(len(cases)))
    lock = threading.Lock()
    in_a_row = 0
    stop = threading.Event()

    def work() -> None:
        nonlocal in_a_row
        mine = worker()
        try:
            while not stop.is_set():
                with lock:
                    place = next(waiting, None)
                    hopeless = in_a_row >= MAX_TIMEOUTS
                if place is None:
                    return
                case = cases[place]
                if hopeless:
                    results[place] = mine.judge(case, Outcome("crash", _NOT_TRIED), 0)
                    continue
                start = time.monotonic()
                outcome = mine.run(case)
                results[place] = mine.judge(case, outcome, time.monotonic() - start)
                with lock:
                    in_a_row = in_a_row + 1 if outcome.timed_out else 0
                    progress(case.id)
        finally:
            mine.close()

    jobs = max(1, min(jobs, len(cases)))
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(work) for _ in range(jobs)]
        try:
            for future in futures:
                future.result()
        except BaseException:
            stop.set()
            kill_all()
            raise
    return tuple(results[place] for place in range(len(cases)))
