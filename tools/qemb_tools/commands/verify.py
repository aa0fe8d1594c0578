"""``qemb verify``: check files to the last byte."""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    import qemb
    from qemb_tools.commands import Subparsers

_HELP = "check .qemb files to the last byte"


def add_to(commands: Subparsers) -> None:
    """Declare the command."""
    parser = commands.add_parser("verify", help=_HELP, description=_HELP)
    parser.add_argument("files", metavar="FILE", nargs="+")
    parser.add_argument("--all", action="store_true", help="name everything that is wrong, not the first alone")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check each file, also after one that is bad; 1 if any is."""
    from qemb_tools.commands.output import print_json
    from qemb_tools.terminal import paint

    results: list[dict[str, object]] = []
    for name in arguments.files:
        wrong: list[dict[str, object]] = []
        for fault in _faults(name, everything=arguments.all):
            print(f"qemb: {name}: {fault}", file=sys.stderr)
            wrong.append(
                {
                    "code": fault.code,
                    "message": fault.message,
                    "where": fault.where,
                    "offset": fault.offset,
                    "rows": [list(span) for span in fault.rows],
                }
            )
        if not wrong and not arguments.json:
            print(f"{name}: {paint('good', 'green')}")
        result = {"file": name, "good": not wrong, "error": wrong[0] if wrong else None}
        results.append({**result, "errors": wrong} if arguments.all else result)
    if arguments.json:
        print_json(results)
    return int(not all(result["good"] for result in results))


def _faults(name: str, *, everything: bool) -> list[qemb.QembError]:
    """What is wrong with a file: everything, or the first; a bar is shown meanwhile."""
    import qemb
    from qemb_tools.commands.opening import open_embedding
    from qemb_tools.progress import progress

    try:
        with open_embedding(name) as embedding, progress(None, f"checking {name}", unit="B") as bar:

            def tell(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            return list(islice(embedding.faults(tell), None if everything else 1))
    except qemb.QembError as error:
        return [error]
