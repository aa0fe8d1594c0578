"""Charts as SVG, without a dependency: in a page its style sheet colours them, alone they bring one of their own."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qemb_tools.pictures.chart import DARK, LIGHT, Chart, Series, escape, number, round_ticks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WIDTH, HEIGHT = 420, 290
_LEFT, _RIGHT, _BOTTOM, _TOP = 70, 14, 44, 30
_LEGEND_LINE = 16
_LETTER = 6.7  # mean width of a letter at 12 px
_DASHES = ("", "6 3", "2 3", "8 3 2 3", "4 2", "1 2")
_FEW = 10
"""Bars that are categories, and stand apart."""
_FONT = "system-ui, -apple-system, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"


def style(*, dark: bool = False) -> str:
    """Rules for the classes that charts use; on light ground, or on dark."""
    ink, soft, grid, ground = (
        ("#f0f0f0", "#b4b8be", "#3a3f46", "#16181c") if dark else ("#1a1a1a", "#55595f", "#e0e2e5", "#ffffff")
    )
    rules = [
        f".chart text {{ font-family: {_FONT}; font-size: 12px; fill: {soft}; stroke: none }}",
        f".chart .title {{ font-size: 13px; font-weight: 600; fill: {ink} }}",
        f".chart .ground {{ fill: {ground} }}",
        f".chart .grid {{ stroke: {grid}; fill: none }}",
        f".chart .axis {{ stroke: {soft}; fill: none }}",
        f".chart .word {{ fill: {ink}; stroke: {ground}; stroke-width: 3px; paint-order: stroke }}",
        ".chart .line { fill: none; stroke-width: 2px }",
        ".chart .mark { stroke-width: 2px }",
        ".chart .bar { stroke-width: 0.5px }",
    ]
    for i, colour in enumerate(DARK if dark else LIGHT):
        rules += [f".chart .c{i} {{ stroke: {colour}; fill: {colour} }}", f".chart .line.c{i} {{ fill: none }}"]
        rules.append(f".chart .bar.c{i} {{ stroke: {ground} }}")
        rules.append(f".chart .mark.c{i} {{ stroke: {ink} }}")
    return "\n".join(rules)


def draw(chart: Chart, identity: str) -> str:
    """A chart as an ``svg`` element; ``identity`` is unique in its document."""
    return "\n".join(_Drawing(chart, identity).lines())


def document(charts: Sequence[Chart], columns: int = 2) -> str:
    """Charts beside and below each other as one SVG file, on light ground: it is for papers."""
    columns = min(columns, len(charts))
    rows = -(-len(charts) // columns)
    places = [(i % columns * WIDTH, i // columns * HEIGHT) for i in range(len(charts))]
    inside = [
        f'<g transform="translate({x} {y})">\n{draw(chart, f"chart{i}")}\n</g>'
        for i, ((x, y), chart) in enumerate(zip(places, charts, strict=True))
    ]
    return alone("\n".join(inside), columns * WIDTH, rows * HEIGHT)


def alone(inside: str, width: int, height: int) -> str:
    """An SVG file around some markup, with its own style sheet."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">\n<style>\n{style()}\n</style>\n'
        f'<rect class="ground" width="{width}" height="{height}"/>\n{inside}\n</svg>\n'
    )


def shape(kind: int, x: float, y: float, size: float, classes: str, note: str = "") -> str:
    """A point: a circle, square, triangle, diamond, or one of those hollow, by the number of its series."""
    title = f"<title>{escape(note)}</title>" if note else ""
    body = {
        0: f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size:.1f}"',
        1: f'<rect x="{x - size:.1f}" y="{y - size:.1f}" width="{2 * size:.1f}" height="{2 * size:.1f}"',
        2: f'<path d="M{x:.1f} {y - 1.3 * size:.1f}l{1.2 * size:.1f} {2.2 * size:.1f}h{-2.4 * size:.1f}z"',
        3: f'<path d="M{x:.1f} {y - 1.4 * size:.1f}l{1.4 * size:.1f} {1.4 * size:.1f}l{-1.4 * size:.1f} '
        f'{1.4 * size:.1f}l{-1.4 * size:.1f} {-1.4 * size:.1f}z"',
    }[kind % 4]
    return f'{body} class="{classes}">{title}</{body[1:].split()[0]}>'


