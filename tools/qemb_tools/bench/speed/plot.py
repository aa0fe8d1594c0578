"""The figures of `scale` as an SVG that is read on light and on dark ground."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from qemb_tools.bench.speed import scale
from qemb_tools.interface import UsageError, missing_extra

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from qemb_tools.bench.report import Row

_GREY = "#808080"
_COLOURS = ("#d1495b", "#2e86ab", "#3f9c6b", "#b0731f", "#8a6bbf", "#6b7f8c")
"""Of middling lightness: 3 to 1 and more against white and against black."""


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draw seconds over rows, both in powers of ten, each line named at its end.

    Raises
    ------
    UsageError
        matplotlib is not installed, or there is nothing to draw.
    """
    found = [row for row in rows if row["part"] == "scale"]
    if not found:
        raise UsageError("the plot shows the figures of scale, which were not measured; run: qemb bench scale")
    if find_spec("matplotlib") is None:
        raise missing_extra("matplotlib", "plots")
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    style: Any = {"svg.hashsalt": "qemb", "font.size": 10, "text.color": _GREY, "axes.edgecolor": _GREY,
             "axes.labelcolor": _GREY, "xtick.color": _GREY, "ytick.color": _GREY}  # fmt: skip
    with mpl.rc_context(style):
        figure, axes = plt.subplots(figsize=(7.5, 4.5))
        sizes = sorted({row["rows"] for row in found})
        ends = []
        for colour, what in zip(_COLOURS, scale.WHATS, strict=True):
            points = sorted((row["rows"], row["median"]) for row in found if row["what"] == what)
            axes.plot(*zip(*points, strict=True), color=colour, marker="o", markersize=4, linewidth=1.8)
            ends.append((points[-1][1], what, colour))
        for place, (_, what, colour) in zip(_apart([end[0] for end in sorted(ends)]), sorted(ends), strict=True):
            axes.annotate(what, (sizes[-1], place), (8, 0), textcoords="offset points", color=colour, va="center")
        axes.set(xscale="log", yscale="log", xlabel="rows", ylabel="seconds")
        axes.set_title("8 bits, two threads", loc="left", fontsize=10)
        axes.grid(color=_GREY, alpha=0.25, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, format="svg", transparent=True, bbox_inches="tight", metadata={"Date": None})
        plt.close(figure)


def _apart(places: Sequence[float]) -> list[float]:
    """Heights of labels, ascending, moved up where two would stand on each other."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] * 1.6) if moved else place)
    return moved
