"""``qemb convert``: any format that is read into any format that is written."""

from __future__ import annotations

import argparse
import os
import re
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qemb_tools.commands import Subparsers

_HELP = "convert vectors from one format into another"


def add_to(commands: Subparsers) -> None:
    """Declare the command."""
    parser = commands.add_parser("convert", help=_HELP, description=_HELP)
    parser.add_argument("source", metavar="SRC", help="the file to read; - reads text from standard input")
    parser.add_argument("target", metavar="DST", help="the file to write")
    parser.add_argument(
        "--from", dest="source_format", metavar="FORMAT", help="format of SRC (else by content, by name)"
    )
    parser.add_argument("--to", dest="target_format", metavar="FORMAT", help="format of DST (else by name)")
    group = parser.add_argument_group("how the .qemb file stores values")
    group.add_argument("--bits", type=int, help="bits a value: 1 to 8, or 16 (default 8)")
    group.add_argument("--scheme", help="linear, codebook, trellis, product, float32, float16, bfloat16, exact or auto")
    group.add_argument("--effort", type=int, metavar="0-9", help="time for quality, where the scheme can trade them")
    group.add_argument("--scale", help="what shares a scale: table, row, column or block; none for product")
    group.add_argument("--block", type=int, metavar="B", help="columns in a block, with --scale block")
    group.add_argument("--sub-dim", type=int, metavar="L", help="values that share a code, with --scheme product")
    group.add_argument("--offset", choices=("mean", "none"), help="subtract the mean vector first, or nothing")
    group.add_argument(
        "--clip",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="linear: cut off the largest values where that makes the error smaller",
    )
    group.add_argument(
        "--rotate",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="rotate the rows first (default: where that makes the error much smaller)",
    )
    group.add_argument("--window", type=int, metavar="W", help="bits of a trellis's state (default: by --effort)")
    group.add_argument(
        "--compress",
        action=argparse.BooleanOptionalAction,
        help="store sections in zstd frames, each where that saves 3%%; --bits 2 to 8 are those on disk then",
    )
    group.add_argument(
        "--max-bytes",
        type=_size,
        metavar="SIZE",
        help="in place of --bits: the best that makes a file of at most SIZE, such as 20000000, 20MB or 20MiB",
    )
    group.add_argument(
        "--min-recall",
        type=float,
        metavar="R",
        help="in place of --bits: the smallest that finds this share of the ten nearest words again, such as 0.9",
    )
    group = parser.add_argument_group("how the source is read")
    group.add_argument(
        "--tokens", metavar="FILE", help="words of a matrix: text, Parquet (FILE:COLUMN), JSON; HDF5: a path in it"
    )
    group.add_argument("--dataset", metavar="NAME", help="the array to read, where a file holds several")
    group.add_argument("--encoding", metavar="NAME", help="encoding of the words, such as gbk (default UTF-8)")
    group.add_argument("--bytes", dest="keep_bytes", action="store_true", help="keep words that are not UTF-8 as bytes")
    group.add_argument("--skip-bad", action="store_true", help="leave out rows that cannot be read")
    group = parser.add_argument_group("what is converted, in the order in which it is done")
    group.add_argument("--words", metavar="FILE", help="only the words of this file, one a line")
    group.add_argument("--filter", metavar="REGEX", help="only words in which this is found")
    group.add_argument("--top", type=int, metavar="N", help="only the first N words of those")
    group.add_argument("--rename", metavar="FILE", help="a word, a tab, its new name; one a line")
    group.add_argument(
        "--replace",
        nargs=2,
        metavar=("REGEX", "TEXT"),
        help="put TEXT for what is found in a word",
    )
    group.add_argument("--lower", action="store_true", help="words in lower case")
    group.add_argument("--truncate", type=int, metavar="N", help="only the first N values of each vector")
    group.add_argument(
        "--merge",
        choices=("first", "mean"),
        default="first",
        help="of rows of the same word keep the first, or their mean, weighted by counts (default first)",
    )
    group.add_argument("--normalize", action="store_true", help="vectors of length 1")
    parser.add_argument("--dry-run", action="store_true", help="read everything, write nothing, say what would happen")
    parser.add_argument(
        "--metadata", action="append", default=[], metavar="KEY=VALUE", help="store this in the file too"
    )
    parser.add_argument("--json", action="store_true", help="print the summary and the notes as JSON")
    parser.add_argument("--quiet", action="store_true", help="no progress bar and no summary")
    parser.set_defaults(run=run)


def _size(text: str) -> int:
    """Bytes, with a unit or without."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?)(i?)b?", text.strip().lower())
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; write 20000000, 20MB or 20MiB")
    number, unit, binary = match.groups()
    return int(float(number) * (1024 if binary else 1000) ** " kmg".index(unit or " "))


def run(arguments: argparse.Namespace) -> int:
    """Convert; print a summary on standard output and notes on standard error."""
    import qemb
    from qemb_tools.commands.output import print_json
    from qemb_tools.convert import convert
    from qemb_tools.edit import Edits, compile_pattern, compile_replacement, read_renames, read_words
    from qemb_tools.interface import ReadOptions, UsageError
    from qemb_tools.stream import is_pipe

    metadata = {}
    for item in arguments.metadata:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise UsageError(f"--metadata {item} is not KEY=VALUE")
        metadata[key] = value
    writer = {
        name: value
        for name in qemb.EncoderOptions.__annotations__
        if (value := getattr(arguments, name, None)) is not None
    }
    if arguments.block is not None and arguments.scale != "block":
        raise UsageError("--block says how many columns share a scale; it needs --scale block")
    summary = convert(
        arguments.source,
        arguments.target,
        source_format=arguments.source_format,
        target_format=arguments.target_format,
        options=ReadOptions(
            arguments.tokens, arguments.dataset, arguments.encoding, arguments.keep_bytes, arguments.skip_bad
        ),
        edits=Edits(
            words=read_words(arguments.words) if arguments.words is not None else None,
            pattern=compile_pattern(arguments.filter) if arguments.filter is not None else None,
            top=arguments.top,
            rename=read_renames(arguments.rename) if arguments.rename is not None else None,
            replace=compile_replacement(*arguments.replace) if arguments.replace is not None else None,
            lower=arguments.lower,
            truncate=arguments.truncate,
            merge=arguments.merge,
            normalize=arguments.normalize,
        ),
        metadata=metadata,
        show_progress=not arguments.quiet,
        dry_run=arguments.dry_run,
        **writer,
    )
    if arguments.json:
        print_json({"source": arguments.source, "target": arguments.target, **asdict(summary)})
        return 0
    for note in summary.notes:
        print(f"qemb: note: {note}", file=sys.stderr)
    if not arguments.quiet:
        known = not is_pipe(arguments.source) and os.path.isfile(arguments.source)
        before = f"{os.path.getsize(arguments.source):,} bytes -> " if known else ""
        kind = f", {summary.scheme}" if summary.scheme else ""
        dropped = f", duplicates left out: {summary.duplicates:,}" if summary.duplicates else ""
        table = f"{summary.rows:,} rows x {summary.dim:,}{kind}"
        if arguments.dry_run:
            print(f"{arguments.target}: {table} would be written{dropped}; nothing was")
            return 0
        print(f"{arguments.target}: {table}, {before}{summary.size:,} bytes{dropped}")
    return 0
