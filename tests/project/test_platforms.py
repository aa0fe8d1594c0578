"""What is promised is what `make platforms` runs: lowest versions, and versions of Python."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "platforms.md").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_lowest_versions_are_those_that_were_tested():
    extras = PROJECT["optional-dependencies"]
    users = {"sentences", *re.findall(r"\w+", extras["all"][0].partition("[")[2])}
    wanted = {}
    for requirement in [*PROJECT["dependencies"], *(line for name in users for line in extras[name])]:
        found = re.fullmatch(r"([\w-]+)>=([\d.]+)(,<.*)?", requirement)
        if found:
            wanted.setdefault(found[1], []).append(tuple(map(int, found[2].split("."))))
        else:
            assert requirement.startswith("qemb-format["), requirement
    listed = dict(re.findall(r"^([\w-]+)==([\d.]+)$", PAGE, re.MULTILINE))
    assert {name: tuple(map(int, version.split("."))) for name, version in listed.items()} == {
        name: max(versions) for name, versions in wanted.items()
    }


def test_every_python_of_the_classifiers_is_run():
    named = {c.rpartition(" ")[2] for c in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", c)}
    command = [sys.executable, str(ROOT / "tests" / "platforms" / "check.py"), "--help"]
    parts = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert named <= {"3.11", *re.findall(r"python(3\.\d+)", parts)}
    assert PROJECT["requires-python"] == f">={min(named, key=lambda v: int(v[2:]))}"
