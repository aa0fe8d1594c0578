"""The adapter that conformance/README.md grows works at each step, and its commands print what it says they print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "conformance" / "README.md").read_text(encoding="utf-8")
FILES = ("reader.mjs", "wrong.mjs", "known.txt", "junit.xml", "answer.json")
"""What the reader of the page saves in the root of the clone; here in a folder of its own."""


def plain(line):
    """A line but for numbers, which change with the corpus and the machine, and the width of columns."""
    return " ".join(re.sub(r"\d[\d.]*", "N", line).split())


def commands(block):
    """Commands with the lines that they are said to print."""
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line)
    return found


def check_output(printed, said):
    """Lines that are shown stand there in this order, one after the other but for where dots are."""
    lines = [plain(line) for line in printed.splitlines()]
    at, skip = 0, False
    for line in said:
        if line.strip() == "...":
            skip = True
            continue
        place = lines.index(plain(line), at)
        assert skip or place == at, f"{lines[at]!r} stands before {line!r}"
        at, skip = place + 1, False


def test_the_page_is_true(require, tmp_path):
    require("node", "bash", "sed")
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    reader, ran = "", 0
    for language, block in re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL):
        if language == "js":
            head, _, rest = block.partition("\n")
            old = head.removeprefix("// instead of: ")
            assert reader.count(old) == bool(reader)
            reader = reader.replace(old, rest.rstrip("\n")) if reader else block
            (tmp_path / "reader.mjs").write_text(reader, encoding="utf-8")
            continue
        assert language == "console"
        for command, said in commands(block):
            here = command
            for name in FILES:
                here = here.replace(name, str(tmp_path / name))
            done = subprocess.run(
                ["bash", "-c", here], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
            )
            printed = done.stdout.replace(f"{tmp_path}{os.sep}", "")
            assert done.stderr == ""
            assert done.returncode == any(line.startswith("FAIL") for line in said), printed
            check_output(printed, said)
            ran += 1
    assert ran > 8


def test_every_folder_that_the_page_names_has_cases():
    manifest = (ROOT / "conformance" / "manifest.json").read_text(encoding="utf-8")
    named = set(re.findall(r'"(valid/\w+)/\*"', README))
    assert len(named) > 10
    assert {folder for folder in named if f'"id": "{folder}/' not in manifest} == set()
