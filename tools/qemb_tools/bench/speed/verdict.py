"""What is wanted of each figure, and whether a run had it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from qemb_tools.bench import convert
from qemb_tools.bench.speed import decode, lookup, scale, search
from qemb_tools.bench.speed.engines import ENGINES
from qemb_tools.bench.speed.figures import Figures, NotMeasuredError, number
from qemb_tools.bench.speed.files import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qemb_tools.bench.report import Row

COLUMNS = [("line", "", ""), ("wanted", "wanted", ""), ("measured", "measured", ""), ("holds", "holds", "")]
EIGHT, FOUR, CODEBOOK = (KINDS[kind].title for kind in ("8", "4", "4c"))
_NATIVE, _BINARY = KINDS["native"].title, KINDS["word2vec"].title
_SQ8, _NUMPY, _TURBOVEC = (ENGINES[name].title for name in ("sq8", "numpy", "turbovec"))


@dataclass(frozen=True)
class Wanted:
    """A line: the figure, in ``unit``, and the least or the most that it may be."""

    line: str
    measure: Callable[[Figures], float]
    unit: str
    least: float | None = None
    most: float | None = None

    def judge(self, figures: Figures) -> Row:
        """The row of the table; a figure that is not there neither holds nor fails."""
        bound = f"at least {self.least:g}" if self.least is not None else f"at most {self.most:g}"
        row: Row = {"part": "verdict", "line": self.line, "wanted": f"{bound} {self.unit}".strip()}
        try:
            value = self.measure(figures)
        except NotMeasuredError:
            return {**row, "value": None, "measured": "-", "holds": "not measured"}
        holds = value >= self.least if self.least is not None else self.most is not None and value <= self.most
        measured = f"{number(value)} {self.unit}".strip()
        return {**row, "value": value, "measured": measured, "holds": "yes" if holds else "**no**"}


def judge(figures: Figures) -> list[Row]:
    """Every line, in order."""
    return [line.judge(figures) for line in _LINES]


# --- figures --------------------------------------------------------------------------------------------------------


def _ratio(
    figures: Figures, part: str, over: str, under: str, what: str, *, table: str = "", threads: int = 1
) -> float:
    """How many times as long one side takes as another."""
    one, other = (figures.get(part, side, what, table=table, threads=threads) for side in (over, under))
    return one / other


def _seconds(figures: Figures, part: str, side: str, what: str, *, times: float, threads: int = 1) -> float:
    return figures.get(part, side, what, threads=threads) * times


def _import(figures: Figures) -> float:
    ours, numpy = (figures.get("open", f"import {name}", "import") for name in ("qemb", "numpy"))
    return (ours - numpy) * 1e3


def _recall(figures: Figures) -> float:
    ours, theirs = (figures.get("search", side, search.ONE, key="recall") for side in (FOUR, _TURBOVEC))
    return ours - theirs


def _resident(figures: Figures) -> float:
    return figures.get("first", EIGHT, "first search", key="above_bare", threads=2) / 1e6


def _first(figures: Figures) -> float:
    return _ratio(figures, "first", _NATIVE, EIGHT, "first search", threads=2)


def _between(figures: Figures, over: str, under: str) -> float:
    """Ratio of two conversions."""
    return _ratio(figures, "convert", over, under, "convert", threads=2)


def _growth(figures: Figures, what: str) -> float:
    """The exponent fitted to all sizes."""
    found = scale.exponents(list(figures.of("scale")))
    if what not in found:
        raise NotMeasuredError(what)
    return found[what][0]


def _opening_growth(figures: Figures) -> float:
    """Opening at the most rows over opening at the fewest."""
    points = sorted((row["rows"], row["median"]) for row in figures.of("scale") if row["what"] == scale.OPENING)
    if len(points) < 2:
        raise NotMeasuredError(scale.OPENING)
    return float(points[-1][1] / points[0][1])


def _lines() -> Iterator[Wanted]:
    def ratio(line: str, *what: str, least: float | None = None, most: float | None = None,
              table: str = "", threads: int = 1) -> Wanted:  # fmt: skip
        part, over, under, of = what
        measure = partial(_ratio, part=part, over=over, under=under, what=of, table=table, threads=threads)
        return Wanted(line, measure, "times", least, most)

    def seconds(line: str, *what: str, unit: str, most: float, threads: int = 1) -> Wanted:
        part, side, of = what
        times = {"µs": 1e6, "ms": 1e3, "s": 1}[unit]
        return Wanted(line, partial(_seconds, part=part, side=side, what=of, times=times, threads=threads), unit,
                      most=most)  # fmt: skip

    ten = lookup.MANY
    yield ratio("first vector: gensim native with mmap over 8 bits", "open", _NATIVE, EIGHT, "first vector", least=15)
    yield ratio("first vector: word2vec .bin over 8 bits", "open", _BINARY, EIGHT, "first vector", least=200)
    yield Wanted("import qemb more than import numpy", _import, "ms", most=100)
    yield seconds("one word, 8 bits", "lookup", EIGHT, "one word", unit="µs", most=6)
    yield seconds(f"{ten} in one call, 8 bits", "lookup", EIGHT, ten, unit="ms", most=10)
    yield seconds(f"{ten} in one call, 4 bits", "lookup", FOUR, ten, unit="ms", most=20)
    for peer, table, one, many in (
        (_NUMPY, "", 4, 2), (_SQ8, "", 1.35, 2), (_SQ8, "wide", 2, 4),
    ):  # fmt: skip
        at = ", 300 columns" if table else ""
        yield ratio(f"1 query{at}: {peer} over 8 bits", "search", peer, EIGHT, search.ONE, least=one, table=table)
        yield ratio(
            f"{search.MANY}{at}: {peer} over 8 bits", "search", peer, EIGHT, search.MANY, least=many, table=table
        )
    for what in (search.ONE, search.MANY):
        yield ratio(f"{what}: 4 bits over {_TURBOVEC}", "search", FOUR, _TURBOVEC, what, most=3)
    yield Wanted(f"recall@{search.K}, 4 bits less that of {_TURBOVEC}", _recall, "", least=0)
    yield Wanted("first search: gensim over 8 bits", _first, "times", least=20)
    yield Wanted("memory after it above a bare interpreter's, 8 bits", _resident, "MB", most=60)
    for side, most in ((EIGHT, 1.5), (FOUR, 2), (CODEBOOK, 2)):
        yield ratio(f"decoding the table: {side.removeprefix('qemb, ')} over {decode.NUMPY}, two threads",
                    "decode", side, decode.NUMPY, "whole table", most=most, threads=2)  # fmt: skip
    yield Wanted("GloVe text: gensim reading it over writing 8 bits",
                 partial(_between, over=convert.GENSIM, under=convert.TEXT_8), "times", least=5)  # fmt: skip
    yield seconds("gensim native to 8 bits", "convert", convert.NATIVE_8, "convert", unit="s", most=2, threads=2)
    yield Wanted("GloVe text: exact over 8 bits",
                 partial(_between, over=convert.TEXT_EXACT, under=convert.TEXT_8), "times", most=2)  # fmt: skip
    yield Wanted("opening: the most rows over 10,000", _opening_growth, "times", most=1.5)
    for what in (lookup.MANY, scale.SEARCH, scale.DECODE, scale.WRITE):
        yield Wanted(f"{what}: exponent of its growth with rows", partial(_growth, what=what), "", most=1.1)


_LINES = tuple(_lines())
