"""Everything that is done with a ``.qemb`` file, done to one that may be damaged; what must not happen is a finding.

Reading ends well or in a `QembError`. A file that verifies reads without one. No call takes more than `SECONDS` of
processor time, or `BYTES` of memory above the size of the file.
"""

from __future__ import annotations

import os
import random
import resource
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from zlib import crc32

import numpy as np

import qemb

SECONDS = 2.0
BYTES = 256 << 20
SOME = 2000
"""Tokens that are iterated over, where a file has more."""
WORDS = 40
"""Words that are looked up one by one."""
SELDOM = 16
"""One file in so many is repaired and saved, and searched for many queries at once."""
FOLDER = next((folder for folder in ("/dev/shm",) if os.path.isdir(folder)), None)  # noqa: S108
"""Where files are written: in memory, where fsync costs nothing."""


@dataclass
class Outcome:
    """What came of one file."""

    opened: str = "good"
    """The code of the error of `qemb.open`."""
    verified: str = "good"
    """That of `verify`; empty where the file did not open."""
    slowest: tuple[float, str] = (0.0, "")
    """Seconds of processor time, and the call."""
    memory: int = 0
    """Bytes that a call took at most, beyond what the process had before."""
    findings: list[str] = field(default_factory=list)
    """What must not have happened; a line each."""


class Failed:
    """What a call gave that ended in an error that it may end in."""

    def __init__(self, code):
        self.code = code

    def __bool__(self):
        return False


def exercise(data):
    """Do everything to a file; its `Outcome`."""
    watch, one_in = Watch(len(data)), random.Random(crc32(data)).randrange
    outcome = watch.outcome
    emb = watch("open", lambda: qemb.open(data))
    if isinstance(emb, Failed):
        outcome.opened, outcome.verified = emb.code, ""
    elif emb is not None:
        with emb:
            _read(emb, watch, one_in)
    if not one_in(SELDOM):
        _rewrite(data, watch)
    return outcome


def is_expensive(outcome):
    """Whether it took too long or too much memory: to be measured again, since compilers and caches do too."""
    return any(" took " in finding for finding in outcome.findings)


class Watch:
    """Calls functions, and notes what they do that they must not."""

    def __init__(self, size):
        self.outcome = Outcome()
        self._limit = BYTES + size

    def __call__(self, name, function, *, may_lack=False):
        """The function's value; `Failed` where it ended in a `QembError`, or a `KeyError` for what a file may lack."""
        before = _most_memory(anew=True)
        start = time.process_time()
        try:
            value = function()
        except qemb.QembError as error:
            value = Failed(error.code)
        except KeyError as error:
            value = Failed("KeyError")
            if not may_lack:
                self.finding(f"{name}: {error!r}")
        except Exception as error:  # noqa: BLE001  (that nothing else is raised is the question)
            self.finding(f"{name}: {type(error).__name__}: {error}")
            value = Failed(type(error).__name__)
        seconds = time.process_time() - start
        grown = _most_memory() - before
        outcome = self.outcome
        outcome.slowest = max(outcome.slowest, (seconds, name))
        outcome.memory = max(outcome.memory, grown)
        if seconds > SECONDS:
            self.finding(f"{name} took {seconds:.1f} s")
        if grown > self._limit:
            self.finding(f"{name} took {grown >> 20} MiB")
        return value

    def finding(self, text):
        self.outcome.findings.append(text)


def _read(emb, watch, one_in):
    outcome = watch.outcome
    verdict = watch("verify", emb.verify)
    outcome.verified = verdict.code if isinstance(verdict, Failed) else "good"
    if outcome.verified != "good" or not one_in(4):  # what verifies is gone over once more for nothing
        faults = watch("faults", lambda: list(emb.faults()))
        first = faults[0].code if faults else "good"
        if not isinstance(faults, Failed) and first != outcome.verified:
            watch.finding(f"verify says {outcome.verified}, faults begin with {first}")
    before = len(outcome.findings)
    failed = [value.code for value in _everything(emb, watch, one_in) if isinstance(value, Failed)]
    unlimited = [code for code in failed if not code.startswith("limit.")]
    if outcome.verified == "good" and unlimited and len(outcome.findings) == before:
        watch.finding(f"a file that verifies: {unlimited[0]}")


