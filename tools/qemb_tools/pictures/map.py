"""A map of words as SVG, PNG, or a page that can be zoomed and searched."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qemb.atomic import AtomicFile
from qemb_tools.interface import UsageError
from qemb_tools.pictures import page, png, svg
from qemb_tools.pictures.chart import LIGHT, escape

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qemb_tools.projection import Map, Place

_WIDTH, _HEIGHT = 900, 640
_MARGIN = 24
_LETTER = 7.0  # mean width of a letter at 12 px, and some air
_LINE = 13.0
KINDS = (".html", ".svg", ".png")
_STYLE = """
body { max-width: none }
#map { display: block; width: 100%;
  height: clamp(20rem, 80vw, max(20rem, 100vh - 15rem)); border: 1px solid var(--rule);
  border-radius: 8px; touch-action: none; cursor: grab }
#map:active { cursor: grabbing }
form { display: flex; flex-wrap: wrap; gap: 0.5rem; align-items: center; margin: 0.6rem 0 }
input, button { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--rule);
  border-radius: 6px; padding: 0.35rem 0.7rem }
input { flex: 0 1 16rem; min-width: 8rem }
.names .quiet { visibility: hidden }
.dots .wanted * { stroke-width: 7px; stroke-opacity: 0.45 }
.names .wanted { font-weight: 700; text-decoration: underline }
"""


def write(path: str, found: Map, name: str) -> None:
    """Write a map; the name's ending says as what.

    Raises
    ------
    UsageError
        It says nothing that is known, or PNG is wanted and matplotlib not installed.
    """
    kind = check(path)
    if kind == ".png":
        _write_png(path, found)
    else:
        page.write(path, map_svg(found) if kind == ".svg" else map_page(found, name))


def check(path: str) -> str:
    """The ending of a name that a map can be written under."""
    kind = Path(path).suffix.lower()
    if kind not in KINDS:
        raise UsageError(f"the name {path} says no kind of picture; it ends in {', '.join(KINDS)}")
    if kind == ".png":
        png.require()
    return kind


def map_svg(found: Map) -> str:
    """A map as an SVG file, on light ground; words that would stand on others are left out, their points are not."""
    spots = _fit(found.places)
    shown = [free or place.asked for place, free in zip(found.places, _free(found.places, spots), strict=True)]
    inside = f"<title>{escape(_title(found))}</title>\n{_layers(found, spots, shown)}"
    return svg.alone(inside, _WIDTH, _HEIGHT)


def map_page(found: Map, name: str) -> str:
    """A page around a map: wheel, buttons and dragging move it, a field finds words."""
    spots = _fit(found.places)
    rows: list[list[str | float | None]] = [
        [place.word, place.x, place.y, *_group(found, place)] for place in found.places
    ]
    titles = ["word", "x", "y"] + (["nearest to"] if found.groups else [])
    body = (
        f"<h1>{escape(_title(found))}, of {escape(name)}</h1>\n"
        f"<p>{len(found.places):,} words, by {escape(found.how)}. Words that would stand on others show "
        "when you zoom in.</p>\n"
        '<form id="find"><input id="search" type="search" placeholder="find a word" aria-label="find a word">'
        '<button>find</button><button type="button" id="closer" aria-label="zoom in">+</button>'
        '<button type="button" id="farther" aria-label="zoom out">−</button>'
        '<button type="button" id="whole">all</button><span id="found" aria-live="polite"></span></form>\n'
        f'<svg id="map" class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-labelledby="map-title">\n'
        f'<title id="map-title">{escape(_title(found))}</title>\n{_layers(found, spots, [True] * len(spots))}\n</svg>\n'
        '<details><summary>All words in a table</summary><div class="scroll">'
        f"{page.table(titles, rows)}</div></details>"
    )
    script = files("qemb_tools.pictures").joinpath("map.js").read_text(encoding="utf-8")
    return page.page(f"{_title(found)}, of {name}", body, script=script, style=_STYLE)


def _title(found: Map) -> str:
    if not found.groups:
        return f"The first {len(found.places):,} words"
    return f"Words near {', '.join(found.groups)}"


def _group(found: Map, place: Place) -> list[str]:
    return [found.groups[place.group]] if found.groups else []


def _layers(found: Map, spots: Sequence[tuple[float, float]], shown: Sequence[bool]) -> str:
    """Points, and their words above them; those asked for come first in both, and may keep their word."""
    dots, names = [], []
    for place, (x, y), written in zip(found.places, spots, shown, strict=True):
        at = f'transform="translate({x:.1f} {y:.1f})"'
        kind = max(place.group, 0)
        dot = svg.shape(kind, 0, 0, 6 if place.asked else 3.5, f"c{kind % len(LIGHT)}", place.word)
        dots.append(f'<g data-x="{place.x:.6g}" data-y="{place.y:.6g}" {at}>{dot}</g>')
        if written:
            weight = ' font-weight="700"' if place.asked else ""
            names.append(f'<text class="word" dx="9" dy="4" {at}{weight}>{escape(place.word)}</text>')
    lines = ['<g class="dots">', *dots, '</g>\n<g class="names">', *names, "</g>"]
    return "\n".join(lines)


def _fit(places: Sequence[Place]) -> list[tuple[float, float]]:
    """Where places stand on the sheet, both axes in the same scale, with room for a word at the right."""
    xs, ys = [place.x for place in places], [place.y for place in places]
    middle_x, middle_y = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2
    room_x, room_y = _WIDTH - 6 * _MARGIN, _HEIGHT - 2 * _MARGIN
    scale = min(room_x / (max(xs) - min(xs) or 1), room_y / (max(ys) - min(ys) or 1))
    return [
        (_WIDTH / 2 - 2 * _MARGIN + (x - middle_x) * scale, _HEIGHT / 2 - (y - middle_y) * scale)
        for x, y in zip(xs, ys, strict=True)
    ]


def _free(places: Sequence[Place], spots: Sequence[tuple[float, float]]) -> list[bool]:
    """Which words can be written without standing on one before them."""
    taken: list[tuple[float, float, float]] = []
    free = []
    for place, (x, y) in zip(places, spots, strict=True):
        end = x + 12 + len(place.word) * _LETTER
        clear = not any(low < end and high > x and abs(at - y) < _LINE for low, high, at in taken)
        if clear:
            taken.append((x, end, y))
        free.append(clear)
    return free


def _write_png(path: str, found: Map) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH / 100, _HEIGHT / 100), dpi=200, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    spots = _fit(found.places)
    for place, (x, y), free in zip(found.places, spots, _free(found.places, spots), strict=True):
        look: dict[str, Any] = {"color": LIGHT[max(place.group, 0) % len(LIGHT)]}
        axes.plot(x, y, "o", markersize=7 if place.asked else 3.5, **look)
        if free or place.asked:
            weight = "bold" if place.asked else "normal"
            axes.annotate(
                place.word, (x, y), (5, 0), textcoords="offset points", va="center", fontsize=8, weight=weight,
                parse_math=False,
            )  # fmt: skip
    axes.set(xlim=(0, _WIDTH), ylim=(_HEIGHT, 0), title=_title(found))
    axes.title.set_parse_math(False)
    axes.set_axis_off()
    with AtomicFile(path) as target:
        figure.savefig(target.file, format="png")
