"""From an open prompt to the first vector: files of every kind, in fresh processes, in and out of the page cache."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np

from qemb_tools.bench.speed import fresh
from qemb_tools.bench.speed.files import KINDS

if TYPE_CHECKING:
    from qemb_tools.bench.report import Report, Row
    from qemb_tools.bench.speed.files import Workspace

_ROUNDS = {"warm": 7, "cold": 5}
_KINDS = ("8", "4", "exact", "native", "word2vec", "npy", "safetensors", "hdf5", "parquet", "sqlite")
_IMPORTS = {"import numpy": "import numpy", "import qemb": "import qemb", "import gensim": "import gensim.models"}
_FAR = 0.3
"""Relative error that no kind of file exceeds: at 4 bits it is a quarter of that."""


def measure(workspace: Workspace, report: Report) -> list[Row]:
    """Seconds from after the imports to the first vector, and of the imports."""
    name = workspace.main
    table = workspace.table(name)
    row = len(table.tokens) // 3
    sides = {}
    for kind in _KINDS:
        if not workspace.wants(KINDS[kind].title, KINDS[kind].package, report):
            continue
        steps = (KINDS[kind].imports, f"result = [float(value) for value in {KINDS[kind].one}]")
        report.progress(f"open: writing {KINDS[kind].title}")
        sides[KINDS[kind].title] = fresh.Steps(workspace.file(name, kind), table.tokens[row].decode(), steps)
    rows: list[Row] = []
    for state, rounds in _ROUNDS.items():
        report.progress(f"open: {state}")
        found = fresh.take_turns(sides, rounds=workspace.turns(rounds), threads=1, cold=state == "cold")
        for side, (_, _, first) in found.items():
            _check(side, np.array(first.pop("result"), np.float32), table.vectors[row])
            rows.append({"part": "open", "table": name, "side": side, "what": "first vector", "state": state,
                         "threads": 1, **first})  # fmt: skip
    some = next(iter(sides.values())).path
    imports = {side: fresh.Steps(some, "", (code, "result = None")) for side, code in _IMPORTS.items()}
    if find_spec("gensim") is None:
        del imports["import gensim"]
    turns = workspace.turns(2 * _ROUNDS["warm"])
    for side, (_, imported, _) in fresh.take_turns(imports, rounds=turns, threads=1).items():
        rows.append({"part": "open", "side": side, "what": "import", "state": "warm", "threads": 1, **imported})
    return rows


def _check(side: str, found: np.ndarray, wanted: np.ndarray) -> None:
    if np.linalg.norm(found - wanted) > _FAR * np.linalg.norm(wanted):
        raise AssertionError(f"{side} gave another vector than the table has")
