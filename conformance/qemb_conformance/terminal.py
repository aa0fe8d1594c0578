"""What a person reads: how far it is, a table by feature, and the first failures in full."""

from __future__ import annotations

import os
import sys
import textwrap
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from qemb_conformance.clauses import find_clauses
from qemb_conformance.running import MAX_TIMEOUTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from qemb_conformance.judging import Result
    from qemb_conformance.running import Run

_FIELDS = 4
"""Differences shown of a case."""
_NAMES = 3
"""Cases named in a summary."""
_FIRST, _LAST = 4, 2
"""Lines of standard error shown of a case, from its beginning and its end."""


class Progress:
    """A line on standard error that says how far the run is; nothing where that is no terminal."""

    def __init__(self, total: int, name: str) -> None:
        self._total = total
        self._name = name
        self._done = 0
        self._shown = sys.stderr.isatty()

    def __call__(self, case: str) -> None:
        """Count a case."""
        self._done += 1
        if self._shown:
            print(f"\r\033[K{self._name}: {self._done}/{self._total} {case}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def table(run: Run) -> list[str]:
    """Results by feature: verdicts, answers of good files, and codes of bad ones, each of how many.

    Folders of bad files in which nothing is wrong stand in one line.
    """
    folders: dict[str, list[Result]] = defaultdict(list)
    for result in run.results:
        folder = result.case.folder
        right = result.passed and result.answered and folder.startswith("invalid/")
        folders["invalid, all else" if right else folder].append(result)
    if not any(name.startswith("invalid/") for name in folders) and "invalid, all else" in folders:
        folders["invalid"] = folders.pop("invalid, all else")
    rows = [["", "cases", "verdict", "answer", "code", "not asked"]]
    rows.extend(_row(name, results) for name, results in sorted(folders.items()))
    rows.append(_row("all", run.results))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in rows
    ]


def _row(name: str, results: Sequence[Result]) -> list[str]:
    asked = [result for result in results if result.answered]
    return [
        name,
        str(len(results)),
        _score(result.verdict for result in asked),
        _score(result.precise for result in asked if result.case.good),
        _score(result.precise for result in asked if not result.case.good),
        str(len(results) - len(asked)) if len(asked) < len(results) else "-",
    ]


def _score(marks: Iterable[bool]) -> str:
    given = list(marks)
    return f"{sum(given)}/{len(given)}" if given else "-"


def failure(result: Result, corpus: Path, again: str, told: set[str]) -> list[str]:
    """A failure in full: the case, what is wrong, where, and what the specification says.

    Parameters
    ----------
    result : Result
        The case and what came out.
    corpus : path
        Its folder; the specification lies beside it.
    again : str
        The command line that runs this case alone.
    told : set of str
        Requirements whose text has been printed; grows.
    """
    case = result.case
    lines = [f"FAIL {case.id}: {result.wrong}", f"  {case.description}", f"  guards against: {case.guards}"]
    if case.origin:
        lines.append(f"  made from {case.origin}")
    shown = result.differences[:_FIELDS]
    if shown:
        field = max(len(difference.field) for difference in shown)
        left = max(len("expected"), *(len(difference.expected) for difference in shown))
        lines.append(f"    {'':{field}}  {'expected':{left}} | got")
        lines += [f"    {d.field:{field}}  {d.expected:{left}} | {d.got}" for d in shown]
        more = len(result.differences) - len(shown)
        if more:
            lines.append(f"    and {more:,} more differences")
    if result.outcome.complaint:
        lines += _complaint(result.outcome.complaint)
    for clause in find_clauses(corpus, case.requirements, [difference.key for difference in shown]):
        lines.append(f"  {clause.id}  {clause.link}".rstrip())
        if clause.id not in told:
            lines += textwrap.wrap(clause.text, 116, initial_indent="    ", subsequent_indent="    ")
            told.add(clause.id)
    here = case.file.resolve().is_relative_to(Path.cwd()) or not case.file.is_absolute()
    beside = ", its answer beside it as .json" if case.id.startswith("random/") else ""
    lines.append(f"  file: {os.path.relpath(case.file) if here else case.file}{beside}")
    return [*lines, f"  again: {again}"]


def _complaint(text: str) -> list[str]:
    """What it wrote to standard error: both ends, since some programs begin with what matters and some end with it."""
    said = [line.rstrip()[:200] for line in text.splitlines() if line.strip()]
    if len(said) > _FIRST + _LAST:
        said = [*said[:_FIRST], "...", *said[-_LAST:]]
    return [f"  it said: {said[0]}", *(f"           {line}" for line in said[1:])]


def summary(run: Run) -> str:
    """One line: what was run, and how it went."""
    if run.skipped or run.broken:
        return f"{run.name}: {'not run' if run.skipped else 'FAILED'}: {run.skipped or run.broken}"
    left = len(run.results) - len(run.asked)
    what = f"asked pass ({left} not asked)" if left else "cases pass"
    parts = [f"{run.passed} of {len(run.asked)} {what}, profile {run.profile}"]
    if run.known:
        parts.append(f"{len(run.known) - len(run.rotten)} of {len(run.known)} expected failures fail")
    if run.rotten:
        names = [result.case.id for result in run.rotten]
        shown = f"{', '.join(names[:_NAMES])}{' and more' if len(names) > _NAMES else ''}"
        parts.append(f"{len(names)} of them pass: {shown}")
    if run.not_tried:
        parts.append(f"{run.not_tried} not tried, since it did not answer {MAX_TIMEOUTS} in a row")
    parts.append(f"{run.seconds:.1f} s")
    return f"{run.name}: {'good' if run.good else 'FAILED'}: {', '.join(parts)}"


def overview(runs: Sequence[Run]) -> list[str]:
    """Implementations side by side."""
    rows = [["", "profile", "cases", "verdict", "answer", "code", "not asked", "time", ""]]
    for run in runs:
        state = f"not run: {run.skipped}" if run.skipped else "good" if run.good else "FAILED"
        scores = ["-"] * 5 if run.skipped or run.broken else _row(run.name, run.results)[1:]
        rows.append([run.name, run.profile, *scores, f"{run.seconds:.1f} s", state])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    return [
        "  ".join(
            [row[0].ljust(widths[0]), row[1].ljust(widths[1])]
            + [cell.rjust(width) for cell, width in zip(row[2:-1], widths[2:], strict=True)]
            + [row[-1]]
        ).rstrip()
        for row in rows
    ]
