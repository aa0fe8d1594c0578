"""Damaged files that coverage guides: those that reach new lines of the reader are kept, and damaged further.

python tests/fuzz/atheris_reader.py FOLDER -max_total_time=300

The folder keeps what was found to reach something new, and is filled from the corpus at first. Files are damaged as in
`mutate`, with checksums mended, or by libFuzzer's own means. `QEMB_JIT` is off: coverage does not see into kernels.
"""

from __future__ import annotations

import os
import random
import sys
import warnings
from hashlib import sha1
from pathlib import Path

import atheris

os.environ |= {"QEMB_JIT": "0", "QEMB_THREADS": "1"}

with atheris.instrument_imports(include=["qemb"]):
    import qemb.salvage  # what is imported later would not be seen into
    import qemb.verify  # noqa: F401
    from exercise import exercise

from mutate import corpus, mend, mutate

LARGEST = 1 << 13
FILES = corpus(LARGEST)


class FindingError(Exception):
    """What must not have happened."""


def test_one_input(data):
    outcome = exercise(data)
    if outcome.findings:
        raise FindingError("; ".join(outcome.findings))


def custom_mutator(data, most, seed):
    rng = random.Random(seed)
    if rng.random() < 0.75:
        return mutate(rng, bytes(data), FILES)[:most]
    changed = bytearray(atheris.Mutate(data, most))
    if rng.random() < 0.75:
        mend(changed)
    return bytes(changed)


def main():
    warnings.simplefilter("error")
    folder = next((Path(argument) for argument in sys.argv[1:] if not argument.startswith("-")), None)
    if folder is not None and not folder.exists():
        folder.mkdir(parents=True)
        for data in FILES:
            (folder / sha1(data, usedforsecurity=False).hexdigest()).write_bytes(data)
    options = [f"-max_len={LARGEST}", "-timeout=30", "-rss_limit_mb=3000", *sys.argv[1:]]
    atheris.Setup([sys.argv[0], *options], test_one_input, custom_mutator=custom_mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
