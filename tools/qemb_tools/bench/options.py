"""Arguments of ``qemb bench``; light, for the parsers of all commands are built each time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

HELP = "measure qemb beside others, and print tables"
SPEED = ("open", "lookup", "search", "first", "decode", "convert", "scale")
"""Parts of ``speed``."""
OTHERS = ("data", "quality", "exact", "encode", "tasks", "keyedvectors", "memory", "minilm", "approximate")
PARTS = ("speed", *SPEED, *OTHERS)
WIDTHS = (8, 6, 4, 3, 2, 1)
_LARGEST = 1_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare them."""
    names = [*PARTS, "all", "pages"]
    parser.add_argument(
        "part", nargs="?", default="speed", choices=names, metavar="PART",
        help="what to measure: speed (the default) runs " + ", ".join(SPEED) + " and judges them; others are "
        + ", ".join(OTHERS)
        + "; all runs everything; pages measures nothing and fills pages from --json",
    )  # fmt: skip
    parser.add_argument("--glove", type=Path, metavar="FILE", help="GloVe text; GloVe 6B 50d where it is left out")
    parser.add_argument("--tables", type=Path, metavar="DIR", help="folder of further tables")
    parser.add_argument("--eval", type=Path, metavar="DIR", help="folder of word similarity and SST-2")
    parser.add_argument("--model", type=Path, metavar="DIR", help="folder of a model with its tokenizer (MiniLM's)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument(
        "--fill", type=Path, action="append", default=[], metavar="FILE",
        help="put the figures between the marks <!-- figures: PART --> and <!-- /figures --> of a page; repeatable",
    )  # fmt: skip
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the figures of scale as SVG")
    parser.add_argument("--table", action="append", metavar="NAME", help="measure this table only; may be repeated")
    parser.add_argument("--only", action="append", metavar="TEXT", help="methods with this in their name; repeatable")
    parser.add_argument("--bits", type=_widths, default=WIDTHS, metavar="N,N", help="widths (8,6,4,3,2,1)")
    parser.add_argument("--rows", type=int, default=100_000, metavar="N", help="rows of a table (%(default)s)")
    parser.add_argument("--queries", type=int, default=2048, metavar="N", help="queries of recall (%(default)s)")
    parser.add_argument("--repeat", type=int, metavar="N", help="turns of each side (as many as each part has, or 2)")
    parser.add_argument(
        "--largest",
        type=int,
        default=_LARGEST,
        metavar="N",
        help="most rows of scale and approximate (%(default)s); 10000000 takes 2 GB",
    )
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="where files are made: on a disk, 2 GB and more")


def _widths(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))
