"""``python -m qemb_tools.bench PART``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from qemb_tools.bench import convert, encode, exact, keyedvectors, memory, minilm, quality, tasks
from qemb_tools.bench.data import TABLES, MissingTableError, Places
from qemb_tools.bench.report import Report, machine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PACKAGES = (
    "numpy",
    "numba",
    "zstandard",
    "gensim",
    "faiss-cpu",
    "rabitqlib",
    "turbovec",
    "gguf",
    "pcodec",
    "blosc2",
    "model2vec",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run parts; the exit code is 0 when they ran, whatever they measured, and 2 when the command is wrong."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    report = Report()
    here = machine(PACKAGES)
    versions = ", ".join(f"{name} {number}" for name, number in here["versions"].items())
    report.note(f"{here['cpu']}, {here['cores']} cores; Python {here['python']}; {versions}")
    places = Places(arguments.glove, arguments.tables)
    for part in PARTS if arguments.part == "all" else [arguments.part]:
        PARTS[part](places, report, arguments)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(report.to_dict(PACKAGES), indent=2) + "\n", encoding="utf-8")
    return 0


def _data(places: Places, report: Report, arguments: argparse.Namespace) -> None:  # noqa: ARG001
    rows = []
    for name in TABLES:
        try:
            rows.append({"name": name, "what": places.table(name).describe()})
        except MissingTableError as missing:
            rows.append({"name": name, "what": f"missing. {missing}"})
    report.heading("Tables")
    report.table("data", [("name", "name", ""), ("what", "table", "")], rows)


def _convert(places: Places, report: Report, arguments: argparse.Namespace) -> None:
    convert.run(places, report, repeat=arguments.repeat)


def _quality(places: Places, report: Report, arguments: argparse.Namespace) -> None:
    quality.run(
        places, report, tables=arguments.table or quality.TABLES, widths=arguments.bits, only=arguments.only or (),
        rows=arguments.rows, queries=arguments.queries,
    )  # fmt: skip


def _exact(places: Places, report: Report, arguments: argparse.Namespace) -> None:
    exact.run(
        places, report, tables=arguments.table or exact.TABLES, only=arguments.only or (), repeat=arguments.repeat
    )


def _encode(places: Places, report: Report, arguments: argparse.Namespace) -> None:  # noqa: ARG001
    rows = min(arguments.rows, encode.ROWS)
    encode.run(report, widths=arguments.bits, only=arguments.only or (), rows=rows, repeat=arguments.repeat)


def _tasks(places: Places, report: Report, arguments: argparse.Namespace) -> None:
    tasks.run(
        places, report, folder=arguments.eval, tables=arguments.table or tasks.TABLES, widths=arguments.bits,
        only=arguments.only or (),
    )  # fmt: skip


def _memory(places: Places, report: Report, arguments: argparse.Namespace) -> None:  # noqa: ARG001
    memory.run(report, model=arguments.model, widths=arguments.bits)


def _keyedvectors(places: Places, report: Report, arguments: argparse.Namespace) -> None:  # noqa: ARG001
    keyedvectors.run(places, report)


def _minilm(places: Places, report: Report, arguments: argparse.Namespace) -> None:  # noqa: ARG001
    minilm.run(report, folder=arguments.eval, widths=arguments.bits)


PARTS: dict[str, Callable[[Places, Report, argparse.Namespace], None]] = {
    "data": _data,
    "convert": _convert,
    "quality": _quality,
    "exact": _exact,
    "encode": _encode,
    "tasks": _tasks,
    "keyedvectors": _keyedvectors,
    "memory": _memory,
    "minilm": _minilm,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m qemb_tools.bench", description="Measure, and print tables.")
    parser.add_argument("part", choices=[*PARTS, "all"], help="what to measure")
    parser.add_argument("--glove", type=Path, metavar="FILE", help="GloVe text")
    parser.add_argument("--tables", type=Path, metavar="DIR", help="folder of further tables")
    parser.add_argument("--eval", type=Path, metavar="DIR", help="folder of word similarity and SST-2")
    parser.add_argument("--model", type=Path, metavar="DIR", help="folder of a model with its tokenizer (MiniLM's)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--table", action="append", metavar="NAME", help="measure this table only; may be repeated")
    parser.add_argument("--only", action="append", metavar="TEXT", help="methods with this in their name; repeatable")
    parser.add_argument("--bits", type=_widths, default=quality.WIDTHS, metavar="N,N", help="widths (8,6,4,3,2,1)")
    parser.add_argument("--rows", type=int, default=100_000, metavar="N", help="rows of a table (%(default)s)")
    parser.add_argument("--queries", type=int, default=2048, metavar="N", help="queries of recall (%(default)s)")
    parser.add_argument("--repeat", type=int, default=2, metavar="N", help="runs of each side (%(default)s)")
    return parser


def _widths(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


if __name__ == "__main__":
    sys.exit(main())
