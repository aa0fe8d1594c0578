"""Memory of processes that encode sentences from one ``.qemb`` file, beside model2vec's with the same token table."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from qemb_tools.bench.data import MissingTableError, minilm_folder, read_file
from qemb_tools.sentences import convert_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qemb_tools.bench.data import Table
    from qemb_tools.bench.report import Report

PROCESSES = 4
SENTENCES = 2000
_WIDTHS = (8, 4)
_SMAPS = Path("/proc/self/smaps_rollup")

_OURS = "from qemb_tools.sentences import SentenceEncoder; encode = SentenceEncoder(sys.argv[1]).encode"
_THEIRS = "from model2vec import StaticModel; encode = StaticModel.from_pretrained(sys.argv[1]).encode"
_THEIRS_SMALL = f"import functools; {_THEIRS}; encode = functools.partial(encode, batch_size=64)"
_NEITHER = """
import numpy, tokenizers
tokenizer = tokenizers.Tokenizer.from_file(sys.argv[1] + "/tokenizer.json")
def encode(texts):
    for low in range(0, len(texts), 1024):
        tokenizer.encode_batch_fast(texts[low:low + 1024])
"""
# each waits, with everything in memory, until the parent has looked at all of them
_CODE = """
import sys
{load}
texts = open(sys.argv[2], encoding="utf-8").read().splitlines()
encode(texts)
print("ready", flush=True)
sys.stdin.read()
"""


def run(report: Report, *, model: Path | None = None, widths: Sequence[int] = _WIDTHS) -> None:
    """Print private and proportional memory of `PROCESSES` at once, all having encoded the same sentences."""
    try:
        folder = model or minilm_folder()
        table = read_file("model", str(folder), folder)
    except MissingTableError as missing:
        report.note(f"- {missing}")
        return
    if not _SMAPS.exists():
        report.note("- memory: not run; it is read from /proc/PID/smaps_rollup, which Linux has")
        return
    with tempfile.TemporaryDirectory() as scratch:
        texts = Path(scratch, "texts.txt")
        texts.write_text("\n".join(_sentences(table)), encoding="utf-8")
        sides: list[tuple[str, str, Path]] = [("numpy and the tokenizer alone", _NEITHER, folder)]
        for bits in (bits for bits in _WIDTHS if bits in widths):
            sides.append((f"qemb, {bits} bits", _OURS, Path(scratch, f"{bits}.qemb")))
            convert_model(folder, sides[-1][2], bits=bits)
        if find_spec("model2vec") is None:
            report.note('- model2vec: not measured; pip install "qemb-format[bench]"')
        else:
            theirs = Path(scratch, "model2vec")
            _write_model2vec(table, folder, theirs)
            sides += [
                ("model2vec, float32", _THEIRS, theirs),
                ("model2vec, float32, 64 texts at a time", _THEIRS_SMALL, theirs),
            ]
        rows = [{"name": name, **_measure(load, path, texts)} for name, load, path in sides]
    report.heading(f"Encoding {SENTENCES:,} sentences, table of {len(table.tokens):,} x {table.vectors.shape[1]}")
    report.table("memory", [
        ("name", "", ""),
        ("private", "private, MB a process", ".1f"),
        ("anonymous", "anonymous, MB a process", ".1f"),
        ("together", f"{PROCESSES} processes together, MB", ".1f"),
    ], rows)  # fmt: skip
    report.note(
        f"\n{PROCESSES} processes at once. Private: what no other process shares (USS), the mean. Anonymous: not of a "
        "file. Together: each page counted once (PSS)."
    )


def _sentences(table: Table) -> list[str]:
    """Sentences of 20 tokens drawn at random, so that every part of the table is read."""
    words = [token.decode() for token in table.tokens if token.isalpha()]
    drawn = np.random.default_rng(0).choice(len(words), (SENTENCES, 20))
    return [" ".join(words[i] for i in row) for row in drawn.tolist()]


def _write_model2vec(table: Table, folder: Path, target: Path) -> None:
    """The same table as model2vec keeps it."""
    from model2vec import StaticModel
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    StaticModel(table.vectors, tokenizer).save_pretrained(target)


def _measure(load: str, path: Path, texts: Path) -> dict[str, float]:
    code = _CODE.format(load=load)
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    children = [
        subprocess.Popen(  # noqa: S603 - our own code
            [sys.executable, "-c", code, str(path), str(texts)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )
        for _ in range(PROCESSES)
    ]  # fmt: skip
    try:
        for child in children:
            if child.stdout is None or child.stdout.readline() != "ready\n":
                raise RuntimeError("a process that encodes sentences failed; its error stands above")
        usage = [_usage(child.pid) for child in children]
    finally:
        for child in children:
            child.communicate("")
    private = [each["Private_Clean"] + each["Private_Dirty"] for each in usage]
    return {
        "private": sum(private) / PROCESSES,
        "anonymous": sum(each["Anonymous"] for each in usage) / PROCESSES,
        "together": sum(each["Pss"] for each in usage),
    }


def _usage(pid: int) -> dict[str, float]:
    """Fields of smaps_rollup, in megabytes."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    return {name: int(rest.split()[0]) * 1024 / 1e6 for name, _, rest in (line.partition(":") for line in lines)}