def _everything(emb, watch, one_in):
    """Yield what every call gives, of those that end well in a file that verifies."""
    rows, count, dim = emb.total_rows, len(emb), emb.dim
    for name in ("info", "metadata", "counts", "norms", "subwords"):
        yield watch(name, lambda name=name: getattr(emb, name))
    yield watch("repr", lambda: repr(emb))
    whole = watch("matrix", emb.matrix)
    yield whole
    some = sorted({number % rows for number in (0, 1, -1, rows // 2, -2)}) if rows else []
    picked = watch("rows", lambda: emb.rows(some))
    yield picked
    yield watch("matrix of a part", lambda: emb.matrix(rows // 2, rows // 2 + 3))
    if isinstance(whole, np.ndarray) and isinstance(picked, np.ndarray) and not _same(whole[some], picked):
        watch.finding("rows by number are not those of the matrix")
    tokens = watch("iterate", lambda: list(islice(emb.tokens, SOME)))
    yield tokens
    words = tokens if isinstance(tokens, list) else []
    words = words if len(words) <= WORDS else words[: WORDS // 2] + words[-WORDS // 2 :]
    yield from _look_up(emb, watch, words)
    yield watch("raw token", lambda: emb.tokens.raw(count - 1) if count else None)
    query = np.linspace(-1, 1, dim)
    yield watch("nearest to a vector", lambda: emb.nearest(query, k=3))
    if words:
        yield watch("nearest to a word", lambda: emb.nearest(words[-1], k=3), may_lack=True)
    if len(words) > 2 and not one_in(4):
        yield watch("many words", lambda: emb[[*words, *words, *words[:30]]], may_lack=True)
        yield watch("analogy", lambda: emb.analogy(words[:2], words[2:3], k=2), may_lack=True)
        yield watch("similarity", lambda: emb.similarity(words[0], words[1]), may_lack=True)
        yield watch("search", lambda: emb.search([query, -query], k=3))
    if dim < 1000 and not one_in(SELDOM):
        yield watch("search of many", lambda: emb.search(np.eye(20, dim), k=10))


def _look_up(emb, watch, words):
    for row, word in enumerate(words[: min(WORDS // 2, len(emb))]):
        found = watch("row of a word", lambda word=word: emb.tokens.row(word))
        yield found
        if watch.outcome.verified == "good" and found != row:
            watch.finding(f"word {row} of a file that verifies is found in row {found}")
    for word in (*words[-2:], "no such word", "\ud800", b"\xff<", ""):
        yield watch("in", lambda word=word: word in emb)
        watch("vector of a word", lambda word=word: emb[word], may_lack=True)
        yield watch("get", lambda word=word: emb.get(word))


def _rewrite(data, watch):
    """Repair and save; the repaired file verifies."""
    with tempfile.TemporaryDirectory(dir=FOLDER) as folder:
        repaired, saved = Path(folder) / "repaired.qemb", Path(folder) / "saved.qemb"
        watch("repair", lambda: qemb.repair(data, repaired, keep_suspect=len(data) % 2 == 0))
        if repaired.exists():
            try:
                with qemb.open(repaired) as emb:
                    emb.verify()
            except qemb.QembError as error:
                watch.finding(f"a repaired file: {error}")
        with suppress(qemb.QembError), qemb.open(data) as emb:
            watch("save", lambda: emb.save(saved))


def _most_memory(*, anew=False):
    """The most bytes that this process has held in memory, up to now, or from now on where that can be set."""
    if anew:
        with suppress(OSError), open("/proc/self/clear_refs", "wb", buffering=0) as file:  # not every system has it
            file.write(b"5")
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _same(one, other):
    return np.array_equal(one.view(np.uint32), other.view(np.uint32))
