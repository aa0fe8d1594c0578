"""The whole table as float32, beside reading a file that holds it as float32."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import qemb
from qemb_tools.bench.speed import fresh
from qemb_tools.bench.speed.files import KINDS
from qemb_tools.bench.speed.measure import take_turns
from qemb_tools.bench.speed.process import THREADS, Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from qemb_tools.bench.report import Report, Row
    from qemb_tools.bench.speed.files import Workspace

NUMPY = "np.load"
_ROUNDS = 15
_COLD_ROUNDS = 3
_COLD = {
    **dict.fromkeys(("8", "4", "4c", "exact"), "table = qemb.open(path).matrix(); result = table.shape"),
    "npy": "table = numpy.load(path); result = table.shape",
}


def measure(workspace: Workspace, report: Report) -> list[Row]:
    """Seconds of one decoding into a new array, of the main table and MiniLM's."""
    rows: list[Row] = []
    for name in workspace.chosen((workspace.main, "minilm"), report):
        files = {
            kind: str(workspace.file(name, kind))
            for kind in _DECODE
            if kind == "npy" or workspace.wants(KINDS[kind].title, KINDS[kind].package, report)
        }
        common = {"part": "decode", "table": name, "what": "whole table"}
        for threads in THREADS:
            report.progress(f"decode: {name}, threads: {threads}")
            with ExitStack() as stack:
                workers = {
                    kind: stack.enter_context(Worker("speed.decode:start", threads=threads, kind=kind, path=path))
                    for kind, path in files.items()
                }
                turns = {_title(kind): worker.turn("decode") for kind, worker in workers.items()}
                found = take_turns(turns, rounds=workspace.turns(_ROUNDS))
            rows += [{**common, "side": side, "state": "warm", "threads": threads, **figures}
                     for side, figures in found.items()]  # fmt: skip
        steps = {
            _title(kind): fresh.Steps(Path(files[kind]), "", (KINDS[kind].imports, code))
            for kind, code in _COLD.items()
            if kind in files
        }
        report.progress(f"decode: {name}, cold")
        rounds = workspace.turns(_COLD_ROUNDS)
        for side, (*_, decoded) in fresh.take_turns(steps, rounds=rounds, threads=2, cold=True).items():
            decoded.pop("result")
            rows.append({**common, "side": side, "state": "cold", "threads": 2, **decoded})
    return rows


def start(kind: str, path: str) -> dict[str, Callable[[], object]]:
    """Open a file; for a `Worker`."""
    return {"decode": _DECODE[kind](path)}


def _title(kind: str) -> str:
    return NUMPY if kind == "npy" else KINDS[kind].title


def _qemb(path: str) -> Callable[[], object]:
    return qemb.open(path).matrix


def _safetensors(path: str) -> Callable[[], object]:
    from safetensors.numpy import load_file

    return lambda: load_file(path)


def _hdf5(path: str) -> Callable[[], object]:
    import h5py

    vectors = h5py.File(path)["vectors"]
    return lambda: vectors[...]


def _parquet(path: str) -> Callable[[], object]:
    from pyarrow import parquet

    def read() -> object:
        column = parquet.read_table(path, columns=["vector"])["vector"].combine_chunks()
        return column.flatten().to_numpy().reshape(len(column), -1)

    return read


_DECODE: dict[str, Callable[[str], Callable[[], object]]] = {
    "8": _qemb,
    "4": _qemb,
    "4c": _qemb,
    "exact": _qemb,
    "npy": lambda path: lambda: np.load(path),
    "safetensors": _safetensors,
    "hdf5": _hdf5,
    "parquet": _parquet,
}
