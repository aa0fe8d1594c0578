"""Write the corpus, or check that what is there is what this writes, and that it covers all that it has to.

    python conformance/generator/build.py [--check]

It takes Python alone, and the package `zstandard` for the answers of files in compressed frames.
"""

from __future__ import annotations

import argparse
import sys

from corpus import ROOT, Corpus
from holes import holes

FOLDERS = ("valid", "invalid", "limit")


def on_disk():
    """Paths of what is there now."""
    found = {
        path.relative_to(ROOT).as_posix() for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.is_file()
    }
    return found | {"manifest.json", "coverage.md"}


def differences(files):
    """A line for each file that is missing, astray or not as it is made."""
    there = on_disk()
    lines = [f"{path} is no file of the corpus" for path in sorted(there - files.keys())]
    for path, data in files.items():
        if path not in there or not (ROOT / path).exists():
            lines.append(f"{path} is missing")
        elif (ROOT / path).read_bytes() != data:
            lines.append(f"{path} is not as the generator makes it")
    return lines


def write(files):
    for path in on_disk() - files.keys():
        (ROOT / path).unlink()
    for path, data in files.items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_bytes(data)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 where something differs or is not covered"
    )
    arguments = parser.parse_args()
    corpus = Corpus()
    problems = holes(corpus.coverage)
    if arguments.check:
        problems += differences(corpus.files)
        print(corpus.files["coverage.md"].decode())
    else:
        write(corpus.files)
    for line in problems:
        print(line, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
