"""Where the platforms are built, and how commands are run there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "platforms"


class NotHereError(Exception):
    """This machine lacks what a part needs; the message says what, and how to get it."""


def run(*command: str, **environment: str) -> str:
    """Run a command from the root of the repository; the last line that it printed.

    Raises
    ------
    CalledProcessError
        It failed; ``output`` is what it said.
    """
    print("+", " ".join(command), flush=True)
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="backslashreplace",
        check=True,
    )
    return ended.stdout.strip().rpartition("\n")[2]
