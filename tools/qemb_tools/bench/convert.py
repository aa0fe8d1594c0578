"""GloVe text and gensim models to ``.qemb`` beside gensim reading the same text, each in a process of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import qemb
from qemb_tools.bench.speed import fresh
from qemb_tools.bench.speed.files import KINDS
from qemb_tools.bench.speed.process import THREADS

if TYPE_CHECKING:
    from qemb_tools.bench.report import Report, Row
    from qemb_tools.bench.speed.files import Workspace

_ROUNDS = {"warm": 3, "cold": 1}
TEXT_8, TEXT_EXACT, TEXT_4 = "qemb, text to 8 bits", "qemb, text to exact", "qemb, text to 4 bits"
NATIVE_8 = "qemb, gensim native to 8 bits"
GENSIM = "gensim, reading the text"
ARROW = "pyarrow.csv, reading the text"
_QEMB = "from qemb_tools import convert"
_CONVERT = "convert(path, word, {}); result = None"
_GENSIM = "KeyedVectors.load_word2vec_format(path, no_header=True); result = None"
_ARROW = (
    "csv.read_csv(path, csv.ReadOptions(autogenerate_column_names=True), "
    "csv.ParseOptions(delimiter=' ', quote_char=False)); result = None"
)
_SIDES = {
    TEXT_8: ("", _QEMB, _CONVERT.format("source_format='glove', bits=8")),
    TEXT_EXACT: ("", _QEMB, _CONVERT.format("source_format='glove', scheme='exact'")),
    TEXT_4: ("", _QEMB, _CONVERT.format("source_format='glove', bits=4")),
    NATIVE_8: ("gensim", _QEMB, _CONVERT.format("source_format='gensim', bits=8")),
    GENSIM: ("gensim", KINDS["word2vec"].imports, _GENSIM),
    ARROW: ("pyarrow", "from pyarrow import csv", _ARROW),
}


def measure(workspace: Workspace, report: Report) -> list[Row]:
    """Seconds after the imports, and the most memory that the process had."""
    name = workspace.main
    text = workspace.text()
    target = workspace.folder / "converted.qemb"
    steps = {}
    for side, (package, imports, code) in _SIDES.items():
        if workspace.wants(side, package, report):
            path = workspace.file(name, "native") if side == NATIVE_8 else text
            steps[side] = fresh.Steps(path, str(target), (imports, code))
    rows: list[Row] = []
    for state, rounds in _ROUNDS.items():
        for threads in reversed(THREADS) if state == "warm" else THREADS[-1:]:
            # what is not ours has one thread only, or is there for the time of the best
            chosen = {s: step for s, step in steps.items() if threads == THREADS[-1] or s.startswith("qemb")}
            report.progress(f"convert: {state}, threads: {threads}")
            found = fresh.take_turns(chosen, rounds=workspace.turns(rounds), threads=threads, cold=state == "cold")
            for side, (*_, done) in found.items():
                done.pop("result")
                rows.append({"part": "convert", "table": name, "side": side, "what": "convert", "state": state,
                             "threads": threads, "text": text.stat().st_size, **done})  # fmt: skip
                if side == TEXT_8:
                    rows[-1] |= _sizes(workspace)
    return rows


def _sizes(workspace: Workspace) -> Row:
    """Bytes of the 8-bit file, and of its words and index."""
    path = workspace.file(workspace.main, "8")
    with qemb.open(path) as emb:
        sections = emb.info.sections
        return {"size": emb.info.file_size, "words": sum(sections.get(kind, 0) for kind in ("TOKO", "TOKB", "INDX"))}
