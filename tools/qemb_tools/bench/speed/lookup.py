"""One word after the other, and 10,000 words in one call, with everything in the page cache."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import qemb
from qemb_tools.bench.speed import fresh
from qemb_tools.bench.speed.files import KINDS, WORDS
from qemb_tools.bench.speed.measure import take_turns
from qemb_tools.bench.speed.process import THREADS, Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from qemb_tools.bench.report import Report, Row
    from qemb_tools.bench.speed.files import Workspace

WORDS_AT_ONCE = 10_000
_SINGLE = 2_000
_ROUNDS = 15
_COLD_ROUNDS = 5
_KINDS = ("8", "4", "4c", "exact", "native", "npy", "sqlite")
ONE = "one word"
MANY = f"{WORDS_AT_ONCE:,} words"
_COLD = {
    **dict.fromkeys(("8", "4", "4c", "exact"), "result = float(qemb.open(path)[words].sum())"),
    "native": "result = float(KeyedVectors.load(path, mmap='r')[words].sum())",
}


def measure(workspace: Workspace, report: Report) -> list[Row]:
    """Seconds a word, and for `WORDS_AT_ONCE` words drawn at random."""
    name = workspace.main
    tokens = workspace.table(name).tokens
    files = {
        kind: str(workspace.file(name, kind))
        for kind in _KINDS
        if workspace.wants(KINDS[kind].title, KINDS[kind].package, report)
    }
    drawn = np.random.default_rng(0).integers(len(tokens), size=WORDS_AT_ONCE)
    chosen = workspace.folder / "chosen.txt"
    chosen.write_bytes(b"\n".join(tokens[row] for row in drawn))
    rows: list[Row] = []
    for threads in THREADS:
        report.progress(f"lookup, threads: {threads}")
        with ExitStack() as stack:
            workers = {
                KINDS[kind].title: stack.enter_context(
                    Worker("speed.lookup:start", threads=threads, kind=kind, path=path, chosen=str(chosen))
                )
                for kind, path in files.items()
            }
            for what, per in ((ONE, _SINGLE), (MANY, 1)):
                turns = {side: worker.turn(what) for side, worker in workers.items()}
                rows += [
                    {"part": "lookup", "table": name, "side": side, "what": what, "state": "warm", "threads": threads,
                     **figures}
                    for side, figures in take_turns(turns, rounds=workspace.turns(_ROUNDS), per=per).items()
                ]  # fmt: skip
    steps = {
        KINDS[kind].title: fresh.Steps(
            Path(files[kind]), str(chosen),
            (KINDS[kind].imports, "words = open(word, encoding='utf-8', newline='\\n').read().split('\\n')", look),
        )
        for kind, look in _COLD.items() if kind in files
    }  # fmt: skip
    report.progress("lookup: cold")
    rounds = workspace.turns(_COLD_ROUNDS)
    for side, (*_, looked) in fresh.take_turns(steps, rounds=rounds, threads=1, cold=True).items():
        looked.pop("result")
        rows.append(
            {"part": "lookup", "table": name, "side": side, "what": MANY, "state": "cold", "threads": 1, **looked}
        )
    return rows


def start(kind: str, path: str, chosen: str) -> dict[str, Callable[[], object]]:
    """Open a file; for a `Worker`."""
    words = Path(chosen).read_bytes().decode().split("\n")
    some = words[:_SINGLE]
    one, many = _OPEN[kind](path)

    def each() -> None:
        for word in some:
            one(word)

    return {ONE: each, MANY: lambda: many(words)}


def _qemb(path: str) -> tuple[Callable[[str], Any], Callable[[list[str]], Any]]:
    emb = qemb.open(path)
    return emb.__getitem__, emb.__getitem__


def _gensim(path: str) -> tuple[Callable[[str], Any], Callable[[list[str]], Any]]:
    from gensim.models import KeyedVectors

    keyed = KeyedVectors.load(path, mmap="r")
    return keyed.get_vector, keyed.__getitem__


def _dictionary(path: str) -> tuple[Callable[[str], Any], Callable[[list[str]], Any]]:
    """The matrix in memory and a dict of its words: what there is to gain by having both."""
    matrix = np.load(path)
    words = (Path(path).parent / WORDS).read_bytes().decode().split("\n")
    rows = {word: row for row, word in enumerate(words)}
    return lambda word: matrix[rows[word]], lambda many: matrix[[rows[word] for word in many]]


def _sqlite(path: str) -> tuple[Callable[[str], Any], Callable[[list[str]], Any]]:
    query = sqlite3.connect(path).cursor()
    select = "SELECT vector FROM vectors WHERE word = ?"

    def one(word: str) -> Any:  # noqa: ANN401 - an array
        return np.frombuffer(query.execute(select, (word,)).fetchone()[0], np.float32)

    return one, lambda many: np.stack([one(word) for word in many])


_OPEN: dict[str, Callable[[str], tuple[Callable[[str], Any], Callable[[list[str]], Any]]]] = {
    **dict.fromkeys(("8", "4", "4c", "exact"), _qemb),
    "native": _gensim,
    "npy": _dictionary,
    "sqlite": _sqlite,
}
