"""The ten nearest rows of one query and of 64, recall against float32, and the memory that it takes."""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qemb_tools.bench import recall
from qemb_tools.bench.speed.engines import ENGINES
from qemb_tools.bench.speed.measure import take_turns
from qemb_tools.bench.speed.process import THREADS, Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from qemb_tools.bench.report import Report, Row
    from qemb_tools.bench.speed.engines import Engine, Search
    from qemb_tools.bench.speed.files import Workspace

K = 10
BATCH = 64
_QUERIES = 256
ONE, MANY = "1 query", f"{BATCH} queries"
_ROUNDS = {ONE: 11, MANY: 5}


def measure(workspace: Workspace, report: Report) -> list[Row]:
    """Seconds of a search, on the main table, on MiniLM's and on one of 300 columns."""
    rows: list[Row] = []
    engines = {key: engine for key, engine in ENGINES.items() if workspace.wants(engine.title, engine.package, report)}
    for name in workspace.chosen((workspace.main, "minilm", "wide"), report):
        files = _build(workspace, name, engines, report)
        unit = recall.unit(workspace.table(name).vectors)
        chosen = np.random.default_rng(0).permutation(len(unit))[:_QUERIES]
        queries = workspace.folder / name / "queries.npz"
        np.savez(queries, queries=unit[chosen], rows=chosen,
                 near=recall.nearest(unit, unit[chosen], chosen, min(K, len(unit) - 1)))  # fmt: skip
        for threads in THREADS:
            report.progress(f"search: {name}, threads: {threads}")
            rows += [{"part": "search", "table": name, "state": "warm", "threads": threads, **row}
                     for row in _timed(files, queries, threads, workspace, report)]  # fmt: skip
    return rows


def _timed(files: dict[str, str], queries: Path, threads: int, workspace: Workspace, report: Report) -> list[Row]:
    """Every engine in a process of its own; one whose process ends gets a line in the report and is left out."""
    rows: list[Row] = []
    with ExitStack() as stack:
        workers = {}
        for key, path in files.items():
            engine, arguments = ENGINES[key], {"key": key, "path": path, "queries": str(queries)}
            try:
                worker = stack.enter_context(
                    Worker("speed.search:start", threads=threads, package=engine.package, **arguments)
                )
                rows.append({"side": engine.title, "what": "memory", **_memory(worker)})
            except RuntimeError as error:
                report.note(f"- {engine.title}: {error}")
                continue
            workers[key] = worker
        for what, rounds in _ROUNDS.items():
            turns = {key: worker.turn(what) for key, worker in workers.items()}
            for key, figures in take_turns(turns, rounds=workspace.turns(rounds)).items():
                rows.append({"side": ENGINES[key].title, "what": what, **figures})
                if what == ONE:
                    rows[-1]["recall"] = workers[key].ask("recall")["value"]
    return rows


def _memory(worker: Worker) -> Row:
    """Memory during searches for one query, above that after the imports."""
    during = worker.ask(ONE, 5)["memory"]
    if not during:
        return {}
    return {
        "peak_above_imports": during["peak"] - worker.imported["resident"],
        "anonymous_above_imports": during["anonymous"] - worker.imported["anonymous"],
    }


def _build(workspace: Workspace, name: str, engines: dict[str, Engine], report: Report) -> dict[str, str]:
    files = {}
    unit = recall.unit(workspace.table(name).vectors)
    for key, engine in engines.items():
        report.progress(f"search: {name}, building {engine.title}")
        if engine.build is None:
            path = workspace.file(name, engine.kind)
        else:
            path = workspace.folder / name / f"engine-{key}" / "index"
            if not path.parent.exists():
                path.parent.mkdir(parents=True)
                engine.build(unit, path)
        files[key] = str(path)
    return files


def start(key: str, path: str, queries: str) -> dict[str, Callable[[], object]]:
    """Load an engine; for a `Worker`."""
    drawn = np.load(queries)
    vectors, search = drawn["queries"], ENGINES[key].load(Path(path))

    def share() -> float:
        """Of the true neighbours, the row that the query is left out on both sides."""
        found = [search(vectors[low : low + BATCH], K + 1) for low in range(0, len(vectors), BATCH)]
        return recall.overlap(drawn["near"], recall.without(np.concatenate(found), drawn["rows"]))

    return {ONE: _calls(search, vectors, 1), MANY: _calls(search, vectors, BATCH), "recall": share}


def _calls(search: Search, vectors: NDArray[np.float32], count: int) -> Callable[[], object]:
    """Searches for other queries at each call."""
    starts = itertools.cycle(range(0, max(1, len(vectors) - count + 1), count))

    def run() -> object:
        low = next(starts)
        return search(vectors[low : low + count], K)

    return run
