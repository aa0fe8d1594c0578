"""What a chart shows, apart from how it is drawn: `svg` and `png` draw the same."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from html import escape as escape_html
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

LIGHT = ("#0072b2", "#d55e00", "#008a64", "#8f5a9e", "#947000", "#c2478f", "#4d7f99", "#56585c")
DARK = ("#56b4e9", "#ff8a3d", "#2fc79a", "#d9a3e3", "#e6c34a", "#ff85c8", "#9cc9dd", "#b5b8bd")
"""Colours of series that people who are colour-blind tell apart (after Okabe and Ito, 2008); shapes differ, too."""


_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@dataclass(frozen=True)
class Series:
    """Some figures of a chart.

    Attributes
    ----------
    name : str
        What the legend calls it; "" keeps it out.
    x, y : sequences of float
        As many of both; of bars, one ``x`` more than ``y``: their edges.
    kind : str
        ``line`` joins its points, ``points`` does not, ``bars`` stand on zero, ``mark`` is one large point.
    notes : sequence of str
        What is said of each point when it is pointed at; its figures where left out.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    kind: Literal["line", "points", "bars", "mark"] = "line"
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Chart:
    """A chart.

    Attributes
    ----------
    title, description : str
        What it is called, and what it shows in a sentence, for whoever cannot see it.
    x_label, y_label : str
        Names of the axes.
    series : sequence of Series
        In the order of the legend.
    x_log : bool
        Whether ``x`` is drawn by its logarithm; then ``x_ticks`` are needed.
    x_ticks : sequence of (float, str)
        Where the axis is marked, and how; round numbers where left out.
    y_range : (float, float) or None
        What the axis reaches over; the figures where left out.
    """

    title: str
    description: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    x_log: bool = False
    x_ticks: Sequence[tuple[float, str]] = ()
    y_range: tuple[float, float] | None = None

    def x_span(self) -> tuple[float, float]:
        """The least and the greatest ``x``, with some room where no bars stand at the ends."""
        low, high = _span([x for series in self.series for x in series.x])
        if self.x_log:
            return low / 1.15, high * 1.15
        room = 0.0 if any(series.kind == "bars" for series in self.series) else (high - low) * 0.04
        return low - room, high + room

    def y_span(self) -> tuple[float, float]:
        """What the vertical axis reaches over."""
        if self.y_range is not None:
            return self.y_range
        low, high = _span([y for series in self.series for y in series.y])
        if any(series.kind == "bars" for series in self.series):
            return min(low, 0.0), high * 1.05 or 1.0
        room = (high - low) * 0.06
        return low - room, high + room


def _span(values: Sequence[float]) -> tuple[float, float]:
    finite = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = min(finite), max(finite)
    # a span of nothing would have no middle
    return (low, high) if high - low > 1e-12 * max(abs(low), abs(high)) else (low - 0.5, high + 0.5)


def round_ticks(low: float, high: float, most: int = 6) -> list[tuple[float, str]]:
    """Round numbers from ``low`` to ``high``, ``most`` at most, and how they are written."""
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (factor * step) <= most)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [(i * step, f"{i * step:,.{digits}f}") for i in range(first, last + 1)]


def escape(text: str) -> str:
    """Text for HTML and for XML, which has no place for control characters: they become U+FFFD."""
    return escape_html(_CONTROL.sub("\ufffd", text))


def number(value: float) -> str:
    """A figure as tables print it: whole numbers whole, others with four significant digits."""
    if not math.isfinite(value):
        return "–"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
