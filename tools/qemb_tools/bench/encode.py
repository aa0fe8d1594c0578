"""How fast each scheme is written and read back, with numba and without, each in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from qemb_tools.bench.methods import qemb_methods

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qemb_tools.bench.report import Report, Row

ROWS = 40_000
_DIM = 100
_SLOW_ROWS = 2_000
"""Rows without numba, where the trellis takes ten times as long."""
_COLUMNS = [
    ("method", "method", ""),
    ("bits", "bits", "d"),
    ("kernels", "kernels", ""),
    ("encode", "written, million values/s", ".2f"),
    ("encode_cpu", "a CPU second", ".2f"),
    ("decode", "read, million values/s", ".0f"),
    ("decode_cpu", "a CPU second", ".0f"),
]
# the first write imports and compiles what is kept afterwards, and is not counted
_CODE = """
import json, sys, tempfile
from pathlib import Path
import numpy as np
import qemb
from qemb_tools.bench.timing import Stopwatch

rows, dim, repeat, options = json.loads(sys.argv[1])
vectors = np.random.default_rng(0).normal(size=(rows, dim)).astype(np.float32)
tokens = [str(row) for row in range(rows)]
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, "speed.qemb")
    qemb.write(path, tokens[:4096], vectors[:4096], **options)
    writing, reading = [], []
    for _ in range(repeat):
        with Stopwatch() as watch:
            qemb.write(path, tokens, vectors, **options)
        writing.append(watch)
        with qemb.open(path) as emb:
            out = emb.matrix()
            with Stopwatch() as watch:
                emb.matrix(out=out)
        reading.append(watch)
wall, cpu = lambda w: w.wall, lambda w: w.cpu
print(json.dumps([min(map(wall, writing)), min(map(cpu, writing)), min(map(wall, reading)), min(map(cpu, reading))]))
"""


def run(report: Report, *, widths: Sequence[int], only: Sequence[str] = (), rows: int = ROWS, repeat: int = 2) -> None:
    """Print values a second for each of qemb's methods; normal values, for speed does not depend on them.

    Parameters
    ----------
    widths : sequence of int
        Which numbers of bits a value.
    only : sequence of str
        Parts of names of methods; none means all.
    rows : int
        Rows to write, of 100 values.
    repeat : int
        Runs, of which the quickest counts.
    """
    report.heading(f"Speed, {rows:,} x {_DIM} normal values")
    found: list[Row] = []
    for method in qemb_methods():
        if "product" in method.name:
            continue  # its training is what takes the time; `quality` has it
        if method.bits not in widths or (only and not any(part in method.name for part in only)):
            continue
        for kernels in ("numba", "numpy"):
            if kernels == "numba" and find_spec("numba") is None:
                continue
            count = rows if kernels == "numba" else min(rows, _SLOW_ROWS)
            measured = _child(kernels, [count, _DIM, repeat, method.options])
            if isinstance(measured, str):
                report.note(f"- {method.name}, {method.bits} bits: {measured}")
                break
            rates = [count * _DIM / 1e6 / max(seconds, 1e-9) for seconds in measured]
            names = ("encode", "encode_cpu", "decode", "decode_cpu")
            found.append(
                {"method": method.name, "bits": method.bits, "kernels": kernels} | dict(zip(names, rates, strict=True))
            )
    if find_spec("numba") is None:
        report.note('- numba: not run; pip install "qemb-format[numba]"')
    report.note("")
    report.table("encode", _COLUMNS, found)


def _child(kernels: str, what: list[Any]) -> list[float] | str:
    environment = os.environ | {"QEMB_JIT": "1" if kernels == "numba" else "0"}
    result = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", _CODE, json.dumps(what)], capture_output=True, text=True, check=False, env=environment
    )
    if result.returncode:
        return result.stderr.strip().splitlines()[-1]
    seconds: list[float] = json.loads(result.stdout)
    return seconds
