"""Time and memory of KeyedVectors over a file, beside gensim's own of the same words."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qemb_tools import convert
from qemb_tools.bench.data import MissingTableError

if TYPE_CHECKING:
    from qemb_tools.bench.data import Places
    from qemb_tools.bench.report import Report, Row

_SEARCHES = 5
_SCHEMES: dict[str, dict[str, Any]] = {
    "qemb, exact": {"scheme": "exact"},
    "qemb, 8 bits": {"bits": 8},
    "qemb, 4 bits": {"bits": 4},
}

_CODE = f"""
import json, sys, time
import gensim.models, qemb_tools.gensim
def anonymous():
    lines = open("/proc/self/smaps_rollup").read().splitlines()[1:]
    return sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) * 1024
def timed(function, *arguments):
    start = time.process_time()
    result = function(*arguments)
    return result, time.process_time() - start
path, mmap, decoded = sys.argv[1:]
before = anonymous()
vectors, opening = timed(qemb_tools.gensim.KeyedVectors.load, path, mmap or None)
_, lookup = timed(vectors.get_vector, 0)
if decoded:
    vectors.vectors
word = vectors.index_to_key[min(100, len(vectors) - 1)]
_, first = timed(vectors.most_similar, word)
searches = [timed(vectors.most_similar, word)[1] for _ in range({_SEARCHES})]
seconds = {{"opening": opening + lookup, "first": first, "search": min(searches)}}
print(json.dumps({{name: 1e3 * value for name, value in seconds.items()}} | {{"memory": (anonymous() - before) / 1e6}}))
"""


def run(places: Places, report: Report) -> None:
    """Print what opening, a first and further searches take, in CPU time, and the memory after them."""
    try:
        text = places.glove_text()
    except MissingTableError as missing:
        report.note(f"- {missing}")
        return
    if not Path("/proc/self/smaps_rollup").exists():
        report.note("- keyedvectors: not run; memory is read from /proc/self/smaps_rollup, which Linux has")
        return
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder, "gensim.kv")
        from gensim.models import KeyedVectors

        KeyedVectors.load_word2vec_format(text, no_header=True).save(str(saved))
        rows: list[Row] = []
        path = Path(folder, "glove.qemb")
        for name, options in _SCHEMES.items():
            convert(text, path, source_format="glove", **options)
            rows.append({"name": name, **_child(path)})
        rows += [
            {"name": "qemb, 4 bits, after `vectors`", **_child(path, decoded="yes")},
            {"name": "gensim, loaded", **_child(saved)},
            {"name": "gensim, its matrix mapped", **_child(saved, mmap="r")},
        ]
    report.heading(f"KeyedVectors of {text.name}")
    report.table("keyedvectors", [
        ("name", "", ""),
        ("opening", "open + first vector, ms", ".1f"),
        ("first", "first most_similar, ms", ".0f"),
        ("search", "further ones, ms", ".0f"),
        ("memory", "memory, MB", ".1f"),
    ], rows)  # fmt: skip
    report.note(
        "\nCPU time of all cores. Memory is what the process has beyond the imports, pages of files not counted."
    )


def _child(path: Path, mmap: str = "", decoded: str = "") -> dict[str, float]:
    command = [sys.executable, "-c", _CODE, str(path), mmap, decoded]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - our own code
    measured: dict[str, float] = json.loads(result.stdout)
    return measured
