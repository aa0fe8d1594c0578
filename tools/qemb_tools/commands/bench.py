"""``qemb bench``: measure; ``python -m qemb_tools.bench`` is the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qemb_tools.bench.options import HELP, add_arguments

if TYPE_CHECKING:
    import argparse

    from qemb_tools.commands import Subparsers


def add_to(commands: Subparsers) -> None:
    """Declare the command."""
    parser = commands.add_parser("bench", help=HELP, description=HELP)
    add_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run it."""
    from qemb_tools.bench import parts

    return parts.run(arguments)
