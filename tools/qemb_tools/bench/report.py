"""What the parts print: Markdown tables, the machine they were measured on, and the same as JSON."""

from __future__ import annotations

import json
import os
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qemb
from qemb_tools.interface import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Row = dict[str, Any]
"""Figures of one measurement by name, JSON-able."""
_MARK = re.compile(r"(<!-- figures: ([\w-]+) -->\n).*?(<!-- /figures -->)", re.DOTALL)


class Report:
    """Collects what the parts measured, and prints it as it comes."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def heading(self, text: str) -> None:
        """Print a heading."""
        print(f"\n### {text}\n", flush=True)

    def note(self, text: str) -> None:
        """Print a line of text."""
        print(text, flush=True)

    def progress(self, text: str) -> None:
        """Say on a terminal what is being measured."""
        if sys.stderr.isatty():
            print(f"\r\033[K{text}\r", end="", file=sys.stderr, flush=True)

    def table(self, part: str, columns: Sequence[tuple[str, str, str]], rows: Sequence[Row]) -> None:
        """Print rows as a Markdown table and keep them.

        Parameters
        ----------
        part : str
            What was measured; stands in the JSON.
        columns : sequence of (key, title, format)
            Which figures to print and how; an empty format is for text, which stands left.
        rows : sequence of dict
            A key that is absent or None prints as "-".
        """
        print("\n".join(markdown(columns, rows)), flush=True)
        self.rows += [{"part": part, **row} for row in rows]

    def to_dict(self, packages: Iterable[str]) -> dict[str, Any]:
        """Everything measured, with the machine."""
        return {"machine": machine(packages), "rows": self.rows}


def markdown(columns: Sequence[tuple[str, str, str]], rows: Sequence[Row]) -> list[str]:
    """Lines of a Markdown table, cells padded so that it reads as plain text too."""
    cells = [[title for _, title, _ in columns]]
    cells += [[_cell(row.get(key), form) for key, _, form in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    right = [bool(form) for _, _, form in columns]

    def line(values: list[str]) -> str:
        padded = (v.rjust(w) if r else v.ljust(w) for v, w, r in zip(values, widths, right, strict=True))
        return f"| {' | '.join(padded)} |"

    rule = "|".join("-" * (w + 1) + (":" if r else "-") for w, r in zip(widths, right, strict=True))
    return [line(cells[0]), f"|{rule}|", *map(line, cells[1:])]


def dump(saved: dict[str, Any]) -> str:
    """The JSON of a run, a row a line, so that two runs can be compared by eye; floats have four digits."""
    rows = ",\n".join(json.dumps(_rounded(row)) for row in saved["rows"])
    return f'{{"machine": {json.dumps(saved["machine"])},\n"rows": [\n{rows}\n]}}\n'


def _rounded(row: Row) -> Row:
    return {key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in row.items()}


def fill(text: str, blocks: Mapping[str, Callable[[], list[str]]]) -> str:
    """A page with the blocks between ``<!-- figures: NAME -->`` and ``<!-- /figures -->`` made anew.

    Parameters
    ----------
    text : str
        The page.
    blocks : mapping
        What gives the lines of each block.

    Raises
    ------
    UsageError
        A mark has no such name.
    """

    def block(match: re.Match[str]) -> str:
        if match[2] not in blocks:
            raise UsageError(f"<!-- figures: {match[2]} -->: no figures are called so; there are {', '.join(blocks)}")
        return match[1] + "\n".join([*blocks[match[2]](), ""]) + match[3]

    return _MARK.sub(block, text)


def _cell(value: object, form: str) -> str:
    return "-" if value is None else format(value, form)


def describe_machine(here: dict[str, Any]) -> str:
    """One line of what `machine` found."""
    versions = ", ".join(f"{name} {number}" for name, number in here["versions"].items())
    return f"{here['cpu']}, {here['cores']} cores; Python {here['python']}; {versions}"


def machine(packages: Iterable[str]) -> dict[str, Any]:
    """Processor, cores, Python and the versions of those packages that are installed."""
    versions = {"qemb": qemb.__version__}
    for name in packages:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {"cpu": _cpu(), "cores": os.cpu_count(), "python": platform.python_version(), "versions": versions}


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
