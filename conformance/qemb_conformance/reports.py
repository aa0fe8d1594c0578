"""What machines read: JUnit XML, JSON, and a badge."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from qemb_conformance.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from qemb_conformance.judging import Result
    from qemb_conformance.running import Run

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(runs: Sequence[Run]) -> bytes:
    """JUnit XML: a suite for each implementation, a test for each case; a known failure counts as skipped."""
    root = ET.Element("testsuites", name="qemb conformance")
    for run in runs:
        known = sum(not result.passed for result in run.results) - len(run.failures)
        unanswered = sum(not result.answered for result in run.results)
        numbers = {
            "tests": len(run.results) or 1,
            "failures": len(run.failures) + len(run.rotten),
            "errors": int(bool(run.broken)),
            "skipped": known + unanswered + bool(run.skipped),
        }
        suite = ET.SubElement(
            root,
            "testsuite",
            {"name": run.name, "time": f"{run.seconds:.3f}"} | {k: str(v) for k, v in numbers.items()},
        )
        if run.skipped or run.broken:
            test = ET.SubElement(suite, "testcase", classname=run.name, name="build", time="0")
            ET.SubElement(test, "skipped" if run.skipped else "error", message=_clean(run.skipped or run.broken))
        for result in run.results:
            _testcase(suite, run, result)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _testcase(suite: ET.Element, run: Run, result: Result) -> None:
    case = result.case
    test = ET.SubElement(
        suite, "testcase", classname=f"{run.name}.{case.folder}", name=case.id, time=f"{result.seconds:.3f}"
    )
    if result.passed and case.id in run.known:
        ET.SubElement(test, "failure", message="it passes, and is on the list of expected failures: strike it off")
    elif not result.passed and case.id in run.known:
        ET.SubElement(test, "skipped", message=_clean(f"expected to fail: {result.wrong}"))
    elif not result.passed:
        element = ET.SubElement(test, "failure", message=_clean(result.wrong))
        differences = [f"{d.field}: expected {d.expected}, got {d.got}" for d in result.differences[:20]]
        element.text = _clean("\n".join([case.description, *differences, *case.requirements]))
    elif not result.answered:
        ET.SubElement(test, "skipped", message=f"not asked for by profile {run.profile}")


def _clean(text: str) -> str:
    """Text without the characters that XML cannot hold."""
    return _NOT_XML.sub("�", text)


def as_json(runs: Sequence[Run]) -> str:
    """Everything, a list of runs; values as they are, not as the protocol writes them."""
    return json.dumps([_run(run) for run in runs], indent=1) + "\n"


def _run(run: Run) -> dict[str, object]:
    return {
        "name": run.name,
        "command": run.command,
        "profile": run.profile,
        "good": run.good,
        "skipped": run.skipped,
        "broken": run.broken,
        "seconds": round(run.seconds, 3),
        "cases": len(run.results),
        "asked": len(run.asked),
        "passed": run.passed,
        "rotten": [result.case.id for result in run.rotten],
        "results": [
            {
                "id": result.case.id,
                "verdict": result.verdict,
                "precise": result.precise,
                "answered": result.answered,
                "expected_failure": result.case.id in run.known,
                "outcome": result.outcome.kind,
                "word": result.outcome.word,
                "wrong": result.wrong,
                "requirements": list(result.case.requirements),
                "differences": [
                    {"field": d.field, "expected": d.expected, "got": d.got} for d in result.differences[:20]
                ],
                "seconds": round(result.seconds, 4),
            }
            for result in run.results
        ],
    }


def badge(runs: Sequence[Run]) -> str:
    """A line of JSON, as https://shields.io/badges/endpoint-badge takes it."""
    run = [run for run in runs if not run.skipped]
    asked = sum(len(one.asked) for one in run)
    passed = sum(one.passed for one in run)
    profiles = {one.profile for one in run}
    good = all(one.good for one in run)
    label = f"qemb {profiles.pop()}" if len(profiles) == 1 else "qemb"
    color = "brightgreen" if good and passed == asked > 0 else "yellow" if good else "red"
    return json.dumps({"schemaVersion": 1, "label": label, "message": f"{passed}/{asked}", "color": color}) + "\n"


def check_place(path: Path) -> None:
    """Make sure, before a long run, that a report can be written there.

    Raises
    ------
    UsageError
        Its folder is not there, or it is a folder itself.
    """
    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(
            f"{path} cannot be written: {'it is a folder' if path.is_dir() else 'its folder is not there'}"
        )


def write(path: Path, content: str | bytes) -> None:
    """Write a report."""
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
