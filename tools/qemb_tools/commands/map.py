"""``qemb map``: a picture of the neighbourhood of some words, or of the first words of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from qemb_tools.commands import Subparsers

_HELP = "draw the neighbourhood of some words, or the first words of a file, in the plane"


def add_to(commands: Subparsers) -> None:
    """Declare the command."""
    parser = commands.add_parser("map", help=_HELP, description=_HELP)
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("words", metavar="WORD", nargs="*", help="words to show with their neighbours")
    parser.add_argument(
        "--top", type=int, metavar="N", help="neighbours of each word (default 25); without words, how many (500)"
    )
    parser.add_argument(
        "--method", choices=("pca", "umap"), default="pca", help='pca (the default), or umap, with the extra "map"'
    )
    parser.add_argument(
        "-o", "--output", metavar="OUT", help="a page to zoom and search (.html), or a picture (.svg, .png)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the picture; without one, print a line a word: the word, a tab, x, a tab, y."""
    from pathlib import Path

    from qemb_tools.commands.opening import open_embedding, require_words
    from qemb_tools.commands.output import print_json
    from qemb_tools.interface import UsageError
    from qemb_tools.pictures import map as picture
    from qemb_tools.projection import make_map

    if arguments.top is not None and arguments.top < 1:
        raise UsageError(f"--top {arguments.top} asks for no words; name 1 or more")
    if arguments.output is not None:
        picture.check(arguments.output)
    with open_embedding(arguments.file) as embedding:
        require_words(embedding, arguments.words, arguments.file)
        found = make_map(embedding, arguments.words, top=arguments.top, method=arguments.method)
    if arguments.output is not None:
        picture.write(arguments.output, found, Path(arguments.file).name)
    if arguments.json:
        print_json(found.to_dict())
    elif arguments.output is None:
        for place in found.places:
            print(f"{place.word}\t{place.x:.4f}\t{place.y:.4f}")
    else:
        print(f"{arguments.output}: {len(found.places):,} words, by {found.how}")
    return 0
