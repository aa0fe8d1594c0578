"""``qemb compare``: how far two tables are apart, row by row and in their neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qemb_tools.pictures.outputs import add_arguments

if TYPE_CHECKING:
    import argparse

    from qemb_tools.commands import Subparsers

_HELP = "compare two files of vectors: error, cosine, neighbours, sizes; as figures, a page or plots"


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
    parser.add_argument(
        "--similarity",
        action="append",
        default=[],
        metavar="SET",
        help="word pairs with scores (word, tab, word, tab, score a line): rank correlations on them; may be repeated",
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    add_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the figures; write the page and the plots."""
    from dataclasses import asdict

    from qemb_tools.commands.output import print_json
    from qemb_tools.compare import compare_pair, read_pair
    from qemb_tools.evaluate.similarity import read_pairs
    from qemb_tools.interface import UsageError
    from qemb_tools.pictures import outputs

    if arguments.rows < 2 or arguments.queries < 1:
        raise UsageError("--rows needs at least 2 and --queries at least 1")
    drawn = outputs.wanted(arguments)
    sets = [read_pairs(path) for path in arguments.similarity]
    pair = read_pair(arguments.a, arguments.b, arguments.rows)
    result = compare_pair(pair, queries=arguments.queries, sets=sets)
    curve = None
    if drawn:
        from qemb_tools.pictures.comparison import comparison_charts, comparison_page, measure_curve

        curve = measure_curve(pair, show_progress=True)
        outputs.write(arguments, comparison_charts(result, curve), lambda: comparison_page(result, curve))
    if arguments.json:
        print_json(result.to_dict() | ({} if curve is None else {"curve": asdict(curve)}))
        return 0
    for name, value in result.facts():
        print(f"{name:<18} {value}")
    if result.moved:
        print("moved most         " + ", ".join(f"{word.word} ({word.cosine:.3f})" for word in result.moved[:8]))
    return 0