class _Drawing:
    """One chart, from its figures to places on the sheet."""

    def __init__(self, chart: Chart, identity: str) -> None:
        self._chart = chart
        self._identity = identity
        self._x0, self._x1 = map(self._along, chart.x_span())
        self._y0, self._y1 = chart.y_span()
        self._legend = list(_wrap([s.name for s in chart.series], WIDTH - _LEFT - _RIGHT))
        lines = 1 + max((line for line, _, _ in self._legend), default=-1)
        self._top = _TOP + lines * _LEGEND_LINE

    def _along(self, x: float) -> float:
        return math.log2(x) if self._chart.x_log else x

    def _x(self, x: float) -> float:
        share = (self._along(x) - self._x0) / (self._x1 - self._x0)
        return _LEFT + share * (WIDTH - _LEFT - _RIGHT)

    def _y(self, y: float) -> float:
        share = (y - self._y0) / (self._y1 - self._y0)
        return HEIGHT - _BOTTOM - share * (HEIGHT - _BOTTOM - self._top)

    def lines(self) -> Iterator[str]:
        """The markup, a line an element."""
        chart, name = self._chart, self._identity
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
            f'height="{HEIGHT}" role="img" aria-labelledby="{name}-title {name}-text">'
        )
        yield f'<title id="{name}-title">{escape(chart.title)}</title>'
        yield f'<desc id="{name}-text">{escape(chart.description)}</desc>'
        yield f'<text class="title" x="{_LEFT}" y="18">{escape(chart.title)}</text>'
        yield from self._axes()
        for i, (line, x, label) in zip(_named(chart.series), self._legend, strict=True):
            y = _TOP + line * _LEGEND_LINE + 6
            yield shape(i, _LEFT + x + 5, y, 4, f"c{i}")
            yield f'<text x="{_LEFT + x + 14}" y="{y + 4}">{escape(label)}</text>'
        for i, series in enumerate(chart.series):
            yield from self._series(i, series)
        yield "</svg>"

    def _axes(self) -> Iterator[str]:
        chart = self._chart
        bottom, right = HEIGHT - _BOTTOM, WIDTH - _RIGHT
        for value, label in round_ticks(self._y0, self._y1):
            y = self._y(value)
            yield f'<path class="grid" d="M{_LEFT} {y:.1f}H{right}"/>'
            yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(label)}</text>'
        low, high = chart.x_span()
        for value, label in chart.x_ticks or round_ticks(low, high):
            if not low <= value <= high:
                continue
            x = self._x(value)
            yield f'<path class="axis" d="M{x:.1f} {bottom}v4"/>'
            yield f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{escape(label)}</text>'
        yield f'<path class="axis" d="M{_LEFT} {bottom}H{right}"/>'
        middle = (self._top + bottom) / 2
        yield f'<text x="{(_LEFT + right) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(chart.x_label)}</text>'
        yield (
            f'<text transform="translate(11 {middle:.1f}) rotate(-90)" text-anchor="middle">'
            f"{escape(chart.y_label)}</text>"
        )

    def _series(self, i: int, series: Series) -> Iterator[str]:
        colour = f"c{i % len(LIGHT)}"
        if series.kind == "bars":
            yield from self._bars(series, colour)
            return
        points = [(self._x(x), self._y(y)) for x, y in zip(series.x, series.y, strict=True)]
        if series.kind == "line" and points:
            way = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
            dashes = f' stroke-dasharray="{_DASHES[i % len(_DASHES)]}"' if i % len(_DASHES) else ""
            yield f'<path class="line {colour}"{dashes} d="M{way}"/>'
        mark = series.kind == "mark"
        size = 6.5 if mark else 3.2
        for place, note in zip(points, self._notes(series), strict=True):
            yield shape(i, *place, size, f"mark {colour}" if mark else colour, note)

    def _bars(self, series: Series, colour: str) -> Iterator[str]:
        floor = self._y(max(self._y0, 0.0))
        gap = 6.0 if len(series.y) <= _FEW else 0.0
        for low, high, y, note in zip(series.x, series.x[1:], series.y, self._notes(series), strict=False):
            left, right, top = self._x(low) + gap, self._x(high) - gap, self._y(y)
            yield (
                f'<rect class="bar {colour}" x="{left:.1f}" y="{top:.1f}" width="{max(right - left, 0.5):.1f}" '
                f'height="{max(floor - top, 0):.1f}"><title>{escape(note)}</title></rect>'
            )

    def _notes(self, series: Series) -> list[str]:
        if series.notes:
            return list(series.notes)
        said = f"{series.name}: " if series.name else ""
        return [f"{said}{number(x)}, {number(y)}" for x, y in zip(series.x, series.y, strict=False)]


def _named(series: Sequence[Series]) -> list[int]:
    return [i for i, one in enumerate(series) if one.name]


def _wrap(names: Sequence[str], width: float) -> Iterator[tuple[int, float, str]]:
    """The line and the place in it of each name of a legend."""
    line, x = 0, 0.0
    for name in names:
        if not name:
            continue
        needs = 28 + len(name) * _LETTER
        if x and x + needs > width:
            line, x = line + 1, 0.0
        yield line, x, name
        x += needs
