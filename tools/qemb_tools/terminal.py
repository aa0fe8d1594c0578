"""What a terminal is shown: colours where they are wanted, and columns that stand under each other."""

from __future__ import annotations

import os
import sys
import unicodedata
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_STYLES = {"bold": "1", "red": "31", "green": "32"}


def colours_wanted(stream: TextIO) -> bool:
    """Whether a stream is a terminal that takes colours; ``NO_COLOR`` and ``FORCE_COLOR`` in the environment decide."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def paint(text: str, style: str, stream: TextIO | None = None) -> str:
    """Return a text in ``bold``, ``red`` or ``green``, or as it is where colours are not wanted."""
    wanted = colours_wanted(sys.stdout if stream is None else stream)
    return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if wanted else text


def columns_of(text: str) -> int:
    """Columns that a text takes in a terminal: Chinese and its like two a character, combining marks none."""
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def print_columns(rows: Iterable[Sequence[str]], *, header: Sequence[str] | None = None, right: str = "") -> None:
    """Print rows of equally many cells under each other.

    Parameters
    ----------
    rows : iterable of sequences of str
        The cells.
    header : sequence of str, optional
        Printed above them, bold.
    right : str
        ``"r"`` for each column whose cells stand on the right, another character for the others.
    """
    cells = [list(row) for row in rows]
    widths = [max(map(columns_of, column)) for column in zip(*cells, *([header] if header else []), strict=True)]

    def aligned(row: Sequence[str]) -> str:
        parts = []
        for i, (cell, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - columns_of(cell))
            parts.append(space + cell if right[i : i + 1] == "r" else cell + space)
        return "  ".join(parts).rstrip()

    if header:
        print(paint(aligned(header), "bold"))
    for row in cells:
        print(aligned(row))
