"""Whether what an adapter said of a file is right, as PROTOCOL.md has it."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from qemb_conformance.cases import STRUCTURE_KEYS
from qemb_conformance.differences import KEYS, Difference, compare
from qemb_conformance.digests import resolve

if TYPE_CHECKING:
    from collections.abc import Callable

    from qemb_conformance.adapters import Outcome
    from qemb_conformance.cases import Case
    from qemb_conformance.strict_json import Json

MAX_KEPT = 1000
"""Differences that are kept of a case."""
_STRUCTURE_CHECKS = 3
"""Steps of section 8 that an implementation of the profile `structure` makes."""


@dataclass(frozen=True)
class Result:
    """A case, and how the implementation did."""

    case: Case
    outcome: Outcome
    verdict: bool
    """Whether a good file was taken and a bad one refused, or whichever the profile leaves open."""
    precise: bool
    """Whether the answer is right; of a bad file, the code."""
    answered: bool = True
    """Whether it did what its profile does not ask for, or was asked for."""
    wrong: str = ""
    """What is wrong, one sentence."""
    differences: tuple[Difference, ...] = field(default=(), repr=False)
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return self.verdict and self.precise


@dataclass(frozen=True)
class Bench:
    """A case and what the adapter said of it, about to become a `Result`."""

    case: Case
    outcome: Outcome
    seconds: float

    def right(self, *, answered: bool = True) -> Result:
        """Nothing is wrong."""
        return Result(self.case, self.outcome, verdict=True, precise=True, answered=answered, seconds=self.seconds)

    def wrong(self, why: str, differences: tuple[Difference, ...] = (), *, verdict: bool = False) -> Result:
        """Something is; the verdict may be right all the same."""
        return Result(
            self.case,
            self.outcome,
            verdict=verdict,
            precise=False,
            wrong=why,
            differences=differences,
            seconds=self.seconds,
        )


def judge(
    case: Case, outcome: Outcome, profile: str, recompute: Callable[[Case], dict[str, Json] | None], seconds: float = 0
) -> Result:
    """Judge what an adapter of a profile said of a case.

    Parameters
    ----------
    case : Case
        The file, and what is expected.
    outcome : Outcome
        What the adapter said.
    profile : str
        ``structure``, ``core`` or ``full``.
    recompute : callable
        Gives the answer of a case in full, where it is stored as a digest; None where that cannot be had.
    seconds : float
        How long the adapter took.
    """
    asked = case.asked_of(profile)
    bench = Bench(case, outcome, seconds)
    if outcome.kind == "crash":
        return bench.wrong(f"crash: {outcome.word}")
    if outcome.kind == "unsupported":
        if outcome.word not in case.features:
            return bench.wrong(f"unsupported {outcome.word!r}, which this file does not need")
        if asked and not (case.good and profile == "structure"):
            return bench.wrong(f"unsupported {outcome.word!r}, which profile {profile} asks for")
        return bench.right(answered=False)
    if case.good:
        if outcome.kind == "error":
            return bench.wrong(f"refused as {outcome.word}, a file that conforms")
        differences = _differences(case, outcome.answer or {}, profile, recompute, asked=asked)
        return bench.wrong("the answer differs", differences, verdict=True) if differences else bench.right()
    if outcome.kind == "answer":
        if profile == "structure" and case.check > _STRUCTURE_CHECKS:
            return bench.right(answered=False)
        return bench.wrong(f"taken for good; it is to be refused as {case.error}")
    if outcome.word != case.error:
        return bench.wrong(f"refused as {outcome.word}; it is {case.error}", verdict=True)
    return bench.right()


def _differences(
    case: Case,
    got: dict[str, Json],
    profile: str,
    recompute: Callable[[Case], dict[str, Json] | None],
    *,
    asked: bool,
) -> tuple[Difference, ...]:
    optional: frozenset[str] = frozenset()
    if not asked:
        optional = KEYS
    elif profile == "structure":
        optional = KEYS - set(STRUCTURE_KEYS)
    elif profile == "core":
        optional = frozenset({"subword_vectors"})
    expected = resolve(case.answer(), got, lambda: recompute(case))
    return tuple(islice(compare(expected, got, optional=optional), MAX_KEPT))
