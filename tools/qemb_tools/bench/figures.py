"""Pages of the documentation whose figures one command repeats: ``make docs-figures``.

A part is a module with ``measure(arguments, report)``, which gives rows, and ``blocks(saved)``, which makes of them
what stands between the marks of a page. Rows are kept in a JSON file beside the page; both have the name of the part.
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qemb_tools.bench.report import Report, dump, fill
from qemb_tools.interface import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

PARTS = {"evaluate": "qemb_tools.bench.sentiment"}
"""Pages, and the modules that measure what they show."""
PACKAGES = ("numpy", "numba", "scikit-learn", "torch")


def filled(part: str, page: str, saved: dict[str, Any]) -> str:
    """The text of a page with the figures of an earlier run."""
    return fill(page, import_module(PARTS[part]).blocks(saved))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure parts and fill their pages; the exit code is 0, or 2 where the command is wrong."""
    parser = argparse.ArgumentParser(prog="make docs-figures", description="Measure, and fill pages of docs/.")
    parser.add_argument("part", nargs="*", metavar="PART", help=f"some of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--glove", type=Path, metavar="FILE", help="GloVe text")
    parser.add_argument("--eval", type=Path, metavar="DIR", help="folder of imdb/ and sst2/")
    parser.add_argument("--docs", type=Path, default=Path("docs"), metavar="DIR", help="folder of the pages (docs)")
    parser.add_argument("--scratch", type=Path, metavar="DIR", help="where files are made, kept and used again")
    parser.add_argument("--pages", action="store_true", help="measure nothing, fill pages from what was measured")
    arguments = parser.parse_args(argv)
    if strange := [part for part in arguments.part if part not in PARTS]:
        parser.error(f"there is no part {strange[0]}; parts: {', '.join(PARTS)}")
    for part in arguments.part or PARTS:
        kept, page = (arguments.docs / f"{part}.{suffix}" for suffix in ("json", "md"))
        try:
            if not arguments.pages:
                report = Report()
                report.rows = import_module(PARTS[part]).measure(arguments, report)
                kept.write_text(dump(report.to_dict(PACKAGES)), encoding="utf-8")
            saved = json.loads(kept.read_text(encoding="utf-8"))
            page.write_text(filled(part, page.read_text(encoding="utf-8"), saved), encoding="utf-8")
        except UsageError as error:
            parser.error(str(error))
        print(f"{page}: filled from {kept}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
