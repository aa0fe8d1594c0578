"""``qemb repair``: save what can be saved of a damaged file."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from qemb_tools.commands import Subparsers

_HELP = "save the rows of a damaged .qemb file that are whole"


def add_to(commands: Subparsers) -> None:
    """Declare the command."""
    parser = commands.add_parser("repair", help=_HELP, description=_HELP)
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("target", metavar="OUT", help="the file to write")
    parser.add_argument(
        "--keep-suspect",
        action="store_true",
        help="keep all rows where nothing tells which are damaged: some of them are wrong then",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the new file; print what is in it and what was lost, counted."""
    import qemb
    from qemb.errors import describe_rows
    from qemb_tools.commands.output import print_json
    from qemb_tools.stream import check_file

    check_file(arguments.file)
    try:
        repaired = qemb.repair(arguments.file, arguments.target, keep_suspect=arguments.keep_suspect)
    except qemb.QembError as error:
        hint = error.message.replace("keep_suspect=True", "--keep-suspect")
        raise type(error)(error.code, hint, where=error.where, offset=error.offset, rows=error.rows) from None
    if arguments.json:
        print_json({"file": arguments.file, "target": arguments.target, **asdict(repaired)})
        return 0
    for note in repaired.notes:
        print(f"qemb: note: {note}", file=sys.stderr)
    print(f"{arguments.target}: {repaired.kept:,} of {repaired.tokens:,} rows saved")
    if repaired.lost:
        print(f"lost: {repaired.lost_vectors:,} by their vectors, {repaired.lost_words:,} by their words")
        print(f"lost: {describe_rows(repaired.lost)}")
    if repaired.dropped:
        print(f"left out: {', '.join(repaired.dropped)}")
    return 0
