"""Requirements: their text, and where the specification has them."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_SHOWN = 3
"""Requirements shown of a case."""
_VALUES = frozenset({"LIN", "COD", "PRO", "DEC", "IEE", "SCL", "PCK"})
"""Parts of the specification whose requirements are about how values are computed."""
_OF_VALUES = frozenset({"quantization", "vectors", "norms", "subword_vectors"})
"""Keys of the answer that they bear on."""


@dataclass(frozen=True)
class Clause:
    """A requirement."""

    id: str
    text: str
    """Empty where the specification does not lie beside the corpus."""
    link: str
    """File and anchor; empty likewise."""


def find_clauses(corpus: Path, requirements: Sequence[str], keys: Iterable[str]) -> list[Clause]:
    """What a failure is about: rows of PROTOCOL.md for the keys that differ, then requirements of the case.

    Requirements about values are left out where only keys differ that have nothing to do with them.
    """
    different = list(dict.fromkeys(keys))
    if different and not _OF_VALUES.intersection(different):
        requirements = [name for name in requirements if name.split("-")[1] not in _VALUES]
    rows = [row for key in different if (row := _rows(corpus / "PROTOCOL.md").get(key))]
    return [*rows, *(find_clause(corpus, name) for name in requirements[:_SHOWN])]


def find_clause(corpus: Path, requirement: str) -> Clause:
    """A requirement by its id; the specification lies beside the corpus in a clone."""
    return _clauses(corpus.resolve().parent / "spec").get(requirement, Clause(requirement, "", ""))


@cache
def _rows(protocol: Path) -> dict[str, Clause]:
    """Rows of the table of the answer, by key."""
    try:
        text = protocol.read_text(encoding="utf-8")
    except OSError:
        return {}
    found = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ([^|]+) \|$", text.partition("## The answer")[2], re.MULTILINE)
    link = f"{os.path.relpath(protocol)}#the-answer"
    return {key: Clause(key, f"{when}: {value}", link) for key, when, value in found}


@cache
def _clauses(spec: Path) -> dict[str, Clause]:
    try:
        requirements = json.loads((spec / "requirements.json").read_bytes())["requirements"]
        headings = re.findall(r"^#+ +((\d[\d.]*) .*)$", (spec / "qemb.md").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        return {}
    anchors = {number.rstrip("."): _anchor(heading) for heading, number in headings}
    place = os.path.relpath(spec / "qemb.md")
    return {
        entry["id"]: Clause(entry["id"], entry["text"], f"{place}#{anchors.get(entry['clause'], '')}")
        for entry in requirements
    }


def _anchor(heading: str) -> str:
    """What GitHub makes of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
