"""Rows of a run, asked by what they measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from qemb_tools.bench.report import Row


class NotMeasuredError(Exception):
    """No such figure is among the rows: a part or a peer was left out."""


@dataclass(frozen=True)
class Figures:
    """Rows as the parts give them, and the name of the ``main`` table, which is meant where none is named."""

    rows: Sequence[Row]

    @property
    def main(self) -> str:
        """GloVe's name where it was measured, otherwise that of GloVe 6B."""
        return "glove" if any(row.get("table") == "glove" for row in self.rows) else "glove6b"

    def get(self, part: str, side: str, what: str, *, key: str = "median", table: str = "", **where: Any) -> float:  # noqa: ANN401 - threads, state
        """One figure, that of the page cache and of one thread unless asked otherwise.

        Raises
        ------
        NotMeasuredError
            It is not there.
        """
        wanted = {"part": part, "side": side, "what": what, "state": "warm", "threads": 1, **where}
        if part != "open" or what != "import":
            wanted["table"] = table or self.main
        for row in self.of(part):
            if all(row.get(name) == value for name, value in wanted.items()) and row.get(key) is not None:
                return float(row[key])
        raise NotMeasuredError(f"{part}: {side}, {what}")

    def of(self, part: str) -> Iterator[Row]:
        """The rows of a part."""
        return (row for row in self.rows if row["part"] == part)


def number(value: float) -> str:
    """Three significant digits or three decimals, whichever is shorter, and no exponent."""
    places = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{places}f}"
