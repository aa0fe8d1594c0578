"""``qemb get``: the vectors of words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from qemb_tools.commands import Subparsers

_HELP = "print the vectors of words"


def add_to(commands: Subparsers) -> None:
    """Declare the command."""
    parser = commands.add_parser("get", help=_HELP, description=_HELP)
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("words", metavar="WORD", nargs="+")
    parser.add_argument("--json", action="store_true", help="print a JSON object of words and vectors")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print a line of text a word, numbers in their shortest exact form."""
    from qemb_tools.commands.opening import open_embedding, require_words
    from qemb_tools.commands.output import print_json

    with open_embedding(arguments.file) as embedding:
        require_words(embedding, arguments.words, arguments.file)
        vectors = embedding[arguments.words]
    # str() of a float32 gives its shortest exact form; of a Python float it would print the digits of a double
    rows = [[str(value) for value in vector] for vector in vectors]
    if arguments.json:
        print_json({word: [float(v) for v in row] for word, row in zip(arguments.words, rows, strict=True)})
    else:
        for word, row in zip(arguments.words, rows, strict=True):
            print(word, *row)
    return 0
