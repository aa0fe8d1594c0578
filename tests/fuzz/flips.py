"""Change every bit of ten files of the corpus, one at a time: `verify` has to notice each, and no reader may stumble.

python tests/fuzz/flips.py --workers 2

Nothing is mended here: what has to notice are the checksums, and what is looked at beside them. Whatever else is done
with a file that was opened, verified or not, ends well or in a `QembError`.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
import warnings
from collections import Counter
from pathlib import Path

from exercise import exercise

VALID = Path(__file__).parents[2] / "conformance" / "valid"
FILES = (
    "bases/linear",  # metadata, scales, offsets, index, counts and norms
    "frames/linear-all-64",  # the same in frames
    "frames/window-and-checksum",  # a frame that is compressed
    "bases/codebook",
    "bases/trellis",
    "bases/product",
    "bases/digits",  # decimals in four planes, with exceptions
    "bases/ieee",
    "subwords/3-to-6",
    "bases/whole",  # a transform, high bits, sections that no reader knows
)


def flipped(data, number):
    """A file with one bit changed, of which there are 8 for each byte."""
    changed = bytearray(data)
    changed[number >> 3] ^= 1 << (number & 7)
    return bytes(changed)


def flip(name, step=1, first=0):
    """Change every ``step``-th bit of a file, one at a time; codes by how often they came, and findings."""
    data = (VALID / f"{name}.qemb").read_bytes()
    codes, findings = Counter(), []
    for number in range(first, 8 * len(data), step):
        outcome = exercise(flipped(data, number))
        codes[f"verify {outcome.verified}" if outcome.opened == "good" else f"open {outcome.opened}"] += 1
        found = [*outcome.findings, *(["not noticed"] if outcome.verified == "good" else [])]
        findings += [f"{name}, byte {number >> 3}, bit {number & 7}: {text}" for text in found]
    return codes, findings


def _flip(arguments):
    warnings.simplefilter("error")
    return flip(*arguments)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--step", type=int, default=1, help="only every so many bits")
    arguments = parser.parse_args()
    begin = time.monotonic()
    total, findings = Counter(), []
    parts = 16
    work = [(name, parts * arguments.step, part * arguments.step) for name in FILES for part in range(parts)]
    with multiprocessing.Pool(arguments.workers) as pool:
        for codes, found in pool.imap_unordered(_flip, work):
            total += codes
            findings += found
    for code, count in total.most_common():
        print(f"  {code}: {count:,}")
    for text in findings:
        print("FINDING", text)
    print(
        f"{total.total():,} bits of {len(FILES)} files changed one at a time, all noticed but {len(findings)}; "
        f"{time.monotonic() - begin:.0f} s"
    )
    sys.exit(bool(findings))


if __name__ == "__main__":
    main()
