"""What the parts print: Markdown tables, the machine they were measured on, and the same as JSON."""

from __future__ import annotations

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import qemb

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Row = dict[str, Any]
"""Figures of one measurement by name, JSON-able."""


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
