"""``qemb sweep``: every width and scheme on a sample of a table, and which to choose."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from qemb_tools.pictures.outputs import add_arguments

if TYPE_CHECKING:
    from qemb_tools.commands import Subparsers

_HELP = "try every width and scheme on a sample, beside faiss and others, and say which to choose"


def add_to(commands: Subparsers) -> None:
    """Declare the command."""
    parser = commands.add_parser("sweep", help=_HELP, description=f"{_HELP}. FILE may be of any format.")
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--bits", type=_widths, metavar="N,N", help="widths to try beside exact (8,6,5,4,3,2,1)")
    parser.add_argument("--sample", type=int, default=10_000, metavar="N", help="rows to try (default 10,000)")
    parser.add_argument("--queries", type=int, default=1000, metavar="N", help="queries of recall (default 1,000)")
    parser.add_argument(
        "--recall", type=float, default=0.9, metavar="R", help="recall@10 that is wanted, 0 to 1 (default 0.9)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print a table and a recommendation; write the page and the plots."""
    from qemb_tools.bench.report import markdown
    from qemb_tools.commands.output import print_json
    from qemb_tools.interface import UsageError
    from qemb_tools.pictures import outputs
    from qemb_tools.sweep import BITS, COLUMNS, sweep

    if arguments.queries < 1 or not 0 < arguments.recall <= 1:
        raise UsageError("--queries needs at least 1, and --recall a share above 0 and at most 1")
    drawn = outputs.wanted(arguments)
    found = sweep(
        arguments.file,
        bits=arguments.bits or BITS,
        sample=arguments.sample,
        queries=arguments.queries,
        wanted=arguments.recall,
        show_progress=True,
    )
    if drawn:
        from qemb_tools.pictures.quality import sweep_charts, sweep_page

        outputs.write(arguments, sweep_charts(found), lambda: sweep_page(found, arguments.file))
    if arguments.json:
        print_json(found.to_dict())
        return 0
    print(f"{found.sample:,} of {found.rows:,} rows x {found.dim}, {found.queries:,} queries\n")
    rows = [{key: getattr(point, key) for key, _, _ in COLUMNS} for point in found.points]
    print("\n".join(markdown(COLUMNS, rows)))
    for note in found.notes:
        print(f"note: {note}")
    print(f"\n{found.recommendation}")
    return 0


def _widths(text: str) -> tuple[int, ...]:
    widths = tuple(int(part) for part in text.split(",") if part.isdigit())
    if not widths or set(widths) - set(range(1, 9)) or len(widths) != len(text.split(",")):
        raise argparse.ArgumentTypeError(f"{text!r} names no widths; write some of 1 to 8, such as 8,4,2")
    return widths
