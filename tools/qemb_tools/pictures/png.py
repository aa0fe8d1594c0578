"""Charts as PNG, by matplotlib (extra ``plots``)."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from qemb.atomic import AtomicFile
from qemb_tools.interface import missing_extra
from qemb_tools.pictures.chart import LIGHT, Chart

if TYPE_CHECKING:
    from collections.abc import Sequence

_MARKERS = "os^D"
_LINES = ("-", "--", ":", "-.")


def require() -> None:
    """Raise `UsageError` where matplotlib is not installed."""
    if find_spec("matplotlib") is None:
        raise missing_extra("matplotlib", "plots")


def write(path: str, charts: Sequence[Chart], columns: int = 2) -> None:
    """Draw charts beside and below each other, 200 dots an inch."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(columns, len(charts))
    rows = -(-len(charts) // columns)
    figure = Figure(figsize=(4.4 * columns, 3.2 * rows), dpi=200, layout="constrained")
    FigureCanvasAgg(figure)
    cells = figure.subplots(rows, columns, squeeze=False).flatten()
    for chart, axes in zip(charts, cells, strict=False):
        _draw(chart, axes)
    for axes in cells[len(charts) :]:
        axes.set_axis_off()
    with AtomicFile(path) as target:
        figure.savefig(target.file, format="png", metadata={"Title": charts[0].title})


def _draw(chart: Chart, axes: Any) -> None:  # noqa: ANN401 - matplotlib's
    for i, series in enumerate(chart.series):
        look: dict[str, Any] = {"color": LIGHT[i % len(LIGHT)], "label": series.name.replace("$", r"\$") or "_"}
        if series.kind == "bars":
            widths = [high - low for low, high in zip(series.x, series.x[1:], strict=False)]
            axes.bar(series.x[:-1], series.y, widths, align="edge", edgecolor="white", linewidth=0.4, **look)
            continue
        look |= {"marker": _MARKERS[i % 4], "markersize": 8 if series.kind == "mark" else 4}
        look["linestyle"] = _LINES[i % 4] if series.kind == "line" else "none"
        axes.plot(series.x, series.y, markeredgecolor="black" if series.kind == "mark" else None, **look)
    if chart.x_log:
        axes.set_xscale("log", base=2)
    axes.set(xlabel=chart.x_label, ylabel=chart.y_label, xlim=chart.x_span(), ylim=chart.y_span())
    if chart.x_ticks:
        axes.set_xticks([place for place, _ in chart.x_ticks], [label for _, label in chart.x_ticks])
        axes.minorticks_off()
    axes.set_title(chart.title, loc="left", fontsize=10, fontweight="bold")
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if any(series.name for series in chart.series):
        axes.legend(fontsize=7, frameon=False)
