"""Pages in one file: no script but what is passed in, nothing from elsewhere, light and dark, narrow and wide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qemb.atomic import AtomicFile
from qemb_tools.pictures import svg
from qemb_tools.pictures.chart import Chart, escape, number

if TYPE_CHECKING:
    from collections.abc import Sequence

_STYLE = """
:root { color-scheme: light dark; --ink: #1a1a1a; --soft: #55595f; --ground: #ffffff; --card: #f6f7f8; --rule: #d9dce0 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #f0f0f0; --soft: #b4b8be; --ground: #16181c; --card: #1f2227; --rule: #3a3f46 }
}
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 1360px; padding: 1rem; color: var(--ink); background: var(--ground);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif }
h1 { font-size: 1.4rem; line-height: 1.25; margin: 0.5rem 0; overflow-wrap: anywhere }
h2 { font-size: 1.1rem; margin: 1.6rem 0 0.6rem }
p { max-width: 46rem; margin: 0.5rem 0; overflow-wrap: anywhere }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: 0.6rem;
  margin: 1rem 0; padding: 0 }
.facts div { background: var(--card); border-radius: 8px; padding: 0.6rem 0.8rem }
.facts dt { color: var(--soft); font-size: 0.85rem; margin: 0 }
.facts dd { margin: 0; font-size: 1.25rem; font-weight: 600; font-variant-numeric: tabular-nums }
.facts small { display: block; color: var(--soft); font-size: 0.8rem; font-weight: 400 }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 380px), 1fr)); gap: 1.2rem 1rem }
figure { margin: 0; min-width: 0; max-width: 560px }
figure svg { display: block; width: 100%; height: auto }
.scroll { overflow-x: auto }
details .scroll { max-height: 24rem; overflow-y: auto }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums }
th, td { padding: 0.25rem 0.7rem; border-bottom: 1px solid var(--rule); text-align: right; vertical-align: top }
th { color: var(--soft); font-weight: 600 }
th { white-space: nowrap }
.text { text-align: left }
td.text { overflow-wrap: break-word; min-width: 6.5rem; max-width: 26rem }
details { margin: 0.3rem 0 0; font-size: 0.9rem }
summary { cursor: pointer; color: var(--soft) }
"""


def page(title: str, body: str, *, script: str = "", style: str = "") -> str:
    """A whole page around a body of markup.

    Parameters
    ----------
    title : str
        Plain text.
    body : str
        Markup, with whatever is not ours escaped.
    script, style : str
        Ours, put in as they are. The page forbids itself anything from elsewhere.
    """
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    if script:
        policy += "; script-src 'unsafe-inline'"
    dark = f"@media (prefers-color-scheme: dark) {{\n{svg.style(dark=True)}\n}}"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}{svg.style()}\n{dark}\n{style}</style>\n</head>\n"
        f"<body>\n{body}\n" + (f"<script>\n{script}\n</script>\n" if script else "") + "</body>\n</html>\n"
    )


def facts(cards: Sequence[tuple[str, str, str]]) -> str:
    """Figures as cards: the name of each, the figure, and what is said of it in small print."""
    cells = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)} <small>{escape(note)}</small></dd></div>"
        for name, value, note in cards
    )
    return f'<dl class="facts">{cells}</dl>'


def table(
    titles: Sequence[str], rows: Sequence[Sequence[str | float | None]], forms: Sequence[str] | None = None
) -> str:
    """A table; text stands left, figures right, each column's in its form where forms are given."""
    forms = [""] * len(titles) if forms is None else forms
    texts = [any(isinstance(row[i], str) for row in rows) for i in range(len(titles))]
    kinds = [' class="text"' if text else "" for text in texts]
    head = "".join(f'<th scope="col"{kind}>{escape(title)}</th>' for title, kind in zip(titles, kinds, strict=True))
    lines = [
        f"<tr>{''.join(f'<td{k}>{_cell(v, form)}</td>' for v, k, form in zip(row, kinds, forms, strict=True))}</tr>"
        for row in rows
    ]
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{chr(10).join(lines)}\n</tbody>\n</table>"


def _cell(value: str | float | None, form: str) -> str:
    if value is None:
        return "–"
    if isinstance(value, str):
        return escape(value)
    return format(value, form) if form else number(value)


def charts(pictures: Sequence[Chart]) -> str:
    """Charts, each with its figures in a table that can be unfolded."""
    return '<div class="charts">\n' + "\n".join(_figure(c, f"chart{i}") for i, c in enumerate(pictures)) + "\n</div>"


def _figure(chart: Chart, identity: str) -> str:
    return (
        f"<figure>\n{svg.draw(chart, identity)}\n<details><summary>{escape(chart.title)} in numbers</summary>"
        f'<div class="scroll">{_numbers(chart)}</div></details>\n</figure>'
    )


def _numbers(chart: Chart) -> str:
    rows: list[list[str | float | None]] = []
    ticks = dict(chart.x_ticks)
    for series in chart.series:
        for i, y in enumerate(series.y):
            at: str | float = series.x[i]
            if series.kind == "bars":
                middle = (series.x[i] + series.x[i + 1]) / 2
                at = ticks.get(middle, f"{number(series.x[i])} to {number(series.x[i + 1])}")
            rows.append([series.name, at, y] if len(chart.series) > 1 else [at, y])
    return table((["", chart.x_label] if len(chart.series) > 1 else [chart.x_label]) + [chart.y_label], rows)


def write(path: str, text: str) -> None:
    """Write a file of text; it appears whole or not at all."""
    with AtomicFile(path) as target:
        target.file.write(text.encode("utf-8", "backslashreplace"))
