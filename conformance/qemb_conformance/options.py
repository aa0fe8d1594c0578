"""The options of the command; quick to import, since ``qemb`` declares them at every start."""

from __future__ import annotations

import argparse
import os

PROFILES = ("structure", "core", "full")
TIMEOUT = 30.0
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
        nargs="+",
        action="extend",
        default=[],
        help="cases whose id, folder, file or requirement matches one of these: 'valid/linear/*', 'QEMB-HDR-*'",
    )
    cases.add_argument(
        "--random",
        metavar="N",
        type=_positive,
        help="N random files, which the profile asks for, instead of the corpus",
    )
    cases.add_argument("--seed", metavar="S", type=_integer, help="which random files (default: 0)")
    cases.add_argument(
        "--keep",
        metavar="DIR",
        help="where random files that fail are kept (default: a new folder for temporary files)",
    )
    cases.add_argument(
        "--expected-failures",
        metavar="FILE",
        help="ids or globs of cases that fail, one a line; one that passes fails the run",
    )
    how = parser.add_argument_group("how")
    how.add_argument("--timeout", metavar="S", type=_seconds, default=TIMEOUT, help="seconds for a case (default: 30)")
    how.add_argument(
        "--jobs", metavar="N", type=_positive, default=os.cpu_count() or 1, help="cases at a time (default: one a core)"
    )
    out = parser.add_argument_group("what comes out")
    out.add_argument(
        "--max-differences", metavar="K", type=_integer, default=5, help="failures that are shown in full (default: 5)"
    )
    out.add_argument("--junit", metavar="FILE", help="write JUnit XML")
    out.add_argument("--json", metavar="FILE", help="write everything as JSON")
    out.add_argument("--badge", metavar="FILE", help="write the line of JSON that shields.io makes a badge of")


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number") from None


def _positive(text: str) -> int:
    value = _integer(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds") from None
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds above 0")
    return value
