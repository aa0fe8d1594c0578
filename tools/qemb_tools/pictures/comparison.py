"""What `qemb compare` found, as charts and as a page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qemb_tools.bench.methods import Stored
from qemb_tools.bench.quality import K, Truth, measure
from qemb_tools.pictures.chart import Chart, Series, escape, number
from qemb_tools.pictures.page import charts, facts, page, table
from qemb_tools.pictures.quality import size_against
from qemb_tools.sweep import Point, methods, try_methods

if TYPE_CHECKING:
    from qemb_tools.compare import Comparison, Histogram, Pair

_CURVE_ROWS = 3_000
_MOVED_FORMS = ("", ",d", ".4f", ".4f", "", "")
_CURVE_BITS = (8, 6, 4, 3, 2, 1)


@dataclass(frozen=True)
class Curve:
    """Size against quality on a sample of A's rows: what qemb does at each width, and where B stands.

    Attributes
    ----------
    sample : int
        Rows tried: among fewer rows neighbours are farther apart, so that recall is not that of the whole table.
    points : list of Point
        qemb's own.
    bits, recall, cosine : float
        B's, on the same rows.
    """

    sample: int
    points: list[Point]
    bits: float
    recall: float
    cosine: float


def measure_curve(pair: Pair, *, show_progress: bool = False) -> Curve | None:
    """Try widths on rows from all over A. None where there are too few rows, or B's bits a value are not known."""
    rows = np.linspace(0, len(pair.rows) - 1, min(_CURVE_ROWS, len(pair.rows))).astype(np.int64)
    bits = pair.bits[1]
    if len(rows) <= K + 1 or bits is None or not np.isfinite(pair.a).all():
        return None
    vectors = np.ascontiguousarray(pair.a[rows])
    own = [m for m in methods(_CURVE_BITS, peers=False) if m.name in ("exact", "qemb default")]
    points, _ = try_methods(vectors, len(pair.rows), own, show_progress=show_progress)
    figures = measure(Truth.of(vectors, 1000, 0), Stored(bits, 0.0, np.ascontiguousarray(pair.b[rows])))
    return Curve(len(rows), points, bits, figures["recall"], figures["cosine"])


def comparison_charts(found: Comparison, curve: Curve | None) -> list[Chart]:
    """Histograms, recall by frequency, error by dimension, and size against quality where a curve was measured."""
    pictures = [
        _histogram("Error of words", "relative error of a word's vector", found.errors),
        _histogram("Cosine of words", "cosine of a word's two vectors", found.cosines),
        _bands(found),
        Chart(
            "Error by dimension",
            f"Relative error of each of {found.dim} columns; even where none stands out.",
            "dimension",
            "relative error",
            [Series("", [i + 0.5 for i in range(found.dim + 1)], found.dimension_errors, "bars")],
        ),
    ]
    if curve is not None:
        name = Path(found.b).name
        for figure, label, value in (
            ("recall", "recall@10", curve.recall),
            ("cosine", "mean cosine", curve.cosine),
        ):
            mark = Series(name, [curve.bits], [value], "mark", [f"{name}: {curve.bits:.2f} bits, {value:.4f}"])
            pictures.append(size_against(curve.points, figure, label, sample=curve.sample, file=[mark]))
    return pictures


def _histogram(title: str, label: str, histogram: Histogram) -> Chart:
    total = sum(histogram.counts)
    return Chart(
        title,
        f"How many of {total:,} words have which {label}, from {number(histogram.edges[0])} to "
        f"{number(histogram.edges[-1])}; the few beyond are counted at the edges.",
        label,
        "words",
        [Series("", histogram.edges, [float(count) for count in histogram.counts], "bars")],
    )


def _bands(found: Comparison) -> Chart:
    middles = [i + 0.5 for i in range(len(found.bands))]
    labels = [f"{_short(band.first)}–{_short(band.last)}" for band in found.bands]
    return Chart(
        "Recall by frequency",
        f"Share of the {found.k} nearest words found again, by the row of the word in A: frequent words come first.",
        "row in A, frequent words first",
        f"recall@{found.k}",
        [
            Series(
                "",
                [float(i) for i in range(len(found.bands) + 1)],
                [band.recall for band in found.bands],
                "bars",
                [f"rows {b.first:,} to {b.last:,}: {b.recall:.3f} of {b.queries:,} queries" for b in found.bands],
            )
        ],
        x_ticks=list(zip(middles, labels, strict=True)),
        y_range=(0.0, 1.0),
    )


def _short(row: int) -> str:
    """A row number in little room: 1, 101, 10k, 1M."""
    for unit, sign in ((1_000_000, "M"), (1_000, "k")):
        if row >= unit:
            return f"{row // unit}{sign}"
    return str(row)


def comparison_page(found: Comparison, curve: Curve | None) -> str:
    """The page of `qemb compare --html`."""
    a, b = Path(found.a).name, Path(found.b).name
    cards = [
        ("relative error", f"{found.relative_error:.4f}", "of all values"),
        ("mean cosine", f"{found.mean_cosine:.4f}", "of a word's two vectors"),
        (f"recall@{found.k}", f"{found.recall:.3f}", f"of {found.queries:,} words"),
        ("rank correlation", f"{found.rank_correlation:.4f}", f"of {found.pairs:,} cosines"),
        ("size of A", _size(found.size_a), _bits(found.bits_a)),
        ("size of B", _size(found.size_b), _bits(found.bits_b)),
    ]
    said = (
        f"A is {escape(a)}, taken as the truth; B is {escape(b)}. {found.shared:,} of the first {found.rows_a:,} words "
        f"of A are in both, with {found.dim} values each. Recall is of {found.queries:,} words drawn at random, the "
        f"rank correlation (Spearman) of the cosines of {found.pairs:,} pairs of words."
    )
    parts = [
        f"<h1>{escape(b)} beside {escape(a)}</h1>",
        f"<p>{said}</p>",
        facts(cards),
        charts(comparison_charts(found, curve)),
    ]
    if curve is not None:
        parts.append(
            f"<p>The curves of size are measured on {curve.sample:,} of the rows, for both sides: among fewer words, "
            "recall is not that of the whole table.</p>"
        )
    if found.sets:
        rows: list[list[str | float | None]] = [
            [s.name, s.pairs, s.pairs_in_set, s.a_with_people, s.b_with_people, s.a_with_b] for s in found.sets
        ]
        titles = ["set", "pairs found", "of", "A with people", "B with people", "A with B"]
        parts.append(f"<h2>Rank correlation on similarity sets</h2>\n{_scroll(table(titles, rows))}")
    if found.moved:
        moved: list[list[str | float | None]] = [
            [m.word, m.row, m.cosine, m.error, ", ".join(m.near_a), ", ".join(m.near_b)] for m in found.moved
        ]
        titles = ["word", "row", "cosine", "relative error", "nearest in A", "nearest in B"]
        parts.append(f"<h2>The words that moved most</h2>\n{_scroll(table(titles, moved, _MOVED_FORMS))}")
    parts.append(f"<h2>All figures</h2>\n{_scroll(table(['figure', 'value'], found.facts()))}")
    return page(f"{b} beside {a}", "\n".join(parts))


def _scroll(markup: str) -> str:
    return f'<div class="scroll" tabindex="0">{markup}</div>'


def _size(size: int) -> str:
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}"
    return f"{size} B"


def _bits(bits: float | None) -> str:
    return f"{bits:.2f} bits a value" if bits else ""
