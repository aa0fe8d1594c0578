"""Rows as Markdown: tables with bars, and pages whose marked blocks are filled with them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from qemb_tools.bench import report
from qemb_tools.bench.report import describe_machine, markdown
from qemb_tools.bench.speed import scale, search, verdict
from qemb_tools.bench.speed.figures import Figures, NotMeasuredError, number
from qemb_tools.bench.speed.lookup import MANY as WORDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qemb_tools.bench.report import Row

EIGHT = verdict.EIGHT
_UNITS = {"µs": 1e6, "ms": 1e3, "s": 1.0, "MB": 1e-6, "": 1.0}
_BAR = 24
_EIGHTHS = " ▏▎▍▌▋▊▉"


@dataclass(frozen=True)
class Column:
    """Which figure of a side stands in a column, and in what unit."""

    title: str
    what: str
    unit: str
    state: str = "warm"
    threads: int = 1
    key: str = "median"

    def find(self, rows: Sequence[Row]) -> Row | None:
        """The row of a side that has the figure."""
        wanted = {"what": self.what, "state": self.state, "threads": self.threads}
        return next(
            (r for r in rows if self.key in r and all(r[name] == value for name, value in wanted.items())), None
        )

    def cell(self, row: Row | None) -> str:
        """The figure; a time with its quartiles."""
        if row is None:
            return "-"
        keys = ("median", "low", "high") if self.key == "median" else (self.key,)
        middle, *around = (number(row[key] * _UNITS[self.unit]) for key in keys)
        return f"{middle} ({'–'.join(around)})" if around else middle


def bar(value: float, most: float) -> str:
    """A bar of up to `_BAR` characters, to an eighth of one; never nothing."""
    eighths = max(1, round(8 * _BAR * value / most)) if most else 1
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def sides(rows: Sequence[Row], columns: Sequence[Column]) -> list[str]:
    """A table with a line for each side; bars show the first column."""
    names = list(dict.fromkeys(row["side"] for row in rows))
    by_side = {name: [row for row in rows if row["side"] == name] for name in names}
    columns = [column for column in columns if any(column.find(found) for found in by_side.values())]
    if not columns:
        return []
    values = {name: found[columns[0].key] for name in names if (found := columns[0].find(by_side[name])) is not None}
    names = [name for name in names if name in values]
    most = max(values.values())
    lines = []
    for name in names:
        cells = {str(i): column.cell(column.find(by_side[name])) for i, column in enumerate(columns)}
        title = f"**{name}**" if name.startswith("qemb") else name
        lines.append({"side": title, "bar": bar(values[name], most), **cells})
    titles = [(str(i), f"{column.title}, {column.unit}" if column.unit else column.title, ">")
              for i, column in enumerate(columns)]  # fmt: skip
    return markdown([("side", "", ""), titles[0], ("bar", "", ""), *titles[1:]], lines)


_COLUMNS: dict[str, list[Column]] = {
    "open": [
        Column("first vector, file in the page cache", "first vector", "ms"),
        Column("not in the cache", "first vector", "ms", state="cold"),
    ],
    "lookup": [
        Column("one word", "one word", "µs"),
        Column(WORDS, WORDS, "ms"),
        Column("two threads", WORDS, "ms", threads=2),
        Column("not in the cache", WORDS, "ms", state="cold"),
    ],
    "search": [
        Column(search.ONE, search.ONE, "ms"),
        Column(search.MANY, search.MANY, "ms"),
        Column(f"{search.ONE}, two threads", search.ONE, "ms", threads=2),
        Column(f"{search.MANY}, two threads", search.MANY, "ms", threads=2),
        Column(f"recall@{search.K}", search.ONE, "", key="recall"),
        Column("memory", "memory", "MB", key="peak_above_imports"),
        Column("of it not pages of the file", "memory", "MB", key="anonymous_above_imports"),
    ],
    "first": [
        Column("first search, two threads", "first search", "ms", threads=2),
        Column("one thread", "first search", "ms"),
        Column("not in the cache", "first search", "ms", state="cold"),
        Column("memory", "first search", "MB", threads=2, key="above_bare"),
        Column("of it not pages of files", "first search", "MB", threads=2, key="anonymous_above_bare"),
        Column("since the imports", "first search", "MB", threads=2, key="above_imports"),
    ],
    "decode": [
        Column("one thread", "whole table", "ms"),
        Column("two threads", "whole table", "ms", threads=2),
        Column("not in the cache", "whole table", "ms", state="cold", threads=2),
    ],
    "convert": [
        Column("two threads", "convert", "s", threads=2),
        Column("one thread", "convert", "s"),
        Column("not in the cache", "convert", "s", state="cold", threads=2),
        Column("peak memory", "convert", "MB", threads=2, key="peak"),
    ],
}


def render(part: str, rows: Sequence[Row]) -> list[str]:
    """The lines of one part: a table for each table that was measured."""
    if part == "verdict":
        return markdown(verdict.COLUMNS, verdict.judge(Figures(rows)))
    if part == "scale":
        return list(_scale(rows))
    if part == "summary":
        return list(_summary(Figures(rows)))
    found = [row for row in rows if row["part"] == part]
    lines: list[str] = []
    for table in dict.fromkeys(row["table"] for row in found if "table" in row):
        some = [row for row in found if row.get("table") == table]
        lines += [*([""] if lines else []), f"{some[0].get('shape', table)}:", "", *sides(some, _COLUMNS[part])]
    if part == "open":
        lines += ["", *sides([r for r in found if r["what"] == "import"], [Column("import", "import", "ms")])]
    return lines


def _scale(rows: Sequence[Row]) -> Iterator[str]:
    """A line for each number of rows, and the exponents."""
    found = [row for row in rows if row["part"] == "scale"]
    units = dict.fromkeys(scale.WHATS, "ms") | {scale.ONE: "µs"}
    lines: list[dict[str, Any]] = []
    for count in sorted({row["rows"] for row in found}):
        some = {row["what"]: row["median"] * _UNITS[units[row["what"]]] for row in found if row["rows"] == count}
        lines.append({"rows": f"{count:,}", **{what: number(value) for what, value in some.items()}})
    powers = scale.exponents(found)
    for title, which in (("exponent, all sizes", 0), ("exponent, the last two", 1)):
        lines.append({"rows": title, **{what: f"{power[which]:.2f}" for what, power in powers.items()}})
    columns = [("rows", "rows", ">"), *((what, f"{what}, {unit}", ">") for what, unit in units.items())]
    return iter(markdown(columns, lines))


_SUMMARY = (
    ("opening, and the first vector", "open", EIGHT, "gensim, native, mmap", "first vector", "ms", 1),
    ("the same", "open", EIGHT, "gensim, word2vec .bin", "first vector", "ms", 1),
    (f"{WORDS}, one call", "lookup", EIGHT, "gensim, native, mmap", WORDS, "ms", 1),
    ("ten nearest of one query", "search", EIGHT, "numpy float32", search.ONE, "ms", 1),
    ("the same", "search", EIGHT, "faiss SQ8", search.ONE, "ms", 1),
    (f"of {search.BATCH} queries", "search", EIGHT, "numpy float32", search.MANY, "ms", 1),
    ("the same", "search", EIGHT, "faiss SQ8", search.MANY, "ms", 1),
    ("first search of a process", "first", EIGHT, "gensim, native, mmap", "first search", "ms", 2),
    ("whole table as float32", "decode", EIGHT, "np.load", "whole table", "ms", 2),
    ("text converted, or read", "convert", "qemb, text to 8 bits", "gensim, reading the text", "convert", "s", 2),
)


def _summary(figures: Figures) -> Iterator[str]:
    """What a reader of README wants to know; a bar is qemb's time, a full one the other's."""
    lines = []
    for title, part, ours, theirs, what, unit, threads in _SUMMARY:
        try:
            one, other = (figures.get(part, side, what, threads=threads) for side in (ours, theirs))
        except NotMeasuredError:
            continue
        times = [f"{number(seconds * _UNITS[unit])} {unit}" for seconds in (one, other)]
        ratio = f"{other / one:,.0f} ×" if other >= 10 * one else f"{other / one:.1f} ×"
        lines.append({"what": title, "bar": bar(min(one, other), other), "ours": times[0], "theirs": times[1],
                      "side": theirs, "ratio": ratio})  # fmt: skip
    columns = [("what", "", ""), ("ours", "qemb, 8 bits", ">"), ("bar", "", ""), ("theirs", "beside it", ">"),
               ("side", "", ""), ("ratio", "", ">")]  # fmt: skip
    return iter(markdown(columns, lines))


def fill(text: str, saved: dict[str, Any]) -> str:
    """A page with its marked blocks made anew, as `report.fill` does.

    Parameters
    ----------
    saved : dict
        What ``--json`` wrote: ``machine`` and ``rows``.

    Raises
    ------
    UsageError
        A mark names no part.
    """
    parts = {part: partial(render, part, saved["rows"]) for part in (*_COLUMNS, "scale", "verdict", "summary")}
    return report.fill(text, {"machine": lambda: [describe_machine(saved["machine"])], **parts})
