"""The JavaScript reader does everything it can do to damaged files: only its own errors may come of it.

    python tests/fuzz/javascript.py 100000 --seed 1

A finding is a line that names the seed and the number of its file, which `mutate.mutated` gives back.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from mutate import corpus, mutated
from qemb_conformance.adapters import Staying

FOLDER = Path(__file__).parents[2] / "conformance" / "implementations" / "javascript"
TIMEOUT = 60.0


def exercise(folder, count, seed, first=0):
    """What came of ``count`` mutated files: counts, seconds of the slowest call, and findings with their numbers."""
    files, counts, slowest, findings = corpus(), Counter(), 0.0, []
    program = shlex.quote(str(folder / "test" / "damaged.mjs"))
    reader = Staying(f"node --expose-gc {program}", TIMEOUT)
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary, "file.qemb")
        for number in range(first, first + count):
            file.write_bytes(mutated(files, seed, number))
            outcome = reader.decode(file)
            if outcome.answer is None:
                counts["crashed"] += 1
                findings.append((number, f"{outcome.word} {outcome.complaint}"))
                continue
            counts[f"open: {outcome.answer['opened']}"] += 1
            if outcome.answer["verified"]:
                counts[f"verify: {outcome.answer['verified']}"] += 1
            slowest = max(slowest, float(outcome.answer["slowest"]))
            findings += [(number, finding) for finding in outcome.answer["findings"]]
    reader.close()
    return counts, slowest, findings


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    arguments = parser.parse_args()
    start = time.monotonic()
    counts, slowest, findings = exercise(FOLDER, arguments.count, arguments.seed, arguments.first)
    for number, finding in findings:
        print(f"seed {arguments.seed}, number {number}: {finding}")
    for name, times in counts.most_common():
        print(f"{times:9,} {name}")
    print(f"slowest call {slowest:.2f} s; {time.monotonic() - start:.0f} s in all; {len(findings)} findings")
    sys.exit(bool(findings))


if __name__ == "__main__":
    main()
