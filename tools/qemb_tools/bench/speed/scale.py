"""Whether cost grows as the number of rows, and for opening not at all: 10 thousand rows to 10 million."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import qemb
from qemb_tools.bench.speed import fresh
from qemb_tools.bench.speed.engines import ENGINES
from qemb_tools.bench.speed.files import KINDS, WORDS
from qemb_tools.bench.speed.lookup import MANY, WORDS_AT_ONCE
from qemb_tools.bench.speed.measure import Spread, here, take_turns
from qemb_tools.bench.speed.process import THREADS, call
from qemb_tools.bench.timing import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from qemb_tools.bench.report import Report, Row
    from qemb_tools.bench.speed.files import Workspace

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
OPENING = "open, first vector"
ONE, SEARCH, DECODE, WRITE = "one word", "search, 1 query", "decode", "write"
WHATS = (OPENING, ONE, MANY, SEARCH, DECODE, WRITE)
_ROUNDS = 7
_NOISE = 0.1
_BATCH = 100_000
_TILE = 1_000_000
"""Rows that are decoded at a time, so that 10 million do not take 4 GB."""


def measure(workspace: Workspace, report: Report, *, largest: int) -> list[Row]:
    """Seconds at each number of rows up to ``largest``, 8 bits, two threads."""
    name = workspace.main
    base = workspace.file(name, "npy")
    rows: list[Row] = []
    for count in (size for size in SIZES if size <= largest):
        report.progress(f"scale: {count:,} rows")
        path = workspace.folder / "scale.qemb"
        found = {WRITE: call("speed.scale:write", threads=THREADS[-1], base=str(base), path=str(path), rows=count)}
        word = workspace.table(name).tokens[0].decode()
        opening = fresh.Steps(path, word, (KINDS["8"].imports, "result = len(qemb.open(path)[word])"))
        _, _, opened = fresh.take_turns({OPENING: opening}, rounds=workspace.turns(2 * _ROUNDS), threads=THREADS[-1])[
            OPENING
        ]
        opened.pop("result")
        found[OPENING] = opened
        found |= call("speed.scale:timed", threads=THREADS[-1], path=str(path), rounds=workspace.turns(_ROUNDS))
        size = path.stat().st_size
        rows += [
            {"part": "scale", "table": name, "side": KINDS["8"].title, "what": what, "rows": count, "state": "warm",
             "threads": THREADS[-1], "size": size, **found[what]}
            for what in WHATS
        ]  # fmt: skip
        path.unlink()
    return rows


def write(base: str, path: str, rows: int) -> dict[str, Any]:
    """Write a table of so many rows; only the writer is timed. Run in a process of its own."""
    vectors = np.load(base, mmap_mode="r")
    words = Path(base).with_name(WORDS).read_bytes().split(b"\n")
    watch = Stopwatch()
    seconds = busy = 0.0
    with qemb.Writer(path, dim=vectors.shape[1], bits=8) as writer:
        for tokens, batch in _batches(words, vectors, rows):
            with watch:
                writer.append(tokens, batch)
            seconds, busy = seconds + watch.wall, busy + watch.cpu
        watch.__enter__()
    watch.__exit__()
    return Spread.of([seconds + watch.wall], (busy + watch.cpu) / (seconds + watch.wall)).figures()


def _batches(
    words: Sequence[bytes], vectors: NDArray[np.float32], rows: int
) -> Iterator[tuple[list[bytes], NDArray[np.float32]]]:
    """Rows of the base table again and again, each copy of a row with other noise and its word with a number."""
    rng = np.random.default_rng(0)
    spread = np.float32(_NOISE * np.std(vectors[:1000]))
    made = 0
    for copy in itertools.count():
        for low in range(0, len(words), _BATCH):
            part = vectors[low : low + min(_BATCH, rows - made)]
            noise = rng.standard_normal(part.shape, np.float32)
            some = words[low : low + len(part)]
            yield [b"%s~%d" % (word, copy) for word in some] if copy else list(some), part + noise * spread
            made += len(part)
            if made == rows:
                return


def timed(path: str, rounds: int) -> dict[str, Any]:
    """Look up, search and decode; run in a process of its own."""
    emb = qemb.open(path)
    search = ENGINES["8"].load(Path(path))
    rng = np.random.default_rng(0)
    words = [emb.tokens[int(row)] for row in rng.integers(len(emb), size=WORDS_AT_ONCE)]
    queries = emb.rows(rng.integers(len(emb), size=64)).astype(np.float32)
    query = itertools.cycle(queries[:, None])
    out = np.empty((min(_TILE, len(emb)), emb.dim), np.float32)
    one = take_turns({ONE: here(lambda: [emb[word] for word in words])}, rounds=rounds, per=len(words))
    others = {
        MANY: here(lambda: emb[words]),
        SEARCH: here(lambda: search(next(query), 10)),
        DECODE: here(lambda: _decode(emb, out)),
    }
    return one | take_turns(others, rounds=rounds)


def _decode(emb: qemb.Embedding, out: NDArray[np.float32]) -> None:
    for low in range(0, len(emb), len(out)):
        high = min(low + len(out), len(emb))
        emb.matrix(low, high, out=out[: high - low])


def exponents(rows: Sequence[Row]) -> dict[str, tuple[float, float]]:
    """By what was measured: the exponent of a power of the rows fitted to all sizes, and that of the last step.

    Least squares over the logarithms: 1 is growth in proportion, 0 none.
    """
    found = {}
    for what in WHATS:
        points = sorted((row["rows"], row["median"]) for row in rows if row["part"] == "scale" and row["what"] == what)
        if len(points) >= 2:
            sizes, seconds = (np.log([point[i] for point in points]) for i in (0, 1))
            last = (seconds[-1] - seconds[-2]) / (sizes[-1] - sizes[-2])
            found[what] = float(np.polyfit(sizes, seconds, 1)[0]), float(last)
    return found
