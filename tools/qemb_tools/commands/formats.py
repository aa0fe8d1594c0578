"""``qemb formats``: what can be converted."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from qemb_tools.commands import Subparsers

_HELP = "list the formats that can be converted"


def add_to(commands: Subparsers) -> None:
    """Declare the command."""
    parser = commands.add_parser("formats", help=_HELP, description=_HELP)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print a line a format: its name, what can be done, the extra it needs, what it is."""
    from qemb_tools.commands.output import print_json
    from qemb_tools.formats import FORMATS
    from qemb_tools.terminal import print_columns

    rows = [
        {
            "name": f.name,
            "read": f.read is not None,
            "write": f.write is not None,
            "extra": f.extra or None,
            "extensions": list(f.extensions),
            "help": f.help,
        }
        for f in FORMATS
    ]
    if arguments.json:
        print_json(rows)
    else:
        lines = [(f.name, "read" if f.read else "", "write" if f.write else "", f.extra, f.help) for f in FORMATS]
        print_columns(lines)
    return 0
