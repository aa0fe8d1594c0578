"""Do everything to many damaged files: nothing but a `QembError` may come of it, in bounded time and memory.

python tests/fuzz/run.py 100000 --seed 1 --workers 2

A finding names the seed and the number of its file, which `mutate.mutated` gives back. The file is also written into a
folder, for `python tests/fuzz/run.py --replay FILE...`. With ``QEMB_JIT=0`` in the environment no kernel is compiled.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import sys
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path

from exercise import exercise, is_expensive
from mutate import corpus, mutated
from qemb import jit

ADDRESS_SPACE = 4 << 30
"""Bytes that a worker may map, so that what takes too much fails in it, and not on the whole machine."""
HUNG = 120
"""Seconds after which a file that is still read ends its worker."""
REPORT = 5
"""Seconds between two reports of a worker."""


@dataclass
class Tally:
    """What came of many files."""

    files: int = 0
    opened: Counter = field(default_factory=Counter)
    verified: Counter = field(default_factory=Counter)
    slowest: tuple = (0.0, "", -1)
    memory: tuple = (0, -1)
    findings: list = field(default_factory=list)

    def add(self, number, outcome):
        self.files += 1
        self.opened[outcome.opened] += 1
        if outcome.verified:
            self.verified[outcome.verified] += 1
        self.slowest = max(self.slowest, (*outcome.slowest, number))
        self.memory = max(self.memory, (outcome.memory, number))
        self.findings += [(number, text) for text in outcome.findings]

    def join(self, other):
        self.files += other.files
        self.opened += other.opened
        self.verified += other.verified
        self.slowest = max(self.slowest, other.slowest)
        self.memory = max(self.memory, other.memory)
        self.findings += other.findings

    def __str__(self):
        opened, verified = self.opened["good"], self.verified["good"]
        (seconds, call, slow), (memory, large) = self.slowest, self.memory
        lines = [
            f"{self.files:,} files: {opened / self.files:.1%} opened, {verified / self.files:.1%} verified",
            f"slowest call: {call}, {seconds:.2f} s (number {slow}); most memory: {memory >> 20} MiB (number {large})",
            *(f"  open {code}: {count:,}" for code, count in self.opened.most_common()),
            *(f"  verify {code}: {count:,}" for code, count in self.verified.most_common()),
        ]
        return "\n".join(lines)


def prepare(warm_up):
    """Bound this process, and let what is slow the first time be so now."""
    warnings.simplefilter("error")
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, resource.getrlimit(resource.RLIMIT_AS)[1]))
    jit.load()
    for data in warm_up:
        exercise(data)


def measure(data):
    """The outcome for a file; what was expensive is measured once more."""
    outcome = exercise(data)
    return exercise(data) if is_expensive(outcome) else outcome


def work(connection, files, seed, numbers, current, deadline):
    """Do a range of numbers, in a process of its own, and report on them now and then."""
    prepare(files[:: max(1, len(files) // 40)])
    tally, reported = Tally(), time.monotonic()
    for number in numbers:
        current.value = number
        tally.add(number, measure(mutated(files, seed, number)))
        now = time.monotonic()
        if now - reported > REPORT:
            connection.send(tally)
            tally, reported = Tally(), now
        if now > deadline:
            break
    connection.send(tally)


class Worker:
    """A process that does every n-th number, and the next one after a file has ended it."""

    def __init__(self, arguments, files, first, deadline):
        self._arguments, self._files, self._deadline = arguments, files, deadline
        self.tally = Tally()
        self._current = multiprocessing.RawValue("q", -1)
        self._start(first)

    def _start(self, first):
        a = self._arguments
        self.connection, theirs = multiprocessing.Pipe(duplex=False)
        numbers = range(first, a.count, a.workers)
        self._process = multiprocessing.Process(
            target=work, args=(theirs, self._files, a.seed, numbers, self._current, self._deadline)
        )
        self._process.start()
        theirs.close()
        self._seen, self._since = -1, time.monotonic()

    def listen(self):
        """Take a report; False once the worker has ended, and does not begin anew."""
        try:
            self.tally.join(self.connection.recv())
        except EOFError:
            self._process.join()
            if self._process.exitcode == 0:
                return False
            number = self._current.value
            self.tally.findings.append((number, f"ended its process: {self._process.exitcode}"))
            if number < 0:
                return False
            self._start(number + self._arguments.workers)
        return True

    def end_if_hung(self):
        now = time.monotonic()
        if self._current.value != self._seen:
            self._seen, self._since = self._current.value, now
        elif now - self._since > HUNG:
            self._process.kill()


def run(arguments):
    files = corpus(arguments.largest)
    begin = time.monotonic()
    workers = [Worker(arguments, files, first, begin + arguments.seconds) for first in range(arguments.workers)]
    running, shown, told = list(workers), begin, 0
    while running:
        ready = wait([worker.connection for worker in running], timeout=1)
        running = [worker for worker in running if worker.connection not in ready or worker.listen()]
        for worker in running:
            worker.end_if_hung()
        now = time.monotonic()
        found = [finding for worker in workers for finding in worker.tally.findings]
        if now - shown > 6 * REPORT or len(found) > told:
            shown = now
            done = sum(worker.tally.files for worker in workers)
            print(f"{done:,} files, {done / (now - begin):,.0f} a second, {len(found)} findings", flush=True)
            if len(found) > told:  # a run of hours may be broken off
                told = len(found)
                save(found, files, arguments)
    total = Tally()
    for worker in workers:
        total.join(worker.tally)
    seconds = time.monotonic() - begin
    print(total)
    print(f"seed {arguments.seed}; {seconds:.0f} s, {total.files / seconds:,.0f} files a second")
    save(total.findings, files, arguments)
    return not total.findings and total.files > 0


def save(findings, files, arguments):
    """Write the files of findings, and say what was found."""
    for number, text in findings:
        path = Path(arguments.findings) / f"{arguments.seed}-{number}.qemb"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(mutated(files, arguments.seed, number))
        print(f"FINDING {path}: {text}", flush=True)


def replay(paths):
    prepare(())
    good = True
    for path in paths:
        outcome = measure(Path(path).read_bytes())
        print(path, outcome)
        good = good and not outcome.findings
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int, nargs="?", default=10_000, help="damaged files")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--largest", type=int, default=1 << 13, help="bytes of the largest file of the corpus")
    parser.add_argument("--findings", default="fuzz-findings", help="folder for the files of findings")
    parser.add_argument("--replay", nargs="+", metavar="FILE", help="do everything to these files instead")
    arguments = parser.parse_args()
    os.environ["QEMB_THREADS"] = "1"
    sys.exit(not (replay(arguments.replay) if arguments.replay else run(arguments)))


if __name__ == "__main__":
    main()
