"""``qemb conformance``: the corpus against an implementation; ``python3 conformance/run.py`` is the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qemb_conformance.options import HELP, add_arguments

if TYPE_CHECKING:
    import argparse

    from qemb_tools.commands import Subparsers


def add_to(commands: Subparsers) -> None:
    """Declare the command."""
    parser = commands.add_parser("conformance", help=HELP, description=HELP)
    add_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run it: 0 where everything passes, otherwise 1."""
    from qemb_conformance import cli
    from qemb_conformance.errors import UsageError
    from qemb_tools.interface import UsageError as CommandError

    try:
        return cli.run(arguments)
    except UsageError as error:
        raise CommandError(str(error)) from error
