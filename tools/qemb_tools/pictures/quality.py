"""Charts of size against quality, for a sweep, and of one file among others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qemb_tools.pictures.chart import Chart, Series, escape
from qemb_tools.pictures.page import charts, page, table
from qemb_tools.sweep import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qemb_tools.sweep import Point, Sweep

_TICKS = [(bits, str(bits)) for bits in (1, 2, 4, 8, 16, 32)]


def size_against(
    points: Sequence[Point], figure: str, label: str, *, sample: int, file: Sequence[Series] = ()
) -> Chart:
    """Bits a value, in powers of two, against a figure of the points; ``file`` is drawn over them."""
    series = [
        Series(
            name,
            [p.bits_a_value for p in family],
            [getattr(p, figure) for p in family],
            "points" if len(family) == 1 or name == "ggml, NF4" else "line",
            [f"{p.name}: {p.bits_a_value:.2f} bits, {label} {getattr(p, figure):.4f}" for p in family],
        )
        for name, family in _families(points).items()
    ]
    low = min((y for each in (*series, *file) for y in each.y), default=0.0)
    return Chart(
        f"Size against {label}",
        f"{label} for {len(points)} ways to store {sample:,} rows, from {_reach(points)} bits a value; up and to the "
        "left is better.",
        "bits a value",
        label,
        [*series, *file],
        x_log=True,
        x_ticks=_TICKS,
        y_range=(min(low, 0.999) - (1 - low) * 0.05, 1 + (1 - low) * 0.05 + 1e-6),
    )


def _families(points: Sequence[Point]) -> dict[str, list[Point]]:
    families: dict[str, list[Point]] = {}
    for point in points:
        families.setdefault(point.family, []).append(point)
    # exact is one point among many: last, so that its colour does not shift those of the lines
    return dict(sorted(families.items(), key=lambda item: item[0] == "exact"))


def _reach(points: Sequence[Point]) -> str:
    bits = [point.bits_a_value for point in points]
    return f"{min(bits):.2f} to {max(bits):.2f}" if bits else "no"


def sweep_page(found: Sweep, path: str) -> str:
    """The page of `qemb sweep --html`."""
    name = Path(path).name
    cells = [[getattr(point, key) for key, _, _ in COLUMNS] for point in found.points]
    _, titles, forms = zip(*COLUMNS, strict=True)
    notes = "".join(f"<p>{escape(note)}.</p>" for note in found.notes)
    body = (
        f"<h1>Ways to store {escape(name)}</h1>\n<p><strong>{escape(found.recommendation)}</strong></p>\n"
        f"<p>Measured on {found.sample:,} of {found.rows:,} rows of {found.dim} values, at even distances; recall of "
        f"{found.queries:,} of them, both sides of a cosine as stored. Among fewer rows neighbours are farther apart: "
        f"recall of the whole table differs a little, the order of the methods hardly.</p>\n{notes}"
        f"{charts(sweep_charts(found))}\n<h2>All figures</h2>\n"
        f'<div class="scroll" tabindex="0">{table(titles, cells, forms)}</div>'
    )
    return page(f"Ways to store {name}", body)


def sweep_charts(found: Sweep) -> list[Chart]:
    """Size against recall, and against cosine."""
    return [
        size_against(found.points, "recall", "recall@10", sample=found.sample),
        size_against(found.points, "cosine", "mean cosine", sample=found.sample),
    ]
