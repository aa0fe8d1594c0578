"""``qemb index``: an index of a ``.qemb`` file, for approximate search."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from qemb_tools.commands import Subparsers

_HELP = "make an index for approximate search, FILE.faiss; it pays from a million words on"


def add_to(commands: Subparsers) -> None:
    """Declare the command."""
    parser = commands.add_parser("index", help=_HELP, description=f"{_HELP}; `qemb nearest --approximate` uses it")
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no summary")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Build it; print what it holds, and which share of the nearest words it finds."""
    from dataclasses import asdict

    from qemb_tools.approximate import DEFAULT_EFFORT, build
    from qemb_tools.commands.opening import open_embedding
    from qemb_tools.commands.output import print_json
    from qemb_tools.stream import check_file

    check_file(arguments.file)
    open_embedding(arguments.file).close()  # for what it says of files that are none
    summary = build(arguments.file, show_progress=not arguments.quiet)
    if arguments.json:
        print_json(asdict(summary))
    elif not arguments.quiet:
        print(f"{summary.path}: {summary.rows:,} rows in {summary.cells:,} cells, {summary.size:,} bytes")
        print("effort    ", *(f"{effort:>5}" for effort in range(len(summary.recall))))
        print("recall@10 ", *(f"{recall:.3f}" for recall in summary.recall), f" (default: effort {DEFAULT_EFFORT})")
    return 0
