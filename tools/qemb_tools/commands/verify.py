"""``qemb verify``: check files to the last byte."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from qemb_tools.commands import Subparsers

_HELP = "check .qemb files to the last byte"


def add_to(commands: Subparsers) -> None:
    """Declare the command."""
    parser = commands.add_parser("verify", help=_HELP, description=_HELP)
    parser.add_argument("files", metavar="FILE", nargs="+")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check each file, also after one that is bad; 1 if any is."""
    import qemb
    from qemb_tools.commands.opening import open_embedding

    status = 0
    for name in arguments.files:
        try:
            with open_embedding(name) as embedding:
                embedding.verify()
        except qemb.QembError as error:
            print(f"qemb: {name}: {error}", file=sys.stderr)
            status = 1
        else:
            print(f"{name}: good")
    return status
