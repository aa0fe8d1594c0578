"""``qemb nearest``: the words nearest to a word, or to a sum of words."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    import qemb
    from qemb_tools.commands import Subparsers

_HELP = "print the words nearest to a word"


def add_to(commands: Subparsers) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "nearest", help=_HELP, description=f"{_HELP}, by cosine; king --minus man --plus woman asks for an analogy"
    )
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("words", metavar="WORD", nargs="+", help="the word; several are averaged")
    parser.add_argument("-k", type=int, default=10, metavar="N", help="how many (default 10)")
    parser.add_argument("--plus", action="append", default=[], metavar="WORD", help="add this word; may be repeated")
    parser.add_argument(
        "--minus", action="append", default=[], metavar="WORD", help="subtract this word; may be repeated"
    )
    parser.add_argument("--approximate", action="store_true", help="use the index that `qemb index` made")
    parser.add_argument(
        "--effort", type=int, choices=range(10), metavar="0-9", help="with --approximate: time for recall (default 5)"
    )
    parser.add_argument("--json", action="store_true", help="print a JSON list of words and cosines")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print a line a neighbour: the word, a tab, its cosine; columns on a terminal."""
    from qemb_tools.commands.opening import open_embedding, require_words
    from qemb_tools.commands.output import print_json
    from qemb_tools.interface import UsageError
    from qemb_tools.terminal import print_columns

    if arguments.k < 1:
        raise UsageError(f"-k {arguments.k} asks for no neighbours; name 1 or more")
    if arguments.effort is not None and not arguments.approximate:
        raise UsageError("--effort says how hard to look in the index; it needs --approximate")
    positive = arguments.words + arguments.plus
    with open_embedding(arguments.file, _opener(arguments)) as embedding:
        require_words(embedding, positive + arguments.minus, arguments.file)
        if arguments.minus or len(positive) > 1:
            found = embedding.analogy(positive=positive, negative=arguments.minus, k=arguments.k)
        else:
            found = embedding.nearest(positive[0], k=arguments.k)
    if arguments.json:
        print_json([{"word": word, "cosine": score} for word, score in found])
    elif sys.stdout.isatty():
        print_columns([(word, f"{score:.4f}") for word, score in found], header=("word", "cosine"), right="lr")
    else:
        for word, score in found:
            print(f"{word}\t{score:.4f}")
    return 0


def _opener(arguments: argparse.Namespace) -> Callable[[str], qemb.Embedding]:
    """What opens the file: exact or with its index."""
    import qemb

    if not arguments.approximate:
        return qemb.open
    from qemb_tools.approximate import DEFAULT_EFFORT, load

    return partial(load, effort=DEFAULT_EFFORT if arguments.effort is None else arguments.effort)
