"""Relative error and recall of cosine neighbours, qemb beside others, at 8 to 1 bits."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from qemb_tools.bench import recall
from qemb_tools.bench.data import MissingTableError
from qemb_tools.bench.methods import Method, NotAvailableError, Stored, qemb_methods
from qemb_tools.bench.peers import peer_methods

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from qemb_tools.bench.data import Places, Table
    from qemb_tools.bench.report import Report, Row

TABLES = ("glove", "glove6b", "minilm", "minilm-outliers")
WIDTHS = (8, 6, 4, 3, 2, 1)
K = 10

_COLUMNS = [
    ("method", "method", ""),
    ("bits_a_value", "bits a value", ".2f"),
    ("error", "error", ".4f"),
    ("recall", f"recall@{K}", ".3f"),
    ("recall_float", "from float32 queries", ".3f"),
    ("seconds", "seconds", ".1f"),
]


@dataclass(frozen=True)
class Truth:
    """A table's true neighbours: ``queries`` are row numbers, ``near`` their neighbours, shape (queries, K)."""

    vectors: NDArray[np.float32]
    unit: NDArray[np.float32]
    queries: NDArray[np.int64]
    near: NDArray[np.int64]

    @classmethod
    def of(cls, vectors: NDArray[np.float32], queries: int, seed: int) -> Truth:
        """Draw queries and find their neighbours in the float32 table."""
        unit = recall.unit(vectors)
        chosen = np.random.default_rng(seed).permutation(len(vectors))[:queries]
        return cls(vectors, unit, chosen, recall.nearest(unit, unit[chosen], chosen, K))


def run(
    places: Places,
    report: Report,
    *,
    tables: Sequence[str] = TABLES,
    widths: Sequence[int] = WIDTHS,
    only: Sequence[str] = (),
    rows: int = 100_000,
    queries: int = 2048,
    seed: int = 0,
) -> None:
    """Measure every method on every table that is there.

    Parameters
    ----------
    tables, widths : sequences
        Which tables, and which numbers of bits a value.
    only : sequence of str
        Parts of names of methods; none means all.
    rows : int
        Only the first so many rows of a table are looked at.
    queries, seed : int
        Recall is measured for so many rows, drawn with this seed.
    """
    methods = [m for m in qemb_methods() + peer_methods() if m.bits in widths]
    methods = [m for m in methods if not only or any(part in m.name for part in only)]
    for name in tables:
        try:
            table = places.table(name).head(rows)
        except MissingTableError as missing:
            report.note(f"- {missing}")
            continue
        report.heading(table.describe())
        truth = Truth.of(table.vectors, queries, seed)
        report.note(
            f"{len(truth.queries):,} queries drawn with seed {seed}. recall@{K}: both sides of a cosine as stored, as "
            "in `nearest(word)`; then queries in float32."
        )
        for bits in widths:
            measure_width(table, truth, [m for m in methods if m.bits == bits], report)


def measure_width(table: Table, truth: Truth, methods: Sequence[Method], report: Report) -> None:
    """Print the table of one width; methods that cannot run get a line that says why."""
    found: list[Row] = []
    for method in methods:
        if method.package and find_spec(method.package) is None:
            report.note(f'- {method.name}: not run; pip install "qemb-format[bench]"')
            continue
        report.progress(f"{table.title}, {method.bits} bits: {method.name}")
        try:
            stored = method.store(table.vectors)
        except NotAvailableError as reason:
            report.note(f"- {method.name}, {method.bits} bits: {reason}")
            continue
        found.append({"table": table.name, "method": method.name, "bits": method.bits} | measure(truth, stored))
    if found:
        report.note(f"\n**{methods[0].bits} bits**\n")
        report.table("quality", _COLUMNS, found)


def measure(truth: Truth, stored: Stored) -> dict[str, Any]:
    """Error and recall of a stored table."""
    figures: dict[str, Any] = {"bits_a_value": stored.bits, "seconds": stored.seconds}
    queries = truth.unit[truth.queries]
    if stored.decoded is not None:
        decoded = recall.unit(stored.decoded)
        as_stored = recall.nearest(decoded, decoded[truth.queries], truth.queries, K)
        near = recall.nearest(decoded, queries, truth.queries, K)
        figures["error"] = recall.relative_error(truth.vectors, stored.decoded)
        figures["cosine"] = float(np.mean(recall.cosines(truth.unit, decoded)))
        figures["recall"] = recall.overlap(truth.near, as_stored)
    else:
        near = _search(stored, queries, truth.queries)
    figures["recall_float"] = recall.overlap(truth.near, near)
    return figures


def _search(stored: Stored, queries: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Neighbours by a method's own search, the query itself left out."""
    if stored.search is None:
        raise AssertionError("a method gives decoded rows or a search")
    return recall.without(np.asarray(stored.search(queries, K + 1)), rows)
