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
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check each file, also after one that is bad; 1 if any is."""
    import qemb
    from qemb_tools.commands.opening import open_embedding
    from qemb_tools.commands.output import print_json

    results: list[dict[str, object]] = []
    for name in arguments.files:
        try:
            with open_embedding(name) as embedding:
                embedding.verify()
        except qemb.QembError as error:
            print(f"qemb: {name}: {error}", file=sys.stderr)
            wrong = {"code": error.code, "message": error.message, "where": error.where, "offset": error.offset}
            results.append({"file": name, "good": False, "error": wrong})
        else:
            if not arguments.json:
                print(f"{name}: good")
            results.append({"file": name, "good": True, "error": None})
    if arguments.json:
        print_json(results)
    return int(not all(result["good"] for result in results))
