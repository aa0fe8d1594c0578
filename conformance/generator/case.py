"""A valid case of the corpus, and the list of all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import rawfile


@dataclass(frozen=True)
class Case:
    """A file that conforms, and why it is in the corpus."""

    id: str
    file: rawfile.RawFile
    requirements: tuple[str, ...]
    """Without QEMB, those most likely broken first."""
    guards: str
    """The bug that it is there to catch."""
    description: str
    rows: list[list[float]] | None = None
    """Values worked out by hand, which the answer is compared with; float32 by rounding."""


CASES: list[Case] = []


def valid(name, file, requirements, guards, description, rows=None):
    """Put a case on the list. ``requirements`` are separated by spaces."""
    folder = "" if name.startswith("limit/") else "valid/"
    CASES.append(Case(folder + name, file, tuple(requirements.split()), guards, description, rows))
