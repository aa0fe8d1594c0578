"""Interrupt `qemb convert` at random moments: the target is absent, old or new, and nothing else stays.

python tests/tools/interrupt_converters.py 1000
"""

from __future__ import annotations

import argparse
import gc
import os
import random
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from qemb_tools.cli import main as qemb

TARGETS = {
    "a.qemb": ["--bits", "8"],
    "b.qemb": ["--scheme", "exact"],
    "a.txt": [],
    "a.bin": [],
    "a.npz": [],
    "a.safetensors": [],
}
TARGETS |= {"a.h5": []} if find_spec("h5py") else {}
TARGETS |= {"a.parquet": [], "a.arrow": []} if find_spec("pyarrow") else {}
LINE = "qemb: interrupted; no file was left unfinished\n"


def convert(folder, target):
    """Convert in a child process: its process id, and the end of a pipe that says when the command begins."""
    here, there = os.pipe()
    child = os.fork()
    if child:
        os.close(there)
        return child, here
    status = 99
    try:
        errors = os.open(folder / "errors", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(errors, 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.write(there, b"x")
        status = qemb(["convert", str(folder / "table.txt"), str(folder / target), *TARGETS[target], "--quiet"])
    except KeyboardInterrupt:  # past the end of the command
        status = 130
    except BaseException:  # noqa: BLE001 - this is a fork: nothing may get out of it
        traceback.print_exc()
    finally:
        os._exit(status)


def interrupt(count, folder, seed):
    """Interrupt ``count`` conversions; how often the target was absent, the old one, and the new one."""
    rng = random.Random(seed)
    for version in range(2):
        rows = np.random.default_rng(version).normal(size=(3000 + version, 20)).round(3).tolist()
        text = "".join(f"w{i} {' '.join(map(repr, row))}\n" for i, row in enumerate(rows))
        (folder / f"table{version}").write_text(text, encoding="utf-8")
    found = Counter()
    gc.collect()
    for target in TARGETS:
        path = folder / target
        versions, seconds = [], 0.0
        for version in (0, 1):
            (folder / "table.txt").write_bytes((folder / f"table{version}").read_bytes())
            child, begun = convert(folder, target)
            os.read(begun, 1)
            start = time.perf_counter()
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            seconds = time.perf_counter() - start
            os.close(begun)
            if status:
                sys.exit(f"{target}: exit code {status} undisturbed: {(folder / 'errors').read_text()}")
            versions.append(path.read_bytes())
        for number in range(-(-count // len(TARGETS))):
            if rng.random() < 0.25:
                path.unlink(missing_ok=True)
            before = path.read_bytes() if path.exists() else None
            (folder / "table.txt").write_bytes((folder / f"table{number % 2}").read_bytes())
            child, begun = convert(folder, target)
            os.read(begun, 1)
            time.sleep(rng.uniform(0, 1.1 * seconds))
            os.kill(child, signal.SIGINT)
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            os.close(begun)
            after = path.read_bytes() if path.exists() else None
            errors = (folder / "errors").read_text()
            new = versions[number % 2]
            where = f"{target}, conversion {number}: exit code {status}, {errors!r}"
            if after not in (before, new):
                sys.exit(f"{where}: the target is neither old nor new")
            # Python lets no exception out of a callback of its garbage, as its imports have: Ctrl-C is lost there
            lost = (
                status == 0 and errors.startswith("Exception ignored in") and errors.endswith("KeyboardInterrupt: \n")
            )
            found["ignored by Python"] += lost
            if status not in (0, 130) or not (errors in ("", LINE) or lost) or (status == 0 and after != new):
                sys.exit(where)
            left = set(os.listdir(folder)) - {*TARGETS, "table0", "table1", "table.txt", "errors"}
            if left:
                sys.exit(f"{where}: left {left}")
            found["absent" if after is None else "old" if after == before else "new"] += 1
            found[f"exit code {status}"] += 1
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = interrupt(arguments.count, Path(folder), arguments.seed)
    print(", ".join(f"{what}: {count:,}" for what, count in sorted(found.items())))


if __name__ == "__main__":
    main()
