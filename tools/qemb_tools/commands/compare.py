"""``qemb compare``: how far two tables are apart, row by row and in their neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from qemb_tools.commands import Subparsers

_HELP = "compare two files of vectors: error, cosine, neighbours, sizes"


def add_to(commands: Subparsers) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "compare",
        help=_HELP,
        description=f"{_HELP}. A is taken as the truth; any two formats that share words will do.",
    )
    parser.add_argument("a", metavar="A")
    parser.add_argument("b", metavar="B")
    parser.add_argument("--rows", type=int, default=100_000, metavar="N", help="rows of A to look at (default 100,000)")
    parser.add_argument("--queries", type=int, default=600, metavar="N", help="queries for recall (default 600)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the figures."""
    from qemb_tools.commands.output import print_json
    from qemb_tools.compare import compare
    from qemb_tools.interface import UsageError
    from qemb_tools.stream import size_of

    if arguments.rows < 2 or arguments.queries < 1:
        raise UsageError("--rows needs at least 2 and --queries at least 1")
    result = compare(arguments.a, arguments.b, rows=arguments.rows, queries=arguments.queries)
    sizes = {"size_a": size_of(arguments.a), "size_b": size_of(arguments.b)}
    if arguments.json:
        print_json(result.to_dict() | sizes)
        return 0
    print(f"shared words       {result.shared:,} of the first {result.rows_a:,} of A")
    print(f"relative error     {result.relative_error:.6f}")
    print(f"mean cosine        {result.mean_cosine:.6f}")
    print(f"recall@{result.k:<2}          {result.recall:.4f} ({result.queries:,} queries)")
    print(f"size of A          {sizes['size_a']:,} bytes")
    print(f"size of B          {sizes['size_b']:,} bytes")
    return 0
