"""Decoders under test: how they are asked, and judged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qemb_conformance.adapters import EachTime, Staying
from qemb_conformance.judging import judge

if TYPE_CHECKING:
    from pathlib import Path

    from qemb_conformance.adapters import Adapter, Outcome
    from qemb_conformance.cases import Case
    from qemb_conformance.judging import Result
    from qemb_conformance.oracle import Oracle


@dataclass(frozen=True)
class Options:
    """How adapters are run."""

    timeout: float
    """Seconds that a case may take."""
    jobs: int
    """Cases at a time."""
    cwd: Path | None = None
    """Where they run; where the runner does, if left out."""


class DecoderWorker:
    """Gives files to a decoder."""

    def __init__(self, command: str, profile: str, options: Options, oracle: Oracle, *, stays: bool) -> None:
        kind = Staying if stays else EachTime
        self._adapter: Adapter = kind(command, options.timeout, options.cwd)
        self._profile = profile
        self._oracle = oracle

    def run(self, case: Case) -> Outcome:
        """Give it the file."""
        return self._adapter.decode(case.file)

    def judge(self, case: Case, outcome: Outcome, seconds: float) -> Result:
        """Compare with what is expected."""
        return judge(case, outcome, self._profile, self._oracle.recompute, seconds)

    def close(self) -> None:
        """Let go of the adapter."""
        self._adapter.close()
