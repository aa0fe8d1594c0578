"""Approximate search beside exact search: what the index costs, and recall and time at each effort."""

from __future__ import annotations

import itertools
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import qemb
from qemb_tools.bench import recall
from qemb_tools.bench.speed.measure import here, take_turns
from qemb_tools.bench.speed.process import THREADS, call
from qemb_tools.bench.timing import Stopwatch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from qemb_tools.bench.data import Places, Table
    from qemb_tools.bench.report import Report, Row
    from qemb_tools.bench.speed.measure import Turn

K = 10
EFFORTS = (3, 5, 7, 9)
_NOISE = 0.5
"""Of a row's standard deviation: a row and its copies are then as near to each other as words of one meaning are."""
_QUERIES = 500
_TOGETHER = 64
_ROUNDS = 7
_BATCH = 50_000


def run(
    places: Places, report: Report, *, largest: int, scratch: Path | None = None, rounds: int | None = None
) -> None:
    """Print figures of the main table, and of one of ``largest`` rows made of it with noise."""
    if find_spec("faiss") is None:
        report.note('- approximate: not run without faiss; pip install "qemb-format[bench]"')
        return
    table = places.table("glove6b" if places.glove is None else "glove")
    files: list[Row] = []
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        path = Path(folder, "table.qemb")
        for count in sorted({len(table.vectors), max(largest, len(table.vectors))}):
            report.progress(f"approximate: {count:,} rows")
            _write(table, count, path)
            shape = {"rows": count, "file": path.stat().st_size / 1e6}
            files.append(shape | call("approximate:build", threads=THREADS[-1], path=str(path)))
            found = call("approximate:search", threads=THREADS[0], path=str(path), rounds=rounds or _ROUNDS)
            rows += [shape | row for row in found]
    report.heading(f"Approximate search in {table.title}, 8 bits")
    report.table("approximate", [
        ("rows", "rows", ",d"),
        ("file", "file, MB", ".1f"),
        ("index", "index, MB", ".1f"),
        ("seconds", "building, s", ".1f"),
        ("cpu", "CPU s", ".1f"),
        ("opening", "opening, ms", ".1f"),
    ], files)  # fmt: skip
    report.note("")
    report.table("approximate", [
        ("rows", "rows", ",d"),
        ("effort", "effort", "d"),
        ("recall", "recall@10", ".3f"),
        ("one", "one query, ms", ".2f"),
        ("exact", "exact, ms", ".2f"),
        ("many", f"each of {_TOGETHER}, ms", ".2f"),
        ("exact_many", "exact, ms", ".2f"),
    ], rows)  # fmt: skip


def _write(table: Table, count: int, path: Path) -> None:
    """The table itself, or its rows again and again, each with other noise, until there are enough."""
    vectors = table.vectors
    rng = np.random.default_rng(0)
    with qemb.Writer(path, dim=vectors.shape[1], bits=8) as writer:
        for low in range(0, count, _BATCH):
            numbers = np.arange(low, min(low + _BATCH, count))
            some = vectors[numbers % len(vectors)]
            if count > len(vectors):
                some = some + np.float32(_NOISE) * some.std(axis=1, keepdims=True) * rng.standard_normal(
                    some.shape, np.float32
                )
            writer.append([b"%d" % number for number in numbers], some)


def build(path: str) -> dict[str, Any]:
    """Build the index, and open it; run in a process of its own."""
    from qemb_tools import approximate

    with Stopwatch() as building:
        summary = approximate.build(path)
    opening = take_turns({"": here(lambda: approximate.load(path).close())}, rounds=_ROUNDS)[""]
    return {
        "index": summary.size / 1e6,
        "seconds": building.wall,
        "cpu": building.cpu,
        "opening": opening["median"] * 1e3,
    }


def search(path: str, rounds: int) -> list[dict[str, Any]]:
    """Search exactly and with the index, for rows of the table; run in a process of its own."""
    from qemb_tools import approximate

    exact, near = qemb.open(path), approximate.load(path)
    numbers = np.random.default_rng(1).integers(0, len(exact), _QUERIES)
    queries = exact.rows(numbers)
    truth = recall.without(exact.search(queries, K + 1)[0], numbers)
    found = []
    for near.effort in EFFORTS:
        sides = {
            "one": _searches(near, itertools.cycle(queries[:, np.newaxis])),
            "exact": _searches(exact, itertools.cycle(queries[:, np.newaxis])),
            "many": _searches(near, itertools.repeat(queries[:_TOGETHER])),
            "exact_many": _searches(exact, itertools.repeat(queries[:_TOGETHER])),
        }
        seconds = {name: turn["median"] * 1e3 for name, turn in take_turns(sides, rounds=rounds).items()}
        for name in ("many", "exact_many"):
            seconds[name] /= _TOGETHER
        share = recall.overlap(truth, recall.without(near.search(queries, K + 1)[0], numbers))
        found.append({"effort": near.effort, "recall": share, **seconds})
    return found


def _searches(emb: qemb.Embedding, queries: Iterator[NDArray[np.float32]]) -> Turn:
    """Searches, each for the next of the queries."""
    return here(lambda: emb.search(next(queries), K))
