"""The first search of a process, and the memory that it leaves behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qemb_tools.bench.speed import fresh
from qemb_tools.bench.speed.files import KINDS

if TYPE_CHECKING:
    from qemb_tools.bench.report import Report, Row
    from qemb_tools.bench.speed.files import Workspace

_ROUNDS = {"warm": 7, "cold": 3}
_QEMB = ("emb = qemb.open(path); emb[word]", "result = [w for w, _ in emb.nearest(word, k=10)]")
_GENSIM = (
    "words = KeyedVectors.load(path{}); words[word]",
    "result = [w for w, _ in words.most_similar(word, topn=10)]",
)
_LOADED = "gensim, native, loaded"


def measure(workspace: Workspace, report: Report) -> list[Row]:
    """Seconds of the first ten neighbours, after one lookup, and memory above that of a bare interpreter."""
    name = workspace.main
    table = workspace.table(name)
    word = next((token for token in (b"king", b"queen") if token in table.tokens), table.tokens[len(table.tokens) // 3])
    sides = {}
    for kind in ("8", "4", "4c", "exact"):
        if workspace.wants(KINDS[kind].title, KINDS[kind].package, report):
            sides[KINDS[kind].title] = (kind, _QEMB)
    if workspace.wants(KINDS["native"].title, KINDS["native"].package, report):
        sides[KINDS["native"].title] = ("native", (_GENSIM[0].format(", mmap='r'"), _GENSIM[1]))
        sides[_LOADED] = ("native", (_GENSIM[0].format(""), _GENSIM[1]))
    steps = {
        side: fresh.Steps(workspace.file(name, kind), word.decode(), (KINDS[kind].imports, *code))
        for side, (kind, code) in sides.items()
    }
    rows: list[Row] = []
    for state, rounds in _ROUNDS.items():
        for threads in (1, 2) if state == "warm" else (1,):
            report.progress(f"first search: {state}, threads: {threads}")
            found = fresh.take_turns(steps, rounds=workspace.turns(rounds), threads=threads, cold=state == "cold")
            for side, (bare, imported, opened, searched) in found.items():
                common = {"part": "first", "table": name, "side": side, "state": state, "threads": threads}
                rows.append({**common, "what": "opening", **opened})
                searched.pop("result")
                rows.append({**common, "what": "first search", **searched, **_above(bare, imported, searched)})
    return rows


def _above(bare: Row, imported: Row, searched: Row) -> Row:
    """Memory above the bare interpreter's, and above that after the imports."""
    if "resident" not in bare:
        return {}
    return {
        "above_bare": searched["resident"] - bare["resident"],
        "above_imports": searched["resident"] - imported["resident"],
        "anonymous_above_bare": searched["anonymous"] - bare["anonymous"],
    }
