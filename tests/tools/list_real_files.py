"""What becomes of real files, as a Markdown table: gensim's that hold vectors, and the tables beside the project.

    python tests/tools/list_real_files.py > real-files.md

Each goes through ``qemb convert --bits 8``, as anyone would run it; `test_real_files` checks what comes out.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import runpy
import tempfile
from pathlib import Path

import gensim

from qemb_tools.cli import main

HERE = Path(__file__).resolve().parent
SHARED = Path(os.environ.get("QEMB_SHARED_DATA") or HERE.parents[2] / "shared" / "data") / "tables"
FLAGS = {"encoding": "--encoding", "keep_bytes": "--bytes"}


def convert(path: Path, target: str, options: list[str]) -> tuple[str, str]:
    """Shape and size in words, or the refusal; and the notes."""
    output, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        code = main(["convert", str(path), target, "--bits", "8", "--json", *options])
    if code:
        return f"refused ({code}): {errors.getvalue().strip().replace(str(path.parent) + '/', '')}", ""
    done = json.loads(output.getvalue())
    result = f"{done['rows']:,} x {done['dim']}, {done['scheme']}, {done['size']:,} bytes"
    if done["duplicates"]:
        done["notes"].append(f"duplicates left out: {done['duplicates']}")
    return result, "; ".join(done["notes"])


def rows(folder: Path, names: dict[str, list[str]]) -> None:
    print("| file | result | notes |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for name, options in names.items():
            # the first line is the file as it is; where it is refused, the second says what helps
            for line in [[], options] if options else [[]]:
                cells = [f"`{' '.join([name, *line])}`", *convert(folder / name, f"{scratch}/out.qemb", line)]
                print("|", " | ".join(cell.replace("|", "\\|") for cell in cells), "|", flush=True)


def print_tables() -> None:
    """Print both tables."""
    known = runpy.run_path(str(HERE / "test_real_files.py"))
    refused = {
        name: [] if not options else [part for key, value in options.items() for part in flag(key, value)]
        for name, (_, options) in known["GENSIM_REFUSED"].items()
    }
    print("gensim's test files that hold word vectors\n")
    rows(Path(gensim.__file__).parent / "test" / "test_data", {name: [] for name in known["GENSIM"]} | refused)
    if SHARED.is_dir():
        print("\ntables beside the project\n")
        helped = {"zh-487-300d-gbk-crlf-shortrow.vec": ["--encoding", "gbk"]}
        rows(SHARED, {path.name: helped.get(path.name, []) for path in sorted(SHARED.iterdir())})


def flag(name: str, value: str | bool) -> list[str]:  # noqa: FBT001
    """An option of `ReadOptions` as the command has it."""
    return [FLAGS[name]] if value is True else [FLAGS[name], str(value)]


if __name__ == "__main__":
    print_tables()
