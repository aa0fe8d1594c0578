"""Sentiment of reviews and sentences with a table in float32, exact and at fewer bits: what is lost, if anything."""

from __future__ import annotations

import tempfile
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from qemb_tools.bench.data import MissingTableError, Places
from qemb_tools.bench.report import describe_machine, markdown
from qemb_tools.convert import convert
from qemb_tools.evaluate.classify import judge
from qemb_tools.evaluate.files import split_at_spaces
from qemb_tools.evaluate.intervals import Paired, wilson
from qemb_tools.evaluate.texts import read_labelled
from qemb_tools.interface import UsageError
from qemb_tools.sentences import SentenceEncoder, split_words

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from qemb_tools.bench.report import Report, Row
    from qemb_tools.sentences import Words

FILES: dict[str, dict[str, Any]] = {
    "float32": {"scheme": "float32"},
    "exact": {"scheme": "exact"},
    **{f"{bits} bits": {"bits": bits} for bits in (8, 4, 3, 2)},
}
"""What is measured, the reference first, and how each file is written."""
WITHOUT_LOSS = ("exact", "8 bits", "4 bits")
SETS: dict[str, tuple[str, str, Words]] = {
    "IMDB": ("imdb/train.tsv.gz", "imdb/test.tsv.gz", split_words),
    "SST-2": ("sst2/train.tsv", "sst2/test.tsv", split_at_spaces),  # which is in tokens already
}
_TURNS = 3
_WARM = 100
_COLUMNS = [
    ("file", "file", ""),
    ("size", "MB", ">"),
    ("accuracy", "accuracy, %", ">"),
    ("interval", "95% interval", ">"),
    ("difference", "difference", ">"),
    ("paired", "95% interval of it", ">"),
    ("changed", "gained, lost", ">"),
    ("seconds", "s to vectorize", ">"),
]


def measure(arguments: argparse.Namespace, report: Report) -> list[Row]:
    """Write the files, classify with each, and time the vectors of all texts, files taking turns.

    Raises
    ------
    UsageError
        The table or the texts are not where they should be.
    """
    if arguments.eval is None or not all(
        (arguments.eval / path).is_file() for *paths, _ in SETS.values() for path in paths
    ):
        raise UsageError("name a folder with --eval DIR that holds imdb/ and sst2/, each with train and test")
    try:
        glove = Places(arguments.glove).glove_text()
    except MissingTableError as missing:
        raise UsageError(str(missing)) from None
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() if arguments.scratch is None else nullcontext(arguments.scratch) as folder:
        files = _files(str(glove), Path(folder), report)
        for title, (train_path, test_path, words) in SETS.items():
            train, test = (read_labelled(str(arguments.eval / path)) for path in (train_path, test_path))
            report.progress(f"{title}: vectors")
            vectors, seconds = _encode(files, [*train.texts, *test.texts], words)
            reference = None
            for name, path in files.items():
                report.progress(f"{title}: {name}")
                right = judge(vectors[name], train, test)
                reference = right if reference is None else reference
                paired = Paired.of(reference, right)
                (low, high), (paired_low, paired_high) = wilson(int(right.sum()), len(right)), paired.interval
                rows.append({
                    "set": title, "file": name, "size": path.stat().st_size,
                    "train": len(train.texts), "test": len(test.texts), "right": int(right.sum()),
                    "accuracy": float(right.mean()), "low": low, "high": high,
                    "gained": paired.gained, "lost": paired.lost, "difference": paired.difference,
                    "paired_low": paired_low, "paired_high": paired_high, "mcnemar_p": paired.p,
                    "cpu_seconds": seconds[name],
                })  # fmt: skip
    return rows


def _files(source: str, folder: Path, report: Report) -> dict[str, Path]:
    """The files, made where they are not there."""
    files = {}
    for name, options in FILES.items():
        report.progress(f"writing {name}")
        files[name] = folder / f"{name.replace(' ', '-')}.qemb"
        if not files[name].exists():
            convert(source, str(files[name]), **options)
        source = str(files["float32"])
    return files


def _encode(
    files: dict[str, Path], texts: list[str], words: Words
) -> tuple[dict[str, NDArray[np.float32]], dict[str, float]]:
    """Vectors of texts by each file, and the processor time that they take: the median of turns."""
    encoders = {name: SentenceEncoder(path, words) for name, path in files.items()}
    vectors, taken = {}, {name: list[float]() for name in files}
    for encoder in encoders.values():
        encoder.encode(texts[:_WARM])  # which compiles kernels
    for _ in range(_TURNS):
        for name, encoder in encoders.items():
            begun = time.process_time()
            vectors[name] = encoder.encode(texts)
            taken[name].append(time.process_time() - begun)
    for encoder in encoders.values():
        encoder.embedding.close()
    return vectors, {name: median(each) for name, each in taken.items()}


def blocks(saved: dict[str, Any]) -> dict[str, Callable[[], list[str]]]:
    """What stands between the marks of the page."""
    rows = saved["rows"]
    return {
        "machine": lambda: [describe_machine(saved["machine"])],
        "verdict": lambda: _verdict(rows),
        **{title.lower(): partial(_table, [row for row in rows if row["set"] == title]) for title in SETS},
    }


def _table(rows: list[Row]) -> list[str]:
    lines = [
        {
            "file": row["file"],
            "size": f"{row['size'] / 1e6:.1f}",
            "accuracy": f"{100 * row['accuracy']:.2f}",
            "interval": _range(row["low"], row["high"]),
            "seconds": f"{row['cpu_seconds']:.2f}",
        }
        | ({} if row is rows[0] else {
            "difference": f"{100 * row['difference']:+.2f}",
            "paired": _range(row["paired_low"], row["paired_high"], "+"),
            "changed": f"{row['gained']}, {row['lost']}",
        })
        for row in rows
    ]  # fmt: skip
    first = rows[0]
    texts = f"{first['set']}, {first['train']:,} texts to train on and {first['test']:,} to test on:"
    return [texts, "", *markdown(_COLUMNS, lines)]


def _range(low: float, high: float, sign: str = "") -> str:
    return f"{100 * low:{sign}.2f} to {100 * high:{sign}.2f}"


def _verdict(rows: list[Row]) -> list[str]:
    """Whether a loss lies outside its interval, for the files that should have none; and where others have one."""
    lost = [row for row in rows if row["paired_high"] < 0]
    named = [f"{row['file']} on {row['set']}" for row in lost if row["file"] in WITHOUT_LOSS]
    others = [f"{row['file']} on {row['set']}" for row in lost if row["file"] not in WITHOUT_LOSS]
    worst = -100 * min(row["paired_low"] for row in rows if row["file"] in WITHOUT_LOSS)
    first = (
        "At 4 bits and above no loss lies outside its interval: each interval of a difference reaches 0 or more, "
        f"and none reaches below a loss of {worst:.2f} points."
    )
    if named:
        first = f"A loss lies outside its interval: {', '.join(named)}."
    rest = f" Below 4 bits it does for {', '.join(others)}." if others else " Below 4 bits none does either."
    return [first + rest]
