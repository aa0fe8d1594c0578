"""The options ``--html``, ``--svg`` and ``--png`` of the commands that draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qemb_tools.interface import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from qemb_tools.pictures.chart import Chart


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare them."""
    parser.add_argument("--html", metavar="OUT", help="write a page, in one file that needs no network")
    parser.add_argument("--svg", metavar="OUT", help="write the plots as SVG")
    parser.add_argument("--png", metavar="OUT", help='write the plots as PNG; needs the extra "plots"')


def wanted(arguments: argparse.Namespace) -> bool:
    """Whether anything is to be drawn; checked first, so that nobody waits for figures that cannot be drawn.

    Raises
    ------
    UsageError
        PNG is wanted and matplotlib not installed, or two files have one name.
    """
    names = [name for name in (arguments.html, arguments.svg, arguments.png) if name is not None]
    if len(set(names)) < len(names):
        raise UsageError("--html, --svg and --png need names of their own")
    if arguments.png is not None:
        from qemb_tools.pictures import png

        png.require()
    return bool(names)


def write(arguments: argparse.Namespace, charts: Sequence[Chart], page: Callable[[], str]) -> None:
    """Write what was asked for."""
    from qemb_tools.pictures import png, svg
    from qemb_tools.pictures.page import write as write_text

    if arguments.html is not None:
        write_text(arguments.html, page())
    if arguments.svg is not None:
        write_text(arguments.svg, svg.document(charts))
    if arguments.png is not None:
        png.write(arguments.png, charts)
