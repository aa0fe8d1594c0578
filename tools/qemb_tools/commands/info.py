"""``qemb info``: what a file says of itself."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from qemb_tools.commands import Subparsers
    from qemb_tools.interface import Found

_HELP = "print what a .qemb file holds, or which tables of another file can be converted"


def add_to(commands: Subparsers) -> None:
    """Declare the command."""
    parser = commands.add_parser("info", help=_HELP, description=_HELP)
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print it, a line an item."""
    from qemb_tools.commands.opening import open_embedding
    from qemb_tools.commands.output import print_json
    from qemb_tools.formats import list_tables

    tables = list_tables(arguments.file)
    if tables is not None:
        if arguments.json:
            print_json([asdict(table) for table in tables])
        else:
            _print_tables(tables)
        return 0
    with open_embedding(arguments.file) as embedding:
        information = embedding.info.to_dict()
        information.setdefault("metadata", embedding.metadata)
    if arguments.json:
        print_json(information)
    else:
        _print(information, "")
    return 0


def _print_tables(tables: list[Found]) -> None:
    """A line a table, and what `qemb convert` has to be told."""
    for table in tables:
        words = f"words: {table.words}" if table.words else "words: name them, --tokens"
        shape = f"{table.rows:,} x {table.dim:,} {table.dtype}"
        print(f"--dataset {table.name}  {shape}  {table.layout}  {table.problem or words}")
    if not tables:
        print("there is no table in the file that could be converted")


def _print(items: dict[str, object], indent: str) -> None:
    width = max((len(key) for key in items), default=0)
    for key, value in items.items():
        if isinstance(value, dict) and value:
            print(f"{indent}{key}")
            _print(value, indent + "  ")
        elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            print(f"{indent}{key}")
            for item in value:
                print(f"{indent}  " + "  ".join(f"{k} {_plain(v)}" for k, v in item.items()))
        else:
            print(f"{indent}{key:<{width}}  {_plain(value)}")


def _plain(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
