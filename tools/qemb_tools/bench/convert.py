"""GloVe text to an 8-bit ``.qemb`` file beside gensim reading the same text, each in a process of its own."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qemb
from qemb_tools.bench.data import MissingTableError

if TYPE_CHECKING:
    from qemb_tools.bench.data import Places
    from qemb_tools.bench.report import Report

_BITS = 8

# Peak memory is that of the whole process, imports included. On macOS ru_maxrss is bytes, elsewhere kibibytes.
_END = """
import json, resource, sys
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps({"seconds": seconds, "peak": peak}))
"""
_CONVERT = f"""
import sys, time
from qemb_tools import convert
start = time.perf_counter()
convert(sys.argv[1], sys.argv[2], source_format="glove", bits={_BITS})
seconds = time.perf_counter() - start
{_END}"""
_GENSIM = f"""
import sys, time
from gensim.models import KeyedVectors
start = time.perf_counter()
KeyedVectors.load_word2vec_format(sys.argv[1], no_header=True)
seconds = time.perf_counter() - start
{_END}"""
_OPEN = f"""
import sys, time
import qemb
start = time.perf_counter()
qemb.open(sys.argv[1])[sys.argv[2]]
seconds = time.perf_counter() - start
{_END}"""


def run(places: Places, report: Report, *, repeat: int = 2) -> None:
    """Print time, memory and size of both; the two take turns, and the quickest run of each counts."""
    try:
        text = places.glove_text()
    except MissingTableError as missing:
        report.note(f"- {missing}")
        return
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "glove.qemb")
        ours, theirs = [], []
        for _ in range(repeat):
            ours.append(_child(_CONVERT, text, target))
            theirs.append(_child(_GENSIM, text))
        with qemb.open(target) as emb:
            word = "king" if "king" in emb else emb.tokens[len(emb) // 2]
            rows, dim = len(emb), emb.dim
            size = emb.info.file_size
            vocabulary = sum(emb.info.sections.get(kind, 0) for kind in ("TOKO", "TOKB", "INDX"))
        openings = [_child(_OPEN, target, word)["seconds"] for _ in range(2 * repeat + 1)]
    report.heading(f"Converting {text.name}, {rows:,} x {dim}, {text.stat().st_size / 1e6:,.0f} MB of text")
    columns = [
        ("name", "", ""),
        ("seconds", "seconds", ".2f"),
        ("peak", "peak memory, MB", ",.0f"),
        ("size", "file, MB", ".1f"),
        ("vectors", "without words and index, MB", ".1f"),
        ("opening", "open + first lookup, ms", ".2f"),
    ]
    best, other = min(r["seconds"] for r in ours), min(r["seconds"] for r in theirs)
    report.table("convert", columns, [
        {
            "name": f"qemb convert --bits {_BITS}", "seconds": best, "peak": max(r["peak"] for r in ours) / 1e6,
            "size": size / 1e6, "vectors": (size - vocabulary) / 1e6, "opening": statistics.median(openings) * 1e3,
            "ratio": best / other,
        },
        {
            "name": "gensim load_word2vec_format", "seconds": other, "peak": max(r["peak"] for r in theirs) / 1e6,
        },
    ])  # fmt: skip
    report.note(f"\nqemb takes {best / other:.3f} of gensim's time (the better of {repeat} runs each, taking turns).")


def _child(code: str, *arguments: object) -> dict[str, Any]:
    result = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    if result.returncode:
        raise RuntimeError(result.stderr.strip().splitlines()[-1] if result.stderr.strip() else "a process failed")
    measured: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return measured
