"""Requirements: their text, and where the specification has them."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Clause:
    """A requirement."""

    id: str
    text: str
    """Empty where the specification does not lie beside the corpus."""
    link: str
    """File and anchor; empty likewise."""


def find_clause(corpus: Path, requirement: str) -> Clause:
    """A requirement by its id; the specification lies beside the corpus in a clone."""
    return _clauses(corpus.resolve().parent / "spec").get(requirement, Clause(requirement, "", ""))


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
