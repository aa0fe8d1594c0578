"""``python -m qemb_tools.bench [PART]``, the same as ``qemb bench``."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from qemb_tools.bench.options import HELP, add_arguments
from qemb_tools.bench.parts import run
from qemb_tools.interface import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run parts; the exit code is 0 when they ran, whatever they measured, and 2 when the command is wrong."""
    parser = argparse.ArgumentParser(prog="python -m qemb_tools.bench", description=HELP)
    add_arguments(parser)
    try:
        return run(parser.parse_args(argv))
    except UsageError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    sys.exit(main())
