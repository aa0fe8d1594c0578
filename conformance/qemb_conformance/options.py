"""The options of the command; quick to import, since ``qemb`` declares them at every start."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

PROFILES = ("structure", "core", "full")
HELP = "run the conformance corpus against an implementation"
_EPILOG = """
An implementation is any program that reads a file from standard input and prints what is in it; conformance/README.md
shows how to write one, conformance/PROTOCOL.md says exactly what it prints. Without --decoder and --encoder it is the
reference codec.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.epilog = _EPILOG
    what = parser.add_argument_group("what is tested")
    what.add_argument("--decoder", metavar="CMD", help="command line of a decoder's adapter")
    what.add_argument("--encoder", metavar="CMD", help="command line of an encoder's adapter")
    what.add_argument("--all", action="store_true", help="build and run every implementation of the repository")
    what.add_argument(
        "--implementation", metavar="NAME", action="append", default=[], help="one of them; may be repeated"
    )
    what.add_argument("--profile", choices=PROFILES, default="full", help="what it shall answer (default: full)")
    what.add_argument("--jsonl", action="store_true", help="start the decoder once, with --jsonl")
    cases = parser.add_argument_group("with which cases")
    cases.add_argument("--corpus", metavar="DIR", help="its folder (default: beside the runner, ./conformance)")
    cases.add_argument(
        "--only",
        metavar="GLOB",
        action="append",
        default=[],
        help="cases whose id, or a requirement of theirs, matches: 'valid/linear/*', 'QEMB-HDR-*'",
    )
    cases.add_argument("--random", metavar="N", type=_positive, help="N random files instead of the corpus")
    cases.add_argument("--seed", metavar="S", type=int, default=0, help="which random files (default: 0)")
    cases.add_argument(
        "--expected-failures", metavar="FILE", help="ids of cases that fail, one a line; one that passes fails the run"
    )
    how = parser.add_argument_group("how")
    how.add_argument("--timeout", metavar="S", type=_seconds, default=30.0, help="seconds for a case (default: 30)")
    how.add_argument(
        "--jobs", metavar="N", type=_positive, default=os.cpu_count() or 1, help="cases at a time (default: one a core)"
    )
    out = parser.add_argument_group("what comes out")
    out.add_argument(
        "--max-differences", metavar="K", type=int, default=5, help="failures that are shown in full (default: 5)"
    )
    out.add_argument("--junit", metavar="FILE", help="write JUnit XML")
    out.add_argument("--json", metavar="FILE", help="write everything as JSON")
    out.add_argument("--badge", metavar="FILE", help="write the line of JSON that shields.io makes a badge of")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError(text)
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise ValueError(text)
    return value
