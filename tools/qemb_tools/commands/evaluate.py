"""``qemb evaluate``: what files of vectors are worth in tasks, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from qemb_tools.commands import Subparsers
    from qemb_tools.evaluate.files import Evaluation

_HELP = "score files of vectors in tasks: similarity, analogies, outliers, classification"
_NAMED = 8
"""Words not found that are named."""


def add_to(commands: Subparsers) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "evaluate",
        help=_HELP,
        description=f"{_HELP}. Any number of files of any formats, side by side; differences are from the first.",
    )
    parser.add_argument("files", metavar="FILE", nargs="+")
    parser.add_argument(
        "--similarity", nargs="+", action="extend", default=[], metavar="SET",
        help="word similarity: lines of word, tab, word, tab, score (gensim's format; MEN, WordSim-353, SimLex-999)",
    )  # fmt: skip
    parser.add_argument("--analogies", metavar="SET", help="analogies in the format of questions-words.txt, by 3CosAdd")
    parser.add_argument(
        "--outliers",
        metavar="SET",
        help="outlier detection (8-8-8): a file of words, an empty line, outliers; or a folder",
    )
    parser.add_argument(
        "--classify", action="append", default=[], metavar="TRAIN[,TEST]",
        help="classify texts: a folder of class folders, TSV or CSV; a fifth is tested on where TEST is left out; "
        "repeatable; needs the extra sklearn",
    )  # fmt: skip
    parser.add_argument(
        "--whitespace", action="store_true", help="texts are in tokens already: cut them at spaces only"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the split into train and test (default 0)")
    parser.add_argument(
        "--restrict", type=int, default=None, metavar="N",
        help="look up words of sets among the first N of a file (default 300,000, as gensim; 0: all)",
    )  # fmt: skip
    parser.add_argument("--case", action="store_true", help="upper and lower case differ in the words of sets")
    parser.add_argument("--json", action="store_true", help="print JSON, with all words not found")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print a table with a column for each file."""
    from qemb_tools.commands.output import print_columns, print_json
    from qemb_tools.evaluate.files import evaluate
    from qemb_tools.evaluate.table import RESTRICT
    from qemb_tools.interface import UsageError

    restrict = RESTRICT if arguments.restrict is None else arguments.restrict
    if restrict < 0 or arguments.seed < 0:
        raise UsageError("--restrict and --seed are 0 or more")
    found = evaluate(
        arguments.files,
        similarity=arguments.similarity,
        analogies=arguments.analogies,
        outliers=arguments.outliers,
        texts=arguments.classify,
        restrict=restrict or None,
        fold=not arguments.case,
        whitespace=arguments.whitespace,
        seed=arguments.seed,
        show_progress=not arguments.json,
    )
    if arguments.json:
        print_json([each.to_dict(found[0]) for each in found])
        return 0
    print_columns([["", *_short([each.file for each in found])], *_rows(found)])
    for line in _missing(found):
        print(line)
    return 0


def _short(paths: Sequence[str]) -> list[str]:
    """Names of files, paths where names are the same."""
    names = [Path(path).name for path in paths]
    return names if len(set(names)) == len(names) else list(paths)


def _rows(found: Sequence[Evaluation]) -> Iterator[list[str]]:
    first = found[0]
    yield ["bytes", *(f"{each.size:,}" for each in found)]
    for scores in zip(*(each.similarity for each in found), strict=True):
        yield [f"{scores[0].name}, Spearman", *(f"{score.spearman:.4f}" for score in scores)]
        yield ["  pairs found", *(f"{score.found:,} of {score.pairs:,}" for score in scores)]
    analogies = [each.analogies for each in found if each.analogies is not None]
    if analogies:
        for sections in zip(*([*each.sections, each.total] for each in analogies), strict=True):
            name = "analogies" if sections[0] is analogies[0].total else f"  {sections[0].name}"
            yield [name, *(_share(each.accuracy) for each in sections)]
        yield ["  questions found", *(f"{each.total.found:,} of {each.total.questions:,}" for each in analogies)]
    outliers = [each.outliers for each in found if each.outliers is not None]
    if outliers:
        yield ["outliers detected", *(_share(each.accuracy) for each in outliers)]
        yield ["  OPP", *(_share(each.opp) for each in outliers)]
        yield ["  outliers found", *(f"{each.found:,} of {each.questions:,}" for each in outliers)]
    for name in first.classified:
        results = [each.classified[name] for each in found]
        yield [f"{name}, accuracy", *(_share(each.accuracy) for each in results)]
        yield ["  95% (Wilson)", *(_interval(each.interval) for each in results)]
        if len(found) > 1:
            paired = [each.paired(first, name) for each in found[1:]]
            yield ["  difference", "", *(f"{100 * each.difference:+.2f}" for each in paired)]
            yield ["  95% (paired)", "", *(_interval(each.interval, "+") for each in paired)]
        yield ["  texts tested", *(f"{len(each.right):,}" for each in results)]
        yield ["  vectors made in", *(f"{each.seconds:.2f} s" for each in results)]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"


def _interval(bounds: tuple[float, float], sign: str = "") -> str:
    low, high = (f"{100 * bound:{sign}.2f}" for bound in bounds)
    return f"{low} to {high}"


def _missing(found: Sequence[Evaluation]) -> Iterator[str]:
    """A line for each set and file with words that were not found; one for all files where they are the same."""
    for each in found:
        parts = [(score.name, score.missing) for score in each.similarity]
        parts += [(name, part.missing) for name, part in (("analogies", each.analogies), ("outliers", each.outliers))
                  if part is not None]  # fmt: skip
        for name, words in parts:
            if words:
                more = f" and {len(words) - _NAMED:,} more" if len(words) > _NAMED else ""
                yield f"not in {each.file}, of {name}: {', '.join(words[:_NAMED])}{more}"
