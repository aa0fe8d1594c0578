"""The implementations of this repository: `implementations/implementations.json`, built and run one after the other."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qemb_conformance.errors import UsageError
from qemb_conformance.options import PROFILES
from qemb_conformance.processes import command_line, run_once

BUILD_TIMEOUT = 600.0
"""Seconds that building one may take."""


@dataclass(frozen=True)
class Implementation:
    """An entry of the list; commands run from the root of the repository."""

    name: str
    profile: str
    decoder: str
    encoder: str = ""
    build: str = ""
    jsonl: bool = False
    expected_failures: str = ""
    needs: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """Programs that it needs and that are not there."""
        return tuple(name for name in self.needs if shutil.which(name) is None)


def load_implementations(corpus: Path) -> tuple[Implementation, ...]:
    """Read the list.

    Raises
    ------
    UsageError
        It is not there, or an entry is wrong.
    """
    path = corpus / "implementations" / "implementations.json"
    try:
        return tuple(_entry(entry) for entry in json.loads(path.read_bytes())["implementations"])
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path} is not a list of implementations: {error!r}") from error


def _entry(entry: dict[str, Any]) -> Implementation:
    jsonl = entry.get("jsonl", "no")
    if jsonl not in {"yes", "no"} or entry["profile"] not in PROFILES:
        raise ValueError(entry)
    return Implementation(**{**entry, "jsonl": jsonl == "yes", "needs": tuple(entry.get("needs", ()))})


def build(implementation: Implementation, root: Path) -> str:
    """Build one from the root of the repository; what went wrong, or nothing."""
    if not implementation.build:
        return ""
    try:
        command = command_line(implementation.build)
    except UsageError as error:
        return str(error)
    with tempfile.TemporaryDirectory() as folder:
        nothing = Path(folder, "nothing")
        nothing.touch()
        ended = run_once(command, nothing, BUILD_TIMEOUT, root)
    if ended.status == 0:
        return ""
    how = f"exit code {ended.status}" if ended.status is not None else f"not done after {BUILD_TIMEOUT:g} s"
    said = ended.complaint or ended.output.decode("utf-8", "backslashreplace")
    return f"{implementation.build}: {how}{os.linesep}{said.strip()[-2000:]}"
